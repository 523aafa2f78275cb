"""A soak: many refills and faults, then the sandbox's books against what every caller was told.

Each call has a meter of its own, so that the books tell how often exactly that call was applied.
One client is shared by all threads, another by all tasks. Each of the two has a sandbox of its own,
which is also restarted now and then, so that connections are refused and lost.

Run it with scripts/soak.
"""

import argparse
import asyncio
import math
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Literal

from attrs import define, evolve, field, frozen

from oneloop import APIError, AsyncOneloop, Oneloop, Outcome, Retry, RetryPolicy, Timeout
from oneloop.sandbox import Fault, Meter, Sandbox
from tests.calling import sending

Kind = Literal["sync", "async"]

POLICY = RetryPolicy(backoff=0.01, cap=0.02, budget=3)
"""The default policy with short waits, and a budget that a slow answer does use up."""

TIMEOUT = Timeout(connect=2, read=1)
MAX_RESPONSE_BYTES = 20_000

GRACE = 3.0
"""Seconds past its budget after which a call has taken too long."""

LOST_AFTER = 5.0
"""Seconds past its budget after which nobody waits for a call any longer."""

RESTART_EVERY = 1000
"""Calls from one restart of the sandbox to the next."""

DOWN = 0.08
"""Seconds for which a restart refuses connections."""

SHOWN = 10
"""Discrepancies that are told in words."""

RARELY = 0.01
"""Share of the faults that last until the client gives up."""

_OTHERS = b'{"billing":{"id":"cbm_of_another_call","totalCredits":"1","usedCredits":"0",'
_OTHERS += b'"allowOverages":false,"spendCap":null,"createdAt":"2026-01-01T00:00:00Z",'
_OTHERS += b'"updatedAt":"2026-01-01T00:00:00Z"}}'
_TWO_ANSWERS = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbusy"
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_OTHERS), _OTHERS)
)

# None of them lies about what happened: an API that says 4xx and applies the call all the same, or
# that makes up a 200, cannot be told from an honest one.
FAULTS = (
    Fault.drop_before(),
    Fault.drop_after(),
    Fault.reset_before(),
    Fault.reset_after(),
    Fault.truncated_body(),
    Fault.large_body(MAX_RESPONSE_BYTES + 1),
    Fault.large_body(MAX_RESPONSE_BYTES),
    Fault.slow_headers(0.1),
    Fault.slow_body(0.1),
    Fault.wrong_shape(),
    Fault.wrong_shape("billing"),
    Fault.rate_limited(0),
    Fault.rate_limited(0.02, form="milliseconds"),
    Fault.rate_limited(None),
    Fault.rate_limited(100),
    *(Fault.status(code) for code in (302, 400, 401, 404, 409, 422, 500, 503, 520)),
    *(Fault.status(code, applies=True) for code in (500, 503, 520)),
    *(
        make(applies=applies)
        for make in (Fault.html_page, Fault.not_json, Fault.empty_body)
        for applies in (False, True)
    ),
    *(
        Fault.raw(data, applies=applies)
        for data in (
            b"",
            b"HTTP/9.9 what?\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
            b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"billing": {"id"',
            _TWO_ANSWERS,
        )
        for applies in (False, True)
    ),
)
RARE_FAULTS = (Fault.hang(), Fault.slow_headers(30), Fault.slow_body(30))

WORDS = {
    Outcome.APPLIED: "applied, unreadable",
    Outcome.REJECTED: "rejected",
    Outcome.NOT_SENT: "not sent",
    Outcome.UNKNOWN: "unknown",
}
TIMES = {
    "applied": (1,),
    "applied, unreadable": (1,),
    "rejected": (0,),
    "not sent": (0,),
    "unknown": (0, 1),
}
"""What a caller is told, and how often the call may then be in the books. Callers should be told
nothing else."""


@frozen
class Call:
    """One refill of a meter that nobody else refills."""

    opening: Meter
    """The meter as it was before."""
    refill: int

    @property
    def name(self) -> str:
        """The meter's name."""
        return self.opening.external_meter_id

    @property
    def arguments(self) -> dict[str, Any]:
        """What the client method takes."""
        return {
            "workspace_id": self.opening.workspace_id,
            "external_meter_id": self.name,
            "refill": self.refill,
        }


@frozen
class Told:
    """What the caller of one call was told."""

    word: str
    detail: str
    seconds: float
    meter_id: str | None = None
    credits: int | None = None


@frozen
class Entry:
    """One call, what its caller was told, and by how much its meter rose."""

    call: Call
    told: Told
    raised: int
    budget: float
    """Seconds that the call had."""

    @property
    def times(self) -> float:
        """How often the call was applied. A broken number is a matter for `discrepancy`."""
        return self.raised / self.call.refill

    @property
    def discrepancy(self) -> str | None:
        """What is wrong with it, None if nothing is."""
        call, told = self.call, self.told
        if told.word not in TIMES:
            return f"{call.name}: {told.detail}"
        in_books = f"in the books {self.times:g} times"
        opening, got = call.opening, f"{told.meter_id} with {told.credits} credits"
        if told.word == "applied" and told.meter_id != opening.id:
            return f"{call.name}: got another call's answer, {got}; {in_books}"
        if self.times not in TIMES[told.word]:
            return f"{call.name}: told {told.word!r}, but {in_books}: {told.detail}"
        if told.word == "applied" and told.credits != opening.total_credits + call.refill:
            return f"{call.name}: told of a wrong balance, {got}"
        if told.seconds > self.budget + GRACE:
            return f"{call.name}: took {told.seconds:.1f} s: {told.detail}"
        return None


@frozen
class Report:
    """All about the calls of one client."""

    kind: Kind
    entries: tuple[Entry, ...] = field(repr=False)
    missing: int
    requests: int
    faults: int
    restarts: int
    seconds: float

    @property
    def discrepancies(self) -> list[str]:
        """What is wrong, one line each."""
        found = (entry.discrepancy for entry in self.entries)
        lines = [line for line in found if line is not None]
        if self.missing:
            lines.append(f"{self.kind}: {self.missing} calls were never made")
        return lines


@define
class Soak:
    """Calls by one client against one sandbox.

    Attributes:
        kind: Which client.
        workers: How many threads or tasks share it.
        calls: How many calls to make at most; None for no limit.
        until: When to begin no more of them, on the monotonic clock.
        rate: How many requests in one meet a fault; 0 to 1.
        chance: Where faults come from.
        faults: What they are; for each of these, one that lasts may come, too, at times.
        retry: The client's policy; `on_retry` is not heard.
        options: More arguments for the client.
        progress: Told now and then how many calls have ended.
    """

    kind: Kind
    workers: int
    calls: int | None
    until: float
    rate: float
    chance: random.Random
    faults: Sequence[Fault] = FAULTS
    rare_faults: Sequence[Fault] = RARE_FAULTS
    retry: RetryPolicy = POLICY
    options: dict[str, Any] = field(factory=dict[str, Any])
    progress: Callable[[int], object] = field(default=lambda _: None)
    _sandbox: Sandbox = field(factory=lambda: Sandbox(port=_free_port()), init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _begun: int = field(default=0, init=False)
    _unmet: int = field(default=0, init=False)
    """Requests that were made ready for a fault or for none, and then not sent."""
    _restarts: int = field(default=0, init=False)
    _stopping: bool = field(default=False, init=False)
    _open: dict[str, tuple[Call, float]] = field(factory=dict, init=False)
    _told: list[tuple[Call, Told]] = field(factory=list, init=False)

    def run(self) -> Report:
        """Make the calls, and compare."""
        sandbox = self._sandbox
        started = time.monotonic()
        _start(sandbox)
        try:
            self._make_calls()
            # What a client took for not sent, but was, arrives in this time.
            time.sleep(0.1)
        finally:
            sandbox.stop()
        seconds = time.monotonic() - started
        requests = sandbox.requests
        budget = self._budget
        entries = [Entry(call, told, self._raised(call), budget) for call, told in self._told]
        return Report(
            kind=self.kind,
            entries=tuple(entries),
            missing=0 if self.calls is None else self.calls - len(entries),
            requests=len(requests),
            faults=sum(request.fault is not None for request in requests),
            restarts=self._restarts,
            seconds=seconds,
        )

    @property
    def _budget(self) -> float:
        return math.inf if self.retry.budget is None else self.retry.budget

    def _make_calls(self) -> None:
        options = {
            "api_key": self._sandbox.api_key,
            "base_url": self._sandbox.url,
            "timeout": TIMEOUT,
            "max_response_bytes": MAX_RESPONSE_BYTES,
            "retry": evolve(self.retry, on_retry=self._before_retry),
            **self.options,
        }
        if self.kind == "async":
            self._watch([threading.Thread(target=self._by_tasks, args=(options,), daemon=True)])
            return
        with Oneloop(**options) as client:
            self._watch(
                threading.Thread(target=self._by_thread, args=(client,), daemon=True)
                for _ in range(self.workers)
            )

    def _by_thread(self, client: Oneloop) -> None:
        while (call := self._begin()) is not None:
            began = time.monotonic()
            try:
                answer = client.refill_billing_limit(**call.arguments)
            except Exception as error:  # noqa: BLE001 - whatever the caller is told, we compare
                self._end(call, _failed(error, time.monotonic() - began))
            else:
                self._end(call, _answered(answer, time.monotonic() - began))

    def _by_tasks(self, options: dict[str, Any]) -> None:
        async def by_task(client: AsyncOneloop) -> None:
            while (call := self._begin()) is not None:
                began = time.monotonic()
                try:
                    answer = await client.refill_billing_limit(**call.arguments)
                except Exception as error:  # noqa: BLE001 - as above
                    self._end(call, _failed(error, time.monotonic() - began))
                else:
                    self._end(call, _answered(answer, time.monotonic() - began))

        async def all_tasks() -> None:
            async with AsyncOneloop(**options) as client:
                await asyncio.gather(*(by_task(client) for _ in range(self.workers)))

        asyncio.run(all_tasks())

    def _begin(self) -> Call | None:
        """Make the next call ready, with a meter that no other call knows."""
        with self._lock:
            late = self._stopping or time.monotonic() >= self.until
            if late or self._begun == self.calls:
                return None
            self._begun += 1
            number = self._begun
        # Balances differ too, so that the answer to another call would be seen.
        meter = self._sandbox.create_meter(
            workspace_id="soak",
            external_meter_id=f"{self.kind}-{number}",
            total_credits=number * 1000,
        )
        call = Call(meter, refill=1 + number % 97)
        self._perhaps_misbehave()
        self._open[call.name] = (call, time.monotonic())
        return call

    def _before_retry(self, retry: Retry) -> None:
        # What was not sent has met no fault: the one that it might have met is still to come.
        if retry.error.outcome is not Outcome.NOT_SENT:
            self._perhaps_misbehave()

    def _end(self, call: Call, told: Told) -> None:
        if told.word == WORDS[Outcome.NOT_SENT]:
            with self._lock:
                self._unmet += 1
        del self._open[call.name]
        self._told.append((call, told))

    def _perhaps_misbehave(self) -> None:
        """Before each request: queue a fault for it, or for one that comes before it, or do not."""
        with self._lock:
            if self._unmet:
                self._unmet -= 1
                return
            if self.chance.random() >= self.rate:
                return
            rarely = self.rare_faults and self.chance.random() < RARELY
            fault = self.chance.choice(self.rare_faults if rarely else self.faults)
        self._sandbox.misbehave(fault)

    def _watch(self, threads: Iterable[threading.Thread]) -> None:
        """Start threads and wait for them; restart the sandbox, and look for calls without end."""
        threads = tuple(threads)
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            threads[-1].join(0.02)
            if self._begun // RESTART_EVERY > self._restarts:
                self._restarts += 1
                self._sandbox.stop()
                time.sleep(DOWN)
                _start(self._sandbox)
            self.progress(len(self._told))
            oldest_first = sorted(began for _, began in self._open.copy().values())
            too_old = time.monotonic() - self._budget - LOST_AFTER
            if oldest_first and oldest_first[0] < too_old:
                self._stopping = True
                if oldest_first[-1] < too_old:
                    break
        for call, began in self._open.copy().values():
            age = time.monotonic() - began
            self._told.append((call, Told("no end", f"no end after {age:.1f} s", age)))

    def _raised(self, call: Call) -> int:
        meter = self._sandbox.meter(workspace_id="soak", external_meter_id=call.name)
        return meter.total_credits - call.opening.total_credits


def _answered(answer: Any, seconds: float) -> Told:
    if answer.billing is None:
        return Told("applied", "no such meter", seconds)
    billing = answer.billing
    return Told("applied", "answered", seconds, billing.id, billing.total_credits)


def _failed(error: Exception, seconds: float) -> Told:
    if isinstance(error, APIError):
        return Told(WORDS[error.outcome], str(error), seconds)
    return Told("another error", f"{type(error).__name__}: {error}", seconds)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _start(sandbox: Sandbox) -> None:
    """Start it, also if a connection to nobody has its port for a moment."""
    for _ in range(100):
        with suppress(OSError):
            return sandbox.start()
        time.sleep(0.01)
    return sandbox.start()


def tables(reports: Sequence[Report]) -> str:
    """Return what was told against what is in the books, and the costs, as text."""
    books = [("client", "told", "calls", "in the books: 0", "1", "more", "discrepancies")]
    costs = [("client", "calls", "requests", "faults", "restarts", "seconds", "calls/s")]
    for report in reports:
        told = {entry.told.word for entry in report.entries}
        words = (*TIMES, *sorted(told.difference(TIMES)))
        books += [(report.kind, word, *_counts(report, word)) for word in words]
        books.append((report.kind, "all", *_counts(report, None)))
        calls = len(report.entries)
        speed = f"{calls / report.seconds:.0f}"
        numbers = (calls, report.requests, report.faults, report.restarts)
        costs.append((report.kind, *map(str, numbers), f"{report.seconds:.1f}", speed))
    return f"{_aligned(books, words=2)}\n{_aligned(costs, words=1)}"


def _counts(report: Report, word: str | None) -> tuple[str, ...]:
    entries = [entry for entry in report.entries if word in (None, entry.told.word)]
    times = Counter(
        "0" if not entry.raised else "1" if entry.times == 1 else "more" for entry in entries
    )
    wrong = sum(entry.discrepancy is not None for entry in entries)
    return tuple(map(str, (len(entries), times["0"], times["1"], times["more"], wrong)))


def _aligned(rows: Sequence[Sequence[str]], *, words: int) -> str:
    """Return a table whose first columns are words, and the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if index < words else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Soak both clients; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description="Refill meters of a sandbox that misbehaves at random, with both clients, and "
        "compare its books with what every caller was told.",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--calls", type=_count, metavar="N", help="of both clients together (20000)"
    )
    length.add_argument("--seconds", type=_seconds, metavar="S", help="instead of --calls")
    parser.add_argument(
        "--faults", type=_rate, default=0.3, metavar="RATE", help="faults a request (%(default)s)"
    )
    for name, default in (("threads", 32), ("tasks", 64)):
        parser.add_argument(
            f"--{name}",
            type=_count,
            default=default,
            metavar="N",
            help=f"{name} that share a client (%(default)s)",
        )
    parser.add_argument("--seed", type=int, metavar="N", help="of the faults (a new one each time)")
    parser.add_argument(
        "--via", choices=("pool", "fast"), default="pool", help="the transport (%(default)s)"
    )
    options = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    calls = None if options.seconds else options.calls or 20_000

    length_in_words = f"{options.seconds:g} seconds" if calls is None else f"{calls} calls"
    _tell(
        f"{length_in_words}, {options.faults * 100:g} % faults, {options.threads} threads, "
        f"{options.tasks} tasks, seed {seed}\n\n"
    )
    kinds: tuple[tuple[Kind, int, int], ...] = (
        ("sync", options.threads, (calls or 0) // 2),
        ("async", options.tasks, (calls or 0) - (calls or 0) // 2),
    )
    reports = [
        Soak(
            kind=kind,
            workers=workers,
            calls=None if calls is None else share,
            until=math.inf if calls else time.monotonic() + options.seconds / 2,
            rate=options.faults,
            chance=random.Random(f"{seed} {kind}"),  # noqa: S311 - faults need no secrecy
            options=sending(options.via),
            progress=_progress(kind),
        ).run()
        for kind, workers, share in kinds
    ]
    _tell(tables(reports))
    found = [line for report in reports for line in report.discrepancies]
    _tell(f"\ndiscrepancies: {len(found)}\n")
    _tell("".join(f"  {line}\n" for line in found[:SHOWN]))
    return 1 if found else 0


def _progress(kind: Kind) -> Callable[[int], object]:
    def tell(ended: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{kind}: {ended} calls\033[K\r")
            sys.stderr.flush()

    return tell


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError(text)
    return count


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(text)
    return seconds


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate <= 1:
        raise ValueError(text)
    return rate


if __name__ == "__main__":
    sys.exit(main())
