"""The benchmarks run, and the budget reports growth. No test depends on the machine's speed."""

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

LIMITS = {"modules": 10, "instructions": 1000}


def test_a_quick_run_measures_what_needs_no_installing(tmp_path: Path) -> None:
    """A quick run measures the peers without requirements, and writes tables and a chart."""
    command = [ROOT / "benchmarks" / "run", "--quick", "--output", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "failed" not in result.stderr
    text = (tmp_path / "benchmarks.md").read_text("utf-8")
    for title in ("raw socket", "bare pyreqwest", "**oneloop**", "bare httpx"):
        calls, rates, starts, memory, *_ = [
            line.split(" | ")[1:] for line in text.splitlines() if line.startswith(f"| {title} |")
        ]
        for cell in (*calls, *rates[:2], *starts[2:4], memory[1]):
            assert any(digit.isdigit() for digit in cell), (title, calls, rates, starts, memory)
    alone, _version = [  # is in no other table
        line.split(" | ")[1:] for line in text.splitlines() if line.startswith("| slots by hand |")
    ]
    for cell in (*alone[1:4], alone[-1]):
        assert any(digit.isdigit() for digit in cell), alone
    drawn = ET.parse(tmp_path / "benchmarks.svg")  # noqa: S314 - written above, by us
    assert drawn.getroot().tag.endswith("svg")


def test_an_unknown_peer_is_reported() -> None:
    """An unknown peer is a one-line error, and nothing is measured."""
    command = [sys.executable, "-m", "benchmarks", "nobody"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "benchmarks/run: no such peer: nobody\n"


def test_an_environment_that_cannot_be_created_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If a peer cannot be installed, one line names its requirements."""
    monkeypatch.setattr(peering, "VENVS", tmp_path)
    monkeypatch.setattr(peering, "ROOT", tmp_path)
    for variable, value in {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    (peer,) = (peer for peer in peering.PEERS if peer.name == "httpx")
    with pytest.raises(peering.SetupError, match=r"could not install httpx\.txt: ERROR: [^\n]+$"):
        peering.interpreter(peer)


def test_every_peer_has_an_adapter_and_requirements() -> None:
    """Each peer has a module and, except the raw socket, a lock file; no file is left over."""
    adapters = {path.stem for path in (ROOT / "benchmarks" / "peers").glob("[!_]*.py")}
    locked = {path.stem for path in (ROOT / "benchmarks" / "peers").glob("*.txt")}
    assert adapters == {peer.name for peer in peering.PEERS}
    assert locked == adapters - {"raw"}


def test_ratios_are_taken_within_a_round() -> None:
    """A machine that is twice as slow in the second round does not change the ratio."""
    results = Results()
    for turn, (ours, theirs) in enumerate([(1.0, 2.0), (2.0, 4.0), (1.0, 4.0)]):
        results.add("cpu", "default", turn, ours)
        results.add("cpu", "httpx", turn, theirs)
    assert results.ratio("cpu", "default", "httpx") == Ratio(0.5, 0.375, 0.5)


def test_a_round_without_a_value_is_left_out() -> None:
    """A peer that failed in one round is compared in the other rounds."""
    results = Results()
    results.add("cpu", "default", 0, 1.0)
    results.add("cpu", "default", 1, 3.0)
    results.add("cpu", "httpx", 1, 4.0)
    assert results.ratio("cpu", "default", "httpx") == Ratio(0.75, 0.75, 0.75)
    assert results.ratio("cpu", "fast", "httpx") is None


def test_a_peer_without_calls_appears_with_the_models_only() -> None:
    """A peer that makes no calls appears only in the tables of models and of peers."""
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
    """The share of models is relative to our blocking call in the same round."""
    results = Results()
    for turn in range(2):
        results.add("from bytes", "msgspec", turn, 5.0)
        results.add("cpu", "default", turn, 200.0 + turn * 50)
    text = report.document(results, peering.chosen(["msgspec"]), report.Facts([], {}))
    assert "| msgspec | - | - | 5 | - | - | - | 2.2% (2.1% to 2.4%) |" in text


def test_slots_by_hand_decode_as_our_models_do() -> None:
    """Hand-written slots return the same values and errors, so only the classes are compared."""
    ours = models.RefillCustomerBillingMeterResponse
    theirs = slots.RefillCustomerBillingMeterResponse
    answer = json.loads(ANSWER) | {"new": 1}
    answer["billing"]["newer"] = 2
    wanted, read = ours.from_dict(answer), theirs.from_dict(answer)
    values = {name: getattr(read.billing, name) for name in slots.CustomerBillingMeter.__slots__}
    assert values == attrs.asdict(wanted)["billing"]
    assert read.additional_properties == wanted.additional_properties == {"new": 1}
    for broken in ({}, {"billing": {}}, {"billing": answer["billing"] | {"totalCredits": "-1"}}):
        messages = []
        for model in (ours, theirs):
            with pytest.raises(DecodeError) as caught:
                model.from_dict(broken)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


def test_the_readme_has_the_marks_around_the_table() -> None:
    """Both marks occur once in the README, and in the right order."""
    from benchmarks.__main__ import END, START

    text = (ROOT / "README.md").read_text("utf-8")
    assert (text.count(START), text.count(END)) == (1, 1)
    assert text.index(START) < text.index(END)


def test_a_bar_without_a_value_says_so() -> None:
    """The chart can be drawn even if a measurement is missing."""
    panel = chart.Panel("µs", "shorter is better", [chart.Bar("a & b", None)])
    drawn = ET.fromstring(chart.draw([panel], "a < b"))  # noqa: S314 - created by us
    assert "no value" in [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]


def test_every_goal_names_what_is_measured(tmp_path: Path) -> None:
    """Every goal names a measurement that exists; otherwise it would silently have no value."""
    measured = {"cpu", "async 10", "async 100", "async 1000", "import", "first", "answered"}
    assert {name for goal in report.GOALS for name in (goal.name, goal.to_name or goal.name)} <= (
        measured
    )


def test_a_goal_that_was_missed_is_marked() -> None:
    """Goals with an upper or a lower limit are marked if they are missed."""
    peers = [peer for peer in peering.PEERS if peer.name == "default"]
    results = Results()
    for name, ours, theirs in [("cpu", 0.7, 1.0), ("async 100", 3.4, 1.0), ("import", 0.1, 1.0)]:
        results.add(name, "default", 0, ours)
        results.add(name, "httpx", 0, theirs)
    marks = [line.count(", missed") for line in report.goals(results, peers).splitlines()[2:]]
    assert marks == [1, 1, 0, 0, 0, 0]


def test_a_count_above_its_limit_is_wrong() -> None:
    """One more than the limit is an error, because counts are the same in every run."""
    assert budgeting.compare(LIMITS | {"modules": 11}, LIMITS) == (
        ["modules: 11, limit 10"],
        [],
    )


def test_a_count_well_below_its_limit_is_reported() -> None:
    """A count far below its limit is reported, so that the limit can be lowered."""
    reported = ["instructions: 900, limit 1000"]
    assert budgeting.compare(LIMITS | {"instructions": 900}, LIMITS) == ([], reported)
    assert budgeting.compare(LIMITS | {"instructions": 990}, LIMITS) == ([], [])


def test_counts_and_limits_need_each_other() -> None:
    """A count without a limit is wrong, and so is a limit without a count."""
    wrong, _ = budgeting.compare({"modules": 10, "new": 1}, LIMITS)
    assert wrong == ["new: 1, no limit", "instructions: has a limit but is not counted"]


def test_the_budget_fails_and_names_what_has_grown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The budget fails until --update changes the limit of this version of Python alone."""
    monkeypatch.setattr(budgeting, "FILE", tmp_path / "budget.toml")
    budgeting.write(budgeting.FILE, {"3.9": LIMITS, budgeting.VERSION: LIMITS})
    monkeypatch.setattr(budgeting, "counted", lambda: LIMITS | {"modules": 11})
    assert budgeting.main([]) == 1
    assert "modules: 11, limit 10" in capsys.readouterr().out
    assert budgeting.main(["--update"]) == 0
    assert budgeting.main([]) == 0
    expected = {"3.9": LIMITS, budgeting.VERSION: LIMITS | {"modules": 11}}
    assert json.dumps(budgeting.read(budgeting.FILE)) == json.dumps(expected)


def test_each_supported_python_has_limits() -> None:
    """Each version in pyproject.toml has limits for the same counts."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = "Programming Language :: Python :: 3."
    supported = {
        text.rpartition(" ")[2] for text in project["classifiers"] if text.startswith(named)
    }
    versions = budgeting.read(budgeting.FILE)
    assert supported == set(versions)
    assert len({tuple(limits) for limits in versions.values()}) == 1


def test_a_version_of_python_without_limits_is_not_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version of Python without limits is reported and does not fail."""
    monkeypatch.setattr(budgeting, "FILE", tmp_path / "budget.toml")
    assert budgeting.main([]) == 0
    assert f"no limits for Python {budgeting.VERSION}" in capsys.readouterr().out
