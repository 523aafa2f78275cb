"""The default transport of `Oneloop`, over blocking sockets."""

import errno
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from oneloop.transport import Limits, Request, Response, TransportError

from . import _faults
from ._connection import Home, Options
from ._pool import process
from ._sockets import ATTEMPT_DELAY, Address, addresses, interleaved, left, wait, watch

T = TypeVar("T")

PIECE = 64 * 1024
"""The largest number of bytes that are read or written at a time."""

POLLING = 0.5
"""Seconds between two looks at the pool while a thread waits for a connection: the thread that
freed one may have been interrupted before it could wake the next."""

_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)
"""What `connect_ex` returns for a connection that opens or is open."""


class BlockingTransport:
    """Sends requests over connections of its own. All threads share it.

    A forked process gets connections of its own. `close` lets calls in flight end first.
    """

    def __init__(self, *options: Any) -> None:
        """Take `Options`."""
        self._options = Options(*options)
        self._closed = False
        self._homes: dict[tuple[int, int], Home] = {}

    def send(self, request: Request, limits: Limits) -> Response:
        home = self._homes.get(process()) or self._home()
        if self._closed:
            raise _faults.closed()
        try:
            home.send(request, limits).send(None)  # a blocking stream never suspends
        except StopIteration as end:
            response: Response = end.value
            return response
        raise AssertionError("a blocking stream has suspended")

    def _home(self) -> Home:
        """Return the connections of this process; drop those of its parents."""
        this = process()
        with _faults.connecting():
            home = Home(self._options, BlockingStream, _Waiter)
        home = self._homes.setdefault(this, home)
        for other in [*self._homes]:
            if other != this:
                with suppress(KeyError):  # another thread was faster
                    self._homes.pop(other).drop()
        return home

    def close(self) -> None:
        """Refuse calls from now on, and close all connections once those in flight have ended."""
        self._closed = True
        home = self._homes.get(process())
        if home is not None:
            home.pool.close()
            if home.foreign is not None:
                home.foreign.close()


class _Waiter:
    def __init__(self) -> None:
        self._event = threading.Event()

    def wake(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None) -> None:
        self._event.wait(POLLING if seconds is None else min(seconds, POLLING))
        self._event.clear()


class BlockingStream:
    """A `Stream` over a socket, whose methods never suspend."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        """The connected one; all that are being tried while it connects."""
        self._unsent = memoryview(b"")

    @property
    def is_open(self) -> bool:
        return bool(self._sockets)

    @property
    def is_sending(self) -> bool:
        return bool(self._unsent)

    def close(self) -> None:
        while self._sockets:
            self._sockets.pop().close()

    abandon = close

    async def call(self, work: Callable[[], T], until: float | None) -> T:
        return work()

    def write(self, data: bytes) -> None:
        if self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + data)
            return
        try:
            sent = self._sockets[0].send(data)
        except BlockingIOError:
            sent = 0
        self._unsent = memoryview(data)[sent:]

    async def read(self, seconds: float | None, until: float | None) -> bytes | None:
        if self._unsent and not self._send_rest(left(seconds, until)):
            return None
        while (rest := left(seconds, until)) != 0 and self._readable(rest):
            try:
                return self._sockets[0].recv(PIECE)
            except BlockingIOError:
                continue
        return None

    def peek(self) -> bytes | None:
        try:
            return self._sockets[0].recv(PIECE) if self._readable(0) else None
        except OSError:
            return b""

    def _send_rest(self, seconds: float | None) -> bool:
        """Send until all is sent or something can be read; return whether that was in time."""
        sock = self._sockets[0]
        until = None if seconds is None else time.monotonic() + seconds
        while self._unsent:
            readable, writable = wait([sock], [sock], left(None, until))
            if readable:
                break
            if not writable:
                return False
            try:
                self._unsent = self._unsent[sock.send(self._unsent[:PIECE]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                _faults.let_through(error)
                break  # the server may have answered before it closed: reading will tell
        return True

    async def connect(self, host: str, port: int, until: float | None) -> None:
        found = addresses(host, port) or _looked_up(host, port, until)
        sock = self._connected(deque(interleaved(found)), until)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._readable = watch(sock)

    def _connected(self, untried: deque[Address], until: float | None) -> socket.socket:
        """Return the first connection to one of these addresses, which are tried side by side."""
        trying: list[socket.socket] = []
        failure: OSError | str = "the host has no address"
        next_at = 0.0
        while untried or trying:
            now = time.monotonic()
            if until is not None and now >= until:
                raise _faults.unconnected()
            if untried and (now >= next_at or not trying):
                family, kind, protocol, _, address = untried.popleft()
                next_at = now + ATTEMPT_DELAY
                try:
                    self._sockets.append(socket.socket(family, kind, protocol))
                    self._sockets[-1].setblocking(False)
                    code = self._sockets[-1].connect_ex(address)
                except OSError as error:  # such as a family that the system does not have
                    _faults.let_through(error)
                    failure, next_at = error, now
                    continue
                if code in _UNDER_WAY:
                    trying.append(self._sockets[-1])
                else:
                    failure, next_at = OSError(code, os.strerror(code)), now
                continue
            ends = [end for end in (until, next_at if untried else None) if end is not None]
            for sock in wait([], trying, min(ends) - now if ends else None)[1]:
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    for other in self._sockets:
                        if other is not sock:
                            other.close()
                    self._sockets[:] = [sock]
                    return sock
                failure, next_at = OSError(code, os.strerror(code)), now
                trying.remove(sock)
        raise TransportError(_faults.CONNECTING, detail=str(failure), sent=False)


def _looked_up(host: str, port: int, until: float | None) -> list[Address]:
    """Return the addresses of a host. A thread looks them up, as that cannot be interrupted."""
    results: list[Any] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            results.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001 - raised by the caller
            results.append(error)
        finally:
            done.set()

    try:
        threading.Thread(target=look_up, name="oneloop-dns", daemon=True).start()
    except RuntimeError as error:
        raise _faults.threadless(error) from None
    if not done.wait(left(None, until)):
        raise _faults.unconnected()
    (found,) = results
    if isinstance(found, Exception):
        may_pass = isinstance(found, OSError)
        raise TransportError(_faults.CONNECTING, detail=str(found), sent=False, passing=may_pass)
    addresses: list[Address] = found
    return addresses
