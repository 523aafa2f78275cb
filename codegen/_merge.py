"""Merge pages of the API's documentation into the document without reformatting it.

Pages are merged entry by entry. An entry is an operation, another member of a path item, a
component, or another top-level member of a document. New entries are placed by their names, so the
result depends neither on the order of the pages nor on how they are split between runs.

Lines are inserted and replaced in the text itself, because a round trip through ruamel.yaml changes
what it does not touch (indentation, spacing of flow style, escapes, anchors, CRLF, `---`) and drops
or misplaces comments: it attaches each to the entry above it, whereas ours lead to the one below.
"""

import difflib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby, islice
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.emitter import Emitter
from ruamel.yaml.nodes import MappingNode, ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from ._document import parse_document, parse_yaml, problems, read_text
from ._errors import GenerationError
from ._findings import Finding
from ._structure import METHODS, refuse

LANGUAGES = ("yaml", "yml", "json")
FENCE = re.compile(r"\s*+(`{3,}+|~{3,}+)([^`]*+)")
VERSION = re.compile("[ {\"']*(openapi|swagger)")
"""The beginning of a line that makes a block of Markdown an OpenAPI document."""

MOST_LINES = 300
"""How much of a definition is compared with others, and how much of all comparisons is shown."""
LONGEST_LINE = 300

Place = tuple[str, ...]
"""The keys that lead to an entry."""
Definition = tuple[str, Any]
"""The names of the pages that agree on the value of an entry, and that value."""
Edit = tuple[int, int, str]
"""The start and the end of a part of a text, and the lines that replace it."""


@dataclass(frozen=True)
class Page:
    """An OpenAPI document, and its name in error messages."""

    name: str
    document: dict[str, Any]

    @cached_property
    def problems(self) -> list[Finding]:
        """What is wrong in the document. An overlay may mend what refuses no operation."""
        return problems(self.document)


@dataclass(frozen=True)
class Merged:
    """A merged document, its text, and a short summary of what is new in it."""

    document: dict[str, Any]
    text: str
    summary: str


def read_pages(paths: Iterable[Path]) -> list[Page]:
    """Read pages: YAML, JSON, or (any other suffix) Markdown with documents in fenced blocks."""
    pages: list[Page] = []
    for path in paths:
        text = read_text(path)
        if path.suffix.lower().removeprefix(".") in LANGUAGES:
            pages.append(Page(str(path), parse_document(text, str(path))))
        else:
            pages += _markdown(text, str(path))
    for page in pages:
        refuse(page.name, [one for one in page.problems if one.refuses])
    return pages


def merge(
    text: str, ours: Page, pages: list[Page], prefer: Literal["ours", "theirs"] | None = None
) -> Merged:
    """Merge pages into `ours`, whose text is `text`.

    A page is the authority on its operation, so an operation that differs is updated unless
    `prefer` is "ours". Any other difference is an error unless `prefer` settles it.

    Raises:
        GenerationError: Definitions differ, the result is invalid OpenAPI, or the text is laid out
            in a way that lines cannot be added to.
    """
    try:
        known = dict(_entries(ours.document))
        chosen = _choose(ours.name, known, _definitions(pages), prefer)
        if not chosen:
            return Merged(ours.document, text, "nothing new")
        merged = _placed(ours.document, list(chosen.items()))
        text, document = _spliced(text, ours, merged)
        before = {(one.place, one.problem) for page in (ours, *pages) for one in page.problems}
        new = [one for one in problems(document) if (one.place, one.problem) not in before]
        refuse(f"{ours.name} with the pages added", new)
    except RecursionError:
        raise GenerationError("what is added is nested too deeply") from None
    return Merged(document, text, _summary(chosen, known))


def _markdown(text: str, name: str) -> list[Page]:
    pages: list[Page] = []
    for words, block in _blocks(text, name):
        document = parse_document(block, name)
        method, path = words[-2:] if len(words) > 2 else ("", "")
        method = method.lower()
        if method in METHODS and method not in document.get("paths", {}).get(path, {}):
            raise GenerationError(f"{name}: its block does not contain {method.upper()} {path}")
        pages.append(Page(name, document))
    if not pages:
        raise GenerationError(f"{name} contains no ```yaml block with an OpenAPI document")
    return pages


def _blocks(text: str, name: str) -> Iterator[tuple[list[str], str]]:
    """Yield the words on the opening fence of each OpenAPI document, and the document.

    As many empty lines as are above it in the file come first, so that the line numbers in error
    messages are those of the file.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    fence, words, first = "", [""], 0
    for number, line in enumerate([*lines, ""]):
        found = FENCE.fullmatch(line)
        if not fence:
            if found:
                fence, words, first = found[1], found[2].split() or [""], number + 1
            continue
        closed = found is not None and found[1].startswith(fence) and not found[2].strip()
        if closed or number == len(lines):
            fence, block = "", lines[first:number]
            if words[0].lower() not in LANGUAGES or not any(map(VERSION.match, block)):
                continue
            if not closed:
                raise GenerationError(f"{name}: line {first}: the block is not closed")
            yield words, "\n" * first + "\n".join(block)


def _entries(mapping: dict[str, Any], above: Place = ()) -> Iterator[tuple[Place, Any]]:
    for key, value in mapping.items():
        where = (*above, key)
        if _contains_entries(where):
            yield from _entries(value, where)
        else:
            yield where, value


def _contains_entries(where: Place) -> bool:
    """Whether this is `paths`, a path item, `components` or a section of them."""
    return where[0] in ("paths", "components") and len(where) < 3 and not where[-1].startswith("x-")


def _is_operation(where: Place) -> bool:
    return where[0] == "paths" and where[-1] in METHODS


def _definitions(pages: list[Page]) -> dict[Place, list[Definition]]:
    """Return the different definitions of each entry in the pages, sorted by entry."""
    found: dict[Place, dict[str, list[Definition]]] = {}
    for page in pages:
        for where, value in _entries(page.document):
            equal = found.setdefault(where, {}).setdefault(_canonical(value), [])
            equal.append((page.name, value))
    # Equal values may order their keys differently; the order of the pages must not decide.
    return {
        where: [
            (", ".join(sorted({name for name, _ in equal})), min((v for _, v in equal), key=_dump))
            for equal in found[where].values()
        ]
        for where in sorted(found)
    }


def _choose(
    ours: str, known: dict[Place, Any], found: dict[Place, list[Definition]], prefer: str | None
) -> dict[Place, Any]:
    """Return the entries to add or to update, or raise an error with all differences."""
    chosen: dict[Place, Any] = {}
    conflicts: list[tuple[str, str, list[Definition]]] = []
    for where, definitions in found.items():
        mine = [(ours, known[where])] if where in known else []
        different = {_canonical(value) for _, value in mine + definitions}
        if mine and (prefer == "ours" or len(different) == 1):
            continue
        if len(definitions) > 1:
            remedy = "leave out all but one of these, or add them one at a time"
            remedy += f"; --ours keeps that of {ours}" if mine else ""
        elif mine and prefer != "theirs" and not _is_operation(where):
            remedy = f"--theirs takes the page's, --ours keeps that of {ours}"
            definitions = mine + definitions
        else:
            [(_, chosen[where])] = definitions
            continue
        conflicts.append((f"{_named(where)}: {remedy}", where[-1], definitions))
    if conflicts:
        lines = (line for conflict in conflicts for line in _compared(*conflict))
        shown = list(islice(lines, MOST_LINES))
        if next(lines, None) is not None:
            shown.append(f"... not all is shown: definitions that differ: {len(conflicts)}")
        raise GenerationError("nothing is added, as definitions differ", *shown)
    return chosen


def _canonical(value: Any) -> str:
    """Return a text that is the same for equal values only; 1, 1.0 and true are different."""
    return json.dumps(value, sort_keys=True)


def _named(where: Place) -> str:
    return f"{where[-1].upper()} {where[1]}" if _is_operation(where) else ".".join(where)


def _compared(title: str, key: str, definitions: list[Definition]) -> Iterator[str]:
    """Yield a title, and diffs, as YAML, between the first definition and each of the others."""
    yield from ("", title)
    texts = [(name, _dump({key: each}, sort_keys=True).splitlines()) for name, each in definitions]
    (first, before), *others = [(name, lines[:MOST_LINES]) for name, lines in texts]
    for name, after in others:
        for line in difflib.unified_diff(before, after, first, name, n=MOST_LINES, lineterm=""):
            if not line.startswith("@@"):
                yield line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} ..."
    if any(len(lines) > MOST_LINES for _, lines in texts):
        yield f"... only the first {MOST_LINES} lines of each are compared"


def _placed(old: dict[str, Any], entries: list[tuple[Place, Any]]) -> dict[str, Any]:
    """Return a mapping with sorted entries in it, each new key before the first greater one.

    What does not change stays the same object.
    """
    parts: dict[str, Any] = {}
    for key, group in groupby(entries, lambda entry: entry[0][0]):
        inner = [(where[1:], value) for where, value in group]
        parts[key] = _placed(old.get(key, {}), inner) if inner[0][0] else inner[0][1]
    # The keys of the document need not be sorted. A stable sort by the greatest key so far leaves
    # them in their order, and puts a new key before the first of them that is greater.
    greatest = dict(zip(old, accumulate(old, max), strict=True))
    keys = sorted([*old, *(parts.keys() - old.keys())], key=lambda key: greatest.get(key, key))
    return {key: parts[key] if key in parts else old[key] for key in keys}


def _summary(chosen: dict[Place, Any], known: dict[Place, Any]) -> str:
    new = Counter(_kind(where) for where in chosen if where not in known)
    kinds = [kind for kind in ("operation", "component", "other") if new[kind]]
    added = ", ".join(f"{new[kind]} {kind}{'s' * (new[kind] > 1)}" for kind in kinds)
    updated = len(chosen) - new.total()
    return "; ".join(filter(None, [added, f"{updated} updated" if updated else ""]))


def _kind(where: Place) -> str:
    if _is_operation(where):
        return "operation"
    return "component" if where[0] == "components" else "other"


def _spliced(text: str, ours: Page, merged: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the text with lines changed where `merged` differs from `ours`, and its content."""
    newline = "\r\n" if "\r\n" in text else "\n"
    last = "" if text.endswith("\n") else newline
    old = text + last
    new, at = "", 0
    try:
        root = YAML(typ="safe", pure=True).compose(old)
        top = _line_start(root.start_mark)
        for start, end, lines in _edits(old, root, (), ours.document, merged, top):
            new += old[at:start] + lines.replace("\n", newline)
            at = end
        new += old[at:].removesuffix(last)
        document = parse_yaml(new, ours.name)
    except GenerationError:
        document = {}
    # Any unusual layout (anchors, merge keys ...) that spoils the edits shows here at the latest.
    if _canonical(document) != _canonical(merged):
        raise GenerationError(
            f"{ours.name} is laid out so that lines cannot be added to it:"
            " write its paths and components in block style, without anchors"
        )
    return new, document


def _edits(
    text: str, node: Any, above: Place, old: dict[str, Any], new: dict[str, Any], at: int
) -> Iterator[Edit]:
    """Yield, from top to bottom, the edits of a text that turn a mapping in it from old into new.

    The mapping was composed as `node`, and `above` is its place. What does not change is the
    same object in both. New lines that come before its first member go to `at`.
    """
    keys = [key for key, _ in node.value] if isinstance(node, MappingNode) else []
    if [key.value for key in keys] != list(old) or node.flow_style:
        raise GenerationError("not every member has lines of its own")
    column = keys[0].start_mark.column
    starts = [_line_start(key.start_mark) for key in keys]
    stops = [*starts[1:], _line_start(node.end_mark)]
    members = dict(zip(old, zip(node.value, starts, stops, strict=True), strict=True))
    for key, value in new.items():
        if key not in old:
            yield at, at, _lines({key: value}, column)
            continue
        (name, inner), start, stop = members[key]
        at = _end(text, stop, column)
        if value is old[key]:
            continue
        if not _contains_entries((*above, key)):
            yield start, at, _lines({key: value}, column)
        elif inner.value:
            inside = text.index("\n", name.end_mark.index) + 1
            yield from _edits(text, inner, (*above, key), old[key], value, inside)
        else:  # {}: only its braces go, so that a comment behind them stays
            first, end = inner.start_mark.index, inner.end_mark.index
            yield start + len(text[start:first].rstrip(" ")), end, ""
            yield at, at, _lines(value, column + 2)


def _line_start(mark: Any) -> int:
    return int(mark.index - mark.column)


def _end(text: str, stop: int, column: int) -> int:
    """Return where an entry ends, without empty lines and comments that lead to the next one."""
    while True:
        start = text.rfind("\n", 0, stop - 1) + 1
        line = text[start:stop]
        comment = line.lstrip(" ")
        deeper = len(line) - len(comment) > column
        if line.strip() and (deeper or not comment.startswith("#")):
            return stop
        stop = start


def _lines(mapping: dict[str, Any], column: int) -> str:
    lines = _dump(mapping).split("\n")[:-1]
    return "".join(f"{' ' * column if line else ''}{line}\n" for line in lines)


class _Representer(SafeRepresenter):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def string(self, data: str) -> ScalarNode:
        literal = "\n" in data and not set(data) & set("\r\x85\u2028\u2029")
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if literal else None)


_Representer.add_representer(str, _Representer.string)


class _Emitter(Emitter):
    MAX_SIMPLE_KEY_LENGTH = 1024  # YAML's own limit; ruamel's is lower and writes "? " before keys


def _dump(value: Any, *, sort_keys: bool = False) -> str:
    """Return YAML in the style of the vendor's pages."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Representer, yaml.Emitter = _Representer, _Emitter
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = sort_keys
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 2**31  # nothing is folded
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()
