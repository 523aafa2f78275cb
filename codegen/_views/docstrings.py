"""Texts of a document as docstrings."""

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator

from codegen._errors import UNPRINTABLE


def escaped(text: str) -> str:
    """Return a text as it may stand in a docstring, without what could fool its reader."""
    visible = "".join(
        one
        for one in re.sub(r"[\u2028\u2029]", " ", text)
        if one in "\n\t" or unicodedata.category(one) not in UNPRINTABLE
    )
    return visible.replace("\\", r"\\").replace('"""', r"\"\"\"")


def line(text: object) -> str:
    """Return a text as one line of a docstring."""
    return " ".join(escaped(str(text or "")).split())


def sentence(text: str) -> str:
    """Return a line that ends with a full stop, unless it is empty or has another end."""
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def item(name: str, text: str) -> str:
    """Return an item of a section such as `Args:`."""
    return f"    {name}: {text}" if text else f"    {name}"


def layout(sections: Iterable[list[str]], indent: int) -> str:
    """Return a docstring of sections, which are lists of lines, without the quotes."""
    return "\n\n".join("\n".join(_wrapped(section, indent)) for section in sections)


def _wrapped(lines: list[str], indent: int) -> Iterator[str]:
    for text in lines:
        lead = " " * (len(text) - len(text.lstrip()))
        more = lead + "    " if lead and ": " in text else lead
        yield textwrap.fill(
            text.strip(),
            width=100 - indent,
            initial_indent=lead,
            subsequent_indent=more,
            break_long_words=False,
            break_on_hyphens=False,
        )
