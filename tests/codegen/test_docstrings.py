"""Descriptions become docstrings that keep the vendor's words, lists, tables and code."""

import ast
import inspect
import textwrap
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from codegen._views.docstrings import (
    KEPT,
    escaped,
    headed,
    indented,
    item,
    layout,
    remarked,
    sentence,
    text,
)

LONG = "word " * 30
MARKDOWN = st.lists(
    st.sampled_from(
        [
            *("* a", "  - b", "1. c", "2) d", "", "", "a | b", "|-|-|", "| a |", "```", "~~~"),
            *("    code", "> q", "> - q", "# T", "---", "==", "text", "Text  ", "end\\", '"""'),
            *("<ul><li>x</li></ul>", "<p>`<br>`", "a<br>b", "2020. x", "        deep", "\\"),
            *("\0", "\t-", LONG, "'''"),
        ]
    )
    | st.text(max_size=8)
).map("\n".join)


@pytest.mark.parametrize(
    ("markdown", "laid_out"),
    [
        ("one\ntwo\n\n\n\nthree", "one two\n\nthree"),
        ("Of:\n* one\n  more\n* two\nmore", "Of:\n* one more\n* two more"),
        ("* one\n* two\nText behind it.", "* one\n* two\nText behind it."),
        ("* one\n\n  of one\n\n* two\n\nText", "* one\n\n  of one\n\n* two\n\nText"),
        ("1. one\n   - a\n   - b\n     c\n2. two", "1. one\n   - a\n   - b c\n2. two"),
        ("- a\n  - b\n\n  of a\n\n      code", "- a\n  - b\n\n  of a\n\n      code"),
        ("2. two\n10) ten", "2. two\n10) ten"),
        ("In the year\n2020. Then", "In the year 2020. Then"),
        ("-1 is\n-2", "-1 is -2"),
        ("# A\ntext\n## B\ntext", "# A\ntext\n## B\ntext"),
        ("Title\n=====\nText\n\n---\n\nmore", "Title\n=====\nText\n\n---\n\nmore"),
        (
            "a\n| a | b |\n|---|---|\n| 1<br>2 | 3 |\nb",
            "a\n| a | b |\n|---|---|\n| 1<br>2 | 3 |\nb",
        ),
        ("a | b\n--|--\n1 | 2\n\na | b\nc", "a | b\n--|--\n1 | 2\n\na | b c"),
        ("```json\n{\n  1\n\n\n\n  2}\n```\na\nb", "```json\n{\n  1\n\n\n\n  2}\n```\na b"),
        ("~~~\n```\n<br>\n~~~\na<br>b", "~~~\n```\n<br>\n~~~\na\nb"),
        ("```not a fence``` a\nb", "```not a fence``` a b"),
        ("```\nnever closed\n  a", "```\nnever closed\n  a"),
        (
            "a:\n\n    code\n      more\n\n    code\n\nb",
            "a:\n\n    code\n      more\n\n    code\n\nb",
        ),
        ("a\n    b", "a b"),
        ("> a\n> b\n>\n> - c\n> - d\ne", "> a b\n>\n> - c\n> - d\ne"),
        ("- a\n  > b\n  > c\n- d", "- a\n  > b c\n- d"),
        (f"- a\n{' ' * 60}- b", f"- a\n{' ' * 40}- b"),
        ("a  \nb\\\nc", "a\nb\nc"),
        ("- a  \n  b", "- a\n  b"),
        ("a<br>b<BR />c `<br>`", "a\nb\nc `<br>`"),
        ("<p>a</p><p class='x'>b</p>", "a\n\nb"),
        ("a<ul>\n  <li>b</li>\n  <li>c</li>\n</ul>d", "a\n\n- b\n- c\n\nd"),
        ("see [a](https://b.c/d_e) and <b>this</b>", "see [a](https://b.c/d_e) and <b>this</b>"),
        ("\n\n  indented\n  twice\n", "indented twice"),
        ("tab\n\n-\ta\r\n-\tb\rc", "tab\n\n- a\n- b c"),
        ("", ""),
        (None, ""),
    ],
)
def test_markdown_keeps_its_shape(markdown: str | None, laid_out: str) -> None:
    """Lines are joined where Markdown joins them, and kept where they mean something."""
    assert layout([[text(markdown)]], indent=8) == laid_out


@pytest.mark.parametrize(
    ("before", "behind"), [("", ""), ("* ", "  "), ("12. ", "    "), ("  - ", "    "), ("> ", "> ")]
)
def test_long_lines_are_wrapped_below_themselves(before: str, behind: str) -> None:
    """Paragraphs, items and quotes are wrapped at 100 columns, with the indent of the docstring."""
    first, second = layout([[text(f"a:\n\n{before}{LONG}")]], indent=8).split("\n")[2:]
    assert first.startswith(f"{before}word")
    assert second.startswith(f"{behind}word")
    assert 85 < len(first) <= 92


def test_what_is_kept_is_not_wrapped() -> None:
    """Rows of tables and code stay on one line each."""
    markdown = f"| {LONG}|\n\n```\n{LONG}\n```"
    assert layout([[text(markdown)]], indent=8) == markdown.replace(f"{LONG}\n", f"{LONG[:-1]}\n")


def test_items() -> None:
    """The paragraphs, lists and code of an item stand below its name, indented."""
    lines = [
        item("plain", text("One.")),
        item("empty", ""),
        item("wrapped", f"a: {LONG}"),
        item("several", remarked(text("One.\n\n* a\n* b\n\n```\n  code\n\n```"), "At most 5.")),
        item("listed", text("* a\n* b")),
        item("coded", text("```\ncode\n```")),
        item("titled", text("# A")),
    ]
    assert layout([["Args:", *lines]], indent=8).split("\n") == [
        "Args:",
        "    plain: One.",
        "    empty",
        *textwrap.wrap(f"    wrapped: a: {LONG}", 92, subsequent_indent=" " * 8),
        *("    several: One.", "", "        * a", "        * b", ""),
        *("        ```", "          code", "", "        ```", "", "        At most 5."),
        *("    listed:", "        * a", "        * b"),
        *("    coded:", "        ```", "        code", "        ```"),
        *("    titled:", "        # A"),
    ]
    assert layout([["Returns:", indented(text("a\n\n- b"))]], 8) == "Returns:\n    a\n\n    - b"


@pytest.mark.parametrize(
    ("summary", "description", "laid_out"),
    [
        ("Get it", "", "Get it."),
        ("Get it.", "Get it", "Get it."),
        ("Get it", "More of\nit.\n\n- a", "Get it.\n\nMore of it.\n\n- a"),
        ("", "First\nlines\n\nMore.", "First lines.\n\nMore."),
        ("", "Of:\n- a\n- b", "Of:\n\n- a\n- b"),
        ("", "# Title\n\nText.", "Title.\n\nText."),
        ("", "* a\n* b", "Default.\n\n* a\n* b"),
        ("", "> quoted", "Default.\n\n> quoted"),
        ("", "```\ncode\n```", "Default.\n\n```\ncode\n```"),
        ("", "", "Default."),
    ],
)
def test_the_first_line_sums_up(summary: str, description: str, laid_out: str) -> None:
    """A docstring begins with a summary, and says nothing twice."""
    assert layout(headed(summary, description, "Default"), indent=8) == laid_out


def test_sentences() -> None:
    """A text gets the full stop that it lacks, where one fits."""
    whole = ["", "a.", "a!", "a?", "Of:", "and so on\u2026", "\u3042\u3002", '"a."', "**a.**"]
    assert [sentence(one) for one in whole] == whole
    assert sentence("a") == "a."
    assert sentence("a (b)") == "a (b)."
    for kept in ("a\n- b", "a\n\n```\nb\n```", "# a", "- a", "- a\n\n  b"):
        assert sentence(text(kept)) == text(kept)
    assert remarked("", "", "At most 5.") == "At most 5."
    assert remarked("a", "", "b.", "c.") == "a. b. c."
    assert remarked("a") == "a."


@given(MARKDOWN, MARKDOWN)
def test_any_text_is_a_tidy_docstring(one: str, other: str) -> None:
    """No text ends the docstring, leaves spaces at the end of lines or loses its words."""
    for summary, described in product((one, ""), (other, one)):
        told = remarked(text(described), "Not empty.")
        sections = [*headed(summary, described, "Default"), ["Args:", item("name", told)]]
        laid_out = layout(sections, indent=8)
        lines = laid_out.split("\n")
        assert lines[0].strip()
        assert not [line for line in lines if line != line.rstrip()]
        assert KEPT not in laid_out
        code = f'def f():\n    """{textwrap.indent(laid_out, "    ")[4:]}\n    """\n'
        (function,) = ast.parse(code).body
        assert isinstance(function, ast.FunctionDef)
        assert len(function.body) == 1
        assert inspect.cleandoc(ast.get_docstring(function) or "")


@given(MARKDOWN)
def test_no_word_is_lost(markdown: str) -> None:
    """All words of a description are in the docstring, in their order."""
    assume(not set('<>\\"') & set(markdown))
    assert layout([[text(markdown)]], indent=8).split() == escaped(markdown).split()
