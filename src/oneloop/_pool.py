"""The default transport: httpcore, httpx's engine, driven directly. `_async_pool` is its twin.

It is httpx's own pool, TLS, proxy and protocol code, without what an API client must not have:
redirects that the token would follow, cookies, log lines with URLs.
"""

import os
import ssl
import threading
import time
from collections import deque
from functools import cache
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

import certifi
import httpcore
from attrs import define, field, frozen

from ._attempt import (
    Attempt,
    closed_error,
    headers_of,
    left_over,
    timeouts,
    translated,
)
from ._hosts import environment_proxy
from ._network import Network
from .transport import Limits, Request, Response, TransportError

MAX_CONNECTIONS = 100
"""Connections of one client at most, in use or not. A call that finds them all busy waits."""

MAX_HEADER_BYTES = httpcore.HTTP11Connection.MAX_INCOMPLETE_EVENT_SIZE
"""Bytes of an answer's status line and headers at most: httpcore's own limit, 100 KiB."""

KEEPALIVE = 5.0
"""Seconds that a connection may be idle. Servers close theirs too (uvicorn after 5); better that we
do it first."""

ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


class PoolTransport:
    """Sends requests over connections that are used again, blocking. Threads share it.

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
        pool = self._join()
        try:
            if not pool.free.acquire(timeout=limits.connect):
                raise busy()
            try:
                return self._exchange(pool, attempt, request, limits)
            finally:
                pool.free.release()
        finally:
            self._leave(pool)

    def _exchange(
        self, pool: "_Pool", attempt: Attempt, request: Request, limits: Limits
    ) -> Response:
        connection = pool.connection()
        spent = False
        with attempt:
            try:
                answer = connection.handle_request(pool.site.outgoing(request, limits))
                try:
                    body = bytearray()
                    for chunk in answer.iter_stream():
                        body += chunk
                        attempt.check(body, answer, limits)
                    spent = left_over(answer.stream) is False
                finally:
                    answer.close()
            except ERRORS as error:
                failure = translated(error, sent=attempt.wrote)
            else:
                return Response(answer.status, headers_of(answer), bytes(body))
            finally:
                if spent and connection.is_idle():
                    pool.idle.put(connection)
                else:
                    connection.close()
        # Raised out here, so that the error does not keep httpcore's, and its frames, as context.
        raise failure

    def _join(self) -> "_Pool":
        pid = os.getpid()
        pool = self._pools.get(pid)
        if pool is None:
            site = Site.of(self._base_url, httpcore.ConnectionPool, Network())
            pool = self._pools.setdefault(pid, _Pool(site))
        with pool.lock:
            if self._closed:
                raise closed_error()
            pool.users += 1
        return pool

    def _leave(self, pool: "_Pool") -> None:
        with pool.lock:
            pool.users -= 1
            last = pool.closing and not pool.users
        if last:
            pool.close()

    def close(self) -> None:
        """Refuse calls from now on, and close all connections once those in flight have ended."""
        pool = self._pools.get(os.getpid())
        if pool is None:
            self._closed = True
            return
        with pool.lock:
            self._closed = pool.closing = True
            unused = not pool.users
        if unused:
            pool.close()


@frozen
class Site:
    """What is known of where the requests of a client go: looked at once, not at each request."""

    url: httpcore.URL
    prefix: str
    host: bytes
    factory: Any = field(repr=False)

    @classmethod
    def of(cls, base_url: str, kind: Any, network: Any) -> "Site":
        """Look at a base URL and at the environment.

        Raises:
            TransportError: A proxy or certificates that the environment names cannot be used.
        """
        parts = urlsplit(base_url)
        url, host = httpcore.URL(base_url), parts.netloc.encode("ascii")
        try:
            # httpcore's pool makes connections, direct or by way of a proxy, and holds none.
            factory = kind(network_backend=network, **_options(base_url))
        except Exception as error:  # noqa: BLE001 - whatever the environment has in store
            failure = _unopened(error)
        else:
            return cls(url, base_url.removesuffix(parts.path), host, factory)
        raise failure

    def connection(self) -> Any:
        """Make a connection, which opens with its first request."""
        return self.factory.create_connection(self.url.origin)

    def outgoing(self, request: Request, limits: Limits) -> httpcore.Request:
        """Put a request into httpcore's terms."""
        headers = [(b"Host", self.host)]
        headers += [(name.encode("ascii"), text.encode("ascii")) for name, text in request.headers]
        if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
            headers.append((b"Content-Length", b"%d" % len(request.body or b"")))
        url = httpcore.URL(
            scheme=self.url.scheme,
            host=self.url.host,
            port=self.url.port,
            target=request.url.removeprefix(self.prefix).encode("ascii"),
        )
        return httpcore.Request(
            request.method,
            url,
            headers=headers,
            content=request.body,
            extensions={"timeout": timeouts(limits)},
        )


@define
class Idle:
    """Open connections that no call has. The one that was used last is used next.

    httpcore's own pool looks at all of its connections and waiting requests at each step, and slows
    down as they grow in number.
    """

    waiting: deque[tuple[Any, float]] = field(factory=deque[tuple[Any, float]])

    def put(self, connection: Any) -> None:
        """Keep a connection for a later call."""
        self.waiting.append((connection, time.monotonic()))

    def take(self) -> tuple[Any, list[Any]]:
        """Return a connection that its server has not closed, or `None`, and those to close."""
        over: list[Any] = []
        oldest = time.monotonic() - KEEPALIVE
        while self.waiting and self.waiting[0][1] < oldest:
            over.append(self.waiting.popleft()[0])
        while self.waiting:
            connection, _ = self.waiting.pop()
            if not connection.has_expired():
                return connection, over
            over.append(connection)
        return None, over


@define
class _Pool:
    site: Site
    idle: Idle = field(factory=Idle)
    free: threading.Semaphore = field(factory=lambda: threading.Semaphore(MAX_CONNECTIONS))
    lock: threading.Lock = field(factory=threading.Lock)
    users: int = 0
    closing: bool = False

    def connection(self) -> Any:
        """Return a connection for one call, open or new."""
        with self.lock:
            connection, over = self.idle.take()
        for one in over:
            one.close()
        return connection or self.site.connection()

    def close(self) -> None:
        """Close all connections; no call has one."""
        while self.idle.waiting:
            self.idle.waiting.pop()[0].close()


def _options(base_url: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
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


def busy() -> TransportError:
    return TransportError("no free connection in time", sent=False, timeout=True)


def _unopened(error: Exception) -> TransportError:
    return TransportError(f"cannot open connections: {error}", sent=False, passing=False)
