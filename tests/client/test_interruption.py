"""A cancelled or interrupted call gets a note on its outcome, and the client remains usable."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import httpx
import pytest

from oneloop import AsyncOneloop, Oneloop, RetryPolicy
from oneloop._http._blocking import BlockingTransport
from oneloop._signals import raised_by_handler
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Limits, Request, Response
from tests.calling import REFILL, sending
from tests.client.alarms import A_WHILE, alarm
from tests.sandbox.refills import wait_for
from tests.tools.steps import NOTE, TIMES, BookServer, Scenario, StrikeError, Striking

INTERRUPTED = """
import signal
from oneloop import Oneloop

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}
with Oneloop() as client:
    try:
        client.refill_billing_limit(**arguments)
    except KeyboardInterrupt as interruption:
        print(interruption.__notes__)
    print(client.refill_billing_limit(**arguments).billing.total_credits)
"""


def test_ctrl_c_leaves_the_client_usable(sandbox: Sandbox) -> None:
    """The KeyboardInterrupt of Ctrl-C has the note, and the client remains usable."""
    sandbox.misbehave("hang")
    environment = {
        **os.environ,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_BASE_URL": sandbox.url,
    }
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", INTERRUPTED],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        wait_for(lambda: sandbox.requests)
        time.sleep(A_WHILE)
        program.send_signal(signal.SIGINT)
        output, errors = program.communicate(timeout=60)
    assert errors == ""
    assert output.splitlines() == [
        "['refill_billing_limit was interrupted: it may have happened']",
        "1500",
    ]


class AlarmError(Exception):
    """An exception that an application's signal handler raises, such as for a soft time limit."""


def handlers(error: type[BaseException]) -> list[Callable[..., object]]:
    """Return one signal handler of each kind of callable, all of which raise this error."""

    def function(*_: object) -> None:
        raise error

    class Handler:
        def __call__(self, *_: object) -> None:
            raise error

        def method(self, *_: object) -> None:
            raise error

        @classmethod
        def class_method(cls, *_: object) -> None:
            raise error

    def once(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise error

    def once_with_all(*given: Any) -> None:
        signal.signal(given[0], signal.SIG_DFL)
        raise error

    inner = partial(function, "soft limit")
    return [
        once,
        once_with_all,
        function,
        Handler(),
        Handler().method,
        Handler.class_method,
        partial(inner, 1),
    ]


ALARMS = [AlarmError, TimeoutError, OSError, ConnectionError, ValueError, KeyboardInterrupt]


@pytest.mark.parametrize("via", ["default", "own", "custom"])
@pytest.mark.parametrize("error", ALARMS)
def test_an_alarm_in_a_send_reaches_the_caller(
    error: type[BaseException], via: str, sandbox: Sandbox
) -> None:
    """A signal handler's exception ends an attempt unchanged, with the note, without a retry."""
    with httpx.Client() as http:
        own = {"transport": BlockingTransport(sandbox.url, None, 1)}
        options = own if via == "custom" else sending(via, http)
        with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, **options) as client:
            for handler in handlers(error) if error is AlarmError else handlers(error)[:1]:
                sandbox.reset()
                sandbox.misbehave("hang")
                with alarm(handler, lambda: sandbox.requests), pytest.raises(error) as caught:
                    client.refill_billing_limit(**REFILL)
                assert type(caught.value) is error
                assert caught.value.__notes__ == [
                    "refill_billing_limit was interrupted: it may have happened"
                ]
                assert len(sandbox.requests) == 1


@pytest.mark.parametrize("error", ALARMS)
def test_an_alarm_in_a_wait_reaches_the_caller(
    error: type[BaseException], sandbox: Sandbox
) -> None:
    """A signal handler's exception ends a wait, and there is no further attempt."""
    sandbox.misbehave(Fault.rate_limited(30))
    waits: list[object] = []
    policy = RetryPolicy(on_retry=waits.append)
    with (
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, retry=policy) as client,
        alarm(handlers(error)[0], lambda: waits),
        pytest.raises(error) as caught,
    ):
        client.refill_billing_limit(**REFILL)
    assert caught.value.__notes__ == [
        "refill_billing_limit was interrupted between attempts: nothing happened"
    ]
    assert len(sandbox.requests) == 1


def test_an_alarm_in_a_group_of_exceptions_is_found() -> None:
    """A signal handler's exception is found in a group, as anyio groups connection errors."""

    def handler(*_: object) -> None:
        raise AlarmError

    with alarm(handler, lambda: False):
        with pytest.raises(AlarmError) as caught:
            handler()
        group = ExceptionGroup("all failed", [OSError(), caught.value])
        assert raised_by_handler(group) is caught.value
    assert raised_by_handler(ExceptionGroup("all failed", [OSError()])) is None


def test_an_alarm_while_connecting_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler's exception while connecting is not taken for an unreachable address."""
    look_up = socket.getaddrinfo
    looked_up: list[str] = []

    def twice(host: str, *more: Any, **options: Any) -> Any:
        looked_up.append(host)
        return 2 * look_up("127.0.0.1", *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", twice)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:  # fill the backlog, so that connecting hangs
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        with (
            Oneloop(api_key="sk_test", base_url=f"http://localhost:{port}") as client,
            alarm(handlers(TimeoutError)[0], lambda: looked_up),
            pytest.raises(TimeoutError) as caught,
        ):
            client.refill_billing_limit(**REFILL)
        for connection in waiting:
            connection.close()
    assert caught.value.__notes__ == ["refill_billing_limit was interrupted: it may have happened"]


def test_an_alarm_in_a_hook_reaches_the_caller(sandbox: Sandbox) -> None:
    """A signal handler's exception ends the call even while `on_retry` runs."""
    sandbox.misbehave(Fault.rate_limited(0))
    hooked: list[object] = []

    def hook(attempt: object) -> None:
        hooked.append(attempt)
        time.sleep(60)

    policy = RetryPolicy(on_retry=hook)
    with (
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, retry=policy) as client,
        alarm(handlers(AlarmError)[0], lambda: hooked),
        pytest.raises(AlarmError) as caught,
    ):
        client.refill_billing_limit(**REFILL)
    assert caught.value.__notes__ == [
        "refill_billing_limit was interrupted between attempts: nothing happened"
    ]
    assert len(sandbox.requests) == 1


def test_an_exception_that_the_application_handles_stays_the_context(sandbox: Sandbox) -> None:
    """An exception that the application was handling remains the context of the interruption."""
    sandbox.misbehave("hang")

    def refill() -> None:
        try:
            raise LookupError
        except LookupError:
            client.refill_billing_limit(**REFILL)

    with (
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client,
        alarm(handlers(AlarmError)[0], lambda: sandbox.requests),
        pytest.raises(AlarmError) as caught,
    ):
        refill()
    assert type(caught.value.__context__) is LookupError


class Applying:
    """A transport that records whether it has applied a refill."""

    def __init__(self, *before: Response) -> None:
        self.answers = [*before]
        self.asked = 0
        self.applied = False

    def send(self, request: Request, limits: Limits) -> Response:
        """Return the given responses first, then apply the refill."""
        self.asked += 1
        if self.answers:
            return self.answers.pop(0)
        self.applied = True
        return Response(200, (), b'{"billing": null}')

    def close(self) -> None:
        """Do nothing."""


class AsyncApplying(Applying):
    """The same as an async transport."""

    async def send(self, request: Request, limits: Limits) -> Response:  # type: ignore[override]
        """Return the given responses first, then apply the refill."""
        await asyncio.sleep(0)
        return super().send(request, limits)

    async def aclose(self) -> None:
        """Do nothing."""


TURNED_AWAY = Response(429, (("retry-after", "0"),), b"")
FILES = ("_call.py", "_decoding.py", "_failures.py", "_retry.py", "_transports.py")


def is_ours(code: CodeType) -> bool:
    """Return whether the course of a call, or the transport of the test, has this code."""
    sends = (Applying.send.__code__, AsyncApplying.send.__code__)
    return Path(code.co_filename).name in FILES or code in sends


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("client_class", [Oneloop, AsyncOneloop])
def test_wherever_an_alarm_strikes_the_note_is_true(client_class: Any) -> None:
    """The note is true wherever in a call the exception of a signal handler is raised."""
    place, notes = 0, Counter[str]()
    while True:
        place += 1
        transport = (Applying if client_class is Oneloop else AsyncApplying)(TURNED_AWAY)
        client = client_class(api_key="sdk", transport=transport, retry=RetryPolicy(backoff=0))
        strike = Striking(place, ours=is_ours)
        try:
            with strike:
                if client_class is Oneloop:
                    client.refill_billing_limit(**REFILL)
                else:
                    drive(client.refill_billing_limit(**REFILL))
        except StrikeError as interruption:
            if not hasattr(interruption, "__notes__"):
                assert not transport.asked, place  # the call had not begun
                continue
            (note,) = interruption.__notes__
            known = NOTE.fullmatch(note)
            assert known is not None
            notes[known[1]] += 1
            if transport.applied:
                assert known[1] in ("it may have happened", "it happened"), place
            else:
                assert known[1] in ("it may have happened", "nothing happened")
            assert transport.asked <= 2
        if not strike.struck:
            break
    assert sum(notes.values()) > 10
    if sys.version_info < (3, 12):  # later versions do not trace every place of a generator
        assert notes["nothing happened"] > 10
        assert notes["it may have happened"] > 20
        assert notes["it happened"]


def drive(coroutine: Any) -> Any:
    """Run a coroutine that only sleeps."""
    with asyncio.Runner() as runner:
        return runner.run(coroutine)


ALARMED = """
import signal
from oneloop import Oneloop, RetryPolicy
from oneloop.transport import Response

class AlarmError(Exception):
    pass

class Applying:
    def __init__(self):
        self.asked, self.applied = 0, False

    def send(self, request, limits):
        self.asked += 1
        if self.asked == 1:
            return Response(429, (("retry-after", "0"),), b"")
        self.applied = True
        return Response(200, (), b'{"billing": null}')

    def close(self):
        pass

armed = False

def handler(*_):
    global armed
    if armed:
        armed = False  # once a call
        raise AlarmError

signal.signal(signal.SIGALRM, handler)
noted = 0
arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}
Oneloop(api_key="sdk", transport=Applying()).refill_billing_limit(**arguments)  # all is imported
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)  # again and again
for _ in range(3000):
    transport = Applying()
    client = Oneloop(api_key="sdk", transport=transport, retry=RetryPolicy(backoff=0))
    try:
        armed = True
        client.refill_billing_limit(**arguments)
        armed = False
    except AlarmError as interruption:
        armed = False
        notes = getattr(interruption, "__notes__", [])
        noted += bool(notes)
        if not notes:  # it struck before the call had begun, or outside, as it had returned
            inside = interruption.__traceback__.tb_next.tb_next is not None
            assert not (inside and transport.asked), "no note"
        elif transport.applied:
            assert not notes[0].endswith("nothing happened"), notes
        assert transport.asked <= 2
signal.setitimer(signal.ITIMER_REAL, 0)  # it would end the interpreter while that ends
print(noted)
"""


UNCLOSED = "ignore:unclosed <socket:ResourceWarning"


def run_without_coverage(*program: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in a process without coverage: a signal may strike while that holds a lock."""
    environment = {name: os.environ[name] for name in os.environ if "COVERAGE" not in name}
    return subprocess.run(
        # A signal may strike when Python has just made a socket that no variable refers to yet. It
        # is then closed as garbage, of which Python warns.
        [sys.executable, "-W", "error", "-W", UNCLOSED, "-c", *program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def test_thousands_of_real_alarms_tell_the_truth() -> None:
    """Real signals at random moments of thousands of calls never lead to a wrong note."""
    result = run_without_coverage(ALARMED)
    assert int(result.stdout) > 100


OVER_SOCKETS = """
import json, os, random, signal, sys
from oneloop import Oneloop, RetryPolicy
from oneloop._http._blocking import BlockingTransport

class AlarmError(Exception):
    pass

armed = False

def handler(*_):
    global armed
    if armed:
        armed = False
        raise AlarmError

url, calls = sys.argv[1], int(sys.argv[2])
files = len(os.listdir("/proc/self/fd"))
transport = BlockingTransport(url, None, 1)  # one slot, so that the next call would miss it
client = Oneloop(api_key="sdk", base_url=url, transport=transport, retry=RetryPolicy(backoff=0))
arguments = {"workspace_id": "ws_1", "refill": 500}
client.refill_billing_limit(external_meter_id="first", **arguments)
signal.signal(signal.SIGALRM, handler)
told = {}
for number in range(calls):
    name = f"meter-{number}"
    if number % 5 == 0:
        transport.close()
        transport = BlockingTransport(url, None, 1)
        client = Oneloop(
            api_key="sdk", base_url=url, transport=transport, retry=RetryPolicy(backoff=0)
        )
    try:
        armed = True
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.002))
        client.refill_billing_limit(external_meter_id=name, **arguments)
        armed = False
        told[name] = "answered"
    except AlarmError as interruption:
        notes = getattr(interruption, "__notes__", [])
        inside = interruption.__traceback__.tb_next.tb_next is not None
        told[name] = notes[-1] if notes else "not begun" if inside else "outside"
signal.setitimer(signal.ITIMER_REAL, 0)
client.close()
assert len(os.listdir("/proc/self/fd")) == files, "files stay open"
print(json.dumps(told))
"""


def test_thousands_of_real_alarms_over_sockets_tell_the_truth() -> None:
    """Real signals at random moments lead to true notes, and to no lost slot or connection."""
    server = BookServer(Scenario())
    try:
        result = run_without_coverage(OVER_SOCKETS, f"http://127.0.0.1:{server.port}", "4000")
        server.wait_until_quiet()
    finally:
        server.close()
    assert result.stderr == ""
    told = json.loads(result.stdout)
    noted = 0
    for name, note in told.items():
        known = NOTE.fullmatch(note)
        noted += known is not None
        assert server.books[name] in TIMES[known[1] if known else note], (name, note)
    assert noted > 100
