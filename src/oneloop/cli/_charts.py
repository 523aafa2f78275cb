"""A bar chart as SVG, without a library."""

from collections.abc import Sequence
from html import escape

from ._console import grouped, printable

WIDTH, HEIGHT = 800, 320
LEFT, RIGHT, TOP, BOTTOM = 20, 20, 48, 40
MOST_LABELS = 8
"""Days that are written below the bars."""


def svg(title: str, days: Sequence[tuple[str, int]]) -> str:
    """Return a chart with a bar for each day.

    Args:
        title: What it shows.
        days: The days, with the height of each.
    """
    most = max(1, *(amount for _, amount in days), 1)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(days))
    base, room = HEIGHT - BOTTOM, HEIGHT - TOP - BOTTOM
    every = -(-len(days) // MOST_LABELS) or 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{_text(title)}</title>",
        "<style>",
        "text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-size:15px;fill:#1f2328}",
        "rect{fill:#0969da}line{stroke:#d0d7de}.page{fill:#fff}",
        "@media(prefers-color-scheme:dark){text{fill:#9198a1}.title{fill:#f0f6fc}",
        "rect{fill:#4493f8}line{stroke:#3d444d}.page{fill:#0d1117}}",
        "</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="{LEFT}" y="24">{_text(title)}</text>',
        f'<text x="{WIDTH - RIGHT}" y="24" text-anchor="end">'
        f"most on a day: {_text(grouped(most) if days else '-')}</text>",
        f'<line x1="{LEFT}" y1="{base}" x2="{WIDTH - RIGHT}" y2="{base}"/>',
    ]
    for number, (day, amount) in enumerate(days):
        height = amount * room * 10 // most / 10  # whole numbers first: they may have any size
        x = LEFT + number * step
        label = f"{_text(day)}: {grouped(amount)}"
        parts.append(
            f'<rect x="{x + step * 0.1:.1f}" y="{base - height:.1f}" width="{step * 0.8:.1f}" '
            f'height="{height:.1f}"><title>{label}</title></rect>'
        )
        if number % every == 0:
            middle = f'x="{x + step / 2:.1f}" y="{base + 20}" text-anchor="middle"'
            parts.append(f"<text {middle}>{_text(day)}</text>")
    return "\n".join([*parts, "</svg>", ""])


def _text(text: str) -> str:
    """Return a text as XML has it. Control characters, which it cannot have, are escaped before."""
    return escape(printable(text))
