"""Timestamps are aware datetimes in Python, and sent in RFC 3339 as JavaScript writes it."""

import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneloop_core import ArgumentTypeError, ArgumentValueError, DecodeError
from oneloop_overrides import decode_date, decode_timestamp, encode_date, encode_timestamp

QUARTER_PAST = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
OFFSETS = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))
MOMENTS = st.datetimes(
    # Far enough from the first and the last year for every offset.
    min_value=datetime(1, 1, 3),  # noqa: DTZ001 - the strategy wants naive bounds
    max_value=datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.builds(timezone, OFFSETS),
)
TO_ISO_STRING = st.from_regex(
    r"(20[0-9]{2}|19[0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z",
    fullmatch=True,
)
NO_TIMESTAMPS = [
    *("", " ", "T", "now", "2026-11-23", "2026-11-23T", "10:15:00Z", "2026-11", "20261123T101500Z"),
    *("2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-30T00:00:00Z", "0000-01-01T00:00Z"),
    *("2026-11-23T25:00:00Z", "2026-11-23T10:60:00Z", "2026-11-23T10:15:61Z"),
    *("2026-11-23T10:15:00+24:00", "2026-11-23T10:15:00ZZ", "2026-11-23T10:15:00 UTC"),
    *("2026-11-23T10:15:00Z\n", " 2026-11-23T10:15:00Z", "2026-11-23x10:15:00Z"),
    *("2026/11/23T10:15:00Z", "2026-W48-1T10:15:00Z", "2026-W48-1 10:15:00Z", "1795428900"),
    *("\u0662026-11-23T10:15:00Z", "2026-11-23T1\u0660:15:00Z", "2026-11-23T10:15:00.\u0661Z"),
    *("2026-11-23T10:15:0\uff10Z", "2026-11-23\ud80010:15:00Z", "2026-11-23T10:15:00\u00b2Z"),
]
NO_STRINGS = [None, True, 0, 1795428900, 1795428900.5, b"2026-11-23T10:15:00Z", [], {}]


# Reading


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T10:15:00Z",
        "2026-11-23T10:15:00.000Z",
        "2026-11-23t10:15:00z",
        "2026-11-23T10:15:00z",
        "2026-11-23 10:15:00Z",
        "2026-11-23T10:15Z",
        "2026-11-23T10:15:00+00:00",
        "2026-11-23T10:15:00-00:00",
        "2026-11-23T15:45:00+05:30",
        "2026-11-23T15:45:00+0530",
        "2026-11-23T02:15:00-08:00",
        "2026-11-24T00:15:00+14:00",
        "2026-11-23T10:15:00",
        "2026-11-23 10:15:00.000000",
    ],
)
def test_a_moment_is_read_in_every_usual_spelling(text: str) -> None:
    """A timestamp may have `T` or a space, either letter case, and any offset or none (for UTC)."""
    moment = decode_timestamp(text)
    assert moment == QUARTER_PAST
    assert moment.tzinfo is not None


@pytest.mark.parametrize(
    ("fraction", "microsecond"),
    [
        ("", 0),
        (".1", 100000),
        (".12", 120000),
        (".123", 123000),
        (".1234", 123400),
        (".12345", 123450),
        (".123456", 123456),
        (".1234569", 123456),
        (".12345699", 123456),
        (".123456999", 123456),
    ],
)
@pytest.mark.parametrize("zone", ["Z", "", "+00:00"])
def test_fractions_are_cut_to_microseconds(fraction: str, microsecond: int, zone: str) -> None:
    """Six digits are kept, and the rest is cut off, not rounded."""
    moment = decode_timestamp(f"2026-11-23T10:15:00{fraction}{zone}")
    assert moment == QUARTER_PAST.replace(microsecond=microsecond)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a process cannot be set")
def test_the_zone_of_the_machine_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time zone of the machine changes neither decoding nor encoding."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        moment = decode_timestamp("2026-11-23T10:00:00Z")
        assert (moment.hour, moment.utcoffset()) == (10, timedelta(0))
        assert encode_timestamp(moment) == "2026-11-23T10:00:00.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_offset_is_kept() -> None:
    """The application gets the offset that the server sent."""
    moment = decode_timestamp("2026-11-23T15:45:00+05:30")
    assert moment.utcoffset() == timedelta(hours=5, minutes=30)


@pytest.mark.parametrize("value", [*NO_TIMESTAMPS, *NO_STRINGS], ids=ascii)
def test_anything_but_a_date_and_time_is_refused(value: Any) -> None:
    """A date alone, a day that does not exist, digits of another script and numbers are refused."""
    with pytest.raises(DecodeError, match="expected a date and time, got "):
        decode_timestamp(value)


@given(st.text() | st.text("0123456789-:.+TtZz W", max_size=30))
def test_any_other_string_is_a_decode_error(text: str) -> None:
    """Any string ends in an aware datetime or in a decode error."""
    try:
        moment = decode_timestamp(text)
    except DecodeError:
        return
    assert moment.utcoffset() is not None


# Writing


@given(MOMENTS)
def test_every_instant_survives_the_wire(moment: datetime) -> None:
    """A datetime in any time zone is read back as the same instant, to the microsecond."""
    assert decode_timestamp(encode_timestamp(moment)) == moment


@given(TO_ISO_STRING)
def test_what_javascript_writes_comes_back_byte_for_byte(text: str) -> None:
    """A timestamp that JavaScript's `toISOString` wrote is sent back unchanged."""
    assert encode_timestamp(decode_timestamp(text)) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (QUARTER_PAST, "2026-11-23T10:15:00.000Z"),
        (QUARTER_PAST.replace(microsecond=120000), "2026-11-23T10:15:00.120Z"),
        (QUARTER_PAST.replace(microsecond=1000), "2026-11-23T10:15:00.001Z"),
        (QUARTER_PAST.replace(microsecond=1), "2026-11-23T10:15:00.000001Z"),
        (QUARTER_PAST.replace(microsecond=123456), "2026-11-23T10:15:00.123456Z"),
        (
            QUARTER_PAST.astimezone(timezone(timedelta(hours=5, minutes=30))),
            "2026-11-23T10:15:00.000Z",
        ),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        (datetime.max.replace(tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_timestamps_are_written_in_utc(moment: datetime, text: str) -> None:
    """Timestamps end with Z and have milliseconds as in JavaScript, or microseconds if needed."""
    assert encode_timestamp(moment) == text


def test_a_datetime_without_a_time_zone_is_not_sent() -> None:
    """A naive datetime does not identify an instant."""
    with pytest.raises(ArgumentValueError, match=r"^argument must have a time zone$"):
        encode_timestamp(QUARTER_PAST.replace(tzinfo=None))


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, 0, 59, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-1))),
    ],
    ids=["before the year 1", "after the year 9999"],
)
def test_an_instant_outside_the_calendar_is_not_sent(moment: datetime) -> None:
    """An instant whose year in UTC is out of range is an argument error, not an OverflowError."""
    with pytest.raises(
        ArgumentValueError, match=r"^argument must be within the years 1 to 9999 in UTC$"
    ) as caught:
        encode_timestamp(moment)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "value", [date(2026, 11, 23), "2026-11-23T10:15:00Z", *NO_STRINGS], ids=repr
)
def test_only_datetimes_are_sent_as_timestamps(value: Any) -> None:
    """A date, a string or a number of seconds is refused."""
    with pytest.raises(ArgumentTypeError, match="must be a datetime, got "):
        encode_timestamp(value)


# Dates


@given(st.dates())
def test_every_date_survives_the_wire(day: date) -> None:
    """A date is read back as the same date."""
    assert decode_date(encode_date(day)) == day


def test_dates_are_written_as_year_month_day() -> None:
    """The format is RFC 3339's full-date."""
    assert encode_date(date(2026, 1, 5)) == "2026-01-05"


@pytest.mark.parametrize(
    "value",
    [
        *("", "2026-11-2", "2026-11-233", "2026-11-23T10:15:00Z", "20261123", "2026-13-01"),
        *("2026-02-29", "2026-W48-1", "20261123T1", "23.11.2026", "2026-11-\uff12\uff13"),
        *NO_STRINGS,
    ],
    ids=ascii,
)
def test_anything_but_a_date_is_refused(value: Any) -> None:
    """Anything else, such as a timestamp, a week or a day that does not exist, is not a date."""
    with pytest.raises(DecodeError, match="expected a date, got "):
        decode_date(value)


@pytest.mark.parametrize("value", [QUARTER_PAST, "2026-11-23", *NO_STRINGS], ids=repr)
def test_only_dates_are_sent_as_dates(value: Any) -> None:
    """A datetime is not sent as a date, because its date depends on the time zone."""
    with pytest.raises(ArgumentTypeError, match="must be a date, got "):
        encode_date(value)
