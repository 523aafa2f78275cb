"""JSONPath: what the targets of overlays select, and that no target takes long."""

import re
import time
from typing import Any

import pytest

from codegen._jsonpath import MOST_DESCENTS, compiled
from codegen._yaml import DEEPEST

DOCUMENT: dict[str, Any] = {
    "a": {"b": [{"c": 1, "d": "one"}, {"c": 2, "d": "two"}, {"c": None}], "e": {}},
    "f g": {"a": {"b": True, "x": []}},
    "1": ["x", 1, True, 1.5, None, {"y": "€'\"\\"}],
}


def found(target: str, document: Any = DOCUMENT) -> list[Any]:
    """Return what a target selects."""
    return [part[key] for part, key in compiled(target).find([document])]


A, FG = DOCUMENT["a"], DOCUMENT["f g"]
SELECTED = {
    "$": [DOCUMENT],
    "$.a.e": [{}],
    "$['f g']": [FG],
    "$.a.b[-1]": [{"c": None}],
    "$.a.b[2,0].c": [None, 1],
    "$.a['e', 'b', 'e']": [{}, A["b"]],
    "$.a.b[0:2]": A["b"][:2],
    "$..b": [A["b"], True],
    "$..*..b": [A["b"], True],
    "$..a..b": [A["b"], True],
    "$.a..*": [A["b"], {}, *A["b"], 1, "one", 2, "two", None],
    "$.a.b[?(@.d)]": A["b"][:2],
    "$.a.b[?!@.d]": [{"c": None}],
    "$.a.b[?search(@.d, 'w')]": [A["b"][1]],
    "$.a.b[?!match(@.d, 'n')]": A["b"],
    "$.a.b[?match(@.d, 'o.e')]": [A["b"][0]],
    "$.a.b[?search(@.d, @.c)]": [],
    "$.a.b[?length(@.d) == 3]": A["b"][:2],
    "$['1'][?@ == 1]": [1],
    "$['1'][?@.y == '€\\'\"\\\\']": [{"y": "€'\"\\"}],
}


@pytest.mark.parametrize("target", SELECTED)
def test_a_target_selects(target: str) -> None:
    """A target selects these values, in the document's order."""
    assert found(target) == SELECTED[target]


WRONG = {
    "": "expected",
    "a": "character 1: ",
    "$.a[1": "character 6: ",
    "$.a['\\d']": "character 6: ",
    "$.a[?@ =~ 'x']": "character 8: unexpected token '='",
    "$.a | $.b": "character 5: ",
    "$.a[?none(@)]": "character 6: ",
    "$..a..b..c": f"more than {MOST_DESCENTS} descendant segments (..)",
    f"$[?{'!' * 5000}@.a]": "recursion",
    f"$[?{'(' * 5000}@.a{')' * 5000}]": "recursion",
}


@pytest.mark.parametrize("target", WRONG, ids=range(len(WRONG)))
def test_a_wrong_target_is_refused(target: str) -> None:
    """The error says at which character a target is wrong, and why."""
    with pytest.raises(ValueError, match=r".") as caught:
        compiled(target)
    assert WRONG[target] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "'(' is not a pattern"),
        ("(a+)+$", "the pattern '(a+)+$' is refused, as it can take"),
        (r"(.)\\1", "is refused, as it has a backreference"),
    ],
)
def test_a_wrong_pattern_is_refused(pattern: str, problem: str) -> None:
    """A pattern is not searched for if it is invalid or could take long."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        found(f"$..[?search(@.d, '{pattern}')]")


def test_targets_take_no_exponential_time() -> None:
    """The most descendant segments that a target may have, in the deepest document."""
    document: Any = {}
    for _ in range(DEEPEST - 3):
        document = {"a": document, "b": [{"c": 1}] * 3}
    begin = time.perf_counter()
    assert found("$..a" + "..*" * (MOST_DESCENTS - 1), document)
    assert time.perf_counter() - begin < 10
