"""The run-time side of the document's quirks: digit strings, timestamps and open enums.

Each has a pair of functions like those of `oneloop_core`: `decode_*` reads parsed JSON or raises
`DecodeError`, `encode_*` checks and writes an argument or raises `ArgumentError`.
"""

from ._digits import MAX_DIGITS, decode_digits, encode_digits
from ._enums import OpenIntEnum, OpenStrEnum, decode_enum, encode_enum
from ._timestamps import decode_date, decode_timestamp, encode_date, encode_timestamp

__all__ = [
    "MAX_DIGITS",
    "OpenIntEnum",
    "OpenStrEnum",
    "decode_date",
    "decode_digits",
    "decode_enum",
    "decode_timestamp",
    "encode_date",
    "encode_digits",
    "encode_enum",
    "encode_timestamp",
]
