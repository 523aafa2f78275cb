"""Digit strings and JSON integers are exact at any size, and nothing else is read as one."""

import sys
from collections.abc import Iterator
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oneloop_core import (
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    decode_integer,
    encode_integer,
)
from oneloop_overrides import MAX_DIGITS, decode_digits, encode_digits

ASCII_DIGITS = "0123456789"
LONGEST = 10**MAX_DIGITS - 1
NOT_DIGITS = [
    *("", " ", "+", "-", ".", "-1", "+1", "-0", " 1", "1 ", "1\n", "\n1", "1\t", "1 000"),
    *("1_000", "1,000", "1e3", "1E3", "0x10", "0b1", "1.0", "1.", ".5", "nan", "inf", "null"),
    *("\u0661\u0662", "\u06f3", "\u0967", "\uff11", "\u00b2", "\u2460", "\u2083", "\u4e00"),
    *("1\u0661", "1\u00b2", "1\u2009", "\u22121", "1\x00", "\ud800"),
]
NO_INTEGERS = [True, False, None, 1.0, 1.5, float("nan"), Decimal(1), Fraction(1), b"1", [1], {}]


class Level(IntEnum):
    """A subclass of `int`, as an application may have one."""

    HIGH = 3


@pytest.fixture
def digit_limit() -> Iterator[None]:
    """Restore `sys.set_int_max_str_digits` after a test that changes it as an application may."""
    before = sys.get_int_max_str_digits()
    yield
    sys.set_int_max_str_digits(before)


# Digit strings


@given(st.integers(min_value=0) | st.integers(min_value=0, max_value=LONGEST))
@example(0)
@example(2**53 + 1)
@example(LONGEST)
def test_integers_of_any_size_survive_the_wire(number: int) -> None:
    """An encoded integer is decoded as the same integer."""
    assert decode_digits(encode_digits(number)) == number


@pytest.mark.parametrize(
    ("number", "digits"), [(0, "0"), (1000, "1000"), (2**53 + 1, "9007199254740993")]
)
def test_digit_strings_are_plain_decimal(number: int, digits: str) -> None:
    """The wire form has no sign, leading zero, separator or exponent."""
    assert encode_digits(number) == digits


@given(st.text(max_size=6).filter(lambda text: not text or set(text) - set(ASCII_DIGITS)))
def test_strings_of_anything_but_ascii_digits_are_refused(text: str) -> None:
    """A single character other than an ASCII digit makes the string invalid."""
    with pytest.raises(DecodeError):
        decode_digits(text)


@pytest.mark.parametrize("text", NOT_DIGITS, ids=ascii)
def test_other_texts_are_refused_even_if_int_accepts_them(text: str) -> None:
    """No sign, space, separator, exponent or other base, and no digit of another script."""
    with pytest.raises(DecodeError, match="a string of ASCII digits"):
        decode_digits(text)


@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
def test_other_json_is_not_read_as_digits(value: Any) -> None:
    """Neither true, 1.0 and null nor arrays and objects are read as credits."""
    with pytest.raises(DecodeError, match="a string of ASCII digits"):
        decode_digits(value)


@given(st.integers(min_value=0))
def test_json_integers_are_read_too(number: int) -> None:
    """If the vendor replaces its strings by numbers, the client still reads them."""
    assert decode_digits(number) == number


@given(st.integers(max_value=-1))
def test_negative_json_integers_are_refused(number: int) -> None:
    """Credits cannot be negative, as a number or as a string."""
    with pytest.raises(DecodeError, match="a string of ASCII digits"):
        decode_digits(number)


@pytest.mark.parametrize(("text", "number"), [("00", 0), ("007", 7), ("0" * 99 + "5", 5)])
def test_leading_zeros_are_read(text: str, number: int) -> None:
    """Leading zeros do not change the number."""
    assert decode_digits(text) == number


def test_as_many_digits_as_python_converts_are_read() -> None:
    """A number of 4300 digits is read exactly."""
    assert decode_digits("9" * 4300) == 10**4300 - 1


@pytest.mark.parametrize(
    "text", ["9" * 4301, "0" * 4301, "1" * 1_000_000], ids=["nines", "zeros", "a million"]
)
def test_more_digits_are_a_decode_error(text: str) -> None:
    """More than 4300 digits end in a decode error, even if most of them are zeros."""
    with pytest.raises(DecodeError, match=f"expected at most 4300 digits, got {len(text)}$"):
        decode_digits(text)


@pytest.mark.usefixtures("digit_limit")
def test_an_application_may_lower_what_python_converts() -> None:
    """A number above the application's limit ends in a decode error, not in a ValueError."""
    sys.set_int_max_str_digits(640)
    assert decode_digits("1" + "0" * 639) == 10**639
    with pytest.raises(DecodeError, match=r"expected at most 640 digits, got 641$"):
        decode_digits("1" * 641)


@pytest.mark.usefixtures("digit_limit")
def test_an_application_that_lifts_the_limit_does_not_lift_ours() -> None:
    """Even without Python's limit at most 4300 digits are read or sent."""
    sys.set_int_max_str_digits(0)
    assert encode_digits(LONGEST) == "9" * 4300
    with pytest.raises(DecodeError, match=r"expected at most 4300 digits, got 4301$"):
        decode_digits("1" * 4301)
    with pytest.raises(ArgumentValueError, match=r"^argument must have at most 4300 digits$"):
        encode_digits(LONGEST + 1)


def test_a_refused_digit_string_is_shown() -> None:
    """The error shows the string, which may be broken or in another notation."""
    with pytest.raises(DecodeError) as caught:
        decode_digits("1,500")
    assert str(caught.value) == "the answer: expected a string of ASCII digits, got '1,500'"


@pytest.mark.parametrize("value", ["5", *NO_INTEGERS], ids=repr)
def test_only_integers_are_written_as_digits(value: Any) -> None:
    """A bool, a float, a string or None is refused."""
    with pytest.raises(ArgumentTypeError, match="must be an integer, got "):
        encode_digits(value)


@given(st.integers(max_value=-1))
def test_negative_integers_are_not_written_as_digits(number: int) -> None:
    """A digit string has no sign, so a negative number is an argument error."""
    with pytest.raises(ArgumentValueError, match="must be at least 0"):
        encode_digits(number)


@pytest.mark.parametrize("number", [10**4300, 10**5000], ids=["4301", "5001"])
def test_too_long_an_integer_is_not_written_as_digits(number: int) -> None:
    """A number that could not be read back is refused."""
    with pytest.raises(ArgumentValueError, match="at most 4300 digits"):
        encode_digits(number)


@pytest.mark.usefixtures("digit_limit")
def test_a_lower_limit_of_the_application_is_an_argument_error() -> None:
    """If an application lowers Python's limit, the argument error has that limit."""
    sys.set_int_max_str_digits(640)
    assert encode_digits(10**639) == "1" + "0" * 639
    with pytest.raises(ArgumentValueError, match="must have at most 640 digits"):
        encode_digits(10**640)


def test_an_integer_of_a_subclass_is_written_as_its_value() -> None:
    """An IntEnum member is sent as its number."""
    assert encode_digits(Level.HIGH) == "3"


# JSON integers


@given(st.integers())
def test_json_integers_are_themselves(number: int) -> None:
    """JSON integers of either sign stay unchanged."""
    assert decode_integer(number) is number
    assert encode_integer(number) == number


@pytest.mark.parametrize("value", ["5", *NO_INTEGERS], ids=repr)
def test_nothing_else_is_read_as_an_integer(value: Any) -> None:
    """Neither true nor 1.0 or "5" is read as an integer."""
    with pytest.raises(DecodeError, match="expected an integer, got "):
        decode_integer(value)


@pytest.mark.parametrize("value", ["5", *NO_INTEGERS], ids=repr)
def test_nothing_else_is_written_as_an_integer(value: Any) -> None:
    """True, 1.0 and "5" are refused before anything is sent."""
    with pytest.raises(ArgumentTypeError, match="must be an integer, got "):
        encode_integer(value)


def test_an_integer_of_a_subclass_is_sent_as_a_plain_one() -> None:
    """The JSON encoder gets a plain `int`."""
    assert type(encode_integer(Level.HIGH)) is int


@pytest.mark.parametrize(
    ("bounds", "number"),
    [
        ({"minimum": 3}, 3),
        ({"above": 3}, 4),
        ({"maximum": 3}, 3),
        ({"below": 3}, 2),
        ({"minimum": 2.5}, 3),
        ({"maximum": 2.5}, 2),
        ({"minimum": 3, "maximum": 3}, 3),
        ({"multiple_of": 3}, 0),
        ({"multiple_of": 3}, -6),
        ({"multiple_of": 0.1}, 7),
        ({"maximum": 2**53 - 1}, 2**53 - 1),
        ({"multiple_of": 0.5}, 10**400),  # more than any float
    ],
)
def test_integers_within_bounds_are_sent(bounds: dict[str, float], number: int) -> None:
    """The last number inside a bound is sent."""
    assert encode_integer(number, **bounds) == number


@pytest.mark.parametrize(
    ("bounds", "number", "problem"),
    [
        ({"minimum": 3}, 2, "must be at least 3, got 2"),
        ({"above": 3}, 3, "must be greater than 3, got 3"),
        ({"maximum": 3}, 4, "must be at most 3, got 4"),
        ({"below": 3}, 3, "must be less than 3, got 3"),
        ({"minimum": 0, "below": 3}, 3, "must be less than 3, got 3"),
        ({"multiple_of": 3}, 4, "must be a multiple of 3, got 4"),
        ({"multiple_of": 2.5}, 4, "must be a multiple of 2.5, got 4"),
        ({"maximum": 2**53 - 1}, 2**53, "must be at most 9007199254740991, got 9007199254740992"),
        ({"maximum": 0}, 10**20 - 1, "must be at most 0, got 99999999999999999999"),
        ({"maximum": 0}, 10**20, "must be at most 0, got an integer of more than 20 digits"),
        ({"minimum": 0}, 1 - 10**20, "must be at least 0, got -99999999999999999999"),
        ({"minimum": 0}, -(10**20), "must be at least 0, got an integer of more than 20 digits"),
    ],
)
def test_integers_outside_bounds_are_refused(
    bounds: dict[str, float], number: int, problem: str
) -> None:
    """The first number outside a bound is refused, and the error has the bound and the number."""
    with pytest.raises(ArgumentValueError) as caught:
        encode_integer(number, **bounds)
    assert caught.value.problem == problem


def test_an_integer_that_python_cannot_write_may_be_out_of_bounds() -> None:
    """The error describes an integer that cannot be printed."""
    with pytest.raises(
        ArgumentValueError, match="must be at most 5, got an integer of more than 20 digits"
    ):
        encode_integer(10**5000, maximum=5)


@pytest.mark.parametrize("bound", ["minimum", "above", "maximum", "below"])
def test_a_bound_of_zero_is_a_bound(bound: str) -> None:
    """A bound of zero is not ignored."""
    outside = -1 if bound in ("minimum", "above") else 1
    with pytest.raises(ArgumentValueError):
        encode_integer(outside, **{bound: 0})


@pytest.mark.parametrize("number", [10**4300, -(10**4300)], ids=["positive", "negative"])
def test_an_integer_that_python_cannot_write_is_an_argument_error(number: int) -> None:
    """Otherwise `json.dumps` would refuse it, with an error that does not name the argument."""
    with pytest.raises(ArgumentValueError, match="must have at most 4300 digits"):
        encode_integer(number)
