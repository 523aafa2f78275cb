"""Read YAML into the types of JSON, in time and memory bounded by the length of the text."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

LONGEST_NUMBER = 100
"""In characters. Python takes quadratic time to read long numbers."""
DEEPEST = 100
"""The most levels of mappings and lists. Real documents have about twenty."""

KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
"""The tags of keys: JSON has no other keys than texts."""

SHARED = 8
"""The number of characters of a scalar that weigh as much as one node."""


class TooDeepError(Exception):
    """A document has more than `DEEPEST` levels."""


class Constructor(SafeConstructor):
    """Constructs only values that JSON has, and dates."""

    def construct_document(self, node: Any) -> Any:
        """Check the nodes before aliases are expanded, while the text still bounds their number."""
        _check(node)
        return super().construct_document(node)


def _refusal(node: Any, problem: str) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)


def _check(root: Any) -> None:
    """Refuse aliases that contain themselves or expand to too much, and too many levels."""
    # Of each finished node: how many nodes it expands to, and how many levels.
    sizes: dict[int, tuple[int, int]] = {}
    nodes = 0
    for node, circular in depth_first(root, _parts, sizes):
        if circular:
            raise _refusal(node, "an alias refers to a node that contains it")
        weight = 1 + len(node.value) // SHARED if isinstance(node, ScalarNode) else 1
        parts = [sizes[id(part)] for part in _parts(node)]
        depth = 1 + max((depth for _, depth in parts), default=0)
        sizes[id(node)] = weight + sum(size for size, _ in parts), depth
        nodes += weight
        for key, _ in node.value if isinstance(node, MappingNode) else ():
            if key.tag not in KEYS:
                raise _refusal(key, f"the key {key.value!s:.50} needs quotes")
        if depth > DEEPEST:
            raise TooDeepError
    expanded, _ = sizes[id(root)]
    if expanded > max(nodes, root.end_mark.index):
        problem = "its aliases expand to more than the length of the text; write the parts out"
        raise _refusal(root, problem)


def depth_first(
    root: Any, parts: Callable[[Any], list[Any]], finished: Mapping[int, object]
) -> Iterator[tuple[Any, bool]]:
    """Yield a root and all its parts, each after its own parts, without recursion.

    A node that contains itself is also yielded where it recurs, with True. The caller records each
    node that is yielded with False in `finished`, by its id, so that it is not visited again.
    """
    inside: set[int] = set()
    waiting: list[tuple[Any, bool]] = [(root, False)]
    while waiting:
        one, last = waiting.pop()
        if last:
            inside.remove(id(one))
            yield one, False
        elif id(one) in inside:
            yield one, True
        elif id(one) not in finished:
            inside.add(id(one))
            waiting.append((one, True))
            waiting += [(part, False) for part in reversed(parts(one))]


def _parts(node: Any) -> list[Node]:
    if isinstance(node, ScalarNode):
        return []
    return [part for item in node.value for part in (item if isinstance(item, tuple) else [item])]


def _guarded(kind: str, construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a constructor of scalars whose errors name the position of the scalar."""

    def constructed(self: Any, node: Any) -> Any:
        if isinstance(node.value, str) and kind != "str" and len(node.value) > LONGEST_NUMBER:
            raise _refusal(node, f"a number, date or word of {len(node.value)} characters")
        try:
            value = construct(self, node)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError
            return _joined(value) if kind == "str" else value
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            problem = f"{str(node.value)[:50]} cannot be read as {KINDS[kind]}"
            raise _refusal(node, problem) from None

    return constructed


def _joined(text: str) -> str:
    """Return a text with each surrogate pair, as in escapes of JSON, as one character."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16")  # fails for half a pair


KINDS = {
    "bool": "a boolean",
    "int": "a JSON number",
    "float": "a JSON number",
    "timestamp": "a date; put quotes around it if it is a text",
    "str": "Unicode text",
}
for _kind in KINDS:
    Constructor.add_constructor(
        f"tag:yaml.org,2002:{_kind}",
        _guarded(_kind, getattr(SafeConstructor, f"construct_yaml_{_kind}")),
    )


for _kind in ("binary", "pairs", "set"):
    Constructor.add_constructor(f"tag:yaml.org,2002:{_kind}", SafeConstructor.construct_undefined)
