"""The classes of all errors. `_failures` decides which one a call ends in.

    OneloopError
    ├── ArgumentError                an argument is not valid
    │   ├── ArgumentTypeError        (also a TypeError)
    │   └── ArgumentValueError       (also a ValueError)
    ├── DecodeError                  JSON does not have the shape of a model (also a ValueError)
    ├── ConfigurationError           a client's configuration is not valid (also a ValueError)
    └── APIError                     a call failed
        ├── APIConnectionError       no response: the connection failed or was lost
        │   └── APITimeoutError      no response in time
        ├── APIStatusError           a response with a status other than 2xx
        │   ├── BadRequestError           400
        │   ├── AuthenticationError       401
        │   ├── PermissionDeniedError     403
        │   ├── NotFoundError             404
        │   ├── ConflictError             409
        │   ├── UnprocessableEntityError  422
        │   ├── RateLimitError            429
        │   └── ServerError               500 to 599
        ├── ResponseDecodeError      a 2xx response that is not what the document promises
        └── ResponseTooLargeError    a response larger than the client's limit

Every error has an `outcome`, which states whether the call took effect. `RefusedInTestsError` is
public in `oneloop.testing`, because no application meets it outside of its tests.
"""

from typing import Any

from oneloop_core import OneloopError, Outcome

_OUTCOMES = {
    Outcome.NOT_SENT: "not sent: nothing happened",
    Outcome.REJECTED: "rejected: the server did not do it",
    Outcome.UNKNOWN: "unknown: it may have happened, check before you repeat it",
    Outcome.APPLIED: "applied: it happened, only the answer is unusable",
}
_SAFE = _OUTCOMES | {Outcome.UNKNOWN: "unknown: it may have happened, and may safely be repeated"}
_READ = _OUTCOMES | {
    Outcome.UNKNOWN: "unknown: nothing was changed, as it only reads, and it may be repeated",
    Outcome.APPLIED: "applied: only the answer is unusable; nothing was changed, as it only reads",
}

_PORTS = {"https": ":443", "http": ":80"}

READS = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing on the server (RFC 9110, section 9.2.1)."""

_LONGEST_TEXT = 300
"""Characters of each text that are part of `str(error)`."""


class ConfigurationError(OneloopError, ValueError):
    """The configuration of a client is not valid. Nothing was sent."""


class APIError(OneloopError):
    """A call failed.

    The words of a server are only in `code`, `message`, `detail`, `request_id`, `headers` and
    `body`, limited in length and with the secrets of the call replaced by `[redacted]`. `str`
    returns one line, with the first four of these in parentheses.

    Attributes:
        outcome: Whether the call took effect.
        operation: Name of the client method, such as `refill_billing_limit`.
        method: HTTP method.
        path: Path of the operation, its parameters by name. Of `request`, the path that was given.
        safe: Whether the call is safe to repeat.
        url: URL of the request, without secrets, as in `Response.url`.
        host: Host of the URL, with its port unless that is the default of the scheme.
        status_code: HTTP status of the last response; `None` without a response.
        code: The `error.code` of the response, if any.
        problem: What went wrong, in our own words.
        message: The `error.message` of the response, if any.
        detail: Further words of the system, a library or the server, such as where a response is
            not as promised; otherwise `None`.
        request_id: The request id of the response, if any.
        retry_after: Seconds that the response asks to wait before another attempt, from
            `retry-after-ms` or `Retry-After`; `None` if it does not.
        headers: Headers of the response, names in lower case; empty without a response.
        body: The first 65,536 characters of the response's body; `None` without a response.
        attempts: Number of attempts, at least 1.
        elapsed: Seconds from the start of the call to its end, backoffs included.
    """

    def __init__(
        self,
        problem: str,
        *,
        outcome: Outcome,
        operation: str | None = None,
        method: str = "",
        path: str = "",
        safe: bool = False,
        url: str | None = None,
        status_code: int | None = None,
        code: int | None = None,
        message: str | None = None,
        detail: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        headers: dict[str, str] | None = None,
        body: str | None = None,
        attempts: int = 1,
        elapsed: float = 0.0,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.outcome = outcome
        self.operation = operation
        self.method = method
        self.path = path
        self.safe = safe
        self.url = url
        self.host = host_of(url) if url else None
        self.status_code = status_code
        self.code = code
        self.message = message
        self.detail = detail
        self.request_id = request_id
        self.retry_after = retry_after
        self.headers = headers or {}
        self.body = body
        self.attempts = attempts
        self.elapsed = elapsed

    def __str__(self) -> str:
        """Return one line: request, problem, words of the server, attempts, time and outcome."""
        texts = [
            "" if self.code is None else f"code {self.code}",
            self.message,
            self.detail,
            self.request_id and f"request id {self.request_id}",
        ]
        details = ", ".join(shown(text) for text in texts if text)
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        what = f"{shown(self.problem)} ({details})" if details else shown(self.problem)
        outcomes = (_READ if self.method in READS else _SAFE) if self.safe else _OUTCOMES
        at = f" at {shown(self.host)}" if self.host else ""
        return (
            f"{self.method} {shown(self.path)}{at}: {what}; "
            f"{tries} in {self.elapsed:.2f} s; {outcomes[self.outcome]}"
        )


def host_of(url: str) -> str:
    """Return the host of an absolute URL, with its port unless that is the scheme's default."""
    scheme, _, rest = url.partition("://")
    return rest.partition("/")[0].removesuffix(_PORTS.get(scheme, ":"))


def shown(text: str) -> str:
    """Return a text that fits on one line of a log: shortened, and printable."""
    start = text[:_LONGEST_TEXT] + (" ..." if len(text) > _LONGEST_TEXT else "")
    return "".join(character if character.isprintable() else " " for character in start)


class APIConnectionError(APIError):
    """There is no response: the connection failed (`NOT_SENT`) or was lost (`UNKNOWN`)."""


class APITimeoutError(APIConnectionError):
    """There is no response within the time limits."""


class RefusedInTestsError(APIConnectionError):
    """A call to another machine, which is refused while `oneloop.testing` applies (`NOT_SENT`)."""


class APIStatusError(APIError):
    """The response has a status other than 2xx."""


class BadRequestError(APIStatusError):
    """400: the server does not accept these arguments."""


class AuthenticationError(APIStatusError):
    """401: the API key is missing, wrong or revoked."""


class PermissionDeniedError(APIStatusError):
    """403: the API key does not have the required permission."""


class NotFoundError(APIStatusError):
    """404: the resource does not exist."""


class ConflictError(APIStatusError):
    """409: the call conflicts with the current state of the resource."""


class UnprocessableEntityError(APIStatusError):
    """422: the server understands the arguments but cannot process them."""


class RateLimitError(APIStatusError):
    """429: there were too many calls, and no attempts or no time left to try again."""


class ServerError(APIStatusError):
    """500 to 599: the server, or a proxy in front of it, failed. The call may have taken effect."""


class ResponseDecodeError(APIError):
    """A 2xx response cannot be decoded.

    The outcome is `APPLIED` if the response is JSON, but not of the promised shape. It is `UNKNOWN`
    if the response is not JSON, as it may then come from a proxy.

    Attributes:
        field: Path to the part that cannot be decoded, such as `billing.totalCredits`; empty if
            that is the whole response.
    """

    def __init__(self, problem: str, *, field: str = "", **known: Any) -> None:
        super().__init__(problem, **known)
        self.field = field


class ResponseTooLargeError(APIError):
    """The response exceeds the client's `max_response_bytes`. The rest of it was not read."""


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
    """Return the class of the error for a status other than 2xx."""
    return ServerError if 500 <= status <= 599 else STATUS_ERRORS.get(status, APIStatusError)


for _class in [value for value in vars().values() if isinstance(value, type)]:
    if _class.__module__ == __name__:
        _class.__module__ = "oneloop"  # where users import it from, as tracebacks show
RefusedInTestsError.__module__ = "oneloop.testing"
