"""What is inferred where the API leaves a unit or a format open."""

import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from oneloop_api.models import DailyUsage, RateLimit, VerifyApiKeyResponse
from oneloop_core import ArgumentTypeError, ArgumentValueError
from oneloop_overrides import MILLISECONDS_FROM, day_of, moment_of, seconds_until

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
SECONDS = int(NOON.timestamp())
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (SECONDS, NOON),
        (SECONDS * 1000, NOON),
        (SECONDS * 1000 + 1, NOON + timedelta(milliseconds=1)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (MILLISECONDS_FROM - 1, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
        (MILLISECONDS_FROM, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (-MILLISECONDS_FROM, datetime(1966, 10, 31, 14, 13, 20, tzinfo=UTC)),
        (10**15, LAST),
        (10**4000, LAST),
        (-(10**14), FIRST),
        (-(10**4000), FIRST),
    ],
)
def test_a_moment_is_seconds_or_milliseconds_by_its_size(value: int, moment: datetime) -> None:
    """No integer is an error: what `datetime` cannot express is its first or last moment."""
    assert moment_of(value) == moment
    assert moment_of(value).utcoffset() == timedelta(0)
    assert seconds_until(value, FIRST) == (moment - FIRST).total_seconds()


@pytest.mark.parametrize("value", [True, None, 1.0, "1795780800", NOON])
def test_only_an_integer_is_a_moment(value: Any) -> None:
    """A model that was built with something else says so."""
    for read in (moment_of, seconds_until):
        with pytest.raises(ArgumentTypeError, match="must be an integer"):
            read(value)


@pytest.mark.parametrize("unit", [1, 1000])
def test_seconds_until_a_moment_are_never_negative(unit: int) -> None:
    """The present is the clock, seconds since 1970, or any aware datetime."""
    soon = (SECONDS + 90) * unit
    assert seconds_until(soon, NOON) == 90
    assert seconds_until(soon, NOON.astimezone(timezone(timedelta(hours=-7)))) == 90
    assert seconds_until(soon, SECONDS + 0.5) == 89.5
    assert seconds_until(soon, SECONDS + 91) == seconds_until(soon, LAST) == 0
    assert seconds_until(soon, 10**300) == 0
    assert 50 < seconds_until((int(time.time()) + 60) * unit) <= 60


@pytest.mark.parametrize(
    ("now", "error", "words"),
    [
        (NOON.replace(tzinfo=None), ArgumentValueError, "now must have a time zone"),
        (float("nan"), ArgumentValueError, "now must be finite"),
        (float("-inf"), ArgumentValueError, "now must be finite"),
        (10**400, ArgumentValueError, "now must be finite"),
        (True, ArgumentTypeError, "now must be a number of seconds or a datetime"),
        ("now", ArgumentTypeError, "now must be a number of seconds or a datetime"),
        (NOON.date(), ArgumentTypeError, "now must be a number of seconds or a datetime"),
    ],
)
def test_the_present_must_be_clear(now: Any, error: type[Exception], words: str) -> None:
    """A present that is none is an error that names the argument."""
    with pytest.raises(error, match=words):
        seconds_until(SECONDS, now)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-11-27", date(2026, 11, 27)),
        ("2026-11-27T23:00:00.000Z", date(2026, 11, 27)),
        ("2026-11-27 23:00", date(2026, 11, 27)),
        *((text, None) for text in ("", "27.11.2026", "20261127", "2026-11-31", "2026-11-271")),
        *((value, None) for value in (None, 20261127, "2026-W48-5")),
    ],
)
def test_a_day_is_the_date_that_a_text_begins_with(text: Any, day: date | None) -> None:
    """Another text is no error, because an application shows it as it came."""
    assert day_of(text) == day


def test_models_have_the_readings_of_their_fields() -> None:
    """The fields stay as they came; where one is absent, so is what is inferred from it."""
    limit = RateLimit(remaining=0, reset_at=SECONDS * 1000)
    assert (limit.reset_in(NOON - timedelta(seconds=3)), limit.reset_time) == (3, NOON)
    assert limit.to_dict() == {"remaining": 0, "resetAt": SECONDS * 1000}
    verified = VerifyApiKeyResponse.from_dict({"status": "VALID", "expiresAt": SECONDS})
    assert (verified.expires_in(NOON), verified.expires_time) == (0, NOON)
    absent = VerifyApiKeyResponse.from_dict({"status": "VALID", "expiresAt": None})
    assert absent.expires_in() is absent.expires_time is None
    usage = {"billingId": "b", "day": "2026-11-27", "totalBillingUsage": "1"}
    usage["billingUsageName"] = "n"
    assert DailyUsage.from_dict(usage).day_date == date(2026, 11, 27)
    assert DailyUsage.from_dict({**usage, "day": "Friday"}).day_date is None
