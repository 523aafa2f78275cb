"""What a fault does on the connection, as data. `Delivery` carries it out."""

import json
import math
from collections.abc import Iterator
from email.utils import formatdate
from typing import Literal

from attrs import evolve, field, frozen

from oneloop.sandbox._answers import Answer, head, json_body, with_header

Ending = Literal["close", "reset"]

Step = bytes | float | Ending
"""Bytes to write, seconds to wait, or how to end the connection."""


@frozen
class Performance:
    """What happens to one call."""

    status: int | None
    """The status that the client gets; None if it gets no answer, or only raw bytes."""
    show: Answer | Iterator[Step]
    """An answer to send, or steps to carry out on the connection instead. If the steps do not end
    it, the client is left waiting."""


@frozen
class Silence:
    """No answer, at most raw bytes; then the ending, or no end if that is None."""

    ending: Ending | None
    data: bytes = field(default=b"", repr=False)

    def perform(self, genuine: Answer, now: float) -> Performance:
        """Ignore the genuine answer."""
        end = () if self.ending is None else (self.ending,)
        return Performance(None, iter((self.data, *end)))


@frozen
class Canned:
    """An answer that does not depend on the request."""

    answer: Answer
    retry_after_date: float | None = None
    """Seconds from the answer to the date in its Retry-After; None for no such header."""

    def perform(self, genuine: Answer, now: float) -> Performance:
        """Ignore the genuine answer; the date in Retry-After is rounded up to a whole second."""
        answer = self.answer
        if self.retry_after_date is not None:
            date = formatdate(math.ceil(now + self.retry_after_date), usegmt=True)
            answer = with_header(answer, "retry-after", date)
        return Performance(answer.status, answer)


@frozen
class WithoutField:
    """The genuine answer without one field. An answer without that field stays as it is."""

    name: str

    def perform(self, genuine: Answer, now: float) -> Performance:
        """Leave the field out of every object in the answer."""
        if not genuine.body:
            return Performance(genuine.status, genuine)

        def pruned(members: dict[str, object]) -> dict[str, object]:
            return {key: value for key, value in members.items() if key != self.name}

        body = json_body(json.loads(genuine.body, object_hook=pruned))
        return Performance(genuine.status, evolve(genuine, body=body))


@frozen
class Padded:
    """The genuine answer, made `size` bytes long. An answer without a body stays as it is."""

    size: int

    def perform(self, genuine: Answer, now: float) -> Performance:
        """Add a field, empty if there is no room, to an object; add spaces to any other JSON."""
        body = genuine.body
        if body.startswith(b"{"):
            comma = b"" if body == b"{}" else b","
            opened = body[:-1] + comma + b'"padding":"'
            body = opened + b"x" * (self.size - len(opened) - 2) + b'"}'
        elif body:
            body = body.ljust(self.size)
        return Performance(genuine.status, evolve(genuine, body=body))


@frozen
class Truncated:
    """The genuine answer, cut off halfway through its body."""

    def perform(self, genuine: Answer, now: float) -> Performance:
        """Declare the full length, then close."""
        half = genuine.body[: len(genuine.body) // 2]
        return Performance(genuine.status, iter((head(genuine, now, closing=True) + half, "close")))


@frozen
class Doubled:
    """The genuine answer, followed by a copy of itself on a connection that stays open."""

    def perform(self, genuine: Answer, now: float) -> Performance:
        """Send both at once, then wait for the client to close the connection."""
        answer = head(genuine, now) + genuine.body
        return Performance(genuine.status, iter((answer * 2,)))


@frozen
class Dripped:
    """The genuine answer, one part of it sent byte by byte over `seconds`."""

    part: Literal["head", "body"]
    seconds: float

    def perform(self, genuine: Answer, now: float) -> Performance:
        """Wait before each byte of the slow part; send the other part at once."""
        top = head(genuine, now, closing=True)
        if self.part == "head":
            steps = _drip(b"", top, genuine.body, self.seconds)
        else:
            steps = _drip(top, genuine.body, b"", self.seconds)
        return Performance(genuine.status, steps)


Plan = Silence | Canned | WithoutField | Padded | Truncated | Doubled | Dripped


def _drip(first: bytes, slow: bytes, last: bytes, seconds: float) -> Iterator[Step]:
    yield first
    for index in range(len(slow)):
        yield seconds / len(slow)
        yield slow[index : index + 1]
    yield last
    yield "close"
