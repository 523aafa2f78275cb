"""A cancelled or interrupted call gets a note on its outcome, and the client remains usable."""

import asyncio
import dis
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpcore
import httpx
import pytest

from oneloop import AsyncOneloop, Oneloop, RetryPolicy
from oneloop._pool import PoolTransport
from oneloop._signals import raised_by_handler
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Limits, Request, Response
from tests.calling import REFILL, sending


def cancelled(
    sandbox: Sandbox, *, after: float, policy: RetryPolicy, via: str = "pool"
) -> tuple[list[str], Any]:
    """Cancel a refill; return the notes of the cancellation and the result of the next refill."""

    async def main() -> tuple[list[str], Any]:
        async with AsyncOneloop(
            api_key=sandbox.api_key, base_url=sandbox.url, retry=policy, **sending(via)
        ) as client:
            task = asyncio.create_task(client.refill_billing_limit(**REFILL))
            while not sandbox.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(after)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value.__notes__, await client.refill_billing_limit(**REFILL)

    return asyncio.run(main())


@pytest.mark.parametrize("via", ["pool", "fast"])
def test_a_cancelled_call_says_that_it_may_have_happened(via: str, sandbox: Sandbox) -> None:
    """The CancelledError of a call has a note on its outcome, and the client remains usable."""
    sandbox.misbehave("hang")
    notes, answer = cancelled(sandbox, after=0, policy=RetryPolicy(), via=via)
    assert notes == ["refill_billing_limit was interrupted: it may have happened"]
    assert answer.billing.total_credits == 1500


@pytest.mark.parametrize(
    ("fault", "safe", "known"),
    [
        (Fault.rate_limited(30), False, "nothing happened"),
        (Fault.status(503, headers={"Retry-After": "30"}), True, "it may have happened"),
    ],
)
def test_a_call_that_is_cancelled_between_attempts_says_what_is_known(
    fault: Fault, safe: bool, known: str, sandbox: Sandbox
) -> None:
    """The note on a call that is cancelled between attempts shows the outcome so far."""
    sandbox.misbehave(fault)
    policy = RetryPolicy(treat_as_safe=safe)
    notes, answer = cancelled(sandbox, after=0.1, policy=policy)
    assert notes == [f"refill_billing_limit was interrupted between attempts: {known}"]
    assert answer.billing.total_credits == 1500


def test_cancelled_calls_leave_the_pool_as_it_was(sandbox: Sandbox) -> None:
    """Calls that are cancelled at any stage leave only idle connections in the pool."""

    async def main() -> None:
        async with AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            sandbox.misbehave("hang", times=1000)
            tasks = [asyncio.create_task(client.refill_billing_limit(**REFILL)) for _ in range(300)]
            for number, task in enumerate(tasks):
                if number % 3 == 0:
                    await asyncio.sleep(0)
                task.cancel()
            assert all(
                isinstance(result, asyncio.CancelledError)
                for result in await asyncio.gather(*tasks, return_exceptions=True)
            )
            sandbox.reset()
            await asyncio.gather(*(client.refill_billing_limit(**REFILL) for _ in range(150)))
            (pool,) = client._transport._pools.values()
            assert pool.users == 0
            assert all(connection.is_idle() for connection, _ in pool.idle.waiting)

    asyncio.run(main())


def test_a_connection_whose_first_request_did_not_begin_is_closed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection is closed if an interrupt precedes its first request: httpcore would keep it."""

    def interrupted(*_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(httpcore.HTTP11Connection, "handle_request", interrupted)
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        with pytest.raises(KeyboardInterrupt):
            client.refill_billing_limit(**REFILL)
        (pool,) = client._transport._pools.values()
        assert not pool.idle.waiting
        client.refill_billing_limit(**REFILL)
    assert len(sandbox.requests) == 1


def test_a_timeout_of_the_applications_own_carries_the_note(sandbox: Sandbox) -> None:
    """The cause of the TimeoutError of `asyncio.timeout` is the cancellation with our note."""

    async def main() -> None:
        async with AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            sandbox.misbehave("hang")
            async with asyncio.timeout(0.2):
                await client.refill_billing_limit(**REFILL)

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(main())
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__notes__ == [
        "refill_billing_limit was interrupted: it may have happened"
    ]


INTERRUPTED = """
import os, signal, threading
from oneloop import Oneloop

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}
with Oneloop() as client:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        client.refill_billing_limit(**arguments)
    except KeyboardInterrupt as interruption:
        print(interruption.__notes__)
    print(client.refill_billing_limit(**arguments).billing.total_credits)
    (pool,) = client._transport._pools.values()
    print(pool.users, [one.is_idle() for one, _ in pool.idle.waiting])
"""


def test_ctrl_c_leaves_the_client_usable(sandbox: Sandbox) -> None:
    """The KeyboardInterrupt of Ctrl-C has the note, and the connection pool is idle afterwards."""
    sandbox.misbehave("hang")
    environment = {
        **os.environ,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_BASE_URL": sandbox.url,
    }
    program = [sys.executable, "-W", "error", "-c", INTERRUPTED]
    result = subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "['refill_billing_limit was interrupted: it may have happened']",
        "1500",
        "0 [True]",
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


@contextmanager
def alarm(handler: Callable[..., object], after: float) -> Iterator[None]:
    """Handle SIGALRM with this handler, and send it to this process after some seconds."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("via", ["pool", "own", "custom"])
@pytest.mark.parametrize("error", ALARMS)
def test_an_alarm_in_a_send_reaches_the_caller(
    error: type[BaseException], via: str, sandbox: Sandbox
) -> None:
    """A signal handler's exception ends an attempt unchanged, with the note, without a retry."""
    with httpx.Client() as http:
        own = {"transport": PoolTransport(sandbox.url)}
        options = own if via == "custom" else sending(via, http)
        with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, **options) as client:
            for handler in handlers(error) if error is AlarmError else handlers(error)[:1]:
                sandbox.reset()
                sandbox.misbehave("hang")
                with alarm(handler, 0.15), pytest.raises(error) as caught:
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
    with (
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client,
        alarm(handlers(error)[0], 0.15),
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

    with alarm(handler, 60):
        with pytest.raises(AlarmError) as caught:
            handler()
        group = ExceptionGroup("all failed", [OSError(), caught.value])
        assert raised_by_handler(group) is caught.value
    assert raised_by_handler(ExceptionGroup("all failed", [OSError()])) is None


def test_an_alarm_while_connecting_reaches_the_caller(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler's exception while connecting is not taken for an unreachable address."""
    port = int(sandbox.url.rpartition(":")[2])
    look_up = socket.getaddrinfo

    def two(host: str, *more: Any, **options: Any) -> Any:
        hosts = ("127.0.0.2", "127.0.0.1") if host == "localhost" else (host,)
        return [found for one in hosts for found in look_up(one, *more, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with socket.create_server(("127.0.0.2", port), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:  # fill the backlog, so that connecting hangs
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        with (
            Oneloop(api_key=sandbox.api_key, base_url=f"http://localhost:{port}") as client,
            alarm(handlers(TimeoutError)[0], 0.15),
            pytest.raises(TimeoutError) as caught,
        ):
            client.refill_billing_limit(**REFILL)
        for connection in waiting:
            connection.close()
    assert caught.value.__notes__ == ["refill_billing_limit was interrupted: it may have happened"]
    assert sandbox.requests == ()


def test_an_alarm_in_a_hook_reaches_the_caller(sandbox: Sandbox) -> None:
    """A signal handler's exception ends the call even while `on_retry` runs."""
    sandbox.misbehave(Fault.rate_limited(0))
    policy = RetryPolicy(on_retry=lambda _: time.sleep(10))
    with (
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, retry=policy) as client,
        alarm(handlers(AlarmError)[0], 0.15),
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
        alarm(handlers(AlarmError)[0], 0.15),
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


@cache
def interruptible(code: CodeType) -> frozenset[int]:
    """Return the offsets in a function's code at which Python may run a signal handler."""
    kinds = ("CALL", "JUMP_BACKWARD", "RESUME", "PRECALL", "SEND")
    return frozenset(
        one.offset for one in dis.get_instructions(code) if one.opname.startswith(kinds)
    )


class Striking:
    """Raises at the n-th place of a call at which a signal handler may run."""

    FILES = ("_call.py", "_decoding.py", "_failures.py", "_retry.py", "_transports.py")
    OUTSIDE = ("interrupted",)
    """Functions that add the note. They are left out: a second exception could strike there too."""

    def __init__(self, place: int) -> None:
        self.left = place
        self.struck = False

    def __enter__(self) -> "Striking":
        """Start tracing, as a signal handler, whose exceptions are recognized as external."""
        self._before = signal.signal(signal.SIGUSR2, self._step)
        self._tracing = sys.gettrace()
        # Python 3.12 reports opcodes only if a frame has asked for them before `settrace`.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._entered)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop tracing, and restore the previous signal handler."""
        sys.settrace(self._tracing)
        signal.signal(signal.SIGUSR2, self._before)

    def _entered(self, frame: FrameType, _event: str, _argument: object) -> Any:
        code = frame.f_code
        ours = Path(code.co_filename).name in self.FILES or code in (
            Applying.send.__code__,
            AsyncApplying.send.__code__,
        )
        if not ours or code.co_name in self.OUTSIDE:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: Any, event: Any, _argument: object = None) -> Any:
        if event == "opcode" and frame.f_lasti in interruptible(frame.f_code):
            self.left -= 1
            if not self.left:
                self.struck = True
                sys.settrace(self._tracing)
                raise AlarmError
        return self._step


TURNED_AWAY = Response(429, (("retry-after", "0"),), b"")
KNOWN = re.compile(r"refill_billing_limit was interrupted(?: between attempts)?: (.+)")


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
        strike = Striking(place)
        try:
            with strike:
                if client_class is Oneloop:
                    client.refill_billing_limit(**REFILL)
                else:
                    drive(client.refill_billing_limit(**REFILL))
        except AlarmError as interruption:
            if not hasattr(interruption, "__notes__"):
                assert not transport.asked, place  # the call had not begun
                continue
            (note,) = interruption.__notes__
            known = KNOWN.fullmatch(note)
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
        assert notes["nothing happened"] > 20
        assert notes["it may have happened"] > 20
        assert notes["it happened"] > 1


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


def test_thousands_of_real_alarms_tell_the_truth() -> None:
    """Real signals at random moments of thousands of calls never lead to a wrong note."""
    # In a process without coverage, because a signal may strike while coverage holds a lock.
    environment = {name: os.environ[name] for name in os.environ if "COVERAGE" not in name}
    result = subprocess.run(
        [sys.executable, "-c", ALARMED],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert int(result.stdout) > 100
