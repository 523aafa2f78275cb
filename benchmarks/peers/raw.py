"""A raw socket, as the lower bound: it takes whatever arrives for the response, unchecked."""

import json
import os
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks.calls import BODY, KEY, PATH

HEAD = (
    f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
    f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
).encode()
CONNECTIONS = 100

if TYPE_CHECKING:
    from ssl import SSLContext


def _tls() -> "SSLContext":
    import ssl  # here, because a call without TLS does not need it

    return ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])


def make(url: str) -> Callable[[], object]:
    """Return a function that makes a blocking call."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if parts.scheme == "https":
        connection = _tls().wrap_socket(connection, server_hostname=parts.hostname)

    def call() -> object:
        connection.sendall(HEAD + BODY)
        answer = connection.recv(65536)
        return json.loads(answer[answer.index(b"\r\n\r\n") + 4 :])

    return call


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call and close the client."""
    import asyncio  # here, because a blocking call does not need it

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP connections have one
            self.transport = transport

        def send(self, answer: asyncio.Future[bytes]) -> None:
            self.answer = answer
            self.transport.write(HEAD + BODY)

        def data_received(self, data: bytes) -> None:
            self.answer.set_result(data)

    parts = urlsplit(url)
    host, _, port = parts.netloc.partition(":")
    tls = _tls() if parts.scheme == "https" else None
    free: list[Connection] = []
    made: list[Connection] = []
    slots = asyncio.Semaphore(CONNECTIONS)
    loop = asyncio.get_running_loop()

    async def call() -> object:
        async with slots:
            if free:
                connection = free.pop()
            else:
                _, connection = await loop.create_connection(Connection, host, int(port), ssl=tls)
                made.append(connection)
            future = loop.create_future()
            connection.send(future)
            answer = await future
            free.append(connection)
        return json.loads(answer[answer.index(b"\r\n\r\n") + 4 :])

    async def close() -> None:
        for connection in made:
            connection.transport.close()

    return call, close
