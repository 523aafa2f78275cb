"""Transports and httpx clients of the application's own: whatever they do, the outcome is true."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from calling import AT_ONCE, REFILL, sending
from failures import slowly, talking

from oneloop import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AsyncOneloop,
    ConfigurationError,
    NotFoundError,
    Oneloop,
    Outcome,
    RetryPolicy,
)
from oneloop._attempt import translated
from oneloop.sandbox import Sandbox
from oneloop.transport import Response, ResponseTooLarge, TransportError

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
    with pytest.raises(ConfigurationError, match="transport is async, and this client is not"):
        Oneloop(api_key="sdk", transport=AsyncGiven(ANSWER))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="methods send and aclose"):
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
    """Its URL shows the name of the parameter in its place, and the token is sent all the same."""
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
