"""Changed versions of our own document: what is reported, and how the new package behaves.

Each edit is named by its function. `EXPECTED` has what is reported about it.
"""

# ruff: noqa: E501, D103 - lines of reports stand here as they are printed; edits need no docstrings

import copy
import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from attrs import frozen

from codegen import _document, _project
from codegen._changes import Changes, Side, compare
from codegen._tree import differences
from oneloop_core import ArgumentError
from tests import ROOT
from tests.tools.changes import generated, ours, page

Document = dict[str, Any]
METER = {
    "id": "cbm_1",
    "totalCredits": "1500",
    "usedCredits": "7",
    "allowOverages": False,
    "spendCap": None,
    "createdAt": "2026-11-23T10:15:00Z",
    "updatedAt": "2026-11-23T10:15:00Z",
}
NUMBERS = count()


@frozen
class Version:
    """A version of the document, the package made from it, and the comparison with ours."""

    package: Path
    changes: Changes
    stale: list[str]

    def module(self, name: str) -> Any:
        """Import a module of the package."""
        return importlib.import_module(f"{self.package.name}.{name}")

    def call(self, operation: str, /, **arguments: Any) -> Any:
        """Check and encode a call of an operation."""
        return self.module(f"api.v1.{operation}").call(**arguments)

    def body(self, operation: str, /, **arguments: Any) -> Any:
        """Return the JSON that a call sends."""
        return json.loads(self.call(operation, **arguments).body)

    def meter(self, **more: Any) -> Any:
        """Read a meter that an answer contains."""
        return self.module("models").CustomerBillingMeter.from_dict({**METER, **more})

    @property
    def lines(self) -> list[str]:
        """The changes in the report, those of the Python API first, without headings."""
        return re.findall(r"^- (\*\*.*)$", self.changes.markdown(), re.MULTILINE)


Edit = Callable[[Document], object]
Make = Callable[[Edit], Version]


@pytest.fixture(scope="module")
def published() -> Document:
    """Return our document as published."""
    return _document.read_document(_project.DOCUMENT)


@pytest.fixture(scope="module")
def make(published: Document, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Return a function that edits the document and generates a package, once for each edit."""
    folder, made, old = tmp_path_factory.mktemp("versions"), dict[Edit, Version](), ours()
    sys.path.insert(0, str(folder))

    def version(edit: Edit) -> Version:
        if edit not in made:
            package = folder / f"changed_{next(NUMBERS)}"
            document = copy.deepcopy(published)
            edit(document)
            patched, stale = generated(document, package)
            changes = compare(old, Side(edit.__name__, patched, package))
            made[edit] = Version(package, changes, stale)
        return made[edit]

    yield version
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.startswith("changed_")]:
        del sys.modules[name]


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


@pytest.mark.parametrize("edit", EXPECTED, ids=lambda edit: edit.__name__)
def test_a_changed_version_is_reported(edit: Edit, make: Make) -> None:
    """The report names what changed in the API and in the document, and the bump follows from it."""
    bump, lines, stale = EXPECTED[edit]
    version = make(edit)
    assert (version.lines, version.changes.bump) == (lines, bump)
    assert version.stale == stale


# --- how the packages behave ----------------------------------------------------------------------


def test_fields_of_answers(make: Make) -> None:
    """Fields that are new, of another type, or nullable are read as the document says."""
    assert make(field_added).meter(currency="EUR").currency == "EUR"
    assert make(field_added).meter().currency is None
    assert make(field_nullable).meter(usedCredits=None).used_credits is None
    assert make(quirk_in_a_new_field).meter(reservedCredits="12").reserved_credits == 12
    workspace = {
        "id": "ws_1",
        "name": "One",
        "teamId": 7,
        "defaultKeyPrefix": None,
        "defaultAllowedIPs": [],
        "defaultRateLimitPerSecond": None,
        "defaultExpiration": None,
        "createdAt": METER["createdAt"],
        "updatedAt": METER["updatedAt"],
    }
    assert make(field_retyped).module("models").Workspace.from_dict(workspace).team_id == 7


def test_fields_of_requests(make: Make) -> None:
    """Arguments follow the fields of a request."""
    refill = partial(dict, workspace_id="ws_1", external_meter_id="acme")
    body = make(argument_added).body("refill_billing_limit", **refill(refill=5, note="gift"))
    assert body["note"] == "gift"
    with pytest.raises(ArgumentError, match="at most 1000"):
        make(bound_added).call("refill_billing_limit", **refill(refill=1001))
    body = make(field_renamed).body(
        "create_customer_billing", external_meter_id="acme", workspace_id="ws_1", spend_limit=10
    )
    assert body["spendLimit"] == "10"
    with pytest.raises(TypeError, match="prefix"):
        make(field_removed).call("create_api_key", prefix="pk")
    with pytest.raises(TypeError, match="metadata"):
        make(field_made_required).call("migrate_api_key")


def test_values_of_enums(make: Make) -> None:
    """A new value of an enum gets a name; our package reads it without one."""
    name = "SUSPENDED"
    assert make(enum_value_added).module("models").VerificationStatus(name).name == name
    ours = importlib.import_module("oneloop_api.models").VerificationStatus
    assert ours(name) == name
    assert name not in ours.__members__


def test_operations(make: Make) -> None:
    """Operations that were added, moved, renamed or removed."""
    target = make(operation_added).call("get_spend_limits", billing_id="a/b").target
    assert target == "/api/v1/customer-billing/a%2Fb/limits"
    arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 5}
    assert (
        make(operation_moved).call("refill_billing_limit", **arguments).target == "/api/v2/refill"
    )
    assert (
        make(operation_renamed).call("renew_api_key", workspace_id="ws_1", api_key_id="ak_1").target
    )
    with pytest.raises(ModuleNotFoundError):
        make(operation_removed).module("api.v1.verify_jwt")


def test_other_forms_of_arguments(make: Make) -> None:
    """A list that is written with commas, and a form."""
    assert (
        make(list_parameter_added).call("get_workspace", ids=["a", "b"]).target.endswith("?ids=a,b")
    )
    call = make(form_added).call("set_label", label="a b&c")
    assert call.content_type == "application/x-www-form-urlencoded"
    assert parse_qs(call.body.decode()) == {"label": ["a b&c"]}


def test_other_answers(make: Make) -> None:
    """A union is read as the class that fits, and an answer without a body as None."""
    version = make(union_added)
    for name in ("User", "Team"):
        owner = version.meter(owner={"kind": name.lower(), "id": "o_1"}).owner
        assert isinstance(owner, getattr(version.module("models"), f"{name}Owner"))
    operation = make(empty_answer_added).module("api.v1.delete_api_key").OPERATION
    assert [one.reads for one in operation.answers if one.lowest == 204] == ["nothing"]


def test_versions_that_change_nothing_for_applications(make: Make) -> None:
    """What is spelled in another way, or is now right without an override, gives the same code."""
    for edit in (openapi_3_1, pattern_fixed):
        different = differences(_project.PACKAGE, make(edit).package)
        known = ("document.json", "manifest.json", "client.py")
        assert [line for line in different if not line.endswith(known)] == []


def test_the_server_and_the_credential(make: Make) -> None:
    """The clients of a package call the server of its document, with its credential."""
    client = make(server_changed).module("client")
    assert [*client.SERVERS.values()] == ["https://api.oneloop.ai"]
    schemes = make(security_changed).module("client").API.schemes
    assert ("header", "X-Api-Key") in [(one.place, one.name) for one in schemes]


def test_a_quirk_that_no_override_covers(make: Make) -> None:
    """A new field with a known quirk is reported, with the overlay that would fix it."""
    report = make(quirk_without_override).changes
    (quirk,) = report.quirks
    assert quirk.place == ("components", "schemas", "CustomerBillingMeter", "properties", "label")
    assert "      - x-quirk: lost-backslash" in report.markdown()
    assert not make(quirk_in_a_new_field).changes.quirks


def test_the_page_with_the_example_is_up_to_date() -> None:
    """docs/changes.md is what scripts/changes prints."""
    assert (ROOT / "docs" / "changes.md").read_text(encoding="utf-8") == page()
