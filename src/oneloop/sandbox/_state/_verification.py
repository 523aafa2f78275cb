"""Verification of keys, and charging for their use."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from threading import RLock

from attrs import frozen

from oneloop.sandbox._state._clock import Clock
from oneloop.sandbox._state._keys import Key, Keys, KeyScope
from oneloop.sandbox._state._meters import Meter, Meters, admits
from oneloop.sandbox._state._rates import RateLimit, RateStanding, RateWindows
from oneloop.sandbox._state._refusals import NotFoundError
from oneloop.sandbox._state._workspaces import Workspaces


class Status(StrEnum):
    """The result of a verification: the first of these that applies."""

    INVALID = "INVALID"
    DELETED = "DELETED"
    DISABLED = "DISABLED"
    EXPIRED = "EXPIRED"
    INVALID_SCOPES = "INVALID_SCOPES"
    RATE_LIMITED = "RATE_LIMITED"
    USAGE_LIMITED = "USAGE_LIMITED"
    VALID = "VALID"


@frozen(kw_only=True)
class Verdict:
    """The result of a verification, with what it was based on."""

    status: Status
    key: Key | None = None
    """None if the key does not exist."""
    meter: Meter | None = None
    """The meter of the key after charging, None if it has no meter."""
    rate: RateStanding | None = None
    """None if there is no rate limit, or the verification failed earlier."""
    charged: bool = False


class Verification:
    """Verifies keys and charges their meters. Every method may be called from any thread."""

    def __init__(
        self, lock: RLock, now: Clock, workspaces: Workspaces, keys: Keys, meters: Meters
    ) -> None:
        self._lock = lock
        self._now = now
        self._workspaces = workspaces
        self._keys = keys
        self._meters = meters
        self._windows = RateWindows(lock, now)

    def verify(
        self,
        value: str,
        *,
        scopes: Sequence[KeyScope],
        usage: int,
        usage_name: str,
        rate_limit: RateLimit | None,
    ) -> Verdict:
        """Verify a key by its value; only if it is VALID, charge its meter and mark it as used."""
        with self._lock:
            key = self._keys.with_value(value)
            if key is None:
                return Verdict(status=Status.INVALID)
            meter = self._meter_of(key)
            status = standing(key, scopes, self._now())
            if status is not Status.VALID:
                return Verdict(status=status, key=key, meter=meter)
            rate = self._count(key, rate_limit)
            if rate is not None and not rate.admitted:
                return Verdict(status=Status.RATE_LIMITED, key=key, meter=meter, rate=rate)
            if meter is not None and not admits(meter, usage):
                return Verdict(status=Status.USAGE_LIMITED, key=key, meter=meter, rate=rate)
            charged = meter is not None and usage > 0
            if meter is not None and charged:
                meter = self._meters.charge(meter, usage, usage_name)
            return Verdict(
                status=status,
                key=self._keys.mark_used(key),
                meter=meter,
                rate=rate,
                charged=charged,
            )

    def record_usage(self, value: str, usage: int, usage_name: str) -> bool:
        """Charge the meter of a key beyond any limit; return whether anything was charged.

        Raises:
            NotFoundError: the key does not exist.
        """
        with self._lock:
            key = self._keys.with_value(value)
            if key is None:
                raise NotFoundError("there is no such API key")
            meter = self._meter_of(key)
            if meter is None or usage == 0:
                return False
            self._meters.charge(meter, usage, usage_name)
            return True

    def _meter_of(self, key: Key) -> Meter | None:
        if key.external_meter_id is None:
            return None
        return self._meters.get(key.workspace_id, key.external_meter_id)

    def _count(self, key: Key, limit: RateLimit | None) -> RateStanding | None:
        if limit is None:
            default = self._workspaces.get(key.workspace_id).settings.default_rate_limit_per_second
            if default is None:
                return None
            limit = RateLimit(id=key.id, limit=default)
        return self._windows.count(limit)


def standing(key: Key, scopes: Sequence[KeyScope], now: datetime) -> Status:
    """Return VALID, or the status of a key that fails whatever its limits."""
    if key.deleted:
        return Status.DELETED
    if not key.enabled:
        return Status.DISABLED
    if key.expires_at is not None and now.timestamp() >= key.expires_at:
        return Status.EXPIRED
    if not all(any(scope.covers(asked) for scope in key.scopes) for asked in scopes):
        return Status.INVALID_SCOPES
    return Status.VALID
