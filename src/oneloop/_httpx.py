"""Transports for an application's own `httpx.Client`. The only module that imports httpx.

Its connections, proxies, TLS, hooks and limits are used. Its headers and cookies are not added, its
authentication would replace the API key, and redirects must never be followed.
"""

import asyncio
from typing import TypeAlias, cast

import httpx

from . import _attempt
from ._attempt import (
    Attempt,
    closed_error,
    headers_of,
    left_over,
    out_of_time_error,
    timeouts,
    translated,
)
from ._errors import ConfigurationError
from .transport import Limits, Request, Response

Client: TypeAlias = httpx.Client
AsyncClient: TypeAlias = httpx.AsyncClient

NEVER_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
"""What `httpx.Client` raises before the first byte of a request goes out."""

ERRORS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL)


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
        try:
            outgoing = _outgoing(request, limits)
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
        except ERRORS as error:
            failure = translated(error, sent=type(error).__name__ not in NEVER_SENT)
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
        total = None if limits.total is None else limits.total + _attempt.GRACE
        try:
            async with asyncio.timeout(total):
                outgoing = _outgoing(request, limits)
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
        except TimeoutError:
            failure = out_of_time_error(sent=True)
        except ERRORS as error:
            failure = translated(error, sent=type(error).__name__ not in NEVER_SENT)
        else:
            return Response(answer.status_code, headers_of(answer), bytes(body))
        raise failure  # out here: httpx's errors hold the request with its token

    async def aclose(self) -> None:
        """Refuse calls from now on. The connections are not ours to close."""
        self._closed = True


def _outgoing(request: Request, limits: Limits) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url,
        headers=list(request.headers),
        content=request.body,
        extensions={"timeout": timeouts(limits)},
    )
