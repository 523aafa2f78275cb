"""What changed between two versions of a document, by name, and what it means for callers."""

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, Literal, TypeVar, get_args

from attrs import evolve, frozen

from ._parts import Document, Part

Effect = Literal["neutral", "changed", "added", "broken"]
"""What a change means for applications, in increasing order: nothing, another behaviour, something
new, or an error that has to be mended in their code."""
EFFECTS: tuple[Effect, ...] = get_args(Effect)
Ways = frozenset[str]
"""Whether something is `sent`, `received`, or both."""
TYPED = frozenset({"date-time", "date", "digits", "binary", "byte"})
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
    before, after = Document(old, new), Document(new, old)
    if renamed := _renames(before.components, after.components):
        before = Document(old, new, renamed)
    found = _Comparison(before, after)
    for name, now in renamed.items():
        found.changes.append(Change(now, "component", name, "renamed", name, now, "broken"))
    found.parts(_At("", "document", "", frozenset()), before.whole, after.whole)
    found.named(before.operations, after.operations)
    found.named(before.components, after.components)
    return found.changes, found.words


class _Comparison:
    def __init__(self, old: Document, new: Document) -> None:
        self.changes: list[Change] = []
        self.words: list[str] = []
        self._documents = old, new

    def add(self, at: _At, what: str, before: str, after: str, effect: Effect) -> None:
        self.changes.append(Change(at.of, at.part, at.name, what, before, after, effect))

    def named(self, old: Mapping[str, Part], new: Mapping[str, Part]) -> None:
        """Compare the operations or the components of two documents."""
        renamed = _renames(old, new)
        more = [name for name in new if name not in old and name not in renamed.values()]
        for name in [*old, *more]:
            one, other = old.get(name), new.get(renamed.get(name, name))
            part = other or old[name]
            document = self._documents[other is not None]
            at, start = _At(part.name, part.kind, "", document.ways(name)), len(self.changes)
            if other is None:
                unused = part.kind == "component" and not at.ways
                effect: Effect = "changed" if unused else "broken"
                self.add(evolve(at, name=part.name), "removed", part.label, "", effect)
            elif one is None:
                self.add(evolve(at, name=part.name), "added", "", part.label, "added")
            else:
                if name in renamed:
                    self.add(evolve(at, name=name), "renamed", name, part.name, "broken")
                self.parts(at, one, other)
            if part.kind == "component" and len(self.changes) > start:
                users = document.users(name)
                self.changes[start:] = [evolve(c, operations=users) for c in self.changes[start:]]

    def parts(self, at: _At, old: Part, new: Part) -> None:
        """Compare a part, and then the parts that it consists of."""
        if old.words != new.words:
            self.words.append(" ".join(filter(None, (at.of, at.part, at.name))))
        for what in {**old.facts, **new.facts}:
            before, after = old.facts.get(what, ""), new.facts.get(what, "")
            if before != after:
                same = what == "type" and self._same(old, new)
                effect = "changed" if same else _effect(what, before, after, at.ways)
                self.add(at, what, before, after, effect)
                if what == "type":
                    return
        one = {(part.kind, part.name): part for part in old.parts}
        other = {(part.kind, part.name): part for part in new.parts}
        renamed = _renames(one, other)
        for key, part in one.items():
            if now := other.get(renamed.get(key, key)):
                if key in renamed:
                    self.add(at.inside(part), "renamed", part.name, now.name, "broken")
                self.parts(at.inside(now), part, now)
            else:
                self._one(at, part, "removed")
        for key, part in other.items():
            if key not in one and key not in renamed.values():
                self._one(at, part, "added")

    def _one(self, at: _At, part: Part, what: str) -> None:
        """Report a part that was added or removed."""
        here, effect = at.inside(part), _effect_of(part, what, at.inside(part).ways)
        label, before = part.label, what == "removed"
        if part.kind in ("enum value", "alternative"):
            here, what, label = at, part.kind, part.name
        elif part.kind in ("status", "header"):
            here = evolve(here, part=part.kind, name=part.name)
        self.add(here, what, label if before else "", "" if before else label, effect)

    def _same(self, old: Part, new: Part) -> bool:
        """Whether an object was given a name, or written out, and is the same otherwise."""
        sides = zip(self._documents, (old, new), strict=True)
        inner = [
            part.inside or side.component(part.facts.get("type", "")).inside for side, part in sides
        ]
        return inner[0] == inner[1] != frozenset()


def _renames(old: Mapping[K, Part], new: Mapping[K, Part]) -> dict[K, K]:
    """Return new names by old ones for removed parts that equal an added one."""
    candidates: dict[tuple[str, int], list[K]] = {}
    for key, part in new.items():
        if key not in old and part.kind in ("operation", "component", "field", "parameter"):
            candidates.setdefault((part.kind, part.digest), []).append(key)
    found: dict[K, K] = {}
    for key, part in old.items():
        if key not in new and (among := candidates.get((part.kind, part.digest))):
            names = [new[one].name for one in among[:TRIED]]
            alike = [SequenceMatcher(None, part.name, name).ratio() for name in names]
            found[key] = among.pop(alike.index(max(alike)))
    return found


def _effect_of(part: Part, what: str, ways: Ways) -> Effect:
    """Return what it means for callers that a part was added or removed."""
    if part.kind == "alternative":
        breaks = ("sent" if what == "removed" else "received") in ways
    elif what == "removed":
        breaks = part.kind not in ("status", "header")
    else:
        # Enums are open: a value that the old document does not list was read all the same.
        breaks = part.facts.get("presence") == "required" and "sent" in ways
    return "broken" if breaks else "changed" if what == "removed" else "added"


def _effect(what: str, before: str, after: str, ways: Ways) -> Effect:
    """Return what another value of a fact means for callers."""
    sent, received = _effects(what, before, after)
    both = [sent] * ("sent" in ways) + [received] * ("received" in ways)
    return max(both or [sent, received], key=EFFECTS.index)


def _effects(what: str, before: str, after: str) -> tuple[Effect, Effect]:
    """Return what it means where the part is sent, and where it is received."""
    wider = narrower = True  # than before; what is neither breaks both ways
    if what in ("OpenAPI", "version"):
        return "neutral", "neutral"
    if what in ("presence", "null"):
        wider = after in ("optional", "may be null")
        narrower = not wider
    elif what in ("type", "security"):
        old, new = (set(re.split(r" \| | or ", text)) for text in (before, after))
        numbers = before, after
        wider = old <= new or "any" in new or numbers == ("integer", "number")
        narrower = new <= old or "any" in old or numbers == ("number", "integer")
        narrower = wider if what == "security" else narrower
    elif what == "values" or (what == "format" and {before, after} & TYPED):
        wider = narrower = False
    elif what in ("pattern", "multipleOf", "uniqueItems"):
        wider = not after
    elif what.lower().startswith(("min", "max", "exclusive")):
        rises = bool(before and after) and float(after) > float(before)
        wider = bool(before) and (not after or rises == ("max" in what.lower()))
    return "changed" if wider else "broken", "changed" if narrower else "broken"
