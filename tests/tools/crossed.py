"""Measure how often a surplus answer is taken for the next call's answer.

If a server answers a request twice and the second answer arrives after the next request was
written to the same connection, it is taken for the answer to that request, because nothing in
HTTP/1.1 tells the two apart. If it arrives before, the client notices and does not use the
connection. This measures the time in between, for each kind of transport.
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
from tests import ROOT
from tests.calling import AT_ONCE, KINDS, ClientKind, an_operation
from tests.tools.failures import read_request

BOUNDS = (-3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0)
"""Bounds of the table's rows, in milliseconds from the start of a call to the surplus answer."""

THINKING = 0.005
"""Seconds that the server takes to answer the second call."""

EXTRA = "extra"


class TwoAnswers(socketserver.BaseRequestHandler):
    """Answer `/first/SECONDS` twice, with a pause, and anything else once.

    Each answer has the time by which the last surplus answer had been sent, by the monotonic clock,
    which all processes of a machine share.
    """

    sent = 0.0

    def handle(self) -> None:
        """Answer the requests on one connection."""
        while request := read_request(self.request):
            target = request.split(b" ", 2)[1].decode()
            name, _, delay = target[1:].partition("/")
            if name == "second":
                time.sleep(THINKING)
            self.request.sendall(answer(name))
            if delay:
                time.sleep(float(delay))
                self.request.sendall(answer(EXTRA))
                TwoAnswers.sent = time.monotonic()  # by then, over loopback, it has arrived


def answer(to: str) -> bytes:
    """Return an answer with the name of the request that it is for."""
    body = json.dumps({"to": to, "sent": TwoAnswers.sent})
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class Server(socketserver.ThreadingTCPServer):
    """A server that does not report errors of connections."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do nothing: a client that notices the surplus answer closes the connection."""


def serve() -> None:
    """Print the port, then serve until the standard input ends."""
    with Server(("127.0.0.1", 0), TwoAnswers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        sys.stdin.read()
        server.shutdown()


@contextmanager
def serving() -> Iterator[str]:
    """Yield the URL of a server in another process, so that it does not wait for this one's GIL."""
    program = [sys.executable, "-m", "tests.tools.crossed", "--serve"]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


async def crossed(kind: ClientKind, url: str) -> tuple[float, bool]:
    """Make two calls over one connection, the second at about the time of the surplus answer.

    Returns:
        Milliseconds from the start of the second call to the surplus answer, and whether the call
        got that answer.
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
    """Measure, and return the results as a Markdown table."""
    day = datetime.now(UTC).date().isoformat()
    python = sys.version.partition(" ")[0]
    with serving() as url:
        found = {
            name: [asyncio.run(crossed(ClientKind(name), url)) for _ in range(calls)]
            for name in kinds
        }
    lines = [
        f"oneloop {__version__}, Python {python}, {sys.platform}, {day}: calls that got the",
        "surplus answer, of all calls for which it was sent at that time after their start (before",
        f"it, if negative). The server takes {THINKING * 1000:.0f} ms to answer.",
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
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="scripts/crossed", description=__doc__)
    parser.add_argument(
        "--calls", type=int, default=300, help="number of calls of each client kind (%(default)s)"
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
    else:
        sys.stdout.write(table(options.calls))


if __name__ == "__main__":
    main()
