"""./generate.sh --add: pages are merged into the document, and nothing else in it changes."""

import difflib
import json
import os
import random
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen import _overlays, _render, _run
from codegen.__main__ import main
from codegen._document import parse_document, read_document
from codegen._errors import GenerationError
from codegen._findings import Finding
from codegen._merge import Merged, Page, merge, read_pages
from tests import ROOT

DOCUMENT = ROOT / "openapi.yaml"
REFILL = ROOT / "tests" / "codegen" / "pages" / "refill-the-billing-limit.md"
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}

HEAD = 'openapi: 3.0.3\ninfo:\n  title: T\n  version: "1"\n'
ANSWER = "{responses: {'200': {description: ok}}}"
OTHER = "{responses: {'200': {description: changed}}}"
BASE = """\
# The small API
openapi: 3.0.3
info:
  title: T   # its name
  version: "1"

# --- paths ---
paths:
  # of b
  /b:
    get: # keep
      responses:
        "200": {description:   ok} # as it is

  # of d
  /d:
    put: {responses: {'200': {description: ok}}}
    # the last of d
  # the last of all paths
components:
  schemas:
    Old: &anchor   {  type: object  }
    # the last of schemas
  x-b: 1
  x-c: {d: 1}
x-a: 1
# the end

"""


def page(text: str, name: str = "page.yaml") -> Page:
    """Return a page whose head is that of the small API."""
    return Page(name, parse_document(HEAD + text, name))


def path(path: str, **operations: str) -> str:
    """Return the YAML of a page that has only this path."""
    members = ", ".join(f"{method}: {operation}" for method, operation in operations.items())
    return f"paths: {{{path}: {{{members}}}}}\n"


def schema(text: str, name: str = "Old") -> str:
    """Return the YAML of a page without paths and with one schema."""
    return f"paths: {{}}\ncomponents: {{schemas: {{{name}: {text}}}}}\n"


@cache
def parsed(text: str) -> dict[str, Any]:
    """Parse a document once for all tests; they must not change it."""
    return parse_document(text, "openapi.yaml")


def add(text: str, *pages: Page | str, prefer: Literal["ours", "theirs"] | None = None) -> Merged:
    """Merge pages into a text, and check that summary, text and document of the result agree."""
    ours = Page("openapi.yaml", parsed(text))
    several = [page(part) if isinstance(part, str) else part for part in pages]
    merged = merge(text, ours, several, prefer)
    assert parsed(merged.text) == merged.document
    assert (merged.summary == "nothing new") == (merged.text == text)
    return merged


def refused(text: str, *pages: Page | str, prefer: Literal["ours", "theirs"] | None = None) -> str:
    """Return the error for pages that cannot be merged into a text."""
    with pytest.raises(GenerationError) as caught:
        add(text, *pages, prefer=prefer)
    return str(caught.value)


def new_lines(before: str, after: str) -> str:
    """Return the inserted lines, and check that nothing else changed."""
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    codes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    assert {code for code, *_ in codes} <= {"equal", "insert"}
    return "".join("".join(new[i:j]) for code, _, _, i, j in codes if code == "insert")


# --- the vendored document -----------------------------------------------------------------------


def slices(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Split a document as its vendor does: one operation each, with the components it needs."""
    head = {key: document[key] for key in document if key not in ("paths", "components")}
    for name, item in document["paths"].items():
        shared = {key: value for key, value in item.items() if key not in METHODS}
        for method in item.keys() & METHODS:
            paths = {name: {**shared, method: item[method]}}
            components = dict(reached(paths, document["components"]))
            yield {**head, "paths": paths, "components": components}


def reached(part: Any, components: dict[str, Any]) -> dict[str, Any]:
    """Return the components that a part refers to, directly or not, and all security schemes."""
    found = {"securitySchemes": components.get("securitySchemes", {})}
    parts = [part]
    while parts:
        words = json.dumps(parts.pop()).split('"#/components/')[1:]
        for section, name in (word.split('"')[0].split("/") for word in words):
            if name not in found.setdefault(section, {}):
                found[section] = {**found[section], name: components[section][name]}
                parts.append(components[section][name])
    return found


def block(markdown: str) -> str:
    """Return the text between the fences of a page of the vendor."""
    return markdown.split("````")[1].split("\n", 1)[1]


@pytest.mark.parametrize("seed", range(3))
def test_the_vendored_document_is_what_its_pages_make(seed: int) -> None:
    """The vendored document is the result of adding its pages in any order and number of runs."""
    document = parsed(DOCUMENT.read_text("utf-8"))
    pages = [Page(f"{number}.yaml", cut) for number, cut in enumerate(slices(document))]
    random.Random(seed).shuffle(pages)  # noqa: S311, no secret
    text = block(REFILL.read_text("utf-8"))
    for some in (pages[:seed], pages[seed:]):
        text = add(text, *some).text
    assert text == DOCUMENT.read_text("utf-8")


def test_the_page_as_published_is_in_the_vendored_document() -> None:
    """Adding the published Markdown page changes nothing, as the document has it already."""
    text = DOCUMENT.read_text("utf-8")
    assert add(text, *read_pages([REFILL])).text == text


# --- where new entries go ------------------------------------------------------------------------


def test_new_entries_go_before_the_first_greater_name() -> None:
    """New entries are sorted in; comments and empty lines stay with the entry below them."""
    text = f"""\
paths:
  /a: {{parameters: [], post: {ANSWER}, delete: {ANSWER}}}
  /b: {{delete: {ANSWER}, post: {ANSWER}}}
  /c: {{get: {ANSWER}}}
  /d: {{trace: {ANSWER}}}
  /e: {{get: {ANSWER}}}
components:
  schemas: {{New: {{type: string}}, Older: {{type: string}}}}
  parameters: {{id: {{name: id, in: query, schema: {{type: string}}}}}}
tags:
  - name: a
"""
    merged = add(BASE, text)
    assert merged.summary == "7 operations, 3 components, 2 others"
    answer = "responses:\n{0}  '200':\n{0}    description: ok\n"
    four, six = answer.format(" " * 6), answer.format(" " * 6)
    assert (
        merged.text
        == f"""\
# The small API
openapi: 3.0.3
info:
  title: T   # its name
  version: "1"

# --- paths ---
paths:
  /a:
    delete:
      {six}    parameters: []
    post:
      {six}  # of b
  /b:
    delete:
      {six}    get: # keep
      responses:
        "200": {{description:   ok}} # as it is
    post:
      {six}  /c:
    get:
      {six}
  # of d
  /d:
    put: {{responses: {{'200': {{description: ok}}}}}}
    trace:
      {four}    # the last of d
  /e:
    get:
      {six}  # the last of all paths
components:
  parameters:
    id:
      name: id
      in: query
      schema:
        type: string
  schemas:
    New:
      type: string
    Old: &anchor   {{  type: object  }}
    Older:
      type: string
    # the last of schemas
  x-b: 1
  x-c: {{d: 1}}
tags:
  - name: a
x-a: 1
# the end

"""
    )


NAMES = st.sampled_from(["A", "B", "a", "b", "ba", "é", "Z9"])
ENTRIES = st.one_of(
    st.tuples(st.just("paths"), NAMES.map("/{}".format), st.sampled_from(["get", "put", "head"])),
    st.tuples(st.just("components"), st.sampled_from(["schemas", "responses"]), NAMES),
    st.tuples(st.sampled_from(["x-a", "x-b", "z"]).map("x-{}".format)),
)


def document_of(entries: list[tuple[str, ...]]) -> str:
    """Return a document in block style with entries in this order."""
    content: dict[str, Any] = {"openapi": "3.0.3", "info": {"title": "T", "version": "1"}}
    content["paths"] = {}
    for first, *rest in entries:
        value: Any = {"description": "ok"}
        if first == "paths":
            value = {"operationId": "-".join(rest), "responses": {"200": value}}
        elif rest[:1] == ["schemas"]:
            value = {"type": "string"}
        inner = content
        for key in [first, *rest][:-1]:
            inner = inner.setdefault(key, {})
        inner[[first, *rest][-1]] = value
    return blocks(content, "")


def blocks(mapping: dict[str, Any], indent: str) -> str:
    """Return YAML with one key per line, and a comment above each."""
    lines = ""
    for key, value in mapping.items():
        lines += f"{indent}# of {key}\n{indent}{json.dumps(key, ensure_ascii=False)}:"
        if isinstance(value, dict) and value:
            lines += f"\n{blocks(value, indent + '   ')}"
        else:
            lines += f" {json.dumps(value)}\n"
    return lines


@settings(max_examples=40)
@given(
    st.lists(ENTRIES, unique=True, max_size=6),
    st.lists(ENTRIES, unique=True, min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_the_order_of_pages_and_runs_does_not_matter(
    base: list[tuple[str, ...]], entries: list[tuple[str, ...]], chance: random.Random
) -> None:
    """The result does not depend on the order of pages, nor on how many runs add them."""
    text = document_of(base)
    pages = [Page(f"{entry}", parse_document(document_of([entry]), "p")) for entry in entries]
    expected = add(text, *pages).text
    new_lines(text.replace('paths": {}', 'paths":'), expected.replace('paths": {}', 'paths":'))
    chance.shuffle(pages)
    runs = text
    while pages:
        count = chance.randint(1, len(pages))
        runs = add(runs, *pages[:count]).text
        pages = pages[count:]
    assert runs == expected


def test_the_order_of_keys_in_equal_definitions_does_not_depend_on_the_files() -> None:
    """Of definitions that differ only in the order of keys, the same one is always taken."""
    pages = [
        page(schema(text, "New")) for text in ("{type: object, x-a: 1}", "{x-a: 1, type: object}")
    ]
    assert add(BASE, *pages).text == add(BASE, *reversed(pages)).text


# --- entries that are known ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        path("/b", get=ANSWER),
        path("/b", get="{'responses': {\"200\": {'description': 'ok'}}}"),
        schema("{type: object}"),
        "paths: {}\ncomponents: {}\n",
        "paths: {/z: {}}\ncomponents: {parameters: {}}\n",
        "paths: {}\nx-a: 1\ncomponents: {x-b: 1, x-c: {d: 1}}\n",
    ],
)
@pytest.mark.parametrize("prefer", [None, "ours", "theirs"])
def test_what_is_known_stays_as_it_is(text: str, prefer: Any) -> None:
    """A definition that the document has already stays as it is, however a page writes it."""
    assert add(BASE, text, prefer=prefer).text == BASE


def test_the_order_of_keys_is_no_difference() -> None:
    """Definitions that differ only in the order of keys are equal."""
    text = BASE.replace("{  type: object  }", "{x-a: {b: 1, c: 2}, type: object}")
    assert add(text, schema("{type: object, x-a: {c: 2, b: 1}}")).text == text


VALUES = ["1", "1.0", "true", "'1'", "null", "'null'", "'2020-01-01'", "0"]


@pytest.mark.parametrize("ours", VALUES)
@pytest.mark.parametrize("theirs", VALUES)
def test_values_of_different_types_are_different(ours: str, theirs: str) -> None:
    """1, 1.0 and true are different values in a document, although they are equal in Python."""
    text = BASE.replace("{  type: object  }", f"{{x-a: {ours}}}")
    if ours == theirs:
        assert add(text, schema(f"{{x-a: {theirs}}}")).text == text
    else:
        message = refused(text, schema(f"{{x-a: {theirs}}}"))
        assert message.endswith(f"\n-  x-a: {ours}\n+  x-a: {theirs}")


def test_a_date_is_a_text_with_or_without_quotes() -> None:
    """A date is the same text whether it is quoted or not."""
    text = BASE.replace("{  type: object  }", "{x-a: 2020-01-01}")
    assert add(text, schema("{x-a: '2020-01-01'}")).text == text


def test_an_operation_is_updated_to_its_page() -> None:
    """An update of an operation replaces only its lines, with the comments in them."""
    merged = add(BASE, path("/b", get=OTHER))
    assert merged.summary == "1 updated"
    old = '    get: # keep\n      responses:\n        "200": {description:   ok} # as it is\n'
    new = "    get:\n      responses:\n        '200':\n          description: changed\n"
    assert merged.text == BASE.replace(old, new)


def test_an_operation_in_one_line_is_updated() -> None:
    """An operation in flow style is replaced, and comments after it stay."""
    merged = add(BASE, path("/d", put=OTHER), path("/0", put=ANSWER))
    assert merged.summary == "1 operation; 1 updated"
    new = (
        "    put:\n      responses:\n        '200':\n          description: changed\n    # the last"
    )
    assert f"  /d:\n{new} of d\n  # the last of all paths\n" in merged.text


def test_ours_keeps_an_operation() -> None:
    """--ours keeps an operation that differs, and still adds new ones."""
    assert add(BASE, path("/b", get=OTHER), prefer="ours").text == BASE
    both = path("/b", get=OTHER, put=ANSWER)
    assert add(BASE, both, prefer="ours").text == add(BASE, path("/b", put=ANSWER)).text


SCHEMA_DIFFERS = """\
nothing is added, as definitions differ

components.schemas.Old: --theirs takes the page's, --ours keeps that of openapi.yaml
--- openapi.yaml
+++ a.yaml, page.yaml
 Old:
   description: old
+  nullable: true
   type: object"""


def test_a_component_that_differs_is_reported_with_both_definitions() -> None:
    """A component that differs is reported as a diff, with the names of files and options."""
    base = BASE.replace("{  type: object  }", "{type: object, description: old}")
    text = schema("{nullable: true, type: object, description: old}")
    same = schema("{description: old, type: object, nullable: true}")
    assert refused(base, text, page(same, "a.yaml")) == SCHEMA_DIFFERS


def test_theirs_takes_the_pages_definition_and_ours_keeps_the_other() -> None:
    """--theirs replaces only the lines of the entry, and --ours changes nothing."""
    text = schema("{type: object, nullable: true}")
    theirs = add(BASE, text, prefer="theirs")
    old, new = "Old: &anchor   {  type: object  }", "Old:\n      type: object\n      nullable: true"
    assert theirs.text == BASE.replace(old, new)
    assert theirs.summary == "1 updated"
    assert add(BASE, text, prefer="ours").text == BASE


def test_all_that_differs_is_reported_at_once() -> None:
    """All entries that differ are reported in one error, except operations."""
    base = BASE.replace("  # of d\n", "    summary: B\n  # of d\n")
    text = f"paths: {{/b: {{summary: X, get: {OTHER}, put: {ANSWER}}}}}\n"
    text += "components: {schemas: {Old: {type: string}}, x-c: 2}\nservers: [{url: /}]\n"
    other = page(text)
    other.document["info"]["title"] = "U"
    message = refused(base, other).splitlines()
    headings = [line.split(": --theirs")[0] for line in message if ": --theirs" in line]
    assert headings == ["components.schemas.Old", "components.x-c", "info", "paths./b.summary"]
    assert message[0] == "nothing is added, as definitions differ"
    merged = add(base, other, prefer="theirs")
    assert merged.summary == "1 operation, 1 other; 5 updated"
    assert merged.document["info"] == {"title": "U", "version": "1"}
    assert merged.document["paths"]["/b"]["summary"] == "X"
    kept = add(base, other, prefer="ours")
    assert kept.summary == "1 operation, 1 other"


PAGES_DIFFER = """\
nothing is added, as definitions differ

GET /z: leave out all but one of these, or add them one at a time
--- a.yaml, c.yaml
+++ b.yaml
 get:
   responses:
     '200':
-      description: ok
+      description: changed"""


@pytest.mark.parametrize("prefer", [None, "ours", "theirs"])
def test_pages_that_differ_are_reported(prefer: Any) -> None:
    """Pages that define the same new entry differently are an error, whatever the options."""
    says = {"a": ANSWER, "b": OTHER, "c": ANSWER}
    pages = [page(path("/z", get=text), f"{name}.yaml") for name, text in says.items()]
    assert refused(BASE, *pages, prefer=prefer) == PAGES_DIFFER


def test_ours_settles_what_pages_differ_on() -> None:
    """--ours keeps the document's definition of an entry on which pages differ."""
    pages = [page(schema("{type: string}"), "a.yaml"), page(schema("{type: number}"), "b.yaml")]
    message = refused(BASE, *pages, prefer="theirs")
    assert "Old: leave out all but one of these, or add them one at a time; --ours keeps" in message
    assert add(BASE, *pages, prefer="ours").text == BASE
    assert refused(BASE, page(schema("{type: object}"), "c.yaml"), *pages).count("\n--- ") == 2


# --- layouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_the_end_of_the_text_stay(end: str, mark: str, last: bool) -> None:
    """CRLF, a byte order mark and a last line without a newline are kept."""
    text = add(f"{HEAD}paths:\n  /b: {{}}\n", path("/b", get=ANSWER)).text
    text += "x-z: the end\n"
    pages = [path("/a", get=ANSWER), "paths: {}\nx-a: |\n  two\n  lines\n"]
    pages.append(schema("{type: string}"))  # is added at the very top
    plain = add(text, *pages).text
    assert plain.startswith("components:\n")

    def put(text: str) -> str:
        return mark + text.removesuffix("" if last else "\n").replace("\n", end)

    assert add(put(text), *pages).text == put(plain)


def test_lines_after_the_last_one_give_it_an_end() -> None:
    """If lines are added after a last line without a newline, both get one."""
    text = f"{HEAD}paths: {{}}\nx-a: 1"
    assert add(text, "paths: {}\nx-b: |\n  b\n").text == f"{text}\nx-b: |\n  b\n"


@pytest.mark.parametrize("empty", ["{}", "{ }  # none", "\n  {}", "{\n  }"])
def test_an_empty_mapping_is_filled(empty: str) -> None:
    """The braces of an empty mapping are removed when it is filled; a comment stays."""
    text = f"{HEAD}components:\n    schemas: {empty.replace('  {}', '      {}')}\npaths: {empty}\n"
    merged = add(text, path("/a", get=ANSWER), schema("{type: string}"))
    assert merged.text.count("# none") == text.count("# none")
    assert "{" not in merged.text
    assert merged.text.startswith(f"{HEAD}components:\n    schemas:")
    assert "      Old:\n        type: string\npaths:" in merged.text
    assert merged.text.endswith(
        "  /a:\n    get:\n      responses:\n        '200':\n          description: ok\n"
    )


def test_a_document_without_components_gets_them() -> None:
    """A document without components gets them like any other new member."""
    merged = add(f"{HEAD}paths: {{}}\n", schema("{type: string}"))
    assert new_lines(f"{HEAD}paths: {{}}\n", merged.text) == (
        "components:\n  schemas:\n    Old:\n      type: string\n"
    )


SHARED = "  /a: &a\n    get:\n      responses: {'200': {description: ok}}\n"
LAYOUTS = {
    "JSON": json.dumps({"openapi": "3.0.3", "info": {"title": "T", "version": "1"}, "paths": {}}),
    "flow style": f"{HEAD}paths: {{/a: {{get: {ANSWER}}}}}\n",
    "flow style in lines": f"{HEAD}paths: {{\n  /a: {{get: {ANSWER}}}\n}}\n",
    "flow style of a path": f"{HEAD}paths:\n  /z: {{put: {ANSWER}}}\n",
    "question marks": f"{HEAD}paths:\n  ? /a\n  : get: {ANSWER}\n",
    "an anchor for paths": f"{HEAD}paths:\n{SHARED}  /z: *a\n",
    "an anchor in what changes": (
        f"{HEAD}paths:\n  /z:\n    get: &z {OTHER}\n  /a:\n    get: *z\n"
    ),
    "a merge key": f"{HEAD}paths:\n{SHARED}  /z:\n    <<: *a\n",
    "a kept last line": f"{HEAD}paths: {{}}\nx-a: |+\n  text\n\nx-c: 1\n",
}


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
def test_other_layouts_are_refused(text: str) -> None:
    """If lines cannot be added to the layout of a document, one line says what to change."""
    assert refused(text, path("/z", get=ANSWER, head=ANSWER), "paths: {}\nx-b: 1\n") == (
        "openapi.yaml is laid out so that lines cannot be added to it:"
        " write its paths and components in block style, without anchors"
    )


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
def test_any_layout_will_do_if_nothing_is_new(text: str) -> None:
    """The layout does not matter if nothing is added."""
    assert add(text, "paths: {}\n").text == text


def test_unusual_layouts_elsewhere_are_no_trouble() -> None:
    """A document needs block style only where lines are added."""
    text = f"---\n{HEAD}x-a: {{b: &b [1, 2], c: *b}}\npaths:\n    /a: {{get: {ANSWER}}}\n    /c:\n"
    text += f"       put: {ANSWER}\n...\n"
    merged = add(text, path("/b", get=ANSWER), path("/c", trace=ANSWER))
    assert new_lines(text, merged.text).replace(" ", "").count("description:ok") == 2
    assert "    /b:\n      get:\n" in merged.text
    assert "       trace:\n         responses:\n" in merged.text


# --- what new lines look like --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("'200'", "'200'"),
        ("yes", "yes"),
        ("^\\d+$", "^\\d+$"),
        ('"a b: c # d"', "'a b: c # d'"),
        ("x" * 90 + " " + "y" * 90, "x" * 90 + " " + "y" * 90),
        ('"one\\ntwo\\n\\n  three"', "|-\n        one\n        two\n\n          three"),
        ('" one\\ntwo\\n"', "|2\n         one\n        two"),
        ('"a\\u2028b\\nc"', '"a\\Lb\\nc"'),
        ('"a\\r\\nb"', '"a\\r\\nb"'),
        ("é", "é"),
        ("[]", "[]"),
        ("{}", "{}"),
        (
            "[{a: [b, 1.0]}, &n null, *n]",
            "\n        - a:\n            - b\n            - 1.0\n        - null\n        - null",
        ),
    ],
)
def test_new_lines_are_in_the_style_of_the_vendors(value: str, lines: str) -> None:
    """New lines are in block style, without folding, anchors and unnecessary quotes."""
    merged = add(BASE, schema(f"{{type: string, example: {value}}}", "New"))
    gap = "" if lines.startswith("\n") else " "
    assert new_lines(BASE, merged.text) == (
        f"    New:\n      type: string\n      example:{gap}{lines}\n"
    )


def test_equal_parts_are_written_out() -> None:
    """A page's aliases are written out as copies."""
    merged = add(BASE, schema("{properties: {a: &a {type: string}, b: *a}}", "New"))
    assert "&a" not in new_lines(BASE, merged.text)
    assert new_lines(BASE, merged.text).count("type: string") == 2


def test_long_names_get_a_line_like_others() -> None:
    """Even a long name gets its own line, so that something can be added to it later."""
    long = "/" + "x" * 300
    merged = add(add(BASE, path(long, get=ANSWER)).text, path(long, put=ANSWER))
    assert f"  {long}:\n    get:\n" in merged.text


# --- results that cannot be ----------------------------------------------------------------------


def test_an_invalid_result_is_refused() -> None:
    """Two valid documents that are invalid together are refused."""
    one, two = (f"{{operationId: x, {ANSWER[1:]}" for _ in range(2))
    message = refused(BASE, page(path("/y", get=one)), page(path("/z", get=two)))
    assert message.startswith("openapi.yaml with the pages added: ")
    assert "x" in message


def test_what_is_nested_too_deep_to_be_written_is_refused() -> None:
    """A value that can be read but is nested too deeply to be written is refused."""
    value: Any = 1
    for _ in range(800):
        value = {"a": value}
    deep = Page("deep.yaml", {**page("paths: {}\n").document, "x-a": value})
    assert refused(BASE, deep) == "what is added is nested too deeply"


# --- files ---------------------------------------------------------------------------------------

SMALL = HEAD + path("/a", get=ANSWER)


def test_the_page_as_published_is_read() -> None:
    """The block between fences of four backticks is read, and nothing around it."""
    (found,) = read_pages([REFILL])
    assert found == Page(str(REFILL), parse_document(block(REFILL.read_text("utf-8")), "page"))


@pytest.mark.parametrize("name", ["a.yaml", "a.yml", "a.json", "a.YAML"])
def test_documents_are_read(tmp_path: Path, name: str) -> None:
    """Files with the endings of YAML and JSON are documents; backticks in them mean nothing."""
    text = json.dumps({**parse_document(SMALL, "a"), "x-a": "\n```yaml get /b\nopenapi: 1\n```\n"})
    (tmp_path / name).write_text(text, encoding="utf-8")
    (found,) = read_pages([tmp_path / name])
    assert found == Page(str(tmp_path / name), json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        f"```yaml get /a\n{SMALL}```",
        f"```yaml GET /a\nx-a: |\n  ```sh\n{SMALL}```\n",
        f"# A\n\n`````yml\nx-a: |\n  ````\n{SMALL}`````\nmore\n",
        f"~~~ YAML openapi.json get /a\n{SMALL}# ```\n~~~~  \n",
        f"```json get /a\n{json.dumps(parse_document(SMALL, 'a'), indent=1)}\n```\n",
        f"```\nopenapi: [\n```\n```yaml\nb: {{}}\n```\n```yaml\n{SMALL}```\n```sh\nopenapi\n```\n",
        f"``` not ``` a fence\n```yaml get /a\n{SMALL}```\n```sh\nopen at the end",
    ],
)
@pytest.mark.parametrize("indent", ["", "   "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_block_is_found(tmp_path: Path, text: str, indent: str, end: str, mark: str) -> None:
    """The block is found whatever its fence is made of and whatever is around it."""
    lines = text.splitlines(keepends=True)
    text = "".join(f"{indent}{line}" for line in lines).replace("\n", end)
    (tmp_path / "page.md").write_bytes(f"{mark}{text}".encode())
    (found,) = read_pages([tmp_path / "page.md"])
    document = found.document
    document.pop("x-a", None)
    assert document == parse_document(SMALL, "a")


def test_all_blocks_are_read(tmp_path: Path) -> None:
    """A file can contain several documents, and a run can read several files."""
    text = f"```yaml get /a\n{SMALL}```\n"
    (tmp_path / "two.md").write_text(text + text.replace("/a", "/b"), encoding="utf-8")
    found = read_pages([tmp_path / "two.md", REFILL])
    assert [list(page.document["paths"]) for page in found] == [
        ["/a"],
        ["/b"],
        ["/api/v1/customer-billing/refill"],
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.md", "", " contains no ```yaml block with an OpenAPI document"),
        ("p.md", f"# A\n{SMALL}", " contains no ```yaml block with an OpenAPI document"),
        ("p.md", f"```yaml get /a\n{SMALL}", ": line 1: the block is not closed"),
        ("p.md", f"#\n\n````yaml\n{SMALL}```\n", ": line 3: the block is not closed"),
        ("p.md", f"```yaml get /b\n{SMALL}```", ": its block does not contain GET /b"),
        ("p.md", f"```yaml PUT /a\n{SMALL}```", ": its block does not contain PUT /a"),
        (
            "p.md",
            f"```yaml get /a\n{HEAD.replace('3.0.3', '3.1.0')}components: {{}}\n```",
            ": its block does not contain GET /a",
        ),
        (
            "p.md",
            f"A\n\n```yaml get /a\n{SMALL}info: 1\n```",
            ": line 9, column 1: found duplicate",
        ),
        ("p.md", f"  ```yaml\n  {SMALL.splitlines()[0]}\n  a: [\n  ```", ": line 3, column "),
        ("p.md", "```yaml\nswagger: '2.0'\n```", " is not an OpenAPI 3.0 or 3.1 document: its"),
        ("p.md", b"```yaml\n\xff", " cannot be read: 'utf-8' codec can't decode"),
        ("p.yaml", "", " is not a mapping"),
        ("p.yaml", "- a\n", " is not a mapping"),
        ("p.yaml", b"\x00\x01", ": line 1, column 1: unacceptable character"),
        ("p.yaml", "swagger: '2.0'\n", " is not an OpenAPI 3.0 or 3.1 document: its version is"),
        ("p.yaml", f"{SMALL}info: 1\n", ": line 6, column 1: found duplicate key"),
        (
            "p.yaml",
            SMALL.replace("responses:", "requestBody: {}, responses:"),
            ": paths./a.get.requestBody: con",
        ),
        (
            "p.yaml",
            SMALL.replace("description: ok", "$ref: '#/components/responses/A'"),
            ": paths./a.get.responses.200.$ref: $ref '#/components/responses/A' has no target",
        ),
        ("p.yaml", "a: " + "[" * 500, ": line 1, column 103: more than 100 levels"),
    ],
)
def test_a_file_that_is_not_a_page_is_reported(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    """A file that is not a page is reported in one line, with its name and line."""
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GenerationError) as caught:
        read_pages([REFILL, tmp_path / name])
    said = str(caught.value)
    assert said.removeprefix(str(tmp_path / name)).removeprefix(name).startswith(message)
    assert name in said
    assert "\n" not in said


@pytest.mark.parametrize("name", ["missing.md", "."])
def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path, name: str) -> None:
    """A missing file, or a folder in its place, is reported."""
    with pytest.raises(GenerationError, match=r" cannot be read: \[Errno "):
        read_pages([tmp_path / name])


# --- the run -------------------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    """Return the names of everything in a folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())


def state(*files: Path) -> list[Any]:
    """Return the contents, modification times and modes of files."""
    return [(path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) for path in files]


class Run:
    """A document, a page with a new operation, and a package, all in one folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.document = folder / "api.yaml"
        self.document.write_text(BASE, encoding="utf-8")
        self.document.chmod(0o640)
        os.utime(self.document, ns=(1, 1))
        self.page = folder / "page.yaml"
        self.page.write_text(HEAD + path("/z", get=ANSWER), encoding="utf-8")
        self.package = folder / "package"
        self.merged = add(BASE, path("/z", get=ANSWER)).text

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Run ./generate.sh, and return its exit code and what it printed."""
        options = ["--document", self.document, "--output", self.package]
        code = main([str(argument) for argument in (*arguments, *options)])
        return code, *self.capsys.readouterr()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a run without overrides, which writes a small file instead of generating code."""

    def render(
        _: object, document: dict[str, Any], package: Path, name: str, *__: object, **___: object
    ) -> str:
        package.mkdir()
        (package / "paths").write_text(" ".join(document["paths"]), encoding="utf-8")
        return name

    monkeypatch.setattr(_render, "render", render)
    monkeypatch.setattr(_run, "quirks", lambda _: [])
    return Run(tmp_path, capsys)


def test_add_merges_and_generates(run: Run) -> None:
    """--add merges the page, generates from the result, and keeps the mode of the document."""
    code, out, err = run("--add", run.page)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("1/4 read     api.yaml, no overlays (another API than openapi.yaml;")
    assert lines[1] == "    add      1 operation"
    written = f"2 files changed in {run.package}; {run.document} changed"
    assert lines[-1] == f"4/4 write    {written}"
    assert run.document.read_text("utf-8") == run.merged
    assert run.document.stat().st_mode & 0o777 == 0o640
    assert (run.package / "paths").read_text("utf-8") == "/b /d /z"
    assert names(run.document.parent) == ["api.yaml", "package", "page.yaml"]
    assert run("--check")[0] == 0


def test_quirks_of_a_page_are_shown_once_it_is_added(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--lint` reads the document, which a dry run does not change."""
    monkeypatch.setattr(_run, "quirks", lambda _: [Finding(("info",), "it is odd")])
    _, out, _ = run("--add", run.page, "--dry-run")
    assert re.search(r"1 quirk that .* --lint .* shows it when the pages are added\n", out)
    _, out, _ = run("--add", run.page)
    assert re.search(r"1 quirk that .* --lint .* shows it\n", out)


def test_adding_again_changes_nothing_and_says_so(run: Run) -> None:
    """Adding a page again reports that nothing is new, and writes no file."""
    run("--add", run.page)
    before = state(run.document, *run.package.iterdir())
    code, out, _ = run("--add", run.page, "--add", run.page, run.page)
    lines = out.splitlines()
    assert (code, lines[1]) == (0, "    add      nothing new")
    assert lines[-1] == f"4/4 write    nothing changed in {run.package}"
    assert state(run.document, *run.package.iterdir()) == before


def test_a_run_that_adds_nothing_does_not_write_the_document(run: Run) -> None:
    """A run that adds nothing may write the package, but not the document."""
    run.document.write_text(run.merged, encoding="utf-8")
    before = state(run.document)
    assert (run()[0], run.package.exists()) == (0, True)
    (run.package / "paths").write_text("edited", encoding="utf-8")
    assert run("--add", run.page)[1].endswith(f" 1 files changed in {run.package}\n")
    assert state(run.document) == before


@pytest.mark.parametrize(("which", "title"), [("--ours", "T"), ("--theirs", "U")])
def test_ours_and_theirs_decide(run: Run, which: str, title: str) -> None:
    """--ours and --theirs decide which definition is kept; without them nothing is written."""
    run.page.write_text(run.page.read_text("utf-8").replace("title: T", "title: U"), "utf-8")
    before = state(run.document)
    code, _, err = run("--add", run.page)
    assert (code, err.splitlines()[0]) == (
        1,
        "generate.sh: nothing is added, as definitions differ",
    )
    assert "info: --theirs takes" in err
    assert (state(run.document), names(run.document.parent)) == (before, ["api.yaml", "page.yaml"])
    assert run("--quiet", "--add", run.page, which) == (0, "", "")
    assert read_document(run.document)["info"]["title"] == title


def test_a_link_to_the_document_stays(run: Run, tmp_path: Path) -> None:
    """If the document is a symbolic link, its target is changed."""
    run.document.rename(tmp_path / "real.yaml")
    run.document.symlink_to("real.yaml")
    assert run("--add", run.page)[0] == 0
    assert run.document.is_symlink()
    assert (tmp_path / "real.yaml").read_text("utf-8") == run.merged


def test_all_files_are_added(run: Run, tmp_path: Path) -> None:
    """--add accepts several files, at once or one by one; a missing file is an error."""
    other = tmp_path / "other.yaml"
    other.write_text(HEAD + path("/y", get=ANSWER), encoding="utf-8")
    code, out, _ = run("--add", other, "--add", run.page)
    assert (code, out.splitlines()[1]) == (0, "    add      2 operations")
    code, _, err = run("--add", tmp_path / "missing.md", "--add", run.page)
    assert (code, err.startswith("generate.sh: missing.md cannot be read: ")) == (1, True)


@pytest.mark.parametrize("fault", [OSError("no space"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["patch", "render", "rename"])
def test_a_failing_run_leaves_the_document(
    run: Run, monkeypatch: pytest.MonkeyPatch, where: str, fault: BaseException
) -> None:
    """A failed run leaves no draft, and changes neither document nor package."""
    run()
    before = state(run.document, *run.package.iterdir())

    def fail(*_: object, **__: object) -> None:
        if where == "rename":
            assert run.document.read_text("utf-8") == run.merged  # the document is published first
        raise fault

    module: Any = {"patch": _overlays, "render": _render, "rename": Path}[where]
    with monkeypatch.context() as patch:
        patch.setattr(module, where, fail)
        code, _, err = run("--quiet", "--add", run.page)
    message = "no space" if code == 1 else "interrupted; nothing was changed"
    assert (code in (1, 130), err) == (True, f"generate.sh: {message}\n")
    assert state(run.document, *run.package.iterdir()) == before
    assert names(run.document.parent) == ["api.yaml", "package", "page.yaml"]


def test_what_was_edited_meanwhile_is_not_overwritten(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that was edited during the run is not overwritten."""

    def edit(*_: object) -> None:
        run.document.write_text("edited", encoding="utf-8")

    with monkeypatch.context() as patch:
        patch.setattr(_render, "write_manifest", edit)
        code, _, err = run("--add", run.page)
    message = "generate.sh: api.yaml was changed during the run: run it again\n"
    assert (code, err) == (1, message)
    assert run.document.read_text("utf-8") == "edited"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--add"],
        ["--add", "page.md", "--check"],
        ["--ours"],
        ["--theirs"],
        ["--add", "page.md", "--ours", "--theirs"],
    ],
)
def test_wrong_combinations_are_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Options that exclude each other print the usage before anything is read."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ./generate.sh")


def test_an_added_operation_is_generated(tmp_path: Path) -> None:
    """A new operation is generated from a real page with the real overrides."""
    document = tmp_path / "openapi.yaml"
    document.write_bytes(DOCUMENT.read_bytes())
    text = REFILL.read_text("utf-8").replace("customer-billing/refill", "customer-billing/again")
    page = tmp_path / "again.md"
    page.write_text(text.replace("refillBillingLimit", "refillAgain"), encoding="utf-8")
    options = ["--document", str(document), "--output", str(tmp_path / "oneloop_api")]
    assert main(["--quiet", "--add", str(page), *options]) == 0
    assert "def refill_again(" in (tmp_path / "oneloop_api" / "client.pyi").read_text("utf-8")
    text = document.read_text("utf-8")
    assert new_lines(DOCUMENT.read_text("utf-8"), text).count("operationId: refillAgain") == 1
    assert "\n  /api/v1/customer-billing/again:\n    post:\n" in text
