"""Sending answers, or what the next fault in the queue makes of them."""

import asyncio
import socket
import struct
import time
from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneloop.sandbox._answers import Answer, sent_headers
from oneloop.sandbox._plans import Performance, Step
from oneloop.sandbox._state import ReceivedRequest, State

CONTROL_PREFIX = "/_sandbox/"
"""The controls are below this path. They are not logged and take no faults."""

TRANSPORT = "oneloop.sandbox.transport"
"""The key of the connection's asyncio.Transport among the extensions of the ASGI scope."""

_BEFORE_A_TOKEN = "/link-token/"  # noqa: S105 - the secret is what follows it in a path

# Stands for the genuine answer in faults that prevent the call; they ignore it.
_NOT_ASKED = Answer(0, (), b"")


class Delivery:
    """ASGI middleware that logs each API call and applies the next fault to it."""

    def __init__(self, app: ASGIApp, *, state: State, max_body_bytes: int) -> None:
        self._app = app
        self._state = state
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await read_body(receive, keep=self._max_body_bytes + 1)
        if body is None:
            return
        if scope["path"].startswith(CONTROL_PREFIX):
            await send_answer(send, await self._ask_app(scope, body), time.time())
            return

        fault = self._state.next_fault()
        genuine = _NOT_ASKED
        if fault is None or fault.applies:
            genuine = await self._ask_app(scope, body)
        now = time.time()
        if fault is None:
            performance = Performance(genuine.status, genuine)
        else:
            performance = fault.plan.perform(genuine, now)

        # Logged before it is sent, so that a client that has the answer finds the call in the log.
        self._state.record(
            ReceivedRequest(
                method=scope["method"],
                path=_target(scope),
                status=performance.status,
                fault=None if fault is None else fault.kind,
                applied=genuine.applied,
            )
        )
        if isinstance(performance.show, Answer):
            await send_answer(send, performance.show, now)
        else:
            await _play(performance.show, scope["extensions"][TRANSPORT], receive)

    async def _ask_app(self, scope: Scope, body: bytes) -> Answer:
        """Return the application's answer to a request without sending it."""
        status = 0
        headers: list[tuple[bytes, bytes]] = []
        content = bytearray()

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], message["headers"]
            else:
                content.extend(message["body"])

        await self._app(scope, receive, send)
        kept = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in headers
            if name != b"content-length"
        )
        return Answer(status, kept, bytes(content), scope["state"].get("applied", False))


async def read_body(receive: Receive, *, keep: int) -> bytes | None:
    """Read a whole body and return its first `keep` bytes; None if the client disconnected."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"][: keep - len(body)]
        more = message["more_body"]
    return bytes(body)


def _target(scope: Scope) -> str:
    path: str = scope["raw_path"].decode("latin-1")
    before, found, token = scope["path"].partition(_BEFORE_A_TOKEN)
    if token:
        path = f"{before}{found}***"
    query: bytes = scope["query_string"]
    return f"{path}?{query.decode('latin-1')}" if query else path


async def send_answer(send: Send, answer: Answer, now: float) -> None:
    """Send a well-formed answer, dated `now` (POSIX seconds)."""
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in sent_headers(answer, now)
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _play(steps: Iterator[Step], transport: asyncio.Transport, receive: Receive) -> None:
    """Carry out `steps` on the connection, then wait until it has ended.

    This waits even after closing it, because uvicorn treats an application that returns earlier
    without an answer as broken.
    """
    # The request has been read to its end, so the next message can only be the disconnect.
    gone = asyncio.ensure_future(receive())
    for step in steps:
        if transport.is_closing():  # the client has closed it: uvloop would raise an error
            break
        if isinstance(step, bytes):
            transport.write(step)
        elif step == "close":
            transport.close()
        elif step == "reset":
            _reset(transport)
        else:
            await asyncio.wait({gone}, timeout=step)
            if gone.done():
                break
    await gone


def _reset(transport: asyncio.Transport) -> None:
    connection: socket.socket = transport.get_extra_info("socket")
    # Closing with a linger time of zero sends RST instead of FIN.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
