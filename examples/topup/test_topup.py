"""The top-ups, with every fault that the sandbox knows. The fixtures come with oneloop.

Run it with `pytest` in an environment that has `oneloop[sandbox]`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from topup import DONE, DOUBTFUL, OPEN, REFILLING, TopUps

from oneloop import Oneloop, RetryPolicy
from oneloop.sandbox import Fault, Sandbox

METER = {"workspace_id": "ws_1", "external_meter_id": "acme"}
"""The meter of a new sandbox, which has 1000 credits."""


@pytest.fixture
def top_ups(oneloop_client: Oneloop, oneloop_sandbox: Sandbox) -> Iterator[TopUps]:
    """Return the application. While it pauses, what is to happen late happens.

    The client gives up soon, but not before the date that a 429 names, which is in whole seconds.
    """
    client = oneloop_client.with_options(timeout=0.5, retry=RetryPolicy(budget=2.5))
    with closing(sqlite3.connect(":memory:")) as ledger:
        pause = oneloop_sandbox.apply_late
        yield TopUps(client, ledger, workspace="ws_1", pause=lambda _: pause())


def recover(top_ups: TopUps, sandbox: Sandbox) -> None:
    """Let the API work again, and so much time pass that no refill can still be under way."""
    sandbox.clear_faults()
    top_ups.pause = lambda _: sandbox.apply_late()
    top_ups.patience = 0


@pytest.mark.parametrize("fault", Fault.names())
def test_one_payment(fault: str, top_ups: TopUps, oneloop_sandbox: Sandbox) -> None:
    """Whatever happens to the refill, the meter is refilled once, also if the webhook repeats."""
    oneloop_sandbox.misbehave(fault, operation="refill_billing_limit")
    top_ups.paid("pay_1", "acme", 500)
    top_ups.paid("pay_1", "acme", 500)
    assert top_ups.finish() == {}
    oneloop_sandbox.apply_late()
    assert oneloop_sandbox.meter(**METER).total_credits == 1500


@pytest.mark.parametrize("fault", Fault.names())
def test_nothing_is_forgotten(fault: str, top_ups: TopUps, oneloop_sandbox: Sandbox) -> None:
    """If the meter cannot be read after the refill, the payment is settled when it can."""
    oneloop_sandbox.misbehave(fault, operation="refill_billing_limit")
    top_ups.pause = lambda _: oneloop_sandbox.misbehave("503", rate=1)
    state = top_ups.paid("pay_1", "acme", 500)
    assert top_ups.finish() == ({} if state == DONE else {"pay_1": state})
    recover(top_ups, oneloop_sandbox)
    assert top_ups.finish() == {}
    oneloop_sandbox.apply_late()
    assert oneloop_sandbox.meter(**METER).total_credits == 1500


@pytest.mark.parametrize("fault", ["late-apply", "late-drop", "late-504"])
def test_a_late_refill(fault: str, top_ups: TopUps, oneloop_sandbox: Sandbox) -> None:
    """A refill that happens after the first look at the meter is not repeated."""
    oneloop_sandbox.misbehave(fault, operation="refill_billing_limit")
    assert top_ups.paid("pay_1", "acme", 500) == DONE
    refills = [one for one in oneloop_sandbox.requests if one.operation == "refillBillingLimit"]
    assert [(one.fault, one.applied) for one in refills] == [(fault, True)]


def test_two_payments(top_ups: TopUps, oneloop_sandbox: Sandbox) -> None:
    """The second refill of a meter waits until the first one is settled."""
    oneloop_sandbox.misbehave("drop-after", operation="refill_billing_limit")
    top_ups.pause = lambda _: oneloop_sandbox.misbehave("503", rate=1)
    assert top_ups.paid("pay_1", "acme", 500) == REFILLING
    oneloop_sandbox.clear_faults()
    assert top_ups.paid("pay_2", "acme", 300) == OPEN
    recover(top_ups, oneloop_sandbox)
    assert top_ups.finish() == {}
    assert oneloop_sandbox.meter(**METER).total_credits == 1800


@pytest.mark.parametrize(
    ("total", "refilled"),
    [(None, 0), (1000, 0), (1000, 500)],
    ids=["before", "during", "after"],
)
def test_a_crash(
    total: int | None,
    refilled: int,
    top_ups: TopUps,
    oneloop_client: Oneloop,
    oneloop_sandbox: Sandbox,
) -> None:
    """A process that died during a refill has left a row, which the next one settles."""
    row = "INSERT INTO payments VALUES ('pay_1', 'acme', 500, 'refilling', ?, 0)"
    top_ups.ledger.execute(row, (total,))
    if refilled:
        oneloop_client.refill_billing_limit(**METER, refill=refilled)
    assert top_ups.finish() == {}
    assert oneloop_sandbox.meter(**METER).total_credits == 1500


def test_somebody_else(top_ups: TopUps, oneloop_client: Oneloop, oneloop_sandbox: Sandbox) -> None:
    """If somebody else has refilled the meter meanwhile, nothing is guessed: a person must look."""
    by_hand = iter([7])

    def pause(_: float) -> None:
        for refill in by_hand:
            oneloop_client.refill_billing_limit(**METER, refill=refill)

    oneloop_sandbox.misbehave("drop-before", operation="refill_billing_limit")
    top_ups.pause = pause
    assert top_ups.paid("pay_1", "acme", 500) == DOUBTFUL
    assert top_ups.paid("pay_2", "acme", 300) == OPEN
    assert top_ups.finish() == {"pay_1": DOUBTFUL, "pay_2": OPEN}
    assert oneloop_sandbox.meter(**METER).total_credits == 1007


def test_an_unknown_meter(top_ups: TopUps) -> None:
    """A payment for a meter that does not exist stays in the ledger."""
    assert top_ups.paid("pay_1", "nobody", 500) == OPEN
    assert top_ups.finish() == {"pay_1": OPEN}
