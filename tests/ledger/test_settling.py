"""What two readings say about a refill between them."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from oneloop.ledger import State
from oneloop.ledger._settling import Lesson, conclude, learned, same
from oneloop_api.models import CustomerBillingMeter

RISES, FALLS = Lesson.RISES, Lesson.FALLS
TOUCHED, UNTOUCHED = Lesson.TOUCHED, Lesson.UNTOUCHED
MORNING = datetime(2026, 11, 27, 8, tzinfo=UTC)


def meter(total: int = 1000, used: int = 300, moved: bool = False) -> CustomerBillingMeter:
    """Return a meter that was changed at eight, or a minute later."""
    return CustomerBillingMeter(
        id="m",
        total_credits=total,
        used_credits=used,
        allow_overages=False,
        spend_cap=None,
        created_at=MORNING,
        updated_at=MORNING + timedelta(minutes=moved),
    )


@pytest.mark.parametrize(
    ("after", "lessons"),
    [
        (meter(1500, 300, moved=True), {RISES, TOUCHED}),
        (meter(1500, 310, moved=True), {RISES, TOUCHED}),
        (meter(1500, 300), {RISES, UNTOUCHED}),
        (meter(1000, 0, moved=True), {FALLS, TOUCHED}),  # as low as it can be
        (meter(1000, 10), {FALLS, UNTOUCHED}),
        (meter(1000, 300, moved=True), set()),
        (meter(1000, 310), set()),
        (meter(1500, 290), set()),
        (meter(1507, 300), set()),
        (meter(900, 300), set()),
    ],
)
def test_an_answer_shows_the_effect(after: CustomerBillingMeter, lessons: set[Lesson]) -> None:
    """The total rises by the amount, or the used credits fall by at most that."""
    assert learned(meter(), after, 500) == lessons


@pytest.mark.parametrize(
    ("after", "lessons", "state", "needs_decision"),
    [
        # The total rises: what is used at the same time does not matter.
        (meter(1500, 300, True), {RISES, TOUCHED}, State.APPLIED, False),
        (meter(1500, 350, True), {RISES, TOUCHED}, State.APPLIED, False),
        (meter(1500, 0, True), {RISES, TOUCHED}, State.APPLIED, False),
        (meter(1000, 300), {RISES, TOUCHED}, State.NOT_APPLIED, False),
        (meter(1000, 800, True), {RISES, TOUCHED}, State.NOT_APPLIED, False),
        (meter(1507, 300, True), {RISES, TOUCHED}, State.UNKNOWN, True),
        (meter(2000, 300, True), {RISES, TOUCHED}, State.UNKNOWN, True),
        (meter(900, 300, True), {RISES, TOUCHED}, State.UNKNOWN, True),
        # The used credits fall: use, another refill and the reset of a month can hide that.
        (meter(1000, 0, True), {FALLS, TOUCHED}, State.UNKNOWN, True),
        (meter(1000, 299, True), {FALLS, TOUCHED}, State.UNKNOWN, True),
        (meter(1000, 300), {FALLS, TOUCHED}, State.NOT_APPLIED, False),
        (meter(1000, 300, True), {FALLS, TOUCHED}, State.UNKNOWN, True),
        (meter(1000, 300), {FALLS, UNTOUCHED}, State.UNKNOWN, True),
        (meter(1000, 310, True), {FALLS, TOUCHED}, State.UNKNOWN, True),
        (meter(1500, 300, True), {FALLS, TOUCHED}, State.UNKNOWN, True),
        # Not known yet: only what one effect alone explains, or a meter that nothing changed.
        (meter(1500, 300, True), set(), State.APPLIED, False),
        (meter(1500, 290, True), set(), State.UNKNOWN, True),
        (meter(1000, 200, True), set(), State.UNKNOWN, True),
        (meter(1000, 300), set(), State.NOT_APPLIED, False),
        (meter(1000, 300, True), set(), State.UNKNOWN, False),
        (meter(1000, 310, True), set(), State.UNKNOWN, False),
        # Both were seen: as if nothing were known, and no further answer will change that.
        (meter(1000, 310, True), {RISES, FALLS, TOUCHED}, State.UNKNOWN, True),
        (meter(1500, 300, True), {RISES, FALLS, TOUCHED}, State.APPLIED, False),
    ],
)
def test_readings_are_concluded_from(
    after: CustomerBillingMeter, lessons: set[Lesson], state: State, needs_decision: bool
) -> None:
    """What only one explanation fits is concluded, and anything else stays unknown."""
    found = conclude(meter(), after, 500, lessons=lessons, other_writers=False)
    assert (found.state, found.needs_decision) == (state, needs_decision), found.reason
    assert "totalCredits " in found.reason


@pytest.mark.parametrize(
    ("after", "state"),
    [
        (meter(1500, 300, True), State.UNKNOWN),
        (meter(1000, 300), State.NOT_APPLIED),
        (meter(1000, 310, True), State.NOT_APPLIED),
    ],
)
def test_other_writers_leave_a_rise_unknown(after: CustomerBillingMeter, state: State) -> None:
    """Their refill of the same amount would look the same."""
    found = conclude(meter(), after, 500, lessons={RISES}, other_writers=True)
    assert found.state is state
    assert found.needs_decision == (state is State.UNKNOWN)


@given(
    amount=st.integers(1, 50),
    use=st.integers(0, 60),
    falls=st.booleans(),
    applied=st.booleans(),
    known=st.booleans(),
)
def test_use_is_never_mistaken(
    amount: int, use: int, falls: bool, applied: bool, known: bool
) -> None:
    """Whatever is used at the same time, the conclusion is right or there is none."""
    before = meter(1000, 100)
    total = 1000 + (amount if applied and not falls else 0)
    used = 100 + use - (amount if applied and falls else 0)
    after = meter(total, used, moved=applied or use > 0)
    lessons = {FALLS if falls else RISES, TOUCHED} if known else set()
    found = conclude(before, after, amount, lessons=lessons, other_writers=False)
    assert found.state in (State.UNKNOWN, State.APPLIED if applied else State.NOT_APPLIED)


@pytest.mark.parametrize("after", [None, evolve(meter(1500, 300, True), id="another")])
def test_another_meter_says_nothing(after: CustomerBillingMeter | None) -> None:
    """A meter that is gone, or was made anew under the same name, waits for a person."""
    found = conclude(meter(), after, 500, lessons={RISES}, other_writers=False)
    assert (found.state, found.needs_decision) == (State.UNKNOWN, True)
    assert not same(meter(), after, {RISES})
    assert same(after, after, {RISES})
    if after is not None:
        assert learned(meter(), after, 500) == frozenset()


def test_a_meter_is_quiet_as_far_as_the_refill_shows() -> None:
    """Where refills raise the total, use of the meter does not disturb the readings."""
    assert same(meter(), meter(1000, 400, True), {RISES})
    assert not same(meter(), meter(1000, 400, True), {FALLS})
    assert not same(meter(), meter(1000, 400, True), set())
    assert not same(meter(), meter(1001), {RISES})
