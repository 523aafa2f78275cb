"""`oneloop sandbox`: a stand-in for the API, the same as `python -m oneloop.sandbox`."""

from typing import Annotated

import typer

from . import _exits
from ._exits import CommandError
from ._options import new_app

app = new_app()


@app.command(
    add_help_option=False,  # the help is that of the sandbox, and so are all options
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def sandbox(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
    """Serve a stand-in for the API on this machine, until Ctrl-C."""
    try:
        from oneloop.sandbox.__main__ import main
    except ImportError as error:
        raise CommandError(str(error)) from None
    try:
        code = main(arguments or [], prog="oneloop sandbox")
    except SystemExit as ended:  # its help, or wrong arguments
        raise typer.Exit(int(ended.code or 0)) from None
    raise typer.Exit(_exits.USAGE if code else _exits.DONE)  # a port that is taken, a file
