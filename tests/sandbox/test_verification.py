"""Verification of API keys in the sandbox, and charging for their use."""

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from oneloop.sandbox._state import KeyRequest, State
from tests.sandbox.calls import RIGHTS, SCOPE, Api

KEYS = "/workspace/ws_1/api-key"


def used(api: Api, name: str = "carol") -> int:
    """Return the used credits of a meter."""
    return api.sandbox.meter(workspace_id="ws_1", external_meter_id=name).used_credits


def test_a_valid_key_comes_with_all_about_it(api: Api) -> None:
    """A valid key's response has every field, but rate limit and metadata only if there are any."""
    meter = api.new_meter()
    key = api.new_key(externalMeterId="carol", expiresAt=api.clock.seconds + 1)
    asked = [{"id": "files", **SCOPE}]
    assert api.verify(key["key"], requestedScopes=asked) == {
        "apiKeyId": key["id"],
        "expiresAt": api.clock.seconds + 1,
        "requestedScopes": asked,
        "status": "VALID",
        "billing": meter,
        "externalMeterId": "carol",
        "customerId": "carol",
        "scopes": [SCOPE],
    }
    assert not api.applied()


def test_an_invalid_key_comes_with_what_was_asked(api: Api) -> None:
    """The response for an invalid key repeats the requested scopes; its other details are empty."""
    assert api.verify("", usage=5, requestedScopes=[SCOPE]) == {
        "apiKeyId": "",
        "expiresAt": None,
        "requestedScopes": [SCOPE],
        "status": "INVALID",
        "billing": None,
        "externalMeterId": None,
        "customerId": None,
        "scopes": [],
    }


def test_metadata_is_shown_if_there_is_some(api: Api) -> None:
    """The metadata of a key is returned, unless it is empty."""
    some, none = api.new_key(metadata={"plan": "pro"}), api.new_key(metadata={})
    assert api.verify(some["key"])["metadata"] == {"plan": "pro"}
    assert "metadata" not in api.verify(none["key"])


def test_the_first_reason_that_holds_is_the_status(api: Api) -> None:
    """If several reasons apply, the status is the first of them in a fixed order."""
    api.set_defaults(defaultRateLimitPerSecond=1)
    api.new_meter(totalCredits="0")
    key = api.new_key(
        externalMeterId="carol", enabled=False, expiresAt=api.clock.seconds, scopes=[]
    )
    path = f"{KEYS}/{key['id']}"

    def status() -> str:
        return api.status_of(key["key"], requestedScopes=[SCOPE])

    assert api.status_of("none") == "INVALID"
    api.ask(f"DELETE {path}")
    assert status() == "DELETED"
    key = api.new_key(
        externalMeterId="carol", enabled=False, expiresAt=api.clock.seconds, scopes=[]
    )
    path = f"{KEYS}/{key['id']}"
    assert status() == "DISABLED"
    api.ask(f"PATCH {path}", {"enabled": True})
    assert status() == "EXPIRED"
    key = api.new_key(externalMeterId="carol", scopes=[])
    path = f"{KEYS}/{key['id']}"
    assert status() == "INVALID_SCOPES"
    api.ask(f"PATCH {path}", {"scopes": [SCOPE]})
    assert [status(), status()] == ["USAGE_LIMITED", "RATE_LIMITED"]
    api.clock.move(seconds=1)
    body = {"workspaceId": "ws_1", "externalMeterId": "carol", "refill": 1}
    api.ask("POST /customer-billing/refill", body)
    assert status() == "VALID"


def test_a_key_expires_on_the_second(api: Api) -> None:
    """A key is valid until the last millisecond before its expiry."""
    key = api.new_key(expiresAt=api.clock.seconds + 1)["key"]
    api.clock.move(seconds=0.876)
    assert api.status_of(key) == "VALID"
    api.clock.move(seconds=0.001)
    assert api.status_of(key) == "EXPIRED"


@pytest.mark.parametrize(
    ("has", "asked", "status"),
    [
        ([], [], "VALID"),
        ([], [SCOPE], "INVALID_SCOPES"),
        ([], [SCOPE | {"read": False}], "INVALID_SCOPES"),
        ([SCOPE], [SCOPE | {"read": False}], "VALID"),
        ([SCOPE], [SCOPE, SCOPE], "VALID"),
        ([SCOPE], [SCOPE, SCOPE | {"representation": "x"}], "INVALID_SCOPES"),
        ([SCOPE], [SCOPE | {"create": True}], "INVALID_SCOPES"),
        ([SCOPE], [SCOPE | {"update": True}], "INVALID_SCOPES"),
        ([SCOPE], [SCOPE | {"del": True}], "INVALID_SCOPES"),
        ([SCOPE | {"read": False}], [SCOPE], "INVALID_SCOPES"),
        ([SCOPE, SCOPE | {"create": True}], [SCOPE | {"create": True}], "VALID"),
        ([SCOPE | dict.fromkeys(RIGHTS, True)], [SCOPE | dict.fromkeys(RIGHTS, True)], "VALID"),
    ],
)
def test_every_right_asked_for_must_be_on_the_key(
    api: Api, has: list[Any], asked: list[Any], status: str
) -> None:
    """All requested rights must be in one scope of the key with that representation."""
    key = api.new_key(scopes=has)["key"]
    assert api.status_of(key, requestedScopes=asked) == status


def test_last_used_is_when_a_key_was_last_valid(api: Api) -> None:
    """A refused verification does not change lastUsedAt, and none changes updatedAt."""
    key = api.new_key(expiresAt=api.clock.seconds + 10)

    def shown() -> Any:
        return api.ask(f"GET {KEYS}/{key['id']}")["apiKey"]["lastUsedAt"]

    api.status_of(key["key"], requestedScopes=[SCOPE | {"create": True}])
    assert shown() is None
    for second in (1, 2):
        api.clock.move(seconds=1)
        api.verify(key["key"], route="/files")
        assert shown() == f"2026-01-31T23:59:0{second}.123Z"
    api.clock.move(seconds=10)
    api.verify(key["key"])
    assert shown() == "2026-01-31T23:59:02.123Z"
    assert api.ask(f"GET {KEYS}/{key['id']}")["apiKey"]["updatedAt"] == key["updatedAt"]


# --- Rate limits ---------------------------------------------------------------------------------


def test_a_workspace_limits_the_calls_of_each_key(api: Api) -> None:
    """The workspace's limit counts per key and second, and is reported in responses."""
    api.set_defaults(defaultRateLimitPerSecond=2)
    first, second = api.new_key()["key"], api.new_key()["key"]
    answers = [api.verify(first) for _ in range(3)]
    assert [each["status"] for each in answers] == ["VALID", "VALID", "RATE_LIMITED"]
    assert [each["rateLimit"]["remaining"] for each in answers] == [1, 0, 0]
    assert {each["rateLimit"]["resetAt"] for each in answers} == {api.clock.seconds + 1}
    assert api.status_of(second) == "VALID"
    api.clock.move(seconds=0.876)
    assert api.status_of(first) == "RATE_LIMITED"
    api.clock.move(seconds=0.001)
    assert api.status_of(first) == "VALID"


def test_a_limit_of_the_call_replaces_that_of_the_workspace(api: Api) -> None:
    """The limit of a request replaces the workspace's, and is counted by its id, not by key."""
    api.set_defaults(defaultRateLimitPerSecond=1)
    keys = [api.new_key()["key"] for _ in range(2)]
    limit = {"id": "carol", "limit": 3}
    answers = [api.status_of(key, rateLimitConfig=limit) for key in keys * 2]
    assert answers == ["VALID"] * 3 + ["RATE_LIMITED"]
    assert api.status_of(keys[0], rateLimitConfig=limit | {"id": "dave"}) == "VALID"
    assert api.status_of(keys[0]) == "VALID"
    lowered = api.verify(keys[0], rateLimitConfig=limit | {"limit": 1})
    assert (lowered["status"], lowered["rateLimit"]["remaining"]) == ("RATE_LIMITED", 0)


def test_what_fails_before_the_limit_does_not_count(api: Api) -> None:
    """A call that is refused before the rate limit is neither counted nor has a rate limit."""
    limit = {"id": "carol", "limit": 1}
    key = api.new_key(scopes=[])["key"]
    failed = api.verify(key, requestedScopes=[SCOPE], rateLimitConfig=limit)
    assert "rateLimit" not in failed
    assert api.status_of(key, rateLimitConfig=limit) == "VALID"


def test_what_fails_by_usage_counts(api: Api) -> None:
    """A call that is refused for its usage still counts towards the rate limit."""
    limit = {"id": "carol", "limit": 1}
    api.new_meter()
    key = api.new_key(externalMeterId="carol")["key"]
    failed = api.verify(key, 11, rateLimitConfig=limit)
    assert (failed["status"], failed["rateLimit"]["remaining"]) == ("USAGE_LIMITED", 0)
    assert api.status_of(key, rateLimitConfig=limit) == "RATE_LIMITED"


# --- Usage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meter", "usages", "statuses", "charged"),
    [
        ({}, [10, 0], "VL", 10),
        ({}, [11, 9, 2, 1], "LVLV", 10),
        ({}, [0], "V", 0),
        ({"totalCredits": "0"}, [0], "L", 0),
        ({"spendCap": "1"}, [10, 1], "VL", 10),
        ({"allowOverages": True}, [11, 10**30], "VV", 11 + 10**30),
        ({"allowOverages": True, "spendCap": "15"}, [10, 6, 5, 0], "VLVL", 15),
        ({"allowOverages": True, "spendCap": "5"}, [6, 5], "LV", 5),
    ],
)
def test_usage_is_charged_whole_or_not_at_all(
    api: Api, meter: dict[str, object], usages: list[int], statuses: str, charged: int
) -> None:
    """A usage is charged completely or not at all: V is VALID, L is USAGE_LIMITED."""
    api.new_meter(**meter)
    key = api.new_key(externalMeterId="carol")["key"]
    answers = []
    for usage in usages:
        before = used(api)
        answers.append(api.verify(key, usage))
        assert api.applied() == (used(api) > before)
    names = {"V": "VALID", "L": "USAGE_LIMITED"}
    assert [each["status"] for each in answers] == [names[letter] for letter in statuses]
    assert used(api) == charged
    assert answers[-1]["billing"]["usedCredits"] == str(charged)


def test_a_charge_moves_updated_at(api: Api) -> None:
    """A charge changes the meter's updatedAt; a usage of 0 changes nothing."""
    meter = api.new_meter()
    key = api.new_key(externalMeterId="carol")["key"]
    api.clock.move(seconds=1)
    assert api.verify(key)["billing"] == meter
    after = {"usedCredits": "1", "updatedAt": "2026-01-31T23:59:01.123Z"}
    assert api.verify(key, 1)["billing"] == meter | after


def test_usage_may_be_left_out(api: Api) -> None:
    """Without a usage, 0 is charged."""
    api.new_meter()
    key = api.new_key(externalMeterId="carol")["key"]
    for fields in ({"billing": {}}, {"billing": {"usageName": "x"}}):
        assert api.status_of(key, **fields) == "VALID"
    api.ask("POST /api-key/verify", {"key": key, "requestedScopes": []})
    api.ask("POST /api-key/record-usage", {"key": key})
    assert used(api) == 0


def test_a_key_without_a_meter_is_never_limited(api: Api) -> None:
    """A key without a meter is never limited, and its usage is not recorded."""
    key = api.new_key()["key"]
    answer = api.verify(key, 10**20)
    assert (answer["status"], answer["billing"]) == ("VALID", None)
    assert not api.applied()
    assert api.ask("POST /api-key/record-usage", {"key": key, "usage": "5"}) == {}
    assert not api.applied()


def test_recorded_usage_is_charged_beyond_any_limit(api: Api) -> None:
    """Recorded usage is charged whatever the limit and the status of the key."""
    api.new_meter()
    key = api.new_key(externalMeterId="carol", enabled=False, expiresAt=1)
    record = {"key": key["key"], "usage": "7"}
    assert api.ask("POST /api-key/record-usage", record) == {}
    assert api.applied()
    api.ask(f"DELETE {KEYS}/{key['id']}")
    assert api.ask("POST /api-key/record-usage", record) == {}
    assert used(api) == 14


def test_usage_of_an_unknown_key_is_404(api: Api) -> None:
    """Recording usage of an unknown key is 404, and the message does not repeat the value."""
    refusal = api.refusal("POST /api-key/record-usage", {"key": "sk_x"})
    assert refusal == (404, "there is no such API key")


def test_usage_from_many_threads_adds_up(api: Api) -> None:
    """Calls from many threads neither lose usage nor charge it twice."""
    api.new_meter(totalCredits="100")
    key = api.new_key(externalMeterId="carol")["key"]
    seen: list[str] = []

    def use() -> None:
        for _ in range(10):
            seen.append(api.status_of(key, 2))
            api.ask("POST /api-key/record-usage", {"key": key, "usage": "1"})

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 80
    assert used(api) == 80 + 2 * seen.count("VALID")
    rows = api.ask("GET /usage/carol")["data"]
    assert sum(int(row["totalBillingUsage"]) for row in rows) == used(api)


@pytest.fixture
def restless() -> Iterator[None]:
    """Make threads switch after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_the_state_itself_may_be_used_from_many_threads(restless: None) -> None:
    """State can be used from many threads, because applications may call the sandbox from any."""
    state = State()
    names = {"workspace_id": "ws_1", "external_meter_id": "acme"}
    about = {"name": "first", "scopes": (), "enabled": True, "customer_id": "c", "metadata": {}}
    value = state.keys.create(KeyRequest(**names, **about)).value

    def use() -> None:
        for _ in range(125):
            state.verification.verify(value, scopes=(), usage=1, usage_name="", rate_limit=None)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state.meters.get(**names).used_credits == 1000
