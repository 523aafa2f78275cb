"""What both kinds of transports know of a request under way, and how they say what went wrong."""

import os
import time
from contextvars import ContextVar
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from .transport import Limits, Request, ResponseTooLarge, TransportError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

MAX_CONNECTIONS = 100
"""Connections of one client at most, in use or not. A call that finds them all busy waits."""

KEEPALIVE = 5.0
"""Seconds that a connection may be idle. Servers close theirs too (uvicorn after 5); better that we
do it first."""

GRACE = 0.25
"""Seconds past the total time after which an async request is cancelled from outside, in case the
limits of its single steps did not end it."""


class Attempt:
    """The request that this thread or task is about: when it must end, and whether it began.

    A request for https begins with the first byte inside of TLS: what is said to a proxy, and the
    handshake, are not yet part of it.
    """

    __slots__ = ("_head", "_token", "deadline", "has_body", "secure", "wrote")

    def __init__(self, request: Request, limits: Limits) -> None:
        """Begin now."""
        self.deadline = None if limits.total is None else time.monotonic() + limits.total
        self.secure = request.url.startswith("https:")
        self.has_body = bool(request.body)
        self.wrote = False
        self._head: bytes | None = None
        self._token: Any = None

    def __enter__(self) -> None:
        """Be what this thread or task is about."""
        self._token = current.set(self)

    def __exit__(self, *exc_info: object) -> None:
        """Be so no longer."""
        current.reset(self._token)

    def left(self, limit: float | None, out_of_time: type[Exception]) -> float | None:
        """Return the seconds that one step may take; raise if there are none."""
        if self.deadline is None:
            return limit
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise out_of_time("the total time is over")
        return left if limit is None else min(limit, left)

    def gathered(self, data: bytes) -> bytes:
        """Return what to write now: a head waits for its body, so that both are sent at once.

        What comes before the head, to a SOCKS proxy, does not wait.
        """
        if self._head is None:
            if not (self.has_body and data.endswith(b"\r\n\r\n")):
                return data
            self._head = data
            return b""
        whole, self._head = self._head + data, b""
        return whole

    def check(self, body: bytearray, answer: Any, limits: Limits) -> None:
        """Stop reading an answer that has become too large, or takes too long."""
        if len(body) > limits.body:
            status = getattr(answer, "status", None) or answer.status_code
            raise ResponseTooLarge(status, headers_of(answer))
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise out_of_time_error(sent=True)


current: ContextVar[Attempt] = ContextVar("current")
"""The attempt that this thread or task is about."""


def timeouts(limits: Limits) -> dict[str, float | None]:
    """Return the limits of the single steps, as httpx and httpcore take them."""
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
    """Return whether more than the answer arrived on its connection; `None` if that is not known.

    httpcore would take what is left over for the answer to the next request on that connection. It
    does not tell of it, so this looks inside: through httpx's wrappers to h11's parser, and from
    there down to the socket. (What is left in the socket, httpcore sees before the next request.)
    """
    while stream is not None:
        connection = getattr(stream, "_connection", None)
        parser = getattr(connection, "_h11_state", None)
        if parser is not None:
            return bool(parser.trailing_data[0]) or _unread(connection)
        stream = getattr(stream, "_stream", None) or getattr(stream, "_httpcore_stream", None)
    return None


def _unread(connection: Any) -> bool | None:
    """Return whether something was received that the parser was not given yet."""
    layer = getattr(connection, "_network_stream", None)
    while layer is not None:
        # TLS over memory: that of anyio, or httpcore's inside of a proxy's.
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
    import ssl  # here for the reason given below

    try:
        secure.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        pass  # broken, which is no better
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
"""Both libraries' errors by name: httpx's are httpcore's, made anew."""


def translated(error: Exception, *, sent: bool) -> TransportError:
    """Say in our words what httpx, httpcore or whatever is under them raised.

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
    """Whether TLS failed over a certificate: that does not pass by itself."""
    import ssl  # here, as the fast engine has a TLS of its own

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
    """Return what tells this process from those that it was forked from.

    A forked process must not use its parent's connections, as each would read the other's answers.
    The process id alone does not tell the two apart: a child in a new PID namespace may have its
    parent's. The number of forks alone does not either: a process that C code clones runs no hooks.
    """
    return os.getpid(), _forks


def places() -> "SimpleQueue[None]":
    """Return a semaphore of `MAX_CONNECTIONS`, written in C, as threading's is not."""
    free: SimpleQueue[None] = SimpleQueue()
    for _ in range(MAX_CONNECTIONS):
        free.put(None)
    return free


def forget_closed(by_loop: "dict[AbstractEventLoop, Any]") -> None:
    """Forget what is kept for event loops that were closed.

    It holds its loop, so that a weak reference would not do. Connections cannot be closed there any
    more; their sockets are, when they are collected.
    """
    for loop in [*by_loop]:
        if loop.is_closed():
            by_loop.pop(loop, None)


def running_loop() -> "AbstractEventLoop":
    """Return the running event loop of asyncio.

    Raises:
        TransportError: There is none, as under trio.
    """
    import asyncio  # here, as a process without async calls does not need it

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    raise TransportError(
        "AsyncOneloop needs a running event loop of asyncio", sent=False, passing=False
    )


def busy_error() -> TransportError:
    """Say that no connection became free."""
    return TransportError("no free connection in time", sent=False, timeout=True)


def out_of_time_error(*, sent: bool) -> TransportError:
    """Say that the total time is over."""
    return TransportError("no whole answer within the total time", sent=sent, timeout=True)


def closed_error() -> TransportError:
    """Say that the client was closed before the call."""
    return TransportError("the client is closed", sent=False, passing=False)
