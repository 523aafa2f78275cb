"""The page shows what the sandbox does, as it happens."""

import json
import re
import subprocess
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from oneloop import Oneloop
from oneloop.sandbox import Fault, Sandbox
from tests.page.browsing import Shown, showing
from tests.sandbox.calls import SCOPE, Api, StoppedClock

REFILL = {"workspaceId": "ws_1", "externalMeterId": "acme", "refill": 500}
GET_METER = "GET /customer-billing?workspaceId=ws_1&externalMeterId=acme"
SCRIPT = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"


@pytest.fixture
def api(shown: Shown) -> Api:
    """Return a way to call the sandbox of the page."""
    return Api(shown.sandbox)


def place(shown: Shown, part: str, meter: str = "acme") -> dict[str, str]:
    """Return where a part of a meter's bar is, as the page has set it."""
    code = "(part) => ({hidden: part.hidden, left: part.style.left, width: part.style.width})"
    found: dict[str, str] = shown.meter(meter).locator(f".bar > .{part}").evaluate(code)
    return found


def test_a_refill_made_by_curl_appears_within_a_second(shown: Shown) -> None:
    """A refill by curl raises the meter on the page, and is the newest request."""
    expect(shown.meter("acme")).to_contain_text("1,000 left")
    url = f"{shown.sandbox.url}/api/v1/customer-billing/refill"
    token = f"Authorization: Bearer {shown.sandbox.api_key}"
    curl = ("curl", "-sS", "-H", token, "--json", json.dumps(REFILL), url)
    subprocess.run(curl, check=True, capture_output=True)
    expect(shown.meter("acme")).to_contain_text("1,500 left", timeout=1000)
    for text in ("POST", "refillBillingLimit", "200", "applied"):
        expect(shown.requests.first).to_contain_text(text, timeout=1000)


@pytest.mark.parametrize("part", ["Requests", "Keys"])
def test_an_empty_part_says_what_to_do(shown: Shown, part: str) -> None:
    """The command in an empty part can be pasted into a shell, and fills that part."""
    command = shown.section(part).locator(".command").inner_text()
    subprocess.run(["bash", "-c", command], check=True, capture_output=True)
    expect(shown.section(part).locator(".command")).to_be_hidden()
    rows = {"Requests": shown.requests, "Keys": shown.page.locator("#keys > tr")}[part]
    expect(rows).to_have_count(1)


def test_a_command_quotes_the_token(browser: Browser) -> None:
    """The command works with a token that has a quote in it."""
    with Sandbox(api_key="it's$(so)") as sandbox, showing(browser, sandbox) as tab:
        tab.open("#it's$(so)")
        command = tab.section("Requests").locator(".command").inner_text()
        subprocess.run(["bash", "-c", command], check=True, capture_output=True)
        expect(tab.requests.first).to_contain_text("200")


def test_a_meter_shows_what_is_used_and_left(shown: Shown) -> None:
    """The bar ends at the largest amount, and marks the total and the cap on its way there."""
    shown.sandbox.create_meter(
        workspace_id="ws_2",
        external_meter_id="globex",
        total_credits=1_000_000,
        used_credits=1_500_000,
        allow_overages=True,
        spend_cap=2_000_000,
    )
    globex = shown.meter("globex")
    for text in ("500,000 over", "1,500,000 of 1,000,000 used", "overages up to 2,000,000", "ws_2"):
        expect(globex).to_contain_text(text)
    bar = globex.get_by_role("meter", name="globex")
    expect(bar).to_have_attribute("aria-valuetext", "1,500,000 of 1,000,000 used")
    expect(bar).to_have_attribute("aria-valuenow", "75")
    assert place(shown, "used", "globex") == {"hidden": False, "left": "0%", "width": "50%"}
    assert place(shown, "over", "globex") == {"hidden": False, "left": "50%", "width": "25%"}
    assert place(shown, "total", "globex") == {"hidden": False, "left": "50%", "width": ""}
    assert place(shown, "cap", "globex") == {"hidden": False, "left": "100%", "width": ""}
    # An ordinary meter has no marks.
    assert place(shown, "used") == {"hidden": False, "left": "0%", "width": "0%"}
    assert [place(shown, part)["hidden"] for part in ("total", "cap")] == [True, True]


def test_a_meter_that_takes_no_more_is_marked(shown: Shown) -> None:
    """A meter at its limit says so in words."""
    shown.sandbox.create_meter(
        workspace_id="ws_1", external_meter_id="full", total_credits=5, used_credits=5
    )
    expect(shown.meter("full")).to_contain_text("used up")
    expect(shown.meter("acme")).not_to_contain_text("used up")


def test_amounts_of_any_length_are_exact(shown: Shown) -> None:
    """Amounts beyond the numbers of JavaScript are not rounded; very long ones are cut."""
    shown.sandbox.create_meter(
        workspace_id="ws_1", external_meter_id="large", total_credits=2**60 + 1, used_credits=2**59
    )
    expect(shown.meter("large")).to_contain_text(f"{2**59:,} of {2**60 + 1:,} used")
    assert place(shown, "used", "large")["width"] == "49.99%"
    shown.sandbox.create_meter(
        workspace_id="ws_1", external_meter_id="huge", total_credits=10**5000, used_credits=10**4999
    )
    expect(shown.meter("huge")).to_contain_text("100,000,000… (5,001 digits) used")
    assert place(shown, "used", "huge")["width"] == "10%"


def test_keys_have_their_status_and_scopes(shown: Shown, api: Api) -> None:
    """Each key is a row of the table: name, status, scopes, customer and meter."""
    key = api.new_key(name="active", externalMeterId="acme", scopes=[SCOPE | {"update": True}])
    api.new_key(name="off", enabled=False)
    api.new_key(name="past", expiresAt=1_700_000_000)
    gone = api.new_key(name="gone")
    api.ask(f"DELETE /workspace/ws_1/api-key/{gone['id']}")
    api.verify(key["key"])
    row = shown.section("Keys").get_by_role("row")
    active = row.filter(has=shown.page.get_by_role("rowheader", name="active"))
    for text in ("active", key["maskedKey"], "files: read, update", "carol", "meter acme", "UTC"):
        expect(active).to_contain_text(text)
    for name, status in {"off": "disabled", "past": "expired", "gone": "deleted"}.items():
        named = row.filter(has=shown.page.get_by_role("rowheader", name=name))
        expect(named).to_contain_text(status)
    expect(row.filter(has_text="past")).to_contain_text("expires 2023-11-14 22:13:20 UTC")


def test_a_request_opens_to_its_headers_and_body(shown: Shown, api: Api) -> None:
    """An open request shows the headers, credentials masked, and the body without rounding."""
    amount = 12_345_678_901_234_567_890
    api.exchange("POST /customer-billing/refill", REFILL | {"refill": amount, "x": '{"a":[1]}'})
    shown.requests.first.locator("summary").click()
    detail = shown.requests.first.locator(".detail")
    expect(detail).to_contain_text("authorizationBearer ***")
    expect(detail).not_to_contain_text(shown.sandbox.api_key)
    pretty = json.dumps(REFILL | {"refill": amount, "x": '{"a":[1]}'}, indent=2)
    assert detail.locator("pre").inner_text() == pretty


@pytest.mark.parametrize(
    ("body", "words"), [(None, "There was no body."), (b"{", "Not kept, because it is not JSON")]
)
def test_a_request_without_a_body_to_show(
    shown: Shown, api: Api, body: bytes | None, words: str
) -> None:
    """Where there is no body, the detail says why."""
    api.exchange("POST /customer-billing/refill", body)
    shown.requests.first.locator("summary").click()
    expect(shown.requests.first.locator("pre")).to_contain_text(words)


def test_statuses_are_of_different_kinds(shown: Shown, api: Api) -> None:
    """A status is marked by its kind, and a call without an answer says so."""
    shown.sandbox.misbehave("503", "drop-after")
    api.exchange(GET_METER)
    with pytest.raises(ConnectionError):
        api.exchange(GET_METER)
    api.exchange("GET /nowhere")
    api.exchange(GET_METER)
    expect(shown.requests).to_have_count(4)
    kinds = shown.page.locator("#requests .status")
    read = "(all) => all.map((one) => [one.dataset.kind, one.textContent])"
    assert kinds.evaluate_all(read) == [
        ["2", "200"],
        ["4", "404"],
        ["none", "no answer"],
        ["5", "503"],
    ]
    expect(shown.requests.nth(2).locator(".fault")).to_have_text("drop-after")


def test_requests_can_be_filtered(shown: Shown, api: Api) -> None:
    """The filter looks at everything, bodies included, and says how many match."""
    api.ask("POST /customer-billing/refill", REFILL)
    api.ask(GET_METER)
    expect(shown.requests).to_have_count(2)
    box = shown.page.get_by_role("searchbox", name="Filter requests")
    for text, count in {
        "REFILLB": 1,
        '"refill":500': 1,
        "customer-billing": 2,
        "no change": 1,
    }.items():
        box.fill(text)
        expect(shown.requests).to_have_count(count)
        expect(shown.section("Requests")).to_contain_text(f"{count} of 2 match")
    box.fill("nothing such")
    expect(shown.section("Requests")).to_contain_text("No request matches the filter.")
    box.fill("")
    expect(shown.requests).to_have_count(2)


def test_the_requests_can_be_paused(shown: Shown, api: Api) -> None:
    """While it is paused, the list stays as it is and counts what has come."""
    api.ask(GET_METER)
    expect(shown.requests).to_have_count(1)
    shown.button("Pause").click()
    api.ask(GET_METER)
    api.ask(GET_METER)
    expect(shown.button("Go on (2 new)")).to_have_attribute("aria-pressed", "true")
    expect(shown.requests).to_have_count(1)
    shown.button("Go on").click()
    expect(shown.requests).to_have_count(3)


def test_updates_disturb_nothing(shown: Shown, api: Api) -> None:
    """What comes keeps the focus, the selection, the place and the open request of a reader."""
    for _ in range(40):
        api.ask(GET_METER)
    expect(shown.requests).to_have_count(40)
    summary = shown.requests.nth(25).locator("summary")
    summary.click()
    summary.focus()
    name = shown.meter("acme").locator(".name")
    name.evaluate("(name) => getSelection().selectAllChildren(name)")
    kept = """() => ({
        focus: document.activeElement.textContent,
        selection: String(getSelection()),
        open: document.querySelectorAll("details[open]").length,
        page: scrollY,
    })"""
    top = "document.activeElement.getBoundingClientRect().top"
    before, place_before = shown.evaluate(kept), shown.evaluate(top)
    assert before["selection"] == "acme"
    for _ in range(5):
        api.ask("POST /customer-billing/refill", REFILL)
    expect(shown.requests).to_have_count(45)
    expect(shown.meter("acme")).to_contain_text("3,500 left")
    assert shown.evaluate(kept) == before
    assert abs(shown.evaluate(top) - place_before) < 2  # browsers scroll by whole pixels


def test_what_comes_is_not_read_out(shown: Shown) -> None:
    """Only the connection, the last action and a refused token are live regions."""
    live = "[aria-live], [role=status], [role=alert], [role=log]"
    ids = shown.page.locator(live).evaluate_all("(all) => all.map((one) => one.id)")
    assert ids == ["connection", "refusal", "message"]


def hostile_meters() -> list[dict[str, Any]]:
    """Return meters with names that somebody else has chosen."""
    names = [SCRIPT, "x" * 1_000_000, "\u202eדרך abc", "</script><b>bold", "a\nb\tc", ""]
    return [{"workspace_id": name, "external_meter_id": name} for name in names]


def test_hostile_texts_are_only_shown(shown: Shown, api: Api) -> None:
    """Texts that look like HTML, are very long or run from right to left are only texts."""
    for meter in hostile_meters():
        shown.sandbox.create_meter(total_credits=5, **meter)
    scopes = [{**SCOPE, "representation": SCRIPT + "s" * 5000}] * 40
    api.new_key(name=SCRIPT * 50, customerId=SCRIPT, scopes=scopes)
    api.exchange(f"GET /{'y' * 5000}?{'z' * 5000}", headers={"x-note": SCRIPT})
    expect(shown.page.locator("#meters > li")).to_have_count(7)
    expect(shown.page.locator("#keys > tr")).to_have_count(1)
    expect(shown.requests).to_have_count(2)
    shown.requests.first.locator("summary").click()
    expect(shown.requests.first.locator("dl")).to_contain_text(SCRIPT)
    expect(shown.meter(SCRIPT).locator(".name")).to_have_text(SCRIPT)
    expect(shown.meter("(no name)")).to_have_count(1)
    expect(shown.section("Keys")).to_contain_text("and 32 more")
    assert shown.page.locator("main :is(img, script, b)").count() == 0
    heights = "(rows) => [...new Set(rows.map((row) => row.clientHeight))]"
    assert len(shown.page.locator("#meters > li").evaluate_all(heights)) == 1
    assert shown.page.title() == "Oneloop sandbox"
    assert shown.evaluate("document.documentElement.outerHTML.length") < 300_000
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_many_meters_and_requests_are_counted_and_bounded(shown: Shown) -> None:
    """Of 5,000 meters and 1,000 requests the page shows 200 each, and says how many there are."""
    sandbox = shown.sandbox
    for number in range(5000):
        sandbox.create_meter(workspace_id="ws_1", external_meter_id=f"m{number}")
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        for _ in range(1000):
            client.get_customer_billing(workspace_id="ws_1", external_meter_id="acme")
    expect(shown.section("Requests")).to_contain_text("1,000 · the 200 that came last")
    expect(shown.section("Meters")).to_contain_text("5,001 · the 200 that changed last")
    expect(shown.requests).to_have_count(200)
    expect(shown.page.locator("#meters > li")).to_have_count(200)
    assert shown.evaluate("document.querySelectorAll('*').length") < 12_000


def test_a_late_call_is_marked_when_it_has_happened(shown: Shown, api: Api) -> None:
    """A request that takes effect later changes on the page, in its place."""
    shown.sandbox.misbehave(Fault.late_apply(600, ending="504"))
    api.exchange("POST /customer-billing/refill", REFILL)
    api.ask(GET_METER)
    expect(shown.requests).to_have_count(2)
    effect = shown.requests.nth(1).locator(".effect")
    expect(effect).to_have_text("pending")
    shown.sandbox.apply_late()
    expect(effect).to_have_text("applied")
    expect(shown.requests).to_have_count(2)


def test_the_clock_of_the_machine_runs(shown: Shown) -> None:
    """The page shows the seconds as they pass."""
    clock = shown.page.locator("#now")
    first = clock.inner_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", first)
    expect(clock).not_to_have_text(first)


def test_a_stopped_clock_stands_still(browser: Browser) -> None:
    """The clock of a test that stands still does so on the page, too."""
    with Sandbox(clock=StoppedClock()) as sandbox, showing(browser, sandbox) as tab:
        tab.page.clock.install()
        tab.open()
        tab.page.clock.run_for(10_000)
        expect(tab.page.locator("#now")).to_have_text("2026-01-31 23:59:00 UTC")
