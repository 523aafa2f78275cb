"""Each rule that makes a schema normal: what a vendor writes, and what the reader takes."""

from typing import Any

import pytest

from codegen._findings import Unsupported
from codegen._normal import Rules
from tests.codegen.generating import TEXT, ref

WHOLE = {"type": "integer"}
A = {"type": "object", "properties": {"a": TEXT}}
B = {"type": "object", "properties": {"b": TEXT}}
AB = {"type": "object", "properties": {"a": TEXT, "b": TEXT}}
C = {"type": "object", "properties": {"c": TEXT}, "title": "C"}
NULL = {"type": "null", "nullable": True}
DOCUMENT = {
    "components": {
        "schemas": {
            "A": {**A, "title": "An A"},
            "B": B,
            "Id": {**TEXT, "description": "An id"},
            "Self": {"allOf": [ref("Self"), A]},
            **{f"Deep{n}": {"allOf": [ref(f"Deep{n + 1}"), A]} for n in range(70)},
            "Deep70": B,
            "Many": {"oneOf": [{**TEXT, "maxLength": n} for n in range(15)]},
        }
    }
}

CASES: dict[str, tuple[Any, Any]] = {
    # --- boolean
    "true": (True, {}),
    "nothing": ({}, {}),
    # --- siblings
    "description beside $ref": (
        {**ref("A"), "description": "d"},
        {**ref("A"), "description": "d"},
    ),
    "what the target says too": ({**ref("A"), "type": "object"}, ref("A")),
    "required beside $ref": (
        {**ref("A"), "required": ["a"], "description": "d"},
        {**A, "required": ["a"], "description": "d"},
    ),
    # --- types
    "null type": ({"type": "null"}, NULL),
    "only null": ({"type": ["null"]}, {**NULL}),
    "type or null": ({"type": ["string", "null"]}, {**TEXT, "nullable": True}),
    "two types": (
        {"type": ["string", "integer"], "maxLength": 3, "minimum": 1, "description": "d"},
        {"description": "d", "oneOf": [{**TEXT, "maxLength": 3}, {**WHOLE, "minimum": 1}]},
    ),
    "two types of values": (
        {"type": ["string", "boolean"], "enum": ["a", True]},
        {"oneOf": [{**TEXT, "enum": ["a"]}, {"type": "boolean", "enum": [True]}]},
    ),
    "all types": (
        {"type": ["string", "number", "boolean", "array", "object", "null"]},
        {"nullable": True},
    ),
    # --- null
    "null const": ({"const": None}, NULL),
    "null value": ({**TEXT, "enum": ["a", None]}, {**TEXT, "enum": ["a"], "nullable": True}),
    "only null value": ({"enum": [None]}, NULL),
    "alternative null": ({"oneOf": [ref("A"), {"type": "null"}]}, {**ref("A"), "nullable": True}),
    "only alternative null": ({"anyOf": [{"const": None}]}, NULL),
    # --- allOf
    "one part": ({"allOf": [ref("A")]}, ref("A")),
    "one part with notes": (
        {"allOf": [ref("A"), {"description": "d"}], "nullable": True},
        {**ref("A"), "description": "d", "nullable": True},
    ),
    "one part in place": ({"allOf": [A], "type": "object"}, A),
    "two objects": ({"allOf": [ref("A"), ref("B")]}, AB),
    "objects beside": ({"allOf": [ref("A")], **B}, AB),
    "one part that is described": (
        {"allOf": [{**A, "description": "d"}], **B},
        {**AB, "description": "d"},
    ),
    "values without a type": ({"allOf": [{"enum": [1, "a"]}, {"enum": ["a"]}]}, {"enum": ["a"]}),
    "no part": ({"allOf": []}, {}),
    "required of both": (
        {"allOf": [{**A, "required": ["a"]}, {**B, "required": ["a", "b"]}]},
        {**AB, "required": ["a", "b"]},
    ),
    "limits": (
        {
            "allOf": [
                {**TEXT, "minLength": 1, "maxLength": 5},
                {**TEXT, "minLength": 2, "maxLength": 9},
            ]
        },
        {**TEXT, "minLength": 2, "maxLength": 5},
    ),
    "integer and number": (
        {"allOf": [WHOLE, {"type": "number", "minimum": 1}]},
        {**WHOLE, "minimum": 1},
    ),
    "values of both": (
        {"allOf": [{**TEXT, "enum": ["a", "b"]}, {**TEXT, "enum": ["b", "c"]}]},
        {**TEXT, "enum": ["b"]},
    ),
    "null and a type": ({"allOf": [TEXT, {"type": "null"}]}, {**TEXT, "nullable": True}),
    "all parts nullable": (
        {"allOf": [{**A, "nullable": True}, {**B, "nullable": True}]},
        {**AB, "nullable": True},
    ),
    "one part nullable": ({"allOf": [{**A, "nullable": True}, B]}, AB),
    "a field of both": (
        {"allOf": [A, {"type": "object", "properties": {"a": {**TEXT, "maxLength": 1}}}]},
        {"type": "object", "properties": {"a": {"allOf": [TEXT, {**TEXT, "maxLength": 1}]}}},
    ),
    "items of both": (
        {"allOf": [{"type": "array", "items": TEXT}, {"type": "array", "items": ref("Id")}]},
        {"type": "array", "items": {"allOf": [TEXT, ref("Id")]}},
    ),
    "closed part": (
        {"allOf": [{**A, "additionalProperties": False}, B]},
        {**AB, "additionalProperties": False},
    ),
    "alternatives in a part": (
        {"allOf": [A, {"oneOf": [ref("B"), C]}]},
        {
            "oneOf": [
                {"allOf": [A, ref("B")], "title": "B"},
                {"allOf": [A, C], "title": "C"},
            ]
        },
    ),
    # --- alternatives
    "one alternative": (
        {"oneOf": [ref("A")], "description": "d"},
        {**ref("A"), "description": "d"},
    ),
    "equal alternatives": ({"anyOf": [TEXT, TEXT]}, TEXT),
    "no alternatives": ({"oneOf": [], **TEXT}, {"oneOf": [], **TEXT}),
    "two alternatives": ({"anyOf": [ref("A"), TEXT]}, {"oneOf": [ref("A"), TEXT]}),
    "nested": (
        {"oneOf": [WHOLE, {"anyOf": [TEXT, {"type": "boolean"}]}]},
        {"oneOf": [WHOLE, TEXT, {"type": "boolean"}]},
    ),
    "a nullable alternative": (
        {"oneOf": [WHOLE, {**TEXT, "nullable": True}]},
        {"oneOf": [WHOLE, {**TEXT, "nullable": True}], "nullable": True},
    ),
    "fields beside": (
        {"oneOf": [ref("A"), C], **B, "discriminator": {"propertyName": "a"}},
        {
            "discriminator": {"propertyName": "a"},
            "oneOf": [
                {"allOf": [B, ref("A")], "title": "A"},
                {"allOf": [B, C], "title": "C"},
            ],
        },
    ),
    "any value with fields beside": (
        {"oneOf": [True, C], **B},
        {"oneOf": [{"allOf": [B, True]}, {"allOf": [B, C], "title": "C"}]},
    ),
    "alternatives that require the same": (
        {**AB, "anyOf": [{"required": ["a"]}, {"required": ["a"], "title": "T"}]},
        {**AB, "required": ["a"]},
    ),
    # --- types that are missing
    "fields": ({"properties": {"a": TEXT}}, A),
    "numeric format": ({"format": "int32"}, {"format": "int32", **WHOLE}),
    "file": ({"type": "file"}, {**TEXT, "format": "binary"}),
    "any": ({"type": "any"}, {}),
    "const": ({"const": 1, "type": ["integer"]}, {"const": 1, **WHOLE}),
    "values": ({"enum": ["a"]}, {"enum": ["a"]}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_schema_becomes_normal(name: str) -> None:
    """The rules rewrite a schema, and drop nothing of it."""
    schema, expected = CASES[name]
    findings: list[Any] = []
    assert Rules(DOCUMENT, findings).normal(schema, ()) == expected
    assert findings == []


DROPPED: dict[str, tuple[Any, Any, str]] = {
    "not": ({**TEXT, "not": {"enum": ["a"]}}, {**TEXT, "not": {"enum": ["a"]}}, "not is left to"),
    "unknown type": ({"type": "money"}, {}, "'money' is no type of JSON; any value is taken"),
    "required together": (
        {**AB, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {**AB, "required": []},
        "which of the fields are required together is left to the server",
    ),
}


@pytest.mark.parametrize("name", DROPPED)
def test_what_has_no_effect_is_reported(name: str) -> None:
    """What the client cannot check is dropped with a finding."""
    schema, expected, problem = DROPPED[name]
    findings: list[Any] = []
    assert Rules(DOCUMENT, findings).normal(schema, ("x",)) == expected
    assert {one.place[0] for one in findings} == {"x"}
    assert problem in findings[0].problem


REFUSED: dict[str, tuple[Any, str]] = {
    "false": (False, "no value fits"),
    "no schema": (5, "not a mapping"),
    "two types at once": ({"allOf": [TEXT, WHOLE]}, "integer and string at the same time"),
    "no target": ({"allOf": [ref("Gone"), A]}, "has no target in the document"),
    "another file": ({"allOf": [{"$ref": "a.yaml"}, A]}, "'a.yaml' has no target"),
    "too deep": (ref("Deep0") | {"required": ["a"]}, "nested too deeply or are circular"),
    "itself": (ref("Self") | {"required": ["a"]}, "consists of itself"),
    "too many": (
        {
            "oneOf": [{**TEXT, "minLength": n} for n in range(15)],
            "anyOf": [{**TEXT, "maxLength": n} for n in range(15)],
        },
        "more than 200 alternatives",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_normal_is_refused(name: str) -> None:
    """A contradiction, and a reference to nothing or to itself, is refused with the reason."""
    schema, problem = REFUSED[name]
    with pytest.raises(Unsupported, match=problem):
        Rules(DOCUMENT, []).normal(schema, ("x",))
