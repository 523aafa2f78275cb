"""Cases by their numbers: which answers a call gets, and mutations of their bytes."""

import gzip
import random
import zlib
from collections.abc import Callable
from dataclasses import replace

from .answers import LIMIT, Answer, Case, Draft, body_of, good, in_chunks, meter, sent
from .body_families import error_answer, error_envelope, odd_encoding, odd_fields, odd_text
from .http_families import (
    RETRY_AFTERS,
    answer_with_leftovers,
    any_status,
    no_answer,
    odd_chunks,
    odd_headers,
    odd_interim,
    odd_status_line,
    slow_answer,
)


def plain_answer(rng: random.Random, number: int) -> Answer:
    """Answer correctly, in one of the many ways that HTTP and JSON allow."""
    draft = good(number)
    if rng.random() < 0.3:
        draft.body = rng.choice([b" \r\n\t", b"\xef\xbb\xbf", b"\n" * 9]) + draft.body
    if rng.random() < 0.3:
        draft.body = draft.body.replace(b'"id"', rb'"\u0069d"').replace(b"meter", rb"m\u0065ter")
    if rng.random() < 0.3:
        more = ['"é漢😀"', '"\\ud83d\\ude00"', "[[],{}]", "1.5e-7", '{"":null}', str(-(2**70))]
        draft.body = body_of(meter(number) | {"note": rng.choice(more)}, ',"next":[1,"x"]')
    coding = rng.random()
    if coding < 0.2:
        draft.headers.append(rng.choice([b"Content-Encoding: gzip", b"content-encoding:x-gzip"]))
        draft.body = gzip.compress(draft.body, rng.randrange(10), mtime=0)
    elif coding < 0.3:
        draft.headers.append(b"Content-Encoding:\tdeflate ")
        draft.body = zlib.compress(draft.body)
    draft.framing = rng.choice(["length", "length", "chunked", "none"])
    if draft.framing == "chunked" and rng.random() < 0.7:
        raw = replace(draft, framing="none").wire()
        raw = raw.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: Chunked\r\n\r\n", 1)
        head, _, body = raw.partition(b"\r\n\r\n")
        return sent(rng, head + b"\r\n\r\n" + in_chunks(rng, body))
    draft.line = rng.choice(
        [draft.line, draft.line, b"HTTP/1.0 200 OK", b"HTTP/1.1 201 ", b"HTTP/1.1 299 ok then"]
    )
    if draft.framing == "chunked":
        draft.line = b"HTTP/1.1 200 OK"
    before = b""
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        before += rng.choice(
            [
                b"HTTP/1.1 100 Continue\r\n\r\n",
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
                b"HTTP/1.1 102 \r\n\r\n",
            ]
        )
    if draft.framing == "none":
        return Answer(before + draft.wire(), "close")
    return sent(rng, before + draft.wire(), keep=0.7)


def retried_answers(rng: random.Random, number: int) -> tuple[Answer, ...]:
    """Answer 429 up to three times, mostly with a Retry-After, and then mostly something else."""
    answers = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        draft = Draft(number, b"HTTP/1.1 429 Too Many Requests", body=error_envelope(rng))
        if rng.random() < 0.7:
            value = rng.choice(RETRY_AFTERS)
            if rng.random() < 0.2:
                value = mutated(rng, rng.choice(RETRY_AFTERS[-18:]))
                value = value.replace(b"\r", b"").replace(b"\n", b"")
            name = rng.choice([b"Retry-After", b"Retry-After", b"retry-after-ms"])
            draft.headers.append(name + b": " + value)
        if rng.random() < 0.2:
            draft.headers.append(b"Retry-After: 0")
        answers.append(sent(rng, draft.wire(), keep=0.6))
    if rng.random() < 0.7:
        last = rng.choice(
            [plain_answer, plain_answer, any_status, odd_text, mutated_answer, no_answer]
        )
        answers.append(last(rng, number))
    return tuple(answers)


def mutated(rng: random.Random, raw: bytes) -> bytes:
    """Return bytes with up to eight random changes."""
    data = bytearray(raw)
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        at = rng.randrange(len(data) + 1)
        if rng.random() < 0.4:  # most bytes belong to the body, and the head is as interesting
            at = rng.randrange(min(len(data), 120) + 1)
        size = rng.choice([1, 1, 1, 2, 4, 20])
        match rng.randrange(8):
            case 0 | 1 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 2 if at < len(data):
                data[at] = rng.randrange(256)
            case 3:
                data[at:at] = rng.randbytes(size)
            case 4:
                del data[at : at + size]
            case 5:
                data[at:at] = data[at : at + size * 4]
            case 6:
                data[at:at] = rng.choice(TOKENS)
            case _ if rng.random() < 0.3:
                del data[at:]
    return bytes(data)


TOKENS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\x00", b"\xff", b"\xef\xbb\xbf", b"{", b"}", b"[", b'"',
    b"\\", b"0", b"9", b"-", b",", b":", b" ", b"\t", b"null", b"NaN", b"\\u0000", b"\\ud800",
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 429 \r\n\r\n", b"0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Encoding: gzip\r\n",
]  # fmt: skip


def mutated_answer(rng: random.Random, number: int) -> Answer:
    """Answer with the mutated bytes of another answer."""
    make = rng.choice(
        [
            plain_answer,
            plain_answer,
            plain_answer,
            error_answer,
            odd_chunks,
            odd_fields,
            odd_encoding,
        ]
    )
    raw = make(rng, number).raw
    return Answer(mutated(rng, raw[: 2 * LIMIT]), rng.choices(["close", "keep"], [9, 1])[0])


FAMILIES: dict[str, Callable[[random.Random, int], Answer | tuple[Answer, ...]]] = {
    "plain": plain_answer,
    "status": any_status,
    "status line": odd_status_line,
    "headers": odd_headers,
    "chunked": odd_chunks,
    "encoding": odd_encoding,
    "text": odd_text,
    "fields": odd_fields,
    "errors": error_answer,
    "retries": retried_answers,
    "bytes": mutated_answer,
    "leftovers": answer_with_leftovers,
    "informational": odd_interim,
    "nothing": no_answer,
    "slow": slow_answer,
}
WEIGHTS = [10, 7, 5, 8, 6, 8, 8, 12, 6, 6, 22, 5, 2, 2, 0.5]


def case_of(seed: int, number: int) -> Case:
    """Return a case, which depends only on the seed and the number."""
    rng = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable, not secret
    family = rng.choices(list(FAMILIES), WEIGHTS)[0]
    answers = FAMILIES[family](rng, number)
    return Case(number, family, answers if isinstance(answers, tuple) else (answers,))
