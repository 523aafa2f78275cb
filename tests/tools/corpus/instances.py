"""Makes JSON values that fit a schema."""

import random
import re
from typing import Any, Literal

import jsonschema_rs

from .documents import Document, Way

Mode = Literal["required", "all", "odd"]
DEEPEST = 12
ODD = "ä日😀 &=?/#%+;,:'\"\\|~"
TEXTS = {
    "date": ["2024-02-29", "1999-12-31"],
    "date-time": ["2024-02-29T23:59:59Z", "2001-01-01T00:00:00.123Z"],
    "uuid": ["7d444840-9dc0-11d1-b245-5ffdce74fad2"],
    "email": ["a@x.test"],
    "uri": ["https://x.test/a?b=c"],
    "url": ["https://x.test/a"],
    "ipv4": ["127.0.0.1"],
    "ipv6": ["::1"],
    "hostname": ["x.test"],
    "time": ["23:59:59Z"],
    "duration": ["P1D"],
    "byte": ["YWI="],
    "digits": ["1000"],
    "decimal": ["1.10"],
    "binary": ["bytes"],
}
CANDIDATES = [
    *(
        "a",
        "A",
        "abc",
        "ABC",
        "1",
        "12",
        "123456",
        "a1",
        "A1",
        "a-b",
        "a_b",
        "a.b",
        "a/b",
        "Aa1!aaaa",
    ),
    *(
        "1.5",
        "+1",
        "$",
        "2024-02-29",
        "7d444840-9dc0-11d1-b245-5ffdce74fad2",
        "a@x.test",
        "#ffffff",
    ),
    *(
        "https://x.test/a",
        "/a",
        "en",
        "en-US",
        "USD",
        "12:30",
        "1h",
        "PT1H",
        "0x0a",
        "sk_a",
        "1.2.3",
        "/a/b",
    ),
    *(
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "00000000-0000-4000-8000-000000000000",
        "x.test",
        "+4912345678",
        "ab12",
    ),
]


class NoInstanceError(Exception):
    """No value was found that fits a schema."""


class Maker:
    """Makes values for one direction and one mode, always the same ones for a seed."""

    def __init__(self, document: Document, way: Way, seed: str) -> None:
        self._document, self._way = document, way
        self._random = random.Random(seed)  # noqa: S311 - nothing secret
        self.validators: dict[int, jsonschema_rs.Draft202012Validator] = {}

    def make(self, schema: Any, mode: Mode) -> Any:
        """Return a value that a validator accepts, or raise `NoInstanceError`."""
        for _ in range(6):
            try:
                value = self._value(schema, mode, 0)
            except (NoInstanceError, RecursionError):
                continue
            if self.fits(schema, value):
                return value
        resolved = self._document.resolved(schema, self._way)
        for key in ("example", "default"):
            if isinstance(resolved, dict) and key in resolved and self.fits(schema, resolved[key]):
                return resolved[key]
        raise NoInstanceError

    def fits(self, schema: Any, value: Any) -> bool:
        """Whether a value is valid."""
        if id(schema) not in self.validators:
            root = self._document.schemas[self._way]
            whole = {**root, "allOf": [schema]}
            whole.pop("$schema", None)
            try:
                self.validators[id(schema)] = jsonschema_rs.Draft202012Validator(
                    whole, validate_formats=False
                )
            except (ValueError, jsonschema_rs.ValidationError) as error:
                raise NoInstanceError(str(error)) from None
        try:
            return self.validators[id(schema)].is_valid(value)
        except ValueError as error:  # a pattern that takes too long, for example
            raise NoInstanceError(str(error)) from None

    def merged(self, schema: Any, depth: int = 0) -> Any:
        """Return a schema with its references and `allOf` in one."""
        schema = self._document.resolved(schema, self._way)
        if not isinstance(schema, dict) or depth > DEEPEST:
            return schema
        whole: dict[str, Any] = {}
        parts = [self.merged(one, depth + 1) for one in schema.get("allOf", ())]
        for part in [*parts, {key: value for key, value in schema.items() if key != "allOf"}]:
            if not isinstance(part, dict):
                continue
            for key, value in part.items():
                if key == "properties":
                    old = whole.get(key, {})
                    both = {
                        k: {"allOf": [old[k], value[k]]}
                        for k in value
                        if k in old and old[k] != value[k]
                    }
                    whole[key] = {**old, **value, **both}
                elif key == "required":
                    whole[key] = [*whole.get(key, ()), *value]
                elif key in ("oneOf", "anyOf") and key in whole:
                    whole.setdefault("x-more", []).append({key: value})
                else:
                    whole[key] = value
        return whole

    def _value(self, schema: Any, mode: Mode, depth: int) -> Any:
        if depth > DEEPEST:
            raise NoInstanceError
        whole = self.merged(schema)
        if whole is None or whole is False:
            raise NoInstanceError
        if whole is True:
            return "any"
        if "const" in whole:
            return whole["const"]
        if "enum" in whole:
            return self._random.choice(whole["enum"])
        for key in ("oneOf", "anyOf"):
            if whole.get(key):
                return self._member(whole, key, mode, depth)
        return self._plain(whole, mode, depth)

    def _member(self, whole: dict[str, Any], key: str, mode: Mode, depth: int) -> Any:
        members = whole[key]
        some = [one for one in members if not (isinstance(one, dict) and one.get("type") == "null")]
        member = self._random.choice(some if some and mode != "odd" else members)
        base = {name: value for name, value in whole.items() if name not in (key, "discriminator")}
        base.pop("x-nullable", None)
        value = self._value({"allOf": [base, member]} if base else member, mode, depth + 1)
        if isinstance(value, dict) and isinstance(whole.get("discriminator"), dict):
            value |= discriminated(whole["discriminator"], member)
        return value

    def _plain(self, whole: dict[str, Any], mode: Mode, depth: int) -> Any:
        kinds = whole.get("type")
        if kinds is None:
            kinds = next(
                (
                    kind
                    for kind, keys in {
                        "object": ("properties", "additionalProperties", "required"),
                        "array": ("items", "prefixItems"),
                        "string": ("pattern", "minLength", "maxLength"),
                        "number": ("minimum", "maximum", "multipleOf"),
                    }.items()
                    if any(key in whole for key in keys)
                ),
                "any",
            )
        if isinstance(kinds, list):
            some = [one for one in kinds if one != "null"]
            kinds = self._random.choice(some if some and mode != "odd" else kinds)
        if kinds == "any":
            return self._random.choice(
                ["any", 5, {"any": [None, True]}] if mode == "odd" else ["any"]
            )
        if kinds == "object":
            return self._object(whole, mode, depth)
        if kinds == "array":
            return self._array(whole, mode, depth)
        if kinds == "string":
            return self._string(whole, mode)
        if kinds == "boolean":
            return self._random.choice([True, False])
        return None if kinds == "null" else self._number(whole, kinds, mode)

    def _object(self, whole: dict[str, Any], mode: Mode, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        properties = whole.get("properties", {})
        required = set(whole.get("required", ()))
        for name in [*properties, *sorted(required - set(properties))]:
            wanted = mode == "all" or (mode == "odd" and self._random.random() < 0.6)
            if name not in required and not (wanted and depth < DEEPEST / 3):
                continue
            try:
                made[name] = self._value(properties.get(name, True), mode, depth + 1)
            except NoInstanceError:
                if name in required:
                    raise
        more = whole.get("additionalProperties")
        if isinstance(more, dict) and more and (mode != "required" or whole.get("minProperties")):
            try:
                made["extra_1"] = self._value(more, mode, depth + 1)
            except NoInstanceError:
                if whole.get("minProperties"):
                    raise
        return made

    def _array(self, whole: dict[str, Any], mode: Mode, depth: int) -> list[Any]:
        least, most = whole.get("minItems", 0), whole.get("maxItems", 10**6)
        count = {
            "required": least,
            "all": max(least, 2),
            "odd": self._random.choice([least, 1, 3]),
        }[mode]
        items = whole.get("items", True)
        first = whole.get("prefixItems", [])
        made: list[Any] = []
        for number in range(min(max(count, least), most)):
            one = first[number] if number < len(first) else items
            try:
                value = self._value(one, mode, depth + 1)
            except NoInstanceError:
                if number < least:
                    raise
                break
            for _ in range(20):
                if not (whole.get("uniqueItems") and value in made):
                    made.append(value)
                    break
                value = self._value(one, mode, depth + 1)
        return made

    def _string(self, whole: dict[str, Any], mode: Mode) -> str:
        least, most = whole.get("minLength", 0), whole.get("maxLength", 10**6)
        form = whole.get("format")
        if form in TEXTS:
            texts = list(TEXTS[form])
        elif "pattern" in whole:
            texts = [*CANDIDATES, *("0" * n for n in (least, min(most, 64), 6, 10, 16, 24, 32, 40))]
            texts += [
                prefix + letter * n for prefix, n in _lengths(whole["pattern"]) for letter in "0a"
            ]
            texts += ["a" * n for n in (least, min(most, 64), 6, 10, 16, 24, 32)]
            texts += [
                whole[key] for key in ("example", "default") if isinstance(whole.get(key), str)
            ]
            texts += [one for one in whole.get("examples", []) if isinstance(one, str)]
        elif mode == "odd":
            texts = [ODD, "x y", "0", "null", ODD[::-1]]
        else:
            texts = ["text", "another"]
        fitting = [
            (text + "x" * (least - len(text)) if "pattern" not in whole else text)[:most]
            for text in texts
        ]
        rule = {"minLength": least, "maxLength": most}
        if "pattern" in whole and form not in TEXTS:
            rule["pattern"] = whole["pattern"]
        try:
            fitting = [text for text in fitting if jsonschema_rs.is_valid(rule, text)]
        except (ValueError, jsonschema_rs.ValidationError):
            raise NoInstanceError from None
        if not fitting:
            raise NoInstanceError
        return self._random.choice(fitting)

    def _number(self, whole: dict[str, Any], kind: str, mode: Mode) -> float:
        step = whole.get("multipleOf", 1)
        low = whole.get("minimum", whole.get("exclusiveMinimum"))
        high = whole.get("maximum", whole.get("exclusiveMaximum"))
        values: list[float] = [1, 5, 10, 0, 100, 1000]
        if kind == "number":
            values += [0.5, 1.5]
        if low is not None:
            values += [low, low + step]
        if high is not None:
            values += [high, high - step]
        if mode == "odd" and low is None and high is None:
            values += [-1, 2**31, 2**53 - 1 if kind == "integer" else -1e-7]
        if step != 1:
            values = [round(value / step) * step for value in values]
        if kind == "integer":
            values = [int(value) for value in values]
        rule = {key: whole[key] for key in whole if key.endswith("imum") or key == "multipleOf"}
        fitting = [value for value in values if jsonschema_rs.is_valid(rule, value)]
        if whole.get("format") == "int32":
            fitting = [value for value in fitting if abs(value) < 2**31]
        if not fitting:
            raise NoInstanceError
        edges = [value for value in fitting if value in (low, high, -1, 2**53 - 1)]
        return self._random.choice(edges if edges and mode == "odd" else fitting)


def _lengths(pattern: str) -> list[tuple[str, int]]:
    """Return the letters that a pattern begins with, and each number of characters in it."""
    start = re.match(r"\^?\(?([A-Za-z0-9_-]*)(?![*?+{])", pattern)
    prefix = start[1] if start else ""
    return [(prefix, int(number)) for number in re.findall(r"\{(\d{1,3})[,}]", pattern)]


def component(schema: Any) -> str | None:
    """Return the name of the component that a schema refers to."""
    reference = schema.get("$ref") if isinstance(schema, dict) else None
    return reference.rsplit("/", 1)[-1] if isinstance(reference, str) else None


def discriminated(discriminator: dict[str, Any], member: Any) -> dict[str, Any]:
    """Return the property by which a member of a union is recognized."""
    name = component(member)
    if name is None or "propertyName" not in discriminator:
        return {}
    mapping = discriminator.get("mapping") or {}
    value = next(
        (key for key, target in mapping.items() if target.rsplit("/", 1)[-1] == name), name
    )
    return {discriminator["propertyName"]: value}
