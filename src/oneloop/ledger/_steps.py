"""The steps of a refill and of settling one, without I/O.

Each generator yields what is to be done next and is sent the result, or has the exception thrown
into it. What has been written down at each yield is enough to go on after a crash there.
"""

from collections.abc import Callable, Generator
from threading import Lock
from time import monotonic, time
from typing import Any, TypeAlias
from uuid import uuid4

from attrs import evolve, field, frozen

from oneloop._errors import (
    APIError,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RefusedInTestsError,
)
from oneloop_api.models import CustomerBillingMeter
from oneloop_core import DecodeError, OneloopError, Outcome

from ._model import (
    LedgerError,
    LedgerUnavailableError,
    Refill,
    RefillOrder,
    State,
    meter_to_text,
)
from ._settling import learned
from ._store import GONE, Begin, Claim, Claimed, Finish, Inspect, Observe, Operation, Release, Row


@frozen
class Read:
    """Read a meter. The result is the meter, `None` if there is none."""

    row: Row


@frozen
class Send:
    """Send a refill. The result is the meter in the answer."""

    row: Row


@frozen
class Write:
    """Carry out an operation in the database. The result is the operation's, once it is on disk."""

    operation: Operation


@frozen
class Pause:
    """Wait for some seconds."""

    seconds: float


@frozen
class Slot:
    """Wait until fewer refills are being sent than a run may send at once."""


Action: TypeAlias = Read | Send | Write | Pause
Command: TypeAlias = Action | Slot


@frozen(kw_only=True)
class Result:
    """What came of the steps.

    Attributes:
        row: The refill as it is now.
        problem: Why it could not go on, where the row does not say that.
        again_in: Seconds after which further steps may bring more; `None` if nothing but a person
            will.
        was_applied: Whether it had been applied before.
        waits_for: Id of the refill that has the meter; its own if another process is sending it.
        is_unreachable: Whether nothing was done because the API could not be reached.
        stop: Why a run should end; `None` if it should not.
    """

    row: Row
    problem: str | None = None
    again_in: float | None = None
    was_applied: bool = False
    waits_for: str | None = None
    is_unreachable: bool = False
    stop: str | None = None

    @property
    def refill(self) -> Refill:
        """The refill as users see it."""
        refill = self.row.public
        return refill if self.problem is None else evolve(refill, error=self.problem)


Steps: TypeAlias = Generator[Command, Any, Result]


class Pace:
    """When the next refill may be sent. All threads of a run share one.

    Args:
        rate: Refills per second; `None` for no limit.
        clock: Seconds.
    """

    def __init__(self, rate: float | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._interval = 0.0 if rate is None else 1 / rate
        self._clock = clock
        self._next = 0.0
        self._lock = Lock()

    def turn(self) -> float:
        """Return the seconds to wait until the next turn, which is then taken."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next)
            self._next = turn + self._interval
            return turn - now

    def hold(self, seconds: float) -> None:
        """Give no turns for some seconds, because the API has asked for that."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)


@frozen(kw_only=True)
class Settings:
    """What the steps go by.

    Attributes:
        lease: Seconds after which a claim no longer holds.
        quiet: Seconds between the readings of a settling.
        patience: Seconds to wait for another refill of the same meter; 0 not to wait.
        retry_rejected: Whether a refill that was rejected before is sent again.
        settle: Whether meters are read to settle unknown refills.
        pace: When a refill may be sent.
        clocks: Clocks in seconds. A refill is not sent if too much time has passed by any of them.
    """

    lease: float
    quiet: float
    patience: float = 0.0
    retry_rejected: bool = False
    settle: bool = True
    pace: Pace = field(factory=Pace)
    clocks: tuple[Callable[[], float], ...] = (monotonic, time)

    @property
    def look_in(self) -> float | None:
        """Seconds until a refill that has become unknown is read; `None` if it is not.

        At once: the quiet time begins with the first reading.
        """
        return 0.0 if self.settle else None


_BACKOFF = 2.0
"""Seconds until a refill that could not be sent is sent again. The client has backed off before."""

_LONGEST_WAIT = 300.0
"""Seconds that a run waits because the API asks for that. If it asks for more, the run ends."""

_TURN = 0.25
"""Seconds until a refill whose meter is busy is looked at again."""

_UNREADABLE = (400, 404, 422)
"""Statuses of a reading that are about the meter, so that no repetition will change them."""

REFUSALS = (AuthenticationError, PermissionDeniedError)
"""The API refuses the key, and so it will for each refill."""

_UNSENT = (GeneratorExit, LedgerError)
"""What ends the steps without another write: a crash in a test, and a database that fails."""


def refill(order: RefillOrder, settings: Settings) -> Steps:
    """Send a refill unless it was sent before."""
    waited, delay, has_turn = 0.0, 0.02, False
    while True:
        claim = uuid4().hex
        operation = Claim(order=order, claim=claim, retry_rejected=settings.retry_rejected)
        try:
            claimed: Claimed = yield Write(operation)
        except _UNSENT:
            raise
        except BaseException as interruption:
            yield from _interrupted(interruption, Release(id=order.id, claim=claim))
            raise
        row, blocker = claimed.row, claimed.blocker
        if claimed.is_ours:
            result = yield from _send(row, settings, has_turn)
            if result is not None:
                return result
            has_turn = True
            continue
        if row.state in (State.APPLIED, State.REJECTED):
            return Result(row=row, was_applied=row.state is State.APPLIED)
        unknown = row if row.state is State.UNKNOWN else blocker
        again_in: float | None = _TURN
        if unknown is not None and unknown.state is State.UNKNOWN:
            settled = yield from settle(unknown.id, settings)
            if settled.row.state is not State.UNKNOWN:
                if unknown is row and settled.row.state is not State.NOT_APPLIED:
                    return settled
                continue
            if unknown is row:
                return settled
            again_in = settled.again_in
            waited = settings.patience  # a settling takes longer than anybody waits here
        if waited >= settings.patience:
            return _busy(row, blocker, again_in)
        yield Pause(delay)
        waited += delay
        delay = min(2 * delay, _TURN)


def _busy(row: Row, blocker: Row | None, again_in: float | None) -> Result:
    if blocker is None:
        return Result(row=row, again_in=again_in, waits_for=row.id)
    open_ = "is being sent" if blocker.state is State.SENDING else "has an unknown outcome"
    problem = f"waits for the refill {blocker.id!r} of the same meter, which {open_}"
    return Result(
        row=row, problem=f"{problem}; nothing was sent", again_in=again_in, waits_for=blocker.id
    )


def _send(row: Row, settings: Settings, has_turn: bool) -> Generator[Command, Any, Result | None]:
    """Read the meter and send a refill whose meter is taken.

    Returns `None` if the claim was lost before anything was sent.
    """
    try:
        wait = 0.0 if has_turn else settings.pace.turn()
        if wait > 0:
            yield Pause(wait)
        before: CustomerBillingMeter | None = yield Read(row)
        if before is None:
            problem = f"there is no meter {row.external_meter_id!r} in {row.workspace_id!r}"
            return (yield from _finish(row, State.REJECTED, f"{problem}; nothing was sent"))
        reading = meter_to_text(before)
        began = [clock() for clock in settings.clocks]
        begun: Row | None = yield Write(Begin(row=row, before=reading))
        if begun is None:
            return None
        yield Slot()
    except _UNSENT:
        raise
    except OneloopError as error:
        problem = f"the meter could not be read, so nothing was sent: {error}"
        if error.status_code in _UNREADABLE:
            return (yield from _finish(row, State.REJECTED, problem))
        return (yield from _not_done(row, error, problem, settings))
    except BaseException as interruption:
        yield from _interrupted(interruption, Release(id=row.id, claim=row.claim or ""))
        raise
    late = max(clock() - start for clock, start in zip(settings.clocks, began, strict=True))
    if late > settings.lease / 4:
        problem = f"not sent, because {late:.1f} s had passed since it was written down"
        return (yield from _finish(begun, State.PLANNED, problem, again_in=0.0))
    return (yield from _sent(begun, before, settings))


def _sent(
    row: Row, before: CustomerBillingMeter, settings: Settings
) -> Generator[Command, Any, Result]:
    try:
        answer: CustomerBillingMeter | None = yield Send(row)
    except OneloopError as error:
        if error.outcome is Outcome.UNKNOWN:
            return (yield from _finish(row, State.UNKNOWN, str(error), settings.look_in))
        if error.outcome is Outcome.APPLIED:
            return (yield from _finish(row, State.APPLIED, str(error)))
        passes = error.status_code in (401, 403, 408, 429)
        if error.outcome is Outcome.NOT_SENT or passes:
            return (yield from _not_done(row, error, str(error), settings))
        return (yield from _finish(row, State.REJECTED, str(error)))
    except GeneratorExit:
        raise
    except BaseException as interruption:
        # If nothing was sent, settling finds that out.
        problem = "; ".join(["interrupted", *getattr(interruption, "__notes__", [])])
        unknown = Finish(row=row, state=State.UNKNOWN, error=problem)
        yield from _interrupted(interruption, unknown)
        raise
    if answer is None:
        problem = "the answer has no meter, so it does not show whether the refill was applied"
        return (yield from _finish(row, State.UNKNOWN, problem, settings.look_in))
    lessons = learned(before, answer, row.refill)
    try:
        text = meter_to_text(answer)
    except DecodeError as error:
        return (yield from _finish(row, State.APPLIED, str(error)))
    done = Finish(row=row, state=State.APPLIED, answer=text, lessons=lessons)
    return (yield from _written(done))


def _finish(
    row: Row, state: State, problem: str, again_in: float | None = None
) -> Generator[Command, Any, Result]:
    return (yield from _written(Finish(row=row, state=state, error=problem), again_in))


def _written(finish: Finish, again_in: float | None = None) -> Generator[Command, Any, Result]:
    try:
        after: Row = yield Write(finish)
    except LedgerError as error:
        raise LedgerUnavailableError(
            f"the refill {finish.row.id!r} is {finish.state}, which could not be written down "
            f"({error}); when the ledger can be reached again, settling finds it out",
            outcome=_OUTCOMES[finish.state],
        ) from None
    return Result(row=after, again_in=again_in)


def _interrupted(
    interruption: BaseException, operation: Operation
) -> Generator[Command, Any, None]:
    """Write down where a refill was interrupted, which a failing database must not hide."""
    try:
        yield Write(operation)
    except LedgerError as error:
        interruption.add_note(f"{error}; when it can be used again, settling finds it out")


_OUTCOMES = {
    State.APPLIED: Outcome.APPLIED,
    State.REJECTED: Outcome.REJECTED,
    State.UNKNOWN: Outcome.UNKNOWN,
    State.PLANNED: Outcome.NOT_SENT,
}


def _not_done(
    row: Row, error: OneloopError, problem: str, settings: Settings
) -> Generator[Command, Any, Result]:
    """Plan a refill again that provably had no effect, or raise what no repetition will change."""
    result = yield from _finish(row, State.PLANNED, problem, again_in=_BACKOFF)
    if _is_final(error):
        raise error
    if error.status_code == 429:
        wait = getattr(error, "retry_after", None) or _BACKOFF
        if wait > _LONGEST_WAIT:
            return evolve(result, again_in=None, stop=f"the API asks to wait {wait:,.0f} seconds")
        settings.pace.hold(wait)
        return evolve(result, again_in=wait)
    return evolve(result, is_unreachable=True)


def _is_final(error: OneloopError) -> bool:
    """Return whether an error is one of the key, the settings or the test suite."""
    refused = isinstance(error, (*REFUSALS, RefusedInTestsError))
    return refused or not isinstance(error, APIError | DecodeError)


def settle(id: str, settings: Settings) -> Generator[Command, Any, Result]:
    """Take one step to find out what became of a refill that the ledger has.

    A refill whose process has died is taken over first.
    """
    row: Row = yield Write(Inspect(id=id))
    if row.state is not State.UNKNOWN or row.needs_decision or not settings.settle:
        return Result(row=row)
    quiet = max(row.quiet, settings.quiet)
    due = 0.0 if row.reading_at is None else row.reading_at + quiet - row.now
    if 0 < due <= quiet:  # more: the clock was set back
        return Result(row=row, again_in=due)
    began = settings.clocks[0]()
    try:
        reading: CustomerBillingMeter | None = yield Read(row)
        text = GONE if reading is None else meter_to_text(reading)
    except NotFoundError:
        text = GONE
    except OneloopError as error:
        if _is_final(error):
            raise
        if error.status_code in _UNREADABLE:
            return Result(row=row, problem=f"the meter could not be read: {error}")
        wait = getattr(error, "retry_after", None) or _BACKOFF
        again_in = max(quiet, wait)
        return Result(row=row, again_in=again_in, is_unreachable=error.status_code is None)
    after: Row = yield Write(Observe(row=row, reading=text, began=began))
    if after.state is not State.UNKNOWN or after.needs_decision:
        return Result(row=after)
    return Result(row=after, again_in=quiet)
