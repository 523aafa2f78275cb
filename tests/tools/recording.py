"""A recording of `oneloop refill` for the docs: `scripts/recording` writes it to docs/images.

The command runs in a pseudo-terminal against a sandbox that loses two answers. What the terminal
shows over time becomes one SVG, in which CSS shows each line while it was there. A reader who wants
no animations sees the end.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from xml.sax.saxutils import escape

from oneloop.sandbox import Sandbox
from tests import ROOT
from tests.cli.terminal import Terminal

FILE = ROOT / "docs" / "images" / "refill.svg"
PROMPT = "$ "
COLUMNS, LINES = 80, 33
HOST = "127.0.0.1:8787"
"""What is shown in place of the port that the sandbox happened to get."""

FOLDER = "/home/me"
"""What is shown in place of the folder that it was recorded in."""

STEP = 0.1
"""Seconds between two frames at least."""
TITLE = (
    "oneloop refill in a terminal: a file is checked, a question is answered, a bar moves, "
    "and a table shows what came of it"
)
KEY = 0.04
"""Seconds between two keys when the command is typed."""
HOLD = 6.0
"""Seconds for which the end is shown."""

CELL, LINE, SIZE = 8.4, 18, 14
LEFT, TOP = 16, 44
BACKGROUND, BAR = "#1d1f21", "#2b2e31"
COLOURS = {
    "default": "#d8dbde",
    "black": "#9aa0a6",
    "red": "#f0766f",
    "green": "#7ec97e",
    "brown": "#e3c15d",
    "blue": "#79a8f0",
    "magenta": "#cf93e0",
    "cyan": "#66c7cf",
    "white": "#f2f4f5",
}
"""Colours by pyte's names, which calls yellow brown."""


class Run(NamedTuple):
    """Characters of one line that look alike."""

    x: int
    text: str
    colour: str
    is_bold: bool


Row: TypeAlias = tuple[Run, ...]
Frame: TypeAlias = tuple[Row, ...]


class Recording(NamedTuple):
    """What was shown: frames with the seconds at which they begin, and the end of the last one."""

    frames: Sequence[tuple[float, Frame]]
    end: float


def lines_of(frame: Frame) -> list[str]:
    """Return the lines of a frame as text."""
    return [_line(row) for row in frame]


def _line(row: Row) -> str:
    line = ""
    for run in row:
        line = line.ljust(run.x) + run.text
    return line


class Recorder(Terminal):
    """A terminal that remembers what it has shown."""

    def __init__(self, *arguments: str, **options: Any) -> None:
        self.frames: list[tuple[float, Frame]] = []
        super().__init__(*arguments, columns=COLUMNS, rows=LINES, **options)

    def read(self, seconds: float) -> None:
        """Read what comes, and remember the screen."""
        super().read(seconds)
        self.frames.append((time.monotonic(), tuple(self._rows())))

    def _rows(self) -> Iterator[Row]:
        """Yield the lines of the screen, as far as there is something on it."""
        buffer = self.screen.buffer
        last = max((y for y, line in buffer.items() if line), default=-1)
        for y in range(last + 1):
            runs: list[Run] = []
            for x in range(COLUMNS):
                cell = buffer[y][x]
                look = (cell.fg, cell.bold)
                if runs and (runs[-1].colour, runs[-1].is_bold) == look:
                    runs[-1] = runs[-1]._replace(text=runs[-1].text + cell.data)
                else:
                    runs.append(Run(x, cell.data, *look))
            yield tuple(run._replace(text=run.text.rstrip()) for run in runs if run.text.strip())


def record(rows: int, *, rate: int, quiet: float) -> Recording:
    """Run the command and return what it showed, below the line that a person has typed.

    Args:
        rows: How many refills the file has.
        rate: The most per second.
        quiet: Seconds between the readings that settle the refills whose answers were lost.
    """
    options = ("--from", "refills.csv", "--rate", str(rate), "--quiet", f"{quiet:g}")
    with tempfile.TemporaryDirectory() as name, Sandbox() as sandbox:
        folder = Path(name).resolve()
        lines = ["id,workspace_id,external_meter_id,refill"]
        for number in range(1, rows + 1):
            place = {
                "workspace_id": f"ws_{number % 3 + 1}",
                "external_meter_id": f"user-{number:05}",
            }
            if number != rows // 2:
                sandbox.create_meter(**place)
            lines.append(
                ",".join([f"pay_{number:05}", *place.values(), str(100 * (number % 9 + 1))])
            )
        (folder / "refills.csv").write_text("\n".join(lines), "utf-8")
        sandbox.misbehave("drop-after", operation="refill_billing_limit", times=2)
        env = {
            "ONELOOP_BASE_URL": sandbox.url,
            "ONELOOP_SDK_KEY": sandbox.api_key,
            "ONELOOP_LEDGER": "refills.db",
        }
        with Recorder("refill", *options, env=env, cwd=folder) as terminal:
            terminal.wait_for("[y/N]:")
            time.sleep(12 * STEP)
            terminal.type("y\n")
            terminal.finish()
        names = {sandbox.url.removeprefix("http://"): HOST, str(folder): FOLDER}
        return edited(terminal.frames, f"oneloop refill {' '.join(options)}", names)


def edited(
    frames: Sequence[tuple[float, Frame]], command: str, names: Mapping[str, str]
) -> Recording:
    """Return a recording that begins with the command being typed, at most ten frames a second.

    Args:
        frames: What was shown, and when.
        command: What a person has typed.
        names: What is shown in place of what differs from run to run.
    """
    found: list[tuple[float, Frame]] = []
    for length in range(len(command) + 1):
        typed = Run(0, (PROMPT + command[:length]).rstrip(), "default", is_bold=False)
        found.append((length * KEY, ((typed,),)))
    start = found[-1][0] + 3 * KEY
    first = found[-1][1][0]
    for at, frame in frames:
        rows = (first, *(tuple(_renamed(run, names) for run in row) for row in frame))
        begin = start + (at - frames[0][0]) // STEP * STEP
        if found[-1][0] == begin:
            del found[-1]
        if rows[-LINES:] != found[-1][1]:
            found.append((begin, rows[-LINES:]))
    return Recording(found, found[-1][0] + HOLD)


def _renamed(run: Run, names: Mapping[str, str]) -> Run:
    text = run.text
    for name, instead in names.items():
        text = text.replace(name, instead)
    return run._replace(text=text)


def to_svg(recording: Recording) -> str:
    """Return a recording as a picture."""
    spans: dict[tuple[float, float], list[tuple[int, Row]]] = {}
    for y in range(LINES):
        begin, shown = 0.0, ()
        for at, frame in [*recording.frames, (recording.end, ())]:
            row: Row = frame[y] if y < len(frame) else ()
            if row != shown or at == recording.end:
                if shown:
                    spans.setdefault((begin, at), []).append((y, shown))
                begin, shown = at, row
    groups, rules = [], []
    for number, ((begin, end), rows) in enumerate(sorted(spans.items())):
        texts = "".join(_text(y, run) for y, row in rows for run in row)
        last = " e" if end == recording.end else ""
        groups.append(f'<g class="k{number}{last}">{texts}</g>')
        steps = [f"0%{{visibility:{'hidden' if begin else 'visible'}}}"]
        for at, value in ((begin, "visible"), (end, "hidden")):
            if 0 < at < recording.end:
                steps.append(f"{100 * at / recording.end:.2f}%{{visibility:{value}}}")
        rules.append(
            f"@keyframes k{number}{{{''.join(steps)}}}.k{number}{{animation-name:k{number}}}"
        )
    width, height = 2 * LEFT + COLUMNS * CELL, TOP + LINES * LINE + LEFT / 2
    fills = "".join(f".{name}{{fill:{colour}}}" for name, colour in COLOURS.items())
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" \
viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="t">
<title id="t">{TITLE}</title>
<style>
text{{font:{SIZE}px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}}
g{{visibility:hidden;animation:{recording.end:.1f}s step-end infinite}}
.e{{visibility:visible}}.b{{font-weight:bold}}{fills}
{"".join(rules)}
@media (prefers-reduced-motion:reduce){{g{{animation:none}}}}
</style>
<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>
<path d="M0 8a8 8 0 0 1 8-8h{width - 16:g}a8 8 0 0 1 8 8v20H0z" fill="{BAR}"/>
{"".join(f'<circle cx="{20 + 18 * n}" cy="14" r="5" fill="#565b60"/>' for n in range(3))}
{"".join(groups)}
</svg>
"""


def _text(y: int, run: Run) -> str:
    name = run.colour if run.colour in COLOURS else ""
    kind = " ".join(filter(None, [name, "b" if run.is_bold else ""]))
    fill = "" if name else f' fill="#{escape(run.colour)}"'
    return (
        f'<text x="{LEFT + run.x * CELL:.1f}" y="{TOP + (y + 0.75) * LINE:g}" class="{kind}"{fill} '
        f'textLength="{len(run.text) * CELL:.1f}" lengthAdjust="spacingAndGlyphs">'
        f"{escape(run.text)}</text>"
    )


def main(file: Path = FILE) -> int:
    """Write the recording; return the exit status."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(to_svg(record(600, rate=120, quiet=2)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
