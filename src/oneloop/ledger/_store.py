"""The statements of a ledger: what each operation changes, and under which condition.

Each operation can be carried out twice with the same result: when the connection is lost during a
commit, nobody can say whether it was made, and the operation is simply carried out again. Whoever
writes down the result of a sending names its claim, so that a process that was taken for dead
cannot overwrite what others have found out since.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic
from typing import Any, TypeAlias

from attrs import evolve, field, frozen
from sqlalchemy import (
    Connection,
    CursorResult,
    Select,
    Table,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from oneloop_api.models import CustomerBillingMeter

from ._model import (
    HistoryEntry,
    LedgerConflictError,
    LedgerError,
    Refill,
    RefillOrder,
    State,
    meter_from_text,
    moment,
    storable,
)
from ._settling import EFFECTS, Lesson, conclude, same
from ._tables import OPEN, facts, history, lessons, refills

GONE = "null"
"""The reading of a meter that does not exist, in place of its JSON."""

Alive: TypeAlias = Callable[[str], bool | None]
"""Whether the owner of a claim is running; `None` if only the lease can tell."""


@frozen(kw_only=True)
class Row:
    """A row of the table `oneloop_refills`, and the moment at which it was read."""

    seq: int
    id: str
    workspace_id: str
    external_meter_id: str
    refill: int
    meter: str
    state: State
    attempts: int
    claim: str | None
    owner: str | None
    lease_until: float | None
    before: str | None
    answer: str | None
    reading: str | None
    reading_at: float | None
    error: str | None
    conclusion: str | None
    needs_decision: bool
    other_writers: bool
    quiet: float
    planned_at: float
    sent_at: float | None
    ended_at: float | None
    now: float

    @property
    def order(self) -> RefillOrder:
        """What was ordered."""
        return RefillOrder(
            id=self.id,
            workspace_id=self.workspace_id,
            external_meter_id=self.external_meter_id,
            refill=self.refill,
        )

    @property
    def public(self) -> Refill:
        """The row as users see it."""
        return Refill(
            id=self.id,
            workspace_id=self.workspace_id,
            external_meter_id=self.external_meter_id,
            refill=self.refill,
            state=self.state,
            attempts=self.attempts,
            before=None if self.before is None else meter_from_text(self.before),
            meter=None if self.answer is None else meter_from_text(self.answer),
            error=self.error,
            conclusion=self.conclusion,
            needs_decision=self.needs_decision,
            planned_at=moment(self.planned_at),
            sent_at=None if self.sent_at is None else moment(self.sent_at),
            ended_at=None if self.ended_at is None else moment(self.ended_at),
        )


@frozen
class Create:
    """Make the ledger unless it is there: it is by the time this is carried out. Result: `None`."""


@frozen(kw_only=True)
class Claim:
    """Write an order down unless it is there, and take its meter if it may be sent now.

    The result is a `Claimed`, or a `LedgerConflictError`.
    """

    order: RefillOrder
    claim: str
    retry_rejected: bool = False


@frozen(kw_only=True)
class Claimed:
    """The refill as it is now; its `claim` is that of the operation if the meter was taken.

    Attributes:
        row: The refill.
        is_ours: Whether the meter was taken, so that it may be read and the refill be sent.
        blocker: The refill that has the meter, if that is why not.
    """

    row: Row
    is_ours: bool
    blocker: Row | None = None


@frozen(kw_only=True)
class Begin:
    """Write down that a refill is about to be sent.

    The result is the row as it is then, `None` if the claim no longer holds.
    """

    row: Row
    before: str


@frozen(kw_only=True)
class Finish:
    """Write down what came of a sending. The result is the row as it is then."""

    row: Row
    state: State
    answer: str | None = None
    error: str | None = None
    lessons: frozenset[Lesson] = frozenset()


@frozen(kw_only=True)
class Release:
    """Plan a refill again that was claimed, and not sent. The result is `None`."""

    id: str
    claim: str


@frozen(kw_only=True)
class Inspect:
    """Take a refill over if its owner is dead. The result is the row, or `None`."""

    id: str


@frozen(kw_only=True)
class Observe:
    """Write down a reading of the meter of an unknown refill, and conclude what it shows.

    The result is the row as it is then.
    """

    row: Row
    reading: str
    """The meter, or `GONE`."""
    began: float
    """When the reading began, by `Rules.steady`."""


@frozen(kw_only=True)
class Decide:
    """Write down what a person says of an unknown refill. The result is the row as it is then."""

    id: str
    applied: bool
    note: str


Operation: TypeAlias = Create | Claim | Begin | Finish | Release | Inspect | Observe | Decide


@frozen(kw_only=True)
class Rules:
    """What the operations of one ledger go by.

    Attributes:
        quiet: Seconds between two equal readings.
        lease: Seconds after which a claim no longer holds.
        other_writers: Whether other programs refill the same meters.
        create: Whether any operation makes the ledger where there is none, not only `Create`.
        owner: Name of this process, unique; the database gives it.
        alive: Tells whether an owner runs; by default, only the lease can tell.
        steady: Seconds by a clock of this process that is never set.
    """

    quiet: float
    lease: float
    other_writers: bool
    create: bool = True
    owner: str = ""
    alive: Alive = lambda _: None
    steady: Callable[[], float] = monotonic


@frozen
class Batch:
    """Operations that are carried out together, in one transaction.

    Attributes:
        connection: Has begun the transaction.
        rules: What to go by.
        now: Seconds since the epoch, by the clock that all processes share.
        known: Lessons that are in the database for certain.
    """

    connection: Connection
    rules: Rules
    now: float
    known: frozenset[Lesson] = frozenset()
    _history: list[dict[str, Any]] = field(factory=list[dict[str, Any]], init=False)
    _learned: set[Lesson] = field(factory=set[Lesson], init=False)

    def perform(self, operations: Sequence[Operation]) -> list[Any]:
        """Carry out operations and return their results in the same order.

        An exception among the results belongs to its operation alone.
        """
        places: dict[type, list[int]] = {}
        for place, one in enumerate(operations):
            places.setdefault(type(one), []).append(place)
        results: list[Any] = [None] * len(operations)
        for kind, carry_out in self._kinds():
            chosen = places.get(kind, [])
            if chosen:
                found = carry_out([operations[place] for place in chosen])
                for place, result in zip(chosen, found, strict=True):
                    results[place] = result
        if self._history:
            self.connection.execute(insert(history), self._history)
        return results

    def _kinds(self) -> Iterator[tuple[type, Callable[[Any], Iterable[Any]]]]:
        """Yield what carries out the operations of a kind, in the order in which that is done.

        A meter that becomes free can thus be taken in the same transaction.
        """
        yield Create, lambda many: [None] * len(many)
        yield Finish, self._finish
        yield Begin, self._begin
        yield Inspect, lambda many: map(self._inspect, many)
        yield Observe, lambda many: map(self._observe, many)
        yield Decide, lambda many: map(self._decide, many)
        yield Claim, self._claim
        # Last: a task that is cancelled while it claims releases that claim, in the same batch.
        yield Release, lambda many: map(self._release, many)

    def _claim(self, claims: Sequence[Claim]) -> Iterator[Any]:
        rows = self._rows({one.order.id for one in claims})
        new = {one.order.id for one in claims} - rows.keys()
        open_rows = self._open_rows({meter_of(one.order) for one in claims})
        for row in list(open_rows.values()):
            after = self._taken_over(row)
            if row.id in rows:
                rows[row.id] = after
            if after.state is State.PLANNED:
                del open_rows[row.meter]
            else:
                open_rows[row.meter] = after
        taken: dict[str, Row] = {}
        # In one order everywhere, so that two processes with the same orders do not deadlock.
        for one in sorted(claims, key=lambda one: one.order.id):
            row = rows.setdefault(one.order.id, _planned(one.order, self.now))
            is_free = row.meter not in open_rows
            if is_free and row.order == one.order and _may_be_sent(row, one):
                taken[row.id] = open_rows[row.meter] = self._taken(row, one.claim)
                self._keep(row)
        self._insert({id_: taken.get(id_, rows[id_]) for id_ in sorted(new)}.values())
        for id_ in taken.keys() - self._update(taken, rows, new):  # another process has it
            del open_rows[taken.pop(id_).meter]
        rows.update(taken)
        for one in claims:
            row = rows[one.order.id]
            if row.order != one.order:
                yield LedgerConflictError(row.public, one.order)
                continue
            blocker = open_rows.get(row.meter)
            yield Claimed(
                row=row,
                is_ours=row.state is State.SENDING and row.claim == one.claim,
                blocker=None if blocker is None or blocker.id == row.id else blocker,
            )

    def _keep(self, row: Row) -> None:
        """Write down the sending that the row has been about so far: another one begins."""
        if row.sent_at is not None and row.before is not None:
            text = _sending(row.attempts, row.before)
            values = {"refill_id": row.id, "at": row.sent_at, "what": "sent", "text": text}
            self._history.append(values)

    def _taken(self, row: Row, claim: str) -> Row:
        return evolve(row, state=State.SENDING, claim=claim, **self._beginning())

    def _beginning(self) -> dict[str, Any]:
        """Return what a refill has when its meter has just been taken."""
        return {
            "owner": self.rules.owner,
            "lease_until": self.now + self.rules.lease,
            "before": None,
            "answer": None,
            "reading": None,
            "reading_at": None,
            "conclusion": None,
            "other_writers": self.rules.other_writers,
            "quiet": self.rules.quiet,
            "ended_at": None,
        }

    def _insert(self, new: Iterable[Row]) -> None:
        values = [
            {
                "id": row.id,
                "workspace_id": row.workspace_id,
                "external_meter_id": row.external_meter_id,
                "refill": row.refill,
                "meter": row.meter,
                "state": row.state.value,
                "attempts": 0,
                "claim": row.claim,
                "owner": row.owner,
                "lease_until": row.lease_until,
                "needs_decision": False,
                "other_writers": row.other_writers,
                "quiet": row.quiet,
                "planned_at": row.planned_at,
            }
            for row in new
        ]
        if values:
            statement = _insert_new(self.connection, refills)
            counted = statement.execution_options(preserve_rowcount=True)
            _expect(self.connection.execute(counted, values), len(values))

    def _update(self, taken: dict[str, Row], rows: dict[str, Row], new: set[str]) -> set[str]:
        """Write the rows down that were taken, and return the ids of all that were."""
        old = sorted(taken.keys() - new)
        if not old:
            return set(taken)
        if self.connection.dialect.name == "postgresql":
            # What another process is about to take is left to it.
            chosen = select(refills.c.id).where(refills.c.id.in_(old))
            free = set(self.connection.scalars(chosen.with_for_update(skip_locked=True)))
            old = [id_ for id_ in old if id_ in free]
        statement = (
            update(refills)
            .where(refills.c.id == bindparam("row_id"), refills.c.state == bindparam("row_state"))
            .values(state=State.SENDING.value, claim=bindparam("new_claim"), **self._beginning())
        )
        values = [
            {"row_id": id_, "new_claim": taken[id_].claim, "row_state": rows[id_].state.value}
            for id_ in old
        ]
        if values:
            _expect(self.connection.execute(statement, values), len(values))
        return {*old, *new}

    def _begin(self, begins: Sequence[Begin]) -> list[Row | None]:
        statement = (
            update(refills)
            .where(
                refills.c.id == bindparam("row_id"),
                refills.c.claim == bindparam("row_claim"),
                refills.c.state == State.SENDING.value,
                refills.c.lease_until > self.now,
            )
            .values(
                before=bindparam("new_before"),
                attempts=bindparam("new_attempts"),
                sent_at=self.now,
                lease_until=self.now + self.rules.lease,
            )
        )
        after = [
            evolve(
                one.row,
                before=one.before,
                attempts=one.row.attempts + 1,
                sent_at=self.now,
                lease_until=self.now + self.rules.lease,
            )
            for one in begins
        ]
        values = [
            {
                "row_id": row.id,
                "row_claim": row.claim,
                "new_before": row.before,
                "new_attempts": row.attempts,
            }
            for row in sorted(after, key=lambda row: row.id)
        ]
        if self.connection.execute(statement, values).rowcount == len(values):
            return list(after)
        rows = self._rows(row.id for row in after)
        return [row if _is_begun(rows[row.id], row) else None for row in after]

    def _finish(self, finishes: Sequence[Finish]) -> list[Row]:
        after = [
            evolve(
                one.row,
                state=one.state,
                answer=one.answer,
                error=None if one.error is None else storable(one.error),
                owner=None,
                lease_until=None,
                ended_at=None if one.state is State.PLANNED else self.now,
            )
            for one in finishes
        ]
        values = [
            {
                "row_id": row.id,
                "row_claim": row.claim,
                "new_state": row.state.value,
                "new_answer": row.answer,
                "new_error": row.error,
                "new_ended_at": row.ended_at,
            }
            for row in sorted(after, key=lambda row: row.id)
        ]
        statement = (
            update(refills)
            .where(
                refills.c.id == bindparam("row_id"),
                refills.c.claim == bindparam("row_claim"),
                refills.c.state == State.SENDING.value,
            )
            .values(
                state=bindparam("new_state"),
                answer=bindparam("new_answer"),
                error=bindparam("new_error"),
                owner=None,
                lease_until=None,
                ended_at=bindparam("new_ended_at"),
            )
        )
        for row in after:
            if row.error is not None:
                self._note(row.id, "failed", row.error)
        if self.connection.execute(statement, values).rowcount < len(values):
            rows = self._rows(row.id for row in after)
            after = [self._late(rows[row.id], row) for row in after]
        self._learn((one.row.id, one.lessons) for one in finishes)
        return after

    def _late(self, row: Row, wanted: Row) -> Row:
        """Return a row after a sending has ended that may have been taken for dead before."""
        is_same = row.claim == wanted.claim and row.state is wanted.state
        if is_same and row.conclusion is None:
            return row
        said = f"{wanted.state}: {wanted.error or 'answered'}"
        if row.state is not State.UNKNOWN or row.claim != wanted.claim:
            text = f"a sending ended ({said}) when the refill was {row.state}; look at the meter"
            self._note(row.id, "contradiction", text)
        # An answer is more than a conclusion from readings, so it still corrects that.
        if row.claim != wanted.claim or row.state not in (State.UNKNOWN, State.NOT_APPLIED):
            return row
        if wanted.state is State.UNKNOWN and self._open_rows({row.meter}):
            return row  # the meter is taken by another refill, so that readings mean nothing
        return self._set(
            row,
            state=wanted.state,
            answer=wanted.answer,
            error=wanted.error,
            reading=None,
            reading_at=None,
            conclusion=None,
            needs_decision=False,
            ended_at=wanted.ended_at,
        )

    def _release(self, one: Release) -> object:
        return self.connection.execute(
            update(refills)
            .where(
                refills.c.id == one.id,
                refills.c.claim == one.claim,
                refills.c.state == State.SENDING.value,
            )
            .values(state=State.PLANNED.value, owner=None, lease_until=None)
        )

    def _inspect(self, one: Inspect) -> Row | None:
        row = self._rows([one.id]).get(one.id)
        return row and self._taken_over(row)

    def _observe(self, one: Observe) -> Row:
        row = self._rows([one.row.id])[one.row.id]
        is_open = row.state is State.UNKNOWN and row.claim == one.row.claim
        if not is_open or row.needs_decision or row.before is None:
            return row
        known, reading = lessons_of(self.connection), _read(one.reading)
        earlier = row.reading_at or 0.0
        is_set_back = earlier > self.now  # the clock was: nobody knows how long ago that was
        if row.reading is None or is_set_back or not same(_read(row.reading), reading, known):
            self._note(row.id, "reading", _shown(reading))
            return self._set(row, reading=one.reading, reading_at=self.now, conclusion=None)
        age = self.rules.steady() - one.began
        if self.now - age < earlier + max(row.quiet, self.rules.quiet):
            return row
        before = meter_from_text(row.before)
        found = conclude(
            before,
            reading,
            row.refill,
            lessons=known,
            other_writers=row.other_writers or self.rules.other_writers,
        )
        conclusion = f"{found.reason} (before it was sent: {_shown(before)})"
        if conclusion != row.conclusion:
            self._note(row.id, "reading", _shown(reading))
            self._note(row.id, "concluded", f"{found.state}: {conclusion}")
        ended_at = None if found.state is State.UNKNOWN else self.now
        return self._set(
            row,
            state=found.state,
            conclusion=conclusion,
            needs_decision=found.needs_decision,
            ended_at=ended_at,
        )

    def _decide(self, one: Decide) -> Row | LedgerError:
        row = self._rows([one.id]).get(one.id)
        if row is None:
            return LedgerError(f"the ledger has no refill {one.id!r}")
        state = State.APPLIED if one.applied else State.NOT_APPLIED
        conclusion = f"decided: {one.note}"
        if row.state is state and row.conclusion == conclusion:
            return row  # carried out before
        if row.state is not State.UNKNOWN and row.conclusion is None:
            return LedgerError(
                f"only a refill whose outcome is unknown, or was concluded from readings, can be "
                f"decided; {one.id!r} is {row.state}"
            )
        self._note(row.id, "decided", f"{state}: {one.note}")
        return self._set(
            row, state=state, conclusion=conclusion, needs_decision=False, ended_at=self.now
        )

    def _taken_over(self, row: Row) -> Row:
        """Return a row whose owner is dead as it is without it; others as they are."""
        if row.state is not State.SENDING:
            return row
        is_over = row.lease_until is None or row.lease_until <= self.now
        is_own = row.owner is None or row.owner == self.rules.owner
        if not is_over and (is_own or self.rules.alive(row.owner or "") is not False):
            return row
        why = "its lease had expired" if is_over else "its process had ended"
        if row.before is None:
            self._note(row.id, "taken over", f"planned: {why}, and it had not been sent")
            return self._set(row, state=State.PLANNED, owner=None, lease_until=None)
        text = f"{why} before it wrote down what came of it"
        self._note(row.id, "taken over", f"unknown: {text}")
        return self._set(row, state=State.UNKNOWN, owner=None, lease_until=None, error=text)

    def _set(self, row: Row, **values: Any) -> Row:
        """Change a row if it is still as it was read."""
        written = {k: v.value if isinstance(v, State) else v for k, v in values.items()}
        changed = self.connection.execute(
            update(refills)
            .where(
                refills.c.id == row.id,
                refills.c.state == row.state.value,
                refills.c.claim == row.claim,
                # An owner that is slow, and not dead, may have renewed it meanwhile.
                refills.c.lease_until == row.lease_until,
            )
            .values(**written)
        ).rowcount
        return evolve(row, **values) if changed else self._rows([row.id])[row.id]

    def _learn(self, shown: Iterable[tuple[str, frozenset[Lesson]]]) -> None:
        new = {lesson: id_ for id_, many in shown for lesson in many if lesson not in self.known}
        for lesson in sorted(new):
            values = {"lesson": lesson.value, "refill_id": new[lesson], "at": self.now}
            self.connection.execute(_insert_new(self.connection, lessons), values)
        self._learned.update(new)

    @property
    def learned(self) -> frozenset[Lesson]:
        """Lessons that are in the database when the transaction is committed."""
        return self.known | self._learned

    def _note(self, refill_id: str, what: str, text: str) -> None:
        self._history.append({"refill_id": refill_id, "at": self.now, "what": what, "text": text})

    def _rows(self, ids: Iterable[str]) -> dict[str, Row]:
        chosen = select(refills).where(refills.c.id.in_(list(ids)))
        return {row.id: row for row in rows_of(self.connection, chosen, self.now)}

    def _open_rows(self, meters: set[str]) -> dict[str, Row]:
        """Return the refills that meters are taken by."""
        chosen = select(refills).where(refills.c.meter.in_(list(meters)), OPEN)
        return {row.meter: row for row in rows_of(self.connection, chosen, self.now)}


def meter_of(order: RefillOrder) -> str:
    """Return what names the meter of an order; no two meters have the same."""
    return f"{len(order.workspace_id)} {order.workspace_id} {order.external_meter_id}"


class LostRaceError(Exception):
    """Another process has changed a row in the meantime. A new transaction sees what it did."""


def _expect(result: CursorResult[Any], number: int) -> None:
    if result.rowcount != number:
        raise LostRaceError


def _planned(order: RefillOrder, now: float) -> Row:
    return Row(
        seq=0,
        id=order.id,
        workspace_id=order.workspace_id,
        external_meter_id=order.external_meter_id,
        refill=order.refill,
        meter=meter_of(order),
        state=State.PLANNED,
        attempts=0,
        claim=None,
        owner=None,
        lease_until=None,
        before=None,
        answer=None,
        reading=None,
        reading_at=None,
        error=None,
        conclusion=None,
        needs_decision=False,
        other_writers=False,
        quiet=0.0,
        planned_at=now,
        sent_at=None,
        ended_at=None,
        now=now,
    )


def _insert_new(connection: Connection, table: Table) -> Any:
    """Return a statement that inserts rows unless their key is there."""
    dialect: Any = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    return dialect.insert(table).on_conflict_do_nothing()


def _is_begun(row: Row, wanted: Row) -> bool:
    return row.claim == wanted.claim and row.state is State.SENDING and row.before == wanted.before


def _may_be_sent(row: Row, claim: Claim) -> bool:
    if row.state is State.REJECTED:
        return claim.retry_rejected
    return row.state in (State.PLANNED, State.NOT_APPLIED)


def rows_of(connection: Connection, chosen: Select[Any], now: float) -> Iterator[Row]:
    """Yield the rows of a statement that selects from `refills`."""
    for found in connection.execute(chosen).mappings():
        values: dict[str, Any] = dict(found)
        values["state"] = State(values["state"])
        yield Row(**values, now=now)


def totals(connection: Connection) -> dict[State, tuple[int, int]]:
    """Return the number of refills and the sum of their credits, for each state."""
    found: dict[State, tuple[int, int]] = dict.fromkeys(State, (0, 0))
    # Summed up here: SQLite has no sums beyond 64 bits.
    grouped = select(refills.c.state, refills.c.refill, func.count()).group_by(
        refills.c.state, refills.c.refill
    )
    for state, amount, number in connection.execute(grouped):
        count, credit = found[State(state)]
        found[State(state)] = (count + number, credit + number * amount)
    return found


def history_of(connection: Connection, row: Row) -> list[HistoryEntry]:
    """Return what happened to a refill, in order of time."""
    chosen = select(history).where(history.c.refill_id == row.id).order_by(history.c.seq)
    found = [(one.at, one.what, one.text) for one in connection.execute(chosen)]
    found.append((row.planned_at, "planned", str(row.order)))
    if row.before is not None and row.sent_at is not None:
        found.append((row.sent_at, "sent", _sending(row.attempts, row.before)))
    if row.answer is not None and row.ended_at is not None:
        answer = _shown(meter_from_text(row.answer))
        found.append((row.ended_at, "answered", f"{row.state}: {answer}"))
    found.sort(key=lambda one: one[0])  # stable: entries of one moment stay in order
    return [HistoryEntry(at=moment(at), what=what, text=text) for at, what, text in found]


def _sending(number: int, before: str) -> str:
    return f"sending {number}; before it: {_shown(meter_from_text(before))}"


def _read(reading: str) -> CustomerBillingMeter | None:
    return None if reading == GONE else meter_from_text(reading)


def _shown(meter: CustomerBillingMeter | None) -> str:
    if meter is None:
        return "there is no such meter"
    return f"totalCredits {meter.total_credits}, usedCredits {meter.used_credits}"


def lessons_of(connection: Connection) -> frozenset[Lesson]:
    """Return what answered refills have shown."""
    return frozenset(map(Lesson, connection.scalars(select(lessons.c.lesson))))


def effect_of(known: frozenset[Lesson]) -> Lesson | None:
    """Return the effect of a refill that answers have shown; `None` if none, or both, were."""
    shown = EFFECTS & known
    return next(iter(shown)) if len(shown) == 1 else None


def fact(connection: Connection, name: str, value: str) -> str:
    """Write a fact down unless it is there, and return it as it is there."""
    connection.execute(_insert_new(connection, facts), {"name": name, "value": value})
    found = connection.scalar(select(facts.c.value).where(facts.c.name == name))
    return str(found)
