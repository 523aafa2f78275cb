"""What a change report says about two documents, and what it means for callers."""

# ruff: noqa: PIE800 - code stands here as it is read; schemas of a kind stand on one line

from typing import Any

import pytest

from codegen._changes import _text
from codegen._changes._document import compare as compare_documents

Document = dict[str, Any]
TEXT = {"type": "string"}


def ref(name: str) -> Document:
    """Return a `$ref` to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def content(schema: Any, media: str = "application/json") -> Document:
    """Return the content of a body."""
    return {"content": {media: {"schema": schema}}}


def document(paths: Document | None = None, /, **schemas: Any) -> Document:
    """Return a document with these paths and components."""
    return {"openapi": "3.0.3", "paths": paths or {}, "components": {"schemas": schemas}}


def post(operation: Document, path: str = "/things", name: str = "doIt") -> Document:
    """Return paths with one operation."""
    return {path: {"post": {"operationId": name, "responses": {}, **operation}}}


def lines(old: Document, new: Document) -> list[str]:
    """Return the changes of a document as lines."""
    changes, _ = compare_documents(old, new)
    return [f"{one.effect}: {_text._line(one, str)}" for one in changes]


# --- schemas --------------------------------------------------------------------------------------

SCHEMAS: list[tuple[Any, Any, str, str, str]] = [
    # before, after, what is reported, its effect where it is sent, and where it is received
    ({"type": "integer"}, {"type": "number"}, "type integer -> number", "changed", "broken"),
    ({"type": "number"}, {"type": "integer"}, "type number -> integer", "broken", "changed"),
    (TEXT, {}, "type string -> any", "changed", "broken"),
    (TEXT, {"type": ["string", "integer"]}, "type string -> integer | string", "changed", "broken"),
    (TEXT, ref("Other"), "type string -> Other", "broken", "broken"),
    (TEXT, {**TEXT, "format": "date"}, "format date added", "broken", "broken"),
    (TEXT, {**TEXT, "format": "email"}, "format email added", "changed", "changed"),
    (TEXT, {"type": ["string", "null"]}, "never null -> may be null", "changed", "broken"),
    ({**TEXT, "nullable": True}, TEXT, "may be null -> never null", "broken", "changed"),
    (
        {**TEXT, "enum": ["a", "b"]},
        {**TEXT, "enum": ["a"]},
        "enum value b removed",
        *["broken"] * 2,
    ),
    ({**TEXT, "enum": ["a"]}, {**TEXT, "enum": ["a", "b"]}, "enum value b added", *["added"] * 2),
    (TEXT, {**TEXT, "pattern": "^a$"}, "pattern ^a$ added", "broken", "changed"),
    ({**TEXT, "pattern": "^a$"}, TEXT, "pattern ^a$ removed", "changed", "changed"),
    (TEXT, {**TEXT, "minLength": 2}, "minLength 2 added", "broken", "changed"),
    ({**TEXT, "minLength": 2}, {**TEXT, "minLength": 1}, "minLength 2 -> 1", "changed", "changed"),
    ({**TEXT, "maxLength": 2}, {**TEXT, "maxLength": 1}, "maxLength 2 -> 1", "broken", "changed"),
    ({**TEXT, "maxLength": 2}, {**TEXT, "maxLength": 3}, "maxLength 2 -> 3", "changed", "changed"),
    ({**TEXT, "maxLength": 2}, TEXT, "maxLength 2 removed", "changed", "changed"),
    (TEXT, {**TEXT, "default": "a"}, "default a added", "changed", "changed"),
    (TEXT, {**TEXT, "deprecated": True}, "deprecated yes added", "changed", "changed"),
    (
        {"oneOf": [TEXT, {"type": "integer"}]},
        {"oneOf": [TEXT, {"type": "integer"}, {"type": "boolean"}]},
        "alternative boolean added",
        *("added", "broken"),
    ),
    (
        {"anyOf": [TEXT, ref("Other"), {"type": "null"}]},
        {"anyOf": [TEXT, ref("Thing"), {"type": "null"}]},
        "alternative Other removed",
        *("broken", "changed"),
    ),
]


@pytest.mark.parametrize(("old", "new", "text", "sent", "received"), SCHEMAS)
def test_a_field_changes(old: Any, new: Any, text: str, sent: str, received: str) -> None:
    """What a change means depends on whether the field is sent or received."""
    one, other = ({"type": "object", "properties": {"a": schema}} for schema in (old, new))
    bodies = [document(post({"requestBody": content(field)})) for field in (one, other)]
    assert f"{sent}: request field a: {text}" in lines(*bodies)
    answers = [document(post({"responses": {"200": content(field)}})) for field in (one, other)]
    assert f"{received}: response 200 field a: {text}" in lines(*answers)


def test_fields_that_only_one_side_sends() -> None:
    """A field that is readOnly or writeOnly is judged where it occurs."""
    for keyword, effect in (("readOnly", "changed"), ("writeOnly", "broken")):
        field = {**TEXT, keyword: True}
        schemas = [
            {"type": "object", "properties": {"a": field}, "required": r} for r in ([], ["a"])
        ]
        path = post({"requestBody": content(ref("A")), "responses": {"200": content(ref("A"))}})
        old, new = (document(path, A=schema) for schema in schemas)
        assert lines(old, new) == [f"{effect}: field a: optional -> required"]


def test_the_same_meaning_in_another_spelling() -> None:
    """OpenAPI 3.0 and 3.1 spell things in their own ways; descriptions and examples are counted."""
    old = {
        **{"a": {**TEXT, "nullable": True}, "b": {"type": "integer", "minimum": 0}},
        **{"c": {"allOf": [ref("B")], "nullable": True}, "d": {**TEXT, "format": "byte"}},
        **{"e": {**TEXT, "enum": ["x"]}, "f": {**TEXT, "example": "x"}, "g": {"maximum": 1.0}},
    }
    old["b"]["exclusiveMinimum"] = True
    new = {
        **{"a": {"type": ["null", "string"]}, "b": {"type": "integer", "exclusiveMinimum": 0}},
        **{"c": {"oneOf": [ref("B"), {"type": "null"}]}, "e": {**TEXT, "const": "x"}},
        **{"d": {**TEXT, "contentEncoding": "base64"}, "f": {**TEXT, "examples": ["x"]}},
        **{"g": {"maximum": 1, "description": "The most"}},
    }
    schemas = [{"type": "object", "properties": fields} for fields in (old, new)]
    changed, words = compare_documents(*(document(A=one, B={}) for one in schemas))
    assert (changed, words) == ([], ["A field g"])


def test_components() -> None:
    """A component is reported once, with what uses it, also if it has another name now."""
    thing = {"type": "object", "properties": {"a": TEXT, "next": ref("Thing")}}
    path = post({"requestBody": content(ref("Thing"))})
    more = {**thing, "properties": {**thing["properties"], "b": TEXT}, "required": ["b"]}
    changed, _ = compare_documents(document(path, Thing=thing), document(path, Thing=more))
    assert [(one.of, one.name, one.effect, one.operations) for one in changed] == [
        ("Thing", "b", "broken", ("doIt",))
    ]
    old = document(path, Thing={"type": "object", "properties": {"a": TEXT}}, Unused=TEXT)
    new = document(
        post({"requestBody": content(ref("Item"))}), Item=old["components"]["schemas"]["Thing"]
    )
    assert lines(old, new) == [
        "broken: component Thing probably renamed to Item",
        "changed: component Unused removed: string",
    ]
    inline = document(post({"requestBody": content(old["components"]["schemas"]["Thing"])}))
    assert lines(inline, document(path, Thing=old["components"]["schemas"]["Thing"])) == [
        "changed: request body: type object -> Thing",
        "added: component Thing: object",
    ]


def test_components_inside_of_others() -> None:
    """All operations that use a component are named, also those that reach it through others."""
    paths = {
        **post({"requestBody": content(ref("A"))}),
        **post({"responses": {"200": content(ref("B"))}}, "/b", "getB"),
        "/circular": {"get": {"requestBody": {"$ref": "#/paths/~1circular/get/requestBody"}}},
    }
    inner = {"type": "array", "items": {"oneOf": [TEXT, ref("C"), {"type": "integer"}]}}
    a, b = ({"type": "object", "properties": {"next": one}} for one in (ref("B"), ref("C")))
    old = document(paths, A=a, B=b, C={"type": "object"})
    new = document(paths, A=a, B=b, C={"type": "object", "properties": {"c": inner}})
    (changed,), _ = compare_documents(old, new)
    assert changed.after == "array of string | C | integer, optional"
    assert changed.operations == ("doIt", "getB")


def test_fields_that_may_have_been_renamed() -> None:
    """A field that has gone is paired with the most similar new one that is equal."""
    fields = [
        {"color": TEXT, "b": TEXT, "n": {"type": "integer"}},
        {"b": TEXT, "colour": TEXT, "x": TEXT},
    ]
    old, new = ({"type": "object", "properties": one} for one in fields)
    assert lines(document(A=old), document(A=new)) == [
        "broken: field color probably renamed to colour",
        "broken: field n removed: integer, optional",
        "added: field x: string, optional",
    ]


def test_lists_and_maps() -> None:
    """Items and values are named by a path."""

    def listed(inner: Any) -> Document:
        fields = {"a": {"type": "array", "items": inner}, "m": {"additionalProperties": inner}}
        return document(A={"allOf": [{"type": "object", "properties": fields}, ref("B")]}, B=TEXT)

    assert lines(listed(TEXT), listed({"type": "integer"})) == [
        "broken: field a[]: type string -> integer",
        "broken: field m{}: type string -> integer",
    ]
    assert lines(document(A={}), listed(TEXT))[0] == "broken: component: type any -> B"
    day = {"type": "array", "items": {**TEXT, "format": "date"}}
    added = document(A={"type": "object", "properties": {"a": day}})
    assert lines(document(A={"type": "object"}), added) == [
        "added: field a: array of string (date), optional"
    ]


# --- operations -----------------------------------------------------------------------------------


def test_parameters() -> None:
    """Parameters are found by name, and are renamed, moved and written in another way."""

    def given(*parameters: Document) -> Document:
        return document(
            post({"parameters": [{"schema": TEXT, "in": "query", **p} for p in parameters]})
        )

    need = {"required": True}
    assert lines(
        given({"name": "a"}, {"name": "b"}, {"name": "bid", "in": "path", **need}, {"name": "h"}),
        given({"name": "a", "explode": False}, {"name": "b", **need, "deprecated": True}),
    ) == [
        "changed: query parameter a: style form, explode: yes -> form, explode: no",
        "broken: query parameter b: optional -> required",
        "changed: query parameter b: deprecated yes added",
        "broken: path parameter bid removed: string, required",
        "broken: query parameter h removed: string, optional",
    ]
    assert lines(given({"name": "a"}), given({"name": "b"}, {"name": "c", **need})) == [
        "broken: query parameter a probably renamed to b",
        "broken: query parameter c added: string, required",
    ]
    assert lines(given({"name": "a"}), given({"name": "a", "in": "header"})) == [
        "changed: header parameter a: location query -> header",
        "changed: header parameter a: style form, explode: yes -> simple, explode: no",
    ]
    both = given({"name": "a"}, {"name": "a", "in": "header"})
    assert (
        lines(given({"name": "b"}), both)[-1]
        == "added: header parameter a (header): string, optional"
    )
    filters = document(post({"parameters": [{"in": "query", "name": "a", **content(TEXT)}]}))
    assert lines(given({"name": "a"}), filters) == [
        "changed: query parameter a: style form, explode: yes -> application/json"
    ]


def test_bodies_and_answers() -> None:
    """Bodies, media types, statuses and headers."""
    old = post({"responses": {"200": content(TEXT), "202": {"description": "Later"}}})
    new = post(
        {
            "requestBody": {"required": True, **content(TEXT)},
            "responses": {
                "200": {
                    "content": {"application/json": {"schema": TEXT}, "text/csv": {"schema": {}}},
                    "headers": {"X-Total": {"schema": {"type": "integer"}}},
                },
                "404": {"$ref": "#/components/responses/missing~1gone"},
            },
        }
    )
    assert lines(document(old), document(new)) == [
        "changed: response 200: media types application/json -> application/json, text/csv",
        "added: response 200 field <text/csv>: any",
        "added: header X-Total: integer",
        "changed: status 202 removed",
        "broken: request body added: application/json, required",
        "added: status 404",
    ]
    assert (
        lines(document(new), document(old))[0]
        == "broken: request body removed: application/json, required"
    )


def test_operations() -> None:
    """Operations are found by operationId, else by method and path."""
    old = document(
        {**post({}), **post({}, "/a", "a"), **post({}, "/b/{x}", "b"), "/r": {"$ref": "#/x"}}
    )
    old["x"] = {"get": {"responses": {}}}
    new = document({**post({"deprecated": True}, "/moved"), **post({}, "/b/{y}", "c")})
    assert lines(old, new) == [
        "changed: operation: place POST /things -> POST /moved",
        "changed: operation: deprecated yes added",
        "broken: operation a removed: POST /a",
        "broken: operation b probably renamed to c",
        "broken: operation GET /r removed: GET /r",
    ]
    twice = document({**post({}), **post({}, "/again")})
    assert lines(document(post({})), twice) == ["added: operation POST /again: POST /again"]


def test_servers_and_security() -> None:
    """The document's own, and those of one operation. Another way in breaks nothing."""
    old, new = document(post({})), document(post({"security": [{}], "servers": [{"url": "/v2"}]}))
    key = {"type": "apiKey", "in": "query", "name": "key"}
    old["components"]["securitySchemes"] = {"k": key, "gone": key}
    new["components"]["securitySchemes"] = {"k": {**key, "in": "header"}, "more": key}
    old |= {"security": [{"k": []}], "info": {"version": "1"}}
    new |= {
        "security": [{"k": []}, {"a": [], "b": []}],
        "info": {"version": "2"},
        "openapi": "3.1.0",
    }
    assert lines(old, new) == [
        "neutral: document: OpenAPI 3.0.3 -> 3.1.0",
        "neutral: document: version 1 -> 2",
        "changed: document: security k -> a + b or k",
        "broken: security scheme k: type apiKey query key -> apiKey header key",
        "broken: security scheme gone removed: apiKey query key",
        "added: security scheme more: apiKey query key",
        "changed: operation: servers /v2 added",
        "broken: operation: security none added",
    ]
