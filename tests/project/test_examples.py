"""The examples run from an installed wheel, in an environment that has only what they say."""

import re
import sys
from pathlib import Path
from shutil import copytree

import pytest

from oneloop.sandbox import Fault, Sandbox
from tests import ROOT
from tests.guards.applications import issue
from tests.guards.servers import SERVERS, serving, status
from tests.project.installation import install, run

EXAMPLES = ROOT / "examples"
APPLICATIONS = {path.stem for path in EXAMPLES.glob("*_app.py")}
SUITES = {path.parent.name for path in EXAMPLES.glob("*/test_*.py")}
PRINTED = {
    "billing": "a request for 40 credits: USAGE_LIMITED",
    "refill": "500",
    "traced": "POST /api/v1/customer-billing/refill 429 rejected",
}


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a venv with the wheel, all its extras, servers and pytest."""
    servers = ("gunicorn", "uvicorn", "opentelemetry-sdk", "pytest")
    extras = "django,fastapi,flask,ledger,otel,sandbox"
    venv = tmp_path_factory.mktemp("venv")
    return install(wheel, venv, ROOT / "requirements" / "dev.txt", extras, *servers)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the examples, away from the checkout."""
    return Path(copytree(EXAMPLES, tmp_path / "examples"))


def test_each_example_is_run() -> None:
    """There is no example that no test here runs."""
    served = {command.split()[-1].partition(":")[0] for command in SERVERS.values()} - {"{}"}
    assert served | {"flask_app"} >= APPLICATIONS
    assert {path.stem for path in EXAMPLES.glob("*.py")} == APPLICATIONS | set(PRINTED)
    folders = {path.parent.name for path in EXAMPLES.glob("*/*.py")}
    assert folders == SUITES == {"webhook"}


@pytest.mark.parametrize("name", PRINTED)
def test_a_program_runs(name: str, python: Path, folder: Path) -> None:
    """It prints what it promises, and no warning."""
    printed = run(python, "-I", "-W", "error", folder / f"{name}.py", cwd=folder)
    assert PRINTED[name] in printed


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system")
@pytest.mark.parametrize("name", SERVERS)
def test_an_application_runs(name: str, python: Path, folder: Path, sandbox: Sandbox) -> None:
    """Its guard lets the customer's key through, and nobody else."""
    key = issue(sandbox)
    errors = folder / "errors"
    with serving(SERVERS[name], sandbox, errors, python, folder) as port:
        assert status(port, "/me", key) == 200
        assert status(port, "/invoices/7", key) == 200
        assert status(port, "/me", "nobody") == 401
    assert sandbox.meter(workspace_id="ws_1", external_meter_id="m").used_credits == 1


@pytest.mark.parametrize("name", SUITES)
def test_an_application_passes_its_own_tests(
    name: str, python: Path, folder: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pytest finds the plugin by itself, and there is at least one test for each fault."""
    monkeypatch.setenv("WEBHOOK_POSTGRESQL", postgres)
    printed = run(
        python, "-m", "pytest", "-v", "-W", "error", "--strict-markers", cwd=folder / name
    )
    assert int(re.findall(r"(\d+) passed", printed)[-1]) > len(Fault.names())
    assert "[postgresql" in printed
