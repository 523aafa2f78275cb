"""Errors have the path to the faulty value, show no secrets, and can be copied and pickled."""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import oneloop
from oneloop_api.models import CustomerBillingMeter
from oneloop_core import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    OneloopError,
    Outcome,
    decode_list,
    decode_map,
    encode_json,
    encode_model,
    mismatch,
    missing,
)
from oneloop_overrides import decode_date, decode_digits, decode_timestamp

DUPLICATES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda error: pickle.loads(pickle.dumps(error)),
]
duplicated = pytest.mark.parametrize("duplicate", DUPLICATES, ids=["copy", "deepcopy", "pickle"])


def path_of(function: Callable[..., object], *args: Any) -> str:
    """Return the path in the error that a function raises."""
    with pytest.raises((ArgumentError, DecodeError)) as caught:
        function(*args)
    error = caught.value
    return error.path if isinstance(error, DecodeError) else error.argument


# Paths


@pytest.mark.parametrize(
    ("decode", "value", "path"),
    [
        (decode_digits, "x", ""),
        (lambda data: decode_list(data, decode_digits), ["1", "x"], "[1]"),
        (lambda data: decode_map(data, decode_digits), {"a": "1", "b": "x"}, "b"),
        (
            lambda data: decode_list(data, lambda row: decode_list(row, decode_digits)),
            [[], ["1", "2", "x"]],
            "[1][2]",
        ),
        (
            lambda data: decode_map(data, lambda row: decode_list(row, decode_digits)),
            {"data": ["x"]},
            "data[0]",
        ),
        (
            lambda data: decode_map(
                data, lambda rows: decode_list(rows, lambda row: decode_map(row, decode_date))
            ),
            {"data": [{}, {}, {}, {"day": "yesterday"}]},
            "data[3].day",
        ),
        (
            lambda data: decode_map(data, lambda row: decode_map(row, decode_digits)),
            {"metadata": {"k": "x"}},
            "metadata.k",
        ),
    ],
)
def test_errors_of_answers_have_the_path(decode: Any, value: Any, path: str) -> None:
    """In the path of a decode error, keys are joined by dots and indexes are in brackets."""
    assert path_of(decode, value) == path


@pytest.mark.parametrize(
    ("value", "argument"),
    [
        ({1}, ""),
        ([0, {1}], "[1]"),
        ({"a": 0, "b": {1}}, "b"),
        ([[], [0, 0, {1}]], "[1][2]"),
        ({"data": [{}, {}, {}, {"day": {1}}]}, "data[3].day"),
        ({"metadata": {"k": {1}}}, "metadata.k"),
        ({"metadata": {1: 2}}, "metadata"),
    ],
)
def test_errors_of_arguments_have_the_path(value: Any, argument: str) -> None:
    """The path of an argument error leads to the faulty value inside the argument."""
    assert path_of(encode_json, value) == argument


def test_a_missing_field_is_named() -> None:
    """The error names the missing field and hides the KeyError behind it."""
    with pytest.raises(DecodeError) as caught:
        missing("totalCredits")
    assert str(caught.value) == "totalCredits: required field is missing"
    assert caught.value.__suppress_context__


def test_errors_have_the_path_and_the_problem() -> None:
    """An argument error reads as a sentence; a decode error has a colon after the path."""
    argument = ArgumentValueError("must be at least 1, got 0").under("refill")
    answer = DecodeError("expected an object, got null").under(0).under("data")
    assert str(argument) == "refill must be at least 1, got 0"
    assert str(answer) == "data[0]: expected an object, got null"
    assert answer.problem == "expected an object, got null"


def test_errors_without_a_path_are_about_the_whole_value() -> None:
    """Until `under` is called, an error is about the argument or the answer as a whole."""
    assert str(ArgumentValueError("must be positive")) == "argument must be positive"
    assert str(DecodeError("expected null")) == "the answer: expected null"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        (math.nan, "nan"),
        (12, "12"),
        (10**20 - 1, "99999999999999999999"),
        (10**20, "an integer of more than 20 digits"),
        (-(10**20), "an integer of more than 20 digits"),
        ("ok_live_4f1e9d", "a value of type str"),
        (b"ok_live_4f1e9d", "a value of type bytes"),
        (["ok_live_4f1e9d"], "a value of type list"),
        ({"ok_live_4f1e9d": 1}, "a value of type dict"),
    ],
)
def test_argument_errors_show_only_what_cannot_be_a_secret(value: Any, shown: str) -> None:
    """Argument errors show short numbers, booleans and None, and only the type of other values."""
    with pytest.raises(
        ArgumentTypeError, match=f"must be of type CustomerBillingMeter, got {shown}$"
    ):
        encode_model(value, CustomerBillingMeter)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        (12, "12"),
        (10**20, "an integer of more than 20 digits"),
        ("ok_live_4f1e9d", "a string"),
        (["ok_live_4f1e9d"], "an array"),
        ({"ok_live_4f1e9d": 1}, "an object"),
        (b"ok_live_4f1e9d", "a value of type bytes"),
    ],
)
def test_decode_errors_name_values_in_the_words_of_json(value: Any, shown: str) -> None:
    """Decode errors do not show strings, arrays and objects, which may contain secrets."""
    with pytest.raises(DecodeError, match=f"^the answer: expected null, got {shown}$"):
        raise mismatch("null", value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "''"),
        ("ddd", "'ddd'"),
        ("it's", '"it\'s"'),
        ("\u0661\u0662", "'\u0661\u0662'"),
        ("x" * 40, f"'{'x' * 40}'"),
        ("x" * 41, "a string of 41 characters"),
        ("1\n", "a string of 2 characters"),
        ("\x00", "a string of 1 character"),
        ("\ud800", "a string of 1 character"),
        ("\u202e12", "a string of 3 characters"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("decode", [decode_digits, decode_date, decode_timestamp])
def test_a_string_in_place_of_digits_or_a_time_is_shown_whole_or_not_at_all(
    decode: Callable[[Any], Any], text: str, shown: str
) -> None:
    """A wrong string is shown whole if it fits on one line, and otherwise only its length.

    If only a part of a secret were shown, it would not be recognised and redacted.
    """
    with pytest.raises(DecodeError) as caught:
        decode(text)
    assert str(caught.value).endswith(f", got {shown}")


# Argument errors


def test_nothing_was_sent_when_an_argument_is_refused() -> None:
    """An argument error is NOT_SENT from the start; the call adds the name of the operation."""
    error = ArgumentError("is bad")
    assert (error.outcome, error.operation, error.argument) == (Outcome.NOT_SENT, None, "")


@pytest.mark.parametrize(
    ("error", "builtin"), [(ArgumentTypeError, TypeError), (ArgumentValueError, ValueError)]
)
def test_argument_errors_are_the_builtin_ones_too(
    error: type[ArgumentError], builtin: type[Exception]
) -> None:
    """Code that expects Python's own error for a bad argument catches ours."""
    assert issubclass(error, builtin)
    assert issubclass(error, ArgumentError)
    assert issubclass(error, OneloopError)


@pytest.mark.parametrize(
    "error", [OneloopError, ArgumentError, ArgumentTypeError, ArgumentValueError]
)
def test_errors_are_found_where_tracebacks_say(error: type[OneloopError]) -> None:
    """The module in a traceback is the one that applications import the error from."""
    assert error.__module__ == "oneloop"
    assert getattr(oneloop, error.__name__) is error


@duplicated
@pytest.mark.parametrize("error", [ArgumentError, ArgumentTypeError, ArgumentValueError])
def test_argument_errors_survive_copies(
    error: type[ArgumentError], duplicate: Callable[[Any], Any]
) -> None:
    """A copy, even one in another process, has the same text and attributes."""
    original = error("must be at least 1, got 0").under(0).under("scopes")
    original.operation = "refill_billing_limit"
    again = duplicate(original)
    assert type(again) is error
    assert again is not original
    assert vars(again) == vars(original)
    assert again.args == original.args
    assert str(again) == "scopes[0] must be at least 1, got 0"
    assert again.outcome is Outcome.NOT_SENT


@duplicated
def test_decode_errors_survive_copies(duplicate: Callable[[Any], Any]) -> None:
    """A copy, even one in another process, has the same text and attributes."""
    again = duplicate(DecodeError("expected a date").under("day").under(3).under("data"))
    assert str(again) == "data[3].day: expected a date"
    assert again.path == "data[3].day"


@duplicated
def test_errors_with_constructors_of_their_own_survive_copies(
    duplicate: Callable[[Any], Any],
) -> None:
    """A copy has the state of the original; the constructor is not called again."""
    again = duplicate(TwoPartError(1, hint="b"))
    assert type(again) is TwoPartError
    assert (again.args, again.hint) == ((1,), "b")


def test_a_copied_error_is_independent() -> None:
    """Extending the path of a copy does not change the original."""
    original = ArgumentValueError("is bad").under("a")
    assert str(copy.copy(original).under("b")) == "b.a is bad"
    assert str(original) == "a is bad"


class TwoPartError(OneloopError):
    """An error whose constructor cannot be called with its args."""

    def __init__(self, part: int, *, hint: str) -> None:
        """Keep one part outside of args."""
        super().__init__(part)
        self.hint = hint
