"""API keys: creating, listing, editing, rotating and deleting them."""

from attrs import evolve
from starlette.exceptions import HTTPException

from oneloop.sandbox._answers import Answer, json_answer
from oneloop.sandbox._bodies import issued_key_json, key_json
from oneloop.sandbox._calls import Call
from oneloop.sandbox._fields import (
    Fields,
    array_of,
    body_fields,
    boolean,
    nested,
    positive_integer,
    refuse,
    string,
    string_map,
)
from oneloop.sandbox._state import IssuedKey, Key, KeyRequest, KeyScope, Link, State


def create_api_key(state: State, call: Call) -> Answer:
    """Serve createApiKey."""
    fields = body_fields(call)
    request = KeyRequest(
        name=fields.required("name", string),
        workspace_id=fields.required("workspaceId", string),
        prefix=fields.optional("prefix", string, None),
        expires_at=fields.optional("expiresAt", positive_integer, None),
        scopes=fields.required("scopes", array_of(_inline_scope)),
        enabled=fields.required("enabled", boolean),
        customer_id=fields.required("customerId", string),
        external_meter_id=fields.optional("externalMeterId", string, None),
        metadata=fields.optional("metadata", string_map, dict[str, str]()),
    )
    if call.link is not None:
        request = _within(call.link, request)
    return _issued(state.keys.create(request))


def migrate_api_key(state: State, call: Call) -> Answer:
    """Serve migrateApiKey."""
    fields = body_fields(call)
    value = fields.required("key", string)
    if not value:
        refuse("key", "a string that is not empty")
    request = KeyRequest(
        name=fields.required("name", string),
        workspace_id=fields.required("workspaceId", string),
        scopes=fields.required("scopes", array_of(_inline_scope)),
        enabled=fields.required("enabled", boolean),
        customer_id=fields.required("customerId", string),
        metadata=fields.optional("metadata", string_map, dict[str, str]()),
    )
    return _issued(state.keys.migrate(request, value))


def get_api_keys(state: State, call: Call) -> Answer:
    """Serve getApiKeys."""
    keys = state.keys.in_workspace(call.path_params["id"], _customer(call))
    return json_answer(200, {"apiKeys": [key_json(key) for key in keys]})


def get_api_key_by_id(state: State, call: Call) -> Answer:
    """Serve getApiKeyById."""
    return json_answer(200, {"apiKey": key_json(_key(state, call))})


def edit_api_key(state: State, call: Call) -> Answer:
    """Serve editApiKey."""
    fields = body_fields(call)
    name = fields.optional("name", string, None)
    enabled = fields.optional("enabled", boolean, None)
    scopes = fields.optional("scopes", array_of(key_scope), None)
    key, changed = state.keys.edit(_key(state, call), name=name, enabled=enabled, scopes=scopes)
    return json_answer(200, {"apiKey": key_json(key)}, applied=changed)


def delete_api_key(state: State, call: Call) -> Answer:
    """Serve deleteApiKey."""
    key, changed = state.keys.delete(_key(state, call))
    return json_answer(200, {"apiKey": key_json(key)}, applied=changed)


def rotate_api_key(state: State, call: Call) -> Answer:
    """Serve rotateApiKey."""
    return _issued(state.keys.rotate(_key(state, call)))


def key_scope(path: str, value: object) -> KeyScope:
    """Read an ApiKeyScope."""
    fields = nested(path, value)
    return _scope(fields, fields.optional("id", string, None))


def _inline_scope(path: str, value: object) -> KeyScope:
    """Read a scope of a new key, which has no id in the document."""
    return _scope(nested(path, value), None)


def _scope(fields: Fields, scope_id: str | None) -> KeyScope:
    return KeyScope(
        id=scope_id,
        representation=fields.required("representation", string),
        create=fields.required("create", boolean),
        read=fields.required("read", boolean),
        update=fields.required("update", boolean),
        delete=fields.required("del", boolean),
    )


def _within(link: Link, request: KeyRequest) -> KeyRequest:
    """Return the request restricted to the customer and the meter of a link token."""
    asked = (request.workspace_id, request.customer_id)
    if asked != (link.workspace_id, link.customer_id):
        raise HTTPException(403)
    if request.external_meter_id not in (None, link.external_billing_id):
        raise HTTPException(403)
    return evolve(request, external_meter_id=link.external_billing_id)


def _key(state: State, call: Call) -> Key:
    return state.keys.get(call.path_params["id"], call.path_params["akid"], _customer(call))


def _customer(call: Call) -> str | None:
    return None if call.link is None else call.link.customer_id


def _issued(issued: IssuedKey) -> Answer:
    return json_answer(200, {"apiKey": issued_key_json(issued)}, applied=True)
