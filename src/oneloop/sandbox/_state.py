"""What one sandbox remembers: meters, faults still to come, and calls received. No HTTP here."""

import hashlib
import json
import threading
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime

from attrs import evolve, frozen

from oneloop.sandbox._faults import Fault


@frozen(kw_only=True)
class Meter:
    """A customer billing meter as it was at one moment. Credits are integers of any size."""

    id: str
    workspace_id: str
    external_meter_id: str
    total_credits: int
    used_credits: int
    allow_overages: bool
    spend_cap: int | None
    """None: no cap."""
    created_at: datetime
    """UTC, in whole milliseconds, as is `updated_at`."""
    updated_at: datetime


@frozen(kw_only=True)
class ReceivedRequest:
    """One API call that reached the sandbox whole. Neither its token nor its body is kept."""

    method: str
    path: str
    """As sent: still percent-encoded, with the query."""
    status: int | None
    """The status answered; None if there was no answer, or only raw bytes."""
    fault: str | None
    """The name of the fault that the call took; None if it took none."""
    applied: bool
    """Whether the call changed the sandbox's state."""


class State:
    """The memory of one sandbox. Every method is safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._meters: dict[tuple[str, str], Meter] = {}
        self._faults: deque[Fault] = deque()
        self._requests: list[ReceivedRequest] = []
        self.reset()

    def reset(self) -> None:
        """Forget everything but the one meter that every sandbox starts with."""
        first = _new_meter("ws_1", "acme", 1000, 0, False, None)
        with self._lock:
            self._meters = {("ws_1", "acme"): first}
            self._faults.clear()
            self._requests.clear()

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
        """Add a meter; raise ValueError for a negative amount or a name that is taken."""
        amounts = {
            "total_credits": total_credits,
            "used_credits": used_credits,
            "spend_cap": 0 if spend_cap is None else spend_cap,
        }
        for name, amount in amounts.items():
            if type(amount) is not int or amount < 0:
                raise ValueError(f"{name} must be an integer that is not negative")
        meter = _new_meter(
            workspace_id, external_meter_id, total_credits, used_credits, allow_overages, spend_cap
        )
        with self._lock:
            if (workspace_id, external_meter_id) in self._meters:
                raise ValueError(
                    f"meter {external_meter_id!r} already exists in workspace {workspace_id!r}"
                )
            self._meters[workspace_id, external_meter_id] = meter
        return meter

    def meter(self, workspace_id: str, external_meter_id: str) -> Meter | None:
        """Return the meter as it is now, None if there is none."""
        with self._lock:
            return self._meters.get((workspace_id, external_meter_id))

    def refill(self, workspace_id: str, external_meter_id: str, amount: int) -> Meter | None:
        """Raise the meter's total credits; return it as it is then, None if there is none."""
        key = (workspace_id, external_meter_id)
        with self._lock:
            before = self._meters.get(key)
            if before is None:
                return None
            after = evolve(
                before, total_credits=before.total_credits + amount, updated_at=_utc_now()
            )
            self._meters[key] = after
            return after

    def queue_faults(self, faults: Iterable[Fault]) -> int:
        """Queue faults for the next API calls; return how many are waiting then."""
        with self._lock:
            self._faults.extend(faults)
            return len(self._faults)

    def next_fault(self) -> Fault | None:
        """Take the fault that is next in the queue, None if it is empty."""
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


def _new_meter(
    workspace_id: str,
    external_meter_id: str,
    total_credits: int,
    used_credits: int,
    allow_overages: bool,
    spend_cap: int | None,
) -> Meter:
    now = _utc_now()
    # Made from the names alone, so that it does not depend on what was created before.
    names = json.dumps([workspace_id, external_meter_id]).encode("ascii")
    return Meter(
        id=f"cbm_{hashlib.sha256(names).hexdigest()[:32]}",
        workspace_id=workspace_id,
        external_meter_id=external_meter_id,
        total_credits=total_credits,
        used_credits=used_credits,
        allow_overages=allow_overages,
        spend_cap=spend_cap,
        created_at=now,
        updated_at=now,
    )


def _utc_now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
