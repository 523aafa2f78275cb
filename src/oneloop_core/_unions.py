"""Codecs for alternatives: a JSON value is of one type or another.

The alternative is chosen by looking at the value, not by trying one decoder after the other, which
would take exponential time where alternatives are nested.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

from attrs import define

from ._codecs import ApiModel, decode_object, encode_map, plain_value
from ._codecs import encode_json as _encode_json
from ._errors import ArgumentError, DecodeError, mismatch, missing, wrong_type

T = TypeVar("T")


@define
class UnknownObject(ApiModel):
    """An object of a kind that the API's document does not list yet.

    The server names a kind that was added after this package was generated. The object is kept as
    it came, so that an application can read it, ignore it or send it back.

    Attributes:
        data: The parsed JSON.
    """

    data: dict[str, Any]

    @classmethod
    def __from_wire__(cls, data: Any) -> Self:
        """Keep a JSON object, or raise `DecodeError`."""
        return cls(decode_object(data))

    def __to_wire__(self) -> dict[str, Any]:
        """Return the JSON object, or raise `ArgumentError` if something else was put into it."""
        return encode_map(self.data, _encode_json)


def decode_tagged(
    value: Any,
    tag: str,
    decoders: Mapping[Any, Callable[[Any], Any]],
    other: Callable[[Any], Any],
) -> Any:
    """Decode an object by the value of one of its fields.

    Args:
        value: The parsed JSON.
        tag: The name of the field.
        decoders: The decoders by the values of the field.
        other: The decoder for all other values.

    Raises:
        DecodeError: It is no object, it lacks the field, or the decoder raised it.
    """
    if not isinstance(value, dict):
        raise mismatch("an object", value)
    found: Any = value.get(tag)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if found is None and other == UnknownObject.__from_wire__:
        missing(tag)
    known = isinstance(found, str | int) and not isinstance(found, bool)
    return (decoders.get(found, other) if known else other)(value)


def decode_union(value: Any, *variants: tuple[Callable[[Any], Any], str, Any]) -> Any:
    """Decode a value as that of several types which fits best.

    Args:
        value: The parsed JSON.
        variants: For each type its decoder, the types of JSON that it may have, as letters (`s`
            string, `i` integer, `n` another number, `b` boolean, `a` array, `o` object, `0` null),
            and what else tells its values apart: a tuple of the values that are listed, or a set
            if there are no others; of an object, its fields with their letters and details, and
            under an empty name those that are required, followed by `None` if there are no others;
            of an array, a list of the letters and details of its items.

    Raises:
        DecodeError: No type fits, or the value is not of the shape that the best one promises.
    """
    letter = _letter(value)
    ranked: list[tuple[float, int]] = []
    for number, (_, letters, detail) in enumerate(variants):
        score = _score(value, letter, letters, detail)
        if score is not None:
            ranked.append((-score, number))
    ranked.sort()
    if letter in ("a", "o") or len(ranked) == 1:
        possible = [number for _, number in ranked[:1]]
        possible += [n for n, (_, letters, _) in enumerate(variants) if letter in letters]
        if possible:
            return variants[possible[0]][0](value)
    for _, number in ranked:
        try:
            return variants[number][0](value)  # of texts, only the decoder knows if a format fits
        except DecodeError:
            continue
    raise mismatch(f"one of {len(variants)} known types", value)


_LETTERS = {str: "s", int: "i", float: "n", bool: "b", list: "a", dict: "o", type(None): "0"}


def _letter(value: Any) -> str:
    return _LETTERS.get(type(value), "")  # pyright: ignore[reportUnknownArgumentType]


def _score(value: Any, letter: str, letters: str, detail: Any) -> float | None:
    """Return how well a value fits, or `None` if it cannot be of the type."""
    if letter not in letters:
        return None
    if detail is None:
        return 0.5 if len(letters) == 1 else 0
    if isinstance(detail, set):
        return 3 if value in detail else None
    if isinstance(detail, tuple):
        return 2 if value in detail else -50
    if isinstance(detail, list):
        [(inner, more)] = detail  # pyright: ignore[reportUnknownVariableType]
        return _score(value[0], _letter(value[0]), inner, more) if value else 0  # pyright: ignore[reportUnknownArgumentType]
    return _score_of_object(value, detail) if letter == "o" else 0


def _score_of_object(value: dict[str, Any], fields: dict[str, Any]) -> float | None:
    required = fields[""]
    if any(name not in value for name in required if name is not None):
        return None
    if None in required and any(name not in fields for name in value):
        return None
    total = 0.0
    for name, (letters, detail) in _named(fields):
        if name in value:
            found = value[name]
            score = _score(found, _letter(found), letters, detail)
            if score is None:
                return None
            total += 1 + score
    return total


def _named(fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, fit) for name, fit in fields.items() if name)


def encode_union(value: Any, *encoders: Callable[[Any], T]) -> T:
    """Encode a value as the first of several types that accepts it.

    Raises:
        ArgumentTypeError: Not one of them does.
    """
    for encode in encoders:
        try:
            return encode(value)
        except ArgumentError:
            continue
    raise wrong_type(f"of one of {len(encoders)} known types", value)


def decode_choice(value: Any, letters: str) -> Any:
    """Decode a value of the types that listed values have, whether it is listed or not."""
    if _letter(value) not in letters:
        raise mismatch("one of the listed values", value)
    return value


def encode_choice(value: Any, values: list[Any]) -> Any:
    """Return a value that is listed, or raise `ArgumentTypeError`."""
    value = plain_value(value)
    for one in values:
        if type(one) is type(value) and one == value:
            return value
    raise wrong_type(f"one of {', '.join(map(repr, values))}", value)
