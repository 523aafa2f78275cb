"""OpenTelemetry's own SDK gets the spans and metrics of calls, over real connections."""

import asyncio
import builtins
import runpy
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics, propagate, trace
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from oneloop import SPEC, APIConnectionError, AsyncOneloop, Oneloop, ServerError, telemetry
from oneloop.hooks import AttemptEnded, AttemptStarted, CallEnded, CallStarted
from oneloop.sandbox import Fault, Sandbox
from oneloop.telemetry import OpenTelemetryHooks
from oneloop_core import Outcome
from tests.calling import AT_ONCE, REFILL, ClientKind
from tests.tools.failures import read_request, talking

PATH = "/api/v1/customer-billing/refill"
MARKER = "MARKER_of_a_server"


class Collected:
    """Hooks whose spans and metrics are kept in memory."""

    def __init__(self) -> None:
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._metrics])
        self.hooks = OpenTelemetryHooks(tracer_provider=self.tracers, meter_provider=self.meters)

    def spans(self) -> list[ReadableSpan]:
        """Return the spans in the order of their ends."""
        return [*self._spans.get_finished_spans()]

    def points(self) -> dict[str, list[Any]]:
        """Return the points of each metric."""
        data = self._metrics.get_metrics_data()
        assert data is not None
        return {
            metric.name: [*metric.data.data_points]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def collected() -> Iterator[Collected]:
    """Return hooks with an SDK of their own."""
    found = Collected()
    yield found
    found.tracers.shutdown()
    found.meters.shutdown()


def options(sandbox: Sandbox, collected: Collected) -> dict[str, Any]:
    """Return the arguments of a client."""
    hooks = collected.hooks
    return {"api_key": sandbox.api_key, "base_url": sandbox.url, "hooks": hooks, "retry": AT_ONCE}


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})


def server(url: str) -> dict[str, Any]:
    """Return the attributes that name the server."""
    host, _, port = url.rpartition("/")[2].partition(":")
    return {"server.address": host, "server.port": int(port)}


def test_a_call_is_a_span_around_that_of_its_attempt(
    sandbox: Sandbox, collected: Collected, kind: ClientKind
) -> None:
    """Names, kinds and attributes are those of the conventions."""
    kind.refill(**options(sandbox, collected))
    attempt, call = collected.spans()
    assert (call.name, call.kind) == ("oneloop refill_billing_limit", SpanKind.INTERNAL)
    assert attributes(call) == {
        "oneloop.operation": "refill_billing_limit",
        "oneloop.spec": SPEC.sha256[:8],
        "oneloop.outcome": "applied",
        "oneloop.attempts": 1,
        **server(sandbox.url),
    }
    assert (attempt.name, attempt.kind) == (f"POST {PATH}", SpanKind.CLIENT)
    assert attributes(attempt) == {
        "http.request.method": "POST",
        "url.full": f"{sandbox.url}{PATH}",
        "url.template": PATH,
        "http.response.status_code": 200,
        "oneloop.outcome": "applied",
        **server(sandbox.url),
    }
    assert attempt.parent is not None
    assert attempt.parent.span_id == call.context.span_id
    assert call.status.status_code is attempt.status.status_code is StatusCode.UNSET
    assert call.parent is None


def test_a_retry_is_an_event_and_a_span(
    sandbox: Sandbox, collected: Collected, kind: ClientKind
) -> None:
    """Each attempt has a span; the second one is numbered."""
    sandbox.misbehave(Fault.rate_limited(0.01))
    kind.refill(**options(sandbox, collected))
    first, second, call = collected.spans()
    assert attributes(first)["error.type"] == "429"
    assert attributes(first)["oneloop.outcome"] == "rejected"
    assert first.status.status_code is StatusCode.ERROR
    assert first.status.description == "the server answered 429"
    assert "http.request.resend_count" not in attributes(first)
    assert attributes(second)["http.request.resend_count"] == 1
    assert attributes(call)["oneloop.attempts"] == 2
    assert call.status.status_code is StatusCode.UNSET
    (event,) = call.events
    found = {"oneloop.attempt": 1, "oneloop.wait": 0.01, "error.type": "429"}
    assert (event.name, dict(event.attributes or {})) == ("retry", found)


def test_a_failed_call_says_how(sandbox: Sandbox, collected: Collected, kind: ClientKind) -> None:
    """Both spans have the type of the error, and the outcome."""
    sandbox.misbehave(Fault.status(500, headers={"X-Request-Id": MARKER}, body=MARKER.encode()))
    with pytest.raises(ServerError):
        kind.refill(**options(sandbox, collected))
    for span in collected.spans():
        assert attributes(span)["error.type"] == "500"
        assert attributes(span)["oneloop.outcome"] == "unknown"
        assert span.status.status_code is StatusCode.ERROR
        assert MARKER not in span.to_json()


def test_no_connection_is_an_error_by_its_class(collected: Collected, kind: ClientKind) -> None:
    """Without a status, the type is the class of the error."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(APIConnectionError):
        kind.refill(
            api_key="sdk",
            base_url=f"http://127.0.0.1:{port}",
            hooks=collected.hooks,
            retry=AT_ONCE,
        )
    *attempts, call = collected.spans()
    assert len(attempts) == 3
    for span in (*attempts, call):
        assert attributes(span)["error.type"] == "oneloop.APIConnectionError"
        assert "http.response.status_code" not in attributes(span)


@pytest.mark.parametrize("raises", [KeyboardInterrupt, asyncio.CancelledError])
def test_an_interrupted_call_ends_its_spans(
    raises: type[BaseException], collected: Collected
) -> None:
    """The type of the error is the class of the exception."""

    class Interrupting:
        def send(self, *_: object) -> Any:
            raise raises

        def close(self) -> None:
            pass

    with (
        Oneloop(api_key="sdk", transport=Interrupting(), hooks=collected.hooks) as client,
        pytest.raises(raises),
    ):
        client.refill_billing_limit(**REFILL)
    for span in collected.spans():
        expected = {KeyboardInterrupt: "KeyboardInterrupt"}.get(raises)
        assert attributes(span)["error.type"] == (expected or "asyncio.exceptions.CancelledError")
        assert attributes(span)["oneloop.outcome"] == "unknown"
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
    assert len(collected.spans()) == 2


def test_durations_are_histograms(sandbox: Sandbox, collected: Collected, kind: ClientKind) -> None:
    """One for requests by the conventions, one for calls; both in seconds."""
    sandbox.misbehave(Fault.rate_limited(0.01))
    kind.refill(**options(sandbox, collected))
    points = collected.points()
    assert set(points) == {"http.client.request.duration", "oneloop.client.call.duration"}
    first, second = sorted(
        points["http.client.request.duration"],
        key=lambda point: int(point.attributes["http.response.status_code"]),
        reverse=True,
    )
    common = {"http.request.method": "POST", "url.template": PATH, **server(sandbox.url)}
    refused = {"http.response.status_code": 429, "error.type": "429"}
    assert dict(first.attributes) == common | refused
    assert dict(second.attributes) == common | {"http.response.status_code": 200}
    assert first.count == second.count == 1
    bounds = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    assert tuple(first.explicit_bounds) == bounds
    (call,) = points["oneloop.client.call.duration"]
    assert dict(call.attributes) == {
        "oneloop.operation": "refill_billing_limit",
        "oneloop.outcome": "applied",
        **server(sandbox.url),
    }
    assert 0.01 <= call.sum < 10


def test_each_request_carries_the_context_of_its_attempt(
    collected: Collected, kind: ClientKind
) -> None:
    """The server sees `traceparent` with the span of the attempt, in the trace of the caller."""
    requests: list[bytes] = []

    def talk(connection: socket.socket) -> bool:
        requests.append(read_request(connection))
        code = b"429 No" if len(requests) == 1 else b"404 No"
        head = b"HTTP/1.1 " + code + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        connection.sendall(head)
        return True

    tracer = collected.tracers.get_tracer("application")
    with (
        talking(talk) as peer,
        tracer.start_as_current_span("outer") as outer,
        pytest.raises(Exception, match="404"),
    ):
        kind.refill(api_key="sdk", base_url=peer.url, hooks=collected.hooks, retry=AT_ONCE)
    first, second, call, _ = collected.spans()
    assert call.parent == outer.get_span_context()
    for request, span in zip(requests, (first, second), strict=True):
        trace_id, span_id = span.context.trace_id, span.context.span_id
        assert f"traceparent: 00-{trace_id:032x}-{span_id:016x}-".encode() in request.lower()


def test_the_propagator_can_be_chosen(sandbox: Sandbox, collected: Collected) -> None:
    """It is asked instead of the global one."""

    class Own(TextMapPropagator):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
            self.seen.append(trace.get_current_span(context).get_span_context().span_id)

        def extract(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        @property
        def fields(self) -> set[str]:
            return set()

    own = Own()
    hooks = OpenTelemetryHooks(tracer_provider=collected.tracers, propagator=own)
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, hooks=hooks) as client:
        client.get_workspace()
    assert own.seen == [collected.spans()[0].context.span_id]


def test_tasks_at_the_same_time_have_parents_of_their_own(
    sandbox: Sandbox, collected: Collected
) -> None:
    """Fifty tasks, each with a span of its own around a call with a retry."""
    tracer = collected.tracers.get_tracer("application")

    async def refill(client: AsyncOneloop, number: int) -> None:
        with tracer.start_as_current_span(f"task {number}"):
            await client.refill_billing_limit(**REFILL)

    async def main() -> None:
        async with AsyncOneloop(**options(sandbox, collected)) as client:
            await asyncio.gather(*(refill(client, number) for number in range(50)))

    sandbox.misbehave(*[Fault.rate_limited(0.01)] * 20)
    asyncio.run(main())
    spans = {span.context.span_id: span for span in collected.spans()}
    tasks = {span.name for span in spans.values() if span.name.startswith("task ")}
    attempts = [span for span in spans.values() if span.kind is SpanKind.CLIENT]
    assert (len(tasks), len(attempts)) == (50, 70)
    outer = set()
    for attempt in attempts:
        assert attempt.parent is not None
        call = spans[attempt.parent.span_id]
        assert call.parent is not None
        outer.add(spans[call.parent.span_id].name)
        assert attempt.context.trace_id == call.context.trace_id
    assert outer == tasks


def test_a_request_of_the_escape_hatch_has_no_template(
    sandbox: Sandbox, collected: Collected
) -> None:
    """Its path may contain ids, so it is not part of a name or of a metric."""
    with Oneloop(**options(sandbox, collected)) as client:
        client.request("GET", "/api/v1/workspace")
    attempt, call = collected.spans()
    assert (attempt.name, call.name) == ("GET", "oneloop request")
    assert "url.template" not in attributes(attempt)
    (point,) = collected.points()["http.client.request.duration"]
    assert "url.template" not in point.attributes


def test_the_global_providers_are_the_default() -> None:
    """Without arguments, and without an SDK, nothing is recorded and nothing fails."""
    hooks = OpenTelemetryHooks()
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    with Sandbox() as sandbox:
        arguments: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
        with Oneloop(**arguments, hooks=hooks) as client:
            client.get_workspace()
    assert metrics.get_meter_provider() is not None
    assert propagate.get_global_textmap() is not None


def test_events_without_a_beginning_are_ignored(collected: Collected) -> None:
    """A signal handler may have interrupted the hooks before them."""
    call = CallStarted(
        operation="get_workspace",
        method="GET",
        path="/",
        url="http://127.0.0.1/",
        host="127.0.0.1",
        port=80,
        safe=True,
    )
    known: dict[str, Any] = {"elapsed": 0.1, "status": None, "request_id": None, "error": None}
    ended = AttemptEnded(call=call, number=1, outcome=Outcome.UNKNOWN, wait=None, **known)
    hooks = collected.hooks
    assert hooks.attempt_started(AttemptStarted(call=call, number=1)) is None
    hooks.attempt_ended(ended)
    hooks.call_ended(CallEnded(call=call, attempts=1, outcome=Outcome.UNKNOWN, **known))
    assert collected.spans() == []
    hooks.call_started(call)
    hooks.attempt_ended(ended)
    assert collected.spans() == []


def test_without_opentelemetry_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ImportError says what to install."""
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'oneloop\[otel\]'"):
        runpy.run_path(str(Path(telemetry.__file__)), run_name="oneloop.telemetry_again")
