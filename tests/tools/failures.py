"""The table of failures: what can happen to a call, and what it ends in.

`tests/client/test_outcomes.py` tests each row over real sockets with both clients.
`scripts/failures` writes docs/failures.md from the table.
"""

import gzip
import json
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

import trustme
from attrs import evolve, frozen

from oneloop import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    Outcome,
    PermissionDeniedError,
    RateLimitError,
    ResponseDecodeError,
    ResponseTooLargeError,
    ServerError,
    Timeout,
    UnprocessableEntityError,
)
from oneloop.sandbox import Fault, Sandbox

LIMIT = 20_000
"""`max_response_bytes` of the clients that the rows are tested with."""

METER = {
    "id": "cbm_1",
    "totalCredits": "1500",
    "usedCredits": "0",
    "allowOverages": False,
    "spendCap": None,
    "createdAt": "2026-11-23T10:15:00.000Z",
    "updatedAt": "2026-11-23T10:15:00.000Z",
}


@frozen
class Server:
    """A server to call.

    Attributes:
        url: Where it listens.
        sends: Returns the number of requests that arrived.
        api_key: The key that it accepts.
        proxy: The proxy to call it through, if any.
    """

    url: str
    sends: Callable[[], int]
    api_key: str = "sdk_test"
    proxy: str = ""


Serve = Callable[[], AbstractContextManager[Server]]


@frozen
class Row:
    """One row of the table.

    Attributes:
        what: What happens, for docs/failures.md.
        serve: Starts a server that makes it happen.
        error: Class of the error; `None` if the answer can be read.
        outcome: Outcome of the error.
        unsafe_tries: Number of attempts for a call that is not safe to repeat, such as a refill.
        safe_tries: Number of attempts for a call that is safe to repeat, such as a GET.
        budget: Seconds that the client has for all attempts.
        timeout: Short in rows about timeouts, otherwise long, because the machine may be busy.
        safe_outcome: Outcome of a call that is safe to repeat, if it differs.
        size: Size of the body of the request, if it has to be larger than usual.
    """

    what: str
    serve: Serve
    error: type[APIError] | None
    outcome: Outcome | None
    unsafe_tries: int
    safe_tries: int
    budget: float = 20
    timeout: Timeout = Timeout(connect=10, read=10)
    safe_outcome: Outcome | None = None
    size: int = 0


@contextmanager
def sandbox(*faults: Fault | str) -> Iterator[Server]:
    """Serve with a sandbox that has these faults at each attempt."""
    with Sandbox() as running:
        running.misbehave(*faults, times=3)
        yield Server(running.url, lambda: len(running.requests), running.api_key)


@contextmanager
def talking(
    talk: Callable[[socket.socket], object], scheme: str = "http", *, holds: bool = False
) -> Iterator[Server]:
    """Serve each connection with a function. A send is counted unless it returns `False`.

    With `holds`, a connection stays open until the next one, or until the block ends.
    """
    sends = 0
    last: Any = None
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            nonlocal sends
            while True:
                with suppress(OSError):
                    connection, address = listener.accept()
                    with connection:
                        if address == last:
                            return
                        connection.settimeout(10)
                        sends += talk(connection) is not False
                        if holds:
                            select.select([listener], [], [], 30)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Server(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", lambda: sends)
        finally:
            with socket.socket() as end:  # after all connections that wait to be accepted
                end.bind(("127.0.0.1", 0))
                last = end.getsockname()
                end.connect(listener.getsockname())
            thread.join()


def read_request(connection: socket.socket) -> bytes:
    """Read a request with its body; return nothing if the client has closed the connection."""
    received = b""
    while True:
        head, found, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *([0-9]+)", head)
        if found and len(body) >= (int(length[1]) if length else 0):
            return received
        part = connection.recv(65536)
        if not part:
            return b""
        received += part


def slowly(head: str, part: bytes = b"") -> Serve:
    """Serve a head, then the same part every 50 ms or nothing at all, until the client closes."""

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head.replace("\n", "\r\n").encode())
        connection.settimeout(0.05 if part else 10)
        with suppress(ConnectionError):
            while True:
                try:
                    if not connection.recv(1):
                        return
                except TimeoutError:
                    connection.sendall(part)

    return partial(talking, talk)


def endlessly(head: str, part: bytes) -> Serve:
    """Serve a head, then the same part again and again without a pause."""

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head.replace("\n", "\r\n").encode())
        with suppress(OSError):
            while True:
                connection.sendall(part)

    return partial(talking, talk)


# Servers that a call does not reach


@contextmanager
def refusing() -> Iterator[Server]:
    """Yield a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield Server(f"http://127.0.0.1:{port}", lambda: 0)


@contextmanager
def unresolvable() -> Iterator[Server]:
    """Yield a host that does not exist (RFC 6761)."""
    yield Server("http://oneloop.invalid", lambda: 0)


@contextmanager
def full_backlog() -> Iterator[Server]:
    """Yield a server that accepts no connections and whose backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}", lambda: 0)
        for connection in waiting:
            connection.close()


def not_tls(connection: socket.socket) -> bool:
    """Answer a TLS handshake in plain text."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    return False


@cache
def authority() -> trustme.CA:
    """Return a certificate authority, which is made only once, because that is slow."""
    return trustme.CA()


def tls(
    host: str = "127.0.0.1",
    age: timedelta = timedelta(),
    demands: ssl.TLSVersion | None = None,
) -> Serve:
    """Serve with a certificate for this host that expires in a day minus `age`.

    If `demands` is a version of TLS, speak that version and demand a certificate of the client.
    """

    def serve() -> AbstractContextManager[Server]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if demands is not None:
            context.minimum_version = context.maximum_version = demands
            context.verify_mode = ssl.CERT_REQUIRED
        expires = datetime.now(UTC) + timedelta(days=1) - age
        authority().issue_cert(host, not_after=expires).configure_cert(context)

        def talk(connection: socket.socket) -> bool:
            # A client that checks the certificate closes during the handshake.
            with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                return bool(secure.recv(1))
            return False

        return talking(talk, "https")

    return serve


def proxy(answer: str) -> Serve:
    """Serve a proxy that gives this answer to CONNECT, then closes. No server is reached."""

    def talk(connection: socket.socket) -> bool:
        read_request(connection)
        connection.sendall(answer.replace("\n", "\r\n").encode())
        return False

    @contextmanager
    def serve() -> Iterator[Server]:
        with talking(talk) as server:
            yield Server("https://oneloop.invalid", server.sends, proxy=server.url)

    return serve


def refusal(code: int) -> str:
    """Return an answer of a proxy with a body, as most of them have."""
    return f"HTTP/1.1 {code} No\nContent-Length: 4\n\nlong"


@contextmanager
def broken_tls() -> Iterator[Server]:
    """Answer a request over TLS with bytes that cannot be decrypted."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert("127.0.0.1").configure_cert(context)

    def talk(connection: socket.socket) -> None:
        plain = connection.dup()
        with context.wrap_socket(connection, server_side=True) as secure, plain:
            read_request(secure)
            plain.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            plain.shutdown(socket.SHUT_WR)
            with suppress(OSError):
                plain.recv(65536)

    with talking(talk, "https") as server:
        yield server


# Servers that a call reaches


def reset_while_sending(connection: socket.socket) -> None:
    """Reset a connection before all of the request is read."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def half_closed(connection: socket.socket) -> None:
    """Read a request, end the direction to the client, and wait until the client closes."""
    read_request(connection)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)


def half_closed_while_sending(connection: socket.socket) -> None:
    """End the direction to the client after a part of the request, and read the rest."""
    connection.recv(1024)
    connection.shutdown(socket.SHUT_WR)
    drain(connection)


def drain(connection: socket.socket) -> None:
    """Read until the client closes the connection."""
    with suppress(OSError):
        while connection.recv(1_000_000):
            pass


def stalling(connection: socket.socket) -> None:
    """Read the start of a request, and no more."""
    connection.recv(1024)


def reading_late(connection: socket.socket) -> None:
    """Read a request just before the client's time is over, and do not answer."""
    connection.recv(1024)
    time.sleep(1.3)
    with suppress(OSError):
        while connection.recv(1_000_000):
            pass


def reading_slowly(connection: socket.socket) -> None:
    """Read a request with pauses, and answer it."""
    received = connection.recv(65536)
    length = re.search(rb"(?i)content-length: *([0-9]+)", received)
    left = int(length[1]) + received.index(b"\r\n\r\n") + 4 - len(received) if length else 0
    while left > 0:
        time.sleep(0.01)
        left -= len(connection.recv(1_000_000))
    body = meter()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def early(code: int, *, reads: bool) -> Serve:
    """Answer when only a part of the request has arrived, then read the rest or close."""

    def talk(connection: socket.socket) -> None:
        connection.recv(1024)
        connection.sendall(b"HTTP/1.1 %d Early\r\nContent-Length: 2\r\n\r\n{}" % code)
        if reads:
            drain(connection)  # otherwise the system resets the connection, as there is more

    return partial(talking, talk)


def raw(head: str, body: bytes = b"") -> Serve:
    """Answer with these bytes, then close."""
    return partial(sandbox, Fault.raw(head.replace("\n", "\r\n").encode("latin-1") + body))


def ok(body: bytes, **headers: str) -> Serve:
    """Answer 200 with this body as JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return partial(sandbox, Fault.status(200, body=body, headers=named))


def meter(**changed: Any) -> bytes:
    """Return the body of an answer to a refill with some fields changed or, by `...`, left out."""
    fields = {**METER, **changed}
    return json.dumps(
        {"billing": {name: value for name, value in fields.items() if value is not ...}}
    ).encode()


def status(code: int, error: type[APIError], outcome: Outcome, unsafe: int, safe: int) -> Row:
    """Return the row for an answer with a status other than 2xx."""
    headers = {"Retry-After": "0"}
    if 300 <= code <= 399:
        headers["Location"] = "http://192.0.2.1/"
    serve = partial(sandbox, Fault.status(code, headers=headers))
    return Row(f"status {code}", serve, error, outcome, unsafe, safe)


NOT_SENT = (APIConnectionError, Outcome.NOT_SENT, 3, 3)
REFUSED = (APIConnectionError, Outcome.NOT_SENT, 1, 1)
NO_CONNECTION = (APITimeoutError, Outcome.NOT_SENT, 3, 3, 20, Timeout(connect=0.3))
LOST = (APIConnectionError, Outcome.UNKNOWN, 1, 3)
LATE = (APITimeoutError, Outcome.UNKNOWN, 1, 3, 20, Timeout(connect=10, read=0.3))
MEGABYTES = 8_000_000
"""More than the buffers of both systems can take."""
OVER = (APITimeoutError, Outcome.UNKNOWN, 1, 1, 0.5)
APPLIED = (ResponseDecodeError, Outcome.APPLIED, 1, 1)
UNREADABLE = (ResponseDecodeError, Outcome.UNKNOWN, 1, 1)
TOO_LARGE = (ResponseTooLargeError, Outcome.UNKNOWN, 1, 1)
READ = (None, None, 1, 1)

UNSENT_ROWS = [
    Row("connection refused", refusing, *NOT_SENT),
    Row("host unknown", unresolvable, *NOT_SENT),
    Row("no connection in time", full_backlog, *NO_CONNECTION),
    Row("no TLS on the server's side", partial(talking, not_tls, "https"), *NOT_SENT),
    Row("a proxy answers 502 to CONNECT", proxy(refusal(502)), *NOT_SENT),
    Row("a proxy closes the connection", proxy(""), *NOT_SENT),
    Row("a proxy answers CONNECT with something else", proxy("220 mail ESMTP\n"), *NOT_SENT),
    Row(
        "a proxy sends a body before TLS",
        proxy("HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"),
        *NOT_SENT,
    ),
]
"""Repeated, with three attempts in all, although the server sees none of them."""

REFUSED_ROWS = [
    Row("certificate of an unknown authority", tls(), *REFUSED),
    Row("certificate out of date", tls(age=timedelta(days=2)), *REFUSED),
    Row("certificate of another host", tls(host="other.test"), *REFUSED),
    Row("a certificate is demanded, TLS 1.2", tls(demands=ssl.TLSVersion.TLSv1_2), *REFUSED),
    Row("a certificate is demanded, TLS 1.3", tls(demands=ssl.TLSVersion.TLSv1_3), *REFUSED),
    Row("a proxy answers 403 to CONNECT", proxy(refusal(403)), *REFUSED),
    Row("a proxy answers 407 to CONNECT", proxy(refusal(407)), *REFUSED),
]
"""Not repeated: the certificate will be the same, and so will the credentials for the proxy."""

LOST_ROWS = [
    Row("closed as soon as it is accepted", partial(talking, lambda _: None), *LOST),
    Row("connection reset while sending", partial(talking, reset_while_sending), *LOST),
    Row(
        "a large request is not read in time",
        partial(talking, stalling, holds=True),
        *LATE,
        size=MEGABYTES,
    ),
    Row(
        "a large request is read just in time, then silence",
        partial(talking, reading_late),
        *(APITimeoutError, Outcome.UNKNOWN, 1, 1, 1.5),
        size=MEGABYTES,
    ),
    Row(
        "the server ends its direction while we send",
        partial(talking, half_closed_while_sending),
        *LOST,
        size=MEGABYTES,
    ),
    Row("the server ends its direction after reading", partial(talking, half_closed), *LOST),
    Row("closed after reading, not applied", partial(sandbox, "drop-before"), *LOST),
    Row("closed after reading, applied", partial(sandbox, "drop-after"), *LOST),
    Row("reset after reading, not applied", partial(sandbox, "reset-before"), *LOST),
    Row("reset after reading, applied", partial(sandbox, "reset-after"), *LOST),
    Row("silence before the status line", partial(sandbox, "hang"), *LATE),
    Row("silence within the headers", slowly("HTTP/1.1 200 OK\nX: "), *LATE),
    Row("silence within the body", slowly("HTTP/1.1 200 OK\nContent-Length: 9\n\n{"), *LATE),
    Row("headers in drips", slowly("HTTP/1.1 200 OK\nX: ", b"x"), *OVER),
    Row("a body in drips", slowly("HTTP/1.1 200 OK\nContent-Length: 999\n\n", b" "), *OVER),
    Row("no TLS any more within it", broken_tls, *LOST),
    Row("not HTTP", raw("220 mail.test ESMTP\n"), *LOST),
    Row("a status of four digits", raw("HTTP/1.1 2000 OK\n\n"), *LOST),
    Row("headers without end", endlessly("HTTP/1.1 200 OK\nX: ", b"x" * 1000), *LOST),
    Row("100 Continue without end", endlessly("", b"HTTP/1.1 100 Continue\r\n\r\n"), *LOST),
    Row("a switch to another protocol", raw("HTTP/1.1 101 Switch\nUpgrade: h2c\n\n"), *LOST),
    Row(
        "an unknown transfer coding",
        raw("HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n2\n{}\n0\n\n"),
        *LOST,
    ),
    Row("body cut off", partial(sandbox, "truncated-body"), *LOST),
    Row(
        "broken chunks",
        raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nzz\n{}\n"),
        *LOST,
    ),
    Row(
        "two lengths",
        raw("HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\n{}"),
        *LOST,
    ),
]

STATUS_ROWS = [
    *(status(code, APIStatusError, Outcome.REJECTED, 1, 1) for code in (301, 302, 307, 308)),
    evolve(status(303, APIStatusError, Outcome.UNKNOWN, 1, 1), safe_outcome=Outcome.REJECTED),
    status(400, BadRequestError, Outcome.REJECTED, 1, 1),
    status(401, AuthenticationError, Outcome.REJECTED, 1, 1),
    status(403, PermissionDeniedError, Outcome.REJECTED, 1, 1),
    status(404, NotFoundError, Outcome.REJECTED, 1, 1),
    status(408, APIStatusError, Outcome.REJECTED, 1, 3),
    status(409, ConflictError, Outcome.REJECTED, 1, 1),
    status(418, APIStatusError, Outcome.REJECTED, 1, 1),
    status(422, UnprocessableEntityError, Outcome.REJECTED, 1, 1),
    status(429, RateLimitError, Outcome.REJECTED, 3, 3),
    *(status(code, ServerError, Outcome.UNKNOWN, 1, 3) for code in (500, 502, 503, 504, 520, 599)),
]


def while_sending(code: int, error: type[APIError], *, reads: bool) -> Row:
    """Return the row for an answer that comes before all of the request is sent."""
    what = f"status {code} while we send, then the server {'reads on' if reads else 'closes'}"
    serve = early(code, reads=reads)
    return Row(what, serve, error, Outcome.REJECTED, 1, 1, size=MEGABYTES)


STATUS_ROWS += [
    while_sending(401, AuthenticationError, reads=True),
    while_sending(401, AuthenticationError, reads=False),
    while_sending(413, APIStatusError, reads=True),
    while_sending(413, APIStatusError, reads=False),
]

UNREADABLE_ROWS = [
    Row("200 with a page", partial(sandbox, "html-page"), *UNREADABLE),
    Row("200 with an empty body", partial(sandbox, "empty-body"), *UNREADABLE),
    Row("200 with half of a JSON text", partial(sandbox, "not-json"), *UNREADABLE),
    Row(
        "200 with a body that ends with the connection, cut off",
        raw("HTTP/1.1 200 OK\n\n{"),
        *UNREADABLE,
    ),
    Row("200 with NaN", ok(b'{"billing": NaN}'), *UNREADABLE),
    Row("200 with invalid UTF-8", ok(b'{"billing": "\xff"}'), *UNREADABLE),
    Row("200 with 4,000 levels of nesting", ok(b"[" * 4000 + b"]" * 4000), *UNREADABLE),
    Row("200 with a number of 5,000 digits", ok(b"1" * 5000), *UNREADABLE),
    Row("200 with a number too large for a float", ok(b"1e9999"), *UNREADABLE),
    Row("200 with broken compression", ok(b"no gzip", content_encoding="gzip"), *UNREADABLE),
    Row(
        "200 with an unknown compression", ok(b"\x8b\1\x80{}\3", content_encoding="br"), *UNREADABLE
    ),
    Row("200 with a body over the limit", ok(b" " * (LIMIT + 1)), *TOO_LARGE),
    Row(
        "200 with a decompression bomb",
        ok(gzip.compress(b" " * 5_000_000), content_encoding="gzip"),
        *TOO_LARGE,
    ),
    Row(
        "200 with more JSON values than one for each 20 bytes of the limit",
        ok(b"[" + b"0," * 5000 + b"0]"),
        *TOO_LARGE,
    ),
]

SHAPE_ROWS = [
    Row("200 with null", ok(b"null"), *APPLIED),
    Row("200 with a field missing", ok(meter(totalCredits=...)), *APPLIED),
    Row("200 with a field of another type", ok(meter(allowOverages="no")), *APPLIED),
    Row("200 with credits of 5,000 digits", ok(meter(totalCredits="1" * 5000)), *APPLIED),
    Row("200 with credits that are negative", ok(meter(totalCredits="-1")), *APPLIED),
]

READ_ROWS = [
    Row("200 with a byte order mark", ok(b"\xef\xbb\xbf" + meter()), *READ),
    Row(
        "200 with a key twice (the last one counts)",
        ok(meter()[:-1] + b', "billing": null}'),
        *READ,
    ),
    Row("200 with unknown fields: they are kept", ok(meter(news="yes")), *READ),
    Row("200 with credits of 4,300 digits", ok(meter(totalCredits="9" * 4300)), *READ),
    Row("200, compressed", ok(gzip.compress(meter()), content_encoding="gzip"), *READ),
    Row("200, not compressed as it says", ok(meter(), content_encoding="gzip"), *READ),
    Row("200 with a charset for an encoding", ok(meter(), content_encoding="utf-8"), *READ),
    Row("a large request is read slowly", partial(talking, reading_slowly), *READ, size=MEGABYTES),
]

SECTIONS = {
    "The call does not leave": [*UNSENT_ROWS, *REFUSED_ROWS],
    "The call leaves, and no whole answer comes": LOST_ROWS,
    "The answer has another status than 2xx": STATUS_ROWS,
    "The answer cannot be read": UNREADABLE_ROWS,
    "The answer is JSON of another shape": SHAPE_ROWS,
    "The answer is unusual, and read": READ_ROWS,
}

ROWS = [row for rows in SECTIONS.values() for row in rows]

PAGE = """\
# What can go wrong with a call

<!-- Written by scripts/failures from tests/tools/failures.py. Do not edit. -->

`tests/client/test_outcomes.py` tests each line over real sockets, with `Oneloop` and `AsyncOneloop`
and each kind of transport, and counts the requests that reach the server. `scripts/failures` writes
this page from the same table.

*Tried* is the number of attempts, of at most three by default, for a call that is not safe to
repeat, such as a refill, and for one that is, such as a GET. If a call does not leave, the server
sees none of its attempts. Answers in drips are tried once, because that takes all of the time. A
large request has 8 MB, which is more than both systems buffer if the server does not read.

Through httpx, two things differ, as it does not report what a server said before it closed the
connection. A certificate that is demanded over TLS 1.3 ends as `UNKNOWN`, and so does, for an
`httpx.AsyncClient`, an answer after which the server closes while we still send.

The same file also tests every status from 400 to 599; no free connection (`APITimeoutError`,
`NOT_SENT`); a kept connection that the server has closed meanwhile (this costs no attempt); and a
redirect to another server (which is not followed, so that server does not receive the API key).
"""


def page() -> str:
    """Return docs/failures.md."""
    lines = [PAGE]
    for section, rows in SECTIONS.items():
        lines += [f"## {section}", "", "| what happens | error | outcome | tried: refill | GET |"]
        lines += ["|---|---|---|---|---|"]
        for row in rows:
            error = f"`{row.error.__name__}`" if row.error else "none"
            outcome = f"`{row.outcome.name}`" if row.outcome else ""
            if row.safe_outcome:
                outcome += f"; GET: `{row.safe_outcome.name}`"
            tries = f"{row.unsafe_tries} | {row.safe_tries}"
            lines.append(f"| {row.what} | {error} | {outcome} | {tries} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
