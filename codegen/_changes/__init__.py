"""The change report: what another version of the document changes for applications.

`compare` compares two sides, each a patched document with the package generated from it. The result
is printed as Markdown, for the changelog, for a terminal, or as JSON.
"""

import tomllib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from attrs import asdict, frozen
from rich.console import Console

from .._findings import Finding, dotted
from . import _document, _python, _text
from ._document import EFFECTS, Change
from ._sides import Side, side_of

__all__ = ["Change", "Changes", "Side", "Stale", "compare", "side_of"]

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
Bump = Literal["major", "minor", "patch"]
Stale = tuple[str, str, str]
"""A stale override: its name, its file, and what to do about it."""


@frozen
class Changes:
    """What changed from one side to another."""

    old: str
    new: str
    document: list[Change]
    """The changes of the document."""
    words: list[str]
    """The places in the document where only descriptions or examples changed."""
    python: list[Change]
    """The changes of the Python API."""
    quirks: list[Finding]
    """What looks like a known quirk in the new document, and was not in the old one."""
    stale: list[Stale]
    version: str
    """The version of the project before the changes."""

    @property
    def breaking(self) -> bool:
        """Whether applications may have to be changed."""
        return any(one.effect == "broken" for one in (*self.python, *self.document))

    @property
    def bump(self) -> Bump | None:
        """The part of the version that the changes raise; None if nothing changed.

        Semantic Versioning, where a version 0.x raises the minor part for a breaking change, and
        the patch part for all others.
        """
        changes = [*self.python, *self.document]
        if not changes:
            return None
        worst = max((one.effect for one in changes), key=EFFECTS.index)
        if self.version.startswith("0."):
            return "minor" if worst == "broken" else "patch"
        bumps: dict[str, Bump] = {"broken": "major", "added": "minor", "changed": "patch"}
        return bumps[worst]

    @property
    def next_version(self) -> str:
        """The version that follows."""
        numbers = [int(part) for part in self.version.split(".")[:3]]
        if self.bump:
            at = ("major", "minor", "patch").index(self.bump)
            numbers = [*numbers[:at], numbers[at] + 1, 0, 0][:3]
        return ".".join(map(str, numbers))

    @property
    def reason(self) -> str:
        """Why the version is raised as `bump` says, as a sentence."""
        rule = "before 1.0, a breaking change raises the minor version and any other the patch version"
        if not self.version.startswith("0."):
            rule = "a breaking change raises the major version, an addition the minor version"
        count = sum(one.effect == "broken" for one in (*self.python, *self.document))
        found = f"{count} breaking change{'s' * (count != 1)}" if count else "No breaking change"
        return f"{found} ({rule})."

    def markdown(self) -> str:
        """Return the report for a pull request."""
        return _text.markdown(self)

    def changelog(self) -> str:
        """Return entries for the Unreleased part of CHANGELOG.md, empty if nothing changed."""
        return _text.changelog(self)

    def show(self, console: Console) -> None:
        """Print the report in a terminal."""
        _text.show(self, console)

    def json(self) -> dict[str, Any]:
        """Return the report as JSON.

        Returns:
            `old` and `new` (names of the sides); `version`, `next_version`, `bump` (`major`,
            `minor`, `patch` or null) and `breaking`; `document` and `python`: changes, each with
            `of`, `part`, `name`, `what`, `before`, `after`, `effect` (`broken`, `added` or
            `changed`) and `operations`; `descriptions`: places of other words; `quirks`, each with
            `place`, `problem` and `action`; `stale`, each with `name`, `file` and `remedy`.
        """
        return {
            "old": self.old,
            "new": self.new,
            "version": self.version,
            "next_version": self.next_version,
            "bump": self.bump,
            "breaking": self.breaking,
            "document": [asdict(one) for one in self.document],
            "python": [asdict(one) for one in self.python],
            "descriptions": self.words,
            "quirks": [
                {"place": dotted(one.place), "problem": one.problem, "action": one.action}
                for one in self.quirks
            ],
            "stale": [dict(zip(("name", "file", "remedy"), one, strict=True)) for one in self.stale],
        }


def compare(
    old: Side, new: Side, sources: Path | None = None, stale: Sequence[Stale] = ()
) -> Changes:
    """Compare two sides.

    Args:
        old: The version that applications use.
        new: The version that replaces it.
        sources: The folder of the hand-written packages, to compare what `oneloop` exports. A side
            may have sources of its own.
        stale: Stale overrides, to be listed in the report.
    """
    from .. import _quirks

    document, words = _document.compare(old.document, new.document)
    python = _python.compare(old.package, new.package)
    if sources:
        before, after = old.sources or sources, new.sources or sources
        python += _python.public((before, old.package), (after, new.package))
    was = {(one.place, one.problem) for one in _quirks.quirks(old.document)}
    quirks = [one for one in _quirks.quirks(new.document) if (one.place, one.problem) not in was]
    version = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["version"]
    return Changes(old.name, new.name, document, words, python, quirks, list(stale), version)
