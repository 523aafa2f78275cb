"""The pytest plugin from an installed wheel, which pytest finds by its entry point."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.project.installation import install, run

CALL = """
from oneloop import Oneloop

def test_a_refill() -> None:
    with Oneloop(api_key="sdk_4711") as client:
        client.refill_billing_limit(workspace_id="ws_1", external_meter_id="acme", refill=500)
"""

WATCHED = """
import json
import sys

seen = []
sys.addaudithook(lambda name, _: seen.append(name) if name.startswith("socket.") else None)

import pytest

status = pytest.main(["-W", "error", "-p", "no:cacheprovider"])
print(json.dumps({"status": status, "seen": seen}))
"""

REMEDY = '@pytest.mark.oneloop_allow_hosts("prod.oneloop.ai")'


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a venv with the wheel, the sandbox, pytest and pytest-xdist."""
    lock = ROOT / "requirements" / "dev.txt"
    venv = tmp_path_factory.mktemp("venv")
    return install(wheel, venv, lock, "sandbox", "pytest", "pytest-xdist")


def output_of(python: Path, folder: Path, code: str, *arguments: str, status: int = 0) -> str:
    """Run pytest in a project that has one file, and return its output."""
    (folder / "test_it.py").write_text(code, "utf-8")
    program = [python, "-m", "pytest", "-W", "error", *arguments]
    result = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout


def test_an_empty_project_opens_no_socket(python: Path, tmp_path: Path) -> None:
    """Python reports no use of sockets at all, and the message says how to allow the call."""
    (tmp_path / "test_it.py").write_text(CALL, "utf-8")
    printed = run(python, "-c", WATCHED, cwd=tmp_path)
    assert REMEDY in printed
    assert "oneloop refused 1 call to other machines: prod.oneloop.ai in test_it.py::" in printed
    assert json.loads(printed.splitlines()[-1]) == {"status": 1, "seen": []}


def can_trace() -> bool:
    """Return whether strace exists and may trace a process."""
    program = shutil.which("strace")
    if program is None:
        return False
    return subprocess.run([program, "-o", "/dev/null", "true"], check=False).returncode == 0


@pytest.mark.skipif(not can_trace(), reason="strace is missing, or may not trace")
def test_the_system_sees_no_socket(python: Path, tmp_path: Path) -> None:
    """No process of the run asks the system for a socket, by whatever way."""
    (tmp_path / "test_it.py").write_text(CALL, "utf-8")
    log = tmp_path / "log"
    trace = ["strace", "-f", "-e", "trace=%network", "-o", str(log)]
    command = [*trace, str(python), "-m", "pytest"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert REMEDY in result.stdout
    assert [line for line in log.read_text().splitlines() if "exited with" not in line] == []


@pytest.mark.parametrize("more", [(), ("-n2",)], ids=["plain", "xdist"])
def test_fixtures_need_no_setting(more: tuple[str, ...], python: Path, tmp_path: Path) -> None:
    """They and the marker are there, also in the workers of pytest-xdist."""
    code = """
        import pytest

        @pytest.mark.oneloop_allow_hosts("api.example.com")
        def test_it(oneloop_client, oneloop_sandbox):
            oneloop_client.get_workspace()
            assert len(oneloop_sandbox.requests) == 1
        """
    code = code.replace("\n        ", "\n")
    assert "1 passed" in output_of(python, tmp_path, code, "--strict-markers", *more)


def test_the_plugin_can_be_switched_off(python: Path, tmp_path: Path) -> None:
    """`-p no:oneloop` does that, as for every plugin."""
    code = "from oneloop.testing import is_testing\ndef test_it(): assert not is_testing()\n"
    output_of(python, tmp_path, code, "-p", "no:oneloop")
    output_of(python, tmp_path, code, status=1)


def test_a_run_without_calls_imports_nothing_of_the_client(python: Path, tmp_path: Path) -> None:
    """Every project that has the package installed pays for the plugin."""
    code = """
import sys

def test_it():
    assert sorted(name for name in sys.modules if name.startswith(("oneloop", "attr"))) == [
        "oneloop", "oneloop._pytest", "oneloop._testing", "oneloop.testing"
    ]
"""
    output_of(python, tmp_path, code)
