"""Fixtures that several test files share."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from oneloop.sandbox import Sandbox
from tests.calling import AT_ONCE, ClientKind
from tests.codegen.generating import Generate, generating
from tests.postgres import Server, serving_or_skipping
from tests.sandbox.calls import Api, serving

# An example may take long on a busy machine, and says nothing about the code then.
settings.register_profile(
    "untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> ClientKind:
    """Return each client with each transport: what holds for one must hold for all of them."""
    return ClientKind(request.param)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Start a new sandbox with the meter acme of 1000 credits in the workspace ws_1."""
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def generate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generate]:
    """Return a function that generates a package from components and paths, and imports it."""
    with generating(tmp_path_factory.mktemp("packages")) as generated:
        yield generated


@pytest.fixture
def api() -> Iterator[Api]:
    """Start a sandbox whose clock stands still, and return a way to call it without the client."""
    with serving() as called:
        yield called


@pytest.fixture
def options(sandbox: Sandbox) -> dict[str, Any]:
    """Return constructor arguments that point a client at the sandbox."""
    return {"api_key": sandbox.api_key, "base_url": sandbox.url, "retry": AT_ONCE}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """Start a PostgreSQL server, once for all tests."""
    with serving_or_skipping() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: Server) -> str:
    """Return the URL of a new, empty PostgreSQL database."""
    return postgres_server.database()
