"""Exit codes: what a command tells the script that ran it. docs/cli.md has the table."""

import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager

from oneloop import ArgumentError, ConfigurationError, OneloopError, Outcome
from oneloop_api.commands import COMMANDS

DONE = 0
"""It took effect, or showed what was asked for."""
USAGE = 2
"""The arguments, a file or the configuration are wrong. Nothing was sent."""
REJECTED = 3
"""The API did not carry it out."""
UNKNOWN = 4
"""It may have taken effect."""
NOT_SENT = 5
"""It did not reach the API, or had no effect."""
INTERRUPTED = 130
"""It was interrupted, as by Ctrl-C."""

_BY_OUTCOME = {
    Outcome.APPLIED: DONE,
    Outcome.REJECTED: REJECTED,
    Outcome.UNKNOWN: UNKNOWN,
    Outcome.NOT_SENT: NOT_SENT,
}
_BY_SEVERITY = (INTERRUPTED, USAGE, UNKNOWN, REJECTED, NOT_SENT)


class CommandError(Exception):
    """Ends a command with a message for people and an exit code.

    Args:
        message: What is wrong, where, and what to do about it, without a full stop at its end.
        code: The exit code.
    """

    def __init__(self, message: str, code: int = USAGE) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: OneloopError) -> int:
    """Return the exit code for an error of the client.

    An answer that cannot be used is no failure of a call that changes something, as it did. It is
    one of a call that only reads.
    """
    if isinstance(error, ConfigurationError):
        return USAGE
    if isinstance(error, ArgumentError):  # not of an option, see `naming`: of an answer
        return UNKNOWN
    if error.outcome is Outcome.APPLIED and any(
        one.reads for one in COMMANDS if one.name == error.operation
    ):
        return UNKNOWN
    return _BY_OUTCOME[error.outcome]


@contextmanager
def naming(flags: Mapping[str, str]) -> Generator[None]:
    """Turn errors of arguments into ones of options.

    Args:
        flags: The options by the names of the arguments. Errors of others stay as they are.

    Raises:
        CommandError: An argument cannot be sent.
    """
    try:
        yield
    except ArgumentError as error:
        name, rest = re.split(r"(?=[.\[])|$", error.argument, maxsplit=1)
        if name not in flags:
            raise
        path = f"{rest.lstrip('.')} " if rest else ""
        problem = f"{flags[name]}: {path}{error.problem}"
    else:
        return
    raise CommandError(problem)


def most_severe(codes: Iterable[int]) -> int:
    """Return the exit code of a command that did several things: 4 before 3 before 5 before 0."""
    given = set(codes)
    return next((code for code in _BY_SEVERITY if code in given), DONE)
