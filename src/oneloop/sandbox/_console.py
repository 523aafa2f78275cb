"""The console: a line for each API call."""

import os
import threading
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

from oneloop.sandbox._state import ReceivedRequest

MOST_WAITING = 10_000
"""The largest number of lines that wait for their reader."""

_LONGEST_WAIT = 1.0
"""Seconds to wait at the end for a reader."""

_RED, _GREEN, _YELLOW, _DIM = "31", "32", "33", "2"


class Console:
    """Prints API calls from a thread of its own, so that a reader that does not read delays none.

    Lines that wait for longer than that are left out, and their number is printed.

    Args:
        out: where to print. Colours are used if it is a terminal, unless NO_COLOR is set.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._has_colours = out.isatty() and not os.environ.get("NO_COLOR")
        self._lines: deque[str] = deque()
        self._left_out = 0
        self._has_lines = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(
            target=self._print, name="oneloop-sandbox-console", daemon=True
        )

    def __enter__(self) -> "Console":
        """Start to print."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Print what is left, unless nobody reads it."""
        self._is_closing = True
        self._has_lines.set()
        self._thread.join(_LONGEST_WAIT)

    def show(self, request: ReceivedRequest) -> None:
        """Print a line about a call, soon; another one when it has been carried out late."""
        if len(self._lines) < MOST_WAITING:
            self._lines.append(line(request, has_colours=self._has_colours))
        else:
            self._left_out += 1
        self._has_lines.set()

    def _print(self) -> None:
        with suppress(OSError, ValueError):  # nobody reads it any more
            self._print_all()

    def _print_all(self) -> None:
        while not self._is_closing or self._lines:
            self._has_lines.wait()
            self._has_lines.clear()
            while self._lines:
                self._out.write(self._lines.popleft() + "\n")
            if self._left_out:
                left_out, self._left_out = self._left_out, 0
                self._out.write(f"({left_out} lines left out)\n")
            self._out.flush()


def line(request: ReceivedRequest, *, has_colours: bool) -> str:
    """Return what is printed about a call: time, status, method, path, fault and effect.

    A call that has been carried out late is printed once more, with the time of that.
    """
    is_settled = (request.fault or "").startswith("late-") and not request.pending
    time = datetime.now(UTC) if is_settled else request.time
    effect = "pending" if request.pending else "applied" if request.applied else ""
    if is_settled:
        effect = "applied late" if request.applied else "refused late"

    def painted(colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if has_colours else text

    status = "---" if request.status is None else str(request.status)
    colour = _GREEN if status.startswith("2") else _YELLOW if status.startswith("4") else _RED
    parts = [
        painted(_DIM, time.astimezone().strftime("%H:%M:%S")),
        painted(colour, status),
        f"{request.method:<6}",
        request.path,
    ]
    if request.fault is not None:
        parts.append(painted(_YELLOW, f"fault: {request.fault}"))
    if effect:
        parts.append(painted(_DIM, effect))
    return " ".join(parts)
