"""Strings, booleans, numbers and constants."""

import math
import re
import sys
from typing import TYPE_CHECKING, Any

from ._errors import ArgumentValueError, kind_of, mismatch, wrong_type

if TYPE_CHECKING:
    from fractions import Fraction


def decode_string(value: Any) -> str:
    """Read a JSON string, or raise `DecodeError`."""
    if not isinstance(value, str):
        raise mismatch("a string", value)
    return value


def encode_string(
    value: Any, *, min_length: int = 0, max_length: int | None = None, pattern: str | None = None
) -> str:
    """Check a string's length (in characters) and pattern, and return it.

    Values are never shown in the errors: they may be keys.

    Raises:
        ArgumentTypeError: It is no `str`.
        ArgumentValueError: Its length or content is not allowed, or it is not valid Unicode.
    """
    if not isinstance(value, str):
        raise wrong_type("a string", value)
    if len(value) < min_length:
        raise ArgumentValueError(f"must have at least {min_length} characters")
    if max_length is not None and len(value) > max_length:
        raise ArgumentValueError(f"must have at most {max_length} characters")
    # The document's patterns are ECMAScript's, in which \d is an ASCII digit.
    if pattern is not None and not re.search(pattern, value, re.ASCII):
        raise ArgumentValueError(f"must match {pattern}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ArgumentValueError("must be valid Unicode, without lone surrogates") from None
    return str.__str__(value)  # the characters themselves, also of an Enum member


def decode_boolean(value: Any) -> bool:
    """Read `true` or `false`, or raise `DecodeError`."""
    if not isinstance(value, bool):
        raise mismatch("true or false", value)
    return value


def encode_boolean(value: Any) -> bool:
    """Check that a value is a `bool` and return it, or raise `ArgumentTypeError`."""
    if not isinstance(value, bool):
        raise wrong_type("True or False", value)
    return value


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
    _check_bounds(value, minimum, above, maximum, below, multiple_of)
    return int(value)


def decode_number(value: Any) -> float:
    """Read a JSON number, or raise `DecodeError`."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise mismatch("a number", value)
    return value


def encode_number(
    value: Any,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
    multiple_of: float | None = None,
) -> float:
    """Check a finite number against the document's bounds and return it.

    Raises:
        ArgumentTypeError: It is no number; a `bool` is not one here.
        ArgumentValueError: It is out of bounds, infinite, not a number or too long to write.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type("a number", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ArgumentValueError(f"must be finite, not {value}")
    _check_bounds(value, minimum, above, maximum, below, multiple_of)
    return value


def decode_constant(value: Any, constant: Any) -> Any:
    """Read the one value that the document allows, or raise `DecodeError`."""
    if type(value) is not type(constant) or value != constant:
        raise mismatch(repr(constant), value)
    return value


def encode_constant(value: Any, constant: Any) -> Any:
    """Check the one value that the document allows and return it.

    Raises:
        ArgumentValueError: It is another value.
    """
    if type(value) is not type(constant) or value != constant:
        raise ArgumentValueError(f"must be {constant!r}")
    return value


def _check_bounds(
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
