"""Every operation of the API, through both clients, over HTTP."""

import asyncio
import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import frozen

import oneloop_api
from oneloop import (
    ArgumentError,
    AsyncOneloop,
    NotFoundError,
    Oneloop,
    PermissionDeniedError,
    models,
)
from oneloop.sandbox import Sandbox
from oneloop_api.api.v1 import create_customer_billing, edit_api_key, verify_api_key
from oneloop_api.client import SyncOperations
from tests.calling import ClientKind
from tests.document import OPERATIONS

READ = models.ApiKeyScope(
    representation="billing", create=False, read=True, update=False, delete=False
)
WRITE = models.ApiKeyScope(
    representation="billing", create=True, read=True, update=True, delete=True
)
HUGE = 10**30


@frozen
class World:
    """The sandbox, the client and the objects that exist before a call."""

    sandbox: Sandbox
    client: Oneloop
    workspace: models.Workspace
    key: models.IssuedApiKey
    meter: models.CustomerBillingMeter


@pytest.fixture
def world(options: dict[str, Any], sandbox: Sandbox) -> Any:
    """A workspace with a scope, a meter and a key."""
    with Oneloop(**options) as client:
        workspace = client.create_workspace(name="Test").workspace
        client.create_workspace_scopes(
            workspace_id=workspace.id, name="Billing", representation="billing"
        )
        meter = client.create_customer_billing(
            workspace_id=workspace.id, external_meter_id="acme", total_credits=HUGE
        ).billing
        assert meter is not None
        key = client.create_api_key(
            workspace_id=workspace.id,
            name="First",
            customer_id="acme",
            scopes=[READ],
            enabled=True,
            external_meter_id="acme",
            metadata={"plan": "starter"},
        ).api_key
        yield World(sandbox, client, workspace, key, meter)


def place(world: World) -> dict[str, Any]:
    """Return the path arguments that identify the key."""
    return {"workspace_id": world.workspace.id, "api_key_id": world.key.id}


def recent(moment: datetime | None) -> bool:
    """Return whether a timestamp has a time zone and is less than a minute from now."""
    return moment is not None and abs((datetime.now(UTC) - moment).total_seconds()) < 60


Case = tuple[Callable[[World], dict[str, Any]], Callable[[Any, World], object]]

CASES: dict[str, Case] = {
    # The operations that the sandbox simulates: all arguments, and a check of the response.
    "create_api_key": (
        lambda w: {
            "workspace_id": w.workspace.id,
            "name": "Second",
            "customer_id": "acme",
            "scopes": [READ, WRITE],
            "enabled": True,
            "prefix": "tok",
            "expires_at": 4_000_000_000,
            "external_meter_id": "acme",
            "metadata": {"a": "b"},
        },
        lambda answer, w: (
            answer.api_key.key.startswith("tok")
            and answer.api_key.billing_id == w.meter.id
            and answer.api_key.expires_at == 4_000_000_000
            and answer.api_key.scopes[1] == WRITE
            and answer.api_key.last_used_at is None
            and recent(answer.api_key.created_at)
        ),
    ),
    "create_customer_billing": (
        lambda w: {
            "workspace_id": w.workspace.id,
            "external_meter_id": "new",
            "total_credits": HUGE,
            "allow_overages": True,
            "spend_cap": HUGE + 1,
        },
        lambda answer, _: (
            answer.billing.total_credits == HUGE
            and answer.billing.spend_cap == HUGE + 1
            and answer.billing.used_credits == 0
        ),
    ),
    "create_jwt": (
        lambda _: {"payload": {"user": "u_1"}, "aud": "app", "exp": 4_000_000_000},
        lambda answer, _: answer.jwt.count(".") == 2,
    ),
    "create_workspace": (
        lambda _: {"name": "Production"},
        lambda answer, _: (
            answer.workspace.name == "Production" and answer.workspace.default_allowed_ips == []
        ),
    ),
    "create_workspace_scopes": (
        lambda w: {
            "workspace_id": w.workspace.id,
            "name": "Usage",
            "representation": "usage",
            "description": "What was used",
        },
        lambda answer, _: answer.scope.description == "What was used",
    ),
    "delete_api_key": (place, lambda answer, _: answer.api_key.deleted),
    "edit_api_key": (
        lambda w: {**place(w), "name": "New", "enabled": False, "scopes": w.key.scopes},
        lambda answer, w: (
            (answer.api_key.name, answer.api_key.enabled) == ("New", False)
            and answer.api_key.scopes == w.key.scopes
        ),
    ),
    "generate_link_token": (
        lambda w: {
            "workspace_id": w.workspace.id,
            "customer_id": "acme",
            "external_billing_id": "acme",
        },
        lambda answer, _: answer.token and answer.expires_at > 0,
    ),
    "get_api_key_by_id": (place, lambda answer, w: answer.api_key.masked_key == w.key.masked_key),
    "get_api_keys": (
        lambda w: {"workspace_id": w.workspace.id},
        lambda answer, w: [key.id for key in answer.api_keys] == [w.key.id],
    ),
    "get_billing_usage": (
        lambda w: (
            w.client.record_api_key_usage(key=w.key.key, usage=HUGE, usage_name="tokens"),
            {"billing_id": w.meter.id},
        )[1],
        lambda answer, w: (
            [(row.billing_id, row.total_billing_usage) for row in answer.data]
            == [(w.meter.id, HUGE)]
            and answer.data[0].billing_usage_name == "tokens"
        ),
    ),
    "get_customer_billing": (
        lambda w: {"workspace_id": w.workspace.id, "external_meter_id": "acme"},
        lambda answer, w: answer.billing == w.meter,
    ),
    "get_workspace": (
        lambda _: {},
        lambda answer, w: [one.id for one in answer.workspaces] == ["ws_1", w.workspace.id],
    ),
    "get_workspace_by_id": (
        lambda w: {"workspace_id": w.workspace.id},
        lambda answer, w: answer.workspace == w.workspace,
    ),
    "get_workspace_scopes": (
        lambda w: {"workspace_id": w.workspace.id},
        lambda answer, _: [scope.representation for scope in answer.scopes] == ["billing"],
    ),
    "migrate_api_key": (
        lambda w: {
            "key": "an-older-key",
            "workspace_id": w.workspace.id,
            "name": "Old",
            "customer_id": "acme",
            "scopes": [],
            "enabled": True,
            "metadata": {},
        },
        lambda answer, _: answer.api_key.key == "an-older-key",
    ),
    "record_api_key_usage": (
        lambda w: {"key": w.key.key, "usage": HUGE, "usage_name": "tokens"},
        lambda _, w: (
            w.sandbox.meter(workspace_id=w.workspace.id, external_meter_id="acme").used_credits
            == HUGE
        ),
    ),
    "refill_billing_limit": (
        lambda w: {"workspace_id": w.workspace.id, "external_meter_id": "acme", "refill": 5},
        lambda answer, _: answer.billing.total_credits == HUGE + 5,
    ),
    "rotate_api_key": (place, lambda answer, w: answer.api_key.key != w.key.key),
    "update_workspace": (
        lambda w: {
            "workspace_id": w.workspace.id,
            "default_key_prefix": None,
            "default_allowed_ips": ["10.0.0.0/8"],
            "default_rate_limit_per_second": 5,
            "default_expiration": None,
        },
        lambda answer, _: (
            answer.workspace.default_allowed_ips == ["10.0.0.0/8"]
            and answer.workspace.default_rate_limit_per_second == 5
            and answer.workspace.default_key_prefix is None
        ),
    ),
    "validate_link_token": (
        lambda w: {
            "token": w.client.generate_link_token(
                workspace_id=w.workspace.id, customer_id="acme"
            ).token
        },
        lambda answer, _: answer.valid and answer.external_billing_id is None,
    ),
    "verify_api_key": (
        lambda w: {
            "key": w.key.key,
            "requested_scopes": [READ],
            "route": "/invoices/{id}",
            "billing_usage": HUGE,
            "billing_usage_name": "tokens",
            "rate_limit_config_id": "acme",
            "rate_limit_config_limit": 2,
        },
        lambda answer, _: (
            answer.is_valid
            and answer.status is models.VerificationStatus.VALID
            and answer.billing.used_credits == HUGE
            and answer.rate_limit.remaining == 1
            and answer.metadata == {"plan": "starter"}
        ),
    ),
    "verify_jwt": (
        lambda w: {
            "jwt": w.client.create_jwt(payload={"user": "u_1"}, aud="app").jwt,
            "rate_limit_config_id": "app",
            "rate_limit_config_limit": 9,
            "rate_limit_config_interval": "1m",
        },
        lambda answer, _: (
            answer.is_valid and answer.payload == {"user": "u_1"} and answer.aud == "app"
        ),
    ),
}


def given(name: str, world: World) -> dict[str, Any]:
    """Return all arguments of an operation, from its case or else from the document."""
    return CASES[name][0](world) if name in CASES else OPERATIONS[name].arguments()


def is_right(name: str, answer: Any, world: World) -> bool:
    """Return whether a response is right by its case, or else equals the document's sample."""
    if name in CASES:
        return type(answer).__module__.startswith(oneloop_api.__name__) and bool(
            CASES[name][1](answer, world)
        )
    operation = OPERATIONS[name]
    decode = operation.module.OPERATION.decode
    return bool(answer == (decode and decode(operation.answer)))


def test_the_document_has_the_operations() -> None:
    """The client has the document's operations as methods, and each case is for one of them."""
    assert {name for name in vars(SyncOperations) if not name.startswith("_")} == set(OPERATIONS)
    assert CASES.keys() <= OPERATIONS.keys()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_called(
    name: str, world: World, kind: ClientKind, options: dict[str, Any]
) -> None:
    """An operation can be called with all of its arguments, and its response is decoded."""
    arguments = given(name, world)
    method = getattr(SyncOperations, name)
    assert set(arguments) == set(inspect.signature(method).parameters) - {"self"}
    assert is_right(name, kind.perform(name, arguments, **options), world)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_called_with_its_response(name: str, world: World) -> None:
    """With `with_response`, an operation also returns its status, headers and attempts."""
    response = getattr(world.client.with_response, name)(**given(name, world))
    assert (response.status // 100, response.attempts) == (2, 1)
    assert ("x-sandbox-simulated" in response.headers) == (name not in CASES)
    assert is_right(name, response.parsed, world)


async def _respond(name: str, arguments: dict[str, Any], options: dict[str, Any]) -> Any:
    async with AsyncOneloop(**options) as client:
        return await getattr(client.with_response, name)(**arguments)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_async_operation_is_called_with_its_response(
    name: str, world: World, options: dict[str, Any]
) -> None:
    """With `with_response`, an async operation also returns the status of the response."""
    response = asyncio.run(_respond(name, given(name, world), options))
    assert response.status // 100 == 2
    assert is_right(name, response.parsed, world)


# --- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../../evil", "a/b", "%2e%2e", "a?b=c", "a#b", "a;b", "ä b", "a\\b", "a\r\nX: y", "~"]
)
def test_an_id_reaches_no_other_path(name: str, world: World, kind: ClientKind) -> None:
    """An id stays one segment of the path, whatever is in it, so the server finds no such key."""
    options = {"api_key": world.sandbox.api_key, "base_url": world.sandbox.url}
    with pytest.raises(NotFoundError):
        kind.perform("delete_api_key", {**place(world), "api_key_id": name}, **options)
    sent = world.sandbox.requests[-1].path
    assert sent.startswith(f"/api/v1/workspace/{world.workspace.id}/api-key/")
    assert sent.count("/") == 6
    assert not set(sent) & set("?#\r\n ;\\")


@pytest.mark.parametrize("name", ["", ".", "..", None, 5.5, b"a", "\ud800"])
def test_an_id_that_is_none_is_not_sent(name: Any, world: World, kind: ClientKind) -> None:
    """An id that is empty, a dot segment or not valid text is refused before anything is sent.

    A server or proxy could take an empty segment or a dot segment for another path.
    """
    before = len(world.sandbox.requests)
    options = {"api_key": world.sandbox.api_key, "base_url": world.sandbox.url}
    with pytest.raises(ArgumentError) as caught:
        kind.perform("get_workspace_by_id", {"workspace_id": name}, **options)
    assert caught.value.argument == "workspace_id"
    assert len(world.sandbox.requests) == before


# --- bodies and models ---------------------------------------------------------------------------


def test_what_is_left_out_is_not_sent() -> None:
    """An omitted argument is not sent, even if the document has a default for it."""
    call = verify_api_key.call(key="k", requested_scopes=[])
    assert call.body == b'{"key":"k","requestedScopes":[]}'


def test_amounts_are_digits_on_the_wire() -> None:
    """Amounts of any size are sent as strings of digits."""
    call = create_customer_billing.call(
        workspace_id="w", external_meter_id="m", total_credits=HUGE, spend_cap=0
    )
    assert json.loads(call.body or b"") == {
        "workspaceId": "w",
        "externalMeterId": "m",
        "totalCredits": "1000000000000000000000000000000",
        "spendCap": "0",
    }


def test_scopes_go_back_as_they_came(world: World) -> None:
    """A scope from the server is sent back with its id and with any undocumented fields."""
    scope = models.ApiKeyScope.from_dict({**WRITE.to_dict(), "id": "sc_1", "new": [1]})
    assert scope.delete is True
    call = edit_api_key.call(**place(world), scopes=[scope])
    (sent,) = json.loads(call.body or b"")["scopes"]
    assert sent == {**WRITE.to_dict(), "id": "sc_1", "new": [1]}
    assert sent["del"] is True


def test_the_statuses_of_a_verification_are_open() -> None:
    """An unknown status is kept and sent back, and the key does not count as valid."""
    answer = {"status": "PAUSED", "requestedScopes": [], "scopes": []}
    result = models.VerifyApiKeyResponse.from_dict(answer)
    assert result.status == "PAUSED"
    assert f"{result.status}" == "PAUSED"
    assert not result.status.is_known
    assert not result.is_valid
    assert result.to_dict()["status"] == "PAUSED"
    assert len(models.VerificationStatus) == 8


def test_a_key_is_not_shown_by_its_repr(world: World) -> None:
    """The repr of a response, which may be logged, shows neither the issued key nor the JWT."""
    assert world.key.key not in repr(world.key)
    token = world.client.create_jwt(payload={})
    assert token.jwt not in repr(token)


@pytest.mark.parametrize(
    "moment", ["2026-11-23T10:00:00Z", "2026-11-23T10:00:00.123456789+02:00", None]
)
def test_last_use_is_read_leniently(world: World, moment: str | None) -> None:
    """`last_used_at` may have fractions of a second; it is None if it is null or absent."""
    plain = {name: value for name, value in world.key.to_dict().items() if name != "lastUsedAt"}
    key = models.ApiKey.from_dict({**plain, "lastUsedAt": moment, "billingId": None})
    assert (key.last_used_at is None) == (moment is None)
    assert key.billing_id is None
    absent = models.ApiKey.from_dict({n: v for n, v in plain.items() if n != "billingId"})
    assert (absent.last_used_at, absent.billing_id) == (None, None)


# --- the link token ------------------------------------------------------------------------------


def test_a_link_token_manages_the_keys_of_one_customer(world: World) -> None:
    """A link token gives access to the keys of its customer and to nothing else."""
    token = world.client.generate_link_token(
        workspace_id=world.workspace.id, customer_id="acme"
    ).token
    linked = world.client.with_options(link_token=token)
    assert linked.validate_link_token(token=token).customer_id == "acme"
    assert [key.id for key in linked.get_api_keys(workspace_id=world.workspace.id).api_keys] == [
        world.key.id
    ]
    rotated = linked.rotate_api_key(**place(world)).api_key
    assert linked.delete_api_key(**place(world)).api_key.deleted
    assert rotated.id == world.key.id
    with pytest.raises(PermissionDeniedError) as caught:
        linked.create_workspace(name="Mine")
    assert token not in f"{caught.value} {vars(caught.value)}"
