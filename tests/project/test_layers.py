"""Imports go in one direction, and each third-party library is imported only by certain modules."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from modulefinder import ModuleFinder
from pathlib import Path

import pytest

from tests import ROOT

CORE = [ROOT / "src" / "oneloop_core", ROOT / "overrides" / "oneloop_overrides"]
RUN_TIME = [ROOT / "src" / "oneloop", *CORE]


def sources(*folders: Path) -> list[Path]:
    """Return every Python file below the folders."""
    found = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    assert found, "no sources: a path in this test is out of date"
    return found


def imported(source: Path) -> Iterator[str]:
    """Yield the top-level package of each absolute import in a file, even inside functions."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def test_import_contracts_hold() -> None:
    """Every import-linter contract in pyproject.toml is kept."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


CALLERS = {"pydantic_core", "pytest"}
"""Libraries that the wheel does not require: what imports them is called by them alone."""


@pytest.mark.parametrize(
    "source",
    sources(*CORE),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_core_and_overrides_need_attrs_alone(source: Path) -> None:
    """Core and overrides import only each other, the standard library and attrs."""
    allowed = {*sys.stdlib_module_names, "attr", "attrs", "oneloop_core", "oneloop_overrides"}
    if source.name == "_pydantic.py":
        allowed |= CALLERS
    assert set(imported(source)) <= allowed


def test_the_wheel_depends_on_what_it_imports() -> None:
    """The wheel imports each library that it declares, in an extra or not, and no others."""
    ours = {"oneloop", "oneloop_api", "oneloop_core", "oneloop_overrides"}
    third_party = {
        name
        for source in sources(*RUN_TIME, ROOT / "generated" / "oneloop_api")
        for name in imported(source)
        if name not in sys.stdlib_module_names and name not in ours | CALLERS
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    packages = {re.split(r"[^\w-]", requirement)[0] for requirement in declared}
    packages.discard("psycopg")  # SQLAlchemy imports it, for a URL of PostgreSQL
    # Each of these packages has the name of its module, but for one.
    assert third_party == {name.removesuffix("-api") for name in packages}


def test_tools_that_freeze_programs_find_every_module(tmp_path: Path) -> None:
    """PyInstaller and cx_Freeze read imports in bytecode, as `modulefinder` does, not strings."""
    roots = [ROOT / folder for folder in ("src", "generated", "overrides")]
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for root in roots
        for path in root.rglob("*.py")
    }
    # What an application imports by itself: the modules for which there are extras, for example.
    public = sorted(name for name in modules if re.fullmatch(r"oneloop\.[a-z]\w*", name))
    program = tmp_path / "program.py"
    program.write_text("\n".join(f"import {name}" for name in ("oneloop", *public)))
    finder = ModuleFinder(path=[str(root) for root in roots])  # what is elsewhere does not matter
    finder.run_script(str(program))
    assert modules - set(finder.modules) == {"oneloop.__main__", "oneloop._pytest"}  # programs
