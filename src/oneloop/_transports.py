"""The transport that an application chooses with `transport=` or `http_client=`.

A transport of its own is wrapped, so that whatever it returns or raises against the contract of
`oneloop.transport` ends in an error of ours.
"""

from inspect import iscoroutinefunction, signature
from typing import Any, cast

from ._errors import ConfigurationError
from ._settings import MAX_CONNECTIONS
from .transport import (
    AsyncTransport,
    Limits,
    Request,
    Response,
    ResponseTooLarge,
    Transport,
    TransportError,
)


def checked_options(ssl_context: object, max_connections: object) -> None:
    """Check two arguments of the clients.

    Raises:
        ConfigurationError: One of them is not valid.
    """
    is_number = isinstance(max_connections, int) and not isinstance(max_connections, bool)
    if not is_number or cast("int", max_connections) < 1:
        problem = f"max_connections must be a positive integer, got {max_connections!r}"
        raise ConfigurationError(problem)
    if ssl_context is not None:
        import ssl  # on first use, as importing it is slow

        if not isinstance(ssl_context, ssl.SSLContext):
            raise ConfigurationError(
                f"ssl_context must be an ssl.SSLContext, got {_class_name(ssl_context)}"
            )


def chosen_transport(
    transport: Any, http_client: Any, ssl_context: Any, max_connections: int, *, is_async: bool
) -> Any:
    """Return the transport for a client with these arguments; one of the first two is given.

    Raises:
        ConfigurationError: They cannot be combined, or one is not what it has to be.
    """
    if transport is not None and http_client is not None:
        raise ConfigurationError("pass either transport or http_client, not both")
    if transport is None:
        chosen, source = _for_http_client(http_client, is_async), "http_client"
    else:
        wrapper = AsyncCustomTransport if is_async else CustomTransport
        chosen, source = wrapper(transport), "transport"
    for name, is_given in (
        ("ssl_context", ssl_context is not None),
        ("max_connections", max_connections != MAX_CONNECTIONS),
    ):
        if is_given:
            raise ConfigurationError(
                f"{name} would be ignored, as {source} makes its own connections; "
                f"pass either {name} or {source}"
            )
    return chosen


def _for_http_client(http_client: Any, is_async: bool) -> Any:
    from ._http import _httpx  # on first use, as importing it is slow

    kind = "AsyncClient" if is_async else "Client"
    if _httpx.library_of(http_client, kind) is None:
        method = "handle_async_request" if is_async else "handle_request"
        hint = f"; pass httpx.{kind}(transport=...)" if hasattr(http_client, method) else ""
        raise ConfigurationError(
            f"http_client must be an httpx.{kind}, got {_class_name(http_client)}{hint}"
        )
    return (_httpx.AsyncClientTransport if is_async else _httpx.ClientTransport)(http_client)


def _class_name(given: object) -> str:
    """Return the name of an object's class with its module, as in `httpx.AsyncClient`."""
    if isinstance(given, type):
        return f"the class {given.__qualname__}"
    kind = type(given)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


class CustomTransport:
    """Wraps an application's own `oneloop.transport.Transport`, and checks what it returns."""

    def __init__(self, transport: object) -> None:
        found = _methods(transport, "Transport", ("send", "close"))
        if any(map(iscoroutinefunction, found)):
            name = type(transport).__name__
            raise ConfigurationError(
                f"transport must be blocking; {name} is async, which only AsyncOneloop supports"
            )
        self._transport = cast("Transport", transport)

    def send(self, request: Request, limits: Limits) -> Response:
        return _checked(self._transport.send(request, limits))

    def close(self) -> None:
        self._transport.close()


class AsyncCustomTransport:
    """Wraps an application's own `oneloop.transport.AsyncTransport`, and checks what it returns."""

    def __init__(self, transport: object) -> None:
        _methods(transport, "AsyncTransport", ("send", "aclose"))
        self._transport = cast("AsyncTransport", transport)

    async def send(self, request: Request, limits: Limits) -> Response:
        return _checked(await self._transport.send(request, limits))

    async def aclose(self) -> None:
        await self._transport.aclose()


def _methods(transport: object, protocol: str, names: tuple[str, str]) -> list[Any]:
    """Return the methods of a transport, if it implements a protocol of `oneloop.transport`."""
    found = [getattr(transport, name, None) for name in names]
    if not all(map(callable, found)) or not _takes_two(found[0]) or isinstance(transport, type):
        got = repr(transport) if isinstance(transport, str) else type(transport).__name__
        raise ConfigurationError(
            f'transport must be "httpx" or implement oneloop.transport.{protocol}, got {got}; '
            "pass an httpx client as http_client"
        )
    return found


def _takes_two(send: Any) -> bool:
    """Return whether `send` takes a request and limits; that of an httpx client does not."""
    try:
        signature(send).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        pass
    return True


def _checked(response: object) -> Response:
    """Return what a transport has returned, or raise an error if that is not a valid response."""
    if not isinstance(response, Response):
        problem = f"the transport returned {type(response).__name__} instead of a Response"
        raise TransportError(problem, passing=False)
    status, body = cast("Any", response.status), cast("Any", response.body)
    if not isinstance(status, int) or not 100 <= status <= 999:
        part = "status"
    elif not isinstance(body, bytes):
        part = "body"
    elif not _are_headers(response.headers):
        part = "headers"
    else:
        return response
    raise TransportError(f"the transport returned a response with invalid {part}", passing=False)


def _are_headers(headers: Any) -> bool:
    """Return whether these are pairs of strings."""
    if not isinstance(headers, tuple | list):
        return False
    try:
        pairs = [(name, value) for name, value in cast("Any", headers)]
        return all(isinstance(name, str) and isinstance(value, str) for name, value in pairs)
    except (TypeError, ValueError):
        return False


def raised(error: Exception) -> TransportError | ResponseTooLarge:
    """Return the reply that an exception of a transport means.

    Raises:
        BaseException: The exception of a signal handler, which is not about the call.
    """
    names = ("problem", "detail", "sent", "timeout", "passing")
    if isinstance(error, TransportError) and all(hasattr(error, name) for name in names):
        return error.with_traceback(None)
    if (
        isinstance(error, ResponseTooLarge)
        and isinstance(getattr(error, "status", None), int)
        and _are_headers(getattr(error, "headers", None))
    ):
        return error.with_traceback(None)
    from ._http._faults import let_through  # on first use, as few transports break their contract

    let_through(error)
    problem = f"the transport raised {type(error).__name__}"
    return TransportError(problem, detail=str(error), passing=False)
