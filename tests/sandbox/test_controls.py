"""The sandbox's own controls over HTTP."""

import http.client

import pytest

from oneloop.sandbox import Fault, Sandbox
from tests.sandbox.refills import (
    REFILL,
    call,
    credits_of,
)

NAMES = f"{', '.join(Fault.names())}, and any status from 200 to 599"
MISBEHAVE = (
    "fault, times, operation, rate, seed, seconds, size, without, body, data, headers, applies"
)


def test_faults_can_be_queued_over_http(sandbox: Sandbox) -> None:
    """Faults can be queued over HTTP; that call is not logged and takes no fault."""
    once = call(sandbox, {"fault": "500"}, path="/_sandbox/misbehave")
    more = call(sandbox, {"fault": "503", "times": 2}, path="/_sandbox/misbehave")
    assert (once.json, more.json, sandbox.requests) == ({"queued": 1}, {"queued": 3}, ())
    assert [call(sandbox).status for _ in range(4)] == [500, 503, 503, 200]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "fault: must be the name of a fault, or a status"),
        ({"fault": "x"}, f"fault: unknown fault 'x'; known are: {NAMES}"),
        ({"fault": "500", "times": 0}, "times: must be an integer greater than 0 or null"),
        ({"fault": "500", "times": 10_001}, "times: must be at most 10000 or null"),
    ],
)
def test_bad_fault_over_http_is_400(sandbox: Sandbox, body: object, message: str) -> None:
    """An invalid fault is 400, and the message says what is wrong."""
    reply = call(sandbox, body, path="/_sandbox/misbehave")
    assert (reply.status, reply.message) == (400, message)


@pytest.mark.parametrize(
    ("control", "body", "unknown", "known"),
    [
        ("misbehave", {"fault": "500", "probability": 1}, "probability", MISBEHAVE),
        ("misbehave", {"Fault": "500"}, "Fault", MISBEHAVE),
        ("advance", {"seconds": 1, "minutes": 1}, "minutes", "seconds"),
        (
            "meters",
            {"workspaceId": "ws_1", "externalMeterId": "x", "total_credits": 5},
            "total_credits",
            "workspaceId, externalMeterId, totalCredits, usedCredits, allowOverages, spendCap",
        ),
    ],
)
def test_a_field_that_has_no_effect_is_refused_by_name(
    control: str, body: object, unknown: str, known: str, sandbox: Sandbox
) -> None:
    """A control refuses what it does not know, so that no test runs with other settings."""
    reply = call(sandbox, body, path=f"/_sandbox/{control}")
    message = f"{unknown}: unknown field; known are: {known}"
    assert (reply.status, reply.message) == (400, message)


def test_meters_can_be_created_over_http(sandbox: Sandbox) -> None:
    """A meter can be created with amounts as digit strings, as in the API, or as integers."""
    names = {"workspaceId": "ws_9", "externalMeterId": "\ud800"}
    amounts = {"totalCredits": "12", "usedCredits": 3, "spendCap": "99", "allowOverages": True}
    billing = call(sandbox, names | amounts, path="/_sandbox/meters").json["billing"]
    meter = sandbox.meter(workspace_id="ws_9", external_meter_id="\ud800")
    assert (meter.total_credits, meter.used_credits, meter.spend_cap) == (12, 3, 99)
    assert (billing["id"], billing["allowOverages"]) == (meter.id, True)


def test_meter_over_http_needs_its_names_only(sandbox: Sandbox) -> None:
    """Optional fields of a meter have the same defaults as in Python."""
    names = {"workspaceId": "ws_9", "externalMeterId": "x"}
    billing = call(sandbox, names, path="/_sandbox/meters").json["billing"]
    assert (billing["totalCredits"], billing["usedCredits"]) == ("0", "0")
    assert (billing["allowOverages"], billing["spendCap"]) == (False, None)


def test_meter_over_http_may_say_so_too(sandbox: Sandbox) -> None:
    """The defaults can also be given explicitly: 0 for no credits, null for no cap."""
    fields = {"workspaceId": "ws_9", "externalMeterId": "x", "totalCredits": 0, "spendCap": None}
    billing = call(sandbox, fields, path="/_sandbox/meters").json["billing"]
    assert (billing["totalCredits"], billing["spendCap"]) == ("0", None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"externalMeterId": "acme"}, "meter 'acme' already exists in workspace 'ws_1'"),
        ({"totalCredits": -1}, "totalCredits: must be a string of digits or an integer"),
        ({"usedCredits": "٣"}, "usedCredits: must be a string of digits or an integer"),
        ({"spendCap": True}, "spendCap: must be a string of digits or an integer"),
        ({"allowOverages": 1}, "allowOverages: must be a boolean"),
    ],
)
def test_bad_meter_over_http_is_400(
    sandbox: Sandbox, fields: dict[str, object], message: str
) -> None:
    """An invalid meter is 400, and the message names the field or the meter."""
    names: dict[str, object] = {"workspaceId": "ws_1", "externalMeterId": "x"}
    reply = call(sandbox, names | fields, path="/_sandbox/meters")
    assert reply.status == 400
    assert reply.message.startswith(message)


def test_requests_can_be_read_over_http(sandbox: Sandbox) -> None:
    """The log over HTTP is the same as in Python."""
    sandbox.misbehave("drop-after")
    with pytest.raises(http.client.RemoteDisconnected):
        call(sandbox)
    (kept,) = sandbox.requests
    seen = {
        "number": 1,
        "time": kept.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "method": "POST",
        "path": REFILL,
        "operation": "refillBillingLimit",
        "headers": kept.headers,
        "body": kept.body,
        "status": None,
        "fault": "drop-after",
        "applied": True,
        "pending": False,
    }
    answer = call(sandbox, b"", path="/_sandbox/requests", method="GET").json
    assert answer == {"requests": [seen], "count": 1}


def test_sandbox_can_be_reset_over_http(sandbox: Sandbox) -> None:
    """A reset over HTTP needs no body."""
    call(sandbox)
    reply = call(sandbox, b"", path="/_sandbox/reset", content_type=None)
    assert (reply.json, credits_of(sandbox), sandbox.requests) == ({}, 1000, ())


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("sdk_sandbox_restricted", 403)])
def test_controls_need_the_token(sandbox: Sandbox, token: str, status: int) -> None:
    """The controls need the token, so that others on this machine cannot use them."""
    assert call(sandbox, path="/_sandbox/reset", token=f"Bearer {token}").status == status
