"""`AsyncLedger`: a shell that carries out the steps with an async client."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import Any, Self

from oneloop._client import AsyncOneloop
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


class AsyncLedger(BaseLedger):
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
        """Close the database, and refuse further calls.

        Refills that other tasks have begun are finished, and the last of them closes the database.
        To close it earlier would tell other processes that this one sends nothing any more.
        """
        await asyncio.to_thread(self._close)

    async def create(self) -> None:
        """Make the ledger if there is none; see `Ledger.create`."""
        await asyncio.wrap_future(self._created())

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
        settings = self._settings(
            patience=self._patience,
            retry_rejected=checked("retry_rejected", encode_boolean, retry_rejected),
        )
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
        """Make many refills, each exactly once; see `Ledger.run`.

        Raises:
            LedgerError: Also if something that the run waits for was cancelled, and not the run.
        """
        settings = self._settings(
            retry_rejected=checked("retry_rejected", encode_boolean, retry_rejected),
            settle=checked("settle", encode_boolean, settle),
            pace=pace_of(rate),
        )
        workers = checked_workers(workers)
        agenda = self._agenda(workers, progress)
        await self._work(
            agenda, _orders(refills), lambda job: _refill(job.order, settings), client, workers
        )
        return agenda.summary()

    async def settle(
        self, client: AsyncOneloop, *, id: str | None = None, wait: bool = False
    ) -> list[Refill]:
        """Read the meters of unknown refills, and conclude what happened; see `Ledger.settle`."""
        settings = self._settings()
        found: dict[str, Result] = {}

        def steps(job: Job) -> Steps:
            result = yield from _settle(job.order.id, settings)
            found[job.order.id] = result
            return result if wait else Result(row=result.row)

        agenda = self._agenda(SETTLERS)
        await self._work(agenda, self._unsettled(id), steps, client, SETTLERS)
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
        with suppress(LedgerMissingError) if self._creates else nullcontext():
            for state in (State.SENDING, State.UNKNOWN):
                async for one in self.refills(state=state):
                    yield one.order

    async def decide(self, id: str, *, applied: bool, note: str) -> Refill:
        """Write down what a person has found out; see `Ledger.decide`."""
        decision = decision_of(id, applied, note)
        await self.totals()  # fails if there is no ledger, which a write would make
        with self._home().working():
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
        conditions, after = conditions_of(state, workspace_id, external_meter_id), 0
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
        orders: AsyncIterator[RefillOrder],
        steps: Callable[[Job], Steps],
        client: AsyncOneloop,
        workers: int,
    ) -> None:
        shell = _Async(*self._parts(client, AsyncOneloop), asyncio.Semaphore(workers))
        source = _Source(orders)

        async def work() -> None:
            try:
                while (job := await self._next(agenda, source)) is not None:
                    try:
                        result = await self._drive(steps(job), shell)
                    except REFUSALS as error:
                        agenda.refused(job, error)
                    except StoppedError:
                        agenda.left(job)
                    else:
                        agenda.done(job, result)
            except Exception as error:  # noqa: BLE001 - the caller's task raises it
                agenda.stop(error)
            except asyncio.CancelledError as error:
                agenda.stop(error)
                raise
            finally:
                if agenda.problem is not None:
                    shell.stop()
                    source.stop()

        async with asyncio.TaskGroup() as group:
            for _ in range(AHEAD * workers):
                group.create_task(work())
        if isinstance(agenda.error, asyncio.CancelledError):  # of the run, there would be no here
            raise LedgerError(
                "the run was stopped, because something that it waited for was cancelled: in the "
                "iterable of its refills, or in the client's hooks or key function"
            ) from agenda.error
        if agenda.error is not None:
            raise agenda.error

    @staticmethod
    async def _next(agenda: Agenda, source: "_Source") -> Job | None:
        while True:
            found = agenda.take()
            if found is None or isinstance(found, Job):
                return found
            if not isinstance(found, Next):
                await asyncio.sleep(found)
                continue
            job = await source.job(agenda)
            if job is not None:
                return job

    async def _drive(self, steps: Steps, shell: "_Async") -> Result:
        with self._home().working():
            return await self._driven(steps, shell)

    @staticmethod
    async def _driven(steps: Steps, shell: "_Async") -> Result:
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


class _Source:
    """The orders of a run. One worker at a time takes the next; the others look for other work."""

    def __init__(self, orders: AsyncIterator[RefillOrder]) -> None:
        self._orders = orders
        self._lock = asyncio.Lock()
        self._reader: asyncio.Task[Any] | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """Cancel the worker that is taking an order: the iterable may block."""
        self._is_stopped = True
        if self._reader is not None:
            self._reader.cancel()

    async def job(self, agenda: Agenda) -> Job | None:
        """Take the next order, and return its job if it may be begun now."""
        if self._lock.locked():
            try:
                async with asyncio.timeout(POLL):
                    await self._lock.acquire()
            except TimeoutError:
                return None
        else:
            await self._lock.acquire()
        try:
            if agenda.problem is not None:
                return None
            self._reader = asyncio.current_task()
            order = await anext(self._orders, None)
        except asyncio.CancelledError:
            if self._is_stopped:
                return None
            raise
        finally:
            self._reader = None
            self._lock.release()
        return agenda.accept(order)


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
                raise StoppedError
            return None
        if isinstance(command, Read):
            return (await read_meter(self._client, command.row)).billing
        if isinstance(command, Send):
            return (await send_refill(self._client, command.row)).billing
        return await asyncio.wrap_future(self._write(command.operation))


async def _orders(
    source: Iterable[RefillOrder | Mapping[str, Any]]
    | AsyncIterable[RefillOrder | Mapping[str, Any]],
) -> AsyncIterator[RefillOrder]:
    if isinstance(source, AsyncIterable):
        place = 0
        async for value in source:
            yield RefillOrder.of(value, place)
            place += 1
        return
    for place, value in enumerate(source):
        yield RefillOrder.of(value, place)
