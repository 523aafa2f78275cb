"""Exceptions of signal handlers, told apart from those of the code that they interrupted.

A soft time limit, or an alarm of the application's own, raises in the midst of whatever is running.
Such an exception is not about the call: it must reach the caller as it is.
"""

import signal
from functools import partial
from types import FrameType
from typing import Any, cast


def let_through(error: BaseException) -> None:
    """Raise the exception of a signal handler that an error is, or was made from, if it is one."""
    interruption = raised_by_handler(error)
    if interruption is not None:
        raise interruption


def raised_by_handler(error: BaseException) -> BaseException | None:
    """Return the exception of a signal handler that an error is, or was made from; else `None`.

    Libraries turn what interrupts a read into an error of theirs where it is a `TimeoutError` or
    another `OSError`. The original is its cause or context.
    """
    codes = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if _passed(one, codes):
            return one
        waiting += [other for other in (one.__context__, one.__cause__) if other is not None]
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("tuple[BaseException, ...]", one.exceptions)
    return None


def _passed(error: BaseException, codes: set[Any]) -> bool:
    """Return whether an exception passed the frame of a signal handler.

    That is one of these codes; or, as a handler may have been replaced since, a function that was
    given the very frame that it interrupted.
    """
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code in codes or (frame.f_back is not None and _was_given(frame, frame.f_back)):
            return True
        trace = trace.tb_next
    return False


def _was_given(frame: FrameType, interrupted: FrameType) -> bool:
    for value in frame.f_locals.values():
        if value is interrupted:
            return True
        if type(value) is tuple and any(item is interrupted for item in cast("tuple[Any]", value)):
            return True
    return False


def _code(handler: Any) -> Any:
    """Return the code of a handler: a function, a method, a partial or a callable object."""
    while isinstance(handler, partial):
        handler = handler.func
    if not hasattr(handler, "__code__"):
        handler = getattr(handler, "__func__", None) or getattr(handler, "__call__", handler)  # noqa: B004
        handler = getattr(handler, "__func__", handler)
    return getattr(handler, "__code__", None)
