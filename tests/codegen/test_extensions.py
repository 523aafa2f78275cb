"""The extensions and formats that overlays set, and how request bodies become arguments."""

from inspect import signature
from typing import Any

import pytest

from oneloop_core import ArgumentError, ArgumentTypeError
from tests.codegen.generating import (
    NOTHING,
    TEXT,
    Api,
    Generate,
    answers,
    failure,
    parameter,
    post,
    ref,
    takes,
)


def model(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    """Return the schema of an object."""
    required_list = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **required_list, **more}


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        ("defaultAllowedIPs", "default_allowed_ips"),
        ("IPs", "ips"),
        ("userIDsByURLs", "user_ids_by_urls"),
        ("IPsum", "i_psum"),
        ("teamID", "team_id"),
        ("HTTPServer", "http_server"),
        ("iOS", "i_os"),
    ],
)
def test_plurals_of_acronyms_are_words(generate: Generate, wire: str, name: str) -> None:
    """Plural acronyms such as `IPs` are one word in names of fields, arguments and classes."""
    api = generate({"Thing": model({wire: TEXT})}, post(requestBody=takes(model({wire: TEXT}))))
    assert api.Thing(**{name: "a"}).to_dict() == {wire: "a"}
    assert api.body(**{name: "a"}) == {wire: "a"}


def test_a_field_and_an_argument_may_be_given_a_name(generate: Generate) -> None:
    """x-python-name renames fields and arguments in Python, but not on the wire."""
    right = {"type": "boolean", "x-python-name": "delete"}
    maybe = {**TEXT, "nullable": True, "x-python-name": "remark"}
    thing = model({"del": right, "rem": maybe}, "del")
    cryptic = {**TEXT, "x-python-name": "thing_id"}
    api = generate(
        {"Thing": thing},
        post(
            "/things/{tid}",
            parameters=[parameter("tid", "path", cryptic), parameter("p", "query", cryptic)],
            requestBody=takes(thing),
        ),
    )
    assert api.Thing(delete=True, remark=None).to_dict() == {"del": True, "rem": None}
    assert api.Thing.from_dict({"del": False}).delete is False
    with pytest.raises(ArgumentError, match=r"^delete must be"):
        api.Thing(delete="no").to_dict()
    call = api.call(thing_id="a/b", thing_id_query="c", delete=True, remark="d")
    assert call.target == "/things/a%2Fb?p=c"
    assert call.body == b'{"del":true,"rem":"d"}'


@pytest.mark.parametrize("name", ["two words", "class", "1st", "camelCase", "_hidden", ""])
def test_a_given_name_has_to_be_one(generate: Generate, name: str) -> None:
    """An x-python-name that is not a valid name is an error, and is not corrected silently."""
    named = {"type": "boolean", "x-python-name": name}
    message = failure(generate, {"T": model({"del": named})})
    where = "components.schemas.T.properties.del"
    assert message == f"{where}: x-python-name: {name!r} cannot be a name"
    for one in (parameter("p", "query", named), parameter("p", "query", TEXT) | named):
        message = failure(generate, {}, post(parameters=[one]))
        where = "paths./things.post.parameters.0"
        assert message == f"{where}: x-python-name: {name!r} cannot be a name"


def test_equal_schemas_of_one_class_name_share_the_class(generate: Generate) -> None:
    """Inline schemas with equal contents and the same x-python-class become one class."""
    inline = model({"key": TEXT}, "key", **{"x-python-class": "IssuedKey", "description": "A key"})
    status = {**TEXT, "enum": ["ON", "OFF"], "x-python-class": "Power"}
    api = generate(
        {
            "A": model({"one": inline, "power": status}, "one"),
            "B": model({"two": inline, "more": {"type": "array", "items": inline}}),
        },
        post(responses=answers(model({"apiKey": inline, "power": status}, "apiKey"))),
    )
    models = api.module("models")
    assert models.__all__ == ["A", "B", "DoItResponse", "IssuedKey", "Power"]
    assert type(api.A.from_dict({"one": {"key": "k"}}).one) is api.IssuedKey
    two = api.B.from_dict({"two": {"key": "k"}, "more": [{"key": "l"}]})
    assert [two.two, two.more[0]] == [api.IssuedKey(key="k"), api.IssuedKey(key="l")]
    decode = api.module("api.v1.do_it").OPERATION.decode
    assert decode({"apiKey": {"key": "k"}, "power": "ON"}).power is api.Power.ON
    assert api.IssuedKey.__doc__.startswith("A key.")


def test_other_schemas_of_that_class_name_are_an_error(generate: Generate) -> None:
    """Different schemas with the same x-python-class are an error."""
    message = failure(
        generate,
        {
            "A": model({"one": model({"a": TEXT}, **{"x-python-class": "Same"})}),
            "B": model({"two": model({"b": TEXT}, **{"x-python-class": "Same"})}),
        },
    )
    where = "components.schemas.B.properties.two"
    problem = "x-python-class: there is another schema 'Same'; give one another name"
    assert message == f"{where}: {problem}"


@pytest.mark.parametrize("name", ["two words", "lower", "1st", "Snake_Case", "", "ValueError"])
def test_a_given_class_name_has_to_be_one(generate: Generate, name: str) -> None:
    """An x-python-class that cannot name a class is an error."""
    message = failure(generate, {"T": model({"a": model({"b": TEXT}, **{"x-python-class": name})})})
    where = "components.schemas.T.properties.a"
    assert message == f"{where}: x-python-class: {name!r} cannot be a class"


@pytest.mark.parametrize("status", ["200", "201", "2XX"])
def test_an_answer_written_in_place_is_called_a_response(generate: Generate, status: str) -> None:
    """The class of an inline response is named `DoItResponse`, not `DoItResponse200`."""
    api = generate({}, post(responses=answers(model({"a": TEXT}), status)))
    assert api.module("models").__all__ == ["DoItResponse"]


# --- bodies --------------------------------------------------------------------------------------

RATE = model({"id": TEXT, "limit": {"type": "integer", "minimum": 1}, "note": TEXT}, "id", "limit")


@pytest.fixture(scope="module")
def grouped(generate: Generate) -> Api:
    """Generate an operation whose request body contains objects."""
    body = model(
        {
            "key": TEXT,
            "billing": model({"usage": {**TEXT, "nullable": True}, "usageName": TEXT}),
            "rate": RATE,
            "must": model({"a": TEXT, "b": TEXT}, "a"),
            "shared": ref("Shared"),
            "nullable": {**RATE, "nullable": True},
            "empty": model({}),
            "body": model({"headers": TEXT}),
            "query_x": TEXT,
            "query": model({"x": TEXT}),
        },
        *("key", "must"),
    )
    api = generate({"Shared": model({"s": TEXT})}, post(requestBody=takes(body)))
    assert isinstance(api, Api)
    return api


LEAST = {"key": "k", "must_a": "a"}


def test_fields_of_an_object_in_the_body_are_arguments(grouped: Api) -> None:
    """Fields of a nested object become arguments; without any of them the object is not sent."""
    assert grouped.body(**LEAST) == {"key": "k", "must": {"a": "a"}}
    assert grouped.body(**LEAST, billing_usage=None) == {
        "key": "k",
        "must": {"a": "a"},
        "billing": {"usage": None},
    }
    assert grouped.body(**LEAST, must_b="b", rate_id="i", rate_limit=2, body_headers="h") == {
        "key": "k",
        "must": {"a": "a", "b": "b"},
        "rate": {"id": "i", "limit": 2},
        "body": {"headers": "h"},
    }


def test_what_is_no_plain_object_stays_one_argument(grouped: Api) -> None:
    """A component, a nullable object and an object without fields stay one argument each."""
    names = set(signature(grouped.module("api.v1.do_it").call).parameters)
    assert {"shared", "nullable", "empty"} <= names
    shared = grouped.Shared(s="t")
    assert grouped.body(**LEAST, shared=shared, nullable=None) == {
        **grouped.body(**LEAST),
        "shared": {"s": "t"},
        "nullable": None,
    }


def test_names_of_such_arguments_may_collide(grouped: Api) -> None:
    """If two arguments would have the same name, the later one gets a suffix."""
    assert grouped.body(**LEAST, query_x="1", query_x_body="2") == {
        **grouped.body(**LEAST),
        "query_x": "1",
        "query": {"x": "2"},
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate_id": "i"}, "rate_limit is required with rate_id, rate_note"),
        ({"rate_limit": 1}, "rate_id is required with rate_limit, rate_note"),
        ({"rate_note": "n"}, "rate_id is required with rate_limit, rate_note"),
        ({"rate_id": "i", "rate_limit": 0}, "rate_limit must be at least 1, got 0"),
        ({"billing_usage": 5}, "billing_usage must be a string, got 5"),
    ],
)
def test_an_object_is_given_whole_or_not_at_all(
    grouped: Api, given: dict[str, Any], message: str
) -> None:
    """If only some required fields of an object are given, the error names the missing argument."""
    with pytest.raises(ArgumentError) as caught:
        grouped.call(**LEAST, **given)
    assert str(caught.value) == message
    assert caught.value.operation == "do_it"
    assert isinstance(caught.value, ArgumentTypeError) or "at least" in message


def test_a_body_of_arguments_needs_no_class(generate: Generate) -> None:
    """A body that becomes arguments has no class, unless it is used elsewhere too."""
    either = {"oneOf": [ref("Kept"), {"type": "array", "items": ref("Item")}]}
    body = model({"part": model({"kind": {**TEXT, "enum": ["A"]}}), "all": either})
    api = generate(
        {
            "Body": body,
            "Kept": model({"a": TEXT}),
            "Item": model({"self": {"type": "array", "items": ref("Item")}}),
            "Echo": model({"a": TEXT}),
            "Lone": model({}),
        },
        {
            **post(requestBody=takes(ref("Body"))),
            **post("/echo", "echo", requestBody=takes(ref("Echo")), responses=answers(ref("Echo"))),
        },
    )
    assert set(api.module("models").__all__) == {*("BodyPartKind", "Kept", "Item", "Echo", "Lone")}


def test_only_what_is_sent_tells_null_from_absent(generate: Generate) -> None:
    """Fields of models that are only received are never `UNSET`."""
    field = model({"a": {**TEXT, "nullable": True}})
    body = model({"b": ref("Both")})
    api = generate(
        {"Read": field, "Sent": field, "Both": field},
        {
            **post(responses=answers(ref("Read"))),
            **post("/s", "s", requestBody=takes({"type": "array", "items": ref("Sent")})),
            **post("/b", "b", requestBody=takes(body), responses=answers(ref("Both"))),
        },
    )
    assert api.Read.__annotations__["a"] == "str | None"
    assert api.Read().a is None
    for name in ("Sent", "Both"):
        assert getattr(api, name).__annotations__["a"] == "str | None | Unset"


# --- flags, secrets, repetition, certainty -------------------------------------------------------


def test_a_flag_asks_for_one_value(generate: Generate) -> None:
    """A flag is True for the value that it names, and False for any other, even an unknown one."""
    status = {**TEXT, "enum": ["VALID", "EXPIRED"]}
    flags = {"x-python-flags": {"is_valid": {"keyStatus": "VALID"}}}
    api = generate({"Thing": model({"keyStatus": status, "isValid": TEXT}, "keyStatus", **flags)})
    read = api.Thing.from_dict
    assert read({"keyStatus": "VALID"}).is_valid is True
    assert read({"keyStatus": "EXPIRED"}).is_valid is False
    assert read({"keyStatus": "NEW"}).is_valid is False
    assert read({"keyStatus": "NEW", "isValid": "x"}).is_valid_ == "x"


@pytest.mark.parametrize(
    "flags", [{"f": {"b": 1}}, {"f": {}}, {"f": {"a": 1, "b": 2}}, {"f": 1}, 1]
)
def test_a_flag_names_a_field(generate: Generate, flags: Any) -> None:
    """A flag that does not name exactly one field is an error that names the model."""
    message = failure(generate, {"Thing": model({"a": TEXT}, **{"x-python-flags": flags})})
    assert message.startswith("Thing: x-python-flags must name one field")


def test_secrets_are_not_shown(generate: Generate) -> None:
    """Secrets are left out of reprs, and a call lists them so that errors can leave them out."""
    secret = {**TEXT, "format": "password"}
    maybe = {**secret, "nullable": True}
    api = generate(
        {"Thing": model({"key": secret, "old": secret, "maybe": maybe, "id": TEXT}, "key", "id")},
        post(
            "/things/{token}",
            parameters=[parameter("token", "path", secret), parameter("q", "query", TEXT)],
            requestBody=takes(model({"key": secret, "maybe": maybe, "name": TEXT}, "key", "name")),
        ),
    )
    thing = api.Thing(key="hush1", old="hush2", maybe="hush3", id="i")
    assert "hush" not in repr(thing)
    assert "id='i'" in repr(thing)
    assert api.Thing(key="hush", id="i").old is None
    call = api.call(token="hush1", key="hush2", maybe="hush3", name="n")
    assert [one.reveal() for one in call.secrets] == ["hush1", "hush2", "hush3"]
    assert "hush" not in repr(call)
    for more in ({}, {"maybe": None}):
        call = api.call(token="t", key="k", name="n", **more)
        assert [one.reveal() for one in call.secrets] == ["t", "k"]


def test_an_operation_may_be_marked_as_safe_with_a_reason(generate: Generate) -> None:
    """x-safe-to-repeat makes an operation safe, and its docstring contains the reason."""
    reason = {"x-safe-to-repeat": "It sets everything to what is given"}
    api = generate({}, {**post(**reason), **post("/plain", "plain")})
    assert api.module("api.v1.do_it").OPERATION.safe is True
    assert api.module("api.v1.plain").OPERATION.safe is False
    message = " ".join(api.module("client").SyncOperations.do_it.__doc__.split())
    assert "Safe to repeat: sent again after a failure that may pass. It sets everything" in message


def test_certainty_is_told(generate: Generate) -> None:
    """x-certainty appears in the docstring and in the list of operations."""
    paths = {
        **post(**{"x-certainty": "client", "x-inferred": "All of it."}),
        **post("/seen", "seen", **{"x-certainty": "published"}),
        **post("/plain", "plain", parameters=[parameter("a", "query", TEXT)]),
        **post("/safe", "safeOne", **{"x-safe-to-repeat": "It does nothing"}),
    }
    api = generate({}, paths)
    assert "No page was seen" in api.module("client").SyncOperations.do_it.__doc__
    assert "page was seen" not in api.module("client").SyncOperations.plain.__doc__
    assert "| `POST /things` | `do_it()` | **unsafe** | client |\n" in api.listing
    assert "page was seen" not in api.module("client").SyncOperations.seen.__doc__
    assert "| `POST /seen` | `seen()` | **unsafe** | published |\n" in api.listing
    assert "| `POST /plain` | `plain([a])` | **unsafe** | not stated |\n" in api.listing
    assert "| `POST /safe` | `safe_one()` | safe | not stated |\n" in api.listing
    assert "`safe_one` is safe although its method is POST. It does nothing" in api.listing
    assert "| `do_it` | All of it. |\n" in api.listing
    message = failure(generate, {}, post(**{"x-certainty": "sure"}))
    certainties = "published, partial, rendered, client"
    assert message == f"POST /things: x-certainty must be one of {certainties}"


def test_an_operation_without_an_id_has_extensions_too(generate: Generate) -> None:
    """The extensions of an operation without an operationId apply as well."""
    nameless = {"tags": ["v1"], "responses": NOTHING, "x-safe-to-repeat": "Yes"}
    api = generate({}, {"/nameless": {"post": nameless, "summary": "Not an operation"}})
    assert api.module("api.v1.post_nameless").OPERATION.safe is True
