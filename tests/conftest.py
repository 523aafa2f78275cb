"""Fixtures that several test files share."""

from collections.abc import Iterator
from typing import Any

import pytest

from oneloop.sandbox import Sandbox
from tests.calling import AT_ONCE, ClientKind
from tests.codegen.generating import Generate, generating
from tests.sandbox.calls import Api, serving


@pytest.fixture(params=["sync", "async", "sync-fast", "async-fast"])
def kind(request: pytest.FixtureRequest) -> ClientKind:
    """Either client with either transport: what holds for one holds for the others."""
    return ClientKind(request.param)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A fresh sandbox with the meter acme of 1000 credits in the workspace ws_1."""
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def generate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generate]:
    """Return a function from components and paths to an imported package."""
    with generating(tmp_path_factory.mktemp("packages")) as generated:
        yield generated


@pytest.fixture
def api() -> Iterator[Api]:
    """A sandbox whose clock stands still, and a way to call it without the client."""
    with serving() as called:
        yield called


@pytest.fixture
def options(sandbox: Sandbox) -> dict[str, Any]:
    """Constructor arguments that point a client at the sandbox."""
    return {"api_key": sandbox.api_key, "base_url": sandbox.url, "retry": AT_ONCE}
