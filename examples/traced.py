"""Trace a refill that is tried again, and print its spans.

    pip install 'oneloop[otel,sandbox]' opentelemetry-sdk
    python traced.py

This runs against a local sandbox. An application creates its client without arguments, and has the
SDK export to its collector instead of printing.
"""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from oneloop import Oneloop
from oneloop.sandbox import Fault, Sandbox
from oneloop.telemetry import OpenTelemetryHooks


def main() -> None:
    """Make a refill whose first attempt is refused with 429, and print a line for each span."""
    spans = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    hooks = OpenTelemetryHooks(tracer_provider=tracers)
    with (
        Sandbox() as sandbox,
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, hooks=hooks) as client,
    ):
        sandbox.misbehave(Fault.rate_limited(0.1))
        client.refill_billing_limit(workspace_id="ws_1", external_meter_id="acme", refill=500)
    for span in spans.get_finished_spans():
        found = dict(span.attributes or {})
        status = found.get("http.response.status_code", "")
        print(span.name, status, found["oneloop.outcome"])


if __name__ == "__main__":
    main()
