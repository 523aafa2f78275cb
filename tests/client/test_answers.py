"""Successful answers are read as the document describes them for their status."""

import gzip
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from attrs import evolve

from oneloop import (
    DecodeError,
    NotFoundError,
    Outcome,
    ResponseDecodeError,
    ResponseTooLargeError,
)
from oneloop._call import _judge
from oneloop._decoding import Unreadable, read_answer
from oneloop.transport import Response
from oneloop_core import Answer, Call, Operation, decode_integer, decode_string
from tests.calling import ClientKind

NUMBER = Answer(200, 200, "json", decode_integer)
TEXT = Answer(201, 201, "text")
FILE = Answer(202, 202, "bytes")
NOTHING = Answer(204, 204, "nothing")
WORD = Answer(200, 299, "json", decode_string)
ALL = (NUMBER, TEXT, FILE, NOTHING, WORD)


def read(answers: Any, status: int, body: bytes, content_type: str = "text/plain") -> Any:
    """Read an answer without headers other than its media type."""
    return read_answer(answers, status, {"content-type": content_type}, body, 10**6)


@pytest.mark.parametrize(
    ("answers", "status", "body", "value"),
    [
        (ALL, 200, b"5", 5),
        (ALL, 201, b"5", "5"),
        (ALL, 201, b"", ""),
        (ALL, 202, b"\xff", b"\xff"),
        (ALL, 204, b"", None),
        (ALL, 205, b"", None),
        (ALL, 203, b'"a"', "a"),
        (ALL, 206, b'"a"', "a"),
        ([NOTHING, NUMBER], 204, b"ignored", None),
        # Statuses that the document does not describe
        ([NUMBER, NOTHING], 201, b"5", 5),
        ([NUMBER, NOTHING], 201, b"", None),
        ([FILE, NOTHING], 200, b"", None),
        ([FILE, NOTHING], 200, b"a", b"a"),
        ([NUMBER, TEXT], 202, b"a", "a"),
        ([NUMBER, TEXT], 202, b"5", 5),
        ([NOTHING, TEXT], 200, b"a", "a"),
        # Several media types of one status
        ([NUMBER, Answer(200, 200, "text")], 200, b"a", "a"),
        ([NUMBER, Answer(200, 200, "bytes")], 200, b"a", b"a"),
    ],
)
def test_answers_are_read_by_status(answers: Any, status: int, body: bytes, value: Any) -> None:
    """The exact status counts first, then its range, then what fits the body."""
    found = read(answers, status, body)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("answers", "status", "body", "error", "problem"),
    [
        (ALL, 200, b'"a"', DecodeError, "expected an integer, got a string"),
        (ALL, 200, b"", Unreadable, "a body that is not JSON"),
        ([NUMBER, NOTHING], 200, b"", Unreadable, "a body that is not JSON"),
        ([NUMBER], 204, b"", Unreadable, "a body that is not JSON"),
        ([NUMBER, WORD], 202, b"5", DecodeError, "expected a string, got 5"),
        ([NUMBER, NOTHING], 201, b"a", Unreadable, "a body that is not JSON"),
        (
            [NOTHING, Answer(202, 202, "nothing")],
            200,
            b"a",
            Unreadable,
            "where the document has none",
        ),
        ([TEXT], 201, b"\xff", Unreadable, "not in the charset that its headers declare"),
    ],
)
def test_answers_that_do_not_fit_are_refused(
    answers: Any, status: int, body: bytes, error: type[Exception], problem: str
) -> None:
    """An answer for the exact status is not read as another one."""
    with pytest.raises(error, match=problem):
        read(answers, status, body)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"\xc3\xa4"),
        ("", b"\xc3\xa4"),
        ("text/plain; charset=UTF-8", b"\xc3\xa4"),
        ('text/csv;header=present; Charset = "iso-8859-1"', b"\xe4"),
        ("text/plain; charset=windows-1252", b"\xe4"),
        ("text/plain; charset=utf-16", b"\xff\xfe\xe4\x00"),
    ],
)
def test_text_has_the_charset_of_its_headers(content_type: str, body: bytes) -> None:
    """The default is UTF-8."""
    assert read([TEXT], 201, body, content_type) == "\u00e4"


@pytest.mark.parametrize(
    "charset", ["idna", "punycode", "hex", "unicode_escape", "utf-7", "cp9999"]
)
def test_other_charsets_are_refused(charset: str) -> None:
    """Python has codecs that are no charsets, or that take quadratic time."""
    started = time.process_time()
    with pytest.raises(Unreadable):
        read([TEXT], 201, b"a-" * 10**6, f"text/plain; charset={charset}")
    assert time.process_time() - started < 1


# Calls


def call(*answers: Answer[Any]) -> Call[Any]:
    """Return a call of an operation with these answers."""
    settings: dict[str, Any] = {"name": "it", "method": "GET", "path": "/it", "safe": True}
    return Call(Operation[Any](**settings, decode=None, answers=answers), "/it")


def judged(made: Call[Any], status: int, body: bytes, *headers: tuple[str, str]) -> Any:
    """Return what a response contains, or how the attempt failed."""
    found, failure = _judge(made, Response(status, headers, body), 1000)
    return failure or found


def test_a_call_reads_its_answers() -> None:
    """Answers are decompressed first; without a type of its own a body is what the status says."""
    latin = ("Content-Type", "text/plain; charset=latin-1")
    assert judged(call(NUMBER, TEXT), 201, b"\xe4", latin) == "\u00e4"
    compressed = gzip.compress(b"[5]")
    assert judged(call(FILE), 202, compressed, ("Content-Encoding", "gzip")) == b"[5]"
    assert judged(call(NUMBER, NOTHING), 204, b"") is None
    assert judged(call(), 200, b"ignored") is None


@pytest.mark.parametrize(
    ("status", "body", "error", "outcome"),
    [
        (200, b'"a"', ResponseDecodeError, Outcome.APPLIED),
        (200, b"", ResponseDecodeError, Outcome.UNKNOWN),
        (200, b"[" + b"0," * 10_000 + b"0]", ResponseTooLargeError, Outcome.UNKNOWN),
        (404, b"5", NotFoundError, Outcome.REJECTED),
    ],
)
def test_a_call_fails_if_its_answer_does_not_fit(
    status: int, body: bytes, error: type[Exception], outcome: Outcome
) -> None:
    """The outcome is the same as for an operation with one answer."""
    failure = judged(call(NUMBER, NOTHING), status, body)
    assert (failure.error_class, failure.outcome) == (error, outcome)


class Echo(BaseHTTPRequestHandler):
    """Answers by the path: its status, its media type and the body of the request."""

    def do_POST(self) -> None:
        """Answer."""
        _, status, content_type = self.path.split("/", 2)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(int(status))
        self.send_header("Content-Type", content_type)
        if status != "204":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Start a server that echoes."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("target", "body", "value"),
    [
        ("/200/application/json", b"5", 5),
        ("/201/text/plain;charset=latin-1", b"\xe4", "\u00e4"),
        ("/202/image/png", bytes(range(256)), bytes(range(256))),
        ("/204/none", None, None),
        ("/203/application/json", b'"a"', "a"),
    ],
)
def test_answers_arrive(kind: ClientKind, url: str, target: str, body: Any, value: Any) -> None:
    """Each kind of answer is returned by each client, over a socket."""
    made = call(*ALL)
    made = Call(evolve(made.operation, method="POST"), target, body)
    found = kind.respond(made, api_key="sdk_key", base_url=url)
    assert (found.parsed, found.status) == (value, int(target[1:4]))
