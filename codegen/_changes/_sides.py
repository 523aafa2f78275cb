"""The side of a comparison that a file or a git revision stands for."""

import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from codegen._errors import GenerationError

Generate = Callable[[Path, Sequence[Path], Path], dict[str, Any]]
"""Generates a package from a document and overlays into a folder, and returns the patched
document."""


@frozen
class Side:
    """One version of a document, with what was generated from it."""

    name: str
    """What the report calls it."""
    document: dict[str, Any]
    """The document as patched by the overlays."""
    package: Path
    """The folder of the generated package."""
    sources: Path | None = None
    """The folder of the hand-written packages, if they are to be compared as well."""


def side_of(
    other: str,
    folder: Path,
    generate: Generate,
    *,
    document: Path,
    overlays: Sequence[Path],
    output: Path,
    sources: Path,
) -> Side:
    """Return the side of a file, or of what is in git at a revision.

    A revision stands for what users had: its generated package as it was committed, together with
    its hand-written sources. If the package is not in git, it is generated from the document and
    the overlays of that revision.

    Args:
        other: A file, or a revision such as `v0.1.0` or `HEAD~3`.
        folder: An empty folder for what is made.
        generate: Generates a package.
        document: The document of the new side.
        overlays: The overlays of the new side; those for `other` if it is a file.
        output: The package of the new side.
        sources: The folder of the hand-written packages.
    """
    package = folder / "oneloop_api"
    if Path(other).is_file():
        return Side(other, generate(Path(other), overlays, package), package)
    home = document.resolve().parent
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{other}^{{commit}}"]
    found = _run(home, command)
    if found is None:
        raise GenerationError(f"{other}: neither a file nor a revision in git")
    revision = found.decode().strip()
    kept = [path for path in (output, sources) if path.resolve().is_relative_to(home)]
    paths = [path.resolve().relative_to(home).as_posix() for path in kept]
    if archive := len(paths) == 2 and _run(home, ["git", "archive", revision, "--", *paths]):
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        old = folder / paths[0]
        if (old / "document.json").is_file():
            return Side(
                other, json.loads((old / "document.json").read_bytes()), old, folder / paths[1]
            )
    copies = []
    for number, path in enumerate((document, *overlays)):
        content = _run(path.resolve().parent, ["git", "show", f"{revision}:./{path.name}"])
        if content is None:
            raise GenerationError(f"{other}: {path.name} is not in git at this revision")
        copies.append(folder / str(number) / path.name)
        copies[-1].parent.mkdir(parents=True)
        copies[-1].write_bytes(content)
    return Side(other, generate(copies[0], copies[1:], package), package)


def _run(folder: Path, command: list[str]) -> bytes | None:
    """Run git in a folder; return its output, or None if it failed."""
    try:
        run = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    except OSError as error:
        raise GenerationError(f"git cannot be run: {error}") from None
    return run.stdout if run.returncode == 0 else None
