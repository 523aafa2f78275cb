"""Workspaces and the scopes that they define."""

from oneloop.sandbox._answers import Answer, json_answer
from oneloop.sandbox._bodies import workspace_json, workspace_scope_json
from oneloop.sandbox._calls import Call
from oneloop.sandbox._fields import array_of, body_fields, nullable, positive_integer, string
from oneloop.sandbox._state import State, WorkspaceSettings


def create_workspace(state: State, call: Call) -> Answer:
    """Serve createWorkspace."""
    workspace = state.workspaces.create(body_fields(call).required("name", string))
    return json_answer(200, {"workspace": workspace_json(workspace)}, applied=True)


def get_workspace(state: State, _: Call) -> Answer:
    """Serve getWorkspace, which lists all workspaces."""
    return json_answer(
        200, {"workspaces": [workspace_json(each) for each in state.workspaces.all()]}
    )


def get_workspace_by_id(state: State, call: Call) -> Answer:
    """Serve getWorkspaceById."""
    workspace = state.workspaces.get(call.path_params["id"])
    return json_answer(200, {"workspace": workspace_json(workspace)})


def update_workspace(state: State, call: Call) -> Answer:
    """Serve updateWorkspace."""
    fields = body_fields(call)
    settings = WorkspaceSettings(
        default_key_prefix=fields.required("defaultKeyPrefix", nullable(string)),
        default_allowed_ips=fields.required("defaultAllowedIPs", array_of(string)),
        default_rate_limit_per_second=fields.required(
            "defaultRateLimitPerSecond", nullable(positive_integer)
        ),
        default_expiration=fields.required("defaultExpiration", nullable(positive_integer)),
    )
    workspace, changed = state.workspaces.update(call.path_params["id"], settings)
    return json_answer(200, {"workspace": workspace_json(workspace)}, applied=changed)


def get_workspace_scopes(state: State, call: Call) -> Answer:
    """Serve getWorkspaceScopes."""
    scopes = state.workspaces.scopes(call.path_params["id"])
    return json_answer(200, {"scopes": [workspace_scope_json(scope) for scope in scopes]})


def create_workspace_scopes(state: State, call: Call) -> Answer:
    """Serve createWorkspaceScopes, which creates one scope."""
    fields = body_fields(call)
    scope = state.workspaces.create_scope(
        call.path_params["id"],
        name=fields.required("name", string),
        representation=fields.required("representation", string),
        description=fields.optional("description", string, None),
    )
    return json_answer(200, {"scope": workspace_scope_json(scope)}, applied=True)
