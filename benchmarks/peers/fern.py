"""squareup, a current SDK by Fern. Its refill adds points to a loyalty account."""

from collections.abc import Awaitable, Callable

import httpx
from square import AsyncSquare, Square
from square.requests.loyalty_event_adjust_points import LoyaltyEventAdjustPointsParams

from benchmarks.calls import CREDITS, KEY

POINTS: LoyaltyEventAdjustPointsParams = {"points": CREDITS, "reason": "refill"}


def make(url: str) -> Callable[[], object]:
    """Return a function that makes a blocking call."""
    accounts = Square(token=KEY, base_url=url).loyalty.accounts

    def call() -> object:
        return accounts.adjust("acme", idempotency_key="bc29a517", adjust_points=POINTS)

    return call


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call and close the client."""
    http = httpx.AsyncClient(timeout=60, follow_redirects=True)  # it cannot close one of its own
    accounts = AsyncSquare(token=KEY, base_url=url, httpx_client=http).loyalty.accounts

    async def call() -> object:
        return await accounts.adjust("acme", idempotency_key="bc29a517", adjust_points=POINTS)

    return call, http.aclose
