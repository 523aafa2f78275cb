"""Streams and connections at moments that real sockets rarely bring about."""

import asyncio
import socket
from typing import Any

import pytest

from oneloop._http import _blocking
from oneloop._http._asyncio import AsyncioStream, _within
from oneloop._http._blocking import BlockingStream, BlockingTransport
from oneloop._http._connection import Connection, Home, Options
from oneloop._http._httpx import translated
from oneloop._http._route import Route
from oneloop.transport import Limits, Request, TransportError
from tests.calling import SLACK
from tests.tools.failures import full_backlog, refusing

REQUEST = Request("POST", "http://127.0.0.1:1/", (), b"{}")
LIMITS = Limits(1, 1, 1, 1000)


def test_an_asyncio_stream_that_is_not_open() -> None:
    """Nothing can be read or written, and there is nothing to give up."""

    async def main() -> None:
        stream = AsyncioStream(asyncio.get_running_loop())
        stream.disown()
        stream.resume_writing()
        with pytest.raises(ConnectionResetError):
            stream.write(b"request")
        assert await stream.read(None, None) == b""
        assert await stream.read(1, 0.0) is None  # the time is over

    asyncio.run(main())


def test_an_address_that_is_silent_is_waited_for_when_the_last_one_has_failed() -> None:
    """The other attempts go on until the time to connect is over."""

    async def main(silent: int, refused: int) -> None:
        stream = AsyncioStream(asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(
                stream._connected(
                    [
                        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))
                        for port in (silent, refused)
                    ]
                ),
                0.8,
            )

    with full_backlog() as silent, refusing() as refused:
        asyncio.run(main(*(int(one.url.rpartition(":")[2]) for one in (silent, refused))))


def test_a_timeout_of_the_system_is_not_ours() -> None:
    """A `TimeoutError` of the system, before our limit, stays what it is."""

    async def main() -> None:
        async with _within(None):
            raise TimeoutError("of the system")

    with pytest.raises(TimeoutError, match="of the system"):
        asyncio.run(main())


def test_what_is_not_sent_yet_comes_first() -> None:
    """A second write follows what the system has not taken of the first."""
    stream = BlockingStream()
    stream._unsent = memoryview(b"first")
    stream.write(b", second")
    assert bytes(stream._unsent) == b"first, second"


def test_a_blocking_stream_never_suspends(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it did, that would be a fault of ours, which is noticed at once."""

    class Suspending:
        async def send(self, *_: object) -> None:
            await asyncio.sleep(0)

    monkeypatch.setattr(BlockingTransport, "_home", lambda _: Suspending())
    with pytest.raises(AssertionError, match="suspended"):
        BlockingTransport("http://127.0.0.1:1", None, 1).send(REQUEST, LIMITS)


def test_a_connection_that_was_interrupted_while_it_was_made_is_garbage() -> None:
    """It has no stream to close then."""
    Connection.__new__(Connection).__del__()


class Refusing:
    """A stream whose server has answered and closed before it took anything."""

    is_open, is_sending = True, False

    def write(self, data: bytes) -> None:
        """Refuse the data."""
        raise ConnectionResetError("refused")

    def peek(self) -> bytes:
        """Return an answer that nobody has asked for."""
        return b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n"

    def abandon(self) -> None:
        """Do nothing."""


def test_an_answer_to_nothing_does_not_answer_a_request() -> None:
    """If the system took nothing of a request, what the server said before is no answer to it."""
    connection = Connection(Refusing(), Route("http://127.0.0.1:1"), None)  # type: ignore[arg-type]
    with pytest.raises(ConnectionResetError):
        connection.perform(REQUEST, LIMITS, None).send(None)
    assert not connection.wire.sent


def test_what_fails_before_there_is_a_connection_is_not_sent() -> None:
    """An error of the system in the pool is NOT_SENT as well."""

    def make() -> Any:
        raise OSError("no memory")

    home = Home(Options("http://127.0.0.1:1", None, 1), make, _blocking._Waiter)
    with pytest.raises(TransportError, match="cannot connect") as caught:
        home.send(REQUEST, LIMITS).send(None)
    assert not caught.value.sent
    assert caught.value.passing


def test_time_that_runs_out_before_httpx_has_sent_is_time_to_connect() -> None:
    """The error says that there was no connection, not that there was no answer."""
    found = translated(TimeoutError(), sent=False)
    assert (found.problem, found.sent, found.timeout) == ("no connection in time", False, True)


def test_the_rest_of_a_request_that_cannot_be_sent_is_left() -> None:
    """The server may have answered before: reading tells."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        ours.shutdown(socket.SHUT_WR)
        stream = BlockingStream()
        stream._sockets = [ours]
        stream._unsent = memoryview(b"the rest")
        assert stream._send_rest(SLACK)
        assert stream._unsent == b"the rest"
