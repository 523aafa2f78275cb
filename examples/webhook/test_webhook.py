"""The webhook with every fault that the sandbox knows, and with servers that are killed.

Run it with `pytest` in an environment that has `oneloop[fastapi,ledger,sandbox]` and uvicorn. With
WEBHOOK_POSTGRESQL, the URL of a PostgreSQL database whose user may create others, the most
important ones also run with a ledger there.
"""

import base64
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
import uvicorn
from webhook import LARGEST_EVENT, TOLERANCE, Settings, create_app, is_signed

from oneloop import Oneloop
from oneloop.ledger import Ledger, State
from oneloop.sandbox import Fault, Sandbox

METER = {"workspace_id": "ws_1", "external_meter_id": "acme"}
"""The meter of a new sandbox, which has 1000 credits."""

SECRET = b"what only the provider and we know"

PATIENCE = 60
"""Seconds within which everything is finished, also on a busy machine."""

POSTGRESQL = os.environ.get("WEBHOOK_POSTGRESQL")

ledgers = pytest.mark.parametrize(
    "settings", ["sqlite", "postgresql"] if POSTGRESQL else ["sqlite"], indirect=True
)
"""For tests with both databases. All others use SQLite."""


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Return settings of a new ledger that is settled within a second."""
    settings = Settings(secret=SECRET, workspace="ws_1", pause=0.1, budget=0.5, quiet=0.2, lease=2)
    if getattr(request, "param", "sqlite") == "sqlite":
        yield replace(settings, ledger=str(tmp_path / "refills.db"))
        return
    name = f"webhook_{uuid4().hex}"
    url = urlsplit(str(POSTGRESQL))
    with psycopg.connect(url.geturl(), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield replace(settings, ledger=url._replace(path=f"/{name}").geturl())
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class Event:
    """An event of the provider."""

    id: str
    customer: str = "acme"
    credits: int = 500

    def deliver(self, port: int, secret: bytes = SECRET) -> int:
        """Deliver the event, signed, and return the status: 0 if the connection was lost."""
        data = {"customer": self.customer, "credits": self.credits}
        body = json.dumps({"type": "payment.succeeded", "data": data})
        return deliver(port, self.id, body, secret)

    def deliver_until_taken(self, port: int) -> None:
        """Deliver the event as a provider does: until the answer is 200."""
        wait_until(lambda: self.deliver(port) == 200, pause=0.1)


def deliver(port: int, id: str, body: str, secret: bytes = SECRET) -> int:  # noqa: A002 - its name
    """Deliver a body as the provider does."""
    sent = str(int(time.time()))
    signature = hmac.digest(secret, f"{id}.{sent}.{body}".encode(), "sha256")
    headers = {
        "webhook-id": id,
        "webhook-timestamp": sent,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/webhook", body, headers)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def wait_until(reached: Callable[[], bool], pause: float = 0.02) -> None:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(pause)


def listens(port: int) -> bool:
    """Return whether a server has started."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def serve(oneloop_sandbox: Sandbox, settings: Settings) -> Iterator[Callable[..., int]]:
    """Return a function that serves the application in a thread, and returns its port."""
    with ExitStack() as stack:

        def served(**changes: float) -> int:
            port = free_port()
            app = create_app(replace(settings, **changes))
            config = uvicorn.Config(app, port=port, log_level="warning")
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(setattr, server, "should_exit", True)
            wait_until(lambda: listens(port))
            return port

        yield served


@pytest.fixture
def port(serve: Callable[..., int]) -> int:
    """Return the port of a server."""
    return serve()


PROGRAM = """
import sys, uvicorn
from webhook import Settings, create_app
settings = eval(sys.argv[2], {"Settings": Settings})
uvicorn.run(create_app(settings), port=int(sys.argv[1]), log_level="warning")
"""


class Server:
    """A server that is a process of its own, and can be killed and started again."""

    def __init__(self, settings: Settings) -> None:
        self.port = free_port()
        self.settings = f"Settings(**{vars(settings)!r})"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process."""
        program = [sys.executable, "-c", PROGRAM, str(self.port), self.settings]
        self.process = subprocess.Popen(program, cwd=Path(__file__).parent)

    def kill(self) -> None:
        """End the process at once."""
        assert self.process is not None
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL

    def stop(self) -> None:
        """End the process in good order."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


@pytest.fixture
def servers(oneloop_sandbox: Sandbox, settings: Settings) -> Iterator[list[Server]]:
    """Return two servers that share a ledger."""
    with ExitStack() as stack:
        servers = [Server(replace(settings, budget=1.5)) for _ in range(2)]
        for server in servers:
            stack.callback(server.stop)
            server.start()
        wait_until(lambda: all(listens(server.port) for server in servers))
        yield servers


def total(sandbox: Sandbox) -> int:
    """Return the credits of the meter, once everything that is late has happened."""
    sandbox.apply_late()
    return sandbox.meter(**METER).total_credits


def received(sandbox: Sandbox, operation: str) -> int:
    """Return how many calls of an operation the API has received."""
    return sum(one.operation == operation for one in sandbox.requests)


def applied(sandbox: Sandbox) -> int:
    """Return how many refills took effect."""
    return sum(one.operation == "refillBillingLimit" and one.applied for one in sandbox.requests)


# Deliveries


@ledgers
def test_an_event_refills_once(port: int, oneloop_sandbox: Sandbox) -> None:
    """However often it is delivered; another event refills again."""
    assert [Event("evt_1").deliver(port) for _ in range(3)] == [200, 200, 200]
    assert total(oneloop_sandbox) == 1500
    assert Event("evt_2", credits=7).deliver(port) == 200
    assert total(oneloop_sandbox) == 1507


@ledgers
def test_deliveries_at_the_same_time_refill_once(
    serve: Callable[..., int], oneloop_sandbox: Sandbox
) -> None:
    """They may reach several servers. Those that come too early are to be delivered again."""
    ports = [serve(), serve()]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(Event("evt_1").deliver, ports * 4))
    assert set(answers) <= {200, 503}
    assert 200 in answers
    for port in ports:
        Event("evt_1").deliver_until_taken(port)
    assert total(oneloop_sandbox) == 1500
    assert applied(oneloop_sandbox) == 1


@pytest.mark.parametrize("fault", Fault.names())
def test_every_fault(fault: str, serve: Callable[..., int], oneloop_sandbox: Sandbox) -> None:
    """Whatever happens to the refill, the meter is refilled once."""
    port = serve(pause=PATIENCE)  # the deliveries alone settle it
    oneloop_sandbox.misbehave(fault, operation="refill_billing_limit")
    Event("evt_1").deliver(port)
    oneloop_sandbox.apply_late()
    Event("evt_1").deliver_until_taken(port)
    assert total(oneloop_sandbox) == 1500
    assert applied(oneloop_sandbox) == 1


@pytest.mark.parametrize("fault", ["drop-before", "drop-after", "503"])
def test_nobody_delivers_it_again(
    fault: str, port: int, settings: Settings, oneloop_sandbox: Sandbox
) -> None:
    """The background job finishes it, even if the meter cannot be read for a while."""
    oneloop_sandbox.misbehave(fault, operation="refill_billing_limit")
    oneloop_sandbox.misbehave("503", operation="get_customer_billing", rate=0.5, times=4, seed=1)
    Event("evt_1").deliver(port)
    with Ledger(settings.ledger) as ledger:
        wait_until(lambda: all(one.state is State.APPLIED for one in ledger.refills()))
    assert total(oneloop_sandbox) == 1500


def test_somebody_else(port: int, settings: Settings, oneloop_sandbox: Sandbox) -> None:
    """If somebody else refills the meter meanwhile, nothing is guessed: a person has to look."""
    oneloop_sandbox.misbehave("hang", operation="refill_billing_limit")
    with ThreadPoolExecutor(1) as pool, Oneloop() as other:
        delivery = pool.submit(Event("evt_1").deliver, port)
        wait_until(lambda: received(oneloop_sandbox, "refillBillingLimit") > 0)
        other.refill_billing_limit(**METER, refill=7)
    assert delivery.result() == 503
    with Ledger(settings.ledger) as ledger:
        wait_until(lambda: all(one.needs_decision for one in ledger.refills()))
        assert Event("evt_1").deliver(port) == 503
        assert Event("evt_2").deliver(port) == 503  # the same meter: it waits
        assert total(oneloop_sandbox) == 1007
        ledger.decide("evt_1", applied=False, note="the dashboard shows one refill, of 7")
    for event in (Event("evt_1"), Event("evt_2")):
        event.deliver_until_taken(port)
    assert total(oneloop_sandbox) == 2007


def test_what_cannot_succeed_is_taken(port: int, oneloop_sandbox: Sandbox) -> None:
    """Another delivery would not help, so the provider is told to stop; the log has an error."""
    oneloop_sandbox.misbehave("422", operation="refill_billing_limit")
    assert [Event("evt_1").deliver(port) for _ in range(2)] == [200, 200]
    assert total(oneloop_sandbox) == 1000


def test_a_meter_that_is_not_there_yet(
    port: int, oneloop_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The payment may come before the meter: it is delivered again until there is one."""
    meter = {**METER, "external_meter_id": "new"}
    event = Event("evt_1", customer="new")
    assert [event.deliver(port) for _ in range(2)] == [503, 503]
    assert "event evt_1: the refill was rejected: there is no meter 'new'" in caplog.text
    oneloop_sandbox.create_meter(**meter)
    assert [event.deliver(port) for _ in range(2)] == [200, 200]
    assert oneloop_sandbox.meter(**meter).total_credits == 500
    assert applied(oneloop_sandbox) == 1


def test_the_same_id_with_another_amount(port: int, oneloop_sandbox: Sandbox) -> None:
    """A person has to look; the meter keeps the first refill."""
    assert Event("evt_1").deliver(port) == 200
    assert Event("evt_1", credits=501).deliver(port) == 409
    assert total(oneloop_sandbox) == 1500


def test_our_key_is_refused(port: int, oneloop_sandbox: Sandbox) -> None:
    """The event is delivered again, and refills once the key is right."""
    oneloop_sandbox.misbehave("401", operation="refill_billing_limit")
    assert Event("evt_1").deliver(port) == 503
    Event("evt_1").deliver_until_taken(port)
    assert total(oneloop_sandbox) == 1500


# Servers that are killed

MOMENTS = (
    ("hang", "get_customer_billing", "getCustomerBilling"),  # it was not sent
    ("hang", "refill_billing_limit", "refillBillingLimit"),  # it was sent, and will not happen
    ("late-apply", "refill_billing_limit", "refillBillingLimit"),  # it happens after the death
    ("slow-headers", "refill_billing_limit", "refillBillingLimit"),  # it has happened
    ("slow-body", "refill_billing_limit", "refillBillingLimit"),  # half of the answer is there
)
"""Faults of an operation that hold the server. It is killed when the API has got the call."""


@ledgers
def test_servers_are_killed(servers: list[Server], oneloop_sandbox: Sandbox) -> None:
    """Two servers get each event twice and at once, and are killed. It refills the meter once."""
    with ThreadPoolExecutor(4) as pool:
        for number, (fault, operation, called) in enumerate(MOMENTS, 1):
            parameters = {"seconds": 0.1} if fault == "late-apply" else {}
            oneloop_sandbox.misbehave(fault, operation=operation, **parameters)
            event, before = Event(f"evt_{number}"), received(oneloop_sandbox, called)
            deliveries = [pool.submit(event.deliver, server.port) for server in servers * 2]
            wait_until(lambda: received(oneloop_sandbox, called) > before)  # noqa: B023 - at once
            for server in servers:
                server.kill()
            assert {one.result() for one in deliveries} <= {0, 503}, fault
            for server in servers:
                server.start()
            # As the provider does not know when they are back, the first ones do not reach them.
            list(pool.map(event.deliver_until_taken, [server.port for server in servers] * 2))
            assert total(oneloop_sandbox) == 1000 + 500 * number, fault
            assert applied(oneloop_sandbox) == number, fault


@ledgers
def test_the_other_server_goes_on(servers: list[Server], oneloop_sandbox: Sandbox) -> None:
    """One server is killed during a refill, and not started again. The other finishes it."""
    oneloop_sandbox.misbehave("slow-headers", operation="refill_billing_limit")
    first, second = servers
    with ThreadPoolExecutor(1) as pool:
        delivery = pool.submit(Event("evt_1").deliver, first.port)
        wait_until(lambda: received(oneloop_sandbox, "refillBillingLimit") > 0)
        first.kill()
    assert delivery.result() == 0
    Event("evt_1").deliver_until_taken(second.port)
    assert total(oneloop_sandbox) == 1500


# What is no event


def test_a_wrong_signature(port: int, oneloop_sandbox: Sandbox) -> None:
    """Whoever does not know the secret refills nothing."""
    assert Event("evt_1").deliver(port, secret=b"another") == 401
    assert total(oneloop_sandbox) == 1000


def test_signatures() -> None:
    """The id, the time and each byte of the body are signed, and the time is near."""
    # The example of https://www.standardwebhooks.com
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    now = 1614265330
    assert is_signed(secret, headers, body, now)
    both = {"webhook-signature": "v1,AAAA v1a,BBBB " + headers["webhook-signature"]}
    assert is_signed(secret, headers | both, body, now + TOLERANCE)
    assert not is_signed(secret, headers, body, now + TOLERANCE + 1)
    assert not is_signed(secret, headers, body, now - TOLERANCE - 1)
    assert not is_signed(secret, headers, body + b" ", now)
    assert not is_signed(b"another", headers, body, now)
    for name in headers:
        for value in ("", "1614265331", "v1,", "\xe9", "9" * 5000):
            assert not is_signed(secret, headers | {name: value}, body, now)


def test_other_events(port: int, oneloop_sandbox: Sandbox) -> None:
    """What is signed but makes no sense is an error, and what is not for us is taken."""
    event = '{"type": "payment.%s", "data": {"customer": "acme", "credits": %s}}'
    for body, status in (
        ("", 400),
        ("{}", 400),
        ('{"type": "payment.succeeded"}', 400),
        (event % ("succeeded", '"5"'), 400),
        (event % ("succeeded", "-5"), 400),
        (event % ("succeeded", 2**60), 409),
        (event % ("failed", "5"), 200),
        (" " * (LARGEST_EVENT + 1), 413),
    ):
        assert deliver(port, "evt_1", body) == status
    assert total(oneloop_sandbox) == 1000


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing or wrong ends the program with a line."""
    monkeypatch.setenv("ONELOOP_WORKSPACE", "ws_1")
    for secret, words in ((None, "WEBHOOK_SECRET"), ("whsec_?", "not base64"), ("whsec_", "empty")):
        monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
        if secret is not None:
            monkeypatch.setenv("WEBHOOK_SECRET", secret)
        with pytest.raises(SystemExit, match=words):
            Settings.from_environment()
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_" + base64.b64encode(SECRET).decode())
    assert Settings.from_environment() == Settings(secret=SECRET, workspace="ws_1")
