"""Whether a test suite is running, and which hosts its calls may reach. `oneloop.testing` sets it.

Every call reads `rules`, and every run of pytest imports this module. So it imports nothing of the
client before a request is checked.
"""

from collections.abc import Callable

EVERY_HOST = "*"

rules: frozenset[str] | None = None
"""The hosts that calls may reach besides this machine, with or without ports, in the spelling of
`host_and_port`. `None` if no test suite is running."""

observers: list[Callable[[str], object]] = []
"""Functions that are called with the host of each request that is refused."""


def check(url: str) -> None:
    """Refuse a request to another machine, before anything else is done with it.

    Raises:
        HostRefusedError: The rules do not allow the host of this URL.
    """
    allowed = rules
    if allowed is None or EVERY_HOST in allowed:  # `None` if another thread has changed it
        return
    from ._environment import authority, is_loopback  # on first use: only tests need them
    from ._http._faults import HostRefusedError

    host, port = authority(url)
    name = f"[{host}]" if ":" in host else host
    if is_loopback(host) or name in allowed or f"{name}:{port}" in allowed:
        return
    for observer in [*observers]:
        observer(name)
    raise HostRefusedError(name)
