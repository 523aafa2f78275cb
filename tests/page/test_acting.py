"""What people do on the page happens in the sandbox."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from oneloop import Oneloop, OneloopError, Outcome, RetryPolicy
from oneloop.sandbox import Fault, Sandbox
from tests.page.browsing import Shown, showing
from tests.sandbox.calls import Api

NAMES = {"workspace_id": "ws_1", "external_meter_id": "acme"}


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Oneloop]:
    """Return a client that tries each call once."""
    retry = RetryPolicy(attempts=1)
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, retry=retry) as made:
        yield made


def fault_of_last_call(sandbox: Sandbox) -> str | None:
    """Return which fault the last call took."""
    return sandbox.requests[-1].fault


def test_a_fault_that_is_clicked_meets_the_next_call(shown: Shown, client: Oneloop) -> None:
    """A click queues the fault; the next call takes it, and the page then shows an empty queue."""
    shown.button("drop-after").click()
    expect(shown.message).to_have_text("Queued drop-after for any operation.")
    expect(shown.page.locator("#queue")).to_contain_text("drop-after · any operation · next 1")
    with pytest.raises(OneloopError) as caught:
        client.refill_billing_limit(**NAMES, refill=500)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert shown.sandbox.meter(**NAMES).total_credits == 1500
    expect(shown.page.locator("#queue > li")).to_have_count(0)
    expect(shown.requests.first.locator(".fault")).to_have_text("drop-after")
    expect(shown.requests.first).to_contain_text("applied")


def test_a_fault_is_aimed_at_an_operation(shown: Shown, client: Oneloop) -> None:
    """A fault for two calls of one operation is left in the queue by other calls."""
    shown.page.get_by_label("Taken by").select_option("calls of refillBillingLimit")
    shown.page.get_by_label("How many calls").fill("2")
    shown.button("503").click()
    expect(shown.page.locator("#queue")).to_contain_text("503 · refillBillingLimit · next 2")
    client.get_customer_billing(**NAMES)
    assert fault_of_last_call(shown.sandbox) is None
    for _ in range(2):
        with pytest.raises(OneloopError):
            client.refill_billing_limit(**NAMES, refill=1)
    client.refill_billing_limit(**NAMES, refill=1)


def test_a_fault_comes_at_a_rate(shown: Shown, client: Oneloop) -> None:
    """A rate and a seed are those of the sandbox; without a seed, it draws one."""
    shown.page.get_by_label("at random").check()
    shown.page.get_by_label("Rate in percent").fill("12.5")
    shown.page.get_by_label("seed").fill("7")
    shown.button("500").click()
    expect(shown.page.locator("#queue")).to_contain_text("500 · 12.5 % of any operation · seed 7")
    (queued,) = shown.sandbox.queued_faults
    assert (queued.rate, queued.seed, queued.times) == (0.125, 7, None)
    shown.page.get_by_label("seed").fill("")
    shown.button("503").click()
    expect(shown.page.locator("#queue > li")).to_have_count(2)
    assert shown.sandbox.queued_faults[1].seed is not None


def test_only_the_settings_that_apply_can_be_edited(shown: Shown) -> None:
    """A rate cannot be combined with a number of calls; a wrong number queues nothing."""
    expect(shown.page.get_by_label("Rate in percent")).to_be_disabled()
    shown.page.get_by_label("How many calls").fill("10001")
    shown.button("500").click()
    assert shown.sandbox.queued_faults == ()
    shown.page.get_by_label("at random").check()
    expect(shown.page.get_by_label("How many calls")).to_be_disabled()
    shown.button("500").click()
    expect(shown.page.locator("#queue > li")).to_have_count(1)


def test_enter_in_a_setting_queues_nothing(shown: Shown) -> None:
    """Enter in a field of the settings is not a click on the first fault."""
    shown.page.get_by_label("How many calls").press("Enter")
    shown.page.wait_for_timeout(200)
    assert shown.sandbox.queued_faults == ()


def test_every_fault_has_a_button_that_says_what_it_does(shown: Shown) -> None:
    """There is one button for each fault with a name; code in its words is marked as code."""
    buttons = shown.section("Faults").locator(".fault-button .name")
    assert sorted(buttons.all_inner_texts()) == list(Fault.names())
    expect(shown.button("429-ms")).to_have_text("429-ms 429 with Retry-After-Ms: 1000")
    expect(shown.button("429-ms").locator("code")).to_have_text("Retry-After-Ms: 1000")


def test_any_status_can_be_queued(shown: Shown, client: Oneloop) -> None:
    """The field takes statuses that have no button."""
    shown.page.get_by_label("Any other status").fill("418")
    shown.page.get_by_label("Any other status").press("Enter")
    expect(shown.page.locator("#queue")).to_contain_text("418")
    with pytest.raises(OneloopError):
        client.get_workspace()
    assert fault_of_last_call(shown.sandbox) == "418"


def test_the_queue_can_be_cleared(shown: Shown) -> None:
    """Clear empties the queue; the button keeps the focus."""
    shown.sandbox.misbehave("500", "503", "hang", "raw", times=2)
    shown.sandbox.misbehave("429", rate=0.1, seed=3, times=5)
    queue = shown.page.locator("#queue")
    expect(queue).to_contain_text("500, then 503, then hang … · any operation · next 8")
    expect(queue).to_contain_text("429 · 10 % of any operation · at most 5 · seed 3")
    shown.button("Clear").press("Enter")
    expect(shown.page.locator("#queue > li")).to_have_count(0)
    expect(shown.message).to_have_text("Removed from the queue of faults: 13.")
    expect(shown.button("Clear")).to_be_focused()
    assert shown.sandbox.queued_faults == ()


def test_a_long_queue_is_cut(shown: Shown) -> None:
    """Of a long queue, the page shows the beginning and how much follows."""
    for _ in range(60):
        shown.sandbox.misbehave("500")
    expect(shown.page.locator("#queue > li")).to_have_count(51)
    expect(shown.page.locator("#queue > li").last).to_have_text("and 10 more")


def test_late_calls_happen_at_once(shown: Shown) -> None:
    """The page says how many calls wait, and lets them happen."""
    shown.sandbox.misbehave(Fault.late_apply(600, ending="504"), times=2)
    refill = {"workspaceId": "ws_1", "externalMeterId": "acme", "refill": 1}
    for number in ("1 call is still to happen.", "2 calls are still to happen."):
        Api(shown.sandbox).exchange("POST /customer-billing/refill", refill)
        expect(shown.section("Faults")).to_contain_text(number)
    assert shown.sandbox.meter(**NAMES).total_credits == 1000
    shown.button("Carry them out").click()
    expect(shown.message).to_have_text("Late calls that have happened now: 2.")
    expect(shown.section("Faults")).to_contain_text("No late call is waiting.")
    assert shown.sandbox.meter(**NAMES).total_credits == 1002


def test_late_calls_can_be_as_late_as_is_wanted(shown: Shown) -> None:
    """The field for seconds applies to faults that take seconds, and to no other."""
    shown.page.get_by_label("Seconds", exact=True).fill("600")
    shown.button("late-504").click()
    expect(shown.page.locator("#queue > li")).to_have_count(1)
    shown.button("drop-before").click()
    expect(shown.page.locator("#queue > li")).to_have_count(2)
    refill = {"workspaceId": "ws_1", "externalMeterId": "acme", "refill": 1}
    api = Api(shown.sandbox)
    assert api.exchange("POST /customer-billing/refill", refill).status == 504
    expect(shown.section("Faults")).to_contain_text("1 call is still to happen.")
    shown.page.wait_for_timeout(1200)  # the usual delay is over
    assert shown.sandbox.requests[0].pending


def test_the_clock_is_moved(shown: Shown) -> None:
    """Each button and the field move the clock of the sandbox; the page says how far in all."""
    clock = shown.section("Clock")
    expect(clock).to_contain_text("not moved")
    for name, moved in {
        "+1 minute": "1 min",
        "+1 hour": "1 h 1 min",
        "+1 day": "1 d 1 h 1 min",
    }.items():
        shown.button(name).click()
        expect(clock.locator("#ahead")).to_have_text(f"moved ahead by {moved}")
    shown.page.get_by_label("Seconds forward").fill("5")
    shown.page.get_by_label("Seconds forward").press("Enter")
    expect(clock.locator("#ahead")).to_have_text("moved ahead by 1 d 1 h 1 min 5 s")
    expect(shown.message).to_have_text("The clock was moved by 5 s.")


def test_a_key_expires_when_the_clock_is_moved(shown: Shown, sandbox: Sandbox) -> None:
    """A key on the page expires as soon as the clock has passed its expiry."""
    Api(sandbox).set_defaults(defaultExpiration=60)
    Api(sandbox).new_key(name="soon")
    row = shown.page.locator("#keys > tr")
    expect(row).to_contain_text("active")
    shown.button("+1 hour").click()
    expect(row).to_contain_text("expired")


def test_a_refusal_is_shown(shown: Shown) -> None:
    """What the sandbox refuses is said in its own words."""
    shown.page.get_by_label("Seconds forward").fill("99999999999")
    shown.button("Move").click()
    expect(shown.message).to_contain_text("seconds must be from 0 to 10000000000 in all")
    expect(shown.message).to_have_class("message error")
    (logged,) = shown.mistakes  # the browser logs answers like this one by itself
    assert "400 (Bad Request)" in logged
    shown.mistakes.clear()


def test_reset_asks_first(shown: Shown, client: Oneloop) -> None:
    """Reset happens only if it is confirmed, not after Escape or the other button."""
    client.refill_billing_limit(**NAMES, refill=500)
    expect(shown.requests).to_have_count(1)
    dialog = shown.page.get_by_role("dialog", name="Reset everything?")
    shown.button("Reset …").click()
    expect(dialog.get_by_role("button", name="Keep everything")).to_be_focused()
    shown.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    shown.button("Reset …").click()
    dialog.get_by_role("button", name="Keep everything").click()
    expect(dialog).to_be_hidden()
    assert len(shown.sandbox.requests) == 1
    shown.button("Reset …").click()
    dialog.get_by_role("button", name="Reset", exact=True).click()
    expect(shown.message).to_have_text("Everything was reset.")
    expect(shown.requests).to_have_count(0)
    expect(shown.meter("acme")).to_contain_text("1,000 left")
    client.refill_billing_limit(**NAMES, refill=5)
    expect(shown.requests).to_have_count(1)
    expect(shown.meter("acme")).to_contain_text("1,005 left")


def test_the_keyboard_is_enough(shown: Shown, client: Oneloop) -> None:
    """From the top of the page, Tab and Enter lead past the skip link to a fault."""
    press = shown.page.keyboard.press
    press("Tab")
    expect(shown.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    press("Enter")
    expect(shown.page.get_by_role("main")).to_be_focused()
    focused = "document.activeElement.querySelector('.name')?.textContent"
    for _ in range(40):
        press("Tab")
        assert shown.evaluate("document.activeElement.matches(':focus-visible')")
        if shown.evaluate(focused) == "drop-before":
            break
    press("Enter")
    expect(shown.page.locator("#queue")).to_contain_text("drop-before")
    with pytest.raises(OneloopError):
        client.get_workspace()
    assert fault_of_last_call(shown.sandbox) == "drop-before"


def test_the_keyboard_opens_a_request(shown: Shown, client: Oneloop) -> None:
    """Enter opens a request, and Space closes it."""
    client.get_workspace()
    summary = shown.requests.first.locator("summary")
    summary.press("Enter")
    expect(shown.requests.first.locator(".detail")).to_be_visible()
    summary.press("Space")
    expect(shown.requests.first.locator(".detail")).to_be_hidden()


# ---- The token and the connection


def test_the_token_leaves_the_address(browser: Browser) -> None:
    """The token is taken from the address, is not left there, and outlasts a reload."""
    with Sandbox(api_key="it's100%") as sandbox, showing(browser, sandbox) as tab:
        tab.open("#it's100%25")
        assert tab.page.url == f"{sandbox.url}/"
        tab.page.reload()
        tab.button("drop-after").wait_for()
        assert tab.mistakes == []


def test_a_wrong_token_asks_for_the_right_one(browser: Browser) -> None:
    """Without the right token the page shows nothing but a field for it."""
    with Sandbox(api_key="other") as sandbox, showing(browser, sandbox) as tab:
        tab.open(connected=False)
        field = tab.page.get_by_role("textbox", name="Token")
        expect(field).to_be_focused()
        expect(tab.page.get_by_role("alert")).to_contain_text("refused the token: Unauthorized.")
        expect(tab.page.locator("#panels")).to_be_hidden()
        field.fill("ключ")
        field.press("Enter")
        expect(tab.page.get_by_role("alert")).to_contain_text("visible ASCII characters")
        field.fill("other")
        field.press("Enter")
        expect(tab.meter("acme")).to_contain_text("1,000 left")
        expect(field).to_be_hidden()
        expect(tab.page.get_by_role("main")).to_be_focused()


def test_a_token_without_rights_is_refused_too(browser: Browser, sandbox: Sandbox) -> None:
    """The restricted token may not see the page's data."""
    with showing(browser, sandbox) as tab:
        tab.open(f"#{sandbox.restricted_api_key}", connected=False)
        expect(tab.page.get_by_role("alert")).to_contain_text("refused the token: Forbidden.")


def test_a_malformed_token_in_the_address_is_taken_as_it_is(browser: Browser) -> None:
    """A percent sign that encodes nothing is part of the token."""
    with Sandbox(api_key="100%") as sandbox, showing(browser, sandbox) as tab:
        tab.open("#100%")
        expect(tab.meter("acme")).to_contain_text("1,000 left")


def test_an_address_with_another_token_is_opened_anew(browser: Browser, sandbox: Sandbox) -> None:
    """A token that is put into the address of the open page replaces the one in use."""
    with showing(browser, sandbox) as tab:
        tab.open("#wrong", connected=False)
        tab.page.get_by_role("alert").wait_for()
        tab.page.goto(f"{sandbox.url}/#{sandbox.api_key}")
        expect(tab.meter("acme")).to_contain_text("1,000 left")


def test_a_link_within_the_page_is_no_token(shown: Shown) -> None:
    """The links to parts of the page keep it connected, also after a reload."""
    shown.page.get_by_role("link", name="Faults").click()
    shown.page.reload()
    shown.button("drop-after").wait_for()
    assert shown.page.url.endswith("#part-faults")


@pytest.mark.parametrize("calls", [0, 1])
def test_the_page_connects_again(browser: Browser, calls: int) -> None:
    """A sandbox that stops is reported as lost; another one that follows replaces all of it."""
    first = Sandbox()
    first.start()
    second = Sandbox(port=int(first.url.rpartition(":")[2]))
    try:
        with showing(browser, first) as tab:
            tab.open()
            for _ in range(2):
                Api(first).ask("GET /workspace")
            expect(tab.requests).to_have_count(2)
            tab.page.route("**/_sandbox/events", lambda route: route.abort())
            first.stop()
            expect(tab.page.get_by_text("Connection lost, trying again …")).to_be_visible()
            expect(tab.meter("acme")).to_contain_text("1,000 left")
            tab.button("drop-after").click()
            expect(tab.message).to_have_text("The sandbox cannot be reached.")
            second.start()
            for _ in range(calls):
                Api(second).ask("GET /workspace")
            tab.page.unroute("**/_sandbox/events")
            expect(tab.page.get_by_text("Connected", exact=True)).to_be_visible(timeout=6000)
            expect(tab.requests).to_have_count(calls)
            second.create_meter(workspace_id="ws_1", external_meter_id="new")
            expect(tab.meter("new")).to_contain_text("0 left")
            assert [one for one in tab.mistakes if "ERR_" not in one] == []
    finally:
        first.stop()
        second.stop()
