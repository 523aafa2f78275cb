"""Digit strings: big integers that the API encodes as strings (`format: digits`).

The document encodes credits and usage this way because the server's JSON passes through JavaScript,
whose numbers are exact only up to 2**53 - 1. In Python they are `int`.
"""

from typing import Any

from oneloop_core import ArgumentValueError, DecodeError, encode_integer, mismatch

MAX_DIGITS = 4300
"""Digits in the longest digit string that is read or sent.

CPython's default for `sys.set_int_max_str_digits`: converting a longer one takes time that grows
with the square of its length.
"""


def decode_digits(value: Any) -> int:
    """Read a digit string of 1 to `MAX_DIGITS` ASCII digits as the exact integer it stands for.

    A JSON integer is accepted too, in case the vendor turns its strings into numbers. A sign, white
    space, underscore, exponent, or a digit of another script is not.

    Raises:
        DecodeError: The value is anything else.
    """
    if type(value) is int and value >= 0:
        return value
    if type(value) is not str or not (value.isascii() and value.isdigit()):
        raise mismatch("a string of ASCII digits", value)
    if len(value) <= MAX_DIGITS:
        try:
            return int(value)
        except ValueError:  # the application has lowered sys.set_int_max_str_digits
            pass
    raise DecodeError(f"has {len(value)} digits, which is more than can be read")


def encode_digits(value: Any) -> str:
    """Write an integer >= 0, of at most `MAX_DIGITS` digits, as a digit string.

    Raises:
        ArgumentTypeError: It is no `int`; a `bool` is not one here.
        ArgumentValueError: It is negative or too long.
    """
    digits = str(encode_integer(value, minimum=0))
    if len(digits) > MAX_DIGITS:  # the application has raised sys.set_int_max_str_digits
        raise ArgumentValueError(f"must have at most {MAX_DIGITS} digits")
    return digits
