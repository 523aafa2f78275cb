"""How long to wait before the next attempt. Pure: clock and chance are arguments."""

import re
from collections.abc import Mapping
from datetime import UTC

from ._policy import RetryPolicy

LONGEST_WAIT = 86_400.0
"""Seconds: a server that asks for more than a day ends the call, also where it has no budget."""

MAX_LENGTH = 64
"""Characters of a header that is read: a number or an HTTP date needs no more than half of it."""

_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a server asks to wait for, or `None` if it does not.

    Reads `retry-after-ms`, and `Retry-After` as seconds or as an HTTP date. What cannot be read, or
    is longer than `MAX_LENGTH`, is as good as absent; a date in the past is 0.

    Args:
        headers: The answer's headers, names in lower case.
        now: Seconds since the epoch.
    """
    milliseconds = _short(headers, "retry-after-ms")
    if milliseconds and _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    value = _short(headers, "retry-after")
    if not value:
        return None
    if _NUMBER.fullmatch(value):
        return float(value)
    from email.utils import parsedate_to_datetime  # here, as few processes meet such a date

    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)


def _short(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    return value.strip() if len(value) <= MAX_LENGTH else ""


def backoff(policy: RetryPolicy, attempt: int, chance: float) -> float:
    """Return the wait after a failed attempt: exponential, with full jitter.

    Args:
        policy: Its `backoff` is the longest first wait, `cap` the longest of all, in seconds.
        attempt: Number of the attempt that failed, from 1.
        chance: A random number from 0 to 1.
    """
    # Past 2**60 seconds the cap has long been reached; a float would overflow at 2**1024.
    return chance * min(policy.cap, policy.backoff * 2.0 ** min(attempt - 1, 60))
