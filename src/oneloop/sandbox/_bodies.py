"""JSON for the objects in the state: the members of the API's answers."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from heapq import nlargest
from typing import TypeVar

from oneloop.sandbox._state import (
    DailyUsage,
    IssuedKey,
    JwtVerdict,
    Key,
    KeyScope,
    Meter,
    QueuedFault,
    ReceivedRequest,
    State,
    Status,
    Verdict,
    Workspace,
    WorkspaceScope,
    standing,
)

Json = dict[str, object]

Changing = TypeVar("Changing", Meter, Key)

_TEAM_ID = "team_sandbox"


def workspace_json(workspace: Workspace) -> Json:
    """Write a Workspace."""
    settings = workspace.settings
    return {
        "id": workspace.id,
        "name": workspace.name,
        "teamId": _TEAM_ID,
        "defaultKeyPrefix": settings.default_key_prefix,
        "defaultAllowedIPs": settings.default_allowed_ips,
        "defaultRateLimitPerSecond": settings.default_rate_limit_per_second,
        "defaultExpiration": settings.default_expiration,
        "createdAt": timestamp(workspace.created_at),
        "updatedAt": timestamp(workspace.updated_at),
    }


def workspace_scope_json(scope: WorkspaceScope) -> Json:
    """Write a WorkspaceScope."""
    return {
        "id": scope.id,
        "name": scope.name,
        "representation": scope.representation,
        "description": scope.description,
        "createdAt": timestamp(scope.created_at),
        "updatedAt": timestamp(scope.updated_at),
    }


def key_json(key: Key) -> Json:
    """Write an ApiKey."""
    return {
        "id": key.id,
        "name": key.name,
        "maskedKey": key.masked,
        "prefix": key.prefix,
        "expiresAt": key.expires_at,
        "scopes": _scopes_json(key.scopes),
        "enabled": key.enabled,
        "customerId": key.customer_id,
        "deleted": key.deleted,
        "createdAt": timestamp(key.created_at),
        "updatedAt": timestamp(key.updated_at),
        "lastUsedAt": None if key.last_used_at is None else timestamp(key.last_used_at),
        "billingId": key.billing_id,
    }


def issued_key_json(issued: IssuedKey) -> Json:
    """Write an ApiKey with its value."""
    return {**key_json(issued.key), "key": issued.value}


def verdict_json(verdict: Verdict, asked: Iterable[KeyScope]) -> Json:
    """Write a VerifyApiKeyResponse."""
    key, rate = verdict.key, verdict.rate
    answer: Json = {
        "apiKeyId": "" if key is None else key.id,
        "expiresAt": None if key is None else key.expires_at,
        "requestedScopes": _scopes_json(asked),
        "status": verdict.status,
        "billing": meter_json(verdict.meter),
        "externalMeterId": None if key is None else key.external_meter_id,
        "customerId": None if key is None else key.customer_id,
        "scopes": [] if key is None else _scopes_json(key.scopes),
    }
    if rate is not None:
        answer["rateLimit"] = {"remaining": rate.remaining, "resetAt": rate.resets_at}
    if key is not None and key.metadata:
        answer["metadata"] = key.metadata
    return answer


def meter_json(meter: Meter | None) -> Json | None:
    """Write a CustomerBillingMeter, null if there is no meter."""
    if meter is None:
        return None
    return {
        "id": meter.id,
        "totalCredits": _digits(meter.total_credits),
        "usedCredits": _digits(meter.used_credits),
        "allowOverages": meter.allow_overages,
        "spendCap": None if meter.spend_cap is None else _digits(meter.spend_cap),
        "createdAt": timestamp(meter.created_at),
        "updatedAt": timestamp(meter.updated_at),
    }


def daily_usage_json(usage: DailyUsage) -> Json:
    """Write a row of a meter's usage."""
    return {
        "billingId": usage.meter_id,
        "day": usage.day.isoformat(),
        "totalBillingUsage": _digits(usage.usage),
        "billingUsageName": usage.name,
    }


def jwt_verdict_json(verdict: JwtVerdict) -> Json:
    """Write the result of the verification of a JWT."""
    answer: Json = {
        "status": "VALID" if verdict.valid else "INVALID",
        "payload": verdict.payload,
        "exp": verdict.exp,
    }
    return with_given(answer, "aud", verdict.aud)


def request_json(request: ReceivedRequest) -> Json:
    """Write an entry of the log."""
    return {
        "number": request.number,
        "time": timestamp(request.time),
        "method": request.method,
        "path": request.path,
        "operation": request.operation,
        "headers": request.headers,
        "body": request.body,
        "status": request.status,
        "fault": request.fault,
        "applied": request.applied,
        "pending": request.pending,
    }


def queued_fault_json(queued: QueuedFault) -> Json:
    """Write what is left of an order of faults."""
    return {
        "faults": list(queued.faults),
        "operation": queued.operation,
        "rate": queued.rate,
        "seed": queued.seed,
        "times": queued.times,
    }


def overview_json(state: State, most: int) -> Json:
    """Write what the page shows of a state: the meters and keys that changed last, and counts."""
    now, meters, keys = state.now, state.meters.all(), state.keys.all()
    return {
        "now": timestamp(now),
        "ahead": state.ahead,
        "meters": [
            {
                "workspaceId": meter.workspace_id,
                "externalMeterId": meter.external_meter_id,
                **(meter_json(meter) or {}),
            }
            for meter in _newest(meters, most)
        ],
        "meterCount": len(meters),
        "keys": [
            {
                "workspaceId": key.workspace_id,
                "externalMeterId": key.external_meter_id,
                "status": key_status(key, now),
                **key_json(key),
            }
            for key in _newest(keys, most)
        ],
        "keyCount": len(keys),
        "faults": [queued_fault_json(one) for one in state.faults.entries()],
        "late": state.late_count,
        "requestCount": state.log.count,
    }


def key_status(key: Key, now: datetime) -> str:
    """Return what is to be said of a key: ACTIVE, EXPIRED, DISABLED or DELETED."""
    status = standing(key, (), now)
    return "ACTIVE" if status is Status.VALID else str(status)


def _newest(items: Sequence[Changing], most: int) -> list[Changing]:
    return nlargest(most, items, key=lambda one: one.updated_at)


def with_given(members: Json, name: str, value: object) -> Json:
    """Add a member unless its value is None, for fields that are not nullable."""
    return members if value is None else {**members, name: value}


def timestamp(moment: datetime) -> str:
    """Write a time, which must be in UTC, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _scopes_json(scopes: Iterable[KeyScope]) -> list[Json]:
    return [
        with_given(
            {
                "representation": scope.representation,
                "create": scope.create,
                "read": scope.read,
                "update": scope.update,
                "del": scope.delete,
            },
            "id",
            scope.id,
        )
        for scope in scopes
    ]


def _digits(number: int) -> str:
    # In pieces, because Python refuses to convert more than 4300 digits at once.
    pieces: list[str] = []
    while number >= 10**4000:
        number, piece = divmod(number, 10**4000)
        pieces.append(f"{piece:04000d}")
    return "".join([str(number), *reversed(pieces)])
