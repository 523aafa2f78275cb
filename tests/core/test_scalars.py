"""Codecs for strings, booleans, numbers and constants."""

import json
import math
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneloop_core import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    decode_boolean,
    decode_constant,
    decode_number,
    decode_string,
    encode_boolean,
    encode_constant,
    encode_number,
    encode_string,
)

SECRET = "ok_live_4f1e9d"
NO_STRINGS = [None, True, 5, 1.5, b"bytes", ["a"], {}]
NO_BOOLEANS = [None, 0, 1, 1.0, "true", "", [], {}]
NO_NUMBERS = [None, True, False, "1", "1.5", Decimal("1.5"), 1j, [1], {}]


class Colour(StrEnum):
    """A subclass of `str`, as an application may have one."""

    RED = "red"


# Strings


@given(st.text())
def test_strings_are_themselves(text: str) -> None:
    """Unicode text stays unchanged in both directions."""
    assert decode_string(text) == text
    assert encode_string(text) == text


@pytest.mark.parametrize("value", NO_STRINGS, ids=repr)
def test_nothing_else_is_read_as_a_string(value: Any) -> None:
    """A number is not converted to a string."""
    with pytest.raises(DecodeError, match="expected a string, got "):
        decode_string(value)


@pytest.mark.parametrize("value", NO_STRINGS, ids=repr)
def test_nothing_else_is_written_as_a_string(value: Any) -> None:
    """None is not sent as "None", nor bytes as their repr."""
    with pytest.raises(ArgumentTypeError, match="must be a string, got "):
        encode_string(value)


def test_a_string_of_a_subclass_is_sent_as_a_plain_one() -> None:
    """The JSON encoder gets a plain `str`."""
    assert type(encode_string(Colour.RED)) is str


@pytest.mark.parametrize("text", ["\ud800", "ok\udfff", "\ud83d \ude00"], ids=ascii)
def test_lone_surrogates_are_not_sent(text: str) -> None:
    """Text that UTF-8 cannot encode ends in an argument error, not in a UnicodeEncodeError."""
    with pytest.raises(ArgumentValueError, match=r"^argument must be valid Unicode") as caught:
        encode_string(text)
    assert caught.value.__suppress_context__  # Python's error would show the text


@pytest.mark.parametrize("text", ["ab", "abcd", "\u00e4\U0001f600"], ids=ascii)
def test_lengths_at_their_bounds_are_sent(text: str) -> None:
    """The minimum and the maximum are allowed lengths, counted in characters."""
    assert encode_string(text, min_length=2, max_length=4) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must have at least 2 characters"),
        ("a", "must have at least 2 characters"),
        ("abcde", "must have at most 4 characters"),
    ],
)
def test_lengths_beyond_their_bounds_are_not_sent(text: str, problem: str) -> None:
    """One character too few or too many is refused."""
    with pytest.raises(ArgumentValueError) as caught:
        encode_string(text, min_length=2, max_length=4)
    assert caught.value.problem == problem


@pytest.mark.parametrize(
    ("text", "bounds", "problem"),
    [
        ("", {"min_length": 1}, "must not be empty"),
        ("a", {"max_length": 0}, "must be empty"),
        ("ab", {"max_length": 1}, "must have at most 1 character"),
    ],
)
def test_the_shortest_lengths_are_bounds_too(
    text: str, bounds: dict[str, int], problem: str
) -> None:
    """A bound of zero is not ignored, and the messages are natural English."""
    with pytest.raises(ArgumentValueError) as caught:
        encode_string(text, **bounds)
    assert caught.value.problem == problem


@pytest.mark.parametrize("text", ["b7", "abba12"])
def test_a_pattern_is_searched_for(text: str) -> None:
    """A pattern without anchors may match anywhere, as in JSON Schema."""
    assert encode_string(text, pattern=r"b\w?\d|ba") == text


@pytest.mark.parametrize("text", ["", "a1", "1a", "\u0661", "\uff11", "\u00b2"], ids=ascii)
def test_digits_in_patterns_are_ascii(text: str) -> None:
    r"""In the document's patterns \d is one of 0 to 9, and no digit of another script."""
    with pytest.raises(ArgumentValueError, match=r"^argument must match \^\\d\+\\Z"):
        encode_string(text, pattern=r"^\d+\Z")


@pytest.mark.parametrize("limits", [{"min_length": 99}, {"max_length": 3}, {"pattern": "^x"}])
def test_refused_strings_are_not_shown(limits: dict[str, Any]) -> None:
    """A string may be a key, so the error does not show it."""
    with pytest.raises(ArgumentValueError) as caught:
        encode_string(SECRET, **limits)
    assert SECRET not in str(caught.value) + repr(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize("check", [encode_boolean, encode_number, decode_boolean, decode_number])
def test_misplaced_strings_are_not_shown(check: Any) -> None:
    """If a key is passed as another argument, the error shows only its type."""
    with pytest.raises(
        (ArgumentError, DecodeError), match=r"got a (string|value of type str)$"
    ) as caught:
        check(SECRET)
    assert SECRET not in repr(caught.value)


# Booleans


@pytest.mark.parametrize("value", [True, False])
def test_booleans_are_themselves(value: bool) -> None:
    """True and False stay unchanged in both directions."""
    assert decode_boolean(value) is value
    assert encode_boolean(value) is value


@pytest.mark.parametrize("value", NO_BOOLEANS, ids=repr)
def test_nothing_else_is_read_as_a_boolean(value: Any) -> None:
    """0, 1, null and strings are not read as true or false."""
    with pytest.raises(DecodeError, match="expected true or false, got "):
        decode_boolean(value)


@pytest.mark.parametrize("value", NO_BOOLEANS, ids=repr)
def test_nothing_else_is_written_as_a_boolean(value: Any) -> None:
    """Other values are refused, even if they are truthy."""
    with pytest.raises(ArgumentTypeError, match="must be True or False, got "):
        encode_boolean(value)


# Numbers


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_themselves(number: float) -> None:
    """Integers and floats stay unchanged in both directions."""
    assert decode_number(number) is number
    assert encode_number(number) is number


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_nothing_else_is_read_as_a_number(value: Any) -> None:
    """True and "1" are not read as numbers."""
    with pytest.raises(DecodeError, match="expected a number, got "):
        decode_number(value)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_nothing_else_is_written_as_a_number(value: Any) -> None:
    """True and "1" are refused before anything is sent."""
    with pytest.raises(ArgumentTypeError, match="must be a number, got "):
        encode_number(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_not_sent(value: float) -> None:
    """NaN and the infinities are refused, and the error shows the value."""
    with pytest.raises(ArgumentValueError, match=f"^argument must be finite, got {value}"):
        encode_number(value)


def test_an_integer_beyond_every_float_is_sent() -> None:
    """An integer that is too large for a float is finite, so it is sent."""
    assert encode_number(10**400) == 10**400


def test_an_integer_that_python_cannot_write_is_not_sent_as_a_number() -> None:
    """Otherwise `json.dumps` would refuse it, with an error that does not name the argument."""
    with pytest.raises(ArgumentValueError, match="must have at most 4300 digits"):
        encode_number(10**4300)


@pytest.mark.parametrize(
    ("bounds", "number"),
    [
        ({"minimum": 0.5}, 0.5),
        ({"above": 0.5}, 0.51),
        ({"maximum": 0.5}, 0.5),
        ({"below": 0.5}, 0.49),
        ({"multiple_of": 0.1}, 0.3),
        ({"multiple_of": 0.01}, 19.99),
        ({"multiple_of": 0.01}, 5),
        ({"multiple_of": 1e-7}, 3e-7),
        ({"multiple_of": 5}, 10.0),
    ],
)
def test_numbers_within_bounds_are_sent(bounds: dict[str, float], number: float) -> None:
    """The last number inside a bound is sent. Multiples are checked in decimal notation."""
    assert encode_number(number, **bounds) == number


@pytest.mark.parametrize(
    ("bounds", "number", "problem"),
    [
        ({"minimum": 0.5}, 0.49, "must be at least 0.5, got 0.49"),
        ({"above": 0.5}, 0.5, "must be greater than 0.5, got 0.5"),
        ({"maximum": 0.5}, 0.51, "must be at most 0.5, got 0.51"),
        ({"below": 0.5}, 0.5, "must be less than 0.5, got 0.5"),
        ({"multiple_of": 0.1}, 0.35, "must be a multiple of 0.1, got 0.35"),
        ({"multiple_of": 0.1}, 0.30000000000000004, "must be a multiple of 0.1, got 0.3000"),
    ],
)
def test_numbers_outside_bounds_are_refused(
    bounds: dict[str, float], number: float, problem: str
) -> None:
    """The first number outside a bound is refused, and the error has the bound and the number."""
    with pytest.raises(ArgumentValueError) as caught:
        encode_number(number, **bounds)
    assert caught.value.problem.startswith(problem)


# Constants


@pytest.mark.parametrize("constant", ["v1", 1, True, None, 1.5])
def test_a_constant_is_itself(constant: Any) -> None:
    """The allowed value stays unchanged in both directions."""
    assert decode_constant(constant, constant) is constant
    assert encode_constant(constant, constant) is constant


@pytest.mark.parametrize(
    ("value", "constant"),
    [("v2", "v1"), (1, True), (True, 1), (1.0, 1), (0, None), (None, "v1")],
)
def test_no_other_value_is_the_constant(value: Any, constant: Any) -> None:
    """The value must also have the same type: true, 1 and 1.0 differ in JSON."""
    with pytest.raises(DecodeError, match=f"expected {json.dumps(constant)}, got "):
        decode_constant(value, constant)
    with pytest.raises(ArgumentValueError, match=f"^argument must be {constant!r}$"):
        encode_constant(value, constant)
