"""Codecs for the document's quirks: digit strings, timestamps, dates and open enums.

Codecs follow the conventions of `oneloop_core`: `decode_*` takes parsed JSON and returns a Python
value or raises `DecodeError`; `encode_*` takes an argument and returns what goes into JSON or
raises `ArgumentError`.
"""

from ._digits import MAX_DIGITS, decode_digits, encode_digits
from ._enums import OpenIntEnum, OpenStrEnum, decode_enum, encode_enum
from ._timestamps import (
    MILLISECONDS_FROM,
    day_of,
    decode_date,
    decode_timestamp,
    encode_date,
    encode_timestamp,
    moment_of,
    seconds_until,
)

__all__ = [
    "MAX_DIGITS",
    "MILLISECONDS_FROM",
    "OpenIntEnum",
    "OpenStrEnum",
    "day_of",
    "decode_date",
    "decode_digits",
    "decode_enum",
    "decode_timestamp",
    "encode_date",
    "encode_digits",
    "encode_enum",
    "encode_timestamp",
    "moment_of",
    "seconds_until",
]
