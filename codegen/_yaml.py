"""YAML read into what JSON can say, in time and memory that its length bounds."""

import math
from collections.abc import Callable
from typing import Any

from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.nodes import Node, ScalarNode

LONGEST_NUMBER = 100
"""In characters. Python takes quadratic time for long ones."""
DEEPEST = 100
"""In mappings and lists within each other; twenty is a lot already."""

SHARED = 8
"""So many characters of a text weigh as much as a node, where aliases stand for it."""


class TooDeepError(Exception):
    """A document is nested deeper than what reads it could follow."""


class Constructor(SafeConstructor):
    """Makes of YAML what JSON can say, and of a date, as YAML has them, one of Python's."""

    def construct_document(self, node: Any) -> Any:
        """Check the graph of nodes, whose size the text bounds, before any alias is written out."""
        _check(node)
        return super().construct_document(node)


def _refusal(node: Any, problem: str) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)


def _check(root: Any) -> None:
    """Refuse aliases of what they are in, or of too much, and nesting that is too deep."""
    sizes: dict[int, tuple[int, int]] = {}
    """Of each node that was seen whole: how many nodes it stands for, and how deep they go."""
    inside: set[int] = set()
    waiting: list[tuple[Any, bool]] = [(root, False)]
    aliases = False
    while waiting:
        node, whole = waiting.pop()
        parts = _parts(node)
        if whole:
            inside.remove(id(node))
            weight = 1 + len(node.value) // SHARED if isinstance(node, ScalarNode) else 1
            size = weight + sum(sizes[id(part)][0] for part in parts)
            depth = 1 + max((sizes[id(part)][1] for part in parts), default=0)
            sizes[id(node)] = size, depth
            if depth > DEEPEST:
                raise TooDeepError
        elif id(node) in inside:
            raise _refusal(node, "an alias stands for what it is in itself")
        elif id(node) in sizes:
            aliases = True
        else:
            inside.add(id(node))
            waiting.append((node, True))
            waiting += [(part, False) for part in reversed(parts)]
    if aliases and sizes[id(root)][0] > root.end_mark.index:
        raise _refusal(
            root, "its aliases stand for more than a text of its length may: write it out"
        )


def _parts(node: Any) -> list[Node]:
    if isinstance(node, ScalarNode):
        return []
    return [part for item in node.value for part in (item if isinstance(item, tuple) else [item])]


def _guarded(kind: str, construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a constructor of scalars that says where one is that cannot be read."""

    def constructed(self: Any, node: Any) -> Any:
        if isinstance(node.value, str) and kind != "str" and len(node.value) > LONGEST_NUMBER:
            raise _refusal(node, f"a number, date or word of {len(node.value)} characters")
        try:
            value = construct(self, node)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError
            return _joined(value) if kind == "str" else value
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            problem = f"{str(node.value)[:50]} cannot be read as a {KINDS[kind]}"
            raise _refusal(node, problem) from None

    return constructed


def _joined(text: str) -> str:
    """Return a text with one character for each pair of surrogates, as JSON escapes some."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16")  # a lone one is an error


KINDS = {
    "bool": "truth value",
    "int": "number of JSON",
    "float": "number of JSON",
    "timestamp": "date: a text needs quotes",
    "str": "text",
}
for _kind in KINDS:
    Constructor.add_constructor(
        f"tag:yaml.org,2002:{_kind}",
        _guarded(_kind, getattr(SafeConstructor, f"construct_yaml_{_kind}")),
    )


def _unknown(_: Any, node: Any) -> Any:
    raise _refusal(node, f"the tag {node.tag} is none of JSON's")


for _kind in ("binary", "pairs", "set"):
    Constructor.add_constructor(f"tag:yaml.org,2002:{_kind}", _unknown)
