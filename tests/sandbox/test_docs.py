"""docs/sandbox.md and controls.json describe the sandbox correctly."""

import re
import shlex
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest

from oneloop.sandbox import Fault, Sandbox
from oneloop.sandbox.__main__ import curl
from oneloop.sandbox._faults import FAULTS
from oneloop.sandbox._operations._controls import PARAMETERS
from oneloop.sandbox._operations._files import controls_document
from oneloop.sandbox._routes import CONTROLS
from tests import ROOT
from tests.sandbox.calls import connect, exchange

DOCS = (ROOT / "docs" / "sandbox.md").read_text("utf-8")
EXAMPLES = re.findall(r"```sh\n(curl .*)\n```", DOCS)
HEADINGS = re.findall(r"^### `(\w+) (/_sandbox/[\w-]+)`$", DOCS, re.MULTILINE)
DESCRIBED = {
    (method.upper(), path): operation
    for path, item in controls_document()["paths"].items()
    for method, operation in item.items()
}


def test_every_control_is_described() -> None:
    """docs/sandbox.md and controls.json have every control, in the same order."""
    controls = [(one.method, one.path) for one in CONTROLS]
    assert controls == HEADINGS == list(DESCRIBED)


def test_each_has_the_same_line_for_curl_everywhere() -> None:
    """docs/sandbox.md, controls.json and `--help` show the same line for each control."""
    lines = [curl(method.lower(), path, one) for (method, path), one in DESCRIBED.items()]
    assert lines == EXAMPLES
    command = [sys.executable, "-m", "oneloop.sandbox", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^    (curl .*)$", told, re.MULTILINE) == lines


@pytest.mark.parametrize(("heading", "example"), [*zip(HEADINGS, EXAMPLES, strict=True)])
def test_its_examples_work(sandbox: Sandbox, heading: tuple[str, str], example: str) -> None:
    """The examples for curl work; `-d` means a POST."""
    *words, url = [word for word in shlex.split(example) if word != "-N"]
    options = [*zip(words[1::2], words[2::2], strict=True)]
    headers = dict(value.split(": ") for option, value in options if option == "-H")
    given = dict(options)
    body = given["-d"].encode() if "-d" in given else None
    method = given.get("-X", "GET" if body is None else "POST")
    path = url.removeprefix("http://127.0.0.1:8787")
    assert (method, path) == heading
    if "-N" not in example:
        assert exchange(sandbox, method, path, body, headers).status == 200
        return
    connection = connect(sandbox)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    assert (response.status, response.readline()) == (200, b"event: overview\n")
    connection.close()


def test_it_has_every_fault() -> None:
    """docs/sandbox.md has the table of faults as the sandbox knows them."""
    when = {
        (True, None): "yes",
        (False, None): "no",
        (False, 1.0): "late",
    }
    rows = [
        (fault.name, fault.what, when[fault.make().applies, fault.make().delay]) for fault in FAULTS
    ]
    assert re.findall(r"^\| `([\w-]+)` \| (.*) \| (yes|no|late) \|$", DOCS, re.MULTILINE) == rows


def test_it_has_every_parameter_of_a_fault() -> None:
    """docs/sandbox.md says which faults have which parameter."""
    table = DOCS.partition("| parameter | of | |")[2].partition("###")[0]
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.+?) \| .* \|$", table, re.MULTILINE)
    written: dict[str, set[str]] = {}
    for parameters, faults in rows:
        for parameter in re.findall(r"`(\w+)`", parameters):
            patterns = [
                re.escape(one).replace(r"\*", ".*") for one in re.findall("`(.*?)`", faults)
            ]
            if "statuses" in faults:
                patterns.append("[2-5][0-9][0-9]")
            written[parameter] = {
                one
                for one in (*Fault.names(), "404")
                if any(re.fullmatch(pattern, one) for pattern in patterns)
            }
    taken = {
        parameter: {name for name in (*Fault.names(), "404") if _takes(name, parameter)}
        for parameter in PARAMETERS
    }
    for parameter in ("body", "headers", "applies"):
        written[parameter] -= {"429"}  # it asks to wait instead
    assert written == taken


def _takes(name: str, parameter: str) -> bool:
    values: dict[str, Any] = {"seconds": 1, "size": 1, "headers": {}, "applies": True}
    with suppress(ValueError):
        return bool(Fault.named(name, **{parameter: values.get(parameter, "")}))
    return False


def test_the_description_has_every_field() -> None:
    """controls.json has exactly the fields that the controls take."""
    for (method, path), operation in DESCRIBED.items():
        if "requestBody" not in operation:
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        with Sandbox() as sandbox:
            headers = {"Authorization": "Bearer sdk_sandbox", "Content-Type": "application/json"}
            reply = exchange(sandbox, method, path, {"?": 1}, headers)
        known = ", ".join(schema["properties"])
        assert reply.message == f"?: unknown field; known are: {known}"


def test_it_has_every_option_of_the_command() -> None:
    """docs/sandbox.md has the same options as `--help`."""
    command = [sys.executable, "-m", "oneloop.sandbox", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    options = re.findall(r"^  (--[\w-]+(?: [A-Z]+)?)", told, re.MULTILINE)
    assert options == re.findall(r"^\| `(--[\w-]+(?: [A-Z]+)?)` \|", DOCS, re.MULTILINE)


@pytest.mark.parametrize(
    ("number", "printed"),
    [(0, "1500\n"), (1, "[2, 2, None]\n"), (2, "refillBillingLimit 500 Bearer ***\n")],
)
def test_its_examples_in_python_print_what_they_say(number: int, printed: str) -> None:
    """The examples in Python print what docs/sandbox.md says."""
    code = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    assert len(code) == 3
    program = [sys.executable, "-W", "error", "-c", code[number]]
    told = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert told == printed
