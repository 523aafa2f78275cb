"""How an attempt can fail, and the error that a call then ends in. docs/failures.md lists them all.

A `Failure` is what is known after one attempt. `Failure.error` is the only place where an error of
a call is made: whole, bounded, and redacted, since a server or a proxy may quote the request.
"""

from typing import Any

from oneloop_core import Call, DecodeError, Outcome

from ._credentials import Credential
from ._decoding import TooLarge, Unreadable, error_envelope, lower_headers, request_id
from ._errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ResponseDecodeError,
    ResponseTooLargeError,
    shown,
    status_error,
)
from ._redaction import Redactor
from .transport import ResponseTooLarge, TransportError

MAX_BODY = 64 * 1024
"""Characters of a response's body that an error keeps."""

MAX_TEXT = 2000
"""Characters of any other text of a server that an error keeps."""


class Failure:
    """A failed attempt. Its texts are not redacted yet, so it must not outlive the attempt.

    Attributes:
        error_class: The class of the error.
        problem: What went wrong: the words of the transport, or ours if there is a response.
        outcome: Whether this attempt took effect.
        may_pass: Whether the same request may well succeed a little later.
        status: HTTP status of the response; `None` without a response.
        headers: Headers of the response, names in lower case.
        body: Body of the response, its content encoding undone; `None` if it was not read.
        code: The `error.code` of the body, if any.
        texts: Other arguments of the error that are words of a server or a library.
    """

    __slots__ = (
        *("body", "code", "error_class", "headers", "may_pass"),
        *("outcome", "problem", "status", "texts"),
    )

    def __init__(
        self,
        error_class: type[APIError],
        problem: str,
        outcome: Outcome,
        *,
        may_pass: bool = False,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        code: int | None = None,
        **texts: str | None,
    ) -> None:
        self.error_class = error_class
        self.problem = problem
        self.outcome = outcome
        self.may_pass = may_pass
        self.status = status
        self.headers = headers or {}
        self.body = body
        self.code = code
        self.texts = texts

    def error(
        self,
        call: Call[Any],
        credential: Credential,
        *,
        outcome: Outcome,
        attempts: int,
        elapsed: float,
    ) -> APIError:
        """Return the error for a call whose last attempt failed like this.

        Args:
            call: The call; its secrets are redacted.
            credential: The credential that the call was sent with; redacted as well.
            outcome: The outcome of the whole call.
            attempts: Number of attempts.
            elapsed: Seconds since the start of the call.
        """
        redactor = Redactor((credential.secret, *call.secrets))
        clean = redactor.clean
        body = None
        if self.body is not None:
            # A character has at most four bytes: nothing beyond these is looked at.
            start = self.body[: 4 * (MAX_BODY + redactor.reach)]
            body = clean(start.decode("utf-8", "replace"), MAX_BODY)
        return self.error_class(
            self.problem if self.status is not None else shown(clean(self.problem, MAX_TEXT)),
            outcome=outcome,
            operation=call.operation.name,
            method=call.operation.method,
            path=call.operation.path,
            status_code=self.status,
            # A server may read a key that consists of digits as a number.
            code=self.code if clean(str(self.code), MAX_BODY) == str(self.code) else None,
            headers={
                clean(name, MAX_BODY): clean(value, MAX_BODY)
                for name, value in self.headers.items()
            },
            body=body,
            attempts=attempts,
            elapsed=elapsed,
            **{name: text and clean(text, MAX_TEXT) for name, text in self.texts.items()},
        )


def without_response(problem: TransportError | ResponseTooLarge, limit: int) -> Failure:
    """Return the failure of an attempt for which the transport returned no response."""
    if isinstance(problem, ResponseTooLarge):
        headers = lower_headers(problem.headers)
        return _too_large(problem.status, headers, f"more than {limit} bytes")
    return Failure(
        APITimeoutError if problem.timeout else APIConnectionError,
        str(problem.problem),
        Outcome.NOT_SENT if problem.sent is False else Outcome.UNKNOWN,
        may_pass=problem.passing,
        detail=str(problem.detail) or None,
    )


def of_response(
    method: str,
    status: int,
    headers: dict[str, str],
    body: bytes,
    limit: int,
    problem: DecodeError | TooLarge | Unreadable | None,
) -> Failure:
    """Return the failure that a response means.

    Args:
        method: HTTP method of the request.
        status: Status of the response.
        headers: Its headers, names in lower case.
        body: Its body, with the content encoding undone; empty if that was not possible.
        limit: The client's `max_response_bytes`.
        problem: Why the response cannot be used; `None` if only its status is to blame.
    """
    if isinstance(problem, TooLarge):
        return _too_large(status, headers, str(problem))
    if not 200 <= status <= 299:
        return _with_status(method, status, headers, body, limit)
    field, detail = "", None
    if isinstance(problem, DecodeError):
        what, outcome = "not with what the document promises", Outcome.APPLIED
        field, detail = problem.path, f"{problem.path or 'the answer'}: {problem.problem}"
    else:
        what, outcome = f"with {problem}", Outcome.UNKNOWN
    return Failure(
        ResponseDecodeError,
        f"the server answered {status}, but {what}",
        outcome,
        status=status,
        headers=headers,
        body=body,
        request_id=request_id(headers),
        field=field,
        detail=detail,
    )


def _with_status(
    method: str, status: int, headers: dict[str, str], body: bytes, limit: int
) -> Failure:
    # A 303 (See Other) mostly means that the call was carried out: it points to where the result
    # can be retrieved (RFC 9110, section 15.4.4).
    is_applied = status == 303 and method not in ("GET", "HEAD")
    is_rejected = 300 <= status <= 499 and not is_applied
    code, message = error_envelope(body, limit)
    return Failure(
        status_error(status),
        f"the server answered {status}",
        Outcome.REJECTED if is_rejected else Outcome.UNKNOWN,
        may_pass=True,
        status=status,
        headers=headers,
        body=body,
        code=code,
        request_id=request_id(headers),
        message=message,
    )


def _too_large(status: int, headers: dict[str, str], what: str) -> Failure:
    return Failure(
        ResponseTooLargeError,
        f"the server answered {status} with {what}",
        Outcome.UNKNOWN,
        status=status,
        headers=headers,
        request_id=request_id(headers),
    )
