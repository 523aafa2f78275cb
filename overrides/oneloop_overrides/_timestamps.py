"""Timestamps: aware `datetime` in Python, RFC 3339 on the wire."""

from datetime import UTC, date, datetime
from typing import Any

from oneloop_core import ArgumentValueError, mismatch, wrong_type


def decode_timestamp(value: Any) -> datetime:
    """Read a date and time as an aware `datetime`.

    The document names no format, so this is lenient: `T` or a space, a fraction of any length (cut
    to microseconds) or none, `Z` or an offset. A time without an offset is taken as UTC, in which
    the vendor's JavaScript writes its timestamps.

    Raises:
        DecodeError: The value is anything else.
    """
    if isinstance(value, str) and _has_day(value) and value[10:11] in ("T", "t", " "):
        try:
            moment = datetime.fromisoformat(value.upper())
        except ValueError:
            pass
        else:
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    raise mismatch("a date and time", value)


def encode_timestamp(value: Any) -> str:
    """Write an aware `datetime` in UTC, as JavaScript does: `2026-11-23T10:15:00.000Z`.

    Microseconds are written where there are any.

    Raises:
        ArgumentTypeError: It is no `datetime`.
        ArgumentValueError: It has no time zone, or is out of the range of years in UTC.
    """
    if not isinstance(value, datetime):
        raise wrong_type("a datetime", value)
    if value.utcoffset() is None:
        raise ArgumentValueError("must have a time zone")
    try:
        moment = value.astimezone(UTC)
    except OverflowError:
        raise ArgumentValueError("must be within the years 1 to 9999 in UTC") from None
    precision = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def decode_date(value: Any) -> date:
    """Read `2026-11-23`, or raise `DecodeError`."""
    if isinstance(value, str) and _has_day(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise mismatch("a date", value)


def encode_date(value: Any) -> str:
    """Write a `date` as `2026-11-23`, or raise `ArgumentTypeError`; a `datetime` is not a date."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise wrong_type("a date", value)
    return value.isoformat()


def _has_day(text: str) -> bool:
    # Python also reads 2026-W48-1 and, as a date, 20261123T1.
    return text[4:8:3] == "--"
