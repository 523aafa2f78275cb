"""The seam between the client and the network: bytes in, bytes out.

A transport sends one request once and returns one response. It follows no redirect, repeats
nothing, keeps no cookie and decodes nothing. The default one drives httpcore, httpx's engine; pass
your own as `Oneloop(transport=...)`.
"""

from typing import Protocol

from attrs import define, field, frozen

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
    """

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)


@frozen
class Limits:
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


@frozen
class Response:
    """One HTTP response, whole.

    Attributes:
        status: HTTP status code.
        headers: Names, in any case, and values, in order.
        body: Body as it came: a `Content-Encoding` is not undone yet.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


@define(eq=False)
class TransportError(Exception):
    """No response came.

    Attributes:
        problem: What happened, on one line, without secrets.
        sent: Whether any part of the request may have reached the server's application. Only a
            transport that knows it did not may say `False`.
        timeout: Whether it is a limit of time that ran out.
        passing: Whether the same request may well succeed a little later.
    """

    problem: str = field(repr=False)  # it may quote what was sent or received
    sent: bool = field(default=True, kw_only=True)
    timeout: bool = field(default=False, kw_only=True)
    passing: bool = field(default=True, kw_only=True)


@define(eq=False)
class ResponseTooLarge(Exception):  # noqa: N818 - a limit, not a fault of the transport
    """The response body is larger than `Limits.body`.

    Attributes:
        status: HTTP status code of the response.
        headers: Headers of the response.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)


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
