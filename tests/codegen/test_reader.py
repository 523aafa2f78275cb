"""How the reader answers what vendors rarely write: what it refuses, drops, or reads otherwise."""

import copy
import random
from contextlib import suppress
from typing import Any

import pytest

from codegen import _parser
from codegen._document import check_document, parse_document, problems
from codegen._errors import GenerationError
from codegen._quirks import quirks
from tests import ROOT
from tests.codegen.generating import NOTHING, TEXT, Generate, answers, parameter, post, ref, takes

THING = {"type": "object", "properties": {"a": TEXT}}
GET = {"get": {"responses": NOTHING}}


def read(
    paths: dict[str, Any],
    schemas: dict[str, Any] | None = None,
    version: str = "3.0.3",
    *,
    checked: bool = True,
    **more: Any,
) -> Any:
    """Read a document, with or without checking it first."""
    document = {
        "openapi": version,
        "info": {"title": "Things", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas or {}, **more.pop("components", {})},
        **more,
    }
    return _parser.parse(document, (), problems(document) if checked else ())


def reasons(api: Any) -> list[str]:
    """Return why operations are refused."""
    return [one.reason for one in api.refused]


def dropped(api: Any) -> list[str]:
    """Return what is reported of parts that have no effect."""
    return [one.problem for one in api.findings]


def returns(schema: Any) -> dict[str, Any]:
    """Return paths with one operation that returns JSON."""
    return post(responses=answers(schema))


def sends(content: dict[str, Any]) -> dict[str, Any]:
    """Return paths with one operation that takes a body."""
    return post(requestBody={"content": content})


CIRCLE = {"A": {"$ref": "#/components/parameters/B"}, "B": {"$ref": "#/components/parameters/A"}}
UNCHECKED: dict[str, tuple[dict[str, Any], str]] = {
    "a path item": ({"paths": {"/a": 5}}, "a path item must be a mapping"),
    "an operation": ({"paths": {"/a": {"get": 5}}}, "an operation must be a mapping"),
    "a parameter": ({"paths": post(parameters=[5])}, "parameters.0: must be a mapping"),
    "a parameter's name": ({"paths": post(parameters=[{"in": "query"}])}, "needs a name"),
    "parameters in a circle": (
        {
            "paths": post(parameters=[{"$ref": "#/components/parameters/A"}]),
            "components": {"parameters": CIRCLE},
        },
        "a parameter needs a name",
    ),
    "a schema in a circle": (
        {"paths": returns(ref("A")), "schemas": {"A": ref("B"), "B": ref("A")}},
        "$ref '#/components/schemas/A' refers to itself",
    ),
    "parameters that are no list": (
        {"paths": post(parameters=5)},
        "post: cannot be read: TypeError",
    ),
    "fields that are no mapping": (
        {"paths": returns({"type": "object", "properties": {"a": {"properties": 5}}})},
        "properties.a: cannot be read: TypeError",
    ),
    "a field without a target": (
        {"paths": returns({"type": "object", "properties": {"a": ref("Gone")}})},
        "$ref '#/components/schemas/Gone' has no target",
    ),
}


@pytest.mark.parametrize("name", UNCHECKED)
def test_what_cannot_be_read_is_refused_even_if_nobody_checked_it(name: str) -> None:
    """The reader does not depend on `problems`: it ends, and refuses the operation."""
    given, reason = UNCHECKED[name]
    [found] = reasons(read(checked=False, **given))
    assert reason in found


WRONG = (None, 5, -1.5, True, "", "x", [], {}, [{}], [None], {"$ref": "#"}, {"a": 5}, {"type": []})
TINY = sorted((ROOT / "tests" / "codegen" / "tiny").glob("*.yaml"))


def places(part: Any) -> list[tuple[Any, Any]]:
    """Return each mapping and list of a document with each of its keys."""
    items = enumerate(part) if isinstance(part, list) else ()
    keys = list(part) if isinstance(part, dict) else [index for index, _ in items]
    return [pair for key in keys for pair in [(part, key), *places(part[key])]]


@pytest.mark.parametrize("seed", range(4))
def test_documents_with_something_wrong_anywhere_end_in_an_answer(seed: int) -> None:
    """Wherever a value of a wrong type stands, the run ends with findings or a clear error."""
    chance = random.Random(seed)  # noqa: S311
    for file in chance.sample(TINY, 60):
        for _ in range(4):
            with suppress(GenerationError):
                changed = parse_document(file.read_text("utf-8"), file.name)
                part, key = chance.choice(places(changed))
                part[key] = copy.deepcopy(chance.choice(WRONG))
                check_document(changed, file.name)
                _parser.parse(changed, (), problems(changed))
                quirks(changed)


REFERRED: dict[str, tuple[dict[str, Any], str]] = {
    "a text": ({"/a": {"$ref": "#/info/title"}}, "must be a mapping, or refer to one"),
    "an operation": ({"/a": {"$ref": "#/x-items/bad"}}, "an operation must be a mapping"),
    "the document": ({"/a": {"$ref": "#"}}, "$ref '#' has no target in the document"),
    "a fault": (
        {"/a": {"$ref": "#/paths/~1b"}, "/b": {"get": {"parameters": 5, "responses": NOTHING}}},
        "paths./b.get.parameters: expected array, got 5",
    ),
}


@pytest.mark.parametrize("name", REFERRED)
def test_a_path_item_must_refer_to_another(name: str) -> None:
    """Operations are refused if the reference of their path item leads to something else."""
    paths, reason = REFERRED[name]
    found = reasons(read(paths, **{"x-items": {"bad": {"get": 5}}}))
    assert found
    assert all(reason in one for one in found)


def test_a_path_item_may_refer_to_one_that_refers_to_another() -> None:
    """The operations are those of all of them."""
    paths = {"/a": {"$ref": "#/paths/~1b"}, "/b": {"$ref": "#/x-items/c"}}
    api = read(paths, **{"x-items": {"c": GET}})
    assert [one.where for one in api.endpoints] == ["GET /a", "GET /b"]


def test_a_fault_is_found_behind_a_reference_into_a_list() -> None:
    """A parameter that refers to a broken one of another operation is refused for its fault."""
    broken = {"name": "a", "in": "query", "schema": 5}
    paths = {
        **post("/a", "one", parameters=[broken]),
        **post("/b", "two", parameters=[{"$ref": "#/paths/~1a/post/parameters/0"}]),
    }
    assert reasons(read(paths)) == ["paths./a.post.parameters.0.schema: expected object, got 5"] * 2


def test_a_path_without_a_slash_is_reported_once() -> None:
    """It is no path, so its operations are left out."""
    api = read({"a": GET, "x-b": GET, "/c": GET})
    assert [one.where for one in api.endpoints] == ["GET /c"]
    assert dropped(api) == ["a path must begin with /"]


def test_a_contradiction_refuses_each_operation_that_uses_it() -> None:
    """A component is read once; what is wrong with it also counts for the second operation."""
    paths = {
        **post("/a", "one", responses=answers(ref("A"))),
        **post("/b", "two", responses=answers(ref("A"))),
    }
    schemas = {"A": {"allOf": [{"type": "string"}, {"type": "integer"}]}}
    [one, other] = reasons(read(paths, schemas))
    assert one == other
    assert "allOf asks for integer and string at the same time" in one


def test_a_contradiction_refuses_operations_far_above_it() -> None:
    """A field that cannot be generated refuses what uses its class by way of others, once."""
    schemas = {
        "Top": {"type": "object", "properties": {"l": ref("Mid"), "r": ref("Low")}},
        "Mid": {"type": "object", "properties": {"low": ref("Low"), "top": ref("Top")}},
        "Low": {"type": "object", "properties": {"a": {"allOf": [TEXT, {"type": "integer"}]}}},
    }
    api = read({**returns(ref("Top")), "/b": GET}, schemas)
    assert [one.where for one in api.endpoints] == ["GET /b"]
    assert ["Low.properties.a" in one for one in reasons(api)] == [True]
    assert api.classes == []


DROPPED: dict[str, tuple[dict[str, Any], str]] = {
    "a parameter": (
        {"paths": post(parameters=[parameter("id", "path", TEXT)])},
        "the path has no {id}: the parameter is left out",
    ),
    "a header": (
        {"paths": post(parameters=[parameter("Authorization", "header", TEXT)])},
        "the client sends the header Authorization itself",
    ),
    "a body": ({"paths": sends({})}, "a body without content is left out"),
    "listed objects": (
        {"paths": returns({"enum": [{"a": 1}, {"a": 2}]})},
        "the values that are allowed are left to the server",
    ),
}


@pytest.mark.parametrize("name", DROPPED)
def test_what_is_dropped_is_reported(name: str) -> None:
    """An operation is generated without what the client cannot use, which the report names."""
    given, problem = DROPPED[name]
    api = read(**given)
    assert reasons(api) == []
    assert problem in dropped(api)


def test_an_extension_among_answers_is_no_answer() -> None:
    """Keys that begin with `x-` are not status codes."""
    [endpoint] = read(post(responses={**NOTHING, "x-note": {"a": 1}})).endpoints
    assert [one.lowest for one in endpoint.answers] == [204]


def test_a_parameter_may_be_json_with_a_default(generate: Generate) -> None:
    """`content` decides how a parameter is written, and a default beside it is documented."""
    described = {"name": "q", "in": "query", "content": {"application/json": {"schema": THING}}}
    plain = {"name": "n", "in": "query", "schema": TEXT, "default": "x"}
    api = generate({}, post(parameters=[described, plain]))
    assert api.call(q=api.DoItQ(a="b")).target == "/things?q=%7B%22a%22%3A%22b%22%7D"
    [_, n] = sorted(api.api.endpoints[0].parameters, key=lambda one: one.name == "n")
    assert n.description == 'Left out, the server takes "x".'


def test_a_form_without_named_fields_takes_any_mapping() -> None:
    """Without properties there are no arguments to make."""
    form = {"type": "object", "additionalProperties": TEXT}
    [endpoint] = read(sends({"application/x-www-form-urlencoded": {"schema": form}})).endpoints
    assert endpoint.body.property.kind.argument == "Mapping[str, str]"


def test_names_by_pattern_in_a_closed_object_have_the_types_of_the_patterns() -> None:
    """Which name has which type is left to the server."""
    schema = {
        "type": "object",
        "patternProperties": {"^a": TEXT, "^b": {"type": "integer"}},
        "additionalProperties": False,
    }
    api = read(returns(schema), version="3.1.0")
    assert api.endpoints[0].answers[0].kind.annotation == "dict[str, str | int]"
    assert "patterns of property names are left to the server" in dropped(api)


def test_a_field_may_refer_to_a_component_for_any_value(generate: Generate) -> None:
    """In OpenAPI 3.1, a component may be just `true`."""
    schemas = {"Any": True, "T": {"type": "object", "properties": {"a": ref("Any")}}}
    api = generate(schemas, returns(ref("T")), version="3.1.0")
    assert api.T.from_dict({"a": [1]}).to_dict() == {"a": [1]}


def test_alternatives_that_are_the_same_class_are_one(generate: Generate) -> None:
    """An alias is no alternative of its own, and null in one alternative is null of all."""
    schemas = {
        "A": THING,
        "Alias": ref("A"),
        "B": {"type": "string", "nullable": True},
        "T": {"type": "object", "properties": {"a": {"oneOf": [*map(ref, ("A", "Alias", "B"))]}}},
    }
    api = generate(schemas, returns(ref("T")))
    assert api.T.__annotations__["a"].startswith("A | str | None")
    assert api.T.from_dict({"a": None}).a is None


def test_any_value_among_tagged_alternatives_has_no_tag(generate: Generate) -> None:
    """A discriminator decides between the alternatives that have a name."""
    cat = {"type": "object", "required": ["kind"], "properties": {"kind": TEXT}}
    choices = {"oneOf": [ref("Cat"), True], "discriminator": {"propertyName": "kind"}}
    api = generate({"Cat": cat}, returns(choices), version="3.1.0")
    [answer] = api.api.endpoints[0].answers
    assert answer.kind is not None
    assert set(answer.kind.given) == {"Cat"}


def test_children_of_children_are_found_by_their_tags(generate: Generate) -> None:
    """A parent reads its grandchildren, too; a mapping to no component names no kind."""
    tagged = {"propertyName": "kind", "mapping": {"gone": "#/x", "base": ref("Base")["$ref"]}}
    base = {"type": "object", "required": ["kind"], "properties": {"kind": TEXT}}
    mid = {"allOf": [ref("Base"), THING], "discriminator": {"propertyName": "kind"}}
    leaf = {"allOf": [ref("Mid"), {"type": "object", "properties": {"b": TEXT}}]}
    schemas = {"Base": {**base, "discriminator": tagged}, "Mid": mid, "Leaf": leaf}
    api = generate(schemas, returns(ref("Base")))
    [answer] = api.api.endpoints[0].answers
    assert answer.kind is not None
    assert set(answer.kind.given) == {"Mid", "Leaf"}


def test_a_component_differs_in_requests_if_one_inside_it_does(generate: Generate) -> None:
    """`readOnly` deep inside gives all components on the way a class for requests."""
    schemas = {
        "Low": {"type": "object", "properties": {"id": {**TEXT, "readOnly": True}, "a": TEXT}},
        "Mid": {"type": "object", "properties": {"low": ref("Low"), "again": ref("Mid")}},
        "Top": {"type": "object", "properties": {"mid": ref("Mid"), "low": ref("Low")}},
    }
    paths = post(responses=answers(ref("Top")), requestBody=takes(ref("Top")))
    api = generate(schemas, paths)
    names = {one.name for one in api.api.classes}
    assert names == {"Low", "LowInput", "Mid", "MidInput", "Top", "TopInput"}
    assert "id" not in api.LowInput.__annotations__


def test_values_of_an_enum_have_its_type(generate: Generate) -> None:
    """What YAML reads as another type is meant as written; a value given twice is one member."""
    texts = {"type": "string", "enum": ["a", True, 1], "x-enum-varnames": "A, B"}
    numbers = {"type": "integer", "enum": ["1", 2, 1]}
    api = generate({"Texts": texts, "Numbers": numbers})
    assert [one.value for one in api.Texts] == ["a", "true", "1"]
    assert [one.value for one in api.Numbers] == [1, 2]
    assert dropped(api.api) == ["the names of the values must be a list of texts; they are ignored"]
