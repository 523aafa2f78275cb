"""The faults that the sandbox can be asked for, by name."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Literal

from attrs import evolve, frozen

from oneloop.sandbox._answers import BODILESS, Answer, error_answer, phrase, with_header
from oneloop.sandbox._plans import (
    Canned,
    Dripped,
    Padded,
    Plan,
    Silence,
    Truncated,
    WithoutField,
)

MAX_TIMES = 10_000
"""The largest number of times that faults can be queued at once."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?")

_HTML = b"<!doctype html>\n<title>Sign in</title>\n<p>Please sign in to use this network.</p>\n"


@frozen
class Fault:
    """One way to misbehave, for one API call. Create it with the named constructors.

    If a fault `applies`, the call is carried out first, provided that it is valid. Otherwise it is
    not carried out and changes nothing.
    """

    kind: str
    """Its name, as `named` takes it and as the log of requests shows it."""
    applies: bool
    plan: Plan
    """What happens on the connection. Internal to the constructors and the server."""

    @classmethod
    def hang(cls) -> "Fault":
        """Read the request and never answer, until the client goes away or the sandbox stops."""
        return cls("hang", False, Silence(None))

    @classmethod
    def drop_before(cls) -> "Fault":
        """Read the request, then close the connection; nothing is applied."""
        return cls("drop-before", False, Silence("close"))

    @classmethod
    def drop_after(cls) -> "Fault":
        """Apply the request, then close the connection without an answer."""
        return cls("drop-after", True, Silence("close"))

    @classmethod
    def reset_before(cls) -> "Fault":
        """Read the request, then reset the connection (TCP RST); nothing is applied."""
        return cls("reset-before", False, Silence("reset"))

    @classmethod
    def reset_after(cls) -> "Fault":
        """Apply the request, then reset the connection (TCP RST) without an answer."""
        return cls("reset-after", True, Silence("reset"))

    @classmethod
    def raw(cls, data: bytes, *, applies: bool = False) -> "Fault":
        """Write exactly these bytes to the connection, then close it."""
        return cls("raw", applies, Silence("close", data))

    @classmethod
    def rate_limited(
        cls,
        seconds: float | None = 1,
        *,
        form: Literal["seconds", "date", "milliseconds"] = "seconds",
    ) -> "Fault":
        """Answer 429 and ask the client to wait; the call is not applied.

        Args:
            seconds: how long to wait, not negative; None to leave that out.
            form: ``Retry-After`` in seconds (as written, so that 0.5 is sent as such),
                ``Retry-After`` as an HTTP date (that many seconds after the answer, rounded up), or
                ``Retry-After-Ms`` in whole milliseconds.

        Raises:
            ValueError: `seconds` is negative or not finite.
        """
        answer = error_answer(429, phrase(429))
        if seconds is None:
            return cls("429-bare", False, Canned(answer))
        _check_seconds(seconds)
        if form == "date":
            return cls("429-date", False, Canned(answer, seconds))
        if form == "milliseconds":
            milliseconds = str(round(seconds * 1000))
            return cls("429-ms", False, Canned(with_header(answer, "retry-after-ms", milliseconds)))
        return cls("429", False, Canned(with_header(answer, "retry-after", str(seconds))))

    @classmethod
    def status(
        cls,
        code: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        applies: bool = False,
    ) -> "Fault":
        """Answer with any status. Its name is the number.

        Args:
            code: 200 to 599.
            headers: further headers. They may replace ``Content-Type``, which is JSON by default,
                but not ``Content-Length`` or ``Transfer-Encoding`` (see `raw` for that).
            body: by default an error in the documented shape; empty for 204 and 304.
            applies: whether the request is applied first.

        Raises:
            ValueError: HTTP does not allow the code, a header or the body.
        """
        if not 200 <= code <= 599:
            raise ValueError(f"status must be from 200 to 599, not {code}")
        if code in BODILESS and body:
            raise ValueError(f"status {code} cannot have a body")
        answer = error_answer(int(code), phrase(code))
        if code in BODILESS or body is not None:
            answer = evolve(answer, body=body or b"")
        for name, value in (headers or {}).items():
            _check_header(name, value)
            answer = with_header(answer, name.lower(), value)
        return cls(str(int(code)), applies, Canned(answer))

    @classmethod
    def html_page(cls, *, applies: bool = False) -> "Fault":
        """Answer 200 with an HTML page, as the sign-in page of a network does."""
        return cls("html-page", applies, _page("text/html; charset=utf-8", _HTML))

    @classmethod
    def not_json(cls, *, applies: bool = False) -> "Fault":
        """Answer 200 with a body that is declared as JSON and is not."""
        return cls("not-json", applies, _page("application/json", b"{billing: not JSON}"))

    @classmethod
    def empty_body(cls, *, applies: bool = False) -> "Fault":
        """Answer 200 with an empty body that is declared as JSON."""
        return cls("empty-body", applies, _page("application/json", b""))

    @classmethod
    def wrong_shape(cls, without: str = "totalCredits") -> "Fault":
        """Apply the request and leave one field out of the answer, wherever it occurs.

        An answer without that field is sent as it is.
        """
        return cls("wrong-shape", True, WithoutField(without))

    @classmethod
    def large_body(cls, size: int = 16 * 1024 * 1024) -> "Fault":
        """Apply the request and pad the answer, so that its body is `size` bytes long.

        The body is valid JSON. It is longer if `size` (by default 16 MiB) is too small for it.
        """
        return cls("large-body", True, Padded(size))

    @classmethod
    def truncated_body(cls) -> "Fault":
        """Apply the request, announce the whole answer, send half of the body, then close."""
        return cls("truncated-body", True, Truncated())

    @classmethod
    def slow_body(cls, seconds: float = 5.0) -> "Fault":
        """Apply the request and send the body of the answer byte by byte, over `seconds`.

        Raises:
            ValueError: `seconds` is negative or not finite.
        """
        _check_seconds(seconds)
        return cls("slow-body", True, Dripped("body", seconds))

    @classmethod
    def slow_headers(cls, seconds: float = 5.0) -> "Fault":
        """Apply the request and send the head of the answer byte by byte, over `seconds`.

        Raises:
            ValueError: `seconds` is negative or not finite.
        """
        _check_seconds(seconds)
        return cls("slow-headers", True, Dripped("head", seconds))

    @classmethod
    def named(cls, name: str) -> "Fault":
        """Return the fault of that name, with the default arguments of its constructor.

        Raises:
            ValueError: there is no such name; the message lists all names.
        """
        if name not in _NAMED:
            raise ValueError(f"unknown fault {name!r}; known are: {', '.join(cls.names())}")
        return _NAMED[name]()

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return all names that `named` takes, sorted."""
        return tuple(sorted(_NAMED))


_NAMED: dict[str, Callable[[], Fault]] = {
    "hang": Fault.hang,
    "drop-before": Fault.drop_before,
    "drop-after": Fault.drop_after,
    "reset-before": Fault.reset_before,
    "reset-after": Fault.reset_after,
    "429": Fault.rate_limited,
    "429-bare": lambda: Fault.rate_limited(None),
    "429-date": lambda: Fault.rate_limited(form="date"),
    "429-ms": lambda: Fault.rate_limited(form="milliseconds"),
    "500": lambda: Fault.status(500),
    "503": lambda: Fault.status(503),
    # As Cloudflare, which defines this status, sends it to clients that are not browsers.
    "520": lambda: Fault.status(
        520, headers={"content-type": "text/plain; charset=UTF-8"}, body=b"error code: 520"
    ),
    "html-page": Fault.html_page,
    "not-json": Fault.not_json,
    "empty-body": Fault.empty_body,
    "wrong-shape": Fault.wrong_shape,
    "large-body": Fault.large_body,
    "truncated-body": Fault.truncated_body,
    "slow-body": Fault.slow_body,
    "slow-headers": Fault.slow_headers,
}


def _page(content_type: str, body: bytes) -> Canned:
    return Canned(Answer(200, (("content-type", content_type),), body))


def _check_seconds(seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"seconds must be finite and not negative, not {seconds}")


def _check_header(name: str, value: str) -> None:
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        raise ValueError(f"not an HTTP header: {name!r}: {value!r}")
    if name.lower() in ("content-length", "transfer-encoding"):
        raise ValueError(f"{name} is set by the sandbox; send a broken one with Fault.raw")
