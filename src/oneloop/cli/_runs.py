"""The run of a file of refills: its bar, how it may end, and the table that shows that."""

import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING, Any

from attrs import define, evolve

from oneloop import AuthenticationError, OneloopError, Outcome, PermissionDeniedError

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
from ._database import Repeated, blocker_of, code_of, coloured, next_step
from ._exits import CommandError
from ._plans import FileRows, kind_of
from ._rows import Report

if TYPE_CHECKING:
    from oneloop import Oneloop
    from oneloop.ledger import Ledger, Progress, Refill, Summary

_EXAMPLES = 10
"""Refills of each state but applied in the table at the end."""

_KEPT = 100
"""Refills of each of these states that are kept for it. Many of them are applied later."""

_SOON = 0.3
"""Seconds after which a person wonders what goes on."""

_REFILL = "refill_billing_limit"
"""The operation that refills a meter."""


class _Unfinished:
    """The first refills of a run that were not applied, as they are now, by what they wait for."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, Refill]] = {}

    def add(self, refill: "Refill") -> None:
        """Note the state of a refill."""
        from oneloop.ledger import State

        for known in self._kinds.values():
            known.pop(refill.id, None)
        kept = self._kinds.setdefault(kind_of(refill), {})
        if refill.state is not State.APPLIED and len(kept) < _KEPT:
            kept[refill.id] = refill

    def first(self) -> "list[Refill]":
        """Return the first ones of each kind, so that none is hidden by another kind."""
        return [one for kept in self._kinds.values() for one in islice(kept.values(), _EXAMPLES)]

    def waits_for_a_reading(self) -> bool:
        """Return whether the outcome of some is unknown, and a reading may tell it."""
        from oneloop.ledger import State

        return bool(self._kinds.get(State.UNKNOWN.value))


class _Tally:
    """What has come of a run so far, for the case that it does not get to its own summary."""

    def __init__(self) -> None:
        from oneloop.ledger import State

        self.done = 0
        self._counts = dict.fromkeys(State, 0)
        self._amounts = dict.fromkeys(State, 0)
        self._elapsed = 0.0

    def add(self, progress: "Progress") -> None:
        """Count a refill that the run is finished with."""
        self._elapsed = progress.elapsed
        if progress.done > self.done:
            self.done = progress.done
            self._counts[progress.refill.state] += 1
            self._amounts[progress.refill.state] += progress.refill.refill

    def summary(self, problem: str) -> "Summary":
        """Return it as the summary of a run that ended for this reason."""
        from oneloop.ledger import Summary

        return Summary(
            total=sum(self._counts.values()),
            credits=sum(self._amounts.values()),
            counts=self._counts,
            amounts=self._amounts,
            already=0,
            elapsed=self._elapsed,
            problem=problem,
        )


@define
class End:
    """How a run has ended."""

    summary: "Summary"
    unfinished: _Unfinished
    is_broken_off: bool = False
    """Whether an error ended it after something was sent."""
    is_counted: bool = True
    """Whether the run itself has made the summary, which then knows what was applied earlier."""
    untouched: int = 0
    """How many rows nobody has looked at because the API refused the key."""


def run(
    rows: FileRows,
    report: Report,
    ledger: "Ledger",
    client: "Oneloop",
    options: Mapping[str, Any],
    quiet: float,
) -> End:
    """Make the refills of a file, with a bar on a terminal.

    Raises:
        CommandError: The file has changed, before anything was sent.
        OneloopError: The run has failed, before anything was sent.
    """
    from oneloop.hooks import CallEnded, Hooks
    from oneloop.ledger import RefillOrder

    unfinished, tally = _Unfinished(), _Tally()
    problems: list[CommandError] = []
    has_sent, is_refused = threading.Event(), threading.Event()

    class Watch(Hooks):
        def call_ended(self, event: CallEnded) -> None:
            if isinstance(event.error, AuthenticationError | PermissionDeniedError):
                is_refused.set()
            if event.call.operation == _REFILL and event.outcome is not Outcome.NOT_SENT:
                has_sent.set()

    def orders() -> Iterator[RefillOrder]:
        try:
            for row in rows.checked():
                yield RefillOrder(
                    id=row.id,
                    workspace_id=row.workspace_id,
                    external_meter_id=row.external_meter_id,
                    refill=row.refill,
                )
        except CommandError as error:  # the file has changed: what is under way is finished
            problems.append(error)

    def ended() -> str:
        return f"{grouped(tally.done)} of {counted(report.rows, 'refill')} had come to an end"

    with _bar(report.rows) as show:

        def note(progress: "Progress") -> None:
            tally.add(progress)
            unfinished.add(progress.refill)
            reading = f" for the second reading, {quiet:g} s"
            show(progress, reading if unfinished.waits_for_a_reading() else "")

        try:
            with _announcing_interruption():
                watched = client.with_options(hooks=Watch())
                summary = ledger.run(orders(), watched, progress=note, **options)
        except KeyboardInterrupt as interruption:
            interruption.add_note(
                f"interrupted when {ended()}; the same command again goes on with the others"
            )
            raise
        except OneloopError as error:
            if not has_sent.is_set():
                raise
            summary = tally.summary(
                f"{error}; {ended()}; when this ledger can be used again, the same command goes on "
                "with the others; do not run it with another ledger, which would make these "
                "refills again"
            )
            return End(summary, unfinished, is_broken_off=True, is_counted=False)
    if not problems:
        untouched = report.rows - tally.done if is_refused.is_set() else 0
        return End(summary, unfinished, untouched=untouched)
    if not has_sent.is_set():
        raise problems[0]
    return End(evolve(summary, problem=str(problems[0])), unfinished, is_broken_off=True)


@contextmanager
def _announcing_interruption() -> Generator[None]:
    """Say what happens after Ctrl-C, if it takes a while."""
    text = "finishing what is under way; Ctrl-C again to leave at once"
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, as in the background of a script
        yield
        return
    announcement = threading.Timer(_SOON, say, [text])
    announcement.daemon = True

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        announcement.start()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        announcement.cancel()
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar(total: int) -> "Generator[Callable[[Progress, str], object]]":
    """Show a bar on a terminal. Yield a function to move it on, and say what for others wait."""
    if not is_terminal(sys.stderr) or not total:
        yield lambda _progress, _reason: None
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(bar_width=None),
        TextColumn("{task.fields[done]}/{task.fields[all]}"),
        TextColumn("{task.fields[rate]}/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[counts]}"),
    )
    with Bar(*columns, console=rich_console(sys.stderr), expand=True) as bar:
        task = bar.add_task("", total=total, all=grouped(total), done="0", rate="0", counts="")

        def show(progress: "Progress", reason: str) -> None:
            speed = bar.tasks[0].speed
            counts = [
                f"{grouped(number)} {name}"
                for name, number in [
                    *((state.value, number) for state, number in progress.counts.items()),
                    (f"waiting{reason}", progress.waiting),
                ]
                if number
            ]
            bar.update(
                task,
                completed=progress.done,
                done=grouped(progress.done),
                rate=grouped(round(speed or 0)),
                counts=", ".join(counts),
            )

        yield show
    say("")


def show_end(
    end: End, report: Report, ledger: "Ledger", repeated: Repeated, *, is_json: bool
) -> None:
    """Show what came of a run."""
    from oneloop.ledger import State

    summary = end.summary
    refills = end.unfinished.first()
    if summary.problem is not None:
        say(f"the run stopped before its end: {summary.problem}", "red")
    if end.untouched:
        say(
            "the API refuses the SDK key; with another one, the same command goes on with the "
            f"{counted(end.untouched, 'row')} that nobody has looked at",
            "red",
        )
    if is_json:
        document: dict[str, Any] = {
            "total": summary.total,
            "credits": summary.credits,
            "counts": {state.value: number for state, number in summary.counts.items()},
            "amounts": {state.value: amount for state, amount in summary.amounts.items()},
            "already": summary.already if end.is_counted else None,
            "elapsed": round(summary.elapsed, 3),
            "problem": summary.problem,
            "unfinished": {
                "total": report.rows - summary.counts[State.APPLIED],
                "first": [one.to_dict() for one in refills],
            },
            "database": ledger.database,
        }
        write_json(document)
        return
    rows = [
        (coloured(state), number, summary.amounts[state])
        for state, number in summary.counts.items()
        if number
    ]
    numbers = ("refills", "credits")
    write_table(
        ("state", *numbers), [*rows, ("all", summary.total, summary.credits)], right=numbers
    )
    write()
    seconds = f"{summary.elapsed:.1f} s"
    before = f"; {grouped(summary.already)} had been applied before" if summary.already else ""
    write(f"{counted(summary.total, 'refill')} in {seconds}{before}")
    if not refills:
        return
    write()
    write_table(
        ("id", "state", "why"),
        [(one.id, coloured(one.state), one.conclusion or one.error or "") for one in refills],
        wraps=True,
    )
    write()
    blockers = {one.id: blocker_of(one, ledger) for one in refills}
    steps = {
        (kind_of(one), next_step(one, repeated, blockers[one.id], is_one=False)) for one in refills
    }
    for kind, step in sorted(steps):  # each in one line, so that a command in it can be copied
        write(printable(f"{kind}: {step}"))


def exit_code_of(end: End) -> int:
    """Return the exit code for a run."""
    codes = {code_of(state) for state, number in end.summary.counts.items() if number}
    if end.is_broken_off:
        codes.add(_exits.UNKNOWN)
    elif end.untouched:
        codes.add(_exits.REJECTED)
    elif end.summary.problem is not None:
        codes.add(_exits.NOT_SENT)
    return _exits.most_severe(codes)
