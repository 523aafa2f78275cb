"""`Ledger` and `AsyncLedger`: the shells that carry out the steps, and what reads the database."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Select, select

from oneloop._client import AsyncOneloop, Oneloop
from oneloop._environment import authority, is_loopback
from oneloop._errors import AuthenticationError, ConfigurationError
from oneloop._http._pool import process as current_process
from oneloop._retry import RetryPolicy
from oneloop_core import ArgumentError, encode_boolean, encode_integer, encode_number

from ._agenda import Agenda, Job, Next
from ._model import (
    HistoryEntry,
    LedgerError,
    LedgerMissingError,
    Progress,
    Refill,
    RefillOrder,
    State,
    Summary,
    check_text,
)
from ._steps import Action, Pace, Pause, Read, Result, Send, Settings, Slot, Steps
from ._steps import refill as _refill
from ._steps import settle as _settle
from ._store import (
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

_ABANDONED: list[Database] = []
"""Databases of parent processes. Collecting them would close the parents' connections."""

_SETTLERS = 8
"""Meters that are read at once to settle refills."""

_AHEAD = 3
"""Refills under way for each that is being sent: others are read and written down meanwhile."""

_BUDGET = 0.75
"""Part of a lease that one call may take. It begins in the first quarter, or not at all."""


class _Ledger:
    """What both ledgers have in common: the settings, the database and its thread."""

    def __init__(
        self,
        database: str | os.PathLike[str],
        *,
        quiet: float = 60.0,
        lease: float = 80.0,
        patience: float = 30.0,
        other_writers: bool = False,
    ) -> None:
        self._url = checked_url(database)
        self._quiet = _seconds("quiet", quiet, minimum=0)
        self._lease = _seconds("lease", lease, minimum=1)
        self._patience = _seconds("patience", patience, minimum=0)
        self._other_writers = _checked("other_writers", encode_boolean, other_writers)
        self._lock = threading.Lock()
        self._process: object = None
        self._is_closed = False
        self._database = self._new_database()
        self._writer: Writer | None = None

    def _new_database(self) -> Database:
        self._process = current_process()
        rules = Rules(
            owner="",
            quiet=self._quiet,
            lease=self._lease,
            other_writers=self._other_writers,
            alive=lambda _: None,
        )
        return Database(self._url, rules, patience=self._patience)

    @property
    def database(self) -> str:
        """The database for messages: the path, or the URL without password and parameters."""
        return self._database.name

    def __repr__(self) -> str:
        """Return the class and the database, without its password."""
        return f"<{type(self).__name__} in {self.database}>"

    def _submit(self, operation: Operation, api: str) -> "Future[Any]":
        if self._process != current_process():  # forked: connections, threads and locks stay behind
            _ABANDONED.append(self._database)
            self._lock = threading.Lock()
            self._database, self._writer = self._new_database(), None
        with self._lock:
            if self._is_closed:
                raise LedgerError("the ledger is closed")
            if self._writer is None:
                self._writer = Writer(self._database)
            return self._writer.submit(operation, api)

    def _close(self) -> None:
        if self._process != current_process():  # a lock that was held in the parent stays so
            self._is_closed = True
            return
        with self._lock:
            writer, self._writer = self._writer, None
            was_closed, self._is_closed = self._is_closed, True
        if was_closed:
            return
        if writer is not None:
            writer.close()
        self._database.close()

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
        return Agenda(
            limit=2 * self._lease + 5 * self._quiet,
            failures=max(20, 2 * workers),
            progress=progress,
            clock=time.monotonic,
        )

    def _read(self, function: Callable[[Connection, float], T]) -> T:
        if self._is_closed:
            raise LedgerError("the ledger is closed")
        return self._database.read(function)

    def _found(self, id: str) -> Refill | None:
        row = self._read(lambda connection, now: _row(connection, now, id))
        return None if row is None else row.public

    def _found_all(self, ids: Iterable[str]) -> dict[str, Refill]:
        wanted = list(ids)
        found: dict[str, Refill] = {}
        for start in range(0, len(wanted), _PAGE):
            chosen = select(refills).where(refills.c.id.in_(wanted[start : start + _PAGE]))
            try:
                rows = self._read(partial(_rows, chosen=chosen))
            except LedgerMissingError:
                return {}
            found.update((row.id, row.public) for row in rows)
        return found

    def _page(self, after: int, *conditions: Any) -> list[Row]:
        chosen = select(refills).where(refills.c.seq > after, *conditions)
        ordered = chosen.order_by(refills.c.seq).limit(_PAGE)
        return self._read(lambda connection, now: list(rows_of(connection, ordered, now)))

    def _history(self, id: str) -> list[HistoryEntry]:
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


class Ledger(_Ledger):
    """Makes refills exactly once, and keeps a record of each in a database.

        with Oneloop() as client, Ledger("refills.db") as ledger:
            refill = ledger.refill(
                client, id="pay_123", workspace_id="ws_1", external_meter_id="acme", refill=500
            )

    docs/ledger.md says what is promised, and under which assumptions. Threads can share a ledger,
    and so can processes share a database.

    Args:
        database: Path of a SQLite file, which is made if need be, or a URL: `sqlite:///path` or
            `postgresql://user@host/name`.
        quiet: Seconds that a meter must have stayed the same until its readings are trusted. This
            must be longer than a refill can take to come into effect after the client has given it
            up. Default 60.
        lease: Seconds, at least 1, after which a process that has not written down what came of a
            refill is taken for dead. One call takes at most three quarters of it. Default 80. For
            SQLite, the operating system usually says so at once.
        patience: Seconds to wait for a database that was reachable before, and for another refill
            of the same meter that is being sent. Default 30.
        other_writers: Whether other programs refill the same meters. If so, a reading that shows a
            rise by exactly the amount proves nothing, and the refill waits for `decide`.

    Raises:
        ConfigurationError: An argument is not valid.
    """

    def __enter__(self) -> Self:
        """Return the ledger, which is closed at the end of the block."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the ledger."""
        self.close()

    def close(self) -> None:
        """Close the connections to the database. What is being written is finished first."""
        self._close()

    def refill(
        self,
        client: Oneloop,
        *,
        id: str,
        workspace_id: str,
        external_meter_id: str,
        refill: int,
        retry_rejected: bool = False,
    ) -> Refill:
        """Refill a meter, unless the refill of this id was applied before.

        It is written down before it is sent. Called again with the same id, this returns what the
        ledger has, sends what provably was not applied, and takes a step to settle what is unknown.

        Args:
            client: The client that sends it.
            id: Your own name of this refill, such as the id of a payment.
            workspace_id: The workspace of the meter.
            external_meter_id: Your own name of the meter.
            refill: Credits to add.
            retry_rejected: Whether to send a refill again that the API rejected before.

        Returns:
            The refill in any state: only `APPLIED` says that the meter was refilled.

        Raises:
            ArgumentError: An argument may not be sent.
            LedgerConflictError: The ledger has a refill of this id with other arguments.
            LedgerError: The database cannot be used. The `outcome` says what is known.
            AuthenticationError: The API refuses the key. Nothing was sent.
        """
        order = RefillOrder(
            id=id, workspace_id=workspace_id, external_meter_id=external_meter_id, refill=refill
        )
        order.check()
        settings = self._settings(patience=self._patience, retry_rejected=retry_rejected)
        return self._drive(
            _refill(order, settings), _Blocking(*self._parts(client, Oneloop))
        ).refill

    def run(
        self,
        refills: Iterable[RefillOrder | Mapping[str, Any]],
        client: Oneloop,
        *,
        workers: int = 8,
        rate: float | None = None,
        settle: bool = True,
        retry_rejected: bool = False,
        progress: Callable[[Progress], object] | None = None,
    ) -> Summary:
        """Make many refills, each exactly once. The same call again goes on where it stopped.

        Several processes can do so at once, with the same refills or others.

        Args:
            refills: Orders, or mappings with the names of their attributes. They are taken one by
                one, so a million need no more memory than a few thousand.
            client: The client that sends them.
            workers: How many refills are under way at once.
            rate: Refills per second at most, from 0.001; `None` for no limit.
            settle: Whether to wait for what is unknown, settle it, and send again what was not
                applied. That takes `quiet` seconds and more.
            retry_rejected: Whether to send refills again that the API rejected before.
            progress: Called after each refill, by the thread that made it, one at a time.

        Returns:
            What came of it. `problem` says why it ended early.

        Raises:
            ArgumentError: An argument, or one of the refills, is not valid.
            LedgerConflictError: The ledger has a refill of the same id with other arguments. The
                refills before it were made.
            LedgerError: The database cannot be used.
        """
        settings = self._settings(
            retry_rejected=_checked("retry_rejected", encode_boolean, retry_rejected),
            settle=_checked("settle", encode_boolean, settle),
            pace=_pace(rate),
        )
        source, source_lock = enumerate(refills), threading.Lock()

        def order() -> RefillOrder | None:
            with source_lock:
                found = next(source, None)
            return None if found is None else RefillOrder.of(found[1], found[0])

        workers = _workers(workers)
        agenda = self._agenda(workers, progress)
        self._work(agenda, order, lambda job: _refill(job.order, settings), client, workers)
        return agenda.summary()

    def settle(self, client: Oneloop, *, id: str | None = None, wait: bool = False) -> list[Refill]:
        """Read the meters of unknown refills, and conclude whether they were applied.

        Refills whose process has died are taken over first. Nothing is sent: `refill` or `run` send
        again what was not applied.

        Args:
            client: The client that reads the meters.
            id: One refill; `None` for all.
            wait: Whether to wait until the meters have been quiet for long enough. Otherwise, call
                this again later: readings are kept in the ledger.

        Returns:
            The refills that were looked at, as they are now.

        Raises:
            LedgerError: The ledger has no refill of this id, or the database cannot be used.
        """
        settings = self._settings()
        found: dict[str, Result] = {}
        source = self._unsettled(id)
        source_lock = threading.Lock()

        def order() -> RefillOrder | None:
            with source_lock:
                return next(source, None)

        def steps(job: Job) -> Steps:
            result = yield from _settle(job.order.id, settings)
            found[job.order.id] = result
            return result if wait else Result(row=result.row)

        agenda = self._agenda(_SETTLERS)
        self._work(agenda, order, steps, client, _SETTLERS)
        if agenda.refusal is not None:
            raise agenda.refusal
        return [result.refill for result in found.values()]

    def _unsettled(self, id: str | None) -> Iterator[RefillOrder]:
        if id is not None:
            refill = self.find(id)
            if refill is None:
                raise LedgerError(f"the ledger has no refill {id!r}")
            yield refill.order
            return
        with suppress(LedgerMissingError):  # nothing was written yet, so there is nothing to settle
            for state in (State.SENDING, State.UNKNOWN):
                yield from (one.order for one in self.refills(state=state))

    def decide(self, id: str, *, applied: bool, note: str) -> Refill:
        """Write down what a person has found out about a refill whose outcome is unknown.

        Args:
            id: The refill.
            applied: Whether it was applied. If not, it may be sent again.
            note: Who says so, and why; kept with the refill.

        Raises:
            ArgumentError: The note is empty, or longer than 1,000 characters.
            LedgerError: The ledger has no such refill, or its outcome is not unknown.
        """
        decision = _decision(id, applied, note)
        self._totals()  # fails if there is no ledger, which a write would make
        row: Row = self._submit(decision, "").result()
        return row.public

    def find(self, id: str) -> Refill | None:
        """Return a refill as it is now, `None` if the ledger has none of this id."""
        return self._found(id)

    def find_all(self, ids: Iterable[str]) -> dict[str, Refill]:
        """Return the refills that there are of these ids, as they are now, by their ids.

        There are none in a database that has no ledger yet.
        """
        return self._found_all(ids)

    def refills(
        self,
        *,
        state: State | str | None = None,
        workspace_id: str | None = None,
        external_meter_id: str | None = None,
    ) -> Iterator[Refill]:
        """Yield all refills, or those of a state, a workspace, a meter, in the order planned."""
        conditions, after = _conditions(state, workspace_id, external_meter_id), 0
        while page := self._page(after, *conditions):
            yield from (row.public for row in page)
            after = page[-1].seq

    def history(self, id: str) -> list[HistoryEntry]:
        """Return what happened to a refill, and which readings show that.

        Raises:
            LedgerError: The ledger has no such refill.
        """
        return self._history(id)

    def totals(self) -> Mapping[State, tuple[int, int]]:
        """Return the number of refills and the sum of their credits, for each of the states."""
        return self._totals()

    def effect(self) -> str | None:
        """Return what a refill changes, as far as answered refills have shown it.

        This is "total_credits rises" or "used_credits falls"; `None` if it is not known.
        """
        return self._effect()

    def _work(
        self,
        agenda: Agenda,
        order: Callable[[], RefillOrder | None],
        steps: Callable[[Job], Steps],
        client: Oneloop,
        workers: int,
    ) -> None:
        shell = _Blocking(*self._parts(client, Oneloop), threading.Semaphore(workers))

        def work(ended: threading.Event) -> None:
            try:
                while (job := self._next(agenda, order)) is not None:
                    try:
                        result = self._drive(steps(job), shell)
                    except AuthenticationError as error:
                        agenda.refused(job, error)
                    except _StoppedError:
                        agenda.left(job)
                    else:
                        agenda.done(job, result)
            except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
                agenda.stop(error)
            finally:
                if agenda.problem is not None:
                    shell.stop()
                ended.set()

        # Events, because before Python 3.13 a `Thread.join` that is interrupted takes the thread
        # for ended, and the next one does not wait for it.
        ends: list[threading.Event] = []
        try:
            for number in range(_AHEAD * workers):
                end = threading.Event()
                name = f"oneloop-refill-{number}"
                threading.Thread(target=work, args=(end,), name=name, daemon=True).start()
                ends.append(end)
            for end in ends:
                end.wait()
        except BaseException:  # Ctrl-C: what is under way is finished and written down
            agenda.stop()
            shell.stop()
            for end in ends:
                end.wait()
            raise
        if agenda.error is not None:
            raise agenda.error

    @staticmethod
    def _next(agenda: Agenda, order: Callable[[], RefillOrder | None]) -> Job | None:
        while True:
            found = agenda.take()
            if found is None or isinstance(found, Job):
                return found
            if not isinstance(found, Next):
                time.sleep(found)
                continue
            new = order()
            if new is None:
                agenda.exhaust()
                continue
            job = agenda.accept(new)
            if job is not None:
                return job

    @staticmethod
    def _drive(steps: Steps, shell: "_Blocking") -> Result:
        value: Any = None
        error: BaseException | None = None
        has_slot = False
        try:
            while True:
                try:
                    command = steps.send(value) if error is None else steps.throw(error)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                value = error = None
                try:
                    if isinstance(command, Slot):
                        has_slot = shell.take_slot()
                    else:
                        value = shell.perform(command)
                except BaseException as raised:  # noqa: BLE001 - the steps raise or handle it
                    error = raised
                if isinstance(command, Send):
                    has_slot = shell.free_slot(has_slot)
        finally:
            shell.free_slot(has_slot)


class _StoppedError(BaseException):
    """A pause ends because the run does. Like an interruption, it is not for `except Exception`."""


class _Blocking:
    """Carries out commands with a blocking client."""

    def __init__(
        self,
        client: Any,
        write: Callable[[Operation], "Future[Any]"],
        slots: threading.Semaphore | None = None,
    ) -> None:
        self._client = client
        self._write = write
        self._slots = slots
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End all pauses: an API may have asked for minutes."""
        self._stopped.set()

    def take_slot(self) -> bool:
        if self._slots is None:
            return False
        self._slots.acquire()
        return True

    def free_slot(self, has_slot: bool) -> bool:
        if has_slot and self._slots is not None:
            self._slots.release()
        return False

    def perform(self, command: Action) -> Any:
        if isinstance(command, Pause):
            if self._stopped.wait(command.seconds):
                raise _StoppedError
            return None
        if isinstance(command, Read):
            return _read_meter(self._client, command.row).billing
        if isinstance(command, Send):
            return _send_refill(self._client, command.row).billing
        return self._write(command.operation).result()


class AsyncLedger(_Ledger):
    """`Ledger` for `AsyncOneloop`: the same methods as coroutines. Tasks can share one.

    The database is used in threads, so that the event loop never waits for a disk.
    """

    async def __aenter__(self) -> Self:
        """Return the ledger, which is closed at the end of the block."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the ledger."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections to the database. What is being written is finished first."""
        await asyncio.to_thread(self._close)

    async def refill(
        self,
        client: AsyncOneloop,
        *,
        id: str,
        workspace_id: str,
        external_meter_id: str,
        refill: int,
        retry_rejected: bool = False,
    ) -> Refill:
        """Refill a meter, unless the refill of this id was applied before; see `Ledger.refill`."""
        order = RefillOrder(
            id=id, workspace_id=workspace_id, external_meter_id=external_meter_id, refill=refill
        )
        order.check()
        settings = self._settings(patience=self._patience, retry_rejected=retry_rejected)
        return (
            await self._drive(_refill(order, settings), _Async(*self._parts(client, AsyncOneloop)))
        ).refill

    async def run(
        self,
        refills: Iterable[RefillOrder | Mapping[str, Any]]
        | AsyncIterable[RefillOrder | Mapping[str, Any]],
        client: AsyncOneloop,
        *,
        workers: int = 8,
        rate: float | None = None,
        settle: bool = True,
        retry_rejected: bool = False,
        progress: Callable[[Progress], object] | None = None,
    ) -> Summary:
        """Make many refills, each exactly once; see `Ledger.run`."""
        settings = self._settings(
            retry_rejected=_checked("retry_rejected", encode_boolean, retry_rejected),
            settle=_checked("settle", encode_boolean, settle),
            pace=_pace(rate),
        )
        source, source_lock = _enumerated(refills), asyncio.Lock()

        async def order() -> RefillOrder | None:
            async with source_lock:
                found = await anext(source, None)
            return None if found is None else RefillOrder.of(found[1], found[0])

        workers = _workers(workers)
        agenda = self._agenda(workers, progress)
        await self._work(agenda, order, lambda job: _refill(job.order, settings), client, workers)
        return agenda.summary()

    async def settle(
        self, client: AsyncOneloop, *, id: str | None = None, wait: bool = False
    ) -> list[Refill]:
        """Read the meters of unknown refills, and conclude what happened; see `Ledger.settle`."""
        settings = self._settings()
        found: dict[str, Result] = {}
        source, source_lock = self._unsettled(id), asyncio.Lock()

        async def order() -> RefillOrder | None:
            async with source_lock:
                return await anext(source, None)

        def steps(job: Job) -> Steps:
            result = yield from _settle(job.order.id, settings)
            found[job.order.id] = result
            return result if wait else Result(row=result.row)

        agenda = self._agenda(_SETTLERS)
        await self._work(agenda, order, steps, client, _SETTLERS)
        if agenda.refusal is not None:
            raise agenda.refusal
        return [result.refill for result in found.values()]

    async def _unsettled(self, id: str | None) -> AsyncIterator[RefillOrder]:
        if id is not None:
            refill = await self.find(id)
            if refill is None:
                raise LedgerError(f"the ledger has no refill {id!r}")
            yield refill.order
            return
        with suppress(LedgerMissingError):
            for state in (State.SENDING, State.UNKNOWN):
                async for one in self.refills(state=state):
                    yield one.order

    async def decide(self, id: str, *, applied: bool, note: str) -> Refill:
        """Write down what a person has found out; see `Ledger.decide`."""
        decision = _decision(id, applied, note)
        await self.totals()  # fails if there is no ledger, which a write would make
        row: Row = await asyncio.wrap_future(self._submit(decision, ""))
        return row.public

    async def find(self, id: str) -> Refill | None:
        """Return a refill as it is now, `None` if the ledger has none of this id."""
        return await asyncio.to_thread(self._found, id)

    async def find_all(self, ids: Iterable[str]) -> dict[str, Refill]:
        """Return the refills that there are of these ids; see `Ledger.find_all`."""
        return await asyncio.to_thread(self._found_all, ids)

    async def refills(
        self,
        *,
        state: State | str | None = None,
        workspace_id: str | None = None,
        external_meter_id: str | None = None,
    ) -> AsyncIterator[Refill]:
        """Yield all refills, or those of a state, a workspace, a meter, in the order planned."""
        conditions, after = _conditions(state, workspace_id, external_meter_id), 0
        while page := await asyncio.to_thread(self._page, after, *conditions):
            for row in page:
                yield row.public
            after = page[-1].seq

    async def history(self, id: str) -> list[HistoryEntry]:
        """Return what happened to a refill, and which readings show that."""
        return await asyncio.to_thread(self._history, id)

    async def totals(self) -> Mapping[State, tuple[int, int]]:
        """Return the number of refills and the sum of their credits, for each of the states."""
        return await asyncio.to_thread(self._totals)

    async def effect(self) -> str | None:
        """Return what a refill changes; see `Ledger.effect`."""
        return await asyncio.to_thread(self._effect)

    async def _work(
        self,
        agenda: Agenda,
        order: Callable[[], Any],
        steps: Callable[[Job], Steps],
        client: AsyncOneloop,
        workers: int,
    ) -> None:
        shell = _Async(*self._parts(client, AsyncOneloop), asyncio.Semaphore(workers))

        async def work() -> None:
            try:
                while (job := await self._next(agenda, order)) is not None:
                    try:
                        result = await self._drive(steps(job), shell)
                    except AuthenticationError as error:
                        agenda.refused(job, error)
                    except _StoppedError:
                        agenda.left(job)
                    else:
                        agenda.done(job, result)
            except Exception as error:  # noqa: BLE001 - the caller's task raises it
                agenda.stop(error)
            finally:
                if agenda.problem is not None:
                    shell.stop()

        async with asyncio.TaskGroup() as group:
            for _ in range(_AHEAD * workers):
                group.create_task(work())
        if agenda.error is not None:
            raise agenda.error

    @staticmethod
    async def _next(agenda: Agenda, order: Callable[[], Any]) -> Job | None:
        while True:
            found = agenda.take()
            if found is None or isinstance(found, Job):
                return found
            if not isinstance(found, Next):
                await asyncio.sleep(found)
                continue
            new = await order()
            if new is None:
                agenda.exhaust()
                continue
            job = agenda.accept(new)
            if job is not None:
                return job

    @staticmethod
    async def _drive(steps: Steps, shell: "_Async") -> Result:
        value: Any = None
        error: BaseException | None = None
        has_slot = False
        try:
            while True:
                try:
                    command = steps.send(value) if error is None else steps.throw(error)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                value = error = None
                try:
                    if isinstance(command, Slot):
                        has_slot = await shell.take_slot()
                    else:
                        value = await shell.perform(command)
                except BaseException as raised:  # noqa: BLE001 - the steps raise or handle it
                    error = raised
                if isinstance(command, Send):
                    has_slot = shell.free_slot(has_slot)
        finally:
            shell.free_slot(has_slot)


class _Async:
    """Carries out commands with an async client."""

    def __init__(
        self,
        client: Any,
        write: Callable[[Operation], "Future[Any]"],
        slots: asyncio.Semaphore | None = None,
    ) -> None:
        self._client = client
        self._write = write
        self._slots = slots
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End all pauses."""
        self._stopped.set()

    async def take_slot(self) -> bool:
        if self._slots is None:
            return False
        await self._slots.acquire()
        return True

    def free_slot(self, has_slot: bool) -> bool:
        if has_slot and self._slots is not None:
            self._slots.release()
        return False

    async def perform(self, command: Action) -> Any:
        if isinstance(command, Pause):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), command.seconds)
                raise _StoppedError
            return None
        if isinstance(command, Read):
            return (await _read_meter(self._client, command.row)).billing
        if isinstance(command, Send):
            return (await _send_refill(self._client, command.row)).billing
        return await asyncio.wrap_future(self._write(command.operation))


def _read_meter(client: Any, row: Row) -> Any:
    return client.get_customer_billing(
        workspace_id=row.workspace_id, external_meter_id=row.external_meter_id
    )


def _send_refill(client: Any, row: Row) -> Any:
    return client.refill_billing_limit(
        workspace_id=row.workspace_id, external_meter_id=row.external_meter_id, refill=row.refill
    )


def _api(base_url: str) -> str:
    """Return what names the API of a client; all addresses of this machine are one."""
    host, port = authority(base_url)
    return "this machine" if is_loopback(host) else f"{host}:{port}"


def _decision(id: str, applied: bool, note: str) -> Decide:
    check_text("id", id)
    check_text("note", note, longest=1000)
    return Decide(id=id, applied=_checked("applied", encode_boolean, applied), note=note)


def _row(connection: Connection, now: float, id: str) -> Row | None:
    return next(rows_of(connection, select(refills).where(refills.c.id == id), now), None)


def _rows(connection: Connection, now: float, *, chosen: Select[Any]) -> list[Row]:
    return list(rows_of(connection, chosen, now))


def _conditions(
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


def _pace(rate: float | None) -> Pace:
    if rate is not None:
        _checked("rate", encode_number, rate, minimum=0.001, maximum=1_000_000)
    return Pace(rate)


def _workers(workers: int) -> int:
    return int(_checked("workers", encode_integer, workers, minimum=1, maximum=1000))


def _seconds(name: str, value: float, minimum: float) -> float:
    return float(_checked(name, encode_number, value, minimum=minimum, maximum=1_000_000))


def _checked(name: str, encode: Callable[..., Any], value: Any, **bounds: float) -> Any:
    try:
        return encode(value, **bounds)
    except ArgumentError as error:
        raise error.under(name) from None


async def _enumerated(
    source: Iterable[T] | AsyncIterable[T],
) -> AsyncIterator[tuple[int, T]]:
    if isinstance(source, AsyncIterable):
        place = 0
        async for one in source:
            yield place, one
            place += 1
        return
    for found in enumerate(source):
        yield found
