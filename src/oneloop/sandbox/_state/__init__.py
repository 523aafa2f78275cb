"""The state of one sandbox, without any HTTP.

Its parts may be used from any thread: they share one reentrant lock.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from attrs import define

from oneloop.sandbox._state._books import Books, books_from_json, books_to_json
from oneloop.sandbox._state._clock import AdjustableClock, Clock, utc_now
from oneloop.sandbox._state._jwts import Jwts, JwtVerdict
from oneloop.sandbox._state._keys import IssuedKey, Key, KeyRequest, Keys, KeyScope
from oneloop.sandbox._state._links import Link, Links
from oneloop.sandbox._state._log import ReceivedRequest, RequestLog
from oneloop.sandbox._state._meters import DailyUsage, Meter, Meters
from oneloop.sandbox._state._queue import MAX_TIMES, FaultQueue, Order, QueuedFault
from oneloop.sandbox._state._rates import RateLimit
from oneloop.sandbox._state._refusals import ConflictError, NotFoundError
from oneloop.sandbox._state._verification import Status, Verdict, Verification, standing
from oneloop.sandbox._state._workspaces import (
    Workspace,
    Workspaces,
    WorkspaceScope,
    WorkspaceSettings,
)

__all__ = [
    "LOG_SIZE",
    "MAX_TIMES",
    "Books",
    "Clock",
    "ConflictError",
    "DailyUsage",
    "IssuedKey",
    "JwtVerdict",
    "Key",
    "KeyRequest",
    "KeyScope",
    "LateCall",
    "Link",
    "Listener",
    "Meter",
    "NotFoundError",
    "Order",
    "QueuedFault",
    "RateLimit",
    "ReceivedRequest",
    "State",
    "Status",
    "Verdict",
    "Workspace",
    "WorkspaceScope",
    "WorkspaceSettings",
    "books_from_json",
    "books_to_json",
    "standing",
    "utc_now",
]


LOG_SIZE = 1000
"""How many calls the log keeps, if nothing else is asked for."""


@define(eq=False)
class LateCall:
    """A call that is to be carried out late."""

    request: ReceivedRequest
    carry_out: Callable[[], bool]
    """Carries it out, and returns whether that changed anything."""


Listener = Callable[[ReceivedRequest | None], object]
"""Gets a call that was received or has changed, or None if something else has changed."""


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
    log: RequestLog

    def __init__(
        self,
        clock: Clock = utc_now,
        *,
        log_size: int = LOG_SIZE,
        operations: Sequence[str] = (),
    ) -> None:
        self._lock = threading.RLock()
        self._source = clock
        self._log_size = log_size
        self._listeners: list[Listener] = []
        self.faults = FaultQueue(self._lock, operations)
        self.epoch = 0
        """The number of resets. Calls are numbered anew after each."""
        self._begin()

    def _begin(self) -> None:
        self._clock = AdjustableClock(self._source)
        lock, now = self._lock, self._clock.now
        self.workspaces = Workspaces(lock, now)
        self.meters = Meters(lock, now)
        self.keys = Keys(lock, now, self.workspaces, self.meters)
        self.verification = Verification(lock, now, self.workspaces, self.keys, self.meters)
        self.links = Links(lock, now, self.workspaces)
        self.jwts = Jwts(lock, now)
        self.log = RequestLog(lock, self._log_size)
        self._late: dict[LateCall, None] = {}
        self.faults.clear()
        self.create_meter(
            workspace_id="ws_1",
            external_meter_id="acme",
            total_credits=1000,
            used_credits=0,
            allow_overages=False,
            spend_cap=None,
        )

    def reset(self) -> None:
        """Return to the workspace and the meter that every sandbox starts with."""
        with self._lock:
            self.epoch += 1
            self._begin()
        self.changed()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each change, in the thread that made it; return how to stop that.

        Changes that an API call makes are reported once, with the call.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def changed(self, request: ReceivedRequest | None = None) -> None:
        """Tell all listeners."""
        for listener in tuple(self._listeners):
            listener(request)

    def books(self) -> Books:
        """Return what a restart has to keep."""
        with self._lock:
            return Books(
                ahead=self._clock.ahead,
                jwt_secret=self.jwts.secret,
                workspaces=self.workspaces.all(),
                scopes=self.workspaces.all_scopes(),
                meters=self.meters.all(),
                usage=self.meters.all_usage(),
                keys=self.keys.all(),
                links=self.links.all(),
            )

    def restore(self, books: Books) -> None:
        """Go on with these books instead of the present ones."""
        with self._lock:
            self._clock.advance(books.ahead - self._clock.ahead)
            self.jwts.secret = books.jwt_secret
            self.workspaces.restore(books.workspaces, books.scopes)
            self.meters.restore(books.meters, books.usage)
            self.keys.restore(books.keys)
            self.links.restore(books.links)

    @property
    def now(self) -> datetime:
        """The time by the sandbox's clock, in UTC."""
        return self._clock.now()

    @property
    def ahead(self) -> float:
        """The seconds by which the clock was moved."""
        return self._clock.ahead

    def advance(self, seconds: float) -> None:
        """Move the clock forward; raise ValueError if `seconds` is negative or centuries."""
        with self._lock:
            self._clock.advance(seconds)
        self.changed()

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
            TypeError: another argument does not have its type.
        """
        names = {"workspace_id": workspace_id, "external_meter_id": external_meter_id}
        for name, value in names.items():
            if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{name} must be a string, not {value!r}")
        if not isinstance(allow_overages, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"allow_overages must be True or False, not {allow_overages!r}")
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
            meter = self.meters.create(
                workspace_id=workspace_id,
                external_meter_id=external_meter_id,
                total_credits=total_credits,
                used_credits=used_credits,
                allow_overages=allow_overages,
                spend_cap=spend_cap,
            )
        self.changed()
        return meter

    def queue_faults(self, order: Order) -> int:
        """Queue faults for API calls; return how many are queued."""
        length = self.faults.add(order)
        self.changed()
        return length

    def clear_faults(self) -> int:
        """Remove all faults from the queue; return how many there were."""
        length = self.faults.clear()
        self.changed()
        return length

    def record(self, **known: Any) -> ReceivedRequest:
        """Add a call to the log, given by the fields of `ReceivedRequest` other than its number."""
        entry = self.log.add(**known)
        self.changed(entry)
        return entry

    def delay(self, request: ReceivedRequest, carry_out: Callable[[], bool]) -> LateCall:
        """Remember a call that is to be carried out late."""
        call = LateCall(request, carry_out)
        with self._lock:
            self._late[call] = None
        self.changed()
        return call

    def carry_out(self, call: LateCall) -> bool:
        """Carry out a late call; return whether it was still waiting.

        It no longer waits if it was carried out, or if the sandbox has been reset or stopped.
        """
        with self._lock:
            if call not in self._late:
                return False
            del self._late[call]
            request = self.log.settle(call.request, applied=call.carry_out())
        self.changed(request)
        return True

    def carry_out_late(self) -> int:
        """Carry out all late calls at once, oldest first; return how many there were."""
        return sum(self.carry_out(call) for call in tuple(self._late))

    def drop_late(self) -> None:
        """Forget the late calls: they never take effect."""
        with self._lock:
            for call in self._late:
                self.log.settle(call.request, applied=False)
            self._late.clear()

    @property
    def late_count(self) -> int:
        """The number of calls that wait to be carried out."""
        return len(self._late)
