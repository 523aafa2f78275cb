"""What commands write: tables, bars and numbers for people, JSON for programs, errors.

Rich draws tables, and is imported when the first one is drawn. What comes from the server is shown
as text: its control characters are escaped, and Rich's markup in it is not interpreted.
"""

import json
import os
import re
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from oneloop._redaction import REDACTED, SHORTEST_SECRET
from oneloop_core import Secret

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_PLAIN_WIDTH = 1_000_000
"""Columns of a pipe or file: no line is ever wrapped or cut."""
_SENTENCE = 30
"""Columns that a sentence needs at least to be readable."""
_UNPRINTABLE = re.compile(r"[^ -~]")


_hidden: list[Secret] = []
"""What is never written, whatever a server answers."""
_lost: list[OSError] = []
"""Why something that was to be shown could not be written. A reader that went away is no reason."""


def hide(secret: Secret) -> None:
    """Never write a secret from now on, unless it is so short that it would garble every text."""
    if len(secret.reveal()) >= SHORTEST_SECRET:
        _hidden.append(secret)


def forget() -> None:
    """Hide nothing any more, and take nothing for lost, as when a command begins."""
    _hidden.clear()
    _lost.clear()


def without_secrets(text: str) -> str:
    """Return a text without what is to be hidden, as it is or as JSON writes it."""
    for secret in _hidden:
        text = text.replace(secret.reveal(), REDACTED)
        text = text.replace(json.dumps(secret.reveal(), ensure_ascii=False)[1:-1], REDACTED)
    return text


def printable(text: object) -> str:
    r"""Return a text without secrets, with everything escaped that is not shown as itself.

    That is what moves the cursor, changes colours, or changes the direction of other text:
    `\x1b`, `\u202e`. Lines are not broken, so that no text can look like another row.
    """
    given = without_secrets(str(text))
    if given.isascii() and given.isprintable():
        return given
    return _UNPRINTABLE.sub(
        lambda one: one[0] if one[0].isprintable() else ascii(one[0])[1:-1], given
    )


def grouped(number: int) -> str:
    """Return an integer for people: `12,345`."""
    try:
        return f"{number:,}"
    except ValueError:  # the sum of what a server sent has more digits than Python writes
        return hex(number)


def counted(number: int, noun: str) -> str:
    """Return a number of things for people: `1 refill`, `12,345 refills`."""
    return f"{grouped(number)} {noun}{'' if number == 1 else 's'}"


def is_terminal(stream: IO[str]) -> bool:
    """Return whether a person looks at a stream."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def rich_console(stream: IO[str] | None = None) -> "Console":
    """Return a console of Rich that interprets no markup, for the standard output by default.

    It has colours on a terminal only, and not with `NO_COLOR`. Lines for anything but a terminal
    are not wrapped.
    """
    from rich.console import Console  # on first use, as importing it takes longer than a refill

    to = stream or sys.stdout
    shown = is_terminal(to)
    return Console(
        file=to,
        force_terminal=shown,
        color_system="auto" if shown and not os.environ.get("NO_COLOR") else None,
        width=None if shown else _PLAIN_WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
    )


def open_streams() -> None:
    """Open the null device in place of each standard stream that is closed, as in some services.

    No file or connection can get the number of that stream then.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            stream = open(nowhere, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
            setattr(sys, name, stream)


@contextmanager
def _writing(stream: IO[str]) -> Generator[None]:
    """Let an output that cannot be written end, not the command, which may have taken effect.

    A reader that went away, such as `head`, wanted no more. All else is said.
    """
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        discard(stream)
    except OSError as error:
        discard(stream)
        if stream is sys.stdout:
            _lost.append(error)
            say(f"oneloop: the standard output cannot be written: {error.strerror}", "red")


def is_lost() -> bool:
    """Return whether something could not be shown."""
    return bool(_lost)


def discard(stream: IO[str]) -> None:
    """Let all that is written later, also by Python at its end, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def write(text: str = "") -> None:
    """Write lines to the standard output as they are."""
    with _writing(sys.stdout):
        sys.stdout.write(f"{text}\n")


def write_json(value: Any) -> None:
    """Write one JSON document to the standard output, with exact numbers.

    Characters that a terminal would not show are escaped, which JSON permits in all strings.
    """
    text = without_secrets(json.dumps(value, indent=2, ensure_ascii=False))
    write("\n".join(_UNPRINTABLE.sub(_in_json, line) for line in text.split("\n")))


def _in_json(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def say(text: str, style: str = "") -> None:
    """Write a line for people to the standard error; its colour is Rich's `style`."""
    with _writing(sys.stderr):
        if style and is_terminal(sys.stderr) and not os.environ.get("NO_COLOR"):
            rich_console(sys.stderr).print(printable(text), style=style, soft_wrap=True)
        else:
            sys.stderr.write(f"{printable(text)}\n")


def write_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Write a table of two columns: names, and what they are."""
    write_table(("", ""), [*facts], styles={0: "bold"})


def write_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Iterable[str] = (),
    styles: Mapping[int, str] | None = None,
    wraps: bool = False,
) -> None:
    """Write a table to the standard output, or its rows one by one if it is too wide.

    Args:
        columns: The heads of its columns.
        rows: The cells of each row. Integers are grouped, `None` is a dash, and a Rich `Text` keeps
            its colours.
        right: The columns that are aligned right, as numbers are.
        styles: Rich's styles of columns, by their numbers.
        wraps: Whether the last column has sentences, which may take several lines.
    """
    from rich.box import SIMPLE_HEAD
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    has_head = any(columns)
    table = Table(
        box=SIMPLE_HEAD if has_head and is_terminal(sys.stdout) else None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        show_header=has_head,
    )
    aligned = set(right)
    for number, name in enumerate(columns):
        table.add_column(
            Text(name),
            justify="right" if name in aligned else "left",
            style=(styles or {}).get(number, ""),
            overflow="fold",
            no_wrap=wraps and number < len(columns) - 1,
        )
    listed = [*rows]
    widest = 0
    for row in listed:
        cells = [one if isinstance(one, Text) else Text(cell(one)) for one in row]
        table.add_row(*cells)
        widest = max(widest, cells[-1].cell_len)
    console = rich_console()
    wide = console.options.update(max_width=_PLAIN_WIDTH)
    needed = Measurement.get(console, wide, table).maximum
    if wraps:
        needed -= max(widest - _SENTENCE, 0)
    if has_head and needed > console.width:
        # One below the other, so that ids stay whole and can be copied.
        for number, row in enumerate(listed):
            if number:
                write()
            write_facts(zip(columns, row, strict=True))
        return
    write_rich(table)


def speaks_unicode() -> bool:
    """Return whether the standard output can show blocks and lines."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def bar(parts: Iterable[tuple[int, str]], whole: int, width: int) -> "Text":
    """Return a bar of a number of columns.

    Args:
        parts: How much each part of it is, and Rich's style of it.
        whole: How much the whole bar is; at least 1.
        width: Its columns.
    """
    from rich.text import Text

    full, empty = ("█", "░") if speaks_unicode() else ("#", ".")
    text, at, done = Text(), 0, 0
    for amount, style in parts:
        done = min(done + max(amount, 0), whole)
        end = done * width // whole
        if end == at and amount > 0 and at < width:
            end += 1  # what is there is seen
        text.append(full * (end - at), style=style)
        at = end
    return text.append(empty * (width - at), style="dim")


def write_rich(*renderables: Any) -> None:
    """Write what Rich draws to the standard output, without spaces at the ends of lines."""
    console = rich_console()
    with _writing(sys.stdout):
        with console.capture() as captured:  # at its end, Rich writes an empty text
            for one in renderables:
                console.print(one)
        lines = (line.rstrip() for line in captured.get().splitlines())
        write("\n".join(lines).strip("\n"))


def cell(value: object) -> str:
    """Return the text of a table's cell."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return grouped(value) if isinstance(value, int) else printable(value)
