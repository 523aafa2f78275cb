"""A connection of either driver: how it opens, and one exchange on it.

The drivers differ in their streams alone. This code is written once, as coroutines. The methods of
a blocking stream never suspend, so the blocking driver runs a coroutine to its end in one step.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

from oneloop.transport import Limits, Request, Response, ResponseTooLarge, TransportError

from . import _faults
from ._pool import KEEPALIVE, Pool
from ._route import Route
from ._wire import Wire

if TYPE_CHECKING:
    from ssl import SSLContext

T = TypeVar("T")


class Stream(Protocol):
    """The bytes of one connection, which opens with `connect`."""

    @property
    def is_open(self) -> bool:
        """Whether it has been opened and can still be used."""
        ...

    @property
    def is_sending(self) -> bool:
        """Whether the system has not yet taken all that was written."""
        ...

    async def call(self, work: Callable[[], T], until: float | None) -> T:
        """Call a function that may take a while, without stopping anything else meanwhile."""
        ...

    async def connect(self, host: str, port: int, until: float | None) -> None:
        """Open a connection to a host, within the time.

        Raises:
            TransportError: It does not open.
        """
        ...

    def write(self, data: bytes) -> None:
        """Begin to write. What the system does not take at once is written while `read` waits.

        Raises:
            OSError: The system has taken nothing.
        """
        ...

    async def read(self, seconds: float | None, until: float | None) -> bytes | None:
        """Return what arrives, nothing at its end, or `None` if there is nothing in time.

        What is left to write has up to `seconds`, and so has what arrives after it; both end at the
        time `until`.
        """
        ...

    def peek(self) -> bytes | None:
        """Return what has arrived already, nothing at its end, or `None` if there is nothing."""
        ...

    def close(self) -> None:
        """Close it at once, if that has not been done."""
        ...

    def abandon(self) -> None:
        """Close it when its connection is garbage-collected, in whatever thread that happens."""
        ...


class Waiter(Protocol):
    """Wakes a call that waits for a connection."""

    def wake(self) -> None:
        """Wake the call."""
        ...

    async def wait(self, seconds: float | None) -> None:
        """Wait for `wake`, or for some seconds, or for less."""
        ...


class Connection:
    """One connection, which opens with its first request."""

    def __init__(self, stream: Stream, route: Route, ssl_context: "SSLContext | None") -> None:
        self.number: int | None = None
        self.expires = 0.0
        self.doing = _faults.CONNECTING
        self.wire = Wire()
        self.stream = stream
        self._route, self._ssl_context = route, ssl_context

    def __del__(self) -> None:
        """Close what an interrupted call has lost."""
        if hasattr(self, "stream"):  # not if it was interrupted in `__init__`
            self.stream.abandon()

    def close(self) -> None:
        """Close it, if that has not been done."""
        self.stream.close()

    def is_usable(self) -> bool:
        """Return whether it may be used again: the server has neither closed it nor sent more."""
        if not self.stream.is_open:
            return False
        while (data := self.stream.peek()) is not None:
            if not self.wire.is_quiet_after(data):
                return False
        return True

    async def perform(self, request: Request, limits: Limits, deadline: float | None) -> Response:
        """Send a request and return the response.

        Raises:
            TransportError: There is no response.
            ResponseTooLarge: Its body exceeds the limit.
            OSError: There is no response either, and `doing` says what failed.
        """
        stream, wire = self.stream, self.wire
        wire.sent = False  # the previous request was: nothing of this one has been
        if not stream.is_open:
            await self._open(limits.connect, deadline)
        self.doing = _faults.SENDING
        data = wire.start(self._route.message(request), request.method, limits.body)
        # The last moment at which it is certain that nothing was sent. The process may have been
        # suspended, and others may have given this call up since.
        if deadline is not None and time.monotonic() >= deadline:
            raise _faults.too_late()
        wire.sent = True
        try:
            stream.write(data)
        except OSError as error:
            _faults.let_through(error)
            wire.sent = False
            received = stream.peek()  # perhaps the reason, such as an alert of TLS
            if received:
                wire.receive(received)
            raise
        while not wire.done:
            received = await stream.read(limits.read, deadline)
            if received is None:
                raise self._late(deadline)
            if not stream.is_sending:
                self.doing = _faults.WAITING
            if not wire.receive(received) and (reply := wire.reply()):
                stream.write(reply)
        if stream.is_sending or not stream.is_open:
            wire.reusable = False
        elif wire.reusable:
            limit = KEEPALIVE if wire.idle_limit is None else min(KEEPALIVE, wire.idle_limit)
            self.expires = time.monotonic() + limit
        return wire.response()

    def _late(self, deadline: float | None) -> TransportError:
        if deadline is not None and time.monotonic() >= deadline:
            return _faults.out_of_time()
        return _faults.unsent() if self.stream.is_sending else _faults.unanswered()

    async def _open(self, limit: float | None, deadline: float | None) -> None:
        stream = self.stream
        until = min((end for end in (deadline, _end(limit)) if end is not None), default=None)
        context = self._ssl_context if self._route.is_secure else None
        if self._route.is_secure and context is None:
            from ._tls import client_context, is_loaded  # on first use, as importing ssl is slow

            context = client_context() if is_loaded() else await stream.call(client_context, until)
        # Not with `*`: Python may run a signal handler after such a call, before it is awaited.
        host, port = self._route.address
        await stream.connect(host, port, until)
        steps = self.wire.opening(self._route, context)
        with suppress(StopIteration):
            data = next(steps)
            while True:
                stream.write(data)
                received = await stream.read(None, until)
                if received is None:
                    raise _faults.unconnected()
                data = steps.send(received)


class Options(NamedTuple):
    """What a transport is made with.

    Attributes:
        base_url: Where requests go.
        ssl_context: The application's TLS settings, or `None`.
        max_connections: The largest number of open connections.
        by_httpx: Whether httpx sends all requests, so that tools for httpx see them.
    """

    base_url: str
    ssl_context: "SSLContext | None"
    max_connections: int
    by_httpx: bool = False


class Home:
    """What a transport has in one process or event loop: its route, and the connections there.

    Attributes:
        pool: The connections.
    """

    is_async = False

    def __init__(
        self,
        options: Options,
        make_stream: Callable[[], Stream],
        make_waiter: Callable[[], Waiter],
    ) -> None:
        self._options, self._make_stream, self._make_waiter = options, make_stream, make_waiter
        route = Route(options.base_url)
        self.pool = Pool(
            options.max_connections,
            lambda: Connection(make_stream(), route, options.ssl_context),
        )
        self._made: dict[str, Any] = {}  # not an attribute: two threads may make one at once
        self._by_httpx = options.by_httpx or route.needs_httpx

    async def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.Transport.send`."""
        if self.pool.is_closed:
            raise _faults.closed()
        if self._by_httpx:
            foreign = self.foreign
            if foreign is None:
                with _faults.connecting():
                    foreign = await self._begin_with_httpx(_end(limits.connect))
            reply = foreign.send(request, limits)
            return cast("Response", (await reply) if self.is_async else reply)
        deadline = _end(limits.total)
        connection: Connection | None = None
        try:
            connection = self.pool.take() or await self._queued(_end(limits.connect))
            response = await connection.perform(request, limits, deadline)
        except (TransportError, ResponseTooLarge):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the outcome is known
            failure = _faults.failed(
                error,
                doing=connection.doing if connection else _faults.CONNECTING,
                sent=connection is not None and connection.wire.sent,
            )
        else:
            # From here on, the pool owns it. If it does not arrive there, it is closed as garbage.
            used, connection = connection, None
            (self.pool.give_back if used.wire.reusable else self.pool.discard)(used)
            return response
        finally:
            if connection is not None:
                self.pool.discard(connection)
        raise failure

    @property
    def foreign(self) -> Any:
        """The transport by httpx, if that sends the requests, from the first call on."""
        return self._made.get("httpx")

    def drop(self) -> None:
        """Close what this process has inherited from its parent, which goes on to use it."""
        for connection in self.pool.connections():
            connection.close()
        if self.foreign is not None:
            self.foreign.client.close()

    async def _begin_with_httpx(self, until: float | None) -> Any:
        base_url, ssl_context, max_connections, _ = self._options

        def prepare() -> Any:
            from . import _httpx  # on first use, as importing it is slow

            _httpx.prepare(base_url, ssl_context)
            return _httpx.plain_transport

        make = await self._make_stream().call(prepare, until)
        if self.pool.is_closed:
            raise _faults.closed()
        if self.foreign is None:
            made = make(base_url, ssl_context, max_connections, is_async=self.is_async)
            self._made.setdefault("httpx", made)  # another thread may have been faster
        return self.foreign

    async def _queued(self, until: float | None) -> Connection:
        """Return a connection as soon as it is this call's turn."""
        waiter = self._make_waiter()
        entry = self.pool.join(waiter)
        try:
            while (connection := self.pool.take(waiter)) is None:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise _faults.busy()
                await waiter.wait(left)
            return connection
        finally:
            self.pool.leave(entry)


def _end(limit: float | None) -> float | None:
    return None if limit is None else time.monotonic() + limit
