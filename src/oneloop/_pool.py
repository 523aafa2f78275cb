"""The default transports: httpcore, httpx's engine, driven directly.

It is httpx's own pool, TLS, proxy and protocol code, without what an API client must not have:
redirects that the token would follow, cookies, log lines with URLs.
"""

import asyncio
import os
import ssl
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import certifi
import httpcore
from attrs import define, field

from . import _attempt
from ._attempt import (
    Attempt,
    closed_error,
    headers_of,
    left_over,
    out_of_time_error,
    timeouts,
    translated,
)
from ._hosts import is_loopback
from ._network import AsyncConnectionPool, AsyncNetwork, ConnectionPool, Network
from .transport import Limits, Request, Response, TransportError

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

ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


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
        attempt = Attempt.begin(request, limits)
        with self._connections() as pool, attempt:
            try:
                answer = pool.handle_request(_outgoing(request, limits))
                try:
                    body = bytearray()
                    for chunk in answer.iter_stream():
                        body += chunk
                        attempt.check(body, answer, limits)
                    _retire_unless_spent(answer)
                finally:
                    answer.close()
            except ERRORS as error:
                failure = translated(error, sent=attempt.wrote)
            else:
                return Response(answer.status, headers_of(answer), bytes(body))
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
                raise closed_error()
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
        attempt = Attempt.begin(request, limits)
        total = None if limits.total is None else limits.total + _attempt.GRACE
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
                            _retire_unless_spent(answer)
                        finally:
                            await answer.aclose()
                except TimeoutError:
                    failure = out_of_time_error(sent=attempt.wrote)
                except ERRORS as error:
                    failure = translated(error, sent=attempt.wrote)
                else:
                    return Response(answer.status, headers_of(answer), bytes(body))
        raise failure  # out here for the reason given in PoolTransport.send

    @asynccontextmanager
    async def _connections(self, limits: Limits) -> AsyncGenerator[httpcore.AsyncConnectionPool]:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if self._closed:
            raise closed_error()
        if pool is None or pool.pid != os.getpid():
            pool = self._pools[loop] = _AsyncPool(_open_async_pool(self._base_url))
        pool.users += 1
        try:
            # httpcore's pool slows down with each request that waits in it, so they wait out here.
            try:
                async with asyncio.timeout(limits.connect):
                    await pool.free.acquire()
            except TimeoutError:
                failure = TransportError("no free connection in time", sent=False, timeout=True)
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
        return ConnectionPool(network_backend=Network(), **_pool_options(base_url))
    except Exception as error:  # noqa: BLE001 - a proxy or certificates that the environment names
        failure = _unopened(error)
    raise failure


def _open_async_pool(base_url: str) -> httpcore.AsyncConnectionPool:
    try:
        return AsyncConnectionPool(network_backend=AsyncNetwork(), **_pool_options(base_url))
    except Exception as error:  # noqa: BLE001 - a proxy or certificates that the environment names
        failure = _unopened(error)
    raise failure


def _pool_options(base_url: str) -> dict[str, Any]:
    options: dict[str, Any] = dict(POOL)
    if base_url.startswith("https:"):
        named = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        options["ssl_context"] = _tls(*named)
    proxy = environment_proxy(base_url)
    if proxy is not None:
        options["proxy"] = _proxy(proxy)
    return options


@cache
def _tls(cert_file: str | None, cert_dir: str | None) -> ssl.SSLContext:
    """Make a TLS context, once for each of the certificates that are named."""
    if not cert_file and not cert_dir:
        cert_file = certifi.where()
    return ssl.create_default_context(cafile=cert_file or None, capath=cert_dir or None)


def _proxy(url: str) -> httpcore.Proxy:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "socks5", "socks5h") or not parts.hostname:
        raise ValueError(f"the environment names a proxy that is none: {parts.scheme}://...")
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ImportError("a SOCKS proxy needs the package socksio")
    auth = None
    if parts.username is not None:
        auth = unquote(parts.username), unquote(parts.password or "")
    return httpcore.Proxy(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", auth)


def environment_proxy(
    url: str,
    proxies: Any = getproxies,
    bypass: Any = proxy_bypass,
) -> str | None:
    """Return the proxy that the environment (`HTTPS_PROXY`, `NO_PROXY` ...) names for a URL."""
    parts = urlsplit(url)
    if not parts.hostname or is_loopback(parts.hostname) or bypass(parts.netloc):
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
        extensions={"timeout": timeouts(limits)},
    )


def _retire_unless_spent(answer: Any) -> None:
    """Keep a connection from being used again if more than the answer may have arrived on it."""
    if left_over(answer.stream) is not False:
        answer.extensions["network_stream"].retired = True


def _unopened(error: Exception) -> TransportError:
    return TransportError(f"cannot open connections: {error}", sent=False, passing=False)
