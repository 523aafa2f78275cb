"""What two readings of a meter say about a refill between them. No I/O.

The vendor does not say whether a refill raises `totalCredits` or lowers `usedCredits`. Refills that
were answered show it (`learned`), and every conclusion names the explanations that it excludes.
"""

from collections.abc import Set
from enum import StrEnum

from attrs import frozen

from oneloop_api.models import CustomerBillingMeter

from ._model import State


class Lesson(StrEnum):
    """What answered refills have shown of the API."""

    RISES = "total_credits rises"
    """A refill raised the total by its amount."""
    FALLS = "used_credits falls"
    """A refill lowered the used credits."""
    TOUCHED = "updated_at changes"
    """A refill changed the time of the meter's last change."""
    UNTOUCHED = "updated_at stays"
    """A refill did not, so an equal time proves nothing."""


EFFECTS = frozenset({Lesson.RISES, Lesson.FALLS})


def learned(
    before: CustomerBillingMeter, after: CustomerBillingMeter, amount: int
) -> frozenset[Lesson]:
    """Return what the answer to a refill shows, compared with the reading before it.

    Other changes at the same time can hide the effect. They are then not mistaken for it, unless
    they add up to exactly what the other effect would be.
    """
    if after.id != before.id:
        return frozenset()
    total = after.total_credits - before.total_credits
    used = after.used_credits - before.used_credits
    lessons: set[Lesson] = set()
    if total == amount and used >= 0:
        lessons.add(Lesson.RISES)
    elif total == 0 and -amount <= used < 0:  # less than the amount: used at the same time
        lessons.add(Lesson.FALLS)
    if lessons:
        moved = after.updated_at != before.updated_at
        lessons.add(Lesson.TOUCHED if moved else Lesson.UNTOUCHED)
    return frozenset(lessons)


@frozen(kw_only=True)
class Conclusion:
    """What the readings say.

    Attributes:
        state: `APPLIED`, `NOT_APPLIED` or `UNKNOWN`.
        reason: Why, as the end of a sentence.
        needs_decision: Whether further readings cannot change that.
    """

    state: State
    reason: str
    needs_decision: bool = False


def same(
    one: CustomerBillingMeter | None, other: CustomerBillingMeter | None, lessons: Set[Lesson]
) -> bool:
    """Return whether a meter stayed as it was, as far as a refill can change it."""
    if one is None or other is None:
        return one is other
    if one.id != other.id or one.total_credits != other.total_credits:
        return False
    return one.used_credits == other.used_credits or EFFECTS & lessons == frozenset({Lesson.RISES})


def conclude(
    before: CustomerBillingMeter,
    after: CustomerBillingMeter | None,
    amount: int,
    *,
    lessons: Set[Lesson],
    other_writers: bool,
) -> Conclusion:
    """Return what happened to a refill between two readings, if they can tell.

    Args:
        before: The meter before the refill was sent.
        after: The meter when it had stopped changing; `None` if there is no such meter any more.
        amount: Credits of the refill.
        lessons: What answered refills have shown.
        other_writers: Whether other programs refill the same meter.
    """
    if after is None or after.id != before.id:
        found = "is gone" if after is None else "is another one"
        reason = f"the meter {found}, so that no reading can tell"
        return Conclusion(state=State.UNKNOWN, reason=reason, needs_decision=True)
    total = after.total_credits - before.total_credits
    used = after.used_credits - before.used_credits
    seen = f"totalCredits {_change(total)} and usedCredits {_change(used)}"
    explained = _explanations(total, used, amount, EFFECTS & lessons or EFFECTS)
    if not explained:
        reason = f"{seen}, which neither the refill nor its absence explains"
        return Conclusion(state=State.UNKNOWN, reason=reason, needs_decision=True)
    if explained == {True}:
        if other_writers:
            reason = f"{seen}, which another program's refill of the same amount would explain too"
            return Conclusion(state=State.UNKNOWN, reason=reason, needs_decision=True)
        return Conclusion(state=State.APPLIED, reason=f"{seen}, as the refill changes them")
    if explained == {False}:
        return Conclusion(state=State.NOT_APPLIED, reason=f"{seen}, so the refill changed nothing")
    # Where refills do not change that time, it proves nothing: as much may have been used.
    is_untouched = after.updated_at == before.updated_at and Lesson.UNTOUCHED not in lessons
    if used == 0 and is_untouched:
        return Conclusion(state=State.NOT_APPLIED, reason=f"{seen}, so nothing changed the meter")
    reason = f"{seen}, which is what a refill that lowers usedCredits and its absence both explain"
    return Conclusion(state=State.UNKNOWN, reason=reason, needs_decision=bool(EFFECTS & lessons))


def _explanations(total: int, used: int, amount: int, effects: Set[Lesson]) -> set[bool]:
    """Return whether the refill happened, for each way to explain the changes by use alone."""
    explained: set[bool] = set()
    known = len(effects) == 1
    if Lesson.RISES in effects and (known or used >= 0):
        explained |= {{amount: True, 0: False}[total]} if total in (amount, 0) else set()
    if Lesson.FALLS in effects and total == 0:
        # A smaller fall may be another program's refill, or the reset of a month.
        explained |= {True} if used == -amount or used >= 0 else set()
        explained |= {False} if used >= 0 else set()
    return explained


def _change(difference: int) -> str:
    if difference == 0:
        return "did not change"
    return f"{'rose' if difference > 0 else 'fell'} by {abs(difference)}"
