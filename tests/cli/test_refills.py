"""`oneloop refill`: one refill, or a file of them, each exactly once."""

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from oneloop.cli._app import main
from oneloop.cli._plans import Plan
from oneloop.ledger import Ledger, State
from oneloop.sandbox import ReceivedRequest, Sandbox
from tests.cli.terminal import PATIENCE, Output, Terminal, environment, plain
from tests.sandbox.refills import wait_for

HEADER = "id,workspace_id,external_meter_id,refill\n"
COMMAND = ("refill", "--from", "refills.csv")
ONE = ("--id", "pay_1", "--workspace-id", "ws_1", "--external-meter-id", "acme")


@frozen
class Office:
    """A folder with a file of refills, a sandbox with their meters, and the command line."""

    folder: Path
    sandbox: Sandbox
    capsys: pytest.CaptureFixture[str]

    @property
    def env(self) -> dict[str, str]:
        """What the command finds in its environment."""
        return {
            "ONELOOP_BASE_URL": self.sandbox.url,
            "ONELOOP_SDK_KEY": self.sandbox.api_key,
            "ONELOOP_LEDGER": "refills.db",
        }

    @property
    def host(self) -> str:
        """The host and port of the sandbox."""
        return self.sandbox.url.removeprefix("http://")

    def write(self, rows: int, *, workspaces: int = 1, more: str = "") -> None:
        """Write a file of refills, each of a meter of its own, and make the meters."""
        lines = []
        for number in range(1, rows + 1):
            place = {
                "workspace_id": f"ws_{number % workspaces + 1}",
                "external_meter_id": f"customer-{number}",
            }
            self.sandbox.create_meter(**place)
            lines.append(f"pay_{number},{','.join(place.values())},{number}\n")
        self.file.write_text(HEADER + "".join(lines) + more, "utf-8")

    @property
    def file(self) -> Path:
        """The file of refills."""
        return self.folder / "refills.csv"

    @property
    def ledger(self) -> Path:
        """The ledger, which is there from the start."""
        return self.folder / "refills.db"

    def run(self, *arguments: str) -> Output:
        """Run a command in this process, without a terminal."""
        code = main(arguments)
        return Output(code, *self.capsys.readouterr())

    def terminal(self, *arguments: str, **options: Any) -> Terminal:
        """Run a command in a terminal."""
        env = {**self.env, **options.pop("env", {})}
        return Terminal(*arguments, env=env, cwd=self.folder, **options)

    def total(self, name: str, workspace: str = "ws_1") -> int:
        """Return the credits that a meter has got."""
        meter = self.sandbox.meter(workspace_id=workspace, external_meter_id=name)
        return meter.total_credits

    def refills(self) -> int:
        """Return how many refills the sandbox was asked for."""
        return sum(one.operation == "refillBillingLimit" for one in self.sandbox.requests)


@pytest.fixture
def office(
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Office:
    """Return an office whose folder is the current one, with a new ledger."""
    made = Office(tmp_path, sandbox, capsys)
    with Ledger(made.ledger) as ledger:
        ledger.create()
    monkeypatch.chdir(tmp_path)
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    return made


def exact(text: str, office: Office) -> str:
    """Return an output without what differs from run to run."""
    text = text.replace(office.host, "HOST")
    text = re.sub(r"(?<=edger: )/[\s\S]*?refills\.db\b", "LEDGER", text)
    return re.sub(r"in [0-9.]+ s", "in T s", text)


def wait_for_question(terminal: Terminal, text: str) -> None:
    """Wait until a question was asked, which may take several lines of the terminal."""
    end = time.monotonic() + PATIENCE
    while f"{text} [y/N]: ".encode() not in terminal.raw:
        assert time.monotonic() < end, terminal.text
        terminal.read(0.05)


def answer(terminal: Terminal, text: str) -> None:
    """Answer a question, once it has been asked with the space after it."""
    wait_for_question(terminal, "?")
    terminal.type(f"{text}\n")


PLAN = """\
refills.csv: 4 refills, 15 credits
ledger: LEDGER

workspace  refills  credits
ws_1             3       13
ws_2             1        2

in the ledger  refills  credits  what happens
new                  4       15  is sent

"""
DONE = """\
state     refills  credits
applied         3        6
rejected        1        9
all             4       15

4 refills in T s

id     state     why
pay_x  rejected  there is no meter 'nobody' in 'ws_1'; nothing was sent

rejected: correct what the API objects to, then run the same command again with --retry-rejected
"""


def test_a_file_is_refilled_without_a_terminal(office: Office) -> None:
    """What would be refilled is shown, and what came of it; the exit code tells the worst."""
    office.write(2, workspaces=1, more="pay_x,ws_1,nobody,9\n")
    office.sandbox.create_meter(workspace_id="ws_2", external_meter_id="customer-3")
    with office.file.open("a") as file:
        file.write("pay_3,ws_2,customer-3,2\n")
    done = plain(*COMMAND, "--yes", env=office.env, cwd=office.folder)
    plan = PLAN.replace("4       15", "4       14").replace("15 cr", "14 cr")
    plan = plan.replace("3       13", "3       12")
    summary = DONE.replace("15\n", "14\n").replace("3        6", "3        5")
    assert exact(done.out, office) == plan + summary
    assert (done.code, done.err) == (3, "")
    assert [office.total(f"customer-{number}") for number in (1, 2)] == [1, 2]


SCREEN = """\
refills.csv: 4 refills, 15 credits
ledger: LEDGER; there is none yet

 workspace   refills   credits
 ─────────────────────────────
 ws_1              2        11
 ws_2              2         4

 in the ledger   refills   credits   what happens
 ────────────────────────────────────────────────
 new                   4        15   is sent

New ledger: LEDGER
Send 4 refills of 15 credits to HOST? [y/N]: y
━━ 4/4 N/s T 3 applied, 1 rejected

 state      refills   credits
 ────────────────────────────
 applied          3         6
 rejected         1         9
 all              4        15

4 refills in T s

 id      state      why
 ────────────────────────────────────────────────────────────────
 pay_x   rejected   there is no meter 'nobody' in 'ws_1'; nothing
                    was sent

rejected: correct what the API objects to, then run the same comma
nd again with --retry-rejected"""


@pytest.mark.parametrize("colour", [True, False])
def test_a_file_is_refilled_in_a_terminal(office: Office, *, colour: bool) -> None:
    """A person is asked, sees a bar and a table, in colours unless they want none."""
    office.write(3, workspaces=2, more="pay_x,ws_1,nobody,9\n")
    office.ledger.unlink()
    env = {} if colour else {"NO_COLOR": "1"}
    with office.terminal(*COMMAND, columns=66, env=env) as terminal:
        answer(terminal, "y")
        done = terminal.finish()
    text = exact(done.text, office)
    text = re.sub(r"(?<=\bLEDGER); [\s\S]*? yet\b", "; there is none yet", text)
    text = re.sub(r"━+ 4/4 [0-9,]+/s [0-9:-]+ ", "━━ 4/4 N/s T ", text)
    assert text == SCREEN
    assert done.code == 3
    if colour:
        assert {"applied"} <= done.colours["green"]
        assert {"rejected"} <= done.colours["red"]
    else:
        assert set(done.colours) == {"default"}


def test_the_summary_is_json(office: Office) -> None:
    """The standard output is one document with exact numbers, and nothing else."""
    office.write(3, more="pay_x,ws_1,nobody,9007199254740991\n")
    done = office.run(*COMMAND, "--yes", "--json")
    assert (done.code, done.err) == (3, "")
    document = json.loads(done.out)
    zeros = dict.fromkeys(State, 0)
    elapsed = document.pop("elapsed")
    assert 0 < elapsed < 60
    unfinished = document.pop("unfinished")
    (rejected,) = unfinished.pop("first")
    assert unfinished == {"total": 1}
    assert (rejected["id"], rejected["state"]) == ("pay_x", "rejected")
    assert document == {
        "total": 4,
        "credits": 9007199254740997,
        "counts": {**zeros, "applied": 3, "rejected": 1},
        "amounts": {**zeros, "applied": 6, "rejected": 9007199254740991},
        "already": 0,
        "problem": None,
        "database": str(office.folder / "refills.db"),
    }


def test_the_same_command_again_sends_nothing(office: Office) -> None:
    """What was applied stays, nobody is asked, and the ledger's words are in the plan."""
    office.write(3)
    assert office.run(*COMMAND, "--yes").code == 0
    again = office.run(*COMMAND)
    assert again.code == 0
    assert "applied              3        6  stays\n" in again.out
    assert "3 refills in" in again.out
    assert "3 had been applied before" in again.out
    assert office.refills() == 3


def test_a_dry_run_sends_nothing(office: Office) -> None:
    """It shows what would be refilled, needs no key, and makes no ledger."""
    office.write(25, workspaces=25)
    office.ledger.unlink()
    done = plain(*COMMAND, "--dry-run", env=office.env | {"ONELOOP_SDK_KEY": ""}, cwd=office.folder)
    assert (done.code, done.err) == (0, "")
    assert "ws_7             1        6\n5 more           5       15\n" in done.out
    assert done.out.endswith("new                 25      325  is sent\n\n")
    assert not (office.folder / "refills.db").exists()
    document = json.loads(office.run(*COMMAND, "--dry-run", "--json").out)
    assert len(document["workspaces"]) == 25
    assert document["workspaces"]["ws_1"] == {"refills": 1, "credits": 25}
    assert document["other_workspaces"] is None
    assert document["ledger"] == {"new": {"refills": 25, "credits": 325}}
    assert (document["file"], document["refills"], document["credits"]) == ("refills.csv", 25, 325)
    database = str(office.folder / "refills.db")
    assert (document["database"], document["is_new_ledger"]) == (database, True)
    assert office.sandbox.requests == ()


def test_too_many_workspaces_are_one_row(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what memory should cost, workspaces are only added up."""
    monkeypatch.setattr("oneloop.cli._rows.MAX_WORKSPACES", 2)
    office.write(6, workspaces=6)
    done = office.run(*COMMAND, "--dry-run")
    assert (
        "ws_3              1        2\nws_2              1        1\nall others        4       18\n"
    ) in done.out
    document = json.loads(office.run(*COMMAND, "--dry-run", "--json").out)
    assert document["other_workspaces"] == {"refills": 4, "credits": 18}


def test_a_file_without_rows_is_nothing_to_do(office: Office) -> None:
    """That is no error, as a day without payments is none."""
    office.write(0)
    done = office.run(*COMMAND)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("refills.csv: 0 refills, 0 credits\n")
    with office.terminal(*COMMAND) as terminal:
        assert terminal.finish().text.startswith("refills.csv: 0 refills, 0 credits\n")


def test_mistakes_are_shown_by_line_and_column(office: Office) -> None:
    """Nothing is sent while there is one, and each says what to do."""
    office.write(2, more="pay_1,ws_1,acme,1.5\n")
    done = office.run(*COMMAND, "--yes", "--json")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "refills.csv: line 4, column refill: '1.5' is not a whole number; write it with the digits "
        "0 to 9 alone, such as 1000\n"
        "oneloop: refills.csv has 1 mistake; nothing was sent\n"
    )
    assert office.sandbox.requests == ()


def test_the_first_mistakes_are_shown(office: Office) -> None:
    """A file of many has 20 that are shown, and says how many there are."""
    office.write(0, more="pay_1,ws_1,acme,x\n" * 1234)
    done = office.run(*COMMAND, "--dry-run")
    *shown_, last = done.err.splitlines()
    assert len(shown_) == 20
    assert last == (
        "oneloop: refills.csv has 1,234 mistakes, of which the first 20 are shown; nothing was sent"
    )


def test_columns_can_be_ignored(office: Office) -> None:
    """A file with columns of other programs is refused unless they are named."""
    office.file.write_text("id,workspace_id,external_meter_id,refill,note\npay_1,ws_1,acme,5,x\n")
    assert "pass --ignore-column note" in office.run(*COMMAND, "--yes").err
    assert office.run(*COMMAND, "--yes", "--ignore-column", "note").code == 0
    assert office.total("acme") == 1005


def test_where_nobody_can_be_asked_yes_is_needed(office: Office) -> None:
    """The plan is shown, and the error says what to pass."""
    office.write(1)
    done = office.run(*COMMAND)
    assert (done.code, office.refills()) == (2, 0)
    assert "new                  1        1  is sent" in done.out
    assert done.err == (
        "oneloop: there is no terminal to ask on: pass --yes to refill, or --dry-run to see what "
        "would be done\n"
    )


def test_no_is_an_answer(office: Office) -> None:
    """Nothing is sent, no ledger is made, and the exit code says so."""
    office.write(1)
    office.ledger.unlink()
    with office.terminal(*COMMAND) as terminal:
        wait_for_question(
            terminal,
            f"New ledger: {office.ledger}\r\nSend 1 refill of 1 credit to {office.host}?",
        )
        answer(terminal, "n")
        done = terminal.finish()
    assert (done.code, office.refills()) == (5, 0)
    assert done.text.endswith("\noneloop: nothing was sent")
    assert not office.ledger.exists()


def test_a_file_that_changes_after_the_check_is_refused(office: Office) -> None:
    """What was answered was about the file as it was."""
    office.write(1)
    with office.terminal(*COMMAND) as terminal:
        wait_for_question(terminal, "?")
        office.file.write_text(office.file.read_text().replace(",1\n", ",1000000\n"))
        answer(terminal, "y")
        done = terminal.finish()
    assert (done.code, office.refills()) == (2, 0)
    assert "--from: refills.csv was changed after it had been checked" in done.text


@pytest.mark.parametrize("amount", [1, 2])
def test_a_ledger_that_changes_while_the_question_is_read(office: Office, amount: int) -> None:
    """What was answered was about the ledger as it was: an older one would send more."""
    office.write(2)
    older = office.ledger.read_bytes()
    text = office.file.read_text()
    office.file.write_text(text.replace(f"pay_{3 - amount},", "x,"))
    assert office.run(*COMMAND, "--yes").code == 0
    office.file.write_text(text)
    with office.terminal(*COMMAND) as terminal:
        credits_ = {1: "2 credits", 2: "1 credit"}[amount]
        wait_for_question(terminal, f"Send 1 refill of {credits_} to {office.host}?")
        office.ledger.write_bytes(older)
        answer(terminal, "y")
        done = terminal.finish()
    assert (done.code, office.refills()) == (2, 2)
    assert "the ledger has changed since it was shown, so that more would be sent" in " ".join(
        done.text.split()
    )


def test_fewer_refills_of_more_credits_are_more() -> None:
    """Neither number may be larger than what a person has agreed to."""
    agreed = Plan({"new": (2, 3), "applied": (1, 9)}, "refills.db", is_new=False)
    for now, exceeds in (((2, 3), False), ((1, 3), False), ((1, 9), True), ((3, 3), True)):
        assert Plan({"new": now}, "refills.db", is_new=False).exceeds(agreed, False) is exceeds


def test_a_refill_behind_a_decision_is_shown_with_it(office: Office) -> None:
    """`oneloop ledger show` says what to do first, as `oneloop refill` does."""
    office.sandbox.misbehave("drop-after", operation="refill_billing_limit")
    first = ("refill", *ONE, "--refill", "5", "--quiet", "0", "--other-writers")
    for _ in range(3):
        assert office.run(*first).code == 4
    assert office.run("refill", "--id", "pay_2", *ONE[2:], "--refill", "7").code == 5
    shown = office.run("ledger", "show", "pay_2").out
    assert "What to do: first the refill 'pay_1' of the same meter needs a decision: " in shown
    assert shown.endswith(
        "--note TEXT; then run: oneloop refill --ledger refills.db --id pay_2 --workspace-id ws_1 "
        "--external-meter-id acme --refill 7\n"
    )


def test_standard_input_is_a_file_too(office: Office) -> None:
    """It is checked as a whole, and leaves no terminal to ask on."""
    office.write(2)
    text = office.file.read_text()
    command = ("refill", "--from", "-", "--ledger", "refills.db")
    refused = plain(*command, typed=text, env=office.env, cwd=office.folder)
    assert refused.code == 2
    assert refused.out.startswith("standard input: 2 refills, 3 credits\n")
    done = plain(*command, "--yes", typed=text, env=office.env, cwd=office.folder)
    assert (done.code, office.refills()) == (0, 2)
    wrong = plain(*command, "--yes", typed=text + "x", env=office.env, cwd=office.folder)
    assert "standard input: line 4: the row has 1 field, and the header 4" in wrong.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "no.csv"), "--from: no.csv: No such file or directory"),
        (("--from", "."), "--from: .: Is a directory"),
        ((*COMMAND[1:], *ONE[:2]), "--from and --id cannot be used together"),
        (
            ("--from", "-", "--key-file", "-"),
            "--from and --key-file cannot both be the standard input",
        ),
        (
            (),
            "name a file by --from, or one refill by --id, --workspace-id, --external-meter-id, "
            "--refill",
        ),
        (ONE[:2], "one refill needs --workspace-id, --external-meter-id, --refill too"),
        ((*ONE, "--refill", "5", "--dry-run"), "--dry-run needs a file: --from"),
        ((*ONE, "--refill", "0"), "--refill: the value must be greater than 0"),
        ((*ONE, "--refill", "x"), "--refill: 'x' is not a whole number; write it with the digits"),
        ((*ONE, "--refill", "1_0"), "--refill: '1_0' is not a whole number"),
        ((*ONE, "--refill", "9007199254740992"), "is more than the API takes, 9007199254740991"),
        ((*COMMAND[1:], "--yes", "--rate", "1e-300"), "--rate: must be "),
        ((*ONE[:1], "", *ONE[2:], "--refill", "5"), "--id: the value is empty"),
        ((*ONE[:1], "a\udce9", *ONE[2:], "--refill", "5"), "0xE9, which is not UTF-8\n"),
        ((*ONE[:1], "a\u202e", *ONE[2:], "--refill", "5"), "--id: the value contains the char"),
        ((*ONE[:3], "ws_1 ", *ONE[4:], "--refill", "5"), "--workspace-id: the value has a space"),
        ((*ONE[:5], "'=x", "--refill", "5"), "--external-meter-id: the value begins with an ap"),
        ((*ONE[:5], "x" * 256, "--refill", "5"), "--external-meter-id: the value has 256 char"),
        ((*COMMAND[1:], "--ignore-column", "workspaceId"), "the column workspaceId is needed"),
        ((*COMMAND[1:], "--yes", "--rate", "0"), "--rate: must be "),
        ((*COMMAND[1:], "--yes", "--rate", "nan"), "--rate: must be "),
        ((*COMMAND[1:], "--yes", "--workers", "0"), "0 is not in the range 1<=x<=1000"),
        (("--from", "no.csv", "--rate", "0"), "--rate: must be "),
        (("--from", "no.csv", "--workers", "100000"), "100000 is not in the range 1<=x<=1000"),
        (("--from", "no.csv", "--key-file", "no.txt"), "--key-file: no.txt: No such file"),
        (("--from", "no.csv", "--ledger", ""), "--ledger: must be a path"),
        (("--from", ""), "--from: name a file, or - for the standard input"),
        ((*ONE, "--refill", "5", "--workers", "8"), "--workers needs a file: --from"),
        ((*ONE, "--refill", "5", "--rate", "5"), "--rate needs a file: --from"),
        ((*ONE, "--refill", "5", "--ignore-column", "x"), "--ignore-column needs a file: --from"),
        ((*ONE, "--refill", "5", "--no-settle"), "--settle or --no-settle needs a file: --from"),
        ((*COMMAND[1:], "--yes", "--lease", "0"), "--lease: must be "),
        ((*COMMAND[1:], "--yes", "--ledger", "mysql://x/y"), "a ledger can be in SQLite or Post"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_named(
    office: Office, arguments: tuple[str, ...], message: str
) -> None:
    """Each error is one line that names the option or the file; nothing is sent."""
    office.write(1)
    done = office.run("refill", *arguments)
    assert (done.code, done.out if "--yes" not in arguments else "") == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert office.refills() == 0


def test_a_ledger_is_needed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, nothing could be made exactly once."""
    monkeypatch.delenv("ONELOOP_LEDGER")
    done = office.run(*COMMAND, "--yes")
    assert done.code == 2
    assert "--ledger" in done.err


def test_a_ledger_is_a_regular_file(office: Office) -> None:
    """What is written to a device is lost."""
    done = office.run("refill", *ONE, "--refill", "5", "--ledger", "/dev/null")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "oneloop: --ledger: /dev/null is no regular file; name one, such as refills.db\n"
    )


def test_a_row_that_the_ledger_contradicts_is_a_mistake(office: Office) -> None:
    """The same id with other arguments is found before anything is sent."""
    office.write(30)
    assert office.run(*COMMAND, "--yes").code == 0
    office.file.write_text(office.file.read_text().replace("pay_7,ws_1", "pay_7,ws_2"))
    done = office.run(*COMMAND, "--yes")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "refills.csv: line 8, column id: the ledger has 'pay_7' (applied) with workspace_id 'ws_1' "
        "there and 'ws_2' here; give each refill an id of its own\n"
        "oneloop: refills.csv has 1 mistake; nothing was sent\n"
    )
    office.file.write_text(office.file.read_text().replace(",ws_1,", ",ws_2,"))
    done = office.run(*COMMAND, "--yes")
    assert done.err.count("\n") == 21
    assert "has 30 mistakes, of which the first 20 are shown" in done.err
    assert office.refills() == 30


def test_what_was_rejected_stays_unless_it_is_asked_for(office: Office) -> None:
    """A second run leaves it, and another one sends it again."""
    office.write(1, more="pay_x,ws_1,late,9\n")
    assert office.run(*COMMAND, "--yes").code == 3
    office.sandbox.create_meter(workspace_id="ws_1", external_meter_id="late")
    again = office.run(*COMMAND)
    assert again.code == 3
    assert "stays; --retry-rejected sends it again" in again.out
    asked = office.run(*COMMAND, "--retry-rejected")
    assert asked.code == 2
    assert "rejected             1        9  is sent again\n" in asked.out
    assert office.run(*COMMAND, "--retry-rejected", "--yes").code == 0
    assert office.total("late") == 9


def test_the_first_ones_that_failed_are_shown(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be many; the export has them all."""
    monkeypatch.setattr("oneloop.cli._runs._KEPT", 12)
    office.write(0, more="".join(f"pay_{number},ws_1,nobody,1\n" for number in range(20)))
    done = office.run(*COMMAND, "--yes", "--workers", "1")
    assert (done.code, done.out.count("there is no meter 'nobody'")) == (3, 10)
    assert "rejected       20       20\n" in done.out


def test_no_state_hides_another(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many refills are unknown, one that was rejected is shown with its reason."""
    monkeypatch.setattr("oneloop.cli._runs._KEPT", 3)
    office.write(5, more="pay_x,ws_1,nobody,9\n")
    office.sandbox.misbehave("drop-after", operation="refill_billing_limit", times=5)
    done = office.run(*COMMAND, "--yes", "--no-settle", "--workers", "1")
    assert done.code == 4
    assert "pay_x  rejected  there is no meter 'nobody'" in done.out
    assert "\nrejected: correct what the API objects to" in done.out
    document = json.loads(office.run(*COMMAND, "--yes", "--no-settle", "--json").out)
    states = Counter(one["state"] for one in document["unfinished"]["first"])
    assert (states["rejected"], document["unfinished"]["total"]) == (1, 6)


def test_a_refill_that_is_open_is_in_the_question(office: Office) -> None:
    """What is settled may be sent again, which is no part of what is new."""
    office.write(1)
    office.sandbox.misbehave("drop-after", operation="refill_billing_limit")
    assert office.run(*COMMAND, "--yes", "--no-settle").code == 4
    office.sandbox.create_meter(workspace_id="ws_1", external_meter_id="other")
    office.file.write_text(office.file.read_text() + "pay_2,ws_1,other,7\n")
    with office.terminal(*COMMAND) as terminal:
        wait_for_question(
            terminal,
            f"\r\nLedger: {office.folder / 'refills.db'}\r\nSend 1 refill of 7 credits, and settle "
            f"1 open refill, which may be sent again, to {office.host}?",
        )


def test_another_ledger_is_named(office: Office) -> None:
    """Whoever mistypes the ledger sees that all of it would be made again in a new one."""
    office.write(2)
    assert office.run(*COMMAND, "--yes").code == 0
    again = office.run(*COMMAND)
    assert f"\nledger: {office.folder / 'refills.db'}\n" in again.out
    other = office.run(*COMMAND, "--ledger", "refill.db", "--dry-run")
    new = office.folder / "refill.db"
    assert f"\nledger: {new}; there is none yet\n" in other.out


def test_no_ledger_is_made_unless_somebody_says_so(office: Office) -> None:
    """It may have been lost, or its name mistyped: a new one would make all its refills again."""
    office.write(2)
    assert office.run(*COMMAND, "--yes").code == 0
    lost = office.ledger.rename(office.folder / "moved.db")
    refused = (
        f"oneloop: --ledger: there is no ledger at {office.ledger}. If there was one, bring it "
        "back, because a new one would make its refills again; if not, make one: oneloop ledger "
        "create --ledger refills.db\n"
    )
    one = ("refill", *ONE, "--refill", "5")
    for command in ((*COMMAND, "--yes"), COMMAND, (*one, "--yes"), one):
        done = office.run(*command)
        assert (done.code, done.err, office.refills()) == (2, refused, 2)
        assert not office.ledger.exists()
    with office.terminal(*one) as terminal:
        question = f"New ledger: {office.ledger}\r\nSend 5 credits to {office.host}?"
        wait_for_question(terminal, question)
        answer(terminal, "y")
        assert terminal.finish().code == 0
    assert office.run(*one).code == 0
    assert office.refills() == 3
    lost.replace(office.ledger)
    assert office.run(*COMMAND, "--yes").code == 0
    assert office.refills() == 3


def test_what_is_behind_a_decision_names_it(office: Office) -> None:
    """Running the command again would not help, so the command that decides is shown."""
    office.sandbox.misbehave("drop-after", operation="refill_billing_limit")
    first = ("refill", *ONE, "--refill", "5", "--quiet", "0", "--other-writers")
    for _ in range(3):
        assert office.run(*first).code == 4
    second = ("refill", "--id", "pay_2", *ONE[2:], "--refill", "7", "--other-writers")
    done = office.run(*second)
    decide = (
        "first the refill 'pay_1' of the same meter needs a decision: oneloop ledger decide pay_1 "
        "--ledger refills.db --applied (or --not-applied) --note TEXT; then run the same command "
        "again\n"
    )
    assert done.code == 5
    assert done.out.endswith(f"\nWhat to do: {decide}")
    office.file.write_text(f"{HEADER}pay_2,ws_1,acme,7\n")
    done = office.run(*COMMAND, "--yes", "--quiet", "0")
    assert done.code == 5
    assert done.out.endswith(f"\nplanned: {decide}")


def test_what_is_unknown_is_settled(office: Office) -> None:
    """A refill whose answer was lost is unknown, until two readings tell."""
    office.write(2)
    office.sandbox.misbehave("drop-after", operation="refill_billing_limit")
    done = office.run(*COMMAND, "--yes", "--no-settle", "--quiet", "0.1")
    assert done.code == 4
    assert "unknown: the meter will tell when it has been quiet for a while: " in done.out
    assert "oneloop ledger settle --ledger refills.db --quiet 0.1 --wait\n" in done.out
    with office.terminal(*COMMAND, "--quiet", "0.1") as terminal:
        question = f"Settle 1 open refill, which may be sent again to {office.host}?"
        wait_for_question(terminal, question)
        answer(terminal, "y")
        done_ = terminal.finish()
    assert done_.code == 0
    assert "1 waiting for the second reading, 0.1 s" in done_.raw.decode()
    assert office.refills() == 2
    assert [office.total(f"customer-{number}") for number in (1, 2)] == [1, 2]


def test_what_waits_for_a_decision_stays(office: Office) -> None:
    """It is in the plan, in the table at the end, and the exit code is that of an unknown one."""
    office.write(1)
    office.sandbox.misbehave("drop-after", operation="refill_billing_limit")
    command = (*COMMAND, "--yes", "--quiet", "0.1", "--other-writers")
    done = office.run(*command)
    assert done.code == 4
    again = office.run(*command)
    assert again.code == 4
    assert (
        "waits for a decision        1        1  stays, until: oneloop ledger decide" in again.out
    )
    assert "ledger decide ID --ledger refills.db --applied (or --not-applied)" in again.out


@pytest.mark.parametrize("source", ["file", "one"])
def test_a_next_command_repeats_the_options_that_matter(
    office: Office, tmp_path: Path, source: str
) -> None:
    """Without them, the next command would take other readings for proof, or call another API."""
    office.write(1)
    (tmp_path / "key").write_text(office.sandbox.api_key)
    office.sandbox.misbehave("drop-after", operation="refill_billing_limit")
    given = COMMAND[1:] if source == "file" else (*ONE, "--refill", "5")
    more = ("--yes", "--no-settle") if source == "file" else ()
    options = ("--quiet", "1.5", "--key-file", "key", "--base-url", office.sandbox.url)
    done = office.run("refill", *given, *more, *options, "--other-writers")
    assert done.code == 4
    name = "" if source == "file" else " pay_1"
    assert (
        f": oneloop ledger settle{name} --ledger refills.db {' '.join(options)} --other-writers "
        "--wait\n"
    ) in done.out


class Saboteur:
    """Spoils something while the sandbox answers the n-th request for an operation."""

    def __init__(self, operation: str, number: int, spoil: Callable[[], object]) -> None:
        self.seen = 0
        self._operation, self._number, self._spoil = operation, number, spoil

    def __call__(self, request: ReceivedRequest) -> None:
        """Count a request."""
        if request.operation == self._operation:
            self.seen += 1
            if self.seen == self._number:
                self._spoil()


def sabotaged(
    spoil: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    operation: str = "refillBillingLimit",
    meter: str = "acme",
) -> tuple[Output, int]:
    """Return what a run of 40 refills said that was spoiled meanwhile, and how many were sent."""
    monkeypatch.setattr("oneloop.cli._input.BLOCK", 8192)  # all of it is read at once otherwise
    rows = (f"pay_{number},ws_1,{meter}-{number},1,{'x' * 4000}\n" for number in range(40))
    Path("refills.csv").write_text(HEADER.replace("\n", ",pad\n") + "".join(rows))
    saboteur = Saboteur(operation, 10, spoil)
    with Sandbox(on_request=saboteur) as sandbox:
        place = [{"workspace_id": "ws_1", "external_meter_id": f"acme-{n}"} for n in range(40)]
        for one in place:
            sandbox.create_meter(**one)
        monkeypatch.setenv("ONELOOP_BASE_URL", sandbox.url)
        arguments = ("--yes", "--json", "--workers", "1", "--ignore-column", "pad")
        code = main([*COMMAND, *arguments])
        sent = sum(one.operation == "refillBillingLimit" for one in sandbox.requests)
        assert sum(sandbox.meter(**one).total_credits for one in place) == sent
    return Output(code, *capsys.readouterr()), sent


def change() -> None:
    """Change the last row of the file of refills."""
    with Path("refills.csv").open("r+b") as file:
        file.seek(-2, 2)
        file.write(b"y")


def drop() -> None:
    """Remove the table of the ledger."""
    with sqlite3.connect("refills.db") as database:
        database.execute("DROP TABLE oneloop_refills")
    database.close()


def test_a_file_that_changes_while_it_is_read_ends_the_run(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was made before is summed up, and the exit code does not say that nothing was sent."""
    done, sent = sabotaged(change, monkeypatch, capsys)
    document = json.loads(done.out)
    assert done.code == 4
    assert 10 <= sent < 40
    assert document["counts"] == {**dict.fromkeys(State, 0), "applied": sent}
    assert document["already"] == 0
    assert "--from: refills.csv was changed after it had been checked; start " in done.err
    assert document["problem"] in done.err
    with Ledger("refills.db") as ledger:
        assert ledger.totals()[State.APPLIED] == (sent, sent)
    assert not office.sandbox.requests


def test_a_file_that_changes_before_anything_is_sent(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That is an error of the file, and nothing else."""
    read = {"operation": "getCustomerBilling", "meter": "nobody"}
    done, sent = sabotaged(change, monkeypatch, capsys, **read)
    assert (done.code, done.out, sent) == (2, "", 0)
    assert done.err.startswith("oneloop: --from: refills.csv was changed after it had been")
    assert not office.sandbox.requests


def test_a_ledger_that_is_lost_ends_the_run(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What had come to an end is summed up, and the message says how to go on with the rest."""
    done, sent = sabotaged(drop, monkeypatch, capsys)
    document = json.loads(done.out)
    assert done.code == 4
    total = document["total"]
    assert 0 < total < sent < 40  # what was not written down is not known
    assert (document["credits"], document["already"]) == (total, None)
    assert document["counts"] == {**dict.fromkeys(State, 0), "applied": total}
    assert document["amounts"] == document["counts"]
    assert done.err.startswith("the run stopped before its end: ")
    assert done.err.endswith(
        f"; {total} of 40 refills had come to an end; when this ledger can be used again, the same "
        "command goes on with the others; do not run it with another ledger, which would make "
        "these refills again\n"
    )
    assert not office.sandbox.requests


def test_a_ledger_that_is_removed_is_not_made_anew(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command again is refused until the ledger is back."""

    def move() -> None:
        for path in office.folder.glob("refills.db*"):
            path.rename(office.folder / path.name.replace("refills", "moved"))

    done, sent = sabotaged(move, monkeypatch, capsys)
    assert done.code == 4
    assert "was moved, replaced or removed" in done.err
    assert "do not run it with another ledger" in done.err
    assert list(office.folder.glob("refills.db*")) == []
    again = office.run(*COMMAND, "--yes", "--ignore-column", "pad")
    assert (again.code, office.sandbox.requests) == (2, ())
    assert "If there was one, bring it back" in again.err
    with Ledger(office.folder / "moved.db") as ledger:
        totals = ledger.totals()
    assert totals[State.APPLIED][0] + totals[State.SENDING][0] >= sent


def test_a_ledger_that_is_lost_before_anything_is_sent(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then there is nothing to sum up."""
    read = {"operation": "getCustomerBilling", "meter": "nobody"}
    done, sent = sabotaged(drop, monkeypatch, capsys, **read)
    assert (done.out, sent) == ("", 0)
    assert done.code in {2, 4}  # what was learned of a meter could not be written down, or nothing
    assert not office.sandbox.requests


def test_an_api_that_is_not_there_ends_the_run(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some attempts that did not reach it, with the exit code for that."""
    office.write(60)
    monkeypatch.setenv("ONELOOP_BASE_URL", "http://127.0.0.1:1")
    done = office.run(*COMMAND, "--yes", "--workers", "10")
    assert done.code == 5
    assert "20 attempts in a row had no effect" in done.err


def test_an_inherited_decision_to_ignore_ctrl_c_stays(office: Office) -> None:
    """A shell script starts what runs in the background in this way."""
    office.write(20)
    command = f"trap '' INT; exec {sys.executable} -m oneloop refill --from refills.csv"
    process = subprocess.Popen(
        ["bash", "-c", f"{command} --yes --json --rate 20"],
        env=environment(office.env),
        cwd=office.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: office.refills() > 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["counts"]["applied"] == 20


def test_a_refused_key_ends_the_run(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run stops, says why, and has sent nothing."""
    office.write(30)
    monkeypatch.setenv("ONELOOP_SDK_KEY", "sdk_wrong")
    done = office.run(*COMMAND, "--yes", "--json")
    assert (done.code, office.refills()) == (3, 0)
    assert done.err.startswith("the run stopped before its end: GET /api/v1/customer-billing")
    assert done.err.endswith(
        "\nthe API refuses the SDK key; with another one, the same command goes on with the 30 "
        "rows that nobody has looked at\n"
    )
    document = json.loads(done.out)
    assert document["problem"] in done.err
    assert document["counts"]["planned"] == document["total"]


@pytest.mark.parametrize(
    ("fault", "code", "state"),
    [(None, 0, "applied"), ("404", 3, "rejected"), ("drop-after", 4, "unknown")],
)
def test_one_refill(office: Office, fault: str | None, code: int, state: str) -> None:
    """One refill needs no file; its exit code tells what came of it."""
    if fault is not None:
        office.sandbox.misbehave(fault, operation="refill_billing_limit")
    done = office.run("refill", *ONE, "--refill", "5000")
    assert done.code == code
    facts = dict(line.split("  ", 1) for line in done.out.splitlines() if "  " in line)
    facts = {name: fact.strip() for name, fact in facts.items()}
    assert (facts["state"], facts["credits"], facts["sent"]) == (state, "5,000", "1 time")
    assert facts["before"] == "1,000 credits, 0 used"
    assert facts.get("answer") == ("6,000 credits, 0 used" if code == 0 else None)
    assert ("\nWhat to do: " in done.out) == (code != 0)
    again = office.run("refill", *ONE, "--refill", "5000", "--json")
    assert again.code == code
    assert json.loads(again.out)["refill"] == 5000
    assert office.refills() == 1


def test_one_refill_with_other_arguments(office: Office) -> None:
    """The same id stands for the same refill: nothing is sent, and both are shown."""
    assert office.run("refill", *ONE, "--refill", "5000").code == 0
    done = office.run("refill", *ONE, "--refill", "5001")
    assert done.code == 2
    assert "5000 credits" in done.err
    assert "5001 credits" in done.err
    assert office.refills() == 1


def test_one_refill_that_was_not_sent(office: Office) -> None:
    """The exit code says so, and so do the ledger and the next step."""
    office.sandbox.misbehave("429", operation="refill_billing_limit", times=3)
    done = office.run("refill", *ONE, "--refill", "5000")
    assert done.code == 5
    assert "state       planned\n" in done.out
    assert "\nWhat to do: it was not sent; run the same command again\n" in done.out


def test_a_ledger_that_fails_after_the_refill_is_an_unknown(tmp_path: Path) -> None:
    """Whatever the API answered, what is not written down is not known."""

    def drop(_: object) -> None:
        if sandbox.requests and sandbox.requests[-1].operation == "refillBillingLimit":
            with sqlite3.connect(tmp_path / "refills.db") as database:
                database.execute("DROP TABLE oneloop_refills")
            database.close()

    with Ledger(tmp_path / "refills.db") as ledger:
        ledger.create()
    with Sandbox(on_request=drop) as sandbox:
        done = plain(
            *("refill", *ONE, "--refill", "5", "--ledger", str(tmp_path / "refills.db")),
            env={"ONELOOP_BASE_URL": sandbox.url, "ONELOOP_SDK_KEY": sandbox.api_key},
        )
    assert done.code == 4
    assert "could not be written down" in done.err


def test_a_ledger_that_cannot_be_used_ends_the_command(office: Office) -> None:
    """Nothing is sent without it."""
    office.write(1)
    office.ledger.unlink()
    office.ledger.mkdir()
    done = office.run(*COMMAND, "--yes")
    assert (done.code, office.refills()) == (2, 0)
    assert "refills.db is a folder; name a file in it, such as " in done.err


def test_a_damaged_ledger_is_no_reason_to_repeat(office: Office) -> None:
    """A script that repeats what was not sent would do so for ever."""
    office.ledger.write_bytes(office.ledger.read_bytes()[:5000])
    done = office.run("refill", *ONE, "--refill", "5")
    assert (done.code, office.refills()) == (2, 0)
    assert "malformed" in done.err


def test_the_extra_of_the_ledger_is_named(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the error says what to install."""
    office.write(1)
    monkeypatch.delitem(sys.modules, "oneloop.ledger")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    done = office.run(*COMMAND, "--yes")
    assert done.code == 2
    assert done.err.count("pip install 'oneloop[ledger]'") == 1


def test_an_interruption_finishes_what_is_under_way(office: Office) -> None:
    """Ctrl-C ends the run with 130; the same command again goes on, and nothing is made twice."""
    office.write(400)
    with office.terminal(*COMMAND, "--yes", "--workers", "2", columns=200) as terminal:
        terminal.wait_for(" applied")
        terminal.type("\x03")
        done = terminal.finish()
    assert done.code == 130
    assert re.search(
        "oneloop: interrupted when [0-9]+ of 400 refills had come to an end; the same command "
        "again goes on with the others",
        done.text,
    )
    with Ledger(office.folder / "refills.db") as ledger:
        counts = {state: number for state, (number, _) in ledger.totals().items() if number}
    assert set(counts) <= {State.APPLIED, State.PLANNED}
    assert office.run(*COMMAND, "--yes", "--workers", "2").code == 0
    totals = [office.total(f"customer-{number}") for number in range(1, 401)]
    assert totals == [*range(1, 401)]


def test_an_interruption_waits_for_an_answer(office: Office) -> None:
    """A refill that was sent is not left unknown because of Ctrl-C."""
    office.write(1)
    office.sandbox.misbehave("slow-headers", operation="refill_billing_limit", seconds=1)
    with office.terminal(*COMMAND, "--yes") as terminal:
        terminal.wait_for("0/1 ")
        while not office.refills():
            terminal.read(0.05)
        terminal.type("\x03")
        terminal.wait_for("finishing what is under way; Ctrl-C again to leave at once")
        assert terminal.finish().code == 130
    with Ledger(office.folder / "refills.db") as ledger:
        found = ledger.find("pay_1")
    assert found is not None
    assert found.state is State.APPLIED


def test_an_interruption_of_one_refill_says_how_to_go_on(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command finds out what became of it, and sends nothing twice."""

    def interrupt(request: ReceivedRequest) -> None:
        if request.operation == "refillBillingLimit" and not request.applied:
            os.kill(os.getpid(), signal.SIGINT)

    with Sandbox(on_request=interrupt) as sandbox:
        sandbox.misbehave("late-apply", operation="refill_billing_limit")
        monkeypatch.setenv("ONELOOP_BASE_URL", sandbox.url)
        command = ("refill", *ONE, "--refill", "5", "--quiet", "0")
        done = office.run(*command)
        assert done.code == 130
        assert done.err.endswith("; the same command again goes on, and sends nothing twice\n")
        wait_for(sandbox.apply_late)
        while (code := office.run(*command).code) == 4:
            pass
        assert code == 0
        meter = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
        assert meter.total_credits == 1005


def test_a_second_interruption_leaves_at_once(office: Office) -> None:
    """What was under way then is found by the next run, which does not send it again blindly."""
    office.write(1)
    office.sandbox.misbehave("late-apply", operation="refill_billing_limit")
    with office.terminal(*COMMAND, "--yes", "--quiet", "0.1") as terminal:
        terminal.wait_for("0/1 ")
        while not office.refills():
            terminal.read(0.05)
        terminal.type("\x03")
        terminal.wait_for("Ctrl-C again to leave at once")
        terminal.type("\x03")
        assert terminal.finish().code == 130
    wait_for(lambda: office.sandbox.apply_late() or office.total("customer-1"))
    assert office.run(*COMMAND, "--yes", "--quiet", "0.1").code == 0
    assert (office.total("customer-1"), office.refills()) == (1, 1)


class Books:
    """Counts the refills of each meter as the sandbox applies them."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()

    def note(self, request: ReceivedRequest) -> None:
        """Count a refill that took effect."""
        if request.operation == "refillBillingLimit" and request.applied:
            self.times[request.json["externalMeterId"]] += 1


def test_a_run_that_is_killed_is_started_again(tmp_path: Path) -> None:
    """5,000 rows, killed three times with SIGKILL: every meter is right, and nothing is twice."""
    rows, moments, books = 5000, random.Random(16), Books()  # noqa: S311 - no secret
    meters = [f"customer-{number}" for number in range(rows)]
    lines = [f"pay_{number},ws_1,{name},{number + 1}\n" for number, name in enumerate(meters)]
    (tmp_path / "refills.csv").write_text(HEADER + "".join(lines), "utf-8")
    command = (*COMMAND, "--yes", "--quiet", "0.2", "--workers", "16")
    with Ledger(tmp_path / "refills.db") as ledger:
        ledger.create()
    with Sandbox(log_size=1, on_request=books.note) as sandbox:
        for name in meters:
            sandbox.create_meter(workspace_id="ws_1", external_meter_id=name)
        place: Any = {
            "env": {
                "ONELOOP_BASE_URL": sandbox.url,
                "ONELOOP_SDK_KEY": sandbox.api_key,
                "ONELOOP_LEDGER": "refills.db",
            },
            "cwd": tmp_path,
        }
        for _ in range(3):
            until = len(books.times) + moments.randint(200, 1400)
            with Terminal(*command, **place) as terminal:
                while len(books.times) < until:
                    terminal.read(0.01)
                time.sleep(moments.random() / 50)
                terminal.kill()
                assert terminal.finish().code == -signal.SIGKILL
        assert len(books.times) < rows
        with Terminal(*command, columns=100, **place) as terminal:
            done = terminal.finish()
        again = plain(*command, "--json", **place)
        totals = [
            sandbox.meter(workspace_id="ws_1", external_meter_id=name).total_credits
            for name in meters
        ]
    amount = rows * (rows + 1) // 2
    assert totals == [*range(1, rows + 1)]
    assert books.times == dict.fromkeys(meters, 1)
    assert done.code == 0
    assert re.search(r"\n applied +5,000 +12,502,500\n all +5,000 +12,502,500\n", done.text)
    found = re.search(r"5,000 refills in [0-9.]+ s; ([0-9,]+) had been applied before", done.text)
    assert found is not None
    assert 500 < int(found[1].replace(",", "")) < rows
    summary = json.loads(again.out)
    assert (summary["total"], summary["credits"], summary["already"]) == (rows, amount, rows)
    assert (sum(summary["counts"].values()), summary["counts"]["applied"]) == (rows, rows)
    assert (sum(summary["amounts"].values()), summary["amounts"]["applied"]) == (amount, amount)
