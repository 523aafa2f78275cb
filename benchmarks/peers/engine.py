"""Bare pyreqwest, an HTTP engine written in Rust, without models and errors."""

import json
from collections.abc import Awaitable, Callable

from pyreqwest.client import ClientBuilder, SyncClientBuilder

from benchmarks.calls import CREDITS, KEY, METER, PATH, WORKSPACE

HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
REFILL = {"workspaceId": WORKSPACE, "externalMeterId": METER, "refill": CREDITS}


def make(url: str) -> Callable[[], object]:
    """Return a function that makes a blocking call."""
    client = SyncClientBuilder().http1_only().base_url(url).default_headers(HEADERS).build()

    def call() -> object:
        answer = client.post(PATH).body_bytes(json.dumps(REFILL).encode()).build().send()
        answer.error_for_status()
        return json.loads(answer.bytes().to_bytes())

    return call


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call and close the client."""
    client = ClientBuilder().http1_only().base_url(url).default_headers(HEADERS).build()

    async def call() -> object:
        answer = await client.post(PATH).body_bytes(json.dumps(REFILL).encode()).build().send()
        answer.error_for_status()
        return json.loads((await answer.bytes()).to_bytes())

    return call, client.close
