"""Transports for an application's own `httpx.Client`. The only module that imports httpx.

The client is used whole, at its own cost and with its own limits, but for redirects, which are
never followed.
"""

import asyncio
from typing import TypeAlias, cast

import httpx

from . import _attempt
from ._attempt import Attempt, headers_of, left_over, out_of_time_error, timeouts, translated
from .transport import Limits, Request, Response

Client: TypeAlias = httpx.Client
AsyncClient: TypeAlias = httpx.AsyncClient

NEVER_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
"""What `httpx.Client` raises before the first byte of a request goes out."""

ERRORS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL)


class ClientTransport:
    """Sends requests with an application's own `httpx.Client`, and leaves it open."""

    def __init__(self, client: httpx.Client) -> None:
        """Use this client."""
        self._client = client

    def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.Transport`."""
        attempt = Attempt.begin(request, limits)
        try:
            outgoing = _outgoing(request, limits)
            answer = self._client.send(outgoing, stream=True, follow_redirects=False)
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
        """Do nothing: the client is not ours."""


class AsyncClientTransport:
    """Sends requests with an application's own `httpx.AsyncClient`, and leaves it open."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """Use this client."""
        self._client = client

    async def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.AsyncTransport`."""
        attempt = Attempt.begin(request, limits)
        total = None if limits.total is None else limits.total + _attempt.GRACE
        try:
            async with asyncio.timeout(total):
                outgoing = _outgoing(request, limits)
                answer = await self._client.send(outgoing, stream=True, follow_redirects=False)
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
        """Do nothing: the client is not ours."""


def _outgoing(request: Request, limits: Limits) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url,
        headers=list(request.headers),
        content=request.body,
        extensions={"timeout": timeouts(limits)},
    )
