"""docs/sandbox.md describes the sandbox correctly."""

import re
import shlex
import subprocess
import sys

import pytest

from oneloop.sandbox import Fault, Sandbox
from oneloop.sandbox._routes import CONTROLS
from tests import ROOT
from tests.sandbox.calls import exchange

PAGE = (ROOT / "docs" / "sandbox.md").read_text("utf-8")
EXAMPLES = re.findall(r"```sh\ncurl (.*)\n```", PAGE)
HEADINGS = re.findall(r"^### `(\w+) (/_sandbox/\w+)`$", PAGE, re.MULTILINE)


def test_it_has_every_control() -> None:
    """docs/sandbox.md has every control, with its method, path and an example."""
    assert [(one.method, one.path) for one in CONTROLS] == HEADINGS
    assert [example.split("/_sandbox/")[1] for example in EXAMPLES] == [
        path.removeprefix("/_sandbox/") for _, path in HEADINGS
    ]


@pytest.mark.parametrize(("heading", "example"), [*zip(HEADINGS, EXAMPLES, strict=True)])
def test_its_examples_work(sandbox: Sandbox, heading: tuple[str, str], example: str) -> None:
    """The examples for curl work; `--json` means a POST with the content type of JSON."""
    _, authorization, *more, url = shlex.split(example)
    name, token = authorization.split(": ")
    headers = {name: token}
    method, body = "GET", None
    if more[:1] == ["--json"]:
        method, body = "POST", more[1].encode()
        headers["Content-Type"] = "application/json"
    elif more:
        method = more[1]
    path = url.removeprefix("http://127.0.0.1:8787")
    assert (method, path) == heading
    assert exchange(sandbox, method, path, body, headers).status == 200


def test_it_has_every_fault() -> None:
    """docs/sandbox.md has every fault and says whether it applies the call."""
    rows = re.findall(r"^\| `([\w-]+)` \| .* \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert sorted(name for name, _ in rows) == list(Fault.names())
    assert {name: applies == "yes" for name, applies in rows} == {
        name: Fault.named(name).applies for name in Fault.names()
    }


def test_it_has_every_option_of_the_command() -> None:
    """docs/sandbox.md has the same options as `--help`."""
    command = [sys.executable, "-m", "oneloop.sandbox", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    options = re.findall(r"^  (--[\w-]+ \w+)", told, re.MULTILINE)
    assert options == re.findall(r"^\| `(--[\w-]+ \w+)` \|", PAGE, re.MULTILINE)


def test_its_example_in_python_prints_the_new_balance() -> None:
    """The example in Python adds 500 credits to the initial 1000."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    program = [sys.executable, "-W", "error", "-c", code]
    told = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert told == "1500\n"
