"""The default transport: httpcore, httpx's engine, driven directly. `_async_pool` is its twin.

It is without what an API client must not have: redirects that the token would follow, cookies, log
lines with URLs.
"""

import ssl
import threading
import time
from collections import deque
from functools import cache, lru_cache
from importlib.util import find_spec
from queue import Empty
from typing import Any
from urllib.parse import unquote, urlsplit

import certifi
import h11
import httpcore

from ._attempt import (
    KEEPALIVE,
    Attempt,
    busy_error,
    closed_error,
    headers_of,
    left_over,
    process,
    slots,
    timeouts,
    translated,
    unopened_error,
)
from ._environment import certificates_from_environment, proxy_from_environment
from ._network import Network
from .transport import Limits, Request, Response, ResponseTooLarge, TransportError

MAX_HEADER_BYTES = httpcore.HTTP11Connection.MAX_INCOMPLETE_EVENT_SIZE
"""Limit for the status line and the headers of a response: httpcore's own, 100 KiB."""


class PoolTransport:
    """Sends requests over connections that it reuses, blocking. Threads share it.

    A forked process gets connections of its own. `close` lets calls in flight end first.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._closed = False
        # By process, and without a lock: one that is held during a fork stays locked in the child.
        self._pools: dict[tuple[int, int], _Pool] = {}

    def send(self, request: Request, limits: Limits) -> Response:
        attempt = Attempt(request, limits)
        pool = self._join()
        try:
            try:
                slot = pool.slots.get(timeout=limits.connect)
            except Empty:
                raise busy_error() from None
            try:
                return self._exchange(pool, attempt, request, limits)
            finally:
                pool.slots.put(slot)
        finally:
            self._leave(pool)

    def _exchange(
        self, pool: "_Pool", attempt: Attempt, request: Request, limits: Limits
    ) -> Response:
        connection = pool.connection()
        reusable = False
        with attempt:
            try:
                answer = connection.handle_request(pool.origin.outgoing(request, limits))
                try:
                    body = bytearray()
                    for chunk in answer.iter_stream():
                        body += chunk
                        attempt.check(body, answer, limits)
                    more = left_over(answer.stream)
                finally:
                    answer.close()
                reusable = more is False
            except (TransportError, ResponseTooLarge):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the outcome is known
                failure = translated(error, sent=attempt.wrote)
            else:
                return Response(answer.status, headers_of(answer), bytes(body))
            finally:
                if reusable and connection.is_idle():
                    pool.idle.put(connection)
                else:
                    connection.close()
        # Raised here, so that httpcore's error is not its context: its frames contain the key.
        raise failure

    def _join(self) -> "_Pool":
        this = process()
        pool = self._pools.get(this)
        if pool is None:
            origin = Origin(self._base_url, httpcore.ConnectionPool, Network)
            pool = self._pools.setdefault(this, _Pool(origin))
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
        self._closed = True  # first, so that no pool is made and used after this
        pool = self._pools.get(process())
        if pool is None:
            return
        with pool.lock:
            pool.closing = True
            unused = not pool.users
        if unused:
            pool.close()


class Origin:
    """The server that a client sends its requests to, and the proxy and TLS settings for it."""

    def __init__(self, base_url: str, kind: Any, network: Any) -> None:
        """Look at a base URL and at the environment.

        Raises:
            TransportError: A proxy or certificates that the environment names cannot be used.
        """
        parts = urlsplit(base_url)
        self.url = httpcore.URL(base_url)
        self.prefix = base_url.removesuffix(parts.path)
        self.headers = _prepared(parts.netloc.encode("ascii"))
        try:
            options = _options(base_url)
            proxy = options.get("proxy")
            layers = 2 if proxy is not None and proxy.url.scheme == b"https" else 1
            # This pool only creates connections, direct ones or through a proxy.
            self.factory = kind(network_backend=network(layers), **options)
        except Exception as error:  # noqa: BLE001 - whatever the environment causes
            failure = unopened_error(error)
        else:
            return
        raise failure

    def connection(self) -> Any:
        """Make a connection, which opens with its first request."""
        return self.factory.create_connection(self.url.origin)

    def outgoing(self, request: Request, limits: Limits) -> httpcore.Request:
        """Return httpcore's form of a request."""
        url = httpcore.URL(
            scheme=self.url.scheme,
            host=self.url.host,
            port=self.url.port,
            target=request.url.removeprefix(self.prefix).encode("ascii"),
        )
        outgoing = httpcore.Request(
            request.method, url, content=request.body, extensions={"timeout": timeouts(limits)}
        )
        has_length = request.body is not None or request.method in ("POST", "PUT", "PATCH")
        outgoing.headers = self.headers(
            request.headers, len(request.body or b"") if has_length else None
        )
        return outgoing


def _prepared(host: bytes) -> Any:
    """Return a function that prepares the headers of a request to a host.

    h11 validates each header of each request, but not its own `Headers` again. So the latest ones
    are cached, with their credentials, until the client is closed.
    """

    @lru_cache(128)
    def prepare(headers: tuple[tuple[str, str], ...], length: int | None) -> Any:
        pairs = [(b"Host", host)]
        pairs += [(name.encode("ascii"), text.encode("ascii")) for name, text in headers]
        if length is not None:
            pairs.append((b"Content-Length", b"%d" % length))
        return h11.Request(method=b"GET", target=b"/", headers=pairs).headers

    return prepare


class Idle:
    """The open connections that no call uses. The one that was used last is used next."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Any, float]] = deque()
        self.expired: list[Any] = []
        """Connections that are to be closed."""

    def put(self, connection: Any) -> None:
        """Keep a connection for a later call."""
        self.waiting.append((connection, time.monotonic()))

    def take(self) -> Any:
        """Return a connection that its server has not closed, or `None`."""
        oldest = time.monotonic() - KEEPALIVE
        while self.waiting and self.waiting[0][1] < oldest:
            self.expired.append(self.waiting.popleft()[0])
        while self.waiting:
            connection, _ = self.waiting.pop()
            if not connection.has_expired():
                return connection
            self.expired.append(connection)
        return None

    def give_up(self) -> None:
        """Move all connections to those to close."""
        while self.waiting:
            self.expired.append(self.waiting.pop()[0])


class _Pool:
    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.idle = Idle()
        self.slots = slots()
        self.lock = threading.Lock()
        self.users = 0
        self.closing = False

    def connection(self) -> Any:
        """Return an open or a new connection for one call."""
        with self.lock:
            connection, expired = self.idle.take(), self.idle.expired
            if expired:
                self.idle.expired = []
        for one in expired:
            one.close()
        return connection or self.origin.connection()

    def close(self) -> None:
        """Close all connections. No call may use one of them."""
        with self.lock:
            self.idle.give_up()
            expired, self.idle.expired = self.idle.expired, []
        for one in expired:
            one.close()
        self.origin.headers.cache_clear()


def _options(base_url: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if base_url.startswith("https:"):
        options["ssl_context"] = _tls(*certificates_from_environment())
    proxy = proxy_from_environment(base_url)
    if proxy is not None:
        options["proxy"] = _proxy(proxy)
    return options


@cache
def _tls(cert_file: str | None, cert_dir: str | None) -> ssl.SSLContext:
    """Return a TLS context, made once for each set of certificates."""
    if not cert_file and not cert_dir:
        cert_file = certifi.where()
    return ssl.create_default_context(cafile=cert_file or None, capath=cert_dir or None)


def _proxy(url: str) -> httpcore.Proxy:
    parts = urlsplit(url)
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ImportError("a SOCKS proxy requires the package socksio")
    auth = None
    if parts.username is not None:
        auth = unquote(parts.username), unquote(parts.password or "")
    return httpcore.Proxy(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", auth)
