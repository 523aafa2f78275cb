"""Strings, booleans, other numbers and constants."""

import math
import re
from typing import Any

from ._errors import ArgumentValueError, mismatch, wrong_type
from ._integers import check_bounds


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
    check_bounds(value, minimum, above, maximum, below, multiple_of)
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
