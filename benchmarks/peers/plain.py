"""The client that openapi-python-client generates for the refill, with its own templates."""

import json
from collections.abc import Awaitable, Callable

import httpx
from plain_client.api.default import refill_billing_limit
from plain_client.client import AuthenticatedClient
from plain_client.models.refill_customer_billing_meter_request import (
    RefillCustomerBillingMeterRequest,
)
from plain_client.models.refill_customer_billing_meter_response import (
    RefillCustomerBillingMeterResponse,
)

from benchmarks.calls import ANSWER, CREDITS, KEY, METER, WORKSPACE

MODELS = (
    "plain_client.models.customer_billing_meter_type_0",
    "plain_client.models.refill_customer_billing_meter_response",
)


def make(url: str) -> Callable[[], object]:
    """Return a function that makes a blocking call."""
    client = AuthenticatedClient(base_url=url, token=KEY, timeout=httpx.Timeout(60))

    def call() -> object:
        return refill_billing_limit.sync(
            client=client,
            body=RefillCustomerBillingMeterRequest(
                workspace_id=WORKSPACE, external_meter_id=METER, refill=CREDITS
            ),
        )

    return call


def make_async(
    url: str,
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call and close the client."""
    client = AuthenticatedClient(base_url=url, token=KEY, timeout=httpx.Timeout(60))

    async def call() -> object:
        return await refill_billing_limit.asyncio(
            client=client,
            body=RefillCustomerBillingMeterRequest(
                workspace_id=WORKSPACE, external_meter_id=METER, refill=CREDITS
            ),
        )

    return call, client.get_async_httpx_client().aclose


def codec() -> dict[str, Callable[[], object]]:
    """Return the steps of a call that involve models."""
    parsed = json.loads(ANSWER)

    def encode() -> object:
        request = RefillCustomerBillingMeterRequest(
            workspace_id=WORKSPACE, external_meter_id=METER, refill=CREDITS
        )
        return json.dumps(request.to_dict()).encode()

    return {
        "encode": encode,
        "decode": lambda: RefillCustomerBillingMeterResponse.from_dict(parsed),
        "from bytes": lambda: RefillCustomerBillingMeterResponse.from_dict(json.loads(ANSWER)),
    }
