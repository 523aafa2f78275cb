"""`scripts/crossed [--calls N]`: how often an answer too many is taken for the next call's answer.

A server that answers a request twice has its second answer taken for that of the next request on
the connection, if it arrives after that request was written: HTTP/1.1 without pipelining has
nothing that would tell the two apart. If it arrives before, the client sees it, and does not use
the connection. This measures what lies between the two, for each kind of transport.
"""

import argparse
import asyncio
import json
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from calling import AT_ONCE, KINDS, ClientKind, an_operation
from failures import read_request

from oneloop import __version__
from oneloop_overrides import Call

DELAYS = (-2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0)
"""Milliseconds from the start of the second call to the answer too many."""

AHEAD = 0.03
"""Seconds from the start of the first call to that of the second."""

THINKING = 0.004
"""Seconds after the start of the second call at which the server answers it."""

SLACK = 0.00025
"""Seconds by which anything may be late. To send takes some; the rest is for a busy machine. A call
for which something was later does not count."""

EXTRA = "extra"


sent: dict[str, float] = {}
"""When the answers too many were sent, by the moment at which they would come at no delay."""


def answer(to: str, moment: str = "") -> bytes:
    """Return an answer that says which request it is for, and when the one too many was sent."""
    body = json.dumps({"to": to, "sent": sent.get(moment)})
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def wait_until(moment: float) -> None:
    """Wait until the clock, which all processes of a machine share, shows a moment."""
    if (left := moment - time.monotonic()) > 0.008:
        time.sleep(left - 0.006)  # to wake up may take the processor from the other process
    while time.monotonic() < moment:
        pass


class TwoAnswers(socketserver.BaseRequestHandler):
    """Answers `/MOMENT/DELAY` and then once more; `/MOMENT` is the request of the second call."""

    def handle(self) -> None:
        """Serve a connection."""
        while request := read_request(self.request):
            target = request.split(b" ", 2)[1].decode()
            moment, _, delay = target[1:].partition("/")
            if not delay:
                wait_until(float(moment) + THINKING)
            self.request.sendall(answer(target, moment))
            if delay:
                wait_until(float(moment) + float(delay))
                self.request.sendall(answer(EXTRA))
                sent[moment] = (
                    time.monotonic()
                )  # after it, as this process may have to pause before


class Server(socketserver.ThreadingTCPServer):
    """A server that is quiet about clients that leave."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that saw the answer too many has hung up."""


def serve() -> None:
    """Serve in this process until its input ends; write the port first."""
    sys.setswitchinterval(0.0001)
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


async def is_crossed(kind: ClientKind, url: str, delay: float) -> bool | None:
    """Make two calls over one connection; return whether the second got the answer too many.

    Returns:
        `None` if this machine was too slow to do each thing at its time.
    """
    blocking = kind.name == "sync"
    http = (httpx.Client if blocking else httpx.AsyncClient)(verify=False)
    client = kind.client(http, api_key="sdk", base_url=url, retry=AT_ONCE)

    async def get(target: str) -> str:
        response = client._respond(Call(an_operation("GET"), target))
        response = response if blocking else await response
        return str(response.parsed["to"])

    moment = time.monotonic() + AHEAD
    await get(f"/{moment}/{delay}")
    late_before = time.monotonic() - (moment - 0.008)
    while not blocking and time.monotonic() < moment:
        await asyncio.sleep(0)  # whatever arrives is noticed, as in a loop that is otherwise idle
    wait_until(moment)
    late = time.monotonic() - moment
    got = await get(f"/{moment}")
    at = httpx.get(f"{url}/{moment}", trust_env=False).json()[
        "sent"
    ]  # over a connection of its own
    if blocking:
        client.close()
        http.close()
    else:
        await client.aclose()
        await http.aclose()
    assert got in (EXTRA, f"/{moment}")
    return got == EXTRA if max(late_before, late, at - moment - delay) < SLACK else None


async def crossed(
    kind: ClientKind, url: str, delay: float, calls: int, tries: int = 100_000
) -> int:
    """Return how many of some calls got the answer too many; calls that are late do not count."""
    found = 0
    done = 0
    for _ in range(tries):
        one = await is_crossed(kind, url, delay)
        if one is not None:
            done += 1
            found += one
        if done == calls:
            return found
    raise RuntimeError("this machine is too busy: hardly a call began on time")


def table(calls: int, delays: Sequence[float] = DELAYS, kinds: Sequence[str] = KINDS) -> str:
    """Measure, and return the table."""
    day = datetime.now(UTC).date().isoformat()
    python = sys.version.partition(" ")[0]
    lines = [
        f"oneloop {__version__}, Python {python}, {sys.platform}, {day}: of {calls} calls, so many "
        "got an answer too many that the",
        "server sent at this time after the start of the call (negative: before it). The server "
        f"takes {THINKING * 1000:.0f} ms to answer.",
        "",
        "| ms | " + " | ".join(kinds) + " |",
        "|---:" * (1 + len(kinds)) + "|",
    ]
    with serving() as url:
        for delay in delays:
            found = [
                asyncio.run(crossed(ClientKind(kind), url, delay / 1000, calls)) for kind in kinds
            ]
            lines.append(f"| {delay:+.2f} | " + " | ".join(map(str, found)) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Serve, or measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/crossed", description=__doc__)
    parser.add_argument("--calls", type=int, default=100, help="for each cell (%(default)s)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
    else:
        sys.stdout.write(table(options.calls))


if __name__ == "__main__":
    main()
