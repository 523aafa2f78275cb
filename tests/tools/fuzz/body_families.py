"""Answers that are odd or broken inside of HTTP: content encodings, JSON texts and fields."""

import gzip
import json
import random
import zlib

from .answers import KEY, LIMIT, Answer, Draft, body_of, good, meter, sent


def odd_encoding(rng: random.Random, number: int) -> Answer:
    """Answer with a content encoding that is broken, wrong or unusual."""
    draft = good(number)
    body = draft.body
    packed = gzip.compress(body, mtime=0)
    half = len(body) // 2
    cut = rng.randrange(len(packed))
    draft.body = rng.choice(
        [
            body,
            packed,
            packed[:cut],
            packed[:-8],
            packed[:-1],
            packed[: cut or 1] + b"\xff" + packed[cut + 1 :],
            packed[:3] + b"\xff" + packed[4:],
            packed + b"\x00" * 40,
            packed + b"garbage",
            packed + packed,
            gzip.compress(body[:half], mtime=0) + gzip.compress(body[half:], mtime=0),
            packed + gzip.compress(b" \n", mtime=0),
            packed + gzip.compress(b',"more":1}', mtime=0),
            gzip.compress(b"", mtime=0) + packed,
            packed + packed[:12],
            gzip.compress(packed, mtime=0),
            gzip.compress(b" " * rng.choice([LIMIT - len(body), LIMIT, 5 * LIMIT]) + body, mtime=0),
            gzip.compress(b"", mtime=0),
            b"",
            zlib.compress(body),
            zlib.compress(body)[:-2],
            zlib.compress(body)[2:-4],
            zlib.compress(body) + b"more",
            rng.randbytes(200),
        ]
    )
    draft.headers += rng.choice(
        [[b"Content-Encoding: gzip"]] * 8
        + [[b"Content-Encoding: deflate"]] * 3
        + [[b"Content-Encoding: " + value] for value in CODINGS]
        + [[b"Content-Encoding: gzip", b"Content-Encoding: gzip"], []]
    )
    if rng.random() < 0.15:
        draft.line = b"HTTP/1.1 %d No" % rng.choice([302, 400, 404, 500, 503])
    draft.framing = rng.choice(["length", "chunked", "none"])
    return sent(rng, draft.wire())


CODINGS = [b"GZIP", b"x-gzip", b"identity", b"br", b"zstd", b"gzip, gzip", b"gzip, identity", b"",
           b"gz\xffip", b"compress", b"x" * 5000, KEY.encode()]  # fmt: skip


def odd_text(rng: random.Random, number: int) -> Answer:
    """Answer with a body that is broken, deep, large or unusual as a text or as JSON."""
    draft = good(number)
    fields, body = meter(number), draft.body
    text = body.decode()
    deep = rng.choice([90, 98, 99, 100, 101, 1000, 10_000, 60_000])
    opening, closing = rng.choice([("[", "]"), ('{"a":', "}"), ('[{"b":', "}]")])
    nest = opening * min(deep, LIMIT // 12) + "1" + closing * min(deep, LIMIT // 12)
    draft.body = rng.choice(
        [
            b"\xef\xbb\xbf" + body,
            b"\xef\xbb\xbf" * 2 + body,
            text.encode("utf-16"),
            text.encode("utf-16-le"),
            text.encode("utf-32"),
            text.encode("utf-16-be"),
            body.replace(b"meter", b"m\xffter"),
            body.replace(b"meter", b"m\xed\xa0\x80ter"),
            body.replace(b"meter", b"m\xc0\xafter"),
            body.replace(b"meter", b"m\x00ter"),
            body.replace(b"meter", b"me\nter"),
            body + b"\x00",
            body + b",",
            body + body,
            b"\n" + body + b"\n\n",
            body + b"\xa0",
            b"\x0c" + body,
            body[: rng.randrange(len(body))],
            body.replace(b'"', b"'"),
            body.replace(b",", b",,", 1),
            body[:-2] + b",}}",
            b")]}',\n" + body,
            b"/* */" + body,
            b"",
            b" ",
            b"null",
            b"[]",
            b"{}",
            b'""',
            b"1",
            b'{"billing":null}',
            b'{"billing":null,"billing":{}}',
            b'{"billing":{},"billing":null}',
            body_of(fields, f',"billing":{rng.choice(WEIRD)}'),
            body.replace(b'"id":', b'"id":5,"id":'),
            body.replace(b'"call":', b'"totalCredits":"5","call":'),
            body.replace(b'"id":', b'"ID":'),
            b"<!doctype html><title>502</title>" + KEY.encode(),
            rng.randbytes(rng.choice([1, 30, 3000])),
            nest.encode(),
            body_of(fields | {"note": nest}),
            body_of(fields | {"note": json.dumps(nest)}),
            body_of(fields | {"note": json.dumps('\\"[' * 300)}),
            b'{"billing":' * 5000,
            b"[" * rng.choice([101, LIMIT // 2]),
            b'"' + b"\\" * 20001,
            b"]" * 500 + b"[" * 500,
            b" " * rng.choice([LIMIT - len(body), LIMIT - len(body) + 1, LIMIT * 2]) + body,
            body_of(fields, "".join(f',"k{index}":{index}' for index in range(3000))),
        ]
    )
    if rng.random() < 0.1:
        draft.line = b"HTTP/1.1 %d No" % rng.choice([400, 401, 422, 500])
    return sent(rng, draft.wire())


WEIRD = [
    "null", "true", "false", "0", "-1", "-0", "1.0", "1e3", "1E400", "-1.5e-7", "-0.0", "[]", "{}",
    "12345678901234567890123", "NaN", "Infinity", "-Infinity", "nul", "01", "1.", ".5", "+1", "-",
    "9" * 4300, "9" * 4301, "-" + "9" * 4300, "9" * 60_000, "1" + "0" * 5000 + ".5", "0x1F", "'x'",
    "1e99999999999",
    '""', '"0"', '"007"', '" 1"', '"1 "', '"+1"', '"-1"', '"1_000"', '"1e3"', '"0x10"', '"1.0"',
    '"١٢٣"', '"\uff11\uff12"', '"²"', '"\\u0661"', '"1\\u0000"', '"1\\n"', '"Ⅷ"', '"९"', '"1٢"',
    f'"{"9" * 4300}"', f'"{"9" * 4301}"', f'"{"0" * 4300}1"', f'"{"9" * 60_000}"',
    '{"a":1}', '[null]', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"é"',
    '"a\tb"', '"\\x"', '"\\u12"', f'"{"x" * 60_000}"', '"\u2028\u0085"', f'"{KEY}"',
    '"2026-11-23"', '"2026-11-23T10:15:00"', '"2026-11-23T24:00:00Z"', '"2026-02-30T10:15:00Z"',
    '"2026-11-23T10:15:00+24:00"', '"2026-11-23T10:15:00+99:99"', '"2026-11-23t10:15:00z"',
    '"9999-12-31T23:59:59-23:59"', '"0001-01-01T00:00:00+23:59"', '"2026-11-23T10:15:60Z"',
    f'"2026-11-23T10:15:00.{"1" * 40}Z"', '"2026-W48-1T10:15:00Z"', '"10000-01-01T00:00:00Z"',
    '"2026-11-23T10:15Z"', '"2026-11-23 10:15:00.5+05:30"', '"٢٠٢٦-11-23T10:15:00Z"',
    '"0000-00-00T00:00:00Z"', '"2026-11-23T10:15:00+00:00:00.000001"', '"2026-11-23T10:15:00ß"',
    '"2026-11-23TZ"', '"2026-11-23T10:15:00.Z"', '"2026-11-23T10:15:00.123456789Z"',
    '"2026-11-23T10:15:00-00:00"', '"2026-11-23T10:15:00,5Z"', "1795428900000", '"1795428900"',
    '"2026-11-23\\ud800"', '"2026-11-23T\\ud80010:00"', '"Mon, 23 Nov 2026 10:15:00 GMT"',
]  # fmt: skip


def odd_fields(rng: random.Random, number: int) -> Answer:
    """Answer with a meter whose fields are missing, of another type or unusual."""
    fields = meter(number)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        name = rng.choice([*fields, "more", "", "__class__", "self", "additional_properties"])
        if rng.random() < 0.15:
            fields.pop(name, None)
        else:
            fields[name] = rng.choice(WEIRD)
    draft = Draft(number, body=body_of(fields))
    if rng.random() < 0.05:
        fields = dict.fromkeys(fields, "null")
    if rng.random() < 0.1:
        draft.body = f'{{"billing":{rng.choice(WEIRD)}}}'.encode("utf-8", "surrogatepass")
    if rng.random() < 0.05:
        draft.body = rng.choice(WEIRD).encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        draft.body = body_of(fields, f',"more":{rng.choice(WEIRD)}')
    return sent(rng, draft.wire(), keep=0.6)


def error_envelope(rng: random.Random) -> bytes:
    """Return the body of an error, sometimes with a broken or an unusual envelope."""
    code = rng.choice([*WEIRD, "400", "403", "4000", '"x"'])
    message = rng.choice(
        [
            *WEIRD,
            '"No."',
            '"two\\nlines"',
            '"\\r\\n\\u2028\\u2029\\u0085\\u001b[31mred\\u0007"',
            f'"{"m" * 5000}"',
            f'"the key {KEY} is wrong"',
            '"\\u0073dk_fuzz_0123456789abcdef"',
            '"\\u202e\\u200b"',
        ]
    )
    error = rng.choice([f'{{"code":{code},"message":{message}}}'] * 5 + [code, message, "{}"])
    body = rng.choice([f'{{"error":{error}}}'] * 6 + [error, f'{{"error":{error}', "[]"])
    if rng.random() < 0.05:  # the key where an error cuts the body off
        body = body[:-1] + " " * (64 * 1024 - len(body) - rng.randrange(len(KEY))) + KEY
    return body.encode("utf-8", "surrogatepass")


def error_answer(rng: random.Random, number: int) -> Answer:
    """Answer with the status and the body of an error."""
    draft = Draft(number, body=error_envelope(rng))
    status = rng.choice([400, 401, 403, 404, 409, 422, 418, 500, 503, 529, 301, 307, 600, 200])
    draft.line = b"HTTP/1.1 %d %s" % (status, rng.choice([b"No", b"", KEY.encode(), b"\x85"]))
    if rng.random() < 0.5:
        name = rng.choice([b"X-Request-Id", b"request-id", b"CF-Ray", b"Location", b"Retry-After"])
        value = rng.choice([b"req_1", b"", b"a\x1cb", b"\x85\xff", b"r" * 5000, KEY.encode()])
        draft.headers.append(name + b": " + value)
    draft.framing = rng.choice(["length", "length", "chunked", "none"])
    return sent(rng, draft.wire())
