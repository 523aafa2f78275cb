"""oneloop with `transport="httpx"`, which sends requests with a plain httpx client."""

from collections.abc import Awaitable, Callable

from benchmarks.peers import default


def make(url: str) -> Callable[[], object]:
    """Return a function that makes a blocking call."""
    return default.make(url, transport="httpx")


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call and close the client."""
    return default.make_async(url, transport="httpx")
