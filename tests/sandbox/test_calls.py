"""What all operations of the sandbox have in common."""

import gc
import http.client
import json
import re
import socket
import threading
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import pytest

from oneloop.sandbox import Fault, Sandbox
from oneloop.sandbox._access import Access
from oneloop.sandbox._state import KeyRequest, State
from tests.document import OPERATIONS as DOCUMENTED
from tests.sandbox.calls import (
    DEFAULTS,
    KEY,
    NEW_KEY,
    OPERATIONS,
    SCOPE,
    SIMULATED,
    Api,
    called,
)

NOT_THERE = {
    f"GET {KEY}",
    f"PATCH {KEY}",
    f"DELETE {KEY}",
    f"POST {KEY}/rotate",
    "POST /api-key/record-usage",
    "GET /link-token/lt_none",
}


def test_the_document_has_every_simulated_operation() -> None:
    """The calls in these tests cover every operation of the document."""
    operations = {called(call).name for call in SIMULATED}
    assert len(operations) == len(SIMULATED)
    assert len(OPERATIONS) == len(DOCUMENTED)


@pytest.mark.parametrize("call", SIMULATED)
def test_each_operation_is_served(api: Api, call: str) -> None:
    """Each operation returns 200, or 404 if it needs something that a new sandbox lacks."""
    status, answer = api.send(call, SIMULATED[call])
    assert (status, "error" in answer) == ((404, True) if call in NOT_THERE else (200, False))


@pytest.mark.parametrize("call", OPERATIONS)
def test_each_operation_needs_a_token_with_rights(api: Api, call: str) -> None:
    """Each operation checks the token and its rights before the body."""
    restricted = {"Authorization": f"Bearer {api.sandbox.restricted_api_key}"}
    assert api.send(call, [], headers={})[0] == 401
    assert api.send(call, [], headers={"Authorization": "Bearer wrong"})[0] == 401
    assert api.send(call, [], headers=restricted)[0] == 403


TEXT = "must be a string"
WHOLE = "must be an integer greater than 0"
AMOUNT = "must be a string of 1 to 4300 digits"
VERIFY = "POST /api-key/verify"
RECORD = "POST /api-key/record-usage"
BILLING = "POST /customer-billing"
SETTINGS = "PATCH /workspace/ws_1"
UNSAFE = 2**53


@pytest.mark.parametrize(
    ("call", "changes", "message"),
    [
        ("POST /workspace", {"name": 1}, f"name: {TEXT}"),
        (SETTINGS, {"defaultKeyPrefix": 1}, f"defaultKeyPrefix: {TEXT} or null"),
        (SETTINGS, {"defaultAllowedIPs": None}, "defaultAllowedIPs: must be an array"),
        (SETTINGS, {"defaultAllowedIPs": ["", 1]}, f"defaultAllowedIPs.1: {TEXT}"),
        (
            SETTINGS,
            {"defaultRateLimitPerSecond": 0},
            f"defaultRateLimitPerSecond: {WHOLE} or null",
        ),
        (SETTINGS, {"defaultExpiration": 1.0}, f"defaultExpiration: {WHOLE} or null"),
        (
            SETTINGS,
            {"defaultExpiration": UNSAFE},
            f"defaultExpiration: must be at most {UNSAFE - 1} or null",
        ),
        ("POST /workspace/ws_1/scope", {"representation": None}, f"representation: {TEXT}"),
        ("POST /workspace/ws_1/scope", {"description": None}, f"description: {TEXT}"),
        ("POST /api-key", {"prefix": None}, f"prefix: {TEXT}"),
        ("POST /api-key", {"expiresAt": None}, f"expiresAt: {WHOLE}"),
        ("POST /api-key", {"expiresAt": UNSAFE}, f"expiresAt: must be at most {UNSAFE - 1}"),
        ("POST /api-key", {"scopes": {}}, "scopes: must be an array"),
        ("POST /api-key", {"scopes": [1]}, "scopes.0: must be an object"),
        ("POST /api-key", {"scopes": [SCOPE | {"read": 1}]}, "scopes.0.read: must be a boolean"),
        (
            "POST /api-key",
            {"scopes": [SCOPE, {"representation": 1}]},
            f"scopes.1.representation: {TEXT}",
        ),
        ("POST /api-key", {"enabled": "yes"}, "enabled: must be a boolean"),
        ("POST /api-key", {"customerId": None}, f"customerId: {TEXT}"),
        ("POST /api-key", {"externalMeterId": None}, f"externalMeterId: {TEXT}"),
        ("POST /api-key", {"metadata": []}, "metadata: must be an object"),
        ("POST /api-key", {"metadata": {"plan": 1}}, f"metadata.plan: {TEXT}"),
        ("POST /api-key/migrate", {"key": ""}, "key: must be a string that is not empty"),
        (f"PATCH {KEY}", {"name": None}, f"name: {TEXT}"),
        (f"PATCH {KEY}", {"enabled": None}, "enabled: must be a boolean"),
        (f"PATCH {KEY}", {"scopes": [SCOPE | {"id": None}]}, f"scopes.0.id: {TEXT}"),
        (VERIFY, {"key": None}, f"key: {TEXT}"),
        (VERIFY, {"requestedScopes": None}, "requestedScopes: must be an array"),
        (VERIFY, {"route": None}, f"route: {TEXT}"),
        (VERIFY, {"billing": None}, "billing: must be an object"),
        (VERIFY, {"billing": {"usage": 5}}, f"billing.usage: {AMOUNT}"),
        (VERIFY, {"billing": {"usage": ""}}, f"billing.usage: {AMOUNT}"),
        (VERIFY, {"billing": {"usage": "5\n"}}, f"billing.usage: {AMOUNT}"),
        (VERIFY, {"billing": {"usage": "-5"}}, f"billing.usage: {AMOUNT}"),
        (VERIFY, {"billing": {"usage": "٣"}}, f"billing.usage: {AMOUNT}"),
        (VERIFY, {"billing": {"usage": "1" * 4301}}, f"billing.usage: {AMOUNT}"),
        (VERIFY, {"billing": {"usageName": None}}, f"billing.usageName: {TEXT}"),
        (VERIFY, {"rateLimitConfig": {}}, f"rateLimitConfig.id: {TEXT}"),
        (VERIFY, {"rateLimitConfig": {"id": "a"}}, f"rateLimitConfig.limit: {WHOLE}"),
        (RECORD, {"usage": 5}, f"usage: {AMOUNT}"),
        (RECORD, {"usageName": 5}, f"usageName: {TEXT}"),
        (BILLING, {"totalCredits": 5}, f"totalCredits: {AMOUNT}"),
        (BILLING, {"allowOverages": None}, "allowOverages: must be a boolean"),
        (BILLING, {"spendCap": None}, f"spendCap: {AMOUNT}"),
        ("GET /customer-billing", None, f"workspaceId: {TEXT}"),
        ("GET /customer-billing?workspaceId=ws_1", None, f"externalMeterId: {TEXT}"),
        ("POST /link-token", {"externalBillingId": None}, f"externalBillingId: {TEXT}"),
        ("POST /jwt", {"payload": {"a": None}}, f"payload.a: {TEXT}"),
        ("POST /jwt", {"aud": None}, f"aud: {TEXT}"),
        ("POST /jwt", {"exp": 0}, f"exp: {WHOLE}"),
        (
            "POST /jwt/verify",
            {"rateLimitConfig": {"id": "a", "limit": 1}},
            f"rateLimitConfig.interval: {TEXT}",
        ),
    ],
)
def test_a_bad_field_is_400_and_named(
    api: Api, call: str, changes: dict[str, object] | None, message: str
) -> None:
    """The message has the path of the first invalid field, and nothing changes."""
    body = None if changes is None else {**SIMULATED[call], **changes}  # type: ignore[dict-item]
    assert api.refusal(call, body) == (400, message)
    assert not api.applied()


REQUIRED = [
    (call, name) for call, body in SIMULATED.items() if isinstance(body, dict) for name in body
]


@pytest.mark.parametrize(("call", "field"), REQUIRED)
def test_a_missing_field_is_400_and_named(api: Api, call: str, field: str) -> None:
    """A request without a required field is refused with the name of the field."""
    body: Any = dict(SIMULATED[call])  # type: ignore[call-overload]
    del body[field]
    status, message = api.refusal(call, body)
    assert (status, message.startswith(f"{field}: must be ")) == (400, True)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        *((call, body) for call, body in SIMULATED.items() if "ws_1" in call.split("?")[0]),
        *(
            (call, {**body, "workspaceId": "ws_2"})
            for call, body in SIMULATED.items()
            if isinstance(body, dict) and "workspaceId" in body and "refill" not in call
        ),
    ],
)
def test_an_unknown_workspace_is_404(api: Api, call: str, body: object) -> None:
    """An unknown workspace is 404, whether its id is in the path or in the body."""
    message = "there is no workspace 'ws_2'"
    assert api.refusal(call.replace("ws_1", "ws_2"), body) == (404, message)


def test_unknown_fields_are_ignored(api: Api) -> None:
    """Fields that the document does not have are ignored, whatever their values."""
    assert api.ask("POST /workspace", {"name": "a", "id": None})["workspace"]["name"] == "a"


def test_a_method_that_a_path_does_not_know_is_405(api: Api) -> None:
    """A wrong method is 405 even without a token, and the response lists the allowed ones."""
    client = http.client.HTTPConnection(api.sandbox.url.removeprefix("http://"), timeout=5)
    client.request("PUT", "/api/v1/workspace/ws_1")
    response = client.getresponse()
    allowed = set(response.headers["allow"].split(", "))
    client.close()
    assert (response.status, allowed) == (405, {"GET", "HEAD", "PATCH"})


def test_head_is_get_without_a_body(api: Api) -> None:
    """HEAD returns the status of GET without the body, as HTTP requires."""
    assert api.send("HEAD /workspace/ws_1") == (200, None)
    assert api.send("HEAD /workspace/ws_2") == (404, None)


# --- Paths ---------------------------------------------------------------------------------------


def test_an_encoded_slash_stays_in_its_id(api: Api) -> None:
    """An encoded slash is part of an id and does not lead to another operation."""
    key = api.new_key()["id"]
    rotate = api.refusal(f"POST /workspace/ws_1/api-key/{key}%2Frotate")
    edit = api.refusal(f"PATCH /workspace/ws_1%2Fapi-key%2f{key}", DEFAULTS)
    assert rotate == (405, "Method Not Allowed")
    assert edit == (404, f"there is no workspace 'ws_1/api-key/{key}'")
    assert api.refusal("GET /workspace/a%2Fb") == (404, "there is no workspace 'a/b'")


def test_encoded_dots_are_an_id_like_any_other(api: Api) -> None:
    """Encoded dots are an id, and do not refer to the parent segment."""
    assert api.refusal("GET /workspace/%2e%2E") == (404, "there is no workspace '..'")
    assert api.refusal("GET /usage/../workspace") == (404, "Not Found")


def test_raw_dots_are_an_id_too(api: Api) -> None:
    """Dots are an id even if a client sends them without normalizing the path."""
    host, port = api.sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        head = "GET /api/v1/workspace/.. HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        client.sendall(f"{head}Authorization: Bearer {api.sandbox.api_key}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert b"there is no workspace '..'" in answer


@pytest.mark.parametrize("spelling", ["caf%C3%A9%20%25%3F", "%63af%c3%a9%20%25%3f"])
def test_ids_are_decoded_once(api: Api, spelling: str) -> None:
    """Different encodings of an id are the same id, and are decoded once."""
    api.sandbox.create_meter(workspace_id="café %?", external_meter_id="x")
    assert api.ask(f"GET /workspace/{spelling}")["workspace"]["id"] == "café %?"


def test_fixed_parts_of_a_path_may_be_encoded_too(api: Api) -> None:
    """Fixed parts of a path may be encoded, in the API and in the controls."""
    assert "workspaces" in api.ask("GET /work%73pace")
    api.ask("POST /_sandb%6Fx/reset")
    assert api.sandbox.requests == ()


# --- The log and faults --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        ("link-token/{}", "link-token/***"),
        ("link-token/{}?a=b", "link-token/***?a=b"),
        ("link%2dtoken/{}", "link-token/***"),
        ("link-token/{}/", "link-token/***"),
        ("x/link-token/{}", "x/link-token/***"),
        ("link-token/", "link-token/"),
    ],
)
def test_link_tokens_are_not_logged(api: Api, sent: str, logged: str) -> None:
    """A link token in a path is not logged, however the path is encoded."""
    token = api.new_link()
    api.send(f"GET /{sent.format(token)}")
    assert api.sandbox.requests[-1].path == f"/api/v1/{logged}"
    assert token[3:] not in repr(api.sandbox.requests)


def remembered(sandbox: Sandbox) -> str:
    """Return all texts that a sandbox refers to, directly or indirectly."""
    texts: list[str] = []
    seen: set[int] = set()
    waiting: list[object] = [sandbox]
    while waiting:
        one = waiting.pop()
        # Code, types and the server thread refer to everything in the process, so skip them.
        skipped = (type, ModuleType, FunctionType, BuiltinFunctionType, threading.Thread)
        if id(one) in seen or isinstance(one, skipped):
            continue
        seen.add(id(one))
        if isinstance(one, str | bytes):
            texts.append(repr(one))
        waiting += gc.get_referents(one)
    return "\n".join(texts)


def test_no_secret_is_remembered_or_shown(api: Api) -> None:
    """Keys and tokens are not in the sandbox's state, log or lists."""
    key, moved = api.new_key(), {"key": "k" * 20, **NEW_KEY}
    rotated = api.ask(f"POST /workspace/ws_1/api-key/{key['id']}/rotate")["apiKey"]
    migrated = api.ask("POST /api-key/migrate", moved)["apiKey"]
    secrets = [key["key"], rotated["key"], migrated["key"], api.new_link()]
    kept = remembered(api.sandbox)
    assert key["id"] in kept
    shown = repr(api.sandbox.requests) + json.dumps(api.ask("GET /workspace/ws_1/api-key"))
    assert not [secret for secret in secrets if secret in kept + shown]


def test_no_secret_is_in_a_repr() -> None:
    """Reprs contain no secrets, because tracebacks may show them with local variables."""
    state = State()
    issued = state.keys.create(
        KeyRequest(
            name="first",
            workspace_id="ws_1",
            scopes=(),
            enabled=True,
            customer_id="carol",
            metadata={},
        )
    )
    _, link = state.links.create(customer_id="carol", workspace_id="ws_1", external_billing_id=None)
    assert issued.value not in repr(issued)
    assert issued.key.digest not in repr(issued)
    assert link.digest not in repr(link)
    assert repr(Access("secret", "secret")) == "Access()"


@pytest.mark.parametrize("size", [1, 1000])
def test_an_answer_without_members_can_be_padded(api: Api, size: int) -> None:
    """An empty object is padded to the given size."""
    key = api.new_key()["key"]
    api.sandbox.misbehave(Fault.large_body(size))
    answer = api.ask("POST /api-key/record-usage", {"key": key})
    assert answer == {"padding": "x" * max(size - len('{"padding":""}'), 0)}


def test_an_answer_without_the_field_stays_as_it_is(api: Api) -> None:
    """The fault wrong-shape does not change a response without the field."""
    key = api.new_key()["key"]
    api.sandbox.misbehave("wrong-shape")
    assert api.ask("POST /api-key/record-usage", {"key": key}) == {}


def test_faults_apply_to_every_operation(api: Api) -> None:
    """Faults work for any operation; one with applies=True carries out the call."""
    api.sandbox.misbehave(Fault.status(500, applies=True), "500")
    for _ in range(2):
        assert api.send("POST /workspace", {"name": "new"})[0] == 500
    names = [each["name"] for each in api.ask("GET /workspace")["workspaces"]]
    assert names == ["ws_1", "new"]
    assert [each.applied for each in api.sandbox.requests] == [True, False, False]


def test_ids_and_times_look_alike_everywhere(api: Api) -> None:
    """Ids are a prefix and 32 hex digits; times are UTC with milliseconds."""
    body = {"name": "Files", "representation": "files"}
    for thing, kind in [
        (api.ask("POST /workspace", {"name": "test"})["workspace"], "ws"),
        (api.ask("POST /workspace/ws_1/scope", body)["scope"], "scope"),
        (api.new_key(), "key"),
        (api.new_meter(), "cbm"),
    ]:
        assert re.fullmatch(kind + "_[0-9a-f]{32}", thing["id"])
        assert thing["createdAt"] == thing["updatedAt"] == "2026-01-31T23:59:00.123Z"
