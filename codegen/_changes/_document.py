"""What changed between two versions of a document, by name, and what it means for callers."""

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, Literal, TypeVar, get_args

from attrs import evolve, frozen

from ._parts import Document, Part

Effect = Literal["changed", "added", "broken"]
"""What a change means for an application, in increasing order. Only `broken` can need an edit."""
EFFECTS: tuple[Effect, ...] = get_args(Effect)
Ways = frozenset[str]
"""Whether something is `sent`, `received`, or both."""
TYPED = frozenset({"date-time", "date", "digits", "binary", "byte", "password"})
"""The formats that decide what a string becomes in Python."""
TRIED = 50
"""A rename is looked for among at most so many equal parts, so that the time stays linear."""
K = TypeVar("K")


@frozen
class Change:
    """One change, of the document or of the Python API."""

    of: str
    """The operation or the component, as the document names it; empty: the document itself."""
    part: str
    """What has changed: `request field`, `query parameter`, `status` and so on."""
    name: str
    """The name of the part, with the path to it (`billing.usage`, `data[].day`)."""
    what: str
    """`added`, `removed`, `renamed`, or what is said about the part, such as `type`, `pattern`,
    `presence` or `enum value`."""
    before: str = ""
    after: str = ""
    effect: Effect = "changed"
    operations: tuple[str, ...] = ()
    """For a component: the operations that send or receive it."""


@frozen
class _At:
    of: str
    part: str
    name: str
    ways: Ways
    prefix: str = ""

    def inside(self, part: Part) -> "_At":
        """Return the place of one of its parts."""
        if part.kind == "request body":
            return evolve(self, part=part.kind, ways=frozenset({"sent"}), prefix="request ")
        if part.kind == "status":
            text = f"response {part.name}"
            return evolve(self, part=text, ways=frozenset({"received"}), prefix=f"{text} ")
        if part.kind == "parameter":
            text = f"{part.facts['location']} parameter"
            return evolve(self, part=text, name=part.name, ways=frozenset({"sent"}))
        name = f"{self.name}{part.name}"
        if part.kind == "field":
            name = f"{self.name}.{part.name}" if self.name else part.name
        elif part.kind in ("alternative", "content"):
            name = f"{self.name}<{part.name}>"
        kind = part.kind if part.kind in ("header", "security scheme") else "field"
        read, write = "readOnly" in part.facts, "writeOnly" in part.facts
        ways = self.ways - ({"sent"} if read else set()) - ({"received"} if write else set())
        return evolve(self, part=f"{self.prefix}{kind}", name=name, ways=ways)


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[Change], list[str]]:
    """Return the changes, and the places where only descriptions or examples changed."""
    before, after = Document(old, {}), Document(new, {})
    if renamed := _renames(before.components, after.components):
        before = Document(old, renamed)
    found = _Comparison(before, after)
    for name, now in renamed.items():
        found.add(_At(now, "component", name, frozenset()), "renamed", name, now, "broken")
    found.parts(_At("", "document", "", frozenset()), before.whole, after.whole)
    for one, other in ((before.operations, after.operations), (before.components, after.components)):
        found.named(one, other)
    return found.changes, found.words


class _Comparison:
    def __init__(self, old: Document, new: Document) -> None:
        self.changes: list[Change] = []
        self.words: list[str] = []
        self._components = {**old.components, **new.components}
        self._uses = {**old.uses, **new.uses}

    def add(self, at: _At, what: str, before: str, after: str, effect: Effect) -> None:
        self.changes.append(Change(at.of, at.part, at.name, what, before, after, effect))

    def named(self, old: Mapping[str, Part], new: Mapping[str, Part]) -> None:
        """Compare the operations or the components of two documents."""
        renamed = _renames(old, new)
        more = [name for name in new if name not in old and name not in renamed.values()]
        for name in [*old, *more]:
            one, other = old.get(name), new.get(renamed.get(name, name))
            part = other or one
            assert part is not None  # it is of either side
            ways, users = self._uses.get(name, (frozenset[str](), ()))
            at, told = _At(part.name, part.kind, "", ways), len(self.changes)
            if other is None:
                self.add(at, "removed", part.label, "", "broken")
            elif one is None:
                self.add(at, "added", "", part.label, "added")
            else:
                if one.name != other.name:
                    self.add(at, "renamed", one.name, other.name, "broken")
                self.parts(at, one, other)
            if part.kind == "component":
                self.changes[told:] = [evolve(c, operations=users) for c in self.changes[told:]]

    def parts(self, at: _At, old: Part, new: Part) -> None:
        """Compare a part, and then the parts that it consists of."""
        if old.words != new.words:
            self.words.append(" ".join(filter(None, (at.of, at.part, at.name))))
        for what in {**old.facts, **new.facts}:
            before, after = old.facts.get(what, ""), new.facts.get(what, "")
            if before == after:
                continue
            effect = _effect(what, before, after, at.ways)
            if what == "type" and self._same(old, new):
                effect = "changed"
            if what == "null":
                before, after = before or "never null", after or "never null"
            self.add(at, what, before, after, effect)
            if what == "type":
                return
        one = {(part.kind, part.name): part for part in old.parts}
        other = {(part.kind, part.name): part for part in new.parts}
        renamed = _renames(one, other)
        for key, part in one.items():
            now = other.get(renamed.get(key, key))
            here = at.inside(now or part)
            if now is None:
                self._one(at, part, before=part.label or part.name)
            else:
                if key in renamed:
                    self.add(evolve(here, name=at.inside(part).name), "renamed", part.name, now.name, "broken")
                self.parts(here, part, now)
        for key, part in other.items():
            if key not in one and key not in renamed.values():
                self._one(at, part, after=part.label or part.name)

    def _one(self, at: _At, part: Part, before: str = "", after: str = "") -> None:
        """Report a part that was added or removed."""
        here = at.inside(part)
        worst: Effect = "broken" if before else "added"
        if part.kind in ("enum value", "alternative"):
            # Enums are open: a value that is not listed is read all the same.
            if part.kind == "alternative":
                way = "sent" if before else "received"
                worst = "broken" if way in at.ways else "changed" if before else "added"
            self.add(at, part.kind, before and part.name, after and part.name, worst)
            return
        if part.kind in ("status", "header"):
            worst = "changed" if before else "added"
            here = evolve(here, part=part.kind, name=part.name)
        elif after and part.facts.get("presence") == "required" and "sent" in here.ways:
            worst = "broken"
        self.add(here, "removed" if before else "added", before, after, worst)

    def _same(self, old: Part, new: Part) -> bool:
        """Whether an object was given a name, or written out, and is the same otherwise."""
        inner = [self._components.get(part.facts["type"], part) for part in (old, new)]
        return inner != [old, new] and _inside(inner[0]) == _inside(inner[1]) != frozenset()


def _inside(part: Part) -> frozenset[tuple[str, int]]:
    return frozenset((one.name, one.digest) for one in part.parts)


def _renames(old: Mapping[K, Part], new: Mapping[K, Part]) -> dict[K, K]:
    """Return new names by old ones for removed parts that equal an added one."""
    candidates: dict[tuple[str, int], list[K]] = {}
    for key, part in new.items():
        if key not in old and part.kind in ("operation", "component", "field", "parameter"):
            candidates.setdefault((part.kind, part.digest), []).append(key)
    found: dict[K, K] = {}
    for key, part in old.items():
        if key not in new and (among := candidates.get((part.kind, part.digest))):
            alike = [SequenceMatcher(None, part.name, new[one].name).ratio() for one in among[:TRIED]]
            found[key] = among.pop(alike.index(max(alike)))
    return found


def _effect(what: str, before: str, after: str, ways: Ways) -> Effect:
    """Return what another value of a fact means for callers."""
    sent, received = _sides(what, before, after)
    both = [sent] * ("sent" in ways) + [received] * ("received" in ways)
    return max(both, key=EFFECTS.index, default="changed" if ways else sent)


def _sides(what: str, before: str, after: str) -> tuple[Effect, Effect]:
    """Return what it means where the part is sent, and where it is received."""
    opposite: tuple[Effect, Effect] = ("changed", "broken")
    if what in ("presence", "null"):
        return opposite if after in ("optional", "may be null") else ("broken", "changed")
    if what == "type":
        old, new = set(before.split(" | ")), set(after.split(" | "))
        wider = old <= new or "any" in new or (before, after) == ("integer", "number")
        narrower = new <= old or "any" in old or (before, after) == ("number", "integer")
        return ("changed" if wider else "broken"), ("changed" if narrower else "broken")
    if what == "security":
        kept = set(before.split(" or ")) <= set(after.split(" or "))
        return ("changed", "changed") if kept else ("broken", "broken")
    if what == "values" or (what == "format" and {before, after} & TYPED):
        return "broken", "broken"
    if what in ("pattern", "multipleOf", "uniqueItems"):
        return ("broken" if after else "changed"), "changed"
    if what.lower().startswith(("min", "max", "exclusive")):
        lower = "min" in what.lower()
        tighter = not before or (after != "" and (float(after) > float(before)) == lower)
        return ("broken" if tighter else "changed"), "changed"
    return "changed", "changed"
