"""Distinguishes exceptions of signal handlers from those of the code that they interrupted.

A soft time limit, or an alarm of the application, raises an exception in whatever code is running.
It is not about the call, so it must reach the caller unchanged.
"""

import signal
from functools import partial
from traceback import walk_tb
from types import FrameType
from typing import Any, cast


def let_through(error: BaseException) -> None:
    """Raise the exception of a signal handler that an error is or was made from, if any."""
    interruption = raised_by_handler(error)
    if interruption is not None:
        raise interruption


def raised_by_handler(error: BaseException) -> BaseException | None:
    """Return the exception of a signal handler that an error is or was made from, or `None`.

    Libraries replace a `TimeoutError` or another `OSError` that interrupts a read with an error of
    their own. The original is then its cause or context, or part of a group.
    """
    codes = {_code(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if any(_is_handler(frame, codes) for frame, _ in walk_tb(one.__traceback__)):
            return one
        waiting += [other for other in (one.__context__, one.__cause__) if other is not None]
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("tuple[BaseException, ...]", one.exceptions)
    return None


def _is_handler(frame: FrameType, codes: set[Any]) -> bool:
    """Return whether a frame belongs to a signal handler.

    It runs one of these codes; or, as that handler may have been replaced since, it got the frame
    that it interrupted as an argument.
    """
    items = (item for value in frame.f_locals.values() for item in _items(value))
    was_given = frame.f_back is not None and any(item is frame.f_back for item in items)
    return was_given or frame.f_code in codes


def _items(value: Any) -> list[Any]:
    return [*value] if type(value) is tuple else [value]


def _code(handler: Any) -> Any:
    """Return the code of a handler, which is a function, method, partial or callable object."""
    while isinstance(handler, partial):
        handler = handler.func
    if not hasattr(handler, "__code__"):
        handler = getattr(handler, "__func__", None) or getattr(handler, "__call__", handler)  # noqa: B004
        handler = getattr(handler, "__func__", handler)
    return getattr(handler, "__code__", None)
