"""A forked process opens new connections, even if it has the process id of its parent."""

import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from oneloop import APIConnectionError, Oneloop, Outcome, _attempt, _fast
from oneloop.sandbox import Sandbox
from tests.calling import REFILL
from tests.tools.failures import read_request

PROGRAM = """
import asyncio, ctypes, os, signal, sys
from oneloop import APIConnectionError, AsyncOneloop, Oneloop

signal.alarm(20)  # what hangs must not stay behind
CLONE_NEWPID = 0x20000000
kind, via, how = sys.argv[1:]
arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 1}

def in_a_new_namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWPID):
        print(os.strerror(ctypes.get_errno()))
        sys.exit(77)
    child = os.fork()
    signal.alarm(20)
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert os.getpid() == 1

def main():
    if how == "namespaces":
        in_a_new_namespace()
    number = os.getpid()
    options = {"transport": "fast"} if via == "fast" else {}
    if kind == "sync":
        client, loop = Oneloop(**options), None
        refill = lambda: client.refill_billing_limit(**arguments)
    else:
        client, loop = AsyncOneloop(**options), asyncio.new_event_loop()
        def refill():
            # The engine wakes a loop by what parent and child have in common: each needs its own.
            runner = asyncio.new_event_loop() if via == "fast" else loop
            runner.run_until_complete(client.refill_billing_limit(**arguments))
    refill()
    if how == "namespaces" and ctypes.CDLL(None).unshare(CLONE_NEWPID):
        sys.exit(77)
    child = os.fork()
    signal.alarm(10)
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        refill()
        return
    if how == "a number in common":
        os.getpid = lambda: number
    assert (os.getpid() == number) is (how != "an own number")
    try:
        refill()
    except APIConnectionError as error:
        assert (via, error.outcome.name) == ("fast", "NOT_SENT"), error
        assert "fork" in str(error), error
    else:
        assert via == "pool"

main()  # to the end, as the engine also does something at exit
"""


@contextmanager
def counting() -> Iterator[tuple[str, list[int]]]:
    """Serve refills, and yield the URL and the number of requests on each connection."""
    counts: list[int] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            number = len(counts)
            counts.append(0)
            while read_request(self.request):
                counts[number] += 1
                self.request.sendall(
                    b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}'
                )

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", counts
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("how", ["an own number", "a number in common", "namespaces"])
@pytest.mark.parametrize(
    ("name", "via"), [("sync", "pool"), ("async", "pool"), ("sync", "fast"), ("async", "fast")]
)
def test_a_forked_process_does_not_use_its_parents_connection(
    name: str, via: str, how: str
) -> None:
    """A child opens its own connections, even with its parent's id (1, in a new PID namespace)."""
    with counting() as (url, counts):
        environment: dict[str, Any] = {
            **os.environ,
            "ONELOOP_SDK_KEY": "sdk",
            "ONELOOP_BASE_URL": url,
        }
        # Python 3.12 and later warn of a fork with other threads running; here it is intended.
        quiet = ("-W", "ignore::DeprecationWarning")
        program = [sys.executable, *quiet, "-c", PROGRAM, name, via, how]
        result = subprocess.run(
            program, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    if result.returncode == 77:
        pytest.skip(f"a new PID namespace is not allowed here: {result.stdout.strip()}")
    assert (result.returncode, result.stderr) == (0, "")
    # The engine of "fast" cannot be used after a fork: the child gets an error.
    assert counts == ([2, 1] if via == "pool" else [2])


def test_a_process_is_known_by_its_number_and_its_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork changes the identity of a process, even if it runs no fork hooks or keeps the id."""
    this = _attempt.process()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert _attempt.process() != this
    monkeypatch.undo()
    assert _attempt.process() == this
    monkeypatch.setattr(_attempt, "_forks", _attempt._forks)
    _attempt._forked()
    assert _attempt.process() != this


def test_the_engine_is_left_alone_after_a_fork(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a fork, also at exit, the engine is not used: waiting for its threads would hang."""
    options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    with Oneloop(**options, transport="fast") as client:
        client.refill_billing_limit(**REFILL)
        monkeypatch.setattr(_attempt, "_forks", 1_000_000)
        with pytest.raises(
            APIConnectionError, match="used before this process was forked"
        ) as caught:
            client.refill_billing_limit(**REFILL)
        used: list[str] = []
        monkeypatch.setattr(_fast, "SyncClientBuilder", lambda: used.append("engine"))
        _fast._settle()
        assert used == []
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 1)
    assert len(sandbox.requests) == 1
