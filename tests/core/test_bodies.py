"""Bodies are read back by parsers that are not ours, and files cannot break out of them."""

import json
import os
import re
import time
from email.message import Message
from email.parser import BytesParser
from typing import Any, cast
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oneloop
from oneloop_core import (
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    File,
    Secret,
    decode_file,
    encode_bytes,
    encode_file,
    encode_form_body,
    encode_multipart,
    encode_text,
)

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
NO_BYTES = "must be bytes or a File (call read() on an open file), got a value of type str"
SECRET = "ok_live_4f1e9d"
NAMES = st.text(
    st.characters(min_codepoint=0x20, exclude_characters="\x7f\\%", exclude_categories=["Cs"]),
    min_size=1,
)
FILES = st.builds(File, st.binary(), st.none() | NAMES, st.none() | st.just("image/png"))


def parts_of(body: bytes, content_type: str) -> list[Message]:
    """Parse a form with files as an e-mail, which has the same syntax."""
    message = BytesParser().parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    )
    assert not message.defects
    found: Any = message.get_payload()
    return list(found)


def name_of(part: Message, which: str = "name") -> str | None:
    """Return the name of a part or of its file, which browsers and we write as UTF-8."""
    [raw] = [value for name, value in part.raw_items() if name == "Content-Disposition"]
    text = raw.encode("ascii", "surrogateescape").decode()
    found = re.fullmatch(
        r'form-data; name="(?P<name>[^"]*)"(; filename="(?P<filename>[^"]*)")?',
        text,
    )
    assert found
    return found[which] and found[which].replace("%22", '"')


def form(body: Any, *more: Any) -> list[tuple[str, str]]:
    """Encode a form, and read it as servers do."""
    data, content_type = encode_form_body(body, FORM, *more)
    assert content_type == FORM
    return parse_qsl(
        data.decode(), keep_blank_values=True, strict_parsing=bool(data), errors="strict"
    )


# URL-encoded forms


@given(st.dictionaries(st.text(min_size=1), st.text() | st.lists(st.text())))
def test_forms_come_back(body: dict[str, Any]) -> None:
    """Names and values are read back as they were, and lists are repeated."""
    expected = [(k, one) for k, v in body.items() for one in (v if isinstance(v, list) else [v])]
    assert form(body) == expected


@pytest.mark.parametrize(
    ("body", "styles", "pairs"),
    [
        ({}, {}, []),
        ({"a": 1, "b": True, "n": None, "t": "x y"}, {}, [("a", "1"), ("b", "true"), ("t", "x y")]),
        ({"o": {"a": [1]}, "l": [{"b": 2}]}, {}, [("o", '{"a":[1]}'), ("l", '{"b":2}')]),
        ({"o": {"a": {"b": 1}}}, {"o": ("deepObject", True, False)}, [("o[a][b]", "1")]),
        ({"o": {"a": 1}}, {"o": ("form", True, False)}, [("a", "1")]),
        ({"l": ["a", "b"]}, {"l": ("pipeDelimited", False, False)}, [("l", "a|b")]),
        ({"l": ["a", "b"]}, {"l": ("form", False, False)}, [("l", "a,b")]),
        ({"o": None}, {"o": ("deepObject", True, False)}, []),
    ],
)
def test_forms_have_styles(body: Any, styles: Any, pairs: list[tuple[str, str]]) -> None:
    """Without a style, objects are JSON, as OpenAPI says; null is not sent."""
    assert form(body, styles) == pairs


def test_reserved_characters_of_a_form() -> None:
    """`allowReserved` is for fields of forms, too."""
    assert encode_form_body({"to": "a/b"}, FORM, {"to": ("form", True, True)})[0] == b"to=a/b"


@pytest.mark.parametrize("encode", [encode_form_body, encode_multipart])
@pytest.mark.parametrize("body", [None, [], "a", 1], ids=repr)
def test_a_form_is_an_object(encode: Any, body: Any) -> None:
    """Whatever else a body of any type may be, a form has names."""
    with pytest.raises(ArgumentTypeError, match="must be a dict"):
        encode(body, FORM)


def test_errors_name_the_field() -> None:
    """The path of an error begins with the name of the field."""
    with pytest.raises(ArgumentValueError) as caught:
        encode_form_body({"l": ["a|b"]}, FORM, {"l": ("pipeDelimited", False, False)})
    assert str(caught.value) == "l must not contain '|', which separates items"
    with pytest.raises(ArgumentValueError) as caught:
        encode_multipart({"a\n": "b"}, MULTIPART)
    assert caught.value.argument == "a?"


def test_secrets_in_forms_are_not_shown() -> None:
    """Neither the error nor the frames that it passes show a secret."""
    with pytest.raises(ArgumentValueError) as caught:
        encode_form_body(
            {"l": Secret([f"{SECRET}|"])}, FORM, {"l": ("pipeDelimited", False, False)}
        )
    place = caught.value.__traceback__
    while place:
        own = place.tb_frame.f_globals["__name__"].startswith("oneloop")
        assert not (own and SECRET in repr(place.tb_frame.f_locals))
        place = place.tb_next
    assert form(Secret({"a": SECRET})) == form({"a": Secret(SECRET)}) == [("a", SECRET)]


# Forms with files


@given(st.dictionaries(NAMES, st.text() | FILES | st.lists(FILES, min_size=1), min_size=1))
def test_files_come_back(body: dict[str, Any]) -> None:
    """Names, contents and media types are read back as they were, whatever they contain."""
    parts = parts_of(*encode_multipart(body, MULTIPART))
    expected = [(k, one) for k, v in body.items() for one in (v if isinstance(v, list) else [v])]
    assert len(parts) == len(expected)
    for part, (name, value) in zip(parts, expected, strict=True):
        assert name_of(part) == name
        content = part.get_payload(decode=True)
        if isinstance(value, File):
            assert content == value.content
            assert name_of(part, "filename") == (value.filename or "upload")
            assert part.get_content_type() == (value.content_type or "application/octet-stream")
        else:
            assert content == value.encode()
            assert name_of(part, "filename") is None
            assert "content-type" not in part


def test_parts_have_the_media_types_of_the_document() -> None:
    """Objects are JSON, and what the document says counts more, except for a file's own type."""
    body = {
        "o": {"a": [Secret("b")]},
        "n": 1,
        "t": "x",
        "f": File(b"1"),
        "g": File(b"2", None, "a/b"),
        "no": None,
    }
    types = {
        "o": "application/vnd.x+json",
        "n": "application/json",
        "t": "text/csv",
        "f": "image/png",
        "g": "image/png",
    }
    parts = parts_of(*encode_multipart(body, MULTIPART, types))
    found = [(name_of(one), one["content-type"], one.get_payload(decode=True)) for one in parts]
    assert found == [
        ("o", "application/vnd.x+json", b'{"a":["b"]}'),
        ("n", "application/json", b"1"),
        ("t", "text/csv", b"x"),
        ("f", "image/png", b"1"),
        ("g", "a/b", b"2"),
    ]
    [part] = parts_of(*encode_multipart({"o": {}}, MULTIPART))
    assert part["content-type"] == "application/json"
    assert [
        one["content-type"] for one in parts_of(*encode_multipart({"l": [[1], {}]}, MULTIPART))
    ] == ["application/json"] * 2


def test_a_form_without_fields_has_an_end() -> None:
    """An empty form is still a form."""
    body, content_type = encode_multipart({}, MULTIPART)
    assert body == f"--{content_type.partition('boundary=')[2]}--\r\n".encode()


def test_secrets_are_parts() -> None:
    """A secret is revealed where bytes are made of it."""
    [part] = parts_of(*encode_multipart({"a": Secret(SECRET)}, MULTIPART))
    assert part.get_payload() == SECRET


def test_the_boundary_is_not_in_the_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """A boundary that occurs in a file is replaced by another one."""
    numbers = iter([b"\x00" * 16, b"\x01" * 16, b"\x02" * 16])
    monkeypatch.setattr(os, "urandom", lambda _: next(numbers))
    content = b"\r\n--" + b"00" * 16 + b"--\r\n" + b"01" * 16
    body, content_type = encode_multipart({"f": File(content)}, MULTIPART)
    assert content_type == f"{MULTIPART}; boundary={'02' * 16}"
    assert parts_of(body, content_type)[0].get_payload(decode=True) == content


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("text", f"argument {NO_BYTES}"),
        (File(cast("Any", "text")), f"argument {NO_BYTES}"),
        (File(b"", ""), "filename must not be empty"),
        (
            File(b"", 'a"\r\nX-Evil: 1'),
            "filename must not contain a control character or a backslash",
        ),
        (File(b"", "C:\\a.png"), "filename must not contain a control character or a backslash"),
        (File(b"", "a\x00"), "filename must not contain a control character or a backslash"),
        (File(b"", "\ud800"), "filename must be valid Unicode, without lone surrogates"),
        (File(b"", cast("Any", 1)), "filename must be a string, got 1"),
        (File(b"", None, ""), "content_type must not be empty"),
        (
            File(b"", None, "a/b\r\nX-Evil: 1"),
            "content_type must be printable ASCII without a space at either end",
        ),
    ],
    ids=repr,
)
def test_files_that_cannot_be_sent_are_refused(file: Any, problem: str) -> None:
    """A name or a media type cannot add headers, and an open file is not read for the caller."""
    with pytest.raises(ArgumentError) as caught:
        encode_file(file)
    assert str(caught.value) == problem


def test_bytes_are_a_file_without_a_name() -> None:
    """Content alone is enough; a file is passed on as it is."""
    named = oneloop.File(b"a", 'q"x.png', "image/png")
    assert encode_file(b"a") == File(b"a")
    assert encode_file(named) is named
    assert repr(named) == "File(filename='q\"x.png', content_type='image/png')"


def test_json_has_no_files() -> None:
    """A model of a form may have files in it, which only applications put there."""
    assert decode_file(b"a") == b"a"
    assert decode_file(File(b"a")) == File(b"a")
    with pytest.raises(DecodeError, match="expected a file, got a string"):
        decode_file("a")


# Other bodies


def test_text_is_utf8() -> None:
    """Text is sent with its media type; numbers and secrets are text, too."""
    assert encode_text("\u00e4", "text/plain") == (b"\xc3\xa4", "text/plain")
    assert encode_text(Secret(SECRET), "text/plain")[0] == SECRET.encode()
    assert encode_text(True, "text/plain")[0] == b"true"


def test_bytes_have_the_type_of_the_file_or_of_the_document() -> None:
    """The type of the file is more specific, so it counts more."""
    assert encode_bytes(File(b"a"), "application/pdf") == (b"a", "application/pdf")
    assert encode_bytes(File(b"a", None, "image/png"), "image/*") == (b"a", "image/png")


def test_time_grows_with_the_size_only() -> None:
    """Ten times as large a form takes about ten times as long."""

    def seconds(count: int) -> float:
        started = time.process_time()
        encode_multipart({f"f{n}": File(b"--" * 100) for n in range(count)}, MULTIPART)
        encode_form_body({f"f{n}": json.dumps("%" * 100) for n in range(count)}, FORM)
        return time.process_time() - started

    few = min(seconds(1_000) for _ in range(3))
    many = min(seconds(10_000) for _ in range(3))
    assert many < 30 * max(few, 0.001)
