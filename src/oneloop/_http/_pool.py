"""The connections of one process or event loop: which are idle, and who may open another.

There are no locks: a signal handler may raise an exception between any two steps, and a lock that
is held then, or at a fork, would stay locked. Instead, each step that matters is a single operation
of a built-in type, and what a lost step leaves behind is found by weak references.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING
from weakref import ref

if TYPE_CHECKING:
    from ._connection import Connection, Waiter

KEEPALIVE = 4.0
"""Seconds for which an idle connection is used again. Servers close idle connections (uvicorn after
5 seconds), and a request must not be sent on a connection that is being closed."""


class Pool:
    """Up to `maximum` connections. The one that was used last is used next.

    Attributes:
        is_closed: Whether the client was closed here. Connections are then not kept any more.
    """

    def __init__(self, maximum: int, make: "Callable[[], Connection]") -> None:
        self.is_closed = False
        self._maximum = maximum
        self._make = make
        self._idle: deque[Connection] = deque()
        # Slots that are taken: by number, with a reference whose callback frees the slot when the
        # connection has gone, also if it was lost where a call was interrupted.
        self._taken: dict[int, ref[Connection]] = {}
        self._queue: dict[ref[Waiter], None] = {}

    def take(self, waiter: "Waiter | None" = None) -> "Connection | None":
        """Return an open or a new connection, or `None` if the call must wait for its turn."""
        if self._queue and self._first() is not waiter:
            return None
        now = time.monotonic()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._new()
            if now < connection.expires and connection.is_usable():
                return connection
            self.discard(connection)

    def give_back(self, connection: "Connection") -> None:
        """Keep a connection for another call."""
        self._idle.append(connection)
        if self.is_closed:
            self.close()
        elif self._queue:
            self.wake()
        elif len(self._idle) > 1:
            with suppress(IndexError):  # other threads have taken them
                if self._idle[0].expires < time.monotonic():
                    self.discard(self._idle.popleft())

    def discard(self, connection: "Connection") -> None:
        """Close a connection, and free its slot."""
        connection.close()
        number, connection.number = connection.number, None
        if number is not None:
            self._taken.pop(number, None)
        self.wake()

    def join(self, waiter: "Waiter") -> "ref[Waiter]":
        """Put a call at the end of the queue; its waiter is woken when it should look again.

        A call leaves the queue by itself when its waiter is garbage.
        """
        entry = ref(waiter)
        self._queue[entry] = None
        self.wake()  # the first one, in case that it missed its turn
        return entry

    def leave(self, entry: "ref[Waiter]") -> None:
        """Remove a call from the queue. It may have been woken in place of the next one."""
        self._queue.pop(entry, None)
        self.wake()

    def wake(self) -> None:
        """Wake the first call in the queue, if there is a connection for it."""
        if self._queue and (self._idle or len(self._taken) < self._maximum):
            first = self._first()
            if first is not None:
                first.wake()

    def wake_all(self) -> None:
        """Wake all calls in the queue: one of them may be out of time."""
        for waiter in [entry() for entry in [*self._queue]]:
            if waiter is not None:
                waiter.wake()

    def close(self) -> None:
        """Close all idle connections now, and those that calls use when these end."""
        self.is_closed = True
        with suppress(IndexError):  # there are no more
            while True:
                self.discard(self._idle.pop())

    def connections(self) -> "list[Connection]":
        """Return all connections, idle or not."""
        found = [reference() for reference in [*self._taken.values()]]
        return [connection for connection in found if connection is not None]

    def forget(self) -> bool:
        """Drop all idle connections without closing them; return whether there were any."""
        were_any = bool(self._idle)
        self._idle.clear()
        return were_any

    def _first(self) -> "Waiter | None":
        while self._queue:
            try:
                entry = next(iter(self._queue))
            except (StopIteration, RuntimeError):  # another thread has changed the queue
                continue
            waiter = entry()
            if waiter is not None:
                return waiter
            self._queue.pop(entry, None)
        return None

    def _new(self) -> "Connection | None":
        if len(self._taken) >= self._maximum:
            return None
        # Those numbers first that are likely to be free.
        for number in chain(range(len(self._taken), self._maximum), range(self._maximum)):
            if number not in self._taken:
                connection = self._make()
                mine = ref(connection, partial(self._lost, number))
                if self._taken.setdefault(number, mine) is mine:
                    connection.number = number
                    return connection
        return None

    def _lost(self, number: int, gone: "ref[Connection]") -> None:
        """Free the slot of a connection that has gone, unless another one has it."""
        if self._taken.get(number) is gone:
            self._taken.pop(number, None)


_forks = 0


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forked)


def process() -> tuple[int, int]:
    """Return an identifier of this process that differs from those of its parents.

    A forked process must not use its parent's connections. A child in a new PID namespace may have
    its parent's process id, and C code may fork without running the hooks that count forks.
    """
    return os.getpid(), _forks
