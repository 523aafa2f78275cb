"""The page is readable and usable in both colour schemes, on a desktop and on a phone."""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import product
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from oneloop.sandbox import Sandbox
from tests.page.browsing import DESKTOP, PHONE, Shown, showing
from tests.sandbox.calls import Api

CONTRASTS = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    const rgb = (color, below) => {
        canvas.fillStyle = below;
        canvas.fillRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return canvas.getImageData(0, 0, 1, 1).data;
    };
    const background = (element) => {
        const {backgroundColor} = getComputedStyle(element);
        if (backgroundColor !== "rgba(0, 0, 0, 0)") return backgroundColor;
        return element.parentElement ? background(element.parentElement) : "white";
    };
    const light = ([...color]) => {
        const [r, g, b] = color.slice(0, 3).map((part) => part / 255)
            .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = {};
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
        if (!text || !element.checkVisibility() || element.matches(":disabled, option")) {
            continue;
        }
        const ground = background(element);
        const ink = getComputedStyle(element).color;
        const pair = [light(rgb(ink, ground)), light(rgb(ground, "white"))];
        const name = `${element.tagName} ${element.className} ${element.textContent.slice(0, 30)}`;
        found[name] = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    }
    return found;
}"""
"""For each visible element with text of its own: the contrast of that text, as WCAG defines it."""


OUTSIDE = """() => [...document.querySelectorAll(".panel")].flatMap((panel) => {
    const edges = panel.getBoundingClientRect();
    return [...panel.querySelectorAll("button, input, select, .tag, .status, td")]
        .filter((one) => one.checkVisibility())
        .map((one) => [one, one.getBoundingClientRect()])
        .filter(([, box]) => box.left < edges.left || box.right > edges.right)
        .map(([one]) => one.outerHTML);
})"""
"""What is not within the left and right edge of its panel."""

OVERLAPPING = """() => {
  const lines = [...document.querySelectorAll("summary, .meter-head, .top")];
  return lines.flatMap((line) => {
    const parts = [...line.querySelectorAll("*")]
        .filter((one) => one.checkVisibility() && one.textContent.trim())
        .filter((one) => one.childElementCount === 0);
    const boxes = parts.map((one) => [one, one.getBoundingClientRect()]);
    return boxes.flatMap(([a, box], index) => boxes.slice(index + 1)
        .filter(([, other]) => box.left < other.right - 1 && other.left < box.right - 1
            && box.top < other.bottom - 1 && other.top < box.bottom - 1)
        .map(([b]) => `${a.textContent} and ${b.textContent}`));
  });
}"""
"""Pairs of texts in one line of which one covers the other."""


def fill(sandbox: Sandbox) -> None:
    """Bring the sandbox into a state in which every part of the page has something to show."""
    api = Api(sandbox)
    sandbox.create_meter(
        workspace_id="ws_1", external_meter_id="over", total_credits=5, used_credits=9, spend_cap=8
    )
    for name, fields in {"on": {}, "off": {"enabled": False}, "old": {"expiresAt": 1}}.items():
        api.new_key(name=name, externalMeterId="acme", **fields)
    gone = api.new_key(name="gone")
    api.ask(f"DELETE /workspace/ws_1/api-key/{gone['id']}")
    for fault in ("429", "503", "drop-after"):
        sandbox.misbehave(fault)
        with pytest.raises(ConnectionError) if fault == "drop-after" else nullcontext():
            api.exchange("POST /jwt", {"payload": {"long": "x" * 3000}})
    sandbox.misbehave("500", rate=0.5, seed=1, operation="createJwt")


@pytest.fixture(
    scope="module",
    params=product((DESKTOP, PHONE), ("light", "dark")),
    ids=("desktop-light", "desktop-dark", "phone-light", "phone-dark"),
)
def full(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Shown]:
    """Open a page in which every part has something to show, a request among them open.

    The tests that use it change nothing, so that each kind of window is opened once.
    """
    viewport, scheme = request.param
    with Sandbox() as sandbox, showing(browser, sandbox, viewport, color_scheme=scheme) as tab:
        fill(sandbox)
        tab.open()
        tab.requests.first.locator("summary").click()
        yield tab
        assert tab.mistakes == []


def test_texts_are_readable(full: Shown) -> None:
    """Each text has the contrast that WCAG asks for at level AA."""
    contrasts: dict[str, float] = full.evaluate(CONTRASTS)
    assert len(contrasts) > 80
    assert {text: ratio for text, ratio in contrasts.items() if ratio < 4.5} == {}


def test_nothing_is_wider_than_the_window(full: Shown) -> None:
    """The page does not scroll sideways, and no part sticks out of its panel."""
    assert full.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert full.evaluate(OUTSIDE) == []


def test_nothing_covers_anything_else(full: Shown) -> None:
    """What stands in the line of a request has the room that it needs."""
    assert full.evaluate(OVERLAPPING) == []


def test_the_schemes_differ(browser: Browser, sandbox: Sandbox) -> None:
    """A browser that prefers dark gets a dark page."""
    ground = "getComputedStyle(document.body).backgroundColor"
    colours = []
    for scheme in ("light", "dark"):
        preferred: Any = scheme
        with showing(browser, sandbox, color_scheme=preferred) as tab:
            tab.open()
            colours.append(tab.evaluate(ground))
    assert colours == ["rgb(245, 245, 242)", "rgb(18, 20, 24)"]


def test_nothing_moves_for_those_who_ask_for_it(browser: Browser, sandbox: Sandbox) -> None:
    """With reduced motion, bars change at once."""
    code = "getComputedStyle(document.querySelector('.used')).transitionDuration"
    durations = []
    for preference in ("no-preference", "reduce"):
        motion: Any = preference
        with showing(browser, sandbox, reduced_motion=motion) as tab:
            tab.open()
            durations.append(tab.evaluate(code))
    assert durations == ["0.25s", "0s"]


def test_the_parts_are_named(shown: Shown) -> None:
    """There are landmarks and headings, and all that can be operated has a name."""
    fill(shown.sandbox)
    expect(shown.page.locator("#keys > tr")).to_have_count(4)
    for landmark in ("header", "main", "nav"):
        expect(shown.page.locator(landmark)).to_have_count(1)
    for name in ("Meters", "Requests", "Keys", "Clock", "Faults"):
        expect(shown.section(name).get_by_role("heading", name=name, level=2)).to_have_count(1)
    session = shown.page.context.new_cdp_session(shown.page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = {
        *("button", "textbox", "searchbox", "spinbutton", "combobox", "radio", "link"),
        *("meter", "table", "group", "dialog", "region", "DisclosureTriangle"),
    }
    seen = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in roles
    ]
    # A <details> is a group that its summary names.
    unnamed = [role for role, name in seen if not name and role != "group"]
    assert unnamed == []
    assert {role for role, _ in seen} >= {"button", "spinbutton", "combobox", "radio", "meter"}


def test_the_keys_are_a_table_on_a_phone_too(browser: Browser, sandbox: Sandbox) -> None:
    """On a phone the rows look like cards, and are still rows of a table with its headers."""
    fill(sandbox)
    with showing(browser, sandbox, PHONE) as tab:
        tab.open()
        keys = tab.section("Keys")
        expect(keys.get_by_role("row")).to_have_count(5)
        expect(keys.get_by_role("columnheader", name="Status")).to_have_count(1)
        expect(keys.get_by_role("rowheader", name="off")).to_have_count(1)
        expect(keys.get_by_role("cell", name="disabled")).to_have_count(1)
