"""The table "What is promised" of docs/ledger.md, row by row.

Each row has two tests. `test_KEY_holds` shows the promise where the assumption holds, and
`test_KEY_broken` what happens where it does not.
"""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from oneloop import Oneloop, RetryPolicy
from oneloop.ledger import (
    Ledger,
    LedgerConflictError,
    LedgerError,
    LedgerMissingError,
    Refill,
    State,
)
from oneloop.sandbox import Sandbox
from tests import ROOT

TABLE = (
    (ROOT / "docs" / "ledger.md")
    .read_text("utf-8")
    .split("\n## What is promised\n")[1]
    .split("\n## ")[0]
)

METER = {"workspace_id": "ws_1", "external_meter_id": "acme"}
"""The meter of a new sandbox, which has 1000 credits."""

ORDER: dict[str, Any] = {"id": "pay_1", **METER, "refill": 500}

QUIET = 0.05

PATIENCE = 60
"""Seconds within which what another thread or process does has happened."""

Open = Callable[..., Ledger]


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Oneloop]:
    """Return a client that gives up soon."""
    policy = RetryPolicy(attempts=1)
    with Oneloop(
        api_key=sandbox.api_key, base_url=sandbox.url, timeout=0.5, retry=policy
    ) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for ledgers."""
    return tmp_path


@pytest.fixture
def opened(folder: Path) -> Iterator[Open]:
    """Return a function that opens a ledger; by default, always the same one."""
    ledgers: list[Ledger] = []

    def opened(database: str | Path = folder / "refills.db", **options: Any) -> Ledger:
        ledgers.append(Ledger(database, **{"quiet": QUIET, **options}))
        return ledgers[-1]

    yield opened
    for one in ledgers:
        one.close()


@pytest.fixture
def ledger(opened: Open) -> Ledger:
    """Return a ledger that settles soon."""
    return opened()


@pytest.fixture
def unknown(ledger: Ledger, client: Oneloop, sandbox: Sandbox) -> Callable[[str], Refill]:
    """Return a function that makes a refill with a fault that leaves its outcome open."""

    def unknown(fault: str, order: dict[str, Any] = ORDER, **parameters: object) -> Refill:
        sandbox.misbehave(fault, operation="refill_billing_limit", **parameters)
        refill = ledger.refill(client, **order)
        assert refill.state is State.UNKNOWN
        return refill

    return unknown


def settled(ledger: Ledger, client: Oneloop) -> Refill:
    """Return the refill when two readings have been made."""
    ledger.settle(client, wait=True)
    found = ledger.find("pay_1")
    assert found is not None
    return found


def refilled(ledger: Ledger, client: Oneloop, order: dict[str, Any] = ORDER) -> Refill:
    """Repeat a refill until it is applied, as the caller of a ledger does."""
    deadline = time.monotonic() + PATIENCE
    while (refill := ledger.refill(client, **order)).state is not State.APPLIED:
        assert time.monotonic() < deadline, refill
        time.sleep(QUIET)
    return refill


def total(sandbox: Sandbox, meter: str = "acme") -> int:
    """Return the credits of a meter, once what is late has happened."""
    sandbox.apply_late()
    return sandbox.meter(workspace_id="ws_1", external_meter_id=meter).total_credits


def sent(sandbox: Sandbox) -> int:
    """Return how many refills the API has received."""
    return sum(one.operation == "refillBillingLimit" for one in sandbox.requests)


def use(sandbox: Sandbox, client: Oneloop, meter: str = "acme") -> None:
    """Let a customer use 5 credits."""
    key = client.create_api_key(
        workspace_id="ws_1",
        name="key",
        customer_id="acme",
        external_meter_id=meter,
        scopes=[],
        enabled=True,
    ).api_key.key
    assert key is not None
    assert client.verify_api_key(key=key, requested_scopes=[], billing_usage=5).is_valid


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def own(sandbox: Sandbox, transport: httpx.BaseTransport) -> tuple[httpx.Client, Oneloop]:
    """Return an application's own httpx client, and a client that uses it."""
    http = httpx.Client(transport=transport)
    return http, Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, http_client=http)


class Wrapped(httpx.BaseTransport):
    """A transport of an application, which does something before or after each request."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return the whole answer."""
        response = self.inner.handle_request(request)
        response.read()
        return response

    def close(self) -> None:
        """Close the connections."""
        self.inner.close()


class Lowering(Wrapped):
    """An API whose refills lower usedCredits: the sandbox's meter `low` is shown in that way."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Turn what the total has risen by into credits that are not used any more."""
        response = super().handle_request(request)
        billing = json.loads(response.content)["billing"]
        raised = int(billing["totalCredits"]) - 10_000
        billing["totalCredits"] = "10000"
        billing["usedCredits"] = str(int(billing["usedCredits"]) - raised)
        return httpx.Response(response.status_code, json={"billing": billing})


LOW: dict[str, Any] = {
    "id": "pay_1",
    "workspace_id": "ws_1",
    "external_meter_id": "low",
    "refill": 500,
}


@pytest.fixture
def lowering(sandbox: Sandbox) -> Iterator[Oneloop]:
    """Return a client of an API whose refills lower usedCredits."""
    sandbox.create_meter(
        workspace_id="ws_1", external_meter_id="low", total_credits=10_000, used_credits=5_000
    )
    http, client = own(sandbox, Lowering())
    with http, client:
        yield client


CHILD = """
import os, signal, sys, time
ahead = float(sys.argv[1])
now = time.time
time.time = lambda: now() + ahead

import httpx
from oneloop import Oneloop
from oneloop.hooks import Hooks
from oneloop.ledger import Ledger

def stop():
    os.kill(os.getpid(), signal.SIGSTOP)

class Stopping(Hooks):
    def attempt_started(self, event):
        if event.call.operation == "refill_billing_limit":
            stop()

class StoppingTransport(httpx.HTTPTransport):
    def handle_request(self, request):
        if request.method == "POST":
            stop()
        return super().handle_request(request)

options = {
    "": {},
    "before the check": {"hooks": Stopping()},
    "after the check": {"http_client": httpx.Client(transport=StoppingTransport())},
}[sys.argv[2]]
limits = {name: float(value) for name, value in (one.split("=") for one in sys.argv[4:])}
with Oneloop(**options) as client, Ledger(sys.argv[3], **limits) as ledger:
    refill = ledger.refill(
        client, id="pay_1", workspace_id="ws_1", external_meter_id="acme", refill=500
    )
    print(refill.state)
"""
"""A process with a clock that is ahead, which makes the refill, and may stop itself before it."""


def child(
    sandbox: Sandbox, database: str | Path, *limits: str, ahead: float = 0, stops: str = ""
) -> "subprocess.Popen[str]":
    """Start the process."""
    environment = {
        **os.environ,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_BASE_URL": sandbox.url,
    }
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(ahead), stops, str(database), *limits],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def printed(process: "subprocess.Popen[str]") -> str:
    """Return what a process prints until it ends."""
    with process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    return output.strip()


def test_each_row_has_its_tests() -> None:
    """The table and this file name the same assumptions."""
    keys = re.findall(r"^\| `([a-z-]+)` \|", TABLE, re.MULTILINE)
    assert len(keys) == len(set(keys)) > 10
    expected = {
        f"test_{key.replace('-', '_')}_{end}" for key in keys for end in ("holds", "broken")
    }
    found = {name for name in globals() if name.startswith("test_")}
    assert found == expected | {test_each_row_has_its_tests.__name__}


# other-writers


@pytest.mark.parametrize(
    ("fault", "state"), [("drop-before", State.NOT_APPLIED), ("drop-after", State.APPLIED)]
)
def test_other_writers_holds(
    fault: str,
    state: State,
    unknown: Callable[[str], Refill],
    ledger: Ledger,
    client: Oneloop,
    sandbox: Sandbox,
) -> None:
    """What happened is found out, and the meter is refilled once."""
    unknown(fault)
    assert settled(ledger, client).state is state
    refilled(ledger, client)
    assert total(sandbox) == 1500


@pytest.mark.parametrize("fault", ["drop-before", "drop-after"])
def test_other_writers_broken(
    fault: str,
    unknown: Callable[[str], Refill],
    ledger: Ledger,
    client: Oneloop,
    sandbox: Sandbox,
) -> None:
    """The refill stays unknown, and its meter waits, until a person has looked."""
    unknown(fault)
    client.refill_billing_limit(**METER, refill=7)
    found = settled(ledger, client)
    assert (found.state, found.needs_decision) == (State.UNKNOWN, True)
    assert found.conclusion is not None
    assert "neither the refill nor its absence" in found.conclusion
    calls = sent(sandbox)
    assert settled(ledger, client).state is State.UNKNOWN
    assert ledger.refill(client, **ORDER).state is State.UNKNOWN
    waiting = ledger.refill(client, **{**ORDER, "id": "pay_2"})
    assert waiting.state is State.PLANNED
    assert waiting.error is not None
    assert "pay_1" in waiting.error
    assert sent(sandbox) == calls
    ledger.decide("pay_1", applied=fault == "drop-after", note="the other program added 7")
    refilled(ledger, client)
    refilled(ledger, client, {**ORDER, "id": "pay_2"})
    assert total(sandbox) == 2007


# same-amount


def test_same_amount_holds(
    unknown: Callable[[str], Refill],
    ledger: Ledger,
    opened: Open,
    client: Oneloop,
    sandbox: Sandbox,
) -> None:
    """A ledger that has been told of other writers does not take their refill for its own."""
    unknown("drop-before")
    client.refill_billing_limit(**METER, refill=500)
    found = settled(opened(other_writers=True), client)
    assert (found.state, found.needs_decision) == (State.UNKNOWN, True)


def test_same_amount_broken(
    unknown: Callable[[str], Refill], ledger: Ledger, client: Oneloop, sandbox: Sandbox
) -> None:
    """Another program's refill of the same amount is taken for that of the ledger."""
    unknown("drop-before")
    client.refill_billing_limit(**METER, refill=500)
    assert settled(ledger, client).state is State.APPLIED
    assert total(sandbox) == 1500


# lowered


def test_lowered_holds(
    unknown: Callable[[str], Refill], ledger: Ledger, client: Oneloop, sandbox: Sandbox
) -> None:
    """A meter that is lowered after its refill was settled disturbs nothing."""
    unknown("drop-after")
    assert settled(ledger, client).state is State.APPLIED
    sandbox.reset()
    assert refilled(ledger, client).attempts == 1
    assert total(sandbox) == 1000


def test_lowered_broken(
    unknown: Callable[..., Refill], ledger: Ledger, client: Oneloop, sandbox: Sandbox
) -> None:
    """A meter that was reset meanwhile is ambiguous; if it is as before, the refill is repeated."""
    ledger.refill(client, **{**ORDER, "id": "pay_0", "refill": 1})
    unknown("drop-after")
    sandbox.reset()
    found = settled(ledger, client)
    assert (found.state, found.needs_decision) == (State.UNKNOWN, True)
    ledger.decide("pay_1", applied=True, note="before the reset")

    sandbox.misbehave("drop-after", operation="refill_billing_limit")
    again = {**ORDER, "id": "pay_2"}
    assert ledger.refill(client, **again).state is State.UNKNOWN
    sandbox.reset()
    assert refilled(ledger, client, again).attempts == 2
    assert total(sandbox) == 1500


# use


def test_use_holds(
    unknown: Callable[[str], Refill], ledger: Ledger, client: Oneloop, sandbox: Sandbox
) -> None:
    """Once it is learned that refills raise the total, use of the meter disturbs nothing."""
    ledger.refill(client, **{**ORDER, "id": "pay_0", "refill": 1})
    assert ledger.effect() == "total_credits rises"
    unknown("drop-before")
    use(sandbox, client)
    assert settled(ledger, client).state is State.NOT_APPLIED
    refilled(ledger, client)
    assert total(sandbox) == 1501


def test_use_broken(
    unknown: Callable[[str], Refill], ledger: Ledger, client: Oneloop, sandbox: Sandbox
) -> None:
    """Until then a meter that was used is ambiguous. An answered refill of any meter ends that."""
    unknown("drop-before")
    use(sandbox, client)
    found = settled(ledger, client)
    assert (found.state, found.needs_decision) == (State.UNKNOWN, False)
    sandbox.create_meter(workspace_id="ws_1", external_meter_id="other")
    ledger.refill(client, **{**ORDER, "id": "pay_0", "external_meter_id": "other"})
    assert settled(ledger, client).state is State.NOT_APPLIED


# use-after-falling


@pytest.mark.parametrize(
    ("fault", "state"), [("drop-before", State.NOT_APPLIED), ("drop-after", State.APPLIED)]
)
def test_use_after_falling_holds(
    fault: str, state: State, ledger: Ledger, lowering: Oneloop, sandbox: Sandbox
) -> None:
    """Where refills lower usedCredits, a meter that is not used is settled as any other."""
    ledger.refill(lowering, **{**LOW, "id": "pay_0"})
    assert ledger.effect() == "used_credits falls"
    sandbox.misbehave(fault, operation="refill_billing_limit")
    assert ledger.refill(lowering, **LOW).state is State.UNKNOWN
    assert settled(ledger, lowering).state is state
    refilled(ledger, lowering, LOW)
    assert total(sandbox, "low") == 11_000


@pytest.mark.parametrize("change", ["used", "refilled", "reset"])
def test_use_after_falling_broken(
    change: str, ledger: Ledger, lowering: Oneloop, client: Oneloop, sandbox: Sandbox
) -> None:
    """A meter whose use changes otherwise meanwhile is ambiguous, and waits for a person."""
    if change != "reset":  # which a ledger that has learned nothing may not take for a refill
        ledger.refill(lowering, **{**LOW, "id": "pay_0"})
    sandbox.misbehave("drop-before", operation="refill_billing_limit")
    ledger.refill(lowering, **LOW)
    if change == "used":
        use(sandbox, client, "low")
    else:  # the use falls by less than the amount of the refill that did not happen
        client.refill_billing_limit(workspace_id="ws_1", external_meter_id="low", refill=7)
    found = settled(ledger, lowering)
    assert (found.state, found.needs_decision) == (State.UNKNOWN, True)


# one-effect


def test_one_effect_holds(ledger: Ledger, client: Oneloop) -> None:
    """The first answer shows what a refill does."""
    assert ledger.refill(client, **ORDER).state is State.APPLIED
    assert ledger.effect() == "total_credits rises"


def test_one_effect_broken(
    unknown: Callable[[str], Refill],
    ledger: Ledger,
    client: Oneloop,
    lowering: Oneloop,
    sandbox: Sandbox,
) -> None:
    """If answers have shown both, only what holds in either case is concluded."""
    ledger.refill(client, **{**ORDER, "id": "pay_2"})
    ledger.refill(lowering, **{**LOW, "id": "pay_3"})
    assert ledger.effect() is None
    unknown("drop-before")
    use(sandbox, client)
    assert settled(ledger, client).state is State.UNKNOWN


# late-effects


def test_late_effects_holds(
    unknown: Callable[..., Refill], ledger: Ledger, client: Oneloop, sandbox: Sandbox
) -> None:
    """A refill that takes effect between the readings is waited for, and not repeated."""
    unknown("late-drop", seconds=3600)
    (found,) = ledger.settle(client)
    assert found.state is State.UNKNOWN
    sandbox.apply_late()
    assert settled(ledger, client).state is State.APPLIED
    assert sent(sandbox) == 1


def test_late_effects_broken(
    unknown: Callable[..., Refill], ledger: Ledger, client: Oneloop, sandbox: Sandbox
) -> None:
    """One that takes effect after both readings was called not applied, and is there twice."""
    unknown("late-drop", seconds=3600)
    assert settled(ledger, client).state is State.NOT_APPLIED
    refilled(ledger, client)
    assert total(sandbox) == 2000


# fresh-readings


class Stale(Wrapped):
    """A cache between us and the API: each reading is answered with the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.first: bytes | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a reading from the cache."""
        if request.method != "GET":
            return super().handle_request(request)
        if self.first is None:
            self.first = super().handle_request(request).content
        return httpx.Response(200, content=self.first)


def test_fresh_readings_holds(
    unknown: Callable[[str], Refill], ledger: Ledger, client: Oneloop, sandbox: Sandbox
) -> None:
    """Readings that show what happened before them settle the refill."""
    unknown("drop-after")
    assert settled(ledger, client).state is State.APPLIED


def test_fresh_readings_broken(ledger: Ledger, sandbox: Sandbox) -> None:
    """Readings that are older than `quiet` hide the refill, which is then repeated."""
    http, client = own(sandbox, Stale())
    with http, client:
        sandbox.misbehave("drop-after", operation="refill_billing_limit")
        assert ledger.refill(client, **ORDER).state is State.UNKNOWN
        assert settled(ledger, client).state is State.NOT_APPLIED
        refilled(ledger, client)
    assert total(sandbox) == 2000


# honest-answers


def test_honest_answers_holds(ledger: Ledger, client: Oneloop, sandbox: Sandbox) -> None:
    """A refill that the API has refused did not happen."""
    sandbox.misbehave("422", operation="refill_billing_limit")
    assert ledger.refill(client, **ORDER).state is State.REJECTED
    assert total(sandbox) == 1000
    assert ledger.refill(client, **ORDER, retry_rejected=True).state is State.APPLIED
    assert total(sandbox) == 1500


def test_honest_answers_broken(ledger: Ledger, client: Oneloop, sandbox: Sandbox) -> None:
    """A refusal of what has happened is believed."""
    sandbox.misbehave("422", operation="refill_billing_limit", applies=True)
    assert ledger.refill(client, **ORDER).state is State.REJECTED
    assert total(sandbox) == 1500


# repeats


class Repeating(Wrapped):
    """A transport that sends each request twice."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request twice."""
        super().handle_request(request)
        return super().handle_request(request)


def test_repeats_holds(ledger: Ledger, client: Oneloop, sandbox: Sandbox) -> None:
    """The client sends a refill once, even if it was told that refills are safe to repeat."""
    sandbox.misbehave("drop-after", operation="refill_billing_limit")
    policy = RetryPolicy(attempts=3, backoff=0, treat_as_safe=True)
    assert ledger.refill(client.with_options(retry=policy), **ORDER).state is State.UNKNOWN
    assert sent(sandbox) == 1


def test_repeats_broken(ledger: Ledger, sandbox: Sandbox) -> None:
    """What an application's own httpx client repeats happens twice, and is not noticed."""
    http, client = own(sandbox, Repeating())
    with http, client:
        assert ledger.refill(client, **ORDER).state is State.APPLIED
    assert total(sandbox) == 2000


# key-functions


class Keys:
    """A function that returns the key, and may take its time from the second call on."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.calls = 0
        self.held, self.release = threading.Event(), threading.Event()

    def __call__(self) -> str:
        """Return the key: for the reading at once, and for the refill when it is released."""
        self.calls += 1
        if self.calls > 1:
            self.held.set()
            assert self.release.wait(PATIENCE)
        return self.key


def test_key_functions_holds(opened: Open, sandbox: Sandbox) -> None:
    """A key that comes at once makes no difference."""
    keys = Keys(sandbox.api_key)
    keys.release.set()
    with Oneloop(api_key=keys, base_url=sandbox.url) as client:
        assert opened(lease=1).refill(client, **ORDER).state is State.APPLIED
    assert keys.calls == 2


def test_key_functions_broken(opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """A key that comes after the lease lets a refill be sent that was repeated by then."""
    keys = Keys(sandbox.api_key)
    first, second = opened(lease=1), opened(lease=1)
    with Oneloop(api_key=keys, base_url=sandbox.url) as slow:
        thread = threading.Thread(target=first.refill, args=(slow,), kwargs=ORDER)
        thread.start()
        assert keys.held.wait(PATIENCE)
        refilled(second, client)
        keys.release.set()
        thread.join()
    assert total(sandbox) == 2000


# own-clients


def test_own_clients_holds(opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """A call through the ledger ends within its lease, however patient the client is."""
    sandbox.misbehave("hang", operation="refill_billing_limit")
    patient = client.with_options(timeout=PATIENCE, retry=RetryPolicy(budget=PATIENCE))
    first = opened(lease=1)
    begun = time.monotonic()
    assert first.refill(patient, **ORDER).state is State.UNKNOWN
    assert time.monotonic() - begun < PATIENCE / 2
    refilled(opened(lease=1), client)
    assert total(sandbox) == 1500


class Holding(Wrapped):
    """A transport that holds a refill back, as one that limits the rate may do."""

    def __init__(self) -> None:
        super().__init__()
        self.held, self.release = threading.Event(), threading.Event()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Wait before a refill is sent."""
        if request.method == "POST":
            self.held.set()
            assert self.release.wait(PATIENCE)
        return super().handle_request(request)


def test_own_clients_broken(opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """A refill that an own httpx client sends after the lease was repeated by then."""
    holding = Holding()
    http, slow = own(sandbox, holding)
    first, second = opened(lease=1), opened(lease=1)
    with http, slow:
        thread = threading.Thread(target=first.refill, args=(slow,), kwargs=ORDER)
        thread.start()
        assert holding.held.wait(PATIENCE)
        refilled(second, client)
        holding.release.set()
        thread.join()
    assert total(sandbox) == 2000
    assert second.history("pay_1")[-1].what == "contradiction"


# suspended


def stopped(process: "subprocess.Popen[str]") -> None:
    """Wait until a process has stopped itself."""
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not stopped by signals")
def test_suspended_holds(folder: Path, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """A process that wakes up after its lease does not send what it had written down."""
    limits = {"lease": 1.0, "quiet": QUIET}
    ledger = opened(**limits)
    given = [f"{name}={value}" for name, value in limits.items()]
    process = child(sandbox, folder / "refills.db", *given, stops="before the check")
    stopped(process)
    refilled(ledger, client)
    process.send_signal(signal.SIGCONT)
    assert printed(process) == "applied"  # by the other process
    assert total(sandbox) == 1500


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not stopped by signals")
def test_suspended_broken(folder: Path, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """One that is stopped between its last look at the clock and the first byte sends it."""
    limits = {"lease": 1.0, "quiet": QUIET}
    ledger = opened(**limits)
    given = [f"{name}={value}" for name, value in limits.items()]
    process = child(sandbox, folder / "refills.db", *given, stops="after the check")
    stopped(process)
    refilled(ledger, client)
    process.send_signal(signal.SIGCONT)
    printed(process)
    assert total(sandbox) == 2000


# clocks


def test_clocks_holds(postgres: str, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """With PostgreSQL only its server's clock counts, whatever the time is elsewhere."""
    first_reading_then_another_clock(sandbox, opened(postgres, quiet=3600), client, postgres)
    process = child(sandbox, postgres, "quiet=3600", ahead=7200)
    assert printed(process) == "unknown"


def test_clocks_broken(folder: Path, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """With SQLite, a clock that jumps ahead between the readings shortens `quiet`."""
    database = folder / "refills.db"
    first_reading_then_another_clock(sandbox, opened(quiet=3600), client, database)
    process = child(sandbox, database, "quiet=3600", ahead=7200)
    assert printed(process) == "applied"  # concluded and sent again
    assert total(sandbox) == 2000


def first_reading_then_another_clock(
    sandbox: Sandbox, ledger: Ledger, client: Oneloop, database: str | Path
) -> None:
    """Make a refill that happens late, and the first of the two readings."""
    sandbox.misbehave("late-drop", operation="refill_billing_limit", seconds=3600)
    assert ledger.refill(client, **ORDER).state is State.UNKNOWN
    (found,) = ledger.settle(client)
    assert found.state is State.UNKNOWN


# one-ledger


def test_one_ledger_holds(opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """Whoever uses the same ledger makes the refill once."""
    for _ in range(2):
        refilled(opened(), client)
    assert total(sandbox) == 1500


def test_one_ledger_broken(folder: Path, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """Two ledgers do not know of each other."""
    for name in ("one.db", "two.db"):
        refilled(opened(folder / name), client)
    assert total(sandbox) == 2000


# one-account


def test_one_account_holds(ledger: Ledger, client: Oneloop, sandbox: Sandbox) -> None:
    """A client of another API is refused, and nothing is sent."""
    refilled(ledger, client)
    with (
        Oneloop(api_key="sdk_test", base_url="https://api.oneloop.invalid") as other,
        pytest.raises(LedgerError, match="belongs to"),
    ):
        ledger.refill(other, **{**ORDER, "id": "pay_2"})


def test_one_account_broken(ledger: Ledger, client: Oneloop) -> None:
    """Two APIs behind the same address, or two accounts of one, are taken for one."""
    refilled(ledger, client)
    with (
        Sandbox() as another,
        Oneloop(api_key=another.api_key, base_url=another.url) as other,
    ):
        assert ledger.refill(other, **ORDER).state is State.APPLIED
        assert total(another) == 1000


# kept-commits


def copied(folder: Path) -> Path:
    """Return a backup of the ledger."""
    with sqlite3.connect(folder / "refills.db") as ledger:
        ledger.execute("VACUUM INTO ?", (str(folder / "backup.db"),))
    ledger.close()
    return folder / "backup.db"


def test_kept_commits_holds(folder: Path, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """A backup that has every refill is as good as the original."""
    refilled(opened(), client)
    assert refilled(opened(copied(folder)), client).attempts == 1
    assert total(sandbox) == 1500


def test_kept_commits_broken(folder: Path, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """A backup that is older than the refill has forgotten it."""
    ledger = opened()
    refilled(ledger, client, {**ORDER, "id": "pay_0", "refill": 1})
    backup = copied(folder)
    refilled(ledger, client)
    refilled(opened(backup), client)
    assert total(sandbox) == 2001


# kept-rows


def test_kept_rows_holds(ledger: Ledger, client: Oneloop, sandbox: Sandbox) -> None:
    """A refill is known by its id for as long as its row exists."""
    for _ in range(3):
        refilled(ledger, client)
    assert sent(sandbox) == 1


def test_kept_rows_broken(folder: Path, ledger: Ledger, client: Oneloop, sandbox: Sandbox) -> None:
    """An id whose row was deleted is a new one."""
    refilled(ledger, client)
    with sqlite3.connect(folder / "refills.db") as database:
        database.execute("DELETE FROM oneloop_refills")
    database.close()
    refilled(ledger, client)
    assert total(sandbox) == 2000


# kept-ledger


def test_kept_ledger_holds(folder: Path, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """A ledger that was lost, and that may not be made anew, refills nothing."""
    first = opened(create=False)
    first.create()
    refilled(first, client)
    first.close()
    lost = (folder / "refills.db").rename(folder / "lost.db")
    with pytest.raises(LedgerMissingError):
        opened(create=False).refill(client, **ORDER)
    lost.rename(folder / "refills.db")
    refilled(opened(create=False), client)
    assert total(sandbox) == 1500


def test_kept_ledger_broken(folder: Path, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """A new ledger knows of no refill."""
    first = opened()
    refilled(first, client)
    first.close()
    (folder / "refills.db").unlink()
    refilled(opened(), client)
    assert total(sandbox) == 2000


# unique-ids


def test_unique_ids_holds(ledger: Ledger, client: Oneloop, sandbox: Sandbox) -> None:
    """An id that comes with another meter or amount is refused."""
    refilled(ledger, client)
    with pytest.raises(LedgerConflictError, match="501"):
        ledger.refill(client, **{**ORDER, "refill": 501})
    assert total(sandbox) == 1500


def test_unique_ids_broken(ledger: Ledger, client: Oneloop, sandbox: Sandbox) -> None:
    """A second payment with the id, the meter and the amount of the first one is not refilled."""
    refilled(ledger, client)
    assert ledger.refill(client, **ORDER).state is State.APPLIED
    assert total(sandbox) == 1500


# local-disk


def test_local_disk_holds(folder: Path, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """A file may have several names that lead to it by symbolic links."""
    (folder / "linked").symlink_to(folder, target_is_directory=True)
    (folder / "linked.db").symlink_to(folder / "refills.db")
    for database in ("refills.db", "linked/refills.db", "linked.db"):
        refilled(opened(folder / database), client)
    assert total(sandbox) == 1500


def test_local_disk_broken(folder: Path, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """Machines on a network drive do not see each other's journal, as with two hard links."""
    opened().create()
    os.link(folder / "refills.db", folder / "elsewhere.db")
    with closing(sqlite3.connect(folder / "refills.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM oneloop_facts").fetchall()
        refilled(opened(), client)  # stays in the journal, as somebody still reads what was before
    assert printed(child(sandbox, folder / "elsewhere.db")) == "applied"
    assert total(sandbox) == 2000


# lock-files


def beside(opened: Open, client: Oneloop, sandbox: Sandbox, meanwhile: Callable[[], None]) -> None:
    """Make a refill with one ledger while another one is about to send it."""
    keys = Keys(sandbox.api_key)
    first, second = opened(), opened(patience=0)
    with Oneloop(api_key=keys, base_url=sandbox.url) as slow:
        thread = threading.Thread(target=first.refill, args=(slow,), kwargs=ORDER)
        thread.start()
        assert keys.held.wait(PATIENCE)
        meanwhile()
        for _ in range(3):
            second.settle(client, wait=True)
            second.refill(client, **ORDER)
        keys.release.set()
        thread.join()


def test_lock_files_holds(opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """A process that is sending is left alone, however long that takes."""
    beside(opened, client, sandbox, lambda: None)
    assert total(sandbox) == 1500


def test_lock_files_broken(folder: Path, opened: Open, client: Oneloop, sandbox: Sandbox) -> None:
    """Without its file, it is taken for dead, and its refill is repeated."""

    def remove() -> None:
        for path in folder.glob("*.owner-*"):
            path.unlink()

    beside(opened, client, sandbox, remove)
    assert total(sandbox) == 2000


# right-decisions


def test_right_decisions_holds(
    unknown: Callable[[str], Refill], ledger: Ledger, client: Oneloop, sandbox: Sandbox
) -> None:
    """What a person says of an unknown refill is written down with the reason."""
    unknown("drop-after")
    decided = ledger.decide("pay_1", applied=True, note="seen in the dashboard")
    assert decided.conclusion == "decided: seen in the dashboard"
    assert refilled(ledger, client).attempts == 1
    assert total(sandbox) == 1500


def test_right_decisions_broken(
    unknown: Callable[[str], Refill], ledger: Ledger, client: Oneloop, sandbox: Sandbox
) -> None:
    """A person who is wrong is believed."""
    unknown("drop-after")
    ledger.decide("pay_1", applied=False, note="not looked")
    refilled(ledger, client)
    assert total(sandbox) == 2000
