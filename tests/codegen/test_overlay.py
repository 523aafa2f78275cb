"""The overlay: an action fixes a quirk wherever it occurs, and fails once the quirk is gone."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from codegen import _overlays
from codegen._document import check_document, parse_yaml, read_document
from codegen._errors import GenerationError
from codegen._overlays import Action, Stale, read_actions, yaml_lines
from codegen._views.operations import CERTAINTIES
from tests import ROOT

OVERLAY, ANNOTATED = (ROOT / "overrides" / name for name in ("overlay.yaml", "annotations.yaml"))
WRITTEN = {
    action["x-quirk"]: action
    for path in (OVERLAY, ANNOTATED)
    for action in parse_yaml(path.read_text("utf-8"), path.name)["actions"]
}
FIXES = read_actions(OVERLAY)
ANNOTATIONS = read_actions(ANNOTATED)
ACTIONS = [*FIXES, *ANNOTATIONS]
QUIRKS = [action.name for action in ACTIONS]
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
    "unitless-expiry": [
        (
            (*SCHEMAS, "New"),
            fields(expiresAt={"type": "integer"}),
            fields(expiresAt={"format": "moment"}),
        ),
        (
            (*SCHEMAS, "New"),
            fields(expiresAt={"type": ["integer", "null"]}),
            fields(expiresAt={"format": "moment"}),
        ),
        ((*SCHEMAS, "New"), fields(expiresAt=TEXT), fields(expiresAt={"format": MISSING})),
    ],
    "formatless-day": [
        ((*SCHEMAS, "New"), fields(day=TEXT), fields(day={"format": "day"})),
        (
            (*SCHEMAS, "New"),
            fields(day={**TEXT, "format": "date"}),
            fields(day={"format": "date"}),
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


def patch(document: dict[str, Any], actions: list[Action]) -> dict[str, Any]:
    """Patch a document by actions of which none is stale."""
    patched, stale = _overlays.patch(document, actions)
    assert stale == []
    return patched


def read(folder: Path, *actions: Any, name: str = "overlay.yaml") -> list[Action]:
    """Write an overlay and read its actions."""
    path = folder / name
    path.write_text("\n".join((*yaml_lines({"actions": list(actions)}), "")), encoding="utf-8")
    return read_actions(path)


def failure(path: Path) -> list[str]:
    """Read an overlay that cannot be used and return the lines of the error."""
    with pytest.raises(GenerationError) as caught:
        read_actions(path)
    return str(caught.value).split("\n")


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


@pytest.mark.parametrize("action", FIXES, ids=lambda action: action.name)
def test_a_fix_has_a_name_a_target_and_a_reason(action: Action) -> None:
    """Each fix has a name, a target, and a description that ends as a sentence."""
    written = WRITTEN[action.name]
    assert set(written) - {"update", "remove"} == {"x-quirk", "target", "description"}
    assert written["target"].startswith("$.")
    assert written["description"].endswith(".")
    assert not action.annotates


@pytest.mark.parametrize("quirk", SHOWN)
def test_a_fix_changes_what_it_is_for_and_nothing_else(quirk: str) -> None:
    """A fix changes at least the known number of places, among them the example as shown."""
    count, *example = SHOWN[quirk]
    assert tuple(example) in CHANGES[quirk]
    assert len(CHANGES[quirk]) >= count


@pytest.mark.parametrize("action", ANNOTATIONS, ids=lambda action: action.name)
def test_an_annotation_adds_words_and_changes_nothing(action: Action) -> None:
    """Annotations change only descriptions, examples and provenance, and nothing in a call."""
    words = ("description", "example", "x-certainty", "x-inferred", "x-quirk-answers")
    for place, published, _ in CHANGES[action.name]:
        assert place[-1] in words
        assert published is MISSING or action.update["description"].startswith(published)
    assert set(WRITTEN[action.name]) == {"x-quirk", "target", "update"}
    assert action.annotates


def test_each_operation_has_its_certainty() -> None:
    """The refill is marked as published; other operations have a known certainty or none."""
    operations = [one for item in PATCHED["paths"].values() for one in item.values()]
    certain = {one["operationId"]: one.get("x-certainty") for one in operations}
    assert certain["refillBillingLimit"] == "published"
    assert set(certain.values()) <= {*CERTAINTIES, None}


def test_the_published_document_stays_as_it_is() -> None:
    """Patching works on a copy and does not change the published document."""
    assert read_document(ROOT / "openapi.yaml") == DOCUMENT


def test_every_string_of_digits_says_so_to_other_tools() -> None:
    """A validating proxy or a mock does not know our format, but it does know the pattern."""
    waiting: list[Any] = [PATCHED]
    found = []
    while waiting:
        part = waiting.pop()
        waiting += part.values() if isinstance(part, dict) else part
        waiting = [one for one in waiting if isinstance(one, dict | list)]
        if isinstance(part, dict) and part.get("format") == "digits":
            found.append(part.get("pattern"))
    assert len(found) > 7
    assert set(found) == {r"^\d+$"}


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


# --- stale overrides -----------------------------------------------------------------------------


@pytest.mark.parametrize("quirk", QUIRKS)
def test_an_action_whose_quirk_is_gone_is_stale(quirk: str) -> None:
    """An action is stale once the document contains what it sets, or lacks what it removes."""
    index = QUIRKS.index(quirk)
    patched, stale = _overlays.patch(STATES[index + 1], [ACTIONS[index]])
    assert [one.action for one in stale] == [ACTIONS[index]]
    assert patched == STATES[index + 1]


def test_all_stale_actions_are_found_at_once() -> None:
    """An action that matches nothing is stale, and so is every one after it."""
    empty = {"openapi": "3.0.3", "info": {}, "paths": {}}
    patched, stale = _overlays.patch(empty, ACTIONS)
    assert patched == empty
    assert [one.action for one in stale] == ACTIONS
    assert str(stale[0]) == ("overlay.yaml: the fix lost-backslash is stale: it matches nothing")
    assert str(stale[-1]).startswith("annotations.yaml: the annotation ")


@pytest.mark.parametrize(
    "update",
    [{"title": "T"}, {}, {"contact": {"name": "N"}}, {"tags": ["a"]}, {"tags": "a"}],
)
def test_an_update_that_changes_nothing_is_stale(update: dict[str, Any], tmp_path: Path) -> None:
    """An update that changes nothing, at any depth, is stale."""
    info = {"title": "T", "contact": {"name": "N", "url": "u"}, "tags": ["a", "b"]}
    actions = read(tmp_path, {"x-quirk": "q", "target": "$.info", "update": update})
    patched, (stale,) = _overlays.patch({"info": info}, actions)
    assert patched == {"info": info}
    assert stale.why == "the document has what it sets already"


@pytest.mark.parametrize(
    ("action", "annotates"),
    [
        ({"update": {"description": "D", "summary": "S"}}, True),
        ({"update": {"x-certainty": "inferred", "x-inferred": "All"}}, True),
        ({"update": {"description": "D", "type": "string"}}, False),
        ({"update": {"properties": {"description": {}}}}, False),
        ({"update": "D"}, False),
        ({"remove": True}, False),
    ],
)
def test_an_annotation_is_known_by_what_it_sets(
    action: dict[str, Any], annotates: bool, tmp_path: Path
) -> None:
    """An action that sets only words is an annotation, whatever the name of its overlay is."""
    (one,) = read(tmp_path, {"target": "$.info", **action}, name="any.yaml")
    assert one.annotates is annotates


# --- updates and removals ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "action", "patched"),
    [
        # An update merges mappings, appends to lists, and replaces other values.
        ({"a": {"b": 1}}, {"target": "$.a", "update": {"b": 2}}, {"a": {"b": 2}}),
        (
            {"a": {"b": 1}},
            {"target": "$.a", "update": {"c": {"d": 2}}},
            {"a": {"b": 1, "c": {"d": 2}}},
        ),
        ({"a": {"b": [1]}}, {"target": "$.a", "update": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}),
        ({"a": [1, 2]}, {"target": "$.a[1]", "update": 3}, {"a": [1, 3]}),
        ({"a": [1, 2]}, {"target": "$.a[-1]", "update": 3}, {"a": [1, 3]}),
        ({"a": "text"}, {"target": "$.a", "update": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": 1}, {"target": "$", "update": {"b": 2}}, {"a": 1, "b": 2}),
        # A match inside of another one is updated too.
        (
            {"a": {"a": {}}},
            {"target": "$..a", "update": {"b": 1}},
            {"a": {"a": {"b": 1}, "b": 1}},
        ),
        # Every match is removed, also several of one list and one inside of another.
        ({"a": {"x": 1, "y": 2}, "x": 3}, {"target": "$..x", "remove": True}, {"a": {"y": 2}}),
        ({"a": [1, 2, 3, 4]}, {"target": "$.a[2,0]", "remove": True}, {"a": [2, 4]}),
        ({"a": [{"a": [1]}]}, {"target": "$..a[0]", "remove": True}, {"a": []}),
    ],
)
def test_an_action_is_applied(
    document: dict[str, Any], action: dict[str, Any], patched: dict[str, Any], tmp_path: Path
) -> None:
    """Updates and removals reach every match."""
    before = deepcopy(document)
    assert patch(document, read(tmp_path, action)) == patched
    assert document == before


def test_two_targets_share_no_part_of_an_update(tmp_path: Path) -> None:
    """Each target gets its own copy of an update, so that a later action changes only one."""
    actions = read(
        tmp_path,
        {"target": "$.paths.*", "update": {"tags": ["v1"]}},
        {"target": "$.paths.a.tags", "update": ["more"]},
    )
    patched = patch({"paths": {"a": {}, "b": {}}}, actions)
    assert patched == {"paths": {"a": {"tags": ["v1", "more"]}, "b": {"tags": ["v1"]}}}


def test_an_action_changes_one_place_of_a_part_that_yaml_shares(tmp_path: Path) -> None:
    """A part that the document has in two places by an alias is updated in one of them."""
    shared: dict[str, Any] = {"get": {}}
    actions = read(tmp_path, {"target": "$.paths['/a'].get", "update": {"deprecated": True}})
    patched = patch({"paths": {"/a": shared, "/b": shared}}, actions)
    assert patched == {"paths": {"/a": {"get": {"deprecated": True}}, "/b": {"get": {}}}}


@pytest.mark.parametrize("action", [{"remove": True}, {"update": 5}])
def test_the_document_cannot_be_removed(action: dict[str, Any], tmp_path: Path) -> None:
    """An action that leaves no document is an error."""
    with pytest.raises(GenerationError, match=r"^overlay.yaml: \$: this leaves no mapping of the"):
        _overlays.patch({"a": 1}, read(tmp_path, {"target": "$", **action}))


def test_actions_cannot_multiply_a_document_without_end(tmp_path: Path) -> None:
    """Sixty actions that each double the document are refused in a moment."""
    double = {"target": "$..*", "update": {"a": {"b": {}}, "c": {}}}
    actions = read(tmp_path, *[double] * 60)
    with pytest.raises(GenerationError, match="the updates add more than 1000000 values"):
        _overlays.patch({"a": {}}, actions)


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("overlay: 1.0.0\n", ["overlay.yaml has no list of actions"]),
        ("actions: {a: b}\n", ["overlay.yaml has no list of actions"]),
        ("actions: [a]\n", ["overlay.yaml: actions.0 has no target"]),
        ("actions: [{target: 5}]\n", ["overlay.yaml: actions.0 has no target"]),
        (
            "actions:\n- x-quirk: q\n- {target: $.a}\n"
            "- {target: $.a, x-quirk: p, update: 1, remove: true}\n"
            "- {target: $.b, remove: false}\n- {target: '$.[', x-quirk: r, remove: true}\n",
            [
                "overlay.yaml: actions.0 has no target",
                "overlay.yaml: $.a: needs either an update or `remove: true`",
                "overlay.yaml: p: needs either an update or `remove: true`",
                "overlay.yaml: $.b: needs either an update or `remove: true`",
                "overlay.yaml: r: target $.[: character 3: expected a shorthand selector",
            ],
        ),
    ],
)
def test_all_malformed_actions_are_reported(tmp_path: Path, text: str, messages: list[str]) -> None:
    """Malformed actions are reported at once, each by its position or its name."""
    path = tmp_path / "overlay.yaml"
    path.write_text(text, encoding="utf-8")
    assert failure(path) == messages


# --- YAML ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {
            "a": {"b": [1, {"c": None, "d": [[], {}, [[1.5]]]}]},
            "200": True,
            "$ref": "#/a",
            "/x": {},
        },
        ["yes", "NO", "null", "~", "", " a", "a: b", "a #b", "1", "1e3", "0o7", "2020-01-01", "-"],
        [
            "a b",
            "é",
            "\u2028",
            "\x00",
            "it's",
            '"',
            "\\d",
            "a\nb",
            "\N{GRINNING FACE}",
            "x-y",
            "<<",
        ],
        {"y": 1, "on": 2, "": 3, "- a": 4, "a b": 5, "é": 6},
        {},
        [],
    ],
)
def test_yaml_is_read_as_it_was_written(value: Any) -> None:
    """What is written as YAML is read back equal, also by readers of YAML 1.1."""
    text = "\n".join(yaml_lines({"value": value}))
    assert parse_yaml(text, "test") == {"value": value}
    old = YAML(typ="safe", pure=True)
    old.version = (1, 1)
    assert old.load(text) == {"value": value}


def test_actions_of_one_name_are_numbered_in_an_overlay() -> None:
    """A name is that of one action, as reports use it; the same action is written once."""
    actions = [{"x-quirk": "q", "target": f"$.{name}", "remove": True} for name in "abab"]
    lines = _overlays.overlay([("", one) for one in actions], "api.yaml")
    assert [line for line in lines if "x-quirk" in line] == ["  - x-quirk: q", "  - x-quirk: q-2"]


def test_actions_are_written_as_an_overlay(tmp_path: Path) -> None:
    """Actions become an overlay that can be read; one action that has two reasons is in it once."""
    remove = {"target": "$.paths['/a'].get", "remove": True}
    update = {"target": "$.info", "update": {"version": "2"}}
    lines = _overlays.overlay([("A", remove), ("B", update), ("C", remove)], "api.yaml")
    assert lines == [
        "overlay: 1.0.0",
        "info:",
        "  title: Changes to api.yaml",
        '  version: "1.0.0"',
        "actions:",
        "  # A",
        "  # C",
        "  - target: \"$.paths['/a'].get\"",
        "    remove: true",
        "  # B",
        '  - target: "$.info"',
        "    update:",
        '      version: "2"',
    ]
    path = tmp_path / "overlay.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert [one.removes for one in read_actions(path)] == [True, False]


# --- pruning -------------------------------------------------------------------------------------

LAID_OUT = """\
# About this file.
overlay: 1.0.0
actions:
  # A section.

  # About one.
  - x-quirk: one   # kept, too
    target: $.one

    description: >-
      # no comment

      more
    update: {a: 1}
    # the end of one

  - x-quirk: two
    target: $.two
    update: {a: 1}
  # About three.
  - {x-quirk: three, target: $.three, remove: true}


# The end.
info: {title: T}
"""
WITHOUT = {
    (0,): """\
# About this file.
overlay: 1.0.0
actions:
  # A section.

  - x-quirk: two
    target: $.two
    update: {a: 1}
  # About three.
  - {x-quirk: three, target: $.three, remove: true}


# The end.
info: {title: T}
""",
    (1, 2): """\
# About this file.
overlay: 1.0.0
actions:
  # A section.

  # About one.
  - x-quirk: one   # kept, too
    target: $.one

    description: >-
      # no comment

      more
    update: {a: 1}
    # the end of one

# The end.
info: {title: T}
""",
    (0, 1, 2): """\
# About this file.
overlay: 1.0.0
actions:
  # A section.

    []
# The end.
info: {title: T}
""",
}


def pruned(path: Path, indexes: tuple[int, ...]) -> str:
    """Return the text of an overlay without some actions."""
    actions = read_actions(path)
    (text,) = _overlays.prune([Stale(actions[index], "why") for index in indexes]).values()
    return text


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("indexes", WITHOUT)
def test_pruning_leaves_the_rest_of_an_overlay_as_it_is(
    tmp_path: Path, indexes: tuple[int, ...], ends: str
) -> None:
    """An action goes with the comment right above it; all other lines stay as they are."""
    path = tmp_path / "overlay.yaml"
    path.write_bytes(LAID_OUT.replace("\n", ends).encode())
    assert pruned(path, indexes) == WITHOUT[indexes].replace("\n", ends)


def test_pruning_without_a_line_end_at_the_end(tmp_path: Path) -> None:
    """The last action of a file is removed with the empty lines before it."""
    path = tmp_path / "overlay.yaml"
    path.write_text("actions:\n- {target: $.a, update: 1}\n\n- {target: $.b, update: 1}")
    assert pruned(path, (1,)) == "actions:\n- {target: $.a, update: 1}\n"


@pytest.mark.parametrize(
    ("indexes", "left"),
    [
        ((0,), '{"actions": [ B,C], "info": {}}'),
        ((1,), '{"actions": [A,C], "info": {}}'),
        ((2,), '{"actions": [A, B], "info": {}}'),
        ((0, 1), '{"actions": [C], "info": {}}'),
        ((0, 2), '{"actions": [ B], "info": {}}'),
        ((1, 2), '{"actions": [A], "info": {}}'),
        ((0, 1, 2), '{"actions": [], "info": {}}'),
    ],
)
def test_an_overlay_in_flow_style_is_pruned(
    tmp_path: Path, indexes: tuple[int, ...], left: str
) -> None:
    """Actions are also removed from JSON, and from lists on one line."""
    actions = {name: f'{{"target": "$.{name}", "remove": true}}' for name in "ABC"}
    path = tmp_path / "overlay.json"
    path.write_text(f'{{"actions": [{actions["A"]}, {actions["B"]},{actions["C"]}], "info": {{}}}}')
    text = pruned(path, indexes)
    for name, action in actions.items():
        text = text.replace(action, name)
    assert text.replace("[ ", "[") == left.replace("[ ", "[")


@pytest.mark.parametrize(
    "text",
    [
        "actions:\n- &a {target: $.a, update: 1}\n- *a\n- {target: $.c, update: 1}\n",
        "actions:\n- target: $.a\n  update: &a {}\n- target: $.b\n  update: *a\n",
    ],
)
def test_an_action_that_others_need_is_not_pruned(tmp_path: Path, text: str) -> None:
    """If the rest of an overlay refers to an action, the overlay is to be edited by hand."""
    path = tmp_path / "overlay.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(
        GenerationError, match=r"its layout does not allow to remove actions\.0: edit"
    ):
        pruned(path, (0,))


def test_a_text_that_ends_like_a_comment_is_not_pruned(tmp_path: Path) -> None:
    """What looks like the comment above an action may belong to a text; then nothing is lost."""
    path = tmp_path / "overlay.yaml"
    action = "- target: $.a\n  update: |\n    a\n    # b\n"
    path.write_text(f"actions:\n{action}- {{target: $.b, remove: true}}\n", encoding="utf-8")
    with pytest.raises(GenerationError, match=r"does not allow to remove actions\.1: edit it"):
        pruned(path, (1,))


@pytest.mark.parametrize("path", [OVERLAY, ANNOTATED], ids=lambda path: path.name)
def test_any_of_our_actions_can_be_pruned(path: Path) -> None:
    """Each of our own actions can be removed, and a patch shows nothing but removed lines."""
    actions = read_actions(path)
    for action in actions[::5]:
        text = pruned(path, (action.index,))
        lines = _overlays.difference(path, text, f"overrides/{path.name}")
        assert lines[:2] == [f"--- a/overrides/{path.name}", f"+++ b/overrides/{path.name}"]
        assert f"-  - x-quirk: {action.name}" in lines
        assert not [line for line in lines[2:] if line.startswith("+")]


def test_a_refused_pattern_names_its_action(tmp_path: Path) -> None:
    """A pattern is only known to be wrong when the action is applied; the error says which one."""
    path = tmp_path / "overlay.yaml"
    target = "$..[?search(@.title, '(a+)+$')]"
    path.write_text(f'actions:\n- {{x-quirk: q, target: "{target}", remove: true}}\n')
    with pytest.raises(
        GenerationError, match=r"^overlay\.yaml: q: the pattern '\(a\+\)\+\$' is ref"
    ):
        patch({"info": {"title": "aaa"}}, read_actions(path))
