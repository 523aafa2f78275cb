"""What the guards of Starlette and FastAPI have in common."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection

from oneloop_api.models import VerifyApiKeyResponse

from ._client import AsyncOneloop
from ._guard import BaseGuard, Kept, Refusal, Scopes, verification_in

DENIAL = "websocket.http.response"
"""The extension of ASGI with which a server answers the handshake of a websocket."""


def verification(connection: HTTPConnection) -> VerifyApiKeyResponse:
    """Return the verification of a request or websocket that a guard has let through.

    Raises:
        LookupError: No guard has let it through.
    """
    return verification_in(kept_by(connection))


def kept_by(connection: HTTPConnection) -> Kept:
    """Return the scope of a connection, which servers make for each request."""
    return connection.scope


def route_of(connection: HTTPConnection) -> str | None:
    """Return the pattern of the matched route, such as `/v1/invoices/{number}`.

    The route in the scope lacks the prefixes of mounts and, in FastAPI, of included routers. These
    are taken from the path, with the values of parameters replaced by their names.
    """
    route: Any = connection.scope.get("route")
    template = cast("str | None", getattr(route, "path", None))
    if template is None or ":path}" in template:
        return template
    segments: list[str] = connection.scope["path"].split("/")
    prefix = segments[: len(segments) - template.count("/")]
    names = {
        str(value): f"{{{name}}}"
        for name, value in connection.path_params.items()
        if f"{{{name}" not in template
    }
    return "/".join(names.get(one, one) for one in prefix) + template


class ASGIGuard(BaseGuard[HTTPConnection]):
    """The settings are those of `BaseGuard`; `usage` may also be an async function."""

    _async_client_name = "client"

    def __init__(
        self,
        *,
        scopes: Scopes = (),
        usage: int | Callable[[Any], int | Awaitable[int]] | None = None,
        usage_name: str | None = None,
        header: str | None = None,
        deadline: float = 2.0,
        usage_limited: int = 402,
        remember_refusals: float | None = None,
        client: AsyncOneloop | None = None,
    ) -> None:
        super().__init__(
            scopes=scopes,
            usage=usage,
            usage_name=usage_name,
            header=header,
            deadline=deadline,
            usage_limited=usage_limited,
            remember_refusals=remember_refusals,
            async_client=client,
        )

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[None]:
        """Make the client when the application starts, and close it when the application ends.

        Pass it as `lifespan=guard.lifespan`, or use `async with guard.lifespan():` in a lifespan of
        your own. Without it, the first request makes the client.

        Raises:
            ConfigurationError: The environment has no API key.
        """
        self._client_of(AsyncOneloop)
        try:
            yield
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the client that this guard has made. The next request makes another one."""
        client = self._forget(AsyncOneloop)
        if client is not None:
            await client.aclose()

    async def verify(self, connection: HTTPConnection) -> VerifyApiKeyResponse:
        """Return the verification of a request or websocket.

        Raises:
            HTTPException: It is refused. The handshake of a websocket is answered with the status.
            WebSocketException: The server cannot answer a handshake; the websocket is closed.
        """
        result = await self._result(connection)
        if not isinstance(result, Refusal):
            return result
        extensions: dict[str, Any] = connection.scope.get("extensions") or {}
        if connection.scope["type"] == "websocket" and DENIAL not in extensions:
            raise WebSocketException(1008, result.detail)
        raise HTTPException(result.status, result.detail, result.headers)

    async def _result(self, connection: HTTPConnection) -> VerifyApiKeyResponse | Refusal:
        """Return the verification, or the response to a request that is not let through."""
        return await self._verified_async(
            kept_by(connection),
            self._before(connection.headers.getlist(self._header_name)),
            route_of(connection),
            connection,
        )
