"""One way to call either client, and what to call it with."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from oneloop import AsyncOneloop, Oneloop, RetryPolicy
from oneloop_overrides import Call, Operation, Response

T = TypeVar("T")

REFILL = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}
"""Arguments of a refill that the sandbox takes."""

AT_ONCE = RetryPolicy(backoff=0, cap=0)
"""The default policy without its waits."""


VIAS = ("pool", "own", "fast")
"""What a client sends with: the default transport, the application's own httpx client, the engine
in Rust."""


def sending(via: str, http: Any = None) -> dict[str, Any]:
    """Return the arguments of a client that sends with one of `VIAS`, or with this httpx client."""
    match via:
        case "own":
            return {"http_client": http}
        case "fast":
            return {"transport": "fast"}
    return {}


class ClientKind:
    """One of the two clients, called alike."""

    def __init__(self, name: str) -> None:
        self.name = name

    def respond(self, call: Call[T], *, via: str = "pool", **options: Any) -> Response[T]:
        """Carry out a call with a new client made with these options, and close it.

        It sends by `VIAS`: the default transport, a new client of httpx, or the fast transport.
        """
        if self.name == "sync":
            with httpx.Client() as http, Oneloop(**options, **sending(via, http)) as client:
                return client._respond(call)

        async def respond() -> Response[T]:
            async with (
                httpx.AsyncClient() as http,
                AsyncOneloop(**options, **sending(via, http)) as client,
            ):
                return await client._respond(call)

        return asyncio.run(respond())

    def perform(self, operation: str, arguments: dict[str, Any], **options: Any) -> Any:
        """Call a generated method of a new client made with these options, and close it."""
        if self.name == "sync":
            with Oneloop(**options) as client:
                return getattr(client, operation)(**arguments)

        async def perform() -> Any:
            async with AsyncOneloop(**options) as client:
                return await getattr(client, operation)(**arguments)

        return asyncio.run(perform())

    def refill(self, arguments: dict[str, Any] = REFILL, **options: Any) -> Any:
        """Refill with a new client made with these options, and close it."""
        return self.perform("refill_billing_limit", arguments, **options)


def an_operation(method: str, decode: Callable[[Any], Any] | None = lambda parsed: parsed) -> Any:
    """Return an operation that the document does not have, with the refill's path."""
    return Operation(
        name="an_operation",
        method=method,
        path="/api/v1/customer-billing/refill",
        safe=method in ("GET", "PUT", "DELETE"),
        decode=decode,
    )
