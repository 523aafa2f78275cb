"""Transports that send with httpx: an application's own client, or a plain one of ours.

This is the only module that imports httpx. A client of httpx2, which has the same interface, is
used with the classes of httpx2.
"""

import asyncio
import re
import ssl
import sys
import time
from functools import cache
from typing import Any, TypeAlias
from weakref import WeakSet

import httpx

from oneloop.transport import Limits, Request, Response, ResponseTooLarge, TransportError

from . import _faults, _proxies, _tls

Client: TypeAlias = httpx.Client
AsyncClient: TypeAlias = httpx.AsyncClient

GRACE = 0.25
"""Seconds after the total time at which an async request is cancelled, in case the limits of its
single steps have not ended it."""


def library_of(client: object, kind: str) -> Any:
    """Return the module, httpx or httpx2, whose `Client` or `AsyncClient` this is, or `None`."""
    loaded = (sys.modules.get(name) for name in ("httpx", "httpx2"))
    return next((one for one in loaded if one and isinstance(client, getattr(one, kind))), None)


class _Sender:
    def __init__(self, client: Any, *, owned: bool = False) -> None:
        self.client = client
        self._owned, self._closed = owned, False
        self._in_flight: WeakSet[_Exchange] = WeakSet()  # an interrupted call leaves by itself

    def _begin(self, kind: str, limits: Limits) -> "_Exchange":
        # This adds a call and then reads `_closed`; closing sets that and then reads the calls. So
        # at least one sees the other, and a client of ours is not closed while a call uses it.
        exchange = _Exchange(library_of(self.client, kind), self.client, limits)
        self._in_flight.add(exchange)
        if self._closed or self.client.is_closed:
            raise _faults.closed()
        return exchange

    def _is_done(self, exchange: "_Exchange | None" = None) -> bool:
        """Remove a call that has ended, and return whether the client is to be closed now."""
        if exchange is not None:
            self._in_flight.discard(exchange)
        return self._owned and self._closed and not self._in_flight


class ClientTransport(_Sender):
    """Sends requests with an `httpx.Client`, which an application keeps unless it is `owned`."""

    def send(self, request: Request, limits: Limits) -> Response:
        exchange = self._begin("Client", limits)
        try:
            outgoing = exchange.prepared(request, exchange.watch.trace)
            answer = self.client.send(outgoing, stream=True, auth=None, follow_redirects=False)
            try:
                if exchange.starts(answer):
                    for chunk in answer.iter_raw():
                        exchange.add(chunk)
            finally:
                answer.close()
        except Exception as error:  # noqa: BLE001 - hooks of the application may raise anything
            exchange.fail(error)
        finally:
            if self._is_done(exchange):
                self.client.close()
        return exchange.result()

    def close(self) -> None:
        """Refuse calls from now on. Close the client after the last of them, if it is ours."""
        self._closed = True
        if self._is_done():
            self.client.close()


class AsyncClientTransport(_Sender):
    """Sends requests with an `httpx.AsyncClient`; see `ClientTransport`."""

    async def send(self, request: Request, limits: Limits) -> Response:
        _faults.running_loop()
        exchange = self._begin("AsyncClient", limits)
        try:
            async with asyncio.timeout(None if limits.total is None else limits.total + GRACE):
                outgoing = exchange.prepared(request, exchange.watch.async_trace)
                answer = await self.client.send(
                    outgoing, stream=True, auth=None, follow_redirects=False
                )
                try:
                    if exchange.starts(answer):
                        async for chunk in answer.aiter_raw():
                            exchange.add(chunk)
                finally:
                    await answer.aclose()
        except Exception as error:  # noqa: BLE001 - hooks of the application may raise anything
            exchange.fail(error)
        finally:
            if self._is_done(exchange):
                await self.client.aclose()
        return exchange.result()

    async def aclose(self) -> None:
        """Refuse calls from now on. Close the client after the last of them, if it is ours."""
        self._closed = True
        if self._is_done():
            await self.client.aclose()


def prepare(base_url: str, ssl_context: ssl.SSLContext | None) -> None:
    """Read what `plain_transport` needs and what takes a while, which is then kept.

    Raises:
        TransportError: A proxy or certificates that the environment names cannot be used.
    """
    proxy = _proxies.proxy_for(base_url)
    is_secure = base_url.startswith("https:") or (proxy is not None and proxy.scheme == "https")
    if is_secure and ssl_context is None:
        _tls.client_context()


def plain_transport(
    base_url: str, ssl_context: ssl.SSLContext | None, max_connections: int, *, is_async: bool
) -> ClientTransport | AsyncClientTransport:
    """Return a transport with a plain httpx client of ours, so that tools see the requests."""
    kind = httpx.AsyncClient if is_async else httpx.Client
    client = _plain_client(kind, base_url, ssl_context, max_connections)
    return (AsyncClientTransport if is_async else ClientTransport)(client, owned=True)


def _plain_client(
    kind: Any, base_url: str, given: ssl.SSLContext | None, max_connections: int
) -> Any:
    """Return a new client that uses the environment as our own connections do."""
    try:
        proxy, through = _proxies.proxy_for(base_url), None
        to_proxy = proxy is not None and proxy.scheme == "https"
        if given is None and (to_proxy or base_url.startswith("https:")):
            given = _tls.client_context()
        # Without TLS, no certificates are loaded. This context trusts no server.
        context = given or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if proxy is not None:
            through = httpx.Proxy(proxy.url.reveal(), ssl_context=context if to_proxy else None)
        # Servers close idle connections after 5 seconds or more.
        limits = httpx.Limits(max_connections=max_connections, keepalive_expiry=4.0)
        return kind(verify=context, proxy=through, limits=limits, trust_env=False)
    except Exception as error:  # noqa: BLE001 - such as a missing package for SOCKS
        _faults.let_through(error)
        failure = _faults.unopened(error)
    raise failure  # here, so that its context is not an error whose frames have the password


class _Exchange:
    """One request: how much of it was sent, what has been received, and what an error means."""

    def __init__(self, library: Any, client: Client | AsyncClient, limits: Limits) -> None:
        self.watch = _Watch()
        self._library, self._client, self._limits = library, client, limits
        self._deadline = None if limits.total is None else time.monotonic() + limits.total
        self._outgoing: Any = None
        self._answer: Any = None
        self._body = bytearray()
        self._reply: Response | Exception | None = None

    def prepared(self, request: Request, trace: Any) -> Any:
        """Return httpx's form of a request."""
        request_class, url_class = _classes(self._library)
        outgoing = request_class(
            request.method,
            request.url,
            headers=list(request.headers),
            content=request.body,
            extensions={"timeout": _Timeouts(self._limits, self.watch), "trace": trace},
        )
        if request.safe_url is not None:
            outgoing.url = url_class(request.url)
            outgoing.url.shown = request.safe_url
        outgoing.watch, self._outgoing = self.watch, outgoing
        return outgoing

    def starts(self, answer: Any) -> bool:
        """Return whether the body is to be read. If a hook has read it, use what the hook read.

        The connection may already serve another request then.
        """
        self._answer = answer
        if not (answer.is_stream_consumed or answer.is_closed):
            return True
        problem = "a hook of the application consumed the answer"
        self._reply = self._read(answer) or TransportError(problem, passing=False)
        return False

    def add(self, chunk: bytes) -> None:
        """Add a part of the body, or raise if there is too much of it, or it took too long."""
        self._body += chunk
        if len(self._body) > self._limits.body:
            raise ResponseTooLarge(self._answer.status_code, _headers(self._answer))
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise _faults.out_of_time()

    def fail(self, error: Exception) -> None:
        """Find the response that an error is about, or the error to raise if there is none."""
        status_error: Any = error if isinstance(error, self._library.HTTPStatusError) else None
        if isinstance(error, TransportError | ResponseTooLarge):
            self._reply = error.with_traceback(None)
        elif status_error and status_error.request is self._outgoing:
            # A hook raised it for the status. httpx has closed the response, read or not.
            answer = status_error.response
            unread = Response(answer.status_code, _headers(answer), b"")
            self._reply = self._read(answer) or unread
        else:
            sent = self._outgoing is not None and not self._is_unsent(error)
            self._reply = translated(error, sent=sent)

    def result(self) -> Response:
        """Return the response, or raise the error, whose context is then not that of httpx."""
        if isinstance(self._reply, Exception):
            raise self._reply
        if self._reply is None:
            answer = self._answer
            return Response(answer.status_code, _headers(answer), bytes(self._body))
        if len(self._reply.body) > self._limits.body:  # a hook reads without a limit
            raise ResponseTooLarge(self._reply.status, self._reply.headers)
        return self._reply

    def _read(self, answer: Any) -> Response | None:
        """Return what a hook has read, which httpx has decompressed; `None` if it read nothing."""
        try:
            body = answer.content
        except self._library.ResponseNotRead:
            return None
        headers = (one for one in _headers(answer) if one[0].lower() != "content-encoding")
        return Response(answer.status_code, tuple(headers), body)

    def _is_unsent(self, error: Exception) -> bool:
        """Return whether it is certain that nothing of the request was sent."""
        library, client, watch = self._library, self._client, self.watch
        if watch.sent or watch.traced:
            return not watch.sent
        if not watch.asked:
            # A subclass of the application's may send a copy of the request.
            return type(client).send in (library.Client.send, library.AsyncClient.send)
        if client.event_hooks["response"]:
            return False  # a hook may have raised the error about a request of its own
        if isinstance(error, library.UnsupportedProtocol):
            # A hook has put such a URL here. A transport that sends to others does not change it.
            return self._outgoing.url.scheme not in ("http", "https")
        # Nothing was sent if the only attempt says that no connection became free.
        return isinstance(error, library.PoolTimeout) and watch.pools == 1


class _Watch:
    """Finds out how far a request got, whatever error the application's hooks raise.

    Attributes:
        asked: Whether the client's transport was asked to send, and so accessed the body's stream.
        traced: Whether that transport reported a step to the `trace` extension, as httpcore does.
        sent: Whether it reported that it began to send the request.
        pools: How often the limit for a free connection was read. httpcore reads it once for each
            time that it sends.
    """

    def __init__(self) -> None:
        self.asked = self.traced = self.sent = self._sent_before = False
        self.pools = 0

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Record a step; see "Request extensions" in the documentation of httpx."""
        self.traced = True
        if event.endswith(".send_request_headers.started"):
            self._sent_before = self.sent
            # A CONNECT request to a proxy precedes the request.
            self.sent |= getattr(info.get("request"), "method", b"") != b"CONNECT"
        elif (event, type(info.get("exception")).__name__) == _REFUSED:
            self.sent = self._sent_before

    async def async_trace(self, event: str, info: dict[str, Any]) -> None:
        """The same, as httpx expects it from an async client."""
        self.trace(event, info)


_REFUSED = "http11.send_request_headers.failed", "LocalProtocolError"
"""The report that headers were found invalid, of which nothing was written."""


class _Timeouts(dict[str, float | None]):
    """The limits of the single steps. httpcore reads them before it does anything else."""

    def __init__(self, limits: Limits, watch: _Watch) -> None:
        connect, read = limits.connect, limits.read
        super().__init__(connect=connect, pool=connect, read=read, write=read)
        self._watch = watch

    def get(self, key: str, default: Any = None) -> Any:
        self._watch.pools += key == "pool"
        return super().get(key, default)


class _Request:
    """A request that records when it is about to be sent: nothing reads its stream before that."""

    watch = _Watch()  # a placeholder: httpx itself accesses the stream in its constructor

    @property
    def stream(self) -> Any:
        self.watch.asked = True
        return self._content_stream

    @stream.setter
    def stream(self, stream: Any) -> None:
        self._content_stream = stream


class _QuietURL:
    """A URL with a secret in its path, which is not shown: httpx and applications log URLs."""

    shown = ""

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"URL({self.shown!r})"


@cache
def _classes(library: Any) -> tuple[Any, Any]:
    request = type("Request", (_Request, library.Request), {})
    return request, type("URL", (_QuietURL, library.URL), {})


def _headers(answer: Any) -> tuple[tuple[str, str], ...]:
    raw = answer.headers.raw
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)


_WORDS = {
    "ConnectError": _faults.CONNECTING,
    "ConnectTimeout": _faults.unconnected().problem,
    "PoolTimeout": _faults.busy().problem,
    "ReadTimeout": _faults.unanswered().problem,
    "WriteTimeout": _faults.unsent().problem,
    "ReadError": _faults.WAITING,
    "WriteError": _faults.SENDING,
    "RemoteProtocolError": "the server broke HTTP",
    "ProxyError": "the proxy refused",
    "TimeoutError": _faults.out_of_time().problem,
}
"""Problems by the name of an error of httpx."""


def translated(error: Exception, *, sent: bool) -> TransportError:
    """Return our error for an exception of httpx, of a hook, or of a library below httpx."""
    _faults.let_through(error)
    name, detail = type(error).__name__, str(error)
    if not sent and name == "TimeoutError":  # the total time ran out before a request was sent
        name = "ConnectTimeout"
    words, final = _WORDS.get(name), False
    if name == "ProxyError":
        final = re.match(r"40[37]\b|Invalid username", detail) is not None
    elif isinstance(error, UnicodeError):  # a host name that cannot be looked up
        words, final = _faults.CONNECTING, True
    elif not sent and isinstance(error, RuntimeError) and re.search("new (thr|fut)", detail):
        words, final = _faults.CONNECTING, "shutdown" in detail
    elif words is None and isinstance(error, OSError):
        words = "the connection was lost" if sent else _faults.CONNECTING
    return TransportError(
        words or f"httpx or a hook raised {name}",
        detail=detail,
        sent=sent,
        timeout=name.endswith("Timeout") or isinstance(error, TimeoutError),
        passing=words is not None and not final and not _tls.is_final(error),
    )
