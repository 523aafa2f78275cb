"""Counting calls against rate limits."""

from datetime import datetime
from threading import RLock

from attrs import frozen

from oneloop.sandbox._state._clock import Clock, posix_seconds


@frozen(kw_only=True)
class RateLimit:
    """So many calls under one id in each window; windows begin at multiples of their length."""

    id: str
    limit: int
    seconds: int = 1
    """The length of a window."""


@frozen(kw_only=True)
class RateStanding:
    """How a call stands to the rate limit that it was counted against."""

    admitted: bool
    remaining: int
    resets_at: int
    """POSIX seconds at which the next window begins."""


class RateWindows:
    """The current window of everything that is counted. Safe to use from any thread."""

    def __init__(self, lock: RLock, now: Clock) -> None:
        self._lock = lock
        self._now = now
        self._windows: dict[tuple[str, int], tuple[int, int]] = {}
        """When the last window ends, and how many calls it has admitted."""

    def count(self, limit: RateLimit) -> RateStanding:
        """Admit a call and count it, unless its window is full."""
        counted = (limit.id, limit.seconds)
        with self._lock:
            ends = _end(self._now(), limit.seconds)
            last, calls = self._windows.get(counted, (ends, 0))
            if last != ends:
                calls = 0
            admitted = calls < limit.limit
            calls += admitted
            self._windows[counted] = (ends, calls)
        return RateStanding(
            admitted=admitted, remaining=max(limit.limit - calls, 0), resets_at=ends
        )


def _end(now: datetime, seconds: int) -> int:
    return (posix_seconds(now) // seconds + 1) * seconds
