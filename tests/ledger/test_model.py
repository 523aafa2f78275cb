"""Whatever dies, and whenever: nothing is refilled twice, and nothing is called what it is not."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.ledger.model import LedgerMachine, MachineWithOthers, files
from tests.postgres import Server

MACHINES = [LedgerMachine, MachineWithOthers]


def check(machine: Any, new_database: Any, examples: int, **given: Any) -> None:
    """Run a machine."""
    chosen = type(machine.__name__, (machine,), {"new_database": staticmethod(new_database)})
    run_state_machine_as_test(
        chosen,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            **given,
        ),
    )


@pytest.mark.parametrize("machine", MACHINES)
def test_in_sqlite(machine: Any, tmp_path: Path) -> None:
    """With a file, where a lock tells who lives."""
    check(machine, files(tmp_path), 40)


def test_in_postgresql(postgres_server: Server) -> None:
    """With PostgreSQL, where the lease tells who lives."""
    check(LedgerMachine, postgres_server.database, 10)
