"""The change report: what another version of the document changes for applications.

`compare` compares two sides, each a patched document with the package generated from it. The result
is printed as Markdown, for the changelog, for a terminal, or as JSON.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from attrs import asdict, frozen
from rich.console import Console

from codegen import _quirks
from codegen._findings import Finding, dotted

from . import _document, _python, _text
from ._document import EFFECTS, Change, Effect
from ._sides import Side, side_of

__all__ = ["Change", "Changes", "Side", "Stale", "compare", "side_of"]

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
Bump = Literal["major", "minor", "patch"]
PARTS: tuple[Bump, ...] = get_args(Bump)
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
    def effect(self) -> Effect:
        """The worst effect of all changes."""
        effects = [one.effect for one in (*self.python, *self.document)]
        return max(effects, key=EFFECTS.index, default="neutral")

    @property
    def breaking(self) -> bool:
        """Whether applications may have to be changed."""
        return self.effect == "broken"

    @property
    def bump(self) -> Bump | None:
        """The part of the version that the changes raise, by Semantic Versioning.

        Before 1.0 a breaking change raises the minor version, and any other the patch version. None
        if nothing changes for applications.
        """
        if self.effect == "neutral":
            return None
        early = self.version.startswith("0.")
        bumps: dict[Effect, Bump] = {"added": "patch" if early else "minor", "changed": "patch"}
        return bumps.get(self.effect, "minor" if early else "major")

    @property
    def next_version(self) -> str:
        """The version that follows."""
        numbers = [int(part) for part in self.version.split(".")]
        if self.bump:
            at = PARTS.index(self.bump)
            numbers = [*numbers[:at], numbers[at] + 1, 0, 0][:3]
        return ".".join(map(str, numbers))

    @property
    def reason(self) -> str:
        """Why the version is raised, as a sentence."""
        sides = (("Python API", self.python), ("document", self.document))
        counts = [(sum(one.effect == "broken" for one in found), name) for name, found in sides]
        parts = [f"{count} of the {name}" for count, name in counts if count]
        if not parts:
            return "Nothing breaks."
        before = "; before 1.0 that raises the minor version" * self.version.startswith("0.")
        return f"Changes that can break applications: {' and '.join(parts)}{before}."

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
            `of`, `part`, `name`, `what`, `before`, `after`, `effect` (`broken`, `added`,
            `changed` or
            `neutral`) and `operations`; `descriptions`: places of other words; `quirks`, each with
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
            "stale": [
                dict(zip(("name", "file", "remedy"), one, strict=True)) for one in self.stale
            ],
        }


def compare(
    old: Side, new: Side, sources: Path | None = None, stale: Sequence[Stale] = ()
) -> Changes:
    """Compare two sides.

    Args:
        old: The version that applications use.
        new: The version that replaces it.
        sources: The folder of the hand-written packages, to compare what `oneloop` exports with
            what the sources of the old side export, if it has any.
        stale: Stale overrides, to be listed in the report.
    """
    document, words = _document.compare(old.document, new.document)
    python = _python.compare(old.package, new.package)
    if sources and old.sources:
        python += _python.public(old.sources, sources)
    was = {(one.place, one.rule) for one in _quirks.quirks(old.document)}
    quirks = [one for one in _quirks.quirks(new.document) if (one.place, one.rule) not in was]
    version = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["version"]
    return Changes(old.name, new.name, document, words, python, quirks, list(stale), version)
