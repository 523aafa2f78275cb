"""The transport that an application chooses with `transport=` or `http_client=`.

A transport of its own is wrapped, so that whatever it returns or raises against the contract of
`oneloop.transport` ends in an error of ours.
"""

import sys
import threading
from importlib import import_module
from inspect import iscoroutinefunction, signature
from typing import Any, cast

from ._errors import ConfigurationError
from .transport import (
    AsyncTransport,
    Limits,
    Request,
    Response,
    ResponseTooLarge,
    Transport,
    TransportError,
)


def chosen_transport(transport: Any, http_client: Any, base_url: str, *, is_async: bool) -> Any:
    """Return the transport for a client with these arguments, one of which is given.

    Raises:
        ConfigurationError: Both are given, or one is not what it has to be.
    """
    if transport is None:
        return _for_http_client(http_client, is_async)
    if http_client is not None:
        raise ConfigurationError("pass either transport or http_client, not both")
    if isinstance(transport, str) and transport == "fast":
        fast = _fast_engine()
        return (fast.AsyncFastTransport if is_async else fast.FastTransport)(base_url)
    return (AsyncCustomTransport if is_async else CustomTransport)(transport)


def _for_http_client(http_client: Any, is_async: bool) -> Any:
    from . import _httpx  # on first use, as importing it is slow

    kind = _httpx.AsyncClient if is_async else _httpx.Client
    if not isinstance(http_client, kind):
        raise ConfigurationError(
            f"http_client must be an httpx.{kind.__name__}, got {type(http_client).__name__}"
        )
    wrapper: Any = _httpx.AsyncClientTransport if is_async else _httpx.ClientTransport
    return wrapper(http_client)


def _fast_engine() -> Any:
    """Import the transports of the Rust engine, which is an optional dependency."""
    name = "oneloop._fast"
    try:
        if name in sys.modules or threading.current_thread() is threading.main_thread():
            return import_module(name)
        return _imported_on_a_lasting_thread(name)
    except ImportError as error:
        raise ConfigurationError(
            "transport=\"fast\" requires pyreqwest: pip install 'oneloop[fast]'"
        ) from error


def _imported_on_a_lasting_thread(name: str) -> Any:
    """Import a module on a thread that does not end before the process does.

    The allocator in pyreqwest (mimalloc 3.3, its issue 1287) crashes the process if the thread that
    loaded it has ended and another one gets its id.
    """
    from concurrent.futures import Future  # on first use, as few processes need it

    imported: Future[Any] = Future()

    def run() -> None:
        try:
            imported.set_result(import_module(name))
        except BaseException as error:  # noqa: BLE001 - raised by `result`
            imported.set_exception(error)
        else:
            threading.Event().wait()

    threading.Thread(target=run, name="oneloop-fast", daemon=True).start()
    return imported.result()


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
            f'transport must be "fast" or implement oneloop.transport.{protocol}, got {got}; '
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
    from ._signals import let_through  # on first use, as few transports break their contract

    let_through(error)
    problem = f"the transport raised {type(error).__name__}"
    return TransportError(problem, detail=str(error), passing=False)
