"""How an attempt can fail, and the error that a call then ends in. docs/failures.md lists them all.

A `Failure` is what is known after one attempt. `Failure.error` is the only place where an error of
a call is made: whole, bounded, and redacted, since a server or a proxy may quote the request.
"""

from typing import Any, TypeAlias

from attrs import define, field

from oneloop_core import Call, DecodeError, Outcome

from ._credentials import Credential
from ._decoding import TooLarge, Unreadable, error_envelope, lower_headers, request_id
from ._errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    RefusedInTestsError,
    ResponseDecodeError,
    ResponseTooLargeError,
    shown,
    status_error,
)
from ._http._faults import HostRefusedError
from ._redaction import Redactor
from .transport import ResponseTooLarge, TransportError

Problem: TypeAlias = DecodeError | TooLarge | Unreadable | None

MAX_BODY = 64 * 1024
"""Characters of a response's body that an error keeps."""

MAX_TEXT = 2000
"""Characters of any other text of a server that an error keeps."""


@define(repr=False, eq=False)
class Failure:
    """A failed attempt. Its texts are not redacted yet, so it must not outlive the attempt.

    Attributes:
        error_class: The class of the error.
        problem: What went wrong: the words of the transport, or ours if there is a response.
        outcome: Whether this attempt took effect.
        may_pass: Whether the same request may well succeed a little later.
        status: HTTP status of the response; `None` without a response.
        headers: Headers of the response, names in lower case.
        body: Body of the response, decompressed; `None` if it was not read.
        code: The `error.code` of the body, if any.
        texts: Other arguments of the error, which are words of a server or a library.
    """

    error_class: type[APIError]
    problem: str
    outcome: Outcome
    may_pass: bool = False
    status: int | None = None
    headers: dict[str, str] = field(factory=dict[str, str])
    body: bytes | None = None
    code: int | None = None
    texts: dict[str, str | None] = field(factory=dict[str, str | None])

    def error(self, call: Call[Any], credential: Credential, url: str, **whole: Any) -> APIError:
        """Return the error of a call whose last attempt failed like this.

        The secrets of the call and the credential are redacted. `whole` are the arguments of
        `APIError` about the whole call: `outcome`, `attempts`, `elapsed` and `retry_after`.
        """
        redactor = Redactor((*credential.secrets, *call.secrets))
        clean = redactor.clean
        body = None
        if self.body is not None:
            # A character has at most four bytes: nothing beyond these is looked at.
            start = self.body[: 4 * (MAX_BODY + redactor.reach)]
            body = clean(start.decode("utf-8", "replace"), MAX_BODY)
        whole |= {name: text and clean(text, MAX_TEXT) for name, text in self.texts.items()}
        return self.error_class(
            self.problem if self.status is not None else shown(clean(self.problem, MAX_TEXT)),
            operation=call.operation.name,
            method=call.operation.method,
            # The application chose the path of `request`, so the key may be in it by mistake.
            path=clean(call.operation.path, MAX_BODY),
            url=clean(url, MAX_BODY),
            safe=call.operation.safe,
            status_code=self.status,
            # A server may read a key that consists of digits as a number.
            code=self.code if clean(str(self.code), MAX_BODY) == str(self.code) else None,
            headers={clean(k, MAX_BODY): clean(v, MAX_BODY) for k, v in self.headers.items()},
            body=body,
            **whole,
        )


def without_response(error: TransportError | ResponseTooLarge, limit: int) -> Failure:
    """Return the failure of an attempt that ended in an exception of the transport."""
    if isinstance(error, ResponseTooLarge):
        problem = TooLarge(f"more than {limit} bytes")
        return of_response("", error.status, lower_headers(error.headers), b"", limit, problem)
    error_class = APITimeoutError if error.timeout else APIConnectionError
    return Failure(
        RefusedInTestsError if isinstance(error, HostRefusedError) else error_class,
        str(error.problem),
        Outcome.NOT_SENT if error.sent is False else Outcome.UNKNOWN,
        may_pass=error.passing,
        texts={"detail": str(error.detail) or None},
    )


def of_response(
    method: str, status: int, headers: dict[str, str], body: bytes, limit: int, problem: Problem
) -> Failure:
    """Return the failure that a response means, given why it cannot be used, unless for its status.

    `method` is that of the request; `body` is decompressed, or empty if that was not possible.
    """
    texts: dict[str, str | None] = {"request_id": request_id(headers)}
    error_class: type[APIError]
    may_pass, code = False, None
    if isinstance(problem, TooLarge):
        error_class, what, outcome = ResponseTooLargeError, f" with {problem}", Outcome.UNKNOWN
    elif not 200 <= status <= 299:
        error_class, what, may_pass = status_error(status), "", True
        # A 303 (See Other) mostly means that the call was carried out: it points to where the
        # result can be retrieved (RFC 9110, section 15.4.4).
        is_applied = status == 303 and method not in ("GET", "HEAD")
        is_rejected = 300 <= status <= 499 and not is_applied
        outcome = Outcome.REJECTED if is_rejected else Outcome.UNKNOWN
        code, texts["message"] = error_envelope(body, limit)
    elif isinstance(problem, DecodeError):
        error_class, outcome = ResponseDecodeError, Outcome.APPLIED
        what = ", but not with what the document promises"
        texts["field"] = problem.path
        texts["detail"] = f"{problem.path or 'the answer'}: {problem.problem}"
    else:
        error_class, what, outcome = ResponseDecodeError, f", but with {problem}", Outcome.UNKNOWN
    words = f"the server answered {status}{what}"
    kept = None if error_class is ResponseTooLargeError else body
    return Failure(error_class, words, outcome, may_pass, status, headers, kept, code, texts)
