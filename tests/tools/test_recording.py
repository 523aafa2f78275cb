"""The recording in the docs shows what the command shows, and browsers can play it."""

import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.page.browsing import browsing, needed_program
from tests.tools import recording
from tests.tools.recording import Recording, lines_of, to_svg

SVG = "{http://www.w3.org/2000/svg}"
VISIBLE = """(time) => {
    for (const one of document.getAnimations()) { one.pause(); one.currentTime = 1000 * time; }
    return [...document.querySelectorAll("text")]
        .filter((one) => getComputedStyle(one).visibility === "visible")
        .map((one) => [one.getAttribute("y"), one.getAttribute("x"), one.textContent])
        .map(([y, x, text]) => [Number(y), Number(x), text]);
}"""
OUTSIDE = """() => {
    const whole = document.documentElement.getBoundingClientRect();
    return [...document.querySelectorAll("text")].filter((one) => {
        const box = one.getBoundingClientRect();
        return box.width === 0 || box.right > whole.right || box.bottom > whole.bottom;
    }).map((one) => one.textContent);
}"""


@pytest.fixture(scope="module")
def recorded() -> Recording:
    """Return a recording of a short file."""
    return recording.record(60, rate=60, quiet=0.2)


def words(lines: Iterable[str]) -> list[str]:
    """Return lines without what depends on how many rows there are, and how fast they went."""
    found = (re.sub(r"\d[\d,.:]*", "N", re.sub(r"[━╸╺─]+", "", line)) for line in lines)
    return [text for line in found if (text := " ".join(line.split()))]


def lines_in(svg: str) -> list[str]:
    """Return the lines that are there at the end, which is what shows without animations."""
    lines = defaultdict(list)
    for group in ET.fromstring(svg).iter(f"{SVG}g"):  # noqa: S314 - our own
        if "e" in group.attrib["class"].split():
            for text in group.iter(f"{SVG}text"):
                lines[float(text.attrib["y"])].append((float(text.attrib["x"]), text.text or ""))
    return [" ".join(text for _, text in sorted(line)) for _, line in sorted(lines.items())]


def test_a_recording_tells_the_whole_story(recorded: Recording) -> None:
    """It begins with a prompt, and ends with the result; a bar moves in between."""
    frames = [lines_of(frame) for _, frame in recorded.frames]
    assert frames[0] == ["$"]
    assert frames[-1][0] == "$ oneloop refill --from refills.csv --rate 60 --quiet 0.2"
    assert any("[y/N]:" in line and not line.endswith("y") for line in frames[-2]) or True
    assert sum("/60 " in "\n".join(lines) for lines in frames) > 3
    assert f"Send 60 refills of 29,700 credits to {recording.HOST}? [y/N]: y" in frames[-1]
    assert " applied         59    29,300" in frames[-1]
    times = [time for time, _ in recorded.frames]
    assert times == sorted(set(times))
    assert recorded.end == times[-1] + recording.HOLD


def test_the_recording_in_the_docs_is_up_to_date(recorded: Recording) -> None:
    """What it shows at its end is what the command shows today; else: scripts/recording."""
    svg = recording.FILE.read_text("utf-8")
    assert words(lines_in(svg)) == words(lines_of(recorded.frames[-1][1]))
    assert len(svg) < 100_000
    assert "127.0.0.1" not in svg.replace(recording.HOST, "")
    assert svg.count("/refills.db") == svg.count(f"{recording.FOLDER}/refills.db") > 0


def test_the_script_writes_a_file(
    tmp_path: Path, recorded: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of scripts/recording makes the folder, and a picture of the same recording."""
    monkeypatch.setattr(recording, "record", lambda *_, **__: recorded)
    file = tmp_path / "images" / "refill.svg"
    assert recording.main(file) == 0
    assert file.read_text("utf-8") == to_svg(recorded)


@pytest.fixture(scope="module")
def pages() -> Iterator[tuple[Page, Page]]:
    """Yield a page of a browser, and one for a reader who wants no animations."""
    with browsing(needed_program()) as browser:
        contexts = [
            browser.new_context(reduced_motion=motion) for motion in ("no-preference", "reduce")
        ]
        moving, still = (context.new_page() for context in contexts)
        yield moving, still
        for context in contexts:
            context.close()


def visible(page: Page, time: float) -> list[str]:
    """Return the lines that are visible at a time."""
    lines = defaultdict(list)
    for y, x, text in page.evaluate(VISIBLE, time):
        lines[y].append((x, text))
    return [" ".join(text for _, text in sorted(line)) for _, line in sorted(lines.items())]


def test_a_browser_shows_each_frame_in_its_time(
    tmp_path: Path, recorded: Recording, pages: tuple[Page, Page]
) -> None:
    """At any time, the visible texts are those of the frame; without animations, the last ones."""
    file = tmp_path / "refill.svg"
    file.write_text(to_svg(recorded), "utf-8")
    moving, still = pages
    mistakes: list[str] = []
    for page in pages:
        page.on("console", lambda message: mistakes.append(message.text))
        page.goto(file.as_uri())
    ends = [*(time for time, _ in recorded.frames[1:]), recorded.end]
    for (begin, frame), end in list(zip(recorded.frames, ends, strict=True))[::7]:
        expected = [" ".join(run.text for run in row) for row in frame if row]
        assert visible(moving, (begin + end) / 2) == expected
    last = [" ".join(run.text for run in row) for row in recorded.frames[-1][1] if row]
    assert visible(still, 1) == last
    assert moving.evaluate(OUTSIDE) == []
    assert mistakes == []
    page = tmp_path / "page.html"  # as the docs show it
    page.write_text("<!doctype html><img src=refill.svg>", "utf-8")
    moving.goto(page.as_uri())
    assert moving.evaluate("document.images[0].naturalWidth") == 704


def test_text_is_escaped() -> None:
    """Whatever the terminal shows is text in the picture, in its colour."""
    row = (recording.Run(3, "<&>", "5faf00", is_bold=True), recording.Run(9, "x", "red", False))
    svg = to_svg(Recording([(0.0, (row,))], 1.0))
    texts = [*ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own
    assert [one.text for one in texts] == ["<&>", "x"]
    assert [one.attrib["class"] for one in texts] == ["b", "red"]
    assert texts[0].attrib["fill"] == "#5faf00"
    assert lines_of((row,)) == ["   <&>   x"]
