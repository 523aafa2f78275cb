"""What the transports share: the state of a running request, its limits, and their errors."""

import os
import time
from contextvars import ContextVar
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from .transport import Limits, Request, ResponseTooLarge, TransportError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

MAX_CONNECTIONS = 100
"""The largest number of connections of one client. If all of them are in use, a call waits."""

KEEPALIVE = 5.0
"""Seconds after which an idle connection is closed. Servers close idle connections as well (uvicorn
after 5 seconds), and a request must not be sent on a connection that is being closed."""

GRACE = 0.25
"""Seconds after the total time at which an async request is cancelled, in case the limits of its
single steps have not ended it."""


class Attempt:
    """One attempt to send a request: when it must end, and whether sending has begun.

    An https request begins with the first byte inside TLS. A request to a proxy and the handshake
    are not part of it.
    """

    __slots__ = ("_head", "_token", "deadline", "has_body", "secure", "wrote")

    def __init__(self, request: Request, limits: Limits) -> None:
        self.deadline = None if limits.total is None else time.monotonic() + limits.total
        self.secure = request.url.startswith("https:")
        self.has_body = bool(request.body)
        self.wrote = False
        self._head: bytes | None = None
        self._token: Any = None

    def __enter__(self) -> None:
        """Make this the current attempt of this thread or task."""
        self._token = current.set(self)

    def __exit__(self, *exc_info: object) -> None:
        """Restore the previous attempt."""
        current.reset(self._token)

    def left(self, limit: float | None, out_of_time: type[Exception]) -> float | None:
        """Return the seconds that one step may take, or raise `out_of_time` if there are none."""
        if self.deadline is None:
            return limit
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise out_of_time("the total time has run out")
        return left if limit is None else min(limit, left)

    def gathered(self, data: bytes) -> bytes:
        """Return the bytes to write now. The head of a request is kept until its body follows.

        Both are then sent at once. Bytes that precede the head, for a SOCKS proxy, are not kept.
        """
        if self._head is None:
            if not (self.has_body and data.endswith(b"\r\n\r\n")):
                return data
            self._head = data
            return b""
        whole, self._head = self._head + data, b""
        return whole

    def check(self, body: bytearray, answer: Any, limits: Limits) -> None:
        """Raise if a response has become too large, or takes too long."""
        if len(body) > limits.body:
            status = getattr(answer, "status", None) or answer.status_code
            raise ResponseTooLarge(status, headers_of(answer))
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TransportError("no whole answer within the total time", timeout=True)


current: ContextVar[Attempt] = ContextVar("current")
"""The current attempt of this thread or task."""


def timeouts(limits: Limits) -> dict[str, float | None]:
    """Return the limits of the single steps in the form of httpx and httpcore."""
    return {
        "connect": limits.connect,
        "pool": limits.connect,
        "read": limits.read,
        "write": limits.read,
    }


def headers_of(answer: Any) -> tuple[tuple[str, str], ...]:
    """Return the headers of a response of httpx or httpcore."""
    pairs = getattr(answer.headers, "raw", answer.headers)  # httpx's headers, or httpcore's list
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs)


def left_over(stream: Any) -> bool | None:
    """Return whether more than the response arrived on its connection; `None` if unknown.

    httpcore would take the rest for the next response, and has no interface for it. So this reads
    private attributes, through httpx's wrappers to h11's parser, and from there to the socket.
    """
    while stream is not None:
        connection = getattr(stream, "_connection", None)
        parser = getattr(connection, "_h11_state", None)
        if parser is not None:
            return bool(parser.trailing_data[0]) or _unread(connection)
        stream = getattr(stream, "_stream", None) or getattr(stream, "_httpcore_stream", None)
    return None


def _unread(connection: Any) -> bool | None:
    """Return whether bytes have been received that the parser has not got yet."""
    layer = getattr(connection, "_network_stream", None)
    while layer is not None:
        # TLS over memory buffers: anyio's, or httpcore's inside the TLS of a proxy.
        secure = getattr(layer, "_ssl_object", None) or getattr(layer, "ssl_obj", None)
        if secure is not None and _has_more(secure):
            return True
        protocol = getattr(layer, "_protocol", None)
        if protocol is not None:  # anyio's, on asyncio, which reads ahead
            return bool(protocol.read_queue)
        socket = getattr(layer, "_sock", None)
        if socket is not None:
            return hasattr(socket, "pending") and socket.pending() > 0
        layer = (
            getattr(layer, "_inner", None)  # ours
            or getattr(layer, "_stream", None)  # httpcore's around anyio's
            or getattr(layer, "transport_stream", None)  # under anyio's TLS
        )
    return None


def _has_more(secure: Any) -> bool:
    import ssl  # on first use, as the fast engine has its own TLS

    try:
        secure.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        pass  # a broken connection must not be used again either
    return True


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
    "TimeoutError": "no whole answer within the total time",
}
"""Problems by the name of an error. httpx's errors have the names of httpcore's."""


def translated(error: Exception, *, sent: bool) -> TransportError:
    """Return our error for an exception of httpx, httpcore or the libraries below them.

    Raises:
        BaseException: What a signal handler raised, which is not about the call.
    """
    from ._signals import let_through  # on first use, as most calls do not fail

    let_through(error)
    name = type(error).__name__
    words = _WORDS.get(name)
    if words is None and isinstance(error, OSError):  # such as an ssl.SSLError while reading
        words = "the connection was lost" if sent else "cannot connect"
    return TransportError(
        words or name,
        detail=str(error),
        sent=sent,
        timeout=name.endswith("Timeout") or isinstance(error, TimeoutError),
        passing=words is not None and not _is_certificate_failure(error),
    )


def _is_certificate_failure(error: BaseException | None) -> bool:
    """Return whether TLS failed because of a certificate, which is not a temporary problem."""
    import ssl  # on first use, as the fast engine has its own TLS

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


_forks = 0


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forked)


def process() -> tuple[int, int]:
    """Return an identifier of this process that differs from those of its parents.

    A forked process must not use its parent's connections. A child in a new PID namespace may have
    its parent's process id, and C code may fork without running the hooks that count forks.
    """
    return os.getpid(), _forks


def slots() -> "SimpleQueue[None]":
    """Return a semaphore of `MAX_CONNECTIONS`; a queue, as that is faster than threading's."""
    free: SimpleQueue[None] = SimpleQueue()
    for _ in range(MAX_CONNECTIONS):
        free.put(None)
    return free


def forget_closed(by_loop: "dict[AbstractEventLoop, Any]") -> None:
    """Remove the entries of closed event loops, so that their sockets are garbage-collected.

    Weak references would not do, as an entry refers to its loop.
    """
    for loop in [*by_loop]:
        if loop.is_closed():
            by_loop.pop(loop, None)


def running_loop() -> "AbstractEventLoop":
    """Return the running event loop of asyncio.

    Raises:
        TransportError: There is none, as under trio.
    """
    import asyncio  # on first use, as a process without async calls does not need it

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    raise TransportError(
        "AsyncOneloop needs a running event loop of asyncio", sent=False, passing=False
    )


def busy_error() -> TransportError:
    """Return the error for a call that found no free connection in time."""
    return TransportError("no free connection in time", sent=False, timeout=True)


def unopened_error(error: Exception) -> TransportError:
    """Return the error for what prevents any connection, such as a bad certificate file."""
    return TransportError("cannot open connections", detail=str(error), sent=False, passing=False)


def closed_error() -> TransportError:
    """Return the error for a call of a client that has been closed."""
    return TransportError("the client is closed", sent=False, passing=False)
