"""The course of one call, without I/O: what to send, when to try again, what an answer means.

`course` is a generator. It yields what is to be done (`Send`, `Wait`) and is told how it went;
`run` and `run_async` do it, with a blocking and an async transport. No decision is made in them.

Where a class need not be compared or shown, it is a plain one, here and in the transports: attrs
takes its time to make one, and all of them are needed before the first answer. What holds
secrets is no tuple: tools that report errors walk through the tuples of a frame, and see no repr.
"""

import json
import logging
import math
import random
import time
from collections.abc import Callable, Generator
from typing import Any, Literal, TypeAlias, TypeVar, cast
from urllib.parse import quote

from attrs import field, frozen

from oneloop_overrides import Call, DecodeError, Outcome, Response

from . import _answer, transport
from ._errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    RateLimitError,
    ResponseDecodeError,
    ResponseTooLargeError,
    status_error,
)
from ._policy import Retry, RetryPolicy, Timeout
from ._waits import LONGEST_WAIT, backoff, retry_after

T = TypeVar("T")

logger = logging.getLogger("oneloop")

SHORTEST_SECRET = 6
"""Characters. To take a shorter key out of texts would garble them and hide nothing."""

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
        value: The API key, or the link token.
        header: The header that it goes into, with what is sent there.
    """

    __slots__ = ("header", "value")

    def __init__(
        self, value: str, name: Literal["Authorization", "X-Link-Token"] = "Authorization"
    ) -> None:
        self.value = value
        self.header = (name, f"Bearer {value}" if name == "Authorization" else value)


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
    outcome = Outcome.NOT_SENT
    while True:
        attempt += 1
        left = None if policy.budget is None else max(0.0, policy.budget - (clock() - started))
        try:
            reply = cast("Reply", (yield request, _limits(settings, left)))
        except BaseException as interruption:
            interruption.add_note(f"{operation.name} was interrupted: it may have happened")
            raise
        result = _judge(call, reply, settings.max_response_bytes)
        elapsed = clock() - started
        if not isinstance(result, APIError):
            logger.debug("%s: done, attempt %d, %.3f s", operation.name, attempt, elapsed)
            parsed, status, headers = result
            return Response(
                parsed=parsed, status=status, headers=headers, attempts=attempt, elapsed=elapsed
            )
        error = _redacted(result, api_key, call)
        error.operation, error.method, error.path = operation.name, operation.method, operation.path
        error.attempts, error.elapsed = attempt, elapsed
        wait = _wait(error, reply, policy, attempt, may_repeat, now, chance)
        # An earlier attempt that may have taken effect outweighs a later one that did not.
        outcome = error.outcome = max(outcome, error.outcome, key=_WEIGHTS.index)
        if wait is None or elapsed + wait >= (policy.budget or math.inf):
            logger.debug("%s: failed: %s", operation.name, error.problem)
            raise error
        logger.info("%s: again in %.3f s: %s", operation.name, wait, error.problem)
        _tell(policy, Retry(operation=operation.name, attempt=attempt, wait=wait, error=error))
        try:
            yield wait
        except BaseException as interruption:
            unknown = outcome is Outcome.UNKNOWN
            happened = "it may have happened" if unknown else "nothing happened"
            interruption.add_note(f"{operation.name} was interrupted between attempts: {happened}")
            raise


def run(steps: Course[T], sender: transport.Transport) -> Response[T]:
    """Carry out a course with a blocking transport."""
    reply: Reply | None = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration as end:
            done: Response[T] = end.value
            return done
        try:
            if isinstance(step, tuple):
                reply = sender.send(*step)
            else:
                reply = None
                time.sleep(step)
        except Exception as error:  # noqa: BLE001 - nothing but our own errors may escape
            reply = _failure(error)
        except BaseException as interruption:  # noqa: BLE001 - the course raises it again
            # Without the frames of engines, in whose locals the request lies in bytes.
            steps.throw(interruption.with_traceback(None))


async def run_async(steps: Course[T], sender: transport.AsyncTransport) -> Response[T]:
    """Carry out a course with an async transport."""
    import asyncio  # here, as a process without async calls does not need it

    reply: Reply | None = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration as end:
            done: Response[T] = end.value
            return done
        try:
            if isinstance(step, tuple):
                reply = await sender.send(*step)
            else:
                reply = None
                await asyncio.sleep(step)
        except Exception as error:  # noqa: BLE001 - nothing but our own errors may escape
            reply = _failure(error)
        except BaseException as interruption:  # noqa: BLE001 - the course raises it again
            # Without the frames of engines, in whose locals the request lies in bytes.
            steps.throw(interruption.with_traceback(None))


def _failure(error: Exception) -> transport.TransportError | transport.ResponseTooLarge:
    if isinstance(error, transport.TransportError | transport.ResponseTooLarge):
        return error.with_traceback(None)
    # A transport should raise nothing else. If it does, nothing is known of the request.
    return transport.TransportError(f"{type(error).__name__}: {error}", passing=False)


def _request(call: Call[Any], settings: Settings, api_key: Key) -> transport.Request:
    body = () if call.body is None else _JSON
    return transport.Request(
        call.operation.method,
        settings.base_url + call.target,
        (api_key.header, *body, *settings.headers, *call.headers),
        call.body,
    )


_JSON = (("Content-Type", "application/json"),)


def _limits(settings: Settings, left: float | None) -> transport.Limits:
    connect, read = settings.timeout.connect, settings.timeout.read
    if left is not None:
        connect = left if connect is None or connect > left else connect
        read = left if read is None or read > left else read
    return transport.Limits(connect, read, left, settings.max_response_bytes)


def _judge(call: Call[T], reply: Reply, limit: int) -> tuple[T, int, dict[str, str]] | APIError:
    """Say what a reply means for one attempt: an answer, or an error with its outcome."""
    if isinstance(reply, transport.TransportError):
        kind = APITimeoutError if reply.timeout else APIConnectionError
        outcome = Outcome.UNKNOWN if reply.sent else Outcome.NOT_SENT
        return kind(reply.problem, outcome=outcome)
    if isinstance(reply, transport.ResponseTooLarge):
        reply = transport.Response(reply.status, reply.headers, b"")
        return _too_large(reply, f"more than {limit} bytes")
    headers = _answer.lower_headers(reply)
    try:
        body = _answer.plain_body(reply.body, headers.get("content-encoding", ""), limit)
    except _answer.TooLarge as error:
        return _too_large(reply, str(error))
    except _answer.Unreadable as error:
        body, unreadable = b"", str(error)
    else:
        unreadable = ""
    if not 200 <= reply.status <= 299:
        code, message = _answer.error_envelope(body, limit)
        rejected = 300 <= reply.status <= 499
        return status_error(reply.status)(
            f"the server answered {reply.status}",
            outcome=Outcome.REJECTED if rejected else Outcome.UNKNOWN,
            code=code,
            message=message,
            **_known(reply, headers, body),
        )
    if call.operation.decode is None:
        return cast("T", None), reply.status, headers
    try:
        if unreadable:
            raise _answer.Unreadable(unreadable)
        parsed = _answer.read_json(body, limit)
    except _answer.Unreadable as error:
        problem = f"the server answered {reply.status}, but with {error}"
        known = _known(reply, headers, body)
        return ResponseDecodeError(problem, outcome=Outcome.UNKNOWN, **known)
    except _answer.TooLarge as error:
        return _too_large(reply, str(error))
    try:
        return call.operation.decode(parsed), reply.status, headers
    except DecodeError as error:
        problem = f"the server answered {reply.status}, but {error}"
        known = _known(reply, headers, body)
        return ResponseDecodeError(problem, outcome=Outcome.APPLIED, field=error.path, **known)


def _known(reply: transport.Response, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    return {
        "status_code": reply.status,
        "request_id": _answer.request_id(headers),
        "headers": headers,
        # A little more than is kept, so that a key across the cut is found before it is cut.
        "body": body[: _answer.MAX_ERROR_BODY + 4096].decode("utf-8", "replace"),
    }


def _too_large(reply: transport.Response, what: str) -> APIError:
    headers = _answer.lower_headers(reply)
    return ResponseTooLargeError(
        f"the server answered {reply.status} with {what}",
        outcome=Outcome.UNKNOWN,
        status_code=reply.status,
        request_id=_answer.request_id(headers),
        headers=headers,
    )


def _redacted(error: APIError, api_key: Key, call: Call[Any]) -> APIError:
    """Take secrets out of what a server echoed: debug pages show requests."""
    # Not in the frame of the course, whose locals a traceback would show.
    for secret in (api_key.value, *call.secrets):
        if len(secret) >= SHORTEST_SECRET:
            for form in _spellings(secret):
                _redact(error, form)
    if error.body is not None:
        error.body = error.body[: _answer.MAX_ERROR_BODY]
    return error


def _spellings(secret: str) -> set[str]:
    """Return how a text may have it: as it is, in a URL, in JSON, in the repr of bytes."""
    shown = repr(secret.encode() + b'"')[2:-2]  # as it stands between ' and '
    return {
        secret,
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        shown,
        shown.replace("\\'", "'"),
    }


def _redact(error: APIError, secret: str) -> None:
    def clean(text: str) -> str:
        return text.replace(secret, "[redacted]")

    error.args = tuple(clean(str(part)) for part in error.args)
    error.problem = clean(error.problem)
    error.headers = {
        name.replace(secret.lower(), "[redacted]"): clean(value)
        for name, value in error.headers.items()
    }
    error.message = None if error.message is None else clean(error.message)
    error.request_id = None if error.request_id is None else clean(error.request_id)
    if error.body is not None:
        error.body = _without_start_of(secret, clean(error.body)[: _answer.MAX_ERROR_BODY])


def _without_start_of(secret: str, text: str) -> str:
    """Take the start of a key off the end of a text that was cut in the middle of it."""
    for size in range(len(secret) - 1, 7, -1):
        if text.endswith(secret[:size]):
            return text[:-size] + "[redacted]"
    return text


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
        again = reply.passing and (may_repeat or not reply.sent)
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
    except Exception:  # a hook must not decide over a call: its failure would hide the outcome
        logger.exception("on_retry failed")
