"""A forked process opens new connections, even if it has the process id of its parent."""

import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from oneloop._http import _pool
from oneloop.sandbox import Fault, Sandbox
from tests.tools.failures import read_request

PROGRAM = """
import asyncio, ctypes, os, signal, sys
from oneloop import AsyncOneloop, Oneloop

signal.alarm(20)  # what hangs must not stay behind
CLONE_NEWPID = 0x20000000
kind, how = sys.argv[1:]
arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 1}

def sockets():
    links = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return {link for link in links if "socket:" in link}

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
    if kind == "sync":
        client, loop = Oneloop(), None
        refill = lambda: client.refill_billing_limit(**arguments)
    else:
        client, loop = AsyncOneloop(), asyncio.new_event_loop()
        refill = lambda: loop.run_until_complete(client.refill_billing_limit(**arguments))
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
    before = sockets()
    refill()
    assert len(sockets()) == len(before) and sockets() != before, "an inherited socket is open"

main()
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
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_forked_process_does_not_use_its_parents_connection(kind: str, how: str) -> None:
    """A child opens its own connections, even with its parent's id (1, in a new PID namespace)."""
    with counting() as (url, counts):
        environment: dict[str, Any] = {
            **os.environ,
            "ONELOOP_SDK_KEY": "sdk",
            "ONELOOP_BASE_URL": url,
        }
        # Python 3.12 and later warn of a fork with other threads running; here it is intended.
        quiet = ("-W", "ignore::DeprecationWarning")
        program = [sys.executable, *quiet, "-c", PROGRAM, kind, how]
        result = subprocess.run(
            program, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    if result.returncode == 77:
        pytest.skip(f"a new PID namespace is not allowed here: {result.stdout.strip()}")
    assert (result.returncode, result.stderr) == (0, "")
    assert counts == [2, 1]


def test_a_process_is_known_by_its_number_and_its_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork changes the identity of a process, even if it runs no fork hooks or keeps the id."""
    this = _pool.process()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert _pool.process() != this
    monkeypatch.undo()
    assert _pool.process() == this
    monkeypatch.setattr(_pool, "_forks", _pool._forks)
    _pool._forked()
    assert _pool.process() != this


IN_USE = """
import os, sys, threading, time
from oneloop import Oneloop
from oneloop._http._blocking import BlockingTransport

def sockets():
    links = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return {link for link in links if "socket:" in link}

url = os.environ["ONELOOP_BASE_URL"]
client = Oneloop(transport=BlockingTransport(url, None, 1))
arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 1}
calling = threading.Thread(target=client.refill_billing_limit, kwargs=arguments)
calling.start()
input()  # until the server has the request
child = os.fork()
if not child:
    before = sockets()
    client.refill_billing_limit(**arguments)  # there is a slot, as slots are counted anew
    assert len(sockets()) == len(before) == 1 and sockets() != before
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("forked", flush=True)
calling.join()
client.refill_billing_limit(**arguments)
"""


def test_a_forked_process_drops_connections_that_are_in_use(sandbox: Sandbox) -> None:
    """A child closes the sockets of calls in other threads of its parent, and counts anew."""
    environment: dict[str, Any] = {
        **os.environ,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_BASE_URL": sandbox.url,
    }
    sandbox.misbehave(Fault.slow_body(2.0))
    with subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", IN_USE],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        while not sandbox.requests:
            time.sleep(0.01)
        output, errors = program.communicate("\n", timeout=60)
    assert (program.returncode, output, errors) == (0, "forked\n", "")
    assert len(sandbox.requests) == 3
