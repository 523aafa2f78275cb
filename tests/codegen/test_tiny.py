"""Each tiny document, which has one feature, becomes what its verdict says."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from codegen import _render
from tests import ROOT
from tests.codegen.tiny_packages import Package, generate
from tests.codegen.verdicts import KEYS, wrongs

HERE = Path(__file__).parent
DOCUMENTS = {path.stem: path for path in sorted((HERE / "tiny").iterdir())}
VERDICTS: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (HERE / "tiny_verdicts.yaml").read_text("utf-8")
)
ALIKE = {"chain-50", "chain-100", "chain-150", "chain-200", *(f"prop-{n}-" for n in range(1, 12))}
"""Documents whose classes are as those of others, so that the type checkers need not read them."""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Package]]:
    """Generate the packages of all documents, and format them together."""
    folder = tmp_path_factory.mktemp("tiny")
    compiled = jinja2.FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))
    environment = partial(jinja2.Environment, bytecode_cache=compiled)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_render, "_format", lambda _package: None)
        # Compiling the templates takes nine tenths of the time of a small document.
        patched.setattr(_render, "Environment", environment)
        made = {name: generate(path, folder) for name, path in DOCUMENTS.items()}
    _render._format(folder)
    sys.path.insert(0, str(folder))  # the type checkers look there too
    yield made
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.startswith("tiny_")]:
        del sys.modules[name]


def test_each_document_has_a_verdict() -> None:
    """No document is without a verdict, no verdict without a document, and no check misspelt."""
    assert set(DOCUMENTS) == set(VERDICTS)
    checks = [check for verdict in VERDICTS.values() for check in verdict]
    checks += [one for check in checks for either in check.get("either", ()) for one in either]
    assert {key for check in checks for key in check} <= KEYS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_becomes_what_is_right(name: str, packages: dict[str, Package]) -> None:
    """What the package does, or why there is none, is as the verdict says."""
    assert [*wrongs(packages[name], VERDICTS[name])] == []


def type_errors(folder: Path, packages: list[str]) -> list[str]:
    """Return what mypy and pyright, both strict, find in packages in a folder."""
    roots = [str(ROOT / name) for name in ("src", "overrides")]
    settings = {"include": packages, "extraPaths": roots, "typeCheckingMode": "strict"}
    settings |= {"pythonVersion": "3.11", "venvPath": str(ROOT), "venv": ".venv"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    # Without the first one pyright's wrapper asks a registry for a newer version of itself.
    environment = {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "MYPYPATH": os.pathsep.join(roots)}
    mypy = ["mypy", "--strict", "--no-incremental", "--explicit-package-bases", *packages]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in (["pyright"], mypy)
    ]
    printed = [one.communicate()[0] for one in running]
    assert [one.returncode in (0, 1) for one in running] == [True, True], printed
    return [line for text in printed for line in text.splitlines() if " error: " in line]


def test_type_checkers_find_nothing(packages: dict[str, Package]) -> None:
    """The packages of all documents are clean under mypy and pyright, both strict."""
    names = [one.name for key, one in packages.items() if not one.failure and key not in ALIKE]
    assert type_errors(Path(sys.path[0]), names) == []


def test_type_errors_are_found(tmp_path: Path) -> None:
    """Both type checkers report a package that is wrong."""
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "__init__.py").write_text("x: int = 'a'\n", "utf-8")
    assert len(type_errors(tmp_path, ["wrong"])) == 2
