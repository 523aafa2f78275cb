"""API keys in the sandbox: how they are created, edited, rotated and deleted."""

import re

import pytest

from tests.sandbox.calls import NEW_KEY, RIGHTS, SCOPE, Api

KEYS = "/workspace/ws_1/api-key"


def test_a_new_key_has_every_documented_field_and_its_value(api: Api) -> None:
    """The value of a new key is returned only once, with every documented field."""
    made = api.new_key()
    value, key_id = made.pop("key"), made.pop("id")
    assert re.fullmatch(r"sk_[\w-]{43}", value)
    assert made == {
        "name": "first",
        "maskedKey": f"****{value[-4:]}",
        "prefix": "sk",
        "expiresAt": None,
        "scopes": [SCOPE],
        "enabled": True,
        "customerId": "carol",
        "deleted": False,
        "createdAt": "2026-01-31T23:59:00.123Z",
        "updatedAt": "2026-01-31T23:59:00.123Z",
        "lastUsedAt": None,
        "billingId": None,
    }
    assert api.applied()
    assert api.ask(f"GET {KEYS}/{key_id}") == {"apiKey": {"id": key_id, **made}}
    assert api.ask(f"GET {KEYS}") == {"apiKeys": [{"id": key_id, **made}]}


@pytest.mark.parametrize(
    ("own", "default", "prefix"),
    [(None, None, "sk"), (None, "live", "live"), ("own", "live", "own"), ("", "live", "")],
)
def test_a_prefix_is_the_keys_own_or_the_workspaces(
    api: Api, own: str | None, default: str | None, prefix: str
) -> None:
    """The prefix is the key's own or else the workspace's; an empty one is left out."""
    api.set_defaults(defaultKeyPrefix=default)
    made = api.new_key(**({} if own is None else {"prefix": own}))
    assert made["prefix"] == prefix
    # With an empty prefix, the value is only its 43 random characters.
    assert made["key"].startswith(f"{prefix}_") or (not prefix and len(made["key"]) == 43)


def test_a_key_expires_when_it_says_or_by_default(api: Api) -> None:
    """A key has its own expiry or the default at its creation; later defaults do not change it."""
    api.set_defaults(defaultExpiration=60)
    own, default = api.new_key(expiresAt=5), api.new_key()
    api.set_defaults()
    assert (own["expiresAt"], default["expiresAt"]) == (5, api.clock.seconds + 60)
    listed = api.ask(f"GET {KEYS}")["apiKeys"]
    assert [each["expiresAt"] for each in listed] == [5, api.clock.seconds + 60]


def test_a_key_expires_at_a_safe_integer_at_the_latest(api: Api) -> None:
    """An expiry by default is at most 2**53 - 1, the document's limit for all integers."""
    api.set_defaults(defaultExpiration=2**53 - 1)
    assert api.new_key()["expiresAt"] == 2**53 - 1


def test_a_key_is_tied_to_a_meter_of_its_workspace(api: Api) -> None:
    """A key's billingId is the id of its meter; a meter that does not exist is 404."""
    assert api.new_key(externalMeterId="acme")["billingId"] == (
        "cbm_833a6778b834ffdf87a01c2604a4f7a8"
    )
    body = NEW_KEY | {"externalMeterId": "other"}
    message = "there is no meter 'other' in workspace 'ws_1'"
    assert api.refusal("POST /api-key", body) == (404, message)
    assert not api.applied()


def test_the_id_of_a_scope_is_kept_where_it_is_documented(api: Api) -> None:
    """An edit keeps the id of a scope; a new key ignores it."""
    key = api.new_key(scopes=[SCOPE | {"id": "files"}])
    assert key["scopes"] == [SCOPE]
    scopes = [SCOPE | {"id": "files"}, {"representation": "x", **RIGHTS}]
    assert api.ask(f"PATCH {KEYS}/{key['id']}", {"scopes": scopes})["apiKey"]["scopes"] == scopes


@pytest.mark.parametrize(
    "changes", [{"name": "second"}, {"enabled": False}, {"scopes": []}, {"name": "", "scopes": []}]
)
def test_an_edit_changes_what_is_given(api: Api, changes: dict[str, object]) -> None:
    """An edit changes the given fields and updatedAt, and nothing else."""
    before = api.new_key()
    del before["key"]
    api.clock.move(seconds=1)
    after = api.ask(f"PATCH {KEYS}/{before['id']}", changes)["apiKey"]
    assert after == before | changes | {"updatedAt": "2026-01-31T23:59:01.123Z"}
    assert api.applied()
    assert api.ask(f"GET {KEYS}/{before['id']}")["apiKey"] == after


@pytest.mark.parametrize("changes", [{}, {"name": "first"}, {"enabled": True, "scopes": [SCOPE]}])
def test_an_edit_that_changes_nothing_leaves_no_trace(api: Api, changes: dict[str, object]) -> None:
    """An edit that changes nothing does not change updatedAt, and is not logged as applied."""
    before = api.new_key()
    del before["key"]
    api.clock.move(seconds=1)
    assert api.ask(f"PATCH {KEYS}/{before['id']}", changes)["apiKey"] == before
    assert not api.applied()


def test_a_deleted_key_is_still_listed(api: Api) -> None:
    """A deleted key is still listed; deleting it again returns the same and changes nothing."""
    key = api.new_key()["id"]
    api.clock.move(seconds=1)
    deleted = api.ask(f"DELETE {KEYS}/{key}")["apiKey"]
    assert (deleted["deleted"], deleted["updatedAt"]) == (True, "2026-01-31T23:59:01.123Z")
    assert api.applied()
    api.clock.move(seconds=1)
    assert api.ask(f"DELETE {KEYS}/{key}")["apiKey"] == deleted
    assert not api.applied()
    assert api.ask(f"GET {KEYS}/{key}")["apiKey"] == deleted
    assert api.ask(f"GET {KEYS}")["apiKeys"] == [deleted]


@pytest.mark.parametrize(("method", "rest"), [("PATCH", ""), ("POST", "/rotate")])
def test_a_deleted_key_is_not_changed(api: Api, method: str, rest: str) -> None:
    """A deleted key can be neither edited nor rotated, even if that would change nothing."""
    key = api.new_key()["id"]
    api.ask(f"DELETE {KEYS}/{key}")
    refusal = api.refusal(f"{method} {KEYS}/{key}{rest}", {})
    assert refusal == (400, f"API key '{key}' is deleted")
    assert not api.applied()


def test_a_rotated_key_has_another_value(api: Api) -> None:
    """Rotating a key replaces its value and nothing else; the old value becomes invalid."""
    before = api.new_key(prefix="own")
    api.clock.move(seconds=1)
    after = api.ask(f"POST {KEYS}/{before['id']}/rotate")["apiKey"]
    assert api.applied()
    same = {"key": "", "maskedKey": "", "updatedAt": ""}
    assert after | same == before | same
    assert after["key"].startswith("own_")
    assert after["maskedKey"] == f"****{after['key'][-4:]}"
    assert [api.status_of(each["key"]) for each in (before, after)] == ["INVALID", "VALID"]
    api.ask(f"POST {KEYS}/{before['id']}/rotate")
    assert api.status_of(after["key"]) == "INVALID"


def test_a_migrated_key_keeps_its_value(api: Api) -> None:
    """A migrated key keeps its value, and gets a prefix only when it is rotated."""
    body = {**NEW_KEY, "key": "old", "prefix": "x", "externalMeterId": "x"}
    made = api.ask("POST /api-key/migrate", body)["apiKey"]
    assert api.applied()
    assert (made["key"], made["maskedKey"], made["prefix"]) == ("old", "****", None)
    assert made["billingId"] is None
    assert api.status_of("old") == "VALID"
    assert api.ask(f"POST {KEYS}/{made['id']}/rotate")["apiKey"]["prefix"] == "sk"
    assert api.status_of("old") == "INVALID"


@pytest.mark.parametrize("value", ["a" * 16, "\ud800" + "a" * 16])
def test_a_value_is_migrated_once(api: Api, value: str) -> None:
    """A value cannot be migrated twice, even if the key that has it is deleted."""
    made = api.ask("POST /api-key/migrate", {**NEW_KEY, "key": value})["apiKey"]
    assert made["maskedKey"] == "****aaaa"
    api.ask(f"DELETE {KEYS}/{made['id']}")
    message = "an API key with this value already exists"
    assert api.refusal("POST /api-key/migrate", {**NEW_KEY, "key": value}) == (400, message)
    assert not api.applied()


def test_a_key_is_found_in_its_own_workspace_only(api: Api) -> None:
    """In any workspace but its own, a key does not exist."""
    key = api.new_key()["id"]
    api.sandbox.create_meter(workspace_id="ws_2", external_meter_id="x")
    elsewhere = f"/workspace/ws_2/api-key/{key}"
    message = f"there is no API key '{key}' in workspace 'ws_2'"
    for call in (f"GET {elsewhere}", f"DELETE {elsewhere}", f"POST {elsewhere}/rotate"):
        assert api.refusal(call) == (404, message)
    assert api.ask("GET /workspace/ws_2/api-key") == {"apiKeys": []}
