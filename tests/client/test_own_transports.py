"""Transports and httpx clients of the application's own: whatever they do, the outcome is true."""

import asyncio
import gzip
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

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
from oneloop._attempt import translated
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Response, ResponseTooLarge, TransportError
from tests.calling import AT_ONCE, REFILL, sending
from tests.tools.failures import read_request, slowly, talking

ANSWER = Response(200, (), b'{"billing": null}')


class Given:
    """A transport, for both clients, that returns or raises what it is given."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.sends = 0

    def send(self, *_: object) -> Any:
        """Return it, or raise it."""
        self.sends += 1
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given

    def close(self) -> None:
        """Close nothing."""


class AsyncGiven(Given):
    """The same, awaited."""

    async def send(self, *_: object) -> Any:
        """Return it, or raise it."""
        return super().send()

    async def aclose(self) -> None:
        """Close nothing."""


def called(is_async: bool, operation: str, arguments: dict[str, Any], **options: Any) -> Any:
    """Call a method of a new client."""
    options = {"api_key": "sdk", "retry": AT_ONCE, **options}
    if not is_async:
        with Oneloop(**options) as client:
            return getattr(client, operation)(**arguments)

    async def main() -> Any:
        async with AsyncOneloop(**options) as client:
            return await getattr(client, operation)(**arguments)

    return asyncio.run(main())


def refilled(is_async: bool, **options: Any) -> Any:
    """Refill with a new client."""
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
    """By an error of ours, after one attempt: the request is out."""
    transport = (AsyncGiven if is_async else Given)(given)
    with pytest.raises(APIConnectionError, match="the transport returned") as caught:
        refilled(is_async, transport=transport)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert transport.sends == 1


def test_a_response_shows_its_status_alone() -> None:
    """Its headers and body may contain anything."""
    assert repr(Response(200, (("x-key", "4711"),), b"4711")) == "Response(status=200)"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_transport_that_returns_what_it_promises_is_used(is_async: bool) -> None:
    """Its response may have a list of headers."""
    for answer in (ANSWER, Response(200, [["a", "b"]], ANSWER.body)):  # type: ignore[arg-type]
        transport = (AsyncGiven if is_async else Given)(answer)
        assert refilled(is_async, transport=transport).billing is None


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "error", [ValueError("x"), StopIteration(1), httpx.ConnectError("x"), TimeoutError("x")]
)
def test_a_transport_that_raises_something_else_is_unknown(error: Any, is_async: bool) -> None:
    """Its class proves nothing."""
    transport = (AsyncGiven if is_async else Given)(error)
    with pytest.raises(APIConnectionError, match="the transport raised") as caught:
        refilled(is_async, transport=transport)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert transport.sends == 1


class UnfinishedError(TransportError):
    """An error whose constructor does not call that of its base."""

    def __init__(self) -> None:
        """Set nothing."""


class UnlargeError(ResponseTooLarge):
    """The same for an answer that is too large."""

    def __init__(self) -> None:
        """Set nothing."""


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
    """`sent=False`, and nothing that is like it."""
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
    "httpx",
]


@pytest.mark.parametrize("client_class", [Oneloop, AsyncOneloop])
@pytest.mark.parametrize("transport", NOT_TRANSPORTS)
def test_what_is_no_transport_is_refused_when_the_client_is_made(
    transport: Any, client_class: Any
) -> None:
    """Not at the first call, after a request may have gone out."""
    with pytest.raises(ConfigurationError, match="transport must"):
        client_class(api_key="sdk", transport=transport)


def test_a_transport_whose_methods_tell_no_signature_is_used() -> None:
    """As some written in C."""

    class Written:
        send = close = staticmethod(max)

    Oneloop(api_key="sdk", transport=Written())  # type: ignore[arg-type]


def test_a_transport_of_the_other_kind_is_refused() -> None:
    """Either way round, with the remedy."""
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
    """Return a hook that fails."""

    async def async_fail(_: object) -> None:
        raise error

    def fail(_: object) -> None:
        raise error

    return async_fail if is_async else fail


@contextmanager
def own(is_async: bool, **options: Any) -> Iterator[Any]:
    """Make an application's own client."""
    limits = httpx.Limits(max_keepalive_connections=0)  # its event loop will have gone
    client = (httpx.AsyncClient if is_async else httpx.Client)(limits=limits, **options)
    yield client
    asyncio.run(client.aclose()) if is_async else client.close()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_response_hook_that_fails_does_not_repeat_a_refill(
    error: Exception, is_async: bool, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """It was applied: whatever the hook raises, the outcome is unknown and there is one attempt."""
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
    """The client's transport was not asked."""
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
    """A mock, a cache or a retrying one may have sent the request before it fails."""

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
    """Its URL, headers and body, as hooks that log look at them; that is not to send it."""
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
    """What a proxy is asked for before the request is not the request."""

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
    """Httpcore reports that it began to connect, and not that it began to send."""
    with own(is_async) as http, pytest.raises(APIConnectionError) as caught:
        refilled(is_async, http_client=http, base_url="http://127.0.0.1:9")
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.attempts == 3


@pytest.mark.parametrize("is_async", [False, True])
def test_the_total_time_may_run_out_while_reading(is_async: bool) -> None:
    """Between two parts of a body that comes in drips."""
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
    """Its URL shows the name of the parameter in its place, but the token is sent."""
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
    """Such as TLS; a certificate that does not fit stays as it is."""
    for error, passing in ((ssl.SSLError("x"), True), (ssl.SSLCertVerificationError("x"), False)):
        for sent, words in ((True, "the connection was lost"), (False, "cannot connect")):
            found = translated(error, sent=sent)
            assert (found.problem, found.sent, found.passing) == (words, sent, passing)
    assert not translated(RuntimeError("can't start new thread"), sent=False).passing


@pytest.mark.parametrize("via", ["pool", "own", "fast"])
def test_without_an_event_loop_of_asyncio_nothing_is_sent(via: str) -> None:
    """Such as under trio: that is known, and said."""
    with own(is_async=True) as http:
        client = AsyncOneloop(api_key="sdk", **sending(via, http))
        with pytest.raises(APIConnectionError, match="event loop") as caught:
            client.refill_billing_limit(**REFILL).send(None)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.attempts == 1


# Hooks that read the answer, as httpx's own documentation shows


def reading(is_async: bool, then: Callable[[httpx.Response], object] | None = None) -> Any:
    """Return a hook that reads the body, and then does something with the answer."""

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
    """Its connection is not read from again: another request may have it by then."""
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
    """With the message, if the hook has read it."""
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
    """A hook may make calls of its own, which may be turned away."""
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
    """Nothing is left of it, and its connection is not touched."""

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


# What hides how far a request got


def replacing(request: httpx.Request) -> None:
    """Trace the request for the application alone."""
    trace: Any = lambda *_: None  # noqa: E731
    request.extensions["trace"] = trace


def dropping(request: httpx.Request) -> None:
    """Leave only the limits of time."""
    request.extensions = {"timeout": request.extensions["timeout"]}


class Copying(httpx.HTTPTransport):
    """Sends a copy of a request, with its limits and nothing else."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Copy and send."""
        copy = httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.read(),
            extensions={"timeout": request.extensions["timeout"]},
        )
        return super().handle_request(copy)


class Sending(httpx.Client):
    """A client that sends a copy of a request."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Copy and send."""
        copy = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.content
        )
        response = super().send(copy, **options)
        raise httpx.ConnectError(f"after {response}")


class Looking(httpx.BaseTransport):
    """Not httpcore, though it looks at the same limits; it sends, and then fails."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and say that it could not connect."""
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
    """It was applied, the answer was lost, and it is not sent again."""
    sandbox.misbehave("drop-after")
    with CLIENTS[what]() as http, pytest.raises(APIConnectionError) as caught:
        refilled(False, http_client=http, **options)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.attempts == len(sandbox.requests) == 1


def test_a_busy_pool_proves_nothing_where_a_hook_may_have_met_another() -> None:
    """A hook of the application's may fail over a pool of its own."""

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
    """Httpx refuses it before it looks at anything else."""
    key = {"workspace_id": "ws_1", "api_key_id": "x" * 70_000}
    with own(is_async) as http, pytest.raises(APIConnectionError) as caught:
        called(is_async, "delete_api_key", key, http_client=http, **options)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert sandbox.requests == ()
