"""Adding an operation takes one page of the vendor's documentation, and no other change."""

import json
import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from tests import ROOT

PAGE = Path(__file__).parent / "pages" / "create-a-spend-alert.md"
"""An operation and three components that the document does not have."""
SUBSET = [
    *("tests/client/test_operations.py", "tests/client/test_public_names.py"),
    *("tests/client/test_vendor.py", "tests/codegen/test_document.py", "tests/sandbox"),
]
CALL = """
import json, oneloop
from oneloop import Oneloop, models
from oneloop.sandbox import Sandbox

with Sandbox() as sandbox, Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
    response = client.with_response.create_spend_alert(
        billing_id="cbm_1",
        threshold=10**30,
        channel=models.SpendAlertChannel.EMAIL,
        recipients=["someone@example.com"],
    )
alert = response.parsed.alert
print(json.dumps([
    oneloop.__file__, response.status, response.headers["x-sandbox-simulated"],
    alert.threshold, alert.channel, alert.created_at.isoformat(),
]))
"""


class Project:
    """A copy of the project with its own environment, which contains nothing of the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Leave out caches, .git and .venv.
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        venv.EnvBuilder(symlinks=True).create(folder / ".venv")
        (site,) = (folder / ".venv" / "lib").glob("python3*/site-packages")
        # The libraries come from the environment that runs this test. Python does not read .pth
        # files there, so the checkout is not importable and coverage is not started.
        paths = [folder / name for name in ("src", "generated", "overrides")]
        lines = [str(path) for path in (*paths, sysconfig.get_path("purelib"))]
        (site / "project.pth").write_text("\n".join(lines), "utf-8")

    def python(self, *arguments: str | Path) -> str:
        """Run the environment's Python in the copy and return the output."""
        ours = ("COVERAGE", "PYTEST", "PYTHON")
        environment = {key: os.environ[key] for key in os.environ if not key.startswith(ours)}
        result = subprocess.run(
            [self.folder / ".venv" / "bin" / "python", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of the project to which the page was added."""
    copy = Project(tmp_path_factory.mktemp("project") / "copy")
    # generate.sh runs this command once the environment exists.
    copy.python("-m", "codegen", "--add", PAGE)
    return copy


def test_the_sandbox_answers_a_new_operation(project: Project) -> None:
    """The sandbox returns a sample of a new operation, marked as such; the client types it."""
    where, *told = json.loads(project.python("-c", CALL))
    assert Path(where).is_relative_to(project.folder)
    assert told == [201, "false", 1000, "EMAIL", "2026-01-31T12:00:00+00:00"]


def test_a_new_operation_has_a_command(project: Project) -> None:
    """The command line has a new operation, with its options, their values and an example."""
    told = project.python("-m", "oneloop", "create-spend-alert", "--help")
    assert "--billing-id TEXT" in told
    assert "--threshold INTEGER" in told
    assert "One of EMAIL," in " ".join(told.split())
    assert "oneloop create-spend-alert --billing-id " in told


def test_the_list_of_operations_has_a_new_one(project: Project) -> None:
    """docs/operations.md lists a new operation, and its certainty is not stated."""
    page = (project.folder / "docs" / "operations.md").read_text("utf-8")
    (line,) = (line for line in page.splitlines() if "create_spend_alert" in line)
    assert line.endswith("| **unsafe** | not stated |")


def test_the_tests_pass_with_a_new_operation(project: Project) -> None:
    """The tests include a new operation and pass without a change."""
    # The tests with schemathesis are slow, so run them only for the new operation.
    selected = ("-k", "not schemathesis or alert")
    told = project.python("-m", "pytest", "-vv", "-p", "no:cacheprovider", *SUBSET, *selected)
    passed = re.findall(r"^(\S+::.+?)(?: <- \S+)? PASSED", told, re.MULTILINE)
    call = "POST /api/v1/customer-billing/example/alert"
    assert {
        "tests/client/test_operations.py::test_an_operation_is_called[async-create_spend_alert]",
        "tests/client/test_operations.py"
        "::test_an_operation_is_called_with_its_response[create_spend_alert]",
        f"tests/sandbox/test_calls.py::test_each_operation_needs_a_token_with_rights[{call}]",
        f"tests/sandbox/test_unsimulated.py::test_a_sample_says_that_it_is_one[{call}]",
        "tests/sandbox/test_schemathesis.py::test_every_answer_is_as_promised",
    } <= set(passed)
