"""Codecs for lists, maps, objects, unions and any JSON."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneloop_api.models import ErrorResponse, ErrorResponseError
from oneloop_core import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    decode_list,
    decode_map,
    decode_object,
    decode_string,
    encode_boolean,
    encode_integer,
    encode_json,
    encode_list,
    encode_map,
    encode_model,
    encode_string,
    encode_union,
)
from oneloop_overrides import decode_digits, encode_digits

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


# Objects, lists and maps


def test_an_object_is_read_as_a_copy() -> None:
    """Taking fields out of it does not change the parsed JSON."""
    parsed = {"a": 1}
    assert decode_object(parsed) == parsed
    assert decode_object(parsed) is not parsed


@pytest.mark.parametrize("value", NO_OBJECTS, ids=repr)
def test_nothing_else_is_an_object(value: Any) -> None:
    """Neither null nor an array or a string is read as an object."""
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
    """Neither a set without an order nor a string, nor an iterator, which can be read only once."""
    with pytest.raises(ArgumentTypeError, match="must be a list, got "):
        encode_list(value, encode_json)


@pytest.mark.parametrize("value", NO_OBJECTS, ids=repr)
def test_nothing_else_is_written_as_a_map(value: Any) -> None:
    """A list of pairs is not written as a dict."""
    with pytest.raises(ArgumentTypeError, match="must be a dict, got "):
        encode_map(value, encode_json)


def test_lists_are_converted_item_by_item() -> None:
    """Each item is decoded and encoded, in order."""
    assert decode_list(["1", "20"], decode_digits) == [1, 20]
    assert encode_list([1, 20], encode_digits) == ["1", "20"]
    assert encode_list((1, 20), encode_digits) == ["1", "20"]
    assert decode_list([], decode_digits) == encode_list((), encode_digits) == []


def test_maps_are_converted_value_by_value() -> None:
    """Each value is decoded and encoded under its own key, in order."""
    assert list(decode_map({"b": "1", "a": "20"}, decode_digits).items()) == [("b", 1), ("a", 20)]
    assert list(encode_map({"b": 1, "a": 20}, encode_digits).items()) == [("b", "1"), ("a", "20")]


def test_what_is_converted_is_new() -> None:
    """An application's own list or dict is neither changed nor sent itself."""
    items, values = ["a"], {"a": "b"}
    assert encode_list(items, encode_string) is not items
    assert encode_map(values, encode_string) is not values


@pytest.mark.parametrize("key", [1, None, True, b"a", ("a",)])
def test_keys_must_be_strings(key: Any) -> None:
    """Keys that are not strings are refused, though `json.dumps` would convert 1, None and True."""
    with pytest.raises(ArgumentTypeError, match="must have strings as keys, got "):
        encode_map({"good": 1, key: 2}, encode_integer)


def test_keys_must_be_valid_unicode() -> None:
    """A lone surrogate in a key is an argument error, as in a value."""
    with pytest.raises(ArgumentValueError, match="must be valid Unicode"):
        encode_map({"\ud800": 1}, encode_integer)


# Unions and models


@pytest.mark.parametrize(("value", "expected"), [(12, "12"), ("12", "12"), (True, True)])
def test_a_union_is_written_as_the_first_type_that_takes_it(value: Any, expected: object) -> None:
    """A value is written as the first type of a union that accepts it, in the document's order."""
    assert encode_union(value, encode_digits, encode_string, encode_boolean) == expected


def test_a_value_that_fits_no_type_of_a_union_is_refused() -> None:
    """A value that fits no type is refused, and the error says how many types were tried."""
    with pytest.raises(ArgumentTypeError, match="must be of one of 2 known types, got None"):
        encode_union(None, encode_digits, encode_string)


def test_a_union_does_not_hide_other_exceptions() -> None:
    """Only errors about the value lead to the next type; other exceptions are raised."""
    with pytest.raises(ZeroDivisionError):
        encode_union(0, lambda value: 1 // value, encode_string)


def test_a_model_is_written_with_its_own_method() -> None:
    """A model is encoded as what its `to_dict` returns."""
    error = ErrorResponseError(code=404, message="no such meter")
    assert encode_model(error, ErrorResponseError) == {"code": 404, "message": "no such meter"}


@pytest.mark.parametrize(
    "value", [None, {"code": 404, "message": ""}, ErrorResponse, "x"], ids=repr
)
def test_nothing_else_is_a_model(value: Any) -> None:
    """A dict, another model or the class itself is refused, and the error has the model's name."""
    with pytest.raises(ArgumentTypeError, match="must be of type ErrorResponseError, got "):
        encode_model(value, ErrorResponseError)


def test_a_model_inside_a_model_must_be_one() -> None:
    """If the field for a model has another value, the error of `to_dict` names the field."""
    no_model: Any = {"code": 1, "message": "no such meter"}
    with pytest.raises(ArgumentError, match=r"^error must be of type ErrorResponseError"):
        ErrorResponse(error=no_model).to_dict()


# Any JSON


@given(JSON)
def test_json_is_sent_as_it_is(value: Any) -> None:
    """Any value that JSON can express stays unchanged."""
    assert encode_json(value) == value
    assert json.dumps(encode_json(value)) == json.dumps(value)


def test_tuples_are_sent_as_arrays() -> None:
    """Tuples, which JSON does not have, are sent as arrays at any depth."""
    assert encode_json({"a": (1, (2,))}) == {"a": [1, [2]]}


@pytest.mark.parametrize(
    "value", [{1}, b"x", object(), 1j, {}.keys(), iter([])], ids=lambda value: type(value).__name__
)
def test_values_that_json_cannot_express_are_refused(value: Any) -> None:
    """Sets, bytes and other objects are refused at any depth."""
    for where in (value, [value], {"a": value}):
        with pytest.raises(ArgumentTypeError, match="must be a JSON value, got "):
            encode_json(where)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, "\ud800", ["\udfff"], {"\ud800": 1}, {"a": [-math.inf]}],
    ids=ascii,
)
def test_values_that_json_forbids_are_refused(value: Any) -> None:
    """NaN, infinities and lone surrogates are refused at any depth."""
    with pytest.raises(ArgumentValueError):
        encode_json(value)


def test_an_integer_beyond_every_float_is_json() -> None:
    """What json.loads reads, however large, can be sent back."""
    assert encode_json([10**400]) == [10**400]


@given(JSON.map(lambda value: {"": value}) | st.sets(st.text()) | st.binary() | st.text() | JSON)
def test_what_is_accepted_can_be_written(value: Any) -> None:
    """Any value is either refused with an argument error or can be written as JSON in UTF-8."""
    try:
        accepted = encode_json(value)
    except ArgumentError:
        assert isinstance(value, set | bytes)
    else:
        json.dumps(accepted, ensure_ascii=False, allow_nan=False).encode()


def test_json_must_not_be_nested_too_deep() -> None:
    """At most 100 levels are allowed, so a value that contains itself is refused."""
    endless: dict[str, Any] = {}
    endless["a"] = [endless]
    with pytest.raises(ArgumentValueError, match=r"must not be nested deeper than 100 levels$"):
        encode_json(endless)
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert encode_json(deep) == deep
