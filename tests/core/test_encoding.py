"""Parameters in every style of OpenAPI are read back, by decoders that follow RFC 6570."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneloop_core import (
    ArgumentValueError,
    Secret,
    encode_cookie,
    encode_form,
    encode_header,
    encode_path,
    encode_query,
)

TEXTS = st.text()
"""Any characters that UTF-8 has: separators, controls, other scripts and the empty text."""
FILLED = st.text(min_size=1)
COLORS = ["blue", "black", "brown"]
RGB = {"R": 100, "G": 200, "B": 150}
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)).filter(
    lambda text: text == text.strip() and "," not in text
)


def plain(text: str) -> str:
    """Undo percent-encoding."""
    return unquote(text, errors="strict")


def pairs_of(query: str, separator: str = "&") -> list[tuple[str, str]]:
    """Split a query or cookies into names and values that are still encoded."""
    return [(one.split("=", 1)[0], one.split("=", 1)[1]) for one in query.split(separator) if one]


def read_pairs(query: str) -> list[tuple[str, str]]:
    """Split a query into names and values."""
    return [(plain(name), plain(value)) for name, value in pairs_of(query)]


def read_joined(query: str, separator: str) -> dict[str, list[str]]:
    """Read a query whose values are lists with separators, which are not percent-encoded twice."""
    return {plain(k): [plain(one) for one in v.split(separator)] for k, v in pairs_of(query)}


def read_deep(query: str) -> Any:
    """Read `deepObject`: each name is a path with brackets."""
    found: Any = {}
    for name, value in read_pairs(query):
        head, *keys = name.replace("]", "").split("[")
        place = found
        for key in [head, *keys][:-1]:
            place = place.setdefault(key, {})
        place[[head, *keys][-1]] = value
    return found


def in_turn(items: list[str]) -> dict[str, str]:
    """Make an object of keys and values in turn."""
    return dict(zip(items[::2], items[1::2], strict=True))


def assigned(items: list[str]) -> dict[str, str]:
    """Make an object of `key=value`."""
    return {plain(one.split("=", 1)[0]): plain(one.split("=", 1)[1]) for one in items}


# The examples of OpenAPI 3.0.4, in its table "Style Examples"


@pytest.mark.parametrize(
    ("style", "explode", "value", "query"),
    [
        ("form", False, "", "color="),
        ("form", False, "blue", "color=blue"),
        ("form", False, COLORS, "color=blue,black,brown"),
        ("form", False, RGB, "color=R,100,G,200,B,150"),
        ("form", True, "", "color="),
        ("form", True, "blue", "color=blue"),
        ("form", True, COLORS, "color=blue&color=black&color=brown"),
        ("form", True, RGB, "R=100&G=200&B=150"),
        ("form", True, {"a": [1, None, 2]}, "a=1&a=2"),
        ("spaceDelimited", False, COLORS, "color=blue%20black%20brown"),
        ("spaceDelimited", False, RGB, "color=R%20100%20G%20200%20B%20150"),
        ("spaceDelimited", True, COLORS, "color=blue&color=black&color=brown"),
        ("pipeDelimited", False, COLORS, "color=blue%7Cblack%7Cbrown"),
        ("pipeDelimited", False, RGB, "color=R%7C100%7CG%7C200%7CB%7C150"),
        ("deepObject", True, RGB, "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150"),
        (
            "deepObject",
            True,
            {"a": {"b": [1, {"c": True}]}},
            "color%5Ba%5D%5Bb%5D%5B0%5D=1&color%5Ba%5D%5Bb%5D%5B1%5D%5Bc%5D=true",
        ),
        ("deepObject", True, ["x"], "color%5B0%5D=x"),
        ("deepObject", True, "blue", "color=blue"),
        ("json", False, {"a": [1, None]}, "color=%7B%22a%22%3A%5B1%2Cnull%5D%7D"),
        ("json", False, None, "color=null"),
    ],
)
def test_queries_are_as_openapi_shows_them(
    style: str, explode: bool, value: Any, query: str
) -> None:
    """Separators are literal where a URL may contain them, and encoded where it may not."""
    assert encode_form("color", value, style, explode=explode) == query


@pytest.mark.parametrize("style", ["form", "spaceDelimited", "pipeDelimited", "deepObject"])
@pytest.mark.parametrize("explode", [False, True])
@pytest.mark.parametrize("value", [[], {}, [None], {"a": None}], ids=repr)
def test_nothing_is_sent_for_nothing(style: str, explode: bool, value: Any) -> None:
    """Empty lists and objects are left out, and so is null inside them (RFC 6570)."""
    text = encode_form("color", value, style, explode=explode)
    assert (text, encode_query([text, ("a", None)])) == ("", "")


@pytest.mark.parametrize(
    ("style", "explode", "value", "path"),
    [
        ("simple", False, "blue", "blue"),
        ("simple", False, COLORS, "blue,black,brown"),
        ("simple", False, RGB, "R,100,G,200,B,150"),
        ("simple", True, COLORS, "blue,black,brown"),
        ("simple", True, RGB, "R=100,G=200,B=150"),
        ("label", False, "blue", ".blue"),
        ("label", False, COLORS, ".blue,black,brown"),
        ("label", False, RGB, ".R,100,G,200,B,150"),
        ("label", True, "a.b", ".a%2Eb"),
        ("label", True, COLORS, ".blue.black.brown"),
        ("label", True, RGB, ".R=100.G=200.B=150"),
        ("matrix", False, "", ";color"),
        ("matrix", False, "blue", ";color=blue"),
        ("matrix", False, COLORS, ";color=blue,black,brown"),
        ("matrix", False, RGB, ";color=R,100,G,200,B,150"),
        ("matrix", True, COLORS, ";color=blue;color=black;color=brown"),
        ("matrix", True, RGB, ";R=100;G=200;B=150"),
        ("json", False, {"a": "/"}, "%7B%22a%22%3A%22%2F%22%7D"),
        ("simple", False, [["a"], True], "%5B%22a%22%5D,true"),
    ],
)
def test_paths_are_as_openapi_shows_them(style: str, explode: bool, value: Any, path: str) -> None:
    """Each style begins and separates its items in its own way."""
    assert encode_path("color", value, style, explode=explode) == path


@pytest.mark.parametrize("style", ["simple", "label", "matrix"])
@pytest.mark.parametrize("explode", [False, True])
@pytest.mark.parametrize("value", [[], {}, [None], None], ids=repr)
def test_a_path_is_not_empty(style: str, explode: bool, value: Any) -> None:
    """Without a value the path would be that of another operation."""
    with pytest.raises(ArgumentValueError, match="must not be empty"):
        encode_path("color", value, style, explode=explode)


@pytest.mark.parametrize(
    ("style", "explode", "value"),
    [
        ("simple", False, ["."]),
        ("simple", False, [".."]),
        ("label", False, ""),
        ("label", False, "."),
        ("label", True, [""]),
        ("label", True, ["."]),
        ("label", True, ["", ""]),
    ],
)
def test_a_path_is_no_dot_segment(style: str, explode: bool, value: Any) -> None:
    """Servers resolve dot segments to another path, also if the dots are percent-encoded."""
    with pytest.raises(ArgumentValueError, match="must not be a dot segment"):
        encode_path("color", value, style, explode=explode)


# Whatever is in them, values are read back


@given(FILLED, st.lists(TEXTS, min_size=1))
def test_lists_in_queries_come_back(name: str, items: list[str]) -> None:
    """Repeated or separated by commas, lists are read back as they were."""
    assert read_pairs(encode_form(name, items)) == [(name, one) for one in items]
    assert read_joined(encode_form(name, items, explode=False), ",") == {name: items}


@pytest.mark.parametrize(("style", "separator"), [("spaceDelimited", " "), ("pipeDelimited", "|")])
def test_other_separators_come_back_or_are_refused(style: str, separator: str) -> None:
    """An item with the separator would be read as two, so it is refused with its reason."""

    @given(FILLED, st.lists(TEXTS, min_size=1))
    def check(name: str, items: list[str]) -> None:
        if any(separator in one for one in items):
            with pytest.raises(ArgumentValueError, match="which separates items") as caught:
                encode_form(name, items, style, explode=False)
            assert repr(separator) in caught.value.problem
            return
        [(key, value)] = read_pairs(encode_form(name, items, style, explode=False))
        assert (key, value.split(separator)) == (name, items)

    check()
    with pytest.raises(ArgumentValueError, match="which separates items"):
        encode_form("a", [f"a{separator}b"], style, explode=False)


@given(st.dictionaries(FILLED, TEXTS, min_size=1))
def test_objects_in_queries_come_back(value: dict[str, str]) -> None:
    """Objects are read back as they were, as fields of their own or in turn."""
    assert dict(read_pairs(encode_form("f", value))) == value
    assert in_turn(read_joined(encode_form("f", value, explode=False), ",")["f"]) == value
    assert json.loads(read_pairs(encode_form("f", value, "json"))[0][1]) == value


NAMES = st.text(st.characters(exclude_characters="[]", exclude_categories=["Cs"]), min_size=1)


LEVEL = st.dictionaries(NAMES, TEXTS, min_size=1, max_size=2)
DEEP = st.dictionaries(NAMES, TEXTS | LEVEL, min_size=1, max_size=3)


@given(NAMES, DEEP)
def test_deep_objects_come_back(name: str, value: dict[str, Any]) -> None:
    """Objects in objects are read back."""
    assert read_deep(encode_form(name, value, "deepObject")) == {name: value}


@given(FILLED, TEXTS)
def test_reserved_characters_stay_within_their_parameter(name: str, text: str) -> None:
    """With `allowReserved`, a value is still one value: it begins no fragment and no parameter."""
    query = encode_form(name, text, reserved=True)
    url = urlsplit(f"https://api.test/x?{query}&end=1")
    assert read_pairs(url.query) == [(name, text), ("end", "1")]
    assert not url.fragment
    joined = encode_form(name, [text, ","], explode=False, reserved=True)
    assert read_joined(joined, ",") == {name: [text, ","]}


def test_reserved_characters_are_sent_as_they_are() -> None:
    """That is what `allowReserved` is for."""
    assert encode_form("to", "https://a.b/c?d=e:f,g", reserved=True) == "to=https://a.b/c?d=e:f,g"


@given(st.lists(TEXTS, min_size=1).filter(lambda items: "".join(items).strip(".")))
def test_lists_in_paths_come_back(items: list[str]) -> None:
    """Lists are read back in every style, and never leave their segment."""
    matrix = encode_path("a", items, "matrix", explode=True)
    assert [plain(one.partition("=")[2]) for one in matrix.split(";")[1:]] == items
    label = encode_path("a", items, "label", explode=True)
    assert [plain(one) for one in label.split(".")[1:]] == items
    simple = encode_path("a", items)
    assert [plain(one) for one in simple.split(",")] == items
    for path in (matrix, label, simple):
        assert not set(path) & set("/?#")
        assert path.isascii()


@given(st.dictionaries(FILLED, FILLED, min_size=1))
def test_objects_in_paths_come_back(value: dict[str, str]) -> None:
    """Objects are read back in every style."""
    assert assigned(encode_path("a", value, "matrix", explode=True).split(";")[1:]) == value
    assert assigned(encode_path("a", value, "label", explode=True).split(".")[1:]) == value
    assert assigned(encode_path("a", value, explode=True).split(",")) == value
    flat = encode_path("a", value, "matrix").removeprefix(";a=").split(",")
    assert in_turn([plain(one) for one in flat]) == value


# Headers


@given(st.lists(PRINTABLE, min_size=1))
def test_lists_in_headers_come_back(items: list[str]) -> None:
    """Lists are separated by commas, and nothing is percent-encoded."""
    assert encode_header(items).split(",") == items


@given(st.dictionaries(PRINTABLE.filter(lambda key: "=" not in key), PRINTABLE, min_size=1))
def test_objects_in_headers_come_back(value: dict[str, str]) -> None:
    """Objects are keys and values in turn, or `key=value`."""
    assert in_turn(encode_header(value).split(",")) == value
    items = [one.split("=", 1) for one in encode_header(value, explode=True).split(",")]
    assert dict(items) == value


@given(
    st.recursive(
        TEXTS | st.none() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
        max_leaves=5,
    )
)
def test_json_in_headers_is_ascii(value: Any) -> None:
    """JSON escapes what a header cannot have."""
    text = encode_header(value, "json")
    assert json.loads(text) == value
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (["a,b"], "must not contain ',', which separates items"),
        ({"a,": "b"}, "must not contain ',', which separates items"),
        ({"a=b": "c"}, "must not contain '=' in a key"),
        (["a\r\nX-Evil: 1"], "must be printable ASCII without a space at either end"),
        (["a", " b"], "must be printable ASCII without a space at either end"),
    ],
    ids=repr,
)
def test_what_a_header_would_garble_is_refused(value: Any, problem: str) -> None:
    """Nothing is encoded in a header, so separators and line breaks are refused."""
    with pytest.raises(ArgumentValueError) as caught:
        encode_header(value, explode=True)
    assert caught.value.problem == problem


def test_an_empty_list_is_an_empty_header() -> None:
    """HTTP reads an empty header as an empty list."""
    assert encode_header([]) == ""


# Cookies


@given(FILLED, TEXTS)
def test_cookies_come_back(name: str, text: str) -> None:
    """Names and values are one cookie each, whatever they contain."""
    [(key, value)] = encode_cookie(name, text)
    assert isinstance(value, str)
    assert not set(key + value) & set(' ,;"\\\r\n')
    assert f"{key}{value}".isascii()
    assert (plain(key), plain(value)) == (name, text)


@pytest.mark.parametrize(
    ("value", "style", "explode", "cookies"),
    [
        ("abc+/=:", "form", True, [("c", "abc+/=:")]),
        ("50%", "form", True, [("c", "50%25")]),
        (True, "form", True, [("c", "true")]),
        ([1, "a,b"], "form", False, [("c", "1,a%2Cb")]),
        ([1, 2], "form", True, [("c", "1"), ("c", "2")]),
        (RGB, "form", False, [("c", "R,100,G,200,B,150")]),
        (RGB, "form", True, [("R", "100"), ("G", "200"), ("B", "150")]),
        ({"a": 1}, "json", True, [("c", "{%22a%22:1}")]),
        ([], "form", False, []),
        ([], "form", True, []),
    ],
)
def test_cookies_are_encoded_where_they_must_be(
    value: Any, style: str, explode: bool, cookies: list[tuple[str, str]]
) -> None:
    """Characters that a cookie may have stay, as some servers do not decode cookies."""
    assert encode_cookie("c", value, style, explode=explode) == cookies


def test_a_secret_cookie_stays_wrapped() -> None:
    """It is revealed only where the request is made."""
    [(name, value)] = encode_cookie("sid", Secret("a b"))
    assert isinstance(value, Secret)
    assert (name, value.reveal()) == ("sid", "a%20b")


def test_a_secret_text_is_part_of_a_query() -> None:
    """A query is where secrets in it become text."""
    assert encode_query([Secret("keys=a,b"), ("a", Secret("c d"))]) == "?keys=a,b&a=c%20d"


# Time


@pytest.mark.parametrize(
    "encode",
    [
        lambda items: encode_form("a", items, explode=False),
        lambda items: encode_form("a", items, "pipeDelimited", explode=False),
        lambda items: encode_form("a", {"x": items}, "deepObject"),
        lambda items: encode_path("a", items, "label", explode=True),
        lambda items: encode_header(items),
        lambda items: encode_cookie("a", items, explode=False),
    ],
)
def test_time_grows_with_the_size_only(encode: Callable[[list[str]], Any]) -> None:
    """Ten times as many items take about ten times as long."""

    def seconds(count: int) -> float:
        started = time.process_time()
        encode(["value"] * count)
        return time.process_time() - started

    few = min(seconds(2_000) for _ in range(3))
    many = min(seconds(20_000) for _ in range(3))
    assert many < 30 * max(few, 0.001)
