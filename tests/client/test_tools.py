"""Tools that trace, record or mock httpx see the calls of clients with `transport="httpx"`.

Each is used as its documentation says. docs/httpx.md shows the same snippets, and they run here.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
import vcr  # type: ignore[import-untyped]
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pytest_httpx import HTTPXMock

from oneloop import (
    APIConnectionError,
    AsyncOneloop,
    NotFoundError,
    Oneloop,
    Outcome,
    RateLimitError,
)
from oneloop.sandbox import Sandbox
from tests import ROOT
from tests.calling import AT_ONCE, REFILL

BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])

SERVER = "https://oneloop.invalid"
PATH = "/api/v1/customer-billing/refill"
METER = {"billing": None}
SNIPPETS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "httpx.md").read_text(encoding="utf-8"), re.DOTALL
)


def called(is_async: bool, operation: str, **arguments: Any) -> Any:
    """Call an operation with a new client; `options` are those of the client."""
    options = {"api_key": "sdk_4711", "base_url": SERVER, "retry": AT_ONCE}
    options |= {"transport": "httpx", **arguments.pop("options", {})}
    if not is_async:
        with Oneloop(**options) as client:
            return getattr(client, operation)(**arguments)

    async def main() -> Any:
        async with AsyncOneloop(**options) as client:
            return await getattr(client, operation)(**arguments)

    return asyncio.run(main())


def refilled(is_async: bool, options: dict[str, Any] | None = None) -> Any:
    """Refill a meter with a new client."""
    return called(is_async, "refill_billing_limit", **REFILL, options=options or {})


def run(
    program: list[str], sandbox: Sandbox, folder: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, in an environment that points clients at the sandbox."""
    environment = {"ONELOOP_BASE_URL": sandbox.url, "ONELOOP_SDK_KEY": sandbox.api_key, **more}
    return subprocess.run(
        program,
        env=os.environ | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )


# The documentation


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_runs_as_printed(snippet: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Each snippet is a program or a test, and works as it is printed."""
    file = tmp_path / "test_snippet.py"
    file.write_text(snippet)
    program = [sys.executable, str(file)]
    if "def test_" in snippet:
        program = [sys.executable, "-m", "pytest", "-q", f"--rootdir={tmp_path}", str(file)]
    run(program, sandbox, tmp_path)
    assert len(sandbox.requests) == ("def test_" not in snippet)


def test_a_mock_of_httpx_does_not_see_the_default_transport(
    sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """The call is made for real, as the README and docs/httpx.md warn."""
    with respx.mock(base_url=sandbox.url, assert_all_called=False) as mock:
        route = mock.post(path=PATH).respond(json=METER)
        assert refilled(False, {**options, "transport": None}).billing.total_credits == 1500
        assert route.call_count == 0
    assert len(sandbox.requests) == 1
    for page in ("README.md", "docs/httpx.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert "see the default transport" in " ".join(text.split())


# OpenTelemetry


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Instrument httpx, and return where the spans are collected."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    HTTPXClientInstrumentor().instrument(tracer_provider=provider)
    yield exporter
    HTTPXClientInstrumentor().uninstrument()
    provider.shutdown()


@BOTH
def test_opentelemetry_traces_calls(
    is_async: bool, sandbox: Sandbox, options: dict[str, Any], spans: InMemorySpanExporter
) -> None:
    """Each attempt is a span, and the server gets its `traceparent`."""
    sandbox.misbehave("429-bare")
    assert refilled(is_async, options).billing.total_credits == 1500
    first, second = spans.get_finished_spans()
    assert first.name == second.name == "POST"
    assert second.attributes is not None
    assert second.attributes["http.url"] == f"{sandbox.url}{PATH}"
    assert second.attributes["http.status_code"] == 200
    assert first.status.status_code is StatusCode.ERROR
    assert len(sandbox.requests) == 2


@BOTH
def test_opentelemetry_propagates_the_trace(is_async: bool, spans: InMemorySpanExporter) -> None:
    """The header with the trace is added to the request, which is sent once."""
    with respx.mock as mock:
        route = mock.post(f"{SERVER}{PATH}").respond(json=METER)
        refilled(is_async)
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" in route.calls.last.request.headers["traceparent"]


@BOTH
def test_opentelemetry_sees_no_link_token(
    is_async: bool, sandbox: Sandbox, options: dict[str, Any], spans: InMemorySpanExporter
) -> None:
    """The URL of a span has a placeholder in the place of the token."""
    with pytest.raises(NotFoundError):
        called(is_async, "validate_link_token", token="lt_4711", options=options)
    (span,) = spans.get_finished_spans()
    assert "4711" not in span.to_json()
    assert f"{sandbox.url}/api/v1/link-token/" in span.to_json()


# Sentry


SENTRY = """
import asyncio, json, os
import sentry_sdk
from sentry_sdk.transport import Transport
from oneloop import AsyncOneloop, Oneloop

collected = []

class Collecting(Transport):
    def capture_envelope(self, envelope):
        collected.extend(item.payload.json for item in envelope.items)

sentry_sdk.init(dsn="https://key@sentry.invalid/1", transport=Collecting, traces_sample_rate=1.0)
options = {"transport": "httpx"}
arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}

async def main():
    async with AsyncOneloop(**options) as client:
        await client.refill_billing_limit(**arguments)

with sentry_sdk.start_transaction(name="billing", op="task"):
    if os.environ["CLIENT"] == "async":
        asyncio.run(main())
    else:
        with Oneloop(**options) as client:
            client.refill_billing_limit(**arguments)
sentry_sdk.capture_message("done")
sentry_sdk.flush()
print(json.dumps(collected, default=str))
"""


@pytest.mark.parametrize("name", ["sync", "async"])
def test_sentry_traces_calls(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """A call is a span of Sentry's transaction and a breadcrumb, neither of which has the key."""
    result = run([sys.executable, "-c", SENTRY], sandbox, tmp_path, CLIENT=name)
    transaction, message = json.loads(result.stdout)
    (span,) = transaction["spans"]
    assert span["description"] == f"POST {sandbox.url}{PATH}"
    assert span["data"]["http.response.status_code"] == 200
    (crumb,) = message["breadcrumbs"]["values"]
    assert crumb["data"]["url"] == f"{sandbox.url}{PATH}"
    assert sandbox.api_key not in result.stdout
    assert len(sandbox.requests) == 1


# respx


@BOTH
def test_respx_mocks_calls(is_async: bool) -> None:
    """A mocked answer reaches the caller, and nothing is sent."""
    with respx.mock as mock:
        route = mock.post(f"{SERVER}{PATH}").respond(json=METER)
        assert refilled(is_async).billing is None
    assert route.call_count == 1
    request = route.calls.last.request
    assert request.headers["authorization"] == "Bearer sdk_4711"
    assert b'"refill":500' in request.content


@BOTH
def test_respx_mocks_a_status(is_async: bool) -> None:
    """A mocked 429 is tried again, as it would be against the API."""
    with respx.mock as mock:
        route = mock.post(f"{SERVER}{PATH}").respond(429, headers={"Retry-After": "0"})
        with pytest.raises(RateLimitError) as caught:
            refilled(is_async)
    assert caught.value.attempts == route.call_count == 3


@BOTH
def test_respx_mocks_a_lost_connection(is_async: bool) -> None:
    """A mocked error is UNKNOWN, whatever its class: a mock does not report what was sent."""
    with respx.mock as mock:
        route = mock.post(f"{SERVER}{PATH}").mock(side_effect=httpx.ConnectError)
        with pytest.raises(APIConnectionError) as caught:
            refilled(is_async)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert route.call_count == 1


# pytest-httpx


@BOTH
def test_pytest_httpx_mocks_calls(is_async: bool, httpx_mock: HTTPXMock) -> None:
    """A mocked answer reaches the caller, and nothing is sent."""
    httpx_mock.add_response(method="POST", url=f"{SERVER}{PATH}", json=METER)
    assert refilled(is_async).billing is None
    (request,) = httpx_mock.get_requests()
    assert request.headers["authorization"] == "Bearer sdk_4711"


# vcrpy


@BOTH
def test_vcrpy_records_and_replays_calls(
    is_async: bool, sandbox: Sandbox, options: dict[str, Any], tmp_path: Path
) -> None:
    """A recorded call is replayed without the server, and the recording has no key."""
    cassette = tmp_path / "refill.yaml"
    recorder = vcr.VCR(filter_headers=["authorization", "x-link-token"])
    with recorder.use_cassette(cassette):
        assert refilled(is_async, options).billing.total_credits == 1500
    assert len(sandbox.requests) == 1
    sandbox.stop()
    assert sandbox.api_key not in cassette.read_text()
    with recorder.use_cassette(cassette, record_mode="none") as replayed:
        assert refilled(is_async, options).billing.total_credits == 1500
    assert replayed.play_count == 1
