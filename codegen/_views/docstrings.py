"""Texts of a document as docstrings: Markdown that is laid out again, without what is harmful.

`text` reads the Markdown of a description into lines that `layout` wraps, each of which is a
paragraph, an item of a list, or a line that is kept as it is, such as one of a table or of code.
"""

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise

from codegen._errors import UNPRINTABLE

KEPT = "\0"
"""Begins a line that is not wrapped. No text of a document has it, as `escaped` removes it."""
DEEPEST = 40
"""Lists and quotes that are indented further are moved to the left, to leave room for text."""
FENCE = re.compile(r"(`{3,}|~{3,})(?!.*`)")
MARKER = re.compile(r"(?:[-*+]|\d{1,9}[.)])(?: +|$)")
QUOTE = re.compile(r"(?:> ?){1,9}")
TABLE_RULE = re.compile(r"(?=.*\|)\|? *:?-+:? *(?:\| *:?-+:? *)*\|?")
TITLE_OR_RULE = re.compile(r"#{1,6} .*|=+|--+|\*{3,}|___+")
TAG = re.compile(r"(`[^`]*`)|</?(br|p|div|ul|ol|li)\b[^<>]*>", re.IGNORECASE)


def escaped(text: str) -> str:
    """Return a text as it may stand in a docstring, without what could fool its reader."""
    visible = text
    if re.search(r"[^\n\t -~]", text):
        visible = "".join(
            one
            for one in re.sub(r"[\r\u2028\u2029]", " ", text)
            if one in "\n\t" or unicodedata.category(one) not in UNPRINTABLE
        )
    return visible.replace("\\", r"\\").replace('"""', r"\"\"\"")


def line(text: object) -> str:
    """Return a text as one line of a docstring."""
    return " ".join(escaped(str(text or "")).split())


def text(markdown: str | None) -> str:
    """Return Markdown as the lines of a docstring, for `layout`, `item` and `sentence`."""
    reader = _Markdown()
    whole = re.sub(r"\r\n?|[\u2028\u2029]", "\n", markdown or "").strip("\n").expandtabs(4)
    for raw, following in pairwise([*_without_tags(textwrap.dedent(whole)), ""]):
        reader.read(raw, following)
    reader.close()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(reader.lines)).strip("\n")


def headed(summary: str, description: str, default: str) -> list[list[str]]:
    """Return the first sections of a docstring: a summary and the rest of a description.

    Without a summary it is the first paragraph or title of the description, else `default`.
    """
    first, rest = line(summary), text(description)
    if not first and not rest.startswith((KEPT, " ", ">")) and not MARKER.match(rest):
        first, _, rest = rest.partition("\n")
    elif not first and rest.startswith(f"{KEPT}#"):
        title, _, rest = rest.partition("\n")
        first = title.strip(f"{KEPT}# ")
    repeated = rest.rstrip(".") == first.rstrip(".")
    return [[sentence(first or default)], *([] if repeated or not rest else [[rest.strip("\n")]])]


def sentence(text: str) -> str:
    """Return a text that ends with a full stop, unless it is empty or has another end."""
    last = text.rpartition("\n")[2]
    whole = not last.startswith((KEPT, " ")) and not MARKER.match(last)
    ended = last.rstrip("*_`\"')").endswith((".", "!", "?", ":", "\u2026", "\u3002"))
    return text if not text or ended or not whole else f"{text}."


def remarked(text: str, *remarks: str) -> str:
    """Return a text with remarks behind it, as a paragraph of their own if it has several lines."""
    parts = [sentence(text), " ".join(filter(None, remarks))]
    several = "\n" in text or text.startswith(KEPT)
    return ("\n\n" if several else " ").join(filter(None, parts))


def item(name: str, text: str) -> str:
    """Return an item of a section such as `Args:`."""
    first, *more = text.split("\n")
    if first.startswith(KEPT) or MARKER.match(first):
        first, more = "", [first, *more]
    lines = [f"    {name}: {first}" if first else f"    {name}:" if more else f"    {name}"]
    return "\n".join([*lines, *(indented(one, 8) for one in more)])


def indented(text: str, by: int = 4) -> str:
    """Return a text with its lines indented, as `Returns:` has it."""
    return re.sub(f"(?m)^({KEPT}?)(?=[^{KEPT}\n])", rf"\1{' ' * by}", text)


def layout(sections: Iterable[list[str]], indent: int) -> str:
    """Return a docstring of sections, which are lists of lines, without the quotes."""
    return "\n\n".join("\n".join(_wrapped(section, indent)) for section in sections)


def _wrapped(lines: list[str], indent: int) -> Iterator[str]:
    for text in "\n".join(lines).split("\n"):
        if text.startswith(KEPT):
            yield text[len(KEPT) :].rstrip()
            continue
        body = text.strip()
        lead = text[: len(text) - len(text.lstrip())]
        marker, quote = MARKER.match(body), QUOTE.match(body)
        more = f"{lead}    " if lead == "    " and ": " in text else lead
        more = f"{lead}{quote[0]}" if quote else lead + " " * marker.end() if marker else more
        yield textwrap.fill(
            body,
            width=100 - indent,
            initial_indent=lead,
            subsequent_indent=more,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _without_tags(text: str) -> Iterator[str]:
    """Yield the lines of Markdown, with those tags of HTML as Markdown that make lines."""
    markdown = {"br": "  \n", "li": "\n- "}
    fence = ""
    for raw in text.split("\n"):
        fence, inside = _fence(raw.strip(), fence), fence
        if fence or inside or raw.lstrip().startswith("|"):
            yield raw
            continue
        new = TAG.sub(
            lambda tag: (
                tag[1]
                or ("" if tag[0].lower() == "</li>" else markdown.get(tag[2].lower(), "\n\n"))
            ),
            raw,
        )
        yield from re.sub(r"^ *\n(?=- )", "", new).split("\n")


def _fence(body: str, fence: str) -> str:
    """Return the fence of the code that a line is in or begins; empty behind the last line."""
    if fence:
        return "" if body.startswith(fence) and not body.strip(fence[0]) else fence
    opened = FENCE.match(body)
    return opened[1] if opened else ""


class _Markdown:
    """Reads Markdown line by line into the lines of a docstring."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.open: list[str] = []
        """The words of the paragraph that is not finished."""
        self.lead = ""
        """What stands before them."""
        self.margin = 0
        """Where the text of the last item of a list begins."""
        self.fence = ""
        self.table = False

    def close(self) -> None:
        """Finish the paragraph."""
        if self.open:
            self.lines.append(self.lead[:DEEPEST] + line(" ".join(self.open)))
        self.open = []

    def keep(self, raw: str) -> None:
        """Add a line as it is."""
        self.close()
        self.lines.append(KEPT + escaped(raw.rstrip()))

    def read(self, raw: str, following: str) -> None:
        """Read a line."""
        body, lead = raw.strip(), len(raw) - len(raw.lstrip())
        inside = self.fence
        self.fence = _fence(body, inside)
        rule = TABLE_RULE.fullmatch(following.strip())
        self.table = "|" in body and bool(self.table or body.startswith("|") or rule)
        marker, quote = MARKER.match(body), QUOTE.match(body)
        after_blank = not self.open and (not self.lines or not self.lines[-1].strip(KEPT))
        after_code = self.lines[-1:] and self.lines[-1].startswith(KEPT + " ")
        lazy = not (after_blank or after_code or body[:1].isupper())
        in_list = bool(self.margin and (lead or marker or lazy))
        deep = lead >= (self.margin if in_list else 0) + 4
        is_code = deep and not self.open and (after_blank or after_code)
        if inside or self.fence or self.table:
            self.keep(raw)
        elif not body:
            self.close()
            self.lines.append("")
        elif is_code and not (in_list and marker):
            self.keep(raw)
        elif TITLE_OR_RULE.fullmatch(body):
            self.keep(body)
            self.margin = 0
        elif quote:
            inner = body[quote.end() :]
            before = f"{raw[:lead] if in_list else ''}{quote[0]}"
            self.start(before, inner, joins=self.lead == before and not MARKER.match(inner))
        elif marker and (not self.open or in_list or body[0] in "-*+1"):
            self.start(" " * lead, body)
            self.margin = lead + marker.end()
        else:
            if self.margin and not in_list:
                self.close()
            if after_blank or not in_list:
                self.margin = min(self.margin, lead) if in_list else 0
            self.start(" " * self.margin, body, joins=">" not in self.lead)
        if self.open and (raw.endswith("  ") or body.endswith("\\")):
            self.open[-1] = self.open[-1].removesuffix("\\")
            self.close()

    def start(self, lead: str, text: str, *, joins: bool = False) -> None:
        """Start a paragraph, or continue the one that is not finished."""
        if not (joins and self.open):
            self.close()
            self.lead = lead
        self.open.append(text)
