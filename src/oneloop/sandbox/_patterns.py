"""A string that matches a regular expression, for expressions as documents usually have them."""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
    (?P<group> \( (?: \?: | \?P?<\w+> )? )
  | (?P<end> \) )
  | (?P<or> \| )
  | (?P<count> [*+?] | \{ (?P<low>\d+) (?P<more> , (?P<high>\d*) )? \} ) \??
  | (?P<one> \[ \^? \]? (?: \\. | [^\]\\] )* \] | \\x[0-9a-fA-F]{2} | \\u[0-9a-fA-F]{4} | \\. | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_CHARACTERS = "a1A" + "".join(map(chr, range(32, 127)))
_NO_CHARACTER = {"^", "$", r"\b", r"\A", r"\Z"}


def matching(pattern: str, repeats: int) -> str:
    """Return a string that should match `pattern`; the caller checks whether it does.

    It takes the first of several alternatives, and repeats what may be repeated `repeats` times, as
    far as the pattern allows. Lookarounds and references to groups are not understood.
    """
    return _alternative(_TOKEN.finditer(pattern), repeats)


def _alternative(tokens: Iterator[re.Match[str]], repeats: int) -> str:
    """Return a match for the tokens up to the end of the group that they are in."""
    parts = [""]
    first: str | None = None
    for token in tokens:
        if token["end"]:
            break
        if token["or"]:
            first = "".join(parts) if first is None else first
            parts = [""]
        elif token["group"]:
            parts.append(_alternative(tokens, repeats))
        elif token["count"]:
            parts[-1] *= _times(token, repeats)
        else:
            parts.append(_character(token["one"]))
    return "".join(parts) if first is None else first


def _times(token: re.Match[str], repeats: int) -> int:
    if token["low"] is None:
        return {"?": min(repeats, 1), "*": repeats, "+": max(repeats, 1)}[token["count"]]
    low = int(token["low"])
    high = int(token["high"]) if token["high"] else max(repeats, low) if token["more"] else low
    return min(max(repeats, low), high)


def _character(one: str) -> str:
    """Return a character that a literal, an escape or a class such as ``[a-z]`` stands for."""
    if one in _NO_CHARACTER:
        return ""
    try:
        return next((each for each in _CHARACTERS + one[-1] if re.fullmatch(one, each)), "")
    except re.error:  # no expression by itself, such as a reference to a group
        return ""
