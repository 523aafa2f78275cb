"""`oneloop refill`: refill meters exactly once, one of them or as many as a CSV file has rows."""

import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from attrs import define, evolve

from oneloop import ArgumentError, AuthenticationError, OneloopError, Outcome
from oneloop_core import encode_number

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
from ._database import (
    QUIET,
    LedgerOption,
    Quiet,
    Repeated,
    blocker_of,
    code_of,
    coloured,
    is_new,
    ledger_name,
    next_step,
    opened_ledger,
    write_next_step,
    write_refill,
)
from ._exits import CommandError
from ._input import ChangedError, Input
from ._options import BaseUrl, Json, KeyFile, Yes, examples, new_app
from ._rows import MAX_MISTAKES, Mistake, Report, Row, amount_fault, check, parse
from ._session import open_client

if TYPE_CHECKING:
    from oneloop import Oneloop
    from oneloop.ledger import Ledger, Progress, Refill, Summary

app = new_app()

_WORKSPACES = 20
"""Workspaces in the table of what would be refilled; there is one row for all others."""

_EXAMPLES = 10
"""Refills of each state but applied in the table at the end."""

_KEPT = 100
"""Refills of each of these states that are kept for it. Many of them are applied later."""

_SOON = 0.3
"""Seconds after which a person wonders what goes on."""

_REFILL = "refill_billing_limit"
"""The operation that refills a meter."""

_BATCH = 500
"""Rows whose ids are looked up in the ledger at once."""


@app.command(
    epilog=examples(
        "oneloop refill --from refills.csv --ledger refills.db",
        "oneloop refill --from - --yes --json --ledger refills.db < refills.csv",
        "oneloop refill --id pay_1 --workspace-id ws_1 --external-meter-id acme --refill 500 "
        "--ledger refills.db",
    )
)
def refill(
    context: typer.Context,
    ledger: LedgerOption,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            show_default=False,
            help="Make the refills of this CSV file, or of the standard input if it is -.",
        ),
    ] = None,
    id: Annotated[  # noqa: A002 - it is the name of the option
        str | None,
        typer.Option(
            "--id",
            metavar="TEXT",
            show_default=False,
            help="Your own name of a refill, such as the id of a payment.",
        ),
    ] = None,
    workspace_id: Annotated[
        str | None,
        typer.Option(
            "--workspace-id",
            "-w",
            metavar="TEXT",
            show_default=False,
            help="The workspace of its meter.",
        ),
    ] = None,
    external_meter_id: Annotated[
        str | None,
        typer.Option(
            "--external-meter-id",
            "-m",
            metavar="TEXT",
            show_default=False,
            help="Your own name of its meter.",
        ),
    ] = None,
    amount: Annotated[
        str | None,
        typer.Option(
            "--refill",
            metavar="NUMBER",
            show_default=False,
            help="How many credits it adds.",
        ),
    ] = None,
    yes: Yes = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be refilled, and do not do it.")
    ] = False,
    json: Json = False,
    ignored: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore-column",
            metavar="NAME",
            show_default=False,
            help="Do not read this column of the file. Can be given more than once.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", metavar="NUMBER", min=1, max=1000, help="Refills to make at once."
        ),
    ] = 8,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            metavar="NUMBER",
            show_default=False,
            help="Refills to send per second at most.",
        ),
    ] = None,
    retry_rejected: Annotated[
        bool,
        typer.Option("--retry-rejected", help="Send again what the API has rejected before."),
    ] = False,
    settle: Annotated[
        bool,
        typer.Option(
            "--settle/--no-settle",
            help="At the end, wait for the readings that tell what became of unknown refills.",
        ),
    ] = True,
    quiet: Quiet = QUIET,
    lease: Annotated[
        float,
        typer.Option(
            "--lease",
            metavar="SECONDS",
            help="After how long others may take over what this process was sending.",
        ),
    ] = 80.0,
    other_writers: Annotated[
        bool,
        typer.Option("--other-writers", help="Other programs refill the same meters."),
    ] = False,
    key_file: KeyFile = None,
    base_url: BaseUrl = None,
) -> None:
    """Refill meters, each exactly once, whatever happens to this process or to the network.

    The ledger is written before anything is sent. The same command again goes on where this one
    stopped, and sends nothing that was applied.

    The file has a header with the columns id, workspace_id, external_meter_id and refill, in any
    order. All of it is checked first; then the command shows what would be refilled, and asks.
    """
    settings = {"quiet": quiet, "lease": lease, "other_writers": other_writers}
    one = {
        "--id": id,
        "--workspace-id": workspace_id,
        "--external-meter-id": external_meter_id,
        "--refill": amount,
    }
    given = [name for name, value in one.items() if value is not None]
    if source is None:
        missing = [name for name in one if name not in given]
        if not given:
            raise CommandError(f"name a file by --from, or one refill by {', '.join(one)}")
        if missing:
            raise CommandError(f"one refill needs {', '.join(missing)} too")
        _end_with_options_of_files(context)
        fault = amount_fault(amount or "")
        if fault is not None:
            raise CommandError(f"--refill: {fault}")
        with opened_ledger(ledger, **settings) as opened, open_client(key_file, base_url) as client:
            was_new = is_new(opened)
            done = opened.refill(
                client,
                id=id or "",
                workspace_id=workspace_id or "",
                external_meter_id=external_meter_id or "",
                refill=int(amount or 0),
                retry_rejected=retry_rejected,
            )
            name = ledger_name(opened, ledger)
            blocker = blocker_of(done, opened)
            if was_new:
                say(f"there was no ledger yet; a new one was made: {opened.database}")
        if json:
            write_json(done.to_dict())
        else:
            write_refill(done)
            repeated = Repeated(name, quiet, other_writers, key_file, base_url)
            write_next_step(done, repeated, blocker)
        raise typer.Exit(code_of(done.state))
    if given:
        raise CommandError(f"--from and {given[0]} cannot be used together")
    if rate is not None:
        try:
            encode_number(rate, minimum=0.001, maximum=1_000_000)
        except ArgumentError as error:
            raise CommandError(f"--rate: {error.problem}") from None
    if not source:
        raise CommandError("--from: name a file, or - for the standard input")
    if source == "-" and key_file == Path("-"):
        raise CommandError("--from and --key-file cannot both be the standard input")
    options = {
        "workers": workers,
        "rate": rate,
        "settle": settle,
        "retry_rejected": retry_rejected,
    }
    # What is wrong with the options is said before a file is read, which may take a while.
    with (
        opened_ledger(ledger, **settings) as opened,
        nullcontext() if dry_run else open_client(key_file, base_url) as client,
        _opened(source) as file,
    ):
        rows = _Rows(source, file, tuple(ignored or ()))
        report = _checked(rows)
        plan = _planned(rows, opened)
        if dry_run or not json:
            _show_plan(file.name, report, plan, retry_rejected, is_json=json)
        if client is None:
            return
        question = plan.question(retry_rejected, urlsplit(client.base_url).netloc)
        if question is not None and not yes:
            _ask(question, plan)
        rows.verify()
        ended = _run(rows, report, opened, client, options, quiet)
        name = ledger_name(opened, ledger)
        repeated = Repeated(name, quiet, other_writers, key_file, base_url)
        _show_end(ended, report, opened, repeated, is_json=json)
    raise typer.Exit(_code(ended))


def _end_with_options_of_files(context: typer.Context) -> None:
    """End the command if one refill was given an option that has a meaning for files alone."""
    for name, option in _OF_FILES.items():
        origin = context.get_parameter_source(name)
        if origin is not None and origin.name == "COMMANDLINE":
            raise CommandError(f"{option} needs a file: --from")


_OF_FILES = {
    "dry_run": "--dry-run",
    "ignored": "--ignore-column",
    "workers": "--workers",
    "rate": "--rate",
    "settle": "--settle or --no-settle",
}
"""Options that mean nothing for a single refill, by the names of their arguments."""

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
class _Rows:
    """The rows of a file, which can be read more than once.

    Reading raises `CommandError` if it cannot be read any more, or has changed.
    """

    source: str
    file: Input
    ignored: Sequence[str]

    def __call__(self) -> Iterator[Row | Mistake]:
        """Yield rows and mistakes, from the start."""
        return parse(self._blocks(), ignored=self.ignored)

    def verify(self) -> None:
        """Read the whole file, to see that it has not changed."""
        for _ in self._blocks():
            pass

    def _blocks(self) -> Iterator[bytes]:
        with _reading(self.source):
            yield from self.file.blocks()

    def checked(self) -> Iterator[Row]:
        """Yield the rows of a file that has no mistakes."""
        return (one for one in self() if isinstance(one, Row))


def _opened(source: str) -> Input:
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


def _checked(rows: _Rows) -> Report:
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
class _Plan:
    """The rows of a file by what the ledger says of them."""

    kinds: dict[str, tuple[int, int]]
    """Numbers and credits, in the order of `_meanings`."""
    database: str
    """The ledger, by its full path or its URL."""
    is_new: bool
    """Whether there is no ledger yet."""

    def question(self, retry_rejected: bool, host: str) -> str | None:
        """Return what to ask before anything is sent; `None` if nothing will be."""
        kinds = (_NEW, "planned", "not applied", *(("rejected",) if retry_rejected else ()))
        number, amount = (sum(both) for both in zip((0, 0), *map(self._both, kinds), strict=True))
        open_ = sum(self._both(kind)[0] for kind in ("sending", "unknown"))
        settle = f"ettle {counted(open_, 'open refill')}, which may be sent again"
        if number:
            more = f", and s{settle}," if open_ else ""
            sent = f"Send {counted(number, 'refill')} of {counted(amount, 'credit')}"
            return f"{sent}{more} to {host}?"
        return f"S{settle} to {host}?" if open_ else None

    def _both(self, kind: str) -> tuple[int, int]:
        return self.kinds.get(kind, (0, 0))


def _planned(rows: _Rows, ledger: "Ledger") -> _Plan:
    """Compare a file with the ledger; end the command if they contradict each other."""
    sums = {kind: [0, 0] for kind in _meanings(False)}
    conflicts: list[Mistake] = []
    more = done = 0
    with _status(f"Comparing {rows.file.name} with the ledger") as show:
        for batch in _batches(rows.checked()):
            known = ledger.find_all([row.id for row in batch])
            for row in batch:
                found = known.get(row.id)
                both = sums[_kind(found)]
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
    return _Plan(kinds, ledger.database, is_new(ledger))


def _kind(known: "Refill | None") -> str:
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


def _show_plan(
    name: str, report: Report, plan: _Plan, retry_rejected: bool, *, is_json: bool
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
    new = "; there is none yet, and a new one is made" if plan.is_new else ""
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


def _ask(question: str, plan: _Plan) -> None:
    """End the command unless a person says yes, and sees which ledger this is about."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError(
            "there is no terminal to ask on: pass --yes to refill, or --dry-run to see what would "
            "be done"
        )
    say(f"{'New ledger' if plan.is_new else 'Ledger'}: {plan.database}")
    if not typer.confirm(printable(question), err=True):
        raise CommandError("nothing was sent", _exits.NOT_SENT)


class _Unfinished:
    """The first refills of a run that were not applied, as they are now, by what they wait for."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, Refill]] = {}

    def add(self, refill: "Refill") -> None:
        """Note the state of a refill."""
        from oneloop.ledger import State

        for known in self._kinds.values():
            known.pop(refill.id, None)
        kept = self._kinds.setdefault(_kind(refill), {})
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
class _End:
    """How a run has ended."""

    summary: "Summary"
    unfinished: _Unfinished
    is_broken_off: bool = False
    """Whether an error ended it after something was sent."""
    is_counted: bool = True
    """Whether the run itself has made the summary, which then knows what was applied earlier."""
    untouched: int = 0
    """How many rows nobody has looked at because the API refused the key."""


def _run(
    rows: _Rows,
    report: Report,
    ledger: "Ledger",
    client: "Oneloop",
    options: Mapping[str, Any],
    quiet: float,
) -> _End:
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
            if isinstance(event.error, AuthenticationError):
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

    def going_on() -> str:
        return (
            f"{grouped(tally.done)} of {counted(report.rows, 'refill')} had come to an end; the "
            "same command again goes on with the others"
        )

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
            interruption.add_note(f"interrupted when {going_on()}")
            raise
        except OneloopError as error:
            if not has_sent.is_set():
                raise
            summary = tally.summary(f"{error}; {going_on()}")
            return _End(summary, unfinished, is_broken_off=True, is_counted=False)
    if not problems:
        untouched = report.rows - tally.done if is_refused.is_set() else 0
        return _End(summary, unfinished, untouched=untouched)
    if not has_sent.is_set():
        raise problems[0]
    return _End(evolve(summary, problem=str(problems[0])), unfinished, is_broken_off=True)


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


def _show_end(
    end: _End, report: Report, ledger: "Ledger", repeated: Repeated, *, is_json: bool
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
        (_kind(one), next_step(one, repeated, blockers[one.id], is_one=False)) for one in refills
    }
    for kind, step in sorted(steps):  # each in one line, so that a command in it can be copied
        write(printable(f"{kind}: {step}"))


def _code(end: _End) -> int:
    """Return the exit code for a run."""
    codes = {code_of(state) for state, number in end.summary.counts.items() if number}
    if end.is_broken_off:
        codes.add(_exits.UNKNOWN)
    elif end.untouched:
        codes.add(_exits.REJECTED)
    elif end.summary.problem is not None:
        codes.add(_exits.NOT_SENT)
    return _exits.most_severe(codes)
