"""The ledger that a command uses: its option, its name without a password, and its errors."""

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from oneloop import Outcome

from . import _exits
from ._console import grouped, write, write_facts
from ._exits import CommandError

if TYPE_CHECKING:
    from rich.text import Text

    from oneloop.ledger import Ledger, Refill, State

LedgerOption = Annotated[
    str,
    typer.Option(
        "--ledger",
        metavar="FILE_OR_URL",
        envvar="ONELOOP_LEDGER",
        show_default=False,
        help="The ledger: an SQLite file, or postgresql://user@host/database.",
    ),
]
Quiet = Annotated[
    float,
    typer.Option(
        "--quiet",
        metavar="SECONDS",
        min=0,
        help="How long a meter must stay the same until an unknown refill is settled.",
    ),
]


@contextmanager
def opened_ledger(database: str, **options: Any) -> Generator["Ledger"]:
    """Yield the ledger of a command and close it afterwards.

    Args:
        database: The ledger, as the option `--ledger` gives it.
        options: Further arguments of `Ledger`.

    Raises:
        CommandError: There is no such ledger, it cannot be used, or it contradicts the command.
    """
    try:
        from oneloop.ledger import Ledger, LedgerError, LedgerUnavailableError
    except ImportError as error:
        raise CommandError(
            f"a ledger needs an extra: pip install 'oneloop[ledger]' ({error})"
        ) from None

    try:
        with Ledger(database, **options) as ledger:
            yield ledger
    except LedgerUnavailableError as error:
        is_unsent = error.outcome is Outcome.NOT_SENT
        raise CommandError(str(error), _exits.NOT_SENT if is_unsent else _exits.UNKNOWN) from None
    except LedgerError as error:
        raise CommandError(str(error)) from None


def ledger_name(database: str) -> str:
    """Return what to call a ledger: its path, or its URL without a password and options."""
    if "://" not in database:
        return database
    url = urlsplit(database)
    login, _, host = url.netloc.rpartition("@")
    user, _, _ = login.partition(":")
    return f"{url.scheme}://{f'{user}@' if user else ''}{host}{url.path}"


def code_of(state: "State") -> int:
    """Return the exit code for a refill in this state."""
    from oneloop.ledger import State

    if state is State.APPLIED:
        return _exits.DONE
    if state is State.REJECTED:
        return _exits.REJECTED
    return _exits.UNKNOWN if state in (State.UNKNOWN, State.SENDING) else _exits.NOT_SENT


def next_step(refill: "Refill", database: str, *, is_one: bool = True) -> str | None:
    """Return what a person can do about a refill; `None` if nothing is left to do.

    Args:
        refill: The refill.
        database: The ledger, as the option `--ledger` gives it.
        is_one: Whether this is about that refill alone, not about all that are like it.
    """
    from oneloop.ledger import State

    name = shlex.quote(refill.id)
    option = f"--ledger {shlex.quote(ledger_name(database))}"
    if refill.needs_decision:
        return (
            "the readings cannot tell whether it was applied; look at the meter, then: oneloop "
            f"ledger decide {name if is_one else 'ID'} {option} --applied (or --not-applied) "
            "--note TEXT"
        )
    settle = f"oneloop ledger settle {f'{name} ' if is_one else ''}{option} --wait"
    return {
        State.UNKNOWN: f"the meter will tell when it has been quiet for a while: {settle}",
        State.SENDING: "a process is sending it, or has ended while it did; run the command again",
        State.REJECTED: "correct what the API objects to, then run again with --retry-rejected",
        State.PLANNED: "it was not sent; run the same command again",
        State.NOT_APPLIED: "it had no effect; run the same command again to send it once more",
    }.get(refill.state)


def coloured(state: "State") -> "Text":
    """Return a state as a cell of a table, in its colour."""
    from rich.text import Text

    from oneloop.ledger import State

    colours = {State.APPLIED: "green", State.REJECTED: "red", State.UNKNOWN: "yellow"}
    return Text(state.value, style=colours.get(state, ""))


def write_refill(refill: "Refill") -> None:
    """Write what the ledger knows of a refill, for people."""
    rows: list[tuple[str, object]] = [
        ("id", refill.id),
        ("state", coloured(refill.state)),
        ("workspace", refill.workspace_id),
        ("meter", refill.external_meter_id),
        ("credits", refill.refill),
        ("sent", f"{refill.attempts} {'time' if refill.attempts == 1 else 'times'}"),
    ]
    for name, meter in {"before": refill.before, "answer": refill.meter}.items():
        if meter is not None:
            total, used = meter.total_credits, meter.used_credits
            rows.append((name, f"{grouped(total)} credits, {grouped(used)} used"))
    texts = {"last error": refill.error, "why": refill.conclusion}
    rows += [(name, text) for name, text in texts.items() if text is not None]
    write_facts(rows)


def write_next_step(refill: "Refill", database: str) -> None:
    """Write what a person can do about a refill, if there is anything left to do."""
    step = next_step(refill, database)
    if step is not None:
        write()
        write(f"What to do: {step}")  # in one line, so that the command in it can be copied
