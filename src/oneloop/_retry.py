"""When a call is tried again, and after how long: the policy as data, and the rules.

The rules are pure: the clock and the random number are arguments.
"""

import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve, field, fields, frozen
from attrs.validators import optional

from oneloop_core import (
    ArgumentError,
    ArgumentTypeError,
    Outcome,
    encode_boolean,
    encode_integer,
    encode_number,
    wrong_type,
)

from ._errors import APIError

if TYPE_CHECKING:
    from ._failures import Failure

logger = logging.getLogger("oneloop")

MAX_SECONDS = 1_000_000
"""The longest backoff or limit that is accepted: eleven days. Sockets accept a few years."""

MAX_RETRY_AFTER = 86_400.0
"""Seconds. A server that asks for more than a day ends the call, even if the call has no budget."""

MAX_HEADER_LENGTH = 64
"""Characters of a header that are parsed. A number or an HTTP date needs half of that at most."""

_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)


def _checked(encode: Callable[..., object], **bounds: float) -> Callable[[Any, Any, Any], None]:
    """Return a validator for attrs that checks a value with the encoder of its type."""

    def validate(_: Any, attribute: Any, value: Any) -> None:
        try:
            encode(value, **bounds)
        except ArgumentError as error:
            raise error.under(attribute.name) from None

    return validate


def check_callable(value: object) -> None:
    """Raise an `ArgumentTypeError` unless a value can be called, and is not async."""
    if not callable(value):
        raise wrong_type("callable", value)
    if is_async(value):
        raise ArgumentTypeError("must not be async, as it would never be awaited")


def is_async(function: Any) -> bool:
    """Return whether a call of this object returns an awaitable or an async iterator."""
    from functools import partial  # on first use, as few applications pass functions
    from inspect import isasyncgenfunction, iscoroutinefunction

    while isinstance(function, partial):
        function = function.func
    calls = function, getattr(function, "__call__", None)  # noqa: B004 - its method may be async
    return any(iscoroutinefunction(one) or isasyncgenfunction(one) for one in calls)


_duration = _checked(encode_number, minimum=0, maximum=MAX_SECONDS)
_hook: Any = optional(_checked(check_callable))
_amount = _checked(encode_number, above=0, maximum=MAX_SECONDS)


def _limit(owner: Any, attribute: Any, value: float | None) -> None:
    try:
        if value is not None:
            _amount(owner, attribute, value)
    except ArgumentError as error:
        error.problem += "; None means no limit"
        raise


class _Partial:
    """A base of settings that are laid over others: only what was given replaces the old value."""

    __slots__ = ("_given",)

    _given: frozenset[str]

    def __reduce__(self) -> tuple[Any, ...]:
        """Restore from what was given, so that a copy is laid over other settings in the same way.

        Everything else has its default.
        """
        values = {name: getattr(self, name) for name in _given_to(self)}
        return partial(type(self), **values), ()


S = TypeVar("S")


def _partial(settings: type[S]) -> type[S]:
    """Let the constructor of a class remember which arguments were given to it."""
    cls: Any = settings
    construct = cls.__init__

    @wraps(construct)
    def remember(self: Any, *args: Any, **given: Any) -> None:
        construct(self, *args, **given)
        object.__setattr__(self, "_given", frozenset(given))

    cls.__init__ = remember
    return settings


def _given_to(settings: Any) -> frozenset[str]:
    """Return the names of what was given; those of all settings of an application's subclass."""
    every = frozenset(one.name for one in fields(settings.__class__))
    return getattr(settings, "_given", every)


def merged(old: Any, new: Any) -> Any:
    """Return settings with what was given to the constructor of others."""
    given = _given_to(new)
    if len(given) == len(fields(new.__class__)):
        return new
    return evolve(old, **{name: getattr(new, name) for name in given})


@_partial
@frozen(kw_only=True, getstate_setstate=False)
class Timeout(_Partial):
    """The limits of one attempt. `RetryPolicy.budget` limits the whole call.

    `with_options(timeout=Timeout(read=5))` changes only `read`.

    Attributes:
        connect: Seconds to wait for a free connection, and again to open one. Default 5; `None`
            means no limit.
        read: Seconds to wait for each part of the response, and to send the request. Default 30;
            `None` means no limit.
    """

    __module__ = "oneloop"

    connect: float | None = field(default=5.0, validator=_limit)
    read: float | None = field(default=30.0, validator=_limit)

    @classmethod
    def of(cls, value: "float | Timeout | None") -> "Timeout":
        """Return a `Timeout` unchanged; use a number, or `None`, for both limits.

        Raises:
            ArgumentError: The value is of another type, or out of bounds.
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
    """A failed attempt that will be followed by another one; see `RetryPolicy.on_retry`.

    Attributes:
        operation: Name of the client method.
        attempt: Number of the failed attempt, starting at 1.
        wait: Seconds until the next attempt.
        error: The error that the call would have ended in.
    """

    __module__ = "oneloop"

    operation: str
    attempt: int
    wait: float
    error: APIError


@_partial
@frozen(kw_only=True, getstate_setstate=False)
class RetryPolicy(_Partial):
    """When and how often a call is tried again.

    `with_options(retry=RetryPolicy(budget=300))` changes only the budget: what is not passed to
    the constructor stays as it is in the client.

    A call that is not safe to repeat (POST, PATCH) is tried again only if the failed attempt
    provably had no effect: the request was not sent, or the server rejected it with 429. A call
    that is safe to repeat (GET, PUT, DELETE) is also tried again after lost connections, timeouts,
    408 and 5xx.

    The next attempt starts when the server asks for it with Retry-After, or else after an
    exponential backoff with full jitter. If that is later than the end of `budget`, the call ends
    at once with the error of the last attempt.

    Attributes:
        attempts: The largest number of attempts, including the first; at least 1. Default 3.
        backoff: The longest backoff before the second attempt, in seconds; it doubles with each
            further attempt. Default 0.5.
        cap: The longest backoff of all, in seconds. Retry-After may be longer. Default 8.
        budget: Seconds for the whole call, backoffs included. Default 60; `None` means no limit.
        on_retry: Called before each backoff. It should return at once. An exception that it raises
            is logged and otherwise ignored.
        treat_as_safe: Try a call again after any failure that may be temporary, even if the call
            may have taken effect: a refill may then be applied twice. Default `False`. Use it for
            calls that you know to be harmless, as in
            `client.with_options(retry=RetryPolicy(treat_as_safe=True))`.
    """

    __module__ = "oneloop"

    attempts: int = field(default=3, validator=_checked(encode_integer, minimum=1))
    backoff: float = field(default=0.5, validator=_duration)
    cap: float = field(default=8.0, validator=_duration)
    budget: float | None = field(default=60.0, validator=_limit)
    on_retry: Callable[[Retry], object] | None = field(default=None, validator=_hook)
    treat_as_safe: bool = field(default=False, validator=_checked(encode_boolean))


def seconds_to_next(
    policy: RetryPolicy,
    failure: "Failure",
    attempt: int,
    is_safe: bool,
    now: Callable[[], float],
    chance: Callable[[], float],
) -> float | None:
    """Return the seconds until the attempt after a failed one; `None` if there must not be one.

    The other arguments are those of `backoff`, whether the call is safe to repeat, the seconds
    since the epoch, and random numbers from 0 to 1.
    """
    if attempt >= policy.attempts or not _is_repeatable(failure, is_safe):
        return None
    asked = retry_after(failure.headers, now())
    if asked is None:
        return backoff(policy, attempt, chance())
    return asked if asked <= MAX_RETRY_AFTER else None


def _is_repeatable(failure: "Failure", is_safe: bool) -> bool:
    """Return whether another attempt may succeed and cannot apply the call twice."""
    if not failure.may_pass:
        return False
    if failure.status is None:
        return is_safe or failure.outcome is Outcome.NOT_SENT
    is_temporary = failure.status == 408 or 500 <= failure.status <= 599
    return failure.status == 429 or (is_temporary and is_safe)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a server asks to wait, or `None` if it does not.

    Reads `retry-after-ms`, and `Retry-After` as seconds or as an HTTP date, which is compared with
    `now`. A value that cannot be parsed, or is longer than `MAX_HEADER_LENGTH`, is ignored; a date
    in the past means 0.
    """
    milliseconds = _short(headers, "retry-after-ms")
    if milliseconds and _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    value = _short(headers, "retry-after")
    if not value:
        return None
    if _NUMBER.fullmatch(value):
        return float(value)
    from email.utils import parsedate_to_datetime  # on first use, as dates are rare

    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)


def _short(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    return value.strip() if len(value) <= MAX_HEADER_LENGTH else ""


def backoff(policy: RetryPolicy, attempt: int, chance: float) -> float:
    """Return the backoff after a failed attempt, in seconds: exponential, with full jitter.

    `attempt` is the number of that attempt, starting at 1; `chance` a random number from 0 to 1.
    """
    # A float would overflow at 2**1024; the cap is reached long before 2**60 seconds.
    return chance * min(policy.cap, policy.backoff * 2.0 ** min(attempt - 1, 60))


def random_chance() -> float:
    """Return a random number from 0 to 1."""
    import random  # on first use, as few calls are tried again

    return random.random()  # noqa: S311 - jitter is not a secret


def report(policy: RetryPolicy, retry: Retry) -> None:
    """Call `on_retry`. An exception that it raises is logged: it must not hide the outcome."""
    if policy.on_retry is None:
        return
    try:
        policy.on_retry(retry)
    except Exception as error:
        from ._signals import let_through  # on first use, as few hooks fail

        let_through(error)
        logger.exception("on_retry failed")
