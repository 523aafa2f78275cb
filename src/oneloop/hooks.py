"""Hooks: what an application is told about its calls, for tracing, metrics and audits.

    from oneloop import Oneloop
    from oneloop.hooks import CallEnded, Hooks

    class Audit(Hooks):
        def call_ended(self, event: CallEnded) -> None:
            print(event.call.operation, event.outcome, event.elapsed)

    client = Oneloop(hooks=Audit())

Hooks are called by the thread or task that makes the call, and should return at once: their time
counts as time of the call. An exception that they raise is logged and otherwise ignored. A call
whose arguments are refused, or whose key cannot be determined, has no events.

No event contains a key, a body or a secret argument, except that an `error` has what its class
documents.
"""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from oneloop_core import Outcome

__all__ = ["AttemptEnded", "AttemptStarted", "CallEnded", "CallStarted", "Hooks"]


@frozen(kw_only=True, eq=False)
class CallStarted:
    """A call begins.

    All events of a call refer to the same object, so that hooks can tell calls apart that go on at
    the same time.

    Attributes:
        operation: Name of the client method, such as `refill_billing_limit`; `request` for
            `client.request`.
        method: HTTP method.
        path: Path of the operation, its parameters by name.
        url: URL without what may be secret in it.
        host: Name or address of the server; without brackets, if it is an IPv6 address.
        port: Port of the server.
        safe: Whether sending the request twice has the same effect as sending it once.
        data: What hooks want to keep until the end of the call. All hooks share it; a hook may use
            itself as the key.
    """

    operation: str
    method: str
    path: str
    url: str
    host: str
    port: int
    safe: bool
    data: dict[Any, Any] = field(factory=dict[Any, Any], repr=False)


@frozen(kw_only=True, eq=False)
class AttemptStarted:
    """An attempt begins: the request is about to be sent.

    Attributes:
        call: The call.
        number: Number of the attempt, starting at 1.
    """

    call: CallStarted
    number: int


@frozen(kw_only=True, eq=False)
class AttemptEnded:
    """An attempt has succeeded, failed, or was interrupted.

    Attributes:
        call: The call.
        number: Number of the attempt, starting at 1.
        elapsed: Seconds from the start of the attempt.
        status: HTTP status of the response; `None` without a response.
        outcome: Whether this attempt took effect: `APPLIED` after a success.
        request_id: The request id of the response, if any.
        error: The `APIError` that the attempt failed with, or the exception that interrupted it,
            such as `asyncio.CancelledError`; `None` after a success.
        wait: Seconds until the next attempt; `None` if there is none.
    """

    call: CallStarted
    number: int
    elapsed: float
    status: int | None
    outcome: Outcome
    request_id: str | None
    error: BaseException | None
    wait: float | None


@frozen(kw_only=True, eq=False)
class CallEnded:
    """A call has succeeded, failed, or was interrupted.

    Attributes:
        call: The call.
        attempts: Number of attempts. It is 0 if the call was interrupted before the first one.
        elapsed: Seconds from the start of the call, backoffs included.
        status: HTTP status of the last response; `None` if the last attempt had no response.
        outcome: Whether the call took effect: `APPLIED` after a success.
        request_id: The request id of that response, if any.
        error: The exception that the caller gets; `None` after a success. Through `with_response`,
            it is also the error that `Response.parsed` raises.
    """

    call: CallStarted
    attempts: int
    elapsed: float
    status: int | None
    outcome: Outcome
    request_id: str | None
    error: BaseException | None


class Hooks:
    """Base class of hooks: override the methods that you need.

    Pass an object, or several in a list, as `Oneloop(hooks=...)` or `with_options(hooks=...)`. Of
    several, the ends are called in reverse order, so that one can enclose another. The methods must
    not be async, also for `AsyncOneloop`.
    """

    def call_started(self, event: CallStarted, /) -> object:
        """Called when a call begins, once its arguments have been checked."""

    def attempt_started(self, event: AttemptStarted, /) -> Mapping[str, str] | None:
        """Called before each attempt.

        Returns:
            Headers to add to the request of this attempt, such as `traceparent`, or `None`. They
            replace headers of the same name, but not those that the client sets itself.
        """
        return None

    def attempt_ended(self, event: AttemptEnded, /) -> object:
        """Called after each attempt that has started, also if it was interrupted."""

    def call_ended(self, event: CallEnded, /) -> object:
        """Called when a call ends, just before its caller gets the result or the error."""
