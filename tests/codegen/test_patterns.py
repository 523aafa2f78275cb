"""How long a pattern can take: which ones are refused, left to the server, or accepted."""

import time
from collections.abc import Iterator
from contextlib import suppress
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from codegen._patterns import LONGEST, Time, judge
from codegen._structure import python_pattern, structural

HANGING = 100
"""Seconds after which something counts as endless. This is a guard, not a measurement."""

LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
USUAL = {
    "digits": r"^\d+$",
    "uuid": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "slug": "^[a-z0-9]+(-[a-z0-9]+)*$",
    "label": f"^{LABEL}$",
    "host": rf"^({LABEL}\.)*{LABEL}$",
    "password": r"^(?=.*[A-Z])(?=.*\d).{8,}$",
    "date": r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$",
    "e-mail": r"^[a-zA-Z0-9_.+-]+@([a-zA-Z0-9-]+\.)+[a-z]{2,}$",
    "any digits": r"\d+",
    "words": r"^(\w+\s?)+",
    "alternatives": "^(" + "|".join(f"word{index}" for index in range(300)) + ")$",
    "possessive": r"^(?>a+)b$|^\Bc*+d$",
    "never": "^(?!)a+$",
    "any case": "(?i)^[a-z]+$|^[^q]x",
    "all letters": "(?s)^.*$",
    "lines": "(?m)^a$",
    "set in a set": "^[[]a$",
    "not": r"^[^\d\s]+[\D]$",
    "more letters": "^[à-ÿ]+-[^ÿ]é?$",
}
SLOW = {
    "e-mail": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    "in any place": r"\d+x",
    "twice": "^.*foo.*$",
    "three": "^a*a*a*$",
    "look anywhere": "(?=a*b)c",
    "look in a loop": "^((?=.*x)a)*$",
}
STEEP = {
    "four": "^a*a*a*a*$",
    "three in any place": "a*a*a*$",
    "too many loops": "^" + "[a-z]*" * 60 + "$",
    "look twice": "^((?=a*a*x)a)*$",
    "look slowly": "^(?=a*a*x)a*a*$",
}
ENDLESS = {
    "nested": "(a+)+$",
    "two ways": "^(a|a)*$",
    "one or two": "^(a|aa)+$",
    "nothing": "^(a*)*$",
    "separated": r"^(\w+\s?)+$",
    "optional": "^((a*)?b)*c$",
    "inside": "^(p(a|[ab]b?)*c)+",
    "counted": "^(a{1,20}){1,20}$",
    "few": "^([a-z]{0,8}){9,}$",
    "other letters": "^(é|[à-ÿ]y?)*$",
    "look": "^(?=(a+)+b)a",
    "lazy": "^(a+?)+?$",
}
OTHERS = {
    r"^(a)\1$": Time.BACKREFERENCE,
    "^(a)?(?(1)b|c)$": Time.BACKREFERENCE,
    "a" * (LONGEST + 1): Time.COMPLEX,
    "(" * 3000 + ")" * 3000: Time.COMPLEX,
    "((a{8}){8}){80}": Time.STEEP,
    "(((((a{8}){8}){8}){8}){8}){8}": Time.COMPLEX,
    "^(" + "[a-z]?" * 300 + "x)*$": Time.COMPLEX,
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        *((pattern, Time.LINEAR) for pattern in USUAL.values()),
        *((pattern, Time.POLYNOMIAL) for pattern in SLOW.values()),
        *((pattern, Time.STEEP) for pattern in STEEP.values()),
        *((pattern, Time.EXPONENTIAL) for pattern in ENDLESS.values()),
        *OTHERS.items(),
    ],
)
def test_the_time_of_a_pattern_is_known(pattern: str, expected: Time) -> None:
    """Usual patterns are quick and nested loops are not; in doubt the worse is assumed."""
    assert judge(python_pattern(pattern))[0] == expected


@pytest.mark.parametrize("pattern", ["(", r"\p{L}", "a{99999999999999999999}", "(?<=a*)b", "(?u)a"])
def test_what_is_no_pattern_of_python_is_said(pattern: str) -> None:
    """A pattern that Python cannot compile is one for the server."""
    assert judge(pattern) == (Time.FOREIGN, 0)


SCATTERED = "".join(chr(0x4E00 + 3 * index) for index in range(4_900))
BUSY = "".join(f"[{SCATTERED[index : index + 50]}]" for index in range(0, 4_500, 50))


@pytest.mark.parametrize("pattern", [f"^[{SCATTERED}]+$", f"(?i)^{BUSY}$", "(?i)" + "[a-z1-9]" * 9])
def test_a_pattern_is_judged_at_once(pattern: str) -> None:
    """Judging takes no time, even if the pattern has many letters."""
    began = time.monotonic()
    assert judge(pattern)[0] == (Time.LINEAR if pattern.isascii() else Time.COMPLEX)
    assert time.monotonic() - began < HANGING


def test_patterns_are_judged_at_once_together() -> None:
    """Many or long patterns take no time either; long ones are not even parsed."""
    busy = "(?i)^" + "".join(f"[{chr(97 + n % 26)}{n % 10}x-z-{n % 7}]" for n in range(1100))
    wide = "(?i)" + "[\0-\uffff]" * 1_900
    for pattern in ("[a" * 60_000, "[a\\\n" * 3_000, busy, wide, "[a-z]" * 1_500, "(" * 9_000):
        schemas = {f"A{n}": {"pattern": f"{pattern}{n}"} for n in range(200)}
        began = time.monotonic()
        found = list(structural({"components": {"schemas": schemas}}))
        assert any("it is too complex to be judged" in one.problem for one in found)
        for schema in schemas.values():
            judge(python_pattern(schema["pattern"]))
        assert time.monotonic() - began < HANGING
    began = time.monotonic()
    assert python_pattern("[a" * 60_000 + "$") == "[a" * 60_000 + "$"
    assert python_pattern(r"^\$[$\]$]$") == r"^\$[$\]$]\Z"
    assert time.monotonic() - began < HANGING


# --- against a matcher ---------------------------------------------------------------------------


MOST = 100_000


class EnoughError(Exception):
    """The search takes too long."""


class Matcher:
    """A matcher that backtracks as Python's does, and counts its steps."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.steps = 0

    def ends(self, tree: list[Any], at: int) -> Iterator[int]:
        """Yield the places where a sequence that begins at `at` can end, in the order of trying."""
        self.steps += 1
        if self.steps > MOST:
            raise EnoughError
        if not tree:
            yield at
            return
        (code, value), *rest = tree
        for middle in self.one(code, value, at):
            yield from self.ends(rest, middle)

    def one(self, code: Any, value: Any, at: int) -> Iterator[int]:
        """Yield the places where a single item can end."""
        if code == op.AT:
            if at == (0 if value in (op.AT_BEGINNING, op.AT_BEGINNING_STRING) else len(self.text)):
                yield at
        elif code == op.BRANCH:
            for branch in value[1]:
                yield from self.ends(list(branch), at)
        elif code == op.SUBPATTERN:
            yield from self.ends(list(value[3]), at)
        elif code == op.MAX_REPEAT:
            yield from self.repeat(value, at, 0)
        elif at < len(self.text):
            letter = ord(self.text[at])
            letters = {value} if code == op.LITERAL else {member[1] for member in value}
            if letter in letters:
                yield at + 1

    def repeat(self, value: Any, at: int, done: int) -> Iterator[int]:
        """Yield the places where a repeat can end, the longest first."""
        least, most, tree = value
        if done < most:
            for middle in self.ends(list(tree), at):
                if middle != at or done < least:
                    yield from self.repeat(value, middle, done + 1)
                else:
                    yield middle
        if done >= least:
            yield at


def steps(pattern: str, text: str) -> int:
    """Return the number of steps that a search takes."""
    matcher = Matcher(text)
    tree = list(parser.parse(pattern))
    with suppress(EnoughError):
        for start in range(len(text) + 1):
            if next(matcher.ends(tree, start), None) is not None:
                break
    return matcher.steps


PIECES = st.recursive(
    st.sampled_from(["a", "b", "[ab]"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}"])).map(
            lambda two: f"(?:{two[0]}){two[1]}"
        ),
    ),
    max_leaves=6,
)


@given(PIECES, st.sampled_from(["", "^"]), st.text("ab", min_size=1, max_size=3))
@settings(max_examples=150)
def test_what_counts_as_quick_is(piece: str, start: str, word: str) -> None:
    """For a linear pattern, a text four times as long takes about four times the steps."""
    pattern = rf"{start}{piece}\Z"
    assume(judge(pattern)[0] == Time.LINEAR)
    few, many = (max(steps(pattern, word * n + "c"), 40) for n in (16, 64))
    assert many < 8 * few, (pattern, word, few, many)
