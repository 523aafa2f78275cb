"""oneloop with its defaults."""

from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.calls import ANSWER, CREDITS, KEY, METER, WORKSPACE
from oneloop import AsyncOneloop, Oneloop

MODELS = (
    "oneloop_api.models.customer_billing_meter",
    "oneloop_api.models.refill_customer_billing_meter_response",
)


def make(url: str, **options: Any) -> Callable[[], object]:
    """Return a function that makes a blocking call with these client options."""
    client = Oneloop(api_key=KEY, base_url=url, **options)

    def call() -> object:
        return client.refill_billing_limit(
            workspace_id=WORKSPACE, external_meter_id=METER, refill=CREDITS
        )

    return call


def make_async(
    url: str, **options: Any
) -> tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]:
    """Return functions that make an async call with these client options and close the client."""
    client = AsyncOneloop(api_key=KEY, base_url=url, timeout=60, **options)

    async def call() -> object:
        return await client.refill_billing_limit(
            workspace_id=WORKSPACE, external_meter_id=METER, refill=CREDITS
        )

    return call, client.aclose


def codec() -> dict[str, Callable[[], object]]:
    """Return the steps of a call that involve models."""
    from oneloop._decoding import read_json
    from oneloop._settings import MAX_RESPONSE_BYTES as LIMIT
    from oneloop_api.api.v1 import refill_billing_limit
    from oneloop_api.models import RefillCustomerBillingMeterResponse

    parsed = read_json(ANSWER, LIMIT)
    return {
        "encode": lambda: (
            refill_billing_limit.call(
                workspace_id=WORKSPACE, external_meter_id=METER, refill=CREDITS
            ).body
        ),
        "decode": lambda: RefillCustomerBillingMeterResponse.from_dict(parsed),
        "from bytes": lambda: RefillCustomerBillingMeterResponse.from_dict(
            read_json(ANSWER, LIMIT)
        ),
    }
