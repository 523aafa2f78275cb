"""What the README shows is run as it is printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import oneloop
from oneloop.sandbox import Fault, Sandbox

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(code: str, sandbox: Sandbox) -> str:
    """Run a program of its own against the sandbox and return what it prints."""
    environment = {
        **os.environ,
        "ONELOOP_BASE_URL": sandbox.url,
        "ONELOOP_SDK_KEY": sandbox.api_key,
    }
    program = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_runs_as_printed(snippet: str, sandbox: Sandbox) -> None:
    """Pasted into a file, with the two variables that the sandbox prints."""
    run(snippet, sandbox)


def test_the_quick_starts_print_the_new_balance(sandbox: Sandbox) -> None:
    """1000 credits, and 500 more each time; blocking and async."""
    assert run(SNIPPETS[0], sandbox) == "1500\n"
    assert run(SNIPPETS[1], sandbox) == "2000\n"


def test_a_failed_refill_says_where_to_look(sandbox: Sandbox) -> None:
    """The snippet on errors tells the outcomes apart."""
    sandbox.misbehave(Fault.status(401))
    assert run(SNIPPETS[2], sandbox).startswith("nothing happened: POST /api/v1/customer-billing")
    sandbox.misbehave("500")
    assert run(SNIPPETS[2], sandbox).startswith("look at the meter before you repeat it: POST")


def test_the_package_docstring_shows_the_quick_start() -> None:
    """One quick start, not two that drift apart."""
    shown = "\n".join(line[4:] for line in (oneloop.__doc__ or "").splitlines())
    assert SNIPPETS[0].split("    print")[0].strip() in shown


def test_every_name_in_the_outcome_table_exists() -> None:
    """The table names error classes and outcomes that can be imported."""
    rows = [line for line in README.splitlines() if line.startswith("| ") and "Error`" in line]
    names = {name for row in rows for name in re.findall(r"`(\w+Error)`", row)}
    assert len(names) > 10
    assert names <= set(oneloop.__all__)


def test_the_demo_prints_the_meter_before_and_after() -> None:
    """examples/refill.py is what ./generate.sh --demo runs."""
    program = [sys.executable, "-W", "error", str(ROOT / "examples" / "refill.py")]
    result = subprocess.run(program, capture_output=True, text=True, check=False)
    assert result.stdout == "before: 1000 credits left\nafter:  1500 credits left\n", result.stderr
