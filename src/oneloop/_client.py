"""The two clients: arguments in, calls out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar

from attrs import evolve

from oneloop_api.client import (
    DEFAULT_BASE_URL,
    AsyncOperations,
    AsyncOperationsWithResponse,
    SyncOperations,
    SyncOperationsWithResponse,
)
from oneloop_core import UNSET, Call, Response, Unset, hide

from ._call import Context, Course, run, run_async
from ._credentials import Credential, CredentialSource, credential_source, wrapped
from ._environment import base_url_from_environment
from ._retry import RetryPolicy, Timeout
from ._settings import MAX_CONNECTIONS, MAX_RESPONSE_BYTES, Settings, checked, checked_base_url
from .transport import AsyncTransport, Transport

if TYPE_CHECKING:
    from ssl import SSLContext

    from ._http import _httpx

T = TypeVar("T")


class _Client:
    """What both clients have in common: settings, a credential and a transport."""

    _settings: Settings
    _credentials: CredentialSource
    _context: Context | None
    _transport: Any
    _shares = False

    def _configure(
        self, api_key: Any, link_token: Any, base_url: Any, allow_http: object, *options: Any
    ) -> None:
        if base_url is None:
            base_url = base_url_from_environment(DEFAULT_BASE_URL)
        self._settings = Settings(checked_base_url(base_url, allow_http), **checked(*options))
        self._credentials = credential_source(api_key, link_token)
        self._context = self._constant_context()

    def _constant_context(self) -> Context | None:
        """Return the context of all calls, unless a function provides the credential of each."""
        constant = self._credentials.constant
        return None if constant is None else Context(self._settings, constant)

    def _opened(
        self, transport: object, http_client: object, ssl_context: Any, max_connections: Any
    ) -> Any:
        """Return the transport for these arguments, importing only what it needs."""
        base_url, is_async = self._settings.base_url, isinstance(self, AsyncOperations)
        if ssl_context is not None or max_connections is not MAX_CONNECTIONS:
            from ._transports import checked_options

            checked_options(ssl_context, max_connections)
        by_httpx = isinstance(transport, str) and transport == "httpx" and http_client is None
        if not by_httpx and not (transport is None and http_client is None):
            from ._transports import chosen_transport

            options = ssl_context, max_connections
            return chosen_transport(transport, http_client, *options, is_async=is_async)
        if is_async:
            from ._http._asyncio import AsyncioTransport

            return AsyncioTransport(base_url, ssl_context, max_connections, by_httpx)
        from ._http._blocking import BlockingTransport

        return BlockingTransport(base_url, ssl_context, max_connections, by_httpx)

    def with_options(
        self,
        *,
        api_key: str | Callable[[], Any] | None = None,
        link_token: str | Callable[[], Any] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        retry: RetryPolicy | Unset = UNSET,
        headers: Mapping[str, str] | Unset = UNSET,
        max_response_bytes: int | Unset = UNSET,
    ) -> Self:
        """Return a client with other settings that shares the connections of this one.

        Closing it has no effect; close this client instead. The arguments are those of the
        constructor.
        """
        api_key, link_token, headers = wrapped(api_key), wrapped(link_token), hide(headers)
        client = type(self).__new__(type(self))
        client._settings = evolve(
            self._settings, **checked(timeout, retry, headers, max_response_bytes)
        )
        client._credentials = self._credentials
        if api_key is not None or link_token is not None:
            client._credentials = credential_source(api_key, link_token)
        client._context = client._constant_context()
        client._transport, client._shares = self._transport, True
        return client

    def __repr__(self) -> str:
        """Show the base URL, and nothing of the credential."""
        settings = getattr(self, "_settings", None)  # not set yet if the constructor has failed
        return f"{type(self).__name__}(base_url={settings and settings.base_url!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a client has a key and open connections."""
        raise TypeError("a client cannot be pickled; make one in each process")


class Oneloop(_Client, SyncOperations):
    """A client of the Oneloop API with blocking methods.

    One client can be used by all threads of a process. It is a context manager; without `with`,
    call `close()` when you are done.

    Args:
        api_key: Your SDK key, or a function that returns it and is called for each call, for keys
            that rotate. Default: the environment variable `ONELOOP_SDK_KEY`, then `ONELOOP_KEY`.
        link_token: A link token instead of the SDK key, or a function that returns one. The vendor
            does not document this: its own embeddable UI sends a token from `generate_link_token`
            in the header `X-Link-Token` to list, create, rotate, edit and delete the keys of one
            customer.
        base_url: URL of the API. Default: the environment variable `ONELOOP_BASE_URL`, then the
            server that the API's document names.
        timeout: Limits of one attempt, in seconds. A number, or `None` for no limit, sets both.
        retry: When and how often a call is tried again, and the time limit of the whole call.
        headers: Additional headers for each request.
        max_response_bytes: Largest body of a response, as received and decompressed. Default
            10 MiB.
        allow_http: Allow `http://` for hosts other than this machine. The key is then sent
            unencrypted.
        http_client: An `httpx.Client` of yours that sends the requests: its connections, proxies,
            TLS, hooks and limits are used, its headers, cookies, redirects and authentication are
            not. Closing this client does not close it.
        transport: An object that sends the requests, see `oneloop.transport`; or "httpx" for a
            plain `httpx.Client`, so that tools that trace, record or mock httpx see the requests.
        ssl_context: TLS settings, for example for a certificate authority of your own or a client
            certificate. Default: the certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name,
            else those of the system, else certifi's. It must not offer an ALPN protocol other than
            http/1.1. Neither this nor `max_connections` can be combined with `http_client` or a
            transport object.
        max_connections: Largest number of open connections of one process, or of one event loop for
            `AsyncOneloop`; at least 1, default 100. If all are in use, a call waits for up to
            `timeout.connect` and then raises an `APITimeoutError` (`NOT_SENT`).

    Raises:
        ConfigurationError: There is no API key, or an argument is not valid.
        ArgumentError: A number is out of bounds.
    """

    def __init__(
        self,
        *,
        api_key: str | Callable[[], str] | None = None,
        link_token: str | Callable[[], str] | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | None = Timeout(),
        retry: RetryPolicy = RetryPolicy(),
        headers: Mapping[str, str] | None = None,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        allow_http: bool = False,
        http_client: "_httpx.Client | None" = None,
        transport: Transport | Literal["httpx"] | None = None,
        ssl_context: "SSLContext | None" = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """Make a client. It opens nothing before the first call."""
        # Wrapped first: if an argument is refused, error trackers show the variables of this frame.
        api_key, link_token = wrapped(api_key), wrapped(link_token)
        base_url, headers = hide(base_url), hide({} if headers is None else headers)
        self._configure(
            api_key, link_token, base_url, allow_http, timeout, retry, headers, max_response_bytes
        )
        self._transport = self._opened(transport, http_client, ssl_context, max_connections)

    @property
    def with_response(self) -> SyncOperationsWithResponse:
        """The same methods, returning a `Response` with the status, the headers and the model."""
        return _WithResponse(self._respond)

    def close(self) -> None:
        """Close all connections except those of an `http_client`, and refuse further calls."""
        if not self._shares:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _respond(self, call: Call[T]) -> Response[T]:
        context = self._context or self._new_context()
        course: Course[Response[T]] = Course(call, context, with_response=True)
        return run(course, self._transport)

    def _perform(self, call: Call[T]) -> T:
        course: Course[T] = Course(call, self._context or self._new_context())
        return run(course, self._transport)

    def _new_context(self) -> Context:
        return Context(self._settings, self._credentials.credential())


class AsyncOneloop(_Client, AsyncOperations):
    """A client of the Oneloop API for asyncio.

    One client can be used by all tasks. In a second event loop it opens separate connections, and
    it drops those of loops that have been closed. It is an async context manager; without `async
    with`, await `aclose()` when you are done.

    The arguments and errors are those of `Oneloop`, except that `api_key` and `link_token` may be
    async functions, and that `http_client` is an `httpx.AsyncClient`.
    """

    def __init__(
        self,
        *,
        api_key: str | Callable[[], str] | Callable[[], Awaitable[str]] | None = None,
        link_token: str | Callable[[], str] | Callable[[], Awaitable[str]] | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | None = Timeout(),
        retry: RetryPolicy = RetryPolicy(),
        headers: Mapping[str, str] | None = None,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        allow_http: bool = False,
        http_client: "_httpx.AsyncClient | None" = None,
        transport: AsyncTransport | Literal["httpx"] | None = None,
        ssl_context: "SSLContext | None" = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """Make a client. It opens nothing before the first call."""
        # Wrapped first: if an argument is refused, error trackers show the variables of this frame.
        api_key, link_token = wrapped(api_key), wrapped(link_token)
        base_url, headers = hide(base_url), hide({} if headers is None else headers)
        self._configure(
            api_key, link_token, base_url, allow_http, timeout, retry, headers, max_response_bytes
        )
        self._transport = self._opened(transport, http_client, ssl_context, max_connections)

    @property
    def with_response(self) -> AsyncOperationsWithResponse:
        """The same methods, returning a `Response` with the status, the headers and the model."""
        return _AsyncWithResponse(self._respond)

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and refuse further calls in this loop.

        Calls in flight end first. Those of an `http_client` stay open. The client can still be used
        in another event loop.
        """
        if not self._shares:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def _respond(self, call: Call[T]) -> Response[T]:
        context = self._context or await self._new_context()
        course: Course[Response[T]] = Course(call, context, with_response=True)
        return await run_async(course, self._transport)

    async def _perform(self, call: Call[T]) -> T:
        course: Course[T] = Course(call, self._context or await self._new_context())
        return await run_async(course, self._transport)

    async def _new_context(self) -> Context:
        credential = self._credentials.credential_or_awaitable()
        if not isinstance(credential, Credential):
            credential = await credential
        return Context(self._settings, credential)


class _Responding:
    def __init__(self, respond: Callable[[Call[Any]], Any]) -> None:
        self._respond = respond

    def _perform(self, call: Call[Any]) -> Any:
        return self._respond(call)


class _WithResponse(_Responding, SyncOperationsWithResponse): ...


class _AsyncWithResponse(_Responding, AsyncOperationsWithResponse): ...
