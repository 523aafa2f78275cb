"""Every path in CONTRIBUTING.md and SECURITY.md exists."""

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
