"""`oneloop ledger`: looking at a ledger, settling, deciding and exporting."""

import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from oneloop import Oneloop
from oneloop.cli._app import main
from oneloop.cli._database import blocker_of, ledger_name, quoted
from oneloop.ledger import Ledger, Refill, State
from oneloop.sandbox import Sandbox
from tests.cli.terminal import PATIENCE, Output, environment, plain, shown

PLACE = {"workspace_id": "ws_1", "external_meter_id": "acme"}
REFILL = "refill_billing_limit"


@pytest.fixture
def run(
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Output]:
    """Return a function that runs `oneloop ledger` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONELOOP_BASE_URL", sandbox.url)
    monkeypatch.setenv("ONELOOP_SDK_KEY", sandbox.api_key)
    monkeypatch.setenv("ONELOOP_LEDGER", "refills.db")

    def run(*arguments: str) -> Output:
        code = main(["ledger", *arguments])
        return Output(code, *capsys.readouterr())

    return run


@pytest.fixture
def refill(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Refill]]:
    """Return a function that makes a refill of the meter acme, with a fault if it is given."""
    path = tmp_path / "refills.db"
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:

        def refill(
            name: str, fault: str | None = None, *, others: bool = False, **changes: Any
        ) -> Refill:
            if fault is not None:
                sandbox.misbehave(fault, operation=REFILL)
            with Ledger(path, quiet=0, other_writers=others) as ledger:
                return ledger.refill(client, id=name, **{**PLACE, "refill": 500, **changes})

        yield refill


MISSING = (
    "oneloop: --ledger: there is no ledger at {}. If there was one, bring it back, because a new "
    "one would make its refills again; if not, make one: oneloop ledger create --ledger {}\n"
)


def without_times(text: str) -> str:
    """Return an output without what differs from run to run."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "YYYY-MM-DD hh:mm:ss", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST", text)
    return re.sub(r"in [0-9.]+ s;", "in T s;", text)


TOTALS = """\
state        refills  credits
planned            0        0
sending            0        0
applied            1      500
rejected           1      500
unknown            0        0
not applied        0        0
all                2    1,000

"""


def test_totals_are_shown(run: Callable[..., Output], refill: Callable[..., Refill]) -> None:
    """They are those of the six states, and what has been learned is said."""
    refill("pay_1", external_meter_id="nobody")
    learned = "No answered refill has shown yet what a refill changes.\n"
    assert run("show").out.endswith(learned)
    refill("pay_2")
    done = run("show")
    learned = "Answered refills have shown that a refill raises the total of its meter.\n"
    assert done == (0, TOTALS + learned, "")
    document = json.loads(run("show", "--json").out)
    assert document["states"]["applied"] == {"refills": 1, "credits": 500}
    assert len(document["states"]) == 6
    assert document["effect"] == "total_credits rises"
    assert (document["waiting"], document["more_waiting"]) == ([], 0)


def test_totals_are_shown_in_colours(
    run: Callable[..., Output], refill: Callable[..., Refill], tmp_path: Path
) -> None:
    """States have the colours of the summary of a run; with NO_COLOR there are none."""
    refill("pay_1")
    command = ("ledger", "show", "--ledger", "refills.db")
    coloured = shown(*command, cwd=tmp_path)
    bare = shown(*command, cwd=tmp_path, env={"NO_COLOR": "1"})
    assert coloured.text == bare.text
    assert " applied             1       500\n" in bare.text
    assert coloured.code == bare.code == 0
    assert coloured.colours["green"] == {"applied"}
    assert coloured.colours["red"] == {"rejected"}
    assert set(bare.colours) == {"default"}


def decide_later(sandbox: Sandbox, refill: Callable[..., Refill], number: int) -> None:
    """Make refills of meters of their own whose outcome readings cannot tell."""
    for one in range(number):
        place = {"workspace_id": "ws_2", "external_meter_id": f"customer-{one}"}
        sandbox.create_meter(**place)
        refill(f"pay_{one}", "drop-after", **place)
    with (
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client,
        Ledger("refills.db", quiet=0, other_writers=True) as ledger,
    ):
        ledger.settle(client, wait=True)


def test_what_waits_for_a_person_is_shown(
    run: Callable[..., Output],
    refill: Callable[..., Refill],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first ones are shown with the reason, and how to go on."""
    monkeypatch.setattr("oneloop.cli._ledgers._SHOWN", 2)
    decide_later(sandbox, refill, 3)
    done = run("show")
    assert "3 unknown refills wait for a decision:\n" in done.out
    assert re.search(r"\npay_0  ws_2 +customer-0 +500  totalCredits rose by 500", done.out)
    assert "pay_2" not in done.out
    assert done.out.endswith(
        "For each, the readings cannot tell whether it was applied; look at the meter, then: "
        "oneloop ledger decide ID --ledger refills.db --applied (or --not-applied) --note TEXT\n"
    )
    document = json.loads(run("show", "--json").out)
    assert [one["id"] for one in document["waiting"]] == ["pay_0", "pay_1"]
    assert document["more_waiting"] == 1


ONE = """\
id          pay_1
state       unknown
workspace   ws_1
meter       acme
credits     500
sent        1 time
before      1,000 credits, 0 used
last error  POST /api/v1/customer-billing/refill at HOST: the connection was lost while waiting; \
1 attempt in T s; unknown: it may have happened, check before you repeat it

when (UTC)           what     how
YYYY-MM-DD hh:mm:ss  planned  500 credits for the meter 'acme' of the workspace 'ws_1'
YYYY-MM-DD hh:mm:ss  sent     sending 1; before it: totalCredits 1000, usedCredits 0
YYYY-MM-DD hh:mm:ss  failed   POST /api/v1/customer-billing/refill at HOST: the connection was \
lost while waiting; 1 attempt in T s; unknown: it may have happened, check before you repeat it

What to do: the meter will tell when it has been quiet for a while: oneloop ledger settle pay_1 \
--ledger refills.db --wait
"""


def test_one_refill_is_shown(run: Callable[..., Output], refill: Callable[..., Refill]) -> None:
    """All that is known of it is there: arguments, readings, history, and what to do."""
    made = refill("pay_1", "drop-after")
    done = run("show", "pay_1")
    assert (done.code, without_times(done.out), done.err) == (0, ONE, "")
    document = json.loads(run("show", "pay_1", "--json").out)
    history = document.pop("history")
    assert document == made.to_dict()
    assert [one["what"] for one in history] == ["planned", "sent", "failed"]


SETTLED = """\
 id      state     why
 ──────────────────────────────────────────────────────────────────────────────
 pay_1   applied   totalCredits rose by 500 and usedCredits did not change, as
                   the refill changes them (before it was sent: totalCredits
                   1000, usedCredits 0)"""
SHOWN = """\
id          pay_1
state       applied
workspace   ws_1
meter       acme
credits     500
sent        1 time
before      1,000 credits, 0 used
last error  POST /api/v1/customer-billing/refill at HOST: the
            connection was lost while waiting; 1 attempt in T s; unknown: it
            may have happened, check before you repeat it
why         totalCredits rose by 500 and usedCredits did not change, as the
            refill changes them (before it was sent: totalCredits 1000,
            usedCredits 0)

 when (UTC)            what        how
"""


@pytest.mark.parametrize("colour", [True, False])
def test_refills_are_settled_and_shown_in_a_terminal(
    sandbox: Sandbox, refill: Callable[..., Refill], tmp_path: Path, *, colour: bool
) -> None:
    """Sentences take several lines, beside the columns that are to stay whole."""
    refill("pay_1", "drop-after")
    env = {
        "ONELOOP_BASE_URL": sandbox.url,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_LEDGER": "refills.db",
    } | ({} if colour else {"NO_COLOR": "1"})
    options: Any = {"env": env, "cwd": tmp_path}
    settled = shown("ledger", "settle", "--wait", "--quiet", "0.1", **options)
    assert (settled.code, settled.text) == (0, SETTLED)
    one = shown("ledger", "show", "pay_1", **options)
    assert without_times(one.text).startswith(SHOWN)
    exported = shown("ledger", "export", "--format", "jsonl", **options, columns=2000)
    assert json.loads(exported.text)["id"] == "pay_1"
    refill("pay_2")
    decided = shown("ledger", "decide", "pay_2", "--applied", "--note", "x", **options)
    assert decided.code == 2
    assert decided.text.startswith("oneloop: only a refill whose outcome is unknown")
    for done in (settled, one):
        assert done.colours.get("green") == ({"applied"} if colour else None)
    assert set(exported.colours) == {"default"}


def test_what_is_not_there_is_named(run: Callable[..., Output], tmp_path: Path) -> None:
    """A ledger, or a refill, that does not exist is an error that names it."""
    done = run("show")
    assert (done.code, done.out) == (2, "")
    assert done.err == MISSING.format(tmp_path / "refills.db", "refills.db")
    assert not (tmp_path / "refills.db").exists()


def test_a_ledger_is_made_once(run: Callable[..., Output], tmp_path: Path) -> None:
    """A second time changes nothing, so that a deployment can say it each time."""
    path = tmp_path / "refills.db"
    assert run("create") == (0, f"a new ledger was made: {path}\n", "")
    assert run("create") == (0, f"there is a ledger already: {path}\n", "")
    assert run("show").code == 0
    done = run("create", "--ledger", "no/refills.db")
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize("arguments", [("show", "pay_9"), ("settle", "pay_9")])
def test_a_refill_that_is_not_there_is_named(
    run: Callable[..., Output], refill: Callable[..., Refill], arguments: tuple[str, ...]
) -> None:
    """The error names the refill and the ledger."""
    refill("pay_1")
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "oneloop: the ledger refills.db has no refill 'pay_9'; this lists those that it has: "
        "oneloop ledger export --ledger refills.db\n"
    )


def test_settling_takes_two_readings(
    run: Callable[..., Output], refill: Callable[..., Refill]
) -> None:
    """Each call takes one; the exit code says what is known."""
    assert "there is no ledger at" in run("settle", "--ledger", "new.db").err
    refill("pay_1", "drop-after")
    first = run("settle", "--quiet", "0")
    assert first.code == 4
    assert first.out.startswith("id     state    why\npay_1  unknown  POST /api")
    assert first.out.endswith(
        "\n\nunknown: the meter will tell when it has been quiet for a while: oneloop ledger "
        "settle --ledger refills.db --quiet 0 --wait\n"
    )
    second = run("settle", "pay_1", "--quiet", "0")
    assert second.code == 0
    assert "pay_1  applied  totalCredits rose by 500" in second.out
    assert run("settle") == (0, "Nothing is unknown.\n", "")
    assert json.loads(run("settle", "--json").out) == []


def test_settling_can_wait(
    run: Callable[..., Output], refill: Callable[..., Refill], sandbox: Sandbox
) -> None:
    """With --wait, one call is enough; what had no effect has the exit code for that."""
    sandbox.create_meter(workspace_id="ws_1", external_meter_id="other")
    refill("pay_1")
    refill("pay_2", "drop-after")
    refill("pay_3", "504", external_meter_id="other")
    done = run("settle", "--wait", "--quiet", "0.1", "--json")
    assert done.code == 5
    states = {one["id"]: one["state"] for one in json.loads(done.out)}
    assert states == {"pay_2": "applied", "pay_3": "not applied"}


def test_a_person_decides(
    run: Callable[..., Output], refill: Callable[..., Refill], sandbox: Sandbox
) -> None:
    """A decision is written down with its note, and can be corrected."""
    decide_later(sandbox, refill, 2)
    done = run("decide", "pay_0", "--applied", "--note", "seen in the dashboard")
    assert done.code == 0
    assert "state       applied\n" in done.out
    assert "why         decided: seen in the dashboard\n" in done.out
    again = run("decide", "pay_0", "--not-applied", "--note", "it was another one")
    assert again.code == 0
    assert "state       not applied\n" in again.out
    done = run("decide", "pay_1", "--not-applied", "--note", "not there", "--json")
    assert done.code == 0
    assert json.loads(done.out)["state"] == "not applied"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("decide", "pay_1", "--applied", "--note", " "), "--note must say how you know"),
        (("decide", "pay_1", "--note", "x"), "say --applied or --not-applied, whichever is true"),
        (
            ("decide", "pay_1", "--applied", "--not-applied", "--note", "x"),
            "say --applied or --not-applied, whichever is true",
        ),
        (("decide", "pay_1", "--applied"), "Missing option '--note'"),
        (("decide", "pay_9", "--applied", "--note", "x"), "the ledger has no refill 'pay_9'"),
        (("decide", "pay_1", "--applied", "--note", "x"), "'pay_1' is applied"),
        (("decide", "pay_1", "--applied", "--note", "x" * 2000), "--note: must have at most 1000"),
        (("export", "--format", "xml"), "'xml' is not one of 'csv', 'json', 'jsonl'"),
        (("export", "--state", "gone"), "'gone' is not one of 'planned', 'sending'"),
    ],
)
def test_what_is_wrong_is_named(
    run: Callable[..., Output],
    refill: Callable[..., Refill],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """Each error is one line that names the option or the refill."""
    refill("pay_1")
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_an_export_is_csv(
    run: Callable[..., Output], refill: Callable[..., Refill], sandbox: Sandbox
) -> None:
    """It has a line for each refill, with exact numbers, and can be refilled from."""
    refill("pay_1")
    refill('pay "2"', "drop-after")
    refill("pay_3", external_meter_id="nobody")
    rows = [*csv.DictReader(io.StringIO(run("export").out))]
    assert [(one["id"], one["state"]) for one in rows] == [
        ("pay_1", "applied"),
        ('pay "2"', "unknown"),
        ("pay_3", "rejected"),
    ]
    first = rows[0]
    assert {name: first[name] for name in list(first)[:4]} == {
        "id": "pay_1",
        **PLACE,
        "refill": "500",
    }
    assert (first["before_total_credits"], first["before_used_credits"]) == ("1000", "0")
    assert (first["answer_total_credits"], first["answer_used_credits"]) == ("1500", "0")
    assert (first["needs_decision"], first["error"], first["attempts"]) == ("false", "", "1")
    assert first["planned_at"].endswith("+00:00")
    rejected = [*csv.DictReader(io.StringIO(run("export", "--state", "rejected").out))]
    assert rejected == rows[2:]
    exported = run("export", "--state", "rejected").out
    Path("again.csv").write_text(exported)
    sandbox.create_meter(workspace_id="ws_1", external_meter_id="nobody")
    again = main(["refill", "--from", "again.csv", "--yes", "--retry-rejected"])
    assert again == 0


@pytest.mark.parametrize("state", ["not-applied", "not applied"])
def test_a_state_has_no_space_in_a_shell(
    run: Callable[..., Output], refill: Callable[..., Refill], state: str
) -> None:
    """Both spellings are taken, and the one that needs no quotes is completed."""
    refill("pay_1")
    refill("pay_2", "504")
    for _ in range(2):
        run("settle", "--quiet", "0")
    exported = run("export", "--format", "json", "--state", state)
    assert [one["id"] for one in json.loads(exported.out)] == ["pay_2"]
    asked = "oneloop ledger export --state no"
    env = {"_ONELOOP_COMPLETE": "complete_bash", "COMP_WORDS": asked, "COMP_CWORD": "4"}
    assert plain(env=env).out == "not-applied\n"


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_an_export_needs_a_ledger(run: Callable[..., Output], tmp_path: Path, form: str) -> None:
    """Nothing is written that could be taken for an export of nothing."""
    message = MISSING.format(tmp_path / "refills.db", "refills.db")
    assert run("export", "--format", form) == (2, "", message)


@pytest.mark.parametrize(
    ("ledger", "problem"),
    [
        (".", "{folder} is a folder; name a file in it, such as {folder}/refills.db"),
        (
            "no/refills.db",
            "{folder}/no/refills.db cannot be made, because there is no folder {folder}/no; make "
            "it first",
        ),
        (
            "notes.txt",
            "{folder}/notes.txt is another file, not an SQLite database; name the file of the "
            "ledger",
        ),
        ("x" * 300, "{folder}/" + "x" * 300 + " cannot be opened: File name too long"),
        (
            ":memory:",
            "a ledger must outlive its process: name a file, as in --ledger refills.db",
        ),
        (
            "",
            'must be a path such as "refills.db" or a URL such as "postgresql://user@host/name"',
        ),
    ],
)
def test_a_ledger_that_cannot_be_opened_is_named(
    run: Callable[..., Output], tmp_path: Path, ledger: str, problem: str
) -> None:
    """That is an error of the option: it says what to do, and nothing is sent."""
    (tmp_path / "notes.txt").write_text("no database, but a text that is long enough")
    done = run("show", "--ledger", ledger)
    assert done == (2, "", f"oneloop: --ledger: {problem.format(folder=tmp_path)}\n")


def test_a_ledger_that_is_lost_does_not_say_what_a_refill_waits_for(
    refill: Callable[..., Refill], tmp_path: Path
) -> None:
    """What came of a run is shown nevertheless."""
    planned = evolve(refill("pay_1"), state=State.PLANNED)
    ledger = Ledger(tmp_path / "refills.db")
    assert blocker_of(planned, ledger) is None
    ledger.close()
    assert blocker_of(planned, ledger) is None


def test_a_database_that_is_not_there_is_named(run: Callable[..., Output], postgres: str) -> None:
    """The server is there, so that waiting for it would not help."""
    there, _, _ = postgres.partition("?")
    missing = postgres.replace(there, f"{there.rpartition('/')[0]}/no_such")
    done = run("show", "--ledger", missing)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "oneloop: --ledger: the server has no database no_such; make it (createdb no_such), or "
        "correct the URL\n"
    )


def test_a_spreadsheet_takes_no_cell_for_a_formula(
    run: Callable[..., Output], refill: Callable[..., Refill]
) -> None:
    """What begins like one gets an apostrophe, unless it is to be exact."""
    names = ("=1+1", "+1", "-1", "@SUM(A1)", "a=1", "'1")
    for name in names:
        refill(name)
    rows = [*csv.DictReader(io.StringIO(run("export").out))]
    assert [one["id"] for one in rows] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "a=1", "'1"]
    raw = [*csv.DictReader(io.StringIO(run("export", "--raw").out))]
    assert [one["id"] for one in raw] == [*names]


def test_an_export_is_json(run: Callable[..., Output], refill: Callable[..., Refill]) -> None:
    """It is an array of what `to_dict` returns, or a line for each."""
    refill("pay_0", external_meter_id="nobody")
    assert run("export", "--format", "json", "--state", "unknown").out == "[]\n"
    assert run("export", "--format", "jsonl", "--state", "unknown").out == ""
    made = [refill(f"pay_ü{number}").to_dict() for number in range(3)]
    chosen = ("--state", "applied")
    assert json.loads(run("export", "--format", "json", *chosen).out) == made
    lines = run("export", "--format", "jsonl", *chosen).out.splitlines()
    assert [*map(json.loads, lines)] == made


def test_an_export_does_not_change_the_terminal(
    run: Callable[..., Output], refill: Callable[..., Refill], tmp_path: Path
) -> None:
    """A file has an id as it is, and a terminal shows it."""
    refill("pay\x1b[31m")
    assert "\npay\x1b[31m,ws_1," in run("export").out
    on_terminal = shown("ledger", "export", "--ledger", "refills.db", cwd=tmp_path, columns=2000)
    assert "\npay\\x1b[31m,ws_1," in on_terminal.text
    assert b"\x1b" not in on_terminal.raw


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_an_export_takes_little_memory(
    run: Callable[..., Output], refill: Callable[..., Refill], tmp_path: Path, form: str
) -> None:
    """It does not grow with the number of refills."""
    refill("pay_1")
    with sqlite3.connect(tmp_path / "refills.db") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(oneloop_refills)")][2:]
        names = ", ".join(columns)
        copies = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) "
            "INSERT INTO oneloop_refills (id, NAMES) "
            "SELECT 'copy_' || i, NAMES FROM n, oneloop_refills"
        )
        database.execute(copies.replace("NAMES", names))
    database.close()
    run("export", "--format", form, "--state", "unknown")  # imports what it needs

    written: list[int] = []

    class Nowhere(io.StringIO):
        def write(self, text: str) -> int:
            written.append(len(text))
            return len(text)

    tracemalloc.start()
    out, sys.stdout = sys.stdout, Nowhere()
    try:
        assert run("export", "--format", form).code == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        sys.stdout = out
        tracemalloc.stop()
    assert sum(written) > 150_000
    assert max(written) < sum(written) / 2
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("refills.db", "refills.db"),
        ("postgresql://u:secret@db:5432/name", "postgresql://u@db:5432/name"),
        ("postgresql://u:se/cret@db/name", "postgresql://u@db/name"),
        ("postgresql://u:se#cret@db/name", "postgresql://u@db/name"),
        ("postgresql://u:se?cret@db/name", "postgresql://u@db/name"),
        ("postgresql://u:se[cret@db/name", "postgresql://u@db/name"),
        ("postgresql://db/name?user=u&password=secret", "postgresql://db/name"),
    ],
)
def test_a_password_is_never_shown(given: str, name: str) -> None:
    """Neither where it stands in the URL nor among its options."""
    with Ledger(given) as ledger:
        assert ledger_name(ledger, given) == name


NASTY = (
    *("pay_1", "pay 1", "-x", "--", "it's", "a\\b", "$HOME", "`id`", "!x", "\n", "é", "\u202eevil"),
    *("pay\x1b]0;pwned\x07\x1b[31m", "\u00a0", "\udcff", "'\x1b\\'"),
)


@pytest.mark.parametrize("text", NASTY)
def test_a_command_that_is_shown_can_be_copied(text: str) -> None:
    """A terminal shows all of it as it is, and a shell gives the command what was meant."""
    argument = quoted(text)
    assert argument.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf '%s|' {argument}"], capture_output=True, check=True
    )
    assert done.stdout == os.fsencode(f"{text}|")


@pytest.mark.parametrize("name", ["pay\x1b]0;pwned\x07\u202eevil", "-x", "--wait"])
def test_an_id_does_not_change_the_terminal_or_the_command(
    run: Callable[..., Output],
    refill: Callable[..., Refill],
    settings: dict[str, str],
    tmp_path: Path,
    name: str,
) -> None:
    """What to do is shown as text, and does what it says."""
    refill(name, "drop-after")
    end = ("--", name) if name.startswith("-") else (name,)
    done = run("show", *end)
    assert done.code == 0
    assert done.out.replace("\n", "").isprintable()
    command = done.out.rpartition("What to do: ")[2].partition(": oneloop ")[2].strip()
    assert command.startswith("ledger settle ")
    command = command.replace(" --wait", " --quiet 0", 1)
    settled = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m oneloop {command}"],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=PATIENCE,
    )
    assert (settled.returncode, settled.stderr) == (4, "")
    assert settled.stdout.replace("\n", "").isprintable()
    asked = run("settle", "--quiet", "0", "--other-writers")
    assert (asked.code, "ledger decide ID --ledger refills.db --applied" in asked.out) == (4, True)
    one = run("show", *end)
    assert one.out.replace("\n", "").isprintable()
    end_ = f" -- {quoted(name)}\n" if name.startswith("-") else " --note TEXT\n"
    assert one.out.endswith(end_)
    assert f"ledger decide {'' if end_[1] == '-' and name.startswith('-') else quoted(name)}" in (
        one.out
    )


def test_a_database_that_cannot_be_reached(run: Callable[..., Output]) -> None:
    """The error names it without its password."""
    done = run("show", "--ledger", "postgresql://u:secret@127.0.0.1:1/name")
    assert done.code == 5
    assert "postgresql" in done.err
    assert "secret" not in done.err


def test_a_ledger_in_postgresql(
    run: Callable[..., Output], sandbox: Sandbox, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same commands work there."""
    monkeypatch.setenv("ONELOOP_LEDGER", postgres)
    assert run("show").code == 2
    assert run("create").out.startswith("a new ledger was made: postgresql://")
    name = ("--workspace-id", "ws_1", "--external-meter-id", "acme")
    assert main(["refill", "--id", "pay_1", *name, "--refill", "5"]) == 0
    assert "state      applied\n" in run("show", "pay_1").out
    assert run("export", "--format", "jsonl").out.count("\n") == 1
    Path("refills.csv").write_text(
        "id,workspace_id,external_meter_id,refill\npay_1,ws_1,acme,5\npay_2,ws_1,acme,7\n"
    )
    assert main(["refill", "--from", "refills.csv", "--yes"]) == 0
    meter = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    assert meter.total_credits == 1012
