"""Generates the package of one document, and measures everything about it but its calls."""

import ast
import json
import keyword
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests import ROOT

from . import trips
from .documents import Document, Operation, read

RUN = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
package = importlib.import_module(sys.argv[2])
for one in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(one.name)
"""
LONGEST = 900
"""Seconds that one program may take."""


def judge(
    path: Path, folder: Path, *, seed: str, limit: int, types: bool, plain: bool
) -> dict[str, Any]:
    """Return what the report says about one document.

    Args:
        path: The document.
        folder: An empty folder, for the package.
        seed: What the arguments and answers are made from.
        limit: Calls are made of so many operations.
        types: Whether the type checkers are run.
        plain: Whether the time of openapi-python-client is measured.
    """
    document = Document(read(path))
    operations = list(document.operations())
    found: dict[str, Any] = {"document": path.name, "operations": len(operations), "generated": 0}
    package = "corpus_" + re.sub(r"\W", "_", path.stem).lower()
    report = folder / "report.json"
    options = ["--no-overlays", "--leave-out", "--quiet", "--report", str(report)]
    command = [str(ROOT / "generate.sh"), "--document", str(path.resolve()), *options]
    found["seconds"], failure = timed([*command, "--output", str(folder / package)])
    if plain:
        config = folder / "plain.yaml"
        config.write_text("{}", "utf-8")
        tool = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
        tool += [
            "--path",
            str(path.resolve()),
            "--output-path",
            str(folder / "plain"),
            "--config",
            str(config),
        ]
        found["plain_seconds"], _ = timed(tool)
    told = json.loads(report.read_text("utf-8"))["operations"] if report.exists() else []
    made = {(one["method"].upper(), one["path"]) for one in told if one["generated"]}
    known = {(one["method"].upper(), one["path"]) for one in told}
    refused = Counter(_shortened(one["reason"]) for one in told if not one["generated"])
    found["refused"] = dict(refused.most_common(5))
    found["unreported"] = sum((one.method.upper(), one.path) not in known for one in operations)
    if not (folder / package / "py.typed").exists():
        return found | {"failure": failure or "no package"}
    generated = [one for one in operations if (one.method.upper(), one.path) in made]
    found["generated"] = len(generated)
    return found | judge_package(
        document, folder, package, generated, seed=seed, limit=limit, types=types
    )


def judge_package(
    document: Document,
    folder: Path,
    package: str,
    generated: list[Operation],
    *,
    seed: str,
    limit: int,
    types: bool,
) -> dict[str, Any]:
    """Return what the report says about the package that was made from a document."""
    _, fault = timed([sys.executable, "-c", RUN, str(folder), package])
    found: dict[str, Any] = {"imports": not fault}
    if types:
        found |= type_errors(folder, package)
    found |= words(folder / package, generated)
    if fault:
        return found | {"failure": f"import: {fault}"}
    sys.path.insert(0, str(folder))
    try:
        return found | trips.run(document, package, seed, limit).as_json()
    finally:
        sys.path.remove(str(folder))
        for name in [one for one in sys.modules if one.split(".")[0] == package]:
            del sys.modules[name]


def timed(command: list[str]) -> tuple[float, str]:
    """Run a command; return its seconds, and the end of what it printed if it failed."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=LONGEST, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        return time.monotonic() - started, f"it takes longer than {LONGEST} s"
    printed = (done.stderr or done.stdout).strip()
    return time.monotonic() - started, printed[-600:] or "it failed" if done.returncode else ""


def type_errors(folder: Path, package: str) -> dict[str, Any]:
    """Return the numbers of errors of mypy and of pyright, both strict, and the first ones."""
    roots = [str(ROOT / name) for name in ("src", "overrides")]
    settings = {"include": [package], "extraPaths": roots, "typeCheckingMode": "strict"}
    settings |= {"pythonVersion": "3.11", "venvPath": str(ROOT), "venv": ".venv"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    # Without the first one pyright's wrapper asks a registry for a newer version of itself.
    environment = {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "MYPYPATH": os.pathsep.join(roots)}
    mypy = ["mypy", "--strict", "--no-incremental", "--explicit-package-bases", package]
    found: dict[str, Any] = {"type_errors": []}
    for name, command in (("mypy", mypy), ("pyright", ["pyright"])):
        try:
            done = subprocess.run(
                [sys.executable, "-m", *command],
                cwd=folder,
                env=os.environ | environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired:
            found[name] = None
            continue
        lines = [line for line in done.stdout.splitlines() if " error: " in line]
        found[name] = len(lines) if done.returncode in (0, 1) else None
        found["type_errors"] += [line.replace(f"{folder}/", "").strip()[:300] for line in lines[:4]]
    return found


def words(package: Path, generated: list[Operation]) -> dict[str, Any]:
    """Count names that no person would choose, and descriptions that do not reach docstrings."""
    trees = [ast.parse(path.read_text("utf-8")) for path in package.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    said = " ".join(_squeezed(ast.get_docstring(one) or "") for one in functions)
    names = {one.name for one in functions}
    described = [
        _squeezed(one["description"])
        for operation in generated
        for one in operation.parameters
        if isinstance(one.get("description"), str) and one["description"].strip()
    ]
    fields = {
        node.target.id
        for node in nodes
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    arguments = {one.arg for function in functions for one in function.args.kwonlyargs}
    members = [
        target.id
        for node in nodes
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.Assign)
        for target in line.targets
        if isinstance(target, ast.Name)
    ]
    return {
        "described": len(described),
        "described_in_docstrings": sum(text[:40] in said for text in described),
        "run_together": sum(_run_together(one.id or "", names) for one in generated),
        "numbered_members": sum(bool(re.fullmatch(r"VALUE_\d+", one)) for one in members),
        "trailing_underscores": sum(
            name.endswith("_") and not keyword.iskeyword(name[:-1]) for name in fields | arguments
        ),
    }


def _squeezed(text: str) -> str:
    """Return the letters and digits of a text, so that its layout does not matter."""
    return re.sub(r"[\W_]+", "", text)


def _run_together(operation_id: str, names: set[str]) -> bool:
    """Whether the method of an operation has lost a separator between two words of its id."""
    parts = [re.sub(r"[\W_]", "", one).lower() for one in re.split(r"[^A-Za-z0-9]+", operation_id)]
    left = [one for one in parts if one]
    same = [name for name in names if name.replace("_", "") == "".join(left)]
    ends = {sum(map(len, left[:number])) for number in range(1, len(left))}
    return bool(same) and not any(ends <= _ends(name) for name in same)


def _ends(name: str) -> set[int]:
    parts = name.split("_")
    return {sum(map(len, parts[:number])) for number in range(1, len(parts))}


def _shortened(reason: str | None) -> str:
    """Return a reason without the place, so that equal reasons can be counted."""
    return re.sub(r"^\S+: ", "", reason or "")[:100]
