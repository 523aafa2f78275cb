"""A change report as Markdown, as lines for the changelog, and for a terminal.

All text of a document stands in code spans, is cut, and has its unprintable characters escaped.
"""

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from .._errors import printable
from .._findings import dotted
from ._document import EFFECTS, Change

if TYPE_CHECKING:
    from . import Changes

Code = Callable[[object], str]
T = TypeVar("T")
Section = tuple[str, list[tuple[str, str]]]
"""A heading, and lines with the word that each begins with, if any."""

LONGEST = 160
"""Longer text of a document is cut."""
MOST = 400
"""A section has at most so many lines."""
NAMED = 4
"""So many operations are named where a change concerns several."""
STYLES = {"broken": "bold red", "added": "green", "changed": "yellow", "stale": "bold yellow"}
IN_PYTHON = {"added", "removed", "renamed", "type", "presence", "null", "format", "values"}
"""What the Python API shows as well, so that the changelog does not repeat it."""


def markdown(changes: "Changes") -> str:
    """Return the report as Markdown, for a pull request."""
    lines = [f"## API changes: {_code(changes.old)} to {_code(changes.new)}", "", _summary(changes, _code)]
    for heading, entries in _sections(changes, _code):
        lines += ["", f"### {heading}" if heading in HEADINGS else heading, ""]
        lines += [f"- **{word}** {text}" if word else f"- {text}" for word, text in entries]
    return "\n".join(lines) + "\n"


def changelog(changes: "Changes") -> str:
    """Return entries for the Unreleased part of the changelog."""
    parts: dict[str, list[str]] = {"Added": [], "Changed": [], "Removed": []}
    added = [one for one in changes.python if one.what == "added" and one.effect == "added"]
    for group in (
        [one for one in added if one.name.startswith("client.") and one.name.endswith("()")],
        [one for one in added if re.fullmatch(r"models\.\w+", one.name)],
    ):
        if group:
            parts["Added"].append(f"{_listed([_code(one.name) for one in group], MOST)}.")
            added = [one for one in added if one not in group]
    parts["Added"] += [f"{_code(one.name)}." for one in added]
    for one in changes.python:
        if one.what == "removed":
            parts["Removed"].append(f"**Breaking:** {_code(one.name)}.")
        elif one.effect != "added":
            parts["Changed"].append(f"{'**Breaking:** ' * (one.effect == 'broken')}{_line(one, _code)}.")
    for one in changes.document:
        if one.effect == "broken" and one.what not in IN_PYTHON:
            where = f"{_code(one.of)}, " if one.of else ""
            parts["Changed"].append(f"**Breaking:** {where}{_line(one, _code)}.")
    blocks = []
    for heading, entries in parts.items():
        wrapped = [
            textwrap.fill(one, 120, initial_indent="- ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
            for one in _bounded(entries)
        ]
        blocks += ["\n".join([f"### {heading}", "", *wrapped])] if entries else []
    return "\n\n".join(blocks) + "\n" if blocks else ""


def show(changes: "Changes", console: Console) -> None:
    """Print the report in a terminal, in which it is readable at 80 columns and without colour."""
    def plain(text: object) -> str:
        return _cut(text)

    console.print(Text(f"API changes: {plain(changes.old)} to {plain(changes.new)}", style="bold"))
    console.print(Text(_summary(changes, plain)))
    for heading, entries in _sections(changes, plain):
        main = heading in HEADINGS
        console.print()
        console.print(Text(heading.replace("**", ""), style="bold underline" if main else "bold"))
        for word, text in entries:
            line = Text(f"{word:<8}", style=STYLES.get(word, ""))
            console.print(Padding(line.append(text, style="not bold default"), (0, 0, 0, 2)))


HEADINGS = ("Stale overrides", "Possible quirks", "Python API", "Document")


def _summary(changes: "Changes", code: Code) -> str:
    if changes.bump is None:
        return f"No change of the API: the version stays {code(changes.version)}."
    return f"{changes.reason} The next version is {code(changes.next_version)}, after {code(changes.version)}."


def _sections(changes: "Changes", code: Code) -> Iterator[Section]:
    if changes.stale:
        lines = [("stale", f"{code(name)} in {code(file)}: {_cut(what)}") for name, file, what in changes.stale]
        yield "Stale overrides", _bounded(lines)
    if changes.quirks:
        lines = []
        for one in changes.quirks:
            text = f"{code(dotted(one.place))}: {code(one.problem)}"
            action = f"; to fix it: {code(json.dumps(one.action))}" if one.action else ""
            lines.append(("", text + action))
        yield "Possible quirks", _bounded(lines)
    if changes.python:
        ranked = sorted(changes.python, key=lambda one: -EFFECTS.index(one.effect))
        yield "Python API", _bounded([(one.effect, _line(one, code)) for one in ranked])
    if changes.document or changes.words:
        words = f"Other descriptions or examples in {len(changes.words)} places."
        yield "Document", [("", words)] if changes.words else []
        yield from _groups(changes.document, code)


def _groups(changes: Sequence[Change], code: Code) -> Iterator[Section]:
    """Yield the changes by operation and component; equal ones of several operations once."""
    equal: dict[tuple[str, ...], list[Change]] = {}
    for one in changes:
        equal.setdefault((one.part, one.name, one.what, one.before, one.after), []).append(one)
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in changes:
        among = equal[one.part, one.name, one.what, one.before, one.after]
        if one.operations or not one.of or len(among) < 3:
            heading = "The document"
            if one.of:
                kind = "component" if one.operations or one.part.startswith(("component", "field")) else "operation"
                used = f", used by {_listed([code(name) for name in one.operations])}" if one.operations else ""
                heading = f"**{kind} {code(one.of)}**{used}"
            groups.setdefault(heading, []).append((one.effect, _line(one, code)))
        elif one is among[0]:
            names = _listed([code(each.of) for each in among])
            groups.setdefault("**several operations**", []).append((one.effect, f"{_line(one, code)} in {names}"))
    shown = 0
    for heading, lines in groups.items():
        if shown < MOST:
            yield heading, _bounded(lines)
            shown += len(lines)
    if shown >= MOST:
        yield f"and more; {len(changes)} changes in all (--format json lists them)", []


def _line(change: Change, code: Code) -> str:
    """Return one change as text."""
    python = change.part == "python"
    subject = code(change.name) if python else change.part + (f" {code(change.name)}" if change.name else "")
    before, after = (code(text) if text else "" for text in (change.before, change.after))
    if change.what == "renamed":
        return f"{change.part} {code(change.name)} probably renamed to {after}"
    if change.what in ("added", "removed"):
        value = after or before
        return f"{subject} {change.what}" + (f": {value}" if value else "")
    if before and after:
        return f"{subject}: {_cut(change.what)} {before} -> {after}"
    return f"{subject}: {_cut(change.what)} {after or before} {'added' if after else 'removed'}"


def _code(text: object) -> str:
    """Return text as a code span of Markdown."""
    shown = _cut(text)
    ticks = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (ticks + 1)
    pad = " " if ticks or not shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _cut(text: object) -> str:
    shown = printable(" ".join(str(text)[: 2 * LONGEST].split()))
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."


def _listed(names: Sequence[str], most: int = NAMED) -> str:
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _bounded(lines: list[T]) -> list[T]:
    return lines[:MOST]
