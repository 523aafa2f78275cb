"""Meters and their usage in the sandbox's API."""

import pytest

from tests.sandbox.calls import Api

QUERY = "GET /customer-billing?workspaceId={}&externalMeterId={}"


def test_a_new_meter_has_what_it_is_given(api: Api) -> None:
    """A new meter has every documented field, and is found over HTTP and in Python."""
    made = api.new_meter(totalCredits="007", allowOverages=True, spendCap="9")
    assert api.applied()
    assert made.items() >= {
        ("totalCredits", "7"),
        ("usedCredits", "0"),
        ("allowOverages", True),
        ("spendCap", "9"),
    }
    assert made.keys() == {
        "id",
        "totalCredits",
        "usedCredits",
        "allowOverages",
        "spendCap",
        "createdAt",
        "updatedAt",
    }
    assert api.ask(QUERY.format("ws_1", "carol")) == {"billing": made}
    assert not api.applied()
    assert api.sandbox.meter(workspace_id="ws_1", external_meter_id="carol").id == made["id"]


def test_a_meter_needs_its_names_only(api: Api) -> None:
    """A meter that is created with only its names has no credits and no overages."""
    names = {"workspaceId": "ws_1", "externalMeterId": ""}
    made = api.ask("POST /customer-billing", names)["billing"]
    assert (made["totalCredits"], made["allowOverages"], made["spendCap"]) == ("0", False, None)
    assert api.ask(QUERY.format("ws_1", ""))["billing"] == made


def test_amounts_may_have_4300_digits(api: Api) -> None:
    """Amounts of 4300 digits are returned unchanged."""
    amount = "9" * 4300
    made = api.new_meter(totalCredits=amount, spendCap=amount)
    assert (made["totalCredits"], made["spendCap"]) == (amount, amount)


def test_a_meter_is_created_once(api: Api) -> None:
    """Creating a meter a second time is refused and does not change it."""
    made = api.new_meter()
    body = {"workspaceId": "ws_1", "externalMeterId": "carol"}
    message = "meter 'carol' already exists in workspace 'ws_1'"
    assert api.refusal("POST /customer-billing", body) == (400, message)
    assert not api.applied()
    assert api.ask(QUERY.format("ws_1", "carol"))["billing"] == made


@pytest.mark.parametrize(("workspace", "meter"), [("ws_1", "x"), ("ws_2", "acme"), ("", "")])
def test_an_unknown_meter_is_null(api: Api, workspace: str, meter: str) -> None:
    """An unknown meter, or any meter of an unknown workspace, is null."""
    assert api.ask(QUERY.format(workspace, meter)) == {"billing": None}


def test_a_query_is_decoded(api: Api) -> None:
    """Names in a query are decoded, even with spaces, plus signs and ampersands."""
    made = api.new_meter(externalMeterId="a b+c&d")
    assert api.ask(QUERY.format("ws_1", "a+b%2Bc%26d"))["billing"] == made


def test_usage_is_summed_by_day_and_name(api: Api) -> None:
    """Usage from verifications and records is added up per UTC day and name."""
    meter = api.new_meter(totalCredits="100")
    key = api.new_key(externalMeterId="carol")["key"]
    api.verify(key, 1)
    api.verify(key, 2, billing={"usage": "2", "usageName": "tokens"})
    record = {"key": key, "usage": "3", "usageName": "tokens"}
    api.ask("POST /api-key/record-usage", record)
    api.clock.move(seconds=59.876)
    api.ask("POST /api-key/record-usage", record)
    api.clock.move(seconds=0.001)
    api.ask("POST /api-key/record-usage", record)
    api.verify(key, 1000)
    assert rows(api, meter["id"]) == [
        ("2026-01-31", "1", ""),
        ("2026-01-31", "8", "tokens"),
        ("2026-02-01", "3", "tokens"),
    ]


def rows(api: Api, bid: str) -> list[tuple[str, str, str]]:
    """Return day, usage and name in each row of one meter."""
    data = api.ask(f"GET /usage/{bid}")["data"]
    return [(row["day"], row["totalBillingUsage"], row["billingUsageName"]) for row in data]


def test_usage_is_found_by_either_id_of_a_meter(api: Api) -> None:
    """Usage is found by a meter's id or its external id, which can match several meters."""
    ids = []
    for workspace in ("ws_1", "ws_2"):
        api.sandbox.create_meter(workspace_id=workspace, external_meter_id="both", total_credits=5)
        key = api.new_key(workspaceId=workspace, externalMeterId="both")
        ids.append(key["billingId"])
        api.verify(key["key"], 1)
    (row,) = api.ask(f"GET /usage/{ids[0]}")["data"]
    assert row == {
        "billingId": ids[0],
        "day": "2026-01-31",
        "totalBillingUsage": "1",
        "billingUsageName": "",
    }
    assert {row["billingId"] for row in api.ask("GET /usage/both")["data"]} == set(ids)


def test_there_is_no_usage_of_what_is_unknown_or_unused(api: Api) -> None:
    """An unknown meter, or one with a usage of 0, has no rows."""
    api.verify(api.new_key(externalMeterId="acme")["key"])
    key = api.new_key(externalMeterId="acme")["key"]
    api.ask("POST /api-key/record-usage", {"key": key, "usage": "0"})
    assert not api.applied()
    assert api.ask("GET /usage/acme") == {"data": []}
    assert api.ask("GET /usage/nobody") == {"data": []}


def test_usage_is_listed_by_day_and_name(api: Api) -> None:
    """Rows are sorted by day and name, whatever the order of the calls."""
    key = api.new_key(externalMeterId="acme")["key"]

    def record(name: str) -> None:
        api.ask("POST /api-key/record-usage", {"key": key, "usage": "1", "usageName": name})

    for name in ("b", "a"):
        record(name)
    api.clock.move(days=1)
    record("A")
    listed = [(day, name) for day, _, name in rows(api, "acme")]
    assert listed == [("2026-01-31", "a"), ("2026-01-31", "b"), ("2026-02-01", "A")]


def test_sums_of_usage_may_be_of_any_size(api: Api) -> None:
    """Sums of usage may be longer than the longest amount in a request."""
    api.new_meter(allowOverages=True)
    key = api.new_key(externalMeterId="carol")["key"]
    for _ in range(2):
        api.ask("POST /api-key/record-usage", {"key": key, "usage": "9" * 4300})
    twice = "1" + "9" * 4299 + "8"
    (row,) = api.ask("GET /usage/carol")["data"]
    assert row["totalBillingUsage"] == twice
    assert api.ask(QUERY.format("ws_1", "carol"))["billing"]["usedCredits"] == twice
