"""A short soak finds no discrepancy, and each kind of discrepancy is detected."""

import math
import random
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve

from oneloop import transport
from oneloop.sandbox import Fault, Sandbox
from tests.tools.soak.__main__ import main, tables
from tests.tools.soak.books import GRACE, TIMES, Comparison, Kind, Refill, Report, Result
from tests.tools.soak.faults import FAULTS, FAULTS_OVER_HTTPX, RARE_FAULTS
from tests.tools.soak.run import POLICY, Soak

BOTH: list[Kind] = ["sync", "async"]


def a_soak(kind: Kind, calls: int, **arguments: Any) -> Report:
    """Run a soak with a fixed seed and quick faults for 3 of 10 requests."""
    ours: dict[str, Any] = {
        "workers": 16,
        "until": math.inf,
        "rate": 0.3,
        "chance": random.Random(1),  # noqa: S311 - faults need no secrecy
        "rare_faults": (),
    }
    return Soak(kind=kind, calls=calls, **(ours | arguments)).run()


def a_comparison(outcome: str, times: float, seconds: float = 0.1, **told: Any) -> Comparison:
    """Return the comparison of a refill of a meter of 10 credits by 2, with the right answer."""
    meter = Sandbox().create_meter(
        workspace_id="soak", external_meter_id="sync-1", total_credits=10
    )
    answer = {"meter_id": meter.id, "credits": 12} if outcome == "applied" else {}
    return Comparison(
        Refill(meter, amount=2),
        Result(outcome, "what it was told", seconds, **(answer | told)),
        rise=int(times * 2),
        budget=3,
    )


@pytest.mark.parametrize("via", ["sockets", "httpx"])
def test_a_short_soak_finds_no_discrepancy(
    via: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short soak of both clients, with all faults and a restart, finds no discrepancy."""
    monkeypatch.setattr("tests.tools.soak.run.RESTART_EVERY", 500)
    assert main(["--calls", "1200", "--seed", "1", "--via", via]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1200 calls, 30 % faults, 32 threads, 64 tasks, seed 1\n")
    for kind in BOTH:
        for outcome in ("applied", "applied, unreadable", "rejected", "unknown"):
            assert re.search(rf"(?m)^{kind} +{outcome} +[1-9][0-9]* .* 0$", printed)
        assert re.search(rf"(?m)^{kind} +all +600 +\d+ +\d+ +0 +0$", printed)
        assert re.search(rf"(?m)^{kind} +600 +\d+ +\d+ +1 ", printed)
    assert printed.endswith("\ndiscrepancies: 0\n")


def test_a_soak_may_be_bounded_by_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Each client has half of the time, and calls that have started by then are completed."""
    arguments = ["--seconds", "0.4", "--faults", "0", "--threads", "2", "--tasks", "3"]
    assert main([*arguments, "--seed", "7"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("0.4 seconds, 0 % faults, 2 threads, 3 tasks, seed 7\n")
    assert len(re.findall(r"(?m)^(?:a?sync) +applied +[1-9]", printed)) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--calls", "0"],
        ["--calls", "1", "--seconds", "1"],
        ["--seconds", "inf"],
        ["--seconds", "0"],
        ["--faults", "1.1"],
        ["--threads", "0"],
        ["--tasks", "x"],
        ["--seed", "x"],
    ],
    ids=" ".join,
)
def test_impossible_arguments_are_refused(arguments: list[str]) -> None:
    """Invalid arguments end with exit status 2, as in other commands."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("kind", BOTH)
def test_faults_come_at_the_given_rate(kind: Kind) -> None:
    """The rate is the share of all requests, retries included, that meet a fault."""
    assert a_soak(kind, 50, rate=0).faults == 0
    assert a_soak(kind, 50, rate=1, faults=[Fault.status(500)]).faults == 50
    report = a_soak(kind, 200, faults=[Fault.rate_limited(0)])
    assert report.requests > 200
    assert 0.2 < report.faults / report.requests < 0.4


def test_every_kind_of_fault_is_among_them() -> None:
    """All faults occur but a date in Retry-After, which is in whole seconds and so too slow."""
    kinds = {fault.kind for fault in (*FAULTS, *RARE_FAULTS)}
    assert set(Fault.names()) - kinds == {"429-date"}
    assert len(FAULTS) - len(FAULTS_OVER_HTTPX) == 3


@pytest.mark.parametrize("kind", BOTH)
def test_a_client_that_applies_twice_is_detected(kind: Kind) -> None:
    """A client that repeats refills whose responses were dropped is detected."""
    blind = evolve(POLICY, treat_as_safe=True)
    report = a_soak(kind, 100, retry=blind, faults=[Fault.drop_after()])
    assert len(report.discrepancies) > 10
    line = rf"{kind}-\d+: told '[a-z]+', but in the books [23] times: .*"
    assert all(re.fullmatch(line, found) for found in report.discrepancies)
    twice = sum(comparison.times > 1 for comparison in report.comparisons)
    assert len(report.discrepancies) == twice


def test_discrepancies_are_printed_and_fail_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first few discrepancies are printed, all are counted, and the exit status is 1."""
    monkeypatch.setitem(TIMES, "applied", (0,))
    monkeypatch.setattr("tests.tools.soak.__main__.SHOWN", 2)
    assert main(["--calls", "10", "--faults", "0"]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"(?m)^sync +all +5 +0 +5 +0 +5$", printed)
    assert "\ndiscrepancies: 10\n" in printed
    assert printed.count("told 'applied', but in the books 1 times") == 2


class Stuck:
    """A blocking transport that sends nothing until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def send(self, request: transport.Request, limits: transport.Limits) -> transport.Response:
        """Wait to be released."""
        self.released.wait()
        raise transport.TransportError("released")

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    """A stuck transport, which is released after the test."""
    stuck = Stuck()
    yield stuck
    stuck.released.set()


def test_a_call_without_end_is_detected(stuck: Stuck, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that does not end is given up and reported, and no more calls start."""
    monkeypatch.setattr("tests.tools.soak.run.LOST_AFTER", 0.2)
    retry = evolve(POLICY, budget=0.1)
    report = a_soak("sync", 100, workers=3, retry=retry, options={"transport": stuck})
    assert [re.sub(r"\d+\.\d", "N", line) for line in report.discrepancies] == [
        "sync-1: no end after N s",
        "sync-2: no end after N s",
        "sync-3: no end after N s",
        "sync: 97 calls were never made",
    ]
    assert re.search(r"(?m)^sync +no end +3 +3 +0 +0 +3$", tables([report]))


@pytest.mark.parametrize(
    ("outcome", "times"),
    [
        ("applied", (1,)),
        ("applied, unreadable", (1,)),
        ("rejected", (0,)),
        ("not sent", (0,)),
        ("unknown", (0, 1)),
    ],
)
def test_the_books_must_agree_with_the_outcome(outcome: str, times: tuple[int, ...]) -> None:
    """Applied means once in the books, rejected and not sent never, and unknown at most once.

    Half of a refill, which must be another call's, is never right.
    """
    found = {n: a_comparison(outcome, n).discrepancy for n in (0, 0.5, 1, 2, 3)}
    assert {n for n, line in found.items() if line is None} == set(times)
    assert found[2] == f"sync-1: told {outcome!r}, but in the books 2 times: what it was told"


@pytest.mark.parametrize("told", [{"meter_id": "cbm_other"}, {"meter_id": None}], ids=str)
def test_another_calls_answer_is_detected(told: dict[str, Any]) -> None:
    """Another call's answer is detected, whether or not the refill was applied."""
    for times in (0, 1):
        line = a_comparison("applied", times, **told).discrepancy
        assert line is not None
        assert line.startswith("sync-1: got another call's answer, ")
        assert line.endswith(f" with 12 credits; in the books {times} times")


def test_a_wrong_balance_is_detected() -> None:
    """A wrong balance is detected even if the answer is for the right meter."""
    comparison = a_comparison("applied", 1, credits=14)
    told = f"{comparison.refill.opening.id} with 14 credits"
    assert comparison.discrepancy == f"sync-1: told of a wrong balance, {told}"


def test_a_call_past_its_budget_is_detected() -> None:
    """A call past its budget is detected, after some seconds of grace for a busy machine."""
    late = 3 + GRACE
    assert a_comparison("unknown", 1, seconds=late).discrepancy is None
    told = a_comparison("unknown", 1, seconds=late + 0.1).discrepancy
    assert told == f"sync-1: took {late + 0.1:.1f} s: what it was told"


def test_any_other_exception_is_detected() -> None:
    """An exception that is not ours is a discrepancy, whatever the books say."""
    result = Result.of_error(KeyError("billing"), 0.1)
    comparison = evolve(a_comparison("applied", 1), result=result)
    assert comparison.discrepancy == "sync-1: KeyError: 'billing'"
