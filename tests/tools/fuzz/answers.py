"""Answers as bytes, the cases they belong to, and the correct answer that the others start from."""

import random
from dataclasses import dataclass, field

KEY = "sdk_fuzz_0123456789abcdef"
LIMIT = 128 * 1024
"""`max_response_bytes` of the clients: small, so that answers above it take little time."""

READ = 0.25
"""The read timeout in seconds where an answer may stop halfway."""

PROBE, POISON = 5_000_000, 7_000_000
"""Added to a case's number to mark the answer to its probe, and a surplus answer."""


@dataclass(frozen=True)
class Answer:
    """The bytes that answer one request, and what happens to the connection afterwards.

    Attributes:
        raw: The bytes.
        after: `close`, `keep` or `reset`.
        cuts: Where the bytes are cut into pieces.
        pause: Seconds between the pieces.
    """

    raw: bytes
    after: str = "close"
    cuts: tuple[int, ...] = ()
    pause: float = 0.0


@dataclass(frozen=True)
class Case:
    """One call and its answers, one for each attempt; further attempts get the last one again.

    Attributes:
        left: For a probe, whether the bytes before it leave something for it on the connection,
            or may do so, as it is not certain where their answer ends.
    """

    number: int
    family: str
    answers: tuple[Answer, ...]
    probe: bool = False
    left: bool = False

    @property
    def key(self) -> str:
        """The meter name that the call sends, by which the server finds the answers."""
        return f"{'probe' if self.probe else 'case'}-{self.number}"

    def answer(self, attempt: int) -> Answer:
        """Return the answer to an attempt, from 1."""
        return self.answers[min(attempt, len(self.answers)) - 1]


@dataclass
class Draft:
    """A correct answer, whose parts can be changed before it becomes bytes."""

    mark: int
    line: bytes = b"HTTP/1.1 200 OK"
    headers: list[bytes] = field(default_factory=lambda: [b"Content-Type: application/json"])
    body: bytes = b""
    framing: str = "length"

    def wire(self) -> bytes:
        """Return the answer as bytes."""
        headers, body = list(self.headers), self.body
        if self.framing == "length":
            headers.append(b"Content-Length: %d" % len(body))
        elif self.framing == "chunked":
            headers.append(b"Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        return b"\r\n".join([self.line, *headers, b"", body])


def meter(mark: int) -> dict[str, str]:
    """Return the fields of a meter as JSON texts. Three of them identify the case."""
    return {
        "id": f'"meter_{mark}"',
        "totalCredits": f'"{10**12 + mark}"',
        "usedCredits": f'"{mark % 997}"',
        "allowOverages": "true" if mark % 2 else "false",
        "spendCap": "null" if mark % 3 else f'"{mark}"',
        "createdAt": '"2026-11-23T10:15:00.000Z"',
        "updatedAt": f'"2026-11-23T10:15:{mark % 60:02}.{mark % 1000:03}Z"',
        "call": str(mark),
    }


def body_of(fields: dict[str, str], rest: str = "") -> bytes:
    """Return the body of an answer with these fields in its meter, and `rest` beside it."""
    inner = ",".join(f'"{name}":{value}' for name, value in fields.items())
    return f'{{"billing":{{{inner}}}{rest}}}'.encode("utf-8", "surrogatepass")


def good(mark: int) -> Draft:
    """Return the correct answer to a case."""
    return Draft(mark, body=body_of(meter(mark)))


def _ending(rng: random.Random) -> str:
    return rng.choices(["close", "keep", "reset"], [80, 15, 5])[0]


def sent(rng: random.Random, raw: bytes, *, keep: float = 0.3) -> Answer:
    """Return an answer of these bytes, sometimes in two pieces, with a random `after`."""
    after = "keep" if rng.random() < keep else _ending(rng)
    cut = rng.random() < 0.05 and len(raw) > 1
    return Answer(raw, after, (rng.randrange(1, len(raw)),) if cut else (), 0.002)


def in_chunks(rng: random.Random, body: bytes) -> bytes:
    """Return a body in valid chunks of random sizes."""
    wire = b""
    while body:
        size = rng.randrange(1, max(2, len(body)))
        size_line = rng.choice([b"%x", b"%X", b"0%x"]) % size
        wire += size_line + b"\r\n" + body[:size] + b"\r\n"
        body = body[size:]
    return wire + b"0\r\n\r\n"
