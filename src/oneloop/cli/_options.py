"""What the declarations of commands have in common: their settings, and options that many take."""

from pathlib import Path
from typing import Annotated, Any

import typer

KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="Read the SDK key from this file instead of ONELOOP_SDK_KEY.",
        show_default=False,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Call this API instead of that of ONELOOP_BASE_URL, or the vendor's.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, with exact numbers.")]


def filled(value: str | None) -> str | None:
    """Return the value of an option, which must not be empty, as an unset variable makes it."""
    if value is not None and not value.strip():
        raise typer.BadParameter("it must not be empty")
    return value


WorkspaceId = Annotated[
    str,
    typer.Option("--workspace-id", "-w", metavar="TEXT", callback=filled, help="The workspace id."),
]
MeterId = Annotated[
    str,
    typer.Option(
        "--external-meter-id",
        "-m",
        metavar="TEXT",
        callback=filled,
        help="Your own name for the customer's meter.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


def new_app(**settings: Any) -> typer.Typer:
    """Return an app for the commands of a module, with the settings that all of them have."""
    return typer.Typer(rich_markup_mode=None, add_completion=False, **settings)


def examples(*lines: str) -> str:
    """Return the epilog of a command's help that shows how it is called."""
    return "\n".join(
        ["\b", "Examples:" if len(lines) > 1 else "Example:", *map("  {}".format, lines)]
    )
