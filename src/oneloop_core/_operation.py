"""Operations, calls and responses as data, and the encoding of a call's parts. No I/O."""

import json
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from attrs import define, field, frozen

from ._codecs import encode_string
from ._errors import ArgumentValueError
from ._secrets import Secret

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


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
            `DecodeError`; `None` if the answer has no body.
        accept: Value of the header `Accept`.
        security: The alternatives of credentials, as in `Definition.security`; `None` if they are
            those of the document.
        server: URL of a server of its own, or `None`.
        deprecated: Words of a `DeprecationWarning`; empty if it is not deprecated.
    """

    name: str
    method: str
    path: str
    safe: bool
    decode: Callable[[Any], T_co] | None
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
        body: The JSON body, or `None`.
        headers: Header parameters. Secret ones are wrapped.
        secrets: Secret arguments, which are redacted in errors wherever an answer echoes them.
        content_type: Media type of the body; `None` means `application/json`.
        cookies: Cookie parameters. Secret ones are wrapped.
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


def encode_path_segment(value: Any) -> str:
    """Encode a path parameter, so that it is exactly one segment of the path.

    Raises:
        ArgumentTypeError: The value is neither a string nor a number.
        ArgumentValueError: It is empty or a dot segment, which servers resolve to another path.
    """
    plain = isinstance(value, int | float)
    segment = _text(value) if plain else encode_string(value, min_length=1)
    if segment in (".", ".."):
        raise ArgumentValueError("must not be a dot segment")
    return quote(segment, safe="")


def encode_query(parameters: Iterable[tuple[str, Any]]) -> str:
    """Return the query with a leading `?`, or an empty string if all parameters are `None`.

    A list becomes one parameter for each item.
    """
    pairs = [
        (name, _text(item))
        for name, value in parameters
        for item in _items(value)
        if item is not None
    ]
    return "?" + urlencode(pairs, quote_via=quote, safe="") if pairs else ""


def encode_header(value: Any) -> str:
    """Encode a header parameter.

    Raises:
        ArgumentValueError: The value has characters other than printable ASCII, or a space at
            either end, so it cannot be sent in a header.
    """
    text = _text(value)
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise ArgumentValueError("must be printable ASCII without a space at either end")
    return text


def encode_body(body: Any) -> bytes:
    """Encode a checked body as compact JSON."""
    return _JSON.encode(body).encode()


# A secret is the only object in a checked body that is not a JSON type. The codecs have limited the
# depth, so that no list can contain itself.
_JSON = json.JSONEncoder(
    ensure_ascii=False,
    separators=(",", ":"),
    allow_nan=False,
    check_circular=False,
    default=Secret.reveal,
)


def _items(value: Any) -> list[Any]:
    plain = value.reveal() if isinstance(value, Secret) else value
    return plain if isinstance(plain, list) else [plain]  # pyright: ignore[reportUnknownVariableType]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
