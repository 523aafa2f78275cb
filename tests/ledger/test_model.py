"""Whatever dies, and whenever: nothing is refilled twice, and nothing is called what it is not."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase

from tests.ledger.model import (
    HastyMachine,
    LedgerMachine,
    MachineWithOthers,
    SleepyMachine,
    check,
    files,
)
from tests.postgres import Server


@pytest.mark.parametrize("machine", [LedgerMachine, MachineWithOthers])
def test_in_sqlite(machine: Any, tmp_path: Path) -> None:
    """With a file, where a lock tells who lives."""
    check(machine, files(tmp_path), 30)


def test_in_postgresql(postgres_server: Server) -> None:
    """With PostgreSQL, where the lease tells who lives."""
    check(LedgerMachine, postgres_server.database, 10)


@pytest.mark.parametrize("machine", [HastyMachine, SleepyMachine])
def test_the_model_finds_a_ledger_that_is_wrong(machine: Any, tmp_path: Path) -> None:
    """A ledger that does not wait, or that sends too late, is found out."""
    with pytest.raises(AssertionError):
        check(machine, files(tmp_path), 1000, derandomize=True, phases=[Phase.generate])
