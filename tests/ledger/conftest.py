"""Fixtures of the ledger's tests: both ledgers, both databases, behind one blocking interface."""

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from oneloop import AsyncOneloop, Oneloop
from oneloop.ledger import AsyncLedger, Ledger
from oneloop.sandbox import Sandbox
from tests.calling import AT_ONCE

QUIET = 0.05
"""Seconds. Nothing in these tests takes effect later, unless it waits for the test."""

REFILL: dict[str, Any] = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}


class Books:
    """A ledger with a client. Coroutines are run to their end; iterators become lists."""

    def __init__(self, kind: str, database: str, sandbox: Sandbox, **options: Any) -> None:
        is_async = kind == "async"
        self._runner = asyncio.Runner() if is_async else None
        client: dict[str, Any] = {
            "api_key": sandbox.api_key,
            "base_url": sandbox.url,
            "retry": AT_ONCE,
            **options.pop("client", {}),
        }
        self.ledger: Any = (AsyncLedger if is_async else Ledger)(
            database, **{"quiet": QUIET, "lease": 20, "patience": 5, **options}
        )
        self.client: Any = (AsyncOneloop if is_async else Oneloop)(**client)

    def _run(self, result: Any) -> Any:
        if self._runner is None:
            return list(result) if inspect.isgenerator(result) else result

        async def collect() -> Any:
            if inspect.isasyncgen(result):
                return [one async for one in result]
            return await result

        return self._runner.run(collect())

    def refill(self, id: str = "pay_1", **changes: Any) -> Any:
        """Refill the meter acme, or another one."""
        return self._run(self.ledger.refill(self.client, id=id, **{**REFILL, **changes}))

    def run(self, refills: Any, **options: Any) -> Any:
        """Make many refills."""
        return self._run(self.ledger.run(refills, self.client, **options))

    def settle(self, **options: Any) -> Any:
        """Settle what is unknown."""
        return self._run(self.ledger.settle(self.client, **options))

    def __getattr__(self, name: str) -> Any:
        """Return a method of the ledger."""
        method = getattr(self.ledger, name)
        return lambda *args, **kwargs: self._run(method(*args, **kwargs))

    def close(self) -> None:
        """Close the ledger and the client."""
        if self._runner is None:
            self.ledger.close()
            self.client.close()
            return
        self._run(self.ledger.aclose())
        self._run(self.client.aclose())
        self._runner.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the path or the URL of a database that does not exist yet, or is empty."""
    if request.param == "sqlite":
        return str(tmp_path / "refills.db")
    return str(request.getfixturevalue("postgres"))


@pytest.fixture
def opened(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Any]:
    """Return a function that opens a ledger with a client of the sandbox: `opened(database)`."""
    with ExitStack() as stack:

        def open_(database: str, kind: str = "sync", **options: Any) -> Books:
            books = Books(kind, database, sandbox, **options)
            stack.callback(books.close)
            return books

        yield open_


@pytest.fixture(params=["sync", "async"])
def books(request: pytest.FixtureRequest, tmp_path: Path, opened: Any) -> Books:
    """Return each ledger with an SQLite database."""
    books: Books = opened(str(tmp_path / "refills.db"), request.param)
    return books
