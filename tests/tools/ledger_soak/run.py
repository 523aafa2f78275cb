"""The processes of a soak: the sandbox, the workers that are killed, and the database."""

import json
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Literal, Protocol

from attrs import define, field, frozen

from oneloop.ledger import Ledger
from tests import ROOT
from tests.postgres import Cable, serving

from .books import Books, Report, compared, explained
from .orders import Orders
from .worker import UNAVAILABLE, Settings

Database = Literal["sqlite", "postgresql"]

CUT_OFF = re.compile(r"connection|consuming input failed|terminat|server closed")
"""What PostgreSQL's client says when the connection was cut. Nothing else may go wrong."""

ENDING = 30
"""Seconds that the last worker may take when nothing disturbs it any more."""


@frozen
class Effort:
    """How much a soak does.

    Attributes:
        refills: How many refills.
        meters: Of how many meters.
        processes: In how many processes.
        workers: Threads or tasks of each of them.
        rate: Share of the requests that meet a fault.
        quiet: Seconds between two readings of the ledger.
        late: Seconds after which a late refill happens, at most.
        others: Refills a second by another program, of the first 50 meters; the ledger knows of it.
        lease: Seconds after which a process is taken for dead.
        kill_every: Seconds between two kills, on average.
        kills: How many, at most.
        cut_every: Seconds between two cuts, on average.
        limit: Seconds after which a soak that has not ended has failed.
    """

    refills: int = 20_000
    meters: int = 5_000
    processes: int = 4
    workers: int = 8
    rate: float = 0.2
    quiet: float = 2.0
    late: float = 1.0
    others: float = 0.0
    lease: float = 4.0
    kill_every: float = 3.0
    kills: int = 100
    cut_every: float = 3.0
    limit: float = 1800.0


class Disturbed(Protocol):
    """A database with a connection that can be disturbed."""

    url: str
    direct: str
    """The URL without anything in between."""

    def disturb(self, chance: random.Random) -> None:
        """Disturb it for a moment."""
        ...


@define
class SQLite:
    """An SQLite file, which is locked now and then, as if another program wrote for long."""

    url: str

    @property
    def direct(self) -> str:
        """Return the same URL."""
        return self.url

    def disturb(self, chance: random.Random) -> None:
        """Lock the file for up to two seconds."""
        connection = sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=5)
        with suppress(sqlite3.OperationalError):  # there is no turn for us, which is all right
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(chance.uniform(0.1, 2))
        connection.close()


@define
class PostgreSQL:
    """A PostgreSQL database behind a cable that is cut."""

    direct: str
    cable: Cable

    @property
    def url(self) -> str:
        """The URL through the cable."""
        return self.cable.url

    def disturb(self, chance: random.Random) -> None:
        """Cut the cable in one of several ways; leave it cut for up to two seconds."""
        words = chance.choice([None, b"", b"COMMIT", b"COMMIT"])
        if words is None:
            self.cable.cut()
        else:
            self.cable.cut_at(words, chance.choice(["before", "after"]), once=chance.random() < 0.5)
            self.cable.sprung.wait(2)
        time.sleep(chance.uniform(0, 2))
        self.cable.mend()


@contextmanager
def database(kind: Database) -> Iterator[Disturbed]:
    """Return a new database."""
    with ExitStack() as stack:
        if kind == "postgresql":
            server = stack.enter_context(serving())
            direct = server.database()
            yield PostgreSQL(direct, stack.enter_context(Cable(direct)))
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            yield SQLite(f"sqlite:///{folder}/refills.db")


class SandboxProcess:
    """The sandbox in a process of its own."""

    api_key = "sdk_sandbox"

    def __init__(self, effort: Effort, seed: int) -> None:
        numbers = (effort.refills, effort.meters, effort.rate, effort.late)
        numbers += (effort.others, seed)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.tools.ledger_soak.sandbox", *map(str, numbers)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._read().strip()

    def __enter__(self) -> "SandboxProcess":
        """Return itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End the process."""
        self._process.communicate()

    def calm(self) -> None:
        """End the faults."""
        self._ask("calm")

    def books(self) -> Books:
        """Let happen what is late, and return what was done."""
        return Books.of_json(json.loads(self._ask("books")))

    def _ask(self, command: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@define
class Soak:
    """A soak with one database.

    Attributes:
        kind: Which database.
        effort: How much it does.
        seed: Of everything that is random, apart from when processes come to their turn.
        progress: Called now and then with the seconds since the start, and the number of kills.
    """

    kind: Database
    effort: Effort
    seed: int
    progress: Callable[[float, int], object] = field(default=lambda *_: None)
    _chance: random.Random = field(init=False)
    _kills: int = field(default=0, init=False)
    _cuts: int = field(default=0, init=False)
    _started: int = field(default=0, init=False)
    _unavailable: int = field(default=0, init=False)
    _violations: list[str] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        """Seed the random numbers."""
        self._chance = random.Random(f"{self.seed} {self.kind}")  # noqa: S311 - needs no secrecy

    def run(self) -> Report:
        """Make the refills, and compare the ledger with the sandbox's books."""
        began = time.monotonic()
        orders = Orders(self.effort.refills, self.effort.meters)
        with database(self.kind) as disturbed, SandboxProcess(self.effort, self.seed) as sandbox:
            self._disturb(disturbed, sandbox, orders, began)
            sandbox.calm()
            self._end(disturbed, sandbox, orders)
            seconds = time.monotonic() - began
            books = sandbox.books()
            with Ledger(disturbed.direct, **self._options) as ledger:
                refills = list(ledger.refills())
                totals = ledger.totals()
        comparisons, wrong = compared(orders, refills, books)
        for state, (number, amount) in totals.items():
            found = [refill.refill for refill in refills if refill.state is state]
            if (number, amount) != (len(found), sum(found)):
                wrong.append(f"totals of {state.value!r}: {number}, {amount}")
        return Report(
            database=self.kind,
            comparisons=comparisons,
            violations=self._violations + wrong,
            unknown=explained(comparisons),
            books=books,
            resent=sum(refill.attempts > 1 for refill in refills),
            kills=self._kills,
            cuts=self._cuts,
            unavailable=self._unavailable,
            seconds=seconds,
        )

    @property
    def _options(self) -> dict[str, Any]:
        return {
            "quiet": self.effort.quiet,
            "lease": self.effort.lease,
            "patience": 8.0,
            "other_writers": self.effort.others > 0,
        }

    def _start(self, url: str, sandbox: SandboxProcess, orders: Orders) -> subprocess.Popen[str]:
        self._started += 1
        settings = Settings(
            database=url,
            url=sandbox.url,
            api_key=sandbox.api_key,
            orders=orders,
            kind=("sync", "async")[self._started % 2],
            workers=self.effort.workers,
            options=self._options,
            seed=self._chance.randrange(2**31),
        )
        return subprocess.Popen(
            [sys.executable, "-m", "tests.tools.ledger_soak.worker", settings.to_json()],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _disturb(
        self, disturbed: Disturbed, sandbox: SandboxProcess, orders: Orders, began: float
    ) -> None:
        """Run the workers; kill some, and disturb the database, until all have ended."""
        over = threading.Event()
        cutting = threading.Thread(target=self._cut, args=(disturbed, over))
        running = [
            self._start(disturbed.url, sandbox, orders) for _ in range(self.effort.processes)
        ]
        cutting.start()
        kill_at = time.monotonic() + self._after(self.effort.kill_every)
        try:
            while running:
                time.sleep(0.01)
                now = time.monotonic()
                self.progress(now - began, self._kills)
                if now - began > self.effort.limit:
                    self._violations.append(f"no end after {self.effort.limit:g} s")
                    for process in running:  # each says where its threads are
                        process.send_signal(signal.SIGABRT)
                        self._ended(process)
                    running.clear()
                for process in list(running):
                    if process.poll() is not None:
                        running.remove(process)
                        self._ended(process)
                if running and now > kill_at and self._kills < self.effort.kills:
                    kill_at = now + self._after(self.effort.kill_every)
                    victim = self._chance.choice(running)
                    victim.kill()
                    running.remove(victim)
                    self._ended(victim)
                    self._kills += 1
                    running.append(self._start(disturbed.url, sandbox, orders))
        finally:
            over.set()
            for process in running:
                process.kill()
                process.communicate()
            cutting.join()

    def _cut(self, disturbed: Disturbed, over: threading.Event) -> None:
        """Disturb the database until it is over."""
        chance = random.Random(f"{self.seed} cuts")  # noqa: S311 - needs no secrecy
        while not over.wait(chance.expovariate(1 / self.effort.cut_every)):
            disturbed.disturb(chance)
            self._cuts += 1

    def _end(self, disturbed: Disturbed, sandbox: SandboxProcess, orders: Orders) -> None:
        """Run one worker without any disturbance, so that all that can be settled is settled."""
        process = self._start(disturbed.direct, sandbox, orders)
        try:
            process.wait(ENDING + 20 * self.effort.quiet + self.effort.refills / 500)
        except subprocess.TimeoutExpired:
            self._violations.append("the last worker does not end, although nothing disturbs it")
            process.kill()
        self._ended(process)

    def _ended(self, process: subprocess.Popen[str]) -> None:
        """Note it if a worker ended otherwise than by our hand, or missed its database."""
        _, errors = process.communicate()
        lines = errors.splitlines()
        reasons = [line for line in lines if line.startswith(UNAVAILABLE)]
        self._unavailable += len(reasons)
        self._violations += [
            line for line in reasons if self.kind == "sqlite" or not CUT_OFF.search(line)
        ]
        if process.returncode not in (0, -signal.SIGKILL):
            said = "\n".join(line for line in lines if line not in reasons)[-3000:]
            self._violations.append(f"a worker ended with {process.returncode}: {said}")

    def _after(self, mean: float) -> float:
        return self._chance.expovariate(1 / mean)
