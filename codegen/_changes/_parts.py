"""A document as a tree of parts, in one spelling for OpenAPI 3.0 and 3.1."""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from attrs import evolve, frozen

from codegen._structure import METHODS

SCHEMAS = "#/components/schemas/"
NULLS = ({"type": "null"}, {"type": ["null"]})
KEYWORDS = (
    *("format", "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"),
    *("pattern", "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"),
    *("multipleOf", "uniqueItems", "default", "deprecated", "readOnly", "writeOnly"),
)


@frozen
class Part:
    """Something in a document that has a name: an operation, a parameter, a field and so on."""

    kind: str
    name: str
    facts: Mapping[str, str]
    """What is said about it, by keyword."""
    parts: tuple["Part", ...] = ()
    words: str = ""
    """Its descriptions and examples."""
    place: str = ""
    """For an operation: its method and path, by which one with another operationId is found."""

    @cached_property
    def digest(self) -> int:
        """What it is, without its name: parts of equal digests may be one that was renamed."""
        if self.place:
            return hash(self.facts["place"])
        return hash((self.kind, frozenset(self.facts.items()), self.inside))

    @property
    def inside(self) -> frozenset[tuple[str, int]]:
        """What its parts are, with their names."""
        return frozenset((part.name, part.digest) for part in self.parts)

    @property
    def label(self) -> str:
        """What it is in a few words, for one that was added or removed."""
        kind = self.facts.get("media types") or self.facts.get("type", "")
        inner = [one.label for one in self.parts if one.kind in ("items", "alternative")]
        if inner and kind in ("array", "one of"):
            kind = f"array of {inner[0]}" if kind == "array" else " | ".join(inner)
        if "format" in self.facts:
            kind += f" ({self.facts['format']})"
        return self.place or ", ".join(filter(None, (kind, self.facts.get("presence"))))


class Document:
    """A document, its parts, and which operations use which component.

    Args:
        content: The patched document.
        other: Another one. What is written the same in both is not among the parts.
        renamed: The names that components have by now.
    """

    def __init__(
        self, content: Mapping[str, Any], other: Mapping[str, Any], renamed: Mapping[str, str] = {}
    ) -> None:
        self._content, self._renamed = content, renamed
        components, others = (_map(one.get("components")) for one in (content, other))
        schemas, others_schemas = (_map(one.pop("schemas", None)) for one in (components, others))
        self._schemas = {self._name(name): schema for name, schema in schemas.items()}
        self._same = {name for name in schemas if schemas[name] == others_schemas.get(name)}
        self._schemes = _map(components.get("securitySchemes"))
        self._others_paths = _map(other.get("paths")) if components == others else {}
        self._made: dict[str, Part] = {}

    @cached_property
    def whole(self) -> Part:
        """The document without its components and operations."""
        info = _map(self._content.get("info"))
        facts = {
            "OpenAPI": _text(self._content.get("openapi")),
            "version": _text(info.get("version")),
            **_servers_and_security({"security": [{}], **self._content}),
        }
        schemes = (
            Part("security scheme", str(name), {"type": _scheme(self._resolved(one))})
            for name, one in self._schemes.items()
        )
        return Part("document", "", facts, tuple(schemes), _words(info))

    @cached_property
    def components(self) -> dict[str, Part]:
        """The schemas of components by name."""
        names = [name for name in self._schemas if name not in self._same]
        return {name: self.component(name) for name in names}

    def component(self, name: str) -> Part:
        """Return one schema of the components; an empty part if there is none of that name."""
        if name not in self._made:
            self._made[name] = self._schema("component", name, self._schemas.get(name))
        return self._made[name]

    @cached_property
    def operations(self) -> dict[str, Part]:
        """The operations by operationId; by method and path, if that is missing or not unique."""
        return {
            name: self._operation(name, place, content, listed)
            for name, (place, content, listed, same) in self._found.items()
            if not same
        }

    def ways(self, component: str) -> frozenset[str]:
        """Return whether a component is sent or received."""
        mask, sent = self._masks.get(component, 0), int("01" * len(self._found) or "0", 2)
        return frozenset({"sent"} if mask & sent else ()) | (
            {"received"} if mask & sent << 1 else set()
        )

    def users(self, component: str) -> tuple[str, ...]:
        """Return the operations that send or receive a component."""
        digits = f"{self._masks.get(component, 0):b}"[::-1]
        pairs = (digits[at : at + 2] for at in range(0, len(digits), 2))
        return tuple(name for name, pair in zip(self._found, pairs, strict=False) if "1" in pair)

    @cached_property
    def _masks(self) -> dict[str, int]:
        """Two bits per operation for each component: whether it is sent, and whether received."""
        masks: dict[str, int] = {}
        for number, (_, content, parameters, _) in enumerate(self._found.values()):
            answers = map(self._resolved, _map(content.get("responses")).values())
            sent = [*parameters, self._resolved(content.get("requestBody"))]
            for bit, part in ((1, sent), (2, [*answers])):
                for name in self._references(part):
                    masks[name] = masks.get(name, 0) | bit << 2 * number
        within = {name: self._references(schema) for name, schema in self._schemas.items()}
        waiting = list(masks)
        while waiting:
            name = waiting.pop()
            for inner in within.get(name, ()):
                if masks.get(inner, 0) | masks[name] != masks.get(inner):
                    masks[inner] = masks.get(inner, 0) | masks[name]
                    waiting.append(inner)
        return masks

    @cached_property
    def _found(self) -> dict[str, tuple[str, Mapping[str, Any], list[Mapping[str, Any]], bool]]:
        """Place, content and parameters of operations, and whether they are in both documents."""
        found: dict[str, tuple[str, Mapping[str, Any], list[Mapping[str, Any]], bool]] = {}
        for path, written in _map(self._content.get("paths")).items():
            item = self._resolved(written)
            same = item is written and written == self._others_paths.get(path)
            for method in METHODS:
                if method in item:
                    content = {"servers": item.get("servers"), **_map(item[method])}
                    listed = [*_list(item.get("parameters")), *_list(content.get("parameters"))]
                    place = f"{method.upper()} {path}"
                    name = str(content.get("operationId") or place)
                    name = place if name in found else name
                    found[name] = place, content, [self._resolved(one) for one in listed], same
        return found

    def _operation(
        self, name: str, place: str, content: Mapping[str, Any], listed: list[Mapping[str, Any]]
    ) -> Part:
        facts = {"place": re.sub(r"\{.*?\}", "{}", place), **_servers_and_security(content)}
        facts |= {"deprecated": "yes"} if content.get("deprecated") else {}
        parameters = {(_text(one.get("name")), _text(one.get("in"))): one for one in listed}
        names = [name for name, _ in parameters]
        parts = [
            self._parameter(key if names.count(key) == 1 else f"{key} ({where})", where, one)
            for (key, where), one in parameters.items()
        ]
        if body := self._resolved(content.get("requestBody")):
            parts.append(self._body("request body", "", body, {"presence": _presence(body)}))
        for status, written in _map(content.get("responses")).items():
            parts.append(self._body("status", str(status), self._resolved(written), {}))
        return Part("operation", name, facts, tuple(parts), _words(content), place)

    def _parameter(self, name: str, where: str, written: Mapping[str, Any]) -> Part:
        content = _map(written.get("content"))
        media = _map(next(iter(content.values()), written))
        schema = written.get("schema", media.get("schema"))
        form = written.get("style", "form" if where in ("query", "cookie") else "simple")
        explode = _text(written.get("explode", form == "form"))
        facts = {
            "location": where,
            "presence": _presence(written),
            "style": ", ".join(content) or f"{form}, explode: {explode}",
        }
        facts |= {"deprecated": "yes"} if written.get("deprecated") else {}
        return self._schema("parameter", name, schema, facts, (), _words(written))

    def _body(
        self, kind: str, name: str, written: Mapping[str, Any], facts: Mapping[str, str]
    ) -> Part:
        """Return a body or an answer. Its parts are those of its first schema."""
        content = {str(key): _map(one) for key, one in _map(written.get("content")).items()}
        facts = {**facts, **({"media types": ", ".join(content)} if content else {})}
        schemas = [(key, one["schema"]) for key, one in content.items() if "schema" in one]
        more = [self._schema("content", k, one) for k, one in schemas if one != schemas[0][1]]
        for key, header in _map(written.get("headers")).items():
            more.append(self._schema("header", key, self._resolved(header).get("schema")))
        schema = schemas[0][1] if schemas else None
        return self._schema(kind, name, schema, facts, more, _words(written))

    def _schema(
        self,
        kind: str,
        name: str,
        schema: Any,
        facts: Mapping[str, str] = {},
        more: Iterable[Part] = (),
        words: str = "",
    ) -> Part:
        if schema is None:
            return Part(kind, name, facts, tuple(more), words)
        own = self._merged(schema)
        required = own["required"]
        parts = [
            self._schema(
                "field", str(key), one, {"presence": _presence({"required": key in required})}
            )
            for key, one in own["properties"].items()
        ]
        for key, inner, step in (
            ("items", "items", "[]"),
            ("additionalProperties", "values", "{}"),
        ):
            if isinstance(own.get(key), Mapping):
                parts.append(self._schema(inner, step, own[key]))
        options = [self._schema("alternative", "", one) for one in own["options"]]
        parts += [evolve(one, name=one.label) for one in options]
        parts += [Part("enum value", _text(one), {}) for one in own["enum"] if one is not None]
        types = " & ".join(own["refs"]) or " | ".join(own["types"])
        implied = "one of" if options else "object" if own["properties"] else "any"
        null = "may be null" if own["nullable"] else "never null"
        facts = {**facts, "null": null, "type": types or implied}
        facts |= {"values": "listed"} if own["enum"] else {}
        facts |= {key: _text(own[key]) for key in KEYWORDS if own.get(key) not in (None, False)}
        return Part(kind, name, facts, (*more, *parts), words + _words(own))

    def _merged(self, schema: Any) -> dict[str, Any]:
        """Return a schema in one spelling, with what `allOf` adds to it."""
        own = _map(schema)
        types = [own["type"]] if isinstance(own.get("type"), str) else _list(own.get("type"))
        options = _list(own.get("oneOf")) or _list(own.get("anyOf"))
        own["enum"] = _list(own.get("enum")) or ([own["const"]] if "const" in own else [])
        own["nullable"] = own.get("nullable") is True or "null" in types or None in own["enum"]
        own["nullable"] |= any(one in NULLS for one in options)
        own["types"] = sorted(str(one) for one in types if one != "null")
        own["refs"] = [self._name(str(own["$ref"]).removeprefix(SCHEMAS))] if "$ref" in own else []
        own["options"] = [one for one in options if one not in NULLS]
        own["properties"] = _map(own.get("properties"))
        own["required"] = _list(own.get("required"))
        for bound, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if own.get(strict) is True:
                own[strict] = own.pop(bound, None)
        if "contentMediaType" in own or "contentEncoding" in own:
            own.setdefault("format", "byte" if "contentEncoding" in own else "binary")
        inner = _list(own.get("allOf"))
        if len(own["options"]) == 1:  # a way to write "or null"
            inner, own["options"] = [*inner, *own["options"]], []
        for one in map(self._merged, inner):
            both: dict[str, Any] = {}
            both |= {key: [*own[key], *one[key]] for key in ("refs", "options", "required")}
            both |= {key: own[key] or one[key] for key in ("types", "enum")}
            both["properties"] = {**one["properties"], **own["properties"]}
            both["nullable"] = own["nullable"] or (one["nullable"] and len(inner) == 1)
            own = {**one, **own, **both}
        return own

    def _resolved(self, part: Any) -> Mapping[str, Any]:
        """Follow the references of a part."""
        for _ in range(20):
            if not (isinstance(part, Mapping) and "$ref" in part):
                break
            keys, part = str(part["$ref"]).removeprefix("#/").split("/"), self._content
            for key in keys:
                name = key.replace("~1", "/").replace("~0", "~")
                part = part.get(name) if isinstance(part, Mapping) else None
        return part if isinstance(part, Mapping) else {}

    def _references(self, part: Any) -> set[str]:
        """Return the names of the components that a part refers to, not through others."""
        found: set[str] = set()
        waiting = [part]
        while waiting:
            one = waiting.pop()
            if isinstance(one, Mapping):
                waiting += one.values()
                found.add(str(one.get("$ref", "")))
            elif isinstance(one, list):
                waiting += one
        return {self._name(one.removeprefix(SCHEMAS)) for one in found if one.startswith(SCHEMAS)}

    def _name(self, name: Any) -> str:
        return self._renamed.get(str(name), str(name))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _map(value: Any) -> dict[Any, Any]:
    """Return a copy of a mapping. Where a document has anything else, nothing is compared."""
    return dict(value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _presence(part: Mapping[str, Any]) -> str:
    return "required" if part.get("required") is True else "optional"


def _words(part: Mapping[str, Any]) -> str:
    examples = part.get("examples") or ([part["example"]] if "example" in part else "")
    return str([*map(part.get, ("title", "summary", "description")), examples])


def _servers_and_security(part: Mapping[str, Any]) -> dict[str, str]:
    facts = {}
    if part.get("servers") is not None:
        facts["servers"] = ", ".join(_text(_map(one).get("url")) for one in _list(part["servers"]))
    if part.get("security") is not None:
        options = [" + ".join(sorted(map(str, _map(one)))) for one in _list(part["security"])]
        facts["security"] = " or ".join(sorted(one or "none" for one in options or [""]))
    return facts


def _scheme(scheme: Mapping[str, Any]) -> str:
    return " ".join(_text(scheme[key]) for key in ("type", "scheme", "in", "name") if key in scheme)
