"""An application's own transport, held to what `oneloop.transport` promises.

What it returns is looked at here; what it raises, where a call is carried out (`_call.run`).
"""

from inspect import iscoroutinefunction, signature
from itertools import chain
from typing import Any, cast

from ._errors import ConfigurationError
from .transport import (
    AsyncTransport,
    Limits,
    Request,
    Response,
    Transport,
    TransportError,
)


class CustomTransport:
    """Sends requests with an application's own blocking transport."""

    def __init__(self, transport: object) -> None:
        """Use this transport.

        Raises:
            ConfigurationError: It is not one.
        """
        self._transport = cast("Transport", _checked(transport, ("send", "close"), False))

    def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.Transport`."""
        answer = self._transport.send(request, limits)
        wrong = _problem(answer)
        if wrong is not None:
            raise wrong
        return answer

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()


class AsyncCustomTransport:
    """Sends requests with an application's own async transport."""

    def __init__(self, transport: object) -> None:
        """Use this transport.

        Raises:
            ConfigurationError: It is not one.
        """
        self._transport = cast("AsyncTransport", _checked(transport, ("send", "aclose"), True))

    async def send(self, request: Request, limits: Limits) -> Response:
        """Send a request once; see `oneloop.transport.AsyncTransport`."""
        answer = await self._transport.send(request, limits)
        wrong = _problem(answer)
        if wrong is not None:
            raise wrong
        return answer

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


def _checked(transport: object, methods: tuple[str, str], is_async: bool) -> object:
    found = [getattr(transport, name, None) for name in methods]
    if not all(map(callable, found)) or not _takes_two(found[0]) or isinstance(transport, type):
        raise ConfigurationError(
            f"transport must have the methods {' and '.join(methods)} of oneloop.transport, which"
            f" {type(transport).__name__} does not; pass an httpx client as http_client="
        )
    if not is_async and any(map(iscoroutinefunction, found)):
        raise ConfigurationError(
            f"transport is async, and this client is not: {type(transport).__name__} needs an"
            " AsyncOneloop"
        )
    return transport


def _takes_two(send: Any) -> bool:
    """Return whether a method takes a request and limits; that of an httpx client does not."""
    try:
        signature(send).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        pass
    return True


def _problem(answer: object) -> TransportError | None:
    """Return what is wrong with what a transport returned, or `None`."""
    if not isinstance(answer, Response):
        problem = f"the transport returned {type(answer).__name__} instead of a Response"
        return TransportError(problem, passing=False)
    status, body = cast("Any", answer.status), cast("Any", answer.body)
    if not isinstance(status, int) or not 100 <= status <= 999:
        part = "status"
    elif not isinstance(body, bytes):
        part = "body"
    elif not are_headers(answer.headers):
        part = "headers"
    else:
        return None
    problem = f"the transport returned a response whose {part} is not what it promises"
    return TransportError(problem, passing=False)


def are_headers(headers: Any) -> bool:
    """Return whether these are pairs of strings, without a step of Python for each of them."""
    if not isinstance(headers, tuple | list):
        return False
    try:
        kinds = {*map(type, chain.from_iterable(cast("Any", headers)))}
        lengths = {*map(len, cast("Any", headers))}
        return all(issubclass(kind, str) for kind in kinds) and lengths <= {2}
    except TypeError:
        return False
