"""The connection to a ledger's database, and the thread that writes to it.

All threads and tasks hand their operations to one thread. It carries out what has come together in
one transaction, so that one flush to disk serves many refills, and it carries operations out again
after the connection was lost.
"""

import os
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from uuid import uuid4

from attrs import evolve
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError as UrlError
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from oneloop._errors import ConfigurationError

from ._model import LedgerError, LedgerMissingError, LedgerUnavailableError
from ._owners import Owners
from ._settling import Lesson
from ._store import Batch, Create, LostRaceError, Operation, Rules, fact
from ._tables import VERSION, facts, metadata

T = TypeVar("T")

_LARGEST_BATCH = 256
"""Operations in one transaction. More would let the first ones wait for little gain."""

_RACES = 5
"""How often an operation may lose a race for a meter before that is an error."""

_PAUSE = 0.1
"""Seconds between attempts to reach a database."""

_SCHEMA_LOCK = 7_116_540_226_011
"""PostgreSQL makes a table twice if two sessions ask at once. Whoever has this lock makes it."""


_AT_ONCE = "BEGIN IMMEDIATE"
"""Takes the lock of SQLite before reading: a transaction that takes it later can fail then."""

_POSTGRESQL_NOW = text(
    "SELECT extract(epoch FROM clock_timestamp()), "
    # A commit must be on disk before anything is sent, also where the server is set to answer
    # earlier. A setting that is stricter stays.
    "CASE current_setting('synchronous_commit') "
    "WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END, "
    # A process that is suspended inside a transaction must not stop the others for ever.
    "set_config('lock_timeout', '10s', true), "
    "set_config('idle_in_transaction_session_timeout', '20s', true)"
)
"""The time, with settings for the transaction: those of a session do not pass a PgBouncer."""


def checked_url(database: str | os.PathLike[str]) -> URL:
    """Return the URL of a database that was given as a path or as a URL.

    Raises:
        ConfigurationError: It is neither, or no database that a ledger can be in.
    """
    try:
        name = os.fspath(database)
    except TypeError:
        name = None
    if not isinstance(name, str) or not name:
        raise ConfigurationError(
            'database must be a path such as "refills.db" or a URL such as '
            '"postgresql://user@host/name"'
        )
    if name == ":memory:":
        name = "sqlite://"
    if "://" not in name:
        return URL.create("sqlite", database=_resolved(name))
    try:
        url = make_url(name)
    except (UrlError, ValueError):
        raise ConfigurationError("database is not a valid URL") from None
    backend = url.drivername
    if backend in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if backend not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigurationError(
            f"a ledger can be in SQLite or PostgreSQL, not in {backend[:40]!r}; use a path, "
            "sqlite:///path or postgresql://user@host/name"
        )
    if url.database in (None, "", ":memory:") or "mode" in url.query:
        raise ConfigurationError(
            "a ledger must outlive its process: name a file, as in Ledger('refills.db')"
        )
    return url.set(database=_resolved(str(url.database)))


def _resolved(path: str) -> str:
    try:
        return str(Path(path).resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a NUL, or links that lead to each other
        said = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"database is the path {path!r}, which is none: {said}") from None


class Database:
    """A database with the tables of a ledger, made when they are first written to.

    Args:
        url: From `checked_url`.
        rules: What the operations go by; their owner and `alive` are set here.
        patience: Seconds for which a database that was reachable before is tried again.
        clock: Seconds since the epoch. Only for SQLite: PostgreSQL has a clock that all share.
    """

    def __init__(
        self, url: URL, rules: Rules, *, patience: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._url = url
        self._patience = patience
        self._clock = clock
        self._is_file = url.get_backend_name() == "sqlite"
        self._owners = Owners(Path(str(url.database))) if self._is_file else None
        alive = self._owners.is_alive if self._owners else rules.alive
        self._rules = evolve(rules, owner=uuid4().hex, alive=alive)
        self._engine = _engine(url, patience)
        self._is_prepared = False
        self._was_used = False
        self._was_reached = False
        self._api: str | None = None
        self._known: frozenset[Lesson] = frozenset()
        self._writing: Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._ledger_id: str | None = None

    @property
    def name(self) -> str:
        """The database without its password and parameters, for messages."""
        if self._is_file:
            return str(self._url.database)
        url = self._url
        shown = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
        return shown.render_as_string()

    def now(self, connection: Connection) -> float:
        """Return seconds since the epoch by the clock that all processes share."""
        if self._is_file:
            return self._clock()
        return float(connection.execute(_POSTGRESQL_NOW).one()[0])

    def write(self, operations: list[Operation], api: str) -> list[Any]:
        """Carry out operations in one transaction and return their results.

        An exception among the results belongs to its operation alone.
        """
        for _ in range(_RACES):
            try:
                return self._persistently(lambda: self._write(operations, api))
            except LedgerError:
                raise
            except (IntegrityError, LostRaceError):
                # Another process has taken a meter at the same moment. A new transaction sees that.
                if len(operations) > 1:
                    return self._write_each(operations, api)
            except Exception as error:  # noqa: BLE001 - what one of them holds cannot be written
                if len(operations) > 1:
                    return self._write_each(operations, api)
                raise LedgerUnavailableError(self._unavailable(error)) from None
        raise LedgerUnavailableError(
            f"the ledger in {self.name} cannot be used: {_RACES} transactions in a row failed, "
            "because others had changed the same rows"
        )

    def _write_each(self, operations: list[Operation], api: str) -> list[Any]:
        """Carry out operations one by one, so that none fails because of another."""
        results: list[Any] = []
        for one in operations:
            try:
                results += self.write([one], api)
            except LedgerError as error:
                results.append(error)
        return results

    def _write(self, operations: list[Operation], api: str) -> list[Any]:
        is_creating = any(isinstance(one, Create) for one in operations)
        # A ledger that was there is lost: only somebody who knows that may make another one.
        may_create = is_creating or (self._rules.create and not self._was_used)
        self._is_prepared = self._is_prepared and not is_creating
        if self._writing is None:
            self._writing = self._connected(may_create=may_create)
        connection = self._writing
        try:
            self._check_file(may_create=False)
            with connection.begin():
                ledger_id = self._prepare(connection, may_create=may_create)
                self._check_api(connection, api)
                batch = Batch(connection, self._rules, self.now(connection), self._known)
                results = batch.perform(operations)
                known = batch.learned
        except BaseException:
            self._writing = None
            with suppress(SQLAlchemyError):  # perhaps it is broken
                connection.invalidate()
                connection.close()
            raise
        self._is_prepared = self._was_used = True
        self._ledger_id = ledger_id
        self._api = api or self._api
        self._known = known
        return results

    def _connected(self, *, may_create: bool) -> Connection:
        """Return a connection to write with. Only if that is allowed, it makes the database.

        Raises:
            LedgerMissingError: There is no ledger, and none may be made.
        """
        self._check_file(may_create=may_create)
        self._is_prepared = False
        connection = self._engine.connect()
        self._was_reached = True
        try:
            self._check_file(may_create=False)
            if self._is_file:
                # Before the file is touched: it may be a database of another program.
                if not (may_create or self._has_tables(connection)):
                    raise self._missing()
                connection.rollback()
                connection.execution_options(begin="")  # no transaction: it could not be set in one
                # Readers do not wait for a writer then. The file keeps it.
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                connection.rollback()
                connection.execution_options(begin=_AT_ONCE)
        except BaseException:
            connection.close()
            raise
        return connection

    def read(self, function: Callable[[Connection, float], T]) -> T:
        """Return what a function reads, in a transaction of its own.

        Raises:
            LedgerError: There is no ledger in this database.
            LedgerUnavailableError: The database cannot be reached.
        """

        def attempt() -> T:
            with self.reading() as connection:
                return function(connection, self.now(connection))

        try:
            return self._persistently(attempt)
        except (SQLAlchemyError, ValueError, TypeError) as error:
            raise LedgerUnavailableError(self._unavailable(error)) from None

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """Yield a connection that reads what there is at one moment."""
        self._check_file(may_create=False)
        with self._engine.connect().execution_options(begin="BEGIN") as connection:
            self._was_reached = True
            if not self._is_prepared:
                if not self._has_tables(connection):
                    raise self._missing()
                self._check_version(connection)
                self._ledger_id = self._checked_id(connection)
            connection.rollback()
            yield connection

    def close(self) -> None:
        """Let others take over at once what this process has begun. It has ended that by now."""
        connection, self._writing = self._writing, None
        if connection is not None:
            connection.close()
        self._engine.dispose()
        if self._owners is not None:
            self._owners.release()

    def _persistently(self, function: Callable[[], T]) -> T:
        begun = time.monotonic()
        while True:
            try:
                result = function()
            except SQLAlchemyError as error:
                if isinstance(error, IntegrityError) or not _may_pass(error):
                    raise
                waited = time.monotonic() - begun
                if waited >= self._patience or not (self._is_file or self._was_reached):
                    raise LedgerUnavailableError(self._unavailable(error)) from None
                time.sleep(_PAUSE)
            else:
                return result

    def _missing(self) -> LedgerMissingError:
        place = "at" if self._is_file else "in the database"
        return LedgerMissingError(
            f"there is no ledger {place} {self.name}; create() makes one, which knows nothing of "
            "what another one has refilled"
        )

    def _unavailable(self, error: Exception) -> str:
        # The driver's own words: SQLAlchemy would add the statement with its values.
        said = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
        for password in (self._url.password, self._url.query.get("password")):
            said = said.replace(str(password), "***") if password else said
        lines = " ".join(said.split())[:500]
        return f"the ledger in {self.name} cannot be used: {lines}"

    def _prepare(self, connection: Connection, *, may_create: bool) -> str | None:
        """Look at the tables, once per connection, or make them; begin to be a living owner.

        Returns the ledger's id, which counts when the transaction is committed.
        """
        if self._is_prepared:
            return self._ledger_id
        self._check_encoding(connection)
        if not self._is_file:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"))
        if not self._has_tables(connection):
            if not may_create:
                raise self._missing()
            metadata.create_all(connection)
            fact(connection, "version", VERSION)
            self._ledger_id = None
        self._check_version(connection)
        fact(connection, "ledger", uuid4().hex)
        ledger_id = self._checked_id(connection)
        if self._owners is not None:
            self._owners.register(self._rules.owner)
        return ledger_id

    def _check_file(self, *, may_create: bool) -> None:
        """Refuse to go on with a file that has another name now: others would not see it."""
        if not self._is_file:
            return
        known = self._identity  # before looking: other threads may note it meanwhile
        found = self._found()
        if known is None and found is not None:
            self._identity = found
        elif known is None and not may_create:
            raise self._missing()
        elif known is None:
            self._check_journal()
        elif found != known:
            raise LedgerError(
                f"the file {self.name} was moved, replaced or removed while the ledger was open; "
                "put it back with the files beside it whose names begin with its own, as they have "
                "a part of what it knows"
            )

    def _check_journal(self) -> None:
        """Refuse to make a ledger where there was one: SQLite would remove what is left of it."""
        journal = Path(f"{self._url.database}-wal")
        if journal.exists():
            raise LedgerError(
                f"there is no ledger at {self.name}, but there is {journal.name}, which belongs to "
                "one: bring back the file from beside which it was left"
            )

    def _found(self) -> tuple[int, int] | None:
        """Return what identifies the file; `None` if there is none."""
        try:
            found = Path(str(self._url.database)).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise LedgerUnavailableError(self._unavailable(error)) from None
        return found.st_dev, found.st_ino

    def _check_encoding(self, connection: Connection) -> None:
        """Refuse a database that cannot store every id."""
        if self._is_file:
            return
        found = connection.scalar(text("SHOW server_encoding"))
        if found != "UTF8":
            raise LedgerError(
                f"the database {self.name} has the encoding {found}; a ledger needs one with UTF8"
            )

    def _has_tables(self, connection: Connection) -> bool:
        """Return whether there is a ledger.

        Raises:
            LedgerError: Some of its tables are there and others not. They are made together.
        """
        lost: list[str] = []
        for _ in range(2):  # whoever makes them may have committed while we looked
            inspector = inspect(connection)
            lost = [name for name in metadata.tables if not inspector.has_table(name)]
            if len(lost) in (0, len(metadata.tables)):
                return not lost
        raise LedgerError(
            f"the ledger in {self.name} has lost {' and '.join(sorted(lost))}; restore the tables, "
            "as without them it would make refills again"
        )

    def _checked_id(self, connection: Connection) -> str | None:
        """Return the id of the ledger, `None` for one that was made before ledgers had ids.

        Raises:
            LedgerError: It is another ledger than before, with the same name.
        """
        chosen = facts.select().with_only_columns(facts.c.value).where(facts.c.name == "ledger")
        found: str | None = connection.scalar(chosen)
        if self._ledger_id not in (None, found):
            raise LedgerError(
                f"there is another ledger in {self.name} than before; bring the former one back, "
                "or open this one anew if you are sure"
            )
        return found

    def _check_version(self, connection: Connection) -> None:
        found = connection.scalar(
            facts.select().with_only_columns(facts.c.value).where(facts.c.name == "version")
        )
        if found != VERSION:
            raise LedgerError(
                f"the ledger in {self.name} was made by another version of oneloop "
                f"(schema {found}, not {VERSION})"
            )

    def _check_api(self, connection: Connection, api: str) -> None:
        """Refuse to use a ledger with an API that its refills were not sent to."""
        if api in ("", self._api):
            return
        found = fact(connection, "api", api)
        if found != api:
            raise LedgerError(
                f"the ledger in {self.name} belongs to {found}, not to {api}: what was refilled "
                "there says nothing about here; use another ledger"
            )


class Writer:
    """A thread that carries operations out in the database, many in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ended = threading.Event()
        self._queue: SimpleQueue[tuple[Operation, str, Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="oneloop-ledger", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation, api: str) -> Future[Any]:
        """Return a future of the result of an operation, once it is on disk."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # from now on, a task cannot cancel it
        self._queue.put((operation, api, future))
        return future

    def end(self) -> None:
        """Carry out what was submitted, then close the database and end the thread."""
        self._queue.put(None)

    def wait(self) -> None:
        """Wait until the thread has ended."""
        self._ended.wait()
        self._thread.join()

    def _run(self) -> None:
        is_ending = False
        while not is_ending:
            taken = [self._queue.get()]
            with suppress(Empty):
                while len(taken) < _LARGEST_BATCH:
                    taken.append(self._queue.get_nowait())
            jobs = [job for job in taken if job is not None]
            is_ending = len(jobs) < len(taken)
            for api in {api for _, api, _ in jobs}:
                self._carry_out([(one, future) for one, of, future in jobs if of == api], api)
        try:
            self._database.close()
        finally:
            self._ended.set()

    def _carry_out(self, jobs: list[tuple[Operation, Future[Any]]], api: str) -> None:
        futures = [future for _, future in jobs]
        results: list[Any]
        try:
            results = self._database.write([one for one, _ in jobs], api)
        except BaseException as error:  # noqa: BLE001 - it belongs to those who wait
            results = [error] * len(jobs)
        for future, result in zip(futures, results, strict=True):
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)


def _may_pass(error: SQLAlchemyError) -> bool:
    """Return whether the same may succeed later: lost connections, deadlocks, locked files."""
    name: str | None = getattr(getattr(error, "orig", None), "sqlite_errorname", None)
    if name is not None:
        return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR"))
    is_lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return is_lost or isinstance(error, OperationalError)


def _engine(url: URL, patience: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": patience})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin)
        return engine
    limits = {
        "connect_timeout": 10,
        # A connection that was cut without a word must not be waited for.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
        "client_encoding": "utf8",
    }
    given = {name: value for name, value in limits.items() if name not in url.query}
    return create_engine(url, poolclass=NullPool, connect_args=given)


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = FULL")  # a commit is on disk before anything is sent
    # Each commit is copied into the file at once, so that it is not lost with the one beside it.
    cursor.execute("PRAGMA wal_autocheckpoint = 1")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin a transaction as the option `begin` of the connection says; none if it is empty."""
    statement = connection.get_execution_options().get("begin", _AT_ONCE)
    if statement:
        connection.exec_driver_sql(statement)
