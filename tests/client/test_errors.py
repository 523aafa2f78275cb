"""The error classes: their hierarchy, names and outcomes, and pickling and copying errors."""

import copy
import inspect
import pickle
import re

import pytest

import oneloop
from oneloop import (
    APIError,
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    ConfigurationError,
    OneloopError,
    Outcome,
    ResponseDecodeError,
    _errors,
)

ERRORS = [
    value
    for value in (getattr(oneloop, name) for name in oneloop.__all__)
    if inspect.isclass(value) and issubclass(value, OneloopError)
]


def made(error: type[OneloopError]) -> OneloopError:
    """Return an error with every attribute set."""
    if issubclass(error, ResponseDecodeError):
        made: OneloopError = error("no", field="a.b", outcome=Outcome.APPLIED, attempts=2)
    elif issubclass(error, APIError):
        made = error(
            "no",
            outcome=Outcome.UNKNOWN,
            operation="op",
            method="POST",
            path="/p",
            status_code=500,
            code=1,
            message="m",
            request_id="r",
            headers={"a": "b"},
            body="{}",
            attempts=2,
            elapsed=1.5,
        )
    elif issubclass(error, ArgumentError):
        made = error("must be more").under("b").under("a")
    else:
        made = error("no")
    made.add_note("a note")
    return made


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    "copied",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_an_error_survives_pickle_and_copy(error: type[OneloopError], copied: object) -> None:
    """Errors can be pickled and copied without loss, as process pools and task queues require."""
    original = made(error)
    twin = copied(original)  # type: ignore[operator]
    assert type(twin) is error
    assert str(twin) == str(original)
    assert vars(twin) == vars(original)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_says_that_it_is_ours(error: type[OneloopError]) -> None:
    """The module of each error class is `oneloop`, so that a traceback shows how to import it."""
    assert error.__module__ == "oneloop"
    assert getattr(oneloop, error.__qualname__) is error


def test_the_tree_is_as_its_module_draws_it() -> None:
    """The tree in the docstring of `_errors` lists each error class once, under its parent."""
    drawn: list[tuple[str, str]] = []
    above: list[str] = []
    for line in (_errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)(\w+)(?:  |$)", line)
        if match:
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            drawn.append((match[2], above[depth - 1] if depth else "Exception"))
    assert drawn == [(name, getattr(oneloop, name).__mro__[1].__name__) for name, _ in drawn]
    assert {name for name, _ in drawn} == {error.__name__ for error in ERRORS}


def test_argument_errors_are_what_python_calls_them() -> None:
    """Argument and configuration errors are also a ValueError or a TypeError."""
    assert issubclass(ArgumentTypeError, TypeError)
    assert issubclass(ArgumentValueError, ValueError)
    assert issubclass(ConfigurationError, ValueError)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_states_its_outcome(error: type[OneloopError]) -> None:
    """Every error has an `Outcome`, which says whether the call took effect."""
    assert isinstance(made(error).outcome, Outcome)
