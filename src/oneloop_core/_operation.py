"""Operations, calls, answers and responses as data. No I/O."""

import json
from collections.abc import Callable
from typing import Any, Generic, Literal, NoReturn, TypeVar, cast

from attrs import define, field, frozen

from ._errors import DecodeError, OneloopError
from ._secrets import Secret

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@frozen
class Answer(Generic[T_co]):
    """A successful answer that the document describes.

    Attributes:
        lowest: Lowest status that it is for.
        highest: Highest status that it is for.
        reads: How its body is read: `text` as `str`, `bytes` as it is, `nothing` as `None`, and
            `json or nothing` as `None` if it is empty.
        decode: Function that turns its parsed JSON into a model or raises `DecodeError`; `None` if
            it is not JSON.
    """

    lowest: int
    highest: int
    reads: Literal["json", "text", "bytes", "nothing", "json or nothing"]
    decode: Callable[[Any], T_co] | None = None


@frozen(kw_only=True)
class Operation(Generic[T_co]):
    """One operation of the API.

    Attributes:
        name: Name of the client method, such as `refill_billing_limit`.
        method: HTTP method in upper case.
        path: Path with the names of its parameters, such as `/api/v1/workspace/{id}`. It contains
            no arguments, so it may be logged.
        safe: Whether sending a request twice has the same effect as sending it once.
        decode: Function that turns the parsed JSON of a 2xx answer into a model or raises
            `DecodeError`; `None` if the answer has no body, or if there are `answers`.
        answers: The 2xx answers, the most specific statuses first, if they are not all JSON of the
            same type. Otherwise empty.
        accept: Media types of the answers, for the header `Accept`.
        security: Alternatives of security schemes, by the names of their arguments. `None` means
            those of the client, and `((),)` that the operation needs no credential.
        server: URL of a server of its own; `None` means that of the client.
        deprecated: Text of the `DeprecationWarning`; empty unless it is deprecated.
    """

    name: str
    method: str
    path: str
    safe: bool
    decode: Callable[[Any], T_co] | None
    answers: tuple[Answer[Any], ...] = ()
    accept: str = "application/json"
    security: tuple[tuple[str, ...], ...] | None = None
    server: str | None = None
    deprecated: str = ""


@define  # not frozen, which makes instances twice as slow to create
class Call(Generic[T_co]):
    """One call of an operation, with its arguments checked and encoded.

    The repr shows only the operation, because everything else may contain secrets.

    Attributes:
        operation: The operation.
        target: Path and query, percent-encoded.
        body: The body, or `None`.
        headers: Header parameters, which replace the client's headers. Secret ones are wrapped.
            `None` removes a header of the client.
        secrets: Secret arguments, which are redacted in errors wherever an answer echoes them.
        content_type: Media type of the body; `None` means `application/json`.
        cookies: Cookie parameters, percent-encoded. Secret ones are wrapped.
    """

    operation: Operation[T_co]
    target: str = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    headers: tuple[tuple[str, "str | Secret | None"], ...] = field(default=(), repr=False)
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    content_type: str | None = field(default=None, repr=False)
    cookies: tuple[tuple[str, "str | Secret"], ...] = field(default=(), repr=False)


def _key(problem: OneloopError | None) -> object:
    """Return what makes two errors equal, as exceptions are only equal to themselves."""
    return problem and (type(problem), problem.args, vars(problem))


@define(kw_only=True, repr=False)
class Response(Generic[T]):
    """An answer with its status and headers, as returned by methods of `client.with_response`.

    A 2xx answer that cannot be decoded is returned as well; its `parsed` then raises the error that
    the plain method raises.

    Attributes:
        status: HTTP status code, 200 to 299.
        headers: Response headers with lower-case names. Values of repeated headers are joined
            with `, `.
        attempts: Number of attempts, at least 1.
        elapsed: Seconds from the start of the call to its end, including waits.
        body: Body of the answer, decompressed; as received if it cannot be decompressed.
        url: URL of the request, without secrets: parameters of the path are shown by their names if
            one of them is a secret, and `extra_query` and the `query` of `request` are left out.
        request_id: The request id of the answer, if any.
    """

    __module__ = "oneloop"

    _parsed: T = field(default=cast("T", None), alias="parsed")
    status: int
    headers: dict[str, str]
    attempts: int
    elapsed: float
    body: bytes = b""
    url: str = ""
    request_id: str | None = None
    _problem: OneloopError | None = field(default=None, eq=_key, alias="problem")

    def __repr__(self) -> str:
        """Return what may be logged, which does not include headers, the body and the URL."""
        is_whole = self._problem is None
        what = f"parsed={self._parsed!r}" if is_whole else f"problem={self._problem!r}"
        known = f"status={self.status}, attempts={self.attempts}, elapsed={self.elapsed}"
        return f"Response({what}, {known})"

    @property
    def parsed(self) -> T:
        """What the plain method returns.

        Raises:
            ResponseDecodeError: The answer is not what the document promises.
        """
        if self._problem is not None:
            from copy import copy  # on first use, as most answers can be decoded

            raise copy(self._problem)  # a new one each time, as tracebacks grow
        return self._parsed

    def json(self) -> Any:
        """Return the body as parsed JSON, with the names of the API and whatever it contains.

        Raises:
            DecodeError: The body is not JSON.
        """
        try:
            return json.loads(self.body, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            problem = f"expected JSON, got a body of {len(self.body)} bytes that is not: {error}"
        raise DecodeError(problem)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
