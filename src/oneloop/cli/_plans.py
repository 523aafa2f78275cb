"""What a file of refills would do: its rows, checked, beside what the ledger has of them."""

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import typer
from attrs import define

from . import _exits
from ._console import (
    counted,
    grouped,
    is_terminal,
    printable,
    rich_console,
    say,
    write,
    write_json,
    write_table,
)
from ._database import is_new, missing
from ._exits import CommandError
from ._input import ChangedError, Input
from ._rows import MAX_MISTAKES, Mistake, Report, Row, check, parse

if TYPE_CHECKING:
    from oneloop.ledger import Ledger, Refill

_WORKSPACES = 20
"""Workspaces in the table of what would be refilled; there is one row for all others."""

_BATCH = 500
"""Rows whose ids are looked up in the ledger at once."""

_NEW = "new"
_UNDECIDED = "waits for a decision"


def _meanings(retry_rejected: bool) -> dict[str, str]:
    """Return what a run does with a row, by what the ledger says of it."""
    return {
        _NEW: "is sent",
        "planned": "is sent",
        "not applied": "is sent again",
        "rejected": "is sent again" if retry_rejected else "stays; --retry-rejected sends it again",
        "sending": "is being sent, or its process has ended: then it is settled",
        "unknown": "is settled, and sent again if it had no effect",
        _UNDECIDED: "stays, until: oneloop ledger decide",
        "applied": "stays",
    }


@define
class FileRows:
    """The rows of a file, which can be read more than once.

    Reading raises `CommandError` if it cannot be read any more, or has changed.
    """

    source: str
    file: Input
    ignored: Sequence[str]

    def __call__(self) -> Iterator[Row | Mistake]:
        """Yield rows and mistakes, from the start."""
        return parse(self._blocks(), ignored=self.ignored)

    def _blocks(self) -> Iterator[bytes]:
        with _reading(self.source):
            yield from self.file.blocks()

    def checked(self) -> Iterator[Row]:
        """Yield the rows of a file that has no mistakes."""
        return (one for one in self() if isinstance(one, Row))


def opened_file(source: str) -> Input:
    """Return what `--from` names; end the command if it cannot be opened."""
    with _reading(source):
        return Input(source, sys.stdin.buffer)


@contextmanager
def _reading(source: str) -> Generator[None]:
    """End the command with an error that names the file, if it cannot be read or has changed."""
    try:
        yield
    except ChangedError as error:
        raise CommandError(f"--from: {error}") from None
    except OSError as error:
        raise CommandError(f"--from: {source}: {error.strerror or error}") from None


def checked(rows: FileRows) -> Report:
    """Check a whole file; show its mistakes and end the command if there are any."""
    name = rows.file.name
    with _status(f"Checking {name}") as show:
        report = check(rows, progress=show)
    _end_with(name, report.mistakes, report.more_mistakes)
    return report


def _end_with(name: str, mistakes: Sequence[Mistake], more: int) -> None:
    """End the command if there are mistakes."""
    if not mistakes:
        return
    for mistake in mistakes:
        say(f"{name}: {mistake}")
    shown = f", of which the first {len(mistakes)} are shown" if more else ""
    found = counted(len(mistakes) + more, "mistake")
    raise CommandError(f"{name} has {found}{shown}; nothing was sent")


@contextmanager
def _status(text: str) -> Generator[Callable[[int], object]]:
    """Show on a terminal that something is going on. Yield a function to show a number of rows."""
    if not is_terminal(sys.stderr):
        yield lambda _: None
        return
    with rich_console(sys.stderr).status(text) as status:
        yield lambda rows: status.update(f"{text}: {counted(rows, 'row')}")


@define
class Plan:
    """The rows of a file by what the ledger says of them."""

    kinds: dict[str, tuple[int, int]]
    """Numbers and credits, in the order of `_meanings`."""
    database: str
    """The ledger, by its full path or its URL."""
    is_new: bool
    """Whether there is no ledger yet."""

    def to_send(self, retry_rejected: bool) -> tuple[int, int]:
        """Return how many refills are sent, and their credits."""
        kinds = (_NEW, "planned", "not applied", *(("rejected",) if retry_rejected else ()))
        number, amount = (sum(both) for both in zip((0, 0), *map(self._both, kinds), strict=True))
        return number, amount

    def exceeds(self, agreed: "Plan", retry_rejected: bool) -> bool:
        """Return whether this sends more refills, or more credits, than what was agreed to."""
        both = zip(self.to_send(retry_rejected), agreed.to_send(retry_rejected), strict=True)
        return any(now > then for now, then in both)

    def question(self, retry_rejected: bool, host: str) -> str | None:
        """Return what to ask before anything is sent; `None` if nothing will be."""
        number, amount = self.to_send(retry_rejected)
        open_ = sum(self._both(kind)[0] for kind in ("sending", "unknown"))
        settle = f"ettle {counted(open_, 'open refill')}, which may be sent again"
        if number:
            more = f", and s{settle}," if open_ else ""
            sent = f"Send {counted(number, 'refill')} of {counted(amount, 'credit')}"
            return f"{sent}{more} to {host}?"
        return f"S{settle} to {host}?" if open_ else None

    def _both(self, kind: str) -> tuple[int, int]:
        return self.kinds.get(kind, (0, 0))


def planned(rows: FileRows, ledger: "Ledger") -> Plan:
    """Compare a file with the ledger; end the command if they contradict each other."""
    sums = {kind: [0, 0] for kind in _meanings(False)}
    conflicts: list[Mistake] = []
    more = done = 0
    is_missing = is_new(ledger)
    with _status(f"Comparing {rows.file.name} with the ledger") as show:
        for batch in _batches(rows.checked()):
            known = {} if is_missing else ledger.find_all([row.id for row in batch])
            for row in batch:
                found = known.get(row.id)
                both = sums[kind_of(found)]
                both[0] += 1
                both[1] += row.refill
                conflict = found and _conflict(row, found)
                if conflict and len(conflicts) < MAX_MISTAKES:
                    conflicts.append(conflict)
                elif conflict:
                    more += 1
            done += len(batch)
            show(done)
    _end_with(rows.file.name, conflicts, more)
    kinds = {kind: (both[0], both[1]) for kind, both in sums.items() if both[0]}
    return Plan(kinds, ledger.database, is_missing)


def kind_of(known: "Refill | None") -> str:
    if known is None:
        return _NEW
    return _UNDECIDED if known.needs_decision else known.state.value


def _conflict(row: Row, known: "Refill") -> Mistake | None:
    """Return how a row contradicts the refill that the ledger has under its id."""
    different = [
        f"{name} {getattr(known, name)!r} there and {getattr(row, name)!r} here"
        for name in ("workspace_id", "external_meter_id", "refill")
        if getattr(known, name) != getattr(row, name)
    ]
    if not different:
        return None
    text = (
        f"the ledger has {row.id!r} ({known.state.value}) with {' and '.join(different)}; give "
        "each refill an id of its own"
    )
    return Mistake(row.line, text, "id")


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def show_plan(
    name: str, report: Report, plan: Plan, retry_rejected: bool, *, is_json: bool
) -> None:
    """Show what would be refilled, by workspace, and what the ledger says about it."""
    others = report.other_workspaces
    if is_json:
        document: dict[str, Any] = {
            "file": name,
            "refills": report.rows,
            "credits": report.credits,
            "workspaces": {
                one.workspace_id: {"refills": one.rows, "credits": one.credits}
                for one in report.workspaces
            },
            "other_workspaces": others and {"refills": others.rows, "credits": others.credits},
            "ledger": {
                kind: {"refills": number, "credits": amount}
                for kind, (number, amount) in plan.kinds.items()
            },
            "database": plan.database,
            "is_new_ledger": plan.is_new,
        }
        write_json(document)
        return
    write(
        printable(f"{name}: {counted(report.rows, 'refill')}, {counted(report.credits, 'credit')}")
    )
    new = "; there is none yet" if plan.is_new else ""
    write(printable(f"ledger: {plan.database}{new}"))
    if not report.rows:
        return
    write()
    numbers = ("refills", "credits")
    rows = [(one.workspace_id, one.rows, one.credits) for one in report.workspaces[:_WORKSPACES]]
    rest = [*report.workspaces[_WORKSPACES:], *filter(None, [others])]
    if rest:
        more = "all others" if others else f"{grouped(len(rest))} more"
        rows.append((more, sum(one.rows for one in rest), sum(one.credits for one in rest)))
    write_table(("workspace", *numbers), rows, right=numbers)
    write()
    meanings = _meanings(retry_rejected)
    kinds = [(kind, *both, meanings[kind]) for kind, both in plan.kinds.items()]
    write_table(("in the ledger", *numbers, "what happens"), kinds, right=numbers, wraps=True)
    write()


def agree(question: str, ledger: "Ledger", name: str, *, yes: bool) -> None:
    """End the command unless a person, who sees which ledger this is about, or `--yes` agrees.

    A new ledger is made if a person wants it. `--yes` is no such wish: the ledger may have been
    lost, and a new one would make its refills again.

    Args:
        question: What to ask.
        ledger: The ledger, which may not be there yet.
        name: The ledger, as `ledger_name` returns it.
        yes: Whether the command was told not to ask.
    """
    can_ask = sys.stdin.isatty() and sys.stderr.isatty()
    is_missing = is_new(ledger)
    if is_missing and (yes or not can_ask):
        raise missing(name, ledger.database)
    if yes:
        return
    if not can_ask:
        raise CommandError(
            "there is no terminal to ask on: pass --yes to refill, or --dry-run to see what would "
            "be done"
        )
    say(f"{'New ledger' if is_missing else 'Ledger'}: {ledger.database}")
    if not typer.confirm(printable(question), err=True):
        raise CommandError("nothing was sent", _exits.NOT_SENT)
    if is_missing:
        ledger.create()
