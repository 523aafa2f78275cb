"""Every public call with the types that users get. Checked by mypy and pyright; never run."""

import ssl
from collections.abc import Awaitable
from datetime import datetime
from typing import assert_type

import httpx

import oneloop
from oneloop import (
    APIError,
    ArgumentError,
    AsyncOneloop,
    Oneloop,
    OneloopError,
    Outcome,
    Response,
    ResponseDecodeError,
    Retry,
    RetryPolicy,
    Timeout,
    models,
)
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import AsyncTransport, Limits, Request, Transport, TransportError
from oneloop.transport import Response as RawResponse


def rotating_key() -> str:
    """Return a key."""
    return "sdk"


async def rotating_key_async() -> str:
    """Return a key."""
    return "sdk"


class OwnTransport:
    """A transport of an application's own."""

    def send(self, request: Request, limits: Limits) -> RawResponse:
        """Send."""
        if request.body is None and limits.total is None:
            raise TransportError("no", sent=False)
        return RawResponse(200, (), b"{}")

    def close(self) -> None:
        """Close."""


class OwnAsyncTransport:
    """An async transport of an application's own."""

    async def send(self, request: Request, limits: Limits) -> RawResponse:
        """Send."""
        return RawResponse(200, (("a", "b"),), request.body or b"")

    async def aclose(self) -> None:
        """Close."""


def tell(retry: Retry) -> None:
    """Use all of a `Retry`."""
    assert_type(retry.operation, str)
    assert_type(retry.attempt, int)
    assert_type(retry.wait, float)
    assert_type(retry.error, APIError)


policy = RetryPolicy(attempts=5, backoff=0.1, cap=2, budget=None, on_retry=tell, treat_as_safe=True)

Oneloop()
Oneloop(api_key="sdk", base_url="https://example.test", timeout=3, retry=policy)
Oneloop(api_key=rotating_key, timeout=Timeout(connect=1, read=None), headers={"X-Team": "a"})
Oneloop(timeout=None, max_response_bytes=1, allow_http=True, http_client=httpx.Client())
Oneloop(transport=OwnTransport())
Oneloop(transport="httpx")
Oneloop(ssl_context=ssl.create_default_context(), max_connections=5)
AsyncOneloop(api_key=rotating_key, http_client=httpx.AsyncClient())
AsyncOneloop(api_key=rotating_key_async, transport=OwnAsyncTransport())
AsyncOneloop(transport="httpx", ssl_context=ssl.create_default_context(), max_connections=5)

blocking: Transport = OwnTransport()
awaited: AsyncTransport = OwnAsyncTransport()

with Oneloop() as client:
    answer = client.refill_billing_limit(workspace_id="ws", external_meter_id="m", refill=5)
    assert_type(answer, models.RefillCustomerBillingMeterResponse)
    meter = answer.billing
    assert_type(meter, models.CustomerBillingMeter | None)
    if meter is not None:
        assert_type(meter.total_credits - meter.used_credits, int)
        assert_type(meter.spend_cap, int | None)
        assert_type(meter.allow_overages, bool)
        assert_type(meter.created_at, datetime)
    response = client.with_response.refill_billing_limit(
        workspace_id="ws", external_meter_id="m", refill=5
    )
    assert_type(response, Response[models.RefillCustomerBillingMeterResponse])
    assert_type(response.parsed.billing, models.CustomerBillingMeter | None)
    assert_type(response.status, int)
    assert_type(response.headers, dict[str, str])
    assert_type(response.attempts, int)
    assert_type(response.elapsed, float)
    patient = client.with_options(timeout=None, retry=RetryPolicy(), headers={}, api_key="sdk")
    assert_type(patient, Oneloop)
    client.close()

    # What must not type-check: mypy strict reports an ignore that is not needed.
    client.refill_billing_limit(workspace_id="ws", external_meter_id="m")  # type: ignore[call-arg]
    client.refill_billing_limit(
        workspace_id="ws",
        external_meter_id="m",
        refill="5",  # type: ignore[arg-type]
    )
    client.refill_billing_limit("ws", "m", 5)  # type: ignore[call-arg]


async def main() -> None:
    """Use the async client."""
    async with AsyncOneloop() as client:
        pending = client.refill_billing_limit(workspace_id="ws", external_meter_id="m", refill=5)
        promise: Awaitable[models.RefillCustomerBillingMeterResponse] = pending
        assert_type((await promise).billing, models.CustomerBillingMeter | None)
        response = await client.with_options(timeout=1).with_response.refill_billing_limit(
            workspace_id="ws", external_meter_id="m", refill=5
        )
        assert_type(response, Response[models.RefillCustomerBillingMeterResponse])
        await client.aclose()


try:
    Oneloop()
except ResponseDecodeError as error:
    assert_type(error.field, str)
except APIError as error:
    assert_type(error.outcome, Outcome)
    assert_type(error.operation, str | None)
    assert_type(error.status_code, int | None)
    assert_type(error.code, int | None)
    assert_type(error.message, str | None)
    assert_type(error.request_id, str | None)
    assert_type(error.headers, dict[str, str])
    assert_type(error.body, str | None)
    assert_type(error.attempts, int)
    assert_type(error.elapsed, float)
except ArgumentError as error:
    assert_type(error.argument, str)
except OneloopError as error:
    assert_type(error.outcome, Outcome)

with Sandbox() as sandbox:
    assert_type(sandbox.url, str)
    assert_type(sandbox.api_key, str)
    sandbox.misbehave("hang", Fault.status(520), times=2)
    assert_type(
        sandbox.meter(workspace_id="ws", external_meter_id="m").total_credits,
        int,
    )

assert_type(oneloop.__version__, str)


def every_operation(client: Oneloop) -> None:
    """Call what has types of its own."""
    workspace = client.create_workspace(name="a").workspace
    assert_type(workspace, models.Workspace)
    assert_type(workspace.default_allowed_ips, list[str])
    scopes = client.get_workspace_scopes(workspace_id=workspace.id).scopes
    assert_type(scopes, list[models.WorkspaceScope])
    right = models.ApiKeyScope(
        representation="a", create=True, read=True, update=False, delete=False
    )
    issued = client.create_api_key(
        workspace_id=workspace.id,
        name="a",
        customer_id="b",
        scopes=(right,),
        enabled=True,
        metadata={"a": "b"},
    ).api_key
    assert_type(issued, models.IssuedApiKey)
    assert_type(issued.last_used_at, datetime | None)
    assert_type(issued.key, str)
    keys = client.get_api_keys(workspace_id=workspace.id).api_keys
    assert_type(keys, list[models.ApiKey])
    client.edit_api_key(workspace_id="a", api_key_id=keys[0].id, scopes=keys[0].scopes)
    client.update_workspace(
        workspace_id="a",
        default_key_prefix=None,
        default_allowed_ips=[],
        default_rate_limit_per_second=None,
        default_expiration=60,
    )
    result = client.verify_api_key(
        key=issued.key,
        requested_scopes=[right],
        billing_usage=10**30,
        rate_limit_config_id="a",
        rate_limit_config_limit=5,
    )
    assert_type(result.is_valid, bool)
    assert_type(result.status, models.VerificationStatus)
    assert_type(result.metadata, dict[str, str] | None)
    assert_type(result.billing, models.CustomerBillingMeter | None)
    for row in client.get_billing_usage(billing_id="a").data:
        assert_type(row.total_billing_usage, int)
    token = client.generate_link_token(workspace_id="a", customer_id="b")
    assert_type(token.expires_at, int)
    assert_type(client.verify_jwt(jwt="a").payload, dict[str, str])
    Oneloop(link_token=token.token)
    client.verify_api_key(issued.key, [])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.refill_billing_limit(  # type: ignore[call-arg]
        workspace_id="a",  # pyright: ignore[reportCallIssue]
        external_meter_id="b",
    )
