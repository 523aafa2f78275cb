"""Codecs for timestamps and dates, which are aware `datetime` and `date` in Python."""

from datetime import UTC, date, datetime
from typing import Any

from oneloop_core import ArgumentValueError, mismatch, wrong_type


def decode_timestamp(value: Any) -> datetime:
    """Decode a date and time as an aware `datetime`, or raise `DecodeError`.

    The document names no format, so this accepts `T` or a space, no fraction or one of any length
    (cut to microseconds), and `Z` or an offset. A time without an offset is taken as UTC, because
    the vendor's JavaScript writes its timestamps in UTC.
    """
    if isinstance(value, str) and _has_day(value) and value[10:11] in ("T", "t", " "):
        try:
            moment = datetime.fromisoformat(value.upper())
        except ValueError:
            pass
        else:
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    raise mismatch("a date and time", value, show_text=True)


def encode_timestamp(value: Any) -> str:
    """Encode an aware `datetime` in UTC, as JavaScript does: `2026-11-23T10:15:00.000Z`.

    The fraction has six digits instead of three if the microseconds need them.

    Raises:
        ArgumentTypeError: The value is not a `datetime`.
        ArgumentValueError: It has no time zone, or its year in UTC is out of range.
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
    """Decode `2026-11-23`, or raise `DecodeError`."""
    if isinstance(value, str) and _has_day(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise mismatch("a date", value, show_text=True)


def encode_date(value: Any) -> str:
    """Encode a `date` as `2026-11-23`.

    Raises:
        ArgumentTypeError: The value is not a `date`, or is a `datetime`, whose date depends on the
            time zone.
    """
    if not isinstance(value, date) or isinstance(value, datetime):
        raise wrong_type("a date", value)
    return value.isoformat()


def _has_day(text: str) -> bool:
    # Python also reads 2026-W48-1 and 20261123T1.
    return text[4:8:3] == "--"
