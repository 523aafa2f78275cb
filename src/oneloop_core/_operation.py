"""Operations and calls as data: what generated code hands over, without any I/O."""

import json
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from attrs import define, field, frozen

from ._errors import ArgumentValueError
from ._scalars import encode_string
from ._secrets import Secret

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@frozen(kw_only=True)
class Operation(Generic[T_co]):
    """One operation of the API.

    Attributes:
        name: Name of the client method, such as `refill_billing_limit`.
        method: HTTP method, upper case.
        path: Path with its parameters by name, such as `/api/v1/workspace/{id}`; fit for logs.
        safe: Whether sending it twice does no more than sending it once.
        decode: Turns the parsed JSON of a 2xx answer into a model, or raises `DecodeError`;
            `None` if the operation answers nothing.
    """

    name: str
    method: str
    path: str
    safe: bool
    decode: Callable[[Any], T_co] | None


@frozen
class Call(Generic[T_co]):
    """One call of an operation, its arguments checked and encoded.

    Attributes:
        operation: The operation.
        target: Path and query, percent-encoded. It may contain secrets, so no repr shows it.
        body: The JSON body, or `None`. It may contain keys, so no repr shows it.
        headers: Header parameters; the value of one that is a secret is wrapped.
        secrets: Secret arguments. They are redacted wherever an answer echoes them.
    """

    operation: Operation[T_co]
    target: str = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    headers: tuple[tuple[str, "str | Secret"], ...] = field(default=(), repr=False)
    secrets: tuple[Secret, ...] = field(default=(), repr=False)


@define(kw_only=True)
class Response(Generic[T]):
    """An answer with what came around it, from `client.with_response`.

    Attributes:
        parsed: What the plain method returns.
        status: HTTP status code, 200 to 299.
        headers: Response headers, with lower-case names; repeated ones joined with `, `.
        attempts: How often the call was sent, at least 1.
        elapsed: Seconds from the start of the call to its end, waits included.
    """

    __module__ = "oneloop"

    parsed: T
    status: int
    headers: dict[str, str] = field(repr=False)
    attempts: int
    elapsed: float


def encode_path_segment(value: Any) -> str:
    """Encode a path parameter so that it can name nothing but one segment of the path.

    Raises:
        ArgumentTypeError: It is no plain value.
        ArgumentValueError: It is empty, or a dot segment, which servers take as a way up the path.
    """
    plain = isinstance(value, int | float)
    segment = _text(value) if plain else encode_string(value, min_length=1)
    if segment in (".", ".."):
        raise ArgumentValueError("must not be a dot segment")
    return quote(segment, safe="")


def encode_query(parameters: Iterable[tuple[str, Any]]) -> str:
    """Encode query parameters, `None` left out and lists repeated, with `?` in front if any."""
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
        ArgumentValueError: It could not stand in a header: it is not printable ASCII, or has a
            space at either end.
    """
    text = _text(value)
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise ArgumentValueError("must be printable ASCII, without space around it")
    return text


def encode_body(body: Any) -> bytes:
    """Encode a checked body as compact JSON."""
    return _JSON.encode(body).encode()


def _revealed(value: Any) -> Any:
    """Unwrap a secret where it becomes bytes. The body has been checked: it holds nothing else."""
    return value.reveal()


_JSON = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_revealed
)


def _items(value: Any) -> list[Any]:
    plain = value.reveal() if isinstance(value, Secret) else value
    return plain if isinstance(plain, list) else [plain]  # pyright: ignore[reportUnknownVariableType]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
