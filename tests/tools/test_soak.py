"""The soak: that a short one finds nothing wrong, and that it would find what is."""

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
from tests.tools import soak
from tests.tools.soak import FAULTS, POLICY, Call, Entry, Kind, Report, Soak, Told

BOTH: list[Kind] = ["sync", "async"]


def a_soak(kind: Kind, calls: int, **arguments: Any) -> Report:
    """Run a short soak, with faults for 3 requests of 10 and a fixed seed, and no slow ones."""
    ours: dict[str, Any] = {
        "workers": 16,
        "until": math.inf,
        "rate": 0.3,
        "chance": random.Random(1),  # noqa: S311 - faults need no secrecy
        "rare_faults": (),
    }
    return Soak(kind=kind, calls=calls, **(ours | arguments)).run()


def an_entry(word: str, times: float, seconds: float = 0.1, **told: Any) -> Entry:
    """Return a call that refilled 2 of 10 credits, and was told so if it was told of credits."""
    with_meter = Sandbox().create_meter(
        workspace_id="soak", external_meter_id="sync-1", total_credits=10
    )
    answer = {"meter_id": with_meter.id, "credits": 12} if word == "applied" else {}
    return Entry(
        Call(with_meter, refill=2),
        Told(word, "what it was told", seconds, **(answer | told)),
        raised=int(times * 2),
        budget=3,
    )


@pytest.mark.parametrize("via", ["pool", "fast"])
def test_a_short_soak_finds_no_discrepancy(
    via: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both clients, all kinds of faults, a restart of the sandbox each; the table says zero."""
    monkeypatch.setattr(soak, "RESTART_EVERY", 500)
    assert soak.main(["--calls", "1200", "--seed", "1", "--via", via]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1200 calls, 30 % faults, 32 threads, 64 tasks, seed 1\n")
    for kind in BOTH:
        for word in ("applied", "applied, unreadable", "rejected", "unknown"):
            assert re.search(rf"(?m)^{kind} +{word} +[1-9][0-9]* .* 0$", printed)
        assert re.search(rf"(?m)^{kind} +all +600 +\d+ +\d+ +0 +0$", printed)
        assert re.search(rf"(?m)^{kind} +600 +\d+ +\d+ +1 ", printed)
    assert printed.endswith("\ndiscrepancies: 0\n")


def test_a_soak_may_be_bounded_by_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Half of the time for each client, and then what is open comes to its end."""
    arguments = ["--seconds", "0.4", "--faults", "0", "--threads", "2", "--tasks", "3"]
    assert soak.main([*arguments, "--seed", "7"]) == 0
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
    """As a wrong use of the command."""
    with pytest.raises(SystemExit) as caught:
        soak.main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("kind", BOTH)
def test_faults_come_at_the_given_rate(kind: Kind) -> None:
    """Of all requests, retries included."""
    assert a_soak(kind, 50, rate=0).faults == 0
    assert a_soak(kind, 50, rate=1, faults=[Fault.status(500)]).faults == 50
    report = a_soak(kind, 200, faults=[Fault.rate_limited(0)])
    assert report.requests > 200
    assert 0.2 < report.faults / report.requests < 0.4


def test_every_kind_of_fault_is_among_them() -> None:
    """Apart from what a date would make slow."""
    kinds = {fault.kind for fault in (*FAULTS, *soak.RARE_FAULTS)}
    assert set(Fault.names()) - kinds == {"429-date"}


@pytest.mark.parametrize("kind", BOTH)
def test_a_client_that_applies_twice_is_found_out(kind: Kind) -> None:
    """A policy that repeats refills blindly, and a server that drops connections after the work."""
    blind = evolve(POLICY, treat_as_safe=True)
    report = a_soak(kind, 100, retry=blind, faults=[Fault.drop_after()])
    assert len(report.discrepancies) > 10
    line = rf"{kind}-\d+: told '[a-z]+', but in the books [23] times: .*"
    assert all(re.fullmatch(line, found) for found in report.discrepancies)
    twice = sum(entry.times > 1 for entry in report.entries)
    assert len(report.discrepancies) == twice


def test_discrepancies_are_printed_and_fail_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first few in words, all of them in the table and in the count."""
    monkeypatch.setattr(soak, "TIMES", soak.TIMES | {"applied": (0,)})
    monkeypatch.setattr(soak, "SHOWN", 2)
    assert soak.main(["--calls", "10", "--faults", "0"]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"(?m)^sync +all +5 +0 +5 +0 +5$", printed)
    assert "\ndiscrepancies: 10\n" in printed
    assert printed.count("told 'applied', but in the books 1 times") == 2


class Stuck:
    """A transport, blocking, that does not end by itself."""

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
    """A transport that is released in the end."""
    stuck = Stuck()
    yield stuck
    stuck.released.set()


def test_a_call_without_end_is_found_out(stuck: Stuck, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for no longer, and no more calls are begun."""
    monkeypatch.setattr(soak, "LOST_AFTER", 0.2)
    retry = evolve(POLICY, budget=0.1)
    report = a_soak("sync", 100, workers=3, retry=retry, options={"transport": stuck})
    assert [re.sub(r"\d+\.\d", "N", line) for line in report.discrepancies] == [
        "sync-1: no end after N s",
        "sync-2: no end after N s",
        "sync-3: no end after N s",
        "sync: 97 calls were never made",
    ]
    assert re.search(r"(?m)^sync +no end +3 +3 +0 +0 +3$", soak.tables([report]))


@pytest.mark.parametrize(
    ("word", "times"),
    [
        ("applied", (1,)),
        ("applied, unreadable", (1,)),
        ("rejected", (0,)),
        ("not sent", (0,)),
        ("unknown", (0, 1)),
    ],
)
def test_the_books_must_hold_what_was_told(word: str, times: tuple[int, ...]) -> None:
    """Each call that was applied once, each rejected or not sent never, each unknown at most once.

    Half of a refill, which is somebody else's, is never right.
    """
    found = {n: an_entry(word, n).discrepancy for n in (0, 0.5, 1, 2, 3)}
    assert {n for n, line in found.items() if line is None} == set(times)
    assert found[2] == f"sync-1: told {word!r}, but in the books 2 times: what it was told"


@pytest.mark.parametrize("told", [{"meter_id": "cbm_other"}, {"meter_id": None}], ids=str)
def test_another_calls_answer_is_found_out(told: dict[str, Any]) -> None:
    """Whether the call was applied or not."""
    for times in (0, 1):
        line = an_entry("applied", times, **told).discrepancy
        assert line is not None
        assert line.startswith("sync-1: got another call's answer, ")
        assert line.endswith(f" with 12 credits; in the books {times} times")


def test_a_wrong_balance_is_found_out() -> None:
    """Also if the meter is the right one."""
    entry = an_entry("applied", 1, credits=14)
    told = f"{entry.call.opening.id} with 14 credits"
    assert entry.discrepancy == f"sync-1: told of a wrong balance, {told}"


def test_a_call_past_its_budget_is_found_out() -> None:
    """By some seconds: a machine may have other work to do."""
    late = 3 + soak.GRACE
    assert an_entry("unknown", 1, seconds=late).discrepancy is None
    told = an_entry("unknown", 1, seconds=late + 0.1).discrepancy
    assert told == f"sync-1: took {late + 0.1:.1f} s: what it was told"


def test_any_other_exception_is_found_out() -> None:
    """Whatever the books say."""
    told = soak._failed(KeyError("billing"), 0.1)
    entry = evolve(an_entry("applied", 1), told=told)
    assert entry.discrepancy == "sync-1: KeyError: 'billing'"
