"""The outcome of each kind of failure, and the number of requests that the server receives.

Every row of failures.py is tested with both clients, over real sockets, with a call that is not
safe to repeat (the refill) and with one that is (a GET).
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve

from oneloop import (
    APIError,
    APIStatusError,
    APITimeoutError,
    ArgumentTypeError,
    ArgumentValueError,
    AsyncOneloop,
    AuthenticationError,
    Oneloop,
    Outcome,
    RetryPolicy,
    Timeout,
    models,
)
from oneloop.sandbox import Fault, Sandbox
from oneloop_api.api.v1 import refill_billing_limit
from oneloop_core import Call
from tests import ROOT
from tests.calling import KINDS, REFILL, SLACK, ClientKind, an_operation
from tests.tools.failures import LIMIT, ROWS, Row, authority, page, read_request, talking

UNSAFE = refill_billing_limit.call(**REFILL)
SAFE = Call(an_operation("GET", refill_billing_limit.OPERATION.decode), UNSAFE.target)


ENDLESS = "100 Continue without end"
"""A row for which httpx has no limit, so that it goes on reading until the time is up."""

UNBOUNDED = {
    "headers in drips",
    ENDLESS,
    "a large request is read just in time, then silence",
}
"""Rows for which httpx has no timeout, so that a blocking client waits on."""


DEMANDED = "a certificate is demanded, TLS 1.3"
BLURRED = {
    "sync": {DEMANDED},
    "async": {
        DEMANDED,
        *(row.what for row in ROWS if "while we send, then the server c" in row.what),
    },
}
"""Rows in which a call through httpx ends as a lost connection, that is, in `UNKNOWN`."""


@pytest.mark.parametrize("kind", KINDS, indirect=True)
@pytest.mark.parametrize("call", [UNSAFE, SAFE], ids=["unsafe", "safe"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_each_failure_has_its_error_its_outcome_and_its_number_of_sends(
    row: Row,
    call: Call[Any],
    kind: ClientKind,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Each row of the table has the expected error, outcome and number of requests."""
    if kind.via and kind.name == "sync" and row.what in UNBOUNDED:
        pytest.skip("httpx has no limit for it")
    if kind.via and row.what in BLURRED.get(kind.name, ()):
        pytest.skip("httpx does not report what the server said before it closed the connection")
    if kind.via and row.what == ENDLESS:
        row = evolve(row, error=APITimeoutError, safe_tries=1, budget=0.5)
    if "unknown authority" not in row.what:
        authority().cert_pem.write_to_path(tmp_path / "authority.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    if row.size:
        call = evolve(call, body=b'{"metadata": "%s"}' % (b"x" * row.size))
    tries = row.safe_tries if call.operation.safe else row.unsafe_tries
    with row.serve() as server:
        monkeypatch.setenv("HTTPS_PROXY", server.proxy)
        options: dict[str, Any] = {
            "api_key": server.api_key,
            "base_url": server.url,
            "allow_http": True,
            "timeout": row.timeout,
            "retry": RetryPolicy(backoff=0, cap=0, budget=row.budget),
            "max_response_bytes": LIMIT,
        }
        if row.error is None:
            response = kind.respond(call, **options)
            assert type(response.parsed) is models.RefillCustomerBillingMeterResponse
            attempts = response.attempts
        else:
            with pytest.raises(APIError) as caught:
                kind.respond(call, **options)
            assert type(caught.value) is row.error
            outcome = row.outcome
            if call.operation.safe and row.safe_outcome is not None:
                outcome = row.safe_outcome
            assert caught.value.outcome is outcome
            assert caught.value.elapsed < row.budget + SLACK
            attempts = caught.value.attempts
    assert attempts == tries
    assert server.sends() == (0 if row.outcome is Outcome.NOT_SENT else tries)


def test_the_docs_show_this_table() -> None:
    """docs/failures.md is what scripts/failures prints."""
    assert (ROOT / "docs" / "failures.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("status", range(400, 600))
def test_every_error_status_ends_in_a_status_error(status: int, kind: ClientKind) -> None:
    """A status below 500 is REJECTED and any other is UNKNOWN, even if the body is not JSON."""
    with Sandbox() as sandbox:
        sandbox.misbehave(Fault.status(status, body=b"<html>"), times=3)
        with pytest.raises(APIStatusError) as caught:
            kind.refill(
                api_key=sandbox.api_key, base_url=sandbox.url, retry=RetryPolicy(attempts=1)
            )
    assert caught.value.status_code == status
    assert caught.value.outcome is (Outcome.REJECTED if status < 500 else Outcome.UNKNOWN)


def test_a_connection_that_was_closed_meanwhile_is_not_used(kind: ClientKind) -> None:
    """A kept-alive connection that the server has closed is replaced without a failed attempt."""
    closed = threading.Event()

    def talk(connection: Any) -> None:
        read_request(connection)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}')
        connection.close()
        closed.set()

    with talking(talk) as server:
        options: dict[str, Any] = {"api_key": "sdk", "base_url": server.url}

        async def twice() -> Any:
            async with kind.client(**options) as client:
                await client.refill_billing_limit(**REFILL)
                await asyncio.to_thread(closed.wait, 5)
                return await client.with_response.refill_billing_limit(**REFILL)

        if kind.name == "sync":
            with kind.client(**options) as client:
                client.refill_billing_limit(**REFILL)
                closed.wait(5)
                response = client.with_response.refill_billing_limit(**REFILL)
        else:
            response = asyncio.run(twice())
    assert response.attempts == 1
    assert server.sends() == 2


@pytest.mark.parametrize(
    ("refill", "error"),
    [
        (0, ArgumentValueError),
        (-1, ArgumentValueError),
        (2**53, ArgumentValueError),
        (True, ArgumentTypeError),
        (1.5, ArgumentTypeError),
        ("500", ArgumentTypeError),
        (None, ArgumentTypeError),
    ],
)
def test_a_bad_argument_is_refused_by_name_before_anything_is_sent(
    refill: Any, error: type[Exception], kind: ClientKind, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """The error for an invalid amount is NOT_SENT and names the argument; no request is sent."""
    with pytest.raises(error, match=r"^refill must be") as caught:
        kind.refill({**REFILL, "refill": refill}, **options)
    assert caught.value.outcome is Outcome.NOT_SENT  # type: ignore[attr-defined]
    assert sandbox.requests == ()


def test_no_free_connection_is_not_sent(sandbox: Sandbox, options: dict[str, Any]) -> None:
    """A call that gets no free connection of the pool in time is NOT_SENT."""
    pool = httpx.Client(limits=httpx.Limits(max_connections=1))
    with pool, Oneloop(**options, http_client=pool, timeout=Timeout(connect=0.2)) as client:
        sandbox.misbehave("hang")
        hanging = pool.stream("POST", f"{sandbox.url}/hang", timeout=30)
        thread = threading.Thread(target=lambda: suppressed(hanging.__enter__))
        thread.start()
        while not sandbox.requests:
            pass
        with pytest.raises(APITimeoutError, match="no free connection") as caught:
            client.refill_billing_limit(**REFILL)
        sandbox.stop()
        thread.join()
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.attempts == 3


def suppressed(function: Callable[[], object]) -> None:
    """Call a function of httpx that fails when the server stops."""
    with suppress(httpx.HTTPError):
        function()


def test_no_free_connection_is_not_sent_async(sandbox: Sandbox, options: dict[str, Any]) -> None:
    """An async call that gets no free connection of the pool in time is NOT_SENT."""

    async def main() -> APIError:
        limits = httpx.Limits(max_connections=1)
        async with (
            httpx.AsyncClient(limits=limits) as pool,
            AsyncOneloop(**options, http_client=pool, timeout=Timeout(connect=0.2)) as client,
        ):
            sandbox.misbehave("hang")
            hanging = asyncio.create_task(pool.post(f"{sandbox.url}/hang", timeout=30))
            while not sandbox.requests:
                await asyncio.sleep(0.01)
            with pytest.raises(APITimeoutError, match="no free connection") as caught:
                await client.refill_billing_limit(**REFILL)
            hanging.cancel()
            return caught.value

    error = asyncio.run(main())
    assert error.outcome is Outcome.NOT_SENT
    assert error.attempts == 3


def test_a_call_that_left_once_stays_unknown(
    kind: ClientKind, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """If an earlier attempt may have been applied, a rejected retry leaves the call UNKNOWN."""
    sandbox.misbehave("drop-after", Fault.status(401))
    retry = RetryPolicy(backoff=0, treat_as_safe=True)
    with pytest.raises(AuthenticationError) as caught:
        kind.refill(**{**options, "retry": retry})
    assert caught.value.outcome is Outcome.UNKNOWN
    assert sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits == 1500


def test_treat_as_safe_repeats_an_unsafe_call(
    kind: ClientKind, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """With `treat_as_safe`, a refill that may have been applied is retried and applied twice."""
    sandbox.misbehave("drop-after")
    answer = kind.refill(**{**options, "retry": RetryPolicy(backoff=0, treat_as_safe=True)})
    assert answer.billing.total_credits == 2000


def test_429_is_repeated_until_it_works(
    kind: ClientKind, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A refill that is rejected with 429 is sent again until it succeeds, and is applied once."""
    sandbox.misbehave(Fault.rate_limited(0), Fault.rate_limited(None))
    assert kind.refill(**options).billing.total_credits == 1500
    assert [request.status for request in sandbox.requests] == [429, 429, 200]


def test_the_token_does_not_follow_a_redirect(
    kind: ClientKind, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A redirect to another server is an error, and no request is sent to that server."""
    with Sandbox() as other:
        sandbox.misbehave(Fault.status(307, headers={"Location": f"{other.url}/api/v1/x"}))
        with pytest.raises(APIStatusError, match="the server answered 307"):
            kind.refill(**options)
        assert other.requests == ()
