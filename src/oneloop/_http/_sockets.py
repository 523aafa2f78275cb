"""Sockets for both drivers: addresses, the order to try them in, and waiting without blocking.

eventlet and Windows have no `select.poll`. gevent and eventlet replace functions of `select` and
`socket`, so all of them are looked up when they are called.
"""

import select
import socket
import time
from collections.abc import Callable
from itertools import zip_longest
from typing import Any, TypeAlias

Address: TypeAlias = tuple[Any, ...]
"""An item of what `socket.getaddrinfo` returns."""

ATTEMPT_DELAY = 0.25
"""Seconds after which the next address is tried beside the others (RFC 8305, section 8)."""


def addresses(host: str, port: int) -> list[Address]:
    """Return the address of a host that is given by one; nothing if it has to be looked up."""
    # `getaddrinfo` would import the codec of international names, which takes milliseconds.
    for family, scope in ((socket.AF_INET, ()), (socket.AF_INET6, (0, 0))):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return [(family, socket.SOCK_STREAM, 0, "", (host, port, *scope))]
    return []


def interleaved(found: list[Address]) -> list[Address]:
    """Return addresses in the order to try them: the families in turns (RFC 8305, section 4)."""
    first = [one for one in found if one[0] == found[0][0]]
    rest = [one for one in found if one[0] != found[0][0]]
    return [one for pair in zip_longest(first, rest) for one in pair if one is not None]


def left(seconds: float | None, until: float | None) -> float | None:
    """Return the seconds for a step that also has to end at a time; not less than 0."""
    if until is None:
        return seconds
    rest = max(0.0, until - time.monotonic())
    return rest if seconds is None or rest < seconds else seconds


def watch(sock: socket.socket) -> Callable[[float | None], bool]:
    """Return a function that waits up to some seconds until this socket can be read."""
    if not hasattr(select, "poll"):
        return lambda seconds: bool(select.select([sock], [], [], seconds)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return lambda seconds: bool(poll.poll(None if seconds is None else seconds * 1000))


def wait(
    reading: list[socket.socket], writing: list[socket.socket], seconds: float | None
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Wait up to some seconds; return the sockets that can be read, and those to write to.

    A socket that has failed counts as both.
    """
    if not hasattr(select, "poll"):
        # Windows reports a failed attempt to connect in the third list only.
        readable, writable, failed = select.select(reading, writing, writing, seconds)
        return readable, [*{*writable, *failed}]
    poll = select.poll()
    for sock in {*reading, *writing}:
        poll.register(sock, select.POLLIN * (sock in reading) | select.POLLOUT * (sock in writing))
    events = dict(poll.poll(None if seconds is None else seconds * 1000))
    return (
        [sock for sock in reading if events.get(sock.fileno(), 0) & ~select.POLLOUT],
        [sock for sock in writing if events.get(sock.fileno(), 0) & ~select.POLLIN],
    )
