"""Checks that a document passes before other tools process it.

A document may not use the extensions of our overrides, because those are trusted. Its references
must end, and all parts must be small enough for the tools that follow to finish quickly.
"""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, cast

from ._errors import GenerationError
from ._patterns import STEPS, Time, judge
from ._yaml import depth_first

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

UNSUPPORTED = (
    *("$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor"),
    *("$dynamicRef", "$recursiveRef"),
)
"""Keywords that change the meaning of references, or are references out of the document."""

EXPANDED = (
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
    *("dependencies", "dependentSchemas"),
)
"""Keywords whose schemas apply to the same value."""
EXPANDED_INSIDE = (
    *("additionalProperties", "contains", "items", "prefixItems", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
"""Keywords whose schemas apply to parts of a value; the parser expands them in place."""
LONGEST_CHAIN = 100
MOST_EXPANDED = 10_000

MOST_MIXED = 500
"""The most entries of a list that cannot be sorted, as the validator compares each with each."""

MOST_DEFAULT = 100
"""The most entries of a default that the validator tries."""

MOST_STEPS = 5 * STEPS
"""The most steps spent on the patterns of a document. All others count as too complex."""

DOLLARS = re.compile(r"(\\.|\[(?:\\.|[^]\\])*+(?:]|\\?\Z))|\$", re.DOTALL)
"""A `$`; or an escape or a set, closed or not, in which a `$` is only a character."""

CHARACTER = 4
"""The cost of parsing one character of a pattern, in steps."""

Place = tuple[Any, ...]
Problem = tuple[Place, str]
"""Where in a document something is wrong, and what."""


def objects(document: dict[str, Any]) -> Iterator[tuple[Place, dict[Any, Any]]]:
    """Yield each mapping whose keys are keywords of OpenAPI, with its location.

    The target of a reference counts as one, even where it is part of data.
    """
    seen: set[int] = set()
    waiting: list[tuple[Place, Any]] = [((), document)]
    referred: list[tuple[Place, Any]] = []  # last: a part is reported in its own place if possible
    while waiting or referred:
        where, part = waiting.pop() if waiting else referred.pop()
        inner: list[tuple[Place, Any]] = []
        if isinstance(part, list):
            inner = [((*where, index), item) for index, item in enumerate(part)]
        elif isinstance(part, dict) and id(part) not in seen:
            seen.add(id(part))
            yield where, part
            if isinstance(part.get("$ref"), str):
                referred.append(((*where, "$ref"), target(document, part["$ref"])))
            for key, value in part.items():
                if key in NAMES and isinstance(value, dict):
                    inner += [((*where, key, name), item) for name, item in value.items()]
                elif key not in DATA and not key.startswith("x-"):
                    inner.append(((*where, key), value))
        waiting += reversed(inner)


def target(document: Any, reference: str) -> Any:
    """Return the target of a reference, or None.

    Percent escapes and indexes of lists are not followed: tools differ in how they read those.
    """
    part = document
    for key in reference.partition("#")[2].split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        part = part.get(key) if isinstance(part, dict) else None
    return part


def refuse(name: str, problems: Iterable[Problem]) -> None:
    """Raise `GenerationError` for the first of the problems of a document, if there are any."""
    for where, problem in problems:
        raise GenerationError(f"{name}: {dotted(where)}: {problem}")


def reserved_extensions(document: dict[str, Any]) -> Iterator[Problem]:
    """Find the extensions of our overrides in a published document."""
    for where, part in objects(document):
        keys: list[Place] = [(key,) for key in part]
        if not where and isinstance(part.get("paths"), dict):  # extensions are allowed beside paths
            keys += [("paths", key) for key in part["paths"]]
        for key in keys:
            if key[-1].casefold().startswith(OURS):
                problem = "this extension belongs to overrides/; remove it from the document"
                yield (*where, *key), problem


def slow_patterns(document: dict[str, Any]) -> Iterator[Problem]:
    """Find the patterns for which matching could take practically forever."""
    spent = 0
    for where, part in objects(document):
        patterns = [("pattern", part.get("pattern"))]
        patterns += [("patternProperties", one) for one in part.get("patternProperties") or ()]
        for key, pattern in patterns:
            if not isinstance(pattern, str):
                continue
            time, steps = Time.COMPLEX, 0
            if spent <= MOST_STEPS:
                spent += CHARACTER * len(pattern)
                try:
                    time, steps = judge(python_pattern(pattern))
                except re.error:
                    continue  # not valid in Python: reported where code for it is generated
            spent += steps
            if time not in (Time.LINEAR, Time.POLYNOMIAL, Time.STEEP):
                yield (
                    (*where, key),
                    f"the pattern {pattern[:80]!r} is refused, as {time.value}: replace it by an"
                    " action in overrides/overlay.yaml",
                )


def without_slow_parts(document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy without patterns and large defaults, which a validator would try."""
    return cast("dict[str, Any]", _without(document, {id(part) for _, part in objects(document)}))


def _without(part: Any, schemas: set[int]) -> Any:
    if isinstance(part, list):
        return [_without(item, schemas) for item in part]
    if not isinstance(part, dict):
        return part
    kept = {key: _without(value, schemas) for key, value in part.items()}
    if id(part) in schemas:
        if isinstance(kept.get("pattern"), str):
            del kept["pattern"]
        if isinstance(kept.get("patternProperties"), dict):
            del kept["patternProperties"]
            # Without the patterns, names that match one of them would count as additional.
            kept.pop("additionalProperties", None)
            kept.pop("unevaluatedProperties", None)
        if not _is_small(kept.get("default")):
            del kept["default"]
    return kept


def _is_small(value: Any) -> bool:
    """Whether a default can be tried quickly: it is short and has one level."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return len(inner) <= MOST_DEFAULT and not any(isinstance(one, dict | list) for one in inner)


def wrong_references(document: dict[str, Any]) -> Iterator[Problem]:
    """Find the references that have no target, or one outside of the document."""
    for where, part in objects(document):
        for key in UNSUPPORTED:
            if isinstance(part.get(key), str | bool):
                problem = "this keyword is not supported: remove it and use a $ref to a part of"
                yield (*where, key), f"{problem} components"
        reference = part.get("$ref")
        if isinstance(reference, str) and (
            not reference.startswith("#/") or target(document, reference) is None
        ):
            remedy = "refer to a part of components by its name, without an index or %20"
            yield where, f"$ref {reference[:200]!r} has no target: {remedy}"


def python_pattern(pattern: str) -> str:
    """Return a pattern of ECMAScript in Python's syntax."""
    # In ECMAScript $ matches at the very end only; in Python also before a final newline.
    return DOLLARS.sub(lambda match: match[1] or r"\Z", pattern)


def endless_references(document: dict[str, Any]) -> Iterator[Problem]:
    """Find the references that are circular, or expand to too much."""
    # A part of a value may have the schema of the whole, as in a tree.
    for keys, circles in ((EXPANDED, False), ((*EXPANDED, *EXPANDED_INSIDE), True)):
        parts = partial(_parts, document, keys)
        # Of each finished mapping: how many it expands to, and the length of its longest chain.
        sizes: dict[int, tuple[int, int]] = {}
        for where, root in objects(document):
            for one, circular in depth_first(root, parts, sizes):
                if circular and circles:
                    continue
                if circular:
                    yield where, "its references are circular"
                inner = [sizes.get(id(part), (0, 0)) for part in parts(one)]
                size = 1 + sum(size for size, _ in inner)
                depth = 1 + max((depth for _, depth in inner), default=0)
                sizes[id(one)] = size, depth
                if size > MOST_EXPANDED:
                    yield where, f"it expands to more than {MOST_EXPANDED} schemas"
                if depth > LONGEST_CHAIN and not circles:
                    yield where, f"a chain of more than {LONGEST_CHAIN} references"


def _parts(document: dict[str, Any], keys: tuple[str, ...], part: dict[Any, Any]) -> list[Any]:
    """Return the mappings behind the reference and the keywords of a mapping."""
    reference = part.get("$ref")
    others = [target(document, reference)] if isinstance(reference, str) else []
    for key in keys:
        value = part.get(key)
        if isinstance(value, list):
            others += value
        elif isinstance(value, dict):
            others += value.values() if key in NAMES else [value]
    return [one for one in others if isinstance(one, dict)]


def long_lists(document: dict[str, Any]) -> Iterator[Problem]:
    """Find the lists in which it would take long to look for equal entries."""
    for where, part in objects(document):
        dependent = part.get("dependentRequired")
        lists = [*part.items(), *(dependent.items() if isinstance(dependent, dict) else ())]
        for key, value in lists:
            if (
                isinstance(value, list)
                and len(value) > MOST_MIXED
                and key not in ("default", "example", "examples")
                and not all(isinstance(one, str) for one in value)
                and not all(isinstance(one, int | float) for one in value)
            ):
                problem = f"a list of {len(value)} entries that are not all texts or all numbers"
                yield (*where, key), f"{problem}: at most {MOST_MIXED} are supported"


def dotted(path: Any) -> str:
    """Return a location in a document as text, for messages."""
    return ".".join(str(key) for key in path) or "the document"
