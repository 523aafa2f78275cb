"""A surplus answer that arrives before the next request is not taken for the answer to it.

httpx keeps what it reads together with the end of an answer, and takes it for the next one; it has
no public interface that would show us. With it, this holds for what arrives afterwards.
"""

import asyncio
import re
import socketserver
import threading
from queue import SimpleQueue
from typing import Any

import httpx
import pytest

from oneloop_core import Call
from tests.calling import AT_ONCE, KINDS, ClientKind, an_operation
from tests.tools import crossed
from tests.tools.failures import read_request
from tests.tools.fuzz.runs import BY_HTTPX

CALLS = 200


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_a_surplus_answer_that_arrives_before_the_next_request_is_never_taken(
    kind: ClientKind,
) -> None:
    """Each of 200 answers is followed by another, which has arrived when the next call starts."""
    arrived: SimpleQueue[None] = SimpleQueue()
    returned: SimpleQueue[None] = SimpleQueue()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while request := read_request(self.request):
                self.request.sendall(crossed.answer(request.split(b" ", 2)[1].decode()))
                if kind.via in BY_HTTPX:
                    returned.get(timeout=10)
                # Sent separately, so that the client often has read the first one already.
                self.request.sendall(crossed.answer(crossed.EXTRA))
                arrived.put(None)  # over loopback, what was sent has arrived

    async def calls(url: str) -> list[str]:
        blocking = kind.name == "sync"
        http = httpx.Client() if blocking else httpx.AsyncClient()
        client = kind.client(http, api_key="sdk", base_url=url, retry=AT_ONCE)
        got: list[str] = []
        for number in range(CALLS):
            response: Any = client._respond(Call(an_operation("GET"), f"/{number}"))
            if not blocking:
                response = await response
            returned.put(None)
            if blocking:
                arrived.get(timeout=10)
            else:
                await asyncio.to_thread(arrived.get, timeout=10)
            got.append(response.parsed["to"])
        if blocking:
            client.close()
            http.close()
        else:
            await client.aclose()
            await http.aclose()
        return got

    with crossed.Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            got = asyncio.run(calls(f"http://127.0.0.1:{server.server_address[1]}"))
        finally:
            server.shutdown()
            thread.join()
    assert got == [f"/{number}" for number in range(CALLS)]


def test_the_command_measures_the_time_in_between() -> None:
    """The table has a row for each span of time and a column for each client kind."""
    lines = crossed.table(2, ["sync", "async"]).splitlines()
    assert lines[0].startswith("oneloop ")
    assert lines[4:6] == ["| ms | sync | async |", "|---:|---:|---:|"]
    assert len(lines) == 6 + len(crossed.BOUNDS) - 1
    for line in lines[6:]:
        assert re.fullmatch(r"\| \S+ to \S+ \| \d of \d \| \d of \d \|", line)
