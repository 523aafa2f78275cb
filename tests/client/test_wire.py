"""One exchange without I/O: each response means the same however its bytes are split."""

import itertools
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneloop._http._wire import MAX_HEAD, Wire
from oneloop.transport import ResponseTooLarge, TransportError
from oneloop_core import Secret
from tests.stepping import stepped, steps

LIMIT = 1 << 20

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def a_wire(method: str = "GET", limit: int = LIMIT) -> Wire:
    """Return a wire whose request has been sent."""
    wire = Wire()
    assert wire.start(b"the request", method, limit) == b"the request"
    wire.sent = True
    return wire


Result = tuple[int, dict[str, str], bytes, bool]


def result(pieces: Iterable[bytes], method: str = "GET", limit: int = LIMIT) -> Result | str:
    """Return status, headers, body and whether the connection is reusable; or what is wrong."""
    wire = a_wire(method, limit)
    try:
        if not any(map(wire.receive, pieces)):  # stops at the end of the response
            return "incomplete"
    except TransportError as error:
        problem = error.problem if error.sent else f"not sent: {error.problem}"
        return f"{problem}: {error.detail}" if error.detail else problem
    except ResponseTooLarge as error:
        return f"{error.status} is too large"
    assert wire.done
    response = wire.response()
    assert type(response.body) is bytes
    return response.status, dict(response.headers), response.body, wire.reusable


def each_byte(data: bytes) -> list[bytes]:
    """Return the bytes one by one."""
    return [data[at : at + 1] for at in range(len(data))]


# Complete responses


def chunked(body: bytes, line: bytes = b"HTTP/1.1 200 OK", more: bytes = b"") -> bytes:
    """Return a chunked response."""
    return b"%b\r\nTransfer-Encoding: chunked\r\n%b\r\n%b" % (line, more, body)


LENGTH, CHUNKED = {"Content-Length": "2"}, {"Transfer-Encoding": "chunked"}
CLOSE, KEEP = b"Connection: close\r\n", b"Connection: Keep-Alive\r\n"

WHOLE: dict[str, tuple[bytes, Result]] = {
    "length": (OK, (200, LENGTH, b"{}", True)),
    "no reason": (OK.replace(b" OK", b""), (200, LENGTH, b"{}", True)),
    "empty reason": (OK.replace(b"OK", b""), (200, LENGTH, b"{}", True)),
    "odd reason": (OK.replace(b"OK", b"\xff\xfe 404"), (200, LENGTH, b"{}", True)),
    "empty body": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        (200, {"Content-Length": "0"}, b"", True),
    ),
    "line ends": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}\n\r\n",
        (200, {"Content-Length": "5"}, b"{}\n\r\n", True),
    ),
    "only line ends": (OK.replace(b"{}", b"\r\n"), (200, LENGTH, b"\r\n", True)),
    "odd headers": (
        b"HTTP/1.1 500 No\r\nx-a:\t b c \t\r\nX-B:\r\nX-C: \xe9\xff\r\nContent-length:2\r\n\r\n{}",
        (500, {"x-a": "b c", "X-B": "", "X-C": "\xe9\xff", "Content-length": "2"}, b"{}", True),
    ),
    "chunks": (
        chunked(b"1\r\n{\r\n0001\r\n}\r\n0\r\n\r\n"),
        (200, CHUNKED, b"{}", True),
    ),
    "a large chunk": (
        chunked(b"C8\r\n%b\r\n0\r\n\r\n" % (b"[" * 200)),
        (200, CHUNKED, b"[" * 200, True),
    ),
    "extensions": (
        chunked(b'2;name;a=b;q="c\\"d"\r\n{}\r\n0;last=1\r\n\r\n'),
        (200, CHUNKED, b"{}", True),
    ),
    "trailers": (
        chunked(b"2\r\n{}\r\n0\r\nX-A: b\r\nTransfer-Encoding: gzip\r\nX-C: d\r\n\r\n"),
        (200, CHUNKED, b"{}", False),  # llhttp: what may follow such a trailer is uncertain
    ),
    "harmless trailers": (
        chunked(b"2\r\n{}\r\n0\r\nX-A: b\r\nRetry-After: 9\r\n\r\n"),
        (200, CHUNKED, b"{}", True),
    ),
    "chunks of line ends": (
        chunked(b"2\r\n\r\n\r\n0\r\n\r\n"),
        (200, CHUNKED, b"\r\n", True),
    ),
    "no chunks": (chunked(b"0\r\n\r\n"), (200, CHUNKED, b"", True)),
    "204": (b"HTTP/1.1 204 No\r\n\r\n", (204, {}, b"", True)),
    "204, no length": (
        b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
        (204, {"Content-Length": "0"}, b"", True),
    ),
    # A body that the status does not allow may follow later.
    "204, length": (b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n", (204, LENGTH, b"", False)),
    "304": (b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\n", (304, LENGTH, b"", False)),
    "304, chunked": (chunked(b"", b"HTTP/1.1 304 No"), (304, CHUNKED, b"", False)),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, (200, LENGTH, b"{}", True)),
    "many interim": (
        b"HTTP/1.1 103 Hints\r\nLink: a\r\nX: b\r\n\r\nHTTP/1.1 150 \r\n\r\n" * 3 + OK,
        (200, LENGTH, b"{}", True),
    ),
    "interim, length": (
        b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + OK,
        (200, LENGTH, b"{}", True),
    ),
    "1.0": (OK.replace(b"1.1", b"1.0"), (200, LENGTH, b"{}", False)),
    "1.0, keep-alive": (
        OK.replace(b"1.1", b"1.0").replace(b"OK\r\n", b"OK\r\n" + KEEP),
        (200, {"Connection": "Keep-Alive", **LENGTH}, b"{}", True),
    ),
    "1.0, chunked": (
        chunked(b"2\r\n{}\r\n0\r\n\r\n", b"HTTP/1.0 200 OK", KEEP),
        (200, {**CHUNKED, "Connection": "Keep-Alive"}, b"{}", False),
    ),
    "close": (
        OK.replace(b"OK\r\n", b"OK\r\n" + CLOSE),
        (200, {"Connection": "close", **LENGTH}, b"{}", False),
    ),
    "close, in a trailer": (
        chunked(b"2\r\n{}\r\n0\r\n%b\r\n" % CLOSE),
        (200, CHUNKED, b"{}", False),
    ),
    "before other line ends": (b"\r\n\r\n" + OK, (200, LENGTH, b"{}", True)),
}

UNTIL_EOF: dict[str, tuple[bytes, Result]] = {
    "no length": (b"HTTP/1.1 200 OK\r\n\r\n{}\r\n", (200, {}, b"{}\r\n", False)),
    "no length, empty": (b"HTTP/1.1 503 No\r\n\r\n", (503, {}, b"", False)),
    "no length, 1.0": (b"HTTP/1.0 200 OK\r\nX: y\r\n\r\n{}", (200, {"X": "y"}, b"{}", False)),
}

TO_HEAD: dict[str, tuple[bytes, Result]] = {
    "length": (OK[:-2], (200, LENGTH, b"", False)),
    "chunked": (chunked(b""), (200, CHUNKED, b"", False)),
    "interim": (b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 200 OK\r\n\r\n", (200, {}, b"", False)),
    "204": (b"HTTP/1.1 204 No\r\n\r\n", (204, {}, b"", False)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_response_means_the_same_however_it_is_split(name: str) -> None:
    """Every split into two gives the same result, byte by byte as well."""
    raw, expected = WHOLE[name]
    assert result([raw]) == expected
    assert result(each_byte(raw)) == expected
    for at in range(1, len(raw)):
        assert result([raw[:at], raw[at:]]) == expected


@pytest.mark.parametrize("name", UNTIL_EOF)
def test_a_response_without_a_length_ends_with_the_connection(name: str) -> None:
    """Its end is that of the connection, and it is not complete before, however it is split."""
    raw, expected = UNTIL_EOF[name]
    assert result([raw]) == result(each_byte(raw)) == "incomplete"
    for at in range(1, len(raw)):
        assert result([raw[:at], raw[at:], b""]) == expected
    assert result([*each_byte(raw), b""]) == expected


@pytest.mark.parametrize("name", TO_HEAD)
def test_the_response_to_head_ends_with_its_head(name: str) -> None:
    """The response to HEAD has no body, whatever it announces; what follows is not in it."""
    raw, expected = TO_HEAD[name]
    for at in range(1, len(raw)):
        assert result([raw[:at], raw[at:]], "HEAD") == expected
    assert result(each_byte(raw), "HEAD") == result([raw + b"{}" + OK], "HEAD") == expected


@st.composite
def split(draw: st.DrawFn) -> tuple[list[bytes], Result]:
    """Draw the pieces of a complete response, and its result."""
    raw, expected = WHOLE[draw(st.sampled_from(sorted(WHOLE)))]
    cuts = sorted(draw(st.sets(st.integers(1, len(raw) - 1), max_size=12)))
    return [raw[a:b] for a, b in itertools.pairwise([0, *cuts, len(raw)])], expected


@settings(max_examples=300)
@given(split())
def test_any_split_gives_the_same_result(drawn: tuple[list[bytes], Result]) -> None:
    """Any split into many pieces gives the same result, too."""
    pieces, expected = drawn
    assert result(pieces) == expected


SURPLUS = [
    *(bytes([byte]) for byte in range(256)),
    b"\r\n",
    b"\n\n",
    b"\r\n\r\n",
    b"\r\n" * 9,
    b"\r\n" + OK,
    OK,
    OK + OK,
    OK[:20],
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switch\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 400 No\r\nX: y\r\nTransfer-Encoding: gzip\r\nKeep-Alive: timeout=9\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEAD,
    bytes(range(256)) * 1024,
]


@pytest.mark.parametrize("name", WHOLE)
def test_more_than_the_response_makes_the_connection_unusable(name: str) -> None:
    """One byte after the response is enough. The response itself stays as it is."""
    raw, (*expected, _) = WHOLE[name]
    for more in SURPLUS:
        assert result([raw + more]) == (*expected, False), more[:80]


@pytest.mark.parametrize("name", WHOLE)
def test_surplus_is_noticed_wherever_the_response_was_split(name: str) -> None:
    """Line ends count as surplus even if those of the response were received before."""
    raw, (*expected, _) = WHOLE[name]
    for at in range(1, len(raw)):
        for more in (b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"H", OK):
            assert result([raw[:at], raw[at:] + more]) == (*expected, False), (at, more[:80])


@settings(max_examples=300)
@given(split(), st.binary(min_size=1) | st.text("\r\n", min_size=1).map(str.encode))
def test_no_surplus_is_overlooked(drawn: tuple[list[bytes], Result], more: bytes) -> None:
    """Any surplus in the same read is noticed, after any split."""
    pieces, (*expected, _) = drawn
    pieces[-1] += more
    assert result(pieces) == (*expected, False)


def test_a_connection_serves_one_exchange_after_another() -> None:
    """Nothing of an earlier exchange is in a later one."""
    wire = Wire()
    for _ in range(3):
        for raw, expected in WHOLE.values():
            wire.start(b"", "GET", LIMIT)
            assert [wire.sent, wire.done, wire.reusable] == [False] * 3
            assert wire.receive(raw)
            response = wire.response()
            found = (response.status, dict(response.headers), response.body, wire.reusable)
            assert found == expected
            if not wire.reusable:
                wire = Wire()


def test_a_response_leaves_no_memory_behind() -> None:
    """A connection that is idle does not keep the body of its last response."""
    wire = a_wire(limit=10 << 20)
    size = 8 << 20
    tracemalloc.start()
    try:
        wire.receive(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            wire.receive(bytes(1 << 16))
        assert len(wire.response().body) == size
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()


# Broken and incomplete responses


def broken(text: str) -> str:
    """Return the result of broken HTTP."""
    return f"the server broke HTTP: {text}"


BODY = broken("an interim response with a body")
CODING = broken("an unknown transfer coding")
SWITCH = broken("a switch to another protocol")

BROKEN: dict[str, tuple[bytes, str]] = {
    "gzip, chunked": (chunked(b"").replace(b"chunked", b"gzip, chunked"), CODING),
    "gzip": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", CODING),
    "identity": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", CODING),
    "twice chunked": (chunked(b"", more=b"TRANSFER-ENCODING: chunked\r\n"), CODING),
    "101": (b"HTTP/1.1 101 Switch\r\n\r\n", SWITCH),
    "101, upgrade": (b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\x00", SWITCH),
    "interim, chunked": (chunked(b"0\r\n\r\n", b"HTTP/1.1 103 Hints") + OK, BODY),
    "interim with a body, chunked": (
        chunked(b"2\r\n{}\r\n0\r\n\r\n", b"HTTP/1.1 199 ") + OK,
        BODY,
    ),
    "interim with a body": (b"HTTP/1.1 199 \r\nContent-Length: 2\r\n\r\n{}" + OK, BODY),
    "interim that contains the response": (
        b"HTTP/1.1 199 \r\nContent-Length: %d\r\n\r\n" % len(OK) + OK + OK,
        BODY,
    ),
    "099": (OK.replace(b"200", b"099"), broken("a status below 100")),
    "000": (OK.replace(b"200", b"000"), broken("a status below 100")),
    "1000": (OK.replace(b"200", b"1000"), broken("Invalid response status")),
    "two lengths": (
        OK.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n"),
        broken("Duplicate Content-Length"),
    ),
    "junk": (b"SSH-2.0-OpenSSH\r\n", broken("Expected HTTP/, RTSP/ or ICE/")),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_http_is_an_error(name: str) -> None:
    """Broken HTTP is an error that says what is wrong, however it is split."""
    raw, expected = BROKEN[name]
    assert result([raw]) == result(each_byte(raw)) == expected
    for at in range(1, len(raw)):
        assert result([raw[:at], raw[at:]]) == expected


STRICT = {
    "a list of lengths": OK.replace(b": 2", b": 2, 2"),
    "a signed length": OK.replace(b": 2", b": +2"),
    "an endless length": OK.replace(b": 2", b": " + b"9" * 25),
    "length and chunked": chunked(b"0\r\n\r\n", more=b"Content-Length: 5\r\n"),
    "chunked and length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    b"\r\n0\r\n\r\n",
    "a length as trailer": chunked(b"2\r\n{}\r\n0\r\nContent-Length: 2\r\n\r\n"),
    "a folded header": OK.replace(b"\r\n\r\n", b"\r\nX: a\r\n b\r\n\r\n"),
    "line feeds alone": OK.replace(b"\r\n", b"\n"),
    "a space before the colon": OK.replace(b"Length:", b"Length :"),
    "NUL in a value": OK.replace(b"\r\n\r\n", b"\r\nX: \x00\r\n\r\n"),
    "an empty name": OK.replace(b"\r\n\r\n", b"\r\n: x\r\n\r\n"),
    "an empty coding": chunked(b"0\r\n\r\n").replace(b": chunked", b":"),
    "an odd coding": chunked(b"0\r\n\r\n").replace(b": chunked", b": \x0bchunked"),
    "too large a chunk": chunked(b"f" * 17 + b"\r\n{}"),
    "a space after the size": chunked(b"2 \r\n{}\r\n0\r\n\r\n"),
    "too long a chunk": chunked(b"1\r\n{}\r\n0\r\n\r\n"),
    "HTTP/3.0": OK.replace(b"1.1", b"3.0"),
    "lower case": OK.replace(b"HTTP", b"http"),
}


@pytest.mark.parametrize("name", STRICT)
def test_the_parser_is_strict(name: str) -> None:
    """What could be read in two ways is an error; a lenient reading might be the wrong one."""
    found = result([STRICT[name]])
    assert isinstance(found, str)
    assert found.startswith("the server broke HTTP: ")
    assert result(each_byte(STRICT[name])) == found


@pytest.mark.parametrize("raw", [raw for raw, _ in WHOLE.values()])
def test_a_response_that_is_cut_off_is_an_error(raw: bytes) -> None:
    """A connection that ends before the response is complete has been lost."""
    for at in range(len(raw)):
        assert result([raw[:at], b""][not at :]) == "the connection was lost while waiting"
    assert result([raw[: len(raw) // 2], raw[len(raw) // 2 : -1], b""]).startswith("the conn")  # type: ignore[union-attr]


def test_a_body_that_is_too_large_is_an_error() -> None:
    """The limit is exact, and the error has the status and the headers of the response."""
    whole: Result = 200, {}, b"12345", False
    for body, expected in ((b"12345", whole), (b"123456", "200 is too large")):
        raw = b"HTTP/1.1 200 OK\r\n\r\n" + body
        assert result([raw, b""], limit=5) == result([*each_byte(raw), b""], limit=5) == expected
    wire = a_wire(limit=1)
    with pytest.raises(ResponseTooLarge) as caught:
        wire.receive(OK)
    assert caught.value.headers == (("Content-Length", "2"),)


# Limits


def head_of(size: int, line: bytes = b"HTTP/1.1 200 OK\r\n") -> bytes:
    """Return a head of this size, of a response of two bytes."""
    line += b"Content-Length: 2\r\nX: "
    return line + b"y" * (size - len(line) - 4) + b"\r\n\r\n"


TOO_LONG = broken(f"more than {MAX_HEAD} bytes of headers")
INTERIM = b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"
MANY_INTERIM = INTERIM * 500


@pytest.mark.parametrize("before", [b"", b"\r\n" * 500, MANY_INTERIM], ids=["", "lines", "interim"])
@pytest.mark.parametrize("size", [7, 1000, 65536, 1 << 20])
def test_the_limit_of_a_head_is_exact(before: bytes, size: int) -> None:
    """A head of exactly 100 KiB is read and one byte more is refused, however it is split."""
    found: list[Any] = []
    for length in (MAX_HEAD, MAX_HEAD + 1):
        raw = before + head_of(length - len(before)) + b"{}"
        found.append(result(raw[at : at + size] for at in range(0, len(raw), size)))
    assert found[0][2:] == (b"{}", True)
    assert found[1] == TOO_LONG


ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "line ends": (b"", b"\r\n"),
    "interim": (b"", INTERIM),
    "reason": (b"HTTP/1.1 200 ", b"x"),
    "name": (b"HTTP/1.1 200 OK\r\n", b"x"),
    "value": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "zeros of a length": (b"HTTP/1.1 200 OK\r\nContent-Length: ", b"0"),
    "body of an interim response": (b"HTTP/1.1 199 \r\nContent-Length: 999999999\r\n\r\n", b"x"),
    "chunk size": (chunked(b""), b"0"),
    "extension": (chunked(b"2;"), b"x"),
    "extension behind chunks": (chunked(b"2\r\n{}\r\n2;"), b"x"),
    "trailer": (chunked(b"2\r\n{}\r\n0\r\nX: "), b"x"),
    "trailers": (chunked(b"2\r\n{}\r\n0\r\n"), b"X: y\r\n"),
}


@pytest.mark.parametrize("size", [10, 16384, 1 << 18])
@pytest.mark.parametrize("name", ENDLESS)
def test_what_has_no_end_is_bounded(name: str, size: int) -> None:
    """Whatever goes on for ever without a body ends at the limit, with bounded memory."""
    before, more = ENDLESS[name]
    fed = 0

    def pieces() -> Iterator[bytes]:
        nonlocal fed
        if before:
            yield before
        data = more * max(1, size // len(more))
        while True:
            fed += len(data)
            yield data

    tracemalloc.start()
    try:
        found = result(pieces())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == TOO_LONG or (name == "zeros of a length" and "Content-Length" in found)
    assert fed <= MAX_HEAD + 2 * max(size, len(more))
    assert peak < 12 << 20


GROWING: dict[str, Callable[[int], list[bytes]]] = {
    "bytes of a head": lambda n: [b"HTTP/1.1 200 OK\r\nX: ", *[b"y"] * n, b"\r\n\r\n", b""],
    "headers": lambda n: [b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * n + b"\r\n", b""],
    "interim": lambda n: [INTERIM] * n + [OK],
    "interim at once": lambda n: [INTERIM * n + OK],
    "bytes of a body": lambda n: [b"HTTP/1.1 200 OK\r\n\r\n", *[b"y"] * n, b""],
    "line ends of a body": lambda n: [b"HTTP/1.1 200 OK\r\n\r\n", *[b"\r\n"] * n, b""],
    "tiny chunks": lambda n: [chunked(b""), *[b"1\r\n{\r\n"] * n, b"0\r\n\r\n"],
    "tiny chunks with extensions": lambda n: [
        chunked(b""),
        *[b"1;" + b"x" * 90_000 + b"\r\n{\r\n"] * (n // 10),
        b"0\r\n\r\n",
    ],
    "tiny chunks at once": lambda n: [chunked(b"1\r\n{\r\n" * n + b"0\r\n\r\n")],
    "trailers": lambda n: [chunked(b"0\r\n"), *[b"X: y\r\n"] * n, b"\r\n"],
    "surplus": lambda n: [OK * n],
}


@pytest.mark.parametrize("name", GROWING)
def test_the_work_is_linear(name: str) -> None:
    """Twice as much of anything takes at most twice as many steps."""

    def work(count: int) -> int:
        pieces = GROWING[name](count)
        return steps(lambda: result(pieces), "oneloop")

    assert isinstance(result(GROWING[name](500)), tuple)
    few, many, more = work(250), work(500), work(1000)
    assert more - many <= 2.2 * (many - few) + 200


def test_the_body_costs_no_steps_of_ours() -> None:
    """A body of many chunks in one read takes no more Python code than one of a single chunk."""
    raw = [chunked(b"1\r\n{\r\n" * count + b"0\r\n\r\n") for count in (1, 10_000)]
    few, many = (steps(lambda: result([raw]), "_wire") for raw in raw)  # noqa: B023 - called at once
    assert many <= few + 300


# Idle time


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=2", 1.6),
        (b"timeout=5, max=100", 4),
        (b"max=100,TIMEOUT=5", 4),
        (b" timeout = 2 ", 1.6),
        (b'timeout="2"', 1.6),
        (b"timeout=2; max=9", 1.6),
        (b"timeout=2.9", 1.6),
        (b"timeout=0", 0),
        (b"timeout=999999999", 799_999_999.2),
        (b"timeout=" + b"9" * 5000, None),
        (b"timeout=-1", None),
        (b"timeout=\xb2", None),
        (b"timeout=soon", None),
        (b"timeout", None),
        (b"timeouts=5", None),
        (b"", None),
        (b",,=,", None),
    ],
)
def test_the_servers_idle_time_is_read(value: bytes, seconds: float | None) -> None:
    """A connection is given up some time before the server closes it."""
    wire = a_wire()
    wire.receive(OK.replace(b"\r\n", b"\r\nKeep-Alive: %b\r\n" % value, 1))
    assert wire.idle_limit == (None if seconds is None else pytest.approx(seconds))


# Interruption


@pytest.mark.parametrize("error", [KeyboardInterrupt("1"), ZeroDivisionError("2"), MemoryError()])
@pytest.mark.parametrize(
    "callback",
    ["on_message_begin", "on_header", "on_headers_complete", "on_body", "on_message_complete"],
)
def test_an_exception_in_a_callback_reaches_the_caller(error: BaseException, callback: str) -> None:
    """What a signal handler raises while the parser calls us is not taken for broken HTTP."""

    def interrupted(*_: object) -> None:
        raise error

    class Interrupted(Wire):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, interrupted if name == callback else value)

    if callback != "on_body":  # which is an attribute, not a method
        setattr(Interrupted, callback, interrupted)
    wire = Interrupted()
    wire.start(b"", "GET", LIMIT)
    with pytest.raises(type(error)) as caught:
        wire.receive(OK)
    assert caught.value is error
    assert caught.value.__cause__ is None


# Tunnels


class Way:
    """A route through a proxy."""

    host = "api.example"
    tunnel = Secret(b"CONNECT api.example:443 HTTP/1.1\r\n\r\n")


def tunnel(pieces: Iterable[bytes]) -> str:
    """Return how a request for a tunnel ends."""
    wire = Wire()
    step = stepped(wire.opening(Way(), None))  # type: ignore[arg-type]
    assert step(None) == b"CONNECT api.example:443 HTTP/1.1\r\n\r\n"
    for piece in pieces:
        try:
            if step(piece) is None:
                break
        except TransportError as error:
            problem = error.problem if not error.sent else f"sent: {error.problem}"
            return f"{problem}: {error.detail}, {'again' if error.passing else 'not again'}"
    else:
        return "incomplete"
    wire.start(b"", "GET", LIMIT)
    assert wire.receive(OK)
    assert wire.reusable
    assert wire.response().status == 200
    return "open"


MORE = "the proxy refused: it sent more than its answer, again"
TUNNELS: dict[str, tuple[bytes, str]] = {
    "200": (b"HTTP/1.1 200 Connection established\r\n\r\n", "open"),
    "200, 1.0": (b"HTTP/1.0 200 Connection established\r\n\r\n", "open"),
    "200, 1.0, length": (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "open"),
    "200, close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "open"),
    "200, close, length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "open",
    ),
    "200, a length to ignore": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "open"),
    "200, a coding to ignore": (chunked(b""), "open"),
    "204": (b"HTTP/1.1 204 OK\r\n\r\n", "open"),
    "1xx": (INTERIM * 3 + b"HTTP/1.1 200 OK\r\n\r\n", "open"),
    "403": (
        b"HTTP/1.1 403 No\r\nContent-Length: 6\r\n\r\ndenied",
        "the proxy refused: it answered 403, not again",
    ),
    "407": (
        b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n<html>",
        "the proxy refused: it answered 407, not again",
    ),
    "407, gzip": (
        b"HTTP/1.1 407 No\r\nTransfer-Encoding: gzip\r\n\r\n",
        "the proxy refused: it answered 407, not again",
    ),
    "302": (b"HTTP/1.1 302 No\r\n\r\n", "the proxy refused: it answered 302, not again"),
    "429": (b"HTTP/1.1 429 No\r\n\r\n", "the proxy refused: it answered 429, again"),
    "502": (chunked(b"2\r\nno", b"HTTP/1.1 502 No"), "the proxy refused: it answered 502, again"),
    "101": (
        b"HTTP/1.1 101 S\r\n\r\n",
        "the proxy broke HTTP: a switch to another protocol, again",
    ),
    "junk": (b"junk", "the proxy broke HTTP: Expected HTTP/, RTSP/ or ICE/, again"),
    "a part": (b"HTTP/1.1 200 OK\r\n", "incomplete"),
    "an endless head": (
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD,
        f"the proxy broke HTTP: more than {MAX_HEAD} bytes of headers, again",
    ),
}


@pytest.mark.parametrize("name", TUNNELS)
def test_a_proxy_opens_a_tunnel_or_nothing_is_sent(name: str) -> None:
    """Every end but a tunnel is an error before anything is sent, however the answer is split."""
    raw, expected = TUNNELS[name]
    assert tunnel([raw]) == expected
    assert tunnel([raw[at : at + 100] for at in range(0, len(raw), 100)]) == expected
    if len(raw) < 300:
        for at in range(1, len(raw)):
            assert tunnel([raw[:at], raw[at:]]) == expected
        assert tunnel(each_byte(raw)) == expected


@pytest.mark.parametrize("name", [name for name, (_, end) in TUNNELS.items() if end == "open"])
def test_bytes_behind_the_answer_of_a_proxy_are_refused(name: str) -> None:
    """A server says nothing through a tunnel before we do, so such bytes are the proxy's."""
    raw, _ = TUNNELS[name]
    for more in (b"\x00", b"x", b"\x16\x03\x01", b"<html>" * 99999, OK):
        expected = "open" if name.endswith("coding to ignore") and more != OK else MORE
        assert tunnel([raw + more]) in (expected, MORE)


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\nX: y", INTERIM])
def test_a_proxy_that_closes_the_connection_is_tried_again(before: bytes) -> None:
    """A proxy that closes the connection instead of answering may be restarting."""
    pieces = [before, b""] if before else [b""]
    assert tunnel(pieces) == "the proxy refused: it closed the connection, again"
