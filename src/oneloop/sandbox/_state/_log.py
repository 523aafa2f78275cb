"""The log of API calls."""

import json
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from threading import RLock
from typing import Any

from attrs import evolve, frozen


@frozen(kw_only=True)
class ReceivedRequest:
    """An API call that the sandbox received completely, without the secrets in it."""

    number: int
    """Its number since the start or the last reset, from 1 on."""
    time: datetime
    """When it was received, in UTC by the machine's clock."""
    method: str
    path: str
    """As sent: percent-encoded and with the query. A link token in it is ``***``."""
    operation: str | None
    """The operationId in the API's document; None if the document has no such operation."""
    headers: Mapping[str, str]
    """The headers, names in lower case. Credentials in them are ``***``."""
    body: str | None
    """The body as compact JSON with each secret replaced by ``***``; empty if there was no body.

    None if it was not kept, because it is not JSON or longer than 16,384 characters."""
    status: int | None
    """The status of the answer; None if there was no answer, or only raw bytes."""
    fault: str | None
    """The name of the fault that the call took; None if it took none."""
    applied: bool
    """Whether the call changed the sandbox's state. The time when a key was last used and the
    counters of rate limits are not considered. A call that is carried out late changes this."""
    pending: bool = False
    """Whether the call is still to be carried out late."""

    @property
    def json(self) -> Any:
        """The body decoded from JSON.

        Raises:
            ValueError: there was no body, or it was not kept.
        """
        if not self.body:
            raise ValueError(f"request {self.number} has no body that was kept")
        return json.loads(self.body)


class RequestLog:
    """The last calls, and the number of all. Every method may be called from any thread."""

    def __init__(self, lock: RLock, size: int) -> None:
        self._lock = lock
        self._entries: deque[ReceivedRequest] = deque(maxlen=size)
        self.count = 0

    def add(self, **known: Any) -> ReceivedRequest:
        """Add a call, given by the fields of a `ReceivedRequest` other than its number."""
        with self._lock:
            self.count += 1
            entry = ReceivedRequest(number=self.count, **known)
            self._entries.append(entry)
            return entry

    def settle(self, entry: ReceivedRequest, *, applied: bool) -> ReceivedRequest:
        """Record that a call is not pending any more; return the changed entry."""
        settled = evolve(entry, applied=applied, pending=False)
        with self._lock:
            index = entry.number - self.count + len(self._entries) - 1
            if index >= 0:  # otherwise, newer ones have taken its place
                self._entries[index] = settled
        return settled

    def entries(self, last: int | None = None) -> tuple[ReceivedRequest, ...]:
        """Return those that are kept, or the `last` of them, oldest first."""
        with self._lock:
            kept = tuple(self._entries)
        return kept if last is None else kept[-last:]
