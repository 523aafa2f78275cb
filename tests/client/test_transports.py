"""What is sent and what is received over a connection: exactly the request, and only its answer."""

import asyncio
import pickle
import socket
import ssl
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from oneloop import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    Outcome,
    RetryPolicy,
    ServerError,
    Timeout,
)
from oneloop._environment import is_loopback
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import ResponseTooLarge, TransportError
from oneloop_core import Call
from tests.calling import AT_ONCE, KINDS, REFILL, SLACK, ClientKind, an_operation
from tests.tools.failures import authority, read_request, talking

ONCE = RetryPolicy(attempts=1)
LOOPBACK = ["localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"]
ELSEWHERE = ["api.test", "10.0.0.1", "::2", "::ffff:1.2.3.4", "127.0.0.256", "127.0.0.1.v2", "v2"]
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}'
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}"
LONG = b"HTTP/1.1 503 Busy\r\nContent-Length: 65492\r\n\r\n".ljust(65536)
"""A response of exactly the size that is read from a connection at once."""
OWN = {"sync": httpx.Client, "async": httpx.AsyncClient}


@pytest.mark.parametrize("host", [*LOOPBACK, *ELSEWHERE])
def test_this_machine_is_known_by_name_or_address(host: str) -> None:
    """Only `localhost` and loopback addresses are local; a name like an address may be anywhere."""
    assert is_loopback(host) == (host in LOOPBACK)


@pytest.mark.parametrize("kind", KINDS, indirect=True)
@pytest.mark.parametrize("what", ["slow-body", "slow-headers"])
def test_an_answer_in_drips_does_not_outlive_the_budget(
    what: str, sandbox: Sandbox, kind: ClientKind
) -> None:
    """A response that arrives in drips, each part in time, ends in a timeout after the budget."""
    if kind.via and (kind.name, what) == ("sync", "slow-headers"):
        pytest.skip("httpx has no limit for it")
    sandbox.misbehave(Fault.slow_body(30) if what == "slow-body" else Fault.slow_headers(30))
    with pytest.raises(APITimeoutError) as caught:
        kind.refill(
            api_key=sandbox.api_key,
            base_url=sandbox.url,
            retry=RetryPolicy(attempts=1, budget=0.5),
        )
    assert caught.value.outcome is Outcome.UNKNOWN
    assert 0.5 <= caught.value.elapsed < 0.5 + SLACK


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


def two_answers(connection: Any) -> None:
    """Answer each of two requests twice: with a 503, and with a 200 that nobody asked for."""
    for _ in range(2):
        read_request(connection)
        connection.sendall(
            b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}"
            b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}'
        )


def test_what_comes_after_an_answer_is_nobodys_answer(kind: ClientKind) -> None:
    """A surplus response on a kept connection is not taken for the response to the next call."""
    with talking(two_answers) as server:
        options: dict[str, Any] = {"api_key": "sdk", "base_url": server.url, "retry": ONCE}

        def with_threads() -> list[type[Exception]]:
            found: list[type[Exception]] = []
            with kind.client(**options) as client:
                for _ in range(3):
                    with pytest.raises(ServerError) as caught:
                        client.refill_billing_limit(**REFILL)
                    found.append(type(caught.value))
            return found

        async def with_tasks() -> list[type[Exception]]:
            found: list[type[Exception]] = []
            async with kind.client(**options) as client:
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
    authority().cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert("127.0.0.1", "oneloop.invalid").configure_cert(context)
    return context


@pytest.mark.parametrize("way", ["http", "https", "broken https"])
def test_what_is_received_with_an_answer_is_nobodys_answer(
    kind: ClientKind, way: str, tls_context: ssl.SSLContext
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
        while read_request(secure):
            if way == "broken https":
                rubbish = b"\x17\x03\x03\x00\x05rubbish"
                secure._inside.write(BUSY)
                connection.sendall(secure._outgoing.read() + rubbish)
            else:
                secure.sendall(BUSY, OK)

    with talking(talk, "http" if way == "http" else "https") as server:
        options: dict[str, Any] = {"api_key": "sdk", "base_url": server.url, "retry": ONCE}

        def with_threads() -> None:
            with kind.client(**options) as client:
                for _ in range(3):
                    with pytest.raises(APIError):
                        client.refill_billing_limit(**REFILL)
                    time.sleep(0.05)

        async def with_tasks() -> None:
            async with kind.client(**options) as client:
                for _ in range(3):
                    with pytest.raises(APIError):
                        await client.refill_billing_limit(**REFILL)
                    await asyncio.sleep(0.05)

        if kind.name == "sync":
            with_threads()
        else:
            asyncio.run(with_tasks())
    assert len(connections) == 3


def test_a_body_that_is_taken_slowly_does_not_outlive_the_budget(kind: ClientKind) -> None:
    """A request body that is read slowly, each part in time, ends in a timeout after the budget."""

    def talk(connection: socket.socket) -> None:
        with suppress(OSError):
            while connection.recv(65536):
                time.sleep(0.1)

    call = Call(an_operation("POST"), "/", body=b"x" * 20_000_000)
    with talking(talk) as server, pytest.raises(APITimeoutError) as caught:
        kind.respond(
            call, api_key="sdk", base_url=server.url, retry=RetryPolicy(attempts=1, budget=0.7)
        )
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.elapsed < 0.7 + SLACK


@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
def test_a_transport_of_an_own_client_needs_no_connection(kind: ClientKind) -> None:
    """An own client of httpx may have a transport without connections, such as MockTransport."""
    network = httpx.MockTransport(lambda _: httpx.Response(200, json={"billing": None}))
    client = OWN[kind.name](transport=network)
    assert kind.refill(api_key="sdk", http_client=client).billing is None


def calls(kind: ClientKind, times: int, **options: Any) -> list[type[Exception] | None]:
    """Make calls with one client, one after the other; return the class of error of each."""
    found: list[type[Exception] | None] = []

    async def main() -> None:
        async with kind.client(**options) as client:
            for _ in range(times):
                try:
                    found.append(await client.refill_billing_limit(**REFILL) and None)
                except APIError as error:
                    found.append(type(error))

    if kind.name == "async":
        asyncio.run(main())
        return found
    with kind.client(**options) as client:
        for _ in range(times):
            try:
                found.append(client.refill_billing_limit(**REFILL) and None)
            except APIError as error:
                found.append(type(error))
    return found


@pytest.mark.parametrize(
    "surplus", [b"x", b"\r\n", b"\r\n\r\n", b"HTTP/1.1 ", OK, b"0\r\n\r\n", b"\0" * 70_000]
)
@pytest.mark.parametrize("framing", ["length", "chunked", "no content"])
def test_a_connection_with_surplus_bytes_is_closed(
    framing: str, surplus: bytes, kind: ClientKind
) -> None:
    """Bytes after an answer leave it as it is, but the next call gets another connection."""
    answer = {
        "length": OK,
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'11\r\n{"billing": null}\r\n0\r\n\r\n',
        "no content": b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n",
    }[framing]

    def talk(connection: socket.socket) -> None:
        with suppress(OSError):  # the client may close before it has got all
            while read_request(connection):
                connection.sendall(answer + surplus)

    with talking(talk) as server:
        found = calls(kind, 3, api_key="sdk", base_url=server.url, retry=ONCE)
    assert [error and error.__name__ for error in found] == [
        "ConflictError" if framing == "no content" else None
    ] * 3
    assert server.sends() == 3


def test_each_part_of_an_answer_has_the_time_to_read(kind: ClientKind) -> None:
    """An answer in parts may take longer than the read timeout, if each part is in time."""
    parts = [b"HTTP/1.1 200 OK\r\n", b"Content-Length: 17\r\n\r\n", b'{"billing"', b": null}"]

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        for part in parts:
            time.sleep(0.6)
            connection.sendall(part)

    with talking(talk) as server:
        answer = kind.refill(
            api_key="sdk", base_url=server.url, retry=ONCE, timeout=Timeout(connect=5, read=2)
        )
    assert answer.billing is None


@pytest.mark.parametrize("head", ["", "HTTP/1.1 200 OK\nContent-Length: 9\n\n"])
def test_a_connection_that_was_silent_once_has_its_full_time_again(
    head: str, kind: ClientKind
) -> None:
    """The time to read begins anew with each call, also on a connection that is used again."""
    times: list[float] = []

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        time.sleep(0.5)
        connection.sendall(OK)
        answered = time.monotonic()
        read_request(connection)
        connection.sendall(head.replace("\n", "\r\n").encode())
        connection.recv(1)
        times.append(time.monotonic() - answered)

    with talking(talk) as server:
        options: dict[str, Any] = {"api_key": "sdk", "base_url": server.url, "retry": ONCE}
        found = calls(kind, 2, **options, timeout=Timeout(connect=5, read=2.5))
    assert found == [None, APITimeoutError]
    assert times[0] >= 2.4
    assert server.sends() == 1


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("size", [1_000, 300_000, 5_000_000])
def test_large_requests_and_answers_arrive_as_they_are(
    size: int, secure: bool, kind: ClientKind, tls_context: ssl.SSLContext
) -> None:
    """A body of megabytes arrives whole in both directions, over TLS and without it."""
    body = b'{"a": "%s"}' % (bytes(range(97, 123)) * (size // 26))
    heard: list[bytes] = []

    def talk(plain: socket.socket) -> None:
        connection = tls_context.wrap_socket(plain, server_side=True) if secure else plain
        with connection:
            for _ in range(2):
                request = read_request(connection)
                heard.append(request.partition(b"\r\n\r\n")[2])
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                connection.sendall(head + body)

    call = Call(an_operation("POST"), "/", body=body)
    with talking(talk, "https" if secure else "http") as server:
        options: dict[str, Any] = {"api_key": "sdk", "base_url": server.url, "retry": ONCE}

        async def main() -> list[Any]:
            async with kind.client(**options) as client:
                return [(await client._respond(call)).parsed["a"] for _ in range(2)]

        if kind.name == "async":
            found = asyncio.run(main())
        else:
            with kind.client(**options) as client:
                found = [client._respond(call).parsed["a"] for _ in range(2)]
    assert heard == [body, body]
    assert [len(text) for text in found] == [len(body) - 9] * 2


@pytest.mark.parametrize("method", ["send", "recv"])
def test_a_socket_that_is_not_ready_after_all_is_waited_for(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may report that a socket is ready and then refuse: the call waits again."""
    real = getattr(socket.socket, method)
    turns = count()

    def patched(sock: socket.socket, *args: Any) -> Any:
        if threading.current_thread() is threading.main_thread() and not next(turns) % 2:
            raise BlockingIOError
        return real(sock, *args)

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK)

    call = Call(an_operation("POST"), "/", body=b"x" * 5_000_000)
    with talking(talk) as server:
        monkeypatch.setattr(socket.socket, method, patched)
        ClientKind("sync").respond(call, api_key="sdk", base_url=server.url, retry=ONCE)
        monkeypatch.undo()
    assert server.sends() == 1
    assert next(turns) >= 2


def test_a_request_of_which_the_system_takes_nothing_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the first bytes cannot even be handed to the system, nothing can have happened."""
    real = socket.socket.send

    def patched(sock: socket.socket, *args: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            raise BrokenPipeError(32, "Broken pipe")
        return real(sock, *args)

    with talking(lambda connection: bool(connection.recv(1))) as server:
        monkeypatch.setattr(socket.socket, "send", patched)
        with pytest.raises(APIConnectionError, match="while sending") as caught:
            ClientKind("sync").refill(api_key="sdk", base_url=server.url, retry=AT_ONCE)
        monkeypatch.undo()
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 3)
    assert server.sends() == 0
