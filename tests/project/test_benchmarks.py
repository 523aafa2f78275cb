"""The benchmarks run, and the budget reports growth. No test depends on the machine's speed."""

import json
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest

from benchmarks import budgeting, chart, harness, peering, report, rounds
from benchmarks.calls import ANSWER
from benchmarks.peering import Peer, SetupError
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
    for title in ("raw socket", "**oneloop**", "bare httpx"):
        calls, rates, tls, starts, memory, *_ = [
            line.split(" | ")[1:] for line in text.splitlines() if line.startswith(f"| {title} |")
        ]
        for cell in (*calls, *rates[:2], rates[-1], *tls[:3], tls[-1], *starts[2:4], memory[1]):
            assert any(map(str.isdigit, cell)), (title, calls, rates, tls, starts, memory)
    alone, _version = [  # is in no other table
        line.split(" | ")[1:] for line in text.splitlines() if line.startswith("| slots by hand |")
    ]
    for cell in (*alone[1:4], alone[-1]):
        assert any(digit.isdigit() for digit in cell), alone
    drawn = ET.parse(tmp_path / "benchmarks.svg")  # noqa: S314 - written above, by us
    assert drawn.getroot().tag.endswith("svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody"], "no such peer: nobody"),
        (["--quick", "--python", "/nowhere"], "cannot run /nowhere: No such file or directory"),
    ],
)
def test_a_wrong_argument_is_reported(arguments: list[str], message: str) -> None:
    """An unknown peer or Python is a one-line error, and nothing is measured."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == f"benchmarks/run: {message}\n"


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
    """Each peer has a module and, if its environment needs one, a lock file; none is left over."""
    adapters = {path.stem for path in (ROOT / "benchmarks" / "peers").glob("[!_]*.py")}
    locked = {path.stem for path in (ROOT / "benchmarks" / "peers").glob("*.txt")}
    assert adapters == {peer.name for peer in peering.PEERS}
    sharing = {peer.name: peer.shares for peer in peering.PEERS if peer.shares}
    assert locked == adapters - {"raw", *sharing}
    assert set(sharing.values()) < locked


def test_ratios_are_taken_within_a_round() -> None:
    """A machine that is twice as slow in the second round does not change the ratio."""
    results = Results()
    for turn, (ours, theirs) in enumerate([(1.0, 2.0), (2.0, 4.0), (1.0, 4.0)]):
        results.add("cpu", "default", turn, ours)
        results.add("cpu", "httpx", turn, theirs)
    ratio = results.ratio("cpu", "default", "httpx")
    assert ratio == Ratio([0.5, 0.5, 0.25])
    assert (ratio.median, ratio.low, ratio.high) == (0.5, 0.25, 0.5)


def test_a_round_without_a_value_is_left_out() -> None:
    """A peer that failed in one round is compared in the other rounds."""
    results = Results()
    results.add("cpu", "default", 0, 1.0)
    results.add("cpu", "default", 1, 3.0)
    results.add("cpu", "httpx", 1, 4.0)
    assert results.ratio("cpu", "default", "httpx") == Ratio([0.75])
    assert results.ratio("cpu", "raw", "httpx") is None


def test_a_peer_without_calls_appears_with_the_models_only() -> None:
    """A peer that makes no calls appears only in the tables of models and of peers."""
    peers = peering.chosen(["default", "slots", "msgspec"])
    silent = [peer.title for peer in peers if not peer.calls]
    text = report.document(Results(), peers, report.Facts([], {}))
    tables = {part.partition("\n")[0]: part for part in text.split("\n## ")}
    for title in silent:
        rows = {head for head, part in tables.items() if f"| {title} |" in part}
        assert rows == {"Models alone", "What is compared"}
        assert title not in report.summary(Results(), peers)
    assert len(silent) == 2


def test_models_are_a_part_of_a_whole_call_of_ours() -> None:
    """The share of models is relative to our blocking call in the same round."""
    results = Results()
    for turn in range(2):
        results.add("from bytes", "msgspec", turn, 5.0)
        results.add("cpu", "default", turn, 200.0 + turn * 50)
    text = report.document(results, peering.chosen(["msgspec"]), report.Facts([], {}))
    assert "| msgspec | - | - | 5 | - | - | - | 2.2% (2.0% to 2.5%) |" in text


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


def test_every_goal_names_what_is_measured() -> None:
    """Every goal names a measurement and a peer that exist, or it would never have a value."""
    measured = {"cpu", "cpu tls", "async 10", "async 100", "async 1000", "import"}
    measured |= {"first", "first tls", "answered"}
    named = {name for goal in report.GOALS for name in (goal.name, goal.to_name or goal.name)}
    assert named <= measured
    assert {goal.to for goal in report.GOALS} <= {peer.name for peer in peering.PEERS}


def test_a_goal_says_in_how_many_rounds_it_was_reached() -> None:
    """A goal is reached if it is in every round; the range of the rounds is shown."""
    results = Results()
    for turn, (cpu, rate) in enumerate([(0.1, 50.0), (0.18, 44.0), (0.12, 46.0)]):
        for name, ours in {"cpu": cpu, "async 100": rate, "import": 0.2}.items():
            results.add(name, "default", turn, ours)
            results.add(name, "httpx", turn, 1.0)
    rows = [line.strip("| ").split(" | ") for line in report.goals(results).splitlines()]
    assert rows[0] == ["figure", "goal", "measured (min to max of rounds)", "reached"]
    found = {(row[0], *row[1:]) for row in rows[2:] if row[2] != "-"}
    assert found == {
        ("CPU per blocking call / bare httpx", "at most 0.18", "0.12 (0.10 to 0.18)", "yes"),
        (
            "async calls/s, 100 in flight / bare httpx",
            *("at least 45", "46.0 (44.0 to 50.0)", "in 2 of 3 rounds"),
        ),
        ("`import oneloop` / `import httpx`", "at most 0.12", "0.20 (0.20 to 0.20)", "no"),
    }


PEERS = {
    "quiet": "from benchmarks.peers.raw import make_async",
    "wasteful": """
from benchmarks.peers import raw
def make(url):
    return lambda: raw.make(url)()
def make_async(url):
    return raw.make_async(url)
""",
    "careless": """
from benchmarks.peers import raw
def make(url):
    call = raw.make(url)
    return lambda: bool(call())
""",
}
"""Peers that have no blocking call, open a connection for each call, and do not decode."""


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, harness.Client]]:
    """Return clients for `PEERS`, in a copy of the benchmarks."""
    copy = tmp_path_factory.mktemp("copy") / "benchmarks"
    ignored = shutil.ignore_patterns(".venvs", "__pycache__")
    shutil.copytree(ROOT / "benchmarks", copy, ignore=ignored)
    for name, text in PEERS.items():
        (copy / "peers" / f"{name}.py").write_text(text, "utf-8")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(harness, "HERE", copy)
        endpoint = stack.enter_context(harness.serving())
        python = Path(sys.executable)
        yield {
            name: stack.enter_context(
                harness.Client(Peer(name, name, blocking=name != "quiet"), python, endpoint)
            )
            for name in PEERS
        }


def test_a_peer_without_a_blocking_call_has_dashes(clients: dict[str, harness.Client]) -> None:
    """It has values for async calls and its start, and dashes in the tables of blocking calls."""
    said: list[str] = []
    client = clients["quiet"]
    results = rounds.run([client], rounds.QUICK, said.append)
    assert not [line for line in said if "failed" in line]
    assert {name for name, of in results.values.items() if of["quiet"]} == {
        *("first", "answered", "first tls", "async 1", "async cpu 1", "async 10", "async cpu 10"),
        *("async 10 tls", "async cpu 10 tls"),
    }
    text = report.document(results, [client.peer], report.Facts([], {}))
    assert "\n| quiet | - | - | - |\n" in text


def test_another_python_is_measured_less(clients: dict[str, harness.Client]) -> None:
    """Under another Python, only the figures of its table are measured, under its version."""
    quiet = clients["quiet"]
    peer = Peer("raw", "raw socket")
    said: list[str] = []
    effort = attrs.evolve(rounds.QUICK, in_flight=(10, rounds.BUSY, 1000))
    with harness.Client(peer, quiet.python, quiet.endpoint, "3.99.0") as client:
        results = rounds.run([client], effort, said.append)
    assert not [line for line in said if "failed" in line]
    figures = {"first", "answered", "cpu", "wall", "async 100", "async cpu 100"}
    assert {name: list(of) for name, of in results.values.items()} == {
        name: ["raw, Python 3.99.0"] for name in figures
    }


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("wasteful", "opened 20 connections for 20 sync calls of http://"),
        ("careless", "ValueError: its answer is not the decoded response: True"),
    ],
)
def test_a_peer_that_does_less_or_more_than_the_others_is_not_measured(
    clients: dict[str, harness.Client], name: str, problem: str
) -> None:
    """A peer that does not decode responses or keep its connection is reported and left out."""
    said: list[str] = []
    assert rounds.run([clients[name]], rounds.QUICK, said.append) == Results()
    assert said[0].startswith(f"{name} failed, and is not measured: {problem}")


def test_a_python_is_described_by_itself(tmp_path: Path) -> None:
    """A Python that does not run, cannot create environments or is too old is reported."""
    assert peering.described(sys.executable).build == sys.version

    def launcher(text: str) -> str:
        script = tmp_path / "python"
        script.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
        script.chmod(0o755)
        return str(script)

    old = json.dumps(["/usr/bin/python3.9", "3.9.18", "3.9.18 (main)"])
    for text, problem in {
        "echo 'not installed' >&2; exit 127": "cannot be used: not installed",
        f"echo '{old}'": "is Python 3.9.18; oneloop needs 3.11 or later",
    }.items():
        with pytest.raises(SetupError, match=problem):
            peering.described(launcher(text))


def test_the_pythons_on_the_path_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each other version is found once, the oldest first, without launchers that start nothing."""
    for name, version in {"3.11": "3.11.99", "3.13": "3.13.1", "3.14": "3.9.0"}.items():
        script = tmp_path / f"python{name}"
        described = json.dumps([str(script), version, version])
        script.write_text(f"#!/bin/sh\necho '{described}'\n", "utf-8")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = peering.installed()
    assert [python.version for python in found] == ["3.11.99", "3.13.1"]
    assert peering.others([*found[::-1], peering.RUNNING, found[0]]) == found


def test_each_python_has_environments_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An environment is for one Python, and is shared by the peers that need the same."""
    monkeypatch.setattr(peering, "ROOT", tmp_path)
    monkeypatch.setattr(peering, "VENVS", tmp_path)
    peers = {peer.name: peer for peer in peering.PEERS}
    other = attrs.evolve(peering.RUNNING, version="3.99.0", build="3.99.0 (main)")
    made = peering.interpreter(peers["raw"], other)
    assert made.parts[-3:] == ("raw-3.99.0", "bin", "python")
    assert made.exists()
    (tmp_path / "default").mkdir()
    monkeypatch.setattr(peering, "_made_of", lambda *_of: "the same")
    (tmp_path / "default" / "made-of").write_text("the same", "utf-8")
    assert peering.interpreter(peers["default_httpx"]) == peering.interpreter(peers["default"])


def test_ratios_under_another_python_are_against_httpx_there() -> None:
    """The rows of each Python compare with bare httpx under that Python, the oldest first."""
    results = Results()
    for version, ours, theirs in [("", 1.0, 5.0), (", Python 3.9.1", 3.0, 6.0)]:
        results.add("cpu", f"default{version}", 0, ours)
        results.add("cpu", f"httpx{version}", 0, theirs)
    facts = report.Facts([], {}, "3.11.7", ["3.9.1"])
    text = report.document(results, peering.chosen(["default", "httpx", "plain"]), facts)
    part = text.partition("## Versions of Python")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[:3] for line in part.splitlines() if line.startswith("| 3.")]
    assert rows == [
        ["| 3.9.1: **oneloop**", "3", "0.50 (0.50 to 0.50)"],
        ["| 3.9.1: bare httpx", "6", "1.00 (1.00 to 1.00)"],
        ["| 3.11.7: **oneloop**", "1", "0.20 (0.20 to 0.20)"],
        ["| 3.11.7: bare httpx", "5", "1.00 (1.00 to 1.00)"],
    ]


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
