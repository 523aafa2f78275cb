"""Operations as plain data, from which a command line is made without importing them."""

from typing import Literal, NamedTuple

Type = Literal[
    "text", "texts", "integer", "number", "boolean", "date", "time", "file", "json"
]  # fmt: skip
"""How an argument is written on a command line: `texts` is a list of texts, `time` is a date with a
time and a zone, and `json` is everything that only JSON can express."""


class Option(NamedTuple):
    """An argument of an operation as an option.

    Attributes:
        name: Name of the argument of the method, such as `workspace_id`.
        flag: The option, such as `--workspace-id`. No other option of the command has it.
        type: How its value is written.
        help: What it means, and its bounds; paragraphs are separated by empty lines.
        required: Whether it must be given.
        nullable: Whether it may be null, which differs from leaving it out.
        secret: Whether its value must not be shown, and so not be on a command line.
        choices: The values that the document lists, if it does. Others may be sent as well.
    """

    name: str
    flag: str
    type: Type
    help: str = ""
    required: bool = False
    nullable: bool = False
    secret: bool = False
    choices: tuple[str, ...] = ()


class Command(NamedTuple):
    """An operation as a command.

    Attributes:
        name: Name of the method, such as `refill_billing_limit`.
        tag: Name of the package of its module in `api`.
        safe: Whether sending a request twice has the same effect as sending it once.
        reads: Whether it reads only, so that its answer issues no secrets.
        summary: What it does, in a line.
        help: What is to be known beyond the summary; paragraphs are separated by empty lines.
        example: Arguments that show how it is called, as they are written in a shell.
        options: Its arguments, in the order of the method.
        deprecated: Whether the API may remove it.
    """

    name: str
    tag: str
    safe: bool
    reads: bool
    summary: str
    help: str
    example: str
    options: tuple[Option, ...]
    deprecated: bool = False
