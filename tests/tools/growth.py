"""Make very many calls, and measure whether the memory or the open files of the process grow.

The calls of the clients are made in a process of their own, with some that fail and some that are
cancelled in between. The server runs in this process. The sandbox is measured in a process of its
own, too, which also makes the calls.
"""

import argparse
import asyncio
import gc
import http.client
import json
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from oneloop import APIConnectionError, AsyncOneloop, Oneloop
from oneloop.sandbox import Sandbox
from tests.calling import AT_ONCE, REFILL
from tests.tools.steps import BookServer, Scenario

WARMING = {"sync": 0.2, "async": 0.2, "sandbox": 0.1}
"""The part of the calls before the first measurement."""

KINDS = tuple(WARMING)
TOLERANCE = 1024
"""KiB by which the memory may grow: the allocator's own ups and downs."""

EVERY = 50
"""One of so many calls finds that the server closes the connection, and one is cancelled."""

IN_FLIGHT = 10

REFILL_BODY = {"workspaceId": "ws_1", "externalMeterId": "acme", "refill": 1}

ANSWERED = REFILL | {"external_meter_id": "answered-after"}
DROPPED = REFILL | {"external_meter_id": "dropped"}


def measured() -> tuple[int, int]:
    """Return the KiB of memory that this process uses, and the number of its open files."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 1024, len([*Path("/proc/self/fd").iterdir()])


def call_many(kind: str, url: str, calls: int) -> tuple[int, int]:
    """Make calls; return by how much memory and open files have grown since the warm-up."""
    warm = int(calls * WARMING[kind])
    if kind == "sandbox":
        before, after = call_sandbox(warm, calls - warm)
    elif kind == "sync":
        with Oneloop(api_key="sdk", base_url=url, retry=AT_ONCE) as client:
            call_blocking(client, warm)
            before = measured()
            call_blocking(client, calls - warm)
            after = measured()
    else:
        before, after = asyncio.run(call_async(url, warm, calls))
    return after[0] - before[0], after[1] - before[1]


def read_to_end(events: http.client.HTTPResponse) -> None:
    """Read and discard all there is, until either side closes the connection."""
    with suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
        while events.readline():
            pass


def call_sandbox(*shares: int) -> list[tuple[int, int]]:
    """Call a sandbox that somebody watches; return what was measured after each share of calls."""
    found: list[tuple[int, int]] = []
    jwt_limit = {"limit": 1, "interval": "1s"}
    with Sandbox() as sandbox:
        host = sandbox.url.removeprefix("http://")
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        watching = http.client.HTTPConnection(host)
        watching.request("GET", "/_sandbox/events", headers=headers)
        events = watching.getresponse()
        threading.Thread(target=read_to_end, args=(events,), daemon=True).start()
        sandbox.misbehave("500", "wrong-shape", "late-504", rate=1 / EVERY, seed=1)
        client = http.client.HTTPConnection(host)
        headers["Content-Type"] = "application/json"
        for share in shares:
            for number in range(share):
                if number % EVERY:
                    path, body = "customer-billing/refill", REFILL_BODY
                else:
                    limit = jwt_limit | {"id": f"{len(found)}-{number}"}
                    path, body = "jwt/verify", {"jwt": "x", "rateLimitConfig": limit}
                client.request("POST", f"/api/v1/{path}", json.dumps(body), headers)
                client.getresponse().read()
            sandbox.apply_late()
            found.append(measured())
        client.close()
    watching.close()
    return found


def call_blocking(client: Oneloop, calls: int) -> None:
    """Make calls one after the other."""
    for number in range(calls):
        with suppress(APIConnectionError):
            client.refill_billing_limit(**(ANSWERED if number % EVERY else DROPPED))


async def call_async(url: str, warm: int, calls: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Make calls, some at a time; return what was measured after the warm-up and at the end."""
    async with AsyncOneloop(api_key="sdk", base_url=url, retry=AT_ONCE) as client:

        async def some(share: int) -> None:
            for number in range(share):
                with suppress(APIConnectionError):
                    await client.refill_billing_limit(**(ANSWERED if number % EVERY else DROPPED))
                if number % EVERY == 1:
                    task = asyncio.create_task(client.refill_billing_limit(**ANSWERED))
                    await asyncio.sleep(number / 10**8)
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

        found: list[tuple[int, int]] = []
        for share in (warm, calls - warm):
            tasks = [some(share // IN_FLIGHT) for _ in range(IN_FLIGHT)]
            await asyncio.gather(*tasks)
            # So many connections as there will be at the second measurement, and no more.
            await asyncio.gather(
                *(client.refill_billing_limit(**ANSWERED) for _ in range(IN_FLIGHT))
            )
            found.append(measured())
    return found[0], found[1]


def in_another_process(kind: str, calls: int) -> tuple[int, int]:
    """Do `call_many` in a new process."""
    server = BookServer(Scenario(dropping=True))
    try:
        url = f"http://127.0.0.1:{server.port}"
        given = ("--kind", kind, "--url", url, "--calls", str(calls))
        result = subprocess.run(
            [sys.executable, "-m", "tests.tools.growth", *given],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    finally:
        server.close()
    memory, files = map(int, result.stdout.split())
    return memory, files


def main(
    argv: Sequence[str] | None = None,
    measure: Callable[[str, int], tuple[int, int]] = in_another_process,
) -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/growth",
        description="Make very many calls with both clients and to the sandbox, and fail if the "
        "memory or the number of open files grows.",
    )
    parser.add_argument(
        "--calls", type=int, default=100_000, metavar="N", help="calls of each (%(default)s)"
    )
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.url:
        sys.stdout.write("{} {}\n".format(*call_many(options.kind, options.url, options.calls)))
        return 0
    grown = False
    for kind in KINDS:
        memory, files = measure(kind, options.calls)
        sys.stdout.write(f"{kind}: {options.calls} calls, {memory:+} KiB, {files:+} open files\n")
        sys.stdout.flush()
        grown = grown or memory > TOLERANCE or files > 0
    return int(grown)


if __name__ == "__main__":
    sys.exit(main())
