"""Operations and calls as data: what generated code hands over, without any I/O."""

import json
from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote, urlencode

from attrs import define, field, frozen

from ._errors import ArgumentValueError
from ._scalars import encode_string

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
        target: Path and query, percent-encoded. May hold secrets: not shown.
        body: The JSON body, or `None`. May hold keys: not shown.
        headers: Header parameters. May hold secrets: not shown.
        secrets: Arguments that no error may show, should a server echo them.
    """

    operation: Operation[T_co]
    target: str = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


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

    parsed: T
    status: int
    headers: dict[str, str] = field(repr=False)
    attempts: int
    elapsed: float


class Unset:
    """The type of `UNSET`: a nullable argument that was left out, as `None` means null there."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the name of the only instance."""
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        """Be false, as nothing was given."""
        return False

    def __reduce__(self) -> str:
        """Stay one object through pickle and copy."""
        return "UNSET"


UNSET = Unset()


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
        for item in (value if isinstance(value, list) else [value])  # pyright: ignore[reportUnknownVariableType]
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


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
