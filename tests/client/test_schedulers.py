"""Schedulers other than threads and asyncio's own loop: gevent, eventlet, uvloop and trio."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oneloop.sandbox import Fault, Sandbox
from tests.tools.failures import authority
from tests.tools.steps import BookServer, Scenario

ARGUMENTS = """
import os, sys, time
ARGUMENTS = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 1}
"""

GEVENT = (
    "from gevent import monkey; monkey.patch_all()",
    """
import gevent

def all_of(work, count):
    jobs = [gevent.spawn(work) for _ in range(count)]
    gevent.joinall(jobs, raise_error=True)

Limit, started = gevent.Timeout, gevent.Timeout.start_new
""",
)
EVENTLET = (
    # Its authors maintain it, but deprecate it in favour of asyncio.
    'import warnings; warnings.simplefilter("ignore"); import eventlet; eventlet.monkey_patch()',
    """
def all_of(work, count):
    for job in [eventlet.spawn(work) for _ in range(count)]:
        job.wait()

Limit = started = eventlet.Timeout
""",
)

GREEN = """
client = oneloop.Oneloop(retry=oneloop.RetryPolicy(budget=60))

def refill():
    client.refill_billing_limit(**ARGUMENTS)

begun = time.monotonic()
all_of(refill, 50)  # each takes a second
assert time.monotonic() - begun < 25, "the calls did not overlap"

limit = started(0.3)
try:
    refill()
except Limit as caught:
    assert caught is limit
    assert limit.__notes__ == ["refill_billing_limit was interrupted: it may have happened"]
else:
    raise AssertionError
finally:
    limit.cancel()
all_of(refill, 5)
client.close()
"""


def run(
    *program: str, sandbox: Sandbox | None = None, flags: tuple[str, ...] = (), **environment: str
) -> None:
    """Run the parts of a program, which must print nothing."""
    if sandbox is not None:
        environment["ONELOOP_BASE_URL"] = sandbox.url.replace("127.0.0.1", "localhost")
    result = subprocess.run(
        [sys.executable, *flags, "-c", "\n".join(program)],
        env={**os.environ, "ONELOOP_SDK_KEY": "sdk_sandbox", **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("patch", "tools"), [GEVENT, EVENTLET], ids=["gevent", "eventlet"])
def test_greenlets_share_a_client(patch: str, tools: str, when: str, sandbox: Sandbox) -> None:
    """50 greenlets call at once, under a host name, and a timeout of theirs has the note."""
    sandbox.misbehave(Fault.slow_body(1.0), times=60)
    # Patched after the import of everything that a call needs, or before anything else.
    imports = "import oneloop, oneloop._http._blocking"
    parts = (patch, imports) if when == "before" else (imports, patch)
    run(ARGUMENTS, *parts, tools, GREEN, sandbox=sandbox)


SECURE = """
client = oneloop.Oneloop()
all_of(lambda: client.refill_billing_limit(**ARGUMENTS), 20)
client.close()
"""


@pytest.mark.parametrize(("patch", "tools"), [GEVENT, EVENTLET], ids=["gevent", "eventlet"])
def test_greenlets_speak_tls(patch: str, tools: str, tmp_path: Path) -> None:
    """TLS works under gevent and eventlet."""
    authority().cert_pem.write_to_path(tmp_path / "ca.pem")
    server = BookServer(Scenario(secure=True))
    try:
        run(
            ARGUMENTS,
            patch,
            "import oneloop",
            tools,
            SECURE,
            ONELOOP_BASE_URL=f"https://127.0.0.1:{server.port}",
            SSL_CERT_FILE=str(tmp_path / "ca.pem"),
        )
        server.wait_until_quiet()
        assert server.books["acme"] == 20
    finally:
        server.close()


UVLOOP = """
import asyncio, uvloop
from oneloop import APIConnectionError, AsyncOneloop

async def main():
    client = AsyncOneloop()
    async with client:
        await asyncio.gather(*(client.refill_billing_limit(**ARGUMENTS) for _ in range(150)))
        for number in range(100):
            task = asyncio.create_task(client.refill_billing_limit(**ARGUMENTS))
            await asyncio.sleep(number / 100_000)
            if task.cancel():
                try:
                    await task
                except asyncio.CancelledError:
                    pass
                else:
                    raise AssertionError("a cancellation was swallowed")
        await asyncio.gather(*(client.refill_billing_limit(**ARGUMENTS) for _ in range(150)))
    try:
        await client.refill_billing_limit(**ARGUMENTS)
    except APIConnectionError as error:
        assert error.outcome.name == "NOT_SENT"
    else:
        raise AssertionError
    return client

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    client = runner.run(main())
for _ in range(3):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(client.refill_billing_limit(**ARGUMENTS))
"""


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_uvloop_runs_an_async_client(secure: bool, tmp_path: Path) -> None:
    """AsyncOneloop works in uvloop: many calls at once, cancelled calls, closing, a new loop."""
    authority().cert_pem.write_to_path(tmp_path / "ca.pem")
    server = BookServer(Scenario(secure=secure))
    try:
        run(
            ARGUMENTS,
            UVLOOP,
            flags=("-W", "error"),
            ONELOOP_BASE_URL=f"http{'s' * secure}://127.0.0.1:{server.port}",
            SSL_CERT_FILE=str(tmp_path / "ca.pem"),
        )
        server.wait_until_quiet()
    finally:
        server.close()


TRIO = """
import trio
from oneloop import APIConnectionError, AsyncOneloop

async def main():
    client = AsyncOneloop()
    try:
        await client.refill_billing_limit(**ARGUMENTS)
    except APIConnectionError as error:
        assert (error.outcome.name, error.attempts) == ("NOT_SENT", 1)
        assert "AsyncOneloop needs a running event loop of asyncio" in str(error)
    else:
        raise AssertionError

trio.run(main)
"""


def test_a_call_under_trio_is_not_sent(sandbox: Sandbox) -> None:
    """Under trio, a call says that it needs asyncio."""
    run(ARGUMENTS, TRIO, sandbox=sandbox)
    assert sandbox.requests == ()


AT_EXIT = """
import asyncio, atexit
from oneloop import APIConnectionError, AsyncOneloop, Oneloop, RetryPolicy

policy = RetryPolicy(attempts=2, backoff=0)

def check(work):
    try:
        work()
    except APIConnectionError as error:
        assert error.outcome.name == "NOT_SENT", error
        assert "no thread to prepare the connection" in str(error), error
        assert "thread" in str(error)
        os.write(3, b".")
    else:
        raise AssertionError

def use():
    call = AsyncOneloop(retry=policy).refill_billing_limit(**ARGUMENTS)
    loop = asyncio.new_event_loop()
    check(lambda: loop.run_until_complete(call))
    loop.close()
"""


def run_at_exit(program: str, sandbox: Sandbox) -> int:
    """Run a program that writes a dot for each check to the file 3; return their number."""
    reader, writer = os.pipe()
    try:
        result = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import os; os.dup2({writer}, 3)\n" + ARGUMENTS + AT_EXIT + program,
            ],
            env={
                **os.environ,
                "ONELOOP_SDK_KEY": sandbox.api_key,
                "ONELOOP_BASE_URL": sandbox.url.replace("127.0.0.1", "localhost"),
            },
            pass_fds=[writer],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as dots:
        assert (result.returncode, result.stderr) == (0, "")
        return len(dots.read())


def test_an_async_call_at_exit_is_not_sent(sandbox: Sandbox) -> None:
    """While the interpreter exits, no thread looks up a host name; the error says so."""
    assert run_at_exit("atexit.register(use)", sandbox) == 1
    assert sandbox.requests == ()


NO_THREADS = """
import threading

def start(self):
    raise RuntimeError("can't start new thread")

threading.Thread.start = start
use()
check(lambda: Oneloop(retry=policy).refill_billing_limit(**ARGUMENTS))
"""


def test_without_threads_a_call_is_not_sent(sandbox: Sandbox) -> None:
    """Where the system allows no more threads, neither client can look up a host name."""
    assert run_at_exit(NO_THREADS, sandbox) == 2
    assert sandbox.requests == ()
