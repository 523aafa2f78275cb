"""Read JSON and YAML into the types of JSON, in time and memory bounded by the length of the text.

YAML is read by the core schema of YAML 1.2, so `NO`, `on` and `12:30:45` are texts. So are dates
and numbers with a leading zero (`2020-02-30`, `017`, `0o17`): vendors mean what they wrote.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

import yaml
from attrs import define, field

LONGEST_NUMBER = 100
"""In characters. Python takes quadratic time to read long numbers."""
DEEPEST = 100
"""The most levels of mappings and lists. Real documents have about twenty."""
SHARED = 8
"""The number of characters of a scalar that weigh as much as one node."""

CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
NUMBER = re.compile(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|0x[0-9a-fA-F]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
STARTS = {"", *"~nNtTfF.+-0123456789"}
"""The first characters of all constants and numbers."""

TOKEN = re.compile(
    r'(?P<text>"(?:[^"\\]++|\\.)*+")(?P<key>\s*+:)?|[{}\[\]]|[^\s{}\[\],:"]++', re.DOTALL
)
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
TOO_DEEP = f"more than {DEEPEST} levels are nested in each other"


class UnreadableError(Exception):
    """A text cannot be read. The arguments are the problem and its index in the text, or None."""


def parse(text: str) -> Any:
    """Return the value of a text of JSON or YAML.

    Raises:
        UnreadableError: It is neither, or uses what JSON does not have.
    """
    if not re.match(r"\s*\{", text):
        return _yaml(text)
    try:
        return _json(text)
    except json.JSONDecodeError as error:
        failed = UnreadableError(error.msg, error.pos)
    try:
        return _yaml(text)  # in flow style
    except UnreadableError as error:  # the parser that got further has the better message
        raise (error if (error.args[1] or 0) > failed.args[1] else failed) from None


# --- JSON ----------------------------------------------------------------------------------------


class _IrregularError(Exception):
    """A text of JSON has something that this module refuses, somewhere."""


def _json(text: str) -> Any:
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_number,
        )
        if SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, UnreadableError, _IrregularError):
        raise _fault(text) from None
    except RecursionError:
        raise UnreadableError(TOO_DEEP, None) from None
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        parts = (part.values() if isinstance(part, dict) else part for part in level)
        level = [one for part in parts for one in part if isinstance(one, dict | list)]
        if not level:
            return value
    raise UnreadableError(TOO_DEEP, None)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _IrregularError
    return value


def _fault(text: str) -> UnreadableError:
    """Return the first fault in a text that is JSON apart from such faults."""
    names: list[set[str]] = []
    tokens = TOKEN.finditer(text)
    while True:
        token = next(tokens)
        word = token[0]
        try:
            if word in "{[":
                names.append(set())
            elif word in "}]":
                names.pop()
            elif token["text"]:
                key = json.loads(token["text"], strict=False)
                key.encode()
                if token["key"] and key in names[-1]:
                    return UnreadableError(f"found duplicate key {key[:100]!r}", token.start())
                names[-1].add(key if token["key"] else "")
            elif word not in CONSTANTS:
                _number(word)
        except UnicodeEncodeError:
            return UnreadableError(f"{word[:50]} is not Unicode text", token.start())
        except UnreadableError as error:
            return UnreadableError(error.args[0], token.start())


def _number(text: str) -> float:
    """Return the integer or the float that a text stands for."""
    if len(text) > LONGEST_NUMBER:
        raise UnreadableError(f"a number of {len(text)} characters", None)
    try:
        return int(text, 16 if text.startswith("0x") else 10)
    except ValueError:
        value = float(text.replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(value):
        raise UnreadableError(f"{text} cannot be read as a JSON number", None)
    return value


# --- YAML ----------------------------------------------------------------------------------------


def _yaml(text: str) -> Any:
    fast = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml, if PyYAML is built with it
    try:
        try:
            return _built(yaml.parse(text, Loader=fast), len(text))
        except yaml.MarkedYAMLError as error:
            if "Unicode character escape" not in str(error.problem):
                raise
            # libyaml refuses the surrogate pairs that JSON has in the place of one character.
            return _built(yaml.parse(text, Loader=yaml.BaseLoader), len(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context
        raise UnreadableError(problem, mark.index if mark else None) from None
    except yaml.reader.ReaderError as error:
        problem = f"unacceptable character #x{error.character:04x}"
        raise UnreadableError(problem, text.find(chr(error.character))) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise UnreadableError(str(error), None) from None


@define(eq=False)
class _Node:
    """A value, how much its aliases expand it to, and how many levels it has."""

    value: Any
    start: int = 0
    size: int = 1
    levels: int = 0
    plain: str | None = None
    """The text of a scalar without quotes."""
    anchor: str | None = None
    key: _Node | None = None
    """Of a mapping: the key that waits for its value."""
    merged: dict[str, Any] = field(factory=dict)


def _built(events: Iterable[Any], length: int) -> Any:
    """Return the value that events stand for, and refuse what JSON cannot express."""
    stack = [_Node([])]
    anchors: dict[str, _Node] = {}
    nodes = expanded = 0
    for event in events:
        start = event.start_mark.index
        match event:
            case yaml.ScalarEvent():
                node = _scalar(event, start)
                nodes, expanded = nodes + node.size, expanded + node.size
            case yaml.AliasEvent():
                node = _alias(event, anchors.get(event.anchor or ""), stack)
                expanded += node.size
                if expanded > max(nodes, length):
                    problem = "its aliases expand to more than the length of the text"
                    raise UnreadableError(f"{problem}; write the parts out", start)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                nodes, expanded = nodes + 1, expanded + 1
                mapping = isinstance(event, yaml.MappingStartEvent)
                _check_tag(event, "map" if mapping else "seq")
                stack.append(_Node({} if mapping else [], start, anchor=event.anchor))
                if event.anchor:
                    anchors[event.anchor] = stack[-1]
                if len(stack) > DEEPEST + 1:
                    raise UnreadableError(TOO_DEEP, start)
                continue
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                node = stack.pop()
                if node.merged:
                    node.value = {**node.merged, **node.value}
            case yaml.DocumentStartEvent() if stack[0].value:
                raise UnreadableError("found another document", start)
            case _:
                continue
        if node.anchor:
            anchors[node.anchor] = node
        _add(stack[-1], node)
        stack[-1].size += node.size
        stack[-1].levels = max(stack[-1].levels, node.levels + 1)
    return stack[0].value[0] if stack[0].value else None


def _scalar(event: Any, start: int) -> _Node:
    _check_tag(event, "str")
    value, plain = event.value, None
    if event.tag is None and event.implicit[0]:
        plain = value
        if value[:1] in STARTS:
            value = _resolved(value, start)
    elif not value.isascii():
        try:  # join surrogate pairs; half a pair fails
            value = value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise UnreadableError(f"{value[:50]!r} is not Unicode text", start) from None
    return _Node(value, start, 1 + len(event.value) // SHARED, 0, plain, event.anchor)


def _resolved(text: str, start: int) -> Any:
    if text in CONSTANTS:
        return CONSTANTS[text]
    try:
        return _number(text) if NUMBER.fullmatch(text) else text
    except UnreadableError as error:
        raise UnreadableError(error.args[0], start) from None


def _check_tag(event: Any, kind: str) -> None:
    if event.tag not in (None, "!", f"tag:yaml.org,2002:{kind}"):
        raise UnreadableError(f"the tag {event.tag[:50]} is not supported", event.start_mark.index)


def _alias(event: Any, anchored: _Node | None, stack: list[_Node]) -> _Node:
    start = event.start_mark.index
    if anchored is None:
        raise UnreadableError(f"found undefined alias {event.anchor[:50]!r}", start)
    if anchored in stack:
        raise UnreadableError("an alias refers to a node that contains it", start)
    if len(stack) + anchored.levels > DEEPEST:
        raise UnreadableError(TOO_DEEP, start)
    return _Node(anchored, start, anchored.size, anchored.levels, anchored.plain)


def _copied(value: Any) -> Any:
    """Return a copy, so that a change in one place does not change the others."""
    if isinstance(value, _Node):
        value = value.value
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return [_copied(part) for part in value] if isinstance(value, list) else value


def _add(parent: _Node, node: _Node) -> None:
    """Add a finished node to the list or the mapping that it is in."""
    value = _copied(node.value) if isinstance(node.value, _Node) else node.value
    if isinstance(parent.value, list):
        parent.value.append(value)
    elif parent.key is None:
        parent.key = node
        node.value = _key(value, node)
        if node.value in parent.value:
            raise UnreadableError(f"found duplicate key {node.value[:100]!r}", node.start)
    elif parent.key.plain == "<<":
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            raise UnreadableError("a merge key needs a mapping, or a list of them", node.start)
        for source in reversed(sources):
            parent.merged |= source
        parent.key = None
    else:
        parent.value[parent.key.value] = value
        parent.key = None


def _key(value: Any, node: _Node) -> str:
    """Return a key as the text that it would have in JSON."""
    if isinstance(value, str):
        return value
    if node.plain is None or json.dumps(value) != node.plain:
        written = "that is a mapping or a list" if node.plain is None else f"{node.plain[:50]}"
        raise UnreadableError(f"the key {written} needs quotes", node.start)
    return node.plain
