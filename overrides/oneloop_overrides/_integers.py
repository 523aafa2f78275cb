"""Integers: the API's digit strings, and plain JSON integers with their bounds.

The document encodes credits and usage as strings of digits, because its server's JSON passes
through JavaScript, whose numbers are exact up to 2**53 - 1 only. In Python they are `int`.
"""

import sys
from typing import TYPE_CHECKING, Any

from ._errors import ArgumentValueError, DecodeError, kind_of, mismatch, wrong_type

if TYPE_CHECKING:
    from fractions import Fraction

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


def decode_integer(value: Any) -> int:
    """Read a JSON integer; `true` and `1.0` are none.

    Raises:
        DecodeError: The value is anything else.
    """
    if type(value) is not int:
        raise mismatch("an integer", value)
    return value


def encode_integer(
    value: Any,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
    multiple_of: float | None = None,
) -> int:
    """Check an integer against the document's bounds and return it.

    Raises:
        ArgumentTypeError: It is no `int`; a `bool` is not one here.
        ArgumentValueError: It is out of bounds, or too long for Python to write.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type("an integer", value)
    check_bounds(value, minimum, above, maximum, below, multiple_of)
    return int(value)


def check_bounds(
    value: float,
    minimum: float | None,
    above: float | None,
    maximum: float | None,
    below: float | None,
    multiple_of: float | None,
) -> None:
    """Raise `ArgumentValueError` unless a number is within its bounds and can be written."""
    if minimum is not None and not value >= minimum:
        wanted = f"at least {minimum}"
    elif above is not None and not value > above:
        wanted = f"greater than {above}"
    elif maximum is not None and not value <= maximum:
        wanted = f"at most {maximum}"
    elif below is not None and not value < below:
        wanted = f"less than {below}"
    elif multiple_of is not None and _decimal(value) % _decimal(multiple_of):
        wanted = f"a multiple of {multiple_of}"
    elif not _is_writable(value):
        wanted = f"of at most {sys.get_int_max_str_digits()} digits"
    else:
        return
    raise ArgumentValueError(f"must be {wanted}, not {kind_of(value)}")


def _decimal(number: float) -> "Fraction":
    from fractions import Fraction  # takes its time to import, and hardly any document needs it

    # As it is written: 0.3 is a multiple of 0.1 in JSON, though not in binary.
    return Fraction(number) if isinstance(number, int) else Fraction(repr(float(number)))


def _is_writable(number: float) -> bool:
    try:
        str(number)
    except ValueError:  # an integer longer than sys.get_int_max_str_digits()
        return False
    return True
