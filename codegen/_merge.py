"""Pages merged into the document, on its text: what is there stays as it is, byte for byte.

An entry is what is added, or differs, as a whole: an operation, another member of a path item, a
component, another top-level member of a document. New ones are placed by their names, so that the
result does not depend on the order of the pages, nor on whether they come in one run or in several.
"""

import difflib
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.emitter import Emitter
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from ._document import check_document, parse_document, parse_yaml, read_text
from ._errors import GenerationError

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
LANGUAGES = ("yaml", "yml", "json")
FENCE = re.compile(r"\s*+(`{3,}+|~{3,}+)([^`]*+)")

MOST_LINES = 300
LONGEST_LINE = 300
MOST_OTHERS = 3
"""How much of definitions that differ is compared and shown."""

Way = tuple[str, ...]
"""The keys that lead to an entry."""
Definition = tuple[str, Any]
"""What an entry is, after the name of who says so."""
Edit = tuple[int, int, str]
"""From where to where in a text, and what comes there instead."""


@dataclass(frozen=True)
class Page:
    """An OpenAPI document, and what errors call it."""

    name: str
    document: dict[str, Any]


@dataclass(frozen=True)
class Merged:
    """A merged document, its text, and in a few words what is new in it."""

    document: dict[str, Any]
    text: str
    summary: str


def read_pages(paths: Iterable[Path]) -> list[Page]:
    """Read and check files of YAML or JSON; any others are Markdown with documents in blocks."""
    pages: list[Page] = []
    for path in paths:
        text = read_text(path)
        if path.suffix.lower().removeprefix(".") in LANGUAGES:
            pages.append(Page(str(path), parse_document(text, str(path))))
        else:
            pages += _markdown(text, str(path))
    return pages


def merge(
    text: str, ours: Page, pages: list[Page], prefer: Literal["ours", "theirs"] | None = None
) -> Merged:
    """Merge pages into ours, which is what the text says.

    An operation that differs is updated, as its page is its authority, unless ours is preferred.
    Which of two other definitions is taken must be said by `prefer`.

    Raises:
        GenerationError: Definitions differ; or the result is invalid, or does not fit in the text.
    """
    try:
        known = dict(_entries(ours.document))
        chosen = _choose(ours.name, known, _definitions(pages), prefer)
        if not chosen:
            return Merged(ours.document, text, "nothing new")
        merged = ours.document
        for way, value in chosen.items():
            merged = _placed(merged, way, value)
        text, document = _spliced(text, ours, merged)
        check_document(document, f"{ours.name} with the pages added")
    except RecursionError:
        raise GenerationError("what is added is nested too deep") from None
    return Merged(document, text, _summary(chosen, known))


# --- pages ---------------------------------------------------------------------------------------


def _markdown(text: str, name: str) -> list[Page]:
    pages: list[Page] = []
    for told, block in _blocks(text, name):
        document = parse_document(block, name)
        method, path = told[-2:] if len(told) > 2 else ("", "")
        method = method.lower()
        if method in METHODS and method not in document.get("paths", {}).get(path, {}):
            raise GenerationError(f"{name}: its block does not hold {method.upper()} {path}")
        pages.append(Page(name, document))
    if not pages:
        raise GenerationError(f"{name} holds no ```yaml block with an OpenAPI document")
    return pages


def _blocks(text: str, name: str) -> Iterator[tuple[list[str], str]]:
    """Yield the words on the fence of each OpenAPI document, and the document.

    The lines above it come as empty lines, so that errors in it tell the lines of the file.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    fence, told, first = "", [""], 0
    for number, line in enumerate([*lines, ""]):
        found = FENCE.fullmatch(line)
        if not fence:
            if found:
                fence, told, first = found[1], found[2].split() or [""], number + 1
            continue
        closed = found is not None and found[1].startswith(fence) and not found[2].strip()
        if closed or number == len(lines):
            fence, block = "", lines[first:number]
            if told[0].lower() not in LANGUAGES or not any(map(_tells_version, block)):
                continue
            if not closed:
                raise GenerationError(f"{name}: line {first}: the block has no end")
            yield told, "\n" * first + "\n".join(block)


def _tells_version(line: str) -> bool:
    return line.lstrip(" {\"'").startswith(("openapi", "swagger"))


# --- entries -------------------------------------------------------------------------------------


def _entries(mapping: dict[str, Any], above: Way = ()) -> Iterator[tuple[Way, Any]]:
    for key, value in mapping.items():
        way = (*above, key)
        if _holds_entries(way):
            yield from _entries(value, way)
        else:
            yield way, value


def _holds_entries(way: Way) -> bool:
    """Whether there are entries there: paths, a path item, components, a section of them."""
    return way[0] in ("paths", "components") and len(way) < 3 and not way[-1].startswith("x-")


def _is_operation(way: Way) -> bool:
    return way[0] == "paths" and way[-1] in METHODS


def _definitions(pages: list[Page]) -> dict[Way, list[Definition]]:
    """Return what the pages say of each entry, with one definition for all that are equal."""
    found: dict[Way, dict[str, list[Definition]]] = {}
    for page in pages:
        for way, value in _entries(page.document):
            equal = found.setdefault(way, {}).setdefault(_canonical(value), [])
            equal.append((page.name, value))
    return {way: [_one(equal) for equal in found[way].values()] for way in sorted(found)}


def _one(equal: list[Definition]) -> Definition:
    names = sorted({name for name, _ in equal})
    # Their keys may be in different orders; the order of the files must not decide.
    return ", ".join(names), min((value for _, value in equal), key=_dump)


def _choose(
    ours: str, known: dict[Way, Any], found: dict[Way, list[Definition]], prefer: str | None
) -> dict[Way, Any]:
    """Return the entries to add or to update, or raise with all that cannot be decided."""
    chosen: dict[Way, Any] = {}
    conflicts: list[str] = []
    left = 0
    for way, definitions in found.items():
        mine = [(ours, known[way])] if way in known else []
        if mine and (prefer == "ours" or _all_equal(mine + definitions)):
            continue
        if len(definitions) > 1:
            remedy = "leave out all but one of these, or add them one at a time"
            remedy += f"; --ours keeps that of {ours}" if mine else ""
        elif mine and prefer != "theirs" and not _is_operation(way):
            remedy = f"--theirs takes the page's, --ours keeps that of {ours}"
            definitions = mine + definitions
        else:
            chosen[way] = definitions[0][1]
            continue
        if len(conflicts) > MOST_LINES:
            left += 1
        else:
            conflicts += ["", f"{_named(way)}: {remedy}", *_compared(way[-1], definitions)]
    if left:
        conflicts += ["", f"... and {left} more that differ, not shown here"]
    if conflicts:
        raise GenerationError("nothing is added, as definitions differ", *conflicts)
    return chosen


def _all_equal(definitions: list[Definition]) -> bool:
    return len({_canonical(value) for _, value in definitions}) == 1


def _canonical(value: Any) -> str:
    """Return a text that is the same for equal values only: 1, 1.0 and true are not."""
    return json.dumps(value, sort_keys=True, default=repr)  # repr: YAML has dates, too


def _named(way: Way) -> str:
    return f"{way[-1].upper()} {way[1]}" if _is_operation(way) else ".".join(way)


def _compared(key: str, definitions: list[Definition]) -> Iterator[str]:
    """Yield the first definition with how others differ from it, as YAML, unless that is long."""
    shown = definitions[: MOST_OTHERS + 1]
    texts = [(name, _dump({key: value}, sort_keys=True).splitlines()) for name, value in shown]
    (first, before), *others = [(name, list(map(_cut, text[:MOST_LINES]))) for name, text in texts]
    for name, after in others:
        every = len(before) + len(after)
        diff = difflib.unified_diff(before, after, first, name, n=every, lineterm="")
        yield from (line for line in diff if not line.startswith("@@"))
    left = sum(max(0, len(text) - MOST_LINES) for _, text in texts)
    if left:
        yield f"... and {left} more lines, not compared here"
    if len(shown) < len(definitions):
        yield f"... and {len(definitions) - len(shown)} more definitions, not shown here"


def _cut(line: str) -> str:
    left = len(line) - LONGEST_LINE
    return f"{line[:LONGEST_LINE]} ... and {left} more characters" if left > 0 else line


def _placed(mapping: dict[str, Any], way: Way, value: Any) -> dict[str, Any]:
    """Return a mapping with an entry in it, a new key before the first that is greater."""
    key, *rest = way
    if rest:
        value = _placed(mapping.get(key, {}), tuple(rest), value)
    if key in mapping:
        return {**mapping, key: value}
    items = list(mapping.items())
    place = next((index for index, item in enumerate(items) if item[0] > key), len(items))
    return dict([*items[:place], (key, value), *items[place:]])


def _summary(chosen: dict[Way, Any], known: dict[Way, Any]) -> str:
    new = [_kind(way) for way in chosen if way not in known]
    counts = [(new.count(kind), kind) for kind in ("operation", "component", "other")]
    added = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for count, kind in counts if count)
    updated = f"{len(chosen) - len(new)} updated" if len(chosen) > len(new) else ""
    return "; ".join(filter(None, [added, updated]))


def _kind(way: Way) -> str:
    if _is_operation(way):
        return "operation"
    return "component" if way[0] == "components" else "other"


# --- text ----------------------------------------------------------------------------------------


def _spliced(text: str, ours: Page, merged: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the text with new lines where the merged document differs, and what it says."""
    newline = "\r\n" if "\r\n" in text else "\n"
    last = "" if text.endswith("\n") else newline
    old = text + last
    new, at = "", 0
    try:
        root = YAML(typ="safe", pure=True).compose(old)
        for start, end, lines in _edits(old, root, (), ours.document, merged, (_start(root), 0)):
            new += old[at:start] + lines.replace("\n", newline)
            at = end
        new += old[at:].removesuffix(last)
        document = parse_yaml(new, ours.name)
    except GenerationError:
        document = {}
    # Whatever is unusual in the layout (anchors, merge keys ...) shows here at the latest.
    if _canonical(document) != _canonical(merged):
        raise GenerationError(
            f"{ours.name} is laid out so that lines cannot be added to it:"
            " write its paths and components in block style, without anchors"
        )
    return new, document


def _edits(
    text: str,
    node: Any,
    above: Way,
    old: dict[str, Any],
    new: dict[str, Any],
    head: tuple[int, int],
) -> Iterator[Edit]:
    """Yield, from top to bottom, what makes the lines of a mapping say something new.

    Args:
        text: Each of its lines has an end.
        node: The mapping.
        above: The way to it.
        old: What it says.
        new: What it shall say. Members that do not change are the same objects.
        head: Where its lines begin, and at which column if there are none yet.
    """
    keys = [key for key, _ in node.value] if isinstance(node, MappingNode) else []
    if [key.value for key in keys] != list(old) or (keys and node.flow_style):
        raise GenerationError("not every member has lines of its own")
    at, column = head
    if keys:
        column = keys[0].start_mark.column
    starts = [_start(key) for key in keys]
    stops = [*starts, node.end_mark.index - node.end_mark.column][1:]
    places = dict(zip(old, zip(node.value, starts, stops, strict=True), strict=True))
    for key, value in new.items():
        if key not in old:
            yield at, at, _lines(key, value, column)
            continue
        (name, inner), start, stop = places[key]
        end = _end(text, stop, column)
        way = (*above, key)
        if value is not old[key] and not _holds_entries(way):
            yield start, end, _lines(key, value, column)
        elif value is not old[key]:
            if not inner.value:  # {}
                yield len(text[: inner.start_mark.index].rstrip(" ")), inner.end_mark.index, ""
            above_it = name if inner.value else inner
            inside = text.index("\n", above_it.end_mark.index) + 1
            yield from _edits(text, inner, way, old[key], value, (inside, column + 2))
        at = end


def _start(node: Node) -> int:
    """Return where the line begins on which a node does."""
    return int(node.start_mark.index - node.start_mark.column)


def _end(text: str, stop: int, column: int) -> int:
    """Return where an entry ends: before the empty lines and comments that lead to the next one."""
    while True:
        start = text.rfind("\n", 0, stop - 1) + 1
        line = text[start:stop]
        comment = line.lstrip(" ")
        deeper = len(line) - len(comment) > column
        if line.strip() and (deeper or not comment.startswith("#")):
            return stop
        stop = start


def _lines(key: str, value: Any, column: int) -> str:
    lines = _dump({key: value}).split("\n")[:-1]
    return "".join(f"{' ' * column if line else ''}{line}\n" for line in lines)


class _Representer(SafeRepresenter):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def string(self, data: str) -> ScalarNode:
        literal = "\n" in data and not set(data) & set("\r\x85\u2028\u2029")
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if literal else None)


_Representer.add_representer(str, _Representer.string)


class _Emitter(Emitter):
    MAX_SIMPLE_KEY_LENGTH = 1024  # YAML's own limit; longer ones would begin with "? "


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
