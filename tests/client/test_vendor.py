"""The vendor's own client, oneloop-python 0.0.24, with our sandbox and compared to our client.

It was written independently of this project, so it is a second opinion on requests and responses.
Its package does not declare that it needs httpx, which is installed beside it.
"""

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from oneloop_client import (  # type: ignore[import-untyped]
    ApiKeyScope,
    CreateApiKeyRequestScopesItem,
    MigrateApiKeyRequestScopesItem,
    VerifyApiKeyRequestBilling,
    VerifyApiKeyRequestRateLimitConfig,
    VerifyJwtRequestRateLimitConfig,
)
from oneloop_client.client import Oneloop as VendorsClient  # type: ignore[import-untyped]
from oneloop_client.errors import UnauthorizedError  # type: ignore[import-untyped]

from oneloop import models
from oneloop.sandbox import Sandbox
from oneloop_api.client import SyncOperations
from tests.document import OPERATIONS

RIGHTS = {"representation": "billing", "create": False, "read": True, "update": False}
SCOPE = ApiKeyScope(**RIGHTS, del_=False)
OURS = models.ApiKeyScope(**RIGHTS, delete=False)
NAMES = sorted(name for name in vars(VendorsClient) if not name.startswith("_"))


@pytest.fixture
def vendors(sandbox: Sandbox) -> Iterator[Any]:
    """The vendor's client, connected to the sandbox, which records the methods that are called."""
    with httpx.Client() as http:
        client = VendorsClient(
            base_url=sandbox.url, token=sandbox.api_key, httpx_client=http, timeout=10
        )
        yield Watched(client)


class Watched:
    """A client that records the names of the methods that are called."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        """Return a method, and record its name."""
        self.called.add(name)
        return getattr(self.client, name)


def test_ours_has_at_least_its_methods() -> None:
    """Our client has all methods of the vendor's, and perhaps newer ones of the document."""
    assert set(NAMES) <= vars(SyncOperations).keys()


def test_it_goes_through_all_its_methods(vendors: Any, sandbox: Sandbox) -> None:
    """The vendor's client calls all of its methods on the sandbox and reads each response."""
    workspace = vendors.create_workspace(name="Test").workspace
    ws = workspace.id
    assert vendors.get_workspace().workspaces[-1] == workspace
    assert vendors.get_workspace_by_id(ws).workspace == workspace
    limits = {"default_rate_limit_per_second": 50, "default_expiration": 3600}
    settings = {"default_key_prefix": "pre", "default_allowed_i_ps": ["10.0.0.1"], **limits}
    updated = vendors.update_workspace(ws, **settings).workspace
    assert updated.default_allowed_i_ps == ["10.0.0.1"]
    scope = vendors.create_workspace_scopes(ws, name="Billing", representation="billing").scope
    assert vendors.get_workspace_scopes(ws).scopes == [scope]

    meter = {"workspace_id": ws, "external_meter_id": "acme"}
    created = vendors.create_customer_billing(**meter, total_credits="10", spend_cap="20").billing
    assert (created.total_credits, created.spend_cap) == ("10", "20")
    assert vendors.get_customer_billing(**meter).billing == created

    about = {"workspace_id": ws, "enabled": True, "customer_id": "acme", "metadata": {"a": "b"}}
    key = vendors.create_api_key(
        **about,
        name="First",
        scopes=[CreateApiKeyRequestScopesItem(**RIGHTS, del_=False)],
        external_meter_id="acme",
    ).api_key
    assert key.billing_id == created.id
    assert vendors.get_api_key_by_id(ws, key.id).api_key.masked_key == key.masked_key

    def verify(key: str, usage: str = "0", **more: Any) -> Any:
        billing = VerifyApiKeyRequestBilling(usage=usage, usage_name="tokens")
        return vendors.verify_api_key(key=key, requested_scopes=[SCOPE], billing=billing, **more)

    limit = VerifyApiKeyRequestRateLimitConfig(id="acme", limit=1)
    assert verify(key.key, "6", route="/a").status == "VALID"
    assert verify(key.key, "6").status == "USAGE_LIMITED"
    assert vendors.refill_billing_limit(**meter, refill=5).billing.total_credits == "15"
    last = verify(key.key, "6", rate_limit_config=limit)
    assert (last.status, last.billing.used_credits, last.metadata) == ("VALID", "12", {"a": "b"})
    assert last.rate_limit.remaining == 0
    vendors.record_api_key_usage(key=key.key, usage="2", usage_name="tokens")
    (row,) = vendors.get_billing_usage(created.id).data
    assert (row.total_billing_usage, row.billing_usage_name) == ("14", "tokens")

    other = MigrateApiKeyRequestScopesItem(**{**RIGHTS, "representation": "other"}, del_=True)
    old = vendors.migrate_api_key(key="an-old-key", name="Old", scopes=[other], **about).api_key
    assert (old.key, verify("an-old-key").status) == ("an-old-key", "INVALID_SCOPES")
    assert {one.id for one in vendors.get_api_keys(ws).api_keys} == {key.id, old.id}
    rotated = vendors.rotate_api_key(ws, key.id).api_key
    assert (verify(key.key).status, verify(rotated.key).status) == ("INVALID", "VALID")
    assert not vendors.edit_api_key(ws, key.id, enabled=False, scopes=[SCOPE]).api_key.enabled
    assert verify(rotated.key).status == "DISABLED"
    assert vendors.delete_api_key(ws, key.id).api_key.deleted
    assert verify(rotated.key).status == "DELETED"

    token = vendors.generate_link_token(
        customer_id="acme", workspace_id=ws, external_billing_id="acme"
    )
    assert vendors.validate_link_token(token.token).external_billing_id == "acme"
    jwt = vendors.create_jwt(payload={"user": "u_1"}, aud="app").jwt
    every = VerifyJwtRequestRateLimitConfig(id="app", limit=5, interval="1m")
    assert vendors.verify_jwt(jwt=jwt, rate_limit_config=every).payload == {"user": "u_1"}

    assert vendors.called == set(NAMES)
    assert {request.status for request in sandbox.requests} == {200}


def test_it_understands_a_refusal(sandbox: Sandbox) -> None:
    """The vendor's client reads an error of the sandbox, which has the documented shape."""
    with httpx.Client() as http, pytest.raises(UnauthorizedError) as caught:
        VendorsClient(base_url=sandbox.url, token="wrong", httpx_client=http).get_workspace()
    assert caught.value.body.error.code == 401


# --- the same requests ---------------------------------------------------------------------------

BOTH: dict[str, tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]] = {
    # positional and keyword arguments of the vendor's method; those of ours that differ
    "create_api_key": (
        (),
        {
            "name": "n",
            "workspace_id": "w",
            "prefix": "p",
            "expires_at": 5,
            "scopes": [CreateApiKeyRequestScopesItem(**RIGHTS, del_=False)],
            "enabled": True,
            "customer_id": "c",
            "external_meter_id": "m",
            "metadata": {"a": "b"},
        },
        {"scopes": [OURS]},
    ),
    "create_customer_billing": (
        (),
        {
            "total_credits": "7",
            "allow_overages": False,
            "spend_cap": "0",
            "external_meter_id": "m",
            "workspace_id": "w",
        },
        {"total_credits": 7, "spend_cap": 0},
    ),
    "create_jwt": ((), {"payload": {"a": "b"}, "aud": "x", "exp": 5}, {}),
    "create_workspace": ((), {"name": "ä"}, {}),
    "create_workspace_scopes": (
        ("w",),
        {"name": "n", "representation": "r", "description": "d"},
        {"workspace_id": "w"},
    ),
    "delete_api_key": (("w", "k"), {}, {"workspace_id": "w", "api_key_id": "k"}),
    "edit_api_key": (
        ("w", "k"),
        {"name": "n", "enabled": False, "scopes": [SCOPE]},
        {"workspace_id": "w", "api_key_id": "k", "scopes": [OURS]},
    ),
    "generate_link_token": (
        (),
        {"customer_id": "c", "workspace_id": "w", "external_billing_id": "m"},
        {},
    ),
    "get_api_key_by_id": (("w", "k"), {}, {"workspace_id": "w", "api_key_id": "k"}),
    "get_api_keys": (("w",), {}, {"workspace_id": "w"}),
    "get_billing_usage": (("b",), {}, {"billing_id": "b"}),
    "get_customer_billing": ((), {"workspace_id": "a b", "external_meter_id": "ä&="}, {}),
    "get_workspace": ((), {}, {}),
    "get_workspace_by_id": (("w",), {}, {"workspace_id": "w"}),
    "get_workspace_scopes": (("w",), {}, {"workspace_id": "w"}),
    "migrate_api_key": (
        (),
        {
            "key": "k",
            "name": "n",
            "workspace_id": "w",
            "scopes": [MigrateApiKeyRequestScopesItem(**RIGHTS, del_=False)],
            "enabled": True,
            "customer_id": "c",
            "metadata": {},
        },
        {"scopes": [OURS]},
    ),
    "record_api_key_usage": ((), {"key": "k", "usage": "5", "usage_name": "u"}, {"usage": 5}),
    "refill_billing_limit": (
        (),
        {"workspace_id": "w", "external_meter_id": "m", "refill": 5},
        {},
    ),
    "rotate_api_key": (("w", "k"), {}, {"workspace_id": "w", "api_key_id": "k"}),
    "update_workspace": (
        ("w",),
        {
            "default_key_prefix": "p",
            "default_allowed_i_ps": [],
            "default_rate_limit_per_second": 1,
            "default_expiration": 1,
        },
        {"workspace_id": "w"},
    ),
    "validate_link_token": (("t",), {}, {"token": "t"}),
    "verify_api_key": (
        (),
        {
            "key": "k",
            "requested_scopes": [SCOPE],
            "route": "r",
            "billing": VerifyApiKeyRequestBilling(usage="5", usage_name="u"),
            "rate_limit_config": VerifyApiKeyRequestRateLimitConfig(id="i", limit=1),
        },
        {
            "requested_scopes": [OURS],
            "billing_usage": 5,
            "billing_usage_name": "u",
            "rate_limit_config_id": "i",
            "rate_limit_config_limit": 1,
        },
    ),
    "verify_jwt": (
        (),
        {
            "jwt": "j",
            "rate_limit_config": VerifyJwtRequestRateLimitConfig(id="i", limit=1, interval="1m"),
        },
        {
            "rate_limit_config_id": "i",
            "rate_limit_config_limit": 1,
            "rate_limit_config_interval": "1m",
        },
    ),
}


def sent_by(method: Callable[..., Any], *arguments: Any, **options: Any) -> httpx.Request:
    """Return the request that a method of the vendor's client sends."""
    requests: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(418, json={})

    with httpx.Client(transport=httpx.MockTransport(refuse)) as http:
        client = VendorsClient(base_url="http://api.test", token="t", httpx_client=http)
        with pytest.raises(Exception, match="418"):
            method(client, *arguments, **options)
    (request,) = requests
    return request


@pytest.mark.parametrize("name", NAMES)
def test_ours_sends_the_same(name: str) -> None:
    """Both clients send the same method, path, query and JSON for the same arguments."""
    positional, keywords, replaced = BOTH[name]
    theirs = sent_by(getattr(VendorsClient, name), *positional, **keywords)
    operation = OPERATIONS[name].module
    names = inspect.signature(operation.call).parameters
    renamed = {key.replace("allowed_i_ps", "allowed_ips"): keywords[key] for key in keywords}
    given = {key: value for key, value in renamed.items() if key in names} | replaced
    assert set(given) == set(names), "every argument is compared"
    ours = operation.call(**given)
    assert operation.OPERATION.method == theirs.method
    url = httpx.URL("http://api.test" + ours.target)
    assert (url.path, url.params) == (theirs.url.path, theirs.url.params)
    if theirs.method == "GET" or ours.body is None:
        assert (ours.body, theirs.content) == (None, b"")
    else:
        assert json.loads(ours.body) == json.loads(theirs.content)
