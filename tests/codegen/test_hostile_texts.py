"""No text of a document becomes code: the syntax trees are the same whatever the texts say."""

import ast
import builtins
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import oneloop_core
import oneloop_overrides
from codegen import _kinds, _parser, _render
from codegen._document import check_document
from codegen._errors import UNPRINTABLE, GenerationError
from codegen._patterns import Time, judge
from codegen._structure import python_pattern
from codegen._views import models, names
from tests.codegen.generating import NOTHING, TEXT, answers, parameter, ref, takes

ATTACK = "__import__('os').system('touch pwned')"
HOSTILE = [
    ATTACK,
    f'"""\n{ATTACK}\n"""',
    f"'''\n{ATTACK}\n'''",
    f'"\n{ATTACK}\n"',
    f"x\n    {ATTACK}",
    f'a"] = {ATTACK}; b["',
    f"a'] = {ATTACK}; b['",
    f"x, y={ATTACK}",
    f"x = {ATTACK} #",
    f"{{{ATTACK}}}",
    f"{{{{ {ATTACK} }}}}",
    "{% raw %}{% for x in y %}{# #}",
    "end with a backslash \\",
    'end with a quote "',
    '\\"""',
    "\\N{BELL} \\x \\u12 \\U",
    "NUL \0 and ESC \x1b[31m and BEL \a",
    "line\u2028separator\x85next\rreturn",
    "\u202eright to left\u2066 \u200b \ufeff",
    "lone \ud800 surrogate",
    "# comment",
    "| a table | `code` | <b>",
    "",
    " ",
    "class",
    "None",
    "__class__",
    "__init__",
    "self",
    "cls",
    "additional_properties",
    "decode_string",
    "print",
    "\uff43\uff4c\uff53",
    "ﬁeld",
    "é",
    "../../../escaped",
    "/etc/passwd",
    "a" * 2000,
    "9" * 2000,
]
OURS = frozenset({*dir(builtins), *oneloop_core.__all__, *oneloop_overrides.__all__})
ROLES = (
    *("titled", "tag", "operation", "summary", "told", "path_name", "query_name", "header_name"),
    *("thing", "field", "text_field", "group_field", "inner_field", "enum_field", "value_one"),
    *("value_two", "const_value", "pattern_value", "default_value", "example_value", "reason"),
    *("inferred_words", "field_name", "Klass", "flag", "server", "segment", "member_one"),
    *("varname_one", "varname_two", "answer_told", "format_value"),
)


def document() -> dict[str, Any]:
    """Return a document with every construct, in which each text is a word of its own."""
    told = {**TEXT, "description": "told"}
    text = {**told, "maxLength": 9999, "pattern": "pattern_value", "example": "example_value"}
    enum = {**TEXT, "enum": ["value_one", "value_two"]}
    varnames = {"x-enum-varnames": ["varname_one", "varname_two"]}
    named = {"type": "integer", "enum": [1, -2], **varnames, "x-python-class": "Klass"}
    thing = {
        "type": "object",
        "description": "told",
        "required": ["field", "enum_field"],
        "properties": {
            "field": {**TEXT, "format": "format_value", "x-python-name": "field_name"},
            "text_field": {**text, "type": ["string", "null"]},
            "defaulted": {**TEXT, "default": "default_value"},
            "enum_field": enum,
            "member_one": named,
            "const": {"const": "const_value"},
            "either": {"oneOf": [TEXT, {"type": "integer", "maximum": 5}]},
            "many": {"type": "array", "items": ref("thing")},
            "map": {"type": "object", "additionalProperties": {"type": "number"}},
            "time": {**TEXT, "format": "date-time"},
            "secret": {**TEXT, "format": "password"},
        },
        "x-python-flags": {"flag": {"enum_field": "value_one"}},
    }
    group = {"type": "object", "properties": {"inner_field": text}, "required": ["inner_field"]}
    body = {"type": "object", "properties": {"group_field": group, "plain": ref("thing")}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "titled", "version": "1", "description": "told"},
        "servers": [{"url": "https://host.test/server"}],
        "paths": {
            "/segment/{path_name}": {
                "post": {
                    "operationId": "operation",
                    "tags": ["tag"],
                    "summary": "summary",
                    "description": "told",
                    "parameters": [
                        parameter("path_name", "path", TEXT, description="told"),
                        parameter("query_name", "query", {"type": "array", "items": TEXT}),
                        parameter("header_name", "header", enum, required=True),
                    ],
                    "requestBody": takes(body),
                    "responses": answers(ref("thing"), description="answer_told"),
                    "x-safe-to-repeat": "reason",
                    "x-certainty": "client",
                    "x-inferred": "inferred_words",
                },
                "get": {"operationId": "other", "tags": ["tag"], "responses": NOTHING}
                | {"parameters": [parameter("path_name", "path", TEXT)]},
            }
        },
        "components": {"schemas": {"thing": thing}},
    }


def changed(part: Any, role: str, text: str) -> Any:
    """Return part of a document in which every occurrence of a role is replaced by `text`."""
    if isinstance(part, dict):
        return {changed(key, role, text): changed(part[key], role, text) for key in part}
    if isinstance(part, list):
        return [changed(item, role, text) for item in part]
    if part == role:
        return text
    if isinstance(part, str) and part.startswith(("#/", "/", "https:")):
        escaped = text.replace("~", "~0").replace("/", "~1") if part.startswith("#") else text
        pieces = [piece.replace(role, escaped) for piece in part.split("/")]
        return "/".join(pieces) if any(role == one.strip("{}") for one in part.split("/")) else part
    return part


DOCSTRING = ["Expr", ("value", "text")]


def is_table_of_names(node: Any) -> bool:
    """Return whether a statement lists the fields whose names in Python differ, and only texts."""
    if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)):
        return False
    texts = (*node.value.keys, *node.value.values)
    return ast.unparse(node.targets[0]) == "__wire_names__" and all(
        isinstance(one, ast.Constant) and isinstance(one.value, str) for one in texts
    )


def shape(node: Any) -> Any:
    """Return a syntax tree without names, texts, docstrings, the table of names and order."""
    if isinstance(node, list):
        shapes = [shape(one) for one in node if not is_table_of_names(one)]
        return sorted((one for one in shapes if one != DOCSTRING), key=repr)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return "text"
    if not isinstance(node, ast.AST):
        return "name" if isinstance(node, str) else node
    fields = dict(ast.iter_fields(node))
    return [type(node).__name__, *((name, shape(fields[name])) for name in sorted(fields))]


NUMBERS = count()


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], Any]:
    """Return a function that generates code from a document and returns the shape of the code."""
    monkeypatch.setattr(_render, "_format", lambda _: None)

    def rendered(written: dict[str, Any]) -> Any:
        package = tmp_path / str(next(NUMBERS))
        check_document(written, "the document")
        api = _parser.parse(written, names.of_classes())
        listing = _render.render(api, written, package, "openapi.yaml")
        for refused in api.refused:
            raise GenerationError(refused.reason)
        texts = [path.read_text("utf-8") for path in package.rglob("*.py")]
        assert {path.parent.parent.name for path in package.rglob("*.py")} <= {
            *(package.name, "api", tmp_path.name)
        }
        for character in set("".join([*texts, listing])) - {"\n"}:
            assert unicodedata.category(character) not in UNPRINTABLE
        trees = [ast.parse(text) for text in texts]
        known = Counter(
            node.id
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and node.id in OURS
        )
        table = [
            line.replace(r"\|", "").count("|") for line in listing.splitlines() if line[:1] == "|"
        ]
        return sorted((shape(tree) for tree in trees), key=repr), known, table

    return rendered


def outcomes(printed: Callable[[dict[str, Any]], Any], texts: list[str]) -> Iterator[str]:
    """Put hostile texts into each role, and yield the cases where the code has another shape."""
    written = document()
    plain = printed(written)
    serverless = printed(changed(written, "server", "not a URL"))
    for number, role in enumerate(ROLES):
        other = changed(written, role, "harmless")
        assert other != written, role
        for index, text in enumerate(texts):
            reasonless = role in ("reason", "inferred_words") and not text.strip()
            if (number + index) % STRIDE or reasonless:
                continue
            expected = plain
            if role == "pattern_value" and judge(python_pattern(text))[0] == Time.FOREIGN:
                expected = printed(changed(written, role, "("))  # the server checks both
            try:
                found = printed(changed(written, role, text))
                if found != expected and not (role == "server" and found == serverless):
                    yield f"{role}: {text[:60]!r}"
            except GenerationError as error:
                message = str(error)
                if not message.isprintable() or len(message) > 500:
                    yield f"{role}: {message!r}"


STRIDE = 23
"""Each text is tried in one of so many roles; 1 means every role, which takes some minutes."""


@pytest.mark.parametrize("function", ["literal", "identifier"])
def test_a_gap_would_be_seen(
    printed: Callable[[dict[str, Any]], Any], monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """If values or names were printed without quoting, the test below would fail."""
    raw = {"literal": lambda value: f"'{value}'", "identifier": str}[function]
    role, text = {
        "literal": ("field", f"a' + {ATTACK} + 'b"),
        "identifier": ("flag", f"x(self): {ATTACK}\n    def y"),
    }[function]
    plain = printed(document())
    for module in (_kinds, _parser, _render, models, names):
        monkeypatch.setattr(module, function, raw, raising=False)
    assert printed(changed(document(), role, text)) != plain


def test_hostile_texts_are_texts_or_refused(printed: Callable[[dict[str, Any]], Any]) -> None:
    """A hostile text in any role is either kept as text or refused in one line."""
    assert list(outcomes(printed, HOSTILE)) == []
