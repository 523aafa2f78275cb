"""stripe. Its refill creates an event of a billing meter."""

import os
from collections.abc import Awaitable, Callable

import stripe

from benchmarks.calls import CREDITS, KEY

EVENT = {
    "event_name": "refill",
    "payload": {"stripe_customer_id": "cus_acme", "value": str(CREDITS)},
}
# stripe ignores SSL_CERT_FILE and trusts only its own certificates.
stripe.ca_bundle_path = os.environ.get("SSL_CERT_FILE", stripe.ca_bundle_path)


def make(url: str) -> Callable[[], object]:
    """Return a function that makes a blocking call."""
    events = stripe.StripeClient(KEY, base_addresses={"api": url}).v1.billing.meter_events
    return lambda: events.create(EVENT)


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call and close the client."""
    http = stripe.HTTPXClient()
    client = stripe.StripeClient(KEY, base_addresses={"api": url}, http_client=http)
    events = client.v1.billing.meter_events
    return lambda: events.create_async(EVENT), http.close_async
