"""Codecs for lists, maps, objects, unions and any JSON. Their errors have the path to the fault."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

from ._errors import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    mismatch,
    refused,
    wrong_type,
)
from ._scalars import encode_number, encode_string

K = TypeVar("K", bound=str | int)
T = TypeVar("T")


def decode_object(value: Any) -> dict[str, Any]:
    """Return a copy of a JSON object, to take fields out of, or raise `DecodeError`."""
    if not isinstance(value, dict):
        raise mismatch("an object", value)
    fields = cast("dict[str, Any]", value)
    return fields.copy()


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


def decode_union(value: Any, *decoders: Callable[[Any], T]) -> T:
    """Decode a value as the first of several types that accepts it, or raise `DecodeError`."""
    for decode in decoders:
        try:
            return decode(value)
        except DecodeError:
            continue
    raise mismatch(f"one of {len(decoders)} known types", value)


def encode_list(value: Any, encode: Callable[[Any], T]) -> list[T]:
    """Encode each item of a list or tuple.

    Raises:
        ArgumentError: The value is neither, or an item is not allowed. The error has the item's
            index.
    """
    if not isinstance(value, list | tuple):
        raise wrong_type("a list", value)
    items = cast("Sequence[Any]", value)
    return [converted for _, converted in _each(enumerate(items), encode)]


def encode_map(value: Any, encode: Callable[[Any], T]) -> dict[str, T]:
    """Encode each value of a dict with string keys.

    Raises:
        ArgumentError: The value is not a dict, a key is not a valid string, or a value of the dict
            is not allowed. The error has the key.
    """
    if not isinstance(value, dict):
        raise wrong_type("a dict", value)
    items = cast("Mapping[Any, Any]", value)
    for key in items:
        if not isinstance(key, str):
            raise refused(ArgumentTypeError, "must have strings as keys", key)
        encode_string(key)
    return dict(_each(items.items(), encode))


def encode_union(value: Any, *encoders: Callable[[Any], T]) -> T:
    """Encode a value as the first of several types that accepts it.

    Raises:
        ArgumentTypeError: None of them does.
    """
    for encode in encoders:
        try:
            return encode(value)
        except ArgumentError:
            continue
    raise wrong_type(f"of one of {len(encoders)} known types", value)


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
    """Encode an instance of a generated model, or raise `ArgumentError`."""
    if not isinstance(value, model):
        raise wrong_type(f"of type {model.__name__}", value)
    return value.to_dict()


def _each(items: Iterable[tuple[K, Any]], convert: Callable[[Any], T]) -> Iterator[tuple[K, T]]:
    for key, item in items:
        try:
            yield key, convert(item)
        except (DecodeError, ArgumentError) as error:
            raise error.under(key) from None
