"""Ctrl-C, heeded only where stopping leaves nothing half done."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType

Heeded = Callable[[], AbstractContextManager[None]]


@contextmanager
def held() -> Iterator[Heeded]:
    """Hold Ctrl-C back until the block has ended, except in blocks of what this yields.

    A block that fails drops a Ctrl-C that was held back. SIGINT that is ignored, as under nohup,
    stays ignored.
    """
    came: list[FrameType | None] = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        yield nullcontext
        return

    @contextmanager
    def heeded() -> Iterator[None]:
        signal.signal(signal.SIGINT, before)
        try:
            if came:
                before(signal.SIGINT, came.pop())
            yield
        finally:
            signal.signal(signal.SIGINT, hold)

    def hold(_: int, frame: FrameType | None) -> None:
        came.append(frame)

    signal.signal(signal.SIGINT, hold)
    try:
        yield heeded
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        before(signal.SIGINT, came.pop())
