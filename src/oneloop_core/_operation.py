"""Operations, calls, answers and responses as data. No I/O."""

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

from attrs import define, field, frozen

from ._secrets import Secret

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@frozen
class Answer(Generic[T_co]):
    """A successful answer that the document describes.

    Attributes:
        lowest: Lowest status that it is for.
        highest: Highest status that it is for.
        reads: How its body is read: `text` as `str`, `bytes` as it is, `nothing` as `None`.
        decode: Function that turns its parsed JSON into a model or raises `DecodeError`; `None` if
            it is not JSON.
    """

    lowest: int
    highest: int
    reads: Literal["json", "text", "bytes", "nothing"]
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
        headers: Header parameters. Secret ones are wrapped.
        secrets: Secret arguments, which are redacted in errors wherever an answer echoes them.
        content_type: Media type of the body; `None` means `application/json`.
        cookies: Cookie parameters, percent-encoded. Secret ones are wrapped.
    """

    operation: Operation[T_co]
    target: str = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    headers: tuple[tuple[str, "str | Secret"], ...] = field(default=(), repr=False)
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    content_type: str | None = field(default=None, repr=False)
    cookies: tuple[tuple[str, "str | Secret"], ...] = field(default=(), repr=False)


@define(kw_only=True)
class Response(Generic[T]):
    """An answer with its status and headers, as returned by methods of `client.with_response`.

    Attributes:
        parsed: What the plain method returns.
        status: HTTP status code, 200 to 299.
        headers: Response headers with lower-case names. Values of repeated headers are joined
            with `, `.
        attempts: Number of attempts, at least 1.
        elapsed: Seconds from the start of the call to its end, including waits.
    """

    __module__ = "oneloop"

    parsed: T
    status: int
    headers: dict[str, str] = field(repr=False)
    attempts: int
    elapsed: float
