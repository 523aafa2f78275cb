"""How long to wait before the next attempt. Pure: clock and chance are arguments."""

import re
from collections.abc import Mapping
from datetime import UTC

from ._policy import RetryPolicy

LONGEST_WAIT = 86_400.0
"""Seconds: a server that asks for more than a day ends the call, also where it has no budget."""

_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a server asks to wait for, or `None` if it does not.

    Reads `retry-after-ms`, and `Retry-After` as seconds or as an HTTP date. What cannot be read is
    as good as absent; a date in the past is 0.

    Args:
        headers: The answer's headers, names in lower case.
        now: Seconds since the epoch.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(value):
        return float(value)
    if not value:
        return None
    from email.utils import parsedate_to_datetime  # here, as few processes meet such a date

    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)


def backoff(policy: RetryPolicy, attempt: int, chance: float) -> float:
    """Return the wait after a failed attempt: exponential, with full jitter.

    Args:
        policy: Its `backoff` is the longest first wait, `cap` the longest of all, in seconds.
        attempt: Number of the attempt that failed, from 1.
        chance: A random number from 0 to 1.
    """
    # Past 2**60 seconds the cap has long been reached; a float would overflow at 2**1024.
    return chance * min(policy.cap, policy.backoff * 2.0 ** min(attempt - 1, 60))
