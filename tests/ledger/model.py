"""A model of meters, and a ledger that is crashed at every write and at every send.

The machine drives the generators of `oneloop.ledger._steps` itself, one command at a time, in any
order of the processes, against a real database and with a clock of its own. Before or after each
command the process may die. What the meters really did is in the model, and after each step the
ledger is compared with it: nothing twice, and nothing called applied or not applied that was not.

What the ledger assumes is all that the model promises, see docs/ledger.md: a call reaches the API
within three quarters of a lease, and takes effect within the quiet time after its caller was told
that it failed, or died.
"""

import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from attrs import define, evolve, field, frozen
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, select

from oneloop import (
    APIConnectionError,
    BadRequestError,
    Outcome,
    RateLimitError,
    ResponseDecodeError,
    ServerError,
)
from oneloop.ledger import _steps as steps
from oneloop.ledger._model import LedgerError, RefillOrder, State
from oneloop.ledger._settling import Lesson
from oneloop.ledger._steps import Command, Pause, Read, Send, Settings, Slot, Write
from oneloop.ledger._store import Begin, Decide, Operation, Row, Rules, rows_of
from oneloop.ledger._tables import lessons
from oneloop.ledger._tables import refills as table
from oneloop.ledger._writer import Database, checked_url
from oneloop_api.models import CustomerBillingMeter

QUIET, LEASE = 10.0, 16.0
API = "http://127.0.0.1"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

ORDERS = tuple(
    RefillOrder(id=name, workspace_id="ws_1", external_meter_id=meter, refill=amount)
    for name, meter, amount in (("a1", "a", 5), ("a2", "a", 5), ("a3", "a", 10), ("b1", "b", 3))
)
"""Two refills of one meter have the same amount, and that of the third is their sum."""

BY_ID = {order.id: order for order in ORDERS}


def unknown(words: str = "the connection was lost") -> Exception:
    """Return the error of a call that may have taken effect."""
    return APIConnectionError(words, outcome=Outcome.UNKNOWN)


class InterruptedByHandError(BaseException):
    """What a signal handler or a cancellation raises in the middle of a call."""


@define
class Meter:
    """A meter as the API has it.

    Attributes:
        total: Its credits.
        used: How many of them are used.
        changed: When it was changed, in seconds.
    """

    total: int = 1000
    used: int = 1_000_000  # so much that refills that lower it never come to 0
    changed: float = 0.0

    def shown(self) -> CustomerBillingMeter:
        """Return the meter as the API shows it now."""
        return CustomerBillingMeter(
            id="cbm_1",
            total_credits=self.total,
            used_credits=self.used,
            allow_overages=False,
            spend_cap=None,
            created_at=EPOCH,
            updated_at=EPOCH + timedelta(seconds=self.changed),
        )


@define
class World:
    """The API: what it has done, and what it will do late.

    Attributes:
        effect: What a refill does to a meter.
        keeps_time: Whether a meter shows when it was changed.
        now: Seconds, by the clock of all processes.
        meters: By their names.
        times: How often each refill was applied, by its id.
        late: What is to happen yet: by when at the latest, and which refill.
    """

    effect: Lesson = Lesson.RISES
    keeps_time: bool = True
    now: float = 1_000_000.0
    meters: dict[str, Meter] = field(factory=lambda: {"a": Meter(), "b": Meter()})
    times: Counter[str] = field(factory=Counter[str])
    late: list[tuple[float, str]] = field(factory=list)

    def apply(self, name: str) -> None:
        """Let a refill take effect."""
        self.times[name] += 1
        order = BY_ID[name]
        self.change(order.external_meter_id, order.refill)

    def change(self, name: str, amount: int) -> None:
        """Refill a meter."""
        meter = self.meters[name]
        if self.effect is Lesson.RISES:
            meter.total += amount
        else:
            meter.used -= amount
        self._touch(meter)

    def use(self, name: str, amount: int) -> None:
        """Use credits of a meter."""
        self.meters[name].used += amount
        self._touch(self.meters[name])

    def _touch(self, meter: Meter) -> None:
        if self.keeps_time:
            meter.changed += 1

    def pass_on(self, seconds: float) -> None:
        """Let time pass, and happen what is due by then."""
        self.now += seconds
        for entry in sorted(self.late):
            if entry[0] <= self.now:
                self.late.remove(entry)
                self.apply(entry[1])

    def is_late(self, name: str) -> bool:
        """Return whether a refill will take effect yet."""
        return any(name == one for _, one in self.late)


class Clocked(Database):
    """A database whose clock is the model's, also if it is PostgreSQL."""

    def __init__(self, url: str, rules: Rules, world: World) -> None:
        super().__init__(checked_url(url), rules, patience=5.0, clock=lambda: world.now)
        self._world = world

    def now(self, connection: Connection) -> float:
        """Return the model's time."""
        return self._world.now


@define(eq=False)
class Task:
    """The steps of one refill in a process, and what they wait for.

    Attributes:
        steps: The generator.
        command: What it has yielded.
        answer: The result of the command, if it was carried out and not passed on yet.
        begun: When the writing of its `Begin` was asked for.
    """

    steps: Any
    command: Command
    answer: tuple[Any] | None = None
    begun: float = 0.0

    @property
    def limit(self) -> float | None:
        """When its call must have reached the API, if it waits to be sent."""
        waits = isinstance(self.command, Send) and self.answer is None
        return self.begun + 0.75 * LEASE if waits else None


@define(eq=False)
class Process:
    """A process with a ledger, and with several refills in its threads or tasks."""

    database: Clocked
    tasks: list[Task] = field(factory=list)

    def die(self) -> None:
        """End at once. Nothing more is written down."""
        for task in self.tasks:
            task.steps.close()
        self.tasks.clear()
        self.database.close()


FATES = ("well", "well", "well", "lost", "nothing", "late", "late", "unreadable", "empty")
FATES += ("refused", "limited", "unsent", "interrupted", "interrupted late")


@frozen
class Move:
    """What happens to a task.

    Attributes:
        turn: Which of the tasks.
        fate: What the API, or the connection to the database, makes of its command.
        is_slow: Whether the task does not get the result yet.
        crash: Whether its process dies before the command, or after it and before its result.
        lateness: Share of the quiet time after which a late effect happens, at most.
    """

    turn: int
    fate: str
    is_slow: bool
    crash: str | None
    lateness: float


MOVES = st.builds(
    Move,
    turn=st.integers(0, 5),
    fate=st.sampled_from(FATES),
    is_slow=st.sampled_from([False, False, False, True]),
    crash=st.sampled_from((None,) * 10 + ("before", "after")),
    lateness=st.sampled_from([0.1, 0.5, 1.0]),
)


class LedgerMachine(RuleBasedStateMachine):
    """Processes that refill through one ledger, in a world that is against them."""

    new_database: Callable[[], str] = staticmethod(lambda: "")
    """Returns the URL of an empty database. Set by who runs the machine."""

    other_writers = False
    quiet = QUIET
    """The quiet time of the ledger. That of the world is `QUIET`."""
    looks_at_the_clock = True
    """Whether it is noticed that too much time has passed to send something."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.url = self.new_database()
        self.processes: list[Process] = []
        self.planned: set[str] = set()
        self.reader: Clocked | None = None
        self.writes = 0
        self.seen: Any = None

    @initialize(
        effect=st.sampled_from([Lesson.RISES, Lesson.RISES, Lesson.FALLS]), keeps_time=st.booleans()
    )
    def begin(self, effect: Lesson, *, keeps_time: bool) -> None:
        """Choose what refills do in this world."""
        self.world.effect, self.world.keeps_time = effect, keeps_time
        self.processes = [self._process(), self._process()]

    def _process(self) -> Process:
        rules = Rules(
            owner="",
            quiet=self.quiet,
            lease=LEASE,
            other_writers=self.other_writers,
            alive=lambda _: None,
            steady=lambda: self.world.now,
        )
        return Process(Clocked(self.url, rules, self.world))

    @property
    def _settings(self) -> Settings:
        lease = LEASE if self.looks_at_the_clock else 1000 * LEASE
        return Settings(lease=lease, quiet=self.quiet, clocks=(lambda: self.world.now,))

    @rule(
        process=st.integers(0, 1),
        order=st.sampled_from(ORDERS),
        what=st.sampled_from(["refill", "refill", "settle"]),
        retry_rejected=st.booleans(),
    )
    def start(self, process: int, order: RefillOrder, what: str, *, retry_rejected: bool) -> None:
        """Let a process begin to refill, or to settle."""
        at = self.processes[process]
        if len(at.tasks) > 2 or (what == "settle" and self._row(order.id) is None):
            return
        chosen = evolve(self._settings, retry_rejected=retry_rejected)
        generator = (
            steps.refill(order, chosen) if what == "refill" else steps.settle(order.id, chosen)
        )
        if what == "refill":
            self.planned.add(order.id)
        at.tasks.append(Task(generator, next(generator)))

    @precondition(lambda self: any(process.tasks for process in self.processes))
    @rule(moves=st.lists(MOVES, min_size=1, max_size=8))
    def go_on(self, moves: list[Move]) -> None:
        """Go on with some tasks."""
        for move in moves:
            self._step(move)
            self.nothing_is_twice_or_wrong()

    def _step(self, move: Move) -> None:
        """Carry out the command of a task, and pass its result on; or let the process die."""
        waiting = [(one, task) for one in self.processes for task in one.tasks]
        if not waiting:
            return
        process, task = waiting[move.turn % len(waiting)]
        if move.crash == "before":
            self._crash(process)
            return
        if task.answer is None:
            task.answer = (self._carry_out(process, task.command, move.fate, move.lateness),)
            if move.fate == "lost" and isinstance(task.command, Write):
                task.answer = None  # a lost commit: it will be carried out again
                return
        if move.crash == "after":
            self._crash(process)
        elif not move.is_slow:
            self._pass_on(process, task)

    @rule(
        process=st.integers(0, 1),
        order=st.sampled_from(ORDERS),
        fate=st.sampled_from(FATES),
        lateness=st.sampled_from([0.1, 0.5, 1.0]),
        until=st.sampled_from([Read, Send, Slot, Write, None, None, None]),
    )
    def refill(
        self, process: int, order: RefillOrder, fate: str, lateness: float, until: Any
    ) -> None:
        """Let a process make a refill all at once, or up to a command after it was sent."""
        self.planned.add(order.id)
        self._run(
            self.processes[process], steps.refill(order, self._settings), fate, lateness, until
        )

    @precondition(lambda self: self.planned)
    @rule(process=st.integers(0, 1), order=st.sampled_from(ORDERS))
    def settle(self, process: int, order: RefillOrder) -> None:
        """Let a process take a step to settle a refill, all at once."""
        if self._row(order.id) is not None:
            self._run(self.processes[process], steps.settle(order.id, self._settings))

    @precondition(lambda self: self.planned)
    @rule(process=st.integers(0, 1), order=st.sampled_from(ORDERS))
    def find_out(self, process: int, order: RefillOrder) -> None:
        """Let a process settle a refill while all others are asleep for as long as it takes."""
        if self._row(order.id) is None:
            return
        for seconds in (2 * LEASE, QUIET):
            self.wait(seconds)
            self._run(self.processes[process], steps.settle(order.id, self._settings))

    @precondition(lambda self: any(len(process.tasks) > 1 for process in self.processes))
    @rule(process=st.integers(0, 1))
    def write_together(self, process: int) -> None:
        """Carry out all that a process wants to write in one transaction."""
        at = self.processes[process]
        writing = [
            (task, task.command.operation)
            for task in at.tasks
            if isinstance(task.command, Write) and task.answer is None
        ]
        if len(writing) > 1:
            results = self._write(at, [one for _, one in writing])
            for (task, _), result in zip(writing, results, strict=True):
                task.answer = (result,)

    @precondition(lambda self: any(process.tasks for process in self.processes))
    @rule(process=st.integers(0, 1))
    def crash(self, process: int) -> None:
        """Let a process die between two commands."""
        self._crash(self.processes[process])

    @rule(seconds=st.sampled_from([0.1, 1.0, LEASE / 4 + 0.1, QUIET / 2, QUIET, LEASE, 2 * LEASE]))
    def wait(self, seconds: float) -> None:
        """Let time pass, but no call reach the API later than it may."""
        limits = [task.limit for one in self.processes for task in one.tasks]
        latest = min((limit for limit in limits if limit is not None), default=None)
        if latest is not None:
            seconds = min(seconds, max(0.0, latest - self.world.now))
        self.world.pass_on(seconds)

    @precondition(lambda self: self.world.late)
    @rule(turn=st.integers(0, 3))
    def happen(self, turn: int) -> None:
        """Let something late happen."""
        _, name = self.world.late.pop(turn % len(self.world.late))
        self.world.apply(name)

    @precondition(lambda self: self.planned)
    @rule(name=st.sampled_from("ab"), amount=st.sampled_from([1, 2, 4, 7]))
    def use(self, name: str, amount: int) -> None:
        """Let a customer use credits.

        Where a refill lowers what was used, and the meter does not show when it was changed, use of
        exactly the amount of a refill would hide it. No amount does there.
        """
        hides = self.world.effect is Lesson.FALLS and not self.world.keeps_time
        self.world.use(name, 100 * amount if hides else amount)

    @precondition(lambda self: self.other_writers)
    @rule(name=st.sampled_from("ab"), amount=st.sampled_from([3, 5, 10]))
    def write_from_elsewhere(self, name: str, amount: int) -> None:
        """Let another program refill a meter."""
        self.world.change(name, amount)

    @precondition(lambda self: self.planned)
    @rule(name=st.sampled_from(sorted(BY_ID)), process=st.integers(0, 1))
    def decide(self, name: str, process: int) -> None:
        """Let a person decide who knows what happened, and that nothing will happen any more."""
        if self.world.is_late(name) or self._row(name) is None:
            return
        applied = self.world.times[name] == 1
        decision = Decide(id=name, applied=applied, note="seen in the dashboard")
        self._write(self.processes[process], [decision])

    def _write(self, process: Process, operations: list[Operation]) -> list[Any]:
        self.writes += 1
        return process.database.write(operations, API)

    def _carry_out(self, process: Process, command: Command, fate: str, lateness: float) -> Any:
        """Return the result of a command. An exception is to be raised in the steps."""
        if isinstance(command, Write):
            (result,) = self._write(process, [command.operation])
            return InterruptedByHandError("by hand") if fate == "interrupted" else result
        if fate == "interrupted" and not isinstance(command, Send):
            return InterruptedByHandError("by hand")
        if isinstance(command, Read):
            if fate in ("lost", "nothing", "limited", "unsent"):
                return unknown("the meter could not be read")
            return self.world.meters[command.row.external_meter_id].shown()
        if isinstance(command, Send):
            return self._send(command.row, fate, lateness)
        return None

    def _send(self, row: Row, fate: str, lateness: float) -> Any:
        world = self.world
        if fate in ("late", "interrupted late"):
            world.late.append((world.now + lateness * QUIET, row.id))
        elif fate in ("well", "lost", "unreadable", "interrupted"):
            world.apply(row.id)
        if fate == "well":
            return world.meters[row.external_meter_id].shown()
        if fate == "unreadable":
            return ResponseDecodeError("no totalCredits", outcome=Outcome.APPLIED)
        if fate == "empty":
            return None
        if fate == "refused":
            return BadRequestError("no", outcome=Outcome.REJECTED, status_code=400)
        if fate == "limited":
            return RateLimitError("wait", outcome=Outcome.REJECTED, status_code=429)
        if fate == "unsent":
            return APIConnectionError("refused", outcome=Outcome.NOT_SENT)
        if fate.startswith("interrupted"):
            return InterruptedByHandError("by hand")
        return unknown() if lateness < 1 else ServerError("busy", outcome=Outcome.UNKNOWN)

    def _pass_on(self, process: Process, task: Task) -> None:
        assert task.answer is not None
        (answer,), task.answer = task.answer, None
        try:
            if isinstance(answer, BaseException):
                task.command = task.steps.throw(answer)
            else:
                task.command = task.steps.send(answer)
        except StopIteration:
            process.tasks.remove(task)
        except (InterruptedByHandError, APIConnectionError, RateLimitError):
            process.tasks.remove(task)
        else:
            if isinstance(task.command, Write) and isinstance(task.command.operation, Begin):
                task.begun = self.world.now

    def _crash(self, process: Process) -> None:
        process.die()
        self.processes[self.processes.index(process)] = self._process()

    def _rows(self) -> list[Row]:
        if not self.planned or self.reader is None:
            self.reader = self.reader or self._process().database
        with suppress(LedgerError):  # there is no ledger before the first write
            return self.reader.read(
                lambda connection, now: list(rows_of(connection, select(table), now))
            )
        return []

    def _row(self, name: str) -> Row | None:
        return next((row for row in self._rows() if row.id == name), None)

    @invariant()
    def nothing_is_twice_or_wrong(self) -> None:
        """Compare the ledger with what the meters did."""
        world = self.world
        seen = self.writes, sorted(world.late), +world.times
        if seen == self.seen:
            return
        self.seen = seen
        assert all(times <= 1 for times in world.times.values()), world.times
        open_meters = Counter[str]()
        for row in self._rows():
            times, is_late = world.times[row.id], world.is_late(row.id)
            if row.state is State.APPLIED:
                # A late effect may be on its way only if an answer or a person said so.
                assert times == 1, row
            elif row.state in (State.NOT_APPLIED, State.REJECTED, State.PLANNED):
                assert times == 0, row
                assert not is_late, row
            else:
                open_meters[row.external_meter_id] += 1
            if row.state is State.SENDING and row.before is None:
                assert times == 0, row
                assert not is_late, row
        assert all(number == 1 for number in open_meters.values()), open_meters

    def teardown(self) -> None:
        """Let everybody die, and one new process come to an end with all refills."""
        try:
            self._end()
            self.nothing_is_twice_or_wrong()
        finally:
            for process in self.processes:
                process.die()
            if self.reader is not None:
                self.reader.close()

    def _end(self) -> None:
        if not self.processes:
            return
        for process in list(self.processes):
            self._crash(process)
        self.world.pass_on(2 * LEASE + QUIET)
        last = self.processes[0]
        for _ in range(6):
            for name in sorted(self.planned):
                self._run(last, steps.refill(BY_ID[name], self._settings))
            self.world.pass_on(QUIET)
        rows = self._rows()
        waited_for = {row.external_meter_id for row in rows if row.state is State.UNKNOWN}
        for row in rows:
            if row.state in (State.PLANNED, State.NOT_APPLIED):
                assert row.external_meter_id in waited_for, row
                continue
            assert row.state in (State.APPLIED, State.REJECTED, State.UNKNOWN), row
            if row.state is State.UNKNOWN:
                # Only what readings cannot decide.
                assert row.conclusion is not None, row
                assert row.needs_decision or self._effects() != {self.world.effect}, row
                assert (
                    self.other_writers
                    or self.world.effect is Lesson.FALLS
                    or not (row.needs_decision)
                ), row

    def _effects(self) -> set[Lesson]:
        assert self.reader is not None

        def read(connection: Connection, now: float) -> set[Lesson]:
            return set(map(Lesson, connection.scalars(select(lessons.c.lesson))))

        return self.reader.read(read) & {Lesson.RISES, Lesson.FALLS}

    def _run(
        self,
        process: Process,
        generator: Any,
        fate: str = "well",
        lateness: float = 0.0,
        until: type[Any] | None = None,
    ) -> None:
        """Run steps to their end, or to a command, without faults but of what is sent."""
        task = Task(generator, next(generator))
        process.tasks.append(task)
        for number in range(100):
            if task not in process.tasks or (until and number and isinstance(task.command, until)):
                return
            if isinstance(task.command, Pause):
                self.world.pass_on(task.command.seconds)
            chosen = fate if isinstance(task.command, Send) else "well"
            task.answer = (self._carry_out(process, task.command, chosen, lateness),)
            self._pass_on(process, task)
        raise AssertionError(f"the steps do not end: {task}")


class MachineWithOthers(LedgerMachine):
    """The same, where other programs refill the same meters."""

    other_writers = True


class HastyMachine(LedgerMachine):
    """A ledger that trusts two readings at once. It is wrong, and the model must find that."""

    quiet = 0.0


class SleepyMachine(LedgerMachine):
    """A ledger that sends however late it is. It is wrong, and the model must find that."""

    looks_at_the_clock = False


def with_databases(
    machine: type[LedgerMachine], new_database: Callable[[], str]
) -> type[LedgerMachine]:
    """Return a machine whose ledgers are in databases from this function."""
    return type(machine.__name__, (machine,), {"new_database": staticmethod(new_database)})


def check(
    machine: type[LedgerMachine], new_database: Callable[[], str], examples: int, **given: Any
) -> None:
    """Run a machine with a number of databases.

    Raises:
        AssertionError: The ledger was wrong.
    """
    chosen = with_databases(machine, new_database)
    chosen_settings = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        **given,
    )
    run_state_machine_as_test(chosen, settings=chosen_settings)


def files(folder: Path) -> Callable[[], str]:
    """Return a function that returns the URL of a new SQLite file in a folder."""

    def new() -> str:
        path = Path(tempfile.mkdtemp(dir=folder))
        return f"sqlite:///{path / 'refills.db'}"

    return new
