"""Rate limits."""

from datetime import datetime
from threading import RLock

from attrs import frozen

from oneloop.sandbox._state._clock import Clock, posix_seconds

_FEWEST = 1000


@frozen(kw_only=True)
class RateLimit:
    """At most `limit` calls with one id per window; windows begin at multiples of `seconds`."""

    id: str
    limit: int
    seconds: int = 1
    """The length of a window."""


@frozen(kw_only=True)
class RateStanding:
    """The result of counting a call against a rate limit."""

    admitted: bool
    remaining: int
    resets_at: int
    """POSIX seconds at which the next window begins."""


class RateWindows:
    """The current window of each rate limit. Safe to use from any thread."""

    def __init__(self, lock: RLock, now: Clock) -> None:
        self._lock = lock
        self._now = now
        self._windows: dict[tuple[str, int], tuple[int, int]] = {}
        """The end of the last window and the number of calls that it admitted, by id and length."""
        self._most = _FEWEST

    def count(self, limit: RateLimit) -> RateStanding:
        """Count a call, and admit it unless the window is full."""
        counted = (limit.id, limit.seconds)
        with self._lock:
            ends = _end(self._now(), limit.seconds)
            last, calls = self._windows.get(counted, (ends, 0))
            if last != ends:
                calls = 0
            admitted = calls < limit.limit
            calls += admitted
            self._windows[counted] = (ends, calls)
            if len(self._windows) >= self._most:
                self._forget_ended()
        return RateStanding(
            admitted=admitted, remaining=max(limit.limit - calls, 0), resets_at=ends
        )

    def _forget_ended(self) -> None:
        """Remove windows that have ended, so that ids which do not come again need no memory."""
        now = posix_seconds(self._now())
        self._windows = {name: (end, n) for name, (end, n) in self._windows.items() if end > now}
        self._most = max(_FEWEST, 2 * len(self._windows))


def _end(now: datetime, seconds: int) -> int:
    return (posix_seconds(now) // seconds + 1) * seconds
