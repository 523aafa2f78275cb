"""Timestamps and dates: codecs, and readings of fields whose unit or format the API leaves open.

A reading is an inference, so it never replaces the value that the server sent: it is a method or a
property beside the field.
"""

import math
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

from oneloop_core import ArgumentValueError, mismatch, wrong_type

MILLISECONDS_FROM = 10**11
"""Integers of this size or above are read as milliseconds since 1970: as seconds this is the year
5138, as milliseconds it is March 1973."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_LONGEST = (_LAST - _EPOCH) // timedelta(milliseconds=1)


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


def moment_of(value: Any) -> datetime:
    """Return an integer since 1970 as an aware `datetime` in UTC.

    Seconds and milliseconds are told apart by size (`MILLISECONDS_FROM`). What is beyond the years
    1 to 9999 is returned as the first or the last moment of them.

    Raises:
        ArgumentTypeError: The value is not an `int`, or is a `bool`.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type("an integer", value)
    milliseconds = value if abs(value) >= MILLISECONDS_FROM else value * 1000
    if abs(milliseconds) > _LONGEST:  # more than a timedelta may have
        return _LAST if milliseconds > 0 else _FIRST
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _FIRST


def seconds_until(value: Any, now: Any = None) -> float:
    """Return the seconds from now until a moment, read as `moment_of` does; at least 0.

    Args:
        value: The moment, as an integer since 1970.
        now: The present as an aware `datetime`, or in seconds since 1970, as `time.time()` returns
            it, which is the default.

    Raises:
        ArgumentTypeError: One of them has another type.
        ArgumentValueError: `now` is not finite, or has no time zone.
    """
    moment = moment_of(value)
    if isinstance(now, datetime):
        if now.utcoffset() is None:
            raise ArgumentValueError("must have a time zone").under("now")
        return max(0.0, (moment - now).total_seconds())
    present = time.time() if now is None else now
    if not isinstance(present, int | float) or isinstance(present, bool):
        raise wrong_type("a number of seconds or a datetime", now).under("now")
    try:
        return max(0.0, (moment - _EPOCH).total_seconds() - _finite(present))
    except OverflowError:
        raise ArgumentValueError("must be finite").under("now") from None


def _finite(number: float) -> float:
    """Return a number as a float, or raise `OverflowError`."""
    if math.isfinite(number):  # raises it itself for an int that no float can express
        return float(number)
    raise OverflowError


def day_of(value: Any) -> date | None:
    """Return the day that a text begins with (`2026-11-23`), or `None` if it does not.

    A time after it is ignored. The day is the one that is written, whatever the time zone.
    """
    if isinstance(value, str) and _has_day(value) and value[10:11] in ("", "T", "t", " "):
        try:
            return date.fromisoformat(value[:10])
        except ValueError:
            pass
    return None


def _has_day(text: str) -> bool:
    # Python also reads 2026-W48-1 and 20261123T1.
    return text[4:8:3] == "--"
