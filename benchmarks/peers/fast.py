"""Ours, over pyreqwest: `transport="fast"`."""

from collections.abc import Awaitable, Callable

from benchmarks.peers import default


def make(url: str) -> Callable[[], object]:
    """Return a blocking call."""
    return default.make(url, transport="fast")


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return an async call, and what closes its client."""
    return default.make_async(url, transport="fast")
