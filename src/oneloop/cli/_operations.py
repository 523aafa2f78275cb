"""A command for each operation of the API, made from `oneloop_api.commands` when it is used."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from oneloop import Outcome, ResponseDecodeError
from oneloop_core import ApiModel, Secret
from oneloop_core.commands import Command, Option

from . import _exits
from ._answers import masked, missing_object, text_of, write_answer
from ._console import hide, say, write_json
from ._exits import CommandError, naming
from ._options import BaseUrl, Json, KeyFile, examples, new_app
from ._session import ask_secret, open_client, read_secret
from ._values import value_of

METAVARS = {
    "texts": "TEXT",
    "integer": "INTEGER",
    "number": "NUMBER",
    "date": "DATE",
    "time": "TIME",
    "file": "FILE",
    "json": "JSON",
}


def app_of(name: str, command: Command) -> typer.Typer:
    """Return an app with the command of an operation.

    Args:
        name: The name of the command, for its example.
        command: The operation.
    """

    def run(**given: Any) -> None:
        _run(command, **given)

    parameters = [*map(_parameter, command.options), *_COMMON]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    app = new_app()
    example = f"oneloop {name} {command.example}".rstrip()
    text = "\n\n".join(filter(None, [command.summary, command.help]))
    app.command(help=text, epilog=examples(example), deprecated=command.deprecated)(run)
    return app


_COMMON = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        ("key_file", None, KeyFile),
        ("base_url", None, BaseUrl),
        ("json", False, Json),
    )
]


def _parameter(option: Option) -> inspect.Parameter:
    """Return an option as a parameter of a function for Typer."""
    required = option.required and not option.secret
    declare = partial(typer.Option, help=_help(option), show_default=False)
    if option.secret:
        kind: Any = Path | None
        info = declare(_flag(option), metavar="FILE")
    elif option.type == "boolean":
        kind = bool | None
        info = declare(_flag(option))
    else:
        kind = list[str] if option.type == "texts" else str
        kind = kind if required else kind | None
        info = declare(
            _flag(option),
            metavar=METAVARS.get(option.type, "TEXT"),
            autocompletion=_completing(option.choices),
        )
    return inspect.Parameter(
        _parameter_name(option),
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else None,
        annotation=Annotated[kind, info],
    )


def _parameter_name(option: Option) -> str:
    """Return a name that none of the parameters has that all commands have."""
    return f"{option.name}_"


def _completing(choices: tuple[str, ...]) -> Callable[[str], list[str]] | None:
    """Return what a shell offers for the value of an option; `None` if any may be meant."""

    def complete(incomplete: str) -> list[str]:
        return [one for one in choices if one.startswith(incomplete)]

    return complete if choices else None


def _flag(option: Option) -> str:
    """Return the flag as Typer takes it, with its negation for a switch."""
    if option.secret:
        return f"{option.flag}-from"
    return f"{option.flag}/--no-{option.flag[2:]}" if option.type == "boolean" else option.flag


def _help(option: Option) -> str:
    parts = [option.help]
    if option.choices:
        parts.append(f"One of {', '.join(option.choices)}.")
    if option.type == "texts":
        parts.append("May be repeated; or a JSON array.")
    if option.nullable:
        parts.append("`null` is null.")
    if option.secret:
        parts.append(
            "The file has the secret, which is never an argument; - is the standard input. "
            "Without this option you are asked for it."
        )
    return " ".join(filter(None, parts))


def _run(
    command: Command, *, key_file: Path | None, base_url: str | None, json: bool, **given: Any
) -> None:
    """Make the call of an operation with the values of its options, and show its answer."""
    arguments = _arguments(command, given)
    with open_client(key_file, base_url) as client:
        response = getattr(client.with_response, command.name)(**arguments)
    try:
        answer = response.parsed
    except ResponseDecodeError as error:
        if command.reads or error.outcome is not Outcome.APPLIED:
            raise
        # It may have issued a secret, which is nowhere else.
        say(f"oneloop: {error}", "yellow")
        write_json(response.json())
        raise typer.Exit(_exits.DONE) from None
    if not json:
        write_answer(answer, secrets=not command.reads)
    elif isinstance(answer, ApiModel | list | dict):
        form = response.json()
        write_json(masked(answer, form) if command.reads else form)
    else:
        write_json(text_of(answer))
    absent = missing_object(answer)
    if absent is not None and command.reads:
        raise CommandError(f"the API has found nothing: {absent} is null", _exits.REJECTED)
    if absent is not None:
        raise CommandError(
            f"the API has answered that {absent} is null, as it does if there is nothing of this "
            "name; that does not show whether anything was changed: look before you repeat it",
            _exits.UNKNOWN,
        )
    if not command.reads:
        raise typer.Exit(_exits.DONE)


def _arguments(command: Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the method for the values of options, which are checked.

    Raises:
        CommandError: One of them is missing or cannot be sent.
    """
    module = import_module(f"oneloop_api.api.{command.tag}.{command.name}")
    hints = get_type_hints(module.call)
    arguments: dict[str, Any] = {}
    for option in command.options:
        value = given[_parameter_name(option)]
        if option.secret and (value is not None or option.required):
            arguments[option.name] = _secret(option, value)
        elif value is not None and value != []:
            arguments[option.name] = value_of(option, value, hints[option.name])
    with naming({one.name: _flag(one).partition("/")[0] for one in command.options}):
        module.call(**arguments)
    return arguments


def _secret(option: Option, file: Path | None) -> Secret:
    flag = _flag(option)
    secret = read_secret(file, flag) if file else ask_secret(option.name.replace("_", " "))
    if secret is None:
        raise CommandError(f"{flag} FILE is required: it names a file, or - for the standard input")
    hide(secret)
    return secret
