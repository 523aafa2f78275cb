"""The course of one call, without I/O: what to send, when to try again, what an answer means.

`course` is a generator. It yields what is to be done (`Send`, `Wait`) and is told how it went;
`run` and `run_async` do it, with a blocking and an async transport. No decision is made in them.

Where a class need not be compared or shown, it is a plain one, here and in the transports: attrs
takes its time to make one, and all of them are needed before the first answer. What holds
secrets is no tuple: tools that report errors walk through the tuples of a frame, and see no repr.
"""

import logging
import math
import random
import sys
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast
from urllib.parse import quote

from attrs import field, frozen

from oneloop_core import Call, DecodeError, Outcome, Response, Secret, strings_in

from . import _answer, transport
from ._errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    RateLimitError,
    ResponseDecodeError,
    ResponseTooLargeError,
    shown,
    status_error,
)
from ._policy import Retry, RetryPolicy, Timeout
from ._waits import LONGEST_WAIT, backoff, retry_after

if TYPE_CHECKING:
    from ._secrets import Redactor

T = TypeVar("T")

logger = logging.getLogger("oneloop")

MAX_BODY = 64 * 1024
"""Characters of an answer's body that an error keeps."""

MAX_TEXT = 2000
"""Characters of any other text of a server that an error keeps."""

_WEIGHTS = [Outcome.NOT_SENT, Outcome.REJECTED, Outcome.UNKNOWN, Outcome.APPLIED]
"""Outcomes of single attempts, from the one that says least of the whole call."""


@frozen
class Settings:
    """What a client brings to each of its calls.

    Attributes:
        base_url: Scheme, host and perhaps a path, without a slash at the end.
        headers: Constant headers, without the API key.
        timeout: Limits of one attempt.
        retry: Limits of the whole call.
        max_response_bytes: Largest body of an answer, on the wire and decompressed.
    """

    base_url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    timeout: Timeout
    retry: RetryPolicy
    max_response_bytes: int


class Key:
    """A credential that no repr shows: not even that of the locals in a traceback.

    Attributes:
        secret: The API key, or the link token.
        header: The header that it goes into, with what is sent there.
    """

    __slots__ = ("header", "secret")

    def __init__(
        self, secret: Secret, name: Literal["Authorization", "X-Link-Token"] = "Authorization"
    ) -> None:
        self.secret = secret
        bearer = name == "Authorization"
        self.header = (name, f"Bearer {secret.reveal()}" if bearer else secret.reveal())


class Progress:
    """What is known of a call under way, for the note on an exception that interrupts it.

    Attributes:
        operation: Name of the client method.
        outcome: The outcome so far; `UNKNOWN` from just before a request is handed to the transport
            until its answer has been judged.
        waiting: Whether the call is between two attempts.
    """

    __slots__ = ("operation", "outcome", "waiting")

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.outcome = Outcome.NOT_SENT
        self.waiting = False

    def interrupted(self, interruption: BaseException, handled: BaseException | None) -> None:
        """Note on an exception what is known, and cut it off from the frames of the transport.

        Their local variables hold the request, with its key. The same goes for errors of the
        transport that were being handled; `handled` is what the application was handling.
        """
        where = " between attempts" if self.waiting else ""
        known = _NOTES[self.outcome]
        interruption.add_note(f"{self.operation} was interrupted{where}: {known}")
        interruption.__context__ = handled
        interruption.__traceback__ = None


_NOTES = {
    Outcome.NOT_SENT: "nothing happened",
    Outcome.REJECTED: "nothing happened",
    Outcome.UNKNOWN: "it may have happened",
    Outcome.APPLIED: "it happened",
}


Send: TypeAlias = tuple[transport.Request, transport.Limits]
"""To send a request once, and tell how it went: a response, or the exception."""

Wait: TypeAlias = float
"""To wait for some seconds."""

Reply = transport.Response | transport.TransportError | transport.ResponseTooLarge
Course = Generator[Send | Wait, Reply | None, Response[T]]


def course(
    call: Call[T],
    settings: Settings,
    api_key: Key,
    progress: Progress,
    *,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
    chance: Callable[[], float] = random.random,
) -> Course[T]:
    """Carry out one call.

    Args:
        call: The call.
        settings: The client's settings.
        api_key: The API key, or the link token.
        progress: What is known so far is kept here.
        clock: Seconds that only ever go up.
        now: Seconds since the epoch, to read Retry-After dates by.
        chance: Random numbers from 0 to 1.

    Raises:
        APIError: It failed.
    """
    operation, policy = call.operation, settings.retry
    may_repeat = operation.safe or policy.treat_as_safe
    request = _request(call, settings, api_key)
    started = clock()
    attempt = 0
    while True:
        attempt += 1
        left = None if policy.budget is None else max(0.0, policy.budget - (clock() - started))
        before = progress.outcome
        progress.waiting, progress.outcome = False, Outcome.UNKNOWN
        reply = cast("Reply", (yield request, _limits(settings, left)))
        result = _judge(call, reply, settings.max_response_bytes, api_key)
        elapsed = clock() - started
        if not isinstance(result, APIError):
            progress.outcome = Outcome.APPLIED
            logger.debug("%s: done, attempt %d, %.3f s", operation.name, attempt, elapsed)
            parsed, status, headers = result
            return Response(
                parsed=parsed, status=status, headers=headers, attempts=attempt, elapsed=elapsed
            )
        error = result
        error.operation, error.method, error.path = operation.name, operation.method, operation.path
        error.attempts, error.elapsed = attempt, elapsed
        wait = _wait(error, reply, policy, attempt, may_repeat, now, chance)
        del reply  # the frame of the error would have what the server said, unredacted
        # An earlier attempt that may have taken effect outweighs a later one that did not.
        progress.outcome = error.outcome = max(before, error.outcome, key=_WEIGHTS.index)
        progress.waiting = True
        if wait is None or elapsed + wait >= (policy.budget or math.inf):
            logger.debug("%s: failed: %s", operation.name, error.problem)
            raise error
        logger.info("%s: again in %.3f s: %s", operation.name, wait, error.problem)
        _tell(policy, Retry(operation=operation.name, attempt=attempt, wait=wait, error=error))
        yield wait


def run(steps: Course[T], sender: transport.Transport, progress: Progress) -> Response[T]:
    """Carry out a course with a blocking transport.

    What comes from outside, such as from a signal handler, reaches the caller as it is, with a note
    on the outcome, and no further attempt is made.
    """
    handled = sys.exception()
    # Taken out before it is handed on: no frame of an error has what a server said, unredacted.
    replies: list[Reply | None] = [None]
    try:
        while True:
            try:
                step = steps.send(replies.pop())
            except StopIteration as end:
                done: Response[T] = end.value
                return done
            if isinstance(step, tuple):
                try:
                    replies.append(sender.send(*step))
                except Exception as error:  # noqa: BLE001 - those of signal handlers are raised again
                    replies.append(_failure(error))
            else:
                replies.append(None)
                time.sleep(step)
    except APIError:
        raise
    except BaseException as interruption:
        progress.interrupted(interruption, handled)
        raise


async def run_async(
    steps: Course[T], sender: transport.AsyncTransport, progress: Progress
) -> Response[T]:
    """Carry out a course with an async transport; see `run`."""
    import asyncio  # here, as a process without async calls does not need it

    handled = sys.exception()
    # Taken out before it is handed on: no frame of an error has what a server said, unredacted.
    replies: list[Reply | None] = [None]
    try:
        while True:
            try:
                step = steps.send(replies.pop())
            except StopIteration as end:
                done: Response[T] = end.value
                return done
            if isinstance(step, tuple):
                try:
                    replies.append(await sender.send(*step))
                except Exception as error:  # noqa: BLE001 - those of signal handlers are raised again
                    replies.append(_failure(error))
            else:
                replies.append(None)
                await asyncio.sleep(step)
    except APIError:
        raise
    except BaseException as interruption:
        progress.interrupted(interruption, handled)
        raise


def _failure(error: Exception) -> transport.TransportError | transport.ResponseTooLarge:
    """Return what a transport raised, as a reply.

    Raises:
        BaseException: What a signal handler raised, which is not about the call.
    """
    if isinstance(error, transport.TransportError) and all(
        hasattr(error, name) for name in ("problem", "detail", "sent", "timeout", "passing")
    ):
        return error.with_traceback(None)
    if isinstance(error, transport.ResponseTooLarge):
        from ._custom import are_headers  # the same as below

        if isinstance(getattr(error, "status", None), int) and are_headers(
            getattr(error, "headers", None)
        ):
            return error.with_traceback(None)
    from ._signals import let_through  # on first use, as few transports break their contract

    let_through(error)
    problem = f"the transport raised {type(error).__name__}"
    return transport.TransportError(problem, detail=str(error), passing=False)


def _request(call: Call[Any], settings: Settings, api_key: Key) -> transport.Request:
    body = () if call.body is None else _JSON
    safe_url = None
    if call.secrets and any(map(_quoted_in(call.target), call.secrets)):
        safe_url = settings.base_url + call.operation.path
    headers = [(name, _plain(value)) for name, value in call.headers] if call.headers else ()
    return transport.Request(
        call.operation.method,
        settings.base_url + call.target,
        (api_key.header, *body, *settings.headers, *headers),
        call.body,
        safe_url,
    )


def _quoted_in(target: str) -> Callable[[Secret], bool]:
    """Return whether the path or query of a request contains a secret."""
    return lambda secret: any(
        quote(text, safe="") in target for text in strings_in(secret.reveal())
    )


def _plain(value: str | Secret) -> str:
    plain: str = value.reveal() if isinstance(value, Secret) else value
    return plain


_JSON = (("Content-Type", "application/json"),)


def _limits(settings: Settings, left: float | None) -> transport.Limits:
    connect, read = settings.timeout.connect, settings.timeout.read
    if left is not None:
        connect = left if connect is None or connect > left else connect
        read = left if read is None or read > left else read
    return transport.Limits(connect, read, left, settings.max_response_bytes)


def _judge(
    call: Call[T], reply: Reply, limit: int, api_key: Key
) -> tuple[T, int, dict[str, str]] | APIError:
    """Say what a reply means for one attempt: an answer, or an error with its outcome."""
    if isinstance(reply, transport.TransportError):
        clean = _redactor(call, api_key).clean
        return (APITimeoutError if reply.timeout else APIConnectionError)(
            shown(clean(str(reply.problem), MAX_TEXT)),
            outcome=Outcome.NOT_SENT if reply.sent is False else Outcome.UNKNOWN,
            detail=clean(str(reply.detail), MAX_TEXT) or None,
        )
    if isinstance(reply, transport.ResponseTooLarge):
        headers = _answer.lower_headers(reply)
        return _too_large(call, api_key, reply.status, headers, f"more than {limit} bytes")
    status, headers = reply.status, _answer.lower_headers(reply)
    try:
        body = _answer.plain_body(reply.body, headers.get("content-encoding", ""), limit)
    except _answer.TooLarge as error:
        return _too_large(call, api_key, status, headers, str(error))
    except _answer.Unreadable as error:
        body, unreadable = b"", str(error)
    else:
        unreadable = ""
    if not 200 <= status <= 299:
        # After a 303 (See Other) to anything but a read, the thing was mostly done: the server
        # points to where its result can be seen (RFC 9110, section 15.4.4).
        done = status == 303 and call.operation.method not in ("GET", "HEAD")
        rejected = 300 <= status <= 499 and not done
        code, message = _answer.error_envelope(body, limit)
        said = _said(call, api_key, status, headers, body, message=message, code=code)
        return status_error(status)(
            f"the server answered {status}",
            outcome=Outcome.REJECTED if rejected else Outcome.UNKNOWN,
            **said,
        )
    if call.operation.decode is None:
        return cast("T", None), status, headers
    try:
        if unreadable:
            raise _answer.Unreadable(unreadable)
        parsed = _answer.read_json(body, limit)
    except _answer.Unreadable as error:
        problem, outcome, field, detail = f"with {error}", Outcome.UNKNOWN, "", None
    except _answer.TooLarge as error:
        return _too_large(call, api_key, status, headers, str(error))
    else:
        try:
            return call.operation.decode(parsed), status, headers
        except DecodeError as error:
            problem, outcome = "not with what the document promises", Outcome.APPLIED
            field, detail = error.path, f"{error.path or 'the answer'}: {error.problem}"
    said = _said(call, api_key, status, headers, body, field=field, detail=detail)
    return ResponseDecodeError(
        f"the server answered {status}, but {problem}", outcome=outcome, **said
    )


def _redactor(call: Call[Any], api_key: Key) -> "Redactor":
    from ._secrets import Redactor  # on first use, as most calls do not fail

    return Redactor((api_key.secret, *call.secrets))


def _too_large(
    call: Call[Any], api_key: Key, status: int, headers: dict[str, str], what: str
) -> APIError:
    return ResponseTooLargeError(
        f"the server answered {status} with {what}",
        outcome=Outcome.UNKNOWN,
        **_said(call, api_key, status, headers, None),
    )


def _said(
    call: Call[Any],
    api_key: Key,
    status: int,
    headers: dict[str, str],
    body: bytes | None,
    code: int | None = None,
    **more: str | None,
) -> dict[str, Any]:
    """Return what a server said, as arguments of an error: redacted and bounded here alone."""
    redactor = _redactor(call, api_key)
    clean = redactor.clean
    # At most four bytes a character; what comes after the part that is looked at is not decoded.
    start = None if body is None else body[: 4 * (MAX_BODY + redactor.reach)]
    texts = {**more, "request_id": _answer.request_id(headers)}
    return {
        "status_code": status,
        # A key of digits may be in place of a code.
        "code": code if code is None or clean(str(code), MAX_BODY) == str(code) else None,
        "headers": {clean(name, MAX_BODY): clean(text, MAX_BODY) for name, text in headers.items()},
        "body": None if start is None else clean(start.decode("utf-8", "replace"), MAX_BODY),
        **{name: text and clean(text, MAX_TEXT) for name, text in texts.items()},
    }


def _wait(
    error: APIError,
    reply: Reply,
    policy: RetryPolicy,
    attempt: int,
    may_repeat: bool,
    now: Callable[[], float],
    chance: Callable[[], float],
) -> float | None:
    """Return the seconds until the next attempt, or `None` if there must not be one."""
    if attempt >= policy.attempts:
        return None
    if isinstance(reply, transport.TransportError):
        again = reply.passing and (may_repeat or reply.sent is False)
    elif isinstance(error, RateLimitError):
        again = True
    else:
        passing = error.status_code == 408 or 500 <= (error.status_code or 0) <= 599
        again = passing and may_repeat and not isinstance(error, ResponseTooLargeError)
    if not again:
        return None
    asked = retry_after(error.headers, now())
    if asked is None:
        return backoff(policy, attempt, chance())
    return asked if asked <= LONGEST_WAIT else None


def _tell(policy: RetryPolicy, retry: Retry) -> None:
    if policy.on_retry is None:
        return
    try:
        policy.on_retry(retry)
    except Exception as error:
        from ._signals import let_through  # on first use, as few hooks fail

        let_through(error)
        # A hook must not decide over a call: its failure would hide the outcome.
        logger.exception("on_retry failed")
