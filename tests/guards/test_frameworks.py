"""Each framework's guard reads, asks and answers the same, through its test client."""

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from oneloop import AsyncOneloop, ConfigurationError, Oneloop, RetryPolicy
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Limits, Request, Response
from tests.guards.applications import FRAMEWORKS, Get, calling, issue

MISSING = {"detail": "Missing API key"}
INVALID = {"detail": "Invalid API key"}
CHALLENGE = 'Bearer error="invalid_token"'


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    """Return each framework."""
    return request.param


@pytest.fixture
def key(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a customer's key, with the environment that points guards at the sandbox."""
    monkeypatch.setenv("ONELOOP_SDK_KEY", sandbox.api_key)
    monkeypatch.setenv("ONELOOP_BASE_URL", sandbox.url)
    return issue(sandbox)


@pytest.fixture
def get(framework: str, key: str) -> Iterator[Get]:
    """Return a way to call an application with guards."""
    with calling(framework) as called:
        yield called


def bearer(key: str) -> dict[str, str]:
    """Return the header with a key."""
    return {"Authorization": f"Bearer {key}"}


def verifications(sandbox: Sandbox) -> int:
    """Return how many verifications the sandbox has received."""
    return sum(call.path == "/api/v1/api-key/verify" for call in sandbox.requests)


def verdict(status: str, **fields: Any) -> Fault:
    """Return a fault that answers a verification with this status."""
    return Fault.status(200, body=json.dumps({"status": status, **fields}).encode())


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR  "])
def test_a_valid_key_is_let_through(get: Get, key: str, scheme: str) -> None:
    """The view has the verification, however the scheme is written."""
    answer = get("/plain", {"Authorization": f"{scheme} {key}"})
    assert (answer.status, answer.body) == (200, {"customer": "acme"})


def test_usage_is_charged_once_for_each_request(get: Get, key: str, sandbox: Sandbox) -> None:
    """A guard that is there twice, as on a router and a route, verifies and charges once."""
    for number in (1, 2):
        answer = get(f"/v1/invoices/{number}", bearer(key))
        assert (answer.status, answer.body) == (200, {"number": number, "customer": "acme"})
    assert verifications(sandbox) == 2
    assert sandbox.meter(workspace_id="ws_1", external_meter_id="m").used_credits == 10


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Token a"])
def test_a_request_without_a_key_needs_no_call(get: Get, sandbox: Sandbox, header: Any) -> None:
    """401 with a challenge that names no error, as RFC 6750 wants it."""
    before = len(sandbox.requests)
    answer = get("/plain", {} if header is None else {"Authorization": header})
    assert answer.status == 401
    assert answer.body in (MISSING, INVALID)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert len(sandbox.requests) == before


@pytest.mark.parametrize(
    "value",
    ["a b", "a,b", "a\x7f", "schl\xfcssel", "a" * 8193, "a" * 100_000],
    ids=["space", "comma", "control", "latin", "long", "longer"],
)
def test_a_malformed_key_needs_no_call(get: Get, sandbox: Sandbox, value: str) -> None:
    """401 with `invalid_token`."""
    before = len(sandbox.requests)
    answer = get("/plain", bearer(value))
    assert (answer.status, answer.body) == (401, INVALID)
    assert answer.headers["www-authenticate"] == CHALLENGE
    assert len(sandbox.requests) == before


def test_two_keys_are_none(get: Get, key: str, sandbox: Sandbox) -> None:
    """A header that is there twice is refused: which of them others read is not certain."""
    before = len(sandbox.requests)
    answer = get("/plain", [*bearer(key).items(), *bearer(key).items()])
    assert (answer.status, answer.body) == (401, INVALID)
    assert len(sandbox.requests) == before


@pytest.mark.parametrize("status", ["EXPIRED", "DISABLED", "DELETED", "INVALID", "SOMETHING_NEW"])
def test_other_statuses_are_refused(get: Get, key: str, sandbox: Sandbox, status: str) -> None:
    """A key that may not be used is 401, also for a reason that is new."""
    sandbox.misbehave(verdict(status))
    answer = get("/plain", bearer(key))
    assert (answer.status, answer.body) == (401, INVALID)
    assert answer.headers["www-authenticate"] == CHALLENGE


def test_an_unknown_key_is_refused(get: Get) -> None:
    """The sandbox's own answer for such a key."""
    assert get("/plain", bearer("nobody")).status == 401


def test_a_key_without_the_scopes_is_forbidden(get: Get, key: str) -> None:
    """403, with `insufficient_scope`."""
    answer = get("/deleting", bearer(key))
    assert answer.status == 403
    assert answer.body == {"detail": "The API key does not allow this request"}
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
def test_a_rate_limit_states_when_to_come_again(
    get: Get, key: str, sandbox: Sandbox, unit: int
) -> None:
    """429 with `Retry-After`, whichever unit the API uses."""
    limit = {"remaining": 0, "resetAt": int((time.time() + 30) * unit)}
    sandbox.misbehave(verdict("RATE_LIMITED", rateLimit=limit))
    answer = get("/plain", bearer(key))
    assert (answer.status, answer.body) == (429, {"detail": "Too many requests"})
    assert 20 <= int(answer.headers["retry-after"]) <= 30


@pytest.mark.parametrize("fields", [{}, {"rateLimit": {"remaining": 0, "resetAt": -5}}])
def test_a_rate_limit_states_at_least_a_second(
    get: Get, key: str, sandbox: Sandbox, fields: Any
) -> None:
    """Also where the API does not say when, or the moment has passed."""
    sandbox.misbehave(verdict("RATE_LIMITED", **fields))
    assert get("/plain", bearer(key)).headers["retry-after"] == "1"


def test_a_customer_without_credits_has_to_pay(get: Get, key: str, sandbox: Sandbox) -> None:
    """402 by default."""
    sandbox.misbehave(verdict("USAGE_LIMITED"))
    answer = get("/plain", bearer(key))
    assert answer.status == 402
    assert answer.body == {"detail": "The usage limit of the API key is reached"}


def test_the_status_for_no_credits_can_be_chosen(
    framework: str, key: str, sandbox: Sandbox
) -> None:
    """`usage_limited` is that status."""
    sandbox.misbehave(verdict("USAGE_LIMITED"))
    with calling(framework, usage_limited=429) as get:
        assert get("/plain", bearer(key)).status == 429


@pytest.mark.parametrize("status", [401, 403, 400, 404, 302])
def test_a_refusal_of_our_own_key_is_not_the_customers(
    get: Get, key: str, sandbox: Sandbox, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """500 and a log record, without words of the server, because only we can mend it."""
    sandbox.misbehave(Fault.status(status, body=b'{"error": {"code": 1, "message": "MARKER"}}'))
    answer = get("/plain", bearer(key))
    assert (answer.status, answer.body) == (500, {"detail": "Internal server error"})
    assert "www-authenticate" not in answer.headers
    (record,) = (one for one in caplog.records if one.name == "oneloop.guard")
    assert record.levelno == logging.ERROR
    assert ("our own key" in record.getMessage()) == (status in (401, 403))
    assert "MARKER" not in str(vars(record))
    assert key not in caplog.text


@pytest.mark.parametrize("fault", ["500", "520", "drop-before", "not-json", "html-page"])
def test_a_failure_of_the_api_is_temporary(
    get: Get, key: str, sandbox: Sandbox, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """503 with `Retry-After`; the verification, which may have counted, is not repeated."""
    sandbox.misbehave(fault)
    before = verifications(sandbox)
    answer = get("/v1/invoices/1", bearer(key))
    assert answer.status == 503
    assert answer.body == {"detail": "API keys cannot be verified at the moment"}
    assert answer.headers["retry-after"] == "5"
    assert verifications(sandbox) == before + 1
    (record,) = (one for one in caplog.records if one.name == "oneloop.guard")
    assert record.levelno == logging.WARNING


def test_the_api_may_ask_for_a_pause(get: Get, key: str, sandbox: Sandbox) -> None:
    """Its `Retry-After`, which is beyond the deadline, becomes ours."""
    sandbox.misbehave(Fault.rate_limited(40))
    answer = get("/plain", bearer(key))
    assert (answer.status, answer.headers["retry-after"]) == (503, "40")


@pytest.mark.parametrize("fault", ["hang", "slow-body", "slow-headers"])
def test_a_slow_api_is_given_up(framework: str, key: str, sandbox: Sandbox, fault: str) -> None:
    """The deadline is for the whole verification, also against single bytes."""
    sandbox.misbehave(fault)
    with calling(framework, deadline=0.3) as get:
        began = time.monotonic()
        assert get("/plain", bearer(key)).status == 503
        assert time.monotonic() - began < 4


def test_an_unreachable_api_is_temporary(
    framework: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection is 503."""
    monkeypatch.setenv("ONELOOP_BASE_URL", "http://127.0.0.1:1")
    with calling(framework) as get:
        assert get("/plain", bearer(key)).status == 503


def test_a_client_without_a_key_is_our_fault(
    framework: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500, as for a key that the API refuses. An application with a lifespan does not start."""
    monkeypatch.delenv("ONELOOP_SDK_KEY")
    monkeypatch.delenv("ONELOOP_KEY", raising=False)
    if framework in ("fastapi", "starlette"):
        with pytest.raises(ConfigurationError), calling(framework):
            pass
        return
    with calling(framework) as get:
        assert get("/plain", bearer(key)).status == 500


def test_a_header_of_ones_own(framework: str, key: str) -> None:
    """The key is the whole value; `Authorization` is not read."""
    with calling(framework, header="X-API-Key") as get:
        assert get("/plain", {"x-api-key": key}).status == 200
        missing = get("/plain", bearer(key))
        assert (missing.status, missing.body) == (401, MISSING)
        assert missing.headers["www-authenticate"] == "APIKey"
        assert get("/plain", {"X-API-Key": f"Bearer {key}"}).body == INVALID


def test_usage_may_depend_on_the_request(framework: str, key: str, sandbox: Sandbox) -> None:
    """The function gets the framework's request."""
    with calling(framework, usage=lambda request: int(request.headers["X-Size"])) as get:
        assert get("/v1/invoices/1", bearer(key) | {"X-Size": "7"}).status == 200
    assert sandbox.meter(workspace_id="ws_1", external_meter_id="m").used_credits == 7


def test_a_usage_that_cannot_be_charged_lets_nobody_through(
    framework: str, key: str, sandbox: Sandbox
) -> None:
    """A function that returns nonsense is an error of the application: 500, without a call."""
    with calling(framework, usage=lambda _: -1) as get:
        before = len(sandbox.requests)
        assert get("/v1/invoices/1", bearer(key)).status == 500
        assert len(sandbox.requests) == before


class Recorder:
    """A transport that answers VALID, and keeps the bodies of requests."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []

    def send(self, request: Request, limits: Limits) -> Response:
        """Answer VALID."""
        self.bodies.append(json.loads(request.body or b""))
        body = b'{"status": "VALID", "customerId": "acme"}'
        return Response(200, (("Content-Type", "application/json"),), body)

    def close(self) -> None:
        """Do nothing."""


class AsyncRecorder(Recorder):
    """The same for asyncio."""

    async def send(self, request: Request, limits: Limits) -> Response:  # type: ignore[override]
        """Answer VALID."""
        return super().send(request, limits)

    async def aclose(self) -> None:
        """Do nothing."""


def test_what_is_sent(framework: str) -> None:
    """The route's pattern, the scopes and the usage; by a client of the application's own."""
    is_async = framework in ("fastapi", "starlette", "django-async")
    transport = AsyncRecorder() if is_async else Recorder()
    kind: Any = AsyncOneloop if is_async else Oneloop
    policy = RetryPolicy(treat_as_safe=True)
    client = kind(api_key="sdk_ours", transport=transport, retry=policy)
    name = "async_client" if framework == "django-async" else "client"
    with calling(framework, **{name: client}) as get:
        assert get("/v1/invoices/12", bearer("k")).status == 200
    (sent,) = transport.bodies
    assert sent["key"] == "k"
    assert sent["billing"] == {"usage": "5", "usageName": "invoice"}
    (scope,) = sent["requestedScopes"]
    assert (scope["representation"], scope["read"], scope["del"]) == ("invoices", True, False)
    assert sent["route"] == {
        "fastapi": "/v1/invoices/{number}",
        "starlette": "/v1/invoices/{number:int}",
        "flask": "/v1/invoices/<int:number>",
    }.get(framework, "/v1/invoices/<int:number>")


def test_refusals_may_be_remembered(framework: str, key: str, sandbox: Sandbox) -> None:
    """A key that does not exist is asked for once; one that is valid, each time."""
    with calling(framework, remember_refusals=60) as get:
        before = verifications(sandbox)
        assert [get("/plain", bearer("nobody")).status for _ in range(3)] == [401] * 3
        assert verifications(sandbox) == before + 1
        assert [get("/plain", bearer(key)).status for _ in range(2)] == [200] * 2
        assert [get("/deleting", bearer(key)).status for _ in range(2)] == [403] * 2
        assert verifications(sandbox) == before + 5


def test_a_policy_of_ones_own_does_not_repeat_what_may_count(
    framework: str, key: str, sandbox: Sandbox
) -> None:
    """The guard replaces `treat_as_safe`, or a customer could be charged twice."""
    is_async = framework in ("fastapi", "starlette", "django-async")
    kind: Any = AsyncOneloop if is_async else Oneloop
    client = kind(retry=RetryPolicy(treat_as_safe=True, backoff=0))
    sandbox.misbehave("500", times=3)
    before = verifications(sandbox)
    name = "async_client" if framework == "django-async" else "client"
    with calling(framework, **{name: client}) as get:
        assert get("/v1/invoices/1", bearer(key)).status == 503
    assert verifications(sandbox) == before + 1
    if not is_async:
        client.close()
