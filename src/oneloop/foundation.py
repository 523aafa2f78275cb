"""What `Oneloop` and the clients generated for other documents have in common.

`./generate.sh --document FILE --output DIR` writes a package whose `Client` and `AsyncClient` are
subclasses of `SyncClient` and `AsyncClient`. Applications use those, and import nothing from here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, Self, TypedDict, TypeVar

from attrs import evolve

from oneloop_core import UNSET, Call, Definition, Operation, Response, Secret, hide
from oneloop_core.methods import LazyModule

from ._call import Context, Course, SpecialCourse, run, run_async
from ._credentials import Credential, Credentials, wrapped
from ._errors import ConfigurationError
from ._retry import RetryPolicy, Timeout
from ._settings import MAX_CONNECTIONS, MAX_RESPONSE_BYTES, Settings, checked, checked_base_url
from .transport import AsyncTransport, Transport

if TYPE_CHECKING:
    import ssl

    from ._http import _httpx
else:
    ssl, _httpx = LazyModule("ssl"), LazyModule("oneloop._http._httpx")

__all__ = [
    "AsyncClient",
    "AsyncOptions",
    "CallOptions",
    "Options",
    "SyncClient",
    "hide_options",
    "wrapped",
]

T = TypeVar("T")


class CallOptions(TypedDict, total=False):
    """Arguments of `with_options`; `Oneloop` describes them."""

    timeout: float | Timeout | None
    retry: RetryPolicy
    headers: Mapping[str, str]
    max_response_bytes: int


class _CommonOptions(CallOptions, total=False):
    base_url: str | None
    allow_http: bool
    ssl_context: "ssl.SSLContext | None"
    max_connections: int


class Options(_CommonOptions, total=False):
    """Arguments of a blocking client; `Oneloop` describes them."""

    http_client: "_httpx.Client | None"
    transport: Transport | Literal["httpx"] | None


class AsyncOptions(_CommonOptions, total=False):
    """Arguments of an async client; `AsyncOneloop` describes them."""

    http_client: "_httpx.AsyncClient | None"
    transport: AsyncTransport | Literal["httpx"] | None


def hide_options(options: Any) -> None:
    """Wrap what may contain secrets in a dict of arguments, because error trackers show frames."""
    for name in ("base_url", "headers"):
        if name in options:
            options[name] = hide(options[name])


class BaseClient:
    """What both clients have in common: settings, credentials and transports."""

    _api: ClassVar[Definition]
    """What the document says about the API. The class with the operations has it."""

    _is_async: ClassVar[bool]
    _settings: Settings
    _credentials: Credentials
    _context: Context | None
    _transport: Any
    _elsewhere: Mapping[str, tuple[str, Any]]
    _shares = False

    def __init__(
        self,
        credentials: Mapping[str, Any],
        server: str | None = None,
        *,
        base_url: Any = None,
        timeout: Any = Timeout(),
        retry: Any = RetryPolicy(),
        headers: Any = None,
        max_response_bytes: Any = MAX_RESPONSE_BYTES,
        allow_http: Any = False,
        http_client: Any = None,
        transport: Any = None,
        ssl_context: Any = None,
        max_connections: Any = MAX_CONNECTIONS,
    ) -> None:
        """Make a client. It opens nothing before the first call.

        `credentials` are the arguments for the security schemes by name, with strings wrapped.
        `server` is the name of one of the document's servers, by default the first one. All other
        arguments are those of `Oneloop`; `base_url` and `headers` may be wrapped.
        """
        base_url, headers = hide(base_url), hide({} if headers is None else headers)
        api, servers = self._api, self._api.elsewhere if base_url is None else ()
        base_url = checked_base_url(_url(api, server, base_url), allow_http)
        options = checked(api, timeout, retry, headers, max_response_bytes)
        self._settings = Settings(base_url, **options)
        self._credentials = Credentials(api, credentials)
        self._keep_contexts()
        choice = transport, http_client, ssl_context, max_connections
        self._transport = self._opened(base_url, *choice)
        self._elsewhere = {one: self._way_to(one, allow_http, choice) for one in servers}

    def _opened(
        self,
        base_url: str,
        transport: object,
        http_client: object,
        ssl_context: Any,
        max_connections: Any,
    ) -> Any:
        """Return the transport for these arguments, importing only what it needs."""
        if ssl_context is not None or max_connections is not MAX_CONNECTIONS:
            from ._transports import checked_options

            checked_options(ssl_context, max_connections)
        by_httpx = isinstance(transport, str) and transport == "httpx" and http_client is None
        if not by_httpx and not (transport is None and http_client is None):
            from ._transports import chosen_transport

            options = ssl_context, max_connections
            return chosen_transport(transport, http_client, *options, is_async=self._is_async)
        if self._is_async:
            from ._http._asyncio import AsyncioTransport

            return AsyncioTransport(base_url, ssl_context, max_connections, by_httpx)
        from ._http._blocking import BlockingTransport

        return BlockingTransport(base_url, ssl_context, max_connections, by_httpx)

    def _way_to(self, server: str, allow_http: object, choice: Any) -> tuple[str, Any]:
        """Return the base URL of a server that only some operations have, and a transport."""
        base_url = checked_base_url(Secret(server), allow_http)
        goes_anywhere = choice[0] not in (None, "httpx") or choice[1] is not None
        return base_url, self._transport if goes_anywhere else self._opened(base_url, *choice)

    def _keep_contexts(self) -> None:
        """Make the context for `_perform`, unless a call needs more than constant headers."""
        self._contexts: dict[object, Context] = {}
        try:
            names = self._credentials.names()
        except ConfigurationError:  # raised again by calls that need a credential
            self._context = None
            return
        credential = self._credentials.constant(names)
        is_plain = credential is not None and not (credential.query or credential.cookies)
        self._context = Context(self._settings, credential) if credential and is_plain else None

    def _kept(self, operation: Operation[Any]) -> tuple[tuple[str, ...], Context | None]:
        """Return the schemes for an operation, and the context if their credentials are constant.

        Raises:
            ConfigurationError: The client was made without a credential that the operation takes.
        """
        names = self._credentials.names(operation.name, operation.security)
        key = names, operation.server, operation.accept
        context = self._contexts.get(key)
        if context is None:
            credential = self._credentials.constant(names)
            if credential is not None:
                context = self._contexts[key] = self._context_of(operation, credential)
        return names, context

    def _context_of(self, operation: Operation[Any], credential: Credential) -> Context:
        base_url, _ = self._elsewhere.get(operation.server or "", (None, None))
        return Context(self._settings, credential, base_url, operation.accept)

    def _transport_of(self, operation: Operation[Any]) -> Any:
        return self._elsewhere.get(operation.server or "", (None, self._transport))[1]

    def _transports(self) -> set[Any]:
        """Return the transports to close: none if they are those of another client."""
        if self._shares:
            return set()
        return {self._transport, *(transport for _, transport in self._elsewhere.values())}

    def _derived(
        self,
        credentials: Mapping[str, Any],
        *,
        timeout: Any = UNSET,
        retry: Any = UNSET,
        headers: Any = UNSET,
        max_response_bytes: Any = UNSET,
    ) -> Self:
        """Return a client with other settings that shares the connections of this one."""
        client = type(self).__new__(type(self))
        options = checked(self._api, timeout, retry, hide(headers), max_response_bytes)
        client._settings = evolve(self._settings, **options)
        client._credentials = self._credentials
        if any(one is not None for one in credentials.values()):
            client._credentials = Credentials(self._api, credentials)
        client._keep_contexts()
        client._transport, client._elsewhere = self._transport, self._elsewhere
        client._shares = True
        return client

    def __repr__(self) -> str:
        """Show the base URL, and nothing of the credential."""
        settings = getattr(self, "_settings", None)  # not set yet if the constructor has failed
        return f"{type(self).__name__}(base_url={settings and settings.base_url!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a client has a key and open connections."""
        raise TypeError("a client cannot be pickled; make one in each process")


class SyncClient(BaseClient):
    """A client with blocking methods, which a subclass adds. All threads can use it."""

    _is_async = False

    def close(self) -> None:
        """Close all connections except those of an `http_client`, and refuse further calls."""
        for transport in self._transports():
            transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _perform(self, call: Call[T]) -> T:
        if self._context is None:
            return self._perform_special(call)
        return run(Course(call, self._context), self._transport)

    def _perform_special(self, call: Call[T]) -> T:
        course: Course[T] = SpecialCourse(call, self._new_context(call.operation))
        return run(course, self._transport_of(call.operation))

    def _respond(self, call: Call[T]) -> Response[T]:
        context = self._new_context(call.operation)
        course: Course[Response[T]] = SpecialCourse(call, context, with_response=True)
        return run(course, self._transport_of(call.operation))

    def _new_context(self, operation: Operation[Any]) -> Context:
        names, context = self._kept(operation)
        return context or self._context_of(operation, self._credentials.credential(names))


class AsyncClient(BaseClient):
    """A client with async methods, which a subclass adds. All tasks can use it."""

    _is_async = True

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and refuse further calls in this loop.

        Calls in flight end first. Those of an `http_client` stay open. The client can still be used
        in another event loop.
        """
        for transport in self._transports():
            await transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def _perform(self, call: Call[T]) -> T:
        if self._context is None:
            return await self._perform_special(call)
        return await run_async(Course(call, self._context), self._transport)

    async def _perform_special(self, call: Call[T]) -> T:
        course: Course[T] = SpecialCourse(call, await self._new_context(call.operation))
        return await run_async(course, self._transport_of(call.operation))

    async def _respond(self, call: Call[T]) -> Response[T]:
        context = await self._new_context(call.operation)
        course: Course[Response[T]] = SpecialCourse(call, context, with_response=True)
        return await run_async(course, self._transport_of(call.operation))

    async def _new_context(self, operation: Operation[Any]) -> Context:
        names, context = self._kept(operation)
        if context is None:
            credential = self._credentials.credential_or_awaitable(names)
            if not isinstance(credential, Credential):
                credential = await credential
            context = self._context_of(operation, credential)
        return context


def _url(api: Definition, server: str | None, base_url: Secret | None) -> Secret:
    """Return the URL of the server with this name, or the base URL that was given instead."""
    if base_url is not None:
        if server is not None:
            raise ConfigurationError("pass either server or base_url, not both")
        return base_url
    if server is not None and server not in api.servers:
        choices = ", ".join(map(repr, api.servers)) or "not available, as the document names none"
        raise ConfigurationError(f"server must be one of: {choices}; got {server!r}")
    if not api.servers:
        found = f"only the path {api.relative}" if api.relative else "no server"
        example = f"https://api.example.com{api.relative}"
        problem = f"the API's document names {found}; pass base_url=, such as {example!r}"
        raise ConfigurationError(problem)
    return Secret(api.servers[server] if server else next(iter(api.servers.values())))
