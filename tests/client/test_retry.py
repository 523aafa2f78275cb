"""`RetryPolicy` and `Timeout` refuse invalid values with an error that names the argument."""

import pickle
from typing import Any

import pytest

from oneloop import ArgumentError, ArgumentTypeError, ArgumentValueError, RetryPolicy, Timeout

INFINITE, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("make", "argument", "error"),
    [
        (lambda: RetryPolicy(attempts=0), "attempts", ArgumentValueError),
        (lambda: RetryPolicy(attempts=True), "attempts", ArgumentTypeError),
        (lambda: RetryPolicy(attempts=1.5), "attempts", ArgumentTypeError),  # type: ignore[arg-type]
        (lambda: RetryPolicy(backoff=-1), "backoff", ArgumentValueError),
        (lambda: RetryPolicy(backoff=NAN), "backoff", ArgumentValueError),
        (lambda: RetryPolicy(cap=None), "cap", ArgumentTypeError),  # type: ignore[arg-type]
        (lambda: RetryPolicy(cap="8"), "cap", ArgumentTypeError),  # type: ignore[arg-type]
        (lambda: RetryPolicy(cap=INFINITE), "cap", ArgumentValueError),
        (lambda: RetryPolicy(cap=10**400), "cap", ArgumentValueError),
        (lambda: RetryPolicy(on_retry=5), "on_retry", ArgumentTypeError),  # type: ignore[arg-type]
        (lambda: RetryPolicy(treat_as_safe="no"), "treat_as_safe", ArgumentTypeError),  # type: ignore[arg-type]
        (lambda: RetryPolicy(budget=0), "budget", ArgumentValueError),
        (lambda: RetryPolicy(budget=INFINITE), "budget", ArgumentValueError),
        (lambda: Timeout(connect=0), "connect", ArgumentValueError),
        (lambda: Timeout(read=-1), "read", ArgumentValueError),
        (lambda: Timeout(read=False), "read", ArgumentTypeError),
        (lambda: Timeout.of(-1), "timeout", ArgumentValueError),
        (lambda: Timeout.of("3"), "timeout", ArgumentTypeError),  # type: ignore[arg-type]
    ],
)
def test_a_number_out_of_bounds_is_refused_by_name(
    make: Any, argument: str, error: type[ArgumentError]
) -> None:
    """The error for an invalid value names the argument."""
    with pytest.raises(error) as caught:
        make()
    assert caught.value.argument == argument


def test_a_number_sets_both_timeouts() -> None:
    """`Timeout.of(3)` sets both the connect and the read timeout to 3 seconds."""
    assert Timeout.of(3) == Timeout(connect=3, read=3)


def test_none_is_no_limit_where_it_is_asked_for() -> None:
    """A timeout of None means no limit; the defaults are all finite."""
    assert Timeout.of(None) == Timeout(connect=None, read=None)
    assert None not in (Timeout().connect, Timeout().read, RetryPolicy().budget)


def test_a_timeout_is_kept() -> None:
    """`Timeout.of` returns a `Timeout` unchanged."""
    timeout = Timeout(connect=1)
    assert Timeout.of(timeout) is timeout


def test_zero_waits_are_allowed() -> None:
    """A backoff and a cap of zero are allowed, for example in tests."""
    assert RetryPolicy(backoff=0, cap=0).cap == 0


@pytest.mark.parametrize("value", [Timeout(read=1), RetryPolicy(attempts=1)])
def test_a_policy_can_be_pickled_and_shows_where_it_is_imported_from(value: object) -> None:
    """A policy can be pickled, as process pools do, and its module is the public `oneloop`."""
    assert pickle.loads(pickle.dumps(value)) == value
    assert type(value).__module__ == "oneloop"
