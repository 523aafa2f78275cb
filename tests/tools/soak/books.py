"""Refills, what their callers were told, and whether that agrees with the sandbox's books."""

from typing import Any, Literal, Self

from attrs import field, frozen

from oneloop import APIError, Outcome
from oneloop.sandbox import Meter

Kind = Literal["sync", "async"]

GRACE = 8.0
"""Seconds by which a call may exceed its budget, as the machine may be busy."""

OUTCOMES = {
    Outcome.APPLIED: "applied, unreadable",
    Outcome.REJECTED: "rejected",
    Outcome.NOT_SENT: "not sent",
    Outcome.UNKNOWN: "unknown",
}
"""The names of outcomes in tables; `applied` alone means that the call returned an answer."""

TIMES = {
    "applied": (1,),
    "applied, unreadable": (1,),
    "rejected": (0,),
    "not sent": (0,),
    "unknown": (0, 1),
}
"""How often a refill may have been applied after each outcome. Other outcomes are discrepancies."""


@frozen
class Refill:
    """One refill, of a meter that has no other refill.

    Attributes:
        opening: The meter before the refill.
        amount: Credits.
    """

    opening: Meter
    amount: int

    @property
    def name(self) -> str:
        """Name of the meter."""
        return self.opening.external_meter_id

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the client's method."""
        return {
            "workspace_id": self.opening.workspace_id,
            "external_meter_id": self.name,
            "refill": self.amount,
        }


@frozen
class Result:
    """What the caller of a refill was told.

    Attributes:
        outcome: A key of `TIMES`, or else something that must not happen.
        detail: The error's text, if there was an error.
        seconds: How long the call took.
        meter_id: Id of the meter in the answer.
        credits: Total credits of the meter in the answer.
    """

    outcome: str
    detail: str
    seconds: float
    meter_id: str | None = None
    credits: int | None = None

    @classmethod
    def of_answer(cls, answer: Any, seconds: float) -> Self:
        """Return the result of a call that returned an answer."""
        if answer.billing is None:
            return cls("applied", "no such meter", seconds)
        billing = answer.billing
        return cls("applied", "answered", seconds, billing.id, billing.total_credits)

    @classmethod
    def of_error(cls, error: Exception, seconds: float) -> Self:
        """Return the result of a call that raised an error."""
        if isinstance(error, APIError):
            return cls(OUTCOMES[error.outcome], str(error), seconds)
        return cls("another error", f"{type(error).__name__}: {error}", seconds)


@frozen
class Comparison:
    """A refill's result beside the change of its meter.

    Attributes:
        refill: The refill.
        result: What its caller was told.
        rise: Credits by which the meter rose.
        budget: Seconds that the call was allowed to take.
    """

    refill: Refill
    result: Result
    rise: int
    budget: float

    @property
    def times(self) -> float:
        """How often the refill was applied. A fraction is a discrepancy."""
        return self.rise / self.refill.amount

    @property
    def discrepancy(self) -> str | None:
        """Description of what is wrong, or `None`."""
        refill, result = self.refill, self.result
        if result.outcome not in TIMES:
            return f"{refill.name}: {result.detail}"
        in_books = f"in the books {self.times:g} times"
        opening, got = refill.opening, f"{result.meter_id} with {result.credits} credits"
        if result.outcome == "applied" and result.meter_id != opening.id:
            return f"{refill.name}: got another call's answer, {got}; {in_books}"
        if self.times not in TIMES[result.outcome]:
            return f"{refill.name}: told {result.outcome!r}, but {in_books}: {result.detail}"
        if result.outcome == "applied" and result.credits != opening.total_credits + refill.amount:
            return f"{refill.name}: told of a wrong balance, {got}"
        if result.seconds > self.budget + GRACE:
            return f"{refill.name}: took {result.seconds:.1f} s: {result.detail}"
        return None


@frozen
class Report:
    """The comparisons of all refills by one client, and what they took.

    Attributes:
        kind: Which client.
        comparisons: One for each refill that was made.
        missing: Number of refills that were not made.
        requests: Number of requests to the sandbox.
        faults: Number of requests that met a fault.
        restarts: Number of restarts of the sandbox.
        seconds: How long all of it took.
    """

    kind: Kind
    comparisons: tuple[Comparison, ...] = field(repr=False)
    missing: int
    requests: int
    faults: int
    restarts: int
    seconds: float

    @property
    def discrepancies(self) -> list[str]:
        """What is wrong, one line each."""
        found = (comparison.discrepancy for comparison in self.comparisons)
        lines = [line for line in found if line is not None]
        if self.missing:
            lines.append(f"{self.kind}: {self.missing} calls were never made")
        return lines
