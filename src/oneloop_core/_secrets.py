"""Secret arguments, which are wrapped from the call of a method until bytes are made of them.

Error reporters show the local variables of every frame that an exception passed through. They do
not show a wrapped value, and neither does a repr, a log record or a pickle.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, cast

from ._errors import ArgumentError, ArgumentValueError
from ._unset import Unset

MAX_SECRET_LENGTH = 8192
"""Characters of the longest key or token that is sent. The document states no limit. The vendor's
keys have about forty characters, and web servers refuse header lines and paths above 8 KiB."""


class Secret:
    """A value that its repr does not show and that cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        """Wrap a value."""
        self._value = value

    def reveal(self) -> Any:
        """Return the value. Do not assign it to a local variable of a frame that may raise."""
        return self._value

    def __repr__(self) -> str:
        """Return the name of the class without the value."""
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("a secret cannot be pickled")


def hide(value: Any) -> Any:
    """Wrap a secret argument, unless it was left out or is wrapped already."""
    return value if value is None or isinstance(value, Secret | Unset) else Secret(value)


def encode_secret(value: Any, encode: Callable[[Any], Any]) -> Secret:
    """Check and encode a secret argument with the encoder of its type, and return it wrapped.

    Raises:
        ArgumentError: The value is not allowed, or has more than `MAX_SECRET_LENGTH` characters.
            Neither the error nor the local variables of the frames that it passes show the value.
    """
    secret = value if isinstance(value, Secret) else Secret(value)
    del value
    encoded = _encoded(secret, encode)
    if isinstance(encoded, ArgumentError):
        raise encoded
    return encoded


def _encoded(secret: Secret, encode: Callable[[Any], Any]) -> Secret | ArgumentError:
    """Return the error instead of raising it, because this frame has the plain value."""
    plain = secret.reveal()
    try:
        encoded = encode(plain)
    except ArgumentError as error:
        # The frames of this error have the plain value, and its text may show a number, which may
        # be a key that was given as one. So it is replaced by a new error without either.
        problem = error.requirement
        if problem != error.problem and not error.argument:
            problem += f", got a value of type {type(plain).__name__}"
        failure = type(error)(problem)
        failure.argument = error.argument
        return failure
    # Containers are searched only now, as the encoder has checked how deep they are.
    if any(len(text) > MAX_SECRET_LENGTH for text in strings_in(encoded)):
        return ArgumentValueError(f"must have at most {MAX_SECRET_LENGTH} characters")
    return Secret(encoded)


def given_secrets(*arguments: Any) -> tuple[Secret, ...]:
    """Return the wrapped arguments, that is, the secret ones that were not left out."""
    return tuple(one for one in arguments if isinstance(one, Secret))


def strings_in(value: Any) -> Iterator[str]:
    """Yield the value if it is a string, otherwise each string in it at any depth."""
    if isinstance(value, str):
        yield str.__str__(value)  # as in `encode_string`
    elif isinstance(value, Mapping):
        for item in cast("Mapping[Any, Any]", value).values():  # type: ignore[redundant-cast]
            yield from strings_in(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            yield from strings_in(item)
