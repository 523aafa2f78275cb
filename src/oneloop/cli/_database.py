"""The ledger that a command uses: its option, its name without a password, and its errors."""

import re
import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import frozen

from oneloop import ConfigurationError, Outcome

from . import _exits
from ._console import counted, grouped, printable, write, write_facts
from ._exits import CommandError

if TYPE_CHECKING:
    from rich.text import Text

    from oneloop.ledger import Ledger, Refill, State

QUIET = 60.0
"""Seconds that a meter must stay the same, unless the option `--quiet` says otherwise."""

_SQLITE = b"SQLite format 3\0"
"""How a file begins that is an SQLite database. One that nothing was written to is empty."""

_NO_DATABASE = re.compile(r'FATAL: +database "(.+)" does not exist')

_LASTING = re.compile(
    "readonly|malformed|not a database|no such table|unable to open|Permission denied"
)
"""What SQLite and the system say of a file that will not be of any use later either."""

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
        help="How long a meter must stay the same until an unknown refill is settled. If refills "
        "can take effect later than that, one of them may be made twice. A refill that was sent "
        "with a longer time waits for that.",
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
        from oneloop.ledger import (
            Ledger,
            LedgerError,
            LedgerMissingError,
            LedgerUnavailableError,
        )
    except ImportError as error:
        raise CommandError(str(error)) from None

    try:
        opened = Ledger(database, create=False, **options)
    except ConfigurationError as error:
        words = str(error).removeprefix("database ")
        words = words.replace("Ledger('refills.db')", "--ledger refills.db")
        raise CommandError(f"--ledger: {words}") from None
    try:
        with opened as ledger:
            _check_file(ledger.database)
            yield ledger
    except LedgerMissingError:
        raise missing(ledger_name(opened, database), opened.database) from None
    except LedgerError as error:
        absent = _NO_DATABASE.search(str(error))
        if absent is not None:
            raise CommandError(
                f"--ledger: the server has no database {absent[1]}; make it (createdb "
                f"{quoted(absent[1])}), or correct the URL"
            ) from None
        if error.outcome is not Outcome.NOT_SENT:
            code = _exits.UNKNOWN
        elif isinstance(error, LedgerUnavailableError) and not _LASTING.search(str(error)):
            code = _exits.NOT_SENT
        else:
            code = _exits.USAGE
        raise CommandError(str(error), code) from None


def _check_file(database: str) -> None:
    """End the command if the file of a ledger is none and cannot become one."""
    file = Path(database)
    if "://" in database:
        return
    problem = None
    try:
        if file.is_dir():
            problem = f"is a folder; name a file in it, such as {file / 'refills.db'}"
        elif not file.parent.is_dir():
            problem = f"cannot be made, because there is no folder {file.parent}; make it first"
        elif file.exists() and not file.is_file():
            problem = "is no regular file; name one, such as refills.db"
        elif file.exists():
            with file.open("rb") as opened:
                head = opened.read(len(_SQLITE))
            if head not in (_SQLITE, b""):
                problem = "is another file, not an SQLite database; name the file of the ledger"
    except OSError as error:
        problem = f"cannot be opened: {error.strerror}"
    if problem is not None:
        raise CommandError(f"--ledger: {database} {problem}")


def missing(name: str, database: str) -> CommandError:
    """Return the error that there is no ledger.

    Args:
        name: The ledger, as `ledger_name` returns it.
        database: The same, by its full path.
    """
    return CommandError(
        f"--ledger: there is no ledger at {database}. If there was one, bring it back, because a "
        "new one would make its refills again; if not, make one: oneloop ledger create --ledger "
        f"{quoted(name)}"
    )


def without(ledger: str, wanted: str) -> CommandError:
    """Return the error that a ledger, by its name, does not have a refill."""
    return CommandError(
        f"the ledger {ledger} has no refill {wanted!r}; this lists those that it has: "
        f"oneloop ledger export --ledger {quoted(ledger)}"
    )


def ledger_name(ledger: "Ledger", given: str) -> str:
    """Return what to call a ledger: its path as it was given, or its URL without a password.

    Args:
        ledger: The ledger.
        given: What the option `--ledger` gives.
    """
    return ledger.database if "://" in given else given


@frozen
class Repeated:
    """The options of a command that the next one about the same refills needs as well."""

    ledger: str
    """The ledger, as `ledger_name` returns it."""
    quiet: float = QUIET
    other_writers: bool = False
    key_file: Path | None = None
    base_url: str | None = None
    sends: bool = False
    """Whether this command itself sends refills, so that it can be run again to send them."""

    def again(self, refill: "Refill", *, is_one: bool, retry_rejected: bool = False) -> str:
        """Return how to send a refill again, or all that are like it."""
        if self.sends:
            more = " with --retry-rejected" if retry_rejected else ""
            return f"run the same command again{more}"
        last = " --retry-rejected" if retry_rejected else ""
        if not is_one:
            return f"run oneloop refill{last} again with the same file or arguments"
        options = {
            "--id": refill.id,
            "--workspace-id": refill.workspace_id,
            "--external-meter-id": refill.external_meter_id,
            "--refill": str(refill.refill),
        }
        return f"run: {self._command('refill', None, last, options)}"

    def decide(self, name: str) -> str:
        """Return the command that decides about a refill, or about `ID`."""
        last = " --applied (or --not-applied) --note TEXT"
        return self._command("ledger decide", name, last, {})

    def settle(self, name: str | None) -> str:
        """Return the command that settles a refill, or all."""
        options = {
            "--quiet": None if self.quiet == QUIET else f"{self.quiet:g}",
            "--key-file": None if self.key_file is None else str(self.key_file),
            "--base-url": self.base_url,
        }
        last = f"{' --other-writers' if self.other_writers else ''} --wait"
        return self._command("ledger settle", name, last, options)

    def _command(self, verb: str, name: str | None, last: str, options: dict[str, Any]) -> str:
        given = {"--ledger": self.ledger, **options}
        shown = "".join(
            f" {option} {quoted(value)}" for option, value in given.items() if value is not None
        )
        command = f"oneloop {verb}"
        if name is None:
            return f"{command}{shown}{last}"
        if name.startswith("-"):  # or it would be taken for an option
            return f"{command}{shown}{last} -- {quoted(name)}"
        return f"{command} {quoted(name)}{shown}{last}"


def quoted(text: str) -> str:
    """Return a text as an argument for a shell that can be shown, and copied from what is shown.

    What is not shown as itself is written in octal: bash, zsh, ksh and newer others read `$'...'`.
    """
    if text.isprintable():
        return shlex.quote(text)
    escaped = (
        "".join(f"\\{byte:03o}" for byte in one.encode(errors="surrogateescape"))
        if not one.isprintable() or one in "'\\"
        else one
        for one in text
    )
    return f"$'{''.join(escaped)}'"


def code_of(state: "State") -> int:
    """Return the exit code for a refill in this state."""
    from oneloop.ledger import State

    if state is State.APPLIED:
        return _exits.DONE
    if state is State.REJECTED:
        return _exits.REJECTED
    return _exits.UNKNOWN if state in (State.UNKNOWN, State.SENDING) else _exits.NOT_SENT


def is_new(ledger: "Ledger") -> bool:
    """Return whether there is no ledger yet."""
    from oneloop.ledger import LedgerMissingError

    try:
        ledger.effect()
    except LedgerMissingError:
        return True
    return False


def blocker_of(refill: "Refill", ledger: "Ledger") -> "Refill | None":
    """Return the refill of the same meter that needs a decision before this one is sent, if any."""
    from oneloop.ledger import LedgerError, State

    if refill.state not in (State.PLANNED, State.NOT_APPLIED):
        return None
    place = {
        "workspace_id": refill.workspace_id,
        "external_meter_id": refill.external_meter_id,
    }
    try:
        unknown = ledger.refills(state=State.UNKNOWN, **place)
        return next((one for one in unknown if one.needs_decision), None)
    except LedgerError:  # it was lost, which is said elsewhere
        return None


def next_step(
    refill: "Refill",
    repeated: Repeated,
    blocker: "Refill | None" = None,
    *,
    is_one: bool = True,
) -> str | None:
    """Return what a person can do about a refill; `None` if nothing is left to do.

    Args:
        refill: The refill.
        repeated: The options of this command that the next one needs.
        blocker: The refill of the same meter that needs a decision first, see `blocker_of`.
        is_one: Whether this is about that refill alone, not about all that are like it.
    """
    from oneloop.ledger import State

    if refill.needs_decision:
        return (
            "the readings cannot tell whether it was applied; look at the meter, then: "
            f"{repeated.decide(refill.id if is_one else 'ID')}"
        )
    if blocker is not None:
        return (
            f"first the refill {blocker.id!r} of the same meter needs a decision: "
            f"{repeated.decide(blocker.id)}; then {repeated.again(refill, is_one=is_one)}"
        )
    settle = repeated.settle(refill.id if is_one else None)
    again = repeated.again(refill, is_one=is_one)
    retry = repeated.again(refill, is_one=is_one, retry_rejected=True)
    return {
        State.UNKNOWN: f"the meter will tell when it has been quiet for a while: {settle}",
        State.SENDING: f"a process is sending it, or has ended while it did; {again}",
        State.REJECTED: f"correct what the API objects to, then {retry}",
        State.PLANNED: f"it was not sent; {again}",
        State.NOT_APPLIED: f"it had no effect; to send it once more, {again}",
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
            rows.append((name, f"{counted(total, 'credit')}, {grouped(used)} used"))
    texts = {"last error": refill.error, "why": refill.conclusion}
    rows += [(name, text) for name, text in texts.items() if text is not None]
    write_facts(rows)


def write_next_step(refill: "Refill", repeated: Repeated, blocker: "Refill | None" = None) -> None:
    """Write what a person can do about a refill, if there is anything left to do."""
    step = next_step(refill, repeated, blocker)
    if step is not None:
        write()
        # In one line, so that the command in it can be copied.
        write(printable(f"What to do: {step}"))
