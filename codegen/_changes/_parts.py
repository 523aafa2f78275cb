"""A document as a tree of parts, in one spelling for OpenAPI 3.0 and 3.1."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from attrs import frozen

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
SCHEMAS = "#/components/schemas/"
NULLS = ({"type": "null"}, {"type": ["null"]})
KEYWORDS = (
    *("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"),
    *("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"),
    *("pattern", "multipleOf", "uniqueItems", "default", "deprecated", "readOnly", "writeOnly"),
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
        inside = frozenset((part.name, part.digest) for part in self.parts)
        return hash((self.kind, frozenset(self.facts.items()), inside))

    @property
    def label(self) -> str:
        """What it is in a few words, for one that was added or removed."""
        if self.place or self.kind in ("status", "request body"):
            return self.place or self.facts.get("media types", "")
        kind = self.facts.get("type", "")
        items = [part.label for part in self.parts if part.kind == "items"]
        kind = f"{kind} of {items[0]}" if items else kind
        form = f"{kind} ({self.facts['format']})" if "format" in self.facts else kind
        return ", ".join(filter(None, (form, self.facts.get("presence", ""))))


class Document:
    """A document, its parts, and which operations use which component.

    Args:
        content: The patched document.
        renamed: Names that components have by now.
    """

    def __init__(self, content: Mapping[str, Any], renamed: Mapping[str, str]) -> None:
        self._content, self._renamed = content, renamed
        components = content.get("components") or {}
        self._schemas = components.get("schemas") or {}
        self._schemes = components.get("securitySchemes") or {}

    @cached_property
    def components(self) -> dict[str, Part]:
        """The schemas of components by name."""
        return {
            self._name(name): self._schema("component", self._name(name), schema)
            for name, schema in self._schemas.items()
        }

    @cached_property
    def whole(self) -> Part:
        """The document without its components and operations."""
        content, info = self._content, self._content.get("info") or {}
        facts = {
            "OpenAPI": _text(content.get("openapi")),
            "version": _text(info.get("version")),
            "servers": _urls(content.get("servers")),
            "security": _alternatives(content.get("security")),
        }
        schemes = (
            Part("security scheme", str(name), {"type": _scheme(self._resolved(one))})
            for name, one in self._schemes.items()
        )
        return Part("document", "", facts, tuple(schemes), _words(info))

    @cached_property
    def operations(self) -> dict[str, Part]:
        """The operations by operationId; by method and path, if that is missing or not unique."""
        return {name: self._operation(name, *one) for name, one in self._found.items()}

    @cached_property
    def uses(self) -> dict[str, tuple[frozenset[str], tuple[str, ...]]]:
        """By component: whether it is sent and received, and the operations that do so."""
        masks: dict[str, int] = defaultdict(int)  # two bits per operation: sent, received
        for number, (_, _, content, shared) in enumerate(self._found.values()):
            answers = [*map(self._resolved, (content.get("responses") or {}).values())]
            sent = [*shared, self._resolved(content.get("requestBody"))]
            for bit, part in ((1, sent), (2, answers)):
                for name in self._references(part):
                    masks[name] |= bit << 2 * number
        within = {self._name(key): self._references(part) for key, part in self._schemas.items()}
        waiting = list(masks)
        while waiting:
            name = waiting.pop()
            for inner in within.get(name, ()):
                if masks[inner] | masks[name] != masks[inner]:
                    masks[inner] |= masks[name]
                    waiting.append(inner)
        found, names = {}, list(self._found)
        for name, mask in masks.items():
            digits = f"{mask:x}"[::-1]
            pairs = [int(digit, 16) >> shift & 3 for digit in digits for shift in (0, 2)]
            ways = {way for bit, way in ((1, "sent"), (2, "received")) if any(p & bit for p in pairs)}
            users = tuple(one for one, pair in zip(names, pairs, strict=False) if pair)
            found[name] = frozenset(ways), users
        return found

    @cached_property
    def _found(self) -> dict[str, tuple[str, str, Mapping[str, Any], list[Any]]]:
        found: dict[str, tuple[str, str, Mapping[str, Any], list[Any]]] = {}
        for path, written in (self._content.get("paths") or {}).items():
            item = self._resolved(written)
            for method in METHODS:
                if isinstance(content := item.get(method), Mapping):
                    place = f"{method.upper()} {path}"
                    name = str(content.get("operationId") or place)
                    listed = [*(item.get("parameters") or ()), *(content.get("parameters") or ())]
                    parameters = [self._resolved(one) for one in listed]
                    more = {key: item[key] for key in ("servers",) if key in item}
                    found[place if name in found else name] = method, path, more | dict(content), parameters
        return found

    def _operation(
        self, name: str, method: str, path: str, content: Mapping[str, Any], parameters: list[Any]
    ) -> Part:
        place = re.sub(r"\{.*?\}", "{}", f"{method.upper()} {path}")
        facts = {"place": place}
        if content.get("deprecated"):
            facts["deprecated"] = "yes"
        if "servers" in content:
            facts["servers"] = _urls(content["servers"])
        if "security" in content:
            facts["security"] = _alternatives(content["security"])
        keyed = {(_text(one.get("name")), _text(one.get("in"))): one for one in parameters}
        names = [key[0] for key in keyed]
        parts = [
            self._parameter(key[0] if names.count(key[0]) == 1 else f"{key[0]} ({key[1]})", one)
            for key, one in keyed.items()
        ]
        if body := self._resolved(content.get("requestBody")):
            presence = "required" if body.get("required") is True else "optional"
            parts.append(self._content_of("request body", "", body, {"presence": presence}))
        for status, written in (content.get("responses") or {}).items():
            answer = self._resolved(written)
            headers = {key: self._resolved(one) for key, one in (answer.get("headers") or {}).items()}
            more = [self._schema("header", key, one.get("schema")) for key, one in headers.items()]
            parts.append(self._content_of("status", str(status), answer, {}, more))
        return Part("operation", name, facts, tuple(parts), _words(content), f"{method.upper()} {path}")

    def _parameter(self, name: str, written: Mapping[str, Any]) -> Part:
        content = written.get("content") or {}
        schema = written.get("schema") or next(iter(content.values()), {}).get("schema")
        where = _text(written.get("in"))
        form = "form" if where in ("query", "cookie") else "simple"
        form = ", ".join(content) or _text(written.get("style", form))
        explode = written.get("explode", form == "form")
        facts = {
            "location": where,
            "presence": "required" if written.get("required") is True else "optional",
            "style": f"{form}, explode: {_text(explode)}",
        }
        if written.get("deprecated"):
            facts["deprecated"] = "yes"
        return self._schema("parameter", name, schema, facts, words=_words(written))

    def _content_of(
        self, kind: str, name: str, written: Mapping[str, Any], facts: dict[str, str], more: Iterable[Part] = ()
    ) -> Part:
        """Return a body or an answer. Its parts are those of its first schema."""
        content = written.get("content") or {}
        if content:
            facts = {**facts, "media types": ", ".join(map(str, content))}
        schemas = [(str(key), one.get("schema")) for key, one in content.items() if one]
        others = [self._schema("content", key, one) for key, one in schemas if one != schemas[0][1]]
        schema = schemas[0][1] if schemas else None
        return self._schema(kind, name, schema, facts, (*more, *others), _words(written))

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
        own: dict[str, Any] = self._merged(schema)
        fields, required = own.get("properties") or {}, own.get("required") or ()
        values = [value for value in own.get("enum", ()) if value is not None]
        parts = [
            self._schema("field", str(key), one, {"presence": "required" if key in required else "optional"})
            for key, one in fields.items()
        ]
        for key, step in (("items", "[]"), ("additionalProperties", "{}")):
            if isinstance(own.get(key), Mapping) and (own[key] or key == "items"):
                parts.append(self._schema("items" if step == "[]" else "values", step, own[key]))
        options = [self._schema("alternative", "", one) for one in own["options"]]
        parts += [Part("alternative", one.label, one.facts, one.parts, one.words) for one in options]
        parts += [Part("enum value", _text(value), {}) for value in values]
        shown = own["refs"] and " & ".join(own["refs"])
        implied = "object" if fields else "array" if "items" in own else "any"
        shown = shown or " | ".join(own["types"]) or ("one of" if options else implied)
        facts = {**facts, "type": shown, **({"null": "may be null"} if own["nullable"] else {})}
        facts |= {key: _text(own[key]) for key in (*KEYWORDS, "format") if own.get(key) not in (None, False)}
        facts |= {"values": "listed"} if values else {}
        return Part(kind, name, facts, (*more, *parts), words + _words(own))

    def _merged(self, schema: Any) -> dict[str, Any]:
        """Return a schema in one spelling, with what `allOf` adds to it."""
        own = dict(schema) if isinstance(schema, Mapping) else {}
        types = own.get("type", ())
        types = [types] if isinstance(types, str) else sorted(map(str, types))
        options = own.get("oneOf") or own.get("anyOf") or []
        values = own["enum"] = own.get("enum") or ([own["const"]] if "const" in own else [])
        own["nullable"] = own.get("nullable") is True or "null" in types or None in values
        own["nullable"] |= any(one in NULLS for one in options)
        own["types"] = [one for one in types if one != "null"]
        own["refs"] = [self._name(own["$ref"].removeprefix(SCHEMAS))] if "$ref" in own else []
        own["options"] = [one for one in options if one not in NULLS]
        for bound, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if own.get(strict) is True:
                own[strict] = own.pop(bound, None)
        if "contentMediaType" in own or "contentEncoding" in own:
            own.setdefault("format", "byte" if own.get("contentEncoding") else "binary")
        inner = list(own.get("allOf") or ())
        if len(own["options"]) == 1:  # a way to write "or null"
            inner, own["options"] = [*inner, *own["options"]], []
        for one in map(self._merged, inner):
            one["nullable"] = own["nullable"] or (one["nullable"] and len(inner) == 1)
            lists = {key: [*own[key], *one[key]] for key in ("refs", "options")}
            lists["types"] = own["types"] or one["types"]
            lists["enum"] = own["enum"] or one["enum"]
            lists["required"] = [*(own.get("required") or ()), *(one.get("required") or ())]
            fields = (one.get("properties") or {}) | (own.get("properties") or {})
            own = {**one, **own, **lists, "properties": fields, "nullable": one["nullable"]}
        return own

    def _resolved(self, part: Any) -> Mapping[str, Any]:
        """Follow the references of a part."""
        for _ in range(20):
            if not (isinstance(part, Mapping) and isinstance(part.get("$ref"), str)):
                break
            target: Any = self._content
            for key in part["$ref"].removeprefix("#/").split("/"):
                key = key.replace("~1", "/").replace("~0", "~")
                target = target.get(key) if isinstance(target, Mapping) else None
            part = target
        return part if isinstance(part, Mapping) else {}

    def _references(self, part: Any) -> set[str]:
        """Return the names of the components that a part refers to, not through others."""
        found: set[str] = set()
        waiting = [part]
        while waiting:
            one = waiting.pop()
            if isinstance(one, Mapping):
                waiting += one.values()
                target = one.get("$ref")
                if isinstance(target, str) and target.startswith(SCHEMAS):
                    found.add(self._name(target.removeprefix(SCHEMAS)))
            elif isinstance(one, list):
                waiting += one
        return found

    def _name(self, name: str) -> str:
        return self._renamed.get(str(name), str(name))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _words(part: Mapping[str, Any]) -> str:
    examples = part.get("examples", [part["example"]] if "example" in part else "")
    return "".join(f"{part[key]}\n" for key in ("title", "summary", "description") if part.get(key)) + str(examples)


def _urls(servers: Any) -> str:
    return ", ".join(_text(one.get("url")) for one in servers or ())


def _alternatives(security: Any) -> str:
    return " or ".join(sorted(" + ".join(sorted(one)) or "none" for one in security or ({},)))


def _scheme(scheme: Mapping[str, Any]) -> str:
    return " ".join(_text(scheme[key]) for key in ("type", "scheme", "in", "name") if key in scheme)
