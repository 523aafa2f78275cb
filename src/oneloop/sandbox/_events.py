"""The stream of events that the page shows: server-sent events, as HTML defines them."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress

from starlette.types import Receive, Send

from oneloop.sandbox._answers import Answer, sent_headers
from oneloop.sandbox._bodies import overview_json, request_json
from oneloop.sandbox._state import ReceivedRequest, State

_SHOWN = 200
"""How many meters, keys and requests a message has at most."""

_PAUSE = 0.1
"""Seconds between two messages: changes that come faster are reported together."""

_QUIET = 15.0
"""Seconds without any change after which the overview is sent again: the connection is alive."""


async def send_events(send: Send, receive: Receive, answer: Answer, state: State) -> None:
    """Send what changes in `state`, until the client disconnects."""
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in sent_headers(answer, time.time())
        if name != "content-length"
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    loop = asyncio.get_running_loop()
    has_changed = asyncio.Event()

    def wake(_: ReceivedRequest | None) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile, in another thread
            loop.call_soon_threadsafe(has_changed.set)

    stop = state.listen(wake)
    # The request has been read to its end, so the next message can only be the disconnect.
    gone = asyncio.ensure_future(receive())
    try:
        feed = Feed(state)
        while not gone.done():
            has_changed.clear()
            message = "".join(feed.messages())
            await send({"type": "http.response.body", "body": message.encode(), "more_body": True})
            await asyncio.wait({gone}, timeout=_PAUSE)
            changing = asyncio.ensure_future(has_changed.wait())
            await asyncio.wait(
                {gone, changing}, timeout=_QUIET, return_when=asyncio.FIRST_COMPLETED
            )
            changing.cancel()
    finally:
        stop()
        gone.cancel()


class Feed:
    """What one reader of the stream has not seen yet."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._epoch = state.epoch
        self._seen: dict[int, ReceivedRequest] = {}
        """The requests that were sent last, by their number."""

    def messages(self) -> Iterator[str]:
        """Yield the messages about what has changed since the last time, and the overview."""
        if self._state.epoch != self._epoch:
            self._epoch = self._state.epoch
            self._seen = {}
            yield _message("reset", {})
        yield _message("overview", overview_json(self._state, _SHOWN))
        latest = self._state.log.entries(_SHOWN)
        new = [one for one in latest if self._seen.get(one.number) is not one]
        self._seen = {one.number: one for one in latest}
        if new:
            yield _message("requests", {"requests": [request_json(one) for one in new]})


def _message(event: str, data: object) -> str:
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
