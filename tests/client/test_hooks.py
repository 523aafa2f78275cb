"""What hooks are told about calls, and what they may and may not do."""

import asyncio
import json
import logging
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

import pytest

from oneloop import (
    APIConnectionError,
    AsyncOneloop,
    ConfigurationError,
    Oneloop,
    Outcome,
    RateLimitError,
    RetryPolicy,
    ServerError,
    hooks,
)
from oneloop.hooks import AttemptEnded, AttemptStarted, CallEnded, CallStarted, Hooks
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Limits, Request, Response, TransportError
from tests.calling import AT_ONCE, REFILL, ClientKind
from tests.tools.failures import read_request, talking

KEY = "sdk_4711_secret"
METER = b'{"billing": null}'


class Recorder(Hooks):
    """Keeps all events, and adds headers to each attempt."""

    def __init__(self, headers: Any = None) -> None:
        self.events: list[Any] = []
        self.headers = headers

    def call_started(self, event: CallStarted, /) -> None:
        """Keep the event."""
        self.events.append(event)

    def attempt_started(self, event: AttemptStarted, /) -> Mapping[str, str] | None:
        """Keep the event, and return the headers."""
        self.events.append(event)
        return self.headers  # type: ignore[no-any-return]

    def attempt_ended(self, event: AttemptEnded, /) -> None:
        """Keep the event."""
        self.events.append(event)

    def call_ended(self, event: CallEnded, /) -> None:
        """Keep the event."""
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        """The classes of the events."""
        return [type(event).__name__ for event in self.events]


ONE = ["CallStarted", "AttemptStarted", "AttemptEnded", "CallEnded"]
TWO = [*ONE[:3], *ONE[1:]]


def test_exports_are_sorted_and_exist() -> None:
    """Each public name exists."""
    assert hooks.__all__ == sorted(hooks.__all__)
    assert all(hasattr(hooks, name) for name in hooks.__all__)


def test_a_success_has_four_events(sandbox: Sandbox, kind: ClientKind) -> None:
    """Each event has all that is known, and refers to the same call."""
    recorder = Recorder()
    kind.refill(api_key=sandbox.api_key, base_url=sandbox.url, hooks=recorder)
    assert recorder.names == ONE
    call, started, attempt, ended = recorder.events
    assert started.call is attempt.call is ended.call is call
    host, _, port = sandbox.url.rpartition("/")[2].partition(":")
    path = "/api/v1/customer-billing/refill"
    assert (call.operation, call.method, call.path) == ("refill_billing_limit", "POST", path)
    assert (call.url, call.host, call.port) == (f"{sandbox.url}{path}", host, int(port))
    assert not call.safe
    assert call.data == {}
    assert started.number == attempt.number == ended.attempts == 1
    assert attempt.outcome is ended.outcome is Outcome.APPLIED
    assert attempt.status == ended.status == 200
    assert attempt.error is ended.error is attempt.wait is None
    assert 0 < attempt.elapsed <= ended.elapsed


def test_a_retry_has_an_event_for_each_attempt(sandbox: Sandbox, kind: ClientKind) -> None:
    """The attempt that is repeated has its error and the seconds to the next one."""
    sandbox.misbehave(Fault.rate_limited(0.01))
    recorder = Recorder()
    options = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    kind.refill(**options, hooks=[Recorder(), recorder], retry=AT_ONCE)
    assert recorder.names == TWO
    first, second, ended = (recorder.events[place] for place in (2, 4, 5))
    assert (first.number, first.status, first.outcome) == (1, 429, Outcome.REJECTED)
    assert type(first.error) is RateLimitError
    assert first.wait == 0.01
    assert (second.number, second.status, second.error) == (2, 200, None)
    assert second.wait is None
    assert (ended.attempts, ended.outcome, ended.error) == (2, Outcome.APPLIED, None)


def test_the_events_of_a_failure_have_the_error_of_the_caller(
    sandbox: Sandbox, kind: ClientKind
) -> None:
    """The last attempt and the call have the error that is raised."""
    sandbox.misbehave(Fault.status(500))
    recorder = Recorder()
    with pytest.raises(ServerError) as caught:
        kind.refill(api_key=sandbox.api_key, base_url=sandbox.url, hooks=recorder)
    assert recorder.names == ONE
    *_, attempt, ended = recorder.events
    assert attempt.error is ended.error is caught.value
    assert attempt.outcome is ended.outcome is Outcome.UNKNOWN
    assert attempt.status == ended.status == 500


def test_each_attempt_has_an_outcome_of_its_own(kind: ClientKind) -> None:
    """The outcome of the call covers all attempts, that of an attempt itself alone."""
    answers = iter([b"HTTP/1.1 503 No\r\n", b"HTTP/1.1 404 No\r\nX-Request-Id: req_2\r\n"])

    def talk(connection: socket.socket) -> bool:
        read_request(connection)
        connection.sendall(next(answers) + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        return True

    recorder = Recorder()
    with talking(talk) as server, pytest.raises(Exception, match="404"):
        kind.perform(
            "get_workspace",
            {},
            api_key=KEY,
            base_url=server.url,
            hooks=recorder,
            retry=AT_ONCE,
        )
    first, second, ended = (recorder.events[place] for place in (2, 4, 5))
    assert (first.outcome, second.outcome) == (Outcome.UNKNOWN, Outcome.REJECTED)
    assert ended.outcome is Outcome.UNKNOWN
    assert (first.request_id, second.request_id, ended.request_id) == (None, "req_2", "req_2")


def test_a_request_id_does_not_quote_the_key(kind: ClientKind) -> None:
    """What a server echoes is redacted, also after a success."""

    def talk(connection: socket.socket) -> bool:
        read_request(connection)
        head = f"HTTP/1.1 200 OK\r\nX-Request-Id: {KEY}\r\nContent-Length: {len(METER)}\r\n\r\n"
        connection.sendall(head.encode() + METER)
        return True

    recorder = Recorder()
    with talking(talk) as server:
        kind.refill(api_key=KEY, base_url=server.url, hooks=recorder)
    assert recorder.events[-1].request_id == "[redacted]"


def test_a_connection_that_fails_has_no_status(kind: ClientKind) -> None:
    """Without a response, an attempt has neither a status nor a request id."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    recorder = Recorder()
    with pytest.raises(APIConnectionError):
        kind.refill(
            api_key=KEY,
            base_url=f"http://127.0.0.1:{port}",
            hooks=recorder,
            retry=RetryPolicy(attempts=1),
        )
    attempt = recorder.events[2]
    assert (attempt.status, attempt.request_id, attempt.outcome) == (None, None, Outcome.NOT_SENT)


def test_a_reply_that_cannot_be_judged_ends_the_call(
    sandbox: Sandbox, kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If our own modules cannot be loaded, the events have that error."""

    def fails(*_: object) -> Any:
        raise ImportError("no more files")

    monkeypatch.setattr("oneloop._call._judge", fails)
    recorder = Recorder()
    with pytest.raises(APIConnectionError) as caught:
        kind.refill(api_key=sandbox.api_key, base_url=sandbox.url, hooks=recorder)
    *_, attempt, ended = recorder.events
    assert attempt.error is ended.error is caught.value
    assert attempt.outcome is ended.outcome is Outcome.UNKNOWN


def test_an_answer_that_cannot_be_decoded_is_an_error_of_the_call(sandbox: Sandbox) -> None:
    """Also through `with_response`, which returns the answer."""
    sandbox.misbehave("wrong-shape")
    recorder = Recorder()
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, hooks=recorder) as client:
        response = client.with_response.refill_billing_limit(**REFILL)
    *_, attempt, ended = recorder.events
    assert attempt.error is ended.error is not None
    with pytest.raises(type(ended.error), match=re.escape(str(ended.error))):
        _ = response.parsed
    assert ended.outcome is Outcome.APPLIED


def headers_of(request: bytes) -> dict[str, str]:
    """Return the headers of a request, names in lower case; repeated ones in one list."""
    found: dict[str, str] = {}
    for line in request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
    return found


def sent(kind: ClientKind, **options: Any) -> dict[str, str]:
    """Return the headers that a refill sends."""
    requests: list[bytes] = []

    def talk(connection: socket.socket) -> bool:
        requests.append(read_request(connection))
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(METER) + METER)
        return True

    with talking(talk) as server:
        kind.refill(api_key=KEY, base_url=server.url, **options)
    return headers_of(requests[0])


def test_hooks_can_add_headers(kind: ClientKind) -> None:
    """They replace the client's constant headers; those of a later hook replace earlier ones."""
    first = Recorder({"Traceparent": "00-1", "X-Team": "theirs", "X-One": "1"})
    second = Recorder({"traceparent": "00-2"})
    found = sent(kind, hooks=[first, Recorder(), second], headers={"x-team": "ours", "X-Own": "o"})
    assert found["traceparent"] == "00-2"
    assert (found["x-team"], found["x-one"], found["x-own"]) == ("theirs", "1", "o")
    assert found["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"Authorization": "Bearer theirs"}, "not include Authorization"),
        ({"x-link-token": "theirs"}, "not include x-link-token"),
        ({"Content-Length": "5"}, "not include Content-Length"),
        ({"Cookie": "session=theirs"}, "not include Cookie"),
        ({"X-A": "1\r\nX-B: 2"}, "that of 'X-A' is not valid"),
        ({"X A": "1"}, "valid only up to 'X...'"),
        ("traceparent", "a mapping of names to values"),
        ({1: "x"}, "names that are strings"),
    ],
)
def test_headers_that_may_not_be_sent_are_logged(
    headers: Any, problem: str, kind: ClientKind, caplog: pytest.LogCaptureFixture
) -> None:
    """They are left out, and the call goes on; a value is not shown."""
    found = sent(kind, hooks=[Recorder({"X-Good": "1"}), Recorder(headers)])
    assert found["authorization"] == f"Bearer {KEY}"
    assert found["x-good"] == "1"
    (record,) = caplog.records
    assert problem in record.getMessage()
    assert "theirs" not in record.getMessage()


class Broken(Hooks):
    """Raises an exception in each method."""

    def call_started(self, event: CallStarted, /) -> None:
        """Raise."""
        raise ValueError("start of the call")

    def attempt_started(self, event: AttemptStarted, /) -> None:
        """Raise."""
        raise ValueError("start of the attempt")

    def attempt_ended(self, event: AttemptEnded, /) -> None:
        """Raise."""
        raise ValueError("end of the attempt")

    def call_ended(self, event: CallEnded, /) -> None:
        """Raise."""
        raise ValueError("end of the call")


def test_broken_hooks_do_not_decide_over_the_call(
    sandbox: Sandbox, kind: ClientKind, caplog: pytest.LogCaptureFixture
) -> None:
    """What they raise is logged; the call and the other hooks go on."""
    recorder = Recorder()
    options = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    kind.refill(**options, hooks=[Broken(), recorder])
    assert recorder.names == ONE
    assert [record.getMessage() for record in caplog.records] == [
        f"Broken.{name} of the hooks failed"
        for name in ("call_started", "attempt_started", "attempt_ended", "call_ended")
    ]
    assert all(record.exc_info for record in caplog.records)


class Interrupting:
    """A transport that raises an exception of the caller's, and returns nothing."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def send(self, request: Request, limits: Limits) -> Response:
        """Raise."""
        raise self.error

    def close(self) -> None:
        """Close nothing."""


def test_an_interrupted_call_has_its_last_events() -> None:
    """The attempt and the call end with the exception, and with the outcome that is known."""
    recorder = Recorder()
    stop = KeyboardInterrupt()
    with (
        Oneloop(api_key=KEY, transport=Interrupting(stop), hooks=recorder) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        client.refill_billing_limit(**REFILL)
    assert recorder.names == ONE
    *_, attempt, ended = recorder.events
    assert attempt.error is ended.error is stop
    assert attempt.outcome is ended.outcome is Outcome.UNKNOWN
    assert attempt.status is ended.status is None


def test_a_cancelled_task_has_its_last_events(sandbox: Sandbox) -> None:
    """The error is the cancellation."""
    recorder = Recorder()
    sandbox.misbehave("hang")

    async def main() -> None:
        options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
        async with AsyncOneloop(**options, hooks=recorder) as client:
            task = asyncio.create_task(client.refill_billing_limit(**REFILL))
            while not sandbox.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert recorder.names == ONE
    assert isinstance(recorder.events[-1].error, asyncio.CancelledError)
    assert recorder.events[-1].outcome is Outcome.UNKNOWN


def test_a_call_that_is_interrupted_between_attempts_has_no_attempt_to_end(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcome is that of the attempts before."""
    sandbox.misbehave(Fault.status(429))

    def sleep(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oneloop._call.time.sleep", sleep)
    recorder = Recorder()
    options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    with Oneloop(**options, hooks=recorder) as client, pytest.raises(KeyboardInterrupt):
        client.refill_billing_limit(**REFILL)
    assert recorder.names == ONE
    ended = recorder.events[-1]
    assert (ended.attempts, ended.status, ended.outcome) == (1, 429, Outcome.REJECTED)
    assert isinstance(ended.error, KeyboardInterrupt)


class Alarm(Exception):  # noqa: N818 - what a signal handler of an application raises
    """The exception of a signal handler."""


def ring() -> None:
    """Have a signal handler raise an exception here."""

    def handle(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


class Stops(Recorder):
    """Is interrupted by a signal handler in one of its methods."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def __getattribute__(self, name: str) -> Any:
        if name == object.__getattribute__(self, "where"):
            return partial(self._stop, super().__getattribute__(name))
        return super().__getattribute__(name)

    def _stop(self, method: Callable[[Any], Any], event: Any) -> Any:
        object.__setattr__(self, "where", "")
        method(event)
        ring()


@pytest.mark.parametrize(
    ("where", "names", "outcome"),
    [
        ("call_started", ["CallStarted", "CallEnded"], Outcome.NOT_SENT),
        ("attempt_started", ONE, Outcome.NOT_SENT),
        ("attempt_ended", ONE, Outcome.APPLIED),
        ("call_ended", ONE, Outcome.APPLIED),
    ],
)
def test_the_exception_of_a_signal_handler_ends_the_call(
    where: str, names: list[str], outcome: Outcome, sandbox: Sandbox
) -> None:
    """It reaches the caller unchanged, and each end is told once."""
    before, stops, after = Recorder(), Stops(where), Recorder()
    options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    hooks = [before, stops, after]
    with Oneloop(**options, hooks=hooks) as client, pytest.raises(Alarm) as caught:
        client.refill_billing_limit(**REFILL)
    assert before.names == stops.names == after.names == names
    assert stops.events[-1].outcome is outcome
    assert len(sandbox.requests) == (outcome is Outcome.APPLIED)
    assert len(caught.value.__notes__) == 1


class AsyncMethod(Hooks):
    """Has an async method."""

    async def call_started(self, event: CallStarted, /) -> None:
        """Do nothing."""


class Generates(Hooks):
    """Has a method that is an async generator."""

    async def call_ended(self, event: CallEnded, /) -> AsyncIterator[int]:
        """Do nothing."""
        yield 1


class AsyncObject:
    """Is async when it is called."""

    async def __call__(self, *_: object) -> None:
        """Do nothing."""


TWICE = Hooks()


def with_method(value: Any) -> Hooks:
    """Return hooks with this as a method."""
    found = Hooks()
    found.attempt_ended = value  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (AsyncMethod(), "AsyncMethod.call_started is async"),
        ([Hooks(), Generates()], "Generates.call_ended is async"),
        (with_method(AsyncObject()), "Hooks.attempt_ended is async"),
        (with_method(partial(partial(AsyncObject()), 1)), "Hooks.attempt_ended is async"),
        (with_method(5), "Hooks.attempt_ended is not callable"),
        (Recorder, "must be a Hooks object or a list of them, got <class"),
        ([Recorder], "derived from oneloop.hooks.Hooks, got <class"),
        ("hooks", "must be a Hooks object or a list of them, got 'hooks'"),
        (print, "must be a Hooks object or a list of them"),
        ([print], "derived from oneloop.hooks.Hooks"),
        ([TWICE, Hooks(), TWICE], "must not contain the same object twice"),
    ],
)
def test_what_are_no_hooks_is_refused(given: Any, problem: str) -> None:
    """It is refused when the client is made, by name."""
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        Oneloop(api_key=KEY, hooks=given)


@pytest.mark.parametrize(
    "given", [AsyncMethod().call_started, AsyncObject(), partial(AsyncObject(), 1)]
)
def test_an_async_on_retry_is_refused(given: Any) -> None:
    """It would never be awaited."""
    with pytest.raises(TypeError, match="on_retry must not be async"):
        RetryPolicy(on_retry=given)


def test_with_options_replaces_the_hooks(sandbox: Sandbox) -> None:
    """`None` removes them; without the argument they stay."""
    first, second = Recorder(), Recorder()
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, hooks=first) as client:
        client.with_options(timeout=5).get_workspace()
        client.with_options(hooks=second).get_workspace()
        client.with_options(hooks=None).get_workspace()
        client.with_options(hooks=[]).get_workspace()
    assert first.names == second.names == ONE


def test_a_secret_argument_is_in_no_event(sandbox: Sandbox) -> None:
    """The URL of the events has the name of the parameter instead."""
    recorder = Recorder()
    options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    with Oneloop(**options, hooks=recorder) as client, pytest.raises(Exception, match=r"404|400"):
        client.validate_link_token(token="lt_secret_value")
    assert "lt_secret_value" not in repr(recorder.events)
    assert recorder.events[0].url == f"{sandbox.url}/api/v1/link-token/{{token}}"


def test_calls_at_the_same_time_are_told_apart(sandbox: Sandbox) -> None:
    """What a hook keeps in `data` belongs to one call."""
    lengths: list[int] = []

    class Counting(Hooks):
        def call_started(self, event: CallStarted, /) -> None:
            event.data[self] = []

        def attempt_started(self, event: AttemptStarted, /) -> None:
            event.call.data[self].append(event.number)

        def call_ended(self, event: CallEnded, /) -> None:
            lengths.append(len(event.call.data[self]))

    async def main() -> None:
        options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
        async with AsyncOneloop(**options, hooks=Counting(), retry=AT_ONCE) as client:
            sandbox.misbehave(*[Fault.status(429)] * 20)
            await asyncio.gather(*(client.refill_billing_limit(**REFILL) for _ in range(50)))

    asyncio.run(main())
    assert len(lengths) == 50
    assert sum(lengths) == 70


def test_hooks_are_used_with_an_own_transport() -> None:
    """An application's own transport gets the headers."""
    requests: list[Request] = []

    class Keeping(Interrupting):
        def send(self, request: Request, limits: Limits) -> Response:
            requests.append(request)
            if len(requests) == 1:
                raise TransportError("no", sent=False)
            return Response(200, (), json.dumps({"billing": None}).encode())

    class Numbers(Hooks):
        def attempt_started(self, event: AttemptStarted, /) -> dict[str, str]:
            return {"X-Attempt": str(event.number)}

    options: dict[str, Any] = {"api_key": KEY, "retry": AT_ONCE, "hooks": Numbers()}
    with Oneloop(**options, transport=Keeping(ValueError())) as client:
        client.refill_billing_limit(**REFILL)
    assert [dict(request.headers)["X-Attempt"] for request in requests] == ["1", "2"]


def test_ends_are_called_in_reverse_order(sandbox: Sandbox) -> None:
    """So hooks enclose those after them."""
    calls: list[str] = []

    class Noting(Hooks):
        def __init__(self, name: str) -> None:
            self.name = name

        def call_started(self, event: CallStarted, /) -> None:
            calls.append(f"{self.name}+")

        def attempt_started(self, event: AttemptStarted, /) -> None:
            calls.append(f"{self.name}+")

        def attempt_ended(self, event: AttemptEnded, /) -> None:
            calls.append(f"{self.name}-")

        def call_ended(self, event: CallEnded, /) -> None:
            calls.append(f"{self.name}-")

    hooks = (Noting("a"), Noting("b"))
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, hooks=hooks) as client:
        client.get_workspace()
    assert calls == ["a+", "b+", "a+", "b+", "b-", "a-", "b-", "a-"]


def test_the_base_class_does_nothing(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """Each method may be left as it is."""
    caplog.set_level(logging.INFO)
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, hooks=Hooks()) as client:
        client.refill_billing_limit(**REFILL)
    assert caplog.records == []


class Slow(Hooks):
    """Takes longer than the budget of a call."""

    def attempt_started(self, event: AttemptStarted, /) -> None:
        """Wait."""
        time.sleep(0.3)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_nothing_is_sent_after_the_budget(sandbox: Sandbox, kind: ClientKind) -> None:
    """A first attempt whose hooks take longer than the budget is not sent, as nobody waits now."""
    policy = RetryPolicy(budget=0.2, attempts=1)
    options: dict[str, Any] = {
        "api_key": sandbox.api_key,
        "base_url": sandbox.url,
        "retry": policy,
        "hooks": Slow(),
    }

    async def refill_async() -> None:
        async with AsyncOneloop(**options) as client:
            await client.with_options(hooks=None).get_workspace()  # there is a connection now
            await client.refill_billing_limit(**REFILL)

    def refill() -> None:
        with Oneloop(**options) as client:
            client.with_options(hooks=None).get_workspace()
            client.refill_billing_limit(**REFILL)

    with pytest.raises(APIConnectionError) as caught:
        asyncio.run(refill_async()) if kind == "async" else refill()
    assert caught.value.outcome is Outcome.NOT_SENT
    assert "ran out before it was sent" in str(caught.value)
    meter = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    assert meter.total_credits == 1000


def test_hooks_may_take_their_time_without_a_budget(sandbox: Sandbox) -> None:
    """Nothing limits the call then."""
    policy = RetryPolicy(budget=None)
    with Oneloop(
        api_key=sandbox.api_key, base_url=sandbox.url, retry=policy, hooks=Slow()
    ) as client:
        assert client.refill_billing_limit(**REFILL).billing is not None
