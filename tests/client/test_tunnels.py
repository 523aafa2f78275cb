"""TLS and proxies between a client and its server, over real sockets."""

import asyncio
import base64
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from oneloop import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AsyncOneloop,
    Outcome,
    RetryPolicy,
    Timeout,
)
from oneloop._http._asyncio import AsyncioTransport
from oneloop._http._blocking import BlockingTransport
from tests.calling import AT_ONCE, REFILL, SLACK, ClientKind
from tests.tools.failures import Server, authority, read_request, talking

ONCE = RetryPolicy(attempts=1)
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}'
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def server_context(*hosts: str, by: trustme.CA | None = None) -> ssl.SSLContext:
    """Return the TLS context of a server with a certificate for these hosts."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    (by or authority()).issue_cert(*hosts).configure_cert(context)
    return context


@pytest.fixture(autouse=True)
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the clients trust our authority, by a file that is returned."""
    authority().cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def serving(context: ssl.SSLContext) -> Callable[[socket.socket], bool]:
    """Return a function that answers all requests on a connection over TLS."""

    def talk(connection: socket.socket) -> bool:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            while read_request(secure):
                secure.sendall(OK)
            return True
        return False  # the client did not like it

    return talk


def twice(kind: ClientKind, between: Callable[[], object] = bool, **options: Any) -> None:
    """Make two calls with one client, and call `between` between them."""

    async def main() -> None:
        async with AsyncOneloop(**options) as client:
            await client.refill_billing_limit(**REFILL)
            between()
            await client.refill_billing_limit(**REFILL)

    if kind.name == "async":
        asyncio.run(main())
        return
    with kind.client(**options) as client:
        client.refill_billing_limit(**REFILL)
        between()
        client.refill_billing_limit(**REFILL)


# TLS


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_connection_over_tls_is_used_again(kind: ClientKind, version: ssl.TLSVersion) -> None:
    """What TLS itself sends, such as session tickets, does not make a connection unusable."""
    context = server_context("127.0.0.1")
    context.minimum_version = context.maximum_version = version
    with talking(serving(context), "https") as server:
        twice(kind, api_key="sdk", base_url=server.url, retry=ONCE)
    assert server.sends() == 1


def test_a_file_of_certificates_may_be_replaced_while_a_client_lives(
    kind: ClientKind, trusted: Path
) -> None:
    """New connections trust the authorities that SSL_CERT_FILE contains when they open."""
    other = trustme.CA()
    contexts = [server_context("127.0.0.1"), server_context("127.0.0.1", by=other)]

    def talk(connection: socket.socket) -> None:
        with contexts.pop(0).wrap_socket(connection, server_side=True) as secure:
            read_request(secure)
            secure.sendall(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))

    with talking(talk, "https") as server:
        rotate = lambda: other.cert_pem.write_to_path(trusted)  # noqa: E731
        twice(kind, rotate, api_key="sdk", base_url=server.url, retry=ONCE)
    assert server.sends() == 2


def own(kind: ClientKind, url: str, context: ssl.SSLContext) -> Any:
    """Return a transport with a TLS context of the application."""
    return (BlockingTransport if kind.name == "sync" else AsyncioTransport)(url, context, 10)


def test_an_own_context_may_trust_another_authority(kind: ClientKind) -> None:
    """The application's context decides, not the environment."""
    private = trustme.CA()
    context = ssl.create_default_context()
    private.configure_trust(context)
    with talking(serving(server_context("127.0.0.1", by=private)), "https") as server:
        options: dict[str, Any] = {"api_key": "sdk", "base_url": server.url, "retry": ONCE}
        with pytest.raises(APIConnectionError, match="cannot connect"):
            kind.refill(**options)
        kind.refill(**options, transport=own(kind, server.url, context))
        with pytest.raises(APIConnectionError, match="cannot connect"):
            kind.refill(**options, transport=own(kind, server.url, ssl.create_default_context()))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_own_context_may_have_a_certificate(kind: ClientKind, version: ssl.TLSVersion) -> None:
    """A server may demand a certificate of the client, and gets that of the context."""
    mine = trustme.CA()
    context = ssl.create_default_context()
    authority().configure_trust(context)
    mine.issue_cert("client@example.test").configure_cert(context)
    demanding = server_context("127.0.0.1")
    demanding.minimum_version = demanding.maximum_version = version
    demanding.verify_mode = ssl.CERT_REQUIRED
    mine.configure_trust(demanding)
    with talking(serving(demanding), "https") as server:
        transport = own(kind, server.url, context)
        kind.refill(api_key="sdk", base_url=server.url, retry=ONCE, transport=transport)


def test_a_certificate_may_be_demanded_in_the_middle_of_a_call(kind: ClientKind) -> None:
    """With post-handshake authentication, TLS answers the server before it has answered us."""
    demanding = server_context("127.0.0.1")
    demanding.minimum_version = ssl.TLSVersion.TLSv1_3
    demanding.verify_mode = ssl.CERT_REQUIRED
    authority().configure_trust(demanding)
    demanding.post_handshake_auth = True
    certified: list[bool] = []

    def talk(connection: socket.socket) -> None:
        with demanding.wrap_socket(connection, server_side=True) as secure:
            read_request(secure)
            secure.verify_client_post_handshake()
            secure.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")  # the demand goes out with it
            secure.settimeout(1)
            with suppress(TimeoutError):
                secure.recv(1)
            certified.append(bool(secure.getpeercert()))
            secure.sendall(OK)

    ours = ssl.create_default_context()
    authority().configure_trust(ours)
    ours.post_handshake_auth = True
    authority().issue_cert("client.test").configure_cert(ours)
    with talking(talk, "https") as server:
        transport = own(kind, server.url, ours)
        kind.refill(api_key="sdk", base_url=server.url, retry=ONCE, transport=transport)
    assert certified == [True]


def test_a_refused_certificate_is_not_offered_again(kind: ClientKind) -> None:
    """A certificate that the server does not accept is NOT_SENT, and tried once."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    trustme.CA().issue_cert("client@example.test").configure_cert(context)
    demanding = server_context("127.0.0.1")
    demanding.verify_mode = ssl.CERT_REQUIRED
    authority().configure_trust(demanding)
    with talking(serving(demanding), "https") as server:
        transport = own(kind, server.url, context)
        with pytest.raises(APIConnectionError, match="cannot connect") as caught:
            kind.refill(api_key="sdk", base_url=server.url, retry=AT_ONCE, transport=transport)
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 1)


def test_a_context_that_offers_http2_is_refused_in_words(kind: ClientKind) -> None:
    """If the server chose HTTP/2, the error names the argument and the remedy."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    modern = server_context("127.0.0.1")
    modern.set_alpn_protocols(["h2"])
    with talking(serving(modern), "https") as server:
        transport = own(kind, server.url, context)
        with pytest.raises(APIConnectionError) as caught:
            kind.refill(api_key="sdk", base_url=server.url, retry=AT_ONCE, transport=transport)
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 1)
    assert caught.value.detail == "ssl_context must offer no protocol but http/1.1"


def stalls(answer: bytes = b"") -> Callable[[socket.socket], bool]:
    """Return a function that sends these bytes and then nothing until the client closes."""

    def talk(connection: socket.socket) -> bool:
        connection.recv(65536)
        connection.sendall(answer)
        while connection.recv(65536):
            pass
        return False

    return talk


def test_a_handshake_has_the_time_to_connect(kind: ClientKind) -> None:
    """A server that says nothing in the TLS handshake ends in the connect timeout."""
    with talking(stalls(), "https") as server, pytest.raises(APITimeoutError) as caught:
        kind.refill(
            api_key="sdk", base_url=server.url, retry=ONCE, timeout=Timeout(connect=0.4, read=10)
        )
    assert caught.value.outcome is Outcome.NOT_SENT
    assert 0.4 <= caught.value.elapsed < 0.4 + SLACK


def test_a_handshake_in_drips_has_the_time_to_connect(kind: ClientKind) -> None:
    """The limit is that of the whole handshake, not of each of its parts."""

    def talk(connection: socket.socket) -> bool:
        with suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"\x16\x03\x03\x3f\xff")
            while True:
                connection.sendall(b"\x02")
                time.sleep(0.05)
        return False

    with talking(talk, "https") as server, pytest.raises(APITimeoutError) as caught:
        kind.refill(
            api_key="sdk", base_url=server.url, retry=ONCE, timeout=Timeout(connect=0.4, read=10)
        )
    assert caught.value.outcome is Outcome.NOT_SENT
    assert 0.4 <= caught.value.elapsed < 0.4 + SLACK


def test_a_call_that_is_cancelled_in_the_handshake_ends_its_connection() -> None:
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

    with talking(talk, "https") as server:
        assert asyncio.run(main(server.url))


# Proxies


@contextmanager
def proxy(
    monkeypatch: pytest.MonkeyPatch,
    *answers: bytes,
    host: str = "oneloop.invalid",
    login: str = "",
) -> Iterator[tuple[Server, list[bytes]]]:
    """Serve a proxy for https that gives these answers to CONNECT, and then is the server itself.

    Yields:
        The proxy, and all requests that it got, outside and inside of TLS.
    """
    context = server_context(host)
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> bool:
        heard.append(read_request(connection))
        with suppress(OSError):
            for answer in answers or (ESTABLISHED,):
                connection.sendall(answer)
                time.sleep(0.02)
            if not connection.recv(1, socket.MSG_PEEK):
                return False
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            while request := read_request(secure):
                heard.append(request)
                secure.sendall(OK)
            return True
        return False

    with talking(talk) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url.replace("://", f"://{login}"))
        monkeypatch.setenv("NO_PROXY", "")
        yield server, heard


def lines(request: bytes) -> list[str]:
    """Return the lines of the head of a request."""
    return request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


LOGINS = {
    "": None,
    "user:p%40ss@": b"user:p@ss",
    "us%3Aer:@": b"us:er:",
    "j%C3%BCrgen:gr%C3%BC%C3%9Fe@": "jürgen:grüße".encode(),
    "jürgen:grüße@": "jürgen:grüße".encode(),
    "a:%00%ff%0d%0aX:%201@": b"a:\x00\xff\r\nX: 1",
}
"""User and password in the URL of a proxy, and what the proxy gets."""


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_gets_user_and_password(
    scheme: str, login: str, kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may have any characters. Only the proxy gets them, not the server behind it."""
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        heard.append(read_request(connection))
        connection.sendall(OK)

    expected = []
    if LOGINS[login] is not None:
        encoded = base64.b64encode(LOGINS[login] or b"").decode()
        expected = [f"Proxy-Authorization: Basic {encoded}"]
    if scheme == "https":
        with proxy(monkeypatch, login=login) as (_, got):
            kind.refill(api_key="sdk", base_url="https://oneloop.invalid/base", retry=ONCE)
        connect, request = map(lines, got)
        name = "oneloop.invalid:443"
        assert connect == [f"CONNECT {name} HTTP/1.1", f"Host: {name}", *expected]
        assert request[0] == "POST /base/api/v1/customer-billing/refill HTTP/1.1"
        assert not [line for line in request if line.lower().startswith("proxy-")]
    else:
        with talking(talk) as server:
            monkeypatch.setenv("http_proxy", server.url.replace("://", f"://{login}"))
            monkeypatch.setenv("no_proxy", "")
            url = "http://oneloop.invalid:81/base"
            kind.refill(api_key="sdk", base_url=url, retry=ONCE, allow_http=True)
        request = lines(heard[0])
        assert request[0] == f"POST {url}/api/v1/customer-billing/refill HTTP/1.1"
        assert [line for line in request if line.lower().startswith("proxy-")] == expected
    assert "Host: oneloop.invalid" in request[1]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://oneloop.invalid:8443", "oneloop.invalid:8443"),
        ("https://[fd00::1]", "[fd00::1]:443"),
        ("https://[fd00::1]:8443", "[fd00::1]:8443"),
        ("https://192.0.2.1", "192.0.2.1:443"),
    ],
)
def test_a_proxy_gets_the_host_and_the_port(
    url: str, name: str, kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An IPv6 address has brackets in CONNECT, but none in the certificate."""
    with proxy(monkeypatch, host=name.rpartition(":")[0].strip("[]")) as (_, got):
        kind.refill(api_key="sdk", base_url=url, retry=ONCE)
    assert lines(got[0]) == [f"CONNECT {name} HTTP/1.1", f"Host: {name}"]
    assert lines(got[1])[1] == f"Host: {url.removeprefix('https://')}"


@pytest.mark.parametrize(
    "answers",
    [
        (b"HTTP/1.0 200 OK\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",),
        (b"HTTP/1.1 103 Hints\r\n\r\n", ESTABLISHED),
        (b"HTTP/1.1 103 Hints\r\n\r\n" + ESTABLISHED,),
        (b"HTTP/1.1 20", b"0 OK\r\nVia: a\r\n", b"\r\n"),
        (b"HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",),
    ],
)
def test_a_tunnel_is_opened_once_for_many_calls(
    answers: tuple[bytes, ...], kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the answer of a proxy looks like, what follows its head is the tunnel."""
    with proxy(monkeypatch, *answers) as (server, got):
        twice(kind, api_key="sdk", base_url="https://oneloop.invalid", retry=ONCE)
    assert len(got) == 3
    assert server.sends() == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_in_no_proxy_is_reached_directly(
    scheme: str, kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is that of the lookup, not one of the proxy."""
    monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "10.0.0.0/8, *.invalid")
    with pytest.raises(APIConnectionError) as caught:
        kind.refill(
            api_key="sdk", base_url=f"{scheme}://oneloop.invalid", allow_http=True, retry=ONCE
        )
    assert "refused" not in str(caught.value.detail)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nX: ", ESTABLISHED])
def test_a_proxy_has_the_time_to_connect(
    answer: bytes, kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that stops before, in or after its answer ends in the connect timeout."""
    with talking(stalls(answer)) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        with pytest.raises(APITimeoutError, match="no connection in time") as caught:
            kind.refill(
                api_key="sdk",
                base_url="https://oneloop.invalid",
                retry=ONCE,
                timeout=Timeout(connect=0.4, read=10),
            )
    assert caught.value.outcome is Outcome.NOT_SENT
    assert 0.4 <= caught.value.elapsed < 0.4 + SLACK


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Who\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000,
        b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://login.test/\r\n\r\n",
        b"HTTP/1.1 101 Switch\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nmore",
        b"HTTP/1.1 204 OK\r\n\r\nmore",
        b"HTTP/1.1 103 Hints\r\nX: " + b"x" * 120_000,
        b"HTTP/1.1 103 Hints\r\n\r\n" * 10_000,
        b"\x16\x03\x03",
    ],
)
def test_what_else_a_proxy_may_answer_is_not_sent(
    answer: bytes, kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a proxy answers, the call has not left, and the error shows no password."""
    with (
        proxy(monkeypatch, answer, login="user:p4ss%40@") as (_, got),
        pytest.raises(APIError) as caught,
    ):
        kind.refill(api_key="sdk", base_url="https://oneloop.invalid", retry=ONCE)
    assert type(caught.value) is APIConnectionError
    assert caught.value.outcome is Outcome.NOT_SENT
    assert len(got) == 1
    shown = f"{caught.value} {vars(caught.value)}"
    assert not [part for part in ("p4ss", "dXNlcjpw") if part in shown]


def test_a_certificate_behind_a_proxy_is_verified(
    kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate has to be that of the server, not of the proxy."""
    with (
        proxy(monkeypatch, host="127.0.0.1"),
        pytest.raises(APIConnectionError, match="cannot connect") as caught,
    ):
        kind.refill(api_key="sdk", base_url="https://oneloop.invalid", retry=AT_ONCE)
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 1)


def test_a_proxy_that_is_not_there_is_not_sent(
    kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that refuses the connection, or has no address, is like such a server."""
    for url in ("http://127.0.0.1:1", "http://proxy.invalid"):
        monkeypatch.setenv("HTTPS_PROXY", url)
        with pytest.raises(APIConnectionError, match="cannot connect") as caught:
            kind.refill(api_key="sdk", base_url="https://oneloop.invalid", retry=AT_ONCE)
        assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 3)
