"""A change report as Markdown, as lines for the changelog, and for a terminal.

Text of a document is cut, its unprintable characters are escaped, and in Markdown it stands in code
spans.
"""

import re
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from codegen import _overlays
from codegen._errors import printable
from codegen._findings import dotted

from ._document import EFFECTS, Change

if TYPE_CHECKING:
    from . import Changes

Code = Callable[[object], str]
Lines = list[tuple[str, str]]
"""Lines, each with the word that it begins with, if any."""

LONGEST = 160
"""Longer text of a document is cut."""
MOST = 400
"""The most lines of a section, and of all changes of the document."""
NAMED = 4
"""The most operations that are named where a change concerns several."""
STYLES = {"broken": "bold red", "added": "green", "changed": "yellow", "stale": "bold yellow"}
IN_PYTHON = {"added", "removed", "renamed", "type", "presence", "null", "format", "values"}
"""What the changelog does not repeat, as the Python API shows it."""


def markdown(changes: "Changes") -> str:
    """Return the report as Markdown, for a pull request."""
    blocks = [
        f"## API changes: {code(changes.old)} to {code(changes.new)}",
        _summary(changes, code),
    ]
    for level, heading, lines in _sections(changes, code, _escaped):
        blocks.append(f"### {heading}" if level else f"{heading}:")
        listed = [f"- **{word}** {text}" if word else f"- {text}" for word, text in lines]
        blocks += ["\n".join(listed)] if listed else []
        if heading == QUIRKS:
            actions = [("", one.action) for one in changes.quirks if one.action]
            overlay = printable_lines("\n".join(_overlays.overlay(actions, changes.new)))
            blocks += ["This overlay would fix them:", textwrap.indent(overlay, "    ")]
    return "\n\n".join(blocks) + "\n"


def changelog(changes: "Changes") -> str:
    """Return entries for the Unreleased part of the changelog."""
    parts: dict[str, list[str]] = {"Added": [], "Changed": [], "Removed": []}
    added = [one.name for one in changes.python if one.effect == "added"]
    for pattern in (r"client\.\w+\(\)", r"models\.\w+", ".*"):
        names = [code(name) for name in added if re.fullmatch(pattern, name)]
        added = [name for name in added if not re.fullmatch(pattern, name)]
        parts["Added"] += [f"{_listed(names, MOST)}."] if names else []
    documented = [one for one in changes.document if one.effect == "broken"]
    for one in [*changes.python, *(one for one in documented if one.what not in IN_PYTHON)]:
        breaking = "**Breaking:** " if one.effect == "broken" else ""
        where = f"{code(one.of)}, " if one.of else ""
        if one.what == "removed":
            parts["Removed"].append(f"{breaking}{code(one.name)}.")
        elif one.effect != "added":
            parts["Changed"].append(f"{breaking}{where}{_line(one, code)}.")
    blocks = []
    for heading, entries in parts.items():
        lines = [_wrapped(one) for one in entries[:MOST]]
        blocks += ["\n".join((f"### {heading}", "", *lines))] if lines else []
    return "".join(f"{block}\n\n" for block in blocks).removesuffix("\n")


def show(changes: "Changes", console: Console) -> None:
    """Print the report in a terminal; it is readable at 80 columns and without colour."""
    console.print(Text(f"API changes: {_cut(changes.old)} to {_cut(changes.new)}", "bold"))
    console.print(Text(_summary(changes, _cut)))
    for level, heading, lines in _sections(changes, _cut, _cut):
        console.print(Text(f"\n{heading}", "bold underline" if level else "bold"))
        for word, text in lines:
            line = Text(f"{word:<8}" if word else "", STYLES.get(word, "")).append(text, "default")
            console.print(Padding(line, (0, 0, 0, 2)))


QUIRKS = "Possible quirks that no override covers"


def _summary(changes: "Changes", code: Code) -> str:
    if changes.bump is None:
        return f"Nothing changes for applications. The version stays {code(changes.version)}."
    after = f"The version after {code(changes.version)} is {code(changes.next_version)}"
    return f"{changes.reason} {after} ({changes.bump})."


def _sections(changes: "Changes", code: Code, words: Code) -> Iterator[tuple[int, str, Lines]]:
    """Yield sections, each with its level, its heading and its lines."""
    stale: Lines = [
        ("stale", f"{code(name)} in {code(file)}: {words(what)}")
        for name, file, what in changes.stale
    ]
    quirks: Lines = [("", f"{code(dotted(q.place))}: {words(q.problem)}") for q in changes.quirks]
    ranked = sorted(changes.python, key=lambda one: -EFFECTS.index(one.effect))
    python: Lines = [(one.effect, _line(one, code)) for one in ranked]
    titles = ("Stale overrides", QUIRKS, "Python API")
    for heading, lines in zip(titles, (stale, quirks, python), strict=True):
        if lines:
            yield 1, heading, [*lines[:MOST], *_more(len(lines))]
    if changes.document or changes.words:
        count = len(changes.words)
        places = f"{count} place{'s' * (count > 1)}"
        noted: Lines = [("", f"descriptions or examples changed in {places}")] if count else []
        yield 1, "Document", noted
        shown = changes.document[:MOST]
        yield from ((0, heading, lines) for heading, lines in _groups(shown, code).items())
        if more := _more(len(changes.document)):
            yield 0, "and more", more


def _more(count: int) -> Lines:
    return [("", f"{count - MOST} more, which --format json lists")] if count > MOST else []


def _groups(changes: Iterable[Change], code: Code) -> dict[str, Lines]:
    """Group changes by operation and component; equal ones of several operations become one."""
    equal: dict[tuple[str, ...], list[Change]] = defaultdict(list)
    for one in changes:
        where = one.of if one.operations or not one.of else ""
        equal[where, one.part, one.name, one.what, one.before, one.after].append(one)
    groups: dict[str, Lines] = defaultdict(list)
    for one, *others in equal.values():
        if len(others) > 1:
            names = _listed([code(each.of) for each in (one, *others)])
            groups["several operations"].append((one.effect, f"{_line(one, code)} in {names}"))
            continue
        for each in (one, *others):
            if each.part in ("operation", "component") and each.what in ("added", "removed"):
                groups[f"{each.part}s"].append((each.effect, _line(each, code)))
                continue
            component = each.operations or each.part in ("component", "field")
            used = _listed([code(name) for name in each.operations])
            heading = f"{'component' if component else 'operation'} {code(each.of)}"
            heading = f"{heading}, in {used}" if used else heading if each.of else "as a whole"
            groups[heading].append((each.effect, _line(each, code)))
    return groups


def _line(change: Change, code: Code) -> str:
    """Return a change as text."""
    named = code(change.name) if change.name else ""
    what = "" if change.what in ("null", "presence", change.effect) else f"{change.what} "
    subject = " ".join(filter(None, ("" if change.part == "python" else change.part, named)))
    before, after = (code(text) if text else "" for text in (change.before, change.after))
    if change.what == "renamed":
        return f"{subject} probably renamed to {after}"
    if change.what in ("added", "removed"):
        value = f": {before or after}" if before or after else ""
        return f"{subject} {what}".rstrip() + value
    if before and after:
        return f"{subject}: {what}{before} -> {after}"
    if before or after:
        return f"{subject}: {what}{before or after} {'removed' if before else 'added'}"
    return f"{subject}: {what}".rstrip()


def code(text: object) -> str:
    """Return text as a code span of Markdown."""
    shown = _cut(text)
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _escaped(text: object) -> str:
    return re.sub(r"([\\`*_\[\]<>&#@~|])", r"\\\1", _cut(text))


def _cut(text: object) -> str:
    shown = printable(" ".join(str(text)[: 2 * LONGEST].split()))
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."


def printable_lines(text: str) -> str:
    """Return lines with their unprintable characters escaped."""
    return "\n".join(map(printable, text.split("\n")))


def _listed(names: Sequence[str], most: int = NAMED) -> str:
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _wrapped(entry: str) -> str:
    filler = textwrap.TextWrapper(120, initial_indent="- ", subsequent_indent="  ")
    filler.break_long_words = filler.break_on_hyphens = False
    return filler.fill(entry)
