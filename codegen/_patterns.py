"""How long a regular expression can take in a matcher that backtracks, as Python's does.

A pattern is turned into a position automaton (Glushkov's): its states are the places in the
pattern where a character is matched, and each edge counts the ways from one to the next. Time is
exponential where a loop can read one text in two ways, and polynomial where two loops that follow
each other can divide one text between them in many ways (Weber and Seidl, 1991: EDA and IDA). What
the analysis cannot be sure of counts as the worse.
"""

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from itertools import product
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from attrs import define, field

COPIES = 8
"""Repeats with a higher maximum count as having none."""
LONGEST = 10_000
POSITIONS = 3_000
LETTERS = 1_000
STEPS = 200_000
"""Above these a pattern is too complex to be checked within a fraction of a second."""

ASCII = [chr(code) for code in range(128)]
BEGIN, END = "begin", "end"
ANCHORS = {
    op.AT_BEGINNING: BEGIN,
    op.AT_BEGINNING_STRING: BEGIN,
    op.AT_END: END,
    op.AT_END_STRING: END,
}
"""What `^` and `$` match, as if these were characters before and after a text."""

CATEGORIES = {
    op.CATEGORY_DIGIT: frozenset("0123456789"),
    op.CATEGORY_SPACE: frozenset(" \t\n\r\f\v"),
    op.CATEGORY_WORD: frozenset(one for one in ASCII if one.isalnum() or one == "_"),
}
OPPOSITES = {
    op.CATEGORY_NOT_DIGIT: op.CATEGORY_DIGIT,
    op.CATEGORY_NOT_SPACE: op.CATEGORY_SPACE,
    op.CATEGORY_NOT_WORD: op.CATEGORY_WORD,
}


class Time(Enum):
    """How the time to match a text grows with the text's length."""

    LINEAR = "in linear time"
    POLYNOMIAL = "in the square or the cube of its length"
    STEEP = "in a higher power of its length"
    EXPONENTIAL = "it can take exponential time"
    BACKREFERENCE = "it has a backreference, so its time cannot be bounded"
    COMPLEX = "it is too complex to be checked"


class _UnboundedError(Exception):
    """The pattern cannot be analysed."""

    def __init__(self, time: Time) -> None:
        super().__init__(time.value)
        self.time = time


def judge(pattern: str) -> Time:
    """Return how long searching a text for a pattern, as written for Python, can take.

    Raises:
        re.error: The pattern is not one of Python's.
    """
    return judged(pattern)[0]


@cache
def judged(pattern: str) -> tuple[Time, int]:
    """Return how long a search can take, and how many steps it took to find that out."""
    if len(pattern) > LONGEST:
        return Time.COMPLEX, 0
    try:
        with warnings.catch_warnings():  # of a set in a set, which later versions may read as such
            warnings.simplefilter("ignore")
            re.compile(pattern, re.ASCII)
            tree = parser.parse(pattern, re.ASCII)
        automaton = _Automaton(tree.state.flags)
        return automaton.judged(tree), automaton.steps
    except (OverflowError, ValueError) as error:
        raise re.error(str(error)) from None
    except RecursionError:
        return Time.COMPLEX, STEPS
    except _UnboundedError as unbounded:
        return unbounded.time, STEPS


@define
class _Part:
    """What a part of a pattern adds: how it can match nothing, begin and end."""

    empty: int = 1
    """In how many ways it matches nothing. All counts stop at two."""
    first: Counter[int] = field(factory=Counter)
    last: Counter[int] = field(factory=Counter)


def _plus(one: Counter[int], other: Counter[int], times: int = 1) -> Counter[int]:
    total = Counter(one)
    for position, ways in other.items():
        if ways * times:
            total[position] = min(2, total[position] + ways * times)
    return total


class _Automaton:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.classes: list[frozenset[str]] = []
        """What each position matches, of the characters that stand for all."""
        self.follow: Counter[tuple[int, int]] = Counter()
        self.loops = 0
        self.steps = 0
        self.inner = Time.LINEAR
        self.letters: frozenset[str] = frozenset(ASCII)
        self.known: dict[str, frozenset[str]] = {}
        """What was found out of classes that may come again."""

    def judged(self, tree: Any) -> Time:
        self.letters = frozenset([*ASCII, *_representatives(tree)])
        if len(self.letters) > LETTERS:
            return Time.COMPLEX
        # A search tries every place of the text, as if the pattern began with a loop over all.
        start = self._position(self.letters | {BEGIN})
        self._link(start, start)
        anchored = len(tree) > 0 and tree[0][0] == op.AT and ANCHORS.get(tree[0][1]) == BEGIN
        self.loops += 0 if anchored else 1
        whole = self._joined(start, self._sequence(tree))
        outer = self._ambiguity(whole)
        if Time.LINEAR not in (self.inner, outer):  # each time for each
            return _worst(self.inner, outer, Time.STEEP)
        return _worst(self.inner, outer)

    # --- construction ---

    def _position(self, letters: Iterable[str]) -> _Part:
        if len(self.classes) >= POSITIONS:
            raise _UnboundedError(Time.COMPLEX)
        self.classes.append(frozenset(letters))
        number = len(self.classes) - 1
        return _Part(0, Counter([number]), Counter([number]))

    def _link(self, before: _Part, after: _Part) -> None:
        for (one, ways), (other, more) in product(before.last.items(), after.first.items()):
            self._count()
            self.follow[one, other] = min(2, self.follow[one, other] + ways * more)

    def _count(self, steps: int = 1) -> None:
        self.steps += steps
        if self.steps > STEPS:
            raise _UnboundedError(Time.COMPLEX)

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._link(one, other)
        return _Part(
            min(2, one.empty * other.empty),
            _plus(one.first, other.first, one.empty),
            _plus(other.last, one.last, other.empty),
        )

    def _sequence(self, tree: Any) -> _Part:
        whole = _Part()
        for code, value in tree:
            whole = self._joined(whole, self._part(code, value))
        return whole

    def _either(self, parts: Iterable[_Part]) -> _Part:
        whole = _Part(0)
        for part in parts:
            whole = _Part(
                min(2, whole.empty + part.empty),
                _plus(whole.first, part.first),
                _plus(whole.last, part.last),
            )
        return whole

    def _part(self, code: Any, value: Any) -> _Part:
        if code in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            return self._position(self._class(code, value))
        if code == op.BRANCH:
            return self._either(self._sequence(branch) for branch in value[1])
        if code == op.SUBPATTERN:
            self.flags |= value[1]
            return self._sequence(value[3])
        if code == op.ATOMIC_GROUP:
            return self._sequence(value)
        if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            return self._repeat(*value)
        if code in (op.ASSERT, op.ASSERT_NOT):
            self._look(value[1])
            return _Part()
        if code == op.AT and value in ANCHORS and not self.flags & re.MULTILINE:
            return self._position([ANCHORS[value]])
        if code in (op.AT, op.FAILURE):
            return _Part()
        raise _UnboundedError(Time.BACKREFERENCE)

    def _class(self, code: Any, value: Any) -> frozenset[str]:
        """Return what a part for one character matches."""
        key = f"{self.flags} {code} {value}"
        if key not in self.known:
            members = len(value) if code == op.IN else 1
            forms = 3 if self.flags & re.IGNORECASE else 1
            self._count(len(self.letters) * members * forms // 2)
            self.known[key] = frozenset(self._matched(code, value))
        return self.known[key]

    def _matched(self, code: Any, value: Any) -> Iterator[str]:
        for letter in self.letters:
            # Of İ and the like the other case is more than one letter; they stand for themselves.
            others = (letter.lower()[0], letter.upper()[0]) if self.flags & re.IGNORECASE else ()
            if (code == op.ANY and self.flags & re.DOTALL) or any(
                _matches(code, value, form) for form in {letter, *others}
            ):
                yield letter

    def _repeat(self, least: int, most: Any, tree: Any) -> _Part:
        whole = _Part()
        for _ in range(min(least, COPIES)):
            whole = self._joined(whole, self._sequence(tree))
        if most > COPIES:
            return self._joined(whole, self._loop(tree))
        rest = _Part()
        for _ in range(most - least):
            rest = self._either([self._joined(self._sequence(tree), rest), _Part()])
        return self._joined(whole, rest)

    def _loop(self, tree: Any) -> _Part:
        self.loops += 1
        body = self._sequence(tree)
        self._link(body, body)
        return _Part(1 + min(1, body.empty), body.first, body.last)

    def _look(self, tree: Any) -> None:
        """Judge what a lookaround looks for by itself: it is matched anew wherever it stands."""
        inner = _Automaton(self.flags)
        inner.letters = self.letters
        looped, inner.loops = self.loops, 0
        part = inner._sequence(tree)
        found = _worst(inner.inner, inner._ambiguity(part))
        if looped and inner.loops:
            found = _worst(found, Time.POLYNOMIAL if found == Time.LINEAR else Time.STEEP)
        self.inner = _worst(self.inner, found)

    # --- ambiguity ---

    def _ambiguity(self, whole: _Part) -> Time:
        after: dict[int, list[int]] = defaultdict(list)
        for one, other in self.follow:
            after[one].append(other)
        loops = [loop for loop in _components(range(len(self.classes)), after) if loop]
        # A match that may end anywhere in a loop does not fail there, so nothing is tried again.
        loops = [loop for loop in loops if not loop <= whole.last.keys()]
        if any(self._twofold(loop, after) for loop in loops):
            return Time.EXPONENTIAL
        try:
            power = self._power(loops, after)
        except _UnboundedError:
            return Time.STEEP
        return Time.LINEAR if power < 2 else Time.POLYNOMIAL if power < 4 else Time.STEEP

    def _twofold(self, loop: frozenset[int], after: dict[int, list[int]]) -> bool:
        """Whether one text leads in two ways from a position of a loop back to it."""
        around = {one: [other for other in after[one] if other in loop] for one in loop}
        if any(self.follow[one, other] > 1 for one in loop for other in around[one]):
            return True
        pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
        waiting = [(one, one) for one in loop]
        weight = 1 + len(self.letters) // 256
        while waiting:
            pair = waiting.pop()
            if pair in pairs:
                continue
            pairs[pair] = []
            for one, other in product(around[pair[0]], around[pair[1]]):
                self._count(weight)
                if not self.classes[one].isdisjoint(self.classes[other]):
                    pairs[pair].append((one, other))
                    waiting.append((one, other))
        return any(
            any(one == other for one, other in component)
            and any(one != other for one, other in component)
            for component in _components(list(pairs), pairs)
        )

    def _power(self, loops: list[frozenset[int]], after: dict[int, list[int]]) -> int:
        """Return how many loops in a row can divide one text between them."""
        powers: list[int] = []
        for index, loop in enumerate(loops):  # the last ones come first
            later = [powers[n] for n in range(index) if self._divided(loop, loops[n], after)]
            powers.append(1 + max(later, default=0))
        return max(powers, default=0)

    def _divided(
        self, loop: frozenset[int], later: frozenset[int], after: dict[int, list[int]]
    ) -> bool:
        """Whether one text leads around a loop, around a later one, and from the first to it."""
        return any(
            self._leads((one, one, other), (one, other, other), after)
            for one, other in product(loop, later)
        )

    def _leads(
        self, start: tuple[int, ...], end: tuple[int, ...], after: dict[int, list[int]]
    ) -> bool:
        seen, waiting = {start}, [start]
        weight = 1 + len(self.letters) // 256
        while waiting:
            for step in product(*(after[position] for position in waiting.pop())):
                self._count(weight)
                if step in seen or not self._alike(step):
                    continue
                if step == end:
                    return True
                seen.add(step)
                waiting.append(step)
        return False

    def _alike(self, step: tuple[int, ...]) -> bool:
        first, second, third = (self.classes[position] for position in step)
        return bool(first & second & third)


def _worst(*times: Time) -> Time:
    return max(times, key=list(Time).index)


def _components(nodes: Iterable[Any], after: dict[Any, list[Any]]) -> Iterator[frozenset[Any]]:
    """Yield the strongly connected components that have an edge, the last ones first.

    This is Tarjan's algorithm, without recursion.
    """
    order: dict[Any, int] = {}
    low: dict[Any, int] = {}
    stack: list[Any] = []
    held: set[Any] = set()
    for root in nodes:
        if root in order:
            continue
        work = [(root, iter(after.get(root, ())))]
        order[root] = low[root] = len(order)
        stack.append(root)
        held.add(root)
        while work:
            node, following = work[-1]
            for other in following:
                if other not in order:
                    order[other] = low[other] = len(order)
                    stack.append(other)
                    held.add(other)
                    work.append((other, iter(after.get(other, ()))))
                    break
                if other in held:
                    low[node] = min(low[node], order[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    found = set()
                    while node not in found:
                        found.add(stack.pop())
                    held -= found
                    if len(found) > 1 or node in after.get(node, ()):
                        yield frozenset(found)


def _matches(code: Any, value: Any, letter: str) -> bool:
    if code == op.LITERAL:
        return bool(ord(letter) == value)
    if code == op.NOT_LITERAL:
        return bool(ord(letter) != value)
    if code == op.ANY:
        return letter != "\n"
    if code == op.RANGE:
        return bool(value[0] <= ord(letter) <= value[1])
    if code == op.CATEGORY:
        if value in OPPOSITES:
            return letter not in CATEGORIES[OPPOSITES[value]]
        return letter in CATEGORIES[value]
    negated = value[0][0] == op.NEGATE
    members = value[1:] if negated else value
    return bool(negated != any(_matches(kind, one, letter) for kind, one in members))


def _representatives(tree: Any) -> Iterator[str]:
    """Yield letters beyond ASCII so that any classes of a pattern that overlap share one."""
    codes = {0x80, 0x10FFFF}
    waiting: list[Any] = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, int) and not isinstance(part, bool):
            codes |= {int(part) - 1, int(part), int(part) + 1}
        elif isinstance(part, list | tuple | parser.SubPattern):
            waiting += list(part)
    return (chr(code) for code in codes if 0x80 <= code <= 0x10FFFF)
