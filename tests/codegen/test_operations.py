"""Operations with every kind of parameter, body and answer are rendered, imported and called."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl

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

TEXT, NUMBER = Text(), Integer()
DOCUMENT = {
    "info": {"title": "Things", "version": "1"},
    "servers": [{"url": "https://things.test"}],
}
SMALL = Model(
    (None, "Small"),
    "Small",
    "",
    name="Small",
    file="small",
    properties=[Property("size", "size", False, "", TEXT)],
)
IN_PLACE = Model((None, "By"), "By", "", name="By", file="by", properties=[])
CONSTANT_IN_PLACE = Model((None, "Typed"), "Typed", "", name="Typed", file="typed", properties=[])
WIDE = Model(
    (None, "Wide"),
    "Wide",
    "",
    name="Wide",
    file="wide",
    properties=[Property("n", "n", True, "", NUMBER)],
)


def taken(wire: str, location: str, kind: Kind = TEXT, style: str = "", **more: Any) -> Parameter:
    """Return a parameter, optional unless in the path, with the style that OpenAPI defaults to."""
    form = location in ("query", "cookie")
    usual: dict[str, Any] = {"required": location == "path", "description": ""} | more
    explode = usual.pop("explode", form and style in ("", "form"))
    own = Style(style or ("form" if form else "simple"), explode, usual.pop("reserved", False))
    name = wire.replace("-", "_").lower()
    return Parameter(wire_name=wire, name=name, kind=kind, location=location, style=own, **usual)


def body(media: Any, content_type: str, kind: Kind, *, required: bool = True, **more: Any) -> Body:
    """Return a body of some kind."""
    styles, types = more.get("styles", {}), more.get("content_types", {})
    return Body(Property("body", "body", required, "", kind), media, content_type, styles, types)


def model(*fields: Property) -> Model:
    """Return an object, whose fields become arguments where it is a body."""
    return Model((None, "Body"), "Body", "", name="Body", file="body", properties=list(fields))


def has(name: str, kind: Kind = TEXT, *, required: bool = False) -> Property:
    """Return a field of an object, which is written in place if it is an object."""
    in_place = kind in (IN_PLACE, CONSTANT_IN_PLACE)
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


IN_PLACE.properties += [has("by", required=True), has("note")]
TYPE = has("type", Constant("x"), required=True)
CONSTANT_IN_PLACE.properties += [TYPE, has("a")]
FORM_FIELDS = model(
    has("Tag-s", ListOf(TEXT), required=True),
    has("f", MapOf(Anything())),
    has("o", SMALL),
    has("n", Nullable(TEXT)),
    has("key", Password()),
    has("p", ListOf(TEXT)),
)
FORM_STYLES = {"f": Style("deepObject", True), "p": Style("pipeDelimited", False)}
FILE_FIELDS = model(
    has("file", Binary(), required=True),
    has("more", ListOf(Binary())),
    has("o", SMALL),
    has("a", NUMBER),
)
FILE_TYPES = {"file": "image/png", "more": "image/*", "a": "application/json"}
PAIR = model(has("a", required=True), has("b"))
JSON, FORM, FILES = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"
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
    endpoint(
        "q_null",
        taken("n", "query", Nullable(TEXT)),
        taken("m", "query", Nullable(TEXT), required=True),
    ),
    endpoint("q_null_union", taken("n", "query", Union([TEXT, Constant(None)]), required=True)),
    endpoint("q_any_required", taken("n", "query", Anything(), required=True)),
    endpoint(
        "q_constant",
        taken("v", "query", Constant("2"), required=True),
        taken("b", "query", Boolean()),
    ),
    endpoint("q_nested", taken("n", "query", ListOf(ListOf(TEXT)))),
    endpoint("q_time", taken("at", "query", Timestamp())),
    endpoint("p_simple", taken("user-id", "path", NUMBER), path="/u/{user-id}/end"),
    endpoint("p_list", taken("ids", "path", ListOf(TEXT)), path="/u/{ids}"),
    endpoint("p_label", taken("id", "path", TEXT, "label"), path="/u/{id}"),
    endpoint("p_matrix", taken("id", "path", ListOf(TEXT), "matrix", explode=True), path="/u{id}"),
    endpoint("p_json", taken("id", "path", Anything(), "json"), path="/u/{id}"),
    endpoint("p_null", taken("id", "path", Nullable(TEXT)), path="/u/{id}"),
    endpoint("p_secret", taken("id", "path", Password(), "matrix"), path="/k{id}/v"),
    endpoint(
        "h_all",
        taken("X-Ids", "header", ListOf(NUMBER)),
        taken("X-T", "header", Nullable(Boolean())),
    ),
    endpoint(
        "h_object",
        taken("X-F", "header", SMALL, explode=True),
        taken("X-J", "header", SMALL, "json"),
    ),
    endpoint("h_secret", taken("X-Key", "header", Password())),
    endpoint(
        "c_all",
        taken("sid", "cookie", Password()),
        taken("ids", "cookie", ListOf(NUMBER), explode=False),
    ),
    endpoint(
        "j_patch",
        body=body(
            "json", "application/merge-patch+json", model(has("a", Nullable(TEXT)), has("b"))
        ),
    ),
    endpoint("j_any_type", body=body("json", "*/*", ListOf(NUMBER))),
    endpoint("j_optional", body=body("json", JSON, PAIR, required=False)),
    endpoint(
        "j_groups",
        body=body(
            "json",
            JSON,
            model(has("a", required=True), has("by", IN_PLACE, required=True), has("of", IN_PLACE)),
            required=False,
        ),
    ),
    endpoint("j_group_constant", body=body("json", JSON, model(has("of", CONSTANT_IN_PLACE)))),
    endpoint("j_whole", body=body("json", JSON, Nullable(WIDE), required=False)),
    endpoint("j_constant", body=body("json", JSON, model(TYPE, has("a")), required=False)),
    endpoint("j_only_constant", body=body("json", JSON, model(TYPE), required=False)),
    endpoint("f_form", body=body("form", FORM, FORM_FIELDS, styles=FORM_STYLES)),
    endpoint("f_optional", body=body("form", FORM, PAIR, required=False)),
    endpoint("f_map", body=body("form", FORM, MapOf(TEXT))),
    endpoint("f_any", body=body("form", FORM, Anything(), required=False)),
    endpoint("m_files", body=body("multipart", FILES, FILE_FIELDS, content_types=FILE_TYPES)),
    endpoint("m_plain", body=body("multipart", FILES, model(has("a")))),
    endpoint("t_text", body=body("text", "text/csv; charset=latin-1", TEXT, required=False)),
    endpoint("b_bytes", method="DELETE", body=body("bytes", "application/*", Binary())),
    endpoint("r_same", answers=[answer(200, "json", WIDE), answer(201, "json", WIDE)]),
    endpoint(
        "r_differs",
        answers=[
            answer(200, "json", WIDE),
            answer(204, "nothing"),
            answer(200, "json", SMALL, 299),
        ],
    ),
    endpoint(
        "r_null",
        answers=[answer(200, "json", Nullable(WIDE)), answer(201, "text"), answer(202, "bytes")],
    ),
    endpoint("r_text", accept="text/csv", answers=[answer(200, "text")]),
    endpoint("r_nothing", answers=[answer(202, "nothing"), answer(204, "nothing")]),
    endpoint("s_security", security=(("a", "b"), ()), server="https://other.test", deprecated=True),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[generating.Api]:
    """Render all operations as one package, and import it."""
    folder = tmp_path_factory.mktemp("operations")
    with generating.generating(folder):
        found = Api(ENDPOINTS, [SMALL, WIDE], [], [])
        api = generating.Api(folder)
        api.listing = _render.render(found, DOCUMENT, folder / api.package, "things.yaml")
        yield api


def target(made: generating.Api, name: str, /, **arguments: Any) -> str:
    """Return the path and query of a call."""
    return str(made.call(name, **arguments).target)


def refusal(made: generating.Api, name: str, /, **arguments: Any) -> str:
    """Make a call with an argument that may not be sent, and return the error message."""
    with pytest.raises(ArgumentError) as caught:
        made.call(name, **arguments)
    assert caught.value.operation == name
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("q_plain", {}, "/x"),
        ("q_plain", {"a": "b c", "ids": [1, 2]}, "/x?a=b%20c&ids=1&ids=2"),
        ("q_plain", {"ids": []}, "/x"),
        ("q_joined", {"ids": ["a", "b,c"]}, "/x?ids=a,b%2Cc"),
        ("q_joined", {"ids": []}, "/x"),
        ("q_spaces", {"ids": ["a", "b"]}, "/x?ids=a%20b"),
        ("q_pipes", {"ids": ["a", "b"]}, "/x?ids=a%7Cb"),
        ("q_deep", {"f": {"a": {"b": [1]}}}, "/x?f%5Ba%5D%5Bb%5D%5B0%5D=1"),
        ("q_object", {"f": {"a": "b", "c": "d"}}, "/x?f=a,b,c,d"),
        ("q_json", {"f": {"a": 1}}, "/x?f=%7B%22a%22%3A1%7D"),
        ("q_json", {"f": None}, "/x?f=null"),
        ("q_json", {}, "/x"),
        ("q_reserved", {"to": "a/b?c&d"}, "/x?to=a/b?c%26d"),
        ("q_secret", {"key": "a/b"}, "/x?key=a%2Fb"),
        ("q_secrets", {"keys": ["a", "b"]}, "/x?keys=a,b"),
        ("q_union", {"n": 1}, "/x?n=1"),
        ("q_union", {"n": ["a", "b"]}, "/x?n=a&n=b"),
        ("q_any", {"n": True}, "/x?n=true"),
        ("q_any", {"n": ["a", 1]}, "/x?n=a&n=1"),
        ("q_any", {"n": {"a": [1, 2], "b": {"c": 3}}}, "/x?a=1&a=2&b=%7B%22c%22%3A3%7D"),
        ("q_any", {}, "/x"),
        ("q_any_required", {"n": None}, "/x"),
        ("q_null", {"m": None}, "/x"),
        ("q_null", {"n": "a", "m": "b"}, "/x?n=a&m=b"),
        ("q_null_union", {"n": None}, "/x"),
        ("q_constant", {"b": False}, "/x?v=2&b=false"),
        ("q_nested", {"n": [["a"], ["b"]]}, "/x?n=%5B%22a%22%5D&n=%5B%22b%22%5D"),
        ("q_time", {"at": datetime(2026, 1, 2, tzinfo=UTC)}, "/x?at=2026-01-02T00%3A00%3A00.000Z"),
        ("p_simple", {"user_id": 5}, "/u/5/end"),
        ("p_list", {"ids": ["a", "b/c"]}, "/u/a,b%2Fc"),
        ("p_label", {"id": "a"}, "/u/.a"),
        ("p_matrix", {"id": ["a", "b"]}, "/u;id=a;id=b"),
        ("p_json", {"id": {"a": 1}}, "/u/%7B%22a%22%3A1%7D"),
        ("p_null", {"id": "a"}, "/u/a"),
        ("p_secret", {"id": "a/b"}, "/k;id=a%2Fb/v"),
    ],
)
def test_paths_and_queries(
    made: generating.Api, name: str, arguments: dict[str, Any], expected: str
) -> None:
    """Each parameter is written in its style; null and empty lists are not sent."""
    assert target(made, name, **arguments) == expected


def test_objects_in_queries(made: generating.Api) -> None:
    """The fields of an object are parameters of their own."""
    assert target(made, "q_model", f=made.Small(size="a&b"), other="c") == "/x?size=a%26b&other=c"


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("q_spaces", {"ids": ["a b"]}, "ids must not contain ' ', which separates items"),
        ("q_null_union", {"n": 1}, "n must be of one of 2 known types, got 1"),
        ("p_list", {"ids": []}, "ids must not be empty"),
        ("p_null", {"id": None}, "id must be a string, got None"),
        ("h_all", {"x_ids": ["a"]}, "x_ids[0] must be an integer, got a value of type str"),
        (
            "h_secret",
            {"x_key": "a\n"},
            "x_key must be printable ASCII without a space at either end",
        ),
        ("j_optional", {"b": "c"}, "a is required with b"),
        ("j_groups", {"of_by": "c"}, "a is required with by_by, by_note, of_by, of_note"),
        ("j_groups", {"a": "c"}, "by_by is required with a, by_note, of_by, of_note"),
        ("j_groups", {"a": "c", "by_by": "d", "of_note": "e"}, "of_by is required with of_note"),
        ("f_form", {"tag_s": [], "p": ["a|b"]}, "p must not contain '|', which separates items"),
        ("f_any", {"body": [1]}, "body must be a dict, got a value of type list"),
        ("f_optional", {"b": "c"}, "a is required with b"),
        ("m_files", {"file": File(b"", "")}, "file.filename must not be empty"),
        (
            "m_files",
            {"file": b"", "more": [b"", "text"]},
            "more[1] must be bytes or a File (call read() on an open file), "
            "got a value of type str",
        ),
        ("q_constant", {"v": "3"}, "v must be '2'"),
    ],
)
def test_arguments_that_may_not_be_sent(
    made: generating.Api, name: str, arguments: dict[str, Any], problem: str
) -> None:
    """The error names the argument and the place in it."""
    assert refusal(made, name, **arguments) == problem


def test_headers(made: generating.Api) -> None:
    """Lists, objects and JSON are headers; null is not sent."""
    assert made.call("h_all").headers == ()
    assert made.call("h_all", x_ids=[1, 2], x_t=True).headers == (("X-Ids", "1,2"), ("X-T", "true"))
    assert made.call("h_all", x_ids=[], x_t=None).headers == (("X-Ids", ""),)
    size = made.Small(size="a")
    expected = (("X-F", "size=a"), ("X-J", '{"size":"a"}'))
    assert made.call("h_object", x_f=size, x_j=size).headers == expected
    call = made.call("h_secret", x_key="key")
    assert [(name, value.reveal()) for name, value in call.headers] == [("X-Key", "key")]
    assert len(call.secrets) == 1


def test_cookies(made: generating.Api) -> None:
    """Cookies are encoded, and secret ones stay wrapped."""
    assert made.call("c_all").cookies == ()
    call = made.call("c_all", sid="a b", ids=[1, 2])
    [(name, value), ids] = call.cookies
    assert isinstance(value, Secret)
    assert (name, value.reveal(), ids) == ("sid", "a%20b", ("ids", "1,2"))
    assert "a b" not in repr(call)


@pytest.mark.parametrize(
    ("name", "arguments", "body"),
    [
        ("j_patch", {}, {}),
        ("j_patch", {"a": None, "b": "c"}, {"a": None, "b": "c"}),
        ("j_any_type", {"body": [1, 2]}, [1, 2]),
        ("j_optional", {}, None),
        ("j_optional", {"a": "c"}, {"a": "c"}),
        ("j_groups", {}, None),
        ("j_groups", {"a": "c", "by_by": "d"}, {"a": "c", "by": {"by": "d"}}),
        (
            "j_groups",
            {"a": "c", "by_by": "d", "of_by": "e"},
            {"a": "c", "by": {"by": "d"}, "of": {"by": "e"}},
        ),
        ("j_whole", {}, None),
        ("j_constant", {}, None),
        ("j_constant", {"a": "b"}, {"type": "x", "a": "b"}),
        ("j_only_constant", {}, None),
        ("j_only_constant", {"type": "x"}, {"type": "x"}),
        ("j_group_constant", {}, {}),
        ("j_group_constant", {"of_a": "b"}, {"of": {"type": "x", "a": "b"}}),
    ],
)
def test_json_bodies(made: generating.Api, name: str, arguments: dict[str, Any], body: Any) -> None:
    """Nothing is sent if no argument of an optional body is given."""
    sent = made.call(name, **arguments).body
    assert (None if sent is None else json.loads(sent)) == body


def test_json_media_types(made: generating.Api) -> None:
    """A media type is sent as the document says, unless it is a range."""
    assert made.call("j_patch").content_type == "application/merge-patch+json"
    assert made.call("j_any_type", body=[]).content_type is None
    assert made.call("j_whole", body=None).body == b"null"
    assert made.body("j_whole", body=made.Wide(n=1)) == {"n": 1}


def test_forms(made: generating.Api) -> None:
    """Fields are written in their styles, and null is not sent."""
    call = made.call(
        "f_form",
        tag_s=["a", "b"],
        f={"x": {"y": 1}},
        o=made.Small(size="s"),
        n=None,
        key="k y",
        p=["c", "d"],
    )
    assert call.content_type == "application/x-www-form-urlencoded"
    assert parse_qsl(call.body.decode(), strict_parsing=True) == [
        ("Tag-s", "a"),
        ("Tag-s", "b"),
        ("f[x][y]", "1"),
        ("o", '{"size":"s"}'),
        ("key", "k y"),
        ("p", "c|d"),
    ]
    assert (made.call("f_optional").body, made.call("f_optional").content_type) == (None, None)
    assert made.call("f_optional", a="b").body == b"a=b"
    assert made.call("f_map", body={"a b": "c"}).body == b"a%20b=c"
    assert made.call("f_any").body is None
    assert made.call("f_any", body={"a": [1, 2]}).body == b"a=1&a=2"


def test_forms_with_files(made: generating.Api) -> None:
    """Files, lists of files, objects and scalars are parts, as an e-mail parser reads them."""
    image = File(b"\x00\r\n", "a.png", "image/gif")
    call = made.call("m_files", file=b"1", more=[image, b"2"], o=made.Small(size="s"), a=5)
    head = b"Content-Type: " + call.content_type.encode() + b"\r\n\r\n"
    parts: Any = BytesParser().parsebytes(head + call.body).get_payload()
    assert [
        (
            one.get_param("name", header="content-disposition"),
            one.get_filename(),
            one["content-type"],
            one.get_payload(decode=True),
        )
        for one in parts
    ] == [
        ("file", "upload", "image/png", b"1"),
        ("more", "a.png", "image/gif", b"\x00\r\n"),
        ("more", "upload", "application/octet-stream", b"2"),
        ("o", None, "application/json", b'{"size":"s"}'),
        ("a", None, "application/json", b"5"),
    ]
    assert b'name="a"\r\n\r\nb\r\n' in made.call("m_plain", a="b").body


def test_texts_and_bytes(made: generating.Api) -> None:
    """Text is UTF-8, whatever charset the document names; a file brings its own type."""
    call = made.call("t_text", body="\u00e4")
    assert (call.body, call.content_type) == (b"\xc3\xa4", "text/csv; charset=utf-8")
    assert made.call("t_text").body is None
    call = made.call("b_bytes", body=b"a")
    assert (call.body, call.content_type) == (b"a", "application/octet-stream")
    call = made.call("b_bytes", body=File(b"a", content_type="image/png"))
    assert (call.body, call.content_type, call.operation.method) == (b"a", "image/png", "DELETE")


def test_answers(made: generating.Api) -> None:
    """Answers of one kind have one decoder, others are listed with their statuses."""

    def described(name: str) -> Any:
        made_of = made.module(f"api.v1.{name}").OPERATION
        ranges = [(one.lowest, one.highest, one.reads) for one in made_of.answers]
        return made_of.decode and made_of.decode.__qualname__, ranges

    assert described("r_same") == ("Wide.__from_wire__", [])
    assert described("r_nothing") == (None, [])
    assert described("r_differs") == (
        None,
        [(200, 200, "json"), (204, 204, "nothing"), (200, 299, "json")],
    )
    assert described("r_text") == (None, [(200, 200, "text")])
    decode = made.module("api.v1.r_null").OPERATION.answers[0].decode
    assert (decode(None), decode({"n": 1})) == (None, made.Wide(n=1))
    assert made.module("api.v1.r_text").OPERATION.accept == "text/csv"
    assert made.module("api.v1.r_same").OPERATION.accept == "application/json"


@pytest.mark.parametrize(
    ("name", "returns"),
    [
        ("r_same", "Wide"),
        ("r_differs", "Wide | Small | None"),
        ("r_null", "Wide | str | bytes | None"),
        ("r_text", "str"),
        ("r_nothing", "None"),
        ("q_plain", "None"),
    ],
)
def test_return_types(name: str, returns: str) -> None:
    """The type is the union of what the answers contain."""
    assert view(name).returns == returns


def test_what_clients_need(made: generating.Api) -> None:
    """Security, server and deprecation are data of the operation."""
    found = made.module("api.v1.s_security").OPERATION
    assert (found.security, found.server) == ((("a", "b"), ()), "https://other.test")
    assert found.deprecated == "s_security is deprecated"
    usual = made.module("api.v1.q_plain").OPERATION
    assert (usual.security, usual.server, usual.deprecated) == (None, None, "")


def view(name: str) -> OperationView:
    """Return the view of one of the operations."""
    return next(operation(one) for one in ENDPOINTS if one.name == name)


@pytest.mark.parametrize(
    ("name", "signature", "declarations"),
    [
        ("q_null", "q_null([n], m)", ["n: str | None = None", "m: str | None"]),
        ("q_json", "q_json([f])", ["f: Mapping[str, int] | None | Unset = UNSET"]),
        ("q_any_required", "q_any_required(n)", ["n: Any"]),
        ("q_constant", "q_constant([v], [b])", ["v: Literal['2'] = '2'", "b: bool | None = None"]),
        ("p_null", "p_null(id)", ["id: str"]),
        ("j_only_constant", "j_only_constant([type])", ["type: Literal['x'] | None = None"]),
        ("b_bytes", "b_bytes(body)", ["body: bytes | File"]),
    ],
)
def test_signatures(name: str, signature: str, declarations: list[str]) -> None:
    """None means null where null can be sent; a constant has its value as default."""
    found = view(name)
    assert found.signature == signature
    assert [one.declaration for one in found.arguments] == declarations


def test_docstrings_say_what_is_done() -> None:
    """What is deprecated, not sent or written as JSON is said where users read."""
    old = taken("old", "query", deprecated=True, description="The old one")
    text = operation(endpoint("it", old, deprecated=True)).docstring
    assert "old: The old one. Deprecated.\n" in text
    assert "Deprecated: the API may remove it." in text
    assert "m: `None` is not sent." in view("q_null").docstring
    assert "n: Lists and objects inside it are sent as JSON." in view("q_nested").docstring
    assert "as JSON" not in view("q_deep").docstring + view("q_plain").docstring


def test_the_list_of_operations(made: generating.Api) -> None:
    """The page names its document and clients; a deprecated operation is listed as one."""
    assert "| `POST /x` | `s_security()` (deprecated) |" in made.listing
    assert "| `POST /u/{user-id}/end` | `p_simple(user_id)` |" in made.listing
    assert f"<!-- {_render.mark('things.yaml', ours=False)} -->\n" in made.listing
    assert "Each is a method of `Client` and `AsyncClient`," in made.listing


@pytest.mark.parametrize(
    ("refused", "problem"),
    [
        (endpoint("it", path="/a b"), "the path has characters that a URL's path cannot have"),
        (endpoint("it", path="/{{a}}"), "the path has characters that a URL's path cannot have"),
        (endpoint("it", accept="a/b\r\nX: y"), r"'a/b\r\nX: y' is not a media type"),
        (
            endpoint("it", body=body("text", "a/b\n", TEXT)),
            r"'a/b\n' is not a media type",
        ),
        (
            endpoint("it", body=body("multipart", "a/b", SMALL, content_types={"size": "\u00e4"})),
            "'\u00e4' is not a media type",
        ),
    ],
)
def test_what_is_refused(refused: Endpoint, problem: str) -> None:
    """Each refusal has the place of the operation, so that it can be left out."""
    with pytest.raises(Unsupported) as caught:
        operation(refused)
    assert caught.value.place == ("paths", refused.path, "post")
    assert caught.value.problem.startswith(problem)
