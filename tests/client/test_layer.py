"""TLS over memory buffers: what a server may say in it, at any time, and what that means."""

import math
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trustme

from oneloop._http._connection import Connection
from oneloop._http._route import Route
from oneloop._http._wire import Wire
from oneloop.transport import TransportError
from oneloop_core import Secret
from tests.stepping import stepped

LIMIT = 1 << 20

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Way:
    """A route straight to the server, or through a proxy."""

    host = "api.example"

    def __init__(self, *, tunnel: bool) -> None:
        self.tunnel = Secret(b"CONNECT api.example:443 HTTP/1.1\r\n\r\n") if tunnel else None


@pytest.fixture(scope="module")
def authority() -> Any:
    """A certificate authority of the tests."""
    return trustme.CA()


@pytest.fixture(scope="module")
def ours(authority: Any) -> ssl.SSLContext:
    """A client's context that trusts the authority, but has no certificate."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


class Peer:
    """A server's side of TLS over memory buffers."""

    def __init__(
        self,
        authority: Any,
        version: str = "TLSv1_3",
        protocols: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        authority.issue_cert("api.example").configure_cert(context)
        authority.configure_trust(context)
        context.set_alpn_protocols(protocols)
        for name, value in settings.items():
            setattr(context, name, value)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def receive(self, data: bytes) -> bytes:
        """Take bytes, also those of a handshake; return what they mean."""
        self._incoming.write(data)
        parts: list[bytes] = []
        try:
            self.tls.do_handshake()
            while part := self.tls.read(1 << 16):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        return b"".join(parts)

    def to_send(self, data: bytes = b"", *, close: bool = False) -> bytes:
        """Return what is to be sent: what there is already, some bytes, and a close_notify."""
        if data:
            self.tls.write(data)
        if close:
            with pytest.raises(ssl.SSLWantReadError):
                self.tls.unwrap()
        return self._outgoing.read()

    def opened(self, context: ssl.SSLContext, size: int = 1 << 16) -> Wire:
        """Return a wire whose handshake with this server has ended on its side."""
        wire = Wire()
        step = stepped(wire.opening(Way(tunnel=False), context))  # type: ignore[arg-type]
        data = step(None)
        while data is not None:
            self.receive(data)
            sent = self.to_send()
            for at in range(0, len(sent), size):
                data = step(sent[at : at + size])
        return wire


BOTH = ["TLSv1_2", "TLSv1_3"]

BROKEN_RECORD = b"\x17\x03\x03\x00\x20" + bytes(32)
"""A record of TLS that cannot be decrypted."""


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("size", [1, 1000, 1 << 16])
def test_requests_and_responses_pass_through_tls(
    authority: Any, ours: ssl.SSLContext, version: str, size: int
) -> None:
    """Large requests and responses pass through TLS whole, one after another, however split."""
    peer = Peer(authority, version)
    wire = peer.opened(ours, size)
    tickets = b""
    for body in (b"{}", b"x" * (300_000 if size > 1 else 3000), b""):
        request = b"POST" + body
        assert peer.receive(wire.start(request, "POST", LIMIT)) == request
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        tickets = peer.to_send(raw)
        for at in range(0, len(tickets), size):
            wire.receive(tickets[at : at + size])
        assert wire.done
        assert wire.reusable
        assert wire.response().body == body


def test_a_session_ticket_leaves_an_idle_connection_usable(
    authority: Any, ours: ssl.SSLContext
) -> None:
    """TLS 1.3 sends session tickets when it likes; anything else makes it unusable."""
    peer = Peer(authority)
    wire = peer.opened(ours)
    peer.receive(wire.start(b"GET", "GET", LIMIT))
    tickets = peer.to_send()
    assert len(tickets) > 100
    assert wire.is_quiet_after(tickets)
    assert wire.receive(peer.to_send(OK))
    assert wire.reusable
    assert not wire.is_quiet_after(peer.to_send(b"H"))


class Arrived:
    """A stream on which these pieces have arrived."""

    is_open = True
    is_sending = False

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces, None]

    def peek(self) -> bytes | None:
        """Return the next piece."""
        return self._pieces.pop(0)

    def close(self) -> None:
        """Do nothing."""

    abandon = close


@pytest.mark.parametrize(("behind", "usable"), [((), True), ((b"",), False), ((OK,), False)])
def test_what_is_behind_a_session_ticket_counts(
    authority: Any, ours: ssl.SSLContext, behind: tuple[bytes, ...], usable: bool
) -> None:
    """A ticket that was read already does not hide what has arrived after it."""
    peer = Peer(authority)
    wire = peer.opened(ours)
    peer.receive(wire.start(b"GET", "GET", LIMIT))
    stream: Any = Arrived(peer.to_send(), *behind)
    connection = Connection(stream, Route("https://api.example"), None)
    connection.wire, connection.expires = wire, math.inf
    assert connection.is_usable() == usable


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_part_of_a_record_makes_the_connection_unusable(
    authority: Any, ours: ssl.SSLContext, version: str, size: int
) -> None:
    """A surplus response is noticed by its first byte, long before it can be decrypted."""
    peer = Peer(authority, version)
    wire = peer.opened(ours)
    for cut in (1, 4, 5, 6, 20):
        peer.receive(wire.start(b"GET", "GET", LIMIT))
        data = peer.to_send(OK)
        for at in range(0, len(data), size):
            wire.receive(data[at : at + size])
        assert wire.reusable
        surplus = peer.to_send(OK)
        assert not wire.is_quiet_after(surplus[:cut])
        assert not wire.is_quiet_after(surplus[cut:])
    peer.receive(wire.start(b"GET", "GET", LIMIT))
    assert wire.receive(peer.to_send(OK) + peer.to_send(OK)[:1])
    assert not wire.reusable
    assert wire.response().body == b"{}"


def unusable() -> dict[str, Callable[[Peer], bytes]]:
    """Return what a server may send while the connection is idle that ends its use."""
    return {
        "a response": lambda peer: peer.to_send(OK),
        "a line end": lambda peer: peer.to_send(b"\r\n"),
        "close_notify": lambda peer: peer.to_send(close=True),
        "a broken record": lambda _: BROKEN_RECORD,
        "plain text": lambda _: OK,
        "the end": lambda _: b"",
    }


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("what", unusable())
def test_an_idle_connection_is_unusable_after(
    authority: Any, ours: ssl.SSLContext, what: str, version: str
) -> None:
    """A surplus response, the end of TLS and broken TLS end the use of an idle connection."""
    peer = Peer(authority, version)
    wire = peer.opened(ours)
    peer.receive(wire.start(b"GET", "GET", LIMIT))
    assert wire.receive(peer.to_send(OK))
    assert not wire.is_quiet_after(unusable()[what](peer))


def test_without_tls_nothing_may_arrive_on_an_idle_connection() -> None:
    """Any byte ends the use of an idle connection, and so does its end."""
    wire = Wire()
    wire.start(b"", "GET", LIMIT)
    wire.receive(OK)
    assert not wire.is_quiet_after(b"\r\n")
    assert not wire.is_quiet_after(b"")


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("what", sorted(set(unusable()) - {"the end"}))
def test_what_follows_a_response_in_tls_does_not_matter_to_it(
    authority: Any, ours: ssl.SSLContext, version: str, what: str
) -> None:
    """A response is complete even if the end of TLS, or what breaks it, is read with it."""
    peer = Peer(authority, version)
    wire = peer.opened(ours)
    peer.receive(wire.start(b"GET", "GET", LIMIT))
    assert wire.receive(peer.to_send(OK) + unusable()[what](peer))
    assert not wire.reusable
    assert wire.response().body == b"{}"


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("ragged", [True, False])
def test_a_response_without_a_length_ends_with_tls(
    authority: Any, ours: ssl.SSLContext, version: str, ragged: bool
) -> None:
    """Its end is close_notify, or that of the connection, as many servers send no close_notify."""
    peer = Peer(authority, version)
    wire = peer.opened(ours)
    peer.receive(wire.start(b"GET", "GET", LIMIT))
    assert not wire.receive(peer.to_send(b"HTTP/1.1 200 OK\r\n\r\n{}"))
    assert wire.receive(b"" if ragged else peer.to_send(close=True))
    assert not wire.reusable
    assert wire.response().body == b"{}"


@pytest.mark.parametrize("version", BOTH)
def test_broken_tls_before_a_request_is_not_sent(
    authority: Any, ours: ssl.SSLContext, version: str
) -> None:
    """As long as nothing of a request was written, its failure is certain."""
    wire = Peer(authority, version).opened(ours)
    wire.start(b"GET", "GET", LIMIT)
    with pytest.raises(TransportError) as caught:
        wire.receive(BROKEN_RECORD)
    assert not caught.value.sent


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n\r\n{", OK[:-1]])
@pytest.mark.parametrize("at_once", [True, False])
def test_broken_tls_is_not_the_end_of_a_response(
    authority: Any, ours: ssl.SSLContext, version: str, head: bytes, at_once: bool
) -> None:
    """A record that cannot be decrypted loses the connection, not only what follows."""
    peer = Peer(authority, version)
    wire = peer.opened(ours)
    peer.receive(wire.start(b"GET", "GET", LIMIT))
    wire.sent = True
    data = peer.to_send(head)
    if data and not at_once:
        assert not wire.receive(data)
        data = b""
    with pytest.raises(TransportError, match="lost while waiting") as caught:
        wire.receive(data + BROKEN_RECORD)
    assert caught.value.sent
    assert caught.value.passing
    assert caught.value.detail


REQUIRED: dict[str, Any] = {"verify_mode": ssl.CERT_REQUIRED}


def refused(peer: Peer, wire: Wire) -> TransportError:
    """Send a request for which the server demands a certificate, and return the error."""
    data = wire.start(b"GET", "GET", LIMIT)
    wire.sent = True
    with pytest.raises(ssl.SSLError, match="certificate"):
        peer.receive(data)
    with pytest.raises(TransportError) as caught:
        wire.receive(peer.to_send())
    return caught.value


def test_a_missing_certificate_is_noticed_after_the_handshake(
    authority: Any, ours: ssl.SSLContext
) -> None:
    """In TLS 1.3, the request has gone out when the server refuses us, but it was not read."""
    peer = Peer(authority, **REQUIRED)
    error = refused(peer, peer.opened(ours))
    assert error.problem == "cannot connect"
    assert "ALERT_CERTIFICATE_REQUIRED" in error.detail
    assert not error.sent
    assert not error.passing


def test_a_missing_certificate_ends_the_handshake_of_tls_1_2(
    authority: Any, ours: ssl.SSLContext
) -> None:
    """In TLS 1.2, the server refuses us within the handshake."""
    peer = Peer(authority, "TLSv1_2", **REQUIRED)
    wire = Wire()
    step = stepped(wire.opening(Way(tunnel=False), ours))  # type: ignore[arg-type]
    peer.receive(step(None) or b"")
    answer = step(peer.to_send())
    with pytest.raises(ssl.SSLError, match="certificate"):
        peer.receive(answer or b"")
    with pytest.raises(TransportError) as caught:
        step(peer.to_send())
    assert not caught.value.sent
    assert not caught.value.passing


def test_post_handshake_authentication_proves_nothing(authority: Any) -> None:
    """A context that allows it lets the server read a request first, and refuse us afterwards."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.post_handshake_auth = True
    peer = Peer(authority, **REQUIRED)
    error = refused(peer, peer.opened(context))
    assert error.sent
    assert error.passing


@pytest.mark.parametrize("tickets", [0, 1])
def test_a_refusal_after_a_session_ticket_proves_nothing(
    authority: Any, ours: ssl.SSLContext, tickets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that has sent a ticket has ended its handshake, and so may have read the request."""

    def is_final(_: object) -> bool:
        return True

    monkeypatch.setattr("oneloop._http._layer.is_final", is_final)
    peer = Peer(authority, num_tickets=tickets)
    wire = peer.opened(ours)
    assert peer.receive(wire.start(b"GET", "GET", LIMIT)) == b"GET"
    wire.sent = True
    with pytest.raises(ssl.SSLError):
        peer.receive(BROKEN_RECORD)
    with pytest.raises(TransportError) as caught:
        wire.receive(peer.to_send())
    assert "ALERT" in caught.value.detail
    assert caught.value.sent == bool(tickets)


@pytest.mark.parametrize("ending", [b"", b"\x15\x03\x03\x00\x02\x02\x28", b"HTTP/1.1 400 No\r\n"])
def test_a_handshake_that_ends_early_sends_nothing(ours: ssl.SSLContext, ending: bytes) -> None:
    """The end of the connection, an alert and plain HTTP end a handshake."""
    wire = Wire()
    step = stepped(wire.opening(Way(tunnel=False), ours))  # type: ignore[arg-type]
    hello = step(None)
    assert hello
    with pytest.raises(TransportError, match="cannot connect") as caught:
        step(ending)
    assert not caught.value.sent
    assert caught.value.detail
    assert caught.value.passing == (b"\x28" not in ending)


def test_a_server_of_another_name_is_refused(ours: ssl.SSLContext) -> None:
    """A certificate that is not valid is not tried again."""
    peer = Peer(trustme.CA())
    wire = Wire()
    step = stepped(wire.opening(Way(tunnel=False), ours))  # type: ignore[arg-type]
    peer.receive(step(None) or b"")
    with pytest.raises(TransportError, match="cannot connect") as caught:
        step(peer.to_send())
    assert "CERTIFICATE_VERIFY_FAILED" in caught.value.detail
    assert not caught.value.sent
    assert not caught.value.passing


@pytest.mark.parametrize("version", BOTH)
def test_a_context_that_offers_http_2_is_refused(authority: Any, version: str) -> None:
    """A server that would speak HTTP/2 is refused, with the remedy, before anything is sent."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with pytest.raises(TransportError, match="cannot connect") as caught:
        Peer(authority, version, protocols=["h2"]).opened(context)
    assert caught.value.detail == "ssl_context must offer no protocol but http/1.1"
    assert not caught.value.sent
    assert not caught.value.passing
    wire = Peer(authority, version, protocols=["http/1.1"]).opened(context)
    assert wire.start(b"GET", "GET", LIMIT)


def test_tls_goes_through_the_tunnel_of_a_proxy(authority: Any, ours: ssl.SSLContext) -> None:
    """The handshake begins when the tunnel is open, not with bytes that came before."""
    peer = Peer(authority)
    wire = Wire()
    step = stepped(wire.opening(Way(tunnel=True), ours))  # type: ignore[arg-type]
    assert step(None) == b"CONNECT api.example:443 HTTP/1.1\r\n\r\n"
    assert step(b"HTTP/1.1 200 ") == b""
    data = step(b"OK\r\n\r\n")
    while data is not None:
        peer.receive(data)
        data = step(peer.to_send())
    assert peer.receive(wire.start(b"GET", "GET", LIMIT)) == b"GET"
    assert wire.receive(peer.to_send(OK))
    assert wire.reusable
