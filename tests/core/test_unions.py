"""Alternatives: which type a JSON value is read as, and in how many steps."""

from collections.abc import Callable
from typing import Any

import pytest

from oneloop_core import ArgumentError, ArgumentTypeError, DecodeError, mismatch
from oneloop_core._unions import (
    UnknownObject,
    decode_choice,
    decode_tagged,
    decode_union,
    encode_choice,
    encode_union,
)


def reader(name: str) -> Callable[[Any], Any]:
    """Return a decoder that says which one it is."""
    return lambda value: (name, value)


def refusing(value: Any) -> Any:
    """Refuse any value, as a decoder of dates refuses other texts."""
    raise mismatch("something else", value)


TEXT, ITEM = ("s", None), ("i", None)
A = {"a": TEXT, "": ("a",)}
"""An object that requires a text `a`."""
B = {"b": TEXT, "": ("b",)}
MAY_A = {"a": TEXT, "": ()}
MAY_B = {"b": TEXT, "": ()}
CLOSED = {"a": TEXT, "": (None,)}

CASES: list[tuple[Any, list[tuple[str, Any]], int]] = [
    ("a", [("i", None), ("s", None)], 1),
    (5, [("s", None), ("i", None), ("in", None)], 1),
    (5.5, [("s", None), ("i", None), ("in", None)], 2),
    (True, [("i", None), ("b", None)], 1),
    (None, [("s", None), ("0", None)], 1),
    ("x", [("s", None), ("s", ("x", "y"))], 1),
    ("z", [("s", ("x", "y")), ("s", None)], 1),
    ("z", [("s", ("x", "y"))], 0),
    ("z", [("s", {"x"}), ("s", ("y",))], 1),
    ("x", [("s", ("x",)), ("s", {"x"})], 1),
    ({"a": "1"}, [("o", B), ("o", A)], 1),
    ({"a": "1", "b": "2"}, [("o", MAY_A), ("o", {**MAY_A, **MAY_B})], 1),
    ({"b": "1"}, [("o", MAY_A), ("o", MAY_B)], 1),
    ({"a": "1", "c": 1}, [("o", CLOSED), ("o", MAY_B)], 1),
    ({"a": "1"}, [("o", MAY_B), ("o", CLOSED)], 1),
    ({"a": 1}, [("o", MAY_A), ("o", {"a": ITEM, "": ()})], 1),
    (
        {"a": {"b": 1}},
        [("o", {"a": ("o", B), "": ()}), ("o", {"a": ("o", {"b": ITEM, "": ()}), "": ()})],
        1,
    ),
    ({}, [("o", A), ("o", B)], 0),
    ({"a": "1"}, [("s", None), ("o0", A)], 1),
    (["a"], [("a", [ITEM]), ("a", [TEXT])], 1),
    ([], [("a", [ITEM]), ("a", [TEXT])], 0),
    ([1.5], [("s", None), ("a", [ITEM])], 1),
    ({"a": [1]}, [("o", {"a": ("a", [TEXT]), "": ()}), ("o", {"a": ("a", [ITEM]), "": ()})], 1),
    ({"a": "1"}, [("s", None), ("sinbao0", None)], 1),
    (None, [("o0", A), ("s", None)], 0),
]


@pytest.mark.parametrize(("value", "variants", "chosen"), CASES)
def test_the_type_that_fits_best_decodes(
    value: Any, variants: list[tuple[str, Any]], chosen: int
) -> None:
    """Types of JSON, listed values, required fields and fields that are there decide."""
    named = [(reader(str(number)), *one) for number, one in enumerate(variants)]
    assert decode_union(value, *named) == (str(chosen), value)


def test_of_texts_the_first_format_that_fits_decodes() -> None:
    """Where only the decoder knows whether a text has its format, they are tried in their order."""
    variants = [(refusing, "s", None), (reader("text"), "s", None)]
    assert decode_union("a", *variants) == ("text", "a")
    with pytest.raises(DecodeError, match="expected one of 2 known types"):
        decode_union("a", variants[0], variants[0])


@pytest.mark.parametrize("value", [5, {}, [], None, "z"])
def test_a_value_of_no_type_is_an_error(value: Any) -> None:
    """A value that no alternative can have is an error."""
    with pytest.raises(DecodeError, match="expected one of 1 known types"):
        decode_union(value, (reader("x"), "s", {"x"}))


def test_an_object_is_read_by_its_tag() -> None:
    """The value of the tag decides; an unknown one is kept, and a missing one is an error."""
    decoders = {"cat": reader("cat"), 1: reader("one")}

    def decode(value: Any) -> Any:
        return decode_tagged(value, "kind", decoders, UnknownObject.__from_wire__)

    assert decode({"kind": "cat"}) == ("cat", {"kind": "cat"})
    assert decode({"kind": 1}) == ("one", {"kind": 1})
    unknown: dict[str, Any]
    for unknown in ({"kind": "cow"}, {"kind": True}, {"kind": ["cat"]}, {"kind": {}}):
        read = decode(unknown)
        assert read == UnknownObject(unknown)
        assert read.to_dict() == unknown
    with pytest.raises(DecodeError, match="kind: required field is missing"):
        decode({})
    wrong: Any
    for wrong in ([], "cat", None):
        with pytest.raises(DecodeError, match="expected an object"):
            decode(wrong)


def test_a_parent_reads_what_none_of_its_children_is() -> None:
    """With a decoder for all other values, neither an unknown nor a missing tag is an error."""
    for value in ({}, {"kind": "cow"}):
        assert decode_tagged(value, "kind", {}, reader("parent")) == ("parent", value)


def test_an_unknown_object_is_an_object() -> None:
    """Only an object can be kept as one, and only JSON can be sent back."""
    with pytest.raises(DecodeError):
        UnknownObject.from_dict([])
    with pytest.raises(ArgumentError):
        UnknownObject({"a": object()}).to_dict()


@pytest.mark.parametrize("shape", ["object", "array"])
def test_nested_alternatives_take_linear_time(shape: str) -> None:
    """Each level of a recursive union is decoded once, even if the innermost value is wrong."""
    calls = 0

    def decode(value: Any) -> Any:
        return decode_union(
            value,
            (inside, "o", {"next": ("oas", None), "": ("next",)}),
            (inside, "o", {"next": ("oas", None), "other": TEXT, "": ("next",)}),
            (each, "a", [("oas", None)]),
            (each, "a", [("oas", None)]),
            (reader("text"), "s", None),
        )

    def inside(value: Any) -> Any:
        nonlocal calls
        calls += 1
        return decode(value["next"])

    def each(value: Any) -> Any:
        nonlocal calls
        calls += 1
        return [decode(one) for one in value]

    value: Any
    for innermost in ("a", 5):
        calls, value = 0, innermost
        for _ in range(100):
            value = {"next": value} if shape == "object" else [value]
        if innermost == 5:
            with pytest.raises(DecodeError):
                decode(value)
        else:
            decode(value)
        assert calls == 100


def test_a_value_is_encoded_by_the_first_type_that_takes_it() -> None:
    """The first encoder that accepts a value encodes it; if there is none, that is an error."""

    def encode(value: Any) -> Any:
        if not isinstance(value, int):
            raise ArgumentTypeError("must be an integer")
        return value + 1

    assert encode_union(1, encode, str) == 2
    assert encode_union("a", encode, str) == "a"
    with pytest.raises(ArgumentTypeError, match="must be of one of 2 known types"):
        encode_union("a", encode, encode)


def test_listed_values_of_several_types() -> None:
    """An unlisted value of a known type is read; only listed values are sent, by their types."""
    assert decode_choice("other", "si") == "other"
    with pytest.raises(DecodeError, match="expected one of the listed values"):
        decode_choice(1.5, "si")
    assert encode_choice(1, ["a", 1]) == 1
    for wrong in (True, 1.0, "b"):
        with pytest.raises(ArgumentTypeError, match="must be one of 'a', 1"):
            encode_choice(wrong, ["a", 1])
