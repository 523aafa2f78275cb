"""`Ledger`: a shell that carries out the steps with a blocking client."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import Any, Self

from oneloop._client import Oneloop
from oneloop_core import encode_boolean

from ._agenda import POLL, Agenda, Job, Next
from ._base import (
    AHEAD,
    SETTLERS,
    BaseLedger,
    StoppedError,
    checked,
    checked_workers,
    conditions_of,
    decision_of,
    pace_of,
    read_meter,
    send_refill,
)
from ._model import (
    HistoryEntry,
    LedgerError,
    LedgerMissingError,
    Progress,
    Refill,
    RefillOrder,
    State,
    Summary,
)
from ._steps import REFUSALS, Action, Pause, Read, Result, Send, Slot, Steps
from ._steps import refill as _refill
from ._steps import settle as _settle
from ._store import Operation, Row


class Ledger(BaseLedger):
    """Makes refills exactly once, and keeps a record of each in a database.

        with Oneloop() as client, Ledger("refills.db") as ledger:
            refill = ledger.refill(
                client, id="pay_123", workspace_id="ws_1", external_meter_id="acme", refill=500
            )

    docs/ledger.md says what is promised, and under which assumptions. Threads can share a ledger,
    and so can processes share a database.

    Args:
        database: Path of a SQLite file, or a URL: `sqlite:///path` or
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
        create: Whether the first refill makes the ledger where there is none. If not, it raises
            `LedgerMissingError`: a ledger that was lost is not replaced by a new one, which would
            make refills of the lost one again.

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
        """Close the database, and refuse further calls.

        Refills that other threads have begun are finished, and the last of them closes the
        database. To close it earlier would tell other processes that this one sends nothing more.
        """
        self._close()

    def create(self) -> None:
        """Make the ledger if there is none: the file of SQLite, and the tables.

        With `create=False`, this is the only way to make one.

        Raises:
            LedgerError: The database cannot be used.
        """
        self._created().result()

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
            AuthenticationError, PermissionDeniedError: The API refuses the key. Nothing happened.
        """
        order = RefillOrder(
            id=id, workspace_id=workspace_id, external_meter_id=external_meter_id, refill=refill
        )
        order.check()
        settings = self._settings(
            patience=self._patience,
            retry_rejected=checked("retry_rejected", encode_boolean, retry_rejected),
        )
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
            retry_rejected=checked("retry_rejected", encode_boolean, retry_rejected),
            settle=checked("settle", encode_boolean, settle),
            pace=pace_of(rate),
        )
        orders = (RefillOrder.of(value, place) for place, value in enumerate(refills))
        workers = checked_workers(workers)
        agenda = self._agenda(workers, progress)
        self._work(agenda, orders, lambda job: _refill(job.order, settings), client, workers)
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

        def steps(job: Job) -> Steps:
            result = yield from _settle(job.order.id, settings)
            found[job.order.id] = result
            return result if wait else Result(row=result.row)

        agenda = self._agenda(SETTLERS)
        self._work(agenda, self._unsettled(id), steps, client, SETTLERS)
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
        # Where nothing was written yet, there is nothing to settle.
        with suppress(LedgerMissingError) if self._creates else nullcontext():
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
        decision = decision_of(id, applied, note)
        self._totals()  # fails if there is no ledger, which a write would make
        with self._home().working():
            row: Row = self._submit(decision, "").result()
        return row.public

    def find(self, id: str) -> Refill | None:
        """Return a refill as it is now, `None` if the ledger has none of this id."""
        return self._found(id)

    def find_all(self, ids: Iterable[str]) -> dict[str, Refill]:
        """Return the refills that there are of these ids, as they are now, by their ids.

        There are none in a database that has no ledger yet, unless `create=False` says that it
        must be there.
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
        conditions, after = conditions_of(state, workspace_id, external_meter_id), 0
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
        orders: Iterator[RefillOrder],
        steps: Callable[[Job], Steps],
        client: Oneloop,
        workers: int,
    ) -> None:
        shell = _Blocking(*self._parts(client, Oneloop), threading.Semaphore(workers))
        source = _Source(orders)

        def work(ended: threading.Event) -> None:
            try:
                while (job := self._next(agenda, source, ended)) is not None:
                    try:
                        result = self._drive(steps(job), shell)
                    except REFUSALS as error:
                        agenda.refused(job, error)
                    except StoppedError:
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
            for number in range(AHEAD * workers):
                end = threading.Event()
                name = f"oneloop-refill-{number}"
                threading.Thread(target=work, args=(end,), name=name, daemon=True).start()
                ends.append(end)
            self._wait(agenda, source, ends)
        except BaseException:  # Ctrl-C: what is under way is finished and written down
            agenda.stop()
            shell.stop()
            self._wait(agenda, source, ends)
            raise
        if agenda.error is not None:
            raise agenda.error

    @staticmethod
    def _wait(agenda: Agenda, source: "_Source", ends: list[threading.Event]) -> None:
        for end in ends:
            while not end.wait(POLL):
                if agenda.problem is not None and source.reader is end:
                    break  # the iterable blocks; what it still yields is not made any more

    @staticmethod
    def _next(agenda: Agenda, source: "_Source", ended: threading.Event) -> Job | None:
        while True:
            found = agenda.take()
            if found is None or isinstance(found, Job):
                return found
            if not isinstance(found, Next):
                time.sleep(found)
                continue
            job = source.job(agenda, ended)
            if job is not None:
                return job

    def _drive(self, steps: Steps, shell: "_Blocking") -> Result:
        with self._home().working():
            return self._driven(steps, shell)

    @staticmethod
    def _driven(steps: Steps, shell: "_Blocking") -> Result:
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


class _Source:
    """The orders of a run. One worker at a time takes the next; the others look for other work.

    Attributes:
        reader: The event of the worker that is taking one.
    """

    def __init__(self, orders: Iterator[RefillOrder]) -> None:
        self.reader: threading.Event | None = None
        self._orders = orders
        self._lock = threading.Lock()

    def job(self, agenda: Agenda, ended: threading.Event) -> Job | None:
        """Take the next order, and return its job if it may be begun now."""
        if not self._lock.acquire(timeout=POLL):
            return None
        try:
            if agenda.problem is not None:
                return None
            self.reader = ended
            order = next(self._orders, None)
        finally:
            self.reader = None
            self._lock.release()
        return agenda.accept(order)


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
                raise StoppedError
            return None
        if isinstance(command, Read):
            return read_meter(self._client, command.row).billing
        if isinstance(command, Send):
            return send_refill(self._client, command.row).billing
        return self._write(command.operation).result()
