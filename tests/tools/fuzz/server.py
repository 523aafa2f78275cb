"""A server that answers each request with the bytes of its case."""

import heapq
import re
import selectors
import socket
import struct
import threading
import time
from collections import Counter
from itertools import pairwise

from .answers import Answer, Case


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.key = ""
        self.received = b""
        self.answer: Answer | None = None
        self.pieces: list[bytes] = []


class Server:
    """Answers each request with the bytes of its case."""

    _REQUEST = re.compile(rb"(?is)(.*?)\r\n\r\n")
    _LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")
    _KEY = re.compile(rb'"externalMeterId":"([^"]*)"')

    def __init__(self) -> None:
        """Listen, and serve in a thread."""
        self._cases: dict[str, Case] = {}
        self._seen: Counter[str] = Counter()
        self._closing: set[str] = set()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._later: list[tuple[float, int, _Connection]] = []
        self._turn = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="fuzz server", daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def expect(self, case: Case) -> None:
        """Prepare for the call of a case."""
        self._cases[case.key] = case

    def is_closing(self, case: Case) -> bool:
        """Return whether the connection of a case is being closed, so that no call may follow."""
        return case.key in self._closing

    def forget(self, case: Case) -> int:
        """Return how many requests came for a case, and delete its data."""
        del self._cases[case.key]
        return self._seen.pop(case.key, 0)

    def close(self) -> None:
        """Stop serving, and close all connections."""
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            wait = 0.1
            if self._later:
                wait = min(wait, max(0.0, self._later[0][0] - time.monotonic()))
            for key, _ in self._selector.select(wait):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.events == selectors.EVENT_READ:
                    self._receive(key.data)
                else:
                    self._push(key.data)
            while self._later and self._later[0][0] <= time.monotonic():
                self._push(heapq.heappop(self._later)[2])
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, selectors.EVENT_READ, _Connection(sock))

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self._drop(connection)
            return
        connection.received += data
        head = self._REQUEST.match(connection.received)
        length = self._LENGTH.search(head[1]) if head else None
        if not head or not length or len(connection.received) < head.end() + int(length[1]):
            return
        key = self._KEY.search(connection.received, head.end())
        connection.received = b""
        name = key[1].decode() if key else ""
        case = self._cases.get(name)
        if case is None:
            self._drop(connection)
            return
        answer = case.answer(self._seen[name] + 1)
        connection.key = name
        if answer.after != "keep":
            self._closing.add(name)
        self._seen[name] += 1
        ends = [0, *answer.cuts, len(answer.raw)]
        connection.answer = answer
        connection.pieces = [answer.raw[a:b] for a, b in pairwise(ends)]
        self._push(connection)

    def _push(self, connection: _Connection) -> None:
        answer, sock = connection.answer, connection.sock
        if answer is None or sock.fileno() < 0:
            return
        try:
            sent = sock.send(connection.pieces[0])
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            self._drop(connection)
            return
        if sent < len(connection.pieces[0]):
            connection.pieces[0] = connection.pieces[0][sent:]
            self._selector.modify(sock, selectors.EVENT_WRITE, connection)
            return
        self._selector.modify(sock, selectors.EVENT_READ, connection)
        del connection.pieces[0]
        if connection.pieces:
            self._turn += 1
            due = time.monotonic() + answer.pause
            heapq.heappush(self._later, (due, self._turn, connection))
            return
        connection.answer = None
        if answer.after == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if answer.after != "keep":
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.sock)
        connection.sock.close()
        self._closing.discard(connection.key)
