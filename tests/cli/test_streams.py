"""Standard streams that are closed or full, as in services, cron jobs and on full disks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from oneloop.ledger import Ledger, State
from oneloop.sandbox import Sandbox
from tests.cli.conftest import answering
from tests.cli.terminal import PATIENCE, Output, environment

ONE = "refill --id pay_1 -w ws_1 -m acme --refill 5 --ledger refills.db"
MANY = "refill --from refills.csv --ledger refills.db --yes"
FULL = "oneloop: the standard output cannot be written: No space left on device\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a folder with a file of refills, and a ledger."""
    monkeypatch.chdir(tmp_path)
    with Ledger("refills.db") as ledger:
        ledger.create()
    row = "pay_1,ws_1,acme,5\n"
    Path("refills.csv").write_text(f"id,workspace_id,external_meter_id,refill\n{row}")


def bash(line: str, settings: dict[str, str]) -> Output:
    """Run a command in bash, for its redirections."""
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m oneloop {line}"],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )
    return Output(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("command", [ONE, MANY, f"{MANY} --json"])
@pytest.mark.parametrize(
    ("streams", "said"),
    [
        ("<&-", ""),
        (">&-", ""),
        ("2>&-", ""),
        ("<&- >&- 2>&-", ""),
        (">/dev/full", FULL),
        (">/dev/full 2>/dev/full", ""),
        ("2>/dev/full", ""),
    ],
)
def test_the_exit_code_of_a_refill_is_its_outcome(
    command: str, streams: str, said: str, settings: dict[str, str], sandbox: Sandbox
) -> None:
    """Nothing is said but that the output is lost, and the ledger has the refill."""
    done = bash(f"{command} {streams}", settings)
    assert (done.code, done.err) == (0, said)
    assert ("applied" in done.out) == (">&-" not in streams.split() and ">/dev/full" not in (
        streams.split()
    ))  # fmt: skip
    with Ledger("refills.db") as ledger:
        assert ledger.totals()[State.APPLIED] == (1, 5)
    meter = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    assert meter.total_credits == 1005


def test_what_is_unknown_keeps_its_exit_code(settings: dict[str, str], sandbox: Sandbox) -> None:
    """Also where nobody sees what is said."""
    sandbox.misbehave("drop-after", operation="refill_billing_limit")
    assert bash(f"{ONE} >&- 2>&-", settings) == (4, "", "")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("spec", 4),
        ("meter show -w ws_1 -m acme", 4),
        ("get-workspace --json", 4),
        ("refill-billing-limit --workspace-id ws_1 --external-meter-id acme --refill 5", 0),
    ],
)
def test_what_only_shows_has_failed_where_it_cannot(
    command: str, code: int, settings: dict[str, str]
) -> None:
    """A file that has not got all of an export is none; what took effect has done so."""
    assert bash(f"{command} >/dev/full", settings) == (code, "", FULL)


def test_a_help_that_cannot_be_written(settings: dict[str, str]) -> None:
    """It is an error as well, in one line."""
    expected = "oneloop: [Errno 28] No space left on device\n"
    assert bash("--help >/dev/full", settings) == (4, "", expected)


@pytest.mark.parametrize("command", ["", "xyzzy", "meter", "spec --xyzzy"])
@pytest.mark.parametrize("streams", ["2>/dev/full", "2>&-", ">&- 2>&-"])
def test_wrong_arguments_where_nobody_reads_it(
    command: str, streams: str, settings: dict[str, str]
) -> None:
    """The exit code is that of wrong arguments."""
    assert bash(f"{command} {streams}", settings) == (2, "", "")


def test_a_closed_input_is_an_empty_one(settings: dict[str, str]) -> None:
    """No question is asked, and no connection gets the number of the input."""
    done = bash("refill --from - --ledger refills.db --yes <&-", settings)
    assert done.code == 2
    assert "the file is empty" in done.err
    done = bash("refill --from refills.csv --ledger refills.db <&-", settings)
    assert done.code == 2
    assert "there is no terminal to ask on" in done.err


def test_a_document_is_whole(settings: dict[str, str], sandbox: Sandbox) -> None:
    """What is written before an output is lost does not count as more."""
    sandbox.misbehave(answering({"billing": None}))
    done = bash("get-customer-billing --workspace-id w --external-meter-id m --json", settings)
    assert (done.code, json.loads(done.out)) == (3, {"billing": None})
