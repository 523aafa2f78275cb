"""The operations as data for a command line: generated for our own document only."""

import importlib
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codegen import _parser, _render
from codegen._document import check_document, problems
from codegen._views import commands, names
from oneloop_core.commands import Command, Option
from tests import ROOT
from tests.codegen.generating import NUMBERS, answers, parameter, post, ref, takes

Made = Callable[..., Command]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """Return a function that returns the command of a document with one operation."""
    monkeypatch.syspath_prepend(str(tmp_path))
    packages: list[str] = []

    def command(
        properties: dict[str, Any] | None = None,
        *parameters: dict[str, Any],
        schemas: dict[str, Any] | None = None,
        required: Any = None,
        version: str = "3.0.3",
        **more: Any,
    ) -> Command:
        """Make a command with a JSON body of these fields, all of them required by default."""
        if properties is not None:
            needed = [*properties] if required is None else required
            body = {"type": "object", "properties": properties, "required": needed}
            more["requestBody"] = takes(body)
        document = {
            "openapi": version,
            "info": {"title": "Things", "version": "1"},
            "servers": [{"url": "https://things.test"}],
            "paths": post(parameters=[*parameters], **more),
            "components": {"schemas": schemas or {}},
        }
        check_document(document, "the test's document")
        api = _parser.parse(document, names.of_classes(), problems(document))
        package = f"generated_{next(NUMBERS)}"
        packages.append(package)
        _render.render(api, document, tmp_path / package, "things.yaml", has_clients=False)
        assert not api.refused
        (found,) = importlib.import_module(f"{package}.commands").COMMANDS
        return found  # type: ignore[no-any-return]

    yield command
    for name in [one for one in sys.modules if one.split(".")[0] in packages]:
        del sys.modules[name]


def options(command: Command) -> dict[str, Option]:
    """Return the options of a command by their names."""
    return {one.name: one for one in command.options}


TYPES: dict[str, tuple[dict[str, Any], str, str]] = {
    # The name of a field, its schema, its type on a command line, and the value in the example.
    "name": ({"type": "string"}, "text", "NAME"),
    "uuid": ({"type": "string", "format": "uuid"}, "text", "UUID"),
    "size": ({"type": "integer"}, "integer", "1"),
    "big": ({"type": "integer", "minimum": 5}, "integer", "5"),
    "above": ({"type": "integer", "minimum": 5, "exclusiveMinimum": True}, "integer", "6"),
    "low": ({"type": "integer", "maximum": -3}, "integer", "-3"),
    "rate": ({"type": "number"}, "number", "1"),
    "credits": ({"type": "string", "format": "digits"}, "integer", "1"),
    "until": ({"type": "integer", "format": "moment"}, "integer", "1"),
    "at": ({"type": "string", "format": "date-time"}, "time", "2026-01-31T12:00:00Z"),
    "on": ({"type": "string", "format": "date"}, "date", "2026-01-31"),
    "day": ({"type": "string", "format": "day"}, "text", "DAY"),
    "tags": ({"type": "array", "items": {"type": "string"}}, "texts", "TAGS"),
    "sizes": ({"type": "array", "items": {"type": "integer"}}, "json", "[1]"),
    "colour": ({"type": "string", "enum": ["red", "light blue"]}, "text", "red"),
    "level": ({"type": "integer", "enum": [3, 4]}, "integer", "3"),
    "notes": (
        {"type": "object", "additionalProperties": {"type": "string"}},
        "json",
        '{"name": "VALUE"}',
    ),
    "scope": (ref("Scope"), "json", '{"name": "NAME", "kind": "x", "limit": null}'),
    "either": (
        {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        "json",
        "1",
    ),
    "mixed": ({"enum": ["a", 1]}, "json", '"a"'),
    "free": ({}, "json", "{}"),
    "empty": ({"type": "integer", "nullable": True}, "integer", "null"),
    "maybe": ({"type": "boolean", "nullable": True}, "json", "null"),
    "given": ({"type": "string", "example": "it's"}, "text", "it's"),
    "several": ({"type": "array", "items": {"type": "string"}, "example": ["a", "b"]}, "texts", ""),
    "long": ({"type": "string", "example": "x" * 500}, "text", "LONG"),
    "control": ({"type": "string", "example": "\x1b[31m"}, "text", "CONTROL"),
}  # fmt: skip
SCOPE = {
    "type": "object",
    "required": ["name", "kind", "limit"],
    "properties": {
        "name": {"type": "string"},
        "kind": {"type": "string", "enum": ["x"]},
        "limit": {"type": "integer", "nullable": True},
        "rest": {"type": "string"},
    },
}


@pytest.mark.parametrize("name", TYPES)
def test_a_field_becomes_an_option(name: str, made: Made) -> None:
    """Its type says how it is written, and the example can be pasted into a shell."""
    schema, kind, example = TYPES[name]
    command = made({name: schema}, schemas={"Scope": SCOPE})
    option = options(command)[name]
    assert (option.flag, option.type, option.required) == (f"--{name}", kind, True)
    values = shlex.split(command.example)
    if name == "several":
        assert values == ["--several", "a", "--several", "b"]
    elif kind == "texts":
        assert values == ["--tags", example]
    else:
        assert values == [option.flag, example]


def test_a_switch_has_a_negation(made: Made) -> None:
    """Its negation is no other option's flag, nor is one of the flags that all commands have."""
    command = made(
        {
            "dry": {"type": "boolean"},
            "no_dry": {"type": "string"},
            "json": {"type": "string"},
            "off": {"type": "boolean", "example": False},
        }
    )
    flags = {name: one.flag for name, one in options(command).items()}
    assert flags == {
        "dry": "--dry", "no_dry": "--no-dry-value", "json": "--json-value", "off": "--off",
    }  # fmt: skip
    assert shlex.split(command.example) == [
        "--dry", "--no-dry-value", "NO_DRY", "--json-value", "JSON", "--no-off",
    ]  # fmt: skip


def test_a_secret_is_read_from_a_file(made: Made) -> None:
    """A secret has no flag for its value, so a `key` does not take that of the SDK key's file."""
    command = made(
        {"key": {"type": "string", "format": "password"}, "key_file": {"type": "string"}}
    )
    found = options(command)
    assert found["key"].secret
    assert (found["key"].flag, found["key_file"].flag) == ("--key", "--key-file-value")
    assert command.example == "--key-from key.txt --key-file-value KEY_FILE"


def test_what_may_be_left_out_is_no_part_of_the_example(made: Made) -> None:
    """Optional fields and parameters, and null, which differs from leaving out, are marked."""
    command = made(
        {"name": {"type": "string"}, "limit": {"type": "integer", "nullable": True}},
        parameter("page", "query", {"type": "integer"}),
        parameter("zone", "query", {"type": "string"}, required=True, example="eu"),
        required=["name"],
    )
    found = options(command)
    assert [one.name for one in found.values() if one.required] == ["zone", "name"]
    assert [one.name for one in found.values() if one.nullable] == ["limit"]
    assert command.example == "--zone eu --name NAME"


def test_examples_of_a_list_of_them(made: Made) -> None:
    """OpenAPI 3.1 gives several examples; the first is taken, also inside an object."""
    scope = {
        **SCOPE,
        "properties": {**SCOPE["properties"], "name": {"type": "string", "examples": ["n", "m"]}},
    }  # type: ignore[dict-item]
    command = made({"scope": ref("Scope")}, schemas={"Scope": scope})
    assert json.loads(shlex.split(command.example)[1])["name"] == "n"


def test_deep_objects_end(made: Made) -> None:
    """A model that contains itself has an example that ends."""
    node = {"type": "object", "required": ["next"], "properties": {"next": ref("Node")}}
    command = made({"node": ref("Node")}, schemas={"Node": node})
    assert shlex.split(command.example)[1] == '{"next": {"next": {"next": {}}}}'


def test_a_constant_is_no_option(made: Made) -> None:
    """What has only one value is sent by itself, and is in the example of an object."""
    scope = {"type": "object", "required": ["two"], "properties": {"two": {"const": 2}}}
    schemas = {"Scope": scope}
    command = made({"scope": ref("Scope"), "v": {"const": 1}}, schemas=schemas, version="3.1.0")
    assert [*options(command)] == ["scope"]
    assert command.example == "--scope '{\"two\": 2}'"


def test_texts_of_a_document_are_shown_as_they_are(made: Made) -> None:
    """Backslashes and quotes come as they are written, lists stay lists, code is not wrapped."""
    description = 'A \\d "pattern" """x""".\n\n    code  here\n\n- one\n- two\n'
    command = made(
        {"name": {"type": "string", "description": description, "pattern": "^\\d+$"}},
        summary="Do \\it",
        description="More.\n\n| a | b |\n|---|---|\n| 1 | 2 |",
    )
    help_ = options(command)["name"].help
    code, listed = "\b\n    code  here", "\b\n- one\n- two"
    assert help_.startswith(f'A \\d "pattern" """x""".\n\n{code}\n\n{listed}\n\n')
    assert help_.endswith("Matching `^\\d+$`.")
    assert command.summary == "Do \\it."
    assert "\b\n| a | b |\n|---|---|\n| 1 | 2 |" in command.help


def test_what_is_known_of_an_operation(made: Made) -> None:
    """Whether it may be repeated, what it reads, and whether it is deprecated."""
    command = made(None, responses=answers({"type": "string"}), deprecated=True)
    assert (command.name, command.tag) == ("do_it", "v1")
    assert (command.safe, command.reads, command.deprecated) == (False, False, True)
    assert command.example == ""
    assert "Not safe to repeat" in command.help


def test_a_file_is_an_option(made: Made) -> None:
    """A file to upload is named."""
    content = {
        "type": "object",
        "required": ["f"],
        "properties": {"f": {"type": "string", "format": "binary"}},
    }
    body = {"required": True, "content": {"multipart/form-data": {"schema": content}}}
    command = made(None, requestBody=body)
    assert options(command)["f"].type == "file"
    assert command.example == "--f FILE"


def test_enums_list_their_values(made: Made) -> None:
    """The values of the document are offered."""
    command = made({"colour": TYPES["colour"][0], "level": TYPES["level"][0]})
    assert options(command)["colour"].choices == ("red", "light blue")
    assert options(command)["level"].choices == ("3", "4")


@pytest.mark.parametrize("text", ["", "x", "a b " * 60, "x" * 200, "a\n\nb\b\n" * 30])
def test_long_texts_are_written_in_parts(text: str) -> None:
    """The code of a text is that text, in lines that can be read."""
    code = commands.wrapped(text)
    assert eval(code) == text  # noqa: S307 - it is a literal of ours
    assert len(code) < 90 or code.startswith("(")


def test_the_table_needs_nothing_but_data() -> None:
    """Importing it imports neither an operation nor Typer, so that the help comes quickly."""
    program = (
        "import sys; from oneloop_api.commands import COMMANDS; assert COMMANDS;"
        "print(*sorted(one for one in sys.modules if one.startswith(('oneloop_api', 'typer'))))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout.split() == ["oneloop_api", "oneloop_api.commands"]
