"""`oneloop.testing`: calls to other machines are refused, and calls do not wait to try again."""

import asyncio
import logging
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

import oneloop.testing
from oneloop import (
    APIConnectionError,
    ConfigurationError,
    Oneloop,
    Outcome,
    RateLimitError,
    Retry,
    RetryPolicy,
)
from oneloop import _testing as state
from oneloop._environment import authority
from oneloop.hooks import AttemptEnded, CallEnded, Hooks
from oneloop.sandbox import Sandbox
from oneloop.testing import RefusedInTestsError, is_testing, set_testing
from oneloop.transport import Limits, Request, Response
from tests.calling import KINDS, REFILL, ClientKind
from tests.client.test_public_names import modules_after
from tests.codegen.generating import Generate, post

ELSEWHERE = "https://oneloop.invalid"
EACH = pytest.mark.parametrize("kind", [*map(ClientKind, KINDS)], ids=KINDS)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Restore what applied before, whatever a test sets."""
    with set_testing(False):
        yield


class Recording:
    """A transport of the application that answers each request and records its URL."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def send(self, request: Request, _: Limits) -> Response:
        """Answer without sending anything."""
        self.urls.append(request.url)
        return Response(200, (), b'{"billing": null}')

    def close(self) -> None:
        """Do nothing."""


class AsyncRecording(Recording):
    """The async version of `Recording`."""

    async def send(self, request: Request, limits: Limits) -> Response:  # type: ignore[override]
        """Answer without sending anything."""
        return super().send(request, limits)

    async def aclose(self) -> None:
        """Do nothing."""


def reached(url: str) -> bool:
    """Return whether a refill is passed to a transport; otherwise it must be refused."""
    transport = Recording()
    with Oneloop(api_key="sdk_4711", base_url=url, transport=transport, allow_http=True) as client:
        try:
            client.refill_billing_limit(**REFILL)
        except RefusedInTestsError:
            assert transport.urls == []
            return False
    return transport.urls == [f"{url}/api/v1/customer-billing/refill"]


# What is refused


@EACH
def test_each_transport_is_refused(kind: ClientKind, caplog: pytest.LogCaptureFixture) -> None:
    """The error says that nothing happened, and how to allow the host, and nothing is repeated."""
    retries: list[Retry] = []
    policy = RetryPolicy(on_retry=retries.append)
    with set_testing(True), pytest.raises(RefusedInTestsError) as caught:
        kind.refill(api_key="sdk_4711", base_url=f"{ELSEWHERE}:8443/up", retry=policy)
    error = caught.value
    assert isinstance(error, APIConnectionError)
    assert (error.outcome, error.attempts, retries) == (Outcome.NOT_SENT, 1, [])
    assert error.host == "oneloop.invalid:8443"
    assert "not sent: nothing happened" in str(error)
    for way in (
        "fixture oneloop_sandbox",
        '@pytest.mark.oneloop_allow_hosts("oneloop.invalid")',
        "ini option oneloop_allow_hosts",
        "--oneloop-allow-hosts=HOST",
        "set_testing(True, allow_hosts=[...])",
    ):
        assert way in str(error)
    (record,) = (one for one in caplog.records if one.name == "oneloop")
    assert record.levelno == logging.WARNING
    assert "refused in tests" in record.message


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_transport_of_the_application_is_not_called(kind: str) -> None:
    """The request is not passed to it."""
    transport: Any = AsyncRecording() if kind == "async" else Recording()
    options = {"api_key": "sdk_4711", "base_url": ELSEWHERE, "transport": transport}
    with set_testing(True), pytest.raises(RefusedInTestsError):
        ClientKind(kind).refill(**options)
    assert transport.urls == []
    ClientKind(kind).refill(**options)
    assert len(transport.urls) == 1


OPENS_NOTHING = """
import sys

seen = []
watched = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
sys.addaudithook(lambda name, _: seen.append(name) if name in watched else None)

from oneloop.testing import RefusedInTestsError, set_testing
from tests.calling import KINDS, ClientKind

set_testing(True)
for kind in KINDS:
    for host in ("oneloop.invalid", "192.0.2.1", "[2001:db8::1]"):
        try:
            ClientKind(kind).refill(api_key="sdk_4711", base_url=f"https://{host}")
        except RefusedInTestsError:
            print(kind)
assert not seen, seen
"""


def test_nothing_is_looked_up_or_opened() -> None:
    """Python reports no look-up and no connection, whatever the transport."""
    program = [sys.executable, "-W", "error", "-c", OPENS_NOTHING]
    result = subprocess.run(program, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [kind for kind in KINDS for _ in range(3)]


def test_each_way_to_call_is_refused() -> None:
    """So are requests beyond the document, raw answers and derived clients."""
    transport = Recording()
    with (
        set_testing(True),
        Oneloop(api_key=lambda: "sdk_4711", base_url=ELSEWHERE, transport=transport) as client,
    ):
        with pytest.raises(RefusedInTestsError):
            client.request("POST", "/api/v1/more", json={})
        with pytest.raises(RefusedInTestsError):
            client.with_response.refill_billing_limit(**REFILL)
        with pytest.raises(RefusedInTestsError):
            client.with_options(timeout=1, extra_query={"a": "b"}).get_workspace()
    assert transport.urls == []


def test_clients_for_other_documents_are_refused(generate: Generate) -> None:
    """So are calls to a server that only one operation has, and each is judged by its own host."""
    paths = post() | {
        "/files": {**post("/files", "upload")["/files"], "servers": [{"url": ELSEWHERE}]}
    }
    clients = generate({}, paths, servers=[{"url": "http://127.0.0.1:9"}]).module("clients")
    transport = Recording()
    with clients.Client(transport=transport) as client, set_testing(True):
        client.do_it()
        with pytest.raises(RefusedInTestsError) as caught:
            client.upload()
        assert caught.value.host == "oneloop.invalid"
    assert transport.urls == ["http://127.0.0.1:9/things"]


def test_hooks_are_told(kind: ClientKind) -> None:
    """A refused call is an attempt and a call that failed and did not take effect."""
    told: list[AttemptEnded | CallEnded] = []

    class Told(Hooks):
        def attempt_ended(self, event: AttemptEnded) -> None:
            told.append(event)

        def call_ended(self, event: CallEnded) -> None:
            told.append(event)

    with set_testing(True), pytest.raises(RefusedInTestsError) as caught:
        kind.refill(api_key="sdk_4711", base_url=ELSEWHERE, hooks=Told())
    assert [(one.outcome, one.error) for one in told] == [(Outcome.NOT_SENT, caught.value)] * 2


def test_a_long_host_does_not_cut_the_remedy() -> None:
    """The text ends as it does with a short host, and the whole host is in `host`."""
    host = ".".join(["a" * 60] * 4)
    with (
        set_testing(True),
        Oneloop(api_key="sdk_4711", base_url=f"https://{host}") as client,
        pytest.raises(RefusedInTestsError) as caught,
    ):
        client.get_workspace()
    assert "set_testing(True, allow_hosts=[...]); 1 attempt" in str(caught.value)
    assert f'("{host[:32]}...")' in str(caught.value)
    assert caught.value.host == host


def test_the_error_has_its_public_name() -> None:
    """It can be pickled, as pytest-xdist and process pools do, and nothing else is invented."""
    error = RefusedInTestsError("refused", outcome=Outcome.NOT_SENT, path="/p")
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), vars(twin)) == (RefusedInTestsError, vars(error))
    assert RefusedInTestsError.__module__ == "oneloop.testing"
    with pytest.raises(AttributeError, match=r"'oneloop.testing' has no attribute 'nothing'"):
        _ = oneloop.testing.nothing  # type: ignore[attr-defined]


# What is allowed


@EACH
def test_this_machine_is_reached(
    kind: ClientKind, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A local server, such as the sandbox, can be called."""
    with set_testing(True):
        kind.refill(**options)
    assert [one.applied for one in sandbox.requests] == [True]


@pytest.mark.parametrize(
    ("allowed", "url", "is_reached"),
    [
        ([], "http://localhost", True),
        ([], "http://127.9.9.9:80", True),
        ([], "https://[::1]:8443", True),
        ([], "https://[0:0::1]", True),
        ([], "https://localhost.example.com", False),
        ([], "https://10.0.0.1", False),
        (["api.example.com"], "https://api.example.com", True),
        (["API.Example.com"], "https://api.EXAMPLE.com", True),
        (["api.example.com"], "https://api.example.com:8443/v1", True),
        (["api.example.com"], "https://example.com", False),
        (["example.com"], "https://api.example.com", False),
        (["api.example.com:8443"], "https://api.example.com:8443", True),
        (["api.example.com:8443"], "https://api.example.com", False),
        (["api.example.com:443"], "https://api.example.com", True),
        (["api.example.com:443"], "http://api.example.com", False),
        (["api.example.com:80"], "http://api.example.com", True),
        (["2001:DB8::1"], "https://[2001:db8:0::1]", True),
        (["[2001:db8::1]"], "https://[2001:db8::1]:8443", True),
        (["[2001:db8::1]:8443"], "https://[2001:db8::1]:8443", True),
        (["[2001:db8::1]:8443"], "https://[2001:db8::1]", False),
        (["2001:db8::1:8443"], "https://[2001:db8::1]:8443", False),
        (["other.example.com", "10.0.0.1"], "https://10.0.0.1", True),
        (["*"], "https://anything.example.com:1", True),
    ],
)
def test_hosts_are_allowed_by_name(allowed: list[str], url: str, is_reached: bool) -> None:
    """A host is allowed exactly, whatever the case of its letters, on all ports or on one."""
    with set_testing(True, allow_hosts=allowed):
        assert reached(url) is is_reached


@pytest.mark.parametrize(
    "host",
    [
        *("", " ", "a b", "https://a.example", "a.example/", "a.example/v1", "*.example", "a:0"),
        *("a:99999", "a:x", "a@b.example", "[::1", "::1::2", "a.example.", "a?b", "a#b", b"a", 1),
        None,
    ],
)
def test_what_is_not_a_host_is_refused(host: Any) -> None:
    """The error names it, and nothing changes."""
    with pytest.raises(ConfigurationError) as caught:
        set_testing(True, allow_hosts=["a.example", host])
    assert str(caught.value).startswith(f"{host!r} is not a host; pass a name or an address")
    assert not is_testing()


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("yes",), {}, "testing must be True or False, got 'yes'"),
        ((True,), {"allow_hosts": "a.example"}, "must be a list of hosts, got the string"),
        ((False,), {"allow_hosts": ["a.example"]}, "has no effect if testing is False"),
    ],
)
def test_other_mistakes_are_refused(arguments: Any, options: Any, words: str) -> None:
    """A host that is not in a list would otherwise be taken for a list of letters."""
    with pytest.raises(ConfigurationError, match=words):
        set_testing(*arguments, **options)
    assert not is_testing()


def test_a_url_that_cannot_be_split_is_not_taken_for_this_machine() -> None:
    """The whole of it counts as the host."""
    assert authority("http://localhost@example.com/") == ("localhost@example.com", 80)


# When it applies


def test_a_plain_call_applies_until_the_next_one() -> None:
    """It applies to clients that exist already."""
    transport = Recording()
    with Oneloop(api_key="sdk_4711", base_url=ELSEWHERE, transport=transport) as client:
        assert not is_testing()
        set_testing(True)
        assert is_testing()
        with pytest.raises(RefusedInTestsError):
            client.refill_billing_limit(**REFILL)
        set_testing(False)
        assert not is_testing()
        client.refill_billing_limit(**REFILL)
    assert len(transport.urls) == 1


def test_it_nests() -> None:
    """Each block restores what applied before, also if it is left by an exception."""
    with set_testing(True, allow_hosts=["a.example"]):
        with set_testing(True, allow_hosts=["b.example"]):
            assert [reached(f"https://{one}.example") for one in "ab"] == [False, True]
            with set_testing(False):
                assert not is_testing()
                assert reached("https://c.example")
            assert is_testing()
        with pytest.raises(ZeroDivisionError), set_testing(False):
            _ = 1 / 0
        assert [reached(f"https://{one}.example") for one in "ab"] == [True, False]
    assert not is_testing()


def test_another_thread_may_switch_it_off_during_a_call() -> None:
    """A check that begins after that refuses nothing."""
    assert state.rules is None
    state.check(ELSEWHERE)


# Waits


def test_a_call_does_not_wait_between_attempts(
    kind: ClientKind, sandbox: Sandbox, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is planned and reported stays the same; only the sleep is left out."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(asyncio, "sleep", pause)
    retries: list[Retry] = []
    options["retry"] = RetryPolicy(on_retry=retries.append)
    sandbox.misbehave("429", times=2)
    with set_testing(True):
        kind.refill(**options)
    assert [one.wait for one in retries] == [1.0, 1.0]
    assert pauses[:2] == ([0, 0] if kind.name == "async" else [])
    sandbox.misbehave("429", times=2)
    kind.refill(**options)
    assert [one for one in pauses if one] == [1.0, 1.0]


def test_a_wait_beyond_the_budget_still_ends_the_call(
    kind: ClientKind, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """The decision does not depend on whether a test suite is running."""
    options["retry"] = RetryPolicy(budget=0.9)
    sandbox.misbehave("429")
    with set_testing(True), pytest.raises(RateLimitError) as caught:
        kind.refill(**options)
    assert caught.value.attempts == 1


def test_a_later_attempt_may_be_refused(sandbox: Sandbox, options: dict[str, Any]) -> None:
    """The rules are those of the moment; the outcome is still that of all attempts."""
    again = RetryPolicy(on_retry=lambda _: set_testing(True))
    transport = Unanswering()
    with (
        Oneloop(api_key="sdk", base_url=ELSEWHERE, transport=transport, retry=again) as client,
        pytest.raises(RefusedInTestsError) as caught,
    ):
        client.get_workspace()
    assert (caught.value.attempts, caught.value.outcome) == (2, Outcome.UNKNOWN)


class Unanswering(Recording):
    """A transport whose server fails."""

    def send(self, request: Request, limits: Limits) -> Response:
        """Answer with a status that is tried again if the call is safe to repeat."""
        super().send(request, limits)
        return Response(503, (), b"")


# What it costs


def test_importing_it_is_cheap() -> None:
    """Nothing of the client is imported, and nothing that only some clients need."""
    loaded = modules_after("import oneloop.testing")
    assert not loaded & {"asyncio", "attr", "httpx", "oneloop_core", "oneloop.sandbox", "pytest"}
    loaded = modules_after("import oneloop._pytest")
    assert not loaded & {"httpx", "oneloop_core", "oneloop.sandbox", "oneloop._client"}


def test_production_imports_only_the_switch() -> None:
    """A client does not import the public module."""
    assert "oneloop.testing" not in modules_after("from oneloop import Oneloop, AsyncOneloop")
