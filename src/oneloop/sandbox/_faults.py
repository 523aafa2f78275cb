"""The ways in which the sandbox can misbehave, as data and by name."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Literal

from attrs import evolve, field, frozen

from oneloop.sandbox._answers import BODILESS, Answer, error_answer, phrase, with_header
from oneloop.sandbox._plans import (
    Canned,
    Doubled,
    Dripped,
    Padded,
    Plan,
    Silence,
    Truncated,
    WithoutField,
)

MAX_TIMES = 10_000
"""The largest number of times that faults can be queued at once."""

_LARGEST = 1024**3
_LONGEST = 10**9

_STATUS = re.compile(r"[2-5][0-9][0-9]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?")

_HTML = b"<!doctype html>\n<title>Sign in</title>\n<p>Please sign in to use this network.</p>\n"


@frozen
class Fault:
    """One way to misbehave, for one API call. Create it with the named constructors.

    If a fault `applies`, the call is carried out first, provided that it is valid. If it has a
    `delay`, the call is carried out later. Otherwise it is not carried out and changes nothing.
    """

    kind: str
    """Its name, as `named` takes it and as the log of requests shows it."""
    applies: bool
    plan: Plan
    """What happens on the connection. Internal to the constructors and the server."""
    delay: float | None = None
    """Seconds from the end of the exchange until the call is carried out; None for never later."""

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
    def late_apply(
        cls, seconds: float = 1.0, *, ending: Literal["hang", "drop", "504"] = "hang"
    ) -> "Fault":
        """Carry out the call only after the client has gone, as a slow server behind a proxy does.

        A client that then looks whether the call took effect finds that it did not, and later it
        does. `Sandbox.apply_late` carries such calls out at once.

        Args:
            seconds: how long after the end of the exchange, in real time.
            ending: what the client sees first: nothing until it gives up, a closed connection, or
                504 in the documented shape.

        Raises:
            ValueError: `seconds` is negative or more than 1,000,000,000, or there is no such
                `ending`.
        """
        _check_seconds(seconds)
        plans: dict[str, tuple[str, Plan]] = {
            "hang": ("late-apply", Silence(None)),
            "drop": ("late-drop", Silence("close")),
            "504": ("late-504", Canned(error_answer(504, phrase(504)))),
        }
        if ending not in plans:
            raise ValueError(f"ending must be one of {', '.join(plans)}, not {ending!r}")
        name, plan = plans[ending]
        return cls(name, False, plan, seconds)

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
            ValueError: `seconds` is negative or more than 1,000,000,000.
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

        Raises:
            ValueError: `size` is negative or more than 1 GiB.
        """
        if not 0 <= size <= _LARGEST:
            raise ValueError(f"size must be from 0 to {_LARGEST}, not {size}")
        return cls("large-body", True, Padded(size))

    @classmethod
    def truncated_body(cls) -> "Fault":
        """Apply the request, announce the whole answer, send half of the body, then close."""
        return cls("truncated-body", True, Truncated())

    @classmethod
    def duplicate_answer(cls) -> "Fault":
        """Apply the request and send the answer twice on the connection, which stays open.

        A client that uses the connection again could take the second one for the next answer.
        """
        return cls("duplicate-answer", True, Doubled())

    @classmethod
    def slow_body(cls, seconds: float = 5.0) -> "Fault":
        """Apply the request and send the body of the answer byte by byte, over `seconds`.

        Raises:
            ValueError: `seconds` is negative or more than 1,000,000,000.
        """
        _check_seconds(seconds)
        return cls("slow-body", True, Dripped("body", seconds))

    @classmethod
    def slow_headers(cls, seconds: float = 5.0) -> "Fault":
        """Apply the request and send the head of the answer byte by byte, over `seconds`.

        Raises:
            ValueError: `seconds` is negative or more than 1,000,000,000.
        """
        _check_seconds(seconds)
        return cls("slow-headers", True, Dripped("head", seconds))

    @classmethod
    def named(cls, name: str, **parameters: object) -> "Fault":
        """Return the fault of that name.

        Args:
            name: one of `names`, or a status from "200" to "599". Calls that are answered with 2xx
                are carried out, all others are not, unless the parameter `applies` says so.
            parameters: those of `NamedFault.parameters`; by default as docs/sandbox.md says.

        Raises:
            ValueError: there is no such name (the message lists all names), or the fault does not
                take a parameter, or not that value.
        """
        found = _BY_NAME.get(name)
        if found is None and _STATUS.fullmatch(name):
            found = _named_status(name)
        if found is None:
            known = ", ".join(cls.names())
            raise ValueError(
                f"unknown fault {name!r}; known are: {known}, and any status from 200 to 599"
            )
        unknown = next((one for one in parameters if one not in found.parameters), None)
        if unknown is not None:
            known = ", ".join(found.parameters) or "none"
            raise ValueError(f"{unknown}: fault {name!r} has no such parameter; it has: {known}")
        return found.make(**parameters)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return all names that `named` takes, sorted, without the other statuses."""
        return tuple(sorted(_BY_NAME))


@frozen
class NamedFault:
    """A fault that can be asked for by name."""

    name: str
    what: str
    """What the client sees."""
    make: Callable[..., Fault] = field(repr=False)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of its parameters, all of which have defaults."""
        return tuple(inspect.signature(self.make).parameters)


def _status(
    code: int, otherwise: str | None = None, media_type: str | None = None
) -> Callable[..., Fault]:
    # A call that is answered with success has been carried out, unless somebody wants otherwise.
    is_success = 200 <= code <= 299

    def make(
        body: str | None = otherwise,
        headers: Mapping[str, str] | None = None,
        applies: bool = is_success,
    ) -> Fault:
        declared = {} if media_type is None else {"content-type": media_type}
        encoded = None if body is None else body.encode()
        return Fault.status(
            code, headers=declared | dict(headers or {}), body=encoded, applies=applies
        )

    return make


def _named_status(code: str) -> NamedFault:
    return NamedFault(code, f"{code} in the documented shape", _status(int(code)))


def _rate_limited(form: Literal["seconds", "date", "milliseconds"]) -> Callable[..., Fault]:
    def make(seconds: float = 1) -> Fault:
        return Fault.rate_limited(seconds, form=form)

    return make


def _late(ending: Literal["hang", "drop", "504"]) -> Callable[..., Fault]:
    def make(seconds: float = 1.0) -> Fault:
        return Fault.late_apply(seconds, ending=ending)

    return make


def _raw(data: str = "not HTTP\r\n\r\n", applies: bool = False) -> Fault:
    return Fault.raw(data.encode(), applies=applies)


FAULTS = (
    NamedFault("hang", "no answer, until it gives up", Fault.hang),
    NamedFault("drop-before", "the connection is closed", Fault.drop_before),
    NamedFault("drop-after", "the connection is closed", Fault.drop_after),
    NamedFault("reset-before", "the connection is reset (TCP RST)", Fault.reset_before),
    NamedFault("reset-after", "the connection is reset (TCP RST)", Fault.reset_after),
    NamedFault("late-apply", "no answer, until it gives up", _late("hang")),
    NamedFault("late-drop", "the connection is closed", _late("drop")),
    NamedFault("late-504", "504 in the documented shape", _late("504")),
    NamedFault("429", "429 with `Retry-After: 1`", _rate_limited("seconds")),
    NamedFault(
        "429-bare", "429 that does not say how long to wait", lambda: Fault.rate_limited(None)
    ),
    NamedFault("429-date", "429 with a date in `Retry-After`", _rate_limited("date")),
    NamedFault("429-ms", "429 with `Retry-After-Ms: 1000`", _rate_limited("milliseconds")),
    _named_status("500"),
    _named_status("503"),
    NamedFault(
        "520",
        "520 in plain text, as Cloudflare sends it",
        # Cloudflare defines this status, and answers like this to clients that are not browsers.
        _status(520, "error code: 520", "text/plain; charset=UTF-8"),
    ),
    NamedFault(
        "html-page", "200 with an HTML page, as the sign-in page of a network is", Fault.html_page
    ),
    NamedFault("not-json", "200 with a body that is not JSON", Fault.not_json),
    NamedFault("empty-body", "200 without a body", Fault.empty_body),
    NamedFault("wrong-shape", "the answer without `totalCredits`", Fault.wrong_shape),
    NamedFault("large-body", "the answer, padded to 16 MiB", Fault.large_body),
    NamedFault(
        "truncated-body", "the answer, cut off halfway through its body", Fault.truncated_body
    ),
    NamedFault("duplicate-answer", "the answer, twice on one connection", Fault.duplicate_answer),
    NamedFault("slow-body", "the answer, its body in single bytes over 5 seconds", Fault.slow_body),
    NamedFault(
        "slow-headers", "the answer, its headers in single bytes over 5 seconds", Fault.slow_headers
    ),
    NamedFault("raw", "bytes that are not HTTP", _raw),
)
"""Everything that has a name of its own. Other statuses are their own names."""

_BY_NAME = {one.name: one for one in FAULTS}


def _page(content_type: str, body: bytes) -> Canned:
    return Canned(Answer(200, (("content-type", content_type),), body))


def _check_seconds(seconds: float) -> None:
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"seconds must be from 0 to {_LONGEST}, not {str(seconds)[:40]}")


def _check_header(name: str, value: str) -> None:
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        raise ValueError(f"not an HTTP header: {name!r}: {value!r}")
    if name.lower() in ("content-length", "transfer-encoding"):
        raise ValueError(f"{name} is set by the sandbox; send a broken one with Fault.raw")
