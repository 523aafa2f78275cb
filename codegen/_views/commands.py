"""Operations as commands of a command line: their options, and an example of each."""

import json
import re
import shlex
from collections.abc import Iterable
from typing import Any

from attrs import frozen

from codegen import _kinds
from codegen._kinds import Choice, Constant, Enum, Kind, ListOf, MapOf, Model, Nullable, Union
from codegen._literals import literal

from .arguments import Argument
from .docstrings import KEPT, headed, layout, line, remarked, text
from .operations import OperationView

TAKEN = ("--base-url", "--help", "--json", "--key-file")
"""The options that every command has."""
WIDTH = 72
"""Columns of a help text that is not wrapped again."""
DEEPEST = 3
"""Levels of objects in an example."""
LONGEST = 160
"""Characters of a value in an example; a longer one is replaced by its place."""

TYPES: dict[type[Kind], str] = {
    _kinds.Boolean: "boolean",
    _kinds.Number: "number",
    _kinds.Integer: "integer",
    _kinds.Moment: "integer",
    _kinds.Digits: "integer",
    _kinds.Timestamp: "time",
    _kinds.Date: "date",
    _kinds.Binary: "file",
    _kinds.Text: "text",
    _kinds.Password: "text",
    _kinds.Day: "text",
    _kinds.Uuid: "text",
}
SAMPLES: dict[str, Any] = {
    "boolean": True,
    "date": "2026-01-31",
    "time": "2026-01-31T12:00:00Z",
    "file": "FILE",
}
"""Values of examples, where neither the document nor the name of an option gives a better one."""


@frozen
class OptionView:
    """An argument of an operation as an option, as `oneloop_core.commands.Option` has it."""

    name: str
    flag: str
    type: str
    help: str
    required: bool
    nullable: bool
    secret: bool
    choices: tuple[str, ...]


@frozen
class CommandView:
    """An operation as a command, as `oneloop_core.commands.Command` has it."""

    name: str
    tag: str
    safe: bool
    reads: bool
    summary: str
    help: str
    example: str
    options: list[OptionView]
    deprecated: bool


def command(operation: OperationView) -> CommandView:
    """Return the view of an operation as a command."""
    given = [one for one in operation.arguments if not one.constant]
    taken = set(TAKEN)
    options = [_option(one, taken) for one in given]
    examples = [
        _written(one, option) for one, option in zip(given, options, strict=True) if option.required
    ]
    (summary,), *rest = headed(
        operation.summary, operation.description, operation.name.replace("_", " ")
    )
    sections = [*rest, *([one] for one in operation.remarks)]
    return CommandView(
        name=operation.name,
        tag=operation.tag,
        safe=operation.safe,
        reads=operation.method in ("GET", "HEAD"),
        summary=_plain(summary),
        help="\n\n".join(_paragraphs("\n".join(one) for one in sections)),
        example=" ".join(examples),
        options=options,
        deprecated=operation.deprecated,
    )


def _option(argument: Argument, taken: set[str]) -> OptionView:
    kind, source = argument.kind, argument.source
    bare = kind.inner if isinstance(kind, Nullable) else kind
    described = remarked(
        text(source.description), line(kind.bounds), "Deprecated." if source.deprecated else ""
    )
    return OptionView(
        argument.name,
        _flag(argument.name, bare, taken),
        _type(kind, bare),
        "\n\n".join(_paragraphs([described])),
        argument.required and not argument.omits_null,
        argument.nullable,
        kind.secret,
        tuple(map(str, bare.values)) if isinstance(bare, Enum) else (),
    )


def _flag(name: str, kind: Kind, taken: set[str]) -> str:
    """Return a flag that no other option has, also not as the negation of a switch."""
    flag = f"--{name.replace('_', '-').strip('-')}"
    while not taken.isdisjoint(_flags(flag, kind)):
        flag += "-value"
    taken |= _flags(flag, kind)
    return flag


def _flags(flag: str, kind: Kind) -> set[str]:
    """Return the options that a flag stands for: a secret is read from a file."""
    if kind.secret:
        return {f"{flag}-from"}
    return {flag, f"--no-{flag[2:]}"} if isinstance(kind, _kinds.Boolean) else {flag}


def _type(kind: Kind, bare: Kind) -> str:
    """Return how a value is written, as `oneloop_core.commands.Type` names it."""
    if isinstance(bare, Enum):
        return "text" if bare.value_type == "str" else "integer"
    if isinstance(bare, ListOf) and TYPES.get(type(bare.inner)) == "text":
        return "texts"
    found = TYPES.get(type(bare), "json")
    # A switch is on or off, and a file is there or not; null takes JSON.
    return "json" if kind is not bare and found in ("boolean", "file") else found


def _written(argument: Argument, option: OptionView) -> str:
    """Return an option with a value, for the example of a command."""
    if option.secret:
        return f"{option.flag}-from {option.name}.txt"
    example = argument.source.example
    value = _sample(argument.kind, option.name, 0) if example is None else example
    if option.type == "boolean":
        return option.flag if value is True else f"--no-{option.flag[2:]}"
    if option.type == "texts" and isinstance(value, list) and value:
        return " ".join(f"{option.flag} {shlex.quote(str(one))}" for one in value)
    is_text = isinstance(value, str) and option.type != "json"
    shown = value if is_text else json.dumps(value, default=str, ensure_ascii=False)
    if len(shown) > LONGEST or not shown.isprintable():
        shown = option.name.upper()
    return f"{option.flag} {shlex.quote(shown)}"


def _sample(kind: Kind, name: str, depth: int) -> Any:
    """Return a value of a kind, in JSON."""
    if isinstance(kind, Nullable):
        return None
    if isinstance(kind, Enum | Choice):
        return kind.values[0]
    if isinstance(kind, Constant):
        return kind.value
    if isinstance(kind, ListOf):
        return [_sample(kind.inner, name, depth)]
    if isinstance(kind, MapOf):
        return {"name": _sample(kind.inner, "value", depth)}
    if isinstance(kind, Union):
        return _sample(kind.parts[0], name, depth)
    if isinstance(kind, Model):
        fields = kind.properties if depth < DEEPEST else ()
        return {
            one.wire_name: _sample(one.kind, one.name, depth + 1)
            if one.example is None
            else one.example
            for one in fields
            if one.required
        }
    found = TYPES.get(type(kind))
    if found in ("integer", "number"):
        return _number(getattr(kind, "limits", {}))
    return SAMPLES.get(found or "", {} if found is None else name.upper())


def _number(limits: dict[str, Any]) -> Any:
    least = max(limits.get("minimum", 1), limits.get("above", 0) + 1)
    return min(least, limits.get("maximum", least))


def _paragraphs(texts: Iterable[str]) -> Iterable[str]:
    """Yield the paragraphs of texts as a help has them; those of several lines are not wrapped."""
    for one in "\n\n".join(texts).split("\n\n"):
        lines = [*filter(str.strip, one.split("\n"))]
        if len(lines) == 1 and not one.startswith((KEPT, " ")):
            yield _plain(lines[0])
        elif lines:
            yield "\b\n" + _plain(layout([lines], 100 - WIDTH))


def wrapped(text: str) -> str:
    """Return code for a text: a literal, which is written in parts if it is long."""
    parts = re.findall(r"(?s).{1,70}(?: |\Z)|.{1,70}", text) or [""]
    code = " ".join(map(literal, parts))
    return f"({code})" if len(parts) > 1 else code


def _plain(text: str) -> str:
    """Return a text of a docstring as it is shown."""
    return text.replace(r"\"\"\"", '"""').replace("\\\\", "\\").replace(KEPT, "")
