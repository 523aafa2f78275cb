"""Counts what one call takes, in a process that has nothing else to do: `python counting.py URL`.

It prints names and numbers as JSON. Each number is one that most of many calls had, after some to
warm up; from Python 3.12 on, the first that is traced tells only a part of its instructions.
Instructions of the standard library's own Python do not count, as they are not ours and change with
its releases; calls into it do.
"""

import asyncio
import gc
import json
import os
import statistics
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.calls import ANSWER  # noqa: E402 - found by the line above
from benchmarks.peers.default import make, make_async  # noqa: E402 - the same
from oneloop import transport  # noqa: E402 - the same

WARM_UP = 20
CALLS = 41

NOT_OURS = (str(Path(os.__file__).parent), str(Path(__file__).parent), "<frozen")
"""Where the code lies that does not count: the standard library, and these benchmarks."""
PACKAGES = "site-packages"  # which may lie below the standard library


def counts(code: CodeType) -> bool:
    """Say whether instructions of this code count."""
    where = code.co_filename
    return PACKAGES in where or not where.startswith(NOT_OURS)


class InMemory:
    """A transport, for both clients, that has the answer."""

    ANSWER = transport.Response(200, (("content-type", "application/json"),), ANSWER)

    def send(self, request: object, limits: object) -> transport.Response:
        """Answer."""
        return self.ANSWER

    def close(self) -> None:
        """Do nothing."""


class AsyncInMemory:
    """The same for asyncio."""

    async def send(self, request: object, limits: object) -> transport.Response:
        """Answer."""
        return InMemory.ANSWER

    async def aclose(self) -> None:
        """Do nothing."""


class Counter:
    """What a call takes; asked before and after it."""

    def start(self) -> None:
        """Begin to count."""

    def stop(self) -> int:
        """End it, and return the count."""
        raise NotImplementedError


class Instructions(Counter):
    """Bytecode instructions."""

    def start(self) -> None:
        """Begin to count."""
        self.count = 0
        sys.settrace(self._entered)

    def stop(self) -> int:
        """End it, and return the count."""
        sys.settrace(None)
        return self.count

    def _entered(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if not counts(frame.f_code):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._stepped

    def _stepped(self, _frame: FrameType, event: str, _argument: object) -> Any:
        self.count += event == "opcode"
        return self._stepped


class Functions(Counter):
    """Calls of functions, of Python's or C's; a coroutine that goes on counts again."""

    def start(self) -> None:
        """Begin to count."""
        self.count = 0
        sys.setprofile(self._happened)

    def stop(self) -> int:
        """End it, and return the count."""
        sys.setprofile(None)
        return self.count

    def _happened(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            caller = frame.f_back
            self.count += counts(frame.f_code) or (caller is not None and counts(caller.f_code))
        elif event == "c_call":
            self.count += counts(frame.f_code)


COUNTERS: dict[str, type[Counter]] = {
    "instructions": Instructions,
    "function calls": Functions,
}


def sync_counts(call: Callable[[], object], counter: Counter) -> Generator[int]:
    """Yield the count of each of some calls."""
    for _ in range(CALLS):
        counter.start()
        call()
        yield counter.stop()


async def async_counts(call: Callable[[], Any], counter: Counter) -> list[int]:
    """Return the count of each of some calls."""
    found = []
    for _ in range(CALLS):
        counter.start()
        await call()
        found.append(counter.stop())
    return found


async def of_async(where: str, url: str, **options: Any) -> dict[str, int]:
    """Return the counts of an async call."""
    call, close = make_async(url, **options)
    for _ in range(WARM_UP):
        await call()
    told = {
        f"{name}, async call, {where}": statistics.mode(await async_counts(call, counter()))
        for name, counter in COUNTERS.items()
    }
    await close()
    return told


def of_sync(where: str, url: str, **options: Any) -> dict[str, int]:
    """Return the counts of a blocking call."""
    call = make(url, **options)
    for _ in range(WARM_UP):
        call()
    return {
        f"{name}, sync call, {where}": statistics.mode(sync_counts(call, counter()))
        for name, counter in COUNTERS.items()
    }


def main(url: str) -> None:
    """Count, and print it."""
    gc.disable()  # it would run in the middle of one call or another
    told = {
        **of_sync("in memory", url, transport=InMemory()),
        **asyncio.run(of_async("in memory", url, transport=AsyncInMemory())),
        **of_sync("loopback", url),
        **of_sync("loopback, fast", url, transport="fast"),
        **asyncio.run(of_async("loopback", url)),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
