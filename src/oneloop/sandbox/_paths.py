"""Paths in one percent-encoded spelling, so that no id can reach another route.

Servers decode paths. An id such as ``a/rotate`` would then look like two segments, and a call for
one thing could reach another.
"""

from urllib.parse import quote, unquote_to_bytes


def encoded(raw_path: bytes) -> str:
    """Return a raw path with only the characters encoded that need it."""
    return "/".join(quote(unquote_to_bytes(part), safe="") for part in raw_path.split(b"/"))
