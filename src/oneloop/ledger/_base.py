"""What both ledgers have in common: settings, the database with its thread, and what is read."""

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, select

from oneloop._environment import authority, is_loopback
from oneloop._errors import ConfigurationError
from oneloop._http._pool import process as current_process
from oneloop._retry import RetryPolicy, check_callable
from oneloop_core import ArgumentError, encode_boolean, encode_integer, encode_number

from ._agenda import Agenda
from ._model import (
    HistoryEntry,
    LedgerError,
    LedgerMissingError,
    Progress,
    Refill,
    State,
    check_text,
)
from ._steps import Pace, Settings
from ._store import (
    Create,
    Decide,
    Operation,
    Row,
    Rules,
    effect_of,
    history_of,
    lessons_of,
    rows_of,
    totals,
)
from ._tables import refills
from ._writer import Database, Writer, checked_url

T = TypeVar("T")

_PAGE = 500
"""Rows that are read at once where many are returned."""

_ABANDONED: "list[_Home]" = []
"""What parent processes have. Collecting it would close the parents' connections."""

SETTLERS = 8
"""Meters that are read at once to settle refills."""

AHEAD = 3
"""Refills under way for each that is being sent: others are read and written down meanwhile."""

_BUDGET = 0.75
"""Part of a lease that one call may take. It begins in the first quarter, or not at all."""


class _Home:
    """What a ledger has in one process: its database, a thread that writes, and who is at work.

    A forked process has another: connections, threads and locks of its parent stay behind.

    Refills that are under way when a ledger is closed are finished and written down. Until then the
    database is not closed, which would tell other processes that this one sends nothing any more.
    """

    def __init__(self, database: Database, *, is_closed: bool) -> None:
        self.database = database
        self.is_closed = is_closed
        self._lock = threading.Lock()
        self._writer: Writer | None = None
        self._at_work = 0
        self._is_ending = False

    @contextmanager
    def working(self) -> Generator[None]:
        """Keep the database open for the length of the block.

        Raises:
            LedgerError: The ledger is closed.
        """
        with self._lock:
            if self.is_closed:
                raise LedgerError("the ledger is closed")
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
            self._end_if_idle()

    def submit(self, operation: Operation, api: str) -> "Future[Any]":
        """Have an operation carried out. Only for those who are at work."""
        with self._lock:
            if self._writer is None:
                self._writer = Writer(self.database)
            return self._writer.submit(operation, api)

    def close(self) -> None:
        """Refuse further work, and close the database, or let those who are at work do that."""
        with self._lock:
            self.is_closed = True
        self._end_if_idle()
        if self._is_ending and self._writer is not None:
            self._writer.wait()

    def _end_if_idle(self) -> None:
        with self._lock:
            if self._at_work or not self.is_closed or self._is_ending:
                return
            self._is_ending = True
        if self._writer is None:
            self.database.close()
        else:
            self._writer.end()


class BaseLedger:
    """What both ledgers have in common: the settings, the database and its thread."""

    def __init__(
        self,
        database: str | os.PathLike[str],
        *,
        quiet: float = 60.0,
        lease: float = 80.0,
        patience: float = 30.0,
        other_writers: bool = False,
        create: bool = True,
    ) -> None:
        self._url = checked_url(database)
        self._quiet = _seconds("quiet", quiet, minimum=0)
        self._lease = _seconds("lease", lease, minimum=1)
        self._patience = _seconds("patience", patience, minimum=0)
        self._other_writers = checked("other_writers", encode_boolean, other_writers)
        self._creates = checked("create", encode_boolean, create)
        self._homes: dict[object, _Home] = {}
        self._name = self._home().database.name

    def _home(self) -> _Home:
        """Return what the ledger has in this process."""
        process = current_process()
        found = self._homes.get(process)
        if found is None:
            rules = Rules(
                quiet=self._quiet,
                lease=self._lease,
                other_writers=self._other_writers,
                create=self._creates,
            )
            database = Database(self._url, rules, patience=self._patience)
            parents = list(self._homes.values())
            _ABANDONED.extend(parents)
            home = _Home(database, is_closed=any(one.is_closed for one in parents))
            # A single operation: several threads of a forked process may come here at once.
            found = self._homes.setdefault(process, home)
        return found

    @property
    def database(self) -> str:
        """The database for messages: the path, or the URL without password and parameters."""
        return self._name

    def __repr__(self) -> str:
        """Return the class and the database, without its password."""
        return f"<{type(self).__name__} in {self.database}>"

    def _submit(self, operation: Operation, api: str) -> "Future[Any]":
        return self._home().submit(operation, api)

    def _close(self) -> None:
        self._home().close()

    def _created(self) -> "Future[Any]":
        with self._home().working():
            return self._submit(Create(), "")

    def _settings(self, **changes: Any) -> Settings:
        return Settings(lease=self._lease, quiet=self._quiet, **changes)

    def _parts(
        self, client: Any, kind: type[Any]
    ) -> tuple[Any, Callable[[Operation], "Future[Any]"]]:
        """Return what carries out commands: a client, and what writes to the database.

        The client never repeats a refill blindly, and gives up before the lease ends.
        """
        if not isinstance(client, kind):
            raise ConfigurationError(
                f"client must be of class {kind.__name__}, got {type(client).__name__}"
            )
        api = _api(client.base_url)
        limit = _BUDGET * self._lease
        budget = client.retry.budget
        policy = RetryPolicy(
            treat_as_safe=False, budget=limit if budget is None else min(budget, limit)
        )
        return client.with_options(retry=policy), lambda operation: self._submit(operation, api)

    def _agenda(self, workers: int, progress: Callable[[Progress], object] | None = None) -> Agenda:
        if progress is not None:
            checked("progress", check_callable, progress)
        return Agenda(
            limit=2 * self._lease + 5 * self._quiet,
            failures=max(20, 2 * workers),
            progress=progress,
            clock=time.monotonic,
        )

    def _read(self, function: Callable[[Connection, float], T]) -> T:
        home = self._home()
        if home.is_closed:
            raise LedgerError("the ledger is closed")
        return home.database.read(function)

    def _found(self, id: str) -> Refill | None:
        check_text("id", id)
        row = self._read(lambda connection, now: _row(connection, now, id))
        return None if row is None else row.public

    def _found_all(self, ids: Iterable[str]) -> dict[str, Refill]:
        wanted = list(ids)
        for one in wanted:
            check_text("id", one)
        found: dict[str, Refill] = {}
        for start in range(0, len(wanted), _PAGE):
            chosen = select(refills).where(refills.c.id.in_(wanted[start : start + _PAGE]))
            try:
                rows = self._read(partial(_rows, chosen=chosen))
            except LedgerMissingError:
                if not self._creates:
                    raise
                return {}
            found.update((row.id, row.public) for row in rows)
        return found

    def _page(self, after: int, *conditions: Any) -> list[Row]:
        chosen = select(refills).where(refills.c.seq > after, *conditions)
        ordered = chosen.order_by(refills.c.seq).limit(_PAGE)
        return self._read(partial(_rows, chosen=ordered))

    def _history(self, id: str) -> list[HistoryEntry]:
        check_text("id", id)

        def read(connection: Connection, now: float) -> list[HistoryEntry]:
            row = _row(connection, now, id)
            if row is None:
                raise LedgerError(f"the ledger has no refill {id!r}")
            return history_of(connection, row)

        return self._read(read)

    def _totals(self) -> Mapping[State, tuple[int, int]]:
        return self._read(lambda connection, _: totals(connection))

    def _effect(self) -> str | None:
        return self._read(lambda connection, _: effect_of(lessons_of(connection)))


class StoppedError(BaseException):
    """A pause ends because the run does. Like an interruption, it is not for `except Exception`."""


def read_meter(client: Any, row: Row) -> Any:
    return client.get_customer_billing(
        workspace_id=row.workspace_id, external_meter_id=row.external_meter_id
    )


def send_refill(client: Any, row: Row) -> Any:
    return client.refill_billing_limit(
        workspace_id=row.workspace_id, external_meter_id=row.external_meter_id, refill=row.refill
    )


def _api(base_url: str) -> str:
    """Return what names the API of a client; all addresses of this machine are one."""
    host, port = authority(base_url)
    return "this machine" if is_loopback(host) else f"{host}:{port}"


def decision_of(id: str, applied: bool, note: str) -> Decide:
    check_text("id", id)
    check_text("note", note, longest=1000)
    return Decide(id=id, applied=checked("applied", encode_boolean, applied), note=note)


def _row(connection: Connection, now: float, id: str) -> Row | None:
    return next(rows_of(connection, select(refills).where(refills.c.id == id), now), None)


def _rows(connection: Connection, now: float, *, chosen: Select[Any]) -> list[Row]:
    return list(rows_of(connection, chosen, now))


def conditions_of(
    state: State | str | None, workspace_id: str | None, external_meter_id: str | None
) -> list[Any]:
    found: list[Any] = []
    if state is not None:
        try:
            found.append(refills.c.state == State(state).value)
        except ValueError:
            names = ", ".join(State)
            raise ConfigurationError(f"state must be one of {names}; got {state!r}") from None
    if workspace_id is not None:
        found.append(refills.c.workspace_id == workspace_id)
    if external_meter_id is not None:
        found.append(refills.c.external_meter_id == external_meter_id)
    return found


def pace_of(rate: float | None) -> Pace:
    if rate is not None:
        checked("rate", encode_number, rate, minimum=0.001, maximum=1_000_000)
    return Pace(rate)


def checked_workers(workers: int) -> int:
    return int(checked("workers", encode_integer, workers, minimum=1, maximum=1000))


def _seconds(name: str, value: float, minimum: float) -> float:
    return float(checked(name, encode_number, value, minimum=minimum, maximum=1_000_000))


def checked(name: str, encode: Callable[..., Any], value: Any, **bounds: float) -> Any:
    try:
        return encode(value, **bounds)
    except ArgumentError as error:
        raise error.under(name) from None
