"""Operations and calls show no secrets, and arguments cannot change the rest of a request."""

import copy
import json
import pickle
from collections.abc import Callable
from enum import IntEnum
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneloop_core import (
    UNSET,
    ArgumentTypeError,
    ArgumentValueError,
    Call,
    Operation,
    Response,
    Unset,
    encode_body,
    encode_header,
    encode_path_segment,
    encode_query,
)

SECRET = "ok_live_4f1e9d"
PAUSE = Operation[None](
    name="pause_key", method="POST", path="/api/v1/key/{id}/pause", safe=False, decode=None
)
TRICKY_SEGMENTS = [
    *("../../evil", "a/b", "/", "//", "/etc/passwd", "..\\..", "%2e%2e", "%2F", "%", "%%30"),
    *("a?b=c", "a#b", "a;b", "a:b", "http://evil/", "@evil", "a b", "a+b", "a&b", "{id}"),
    *("\n", "a\r\nb", "\x00", "\t", "\x7f", "...", "..a", ". ", " .", ".\n", "~", "a.b"),
    *("\u00e4", "e\u0301", "\u96ea", "\U0001f600", "\u202e", "\u2024\u2024", "\uff0e\uff0e"),
]


class Level(IntEnum):
    """A subclass of `int`, as an application may have one."""

    HIGH = 3


# Calls and responses


def test_a_call_shows_nothing_that_was_given() -> None:
    """Path, query, body and headers may contain keys, so the repr shows only the operation."""
    call = Call(PAUSE, f"/{SECRET}", body=SECRET.encode(), headers=(("X-Key", SECRET),))
    assert repr(call) == f"Call(operation={PAUSE!r})"
    assert SECRET not in repr(call)


def test_an_operation_shows_itself() -> None:
    """The repr has what logs need: the name, and the path without arguments."""
    assert "name='pause_key', method='POST', path='/api/v1/key/{id}/pause'" in repr(PAUSE)


def test_operations_and_responses_are_made_by_name() -> None:
    """Their fields are keyword-only, so they cannot be mixed up."""
    operation: Any = Operation
    response: Any = Response
    with pytest.raises(TypeError):
        operation("pause_key", "POST", "/api/v1/key/{id}/pause", False, None)
    with pytest.raises(TypeError):
        response("meter", 200, {}, 2, 0.5)


def test_a_response_shows_no_headers() -> None:
    """The repr of a response omits the headers, which may contain cookies."""
    response = Response(
        parsed="meter", status=200, headers={"set-cookie": SECRET}, attempts=2, elapsed=0.5
    )
    assert repr(response) == "Response(parsed='meter', status=200, attempts=2, elapsed=0.5)"


def test_a_call_without_body_and_headers_has_none() -> None:
    """Only the operation and the target are required."""
    call = Call(PAUSE, "/api/v1/key/1/pause")
    assert (call.target, call.body, call.headers) == ("/api/v1/key/1/pause", None, ())


def test_an_operation_cannot_be_changed() -> None:
    """Operations are immutable, as all calls of a process share them."""
    operation: Any = PAUSE
    with pytest.raises(AttributeError):
        operation.safe = True


# What was left out


def test_left_out_is_false() -> None:
    """UNSET is false, is not None, and has its name as repr."""
    assert not UNSET
    assert repr(UNSET) == "UNSET"
    assert UNSET is not None


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        *(
            lambda value, protocol=protocol: pickle.loads(pickle.dumps(value, protocol))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
def test_left_out_is_one_object(duplicate: Callable[[Unset], Unset]) -> None:
    """A copy is the same object, so `is UNSET` is always right."""
    assert duplicate(UNSET) is UNSET


# Path segments


@given(st.text(min_size=1).filter(lambda text: text not in (".", "..")))
def test_an_accepted_segment_is_one_segment(text: str) -> None:
    """Any text stays one segment of the path and can be decoded again."""
    encoded = encode_path_segment(text)
    url = urlsplit(f"https://api.example/keys/{encoded}/pause")
    assert url.path.split("/") == ["", "keys", encoded, "pause"]
    assert (url.netloc, url.query, url.fragment) == ("api.example", "", "")
    assert unquote(encoded, errors="strict") == text


@pytest.mark.parametrize("text", TRICKY_SEGMENTS, ids=ascii)
def test_a_segment_cannot_leave_its_place(text: str) -> None:
    """Slashes, queries, fragments and control characters are encoded."""
    encoded = encode_path_segment(text)
    assert unquote(encoded) == text
    assert encoded.isascii()
    assert encoded not in (".", "..")
    assert not set(encoded) & set("/\\?#;:@&=+ \r\n\t\x00{}")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("a/b", "a%2Fb"),
        ("%2e%2e", "%252e%252e"),
        ("key_1-a.b~", "key_1-a.b~"),
        (42, "42"),
        (0, "0"),
    ],
)
def test_a_segment_is_percent_encoded(value: Any, encoded: str) -> None:
    """Unreserved characters are not encoded; a percent sign is."""
    assert encode_path_segment(value) == encoded


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must not be empty"),
        (".", "must not be a dot segment"),
        ("..", "must not be a dot segment"),
        ("\ud800", "must be valid Unicode, without lone surrogates"),
    ],
    ids=ascii,
)
def test_a_segment_that_names_another_path_is_refused(text: str, problem: str) -> None:
    """An empty segment or a dot segment is refused, as it would reach another endpoint."""
    with pytest.raises(ArgumentValueError) as caught:
        encode_path_segment(text)
    assert caught.value.problem == problem


@pytest.mark.parametrize("value", [None, b"a", ["a"], {}], ids=repr)
def test_only_plain_values_are_segments(value: Any) -> None:
    """None is not sent as "None", nor a list as its repr."""
    with pytest.raises(ArgumentTypeError, match="must be a string, got "):
        encode_path_segment(value)


@pytest.mark.parametrize(("value", "segment"), [(5, "5"), (1.5, "1.5"), (True, "true")])
def test_plain_values_are_segments_as_json_has_them(value: Any, segment: str) -> None:
    """Numbers and booleans are written in paths as in queries."""
    assert encode_path_segment(value) == segment


# Queries


@pytest.mark.parametrize(
    ("parameters", "query"),
    [
        ([], ""),
        ([("a", None)], ""),
        ([("a", [])], ""),
        ([("a", [None])], ""),
        ([("a", "b")], "?a=b"),
        ([("a", "")], "?a="),
        ([("a", None), ("b", 1)], "?b=1"),
        ([("a", [1, 2]), ("b", 3)], "?a=1&a=2&b=3"),
        ([("a", ["x", None, "y"])], "?a=x&a=y"),
        ([("a", True), ("b", False), ("c", [True])], "?a=true&b=false&c=true"),
        ([("a", 0), ("b", 1.5)], "?a=0&b=1.5"),
        ([("a", "b c+d/e?f")], "?a=b%20c%2Bd%2Fe%3Ff"),
        ([("a[]", "x&y=z#")], "?a%5B%5D=x%26y%3Dz%23"),
        ([("a", "\u00e4\u96ea")], "?a=%C3%A4%E9%9B%AA"),
        ([("b", 1), ("a", 2)], "?b=1&a=2"),
    ],
)
def test_queries_are_percent_encoded(parameters: list[tuple[str, Any]], query: str) -> None:
    """None is omitted, lists repeat the parameter, booleans are as in JSON, and spaces are %20."""
    assert encode_query(parameters) == query


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_queries_come_back_as_they_were(parameters: list[tuple[str, str]]) -> None:
    """A server reads the same names and values, whatever they contain."""
    url = urlsplit("/path" + encode_query(parameters))
    assert url.path == "/path"
    assert parse_qsl(url.query, keep_blank_values=True, errors="strict") == parameters


# Headers


@pytest.mark.parametrize(
    ("value", "text"), [("b c", "b c"), (True, "true"), (False, "false"), (5, "5"), ("", "")]
)
def test_headers_are_text(value: Any, text: str) -> None:
    """Booleans in headers are written as in JSON; other values are converted with `str`."""
    assert encode_header(value) == text


@pytest.mark.parametrize(
    "text",
    [
        *("a\r\nX-Evil: 1", "a\n", "a\rb", "\x00", "a\tb", "\x7f", "\x1b[31m"),
        *("\u00e4", "\u96ea", "\u2028", "\u00a0", "\ud800", " a", "a ", " "),
    ],
    ids=ascii,
)
def test_headers_cannot_contain_more_than_text(text: str) -> None:
    """Headers must be printable ASCII without outer spaces.

    A line break would start another header, and servers disagree on the other cases.
    """
    with pytest.raises(ArgumentValueError, match="must be printable ASCII"):
        encode_header(text)


def test_a_refused_header_is_not_shown() -> None:
    """The value of a header may be a key, so the error does not show it."""
    with pytest.raises(ArgumentValueError) as caught:
        encode_header(SECRET + "\n")
    assert SECRET not in repr(caught.value) + str(caught.value)


# Bodies


def test_bodies_are_compact_utf8() -> None:
    """Bodies have no spaces, no escapes for non-ASCII characters, and keys in the given order."""
    body = {"b": [1, None, True], "a": {"\u00e4": "\u96ea\U0001f600"}}
    expected = '{"b":[1,null,true],"a":{"\u00e4":"\u96ea\U0001f600"}}'
    assert encode_body(body) == expected.encode()


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_bodies_come_back_as_they_were(body: dict[str, Any]) -> None:
    """A body is JSON of the same value."""
    assert json.loads(encode_body(body)) == body


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_bodies_never_contain_what_json_forbids(value: float) -> None:
    """NaN and the infinities are refused, as they would be written as words that are not JSON."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_body({"a": value})
