"""JSONPath (RFC 9535) for the targets of overlays, evaluated in bounded time.

Supported are names, indexes, wildcards, descendants, and filters with comparisons, `&&`, `||`, `!`,
`search`, `match` and `length`; as an extension, `@.a =~ 'pattern'` stands for `search`. A query in
a filter leads to one value at most, and patterns that could take long are refused. So each part of
a target takes at most linear time in the size of the document.
"""

import json
import operator
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

from attrs import frozen

from ._patterns import Time, judge

TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")
    |(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<name>[^\W\d][\w-]*)
    |(?P<sign>\.\.|=~|==|!=|<=|>=|&&|\|\||[$@.*\[\](),?!<>]))""",
    re.VERBOSE,
)
LONGEST = 2000
"""The most characters of a target."""
MOST_NESTED = 100
"""The most `(`, `!`, `&&` and `||` of a target, which are evaluated by recursion."""
ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
WORDS = {"true": True, "false": False, "null": None}
CONTAINERS = (dict, list)
NOTHING = object()
"""The value of a query that matches nothing."""

Select = Callable[[Any], Iterable[Any]]
"""Returns the keys of those members of a value that are selected."""
Test = Callable[[Any], Any]
"""Returns something about a value: the operand of a comparison, or whether a filter selects it."""
Match = tuple[Any, Any]
"""A container and a key of it, behind which the matched value is."""


@frozen
class JsonPath:
    """A compiled JSONPath."""

    segments: list[tuple[bool, Select]]
    """Whether a segment applies to all descendants, and what it selects."""

    def find(self, holder: list[Any]) -> list[Match]:
        """Return the matches in a document in its order. The document is the only item of a list.

        A container must not occur at two places of the document.
        """
        found: list[Match] = [(holder, 0)]
        for descends, select in self.segments:
            parts = [part[key] for part, key in found]
            if descends:
                parts = _containers(parts)
            found = [(part, key) for part in parts for key in select(part)]
        return found


def compiled(text: str) -> JsonPath:
    """Compile a JSONPath.

    Raises:
        ValueError: It is malformed, or uses what is not supported.
    """
    return _Compiler(text).path()


def _containers(parts: list[Any]) -> list[Any]:
    """Return all mappings and lists among some values and inside them, each once."""
    found: dict[int, Any] = {}
    waiting = [part for part in reversed(parts) if isinstance(part, CONTAINERS)]
    while waiting:
        part = waiting.pop()
        if id(part) not in found:
            found[id(part)] = part
            inner = part.values() if isinstance(part, dict) else part
            waiting += [one for one in inner if isinstance(one, CONTAINERS)][::-1]
    return list(found.values())


def _keys(value: Any) -> Iterable[Any]:
    return value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)


def _member(key: Any, value: Any) -> Any:
    """Return the member of a value, or NOTHING."""
    if isinstance(key, str):
        return value.get(key, NOTHING) if isinstance(value, dict) else NOTHING
    if isinstance(value, list) and -len(value) <= key < len(value):
        return value[key]
    return NOTHING


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):  # in JSON, true is not 1
        return left is right
    return bool(left == right)


def _ordered(sign: str, left: Any, right: Any) -> bool:
    """Compare numbers with numbers and texts with texts; all other values are only equal or not."""
    flags = isinstance(left, bool) or isinstance(right, bool)
    for kind in ((int, float), str):
        if isinstance(left, kind) and isinstance(right, kind) and not flags:
            return bool(ORDER[sign](left, right))
    return "=" in sign and _equal(left, right)


def _tokens(text: str) -> list[tuple[str, str, int]]:
    """Return the kind, the text and the start of each token; the last one is the end."""
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} characters")
    if sum(map(text.count, ("(", "!", "&&", "||"))) > MOST_NESTED:
        raise ValueError(f"more than {MOST_NESTED} parentheses and operators")
    tokens, at = [], 0
    while at < len(text.rstrip()):
        found = TOKEN.match(text, at)
        if not found:
            raise ValueError(f"character {at + 1}: neither a name nor a sign of JSONPath")
        kind, at = cast("str", found.lastgroup), found.end()
        tokens.append((kind, found[kind], found.start(kind)))
    return [*tokens, ("end", "", len(text))]


class _Compiler:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)[::-1]  # the next one is the last

    def wrong(self, problem: str) -> ValueError:
        return ValueError(f"character {self.tokens[-1][2] + 1}: {problem}")

    def take(self, *signs: str) -> str:
        """Take the next token if it is one of these signs; otherwise return an empty text."""
        kind, text, _ = self.tokens[-1]
        return self.tokens.pop()[1] if kind == "sign" and text in signs else ""

    def expect(self, *signs: str) -> str:
        taken = self.take(*signs)
        if not taken:
            raise self.wrong(f"expected {' or '.join(signs)}")
        return taken

    def path(self) -> JsonPath:
        self.expect("$")
        segments = []
        while self.tokens[-1][0] != "end":
            start = self.expect(".", "..", "[")
            if start == "[" or (start == ".." and self.take("[")):
                segments.append((start == "..", self.bracket()))
            elif self.take("*"):
                segments.append((start == "..", _keys))
            else:
                segments.append((start == "..", self.member(self.name())))
        return JsonPath(segments)

    def bracket(self) -> Select:
        selects = [self.selector()]
        while self.expect(",", "]") == ",":
            selects.append(self.selector())
        if len(selects) == 1:
            return selects[0]
        return lambda value: dict.fromkeys(key for one in selects for key in one(value))

    def selector(self) -> Select:
        if self.take("*"):
            return _keys
        if self.take("?"):
            test = self.either()
            return lambda value: [key for key in _keys(value) if test(value[key])]
        return self.member(self.key())

    def member(self, key: Any) -> Select:
        def select(value: Any) -> Iterable[Any]:
            if _member(key, value) is NOTHING:
                return ()
            return (key + len(value) if isinstance(key, int) and key < 0 else key,)

        return select

    def name(self) -> str:
        if self.tokens[-1][0] != "name":
            raise self.wrong("expected a name; other names are written ['...']")
        return self.tokens.pop()[1]

    def key(self) -> Any:
        kind, text, _ = self.tokens[-1]
        if kind == "text" or (kind == "number" and text.lstrip("-").isdecimal()):
            return self.literal()
        raise self.wrong("expected a name in quotes, an index, * or ?")

    def literal(self) -> Any:
        kind, text, _ = self.tokens[-1]
        if kind == "name" and text in WORDS:
            value: Any = WORDS[text]
        elif kind == "number":
            value = json.loads(text)
        elif kind == "text":
            inner = re.sub(r"\\'|\"", lambda one: "'" if one[0] == "\\'" else '\\"', text[1:-1])
            try:
                value = json.loads(f'"{inner if text[0] == chr(39) else text[1:-1]}"')
            except ValueError:
                raise self.wrong("a wrong escape; a backslash is written twice") from None
        else:
            raise self.wrong("expected a value")
        self.tokens.pop()
        return value

    # --- filters -------------------------------------------------------------------------------

    def either(self) -> Test:
        test = self.both()
        while self.take("||"):
            test = partial(_any, test, self.both())
        return test

    def both(self) -> Test:
        test = self.single()
        while self.take("&&"):
            test = partial(_all, test, self.single())
        return test

    def single(self) -> Test:
        if self.take("!"):
            test = self.single()
            return lambda value: not test(value)
        if self.take("("):
            inner = self.either()
            self.expect(")")
            return inner
        kind, _, _ = self.tokens[-1]
        left, is_test = self.operand()
        sign = self.take("=~", "==", "!=", *ORDER)
        if not sign:
            if is_test or kind == "sign":
                return left if is_test else lambda value: left(value) is not NOTHING
            raise self.wrong("expected a comparison")
        if sign == "=~":
            return self.searched(left, self.literal(), whole=False)
        right, _ = self.operand()
        if sign in ORDER:
            return lambda value: _ordered(sign, left(value), right(value))
        return lambda value: _equal(left(value), right(value)) is (sign == "==")

    def operand(self) -> tuple[Test, bool]:
        """Return a function to its value, and whether that is true or false by itself."""
        if self.take("@"):
            return self.query(), False
        if self.tokens[-1][0] == "name" and self.tokens[-1][1] in ("length", "match", "search"):
            function = self.name()
            self.expect("(")
            of, _ = self.operand()
            if function == "length":
                self.expect(")")
                return lambda value: _length(of(value)), False
            self.expect(",")
            pattern = self.literal()
            self.expect(")")
            return self.searched(of, pattern, whole=function == "match"), True
        value = self.literal()
        return lambda _: value, False

    def query(self) -> Test:
        keys: list[Any] = []
        while start := self.take(".", "["):
            keys.append(self.key() if start == "[" else self.name())
            if start == "[":
                self.expect("]")

        def get(value: Any) -> Any:
            for key in keys:
                if not isinstance(value, CONTAINERS):
                    return NOTHING
                value = _member(key, value)
            return value

        return get

    def searched(self, of: Test, pattern: Any, *, whole: bool) -> Test:
        try:
            time, _ = judge(pattern)
            found = re.compile(pattern)
        except (re.error, TypeError):
            raise self.wrong(f"{pattern!r} is not a pattern") from None
        if time not in (Time.LINEAR, Time.POLYNOMIAL):
            raise self.wrong(f"the pattern {pattern!r} is refused, as {time.value}")
        search = found.fullmatch if whole else found.search

        def test(value: Any) -> bool:
            text = of(value)
            return isinstance(text, str) and search(text) is not None

        return test


def _any(one: Test, other: Test, value: Any) -> Any:
    return one(value) or other(value)


def _all(one: Test, other: Test, value: Any) -> Any:
    return one(value) and other(value)


def _length(value: Any) -> Any:
    return len(value) if isinstance(value, str | list | dict) else NOTHING
