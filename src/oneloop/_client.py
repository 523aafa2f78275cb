"""The two clients of the Oneloop API: their arguments, and what the environment adds to them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from oneloop_api.client import (
    API,
    AsyncOperations,
    AsyncOperationsWithResponse,
    SyncOperations,
    SyncOperationsWithResponse,
)
from oneloop_core import UNSET, Unset, hide
from oneloop_core.methods import LazyModule

from ._credentials import wrapped
from ._environment import (
    KEY_VARIABLES,
    base_url_from_environment,
    key_from_environment,
    start_logging,
)
from ._errors import ConfigurationError
from ._retry import RetryPolicy, Timeout
from ._settings import MAX_CONNECTIONS, MAX_RESPONSE_BYTES
from .foundation import (
    AsyncClient,
    AsyncRequestWithResponse,
    BaseClient,
    RequestWithResponse,
    SyncClient,
)
from .transport import AsyncTransport, Transport

if TYPE_CHECKING:
    import ssl

    from . import hooks as _hooks
    from ._http import _httpx
else:
    ssl, _httpx = LazyModule("ssl"), LazyModule("oneloop._http._httpx")
    _hooks = LazyModule("oneloop.hooks")


class _Oneloop(BaseClient):
    _api = API

    def with_options(
        self,
        *,
        api_key: str | Callable[[], Any] | None = None,
        link_token: str | Callable[[], Any] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        retry: RetryPolicy | Unset = UNSET,
        headers: Mapping[str, str | None] | Unset = UNSET,
        max_response_bytes: int | Unset = UNSET,
        hooks: "_hooks.Hooks | Sequence[_hooks.Hooks] | Unset | None" = UNSET,
        extra_body: Mapping[str, Any] | Unset | None = UNSET,
        extra_query: Mapping[str, Any] | Unset | None = UNSET,
        extra_headers: Mapping[str, str | None] | Unset | None = UNSET,
    ) -> Self:
        """Return a client with other settings that shares the connections of this one.

        Closing it has no effect; close this client instead. What is not given stays as it is. That
        goes for the parts of a setting, too: `RetryPolicy(budget=300)`, `Timeout(read=5)` and
        `headers` change only what they contain.

        Args:
            api_key: An SDK key instead of the credential of this client.
            link_token: A link token instead of the credential of this client.
            timeout: Limits of one attempt.
            retry: When and how often a call is tried again.
            headers: Headers of each request; `None` removes one.
            max_response_bytes: Largest body of a response.
            hooks: What is told about each call, instead of the hooks of this client.
            extra_body: Members that are added to the JSON object that an operation sends, or
                replace its members of the same name. `None` as a value is sent as null.
            extra_query: Parameters of the query that are added to those of the operation or replace
                them: strings, numbers, booleans or lists of them. `None` removes a parameter. They
                are left out of the URLs that errors and logs show.
            extra_headers: Headers that are added to those of the operation and of the client or
                replace them; `None` removes one. Unlike `headers`, they may set `Content-Type`.

        `None` instead of a mapping removes the extras that this client has.

        Raises:
            ConfigurationError: An argument is not valid.
            ArgumentError: A number is out of bounds, or one of the extras cannot be sent.
        """
        api_key, link_token, headers = wrapped(api_key), wrapped(link_token), hide(headers)
        extra_body, extra_query = hide(extra_body), hide(extra_query)
        extra_headers = hide(extra_headers)
        return self._derived(
            _one_of(api_key, link_token),
            timeout=timeout,
            retry=retry,
            headers=headers,
            max_response_bytes=max_response_bytes,
            hooks=hooks,
            extra_body=extra_body,
            extra_query=extra_query,
            extra_headers=extra_headers,
        )


class OneloopWithResponse(SyncOperationsWithResponse, RequestWithResponse):
    """The methods of `Oneloop`, returning the response around the answer."""

    __slots__ = ()


class AsyncOneloopWithResponse(AsyncOperationsWithResponse, AsyncRequestWithResponse):
    """The methods of `AsyncOneloop`, returning the response around the answer."""

    __slots__ = ()


class Oneloop(_Oneloop, SyncClient, SyncOperations):
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
        hooks: An object, or a list of objects, that is told about each call, see `oneloop.hooks`.
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
        hooks: "_hooks.Hooks | Sequence[_hooks.Hooks] | None" = None,
        allow_http: bool = False,
        http_client: "_httpx.Client | None" = None,
        transport: Transport | Literal["httpx"] | None = None,
        ssl_context: "ssl.SSLContext | None" = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """Make a client. It opens nothing before the first call."""
        start_logging()
        # Wrapped first: if an argument is refused, error trackers show the variables of this frame.
        api_key, link_token = wrapped(api_key), wrapped(link_token)
        base_url, headers = hide(base_url), hide(headers)
        super().__init__(
            _credentials(api_key, link_token),
            base_url=base_url_from_environment() if base_url is None else base_url,
            timeout=timeout,
            retry=retry,
            headers=headers,
            max_response_bytes=max_response_bytes,
            hooks=hooks,
            allow_http=allow_http,
            http_client=http_client,
            transport=transport,
            ssl_context=ssl_context,
            max_connections=max_connections,
        )

    @property
    def with_response(self) -> OneloopWithResponse:
        """The same methods, returning a `Response` with the status, the headers and the model.

        A 2xx answer that cannot be decoded is returned, too; `Response.parsed` then raises the
        error.
        """
        return OneloopWithResponse(self._api, self._respond)


class AsyncOneloop(_Oneloop, AsyncClient, AsyncOperations):
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
        hooks: "_hooks.Hooks | Sequence[_hooks.Hooks] | None" = None,
        allow_http: bool = False,
        http_client: "_httpx.AsyncClient | None" = None,
        transport: AsyncTransport | Literal["httpx"] | None = None,
        ssl_context: "ssl.SSLContext | None" = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """Make a client. It opens nothing before the first call."""
        start_logging()
        # Wrapped first: if an argument is refused, error trackers show the variables of this frame.
        api_key, link_token = wrapped(api_key), wrapped(link_token)
        base_url, headers = hide(base_url), hide(headers)
        super().__init__(
            _credentials(api_key, link_token),
            base_url=base_url_from_environment() if base_url is None else base_url,
            timeout=timeout,
            retry=retry,
            headers=headers,
            max_response_bytes=max_response_bytes,
            hooks=hooks,
            allow_http=allow_http,
            http_client=http_client,
            transport=transport,
            ssl_context=ssl_context,
            max_connections=max_connections,
        )

    @property
    def with_response(self) -> AsyncOneloopWithResponse:
        """The same methods, returning a `Response` with the status, the headers and the model.

        A 2xx answer that cannot be decoded is returned, too; `Response.parsed` then raises the
        error.
        """
        return AsyncOneloopWithResponse(self._api, self._respond)


def _one_of(api_key: Any, link_token: Any) -> dict[str, Any]:
    if api_key is not None and link_token is not None:
        raise ConfigurationError("pass either api_key or link_token, not both")
    return {"api_key": api_key, "link_token": link_token}


def _credentials(api_key: Any, link_token: Any) -> dict[str, Any]:
    """Return the credential that was given, or else the API key of the environment.

    Raises:
        ConfigurationError: There are two credentials or none.
    """
    credentials = _one_of(api_key, link_token)
    if api_key is None and link_token is None:
        credentials["api_key"] = key_from_environment()
        if credentials["api_key"] is None:
            raise ConfigurationError(
                f"there is no API key: pass api_key= or set {KEY_VARIABLES[0]} in the environment"
            )
    return credentials
