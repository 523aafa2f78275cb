"""What the ledger says of each refill, beside what the sandbox did."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from oneloop.ledger import Refill, RefillOrder, State

ALLOWED = {
    State.PLANNED: (0,),
    State.APPLIED: (1,),
    State.REJECTED: (0,),
    State.UNKNOWN: (0, 1),
    State.NOT_APPLIED: (0,),
}
"""How often a refill in each state may have been applied. Nothing may be in another state."""


@frozen
class Books:
    """What the sandbox did.

    Attributes:
        applied: How often each refill was applied, by meter and amount.
        rises: The credits by which each meter rose.
        requests: How many requests there were.
        faults: How many of them met a fault.
        late: How many refills were applied only after the answer, or after the client had gone.
    """

    applied: Mapping[tuple[str, int], int]
    rises: Mapping[str, int]
    requests: int
    faults: int
    late: int

    @classmethod
    def of_json(cls, read: Any) -> "Books":
        """Return what `to_json` wrote."""
        applied = {(meter, amount): times for meter, amount, times in read.pop("applied")}
        return cls(applied=applied, **read)

    def to_json(self) -> dict[str, Any]:
        """Return values for JSON."""
        rows = [[*key, times] for key, times in self.applied.items()]
        return {
            "applied": rows,
            "rises": dict(self.rises),
            "requests": self.requests,
            "faults": self.faults,
            "late": self.late,
        }


@frozen
class Comparison:
    """A refill in the ledger, and how often it was applied."""

    refill: Refill
    times: int

    @property
    def violation(self) -> str | None:
        """Description of what is wrong, or `None`."""
        refill = self.refill
        told = f"{refill.id}: {str(refill.state.value)!r}, applied {self.times} times"
        if self.times not in ALLOWED.get(refill.state, ()):
            return f"{told}; {refill.conclusion or refill.error or 'no reason given'}"
        return None


@frozen
class Report:
    """A soak with one database.

    Attributes:
        database: Its kind.
        comparisons: One for each refill of the ledger.
        violations: What is wrong, one line each.
        unknown: How many are unknown at the end, by the reason in the ledger.
        books: What the sandbox did.
        resent: How many refills were sent more than once.
        kills: How many processes were killed.
        cuts: How often the connection to the database was cut, or the database locked.
        unavailable: How often a run ended because it was without its database for too long.
        seconds: How long it took.
    """

    database: str
    comparisons: Sequence[Comparison] = field(repr=False)
    violations: Sequence[str]
    unknown: Mapping[str, int]
    books: Books = field(repr=False)
    resent: int
    kills: int
    cuts: int
    unavailable: int
    seconds: float


def compared(
    orders: Iterable[RefillOrder], refills: Iterable[Refill], books: Books
) -> tuple[list[Comparison], list[str]]:
    """Compare the ledger with the sandbox's books; return what was found, and what is wrong."""
    wanted = {order.id: order for order in orders}
    comparisons, wrong = [], []
    rises = Counter[str]()
    applied = dict(books.applied)
    for refill in refills:
        order = wanted.pop(refill.id, None)
        key = refill.external_meter_id, refill.refill
        if order is None or (order.external_meter_id, order.refill) != key:
            wrong.append(f"{refill.id}: not one of the refills that were ordered, or another one")
            continue
        comparison = Comparison(refill, applied.pop(key, 0))
        rises[refill.external_meter_id] += comparison.times * refill.refill
        comparisons.append(comparison)
        if comparison.violation:
            wrong.append(comparison.violation)
    wrong += [
        f"{one.id}: left {str(one.state)!r}: {one.conclusion or one.error or 'no reason given'}"
        for one in unsettled(comparison.refill for comparison in comparisons)
    ]
    wrong += [f"{missing}: not in the ledger" for missing in wanted]
    wrong += [f"{meter}: applied a refill of {n} that was not ordered" for meter, n in applied]
    wrong += [
        f"{meter}: rose by {rise}, but its refills add up to {rises[meter]}"
        for meter, rise in books.rises.items()
        if rises[meter] != rise
    ]
    return comparisons, wrong


def unsettled(refills: Iterable[Refill]) -> list[Refill]:
    """Return the refills that could go on without a person.

    What waits for a person is unknown, and readings cannot decide it; and what is behind it.
    """
    left = [one for one in refills if one.state not in (State.APPLIED, State.REJECTED)]
    undecided = {one.external_meter_id for one in left if one.needs_decision}
    return [
        one
        for one in left
        if not (
            one.needs_decision if one.state is State.UNKNOWN else one.external_meter_id in undecided
        )
    ]


def explained(comparisons: Iterable[Comparison]) -> Counter[str]:
    """Return how many refills are unknown for each reason, without its numbers."""
    return Counter(
        re.sub(
            r"\d[\d:.+TZ-]*", "N", one.refill.conclusion or one.refill.error or "no reason given"
        )
        for one in comparisons
        if one.refill.state is State.UNKNOWN
    )
