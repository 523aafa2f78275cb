"""The guides for contributors name what exists, and the tree of files is complete."""

import re

import pytest

from tests import ROOT


@pytest.mark.parametrize("guide", ["CONTRIBUTING.md", "SECURITY.md"])
def test_every_path_in_a_guide_exists(guide: str) -> None:
    """Links and code spans with paths exist, except those with a NAME to fill in."""
    text = (ROOT / guide).read_text("utf-8")
    named = re.findall(r"`([^`\s]+/[^`\s]*)[^`]*`|\]\((?!https:)([^)]+)\)", text)
    paths = {"".join(found) for found in named if "NAME" not in "".join(found)}
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_tree_has_every_file() -> None:
    """docs/architecture.md has one line for each file of hand-written code."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    folder, listed = "", []
    for line in text.split("## Files", 1)[1].split("```")[1].strip().split("\n"):
        name = line.split()[0]
        if name.endswith("/"):
            folder = name
        else:
            listed.append(f"{folder}{name}" if line.startswith(" ") else name)
    folders = ("scripts", "overrides", "codegen", "src")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [ROOT / "generate.sh", ROOT / ".ci" / "run"]
    written = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if "__pycache__" not in path.parts and path.name != "py.typed"
    }
    assert sorted(listed) == sorted(written)
