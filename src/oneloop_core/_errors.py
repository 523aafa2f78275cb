"""The errors that generated code raises, for arguments and for answers, and the words in them.

The root of the public error tree is here and not in `oneloop`, because generated code checks the
arguments and must not import `oneloop`. The whole tree is drawn in `oneloop._errors`.
"""

from enum import Enum
from typing import Any, NoReturn, Self, TypeVar


class Outcome(Enum):
    """Whether a call took effect on the server. Every error has one as its `outcome`."""

    NOT_SENT = "not sent"
    """The call provably never reached the server's application, so nothing happened."""
    REJECTED = "rejected"
    """The server answered that it did not carry out the call."""
    UNKNOWN = "unknown"
    """The call may have taken effect. Check before you repeat it."""
    APPLIED = "applied"
    """The server answered that it carried out the call, but the answer cannot be used."""


class OneloopError(Exception):
    """Base class of all errors of this package.

    Errors can be pickled and copied. They contain neither the API key nor a live connection. A
    handler can read all of these attributes without looking at the class of the error.

    Attributes:
        outcome: Whether the call took effect.
        operation: Name of the client method, such as `refill_billing_limit`; `None` if the error
            belongs to no call.
        status_code: HTTP status of the last response; `None` without a response.
        code: The `error.code` of the response, if any.
        message: The `error.message` of the response, if any. `str(error)` describes every error.
        request_id: The request id of the response, if any.
        url: URL of the request, without secrets; `None` if none was made.
        host: Host of that URL, with its port unless that is the default of the scheme.
    """

    outcome: Outcome = Outcome.NOT_SENT
    operation: str | None = None
    status_code: int | None = None
    code: int | None = None
    message: str | None = None
    request_id: str | None = None
    url: str | None = None
    host: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Restore without the constructor, as those of subclasses have other signatures."""
        return BaseException.__new__, (type(self), *self.args), self.__dict__.copy()


class ArgumentError(OneloopError):
    """An argument must not be sent as it is. Nothing was sent.

    Attributes:
        argument: Name of the argument and the path inside it: `refill`, `scopes[0].read`.
        problem: What the argument must be and what was given.
        requirement: What the argument must be, without what was given.
    """

    argument: str = ""

    def __init__(self, problem: str) -> None:
        """Describe what is wrong with the value; `under` adds the argument's name."""
        super().__init__(problem)
        self.problem = problem
        self.requirement = problem

    def under(self, key: str | int) -> Self:
        """Prepend a name or an index to the argument's path."""
        self.argument = _join(key, self.argument)
        return self

    def __str__(self) -> str:
        """Return one line with the argument's path and the problem."""
        return f"{_shortened(self.argument) or 'argument'} {self.problem}"


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument has the wrong type."""


class ArgumentValueError(ArgumentError, ValueError):
    """An argument has a value that the API does not accept."""


class DecodeError(OneloopError, ValueError):
    """Parsed JSON does not have the shape that the document promises.

    A model's `from_dict` raises it; a call turns it into a `ResponseDecodeError`.

    Attributes:
        path: Path of that part, with the document's names: `billing.totalCredits`, `data[3].day`.
        problem: What was expected and what was found.
    """

    path: str = ""

    def __init__(self, problem: str) -> None:
        """Describe what is wrong; `under` adds the path."""
        super().__init__(problem)
        self.problem = problem

    def under(self, key: str | int) -> Self:
        """Prepend a key or an index to the path."""
        self.path = _join(key, self.path)
        return self

    def __str__(self) -> str:
        """Return one line with the path and the problem."""
        return f"{_shortened(self.path) or 'the answer'}: {self.problem}"


for _class in [value for value in vars().values() if isinstance(value, type)]:
    if _class.__module__ == __name__:
        _class.__module__ = "oneloop"  # where applications import it from, as tracebacks show


def mismatch(expected: str, value: object, *, show_text: bool = False) -> DecodeError:
    """Return the error for a value that a decoder does not accept.

    Together with `DecodeError`, this is what a codec for a new kind of property needs: its decoder
    takes parsed JSON and either returns a Python value or raises this error. Generated code adds
    the path.

    Args:
        expected: The JSON that the document promises, as a noun: `a string of ASCII digits`.
        value: The parsed JSON. Numbers, booleans and null are shown, of other values the type.
        show_text: Whether to show a string as well, if it is printable and has at most 40
            characters. Only for formats that no secret has, as any other string may be a secret.
            Strings are never cut, because the redaction of errors would miss a part of a secret.
    """
    found = _text_in_words(value) if show_text and isinstance(value, str) else _json_in_words(value)
    return DecodeError(f"expected {expected}, got {found}")


def wrong_type(expected: str, value: object) -> ArgumentTypeError:
    """Return the error for an argument whose type an encoder does not accept.

    Together with `ArgumentValueError`, this is what a codec for a new kind of property needs: its
    encoder takes an argument and either returns what goes into JSON or raises one of the two.
    Generated code adds the argument's name.

    Args:
        expected: The Python type to give, as a noun: `a datetime`.
        value: The argument. Numbers, booleans and None are shown, of other values the type.
    """
    return refused(ArgumentTypeError, f"must be {expected}", value)


ArgumentErrorT = TypeVar("ArgumentErrorT", bound=ArgumentError)


def refused(kind: type[ArgumentErrorT], requirement: str, value: object) -> ArgumentErrorT:
    """Return the error for an argument that does not meet a requirement such as `must be finite`.

    The requirement is kept apart from what is shown of the value, which may be a secret.
    """
    error = kind(f"{requirement}, got {_python_in_words(value)}")
    error.requirement = requirement
    return error


def missing(key: str) -> NoReturn:
    """Raise the `DecodeError` for a required field that an answer lacks."""
    raise DecodeError("required field is missing").under(key) from None


def required_with(others: str) -> NoReturn:
    """Raise the `ArgumentTypeError` for an argument that is required if others are given."""
    raise ArgumentTypeError(f"is required with {others}")


_LONGEST_TEXT = 40
"""Characters of the longest string that an error shows. Timestamps and most numbers are shorter."""


def _text_in_words(text: str) -> str:
    if len(text) <= _LONGEST_TEXT and text.isprintable():
        return repr(text)
    return f"a string of {len(text)} character{'' if len(text) == 1 else 's'}"


_JSON_TYPES: dict[type, str] = {str: "a string", dict: "an object", list: "an array"}


def _json_in_words(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _JSON_TYPES.get(type(value)) or _python_in_words(value)


def _python_in_words(value: object) -> str:
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if -(10**20) < value < 10**20 else "an integer of more than 20 digits"
    return f"a value of type {type(value).__name__}"


_LONGEST_KEY = 20_000
"""Characters of a key that a path keeps. The keys of a map are not the document's. One of them may
be a secret of the call, which must be whole to be found when the error is redacted."""

_LONGEST_PATH = 300
"""Characters of a path that the text of an error shows."""


def _join(key: str | int, rest: str) -> str:
    head = f"[{key}]" if isinstance(key, int) else _printable(key)
    return head + rest if not rest or rest.startswith("[") else f"{head}.{rest}"


def _printable(key: str) -> str:
    """Return a key that fits on one line, whatever it contains."""
    if len(key) <= _LONGEST_KEY and key.isprintable():
        return key
    start = "".join(one if one.isprintable() else "?" for one in key[:_LONGEST_KEY])
    return start if len(key) <= _LONGEST_KEY else f"{start}..."


def _shortened(path: str) -> str:
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}..."
