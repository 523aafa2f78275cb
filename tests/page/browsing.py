"""A Chromium of the system, and the sandbox's page in it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import define, field
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, sync_playwright

from oneloop.sandbox import Sandbox

NEEDED = "needs Chromium: apt-get install chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def program() -> str | None:
    """Return the path of the system's Chromium, None if there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def needed_program() -> str:
    """Return the same. Without one, skip the test, or fail where CI must not skip any."""
    found = program()
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(NEEDED)
        pytest.skip(NEEDED)
    return found


@contextmanager
def browsing(executable: str) -> Iterator[Browser]:
    """Run a headless browser. Meanwhile, an event loop runs in this thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        yield browser
        browser.close()


@define(slots=False)  # Playwright sets attributes on the owner of a handler
class Shown:
    """The page in a tab of its own, and what must not happen in it."""

    sandbox: Sandbox
    page: Page
    mistakes: list[str] = field(factory=list)
    """Errors on the console, exceptions, and requests to other hosts."""

    def watch(self) -> None:
        """Begin to collect mistakes."""
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.mistakes.append(str(error)))
        self.page.on("request", self._note_request)

    def open(self, fragment: str = "", *, connected: bool = True) -> None:
        """Load the page, and wait until it shows what it has to."""
        self.page.goto(f"{self.sandbox.url}/{fragment}")
        if connected:
            self.button("drop-after").wait_for()

    def button(self, name: str) -> Locator:
        """Return a button by how its accessible name begins."""
        return self.page.get_by_role("button", name=name).first

    def section(self, name: str) -> Locator:
        """Return a part of the page by its heading."""
        return self.page.get_by_role("region", name=name)

    def meter(self, name: str) -> Locator:
        """Return the row of a meter."""
        return self.section("Meters").get_by_role("listitem").filter(has_text=name)

    @property
    def requests(self) -> Locator:
        """The rows of the requests, newest first."""
        return self.page.locator("#requests > li")

    @property
    def message(self) -> Locator:
        """The short message about what was done last."""
        return self.page.locator("#message")

    def evaluate(self, code: str, argument: object = None) -> Any:
        """Return what JavaScript evaluates to in the page."""
        return self.page.evaluate(code, argument)

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.mistakes.append(message.text)

    def _note_request(self, request: Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            self.mistakes.append(request.url)


@contextmanager
def showing(
    browser: Browser, sandbox: Sandbox, viewport: Any = None, **options: Any
) -> Iterator[Shown]:
    """Yield a new tab with cookies and storage of its own."""
    context = browser.new_context(viewport=viewport or DESKTOP, **options)
    try:
        page = context.new_page()
        page.set_default_timeout(5000)
        shown = Shown(sandbox, page)
        shown.watch()
        yield shown
    finally:
        context.close()
