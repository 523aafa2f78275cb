"""Keys that were refused a moment ago, so that a guard need not ask again."""

from collections.abc import Callable
from hashlib import sha256
from time import monotonic

from oneloop_core import Secret

MAX_REFUSALS = 10_000
"""The largest number of keys that are remembered."""


class Refusals:
    """Keys that were refused in the last `seconds`, by their SHA-256. Threads can share it.

    There are two generations of half the size, and the older one is dropped when the newer one is
    full. So nothing iterates over a dict that another thread changes, and no lock is needed, which
    a fork could copy while it is held.
    """

    def __init__(self, seconds: float, now: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._newer: dict[bytes, float] = {}
        self._older: dict[bytes, float] = {}

    def add(self, key: Secret) -> None:
        """Remember a key from now on."""
        if len(self._newer) >= MAX_REFUSALS // 2:
            self._newer, self._older = {}, self._newer
        self._newer[_digest(key)] = self._now() + self._seconds

    def has(self, key: Secret) -> bool:
        """Return whether a key was refused a moment ago."""
        if not (self._newer or self._older):
            return False
        digest = _digest(key)
        ends = self._newer.get(digest) or self._older.get(digest)
        return ends is not None and self._now() < ends


def _digest(key: Secret) -> bytes:
    return sha256(key.reveal().encode()).digest()
