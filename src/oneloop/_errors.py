"""The errors that a call ends in.

    OneloopError
    ├── ArgumentError                an argument may not be sent
    │   ├── ArgumentTypeError        (also a TypeError)
    │   └── ArgumentValueError       (also a ValueError)
    ├── DecodeError                  JSON is of another shape than a model (also a ValueError)
    ├── ConfigurationError           a client cannot be made like this (also a ValueError)
    └── APIError                     a call failed
        ├── APIConnectionError       no answer: the connection failed, broke or was lost
        │   └── APITimeoutError      no answer in time
        ├── APIStatusError           an answer with a status other than 2xx
        │   ├── BadRequestError           400
        │   ├── AuthenticationError       401
        │   ├── PermissionDeniedError     403
        │   ├── NotFoundError             404
        │   ├── ConflictError             409
        │   ├── UnprocessableEntityError  422
        │   ├── RateLimitError            429
        │   └── ServerError               500 to 599
        ├── ResponseDecodeError      a 2xx answer that is not what the document promises
        └── ResponseTooLargeError    an answer larger than the client's limit

Every one has an `outcome`: whether the call took effect.
"""

from typing import Any

from oneloop_core import OneloopError, Outcome

_OUTCOMES = {
    Outcome.NOT_SENT: "not sent: nothing happened",
    Outcome.REJECTED: "rejected: the server did not do it",
    Outcome.UNKNOWN: "unknown: it may have happened, check before you repeat it",
    Outcome.APPLIED: "applied: it happened, only the answer is unusable",
}

_LONGEST_TEXT = 300
"""Characters of each text that `str(error)` shows."""


class ConfigurationError(OneloopError, ValueError):
    """A client cannot be made, or used, like this. Nothing was sent."""

    __module__ = "oneloop"


class APIError(OneloopError):
    """A call failed.

    Whatever a server said is in `message`, `detail`, `request_id`, `headers` and `body` alone,
    bounded in length, and with the secrets of the call replaced by `[redacted]`. `str` shows the
    first three in one part in parentheses, on one line.

    Attributes:
        outcome: Whether the call took effect.
        operation: Name of the client method, such as `refill_billing_limit`.
        method: HTTP method.
        path: Path of the operation, its parameters by name.
        status_code: HTTP status of the last answer; `None` without one.
        code: The `error.code` that the server gave; `None` without one.
        problem: What went wrong, in our own words.
        message: The `error.message` that the server gave; `None` without one.
        detail: What the server, the system or a library says of the problem beyond that, such as
            where an answer is not as promised; `None` without it.
        request_id: The answer's request id; `None` without one.
        headers: The answer's headers, names in lower case; empty without an answer.
        body: The first 65,536 characters of the answer's body; `None` without one.
        attempts: How often the call was tried, at least 1.
        elapsed: Seconds from the start of the call to its end, waits included.
    """

    __module__ = "oneloop"

    def __init__(
        self,
        problem: str,
        *,
        outcome: Outcome,
        operation: str | None = None,
        method: str = "",
        path: str = "",
        status_code: int | None = None,
        code: int | None = None,
        message: str | None = None,
        detail: str | None = None,
        request_id: str | None = None,
        headers: dict[str, str] | None = None,
        body: str | None = None,
        attempts: int = 1,
        elapsed: float = 0.0,
    ) -> None:
        """Hold what is known of the failed call; see the class for the attributes."""
        super().__init__(problem)
        self.problem = problem
        self.outcome = outcome
        self.operation = operation
        self.method = method
        self.path = path
        self.status_code = status_code
        self.code = code
        self.message = message
        self.detail = detail
        self.request_id = request_id
        self.headers = headers or {}
        self.body = body
        self.attempts = attempts
        self.elapsed = elapsed

    def __str__(self) -> str:
        """Return one line: where, what, what the server said, how often tried, the outcome."""
        said = [
            "" if self.code is None else f"code {self.code}",
            self.message,
            self.detail,
            self.request_id and f"request id {self.request_id}",
        ]
        details = ", ".join(shown(text) for text in said if text)
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        what = f"{shown(self.problem)} ({details})" if details else shown(self.problem)
        return (
            f"{self.method} {self.path}: {what}; "
            f"{tries} in {self.elapsed:.2f} s; {_OUTCOMES[self.outcome]}"
        )


def shown(text: str) -> str:
    """Return a text that fits on one line of a log: cut, and without what is not printable."""
    start = text[:_LONGEST_TEXT] + (" ..." if len(text) > _LONGEST_TEXT else "")
    return "".join(character if character.isprintable() else " " for character in start)


class APIConnectionError(APIError):
    """No answer came: the connection could not be made (`NOT_SENT`) or was lost (`UNKNOWN`)."""

    __module__ = "oneloop"


class APITimeoutError(APIConnectionError):
    """No answer came in time."""

    __module__ = "oneloop"


class APIStatusError(APIError):
    """The server answered with a status other than 2xx."""

    __module__ = "oneloop"


class BadRequestError(APIStatusError):
    """400: the server does not take these arguments."""

    __module__ = "oneloop"


class AuthenticationError(APIStatusError):
    """401: the API key is missing, wrong or revoked."""

    __module__ = "oneloop"


class PermissionDeniedError(APIStatusError):
    """403: the API key does not have the right to do this."""

    __module__ = "oneloop"


class NotFoundError(APIStatusError):
    """404: there is nothing of that name."""

    __module__ = "oneloop"


class ConflictError(APIStatusError):
    """409: the state of things does not allow it."""

    __module__ = "oneloop"


class UnprocessableEntityError(APIStatusError):
    """422: the server understands the arguments but does not take them."""

    __module__ = "oneloop"


class RateLimitError(APIStatusError):
    """429: too many calls, and no attempt left or no time to wait."""

    __module__ = "oneloop"


class ServerError(APIStatusError):
    """500 to 599: the server, or a proxy before it, failed. What it did is not known."""

    __module__ = "oneloop"


class ResponseDecodeError(APIError):
    """A 2xx answer cannot be read.

    The outcome is `APPLIED` if it is JSON but not of the promised shape, `UNKNOWN` if it is not
    JSON at all: then a proxy may have answered.

    Attributes:
        field: The way to the unreadable part, such as `billing.totalCredits`; empty if it is all.
    """

    __module__ = "oneloop"

    def __init__(self, problem: str, *, field: str = "", **known: Any) -> None:
        """Hold what is known of the failed call; see `APIError` for the attributes."""
        super().__init__(problem, **known)
        self.field = field


class ResponseTooLargeError(APIError):
    """An answer is larger than the client's `max_response_bytes`. Reading was stopped there."""

    __module__ = "oneloop"


STATUS_ERRORS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error(status: int) -> type[APIStatusError]:
    """Return the class for a status other than 2xx."""
    return ServerError if 500 <= status <= 599 else STATUS_ERRORS.get(status, APIStatusError)
