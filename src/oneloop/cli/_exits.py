"""Exit codes: what a command tells the script that ran it. docs/cli.md has the table."""

from collections.abc import Iterable

from oneloop import Outcome

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


def code_of(outcome: Outcome) -> int:
    """Return the exit code for the outcome of a call."""
    return _BY_OUTCOME[outcome]


def most_severe(codes: Iterable[int]) -> int:
    """Return the exit code of a command that did several things: 4 before 3 before 5 before 0."""
    given = set(codes)
    return next((code for code in _BY_SEVERITY if code in given), DONE)
