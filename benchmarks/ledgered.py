"""One measurement of refills, in a process of its own: `python -m benchmarks.ledgered JSON`.

It prints its result as JSON. The API is `benchmarks.ledgering`'s, in another process.
"""

import asyncio
import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from oneloop import AsyncOneloop, Oneloop
from oneloop.ledger import AsyncLedger, Ledger, RefillOrder, State, Summary

WORKSPACE = "ws_5f2b8c1e9a7d4036"
CREDITS = 500
WARM_UP = 200


@frozen
class Measurement:
    """What is measured.

    Attributes:
        kind: Which client and which ledger: "sync" or "async".
        via: "bare", "read first" (both calls that the ledger makes, without it), or "ledger".
        database: The ledger's.
        workers: Threads or tasks.
        url: Of the API.
        seconds: Its duration.
        rows: The number of refills, instead of a duration.
    """

    kind: str
    via: str
    database: str
    workers: int
    url: str
    seconds: float = 0.0
    rows: int = 0

    def to_json(self) -> str:
        """Return the measurement as an argument of the command."""
        return json.dumps(asdict(self))


@frozen
class Result:
    """What was measured.

    Attributes:
        rate: Refills a second.
        cpu: Microseconds of CPU of this process for a refill.
        peak: The most memory that this process has had, in MiB.
        refills: How many there were.
    """

    rate: float
    cpu: float
    peak: float
    refills: int


def orders(prefix: str, until: float = 0.0, rows: int = 0) -> Iterator[RefillOrder]:
    """Yield refills, each of another meter, until a moment of the monotonic clock, or so many."""
    number = 0
    while number < rows or time.monotonic() < until:
        number += 1
        yield RefillOrder(
            id=f"{prefix}{number}",
            workspace_id=WORKSPACE,
            external_meter_id=f"{prefix}{number}",
            refill=CREDITS,
        )


def measure(given: Measurement) -> Result:
    """Make the refills."""
    run = (_sync if given.kind == "sync" else _async)(given)
    next(run)
    run.send(orders("warm", rows=WARM_UP))
    cpu, wall = time.process_time(), time.perf_counter()
    refills = run.send(orders("pay", time.monotonic() + given.seconds, given.rows))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    run.close()
    return Result(refills / wall, cpu / refills * 1e6, _peak(), refills)


def _peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    try:
        # Without that of the process which started this one, which Linux counts in `getrusage`.
        status = Path("/proc/self/status").read_text("utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) / 2**10
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _applied(summary: Summary) -> int:
    if summary.problem or summary.counts[State.APPLIED] != summary.total:
        raise ValueError(f"not all refills were applied: {summary}")
    return summary.total


def _sync(given: Measurement) -> Any:
    """Take iterables of orders, and yield how many refills were made."""
    with Oneloop(api_key="sdk_benchmark", base_url=given.url) as client:
        if given.via == "ledger":
            with Ledger(given.database) as ledger:
                done = 0
                while True:
                    done = _applied(ledger.run((yield done), client, workers=given.workers))
        done = 0
        while True:
            done = _in_threads((yield done), given.workers, _blocking(client, given.via))


def _blocking(client: Oneloop, via: str) -> Callable[[RefillOrder], object]:
    def refill(order: RefillOrder) -> None:
        meter = {"workspace_id": order.workspace_id, "external_meter_id": order.external_meter_id}
        if via == "read first":
            client.get_customer_billing(**meter)
        client.refill_billing_limit(**meter, refill=order.refill)

    return refill


def _in_threads(
    source: Iterator[RefillOrder], workers: int, refill: Callable[[RefillOrder], object]
) -> int:
    lock, counts = threading.Lock(), [0] * workers

    def work(index: int) -> None:
        while True:
            with lock:
                order = next(source, None)
            if order is None:
                return
            refill(order)
            counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def _async(given: Measurement) -> Any:
    """Take iterables of orders, and yield how many refills were made."""
    with asyncio.Runner() as runner:
        client = AsyncOneloop(api_key="sdk_benchmark", base_url=given.url)
        ledger = None
        try:
            if given.via == "ledger":
                ledger = runner.run(_opened(given.database))
            done = 0
            while True:
                source = yield done
                if ledger is None:
                    done = runner.run(_in_tasks(source, given.workers, client, given.via))
                else:
                    done = _applied(
                        runner.run(_awaited(ledger.run(source, client, workers=given.workers)))
                    )
        finally:
            if ledger is not None:
                runner.run(_awaited(ledger.aclose()))
            runner.run(_awaited(client.aclose()))


async def _opened(database: str) -> AsyncLedger:
    return AsyncLedger(database)


async def _awaited(work: Any) -> Any:
    return await work


async def _in_tasks(
    source: Iterator[RefillOrder], workers: int, client: AsyncOneloop, via: str
) -> int:
    async def work() -> int:
        count = 0
        for order in source:
            meter = {
                "workspace_id": order.workspace_id,
                "external_meter_id": order.external_meter_id,
            }
            if via == "read first":
                await client.get_customer_billing(**meter)
            await client.refill_billing_limit(**meter, refill=order.refill)
            count += 1
        return count

    return sum(await asyncio.gather(*(work() for _ in range(workers))))


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Measurement(**json.loads(sys.argv[1]))))))  # noqa: T201
