"""The order in which modules of models import each other.

A module imports the models that its own one refers to, and these import others in turn. Python
allows about 140 such imports inside each other, so long chains are cut here, and the models of a
large circle share a module.
"""

from collections.abc import Sequence
from operator import attrgetter

from attrs import frozen

from ._kinds import Class, Model, classes

DEEPEST = 50
"""The most imports inside each other between two models that import all that they need at once."""
LARGEST = 30
"""The most models of a circle that have modules of their own."""


@frozen
class Module:
    """A module of models."""

    file: str
    models: list[Model]
    needed: list[Class]
    """The classes that these refer to, and that are imported from other modules."""
    first: list[str]
    """The modules to be imported before that, in this order."""


def modules(found: Sequence[Class]) -> list[Module]:
    """Return the modules for all models of a package; those of enums need no others."""
    known = set(found)
    needs = {
        one: sorted(
            (classes(one.inside) if isinstance(one, Model) else set()) & known - {one},
            key=attrgetter("file"),
        )
        for one in found
    }
    position: dict[Class, int] = {}
    depth: dict[Class, int] = {}
    result = []
    for number, circle in enumerate(_circles(needs)):
        inside = set(circle)
        outside = {other for one in circle for other in needs[one] if other not in inside}
        below = max((depth[other] for other in outside), default=0)
        shares = len(circle) > LARGEST
        for one in circle:
            position[one], depth[one] = number, below + (1 if shares else len(circle))
        crosses = any(depth[one] // DEEPEST < depth[circle[0]] // DEEPEST for one in outside)
        every = sorted(_all(outside, needs), key=position.__getitem__) if crosses else []
        first = list(dict.fromkeys(one.file for one in every))
        models = sorted((one for one in circle if isinstance(one, Model)), key=attrgetter("file"))
        if shares:
            needed = sorted(outside, key=attrgetter("file"))
            result.append(Module(f"_circle_of_{models[0].file}", models, needed, first))
        else:
            result += [Module(one.file, [one], needs[one], first) for one in models]
    return result


def _all(start: set[Class], needs: dict[Class, list[Class]]) -> list[Class]:
    """Return some classes and all that they need, in whatever way."""
    seen, waiting = set(start), list(start)
    while waiting:
        for other in needs[waiting.pop()]:
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return sorted(seen, key=attrgetter("file"))


def _circles(needs: dict[Class, list[Class]]) -> list[list[Class]]:
    """Return the circles of classes, those of one class included, each after those that it needs.

    This is Tarjan's algorithm without recursion.
    """
    index: dict[Class, int] = {}
    lowest: dict[Class, int] = {}
    stack: list[Class] = []
    on_stack: set[Class] = set()
    found: list[list[Class]] = []
    for root in needs:
        waiting = [(root, 0)] if root not in index else []
        while waiting:
            one, at = waiting.pop()
            if not at:
                index[one] = lowest[one] = len(index)
                stack.append(one)
                on_stack.add(one)
            for number, other in enumerate(needs[one][at:], at + 1):
                if other not in index:
                    waiting += [(one, number), (other, 0)]
                    break
                if other in on_stack:
                    lowest[one] = min(lowest[one], index[other])
            else:
                if waiting:
                    above = waiting[-1][0]
                    lowest[above] = min(lowest[above], lowest[one])
                if lowest[one] == index[one]:
                    circle = [stack.pop()]
                    while circle[-1] is not one:
                        circle.append(stack.pop())
                    on_stack.difference_update(circle)
                    found.append(circle)
    return found
