"""What a run tells about a document: refusals and stale overrides as text, all findings as JSON."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _structure
from ._api import Api, Endpoint
from ._errors import GenerationError, say
from ._findings import Finding, Refusal, dotted
from ._overlays import Stale, difference, overlay, yaml_lines
from ._project import shown

if TYPE_CHECKING:
    from ._changes import Changes

MOST_SHOWN = 20
"""The most findings of the parser that a run prints."""
REMOVED = "an overlay removes it"
Operations = dict[tuple[str, str], str | None]
"""By method and path: the operation ids."""


def operations(document: dict[str, Any]) -> Operations:
    """Return all operations of a document, those behind references to path items included."""
    found: Operations = {}
    for method, path, operation in _structure.operations(document):
        name = operation.get("operationId")
        found[method.upper(), path] = None if name is None else str(name)
    return found


def as_json(
    published: dict[str, Any],
    patched: dict[str, Any],
    api: Api | None,
    about: dict[str, Any],
    error: str | None,
) -> str:
    """Return a report on a run with an entry for each operation of the document.

    Args:
        published: The document as it was read; empty if that failed.
        patched: The document that the client is generated from; empty if the run ended before.
        api: What the parser made of it; None if the run ended before.
        about: The document's name and digest, and the overlays that were applied.
        error: Why the run failed; None if it did not.
    """
    left, generated = operations(patched or published), set()
    reasons: dict[tuple[str, str], str] = {}
    if api:
        reasons = {(one.method, one.path): one.reason for one in api.refused}
        generated = {_key(one) for one in api.endpoints} if error is None else set()
    listed = [
        {
            "method": method,
            "path": path,
            "operation_id": name,
            "generated": (method, path) in generated,
            "reason": None
            if (method, path) in generated
            else reasons.get((method, path), f"the run failed: {error}")
            if (method, path) in left
            else REMOVED,
        }
        for (method, path), name in (operations(published) | left).items()
    ]
    info = published.get("info")
    told = {key: info.get(key) for key in ("title", "version")} if isinstance(info, dict) else {}
    report = {
        "document": {**about, **told, "openapi": published.get("openapi")},
        "error": error,
        "operations": listed,
        "findings": as_dicts(api.findings if api else ()),
    }
    return json.dumps(report, indent=2, ensure_ascii=False, default=str) + "\n"


def _key(endpoint: Endpoint) -> tuple[str, str]:
    method, path = endpoint.where.split(" ", 1)
    return method, path


def refusal(name: str, refused: list[Refusal], count: int) -> GenerationError:
    """Return the error for the refused ones of the operations of a document."""
    lines = [f"{name}: {len(refused)} of {count} operations cannot be generated:"]
    lines += [f"  {line}" for line in left_out(refused)]
    lines.append("--leave-out generates the others. Or apply this overlay (--overlay FILE):")
    comments = [(f"{one.method} {one.path}: {one.reason}", one.action) for one in refused]
    return GenerationError(*lines, *overlay(comments, name))


def show_changes(changes: "Changes", form: str) -> None:
    """Print a change report as `text`, `markdown`, `changelog` or `json`."""
    if form == "text":
        from rich.console import Console

        changes.show(Console())
        return
    if form == "json":
        print_lines(json.dumps(changes.json(), indent=2))
    else:
        print_lines(changes.markdown() if form == "markdown" else changes.changelog())


def show_findings(findings: list[Finding], name: str, form: str) -> None:
    """Print the findings of the quirk check, each with the action that would mend it."""
    if form == "json":
        print_lines(json.dumps(as_dicts(findings), indent=2, ensure_ascii=False, default=str))
        return
    fence = form == "markdown" and bool(findings)
    lines = [f"{'- ' if fence else ''}{line(one)}" for one in findings]
    lines.append(f"{counted(len(findings), 'quirk')} in {name} that no override answers")
    actions = [(line(one), one.action) for one in findings if one.action]
    if actions:
        written = overlay(actions, name)
        lines += ["", *(["```yaml", *written, "```"] if fence else written)]
    print_lines("\n".join(lines))


def print_lines(text: str) -> None:
    """Print lines to stdout."""
    for one in text.split("\n"):
        say(one, sys.stdout)


def counted(number: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{number} {what}{'s' * (number != 1)}"


def line(finding: Finding) -> str:
    """Return a finding on one line."""
    return f"{dotted(finding.place)}: {finding.problem}"


def as_dicts(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return findings as JSON."""
    return [
        {"place": dotted(one.place), "problem": one.problem, "action": one.action}
        for one in findings
    ]


def remarks(api: Api) -> Iterator[str]:
    """Yield a line for each operation that is left out and for each finding, up to a limit."""
    for one in left_out(api.refused):
        yield f"left out: {one}"
    for finding in api.findings[:MOST_SHOWN]:
        yield f"note: {line(finding)}"
    if (more := len(api.findings) - MOST_SHOWN) > 0:
        yield f"note: {more} more remarks, which --report FILE writes"


def left_out(refused: Iterable[Refusal]) -> list[str]:
    """Return a line for each refused operation."""
    return [f"{one.method} {one.path}: {one.reason}" for one in refused]


def document_text(document: dict[str, Any], path: Path) -> str:
    """Write a document as JSON if the path has that suffix, otherwise as YAML."""
    if path.suffix.lower() == ".json":
        return json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"
    return "\n".join((*yaml_lines(document), ""))


def stale_fixes(stale: Iterable[Stale]) -> GenerationError:
    """Return the error for stale overrides, at least one of which is a fix."""
    remedy = "Remove these actions (--prune does), or mend their targets if the quirks have moved."
    return GenerationError(*map(str, stale), remedy)


def stale_entries(stale: Iterable[Stale]) -> list[tuple[str, str, str]]:
    """Return the name, the file and the remedy of stale overrides for the change report."""
    remedy = "remove the action (--prune does), or mend its target if the quirk has moved"
    return [(one.action.name, shown(one.action.overlay), remedy) for one in stale]


def stale_lines(stale: list[Stale], texts: dict[Path, str], *, pruned: bool) -> Iterator[str]:
    """Yield what to print about stale overrides whose removal is in `texts`."""
    for one in stale:
        yield f"removed: {one}" if pruned else f"warning: {one}"
    if not pruned:
        yield "This patch removes them, and so does --prune:"
        for path, text in texts.items():
            yield from difference(path, text, shown(path))
