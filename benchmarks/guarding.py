"""`benchmarks/guard`: what a guard adds to a request beside a bare verification, under load.

Each application of `benchmarks.guarded` runs in one process under a real server. Its routes are
called in turn over 16 connections, in rounds, and what is compared is the CPU that the server's
process uses for a request, within one round. An API in another process answers each verification
at once.
"""

import argparse
import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from platform import python_version
from statistics import median
from urllib.request import urlopen

from .guarded import KEY
from .peering import ROOT

PAGE = ROOT / "docs" / "guards.md"
MARKS = "<!-- benchmarks/guard -->", "<!-- end -->"
CONNECTIONS = 16
ROUNDS = 5
ROUTES = ("none", "bare", "guard")
SERVERS = {
    "FastAPI, uvicorn": "uvicorn --no-access-log --port {} --factory {}:fastapi_app",
    "Flask, gunicorn": "gunicorn --threads 16 --bind 127.0.0.1:{} {}:flask_app()",
    "Django, gunicorn": "gunicorn --threads 16 --bind 127.0.0.1:{} {}:django_wsgi()",
    "Django, uvicorn": "uvicorn --no-access-log --port {} --factory {}:django_asgi",
}
BODY = b'{"status": "VALID", "apiKeyId": "ak_1", "customerId": "acme"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class API(asyncio.Protocol):
    """An API whose every answer is VALID. Each request is small enough for one read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checkers
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        """Answer when the JSON is complete."""
        self.received += data
        if self.received.endswith(b"}"):
            self.received = b""
            self.transport.write(ANSWER % (len(BODY), BODY))


async def serve_api(port: int) -> None:
    """Serve the API until the process is killed."""
    server = await asyncio.get_running_loop().create_server(API, "127.0.0.1", port)
    await server.serve_forever()


async def load(port: int, path: str, seconds: float) -> int:
    """Return how many requests were answered with 200 over all connections."""
    end = time.monotonic() + seconds
    request = (
        f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
    )

    async def connection() -> int:
        count = 0
        while time.monotonic() < end:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            is_kept = True
            while is_kept and time.monotonic() < end:
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if not head.startswith(b"http/1.1 200"):
                    raise SystemExit(f"benchmarks/guard: {path} was answered {head[:80]!r}")
                length = re.search(rb"content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                is_kept = b"connection: close" not in head
                count += 1
            writer.close()
        return count

    return sum(await asyncio.gather(*(connection() for _ in range(CONNECTIONS))))


def cpu(port: int) -> float:
    """Return the seconds of CPU that the server has used."""
    with urlopen(f"http://127.0.0.1:{port}/cpu") as response:
        return float(response.read())


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until a server listens."""
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
    raise SystemExit("benchmarks/guard: a server does not start")


def measured(command: str, api: int, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """Return milliseconds of CPU for a request, and requests per second, by route and round."""
    port = free_port()
    environment = os.environ | {
        "ONELOOP_SDK_KEY": "sdk_benchmark",
        "ONELOOP_BASE_URL": f"http://127.0.0.1:{api}",
    }
    program = [sys.executable, "-m", *command.format(port, "benchmarks.guarded").split()]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(program, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)
    found: dict[str, list[tuple[float, float]]] = {route: [] for route in ROUTES}
    try:
        wait_for(port)
        for number in range(ROUNDS + 1):
            for route in ROUTES:
                before = cpu(port)
                count = asyncio.run(load(port, route, seconds if number else 0.5))
                used = cpu(port) - before
                if number:  # the first round only warms up
                    found[route].append((used / count * 1000, count / seconds))
    finally:
        server.terminate()
        server.wait()
    return found


def row(name: str, found: dict[str, list[tuple[float, float]]]) -> str:
    """Return a row of the table: medians, and ratios within a round."""
    none, bare, guard = (median(one for one, _ in found[route]) for route in ROUTES)
    pairs = list(zip(found["guard"], found["bare"], strict=True))
    ratios = sorted(one[0] / other[0] for one, other in pairs)
    ratio = f"**{median(ratios):.2f}** ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    speed = median(one[1] / other[1] for one, other in pairs)
    return f"| {name} | {none:.2f} | {bare:.2f} | {guard:.2f} | {ratio} | {speed:.2f} |"


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="benchmarks/guard", description="Measure the guards.")
    parser.add_argument("--seconds", type=float, default=2, help="for a route in a round")
    parser.add_argument("--api", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.api:
        asyncio.run(serve_api(arguments.api))
    else:
        write(arguments.seconds)


def write(seconds: float) -> None:
    """Measure all applications, and write the table."""
    port = free_port()
    program = [sys.executable, "-m", "benchmarks.guarding", "--api", str(port)]
    api = subprocess.Popen(program, cwd=ROOT)
    try:
        wait_for(port)
        rows = [row(name, measured(one, port, seconds)) for name, one in SERVERS.items()]
    finally:
        api.terminate()
        api.wait()
    libraries = ("fastapi", "starlette", "flask", "django", "uvicorn", "gunicorn")
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    table = [
        MARKS[0],
        "| | no verification | bare | guard | guard / bare | requests per second, guard / bare |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        f"Written by `benchmarks/guard` on {datetime.now(UTC):%Y-%m-%d}, with Python "
        f"{python_version()}, {versions}.",
        MARKS[1],
    ]
    before, rest = PAGE.read_text("utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    PAGE.write_text(before + "\n".join(table) + after, "utf-8")


if __name__ == "__main__":
    main()
