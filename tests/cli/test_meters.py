"""`oneloop meter show`."""

import json
from typing import Any

import pytest

from oneloop import Oneloop
from oneloop.sandbox import Sandbox
from tests.cli.conftest import Run, answering
from tests.cli.terminal import plain, shown

SHOW = ("meter", "show", "-w", "ws_1", "-m", "acme")
METER = {
    "id": "cbm_1",
    "totalCredits": "12345",
    "usedCredits": "6000",
    "allowOverages": False,
    "spendCap": None,
    "createdAt": "2026-11-27T12:00:00.000Z",
    "updatedAt": "2026-11-27T12:30:00.000Z",
}
SHOWN = """\
meter    acme in ws_1
used     6,000 of 12,345 credits
left     6,345
cap      no overages are allowed
updated  2026-11-27 12:30:00 UTC
████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░ 48 % used"""


def test_a_meter_is_shown(settings: dict[str, str], sandbox: Sandbox) -> None:
    """The same in a terminal, in colours, and in a pipe, without them."""
    for _ in range(3):
        sandbox.misbehave(answering({"billing": METER}))
    coloured = shown(*SHOW, env=settings)
    assert (coloured.code, coloured.text) == (0, SHOWN)
    assert coloured.colours["green"] == {"█" * 24}
    assert coloured.bold == {"meter", "used", "left", "cap", "updated"}
    assert shown(*SHOW, env={**settings, "NO_COLOR": "1"}).raw.decode() == SHOWN.replace(
        "\n", "\r\n"
    ) + "\r\n"  # fmt: skip
    assert plain(*SHOW, env=settings) == (0, f"{SHOWN}\n", "")


@pytest.mark.parametrize(
    ("meter", "left", "cap", "colours"),
    [
        ({"usedCredits": "10000"}, "2,345", "no overages are allowed", {"yellow"}),
        ({"usedCredits": "12345"}, "0", "no overages are allowed", {"red"}),
        (
            {"usedCredits": "13000", "allowOverages": True},
            "0 (655 over)",
            "overages are allowed, without a cap",
            {"red"},
        ),
        (
            {"usedCredits": "13000", "allowOverages": True, "spendCap": "20000"},
            "0 (655 over)",
            "overages are allowed, up to 20,000 used credits",
            {"red"},
        ),
        (
            {"usedCredits": "0", "totalCredits": "1", "allowOverages": True, "spendCap": "1"},
            "1",
            "overages are allowed, up to 1 used credit",
            set(),
        ),
        ({"usedCredits": "0", "totalCredits": "0"}, "0", "no overages are allowed", set()),
        ({"usedCredits": "1", "totalCredits": str(10**40)}, f"{10**40 - 1:,}", "", {"green"}),
    ],
)
def test_what_is_left_and_the_cap(
    meter: dict[str, Any],
    left: str,
    cap: str,
    colours: set[str],
    settings: dict[str, str],
    sandbox: Sandbox,
) -> None:
    """The colour of the bar says how much is left, and whatever was used is seen in it."""
    sandbox.misbehave(answering({"billing": {**METER, **meter}}))
    done = shown(*SHOW, env=settings, columns=100)
    assert f"left     {left}\n" in done.text
    assert f"cap      {cap}" in done.text
    assert " 1 credits" not in done.text
    assert set(done.colours) - {"default"} == colours
    assert ("█" in done.text) == bool(colours)


def test_numbers_of_any_size_are_shown(run: Run, sandbox: Sandbox) -> None:
    """A part that is used can have more digits than Python writes."""
    nines = "9" * 4300
    sandbox.misbehave(answering({"billing": {**METER, "totalCredits": "1", "usedCredits": nines}}))
    done = run(*SHOW)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(f" {hex(int(nines) * 100)} % used\n")


def test_the_bar_fits_a_narrow_terminal(settings: dict[str, str]) -> None:
    """It is as long as the terminal allows, and of ASCII where there are no blocks."""
    done = shown(*SHOW, env=settings, columns=40)
    assert max(map(len, done.text.split("\n"))) <= 40
    bare = plain(*SHOW, env={**settings, "PYTHONIOENCODING": "ascii"})
    assert bare.out.split("\n")[-2] == "." * 50 + " 0 % used"


def test_json_is_the_answer_of_the_api(run: Run, sandbox: Sandbox) -> None:
    """`--json` prints what `get-customer-billing --json` prints."""
    out = run(*SHOW, "--json").out
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        answer = client.get_customer_billing(workspace_id="ws_1", external_meter_id="acme")
    assert json.loads(out) == answer.to_dict()
    assert run("get-customer-billing", "--workspace-id", "ws_1", "--external-meter-id", "acme",
               "--json").out == out  # fmt: skip


def test_a_meter_that_does_not_exist_is_an_error(run: Run) -> None:
    """Exit code 3, nothing on the standard output."""
    for option in ([], ["--json"]):
        done = run("meter", "show", "-w", "ws_1", "-m", "no\x1b[1m", *option)
        assert done == (
            3, "", "oneloop: there is no meter 'no\\x1b[1m' in the workspace 'ws_1'\n"
        )  # fmt: skip


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_date_that_utc_does_not_have_is_shown_as_it_came(
    date: str, run: Run, sandbox: Sandbox
) -> None:
    """A server can say what it likes, and a command still shows the rest."""
    answer = answering({"billing": {**METER, "updatedAt": date}})
    sandbox.misbehave(answer)
    shown_ = run(*SHOW)
    assert (shown_.code, shown_.err) == (0, "")
    assert f"updated  {date}\n" in shown_.out
    sandbox.misbehave(answer)
    meter = ("--workspace-id", "ws_1", "--external-meter-id", "acme")
    shown_ = run("get-customer-billing", *meter)
    assert (shown_.code, shown_.err) == (0, "")
    assert f"updated at      {date}\n" in shown_.out
    sandbox.misbehave(answering({**METER, "updatedAt": date}, applies=True),
                      operation="refill_billing_limit")  # fmt: skip
    assert run("refill-billing-limit", *meter, "--refill", "5").code == 0


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("meter", "show", "-w", "", "-m", "acme"), "--workspace-id"),
        (("meter", "show", "-w", "ws_1", "-m", " "), "--external-meter-id"),
        (("keys", "list", "-w", ""), "--workspace-id"),
        (("keys", "rotate", "", "-w", "ws_1", "--yes"), "KEY_ID"),
        (("usage", "--billing-id", ""), "--billing-id"),
        (("usage", "-w", "ws_1", "-m", "acme", "--svg", ""), "--svg"),
    ],
)
def test_an_option_that_is_empty_is_an_error(
    command: tuple[str, ...], option: str, run: Run, sandbox: Sandbox
) -> None:
    """So is a variable of a shell that is not set; nothing is sent."""
    code, out, err = run(*command)
    assert (code, out) == (2, "")
    assert err.startswith(f"oneloop: Invalid value for '{option}'")
    assert ": it must not be empty (see oneloop " in err
    assert sandbox.requests == ()
