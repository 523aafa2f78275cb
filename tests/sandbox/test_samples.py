"""The sample values that the sandbox makes from schemas."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneloop.sandbox._patterns import matching
from oneloop.sandbox._samples import EndlessSchemaError, Samples

TEXT = {"type": "string"}
COMPONENTS = {
    "Name": {"type": "string", "example": "Ann"},
    "a/b~c": {"type": "integer"},
    "Node": {
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": TEXT,
            "next": {"$ref": "#/components/schemas/Node"},
            "all": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
        },
    },
    "Chain": {
        "type": "object",
        "nullable": True,
        "required": ["next"],
        "properties": {"next": {"$ref": "#/components/schemas/Chain"}},
    },
    "Endless": {"required": ["me"], "properties": {"me": {"$ref": "#/components/schemas/Endless"}}},
    "Crowd": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Crowd"}},
    "Tree": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Tree"}},
    "Forest": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"$ref": "#/components/schemas/Forest"},
    },
    "Either": {"oneOf": [{"$ref": "#/components/schemas/Either"}, {"type": "boolean"}]},
    "Neither": {"anyOf": [{"$ref": "#/components/schemas/Neither"}]},
    "Or": {"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/Or"}]},
    "Shown": {"type": "object", "properties": {"a": TEXT}, "example": {"a": "shown"}},
}
DOCUMENT = {
    "x-samples": {"digits": "1000"},
    "components": {"schemas": COMPONENTS, "list": [TEXT]},
}
SAMPLES = Samples(DOCUMENT)


def ref(name: str) -> dict[str, Any]:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize(
    ("schema", "sample"),
    [
        (TEXT, "example"),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null"]}, None),
        ({"type": ["null", "boolean"]}, True),
        ({}, {}),
        (True, {}),
        ({"type": "string", "example": "mine", "enum": ["a"]}, "mine"),
        ({"type": "string", "examples": ["mine", "other"]}, "mine"),
        ({"const": None}, None),
        ({"enum": [None, "a"]}, "a"),
        ({"enum": [None]}, None),
        ({"type": "array", "items": TEXT}, ["example"]),
        ({"items": TEXT, "minItems": 2}, ["example", "example"]),
        ({"type": "array", "maxItems": 0}, []),
        ({"type": "array"}, [{}]),
        ({"properties": {"a": TEXT, "b": {**TEXT, "writeOnly": True}}}, {"a": "example"}),
        ({"type": "object", "required": ["a"]}, {"a": {}}),
        ({"additionalProperties": TEXT}, {"example0": "example"}),
        ({"additionalProperties": True, "minProperties": 2}, {"example0": {}, "example1": {}}),
        ({"additionalProperties": False, "properties": {"a": TEXT}}, {"a": "example"}),
        ({"properties": {"a": TEXT}, "minProperties": 2}, {"a": "example", "example0": {}}),
        ({"required": ["a"], "additionalProperties": TEXT}, {"a": "example"}),
    ],
)
def test_a_sample_is_of_its_type(schema: Any, sample: object) -> None:
    """A sample is an example of the document, or else has all fields, required or not."""
    assert SAMPLES.of(schema) == sample


@pytest.mark.parametrize(
    ("schema", "sample"),
    [
        (ref("Name"), "Ann"),
        (ref("a~1b~0c"), 1),
        (ref("a~1b%7E0c"), 1),
        ({"$ref": "#/components/list/0"}, "example"),
        (ref("Node"), {"id": "example", "all": []}),
        (ref("Chain"), {"next": None}),
        (ref("Tree"), {}),
        (ref("Either"), True),
        (ref("Or"), None),
        ({"allOf": [ref("Shown"), {"properties": {"b": TEXT}}]}, {"a": "example", "b": "example"}),
        (
            {"allOf": [{"required": ["a"]}, {"required": ["b"]}], "additionalProperties": TEXT},
            {"a": "example", "b": "example"},
        ),
        ({"oneOf": [TEXT, {"type": "integer"}]}, "example"),
        ({"anyOf": [{"required": ["a"]}], "properties": {"b": TEXT}}, {"b": "example", "a": {}}),
    ],
)
def test_references_and_parts_are_followed(schema: Any, sample: object) -> None:
    """References and parts of a schema are followed until the schema would contain itself."""
    assert SAMPLES.of(schema) == sample


@pytest.mark.parametrize("name", ["Endless", "Crowd", "Forest", "Neither"])
def test_a_schema_without_a_finite_value_has_no_sample(name: str) -> None:
    """A schema that requires itself has no sample, and the error names it."""
    with pytest.raises(EndlessSchemaError, match=f"#/components/schemas/{name} requires itself"):
        SAMPLES.of(ref(name))


@pytest.mark.parametrize(
    ("content", "sample"),
    [
        ({"example": 5, "schema": TEXT}, 5),
        ({"examples": {"one": {"value": 5}}, "schema": TEXT}, 5),
        (
            {"examples": {"one": {"externalValue": "https://example.com"}}, "schema": TEXT},
            "example",
        ),
        ({"schema": TEXT}, "example"),
        ({}, {}),
    ],
)
def test_a_media_type_may_have_examples(content: Any, sample: object) -> None:
    """An example of the media type takes precedence over those of its schema."""
    assert SAMPLES.of_content(content) == sample


@pytest.mark.parametrize(
    ("schema", "number"),
    [
        ({}, 1),
        ({"minimum": 1}, 1),
        ({"minimum": 1, "exclusiveMinimum": True}, 2),
        ({"minimum": 1, "exclusiveMinimum": False}, 1),
        ({"exclusiveMinimum": 1}, 2),
        ({"maximum": 0}, 0),
        ({"maximum": -5, "exclusiveMaximum": True}, -6),
        ({"exclusiveMaximum": -5}, -6),
        ({"minimum": 10, "multipleOf": 7}, 14),
        ({"maximum": -10, "multipleOf": 7}, -14),
        ({"minimum": 2**53}, 2**53),
        ({"type": "number", "minimum": 1.5}, 1.5),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "multipleOf": 0.25, "minimum": 0.5, "maximum": 0.9}, 0.5),
        ({"minimum": 5, "maximum": 4}, 1),
    ],
)
def test_a_number_is_within_its_bounds(schema: Any, number: float) -> None:
    """A number is within the bounds of OpenAPI 3.0 or 3.1, or 1 if no number is."""
    sample = SAMPLES.of({"type": "integer", **schema})
    assert (sample, type(sample)) == (number, type(number))


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"minLength": 9}, "examplexx"),
        ({"maxLength": 3}, "exa"),
        ({"format": "date"}, "2026-01-31"),
        ({"format": "unheard-of"}, "example"),
        ({"format": "digits", "pattern": r"^\d+$"}, "1000"),
        ({"format": "digits", "pattern": r"^\d{2}$"}, "11"),
        ({"pattern": "^ex"}, "example"),
        ({"pattern": "^[A-Z]+$"}, "A"),
        ({"pattern": "^[a-z]+$", "minLength": 9}, "examplexx"),
        ({"pattern": "^[A-Z]*$", "minLength": 4, "maxLength": 4}, "AAAA"),
        ({"pattern": "^#?[A-F]?$", "maxLength": 0}, ""),
        ({"pattern": r"^(?=.*\d)[a-z\d]{8}$"}, "example"),
        ({"pattern": r"^(a)\1$"}, "example"),
    ],
)
def test_a_text_has_its_format_length_and_pattern(schema: Any, text: str) -> None:
    """A text fits its format, length and pattern; an unsupported pattern is ignored."""
    assert SAMPLES.of({"type": "string", **schema}) == text


PATTERNS = [
    *(
        "^cus_[a-z0-9]{24}$",
        r"^\d{4}-\d\d-\d\d$",
        "^(usd|eur)$",
        r"^#[\dA-Fa-f]{6}$",
        "^(?:a|b){2,}$",
    ),
    *(r"^[^\s@]+@[^\s@]+\.[a-z]{2,}$", r"^\+?[1-9]\d{1,14}$", r"^v\d+(\.\d+)*$", "^[]a]$", "^a|b$"),
    *(
        r"^[\w\]-]+\Z",
        "^(?P<year>[0-9]{4}){1,2}$",
        r"^\x41\u0042$",
        "^[a-z]+?$",
        r"^é\/\\$",
        "^.{3}$",
    ),
]


@pytest.mark.parametrize("repeats", [0, 1, 5])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_usual_patterns_are_matched(pattern: str, repeats: int) -> None:
    """The text for a pattern with classes, counts, groups or alternatives matches it."""
    assert re.search(pattern, matching(pattern, repeats))


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@given(st.text(alphabet=r"ab1[](){}|?*+\^$.,-:<>P=!", max_size=30))
@settings(max_examples=300)
def test_no_pattern_is_too_much(pattern: str) -> None:
    """Any pattern that Python can compile results in some text."""
    try:
        re.compile(pattern)
    except re.error:
        return
    assert isinstance(SAMPLES.of({"type": "string", "pattern": pattern}), str)
