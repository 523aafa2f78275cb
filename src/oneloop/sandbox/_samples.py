"""Sample values for the schemas of an OpenAPI document."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote

from attrs import frozen

from oneloop.sandbox._patterns import matching

Schema = Mapping[str, Any]

_ANY: Schema = {"type": "object"}
"""What a schema that allows everything is taken for."""

_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00.000Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uri-reference": "/example",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
"""Strings of the formats of JSON Schema. The document has those of its own, in `x-samples`."""

_KEYWORDS = {
    "properties": "object",
    "additionalProperties": "object",
    "required": "object",
    "items": "array",
    "pattern": "string",
    "format": "string",
    "minLength": "string",
    "maxLength": "string",
    "minimum": "number",
    "maximum": "number",
}
"""The type that a schema without `type` has, by the keywords that it has instead."""

_EXAMPLES = ("example", "examples")


class EndlessSchemaError(ValueError):
    """A schema requires itself, so that no finite value satisfies it."""


@frozen
class Samples:
    """Makes sample values for the schemas of one document.

    A value is the example that the document gives, if it gives one. Otherwise it satisfies the
    schema: its type, enum, format, bounds, lengths, required fields, and its pattern unless that is
    an unusual one. ``uniqueItems``, ``not`` and conditional schemas are not looked at.
    """

    _document: Mapping[str, Any]

    def resolved(self, part: Schema) -> Schema:
        """Follow the ``$ref`` of a part of the document, if it has one."""
        while "$ref" in part:
            part = self._target(part["$ref"])
        return part

    def of_content(self, content: Mapping[str, Any]) -> Any:
        """Return an example of a media type, a parameter or a header, else a sample."""
        if "example" in content:
            return content["example"]
        for example in content.get("examples", {}).values():
            given = self.resolved(example)
            if "value" in given:
                return given["value"]
        return self.of(content.get("schema", _ANY))

    def of(self, schema: Schema, within: frozenset[str] = frozenset()) -> Any:
        """Return a sample for a schema.

        Args:
            schema: a schema of the document.
            within: the references that led to it. Where one of them comes back, the field is left
                out, the array is empty, or the value is null, whichever the schema allows.

        Raises:
            EndlessSchemaError: the schema allows none of these.
        """
        try:
            flat, within = self._flat(schema, within)
            return self._value(flat, within)
        except EndlessSchemaError:
            if _nullable(self.resolved(schema)):
                return None
            raise

    def _target(self, reference: str) -> Any:
        part: Any = self._document
        for key in unquote(reference).removeprefix("#/").split("/"):
            name = key.replace("~1", "/").replace("~0", "~")
            part = part[int(name) if isinstance(part, list) else name]
        return part

    def _flat(self, schema: Schema | bool, within: frozenset[str]) -> tuple[Schema, frozenset[str]]:
        """Return the schema with its ``$ref`` and ``allOf`` merged into it."""
        if isinstance(schema, bool):  # `true`, in OpenAPI 3.1
            return _ANY, within
        flat: Schema = {}
        reference = schema.get("$ref")
        if reference is not None:
            if reference in within:
                raise EndlessSchemaError(f"{reference} requires itself")
            flat, within = self._flat(self._target(reference), within | {reference})
        for part in schema.get("allOf", ()):
            other, within = self._flat(part, within)
            # An example of a part is no example of the whole.
            flat = _merged(flat, {key: other[key] for key in other if key not in _EXAMPLES})
        own = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        return _merged(flat, own), within

    def _value(self, schema: Schema, within: frozenset[str]) -> Any:
        for given in _given(schema):
            return given
        for key in ("oneOf", "anyOf"):
            if key in schema:
                rest = {name: schema[name] for name in schema if name != key}
                return self._choice(schema[key], rest, within)
        match _type(schema):
            case "object":
                return self._object(schema, within)
            case "array":
                return self._array(schema, within)
            case "string":
                own_format = self._document.get("x-samples", {}).get(schema.get("format"))
                return _string(schema, own_format)
            case "integer":
                return _number(schema, 1)
            case "number":
                return _number(schema, None)
            case "boolean":
                return True
            case _:
                return None

    def _choice(self, choices: list[Schema], rest: Schema, within: frozenset[str]) -> Any:
        """Return a sample for the first alternative that has one; null comes last."""
        endless = EndlessSchemaError("each alternative requires itself")
        for choice in sorted(choices, key=lambda one: _type(one) == "null"):
            try:
                return self.of({**rest, "allOf": [choice]}, within)
            except EndlessSchemaError as error:
                endless = error
        raise endless

    def _object(self, schema: Schema, within: frozenset[str]) -> dict[str, Any]:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        required = schema.get("required", ())
        others: Schema | bool = schema.get("additionalProperties", False)
        other = _ANY if isinstance(others, bool) else others
        wanted = {name: one for name, one in properties.items() if not one.get("writeOnly")}
        wanted |= {name: other for name in required if name not in properties}
        least = schema.get("minProperties", 0)
        # A map has one entry, to show what its entries are like.
        number = max(least, bool(others) and not wanted)
        wanted |= {f"example{count}": other for count in range(number - len(wanted))}
        sample: dict[str, Any] = {}
        for name, one in wanted.items():
            try:
                sample[name] = self.of(one, within)
            except EndlessSchemaError:
                if name in required or least:
                    raise
        return sample

    def _array(self, schema: Schema, within: frozenset[str]) -> list[Any]:
        least = schema.get("minItems", 0)
        number = min(max(least, 1), schema.get("maxItems", math.inf))
        try:
            return [self.of(schema.get("items", _ANY), within)] * number
        except EndlessSchemaError:
            if least:
                raise
            return []


def _merged(one: Schema, other: Schema) -> Schema:
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        merged["required"] = [*one["required"], *other["required"]]
    return merged


def _nullable(schema: Schema) -> bool:
    return bool(schema.get("nullable")) or "null" in schema.get("type", ())


def _given(schema: Schema) -> Iterator[Any]:
    """Yield the values that a schema names, the best one first."""
    if "example" in schema:
        yield schema["example"]
    yield from schema.get("examples", ())
    if "const" in schema:
        yield schema["const"]
    yield from sorted(schema.get("enum", ()), key=lambda value: value is None)


def _type(schema: Schema) -> str:
    named = schema.get("type")
    if isinstance(named, str):
        return named
    if named is not None:
        return next((one for one in cast(list[str], named) if one != "null"), "null")
    return next((kind for key, kind in _KEYWORDS.items() if key in schema), "object")


def _string(schema: Schema, own_format: str | None) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    pattern = schema.get("pattern", "")
    plain = "example".ljust(least, "x")
    plain = plain[: min(len(plain), most)]
    candidates = [
        own_format or _FORMATS.get(schema.get("format", ""), plain),
        *(matching(pattern, repeats) for repeats in (1, 0, least)),
    ]
    for candidate in candidates:
        if least <= len(candidate) <= most and re.search(pattern, candidate):
            return candidate
    return plain


def _number(schema: Schema, step: float | None) -> float:
    """Return a number within the bounds; 1 if that is one. `step` is 1 for integers."""
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above = _exclusive(schema.get("exclusiveMinimum", False), low, -math.inf)
    below = _exclusive(schema.get("exclusiveMaximum", False), high, math.inf)
    step = schema.get("multipleOf", step)
    low, high = max(low, above), min(high, below)
    candidates: list[float] = [1, 0]
    for bound, towards in ((low, 1), (high, -1)):
        if math.isfinite(bound):
            nearest = bound if step is None else step * round(bound / step)
            candidates += [nearest, nearest + towards * (step or 1)]
    if math.isfinite(low) and math.isfinite(high):
        candidates.append((low + high) / 2)
    for candidate in candidates:
        fits = low <= candidate <= high and above < candidate < below
        if fits and (step is None or candidate % step == 0):
            return candidate
    return step or 1


def _exclusive(given: float | bool, bound: float, unbounded: float) -> float:
    """Return an exclusive bound: in OpenAPI 3.0 a flag of another bound, in 3.1 a number."""
    if isinstance(given, bool):
        return bound if given else unbounded
    return given
