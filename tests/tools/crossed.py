"""`scripts/crossed [--calls N]`: how often an answer too many is taken for the next call's answer.

A server that answers a request twice has its second answer taken for that of the next request on
the connection if it arrives after that request was written: HTTP/1.1 without pipelining has
nothing that would tell the two apart. If it arrives before, the client sees it and does not use
the connection. This measures what lies between the two, for each kind of transport.
"""

import argparse
import asyncio
import json
import random
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx

from oneloop import __version__
from oneloop_core import Call
from tests.calling import AT_ONCE, KINDS, ClientKind, an_operation
from tests.tools.failures import read_request

BOUNDS = (-3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0)
"""Milliseconds from the start of the second call to the answer too many: bounds of the lines."""

THINKING = 0.005
"""Seconds after which the server answers the second call."""

EXTRA = "extra"


class TwoAnswers(socketserver.BaseRequestHandler):
    """Answers `/first`, then once more after a while; anything else after `THINKING`, once.

    The answer to the second call, and that to `/when`, say when the one too many was sent. All
    processes of a machine share the clock.
    """

    sent = 0.0

    def handle(self) -> None:
        """Serve a connection."""
        while request := read_request(self.request):
            target = request.split(b" ", 2)[1].decode()
            name, _, delay = target[1:].partition("/")
            if name == "second":
                time.sleep(THINKING)
            self.request.sendall(answer(name))
            if delay:
                time.sleep(float(delay))
                TwoAnswers.sent = time.monotonic()
                self.request.sendall(answer(EXTRA))


def answer(to: str) -> bytes:
    """Return an answer that says which request it is for."""
    body = json.dumps({"to": to, "sent": TwoAnswers.sent})
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class Server(socketserver.ThreadingTCPServer):
    """A server that is quiet about clients that leave."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that saw the answer too many has hung up."""


def serve() -> None:
    """Serve in this process until its input ends; write the port first."""
    with Server(("127.0.0.1", 0), TwoAnswers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        sys.stdin.read()
        server.shutdown()


@contextmanager
def serving() -> Iterator[str]:
    """Yield the URL of a server in a process of its own, so that it does not wait for this one."""
    program = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


async def crossed(kind: ClientKind, url: str) -> tuple[float, bool]:
    """Make two calls over one connection, the second about when an answer too many arrives.

    Returns:
        Milliseconds from the start of the second call to the answer too many; whether the call got
        that answer.
    """
    blocking = kind.name == "sync"
    http = (httpx.Client if blocking else httpx.AsyncClient)()
    client = kind.client(http, api_key="sdk", base_url=url, retry=AT_ONCE)

    async def get(target: str) -> str:
        response = client._respond(Call(an_operation("GET"), target))
        response = response if blocking else await response
        return str(response.parsed["to"])

    pause = 0.005
    spread = random.uniform(BOUNDS[0], BOUNDS[-1])  # noqa: S311 - moments, not secrets
    delay = pause + spread / 1000
    await get(f"/first/{delay}")
    if blocking:
        time.sleep(pause)
    else:
        await asyncio.sleep(pause)
    began = time.monotonic()
    got = await get("/second")
    sent = httpx.get(f"{url}/when", trust_env=False).json()["sent"]  # over another connection
    if blocking:
        client.close()
        http.close()
    else:
        await client.aclose()
        await http.aclose()
    assert got in (EXTRA, "second")
    return (sent - began) * 1000, got == EXTRA


def table(calls: int, kinds: Sequence[str] = KINDS) -> str:
    """Measure, and return the table."""
    day = datetime.now(UTC).date().isoformat()
    python = sys.version.partition(" ")[0]
    with serving() as url:
        found = {
            name: [asyncio.run(crossed(ClientKind(name), url)) for _ in range(calls)]
            for name in kinds
        }
    lines = [
        f"oneloop {__version__}, Python {python}, {sys.platform}, {day}: calls that got an answer",
        "too many, of all calls for which it was sent at such a time after their start (negative:",
        f"before it). The server takes {THINKING * 1000:.0f} ms to answer.",
        "",
        "| ms | " + " | ".join(kinds) + " |",
        "|---:" * (1 + len(kinds)) + "|",
    ]
    for low, high in pairwise(BOUNDS):
        cells = [[one for at, one in found[name] if low <= at < high] for name in kinds]
        counts = " | ".join(f"{sum(cell)} of {len(cell)}" for cell in cells)
        lines.append(f"| {low:+.1f} to {high:+.1f} | {counts} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Serve, or measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/crossed", description=__doc__)
    parser.add_argument("--calls", type=int, default=300, help="of each kind (%(default)s)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
    else:
        sys.stdout.write(table(options.calls))


if __name__ == "__main__":
    main()
