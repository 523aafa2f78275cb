"""Answers as data, and their bytes on the wire."""

import json
from email.utils import formatdate
from http import HTTPStatus

from attrs import evolve, field, frozen

Headers = tuple[tuple[str, str], ...]
"""Header names and values, in the order in which they are sent."""

BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
"""Statuses whose answers end with their headers and have no length."""

_JSON = ("content-type", "application/json; charset=utf-8")


@frozen
class Answer:
    """A complete HTTP answer, without the headers that depend on how it is sent."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)
    applied: bool = False
    """Whether making this answer changed the sandbox's state."""
    streams: bool = False
    """Whether the body is the stream of events, which has no end."""


def json_answer(status: int, value: object, *, applied: bool = False) -> Answer:
    """Return an answer whose body is `value` as JSON."""
    return Answer(status, (_JSON,), json_body(value), applied)


def json_body(value: object) -> bytes:
    """Return `value` as compact JSON in ASCII, so that lone surrogates can be sent too."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def error_answer(status: int, message: str) -> Answer:
    """Return an error in the shape of the document's ErrorResponse."""
    return json_answer(status, {"error": {"code": status, "message": message}})


def with_header(answer: Answer, name: str, value: str) -> Answer:
    """Return the answer with this header instead of others of that name (in lower case)."""
    others = tuple(each for each in answer.headers if each[0] != name)
    return evolve(answer, headers=(*others, (name, value)))


def phrase(status: int) -> str:
    """Return the reason phrase of a status, "Unknown Error" if none is registered."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Error"


def sent_headers(answer: Answer, now: float) -> Headers:
    """Return the headers of an answer sent at `now` (POSIX seconds), Date and length included."""
    length = () if answer.status in BODILESS else (("content-length", str(len(answer.body))),)
    return (("date", formatdate(now, usegmt=True)), *answer.headers, *length)


def head(answer: Answer, now: float, *, closing: bool = False) -> bytes:
    """Return the status line and headers of an answer as bytes.

    `closing` announces that the connection is closed after it.
    """
    headers = sent_headers(answer, now) + ((("connection", "close"),) if closing else ())
    lines = [f"HTTP/1.1 {answer.status} {phrase(answer.status)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
