"""Whatever dies, and whenever: nothing is refilled twice, and nothing is called what it is not."""

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from oneloop.ledger._settling import Lesson
from oneloop.ledger._steps import Slot
from tests.ledger.model import (
    ORDERS,
    QUIET,
    HastyMachine,
    LedgerMachine,
    MachineWithOthers,
    Move,
    SleepyMachine,
    check,
    files,
    with_databases,
)
from tests.postgres import Server


@pytest.mark.parametrize("machine", [LedgerMachine, MachineWithOthers])
def test_in_sqlite(machine: Any, tmp_path: Path) -> None:
    """With a file, where a lock tells who lives."""
    check(machine, files(tmp_path), 30)


def test_in_postgresql(postgres_server: Server) -> None:
    """With PostgreSQL, where the lease tells who lives."""
    check(LedgerMachine, postgres_server.database, 10)


def a_late_refill(machine: LedgerMachine) -> None:
    """Let a refill happen late, and others look at the meter meanwhile."""
    machine.refill(process=0, order=ORDERS[0], fate="late", lateness=1.0, until=None)
    machine.settle(process=1, order=ORDERS[0])
    machine.wait(seconds=QUIET / 2)
    machine.settle(process=1, order=ORDERS[0])
    machine.nothing_is_twice_or_wrong()


def a_sleeping_process(machine: LedgerMachine) -> None:
    """Let a process sleep just before it sends, and others find out that nothing happened."""
    machine.refill(process=0, order=ORDERS[0], fate="well", lateness=0.0, until=Slot)
    machine.find_out(process=1, order=ORDERS[0])
    move = Move(turn=0, fate="well", is_slow=False, crash=None, lateness=0.0)
    machine.go_on([move] * 3)


@pytest.mark.parametrize(
    ("story", "wrong"), [(a_late_refill, HastyMachine), (a_sleeping_process, SleepyMachine)]
)
def test_the_model_finds_a_ledger_that_is_wrong(story: Any, wrong: Any, tmp_path: Path) -> None:
    """A ledger that does not wait, or that sends however late it is, is found out."""
    for kind, found in ((LedgerMachine, nullcontext()), (wrong, pytest.raises(AssertionError))):
        chosen = with_databases(kind, files(tmp_path))
        machine = chosen()
        machine.begin(effect=Lesson.RISES, keeps_time=True)
        try:
            with found:
                story(machine)
        finally:
            machine.world.times.clear()
            with suppress(AssertionError):
                machine.teardown()
