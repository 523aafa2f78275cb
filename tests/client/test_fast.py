"""The fast transport: what is specific to its engine. Tests for all transports are elsewhere."""

import asyncio
import os
import random
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from pyreqwest.exceptions import (
    BuilderError,
    ConnectError,
    ConnectTimeoutError,
    DecodeError,
    DetailedPyreqwestError,
    NetworkError,
    RequestPanicError,
)
from pyreqwest.response import ResponseBuilder

from oneloop import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AsyncOneloop,
    ConfigurationError,
    Oneloop,
    Outcome,
    ResponseTooLargeError,
    RetryPolicy,
    Timeout,
    _attempt,
    _fast,
)
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Limits, Request
from oneloop_api.api.v1 import refill_billing_limit
from oneloop_core import Call
from tests.calling import REFILL, ClientKind, an_operation
from tests.tools.failures import LIMIT, endlessly, full_backlog, raw, read_request, slowly, talking

ONCE = RetryPolicy(attempts=1)
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}'


@pytest.fixture(params=["sync-fast", "async-fast"])
def kind(request: pytest.FixtureRequest) -> ClientKind:
    """Return each client with the fast transport."""
    return ClientKind(request.param)


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    """Listen on a port without accepting connections, and yield the socket and its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


# Selecting the transport


@pytest.mark.parametrize("client", [Oneloop, AsyncOneloop])
@pytest.mark.parametrize("thread", ["main", "other"])
def test_without_the_extra_the_error_says_what_to_install(
    thread: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyreqwest, creating a client fails with an error that says what to install."""
    for name in [*sys.modules]:
        if name.partition(".")[0] == "pyreqwest":
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "oneloop._fast")
    monkeypatch.delattr("oneloop._fast")
    with ThreadPoolExecutor() as pool:
        made = pool.submit(client, api_key="sdk", transport="fast") if thread == "other" else None
        with pytest.raises(ConfigurationError, match=r"pip install 'oneloop\[fast\]'"):
            made.result() if made else client(api_key="sdk", transport="fast")


@pytest.mark.parametrize("client", [Oneloop, AsyncOneloop])
def test_another_name_is_refused(client: Any) -> None:
    """An unknown transport name is refused."""
    with pytest.raises(ConfigurationError, match="got 'quick'"):
        client(api_key="sdk", transport="quick")


LOADED = """
import sys
from oneloop import APIConnectionError, Oneloop

client = Oneloop(api_key="sdk", base_url="http://127.0.0.1:1", transport="fast")
try:
    client.get_workspace_by_id(workspace_id="ws_1")
except APIConnectionError:
    print(*sys.modules)
"""


def test_a_call_loads_no_other_engine() -> None:
    """A call with the fast transport imports neither httpx nor what only proxies and TLS need."""
    program = [sys.executable, "-c", LOADED]
    loaded = subprocess.run(program, capture_output=True, text=True, timeout=30, check=True).stdout
    assert "pyreqwest" in loaded.split()
    assert not {*loaded.split()} & {"httpx", "httpcore", "certifi", "urllib.request"}


LOADED_ON_A_THREAD = """
import sys, threading
from oneloop import Oneloop

def refill():
    with Oneloop(transport="fast") as client:
        client.refill_billing_limit(workspace_id="ws_1", external_meter_id="acme", refill=1)
    print("done")

for _ in range(20):
    thread = threading.Thread(target=refill)
    thread.start()
    thread.join()
print(threading.active_count())
"""


def test_the_engine_may_be_loaded_on_a_thread_that_ends(sandbox: Sandbox) -> None:
    """A thread that loads the engine may end; its allocator must not crash a later thread."""
    environment = {
        **os.environ,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_BASE_URL": sandbox.url,
    }
    program = [sys.executable, "-c", LOADED_ON_A_THREAD]
    result = subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "done\n" * 20 + "2\n"  # the main thread, and one that stays


ENDS = """
import asyncio, sys
from oneloop import AsyncOneloop

async def main():
    client = AsyncOneloop(transport="fast")
    async def refill():
        await client.refill_billing_limit(workspace_id="ws_1", external_meter_id="acme", refill=1)
    await refill()
    tasks = [asyncio.create_task(refill()) for _ in range(20)]
    await asyncio.sleep(float(sys.argv[1]))

asyncio.run(main())
"""


def test_a_process_may_end_while_answers_arrive(sandbox: Sandbox) -> None:
    """A process may end while the engine passes responses to asyncio, and is not aborted."""
    environment = {
        **os.environ,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_BASE_URL": sandbox.url,
    }
    for number in range(25):
        program = [sys.executable, "-c", ENDS, str(0.002 + number % 5 / 1000)]
        result = subprocess.run(
            program, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (result.returncode, result.stderr) == (0, "")


# No request is sent twice


def torment(connection: socket.socket, seen: Counter[str], chance: random.Random) -> None:
    """Count requests by meter, and close or reset the connection at random moments."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while request := read_request(connection):
        name = re.search(rb'"externalMeterId":"([^"]*)"', request)
        assert name is not None
        seen[name[1].decode()] += 1
        what = chance.random()
        if what < 0.2:
            return  # closed after the request was read
        if what < 0.25:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return  # reset after the request was read
        connection.sendall(OK)
        if what < 0.6:
            time.sleep(chance.choice([0, chance.random() * 0.0005]))
            return  # closed after the response, just as the next request is sent


def test_the_engine_sends_nothing_twice(kind: ClientKind) -> None:
    """No request is sent twice if connections end at random: idle, while sending or while waiting.

    A request that was received is never reported as not sent, even if its response is lost.
    """
    seen: Counter[str] = Counter()
    outcomes: dict[str, Outcome | None] = {}
    chance = random.Random(1)  # noqa: S311 - repeatable, not secret

    def serve(listener: socket.socket) -> None:
        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                torment(connection, seen, chance)

        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    def arguments(name: str) -> dict[str, Any]:
        return {**REFILL, "external_meter_id": name}

    def with_threads(options: dict[str, Any]) -> None:
        def refill(worker: int) -> None:
            for number in range(200):
                name = f"{worker}-{number}"
                try:
                    client.refill_billing_limit(**arguments(name))
                except APIError as error:
                    outcomes[name] = error.outcome
                else:
                    outcomes[name] = None

        with kind.client(**options) as client:
            threads = [threading.Thread(target=refill, args=(one,)) for one in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    async def with_tasks(options: dict[str, Any]) -> None:
        async def refill(worker: int) -> None:
            for number in range(200):
                name = f"{worker}-{number}"
                try:
                    await client.refill_billing_limit(**arguments(name))
                except APIError as error:
                    outcomes[name] = error.outcome
                else:
                    outcomes[name] = None

        async with kind.client(**options) as client:
            await asyncio.gather(*(refill(one) for one in range(4)))

    with listening() as (listener, url):
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        options = {"api_key": "sdk", "base_url": url, "retry": ONCE}
        with_threads(options) if kind.name == "sync" else asyncio.run(with_tasks(options))
        time.sleep(0.1)
    assert len(outcomes) == 800
    assert max(seen.values()) == 1
    assert {outcome for name, outcome in outcomes.items() if seen[name]} <= {None, Outcome.UNKNOWN}
    assert all(seen[name] for name, outcome in outcomes.items() if outcome is None)
    assert sum(outcome is None for outcome in outcomes.values()) > 300


def test_http_2_is_not_spoken(
    kind: ClientKind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """HTTP/2 is not used even if the server offers it: over it, the engine repeats requests."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert("127.0.0.1").configure_cert(context)
    spoken: list[Any] = []

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            spoken.append(secure.selected_alpn_protocol())
            spoken.append(read_request(secure).split(b"\r\n")[0].rpartition(b" ")[2])
            secure.sendall(OK)

    with talking(talk, "https") as server:
        assert kind.refill(api_key="sdk", base_url=server.url, retry=ONCE).billing is None
    assert spoken in (["http/1.1", b"HTTP/1.1"], [None, b"HTTP/1.1"])


def test_a_cancelled_call_is_not_sent_later() -> None:
    """A cancelled call is not sent later: the engine still connects, but its body is withdrawn."""
    heard: list[bytes] = []

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
            address = listener.getsockname()
            ahead = [socket.socket() for _ in range(4)]
            for one in ahead:
                one.setblocking(False)
                one.connect_ex(address)
            url = f"http://127.0.0.1:{address[1]}"
            async with AsyncOneloop(api_key="sdk", base_url=url, transport="fast") as client:
                task = asyncio.create_task(client.refill_billing_limit(**REFILL))
                await asyncio.sleep(0.2)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                for one in ahead:
                    one.close()
                listener.settimeout(2.5)  # the kernel tries to connect again after 1 s and 3 s
                with suppress(TimeoutError):
                    while True:
                        connection, _ = await asyncio.to_thread(listener.accept)
                        with connection:
                            connection.settimeout(1)
                            with suppress(OSError):
                                heard.append(await asyncio.to_thread(connection.recv, 65536))

    asyncio.run(main())
    assert heard  # there were connections, but nothing was sent on them
    assert b"".join(heard) == b""


def test_a_body_is_handed_over_once_and_not_after_it_is_withdrawn() -> None:
    """A body is handed over once, never after `withdraw`, which returns whether it already was."""
    body = _fast._Body(b"{}")
    assert [*body] == [b"{}"]
    assert body.withdraw()
    withdrawn = _fast._Body(b"{}")
    assert not withdrawn.withdraw()
    with pytest.raises(RuntimeError, match="the call has ended"):
        next(withdrawn)


# Whether a request was sent


def test_a_total_time_that_ends_while_connecting_is_not_sent(kind: ClientKind) -> None:
    """A call whose budget ends while connecting is known not to be sent."""
    with full_backlog() as server, pytest.raises(APITimeoutError) as caught:
        kind.refill(
            api_key="sdk",
            base_url=server.url,
            timeout=Timeout(connect=5),
            retry=RetryPolicy(attempts=1, budget=0.4),
        )
    assert caught.value.outcome is Outcome.NOT_SENT
    assert "no connection in time" in str(caught.value)


def test_a_total_time_that_ends_while_connecting_without_a_body_is_unknown(
    kind: ClientKind,
) -> None:
    """Without a body, a budget that ends while connecting leaves the outcome unknown."""
    with full_backlog() as server, pytest.raises(APITimeoutError) as caught:
        kind.respond(
            Call(an_operation("POST"), "/"),
            api_key="sdk",
            base_url=server.url,
            timeout=Timeout(connect=5),
            retry=RetryPolicy(attempts=1, budget=0.4),
        )
    assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "timeout",
    [0.4, Timeout(connect=5, read=0.4), Timeout(connect=None, read=0.4), Timeout(connect=0.4)],
    ids=["a number", "read first", "connect without limit", "connect first"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_a_body_a_connection_that_takes_too_long_is_not_sent(
    method: str, timeout: float | Timeout, kind: ClientKind
) -> None:
    """Without a body, the engine's connect timeout still proves that nothing was sent."""
    call = Call(an_operation(method), "/")
    with full_backlog() as server, pytest.raises(APITimeoutError) as caught:
        kind.respond(
            call,
            api_key="sdk",
            base_url=server.url,
            timeout=Timeout.of(timeout),
            retry=RetryPolicy(backoff=0, cap=0),
        )
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 3)
    assert "no connection in time" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "causes", "words", "sent", "passing"),
    [
        (ConnectError, ["client error (Connect)", "refused"], "cannot connect", False, True),
        (ConnectError, ["client error (SendRequest)", "reset"], "was lost: reset", True, True),
        (ConnectTimeoutError, ["client error (Connect)"], "no connection", False, True),
        (ConnectTimeoutError, ["operation timed out"], "no answer in time", True, True),
        (ConnectError, [_fast.CONNECTING, "tunnel error: no"], "the proxy refused", False, True),
        (ConnectError, [_fast.CONNECTING, f"{_fast.CERTIFICATE}: x"], "cannot", False, False),
        (DecodeError, ["invalid HTTP version parsed"], "the server broke HTTP", True, True),
        (NetworkError, [], "the connection was lost: words", True, True),
        (RequestPanicError, [], "words", True, False),
        (BuilderError, [], "words", True, False),
    ],
)
def test_the_engines_errors_are_told_by_their_causes(
    error: type[DetailedPyreqwestError], causes: list[str], words: str, sent: bool, passing: bool
) -> None:
    """Errors are classified by their causes: a ConnectError may concern a request that was sent."""
    details: Any = {"causes": [{"message": text} for text in causes] or None}
    found = _fast._translated(error("words", details), b"{}")
    assert words in f"{found.problem}: {found.detail}"
    assert (found.sent, found.passing) == (sent, passing)


FORK = """
import asyncio, os, signal, sys
from oneloop import APIConnectionError, AsyncOneloop, Oneloop

arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 1}

def refill(client):
    if isinstance(client, Oneloop):
        client.refill_billing_limit(**arguments)
    else:
        async def main():
            await client.refill_billing_limit(**arguments)
        asyncio.run(main())

client = (Oneloop if sys.argv[1] == "sync" else AsyncOneloop)(transport="fast")
if sys.argv[2] == "used":
    refill(client)
child = os.fork()
if child:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if sys.argv[2] == "used":
        refill(client)
    sys.exit(status)
signal.alarm(10)
try:
    refill(client)
    print("done", flush=True)
except APIConnectionError as error:
    print(error.outcome.name, error.attempts, error, flush=True)
"""


@pytest.mark.parametrize("before", ["used", "new"])
def test_after_a_fork_the_child_is_told(before: str, kind: ClientKind, sandbox: Sandbox) -> None:
    """After a fork, the child gets an error if its parent has already used the engine."""
    environment = {
        **os.environ,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_BASE_URL": sandbox.url,
    }
    program = [sys.executable, "-W", "error", "-c", FORK, kind.name, before]
    result = subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    if before == "new":
        assert result.stdout == "done\n"
    else:
        assert result.stdout.startswith("NOT_SENT 1 POST")
        assert "cannot open connections" in result.stdout
        assert "fork" in result.stdout


INTERRUPTED = """
import os, signal, threading
from oneloop import Oneloop, Timeout

arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
with Oneloop(transport="fast", timeout=Timeout(read=1)) as client:
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        client.refill_billing_limit(**arguments)
    except KeyboardInterrupt as interruption:
        print(interruption.__notes__[-1])  # Python 3.13 puts one of its own before it
    patient = client.with_options(timeout=30)  # the machine may be busy
    print(patient.refill_billing_limit(**arguments).billing.total_credits)
"""


def test_ctrl_c_is_noticed_when_the_attempt_ends(sandbox: Sandbox) -> None:
    """Ctrl-C takes effect when the attempt ends, as the engine does not check for signals."""
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
        "refill_billing_limit was interrupted: it may have happened",
        "1500",
    ]


# Reading responses


def answered(kind: ClientKind, answer: bytes, **options: Any) -> Any:
    """Return the response to a GET request that is answered with these bytes."""
    call = Call(an_operation("GET"), "/")
    with raw("", answer)() as server:
        options = {"api_key": server.api_key, "base_url": server.url, "retry": ONCE} | options
        return kind.respond(call, **options)


def test_headers_are_read_with_their_repetitions(kind: ClientKind) -> None:
    """Repeated headers are joined in order; a value that is not ASCII is replaced by U+FFFD."""
    head = b"HTTP/1.1 200 OK\r\nA: 1\r\nX: \xe9\r\nA: 2\r\nX: 5\r\nContent-Length: 2\r\n\r\n{}"
    headers = answered(kind, head).headers
    assert headers == {"a": "1, 2", "x": "\ufffd, 5", "content-length": "2"}


def test_an_answer_may_have_100_headers(kind: ClientKind) -> None:
    """A response may have 100 headers (the engine's limit) of 100 KiB in all (ours)."""
    line = b"X: " + b"y" * 1000 + b"\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\n{}"
    assert answered(kind, answer % (line * 99)).status == 200
    for lines, problem in (
        (b"X: y\r\n" * 100, "message head is too large"),
        (b"X: " + b"y" * 102_400 + b"\r\n", "more than 102400 bytes of headers"),
        (b"X: " + b"y" * 2_000_000 + b"\r\n", "message head is too large"),
    ):
        with pytest.raises(APIConnectionError, match=problem) as caught:
            answered(kind, answer % lines)
        assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("limit", [LIMIT, 200_000])
def test_an_endless_body_is_read_up_to_its_limit(limit: int, kind: ClientKind) -> None:
    """Reading an endless body stops at the limit, below and above the size of the read buffer."""
    serve = endlessly("HTTP/1.1 200 OK\n\n", b" " * 1000)
    with serve() as server, pytest.raises(ResponseTooLargeError) as caught:
        kind.refill(api_key="sdk", base_url=server.url, max_response_bytes=limit, retry=ONCE)
    assert caught.value.elapsed < 5


def test_an_endless_body_in_drips_ends_with_the_budget(kind: ClientKind) -> None:
    """An endless body in small parts ends with the budget, although each part arrives in time."""
    serve = slowly("HTTP/1.1 200 OK\n\n", b" " * 4000)
    with serve() as server, pytest.raises(APITimeoutError) as caught:
        kind.refill(api_key="sdk", base_url=server.url, retry=RetryPolicy(attempts=1, budget=1.2))
    assert 1 < caught.value.elapsed < 3


# Limits and settings


@pytest.mark.parametrize(
    ("limits", "steps"),
    [
        (Limits(5, 30, 60, 1), (5, 30)),
        (Limits(5, 20.5, 20.5, 1), (5, None)),
        (Limits(3, 3, 3, 1), (None, None)),
        (Limits(None, None, 60, 1), (None, None)),
        (Limits(5, 30, None, 1), (5, 30)),
        (Limits(40, 40, 60, 1), (38, 40)),
        (Limits(39, 40, 60, 1), (38, 40)),
        (Limits(60, 40, 60, 1), (38, 40)),
        (Limits(None, 40, None, 1), (38, 40)),
        (Limits(40, None, None, 1), (40, None)),
    ],
)
def test_a_step_has_a_limit_of_its_own_only_where_it_ends_first(
    limits: Limits, steps: tuple[float | None, float | None]
) -> None:
    """A step has a limit only if it ends before the total, so that most calls share an engine."""
    assert _fast._steps(limits) == steps


def test_engines_are_kept_for_a_few_limits(sandbox: Sandbox) -> None:
    """A client keeps a limited number of engines, even if each call has another timeout."""
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, transport="fast") as client:
        for number in range(_fast.KINDS + 3):
            client.with_options(timeout=10 + number).refill_billing_limit(**REFILL)
        for _ in range(3):
            client.refill_billing_limit(**REFILL)
        engines = client._transport._engine
        assert engines.cache_info().currsize == _fast.KINDS
        assert engines.cache_info().misses == _fast.KINDS + 4
    assert engines.cache_info().currsize == 0


def test_connections_are_kept_and_closed_with_the_client(kind: ClientKind) -> None:
    """Calls reuse a connection, and closing the client closes it."""
    events: list[str] = []

    def talk(connection: socket.socket) -> None:
        while read_request(connection):
            events.append("request")
            connection.sendall(OK)
        events.append("end")

    async def with_tasks(options: dict[str, Any]) -> None:
        async with kind.client(**options) as client:
            await client.refill_billing_limit(**REFILL)
            await client.refill_billing_limit(**REFILL)

    with talking(talk) as server:
        options: dict[str, Any] = {"api_key": "sdk", "base_url": server.url}
        if kind.name == "sync":
            with kind.client(**options) as client:
                client.refill_billing_limit(**REFILL)
                client.refill_billing_limit(**REFILL)
        else:
            asyncio.run(with_tasks(options))
        deadline = time.monotonic() + 5
        while len(events) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.sends() <= 1
    assert events == ["request", "request", "end"]


def test_certificates_may_be_named_by_their_folder(
    kind: ClientKind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SSL_CERT_DIR sets the trusted certificates, instead of those of certifi and the system."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)

    def talk(connection: socket.socket) -> bool:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            read_request(secure)
            secure.sendall(OK)
        return True

    with talking(talk, "https") as server:
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
        assert kind.refill(api_key="sdk", base_url=server.url, retry=ONCE).billing is None
        monkeypatch.delenv("SSL_CERT_DIR")
        with pytest.raises(APIConnectionError, match="invalid peer certificate") as caught:
            kind.refill(api_key="sdk", base_url=server.url)
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 1)


def test_a_file_of_certificates_that_is_not_there_is_said(
    kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing SSL_CERT_FILE is reported before anything is sent."""
    monkeypatch.setenv("SSL_CERT_FILE", "/not/there.pem")
    with pytest.raises(APIConnectionError, match="cannot open connections") as caught:
        kind.refill(api_key="sdk", base_url="https://oneloop.invalid")
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 1)


def test_a_url_that_is_none_to_the_engine_is_said(kind: ClientKind) -> None:
    """A base URL that the engine does not accept is reported before anything is sent."""
    with pytest.raises(APIConnectionError, match="cannot open connections") as caught:
        kind.refill(api_key="sdk", base_url="https://xn--a.test")
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 1)


def test_a_warm_connection_that_was_lost_may_have_carried_the_call(kind: ClientKind) -> None:
    """A request on a reused connection that is lost has an unknown outcome."""
    answers = iter([OK, b""])

    def talk(connection: socket.socket) -> None:
        for answer in answers:
            read_request(connection)
            connection.sendall(answer)

    async def with_tasks(options: dict[str, Any]) -> None:
        async with kind.client(**options) as client:
            await client.refill_billing_limit(**REFILL)
            await client.refill_billing_limit(**REFILL)

    def with_threads(options: dict[str, Any]) -> None:
        with kind.client(**options) as client:
            client.refill_billing_limit(**REFILL)
            client.refill_billing_limit(**REFILL)

    with talking(talk) as server:
        options: dict[str, Any] = {"api_key": "sdk", "base_url": server.url}
        with pytest.raises(APIConnectionError) as caught:
            with_threads(options) if kind.name == "sync" else asyncio.run(with_tasks(options))
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.UNKNOWN, 1)


def test_a_connection_that_the_server_ends_is_not_counted_on() -> None:
    """A connection that the server closes, or that was idle for long, is not relied on."""
    engine = _fast._Engine(None)
    answer = ResponseBuilder().header("Connection", "close").build_sync()
    engine.response(answer, bytearray())
    assert engine._idle == []
    assert engine.response(ResponseBuilder().build_sync(), bytearray()).status == 200
    assert len(engine._idle) == 1
    engine._idle = [time.monotonic() - _fast.KEEPALIVE - 1]
    request = Request("POST", "http://127.0.0.1", (), b"{}")
    assert isinstance(engine.body(request), _fast._Body)


def test_cancelled_calls_leave_room_for_others(sandbox: Sandbox) -> None:
    """Calls that are cancelled at any stage release their slots for later calls."""
    # Another meter than below, as some of these requests may arrive late.
    elsewhere = REFILL | {"external_meter_id": "other"}

    async def main() -> None:
        async with AsyncOneloop(
            api_key=sandbox.api_key, base_url=sandbox.url, transport="fast"
        ) as client:
            sandbox.misbehave("hang", times=1000)
            calls = [client.refill_billing_limit(**elsewhere) for _ in range(300)]
            tasks = [asyncio.create_task(call) for call in calls]
            for number, task in enumerate(tasks):
                if number % 3 == 0:
                    await asyncio.sleep(0)
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)
            sandbox.reset()
            await asyncio.gather(*(client.refill_billing_limit(**REFILL) for _ in range(150)))

    asyncio.run(main())
    meter = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    assert meter.total_credits == 1000 + 150 * 500


def test_a_call_that_waits_for_its_turn_has_the_rest_of_its_time(
    kind: ClientKind, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that a call waits for a slot counts towards its budget."""
    monkeypatch.setattr(_attempt, "MAX_CONNECTIONS", 1)
    sandbox.misbehave(Fault.slow_body(0.5), "hang")
    options: dict[str, Any] = {
        "api_key": sandbox.api_key,
        "base_url": sandbox.url,
        "retry": RetryPolicy(attempts=1, budget=1),
    }

    def with_threads() -> None:
        with kind.client(**options) as client:
            patient = client.with_options(retry=ONCE)
            first = threading.Thread(target=lambda: patient.refill_billing_limit(**REFILL))
            first.start()
            while not sandbox.requests:
                time.sleep(0.01)
            try:
                client.refill_billing_limit(**REFILL)
            finally:
                first.join()

    async def with_tasks() -> None:
        async with kind.client(**options) as client:
            patient = client.with_options(retry=ONCE)
            first = asyncio.create_task(patient.refill_billing_limit(**REFILL))
            while not sandbox.requests:
                await asyncio.sleep(0.01)
            try:
                await client.refill_billing_limit(**REFILL)
            finally:
                await first

    with pytest.raises(APITimeoutError) as caught:
        with_threads() if kind.name == "sync" else asyncio.run(with_tasks())
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.elapsed < 2


def test_the_operation_of_these_tests_is_the_refill() -> None:
    """The refill, with which these tests are made, is an operation that is not safe to repeat."""
    assert not refill_billing_limit.OPERATION.safe
