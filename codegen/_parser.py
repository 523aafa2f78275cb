"""From a patched document to operations and classes of our kinds.

Classes are named at the end, components first, so that a name does not depend on the order in which
operations use them. What cannot be generated is refused with each operation that uses it.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from attrs import evolve

from . import _kinds, _naming
from ._api import Answer, Api, Body, Endpoint, Media, Parameter, Reads, Style
from ._document import one_line
from ._errors import GenerationError
from ._findings import MALFORMED, Finding, Place, Refusal, Unsupported, dotted
from ._kinds import Class, Enum, Kind, Model, Property, Union, classes
from ._literals import literal, quoted
from ._normal import Rules, Schema, says_something, without
from ._security import TAKEN_HEADERS, TOKEN, security
from ._servers import servers
from ._structure import METHODS, Blame, place_of
from ._views.names import of_methods, of_models

JSON = re.compile(
    r"(application|text)/(?:[\w.+-]*\+)?json(?:;.*)?|\*/\*(?:;.*)?|application/\*", re.I
)
"""Media types whose content is JSON; `*/*` is, unless the schema says that it is binary."""

DEFAULT_STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}

READ, WRITE = "read", "write"
"""What a schema is used for: answers have no `writeOnly` fields, requests no `readOnly` ones."""


def parse(
    document: dict[str, Any], taken: Collection[str], problems: Iterable[Finding] = ()
) -> Api:
    """Return the operations of a patched document, its classes, and what was refused or dropped.

    Args:
        document: An OpenAPI 3.0 or 3.1 document.
        taken: Names that are in use. A class with one of them gets the suffix `Model`.
        problems: What is wrong with the document, by place. Operations that use such a part are
            refused.
    """
    reader = _Reader(document, list(problems))
    endpoints = reader.endpoints()
    reader.unused()
    reader.name(taken)
    endpoints = reader.sound(endpoints)
    return Api(endpoints, reader.known(), reader.refused, reader.findings)


def refusal(method: str, path: str, operation: Any, fault: GenerationError) -> Refusal:
    """Return why an operation is not generated, with an action that mends it or leaves it out."""
    given = operation.get("operationId") if isinstance(operation, Mapping) else None
    quote = "'" if "'" not in path else '"'
    leave_out = {
        "target": f"$.paths[{quote}{path}{quote}]" + (f".{method.lower()}" if method else ""),
        "description": one_line(fault),
        "remove": True,
    }
    action = (isinstance(fault, Unsupported) and fault.action) or leave_out
    return Refusal(method.upper(), path, given, one_line(fault), action)


class _Reader:
    """Reads one document."""

    def __init__(self, document: dict[str, Any], problems: list[Finding]) -> None:
        self.document = document
        components = document.get("components")
        schemas = components.get("schemas") if isinstance(components, dict) else None
        self.schemas: dict[str, Any] = schemas if isinstance(schemas, dict) else {}
        self.findings: list[Finding] = [*problems]
        self.refused: list[Refusal] = []
        self.rules = Rules(document, self.findings)
        self.blame = Blame(problems)
        self.security, self.servers = security(document), servers(document)
        self.findings += [*self.security.findings, *self.servers.findings]
        self.kinds: dict[tuple[str, str], Kind | Unsupported] = {}
        """The kinds of components, by their references and uses."""
        self.open: set[tuple[str, str]] = set()
        """The components that are being read, without classes of their own."""
        self.shared: dict[str, list[tuple[Any, Class]]] = {}
        """Classes with a given name (`x-python-class`), and their schemas."""
        self.found: list[Class] = []
        self.waiting: list[tuple[Model, Schema, Place, str]] = []
        """Models without their fields."""
        self.split = _split(self.schemas)
        self.children = _children(self.schemas)

    # --- operations ------------------------------------------------------------------------------

    def endpoints(self) -> list[Endpoint]:
        """Return the operations that can be generated."""
        found: list[Endpoint] = []
        names = self.method_names()
        for where, method, path, item, operation in self.operations():
            try:
                self.check(("paths", path, "parameters"))
                self.check(where)
                if isinstance(operation, Unsupported):
                    raise operation
                found.append(self.endpoint(where, method, path, item, operation, names[where]))
            except Unsupported as fault:
                self.refused.append(refusal(method, path, operation, fault))
            except MALFORMED as fault:
                self.refused.append(refusal(method, path, operation, _unreadable(where, fault)))
        self.fill()
        webhooks = self.document.get("webhooks") or {}
        if webhooks:
            problem = f"{len(webhooks)} webhooks are no operations; only their components are made"
            self.rules.drop(("webhooks",), problem)
        return sorted(found, key=lambda one: one.name)

    def operations(self) -> Iterator[tuple[Place, str, str, Any, Any]]:
        """Yield each operation: its place, method, path and path item, and how it is written."""
        for path, item in (self.document.get("paths") or {}).items():
            if not path.startswith("/"):
                continue
            try:
                item = self.item(item, ("paths", path))
            except Unsupported as fault:
                yield ("paths", path), "", path, {}, fault
                continue
            for method in METHODS:
                if method in item:
                    where, one = ("paths", path, method), item[method]
                    wrong = Unsupported(where, "an operation must be a mapping")
                    yield where, method, path, item, one if isinstance(one, dict) else wrong

    def item(self, item: Any, place: Place) -> dict[str, Any]:
        """Return a path item, with what a reference in it points to."""
        whole: dict[str, Any] = {}
        seen: list[Any] = []
        while isinstance(item, dict) and item not in seen:
            seen.append(item)
            whole = {**item, **whole}
            if "$ref" not in item:
                return whole
            item = self.rules.target(item["$ref"], place)
            self.check(place_of(seen[-1]["$ref"]))
        raise Unsupported(place, "a path item must be a mapping, or refer to one")

    def method_names(self) -> dict[Place, str]:
        """Return the name of each operation's method."""
        wanted: dict[tuple[str, Place], str] = {}
        plain: dict[Place, str] = {}
        seen: set[str] = set()
        for where, method, path, _, operation in self.operations():
            if isinstance(operation, dict):
                given = _given_name(operation, where) or operation.get("operationId")
                given = given if isinstance(given, str) and given else None
                plain[where] = _naming.method_name(given, method, path)
                if given in seen:
                    given = f"{given} {method} {path}"
                text = given or f"{method} {path}"
                seen.add(text)
                wanted[text, where] = _naming.method_name(given, method, path)
        names = _naming.distinct(wanted.items(), taken=of_methods())
        for (_, where), name in names.items():
            if name != plain[where]:
                self.rules.drop(where, f"its method is {name}: {plain[where]} is taken")
        return {where: name for (_, where), name in names.items()}

    def endpoint(
        self, where: Place, method: str, path: str, item: Any, operation: Any, name: str
    ) -> Endpoint:
        """Return one operation."""
        tags = operation.get("tags")
        tag = tags[0] if isinstance(tags, list) and tags and isinstance(tags[0], str) else "default"
        owner = _naming.class_name(name)
        answers, description, accept, errors = self.answers(operation, where, owner)
        parameters = self.parameters(operation, item, where, path, owner)
        in_path = {
            f"{{{p.wire_name}}}": f"{{{p.name}}}" for p in parameters if p.location == "path"
        }
        shown = re.sub(r"\{[^{}]*\}", lambda found: in_path.get(found[0], found[0]), path)
        if shown.isprintable():
            shown = re.sub(r"[^\x21-\x7e]+", lambda found: quote(found[0]), shown)
        if operation.get("callbacks"):
            self.rules.drop((*where, "callbacks"), "callbacks are no operations")
        return Endpoint(
            where=f"{method.upper()} {path}",
            name=name,
            method=method.upper(),
            path=shown,
            tag=_naming.module_name(tag),
            summary=_text(operation.get("summary") or item.get("summary")),
            description=_text(operation.get("description") or item.get("description")),
            deprecated=operation.get("deprecated") is True,
            parameters=parameters,
            body=self.body(operation, where, owner),
            answers=answers,
            accept=accept,
            answer_description=description,
            errors=errors,
            security=self.security.of(operation, where),
            server=self.servers.of(item, operation, where),
            extensions=operation,
        )

    def resolved(self, part: Any, place: Place) -> tuple[dict[str, Any], Place]:
        """Return a parameter, body or answer, with what a reference in it points to."""
        for _ in range(100):
            self.check(place)
            if not (isinstance(part, dict) and isinstance(part.get("$ref"), str)):
                break
            reference = part["$ref"]
            beside = {key: part[key] for key in ("description", "summary") if key in part}
            part = self.rules.target(reference, place)
            place = place_of(reference)
            part = {**part, **beside} if isinstance(part, dict) else part
        if not isinstance(part, dict):
            raise Unsupported(place, "must be a mapping")
        return part, place

    # --- parameters ------------------------------------------------------------------------------

    def parameters(
        self, operation: Schema, item: Schema, where: Place, path: str, owner: str
    ) -> list[Parameter]:
        """Return the parameters of an operation, those of its path included."""
        found: dict[tuple[str, str], tuple[Schema, Place]] = {}
        for source, place in ((item, where[:-1]), (operation, where)):
            for number, one in enumerate(source.get("parameters") or ()):
                part, at = self.resolved(one, (*place, "parameters", number))
                if not (isinstance(part.get("name"), str) and part.get("in") in DEFAULT_STYLES):
                    raise Unsupported(at, "a parameter needs a name, and `in` with its location")
                found[part["in"], part["name"]] = part, at
        templates = re.findall(r"\{([^{}]*)\}", path)
        for name in templates:
            if ("path", name) not in found:
                self.rules.drop(where, f"the path parameter {name} is not declared: it is a text")
                part = {"in": "path", "name": name, "schema": {"type": "string"}}
                found["path", name] = part, where
        parameters = []
        for location in DEFAULT_STYLES:
            for (inside, name), (part, at) in found.items():
                if inside != location:
                    continue
                if location == "path" and name not in templates:
                    self.rules.drop(at, f"the path has no {{{name}}}: the parameter is left out")
                elif location == "header" and name.lower() in IGNORED_HEADERS:
                    self.rules.drop(at, f"the client sends the header {name} itself")
                elif location in ("header", "cookie") and not TOKEN.fullmatch(name):
                    problem = f"HTTP does not allow {name!r} as the name of a {location}"
                    if part.get("required") is True:
                        raise Unsupported(at, problem)
                    self.rules.drop(at, f"{problem}: the parameter is left out")
                else:
                    parameters.append(self.parameter(part, at, owner))
        named = []
        for location in DEFAULT_STYLES:
            here = [one for one in parameters if one.location == location]
            names = _naming.distinct((one.wire_name, one.name) for one in here)
            named += [evolve(one, name=names[one.wire_name]) for one in here]
        return named

    def parameter(self, part: Schema, at: Place, owner: str) -> Parameter:
        """Return one parameter."""
        location, name = part["in"], part["name"]
        schema, style = part.get("schema"), str(part.get("style", DEFAULT_STYLES[location]))
        explode = part.get("explode")
        explode = explode if isinstance(explode, bool) else style == "form"
        if isinstance(part.get("content"), dict) and part["content"]:
            media, content = next(iter(part["content"].items()))
            schema = content.get("schema") if isinstance(content, dict) else {}
            style = "json" if JSON.fullmatch(media) else style
        schema = {} if schema is None else schema
        kind = self.kind(schema, (*at, "schema"), (owner, name), WRITE)
        written = self.annotated(schema)
        if "default" not in written and "default" in part:
            written = {**written, "default": part["default"]}
        described = part.get("description") or written.get("description")
        return Parameter(
            name,
            _given_name(written, at) or _given_name(part, at) or _naming.field_name(name),
            part.get("required") is True or location == "path",
            _remarked(_text(described), written),
            kind,
            deprecated=part.get("deprecated") is True or written.get("deprecated") is True,
            example=_example({**written, **part}),
            location=location,
            style=Style(style, explode, part.get("allowReserved") is True),
        )

    # --- bodies and answers ----------------------------------------------------------------------

    def body(self, operation: Schema, where: Place, owner: str) -> Body | None:
        """Return the body of an operation, in the media type that serves best."""
        if operation.get("requestBody") is None:
            return None
        part, at = self.resolved(operation["requestBody"], (*where, "requestBody"))
        content = {k: v for k, v in (part.get("content") or {}).items() if isinstance(v, dict)}
        if not content:
            self.rules.drop(at, "a body without content is left out")
            return None
        ranked = sorted(content, key=lambda one: MEDIA.index(_media(one, content[one])))
        content_type = ranked[0]
        if len(ranked) > 1:
            others = ", ".join(ranked[1:])
            self.rules.drop(at, f"the body is sent as {content_type}; not as {others}")
        chosen, media = content[content_type], _media(content_type, content[content_type])
        place = (*at, "content", content_type, "schema")
        schema = chosen.get("schema", {})
        naming = (owner, "body")
        kind: Kind
        if media in ("text", "bytes"):
            kind = _kinds.Text() if media == "text" else _kinds.Binary()
        elif media == "json":
            kind = self.kind(schema, place, naming, WRITE)
        else:
            kind = self.form(schema, place, naming, media)
        bare = kind.inner if isinstance(kind, _kinds.Nullable) and media != "json" else kind
        encoding = {
            key: one for key, one in (chosen.get("encoding") or {}).items() if isinstance(one, dict)
        }
        styles = {
            key: Style(
                str(one.get("style", "form")),
                one.get("explode", one.get("style", "form") == "form") is True,
                one.get("allowReserved") is True,
            )
            for key, one in encoding.items()
            if one.keys() & {"style", "explode", "allowReserved"}
        }
        types = {k: str(one["contentType"]) for k, one in encoding.items() if "contentType" in one}
        description = _text(part.get("description") or self.annotated(schema).get("description"))
        required = part.get("required") is True
        prop = Property("body", "body", required, description, bare)
        sent = "application/json" if "*" in content_type and media == "json" else content_type
        return Body(prop, media, sent, styles, types)

    def form(self, schema: Any, place: Place, naming: "Naming", media: str) -> Kind:
        """Return the kind of a form, in which texts of `format: binary` are files."""
        node = self.rules.expanded(schema, place)
        if node.get("type") != "object" or not node.get("properties"):
            return self.kind(schema, place, naming, WRITE)
        model = self.new(Model, node, naming, flags=node.get("x-python-flags", {}))
        self.waiting.append((model, node, place, media))
        return model

    def answers(
        self, operation: Schema, where: Place, owner: str
    ) -> tuple[list[Answer], str, str, list[Kind]]:
        """Return the successful answers, their description, what to accept, and other kinds."""
        responses = operation.get("responses")
        found: dict[str, tuple[Schema, Place]] = {}
        for code, one in responses.items() if isinstance(responses, dict) else ():
            if not str(code).startswith("x-"):
                found[str(code).upper()] = self.resolved(one, (*where, "responses", code))
        good = [code for code in found if re.fullmatch("2[0-9X]{2}", code)]
        if not good and "DEFAULT" in found:
            good = ["DEFAULT"]
        answers: list[Answer] = []
        errors: list[Kind] = []
        accept: dict[str, None] = {}
        for code, (part, at) in found.items():
            name = "response" if code in good else f"response_{code.lower()}"
            reads, kind, media = self.content(part, at, (owner, name))
            if code not in good:
                errors += [kind] if kind else []
                continue
            exact = code.isdigit()
            lowest, highest = (int(code), int(code)) if exact else (200, 299)
            if code in ("204", "205"):
                reads, kind = "nothing", None
            accept |= {media: None} if media else {}
            answers.append(Answer(lowest, highest, reads, kind))
        answers.sort(key=lambda one: (one.lowest != one.highest, one.lowest))
        description = _text(found[good[0]][0].get("description")) if good else ""
        return answers, description, ", ".join(accept) or "application/json", errors

    def content(self, part: Schema, at: Place, naming: "Naming") -> tuple[Reads, Kind | None, str]:
        """Return how the body of an answer is read, the kind of its JSON, and its media type."""
        content = {k: v for k, v in (part.get("content") or {}).items() if isinstance(v, dict)}
        if not content:
            return "nothing", None, ""
        ranked = sorted(content, key=lambda one: READS.index(self.reads(one, content[one])))
        media = ranked[0]
        if len(ranked) > 1 and self.reads(ranked[1], content[ranked[1]]) != self.reads(
            media, content[media]
        ):
            others = ", ".join(ranked[1:])
            self.rules.drop(at, f"the answer is asked for as {media}; not as {others}")
        reads = self.reads(media, content[media])
        if reads != "json":
            return reads, None, media
        place = (*at, "content", media, "schema")
        kind = self.kind(content[media].get("schema", {}), place, naming, READ)
        return reads, kind, "application/json" if "*" in media else media

    def reads(self, media: str, content: Schema) -> Reads:
        """Return how a body of a media type is read."""
        if JSON.fullmatch(media):
            schema = self.annotated(content.get("schema", {}))
            return "bytes" if "*" in media and schema.get("format") == "binary" else "json"
        textual = re.match(r"text/|application/(?:[\w.-]*\+)?(?:xml|yaml|x-ndjson|jsonl)", media)
        return "text" if textual else "bytes"

    # --- schemas ---------------------------------------------------------------------------------

    def check(self, place: Place) -> None:
        """Refuse a part of which something is wrong."""
        one = self.blame.inside(place)
        if one:
            raise Unsupported(one.place, one.problem, one.action)

    def annotated(self, schema: Any) -> Schema:
        """Return the keywords of a schema, with the annotations of what it refers to."""
        seen: list[Any] = []
        found: Schema = {}
        while isinstance(schema, dict) and schema not in seen and len(seen) < 100:
            seen.append(schema)
            found = {**schema, **{key: found[key] for key in found if key != "$ref"}}
            parts = schema.get("allOf")
            parts = (
                [one for one in parts if isinstance(one, dict)] if isinstance(parts, list) else []
            )
            for one in parts:
                found = found if says_something(one) else {**one, **found}
            saying = [one for one in parts if says_something(one)]
            single = saying[0] if len(saying) == 1 else schema
            reference = single.get("$ref") if isinstance(single, dict) else None
            if not isinstance(reference, str):
                break
            try:
                schema = self.rules.target(reference, ())
            except Unsupported:
                break
            schema = without(schema, ["x-python-name"]) if isinstance(schema, dict) else schema
        return found

    def kind(self, schema: Any, place: Place, naming: "Naming", way: str) -> Kind:
        """Return the kind of a schema."""
        return self.of_node(schema, self.rules.normal(schema, place), place, naming, way)

    def of_node(self, schema: Any, node: Schema, place: Place, naming: "Naming", way: str) -> Kind:
        """Return the kind of a schema whose normal form is known."""
        kind = self.bare(schema, node, place, naming, way)
        is_null = isinstance(kind, _kinds.Constant) and kind.value is None
        if node.get("nullable") is True and not is_null:
            return kind if isinstance(kind, _kinds.Nullable) else _kinds.Nullable(kind)
        return kind

    def bare(self, schema: Any, node: Schema, place: Place, naming: "Naming", way: str) -> Kind:
        """Return the kind of a schema, but for null."""
        if "$ref" in node:
            return self.component(node["$ref"], place, way)
        given = node.get("x-python-class")
        if given is not None:
            for written, known in self.shared.get(str(given), ()):
                if written != schema:
                    problem = f"x-python-class: there is another schema {given!r}"
                    raise GenerationError(f"{dotted(place)}: {problem}; give one another name")
                return known
            if str(given) != _naming.class_name(str(given)):
                problem = f"x-python-class: {given!r} cannot be a class"
                raise GenerationError(f"{dotted(place)}: {problem}")
            naming = (None, str(given))
        elif isinstance(node.get("title"), str) and naming[0] is not None:
            naming = (naming[0], node["title"])
        kind = self.made(node, place, naming, way)
        if given is not None and isinstance(kind, Class):
            self.shared.setdefault(str(given), []).append((schema, kind))
        return kind

    def made(self, node: Schema, place: Place, naming: "Naming", way: str) -> Kind:
        """Return the kind of a normal schema that is no reference."""
        if "oneOf" in node:
            return self.union(node, place, naming, way)
        listed = [node["const"]] if "const" in node else node.get("enum")
        if isinstance(listed, list) and any(isinstance(one, list | dict) for one in listed):
            self.rules.drop(place, "the values that are allowed are left to the server")
            return _kinds.Anything()
        if "const" in node:
            literal(node["const"])  # may raise
            return _kinds.Constant(node["const"])
        if isinstance(listed, list):
            return self.enum(node, place, naming)
        kind = node.get("type")
        if kind == "null":
            return _kinds.Constant(None)
        if kind is None:
            return _kinds.Anything()
        if kind == "array":
            return self.array(node, place, naming, way)
        if kind == "object":
            return self.object(node, place, naming, way)
        return _kinds.kind_of(kind, str(node.get("format", "")), node)

    def array(self, node: Schema, place: Place, naming: "Naming", way: str) -> Kind:
        """Return the kind of an array. Items by position become alternatives for each item."""
        item = (naming[0], f"{naming[1]}_item")
        items = node.get("items")
        if isinstance(node.get("prefixItems"), list):
            rest = [] if items in (False, None) else [items]
            items = {"oneOf": [*node["prefixItems"], *rest]}
            self.rules.drop(place, "which item has which type is left to the server")
        limits = [
            *_kinds.sizes(node.get("minItems") or None, node.get("maxItems"), "item"),
            *(["each only once"] if node.get("uniqueItems") is True else []),
        ]
        text = ", ".join(limits).capitalize()
        return _kinds.ListOf(
            self.kind({} if items is None else items, (*place, "items"), item, way),
            f"{text}, which only the server checks." if text else "",
        )

    def object(self, node: Schema, place: Place, naming: "Naming", way: str) -> Kind:
        """Return the kind of an object: a class, or a map if no field has a name."""
        patterns = node.get("patternProperties") or {}
        values = node.get("additionalProperties")
        if patterns:
            self.rules.drop(place, "patterns of property names are left to the server")
            if values is False:
                values = {"anyOf": list(patterns.values())}
        if not node.get("properties") and not node.get("required"):
            if isinstance(values, dict):
                name = (naming[0], f"{naming[1]}_value")
                return _kinds.MapOf(self.kind(values, (*place, "additionalProperties"), name, way))
            if values is True or (values is None and naming[0] is not None):
                return _kinds.MapOf(_kinds.Anything())
        model = self.new(
            Model, node, naming, closed=values is False, flags=node.get("x-python-flags", {})
        )
        self.waiting.append((model, {**node, "additionalProperties": values}, place, way))
        return model

    def enum(self, node: Schema, place: Place, naming: "Naming") -> Kind:
        """Return the kind of some values: a class if all are texts or all are whole numbers."""
        values: list[Any] = []
        for one in node["enum"]:
            value = one
            if node.get("type") == "string" and not isinstance(one, str):
                value = json.dumps(one)  # YAML without quotes
            elif node.get("type") == "integer" and re.fullmatch("-?[0-9]{1,50}", str(one)):
                value = int(one)
            if not any(value == other and type(value) is type(other) for other in values):
                values.append(value)
        given = node.get("x-enum-varnames", node.get("x-enumNames", ()))
        if not (isinstance(given, list | tuple) and all(isinstance(one, str) for one in given)):
            self.rules.drop(
                place, "the names of the values must be a list of texts; they are ignored"
            )
            given = ()
        for of in (str, int):
            if values and all(type(one) is of for one in values):
                names = _naming.member_names(values, given)
                quotes = ((f'"{quoted(one)}"' if of is str else literal(one)) for one in values)
                members = dict(zip(names, quotes, strict=True))
                return self.new(Enum, node, naming, members=members, values=values)
        for one in values:
            literal(one)  # may raise
        return _kinds.Choice(values)

    def union(self, node: Schema, place: Place, naming: "Naming", way: str) -> Kind:
        """Return the kind of alternatives. A discriminator, if there is one, names their values."""
        found = node.get("discriminator")
        discriminator: dict[str, Any] = found if isinstance(found, dict) else {}
        tag = discriminator.get("propertyName")
        parts: list[Kind] = []
        given: dict[str, Kind] = {}
        is_nullable = False
        for number, choice in enumerate(node["oneOf"]):
            name = (naming[0], f"{naming[1]}_type_{number}")
            kind = self.kind(choice, (*place, "oneOf", number), name, way)
            if isinstance(kind, _kinds.Nullable):
                kind, is_nullable = kind.inner, True
            if kind not in parts:
                parts.append(kind)
            for value in self.tags(choice, discriminator) if tag else ():
                given.setdefault(value, kind)
        kind = Union(parts, tag if isinstance(tag, str) else None, given)
        return _kinds.Nullable(kind) if is_nullable else kind

    def tags(self, choice: Any, discriminator: Schema) -> list[str]:
        """Return the values of a discriminator that stand for an alternative."""
        if not isinstance(choice, dict):
            return []
        name = str(choice.get("$ref", choice.get("title", ""))).rsplit("/", 1)[-1]
        mapping = discriminator.get("mapping")
        mapped = mapping.items() if isinstance(mapping, dict) else ()
        return [str(key) for key, to in mapped if str(to).rsplit("/", 1)[-1] == name] or [name]

    def component(self, reference: str, place: Place, way: str) -> Kind:
        """Return the kind of what a reference points to."""
        seen: set[str] = set()
        while True:
            schema = self.rules.target(reference, place)
            keys = place_of(reference)
            self.check(keys)
            if reference in seen:
                raise Unsupported(place, f"$ref {reference!r} refers to itself")
            seen.add(reference)
            if not (isinstance(schema, dict) and schema.keys() == {"$ref"}):
                break
            reference = schema["$ref"]
        key = (reference, way if reference in self.split else READ)
        if key in self.kinds:
            kind = self.kinds[key]
            if isinstance(kind, Unsupported):
                raise kind
            return kind
        if key in self.open:
            self.rules.drop(keys, "it contains itself without a class between: read as any JSON")
            return _kinds.Anything()
        name = str(keys[-1])
        self.open.add(key)
        try:
            kind = self.kinds[key] = self.kind(schema, keys, (None, name), way)
            if isinstance(kind, Model):
                kind.use = way if reference in self.split else ""
                kind = self.kinds[key] = self.family(kind, name, schema, place, way)
        except Unsupported as fault:
            self.kinds[key] = fault
            raise
        finally:
            self.open.remove(key)
        return kind

    def family(self, model: Model, name: str, schema: Schema, place: Place, way: str) -> Kind:
        """Return a model, or the alternatives of a parent: its children, told apart by a tag."""
        given_by = schema.get("discriminator")
        found: dict[str, Any] = given_by if isinstance(given_by, dict) else {}
        tag = found.get("propertyName")
        if not isinstance(tag, str):
            return model
        mapping = found.get("mapping")
        values = mapping.values() if isinstance(mapping, dict) else ()
        mapped = [str(to).rsplit("/", 1)[-1] for to in values]
        names = dict.fromkeys([*self.children.get(name, ()), *mapped])
        parts: list[Kind] = []
        given: dict[str, Kind] = {}
        for child in names:
            if child == name or child not in self.schemas:
                continue
            reference = f"#/components/schemas/{child}"
            kind = self.component(reference, place, way)
            kind = kind.inner if isinstance(kind, _kinds.Nullable) else kind
            for one in kind.parts if isinstance(kind, Union) else [kind]:
                if one not in parts and one is not model:
                    parts.append(one)
            inner = kind.given if isinstance(kind, Union) else {}
            for value in self.tags({"$ref": reference}, found):
                given.setdefault(value, inner.get(value, kind))
            for value, one in inner.items():
                given.setdefault(value, one)
        return Union([*parts, model], tag, given, model) if parts else model

    def new(self, of: "type[C]", node: Schema, naming: "Naming", **more: Any) -> "C":
        """Make a class, which is named later."""
        made = of(naming, naming[1], _text(node.get("description")), **more)
        self.found.append(made)
        return made

    def fill(self) -> None:
        """Read the fields of all models that are known so far."""
        while self.waiting:
            model, node, place, way = self.waiting.pop(0)
            try:
                self.fields(model, node, place, way)
            except Unsupported as fault:
                model.broken = fault
            except MALFORMED as fault:
                model.broken = _unreadable(place, fault)

    def fields(self, model: Model, node: Schema, place: Place, way: str) -> None:
        """Read the fields of a model, required ones first."""
        written: dict[str, Any] = node.get("properties") or {}
        asked = node.get("required")
        required = [one for one in asked if isinstance(one, str)] if isinstance(asked, list) else []
        hidden = "writeOnly" if way == READ else "readOnly"
        every = {**written, **{name: {} for name in required if name not in written}}
        fields: list[Property] = []
        for name in sorted(every, key=lambda one: one not in required):
            at = (*place, "properties", name)
            noted = self.annotated(every[name])
            if noted.get(hidden) is True:
                continue
            normal = self.rules.normal(every[name], at)
            naming = (model, name)
            binary = way in ("form", "multipart") and self.binary(normal, at)
            inner = WRITE if way in ("form", "multipart") else way
            fields.append(
                Property(
                    name,
                    _given_name(noted, at) or _naming.field_name(name),
                    name in required,
                    _remarked(_text(noted.get("description")), noted),
                    binary or self.of_node(every[name], normal, at, naming, inner),
                    "$ref" not in normal,
                    noted.get("deprecated") is True,
                    _example(noted),
                )
            )
        names = _naming.distinct(((one.wire_name, one.name) for one in fields), taken=of_models())
        model.properties = [evolve(one, name=names[one.wire_name]) for one in fields]
        for one in fields:
            if one.name != names[one.wire_name]:
                at = (*place, "properties", one.wire_name)
                self.rules.drop(at, f"the field is {names[one.wire_name]}: {one.name} is taken")
        more = node.get("additionalProperties")
        if isinstance(more, dict) and says_something(more):
            at = (*place, "additionalProperties")
            model.additional = self.kind(more, at, (model, "additional_property"), way)

    def binary(self, node: Schema, place: Place) -> Kind | None:
        """Return the kind of a file, or of files, in a form."""
        media = node.get("contentMediaType")
        plain = "contentEncoding" not in node and isinstance(media, str)
        is_file = plain and not re.match(r"text/|[\w.+/-]*json", str(media))
        if node.get("type") == "string" and (is_file or node.get("format") == "binary"):
            return _kinds.Binary()
        if node.get("type") == "array" and isinstance(node.get("items"), dict):
            inner = self.binary(self.rules.expanded(node["items"], place), place)
            return inner and _kinds.ListOf(inner)
        return None

    # --- classes ---------------------------------------------------------------------------------

    def unused(self) -> None:
        """Make the classes of components that no operation uses."""
        titles: dict[str, list[str]] = {}
        for name, schema in self.schemas.items():
            if isinstance(schema, dict) and isinstance(schema.get("title"), str):
                titles.setdefault(schema["title"], []).append(name)
        for title, same in titles.items():
            for name in same if len(same) > 1 else ():
                problem = f"others have the title {title!r} too; the class has the component's name"
                self.rules.drop(("components", "schemas", name), problem)
        for name in self.schemas:
            reference = f"#/components/schemas/{escaped(name)}"
            if not any((reference, way) in self.kinds for way in (READ, WRITE)):
                try:
                    self.component(reference, (), READ)
                except (Unsupported, *MALFORMED) as fault:
                    self.rules.drop(("components", "schemas", name), f"no class of it: {fault}")
        self.fill()

    def name(self, taken: Collection[str]) -> None:
        """Name all classes: those of components first, then those inside them."""
        components = [one for one in self.found if one.naming[0] is None]
        both = {one.naming[1] for one in components if getattr(one, "use", "") == READ}
        wanted: dict[tuple[str, int], str] = {}
        for one in components:
            is_input = getattr(one, "use", "") == WRITE and one.naming[1] in both
            text = f"{one.naming[1]}Input" if is_input else one.naming[1]
            wanted[text, id(one)] = _naming.class_name(text)
        names = _naming.distinct(wanted.items(), _naming.pascal, taken)
        chosen = {key: name for (_, key), name in names.items()}
        used = {_naming.module_name(name) for name in (*chosen.values(), *taken)}
        for one in [*components, *(one for one in self.found if one.naming[0] is not None)]:
            owner, inner = one.naming
            prefix = owner.name if isinstance(owner, Class) else owner or ""
            wish = prefix + _naming.class_name(inner)
            one.name = chosen.get(id(one)) or _free(wish, used)
            one.file = _naming.module_name(one.name)
            used.add(one.file)
            if one.name != wish and not getattr(one, "use", ""):
                self.rules.drop((), f"a class is named {one.name}: {wish} is taken")

    def sound(self, endpoints: list[Endpoint]) -> list[Endpoint]:
        """Refuse the operations whose classes cannot be generated; return the others."""
        users: dict[Class, list[Class]] = {}
        for one in self.found:
            for inner in classes(one.inside if isinstance(one, Model) else ()):
                users.setdefault(inner, []).append(one)
        waiting = [one for one in self.found if one.broken]
        while waiting:
            one = waiting.pop()
            for user in users.get(one, ()):
                if not user.broken:
                    user.broken = one.broken
                    waiting.append(user)
        kept = []
        for endpoint in endpoints:
            faults = [one.broken for one in classes(endpoint.kinds) if one.broken]
            if not faults:
                kept.append(endpoint)
                continue
            method, path = endpoint.where.split(" ", 1)
            first = min(faults, key=str)
            self.refused.append(refusal(method, path, endpoint.extensions, first))
        return kept

    def known(self) -> list[Class]:
        """Return the classes that can be generated."""
        return [one for one in self.found if not one.broken]


C = TypeVar("C", bound=Class)

Naming = tuple[Class | str | None, str]
"""The class or the prefix before the name of a class, and that name as the document has it."""

MEDIA: tuple[Media, ...] = ("json", "form", "multipart", "text", "bytes")
READS: tuple[Reads, ...] = ("json", "text", "bytes")

IGNORED_HEADERS = TAKEN_HEADERS | {"authorization", "user-agent"}
"""Header parameters that are left out. OpenAPI ignores some of them."""


def _media(content_type: str, content: Schema) -> Media:
    """Return how a body of a media type is written."""
    plain = content_type.partition(";")[0].strip().lower()
    if JSON.fullmatch(content_type):
        schema = content.get("schema")
        is_binary = isinstance(schema, dict) and schema.get("format") == "binary"
        return "bytes" if "*" in plain and is_binary else "json"
    if plain == "application/x-www-form-urlencoded":
        return "form"
    if plain.startswith("multipart/"):
        return "multipart"
    return "text" if plain.startswith("text/") else "bytes"


def _split(schemas: Mapping[str, Any]) -> set[str]:
    """Return references to the components that are different in requests and in answers."""
    direct: set[str] = set()
    users: dict[str, list[str]] = {}
    for name, schema in schemas.items():
        reference = f"#/components/schemas/{escaped(name)}"
        waiting = [schema]
        while waiting:
            part = waiting.pop()
            if isinstance(part, list):
                waiting += part
            elif isinstance(part, dict):
                if part.get("readOnly") is True or part.get("writeOnly") is True:
                    direct.add(reference)
                if isinstance(part.get("$ref"), str):
                    users.setdefault(part["$ref"], []).append(reference)
                waiting += part.values()
    found, left = set(direct), list(direct)
    while left:
        for user in users.get(left.pop(), ()):
            if user not in found:
                found.add(user)
                left.append(user)
    return found


def _children(schemas: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the components that extend others by `allOf`, by the names of these."""
    found: dict[str, list[str]] = {}
    for name, schema in schemas.items():
        parts = schema.get("allOf") if isinstance(schema, dict) else None
        for part in parts if isinstance(parts, list) else ():
            reference = part.get("$ref") if isinstance(part, dict) else None
            if isinstance(reference, str):
                found.setdefault(reference.rsplit("/", 1)[-1], []).append(name)
    return found


def _unreadable(place: Place, fault: Exception) -> Unsupported:
    return Unsupported(place, f"cannot be read: {type(fault).__name__}: {one_line(fault)}")


def _given_name(schema: Schema, place: Place) -> str | None:
    """Return the name that an overlay gives to a field or an argument."""
    given = schema.get("x-python-name")
    if given is not None and _naming.field_name(str(given)) != given:
        raise GenerationError(f"{dotted(place)}: x-python-name: {given!r} cannot be a name")
    return None if given is None else str(given)


def _free(wish: str, used: Collection[str]) -> str:
    """Return the name of a class whose module has no other."""
    name, number = wish, 2
    while _naming.module_name(name) in used:
        name, number = f"{wish}{number}", number + 1
    return name


def escaped(name: str) -> str:
    """Return a name as part of a reference (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _example(schema: Schema) -> Any:
    """Return the example that a schema gives, or the first of them."""
    several = schema.get("examples")
    first = several[0] if isinstance(several, list) and several else None
    return schema.get("example", first)


def _remarked(description: str, schema: Schema) -> str:
    """Add the default to a description: the server applies it, so it is never sent."""
    if schema.get("default") is None:
        return description
    remark = f"Left out, the server takes {json.dumps(schema['default'], default=str)}."
    return f"{description.rstrip()} {remark}".strip()
