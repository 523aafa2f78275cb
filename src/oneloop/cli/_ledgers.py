"""`oneloop ledger`: look at a ledger, settle what is unknown, decide what is left, export it."""

import csv
import io
import sys
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import _exits
from ._console import counted, is_terminal, printable, write, write_json, write_table
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
    without,
    write_next_step,
    write_refill,
)
from ._exits import CommandError, most_severe
from ._options import BaseUrl, Json, KeyFile, examples, new_app
from ._rows import COLUMNS, EXPORTED
from ._session import open_client

if TYPE_CHECKING:
    from oneloop.ledger import Ledger, Refill

app = new_app(
    no_args_is_help=True,
    help="Look at a ledger of refills, settle what is unknown, and decide what readings cannot.",
)

_SHOWN = 20
"""Refills that wait for a person, in what `show` shows."""

_BATCH = 500
"""Refills that are written at once."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet may take for a formula."""


class Format(StrEnum):
    """How `export` writes."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


_EFFECTS = {
    "total_credits rises": "raises the total of its meter",
    "used_credits falls": "lowers what is used of its meter",
}
"""What `Ledger.effect` says, in the words of an operator."""

_STATES = ("planned", "sending", "applied", "rejected", "unknown", "not-applied")
"""The states of a refill, as the option `--state` has them."""


def _state(given: str) -> str:
    """Return a state as `oneloop.ledger.State` spells it."""
    if given.replace(" ", "-") not in _STATES:
        choices = ", ".join(map(repr, _STATES))
        raise typer.BadParameter(f"{given!r} is not one of {choices}")
    return given.replace("-", " ")


def _completed(incomplete: str) -> list[str]:
    return [one for one in _STATES if one.startswith(incomplete)]


Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a refill.", show_default=False)]
OptionalId = Annotated[
    str | None,
    typer.Argument(metavar="[ID]", help="The id of a refill; by default all.", show_default=False),
]


@app.command(epilog=examples("oneloop ledger create --ledger refills.db"))
def create(ledger: LedgerOption) -> None:
    """Make a new ledger, if there is none.

    A new ledger knows nothing of what another one has refilled, and would make those refills again.
    Therefore `oneloop refill` makes none, unless a person says yes to that.
    """
    with opened_ledger(ledger) as opened:
        was_new = is_new(opened)
        opened.create()
        words = "a new ledger was made" if was_new else "there is a ledger already"
        write(printable(f"{words}: {opened.database}"))
    raise typer.Exit(_exits.DONE)


@app.command(
    epilog=examples(
        "oneloop ledger show --ledger refills.db", "oneloop ledger show pay_1 --ledger refills.db"
    )
)
def show(ledger: LedgerOption, id: OptionalId = None, json: Json = False) -> None:  # noqa: A002 - the name in the help
    """Show totals and what waits for a person, or one refill.

    Of one refill it shows its readings, its history, and why its state is what it is.
    """
    with opened_ledger(ledger) as opened:
        if id is None:
            _show_all(opened, ledger_name(opened, ledger), is_json=json)
        else:
            _show_one(opened, id, ledger_name(opened, ledger), is_json=json)


def _show_all(ledger: "Ledger", name: str, *, is_json: bool) -> None:
    from oneloop.ledger import State

    totals = ledger.totals()
    unknown = (one for one in ledger.refills(state=State.UNKNOWN) if one.needs_decision)
    waiting = list(islice(unknown, _SHOWN))
    more = sum(1 for _ in unknown)
    if is_json:
        document: dict[str, Any] = {
            "states": {
                state.value: {"refills": number, "credits": amount}
                for state, (number, amount) in totals.items()
            },
            "effect": ledger.effect(),
            "waiting": [one.to_dict() for one in waiting],
            "more_waiting": more,
        }
        write_json(document)
        return
    numbers = ("refills", "credits")
    rows: list[tuple[object, ...]] = [(coloured(state), *both) for state, both in totals.items()]
    rows.append(("all", *(sum(both[index] for both in totals.values()) for index in (0, 1))))
    write_table(("state", *numbers), rows, right=numbers)
    effect = ledger.effect()
    write()
    write(
        "No answered refill has shown yet what a refill changes."
        if effect is None
        else f"Answered refills have shown that a refill {_EFFECTS[effect]}."
    )
    if not waiting:
        return
    write()
    are = "waits" if len(waiting) + more == 1 else "wait"
    write(f"{counted(len(waiting) + more, 'unknown refill')} {are} for a decision:")
    write()
    write_table(
        ("id", "workspace", "meter", "credits", "why"),
        [
            (one.id, one.workspace_id, one.external_meter_id, one.refill, one.conclusion)
            for one in waiting
        ],
        right=("credits",),
        wraps=True,
    )
    write()
    write(printable(f"For each, {next_step(waiting[0], Repeated(name), is_one=False)}"))


def _show_one(ledger: "Ledger", wanted: str, name: str, *, is_json: bool) -> None:
    refill = ledger.find(wanted)
    if refill is None:
        raise without(name, wanted)
    history = ledger.history(wanted)
    if is_json:
        entries = [
            {"at": one.at.isoformat(), "what": one.what, "text": one.text} for one in history
        ]
        write_json({**refill.to_dict(), "history": entries})
        return
    write_refill(refill)
    write()
    write_table(
        ("when (UTC)", "what", "how"),
        [(f"{one.at:%Y-%m-%d %H:%M:%S}", one.what, one.text) for one in history],
        wraps=True,
    )
    write_next_step(refill, Repeated(name), blocker_of(refill, ledger))


@app.command(
    epilog=examples(
        "oneloop ledger settle --wait --ledger refills.db",
        "oneloop ledger settle pay_1 --ledger refills.db",
    )
)
def settle(
    ledger: LedgerOption,
    id: OptionalId = None,  # noqa: A002 - the name in the help
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the second reading of each meter.")
    ] = False,
    json: Json = False,
    quiet: Quiet = QUIET,
    other_writers: Annotated[
        bool, typer.Option("--other-writers", help="Other programs refill the same meters.")
    ] = False,
    key_file: KeyFile = None,
    base_url: BaseUrl = None,
) -> None:
    """Find out from their meters what became of refills.

    Those whose outcome is unknown are looked at. That takes two equal readings of the meter, some
    time apart; without --wait, each call of this command takes one. Nothing is sent again.
    """
    settings = {"quiet": quiet, "other_writers": other_writers}
    with opened_ledger(ledger, **settings) as opened, open_client(key_file, base_url) as client:
        name = ledger_name(opened, ledger)
        if id is not None and opened.find(id) is None:
            raise without(name, id)
        opened.totals()  # fails if there is no such ledger, which `settle` would find quiet
        settled = opened.settle(client, id=id, wait=wait)
    if json:
        write_json([one.to_dict() for one in settled])
    elif not settled:
        write("Nothing is unknown.")
    else:
        write_table(
            ("id", "state", "why"),
            [(one.id, coloured(one.state), one.conclusion or one.error) for one in settled],
            wraps=True,
        )
        repeated = Repeated(name, quiet, other_writers, key_file, base_url)
        steps = {one.state: next_step(one, repeated, is_one=False) for one in settled}
        for state, step in steps.items():
            if step is not None:
                write()
                write(printable(f"{state.value}: {step}"))
    raise typer.Exit(most_severe(code_of(one.state) for one in settled))


@app.command(
    epilog=examples(
        "oneloop ledger decide pay_1 --applied --note 'seen in the dashboard' --ledger refills.db"
    )
)
def decide(
    id: Id,  # noqa: A002 - the name in the help
    ledger: LedgerOption,
    note: Annotated[
        str,
        typer.Option(
            "--note", metavar="TEXT", show_default=False, help="How you know. It is written down."
        ),
    ],
    applied: Annotated[bool, typer.Option("--applied", help="The meter was refilled.")] = False,
    not_applied: Annotated[
        bool,
        typer.Option("--not-applied", help="The meter was not refilled; it can be sent again."),
    ] = False,
    json: Json = False,
) -> None:
    """Write down what you know about an unknown refill.

    Look at its meter first. A decision, and a conclusion from readings, can be corrected by another
    decision; an answer of the API cannot.
    """
    if applied is not_applied:
        raise CommandError("say --applied or --not-applied, whichever is true")
    if not note.strip():
        raise CommandError("--note must say how you know")
    with opened_ledger(ledger) as opened:
        decided = opened.decide(id, applied=applied, note=note)
        name = ledger_name(opened, ledger)
        blocker = blocker_of(decided, opened)
    if json:
        write_json(decided.to_dict())
    else:
        write_refill(decided)
        write_next_step(decided, Repeated(name), blocker)
    raise typer.Exit(_exits.DONE)


@app.command(
    epilog=examples(
        "oneloop ledger export --ledger refills.db > refills.csv",
        "oneloop ledger export --state unknown --format jsonl --ledger refills.db",
    )
)
def export(
    ledger: LedgerOption,
    format: Annotated[  # noqa: A002 - the name of the option
        Format, typer.Option("--format", help="How to write it.")
    ] = Format.CSV,
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            metavar=f"[{'|'.join(_STATES)}]",
            parser=_state,
            autocompletion=_completed,
            show_default=False,
            help="Only the refills in this state.",
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Put no apostrophe before what a spreadsheet takes for a formula (CSV)."
        ),
    ] = False,
) -> None:
    """Write all refills as CSV, JSON or JSON Lines.

    They come in the order in which they were planned. In CSV, a cell that begins with =, +, - or @
    gets an apostrophe before it, because spreadsheets would take it for a formula; JSON and JSON
    Lines have everything as it is.
    """
    with opened_ledger(ledger) as opened:
        opened.effect()  # fails if there is no ledger, before a header is written
        chosen = opened.refills(state=state)
        if format is Format.CSV:
            lines = _csv(chosen, is_raw=raw)
        else:
            lines = _json(chosen) if format is Format.JSON else _jsonl(chosen)
        for text in lines:
            # A file has everything as it is; a terminal is not to be changed by an id.
            write("\n".join(map(printable, text.split("\n"))) if is_terminal(sys.stdout) else text)


def _batches(refills: "Iterator[Refill]") -> "Iterator[list[Refill]]":
    while batch := list(islice(refills, _BATCH)):
        yield batch


def _csv(refills: "Iterator[Refill]", *, is_raw: bool) -> Iterator[str]:
    """Yield lines of CSV, many at once. The first four columns are those of `oneloop refill`."""
    yield ",".join((*COLUMNS, *EXPORTED))
    for batch in _batches(refills):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for one in batch:
            cells = _cells(one)
            writer.writerow(cells if is_raw else map(_disarmed, cells))
        yield text.getvalue().removesuffix("\n")


def _cells(refill: "Refill") -> list[Any]:
    """Return the cells of a line, in the order of the header."""
    values = refill.to_dict()
    for name, meter in {"before": refill.before, "answer": refill.meter}.items():
        values[f"{name}_total_credits"] = meter and meter.total_credits
        values[f"{name}_used_credits"] = meter and meter.used_credits
    values["needs_decision"] = "true" if refill.needs_decision else "false"
    return [values[name] for name in (*COLUMNS, *EXPORTED)]


def _disarmed(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _jsonl(refills: "Iterator[Refill]") -> Iterator[str]:
    for batch in _batches(refills):
        yield "\n".join(dumps(one.to_dict()) for one in batch)


def _json(refills: "Iterator[Refill]") -> Iterator[str]:
    start = "["
    for batch in _batches(refills):
        yield start + ",\n".join(dumps(one.to_dict()) for one in batch)
        start = ","
    yield "[]" if start == "[" else "]"
