"""Interrupt a call when it has come to a certain place, however long that takes."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

A_WHILE = 0.1
"""Seconds after which a call that has sent its request waits for the answer."""


@contextmanager
def alarm(handler: Callable[..., object], when: Callable[[], object]) -> Iterator[None]:
    """Handle SIGALRM with this handler, and send it to this thread soon after `when()` is true."""
    caller, ended = threading.get_ident(), threading.Event()

    def watch() -> None:
        while not when():
            if ended.wait(0.002):
                return
        if not ended.wait(A_WHILE):
            signal.pthread_kill(caller, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, handler)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        signal.signal(signal.SIGALRM, before)
