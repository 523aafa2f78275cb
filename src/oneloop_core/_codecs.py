"""Codecs for JSON's types, and the base of models. Errors have the path to the fault."""

import json
import math
import re
import sys
from collections import UserString
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, cast

from ._errors import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    mismatch,
    refused,
    wrong_type,
)

if TYPE_CHECKING:
    from fractions import Fraction

K = TypeVar("K", bound=str | int)
T = TypeVar("T")


def decode_string(value: Any) -> str:
    """Decode a JSON string, or raise `DecodeError`."""
    if not isinstance(value, str):
        raise mismatch("a string", value)
    return value


def encode_string(
    value: Any, *, min_length: int = 0, max_length: int | None = None, pattern: str | None = None
) -> str:
    """Check a string's length (in characters) and pattern, and return it.

    The errors never show the string, because it may be a secret.

    Raises:
        ArgumentTypeError: The value is not a `str`.
        ArgumentValueError: Its length or content is not allowed, or it is not valid Unicode.
    """
    text: str = value if type(value) is str else _characters(value)
    if min_length and len(text) < min_length:
        few = f"must have at least {min_length} characters"
        raise ArgumentValueError(few if min_length > 1 else "must not be empty")
    if max_length is not None and len(text) > max_length:
        many = f"must have at most {max_length} character{'' if max_length == 1 else 's'}"
        raise ArgumentValueError(many if max_length else "must be empty")
    # The document's patterns are ECMAScript's, in which \d matches only ASCII digits.
    if pattern is not None and not re.search(pattern, text, re.ASCII):
        raise ArgumentValueError(f"must match {pattern}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ArgumentValueError("must be valid Unicode, without lone surrogates") from None
    return text


def _characters(value: Any) -> str:
    """Return the characters of a string, even if its class, such as an enum, hides them."""
    if not isinstance(value, str):
        raise wrong_type("a string", value)
    return str.__str__(value)


def decode_boolean(value: Any) -> bool:
    """Decode `true` or `false`, or raise `DecodeError`."""
    if not isinstance(value, bool):
        raise mismatch("true or false", value)
    return value


def encode_boolean(value: Any) -> bool:
    """Check that a value is a `bool` and return it, or raise `ArgumentTypeError`."""
    if not isinstance(value, bool):
        raise wrong_type("True or False", value)
    return value


def decode_integer(value: Any) -> int:
    """Decode a JSON integer, or raise `DecodeError`, also for `true` and `1.0`."""
    if type(value) is not int:
        raise mismatch("an integer", value)
    return value


def encode_integer(value: Any, **bounds: float) -> int:
    """Check an integer against the document's bounds, and return it.

    `bounds` are the keyword arguments of `_check_bounds`.

    Raises:
        ArgumentTypeError: The value is not an `int`, or is a `bool`.
        ArgumentValueError: It is out of bounds, or has more digits than Python writes.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type("an integer", value)
    _check_bounds(value, **bounds)
    return int(value)


def decode_number(value: Any) -> float:
    """Decode a JSON number, or raise `DecodeError`."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise mismatch("a number", value)
    return value


def encode_number(value: Any, **bounds: float) -> float:
    """Check a finite number against the document's bounds, as `encode_integer` does, and return it.

    Raises:
        ArgumentTypeError: The value is neither an `int` nor a `float`, or is a `bool`.
        ArgumentValueError: It is out of bounds, infinite or NaN, or has more digits than Python
            writes.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type("a number", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise refused(ArgumentValueError, "must be finite", value)
    _check_bounds(value, **bounds)
    number: float = plain_value(value)
    return number


def plain_value(value: Any) -> Any:
    """Return a string or number as its JSON type, even if its class, such as an enum, hides it."""
    kinds: tuple[Any, ...] = (str, int, float)
    for kind in kinds:
        if isinstance(value, kind) and type(value) not in (kind, bool):
            return kind.__getnewargs__(value)[0]
    return value


def decode_constant(value: Any, constant: Any) -> Any:
    """Decode the only value that the document allows, or raise `DecodeError`."""
    if type(value) is not type(constant) or value != constant:
        raise mismatch(json.dumps(constant, ensure_ascii=False), value)
    return value


def encode_constant(value: Any, constant: Any) -> Any:
    """Return the only value that the document allows, or raise `ArgumentValueError`."""
    value = plain_value(value)
    if type(value) is not type(constant) or value != constant:
        raise ArgumentValueError(f"must be {constant!r}")
    return value


def _check_bounds(
    value: float,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
    multiple_of: float | None = None,
) -> None:
    """Raise `ArgumentValueError` unless a number is within its bounds and Python can write it."""
    if minimum is not None and value < minimum:
        raise refused(ArgumentValueError, f"must be at least {minimum}", value)
    if above is not None and value <= above:
        raise refused(ArgumentValueError, f"must be greater than {above}", value)
    if maximum is not None and value > maximum:
        raise refused(ArgumentValueError, f"must be at most {maximum}", value)
    if below is not None and value >= below:
        raise refused(ArgumentValueError, f"must be less than {below}", value)
    if multiple_of is not None and not _is_multiple(value, multiple_of):
        raise refused(ArgumentValueError, f"must be a multiple of {multiple_of}", value)
    if not -_ALWAYS_WRITTEN < value < _ALWAYS_WRITTEN:
        try:
            str(value)
        except ValueError:
            limit = sys.get_int_max_str_digits()
            raise ArgumentValueError(f"must have at most {limit} digits") from None


_ALWAYS_WRITTEN = 10**sys.int_info.str_digits_check_threshold
"""Python writes integers below this one whatever `sys.set_int_max_str_digits` says."""


def _is_multiple(value: float, divisor: float) -> bool:
    return not _decimal(value) % _decimal(divisor)


def _decimal(number: float) -> "Fraction":
    from fractions import Fraction  # here, because it is slow to import and rarely needed

    # Decimal notation counts: 0.3 is a multiple of 0.1 in JSON, though not in binary.
    return Fraction(number) if isinstance(number, int) else Fraction(repr(float(number)))


def decode_object(value: Any) -> dict[str, Any]:
    """Return a copy of a JSON object, to take fields out of, or raise `DecodeError`."""
    if not isinstance(value, dict):
        raise mismatch("an object", value)
    return value.copy()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def decode_list(value: Any, decode: Callable[[Any], T]) -> list[T]:
    """Decode each item of a JSON array, or raise `DecodeError` with the item's index."""
    if not isinstance(value, list):
        raise mismatch("an array", value)
    items = cast("Sequence[Any]", value)
    return [converted for _, converted in _each(enumerate(items), decode)]


def decode_map(value: Any, decode: Callable[[Any], T]) -> dict[str, T]:
    """Decode each value of a JSON object, or raise `DecodeError` with the value's key."""
    if not isinstance(value, dict):
        raise mismatch("an object", value)
    items = cast("dict[str, Any]", value)
    return dict(_each(items.items(), decode))


def encode_list(value: Any, encode: Callable[[Any], T]) -> list[T]:
    """Encode each item of a sequence.

    Raises:
        ArgumentError: The value is not a sequence, or is text, or an item is not allowed. The error
            has the item's index.
    """
    if not isinstance(value, list | tuple) and not _is_sequence(value):
        raise wrong_type("a list", value)
    items = cast("Sequence[Any]", value)
    return [converted for _, converted in _each(enumerate(items), encode)]


def _is_sequence(value: Any) -> bool:
    """Return whether a value is a sequence of items, which text and bytes are not meant as."""
    text = (str, UserString, bytes, bytearray, memoryview)
    return isinstance(value, Sequence) and not isinstance(value, text)


def encode_map(value: Any, encode: Callable[[Any], T]) -> dict[str, T]:
    """Encode each value of a mapping with string keys.

    Raises:
        ArgumentError: The value is not a mapping, a key is not a valid string, or a value of the
            mapping is not allowed. The error has the key.
    """
    if not isinstance(value, dict) and not isinstance(value, Mapping):
        raise wrong_type("a dict", value)
    items = cast("Mapping[Any, Any]", value)  # type: ignore[redundant-cast]
    named: dict[str, Any] = {}
    for key in items:
        if not isinstance(key, str):
            raise refused(ArgumentTypeError, "must have strings as keys", key)
        named[encode_string(key)] = items[key]
    return dict(_each(named.items(), encode))


MAX_JSON_LEVELS = 100
"""Levels of lists and dicts in an argument that may be any JSON. Without a limit, a list that
contains itself would end in a `RecursionError`."""


def encode_json(value: Any, levels: int = MAX_JSON_LEVELS) -> Any:
    """Check that a value consists of JSON types only, and return it.

    Raises:
        ArgumentTypeError: It contains something else.
        ArgumentValueError: It contains an infinite number, a NaN, an integer that is too long to
            be written, or a string that is not valid Unicode; or it is nested deeper than `levels`.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return encode_string(value)
    if isinstance(value, int | float):
        return encode_number(value)
    is_map = isinstance(value, Mapping)
    if not is_map and not _is_sequence(value):
        raise wrong_type("a JSON value", value)
    if not levels:
        raise ArgumentValueError(f"must not be nested deeper than {MAX_JSON_LEVELS} levels")

    def inner(item: Any) -> Any:
        return encode_json(item, levels - 1)

    return encode_map(value, inner) if is_map else encode_list(value, inner)


class ApiModel:
    """The base of generated models. What few processes need is in modules imported on first use."""

    __slots__ = ()

    __wire_names__: ClassVar[Mapping[str, str]] = {}
    """The document's names of fields that have other names in Python."""

    @classmethod
    def __from_wire__(cls, data: Any) -> Self:
        """Read parsed JSON; calls use this for their answers."""
        raise NotImplementedError

    def __to_wire__(self) -> dict[str, Any]:
        """Write what is sent; calls use this for their arguments."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, data: Any, *, by: Literal["wire", "python"] = "wire") -> Self:
        """Read parsed JSON.

        Args:
            data: A dict.
            by: Whose names its keys are: the API's ("wire"), or those of the attributes ("python").

        Raises:
            DecodeError: It is not of the shape that the document promises; `path` says where.
        """
        if by == "wire":
            return cls.__from_wire__(data)
        from . import _forms

        return _forms.read(cls, data, by)

    def to_dict(
        self,
        *,
        by: Literal["wire", "python"] = "wire",
        ints: Literal["int", "str"] | None = None,
        secrets: bool | None = None,
    ) -> dict[str, Any]:
        """Write what JSON takes, the unknown fields included.

        Args:
            by: "wire" for what is sent to the API, with its names. "python" for the names of the
                attributes, integers as numbers, timestamps in ISO 8601, and null for what is
                absent.
            ints: "str" writes integers as strings, for JavaScript, which rounds large ones. Only
                with `by="python"`, as the API determines how they are sent.
            secrets: Whether to include secrets. Default: yes for "wire", no for "python".

        Raises:
            ArgumentError: A field may not be sent, or an argument is not one of those above.
        """
        if by == "wire" and ints is None and secrets in (None, True):
            return self.__to_wire__()
        from . import _forms

        return _forms.write(self, by, ints, secrets)

    def to_json(
        self,
        *,
        by: Literal["wire", "python"] = "wire",
        ints: Literal["int", "str"] | None = None,
        secrets: bool | None = None,
        indent: int | None = None,
    ) -> str:
        """Write JSON. The arguments are those of `to_dict`; `indent` is that of `json.dumps`."""
        form = self.to_dict(by=by, ints=ints, secrets=secrets)
        return json.dumps(form, ensure_ascii=False, allow_nan=False, indent=indent)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield the items of `to_dict(by="python")`, so that `dict(model)` works."""
        return iter(self.to_dict(by="python").items())

    @property
    def __pydantic_serializer__(self) -> Any:
        """How pydantic writes a model where it does not expect one."""
        from . import _pydantic

        return _pydantic.SERIALIZER

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Return how pydantic, and so FastAPI, reads and writes the form with Python's names."""
        from . import _pydantic

        return _pydantic.core_schema_of(cls, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """Name and describe the class in the JSON Schema that pydantic generates."""
        described = handler(schema)
        summary = (cls.__doc__ or "").partition("\n\n")[0].replace("\n    ", " ")
        own = handler.resolve_ref_schema(described)
        own.update(title=cls.__name__, description=summary)
        own.get("properties", {}).pop("additional_properties", None)
        return described


def encode_model(value: Any, model: type[ApiModel]) -> dict[str, Any]:
    """Encode an instance of a generated model, or raise `ArgumentError`."""
    if not isinstance(value, model):
        raise wrong_type(f"of type {model.__name__}", value)
    return value.__to_wire__()


def _each(items: Iterable[tuple[K, Any]], convert: Callable[[Any], T]) -> Iterator[tuple[K, T]]:
    for key, item in items:
        try:
            yield key, convert(item)
        except (DecodeError, ArgumentError) as error:
            raise error.under(key) from None
