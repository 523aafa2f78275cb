"""What a failing run says."""

import unicodedata
from typing import TextIO

UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that a terminal or a reviewer could be fooled with."""


class GenerationError(Exception):
    """The client could not be generated. Its text says what is wrong, and where.

    Args:
        lines: Mostly one. A line that comes from a document cannot begin another one.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(printable(line) for line in lines))


def printable(text: object) -> str:
    """Return a text with escapes for what is no printable character, line ends included."""
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in UNPRINTABLE
        else character
        for character in str(text)
    )


def say(line: str, stream: TextIO) -> None:
    """Print a line. All that `generate.sh` prints passes here."""
    encoding = stream.encoding or "utf-8"
    shown = printable(line).encode(encoding, "backslashreplace").decode(encoding)
    stream.write(f"{shown}\n")
    stream.flush()
