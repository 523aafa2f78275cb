"""Calls that hooks are told about. Nothing here is loaded, or runs, without hooks."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from attrs import evolve

from oneloop_core import Call, Definition, Outcome, Secret

from . import transport
from ._call import Reply, SpecialCourse, shown_url
from ._decoding import lower_headers, request_id
from ._errors import APIError, ConfigurationError
from ._failures import MAX_TEXT
from ._retry import Retry, is_async
from ._settings import RESERVED_HEADERS, Context, limits_within, merged_headers
from .hooks import AttemptEnded, AttemptStarted, CallEnded, CallStarted, Hooks

T = TypeVar("T")

logger = logging.getLogger("oneloop")

_RESERVED = RESERVED_HEADERS | {"cookie"}  # a credential may be sent there

METHODS = ("call_started", "attempt_started", "attempt_ended", "call_ended")


def checked_hooks(given: object) -> tuple[Hooks, ...]:
    """Return the hooks of a client's argument `hooks`.

    Raises:
        ConfigurationError: It is not an object with hooks, or a list of them.
    """
    if given is None:
        return ()
    if isinstance(given, Hooks):
        given = [given]
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise ConfigurationError(f"hooks must be a Hooks object or a list of them, got {given!r}")
    found: tuple[Any, ...] = tuple(given)  # pyright: ignore[reportUnknownArgumentType]
    if len({id(one) for one in found}) < len(found):
        raise ConfigurationError("hooks must not contain the same object twice")
    for one in found:
        if not isinstance(one, Hooks):
            must = "hooks must be objects of classes derived from oneloop.hooks.Hooks"
            raise ConfigurationError(f"{must}, got {one!r}")
        for name in METHODS:
            method = getattr(one, name)
            if not callable(method) or is_async(method):
                what = "async" if callable(method) else "not callable"
                raise ConfigurationError(
                    f"hooks must have methods that are not async; {type(one).__name__}.{name} "
                    f"is {what}"
                )
    return found


class ObservedCourse(SpecialCourse[T]):
    """A call that hooks are told about.

    Attributes:
        added: Headers that the hooks add to the current attempt.
    """

    __slots__ = ("_api", "_attempt", "_began", "_error", "_event", "_is_over", "_latest", "added")

    def __init__(
        self, call: Call[Any], context: Context, api: Definition, *, with_response: bool = False
    ) -> None:
        super().__init__(call, context, with_response=with_response)
        self._api = api
        self._attempt: AttemptStarted | None = None
        self._error: APIError | None = None
        self._latest: tuple[Outcome, int | None, str | None] = Outcome.NOT_SENT, None, None
        self._is_over = False
        self.added: tuple[tuple[str, str], ...] = ()

    def request(self) -> transport.Request:
        operation, context = self._call.operation, self._context
        parts = urlsplit(context.base_url)
        self._event = CallStarted(
            operation=operation.name,
            method=operation.method,
            path=operation.path,
            url=shown_url(self._call, context),
            host=parts.hostname or "",
            port=parts.port or (443 if parts.scheme == "https" else 80),
            safe=operation.safe,
        )
        self._started = self.clock()  # for `elapsed`, if a hook is interrupted
        self._tell_all("call_started", self._event)
        return super().request()

    def begin(self) -> transport.Limits:
        # Hooks first: while they run, nothing has been sent, and it is their time that is lost.
        self._attempt = AttemptStarted(call=self._event, number=self._attempts + 1)
        self._began = self.clock()
        headers: dict[str, str] = {}
        for given in self._tell_all("attempt_started", self._attempt):
            headers = self._with_headers(headers, given)
        self.added = tuple(headers.items())
        limits = super().begin()
        budget = self._context.limits.total
        if budget is None:
            return limits
        # Their time counts as time of the call, so that it also limits the first attempt.
        return limits_within(self._context.settings, max(0.0, budget - self._elapsed()))

    def judge(self, reply: Reply) -> APIError | float | None:
        status = identifier = None
        if not isinstance(reply, transport.TransportError):
            status, identifier = reply.status, self._request_id(reply)
        self._latest, self._error = (Outcome.UNKNOWN, status, identifier), None
        after = super().judge(reply)
        del reply  # as in the base class
        if after is None and self._error is None:
            self._latest = (Outcome.APPLIED, *self._latest[1:])
        error = after if isinstance(after, APIError) else self._error
        self._end_attempt(error, after if isinstance(after, float) else None)
        if not isinstance(after, float):
            self._end_call(error)
        return after

    def interrupted(self, interruption: BaseException, handled: BaseException | None) -> None:
        super().interrupted(interruption, handled)
        if not self.waiting:
            self._latest = self.outcome, None, None
        self._end_attempt(interruption, None)
        self._end_call(interruption)

    def _after(self, failure: Any) -> APIError | float:
        self._latest = (failure.outcome, *self._latest[1:])
        after = super()._after(failure)
        if isinstance(after, APIError):
            self._error = after
        return after

    def _unjudged(self, reply: Reply, problem: Exception) -> APIError:
        error = super()._unjudged(reply, problem)
        self._latest = (error.outcome, *self._latest[1:])
        return error

    def _repeat(self, retry: Retry) -> None:
        self._error = retry.error
        super()._repeat(retry)

    def _request_id(self, reply: transport.Response | transport.ResponseTooLarge) -> str | None:
        """Return the request id of a response, without secrets of the call that it may quote."""
        found = request_id(lower_headers(reply.headers))
        if found is None:
            return None
        from ._redaction import Redactor  # on first use, as few responses have one

        redactor = Redactor((*self._context.credential.secrets, *self._call.secrets))
        return redactor.clean(found, MAX_TEXT)

    def _end_attempt(self, error: BaseException | None, wait: float | None) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        outcome, status, identifier = self._latest
        event = AttemptEnded(
            call=self._event,
            number=attempt.number,
            elapsed=self.clock() - self._began,
            status=status,
            outcome=outcome,
            request_id=identifier,
            error=error,
            wait=wait,
        )
        self._tell_all("attempt_ended", event)

    def _end_call(self, error: BaseException | None) -> None:
        if self._is_over:  # a signal handler has interrupted a hook of the end
            return
        self._is_over = True
        _, status, identifier = self._latest
        event = CallEnded(
            call=self._event,
            attempts=self._attempts,
            elapsed=self._elapsed(),
            status=status,
            outcome=self.outcome,
            request_id=identifier,
            error=error,
        )
        self._tell_all("call_ended", event)

    def _tell_all(self, name: str, event: object) -> list[Any]:
        """Call this method of all hooks, the ends in reverse order, and return their results.

        An exception of a signal handler is raised when all have been called, so that none of them
        misses an end.
        """
        hooks = self._context.settings.hooks
        results: list[Any] = []
        interruption: BaseException | None = None
        for one in hooks if name.endswith("started") else reversed(hooks):
            try:
                results.append(_told(getattr(one, name), event))
            except BaseException as error:  # noqa: BLE001 - raised below
                interruption = error
        if interruption is not None:
            raise interruption
        return results

    def _with_headers(self, headers: dict[str, str], given: object) -> dict[str, str]:
        """Return headers with those that a hook has returned, if they may be sent."""
        if given is None:
            return headers
        merged = merged_headers(headers, Secret(given), self._api, _RESERVED, may_remove=False)
        if isinstance(merged, str):
            logger.error("the headers that attempt_started has returned are not sent: %s", merged)
            return headers
        return cast("dict[str, str]", merged)


def _told(hook: Callable[[Any], Any], event: object) -> Any:
    """Call a hook. An exception that it raises is logged: it must not hide the outcome."""
    try:
        return hook(event)
    except Exception as error:
        from ._signals import let_through  # on first use, as few hooks fail

        let_through(error)
        logger.exception("%s of the hooks failed", getattr(hook, "__qualname__", hook))
        return None


class Adding:
    """A transport that adds the headers of hooks to the requests of one call."""

    def __init__(self, sender: Any, course: ObservedCourse[Any]) -> None:
        self._sender = sender
        self._course = course

    def send(self, request: transport.Request, limits: transport.Limits) -> Any:
        """Return what the transport's `send` returns: a response, or an awaitable."""
        added = self._course.added
        if not added:
            return self._sender.send(request, limits)
        names = {name.lower() for name, _ in added}
        kept = (one for one in request.headers if one[0].lower() not in names)
        return self._sender.send(evolve(request, headers=(*kept, *added)), limits)
