"""What an answer says: its encoding undone, its JSON read, its error envelope found. Pure."""

import json
import re
import zlib
from codecs import BOM_UTF8
from itertools import accumulate
from typing import Any, NoReturn, cast

from .transport import Response, ResponseTooLarge

MAX_JSON_DEPTH = 100
"""Levels of objects and arrays in an answer's JSON. The document's answers have five at most."""

MAX_GZIP_MEMBERS = 100
"""Members in gzip data: servers send one; each costs a copy of what follows it."""

REQUEST_ID_HEADERS = ("x-request-id", "request-id", "cf-ray")
"""Where a request id may be. The vendor documents none; proxies in front of it may add one."""


class Unreadable(Exception):  # noqa: N818 - never leaves the package
    """A body is not what it says to be."""


class TooLarge(Exception):  # noqa: N818 - never leaves the package
    """A body is larger than the limit once its encoding is undone."""


def lower_headers(response: Response | ResponseTooLarge) -> dict[str, str]:
    """Return the headers with lower-case names; repeated ones joined as HTTP allows."""
    headers: dict[str, str] = {}
    for name, value in response.headers:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def plain_body(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a `Content-Encoding` that we asked for.

    Raises:
        Unreadable: It is another one, or the data is broken or cut off.
        TooLarge: The result would have more than `limit` bytes.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _gunzip(body, limit)
        case "deflate":
            plain, rest = _inflate(body, zlib.MAX_WBITS, limit)
            if rest:
                raise Unreadable("deflate data with something after it")
            return plain
        case other:
            raise Unreadable(f"the unknown content encoding {other!r}")


def _gunzip(body: bytes, limit: int) -> bytes:
    """Undo gzip, which may come in several members, with zeros after the last (RFC 1952)."""
    plain = b""
    for _ in range(MAX_GZIP_MEMBERS):
        part, body = _inflate(body, zlib.MAX_WBITS | 16, limit - len(plain))
        plain += part
        if not body.strip(b"\0"):
            return plain
    raise Unreadable(f"gzip data of more than {MAX_GZIP_MEMBERS} members")


def _inflate(body: bytes, window: int, limit: int) -> tuple[bytes, bytes]:
    decompressor = zlib.decompressobj(wbits=window)
    try:
        plain = decompressor.decompress(body, limit + 1)
    except zlib.error as error:
        raise Unreadable(f"broken compression: {error}") from None
    if len(plain) > limit:
        raise TooLarge
    if not decompressor.eof:
        raise Unreadable("compressed data that is cut off")
    return plain, decompressor.unused_data


def read_json(body: bytes) -> Any:
    """Parse JSON strictly: UTF-8 (a byte order mark is skipped), no NaN and no Infinity.

    Of a key that an object has twice, the last value counts, as in JavaScript.

    Raises:
        Unreadable: It is not JSON, or nested too deep.
    """
    many = body.count(b"{") + body.count(b"[") > MAX_JSON_DEPTH
    if many and _depth(body) > MAX_JSON_DEPTH and _depth(_STRING.sub(b"", body)) > MAX_JSON_DEPTH:
        raise Unreadable(f"JSON of more than {MAX_JSON_DEPTH} levels")
    try:
        text = body.removeprefix(BOM_UTF8).decode()
        if text[:1] == "{":
            value, end = _JSON.raw_decode(text)  # `decode` but for the white space around it
            if end == len(text):
                return value
        return _JSON.decode(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"something that is not JSON: {error}") from None


# Possessive, as a string without an end would else be tried from each of its characters.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _depth(body: bytes) -> int:
    """Return how deep brackets are nested, those in strings included."""
    brackets = body.translate(None, _NO_BRACKETS)
    return max(accumulate(1 if one in b"[{" else -1 for one in brackets), default=0)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_JSON = json.JSONDecoder(parse_constant=_no_constant)


def error_envelope(body: bytes) -> tuple[int | None, str | None]:
    """Find `code` and `message` in `{"error": {"code": ..., "message": ...}}`, as far as they are.

    Statuses other than 400, 401 and 403 are documented nowhere, so anything else is no fault.
    """
    try:
        envelope = _member(read_json(body), "error")
    except Unreadable:
        return None, None
    code, message = _member(envelope, "code"), _member(envelope, "message")
    return code if type(code) is int else None, message if isinstance(message, str) else None


def _member(value: Any, key: str) -> Any:
    return cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None


def request_id(headers: dict[str, str]) -> str | None:
    """Return an answer's request id, if it has one."""
    return next((headers[name] for name in REQUEST_ID_HEADERS if name in headers), None)
