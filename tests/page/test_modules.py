"""The functions of the page's scripts, called in a browser."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from oneloop.sandbox import Sandbox
from tests.page.browsing import Shown, showing

PARSED = """async (text) => {
    const {eventParser} = await import("/_sandbox/stream.js");
    const parsed = (pieces) => {
        const events = [];
        pieces.forEach(eventParser((type, data) => events.push([type, data])));
        return events;
    };
    const halves = [...text].map((_, place) => [text.slice(0, place), "", text.slice(place)]);
    return [[text], [...text], ...halves].map(parsed);
}"""
"""The events in a text: in one piece, character by character, and split once at each place."""

CALLED = """async ([name, argument]) => (await import("/_sandbox/texts.js"))[name](argument)"""


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Shown]:
    """Open the page once: its functions have no state."""
    with Sandbox() as sandbox, showing(browser, sandbox) as shown:
        shown.open()
        yield shown
        assert shown.mistakes == []


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("data: a\n\n", [["message", "a"]]),
        ("event: x\ndata: a\n\n", [["x", "a"]]),
        ("data:a\ndata:  b\ndata\n\n", [["message", "a\n b\n"]]),
        ("event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", [["x", "a"], ["message", "b"]]),
        ("event: x\rdata: a\r\rdata: b\r\r", [["x", "a"], ["message", "b"]]),
        (": comment\nid: 1\nretry: 5\nevent: x\n\n\ndata: a: b\n\n", [["message", "a: b"]]),
        ("event: x\n\ndata: a\n\n", [["message", "a"]]),
        ("data: not yet whole\n", []),
        ("data: \u2028\u0085ä\n\n", [["message", "\u2028\u0085ä"]]),
    ],
)
def test_events_are_parsed(tab: Shown, text: str, events: object) -> None:
    """Events are those of the specification, wherever the text is split."""
    assert tab.evaluate(PARSED, text) == [events] * (len(text) + 2)


@pytest.mark.parametrize(
    ("name", "argument", "text"),
    [
        ("grouped", 0, "0"),
        ("grouped", "999", "999"),
        ("grouped", "1234567", "1,234,567"),
        ("grouped", "1" * 60, f"{int('1' * 60):,}"),
        ("grouped", "1" * 61, "111,111,111… (61 digits)"),
        ("duration", 0, "0 s"),
        ("duration", 59.6, "1 min"),
        ("duration", 90_061, "1 d 1 h 1 min 1 s"),
        ("duration", 10_000_000_000, "115,740 d 17 h 46 min 40 s"),
        ("moment", "2026-01-31T23:59:00.123Z", "2026-01-31 23:59:00 UTC"),
        ("expiryText", None, "no expiry"),
        ("expiryText", 0, "expires 1970-01-01 00:00:00 UTC"),
        ("expiryText", 2**53, f"expires at {2**53}"),
        ("cut", "x" * 301, "x" * 300 + "…"),
        ("indented", "", ""),
        ("indented", "{}", "{}"),
        ("indented", '{"a":[1,{"b":"{[,:\\""}],"c":[]}', None),
        ("limits", {"spendCap": None, "allowOverages": False}, ""),
        ("limits", {"spendCap": "1000", "allowOverages": False}, "no overages, cap 1,000"),
        ("limits", {"spendCap": None, "allowOverages": True}, "overages without a cap"),
    ],
)
def test_values_as_texts(tab: Shown, name: str, argument: Any, text: str | None) -> None:
    """Values become the texts that people read."""
    if text is None:
        text = '{\n  "a": [\n    1,\n    {\n      "b": "{[,:\\""\n    }\n  ],\n  "c": []\n}'
    assert tab.evaluate(CALLED, [name, argument]) == text


@pytest.mark.parametrize(
    ("total", "used", "cap", "overages", "drawn"),
    [
        ("0", "0", None, False, (0, 0, None, None, "0 left", True)),
        ("0", "7", None, True, (0, 100, None, None, "7 over", False)),
        ("10", "5", "20", True, (25, 0, 50, 100, "5 left", False)),
        ("10", "5", "2", True, (50, 0, None, 20, "5 left", True)),
        ("10", "20", "20", True, (50, 50, 50, 100, "10 over", True)),
        ("3", "1", None, False, (33.33, 0, None, None, "2 left", False)),
    ],
)
def test_places_on_a_bar(
    tab: Shown, total: str, used: str, cap: str | None, overages: bool, drawn: tuple[object, ...]
) -> None:
    """The places of used, over, total and cap on a bar, the words, and whether it is used up."""
    meter = {
        "totalCredits": total,
        "usedCredits": used,
        "spendCap": cap,
        "allowOverages": overages,
    }
    found = tab.evaluate(CALLED, ["drawn", meter])
    names = ("used", "over", "total", "cap", "left", "isUsedUp")
    assert tuple(found[name] for name in names) == drawn
