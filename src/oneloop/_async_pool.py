"""The default transport for asyncio. What it shares with the blocking one is in `_pool`."""

import asyncio
from typing import Any

import httpcore

from . import _attempt
from ._attempt import (
    Attempt,
    busy_error,
    closed_error,
    forget_closed,
    headers_of,
    left_over,
    process,
    running_loop,
    translated,
)
from ._network import AsyncNetwork
from ._pool import Idle, Origin
from .transport import Limits, Request, Response, ResponseTooLarge, TransportError


class AsyncPoolTransport:
    """Sends requests over connections that it reuses, async. Tasks share it.

    Each event loop has connections of its own. `aclose` lets calls in flight end first.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._closed = False
        self._pools: dict[asyncio.AbstractEventLoop, _AsyncPool] = {}

    async def send(self, request: Request, limits: Limits) -> Response:
        attempt = Attempt(request, limits)
        pool = self._join()
        try:
            await pool.admit(limits.connect)
            try:
                return await self._exchange(pool, attempt, request, limits)
            finally:
                pool.free.release()
        finally:
            pool.users -= 1
            if pool.closing and not pool.users:
                await pool.aclose()

    async def _exchange(
        self, pool: "_AsyncPool", attempt: Attempt, request: Request, limits: Limits
    ) -> Response:
        total = None if limits.total is None else limits.total + _attempt.GRACE
        connection = await pool.connection()
        reusable = False
        with attempt:
            try:
                async with asyncio.timeout(total):
                    outgoing = pool.origin.outgoing(request, limits)
                    answer = await connection.handle_async_request(outgoing)
                    try:
                        body = bytearray()
                        async for chunk in answer.aiter_stream():
                            body += chunk
                            attempt.check(body, answer, limits)
                        more = left_over(answer.stream)
                    finally:
                        await answer.aclose()
                    reusable = more is False
            except (TransportError, ResponseTooLarge):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the outcome is known
                failure = translated(error, sent=attempt.wrote)
            else:
                return Response(answer.status, headers_of(answer), bytes(body))
            finally:
                if reusable and connection.is_idle():
                    pool.idle.put(connection)
                else:
                    await connection.aclose()
        raise failure  # here for the reason given in PoolTransport._exchange

    def _join(self) -> "_AsyncPool":
        loop = running_loop()
        pool = self._pools.get(loop)
        if self._closed:
            raise closed_error()
        if pool is None or pool.process != process():
            forget_closed(self._pools)
            origin = Origin(self._base_url, httpcore.AsyncConnectionPool, AsyncNetwork)
            pool = self._pools[loop] = _AsyncPool(origin)
        pool.users += 1
        return pool

    async def aclose(self) -> None:
        """Refuse calls from now on, and close this loop's connections once they are free."""
        self._closed = True
        forget_closed(self._pools)
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is not None:
            pool.closing = True
            if not pool.users:
                await pool.aclose()


class _AsyncPool:
    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.idle = Idle()
        self.free = asyncio.Semaphore(_attempt.MAX_CONNECTIONS)
        self.process = process()
        self.users = 0
        self.closing = False

    async def admit(self, limit: float | None) -> None:
        """Wait for a free connection, for at most `limit` seconds."""
        if not self.free.locked():
            await self.free.acquire()  # returns at once, so that no timer is needed
            return
        try:
            async with asyncio.timeout(limit):
                await self.free.acquire()
                return
        except TimeoutError:
            pass
        raise busy_error()

    async def connection(self) -> Any:
        """Return an open or a new connection for one call."""
        connection = self.idle.take()
        try:
            await self._close_expired()
        except asyncio.CancelledError:
            if connection:
                self.idle.put(connection)
            raise
        return connection or self.origin.connection()

    async def _close_expired(self) -> None:
        while self.idle.expired:
            await self.idle.expired.pop().aclose()

    async def aclose(self) -> None:
        """Close all connections. No call may use one of them."""
        self.idle.give_up()
        await self._close_expired()
        self.origin.headers.cache_clear()
