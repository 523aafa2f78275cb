"""The course of one call: when to send what, when to try again, and how to end. It has no I/O.

`course` is a generator. It yields the next step (`Send` or `Wait`) and receives the reply to it.
`run` and `run_async` carry the steps out with a blocking and an async transport, and decide
nothing.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast
from urllib.parse import quote

from oneloop_core import Call, DecodeError, Outcome, Response, Secret, strings_in

from . import transport
from ._decoding import TooLarge, Unreadable, lower_headers, plain_body, read_json
from ._errors import APIError
from ._retry import Retry, random_chance, report, seconds_to_next

if TYPE_CHECKING:
    from ._credentials import Credential
    from ._failures import Failure
    from ._settings import Settings

T = TypeVar("T")

logger = logging.getLogger("oneloop")

_SEVERITY = [Outcome.NOT_SENT, Outcome.REJECTED, Outcome.UNKNOWN, Outcome.APPLIED]
"""Outcomes in increasing order of severity. A call reports the most severe one of its attempts."""


class Progress:
    """What is known of a running call, for the note on an exception that interrupts it.

    Attributes:
        operation: Name of the client method.
        outcome: The outcome so far. It is `UNKNOWN` from just before a request is passed to the
            transport until the reply has been judged.
        waiting: Whether the call is between two attempts.
    """

    __slots__ = ("operation", "outcome", "waiting")

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.outcome = Outcome.NOT_SENT
        self.waiting = False

    def interrupted(self, interruption: BaseException, handled: BaseException | None) -> None:
        """Add a note on the outcome to an exception, and remove the frames of the transport.

        Their local variables contain the request, with its key. So do those of an error of the
        transport that was being handled. It is the context of the interruption, and is replaced
        with `handled`, the exception that the application was handling when it made the call.
        """
        where = " between attempts" if self.waiting else ""
        effect = _EFFECTS[self.outcome]
        interruption.add_note(f"{self.operation} was interrupted{where}: {effect}")
        interruption.__context__ = handled
        interruption.__traceback__ = None


_EFFECTS = {
    Outcome.NOT_SENT: "nothing happened",
    Outcome.REJECTED: "nothing happened",
    Outcome.UNKNOWN: "it may have happened",
    Outcome.APPLIED: "it happened",
}


Send: TypeAlias = tuple[transport.Request, transport.Limits]
"""Send a request once. The reply is a response, or the exception that the transport raised."""

Wait: TypeAlias = float  # seconds
Reply = transport.Response | transport.TransportError | transport.ResponseTooLarge
Course = Generator[Send | Wait, Reply | None, Response[T]]


def course(
    call: Call[T],
    settings: "Settings",
    credential: "Credential",
    progress: Progress,
    *,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
    chance: Callable[[], float] = random_chance,
) -> Course[T]:
    """Carry out one call, and keep `progress` up to date.

    `clock` returns seconds that never decrease, `now` the seconds since the epoch, to interpret
    dates in Retry-After, and `chance` random numbers from 0 to 1.

    Raises:
        APIError: The call failed.
    """
    operation, policy = call.operation, settings.retry
    request = _request(call, settings, credential)
    started = clock()
    attempt = 0
    while True:
        attempt += 1
        left = None if policy.budget is None else max(0.0, policy.budget - (clock() - started))
        before = progress.outcome
        progress.waiting, progress.outcome = False, Outcome.UNKNOWN
        reply = cast("Reply", (yield request, _limits(settings, left)))
        result = _judge(call, reply, settings.max_response_bytes)
        elapsed = clock() - started
        if isinstance(result, tuple):
            progress.outcome = Outcome.APPLIED
            logger.debug("%s: done, attempt %d, %.3f s", operation.name, attempt, elapsed)
            parsed, status, headers = result
            return Response(
                parsed=parsed, status=status, headers=headers, attempts=attempt, elapsed=elapsed
            )
        is_safe = operation.safe or policy.treat_as_safe
        wait = seconds_to_next(policy, result, attempt, is_safe, now, chance)
        outcome = max(before, result.outcome, key=_SEVERITY.index)
        error = result.error(call, credential, outcome=outcome, attempts=attempt, elapsed=elapsed)
        del reply, result  # error trackers would show what the server sent, which is not redacted
        progress.outcome, progress.waiting = outcome, True
        if wait is None or elapsed + wait >= (policy.budget or math.inf):
            logger.debug("%s: failed: %s", operation.name, error.problem)
            raise error
        logger.info("%s: again in %.3f s: %s", operation.name, wait, error.problem)
        report(policy, Retry(operation=operation.name, attempt=attempt, wait=wait, error=error))
        yield wait


def run(steps: Course[T], sender: transport.Transport, progress: Progress) -> Response[T]:
    """Carry out a course with a blocking transport.

    An exception from outside the call, such as one that a signal handler raised, ends it. The
    caller gets that exception unchanged, with a note on the outcome.
    """
    handled = sys.exception()
    try:
        # The loop is not the first thing in a `try`: where it begins again, Python may run a signal
        # handler, and takes what that raises for raised by the instruction before the loop.
        try:
            # A list, so that the reply can be removed before the course gets it: error trackers
            # must not find it in this frame, as it is not redacted.
            replies: list[Reply | None] = [None]
            while True:
                step = steps.send(replies.pop())
                if isinstance(step, tuple):
                    try:
                        replies.append(sender.send(*step))
                    except Exception as error:  # noqa: BLE001 - `raised` judges what it is about
                        from ._transports import raised  # on first use, as most are answered

                        replies.append(raised(error))
                else:
                    replies.append(None)
                    time.sleep(step)
        except StopIteration as end:
            done: Response[T] = end.value
            return done
    except APIError:
        raise
    except BaseException as interruption:
        progress.interrupted(interruption, handled)
        raise


async def run_async(
    steps: Course[T], sender: transport.AsyncTransport, progress: Progress
) -> Response[T]:
    """Carry out a course with an async transport; see `run`."""
    import asyncio  # on first use, as a process without async calls does not need it

    handled = sys.exception()
    try:
        try:
            replies: list[Reply | None] = [None]
            while True:
                step = steps.send(replies.pop())
                if isinstance(step, tuple):
                    try:
                        # Not with `*`: Python may run a signal handler between call and await.
                        replies.append(await sender.send(step[0], step[1]))
                    except Exception as error:  # noqa: BLE001 - `raised` judges what it is about
                        from ._transports import raised  # on first use, as most are answered

                        replies.append(raised(error))
                else:
                    replies.append(None)
                    await asyncio.sleep(step)
        except StopIteration as end:
            done: Response[T] = end.value
            return done
    except APIError:
        raise
    except BaseException as interruption:
        progress.interrupted(interruption, handled)
        raise


def _request(call: Call[Any], settings: "Settings", credential: "Credential") -> transport.Request:
    body = () if call.body is None else (("Content-Type", "application/json"),)
    safe_url = None
    if call.secrets and any(
        quote(text, safe="") in call.target
        for secret in call.secrets
        for text in strings_in(secret.reveal())
    ):
        safe_url = settings.base_url + call.operation.path
    headers = [
        (name, value.reveal() if isinstance(value, Secret) else value)
        for name, value in call.headers or ()
    ]
    return transport.Request(
        call.operation.method,
        settings.base_url + call.target,
        (credential.header, *body, *settings.headers, *headers),
        call.body,
        safe_url,
    )


def _limits(settings: "Settings", left: float | None) -> transport.Limits:
    connect, read = settings.timeout.connect, settings.timeout.read
    if left is not None:
        connect = left if connect is None or connect > left else connect
        read = left if read is None or read > left else read
    return transport.Limits(connect, read, left, settings.max_response_bytes)


def _judge(call: Call[T], reply: Reply, limit: int) -> "tuple[T, int, dict[str, str]] | Failure":
    """Return the model, status and headers that a reply contains, or how the attempt failed."""
    if isinstance(reply, Exception):
        from ._failures import without_response  # on first use, as most calls do not fail

        return without_response(reply, limit)
    status, headers = reply.status, lower_headers(reply.headers)
    is_success, decode = 200 <= status <= 299, call.operation.decode
    body, problem = b"", None
    try:
        body = plain_body(reply.body, headers.get("content-encoding", ""), limit)
        if is_success and decode is not None:
            return decode(read_json(body, limit)), status, headers
    except (DecodeError, TooLarge, Unreadable) as error:
        problem = error.with_traceback(None)
    if is_success and decode is None and not isinstance(problem, TooLarge):
        return cast("T", None), status, headers
    from ._failures import of_response  # on first use, as most calls do not fail

    return of_response(call.operation.method, status, headers, body, limit, problem)
