"""Changed versions of our own document: small edits, and what is to be reported about each."""

# ruff: noqa: E501, D103 - lines of reports stand here as they are printed; edits need no docstrings

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]
Edit = Callable[[Document], object]


def schema(document: Document, name: str) -> Any:
    """Return a schema of the document's components."""
    return document["components"]["schemas"][name]


def answer(of: Any) -> Document:
    """Return an answer of an operation in JSON."""
    return {"description": "The answer", "content": {"application/json": {"schema": of}}}


# --- fields ---------------------------------------------------------------------------------------


def field_added(document: Document) -> None:
    schema(document, "CustomerBillingMeter")["properties"]["currency"] = {"type": "string"}


def argument_added(document: Document) -> None:
    schema(document, "RefillCustomerBillingMeterRequest")["properties"]["note"] = {"type": "string"}


def field_removed(document: Document) -> None:
    del schema(document, "CreateApiKeyRequest")["properties"]["prefix"]


def field_renamed(document: Document) -> None:
    fields = schema(document, "CreateCustomerBillingMeterRequest")["properties"]
    fields["spendLimit"] = fields.pop("spendCap")


def field_retyped(document: Document) -> None:
    schema(document, "Workspace")["properties"]["teamId"] = {"type": "integer"}


def field_made_required(document: Document) -> None:
    schema(document, "MigrateApiKeyRequest")["required"].append("metadata")


def field_nullable(document: Document) -> None:
    schema(document, "CustomerBillingMeter")["properties"]["usedCredits"]["nullable"] = True


def bound_added(document: Document) -> None:
    schema(document, "RefillCustomerBillingMeterRequest")["properties"]["refill"]["maximum"] = 1000


def enum_value_added(document: Document) -> None:
    schema(document, "VerifyApiKeyResponse")["properties"]["status"]["enum"].append("SUSPENDED")


# --- operations -----------------------------------------------------------------------------------


def operation_added(document: Document) -> None:
    document["paths"]["/api/v1/customer-billing/{bid}/limits"] = {
        "get": {
            "operationId": "getSpendLimits",
            "summary": "Get spend limits",
            "parameters": [
                {"name": "bid", "in": "path", "required": True, "schema": {"type": "string"}}
            ],
            "responses": {"200": answer({"$ref": "#/components/schemas/CustomerBillingMeter"})},
        }
    }


def operation_removed(document: Document) -> None:
    del document["paths"]["/api/v1/jwt/verify"]


def operation_renamed(document: Document) -> None:
    operation(document, "rotateApiKey")["operationId"] = "renewApiKey"


def operation_moved(document: Document) -> None:
    paths = document["paths"]
    paths["/api/v2/refill"] = paths.pop("/api/v1/customer-billing/refill")


def operation(document: Document, name: str) -> Any:
    """Return an operation of the document."""
    items = document["paths"].values()
    return next(one for item in items for one in item.values() if one["operationId"] == name)


def status_added(document: Document) -> None:
    error = answer({"$ref": "#/components/schemas/ErrorResponse"})
    operation(document, "refillBillingLimit")["responses"]["409"] = error


def empty_answer_added(document: Document) -> None:
    operation(document, "deleteApiKey")["responses"]["204"] = {"description": "Deleted before"}


def list_parameter_added(document: Document) -> None:
    listed = {"type": "array", "items": {"type": "string"}}
    parameter = {"name": "ids", "in": "query", "explode": False, "schema": listed}
    operation(document, "getWorkspace").setdefault("parameters", []).append(parameter)


def form_added(document: Document) -> None:
    form = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
    document["paths"]["/api/v1/label"] = {
        "post": {
            "operationId": "setLabel",
            "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": form}}},
            "responses": {"200": answer({"$ref": "#/components/schemas/Workspace"})},
        }
    }


def union_added(document: Document) -> None:
    for name in ("user", "team"):
        document["components"]["schemas"][f"{name.title()}Owner"] = {
            "type": "object",
            "properties": {"kind": {"type": "string", "enum": [name]}, "id": {"type": "string"}},
            "required": ["kind", "id"],
        }
    owners = [{"$ref": f"#/components/schemas/{name}Owner"} for name in ("User", "Team")]
    schema(document, "CustomerBillingMeter")["properties"]["owner"] = {"oneOf": owners}


# --- quirks and the document as a whole -----------------------------------------------------------


def pattern_fixed(document: Document) -> None:
    for field in schema(document, "CustomerBillingMeter")["properties"].values():
        if field.get("pattern") == "^d+$":
            field["pattern"] = r"^\d+$"


def quirk_in_a_new_field(document: Document) -> None:
    field = {"type": "string", "pattern": "^d+$"}
    schema(document, "CustomerBillingMeter")["properties"]["reservedCredits"] = field


def quirk_without_override(document: Document) -> None:
    field = {"type": "string", "pattern": "^w+$"}
    schema(document, "CustomerBillingMeter")["properties"]["label"] = field


def openapi_3_1(document: Document) -> None:
    document["openapi"] = "3.1.0"
    waiting: list[Any] = [document]
    while waiting:
        part = waiting.pop()
        waiting += part.values() if isinstance(part, dict) else part
        waiting = [one for one in waiting if isinstance(one, dict | list)]
        if isinstance(part, dict):
            if part.get("nullable") is True:
                del part["nullable"]
                part["type"] = [part["type"], "null"]
            if part.get("exclusiveMinimum") is True:
                part["exclusiveMinimum"] = part.pop("minimum")


def server_changed(document: Document) -> None:
    document["servers"] = [{"url": "https://api.oneloop.ai"}]


def security_changed(document: Document) -> None:
    scheme = {"type": "apiKey", "in": "header", "name": "X-Api-Key"}
    document["components"]["securitySchemes"]["bearerAuth"] = scheme


EXPECTED: dict[Edit, tuple[str | None, list[str], list[str]]] = {
    field_added: (
        "patch",
        [
            "**added** `models.CustomerBillingMeter.currency`: `str | None`",
            "**added** field `currency`: `string, optional`",
        ],
        [],
    ),
    argument_added: (
        "patch",
        [
            "**added** `client.refill_billing_limit(note=)`: `str | None`",
            "**added** field `note`: `string, optional`",
        ],
        [],
    ),
    field_removed: (
        "minor",
        [
            "**broken** `client.create_api_key(prefix=)` removed: `str | None`",
            "**broken** field `prefix` removed: `string, optional`",
        ],
        [],
    ),
    field_renamed: (
        "minor",
        [
            "**broken** `client.create_customer_billing(spend_cap=)` removed: `int | None`",
            "**added** `client.create_customer_billing(spend_limit=)`: `int | None`",
            "**broken** field `spendCap` probably renamed to `spendLimit`",
        ],
        [],
    ),
    field_retyped: (
        "minor",
        [
            "**broken** `models.Workspace.team_id`: type `str` -> `int`",
            "**broken** field `teamId`: type `string` -> `integer`",
        ],
        [],
    ),
    field_made_required: (
        "minor",
        [
            "**broken** `client.migrate_api_key(metadata=)`: `optional` -> `required`",
            "**broken** field `metadata`: `optional` -> `required`",
        ],
        [],
    ),
    field_nullable: (
        "minor",
        [
            "**broken** `models.CustomerBillingMeter.used_credits`: type `int` -> `int | None`",
            "**broken** field `usedCredits`: `never null` -> `may be null`",
        ],
        [],
    ),
    bound_added: ("minor", ["**broken** field `refill`: maximum `9007199254740991` -> `1000`"], []),
    enum_value_added: (
        "patch",
        [
            "**added** `models.VerificationStatus.SUSPENDED`",
            "**added** field `status`: enum value `SUSPENDED` added",
        ],
        [],
    ),
    operation_added: (
        "patch",
        [
            "**added** `client.get_spend_limits()`",
            "**added** operation `getSpendLimits`: `GET /api/v1/customer-billing/{bid}/limits`",
        ],
        [],
    ),
    operation_removed: (
        "minor",
        [
            "**broken** `client.verify_jwt()` removed",
            "**broken** `models.JwtStatus` removed",
            "**broken** `models.VerifyJwtResponse` removed",
            "**broken** operation `verifyJwt` removed: `POST /api/v1/jwt/verify`",
        ],
        [
            "unnamed-jwt-status",
            "undescribed-jwt-limit",
            "undescribed-interval",
            "provenance-verifyJwt",
        ],
    ),
    operation_renamed: (
        "minor",
        [
            "**broken** `client.rotate_api_key()` removed",
            "**added** `client.renew_api_key()`",
            "**broken** operation `rotateApiKey` probably renamed to `renewApiKey`",
        ],
        ["undescribed-rotate", "provenance-rotateApiKey"],
    ),
    operation_moved: (
        "patch",
        [
            "**changed** operation: place `POST /api/v1/customer-billing/refill` -> `POST /api/v2/refill`"
        ],
        [],
    ),
    status_added: ("patch", ["**added** status `409`: `application/json`"], []),
    empty_answer_added: (
        "minor",
        [
            "**broken** `client.delete_api_key()`: returns `DeleteApiKeyResponse` -> `DeleteApiKeyResponse | None`",
            "**added** status `204`",
        ],
        [],
    ),
    list_parameter_added: (
        "patch",
        [
            "**added** `client.get_workspace(ids=)`: `Sequence[str] | None`",
            "**added** query parameter `ids`: `array of string, optional`",
        ],
        [],
    ),
    form_added: (
        "patch",
        ["**added** `client.set_label()`", "**added** operation `setLabel`: `POST /api/v1/label`"],
        [],
    ),
    union_added: (
        "patch",
        [
            "**added** `models.CustomerBillingMeter.owner`: `UserOwner | TeamOwner | UnknownObject | None`",
            "**added** `models.TeamOwner`",
            "**added** `models.TeamOwnerKind`",
            "**added** `models.UserOwner`",
            "**added** `models.UserOwnerKind`",
            "**added** field `owner`: `UserOwner | TeamOwner, optional`",
            "**added** component `UserOwner`: `object`",
            "**added** component `TeamOwner`: `object`",
        ],
        [],
    ),
    pattern_fixed: (None, [], ["lost-backslash"]),
    quirk_in_a_new_field: (
        "patch",
        [
            "**added** `models.CustomerBillingMeter.reserved_credits`: `int | None`",
            "**added** field `reservedCredits`: `string (digits), optional`",
        ],
        [],
    ),
    quirk_without_override: (
        "patch",
        [
            "**added** `models.CustomerBillingMeter.label`: `str | None`",
            "**added** field `label`: `string, optional`",
        ],
        [],
    ),
    openapi_3_1: (None, ["**neutral** document: OpenAPI `3.0.0` -> `3.1.0`"], []),
    server_changed: (
        "patch",
        ["**changed** document: servers `https://prod.oneloop.ai` -> `https://api.oneloop.ai`"],
        [],
    ),
    security_changed: (
        "minor",
        [
            "**broken** security scheme `bearerAuth`: type `http bearer` -> `apiKey header X-Api-Key`"
        ],
        [],
    ),
}
"""By edit: the bump, the lines of the report, and the stale overrides."""
