"""Call either client in the same way, with arguments that the sandbox accepts."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import httpx
from attrs import evolve

from oneloop import AsyncOneloop, Oneloop, RetryPolicy
from oneloop_core import Call, Operation, Response

T = TypeVar("T")

REFILL = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}
"""Arguments of a refill that the sandbox accepts."""

AT_ONCE = RetryPolicy(backoff=0, cap=0)
"""The default policy, but without waits between attempts."""


SLACK = 8.0
"""Seconds by which a call may outlive its limit on a busy machine. Without one it takes longer."""

KINDS = ("sync", "async", "sync-own", "async-own", "sync-httpx", "async-httpx")
"""Each client with the default transport, with an httpx client that the application passes ("own"),
and with a plain one of ours ("httpx")."""


def sending(via: str, http: Any = None) -> dict[str, Any]:
    """Return client arguments to send with `http` ("own"), a plain client, or the default."""
    return {"own": {"http_client": http}, "httpx": {"transport": "httpx"}}.get(via, {})


class ClientKind:
    """One of the two clients with one of the transports, behind a common blocking interface."""

    def __init__(self, kind: str) -> None:
        self.name, _, self.via = kind.partition("-")

    def client(self, http: Any = None, **options: Any) -> Any:
        """Return a new client with these options."""
        client = Oneloop if self.name == "sync" else AsyncOneloop
        return client(**sending(self.via, http), **options)

    def respond(self, call: Call[T], **options: Any) -> Response[T]:
        """Make a call with a new client that has these options, and close the client.

        An answer that cannot be decoded raises its error, as it does for the plain method.
        """
        response: Response[T] = self._using(lambda client: client._respond(call), options)
        return evolve(response, parsed=response.parsed)

    def perform(self, operation: str, arguments: dict[str, Any], **options: Any) -> Any:
        """Call a generated method of a new client that has these options, and close the client."""
        return self._using(lambda client: getattr(client, operation)(**arguments), options)

    def refill(self, arguments: dict[str, Any] = REFILL, **options: Any) -> Any:
        """Make a refill with a new client that has these options, and close the client."""
        return self.perform("refill_billing_limit", arguments, **options)

    def _using(self, use: Callable[[Any], Any], options: dict[str, Any]) -> Any:
        own = self.via == "own"
        if self.name == "sync":
            with (
                httpx.Client() if own else nullcontext() as http,
                self.client(http, **options) as client,
            ):
                return use(client)

        async def using() -> Any:
            async with (
                httpx.AsyncClient() if own else nullcontext() as http,
                self.client(http, **options) as client,
            ):
                return await use(client)

        return asyncio.run(using())


def an_operation(method: str, decode: Callable[[Any], Any] | None = lambda parsed: parsed) -> Any:
    """Return an operation that is not in the API document, with the path of the refill."""
    return Operation(
        name="an_operation",
        method=method,
        path="/api/v1/customer-billing/refill",
        safe=method in ("GET", "PUT", "DELETE"),
        decode=decode,
    )
