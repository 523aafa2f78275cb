"""What the generated code raises: an argument that may not be sent, an answer that cannot be read.

The root of the public error tree is here too, because arguments are checked by generated code,
which may not import `oneloop`. The whole tree is drawn in `oneloop._errors`.
"""

from enum import Enum
from typing import Any, Self


class Outcome(Enum):
    """Whether a call took effect on the server. Every error says so in its `outcome`."""

    NOT_SENT = "not sent"
    """The call provably never reached the server's application: nothing happened."""
    REJECTED = "rejected"
    """The server answered that it did not do it."""
    UNKNOWN = "unknown"
    """It may have happened: check before you repeat it."""
    APPLIED = "applied"
    """The server answered that it did it, but its answer cannot be used."""

    __module__ = "oneloop"


def _restore(
    cls: type["OneloopError"], args: tuple[Any, ...], state: dict[str, Any]
) -> "OneloopError":
    """Rebuild a pickled or copied error without calling its constructor."""
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class OneloopError(Exception):
    """Every error of this package. Catch it to catch them all.

    Errors can be pickled and copied, and hold neither the API key nor a live connection.

    Attributes:
        outcome: Whether the call took effect.
        operation: Name of the client method, such as `refill_billing_limit`; `None` if the error
            belongs to no call.
    """

    outcome: Outcome = Outcome.NOT_SENT
    operation: str | None = None

    __module__ = "oneloop"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle attributes as they are: subclasses are free in their constructor's signature."""
        return _restore, (type(self), self.args, self.__dict__.copy())


class ArgumentError(OneloopError):
    """An argument may not be sent. Nothing was sent.

    Attributes:
        argument: The argument's name, with the way into it: `refill`, `scopes[0].read`.
    """

    argument: str = ""

    __module__ = "oneloop"

    def __init__(self, problem: str) -> None:
        """Say what is wrong with the value; `under` says of which argument."""
        super().__init__(problem)
        self.problem = problem

    def under(self, key: str | int) -> Self:
        """Put a name, or an index, in front of the argument's path."""
        self.argument = _join(key, self.argument)
        return self

    def __str__(self) -> str:
        """Return one line: which argument, what it has to be, what it was."""
        return f"{_shown(self.argument) or 'argument'} {self.problem}"


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument is of the wrong type."""

    __module__ = "oneloop"


class ArgumentValueError(ArgumentError, ValueError):
    """An argument is outside the values that the API takes."""

    __module__ = "oneloop"


class DecodeError(OneloopError, ValueError):
    """Parsed JSON is not of the shape that the document promises.

    A model's `from_dict` raises it; a call turns it into a `ResponseDecodeError`.

    Attributes:
        path: The way to that part, in the document's names: `billing.totalCredits`, `data[3].day`.
        problem: What was expected and what was found.
    """

    path: str = ""

    __module__ = "oneloop"

    def __init__(self, problem: str) -> None:
        """Say what is wrong; `under` says where."""
        super().__init__(problem)
        self.problem = problem

    def under(self, key: str | int) -> Self:
        """Put a key, or an index, in front of the path."""
        self.path = _join(key, self.path)
        return self

    def __str__(self) -> str:
        """Return the path and the problem."""
        return f"{_shown(self.path) or 'the answer'} {self.problem}"


def _join(key: str | int, rest: str) -> str:
    head = f"[{key}]" if isinstance(key, int) else _readable(key)
    return head + rest if not rest or rest.startswith("[") else f"{head}.{rest}"


_LONGEST_KEY = 20_000
"""Characters of a key that a path keeps. Those of a map are not the document's, but somebody's; one
that is a secret must be whole, so that it is found where errors are redacted."""

_LONGEST_PATH = 300
"""Characters of a path that the text of an error shows."""


def _shown(path: str) -> str:
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}..."


def _readable(key: str) -> str:
    """Return a key that fits on one line, whatever it contains."""
    if len(key) <= _LONGEST_KEY and key.isprintable():
        return key
    start = "".join(one if one.isprintable() else "?" for one in key[:_LONGEST_KEY])
    return start if len(key) <= _LONGEST_KEY else f"{start}..."


def kind_of(value: object) -> str:
    """Name a value's type, and the value itself where it is short and cannot be a secret."""
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if -(10**20) < value < 10**20 else "a larger integer"
    return f"a {type(value).__name__}"


def mismatch(expected: str, value: object) -> DecodeError:
    """Return the error for a value of an answer that is not what was promised."""
    return DecodeError(f"should be {expected}, not {kind_of(value)}")


def wrong_type(expected: str, value: object) -> ArgumentTypeError:
    """Return the error for an argument of the wrong type."""
    return ArgumentTypeError(f"must be {expected}, not {kind_of(value)}")
