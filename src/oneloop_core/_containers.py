"""Lists, maps, objects, unions, any JSON. Errors say where inside them the trouble is."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, Protocol, TypeVar, cast

from ._errors import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    mismatch,
    wrong_type,
)
from ._scalars import encode_number, encode_string

K = TypeVar("K", bound=str | int)
T = TypeVar("T")


def decode_object(value: Any) -> dict[str, Any]:
    """Copy a JSON object, so that fields can be taken out of it, or raise `DecodeError`."""
    if not isinstance(value, dict):
        raise mismatch("an object", value)
    fields = cast("dict[str, Any]", value)
    return fields.copy()


def decode_list(value: Any, decode: Callable[[Any], T]) -> list[T]:
    """Read each item of a JSON array, or raise `DecodeError` with the item's index."""
    if not isinstance(value, list):
        raise mismatch("an array", value)
    items = cast("Sequence[Any]", value)
    return [converted for _, converted in _each(enumerate(items), decode)]


def decode_map(value: Any, decode: Callable[[Any], T]) -> dict[str, T]:
    """Read each value of a JSON object, or raise `DecodeError` with the value's key."""
    if not isinstance(value, dict):
        raise mismatch("an object", value)
    items = cast("dict[str, Any]", value)
    return dict(_each(items.items(), decode))


def decode_union(value: Any, *decoders: Callable[[Any], T]) -> T:
    """Read a value as the first of several types that fits, or raise `DecodeError`."""
    for decode in decoders:
        try:
            return decode(value)
        except DecodeError:
            continue
    raise mismatch(f"of one of {len(decoders)} known types", value)


def encode_list(value: Any, encode: Callable[[Any], T]) -> list[T]:
    """Write a list or tuple item by item.

    Raises:
        ArgumentError: It is neither, or an item is not allowed; the error has the item's index.
    """
    if not isinstance(value, list | tuple):
        raise wrong_type("a list", value)
    items = cast("Sequence[Any]", value)
    return [converted for _, converted in _each(enumerate(items), encode)]


def encode_map(value: Any, encode: Callable[[Any], T]) -> dict[str, T]:
    """Write a dict with string keys value by value.

    Raises:
        ArgumentError: It is none, a key is no valid string, or a value is not allowed; the error
            has the value's key.
    """
    if not isinstance(value, dict):
        raise wrong_type("a dict", value)
    items = cast("Mapping[Any, Any]", value)
    for key in items:
        if not isinstance(key, str):
            raise wrong_type("a dict with strings for keys", key)
        encode_string(key)
    return dict(_each(items.items(), encode))


def encode_union(value: Any, *encoders: Callable[[Any], T]) -> T:
    """Write a value as the first of several types that takes it, or raise `ArgumentTypeError`."""
    for encode in encoders:
        try:
            return encode(value)
        except ArgumentError:
            continue
    raise wrong_type(f"of one of {len(encoders)} known types", value)


MAX_JSON_LEVELS = 100
"""Levels of lists and dicts in an argument that may be any JSON: one may contain itself."""


def encode_json(value: Any, levels: int = MAX_JSON_LEVELS) -> Any:
    """Check that a value is made of JSON types only, and return it.

    Raises:
        ArgumentTypeError: It holds something else.
        ArgumentValueError: It holds an infinite number, a NaN, an integer too long to write, or a
            string that is not Unicode; or it is nested deeper than `levels`.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return encode_string(value)
    if isinstance(value, int | float):
        return encode_number(value)
    if not isinstance(value, list | tuple | dict):
        raise wrong_type("a JSON value", value)
    if not levels:
        raise ArgumentValueError(f"must not be nested deeper than {MAX_JSON_LEVELS} levels")

    def inner(item: Any) -> Any:
        return encode_json(item, levels - 1)

    return encode_map(value, inner) if isinstance(value, dict) else encode_list(value, inner)


class _Model(Protocol):
    def to_dict(self) -> dict[str, Any]: ...


def encode_model(value: Any, model: type[_Model]) -> dict[str, Any]:
    """Write an instance of a generated model, or raise `ArgumentError`."""
    if not isinstance(value, model):
        raise wrong_type(f"of type {model.__name__}", value)
    return value.to_dict()


def missing(key: str) -> NoReturn:
    """Raise the `DecodeError` for a required field that an answer does not have."""
    raise DecodeError("is missing").under(key) from None


def required_with(others: str) -> NoReturn:
    """Raise the `ArgumentTypeError` for an argument that those others cannot do without."""
    raise ArgumentTypeError(f"is required with {others}")


def _each(items: Iterable[tuple[K, Any]], convert: Callable[[Any], T]) -> Iterator[tuple[K, T]]:
    for key, item in items:
        try:
            yield key, convert(item)
        except (DecodeError, ArgumentError) as error:
            raise error.under(key) from None
