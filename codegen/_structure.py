"""Checks of what a JSON Schema cannot express: references, parameters, defaults and patterns.

A document may not use the extensions of our overrides, because those are trusted. Whatever else is
wrong stays where it is, and only the operations that use it are refused.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any
from urllib.parse import unquote

from . import _patterns
from ._errors import GenerationError
from ._findings import Finding, Place, dotted
from ._patterns import STEPS, Time, judge

OURS = ("x-python-", "x-safe-to-repeat", "x-certainty", "x-inferred", "x-quirk-answers")
"""Prefixes of the extensions that only overrides/ may use."""

NAMES = frozenset(
    {
        *("callbacks", "content", "encoding", "headers", "links", "parameters", "pathItems"),
        *("paths", "requestBodies", "responses", "schemas", "securitySchemes", "webhooks"),
        *("$defs", "definitions", "dependencies", "dependentRequired", "dependentSchemas"),
        *("mapping", "patternProperties", "properties", "scopes", "variables"),
    }
)
"""Keywords whose value is a mapping with arbitrary names as keys."""

DATA = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords whose value is data, so that the keys in it are not keywords."""

FOREIGN = frozenset({"$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor"})
"""Keywords that would change the meaning of references if those were not paths in the document."""

UNUSED = frozenset(
    {
        *(*DATA, *FOREIGN, "$schema", "callbacks", "externalDocs", "info", "jsonSchemaDialect"),
        *("links", "openapi", "servers", "tags", "webhooks", "xml"),
    }
)
"""Keywords whose value does not decide how a call is encoded or its answer is read."""

EXPANDED = frozenset(
    {
        *("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
        *("dependencies", "dependentSchemas"),
    }
)
"""Keywords whose schemas apply to the same value."""
EXPANDED_INSIDE = frozenset(
    {
        *("additionalProperties", "contains", "items", "prefixItems", "propertyNames"),
        *("unevaluatedItems", "unevaluatedProperties"),
    }
)
"""Keywords whose schemas apply to parts of a value; the parser expands them in place."""
LONGEST_CHAIN = 1_000
MOST_EXPANDED = 10_000
"""In mappings."""

MOST_STEPS = 5 * STEPS
"""The most steps spent on the patterns of a document. All others count as too complex."""
CHARACTER = 4
"""The cost of parsing one character of a pattern, in steps."""
MOST_SHOWN = 100

DOLLARS = re.compile(r"(\\.|\[(?:\\.|[^]\\])*+(?:]|\\?\Z))|\$", re.DOTALL)
"""A `$`; or an escape or a set, closed or not, in which a `$` is only a character."""

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
"""The keys of a path item that are operations."""

TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


PARTS = (dict, list)

Resolve = Callable[[str], Any]
"""Returns the target of a reference, or None."""


def objects(document: dict[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield each mapping whose keys are keywords of OpenAPI, with its location.

    The target of a reference counts as one, even where it is part of data.
    """
    seen: set[int] = set()
    waiting: list[tuple[Place, Any]] = [((), document)]
    referred: dict[str, Place] = {}  # last: a part is reported in its own place if possible
    while waiting or referred:
        if waiting:
            where, part = waiting.pop()
        else:
            reference, where = referred.popitem()
            part = target(document, reference)
        inner: list[tuple[Place, Any]] = []
        if isinstance(part, list):
            inner = [((*where, i), one) for i, one in enumerate(part) if isinstance(one, PARTS)]
        elif isinstance(part, dict) and id(part) not in seen:
            seen.add(id(part))
            yield where, part
            if isinstance(part.get("$ref"), str):
                referred.setdefault(part["$ref"], (*where, "$ref"))
            for key, value in part.items():
                if not isinstance(value, PARTS):
                    continue
                if key in NAMES and isinstance(value, dict):
                    extended = key == "paths"
                    inner += [
                        ((*where, key, name), item)
                        for name, item in value.items()
                        if not (extended and name.startswith("x-"))
                    ]
                elif key not in DATA and not key.startswith("x-"):
                    inner.append(((*where, key), value))
        waiting += reversed(inner)


def target(document: Any, reference: str) -> Any:
    """Return the target of a reference (RFC 6901, percent-encoded or not), or None."""
    base, _, fragment = reference.partition("#")
    if base or (fragment and not fragment.startswith("/")):
        return None
    for pointer in dict.fromkeys((fragment, unquote(fragment))):
        part = document
        for key in pointer.split("/")[1:]:
            key = key.replace("~1", "/").replace("~0", "~")
            if isinstance(part, list) and re.fullmatch("[0-9]{1,9}", key) and int(key) < len(part):
                part = part[int(key)]
            else:
                part = part.get(key) if isinstance(part, dict) else None
        if part is not None:
            return part
    return None


def place_of(reference: str) -> Place:
    """Return the place that a reference points to, for `Blame`."""
    keys = unquote(reference.partition("#")[2]).split("/")[1:]
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in keys)


def refuse(name: str, findings: Iterable[Finding]) -> None:
    """Raise `GenerationError` with all findings in a document, if there are any."""
    lines = [f"{name}: {dotted(one.place)}: {one.problem}" for one in findings]
    if (more := len(lines) - MOST_SHOWN) > 0:
        lines[MOST_SHOWN:] = [f"{name}: {more} more problems"]
    if lines:
        raise GenerationError(*lines)


class Blame:
    """The findings that refuse operations, for a reader to look up at each part that it reads."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._inside: dict[Place, Finding] = {}
        for one in findings:
            place = tuple(map(str, one.place))  # a reference has the indexes of lists as texts
            for length in range(len(place) + 1) if one.refuses else ():
                self._inside.setdefault(place[:length], one)

    def inside(self, place: Place) -> Finding | None:
        """Return the first finding at a place or below it, without following references."""
        return self._inside.get(tuple(map(str, place)))


def is_unused(place: Place) -> bool:
    """Whether a part does not decide how a call is encoded or its answer is read."""
    name = False  # whether the next key is a name, not a keyword
    for key in place:
        if not name and isinstance(key, str) and (key in UNUSED or key.startswith("x-")):
            return True
        name = not name and key in NAMES
    return False


def reserved_extensions(document: dict[str, Any]) -> Iterator[Finding]:
    """Find the extensions of our overrides in a published document."""
    for where, part in objects(document):
        named = [((*where, key), key) for key in part if key[:2] in ("x-", "X-")]
        if not where and isinstance(part.get("paths"), dict):  # extensions are allowed beside paths
            named += [(("paths", key), key) for key in part["paths"]]
        for place, key in named:
            if key.casefold().startswith(OURS):
                problem = "this extension is for overlays only; remove it from the document"
                yield Finding(place, problem, refuses=True)


def structural(document: dict[str, Any]) -> Iterator[Finding]:
    """Find everything that is wrong in a document and that no JSON Schema can express."""
    parts = list(objects(document))
    resolve = cache(partial(target, document))
    v31 = str(document.get("openapi")).startswith("3.1")
    names: dict[str, Place] = {}
    for where, part in parts:
        yield from _reference(resolve, where, part)
        yield from _schema(where, part, v31=v31)
        if len(where) == 2 and where[0] == "paths":
            yield from _parameters(resolve, where, part)
        name = part.get("operationId")
        operation = len(where) == 3 and where[0] == "paths" and isinstance(name, str)
        if operation and names.setdefault(str(name), where) is not where:
            problem = f"{dotted(names[str(name)])} has the operationId {str(name)[:100]!r} as well"
            yield Finding((*where, "operationId"), problem)
    yield from _endless(resolve, parts)
    yield from slow_patterns(parts)


def _reference(resolve: Resolve, where: Place, part: dict[str, Any]) -> Iterator[Finding]:
    for key in sorted(FOREIGN & part.keys()):
        if isinstance(part[key], str | bool):
            problem = f"{key} is ignored: each $ref is read as a path in this document"
            yield Finding((*where, key), problem)
    for key in ("$dynamicRef", "$recursiveRef"):
        if isinstance(part.get(key), str):
            problem = f"{key} is not supported: use a $ref to a part of components"
            yield Finding((*where, key), problem, refuses=True)
    reference = part.get("$ref")
    if isinstance(reference, str) and resolve(reference) is None:
        remedy = "refer to a part of this document, such as #/components/schemas/Name"
        problem = f"$ref {reference[:200]!r} has no target: {remedy}"
        yield Finding((*where, "$ref"), problem, refuses=True)


def _schema(where: Place, part: dict[str, Any], *, v31: bool) -> Iterator[Finding]:
    if v31 and isinstance(part.get("nullable"), bool):
        yield Finding((*where, "nullable"), "nullable is not in OpenAPI 3.1; read as in 3.0")
    default, types, enum = part.get("default"), part.get("type"), part.get("enum")
    allowed: list[Any] = types if isinstance(types, list) else [types]
    if default is None or not all(isinstance(one, str) and one in TYPES for one in allowed):
        return
    if not any(_has_type(default, one) for one in allowed):
        problem = f"the default is not of type {' or '.join(allowed)}"
        yield Finding((*where, "default"), problem)
    elif isinstance(enum, list) and default not in enum:
        yield Finding((*where, "default"), "the default is not in the enum")


def _has_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    whole = name == "integer" and isinstance(value, float) and value.is_integer()
    return whole or isinstance(value, TYPES[name])


def mappings(part: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the mappings in a list of a part of a document, without what is malformed."""
    written = part.get(key)
    return [one for one in written if isinstance(one, dict)] if isinstance(written, list) else []


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and content of all operations, those behind references included."""
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method, operation in _path_item(document, item).items():
            if method in METHODS and isinstance(operation, dict):
                yield method, str(path), operation


def _path_item(document: dict[str, Any], item: Any) -> dict[str, Any]:
    """Return a path item together with what its reference leads to."""
    whole: dict[str, Any] = {}
    seen: list[Any] = []
    while isinstance(item, dict) and item not in seen:
        whole = {**item, **whole}
        seen.append(item)
        reference = item.get("$ref")
        item = target(document, reference) if isinstance(reference, str) else None
    return whole


def _parameters(resolve: Resolve, where: Place, part: dict[str, Any]) -> Iterator[Finding]:
    """Find parameters that are declared twice."""
    for method in METHODS:
        operation = part.get(method)
        if not isinstance(operation, dict):
            continue
        own: dict[tuple[Any, Any], tuple[Place, Any]] = {}
        for key, (place, one) in _declared(resolve, (*where, method, "parameters"), operation):
            if key in own:
                problem = f"the {key[1]} parameter {str(key[0])[:100]!r} is declared twice"
                yield Finding(place, problem, refuses=own[key][1] != one)
            own.setdefault(key, (place, one))


def _declared(
    resolve: Resolve, where: Place, part: dict[str, Any]
) -> Iterator[tuple[tuple[Any, Any], tuple[Place, Any]]]:
    """Yield name and location of each parameter, and its place and what it is."""
    parameters = part.get("parameters")
    for index, one in enumerate(parameters if isinstance(parameters, list) else ()):
        if isinstance(one, dict) and isinstance(one.get("$ref"), str):
            one = resolve(one["$ref"])
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            yield (one["name"], str(one.get("in"))), ((*where, index), one)


# --- what would not end --------------------------------------------------------------------------


def _endless(resolve: Resolve, objects: list[tuple[Place, dict[str, Any]]]) -> Iterator[Finding]:
    """Find the references that are circular, or expand to too much."""
    places = {id(part): where for where, part in objects}
    # A part of a value may have the schema of the whole, as in a tree.
    for keys, circles in ((EXPANDED, False), (EXPANDED | EXPANDED_INSIDE, True)):
        parts = partial(_parts, resolve, keys)
        # Of each finished mapping: how many it expands to, and the length of its longest chain.
        sizes: dict[int, tuple[int, int]] = {}
        for _, root in objects:
            for one, inner, circular in _depth_first(root, parts, sizes):
                problem = ""
                if circular:
                    problem = "" if circles else "its references are circular"
                else:
                    known = [sizes[id(part)] for part in inner if id(part) in sizes]
                    size = 1 + sum(size for size, _ in known)
                    depth = 1 + max((depth for _, depth in known), default=0)
                    sizes[id(one)] = min(size, MOST_EXPANDED + 1), depth
                    if size > MOST_EXPANDED:
                        problem = f"it expands to more than {MOST_EXPANDED} schemas"
                    if depth > LONGEST_CHAIN and not circles:
                        problem = f"a chain of more than {LONGEST_CHAIN} references"
                if problem:
                    yield Finding(places[id(one)], problem, refuses=True)


def _parts(resolve: Resolve, keys: frozenset[str], part: dict[str, Any]) -> list[Any]:
    """Return the mappings behind the reference and the keywords of a mapping."""
    others: list[Any] = []
    for key, value in part.items():
        if key in keys:
            if isinstance(value, list):
                others += value
            elif isinstance(value, dict):
                others += value.values() if key in NAMES else [value]
        elif key == "$ref" and isinstance(value, str):
            others.append(resolve(value))
    return [one for one in others if isinstance(one, dict)]


def _depth_first(
    root: Any, parts: Callable[[Any], list[Any]], finished: Mapping[int, object]
) -> Iterator[tuple[Any, list[Any], bool]]:
    """Yield a root and all its parts, each with its parts and after them, without recursion.

    A node that contains itself is also yielded where it recurs, with True. The caller records each
    node that is yielded with False in `finished`, by its id, so that it is not visited again.
    """
    inside: set[int] = set()
    waiting: list[tuple[Any, list[Any] | None]] = [(root, None)]
    while waiting:
        one, inner = waiting.pop()
        if inner is not None:
            inside.remove(id(one))
            yield one, inner, False
        elif id(one) in inside:
            yield one, [], True
        elif id(one) not in finished:
            inside.add(id(one))
            inner = parts(one)
            waiting.append((one, inner))
            waiting += [(part, None) for part in reversed(inner)]


# --- patterns ------------------------------------------------------------------------------------


def python_pattern(pattern: str) -> str:
    """Return a pattern of ECMAScript in Python's syntax."""
    # In ECMAScript $ matches at the very end only; in Python also before a final newline.
    return DOLLARS.sub(lambda match: match[1] or r"\Z", pattern)


def slow_patterns(objects: list[tuple[Place, dict[str, Any]]]) -> Iterator[Finding]:
    """Find the patterns that only the server can check. Each pattern is judged here first."""
    found: dict[str, list[Place]] = defaultdict(list)
    for where, part in objects:
        if isinstance(part.get("pattern"), str):
            found[part["pattern"]].append((*where, "pattern"))
        named = part.get("patternProperties")
        for one in named if isinstance(named, dict) else ():
            found[str(one)].append((*where, "patternProperties"))
    _patterns.JUDGED.clear()
    spent = 0
    for pattern, places in found.items():
        if spent > MOST_STEPS:
            _patterns.JUDGED[python_pattern(pattern)] = Time.COMPLEX, 0
        time, steps = judge(python_pattern(pattern))
        spent += steps + CHARACTER * len(pattern)
        if time not in (Time.LINEAR, Time.POLYNOMIAL, Time.STEEP):
            problem = f"only the server checks the pattern {pattern[:80]!r}, as {time.value}"
            yield from (Finding(place, problem) for place in places)
