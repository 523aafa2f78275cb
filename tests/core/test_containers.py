"""Lists, maps, objects, unions and any JSON, and the errors that say where in them a fault is."""

import copy
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oneloop
from oneloop_api.models import CustomerBillingMeter, ErrorResponse, ErrorResponseError
from oneloop_core import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    OneloopError,
    Outcome,
    decode_boolean,
    decode_list,
    decode_map,
    decode_object,
    decode_string,
    decode_union,
    encode_boolean,
    encode_integer,
    encode_json,
    encode_list,
    encode_map,
    encode_model,
    encode_string,
    encode_union,
    mismatch,
    missing,
)
from oneloop_overrides import decode_date, decode_digits, decode_timestamp, encode_digits

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NO_OBJECTS = [None, True, 1, "object", b"{}", [("a", 1)], {1}]
NO_ARRAYS = [None, True, 1, "array", b"[]", {"0": 1}, {1}]
DUPLICATES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda error: pickle.loads(pickle.dumps(error)),
]
duplicated = pytest.mark.parametrize("duplicate", DUPLICATES, ids=["copy", "deepcopy", "pickle"])


def path_of(function: Callable[..., object], *args: Any) -> str:
    """Return where the error of a call says that the fault is."""
    with pytest.raises((ArgumentError, DecodeError)) as caught:
        function(*args)
    error = caught.value
    return error.path if isinstance(error, DecodeError) else error.argument


# Objects, lists and maps


def test_an_object_is_read_as_a_copy() -> None:
    """Fields can be taken out without a change to what was parsed."""
    parsed = {"a": 1}
    assert decode_object(parsed) == parsed
    assert decode_object(parsed) is not parsed


@pytest.mark.parametrize("value", NO_OBJECTS, ids=repr)
def test_nothing_else_is_an_object(value: Any) -> None:
    """null, arrays and strings are no objects."""
    with pytest.raises(DecodeError, match="expected an object, got "):
        decode_object(value)
    with pytest.raises(DecodeError, match="expected an object, got "):
        decode_map(value, decode_string)


@pytest.mark.parametrize("value", [*NO_ARRAYS, (1, 2)], ids=repr)
def test_nothing_else_is_read_as_a_list(value: Any) -> None:
    """A string is not read as a list of characters, nor an object as a list of keys."""
    with pytest.raises(DecodeError, match="expected an array, got "):
        decode_list(value, decode_string)


@pytest.mark.parametrize("value", [*NO_ARRAYS, iter([1])], ids=repr)
def test_nothing_else_is_written_as_a_list(value: Any) -> None:
    """A set has no order, a string is no list of characters, an iterator is used up."""
    with pytest.raises(ArgumentTypeError, match="must be a list, got "):
        encode_list(value, encode_json)


@pytest.mark.parametrize("value", NO_OBJECTS, ids=repr)
def test_nothing_else_is_written_as_a_map(value: Any) -> None:
    """Pairs are not taken for a dict."""
    with pytest.raises(ArgumentTypeError, match="must be a dict, got "):
        encode_map(value, encode_json)


def test_lists_are_converted_item_by_item() -> None:
    """Each item is read and written as its type, in order."""
    assert decode_list(["1", "20"], decode_digits) == [1, 20]
    assert encode_list([1, 20], encode_digits) == ["1", "20"]
    assert encode_list((1, 20), encode_digits) == ["1", "20"]
    assert decode_list([], decode_digits) == encode_list((), encode_digits) == []


def test_maps_are_converted_value_by_value() -> None:
    """Each value is read and written as its type, in order, under its own key."""
    assert list(decode_map({"b": "1", "a": "20"}, decode_digits).items()) == [("b", 1), ("a", 20)]
    assert list(encode_map({"b": 1, "a": 20}, encode_digits).items()) == [("b", "1"), ("a", "20")]


def test_what_is_converted_is_new() -> None:
    """An application's own list or dict is neither changed nor sent itself."""
    items, values = ["a"], {"a": "b"}
    assert encode_list(items, encode_string) is not items
    assert encode_map(values, encode_string) is not values


@pytest.mark.parametrize("key", [1, None, True, b"a", ("a",)])
def test_keys_must_be_strings(key: Any) -> None:
    """json.dumps would turn 1, None and True into strings; here they are refused."""
    with pytest.raises(ArgumentTypeError, match="must have strings as keys, got "):
        encode_map({"good": 1, key: 2}, encode_integer)


def test_keys_must_have_utf8() -> None:
    """A lone surrogate in a key is an argument error, as in a value."""
    with pytest.raises(ArgumentValueError, match="must be valid Unicode"):
        encode_map({"\ud800": 1}, encode_integer)


# Unions and models


@pytest.mark.parametrize(("value", "expected"), [("12", 12), ("twelve", "twelve"), (True, True)])
def test_a_union_is_read_as_the_first_type_that_fits(value: Any, expected: object) -> None:
    """Types are tried in the document's order."""
    read = decode_union(value, decode_digits, decode_string, decode_boolean)
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(("value", "expected"), [(12, "12"), ("12", "12"), (True, True)])
def test_a_union_is_written_as_the_first_type_that_takes_it(value: Any, expected: object) -> None:
    """Types are tried in the document's order."""
    assert encode_union(value, encode_digits, encode_string, encode_boolean) == expected


def test_a_value_of_no_type_of_a_union_is_refused() -> None:
    """Where nothing fits the error says how many types were tried."""
    with pytest.raises(DecodeError, match="expected one of 2 known types, got null"):
        decode_union(None, decode_digits, decode_string)
    with pytest.raises(ArgumentTypeError, match="must be of one of 2 known types, got None"):
        encode_union(None, encode_digits, encode_string)


def test_a_union_leaves_faults_in_code_alone() -> None:
    """Only errors about the value move on to the next type."""
    with pytest.raises(ZeroDivisionError):
        decode_union(0, lambda value: 1 // value, decode_string)
    with pytest.raises(ZeroDivisionError):
        encode_union(0, lambda value: 1 // value, encode_string)


def test_a_model_is_written_with_its_own_method() -> None:
    """An instance of the right model becomes its JSON."""
    error = ErrorResponseError(code=404, message="no such meter")
    assert encode_model(error, ErrorResponseError) == {"code": 404, "message": "no such meter"}


@pytest.mark.parametrize(
    "value", [None, {"code": 404, "message": ""}, ErrorResponse, "x"], ids=repr
)
def test_nothing_else_is_a_model(value: Any) -> None:
    """A dict, another model or the class itself is refused by the model's name."""
    with pytest.raises(ArgumentTypeError, match="must be of type ErrorResponseError, got "):
        encode_model(value, ErrorResponseError)


def test_a_model_inside_a_model_must_be_one() -> None:
    """A field that holds no model is named when it is written."""
    no_model: Any = {"code": 1, "message": "no such meter"}
    assert path_of(ErrorResponse(error=no_model).to_dict) == "error"


# Any JSON


@given(JSON)
def test_json_is_sent_as_it_is(value: Any) -> None:
    """Whatever JSON can say goes through unchanged."""
    assert encode_json(value) == value
    assert json.dumps(encode_json(value)) == json.dumps(value)


def test_tuples_are_sent_as_arrays() -> None:
    """A tuple is a list to JSON."""
    assert encode_json({"a": (1, (2,))}) == {"a": [1, [2]]}


@pytest.mark.parametrize(
    "value", [{1}, b"x", object(), 1j, range(2), iter([])], ids=lambda value: type(value).__name__
)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    """Sets, bytes and objects are of the wrong type, at any depth."""
    for where in (value, [value], {"a": value}):
        with pytest.raises(ArgumentTypeError, match="must be a JSON value, got "):
            encode_json(where)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, "\ud800", ["\udfff"], {"\ud800": 1}, {"a": [-math.inf]}],
    ids=ascii,
)
def test_what_json_may_not_say_is_refused(value: Any) -> None:
    """NaN, infinities and lone surrogates are no JSON values, at any depth."""
    with pytest.raises(ArgumentValueError):
        encode_json(value)


def test_an_integer_beyond_every_float_is_json() -> None:
    """What json.loads reads, however large, can be sent back."""
    assert encode_json([10**400]) == [10**400]


@given(JSON.map(lambda value: {"": value}) | st.sets(st.text()) | st.binary() | st.text() | JSON)
def test_what_is_accepted_can_be_written(value: Any) -> None:
    """A value is either an argument error or fit for UTF-8 JSON."""
    try:
        accepted = encode_json(value)
    except ArgumentError:
        assert isinstance(value, set | bytes)
    else:
        json.dumps(accepted, ensure_ascii=False, allow_nan=False).encode()


# Where the fault is


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
    """Keys are joined with dots, indexes stand in brackets."""
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
    """An argument's name continues into what it holds."""
    assert path_of(encode_json, value) == argument


def test_a_missing_field_is_named() -> None:
    """The error is about the field that is not there, not about the KeyError that showed it."""
    with pytest.raises(DecodeError) as caught:
        missing("totalCredits")
    assert str(caught.value) == "totalCredits: required field is missing"
    assert caught.value.__suppress_context__


def test_errors_say_where_what_and_what_came() -> None:
    """An argument error is a sentence; the error of an answer names the path, then the problem."""
    argument = ArgumentValueError("must be at least 1, got 0").under("refill")
    answer = DecodeError("expected an object, got null").under(0).under("data")
    assert str(argument) == "refill must be at least 1, got 0"
    assert str(answer) == "data[0]: expected an object, got null"
    assert answer.problem == "expected an object, got null"


def test_errors_without_a_path_name_the_whole() -> None:
    """As long as no name or key was added."""
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
    """They show short numbers, booleans and None, and the type of anything else."""
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
    """They do not show strings, arrays and objects, which may contain secrets."""
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
    """It is shown if it fits on one line; a part of a secret would not be redacted."""
    with pytest.raises(DecodeError) as caught:
        decode(text)
    assert str(caught.value).endswith(f", got {shown}")


# Argument errors


def test_nothing_was_sent_when_an_argument_is_refused() -> None:
    """The outcome is known, and no operation is until a call adds it."""
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
    """A copy, also in another process, says the same."""
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
    """A copy, also in another process, says the same."""
    again = duplicate(DecodeError("expected a date").under("day").under(3).under("data"))
    assert str(again) == "data[3].day: expected a date"
    assert again.path == "data[3].day"


@duplicated
def test_errors_with_constructors_of_their_own_survive_copies(
    duplicate: Callable[[Any], Any],
) -> None:
    """A subclass is copied by its state, not by calling its constructor again."""
    again = duplicate(TwoPartError(1, hint="b"))
    assert type(again) is TwoPartError
    assert (again.args, again.hint) == ((1,), "b")


def test_a_copied_error_is_on_its_own() -> None:
    """Adding to a copy's path leaves the original as it is."""
    original = ArgumentValueError("is bad").under("a")
    assert str(copy.copy(original).under("b")) == "b.a is bad"
    assert str(original) == "a is bad"


class TwoPartError(OneloopError):
    """An error whose constructor cannot be called with its args."""

    def __init__(self, part: int, *, hint: str) -> None:
        """Keep one part outside of args."""
        super().__init__(part)
        self.hint = hint


def test_any_json_has_an_end() -> None:
    """What contains itself would be written for ever; a hundred levels are enough for anybody."""
    endless: dict[str, Any] = {}
    endless["a"] = [endless]
    with pytest.raises(ArgumentValueError, match=r"must not be nested deeper than 100 levels$"):
        encode_json(endless)
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert encode_json(deep) == deep
