"""The server that the clients call: HTTP/1.1 with keep-alive, plain and TLS, as cheap as possible.

`python server.py CERTIFICATE` prints its two ports and serves until its standard input ends.
"""

import asyncio
import resource
import ssl
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.calls import ANSWERS, CONNECTIONS  # noqa: E402 - needs the line above

LENGTH = b"content-length:"


def _whole(body: bytes) -> bytes:
    """Return the bytes of a response with this body."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRequest-Id: req_833a6778b834ffdf"
    return f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


WHOLE = {path.encode(): _whole(body) for path, body in ANSWERS.items()}


def _own(path: bytes) -> bytes:
    """Return the response to the measuring process, whose connection is not counted."""
    if path != CONNECTIONS.encode():
        raise ValueError(f"a client called {path.decode()}, which is not in benchmarks/calls.py")
    Server.accepted -= 1
    return _whole(str(Server.accepted).encode())


class Server(asyncio.Protocol):
    """One connection. Requests arrive one after the other, possibly in pieces."""

    accepted = 0

    def __init__(self) -> None:
        self.waiting = b""
        Server.accepted += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP connections have one
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Respond once a request is complete."""
        self.waiting += data
        end = self.waiting.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.waiting[:end].lower()
        _, found, rest = head.partition(LENGTH)
        length = int(rest.partition(b"\r\n")[0]) if found else 0
        if len(self.waiting) < end + 4 + length:
            return
        path = self.waiting.split(b" ", 2)[1]
        self.waiting = self.waiting[end + 4 + length :]
        self.transport.write(WHOLE.get(path) or _own(path))


async def serve(certificate: str) -> None:
    """Listen on two loopback ports, print them, and serve until standard input is closed."""
    loop = asyncio.get_running_loop()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    servers = [
        await loop.create_server(Server, "127.0.0.1", 0, ssl=context, backlog=2048)
        for context in (None, tls)
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)  # noqa: T201
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a connection is a file descriptor
    asyncio.run(serve(sys.argv[1]))
