"""Reading a document: every error is one line that says what is wrong and where."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from codegen import _yaml
from codegen._document import parse_document, parse_yaml, problems, read_document, read_text
from codegen._errors import GenerationError
from codegen._findings import dotted
from codegen._structure import Blame, refuse, structural

GOOD = 'openapi: 3.0.3\ninfo: {title: T, version: "1"}\npaths: {}\n'
ONE_PATH = GOOD.removesuffix("paths: {}\n") + "paths: {/a: {get: %s}}\n"
ONE_SCHEMA = GOOD + "components: {schemas: {A: %s}}\n"


def found(text: str) -> list[str]:
    """Return what is wrong in the text of a document, each with its place."""
    return [f"{dotted(one.place)}: {one.problem}" for one in problems(parse_document(text, "a"))]


def refusing(text: str) -> list[str]:
    """Return the places whose operations are refused."""
    return [dotted(one.place) for one in problems(parse_document(text, "a")) if one.refuses]


def failure(folder: Path, text: str | bytes) -> str:
    """Read a document with this text and return the error message."""
    path = folder / "api.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GenerationError) as caught:
        read_document(path)
    return str(caught.value)


@pytest.mark.parametrize("version", ["3.0.0", "3.0.3", "3.1.0", "3.1.1"])
def test_openapi_3_0_and_3_1_are_read(tmp_path: Path, version: str) -> None:
    """Both versions that codegen supports are accepted and returned unchanged."""
    path = tmp_path / "api.yaml"
    path.write_text(GOOD.replace("3.0.3", version), encoding="utf-8")
    assert read_document(path) == {
        "openapi": version,
        "info": {"title": "T", "version": "1"},
        "paths": {},
    }


def test_json_is_read_too(tmp_path: Path) -> None:
    """A document in JSON is read like one in YAML."""
    path = tmp_path / "api.json"
    path.write_text('{"openapi": "3.1.0", "info": {"title": "é", "version": "1"}, "paths": {}}')
    assert read_document(path)["info"]["title"] == "é"


DEEP = "more than 100 levels are nested in each other"
UNREADABLE = [
    ("a: [1\nb: 2\n", "api.yaml: line 2, column 2: "),
    ("a:\n\t- b\n", "api.yaml: line 2, column 1: found character "),
    (GOOD + "openapi: 3.0.0\n", "api.yaml: line 4, column 1: found duplicate key 'openapi'"),
    (GOOD + "x: {200: 1, '200': 2}\n", "api.yaml: line 4, column 13: found duplicate key '200'"),
    (GOOD + "---\n" + GOOD, "api.yaml: line 4, column 1: found another document"),
    ("!!python/object:os.system x\n", "api.yaml: line 1, column 1: the tag tag:yaml.org,2002:py"),
    (GOOD + 'a: "\x00"\n', "api.yaml: line 4, column 5: unacceptable character #x0000"),
    (GOOD.encode() + b"# \xe9\n", "api.yaml cannot be read: 'utf-8' codec can't decode"),
    ("- a\n", "api.yaml is not a mapping"),
    ("", "api.yaml is not a mapping"),
    ("# nothing\n", "api.yaml is not a mapping"),
    ("a: " + "[" * 500, f"api.yaml: line 1, column 103: {DEEP}"),
    (
        GOOD + "x-a: &a [*a]\n",
        "api.yaml: line 4, column 10: an alias refers to a node that contains",
    ),
    (GOOD + "x-a: *b\n", "api.yaml: line 4, column 6: found undefined alias 'b'"),
    (GOOD + "x: {0x1F: 1}\n", "api.yaml: line 4, column 5: the key 0x1F needs quotes"),
    (GOOD + "x: {[a]: 1}\n", "api.yaml: line 4, column 5: the key that is a mapping or a list"),
    (GOOD + "<<: 5\n", "api.yaml: line 4, column 5: a merge key needs a mapping"),
    ("%YAML 2.0\n---\na: b\n", "api.yaml: line 1, column 1: "),
    ('{"a": 1,\n "b": ]', "api.yaml: line 2, column 7: Expecting value"),
    ('{"a": 1,\n "b": 1, "a": 2}', "api.yaml: line 2, column 10: found duplicate key 'a'"),
    ('{"a": {"b": 1}, "c": ["b", NaN]}', "api.yaml: line 1, column 28: NaN cannot be read as"),
    ('{"a": "NaN", "b": -Infinity}', "api.yaml: line 1, column 19: -Infinity cannot be"),
    ('{"a": [1e400]}', "api.yaml: line 1, column 8: 1e400 cannot be read as a JSON number"),
    ('{"a": "b", "c": "\\ud800"}', 'api.yaml: line 1, column 17: "\\ud800" is not Unicode text'),
    ('{"a": ' * 101 + "1" + "}" * 101, f"api.yaml cannot be read: {DEEP}"),
    ('{"a": ' * 100_000, f"api.yaml cannot be read: {DEEP}"),
    ("{a: b, c: d", "api.yaml: line 1, column 12: "),
    ('{"a": null, "b": 1, "b": 2}', "api.yaml: line 1, column 21: found duplicate key 'b'"),
    ('a: "\\U00110000"', "api.yaml cannot be read: "),
    ('a: "\\Uffffffff"', "api.yaml cannot be read: "),
]


@pytest.mark.parametrize(("text", "message"), UNREADABLE)
@pytest.mark.parametrize("libyaml", [True, False])
def test_what_is_no_yaml_mapping_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str, libyaml: bool
) -> None:
    """A file that is not one mapping is refused, with line and column, with and without libyaml."""
    if not libyaml:
        monkeypatch.delattr(_yaml.yaml, "CBaseLoader")
    assert failure(tmp_path, text).startswith(message)


CORE = """
texts: [NO, on, y, 12:30:45, 0o17, 017, -07.5, 2020-02-30, 2001-12-14t21:59:43.10-05:00, 1_000]
more: [NaN, Infinity, 1e, 0x, ., '', "7", '~', ! 8, !!str 9, -, <<]
numbers: [0, -1, +2, 1.5, .5, 1., 1e3, 0x1F]
others: [~, null, true, False]
200: {true: a, null: b, 1.5: c, NO: d}
empty:
"""


@pytest.mark.parametrize("libyaml", [True, False])
def test_yaml_has_the_types_of_version_1_2(monkeypatch: pytest.MonkeyPatch, libyaml: bool) -> None:
    """Only what is a number, a boolean or null beyond doubt is one; dates are texts as written."""
    if not libyaml:
        monkeypatch.delattr(_yaml.yaml, "CBaseLoader")
    read = parse_yaml(CORE, "a")
    lines = CORE.splitlines()
    assert read["texts"] == lines[1][8:-1].split(", ")
    assert read["more"] == ["NaN", "Infinity", "1e", "0x", ".", "", "7", "~", "8", "9", "-", "<<"]
    assert json.dumps(read["numbers"]) == "[0, -1, 2, 1.5, 0.5, 1.0, 1000.0, 31]"
    assert read["others"] == [None, None, True, False]
    assert read["200"] == {"true": "a", "null": "b", "1.5": "c", "NO": "d"}
    assert read["empty"] is None


@pytest.mark.parametrize("libyaml", [True, False])
def test_anchors_are_copied(monkeypatch: pytest.MonkeyPatch, libyaml: bool) -> None:
    """An alias is a copy, so that a patch of one part does not change the others."""
    if not libyaml:
        monkeypatch.delattr(_yaml.yaml, "CBaseLoader")
    read = parse_yaml("a: &a {b: [1], c: &k d}\ne: *a\nf: *k\n*k : g\n", "a")
    assert read == {"a": {"b": [1], "c": "d"}, "e": {"b": [1], "c": "d"}, "f": "d", "d": "g"}
    assert read["a"]["b"] is not read["e"]["b"]
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: {w: 1, <<: *a}\n"
    read = parse_yaml(text, "a")
    assert list(read["c"].items()) == [("y", 1), ("z", 3), ("x", 1)]
    assert read["d"] == {"x": 1, "y": 1, "w": 1}
    assert parse_yaml("{a: '<<', '<<': 1}", "a") == {"a": "<<", "<<": 1}


@pytest.mark.parametrize("libyaml", [True, False])
def test_a_surrogate_pair_is_one_character(monkeypatch: pytest.MonkeyPatch, libyaml: bool) -> None:
    """An emoji may be escaped as JSON does it, in JSON and in YAML."""
    if not libyaml:
        monkeypatch.delattr(_yaml.yaml, "CBaseLoader")
    for text in (r'{"a": "\ud83d\ude00"}', r'a: "\ud83d\ude00"', r'{a: "\ud83d\ude00"}'):
        assert parse_yaml(text, "a") == {"a": "\U0001f600"}
    with pytest.raises(GenerationError, match=r"line 1, column 4: '.ud83d' is not Unicode text"):
        parse_yaml(r'a: "\ud83d"', "a")


def test_bom_and_tabs_are_read() -> None:
    """A byte order mark and tabs between the values of JSON mean nothing."""
    assert parse_yaml('\ufeff{\t"a":\t1}', "a") == {"a": 1}
    assert parse_yaml("\ufeffa: 1", "a") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('swagger: "2.0"\n', "its version is 2.0"),
        ("info: {}\n", "it has no openapi version"),
        (GOOD.replace("3.0.3", "4.0.0"), "its version is 4.0.0"),
        (GOOD.replace("3.0.3", "3.2.0"), "its version is 3.2.0"),
    ],
)
def test_other_versions_are_refused(tmp_path: Path, text: str, found: str) -> None:
    """A document of any other version is refused, and the error names the version."""
    assert failure(tmp_path, text) == f"api.yaml is not an OpenAPI 3.0 or 3.1 document: {found}"


@pytest.mark.parametrize(
    "reference",
    [
        "#/components/schemas/B",
        "#/components/schemas/A/type/b",
        "other.yaml#/B",
        "#A",
    ],
)
def test_a_reference_that_has_no_target_is_reported_with_its_place(reference: str) -> None:
    """A $ref without a target, or into another file, is reported with its place."""
    schema = f"{{type: object, allOf: [{{type: object}}, {{$ref: {reference!r}}}]}}"
    [message] = found(ONE_SCHEMA % schema)
    place = "components.schemas.A.allOf.1.$ref"
    assert message.startswith(f"{place}: $ref {reference!r} has no target")
    assert refusing(ONE_SCHEMA % schema) == [place]


def test_a_reference_to_an_escaped_name_is_followed(tmp_path: Path) -> None:
    """In a $ref, ~1 stands for a slash and ~0 for a tilde (RFC 6901)."""
    path = tmp_path / "api.yaml"
    schemas = "{x: {a/b~c: {type: string}}, y: {$ref: '#/x-parts/x/a~1b~0c'}}"
    path.write_text(f"{GOOD}x-parts: {schemas}\n", encoding="utf-8")
    assert read_document(path)["x-parts"]["y"]["$ref"] == "#/x-parts/x/a~1b~0c"


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_is_not_there_is_reported_by_name(tmp_path: Path, name: str) -> None:
    """A missing file, or a folder in its place, is reported by name."""
    with pytest.raises(GenerationError, match=r"cannot be read: .*'$"):
        read_text(tmp_path / name)


# --- what is wrong in a document -----------------------------------------------------------------

WRONG = {
    "no answers": (ONE_PATH % "{operationId: x}", "paths./a.get: responses is missing"),
    "a list of info": (GOOD.replace('"1"', "1.5"), "info.version: expected string, got 1.5"),
    "a word as type": (
        ONE_SCHEMA % "{type: strin}",
        "components.schemas.A.type!: expected one of array, boolean, integer, number, object,"
        ' string, got "strin"',
    ),
    "a word as type in 3.1": (
        (ONE_SCHEMA % "{type: strin}").replace("3.0.3", "3.1.0"),
        "components.schemas.A.type!: expected one of array, boolean, integer, null, number, object,"
        ' string, got "strin"',
    ),
    "deep inside": (
        ONE_SCHEMA % "{properties: {a: {items: {oneOf: [{minLength: -1}]}}}}",
        "components.schemas.A.properties.a.items.oneOf.0.minLength!: -1 is less than the minimum"
        " of 0",
    ),
    "draft 3": (
        ONE_SCHEMA % "{properties: {a: {required: true}}}",
        "components.schemas.A.properties.a.required: expected array, got true",
    ),
    "a file": (
        ONE_SCHEMA % "{type: file}",
        "components.schemas.A.type: expected one of array, boolean, integer, number, object,"
        ' string, got "file"',
    ),
    "nullable in 3.1": (
        (ONE_SCHEMA % "{nullable: true}").replace("3.0.3", "3.1.0"),
        "components.schemas.A.nullable: nullable is not in OpenAPI 3.1; read as in 3.0",
    ),
    "a bound of 3.0 in 3.1": (
        (ONE_SCHEMA % "{exclusiveMinimum: true}").replace("3.0.3", "3.1.0"),
        "components.schemas.A.exclusiveMinimum: expected number, got true",
    ),
    "a bound of 3.1 in 3.0": (
        ONE_SCHEMA % "{exclusiveMinimum: 1}",
        "components.schemas.A.exclusiveMinimum: expected boolean, got 1",
    ),
    "example beside examples": (
        ONE_PATH % "{parameters: [{name: a, in: query, schema: {}, example: 1, examples: {}}]}",
        "paths./a.get: responses is missing",
        "paths./a.get.parameters.0: these exclude each other: example, examples",
    ),
    "schema beside content": (
        ONE_PATH
        % "{responses: {}, parameters: [{name: a, in: query, schema: {}, content: {a/b: {}}}]}",
        "paths./a.get.parameters.0!: OpenAPI has alternatives here, and more than one fits",
        "paths./a.get.parameters.0!: these exclude each other: schema, content",
        "paths./a.get.responses: must not be empty",
    ),
    "an unknown key": (
        ONE_SCHEMA % "{const: a}",
        "components.schemas.A.const: this key is not in OpenAPI",
    ),
    "a key with a fault, which 3.1 does not count as known": (
        (ONE_SCHEMA % "{}")
        .replace("3.0.3", "3.1.0")
        .replace("schemas: {", "securitySchemes: {")
        .replace("A: {}", "A: {type: oauth2, flows: 5, flow: 5}"),
        "components.securitySchemes.A.flow: this key is not in OpenAPI",
        "components.securitySchemes.A.flows!: expected object, got 5",
    ),
    "an id that is none": (
        (ONE_SCHEMA % "{$id: 5}").replace("3.0.3", "3.1.0"),
        "components.schemas.A.$id: expected string, got 5",
    ),
    "a component with a name that OpenAPI does not allow": (
        (ONE_SCHEMA % "{properties: 5}").replace("A:", "A/B:"),
        "components.schemas.A/B.properties!: expected object, got 5",
    ),
    "a path without a slash": (
        ONE_PATH.replace("/a", "a") % "{responses: {}}",
        "paths.a!: a path must begin with /",
    ),
    "a path parameter that is not required": (
        ONE_PATH.replace("/a:", "'/a/{b}':") % "{parameters: [{name: b, in: path, schema: {}}]}",
        "paths./a/{b}.get: responses is missing",
        "paths./a/{b}.get.parameters.0: required is missing",
    ),
}


@pytest.mark.parametrize(
    ("text", "wrong"), [(one[0], one[1:]) for one in WRONG.values()], ids=WRONG
)
def test_what_is_wrong_is_found_with_its_place(text: str, wrong: tuple[str, ...]) -> None:
    """Every fault is found, with its place; `!` marks those that refuse operations."""
    marked = [
        f"{dotted(one.place)}{'!' * one.refuses}: {one.problem}"
        for one in problems(parse_document(text, "a"))
    ]
    assert marked == list(wrong)


MORE = {
    "a parameter that is declared twice": (
        ONE_PATH % "{parameters: [{$ref: '#/x-a'}, {$ref: '#/x-a'}, {name: a, in: query}]}"
        + "x-a: {name: a, in: query, schema: {}}\n",
        [
            "paths./a.get.parameters.1: the query parameter 'a' is declared twice",
            "paths./a.get.parameters.2!: the query parameter 'a' is declared twice",
        ],
    ),
    "an operationId that is used twice": (
        ONE_PATH % "{operationId: b}, put: {operationId: b}",
        ["paths./a.put.operationId: paths./a.get has the operationId 'b' as well"],
    ),
    "a default": (
        ONE_SCHEMA % "{oneOf: [{type: integer, default: 1.5}, {type: integer, default: 2.0},"
        " {type: string, default: true}, {type: string, enum: [a], default: b},"
        " {type: boolean, default: true}, {type: number, default: 1}]}",
        [
            "components.schemas.A.oneOf.0.default: the default is not of type integer",
            "components.schemas.A.oneOf.2.default: the default is not of type string",
            "components.schemas.A.oneOf.3.default: the default is not in the enum",
        ],
    ),
    "an anchor": (
        (ONE_SCHEMA % "{$anchor: a, $dynamicRef: '#a'}").replace("3.0.3", "3.1.0"),
        [
            "components.schemas.A.$anchor: $anchor is ignored: each $ref is read as a path in this"
            " document",
            "components.schemas.A.$dynamicRef!: $dynamicRef is not supported: use a $ref to a part"
            " of components",
        ],
    ),
}


@pytest.mark.parametrize(("text", "wrong"), MORE.values(), ids=MORE)
def test_what_no_schema_expresses_is_found(text: str, wrong: list[str]) -> None:
    """References, parameters, names and defaults are checked beyond OpenAPI's JSON Schema."""
    marked = [
        f"{dotted(one.place)}{'!' * one.refuses}: {one.problem}"
        for one in structural(parse_document(text, "a"))
    ]
    assert marked == wrong


def test_what_nothing_uses_refuses_nothing() -> None:
    """Faults in examples, links, callbacks, webhooks and other words are only remarks."""
    text = ONE_PATH % (
        "{responses: {default: {description: a, links: {a: 1}, content: {a/b: {examples: 1}}}},"
        " callbacks: {a: 1}, tags: 1, externalDocs: 1, x-a: {b: 1}, description: 1}"
    )
    assert len(found(text)) == 7
    assert not refusing(text)
    assert refusing(ONE_SCHEMA % "{properties: {tags: {type: b}, links: {type: [1]}}}") == [
        "components.schemas.A.properties.links.type",
        "components.schemas.A.properties.tags.type",
    ]
    text = GOOD.replace("paths: {}", "components: {}")
    assert found(text) == ["the document: paths is missing"]
    assert not found(text.replace("3.0.3", "3.1.0"))
    assert not found(GOOD.replace("paths", "webhooks").replace("3.0.3", "3.1.0"))


def test_a_part_finds_what_is_wrong_inside() -> None:
    """A reader asks for the faults of a part by its place, in time that grows with its depth."""
    text = ONE_SCHEMA % "{properties: {a: {type: b}, c: {required: true}}}"
    blame = Blame(problems(parse_document(text, "a")))
    schema = ("components", "schemas", "A")
    for place in ((), schema, (*schema, "properties", "a"), (*schema, "properties", "a", "type")):
        one = blame.inside(place)
        assert one is not None
        assert one.place == (*schema, "properties", "a", "type")
    assert blame.inside((*schema, "properties", "c")) is None


def test_all_problems_are_reported_at_once() -> None:
    """All problems are lines of one error, and very many are counted."""
    schemas = ", ".join(f"A{n}: {{type: [{n}]}}" for n in range(150))
    text = GOOD + f"components: {{schemas: {{{schemas}}}}}\n"
    with pytest.raises(GenerationError) as caught:
        refuse("api.yaml", problems(parse_document(text, "a")))
    lines = str(caught.value).split("\n")
    assert len(lines) == 101
    assert lines[0].startswith("api.yaml: components.schemas.A0.type: expected")
    assert lines[-1] == "api.yaml: 50 more problems"
    assert all(len(line) < 300 for line in lines)
    refuse("api.yaml", [])
    remarks = GOOD + "tags: [" + ", ".join("{nam: a}" for _ in range(700)) + "]\n"
    assert found(remarks)[-1] == "the document: 401 more remarks are not listed"
    assert len(found(remarks)) == 1001


def test_a_document_in_json_of_many_megabytes_is_read_at_once() -> None:
    """A large document in JSON is read and checked in seconds."""
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    schemas = {f"A{n}": {**schema, "description": "x" * 400} for n in range(20_000)}
    document = {"openapi": "3.0.3", "info": {"title": "T", "version": "1"}, "paths": {}}
    text = json.dumps({**document, "components": {"schemas": schemas}})
    began = time.monotonic()
    assert not problems(parse_document(text, "a"))
    assert time.monotonic() - began < 60  # a guard, not a measurement: in YAML it takes minutes
