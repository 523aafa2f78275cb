"""The second reading of a document: what differs from ours is found, and named."""

from typing import Any

import pytest

from codegen import _document, _overlays, _parser, _project, _second
from codegen.__main__ import main
from codegen._views import names
from tests.codegen.generating import NOTHING, TEXT, answers, parameter, post, ref, takes

THING = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": TEXT,
        "next": {"anyOf": [ref("Thing"), {"type": "null"}]},
        "tags": {"type": "array", "items": TEXT},
        "more": {"type": "object", "additionalProperties": {"type": "integer"}},
        "any": {},
        "either": {"oneOf": [TEXT, {"type": "integer"}]},
    },
}
FORM = {"required": True, "content": {"multipart/form-data": {"schema": ref("Thing")}}}
TWO = {"content": {**FORM["content"], "application/json": {"schema": TEXT}}}
CONTENT = {"application/json": {"schema": ref("Thing")}}
TEXTUAL = {"200": {"description": "A text", "content": {"text/plain": {"schema": TEXT}}}}
XML = {"200": {"description": "XML", "content": {"application/xml": {"schema": TEXT}}}}
HIDDEN = {"type": "object", "properties": {"id": {**TEXT, "readOnly": True}, "name": TEXT}}


def document(schemas: Any = None, **operation: Any) -> dict[str, Any]:
    """Return a document with one operation."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Things", "version": "1"},
        "paths": post("/things/{a-id}", **operation),
        "components": {"schemas": schemas or {"Thing": THING}},
    }


def operation(**changes: Any) -> dict[str, Any]:
    """Return an operation with something of each kind, changed."""
    limits = [parameter("a-id", "path", TEXT), parameter("limit", "query", {"type": "integer"})]
    created = {**answers(ref("Thing"), "201"), **NOTHING, "202": {"description": "Later"}}
    whole = {"parameters": limits, "requestBody": takes(ref("Thing")), "responses": created}
    return {**whole, **changes}


def compared(read: dict[str, Any], other: dict[str, Any]) -> tuple[list[str], int]:
    """Compare our reading of one document with openapi-python-client's of another."""
    api = _parser.parse(read, names.of_classes(), _document.problems(read))
    return _second.differences(other, api)


def thing(**changes: Any) -> dict[str, Any]:
    """Return components with a thing that has other fields or keywords."""
    fields = {**THING["properties"], **changes.pop("fields", {})}
    return {"Thing": {**THING, "properties": fields, **changes}}


def test_both_read_the_same_in_our_document() -> None:
    """Our document has no difference, and no operation that is not compared."""
    actions = _overlays.read_actions(*_project.OVERLAYS)
    ours, _ = _overlays.patch(_document.read_document(_project.DOCUMENT), actions)
    assert compared(ours, ours) == ([], 0)


@pytest.mark.parametrize(
    ("schemas", "changes"),
    [
        ({}, {}),
        ({}, {"requestBody": FORM}),
        ({}, {"requestBody": TWO}),
        ({}, {"responses": TEXTUAL}),
        ({}, {"responses": answers(ref("Thing"), "2XX")}),
        ({"Thing": {"allOf": [{**THING, "properties": {"id": TEXT}}, HIDDEN]}}, {}),
        ({"Thing": HIDDEN}, {}),
        (
            {},
            {
                "parameters": [
                    parameter("a-id", "path", TEXT),
                    {"name": "f", "in": "query", "content": CONTENT},
                ]
            },
        ),
    ],
)
def test_what_is_read_alike_or_not_compared_is_no_difference(
    schemas: dict[str, Any], changes: dict[str, Any]
) -> None:
    """One document has no differences."""
    one = document(schemas, **operation(**changes))
    assert compared(one, one) == ([], 0)


@pytest.mark.parametrize(
    ("schemas", "changes", "line"),
    [
        (
            {},
            {"parameters": [parameter("a-id", "path", TEXT)]},
            ": query parameter limit: we read optional, openapi-python-client nothing",
        ),
        (
            {},
            {
                "parameters": [
                    parameter("a-id", "path", TEXT),
                    parameter("limit", "query", TEXT, required=True),
                ]
            },
            ": query parameter limit: we read optional, openapi-python-client required",
        ),
        ({}, {"requestBody": None}, ": body: we read required, openapi-python-client nothing"),
        (
            {},
            {"requestBody": takes({"type": "array", "items": TEXT})},
            ": body: we read an object, openapi-python-client a list",
        ),
        (
            {},
            {"responses": answers(TEXT, "201")},
            ": answer 201: we read an object, openapi-python-client a scalar",
        ),
        (
            {},
            {"responses": NOTHING},
            ": answer 202: we read required, openapi-python-client nothing",
        ),
        (
            {},
            {"responses": {"201": {"description": "Done"}}},
            ": answer 201: we read an object, openapi-python-client nothing",
        ),
        (
            thing(required=[]),
            {},
            "/components/schemas/Thing.id: we read required, openapi-python-client optional",
        ),
        (
            thing(fields={"size": TEXT}),
            {},
            "/components/schemas/Thing.size: we read nothing, openapi-python-client optional",
        ),
        (
            thing(fields={"tags": {"type": "array", "items": {"type": "array", "items": TEXT}}}),
            {},
            "/components/schemas/Thing.tags[]: we read a scalar, openapi-python-client a list",
        ),
        (
            thing(
                fields={
                    "more": {
                        "type": "object",
                        "additionalProperties": {"type": "array", "items": TEXT},
                    }
                }
            ),
            {},
            "/components/schemas/Thing.more{}: we read a scalar, openapi-python-client a list",
        ),
    ],
)
def test_a_difference_is_one_line_with_both_readings(
    schemas: dict[str, Any], changes: dict[str, Any], line: str
) -> None:
    """What only one of the readers read, or read otherwise, is named with its place."""
    lines, skipped = compared(document(**operation()), document(schemas, **operation(**changes)))
    expected = line if line.startswith("/") else f"POST /things/{{a-id}}{line}"
    assert expected in lines
    assert skipped == 0


def test_an_operation_that_only_one_has_is_a_difference() -> None:
    """An operation is named with what each reader read."""
    one, other = document(**operation()), document(**operation())
    other["paths"]["/more"] = post(name="more")["/things"]
    line = "POST /more: we read {}, openapi-python-client {}"
    assert compared(one, other) == ([line.format("nothing", "required")], 0)
    assert compared(other, one) == ([line.format("required", "nothing")], 0)


@pytest.mark.parametrize("broken", [{"openapi": "2"}, {"paths": []}, {"components": 1}])
def test_a_document_that_it_cannot_read_is_skipped(broken: dict[str, Any]) -> None:
    """All operations are counted as skipped."""
    one = document(**operation())
    assert compared(one, {**one, **broken}) == ([], 1)


def test_an_error_of_it_skips_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that it crashes on is skipped too."""
    one = document(**operation())
    monkeypatch.setattr(_second.GeneratorData, "from_dict", lambda *_, **__: 1 / 0)
    assert compared(one, one) == ([], 1)


def test_operations_that_either_refuses_are_skipped() -> None:
    """Those that openapi-python-client refuses are counted; ours are reported elsewhere."""
    one = document(**operation(responses=XML))
    assert compared(one, one) == ([], 1)
    unsupported = document(**operation(parameters=[parameter("a-id", "path", ref("Nothing"))]))
    assert compared(unsupported, document(**operation())) == ([], 0)


def test_check_compares_our_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--check of our own document prints the differences and how many operations are skipped."""
    monkeypatch.setattr(_second, "differences", lambda *_: (["GET /x: we read a, b"], 2))
    assert main(["--check"]) == 1
    printed = capsys.readouterr().out
    assert "generate.sh: GET /x: we read a, b\n" in printed
    assert "openapi-python-client, our second reader, skips 2 operations\n" in printed
    assert main(["--check", "--no-overlays", "--leave-out"]) == 1
    assert "second reader" not in capsys.readouterr().out
