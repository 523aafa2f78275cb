"""Bare httpx, which most clients are built on, without models and errors."""

from collections.abc import Awaitable, Callable

import httpx

from benchmarks.calls import CREDITS, KEY, METER, PATH, WORKSPACE

HEADERS = {"Authorization": f"Bearer {KEY}"}
REFILL = {"workspaceId": WORKSPACE, "externalMeterId": METER, "refill": CREDITS}


def make(url: str) -> Callable[[], object]:
    """Return a function that makes a blocking call."""
    client = httpx.Client(base_url=url, headers=HEADERS, timeout=60)

    def call() -> object:
        answer = client.post(PATH, json=REFILL)
        answer.raise_for_status()
        return answer.json()

    return call


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call and close the client."""
    client = httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=60)

    async def call() -> object:
        answer = await client.post(PATH, json=REFILL)
        answer.raise_for_status()
        return answer.json()

    return call, client.aclose
