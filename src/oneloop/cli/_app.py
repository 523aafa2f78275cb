"""The command line as a whole: its commands, each imported when it is used, and how it ends."""

import difflib
import io
import os
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
import typer.core
import typer.main

from oneloop import ArgumentError, OneloopError
from oneloop_api import commands as operations
from oneloop_core.commands import Command

from . import _exits
from ._console import (
    discard,
    forget,
    is_lost,
    is_terminal,
    open_streams,
    printable,
    say,
    write,
)
from ._exits import CommandError

if TYPE_CHECKING:
    # Commands are imported by name. This shows their modules to PyInstaller and cx_Freeze.
    from . import _keys as _keys
    from . import _ledgers as _ledgers
    from . import _meters as _meters
    from . import _refills as _refills
    from . import _sandbox as _sandbox
    from . import _spec as _spec
    from . import _usage as _usage
    from . import _verify as _verify

NAME = "oneloop"
COMPLETE = f"_{NAME.upper()}_COMPLETE"
"""The variable by which a shell asks for completion, as Typer names it."""

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""The error of Typer for wrong arguments, which has no public name of its own."""


class Shell(StrEnum):
    """A shell that Typer has a script of completion for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"
    PWSH = "pwsh"


class Entry(NamedTuple):
    """A command of `oneloop`, before it is imported."""

    module: str
    """The module in this package, without its underscore; the command is its `app`."""
    summary: str
    """What the list of commands says about it."""


COMMANDS = {
    "refill": Entry("refills", "Refill meters, each exactly once, also from a CSV file."),
    "ledger": Entry("ledgers", "Look at a ledger of refills, settle, decide, export."),
    "meter": Entry("meters", "Show the credits of a customer."),
    "usage": Entry("usage", "Show what was used of a meter, by day and by name."),
    "keys": Entry("keys", "List, rotate and disable the API keys of your customers."),
    "verify": Entry("verify", "Verify a customer's key."),
    "sandbox": Entry("sandbox", "Serve a stand-in for the API on this machine."),
    "spec": Entry("spec", "Show the API's document that this version was made from."),
}
"""The commands that are written by hand, in the order of the help."""


def operations_by_name(found: Iterable[Command]) -> dict[str, Command]:
    """Return operations by the names of their commands, which those written by hand do not have."""
    plain = {one.name.replace("_", "-"): one for one in found}
    return {name if name not in COMMANDS else f"api-{name}": one for name, one in plain.items()}


OPERATIONS = operations_by_name(operations.COMMANDS)
"""The operations by the names of their commands."""


class Root(typer.core.TyperGroup):
    """The command `oneloop`, whose commands are made when they are used.

    `get_command` returns what lists and completion show of a command, `resolve_command` all of it.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return [*COMMANDS, *OPERATIONS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command that has its summary alone; `None` if there is none of this name."""
        entry = COMMANDS.get(cmd_name) or OPERATIONS.get(cmd_name)
        return entry and typer.core.TyperCommand(cmd_name, help=entry.summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name, the command and its arguments."""
        name = args[0]
        if name in COMMANDS or name in OPERATIONS:
            return name, load(name), args[1:]
        if not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, self.list_commands(ctx))
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"there is no command {name!r}{hint}")
        return None, None, args[1:]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands in two sections."""
        for title, entries in (("Commands", COMMANDS), ("Operations of the API", OPERATIONS)):
            with formatter.section(title):
                formatter.write_dl([(name, entries[name].summary) for name in entries])


def load(name: str) -> Any:
    """Import or make a command."""
    if name in COMMANDS:
        app = import_module(f"._{COMMANDS[name].module}", __package__).app
    else:
        from ._operations import app_of

        app = app_of(name, OPERATIONS[name])
    command = typer.main.get_command(app)
    command.name = name
    return command


def _version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:  # that is, unless a shell asks for completion
        from oneloop import SPEC, __version__

        write(f"oneloop {__version__} (document {SPEC.sha256[:8]})")
        raise typer.Exit


def _show_completion(context: typer.Context, shell: Shell | None) -> None:
    if shell is None or context.resilient_parsing:
        return
    # Typer's own option `--show-completion` ignores the name of a shell; this request does not.
    os.environ[COMPLETE] = f"source_{shell}"
    try:
        root().main(prog_name=NAME)  # writes the script and exits
    finally:
        del os.environ[COMPLETE]


def _callback(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    shell: Annotated[
        Shell | None,
        typer.Option(
            "--show-completion",
            callback=_show_completion,
            is_eager=True,
            show_default=False,
            help="Show the script of completion for this shell.",
        ),
    ] = None,
) -> None:
    """Refill and read meters, manage keys, and call every operation of the Oneloop API.

    The SDK key comes from ONELOOP_SDK_KEY, from --key-file, or from a prompt.
    """


def root() -> Any:
    """Return the command line as a command."""
    app = typer.Typer(cls=Root, rich_markup_mode=None, no_args_is_help=True)
    app.callback()(_callback)
    command = typer.main.get_command(app)
    command.params = [one for one in command.params if one.name != "show_completion"]
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: The arguments of the command; by default those of this program.
    """
    forget()
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        # What a terminal or file cannot encode is escaped, not an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    command = root()
    if os.environ.get(COMPLETE):
        command.main(prog_name=NAME)  # answers the shell and exits
    try:
        given = sys.argv[1:] if arguments is None else arguments
        with command.make_context(NAME, [*given]) as context:
            _invoke(command, context)
    except typer.Exit as ended:
        return ended.exit_code
    except UsageError as error:
        return _misused(error)
    except CommandError as error:
        return _failed(str(error), error.code)
    except OneloopError as error:
        message = "; ".join([str(error), *getattr(error, "__notes__", [])])
        return _failed(message, _exits.code_of(error))
    except (KeyboardInterrupt, typer.Abort) as stopped:
        if is_terminal(sys.stderr):
            sys.stderr.write("\n")  # behind the ^C
        notes = getattr(stopped, "__notes__", None)
        return _failed("; ".join(notes or ["interrupted"]), _exits.INTERRUPTED)
    except BrokenPipeError:  # of the help, which Typer writes
        discard(sys.stdout)
    except OSError as error:  # the same; of anything else, whether it took effect is not known
        discard(sys.stdout)
        return _failed(str(error), _exits.UNKNOWN)
    # What changes something ends with `Exit`: it was done, whether or not its answer is shown.
    return _exits.UNKNOWN if is_lost() else _exits.DONE


def _invoke(command: Any, context: Any) -> None:
    """Run a command; errors of arguments name its options."""
    try:
        command.invoke(context)
    except ArgumentError as error:
        with _exits.naming(_flags(load(context.invoked_subcommand))):
            raise error from None


def _flags(command: Any) -> dict[str, str]:
    """Return the options of a command, and of the commands in it, by the names of arguments."""
    flags = [one for option in command.params for one in option.opts if one.startswith("--")]
    found = {one[2:].replace("-", "_"): one for one in flags}
    for inner in getattr(command, "commands", {}).values():
        found |= _flags(inner)
    return found


def _misused(error: Any) -> int:
    """Say what is wrong with the arguments, and where the help is."""
    message = error.format_message()
    if "\n" in message:  # the help, which Typer raises where a command is missing
        for line in message.split("\n"):
            say(line)
        return _exits.USAGE
    if message.startswith("Got unexpected extra argument"):
        message = "there are more arguments than it takes (not shown, as one may be a secret)"
    path = error.ctx.command_path if error.ctx else NAME
    return _failed(f"{message.rstrip('.')} (see {path} --help)", _exits.USAGE)


def _failed(message: str, code: int) -> int:
    say(f"{NAME}: {printable(message)}", "red")
    return code
