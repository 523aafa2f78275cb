"""Changed versions of our own document: what is reported, and how the new package behaves.

The edits are in versions.py, with what is reported about each.
"""

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
from tests.codegen.versions import (
    EXPECTED,
    Document,
    Edit,
    argument_added,
    bound_added,
    empty_answer_added,
    enum_value_added,
    field_added,
    field_made_required,
    field_nullable,
    field_removed,
    field_renamed,
    field_retyped,
    form_added,
    list_parameter_added,
    openapi_3_1,
    operation_added,
    operation_moved,
    operation_removed,
    operation_renamed,
    pattern_fixed,
    quirk_in_a_new_field,
    quirk_without_override,
    security_changed,
    server_changed,
    union_added,
)
from tests.tools.changes import generated, ours, page

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


@pytest.mark.parametrize("edit", EXPECTED, ids=lambda edit: edit.__name__)
def test_a_changed_version_is_reported(edit: Edit, make: Make) -> None:
    """The report names what changed in the API and in the document; the bump follows from it."""
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
        known = ("document.json", "manifest.json", "client.py", "spec.py")
        assert [line for line in different if not line.endswith(known)] == []


def test_the_server_and_the_credential(make: Make) -> None:
    """The clients of a package call the server of its document, with its credential."""
    client = make(server_changed).module("client")
    assert [*client.SERVERS.values()] == ["https://api.oneloop.ai"]
    schemes = make(security_changed).module("client").API.schemes
    assert ("header", "X-Api-Key") in [(one.place, one.name) for one in schemes.values()]


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
