"""JSONPath: what the targets of overlays select, and that no target takes long."""

import time
from typing import Any

import pytest

from codegen._jsonpath import LONGEST, MOST_NESTED, compiled

DOCUMENT: dict[str, Any] = {
    "a": {"b": [{"c": 1, "d": "one"}, {"c": 2, "d": "two"}, {"c": None}], "e": {}},
    "f g": {"a": {"b": True, "x": []}},
    "1": ["x", 1, True, 1.5, None, {"y": "€'\"\\"}],
}


def found(target: str, document: Any = DOCUMENT) -> list[Any]:
    """Return what a target selects."""
    return [part[key] for part, key in compiled(target).find([document])]


A, FG, LIST = DOCUMENT["a"], DOCUMENT["f g"], DOCUMENT["1"]
SELECTED = {
    "$": [DOCUMENT],
    "$.a.e": [{}],
    "$ .a ['e'] ": [{}],
    "$['f g']": [FG],
    '$["f g"].a.b': [True],
    "$.a.b[0].c": [1],
    "$.a.b[-1]": [{"c": None}],
    "$.a.b[3]": [],
    "$.a.b[-4]": [],
    "$.a[0]": [],
    "$.a.b.c": [],
    "$.a.b[2,0].c": [None, 1],
    "$.a['e', 'b', 'e']": [{}, A["b"]],
    "$.a.*": [A["b"], {}],
    "$.a[*]": [A["b"], {}],
    "$.a.b.*.c": [1, 2, None],
    "$..b": [A["b"], True],
    "$..*..b": [A["b"], True],
    "$..['b', 'x']": [A["b"], True, []],
    "$..[0]": [A["b"][0], "x"],
    "$.a..*": [A["b"], {}, *A["b"], 1, "one", 2, "two", None],
    "$.a.b[?@.d]": A["b"][:2],
    "$.a.b[?(@.d)]": A["b"][:2],
    "$.a.b[?!@.d]": [{"c": None}],
    "$.a.b[?!(@.d || @.c == 1)]": [{"c": None}],
    "$.a.b[?@.c == null]": [{"c": None}],
    "$.a.b[?@.d != 'one']": A["b"][1:],
    "$.a.b[?@.d == @.x]": [{"c": None}],
    "$.a.b[?@['c'] > 1]": [A["b"][1]],
    "$.a.b[?2 >= @.c && @.c >= 1]": A["b"][:2],
    "$.a.b[?@.d < 'p' || @.c == 2]": A["b"][:2],
    "$.a.b[?@.c <= null]": [{"c": None}],
    "$.a.b[?@.d =~ '^t']": [A["b"][1]],
    "$.a.b[?search(@.d, 'w')]": [A["b"][1]],
    "$.a.b[?!match(@.d, 'n')]": A["b"],
    "$.a.b[?match(@.d, 'o.e')]": [A["b"][0]],
    "$.a.b[?length(@) == 2]": A["b"][:2],
    "$.a.b[?length(@.d) == 3]": A["b"][:2],
    "$.*[?@.a.b == true]": [],
    "$[?@.a.b == true]": [FG],
    "$['1'][?@ == 1]": [1],
    "$['1'][?@ == true]": [True],
    "$['1'][?@ >= 1]": [1, 1.5],
    "$['1'][?@ >= 1.5e0]": [1.5],
    "$['1'][?@ == -1]": [],
    "$['1'][?@.y == '€\\'\"\\\\']": [{"y": "€'\"\\"}],
    "$['1'][?@.y == \"\\u20ac'\\\"\\\\\"]": [{"y": "€'\"\\"}],
    "$['1'][?@[0] == 'x']": [],
    "$[?@[0] == 'x']": [LIST],
}


@pytest.mark.parametrize("target", SELECTED)
def test_a_target_selects(target: str) -> None:
    """A target selects these values, in the document's order."""
    assert found(target) == SELECTED[target]


WRONG = {
    "": "character 1: expected $",
    "a": "character 1: expected $",
    "$a": "character 2: expected . or .. or [",
    "$.": "character 3: expected a name; other names are written ['...']",
    "$.1": "character 3: expected a name; other names are written ['...']",
    "$..": "character 4: expected a name; other names are written ['...']",
    "$.a[": "character 5: expected a name in quotes, an index, * or ?",
    "$.a[b]": "character 5: expected a name in quotes, an index, * or ?",
    "$.a[1.5]": "character 5: expected a name in quotes, an index, * or ?",
    "$.a[1:2]": "character 6: neither a name nor a sign of JSONPath",
    "$.a[1": "character 6: expected , or ]",
    "$.a['b": "character 5: neither a name nor a sign of JSONPath",
    "$.a['\\d']": "character 5: a wrong escape; a backslash is written twice",
    "$.a[?1]": "character 7: expected a comparison",
    "$.a[?length(@)]": "character 15: expected a comparison",
    "$.a[?b]": "character 6: expected a value",
    "$.a[?@ == ]": "character 11: expected a value",
    "$.a[?@..b]": "character 7: expected , or ]",
    "$.a[?(@.b]": "character 10: expected )",
    "$.a[?@ =~ '(']": "character 14: '(' is not a pattern",
    "$.a[?@ =~ 5]": "character 12: 5 is not a pattern",
    "$.a[?@ =~ '(a+)+$']": "character 19: the pattern '(a+)+$' is refused, as it can take",
    "$.a[?search(@, '(.)\\\\1')]": "the pattern '(.)\\\\1' is refused, as it has a backreference",
    f"$[?{'!' * (MOST_NESTED + 1)}@.a]": f"more than {MOST_NESTED} parentheses and operators",
    "$" + ".a" * LONGEST: f"it is longer than {LONGEST} characters",
}


@pytest.mark.parametrize("target", WRONG, ids=range(len(WRONG)))
def test_a_wrong_target_is_refused(target: str) -> None:
    """The error says at which character a target is wrong, and why."""
    with pytest.raises(ValueError, match=r".") as caught:
        compiled(target)
    assert WRONG[target] in str(caught.value)


def test_targets_take_no_exponential_time() -> None:
    """Steps over all descendants do not multiply each other, nor do nested brackets."""
    document: Any = {}
    for _ in range(90):
        document = {"a": document, "b": [{"c": 1}] * 3}
    begin = time.perf_counter()
    assert found("$" + "..*" * 80, document)
    assert len(found("$" + "..a" * 80 + "..b", document)) == 10
    for before, after in (("(" * MOST_NESTED, ")" * MOST_NESTED), ("!" * MOST_NESTED, "")):
        assert found(f"$[?{before}@.a{after}]", [{"a": 1}]) == [{"a": 1}]
    assert time.perf_counter() - begin < 5
