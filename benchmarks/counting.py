"""`python counting.py URL TLS_URL`: count what one call costs, in a process that does nothing else.

It prints names and counts as JSON. Each count is the most frequent one of many calls after a
warm-up: since Python 3.12, the first traced call reports only some of its instructions.
Instructions inside the standard library are not counted, because they are not ours and change with
its releases; calls into it are.
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

from benchmarks.calls import ANSWER  # noqa: E402 - needs the line above
from benchmarks.peers.default import make, make_async  # noqa: E402 - see above
from oneloop import transport  # noqa: E402 - see above
from oneloop.hooks import Hooks  # noqa: E402 - see above

WARM_UP = 20
CALLS = 41

NOT_OURS = (str(Path(os.__file__).parent), str(Path(__file__).parent), "<frozen")
"""Code in these folders is not counted: the standard library and these benchmarks."""
PACKAGES = "site-packages"  # may be inside the folder of the standard library


def counts(code: CodeType) -> bool:
    """Return whether to count the instructions of this code."""
    where = code.co_filename
    return PACKAGES in where or not where.startswith(NOT_OURS)


class InMemory:
    """A blocking transport that returns a fixed response."""

    ANSWER = transport.Response(200, (("content-type", "application/json"),), ANSWER)

    def send(self, request: object, limits: object) -> transport.Response:
        """Return the response."""
        return self.ANSWER

    def close(self) -> None:
        """Do nothing."""


class AsyncInMemory:
    """An async transport that returns the same response."""

    async def send(self, request: object, limits: object) -> transport.Response:
        """Return the response."""
        return InMemory.ANSWER

    async def aclose(self) -> None:
        """Do nothing."""


class Counter:
    """Counts something between `start` and `stop`."""

    def start(self) -> None:
        """Start counting."""

    def stop(self) -> int:
        """Stop counting and return the count."""
        raise NotImplementedError


class Instructions(Counter):
    """Counts bytecode instructions."""

    def start(self) -> None:
        """Start counting."""
        self.count = 0
        sys.settrace(self._entered)

    def stop(self) -> int:
        """Stop counting and return the count."""
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
    """Counts calls of Python and C functions; resuming a coroutine counts as another call."""

    def start(self) -> None:
        """Start counting."""
        self.count = 0
        sys.setprofile(self._happened)

    def stop(self) -> int:
        """Stop counting and return the count."""
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
    """Yield the count for each of `CALLS` calls."""
    for _ in range(CALLS):
        counter.start()
        call()
        yield counter.stop()


async def async_counts(call: Callable[[], Any], counter: Counter) -> list[int]:
    """Return the count for each of `CALLS` calls."""
    found = []
    for _ in range(CALLS):
        counter.start()
        await call()
        found.append(counter.stop())
    return found


async def of_async(where: str, url: str, **options: Any) -> dict[str, int]:
    """Return the counts for an async call."""
    call, close = make_async(url, **options)
    for _ in range(WARM_UP):
        await call()
    found = {
        f"{name}, async call, {where}": statistics.mode(await async_counts(call, counter()))
        for name, counter in COUNTERS.items()
    }
    await close()
    return found


def of_sync(where: str, url: str, **options: Any) -> dict[str, int]:
    """Return the counts for a blocking call."""
    call = make(url, **options)
    for _ in range(WARM_UP):
        call()
    return {
        f"{name}, sync call, {where}": statistics.mode(sync_counts(call, counter()))
        for name, counter in COUNTERS.items()
    }


def main(url: str, tls_url: str) -> None:
    """Count everything and print it."""
    gc.disable()  # a collection in the middle of a call would be counted with it
    found = {
        **of_sync("in memory", url, transport=InMemory()),
        **asyncio.run(of_async("in memory", url, transport=AsyncInMemory())),
        **of_sync("in memory, with hooks", url, transport=InMemory(), hooks=Hooks()),
        **of_sync("loopback", url),
        **asyncio.run(of_async("loopback", url)),
        **of_sync("loopback TLS", tls_url),
        **asyncio.run(of_async("loopback TLS", tls_url)),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
