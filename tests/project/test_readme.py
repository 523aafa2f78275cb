"""The README's snippets run exactly as they are printed, and type checkers accept them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import oneloop
from oneloop.sandbox import Fault, Sandbox
from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
LEDGER = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")


def snippets(page: str) -> list[str]:
    """Return the programs on a page."""
    return re.findall(r"```python\n(.*?)```", page, re.DOTALL)


SNIPPETS = snippets(README)


def run(code: str, sandbox: Sandbox, folder: Path | None = None) -> str:
    """Run code in a new process against the sandbox and return the output.

    It runs in a folder of its own by default, as some programs write files.
    """
    if folder is None:
        with TemporaryDirectory() as made:
            return run(code, sandbox, Path(made))
    environment = {
        **os.environ,
        "ONELOOP_BASE_URL": sandbox.url,
        "ONELOOP_SDK_KEY": sandbox.api_key,
    }
    program = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_runs_as_printed(snippet: str, sandbox: Sandbox) -> None:
    """A snippet needs only the two environment variables that the sandbox prints."""
    run(snippet, sandbox)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the snippets of all pages, each of which is a file."""
    folder = tmp_path_factory.mktemp("printed")
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        if page.stem != "regenerating":  # its client is generated for another document
            for number, code in enumerate(snippets(page.read_text("utf-8"))):
                # The authors of vcrpy provide no types.
                first = "# pyright: basic\n" if "import vcr" in code else ""
                (folder / f"{page.stem}_{number}.py").write_text(first + code, "utf-8")
    return folder


def checked(*command: str, folder: Path) -> str:
    """Return what a type checker prints, if it fails."""
    paths = os.pathsep.join(str(ROOT / one) for one in ("src", "generated", "overrides"))
    environment = {**os.environ, "MYPYPATH": paths, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    program = [sys.executable, "-m", *command]
    result = subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr if result.returncode else ""


def test_mypy_accepts_every_snippet(printed: Path) -> None:
    """What the pages show has no errors in strict mode."""
    settings = "[mypy]\nstrict = true\n[mypy-vcr]\nignore_missing_imports = true\n"
    (printed / "mypy.ini").write_text(settings, "utf-8")
    assert checked("mypy", *sorted(one.name for one in printed.glob("*.py")), folder=printed) == ""


def test_pyright_accepts_every_snippet(printed: Path) -> None:
    """What the pages show has no errors in strict mode."""
    settings = {
        "typeCheckingMode": "strict",
        "extraPaths": [str(ROOT / one) for one in ("src", "generated", "overrides")],
    }
    (printed / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    assert checked("pyright", "--pythonpath", sys.executable, folder=printed) == ""


def test_the_quick_starts_print_the_new_balance(sandbox: Sandbox) -> None:
    """The blocking and the async quick start each add 500 credits to the initial 1000."""
    assert run(SNIPPETS[0], sandbox) == "1500\n"
    assert run(SNIPPETS[1], sandbox) == "2000\n"


def snippet(words: str) -> str:
    """Return the only snippet that contains these words."""
    (found,) = (one for one in SNIPPETS if words in one)
    return str(found)


def test_a_key_is_issued_and_verified(sandbox: Sandbox) -> None:
    """The snippet prints the remaining credits or, after a refusal, the reason."""
    masked, value, *rest = run(snippet("verify_api_key"), sandbox).split()
    assert " ".join(rest) == "go on; 995 credits left"
    assert value.endswith(masked[-4:])
    again = snippet("verify_api_key").replace("billing_usage=5", "billing_usage=5000")
    assert run(again, sandbox).endswith("refused: USAGE_LIMITED\n")


def test_a_ledger_answers_the_same_id_again(sandbox: Sandbox, tmp_path: Path) -> None:
    """The snippet is run twice with the same ledger. The meter is refilled once."""
    first, second = (run(snippet("Ledger("), sandbox, tmp_path) for _ in range(2))
    assert first == second
    assert first.startswith("applied CustomerBillingMeter(")
    assert sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits == 1500


def test_the_page_on_the_ledger(sandbox: Sandbox, tmp_path: Path) -> None:
    """Its snippets share a ledger, and refill five times."""
    printed = [run(code, sandbox, tmp_path) for code in snippets(LEDGER)]
    assert printed[0].startswith("applied CustomerBillingMeter(")
    assert printed[1] == "pay_123 500\npay_124 500\n"
    assert "sending 1" in printed[2]
    assert printed[3] == ""  # nothing is unknown
    assert printed[4] == "2 of 2 applied; None\n"
    assert sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits == 3300


def test_a_failed_refill_says_where_to_look(sandbox: Sandbox) -> None:
    """The snippet on errors distinguishes whether a refill may have happened."""
    sandbox.misbehave(Fault.status(401))
    code = snippet("nothing happened")
    assert run(code, sandbox).startswith("nothing happened: POST /api/v1/customer-billing")
    sandbox.misbehave("500")
    assert run(code, sandbox).startswith("look at the meter before you repeat it: POST")


def test_the_package_docstring_shows_the_quick_start() -> None:
    """The package's docstring contains the first quick start of the README."""
    shown = "\n".join(line[4:] for line in (oneloop.__doc__ or "").splitlines())
    assert SNIPPETS[0].split("    if")[0].strip() in shown


def test_every_name_in_the_outcome_table_exists() -> None:
    """Every error class in the table can be imported."""
    rows = [line for line in README.splitlines() if line.startswith("| ") and "Error`" in line]
    names = {name for row in rows for name in re.findall(r"`(\w+Error)`", row)}
    assert len(names) > 10
    assert names <= set(oneloop.__all__)


def example(name: str) -> str:
    """Run an example and return the output."""
    program = [sys.executable, "-W", "error", str(ROOT / "examples" / name)]
    result = subprocess.run(program, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_demo_prints_the_meter_before_and_after() -> None:
    """The example that ./generate.sh --demo runs prints the meter before and after a refill."""
    assert example("refill.py") == "before: 1000 credits left\nafter:  1500 credits left\n"


def test_the_billing_example_runs_to_its_end() -> None:
    """The key is limited once the credits are used up, and valid again after a refill."""
    printed = re.sub(r"\*{4}[\w-]{4}|\d{4}-\d\d-\d\d", "...", example("billing.py"))
    assert printed.splitlines() == [
        "issued ... to acme",
        "a request for 40 credits: VALID",
        "a request for 40 credits: VALID",
        "a request for 40 credits: USAGE_LIMITED",
        "refilled: 520 credits left",
        "a request for 40 credits: VALID",
        "used on ...: 120 credits",
    ]
