"""Fixtures of the tests of the command line."""

import io
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from oneloop.cli._app import main
from oneloop.sandbox import Fault, Sandbox
from tests.cli.terminal import SETTINGS, Output

Run = Callable[..., Output]


@pytest.fixture
def settings(sandbox: Sandbox) -> dict[str, str]:
    """Return environment variables that point commands at the sandbox."""
    return {"ONELOOP_BASE_URL": sandbox.url, "ONELOOP_SDK_KEY": sandbox.api_key}


@pytest.fixture
def run(
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Return a function that runs a command in this process, which is quicker, without a terminal.

    Its `typed` is the standard input.
    """
    for name in [one for one in os.environ if SETTINGS.fullmatch(one)]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def running(*arguments: str, typed: str = "") -> Output:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        capsys.readouterr()
        code = main(arguments)
        written = capsys.readouterr()
        return Output(code, written.out, written.err)

    return running


def answering(answer: Any, status: int = 200, *, applies: bool = False) -> Fault:
    """Return a fault that answers the next call with this JSON, or with these bytes."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return Fault.raw(f"{head}\r\n\r\n".encode() + body, applies=applies)
