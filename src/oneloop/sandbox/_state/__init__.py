"""The state of one sandbox, without any HTTP.

Its parts may be used from any thread: they share one reentrant lock.
"""

import threading
from collections import deque
from collections.abc import Iterable

from attrs import frozen

from oneloop.sandbox._faults import Fault
from oneloop.sandbox._state._clock import AdjustableClock, Clock, utc_now
from oneloop.sandbox._state._jwts import Jwts, JwtVerdict
from oneloop.sandbox._state._keys import IssuedKey, Key, KeyRequest, Keys, KeyScope
from oneloop.sandbox._state._links import Link, Links
from oneloop.sandbox._state._meters import DailyUsage, Meter, Meters
from oneloop.sandbox._state._rates import RateLimit
from oneloop.sandbox._state._refusals import ConflictError, NotFoundError
from oneloop.sandbox._state._verification import Verdict, Verification
from oneloop.sandbox._state._workspaces import (
    Workspace,
    Workspaces,
    WorkspaceScope,
    WorkspaceSettings,
)

__all__ = [
    "Clock",
    "ConflictError",
    "DailyUsage",
    "IssuedKey",
    "JwtVerdict",
    "Key",
    "KeyRequest",
    "KeyScope",
    "Link",
    "Meter",
    "NotFoundError",
    "RateLimit",
    "ReceivedRequest",
    "State",
    "Verdict",
    "Workspace",
    "WorkspaceScope",
    "WorkspaceSettings",
    "utc_now",
]


@frozen(kw_only=True)
class ReceivedRequest:
    """An API call that the sandbox received completely, without its token and body."""

    method: str
    path: str
    """As sent: percent-encoded and with the query. A link token in it is ``***``."""
    status: int | None
    """The status of the answer; None if there was no answer, or only raw bytes."""
    fault: str | None
    """The name of the fault that the call took; None if it took none."""
    applied: bool
    """Whether the call changed the sandbox's state. The time when a key was last used and the
    counters of rate limits are not considered."""


class State:
    """The state of one sandbox. Every method may be called from any thread.

    `reset` replaces the parts; changes to a part from before have no effect.
    """

    workspaces: Workspaces
    meters: Meters
    keys: Keys
    verification: Verification
    links: Links
    jwts: Jwts

    def __init__(self, clock: Clock = utc_now) -> None:
        self._lock = threading.RLock()
        self._source = clock
        self._faults: deque[Fault] = deque()
        self._requests: list[ReceivedRequest] = []
        self.reset()

    def reset(self) -> None:
        """Return to the workspace and the meter that every sandbox starts with."""
        with self._lock:
            self._clock = AdjustableClock(self._source)
            lock, now = self._lock, self._clock.now
            self.workspaces = Workspaces(lock, now)
            self.meters = Meters(lock, now)
            self.keys = Keys(lock, now, self.workspaces, self.meters)
            self.verification = Verification(lock, now, self.workspaces, self.keys, self.meters)
            self.links = Links(lock, now, self.workspaces)
            self.jwts = Jwts(lock, now)
            self._faults.clear()
            self._requests.clear()
            self.create_meter(
                workspace_id="ws_1",
                external_meter_id="acme",
                total_credits=1000,
                used_credits=0,
                allow_overages=False,
                spend_cap=None,
            )

    def advance(self, seconds: float) -> None:
        """Move the clock forward; raise ValueError if `seconds` is negative or centuries."""
        with self._lock:
            self._clock.advance(seconds)

    def create_meter(
        self,
        *,
        workspace_id: str,
        external_meter_id: str,
        total_credits: int,
        used_credits: int,
        allow_overages: bool,
        spend_cap: int | None,
    ) -> Meter:
        """Add a meter, and its workspace if it does not exist.

        Raises:
            ValueError: an amount is negative, or the name is taken.
        """
        amounts = {
            "total_credits": total_credits,
            "used_credits": used_credits,
            "spend_cap": 0 if spend_cap is None else spend_cap,
        }
        for name, amount in amounts.items():
            if type(amount) is not int or amount < 0:
                raise ValueError(f"{name} must be an integer that is not negative")
        with self._lock:
            self.workspaces.ensure(workspace_id)
            return self.meters.create(
                workspace_id=workspace_id,
                external_meter_id=external_meter_id,
                total_credits=total_credits,
                used_credits=used_credits,
                allow_overages=allow_overages,
                spend_cap=spend_cap,
            )

    def queue_faults(self, faults: Iterable[Fault]) -> int:
        """Queue faults for the next API calls; return the new length of the queue."""
        with self._lock:
            self._faults.extend(faults)
            return len(self._faults)

    def next_fault(self) -> Fault | None:
        """Remove and return the next fault in the queue, None if it is empty."""
        with self._lock:
            return self._faults.popleft() if self._faults else None

    def record(self, request: ReceivedRequest) -> None:
        """Add a call to the log."""
        with self._lock:
            self._requests.append(request)

    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Return the log, oldest first."""
        with self._lock:
            return tuple(self._requests)
