"""The expected result of a call, from a second reading of its answer without the client's code."""

import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import oneloop
from oneloop import OneloopError, Outcome

from .answers import KEY, LIMIT, Answer
from .json_reader import parse


@dataclass(frozen=True)
class Expected:
    """The expected result of a call: an answer with these fields, or one of these errors.

    Attributes:
        model: Fields of the model, by their Python names.
        errors: Classes, one of which the error must have.
        outcomes: Outcomes, one of which the error must have.
        status: HTTP status of the answer.
        said: Code and message of the error's envelope.
        fields: Paths of the unreadable fields, one of which the error must name.
        open_ended: Whether the answer is incomplete, so that the client waits for more.
    """

    model: dict[str, Any] | None = None
    errors: tuple[type[OneloopError], ...] = ()
    outcomes: frozenset[Outcome] = frozenset()
    status: int | None = None
    said: tuple[int | None, str | None] | None = None
    fields: frozenset[str] | None = None
    open_ended: bool = False


LONGEST_MESSAGE = 2000
"""Characters of an error's message that a client keeps."""

DOUBTFUL = object()
"""Stands for a timestamp that a client may either read or refuse."""

STATUS_ERRORS: dict[int, type[OneloopError]] = {
    400: oneloop.BadRequestError,
    401: oneloop.AuthenticationError,
    403: oneloop.PermissionDeniedError,
    404: oneloop.NotFoundError,
    409: oneloop.ConflictError,
    422: oneloop.UnprocessableEntityError,
    429: oneloop.RateLimitError,
}
_LINE = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: [ -~]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ \t!-~]*)")
LOST = (oneloop.APIConnectionError,)
_UNKNOWN = frozenset({Outcome.UNKNOWN})
_UNREADABLE = Expected(errors=(oneloop.ResponseDecodeError,), outcomes=_UNKNOWN)


@dataclass(frozen=True)
class _Framed:
    """An answer as HTTP: what it consists of, and what follows it."""

    status: int
    codings: list[bytes]
    body: bytes
    complete: bool
    left: bytes


def read(answer: Answer) -> Expected | None:
    """Return the result that an answer must have, or `None` if HTTP is broken or leaves it open."""
    found = _framed(answer)
    if not isinstance(found, _Framed):
        return found
    if not found.complete:
        if len(found.body) > LIMIT:
            return None
        return Expected(errors=LOST, outcomes=_UNKNOWN, open_ended=True)
    if len(found.body) > LIMIT:
        too_large = (oneloop.ResponseTooLargeError,)
        return Expected(errors=too_large, outcomes=_UNKNOWN, status=found.status)
    return _meaning(found.status, found.codings, found.body)


def leaves_bytes(answer: Answer) -> bool:
    """Return whether more bytes follow an answer, or may do so as its end is not certain."""
    found = _framed(answer)
    return found is None or (isinstance(found, _Framed) and found.complete and found.left != b"")


def _framed(answer: Answer) -> _Framed | Expected | None:
    rest, status, minor = answer.raw, 100, 0
    headers: dict[bytes, list[bytes]] = {}
    if answer.after == "reset" or len(answer.cuts) > 1:  # it depends on timing what arrives
        return None
    while 100 <= status <= 199:
        if status == 101:  # unrequested, so a client may refuse it or return it as an answer
            either = (oneloop.APIStatusError, oneloop.APIConnectionError)
            return Expected(errors=either, outcomes=_UNKNOWN)
        head, found, rest = rest.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        line = _LINE.fullmatch(lines[0])
        matches = [_HEADER.fullmatch(one) for one in lines[1:]]
        doubtful = len(head) > 60_000
        if not found or line is None or None in matches or doubtful:
            return None if answer.raw else Expected(errors=LOST, outcomes=_UNKNOWN, open_ended=True)
        minor, status, headers = int(line[1]), int(line[2]), {}
        for match in matches:
            assert match is not None
            headers.setdefault(match[1].lower(), []).append(match[2].strip())
    if status < 100:
        return Expected(errors=LOST, outcomes=_UNKNOWN)
    framed = _body(answer, status, minor, headers, rest)
    return framed and _Framed(status, headers.get(b"content-encoding", []), *framed)


def _body(
    answer: Answer, status: int, minor: int, headers: dict[bytes, list[bytes]], rest: bytes
) -> tuple[bytes, bool, bytes] | None:
    """Return the body as far as it came, whether it is complete, and what follows it."""
    lengths = headers.get(b"content-length", [])
    transfers = headers.get(b"transfer-encoding", [])
    if len(lengths) + len(transfers) > 1:
        return None
    if any(not re.fullmatch(rb"[0-9]{1,15}", length) for length in lengths):
        return None
    if any(transfer.lower() != b"chunked" or minor == 0 for transfer in transfers):
        return None
    if status in (204, 304):
        return b"", True, rest
    if lengths:
        length = int(lengths[0])
        return rest[:length], len(rest) >= length, rest[length:]
    if not transfers:
        return rest, answer.after == "close", b""
    body = b""
    while True:
        size = re.match(rb"([0-9A-Fa-f]{1,8})\r\n", rest)
        if size is None:
            return None
        count, rest = int(size[1], 16), rest[size.end() :]
        if not count:
            return (body, True, rest[2:]) if rest.startswith(b"\r\n") else None
        body += rest[:count]
        if len(rest) < count + 2:
            return None if rest[count:].strip(b"\r") else (body, False, b"")
        if rest[count : count + 2] != b"\r\n":
            return None
        rest = rest[count + 2 :]


def _meaning(status: int, codings: list[bytes], body: bytes) -> Expected | None:
    too_large = Expected(errors=(oneloop.ResponseTooLargeError,), outcomes=_UNKNOWN, status=status)
    plain: bytes | None = None
    if not codings or codings == [b"identity"] or _is_json(body):
        plain = body
    elif codings in ([b"gzip"], [b"x-gzip"]):
        if body[3:4] and body[3] & 0xE0:
            return None  # RFC 1952 reserves these flags: zlib refuses them, and `gzip` does not
        try:
            plain = gzip.decompress(body) if body else None
        except (OSError, EOFError, zlib.error):
            # Clients may ignore what follows a complete first member, or refuse the whole body.
            plain = None
            whole = zlib.decompressobj(47)  # 47: accepts gzip and zlib data
            try:
                if len(whole.decompress(body, LIMIT + 1)) > LIMIT:
                    return None
            except zlib.error:
                return None if status < 200 or status > 299 else replace(_UNREADABLE, status=status)
            if whole.eof:
                return None
    elif codings == [b"deflate"]:
        stream = zlib.decompressobj()
        try:
            plain = stream.decompress(body)
        except zlib.error:
            return None
        if stream.unused_data or not stream.eof:
            return None
    else:
        return None
    if plain is not None and len(plain) > LIMIT:
        return too_large
    if not 200 <= status <= 299:
        kind = STATUS_ERRORS.get(status, oneloop.APIStatusError)
        # A 303 after a POST mostly points to the result of a call that was carried out.
        rejected = 300 <= status <= 499 and status != 303
        outcome = Outcome.REJECTED if rejected else Outcome.UNKNOWN
        kind = oneloop.ServerError if 500 <= status <= 599 else kind
        said = _said(plain)
        return Expected(None, (kind,), frozenset({outcome}), status, said)
    if plain is None:
        return replace(_UNREADABLE, status=status)
    try:
        value = parse(plain)
    except OverflowError:
        errors = (oneloop.ResponseDecodeError, oneloop.ResponseTooLargeError)
        either = frozenset({Outcome.UNKNOWN, Outcome.APPLIED})
        return Expected(errors=errors, outcomes=either, status=status)
    except ValueError:
        return replace(_UNREADABLE, status=status)
    model, bad = _model(value)
    errors = (oneloop.ResponseDecodeError,) if bad else ()
    applied = frozenset({Outcome.APPLIED})
    return Expected(model, errors, applied, status, fields=frozenset(bad) or None)


def _is_json(body: bytes) -> bool:
    """Return whether a body is JSON as it is, whatever its Content-Encoding says."""
    try:
        parse(body)
    except (OverflowError, ValueError):
        return False
    return True


def _said(body: bytes | None) -> tuple[int | None, str | None] | None:
    if body is None or KEY.encode() in body:
        return None
    try:
        value = parse(body)
    except OverflowError:
        return None
    except ValueError:
        return None, None
    error = value.get("error") if isinstance(value, dict) else None
    code, message = (error.get("code"), error.get("message")) if isinstance(error, dict) else (0, 0)
    if not isinstance(error, dict):
        return None, None
    if isinstance(message, str) and KEY in message:
        return None
    shown = message[:LONGEST_MESSAGE] if isinstance(message, str) else None
    return code if type(code) is int else None, shown


def _model(value: Any) -> tuple[dict[str, Any] | None, set[str]]:
    """Return the fields of an answer if it can be read, and the paths of its unreadable fields."""
    if not isinstance(value, dict):
        return None, {""}
    rest = dict(value)
    if "billing" not in rest:
        return None, {"billing"}
    billing = rest.pop("billing")
    if billing is None:
        return {"billing": None, "additional_properties": rest}, set()
    if not isinstance(billing, dict):
        return None, {"billing"}
    fields, bad, doubtful = dict(billing), set(), set()
    known: dict[str, Any] = {}
    for name, (attribute, convert) in _CONVERT.items():
        try:
            known[attribute] = convert(fields.pop(name))
        except (KeyError, ValueError):
            bad.add(f"billing.{name}")
            continue
        if known[attribute] is DOUBTFUL:
            doubtful.add(f"billing.{name}")
    if bad:
        return None, bad | doubtful
    known["additional_properties"] = fields
    return {"billing": known, "additional_properties": rest}, doubtful


def _a(kind: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError
        return value

    return convert


def _digits(value: Any) -> int:
    if type(value) is int and value >= 0:
        return value
    if type(value) is not str or not re.fullmatch("[0-9]{1,4300}", value):
        raise ValueError
    return int(value)


_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)


def _moment(value: Any) -> Any:
    if type(value) is not str or not re.search("[0-9]", value):
        raise ValueError
    match = _MOMENT.fullmatch(value)
    if match is None or match[4] == "24" or (match[10] and int(match[10]) > 59):
        return DOUBTFUL
    *day, fraction, sign, hours, minutes = match.groups()
    away = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = timezone(-away if sign == "-" else away) if sign else UTC
    year, month, date, hour, minute, second = map(int, day)
    microsecond = int((fraction or "0").ljust(6, "0")[:6])
    return datetime(year, month, date, hour, minute, second, microsecond, zone)


_CONVERT: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "id": ("id", _a(str)),
    "totalCredits": ("total_credits", _digits),
    "usedCredits": ("used_credits", _digits),
    "allowOverages": ("allow_overages", _a(bool)),
    "spendCap": ("spend_cap", lambda value: None if value is None else _digits(value)),
    "createdAt": ("created_at", _moment),
    "updatedAt": ("updated_at", _moment),
}
