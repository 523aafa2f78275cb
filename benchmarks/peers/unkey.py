"""unkey-py, an SDK by Speakeasy for API keys with credits. Its refill adds credits to a key."""

from collections.abc import Awaitable, Callable

import httpx
from unkey.py import Unkey
from unkey.py.models import Operation

from benchmarks.calls import CREDITS, KEY

API_KEY = "key_833a6778b834ffdf"


def make(url: str) -> Callable[[], object]:
    """Return a function that makes a blocking call."""
    client = Unkey(root_key=KEY, server_url=url)

    def call() -> object:
        return client.keys.update_credits(
            key_id=API_KEY, operation=Operation.INCREMENT, value=CREDITS
        )

    return call


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call and close the client."""
    http = httpx.AsyncClient(timeout=60, follow_redirects=True)  # its own has a timeout of 5 s
    client = Unkey(root_key=KEY, server_url=url, async_client=http)

    async def call() -> object:
        return await client.keys.update_credits_async(
            key_id=API_KEY, operation=Operation.INCREMENT, value=CREDITS
        )

    return call, http.aclose
