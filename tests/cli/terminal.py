"""Run the command line as people do, in a pseudo-terminal, and as scripts do, with pipes."""

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pyte

PATIENCE = 60.0
"""Seconds to wait for what should be there in one, on a machine that is busy."""
SETTINGS = re.compile(
    r"ONELOOP_.*|_ONELOOP_.*|NO_COLOR|FORCE_COLOR|CLICOLOR.*|COLUMNS|LINES|TERM.*|COLORTERM|LC_.*|LANG.*"
    r"|PY_COLORS|GITHUB_ACTIONS|PYTHONIOENCODING|.*_PROXY|.*_proxy"
)
"""Environment variables of the machine that would change what a command shows."""
SCROLLBACK = 3000
"""Lines that the terminal in memory keeps. It is that high, so that nothing scrolls away; the
command sees the height that the test asks for."""

# Makes the terminal the controlling one, so that Ctrl-C becomes SIGINT, and becomes the command.
# In a program of its own, because a process with threads should not fork.
_ATTACH = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""

ONELOOP = (sys.executable, "-m", "oneloop")


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a command: that of the tests without settings, and `given`."""
    own = {name: value for name, value in os.environ.items() if not SETTINGS.fullmatch(name)}
    return {**own, "LANG": "C.UTF-8", "TERM": "xterm-256color", **(given or {})}


class Output(NamedTuple):
    """What a command without a terminal left behind."""

    code: int
    """Its exit code; negative if a signal killed it."""
    out: str
    err: str


def plain(
    *arguments: str,
    typed: str = "",
    env: Mapping[str, str] | None = None,
    command: Sequence[str] = ONELOOP,
    cwd: Path | None = None,
) -> Output:
    """Run a command to its end, with pipes instead of a terminal.

    Args:
        arguments: Its arguments.
        typed: Its standard input.
        env: Environment variables beside those of the machine.
        command: What the arguments are for, by default `oneloop`.
        cwd: The folder to run it in.
    """
    done = subprocess.run(
        [*command, *arguments],
        input=typed.encode(),
        capture_output=True,
        env=environment(env),
        timeout=PATIENCE,
        check=False,
        cwd=cwd,
    )
    return Output(done.returncode, done.stdout.decode(), done.stderr.decode())


class Shown(NamedTuple):
    """What a command in a terminal left behind."""

    code: int
    """Its exit code; negative if a signal killed it."""
    text: str
    """All lines of the screen, from the first on, without spaces at their ends."""
    colours: dict[str, set[str]]
    """What is shown in each colour (`default`, `red`, a hex number), each run of characters."""
    bold: set[str]
    """What is shown in bold."""
    raw: bytes
    """All bytes that were written."""


class Terminal:
    r"""A command in a pseudo-terminal, which a test reads and types into.

        with Terminal("keys", "rotate", "key_1") as terminal:
            terminal.wait_for("Rotate it?")
            terminal.type("y\n")
            assert terminal.finish().code == 0

    Args:
        arguments: The arguments of the command.
        columns: The width of the terminal.
        rows: Its height, as the command sees it.
        env: Environment variables beside those of the machine.
        command: What the arguments are for, by default `oneloop`.
        cwd: The folder to run it in.
    """

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        rows: int = 24,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = ONELOOP,
        cwd: Path | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, SCROLLBACK)
        self.raw = b""
        self._stream = pyte.Stream(self.screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-ISc", _ATTACH, *command, *arguments],
            stdin=its,
            stdout=its,
            stderr=its,
            env=environment(env),
            start_new_session=True,
            cwd=cwd,
        )
        os.close(its)
        self._is_open = True

    def __enter__(self) -> Self:
        """Return the terminal; at the end, the command is killed if it still runs."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill what still runs."""
        if self.process.poll() is None:
            self.kill()
        self.process.wait(PATIENCE)
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    @property
    def text(self) -> str:
        """What the terminal shows now: all lines, without spaces at the ends."""
        last = max((y for y, line in self.screen.buffer.items() if line), default=-1)
        lines = (self._line(y) for y in range(last + 1))
        return "\n".join(lines).rstrip("\n")

    def _line(self, y: int) -> str:
        line = self.screen.buffer[y]
        # The second column of a wide character is empty.
        return "".join(line[x].data for x in range(self.screen.columns)).rstrip()

    def type(self, text: str) -> None:
        r"""Type a text; "\n" is Enter, "\x03" is Ctrl-C."""
        os.write(self._ours, text.encode())

    def wait_for(self, text: str) -> None:
        """Wait until the terminal shows a text; spaces at the end of a line do not count."""
        text = text.rstrip(" ")
        end = time.monotonic() + PATIENCE
        while text not in self.text:
            assert self._is_open, f"{text!r} was not shown, but:\n{self.text}"
            assert time.monotonic() < end, f"{text!r} is not shown, but:\n{self.text}"
            self.read(0.5)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the command and the processes that it started."""
        os.killpg(self.process.pid, number)

    def finish(self, *, again: str = "") -> Shown:
        """Wait until the command has ended, and return what is shown then.

        Args:
            again: What to type every 5 seconds, as a person does with Ctrl-C: Python does not
                notice it just before it begins to wait for a line.
        """
        end = time.monotonic() + PATIENCE
        typed = time.monotonic()
        while self._is_open:
            assert time.monotonic() < end, f"the command does not end:\n{self.text}"
            self.read(0.5)
            if again and self._is_open and time.monotonic() - typed > 5:
                self.type(again)
                typed = time.monotonic()
        code = self.process.wait(PATIENCE)
        colours: dict[str, set[str]] = {}
        bold: set[str] = set()
        for name, is_bold, run in self._runs():
            colour = "yellow" if name == "brown" else name  # as the first terminals showed it
            colours.setdefault(colour, set()).add(run)
            bold |= {run} if is_bold else set()
        return Shown(code, self.text, colours, bold, self.raw)

    def read(self, seconds: float) -> None:
        """Read what is there, or comes in this time."""
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if not ready:
            return
        try:
            data = os.read(self._ours, 65_536)
        except OSError:  # Linux reports the end of the other side in this way
            data = b""
        self._is_open = bool(data)
        self.raw += data
        self._stream.feed(self._decoder.decode(data))

    def _runs(self) -> Iterator[tuple[str, bool, str]]:
        """Yield each run of characters in one colour, with it and whether they are bold."""
        for line in self.screen.buffer.values():
            before, run = ("default", False), ""
            for x in range(self.screen.columns):
                now = (line[x].fg, line[x].bold)
                if now != before:
                    if run.strip():
                        yield (*before, run.strip())
                    before, run = now, ""
                run += line[x].data
            if run.strip():
                yield (*before, run.strip())


def shown(
    *arguments: str,
    columns: int = 80,
    rows: int = 24,
    env: Mapping[str, str] | None = None,
    command: Sequence[str] = ONELOOP,
    cwd: Path | None = None,
) -> Shown:
    """Run a command to its end in a terminal, without typing anything. See `Terminal`."""
    terminal = Terminal(*arguments, columns=columns, rows=rows, env=env, command=command, cwd=cwd)
    with terminal:
        return terminal.finish()
