"""How connections open: names and their addresses, the time for it, and what is left behind."""

import asyncio
import errno
import gc
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from oneloop import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AsyncOneloop,
    Oneloop,
    Outcome,
    RetryPolicy,
    Timeout,
)
from oneloop._http._sockets import addresses, interleaved, wait, watch
from oneloop.sandbox import Sandbox
from tests import ROOT
from tests.calling import REFILL, SLACK, ClientKind
from tests.tools.failures import authority, full_backlog, refusing, talking

ONCE = RetryPolicy(attempts=1)
NAME = "localhost"
STREAM = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")


def address(url: str) -> tuple[Any, ...]:
    """Return the address of a server, as `socket.getaddrinfo` does."""
    host, _, port = url.rpartition("/")[2].rpartition(":")
    return (socket.AF_INET, *STREAM, (host, int(port)))


@contextmanager
def silent(number: int) -> Iterator[list[tuple[Any, ...]]]:
    """Yield addresses that answer nothing to an attempt to connect."""
    with ExitStack() as stack:
        yield [address(stack.enter_context(full_backlog()).url) for _ in range(number)]


def refused(number: int) -> list[tuple[Any, ...]]:
    """Return addresses on which nothing listens."""
    with refusing() as server:
        return [address(server.url)] * number


Found = Callable[[], list[tuple[Any, ...]]]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[[Found], None]:
    """Return a function that determines what is found when `NAME` is looked up."""
    look_up = socket.getaddrinfo

    def patch(result: Found) -> None:
        def patched(host: Any, *args: Any, **options: Any) -> Any:
            if host == NAME and not options.get("flags"):
                return result()
            return look_up(host, *args, **options)

        monkeypatch.setattr(socket, "getaddrinfo", patched)

    return patch


def options(**others: Any) -> dict[str, Any]:
    """Return the arguments of a client for the server `NAME`."""
    return {"api_key": "sdk", "base_url": f"http://{NAME}:1", "retry": ONCE, **others}


def failure(kind: ClientKind, **others: Any) -> APIError:
    """Return the error of a refill that is not sent."""
    with pytest.raises(APIError) as caught:
        kind.refill(**options(**others))
    assert caught.value.outcome is Outcome.NOT_SENT
    return caught.value


@pytest.fixture
def files() -> Iterator[None]:
    """Check that a test leaves no more files open than before, also without garbage collection."""
    opened = Path("/proc/self/fd")
    gc.collect()
    before = len([*opened.iterdir()])
    gc.disable()
    try:
        yield
        assert len([*opened.iterdir()]) == before
    finally:
        gc.enable()


# Several addresses


def test_addresses_are_tried_side_by_side(
    kind: ClientKind, found: Callable[[Found], None], files: None
) -> None:
    """An address that does not answer costs a quarter of a second, and its socket is closed."""
    with silent(2) as dead, talking(answering) as server:
        found(lambda: [*dead, address(server.url)])
        started = time.monotonic()
        kind.refill(**options(timeout=Timeout(connect=10)))
        assert 0.5 <= time.monotonic() - started < 5


@pytest.mark.parametrize("limit", ["connect", "budget"])
def test_all_addresses_have_one_limit(
    limit: str, kind: ClientKind, found: Callable[[Found], None], files: None
) -> None:
    """The connect timeout and the budget are those of all addresses together."""
    limits: dict[str, Any] = {"timeout": Timeout(connect=0.6)}
    if limit == "budget":
        limits = {"retry": RetryPolicy(attempts=1, budget=0.6)}
    with silent(40) as dead:
        found(lambda: dead)
        error = failure(kind, **limits)
    assert type(error) is APITimeoutError
    assert 0.6 <= error.elapsed < 0.6 + SLACK


def test_a_refused_address_is_followed_by_the_next_one_at_once(
    kind: ClientKind, sandbox: Sandbox, found: Callable[[Found], None]
) -> None:
    """The next address is not delayed by one that refuses."""
    found(lambda: [*refused(40), address(sandbox.url)])
    started = time.monotonic()
    kind.refill(**options(api_key=sandbox.api_key, timeout=Timeout(connect=10)))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "useless",
    [
        (999, *STREAM, ("127.0.0.1", 1)),
        (socket.AF_INET, *STREAM, ("255.255.255.255", 1)),
    ],
    ids=["unknown family", "unreachable"],
)
def test_an_address_that_cannot_be_used_is_followed_by_the_next_one(
    useless: tuple[Any, ...],
    kind: ClientKind,
    sandbox: Sandbox,
    found: Callable[[Found], None],
) -> None:
    """The system may not have a family of addresses, or no way to a network."""
    found(lambda: [useless, address(sandbox.url)])
    kind.refill(**options(api_key=sandbox.api_key))
    found(lambda: [useless, useless])
    assert type(failure(kind)) is APIConnectionError


def test_a_name_may_have_no_address(kind: ClientKind, found: Callable[[Found], None]) -> None:
    """An empty result of a lookup is an error with words of its own."""
    found(list)
    assert failure(kind).detail == "the host has no address"


def test_the_last_failure_is_in_the_error(kind: ClientKind, found: Callable[[Found], None]) -> None:
    """If all addresses refuse, the error says so."""
    found(lambda: refused(3))
    assert f"[Errno {errno.ECONNREFUSED}]" in str(failure(kind).detail)


def test_families_take_turns() -> None:
    """Addresses of both families are tried in turns, beginning with the system's first choice."""
    six = [(socket.AF_INET6, *STREAM, (f"::{number}", 1, 0, 0)) for number in range(3)]
    four = [(socket.AF_INET, *STREAM, (f"10.0.0.{number}", 1)) for number in range(2)]
    assert interleaved([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert interleaved([*four, *six]) == [four[0], six[0], four[1], six[1], six[2]]
    assert interleaved([]) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_is_not_looked_up(host: str) -> None:
    """A host that is an address needs no thread; a name does."""
    assert [found[4][0] for found in addresses(host, 80)] == [host]
    assert addresses("api.test", 80) == []
    assert addresses("a" * 64 + ".test", 80) == []


def test_a_cancelled_call_leaves_nothing_open(found: Callable[[Found], None], files: None) -> None:
    """A call that is cancelled while it connects closes the sockets of all addresses."""

    async def main() -> None:
        async with AsyncOneloop(**options()) as client:
            task = asyncio.create_task(client.refill_billing_limit(**REFILL))
            await asyncio.sleep(0.4)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with silent(3) as dead:
        found(lambda: dead)
        asyncio.run(main())


# Looking up names


@pytest.mark.parametrize("limit", ["connect", "budget"])
def test_a_slow_lookup_ends_in_time(
    limit: str, kind: ClientKind, found: Callable[[Found], None]
) -> None:
    """A lookup may take as long as it likes: the call ends, and the event loop is not blocked."""
    limits: dict[str, Any] = {"timeout": Timeout(connect=0.4)}
    if limit == "budget":
        limits = {"retry": RetryPolicy(attempts=1, budget=0.4)}
    finished = threading.Event()

    def look_up() -> list[tuple[Any, ...]]:
        finished.wait()
        return []

    async def main() -> None:
        async with AsyncOneloop(**options(**limits)) as client:
            task = asyncio.create_task(client.refill_billing_limit(**REFILL))
            await asyncio.sleep(0)
            assert not task.done()  # so the event loop goes on
            await asyncio.wait([task])
            finished.set()  # the end of the event loop waits for its threads
            await task

    found(look_up)
    with pytest.raises(APITimeoutError) as caught:
        kind.refill(**options(**limits)) if kind.name == "sync" else asyncio.run(main())
    finished.set()
    assert caught.value.outcome is Outcome.NOT_SENT
    assert 0.4 <= caught.value.elapsed < 0.4 + SLACK


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (socket.gaierror(-3, "Temporary failure in name resolution"), 3),
        (UnicodeError("label too long"), 1),
    ],
    ids=["no answer", "no name"],
)
def test_a_lookup_that_fails_is_repeated_if_it_may_work_later(
    error: Exception, attempts: int, kind: ClientKind, found: Callable[[Found], None]
) -> None:
    """A name server may be back soon, but a bad name stays bad."""

    def look_up() -> list[tuple[Any, ...]]:
        raise error

    found(look_up)
    raised = failure(kind, retry=RetryPolicy(backoff=0))
    assert raised.attempts == attempts
    assert str(error) in str(raised.detail)


def test_without_a_thread_nothing_is_sent(
    kind: ClientKind, found: Callable[[Found], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has reached its limit of threads cannot look up names, which is NOT_SENT."""
    start = threading.Thread.start

    def patched(thread: threading.Thread) -> None:
        if thread.name.startswith(("oneloop-dns", "asyncio_")):
            raise RuntimeError("can't start new thread")
        start(thread)  # such as the one with which asyncio.run ends

    found(list)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", patched)
        error = failure(kind)
    assert error.detail == "no thread to prepare the connection: can't start new thread"


def test_certificates_are_read_outside_of_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading certificates does not block the event loop, and ends with the connect timeout."""
    finished = threading.Event()
    monkeypatch.setattr("oneloop._http._tls.is_loaded", lambda: False)
    monkeypatch.setattr("oneloop._http._tls.client_context", finished.wait)

    async def main() -> None:
        url, timeout = f"https://{NAME}", Timeout(connect=0.3)
        async with AsyncOneloop(**options(base_url=url, timeout=timeout)) as client:
            try:
                await client.refill_billing_limit(**REFILL)
            finally:
                finished.set()

    with pytest.raises(APITimeoutError, match="no connection in time") as caught:
        asyncio.run(main())
    assert caught.value.outcome is Outcome.NOT_SENT


# Without select.poll, as on Windows and under eventlet

WITHOUT_POLL = """
import asyncio, select, socket, sys
del select.poll

from oneloop import AsyncOneloop, Oneloop, RetryPolicy, Timeout

look_up = socket.getaddrinfo
plain, secure, dead = (int(port) for port in sys.argv[1:4])

def found(host, port, *args, **options):
    if host == "oneloop.invalid" and not options.get("flags"):
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, ("127.0.0.1", dead)), (*kind, ("127.0.0.1", port))]
    return look_up(host, port, *args, **options)

socket.getaddrinfo = found
large = {"workspace_id": "ws_1", "external_meter_id": "x" * 3_000_000, "refill": 1}
options = {"api_key": "sdk_test", "allow_http": True, "retry": RetryPolicy(attempts=1)}
urls = [f"http://oneloop.invalid:{plain}", f"https://oneloop.invalid:{secure}"]

for url in urls:
    with Oneloop(base_url=url, **options) as client:
        for _ in range(3):
            assert client.refill_billing_limit(**large).billing is None

async def main(url):
    async with AsyncOneloop(base_url=url, **options) as client:
        for _ in range(3):
            assert (await client.refill_billing_limit(**large)).billing is None

for url in urls:
    asyncio.run(main(url))
"""

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}'


def answering(connection: Any) -> None:
    """Answer each request on a connection."""
    while request := connection.recv(65536):
        head, _, body = request.partition(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length: ")[2].split()[0]) - len(body)
        while left > 0:
            left -= len(connection.recv(1_000_000))
        connection.sendall(OK)


def test_select_poll_is_not_needed(tmp_path: Path) -> None:
    """Both clients connect, send and read large bodies, and reuse connections without it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert("oneloop.invalid").configure_cert(context)
    authority().cert_pem.write_to_path(tmp_path / "ca.pem")

    def answering_over_tls(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            answering(secure)

    with talking(answering) as plain, talking(answering_over_tls) as secure, silent(1) as dead:
        ports = [plain.url.rpartition(":")[2], secure.url.rpartition(":")[2], str(dead[0][4][1])]
        environment = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", WITHOUT_POLL, *ports],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (result.returncode, result.stderr) == (0, "")
    assert (plain.sends(), secure.sends()) == (2, 2)


@pytest.mark.parametrize("has_poll", [True, False])
def test_waiting_tells_which_sockets_are_ready(
    has_poll: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of waiting agree, also about an attempt to connect that has failed."""
    if not has_poll:
        monkeypatch.delattr("select.poll")
    one, other = socket.socketpair()
    other.close()
    with one, silent(1) as dead:
        assert wait([], [one], 5) == ([], [one])
        assert wait([one], [one], 5) == ([one], [one])
        assert watch(one)(5)
        for found, ready in ((dead[0], False), (refused(1)[0], True)):
            with socket.socket() as trying:
                trying.setblocking(False)
                trying.connect_ex(found[4])
                assert wait([], [trying], 5 if ready else 0) == ([], [trying] * ready)
                assert not ready or trying.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    one, other = socket.socketpair()
    with one, other:
        assert not watch(one)(0)
        assert wait([one], [], 0) == ([], [])
        other.send(b"x")
        assert watch(one)(None)
        assert wait([one], [one], None) == ([one], [one])


# Limits that are taken away


@pytest.mark.parametrize("name", ["127.0.0.1", NAME])
def test_there_may_be_no_limit(
    name: str, kind: ClientKind, sandbox: Sandbox, found: Callable[[Found], None]
) -> None:
    """Without a timeout and a budget, each step waits for as long as it takes."""
    found(lambda: [address(sandbox.url)])
    kind.refill(
        **options(
            api_key=sandbox.api_key,
            base_url=sandbox.url.replace("127.0.0.1", name),
            timeout=None,
            retry=RetryPolicy(budget=None),
        )
    )


def test_threads_share_the_time_to_connect(
    found: Callable[[Found], None], sandbox: Sandbox
) -> None:
    """Several threads may look up names and connect at the same time."""
    found(lambda: [address(sandbox.url)])
    with Oneloop(**options(api_key=sandbox.api_key)) as client:
        threads = [
            threading.Thread(target=client.refill_billing_limit, kwargs=REFILL) for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(sandbox.requests) == 10
