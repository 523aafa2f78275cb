"""Answers that are odd or broken as HTTP: status lines, headers, chunks, and other protocols."""

import random

from .answers import KEY, LIMIT, POISON, READ, Answer, body_of, good, in_chunks, meter, sent
from .body_families import error_envelope


def any_status(rng: random.Random, number: int) -> Answer:
    """Answer with any status, correct or not."""
    status = rng.choice(
        [rng.randrange(1000), rng.choice([101, 199, 204, 205, 206, 304, 399, 408, 451, 499, 599])]
    )
    draft = good(number)
    draft.line = b"HTTP/1.1 %03d Whatever" % status
    draft.body = rng.choice([draft.body, error_envelope(rng), b"", b"<html>"])
    if rng.random() < 0.2:
        draft.headers.append(b"Location: " + rng.choice(LOCATIONS))
    draft.framing = rng.choice(["length", "length", "chunked", "none"])
    return sent(rng, draft.wire())


LOCATIONS = [
    b"/elsewhere",
    b"http://[::1",
    b"http://\xff\xfe/",
    b"https://user:pass@127.0.0.1:1/",
    b"javascript:alert(1)",
    b"http://127.0.0.1:99999/",
    b"http://xn--a\x80/",
    b"//",
    b"http:///x",
    b"?" + b"x" * 70000,
    b"http://\xe2\x80\xae.example/",
]


def odd_status_line(rng: random.Random, number: int) -> Answer:
    """Answer with an unusual or broken status line."""
    draft = good(number)
    draft.line = rng.choice(
        [
            b"",
            b"HTTP/1.1",
            b"HTTP/1.1 ",
            b"HTTP/1.1 200",
            b"HTTP/1.1  200 OK",
            b"HTTP/1.1\t200\tOK",
            b"HTTP/1.1 2000 OK",
            b"HTTP/1.1 20 OK",
            b"HTTP/1.1 -20 OK",
            b"HTTP/1.1 2x0 OK",
            "HTTP/1.1 ٢٠٠ OK".encode(),
            b"HTTP/1.1 200 \xff\xfe\x80",
            b"HTTP/1.1 200 \x00",
            b"HTTP/1.1 200 a\x0bb",
            b"HTTP/1.1 200 " + b"x" * rng.choice([5000, 120_000]),
            b"HTTP/2 200",
            b"HTTP/2.0 200 OK",
            b"HTTP/0.9 200 OK",
            b"HTTP/1.2 200 OK",
            b"HTTP/9.9 200 OK",
            b"HTTP/11 200 OK",
            b"http/1.1 200 OK",
            b"HTTPS/1.1 200 OK",
            b"ICY 200 OK",
            b" HTTP/1.1 200 OK",
            b"\r\nHTTP/1.1 200 OK",
            b"\xef\xbb\xbfHTTP/1.1 200 OK",
            b"HTTP/1.1 200 OK\r",
            b"HTTP/1.1 200 OK\nX: y",
            b"HTTP/1.1 200 OK\r\n X: y",
            b"HTTP/1.1 200 OK\r\nHTTP/1.1 400 Bad",
            b"HTTP/1.1 400 Bad\r\nHTTP/1.1 200 OK",
            b"POST / HTTP/1.1",
            KEY.encode(),
        ]
    )
    return sent(rng, draft.wire())


def odd_headers(rng: random.Random, number: int) -> Answer:
    """Answer with unusual, contradictory, broken or very long headers."""
    draft = good(number)
    size = len(draft.body)
    many = rng.choice([10, 200, 3000])
    lines: list[bytes] = rng.choice(
        [
            [b"X-%d: y" % index for index in range(many)],
            [b"X: y"] * many,
            [b"X-Request-Id: a%d" % index for index in range(many)],
            [b"Content-Encoding: identity"] * rng.choice([1, 2, 9]),
            [b"Content-Length: %d" % size],
            [b"Content-Length: %d" % (size + rng.choice([-1, 1, 7, 10**6]))],
            [b"Content-Length: %d, %d" % (size, size)],
            [b"Content-Length: " + value for value in rng.choices(LENGTHS, k=rng.choice([1, 2]))],
            [b"Transfer-Encoding: " + value for value in rng.choices(TRANSFERS, k=many % 3 + 1)],
            [b"Connection: close"],
            [b"Connection: keep-alive, upgrade", b"Upgrade: h2c"],
            [b"Set-Cookie: " + value for value in COOKIES],
            [b"X: " + b"v" * rng.choice([8000, 70_000, 99_000, 110_000])],
            [b"X" * rng.choice([8000, 110_000]) + b": v"],
            [b"X: folded", b" over", b"\tlines"],
            [b" X: starts with a space"],
            [b"no colon"],
            [b": no name"],
            [b"X : space before the colon"],
            [b"X\x00Y: z"],
            [b"X: \x00"],
            [b"X: \x01\x7f\x0b\x0c"],
            [b"X: \xff\xfe \x85 \xc2\x85"],
            [b"X: a\rb"],
            [b"X: a\nb: c"],
            ["Ключ: значение".encode()],
            [b"X-Request-Id: \xe2\x80\xa8 a \x85 b \x1c c" + b"d" * 2000],
            [b"X-Request-Id: " + KEY.encode(), KEY.encode() + b": x", b"Y: Bearer " + KEY.encode()],
            [b"Content-Type: " + b"\xff" * 50],
            [b"Content-Type: application/json; charset=utf-16"],
            [b"Retry-After: " + value for value in rng.choices(RETRY_AFTERS, k=2)],
        ]
    )
    if rng.random() < 0.3:
        draft.line = rng.choice([b"HTTP/1.1 400 Bad Request", b"HTTP/1.1 500 Oops"])
    draft.headers += lines
    rng.shuffle(draft.headers)
    draft.framing = rng.choice(["length", "length", "chunked", "none"])
    raw = draft.wire()
    if rng.random() < 0.1:
        raw = raw.replace(b"\r\n", b"\n")
    return sent(rng, raw)


LENGTHS = [
    b"", b"0", b"-1", b"+1", b"1.0", b"0x10", b"1e3", b"abc", b"9" * 19, b"9" * 25, b"9" * 5000,
    b"1_0", b" 12 ", "١٢".encode(), b"12 34", b"12;", b"00000000000000000000000000012", b"NaN",
]  # fmt: skip
TRANSFERS = [
    b"chunked", b"CHUNKED", b"identity", b"gzip", b"gzip, chunked", b"chunked, chunked", b"",
    b"chunked;q=1", b"\x0bchunked", b"x" * 3000,
]  # fmt: skip
RETRY_AFTERS = [
    b"0", b"00", b"0.0", b"-1", b"+1", b"0.01", b"3", b"1e3", b"9" * 400, b"9" * 5000, b"nan",
    b"inf", b"\xd9\xa0", b"", b" ", b"0, 0", b"\xff", b"soon", b"0x1", b"Mon", b", ,", b"::::",
    b"Mon, 23 Nov 2020 10:15:00 GMT", b"Mon, 23 Nov 9999 10:15:00 GMT", b"23 Nov 99999 10:15:00",
    b"Mon, 23 Nov 0001 00:00:00 +2359", b"Mon, 23 Nov 2020 10:15:00 +99999999999999999",
    b"Mon, 23 Nov 2020 10:15:00 -9999", b"Mon, 99 Nov 2020 99:99:99 GMT", b"1 Jan 0 0:0:0 0",
    b"Mon, 23 Nov 2020 10:15:00 " + b"9" * 5000, b"Mon, 23 Nov 2020", b"20201123T101500",
    b"Mon, 31 Dec 9999 23:59:59 -2359", b"23 Nov -5 10:15:00 GMT", b"1 1 1 1 1 1", b"(((((",
    b"9999999999 Nov 2020 10:15:00 GMT", b"1 Jan 2020 99999999999999999999:0:0 GMT",
    b"Mon, 23 Nov 2020 10:15:00 +1" + b"0" * 25,
]  # fmt: skip
COOKIES = [
    b"a=b; Expires=Wed, 99 Foo 99999999999 99:99:99 GMT; Max-Age=" + b"9" * 5000,
    b"a=b; Domain=" + b"." * 300 + b"; Path=\xff; Port=x; Version=\xff",
    b"=;;;=;=\xff",
    b'a="unterminated',
    b"__Host-a=b; Expires=Thu, 01 Jan 1 00:00:00 GMT; Max-Age=-99999999999999999999",
]


def odd_chunks(rng: random.Random, number: int) -> Answer:
    """Answer with unusual or broken chunks."""
    draft = good(number)
    head = b"\r\n".join([draft.line, *draft.headers, b"Transfer-Encoding: chunked", b"", b""])
    body = draft.body
    size = b"%x" % len(body)
    wire = rng.choice(
        [
            body,
            b"",
            b"\r\n",
            b"0\r\n",
            b"0\r\n\r\n",
            size + b"\r\n" + body,
            size + b"\r\n" + body + b"\r\n",
            size + b"\r\n" + body + b"\r\n0\r\n",
            size + b"\r\n" + body + b"0\r\n\r\n",
            size + b"\r\n" + body + b"XX0\r\n\r\n",
            size + b"\n" + body + b"\n0\n\n",
            size + b"\r\n" + body + b"\r\n0\r\nX: trailer\r\nY: z\r\n\r\n",
            size + b"\r\n" + body + b"\r\n0\r\nbad trailer\r\n\r\n",
            size + b"\r\n" + body + b"\r\n0\r\nContent-Length: 1\r\n\r\n",
            size + b"\r\n" + body + b"\r\n0\r\n" + b"T: x\r\n" * 30000 + b"\r\n",
            size + b";ext=1;q=\"a;b\"\r\n" + body + b"\r\n0;last\r\n\r\n",
            size + b" \t\r\n" + body + b"\r\n0\r\n\r\n",
            b" " + size + b"\r\n" + body + b"\r\n0\r\n\r\n",
            b"0x" + size + b"\r\n" + body + b"\r\n0\r\n\r\n",
            b"-" + size + b"\r\n" + body + b"\r\n0\r\n\r\n",
            b"+" + size + b"\r\n" + body + b"\r\n0\r\n\r\n",
            b"%d" % len(body) + b"\r\n" + body + b"\r\n0\r\n\r\n",
            b"%x" % (len(body) - 3) + b"\r\n" + body + b"\r\n0\r\n\r\n",
            b"%x" % (len(body) + 3) + b"\r\n" + body + b"\r\n0\r\n\r\n",
            b"f" * rng.choice([8, 16, 20, 21, 5000, 110_000]) + b"\r\n" + body,
            b"0" * rng.choice([18, 40]) + size + b"\r\n" + body + b"\r\n0\r\n\r\n",
            b"zz\r\n" + body + b"\r\n0\r\n\r\n",
            b"\r\n" + size + b"\r\n" + body + b"\r\n0\r\n\r\n",
            b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n",
            b"1;" + b"x" * 3000 + b"\r\n \r\n" + size + b"\r\n" + body + b"\r\n0\r\n\r\n",
            in_chunks(rng, b" " * rng.choice([1000, LIMIT]) + body),
            in_chunks(rng, body)[:-5] + b"00000\r\n\r\n",
        ]
    )  # fmt: skip
    return sent(rng, head + wire)


def answer_with_leftovers(rng: random.Random, number: int) -> Answer:
    """Answer, and send more bytes than the answer has."""
    draft = good(number)
    draft.framing = rng.choice(["length", "chunked"])
    draft.line = rng.choice([draft.line, draft.line, b"HTTP/1.1 400 No", b"HTTP/1.1 503 No"])
    if rng.random() < 0.2:  # an answer with one of these has no body, so all of it is left over
        draft.line = rng.choice([b"HTTP/1.1 204 Empty", b"HTTP/1.1 304 Same"])
    poison = good(number + POISON).wire()
    left = rng.choice(
        [
            poison,
            poison,
            poison + poison,
            poison[: rng.randrange(len(poison))],
            b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: ",
            b"\r\n",
            b"\x00",
            b"}",
            b" ",
            rng.randbytes(50),
        ]
    )
    return Answer(draft.wire() + left, rng.choices(["keep", "close"], [9, 1])[0])


def odd_interim(rng: random.Random, number: int) -> Answer:
    """Send interim answers, with a status of 1xx, before the final one or without one."""
    before = rng.choice(
        [
            b"HTTP/1.1 100 Continue\r\n\r\n" * rng.choice([1, 100, 3000]),
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            b"HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 199 \r\nX: " + b"y" * 90_000 + b"\r\n\r\n",
            b"HTTP/1.1 099 Low\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n",
            b"HTTP/1.1 100 Continue\r\nbroken\r\n\r\n",
        ]
    )
    return sent(rng, before + (good(number).wire() if rng.random() < 0.8 else b""))


def no_answer(rng: random.Random, number: int) -> Answer:
    """Send nothing, or bytes that are not an HTTP/1.1 response."""
    raw = rng.choice(
        [
            b"",
            b"",
            b"H",
            b"HTTP/1.1 200 OK\r\n",
            b"\x15\x03\x01\x00\x02\x02\x28",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),
            b"SSH-2.0-OpenSSH\r\n",
            b"\r\n" * 5000,
            b"\n" * rng.choice([1, 200_000]),
            b"x" * 200_000,
            rng.randbytes(rng.choice([1, 10, 1000, 70_000])),
            body_of(meter(number)),
        ]
    )
    return sent(rng, raw, keep=0.05)


def slow_answer(rng: random.Random, number: int) -> Answer:
    """Stop halfway, or send bytes so slowly that the whole takes longer than the call may."""
    draft = good(number)
    draft.line = rng.choice([draft.line, b"HTTP/1.1 429 No", b"HTTP/1.1 500 No"])
    draft.framing = rng.choice(["length", "chunked"])
    raw = draft.wire()
    if rng.random() < 0.9:
        return Answer(raw[: rng.randrange(len(raw))], "keep")
    if rng.random() < 0.5:
        raw = b"HTTP/1.1 100 Continue\r\n\r\n" * 200
        return Answer(raw, "keep", tuple(range(25, len(raw), 25)), READ / 2)
    start = rng.choice([0, raw.index(b"\r\n\r\n") + 4])
    return Answer(raw, "keep", tuple(range(start + 1, len(raw))), READ / 2)
