"""A bar chart as SVG, with text as text, readable on light and dark pages."""

from xml.sax.saxutils import escape

from attrs import frozen

WIDTH = 900
LABELS = 204
"""Pixels for the labels to the left of the bars."""
NUMBERS = 62
"""Pixels for the numbers to the right of them."""
STEP = 22
GAP = 30
HEAD = 46

STYLE = """
  text { font: 12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #24292f }
  .title { font-size: 14px; font-weight: 600 }
  .note { fill: #57606a }
  .bar { fill: #8c959f }
  .ours { fill: #1f6feb }
  text.strong { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note { fill: #9198a1 }
    .bar { fill: #6e7681 }
    .ours { fill: #58a6ff }
  }
"""


@frozen
class Bar:
    """One bar: its label, its value (`None` if there is no measurement), and whether it is ours."""

    label: str
    value: float | None
    ours: bool = False


@frozen
class Panel:
    """A group of bars with a title, and a note that says whether more is better."""

    title: str
    note: str
    bars: list[Bar]


def draw(panels: list[Panel], description: str) -> str:
    """Return an SVG with two panels per row."""
    width = (WIDTH - GAP) // 2
    parts: list[str] = []
    top = 0
    for row in range(0, len(panels), 2):
        pair = panels[row : row + 2]
        for column, panel in enumerate(pair):
            parts += _panel(panel, column * (width + GAP), top, width)
        top += HEAD + STEP * max(len(panel.bars) for panel in pair) + GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}"'
            f' height="{top}" role="img">',
            f"<title>{escape(description)}</title>",
            f"<style>{STYLE}</style>",
            *parts,
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, left: int, top: int, width: int) -> list[str]:
    parts = [
        f'<text class="title" x="{left}" y="{top + 16}">{escape(panel.title)}</text>',
        f'<text class="note" x="{left}" y="{top + 33}">{escape(panel.note)}</text>',
    ]
    longest = max((bar.value or 0 for bar in panel.bars), default=0) or 1
    room = width - LABELS - NUMBERS
    for row, bar in enumerate(panel.bars):
        y = top + HEAD + row * STEP
        start = left + LABELS
        strong = ' class="strong"' if bar.ours else ""
        parts.append(
            f'<text{strong} x="{start - 8}" y="{y + 13}" text-anchor="end">'
            f"{escape(bar.label)}</text>"
        )
        if bar.value is None:
            parts.append(f'<text class="note" x="{start}" y="{y + 13}">no value</text>')
            continue
        length = max(1.0, bar.value / longest * room)
        number = f"{bar.value:,.0f}" if bar.value >= 100 else f"{bar.value:.1f}"
        parts += [
            f'<rect class="{"ours" if bar.ours else "bar"}" x="{start}" y="{y + 2}"'
            f' width="{length:.1f}" height="{STEP - 7}" rx="2"/>',
            f'<text{strong} x="{start + length + 6:.1f}" y="{y + 13}">{number}</text>',
        ]
    return parts
