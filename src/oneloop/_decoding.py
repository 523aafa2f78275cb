"""Decodes responses: headers, content encodings, JSON, and the API's error envelope. Pure."""

import json
import math
import re
import zlib
from collections.abc import Sequence
from typing import Any, NoReturn, cast

from oneloop_core import Answer, DecodeError

MAX_JSON_DEPTH = 100
"""Levels of objects and arrays in a response's JSON. Those of the API have five at most."""

MAX_NUMBER_LENGTH = 4300
"""Characters in one number of a response's JSON. This is Python's default limit for the digits of
an integer, and applies even if the application has changed that."""

BYTES_PER_VALUE = 20
"""Bytes of `max_response_bytes` for each JSON value that a response may have. A value takes some 70
to 200 bytes in Python, however few it takes in JSON."""

MIN_VALUES = 5000
"""JSON values that a response may always have, however small `max_response_bytes` is: they cost
next to nothing, and a body of at most `MAX_NUMBER_LENGTH` bytes cannot have more."""

MAX_GZIP_MEMBERS = 100
"""Members that gzip data may have. Servers send one."""

_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""The encodings that we undo, with zlib's `wbits`, which selects the format."""

_BYTE_ORDER_MARK = "\ufeff"

PIECE = 64 * 1024
"""Bytes that are processed at a time where the whole body would need a large copy."""

REQUEST_ID_HEADERS = ("x-request-id", "request-id", "cf-ray")
"""Headers that may contain a request id. The vendor documents none, but its proxies may add one."""


class Unreadable(Exception):  # noqa: N818 - never leaves the package
    """A body is not JSON, or not in the encoding that its headers declare."""


class TooLarge(Exception):  # noqa: N818 - never leaves the package
    """A body exceeds the limit once it is decompressed, or has too many JSON values."""


def lower_headers(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return headers by lower-case name; the values of repeated ones are joined with commas."""
    headers = {name.lower(): value for name, value in pairs}
    if len(headers) == len(pairs):
        return headers
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name.lower(), []).append(value)
    return {name: ", ".join(several) for name, several in values.items()}


def plain_body(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo the `Content-Encoding` of a body.

    Some servers send a charset in that header, and some proxies decompress a body without removing
    the header. So a body that is JSON as it stands is returned unchanged, whatever the header says:
    compressed data is never valid JSON.

    Raises:
        Unreadable: We did not ask for this encoding, or the data is corrupt or truncated.
        TooLarge: The result would have more than `limit` bytes.
    """
    coding = encoding.strip().lower()
    if not body or coding in ("", "identity"):  # that of HEAD is empty, whatever the header says
        return body
    try:
        return _decoded(body, coding, limit)
    except Unreadable as error:
        try:
            read_json(body, limit)
        except (Unreadable, TooLarge):
            raise error from None
        return body


def _decoded(body: bytes, coding: str, limit: int) -> bytes:
    """Decompress one member, or several of gzip, perhaps followed by zeros (RFC 1952)."""
    if coding not in _WINDOWS:  # the server chose its name, so it is not quoted
        raise Unreadable("an unknown content encoding")
    plain: list[bytes] = []
    size, rest = 0, memoryview(body)
    for _ in range(1 if coding == "deflate" else MAX_GZIP_MEMBERS):
        parts, rest = _inflate(rest, _WINDOWS[coding], limit, size)
        plain += parts
        size += sum(map(len, parts))
        if not rest or (rest[0] == 0 and not rest.tobytes().strip(b"\0")):
            return b"".join(plain)
    raise Unreadable("compressed data that is followed by other data")


def _inflate(data: memoryview, wbits: int, limit: int, size: int) -> tuple[list[bytes], memoryview]:
    """Decompress one stream; return its parts, and the data that follows it.

    The input is fed in pieces, because the decompressor copies whatever it has not yet consumed.
    `size` bytes of the body, which may have `limit` in all, are decompressed already.
    """
    decompressor = zlib.decompressobj(wbits=wbits)
    parts: list[bytes] = []
    for start in range(0, len(data), PIECE):
        piece = data[start : start + PIECE]
        try:
            part = decompressor.decompress(piece, limit + 1 - size)
        except zlib.error as error:
            raise Unreadable(f"corrupt compressed data: {error}") from None
        parts.append(part)
        size += len(part)
        if size > limit:
            raise TooLarge(f"more than {limit} bytes")
        if decompressor.eof:
            return parts, data[start + len(piece) - len(decompressor.unused_data) :]
    raise Unreadable("truncated compressed data")


def read_json(body: bytes, limit: int) -> Any:
    """Parse JSON strictly: UTF-8 (a byte order mark is skipped), without NaN and Infinity.

    If an object has the same key twice, the last value is used, as in JavaScript. `limit` is the
    client's `max_response_bytes`, which also limits the number of values.

    Raises:
        Unreadable: The body is not JSON, is nested too deeply, or has a number that is too long or
            too large.
        TooLarge: The body has too many values.
    """
    if len(body) > MAX_NUMBER_LENGTH or body.count(b"{") + body.count(b"[") > MAX_JSON_DEPTH:
        _check_structure(body, limit)
    try:
        text = body.decode()
        if text.startswith("{"):
            value, end = _JSON.raw_decode(text)  # `decode` without its search for white space
            if end == len(text):
                return value
        return _JSON.decode(text.removeprefix(_BYTE_ORDER_MARK))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"a body that is not JSON: {error}") from None


def _check_structure(body: bytes, limit: int) -> None:
    """Refuse a body that would be too expensive to parse, by checks that are cheap themselves.

    The first counts include the contents of strings, which may be anything. Only if one of them
    exceeds a limit are the strings removed and the rest counted again.
    """
    most = max(limit // BYTES_PER_VALUE, MIN_VALUES)
    brackets = body.count(b"{") + body.count(b"[")
    within = brackets <= MAX_JSON_DEPTH and body.count(b",") + brackets <= most
    if within and not _has_long_number(body):
        return
    bare = _without_strings(body)
    opened = bare.count(b"{") + bare.count(b"[")
    if bare.count(b",") + opened > most:
        raise TooLarge(
            f"more than {most} JSON values, which is what max_response_bytes={limit} allows: "
            "raise max_response_bytes to read such a response"
        )
    if _has_long_number(bare):
        raise Unreadable(f"a number of more than {MAX_NUMBER_LENGTH} characters")
    if opened > MAX_JSON_DEPTH:
        _check_depth(bare)


def _has_long_number(body: bytes) -> bool:
    return _LONG_NUMBER in body.translate(_NUMBERS)


_NUMBERS = bytes(ord("0") if one in b"+-.0123456789Ee" else ord(" ") for one in range(256))
_LONG_NUMBER = b"0" * (MAX_NUMBER_LENGTH + 1)


def _without_strings(body: bytes) -> bytes:
    """Return JSON without its strings; one without an end reaches to the end."""
    body = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # so that each quote begins or ends one
    outside: list[bytes] = []
    inside = 0  # 1 if a piece begins within a string
    for start in range(0, len(body), PIECE):
        parts = body[start : start + PIECE].split(b'"')
        outside.append(b"".join(parts[inside::2]))
        inside ^= (len(parts) - 1) & 1
    return b"".join(outside)


def _check_depth(bare: bytes) -> None:
    """Refuse JSON, given without its strings, that has more than `MAX_JSON_DEPTH` levels.

    Each round removes the innermost pairs of brackets. Brackets that are never closed remain, and
    each of them is one more level.
    """
    left = bare.translate(_BRACKETS, _NO_BRACKETS)
    if left.count(b"]") > left.count(b"["):  # otherwise each round would scan them again
        raise Unreadable("unbalanced brackets")
    rounds = 0
    while b"[]" in left and rounds < MAX_JSON_DEPTH:
        left = left.replace(b"[]", b"")
        rounds += 1
    if rounds + left.count(b"[") > MAX_JSON_DEPTH:
        raise Unreadable(f"JSON of more than {MAX_JSON_DEPTH} levels")


_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large for a float")
    return number


_JSON = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def read_answer(
    answers: Sequence[Answer[Any]], status: int, headers: dict[str, str], body: bytes, limit: int
) -> Any:
    """Return what a successful response contains, as the document describes it for the status.

    A status that the document does not describe is read as the first answer that fits.

    Args:
        answers: The answers of the operation, the most specific statuses first.
        status: The status of the response.
        headers: Its headers, with names in lower case.
        body: Its body, decompressed.
        limit: The client's `max_response_bytes`.

    Raises:
        DecodeError: The JSON has another shape.
        Unreadable: The body is not JSON, or not text in the encoding that the headers declare.
        TooLarge: The JSON has too many values.
    """
    documented = [one for one in answers if one.lowest <= status <= one.highest]
    if not body and (status in (204, 205) or not documented):
        documented = [one for one in answers if one.reads == "nothing"]
    span = documented and (documented[0].lowest, documented[0].highest)
    candidates = [one for one in documented if (one.lowest, one.highest) == span] or answers
    problem: Exception | None = None
    for answer in candidates:
        if answer.reads == "bytes":
            return body
        if answer.reads == "nothing" and documented:
            return None
        if answer.reads == "json or nothing" and not body:
            return None
        try:
            if answer.reads == "text":
                return _read_text(body, headers.get("content-type", ""))
            if answer.decode is not None:
                return answer.decode(read_json(body, limit))
        except (DecodeError, Unreadable) as error:
            problem = problem or error.with_traceback(None)
    raise problem or Unreadable("a body where the document has none")


def _read_text(body: bytes, content_type: str) -> str:
    """Decode text in the charset of its media type, or in UTF-8."""
    found = _CHARSET.search(content_type)
    charset = found[1] if found else "utf-8"
    # Python's other codecs are no charsets of the web, and some take quadratic time.
    if not _CHARSETS.fullmatch(charset):
        raise Unreadable("text in an unknown charset")
    try:
        return body.decode(charset)
    except (LookupError, UnicodeDecodeError):
        raise Unreadable("text that is not in the charset that its headers declare") from None


_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.ASCII | re.IGNORECASE)
_CHARSETS = re.compile(
    r"utf-?(8|16|32)(le|be|-le|-be)?|(us-)?ascii|(iso-?8859-|latin-?|windows-|cp)\d{1,4}"
    r"|koi8-[ru]|macintosh|shift[_-]jis|euc-(jp|kr)|iso-2022-jp|gb(k|2312|18030)|big5",
    re.ASCII | re.IGNORECASE,
)


def error_envelope(body: bytes, limit: int) -> tuple[int | None, str | None]:
    """Return `code` and `message` of `{"error": {"code": ..., "message": ...}}`, where present.

    A body of another shape, or beyond a limit, is not an error: the API documents the envelope for
    400, 401 and 403 only.
    """
    try:
        envelope = _member(read_json(body, limit), "error")
    except (Unreadable, TooLarge):
        return None, None
    code, message = _member(envelope, "code"), _member(envelope, "message")
    return code if type(code) is int else None, message if isinstance(message, str) else None


def _member(value: Any, key: str) -> Any:
    return cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None


def request_id(headers: dict[str, str]) -> str | None:
    """Return the request id of a response, if it has one."""
    return next((headers[name] for name in REQUEST_ID_HEADERS if name in headers), None)
