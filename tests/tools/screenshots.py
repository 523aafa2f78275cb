"""Pictures of the sandbox's page for the docs: `scripts/screenshots` writes them to docs/images.

It is the page of a real sandbox whose clock stands still. What differs from run to run (the port,
times by the machine's clock, the ends of random keys) is replaced before a picture is taken.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from oneloop.sandbox import Sandbox
from tests import ROOT
from tests.page.browsing import PHONE, browsing, program, showing
from tests.sandbox.calls import SCOPE, Api

FOLDER = ROOT / "docs" / "images"
VIEWS: dict[str, Any] = {
    "sandbox-desktop.png": {"viewport": {"width": 1280, "height": 720}, "color_scheme": "light"},
    "sandbox-phone.png": {"viewport": PHONE, "color_scheme": "dark"},
}

MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
REPLACE = """() => {
    const replace = (selector, text) =>
        document.querySelectorAll(selector).forEach((element, index) => {
            element.textContent = text(index);
        });
    const seconds = (index) => String(58 - 3 * index).padStart(2, "0");
    replace("#address", () => "http://127.0.0.1:8787");
    replace("#requests time", (index) => `09:29:${seconds(index)}`);
    replace("#keys code", (index) => `****${["e4Ts", "m9Lb", "Zx02", "k7Qd"][index]}`);
}"""


@contextmanager
def example() -> Iterator[Sandbox]:
    """Run a sandbox in the middle of somebody's tests."""
    with Sandbox(clock=lambda: MOMENT) as sandbox:
        api = Api(sandbox)
        for name, used in {"umbrella": 500, "initech": 620, "globex": 425}.items():
            sandbox.create_meter(
                workspace_id="ws_1",
                external_meter_id=name,
                total_credits=500,
                used_credits=used,
                allow_overages=name != "umbrella",
                spend_cap={"globex": 1500, "initech": 750}.get(name),
            )
        api.new_key(name="first", enabled=False)
        api.new_key(name="staging", expiresAt=int(MOMENT.timestamp()) + 60)
        key = api.new_key(
            name="production", externalMeterId="acme", scopes=[SCOPE | {"update": True}]
        )
        api.verify(key["key"], 380)
        for fault, meter in {"429": "acme", "late-504": "acme", "drop-after": "globex"}.items():
            sandbox.misbehave(fault)
            names = {"workspaceId": "ws_1", "externalMeterId": meter}
            with suppress(ConnectionError):  # what a dropped connection raises
                api.exchange("POST /customer-billing/refill", {**names, "refill": 500})
            sandbox.apply_late()
        api.ask("GET /customer-billing?workspaceId=ws_1&externalMeterId=globex")
        sandbox.misbehave("late-apply", operation="refill_billing_limit", times=2)
        sandbox.misbehave("503", rate=0.1, seed=7)
        sandbox.advance(3600)
        yield sandbox


def pictures(browser: Browser) -> dict[str, bytes]:
    """Return all pictures, as PNG, by the names of their files."""
    taken = {}
    with example() as sandbox:
        for name, view in VIEWS.items():
            with showing(browser, sandbox, **view) as tab:
                tab.open()
                tab.evaluate(REPLACE)
                taken[name] = tab.page.screenshot(animations="disabled")
    return taken


def main(folder: Path = FOLDER) -> int:
    """Write all pictures; return the exit status."""
    executable = program()
    if executable is None:
        print("scripts/screenshots: needs Chromium; scripts/browser installs it", file=sys.stderr)
        return 1
    folder.mkdir(exist_ok=True)
    with browsing(executable) as browser:
        for name, picture in pictures(browser).items():
            (folder / name).write_bytes(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
