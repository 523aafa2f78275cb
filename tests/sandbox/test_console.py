"""The lines that the command prints about API calls."""

import io
import os
import pty
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import evolve

from oneloop.sandbox import Fault, ReceivedRequest, Sandbox
from oneloop.sandbox._console import MOST_WAITING, Console, line
from tests.sandbox.refills import ENOUGH, REFILL, call, wait_for


@pytest.fixture
def refill(sandbox: Sandbox) -> ReceivedRequest:
    """Return a call as the log has it."""
    call(sandbox)
    return sandbox.requests[0]


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({}, f"200 POST   {REFILL} applied"),
        ({"status": None, "fault": "drop-after"}, f"--- POST   {REFILL} fault: drop-after applied"),
        ({"method": "DELETE", "status": 404, "applied": False}, f"404 DELETE {REFILL}"),
    ],
)
def test_a_line_says_what_happened(refill: ReceivedRequest, changes: Any, end: str) -> None:
    """A line has time, status, method, path, fault and effect, in this order."""
    told = line(evolve(refill, **changes), has_colours=False)
    time = refill.time.astimezone()
    assert told == f"{time:%H:%M:%S} {end}"


@pytest.mark.parametrize(
    ("status", "colour"), [(200, 32), (404, 33), (429, 33), (500, 31), (302, 31), (None, 31)]
)
def test_colours_show_the_kind_of_status(
    refill: ReceivedRequest, status: int | None, colour: int
) -> None:
    """A success is green, a refusal yellow, and all else red; the words are the same."""
    request = evolve(refill, status=status, fault="x")
    told = line(request, has_colours=True)
    assert f"\x1b[{colour}m{status or '---'}\x1b[0m" in told
    assert re.sub(r"\x1b\[\d+m", "", told) == line(request, has_colours=False)


@contextmanager
def stuck() -> Iterator[tuple[Any, threading.Event]]:
    """Return a text stream whose reader does not read until the event is set."""
    reads = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            reads.wait(ENOUGH)
            return super().write(text)

    yield Stuck(), reads
    reads.set()


def test_a_reader_that_does_not_read_delays_no_call(refill: ReceivedRequest) -> None:
    """Lines that nobody reads are left out, and their number is printed at last."""
    with stuck() as (out, reads):
        with Console(out) as console:
            for _ in range(MOST_WAITING + 100):
                console.show(refill)
            reads.set()
        lines = out.getvalue().splitlines()
    assert re.fullmatch(r"\((99|100) lines left out\)", lines[-1])
    assert len(lines) in (MOST_WAITING + 1, MOST_WAITING + 2)


def test_the_end_does_not_wait_for_a_reader_for_ever(
    refill: ReceivedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end, a reader that does not read is given up."""
    monkeypatch.setattr("oneloop.sandbox._console._LONGEST_WAIT", 0.01)
    with stuck() as (out, _), Console(out) as console:
        console.show(refill)
    assert out.getvalue() == ""
    wait_for(lambda: out.getvalue() != "")


def test_a_reader_that_is_gone_is_given_up(refill: ReceivedRequest) -> None:
    """A pipe that nobody reads any more ends the lines, and nothing else."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    with Console(Gone()) as console:
        console.show(refill)
    assert "oneloop-sandbox-console" not in [one.name for one in threading.enumerate()]


def test_a_closed_stderr_is_no_reason_not_to_serve() -> None:
    """Without a standard error, nothing is printed there."""
    command = f"exec {sys.executable} -m oneloop.sandbox --port 0 2>&-"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        ["bash", "-c", command], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    url = [process.stdout.readline() for _ in range(4)][1].strip().rpartition("=")[2]
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{url}/api/v1/workspace")  # noqa: S310 - ours
    process.terminate()
    process.communicate(timeout=ENOUGH)
    assert process.returncode == 0


def printed(*options: str, terminal: bool = False, **variables: str) -> tuple[str, str]:
    """Run the command, refill once with and once without a fault; return stdout and stderr."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    command = [sys.executable, "-m", "oneloop.sandbox", "--port", "0", *options]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | variables
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment
    )
    os.close(theirs)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(4)]
    url = told[1].strip().rpartition("=")[2]
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{url}/api/v1/workspace")  # noqa: S310 - ours
    process.terminate()
    process.communicate(timeout=ENOUGH)
    errors = b""
    try:
        while data := os.read(ours, 65536):
            errors += data
    except OSError:  # the end of a terminal
        pass
    os.close(ours)
    return "".join(told), errors.decode()


def test_a_terminal_gets_colours() -> None:
    """A terminal gets colours, unless NO_COLOR is set; a pipe gets none."""
    _, told = printed(terminal=True, NO_COLOR="")
    assert "\x1b[33m401\x1b[0m GET    /api/v1/workspace" in told
    _, told = printed(terminal=True, NO_COLOR="1")
    assert "401 GET    /api/v1/workspace" in told
    assert "\x1b" not in told
    _, told = printed(NO_COLOR="")
    assert "401 GET    /api/v1/workspace" in told
    assert "\x1b" not in told


def test_quiet_prints_no_lines() -> None:
    """With --quiet there are only the lines at the start."""
    told, errors = printed("--quiet")
    assert "export ONELOOP_BASE_URL=" in told
    assert errors == ""


def test_faults_are_printed_as_they_are_taken() -> None:
    """A call that took a fault is printed with it, and again when it takes effect late."""
    out = io.StringIO()
    with Console(out) as console, Sandbox(on_request=console.show) as sandbox:
        sandbox.misbehave(Fault.late_apply(60, ending="504"))
        call(sandbox)
        sandbox.apply_late()
        sandbox.misbehave("late-504")
        call(sandbox, {})
        sandbox.apply_late()
    told = [line[9:] for line in out.getvalue().splitlines()]
    one = f"504 POST   {REFILL} fault: late-504"
    assert told == [
        f"{one} {end}" for end in ("pending", "applied late", "pending", "refused late")
    ]
