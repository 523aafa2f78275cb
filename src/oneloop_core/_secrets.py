"""Secret arguments: wrapped when they enter, unwrapped when bytes are made.

Error reporters show the local variables of every frame that an exception passed. A wrapped value is
not shown there, nor in a repr, a log record or a pickle.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, cast

from ._errors import ArgumentError, ArgumentValueError
from ._unset import Unset

MAX_SECRET_LENGTH = 8192
"""Characters in the longest key or token that is sent. The document states no limit. The vendor's
keys have some forty characters, and web servers refuse header lines and paths above 8 KiB."""


class Secret:
    """A value that is not shown: its repr leaves it out, and it cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        """Wrap a value."""
        self._value = value

    def reveal(self) -> Any:
        """Return the value. Do not keep it in a local variable of a frame that may raise."""
        return self._value

    def __repr__(self) -> str:
        """Return the name of the class only."""
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied into another process."""
        raise TypeError("a secret cannot be pickled")


def hide(value: Any) -> Any:
    """Wrap a secret argument that was given. What is wrapped already is returned as it is."""
    return value if value is None or isinstance(value, Secret | Unset) else Secret(value)


def encode_secret(value: Any, encode: Callable[[Any], Any]) -> Secret:
    """Check and encode a secret argument with the encoder of its type, and return it wrapped.

    Raises:
        ArgumentError: It is not allowed, or has more than `MAX_SECRET_LENGTH` characters. The error
            never shows the value, nor do the local variables of the frames that it passes.
    """
    secret = value if isinstance(value, Secret) else Secret(value)
    del value
    encoded = _encoded(secret, encode)
    if isinstance(encoded, ArgumentError):
        raise encoded
    return encoded


def _encoded(secret: Secret, encode: Callable[[Any], Any]) -> Secret | ArgumentError:
    """Return the error instead of raising it: this frame holds the plain value."""
    plain = secret.reveal()
    too_long = ArgumentValueError(f"must have at most {MAX_SECRET_LENGTH} characters")
    if isinstance(plain, str) and len(plain) > MAX_SECRET_LENGTH:
        return too_long
    try:
        encoded = encode(plain)
        # What is nested is of the shape that the document knows, once it is encoded.
        long = not isinstance(plain, str) and any(
            len(text) > MAX_SECRET_LENGTH for text in strings_in(encoded)
        )
        return too_long if long else Secret(encoded)
    except ArgumentError as error:
        # A new error: the frames and the context of this one hold the plain value, and its text
        # names a value that is a number, which may be a key without its quotes.
        problem, shown, _ = error.problem.partition(", not ")
        if shown and not error.argument:
            problem += f", not a value of type {type(plain).__name__}"
        kind, argument = type(error), error.argument
    failure = kind(problem)
    failure.argument = argument
    return failure


def given_secrets(*arguments: Any) -> tuple[Secret, ...]:
    """Return those of the secret arguments that were given."""
    return tuple(one for one in arguments if isinstance(one, Secret))


def strings_in(value: Any) -> Iterator[str]:
    """Yield each string that a value is or contains."""
    if isinstance(value, str):
        yield str.__str__(value)  # the characters, also of an Enum member
    elif isinstance(value, Mapping):
        for item in cast("Mapping[Any, Any]", value).values():  # type: ignore[redundant-cast]
            yield from strings_in(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            yield from strings_in(item)
