"""Own transports and httpx clients of an application: the outcome is right, whatever they do."""

import asyncio
import gzip
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

import oneloop
from oneloop import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncOneloop,
    ConfigurationError,
    NotFoundError,
    Oneloop,
    Outcome,
    ResponseTooLargeError,
    RetryPolicy,
)
from oneloop._http._httpx import translated
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Response, ResponseTooLarge, TransportError
from tests.calling import AT_ONCE, REFILL, sending
from tests.tools.failures import read_request, slowly, talking

ANSWER = Response(200, (), b'{"billing": null}')


class Given:
    """A transport that returns or raises the given object."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.sends = 0

    def send(self, *_: object) -> Any:
        """Return or raise the given object."""
        self.sends += 1
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given

    def close(self) -> None:
        """Do nothing."""


class AsyncGiven(Given):
    """The async version of `Given`."""

    async def send(self, *_: object) -> Any:
        """Return or raise the given object."""
        return super().send()

    async def aclose(self) -> None:
        """Do nothing."""


def called(is_async: bool, operation: str, arguments: dict[str, Any], **options: Any) -> Any:
    """Call an operation with a new client."""
    options = {"api_key": "sdk", "retry": AT_ONCE, **options}
    if not is_async:
        with Oneloop(**options) as client:
            return getattr(client, operation)(**arguments)

    async def main() -> Any:
        async with AsyncOneloop(**options) as client:
            return await getattr(client, operation)(**arguments)

    return asyncio.run(main())


def refilled(is_async: bool, **options: Any) -> Any:
    """Refill a meter with a new client."""
    return called(is_async, "refill_billing_limit", REFILL, **options)


WRONG = [
    None,
    b"{}",
    200,
    httpx.Response(200, json={"billing": None}),
    Response("200", (), b"{}"),  # type: ignore[arg-type]
    Response(20, (), b"{}"),
    Response(200, None, b"{}"),  # type: ignore[arg-type]
    Response(200, {"a": "b"}, b"{}"),  # type: ignore[arg-type]
    Response(200, ((b"a", b"b"),), b"{}"),  # type: ignore[arg-type]
    Response(200, (("a",),), b"{}"),  # type: ignore[arg-type]
    Response(200, (5,), b"{}"),  # type: ignore[arg-type]
    Response(200, iter([("a", "b")]), b"{}"),  # type: ignore[arg-type]
    Response(200, (), "{}"),  # type: ignore[arg-type]
    Response(200, (), None),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("given", WRONG)
def test_a_transport_that_returns_something_else_is_unknown(given: Any, is_async: bool) -> None:
    """If a transport returns no valid response, the call is UNKNOWN and is not sent again."""
    transport = (AsyncGiven if is_async else Given)(given)
    with pytest.raises(APIConnectionError, match="the transport returned") as caught:
        refilled(is_async, transport=transport)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert transport.sends == 1


def test_a_response_shows_its_status_alone() -> None:
    """The repr of a response omits its headers and body, which may contain secrets."""
    assert repr(Response(200, (("x-key", "4711"),), b"4711")) == "Response(status=200)"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_transport_that_returns_what_it_promises_is_used(is_async: bool) -> None:
    """A valid response of a transport is used; its headers may also be lists."""
    for answer in (ANSWER, Response(200, [["a", "b"]], ANSWER.body)):  # type: ignore[arg-type]
        transport = (AsyncGiven if is_async else Given)(answer)
        assert refilled(is_async, transport=transport).billing is None


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "error", [ValueError("x"), StopIteration(1), httpx.ConnectError("x"), TimeoutError("x")]
)
def test_a_transport_that_raises_something_else_is_unknown(error: Any, is_async: bool) -> None:
    """If a transport raises any other exception, the call is UNKNOWN, whatever its class."""
    transport = (AsyncGiven if is_async else Given)(error)
    with pytest.raises(APIConnectionError, match="the transport raised") as caught:
        refilled(is_async, transport=transport)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert transport.sends == 1


class UnfinishedError(TransportError):
    """An error whose constructor does not call that of its base."""

    def __init__(self) -> None:
        """Set no attributes."""


class UnlargeError(ResponseTooLarge):
    """A `ResponseTooLarge` whose constructor does not call that of its base."""

    def __init__(self) -> None:
        """Set no attributes."""


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        UnfinishedError(),
        UnlargeError(),
        TransportError("lost", sent=None),  # type: ignore[arg-type]
        TransportError(5, sent=0, detail=6),  # type: ignore[arg-type]
        TransportError(None),  # type: ignore[arg-type]
        ResponseTooLarge("x", ()),  # type: ignore[arg-type]
        ResponseTooLarge(200, None),  # type: ignore[arg-type]
        ResponseTooLarge(200, iter([("a", "b")])),  # type: ignore[arg-type]
    ],
)
def test_only_a_transport_that_says_so_has_not_sent(error: Exception, is_async: bool) -> None:
    """Only an error with exactly `sent=False` is NOT_SENT; with None or 0 it is UNKNOWN."""
    transport = (AsyncGiven if is_async else Given)(error)
    with pytest.raises(APIConnectionError) as caught:
        refilled(is_async, transport=transport)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert transport.sends == 1


NOT_TRANSPORTS = [
    httpx.HTTPTransport(),
    httpx.Client(),
    object(),
    Given,
    5,
    {"send": print, "close": print},
    "fast",
]


@pytest.mark.parametrize("client_class", [Oneloop, AsyncOneloop])
@pytest.mark.parametrize("transport", NOT_TRANSPORTS)
def test_what_is_no_transport_is_refused_when_the_client_is_made(
    transport: Any, client_class: Any
) -> None:
    """An object that is not a transport is refused by the constructor, not by the first call."""
    with pytest.raises(ConfigurationError, match="transport must"):
        client_class(api_key="sdk", transport=transport)


def test_a_transport_whose_methods_tell_no_signature_is_used() -> None:
    """A transport whose methods have no signature, such as some written in C, is accepted."""

    class Written:
        send = close = staticmethod(max)

    Oneloop(api_key="sdk", transport=Written())  # type: ignore[arg-type]


def test_a_transport_of_the_other_kind_is_refused() -> None:
    """Each client refuses a transport of the other kind, and the error says what is required."""
    with pytest.raises(ConfigurationError, match="transport must be blocking; AsyncGiven is async"):
        Oneloop(api_key="sdk", transport=AsyncGiven(ANSWER))  # type: ignore[arg-type]
    with pytest.raises(
        ConfigurationError, match=r"implement oneloop\.transport\.AsyncTransport, got Given"
    ):
        AsyncOneloop(api_key="sdk", transport=Given(ANSWER))  # type: ignore[arg-type]


# An application's own httpx client

FAILURES = [
    httpx.ConnectError("in a hook"),
    httpx.ConnectTimeout("in a hook"),
    httpx.PoolTimeout("in a hook"),
    httpx.ProxyError("in a hook"),
    httpx.UnsupportedProtocol("in a hook"),
    httpx.InvalidURL("in a hook"),
    ValueError("in a hook"),
    OSError("in a hook"),
]


def hook(error: Exception, is_async: bool) -> Callable[..., Any]:
    """Return a hook that raises an error."""

    async def async_fail(_: object) -> None:
        raise error

    def fail(_: object) -> None:
        raise error

    return async_fail if is_async else fail


@contextmanager
def own(is_async: bool, **options: Any) -> Iterator[Any]:
    """Yield an httpx client as an application makes it, and close it afterwards."""
    limits = httpx.Limits(max_keepalive_connections=0)  # its event loop is closed by then
    client = (httpx.AsyncClient if is_async else httpx.Client)(limits=limits, **options)
    yield client
    asyncio.run(client.aclose()) if is_async else client.close()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_response_hook_that_fails_does_not_repeat_a_refill(
    error: Exception, is_async: bool, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """If a response hook raises, the refill, which was applied, is UNKNOWN and not sent again."""
    hooks = {"response": [hook(error, is_async)]}
    with own(is_async, event_hooks=hooks) as http, pytest.raises(APIError) as caught:
        refilled(is_async, http_client=http, **options)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.attempts == len(sandbox.requests) == 1
    assert sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits == 1500


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_request_hook_that_fails_is_not_sent(
    error: Exception, is_async: bool, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """If a request hook raises, the call is NOT_SENT, as the transport was not used yet."""
    hooks = {"request": [hook(error, is_async)]}
    with own(is_async, event_hooks=hooks) as http, pytest.raises(APIError) as caught:
        refilled(is_async, http_client=http, **options)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert sandbox.requests == ()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_transport_of_httpx_that_is_not_known_proves_nothing(
    error: Exception, is_async: bool
) -> None:
    """If an unknown httpx transport raises, the call is UNKNOWN, as it may have been sent."""

    def applied(_: httpx.Request) -> httpx.Response:
        raise error

    transport = httpx.MockTransport(applied)
    with own(is_async, transport=transport) as http, pytest.raises(APIError) as caught:
        refilled(is_async, http_client=http)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.attempts == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_a_hook_sees_the_request_as_it_is(
    is_async: bool, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A hook can read the URL, headers and body of a request without this counting as sending."""
    seen: list[Any] = []

    def look(request: httpx.Request) -> None:
        seen.append((str(request.url), request.content, request.headers["authorization"]))
        raise ValueError("stop here")

    async def async_look(request: httpx.Request) -> None:
        look(request)

    hooks = {"request": [async_look if is_async else look]}
    with own(is_async, event_hooks=hooks) as http, pytest.raises(APIError) as caught:
        refilled(is_async, http_client=http, **options)
    assert caught.value.outcome is Outcome.NOT_SENT
    (url, body, key) = seen[0]
    assert url == f"{sandbox.url}/api/v1/customer-billing/refill"
    assert b'"refill":500' in body
    assert key == f"Bearer {sandbox.api_key}"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_proxy_that_refuses_is_not_sent(is_async: bool) -> None:
    """If the proxy refuses a CONNECT request, the call is NOT_SENT."""

    def refuse(connection: Any) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")

    with (
        talking(refuse) as proxy,
        own(is_async, proxy=proxy.url) as http,
        pytest.raises(APIConnectionError, match="the proxy refused") as caught,
    ):
        refilled(is_async, http_client=http, base_url="https://oneloop.invalid")
    assert caught.value.outcome is Outcome.NOT_SENT


@pytest.mark.parametrize("is_async", [False, True])
def test_a_connection_that_cannot_be_made_is_not_sent(is_async: bool) -> None:
    """If no connection can be opened, the call is NOT_SENT, after three attempts."""
    with own(is_async) as http, pytest.raises(APIConnectionError) as caught:
        refilled(is_async, http_client=http, base_url="http://127.0.0.1:9")
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.attempts == 3


@pytest.mark.parametrize("is_async", [False, True])
def test_the_total_time_may_run_out_while_reading(is_async: bool) -> None:
    """The total time can run out between two parts of a body that arrives slowly."""
    serve = slowly("HTTP/1.1 200 OK\nContent-Length: 1000\n\n", b" ")
    retry = RetryPolicy(budget=0.5)
    with serve() as server, own(is_async) as http, pytest.raises(APITimeoutError) as caught:
        refilled(is_async, http_client=http, base_url=server.url, retry=retry)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.attempts == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_a_hook_does_not_log_a_link_token(
    is_async: bool, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """In the URL that a hook sees, `{token}` replaces the link token, which is still sent."""
    seen: list[str] = []

    def look(request: httpx.Request) -> None:
        seen.extend((str(request.url), repr(request.url), repr(request)))

    async def async_look(request: httpx.Request) -> None:
        look(request)

    hooks = {"request": [async_look if is_async else look]}
    with own(is_async, event_hooks=hooks) as http, pytest.raises(NotFoundError):
        called(is_async, "validate_link_token", {"token": "lt_4711"}, http_client=http, **options)
    assert len(seen) == 3
    assert "4711" not in "".join(seen)
    assert seen[0] == f"{sandbox.url}/api/v1/link-token/{{token}}"
    assert len(sandbox.requests) == 1


def test_what_breaks_below_http_is_a_lost_connection() -> None:
    """A TLS error may be retried, except for an invalid certificate, which would not change."""
    for error, passing in ((ssl.SSLError("x"), True), (ssl.SSLCertVerificationError("x"), False)):
        for sent, words in ((True, "the connection was lost"), (False, "cannot connect")):
            found = translated(error, sent=sent)
            assert (found.problem, found.sent, found.passing) == (words, sent, passing)
    assert translated(RuntimeError("can't start new thread"), sent=False).passing
    assert not translated(RuntimeError("no current event loop"), sent=False).passing


@pytest.mark.parametrize("via", ["pool", "own", "httpx"])
def test_without_an_event_loop_of_asyncio_nothing_is_sent(via: str) -> None:
    """Without an asyncio event loop, for example under trio, a call is NOT_SENT."""
    with own(is_async=True) as http:
        client = AsyncOneloop(api_key="sdk", **sending(via, http))
        with pytest.raises(APIConnectionError, match="event loop") as caught:
            client.refill_billing_limit(**REFILL).send(None)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.attempts == 1


# Hooks that read the response, as in the documentation of httpx


def reading(is_async: bool, then: Callable[[httpx.Response], object] | None = None) -> Any:
    """Return a hook that reads the body and then calls a function with the response."""

    def read(response: httpx.Response) -> None:
        response.read()
        if then:
            then(response)

    async def async_read(response: httpx.Response) -> None:
        await response.aread()
        if then:
            then(response)

    return {"response": [async_read if is_async else read]}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_an_answer_that_a_hook_has_read_is_used(is_async: bool, coding: str) -> None:
    """A response that a hook has read is used without reading from its connection again.

    By then, the connection may belong to another request.
    """
    body = b'{"billing": null}'
    sent = gzip.compress(body) if coding == "gzip" else body
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(sent)}\r\n\r\n"

    def talk(connection: Any) -> None:
        while read_request(connection):
            connection.sendall(head.encode() + sent)

    with talking(talk) as server, own(is_async, event_hooks=reading(is_async)) as http:
        assert refilled(is_async, http_client=http, base_url=server.url).billing is None
        with pytest.raises(ResponseTooLargeError):
            refilled(is_async, http_client=http, base_url=server.url, max_response_bytes=10)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_hook_that_raises_for_a_status_is_that_status(
    status: int, reads: bool, is_async: bool, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A hook may call `raise_for_status`; the status error has the body if the hook read it."""
    hooks = reading(is_async, httpx.Response.raise_for_status)
    if not reads:

        def fail(response: httpx.Response) -> None:
            response.raise_for_status()

        async def async_fail(response: httpx.Response) -> None:
            response.raise_for_status()

        hooks = {"response": [async_fail if is_async else fail]}
    sandbox.misbehave(Fault.status(status), times=3)
    with own(is_async, event_hooks=hooks) as http, pytest.raises(APIStatusError) as caught:
        refilled(is_async, http_client=http, **options)
    assert caught.value.status_code == status
    assert caught.value.attempts == len(sandbox.requests) == (3 if status == 429 else 1)
    assert bool(caught.value.body) is reads


@pytest.mark.parametrize("is_async", [False, True])
def test_a_status_error_of_another_call_is_not_this_answer(
    is_async: bool, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A status error from a hook's own request is not taken for the status of this call."""
    other = httpx.Request("GET", "http://other.test")
    error = httpx.HTTPStatusError("x", request=other, response=httpx.Response(429, request=other))
    hooks = {"response": [hook(error, is_async)]}
    with own(is_async, event_hooks=hooks) as http, pytest.raises(APIConnectionError) as caught:
        refilled(is_async, http_client=http, **options)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("how", ["closed", "consumed"])
def test_an_answer_that_a_hook_consumed_is_unknown(
    how: str, is_async: bool, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """If a hook has closed or consumed the response, the call is UNKNOWN and not sent again."""

    def consume(response: httpx.Response) -> None:
        response.close() if how == "closed" else [*response.iter_raw()]

    async def async_consume(response: httpx.Response) -> None:
        if how == "closed":
            await response.aclose()
        else:
            async for _ in response.aiter_raw():
                pass

    hooks = {"response": [async_consume if is_async else consume]}
    with own(is_async, event_hooks=hooks) as http, pytest.raises(APIConnectionError) as caught:
        refilled(is_async, http_client=http, **options)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert len(sandbox.requests) == 1


# Clients that hide how much of a request was sent


def replacing(request: httpx.Request) -> None:
    """Replace the trace of a request with the application's own."""
    trace: Any = lambda *_: None  # noqa: E731
    request.extensions["trace"] = trace


def dropping(request: httpx.Request) -> None:
    """Remove all extensions of a request except its timeouts."""
    request.extensions = {"timeout": request.extensions["timeout"]}


class Copying(httpx.HTTPTransport):
    """A transport that sends a copy of the request, with its timeouts but without its trace."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Copy the request, and send the copy."""
        copy = httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.read(),
            extensions={"timeout": request.extensions["timeout"]},
        )
        return super().handle_request(copy)


class Sending(httpx.Client):
    """A client that sends a copy of the request, and then raises an error."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a copy of the request, and raise an error after the response."""
        copy = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.content
        )
        response = super().send(copy, **options)
        raise httpx.ConnectError(f"after {response}")


class Looking(httpx.BaseTransport):
    """A transport without httpcore that uses the same timeouts; it sends, and then fails."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a copy of the request, then claim that no connection could be opened."""
        request.extensions["timeout"].get("pool")
        copy = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read()
        )
        with httpx.HTTPTransport() as transport:
            transport.handle_request(copy)
        raise httpx.ConnectError("no")


CLIENTS: dict[str, Callable[[], httpx.Client]] = {
    "a hook that traces by itself": lambda: httpx.Client(event_hooks={"request": [replacing]}),
    "a hook that drops the trace": lambda: httpx.Client(event_hooks={"request": [dropping]}),
    "a transport that copies": lambda: httpx.Client(transport=Copying()),
    "a transport of another engine": lambda: httpx.Client(transport=Looking()),
    "a client that copies": Sending,
}


@pytest.mark.parametrize("what", CLIENTS)
def test_a_request_that_cannot_be_watched_is_unknown(
    what: str, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """If it cannot be observed what was sent, a failed call is UNKNOWN and not sent again."""
    sandbox.misbehave("drop-after")
    with CLIENTS[what]() as http, pytest.raises(APIConnectionError) as caught:
        refilled(False, http_client=http, **options)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.attempts == len(sandbox.requests) == 1


def test_a_busy_pool_proves_nothing_where_a_hook_may_have_met_another() -> None:
    """A pool timeout is UNKNOWN if it may come from a hook that uses a pool of its own."""

    def applied(request: httpx.Request) -> httpx.Response:
        request.extensions["timeout"].get("pool")
        return httpx.Response(200, json={"billing": None})

    hooks = {"response": [hook(httpx.PoolTimeout("mine"), is_async=False)]}
    transport = httpx.MockTransport(applied)
    with (
        httpx.Client(transport=transport, event_hooks=hooks) as http,
        pytest.raises(APITimeoutError) as caught,
    ):
        refilled(False, http_client=http)
    assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("is_async", [False, True])
def test_a_url_that_is_too_long_for_httpx_is_not_sent(
    is_async: bool, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A call whose URL is too long for httpx, which then sends nothing, is NOT_SENT."""
    key = {"workspace_id": "ws_1", "api_key_id": "x" * 70_000}
    with own(is_async) as http, pytest.raises(APIConnectionError) as caught:
        called(is_async, "delete_api_key", key, http_client=http, **options)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert sandbox.requests == ()


# Modules that cannot be loaded any more


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("module", ["_failures", "_transports"])
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (TransportError("no", sent=False, passing=False), Outcome.NOT_SENT),
        (ResponseTooLarge(200, ()), Outcome.UNKNOWN),
        (OSError("no"), Outcome.UNKNOWN),
        (ANSWER, None),
        (Response(500, (), b""), Outcome.UNKNOWN),
    ],
    ids=["unsent", "too large", "broken", "answered", "status"],
)
def test_without_the_modules_for_failures_the_outcome_is_true(
    fault: Any,
    outcome: Outcome | None,
    module: str,
    is_async: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If no module can be loaded, at exit or without file descriptors, errors are still ours."""
    transport = (AsyncGiven if is_async else Given)(fault)
    client: Any = (AsyncOneloop if is_async else Oneloop)(api_key="sdk", transport=transport)
    for name in (module, "_signals"):
        monkeypatch.setitem(sys.modules, f"oneloop.{name}", None)
        monkeypatch.delattr(oneloop, name, raising=False)

    def call() -> Any:
        called = client.refill_billing_limit(**REFILL)
        return asyncio.run(called) if is_async else called

    if outcome is None:
        assert call().billing is None
        return
    with pytest.raises(APIError) as caught:
        call()
    assert caught.value.outcome is outcome
