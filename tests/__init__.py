"""The tests, as a package, so that their folders can share modules."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The checkout."""
