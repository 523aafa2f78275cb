"""Processes that die, sleep, race each other or lose their database, at each step of a refill."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from filelock import FileLock

from oneloop import Oneloop, Outcome, RetryPolicy
from oneloop.hooks import AttemptEnded, AttemptStarted, CallEnded, Hooks
from oneloop.ledger import (
    Ledger,
    LedgerError,
    LedgerMissingError,
    LedgerUnavailableError,
    RefillOrder,
    State,
)
from oneloop.ledger._model import meter_to_text
from oneloop.ledger._steps import (
    Pace,
    Pause,
    Read,
    Send,
    Settings,
    Slot,
    Steps,
    Write,
    refill,
    settle,
)
from oneloop.ledger._store import (
    Begin,
    Claim,
    Finish,
    Inspect,
    Observe,
    Release,
    Rules,
    history_of,
    meter_of,
)
from oneloop.ledger._writer import Database, checked_url
from oneloop.sandbox import Sandbox
from tests.ledger.conftest import REFILL
from tests.postgres import Cable

REFILLING = "refill_billing_limit"
ORDER = RefillOrder(id="pay_1", **REFILL)
LEASE, QUIET = 60.0, 10.0


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


class Process:
    """A process that works on a refill, step by step, and can be stopped at each."""

    def __init__(self, url: str, client: Oneloop, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        rules = Rules(
            owner="",
            quiet=QUIET,
            lease=LEASE,
            other_writers=False,
            alive=lambda _: None,
            steady=self.clock,
        )
        self.database = Database(checked_url(url), rules, patience=5, clock=self.clock)
        self.client = client
        self.settings = Settings(lease=LEASE, quiet=QUIET, clocks=(self.clock,))

    def write(self, operation: Any) -> Any:
        """Carry an operation out."""
        (result,) = self.database.write([operation], "here")
        return result

    def perform(self, command: Any) -> Any:
        """Carry a command out."""
        if isinstance(command, Write):
            return self.write(command.operation)
        assert isinstance(command, Read | Send)
        row = command.row
        meter = {"workspace_id": row.workspace_id, "external_meter_id": row.external_meter_id}
        if isinstance(command, Read):
            return self.client.get_customer_billing(**meter).billing
        return self.client.refill_billing_limit(**meter, refill=row.refill).billing

    def work(self, steps: Steps, until: Callable[[Any], bool] = lambda _: False) -> Any:
        """Carry steps out until a command that is not; return the result or that command."""
        value = None
        while True:
            try:
                command = steps.send(value)
            except StopIteration as end:
                return end.value
            if until(command):
                return command
            value = None if isinstance(command, Slot) else self.perform(command)

    def refill(self, until: Callable[[Any], bool] = lambda _: False) -> Any:
        """Work on the refill."""
        return self.work(refill(ORDER, self.settings), until)

    def die(self) -> None:
        """End, as the operating system would see it."""
        self.database.close()


def writing(operation: type) -> Callable[[Any], bool]:
    """Return a condition: the command writes this operation."""
    return lambda one: isinstance(one, Write) and isinstance(one.operation, operation)


def sending(command: Any) -> bool:
    """Return whether a command sends."""
    return isinstance(command, Send)


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Oneloop]:
    """Return a client of the sandbox."""
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as made:
        yield made


@pytest.fixture
def start(database: str, client: Oneloop) -> Iterator[Callable[[], Process]]:
    """Return a function that starts a process; all share one clock, where that is theirs."""
    clock, started = Clock(), []

    def new() -> Process:
        started.append(Process(database, client, clock))
        return started[-1]

    yield new
    for one in started:
        one.die()


def execute(database: str, statement: str) -> None:
    """Carry a statement out in a database, as somebody else."""
    if "://" in database:
        with psycopg.connect(database) as connection:
            connection.execute(statement.encode())
        return
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


def expire(database: str) -> None:
    """Let all leases end and all readings be old, by the clock of the database."""
    execute(
        database,
        "UPDATE oneloop_refills "
        "SET lease_until = lease_until - 1000, reading_at = reading_at - 1000",
    )


def total(sandbox: Sandbox) -> int:
    """Return the credits of the meter."""
    return sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits


@pytest.mark.parametrize(
    ("moment", "state", "attempts"),
    [
        (writing(Claim), None, 1),
        (lambda one: isinstance(one, Read), State.PLANNED, 1),
        (writing(Begin), State.PLANNED, 1),
        (sending, State.UNKNOWN, 2),
        (writing(Finish), State.UNKNOWN, 1),
    ],
)
@pytest.mark.parametrize("lease", [False, True])
def test_a_refill_survives_a_crash(
    start: Any, sandbox: Sandbox, database: str, moment: Any, state: Any, attempts: int, lease: bool
) -> None:
    """Whatever the instruction, the next process finds out what is to be done."""
    first, second = start(), start()
    first.refill(moment)
    if not lease and not database.startswith("postgresql"):
        first.die()
    elif state is not None:
        expire(database)
    row = second.write(Inspect(id="pay_1"))
    assert (row and row.state) is state
    while (result := second.refill()).row.state is State.UNKNOWN:
        expire(database)
    assert result.row.state is State.APPLIED
    assert result.row.attempts == attempts
    assert total(sandbox) == 1500


def test_a_living_process_is_left_alone(start: Any, database: str) -> None:
    """Until its lease has ended."""
    first, second = start(), start()
    first.refill(sending)
    claimed = second.write(Claim(order=ORDER, claim="other"))
    assert not claimed.is_ours
    assert claimed.row.state is State.SENDING
    blocked = second.write(Claim(order=RefillOrder(id="pay_2", **REFILL), claim="other"))
    assert blocked.blocker.id == "pay_1"
    expire(database)
    assert second.write(Inspect(id="pay_1")).state is State.UNKNOWN


def test_a_process_that_sleeps_before_its_write_sends_nothing(
    start: Any, sandbox: Sandbox, database: str
) -> None:
    """Its claim is over, and it starts again."""
    first, second = start(), start()
    steps = refill(ORDER, first.settings)
    first.work(steps, writing(Begin))
    expire(database)
    assert second.refill().row.state is State.APPLIED
    command = steps.send(None)
    assert isinstance(command, Write)
    assert isinstance(command.operation, Claim)
    assert total(sandbox) == 1500


def test_a_process_that_sleeps_after_its_write_sends_nothing(start: Any, sandbox: Sandbox) -> None:
    """It looks at the clock: a quarter of the lease is over."""
    first = start()
    steps = refill(ORDER, first.settings)
    assert isinstance(first.work(steps, lambda one: isinstance(one, Slot)), Slot)
    first.clock.now += LEASE / 4 + 1
    command = steps.send(None)
    assert isinstance(command, Write)
    assert isinstance(command.operation, Finish)
    assert command.operation.state is State.PLANNED
    assert "not sent, because 16.0 s had passed" in str(command.operation.error)
    assert total(sandbox) == 1000


def late(first: Process, second: Process, database: str) -> Finish:
    """Let the first process sleep while it sends, and the second conclude. Return its result."""
    steps = refill(ORDER, first.settings)
    first.work(steps, writing(Begin))
    value = first.write(Begin(row=_row(first), before=_text(first)))
    command = steps.send(value)
    assert isinstance(command, Slot)
    expire(database)
    while second.work(settle("pay_1", second.settings)).row.state is State.UNKNOWN:
        expire(database)
    return Finish(row=value, state=State.APPLIED, answer=_text(first))


def _row(process: Process) -> Any:
    return process.write(Inspect(id="pay_1"))


def _meter(process: Process) -> Any:
    return process.client.get_customer_billing(
        workspace_id="ws_1", external_meter_id="acme"
    ).billing


def _text(process: Process) -> str:
    return meter_to_text(_meter(process))


def notes(process: Process, what: str) -> list[str]:
    """Return the texts of the history."""
    row = _row(process)
    found = process.database.read(lambda connection, _: history_of(connection, row))
    return [entry.text for entry in found if entry.what == what]


def test_a_late_answer_corrects_a_conclusion(start: Any, database: str) -> None:
    """An answer is more than readings. The history says that they contradict each other."""
    first, second = start(), start()
    finish = late(first, second, database)
    assert _row(second).state is State.NOT_APPLIED
    row = first.write(finish)
    assert (row.state, row.conclusion) == (State.APPLIED, None)
    (text,) = notes(first, "contradiction")
    assert "applied: answered" in text
    assert "not applied" in text
    assert first.write(finish).state is State.APPLIED  # carried out again after a lost commit
    assert len(notes(first, "contradiction")) == 1


def test_a_late_answer_changes_nothing_after_another_sending(
    start: Any, sandbox: Sandbox, database: str
) -> None:
    """It is written down, for a person to look at the meter."""
    first, second = start(), start()
    finish = late(first, second, database)
    after = second.refill().row
    assert after.state is State.APPLIED
    assert first.write(finish).answer == after.answer
    assert "look at the meter" in notes(first, "contradiction")[0]


def test_an_answer_settles_what_was_taken_over(start: Any, database: str) -> None:
    """A process that was slow, and not dead, still says what came of it."""
    first, second = start(), start()
    first.refill(writing(Finish))
    expire(database)
    row = second.write(Inspect(id="pay_1"))
    assert row.state is State.UNKNOWN
    done = first.write(Finish(row=row, state=State.APPLIED, answer=_text(first)))
    assert done.state is State.APPLIED
    assert notes(first, "contradiction") == []


def test_readings_of_another_sending_are_not_used(start: Any, database: str) -> None:
    """Two processes settle; one is late, and the refill was sent again in between."""
    first, second = start(), start()
    first.refill(sending)
    expire(database)
    old = second.write(Inspect(id="pay_1"))
    while second.work(settle("pay_1", second.settings)).row.state is State.UNKNOWN:
        expire(database)
    applied = second.refill().row
    assert second.write(Observe(row=old, reading=_text(second), began=0)).answer == applied.answer
    assert notes(second, "contradiction") == []


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (writing(Claim), Release),
        (lambda one: isinstance(one, Read), Release),
        (writing(Begin), Release),
        (lambda one: isinstance(one, Slot), Release),
        (sending, Finish),
    ],
)
def test_an_interruption_leaves_nothing_in_doubt(
    start: Any, sandbox: Sandbox, moment: Any, expected: type
) -> None:
    """Before it was sent, a refill is planned again; afterwards, it is unknown."""
    process = start()
    steps = refill(ORDER, process.settings)
    process.work(steps, moment)
    command = steps.throw(KeyboardInterrupt())
    assert isinstance(command, Write)
    assert isinstance(command.operation, expected)
    with pytest.raises(KeyboardInterrupt):
        steps.send(process.perform(command))
    row = _row(process)
    assert (row and row.state) is {Finish: State.UNKNOWN, Release: row and State.PLANNED}[expected]


@pytest.mark.parametrize("moment", [writing(Claim), writing(Begin), sending])
def test_an_interruption_is_not_lost_with_the_database(start: Any, moment: Any) -> None:
    """Otherwise, a task that was cancelled would go on. A note says what is missing."""
    process = start()
    steps = refill(ORDER, process.settings)
    process.work(steps, moment)
    steps.throw(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        steps.throw(LedgerUnavailableError("the database is gone"))
    assert "the database is gone; when" in caught.value.__notes__[0]


def test_an_error_of_the_ledger_needs_no_further_write(start: Any) -> None:
    """It would fail as well."""
    process = start()
    for moment in (writing(Claim), writing(Begin), sending):
        steps = refill(ORDER, process.settings)
        process.work(steps, moment)
        if moment is sending:
            with pytest.raises(GeneratorExit):
                steps.throw(GeneratorExit())
        else:
            with pytest.raises(LedgerError):
                steps.throw(LedgerError("broken"))
        process.write(Release(id="pay_1", claim=_row(process).claim if _row(process) else ""))


def test_a_wait_for_the_rate_comes_before_the_reading(start: Any, sandbox: Sandbox) -> None:
    """So that the reading is fresh. A refill that must start again does not wait again."""
    process = start()
    pace = Pace(0.1, process.clock)
    pace.turn()
    steps = refill(ORDER, Settings(lease=LEASE, quiet=QUIET, pace=pace, clocks=(process.clock,)))
    assert process.work(steps, lambda one: isinstance(one, Pause)) == Pause(10.0)
    command = steps.send(None)
    assert isinstance(command, Read)
    command = steps.send(process.perform(command))
    assert isinstance(command, Write)
    process.write(Release(id="pay_1", claim=_row(process).claim))
    command = steps.send(process.perform(command))  # the claim was lost
    assert isinstance(command, Write)
    assert isinstance(command.operation, Claim)
    assert isinstance(steps.send(process.perform(command)), Read)


@pytest.mark.parametrize("other", ["pay_2", "pay_3"])
def test_two_processes_insert_at_once(start: Any, database: str, other: str) -> None:
    """The second one waits for the first, and sees that it has the refill, or the meter."""
    if not database.startswith("postgresql"):
        pytest.skip("SQLite has one writer")
    process = start()
    process.refill()
    orders = [RefillOrder(id=name, **REFILL) for name in ("pay_2", "pay_4")]
    claims = [Claim(order=one, claim=one.id) for one in orders]
    found: list[Any] = []

    def write() -> None:
        found.extend(process.database.write(claims, "here"))

    with psycopg.connect(database) as connection:
        connection.execute(_INSERT, [other])
        thread = threading.Thread(target=write)
        thread.start()
        _wait_for_a_lock(database)
        connection.commit()
        thread.join()
    assert not any(one.is_ours for one in found)
    assert (found[0].blocker or found[0].row).id == other
    assert found[1].blocker.id == other


_INSERT = """
INSERT INTO oneloop_refills
    (id, workspace_id, external_meter_id, refill, meter, state, attempts, needs_decision,
     other_writers, quiet, planned_at, lease_until, owner, claim)
VALUES
    (%s, 'ws_1', 'acme', 500, '4 ws_1 acme', 'sending', 0, false,
     false, 0, 0, 1e12, 'other', 'other')
"""


def _wait_for_a_lock(database: str) -> None:
    query = b"SELECT count(*) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(database, autocommit=True) as connection:
        while True:
            (number,) = connection.execute(query).fetchone() or (0,)
            if number:
                return


def test_a_refill_that_another_process_takes_is_left_to_it(start: Any, database: str) -> None:
    """PostgreSQL skips rows that are locked, so that many processes never wait for each other."""
    if not database.startswith("postgresql"):
        pytest.skip("SQLite has one writer")
    process = start()
    steps = refill(ORDER, process.settings)
    process.work(steps, lambda one: isinstance(one, Read))
    process.write(Release(id="pay_1", claim=_row(process).claim))
    with psycopg.connect(database) as connection:
        connection.execute(b"SELECT * FROM oneloop_refills FOR UPDATE")
        claimed = process.write(Claim(order=ORDER, claim="mine"))
        assert not claimed.is_ours
        assert claimed.blocker is None
        assert claimed.row.state is State.PLANNED
    assert process.write(Claim(order=ORDER, claim="mine")).is_ours


def test_an_owner_that_renews_its_lease_is_not_taken_over(start: Any, database: str) -> None:
    """Between the reading of its row and the takeover."""
    if not database.startswith("postgresql"):
        pytest.skip("SQLite has one writer")
    first, second = start(), start()
    first.refill(writing(Begin))
    expire(database)
    with psycopg.connect(database) as connection:
        connection.execute(
            b"UPDATE oneloop_refills SET lease_until = lease_until + 5000, before = NULL"
        )
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(second.write(Inspect(id="pay_1"))))
        thread.start()
        _wait_for_a_lock(database)
        connection.commit()
        thread.join()
    assert found[0].state is State.SENDING


class At(Hooks):
    """Does something when a call of an operation has ended."""

    def __init__(self, operation: str, action: Callable[[], object]) -> None:
        self.operation = operation
        self.action = action

    def call_ended(self, event: CallEnded, /) -> None:
        """Do it."""
        if event.call.operation == self.operation:
            self.action()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("moment", ["tables", "claim", "get_customer_billing", REFILLING])
def test_a_lost_commit_is_made_again(
    postgres: str, sandbox: Sandbox, client: Oneloop, when: Any, moment: str
) -> None:
    """The connection is cut during a commit, and nobody knows whether it was made."""
    with Cable(postgres) as cable, Ledger(cable.url, quiet=0.05, lease=20, patience=10) as ledger:
        before = [] if moment == "tables" else [ledger.refill(client, id="pay_0", **REFILL)]
        cut = At(moment, lambda: cable.cut_at(b"COMMIT", when, once=True))
        if moment in ("tables", "claim"):
            cut.action()
        refilled = ledger.refill(client.with_options(hooks=cut), id="pay_1", **REFILL)
        assert refilled.state is State.APPLIED
        assert refilled.attempts == 1
        assert cable.sprung.is_set()
    assert total(sandbox) == 1500 + 500 * len(before)


def test_a_result_that_cannot_be_written_down_is_told(
    postgres: str, client: Oneloop, sandbox: Sandbox
) -> None:
    """The error says what is known; when the lease has ended, settling finds it out."""
    with Cable(postgres) as cable, Ledger(cable.url, quiet=0.05, lease=1, patience=0.1) as ledger:
        cutting = client.with_options(hooks=At(REFILLING, cable.cut))
        with pytest.raises(LedgerUnavailableError, match="'pay_1' is applied, which") as caught:
            ledger.refill(cutting, id="pay_1", **REFILL)
        assert caught.value.outcome is Outcome.APPLIED
        cable.mend()
        deadline = time.monotonic() + 30
        while ledger.settle(client, wait=True)[0].state is not State.APPLIED:
            assert time.monotonic() < deadline
    assert total(sandbox) == 1500


def test_a_database_that_was_never_reached_is_an_error_at_once() -> None:
    """Nobody waits for a database whose name is wrong. The password is not shown."""
    ledger = Ledger("postgresql://ann:secret@127.0.0.1:9/ledger", patience=1000)
    with pytest.raises(LedgerUnavailableError) as caught:
        ledger.totals()
    assert "secret" not in str(caught.value)
    assert "ann@127.0.0.1:9/ledger cannot be used" in str(caught.value)


def test_an_empty_database_has_no_ledger(postgres: str) -> None:
    """Reading does not make one."""
    with (
        Ledger(postgres) as ledger,
        pytest.raises(LedgerError, match="there is no ledger in the database"),
    ):
        ledger.totals()


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path, client: Oneloop) -> None:
    """The error names it, and it stays as it is."""
    path = tmp_path / "refills.csv"
    path.write_text("id,workspace_id\n" * 100, "utf-8")
    with Ledger(path) as ledger:
        for call in (ledger.totals, lambda: ledger.refill(client, id="pay_1", **REFILL)):
            with pytest.raises(
                LedgerUnavailableError, match=r"refills.csv cannot be used: file is"
            ):
                call()
    assert path.read_text("utf-8") == "id,workspace_id\n" * 100


def test_a_file_in_no_folder_is_an_error(tmp_path: Path, client: Oneloop) -> None:
    """As SQLite says it."""
    with (
        Ledger(tmp_path / "none" / "refills.db") as ledger,
        pytest.raises(LedgerUnavailableError, match="unable to open database file"),
    ):
        ledger.refill(client, id="pay_1", **REFILL)


def test_a_new_file_that_others_lock_is_waited_for(tmp_path: Path, client: Oneloop) -> None:
    """Several processes that start at once make it."""
    path = tmp_path / "refills.db"
    with Ledger(path, patience=20) as ledger, closing(_locked(path)) as other:
        timer = threading.Timer(0.3, other.rollback)
        timer.start()
        assert ledger.refill(client, id="pay_1", **REFILL).state is State.APPLIED
        timer.join()


def _locked(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    return other


def test_a_database_that_others_lock_is_waited_for(tmp_path: Path, client: Oneloop) -> None:
    """For as long as `patience`."""
    path = tmp_path / "refills.db"
    with Ledger(path, patience=0.2) as ledger:
        ledger.refill(client, id="pay_1", **REFILL)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert ledger.find("pay_1") is not None
            with pytest.raises(LedgerUnavailableError, match="database is locked"):
                ledger.refill(client, id="pay_2", **REFILL)
        assert ledger.refill(client, id="pay_2", **REFILL).state is State.APPLIED


def test_a_row_that_always_fails_does_not_take_others_with_it(
    tmp_path: Path, client: Oneloop
) -> None:
    """Not even in one batch. It is an error after a few attempts."""
    process = Process(str(tmp_path / "refills.db"), client)
    process.refill()
    with closing(sqlite3.connect(tmp_path / "refills.db")) as other:
        other.execute(
            "CREATE TRIGGER never BEFORE INSERT ON oneloop_refills WHEN new.id = 'bad' "
            "BEGIN SELECT RAISE(ABORT, 'never'); END"
        )
    good, bad = (
        Claim(order=RefillOrder(id=name, **REFILL), claim=name) for name in ("good", "bad")
    )
    assert process.write(good).is_ours
    process.write(Release(id="good", claim="good"))
    with pytest.raises(LedgerUnavailableError, match="5 transactions in a row failed"):
        process.database.write([bad], "here")
    failed, done = process.database.write([bad, good], "here")
    assert isinstance(failed, LedgerUnavailableError)
    assert done.is_ours
    process.die()


def test_a_ledger_of_another_version_is_refused(tmp_path: Path, client: Oneloop) -> None:
    """For reading and for writing."""
    path = tmp_path / "refills.db"
    with Ledger(path) as ledger:
        ledger.refill(client, id="pay_1", **REFILL)
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE oneloop_facts SET value = '7' WHERE name = 'version'")
        file.commit()
    with Ledger(path) as ledger:
        for call in (ledger.totals, lambda: ledger.refill(client, id="pay_1", **REFILL)):
            with pytest.raises(LedgerError, match=r"another version .* \(schema 7, not 1\)"):
                call()


def test_the_files_of_owners_are_removed(tmp_path: Path, client: Oneloop) -> None:
    """One's own at the end; those of dead processes after a day, and when their work is done."""
    old, fresh, held = (tmp_path / f"refills.db.owner-{name}" for name in "abc")
    for path in (old, fresh, held):
        path.touch()
    for path in (old, held):
        os.utime(path, (0, 0))
    with FileLock(held), Ledger(tmp_path / "refills.db") as ledger:
        os.utime(held, (0, 0))
        ledger.refill(client, id="pay_1", **REFILL)
        assert not old.exists()
        assert fresh.exists()
        assert held.exists()
        assert len(list(tmp_path.glob("*.owner-*"))) == 3
    assert len(list(tmp_path.glob("*.owner-*"))) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_connections_of_its_own(
    database: str, sandbox: Sandbox, client: Oneloop
) -> None:
    """A server that forks after it has used a ledger can go on with it."""
    with Ledger(database) as ledger:
        ledger.refill(client, id="pay_0", **REFILL)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                ledger.refill(client, id="pay_1", **REFILL)
                ledger.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert ledger.refill(client, id="pay_2", **REFILL).state is State.APPLIED
        assert ledger.totals()[State.APPLIED] == (3, 1500)
    assert total(sandbox) == 2500


def test_no_more_are_sent_at_once_than_asked(tmp_path: Path, sandbox: Sandbox) -> None:
    """Others are read and written down meanwhile."""
    for number in range(40):
        sandbox.create_meter(workspace_id="ws_1", external_meter_id=f"m{number}")

    class Counting(Hooks):
        now = most = 0
        lock = threading.Lock()

        def attempt_started(self, event: AttemptStarted, /) -> None:
            if event.call.operation == REFILLING:
                with self.lock:
                    self.now += 1
                    self.most = max(self.most, self.now)

        def attempt_ended(self, event: AttemptEnded, /) -> None:
            if event.call.operation == REFILLING:
                with self.lock:
                    self.now -= 1

    hooks = Counting()
    given = [
        {"id": f"p{number}", "workspace_id": "ws_1", "external_meter_id": f"m{number}", "refill": 1}
        for number in range(40)
    ]
    with (
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, hooks=hooks) as client,
        Ledger(tmp_path / "refills.db") as ledger,
    ):
        assert ledger.run(given, client, workers=2).counts[State.APPLIED] == 40
    assert 1 <= hooks.most <= 2


def test_a_call_through_the_ledger_ends_before_its_lease(tmp_path: Path, sandbox: Sandbox) -> None:
    """Also if the client has no limit of its own."""
    sandbox.misbehave("hang", operation="refillBillingLimit")
    with (
        Oneloop(
            api_key=sandbox.api_key, base_url=sandbox.url, retry=RetryPolicy(budget=None)
        ) as client,
        Ledger(tmp_path / "refills.db", lease=1) as ledger,
    ):
        refilled = ledger.refill(client, id="pay_1", **REFILL)
        assert refilled.state is State.UNKNOWN
        assert "within the total time" in str(refilled.error)


def test_a_refill_that_cannot_be_sent_is_planned(tmp_path: Path, sandbox: Sandbox) -> None:
    """The meter could be read, and then the time of the call was over."""

    class Slow(Hooks):
        def attempt_started(self, event: AttemptStarted, /) -> None:
            if event.call.operation == REFILLING:
                time.sleep(0.8)

    with (
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, hooks=Slow()) as client,
        Ledger(tmp_path / "refills.db", lease=1) as ledger,
    ):
        refilled = ledger.refill(client, id="pay_1", **REFILL)
        assert refilled.state is State.PLANNED
        assert "ran out before it was sent" in str(refilled.error)
        assert ledger.refill(client.with_options(hooks=None), id="pay_1", **REFILL).attempts == 2
    assert total(sandbox) == 1500


YEAR_ONE = "0001-01-01T00:00:00+14:00"
"""A time that can be read, and not written in UTC."""


def meter_json(updated_at: str) -> str:
    """Return an answer with a meter."""
    times = f'"createdAt": "2026-11-27T08:00:00.000Z", "updatedAt": "{updated_at}"'
    amounts = '"totalCredits": "1500", "usedCredits": "0", "allowOverages": false, "spendCap": null'
    return f'{{"billing": {{"id": "m", {amounts}, {times}}}}}'


@pytest.mark.parametrize(
    ("operation", "state"),
    [("refillBillingLimit", State.APPLIED), ("getCustomerBilling", State.PLANNED)],
)
def test_a_meter_that_cannot_be_written_down(
    tmp_path: Path, sandbox: Sandbox, client: Oneloop, operation: str, state: State
) -> None:
    """An answer is kept out, and the state is right; a reading is as if there were none."""
    sandbox.misbehave("200", operation=operation, body=meter_json(YEAR_ONE))
    with Ledger(tmp_path / "refills.db", quiet=0) as ledger:
        refilled = ledger.refill(client, id="pay_1", **REFILL)
        assert refilled.state is state
        assert "cannot be written down" in str(refilled.error)
        assert refilled.meter is None
        sandbox.misbehave("drop-after", operation="refillBillingLimit")
        ledger.refill(client, id="pay_2", **REFILL)
        sandbox.misbehave("200", operation="getCustomerBilling", body=meter_json(YEAR_ONE))
        assert ledger.settle(client)[0].state is State.UNKNOWN
        assert ledger.settle(client, wait=True)[0].state is State.APPLIED


def test_an_operation_that_cannot_be_written_fails_alone(tmp_path: Path, client: Oneloop) -> None:
    """Whatever is wrong with it, others in its batch are carried out."""
    process = Process(str(tmp_path / "refills.db"), client)
    order = RefillOrder(id="bad\ud800", **REFILL)  # which `check` would refuse
    bad, good = Claim(order=order, claim="b"), Claim(order=ORDER, claim="g")
    failed, done = process.database.write([bad, good], "here")
    assert isinstance(failed, LedgerUnavailableError)
    assert done.is_ours
    process.die()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_store_every_id_is_refused(
    postgres: str, client: Oneloop, encoding: str
) -> None:
    """Before anything is written to it."""
    name = f"oneloop_{encoding.lower()}"
    create = f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"{create} TEMPLATE template0".encode())
    with (
        Ledger(postgres.rpartition("/")[0] + f"/{name}") as ledger,
        pytest.raises(LedgerError, match=f"has the encoding {encoding}; a ledger needs"),
    ):
        ledger.refill(client, id="pay_1", **REFILL)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_refill_ends_before_its_ledger_is_closed(
    tmp_path: Path, sandbox: Sandbox, client: Oneloop, is_first: bool
) -> None:
    """It is written down, and nobody takes it over, as if its process had ended."""
    path = tmp_path / "refills.db"
    with Ledger(path, quiet=0) as other:
        ledger = Ledger(path)
        if not is_first:
            ledger.refill(client, id="pay_0", **REFILL)

        def close() -> None:
            ledger.close()
            ledger.close()
            assert other.settle(client, id="pay_1")[0].state is State.SENDING

        closing_ = client.with_options(hooks=At(REFILLING, close))
        assert ledger.refill(closing_, id="pay_1", **REFILL).state is State.APPLIED
        ledger.close()  # waits for the end of the thread
        assert len(list(tmp_path.glob("*.owner-*"))) == 1
        with pytest.raises(LedgerError, match="the ledger is closed"):
            ledger.refill(client, id="pay_2", **REFILL)
        assert other.refill(client, id="pay_1", **REFILL).attempts == 1
    assert total(sandbox) == (1500 if is_first else 2000)


def test_an_owner_without_a_lock_sends_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    """It would be taken for dead. The name of the lock's file is too long here."""
    options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    with Oneloop(**options) as client, Ledger(tmp_path / ("x" * 218)) as ledger:
        for _ in range(2):
            with pytest.raises(LedgerUnavailableError, match="name too long"):
                ledger.refill(client, id="pay_1", **REFILL)
    assert sandbox.requests == ()


def test_a_meter_that_is_gone_waits_for_a_person(
    tmp_path: Path, sandbox: Sandbox, client: Oneloop
) -> None:
    """After two readings, as for any other conclusion."""
    sandbox.misbehave("drop-after", operation="refillBillingLimit")
    with Ledger(tmp_path / "refills.db", quiet=0) as ledger:
        ledger.refill(client, id="pay_1", **REFILL)
        sandbox.misbehave("404", operation="getCustomerBilling", times=2)
        found = ledger.settle(client, id="pay_1", wait=True)[0]
        assert (found.state, found.needs_decision) == (State.UNKNOWN, True)
        assert "is gone" in str(found.conclusion)
        assert "there is no such meter" in str(ledger.history("pay_1"))


def test_a_file_that_was_moved_is_refused(tmp_path: Path, client: Oneloop) -> None:
    """Another process would make a new one, and send everything again."""
    path = tmp_path / "refills.db"
    with Ledger(path) as ledger:
        ledger.refill(client, id="pay_1", **REFILL)
        path.rename(tmp_path / "old.db")
        for _ in range(2):
            with pytest.raises(LedgerError, match="was moved, replaced or removed"):
                ledger.refill(client, id="pay_2", **REFILL)
            assert not path.exists()
        path.touch()
        for use in (partial(ledger.refill, client, id="pay_2", **REFILL), ledger.totals):
            with pytest.raises(LedgerError, match="was moved, replaced or removed"):
                use()
        assert path.read_bytes() == b""


def test_a_file_that_was_read_and_removed_is_not_made_anew(tmp_path: Path, client: Oneloop) -> None:
    """A process that has only looked at a ledger notices as well that it is another one."""
    path = tmp_path / "refills.db"
    with Ledger(path) as ledger:
        ledger.refill(client, id="pay_1", **REFILL)
    with Ledger(path) as ledger:
        ledger.totals()
        path.unlink()
        with pytest.raises(LedgerError, match="was moved, replaced or removed"):
            ledger.refill(client, id="pay_1", **REFILL)
        assert not path.exists()


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("lost", ["oneloop_refills", "oneloop_facts"])
def test_a_ledger_that_has_lost_a_table_is_refused(
    database: str, client: Oneloop, sandbox: Sandbox, lost: str, *, create: bool
) -> None:
    """To make it anew would be to forget what was refilled."""
    with Ledger(database) as ledger:
        ledger.refill(client, id="pay_1", **REFILL)
    execute(database, f"DROP TABLE {lost}")
    for _ in range(2):
        with Ledger(database, create=create) as ledger:
            for use in (
                partial(ledger.refill, client, id="pay_1", **REFILL),
                partial(ledger.find, "pay_1"),
                ledger.create,
            ):
                with pytest.raises(LedgerError, match=f"has lost {lost}; restore the tables"):
                    use()
    assert total(sandbox) == 1500


def test_tables_that_are_lost_while_the_ledger_is_open(
    database: str, client: Oneloop, sandbox: Sandbox
) -> None:
    """No refill makes them anew, also after the connection was lost; `create` does."""
    with Ledger(database, patience=0) as ledger:
        ledger.refill(client, id="pay_1", **REFILL)
        tables = "oneloop_refills, oneloop_facts, oneloop_history, oneloop_lessons"
        for table in tables.split(", "):
            execute(database, f"DROP TABLE {table}")
        with pytest.raises(LedgerUnavailableError):  # the connection is another one after this
            ledger.refill(client, id="pay_1", **REFILL)
        with pytest.raises(LedgerMissingError):
            ledger.refill(client, id="pay_1", **REFILL)
        assert total(sandbox) == 1500
        ledger.create()
        assert ledger.find("pay_1") is None


def test_what_is_left_of_a_ledger_keeps_a_new_one_from_being_made(
    tmp_path: Path, client: Oneloop
) -> None:
    """SQLite would remove a journal that belongs to another file; it has a part of the refills."""
    path = tmp_path / "refills.db"
    journal = tmp_path / "refills.db-wal"
    journal.write_bytes(b"x")
    with Ledger(path) as ledger:
        for use in (partial(ledger.refill, client, id="pay_1", **REFILL), ledger.create):
            with pytest.raises(
                LedgerError, match=r"but there is refills\.db-wal, which belongs to"
            ):
                use()
    assert not path.exists()
    assert journal.read_bytes() == b"x"


def test_what_is_committed_is_in_the_file_itself(tmp_path: Path, client: Oneloop) -> None:
    """Whoever moves the file after a crash, and not the ones beside it, loses nothing."""
    with Ledger(tmp_path / "refills.db") as ledger:
        for number in range(20):
            ledger.refill(client, id=f"pay_{number}", **REFILL)
        shutil.copy(tmp_path / "refills.db", tmp_path / "moved.db")
    with Ledger(tmp_path / "moved.db") as ledger:
        assert ledger.totals()[State.APPLIED] == (20, 10_000)


def test_another_ledger_in_the_same_place_is_refused(
    tmp_path: Path, client: Oneloop, sandbox: Sandbox
) -> None:
    """Also if it is the same file for the system."""
    for name in ("refills.db", "other.db"):
        with Ledger(tmp_path / name) as ledger:
            ledger.create()
    with Ledger(tmp_path / "refills.db") as ledger:
        assert ledger.find("pay_1") is None
        (tmp_path / "refills.db").write_bytes((tmp_path / "other.db").read_bytes())
        for use in (partial(ledger.refill, client, id="pay_1", **REFILL), ledger.totals):
            with pytest.raises(LedgerError, match=r"there is another ledger in .* than before"):
                use()
    assert total(sandbox) == 1000


def test_a_ledger_without_an_id_gets_one(database: str, client: Oneloop) -> None:
    """It was made by an earlier version; reading it needs none."""
    with Ledger(database) as ledger:
        ledger.create()
    execute(database, "DELETE FROM oneloop_facts WHERE name = 'ledger'")
    with Ledger(database) as ledger:
        assert ledger.find("pay_1") is None
        assert ledger.refill(client, id="pay_1", **REFILL).state is State.APPLIED
        assert ledger.totals()[State.APPLIED] == (1, 500)


def test_a_file_that_another_thread_finds_first_was_not_moved(
    tmp_path: Path, client: Oneloop
) -> None:
    """A reader looks while the first refill makes the file."""
    database: Any = Process(str(tmp_path / "refills.db"), client).database
    find = database._found

    def found_meanwhile() -> None:
        database._found = find
        (tmp_path / "refills.db").touch()
        database._check_file(may_create=False)

    database._found = found_meanwhile
    database._check_file(may_create=True)
    assert database._identity is not None


def test_reading_leaves_a_database_of_another_program_alone(
    tmp_path: Path, client: Oneloop
) -> None:
    """So does a refill that may not make a ledger in it."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (text)")
    before = path.read_bytes()
    with Ledger(path, create=False) as ledger:
        for use in (partial(ledger.refill, client, id="pay_1", **REFILL), ledger.totals):
            with pytest.raises(LedgerMissingError, match=r"no ledger at .*other\.db; create\(\) m"):
                use()
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["other.db"]


def test_a_late_end_does_not_disturb_another_refill_of_the_meter(start: Any, database: str) -> None:
    """It is written down; the meter stays with the refill that has it."""
    first, second = start(), start()
    finish = late(first, second, database)
    other = RefillOrder(id="pay_2", **REFILL)
    assert second.write(Claim(order=other, claim="x")).is_ours
    row = first.write(Finish(row=finish.row, state=State.UNKNOWN, error="a timeout"))
    assert row.state is State.NOT_APPLIED
    assert "a timeout" in notes(first, "contradiction")[0]


def test_the_lock_of_another_user_says_nothing(
    tmp_path: Path, client: Oneloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the lease can tell then."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    first, second = (Process(str(tmp_path / "refills.db"), client) for _ in range(2))
    first.refill(sending)
    second.write(Inspect(id="pay_1"))
    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert second.write(Inspect(id="pay_1")).state is State.SENDING
    second.die()
    first.die()


def test_a_clock_that_is_set_back_only_costs_time(start: Any, database: str) -> None:
    """The quiet time begins anew, and does not last for hours."""
    if database.startswith("postgresql"):
        pytest.skip("PostgreSQL's clock is its own")
    process = start()
    process.refill(writing(Finish))
    process.clock.now += LEASE + 1
    process.work(settle("pay_1", process.settings))
    process.clock.now -= 20_000
    again = process.work(settle("pay_1", process.settings))
    assert again.again_in == QUIET
    process.clock.now += QUIET + 1
    assert process.work(settle("pay_1", process.settings)).row.state is State.APPLIED


def test_other_writers_are_remembered(tmp_path: Path, sandbox: Sandbox, client: Oneloop) -> None:
    """Whoever settles a refill need not know what was declared when it was sent."""
    sandbox.misbehave("drop-after", operation="refillBillingLimit")
    with Ledger(tmp_path / "refills.db", quiet=0, other_writers=True) as ledger:
        ledger.refill(client, id="pay_1", **REFILL)
    with Ledger(tmp_path / "refills.db", quiet=0) as ledger:
        assert ledger.settle(client, wait=True)[0].needs_decision


def test_the_quiet_time_cannot_be_shortened(
    tmp_path: Path, sandbox: Sandbox, client: Oneloop
) -> None:
    """By whoever settles what another process has sent."""
    sandbox.misbehave("drop-after", operation="refillBillingLimit")
    with Ledger(tmp_path / "refills.db", quiet=1000) as ledger:
        ledger.refill(client, id="pay_1", **REFILL)
    with Ledger(tmp_path / "refills.db", quiet=0) as ledger:
        for _ in range(3):
            assert ledger.settle(client)[0].state is State.UNKNOWN


def test_a_meter_is_found_among_those_of_other_workspaces() -> None:
    """Two ids never make one name."""
    orders = [
        RefillOrder(id="x", workspace_id=workspace, external_meter_id=meter, refill=1)
        for workspace, meter in (("a", "b"), ("a b", "c"), ("a", "b c"), ("1 a", "b"))
    ]
    assert len({meter_of(one) for one in orders}) == 4
