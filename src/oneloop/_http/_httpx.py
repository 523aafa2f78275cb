"""Transports for an application's own `httpx.Client`. The only module that imports httpx."""

import asyncio
from typing import Any, TypeAlias, cast

import httpx

from . import _attempt
from ._attempt import Attempt, closed_error, headers_of, left_over, timeouts, translated
from .transport import Limits, Request, Response, ResponseTooLarge, TransportError

Client: TypeAlias = httpx.Client
AsyncClient: TypeAlias = httpx.AsyncClient


class ClientTransport:
    """Sends requests with an application's own `httpx.Client`, and leaves it open."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._closed = False

    def send(self, request: Request, limits: Limits) -> Response:
        if self._closed or self._client.is_closed:
            raise closed_error()
        attempt = Attempt(request, limits)
        outgoing = _outgoing(request, limits, is_async=False)
        if isinstance(outgoing, TransportError):
            raise outgoing
        try:
            answer = self._client.send(outgoing, stream=True, auth=None, follow_redirects=False)
            try:
                read: Response | TransportError | None = _read(answer)
                if read is None:
                    body = bytearray()
                    for chunk in cast("httpx.SyncByteStream", answer.stream):
                        body += chunk
                        attempt.check(body, answer, limits)
                    if left_over(answer.stream):
                        answer.extensions["network_stream"].close()
                    read = Response(answer.status_code, headers_of(answer), bytes(body))
            finally:
                answer.close()
        except ResponseTooLarge:
            raise
        except Exception as error:  # noqa: BLE001 - hooks of the application may raise anything
            read = _meant(error, outgoing, self._client)
        if isinstance(read, TransportError):
            raise read  # here, so that its context is not httpx's error, which has the key
        return _bounded(read, limits)

    def close(self) -> None:
        """Refuse calls from now on. The connections are not ours to close."""
        self._closed = True


class AsyncClientTransport:
    """Sends requests with an application's own `httpx.AsyncClient`, and leaves it open."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._closed = False

    async def send(self, request: Request, limits: Limits) -> Response:
        if self._closed or self._client.is_closed:
            raise closed_error()
        attempt = Attempt(request, limits)
        outgoing = _outgoing(request, limits, is_async=True)
        if isinstance(outgoing, TransportError):
            raise outgoing
        total = None if limits.total is None else limits.total + _attempt.GRACE
        try:
            async with asyncio.timeout(total):
                answer = await self._client.send(
                    outgoing, stream=True, auth=None, follow_redirects=False
                )
                try:
                    read: Response | TransportError | None = _read(answer)
                    if read is None:
                        body = bytearray()
                        async for chunk in cast("httpx.AsyncByteStream", answer.stream):
                            body += chunk
                            attempt.check(body, answer, limits)
                        if left_over(answer.stream):
                            await answer.extensions["network_stream"].aclose()
                        read = Response(answer.status_code, headers_of(answer), bytes(body))
                finally:
                    await answer.aclose()
        except ResponseTooLarge:
            raise
        except Exception as error:  # noqa: BLE001 - hooks of the application may raise anything
            read = _meant(error, outgoing, self._client)
        if isinstance(read, TransportError):
            raise read  # here, so that its context is not httpx's error, which has the key
        return _bounded(read, limits)

    async def aclose(self) -> None:
        """Refuse calls from now on. The connections are not ours to close."""
        self._closed = True


class _Watch:
    """Finds out how far a request got, whatever error the application's hooks raise.

    Attributes:
        asked: Whether the client's transport was asked to send the request, that is, whether the
            request's stream was accessed.
        traced: Whether that transport reported a step to the `trace` extension, as httpcore does.
        sent: Whether it reported that it began to send the request.
        pools: How often the limit for a free connection was read. httpcore reads it once for each
            time that it sends.
    """

    __slots__ = ("asked", "pools", "sent", "traced")

    def __init__(self) -> None:
        self.asked = self.traced = self.sent = False
        self.pools = 0

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Record a step; see "Request extensions" in the documentation of httpx."""
        self.traced = True
        if event.endswith(".send_request_headers.started"):
            # A CONNECT request to a proxy precedes the request.
            self.sent |= getattr(info.get("request"), "method", b"") != b"CONNECT"

    async def async_trace(self, event: str, info: dict[str, Any]) -> None:
        """The same, as httpx expects it from an async client."""
        self.trace(event, info)

    def is_unsent(self, error: Exception, client: httpx.Client | httpx.AsyncClient) -> bool:
        """Return whether it is certain that nothing of the request was sent."""
        if self.sent:
            return False
        if self.traced:
            return True
        if not self.asked:
            # A subclass of the application's may send a copy of the request.
            return type(client).send in (httpx.Client.send, httpx.AsyncClient.send)
        # Without a report, nothing was sent if no connection became free: if the only attempt says
        # so, and no hook can have raised that error about a call of its own.
        busy = isinstance(error, httpx.PoolTimeout) and self.pools == 1
        return busy and not client.event_hooks["response"]


class _Timeouts(dict[str, float | None]):
    """The limits of the single steps. httpcore reads them before it does anything else."""

    def __init__(self, limits: Limits, watch: _Watch) -> None:
        super().__init__(timeouts(limits))
        self._watch = watch

    def get(self, key: str, default: Any = None) -> Any:
        """Return a limit, and count how often the one for a free connection is read."""
        self._watch.pools += key == "pool"
        return super().get(key, default)


class _Outgoing(httpx.Request):
    """A request that records when it is about to be sent: nothing reads its stream before that."""

    watch = _Watch()  # a placeholder: httpx itself accesses the stream in its constructor

    @property
    def stream(self) -> Any:
        """The body that the client's transport sends."""
        self.watch.asked = True
        return self._content_stream

    @stream.setter
    def stream(self, stream: Any) -> None:
        self._content_stream = stream


class _QuietURL(httpx.URL):
    """A URL with a secret in its path, which is not shown: httpx and applications log URLs."""

    shown = ""

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"URL({self.shown!r})"


def _meant(
    error: Exception, outgoing: "_Outgoing", client: httpx.Client | httpx.AsyncClient
) -> TransportError | Response:
    """Return the response that an error is about, or the error to raise if there is none."""
    if isinstance(error, TransportError):
        return error.with_traceback(None)
    if isinstance(error, httpx.HTTPStatusError) and error.request is outgoing:
        # A hook raised it for the status. httpx has closed the response, read or not.
        answer = error.response
        try:
            plain = answer.content
        except httpx.ResponseNotRead:
            plain = b""
        return Response(answer.status_code, _plain_headers(answer), plain)
    return translated(error, sent=not outgoing.watch.is_unsent(error, client))


def _read(answer: httpx.Response) -> Response | None:
    """Return the response if a hook of the application has read its body, else `None`.

    Raises:
        TransportError: A hook consumed or closed it without keeping the body. Its connection may
            already serve another request.
    """
    if not (answer.is_stream_consumed or answer.is_closed):
        return None
    try:
        return Response(answer.status_code, _plain_headers(answer), answer.content)
    except httpx.ResponseNotRead:
        pass
    raise TransportError("a hook of the application consumed the answer", passing=False)


def _plain_headers(answer: httpx.Response) -> tuple[tuple[str, str], ...]:
    """Return the headers of a response that httpx has decompressed."""
    return tuple(pair for pair in headers_of(answer) if pair[0].lower() != "content-encoding")


def _bounded(read: Response, limits: Limits) -> Response:
    if len(read.body) > limits.body:  # a hook reads without a limit
        raise ResponseTooLarge(read.status, read.headers)
    return read


def _outgoing(request: Request, limits: Limits, *, is_async: bool) -> "_Outgoing | TransportError":
    """Return httpx's form of a request, or an error if there is none, as for too long a URL."""
    watch = _Watch()
    try:
        outgoing = _Outgoing(
            request.method,
            request.url,
            headers=list(request.headers),
            content=request.body,
            extensions={
                "timeout": _Timeouts(limits, watch),
                "trace": watch.async_trace if is_async else watch.trace,
            },
        )
        if request.safe_url is not None:
            quiet = outgoing.url = _QuietURL(request.url)
            quiet.shown = request.safe_url
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing was sent
        return translated(error, sent=False)
    outgoing.watch = watch
    return outgoing
