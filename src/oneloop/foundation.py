"""What `Oneloop` and the clients generated for other documents have in common.

`./generate.sh --document FILE --output DIR` writes a package whose `Client` and `AsyncClient` are
subclasses of `SyncClient` and `AsyncClient`. Applications use those, and import nothing from here.
"""

from collections.abc import Awaitable, Callable, Mapping
from sys import modules
from typing import Any, ClassVar, NoReturn, Self, TypeVar, cast
from weakref import WeakSet

from attrs import evolve

from oneloop_core import UNSET, Call, Definition, Operation, Response, Secret, Unset, hide
from oneloop_core.methods import AsyncWithResponse, WithResponse

from ._call import Course, SpecialCourse, run, run_async
from ._credentials import Credential, Credentials, wrapped
from ._errors import ConfigurationError
from ._http import opened
from ._retry import RetryPolicy, Timeout
from ._settings import (
    MAX_CONNECTIONS,
    MAX_RESPONSE_BYTES,
    Configured,
    Context,
    Settings,
    checked,
    checked_base_url,
    server_url,
)

__all__ = [
    "AsyncClient",
    "AsyncRequestWithResponse",
    "RequestWithResponse",
    "SyncClient",
    "wrapped",
]

T = TypeVar("T")


class BaseClient(Configured):
    """What both clients have in common: settings, credentials and transports."""

    _api: ClassVar[Definition]
    """What the document says about the API. The class with the operations has it."""

    _is_async: ClassVar[bool]
    _credentials: Credentials
    _context: Context | None
    _transport: Any
    _elsewhere: Mapping[str, tuple[str, Any]]
    _shares = False
    _closing: Any
    """What `close` or `aclose` remembers; shared with the clients that `with_options` returns."""

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
        hooks: Any = None,
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
        base_url = checked_base_url(server_url(api, server, base_url), allow_http)
        hooks = UNSET if hooks is None else hooks
        options = checked(api, timeout, retry, headers, max_response_bytes, hooks)
        self._settings = Settings(base_url, **options)
        self._credentials = Credentials(api, credentials)
        self._keep_contexts()
        choice = transport, http_client, ssl_context, max_connections
        self._transport = opened(base_url, *choice, is_async=self._is_async)
        self._closing = WeakSet[Any]() if self._is_async else list[bool]()
        self._elsewhere = {one: self._way_to(one, allow_http, choice) for one in servers}

    def _way_to(self, server: str, allow_http: object, choice: Any) -> tuple[str, Any]:
        """Return the base URL of a server that only some operations have, and a transport."""
        base_url = checked_base_url(Secret(server), allow_http)
        goes_anywhere = choice[0] not in (None, "httpx") or choice[1] is not None
        if goes_anywhere:
            return base_url, self._transport
        return base_url, opened(base_url, *choice, is_async=self._is_async)

    def _keep_contexts(self) -> None:
        """Make the context for `_perform`, unless a call needs more than constant headers."""
        self._contexts: dict[object, Context] = {}
        try:
            names = self._credentials.names()
        except ConfigurationError:  # raised again by calls that need a credential
            self._context = None
            return
        is_special = self._settings.extras or self._settings.hooks
        credential = None if is_special else self._credentials.constant(names)
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

    def _begun(
        self, call: Call[Any], context: Context, *, with_response: bool = False
    ) -> tuple[Course[Any], Any]:
        """Return the course of a call, and the transport for it."""
        sender = self._transport_of(call.operation)
        if self._settings.hooks:
            from ._observing import Adding, ObservedCourse  # on first use, as few need them

            course = ObservedCourse[Any](call, context, self._api, with_response=with_response)
            return course, Adding(sender, course)
        return SpecialCourse(call, context, with_response=with_response), sender

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
        hooks: Any = UNSET,
        extra_body: Any = UNSET,
        extra_query: Any = UNSET,
        extra_headers: Any = UNSET,
    ) -> Self:
        """Return a client with other settings that shares the connections of this one."""
        old = self._settings
        options = checked(self._api, timeout, retry, hide(headers), max_response_bytes, hooks, old)
        if not all(isinstance(one, Unset) for one in (extra_body, extra_query, extra_headers)):
            from ._extras import changed  # on first use, as few applications need it

            extras = hide(extra_body), hide(extra_query), hide(extra_headers)
            options["extras"] = changed(old.extras, self._api, *extras)
        client = self._twin()
        client._settings = evolve(old, **options)
        if any(one is not None for one in credentials.values()):
            client._credentials = Credentials(self._api, credentials)
        client._keep_contexts()
        client._shares = True
        return client

    def _twin(self) -> Self:
        """Return an object with the same attributes, also those of an application's subclass."""
        twin: Self = object.__new__(type(self))
        state = cast("Any", object.__getstate__(self))
        for part in _parts(state):
            for name, value in part.items():
                object.__setattr__(twin, name, value)
        return twin

    def _extended(self, call: Call[T]) -> Call[T]:
        """Return a call with the extras of this client."""
        extras = self._settings.extras
        if extras is None:
            return call
        from ._extras import extended  # on first use, as few applications need it

        return extended(call, extras)

    def __repr__(self) -> str:
        """Show the base URL, and nothing of the credential."""
        settings = getattr(self, "_settings", None)  # not set yet if the constructor has failed
        return f"{type(self).__name__}(base_url={settings and settings.base_url!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a client has a key and open connections."""
        raise TypeError("a client cannot be pickled; make one in each process")

    def __copy__(self) -> Self:
        """Return the client itself, as its connections are not copied; see `with_options`."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """Return the client itself, like `__copy__`."""
        return self


class SyncClient(BaseClient):
    """A client with blocking methods, which a subclass adds. All threads can use it."""

    _is_async = False

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called, on this client or on the one that it was derived from."""
        return bool(self._closing)

    def close(self) -> None:
        """Close all connections except those of an `http_client`, and refuse further calls."""
        if not self._shares:
            self._closing.append(True)
        for transport in self._transports():
            transport.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = UNSET,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
        safe: bool | None = None,
    ) -> Any:
        """Send a request that the client has no method for, with all that its methods guarantee.

        The credential, the limits, the retries and the errors are the same. In errors, `operation`
        is `request` and `path` is as it is given here, so do not put a secret into it.

        Args:
            method: HTTP method, such as `POST`.
            path: The path after `base_url`, such as `/api/v1/workspace`. What a path cannot contain
                is percent-encoded; what is encoded already stays as it is.
            json: What to send as JSON; `None` is sent as null. By default nothing is sent.
            query: Parameters of the query: strings, numbers, booleans or lists of them. `None` is
                not sent.
            headers: Headers that replace those of the client; `None` removes one.
            safe: Whether the request may be sent again after a failure that leaves open whether it
                took effect. By default that depends on the method: GET, HEAD, PUT, DELETE and
                OPTIONS may.

        Returns:
            The parsed JSON of the response; `None` if its body is empty.

        Raises:
            ArgumentError: An argument may not be sent. Nothing was sent.
            OneloopError: The call failed. Its `outcome` says whether it took effect.
        """
        json, query, headers = hide(json), hide(query), hide(headers)
        return self._perform_special(
            _requested(self._api, method, path, json, query, headers, safe)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _perform(self, call: Call[T]) -> T:
        if self._context is None:
            return self._perform_special(call)
        return run(Course(call, self._context), self._transport)

    def _perform_special(self, call: Call[T]) -> T:
        call = self._extended(call)
        result: T = run(*self._begun(call, self._new_context(call.operation)))
        return result

    def _respond(self, call: Call[T]) -> Response[T]:
        call = self._extended(call)
        context = self._new_context(call.operation)
        response: Response[T] = run(*self._begun(call, context, with_response=True))
        return response

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
        if not self._shares:
            self._closing.add(_running_loop())
        for transport in self._transports():
            await transport.aclose()

    @property
    def is_closed(self) -> bool:
        """Whether `aclose` was called in the running event loop, or outside of one, in any.

        It may have been called on this client or on the one that it was derived from.
        """
        loop = _running_loop()
        return bool(self._closing) if loop is None else loop in self._closing

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = UNSET,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
        safe: bool | None = None,
    ) -> Any:
        """Send a request that the client has no method for; see `SyncClient.request`."""
        json, query, headers = hide(json), hide(query), hide(headers)
        call = _requested(self._api, method, path, json, query, headers, safe)
        return await self._perform_special(call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def _perform(self, call: Call[T]) -> T:
        if self._context is None:
            return await self._perform_special(call)
        return await run_async(Course(call, self._context), self._transport)

    async def _perform_special(self, call: Call[T]) -> T:
        call = self._extended(call)
        context = await self._new_context(call.operation)
        result: T = await run_async(*self._begun(call, context))
        return result

    async def _respond(self, call: Call[T]) -> Response[T]:
        call = self._extended(call)
        context = await self._new_context(call.operation)
        response: Response[T] = await run_async(*self._begun(call, context, with_response=True))
        return response

    async def _new_context(self, operation: Operation[Any]) -> Context:
        names, context = self._kept(operation)
        if context is None:
            credential = self._credentials.credential_or_awaitable(names)
            if not isinstance(credential, Credential):
                credential = await credential
            context = self._context_of(operation, credential)
        return context


class RequestWithResponse(WithResponse):
    """`request` of a blocking client, returning the response around the answer."""

    __slots__ = ("_api",)

    def __init__(self, api: Definition, perform: Callable[[Call[Any]], Any]) -> None:
        super().__init__(perform)
        self._api = api

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = UNSET,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
        safe: bool | None = None,
    ) -> Response[Any]:
        """`request`, with the response around the answer."""
        json, query, headers = hide(json), hide(query), hide(headers)
        call = _requested(self._api, method, path, json, query, headers, safe)
        return cast("Response[Any]", self._perform(call))


class AsyncRequestWithResponse(AsyncWithResponse):
    """`request` of an async client, returning the response around the answer."""

    __slots__ = ("_api",)

    def __init__(self, api: Definition, perform: Callable[[Call[Any]], Awaitable[Any]]) -> None:
        super().__init__(perform)
        self._api = api

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = UNSET,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
        safe: bool | None = None,
    ) -> Response[Any]:
        """`request`, with the response around the answer."""
        json, query, headers = hide(json), hide(query), hide(headers)
        call = _requested(self._api, method, path, json, query, headers, safe)
        return cast("Response[Any]", await self._perform(call))


def _parts(state: Any) -> tuple[dict[str, Any], ...]:
    """Return the attributes of an object from its state: with slots, that is a pair of dicts."""
    return state if issubclass(type(state), tuple) else (state,)


def _requested(api: Definition, *arguments: Any) -> Call[Any]:
    from ._extras import requested  # on first use, as few applications need it

    return requested(api, *arguments)


def _running_loop() -> Any:
    """Return the running event loop of asyncio, without importing it; `None` if there is none."""
    asyncio = modules.get("asyncio")
    try:
        return asyncio and asyncio.get_running_loop()
    except RuntimeError:
        return None
