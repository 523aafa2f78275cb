"""The benchmarks run, and the budget tells what has grown. How fast anything is, is not tested."""

import json
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import attrs
import pytest

from benchmarks import budgeting, chart, peering, report
from benchmarks.calls import ANSWER
from benchmarks.peers import slots
from benchmarks.rounds import Ratio, Results
from oneloop import DecodeError, models
from tests import ROOT

LINES = {"modules": 10, "instructions": 1000}


def test_a_quick_run_measures_what_needs_no_installing(tmp_path: Path) -> None:
    """Raw socket, bare engines and ours, through the whole harness, into a table and a chart."""
    command = [ROOT / "benchmarks" / "run", "--quick", "--output", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "failed" not in result.stderr
    text = (tmp_path / "benchmarks.md").read_text("utf-8")
    for title in ("raw socket", "bare pyreqwest", "**oneloop**", "bare httpx"):
        calls, rates, starts, memory, *_ = [
            line.split(" | ")[1:] for line in text.splitlines() if line.startswith(f"| {title} |")
        ]
        for told in (*calls, *rates[:2], *starts[2:4], memory[1]):
            assert any(digit.isdigit() for digit in told), (title, calls, rates, starts, memory)
    alone, _version = [  # in no other table
        line.split(" | ")[1:] for line in text.splitlines() if line.startswith("| slots by hand |")
    ]
    for told in (*alone[1:4], alone[-1]):
        assert any(digit.isdigit() for digit in told), alone
    drawn = ET.parse(tmp_path / "benchmarks.svg")  # noqa: S314 - written a moment ago, by us
    assert drawn.getroot().tag.endswith("svg")


def test_a_name_that_is_no_peer_is_told() -> None:
    """One line, and nothing is measured."""
    command = [sys.executable, "-m", "benchmarks", "nobody"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "benchmarks/run: no such peer: nobody\n"


def test_an_environment_that_cannot_be_made_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a registry a peer has nothing to be installed from: one line says which."""
    monkeypatch.setattr(peering, "VENVS", tmp_path)
    monkeypatch.setattr(peering, "ROOT", tmp_path)
    for variable, value in {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    (peer,) = (peer for peer in peering.PEERS if peer.name == "httpx")
    with pytest.raises(peering.SetupError, match=r"could not install httpx\.txt: ERROR: [^\n]+$"):
        peering.interpreter(peer)


def test_every_peer_has_its_adapter_and_what_it_needs() -> None:
    """A module each, and locked requirements for each that has any; none is left over."""
    adapters = {path.stem for path in (ROOT / "benchmarks" / "peers").glob("[!_]*.py")}
    locked = {path.stem for path in (ROOT / "benchmarks" / "peers").glob("*.txt")}
    assert adapters == {peer.name for peer in peering.PEERS}
    assert locked == adapters - {"raw"}


def test_ratios_are_taken_within_a_round() -> None:
    """The machine was twice as slow in the second round: the ratio does not change."""
    results = Results()
    for turn, (ours, theirs) in enumerate([(1.0, 2.0), (2.0, 4.0), (1.0, 4.0)]):
        results.add("cpu", "default", turn, ours)
        results.add("cpu", "httpx", turn, theirs)
    assert results.ratio("cpu", "default", "httpx") == Ratio(0.5, 0.375, 0.5)


def test_a_round_without_a_value_is_left_out() -> None:
    """A peer that failed once is compared in the other rounds."""
    results = Results()
    results.add("cpu", "default", 0, 1.0)
    results.add("cpu", "default", 1, 3.0)
    results.add("cpu", "httpx", 1, 4.0)
    assert results.ratio("cpu", "default", "httpx") == Ratio(0.75, 0.75, 0.75)
    assert results.ratio("cpu", "fast", "httpx") is None


def test_what_makes_no_calls_is_told_with_the_models_alone() -> None:
    """It is no row of another table, nor of the README's, and no column of the goals."""
    peers = peering.chosen(["default", "slots", "msgspec"])
    silent = [peer.title for peer in peers if not peer.calls]
    text = report.document(Results(), peers, report.Facts([], {}))
    tables = {part.partition("\n")[0]: part for part in text.split("\n## ")}
    for title in silent:
        rows = {head for head, part in tables.items() if f"| {title} |" in part}
        assert rows == {"Models alone", "What is compared"}
        assert title not in report.goals(Results(), peers) + report.summary(Results(), peers)
    assert len(silent) == 2


def test_models_are_a_part_of_a_whole_call_of_ours() -> None:
    """Of a blocking one, in the same round and unit, whoever's models they are."""
    results = Results()
    for turn in range(2):
        results.add("from bytes", "msgspec", turn, 5.0)
        results.add("cpu", "default", turn, 200.0 + turn * 50)
    text = report.document(results, peering.chosen(["msgspec"]), report.Facts([], {}))
    assert "| msgspec | - | - | 5 | - | - | - | 2.2% (2.1% to 2.4%) |" in text


def test_slots_by_hand_read_as_our_models_do() -> None:
    """The same values of the same answer, and the same errors, so that only classes differ."""
    ours = models.RefillCustomerBillingMeterResponse
    theirs = slots.RefillCustomerBillingMeterResponse
    answer = json.loads(ANSWER) | {"new": 1}
    answer["billing"]["newer"] = 2
    wanted, read = ours.from_dict(answer), theirs.from_dict(answer)
    values = {name: getattr(read.billing, name) for name in slots.CustomerBillingMeter.__slots__}
    assert values == attrs.asdict(wanted)["billing"]
    assert read.additional_properties == wanted.additional_properties == {"new": 1}
    for broken in ({}, {"billing": {}}, {"billing": answer["billing"] | {"totalCredits": "-1"}}):
        told = []
        for model in (ours, theirs):
            with pytest.raises(DecodeError) as caught:
                model.from_dict(broken)
            told.append(str(caught.value))
        assert told[0] == told[1]


def test_the_readme_keeps_its_place_for_the_table() -> None:
    """Both marks are there, in this order, once."""
    from benchmarks.__main__ import END, START

    text = (ROOT / "README.md").read_text("utf-8")
    assert (text.count(START), text.count(END)) == (1, 1)
    assert text.index(START) < text.index(END)


def test_a_bar_without_a_number_says_so() -> None:
    """And does not break the chart."""
    panel = chart.Panel("µs", "shorter is better", [chart.Bar("a & b", None)])
    drawn = ET.fromstring(chart.draw([panel], "a < b"))  # noqa: S314 - made by us
    assert "none" in [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]


def test_every_goal_names_what_is_measured(tmp_path: Path) -> None:
    """A goal whose measurement is renamed would go unseen."""
    measured = {"cpu", "async 10", "async 100", "async 1000", "import", "first", "answered"}
    assert {name for goal in report.GOALS for name in (goal.name, goal.to_name or goal.name)} <= (
        measured
    )


def test_a_goal_that_was_missed_is_marked() -> None:
    """Whichever side of its limit is the wrong one."""
    peers = [peer for peer in peering.PEERS if peer.name == "default"]
    results = Results()
    for name, ours, theirs in [("cpu", 0.7, 1.0), ("async 100", 3.4, 1.0), ("import", 0.1, 1.0)]:
        results.add(name, "default", 0, ours)
        results.add(name, "httpx", 0, theirs)
    marks = [line.count(", missed") for line in report.goals(results, peers).splitlines()[2:]]
    assert marks == [1, 1, 0, 0, 0, 0]


def test_a_count_past_its_line_is_wrong() -> None:
    """By one is enough, as counts are the same on every run."""
    assert budgeting.compare(LINES | {"modules": 11}, LINES) == (
        ["modules: 11, and its line says 10"],
        [],
    )


def test_a_count_well_below_its_line_is_told() -> None:
    """So that the line can be tightened; a little below it is not worth a word."""
    told = ["instructions: 900, and its line says 1000"]
    assert budgeting.compare(LINES | {"instructions": 900}, LINES) == ([], told)
    assert budgeting.compare(LINES | {"instructions": 990}, LINES) == ([], [])


def test_a_count_and_a_line_need_each_other() -> None:
    """A new count without a line, and a line that nothing is counted for any more, are wrong."""
    wrong, _ = budgeting.compare({"modules": 10, "new": 1}, LINES)
    assert wrong == ["new: 1, and has no line", "instructions: has a line, and is not counted"]


def test_the_budget_fails_and_names_what_has_grown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until its line is changed, by --update; lines of other versions stay as they are."""
    monkeypatch.setattr(budgeting, "FILE", tmp_path / "budget.toml")
    budgeting.write(budgeting.FILE, {"3.9": LINES, budgeting.VERSION: LINES})
    monkeypatch.setattr(budgeting, "counted", lambda: LINES | {"modules": 11})
    assert budgeting.main([]) == 1
    assert "modules: 11, and its line says 10" in capsys.readouterr().out
    assert budgeting.main(["--update"]) == 0
    assert budgeting.main([]) == 0
    expected = {"3.9": LINES, budgeting.VERSION: LINES | {"modules": 11}}
    assert json.dumps(budgeting.read(budgeting.FILE)) == json.dumps(expected)


def test_each_python_that_we_support_has_its_lines() -> None:
    """The same ones, so that no version goes unchecked; pyproject.toml names the versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = "Programming Language :: Python :: 3."
    supported = {
        text.rpartition(" ")[2] for text in project["classifiers"] if text.startswith(named)
    }
    versions = budgeting.read(budgeting.FILE)
    assert supported == set(versions)
    assert len({tuple(lines) for lines in versions.values()}) == 1


def test_a_version_of_python_without_lines_is_not_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said, and no failure: its instructions are others."""
    monkeypatch.setattr(budgeting, "FILE", tmp_path / "budget.toml")
    assert budgeting.main([]) == 0
    assert f"no lines for Python {budgeting.VERSION}" in capsys.readouterr().out
