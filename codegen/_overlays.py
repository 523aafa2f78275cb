"""OpenAPI Overlays: read their actions, apply them, and find and remove those that are stale.

An action is stale if it matches nothing, or if the document contains its result already. A stale
fix stops a run. A stale annotation, which sets nothing but words, is only reported.
"""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from ._document import one_line, parse_yaml, read_text
from ._errors import GenerationError
from ._jsonpath import JsonPath, Match, compiled

WORDS = frozenset(
    {"description", "example", "summary", "x-certainty", "x-inferred", "x-quirk-answers"}
)
"""Members of a part of a document that do not affect calls."""
MOST_ADDED = 1_000_000
"""The most values that all actions may add: each could multiply what those before it added."""
PLAIN = re.compile(r"[^\W\d][\w$./()-]*(?: [\w$./()-]+)*|\$?[^\W\d][\w-]*", re.ASCII)
"""Texts that need no quotes in YAML, except the words that it reserves."""
RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@frozen
class Action:
    """An action of an overlay."""

    overlay: Path
    index: int
    """Its position in the overlay."""
    name: str
    """Its `x-quirk`; without that, its target."""
    target: JsonPath
    removes: bool
    update: Any

    @property
    def annotates(self) -> bool:
        """Whether it sets nothing but words, whichever overlay it is in."""
        return not self.removes and isinstance(self.update, dict) and self.update.keys() <= WORDS


@frozen
class Stale:
    """An action that changes nothing."""

    action: Action
    why: str

    def __str__(self) -> str:
        """Return what is stale, and why, as a line."""
        kind = "annotation" if self.action.annotates else "fix"
        return f"{self.action.overlay.name}: the {kind} {self.action.name} is stale: {self.why}"


def read_actions(*paths: Path) -> list[Action]:
    """Read the actions of overlays, in the order of the files.

    Raises:
        GenerationError: An overlay or some of its actions cannot be used. All are named.
    """
    actions: list[Action] = []
    problems: list[str] = []
    for path in paths:
        listed = parse_yaml(read_text(path), path.name).get("actions")
        if not isinstance(listed, list):
            raise GenerationError(f"{path.name} has no list of actions")
        for index, written in enumerate(listed):
            try:
                actions.append(_action(path, index, written))
            except ValueError as error:
                problems.append(f"{path.name}: {error}")
    if problems:
        raise GenerationError(*problems)
    return actions


def _action(path: Path, index: int, written: Any) -> Action:
    if not (isinstance(written, dict) and isinstance(written.get("target"), str)):
        raise ValueError(f"actions.{index} has no target")  # noqa: TRY004, it is the overlay's
    target = written["target"]
    name = one_line(written.get("x-quirk", target))
    removes = written.get("remove") is True
    if removes == ("update" in written):
        raise ValueError(f"{name}: needs either an update or `remove: true`")
    try:
        return Action(path, index, name, compiled(target), removes, written.get("update"))
    except ValueError as error:
        raise ValueError(f"{name}: target {one_line(target)}: {error}") from None


def patch(
    document: dict[str, Any], actions: Iterable[Action]
) -> tuple[dict[str, Any], list[Stale]]:
    """Apply actions one by one; return the patched document, and the actions that are stale."""
    holder = [_copy(document)]
    stale, added = [], 0
    for action in actions:
        try:
            matches = action.target.find(holder)
        except ValueError as error:
            raise GenerationError(f"{action.overlay.name}: {action.name}: {error}") from None
        added += len(matches) * _size(action.update)
        if added > MOST_ADDED:
            problem = f"the updates add more than {MOST_ADDED} values to the document"
            raise GenerationError(f"{action.overlay.name}: {action.name}: {problem}")
        if not matches:
            stale.append(Stale(action, "it matches nothing"))
        elif action.removes:
            _remove(matches)
        elif not _update(matches, action.update):
            stale.append(Stale(action, "the document has what it sets already"))
        if not (holder and isinstance(holder[0], dict)):
            problem = "this leaves no mapping of the document"
            raise GenerationError(f"{action.overlay.name}: {action.name}: {problem}")
    return holder[0], stale


def _remove(matches: list[Match]) -> None:
    keys: dict[int, set[Any]] = {}
    for part, key in matches:
        keys.setdefault(id(part), set()).add(key)
    for part, key in matches:
        if isinstance(part, dict):
            del part[key]
        elif gone := keys.pop(id(part), None):  # together, as indexes change
            part[:] = [value for index, value in enumerate(part) if index not in gone]


def _update(matches: list[Match], update: Any) -> bool:
    """Update all matches; return whether that changed anything."""
    changed = False
    # From the last one: a match that contains others comes before them and is replaced by a copy.
    for part, key in reversed(matches):
        new = _merged(part[key], update)
        changed = changed or new != part[key]
        part[key] = new
    return changed


def _size(value: Any) -> int:
    """Return the number of values in a value, itself included."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_size, inner))


def _copy(part: Any) -> Any:
    """Copy a document so that no part of it is in two places, as aliases of YAML are."""
    if isinstance(part, dict):
        return {key: _copy(value) for key, value in part.items()}
    return [_copy(value) for value in part] if isinstance(part, list) else part


def _merged(value: Any, update: Any) -> Any:
    """Return a value with an update merged into it, as the Overlay Specification defines that.

    One difference: a list gets only those entries that it lacks.
    """
    if isinstance(value, dict) and isinstance(update, dict):
        new = {key: _merged(value[key], part) for key, part in update.items() if key in value}
        return {**value, **_copy(update), **new}
    if isinstance(value, list):
        more = update if isinstance(update, list) else [update]
        return [*value, *_copy([one for one in more if one not in value])]
    return _copy(update)


# --- writing and removing actions --------------------------------------------------------------


def yaml_lines(value: Any) -> list[str]:
    """Write a value as YAML in block style, which older and newer versions of YAML read alike."""
    if isinstance(value, dict) and value:
        pairs = [(f"{_scalar(str(key))}:", part) for key, part in value.items()]
        return [line for key, part in pairs for line in _entry(key, part)]
    if isinstance(value, list) and value:
        return [line for part in value for line in _item(yaml_lines(part))]
    return [_scalar(value)]


def _entry(key: str, value: Any) -> list[str]:
    lines = yaml_lines(value)
    if isinstance(value, dict | list) and value:
        return [key, *(f"  {line}" for line in lines)]
    return [f"{key} {lines[0]}"]


def _item(lines: list[str]) -> list[str]:
    return [f"- {lines[0]}", *(f"  {line}" for line in lines[1:])]


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in RESERVED
    return str(value) if plain else json.dumps(value, ensure_ascii=False, default=str)


def overlay(actions: Iterable[tuple[str, dict[str, Any]]], name: str) -> list[str]:
    """Write an overlay for a document, ready to be used: actions, each with its reasons above.

    Actions that change the same are written once, and names that occur again get a number.
    """
    written: dict[str, dict[str, Any]] = {}
    reasons: dict[str, list[str]] = {}
    for reason, action in actions:
        change = repr([action.get(key) for key in ("target", "update", "remove")])
        written.setdefault(change, action)
        reasons.setdefault(change, []).extend([f"# {reason}"] if reason else [])
    info = {"title": f"Changes to {name}", "version": "1.0.0"}
    lines = ["overlay: 1.0.0", *yaml_lines({"info": info}), "actions:"]
    names: Counter[Any] = Counter()
    for change, action in written.items():
        quirk = action.get("x-quirk")
        names[quirk] += 1
        if quirk and names[quirk] > 1:
            action = {**action, "x-quirk": f"{quirk}-{names[quirk]}"}
        lines += [f"  {line}" for line in (*reasons[change], *yaml_lines([action]))]
    return lines


def prune(stale: Iterable[Stale]) -> dict[Path, str]:
    """Return the texts of the overlays without some of their actions.

    The rest of each text stays as it is. The comment right above an action goes with it.

    Raises:
        GenerationError: The layout of an overlay does not allow that.
    """
    gone: dict[Path, set[int]] = {}
    for one in stale:
        gone.setdefault(one.action.overlay, set()).add(one.action.index)
    return {path: _without(path, indexes) for path, indexes in gone.items()}


def _without(path: Path, indexes: set[int]) -> str:
    text = read_text(path)
    content = parse_yaml(text, path.name)
    content["actions"] = [a for i, a in enumerate(content["actions"]) if i not in indexes]
    from ruamel.yaml import YAML  # not at the top: it takes longer to import than this module

    root = YAML(typ="safe", pure=True).compose(text)
    node = next(value for key, value in root.value if key.value == "actions")
    new = "".join((_cut_flow if node.flow_style else _cut_lines)(text, node, indexes))
    try:
        if parse_yaml(new, path.name) == content:
            return new
    except GenerationError:
        pass
    listed = ", ".join(f"actions.{index}" for index in sorted(indexes))
    raise GenerationError(f"{path.name}: its layout does not allow to remove {listed}: edit it")


def _cut_flow(text: str, node: Any, indexes: set[int]) -> Iterator[str]:
    items = node.value
    if len(indexes) == len(items):
        yield f"{text[: node.start_mark.index]}[]{text[node.end_mark.index :]}"
        return
    at = 0
    for index in sorted(indexes):
        first = not any(one not in indexes for one in range(index))
        start = items[index].start_mark.index if first else items[index - 1].end_mark.index
        end = items[index + 1].start_mark.index if first else items[index].end_mark.index
        yield text[at:start]
        at = end
    yield text[at:]


def _cut_lines(text: str, node: Any, indexes: set[int]) -> Iterator[str]:
    lines = text.splitlines(keepends=True)
    column = node.start_mark.column
    starts = [item.start_mark.line for item in node.value]
    at = 0
    for index in sorted(indexes):
        start, end = starts[index], starts[index] + 1
        while start > at and lines[start - 1].lstrip().startswith("#"):
            start -= 1
        limit = (*starts, len(lines))[index + 1]
        body = [n for n in range(end, limit) if _indent(lines[n]) > column]
        end = body[-1] + 1 if body else end
        while end < len(lines) and not lines[end].strip():
            end += 1
        if end == len(lines):
            while start and not lines[start - 1].strip():
                start -= 1
        yield from lines[at:start]
        if index == 0 and len(indexes) == len(starts):
            item = lines[starts[0]]  # its line end is that of the file
            yield f"  {' ' * column}[]{item[len(item.rstrip()) :]}"
        at = end
    yield from lines[at:]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else -1


def difference(path: Path, new: str, shown: str) -> list[str]:
    """Return what changes in a file as the lines of a patch."""
    old = read_text(path).splitlines()
    files = f"a/{shown}", f"b/{shown}"
    return list(difflib.unified_diff(old, new.splitlines(), *files, lineterm=""))
