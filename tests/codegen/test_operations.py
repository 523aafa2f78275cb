"""Operations made by hand, as no document is needed for them, are rendered, imported and called."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from codegen import _render
from codegen._api import Answer, Api, Body, Endpoint, Parameter, Reads, Style
from codegen._findings import Unsupported
from codegen._kinds import (
    Anything,
    Binary,
    Boolean,
    Constant,
    Integer,
    Kind,
    ListOf,
    MapOf,
    Model,
    Nullable,
    Password,
    Property,
    Text,
    Timestamp,
    Union,
)
from codegen._views.operations import OperationView, operation
from oneloop_core import ArgumentError, File, Secret
from tests.codegen import generating

TEXT, NUMBER, DOCUMENT = Text(), Integer(), {"info": {"title": "T"}, "servers": [{"url": "http://t"}]}
SMALL = Model("Small", "small", "Small", "", {}, [Property("size", "size", False, "", TEXT)])
WIDE = Model("Wide", "wide", "Wide", "", {}, [Property("n", "n", True, "", NUMBER)])


def taken(
    wire: str, location: str, kind: Kind = TEXT, style: str = "", explode: bool | None = None, **more: Any
) -> Parameter:
    """Return a parameter, optional unless in the path, with the style that OpenAPI defaults to."""
    form = location in ("query", "cookie")
    usual = Style(
        style or ("form" if form else "simple"),
        (form and style in ("", "form")) if explode is None else explode,
        more.pop("reserved", False),
    )
    required = more.pop("required", location == "path")
    name = more.pop("name", wire.replace("-", "_").lower())
    return Parameter(
        wire, name, required, more.pop("description", ""), kind, location=location, style=usual, **more
    )


def body(media: Any, content_type: str, kind: Kind, *, required: bool = True, **more: Any) -> Body:
    """Return a body of some kind."""
    styles, types = more.get("styles", {}), more.get("content_types", {})
    return Body(Property("body", "body", required, "", kind), media, content_type, styles, types)


def model(*fields: Property) -> Model:
    """Return an object, whose fields become arguments where it is a body."""
    return Model("Body", "body", "Body", "", {}, list(fields))


def has(name: str, kind: Kind = TEXT, *, required: bool = False, in_place: bool = False) -> Property:
    """Return a field of an object."""
    return Property(name, name.replace("-", "_").lower(), required, "", kind, in_place)


def endpoint(name: str, *parameters: Parameter, path: str = "/x", **more: Any) -> Endpoint:
    """Return an operation."""
    usual: dict[str, Any] = {
        "where": f"POST {path}",
        "method": "POST",
        "tag": "v1",
        "summary": "",
        "description": "",
        "deprecated": False,
        "body": None,
        "answers": [],
        "accept": "application/json",
        "answer_description": "",
        "errors": [],
        "security": None,
        "server": None,
        "extensions": {},
    }
    return Endpoint(name=name, path=path, parameters=list(parameters), **(usual | more))


def answer(status: int, reads: Reads, kind: Kind | None = None, highest: int = 0) -> Answer:
    """Return the answer of one status, or of several."""
    return Answer(status, highest or status, reads, kind)


IN_PLACE = model(has("by", required=True), has("note"))
ENDPOINTS = [
    endpoint("q_plain", taken("a", "query"), taken("ids", "query", ListOf(NUMBER))),
    endpoint("q_joined", taken("ids", "query", ListOf(TEXT), explode=False)),
    endpoint("q_spaces", taken("ids", "query", ListOf(TEXT), "spaceDelimited")),
    endpoint("q_pipes", taken("ids", "query", ListOf(TEXT), "pipeDelimited")),
    endpoint("q_deep", taken("f", "query", MapOf(Anything()), "deepObject")),
    endpoint("q_model", taken("f", "query", SMALL), taken("other", "query")),
    endpoint("q_object", taken("f", "query", MapOf(TEXT), explode=False)),
    endpoint("q_json", taken("f", "query", Nullable(MapOf(NUMBER)), "json")),
    endpoint("q_reserved", taken("to", "query", reserved=True)),
    endpoint("q_secret", taken("key", "query", Password(), reserved=True)),
    endpoint("q_secrets", taken("keys", "query", ListOf(Password()), explode=False)),
    endpoint("q_union", taken("n", "query", Union([NUMBER, ListOf(TEXT)]))),
    endpoint("q_any", taken("n", "query", Anything())),
    endpoint("q_null", taken("n", "query", Nullable(TEXT)), taken("m", "query", Nullable(TEXT), required=True)),
    endpoint("q_null_union", taken("n", "query", Union([TEXT, Constant(None)]), required=True)),
    endpoint("q_any_required", taken("n", "query", Anything(), required=True)),
    endpoint("q_constant", taken("v", "query", Constant("2"), required=True), taken("b", "query", Boolean())),
    endpoint("q_nested", taken("n", "query", ListOf(ListOf(TEXT)))),
    endpoint("q_time", taken("at", "query", Timestamp())),
    endpoint("p_simple", taken("user-id", "path", NUMBER), path="/u/{user-id}/end"),
    endpoint("p_list", taken("ids", "path", ListOf(TEXT)), path="/u/{ids}"),
    endpoint("p_label", taken("id", "path", TEXT, "label"), path="/u/{id}"),
    endpoint("p_matrix", taken("id", "path", ListOf(TEXT), "matrix", explode=True), path="/u{id}"),
    endpoint("p_json", taken("id", "path", Anything(), "json"), path="/u/{id}"),
    endpoint("p_null", taken("id", "path", Nullable(TEXT)), path="/u/{id}"),
    endpoint("p_secret", taken("id", "path", Password(), "matrix"), path="/k{id}/v"),
    endpoint("h_all", taken("X-Ids", "header", ListOf(NUMBER)), taken("X-T", "header", Nullable(Boolean()))),
    endpoint("h_object", taken("X-F", "header", SMALL, explode=True), taken("X-J", "header", SMALL, "json")),
    endpoint("h_secret", taken("X-Key", "header", Password()), taken("Accept", "header")),
    endpoint("c_all", taken("sid", "cookie", Password()), taken("ids", "cookie", ListOf(NUMBER), explode=False)),
    endpoint("j_patch", body=body("json", "application/merge-patch+json", model(has("a", Nullable(TEXT)), has("b")))),
    endpoint("j_any_type", body=body("json", "*/*", ListOf(NUMBER))),
    endpoint("j_optional", body=body("json", "application/json", model(has("a", required=True), has("b")), required=False)),
    endpoint(
        "j_groups",
        body=body(
            "json",
            "application/json",
            model(has("a", required=True), has("by", IN_PLACE, required=True, in_place=True), has("of", IN_PLACE, in_place=True)),
            required=False,
        ),
    ),
    endpoint("j_whole", body=body("json", "application/json", Nullable(WIDE), required=False)),
    endpoint("j_constant", body=body("json", "application/json", model(has("type", Constant("x"), required=True), has("a")), required=False)),
    endpoint("j_only_constant", body=body("json", "application/json", model(has("type", Constant("x"), required=True)), required=False)),
    endpoint(
        "f_form",
        body=body(
            "form",
            "application/x-www-form-urlencoded",
            model(has("Tag-s", ListOf(TEXT), required=True), has("f", MapOf(Anything()), in_place=True), has("o", SMALL), has("n", Nullable(TEXT)), has("key", Password()), has("p", ListOf(TEXT))),
            styles={"f": Style("deepObject", True), "p": Style("pipeDelimited", False)},
        ),
    ),
    endpoint("f_optional", body=body("form", "application/x-www-form-urlencoded", model(has("a", required=True), has("b")), required=False)),
    endpoint("f_map", body=body("form", "application/x-www-form-urlencoded", MapOf(TEXT))),
    endpoint("f_any", body=body("form", "application/x-www-form-urlencoded", Anything(), required=False)),
    endpoint(
        "m_files",
        body=body(
            "multipart",
            "multipart/form-data",
            model(has("file", Binary(), required=True), has("more", ListOf(Binary())), has("o", SMALL), has("a", NUMBER)),
            content_types={"file": "image/png", "more": "image/*", "a": "application/json"},
        ),
    ),
    endpoint("m_plain", body=body("multipart", "multipart/form-data", model(has("a")))),
    endpoint("t_text", body=body("text", "text/csv; charset=latin-1", TEXT, required=False)),
    endpoint("b_bytes", method="DELETE", body=body("bytes", "application/*", Binary())),
    endpoint("r_same", answers=[answer(200, "json", WIDE), answer(201, "json", WIDE)]),
    endpoint("r_differs", answers=[answer(200, "json", WIDE), answer(204, "nothing"), answer(200, "json", SMALL, 299)]),
    endpoint("r_null", answers=[answer(200, "json", Nullable(WIDE)), answer(201, "text"), answer(202, "bytes")]),
    endpoint("r_text", accept="text/csv", answers=[answer(200, "text")]),
    endpoint("r_nothing", answers=[answer(202, "nothing"), answer(204, "nothing")]),
    endpoint("s_security", security=(("a", "b"), ()), server="https://other.test", deprecated=True),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[generating.Api]:
    """Render all operations as one package, and import it."""
    folder = tmp_path_factory.mktemp("operations")
    with generating.generating(folder), pytest.MonkeyPatch.context() as patched:
        found = Api(ENDPOINTS, [SMALL, WIDE], [], [])
        patched.setattr(_render, "parse", lambda *_: found)
        api = generating.Api(folder)
        api.listing = _render.render(DOCUMENT, folder / api.package)
        yield api


def test_it(made):
    import shutil; shutil.rmtree("/tmp/ops_out",ignore_errors=True); shutil.copytree(made.folder, "/tmp/ops_out")
    pass
