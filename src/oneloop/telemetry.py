"""OpenTelemetry spans and metrics of calls: `pip install 'oneloop[otel]'`.

    from oneloop import Oneloop
    from oneloop.telemetry import OpenTelemetryHooks

    client = Oneloop(hooks=OpenTelemetryHooks())

Names and attributes are those of OpenTelemetry's semantic conventions for HTTP clients;
docs/telemetry.md lists them.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

from . import SPEC, __version__
from ._errors import APIError
from .hooks import AttemptEnded, AttemptStarted, CallEnded, CallStarted, Hooks

try:
    from opentelemetry import metrics, propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator, default_setter
    from opentelemetry.trace import Span, SpanKind, StatusCode
except ImportError as missing:
    raise ImportError(
        "oneloop.telemetry needs OpenTelemetry: pip install 'oneloop[otel]'"
    ) from missing

__all__ = ["OpenTelemetryHooks"]

_SCHEMA = "https://opentelemetry.io/schemas/1.27.0"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Bounds of the histograms, as the conventions advise for `http.client.request.duration`."""


class OpenTelemetryHooks(Hooks):
    """Hooks that make spans and metrics.

    A call is a span of the kind INTERNAL, with a span of the kind CLIENT for each attempt, and an
    event for each backoff. Each request carries the trace context of its attempt.

    Args:
        tracer_provider: Makes the spans. Default: the global one.
        meter_provider: Makes the histograms. Default: the global one.
        propagator: Adds the headers with the trace context, such as `traceparent`. Default: the
            global one.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        propagator: TextMapPropagator | None = None,
    ) -> None:
        self._propagator = propagator
        scope = "oneloop", __version__
        self._tracer = trace.get_tracer(*scope, tracer_provider, schema_url=_SCHEMA)
        meter = metrics.get_meter(*scope, meter_provider, schema_url=_SCHEMA)
        self._requests = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._calls = meter.create_histogram(
            "oneloop.client.call.duration",
            unit="s",
            description="Duration of calls of the Oneloop API, with all attempts and backoffs.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    def call_started(self, event: CallStarted, /) -> None:
        """Start the span of the call, as a child of the current span."""
        attributes: dict[str, Any] = {
            "oneloop.operation": event.operation,
            "oneloop.spec": SPEC.sha256[:8],
            **_server(event),
        }
        span = self._tracer.start_span(f"oneloop {event.operation}", attributes=attributes)
        event.data[self] = _Spans(span)

    def attempt_started(self, event: AttemptStarted, /) -> Mapping[str, str] | None:
        """Start the span of the attempt, and return the headers with its trace context."""
        call = event.call
        spans: _Spans | None = call.data.get(self)
        if spans is None:
            return None
        attributes: dict[str, Any] = {
            "http.request.method": call.method,
            "url.full": call.url,
            **_target(call),
            **_server(call),
        }
        if event.number > 1:
            attributes["http.request.resend_count"] = event.number - 1
        spans.attempt = self._tracer.start_span(
            " ".join((call.method, *_target(call).values())),
            context=spans.context,
            kind=SpanKind.CLIENT,
            attributes=attributes,
        )
        headers: MutableMapping[str, str] = {}
        context = trace.set_span_in_context(spans.attempt, spans.context)
        propagator = self._propagator or propagate.get_global_textmap()
        propagator.inject(headers, context, default_setter)
        return headers

    def attempt_ended(self, event: AttemptEnded, /) -> None:
        """End the span of the attempt, and record its duration."""
        spans: _Spans | None = event.call.data.get(self)
        if spans is None or spans.attempt is None:
            return
        found: dict[str, Any] = {}
        if event.status is not None:
            found["http.response.status_code"] = event.status
        if event.error is not None:
            found["error.type"] = _error_type(event.error, event.status)
        span, spans.attempt = spans.attempt, None
        _end(span, found | {"oneloop.outcome": event.outcome.value}, event.error)
        call = event.call
        labels = {"http.request.method": call.method, **_target(call), **_server(call), **found}
        context = trace.set_span_in_context(span, spans.context)
        self._requests.record(event.elapsed, labels, context=context)
        if event.wait is not None:
            retry = {"oneloop.attempt": event.number, "oneloop.wait": event.wait}
            spans.call.add_event("retry", retry | {"error.type": found["error.type"]})

    def call_ended(self, event: CallEnded, /) -> None:
        """End the span of the call, and record its duration."""
        spans: _Spans | None = event.call.data.pop(self, None)
        if spans is None:
            return
        found: dict[str, Any] = {"oneloop.outcome": event.outcome.value}
        if event.error is not None:
            found["error.type"] = _error_type(event.error, event.status)
        _end(spans.call, found | {"oneloop.attempts": event.attempts}, event.error)
        labels = {"oneloop.operation": event.call.operation, **_server(event.call), **found}
        self._calls.record(event.elapsed, labels, context=spans.context)


class _Spans:
    """The spans of one call that have started, and the context of the call's span."""

    __slots__ = ("attempt", "call", "context")

    def __init__(self, call: Span) -> None:
        self.call = call
        self.context: Context = trace.set_span_in_context(call)
        self.attempt: Span | None = None


def _server(call: CallStarted) -> dict[str, Any]:
    return {"server.address": call.host, "server.port": call.port}


def _target(call: CallStarted) -> dict[str, str]:
    """Return the path with the names of its parameters. That of `client.request` has no names."""
    return {} if call.operation == "request" else {"url.template": call.path}


def _error_type(error: BaseException, status: int | None) -> str:
    """Return the status of an answer that is an error, or the class of the exception."""
    if status is not None and not 200 <= status <= 299 and isinstance(error, APIError):
        return str(status)
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _end(span: Span, attributes: dict[str, Any], error: BaseException | None) -> None:
    """End a span. Nothing that a server said becomes part of it."""
    span.set_attributes(attributes)
    if error is not None:
        span.set_status(StatusCode.ERROR, error.problem if isinstance(error, APIError) else None)
    span.end()
