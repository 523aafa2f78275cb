"""Everything that can be called. To simulate a new operation, add a handler and a line here."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from oneloop.sandbox._calls import Operation
from oneloop.sandbox._operations import (
    _billing,
    _controls,
    _files,
    _keys,
    _tokens,
    _verification,
    _workspaces,
)
from oneloop.sandbox._operations._unsimulated import (
    operation_ids,
    shape,
    unsimulated,
)

CONTROL_PREFIX = "/_sandbox/"

_API = "/api/v1/"
_KEY = "/api/v1/workspace/{id}/api-key/{akid}"

SIMULATED = (
    Operation("POST", _API + "workspace", _workspaces.create_workspace),
    Operation("GET", _API + "workspace", _workspaces.get_workspace),
    Operation("GET", _API + "workspace/{id}", _workspaces.get_workspace_by_id),
    Operation("PATCH", _API + "workspace/{id}", _workspaces.update_workspace),
    Operation("GET", _API + "workspace/{id}/scopes", _workspaces.get_workspace_scopes, linked=True),
    Operation("POST", _API + "workspace/{id}/scope", _workspaces.create_workspace_scopes),
    Operation("POST", _API + "api-key", _keys.create_api_key, linked=True),
    Operation("POST", _API + "api-key/migrate", _keys.migrate_api_key),
    Operation("GET", _API + "workspace/{id}/api-key", _keys.get_api_keys, linked=True),
    Operation("GET", _KEY, _keys.get_api_key_by_id),
    Operation("PATCH", _KEY, _keys.edit_api_key, linked=True),
    Operation("DELETE", _KEY, _keys.delete_api_key, linked=True),
    Operation("POST", _KEY + "/rotate", _keys.rotate_api_key, linked=True),
    Operation("POST", _API + "api-key/verify", _verification.verify_api_key),
    Operation("POST", _API + "api-key/record-usage", _verification.record_api_key_usage),
    Operation("POST", _API + "customer-billing", _billing.create_customer_billing),
    Operation("GET", _API + "customer-billing", _billing.get_customer_billing),
    Operation("POST", _API + "customer-billing/refill", _billing.refill_billing_limit),
    Operation("GET", _API + "usage/{bid}", _billing.get_billing_usage),
    Operation("POST", _API + "link-token", _tokens.generate_link_token),
    Operation("GET", _API + "link-token/{token}", _tokens.validate_link_token, linked=True),
    Operation("POST", _API + "jwt", _tokens.create_jwt),
    Operation("POST", _API + "jwt/verify", _tokens.verify_jwt),
)
"""The operations of the API that work on the sandbox's state."""

CONTROLS = (
    Operation("GET", CONTROL_PREFIX + "misbehave", _controls.show_faults),
    Operation("POST", CONTROL_PREFIX + "misbehave", _controls.misbehave),
    Operation("DELETE", CONTROL_PREFIX + "misbehave", _controls.clear_faults),
    Operation("POST", CONTROL_PREFIX + "apply-late", _controls.apply_late),
    Operation("POST", CONTROL_PREFIX + "meters", _controls.create_meter),
    Operation("GET", CONTROL_PREFIX + "requests", _controls.list_requests),
    Operation("GET", CONTROL_PREFIX + "events", _controls.events),
    Operation("POST", CONTROL_PREFIX + "advance", _controls.advance),
    Operation("POST", CONTROL_PREFIX + "reset", _controls.reset),
)
"""The sandbox's own, which docs/sandbox.md describes."""

FILES = (
    Operation("GET", "/", _files.index, open=True),
    Operation("GET", CONTROL_PREFIX + "page.css", _files.style, open=True),
    Operation("GET", CONTROL_PREFIX + "page.js", _files.script, open=True),
    Operation("GET", CONTROL_PREFIX + "stream.js", _files.stream_script, open=True),
    Operation("GET", CONTROL_PREFIX + "texts.js", _files.texts_script, open=True),
    Operation("GET", "/openapi.json", _files.api_description, open=True),
    Operation("GET", CONTROL_PREFIX + "openapi.json", _files.controls_description, open=True),
)
"""The page, and the descriptions of the API and of the controls."""


def is_own(method: str, path: str) -> bool:
    """Return whether a request is to the sandbox itself, and not to the API."""
    # Browsers ask for the icon by themselves.
    is_file = path in ("/", "/openapi.json", "/favicon.ico")
    return path.startswith(CONTROL_PREFIX) or (is_file and method in ("GET", "HEAD"))


def operations(document: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Return all of them, also those that the document has and the sandbox does not simulate."""
    names = operation_ids(document)
    simulated = [evolve(one, name=names.get(shape(one.method, one.path))) for one in SIMULATED]
    return (*simulated, *CONTROLS, *FILES, *unsimulated(document, SIMULATED))
