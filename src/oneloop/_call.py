"""The course of one call: when to send what, when to try again, and how to end. It has no I/O.

`Course` makes all decisions. `run` and `run_async` carry them out with a blocking and an async
transport, and decide nothing.
"""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from sys import exception
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast
from urllib.parse import quote

from oneloop_core import Call, DecodeError, Outcome, Response, Secret, strings_in

from . import _testing, transport
from ._decoding import (
    TooLarge,
    Unreadable,
    lower_headers,
    plain_body,
    read_answer,
    read_json,
    request_id,
)
from ._errors import READS, APIConnectionError, APIError, ResponseDecodeError, host_of
from ._http._faults import let_through
from ._retry import Retry, random_chance, report, retry_after, seconds_to_next
from ._settings import Context, limits_within
from .transport import Request

if TYPE_CHECKING:
    from ._failures import Failure

T = TypeVar("T")

logger = logging.getLogger("oneloop")
logger.addHandler(logging.NullHandler())  # otherwise Python would print warnings to stderr
_DEBUG = logging.DEBUG

_NOT_SENT, _UNKNOWN, _APPLIED = Outcome.NOT_SENT, Outcome.UNKNOWN, Outcome.APPLIED
# Python 3.11 takes a function call to find a member of an Enum.

_SEVERITY = [Outcome.NOT_SENT, Outcome.REJECTED, Outcome.UNKNOWN, Outcome.APPLIED]
"""Outcomes in increasing order of severity. A call reports the most severe one of its attempts."""

_EFFECTS = {
    Outcome.NOT_SENT: "nothing happened",
    Outcome.REJECTED: "nothing happened",
    Outcome.UNKNOWN: "it may have happened",
    Outcome.APPLIED: "it happened",
}
_SAFE_EFFECTS = _EFFECTS | {_UNKNOWN: "it may have happened, and may safely be repeated"}
_READ_EFFECTS = _EFFECTS | {_UNKNOWN: "it may have happened, but changes nothing"}

Reply: TypeAlias = transport.Response | transport.TransportError | transport.ResponseTooLarge
"""What an attempt resulted in: a response, or the exception that the transport raised."""


class Course(Generic[T]):
    """One call while it is carried out.

    `T` is the type of `result`: that of the model, or `Response` if the call was made through
    `with_response`.

    Attributes:
        outcome: The outcome so far. It is `UNKNOWN` from just before a request is passed to the
            transport until the reply has been judged.
        waiting: Whether the call is between two attempts.
        result: What the call returns, once it has succeeded.
        clock: Returns seconds that never decrease.
        now: Returns the seconds since the epoch, to interpret dates in Retry-After.
        chance: Returns random numbers from 0 to 1.
    """

    __slots__ = (
        "_attempts",
        "_before",
        "_call",
        "_context",
        "_started",
        "_with_response",
        "outcome",
        "result",
        "waiting",
    )

    clock = staticmethod(time.monotonic)
    now = staticmethod(time.time)
    chance = staticmethod(random_chance)

    result: T

    def __init__(self, call: Call[Any], context: Context, *, with_response: bool = False) -> None:
        self._call = call
        self._context = context
        self._with_response = with_response
        self._attempts = 0
        self.outcome = _NOT_SENT
        self.waiting = False

    def request(self) -> Request:
        """Return the request of each attempt, and start to measure the time of the call."""
        self._started = self.clock()
        call, context = self._call, self._context
        if call.headers or call.cookies or call.content_type:
            return _full_request(call, context)
        return Request(
            call.operation.method,
            context.base_url + call.target,
            context.headers if call.body is None else context.json_headers,
            call.body,
            _safe_url(call, context) if call.secrets else None,
        )

    def begin(self) -> transport.Limits:
        """Return the limits of the next attempt, which the caller must make at once."""
        limits = self._context.limits
        if self._attempts:
            self.waiting = False
            if limits.total is not None:
                left = max(0.0, limits.total - self._elapsed())
                limits = limits_within(self._context.settings, left)
        self._attempts += 1
        self._before = self.outcome
        self.outcome = _UNKNOWN
        return limits

    def judge(self, reply: Reply) -> APIError | float | None:
        """Return what follows from the reply to an attempt.

        That is `None` if the call has succeeded and has a `result`, the error to raise if it has
        failed, or the seconds to wait before the next attempt.
        """
        model: Any
        try:
            model, failure = _judge(self._call, reply, self._context.longest_body)
        except (ImportError, OSError) as problem:
            let_through(problem)
            return self._unjudged(reply, problem)
        if failure is not None:
            if self._with_response and failure.error_class is ResponseDecodeError:
                after = self._after(failure)
                if not isinstance(after, APIError):
                    return after
                # `Response.parsed` raises the error, so that the application can read the answer.
                self.result = self._around(None, reply, after)
                return None
            del reply  # error trackers would show what the server sent, which is not redacted
            return self._after(failure)
        self.outcome = _APPLIED
        if logger.isEnabledFor(_DEBUG):
            self._log_success(reply)
        self.result = self._around(model, reply) if self._with_response else model
        return None

    def interrupted(self, interruption: BaseException, handled: BaseException | None) -> None:
        """Add a note on the outcome to an exception, and remove the frames of the transport.

        Their local variables contain the request, with its key. So do those of an error of the
        transport that was being handled. It is the context of the interruption, and is replaced
        with `handled`, the exception that the application was handling when it made the call.
        """
        where = " between attempts" if self.waiting else ""
        operation = self._call.operation
        effects = _READ_EFFECTS if operation.method in READS else _SAFE_EFFECTS
        effect = (effects if operation.safe else _EFFECTS)[self.outcome]
        interruption.add_note(f"{operation.name} was interrupted{where}: {effect}")
        interruption.__context__ = handled
        interruption.__traceback__ = None

    def _after(self, failure: "Failure") -> APIError | float:
        """Return the error that a failed attempt ends the call with, or the seconds to wait."""
        operation, policy = self._call.operation, self._context.settings.retry
        elapsed, attempt = self._elapsed(), self._attempts
        is_safe = operation.safe or policy.treat_as_safe
        wait = seconds_to_next(policy, failure, attempt, is_safe, self.now, self.chance)
        outcome = max(self._before, failure.outcome, key=_SEVERITY.index)
        known: dict[str, Any] = {"outcome": outcome, "attempts": attempt, "elapsed": elapsed}
        known["retry_after"] = retry_after(failure.headers, self.now())
        url = shown_url(self._call, self._context)
        error = failure.error(self._call, self._context.credential, url, **known)
        del failure  # as in `judge`
        self.outcome, self.waiting = outcome, True
        if wait is None or elapsed + wait >= (policy.budget or math.inf):
            _log_failure(error)
            return error
        self._repeat(Retry(operation=operation.name, attempt=attempt, wait=wait, error=error))
        return wait

    def _repeat(self, retry: Retry) -> None:
        """Tell the log and the policy that there is another attempt."""
        logger.info(
            "%s: again in %.3f s: %s",
            *(retry.operation, retry.wait, retry.error.problem),
            extra=_fields(retry.error) | {"oneloop_wait": retry.wait},
        )
        report(self._context.settings.retry, retry)

    def _log_success(self, reply: Reply) -> None:
        call, elapsed = self._call, self._elapsed()
        found: dict[str, object] = {
            "operation": call.operation.name,
            "attempt": self._attempts,
            "host": host_of(self._context.base_url),
            "status": cast("transport.Response", reply).status,
            "outcome": _APPLIED.value,
            "elapsed": elapsed,
        }
        logger.debug(
            "%s: done, attempt %d, %.3f s",
            *(call.operation.name, self._attempts, elapsed),
            extra={f"oneloop_{name}": value for name, value in found.items()},
        )

    def _unjudged(self, reply: Reply, problem: Exception) -> APIError:
        """Return the error for a reply that cannot be judged, as our own modules cannot be loaded.

        The interpreter is exiting, or the process has no file descriptor left.
        """
        is_unsent = isinstance(reply, transport.TransportError) and reply.sent is False
        latest = _NOT_SENT if is_unsent else _UNKNOWN
        self.outcome = max(self._before, latest, key=_SEVERITY.index)
        operation = self._call.operation
        error = APIConnectionError(
            "a module that is needed to judge the reply cannot be loaded",
            detail=str(problem),
            outcome=self.outcome,
            operation=operation.name,
            method=operation.method,
            path=operation.path,
            safe=operation.safe,
            url=shown_url(self._call, self._context),
            attempts=self._attempts,
            elapsed=self._elapsed(),
        )
        _log_failure(error)
        return error

    def _around(self, model: Any, reply: Reply, problem: Any = None) -> Any:
        """Return the `Response` around a model, or around what is wrong with the answer."""
        response = cast("transport.Response", reply)
        headers = lower_headers(response.headers)
        body = response.body
        with suppress(Unreadable):
            limit = self._context.longest_body
            body = plain_body(body, headers.get("content-encoding", ""), limit)
        return Response[Any](
            parsed=model,
            status=response.status,
            headers=headers,
            attempts=self._attempts,
            elapsed=self._elapsed(),
            body=body,
            url=shown_url(self._call, self._context),
            request_id=request_id(headers),
            problem=problem,
        )

    def _elapsed(self) -> float:
        return self.clock() - self._started


class SpecialCourse(Course[T]):
    """A call whose credential may be sent in the URL or in a cookie."""

    __slots__ = ()

    def request(self) -> Request:
        self._started = self.clock()
        return _full_request(self._call, self._context)


def run(course: Course[T], sender: transport.Transport) -> T:
    """Carry out a call with a blocking transport.

    An exception from outside the call, such as one that a signal handler raised, ends it. The
    caller gets that exception unchanged, with a note on the outcome.
    """
    handled = exception()
    # Cleared as soon as it has been judged: error trackers must not find it in this frame, as it is
    # not redacted.
    reply: Reply | None = None
    try:
        request = course.request()
        while True:
            limits = course.begin()
            try:
                if _testing.rules is not None:
                    _testing.check(request.url)
                reply = sender.send(request, limits)
            except Exception as error:  # noqa: BLE001 - `_raised` judges what it is about
                reply = _raised(error)
            after = course.judge(reply)
            reply = None
            if after is None:
                return course.result
            if isinstance(after, APIError):
                raise after
            if _testing.rules is None:
                time.sleep(after)
    except APIError:
        raise
    except BaseException as interruption:
        reply = None
        course.interrupted(interruption, handled)
        raise


async def run_async(course: Course[T], sender: transport.AsyncTransport) -> T:
    """Carry out a call with an async transport; see `run`."""
    handled = exception()
    reply: Reply | None = None
    try:
        request = course.request()
        while True:
            limits = course.begin()
            try:
                if _testing.rules is not None:
                    _testing.check(request.url)
                reply = await sender.send(request, limits)
            except Exception as error:  # noqa: BLE001 - `_raised` judges what it is about
                reply = _raised(error)
            after = course.judge(reply)
            reply = None
            if after is None:
                return course.result
            if isinstance(after, APIError):
                raise after
            import asyncio  # on first use, as most calls do not wait

            await asyncio.sleep(after if _testing.rules is None else 0)
    except APIError:
        raise
    except BaseException as interruption:
        reply = None
        course.interrupted(interruption, handled)
        raise


def _log_failure(error: APIError) -> None:
    logger.warning(
        "%s: failed: %s; outcome %s",
        *(error.operation, error.problem, error.outcome.value),
        extra=_fields(error),
    )


def _fields(error: APIError) -> dict[str, object]:
    """Return the fields of a record about a failure. Nothing that a server said is among them."""
    found: dict[str, object] = {
        "operation": error.operation,
        "attempt": error.attempts,
        "host": error.host,
        "status": error.status_code,
        "outcome": error.outcome.value,
        "elapsed": error.elapsed,
        "error": type(error).__name__,
    }
    return {f"oneloop_{name}": value for name, value in found.items()}


def _full_request(call: Call[Any], context: Context) -> Request:
    """Return a request to which the call or the credential adds headers, cookies or a query."""
    # Neither the headers nor the URL are assigned to a variable, as they may contain the key.
    return Request(
        call.operation.method,
        _url(call, context),
        tuple(_all_headers(call, context)),
        call.body,
        _safe_url(call, context),
    )


def _url(call: Call[Any], context: Context) -> str:
    if not context.credential.query:
        return context.base_url + call.target
    separator = "&" if "?" in call.target else "?"
    return f"{context.base_url}{call.target}{separator}{context.credential.query}"


def _all_headers(call: Call[Any], context: Context) -> Iterator[tuple[str, str]]:
    cookies = [f"{name}={_revealed(value)}" for name, value in call.cookies]
    cookies += [context.credential.cookies] if context.credential.cookies else []
    own = {name.lower() for name, _ in call.headers}
    constant = context.headers if call.body is None else context.json_headers
    headers = [one for one in constant if one[0].lower() not in own]
    for name, value in (*headers, *call.headers):
        if name == "Content-Type":
            yield name, call.content_type or _revealed(value)
        elif name.lower() == "cookie" and value is not None:
            cookies.insert(0, _revealed(value))
        elif value is not None:
            yield name, _revealed(value)
    if cookies:
        yield "Cookie", "; ".join(cookies)


def _revealed(value: "str | Secret | None") -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def shown_url(call: Call[Any], context: Context) -> str:
    """Return the URL of a call, without what may be secret in it."""
    return _safe_url(call, context) or context.base_url + call.target


def _safe_url(call: Call[Any], context: Context) -> str | None:
    """Return the URL to show instead of that of the request, if that may contain a secret.

    It has the names of the path's parameters, or lacks what was added to the query.
    """
    if context.credential.query or any(
        quote(text, safe="") in call.target
        for secret in call.secrets
        for text in strings_in(secret.reveal())
    ):
        return context.base_url + call.operation.path
    shown: str = getattr(call, "shown_target", call.target)
    return None if shown == call.target else context.base_url + shown


def _raised(error: Exception) -> Reply:
    """Return the reply that an exception of a transport means.

    Raises:
        BaseException: The exception of a signal handler, which is not about the call.
    """
    try:
        from ._transports import raised  # on first use, as most requests are answered
    except (ImportError, OSError) as problem:
        let_through(problem)
        if isinstance(error, transport.TransportError | transport.ResponseTooLarge):
            return error.with_traceback(None)
        return transport.TransportError(f"the transport raised {type(error).__name__}")
    return raised(error)


def _judge(call: Call[T], reply: Reply, limit: int) -> "tuple[T, None] | tuple[None, Failure]":
    """Return the model that a reply contains, or how the attempt failed."""
    if isinstance(reply, Exception):
        from ._failures import without_response  # on first use, as most calls do not fail

        return None, without_response(reply, limit)
    decode = call.operation.decode
    if decode is not None and 200 <= reply.status <= 299 and reply.body.startswith(b"{"):
        # The usual reply, for which no header needs to be read: a body that is a JSON object is not
        # compressed. Whatever is wrong with it is found again below.
        try:
            return decode(read_json(reply.body, limit)), None
        except (DecodeError, TooLarge, Unreadable):
            pass
    return _judge_by_headers(call, reply, limit)


def _judge_by_headers(
    call: Call[T], reply: transport.Response, limit: int
) -> "tuple[T, None] | tuple[None, Failure]":
    """Judge a response that may be compressed or an error, or that is not plain JSON."""
    status, headers = reply.status, lower_headers(reply.headers)
    is_success, decode = 200 <= status <= 299, call.operation.decode
    answers = call.operation.answers
    body, problem = b"", None
    try:
        body = plain_body(reply.body, headers.get("content-encoding", ""), limit)
        if is_success and decode is not None:
            return decode(read_json(body, limit)), None
        if is_success and answers:
            return read_answer(answers, status, headers, body, limit), None
    except (DecodeError, TooLarge, Unreadable) as error:
        problem = error.with_traceback(None)
    if is_success and decode is None and not answers and not isinstance(problem, TooLarge):
        return cast("T", None), None
    from ._failures import of_response  # on first use, as most calls do not fail

    return None, of_response(call.operation.method, status, headers, body, limit, problem)
