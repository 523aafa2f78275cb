"""The default transports: httpx. The only module that imports it.

`httpx.HTTPTransport` is driven directly: it brings httpx's pool, TLS, proxies and protocol code
without what an API client must not have (redirects that the token would follow, cookies, `.netrc`,
log lines with URLs). An application's own `httpx.Client` is used whole, at its own cost.
"""

import asyncio
import os
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import httpx

from .transport import Limits, Request, Response, ResponseTooLarge, TransportError

Client: TypeAlias = httpx.Client
AsyncClient: TypeAlias = httpx.AsyncClient

PoolT = TypeVar("PoolT", httpx.HTTPTransport, httpx.AsyncHTTPTransport)

CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0)
"""httpx's own defaults. Servers close idle connections after 5 s or more (uvicorn: 5 s)."""

NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
"""What httpx raises before the first byte of a request goes out."""

DEADLINE_GRACE = 0.25
"""Seconds past the total limit after which an async request is cancelled from outside.

httpx's own limits, which are never longer than the total, are to run out first: only they tell
whether the request was sent."""


class HttpxTransport:
    """Sends requests with httpx, blocking. Threads share it; a forked process gets its own pool."""

    def __init__(self, base_url: str, client: Client | None = None) -> None:
        """Prepare for one host, without opening anything; or use an application's own client."""
        self._base_url = base_url
        self._client = client
        self._lock = threading.Lock()
        self._pool: httpx.HTTPTransport | None = None
        self._pid = os.getpid()
        self._closed = False

    def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.Transport`."""
        deadline = _deadline(limits)
        try:
            answer = self._handle(_outgoing(request, limits))
            try:
                body = _read(answer, deadline, limits)
            finally:
                answer.close()
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            failure = _translated(error)
        else:
            return Response(answer.status_code, _headers(answer), body)
        # Raised out here, so that the httpx error, which holds the request with its token, is not
        # kept as this one's context.
        raise failure

    def _handle(self, outgoing: httpx.Request) -> httpx.Response:
        if self._client is not None:
            return self._client.send(outgoing, stream=True, follow_redirects=False)
        with self._lock:
            if self._closed:
                raise _closed()
            if self._pool is None or self._pid != os.getpid():
                self._pool = _open(httpx.HTTPTransport, self._base_url)
                self._pid = os.getpid()
            pool = self._pool
        return pool.handle_request(outgoing)

    def close(self) -> None:
        """Close all connections. An application's own client is left to it."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None and self._pid == os.getpid():
            pool.close()


class AsyncHttpxTransport:
    """Sends requests with httpx, async. Each event loop gets its own pool."""

    def __init__(self, base_url: str, client: AsyncClient | None = None) -> None:
        """Prepare for one host, without opening anything; or use an application's own client."""
        self._base_url = base_url
        self._client = client
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncHTTPTransport]
        self._pools = WeakKeyDictionary()
        self._pid = os.getpid()
        self._closed = False

    async def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.AsyncTransport`."""
        deadline = _deadline(limits)
        total = None if limits.total is None else limits.total + DEADLINE_GRACE
        try:
            async with asyncio.timeout(total):
                answer = await self._handle(_outgoing(request, limits))
                try:
                    body = await _aread(answer, deadline, limits)
                finally:
                    await answer.aclose()
        except TimeoutError:
            failure = TransportError("no answer within the total time", timeout=True)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            failure = _translated(error)
        else:
            return Response(answer.status_code, _headers(answer), body)
        raise failure  # out here for the reason given in HttpxTransport.send

    async def _handle(self, outgoing: httpx.Request) -> httpx.Response:
        if self._client is not None:
            return await self._client.send(outgoing, stream=True, follow_redirects=False)
        if self._closed:
            raise _closed()
        if self._pid != os.getpid():
            self._pools, self._pid = WeakKeyDictionary(), os.getpid()
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = _open(httpx.AsyncHTTPTransport, self._base_url)
        return await pool.handle_async_request(outgoing)

    async def aclose(self) -> None:
        """Close this event loop's connections. An application's own client is left to it."""
        self._closed = True
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None and self._pid == os.getpid():
            await pool.aclose()


def _open(kind: type[PoolT], base_url: str) -> PoolT:
    try:
        return kind(limits=CONNECTIONS, proxy=environment_proxy(base_url))
    except Exception as error:  # noqa: BLE001 - a proxy or certificate file that the environment names
        failure = TransportError(f"cannot open connections: {error}", sent=False, passing=False)
    raise failure


def environment_proxy(
    url: str,
    proxies: Callable[[], dict[str, str]] = getproxies,
    bypass: Callable[[str], object] = proxy_bypass,
) -> str | None:
    """Return the proxy that the environment (`HTTPS_PROXY`, `NO_PROXY` ...) names for a URL."""
    parts = urlsplit(url)
    if not parts.hostname or bypass(parts.netloc):
        return None
    found = proxies()
    proxy = found.get(parts.scheme) or found.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _outgoing(request: Request, limits: Limits) -> httpx.Request:
    timeout = {
        "connect": limits.connect,
        "pool": limits.connect,
        "read": limits.read,
        "write": limits.read,
    }
    return httpx.Request(
        request.method,
        request.url,
        headers=list(request.headers),
        content=request.body,
        extensions={"timeout": timeout},
    )


def _headers(answer: httpx.Response) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw
    )


def _read(answer: httpx.Response, deadline: float | None, limits: Limits) -> bytes:
    chunks: Iterator[bytes] = answer.iter_raw()
    body = bytearray()
    for chunk in chunks:
        body += chunk
        _check(answer, body, deadline, limits)
    return bytes(body)


async def _aread(answer: httpx.Response, deadline: float | None, limits: Limits) -> bytes:
    chunks: AsyncIterator[bytes] = answer.aiter_raw()
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        _check(answer, body, deadline, limits)
    return bytes(body)


def _check(answer: httpx.Response, body: bytearray, deadline: float | None, limits: Limits) -> None:
    if len(body) > limits.body:
        raise ResponseTooLarge(answer.status_code, _headers(answer))
    if deadline is not None and time.monotonic() > deadline:
        raise TransportError("no whole answer within the total time", timeout=True)


def _deadline(limits: Limits) -> float | None:
    return None if limits.total is None else time.monotonic() + limits.total


def _closed() -> TransportError:
    return TransportError("the client is closed", sent=False, passing=False)


def _translated(error: Exception) -> TransportError:
    words = _WORDS.get(type(error), type(error).__name__)
    detail = " ".join(str(error).split())
    permanent = isinstance(
        error, httpx.UnsupportedProtocol | httpx.LocalProtocolError | httpx.InvalidURL
    )
    return TransportError(
        f"{words}: {detail}" if detail else words,
        sent=not isinstance(error, NEVER_SENT),
        timeout=isinstance(error, httpx.TimeoutException),
        passing=not permanent and not _is_certificate_failure(error),
    )


_WORDS: dict[type[Exception], str] = {
    httpx.ConnectError: "cannot connect",
    httpx.ConnectTimeout: "no connection in time",
    httpx.PoolTimeout: "no free connection in time",
    httpx.ReadTimeout: "no answer in time",
    httpx.WriteTimeout: "the request could not be sent in time",
    httpx.ReadError: "the connection was lost while waiting",
    httpx.WriteError: "the connection was lost while sending",
    httpx.RemoteProtocolError: "the server broke HTTP",
    httpx.ProxyError: "the proxy refused",
}


def _is_certificate_failure(error: BaseException | None) -> bool:
    """Whether TLS failed over a certificate: that does not pass by itself."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
