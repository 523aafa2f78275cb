"""The transports: proxies, certificates, limits and closing, over real sockets."""

import asyncio
import gc
import pickle
import socket
import ssl
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import trustme

from oneloop import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AsyncOneloop,
    Oneloop,
    Outcome,
    RetryPolicy,
    ServerError,
    Timeout,
    _attempt,
    _fast,
    _pool,
)
from oneloop._environment import is_loopback
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Limits, Request, ResponseTooLarge, TransportError
from oneloop_core import Call
from tests.calling import KINDS, REFILL, ClientKind, an_operation, sending
from tests.tools.failures import read_request, talking

ONCE = RetryPolicy(attempts=1)
LOOPBACK = ["localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"]
ELSEWHERE = ["api.test", "10.0.0.1", "::2", "::ffff:1.2.3.4", "127.0.0.256", "127.0.0.1.v2", "v2"]
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}'


@pytest.mark.parametrize("host", [*LOOPBACK, *ELSEWHERE])
def test_this_machine_is_known_by_name_or_address(host: str) -> None:
    """Only `localhost` and loopback addresses are local; a name like an address may be anywhere."""
    assert is_loopback(host) == (host in LOOPBACK)


def test_a_call_goes_through_the_proxy(kind: ClientKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call reaches a host that does not exist through the proxy in `http_proxy`."""
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        heard.append(read_request(connection))
        connection.sendall(OK)

    with talking(talk) as server:
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.setenv("no_proxy", "")
        kind.refill(api_key="sdk", base_url="http://oneloop.invalid", allow_http=True)
    assert heard[0].startswith(b"POST http://oneloop.invalid/api/v1/")


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("socks5://127.0.0.1:1", "a SOCKS proxy requires the package socksio"),
        ("gopher://a", "proxy URL in HTTPS_PROXY or ALL_PROXY: gopher://..."),
        ("http://u:p4ss/w@a:80", "proxy URL in HTTPS_PROXY or ALL_PROXY: http://..."),
        ("u:p4ss@a:0", "proxy URL in HTTPS_PROXY or ALL_PROXY: http://..."),
        ("u:p4ss@a://", "proxy URL in HTTPS_PROXY or ALL_PROXY: ://..."),
    ],
)
def test_a_proxy_that_cannot_be_used_is_said_before_anything_is_sent(
    kind: ClientKind, monkeypatch: pytest.MonkeyPatch, proxy: str, reason: str
) -> None:
    """An unusable proxy URL ends in one clear error, NOT_SENT, which does not show its password."""
    if kind.via == "fast" and proxy.startswith("socks"):
        pytest.skip("the fast engine needs no other package for SOCKS")
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(APIConnectionError, match="cannot open connections") as caught:
        kind.refill(api_key="sdk", base_url="https://oneloop.invalid")
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.attempts == 1
    assert str(caught.value.detail).endswith(reason)
    assert "p4ss" not in str(caught.value)


def test_a_proxy_may_want_a_password(
    sandbox: Sandbox, kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password in a proxy URL is percent-decoded, and the error does not show it."""
    monkeypatch.setenv("https_proxy", sandbox.url.replace("//", "//user:p%40ss@"))
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(APIConnectionError, match="the proxy refused") as caught:
        kind.refill(api_key="sdk", base_url="https://oneloop.invalid", retry=ONCE)
    assert "p@ss" not in str(caught.value)
    assert _pool._proxy("http://user:p%40ss@a:1").auth == (b"user", b"p@ss")


def test_a_proxy_that_refuses_was_not_passed(
    sandbox: Sandbox, kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a proxy answers CONNECT with an error, as the sandbox does, the call is NOT_SENT."""
    monkeypatch.setenv("https_proxy", sandbox.url)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(APIConnectionError, match="the proxy refused") as caught:
        kind.refill(api_key="sdk", base_url="https://oneloop.invalid", retry=ONCE)
    assert caught.value.outcome is Outcome.NOT_SENT


def test_a_certificate_that_the_machine_trusts_is_accepted(
    kind: ClientKind, tls_context: ssl.SSLContext
) -> None:
    """A certificate that is issued by an authority in SSL_CERT_FILE is accepted."""

    def talk(connection: Any) -> None:
        with tls_context.wrap_socket(connection, server_side=True) as secure:
            while b"}" not in secure.recv(4096):
                pass
            secure.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}')

    with talking(talk, "https") as server:
        assert kind.refill(api_key="sdk", base_url=server.url, retry=ONCE).billing is None


@pytest.mark.parametrize("limits", [{"timeout": None}, {"retry": RetryPolicy(budget=None)}])
def test_limits_may_be_taken_away(
    limits: dict[str, Any], sandbox: Sandbox, kind: ClientKind
) -> None:
    """A timeout or a budget of None means no limit."""
    answer = kind.refill(api_key=sandbox.api_key, base_url=sandbox.url, **limits)
    assert answer.billing.total_credits == 1500


def test_connections_are_kept(sandbox: Sandbox) -> None:
    """Consecutive calls use the same connection."""
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        for _ in range(3):
            client.refill_billing_limit(**REFILL)
        (pool,) = client._transport._pools.values()
        assert len(pool.idle.waiting) == 1


def test_a_connection_that_has_waited_too_long_is_closed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was idle for too long is closed, as its server may be about to close it."""
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.refill_billing_limit(**REFILL)
        (old,) = connections(client)
        monkeypatch.setattr(_pool, "KEEPALIVE", -1.0)
        client.refill_billing_limit(**REFILL)
        (new,) = connections(client)
        assert old.is_closed()
        assert new is not old


OWN = {"sync": httpx.Client, "async": httpx.AsyncClient}


@pytest.mark.parametrize("kind", KINDS, indirect=True)
@pytest.mark.parametrize("what", ["slow-body", "slow-headers"])
def test_an_answer_in_drips_does_not_outlive_the_budget(
    what: str, sandbox: Sandbox, kind: ClientKind
) -> None:
    """A response that arrives in drips, each part in time, ends in a timeout after the budget."""
    if (kind.name, kind.via, what) == ("sync", "own", "slow-headers"):
        pytest.skip("httpx has no limit for it, and the client is the application's own")
    sandbox.misbehave(Fault.slow_body(30) if what == "slow-body" else Fault.slow_headers(30))
    with pytest.raises(APITimeoutError) as caught:
        kind.refill(
            api_key=sandbox.api_key,
            base_url=sandbox.url,
            retry=RetryPolicy(attempts=1, budget=0.5),
        )
    assert caught.value.outcome is Outcome.UNKNOWN
    assert 0.5 <= caught.value.elapsed < 1.5


@pytest.mark.parametrize("own", [False, True], ids=["pool", "own client"])
def test_a_call_that_nothing_else_ends_is_cancelled(
    own: bool, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a last resort, an async call is cancelled; here this limit comes before all others."""
    monkeypatch.setattr(_attempt, "GRACE", -0.9)
    sandbox.misbehave("hang")
    with pytest.raises(APITimeoutError, match="within the total time") as caught:
        ClientKind("async").refill(
            api_key=sandbox.api_key,
            base_url=sandbox.url,
            http_client=httpx.AsyncClient() if own else None,
            retry=RetryPolicy(attempts=1, budget=1),
        )
    assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("method", "body", "lengths"),
    [
        ("POST", b'{"a": "\xc3\xa9"}', [b"11"]),
        ("POST", None, [b"0"]),
        ("POST", b"", [b"0"]),
        ("PATCH", None, [b"0"]),
        ("DELETE", None, []),
        ("GET", None, []),
    ],
)
@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_a_request_goes_out_as_it_is(
    kind: ClientKind, method: str, body: bytes | None, lengths: list[bytes]
) -> None:
    """A request has only our headers, Host and Content-Length, and none that an engine adds."""
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        heard.append(read_request(connection))
        connection.sendall(OK)

    with talking(talk) as server:
        call = Call(an_operation(method), "/a%2Fb/%25..?q=%27~", body=body)
        kind.respond(
            call, api_key="sdk", base_url=server.url, headers={"X-Team": "é".encode().hex()}
        )
    head, _, sent = heard[0].partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    pairs = [header.lower().split(b": ", 1) for header in headers]
    assert line == f"{method} /a%2Fb/%25..?q=%27~ HTTP/1.1".encode()
    assert sent == (body or b"")
    assert [value for name, value in pairs if name == b"content-length"] == lengths
    names = {name for name, _ in pairs} - {b"content-length", b"content-type"}
    ours = b"host accept accept-encoding authorization user-agent x-team".split()
    assert names == set(ours)
    assert dict(pairs)[b"accept-encoding"] == b"gzip, deflate"
    assert dict(pairs)[b"user-agent"].startswith(b"oneloop/")


def test_each_request_has_the_headers_of_its_own_call(kind: ClientKind) -> None:
    """Each request has the key, content type and length of its own call on a reused connection."""
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        while request := read_request(connection):
            heard.append(request)
            connection.sendall(OK)

    async def call(url: str) -> None:
        client = kind.client(api_key="sdk", base_url=url)

        async def send(client: Any, method: str, body: bytes | None) -> None:
            answer = client._respond(Call(an_operation(method), "/", body=body))
            if kind.name == "async":
                await answer

        for body in [b"1", b"22", b"1", None, b"22"]:
            await send(client, "POST", body)
            await send(client.with_options(api_key="other"), "GET", None)
            await send(client.with_options(link_token="sdk"), "POST", body)
        client.close() if kind.name == "sync" else await client.aclose()

    with talking(talk) as server:
        asyncio.run(call(server.url))
    headers_and_bodies = []
    for request in heard:
        head, _, body = request.partition(b"\r\n\r\n")
        pairs = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        names = (b"authorization", b"x-link-token", b"content-type", b"content-length")
        headers_and_bodies.append((*map(pairs.get, names), body))
    json = b"application/json"
    expected = []
    for body in [b"1", b"22", b"1", None, b"22"]:
        of_body = (json if body else None, b"%d" % len(body or b""), body or b"")
        expected += [
            (b"bearer sdk", None, *of_body),
            (b"bearer other", None, None, None, b""),
            (None, b"sdk", *of_body),
        ]
    assert headers_and_bodies == expected


@pytest.mark.parametrize("calls", [3, 1])
def test_a_call_that_is_cancelled_before_it_is_sent_loses_no_connection(
    calls: int, sandbox: Sandbox
) -> None:
    """If a call is cancelled while it closes an expired connection, no other connection is lost."""

    async def main() -> None:
        async with AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            await asyncio.gather(*(client.refill_billing_limit(**REFILL) for _ in range(calls)))
            (pool,) = client._transport._pools.values()
            kept = {connection for connection, _ in pool.idle.waiting}
            oldest, _ = pool.idle.waiting[0]
            pool.idle.waiting[0] = (oldest, time.monotonic() - 10)
            task = asyncio.create_task(client.refill_billing_limit(**REFILL))
            await asyncio.sleep(0)  # now it is closing the oldest
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            assert {connection for connection, _ in pool.idle.waiting} == kept - {oldest}
            assert oldest.is_closed()

    asyncio.run(main())
    assert len(sandbox.requests) == calls


@pytest.mark.parametrize(
    "error",
    [TransportError("no", sent=False, passing=False), ResponseTooLarge(200, (("A", "1"),))],
    ids=lambda error: type(error).__name__,
)
def test_what_a_transport_raises_survives_pickle_and_shows_no_more_than_its_kind(
    error: Any,
) -> None:
    """A transport's error can be pickled, and its repr quotes nothing that may be secret."""
    copy = pickle.loads(pickle.dumps(error))
    assert vars(copy) == vars(error)
    assert repr(error) in (
        "TransportError(sent=False, timeout=False, passing=False)",
        "ResponseTooLarge(200)",
    )


def test_a_step_that_would_begin_too_late_does_not_begin() -> None:
    """After the total time has run out, no further read is started."""
    attempt = _attempt.Attempt(Request("GET", "http://api", (), None), Limits(None, None, 0.0, 1))
    with pytest.raises(TimeoutError, match="the total time has run out"):
        attempt.left(5, TimeoutError)


def connections(client: Any) -> list[Any]:
    """Return a client's idle connections or, for the fast transport, one None for each engine."""
    if isinstance(client._transport, _fast.FastTransport | _fast.AsyncFastTransport):
        return [None] * client._transport._engine.cache_info().currsize
    (pool,) = client._transport._pools.values()
    return [connection for connection, _ in pool.idle.waiting]


def two_answers(connection: Any) -> None:
    """Answer each of two requests twice: with a 503, and with a 200 that nobody asked for."""
    for _ in range(2):
        read_request(connection)
        connection.sendall(
            b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}"
            b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}'
        )


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_what_comes_after_an_answer_is_nobodys_answer(kind: ClientKind) -> None:
    """A surplus response on a kept connection is not taken for the response to the next call."""
    with talking(two_answers) as server:
        http = OWN[kind.name]() if kind.via == "own" else None
        options: dict[str, Any] = {"api_key": "sdk", "base_url": server.url, "retry": ONCE}

        def with_threads() -> list[type[Exception]]:
            found: list[type[Exception]] = []
            with kind.client(http, **options) as client:
                for _ in range(3):
                    with pytest.raises(ServerError) as caught:
                        client.refill_billing_limit(**REFILL)
                    found.append(type(caught.value))
            return found

        async def with_tasks() -> list[type[Exception]]:
            found: list[type[Exception]] = []
            async with kind.client(http, **options) as client:
                for _ in range(3):
                    with pytest.raises(ServerError) as caught:
                        await client.refill_billing_limit(**REFILL)
                    found.append(type(caught.value))
            return found

        found = with_threads() if kind.name == "sync" else asyncio.run(with_tasks())
    assert found == [ServerError] * 3
    assert server.sends() == 3


class Secured:
    """The server's end of a TLS connection, over a socket or over another such end."""

    def __init__(self, outer: Any, context: ssl.SSLContext) -> None:
        self.outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inside = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def recv(self, size: int) -> bytes:
        """Return the next decrypted bytes, or nothing at the end."""
        while True:
            try:
                return self._inside.read(size)
            except ssl.SSLWantReadError:
                if data := self._outgoing.read():  # of the handshake
                    self.outer.sendall(data)
                if not (received := self.outer.recv(65536)):
                    return b""
                self._incoming.write(received)

    def sendall(self, *records: bytes) -> None:
        """Encrypt several records, and send them at once."""
        for record in records:
            self._inside.write(record)
        self.outer.sendall(self._outgoing.read())


@pytest.fixture
def tls_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """Return the TLS context of a server whose certificate the clients trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "oneloop.invalid").configure_cert(context)
    return context


BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}"
LONG = b"HTTP/1.1 503 Busy\r\nContent-Length: 65492\r\n\r\n".ljust(65536)
"""A response of exactly the size that is read from a connection at once."""


@pytest.mark.parametrize("way", ["http", "https", "broken https", "https proxy"])
@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_what_is_received_with_an_answer_is_nobodys_answer(
    kind: ClientKind, way: str, tls_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A surplus response is not used even if TLS or asyncio has already read it from the socket."""
    connections: list[Any] = []

    def talk(connection: Any) -> None:
        connections.append(connection)
        if way == "http":
            while read_request(connection):
                connection.sendall(LONG + OK)
            return
        secure = Secured(connection, tls_context)
        if way == "https proxy":
            read_request(secure)
            secure.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            secure = Secured(secure, tls_context)
        while read_request(secure):
            if way == "broken https":
                rubbish = b"\x17\x03\x03\x00\x05rubbish"
                secure._inside.write(BUSY)
                connection.sendall(secure._outgoing.read() + rubbish)
            else:
                secure.sendall(BUSY, OK)

    with talking(talk, "http" if way == "http" else "https") as server:
        url = server.url
        if way == "https proxy":
            monkeypatch.setenv("https_proxy", url)
            monkeypatch.setenv("no_proxy", "")
            url = "https://oneloop.invalid"
        http = OWN[kind.name]() if kind.via == "own" else None
        options: dict[str, Any] = {"api_key": "sdk", "base_url": url, "retry": ONCE}

        def with_threads() -> None:
            with kind.client(http, **options) as client:
                for _ in range(3):
                    with pytest.raises(APIError):
                        client.refill_billing_limit(**REFILL)
                    time.sleep(0.05)

        async def with_tasks() -> None:
            async with kind.client(http, **options) as client:
                for _ in range(3):
                    with pytest.raises(APIError):
                        await client.refill_billing_limit(**REFILL)
                    await asyncio.sleep(0.05)
            if http is not None:
                await http.aclose()

        if kind.name == "sync":
            with_threads()
            if http is not None:
                http.close()
        else:
            asyncio.run(with_tasks())
    assert len(connections) == 3


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", b""])
def test_a_proxy_with_tls_that_refuses_was_not_passed(
    answer: bytes, kind: ClientKind, tls_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a proxy with TLS refuses, the call is NOT_SENT: only CONNECT was sent through that TLS."""

    def talk(connection: Any) -> None:
        secure = Secured(connection, tls_context)
        read_request(secure)
        secure.sendall(answer)

    with talking(talk, "https") as server:
        monkeypatch.setenv("https_proxy", server.url)
        monkeypatch.setenv("no_proxy", "")
        retry = RetryPolicy(backoff=0)
        with pytest.raises(APIConnectionError) as caught:
            kind.refill(api_key="sdk", base_url="https://oneloop.invalid", retry=retry)
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 3)


def test_a_call_that_is_cancelled_in_the_handshake_ends_its_connection(
    tls_context: ssl.SSLContext,
) -> None:
    """A call that is cancelled during the TLS handshake closes its connection at once."""
    ended = threading.Event()

    def talk(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass
        ended.set()

    async def main(url: str) -> bool:
        async with AsyncOneloop(api_key="sdk", base_url=url) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await client.refill_billing_limit(**REFILL)
            return await asyncio.to_thread(ended.wait, 2)

    gc.disable()
    try:
        with talking(talk, "https") as server:
            assert asyncio.run(main(server.url))
    finally:
        gc.enable()


def test_a_body_that_is_taken_slowly_does_not_outlive_the_budget(kind: ClientKind) -> None:
    """A request body that is read slowly, each part in time, ends in a timeout after the budget."""

    def talk(connection: socket.socket) -> None:
        with suppress(OSError):
            while connection.recv(65536):
                time.sleep(0.02)

    call = Call(an_operation("POST"), "/", body=b"x" * 20_000_000)
    with talking(talk) as server, pytest.raises(APITimeoutError) as caught:
        kind.respond(
            call, api_key="sdk", base_url=server.url, retry=RetryPolicy(attempts=1, budget=0.7)
        )
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.elapsed < 1.5


@pytest.mark.parametrize(("via", "kept"), [("pool", "_pools"), ("fast", "_free")])
def test_closed_loops_are_forgotten(
    via: str, kept: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that serves several event loops, one after the other, forgets the closed ones."""
    client = AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url, **sending(via))

    async def main(*, last: bool) -> int:
        # More calls than connections: the call that waits binds its semaphore to the loop.
        calls = (client.refill_billing_limit(**REFILL) for _ in range(3))
        await asyncio.gather(*calls)
        loops = len(getattr(client._transport, kept))
        if last:
            await client.aclose()
        return loops

    monkeypatch.setattr(_attempt, "MAX_CONNECTIONS", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # sockets of closed event loops
        assert [asyncio.run(main(last=number == 2)) for number in range(3)] == [1, 1, 1]
        gc.collect()


@pytest.mark.parametrize(
    ("body", "written", "sent"),
    [
        (b"{}", [b"HEAD\r\n\r\n", b"{}", b""], [b"", b"HEAD\r\n\r\n{}", b""]),
        (b"{}", [b"\5\1\0", b"HEAD\r\n\r\n", b"{}"], [b"\5\1\0", b"", b"HEAD\r\n\r\n{}"]),
        (b"\r\n\r\n", [b"H\r\n\r\n", b"\r\n\r\n"], [b"", b"H\r\n\r\n\r\n\r\n"]),
        (None, [b"HEAD\r\n\r\n", b""], [b"HEAD\r\n\r\n", b""]),
    ],
    ids=["head and body", "greeting of a proxy", "a body like the end of a head", "no body"],
)
def test_a_head_is_sent_with_its_body(
    body: bytes | None, written: list[bytes], sent: list[bytes]
) -> None:
    """The head of a request is sent together with its body; other data is not held back."""
    request = Request("POST", "http://api.test/", (), body)
    attempt = _attempt.Attempt(request, Limits(1, 1, 1, 1))
    assert [attempt.gathered(data) for data in written] == sent


def test_a_stream_of_another_make_is_not_known_to_be_spent() -> None:
    """For a stream of an unknown class, `left_over` is None, so its connection is not reused."""
    assert _attempt.left_over(object()) is None
    parser = SimpleNamespace(trailing_data=(b"", False))
    connection = SimpleNamespace(_h11_state=parser, _network_stream=object())
    assert _attempt.left_over(SimpleNamespace(_connection=connection)) is None


@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
def test_a_transport_of_an_own_client_needs_no_connection(kind: ClientKind) -> None:
    """An own client of httpx may have a transport without connections, such as MockTransport."""
    network = httpx.MockTransport(lambda _: httpx.Response(200, json={"billing": None}))
    client = OWN[kind.name](transport=network)
    assert kind.refill(api_key="sdk", http_client=client).billing is None


def test_a_call_that_finds_all_connections_busy_is_not_sent(
    kind: ClientKind, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call waits for a free connection for the connect timeout, and then is NOT_SENT."""
    monkeypatch.setattr(_attempt, "MAX_CONNECTIONS", 1)
    sandbox.misbehave(Fault.slow_body(1))
    options: dict[str, Any] = {
        "api_key": sandbox.api_key,
        "base_url": sandbox.url,
        "timeout": Timeout(connect=0.2),
        "retry": RetryPolicy(attempts=1),
    }

    def with_threads() -> None:
        with kind.client(**options) as client:
            busy = threading.Thread(target=lambda: client.refill_billing_limit(**REFILL))
            busy.start()
            while not sandbox.requests:
                time.sleep(0.01)
            try:
                client.refill_billing_limit(**REFILL)
            finally:
                busy.join()

    async def with_tasks() -> None:
        async with kind.client(**options) as client:
            busy = asyncio.create_task(client.refill_billing_limit(**REFILL))
            while not sandbox.requests:
                await asyncio.sleep(0.01)
            try:
                await client.refill_billing_limit(**REFILL)
            finally:
                await busy

    with pytest.raises(APITimeoutError, match="no free connection in time") as caught:
        with_threads() if kind.name == "sync" else asyncio.run(with_tasks())
    assert caught.value.outcome is Outcome.NOT_SENT
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("via", ["pool", "fast"])
def test_closing_lets_a_call_in_flight_end(via: str, sandbox: Sandbox) -> None:
    """Closing a client lets a call in flight end, as closing its socket could cross responses."""
    sandbox.misbehave(Fault.slow_body(0.5))
    answers: list[Any] = []
    client = Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, **sending(via))
    thread = threading.Thread(target=lambda: answers.append(client.refill_billing_limit(**REFILL)))
    thread.start()
    while not sandbox.requests:
        time.sleep(0.01)
    client.close()
    with pytest.raises(APIConnectionError, match="the client is closed"):
        client.refill_billing_limit(**REFILL)
    thread.join()
    assert answers[0].billing.total_credits == 1500
    assert connections(client) == []


@pytest.mark.parametrize("via", ["pool", "fast"])
def test_closing_lets_an_async_call_in_flight_end(via: str, sandbox: Sandbox) -> None:
    """Closing an async client lets a call in flight end."""

    async def main() -> Any:
        sandbox.misbehave(Fault.slow_body(0.5))
        client = AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url, **sending(via))
        task = asyncio.create_task(client.refill_billing_limit(**REFILL))
        while not sandbox.requests:
            await asyncio.sleep(0.01)
        await client.aclose()
        with pytest.raises(APIConnectionError, match="the client is closed"):
            await client.refill_billing_limit(**REFILL)
        answer = await task
        assert connections(client) == []
        return answer

    assert asyncio.run(main()).billing.total_credits == 1500


def test_closing_a_client_that_was_never_used_is_fine(kind: ClientKind) -> None:
    """A client that was never used can be closed, and then refuses calls."""

    async def main() -> None:
        client = kind.client(api_key="sdk", base_url="http://127.0.0.1:1")
        await client.aclose()
        await client.refill_billing_limit(**REFILL)

    def main_sync() -> None:
        client = kind.client(api_key="sdk", base_url="http://127.0.0.1:1")
        client.close()
        client.refill_billing_limit(**REFILL)

    with pytest.raises(APIConnectionError, match="the client is closed"):
        main_sync() if kind.name == "sync" else asyncio.run(main())


def test_a_host_without_an_address_is_not_sent(
    kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call to a host that cannot be looked up (a label of over 63 characters) is NOT_SENT."""
    with pytest.raises(APIConnectionError, match="cannot connect") as caught:
        kind.refill(api_key="sdk", base_url=f"https://{'a' * 64}.test", retry=ONCE)
    assert caught.value.outcome is Outcome.NOT_SENT
