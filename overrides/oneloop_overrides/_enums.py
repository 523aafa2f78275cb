"""Open enums, which keep values that the document does not list, and their codec."""

from enum import Enum, IntEnum, StrEnum
from typing import Any, Self, TypeVar

from oneloop_core import encode_string, mismatch, plain_value, wrong_type


class OpenStrEnum(StrEnum):
    """A string enum that keeps values that the document does not list.

    Such a value compares, hashes, prints, pickles and is sent back like the plain string. Its
    `name` is the string as well, and `is_known` is false.
    """

    @property
    def is_known(self) -> bool:
        """Whether the document lists this value."""
        return self in type(self).__members__.values()

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        text = plain_value(value)
        member = str.__new__(cls, text)
        member._name_ = member._value_ = text
        return member

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """List the values as examples, as others are allowed."""
        return _with_examples(handler(schema), handler)


class OpenIntEnum(IntEnum):
    """An integer enum that keeps values that the document does not list; see `OpenStrEnum`."""

    @property
    def is_known(self) -> bool:
        """Whether the document lists this value."""
        return self in type(self).__members__.values()

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        number = plain_value(value)
        member = int.__new__(cls, number)
        member._name_, member._value_ = str(number), number
        return member

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """List the values as examples, as others are allowed."""
        return _with_examples(handler(schema), handler)


def _with_examples(described: Any, handler: Any) -> Any:
    inner = handler.resolve_ref_schema(described)
    inner["examples"] = inner.pop("enum", None) or [inner.pop("const")]
    return described


EnumT = TypeVar("EnumT", bound=Enum)


def decode_enum(value: Any, enum: type[EnumT]) -> EnumT:
    """Decode a JSON string or integer as a member, known or not, or raise `DecodeError`."""
    if _may_be_member(value):
        try:
            return enum(value)
        except ValueError:
            pass
    raise mismatch(f"a value of {enum.__name__}", value)


def encode_enum(value: Any, enum: type[Enum]) -> Any:
    """Encode a member or the plain value of one, known or not.

    Raises:
        ArgumentTypeError: The value is neither.
        ArgumentValueError: It is not valid Unicode.
    """
    if _may_be_member(value):
        try:
            found = enum(plain_value(value)).value
        except ValueError:
            pass
        else:
            return encode_string(found) if isinstance(found, str) else found
    raise wrong_type(f"of type {enum.__name__}", value)


def _may_be_member(value: Any) -> bool:
    # True == 1.0 == 1 in Python, so an IntEnum would accept True and 1.0 as its member 1.
    return isinstance(value, str | int) and not isinstance(value, bool)
