"""Codec for digit strings (`format: digits`), which are `int` in Python.

The API encodes credits and usage this way because its JSON passes through JavaScript, whose numbers
are exact only up to 2**53 - 1.
"""

import sys
from typing import Any

from oneloop_core import ArgumentValueError, DecodeError, encode_integer, mismatch

MAX_DIGITS = 4300
"""Digits of the longest digit string that is read or sent.

This is CPython's default for `sys.set_int_max_str_digits`, which exists because the conversion
takes time that grows with the square of the length.
"""


def decode_digits(value: Any) -> int:
    """Decode a string of 1 to `MAX_DIGITS` ASCII digits, exactly, or raise `DecodeError`.

    A JSON integer >= 0 is accepted too, in case the vendor replaces the strings by numbers. A sign,
    white space, an underscore, an exponent, or a digit of another script is not accepted.
    """
    if type(value) is int and value >= 0:
        return value
    if type(value) is not str or not (value.isascii() and value.isdigit()):
        raise mismatch("a string of ASCII digits", value, show_text=True)
    if len(value) <= MAX_DIGITS:
        try:
            return int(value)
        except ValueError:  # the application has lowered the limit of Python
            pass
    limit = min(MAX_DIGITS, sys.get_int_max_str_digits() or MAX_DIGITS)
    raise DecodeError(f"expected at most {limit} digits, got {len(value)}")


def encode_digits(value: Any) -> str:
    """Encode an integer >= 0 as a digit string.

    Raises:
        ArgumentTypeError: The value is not an `int`, or is a `bool`.
        ArgumentValueError: It is negative, or has more than `MAX_DIGITS` digits.
    """
    digits = str(encode_integer(value, minimum=0))
    if len(digits) > MAX_DIGITS:  # the application has raised or removed the limit of Python
        raise ArgumentValueError(f"must have at most {MAX_DIGITS} digits")
    return digits
