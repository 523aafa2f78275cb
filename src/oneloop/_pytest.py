"""The pytest plugin: calls to other machines are refused, and fixtures are there to make others.

pytest imports this in each project that has this package installed. So it imports the client and
the sandbox only when a fixture needs them. docs/testing.md describes it.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import _testing
from .testing import checked_hosts, set_testing

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from . import AsyncOneloop, Oneloop
    from .sandbox import Sandbox

NAME = "oneloop_allow_hosts"
"""The marker and the ini option."""

OPTION = "--oneloop-allow-hosts"

MOST_SHOWN = 5
"""Tests that the summary names."""

LONGEST_SHOWN = 120
"""Characters of a test's name in the summary."""


class Run:
    """One run of pytest.

    Attributes:
        allowed: Hosts that all tests may reach.
        refused: How often a host was refused, by the host and the name of the test.
        test: Name of the test that is running.
    """

    def __init__(self, allowed: frozenset[str]) -> None:
        self.allowed = allowed
        self.refused: Counter[tuple[str, str]] = Counter()
        self.test = ""

    def refuse(self, host: str) -> None:
        """Count a call that was refused."""
        self.refused[host, self.test] += 1

    def summary(self) -> str:
        """Return one line about the calls that were refused; empty if there is none."""
        if not self.refused:
            return ""
        total = sum(self.refused.values())
        places = [
            f"{host} in {test[:LONGEST_SHOWN] or 'no test'}"
            for host, test in [*self.refused][:MOST_SHOWN]
        ]
        if len(self.refused) > MOST_SHOWN:
            places.append(f"and {len(self.refused) - MOST_SHOWN} more")
        calls = "1 call" if total == 1 else f"{total} calls"
        return f"oneloop refused {calls} to other machines: {', '.join(places)}"


RUN = pytest.StashKey[Run]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the ini option."""
    what = "host that calls of oneloop's clients may reach besides this machine, or * for all"
    group = parser.getgroup("oneloop")
    group.addoption(
        OPTION, action="append", default=[], metavar="HOST", help=f"{what} (repeatable)"
    )
    parser.addini(NAME, f"each {what}", type="args", default=[])


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Refuse calls already while conftest files are imported."""
    start(early_config, early_config.known_args_namespace)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Refuse calls from now on, also if the plugin was registered too late for the hook above."""
    config.addinivalue_line(
        "markers", f"{NAME}(*hosts): hosts that calls of oneloop's clients may reach in this test"
    )
    start(config, config.option)


def start(config: pytest.Config, options: Any) -> None:
    """Refuse calls to other machines until the end of this run of pytest."""
    if RUN in config.stash:
        return
    everywhere = hosts(f"ini option {NAME}", config.getini(NAME))
    config.stash[RUN] = run = Run(everywhere | hosts(OPTION, options.oneloop_allow_hosts))
    restoring = set_testing(True, allow_hosts=run.allowed)
    _testing.observers.append(run.refuse)

    if not is_program(config):
        config.add_cleanup(lambda: restoring.__exit__(None, None, None))
    config.add_cleanup(lambda: _testing.observers.remove(run.refuse))


def is_program(config: pytest.Config) -> bool:
    """Return whether this process ends after the run of pytest.

    Calls are then refused until it does, because threads and handlers of `atexit` may make some.
    """
    started_by = getattr(sys.modules["__main__"], "__spec__", None)
    is_module = started_by is not None and started_by.name == "pytest.__main__"
    is_script = Path(sys.argv[0]).stem in ("pytest", "py.test")
    return is_module or is_script or hasattr(config, "workerinput")


def hosts(where: str, given: Iterable[Any]) -> frozenset[str]:
    """Return hosts that pytest was given.

    Raises:
        UsageError: One of them is not a host.
    """
    try:
        return checked_hosts(given)
    except ValueError as error:
        raise pytest.UsageError(f"{where}: {error}") from None


def marked(item: pytest.Item) -> frozenset[str]:
    """Return the hosts that the markers of a test allow."""
    found: frozenset[str] = frozenset()
    for marker in item.iter_markers(NAME):
        where = f"{item.nodeid}: @pytest.mark.{NAME}"
        if marker.kwargs or not marker.args:
            raise pytest.UsageError(f'{where}: pass hosts, as in {NAME}("api.example.com")')
        found |= hosts(where, marker.args)
    return found


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check the markers of all tests before the first one runs.

    A worker of pytest-xdist cannot end the run with a message, so the tests fail there instead.
    """
    if not hasattr(config, "workeroutput"):
        for item in items:
            marked(item)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)  # of the old style, which pytest 7 has as well
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None]:
    """Allow the hosts of the markers during a test and its fixtures."""
    run = item.config.stash[RUN]
    more: frozenset[str] = frozenset()
    with suppress(pytest.UsageError):  # raised again below
        more = marked(item)
    # Each test begins with the same rules, so that no test can allow hosts for the next one.
    with set_testing(True, allow_hosts=run.allowed | more):
        run.test = item.nodeid
        yield
        run.test = ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose markers are wrong."""
    marked(item)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Pass what was refused in a worker of pytest-xdist on to the main process."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["oneloop_refused"] = [
            [*key, n] for key, n in session.config.stash[RUN].refused.items()
        ]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what was refused in a worker; nothing is known of one that has crashed."""
    run: Run = node.config.stash[RUN]
    for host, test, times in getattr(node, "workeroutput", {}).get("oneloop_refused", ()):
        run.refused[host, test] += times


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Report the calls that were refused, as the application may have handled the errors."""
    line = config.stash[RUN].summary()
    if line:
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture
def oneloop_sandbox() -> Iterator[Sandbox]:
    """A new local server that stands in for the API; `Oneloop()` without arguments calls it."""
    try:
        from .sandbox import Sandbox
    except ImportError as error:
        problem = pytest.fail.Exception(f"the fixture cannot be used: {error}", pytrace=False)
        raise problem from None
    with Sandbox() as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONELOOP_BASE_URL", sandbox.url)
        patch.setenv("ONELOOP_SDK_KEY", sandbox.api_key)
        patch.delenv("ONELOOP_KEY", raising=False)
        yield sandbox


@pytest.fixture
def oneloop_client(oneloop_sandbox: Sandbox) -> Iterator[Oneloop]:
    """An `Oneloop` that calls `oneloop_sandbox`; it is closed at the end of the test."""
    from . import Oneloop

    with Oneloop(api_key=oneloop_sandbox.api_key, base_url=oneloop_sandbox.url) as client:
        yield client


@pytest.fixture
def async_oneloop_client(oneloop_sandbox: Sandbox) -> AsyncOneloop:
    """An `AsyncOneloop` that calls `oneloop_sandbox`; its connections end with the event loop."""
    from . import AsyncOneloop

    return AsyncOneloop(api_key=oneloop_sandbox.api_key, base_url=oneloop_sandbox.url)
