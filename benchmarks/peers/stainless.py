"""orb-billing, an SDK by Stainless. Its refill adds an entry to a customer's credit ledger."""

from collections.abc import Awaitable, Callable

from orb import AsyncOrb, Orb

from benchmarks.calls import CREDITS, KEY


def make(url: str) -> Callable[[], object]:
    """Return a function that makes a blocking call."""
    ledger = Orb(api_key=KEY, base_url=url).customers.credits.ledger

    def call() -> object:
        return ledger.create_entry("acme", amount=CREDITS, entry_type="increment")

    return call


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call and close the client."""
    client = AsyncOrb(api_key=KEY, base_url=url)
    ledger = client.customers.credits.ledger

    async def call() -> object:
        return await ledger.create_entry("acme", amount=CREDITS, entry_type="increment")

    return call, client.close
