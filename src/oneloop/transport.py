"""The seam between the client and the network: bytes in, bytes out.

A transport sends one request once and returns one response. It follows no redirect, repeats
nothing, keeps no cookie and decodes nothing. The default one drives httpcore, httpx's engine; pass
your own as `Oneloop(transport=...)`.
"""

from typing import NamedTuple, Protocol, Self

from attrs import field, frozen

__all__ = [
    "AsyncTransport",
    "Limits",
    "Request",
    "Response",
    "ResponseTooLarge",
    "Transport",
    "TransportError",
]


@frozen
class Request:
    """One HTTP request. Only its method is shown in a repr: the rest may hold secrets.

    Attributes:
        method: HTTP method, upper case.
        url: Absolute URL, percent-encoded.
        headers: Names and values, in order; ASCII. No `Host` and no `Content-Length`.
        body: Body; `None` sends none.
        safe_url: The URL to use in a log, if `url` contains a secret: with the parameters of the
            path by name, as in `https://prod.oneloop.ai/api/v1/link-token/{token}`. Otherwise
            `None`.
    """

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)
    safe_url: str | None = field(default=None, repr=False)


class Limits(NamedTuple):
    """What one request may take.

    Attributes:
        connect: Seconds to wait for a free connection, and again to open one; `None`: no limit.
        read: Seconds to wait for each part of the answer, and to send; `None`: no limit.
        total: Seconds for all of it; `None`: no limit.
        body: Bytes of the largest response body, as it is on the wire.
    """

    connect: float | None
    read: float | None
    total: float | None
    body: int


class Response:
    """One HTTP response, whole. Only its status is shown in a repr.

    Attributes:
        status: HTTP status code.
        headers: Names, in any case, and values, in order.
        body: Body as it came: a `Content-Encoding` is not undone yet.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        """Hold what came."""
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        """Show the status alone."""
        return f"Response(status={self.status})"


class TransportError(Exception):
    """No response came.

    Attributes:
        problem: What happened, in the transport's own words, on one line. It is logged.
        detail: What the server, the system or a library says of it. It becomes part of the error,
            bounded and redacted, and is never logged.
        sent: Whether any part of the request may have reached the server's application. Only a
            transport that knows it did not may say `False`.
        timeout: Whether it is a limit of time that ran out.
        passing: Whether the same request may well succeed a little later.
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
        """Hold what is known; see the class for the arguments."""
        super().__init__(problem)
        self.problem = problem
        self.detail = detail
        self.sent = sent
        self.timeout = timeout
        self.passing = passing

    def __repr__(self) -> str:
        """Leave out the problem, as it may quote what was sent or received."""
        flags = f"sent={self.sent}, timeout={self.timeout}, passing={self.passing}"
        return f"{type(self).__name__}({flags})"


class ResponseTooLarge(Exception):  # noqa: N818 - a limit, not a fault of the transport
    """The response body is larger than `Limits.body`.

    Attributes:
        status: HTTP status code of the response.
        headers: Headers of the response.
    """

    def __init__(self, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        """Hold the start of the response."""
        super().__init__(status)
        self.status = status
        self.headers = headers

    def __reduce__(self) -> tuple[type[Self], tuple[int, tuple[tuple[str, str], ...]]]:
        """Be pickled with the headers, which a repr does not show."""
        return type(self), (self.status, self.headers)


class Transport(Protocol):
    """Sends requests for an `Oneloop`. Used from several threads at once."""

    def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once and return its response, whatever its status.

        Raises:
            TransportError: There is no response.
            ResponseTooLarge: Its body is too large.
        """
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


class AsyncTransport(Protocol):
    """Sends requests for an `AsyncOneloop`. Used from several tasks at once."""

    async def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once and return its response, whatever its status.

        Raises:
            TransportError: There is no response.
            ResponseTooLarge: Its body is too large.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
