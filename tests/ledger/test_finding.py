"""Many refills are looked up at once, and a run that settles nothing does not wait."""

import asyncio
import time
from pathlib import Path
from typing import Any

from oneloop import AsyncOneloop, Oneloop
from oneloop.ledger import AsyncLedger, Ledger, State
from oneloop.sandbox import Sandbox
from tests.calling import REFILL


def test_many_refills_are_found_at_once(tmp_path: Path, options: dict[str, Any]) -> None:
    """Those that are there are returned by their ids, however many were asked for."""
    path = tmp_path / "refills.db"
    wanted = ["pay_1", *(f"pay_{number}" for number in range(3, 1800)), "pay_2"]
    with Oneloop(**options) as client, Ledger(path) as ledger:
        assert ledger.find_all(wanted) == {}
        assert not path.exists()
        made = {name: ledger.refill(client, id=name, **REFILL) for name in ("pay_1", "pay_2")}
        assert ledger.find_all(iter(wanted)) == made

    async def find() -> Any:
        async with AsyncLedger(path) as ledger, AsyncOneloop(**options):
            return await ledger.find_all(wanted)

    assert asyncio.run(find()) == made


def test_a_run_that_settles_nothing_does_not_wait(
    tmp_path: Path, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A refill that becomes unknown stays so, without the quiet time that settling would take."""
    sandbox.misbehave("drop-after", operation="refill_billing_limit")
    with Oneloop(**options) as client, Ledger(tmp_path / "refills.db", quiet=60) as ledger:
        began = time.monotonic()
        summary = ledger.run([{"id": "pay_1", **REFILL}], client, settle=False)
        assert time.monotonic() - began < 30
    assert summary.counts[State.UNKNOWN] == 1
