"""The command `python -m oneloop.sandbox`."""

import http.client
import importlib
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from oneloop.sandbox import Sandbox
from tests.sandbox.refills import (
    BODY,
    ENOUGH,
    REFILL,
    wait_for,
)


def run_main(*arguments: str) -> int:
    """Run the command in this process and return its exit status."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    argv, sys.argv = sys.argv, ["sandbox", *arguments]
    sys.modules.pop("oneloop.sandbox.__main__", None)  # runpy warns if it is already imported
    try:
        with pytest.raises(SystemExit) as caught:
            runpy.run_module("oneloop.sandbox", run_name="__main__")
        return int(caught.value.code or 0)
    finally:
        sys.argv = argv
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_prints_what_to_paste_and_ends_on_a_signal(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """The printed key is quoted for the shell, and a signal ends the command with status 0."""

    def end_later() -> None:
        wait_for(
            lambda: any(each.name.startswith("oneloop-sandbox") for each in threading.enumerate())
        )
        time.sleep(0.25)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=end_later)
    thread.start()
    status = run_main("--port", "0", "--api-key", "it's")
    thread.join()
    assert not [each for each in threading.enumerate() if each.name.startswith("oneloop-sandbox")]
    output = capsys.readouterr()
    assert (status, output.err) == (0, "")
    assert re.search(r"^export ONELOOP_BASE_URL=http://127\.0\.0\.1:\d+$", output.out, re.MULTILINE)
    assert "export ONELOOP_SDK_KEY='it'\"'\"'s'\n" in output.out
    assert re.search(r"^# Its page: http://127\.0\.0\.1:\d+/#it%27s$", output.out, re.MULTILINE)


def test_command_serves() -> None:
    """As a separate process, the command serves with the default key and ends quietly."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "oneloop.sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    url = lines[1].strip().rpartition("=")[2]
    client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=ENOUGH)
    client.request(
        "POST",
        REFILL,
        json.dumps(BODY),
        {"Authorization": "Bearer sdk_sandbox", "Content-Type": "application/json"},
    )
    status = client.getresponse().status
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=ENOUGH)
    client.close()
    assert (status, process.returncode, rest) == (200, 0, "")
    assert re.fullmatch(rf"\d\d:\d\d:\d\d 200 POST   {REFILL} applied\n", errors)
    assert lines[2] == "export ONELOOP_SDK_KEY=sdk_sandbox\n"


def test_importing_the_command_serves_nothing() -> None:
    """Importing the module, as some tools do with every module, starts no server."""
    threads = threading.active_count()
    importlib.import_module("oneloop.sandbox.__main__")
    assert threading.active_count() == threads


def test_command_says_that_a_port_is_taken(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the port is taken, the command prints one line on stderr and exits with 1."""
    port = sandbox.url.rpartition(":")[2]
    assert run_main("--port", port) == 1
    errors = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1:{port}" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--port", "65536"), ("--port", "x"), ("--api-key", "a b")])
def test_command_refuses_bad_options(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Invalid options end the command with status 2, as usual."""
    assert run_main(*arguments) == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--host", "192.0.2.1"), 1, "the sandbox cannot listen on 192.0.2.1:"),
        (("--state", "/no/such/folder/books"), 1, "/no/such/folder/books: No such file"),
        (("--state", "books"), 1, "books is not the state of a sandbox: it is not JSON"),
        (("--allow-host", "http://x"), 2, "an allowed host must be a name such as sandbox"),
        (("--log-size", "0"), 2, "--log-size must be from 1 to 1000000, not 0"),
    ],
)
def test_command_says_what_it_cannot_do(
    arguments: tuple[str, ...],
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An address or a file that cannot be used ends it with 1, an impossible option with 2."""
    (tmp_path / "books").write_text("# not JSON")
    monkeypatch.chdir(tmp_path)
    assert run_main("--port", "0", *arguments) == status
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1 or status == 2


def test_command_passes_everything_on(tmp_path: Path) -> None:
    """The command listens on a host and serves a name that it was told, with a state."""
    books = tmp_path / "books"
    options = ["--host", "127.0.0.2", "--allow-host", "sandbox", "--allow-host", "other"]
    process = subprocess.Popen(
        [sys.executable, "-m", "oneloop.sandbox", "--port", "0", "--state", books, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    url = [process.stdout.readline() for _ in range(4)][1].strip().rpartition("=")[2]
    statuses = []
    for name in ("sandbox", "other:80", "third"):
        client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=ENOUGH)
        client.request("GET", "/openapi.json", headers={"Host": name})
        statuses.append(client.getresponse().status)
        client.close()
    process.terminate()
    process.communicate(timeout=ENOUGH)
    assert (statuses, books.exists()) == ([200, 200, 421], True)
