"""A guard for Starlette: let a request through only if the API verifies the customer's key.

    guard = Guard(scopes={"invoices": "read"})

    @guard
    async def invoices(request: Request) -> Response:
        customer = verification(request).customer_id

    app = Starlette(routes=[Route("/invoices", invoices)], lifespan=guard.lifespan)

docs/guards.md describes the settings and the responses.
"""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeGuard

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from ._asgi import ASGIGuard, verification
from ._guard import Refusal

__all__ = ["Guard", "verification"]

P = ParamSpec("P")


class Guard(ASGIGuard):
    """A decorator for endpoints of Starlette that are functions, websockets included.

    The arguments are those of `oneloop.fastapi.Guard`.
    """

    def __call__(self, endpoint: Callable[P, Any]) -> Callable[P, Any]:
        """Return an endpoint that verifies the key first."""
        is_async = iscoroutinefunction(endpoint)

        @wraps(endpoint)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            # The endpoint of a class is a method, whose first argument is the instance.
            connection = next(filter(_is_connection, args))
            if connection.scope["type"] == "websocket":
                await self.verify(connection)
            else:
                result = await self._result(connection)
                if isinstance(result, Refusal):  # Starlette would make plain text of an exception
                    content = {"detail": result.detail}
                    return JSONResponse(content, result.status, result.headers)
            if is_async:
                return await endpoint(*args, **kwargs)
            return await run_in_threadpool(endpoint, *args, **kwargs)

        return guarded


def _is_connection(argument: object) -> TypeGuard[HTTPConnection]:
    return isinstance(argument, HTTPConnection)
