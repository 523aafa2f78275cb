"""What an answer says: its encoding undone, its JSON read, its error envelope found. Pure."""

import json
import math
import zlib
from codecs import BOM_UTF8
from typing import Any, NoReturn, cast

from .transport import Response

MAX_ERROR_BODY = 64 * 1024
"""Bytes of an answer's body that an error keeps."""

MAX_JSON_DEPTH = 100
"""Levels of objects and arrays in an answer's JSON. The document's answers have five at most."""

MAX_NUMBER_LENGTH = 4300
"""Characters in one number of an answer's JSON. It is Python's own limit for the digits of an
integer, but it holds whatever the application did to `sys.set_int_max_str_digits`."""

BYTES_PER_VALUE = 20
"""An answer may have one JSON value for each so many bytes of `max_response_bytes`. A value takes
Python some 70 to 200 bytes, however few bytes it has in JSON."""

MIN_VALUES = 5000
"""JSON values that an answer may have however small `max_response_bytes` is: they cost next to
nothing, and a body of at most `MAX_NUMBER_LENGTH` bytes cannot have more."""

MAX_GZIP_MEMBERS = 100
"""Members in gzip data. Servers send one."""

PIECE = 64 * 1024
"""Bytes that are worked through at a time where all at once would need a large copy."""

REQUEST_ID_HEADERS = ("x-request-id", "request-id", "cf-ray")
"""Where a request id may be. The vendor documents none; proxies in front of it may add one."""


class Unreadable(Exception):  # noqa: N818 - never leaves the package
    """A body is not what it says to be."""


class TooLarge(Exception):  # noqa: N818 - never leaves the package
    """A body is larger than the limit once its encoding is undone, or has too many JSON values."""


def lower_headers(response: Response) -> dict[str, str]:
    """Return the headers with lower-case names; repeated ones joined as HTTP allows."""
    headers: dict[str, str] = {}
    for name, value in response.headers:
        key = name.lower()
        if key in headers:
            return _joined_headers(response)
        headers[key] = value
    return headers


def _joined_headers(response: Response) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in response.headers:
        values.setdefault(name.lower(), []).append(value)
    return {name: ", ".join(several) for name, several in values.items()}


def plain_body(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a `Content-Encoding` that we asked for.

    Some servers send a charset there, and some proxies undo an encoding but leave the header. A
    body that can be read as JSON just as it is counts as not encoded, whatever the header says:
    compressed data never looks like JSON.

    Raises:
        Unreadable: The encoding is another one, or the data is broken or cut off.
        TooLarge: The result would have more than `limit` bytes.
    """
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        return body
    try:
        return _decoded(body, coding, limit)
    except Unreadable:
        if _is_json(body, limit):
            return body
        raise


def _decoded(body: bytes, coding: str, limit: int) -> bytes:
    match coding:
        case "gzip" | "x-gzip":
            return _gunzip(body, limit)
        case "deflate":
            plain, rest = _inflate(memoryview(body), zlib.MAX_WBITS, limit, 0)
            if rest:
                raise Unreadable("deflate data with something after it")
            return b"".join(plain)
        case _:  # its name is a server's word, so it is not quoted
            raise Unreadable("an unknown content encoding")


def _gunzip(body: bytes, limit: int) -> bytes:
    """Undo gzip, which may come in several members, with zeros after the last (RFC 1952)."""
    plain: list[bytes] = []
    size = 0
    rest = memoryview(body)
    for _ in range(MAX_GZIP_MEMBERS):
        parts, rest = _inflate(rest, zlib.MAX_WBITS | 16, limit, size)
        plain += parts
        size += sum(map(len, parts))
        if not rest or (rest[0] == 0 and not rest.tobytes().strip(b"\0")):
            return b"".join(plain)
    raise Unreadable(f"gzip data of more than {MAX_GZIP_MEMBERS} members")


def _inflate(
    data: memoryview, window: int, limit: int, size: int
) -> tuple[list[bytes], memoryview]:
    """Undo one stretch of compressed data; return its parts, and what comes after it.

    The decompressor copies what is left of the data that it is given, so it is given it in pieces.

    Args:
        data: It begins with the compressed data.
        window: What zlib calls `wbits`, which says which format it has.
        limit: Bytes that the whole body may have.
        size: Bytes that the body has already.
    """
    decompressor = zlib.decompressobj(wbits=window)
    parts: list[bytes] = []
    for start in range(0, len(data), PIECE):
        piece = data[start : start + PIECE]
        try:
            part = decompressor.decompress(piece, limit + 1 - size)
        except zlib.error as error:
            raise Unreadable(f"broken compression: {error}") from None
        parts.append(part)
        size += len(part)
        if size > limit:
            raise TooLarge(f"more than {limit} bytes")
        if decompressor.eof:
            return parts, data[start + len(piece) - len(decompressor.unused_data) :]
    raise Unreadable("compressed data that is cut off")


def read_json(body: bytes, limit: int) -> Any:
    """Parse JSON strictly: UTF-8 (a byte order mark is skipped), no NaN and no Infinity.

    Of a key that an object has twice, the last value counts, as in JavaScript.

    Args:
        body: The JSON.
        limit: The client's `max_response_bytes`, which also says how many values there may be.

    Raises:
        Unreadable: It is not JSON, is nested too deep or has a number that is too long or large.
        TooLarge: It has too many values.
    """
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > MAX_JSON_DEPTH or len(body) > MAX_NUMBER_LENGTH:
        _check_structure(body, brackets, limit)
    try:
        text = body.removeprefix(BOM_UTF8).decode()
        value, end = _JSON.raw_decode(text)  # `decode` but for the white space around it
        if not text[end:]:
            return value
    except (ValueError, RecursionError):
        pass  # it may begin with white space
    return _read_spaced(body)


def _read_spaced(body: bytes) -> Any:
    try:
        return _JSON.decode(body.removeprefix(BOM_UTF8).decode())
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"something that is not JSON: {error}") from None


def _is_json(body: bytes, limit: int) -> bool:
    try:
        read_json(body, limit)
    except (Unreadable, TooLarge):
        return False
    return True


def _check_structure(body: bytes, brackets: int, limit: int) -> None:
    """Refuse what would cost too much to parse, by means that cost little themselves.

    What is looked at first counts what is in strings too, where there may be anything. Only if that
    is over a limit is it counted without them.
    """
    most = max(limit // BYTES_PER_VALUE, MIN_VALUES)
    within = brackets <= MAX_JSON_DEPTH and body.count(b",") + brackets <= most
    if within and not _has_long_number(body):
        return
    bare = _without_strings(body)
    opened = bare.count(b"{") + bare.count(b"[")
    if bare.count(b",") + opened > most:
        raise TooLarge(
            f"more than {most} JSON values, which is what max_response_bytes={limit} allows: "
            "raise max_response_bytes to read such an answer"
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

    Each round takes away the innermost brackets. Those that are never closed are left over; each is
    one more level.
    """
    left = bare.translate(_BRACKETS, _NO_BRACKETS)
    if left.count(b"]") > left.count(b"["):  # any number of them would be gone through each time
        raise Unreadable("brackets that do not match")
    rounds = 0
    while b"[]" in left and rounds < MAX_JSON_DEPTH:
        left = left.replace(b"[]", b"")
        rounds += 1
    if rounds + left.count(b"[") > MAX_JSON_DEPTH:
        raise Unreadable(f"JSON of more than {MAX_JSON_DEPTH} levels")


_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large for a float")
    return number


_JSON = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def error_envelope(body: bytes, limit: int) -> tuple[int | None, str | None]:
    """Find `code` and `message` in `{"error": {"code": ..., "message": ...}}`, as far as they are.

    Statuses other than 400, 401 and 403 are documented nowhere, so anything else is no fault, and
    what is beyond a limit is not looked at.
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
    """Return an answer's request id, if it has one."""
    return next((headers[name] for name in REQUEST_ID_HEADERS if name in headers), None)
