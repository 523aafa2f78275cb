"""The interface between the client and the network: bytes in, bytes out.

A transport sends one request once and returns one response. It must not follow redirects, send a
request again, keep cookies or decode bodies. Pass your own as `Oneloop(transport=...)`.
"""

from typing import NamedTuple, Protocol, Self

from attrs import define, field

__all__ = [
    "AsyncTransport",
    "Limits",
    "Request",
    "Response",
    "ResponseTooLarge",
    "Transport",
    "TransportError",
]


@define(unsafe_hash=True)  # not frozen, which makes instances twice as slow to create
class Request:
    """One HTTP request. Its repr shows only the method, as the rest may contain secrets.

    A transport must not change it, because the next attempt sends it again. `attrs.evolve` returns
    a changed copy.

    Attributes:
        method: HTTP method, upper case.
        url: Absolute URL, percent-encoded.
        headers: Names and values, in order; ASCII. Without `Host` and `Content-Length`.
        body: Body; `None` if the request has none.
        safe_url: If `url` contains a secret, the URL to show in a log, with the names of the path's
            parameters: `https://prod.oneloop.ai/api/v1/link-token/{token}`. Otherwise `None`.
    """

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)
    safe_url: str | None = field(default=None, repr=False)


class Limits(NamedTuple):
    """The limits of one request. `None` means no limit.

    Attributes:
        connect: Seconds to wait for a free connection, and again to open one.
        read: Seconds to wait for each part of the response, and to send the request.
        total: Seconds for the whole request.
        body: Largest response body, in bytes as received.
    """

    connect: float | None
    read: float | None
    total: float | None
    body: int


class Response:
    """One complete HTTP response. Its repr shows only the status.

    Attributes:
        status: HTTP status code.
        headers: Names, in any case, and values, in order.
        body: Body as received, that is, still compressed if it has a `Content-Encoding`.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"Response(status={self.status})"


class TransportError(Exception):
    """A request got no response.

    Attributes:
        problem: What happened, in one line of the transport's own words. It is logged.
        detail: The words of the server, the system or a library, which become part of the error,
            shortened and redacted. They are never logged.
        sent: Whether any part of the request may have reached the server's application. It must be
            `True` unless the transport is certain.
        timeout: Whether a time limit was exceeded.
        passing: Whether the problem may be temporary, so that another attempt is worthwhile.
    """

    def __init__(
        self,
        problem: str,
        *,
        detail: str = "",
        sent: bool = True,
        timeout: bool = False,
        passing: bool = True,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.detail = detail
        self.sent = sent
        self.timeout = timeout
        self.passing = passing

    def __repr__(self) -> str:
        """Leave out the texts, which may quote what was sent or received."""
        flags = f"sent={self.sent}, timeout={self.timeout}, passing={self.passing}"
        return f"{type(self).__name__}({flags})"


class ResponseTooLarge(Exception):  # noqa: N818 - a limit, not a fault of the transport
    """The response body is larger than `Limits.body`.

    Attributes:
        status: HTTP status code of the response.
        headers: Headers of the response.
    """

    def __init__(self, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers

    def __reduce__(self) -> tuple[type[Self], tuple[int, tuple[tuple[str, str], ...]]]:
        """Pickle the headers as well, which are not in `args` so that no repr shows them."""
        return type(self), (self.status, self.headers)


class Transport(Protocol):
    """Sends the requests of an `Oneloop`. Several threads may use it at once."""

    def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once and return its response, whatever its status.

        Raises:
            TransportError: There is no response.
            ResponseTooLarge: The body of the response exceeds `limits.body`.
        """
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


class AsyncTransport(Protocol):
    """Sends the requests of an `AsyncOneloop`. Several tasks may use it at once."""

    async def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once, like `Transport.send`."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
