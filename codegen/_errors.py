"""The error that ends a run, and output that is safe to print."""

import unicodedata
from typing import TextIO

UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that could mislead a terminal or a reviewer."""


class GenerationError(Exception):
    """The client could not be generated. The message says what is wrong, and where.

    Args:
        lines: The lines of the message. Line ends within them are escaped, so that text from a
            document cannot begin a line of its own.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(printable(line) for line in lines))


def printable(text: object) -> str:
    """Return a text with unprintable characters, including line ends, escaped."""
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in UNPRINTABLE
        else character
        for character in str(text)
    )


def say(line: str, stream: TextIO) -> None:
    """Print a line. All output of `generate.sh` goes through this function."""
    encoding = stream.encoding or "utf-8"
    shown = printable(line).encode(encoding, "backslashreplace").decode(encoding)
    stream.write(f"{shown}\n")
    stream.flush()
