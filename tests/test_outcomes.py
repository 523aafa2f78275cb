"""The outcome table: what each kind of failure ends in, and how often the server saw the call.

Every row is shown for both clients, over real sockets, for a call that is not safe to repeat (the
refill) and for one that is (a GET).
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from attrs import frozen
from calling import AT_ONCE, REFILL, ClientKind, an_operation

from oneloop import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    ArgumentTypeError,
    ArgumentValueError,
    AsyncOneloop,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    Oneloop,
    Outcome,
    PermissionDeniedError,
    RateLimitError,
    ResponseDecodeError,
    ResponseTooLargeError,
    RetryPolicy,
    ServerError,
    Timeout,
    UnprocessableEntityError,
)
from oneloop.sandbox import Fault, Sandbox
from oneloop_api.api.v1 import refill_billing_limit
from oneloop_overrides import Call

UNSAFE = refill_billing_limit.call(**REFILL)
SAFE = Call(an_operation("GET"), "/api/v1/customer-billing/refill")


@frozen
class Row:
    """One row of the table: what happens, and what comes of it."""

    what: str
    fault: Fault | str
    error: type[APIError]
    outcome: Outcome
    unsafe_sends: int
    safe_sends: int


def answered(status: int, error: type[APIError], outcome: Outcome, unsafe: int, safe: int) -> Row:
    """Return the row for an answer with this status."""
    headers = {"Location": "http://192.0.2.1/", "Retry-After": "0"}
    fault = Fault.status(status, headers=headers)
    return Row(f"status {status}", fault, error, outcome, unsafe, safe)


LOST = (APIConnectionError, Outcome.UNKNOWN, 1, 3)
ROWS = [
    Row("no answer in time", "hang", APITimeoutError, Outcome.UNKNOWN, 1, 3),
    Row("no headers in time", Fault.slow_headers(100), APITimeoutError, Outcome.UNKNOWN, 1, 3),
    Row("closed before it is applied", "drop-before", *LOST),
    Row("closed after it is applied", "drop-after", *LOST),
    Row("reset before it is applied", "reset-before", *LOST),
    Row("reset after it is applied", "reset-after", *LOST),
    Row("broken HTTP", Fault.raw(b"HTTP/9.9 what?\r\n\r\n"), *LOST),
    Row("answer cut off", "truncated-body", *LOST),
    *(answered(status, APIStatusError, Outcome.REJECTED, 1, 1) for status in (301, 302, 307, 308)),
    answered(400, BadRequestError, Outcome.REJECTED, 1, 1),
    answered(401, AuthenticationError, Outcome.REJECTED, 1, 1),
    answered(403, PermissionDeniedError, Outcome.REJECTED, 1, 1),
    answered(404, NotFoundError, Outcome.REJECTED, 1, 1),
    answered(408, APIStatusError, Outcome.REJECTED, 1, 3),
    answered(409, ConflictError, Outcome.REJECTED, 1, 1),
    answered(422, UnprocessableEntityError, Outcome.REJECTED, 1, 1),
    answered(418, APIStatusError, Outcome.REJECTED, 1, 1),
    answered(429, RateLimitError, Outcome.REJECTED, 3, 3),
    *(
        answered(status, ServerError, Outcome.UNKNOWN, 1, 3)
        for status in (500, 501, 502, 503, 504, 520, 526, 599)
    ),
    Row("JSON of another shape", "wrong-shape", ResponseDecodeError, Outcome.APPLIED, 1, 1),
    Row("JSON null", Fault.status(200, body=b"null"), ResponseDecodeError, Outcome.APPLIED, 1, 1),
    Row("a page", "html-page", ResponseDecodeError, Outcome.UNKNOWN, 1, 1),
    Row("not JSON", "not-json", ResponseDecodeError, Outcome.UNKNOWN, 1, 1),
    Row("an empty body", "empty-body", ResponseDecodeError, Outcome.UNKNOWN, 1, 1),
    Row(
        "JSON cut off where only the end of the connection ends it",
        Fault.raw(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"billing": {"id"'),
        ResponseDecodeError,
        Outcome.UNKNOWN,
        1,
        1,
    ),
    Row(
        "a body over the limit",
        Fault.status(200, body=b" " * 20_001),
        ResponseTooLargeError,
        Outcome.UNKNOWN,
        1,
        1,
    ),
]


@pytest.mark.parametrize("safe", [False, True], ids=["unsafe", "safe"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_each_failure_has_its_error_its_outcome_and_its_number_of_sends(
    row: Row, safe: bool, kind: ClientKind, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """The table, row by row."""
    if safe and row.what == "JSON of another shape":
        decode = refill_billing_limit.OPERATION.decode
        call: Call[Any] = Call(an_operation("GET", decode), SAFE.target)
        fault: Fault | str = Fault.status(200, body=b'{"billing": {"id": "cbm_1"}}')
    else:
        call, fault = (SAFE if safe and row.what != "JSON null" else UNSAFE), row.fault
    sandbox.misbehave(fault, times=3)
    with pytest.raises(APIError) as caught:
        kind.respond(call, **options, timeout=0.3, max_response_bytes=20_000)
    sends = row.safe_sends if safe else row.unsafe_sends
    assert type(caught.value) is row.error
    assert caught.value.outcome is row.outcome
    assert caught.value.attempts == sends
    assert len(sandbox.requests) == sends


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
    """A bad amount is NOT_SENT, and the server sees nothing."""
    with pytest.raises(error, match=r"^refill must be") as caught:
        kind.refill({**REFILL, "refill": refill}, **options)
    assert caught.value.outcome is Outcome.NOT_SENT  # type: ignore[attr-defined]
    assert sandbox.requests == ()


@contextmanager
def refusing() -> Iterator[str]:
    """Give the URL of a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def unresolvable() -> Iterator[str]:
    """Give a URL whose host does not exist (RFC 6761)."""
    yield "http://oneloop.invalid"


@contextmanager
def full_backlog() -> Iterator[str]:
    """Give the URL of a server that accepts no connection, with no room to wait for it."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for connection in waiting:
            connection.close()


@contextmanager
def serving(talk: Callable[[socket.socket], object], scheme: str) -> Iterator[str]:
    """Give the URL of a server that does this to each connection, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def no_tls() -> Any:
    """Give the URL of a server that answers a TLS greeting in plain text."""

    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    return serving(talk, "https")


def bad_certificate() -> Any:
    """Give the URL of a server with a certificate that no one vouches for."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    def talk(connection: socket.socket) -> None:
        # The client hangs up in the middle of the handshake, as it should.
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(4096)

    return serving(talk, "https")


@pytest.mark.parametrize("call", [UNSAFE, SAFE], ids=["unsafe", "safe"])
@pytest.mark.parametrize(
    ("server", "error", "attempts"),
    [
        (refusing, APIConnectionError, 3),
        (unresolvable, APIConnectionError, 3),
        (full_backlog, APITimeoutError, 3),
        (no_tls, APIConnectionError, 3),
        (bad_certificate, APIConnectionError, 1),
    ],
)
def test_a_call_that_never_left_is_tried_again_unless_that_is_in_vain(
    server: Any, error: type[APIError], attempts: int, call: Call[Any], kind: ClientKind
) -> None:
    """No connection is NOT_SENT, for any call; a bad certificate does not get better."""
    with server() as url, pytest.raises(APIError) as caught:
        kind.respond(
            call,
            api_key="sdk_test",
            base_url=url,
            allow_http=True,
            retry=AT_ONCE,
            timeout=Timeout(connect=0.3),
        )
    assert type(caught.value) is error
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.attempts == attempts


def test_no_free_connection_is_not_sent(sandbox: Sandbox, options: dict[str, Any]) -> None:
    """A call that finds the pool busy for too long was not sent."""
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
    """Call a function of httpx that will fail when the server goes."""
    with suppress(httpx.HTTPError):
        function()


def test_no_free_connection_is_not_sent_async(sandbox: Sandbox, options: dict[str, Any]) -> None:
    """The same with the async client."""

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
    """A later attempt that is rejected does not take back an earlier one that may have worked."""
    sandbox.misbehave("drop-after", Fault.status(401))
    retry = RetryPolicy(backoff=0, treat_as_safe=True)
    with pytest.raises(AuthenticationError) as caught:
        kind.refill(**{**options, "retry": retry})
    assert caught.value.outcome is Outcome.UNKNOWN
    assert sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits == 1500


def test_treat_as_safe_repeats_an_unsafe_call(
    kind: ClientKind, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """Asked to, the client repeats a refill that may have been applied, and it is applied twice."""
    sandbox.misbehave("drop-after")
    answer = kind.refill(**{**options, "retry": RetryPolicy(backoff=0, treat_as_safe=True)})
    assert answer.billing.total_credits == 2000


def test_429_is_repeated_until_it_works(
    kind: ClientKind, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A refill that was turned away with 429 is sent again, and applied once."""
    sandbox.misbehave(Fault.rate_limited(0), Fault.rate_limited(None))
    assert kind.refill(**options).billing.total_credits == 1500
    assert [request.status for request in sandbox.requests] == [429, 429, 200]


def test_the_token_does_not_follow_a_redirect(
    kind: ClientKind, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A redirect to another server is an error, and the other server hears nothing."""
    with Sandbox() as other:
        sandbox.misbehave(Fault.status(307, headers={"Location": f"{other.url}/api/v1/x"}))
        with pytest.raises(APIStatusError, match="the server answered 307"):
            kind.refill(**options)
        assert other.requests == ()


def test_a_total_budget_ends_a_slow_answer(
    kind: ClientKind, sandbox: Sandbox, options: dict[str, Any], tmp_path: Path
) -> None:
    """An answer whose every part comes in time, but not its end, is UNKNOWN."""
    sandbox.misbehave(Fault.slow_body(30))
    with pytest.raises(APITimeoutError) as caught:
        kind.refill(**{**options, "retry": RetryPolicy(budget=0.5)})
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.elapsed < 2
