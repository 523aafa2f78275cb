"""Values and names of a document in code: as literals and as identifiers."""

import keyword
import math
import unicodedata
from typing import Any

from ._findings import Unsupported

LONGEST_NAME = 120
"""Names of files, with what is added to them, have to be shorter than 255 bytes."""
MOST_DIGITS = 100


def literal(value: Any) -> str:
    """Return code for a value of JSON, which is always a literal."""
    if type(value) is int and abs(value) < 10**MOST_DIGITS:
        return repr(value)
    if type(value) is str or value is None or type(value) is bool:
        return repr(value)
    if type(value) is float and math.isfinite(value):
        return repr(value)
    shown = "a number" if type(value) is int else f"{value!r:.50}, a {type(value).__name__},"
    raise Unsupported((), f"{shown} cannot be written into code: use a text or a usual number")


def quoted(value: Any) -> str:
    """Escape a text for a literal in double quotes, which the caller adds."""
    text = value if isinstance(value, str) else value.get_untrusted_value()
    return "".join(one if one == "'" else r"\"" if one == '"' else repr(one)[1:-1] for one in text)


def identifier(name: str) -> str:
    """Return a name as it is, if it is an identifier that has no other meaning in Python."""
    if (
        not name.isidentifier()
        or keyword.iskeyword(name)
        or (name.startswith("__") and name.endswith("__"))
        or name != unicodedata.normalize("NFKC", name)
    ):
        raise Unsupported((), f"{name[:50]!r} cannot be a name in Python: give it another one")
    if len(name.encode()) > LONGEST_NAME:
        raise Unsupported((), f"the name {name[:50]}... is too long: give it a shorter one")
    return name
