"""What must hold of a document before anything that would take it at its word looks at it.

Only our own overrides may say what is printed as it stands, or that a call may be repeated. And
references must come to an end, within the time that the tools after us take to follow them.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import unquote

from ._errors import GenerationError
from ._patterns import LONGEST, STEPS, Time, judged

OURS = ("x-python-", "x-safe-to-repeat", "x-certainty", "x-inferred")
"""How the extensions begin that belong to overrides/."""

NAMES = frozenset(
    {
        *("callbacks", "content", "encoding", "headers", "links", "parameters", "pathItems"),
        *("paths", "requestBodies", "responses", "schemas", "securitySchemes", "webhooks"),
        *("$defs", "definitions", "dependencies", "dependentRequired", "dependentSchemas"),
        *("mapping", "patternProperties", "properties", "scopes", "variables"),
    }
)
"""Keywords whose value is a mapping from names, which may be any."""

DATA = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords whose value is data, in which keys mean nothing to OpenAPI."""

UNSUPPORTED = (
    *("$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor"),
    *("$dynamicRef", "$recursiveRef"),
)
"""Keywords that change what references mean, or that are such as may lead out of a document."""

EXPANDED = (
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
    *("dependencies", "dependentSchemas"),
)
"""Keywords whose schemas hold of the same value."""
EXPANDED_INSIDE = (
    *("additionalProperties", "contains", "items", "prefixItems", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
"""Keywords whose schemas hold of what is in a value; code for them is written out in place."""
LONGEST_CHAIN = 100
MOST_EXPANDED = 10_000

MOST_MIXED = 500
"""How many entries a list may have that cannot be sorted: comparing each with each takes long."""

MOST_DEFAULT = 100
"""How many entries a default may have to be tried."""

MOST_STEPS = 5 * STEPS
"""How much the patterns of a document may cost together before the rest counts as too complex."""

DOLLARS = re.compile(r"(\\.|\[(?:\\.|[^]\\])*+(?:]|\\?\Z))|\$", re.DOTALL)
"""Each $, and before it what a $ could be a part of. A set without an end is skipped as a whole."""

CHARACTER = 4
"""How many steps reading one character of a pattern counts as."""

Way = tuple[Any, ...]


def objects(document: dict[str, Any]) -> Iterator[tuple[Way, dict[Any, Any]]]:
    """Yield each mapping whose keys are keywords of OpenAPI, with the way to it.

    What a reference points to is one too, wherever it stands, also amid data.
    """
    seen: set[int] = set()
    waiting: list[tuple[Way, Any]] = [((), document)]
    referred: list[tuple[Way, Any]] = []  # last, so that most parts are named by where they stand
    while waiting or referred:
        where, part = waiting.pop() if waiting else referred.pop()
        inner: list[tuple[Way, Any]] = []
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
                elif key not in DATA and not str(key).startswith("x-"):
                    inner.append(((*where, key), value))
        waiting += reversed(inner)


def target(document: Any, reference: str) -> Any:
    """Return what a reference points to, read in any way that some tool may; None if nothing."""
    part = document
    for key in unquote(reference.partition("#")[2]).split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        if isinstance(part, list) and re.fullmatch("[0-9]{1,9}", key):
            part = part[int(key)] if int(key) < len(part) else None
        else:
            part = part.get(key) if isinstance(part, dict) else None
    return part


def refuse_ours(document: dict[str, Any], name: str) -> None:
    """Raise `GenerationError` if a document, as published, has extensions of ours."""
    for where, part in objects(document):
        keys: list[Way] = [(key,) for key in part]
        if not where and isinstance(part.get("paths"), dict):  # its names begin with a slash
            keys += [("paths", key) for key in part["paths"]]
        for way in keys:
            if str(way[-1]).casefold().startswith(OURS):
                raise GenerationError(
                    f"{name}: {dotted((*where, *way))}: this extension belongs to overrides/ and"
                    " may not come from a document: remove it there"
                )


def refuse_patterns(document: dict[str, Any], name: str) -> None:
    """Raise `GenerationError` if a pattern could keep a program busy for ever."""
    for where, pattern, time in _patterns(document):
        if time not in (Time.LINEAR, Time.POLYNOMIAL, Time.STEEP):
            raise GenerationError(
                f"{name}: {dotted(where)}: the pattern {pattern[:80]!r} is refused, {time.value}:"
                " give it another one by an action in overrides/overlay.yaml"
            )


def without_slow_parts(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without the patterns that a validator would try, and large defaults."""
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
            # Else names that match would count as additional ones.
            kept.pop("additionalProperties", None)
            kept.pop("unevaluatedProperties", None)
        if not _is_small(kept.get("default")):
            del kept["default"]
    return kept


def _is_small(value: Any) -> bool:
    """Whether trying a default takes no time that grows with each level of it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return len(inner) <= MOST_DEFAULT and not any(isinstance(one, dict | list) for one in inner)


def refuse_references(document: dict[str, Any], name: str) -> None:
    """Raise `GenerationError` if a reference leads nowhere, or could lead out of the document."""
    for where, part in objects(document):
        for key in UNSUPPORTED:
            if isinstance(part.get(key), str | bool):
                raise GenerationError(
                    f"{name}: {dotted((*where, key))}: this keyword is not supported: remove it,"
                    " and refer to a part under components by a $ref"
                )
        reference = part.get("$ref")
        if not isinstance(reference, str) or _leads_somewhere(document, reference):
            continue
        problem = "leads nowhere"
        if reference.startswith("#/") and target(document, reference) is not None:
            problem = "is not supported: name that part under components and refer to it there"
        raise GenerationError(f"{name}: {dotted(where)}: $ref {reference[:200]!r} {problem}")


def _leads_somewhere(document: Any, reference: str) -> bool:
    if not reference.startswith("#/"):
        return False
    for key in reference.removeprefix("#/").split("/"):
        key = key.replace("~1", "/").replace("~0", "~")
        if not isinstance(document, dict) or key not in document:
            return False
        document = document[key]
    return True


def _patterns(document: dict[str, Any]) -> Iterator[tuple[Way, str, Time]]:
    spent = 0
    for where, part in objects(document):
        found = [((*where, "pattern"), part.get("pattern"))]
        more = part.get("patternProperties")
        found += [((*where, "patternProperties"), one) for one in more] if more else []
        for way, pattern in found:
            if not isinstance(pattern, str):
                continue
            time, steps = Time.COMPLEX, 0
            if len(pattern) <= LONGEST and spent <= MOST_STEPS:
                spent += CHARACTER * len(pattern)
                try:
                    time, steps = judged(python_pattern(pattern))
                except re.error:
                    continue  # not one of Python's: told where it would be written
            spent += steps
            yield way, pattern, time


def python_pattern(pattern: str) -> str:
    """Return a pattern of ECMAScript as Python's; the differences are few."""
    # In ECMAScript $ is the very end; in Python it also stands before a last newline.
    return DOLLARS.sub(lambda match: match[1] or r"\Z", pattern)


def refuse_endless(document: dict[str, Any], name: str) -> None:
    """Raise `GenerationError` if references lead back to themselves, or to too much."""
    _refuse_endless(document, name, inner=False)
    _refuse_endless(document, name, inner=True)


def _refuse_endless(document: dict[str, Any], name: str, *, inner: bool) -> None:
    """Follow what holds of one value; or also what holds of those in it, which may recur."""
    follow = _following(document, (*EXPANDED, *EXPANDED_INSIDE) if inner else EXPANDED)
    # Of what has been followed to its end: how much it expands to, and how far it leads.
    sizes: dict[int, tuple[int, int]] = {}
    inside: set[int] = set()
    for where, part in objects(document):
        waiting: list[tuple[Any, bool]] = [(part, False)]
        while waiting:
            one, whole = waiting.pop()
            if whole:
                inside.remove(id(one))
                parts = [sizes.get(id(next_one), (0, 0)) for next_one in follow(one)]
                size = 1 + sum(size for size, _ in parts)
                depth = 1 + max((depth for _, depth in parts), default=0)
                sizes[id(one)] = size, depth
                if size > MOST_EXPANDED:
                    problem = f"it stands for more than {MOST_EXPANDED} schemas, written out"
                elif depth > LONGEST_CHAIN and not inner:
                    problem = f"a chain of more than {LONGEST_CHAIN} references"
                else:
                    continue
                raise GenerationError(f"{name}: {dotted(where)}: {problem}")
            if id(one) in inside and not inner:
                raise GenerationError(f"{name}: {dotted(where)}: its references lead in a circle")
            if id(one) not in sizes and id(one) not in inside:
                inside.add(id(one))
                waiting.append((one, True))
                waiting += [(next_one, False) for next_one in follow(one)]


def _following(
    document: dict[str, Any], keys: tuple[str, ...]
) -> Callable[[dict[Any, Any]], list[Any]]:
    """Return a function to what a mapping is made of by its reference and these keywords."""

    def follow(part: dict[Any, Any]) -> list[Any]:
        reference = part.get("$ref")
        others = [target(document, reference)] if isinstance(reference, str) else []
        for key in keys:
            value = part.get(key)
            if isinstance(value, list):
                others += value
            elif isinstance(value, dict):
                others += value.values() if key in NAMES else [value]
        return [one for one in others if isinstance(one, dict)]

    return follow


def refuse_long_lists(document: dict[str, Any], name: str) -> None:
    """Raise `GenerationError` if a list is so long that finding equal entries would take long."""
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
                raise GenerationError(
                    f"{name}: {dotted((*where, key))}: a list of {len(value)} entries that are not"
                    f" all texts or all numbers: {MOST_MIXED} are the most, leave out the others"
                )


def dotted(path: Any) -> str:
    """Return the way to a place in a document, as errors name it."""
    return ".".join(str(key) for key in path) or "the document"
