"""Where things are in this project."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "openapi.yaml"
PACKAGE = ROOT / "generated" / "oneloop_api"
PAGE = ROOT / "docs" / "operations.md"
"""The list of all operations in the documentation. It is published with PACKAGE."""
OVERLAYS = [ROOT / "overrides" / name for name in ("overlay.yaml", "annotations.yaml")]
"""Applied to DOCUMENT, and to other versions of it, in this order."""


def shown(path: Path) -> str:
    """Return a path for messages: relative to the project if it is inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
