"""Rules that rewrite a schema, as vendors write it, into the few forms that the reader takes.

A normal schema is one of these, with annotations beside it, and `nullable: true` if null is
allowed:

- `$ref` alone;
- `oneOf` with two alternatives or more, which may have a `discriminator`;
- `type` with one name and its keywords, `enum` and `const` included;
- nothing but annotations, for any value.

Each rule is one construct. Only the schema itself becomes normal, not the schemas inside it, so
that a document is rewritten as far as operations use it, and each part in time linear in its size.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

from ._findings import Finding, Place, Unsupported
from ._structure import target

Schema = dict[str, Any]

ANNOTATIONS = frozenset(
    {
        *("$comment", "$id", "$schema", "$anchor", "default", "deprecated", "description"),
        *("example", "examples", "externalDocs", "nullable", "readOnly", "summary", "title"),
        *("writeOnly", "xml"),
    }
)
"""Keywords that say nothing of which values are valid; extensions (`x-`) do not either."""

NEIGHBOURS = {
    "properties": "object",
    "additionalProperties": "object",
    "patternProperties": "object",
    "propertyNames": "object",
    "required": "object",
    "maxProperties": "object",
    "minProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "maxItems": "array",
    "uniqueItems": "array",
    "pattern": "string",
    "minLength": "string",
    "maxLength": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}
"""The type that a keyword stands for in a schema without `type`."""

NUMERIC_FORMATS = {"int32": "integer", "int64": "integer", "float": "number", "double": "number"}

TYPES = ("string", "integer", "number", "boolean", "array", "object")

MOST_ALTERNATIVES = 200
"""The most alternatives that several `oneOf` and `anyOf` of one schema may be multiplied to."""
DEEPEST = 60
"""The most levels of schemas that apply to one value."""


class Rules:
    """The rules for one document. They call each other where constructs are nested.

    Args:
        document: The document that references point into.
        findings: Takes what was dropped.
    """

    def __init__(self, document: dict[str, Any], findings: list[Finding]) -> None:
        self.document = document
        self.findings = findings
        self.inside: list[str] = []
        """The references that are being followed."""

    def normal(self, schema: Any, place: Place) -> Schema:
        """Return a schema in its normal form.

        Raises:
            Unsupported: It contradicts itself, or a reference has no target.
        """
        if len(self.inside) > DEEPEST:
            raise Unsupported(place, "its references are nested too deeply or are circular")
        for rule in RULES:
            schema = rule(self, schema, place)
        return schema  # type: ignore[no-any-return]

    def target(self, reference: Any, place: Place) -> Any:
        """Return what a reference points to."""
        found = target(self.document, reference) if isinstance(reference, str) else None
        if found is None or not reference.startswith("#/"):
            problem = f"$ref {str(reference)[:200]!r} has no target in the document"
            raise Unsupported(place, f"{problem}: add it to components, or replace the reference")
        return found

    def expanded(self, schema: Any, place: Place) -> Schema:
        """Return the normal form of a schema, with that of the target in place of a reference."""
        node = self.normal(schema, place)
        if "$ref" not in node:
            return node
        reference = node["$ref"]
        if reference in self.inside:
            raise Unsupported(place, "the schema consists of itself")
        self.inside.append(reference)
        try:
            found = self.expanded(self.target(reference, place), place)
        finally:
            self.inside.pop()
        own = {key: value for key, value in node.items() if key != "$ref"}
        return {**without(found, NAMING), **own}

    def drop(self, place: Place, problem: str) -> None:
        """Record that something of a document has no effect."""
        self.findings.append(Finding(place, problem))


NAMING = ("x-python-name", "x-python-class", "title")


def without(schema: Schema, keys: Iterable[str]) -> Schema:
    """Return a schema without some keywords."""
    return {key: value for key, value in schema.items() if key not in keys}


def says_something(schema: Schema) -> bool:
    """Whether a schema has more than annotations."""
    return any(key not in ANNOTATIONS and not key.startswith("x-") for key in schema)


def annotations(schema: Schema) -> Schema:
    """Return the annotations of a schema."""
    return {k: v for k, v in schema.items() if k in ANNOTATIONS or k.startswith("x-")}


# --- the rules, in the order in which they apply -------------------------------------------------


def boolean(_rules: Rules, schema: Any, place: Place) -> Schema:
    """`true` is any value. `false`, which is no value, cannot be expressed."""
    if schema is True:
        return {}
    if not isinstance(schema, dict):
        raise Unsupported(place, "a schema that no value fits, or that is not a mapping")
    return schema


def siblings(rules: Rules, schema: Schema, place: Place) -> Schema:
    """What is beside a `$ref` applies too, although OpenAPI 3.0 says that it is ignored."""
    if "$ref" not in schema or not isinstance(schema["$ref"], str):
        return schema
    beside = without(schema, ("$ref",))
    if not says_something(beside):
        return schema
    found = rules.target(schema["$ref"], place)
    if isinstance(found, dict) and all(found.get(key) == beside[key] for key in _said(beside)):
        return without(schema, _said(beside))
    return {
        "allOf": [{"$ref": schema["$ref"]}, without(beside, ANNOTATIONS)],
        **annotations(beside),
    }


def _said(schema: Schema) -> list[str]:
    return [key for key in schema if key not in ANNOTATIONS and not key.startswith("x-")]


def type_list(_rules: Rules, schema: Schema, _place: Place) -> Schema:
    """A list of types is null beside a type, or alternatives."""
    types = schema.get("type")
    if isinstance(types, str):
        return {**schema, "nullable": True} if types == "null" else schema
    if not isinstance(types, list):
        return schema
    others = [one for one in types if one != "null"]
    new = {**schema, "nullable": True} if len(others) < len(types) else schema
    if not others:
        return {**new, "type": "null"}
    if len(others) == 1:
        return {**new, "type": others[0]}
    if set(others) >= {*TYPES} or set(others) >= {"string", "number", "boolean", "array", "object"}:
        return without(new, ("type",))
    bare = without(new, (*ANNOTATIONS, "type"))
    choices = [_of_type({**bare, "type": one}) for one in others]
    return {**annotations(new), "anyOf": [one for one in choices if one.get("enum") != []]}


def _of_type(schema: Schema) -> Schema:
    """Return what a schema says of one type: the other values of an enum are not of it."""
    kept = {
        key: value
        for key, value in schema.items()
        if NEIGHBOURS.get(key, schema["type"])
        in (schema["type"], {"integer": "number"}.get(schema["type"]))
    }
    if isinstance(kept.get("enum"), list):
        kept["enum"] = [one for one in kept["enum"] if _json_type(one, schema["type"])]
    return kept


def _json_type(value: Any, name: str) -> bool:
    python = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
    }
    return isinstance(value, python.get(name, object)) and (  # type: ignore[arg-type]
        not isinstance(value, bool) or name == "boolean"
    )


def null(_rules: Rules, schema: Schema, _place: Place) -> Schema:
    """Null among values or alternatives makes a schema nullable."""
    if "const" in schema and schema["const"] is None:
        return {**without(schema, ("const",)), "type": "null", "nullable": True}
    if isinstance(schema.get("enum"), list) and None in schema["enum"]:
        values = [one for one in schema["enum"] if one is not None]
        if not values:
            return {**without(schema, ("enum",)), "type": "null", "nullable": True}
        schema = {**schema, "enum": values, "nullable": True}
    for key in ("oneOf", "anyOf"):
        choices = schema.get(key)
        if isinstance(choices, list) and choices:
            kept = [one for one in choices if not _is_null(one)]
            if len(kept) < len(choices):
                new = without(schema, (key,)) if not kept else {**schema, key: kept}
                schema = {**new, "nullable": True, **({} if kept else {"type": "null"})}
    return schema


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and (
        schema.get("type") in ("null", ["null"])
        or ("const" in schema and schema["const"] is None)
        or schema.get("enum") == [None]
    )


def all_of(rules: Rules, schema: Schema, place: Place) -> Schema:
    """Schemas that apply to one value are merged into one."""
    if not isinstance(schema.get("allOf"), list):
        return schema
    beside = without(schema, ("allOf",))
    parts = [(part, (*place, "allOf", number)) for number, part in enumerate(schema["allOf"])]
    saying = [(part, at) for part, at in parts if part is not True and says_something(part)]
    noted: Schema = {}
    for part, _ in parts:
        noted |= annotations(part) if isinstance(part, dict) and not says_something(part) else {}
    beside = {**noted, **beside}
    if len(saying) == 1 and not _adds(beside):
        [(only, at)] = saying
        node = rules.normal(only, at)
        return {**node, **annotations(beside)} if "$ref" in node else {**node, **beside}
    expanded = [rules.expanded(part, at) for part, at in saying]
    own = without(annotations(beside), ("nullable",))
    rest = without(beside, ANNOTATIONS)
    if says_something(rest):
        expanded.append(rules.normal(rest, place))
    merged: Schema = {}
    for one in expanded:
        merged = _both(merged, one, place)
    all_null = bool(expanded) and all(one.get("nullable") for one in expanded)
    all_null = all_null or any(one.get("type") == "null" for one in expanded)
    kept = without(merged, (*ANNOTATIONS, *NAMING))
    if beside.get("nullable") or all_null:
        kept["nullable"] = True
    described = [one["description"] for one in expanded if one.get("description")]
    if described and "description" not in own and len(saying) == 1:
        own["description"] = described[0]
    if "discriminator" in kept and "oneOf" not in kept:
        del kept["discriminator"]  # that of a parent: its children are told apart there
    return {**kept, **own}


def _adds(schema: Schema) -> bool:
    """Whether what is beside one schema of `allOf` changes it; a repeated type does not."""
    return says_something(without(schema, ("type",)))


def _both(one: Schema, other: Schema, place: Place) -> Schema:
    """Merge two normal schemas, which apply to the same value."""
    for this, that in ((one, other), (other, one)):
        if not says_something(this):
            return {**this, **that}
    for this, that in ((one, other), (other, one)):
        if "oneOf" in this:
            chosen = [
                {"allOf": [choice, that] if this is one else [that, choice], **_named(choice)}
                for choice in this["oneOf"]
            ]
            return {**annotations(that), **this, "oneOf": chosen}
    types = {one.get("type"), other.get("type")} - {None}
    if types == {"integer", "number"}:
        types = {"integer"}
    if "null" in types and len(types) > 1:  # vendors mean: of this type, but always null here
        return {**one, **other, "type": (types - {"null"}).pop(), "nullable": True}
    if len(types) > 1:
        text = " and ".join(sorted(map(str, types)))
        raise Unsupported(place, f"allOf asks for {text} at the same time; correct one of them")
    merged = {**one, **other}
    if types:
        merged["type"] = types.pop()
    if "properties" in one and "properties" in other:
        shared = {
            name: {"allOf": [one["properties"][name], schema]}
            for name, schema in other["properties"].items()
            if name in one["properties"] and one["properties"][name] != schema
        }
        merged["properties"] = {**one["properties"], **other["properties"], **shared}
    if isinstance(one.get("required"), list) and isinstance(other.get("required"), list):
        merged["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    for key, strictest in (
        *(("minimum", max), ("minLength", max), ("minItems", max)),
        *(("maximum", min), ("maxLength", min), ("maxItems", min)),
    ):
        if key in one and key in other:
            merged[key] = strictest(one[key], other[key])
    if isinstance(one.get("enum"), list) and isinstance(other.get("enum"), list):
        common = [value for value in one["enum"] if value in other["enum"]]
        merged["enum"] = common or other["enum"]
    if "items" in one and "items" in other and one["items"] != other["items"]:
        merged["items"] = {"allOf": [one["items"], other["items"]]}
    if one.get("additionalProperties") is False or other.get("additionalProperties") is False:
        # Each half knows its own properties only; taken literally nothing would be valid.
        merged["additionalProperties"] = False
    return merged


def _named(schema: Any) -> Schema:
    """Return a title for an alternative that is merged with something else."""
    if not isinstance(schema, dict):
        return {}
    if "title" in schema:
        return {"title": schema["title"]}
    reference = schema.get("$ref")
    return {"title": reference.rsplit("/", 1)[-1]} if isinstance(reference, str) else {}


def alternatives(rules: Rules, schema: Schema, place: Place) -> Schema:
    """`anyOf` and `oneOf`, with what is beside them, become alternatives that say everything."""
    lists = [
        [(one, (*place, key, number)) for number, one in enumerate(schema[key])]
        for key in ("oneOf", "anyOf")
        if isinstance(schema.get(key), list) and schema[key]
    ]
    if not lists:
        return without(schema, ("oneOf", "anyOf", "discriminator")) if "$ref" in schema else schema
    beside = without(schema, ("oneOf", "anyOf", *ANNOTATIONS, "discriminator"))
    beside = {key: value for key, value in beside.items() if not key.startswith("x-")}
    kept = annotations(schema)
    if "discriminator" in schema:
        kept["discriminator"] = schema["discriminator"]
    if len(lists) > 1 or _adds(beside):
        if len(lists) > 1 and len(lists[0]) * len(lists[1]) > MOST_ALTERNATIVES:
            raise Unsupported(place, f"more than {MOST_ALTERNATIVES} alternatives")
        return _multiplied(rules, lists, beside, kept, place)
    choices: list[Any] = []
    for one, at in lists[0]:
        for choice in _flat(rules, one, at):
            if choice not in choices:
                choices.append(choice)
    if any(isinstance(one, dict) and one.get("nullable") and "$ref" not in one for one in choices):
        kept["nullable"] = True
    if len(choices) == 1:
        only = rules.normal(choices[0], place)
        return {**only, **without(kept, ("discriminator",))}
    return {**kept, "oneOf": choices}


def _flat(rules: Rules, choice: Any, place: Place) -> list[Any]:
    """Return an alternative, or the alternatives that it consists of itself."""
    if not isinstance(choice, dict) or "$ref" in choice:
        return [choice]
    node = rules.normal(choice, place)
    if "oneOf" not in node or "discriminator" in node:
        return [choice]
    return [*node["oneOf"], *([{"type": "null"}] if node.get("nullable") else [])]


def _multiplied(
    rules: Rules,
    lists: Sequence[Sequence[tuple[Any, Place]]],
    beside: Schema,
    kept: Schema,
    place: Place,
) -> Schema:
    """Merge what is beside alternatives into each of them."""
    choices = []
    for several in product(*lists):
        parts = [one for one, _ in several]
        named = next((found for one in parts if (found := _named(one))), {})
        types = {rules.expanded(one, at).get("type") for one, at in several}
        fitting = beside if "type" in beside else _fitting(beside, types)
        around = [fitting] if says_something(fitting) else []
        choices.append({"allOf": [*around, *parts], **named})
    nodes = [rules.expanded(one, place) for one in choices]
    first = nodes[0]
    objects = all(node.get("type") == "object" for node in nodes)
    same = [node.get("properties") == first.get("properties") for node in nodes]
    if objects and all(same):
        # They differ in what is required: only what all of them require is required of arguments.
        required = [
            name
            for name in first.get("required", [])
            if all(name in node.get("required", []) for node in nodes)
        ]
        if any(node.get("required", []) != required for node in nodes):
            rules.drop(place, "which of the fields are required together is left to the server")
        return {**first, "required": required, **without(kept, ("discriminator",))}
    return {**kept, "oneOf": choices}


def _fitting(beside: Schema, types: set[Any]) -> Schema:
    """Return the keywords that limit values of these types: `minLength` says nothing of numbers."""
    kinds = types - {None} | ({"number"} if "integer" in types else set())
    return {k: v for k, v in beside.items() if not kinds or NEIGHBOURS.get(k) in (None, *kinds)}


def typed(rules: Rules, schema: Schema, place: Place) -> Schema:
    """The type is inferred from the keywords where it is missing."""
    if "$ref" in schema or "oneOf" in schema:
        return schema
    for key in ("not", "if", "dependentSchemas", "dependentRequired", "dependencies", "contains"):
        if key in schema:
            rules.drop((*place, key), f"{key} is left to the server: the client does not check it")
    if isinstance(schema.get("type"), str) and schema["type"] in (*TYPES, "null"):
        return schema
    if schema.get("type") == "file":
        return {**schema, "type": "string", "format": "binary"}
    if "const" in schema or isinstance(schema.get("enum"), list):
        return without(schema, ("type",))
    if "type" in schema and schema["type"] != "any":
        problem = f"{str(schema['type'])[:50]!r} is no type of JSON; any value is taken"
        rules.drop((*place, "type"), problem)
    numeric = NUMERIC_FORMATS.get(str(schema.get("format")))
    found = numeric or next((NEIGHBOURS[key] for key in schema if key in NEIGHBOURS), None)
    bare = without(schema, ("type",))
    return {**bare, "type": found} if found else bare


RULES: tuple[Callable[[Rules, Any, Place], Schema], ...] = (
    boolean,
    siblings,
    type_list,
    null,
    all_of,
    alternatives,
    typed,
)
