"""Operations of the document that the sandbox does not simulate."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codegen._document import read_document
from codegen._overlays import patch, read_actions
from oneloop.sandbox import Fault
from tests import ROOT
from tests.sandbox.calls import OPERATIONS, UNSIMULATED, Api, serving

HEADER = "x-sandbox-simulated"
TEXT = {"type": "string"}
PARAMETER = {"name": "id", "in": "path", "required": True, "schema": TEXT}


def as_json(schema: dict[str, Any], media_type: str = "application/json", **more: Any) -> Any:
    """Return a response or a request body in JSON."""
    return {"description": "That", "content": {media_type: {"schema": schema, **more}}}


def answers(status: str = "200", **response: Any) -> dict[str, Any]:
    """Return an operation with one successful response and an error."""
    return {"responses": {status: {"description": "That", **response}, "401": {}}}


THING = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": TEXT, "parent": {"$ref": "#/components/schemas/Thing"}},
}
PATHS = {
    "/api/v1/workspace/{workspaceId}": {
        "parameters": [PARAMETER],
        "delete": answers("204"),
        "get": answers(**as_json({"type": "integer"})),
    },
    "/api/v1/workspace/all": {"get": answers(**as_json(TEXT))},
    "/api/v1/things": {
        "post": {
            **answers("201", **{"$ref": "#/components/responses/Thing"}),
            "requestBody": {"$ref": "#/components/requestBodies/Thing"},
        },
        "put": {
            **answers(**as_json({"type": "array", "items": TEXT})),
            "requestBody": as_json(THING),
        },
    },
    "/api/v1/things/{thing-id}:copy": {
        "get": {"responses": {"default": as_json({}, "application/hal+json", example=[5])}}
    },
    "/api/v1/headers": {
        "head": {"responses": {"400": {"description": "No"}}},
        "get": answers(
            "2XX",
            headers={"X-Left": {"$ref": "#/components/headers/Left"}, "X-Other": {"schema": TEXT}},
            content={"text/plain": {"schema": TEXT}},
        ),
    },
}
COMPONENTS = {
    "schemas": {"Thing": THING},
    "responses": {"Thing": as_json({"$ref": "#/components/schemas/Thing"})},
    "requestBodies": {"Thing": {**as_json(THING), "required": True}},
    "headers": {"Left": {"required": True, "schema": {"type": "integer"}}},
}


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Yield a sandbox whose document is the one above."""
    document = {"openapi": "3.0.3", "paths": PATHS, "components": COMPONENTS}
    (tmp_path / "document.json").write_text(json.dumps(document), "utf-8")
    monkeypatch.setattr("oneloop.sandbox._operations._files.files", lambda _: tmp_path)
    with serving() as called:
        yield called


@pytest.mark.parametrize("call", OPERATIONS)
def test_a_sample_says_that_it_is_one(api: Api, call: str) -> None:
    """A response that is only a sample has a header that says so; a simulated one does not."""
    reply = api.exchange(call, OPERATIONS[call])
    assert reply.headers.get(HEADER) == ("false" if call in UNSIMULATED else None)


@pytest.mark.parametrize(
    ("call", "status", "content_type", "answer"),
    [
        ("POST /things", 201, "application/json; charset=utf-8", {"name": "example"}),
        ("PUT /things", 200, "application/json; charset=utf-8", ["example"]),
        ("GET /things/a%20b:copy", 200, "application/hal+json", [5]),
        ("GET /workspace/all", 200, "application/json; charset=utf-8", "example"),
        ("DELETE /workspace/ws_1", 204, None, None),
        ("GET /headers", 200, None, None),
        ("HEAD /headers", 200, None, None),
    ],
)
def test_the_first_success_of_the_document_is_answered(
    things: Api, call: str, status: int, content_type: str | None, answer: object
) -> None:
    """The sample has the status and media type of the document's first successful response."""
    reply = things.exchange(call, {})
    assert (reply.status, reply.headers.get("content-type")) == (status, content_type)
    assert (json.loads(reply.body) if reply.body else None) == answer
    assert reply.headers[HEADER] == "false"
    assert not things.applied()


def test_required_headers_are_sent(things: Api) -> None:
    """The sample has the required headers, and leaves out optional ones."""
    headers = things.exchange("GET /headers").headers
    assert (headers["x-left"], "x-other" in headers) == ("1", False)


def test_simulated_operations_stay_as_they_are(things: Api) -> None:
    """An operation is simulated even if the document renames its path parameter."""
    assert things.ask("GET /workspace/ws_1")["workspace"]["id"] == "ws_1"


def test_a_path_names_its_simulated_and_other_methods(things: Api) -> None:
    """A 405 response lists the simulated and the other methods of the path."""
    reply = things.exchange("POST /workspace/ws_1")
    assert reply.status == 405
    assert set(reply.headers["allow"].split(", ")) == {"DELETE", "GET", "HEAD", "PATCH"}


@pytest.mark.parametrize("call", ["POST /things", "PUT /things", "DELETE /workspace/ws_1"])
def test_a_token_is_needed_first(things: Api, call: str) -> None:
    """An operation with a sample needs a token too; a link token is not enough."""
    restricted = {"Authorization": f"Bearer {things.sandbox.restricted_api_key}"}
    assert things.send(call, headers={})[0] == 401
    assert things.send(call, headers=restricted)[0] == 403
    assert things.send(call, link=things.new_link())[0] == 403


@pytest.mark.parametrize(
    ("call", "body", "content_type", "message"),
    [
        ("POST", b"{", "application/json", "body: must be JSON"),
        ("PUT", b"{", "application/json", "body: must be JSON"),
        ("POST", b"", "application/json", "body: must be JSON"),
        ("POST", b"{}", "text/plain", "content-type: must be application/json"),
    ],
)
def test_a_body_must_be_json(
    things: Api, call: str, body: bytes, content_type: str, message: str
) -> None:
    """A required body must be JSON; an optional one may be left out."""
    headers = {"Content-Type": content_type}
    reply = things.exchange(f"{call} /things", body, headers=headers)
    assert (reply.status, reply.message) == (400, message)
    assert things.exchange("PUT /things", b"").status == 200


def test_any_json_will_do(things: Api) -> None:
    """The body is not compared with its schema."""
    assert things.exchange("POST /things", [1]).status == 201


def test_faults_apply_as_to_any_call(things: Api) -> None:
    """Faults apply to samples too, even those that change the response."""
    things.sandbox.misbehave("503", Fault.large_body(50), Fault.large_body(50), "wrong-shape")
    assert things.exchange("PUT /things").status == 503
    assert things.exchange("PUT /things").body == b'["example"]'.ljust(50)
    for _ in range(2):
        assert things.exchange("DELETE /workspace/ws_1").body == b""
    things.sandbox.misbehave(Fault.wrong_shape("name"))
    assert things.ask("POST /things", {}) == {}
    assert [one.fault for one in things.sandbox.requests][:2] == ["503", "large-body"]


def test_the_sandbox_has_the_document_that_the_client_was_made_from() -> None:
    """The sandbox has the patched document from which the client was generated."""
    generated = ROOT / "generated" / "oneloop_api" / "document.json"
    document = json.loads(generated.read_text("utf-8"))
    assert document.pop("x-generated").startswith("Generated by ./generate.sh")
    del document["x-samples"]
    overlays = [ROOT / "overrides" / name for name in ("overlay.yaml", "annotations.yaml")]
    patched, _ = patch(read_document(ROOT / "openapi.yaml"), read_actions(*overlays))
    assert document == patched
