"""A process of a soak that makes the refills, until it is killed or all of them have ended.

`python -m tests.tools.ledger_soak.worker SETTINGS`, where SETTINGS is JSON.
"""

import asyncio
import faulthandler
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

from attrs import asdict, frozen

from oneloop import AsyncOneloop, Oneloop, RetryPolicy, Timeout
from oneloop.ledger import (
    AsyncLedger,
    Ledger,
    LedgerUnavailableError,
    RefillOrder,
    State,
    Summary,
)
from tests.tools.soak.faults import MAX_RESPONSE_BYTES

from .books import unsettled
from .orders import Orders

POLICY = RetryPolicy(backoff=0.01, cap=0.02, budget=3)
TIMEOUT = Timeout(connect=1, read=0.5)

UNAVAILABLE = "unavailable: "
"""How a line of the standard error begins that says why the database could not be used."""

PAUSE = 0.05
"""Seconds between two runs over all refills."""


@frozen
class Settings:
    """What a worker does.

    Attributes:
        database: The ledger.
        url: The sandbox.
        api_key: Its key.
        orders: The refills.
        kind: Which client and ledger: "sync" or "async".
        workers: Its threads or tasks.
        options: Arguments of the ledger.
        seed: Of the random numbers that choose where it begins.
    """

    database: str
    url: str
    api_key: str
    orders: Orders
    kind: str
    workers: int
    options: dict[str, Any]
    seed: int

    def to_json(self) -> str:
        """Return the settings as an argument of the command."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> "Settings":
        """Return what `to_json` wrote."""
        read = json.loads(text)
        return cls(**read | {"orders": Orders(**read["orders"])})


class SummaryError(Exception):
    """The summary of a run does not add up."""


def main(text: str) -> None:
    """Run until all refills have ended."""
    settings = Settings.of_json(text)
    chance = random.Random(settings.seed)  # noqa: S311 - needs no secrecy
    while True:
        start = chance.randrange(settings.orders.refills)
        # Those that were rejected are tried again in some of the runs.
        arguments = {
            "workers": settings.workers,
            "retry_rejected": chance.random() < 0.5,
        }
        try:
            summary = _run(settings, settings.orders.since(start), arguments)
        except LedgerUnavailableError as error:
            # It was cut off. Whoever started this looks at the reasons.
            sys.stderr.write(f"{UNAVAILABLE}{error}\n")
            time.sleep(PAUSE)
            continue
        check(summary, settings.orders)
        ended = summary.counts[State.APPLIED] + summary.counts[State.REJECTED]
        if not summary.problem and (ended == summary.total or _decided(settings)):
            return
        time.sleep(PAUSE)


def _run(settings: Settings, refills: Iterator[RefillOrder], arguments: Any) -> Summary:
    options: dict[str, Any] = {
        "api_key": settings.api_key,
        "base_url": settings.url,
        "retry": POLICY,
        "timeout": TIMEOUT,
        "max_response_bytes": MAX_RESPONSE_BYTES,
    }
    if settings.kind == "sync":
        with Oneloop(**options) as client, Ledger(settings.database, **settings.options) as ledger:
            return ledger.run(refills, client, **arguments)

    async def run() -> Summary:
        async with (
            AsyncOneloop(**options) as client,
            AsyncLedger(settings.database, **settings.options) as ledger,
        ):
            return await ledger.run(refills, client, **arguments)

    return asyncio.run(run())


def _decided(settings: Settings) -> bool:
    """Return whether only a person can bring the rest to an end."""
    try:
        with Ledger(settings.database, **settings.options) as ledger:
            return not unsettled(ledger.refills())
    except LedgerUnavailableError:
        return False


def check(summary: Summary, orders: Orders) -> None:
    """Raise SummaryError if a summary does not add up."""
    sums = sum(summary.counts.values()), sum(summary.amounts.values())
    if sums != (summary.total, summary.credits):
        raise SummaryError(f"{summary} adds up to {sums}")
    if not summary.problem and summary.total != orders.refills:
        raise SummaryError(f"{summary} is not of {orders.refills} refills")


if __name__ == "__main__":
    faulthandler.enable()  # on SIGABRT, say where the threads are
    main(sys.argv[1])
