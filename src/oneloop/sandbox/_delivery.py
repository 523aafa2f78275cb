"""Sending answers, or what a fault makes of them."""

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from oneloop.sandbox._answers import Answer, sent_headers
from oneloop.sandbox._app import Api
from oneloop.sandbox._calls import Request
from oneloop.sandbox._events import send_events
from oneloop.sandbox._fields import MAX_BODY_BYTES
from oneloop.sandbox._paths import encoded
from oneloop.sandbox._plans import Performance, Step
from oneloop.sandbox._privacy import Privacy
from oneloop.sandbox._routes import is_own
from oneloop.sandbox._state import State

TRANSPORT = "oneloop.sandbox.transport"
"""The key of the connection's asyncio.Transport among the extensions of the ASGI scope."""

# Stands for the genuine answer in faults that prevent the call; they ignore it.
_NOT_ASKED = Answer(0, (), b"")


class Delivery:
    """ASGI application that logs each API call and lets it take the next fault."""

    def __init__(self, api: Api, state: State, privacy: Privacy) -> None:
        self._api = api
        self._state = state
        self._privacy = privacy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await read_body(receive, keep=MAX_BODY_BYTES + 1)
        if body is None:
            return
        request = Request(
            method=scope["method"],
            raw_path=scope["raw_path"],
            query=scope["query_string"],
            headers=Headers(raw=scope["headers"]),
            body=body,
        )
        if is_own(request.method, encoded(request.raw_path)):
            answer = self._api.answer(request)
            if answer.streams:
                await send_events(send, receive, answer, self._state)
            else:
                await send_answer(send, answer, time.time())
            return

        match = self._api.match(request)
        name = None if match.operation is None else match.operation.name
        fault = self._state.faults.take(name)
        genuine = _NOT_ASKED
        if fault is None or fault.applies:
            genuine = self._api.answer(request, match)
        now = time.time()
        if fault is None:
            performance = Performance(genuine.status, genuine)
        else:
            performance = fault.plan.perform(genuine, now)

        # Logged before it is sent, so that a client that has the answer finds the call in the log.
        entry = self._state.record(
            time=datetime.fromtimestamp(now, UTC),
            method=request.method,
            path=self._privacy.target(request),
            operation=name,
            headers=self._privacy.headers(request.headers),
            body=self._privacy.body(body),
            status=performance.status,
            fault=None if fault is None else fault.kind,
            applied=genuine.applied,
            pending=fault is not None and fault.delay is not None,
        )
        late = None
        if fault is not None and fault.delay is not None:
            late = self._state.delay(entry, lambda: self._api.answer(request, match).applied)
        if isinstance(performance.show, Answer):
            await send_answer(send, performance.show, now)
        else:
            await _play(performance.show, scope["extensions"][TRANSPORT], receive)
        if fault is not None and late is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(fault.delay or 0, self._state.carry_out, late)


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
