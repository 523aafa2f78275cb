"""How long to wait and how often to try, as data."""

from collections.abc import Callable
from typing import Any

from attrs import field, frozen

from oneloop_core import ArgumentError, ArgumentTypeError, ArgumentValueError

from ._errors import APIError

MAX_SECONDS = 1_000_000
"""The longest wait or limit that can be asked for: eleven days. Sockets take no more than years."""


def _seconds(value: object, name: str, *, optional: bool) -> None:
    if value is None and optional:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ArgumentTypeError(f"must be a number of seconds, not {value!r}").under(name)
    if not 0 <= value <= MAX_SECONDS:
        hint = "; None is no limit" if optional else ""
        raise ArgumentValueError(f"must be from 0 to {MAX_SECONDS} seconds{hint}").under(name)


def _limit(_: Any, attribute: Any, value: object) -> None:
    _seconds(value, attribute.name, optional=True)
    if value == 0:
        raise ArgumentValueError("must be greater than 0; None is no limit").under(attribute.name)


def _pause(_: Any, attribute: Any, value: object) -> None:
    _seconds(value, attribute.name, optional=False)


def _hook(_: Any, attribute: Any, value: object) -> None:
    if value is not None and not callable(value):
        raise ArgumentTypeError(f"must be callable, not {value!r}").under(attribute.name)


def _flag(_: Any, attribute: Any, value: object) -> None:
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"must be True or False, not {value!r}").under(attribute.name)


def _attempts(_: Any, attribute: Any, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ArgumentTypeError(f"must be an integer, not {value!r}").under(attribute.name)
    if value < 1:
        raise ArgumentValueError(f"must be at least 1, not {value}").under(attribute.name)


@frozen(kw_only=True)
class Timeout:
    """How long one attempt may wait. The whole call is bounded by `RetryPolicy.budget`.

    Attributes:
        connect: Seconds for a free connection, and again for opening one. Default 5; `None` is no
            limit.
        read: Seconds for each part of the answer, and for sending. Default 30; `None` is no limit.
    """

    connect: float | None = field(default=5.0, validator=_limit)
    read: float | None = field(default=30.0, validator=_limit)

    @classmethod
    def of(cls, value: "float | Timeout | None") -> "Timeout":
        """Return a `Timeout` as it is, or one with both limits set to a number or to `None`.

        Raises:
            ArgumentError: It is something else.
        """
        if isinstance(value, Timeout):
            return value
        try:
            return cls(connect=value, read=value)
        except ArgumentError as error:
            error.argument = "timeout"
            raise


@frozen(kw_only=True)
class Retry:
    """An attempt that failed and will be repeated, as `RetryPolicy.on_retry` gets it.

    Attributes:
        operation: Name of the client method.
        attempt: Number of the attempt that failed, from 1.
        wait: Seconds until the next one.
        error: Why it failed.
    """

    operation: str
    attempt: int
    wait: float
    error: APIError


@frozen(kw_only=True)
class RetryPolicy:
    """How often a call is tried.

    A call that is not safe to repeat (POST, PATCH) is tried again only if it provably did nothing:
    it was not sent, or the server turned it away with 429. A safe one (GET, PUT, DELETE) is tried
    again after lost connections, timeouts, 408, 429 and 5xx too.

    A wait is what the server asks for with Retry-After, or else a random time up to a limit that
    starts at `backoff` and doubles up to `cap`. A wait that does not fit into what is left of
    `budget` ends the call at once, with the error in hand.

    Attributes:
        attempts: How often a call is tried at most, the first try included; at least 1. Default 3.
        backoff: Longest wait before the second attempt, in seconds. Default 0.5.
        cap: Longest wait that is not asked for by the server, in seconds. Default 8.
        budget: Seconds for the whole call, waits included. Default 60; `None` is no limit.
        on_retry: Called before each wait. It should return at once; what it raises is logged.
        treat_as_safe: Try a call again after any failure that may pass, even if it may have taken
            effect: a refill may then be applied twice. Default `False`. For calls that you know to
            be harmless, as in `client.with_options(retry=RetryPolicy(treat_as_safe=True))`.
    """

    attempts: int = field(default=3, validator=_attempts)
    backoff: float = field(default=0.5, validator=_pause)
    cap: float = field(default=8.0, validator=_pause)
    budget: float | None = field(default=60.0, validator=_limit)
    on_retry: Callable[[Retry], object] | None = field(default=None, validator=_hook)
    treat_as_safe: bool = field(default=False, validator=_flag)
