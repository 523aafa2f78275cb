"""Runs of many cases with one client kind, by several workers at a time."""

import asyncio
import multiprocessing
import os
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import httpx

from oneloop import APITimeoutError, AsyncOneloop, Oneloop, OneloopError, RetryPolicy, Timeout
from tests.calling import sending

from .answers import KEY, LIMIT, PROBE, READ, Answer, Case, good
from .cases import case_of
from .meaning import leaves_bytes, read
from .server import Server
from .verdict import ATTEMPTS, BUDGET, GRACE, judge

WORKERS = 8
"""Calls at a time. Each worker has its own client, and so its own connection."""

PATIENCE = 0.0002
"""Seconds between two checks of whether the server has closed a connection."""

BY_HTTPX = ("own", "httpx")
"""Ways to send over httpx, with a known limit: what a server sends beyond an answer, and httpx
reads together with its end, counts as the start of the next answer on that connection. httpx has no
public interface that would show us these bytes. So the probe after such an answer, or after one
whose end is not certain, may get any answer. What holds for every call is checked all the same, and
the connection is given up afterwards.
"""


@dataclass
class Report:
    """The results of one run.

    `late` has the failures that a busy machine may explain, by the number of the case.
    """

    kind: str
    seed: int
    cases: int = 0
    results: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    late: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0


class _Run:
    """What a run with the sync client and one with the async client have in common."""

    def __init__(self, kind: str, seed: int, numbers: list[int], verbose: bool) -> None:
        self.report = Report(kind, seed)
        self.server = Server()
        self._numbers, self._verbose = numbers, verbose

    def share(self, worker: int) -> Iterator[Case]:
        """Yield the cases of one worker, each followed by its probe if it has one."""
        for number in self._numbers[worker::WORKERS]:
            case = case_of(self.report.seed, number)
            yield case
            if any(answer.after == "keep" for answer in case.answers):
                probe = Answer(good(number + PROBE).wire(), "keep")
                left = any(map(leaves_bytes, case.answers))
                yield Case(number, f"{case.family}, probe", (probe,), probe=True, left=left)

    def begin(self, case: Case, patient: Any, hasty: Any) -> Any:
        """Start the call of a case with the client whose read timeout suits it.

        Returns:
            The response, or with an async client the awaitable.
        """
        self.server.expect(case)
        waits = any(
            answer.after == "keep" and (expected is None or expected.open_ended)
            for answer in case.answers
            for expected in (read(answer),)
        )
        client = hasty if waits else patient
        return client.with_response.refill_billing_limit(
            workspace_id="ws_1", external_meter_id=case.key, refill=1
        )

    def end(self, case: Case, result: Any, elapsed: float) -> bool:
        """Record the result of a case, and return whether the client may be used again."""
        result = raised_or_read(result)
        seen = self.server.forget(case)
        report = self.report
        by_httpx = report.kind.endswith(BY_HTTPX)
        is_sync = report.kind.startswith("sync")
        if by_httpx and is_sync and any(answer.pause for answer in case.answers):
            elapsed = 0.0  # a blocking client of httpx does not limit the time that a head takes
        confused = by_httpx and case.left
        wrong = judge(case, result, seen, elapsed, confused=confused)
        if not case.probe:
            report.cases += 1
            is_error = isinstance(result, BaseException)
            report.results[type(result).__name__ if is_error else "model"] += 1
            if isinstance(result, OneloopError):
                report.outcomes[result.outcome.value] += 1
        repeat = f"--seed {report.seed} --kind {report.kind} --only {case.number}"
        if wrong:
            failure = f"{repeat} ({case.family}): {'; '.join(wrong)}"
            if isinstance(result, APITimeoutError) or elapsed > BUDGET + GRACE:
                report.late[case.number] = failure
            else:
                report.failures.append(failure)
        if self._verbose:
            show(case, result, seen, elapsed)
        return not wrong and not confused


def raised_or_read(result: Any) -> Any:
    """Return the error of a response that cannot be decoded, and anything else as it is."""
    try:
        _ = getattr(result, "parsed", None)
    except OneloopError as error:
        return error
    return result


def run(kind: str, numbers: list[int], seed: int, *, verbose: bool = False) -> Report:
    """Call one client kind with the cases of these numbers."""
    started = time.monotonic()
    this = _Run(kind, seed, numbers, verbose)
    via = kind.partition("-")[2]
    try:
        if kind.startswith("async"):
            asyncio.run(_run_async(this, via))
        else:
            with ThreadPoolExecutor(WORKERS) as pool:
                work = [
                    pool.submit(_work, this, worker, via)
                    for worker in range(min(WORKERS, len(numbers)))
                ]
            for one in work:
                one.result()
    finally:
        this.server.close()
    report = this.report
    if len(numbers) == 1:
        report.failures += report.late.values()
    else:
        for number in report.late:  # alone, a case has all the time that it needs
            report.failures += run(kind, [number], seed).failures
    report.seconds = time.monotonic() - started
    return report


def run_all(kinds: Sequence[str], numbers: list[int], seed: int) -> list[Report]:
    """Run several client kinds, each in its own process, as many at a time as there are CPUs."""
    fresh = multiprocessing.get_context("spawn")  # a fork would share the parent's threads
    with ProcessPoolExecutor(min(len(kinds), os.cpu_count() or 1), fresh) as pool:
        work = [pool.submit(run, kind, numbers, seed) for kind in kinds]
        return [one.result() for one in work]


_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Never used, but without it each httpx client would load certificates."""


def _options(server: Server) -> dict[str, Any]:
    return {
        "api_key": KEY,
        "base_url": server.url,
        "timeout": Timeout(connect=BUDGET, read=BUDGET),
        "retry": RetryPolicy(attempts=ATTEMPTS, backoff=0, cap=0, budget=BUDGET),
        "max_response_bytes": LIMIT,
    }


def _work(this: _Run, worker: int, via: str) -> None:
    cases = this.share(worker)
    for first in cases:
        with (
            httpx.Client(trust_env=False, verify=_NO_TLS) as http,
            Oneloop(**_options(this.server), **sending(via, http)) as client,
        ):
            hasty = client.with_options(timeout=Timeout(connect=BUDGET, read=READ))
            for case in chain([first], cases):
                started = time.monotonic()
                try:
                    result = this.begin(case, client, hasty)
                except Exception as error:  # noqa: BLE001 - judged below
                    result = error
                elapsed = time.monotonic() - started
                while this.server.is_closing(case):
                    time.sleep(PATIENCE)
                if not this.end(case, result, elapsed):
                    break  # continue with a new client, as this one may be in any state


async def _run_async(this: _Run, via: str) -> None:
    def unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        this.report.failures.append(f"the event loop reported {context!r:.300}")

    asyncio.get_running_loop().set_exception_handler(unhandled)
    await asyncio.gather(*(_work_async(this, worker, via) for worker in range(WORKERS)))


async def _work_async(this: _Run, worker: int, via: str) -> None:
    cases = this.share(worker)
    for first in cases:
        async with (
            httpx.AsyncClient(trust_env=False, verify=_NO_TLS) as http,
            AsyncOneloop(**_options(this.server), **sending(via, http)) as client,
        ):
            hasty = client.with_options(timeout=Timeout(connect=BUDGET, read=READ))
            for case in chain([first], cases):
                started = time.monotonic()
                try:
                    result = await this.begin(case, client, hasty)
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - judged below
                    result = error
                elapsed = time.monotonic() - started
                while this.server.is_closing(case):
                    await asyncio.sleep(PATIENCE)
                if not this.end(case, result, elapsed):
                    break  # continue with a new client, as this one may be in any state


def show(case: Case, result: Any, seen: int, elapsed: float) -> None:
    """Print the answers of a case, what they mean and what the call ended in."""
    for answer in case.answers:
        say(f"{case.key} ({case.family}), then {answer.after}:\n  {answer.raw!r:.2000}")
        say(f"  means {read(answer)!r:.1000}")
    say(f"  result: {result!s:.1000} ({seen} requests, {elapsed:.2f} s)\n")


def say(text: str) -> None:
    """Print a line in ASCII, with escapes for everything else."""
    sys.stdout.write(text.encode("ascii", "backslashreplace").decode() + "\n")
