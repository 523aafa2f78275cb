"""`oneloop sandbox`, which is `python -m oneloop.sandbox`."""

import re
import socket
import subprocess
import sys

import pytest

from tests.cli.conftest import Run
from tests.cli.terminal import Terminal, plain


def test_a_sandbox_is_served_until_ctrl_c() -> None:
    """It prints what to paste, serves the other commands, and ends with Ctrl-C."""
    with Terminal("sandbox", "--port", "0", "--api-key", "sdk_local", columns=120) as terminal:
        terminal.wait_for("# Its page:")
        found = dict(re.findall(r"export (\w+)=(\S+)", terminal.text))
        assert found["ONELOOP_SDK_KEY"] == "sdk_local"
        assert "acme in ws_1" in plain("meter", "show", "-w", "ws_1", "-m", "acme", env=found).out
        terminal.wait_for("/api/v1/customer-billing?workspaceId=ws_1")
        terminal.type("\x03")
        assert terminal.finish().code == 0


def test_its_options_are_those_of_the_sandbox(run: Run) -> None:
    """The help and the errors are the same, but for the name of the command."""
    module = [sys.executable, "-m", "oneloop.sandbox", "--help"]
    own = subprocess.run(module, capture_output=True, text=True, check=True).stdout
    code, out, err = run("sandbox", "--help")
    assert (code, err) == (0, "")
    assert out.split() == own.replace("python -m oneloop.sandbox", "oneloop sandbox").split()
    code, out, err = run("sandbox", "--port", "x")
    assert (code, out) == (2, "")
    assert "oneloop sandbox: error: argument --port: invalid int value: 'x'" in err


def test_a_port_that_is_taken_is_wrong_usage(run: Run) -> None:
    """Another port helps, so the exit code is that of wrong arguments."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = run("sandbox", "--port", str(taken.getsockname()[1]))
    assert (code, out) == (2, "")
    assert "ddress already in use" in err


def test_its_extra_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the error says which to install."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for name in [one for one in sys.modules if one.startswith("oneloop.sandbox")]:
        monkeypatch.delitem(sys.modules, name)
    code, out, err = run("sandbox")
    assert (code, out) == (2, "")
    assert err.startswith("oneloop: oneloop.sandbox needs ")
    assert "pip install 'oneloop[sandbox]'" in err
