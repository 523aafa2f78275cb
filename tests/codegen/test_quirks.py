"""The quirk check: a rule finds its quirk, mends it, and leaves what only looks like it alone."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict

from codegen import _overlays
from codegen._document import check_document, parse_document, read_document
from codegen._errors import GenerationError
from codegen._findings import Finding
from codegen._overlays import read_actions
from codegen._project import OVERLAYS
from codegen._quirks import ANSWERS, mend, quirks
from codegen._structure import objects
from tests import ROOT

JSON = "application/json"
TEXT = {"type": "string"}
NUMBER = {"type": "number"}
DIGITS = {"type": "string", "pattern": r"^\d+$"}
ERRORS = {status: {"description": "No"} for status in ("400", "401")}
DONE = {"204": {"description": "Done"}, **ERRORS}
FIELD = ("components", "schemas", "T", "properties")
POST = ("paths", "/things", "post")
BODY = (*POST, "requestBody")
QUERY = (*POST, "parameters", 0, "schema")
Document = dict[str, Any]


def document(paths: Any = None, version: str = "3.0.3", **more: Any) -> Document:
    """Return a document."""
    info = {"title": "Things", "version": "1"}
    servers = [{"url": "https://things.test"}]
    return {"openapi": version, "info": info, "servers": servers, "paths": paths or {}, **more}


def copied(document: Document) -> Document:
    """Return a document in which no part stands in two places."""
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]


def schemas(version: str = "3.0.3", **components: Any) -> Document:
    """Return a document with components."""
    return document(version=version, components={"schemas": components})


def fields(version: str = "3.0.3", /, **properties: Any) -> Document:
    """Return a document with one component that has these fields."""
    return schemas(version, T={"type": "object", "properties": properties})


def model(*required: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object."""
    needs = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needs}


def ref(name: str, kind: str = "schemas") -> dict[str, Any]:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def operation(method: str = "post", path: str = "/things", **more: Any) -> Document:
    """Return the paths of one operation without a quirk, but for what is given."""
    given = {"operationId": "doIt", "tags": ["v1"], "responses": DONE, **more}
    return {path: {method: {key: value for key, value in given.items() if value is not None}}}


def calls(**more: Any) -> Document:
    """Return a document with one operation."""
    return document(operation(**more))


def takes(schema: Any, required: bool | None = None, content: str = JSON) -> dict[str, Any]:
    """Return a request body."""
    is_required = {} if required is None else {"required": required}
    return {"content": {content: {"schema": schema}}, **is_required}


def asks(name: str, schema: Any, where: str = "query", **more: Any) -> Document:
    """Return a document with one parameter."""
    path = f"/things/{{{name}}}" if where == "path" else "/things"
    required = {"required": True} if where == "path" else {}
    one = {"name": name, "in": where, "schema": schema, **required, **more}
    return calls(path=path, parameters=[one])


def secured(responses: Any, **more: Any) -> Document:
    """Return a document with one operation that needs credentials."""
    schemes = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
    made = document(operation(responses=responses, **more), components=schemes)
    return {**made, "security": [{"key": []}]}


def scheme(where: str) -> Document:
    """Return a document with an API key."""
    one = {"type": "apiKey", "name": "key", "in": where}
    return document(components={"securitySchemes": {"key": one}})


def refill(body: Any, path: str = "/refill", method: str = "post", **more: Any) -> Document:
    """Return a document with one operation that takes a body, and components."""
    paths = operation(method, path, requestBody=takes(body, True))
    return document(paths, components={"schemas": more})


def uses(component: Any, version: str = "3.0.3", name: str = "A") -> Document:
    """Return a document with two references to a component."""
    one = ref(name)
    return schemas(version, **{name: component, "B": model(x=one, y=one)})


SHARED = "$..parameters[?(@.name == 'limit' && @.schema.type == 'number' && !@.schema.format)]"
NULLABLE = {"type": ["object", "null"], "properties": {}}

# For each rule: documents that have the quirk, with its places and, where it is remarkable, the
# target of the first action.
QUIRKS: dict[str, list[tuple[Document, list[tuple[Any, ...]], str | None]]] = {
    "lost-backslash": [
        (fields(a={**TEXT, "pattern": "^d+$"}), [(*FIELD, "a")], "$..[?(@.pattern == '^d+$')]"),
        (
            fields(a={**TEXT, "pattern": "it's d{3}"}, b={**TEXT, "pattern": "it's d{3}"}),
            [(*FIELD, "a"), (*FIELD, "b")],
            r"$..[?(@.pattern == 'it\'s d{3}')]",
        ),
        (
            fields(a={**TEXT, "pattern": r"^\\d+$"}),
            [(*FIELD, "a")],
            r"$..[?(@.pattern == '^\\\\d+$')]",
        ),
        (asks("a", {**TEXT, "pattern": "^w+$"}), [QUERY], None),
        # The same pattern is right in one place, as an answer says.
        (
            fields(
                a={**TEXT, "pattern": "^d+$"},
                b={**TEXT, "pattern": "^d+$", ANSWERS: {"lost-backslash": "Only the letter d."}},
            ),
            [(*FIELD, "a")],
            "$.components.schemas.T.properties.a",
        ),
    ],
    "pattern-rejects": [
        (
            fields(a={**TEXT, "pattern": "^[a-z]+$", "example": "A"}),
            [(*FIELD, "a")],
            "$.components.schemas.T.properties.a.pattern",
        ),
        (fields(a={**TEXT, "pattern": "^[a-z]+$", "default": ""}), [(*FIELD, "a")], None),
        (fields(a={**TEXT, "pattern": "^[a-z]+$", "enum": ["a", "b1"]}), [(*FIELD, "a")], None),
        (fields("3.1.0", a={**TEXT, "pattern": "^a$", "examples": ["a\n"]}), [(*FIELD, "a")], None),
        (fields("3.1.0", a={**TEXT, "pattern": "^a$", "const": "b"}), [(*FIELD, "a")], None),
        (asks("q", {**TEXT, "pattern": "^a$"}, example="b"), [QUERY], None),
        (asks("q", {**TEXT, "pattern": "^a$"}, examples={"x": {"value": "b"}}), [QUERY], None),
        (
            fields(a={**TEXT, "pattern": r"^\d+$", "format": "x", "default": "٣"}),
            [(*FIELD, "a")],
            None,
        ),
    ],
    "digit-string": [
        # Another field whose name ends in the same word has digits.
        (
            fields(usage=DIGITS, totalBillingUsage=TEXT),
            [(*FIELD, "totalBillingUsage")],
            "$..[?(@.totalBillingUsage.type == 'string' && !@.totalBillingUsage.format)]"
            ".totalBillingUsage",
        ),
        (fields(a_usage={**TEXT, "format": "digits"}, usage=TEXT), [(*FIELD, "usage")], None),
        (fields(total_amount={**TEXT, "example": "120"}), [(*FIELD, "total_amount")], None),
        (fields(usage=DIGITS, my_usage={**TEXT, "example": "1"}), [(*FIELD, "my_usage")], None),
    ],
    "untyped-time": [
        (
            fields(createdAt=TEXT),
            [(*FIELD, "createdAt")],
            "$..[?(@.createdAt.type == 'string' && !@.createdAt.format)].createdAt",
        ),
        (
            fields(**{"created-at": TEXT}),
            [(*FIELD, "created-at")],
            "$..[?(@['created-at'].type == 'string' && !@['created-at'].format)]['created-at']",
        ),
        (fields(**{"it's\\Date": TEXT}), [(*FIELD, "it's\\Date")], None),
        (
            fields(timestamp={**TEXT, "description": "In ISO 8601, with seconds"}),
            [(*FIELD, "timestamp")],
            None,
        ),
        (fields(DATE={**TEXT, "example": "2026-01-31"}), [(*FIELD, "DATE")], None),
        (
            fields(due_date={**TEXT, "description": "On\nthe day (yyyy-MM-dd)."}),
            [(*FIELD, "due_date")],
            None,
        ),
        (fields(sentAt={**TEXT, "example": "2026-01-31T10:00:00Z"}), [(*FIELD, "sentAt")], None),
        # Another field of this name has a format already.
        (
            fields(sentAt=TEXT, b=model(sentAt={**TEXT, "format": "date"})),
            [(*FIELD, "sentAt")],
            "$..[?(@.sentAt.type == 'string' && !@.sentAt.format)].sentAt",
        ),
        # Only some of the fields of this name have the quirk, or it has another form.
        (
            fields(createdAt={**TEXT, "example": "2026-01-31T10:00:00Z"})
            | {"x-note": 1}
            | {
                "components": {
                    "schemas": {"A": model(sentAt=TEXT), "T": model(sentAt={**TEXT, "enum": ["x"]})}
                }
            },
            [("components", "schemas", "A", "properties", "sentAt")],
            "$.components.schemas.A.properties.sentAt",
        ),
        (
            fields("3.1.0", sentAt={"type": ["string", "null"]}),
            [(*FIELD, "sentAt")],
            "$.components.schemas.T.properties.sentAt",
        ),
        (
            fields("3.1.0", sentAt={"anyOf": [{"type": "null"}, {"oneOf": [TEXT]}]}),
            [(*FIELD, "sentAt", "anyOf", 1, "oneOf", 0)],
            "$.components.schemas.T.properties.sentAt.anyOf[1].oneOf[0]",
        ),
        (
            asks("since_date", TEXT, description="A day, as YYYY-MM-DD"),
            [QUERY],
            "$..parameters[?(@.name == 'since_date' && @.schema.type == 'string'"
            " && !@.schema.format)].schema",
        ),
    ],
    "fractional-count": [
        (asks("limit", {**NUMBER, "minimum": 1}), [QUERY], f"{SHARED}.schema"),
        (fields(pageSize={**NUMBER, "example": 2.0}), [(*FIELD, "pageSize")], None),
        (fields(code=NUMBER), [(*FIELD, "code")], None),
        (
            fields("3.1.0", total_count={"type": ["null", "number"]}),
            [(*FIELD, "total_count")],
            "$.components.schemas.T.properties.total_count.type[1]",
        ),
    ],
    "unmarked-secret": [
        (
            fields(token=TEXT, b={"type": "object", "properties": {"token": TEXT}}),
            [(*FIELD, "token"), (*FIELD, "b", "properties", "token")],
            "$..[?(@.token.type == 'string' && !@.token.format)].token",
        ),
        (fields(clientSecret={**TEXT, "pattern": "^s_"}), [(*FIELD, "clientSecret")], None),
        (fields(APIKey=TEXT), [(*FIELD, "APIKey")], None),
        (fields(user_password=TEXT), [(*FIELD, "user_password")], None),
        (
            schemas(CreateApiKeyResponse=model(key=TEXT)),
            [("components", "schemas", "CreateApiKeyResponse", "properties", "key")],
            None,
        ),
        (asks("X-Api-Key", TEXT, "header"), [QUERY], None),
    ],
    "credential-in-url": [
        (scheme("query"), [("components", "securitySchemes", "key")], None),
        (asks("token", {**TEXT, "format": "password"}), [QUERY], None),
        (
            asks("token", {**TEXT, "format": "password"}, "path"),
            [("paths", "/things/{token}", "post", "parameters", 0, "schema")],
            "$.paths['/things/{token}'].post.parameters[0].schema",
        ),
    ],
    "plain-http": [
        ({**document(), "servers": [{"url": "http://a.test/v1"}]}, [("servers", 0)], None),
        (calls(servers=[{"url": "http://a.test"}]), [(*POST, "servers", 0)], None),
    ],
    "nullable-component": [
        (
            uses({**model(), "nullable": True}),
            [("components", "schemas", "A")],
            "$.components.schemas.A.nullable",
        ),
        (
            uses(NULLABLE, "3.1.0"),
            [("components", "schemas", "A")],
            "$.components.schemas.A.type[1]",
        ),
        (uses({**model(), "nullable": True}, name="a.b"), [("components", "schemas", "a.b")], None),
        # A word that means something else in JSONPath.
        (
            uses({**model(), "nullable": True}, name="where"),
            [("components", "schemas", "where")],
            "$.components.schemas.where.nullable",
        ),
    ],
    "optional-body": [
        (
            calls(requestBody=takes(model("a", a=TEXT))),
            [BODY],
            "$.paths.*[?(@.requestBody.content && !@.requestBody.required)].requestBody",
        ),
        (
            refill({}, path="/x")
            | {"paths": operation(requestBody=takes({"allOf": [ref("A")]}))}
            | {"components": {"schemas": {"A": model("a", a=TEXT)}}},
            [BODY],
            None,
        ),
        (
            calls(method="patch", requestBody=takes(model(a=TEXT))),
            [("paths", "/things", "patch", "requestBody")],
            None,
        ),
        (calls(requestBody=takes({"type": "array", "items": TEXT})), [BODY], None),
        (
            document(
                operation(requestBody=takes(model("a", a=TEXT)))
                | operation(path="/more", operationId="more", requestBody=takes(model(a=TEXT)))
            ),
            [BODY],
            "$.paths['/things'].post.requestBody",
        ),
        (
            document(
                operation(requestBody=ref("R", "requestBodies")),
                components={"requestBodies": {"R": takes(model("a", a=TEXT))}},
            ),
            [("components", "requestBodies", "R")],
            "$.components.requestBodies.R",
        ),
        # A body that two operations share is one finding.
        (
            document(
                operation(requestBody=ref("R", "requestBodies"))
                | operation(path="/b", operationId="b", requestBody=ref("R", "requestBodies")),
                components={"requestBodies": {"R": takes(model("a", a=TEXT))}},
            ),
            [("components", "requestBodies", "R")],
            "$.components.requestBodies.R",
        ),
    ],
    "optional-amount": [
        (
            refill(ref("T"), "/r", T=model("meter", meter=TEXT, amount={"type": "integer"})),
            [(*FIELD, "amount")],
            "$.components.schemas.T",
        ),
        (
            refill(model("a", a=TEXT, total=True), "/r") | {"openapi": "3.1.0"},
            [
                (
                    "paths",
                    "/r",
                    "post",
                    "requestBody",
                    "content",
                    JSON,
                    "schema",
                    "properties",
                    "total",
                )
            ],
            None,
        ),
        (
            refill(model(note=TEXT, credits={"type": "integer"})),
            [
                (
                    "paths",
                    "/refill",
                    "post",
                    "requestBody",
                    "content",
                    JSON,
                    "schema",
                    "properties",
                    "credits",
                )
            ],
            None,
        ),
    ],
    "undocumented-401": [
        (
            secured({"204": DONE["204"], "400": ERRORS["400"]}),
            [POST],
            "$.paths.*[?(@.responses && !@.responses['401'] && !@.responses['403']"
            " && !@.responses['4XX'] && !@.responses['default'])]",
        ),
        (
            secured({"204": DONE["204"]})
            | {
                "paths": operation(responses={"204": DONE["204"]})
                | operation(
                    path="/free", operationId="free", security=[], responses={"204": DONE["204"]}
                )
            },
            [POST],
            "$.paths['/things'].post",
        ),
    ],
    "undocumented-400": [
        (calls(responses={"204": DONE["204"]}, requestBody=takes(model(), True)), [POST], None),
        (
            asks("q", TEXT)
            | {
                "paths": operation(
                    responses={"204": DONE["204"]},
                    parameters=[{"name": "q", "in": "query", "schema": TEXT}],
                )
            },
            [POST],
            None,
        ),
        (
            document(
                {
                    "/things": {
                        "parameters": [ref("Q", "parameters")],
                        **operation(responses={"204": DONE["204"]})["/things"],
                    }
                },
                components={"parameters": {"Q": {"name": "q", "in": "header", "schema": TEXT}}},
            ),
            [POST],
            None,
        ),
    ],
    "undocumented-success": [(calls(responses=ERRORS), [POST], None)],
    "no-operation-id": [
        (calls(operationId=None, path="/a/b-c"), [("paths", "/a/b-c", "post")], None)
    ],
    "no-tag": [
        (
            calls(tags=None, path="/api/v1/api-key/x"),
            [("paths", "/api/v1/api-key/x", "post")],
            None,
        ),
        (calls(tags=[], path="/"), [("paths", "/", "post")], None),
    ],
    "stale-answer": [
        (
            fields(a={**TEXT, ANSWERS: {"lost-backslash": "Only the letter d."}}),
            [(*FIELD, "a", ANSWERS, "lost-backslash")],
            f"$.components.schemas.T.properties.a['{ANSWERS}']['lost-backslash']",
        ),
        ({**document(), ANSWERS: {"no-such-rule": "Why."}}, [(ANSWERS, "no-such-rule")], None),
    ],
}

# For each rule: documents that are close to having the quirk, and have no finding at all.
NEIGHBOURS: dict[str, list[Document]] = {
    "lost-backslash": [
        *(fields(a={**TEXT, "pattern": one}) for one in (r"^\d+$", "^https?://", "^[smhd]+$")),
        fields(a={**TEXT, "example": {"pattern": "^d+$"}}),
        fields(pattern={**TEXT, "x-note": {"pattern": "^d+$"}}),
        fields(schema={**TEXT, "pattern": "^a$", "default": "a"}),
    ],
    "pattern-rejects": [
        fields(a={**TEXT, "pattern": "^[a-z]+$", "default": "a", "example": "b"}),
        fields(a={**TEXT, "nullable": True, "pattern": "^[a-z]+$", "default": None}),
        fields(a={**TEXT, "pattern": "a", "example": "bab"}),
        # Patterns that Python has not, or that could take long.
        fields(a={**TEXT, "pattern": r"^\p{L}$", "example": "1"}),
        fields(a={**TEXT, "pattern": "^(a|aa)+$", "example": "b"}),
    ],
    "digit-string": [
        fields(usage=DIGITS, usageName=TEXT),
        fields(usage=DIGITS, my_usage={**TEXT, "example": "much"}),
        fields(usage=DIGITS, my_usage={**TEXT, "enum": ["1"]}),
        fields(usage=DIGITS, my_usage={"type": "integer"}),
        fields(usage={**TEXT, "pattern": "^[a-z]+$"}, my_usage=TEXT),
        fields(amount={**TEXT, "example": "1.20"}, phone={**TEXT, "example": "0123"}),
        fields(amount=TEXT),
    ],
    "untyped-time": [
        fields(createdAt={**TEXT, "format": "date-time"}, at=TEXT, flat=TEXT, candidate=TEXT),
        fields(createdAt={"type": "integer"}, timezone=TEXT, updated=TEXT),
        fields(sentAt={**TEXT, "example": "1769853600"}, dueDate={**TEXT, "example": "31/01/26"}),
        fields(sentAt={**TEXT, "description": "Seconds of the Unix epoch"}),
        fields("3.1.0", sentAt={**TEXT, "examples": ["2026-01-31", "tomorrow"]}),
        fields(sentAt={**TEXT, "pattern": "^.+Z$"}, dueDate={**TEXT, "description": "DDMMYY"}),
    ],
    "fractional-count": [
        fields(limit={"type": "integer"}, creditLimit=NUMBER, price=NUMBER, ratio=NUMBER),
        fields(limit={**NUMBER, "format": "double"}, count={**NUMBER, "example": 0.5}),
        fields(seconds={**NUMBER, "multipleOf": 0.1}, size={**NUMBER, "maximum": 1.5}),
    ],
    "unmarked-secret": [
        fields(token={**TEXT, "format": "password"}, nextPageToken=TEXT, tokenType=TEXT),
        fields(
            publicKey=TEXT, key=TEXT, password={"type": "boolean"}, secret={**TEXT, "enum": ["a"]}
        ),
        schemas(CreateApiKeyResponse=model(keyName=TEXT)),
    ],
    "credential-in-url": [
        scheme("header"),
        asks("token", {**TEXT, "format": "password"}, "header"),
        asks("token", {"type": "boolean"}),
        asks("cursor_token", TEXT),
    ],
    "plain-http": [
        {**document(), "servers": [{"url": url}]}
        for url in ("http://localhost:8000/v1", "http://127.0.0.1", "http://api", "https://a.test")
    ]
    + [calls(externalDocs={"url": "http://a.test"})],
    "nullable-component": [
        schemas(A={**model(), "nullable": True}),
        uses(model(a={**TEXT, "nullable": True})),
        uses({**model(), "nullable": False}),
        uses({"type": ["null"]}, "3.1.0"),
    ],
    "optional-body": [
        calls(requestBody=takes(model("a", a=TEXT), True)),
        calls(requestBody=takes(model("a", a=TEXT), False)),
        calls(requestBody=takes(model(a=TEXT))),
        calls(requestBody=takes({})),
        calls(requestBody={"content": {}}),
        *(
            calls(requestBody={"content": {JSON: {"schema": one}, "text/plain": {"schema": {}}}})
            for one in (model("a", a=TEXT), {"type": "array", "items": TEXT})
        ),
        calls(
            method="put",
            requestBody=takes(model(a=TEXT)),
            parameters=[{"name": "q", "in": "query", "schema": TEXT}],
        ),
        calls(method="delete", requestBody=takes(TEXT)),
    ],
    "optional-amount": [
        refill(model("amount", amount=NUMBER, note=TEXT)),
        refill(model(amount={**NUMBER, "default": 1})),
        refill(model(amount={**NUMBER, "description": "By default everything"})),
        refill(model(amount=NUMBER), method="put"),
        refill(model(amount=NUMBER), path="/search"),
        refill(model("a", a=TEXT, b=TEXT, amount=NUMBER), path="/search"),
        refill(model(amountType=TEXT)),
        refill(model(amount=ref("Amount")), Amount={**NUMBER, "default": 1}),
    ],
    "undocumented-401": [
        *(
            secured({"204": DONE["204"], one: {"description": "No"}})
            for one in ("403", "4XX", "default")
        ),
        secured({"204": DONE["204"]}, security=[]),
        calls(responses={"204": DONE["204"]}),
        secured({"204": DONE["204"]}, security=[{}]),
    ],
    "undocumented-400": [
        calls(
            responses={"204": DONE["204"], "422": ERRORS["400"]}, requestBody=takes(model(), True)
        ),
        document(
            operation(
                path="/a/{id}",
                responses={"204": DONE["204"]},
                parameters=[{"name": "id", "in": "path", "required": True, "schema": TEXT}],
            )
        ),
    ],
    "undocumented-success": [
        *(
            calls(responses={one: {"description": "Yes"}, **ERRORS})
            for one in ("2XX", "302", "default")
        ),
    ],
    "no-operation-id": [calls()],
    "no-tag": [
        calls(),
        document({"/a": {"x-note": {"tags": []}}}),
        document(components={"schemas": {"get": model()}}),
    ],
    "stale-answer": [
        fields(a={**TEXT, "pattern": "^d+$", ANSWERS: {"lost-backslash": "Only the letter d."}}),
        {**calls(tags=None), ANSWERS: {"no-tag": "All are generated into one folder."}},
        fields(**{ANSWERS: model(a=TEXT)}),
    ],
}
FOUND = [
    pytest.param(rule, copied(case[0]), *case[1:], id=f"{rule}-{index}")
    for rule, cases in QUIRKS.items()
    for index, case in enumerate(cases)
]
CLEAN = [
    pytest.param(copied(one), id=f"{rule}-{index}")
    for rule, cases in NEIGHBOURS.items()
    for index, one in enumerate(cases)
]


def found(document: Document, rule: str | None = None) -> list[tuple[Any, ...]]:
    """Return the places of the findings of a rule."""
    return [one.place for one in quirks(document) if rule in (None, one.rule)]


def overlay(findings: list[Finding]) -> str:
    """Return an overlay with the actions of findings, as --lint prints it."""
    actions = [("", one.action) for one in findings if one.action]
    return "\n".join(_overlays.overlay(actions, "things.json"))


def mended(document: Document, findings: list[Finding], folder: Path) -> Document:
    """Return a document after the actions of findings, which go through an overlay."""
    path = folder / "overlay.yaml"
    path.write_text(overlay(findings), encoding="utf-8")
    patched, stale = _overlays.patch(document, read_actions(path))
    assert not stale
    return patched


def at(document: Any, place: tuple[Any, ...]) -> Any:
    """Return the part of a document at a place."""
    for key in place:
        document = document[key]
    return document


@pytest.mark.parametrize(("rule", "document", "places", "target"), FOUND)
def test_a_rule_finds_its_quirk(
    rule: str, document: Document, places: list[tuple[Any, ...]], target: str | None
) -> None:
    """A rule finds its quirk in its place, and no other rule finds anything."""
    check_document(document, "the test's document")
    before = deepcopy(document)
    findings = quirks(document)
    assert document == before
    assert [(one.rule, one.place) for one in findings] == [(rule, place) for place in places]
    for one in findings:
        assert one.action is not None
        assert one.action["x-quirk"] == rule
        assert one.action["description"] == f"{one.problem[0].upper()}{one.problem[1:]}."
        at(document, one.place)  # it is in the document
    assert target is None or findings[0].action["target"] == target  # type: ignore[index]


@pytest.mark.parametrize("document", CLEAN)
def test_a_neighbour_of_a_quirk_is_not_found(document: Document) -> None:
    """What only looks like a quirk is not reported."""
    check_document(document, "the test's document")
    assert quirks(document) == []


@pytest.mark.parametrize(("rule", "document", "places", "target"), FOUND)
def test_the_action_of_a_finding_mends_it(
    rule: str, document: Document, places: list[tuple[Any, ...]], target: str | None, tmp_path: Path
) -> None:
    """After the action of a finding, that finding is gone, nothing is new, and all is valid."""
    before = found(document)
    for one in quirks(document):
        assert one.action is not None
        patched = mended(document, [one], tmp_path)
        check_document(patched, "patched")
        assert one.place not in found(patched, rule)
        assert set(found(patched)) < set(before)


@pytest.mark.parametrize(("rule", "document", "places", "target"), FOUND)
def test_an_overlay_mends_all_findings(
    rule: str, document: Document, places: list[tuple[Any, ...]], target: str | None, tmp_path: Path
) -> None:
    """The overlay of all findings can be used as it is; its actions have names of their own."""
    assert quirks(mended(document, quirks(document), tmp_path)) == []
    names = [action.name for action in read_actions(tmp_path / "overlay.yaml")]
    assert len({*names}) == len(names)


@pytest.mark.parametrize(("rule", "document", "places", "target"), FOUND)
def test_an_answer_at_the_place_or_around_it_is_enough(
    rule: str, document: Document, places: list[tuple[Any, ...]], target: str | None
) -> None:
    """An answer to a rule applies to the part that has it and to all parts inside."""
    around = {place for place, _ in objects(copied(document)) if places[0][: len(place)] == place}
    assert () in around
    for place in around:
        answered = copied(document)
        at(answered, place).setdefault(ANSWERS, {})[rule] = "It is right."
        assert places[0] not in found(answered, rule)


def test_an_answer_applies_to_its_own_rule_and_part_only() -> None:
    """An answer to another rule, or beside the place, answers nothing and is reported itself."""
    lost = {**TEXT, "pattern": "^d+$"}
    one = fields(
        a={**lost, ANSWERS: {"no-tag": "Why."}}, b={**TEXT, ANSWERS: {"lost-backslash": "Why."}}
    )
    assert [(one.rule, one.place[3:]) for one in quirks(one)] == [
        ("lost-backslash", ("properties", "a")),
        ("stale-answer", ("properties", "a", ANSWERS, "no-tag")),
        ("stale-answer", ("properties", "b", ANSWERS, "lost-backslash")),
    ]


def test_one_of_two_answers_is_not_stale_if_both_apply() -> None:
    """An answer inside another one's part is used like that."""
    answer = {ANSWERS: {"lost-backslash": "Only the letter d."}}
    assert quirks(fields(a={**TEXT, "pattern": "^d+$", **answer}) | answer) == []


def test_a_published_document_cannot_answer() -> None:
    """Answers belong to overrides."""
    text = json.dumps({**document(), ANSWERS: {"no-tag": "Why."}})
    with pytest.raises(GenerationError) as caught:
        parse_document(text, "openapi.json")
    assert f"{ANSWERS}: this extension is for overlays only" in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "mended"),
    [
        ("^d+$", r"^\d+$"),
        ("^w+$", r"^\w+$"),
        ("d{3}", r"\d{3}"),
        ("s*,s*", r"\s*,\s*"),
        ("^[dw]+$", r"^[\d\w]+$"),
        ("^[d.-]{1,9}$", r"^[\d.-]{1,9}$"),
        ("[^s]+", r"[^\s]+"),
        ("^dddd-dd-dd$", r"^\d\d\d\d-\d\d-\d\d$"),
        ("^INVd{5}$", r"^INV\d{5}$"),
        ("^(d+)-(w*)$", r"^(\d+)-(\w*)$"),
        (r"^\\d+$", r"^\d+$"),
        (r"^\\w+@\\w+\\.com$", r"^\w+@\w+\.com$"),
        (r"\\d", r"\d"),
        (r"[\\d]", r"[\d]"),
    ],
)
def test_a_pattern_without_its_backslashes_is_mended(pattern: str, mended: str) -> None:
    """A class of characters gets its backslash back, or loses the second one."""
    assert mend(pattern) == mended


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"^\d+$", r"^\d+d+$", "^https?://", "^wss?://", "^[a-z0-9]+$", "[dw]", "^[smhd]+$"),
        *("^[a-d]+$", "words+", "add{2}", "d", "^d_[a-z]+$", r"C:\\.*", r"^\w+\\\w+$", "odd-1"),
        *(r"^\d\\d+$", r"\\dir", "oddd"),
    ],
)
def test_a_pattern_that_is_right_is_left_alone(pattern: str) -> None:
    """Letters that are only letters keep their meaning."""
    assert mend(pattern) == pattern


def test_a_general_action_applies_to_new_fields(tmp_path: Path) -> None:
    """An action for all fields of a name also mends a field that the document gets later."""
    old, new = fields(createdAt=TEXT), copied(fields(createdAt=TEXT, b=model(createdAt=TEXT)))
    assert quirks(mended(new, quirks(old), tmp_path)) == []


def test_patterns_are_tried_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the steps of a document are spent, no further pattern is tried."""
    one = fields(**{name: {**TEXT, "pattern": "^a$", "example": "b"} for name in "ab"})
    assert len(quirks(one)) == 2
    monkeypatch.setattr("codegen._quirks.MOST_STEPS", 1)
    assert len(quirks(one)) == 1


def test_data_that_something_refers_to_is_not_checked() -> None:
    """A reference into an example leads to no finding, because that part has no own place."""
    lost = {**TEXT, "pattern": "^d+$", "properties": {"a": {**TEXT, "pattern": "^d+$"}}}
    one = schemas(
        A={"type": "object", "example": {"b": lost}},
        B=model(x={"$ref": "#/components/schemas/A/example/b"}),
    )
    assert quirks(one) == []
    # A property of this name is no reference.
    named = fields(**{"$ref": {**TEXT, "pattern": "^d+$"}})
    assert found(named) == [(*FIELD, "$ref")]


def test_findings_are_values_of_json() -> None:
    """A finding can be written as JSON."""
    (finding,) = quirks(fields(token=TEXT))
    assert json.loads(json.dumps(asdict(finding)))["rule"] == "unmarked-secret"


def test_an_overlay_leaves_out_findings_without_an_action() -> None:
    """The overlay has one action for all findings that it mends, and skips others."""
    findings = [*quirks(copied(fields(token=TEXT, b=model(token=TEXT)))), Finding(("a",), "is odd")]
    assert overlay(findings).count("target:") == 1


def test_time_is_linear_in_the_document() -> None:
    """A document with many equal quirks takes no more steps for each."""
    many = {f"A{index}": model(createdAt=TEXT, token=TEXT) for index in range(3000)}
    assert len(quirks(copied(schemas(**many)))) == 6000


def test_our_document_has_no_finding_without_an_answer() -> None:
    """The overlays mend or answer all that the check finds in our own document."""
    published = read_document(ROOT / "openapi.yaml")
    patched, _ = _overlays.patch(published, read_actions(*OVERLAYS))
    assert quirks(patched) == []
    assert {one.rule for one in quirks(published)} == {
        *("lost-backslash", "digit-string", "untyped-time", "fractional-count", "unmarked-secret"),
        *("credential-in-url", "nullable-component", "optional-body", "optional-amount", "no-tag"),
    }
