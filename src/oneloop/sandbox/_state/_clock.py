"""The clock of a sandbox."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Returns the current time as an aware datetime."""

_FARTHEST = 10_000_000_000


def utc_now() -> datetime:
    """Return the machine's time."""
    return datetime.now(UTC)


def posix_seconds(moment: datetime) -> int:
    """Return the whole seconds since 1970, as keys, tokens and rate limits count them."""
    return int(moment.timestamp())


class AdjustableClock:
    """A clock that can be moved ahead of another one, but not back."""

    def __init__(self, source: Clock) -> None:
        self._source = source
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """Return the time in UTC, truncated to milliseconds."""
        moment = (self._source() + self._ahead).astimezone(UTC)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    @property
    def ahead(self) -> float:
        """The seconds by which it is ahead."""
        return self._ahead.total_seconds()

    def advance(self, seconds: float) -> None:
        """Move the clock forward; raise ValueError if `seconds` is negative or centuries."""
        if not 0 <= seconds <= _FARTHEST - self._ahead.total_seconds():
            raise ValueError(f"seconds must be from 0 to {_FARTHEST} in all, not {seconds}")
        self._ahead += timedelta(seconds=seconds)
