"""Transports for an application's own `httpx.Client`. The only module that imports httpx.

Its connections, proxies, TLS, hooks and limits are used. Its headers and cookies are not added, its
authentication would replace the API key, and redirects must never be followed.
"""

import asyncio
from typing import Any, TypeAlias, cast

import httpx

from . import _attempt
from ._attempt import (
    Attempt,
    closed_error,
    headers_of,
    left_over,
    timeouts,
    translated,
)
from ._errors import ConfigurationError
from .transport import Limits, Request, Response, ResponseTooLarge, TransportError

Client: TypeAlias = httpx.Client
AsyncClient: TypeAlias = httpx.AsyncClient


class ClientTransport:
    """Sends requests with an application's own `httpx.Client`, and leaves it open."""

    def __init__(self, client: object) -> None:
        """Use this client.

        Raises:
            ConfigurationError: It is something else.
        """
        if not isinstance(client, httpx.Client):
            raise ConfigurationError("http_client must be an httpx.Client")
        self._client = client
        self._closed = False

    def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.Transport`."""
        if self._closed or self._client.is_closed:
            raise closed_error()
        attempt = Attempt(request, limits)
        watch = _Watch()
        try:
            outgoing = _outgoing(request, limits, watch, watch.trace)
            answer = self._client.send(outgoing, stream=True, auth=None, follow_redirects=False)
            try:
                body = bytearray()
                for chunk in cast("httpx.SyncByteStream", answer.stream):
                    body += chunk
                    attempt.check(body, answer, limits)
                if left_over(answer.stream):
                    answer.extensions["network_stream"].close()
            finally:
                answer.close()
        except ResponseTooLarge:
            raise
        except Exception as error:  # noqa: BLE001 - hooks of the application may raise anything
            failure = _failure(error, watch)
        else:
            return Response(answer.status_code, headers_of(answer), bytes(body))
        raise failure  # out here: httpx's errors hold the request with its token

    def close(self) -> None:
        """Refuse calls from now on. The connections are not ours to close."""
        self._closed = True


class AsyncClientTransport:
    """Sends requests with an application's own `httpx.AsyncClient`, and leaves it open."""

    def __init__(self, client: object) -> None:
        """Use this client.

        Raises:
            ConfigurationError: It is something else.
        """
        if not isinstance(client, httpx.AsyncClient):
            raise ConfigurationError("http_client must be an httpx.AsyncClient")
        self._client = client
        self._closed = False

    async def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.AsyncTransport`."""
        if self._closed or self._client.is_closed:
            raise closed_error()
        attempt = Attempt(request, limits)
        watch = _Watch()
        total = None if limits.total is None else limits.total + _attempt.GRACE
        try:
            async with asyncio.timeout(total):
                outgoing = _outgoing(request, limits, watch, watch.async_trace)
                answer = await self._client.send(
                    outgoing, stream=True, auth=None, follow_redirects=False
                )
                try:
                    body = bytearray()
                    async for chunk in cast("httpx.AsyncByteStream", answer.stream):
                        body += chunk
                        attempt.check(body, answer, limits)
                    if left_over(answer.stream):
                        await answer.extensions["network_stream"].aclose()
                finally:
                    await answer.aclose()
        except ResponseTooLarge:
            raise
        except Exception as error:  # noqa: BLE001 - hooks of the application may raise anything
            failure = _failure(error, watch)
        else:
            return Response(answer.status_code, headers_of(answer), bytes(body))
        raise failure  # out here: httpx's errors hold the request with its token

    async def aclose(self) -> None:
        """Refuse calls from now on. The connections are not ours to close."""
        self._closed = True


class _Watch:
    """Finds out how far a request got, whatever the error says that it ends in.

    An application's hooks may raise any error, after the answer too: its class proves nothing.

    Attributes:
        asked: Whether the client's transport was asked to send: its stream was looked at.
        traced: Whether that transport is httpcore, which reports its steps to the `trace`
            extension: it looked up how long to wait for a connection, or reported a step.
        sent: Whether it reported that it began to send the request.
    """

    __slots__ = ("asked", "sent", "traced")

    def __init__(self) -> None:
        self.asked = self.traced = self.sent = False

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Take note of a step: see "Request extensions" in the documentation of httpx."""
        self.traced = True
        if event.endswith(".send_request_headers.started"):
            # What a proxy is asked for before the request is not the request.
            self.sent |= getattr(info.get("request"), "method", b"") != b"CONNECT"

    async def async_trace(self, event: str, info: dict[str, Any]) -> None:
        """The same, as httpx expects it from an async client."""
        self.trace(event, info)

    @property
    def may_have_been_sent(self) -> bool:
        """Whether it is not certain that nothing was sent."""
        return self.sent or (self.asked and not self.traced)


class _Timeouts(dict[str, float | None]):
    """The limits of the single steps, which httpcore looks up before it does anything."""

    def __init__(self, limits: Limits, watch: _Watch) -> None:
        super().__init__(timeouts(limits))
        self._watch = watch

    def get(self, key: str, default: Any = None) -> Any:
        """Return a limit; note that the one for a free connection was asked for."""
        if key == "pool":
            self._watch.traced = True
        return super().get(key, default)


class _Outgoing(httpx.Request):
    """A request that notes when it is about to be sent: until then nobody looks at its stream."""

    watch: _Watch | None = None

    @property
    def stream(self) -> Any:
        """What the client's transport sends."""
        if self.watch is not None:
            self.watch.asked = True
        return self._content_stream

    @stream.setter
    def stream(self, stream: Any) -> None:
        self._content_stream = stream


class _QuietURL(httpx.URL):
    """A URL with a secret in its path. httpx logs URLs, and so do hooks of applications."""

    shown = ""

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"URL({self.shown!r})"


def _failure(error: Exception, watch: _Watch) -> TransportError:
    if isinstance(error, TransportError):  # the total time is over while reading
        return error.with_traceback(None)
    return translated(error, sent=watch.may_have_been_sent)


def _outgoing(request: Request, limits: Limits, watch: _Watch, trace: Any) -> httpx.Request:
    outgoing = _Outgoing(
        request.method,
        request.url,
        headers=list(request.headers),
        content=request.body,
        extensions={"timeout": _Timeouts(limits, watch), "trace": trace},
    )
    if request.safe_url is not None:
        outgoing.url = _QuietURL(request.url)
        outgoing.url.shown = request.safe_url
    outgoing.watch = watch
    return outgoing
