"""Property kinds: what a schema becomes in Python, tested by generating and using the code."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from inspect import getdoc, signature
from typing import Any

import pytest

from codegen import _kinds
from codegen._errors import GenerationError
from codegen._kinds import kind_of
from codegen._naming import snake
from oneloop_core import UNSET, ArgumentError, DecodeError
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

# --- scalars -------------------------------------------------------------------------------------

# name: (schema, JSON, Python value, annotation, invalid JSON, invalid Python value)
KINDS: dict[str, tuple[dict[str, Any], Any, Any, str, Any, Any]] = {
    "text": (TEXT, "a", "a", "str", 1, 1),
    "short": ({**TEXT, "maxLength": 2}, "abc", "ab", "str", None, "abc"),
    "long": ({**TEXT, "minLength": 2}, "a", "ab", "str", None, "a"),
    "shaped": ({**TEXT, "pattern": "^[a-z]+$|^$"}, "A", "a", "str", 5, "a\n"),
    "classed": ({**TEXT, "pattern": r"^[$]\$$"}, "A", "$$", "str", 5, "$$\n"),
    "whole": ({"type": "integer"}, 5, 5, "int", 5.0, True),
    "least": ({"type": "integer", "minimum": 3}, 2, 3, "int", "3", 2),
    "above": (
        {"type": "integer", "minimum": 3, "exclusiveMinimum": True},
        3,
        4,
        "int",
        None,
        3,
    ),
    "most": ({"type": "integer", "maximum": 2**53 - 1}, 2**53, 2**53 - 1, "int", "", 2**53),
    "below": (
        {"type": "integer", "maximum": 3, "exclusiveMaximum": True},
        3,
        2,
        "int",
        None,
        3,
    ),
    "even": ({"type": "integer", "multipleOf": 2}, 3, 4, "int", 3.5, 3),
    "number": ({"type": "number"}, 1.5, 1.5, "float", "1.5", "1.5"),
    "share": ({"type": "number", "maximum": 0.5}, 0.75, 0.5, "float", True, 0.75),
    "flag": ({"type": "boolean"}, True, True, "bool", "true", 1),
    "digits": ({**TEXT, "format": "digits"}, "12", 12, "int", "1.5", -1),
    "moment": (
        {**TEXT, "format": "date-time"},
        "2026-01-02T03:04:05.000Z",
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "datetime",
        "yesterday",
        "2026-01-02T03:04:05Z",
    ),
    "day": ({**TEXT, "format": "date"}, "2026-01-02", date(2026, 1, 2), "date", "2.1.26", "2.1."),
    "uuid": (
        {**TEXT, "format": "uuid"},
        "00000000-0000-0000-0000-000000000001",
        "00000000-0000-0000-0000-000000000001",
        "str",
        5,
        5,
    ),
    "texts": ({"type": "array", "items": TEXT}, ["a"], ["a"], "list[str]", "a", "a"),
    "maybes": (
        {"type": "array", "items": {**TEXT, "nullable": True}},
        ["a", None],
        ["a", None],
        "list[str | None]",
        [1],
        [1],
    ),
    "counts": (
        {"type": "object", "additionalProperties": {"type": "integer", "maximum": 5}},
        {"a": 5},
        {"a": 5},
        "dict[str, int]",
        {"a": "5"},
        {"a": 6},
    ),
    "free": (
        {"type": "object", "additionalProperties": True},
        {"a": [None]},
        {"a": [None]},
        "dict[str, Any]",
        [],
        {"a": object()},
    ),
    "either": (
        {"oneOf": [ref("Part"), TEXT]},
        "a",
        "a",
        "Part | str",
        5,
        5,
    ),
    "color": (ref("Color"), "red", "red", "Color", 5, 5),
    "level": (ref("Level"), 2, 2, "Level", "2", "2"),
    "part": (ref("Part"), {"name": "n"}, None, "Part", "n", {"name": "n"}),
    "whatever": ({}, [1, {"a": None}], [1, {"a": None}], "Any", None, object()),
}
PART = {"type": "object", "properties": {"name": TEXT}, "required": ["name"]}
SHARED = {
    "Part": PART,
    "Color": {"type": "string", "enum": ["red", "green"], "description": "A color"},
    "Level": {"type": "integer", "enum": [1, 2]},
}


def holder(schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    """Return a component with one field."""
    names = {"required": ["it"]} if required else {}
    return {"type": "object", "properties": {"it": schema}, **names}


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that also allows null, as OpenAPI 3.0 writes it."""
    return (
        {"allOf": [schema], "nullable": True} if "$ref" in schema else {**schema, "nullable": True}
    )


@pytest.fixture(scope="module")
def kinds(generate: Generate) -> Api:
    """Generate a package with every kind as a required, optional and nullable field."""
    schemas = dict(SHARED)
    for name, (schema, *_) in KINDS.items():
        title = name.capitalize()
        schemas[f"{title}Required"] = holder(schema, required=True)
        schemas[f"{title}Optional"] = holder(schema, required=False)
        if schema:
            schemas[f"{title}Nullable"] = holder(nullable(schema), required=True)
            schemas[f"{title}Both"] = holder(nullable(schema), required=False)
    return generate(schemas)


def sample(api: Api, name: str) -> tuple[Any, Any]:
    """Return a value of a kind, as JSON and in Python."""
    schema, wire, value, *_ = KINDS[name]
    if name == "part":
        return wire, api.Part(name="n")
    good = value if isinstance(value, str | int | float) and "format" not in schema else wire
    return good, value


@pytest.mark.parametrize("variant", ["Required", "Optional", "Nullable", "Both"])
@pytest.mark.parametrize("name", [name for name in KINDS if name != "whatever"])
def test_a_kind_reads_what_it_writes(kinds: Api, name: str, variant: str) -> None:
    """A decoded value has its Python type, and is encoded again as it was received."""
    model = getattr(kinds, name.capitalize() + variant)
    wire, value = sample(kinds, name)
    read = model.from_dict({"it": wire, "more": 1})
    assert read.it == value
    assert read.additional_properties == {"more": 1}
    assert read.to_dict() == {"it": wire, "more": 1}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_has_the_type_that_a_person_would_write(kinds: Api, name: str) -> None:
    """Optional adds None; nullable adds None, and UNSET if the field may also be left out."""
    annotation = KINDS[name][3]
    title = name.capitalize()
    shown = {
        variant: getattr(kinds, title + variant).__annotations__["it"]
        for variant in ("Required", "Optional", "Nullable", "Both")
        if hasattr(kinds.module("models"), title + variant)
    }
    expected = {
        "Required": annotation,
        "Optional": f"{annotation} | None",
        "Nullable": f"{annotation} | None",
        "Both": f"{annotation} | None | Unset",
    }
    assert shown == {variant: expected[variant] for variant in shown}


@pytest.mark.parametrize("name", [name for name in KINDS if KINDS[name][4] is not None])
def test_a_kind_refuses_other_json(kinds: Api, name: str) -> None:
    """JSON of another type is refused, and the error has the path in the document's names."""
    for variant in ("Required", "Optional"):
        with pytest.raises(DecodeError) as caught:
            getattr(kinds, name.capitalize() + variant).from_dict({"it": KINDS[name][4]})
        assert caught.value.path.startswith("it")


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_refuses_other_values(kinds: Api, name: str) -> None:
    """A value beyond the document's limits is not encoded, and the error names the field."""
    for variant in ("Required", "Optional"):
        model = getattr(kinds, name.capitalize() + variant)
        with pytest.raises(ArgumentError) as caught:
            model(it=KINDS[name][5]).to_dict()
        assert caught.value.argument.startswith("it")


@pytest.mark.parametrize(
    "name", ["short", "long", "shaped", "least", "above", "most", "below", "even", "share"]
)
def test_limits_do_not_hold_for_what_is_read(kinds: Api, name: str) -> None:
    """Limits are not checked in responses: reading is lenient, writing is strict."""
    wire = KINDS[name][1]
    assert getattr(kinds, f"{name.capitalize()}Required").from_dict({"it": wire}).it == wire


@pytest.mark.parametrize("name", [name for name in KINDS if KINDS[name][0]])
def test_null_absent_and_a_value_are_three_things(kinds: Api, name: str) -> None:
    """What can be sent keeps absent and null apart; elsewhere both are read as None."""
    title = name.capitalize()
    required, optional = getattr(kinds, f"{title}Required"), getattr(kinds, f"{title}Optional")
    null, both = getattr(kinds, f"{title}Nullable"), getattr(kinds, f"{title}Both")
    for absent in ({}, {"it": None}):
        assert optional.from_dict(absent).it is None
        assert both.from_dict(absent).to_dict() == absent
    assert optional().to_dict() == optional(it=None).to_dict() == {}
    assert null.from_dict({"it": None}).to_dict() == {"it": None}
    assert both().it is UNSET
    assert both().to_dict() == {}
    assert both(it=None).to_dict() == {"it": None}
    for model in (required, null):
        with pytest.raises(DecodeError, match="it: required field is missing"):
            model.from_dict({})
    with pytest.raises(DecodeError, match="it: expected "):
        required.from_dict({"it": None})


@pytest.mark.parametrize("name", ["color", "level"])
def test_enums_are_open(kinds: Api, name: str) -> None:
    """A value that the document does not list is kept, and sent back unchanged."""
    model = getattr(kinds, f"{name.capitalize()}Required")
    unknown = {"color": "blue", "level": 9}[name]
    read = model.from_dict({"it": unknown})
    assert (read.it, read.it.is_known) == (unknown, False)
    assert read.to_dict() == {"it": unknown}


def test_enums_have_names_and_docstrings(kinds: Api) -> None:
    """Members are named after their values, and the class has a docstring."""
    assert {member.name: member.value for member in kinds.Color} == {"RED": "red", "GREEN": "green"}
    assert {member.name: member.value for member in kinds.Level} == {"VALUE_1": 1, "VALUE_2": 2}
    kept = "Values that are not listed here are kept as they came."
    assert getdoc(kinds.Color) == f"A color.\n\n{kept}"
    assert getdoc(kinds.Level) == f"The values of `Level`.\n\n{kept}"


# --- components ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def components(generate: Generate) -> Api:
    """Generate a package with components that refer to each other."""
    return generate(
        {
            **SHARED,
            "Node": {
                "type": "object",
                "properties": {
                    "next": ref("Node"),
                    "owner": ref("Owner"),
                    "children": {"type": "array", "items": ref("Node")},
                    "byName": {"type": "object", "additionalProperties": ref("Node")},
                },
            },
            "Owner": {"type": "object", "properties": {"node": ref("Node")}, "required": ["node"]},
            "Ghost": {**PART, "nullable": True, "description": "May be gone"},
            "Mood": {"type": "string", "nullable": True, "enum": ["good", "bad", None]},
            "Choice": {"anyOf": [TEXT, {"type": "integer"}], "nullable": True},
            "Many": {
                "type": "object",
                "properties": {
                    "ghost": ref("Ghost"),
                    "again": {"allOf": [ref("Ghost")], "nullable": True, "description": "Told"},
                    "mood": ref("Mood"),
                    "inline": {"type": "string", "nullable": True, "enum": ["x", None]},
                    "choice": ref("Choice"),
                    "counts": ref("Counts"),
                    "nothing": {"enum": [None], "nullable": True},
                    "merged": ref("Merged"),
                },
                "required": [
                    *("ghost", "again", "mood", "inline", "choice", "counts", "nothing", "merged")
                ],
            },
            "Counts": {"type": "object", "additionalProperties": {"type": "integer"}},
            "Merged": {"allOf": [ref("Part"), {"type": "object", "properties": {"more": TEXT}}]},
            "Closed": {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False},
            "Rest": {
                "type": "object",
                "properties": {"a": TEXT},
                "additionalProperties": {**TEXT, "format": "digits"},
            },
            "Nothing": {"type": "object"},
            "Any": {"type": "object", "properties": {"call": ref("Call")}},
            "Call": PART,
            "Names": {
                "type": "object",
                "properties": {
                    name: TEXT if name != "date" else {**TEXT, "format": "date"} for name in NAMES
                },
                "required": ["cls", "field"],
            },
        }
    )


NAMES = {
    # name in the document: name in Python
    "class": "class_",
    "import": "import_",
    "None": "none",
    "self": "self_",
    "list": "list_",
    "str": "str_",
    "id": "id",
    "type": "type",
    "data": "data",
    "cls": "cls_",
    "field": "field_",
    "define": "define_",
    "date": "date_",
    "from_dict": "from_dict_",
    "toDict": "to_dict_",
    "missing": "missing_",
    "additionalProperties": "additional_properties_",
    "decode_string": "decode_string_",
    "rest": "rest",
    "at": "at",
    "error": "error",
    "value": "value",
    "item": "item",
    "_rest": "underscore_rest",
    "1st": "field_1st",
    "a-b c": "a_b_c",
    "UNSET": "unset",
    "quote\"'": "quote",
}


def test_models_may_refer_to_each_other_and_to_themselves(components: Api) -> None:
    """A model can contain itself to any depth, and errors have the whole path."""
    tree = {
        "next": {"children": [{}, {"byName": {"a": {}}}]},
        "owner": {"node": {"owner": {"node": {}}}},
    }
    read = components.Node.from_dict(tree)
    assert isinstance(read.owner.node.owner.node, components.Node)
    assert read.to_dict() == tree
    wrong = {"next": {"children": [{}, {"byName": {"a": {"owner": {}}}}]}}
    with pytest.raises(DecodeError) as caught:
        components.Node.from_dict(wrong)
    assert str(caught.value) == "next.children[1].byName.a.owner.node: required field is missing"


@pytest.mark.parametrize("module", ["node", "owner"])
def test_a_circle_can_be_entered_anywhere(components: Api, module: str) -> None:
    """Either of two modules that import each other can be imported first."""
    program = f"import {components.package}.models.{module}"
    subprocess.run([sys.executable, "-c", program], cwd=components.folder, check=True)


def test_nullable_components_keep_their_names(components: Api) -> None:
    """Nullable components keep their names, and None occurs once in a type."""
    assert components.Many.__annotations__ == {
        "ghost": "Ghost | None",
        "again": "Ghost | None",
        "mood": "Mood | None",
        "inline": "ManyInline | None",
        "choice": "str | int | None",
        "counts": "dict[str, int]",
        "nothing": "None",
        "merged": "Merged",
        "additional_properties": "dict[str, Any]",
    }
    assert "Told" in getdoc(components.Many)
    assert not [name for name in components.module("models").__all__ if "Type" in name]


def test_nullable_components_are_read_and_written(components: Api) -> None:
    """Null and other values of nullable components are read and written."""
    full = {
        "ghost": {"name": "a"},
        "again": {"name": "b"},
        "mood": "good",
        "inline": "x",
        "choice": 5,
        "counts": {"a": 1},
        "nothing": None,
        "merged": {"name": "c", "more": "d"},
    }
    empty = {**full, "ghost": None, "again": None, "mood": None, "inline": None, "choice": None}
    for wire in (full, empty):
        assert components.Many.from_dict(wire).to_dict() == wire
    for name, wrong in (("nothing", 1), ("choice", 1.5), ("counts", {"a": ""})):
        with pytest.raises(DecodeError, match=f"^{name}"):
            components.Many.from_dict({**full, name: wrong})
    read = components.Many.from_dict(full)
    read.nothing = 1
    with pytest.raises(ArgumentError, match=r"^nothing must be None"):
        read.to_dict()


def test_a_malformed_model_is_an_error(components: Api) -> None:
    """A malformed model is an error; plain openapi-python-client would return a raw dict."""
    with pytest.raises(DecodeError, match=r"^ghost\.name: required field is missing"):
        components.Many.from_dict({"ghost": {}})


def test_what_the_document_does_not_name_is_kept(components: Api) -> None:
    """Fields that the document does not name are kept, and typed if it has a type for them."""
    for model in (components.Closed, components.Nothing, components.Node):
        assert model.from_dict({"new": [1]}).to_dict() == {"new": [1]}
    read = components.Rest.from_dict({"a": "b", "c": "5"})
    assert (read.a, read.additional_properties) == ("b", {"c": 5})
    assert read.to_dict() == {"a": "b", "c": "5"}
    with pytest.raises(DecodeError, match=r"^c: expected"):
        components.Rest.from_dict({"c": True})
    with pytest.raises(ArgumentError, match=r"^additional_properties\.c "):
        components.Rest(additional_properties={"c": -1}).to_dict()


def test_a_map_component_is_a_dict(components: Api) -> None:
    """A component that only has additional properties is a dict, without a class."""
    assert not hasattr(components.module("models"), "Counts")


def test_classes_do_not_take_names_that_the_code_uses(components: Api) -> None:
    """A component named Call or Any gets another class name."""
    read = components.AnyModel.from_dict({"call": {"name": "a"}})
    assert isinstance(read.call, components.CallModel)


def test_a_body_that_a_model_refers_to_keeps_its_class(generate: Generate) -> None:
    """A body has a class if a model refers to it, whatever the order of the components."""
    schemas = {
        "First": {"type": "object", "properties": {"last": ref("Last")}},
        "Middle": PART,
        "Last": {"type": "object", "properties": {"middle": ref("Middle")}},
    }
    bodies = {f"/{name}": takes(ref(name)) for name in ("First", "Middle")}
    paths = [post(path, path[1:], requestBody=body) for path, body in bodies.items()]
    api = generate(schemas, {**paths[0], **paths[1]})
    last = api.Last(middle=api.Middle(name="a"))
    assert api.body("first", last=last) == {"last": {"middle": {"name": "a"}}}
    assert api.module("models").__all__ == ["Last", "Middle"]


def test_a_model_that_is_sent_by_way_of_others_can_send_null(generate: Generate) -> None:
    """A model within a request can send null, even if it is also in a response."""
    note = {"type": "object", "properties": {"text": nullable(TEXT)}}
    schemas = {
        "First": {"type": "object", "properties": {"last": ref("Last")}},
        "Note": note,
        "Last": {"type": "object", "properties": {"note": ref("Note")}},
    }
    api = generate(schemas, post(requestBody=takes(ref("First")), responses=answers(ref("Note"))))
    last = api.Last(note=api.Note(text=None))
    assert api.body(last=last) == {"last": {"note": {"text": None}}}


def test_fields_of_any_name_work(components: Api) -> None:
    """Fields named like keywords, builtins or names in the model's code get an underscore."""
    wire = {name: "2026-01-02" if name == "date" else name for name in NAMES}
    read = components.Names.from_dict(wire)
    assert read.to_dict() == wire
    assert {name: getattr(read, python) for name, python in NAMES.items() if name != "date"} == {
        name: name for name in NAMES if name != "date"
    }
    with pytest.raises(DecodeError, match=r"^cls: required field is missing"):
        components.Names.from_dict({})
    with pytest.raises(DecodeError, match=r"^at: expected"):
        components.Names.from_dict({**wire, "at": 1})


def test_constants_of_openapi_3_1(generate: Generate) -> None:
    """A const accepts only its value, whatever it contains; null is a type like others."""
    quoted = "a\"b'\\n{x}"
    api = generate(
        {
            "C": {
                "type": "object",
                "properties": {
                    "text": {"const": quoted},
                    "number": {"const": 1},
                    "maybe": {"type": ["integer", "null"], "exclusiveMinimum": 3},
                    "mixed": {"type": ["string", "integer", "null"]},
                    "null": {"type": "null"},
                    "nulls": {"type": ["null"]},
                },
                "required": ["text", "number", "maybe", "mixed", "null", "nulls"],
            }
        },
        version="3.1.0",
    )
    wire = {"text": quoted, "number": 1, "maybe": 4, "mixed": "a", "null": None, "nulls": None}
    assert api.C.from_dict(wire).to_dict() == wire
    assert api.C.from_dict({**wire, "maybe": None, "mixed": None}).mixed is None
    assert api.C.__annotations__["mixed"] == "str | int | None"
    for name, wrong in (("text", "a"), ("number", True), ("maybe", "4"), ("null", 0)):
        with pytest.raises(DecodeError, match=f"^{name}: expected"):
            api.C.from_dict({**wire, name: wrong})
    with pytest.raises(ArgumentError, match=r"^text must be"):
        api.C(**{**wire, "text": "b"}).to_dict()
    with pytest.raises(ArgumentError, match=r"^maybe must be greater than 3"):
        api.C(**{**wire, "maybe": 3}).to_dict()


def test_alternatives_are_told_apart_by_what_they_list(generate: Generate) -> None:
    """A required field with listed values is a tag if each class has its own; null is no value."""

    def tagged(one: dict[str, Any], other: dict[str, Any]) -> Api:
        fields = {"a": {"properties": {"k": one}}, "b": {"properties": {"k": other}}}
        schemas: dict[str, Any] = {
            name.upper(): {"type": "object", "required": ["k"], **more}
            for name, more in fields.items()
        }
        both = {"oneOf": [ref("A"), ref("B"), {"const": "none"}, {"const": None}]}
        schemas["T"] = {"type": "object", "properties": {"x": both}}
        return generate(schemas, version="3.1.0")

    def of(api: Api, key: Any) -> str:
        return type(api.T.from_dict({"x": {"k": key}}).x).__name__

    for one, other in ((["a"], ["b"]), (["a", 1], ["b", 2])):
        api = tagged({"enum": one}, {"enum": other})
        assert [of(api, key) for key in (one[0], other[0], "c")] == ["A", "B", "UnknownObject"]
        assert api.T.from_dict({"x": "none"}).x == "none"
        assert api.T.from_dict({"x": None}).x is None
    api = tagged({"const": "a"}, {"enum": ["b", None]})
    assert [of(api, key) for key in ("a", "b")] == ["A", "B"]
    api = tagged({"enum": ["a", "b"]}, {"enum": ["b", "c"]})
    assert of(api, "b") == "A"  # they share a value, so it is no tag
    assert "decode_tagged" not in (api.folder / api.package / "models" / "t.py").read_text()


def test_a_tag_may_be_absent_from_an_alternative(generate: Generate) -> None:
    """A field that only some of the classes have tells nothing by its value."""
    fields = [{"k": {"enum": ["a"]}}, {"m": {"type": "string", "nullable": True}}]
    schemas: dict[str, Any] = {
        name: {"type": "object", "required": [*one], "properties": one}
        for name, one in zip("AB", fields, strict=True)
    }
    both = {"oneOf": [ref("A"), ref("B"), {"type": "array", "items": ref("B")}]}
    nested = {"type": "object", "properties": {"n": {"type": "object", "properties": fields[1]}}}
    schemas |= {"T": {"type": "object", "properties": {"x": both}}, "N": nested}
    api = generate(schemas)
    assert isinstance(api.T.from_dict({"x": {"m": None}}).x, api.B)
    assert isinstance(api.T.from_dict({"x": [{"m": "a"}]}).x[0], api.B)
    assert isinstance(api.T.from_dict({"x": {"k": "a"}}).x, api.A)


@pytest.mark.parametrize("more", [[], [TEXT]])
def test_a_tag_decides_between_objects_only(generate: Generate, more: list[Any]) -> None:
    """A text beside alternatives with a tag is known by its type."""
    pets: dict[str, Any] = {
        name: {"type": "object", "required": ["k"], "properties": {"k": TEXT}}
        for name in ("Cat", "Dog")
    }
    tag = {"propertyName": "k"}
    choices = {"oneOf": [ref("Cat"), ref("Dog"), *more], "discriminator": tag}
    api = generate({**pets, "T": {"type": "object", "properties": {"x": choices}}})
    assert isinstance(api.T.from_dict({"x": {"k": "Dog"}}).x, api.Dog)
    for _ in more:
        assert api.T.from_dict({"x": "a"}).x == "a"


def test_alternatives_are_told_apart_by_fields_inside_fields(generate: Generate) -> None:
    """Two levels are compared; what is deeper decides nothing."""

    def inside(name: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"type": "object", "required": [name], "properties": {name: schema}}

    schemas = {name: inside("a", inside(name.lower(), inside("b", TEXT))) for name in ("X", "Y")}
    both = {"type": "object", "properties": {"v": {"anyOf": [ref("X"), ref("Y")]}}}
    api = generate({**schemas, "T": both})
    for name in "XY":
        wire = {"v": {"a": {name.lower(): {"b": "c"}}}}
        assert type(api.T.from_dict(wire).v).__name__ == name
        assert api.T.from_dict(wire).to_dict() == wire


def test_a_least_length_of_zero_is_no_limit() -> None:
    """`minLength: 0` says nothing, so neither code nor docstrings repeat it."""
    kind = kind_of("string", "", {"minLength": 0, "maxLength": 0})
    assert kind.bounds == "At most 0 characters."
    assert kind.code("encode", "a") == "encode_string(a, max_length=0)"


# --- operations ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def operations(generate: Generate) -> Api:
    """Generate a package with operations of every shape."""
    state = {**TEXT, "nullable": True}
    patch = {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "name": TEXT,
            "state": state,
            "limit": {"type": "integer", "default": 10, "description": "How many. "},
            "since": {**TEXT, "format": "date-time", "default": "2026-01-01T00:00:00Z"},
            "labels": {"type": "object", "additionalProperties": TEXT, "default": {"a": "b"}},
        },
        "required": ["name"],
    }
    crowded = [
        parameter("id", "path", TEXT),
        parameter("query", "path", {"type": "integer"}),
        parameter("at", "path", ref("Color")),
        parameter("id", "query", TEXT),
        parameter("call", "query", TEXT),
        parameter("class", "query", TEXT, required=True),
        parameter("tags", "query", {"type": "array", "items": ref("Color"), "nullable": True}),
        parameter("state", "query", state),
        parameter("flag", "query", {"type": "boolean"}),
        parameter("day", "query", {**TEXT, "format": "date"}),
        parameter("X-Trace", "header", TEXT),
        parameter("X-Count", "header", {"type": "integer", "maximum": 5}, required=True),
    ]
    paths = {
        **post(
            "/things/{id}/{query}/b{at}", "crowded", parameters=crowded, requestBody=takes(patch)
        ),
        **post("/change", "change", requestBody=takes(patch)),
        **post("/many", "many", requestBody=takes({"type": "array", "items": ref("Part")})),
        **post(
            "/some",
            "some",
            requestBody={**takes({"type": "array", "items": TEXT}), "required": False},
        ),
        **post("/part", "part", requestBody=takes(nullable(ref("Part")))),
        **post("/blank", "blank", requestBody=takes(ref("Blank"))),
        **post("/free", "free", requestBody=takes({}), responses=answers({})),
        **post("/list", "list", responses=answers({"type": "array", "items": ref("Part")}, "201")),
        **post("/maybe", "maybe", responses=answers(nullable(ref("Part")), "2XX")),
        **post("/map", "map", responses=answers({"type": "object", "additionalProperties": TEXT})),
        **post("/gone", "gone"),
        **post("/quiet", "quiet", responses={"200": {"description": "No content"}}),
        "/read": {"summary": "To read", "parameters": [parameter("shared", "query", TEXT)]}
        | {
            method: {"operationId": f"{method}It", "tags": ["v1"], "responses": NOTHING}
            for method in ("get", "put", "delete", "patch")
        },
        **post("/unnamed", "x"),
        "/built": {"get": {"operationId": "built", "tags": ["build"], "responses": NOTHING}},
    }
    del paths["/unnamed"]["post"]["operationId"]
    return generate({**SHARED, "Blank": {"type": "object"}}, paths)


@pytest.mark.parametrize("name", ["close", "aclose", "withOptions", "withResponse", "date"])
def test_an_operation_may_not_hide_behind_a_method_of_the_clients(
    generate: Generate, name: str
) -> None:
    """An operation with the name of a hand-written client method gets an underscore."""
    api = generate({}, post(name=name))
    [one] = api.api.endpoints
    assert one.name == f"{snake(name)}_"
    assert f"its method is {one.name}: {snake(name)} is taken" in [
        found.problem for found in api.api.findings
    ]


@pytest.mark.parametrize(("path", "sent"), [("/a b", "/a%20b"), ("/ä", "/%C3%A4")])
def test_a_path_is_percent_encoded(generate: Generate, path: str, sent: str) -> None:
    """Spaces and characters that are not ASCII are sent percent-encoded."""
    assert generate({}, post(path)).call().target == sent


@pytest.mark.parametrize("path", ["/a?x=1", "/a#b", '/a"b', "/a\nb"])
def test_a_path_is_a_path(generate: Generate, path: str) -> None:
    """A path with characters that a URL's path cannot contain is refused."""
    assert "the path has characters" in failure(generate, {}, post(path))


def test_headers_that_openapi_tells_to_ignore_are_ignored(generate: Generate) -> None:
    """Header parameters that the client sends by itself are ignored, as OpenAPI requires."""
    names = ("Authorization", "content-type", "Accept")
    api = generate({}, post(parameters=[parameter(name, "header", TEXT) for name in names]))
    assert api.call().headers == ()


REQUIRED = {"id": "a/b", "query": 7, "at": "red", "class_": "c", "x_count": 5, "name": "n"}


def test_names_may_collide_between_path_query_header_and_body(operations: Api) -> None:
    """Parameters and body fields of the same name become arguments of different names."""
    call = operations.call(
        "crowded", **REQUIRED, id_query="q", id_body=3, call_query="x", x_trace="t"
    )
    assert call.target == "/things/a%2Fb/7/bred?id=q&call=x&class=c"
    assert call.headers == (("X-Trace", "t"), ("X-Count", "5"))
    assert json.loads(call.body) == {"id": 3, "name": "n"}


def test_query_parameters_of_every_kind(operations: Api) -> None:
    """Lists are repeated, booleans and dates written as in JSON, and null is left out."""
    more = {"tags": ["red", "new"], "flag": False, "day": date(2026, 1, 2), "state": None}
    call = operations.call("crowded", **REQUIRED, **more)
    assert call.target.partition("?")[2] == "class=c&tags=red&tags=new&flag=false&day=2026-01-02"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("id", ".."), ("id", ""), ("query", "7"), ("at", 5), ("class_", None)),
        *(("x_count", 6), ("tags", "red"), ("flag", 1), ("name", None), ("limit", "1")),
    ],
)
def test_a_wrong_argument_is_named(operations: Api, name: str, value: Any) -> None:
    """The error for an invalid argument has the names of the argument and of the operation."""
    with pytest.raises(ArgumentError) as caught:
        operations.call("crowded", **{**REQUIRED, name: value})
    assert (caught.value.argument, caught.value.operation) == (name, "crowded")


def test_body_fields_are_arguments(operations: Api) -> None:
    """Body fields that are not given are not sent; None is sent as null where null is allowed."""
    assert operations.body("change", name="n") == {"name": "n"}
    assert operations.body("change", name="n", state=None) == {"name": "n", "state": None}
    assert operations.body("change", name="n", state=UNSET, limit=None) == {"name": "n"}
    parameters = signature(operations.module("api.v1.change").call).parameters
    assert {name: str(one).partition(": ")[2] for name, one in parameters.items()} == {
        "name": "'str'",
        "id": "'int | None' = None",
        "state": "'str | None | Unset' = UNSET",
        "limit": "'int | None' = None",
        "since": "'datetime | None' = None",
        "labels": "'Mapping[str, str] | None' = None",
    }


def test_defaults_are_documented_and_not_sent(operations: Api) -> None:
    """The server applies its defaults itself, so they are documented but never sent."""
    doc = " ".join(getdoc(operations.module("client").SyncOperations.change).split())
    assert "limit: How many. Left out, the server takes 10." in doc
    assert 'since: Left out, the server takes "2026-01-01T00:00:00Z". With a time zone.' in doc
    assert 'labels: Left out, the server takes {"a": "b"}.' in doc


def test_a_body_that_is_no_object_is_one_argument(operations: Api) -> None:
    """A body that is an array, nullable, of any type or without named fields is one argument."""
    part = operations.Part(name="a")
    assert operations.body("many", body=[part]) == [{"name": "a"}]
    assert operations.body("many", body=()) == []
    assert operations.body("part", body=part) == {"name": "a"}
    assert operations.body("part", body=None) is None
    assert operations.body("free", body={"a": [1]}) == {"a": [1]}
    blank = operations.Blank(additional_properties={"a": 1})
    assert operations.body("blank", body=blank) == {"a": 1}
    with pytest.raises(ArgumentError, match=r"^body\[0\] must be of type Part"):
        operations.call("many", body=[{"name": "a"}])


def test_an_optional_body_can_be_left_out(operations: Api) -> None:
    """If an optional body is left out, none is sent, not an empty object."""
    assert operations.call("some").body is None
    assert operations.body("some", body=["a"]) == ["a"]


def test_answers_of_every_kind(operations: Api) -> None:
    """Responses can be lists, nullable models, maps, any JSON, or empty."""

    def decode(name: str) -> Any:
        return operations.module(f"api.v1.{name}").OPERATION.decode

    assert decode("list_")([{"name": "a"}]) == [operations.Part(name="a")]
    assert decode("maybe")(None) is None
    assert decode("maybe")({"name": "a"}) == operations.Part(name="a")
    assert decode("map")({"a": "b"}) == {"a": "b"}
    assert decode("free")([1]) == [1]
    assert decode("gone") is decode("quiet") is None
    client = operations.module("client").SyncOperations
    assert signature(client.gone).return_annotation == "None"
    assert signature(client.list_).return_annotation == "list[Part]"
    assert "Returns:" not in getdoc(client.gone)
    assert "Returns:\n    The thing." in getdoc(client.list_)


def test_methods_say_whether_they_may_be_repeated(operations: Api) -> None:
    """Calls of GET, PUT and DELETE are safe to repeat; those of POST and PATCH are not."""
    safe = {
        method: operations.module(f"api.v1.{method}_it").OPERATION.safe
        for method in ("get", "put", "delete", "patch")
    }
    assert safe == {"get": True, "put": True, "delete": True, "patch": False}
    client = operations.module("client").SyncOperations
    assert "Safe to repeat" in getdoc(client.get_it)
    assert "Not safe to repeat" in getdoc(client.patch_it)


def test_a_path_parameter_may_have_a_name_that_the_code_uses(generate: Generate) -> None:
    """A path parameter named like a variable in the code gets another name in Python."""
    api = generate({}, post("/a/{call}", parameters=[parameter("call", "path", TEXT)]))
    assert api.call(call_path="b").target == "/a/b"


def test_a_default_may_be_a_date(generate: Generate) -> None:
    """An unquoted date in YAML is documented as a default like a text."""
    body = {"type": "object", "properties": {"since": {"default": date(2026, 1, 2)}}}
    doc = getdoc(generate({}, post(requestBody=takes(body))).module("client").SyncOperations.do_it)
    assert 'since: Left out, the server takes "2026-01-02".' in doc


def test_parameters_of_a_path_belong_to_its_operations(operations: Api) -> None:
    """The parameters of a path item belong to each of its operations."""
    assert operations.call("get_it", shared="a").target == "/read?shared=a"
    assert operations.call("put_it", shared="a").target == "/read?shared=a"


def test_every_operation_is_a_method_of_the_four_clients(operations: Api) -> None:
    """Blocking and async clients, with and without responses, have the same methods."""
    client = operations.module("client")
    sync = {name for name in vars(client.SyncOperations) if not name.startswith("_")}
    assert len(sync) == 18
    for other in ("AsyncOperations", "SyncOperationsWithResponse", "AsyncOperationsWithResponse"):
        owner = getattr(client, other)
        assert {name for name in vars(owner) if not name.startswith("_")} == sync
        for name in sync:
            plain = signature(getattr(client.SyncOperations, name))
            assert plain.parameters == signature(getattr(owner, name)).parameters


def test_an_operation_without_a_name_is_named_after_its_path(operations: Api) -> None:
    """An operation without an operationId is named after its method and path."""
    assert operations.call("post_unnamed").target == "/unnamed"
    assert getdoc(operations.module("client").SyncOperations.post_unnamed).startswith(
        "post unnamed.\n"
    )


def test_a_tag_may_be_called_as_folders_that_tools_pass_over(operations: Api) -> None:
    """Code below a tag named `build` is formatted and its imports are cleaned up too."""
    text = (operations.folder / operations.package / "api" / "build" / "built.py").read_text()
    assert "encode_string" not in text


def test_an_overlay_may_name_an_operation(generate: Generate) -> None:
    """`x-python-name` is the name of the method, whatever its operationId is."""
    api = generate({}, post(**{"x-python-name": "fetch_all"}))
    assert api.module("api.v1.fetch_all").OPERATION.name == "fetch_all"
    with pytest.raises(
        GenerationError, match=r"things\.post: x-python-name: 'a b' cannot be a name"
    ):
        generate({}, post(**{"x-python-name": "a b"}))


def test_docstrings_tell_limits(generate: Generate) -> None:
    """Docstrings describe each kind of limit, and contain the document's own pattern."""
    limits: dict[str, dict[str, Any]] = {
        "a": {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 9},
        "b": {"type": "number", "minimum": 0.5, "maximum": 2, "exclusiveMaximum": True},
        "c": {"type": "integer", "multipleOf": 5},
        "d": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": r'^\d"""\\$'},
        "e": {"type": "array", "items": {**TEXT, "format": "digits", "nullable": True}},
        "f": {"type": "boolean", "description": "Whether"},
        "g": {"type": "string", "minLength": 3, "maxLength": 3},
        "h": {"type": "string", "maxLength": 1},
        "i": {"type": "array", "items": {**TEXT, "maxLength": 9}, "minItems": 1, "maxItems": 9},
        "j": {"type": "array", "items": TEXT, "minItems": 0, "uniqueItems": True},
    }
    body = takes({"type": "object", "properties": limits})
    doc = getdoc(generate({}, post(requestBody=body)).module("client").AsyncOperations.do_it)
    arguments = doc.partition("Args:\n")[2].partition("\n\n")[0]
    assert [line.strip() for line in arguments.splitlines()] == [
        "a: Greater than 0, at most 9.",
        "b: At least 0.5, less than 2.",
        "c: A multiple of 5.",
        r'd: At least 1 character, at most 5 characters, matching `^\d"""\\$`.',
        "e: At least 0, of any size.",
        "f: Whether.",
        "g: Exactly 3 characters.",
        "h: At most 1 character.",
        "i: At least 1 item, at most 9 items, which only the server checks. At most 9 characters.",
        "j: Each only once, which only the server checks.",
    ]


# --- texts ---------------------------------------------------------------------------------------

EVIL = [
    "quote \" and ' and \"\"\" and '''",
    'end with "',
    "end with \\",
    '\\""" + evil() + """',
    '"""\nimport os\nevil()\n"""',
    "\\N{evil} \\x \\u12 \\U",
    "{evil()} {{ evil() }} {% evil %} #}",
    "line\u2028separator",
]


@pytest.mark.parametrize("text", EVIL)
@pytest.mark.filterwarnings("error")
def test_no_text_of_the_document_becomes_code(generate: Generate, text: str) -> None:
    """Descriptions, names, values and paths stay text in the generated code."""
    one_line = " ".join(text.split())
    path = "/quoted'(evil())'"  # a path cannot contain the other texts
    api = generate(
        {
            "A": {
                "type": "object",
                "description": text,
                "properties": {text: {"type": "string", "description": text, "default": text}},
                "required": [text],
            },
            "E": {"type": "string", "enum": ["other", one_line], "description": text},
        },
        post(
            path,
            summary=text,
            description=text,
            parameters=[parameter(text, "query", TEXT, description=text)],
            requestBody=takes(ref("A")),
            responses=answers(ref("A"), description=text),
        ),
        info={"title": text, "version": "1", "description": text},
    )
    wire = {text: text}
    assert api.A.from_dict(wire).to_dict() == wire
    assert one_line in " ".join((getdoc(api.A) or "").split())
    assert one_line in [member.value for member in api.E]
    names = list(signature(api.module("api.v1.do_it").call).parameters)
    call = api.call(**dict.fromkeys(names, "v"))
    assert json.loads(call.body) == {text: "v"}
    assert call.target.startswith(path)
    for name in ("__init__", "client", "models", "api.v1.do_it"):
        assert "evil" not in vars(api.module(name.removesuffix("__init__") or "models"))


# --- names that collide --------------------------------------------------------------------------


def test_two_operations_of_one_name_get_different_methods(generate: Generate) -> None:
    """Two operations whose names are equal in Python get different ones, which is reported."""
    api = generate({}, {**post(name="getThing"), **post("/other", "get_thing")})
    assert {one.path: one.name for one in api.api.endpoints} == {
        "/things": "get_thing_camel",
        "/other": "get_thing",
    }
    [found] = api.api.findings
    assert found.problem == "its method is get_thing_camel: get_thing is taken"


def test_components_and_values_of_one_name_are_told_apart(generate: Generate) -> None:
    """Components and enum values whose names are equal in Python get different ones."""
    api = generate({"AB": PART, "a_b": PART, "E": {**TEXT, "enum": ["a-b", "a_b"]}})
    assert len(api.module("models").__all__) == 3
    assert sorted(one.value for one in api.E) == ["a-b", "a_b"]


def test_a_union_in_a_union_has_the_json_types_of_both() -> None:
    """Each type once, so that alternatives are told apart by them."""
    inner = _kinds.Union(parts=[_kinds.Boolean(), _kinds.Integer()])
    outer = _kinds.Union(parts=[_kinds.Boolean(), inner])
    assert outer.letters == "bi"
