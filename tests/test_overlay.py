"""The overlay: each of its actions mends one quirk, wherever it is, and none outlives its quirk."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from generator._document import check_document, patch, read_actions, read_document
from generator._errors import GenerationError

ROOT = Path(__file__).parents[1]
OVERLAY = ROOT / "overrides" / "overlay.yaml"
ACTIONS = read_actions(OVERLAY)
QUIRKS = [action["x-quirk"] for action in ACTIONS]
DOCUMENT = read_document(ROOT / "openapi.yaml")
PATCHED = patch(DOCUMENT, ACTIONS)
REFILL = ("paths", "/api/v1/customer-billing/refill", "post")
SCHEMAS = ("components", "schemas")
METER = (*SCHEMAS, "CustomerBillingMeter")
REQUEST = (*SCHEMAS, "RefillCustomerBillingMeterRequest")
ERROR_CODE = (*SCHEMAS, "ErrorResponse", "properties", "error", "properties", "code")
MISSING = object()

# Where the published document shows each quirk: (place, as published, as mended).
SHOWN: dict[str, list[tuple[tuple[Any, ...], Any, Any]]] = {
    "lost-backslash": [
        ((*METER, "properties", name, "pattern"), "^d+$", r"^\d+$")
        for name in ("totalCredits", "usedCredits", "spendCap")
    ],
    "digit-strings": [
        ((*METER, "properties", name, "format"), MISSING, "digits")
        for name in ("totalCredits", "usedCredits", "spendCap")
    ],
    "unsafe-integers": [((*REQUEST, "properties", "refill", "maximum"), MISSING, 2**53 - 1)],
    "fractional-error-code": [((*ERROR_CODE, "type"), "number", "integer")],
    "untyped-timestamps": [
        ((*METER, "properties", name, "format"), MISSING, "date-time")
        for name in ("createdAt", "updatedAt")
    ],
    "optional-bodies": [((*REFILL, "requestBody", "required"), MISSING, True)],
    "optional-refill-amount": [
        (
            (*REQUEST, "required"),
            ["workspaceId", "externalMeterId"],
            ["workspaceId", "externalMeterId", "refill"],
        )
    ],
    "undescribed-amount": [
        (
            (*REQUEST, "properties", "refill", "description"),
            MISSING,
            "Credits to add. The vendor does not say whether this raises `total_credits` or lowers"
            " `used_credits`: read the answer instead of computing the balance.",
        )
    ],
    "undescribed-workspace-id": [
        ((*REQUEST, "properties", "workspaceId", "description"), MISSING, "The workspace id.")
    ],
    "undescribed-meter-id": [
        (
            (*REQUEST, "properties", "externalMeterId", "description"),
            MISSING,
            "Your own name for the customer's meter, unique in the workspace.",
        )
    ],
    "undescribed-meter": [
        (
            (*METER, "description"),
            MISSING,
            "The credits of one of your customers in one workspace.",
        )
    ],
    "untagged-operations": [((*REFILL, "tags"), MISSING, ["v1"])],
}

DIGITS = {"type": "string", "pattern": "^d+$"}
GOOD_DIGITS = {"type": "string", "pattern": r"^\d+$"}
MENDED_DIGITS = {**GOOD_DIGITS, "format": "digits"}
JSON_BODY = {"content": {"application/json": {"schema": {"type": "boolean"}}}}
NO_ANSWER = {"204": {"description": "Done"}}


def operation(**more: Any) -> dict[str, Any]:
    """Return a path item with one new operation."""
    return {"put": {"operationId": "new", "responses": NO_ANSWER, **more}}


# The same quirks in what the document does not have yet: (place, new part, as mended).
NEW: dict[str, list[tuple[tuple[Any, ...], Any, Any]]] = {
    "lost-backslash": [
        ((*METER, "properties", "bonusCredits"), DIGITS, MENDED_DIGITS),
        ((*SCHEMAS, "Credits"), DIGITS, MENDED_DIGITS),
        ((*SCHEMAS, "List"), {"type": "array", "items": DIGITS}, {"items": MENDED_DIGITS}),
        ((*SCHEMAS, "One"), {"oneOf": [DIGITS]}, {"oneOf": [MENDED_DIGITS]}),
        (
            ("paths", "/new"),
            operation(parameters=[{"name": "n", "in": "query", "schema": DIGITS}]),
            {"put": {"parameters": [{"name": "n", "in": "query", "schema": MENDED_DIGITS}]}},
        ),
    ],
    "digit-strings": [((*METER, "properties", "bonusCredits"), GOOD_DIGITS, MENDED_DIGITS)],
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
    "untyped-timestamps": [
        (
            (*SCHEMAS, "Key"),
            {"type": "object", "properties": {"createdAt": {"type": "string"}}},
            {"properties": {"createdAt": {"format": "date-time"}}},
        )
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
    # Texts belong to a name: they go to each new field of that name that has none.
    "undescribed-amount": [
        (
            (*SCHEMAS, "New"),
            {"type": "object", "properties": {"refill": {"type": "string"}}},
            {"properties": {"refill": {"description": SHOWN["undescribed-amount"][0][2]}}},
        )
    ],
    "undescribed-workspace-id": [
        (
            (*SCHEMAS, "New"),
            {"type": "object", "properties": {"workspaceId": {"type": "string"}}},
            {"properties": {"workspaceId": {"description": "The workspace id."}}},
        ),
        (
            (*SCHEMAS, "New"),
            {"type": "object", "properties": {"workspaceId": {"description": "Told."}}},
            {"properties": {"workspaceId": {"description": "Told."}}},
        ),
    ],
    "undescribed-meter-id": [
        (
            (*SCHEMAS, "New"),
            {"type": "object", "properties": {"externalMeterId": {"type": "string"}}},
            {
                "properties": {
                    "externalMeterId": {"description": SHOWN["undescribed-meter-id"][0][2]}
                }
            },
        )
    ],
    "undescribed-meter": [
        (
            (*SCHEMAS, "Meter"),
            {"type": "object", "properties": {"usedCredits": {"type": "integer"}}},
            {"description": SHOWN["undescribed-meter"][0][2]},
        )
    ],
    # The one action about one schema: which fields of a body are required is told nowhere else.
    "optional-refill-amount": [],
}


def at(document: Any, place: tuple[Any, ...]) -> Any:
    """Return the part of a document at a place, or MISSING."""
    for key in place:
        if key not in document:
            return MISSING
        document = document[key]
    return document


def put(document: Any, place: tuple[Any, ...], part: Any) -> None:
    """Put a part at a place of a document; MISSING takes it out."""
    parent = at(document, place[:-1])
    if part is MISSING:
        del parent[place[-1]]
    else:
        parent[place[-1]] = deepcopy(part)


def holds(part: Any, expected: Any) -> bool:
    """Whether a part has all that is expected of it."""
    if isinstance(expected, dict):
        return all(key in part and holds(part[key], value) for key, value in expected.items())
    return bool(part == expected)


def failure(document: dict[str, Any], actions: list[dict[str, Any]]) -> str:
    """Patch a document and return what the error says."""
    with pytest.raises(GenerationError) as caught:
        patch(document, actions)
    return str(caught.value)


def test_every_action_has_its_tests() -> None:
    """An action that is added is told here what it is for."""
    assert set(SHOWN) == set(NEW) == set(QUIRKS)
    assert len(QUIRKS) == len(set(QUIRKS))


@pytest.mark.parametrize("action", ACTIONS, ids=QUIRKS)
def test_an_action_has_a_name_a_target_and_a_reason(action: dict[str, Any]) -> None:
    """One action a quirk, each with its reason in a sentence."""
    assert set(action) == {"x-quirk", "target", "description", "update"}
    assert action["target"].startswith("$.")
    assert action["description"].endswith(".")


@pytest.mark.parametrize("quirk", QUIRKS)
def test_the_published_document_shows_the_quirk(quirk: str) -> None:
    """What an action mends is really there."""
    assert SHOWN[quirk]
    for place, published, _ in SHOWN[quirk]:
        assert at(DOCUMENT, place) == published


@pytest.mark.parametrize("quirk", QUIRKS)
def test_the_patched_document_does_not(quirk: str) -> None:
    """What an action mends comes out right."""
    for place, _, mended in SHOWN[quirk]:
        assert at(PATCHED, place) == mended


def test_nothing_else_is_changed() -> None:
    """With each mended place put back, the patched document is the published one."""
    restored = deepcopy(PATCHED)
    for places in SHOWN.values():
        for place, published, _ in places:
            put(restored, place, published)
    assert restored == DOCUMENT


def test_the_published_document_stays_as_it_is() -> None:
    """Patching works on a copy."""
    assert read_document(ROOT / "openapi.yaml") == DOCUMENT


def test_the_patched_document_is_valid_openapi() -> None:
    """The overlay breaks nothing."""
    check_document(PATCHED, "patched")


@pytest.mark.parametrize(
    ("place", "part", "mended"),
    [case for cases in NEW.values() for case in cases],
    ids=[f"{quirk}-{index}" for quirk, cases in NEW.items() for index in range(len(cases))],
)
def test_the_same_quirk_in_a_new_part_is_mended(
    place: tuple[Any, ...], part: Any, mended: Any
) -> None:
    """An action is aimed at the quirk, not at the fields that have it today."""
    document = deepcopy(DOCUMENT)
    put(document, place, part)
    patched = patch(document, ACTIONS)
    assert holds(at(patched, place), mended)
    check_document(patched, "patched")


@pytest.mark.parametrize("quirk", QUIRKS)
def test_an_action_whose_quirk_is_gone_fails_by_name(quirk: str) -> None:
    """Once the vendor has mended it, the build says which action has to go."""
    document = deepcopy(DOCUMENT)
    for place, _, mended in SHOWN[quirk]:
        put(document, place, mended)
    told = failure(document, ACTIONS)
    assert told.startswith(f"overlay.yaml: the override {quirk} is stale, ")
    assert told.endswith("Remove the action from overrides/overlay.yaml")


@pytest.mark.parametrize("quirk", QUIRKS)
def test_an_action_whose_target_is_gone_fails_by_name(quirk: str) -> None:
    """An action that matches nothing is stale, as one that changes nothing."""
    (action,) = (action for action in ACTIONS if action["x-quirk"] == quirk)
    empty = {"openapi": "3.0.3", "info": {}, "paths": {}}
    assert failure(empty, [action]).startswith(
        f"overlay.yaml: the override {quirk} is stale, it matches nothing:"
    )


@pytest.mark.parametrize(
    "update",
    [{"title": "T"}, {}, {"contact": {"name": "N"}}, {"tags": ["a"]}, {"tags": "a"}],
)
def test_an_update_that_changes_nothing_is_stale(update: dict[str, Any]) -> None:
    """At any depth: nested, in a list, or with nothing in it."""
    info = {"title": "T", "contact": {"name": "N", "url": "u"}, "tags": ["a", "b"]}
    action = {"x-quirk": "q", "target": "$.info", "update": update}
    told = failure({"info": info}, [action])
    assert "the override q is stale, what it fixes is right already" in told


@pytest.mark.parametrize(
    ("update", "info"),
    [
        ({"title": "U"}, {"title": "U", "tags": ["a"]}),
        ({"contact": {"name": "N"}}, {"title": "T", "tags": ["a"], "contact": {"name": "N"}}),
        ({"tags": ["b"]}, {"title": "T", "tags": ["a", "b"]}),
    ],
)
def test_an_update_is_merged(update: dict[str, Any], info: dict[str, Any]) -> None:
    """Mappings are merged, lists are added to, other values are replaced."""
    document = {"info": {"title": "T", "tags": ["a"]}}
    patched = patch(document, [{"target": "$.info", "update": update}])
    assert patched == {"info": info}


def test_an_update_reaches_values_in_lists() -> None:
    """A scalar in a list can be the target too."""
    patched = patch({"a": [1, 2]}, [{"target": "$.a[1]", "update": 3}])
    assert patched == {"a": [1, 3]}


def test_two_targets_share_no_part_of_an_update() -> None:
    """A later action that adds to one of them leaves the other alone."""
    actions = [
        {"target": "$.paths.*", "update": {"tags": ["v1"]}},
        {"target": "$.paths.a.tags", "update": ["more"]},
    ]
    patched = patch({"paths": {"a": {}, "b": {}}}, actions)
    assert patched == {"paths": {"a": {"tags": ["v1", "more"]}, "b": {"tags": ["v1"]}}}


def test_a_remove_takes_out_every_match() -> None:
    """An action may remove, too."""
    patched = patch({"a": {"x": 1, "y": 2}, "x": 3}, [{"target": "$..x", "remove": True}])
    assert patched == {"a": {"y": 2}}


@pytest.mark.parametrize(
    "target", ["$..[?(@.a ==", "$.[", "no path at all", "", "$.info[?(@.a < 1)]"]
)
def test_a_broken_target_is_told_with_the_quirk(target: str) -> None:
    """A JSONPath that cannot be read, or fits no document, is one line and no traceback."""
    action = {"x-quirk": "q", "target": target, "update": {"a": 1}}
    told = failure({"info": {"a": "text"}}, [action])
    assert told.startswith("overlay.yaml: ")
    assert "q" in told
    assert "\n" not in told


@pytest.mark.parametrize("update", [{"a": 1}, ["a"]])
def test_an_update_that_does_not_fit_is_told_with_the_quirk(update: Any) -> None:
    """What cannot be merged is an error or a replacement, never a traceback."""
    action = {"target": "$.info", "update": update}
    assert patch({"info": "text"}, [action]) == {"info": update}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("overlay: 1.0.0\n", "overlay.yaml holds no list of actions"),
        ("actions: []\n", "overlay.yaml holds no list of actions"),
        ("actions: {a: b}\n", "overlay.yaml holds no list of actions"),
        ("actions: [a]\n", "overlay.yaml: actions.0 has no target"),
        ("actions: [{x-quirk: q}]\n", "overlay.yaml: actions.0 has no target"),
        ("actions: [{target: 5}]\n", "overlay.yaml: actions.0 has no target"),
        ("actions: [{target: $.a}]\n", "overlay.yaml: $.a: needs an update or a remove"),
        (
            "actions: [{target: $.a, x-quirk: q, update: 1, remove: true}]\n",
            "overlay.yaml: q: needs an update or a remove",
        ),
    ],
)
def test_a_malformed_overlay_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """What is no action is told by its place or its name."""
    path = tmp_path / "overlay.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GenerationError) as caught:
        read_actions(path)
    assert str(caught.value) == told
