"""Documents that would never finish, mislead a reader or pose as ours are one-line errors."""

import io
import json
import os
import pty
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from codegen import _document, _merge
from codegen.__main__ import main
from codegen._document import parse_document, problems
from codegen._errors import GenerationError, printable, say
from codegen._findings import dotted
from codegen._literals import identifier, literal
from codegen._structure import MOST_STEPS, Blame
from tests import ROOT
from tests.codegen.generating import TEXT, answers, parameter, post, ref, takes

HANGING = 100
"""Seconds after which something counts as endless. This is a guard, not a measurement."""

HEAD = 'openapi: 3.0.3\ninfo: {title: T, version: "1"}\nservers: [{url: "https://a.test"}]\n'
SOUND = {"openapi": "3.0.3", "info": {"title": "T", "version": "1"}}
NOTHING = f"{HEAD}paths: {{}}\n"


def with_schemas(*schemas: str) -> str:
    """Return a document with schemas, each as `name: schema`."""
    lines = "".join(f"    {schema}\n" for schema in schemas)
    return f"{NOTHING}components:\n  schemas:\n{lines}"


def bomb(first: str, line: str) -> str:
    """Return a document of forty lines, in which each line refers twice to the line before."""
    lines = [f"x-0: &a0 {first}", *(line.format(n=n, m=n - 1) for n in range(1, 40))]
    return NOTHING + "\n".join(lines) + "\n"


def fan(key: str, width: int, length: int) -> str:
    """Return a document with a chain of schemas, each of which refers `width` times to the next."""
    chain = (f"A{n}: {json.dumps({key: [ref(f'A{n + 1}')] * width})}" for n in range(length))
    return with_schemas(*chain, f"A{length}: {{type: object}}")


def doubled(key: str, wrap: str) -> str:
    """Return a document with a chain of schemas, each of which uses the next one twice in `key`."""
    chain = []
    for n in range(30):
        both = json.dumps({"allOf": [ref(f"A{n + 1}")] * 2})
        chain.append(f'A{n}: {{"{key}": {wrap.format(all=both)}}}')
    return with_schemas(*chain, "A30: {type: object}")


def cycle(kind: str) -> str:
    """Return a document in which two components of a kind refer to each other."""
    a, b = (f"{{$ref: '#/components/{kind}/{name}'}}" for name in "BA")
    return f"{NOTHING}components: {{{kind}: {{A: {a}, B: {b}}}}}\n"


ALIASES = "its aliases expand to more than the length of the text"
CIRCLE = "its references are circular"
BIG = "characters"
DEEP = "more than 100 levels are nested in each other"
TAG = "the tag tag:yaml.org,2002:"
REFUSED = {
    "aliases in lists": (bomb("[x, x]", "x-{n}: &a{n} [*a{m}, *a{m}]"), ALIASES),
    "aliases in mappings": (bomb("{k: x}", "x-{n}: &a{n} {{a: *a{m}, b: *a{m}}}"), ALIASES),
    "merge keys": (bomb("{k: x}", "x-{n}: &a{n}\n  <<: [*a{m}, *a{m}]\n  k{n}: 1"), ALIASES),
    "a merge key of itself": (f"{NOTHING}x: &a\n  <<: *a\n", "refers to a node that contains it"),
    "aliases of a long text": (
        f"{NOTHING}x-0: &a {'a' * 10_000}\nx-1: [{', '.join(['*a'] * 1000)}]\n",
        ALIASES,
    ),
    "an integer": (f"{NOTHING}x: {'9' * 5000}\n", BIG),
    "a hexadecimal integer": (f"{NOTHING}x: 0x{'f' * 5000}\n", BIG),
    "a fraction": (f"{NOTHING}x: 1.{'9' * 5000}\n", BIG),
    "an exponent": (f"{NOTHING}x: 1e{'9' * 5000}\n", BIG),
    "an integer in JSON": ('{"openapi": "3.0.3", "x": ' + "9" * 5000 + "}", BIG),
    "more than a float": (f"{NOTHING}x: 1e400\n", "1e400 cannot be read as a JSON number"),
    "infinity": (f"{NOTHING}x: -.inf\n", "-.inf cannot be read as a JSON number"),
    "no number": (f"{NOTHING}x: .nan\n", ".nan cannot be read as a JSON number"),
    "a number by its tag": (f"{NOTHING}x: !!int abc\n", TAG + "int is not supported"),
    "a truth by its tag": (f"{NOTHING}x: !!bool true\n", TAG + "bool is not supported"),
    "a set": (f"{NOTHING}x: !!set {{a}}\n", TAG + "set is not supported"),
    "binary data": (f"{NOTHING}x: !!binary YQ==\n", TAG + "binary is not supported"),
    "half a pair": (f'{NOTHING}x: "\\ud800"\n', "is not Unicode text"),
    "half a pair in JSON": ('{"x": "\\udc00"}', "is not Unicode text"),
    "a version": (f"%YAML 1.{'9' * 5000}\n---\n{NOTHING}", "api.yaml: line 1, column 18: "),
    "a NUL": (f"{NOTHING}x: \0\n", "api.yaml: line 5, column 4: unacceptable character #x0000"),
    "many brackets": (f"{NOTHING}x: {'[' * 100_000}", DEEP),
    "many braces": ('{"a":' * 100_000, DEEP),
    "many braces in YAML": (f"{NOTHING}x: {'{a: ' * 100_000}", DEEP),
    "many levels": ("\n".join(" " * n + "a:" for n in range(200)), DEEP),
    "many levels by aliases": (
        f"{NOTHING}x-0: &a0 {'[' * 60}{']' * 60}\nx-1: {'[' * 60}*a0{']' * 60}\n",
        DEEP,
    ),
    "many keys that are no texts": ("? " * 100_000, DEEP),
    "a long key": (f"{NOTHING}{'a' * 100_000}\n: x\n", "api.yaml: line "),
    "a list of paths": (f"{HEAD}paths: []\n", "api.yaml: paths: expected a mapping"),
    "no info": ('openapi: "3.0.3"\npaths: {}\n', "api.yaml has no info"),
    "no paths": (HEAD, "api.yaml has no paths: there is nothing to call"),
    "an old version": ("swagger: 3.0\n", "is not an OpenAPI 3.0 or 3.1 document"),
    "a text as document": ('"openapi"', "api.yaml is not a mapping"),
}
ENDLESS = {
    "itself": (with_schemas("A: {$ref: '#/components/schemas/A'}"), CIRCLE),
    **{
        f"a circle of {kind}": (cycle(kind), CIRCLE)
        for kind in ("schemas", "parameters", "responses", "requestBodies", "headers")
    },
    "a circle of paths": (f"{HEAD}paths: {{/a: {{$ref: '#/paths/~1a'}}}}\n", CIRCLE),
    "a circle of all": (
        with_schemas(
            "A: {allOf: [{$ref: '#/components/schemas/B'}]}",
            "B: {allOf: [{type: object}, {$ref: '#/components/schemas/A'}]}",
        ),
        CIRCLE,
    ),
    "a chain": (fan("allOf", 1, 600), "a chain of more than 1000 references"),
    "two each of all": (fan("allOf", 2, 30), "it expands to more than 10000 schemas"),
    "two each of any": (fan("anyOf", 2, 30), "it expands to more than 10000 schemas"),
    "two each of one": (fan("oneOf", 2, 30), "it expands to more than 10000 schemas"),
    **{
        f"two each of {key}": (doubled(key, wrap), "it expands to more than 10000 schemas")
        for key, wrap in {
            **dict.fromkeys(("not", "if", "then", "else", "items", "contains"), "{all}"),
            **dict.fromkeys(("additionalProperties", "propertyNames"), "{all}"),
            "dependentSchemas": '{{"a": {all}}}',
        }.items()
    },
    "a circle of names": (
        with_schemas("A: {dependentSchemas: {a: {$ref: '#/components/schemas/A'}}}"),
        CIRCLE,
    ),
}
LONG = {
    "tags": f"{NOTHING}tags: [{', '.join(f'{{name: a{n}}}' for n in range(9000))}]\n",
    "wrong tags": f"{NOTHING}tags: [{', '.join(f'{{nam: a{n}}}' for n in range(9000))}]\n",
    "members": with_schemas(f"A: {{enum: {json.dumps([{'a': n} for n in range(9000)])}}}"),
    "required": with_schemas(f"A: {{required: {json.dumps([{'a': n} for n in range(9000)])}}}"),
    "types": with_schemas(f"A: {{type: {json.dumps([{'a': n} for n in range(9000)])}}}"),
    "parameters": f"{HEAD}paths: {{/a: {{parameters: ["
    + ", ".join(f"{{name: a{n}, in: query}}" for n in range(9000))
    + "]}}\n",
    "templates": f"{HEAD}paths:\n" + "".join(f" '/{n}{{a}}': {{get: {{}}}}\n" for n in range(3000)),
    "a template": json.dumps(
        {**SOUND, "paths": {"/" + "{" * 50_000 + "{a}" * 50_000: {"get": {}}}}
    ),
    "wrong types": with_schemas(*(f"A{n}: {{type: strin}}" for n in range(9000))),
    "wrong types deep inside": with_schemas(
        f"A: {'{anyOf: [' * 40}{', '.join(['{type: a}'] * 500)}{']}' * 40}"
    ),
    "references": with_schemas(
        *(f"A{n}: {{$ref: '#/components/schemas/A{n // 2}x'}}" for n in range(9000))
    ),
    "references to one place": with_schemas(
        *(f"A{n}: {{anyOf: [{{$ref: '#/components/schemas/A0'}}]}}" for n in range(9000))
    ),
    "a reference": with_schemas(f"A: {{$ref: '#{'/a~1%41' * 50_000}'}}"),
    "an index": with_schemas(f"A: {{$ref: '#/tags/{'9' * 100_000}'}}") + "tags: []\n",
    "a flow list": f"{NOTHING}x: [{'a, ' * 300_000}]\n",
    "a flow mapping": f"{NOTHING}x: {{{', '.join(f'a{n}: b' for n in range(100_000))}}}\n",
    "anchors": NOTHING + "".join(f"x-{n}: &a{n} b\n" for n in range(50_000)),
    "aliases": f"{NOTHING}x: &a b\n" + "".join(f"x-{n}: *a\n" for n in range(50_000)),
    "an empty key": f"{NOTHING}{'? ' * 90}a\n".replace("? ", "- ").replace("- ", "x:\n - ", 1),
    "spaces": f"{NOTHING}x:{' ' * 1_000_000}y\n",
    "comments": f"{NOTHING}{'#' * 1_000_000}\n" + "#\n" * 300_000,
    "a block": f"{NOTHING}x: |\n" + "  a\n" * 300_000,
    "a folded text": f'{NOTHING}x: "' + "a\n  " * 100_000 + '"\n',
    "escapes": f'{NOTHING}x: "' + "\\ud83d\\ude00" * 100_000 + '"\n',
    "escapes in JSON": '{"openapi": "3.0.3", "info": {}, "paths": {}, "x-a": "'
    + "\\ud83d\\ude00" * 100_000
    + '"}',
    "merges": f"{NOTHING}x: &a {{b: c}}\n" + "".join(f"x-{n}: {{<<: *a}}\n" for n in range(9000)),
}


def refused(document: dict[str, Any]) -> list[str]:
    """Return the faults for which operations are refused, each with its place."""
    return [f"{dotted(one.place)}: {one.problem}" for one in problems(document) if one.refuses]


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_what_is_long_takes_time_in_proportion(text: str) -> None:
    """A document with very many or very long parts takes no longer than its length explains."""
    began = time.monotonic()
    assert len(problems(parse_document(text, "api.yaml"))) < 20_000
    assert time.monotonic() - began < HANGING


@pytest.mark.parametrize(("text", "message"), ENDLESS.values(), ids=ENDLESS)
def test_what_would_expand_for_ever_refuses_its_operations(text: str, message: str) -> None:
    """References without an end are found at once, and refuse only what uses them."""
    began = time.monotonic()
    found = refused(parse_document(text, "api.yaml"))
    assert any(message in one for one in found), found
    assert time.monotonic() - began < HANGING


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_take_for_ever_is_refused(text: str, message: str) -> None:
    """A document that expands without end is refused at once, in one line."""
    began = time.monotonic()
    with pytest.raises(GenerationError) as caught:
        parse_document(text, "api.yaml")
    assert time.monotonic() - began < HANGING
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_what_is_large_but_sound_is_read() -> None:
    """Long texts, shared aliases, surrogate pairs and YAML 1.1 are read."""
    assert parse_document(f'{NOTHING}x-y: "\\ud83d\\ude00"\n', "a")["x-y"] == "😀"
    assert parse_document(f"%YAML 1.1\n---\n{NOTHING}x-y: 1e3\n", "a")["x-y"] == 1000
    assert parse_document(f"{NOTHING}x-y: {'a' * 100_000}\n", "a")["x-y"] == "a" * 100_000
    twice = f"{NOTHING}x-x: &a {'a' * 10_000}\nx-y: [*a, *a]\n"
    assert parse_document(twice, "a")["x-y"] == ["a" * 10_000] * 2
    shared = f"{NOTHING}x-x: &a {{b: [1, 2, {{c: d}}]}}\nx-y: *a\n"
    assert parse_document(shared, "a")["x-y"] == {"b": [1, 2, {"c": "d"}]}
    for sound in (fan("allOf", 1, 400), fan("oneOf", 3, 5), f"{HEAD}paths: {{x-note: hello}}\n"):
        assert not problems(parse_document(sound, "a"))


@pytest.mark.parametrize("wrong", [None, 1, "x", [], [1], {}, {"a": []}, True])
def test_a_value_of_a_wrong_type_is_reported(wrong: Any) -> None:
    """A value of a wrong type, wherever it stands, is never more than a one-line error."""
    document = {
        "openapi": "3.0.3",
        "info": {"title": "T", "version": "1"},
        "servers": [{"url": "https://a.test"}],
        "paths": post(
            parameters=[parameter("q", "query", TEXT)],
            requestBody=takes(ref("A")),
            responses=answers(ref("A")),
        ),
        "components": {"schemas": {"A": {"type": "object", "properties": {"a": {"enum": ["x"]}}}}},
    }

    def replaced(part: Any, left: list[int]) -> Any:
        left[0] -= 1
        if left[0] == 0:
            return wrong
        if isinstance(part, dict):
            return {key: replaced(value, left) for key, value in part.items()}
        if isinstance(part, list):
            return [replaced(value, left) for value in part]
        return part

    for place in range(1, 60):
        message = ""
        try:
            read = parse_document(json.dumps(replaced(document, [place])), "api.json")
            message = " ".join(one.problem for one in problems(read))
        except GenerationError as error:
            message = str(error)
        assert message.isprintable()


def test_what_recurs_in_values_is_no_circle() -> None:
    """A schema may contain itself, as in a tree; a default is compared with its type only."""
    tree = {"type": "object", "properties": {"a": {"type": "array", "items": ref("A")}}}
    lists: dict[str, Any] = {"type": "array", "items": {"anyOf": [ref("B"), ref("B"), TEXT]}}
    more = {"type": "object", "additionalProperties": ref("C")}
    document = {**patterned(), "components": {"schemas": {"A": tree, "B": lists, "C": more}}}
    assert not problems(document)
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    lists["default"] = deep
    assert not problems(document)
    lists["default"] = {"a": 1}
    [found] = problems(document)
    assert found.problem == "the default is not of type array"
    words = [f"a{n}" for n in range(3000)]
    assert not problems(patterned(enum=words))
    assert not problems(patterned(examples=[{"a": n} for n in range(3000)]))


# --- what is ours --------------------------------------------------------------------------------

EXTENSIONS = ("x-python-flags", "x-python-name", "X-Safe-To-Repeat", "x-certainty", "x-inferred")
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "an operation": lambda key: {"paths": post(**{key: "x"})},
    "the paths": lambda key: {"paths": {key: {}}},
    "a path": lambda key: {"paths": {"/a": {key: "x"}}},
    "a schema": lambda key: {"components": {"schemas": {"A": {key: {}}}}},
    "a property": lambda key: {"components": {"schemas": {"A": {"properties": {"a": {key: ""}}}}}},
    "a property called properties": lambda key: {
        "components": {"schemas": {"A": {"properties": {"properties": {"items": {key: ""}}}}}}
    },
    "a property called example": lambda key: {
        "components": {"schemas": {"A": {"properties": {"example": {"allOf": [{key: ""}]}}}}}
    },
    "an answer called default": lambda key: {
        "paths": post(responses={"default": {"description": "d", key: ""}})
    },
    "an example": lambda key: {
        "components": {
            "schemas": {
                "A": {"example": {"a~b/c": {key: ""}}},
                "B": {"items": {"$ref": "#/components/schemas/A/example/a~0b~1c"}},
            }
        }
    },
    "an extension": lambda key: {
        "x-vendor": {"a": {key: ""}},
        "paths": {"/a": {"$ref": "#/x-vendor/a"}},
    },
}


@pytest.mark.parametrize("key", EXTENSIONS)
@pytest.mark.parametrize("place", PLACES)
def test_our_extensions_come_from_overrides_alone(place: str, key: str) -> None:
    """Our extensions are refused wherever a document has them and something could read them."""
    document = {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {}}
    with pytest.raises(GenerationError) as caught:
        parse_document(json.dumps({**document, **PLACES[place](key)}), "page.yaml")
    message = str(caught.value)
    assert message.startswith("page.yaml: ")
    assert f".{key}: this extension is for overlays only" in message


def test_names_and_data_are_no_extensions() -> None:
    """A property or an example may have the name of one of our extensions."""
    schema = {
        "type": "object",
        "properties": {"x-python-name": TEXT, "x-safe-to-repeat": TEXT},
        "example": {"x-python-name": "a"},
        "x-other": {"x-python-name": "a"},
    }
    document = {
        "openapi": "3.0.3",
        "info": {"title": "T", "version": "1"},
        "paths": {},
        "components": {"schemas": {"x-python-class": schema}},
    }
    assert parse_document(json.dumps(document), "a") == document


# --- patterns ------------------------------------------------------------------------------------


def patterned(**more: Any) -> dict[str, Any]:
    """Return a document with one string schema."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "servers": [{"url": "https://a.test"}],
        "paths": {},
        "components": {"schemas": {"A": {"type": "string", **more}}},
    }


def test_a_pattern_that_could_run_for_ever_is_left_to_the_server() -> None:
    """A pattern is never tried on the document's own texts, and a slow one is reported."""
    text = "a" * 50 + "!"
    for more in (
        {"pattern": r"\d+x", "default": "1" * 100_000},
        {"pattern": "^a$", "default": text, "examples": [text]},
    ):
        assert not problems(patterned(**more))
    for pattern, reason in (
        ("^(a+)+$", "it can take exponential time"),
        (r"(a)\1", "it has a backreference, so its time cannot be bounded"),
        (r"\p{L}", "Python cannot read it"),
        ("(", "Python cannot read it"),
    ):
        problem = f"only the server checks the pattern {pattern!r}, as {reason}"
        [found] = problems(patterned(pattern=pattern, default=text))
        assert (found.place[-1], found.problem, found.refuses) == ("pattern", problem, False)
        names = {"patternProperties": {pattern: TEXT}, "default": {text: "x"}, "type": "object"}
        [found] = problems(patterned(**names))
        assert (found.place[-1], found.problem) == ("patternProperties", problem)
    data = {"properties": {"pattern": TEXT}, "required": ["pattern"], "default": {"pattern": "("}}
    assert not problems(patterned(**{"type": "object", **data}))


def test_patterns_cost_little_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns that together exceed the limit of steps count as too complex."""
    monkeypatch.setattr("codegen._structure.MOST_STEPS", 10)
    assert MOST_STEPS > 1000
    schemas = {f"A{n}": {"type": "string", "pattern": f"^[a-z]*-{n}$"} for n in range(9)}
    found = problems({**patterned(), "components": {"schemas": schemas}})
    assert len(found) == 8
    assert all("it is too complex to be judged" in one.problem for one in found)


def test_a_slow_pattern_is_left_to_the_server(generate: Any) -> None:
    """A slow pattern is left to the server unless the texts are short; it is documented anyway."""
    slow = {**TEXT, "pattern": r"\d+x", "default": "1x"}
    properties = {"short": {**slow, "maxLength": 1000}, "long": {**slow, "maxLength": 1001}}
    body = {"type": "object", "properties": {**properties, "free": slow}}
    api = generate({}, post(requestBody=takes(body)))
    with pytest.raises(ValueError, match="short"):
        api.call(short="1")
    api.call(long="1", free="1")
    message = " ".join(api.module("client").SyncOperations.do_it.__doc__.split())
    assert (
        r"short: Left out, the server takes \"1x\". At most 1000 characters, matching `\d+x`."
        in (message.replace('"', r"\""))
    )
    assert r"at most 1001 characters, matching `\d+x`, which only the server checks." in (
        message.replace("At most", "at most")
    )
    assert r"Matching `\d+x`, which only the server checks." in message


# --- references ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["$id", "$anchor", "$dynamicRef", "$recursiveRef", "$ref"])
def test_nothing_is_ever_fetched(key: str) -> None:
    """Keywords that could lead out of a document are reported, and nothing is ever fetched."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        for place in (f"http://127.0.0.1:{server.getsockname()[1]}/x", Path(__file__).as_uri()):
            found = problems(patterned(**{key: place, "$schema": place}))
            assert any(one.place[-1] == key for one in found)
            assert any(one.refuses for one in found) == (not key.endswith(("id", "anchor")))
            with pytest.raises(BlockingIOError):
                server.accept()


def test_a_reference_in_data_is_data() -> None:
    """A $ref in data is ignored."""
    data = {"example": {"$ref": "#/nowhere"}, "x-a": {"$ref": "b.yaml"}, "examples": [{"$ref": 1}]}
    more = {"enum": [{"$ref": "#/a"}], "const": {"$ref": "#/b"}, "default": {"$ref": "#/c"}}
    document = patterned(**data, **more)
    del document["components"]["schemas"]["A"]["type"]
    document["paths"] = {"x-note": {"get": {"$ref": "#/nowhere"}}}
    assert not refused(document)


@pytest.mark.parametrize(
    "reference",
    [
        "#/components/schemas/A/allOf/0",
        "#/components/schemas/%41/allOf/0",
        "#/components/schemas/50%25",
        "#/components/schemas/50%",
        "#/paths/~1a~1%7Bb%7D",
        "#",
    ],
)
def test_references_may_be_encoded_and_have_indexes(reference: str) -> None:
    """A reference may be percent-encoded and lead through lists."""
    document = patterned(allOf=[TEXT])
    document["paths"] = {"/a/{b}": {}}
    document["components"]["schemas"] |= {"50%": TEXT, "B": {"not": {"$ref": reference}}}
    assert not refused(document)
    for wrong in ("/x", "/0", "/1", "/%", "x"):
        document["components"]["schemas"]["B"] = {"$ref": reference + wrong}
        assert refused(document)


def test_a_circle_refuses_only_its_users() -> None:
    """A part on a circle is marked in its own place, whoever refers to it first."""
    schemas = {"A": ref("B"), "B": ref("A"), "C": {"not": ref("B")}}
    paths = post(requestBody=takes(ref("B")), responses=answers(ref("C")))
    document = {**patterned(), "paths": paths, "components": {"schemas": schemas}}
    blame = Blame(problems(document))
    assert not blame.inside(("paths",))
    inside = [blame.inside(("components", "schemas", name)) for name in "AB"]
    assert any(one and one.problem == CIRCLE for one in inside)


# --- code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**100, [1], {}, b"x", object()])
def test_only_values_of_json_are_literals(value: Any) -> None:
    """Only JSON values become literals, so that the code means what the document says."""
    with pytest.raises(GenerationError, match="cannot be written into code") as caught:
        literal(value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["", "a b", "def", "__init__", "\uff43\uff4c\uff53", "1a", "a" * 121]
)
def test_only_identifiers_are_names(name: str) -> None:
    """Only identifiers that Python does not normalize to others are accepted as names."""
    with pytest.raises(GenerationError):
        identifier(name)


def test_names_that_differ_in_case_have_files_of_their_own(generate: Any) -> None:
    """A file system may not tell upper from lower case; another word settles it."""
    thing = {"type": "object", "properties": {"a": TEXT}}
    both = {"type": "object", "properties": {"x": ref("AB"), "y": ref("Ab")}}
    api = generate({"AB": thing, "Ab": thing}, post(responses=answers(both)))
    files = {path.stem.lower() for path in (api.folder / api.package / "models").glob("a*.py")}
    assert len(files) == 2


def test_members_of_an_enum_keep_their_values(generate: Any) -> None:
    """Enum members keep their values, even with quotes or invisible characters."""
    values = ["a\u200bb", 'say "x"', "it's", "new\nline", "\\"]
    api = generate({"E": {**TEXT, "enum": values}}, post(responses=answers(ref("E"))))
    assert [member.value for member in api.E] == values


# --- the terminal --------------------------------------------------------------------------------

FAKE = "\x1b[2K\x1b]0;owned\x07\ngenerate.sh: all is well\r\u202e\u2028\x9b31m"


RUNS = """
import json, sys
from codegen.__main__ import main
for arguments in json.loads(sys.argv[1]):
    try:
        code = main(arguments)
    except SystemExit as usage:
        code = usage.code
    assert code in (1, 2)
"""


def fakes(folder: Path) -> list[list[str]]:
    """Return the arguments of runs that fail and have control characters in their messages."""
    document = {"openapi": "3.0.3", "info": {"title": "T", "version": "1"}, "paths": {}}
    found = []
    for number, more in enumerate(
        [
            {"paths": {f"/{FAKE}": {"get": {}}}},
            {"paths": {f"/{FAKE}": {"x-python-name": ""}}},
            {"paths": post(responses=answers({"$ref": f"#/{FAKE}"}))},
            {"paths": post(parameters=[{"name": FAKE, "in": "header", "required": True}])},
            {"openapi": FAKE},
        ]
    ):
        path = folder / f"{number}.json"
        path.write_text(json.dumps({**document, **more}), encoding="utf-8")
        found.append(["--document", str(path)])
    one, two = (folder / f"{FAKE.replace('/', '')}{n}.json" for n in (1, 2))
    for path, text in ((one, "x"), (two, f"{FAKE} y")):
        operation = post(f"/{FAKE}", description=text)
        path.write_text(json.dumps({**document, "paths": operation}), encoding="utf-8")
    found += [["--add", str(one), str(two)], ["--document", f"none{FAKE}"], [FAKE]]
    return [[*arguments, "--output", str(folder / "package")] for arguments in found]


def test_no_control_character_reaches_the_terminal(tmp_path: Path) -> None:
    """Control characters are escaped, and no text of a document begins a line of its own."""
    runs = fakes(tmp_path)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-c", RUNS, json.dumps(runs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        message = b""
        with suppress(OSError):  # raised at the end of a terminal
            while part := os.read(ours, 65536):
                message += part
    os.close(ours)
    lines = message.decode().split("\r\n")
    assert process.returncode == 0, lines
    assert sum(line.startswith(("generate.sh: ", "./generate.sh: ")) for line in lines) == len(runs)
    assert all(line.isprintable() for line in lines), lines
    assert not any(line.startswith("generate.sh: all is well") for line in lines)


def test_a_line_is_printable_in_any_encoding() -> None:
    """Characters that the terminal's encoding lacks are escaped too."""
    assert printable("a\x1b\u202e\ud800\n ä") == r"a\x1b\u202e\ud800\n ä"
    raw = io.BytesIO()
    say("ä\x1b", io.TextIOWrapper(raw, encoding="ascii"))
    stream = io.StringIO()
    say("ä\x1b", stream)
    assert stream.getvalue() == "ä\\x1b\n"


@pytest.mark.parametrize("wanted", [False, True])
def test_a_fault_of_ours_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, wanted: bool
) -> None:
    """An unexpected error is one line with its type; GENERATE_TRACEBACK=1 shows the traceback."""

    def fault(*_: object) -> None:
        raise KeyError("\x1b")

    monkeypatch.setattr(_document, "read_document", fault)
    if wanted:
        monkeypatch.setenv("GENERATE_TRACEBACK", "1")
        with pytest.raises(KeyError):
            main(["--quiet"])
    else:
        assert main(["--quiet"]) == 1
        message = capsys.readouterr().err
        assert message == (
            r"generate.sh: openapi.yaml: KeyError: '\x1b';"
            " set GENERATE_TRACEBACK=1 for a traceback\n"
        )


def test_a_fault_of_ours_begins_no_line(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The message of an unexpected error stays on one line, whatever text it contains."""

    def fault(*_: object) -> None:
        raise RuntimeError(FAKE)

    monkeypatch.setattr(_document, "read_document", fault)
    assert main(["--quiet"]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert message.removesuffix("\n").isprintable()


# --- pages ---------------------------------------------------------------------------------------


def test_a_long_fence_is_read_at_once(tmp_path: Path) -> None:
    """A very long fence takes no time, and neither does a line that only looks like one."""
    page = tmp_path / "page.md"
    page.write_text(f"{'~' * 400_000}`\n{' ' * 400_000}x\n", encoding="utf-8")
    began = time.monotonic()
    with pytest.raises(GenerationError, match="contains no ```yaml block"):
        _merge.read_pages([page])
    assert time.monotonic() - began < HANGING


def differing(*schemas: Any) -> list[str]:
    """Return the lines of the error about pages that differ from the first one."""
    first, *others = [
        _merge.Page(f"{number}.yaml", {**patterned(), "components": {"schemas": each}})
        for number, each in enumerate(schemas)
    ]
    with pytest.raises(GenerationError) as caught:
        _merge.merge(json.dumps(first.document), first, others)
    return str(caught.value).split("\n")


def test_what_differs_much_is_reported_in_part() -> None:
    """A long report of differences is cut, and says so."""
    began = time.monotonic()
    message = differing(*({"A": {"enum": [f"{mark}{n}" for n in range(6000)]}} for mark in "ab"))
    assert message[-1] == "... not all is shown: definitions that differ: 1"
    assert len(message) < 400
    message = differing(*({"A": {"enum": [*range(6000), mark]}} for mark in "ab"))
    assert message[-1] == "... only the first 300 lines of each are compared"
    message = differing({"A": {"title": "a"}}, {"A": {"title": "b" * 1000}})
    assert any(line.endswith("bbb ...") for line in message)
    one, other = ({f"A{n}": {"title": mark} for n in range(500)} for mark in "ab")
    message = differing(one, other)
    assert len(message) < 400
    assert message[-1] == "... not all is shown: definitions that differ: 500"
    assert time.monotonic() - began < HANGING
