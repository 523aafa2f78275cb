"""Meters: the credits of customers, and their usage by day."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from threading import RLock

from attrs import evolve, frozen

from oneloop.sandbox._state._clock import Clock
from oneloop.sandbox._state._refusals import ConflictError, NotFoundError


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
    """None for no cap."""
    created_at: datetime
    """UTC, in whole milliseconds, as is `updated_at`."""
    updated_at: datetime


@frozen(kw_only=True)
class DailyUsage:
    """What one meter was charged on one day (UTC) under one name."""

    meter_id: str
    day: date
    name: str
    usage: int


def admits(meter: Meter, usage: int) -> bool:
    """Return whether the meter has credits left, and enough for this usage."""
    limit = meter.spend_cap if meter.allow_overages else meter.total_credits
    return limit is None or (meter.used_credits < limit and meter.used_credits + usage <= limit)


class Meters:
    """All meters and their usage. Every method may be called from any thread."""

    def __init__(self, lock: RLock, now: Clock) -> None:
        self._lock = lock
        self._now = now
        self._meters: dict[tuple[str, str], Meter] = {}
        self._usage: Counter[tuple[str, date, str]] = Counter()

    def create(
        self,
        *,
        workspace_id: str,
        external_meter_id: str,
        total_credits: int,
        used_credits: int,
        allow_overages: bool,
        spend_cap: int | None,
    ) -> Meter:
        """Add a meter; raise ConflictError if the workspace has one of that name."""
        now = self._now()
        meter = Meter(
            id=_meter_id(workspace_id, external_meter_id),
            workspace_id=workspace_id,
            external_meter_id=external_meter_id,
            total_credits=total_credits,
            used_credits=used_credits,
            allow_overages=allow_overages,
            spend_cap=spend_cap,
            created_at=now,
            updated_at=now,
        )
        with self._lock:
            if (workspace_id, external_meter_id) in self._meters:
                raise ConflictError(
                    f"meter {external_meter_id!r} already exists in workspace {workspace_id!r}"
                )
            self._meters[workspace_id, external_meter_id] = meter
        return meter

    def find(self, workspace_id: str, external_meter_id: str) -> Meter | None:
        """Return the meter as it is now, None if it does not exist."""
        with self._lock:
            return self._meters.get((workspace_id, external_meter_id))

    def get(self, workspace_id: str, external_meter_id: str) -> Meter:
        """Return the meter as it is now; raise NotFoundError if it does not exist."""
        found = self.find(workspace_id, external_meter_id)
        if found is None:
            raise NotFoundError(
                f"there is no meter {external_meter_id!r} in workspace {workspace_id!r}"
            )
        return found

    def refill(self, workspace_id: str, external_meter_id: str, amount: int) -> Meter | None:
        """Raise the total credits of a meter; return the meter, None if it does not exist."""
        with self._lock:
            before = self.find(workspace_id, external_meter_id)
            if before is None:
                return None
            return self._put(evolve(before, total_credits=before.total_credits + amount))

    def charge(self, meter: Meter, usage: int, name: str) -> Meter:
        """Raise the used credits of a meter, whatever its limit, and return the meter."""
        with self._lock:
            before = self.get(meter.workspace_id, meter.external_meter_id)
            after = self._put(evolve(before, used_credits=before.used_credits + usage))
            self._usage[after.id, after.updated_at.date(), name] += usage
            return after

    def usage(self, meter: str) -> Sequence[DailyUsage]:
        """Return the usage of the meters with this id or external id, by day and name."""
        with self._lock:
            ids = {each.id for each in self._meters.values() if meter in _names(each)}
            rows = sorted((key, usage) for key, usage in self._usage.items() if key[0] in ids)
        return tuple(
            DailyUsage(meter_id=meter_id, day=day, name=name, usage=usage)
            for (meter_id, day, name), usage in rows
        )

    def all(self) -> tuple[Meter, ...]:
        """Return every meter, oldest first."""
        with self._lock:
            return tuple(self._meters.values())

    def all_usage(self) -> tuple[DailyUsage, ...]:
        """Return the usage of every meter."""
        with self._lock:
            rows = tuple(self._usage.items())
        return tuple(
            DailyUsage(meter_id=meter_id, day=day, name=name, usage=usage)
            for (meter_id, day, name), usage in rows
        )

    def restore(self, meters: Iterable[Meter], usage: Iterable[DailyUsage]) -> None:
        """Replace everything."""
        with self._lock:
            self._meters = {(one.workspace_id, one.external_meter_id): one for one in meters}
            self._usage = Counter({(one.meter_id, one.day, one.name): one.usage for one in usage})

    def _put(self, meter: Meter) -> Meter:
        meter = evolve(meter, updated_at=self._now())
        self._meters[meter.workspace_id, meter.external_meter_id] = meter
        return meter


def _names(meter: Meter) -> tuple[str, str]:
    return meter.id, meter.external_meter_id


def _meter_id(workspace_id: str, external_meter_id: str) -> str:
    # Derived from the names, so that a meter has the same id in every sandbox.
    names = json.dumps([workspace_id, external_meter_id]).encode("ascii")
    return f"cbm_{hashlib.sha256(names).hexdigest()[:32]}"
