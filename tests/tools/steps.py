"""Interrupt or cancel a refill at each of its places, and compare a server's books with the note.

A place is an instruction before which Python runs signal handlers, or the beginning of a line, or,
for a cancellation, a moment at which the task waits. `scripts/steps` visits them all; the tests
visit some of them.
"""

import argparse
import asyncio
import dis
import gc
import os
import re
import signal
import socket
import ssl
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from inspect import CO_COROUTINE
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal
from unittest import mock

from attrs import define, field, frozen

import oneloop
from oneloop import APIError, AsyncOneloop, Oneloop, Outcome, Timeout
from oneloop._http._asyncio import AsyncioTransport
from oneloop._http._blocking import BlockingTransport
from tests.calling import AT_ONCE, REFILL
from tests.tools.failures import authority, read_request

Kind = Literal["sync", "async"]
Mode = Literal["opcode", "line", "await", "ready"]
"""Where to strike: before an instruction or a line; or where to cancel: while the task waits for
something, or just when that has happened."""

PACKAGE = Path(oneloop.__file__).parent
FILES = frozenset(
    str(PACKAGE / name)
    for name in ("_call.py", "_decoding.py", "_failures.py", "foundation.py", "_retry.py")
)
NOTE = re.compile(r"refill_billing_limit was interrupted(?: between attempts)?: (.+)")
TIMES = {
    "nothing happened": (0,),
    "it may have happened": (0, 1),
    "it happened": (1,),
    "answered": (1,),
    Outcome.NOT_SENT.name: (0,),
    Outcome.UNKNOWN.name: (0, 1),
    "outside": (0, 1),
    "not begun": (0,),
}
"""How often the refill may be in the books after each thing that the caller can be told."""

CONNECT = 5.0
"""Seconds to wait for a free connection."""

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}'
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"


class StrikeError(Exception):
    """What the signal handler raises."""


@cache
def interruptible(code: CodeType) -> frozenset[int]:
    """Return the offsets in a function's code before which Python may run a signal handler."""
    found = set[int]()
    before = None
    for one in dis.get_instructions(code):
        if before is not None and before.startswith(("CALL", "RESUME")):
            found.add(one.offset)
        if one.opname == "JUMP_BACKWARD":
            found.add(one.argval)
        before = one.opname
    return frozenset(found)


@cache
def interruptible_lines(code: CodeType) -> frozenset[int | None]:
    """Return the lines in which Python may run a signal handler."""
    offsets = interruptible(code)
    return frozenset(
        line
        for start, end, line in code.co_lines()
        if any(one in offsets for one in range(start, end, 2))
    )


class Striking:
    """Raises an exception, as a signal handler would, at the n-th place in some files.

    Attributes:
        struck: Where it has raised one: the name of a function and a line; empty if nowhere.
    """

    def __init__(
        self, place: int, mode: Mode = "opcode", ours: Callable[[CodeType], bool] | None = None
    ) -> None:
        self.struck = ""
        self._left = place
        self._mode = mode
        self._ours = ours or _is_ours

    def __enter__(self) -> "Striking":
        """Trace this thread, as a signal handler, whose exceptions are recognized as such."""
        self._before = signal.signal(signal.SIGUSR2, self._step)
        self._tracing = sys.gettrace()
        # Python 3.12 reports opcodes only if a frame has asked for them before `settrace`.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._entered)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop tracing, and restore the previous signal handler."""
        sys.settrace(self._tracing)
        signal.signal(signal.SIGUSR2, self._before)

    def _entered(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if not self._ours(frame.f_code) or _is_outside(frame):
            return None
        frame.f_trace_opcodes = self._mode == "opcode"
        frame.f_trace_lines = self._mode == "line"
        return self._step

    def _step(self, frame: Any, event: Any, _argument: object = None) -> Any:
        if event == self._mode and (
            frame.f_lineno in interruptible_lines(frame.f_code)
            if event == "line"
            else frame.f_lasti in interruptible(frame.f_code)
        ):
            self._left -= 1
            if not self._left:
                self.struck = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                sys.settrace(self._tracing)
                raise StrikeError
        return self._step


def _is_ours(code: CodeType) -> bool:
    return code.co_filename in FILES or "/oneloop/_http/" in code.co_filename


def _is_outside(frame: FrameType | None) -> bool:
    """Return whether a frame belongs to what no exception can leave or may strike twice.

    Python drops an exception in `__del__`, and asyncio one in a callback. `interrupted` runs only
    after another exception.
    """
    is_task = False
    while frame is not None:
        code = frame.f_code
        if code.co_name in ("__del__", "interrupted"):
            return True
        if code.co_name == "_run" and code.co_filename.endswith("events.py"):
            return not is_task
        is_task = bool(code.co_flags & CO_COROUTINE)
        frame = frame.f_back
    return False


class Cancelling:
    """Awaits a coroutine, and cancels the task at the n-th moment at which it waits.

    Attributes:
        struck: Which moment that was; empty if there were fewer.
    """

    def __init__(self, place: int, mode: Mode) -> None:
        self.struck = ""
        self._left = place
        self._mode = mode

    async def run(self, coroutine: Any) -> Any:
        """Await the coroutine as a task, and return its result."""
        return await asyncio.create_task(self._stepped(coroutine))

    async def _stepped(self, coroutine: Any) -> Any:
        return await _Awaitable(self._steps(coroutine))

    def _steps(self, coroutine: Any) -> Generator[Any, Any, Any]:
        task: Any = asyncio.current_task()
        steps = coroutine.__await__()
        step, reply = steps.send, None
        while True:
            try:
                waiting = step(reply)
            except StopIteration as end:
                return end.value
            self._left -= 1
            if not self._left:
                self.struck = f"moment {waiting!r:.30}"
                if self._mode == "ready" and waiting is not None:
                    waiting.add_done_callback(lambda _: task.cancel())
                else:
                    task.get_loop().call_soon(task.cancel)
            try:
                reply = yield waiting
                step = steps.send
            except BaseException as error:  # noqa: BLE001 - it belongs to the coroutine
                reply, step = error, steps.throw


@frozen
class _Awaitable:
    steps: Generator[Any, Any, Any]

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.steps


@frozen
class Scenario:
    """The circumstances of a call.

    Attributes:
        reused: Whether there is a connection that has been used before.
        turned_away: Whether the server answers 429 at first.
        secure: Whether it speaks TLS.
        proxied: Whether it is behind a proxy, as seen by the client.
        dropping: Whether the server closes the connection instead of answering.
    """

    reused: bool = False
    turned_away: bool = False
    secure: bool = False
    proxied: bool = False
    dropping: bool = False


SCENARIOS = {
    "fresh": Scenario(),
    "reused": Scenario(reused=True),
    "429 first": Scenario(turned_away=True),
    "TLS": Scenario(secure=True),
    "TLS, reused": Scenario(secure=True, reused=True),
    "proxy": Scenario(secure=True, proxied=True),
    "dropping": Scenario(reused=True, dropping=True),
}


class BookServer:
    """Counts refills by the name of the meter, and knows how many connections are open."""

    def __init__(self, scenario: Scenario) -> None:
        self.books = Counter[str]()
        self._scenario = scenario
        self._turned_away = set[str]()
        self._changed = threading.Condition()
        self._open = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listener.getsockname()[1]
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority().issue_cert("api.test", "127.0.0.1").configure_cert(self._context)
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def wait_until_quiet(self) -> None:
        """Wait until all connections have been closed, by the clients."""
        # A connection may still be in the queue of those to accept: one of ours ends behind it.
        number = 0
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"quiet\r\n\r\n")
            number = len(last.recv(1))
        with self._changed:
            assert number
            assert self._changed.wait_for(lambda: not self._open, 10), "a connection stays open"

    def close(self) -> None:
        """Stop to serve."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self._open += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        with suppress(OSError), connection:
            self._talk(connection)
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def _talk(self, connection: socket.socket) -> None:
        first = connection.recv(7, socket.MSG_PEEK)
        if first == b"quiet\r\n":
            connection.sendall(b"!")
            return
        if self._scenario.proxied:
            if not read_request(connection):
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        if self._scenario.secure:
            with self._context.wrap_socket(connection, server_side=True) as secure:
                self._answer(secure)
        else:
            self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        while request := read_request(connection):
            name = request.partition(b'"externalMeterId":')[2].split(b'"')[1].decode()
            usual = name.endswith(("before", "after"))
            if self._scenario.turned_away and not usual and name not in self._turned_away:
                self._turned_away.add(name)
                connection.sendall(BUSY)
                continue
            self.books[name] += 1
            if self._scenario.dropping and not usual:
                return
            connection.sendall(ANSWER)


@define
class Findings:
    """What was seen at all places.

    Attributes:
        told: How often callers were told what.
        wrong: What must not be.
        leaks: Sockets that only the garbage collector closed, by the place of the strike.
    """

    told: Counter[str] = field(factory=Counter[str])
    wrong: list[str] = field(factory=list[str])
    leaks: Counter[str] = field(factory=Counter[str])


class Walk:
    """Visits the places of a refill in one scenario."""

    def __init__(self, kind: Kind, scenario: Scenario, mode: Mode) -> None:
        self.findings = Findings()
        self._kind, self._scenario, self._mode = kind, scenario, mode
        self._server = BookServer(scenario)
        self._runner = asyncio.Runner()
        self._noticed: list[str] = []
        self._context = ssl.create_default_context()
        authority().configure_trust(self._context)
        host = "api.test" if scenario.proxied else f"127.0.0.1:{self._server.port}"
        self._url = f"http{'s' * scenario.secure}://{host}"
        self._proxy = f"http://127.0.0.1:{self._server.port}" if scenario.proxied else ""

    def visit(self, places: Iterator[int]) -> int:
        """Strike at these places, in rising order, until there is none; return their number."""
        visited = 0
        with ExitStack() as stack:
            stack.callback(self._server.close)
            stack.enter_context(self._runner)
            stack.enter_context(self._noticing())
            stack.enter_context(mock.patch.dict(os.environ, {"HTTPS_PROXY": self._proxy}))
            self._visited(0)
            files = _open_files()
            for place in places:
                if not self._visited(place):
                    break
                visited += 1
            if _open_files() > files:
                self.findings.wrong.append("files stay open")
        return visited

    def _visited(self, place: int) -> str:
        """Strike at a place, judge what comes of it, and return where that was."""
        name = f"meter-{place}"
        client, refill, close = self._client()
        strike: Any = (Striking if self._mode in ("opcode", "line") else Cancelling)(
            place, self._mode
        )
        if self._scenario.reused:
            refill(f"{name}-before")
        told, note = "", ""
        try:
            if isinstance(strike, Striking):
                with strike:
                    refill(name)
            else:
                work = client.refill_billing_limit(**REFILL | {"external_meter_id": name})
                self._runner.run(strike.run(work))
            told = "answered"
        except APIError as error:
            told = error.outcome.name
        except (StrikeError, asyncio.CancelledError) as error:
            (note,) = getattr(error, "__notes__", [""])
            known = NOTE.fullmatch(note)
            told = known[1] if known else "not begun"
        where = f"{place} {strike.struck}"
        if bool(strike.struck) != (told not in ("answered", "UNKNOWN")):
            self.findings.wrong.append(f"{where}: told {told!r}")
        try:
            refill(f"{name}-after")
        except APIError as error:
            self.findings.wrong.append(f"{where}: the next call failed: {error!r}")
        close()
        del client, refill, close
        gc.collect()
        self._server.wait_until_quiet()
        times = self._server.books[name]
        if told == "not begun" and strike.struck.partition(":")[0] in AFTER:
            told = "outside"  # Python runs no signal handler there, as it returns from Python code
        self.findings.told[told] += 1
        if times not in TIMES.get(told, (0,)):
            self.findings.wrong.append(f"{where}: told {told!r}, in the books {times} times")
        for one in self._noticed:
            if one.startswith("unclosed <socket"):
                self.findings.leaks[strike.struck] += 1
            elif "ssl.SSLSocket" in one:  # the server's, of a handshake that was not completed
                continue
            elif "was never awaited" not in one:  # Python runs no handler where a call makes one
                self.findings.wrong.append(f"{where}: {one}")
        self._noticed.clear()
        return str(strike.struck)

    def _client(self) -> tuple[Any, Callable[[str], object], Callable[[], object]]:
        options: dict[str, Any] = {
            "api_key": "sdk",
            "base_url": self._url,
            "retry": AT_ONCE,
            "timeout": Timeout(connect=CONNECT, read=5),
        }
        if self._kind == "sync":
            sync = Oneloop(**options, transport=BlockingTransport(self._url, self._context, 1))

            def refill(name: str) -> object:
                return sync.refill_billing_limit(**REFILL | {"external_meter_id": name})

            return sync, refill, sync.close
        client = AsyncOneloop(**options, transport=AsyncioTransport(self._url, self._context, 1))

        def run(name: str) -> object:
            return self._runner.run(
                client.refill_billing_limit(**REFILL | {"external_meter_id": name})
            )

        return client, run, lambda: self._runner.run(client.aclose())

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Note warnings, and exceptions that Python drops."""

        def noted(message: Any, *_: object, **__: object) -> None:
            self._noticed.append(str(message))

        def dropped(unraisable: Any) -> None:
            self._noticed.append(f"dropped: {unraisable.exc_value!r} {unraisable.object!r}")

        gc.collect()
        gc.freeze()  # so that a collection is quick
        with (
            warnings.catch_warnings(),
            mock.patch.object(warnings, "showwarning", noted),
            mock.patch.object(sys, "unraisablehook", dropped),
        ):
            warnings.simplefilter("always")
            try:
                yield
            finally:
                gc.unfreeze()


AFTER = tuple(
    f"{client}.{function}"
    for client in ("SyncClient", "AsyncClient")
    for function in ("_perform", "_perform_special", "_respond")
)
"""Functions that return what the course of a call has returned."""


def _open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def modes(kind: Kind) -> tuple[Mode, ...]:
    """Return the modes for a client."""
    return ("opcode", "line") if kind == "sync" else ("opcode", "line", "await", "ready")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/steps",
        description="Interrupt or cancel a refill at each of its places, and compare a server's "
        "books with what the caller was told.",
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="visit each N-th place (%(default)s)"
    )
    options = parser.parse_args(argv)
    wrong = 0
    total = 0
    for kind in ("sync", "async"):
        for name, scenario in SCENARIOS.items():
            for mode in modes(kind):
                walk = Walk(kind, scenario, mode)
                visited = walk.visit(iter(range(1, 10**9, options.every)))
                total += visited
                findings = walk.findings
                told = ", ".join(f"{word}: {n}" for word, n in sorted(findings.told.items()))
                sys.stdout.write(f"{kind}, {name}, {mode}: {visited} places; {told}\n")
                for place, count in sorted(findings.leaks.items()):
                    sys.stdout.write(f"    left to the garbage collector: {place} ({count})\n")
                for line in findings.wrong:
                    sys.stdout.write(f"    WRONG: {line}\n")
                sys.stdout.flush()
                wrong += len(findings.wrong)
    sys.stdout.write(f"{total} places, {wrong} wrong\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
