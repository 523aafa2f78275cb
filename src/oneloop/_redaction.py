"""Removes secrets from the words of a server, in time linear in their length.

A server, or a proxy in front of it, may quote the request in its response. So every text of a
server goes through `Redactor.clean` before it becomes part of an error.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from oneloop_core import Secret, strings_in

SHORTEST_SECRET = 6
"""Characters. To redact a shorter secret would garble every text and protect nothing."""

SHORTEST_START = 8
"""Characters. At the end of a truncated text, so long a start of a secret is redacted as well."""

LAYERS = 4
"""Layers of escapes that are undone: a URL in JSON in an HTML page has three, and a secret may look
like an escape itself."""

LONGEST_SPELLING = 16
"""The largest number of characters that several layers of escapes need for one character."""

REDACTED = "[redacted]"

_ESCAPES = re.compile(
    r"%[0-9a-fA-F]{2}|%u[0-9a-fA-F]{4}"
    r"|\\u[0-9a-fA-F]{4}|\\u\{[0-9a-fA-F]{1,6}\}|\\U[0-9a-fA-F]{8}|\\x[0-9a-fA-F]{2}"
    r"|\\N\{[A-Za-z0-9 -]{1,90}\}|\\[0-7]{1,3}|\\."
    r"|&\#[0-9]{1,40};?|&\#[xX][0-9a-fA-F]{1,40};?|&[A-Za-z][A-Za-z0-9]{1,30};",
    re.DOTALL,
)
"""Escapes of URLs, of JSON, JavaScript and Python, and of HTML."""

_QUOTED_PRINTABLE = re.compile(r"=[0-9a-fA-F]{2}")
"""Escapes of e-mails. They are undone separately, as a secret in a URL follows a `=`."""

_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class Redactor:
    """Finds a call's secrets in the usual spellings, and replaces them.

    It finds a secret as it is, in another letter case, percent-encoded, quoted-printable, with the
    escapes of JSON, JavaScript, Python and HTML, and in up to three layers of these; and its start
    at the end of a truncated text. It does not find other parts of a secret, an encoding of the
    whole such as base64, and secrets of fewer than `SHORTEST_SECRET` characters.
    """

    __slots__ = ("_needles", "reach")

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._needles = Secret(_needles(secrets))
        # `clean` examines so many characters after the limit, so that a secret that begins before
        # the limit is seen whole, whatever its spelling.
        self.reach = max(map(len, self._needles.reveal()), default=0) * LONGEST_SPELLING

    def clean(self, text: str, limit: int) -> str:
        """Return the first `limit` characters of a text without the secrets in them."""
        text = text[: limit + self.reach]
        parts: list[str] = []
        at = 0
        for start, end in sorted(_found(text, self._needles.reveal())):
            if start >= at:
                parts += (text[at:start], REDACTED)
            at = max(at, end)
        return ("".join(parts) + text[at:])[:limit]


def _needles(secrets: Iterable[Secret]) -> set[str]:
    """Return what to search for: each secret, folded, as it is and with its own escapes undone."""
    spelled = [_spellings(text) for secret in secrets for text in strings_in(secret.reveal())]
    layers = (layer for plain in chain.from_iterable(spelled) for layer, _ in _layers(plain))
    return {_folded(one) for one in layers if len(one) >= SHORTEST_SECRET}


def _spellings(secret: str) -> tuple[str, ...]:
    """Return a secret as it is, as UTF-8 byte by byte, and as UTF-16 unit by unit."""
    if secret.isascii():
        return (secret,)
    units = secret.encode("utf-16-be", "surrogatepass")
    pairs = "".join(chr(high << 8 | low) for high, low in zip(units[::2], units[1::2], strict=True))
    return secret, secret.encode("utf-8", "surrogatepass").decode("latin-1"), pairs


def _folded(text: str) -> str:
    """Return a text of the same length in lower case, with `+` replaced by a space."""
    # U+0130 is the one character whose lower case has another length.
    return text.replace("\u0130", "i").replace("+", " ").lower()


def _found(text: str, needles: set[str]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each needle in a text, in each layer of escapes."""
    for plain, places in _layers(text):
        folded = _folded(plain)
        for needle in needles:
            at = folded.find(needle)
            while at >= 0:
                end = at + len(needle)
                yield places[at], places[end]
                at = folded.find(needle, end)
            cut_off = _overlap(folded, needle)
            if cut_off:
                yield places[len(plain) - cut_off], places[-1]


def _overlap(text: str, needle: str) -> int:
    """Return how many characters at the end of a text are the start of a needle, but not all of it.

    Fewer than `SHORTEST_START` characters count as 0. To compare each place where the needle may
    start is cheap, as a secret has at most `MAX_SECRET_LENGTH` characters.
    """
    end, start = text[-len(needle) + 1 :], needle[:SHORTEST_START]
    at = end.find(start)
    while at >= 0 and not needle.startswith(end[at:]):
        at = end.find(start, at + 1)
    return len(end) - at if at >= 0 else 0


def _layers(text: str) -> Iterator[tuple[str, list[int]]]:
    """Yield a text as it is, and with one layer of escapes after the other undone.

    With each text come the positions of its characters in the original, and the end of the last.
    """
    whole = text, list(range(len(text) + 1))
    yield whole
    for escapes in (_ESCAPES, _QUOTED_PRINTABLE):
        plain, places = whole
        for _ in range(LAYERS):
            inner = _unescaped(plain, places, escapes)
            if inner is None:
                break
            plain, places = inner
            yield plain, places


def _unescaped(
    text: str, places: list[int], escapes: re.Pattern[str]
) -> tuple[str, list[int]] | None:
    """Undo one layer of escapes. Return `None` if there are none."""
    parts: list[str] = []
    kept: list[int] = []
    at = 0
    for escape in escapes.finditer(text):
        start, end = escape.span()
        character = _character(escape[0])
        if character:
            parts += (text[at:start], character)
            kept += places[at:start]
            kept.append(places[start])
            at = end
    if not parts:
        return None
    return "".join(parts) + text[at:], kept + places[at:]


def _character(escape: str) -> str:
    """Return the character that an escape stands for, or nothing if it is not exactly one."""
    if escape.startswith("&"):
        from html import unescape  # on first use, as few processes need it

        character = unescape(escape)
        return character if len(character) == 1 else ""
    if escape.startswith("\\N{"):
        try:
            return escape.encode().decode("unicode_escape")
        except UnicodeDecodeError:
            return ""
    digits = escape.lstrip("\\uUx%={").rstrip("}")
    if escape[0] in "%=" or (escape[1] in "uUx" and len(escape) > 2):
        code = int(digits, 16)
        return chr(code) if code <= 0x10FFFF else ""
    if escape[1] in "01234567":
        return chr(int(digits, 8))
    return _CONTROLS.get(escape[1], escape[1])
