"""The default transports: httpx. The only module that imports it, and httpcore, its engine.

By default httpcore's pool is driven directly: it is httpx's own pool, TLS, proxy and protocol code,
without what an API client must not have (redirects that the token would follow, cookies, log lines
with URLs). Between the pool and the sockets stands a thin layer that knows two things which httpx
does not tell: when the whole call must end, and whether any of it was sent.

An application's own `httpx.Client` is used whole, at its own cost and with its own limits.
"""

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import httpcore
import httpx
from attrs import define, field

from .transport import Limits, Request, Response, ResponseTooLarge, TransportError

Client: TypeAlias = httpx.Client
AsyncClient: TypeAlias = httpx.AsyncClient

MAX_CONNECTIONS = 100
"""Connections of one client at most, in use or not. A call that finds them all busy waits."""

MAX_HEADER_BYTES = httpcore.HTTP11Connection.MAX_INCOMPLETE_EVENT_SIZE
"""Bytes of an answer's status line and headers at most: httpcore's own limit, 100 KiB."""

POOL = {
    "max_connections": MAX_CONNECTIONS,
    "max_keepalive_connections": 20,
    # Seconds. Servers close idle connections too (uvicorn after 5); better that we do it first.
    "keepalive_expiry": 5.0,
}

NEVER_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
"""What an application's own `httpx.Client` raises before the first byte of a request goes out."""

GRACE = 0.25
"""Seconds past the total time after which an async request is cancelled from outside, in case the
limits of its single steps did not end it."""


class PoolTransport:
    """Sends requests over a pool of connections, blocking. Threads share it.

    A forked process gets connections of its own. `close` lets calls in flight end first: to close
    a socket under a thread that reads from it could give it another call's answer.
    """

    def __init__(self, base_url: str) -> None:
        """Prepare for one host, without opening anything."""
        self._base_url = base_url
        self._closed = False
        # By process, and without a lock around it: one that was held at a fork would stay locked.
        self._pools: dict[int, _Pool] = {}

    def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.Transport`."""
        attempt = _Attempt.at(request, limits)
        with self._connections() as pool, attempt:
            try:
                answer = pool.handle_request(_outgoing(request, limits))
                try:
                    body = bytearray()
                    for chunk in answer.iter_stream():
                        body += chunk
                        attempt.check(body, answer, limits)
                finally:
                    answer.close()
            except _HTTPCORE_ERRORS as error:
                failure = _translated(error, sent=attempt.wrote)
            else:
                return Response(answer.status, _headers(answer), bytes(body))
        # Raised out here, so that the error does not keep httpcore's, and its frames, as context.
        raise failure

    @contextmanager
    def _connections(self) -> Generator[httpcore.ConnectionPool]:
        pid = os.getpid()
        pool = self._pools.get(pid)
        if pool is None:
            pool = self._pools.setdefault(pid, _Pool(_open_pool(self._base_url)))
        with pool.lock:
            if self._closed:
                raise _closed()
            pool.users += 1
        try:
            yield pool.connections
        finally:
            with pool.lock:
                pool.users -= 1
                last = pool.closing and not pool.users
            if last:
                pool.connections.close()

    def close(self) -> None:
        """Refuse calls from now on, and close all connections once those in flight have ended."""
        pool = self._pools.get(os.getpid())
        if pool is None:
            self._closed = True
            return
        with pool.lock:
            self._closed = pool.closing = True
            idle = not pool.users
        if idle:
            pool.connections.close()


class AsyncPoolTransport:
    """Sends requests over a pool of connections, async. Each event loop has its own.

    `aclose` lets calls in flight end first.
    """

    def __init__(self, base_url: str) -> None:
        """Prepare for one host, without opening anything."""
        self._base_url = base_url
        self._closed = False
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _AsyncPool] = WeakKeyDictionary()

    async def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.AsyncTransport`."""
        attempt = _Attempt.at(request, limits)
        total = None if limits.total is None else limits.total + GRACE
        async with self._connections(limits) as pool:
            with attempt:
                try:
                    async with asyncio.timeout(total):
                        answer = await pool.handle_async_request(_outgoing(request, limits))
                        try:
                            body = bytearray()
                            async for chunk in answer.aiter_stream():
                                body += chunk
                                attempt.check(body, answer, limits)
                        finally:
                            await answer.aclose()
                except TimeoutError:
                    failure = _out_of_time(sent=attempt.wrote)
                except _HTTPCORE_ERRORS as error:
                    failure = _translated(error, sent=attempt.wrote)
                else:
                    return Response(answer.status, _headers(answer), bytes(body))
        raise failure  # out here for the reason given in PoolTransport.send

    @asynccontextmanager
    async def _connections(self, limits: Limits) -> AsyncGenerator[httpcore.AsyncConnectionPool]:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if self._closed:
            raise _closed()
        if pool is None or pool.pid != os.getpid():
            pool = self._pools[loop] = _AsyncPool(_open_async_pool(self._base_url))
        pool.users += 1
        try:
            # httpcore's pool slows down with each request that waits in it, so they wait out here.
            try:
                async with asyncio.timeout(limits.connect):
                    await pool.free.acquire()
            except TimeoutError:
                failure = TransportError(_WORDS["PoolTimeout"], sent=False, timeout=True)
            else:
                try:
                    yield pool.connections
                finally:
                    pool.free.release()
                return
            raise failure
        finally:
            pool.users -= 1
            if pool.closing and not pool.users:
                await pool.connections.aclose()

    async def aclose(self) -> None:
        """Refuse calls from now on, and close this loop's connections once they are free."""
        self._closed = True
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is not None:
            pool.closing = True
            if not pool.users:
                await pool.connections.aclose()


class ClientTransport:
    """Sends requests with an application's own `httpx.Client`, and leaves it open."""

    def __init__(self, client: Client) -> None:
        """Use this client."""
        self._client = client

    def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.Transport`."""
        attempt = _Attempt.at(request, limits)
        try:
            outgoing = _outgoing_of_httpx(request, limits)
            answer = self._client.send(outgoing, stream=True, follow_redirects=False)
            try:
                body = bytearray()
                for chunk in answer.iter_raw():
                    body += chunk
                    attempt.check(body, answer, limits)
            finally:
                answer.close()
        except _HTTPX_ERRORS as error:
            failure = _translated(error, sent=type(error).__name__ not in NEVER_SENT)
        else:
            return Response(answer.status_code, _headers(answer), bytes(body))
        raise failure  # out here: httpx's errors hold the request with its token

    def close(self) -> None:
        """Do nothing: the client is not ours."""


class AsyncClientTransport:
    """Sends requests with an application's own `httpx.AsyncClient`, and leaves it open."""

    def __init__(self, client: AsyncClient) -> None:
        """Use this client."""
        self._client = client

    async def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.AsyncTransport`."""
        attempt = _Attempt.at(request, limits)
        total = None if limits.total is None else limits.total + GRACE
        try:
            async with asyncio.timeout(total):
                outgoing = _outgoing_of_httpx(request, limits)
                answer = await self._client.send(outgoing, stream=True, follow_redirects=False)
                try:
                    body = bytearray()
                    async for chunk in answer.aiter_raw():
                        body += chunk
                        attempt.check(body, answer, limits)
                finally:
                    await answer.aclose()
        except TimeoutError:
            failure = _out_of_time(sent=True)
        except _HTTPX_ERRORS as error:
            failure = _translated(error, sent=type(error).__name__ not in NEVER_SENT)
        else:
            return Response(answer.status_code, _headers(answer), bytes(body))
        raise failure  # out here: httpx's errors hold the request with its token

    async def aclose(self) -> None:
        """Do nothing: the client is not ours."""


@define
class _Attempt:
    """The request that this thread or task is about: when it must end, and whether it began.

    A request for https begins with the first byte inside of TLS: what is said to a proxy, and the
    handshake, are not yet part of it.
    """

    deadline: float | None
    secure: bool
    wrote: bool = False
    _token: Any = field(default=None, init=False, repr=False)

    @classmethod
    def at(cls, request: Request, limits: Limits) -> "_Attempt":
        deadline = None if limits.total is None else time.monotonic() + limits.total
        return cls(deadline, request.url.startswith("https:"))

    def __enter__(self) -> None:
        self._token = _attempt.set(self)

    def __exit__(self, *exc_info: object) -> None:
        _attempt.reset(self._token)

    def left(self, limit: float | None, out_of_time: type[Exception]) -> float | None:
        """Return the seconds that one step may take; raise if there are none."""
        if self.deadline is None:
            return limit
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise out_of_time("the total time is over")
        return left if limit is None else min(limit, left)

    def check(self, body: bytearray, answer: Any, limits: Limits) -> None:
        """Stop reading an answer that has become too large, or takes too long."""
        if len(body) > limits.body:
            status = getattr(answer, "status", None) or answer.status_code
            raise ResponseTooLarge(status, _headers(answer))
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise _out_of_time(sent=True)


_attempt: ContextVar[_Attempt] = ContextVar("_attempt")


class _Network(httpcore.NetworkBackend):
    """Opens connections, address by address, each within what is left of the call's time."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        attempt = _attempt.get()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from None
        failure: Exception | None = None
        for *_, address in found:
            limit = attempt.left(timeout, httpcore.ConnectTimeout)
            try:
                return _Stream(
                    _backend.connect_tcp(
                        str(address[0]), port, limit, local_address, socket_options
                    )
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class _Stream(httpcore.NetworkStream):
    """A connection whose every step ends with the call that it is for."""

    def __init__(self, inner: httpcore.NetworkStream, *, tls: bool = False) -> None:
        self._inner, self._tls = inner, tls

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _attempt.get().left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        attempt = _attempt.get()
        limit = attempt.left(timeout, httpcore.WriteTimeout)
        attempt.wrote |= self._tls or not attempt.secure
        self._inner.write(buffer, limit)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        limit = _attempt.get().left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, limit), tls=True)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _AsyncNetwork(httpcore.AsyncNetworkBackend):
    """The same, async. anyio tries all addresses within one limit."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        limit = _attempt.get().left(timeout, httpcore.ConnectTimeout)
        return _AsyncStream(
            await _async_backend.connect_tcp(host, port, limit, local_address, socket_options)
        )


class _AsyncStream(httpcore.AsyncNetworkStream):
    """The same as `_Stream`, async."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, *, tls: bool = False) -> None:
        self._inner, self._tls = inner, tls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limit = _attempt.get().left(timeout, httpcore.ReadTimeout)
        return await self._inner.read(max_bytes, limit)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        attempt = _attempt.get()
        limit = attempt.left(timeout, httpcore.WriteTimeout)
        attempt.wrote |= self._tls or not attempt.secure
        await self._inner.write(buffer, limit)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        limit = _attempt.get().left(timeout, httpcore.ConnectTimeout)
        secure = await self._inner.start_tls(ssl_context, server_hostname, limit)
        return _AsyncStream(secure, tls=True)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _ConnectionPool(httpcore.ConnectionPool):
    """httpcore's pool, without the leak of a connection whose first request did not begin.

    A call that is interrupted between connecting and sending leaves a connection that httpcore
    takes for one in use, for ever.
    """

    def create_connection(self, origin: httpcore.Origin) -> httpcore.ConnectionInterface:
        connection = super().create_connection(origin)
        handle_request = connection.handle_request

        def guarded(request: httpcore.Request) -> httpcore.Response:
            try:
                return handle_request(request)
            except BaseException:
                if _is_new(connection):
                    connection.close()
                raise

        connection.handle_request = guarded  # type: ignore[method-assign]
        return connection


class _AsyncConnectionPool(httpcore.AsyncConnectionPool):
    """The same, async."""

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        connection = super().create_connection(origin)
        handle_async_request = connection.handle_async_request

        async def guarded(request: httpcore.Request) -> httpcore.Response:
            try:
                return await handle_async_request(request)
            except BaseException:
                if _is_new(connection):
                    await connection.aclose()
                raise

        connection.handle_async_request = guarded  # type: ignore[method-assign]
        return connection


def _is_new(connection: httpcore.ConnectionInterface | httpcore.AsyncConnectionInterface) -> bool:
    """Whether no request ever began on an open connection. httpcore tells it in words only."""
    return ", NEW," in connection.info()


_backend = httpcore.SyncBackend()
_async_backend: Any = httpcore.AnyIOBackend()  # without anyio it would be a stub, so it is untyped


@define
class _Pool:
    connections: httpcore.ConnectionPool
    lock: threading.Lock = field(factory=threading.Lock)
    users: int = 0
    closing: bool = False


@define
class _AsyncPool:
    connections: httpcore.AsyncConnectionPool
    free: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(MAX_CONNECTIONS))
    pid: int = field(factory=os.getpid)
    users: int = 0
    closing: bool = False


def _open_pool(base_url: str) -> httpcore.ConnectionPool:
    try:
        return _ConnectionPool(network_backend=_Network(), **_pool_options(base_url))
    except Exception as error:  # noqa: BLE001 - a proxy or certificates that the environment names
        failure = _unopened(error)
    raise failure


def _open_async_pool(base_url: str) -> httpcore.AsyncConnectionPool:
    try:
        return _AsyncConnectionPool(network_backend=_AsyncNetwork(), **_pool_options(base_url))
    except Exception as error:  # noqa: BLE001 - a proxy or certificates that the environment names
        failure = _unopened(error)
    raise failure


def _pool_options(base_url: str) -> dict[str, Any]:
    options: dict[str, Any] = dict(POOL)
    if base_url.startswith("https:"):
        named = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        options["ssl_context"] = _tls(named)
    url = environment_proxy(base_url)
    if url is not None:
        proxy = httpx.Proxy(url)
        if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
            raise ImportError("a SOCKS proxy needs the package socksio")
        options["proxy"] = httpcore.Proxy(
            url=httpcore.URL(
                scheme=proxy.url.raw_scheme,
                host=proxy.url.raw_host,
                port=proxy.url.port,
                target=proxy.url.raw_path,
            ),
            auth=proxy.raw_auth,
            headers=proxy.headers.raw,
            ssl_context=proxy.ssl_context,
        )
    return options


@cache
def _tls(_named: tuple[str | None, str | None]) -> ssl.SSLContext:
    """Make a TLS context, once for each of the certificates that are named: it takes 20 ms."""
    return httpx.create_ssl_context()


def environment_proxy(
    url: str,
    proxies: Any = getproxies,
    bypass: Any = proxy_bypass,
) -> str | None:
    """Return the proxy that the environment (`HTTPS_PROXY`, `NO_PROXY` ...) names for a URL."""
    parts = urlsplit(url)
    if not parts.hostname or bypass(parts.netloc):
        return None
    found: dict[str, str] = proxies()
    proxy = found.get(parts.scheme) or found.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _outgoing(request: Request, limits: Limits) -> httpcore.Request:
    headers = [("Host", urlsplit(request.url).netloc), *request.headers]
    if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
        headers.append(("Content-Length", str(len(request.body or b""))))
    return httpcore.Request(
        request.method,
        request.url,
        headers=headers,
        content=request.body,
        extensions={"timeout": _timeouts(limits)},
    )


def _outgoing_of_httpx(request: Request, limits: Limits) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url,
        headers=list(request.headers),
        content=request.body,
        extensions={"timeout": _timeouts(limits)},
    )


def _timeouts(limits: Limits) -> dict[str, float | None]:
    return {
        "connect": limits.connect,
        "pool": limits.connect,
        "read": limits.read,
        "write": limits.read,
    }


def _headers(answer: Any) -> tuple[tuple[str, str], ...]:
    pairs = getattr(answer.headers, "raw", answer.headers)  # httpx's headers, or httpcore's list
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs)


_HTTPCORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
_HTTPX_ERRORS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL)

_WORDS = {
    "ConnectError": "cannot connect",
    "ConnectTimeout": "no connection in time",
    "PoolTimeout": "no free connection in time",
    "ReadTimeout": "no answer in time",
    "WriteTimeout": "the request could not be sent in time",
    "ReadError": "the connection was lost while waiting",
    "WriteError": "the connection was lost while sending",
    "RemoteProtocolError": "the server broke HTTP",
    "ProxyError": "the proxy refused",
}
"""Both libraries' errors by name: httpx's are httpcore's, made anew."""


def _translated(error: Exception, *, sent: bool) -> TransportError:
    name = type(error).__name__
    words, detail = _WORDS.get(name, name), " ".join(str(error).split())
    return TransportError(
        f"{words}: {detail}" if detail else words,
        sent=sent,
        timeout=isinstance(error, httpcore.TimeoutException | httpx.TimeoutException),
        passing=name in _WORDS and not _is_certificate_failure(error),
    )


def _is_certificate_failure(error: BaseException | None) -> bool:
    """Whether TLS failed over a certificate: that does not pass by itself."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _out_of_time(*, sent: bool) -> TransportError:
    return TransportError("no whole answer within the total time", sent=sent, timeout=True)


def _closed() -> TransportError:
    return TransportError("the client is closed", sent=False, passing=False)


def _unopened(error: Exception) -> TransportError:
    return TransportError(f"cannot open connections: {error}", sent=False, passing=False)
