"""The transports for `transport="fast"`: pyreqwest, which drives Rust's reqwest and hyper.

All that the engine would do beyond one request and its response is turned off.
"""

import atexit
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from itertools import chain
from queue import Empty
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from pyreqwest.client import BaseClientBuilder, Client, ClientBuilder, SyncClient, SyncClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    DecodeError,
    DetailedPyreqwestError,
    RequestPanicError,
    RequestTimeoutError,
)
from pyreqwest.http import Url
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import BaseRequestBuilder
from pyreqwest.response import BaseResponse

from . import _attempt
from ._attempt import (
    KEEPALIVE,
    busy_error,
    closed_error,
    forget_closed,
    process,
    running_loop,
    slots,
    unopened_error,
)
from ._environment import certificates_from_environment, proxy_from_environment
from .transport import Limits, Request, Response, ResponseTooLarge, TransportError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Semaphore

B = TypeVar("B", bound=BaseClientBuilder)
C = TypeVar("C")
R = TypeVar("R", bound=BaseRequestBuilder)

Steps: TypeAlias = tuple[float | None, float | None]
"""Seconds to connect, and to wait for each part of an answer."""

MAX_HEADER_BYTES = 100 * 1024
"""Limit for the headers of a response, as with the default transport."""

KINDS = 8
"""The largest number of engines of one client. The limits of single steps are settings of an
engine, so that each pair has an engine with separate connections; only the latest are kept."""

CONNECTING = "client error (Connect)"
"""The engine's cause for every failure before a connection is ready, and for no other."""

CERTIFICATE = "invalid peer certificate"
"""The start of its message about a bad certificate, which is not a temporary problem."""

EARLIER = 0.95
"""The connect timeout is capped at 95 % of the read timeout. The engine's read timeout starts with
the request, and only the error of the connect timeout proves that nothing was sent."""

BUFFER = BaseRequestBuilder.default_streamed_read_buffer_limit()
"""Bytes of an answer that the engine reads ahead: 64 KiB."""

UNREADABLE = "\N{REPLACEMENT CHARACTER}"
"""Replaces the value of a header that is not ASCII, which pyreqwest does not return."""


class FastTransport:
    """Sends requests with pyreqwest, blocking. Threads share it.

    A forked process whose parent has used the engine gets an error, as a fork does not copy its
    threads. Dropping an engine closes its connections once the calls in flight have ended.
    """

    def __init__(self, base_url: str) -> None:

        @lru_cache(KINDS)
        def engine(_process: tuple[int, int], steps: Steps) -> _Engine[SyncClient]:
            return _opened(lambda: _set_up(SyncClientBuilder(), base_url, steps).build())

        self._engine = engine
        self._slots = slots()
        self._closed = False

    def send(self, request: Request, limits: Limits) -> Response:
        if self._closed:
            raise closed_error()
        began = time.monotonic()
        engine = self._engine(process(), _steps(limits))
        try:
            slot = self._slots.get(timeout=limits.connect)
        except Empty:
            raise busy_error() from None
        body = engine.body(request)
        try:
            outgoing = engine.client.request(request.method, request.url)
            if isinstance(body, _Body):
                outgoing = outgoing.body_stream(body)
            elif body:
                outgoing = outgoing.body_bytes(body)
            with _filled(outgoing, request, limits, began).build_streamed() as answer:
                received = bytearray()
                while (chunk := answer.body_reader.read_chunk()) is not None:
                    received += chunk
                    if len(received) > limits.body:
                        raise ResponseTooLarge(answer.status, _headers(answer))
        except DetailedPyreqwestError as error:
            failure = _translated(error, body)
        else:
            return engine.response(answer, received)
        finally:
            self._slots.put(slot)
        raise failure  # here, so that the engine's error is not its context

    def close(self) -> None:
        """Refuse calls from now on, and close all connections once those in flight have ended."""
        self._closed = True
        self._engine.cache_clear()


class AsyncFastTransport:
    """Sends requests with pyreqwest, async. Event loops share its connections."""

    def __init__(self, base_url: str) -> None:

        @lru_cache(KINDS)
        def engine(_process: tuple[int, int], steps: Steps) -> _Engine[Client]:
            return _opened(lambda: _set_up(ClientBuilder(), base_url, steps).build())

        self._engine = engine
        self._free: dict[AbstractEventLoop, Semaphore] = {}
        self._closed = False

    async def send(self, request: Request, limits: Limits) -> Response:
        if self._closed:
            raise closed_error()
        began = time.monotonic()
        engine = self._engine(process(), _steps(limits))
        free = await self._place(limits)
        body = engine.body(request)
        try:
            outgoing = engine.client.request(request.method, request.url)
            if isinstance(body, _Body):
                outgoing = outgoing.body_stream(body)
            elif body:
                outgoing = outgoing.body_bytes(body)
            async with _filled(outgoing, request, limits, began).build_streamed() as answer:
                received = bytearray()
                while (chunk := await answer.body_reader.read_chunk()) is not None:
                    received += chunk
                    if len(received) > limits.body:
                        raise ResponseTooLarge(answer.status, _headers(answer))
        except DetailedPyreqwestError as error:
            failure = _translated(error, body)
        else:
            return engine.response(answer, received)
        finally:
            if isinstance(body, _Body):
                body.withdraw()
            free.release()
        raise failure  # here for the reason given in FastTransport.send

    async def _place(self, limits: Limits) -> "Semaphore":
        """Acquire this loop's semaphore; in the engine, a cancelled call would go on waiting."""
        import asyncio  # on first use, as a process without async calls does not need it

        loop = running_loop()
        free = self._free.get(loop)
        if free is None:
            forget_closed(self._free)
            free = self._free[loop] = asyncio.Semaphore(_attempt.MAX_CONNECTIONS)
        if not free.locked():
            await free.acquire()  # returns at once
            return free
        try:
            async with asyncio.timeout(limits.connect):
                await free.acquire()
        except TimeoutError:
            failure = busy_error()
        else:
            return free
        raise failure

    async def aclose(self) -> None:
        """Refuse calls from now on, and close all connections once those in flight have ended."""
        self._closed = True
        self._engine.cache_clear()


class _Engine(Generic[C]):
    """A client of pyreqwest, and an estimate of when its idle connections were last used.

    If there is an idle connection, the body is passed as bytes, which is faster. Otherwise the
    engine has to ask for it, as it may take a while to connect.
    """

    def __init__(self, client: C) -> None:
        self.client = client
        self._idle: list[float] = []

    def body(self, request: Request) -> "_Body | bytes | None":
        try:
            if time.monotonic() - self._idle.pop() < KEEPALIVE:
                return request.body
        except IndexError:
            pass  # not checked before, as another thread may take the last one in between
        return _Body(request.body) if request.body else None

    def response(self, answer: BaseResponse, body: bytearray) -> Response:
        headers = _headers(answer)
        if ("connection", "close") not in headers:
            self._idle.append(time.monotonic())
        return Response(answer.status, headers, bytes(body))


class _Body:
    """A body that the engine asks for in the step in which it sends.

    This shows whether sending had begun. And the body can be withdrawn, as the engine goes on with
    a request of a cancelled task.
    """

    __slots__ = ("_asked", "_content", "_withdrawn")

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._asked = False
        self._withdrawn = False

    def __iter__(self) -> "_Body":
        return self

    def __next__(self) -> bytes:
        # We set `_asked` and then read `_withdrawn`; `withdraw()` sets `_withdrawn` and then reads
        # `_asked`. Whatever the interleaving, at least one side sees the other, so that a body is
        # never both sent and reported as not sent.
        again, self._asked = self._asked, True
        if self._withdrawn:
            raise RuntimeError("the call has ended")
        if again:
            raise StopIteration
        return self._content

    def withdraw(self) -> bool:
        """Prevent the body from being sent, and return whether it may have been sent already."""
        self._withdrawn = True
        return self._asked


def _steps(limits: Limits) -> Steps:
    """Return the limits of single steps, except those that the end of the call precedes."""
    connect, read, total, _ = limits
    if read is not None and (total is None or read < total):
        if connect is None or connect > read * EARLIER:
            connect = read * EARLIER
        return connect, read
    if connect is not None and total is not None and connect >= total:
        connect = None
    return connect, None


def _opened(open_: Callable[[], C]) -> _Engine[C]:
    """Open an engine, unless a forked process would wait for its parent's threads for ever."""
    if _started_in and _started_in[0] != process():
        problem = (
            'cannot open connections: transport="fast" was used before this process was forked'
        )
        raise TransportError(problem, sent=False, passing=False)
    try:
        client = open_()
    except Exception as error:  # noqa: BLE001 - a bad proxy, bad certificates, or a fork
        failure = unopened_error(error)
    else:
        if not _started_in:
            atexit.register(_settle)
        _started_in.append(process())
        return _Engine(client)
    raise failure


_started_in: deque[tuple[int, int]] = deque(maxlen=1)
"""The process in which the engine's threads run, once there are any."""


def _settle() -> None:
    """Wait until the engine's thread has finished its current work.

    The thread runs Python code, and the process is aborted if the interpreter ends meanwhile. A
    request to an unused port is queued behind whatever that one thread still has to do.
    """
    if _started_in[0] != process():  # forked, so that there is no such thread
        return
    with suppress(Exception):  # the result does not matter
        # Otherwise the engine would load certificates, which is slow.
        client = SyncClientBuilder().no_proxy().danger_accept_invalid_certs(enable=True).build()
        client.get("http://127.0.0.1:0").timeout(timedelta(seconds=1)).build().send()


def _set_up(builder: B, base_url: str, steps: Steps) -> B:
    Url(base_url)  # raises if the engine does not accept it
    builder = (
        builder.http1_only()
        .follow_redirects(enable=False)
        .default_cookie_store(enable=False)
        .referer(enable=False)
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
        .no_proxy()
        .pool_idle_timeout(timedelta(seconds=KEEPALIVE))
        .pool_max_idle_per_host(_attempt.MAX_CONNECTIONS)
    )
    connect, read = steps
    if connect is not None:
        builder = builder.connect_timeout(timedelta(seconds=connect))
    if read is not None:
        builder = builder.read_timeout(timedelta(seconds=read))
    proxy = proxy_from_environment(base_url)
    if proxy is not None:
        builder = builder.proxy(ProxyBuilder.all(proxy))
    if base_url.startswith("https:"):
        builder = builder.add_root_certificate_pem(_authorities())
    return builder


def _authorities() -> bytes:
    """Return certificates to trust in addition to those that the engine finds by itself."""
    cert_file, cert_dir = certificates_from_environment()
    if not cert_file and cert_dir:
        return b""
    import certifi  # on first use, as importing it is slow

    with open(cert_file or certifi.where(), "rb") as file:  # noqa: PTH123 - pathlib is slow to import
        return file.read()


def _filled(outgoing: R, request: Request, limits: Limits, began: float) -> R:
    headers = request.headers
    if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
        headers += (("Content-Length", str(len(request.body or b""))),)
    outgoing = outgoing.headers(headers)
    if limits.body < BUFFER:
        # The engine returns the head only once this much of the body has arrived, or all of it.
        outgoing = outgoing.streamed_read_buffer_limit(limits.body + 1)
    if limits.total is not None:
        left = max(0.0, began + limits.total - time.monotonic())
        outgoing = outgoing.timeout(timedelta(seconds=left))
    return outgoing


def _headers(answer: BaseResponse) -> tuple[tuple[str, str], ...]:
    try:
        headers = tuple(answer.headers.items())
    except ValueError:
        values = iter(answer.headers.values())
        headers = tuple((name, _readable(values)) for name in answer.headers)
    if sum(map(len, chain.from_iterable(headers))) > MAX_HEADER_BYTES:
        raise TransportError(
            f"the server broke HTTP: more than {MAX_HEADER_BYTES} bytes of headers"
        )
    return headers


def _readable(values: Iterator[str]) -> str:
    try:
        return next(values)
    except ValueError:
        return UNREADABLE


def _translated(error: DetailedPyreqwestError, body: _Body | bytes | None) -> TransportError:
    causes = [cause["message"] for cause in error.details["causes"] or ()]
    detail = causes[-1] if causes else error.message
    timeout = isinstance(error, RequestTimeoutError)
    begun = body.withdraw() if isinstance(body, _Body) else True
    sent = begun and CONNECTING not in causes
    if timeout:
        words = "no answer in time" if sent else "no connection in time"
    elif detail.startswith("tunnel error"):
        words = "the proxy refused"
    elif not sent:
        words = "cannot connect"
    elif isinstance(error, DecodeError):
        words = "the server broke HTTP"
    else:
        words = "the connection was lost"
    lasting = isinstance(error, BuilderError | RequestPanicError) or detail.startswith(CERTIFICATE)
    return TransportError(words, detail=detail, sent=sent, timeout=timeout, passing=not lasting)
