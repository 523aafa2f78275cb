"""What a ledger takes and returns: orders, entries, states, summaries and errors. No I/O."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from attrs import frozen

from oneloop_api.models import CustomerBillingMeter
from oneloop_core import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    OneloopError,
    Outcome,
)

MAX_TEXT = 255
"""Characters of an id. Both databases can put three of them into one index."""


class State(StrEnum):
    """How far a refill has come. docs/ledger.md shows what follows what."""

    __module__ = "oneloop.ledger"

    PLANNED = "planned"
    """Written down. It has not been sent, or it provably had no effect."""
    SENDING = "sending"
    """A process is sending it, or died while it did."""
    APPLIED = "applied"
    """The meter was refilled."""
    REJECTED = "rejected"
    """The API refused it, so nothing happened."""
    UNKNOWN = "unknown"
    """It was sent, and nothing says yet whether it happened. Nothing else is sent to its meter."""
    NOT_APPLIED = "not applied"
    """It was sent, and the meter's readings, or a person, say that nothing happened."""


@frozen(kw_only=True)
class RefillOrder:
    """One refill that is to be made exactly once.

    Attributes:
        id: Your own name of it, such as the id of a payment: 1 to 255 characters. It stands for
            this refill for as long as the ledger exists.
        workspace_id: The workspace of the meter, at most 255 characters.
        external_meter_id: Your own name of the meter, at most 255 characters.
        refill: Credits to add, from 1 to 9007199254740991.
    """

    __module__ = "oneloop.ledger"

    id: str
    workspace_id: str
    external_meter_id: str
    refill: int

    @classmethod
    def of(cls, value: "RefillOrder | Mapping[str, Any]", place: int) -> "RefillOrder":
        """Return a checked order: the value itself, or what a mapping with the same names says.

        Raises:
            ArgumentError: Something is missing, too much, of the wrong type or out of bounds. It
                names the place of the order among `refills`.
        """
        try:
            return cls._of(value)
        except ArgumentError as error:
            raise error.under(place).under("refills") from None

    @classmethod
    def _of(cls, value: "RefillOrder | Mapping[str, Any]") -> "RefillOrder":
        if isinstance(value, RefillOrder):
            order = cls(  # not of a subclass: it would differ from what is read from a ledger
                id=value.id,
                workspace_id=value.workspace_id,
                external_meter_id=value.external_meter_id,
                refill=value.refill,
            )
        elif isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            names = {"id", "workspace_id", "external_meter_id", "refill"}
            if set(value) != names:
                wrong = sorted(map(str, names.symmetric_difference(value)))
                raise ArgumentValueError(
                    "must have the keys id, workspace_id, external_meter_id and refill; "
                    f"missing or unexpected: {', '.join(wrong)[:MAX_TEXT]}"
                )
            order = cls(**value)
        else:
            raise ArgumentTypeError(
                f"must be a RefillOrder or a mapping, not {type(value).__name__}"
            )
        order.check()
        return order

    def check(self) -> None:
        """Raise an `ArgumentError` if the order cannot be written down or sent."""
        from oneloop_api.api.v1.refill_billing_limit import call

        for name in ("id", "workspace_id", "external_meter_id"):
            check_text(name, getattr(self, name))
        call(
            workspace_id=self.workspace_id,
            external_meter_id=self.external_meter_id,
            refill=self.refill,
        )

    def __str__(self) -> str:
        """Return the order in one line."""
        unit = "credit" if self.refill == 1 else "credits"
        return (
            f"{self.refill} {unit} for the meter {self.external_meter_id!r} "
            f"of the workspace {self.workspace_id!r}"
        )


def check_text(name: str, value: object, longest: int = MAX_TEXT) -> None:
    """Raise an `ArgumentError` unless a value is text that every database takes."""
    if not isinstance(value, str):
        raise ArgumentTypeError(f"must be str, not {type(value).__name__}").under(name)
    if not value:
        raise ArgumentValueError("must not be empty").under(name)
    if len(value) > longest:
        problem = f"must have at most {longest} characters, got {len(value)}"
        raise ArgumentValueError(problem).under(name)
    if not value.isprintable() and not _is_storable(value):
        problem = "must not contain a NUL character or half of a surrogate pair"
        raise ArgumentValueError(problem).under(name)


def storable(text: str) -> str:
    """Return a text without what a database cannot take: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _is_storable(value: str) -> bool:
    return storable(value) == value


@frozen(kw_only=True)
class Refill:
    """An entry of the ledger, as it was at one moment.

    Attributes:
        id: The caller's name of it.
        workspace_id: The workspace of the meter.
        external_meter_id: The caller's name of the meter.
        refill: Credits.
        state: How far it has come.
        attempts: How many times it was sent, or may have been.
        before: The meter as it was read before the refill was last sent.
        meter: The meter as the API's answer to the refill shows it; `None` without a usable answer.
        error: The last error, in one line; `None` if there was none.
        conclusion: Why the ledger or a person holds the state for true, where it was not the API's
            answer that said so; a sentence.
        needs_decision: Whether the outcome is unknown and readings cannot decide it, so that the
            refill, and its meter, wait for `Ledger.decide`.
        planned_at: When it was written down. UTC, as all times.
        sent_at: When it was last about to be sent.
        ended_at: When it was last known what came of it; `None` while it is planned or sent.
    """

    __module__ = "oneloop.ledger"

    id: str
    workspace_id: str
    external_meter_id: str
    refill: int
    state: State
    attempts: int
    before: CustomerBillingMeter | None
    meter: CustomerBillingMeter | None
    error: str | None
    conclusion: str | None
    needs_decision: bool
    planned_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None

    @property
    def order(self) -> RefillOrder:
        """What was ordered."""
        return RefillOrder(
            id=self.id,
            workspace_id=self.workspace_id,
            external_meter_id=self.external_meter_id,
            refill=self.refill,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: meters as the API writes them, times in ISO 8601."""
        return {
            "id": self.id,
            "workspace_id": self.workspace_id,
            "external_meter_id": self.external_meter_id,
            "refill": self.refill,
            "state": self.state.value,
            "attempts": self.attempts,
            "before": None if self.before is None else self.before.to_dict(),
            "meter": None if self.meter is None else self.meter.to_dict(),
            "error": self.error,
            "conclusion": self.conclusion,
            "needs_decision": self.needs_decision,
            "planned_at": self.planned_at.isoformat(),
            "sent_at": self.sent_at and self.sent_at.isoformat(),
            "ended_at": self.ended_at and self.ended_at.isoformat(),
        }


@frozen(kw_only=True)
class HistoryEntry:
    """Something that happened to a refill.

    Attributes:
        at: When it was written down, in UTC.
        what: `planned`, `sent`, `answered`, `failed`, `taken over`, `reading`, `concluded`,
            `decided` or `contradiction`.
        text: What it was, in a sentence.
    """

    __module__ = "oneloop.ledger"

    at: datetime
    what: str
    text: str


@frozen(kw_only=True)
class Progress:
    """How far a run has come. `Ledger.run` passes one to `progress` after each refill.

    Attributes:
        done: Refills that the run is finished with.
        waiting: Refills that it will come back to: their outcome is unknown, their meter is busy,
            or the API could not be reached.
        counts: The number of refills that are done, by state.
        refill: The refill that this is about.
        elapsed: Seconds from the start of the run.
    """

    __module__ = "oneloop.ledger"

    done: int
    waiting: int
    counts: Mapping[State, int]
    refill: Refill
    elapsed: float


@frozen(kw_only=True)
class Summary:
    """What came of a run. The sums of `counts` and `amounts` are `total` and `credits`.

    Attributes:
        total: Refills that the run took from the iterable.
        credits: Sum of their credits.
        counts: The number of refills by state; all six states are keys.
        amounts: The sum of their credits by state.
        already: How many of those that are applied were applied before this run came to them: by an
            earlier run, by another process, or because the iterable has a refill twice.
        elapsed: Seconds.
        problem: Why the run stopped before the end of the iterable; `None` if it did not.
    """

    __module__ = "oneloop.ledger"

    total: int
    credits: int
    counts: Mapping[State, int]
    amounts: Mapping[State, int]
    already: int
    elapsed: float
    problem: str | None


class LedgerError(OneloopError):
    """A ledger cannot do what it was asked for.

    `outcome` says whether the refill at hand took effect: `NOT_SENT` unless the message says that
    it was sent.
    """

    __module__ = "oneloop.ledger"

    def __init__(self, problem: str, *, outcome: Outcome = Outcome.NOT_SENT) -> None:
        super().__init__(problem)
        self.outcome = outcome

    def __reduce__(self) -> tuple[Any, ...]:
        """Restore without the constructor, as those of subclasses have other signatures."""
        return BaseException.__new__, (type(self), *self.args), self.__dict__.copy()


class LedgerConflictError(LedgerError, ValueError):
    """The ledger has a refill with the same id and other arguments. Nothing was sent.

    Attributes:
        existing: The refill that the ledger has.
        given: What was asked for.
    """

    __module__ = "oneloop.ledger"

    def __init__(self, existing: Refill, given: RefillOrder) -> None:
        super().__init__(
            f"the ledger has a refill {given.id!r} with other arguments: it has {existing.order} "
            f"({existing.state}), and {given} was given; a different refill needs a different id"
        )
        self.existing = existing
        self.given = given


class LedgerMissingError(LedgerError):
    """The database has no ledger.

    It gets one when the first refill is written to it, unless the ledger was opened with
    `create=False`; then by `create()` alone.
    """

    __module__ = "oneloop.ledger"


class LedgerUnavailableError(LedgerError):
    """The database cannot be reached, or refuses to write."""

    __module__ = "oneloop.ledger"


def moment(seconds: float) -> datetime:
    """Return seconds since the epoch as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def meter_to_text(meter: CustomerBillingMeter) -> str:
    """Return a meter as JSON text, as the API writes it.

    Raises:
        DecodeError: A value of the API can be read, but not written, such as a time in the year 0
            of UTC.
    """
    try:
        return json.dumps(meter.to_dict())
    except (ArgumentError, ValueError, OverflowError) as error:
        raise DecodeError(f"the meter in the answer cannot be written down: {error}") from None


def meter_from_text(text: str) -> CustomerBillingMeter:
    """Return the meter that `meter_to_text` wrote."""
    return CustomerBillingMeter.from_dict(json.loads(text))
