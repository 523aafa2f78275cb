"""The course of one call: when to send what, when to try again, and how to end. It has no I/O.

`Course` makes all decisions. `run` and `run_async` carry them out with a blocking and an async
transport, and decide nothing.
"""

import logging
import math
import time
from collections.abc import Iterator
from sys import exception
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast
from urllib.parse import quote

from oneloop_core import Call, DecodeError, Outcome, Response, Secret, strings_in

from . import transport
from ._decoding import TooLarge, Unreadable, lower_headers, plain_body, read_answer, read_json
from ._errors import APIConnectionError, APIError
from ._http._faults import let_through
from ._retry import Retry, random_chance, report, seconds_to_next
from .transport import Request

if TYPE_CHECKING:
    from ._credentials import Credential
    from ._failures import Failure
    from ._settings import Settings

T = TypeVar("T")

logger = logging.getLogger("oneloop")
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

_JSON = "application/json"

Reply: TypeAlias = transport.Response | transport.TransportError | transport.ResponseTooLarge
"""What an attempt resulted in: a response, or the exception that the transport raised."""


class Context:
    """What the calls of a client have in common, made once for as long as its credential is valid.

    This is a plain class: error trackers walk through tuples, and its repr shows nothing.

    Attributes:
        settings: The settings of the client.
        credential: What the requests are authorized with.
        base_url: Where the requests go.
        headers: Headers of a request without a body. It is the same object for all requests, so
            that a transport can recognize headers that it has prepared before.
        json_headers: Headers of a request with a body.
        limits: Limits of a first attempt, which has the whole budget.
        longest_body: Largest body of a response.
    """

    __slots__ = (
        "base_url",
        "credential",
        "headers",
        "json_headers",
        "limits",
        "longest_body",
        "settings",
    )

    def __init__(
        self,
        settings: "Settings",
        credential: "Credential",
        base_url: str | None = None,
        accept: str = _JSON,
    ) -> None:
        """Make a context of calls to the client's server, or to another one, with these answers."""
        self.settings = settings
        self.credential = credential
        self.base_url = base_url or settings.base_url
        given = settings.headers
        if accept != _JSON:
            given = tuple((k, accept) if (k, v) == ("Accept", _JSON) else (k, v) for k, v in given)
        self.headers = (*credential.headers, *given)
        self.json_headers = (*credential.headers, ("Content-Type", _JSON), *given)
        self.limits = _limits(settings, settings.retry.budget)
        self.longest_body = settings.max_response_bytes


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
                limits = _limits(self._context.settings, left)
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
            del reply  # error trackers would show what the server sent, which is not redacted
            return self._after(failure)
        self.outcome = _APPLIED
        if logger.isEnabledFor(_DEBUG):
            name = self._call.operation.name
            logger.debug("%s: done, attempt %d, %.3f s", name, self._attempts, self._elapsed())
        self.result = self._around(model, reply) if self._with_response else model
        return None

    def interrupted(self, interruption: BaseException, handled: BaseException | None) -> None:
        """Add a note on the outcome to an exception, and remove the frames of the transport.

        Their local variables contain the request, with its key. So do those of an error of the
        transport that was being handled. It is the context of the interruption, and is replaced
        with `handled`, the exception that the application was handling when it made the call.
        """
        where = " between attempts" if self.waiting else ""
        name, effect = self._call.operation.name, _EFFECTS[self.outcome]
        interruption.add_note(f"{name} was interrupted{where}: {effect}")
        interruption.__context__ = handled
        interruption.__traceback__ = None

    def _after(self, failure: "Failure") -> APIError | float:
        """Return the error that a failed attempt ends the call with, or the seconds to wait."""
        operation, policy = self._call.operation, self._context.settings.retry
        elapsed, attempt = self._elapsed(), self._attempts
        is_safe = operation.safe or policy.treat_as_safe
        wait = seconds_to_next(policy, failure, attempt, is_safe, self.now, self.chance)
        outcome = max(self._before, failure.outcome, key=_SEVERITY.index)
        known = {"outcome": outcome, "attempts": attempt, "elapsed": elapsed}
        error = failure.error(self._call, self._context.credential, **known)
        del failure  # as in `judge`
        self.outcome, self.waiting = outcome, True
        if wait is None or elapsed + wait >= (policy.budget or math.inf):
            logger.debug("%s: failed: %s", operation.name, error.problem)
            return error
        logger.info("%s: again in %.3f s: %s", operation.name, wait, error.problem)
        report(policy, Retry(operation=operation.name, attempt=attempt, wait=wait, error=error))
        return wait

    def _unjudged(self, reply: Reply, problem: Exception) -> APIError:
        """Return the error for a reply that cannot be judged, as our own modules cannot be loaded.

        The interpreter is exiting, or the process has no file descriptor left.
        """
        is_unsent = isinstance(reply, transport.TransportError) and reply.sent is False
        latest = _NOT_SENT if is_unsent else _UNKNOWN
        self.outcome = max(self._before, latest, key=_SEVERITY.index)
        operation = self._call.operation
        return APIConnectionError(
            "a module that is needed to judge the reply cannot be loaded",
            detail=str(problem),
            outcome=self.outcome,
            operation=operation.name,
            method=operation.method,
            path=operation.path,
            attempts=self._attempts,
            elapsed=self._elapsed(),
        )

    def _around(self, model: Any, reply: Reply) -> Any:
        """Return the `Response` around a model."""
        response = cast("transport.Response", reply)
        return Response(
            parsed=model,
            status=response.status,
            headers=lower_headers(response.headers),
            attempts=self._attempts,
            elapsed=self._elapsed(),
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
                reply = sender.send(request, limits)
            except Exception as error:  # noqa: BLE001 - `_raised` judges what it is about
                reply = _raised(error)
            after = course.judge(reply)
            reply = None
            if after is None:
                return course.result
            if isinstance(after, APIError):
                raise after
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

            await asyncio.sleep(after)
    except APIError:
        raise
    except BaseException as interruption:
        reply = None
        course.interrupted(interruption, handled)
        raise


def _full_request(call: Call[Any], context: Context) -> Request:
    """Return a request to which the call or the credential adds headers, cookies or a query."""
    # Neither the headers nor the URL are assigned to a variable, as they may contain the key.
    return Request(
        call.operation.method,
        _url(call, context),
        tuple(_all_headers(call, context)),
        call.body,
        _safe_url(call, context) if call.secrets or context.credential.query else None,
    )


def _url(call: Call[Any], context: Context) -> str:
    if not context.credential.query:
        return context.base_url + call.target
    separator = "&" if "?" in call.target else "?"
    return f"{context.base_url}{call.target}{separator}{context.credential.query}"


def _all_headers(call: Call[Any], context: Context) -> Iterator[tuple[str, str]]:
    cookies = [f"{name}={_revealed(value)}" for name, value in call.cookies]
    cookies += [context.credential.cookies] if context.credential.cookies else []
    for name, value in context.headers if call.body is None else context.json_headers:
        if name == "Content-Type":
            yield name, call.content_type or value
        elif name.lower() == "cookie":
            cookies.insert(0, value)
        else:
            yield name, value
    if cookies:
        yield "Cookie", "; ".join(cookies)
    yield from ((name, _revealed(value)) for name, value in call.headers)


def _revealed(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _safe_url(call: Call[Any], context: Context) -> str | None:
    """Return the URL with the names of the path's parameters, if the URL contains a secret."""
    if context.credential.query or any(
        quote(text, safe="") in call.target
        for secret in call.secrets
        for text in strings_in(secret.reveal())
    ):
        return context.base_url + call.operation.path
    return None


def _limits(settings: "Settings", left: float | None) -> transport.Limits:
    """Return the limits of an attempt, given the seconds that are left for the whole call."""
    connect, read = settings.timeout.connect, settings.timeout.read
    if left is not None:
        connect = left if connect is None or connect > left else connect
        read = left if read is None or read > left else read
    return transport.Limits(connect, read, left, settings.max_response_bytes)


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
