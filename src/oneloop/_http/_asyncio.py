"""The default transport of `AsyncOneloop`, over the transports of asyncio."""

import asyncio
import gc
import math
import os
import socket
import sys
import warnings
from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakSet, finalize

from oneloop.transport import Limits, Request, Response, TransportError

from . import _faults
from ._connection import Home, Options
from ._pool import process
from ._sockets import ATTEMPT_DELAY, Address, addresses, interleaved, left, watch

if TYPE_CHECKING:
    from types import AsyncGeneratorType

T = TypeVar("T")

POLLING = 1.0
"""Seconds between two looks at the pool while a task waits for a connection: the call that freed
one may have been interrupted before it could wake the next."""

MAX_UNREAD = 64 * 1024
"""If more bytes than this arrive while no call reads, the connection is closed."""


class AsyncioTransport:
    """Sends requests over connections of its own. All tasks share it.

    Each event loop has connections of its own. `aclose` closes those of the running loop and lets
    calls in flight end first; in another loop, the transport can still be used.
    """

    def __init__(self, *options: Any) -> None:
        """Take `Options`."""
        self._options = Options(*options)
        self._homes: dict[AbstractEventLoop, _LoopHome] = {}
        self._closed: WeakSet[AbstractEventLoop] = WeakSet()
        finalize(self, _drop_orphans, self._homes)  # as garbage, or when the process ends

    def send(self, request: Request, limits: Limits) -> Coroutine[Any, Any, Response]:
        loop = _faults.running_loop()
        home = self._homes.get(loop)
        if home is None or home.process != process():
            return self._send_first(loop, request, limits)
        return home.send(request, limits)

    async def _send_first(
        self, loop: AbstractEventLoop, request: Request, limits: Limits
    ) -> Response:
        home = await self._home(loop)
        return await home.send(request, limits)

    async def _home(self, loop: AbstractEventLoop) -> "_LoopHome":
        """Return the connections of a loop; drop those of closed loops and of parent processes."""
        _drop_orphans(self._homes)
        if loop in self._closed:
            raise _faults.closed()
        with _faults.connecting():
            home = _LoopHome(self._options, loop)
        await home.begin()
        self._homes[loop] = home
        return home

    async def aclose(self) -> None:
        """Close this loop's connections once they are free, and refuse calls in this loop."""
        loop = _faults.running_loop()
        self._closed.add(loop)
        home = self._homes.get(loop)
        is_ours = home is not None and home.process == process()
        if home is not None and is_ours and not home.guard.ag_running:  # else it is being closed
            await home.guard.aclose()


def _drop_orphans(homes: "dict[AbstractEventLoop, _LoopHome]") -> None:
    """Drop the connections of loops that are closed, and those of parent processes."""
    for loop, home in [*homes.items()]:
        if loop.is_closed() or home.process != process():
            homes.pop(loop, None)  # unless another thread was faster
            home.drop()


class _LoopHome(Home):
    """The connections of one event loop."""

    is_async = True

    def __init__(self, options: Options, loop: AbstractEventLoop) -> None:
        super().__init__(options, partial(AsyncioStream, loop), partial(_Waiter, self))
        self.loop, self.process = loop, process()
        self._timer: asyncio.TimerHandle | None = None
        self.guard = cast("AsyncGeneratorType[None, None]", self._guarded())

    async def begin(self) -> None:
        """Register the guard with the loop, but not to be closed by a task if it is garbage.

        Connections that are garbage close themselves, and Python 3.13 warns if the loop does not
        run any more to carry out that task.
        """
        hooks = sys.get_asyncgen_hooks()
        try:
            sys.set_asyncgen_hooks(finalizer=lambda _: None)
            await self.guard.__anext__()
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def wake_all_in(self, seconds: float) -> None:
        """Let all calls that wait look at the time then. One timer serves all of them."""
        when = self.loop.time() + max(seconds, 0.01)  # as each wakes all of them
        if self._timer is None or not self.loop.time() < self._timer.when() <= when:
            self._timer = self.loop.call_at(when, self.pool.wake_all)

    async def _guarded(self) -> AsyncGenerator[None]:
        """Close the pool when the client is closed, or when the loop is about to be closed.

        asyncio closes all asynchronous generators then, by `shutdown_asyncgens`.
        """
        try:
            yield
        finally:
            self.pool.close()
            if self.foreign is not None:
                await self.foreign.aclose()
            await asyncio.sleep(0)  # the loop closes the sockets in its next turn

    def drop(self) -> None:
        """Give up the connections of a parent process, or of a loop that has been closed.

        If the loop was closed without its generators, they can no longer be closed in an orderly
        way, and asyncio's transports warn of that when they are garbage. They are in cycles, so
        this is the time to collect them.
        """
        if self.process != process():
            for connection in self.pool.connections():
                cast("AsyncioStream", connection.stream).disown()
            _inherited.append(self.foreign)
        elif self.pool.forget() or self.foreign is not None:
            self._made.clear()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()


_inherited: list[object] = []
"""Clients of httpx that this process has from its parent. Garbage would warn of their sockets."""


class _Waiter:
    def __init__(self, home: "_LoopHome") -> None:
        self._home = home
        self._future: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float | None) -> None:
        self._home.wake_all_in(POLLING if seconds is None else min(seconds, POLLING))
        self._future = self._home.loop.create_future()
        await self._future


class AsyncioStream(asyncio.Protocol):
    """A `Stream` over a transport of asyncio, which calls it for all that happens."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.is_open = self.is_sending = False
        self._loop, self._process = loop, process()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._error: Exception | None = None
        self._future: asyncio.Future[None] | None = None
        self._limits: tuple[float | None, float | None] = None, None
        self._expires = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def abandon(self) -> None:
        if self._transport is not None and self._process == process():
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.close)

    def close(self) -> None:
        self.is_open = False
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def disown(self) -> None:
        """Close the socket in this process alone, which has inherited it.

        Its number stays in use, for `os.devnull`: the selector has it, and must not lose it, as the
        parent process may have the same selector.
        """
        if self._transport is not None and self.is_open:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, self._transport.get_extra_info("socket").fileno(), inheritable=False)
            os.close(null)

    async def call(self, work: Callable[[], T], until: float | None) -> T:
        try:
            result = self._loop.run_in_executor(None, work)
        except RuntimeError as error:  # no thread can be started, as while the interpreter exits
            failure = _faults.threadless(error)
        else:
            async with _within(until):
                return await result
        raise failure

    async def connect(self, host: str, port: int, until: float | None) -> None:
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = addresses(host, port) or await self.call(look_up, until)
        async with _within(until):
            sock = await self._connected(interleaved(found))
            await self._loop.create_connection(lambda: self, sock=sock)
            self._readable = watch(sock)

    async def _connected(self, untried: list[Address]) -> socket.socket:
        """Return the first connection to one of these addresses, which are tried side by side."""
        trying: set[asyncio.Task[socket.socket]] = set()
        failure: BaseException | str = "the host has no address"
        try:
            while untried or trying:
                if untried:
                    trying.add(self._loop.create_task(_dialled(self._loop, untried.pop(0))))
                done, _ = await asyncio.wait(
                    trying,
                    timeout=ATTEMPT_DELAY if untried else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    error = task.exception()
                    if error is None:
                        trying.remove(task)
                        return task.result()
                    _faults.let_through(error)
                    failure = error
                trying -= done
        finally:
            for task in trying:
                task.add_done_callback(_close_result)
                task.cancel()
        raise TransportError(_faults.CONNECTING, detail=str(failure), sent=False)

    def write(self, data: bytes) -> None:
        if self._transport is None or not self.is_open:
            raise ConnectionResetError("the connection was closed")
        self._transport.write(data)

    async def read(self, seconds: float | None, until: float | None) -> bytes | None:
        if left(seconds, until) == 0:
            return None
        if self.is_open and not self._received:
            self._future = self._loop.create_future()
            self._limits = seconds, until
            self._extend()
            try:
                await self._future
            finally:
                self._future = None
        if self._error is not None and not self._received:
            raise self._error
        received, self._received = self._received, b""
        return None if self.is_open and not received else received

    def peek(self) -> bytes | None:
        received, self._received = self._received, b""
        return received or (None if self.is_open and not self._readable(0) else b"")

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)  # so that it reports each write that must wait
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._future is None and len(self._received) > MAX_UNREAD:
            self.close()
        self._ring()

    def eof_received(self) -> None:
        self.is_open = False
        self._ring()

    def connection_lost(self, exc: Exception | None) -> None:
        # asyncio fails to abort a transport that it has closed after writing what was left.
        self.is_open, self._error, self._transport = False, exc, None
        if self._timer is not None:
            self._timer.cancel()
        self._ring()

    def pause_writing(self) -> None:
        self.is_sending = True

    def resume_writing(self) -> None:
        self.is_sending = False
        if self._future is not None:
            self._extend()

    def _ring(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def _extend(self) -> None:
        """Give the call that reads its time from now on.

        One timer serves all calls of a connection, as a timer for each would be expensive: it is
        set anew only if it would come too late, and looks at the time when it comes too early.
        """
        seconds = left(*self._limits)
        self._expires = math.inf if seconds is None else self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._expires:
            self._look_at_the_time()

    def _look_at_the_time(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop.time() >= self._expires:
            self._ring()
        elif self._future is not None and self._expires < math.inf:
            self._timer = self._loop.call_at(self._expires, self._look_at_the_time)


@asynccontextmanager
async def _within(until: float | None) -> AsyncGenerator[None]:
    """Give what is done inside until a time to connect."""
    timeout = asyncio.timeout(left(None, until))
    try:
        async with timeout:
            yield
    except TimeoutError as error:
        _faults.let_through(error)
        if not timeout.expired():
            raise
        failure = _faults.unconnected()
    else:
        return
    raise failure


async def _dialled(loop: AbstractEventLoop, found: Address) -> socket.socket:
    family, kind, protocol, _, address = found
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _close_result(task: "asyncio.Task[socket.socket]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
