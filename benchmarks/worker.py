"""`python worker.py PEER`: make calls and measure them, in the peer's environment.

It reads one JSON object per line, `{"measure": NAME, ...arguments}`, and prints one as the result.
"""

import asyncio
import json
import resource
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from inspect import getsource
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.calls import IDENTIFIER  # noqa: E402 - needs the line above
from benchmarks.first import resident  # noqa: E402 - see above

CHECKED = 20
"""Calls that check whether a peer decodes the response and keeps its connection."""
WARM_UP = 200
"""Calls before the ones that are measured."""
GENTLE = 100
"""The largest number of tasks that open connections at once in the first calls. With 1,000,
httpcore's pool would take half a minute."""


class Worker:
    """Measures one peer."""

    def __init__(self, peer: Any) -> None:
        self.peer = peer
        self.calls: dict[str, Callable[[], object]] = {}

    def check_sync(self, url: str) -> dict[str, float]:
        """Make some blocking calls, and check what they return."""
        call = self._made(url)
        for _ in range(CHECKED):
            _check(call())
        return {"calls": CHECKED}

    def check_async(self, url: str) -> dict[str, float]:
        """Make some async calls, one after the other, and check what they return."""

        async def some() -> None:
            call, close = self.peer.make_async(url)
            for _ in range(CHECKED):
                _check(await call())
            await close()

        asyncio.run(some())
        return {"calls": CHECKED}

    def sync(self, url: str, calls: int) -> dict[str, float]:
        """Return the microseconds of CPU time (all threads) and of wall time per blocking call."""
        call = self._warm(url)
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(calls):
            call()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return {"cpu": cpu / calls * 1e6, "wall": wall / calls * 1e6}

    def growth(self, url: str, calls: int) -> dict[str, float]:
        """Return by how many KiB the process grows during a number of blocking calls."""
        call = self._warm(url)
        before = resident()
        for _ in range(calls):
            call()
        return {"growth": resident() - before}

    def parallel(self, url: str, in_flight: int, seconds: float) -> dict[str, float]:
        """Return the calls per second of `in_flight` tasks, and the microseconds of CPU per call.

        They are measured for about `seconds`.
        """
        return asyncio.run(self._parallel(url, in_flight, seconds))

    def codec(self, times: int, definitions: int) -> dict[str, float]:
        """Return the microseconds of CPU time for each step of the models and their definition."""
        taken = {name: _cpu(step, times) for name, step in self.peer.codec().items()}
        return taken | {"definition": _cpu(_definition(self.peer.MODELS), definitions)}

    def _warm(self, url: str) -> Callable[[], object]:
        """Return the call of the client for this URL, after some calls to warm up."""
        call = self._made(url)
        for _ in range(WARM_UP):
            call()
        return call

    def _made(self, url: str) -> Callable[[], object]:
        return self.calls.get(url) or self.calls.setdefault(url, self.peer.make(url))

    async def _parallel(self, url: str, in_flight: int, seconds: float) -> dict[str, float]:
        call, close = self.peer.make_async(url)
        few = min(in_flight, GENTLE)
        warm_up = WARM_UP // few
        estimate = few * warm_up / await _laps(call, few, warm_up)
        if in_flight > few:
            await _laps(call, in_flight, 1)
        laps = max(2, round(estimate * seconds / in_flight))
        calls = in_flight * laps
        cpu = time.process_time()
        rate = calls / await _laps(call, in_flight, laps)
        cpu = time.process_time() - cpu
        await close()
        return {"rate": rate, "cpu": cpu / calls * 1e6}


def _check(answer: object) -> None:
    if IDENTIFIER not in repr(answer):
        raise ValueError(f"its answer is not the decoded response: {answer!r:.100}")


def _cpu(step: Callable[[], object], times: int) -> float:
    """Return the microseconds of CPU time of a step, without its first run."""
    step()
    start = time.process_time()
    for _ in range(times):
        step()
    return (time.process_time() - start) / times * 1e6


def _definition(names: Iterable[str]) -> Callable[[], None]:
    """Return a function that runs these modules again; they are compiled, their imports loaded."""
    modules = [import_module(name) for name in names]
    compiled = [
        (compile(getsource(module), module.__name__, "exec"), module.__name__, module.__package__)
        for module in modules
    ]

    def define() -> None:
        for code, name, package in compiled:
            exec(code, {"__name__": name, "__package__": package})  # noqa: S102 - the code of a peer

    return define


async def _laps(call: Callable[[], Awaitable[object]], tasks: int, laps: int) -> float:
    """Make `laps` calls in each of `tasks` tasks; return the seconds until all are done."""

    async def some() -> None:
        for _ in range(laps):
            await call()

    start = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(tasks)))
    return time.perf_counter() - start


def main(name: str) -> None:
    """Measure what the parent requests until it closes standard input."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a connection is a file descriptor
    worker = Worker(import_module(f"benchmarks.peers.{name}"))
    for line in sys.stdin:
        arguments = json.loads(line)
        try:
            result = getattr(worker, arguments.pop("measure"))(**arguments)
        except Exception as error:  # noqa: BLE001 - a failing peer must not end the run
            traceback.print_exc()
            result = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
