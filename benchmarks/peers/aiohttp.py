"""Bare aiohttp, without models and errors. It has no blocking call."""

from collections.abc import Awaitable, Callable

import aiohttp

from benchmarks.calls import CREDITS, KEY, METER, PATH, WORKSPACE

HEADERS = {"Authorization": f"Bearer {KEY}"}
REFILL = {"workspaceId": WORKSPACE, "externalMeterId": METER, "refill": CREDITS}


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call and close the client."""
    session = aiohttp.ClientSession(url, headers=HEADERS, raise_for_status=True)

    async def call() -> object:
        async with session.post(PATH, json=REFILL) as answer:
            return await answer.json()

    return call, session.close
