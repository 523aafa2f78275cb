"""Environments in which pip has installed the wheel."""

import re
import subprocess
import sys
from pathlib import Path

from tests import ROOT


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return its standard output; fail with its output if it fails."""
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def pip_command(python: Path) -> tuple[str | Path, ...]:
    """Return the pip of an environment, without this machine's settings for other programs."""
    return (python, "-I", ROOT / "scripts" / "registry.py", python, "-I", "-m", "pip")


def pip(python: Path, *arguments: str | Path) -> str:
    """Run the pip of an environment."""
    return run(*pip_command(python), *arguments, cwd=python.parent)


def install(wheel: Path, venv: Path, lock: Path, extras: str = "", *more: str) -> Path:
    """Install the wheel and further packages into a new environment, and return its Python.

    Args:
        wheel: The wheel.
        venv: Folder of the environment.
        lock: Requirements file with the versions, so that a new release of a dependency does not
            fail the test.
        extras: Extras of the wheel, with commas between them.
        more: Names of further packages.
    """
    run(sys.executable, "-I", "-m", "venv", venv, cwd=venv)
    python = venv / "bin" / "python"
    pins = re.findall(r"^[\w.-]+==[^\\\n]+", lock.read_text("utf-8"), re.MULTILINE)
    constraints = venv / "constraints.txt"
    constraints.write_text("\n".join(pins), "utf-8")
    oneloop = f"oneloop[{extras}] @ {wheel.as_uri()}"
    pip(python, "install", "-qq", "--constraint", constraints, oneloop, *more)
    return python
