"""Workspaces in the sandbox, and the scopes that they define."""

import pytest

from tests.sandbox.calls import DEFAULTS, Api


def test_a_new_sandbox_has_one_workspace(api: Api) -> None:
    """The workspace of a new sandbox has every documented field, and no defaults."""
    (only,) = api.ask("GET /workspace")["workspaces"]
    times = {"createdAt": "2026-01-31T23:59:00.123Z", "updatedAt": "2026-01-31T23:59:00.123Z"}
    assert only == {"id": "ws_1", "name": "ws_1", "teamId": "team_sandbox", **DEFAULTS, **times}


def test_created_workspaces_are_listed_and_found(api: Api) -> None:
    """Workspaces are listed from oldest to newest, and two can have the same name."""
    made = [api.ask("POST /workspace", {"name": "live"})["workspace"] for _ in range(2)]
    assert api.ask("GET /workspace")["workspaces"][1:] == made
    assert api.applied() is False
    assert [api.ask(f"GET /workspace/{each['id']}")["workspace"] for each in made] == made
    assert made[0]["id"] != made[1]["id"]


def test_an_update_sets_all_defaults_at_once(api: Api) -> None:
    """An update sets all defaults and changes updatedAt."""
    api.clock.move(seconds=1)
    defaults = {
        "defaultKeyPrefix": "live",
        "defaultAllowedIPs": ["10.0.0.1"],
        "defaultRateLimitPerSecond": 5,
        "defaultExpiration": 2**53 - 1,
    }
    updated = api.set_defaults(**defaults)
    assert defaults.items() <= updated.items()
    assert (updated["name"], updated["updatedAt"]) == ("ws_1", "2026-01-31T23:59:01.123Z")
    assert api.applied()
    assert api.ask("GET /workspace/ws_1")["workspace"] == updated
    assert DEFAULTS.items() <= api.set_defaults().items()


def test_an_update_that_changes_nothing_leaves_no_trace(api: Api) -> None:
    """An update that changes nothing leaves updatedAt as it is, and is not logged as applied."""
    api.clock.move(seconds=1)
    assert api.set_defaults()["updatedAt"] == "2026-01-31T23:59:00.123Z"
    assert not api.applied()


def test_created_scopes_are_listed(api: Api) -> None:
    """Scopes are listed from oldest to newest, and their description is optional."""
    files = {"name": "Files", "representation": "files", "description": "All of them"}
    first = api.ask("POST /workspace/ws_1/scope", files)["scope"]
    second = api.ask("POST /workspace/ws_1/scope", {"name": "", "representation": ""})["scope"]
    assert api.applied()
    assert first.keys() == {*files, "id", "createdAt", "updatedAt"}
    assert files.items() <= first.items()
    assert second["description"] is None
    assert api.ask("GET /workspace/ws_1/scopes")["scopes"] == [first, second]


def test_a_representation_is_defined_once_in_a_workspace(api: Api) -> None:
    """A representation can be defined only once per workspace, but in several workspaces."""
    files = {"name": "Files", "representation": "files"}
    api.sandbox.create_meter(workspace_id="ws_2", external_meter_id="acme")
    api.ask("POST /workspace/ws_1/scope", files)
    api.ask("POST /workspace/ws_2/scope", files)
    message = "scope 'files' already exists in workspace 'ws_1'"
    assert api.refusal("POST /workspace/ws_1/scope", files | {"name": "x"}) == (400, message)
    assert not api.applied()


def test_a_meter_of_a_test_brings_its_workspace(api: Api) -> None:
    """Creating a meter through the sandbox also creates its workspace if there is none."""
    names = {"workspaceId": "ws_2", "externalMeterId": "a"}
    api.ask("POST /_sandbox/meters", names)
    api.sandbox.create_meter(workspace_id="ws_1", external_meter_id="a")
    listed = api.ask("GET /workspace")["workspaces"]
    assert [(each["id"], each["name"]) for each in listed] == [("ws_1", "ws_1"), ("ws_2", "ws_2")]


def test_a_meter_that_is_refused_brings_no_workspace(api: Api) -> None:
    """If a meter is refused, its workspace is not created."""
    with pytest.raises(ValueError, match="not negative"):
        api.sandbox.create_meter(workspace_id="x", external_meter_id="y", total_credits=-1)
    assert len(api.ask("GET /workspace")["workspaces"]) == 1
