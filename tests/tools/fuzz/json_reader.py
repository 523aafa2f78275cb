"""A second reader of JSON, which shares no code with the client or the standard library."""

import math
import re
from collections.abc import Iterator
from typing import Any

_TOKEN = re.compile(
    r"[ \t\n\r]*(?:([\[\]{},:])"
    r'|("[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*")'
    r"|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(true|false|null)|($))"
)
_ESCAPE = re.compile(r"\\(?:u(....)|(.))")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}


def parse(body: bytes) -> Any:
    """Parse JSON as RFC 8259 defines it, after a byte order mark if there is one.

    Raises:
        ValueError: It is not JSON.
        OverflowError: It may be JSON, but exceeds what a client has to read: more than 100 levels,
            a number of more than 4300 characters, or one that is too large for a float.
    """
    text = body.removeprefix(b"\xef\xbb\xbf").decode()

    def tokens() -> Iterator[tuple[int, str]]:
        at = 0
        while True:
            match = _TOKEN.match(text, at)
            if match is None:
                raise ValueError(at)
            at = match.end()
            kind = match.lastindex or 0
            yield kind, match[kind]

    stream = tokens()
    value, following = _value(*next(stream), stream, 0)
    if following[0] != 5:
        raise ValueError
    return value


def _value(
    kind: int, token: str, stream: Iterator[tuple[int, str]], depth: int
) -> tuple[Any, tuple[int, str]]:
    """Return the value that starts with a token, and the token after the value."""
    if kind == 2:
        return _string(token), next(stream)
    if kind == 3:
        if len(token) > 4300:
            raise OverflowError
        if not set(token) & set(".eE"):
            return int(token), next(stream)
        if math.isinf(float(token)):
            raise OverflowError
        return float(token), next(stream)
    if kind == 4:
        return _WORDS[token], next(stream)
    if token not in ("[", "{"):
        raise ValueError(token)
    if depth == 100:
        raise OverflowError
    items: list[Any] = []
    pairs: dict[str, Any] = {}
    end = "]" if token == "[" else "}"
    kind, one = next(stream)
    while one != end or kind != 1:
        if end == "}":
            name = _string(one) if kind == 2 else None
            if name is None or next(stream) != (1, ":"):
                raise ValueError(one)
            pairs[name], (kind, one) = _value(*next(stream), stream, depth + 1)
        else:
            item, (kind, one) = _value(kind, one, stream, depth + 1)
            items.append(item)
        if (kind, one) == (1, ","):
            kind, one = next(stream)
            if (kind, one) == (1, end):
                raise ValueError(one)
        elif (kind, one) != (1, end):
            raise ValueError(one)
    return (items if end == "]" else pairs), next(stream)


def _string(token: str) -> str:
    def plain(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else _ESCAPES.get(match[2], match[2])

    text = _ESCAPE.sub(plain, token[1:-1])
    # This joins the surrogate pairs of characters above U+FFFF.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
