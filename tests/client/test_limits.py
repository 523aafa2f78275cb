"""Hostile responses: reading them takes a bounded amount of work and memory.

Work is counted in bytecode instructions and in bytes that zlib processes. No test measures time,
because that depends on how busy the machine is.
"""

import gzip
import json
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneloop import _decoding, _retry
from tests import stepping

LIMIT = 10 * 1024 * 1024
"""The default of `max_response_bytes`."""

MANY = LIMIT // 20
"""The number of JSON values that are allowed with this limit."""


def read(body: bytes, encoding: str = "", limit: int = LIMIT) -> Any:
    """Read a body, or return the exception that says why it cannot be read."""
    try:
        return _decoding.read_json(_decoding.plain_body(body, encoding, limit), limit)
    except (_decoding.Unreadable, _decoding.TooLarge) as error:
        return error


steps = partial(stepping.steps, within="oneloop")
"""The bytecode instructions of `oneloop` that a function takes."""


@contextmanager
def peak_of(found: list[int]) -> Iterator[None]:
    """Append the peak of the memory that the block allocates, in bytes."""
    tracemalloc.start()
    try:
        yield
        found.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


# Levels of nesting


def nested(levels: int) -> bytes:
    """Return this many nested arrays."""
    return b"[" * levels + b"]" * levels


def behind(text: bytes, value: bytes) -> bytes:
    """Return an array of a string and a value."""
    return b'["' + text + b'",' + value + b"]"


@pytest.mark.parametrize("levels", [150, 900, 100_000])
@pytest.mark.parametrize("text", [b"]" * 1000, b'\\"]' * 1000, b"\\\\", b'\\\\\\"' + b"}" * 900])
def test_a_string_of_brackets_hides_no_levels(levels: int, text: bytes) -> None:
    """Brackets in strings do not offset the brackets outside of them when levels are counted."""
    body = behind(text, nested(levels))
    assert str(read(body)) == "JSON of more than 100 levels"


def test_exactly_100_levels_are_read() -> None:
    """JSON of exactly 100 levels is read; 101 levels of arrays or objects are refused."""
    assert str(read(nested(100))) == str(json.loads(nested(100)))
    assert read(behind(b"[" * 5000, nested(99)))[0] == "[" * 5000
    assert isinstance(read(nested(101)), _decoding.Unreadable)
    assert isinstance(read(b'{"a":' * 101 + b"0" + b"}" * 101), _decoding.Unreadable)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}",\\a'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='[]{}"\\'), inner),
    max_leaves=50,
)


def levels_of(value: Any) -> int:
    """Return how many levels a value has."""
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if inner is None else 1 + max(map(levels_of, inner), default=0)


@given(JSON, st.integers(0, 120), st.integers(0, 3))
def test_levels_are_counted_exactly(value: Any, around: int, siblings: int) -> None:
    """A value of at most 100 levels is read unchanged, and one of more levels is refused."""
    for _ in range(around):
        value = [value, *"]" * siblings]
    found = read(json.dumps(value).encode())
    if levels_of(value) <= 100:
        assert found == value
    else:
        assert isinstance(found, _decoding.Unreadable)


def outside_of_strings(body: bytes) -> bytes | None:
    """Return JSON without its strings, or `None` if it has a backslash outside of them."""
    outside, inside, escaped = bytearray(), False, False
    for character in body:
        if escaped:
            escaped = False
        elif character == ord("\\"):
            if not inside:
                return None
            escaped = True
        elif character == ord('"'):
            inside = not inside
        elif not inside:
            outside.append(character)
    return bytes(outside)


@given(st.lists(st.sampled_from([b'"', b"\\", b"a", b"[", b","])), st.sampled_from([1, 2, 3, 7]))
def test_strings_are_taken_out_wherever_a_piece_ends(parts: list[bytes], size: int) -> None:
    """Removing strings piece by piece gives the same result as character by character."""
    body = b"".join(parts)
    expected = outside_of_strings(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_decoding, "PIECE", size)
        assert expected is None or _decoding._without_strings(body) == expected


# Numbers


@pytest.fixture
def any_number_of_digits() -> Iterator[None]:
    """Remove Python's limit for the digits of integers, as an application may have done."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(before)


LONG = [b"1" * 4301, b"-" + b"1" * 4300, b"0." + b"1" * 4299, b"1" * 4298 + b"e-1", b"9" * 10**6]


@pytest.mark.usefixtures("any_number_of_digits")
@pytest.mark.parametrize("number", LONG, ids=len)
@pytest.mark.parametrize("form", [b"%b", b"[1, %b]", b'{"a":%b}', b'["1", %b ]'])
def test_a_number_of_more_than_4300_characters_is_refused(number: bytes, form: bytes) -> None:
    """A number of more than 4300 characters is refused, even if Python's own limit is removed."""
    assert str(read(form % number)) == "a number of more than 4300 characters"


@pytest.mark.usefixtures("any_number_of_digits")
@pytest.mark.parametrize("number", [b"1" * 4300, b"-" + b"1" * 4299, b"0." + b"1" * 4298])
def test_a_number_of_4300_characters_is_read(number: bytes) -> None:
    """Numbers of 4300 characters are read, also several of them, and longer digits in strings."""
    value = json.loads(number)
    assert read(b"[%b, %b,%b]" % (number, number, number)) == [value] * 3
    assert read(b'{"a": "%b"}' % (b"1" * 9999)) == {"a": "1" * 9999}


@pytest.mark.parametrize("number", [b"1e9999", b"-1e309", b"[1.0e+400]", b'{"a": 2e308}'])
def test_a_number_too_large_for_a_float_is_not_infinity(number: bytes) -> None:
    """A number that is too large for a float is refused and not read as infinity."""
    assert "too large for a float" in str(read(number))


def test_other_floats_are_read_as_ever() -> None:
    """Floats up to the largest and down to the smallest are read as usual."""
    assert read(b"[1.5, -1e308, 1e-400, 2E2]") == [1.5, -1e308, 0.0, 200.0]


# Number of values


TOO_MANY = {
    "arrays": b"[" + b"[]," * (LIMIT // 3 - 1) + b"[]]",
    "items": b"[" + b"0," * MANY + b"0]",
    "objects": b"[" + b"{}," * (MANY // 2) + b"{}]",
    "members": b"{" + b",".join(b'"%d":0' % number for number in range(MANY + 1)) + b"}",
}


@pytest.mark.parametrize("what", TOO_MANY)
def test_too_many_values_are_too_large(what: str) -> None:
    """The error for too many JSON values names the limit, and what to change."""
    found = read(TOO_MANY[what])
    assert isinstance(found, _decoding.TooLarge)
    assert str(found) == (
        "more than 524288 JSON values, which is what max_response_bytes=10485760 allows: "
        "raise max_response_bytes to read such a response"
    )


def test_as_many_values_as_are_allowed_are_read() -> None:
    """As many values as are allowed are read; brackets and commas in strings do not count."""
    assert len(read(b"[" + b"0," * (MANY - 1) + b"0]")) == MANY
    assert len(read(b'["' + b"[{," * MANY + b'"]')[0]) == 3 * MANY
    assert len(read(b"[" + b"0," * (MANY + 1) + b"0]", limit=LIMIT + 40)) == MANY + 2


def test_a_small_limit_of_bytes_allows_some_values_all_the_same() -> None:
    """5000 values are allowed however small `max_response_bytes` is, as they take little memory."""
    assert len(read(b"[" + b"0," * 4999 + b"0]", limit=10_000)) == 5000
    assert isinstance(read(b"[" + b"0," * 5000 + b"0]", limit=10_100), _decoding.TooLarge)


@pytest.mark.parametrize("what", TOO_MANY)
def test_a_bomb_of_values_takes_little_memory(what: str) -> None:
    """Compressed JSON of very many values is refused before it takes much memory (once 210 MiB)."""
    bomb = gzip.compress(TOO_MANY[what])
    found: list[int] = []
    with peak_of(found):
        assert isinstance(read(bomb, "gzip"), _decoding.TooLarge)
    assert found[0] < 3.5 * LIMIT


@pytest.mark.parametrize("value", [b"{}", b'{"a":0}', b"[0]", b'{"a":' * 90 + b"0" + b"}" * 90])
def test_the_most_that_is_read_takes_a_bounded_amount_of_memory(value: bytes) -> None:
    """As many values as are allowed take some 200 bytes each at most, besides the body itself."""
    count = MANY // (1 + value.count(b"{") + value.count(b"[")) - 1
    found: list[int] = []
    with peak_of(found):
        assert isinstance(read(b"[" + (value + b",") * count + b"0]"), list)
    assert found[0] < 11 * LIMIT


def test_an_error_of_too_many_values_is_still_that_error() -> None:
    """The code and message of an error response that exceeds a limit are not read."""
    envelope = b'{"error": {"code": 1, "message": "no"}, "more": %b}'
    assert _decoding.error_envelope(envelope % b"[]", LIMIT) == (1, "no")
    for more in (TOO_MANY["items"], nested(900), LONG[0], b"1e999"):
        assert _decoding.error_envelope(envelope % more, LIMIT) == (None, None)


# Compression


class Fed:
    """Counts the bytes that zlib gets, and those that it copies because they are left over."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        self._make = zlib.decompressobj
        patch.setattr(_decoding.zlib, "decompressobj", self._made)

    def _made(self, *, wbits: int) -> Any:
        inner = self._make(wbits=wbits)
        fed = self

        class Counted:
            """Passes everything on to the real decompressor."""

            eof = property(lambda _: inner.eof)

            def decompress(self, data: Any, limit: int) -> bytes:
                """Count the input, and the copies of what is left over."""
                plain = inner.decompress(data, limit)
                fed.bytes += len(data) + len(inner.unused_data) + len(inner.unconsumed_tail)
                return plain

            unused_data = property(lambda _: inner.unused_data)

        return Counted()


def test_gzip_of_many_members_is_copied_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gzip data of many members is copied a bounded number of times, not once for each member."""
    fed = Fed(monkeypatch)
    noise = bytes(zlib.crc32(b"%d" % number) & 0xFF for number in range(3_000_000))
    body = gzip.compress(b"") * 99 + gzip.compress(noise)
    assert _decoding.plain_body(body, "gzip", LIMIT) == noise
    # For each member, zlib copies at most the rest of one piece, besides the data itself.
    assert fed.bytes < 2 * len(body) + 99 * 2 * _decoding.PIECE


def test_gzip_that_is_as_long_as_the_limit_is_read() -> None:
    """Gzip data of exactly the limit is read, also in several members, and one byte more is not."""
    members = gzip.compress(b"a" * 600_000) + gzip.compress(b"") + gzip.compress(b"b" * 400_000)
    plain = _decoding.plain_body(members + b"\0" * 100_000, "gzip", 1_000_000)
    assert plain == b"a" * 600_000 + b"b" * 400_000
    with pytest.raises(_decoding.TooLarge):
        _decoding.plain_body(members, "gzip", 999_999)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 40))
def test_gzip_is_undone_wherever_a_piece_ends(members: list[bytes], size: int) -> None:
    """Compressed data is read correctly wherever a piece ends, also at the end of a member."""
    body = b"".join(map(gzip.compress, members))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_decoding, "PIECE", size)
        assert _decoding.plain_body(body, "gzip", LIMIT) == b"".join(members)
        assert _decoding.plain_body(zlib.compress(body), "deflate", LIMIT) == body
        with pytest.raises(_decoding.Unreadable):
            _decoding.plain_body(body[:-1], "gzip", LIMIT)


def test_a_bomb_of_bytes_takes_little_memory() -> None:
    """A decompression bomb takes little memory, as decompression stops at the limit."""
    bomb = gzip.compress(b" " * (20 * LIMIT))
    found: list[int] = []
    with peak_of(found):
        assert isinstance(read(bomb, "gzip"), _decoding.TooLarge)
    assert found[0] < 2.5 * LIMIT


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "none", "aws-chunked", "gzip", "deflate"])
def test_json_that_is_not_encoded_is_read_whatever_its_encoding_is_said_to_be(
    encoding: str,
) -> None:
    """JSON as it stands is read whatever its Content-Encoding, which some servers set wrongly."""
    assert read(b'{"a": 1}', encoding) == {"a": 1}


@pytest.mark.parametrize("body", [b"<html>", b"\x0b\x01\x80{}\x03", TOO_MANY["items"]])
def test_what_is_encoded_in_an_unknown_way_is_not_read(body: bytes) -> None:
    """The error does not repeat the name of an unknown content encoding, as the server chose it."""
    assert str(read(body, "secret")) == "an unknown content encoding"


# Total work


GROWING: dict[str, Callable[[int], bytes]] = {
    "arrays side by side": lambda size: b"[" + b"[]," * size + b"[]]",
    "arrays in arrays": lambda size: nested(size),
    "arrays that never end": lambda size: b"[" * size,
    "ends of arrays": lambda size: b"[" * 101 + b"]" * size,
    "levels behind a string": lambda size: behind(b"]" * size, nested(size)),
    "empty strings": lambda size: b"[" + b'"",' * size + b'""]',
    "escapes": lambda size: b"[" * 101 + b'"' + b'\\"' * size,
    "backslashes": lambda size: b"[" * 101 + b'"' + b"\\" * size,
    "digits": lambda size: b"1" * size,
    "numbers": lambda size: b"[" + (b"1" * 4300 + b",") * (size // 4000) + b"1]",
    "members": lambda size: b"{" + b",".join(b'"%d":0' % one for one in range(size)) + b"}",
    "commas in a string": lambda size: b'["' + b"[," * size + b'"]',
    "noise": lambda size: b'\xff\0{["\\,9' * size,
}
SIZES = [20_000, 40_000, 80_000]


def work_of_reading(body: bytes, encoding: str, limit: int) -> list[int]:
    """Return how many instructions it takes to read a body as a result and as an error envelope."""

    def as_error() -> None:
        try:
            plain = _decoding.plain_body(body, encoding, limit)
        except (_decoding.Unreadable, _decoding.TooLarge):
            return
        _decoding.error_envelope(plain, limit)

    return [steps(lambda: read(body, encoding, limit)), steps(as_error)]


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "utf-8"])
@pytest.mark.parametrize("what", GROWING)
def test_reading_takes_steps_in_proportion_to_the_size(what: str, encoding: str) -> None:
    """Reading takes steps in proportion to the size of the body, and few of them."""
    encode = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)
    found = [work_of_reading(encode(GROWING[what](size)), encoding, LIMIT) for size in SIZES]
    for small, middle, large in zip(*found, strict=True):
        assert large - middle <= 2 * (middle - small) + 1000
        assert large <= 20_000


def test_headers_take_steps_in_proportion_to_their_number() -> None:
    """Headers take steps in proportion to their number, even if all have the same name."""

    def repeated(count: int) -> tuple[tuple[str, str], ...]:
        return (("X-A", "1"), ("x-a", "2"), ("B", "3")) * count

    assert _decoding.lower_headers(repeated(2)) == {"x-a": "1, 2, 1, 2", "b": "3, 3"}
    found = [repeated(size) for size in SIZES]
    small, middle, large = (steps(lambda one=one: _decoding.lower_headers(one)) for one in found)
    assert large - middle <= 2 * (middle - small) + 1000


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            [b"[", b"]", b"{", b"}", b'"', b"\\", b",", b":", b"1", b"e", b"[]", b'""']
        ),
        max_size=8,
    ),
    st.lists(st.sampled_from([b"[", b"]", b'"', b"1", b",", b"\\"]), max_size=3),
)
def test_no_repetition_takes_many_steps(pattern: list[bytes], after: list[bytes]) -> None:
    """However a body repeats a pattern, reading it takes steps in proportion to its size."""
    unit = b"".join(pattern)
    sizes = [2000, 4000, 8000]
    small, middle, large = (
        steps(lambda size=size: read(unit * size + b"".join(after))) for size in sizes
    )
    assert large - middle <= 2 * (middle - small) + 1000


# Retry-After


@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
@pytest.mark.parametrize(
    "value",
    ["1" * 65, "1." + "0" * 63, "1" + " " * 64, "Thu, 01 Jan 1970 00:00:07 GMT" + "(" * 100_000],
    ids=len,
)
def test_what_a_server_asks_for_at_length_is_not_looked_at(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retry-After and retry-after-ms of more than 64 characters are ignored, not parsed."""
    monkeypatch.setattr(_retry, "_NUMBER", None)
    assert _retry.retry_after({name: value}, 0.0) is None


def test_as_much_as_64_characters_are_read() -> None:
    """Retry-After of up to 64 characters is parsed, which is more than any number or date needs."""
    assert _retry.retry_after({"retry-after": "1." + "0" * 62}, 0.0) == 1
    assert _retry.retry_after({"retry-after-ms": "9" * 65, "retry-after": "7"}, 0.0) == 7


def test_brackets_that_are_never_opened_are_refused_at_once() -> None:
    """Closing brackets that were never opened are refused at once, however many there are."""
    with pytest.raises(_decoding.Unreadable, match="unbalanced brackets"):
        _decoding.read_json(b"[" * 101 + b"]" * 5000, 10**6)
