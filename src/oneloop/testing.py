"""For test suites: refuse calls to other machines, and do not wait between attempts.

    from oneloop.testing import set_testing

    set_testing(True)

The pytest plugin of this package does that by itself. docs/testing.md shows both.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _testing

if TYPE_CHECKING:
    from ._errors import ConfigurationError
    from ._errors import RefusedInTestsError as RefusedInTestsError

__all__ = ["RefusedInTestsError", "is_testing", "set_testing"]


def set_testing(
    testing: bool, *, allow_hosts: Iterable[str] = ()
) -> AbstractContextManager[None, None]:
    """Switch for the whole process, at once, whether a test suite is running.

    While one is, calls of all clients to any host but this machine (`localhost`, 127.0.0.0/8,
    `::1`) end in `RefusedInTestsError`, and a call that is tried again does not wait between
    attempts. `with set_testing(True): ...` restores at its end what applied before.

    Args:
        testing: Whether a test suite is running.
        allow_hosts: Other hosts that calls may reach, such as `api.example.com` or
            `api.example.com:8443`; `*` allows all hosts. Hosts that were allowed before no longer
            are.

    Returns:
        A context manager that restores what applied before. It need not be used.

    Raises:
        ConfigurationError: One of the hosts is not a host, or `testing` is not a boolean.
    """
    if not isinstance(testing, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _wrong(f"testing must be True or False, got {testing!r}")
    hosts = checked_hosts(allow_hosts)
    if hosts and not testing:
        raise _wrong("allow_hosts has no effect if testing is False; leave it out")
    restoring = _Restoring(_testing.rules)
    _testing.rules = hosts if testing else None
    return restoring


def is_testing() -> bool:
    """Return whether `set_testing(True)` applies."""
    return _testing.rules is not None


class _Restoring:
    """Restores the rules that applied before."""

    def __init__(self, before: frozenset[str] | None) -> None:
        self._before = before

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _testing.rules = self._before


def checked_hosts(given: Iterable[str]) -> frozenset[str]:
    """Return hosts in the spelling in which they are compared.

    Raises:
        ConfigurationError: One of them is neither a host, nor a host with a port, nor `*`.
    """
    if isinstance(given, str):
        raise _wrong(f"allow_hosts must be a list of hosts, got the string {given!r}")
    found: set[str] = set()
    for one in given:
        host: str | None = _testing.EVERY_HOST
        if one != host:
            from ._environment import host_and_port  # on first use, as it imports much

            host = host_and_port(one)
        if host is None:
            raise _wrong(
                f"{one!r} is not a host; pass a name or an address, optionally with a port, "
                'such as "api.example.com" or "api.example.com:8443", or "*" for all hosts'
            )
        found.add(host)
    return frozenset(found)


def _wrong(problem: str) -> "ConfigurationError":
    from ._errors import ConfigurationError  # on first use, as it imports much

    return ConfigurationError(problem)


def __getattr__(name: str) -> Any:
    """Import the error on first use, so that a run of pytest without any call stays cheap."""
    if name != "RefusedInTestsError":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._errors import RefusedInTestsError

    return RefusedInTestsError
