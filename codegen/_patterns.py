"""How long a regular expression can take in a backtracking matcher such as Python's.

A pattern is turned into a position automaton (Glushkov): its states are the positions in the
pattern that match a character, and each edge counts the ways from one to the next. Matching takes
exponential time if a loop can read one text in two ways, and polynomial time if consecutive loops
can split one text between them in many ways (Weber and Seidl, 1991: EDA and IDA). Where the
analysis is not sure, it assumes the worse.
"""

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import product
from re import _compiler as compiler  # type: ignore[attr-defined]
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from attrs import define, field

COPIES = 8
"""Repeats with a higher maximum count as unbounded."""
LONGEST = 10_000
POSITIONS = 3_000
LETTERS = 1_000
STEPS = 200_000
"""Limits within which a pattern can be judged in a fraction of a second."""

ASCII = [chr(code) for code in range(128)]
BEGIN, END = "begin", "end"
ANCHORS = {
    op.AT_BEGINNING: BEGIN,
    op.AT_BEGINNING_STRING: BEGIN,
    op.AT_END: END,
    op.AT_END_STRING: END,
}
"""`^` and `$` are treated as if they matched a character before and after the text."""


class Time(Enum):
    """How the time to search a text grows with its length, in increasing order."""

    LINEAR = "it takes linear time"
    POLYNOMIAL = "it can take quadratic or cubic time"
    STEEP = "it can take more than cubic time"
    EXPONENTIAL = "it can take exponential time"
    BACKREFERENCE = "it has a backreference, so its time cannot be bounded"
    COMPLEX = "it is too complex to be judged"
    FOREIGN = "Python cannot read it"


JUDGED: dict[str, tuple[Time, int]] = {}
"""What `judge` has found. A check of a whole document fills it, within a limit for all patterns."""


class _UnboundedError(Exception):
    """The time cannot be bounded, or only at too high a cost. Its argument is a `Time`."""


def judge(pattern: str) -> tuple[Time, int]:
    """Return how long searching a text for a pattern can take, and the steps of the analysis."""
    if pattern not in JUDGED:
        JUDGED[pattern] = _judged(pattern)
    return JUDGED[pattern]


def _judged(pattern: str) -> tuple[Time, int]:
    if len(pattern) > LONGEST:
        return Time.COMPLEX, 0
    try:
        with warnings.catch_warnings():  # that "[[" may mean a nested set in later versions
            warnings.simplefilter("ignore")
            tree = parser.parse(pattern, re.ASCII)
            automaton = _Automaton(tree.state.flags)
            judgement = automaton.judged(tree), automaton.steps
            re.compile(pattern, re.ASCII)  # last, as only its limits bound the time that this takes
            return judgement
    except (re.error, OverflowError, ValueError):
        return Time.FOREIGN, 0
    except RecursionError:
        return Time.COMPLEX, STEPS
    except _UnboundedError as unbounded:
        return unbounded.args[0], STEPS


@define
class _Part:
    """A part of a pattern: the ways to match nothing, and to begin and end at each position.

    Counts stop at two: all that matters is whether there is more than one way.
    """

    empty: int = 1
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
        """The letters that each position matches."""
        self.follow: Counter[tuple[int, int]] = Counter()
        self.loops = 0
        self.steps = 0
        self.inner = Time.LINEAR
        self.letters: frozenset[str] = frozenset(ASCII)
        """Representatives of all characters."""
        self.known: dict[str, frozenset[str]] = {}
        """The letters of each class of characters that was analysed."""

    def judged(self, tree: Any) -> Time:
        self.letters = frozenset([*ASCII, *_representatives(tree)])
        if len(self.letters) > LETTERS:
            raise _UnboundedError(Time.COMPLEX)
        # A search starts at every place of the text, as if the pattern began with `.*`.
        start = self._position(self.letters | {BEGIN})
        self._link(start, start)
        anchored = len(tree) > 0 and tree[0][0] == op.AT and ANCHORS.get(tree[0][1]) == BEGIN
        self.loops += 0 if anchored else 1
        whole = self._joined(start, self._sequence(tree))
        outer = self._ambiguity(whole)
        if Time.LINEAR not in (self.inner, outer):  # their times multiply
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
        """Return the letters that a part for one character matches."""
        members = value if code == op.IN else [(code, value)]
        if self.flags & re.IGNORECASE:  # Python's compiler then visits each character of a range
            self._count(sum(one[1] - one[0] for kind, one in members if kind == op.RANGE) // 16)
        key = f"{self.flags} {code} {value}"
        if key not in self.known:
            self._count(len(self.letters) * len(members))
            part = parser.SubPattern(parser.State(), [(code, value)])
            matches = compiler.compile(part, self.flags).fullmatch
            self.known[key] = frozenset(filter(matches, self.letters))
        return self.known[key]

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
        """Judge a lookaround by itself: it is matched anew at each place that is tried."""
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
        loops = _components(range(len(self.classes)), after)
        # A loop in which a match may end anywhere never fails, so the matcher never goes back.
        loops = [loop for loop in loops if not loop <= whole.last.keys()]
        if any(self._twofold(loop, after) for loop in loops):
            return Time.EXPONENTIAL
        try:
            power = self._power(loops, after)
        except _UnboundedError:
            return Time.STEEP
        return Time.LINEAR if power < 2 else Time.POLYNOMIAL if power < 4 else Time.STEEP

    def _twofold(self, loop: frozenset[int], after: dict[int, list[int]]) -> bool:
        """Whether one text can go around a loop, from a position back to it, in two ways."""
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
        """Return the largest number of consecutive loops that can split one text.

        Two can, if one text goes around the first, around the second, and from first to second.
        """
        powers: list[int] = []
        for loop in loops:  # the last ones come first
            later = [
                power
                for power, other in zip(powers, loops, strict=False)
                if any(self._split((a, a, b), (a, b, b), after) for a, b in product(loop, other))
            ]
            powers.append(1 + max(later, default=0))
        return max(powers, default=0)

    def _split(
        self, start: tuple[int, ...], end: tuple[int, ...], after: dict[int, list[int]]
    ) -> bool:
        """Whether one text leads from three positions to three others."""
        seen, waiting = {start}, [start]
        weight = 1 + len(self.letters) // 256
        while waiting:
            for step in product(*(after[position] for position in waiting.pop())):
                self._count(weight)
                if step in seen or not frozenset.intersection(*(self.classes[one] for one in step)):
                    continue
                if step == end:
                    return True
                seen.add(step)
                waiting.append(step)
        return False


def _worst(*times: Time) -> Time:
    return max(times, key=list(Time).index)


def _components(nodes: Iterable[Any], after: dict[Any, list[Any]]) -> list[frozenset[Any]]:
    """Return the strongly connected components that have an edge, the last ones first.

    This is Kosaraju's algorithm without recursion.
    """
    finished: list[Any] = []
    seen: set[Any] = set()
    waiting = [(node, False) for node in nodes]
    while waiting:
        node, done = waiting.pop()
        if done:
            finished.append(node)
        elif node not in seen:
            seen.add(node)
            waiting.append((node, True))
            waiting += [(other, False) for other in after.get(node, ())]
    before: dict[Any, list[Any]] = defaultdict(list)
    for node, others in after.items():
        for other in others:
            before[other].append(node)
    components: list[frozenset[Any]] = []
    for root in reversed(finished):
        found, left = set(), [root]
        while left:
            node = left.pop()
            if node in seen:
                seen.remove(node)
                found.add(node)
                left += before[node]
        if len(found) > 1 or (found and root in after.get(root, ())):
            components.append(frozenset(found))
    return components[::-1]


def _representatives(tree: Any) -> Iterator[str]:
    """Yield letters beyond ASCII, enough for any two overlapping classes to share one."""
    codes = {0x80, 0x10FFFF}
    waiting: list[Any] = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, int) and not isinstance(part, bool):
            codes |= {int(part) - 1, int(part), int(part) + 1}
        elif isinstance(part, list | tuple | parser.SubPattern):
            waiting += list(part)
    return (chr(code) for code in codes if 0x80 <= code <= 0x10FFFF)
