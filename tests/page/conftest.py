"""The fixtures of the tests of the page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from oneloop.sandbox import Sandbox
from tests.page.browsing import Shown, browsing, needed_program, showing


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run a browser for a module.

    Not for longer: while it runs, so does an event loop in this thread, and asyncio.run in the
    tests of other modules would fail.
    """
    with browsing(needed_program()) as running:
        yield running


@pytest.fixture
def shown(browser: Browser, sandbox: Sandbox) -> Iterator[Shown]:
    """Open the page on a desktop; check that it logged no error and asked no other host."""
    with showing(browser, sandbox) as tab:
        tab.open()
        yield tab
        assert tab.mistakes == []
