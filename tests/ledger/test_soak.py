"""A short soak of the ledger finds nothing wrong, and each kind of violation is detected."""

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve

from oneloop.ledger import Refill, State, Summary
from tests.tools.ledger_soak.__main__ import main
from tests.tools.ledger_soak.books import Books, compared, explained
from tests.tools.ledger_soak.orders import Orders
from tests.tools.ledger_soak.worker import SummaryError, check

SHORT = ["--refills", "80", "--meters", "30", "--processes", "3", "--workers", "6", "--limit", "90"]
SHORT += ["--quiet", "1", "--late", "0.4", "--lease", "2", "--kill-every", "1", "--kills", "4"]
SHORT += ["--cut-every", "2"]

ORDERS = Orders(refills=6, meters=2)


def a_refill(number: int, state: State = State.APPLIED, **changes: Any) -> Refill:
    """Return the entry of one of the refills in the ledger."""
    order = list(ORDERS)[number]
    refill = Refill(
        id=order.id,
        workspace_id=order.workspace_id,
        external_meter_id=order.external_meter_id,
        refill=order.refill,
        state=state,
        attempts=1,
        before=None,
        meter=None,
        error="it was lost",
        conclusion=None,
        needs_decision=False,
        planned_at=datetime(2026, 1, 1, tzinfo=UTC),
        sent_at=None,
        ended_at=None,
    )
    return evolve(refill, **changes)


def books(*refills: Refill, rises: dict[str, int] | None = None) -> Books:
    """Return the books of a sandbox that applied these refills."""
    applied = Counter((one.external_meter_id, one.refill) for one in refills)
    if rises is None:
        rises = dict.fromkeys(ORDERS.names(), 0)
        for one in refills:
            rises[one.external_meter_id] += one.refill
    return Books(applied=applied, rises=rises, requests=9, faults=2, late=1)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_short_soak_finds_no_violation(
    database: str, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """Processes are killed, the database is cut off, refills are late: nothing is wrong."""
    if database == "postgresql":
        request.getfixturevalue("postgres_server")  # skips where there can be none
    assert main([*SHORT, "--database", database, "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("80 refills of 30 meters, 20 % faults, 3 processes of 6 workers")
    assert re.search(rf"(?m)^{database} +all +80 .* 0$", printed)
    assert re.search(rf"(?m)^{database} +applied +[1-9][0-9]* +\d+ +0 +[1-9][0-9]* +0 +0$", printed)
    assert printed.endswith("\nviolations: 0\n")


def test_other_programs_make_refills_unknown_but_never_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where others refill the same meters, what readings cannot decide is counted and explained."""
    others = ["--others", "20", "--rate", "0.4", "--kills", "1", "--cut-every", "999"]
    assert main([*SHORT, "--database", "sqlite", "--seed", "3", *others]) == 0
    printed = capsys.readouterr().out
    assert re.search(
        r"(?m)^sqlite: unknown \d+ times: totalCredits rose by N and .*explain", printed
    )


def test_a_soak_can_fail(capsys: pytest.CaptureFixture[str]) -> None:
    """Refills that are later than the ledger allows for are found out."""
    late = ["--quiet", "0.05", "--late", "1", "--rate", "0.5", "--kills", "0", "--cut-every", "999"]
    assert main([*SHORT, "--database", "sqlite", "--seed", "3", *late]) == 1
    assert re.search(r"(?m)^  sqlite: pay_\d+: .*applied 2 times", capsys.readouterr().out)


def test_the_books_are_read_as_they_were_written() -> None:
    """The books of the sandbox's process arrive as they are."""
    written = books(a_refill(0), a_refill(0), a_refill(3))
    assert Books.of_json(written.to_json()) == written


@pytest.mark.parametrize(
    ("state", "times"),
    [
        (State.PLANNED, (0,)),
        (State.SENDING, ()),
        (State.APPLIED, (1,)),
        (State.REJECTED, (0,)),
        (State.UNKNOWN, (0, 1)),
        (State.NOT_APPLIED, (0,)),
    ],
)
def test_the_books_must_agree_with_the_state(state: State, times: tuple[int, ...]) -> None:
    """Applied means once in the books, and all else never, but for what is unknown."""
    refill = a_refill(0, state, needs_decision=True)
    for number in range(3):
        comparisons, _ = compared(list(ORDERS)[:1], [refill], books(*[refill] * number))
        wrong = [one.violation for one in comparisons if one.violation]
        assert wrong == (
            []
            if number in times
            else [f"pay_0: {str(state)!r}, applied {number} times; it was lost"]
        )


def test_what_readings_can_decide_must_not_be_left_unknown() -> None:
    """Unknown is only what waits for a person, and the reason is told without its numbers."""
    left = a_refill(0, State.UNKNOWN)
    _, wrong = compared(list(ORDERS)[:1], [left], books())
    assert wrong == ["pay_0: left 'unknown': it was lost"]
    waits = evolve(left, needs_decision=True, conclusion="totalCredits rose by 12 (from 7)")
    behind = evolve(left, id="pay_7", state=State.PLANNED)
    orders = [waits.order, behind.order]
    comparisons, wrong = compared(orders, [waits, behind], books())
    assert not wrong
    assert explained(comparisons) == {"totalCredits rose by N (from N)": 1}
    _, wrong = compared(orders[1:], [behind], books())
    assert wrong == ["pay_7: left 'planned': it was lost"]


def test_missing_and_other_refills_are_detected() -> None:
    """The ledger has the refills that were ordered, and the sandbox applied no others."""
    first, second = a_refill(0), a_refill(1)
    other = evolve(second, refill=77)
    _, wrong = compared(list(ORDERS)[:2], [first], books(first, other, rises={}))
    meter = other.external_meter_id
    missing = "pay_1: not in the ledger"
    assert wrong == [missing, f"{meter}: applied a refill of 77 that was not ordered"]
    _, wrong = compared(list(ORDERS)[:1], [first, second, other], books(first))
    assert [line.partition(":")[0] for line in wrong] == ["pay_1", "pay_1"]


def test_a_meter_that_rose_otherwise_is_detected() -> None:
    """The rise of each meter is the sum of its refills."""
    _, wrong = compared(list(ORDERS)[:1], [a_refill(0)], books(a_refill(0), rises={"m0": 9}))
    assert wrong == ["m0: rose by 9, but its refills add up to 1"]


def test_two_refills_of_a_meter_have_different_amounts() -> None:
    """So that the books say which of them was applied."""
    every = list(Orders(refills=1000, meters=70))
    assert len({order.id for order in every}) == 1000
    assert len({(order.external_meter_id, order.refill) for order in every}) == 1000
    assert sorted(Orders(1000, 70).since(400), key=str) == sorted(every, key=str)


def test_a_summary_that_does_not_add_up_is_detected() -> None:
    """The counts of a run are all refills, and their amounts all credits."""
    right = Summary(
        total=6,
        credits=9,
        counts={State.APPLIED: 6},
        amounts={State.APPLIED: 9},
        already=0,
        elapsed=1.0,
        problem=None,
    )
    check(right, ORDERS)
    for wrong in ({"counts": {}}, {"amounts": {}}, {"total": 5, "counts": {State.APPLIED: 5}}):
        with pytest.raises(SummaryError):
            check(evolve(right, **wrong), ORDERS)
