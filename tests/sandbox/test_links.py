"""The sandbox's link tokens, and what they allow a customer's browser to do."""

import pytest

from tests.sandbox.calls import NEW_KEY, OPERATIONS, SCOPE, Api

KEYS = "/workspace/ws_1/api-key"


def test_a_new_token_is_valid_for_an_hour(api: Api) -> None:
    """A link token is valid for one hour; the API key can look it up even after that."""
    made = api.ask("POST /link-token", {"workspaceId": "ws_1", "customerId": "carol"})
    assert api.applied()
    assert made.keys() == {"token", "expiresAt"}
    assert (made["token"][:3], made["expiresAt"]) == ("lt_", api.clock.seconds + 3600)
    shown = {
        "valid": True,
        "expiresAt": made["expiresAt"],
        "workspaceId": "ws_1",
        "customerId": "carol",
    }
    api.clock.move(seconds=3599.876)
    assert api.ask(f"GET /link-token/{made['token']}") == shown
    assert not api.applied()
    api.clock.move(seconds=0.001)
    assert api.ask(f"GET /link-token/{made['token']}") == shown | {"valid": False}


def test_the_billing_id_of_a_token_is_shown_if_it_has_one(api: Api) -> None:
    """A link token can have the billing id of a meter that does not exist yet."""
    token = api.new_link(externalBillingId="soon")
    assert api.ask(f"GET /link-token/{token}")["externalBillingId"] == "soon"


def test_an_unknown_token_is_404(api: Api) -> None:
    """An unknown link token is 404, and the message does not repeat it."""
    assert api.refusal("GET /link-token/lt_x") == (404, "there is no such link token")


# --- With a link token instead of the API's key --------------------------------------------------


def test_a_link_token_manages_its_customers_keys(api: Api) -> None:
    """A link token allows the calls that the vendor's browser component makes."""
    token = api.new_link()
    assert api.ask(f"GET /link-token/{token}", link=token)["valid"] is True
    assert api.ask("GET /workspace/ws_1/scopes", link=token) == {"scopes": []}
    key = api.ask("POST /api-key", NEW_KEY, link=token)["apiKey"]
    path = f"{KEYS}/{key['id']}"
    assert api.ask(f"PATCH {path}", {"name": "new"}, link=token)["apiKey"]["name"] == "new"
    rotated = api.ask(f"POST {path}/rotate", link=token)["apiKey"]
    assert api.status_of(rotated["key"]) == "VALID"
    deleted = api.ask(f"DELETE {path}", link=token)["apiKey"]
    assert api.ask(f"GET {KEYS}", link=token) == {"apiKeys": [deleted]}


ALLOWED = {
    "GET /workspace/ws_1/scopes",
    "POST /api-key",
    "GET /workspace/ws_1/api-key",
    "PATCH /workspace/ws_1/api-key/none",
    "DELETE /workspace/ws_1/api-key/none",
    "POST /workspace/ws_1/api-key/none/rotate",
}
FORBIDDEN = [call for call in OPERATIONS if call not in ALLOWED]


@pytest.mark.parametrize(
    "call", [*FORBIDDEN, "GET /_sandbox/requests", "POST /_sandbox/reset", "POST /_sandbox/advance"]
)
def test_a_link_token_may_do_nothing_else(api: Api, call: str) -> None:
    """Any other call with a link token is 403, and its body is not read."""
    api.new_key()
    assert api.refusal(call, [], link=api.new_link()) == (403, "Forbidden")
    assert len(api.ask(f"GET {KEYS}")["apiKeys"]) == 1


@pytest.mark.parametrize("call", sorted(ALLOWED - {"POST /api-key"}))
def test_a_link_token_stays_in_its_workspace(api: Api, call: str) -> None:
    """Another workspace is 403 for a link token, whether it exists or not."""
    api.sandbox.create_meter(workspace_id="ws_2", external_meter_id="x")
    token = api.new_link()
    for other in ("ws_2", "ws_3"):
        refusal = api.refusal(call.replace("ws_1", other), {}, link=token)
        assert refusal == (403, "Forbidden")


def test_a_link_token_does_not_show_other_customers_keys(api: Api) -> None:
    """The keys of other customers are 404 for a link token, like keys that do not exist."""
    mine, other = api.new_key(), api.new_key(customerId="dave")
    token = api.new_link()
    listed = api.ask(f"GET {KEYS}", link=token)["apiKeys"]
    assert [each["id"] for each in listed] == [mine["id"]]
    path = f"{KEYS}/{other['id']}"
    message = f"there is no API key '{other['id']}' in workspace 'ws_1'"
    for call in (f"PATCH {path}", f"DELETE {path}", f"POST {path}/rotate"):
        assert api.refusal(call, {}, link=token) == (404, message)
    assert api.status_of(other["key"]) == "VALID"


@pytest.mark.parametrize(
    "changes",
    [
        {"customerId": "dave"},
        {"workspaceId": "ws_2"},
        {"workspaceId": "ws_3"},
        {"externalMeterId": "acme"},
    ],
)
def test_a_link_token_makes_keys_for_its_customer_only(
    api: Api, changes: dict[str, object]
) -> None:
    """A link token creates keys only for its customer, in its workspace and on its meter."""
    api.sandbox.create_meter(workspace_id="ws_2", external_meter_id="x")
    refusal = api.refusal("POST /api-key", NEW_KEY | changes, link=api.new_link())
    assert refusal == (403, "Forbidden")


def test_a_key_made_with_a_link_token_is_on_the_tokens_meter(api: Api) -> None:
    """A key that a link token creates is on the token's meter, which must exist."""
    token = api.new_link(externalBillingId="carol")
    message = "there is no meter 'carol' in workspace 'ws_1'"
    assert api.refusal("POST /api-key", NEW_KEY, link=token) == (404, message)
    meter = api.new_meter()["id"]
    for asked in ({}, {"externalMeterId": "carol"}):
        made = api.ask("POST /api-key", NEW_KEY | asked, link=token)["apiKey"]
        assert made["billingId"] == meter


def test_a_bad_field_is_named_to_a_link_token_too(api: Api) -> None:
    """With a link token too, fields are checked before the workspace and the customer."""
    body = NEW_KEY | {"customerId": "dave", "scopes": [SCOPE | {"read": None}]}
    refusal = api.refusal("POST /api-key", body, link=api.new_link())
    assert refusal == (400, "scopes.0.read: must be a boolean")


def test_an_unknown_or_expired_link_token_is_401(api: Api) -> None:
    """An unknown or expired link token is 401, even to look itself up."""
    token = api.new_link()
    api.clock.move(hours=1)
    for link in (token, "lt_x", "", "l\xfc"):
        assert api.refusal("GET /workspace/ws_1/scopes", link=link) == (401, "Unauthorized")
    assert api.refusal(f"GET /link-token/{token}", link=token) == (401, "Unauthorized")


def test_an_authorization_header_alone_counts(api: Api) -> None:
    """If a request has an Authorization header, its link token is ignored."""
    for token, key, status in [
        (api.new_link(), "wrong", 401),
        (api.new_link(), api.sandbox.restricted_api_key, 403),
        ("lt_x", api.sandbox.api_key, 200),
    ]:
        headers = {"X-Link-Token": token, "Authorization": f"Bearer {key}"}
        assert api.send("GET /workspace/ws_1/scopes", headers=headers)[0] == status
