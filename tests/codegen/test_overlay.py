"""The overlay: an action fixes a quirk wherever it occurs, and fails once the quirk is gone."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest

from codegen._document import check_document, patch, read_actions, read_document
from codegen._errors import GenerationError
from codegen._views.operations import CERTAINTIES
from tests import ROOT

FIXES = read_actions(ROOT / "overrides" / "overlay.yaml")
ANNOTATIONS = read_actions(ROOT / "overrides" / "annotations.yaml")
ACTIONS = [*FIXES, *ANNOTATIONS]
QUIRKS = [action["x-quirk"] for action in ACTIONS]
DOCUMENT = read_document(ROOT / "openapi.yaml")
REFILL = ("paths", "/api/v1/customer-billing/refill", "post")
SCHEMAS = ("components", "schemas")
METER = (*SCHEMAS, "CustomerBillingMeter")
REQUEST = (*SCHEMAS, "RefillCustomerBillingMeterRequest")
ERROR_CODE = (*SCHEMAS, "ErrorResponse", "properties", "error", "properties", "code")
USAGE = (*SCHEMAS, "RetrieveCustomerBillingMeterUsageResponse", "properties", "data", "items")
KEY = (*SCHEMAS, "ApiKey")
KEPT = [
    "id",
    "name",
    "maskedKey",
    "prefix",
    "expiresAt",
    "scopes",
    "enabled",
    "customerId",
    "deleted",
]
VERIFIED = (*SCHEMAS, "VerifyApiKeyResponse")
NEW_KEY_SCOPES = (*SCHEMAS, "CreateApiKeyRequest", "properties", "scopes")
ROTATE = ("paths", "/api/v1/workspace/{id}/api-key/{akid}/rotate", "post")
JSON = ("content", "application/json", "schema")
JWT = ("paths", "/api/v1/jwt/verify", "post", "responses", "200", *JSON)
MISSING = object()
Change = tuple[tuple[Any, ...], Any, Any]


def at(document: Any, place: tuple[Any, ...]) -> Any:
    """Return the part of a document at `place`, or MISSING."""
    for key in place:
        if isinstance(document, dict) and key not in document:
            return MISSING
        document = document[key]
    return document


# For each quirk: the least number of places that its action changes, and one of these places with
# its value as published and as fixed.
SHOWN: dict[str, tuple[int, tuple[Any, ...], Any, Any]] = {
    "lost-backslash": (3, (*METER, "properties", "spendCap", "pattern"), "^d+$", r"^\d+$"),
    "digit-strings": (7, (*METER, "properties", "totalCredits", "format"), MISSING, "digits"),
    "untyped-usage": (1, (*USAGE, "properties", "totalBillingUsage", "format"), MISSING, "digits"),
    "unsafe-integers": (16, (*REQUEST, "properties", "refill", "maximum"), MISSING, 2**53 - 1),
    "fractional-error-code": (1, (*ERROR_CODE, "type"), "number", "integer"),
    "untyped-creation-time": (4, (*KEY, "properties", "createdAt", "format"), MISSING, "date-time"),
    "untyped-update-time": (4, (*KEY, "properties", "updatedAt", "format"), MISSING, "date-time"),
    "untyped-last-use": (1, (*KEY, "properties", "lastUsedAt", "format"), MISSING, "date-time"),
    "optional-bodies": (13, (*REFILL, "requestBody", "required"), MISSING, True),
    "optional-refill-amount": (
        1,
        (*REQUEST, "required"),
        ["workspaceId", "externalMeterId"],
        ["workspaceId", "externalMeterId", "refill"],
    ),
    "unconfirmed-key-fields": (
        1,
        (*KEY, "required"),
        [*KEPT, "createdAt", "updatedAt", "lastUsedAt", "billingId"],
        [*KEPT, "createdAt", "updatedAt"],
    ),
    "unconfirmed-verification-fields": (
        1,
        (*VERIFIED, "required"),
        DOCUMENT["components"]["schemas"]["VerifyApiKeyResponse"]["required"],
        ["status"],
    ),
    "unconfirmed-key-id": (1, (*VERIFIED, "properties", "apiKeyId", "nullable"), MISSING, True),
    "inline-scopes": (
        2,
        (*NEW_KEY_SCOPES, "items"),
        at(DOCUMENT, (*NEW_KEY_SCOPES, "items")),
        MISSING,
    ),
    "inline-scopes-reference": (
        2,
        (*NEW_KEY_SCOPES, "items"),
        MISSING,
        {"$ref": "#/components/schemas/ApiKeyScope"},
    ),
    "unmarked-secrets": (
        9,
        (*SCHEMAS, "VerifyApiKeyRequest", "properties", "key", "format"),
        MISSING,
        "password",
    ),
    "unmarked-secret-parameters": (
        1,
        ("paths", "/api/v1/link-token/{token}", "get", "parameters", 0, "schema", "format"),
        MISSING,
        "password",
    ),
    "abbreviated-right": (
        1,
        (*SCHEMAS, "ApiKeyScope", "properties", "del", "x-python-name"),
        MISSING,
        "delete",
    ),
    "cryptic-id": (
        9,
        (*ROTATE, "parameters", 0, "schema", "x-python-name"),
        MISSING,
        "workspace_id",
    ),
    "cryptic-akid": (
        4,
        (*ROTATE, "parameters", 1, "schema", "x-python-name"),
        MISSING,
        "api_key_id",
    ),
    "cryptic-bid": (
        1,
        ("paths", "/api/v1/usage/{bid}", "get", "parameters", 0, "schema", "x-python-name"),
        MISSING,
        "billing_id",
    ),
    "unnamed-issued-key": (
        6,
        (*SCHEMAS, "RotateApiKeyResponse", "properties", "apiKey", "x-python-class"),
        MISSING,
        "IssuedApiKey",
    ),
    "unnamed-daily-usage": (2, (*USAGE, "x-python-class"), MISSING, "DailyUsage"),
    "unnamed-rate-limit": (
        2,
        (*VERIFIED, "properties", "rateLimit", "x-python-class"),
        MISSING,
        "RateLimit",
    ),
    "unnamed-verification-status": (
        2,
        (*VERIFIED, "properties", "status", "x-python-class"),
        MISSING,
        "VerificationStatus",
    ),
    "unnamed-jwt-status": (
        2,
        (*JWT, "properties", "status", "x-python-class"),
        MISSING,
        "JwtStatus",
    ),
    "no-validity-flag": (2, (*JWT, "x-python-flags"), MISSING, {"is_valid": {"status": "VALID"}}),
    "repeatable-update": (
        1,
        ("paths", "/api/v1/workspace/{id}", "patch", "x-safe-to-repeat"),
        MISSING,
        "It sets every setting to the value given, so that sent twice it leaves what it leaves sent"
        " once.",
    ),
    "untagged-operations": (23, (*REFILL, "tags"), MISSING, ["v1"]),
}

TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
DIGITS = {"type": "string", "pattern": "^d+$"}
GOOD_DIGITS = {"type": "string", "pattern": r"^\d+$"}
FIXED_DIGITS = {**GOOD_DIGITS, "format": "digits"}
JSON_BODY = {"content": {"application/json": {"schema": {"type": "boolean"}}}}
NO_ANSWER = {"204": {"description": "Done"}}


def operation(**more: Any) -> dict[str, Any]:
    """Return a path item with one new operation."""
    return {"put": {"operationId": "new", "responses": NO_ANSWER, **more}}


def fields(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these fields, or the expected part of one."""
    return {"properties": properties}


MISSING_FLAGS = {"x-python-flags": MISSING}

# The same quirks in parts that the document does not have yet: (place, new part, fixed part).
NEW: dict[str, list[tuple[tuple[Any, ...], Any, Any]]] = {
    "lost-backslash": [
        ((*METER, "properties", "bonusCredits"), DIGITS, FIXED_DIGITS),
        ((*SCHEMAS, "Credits"), DIGITS, FIXED_DIGITS),
        ((*SCHEMAS, "List"), {"type": "array", "items": DIGITS}, {"items": FIXED_DIGITS}),
        ((*SCHEMAS, "One"), {"oneOf": [DIGITS]}, {"oneOf": [FIXED_DIGITS]}),
        (
            ("paths", "/new"),
            operation(parameters=[{"name": "n", "in": "query", "schema": DIGITS}]),
            {"put": {"parameters": [{"name": "n", "in": "query", "schema": FIXED_DIGITS}]}},
        ),
    ],
    "digit-strings": [((*METER, "properties", "bonusCredits"), GOOD_DIGITS, FIXED_DIGITS)],
    "unsafe-integers": [
        ((*SCHEMAS, "Amount"), {"type": "integer"}, {"maximum": 2**53 - 1}),
        ((*SCHEMAS, "Small"), {"type": "integer", "maximum": 5}, {"maximum": 5}),
    ],
    "fractional-error-code": [
        (
            (*SCHEMAS, "Failure"),
            {"type": "object", "properties": {"error": {"properties": {"code": {}}}}},
            {"properties": {"error": {"properties": {"code": {"type": "integer"}}}}},
        )
    ],
    "untyped-creation-time": [
        ((*SCHEMAS, "New"), fields(createdAt=TEXT), fields(createdAt={"format": "date-time"})),
        (
            (*SCHEMAS, "New"),
            fields(createdAt={**TEXT, "format": "date"}),
            fields(createdAt={"format": "date"}),
        ),
    ],
    "optional-bodies": [
        (
            ("paths", "/new"),
            operation(requestBody=JSON_BODY),
            {"put": {"requestBody": {"required": True}}},
        )
    ],
    "untagged-operations": [
        (("paths", "/new"), operation(), {"put": {"tags": ["v1"]}}),
        (("paths", "/new"), operation(tags=["keys"]), {"put": {"tags": ["keys"]}}),
    ],
    "untyped-usage": [
        (
            (*SCHEMAS, "Sum"),
            fields(totalBillingUsage=TEXT),
            fields(totalBillingUsage={"format": "digits"}),
        )
    ],
    "inline-scopes-reference": [
        (
            (*SCHEMAS, "NewRequest"),
            fields(scopes={"type": "array", "items": fields(representation=TEXT, **{"del": FLAG})}),
            {"properties": {"scopes": {"items": {"$ref": "#/components/schemas/ApiKeyScope"}}}},
        )
    ],
    "unmarked-secrets": [((*SCHEMAS, "New"), fields(jwt=TEXT), fields(jwt={"format": "password"}))],
    "abbreviated-right": [
        ((*SCHEMAS, "New"), fields(**{"del": FLAG}), fields(**{"del": {"x-python-name": "delete"}}))
    ],
    "unnamed-issued-key": [
        (
            (*SCHEMAS, "New"),
            fields(apiKey={"allOf": [{"$ref": "#/components/schemas/ApiKey"}]}),
            fields(apiKey={"x-python-class": "IssuedApiKey"}),
        )
    ],
    "no-validity-flag": [
        (
            (*SCHEMAS, "New"),
            fields(status={**TEXT, "enum": ["VALID", "ODD"]}),
            {"x-python-flags": {"is_valid": {"status": "VALID"}}},
        ),
        ((*SCHEMAS, "New"), fields(status={**TEXT, "enum": ["OPEN"]}), MISSING_FLAGS),
    ],
    # Annotations of a field apply to new fields of that name, unless the vendor describes them.
    "undescribed-workspace-id": [
        (
            (*SCHEMAS, "New"),
            fields(workspaceId=TEXT),
            fields(workspaceId={"description": "The workspace id."}),
        ),
        (
            (*SCHEMAS, "New"),
            fields(workspaceId={"description": "Told."}),
            fields(workspaceId={"description": "Told."}),
        ),
    ],
}


def put(document: Any, place: tuple[Any, ...], part: Any) -> None:
    """Put a part into a document at `place`; MISSING removes it."""
    parent = at(document, place[:-1])
    if part is MISSING:
        del parent[place[-1]]
    else:
        parent[place[-1]] = deepcopy(part)


def holds(part: Any, expected: Any) -> bool:
    """Return whether `part` contains all that is expected."""
    if isinstance(expected, dict):
        return all(holds(part.get(key, MISSING), value) for key, value in expected.items())
    return bool(part == expected)


def failure(document: dict[str, Any], actions: list[dict[str, Any]]) -> str:
    """Patch a document and return the error message."""
    with pytest.raises(GenerationError) as caught:
        patch(document, actions)
    return str(caught.value)


def changes(before: Any, after: Any, place: tuple[Any, ...] = ()) -> Iterator[Change]:
    """Yield each place where two documents differ, with the values in both."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from changes(before.get(key, MISSING), after.get(key, MISSING), (*place, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from changes(one, other, (*place, index))
    elif before != after:
        yield place, before, after


STATES = list(accumulate(ACTIONS, lambda before, one: patch(before, [one]), initial=DOCUMENT))
"""The document before the first action, and after each action."""
PATCHED = STATES[-1]
CHANGES = {
    quirk: list(changes(before, after))
    for quirk, (before, after) in zip(QUIRKS, pairwise(STATES), strict=True)
}


def test_the_examples_are_of_fixes_that_there_are() -> None:
    """Every example belongs to an action, and the names of all actions are different."""
    assert {*SHOWN, *NEW} <= set(QUIRKS)
    assert len(QUIRKS) == len(set(QUIRKS))


@pytest.mark.parametrize("action", FIXES, ids=lambda action: action["x-quirk"])
def test_a_fix_has_a_name_a_target_and_a_reason(action: dict[str, Any]) -> None:
    """Each fix has a name, a target, and a description that ends as a sentence."""
    assert set(action) - {"update", "remove"} == {"x-quirk", "target", "description", "x-overlay"}
    assert action["target"].startswith("$.")
    assert action["description"].endswith(".")


@pytest.mark.parametrize("quirk", SHOWN)
def test_a_fix_changes_what_it_is_for_and_nothing_else(quirk: str) -> None:
    """A fix changes at least the known number of places, among them the example as shown."""
    count, *example = SHOWN[quirk]
    assert tuple(example) in CHANGES[quirk]
    assert len(CHANGES[quirk]) >= count


@pytest.mark.parametrize("action", ANNOTATIONS, ids=lambda action: action["x-quirk"])
def test_an_annotation_adds_words_and_changes_nothing(action: dict[str, Any]) -> None:
    """Annotations change only descriptions and provenance, and nothing that affects a call."""
    for place, published, _ in CHANGES[action["x-quirk"]]:
        assert place[-1] in ("description", "x-certainty", "x-inferred", "x-quirk-answers")
        assert published is MISSING or action["update"]["description"].startswith(published)
    assert set(action) == {"x-quirk", "target", "update", "x-overlay"}


def test_each_operation_has_its_certainty() -> None:
    """The refill is marked as published; other operations have a known certainty or none."""
    operations = [one for item in PATCHED["paths"].values() for one in item.values()]
    certain = {one["operationId"]: one.get("x-certainty") for one in operations}
    assert certain["refillBillingLimit"] == "published"
    assert set(certain.values()) <= {*CERTAINTIES, None}


def test_the_published_document_stays_as_it_is() -> None:
    """Patching works on a copy and does not change the published document."""
    assert read_document(ROOT / "openapi.yaml") == DOCUMENT


def test_the_patched_document_is_valid_openapi() -> None:
    """The document is still valid OpenAPI after all actions."""
    check_document(PATCHED, "patched")


CASES = [
    # Each case has its own place, so that one document can contain all of them.
    (f"{quirk}-{index}", (*place[:-1], f"{place[-1]}{index}{quirk}"), part, fixed)
    for quirk, cases in NEW.items()
    for index, (place, part, fixed) in enumerate(cases)
]


@pytest.fixture(scope="module")
def grown() -> dict[str, Any]:
    """Patch the document with all new parts added to it."""
    document = deepcopy(DOCUMENT)
    for name, place, part, _ in CASES:
        put(document, place, part)
        if place[0] == "paths":
            at(document, place)["put"]["operationId"] = name
    patched = patch(document, ACTIONS)
    check_document(patched, "patched")
    return patched


@pytest.mark.parametrize(
    ("place", "fixed"), [(case[1], case[3]) for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_same_quirk_in_a_new_part_is_fixed(
    grown: dict[str, Any], place: tuple[Any, ...], fixed: Any
) -> None:
    """An action also fixes its quirk in fields that the document does not have yet."""
    assert holds(at(grown, place), fixed)


@pytest.mark.parametrize("quirk", QUIRKS)
def test_an_action_whose_quirk_is_gone_fails_by_name(quirk: str) -> None:
    """Once the vendor has fixed a quirk, the error names the action to remove."""
    index = QUIRKS.index(quirk)
    action, mended = ACTIONS[index], STATES[index + 1]
    message = failure(mended, [action])
    overlay = action["x-overlay"]
    assert message.startswith(f"{overlay}: the override {quirk} is stale, ")
    assert message.endswith(f"Remove the action from overrides/{overlay}")


@pytest.mark.parametrize("quirk", QUIRKS)
def test_an_action_whose_target_is_gone_fails_by_name(quirk: str) -> None:
    """An action that matches nothing is stale, like one that changes nothing."""
    (action,) = (action for action in ACTIONS if action["x-quirk"] == quirk)
    empty = {"openapi": "3.0.3", "info": {}, "paths": {}}
    assert failure(empty, [action]).startswith(
        f"{action['x-overlay']}: the override {quirk} is stale, it matches nothing:"
    )


@pytest.mark.parametrize(
    "update",
    [{"title": "T"}, {}, {"contact": {"name": "N"}}, {"tags": ["a"]}, {"tags": "a"}],
)
def test_an_update_that_changes_nothing_is_stale(update: dict[str, Any]) -> None:
    """An update that changes nothing, at any depth, is stale."""
    info = {"title": "T", "contact": {"name": "N", "url": "u"}, "tags": ["a", "b"]}
    action = {"x-quirk": "q", "target": "$.info", "update": update}
    message = failure({"info": info}, [action])
    assert "the override q is stale, what it fixes is right already" in message


@pytest.mark.parametrize(
    ("update", "info"),
    [
        ({"title": "U"}, {"title": "U", "tags": ["a"]}),
        ({"contact": {"name": "N"}}, {"title": "T", "tags": ["a"], "contact": {"name": "N"}}),
        ({"tags": ["b"]}, {"title": "T", "tags": ["a", "b"]}),
    ],
)
def test_an_update_is_merged(update: dict[str, Any], info: dict[str, Any]) -> None:
    """An update merges mappings, appends to lists, and replaces other values."""
    document = {"info": {"title": "T", "tags": ["a"]}}
    patched = patch(document, [{"target": "$.info", "update": update}])
    assert patched == {"info": info}


def test_an_update_reaches_values_in_lists() -> None:
    """A scalar in a list can be the target of an update too."""
    patched = patch({"a": [1, 2]}, [{"target": "$.a[1]", "update": 3}])
    assert patched == {"a": [1, 3]}


def test_two_targets_share_no_part_of_an_update() -> None:
    """Each target gets its own copy of an update, so that a later action changes only one."""
    actions = [
        {"target": "$.paths.*", "update": {"tags": ["v1"]}},
        {"target": "$.paths.a.tags", "update": ["more"]},
    ]
    patched = patch({"paths": {"a": {}, "b": {}}}, actions)
    assert patched == {"paths": {"a": {"tags": ["v1", "more"]}, "b": {"tags": ["v1"]}}}


def test_a_remove_takes_out_every_match() -> None:
    """A remove action removes every match of its target."""
    patched = patch({"a": {"x": 1, "y": 2}, "x": 3}, [{"target": "$..x", "remove": True}])
    assert patched == {"a": {"y": 2}}


@pytest.mark.parametrize(
    "target", ["$..[?(@.a ==", "$.[", "no path at all", "", "$.info[?(@.a < 1)]"]
)
def test_a_broken_target_is_reported_with_the_quirk(target: str) -> None:
    """A JSONPath that cannot be parsed or evaluated is a one-line error that names the quirk."""
    action = {"x-quirk": "q", "target": target, "update": {"a": 1}}
    message = failure({"info": {"a": "text"}}, [action])
    assert message.startswith("overlay.yaml: ")
    assert "q" in message
    assert "\n" not in message


@pytest.mark.parametrize("update", [{"a": 1}, ["a"]])
def test_an_update_that_does_not_fit_replaces_the_value(update: Any) -> None:
    """An update replaces a value that it cannot be merged with."""
    action = {"target": "$.info", "update": update}
    assert patch({"info": "text"}, [action]) == {"info": update}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("overlay: 1.0.0\n", "overlay.yaml has no list of actions"),
        ("actions: []\n", "overlay.yaml has no list of actions"),
        ("actions: {a: b}\n", "overlay.yaml has no list of actions"),
        ("actions: [a]\n", "overlay.yaml: actions.0 has no target"),
        ("actions: [{x-quirk: q}]\n", "overlay.yaml: actions.0 has no target"),
        ("actions: [{target: 5}]\n", "overlay.yaml: actions.0 has no target"),
        ("actions: [{target: $.a}]\n", "overlay.yaml: $.a: needs either update or remove"),
        (
            "actions: [{target: $.a, x-quirk: q, update: 1, remove: true}]\n",
            "overlay.yaml: q: needs either update or remove",
        ),
    ],
)
def test_a_malformed_overlay_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """A malformed action is reported by its position or its name."""
    path = tmp_path / "overlay.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GenerationError) as caught:
        read_actions(path)
    assert str(caught.value) == message
