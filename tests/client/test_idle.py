"""Connections that are kept for later calls: which are used again, and who waits for one."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from oneloop import (
    APIConnectionError,
    APITimeoutError,
    AsyncOneloop,
    Oneloop,
    Outcome,
    RetryPolicy,
    Timeout,
)
from oneloop._http._asyncio import AsyncioTransport
from oneloop._http._blocking import BlockingTransport
from oneloop._http._pool import Pool
from tests.calling import REFILL, SLACK, ClientKind
from tests.sandbox.refills import wait_for
from tests.tools.failures import read_request

BODY = b'{"billing": null}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n" + BODY
Answer = Callable[[socket.socket, bytes], object]


class Server:
    """A server that serves many connections at once, and counts what each of them was used for.

    Attributes:
        url: Where it listens.
        used: For each connection, the number of requests on it.
        ended: For each connection, an event: the client has closed it.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.used: list[int] = []
        self.ended: list[threading.Event] = []

    def __enter__(self) -> "Server":
        """Begin to serve."""
        self._threads.append(threading.Thread(target=self._accept))
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all connections have ended."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.used.append(0)
            self.ended.append(threading.Event())
            self._threads.append(
                threading.Thread(target=self._serve, args=(connection, len(self.used) - 1))
            )
            self._threads[-1].start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.settimeout(10)
        with connection:
            try:
                while request := read_request(connection):
                    self.used[number] += 1
                    self._answer(connection, request)
            except OSError:
                pass
            self.ended[number].set()


def refills(kind: ClientKind, url: str, times: int, pause: Callable[[], object] = bool) -> None:
    """Make refills with one client, one after the other, and call `pause` between them."""
    options: dict[str, Any] = {"api_key": "sdk", "base_url": url}
    options["retry"] = RetryPolicy(attempts=1)

    async def main() -> None:
        async with AsyncOneloop(**options) as client:
            for number in range(times):
                if number:
                    await asyncio.to_thread(pause)
                await client.refill_billing_limit(**REFILL)

    if kind.name == "async":
        asyncio.run(main())
        return
    with Oneloop(**options) as client:
        for number in range(times):
            if number:
                pause()
            client.refill_billing_limit(**REFILL)


def saying(head: str) -> Answer:
    """Answer with this head, and with a body of the length that it states."""
    answer = head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + BODY
    return lambda connection, _: connection.sendall(answer)


LENGTH = "Content-Length: 17"


@pytest.mark.parametrize(
    ("head", "used"),
    [
        (f"HTTP/1.1 200 OK\n{LENGTH}", [3]),
        (f"HTTP/1.1 200 OK\n{LENGTH}\nKeep-Alive: timeout=100, max=1", [3]),
        (f"HTTP/1.1 200 OK\n{LENGTH}\nKeep-Alive: max=100", [3]),
        (f"HTTP/1.1 200 OK\n{LENGTH}\nKeep-Alive: timeout=soon", [3]),
        (f"HTTP/1.1 200 OK\n{LENGTH}\nKeep-Alive: max=9, TIMEOUT=0", [1, 1, 1]),
        (f"HTTP/1.1 200 OK\n{LENGTH}\nConnection: close", [1, 1, 1]),
        (f"HTTP/1.1 200 OK\n{LENGTH}\nConnection: keep-alive", [3]),
        (f"HTTP/1.0 200 OK\n{LENGTH}", [1, 1, 1]),
        (f"HTTP/1.0 200 OK\n{LENGTH}\nConnection: keep-alive", [3]),
        (f"HTTP/1.1 103 Hints\nA: b\n\nHTTP/1.1 200 OK\n{LENGTH}", [3]),
    ],
)
def test_the_server_says_whether_a_connection_may_be_used_again(
    head: str, used: list[int], kind: ClientKind
) -> None:
    """`Connection`, the version of HTTP and `Keep-Alive` decide; each call is one request."""
    with Server(saying(head)) as server:
        refills(kind, server.url, 3)
    assert server.used == used


def test_a_connection_is_not_used_when_its_server_may_be_closing_it(kind: ClientKind) -> None:
    """`Keep-Alive: timeout=1` makes us give up the connection before a second has passed."""
    head = f"HTTP/1.1 200 OK\n{LENGTH}\nKeep-Alive: timeout=1"
    with Server(saying(head)) as server:
        refills(kind, server.url, 2, lambda: time.sleep(0.85))
    assert server.used == [1, 1]


def test_a_connection_that_was_idle_for_long_is_not_used(
    kind: ClientKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word of the server, its connection is given up after a limit of ours."""
    monkeypatch.setattr("oneloop._http._connection.KEEPALIVE", 0.2)
    head = f"HTTP/1.1 200 OK\n{LENGTH}\nKeep-Alive: timeout=100"
    with Server(saying(head)) as server:
        refills(kind, server.url, 2, lambda: time.sleep(0.3))
        assert server.ended[0].wait(SLACK)
    assert server.used == [1, 1]


@pytest.mark.parametrize("unasked", [b"", b"\r\n", b"HTTP/1.1 408 Late\r\n\r\n", b"x" * 200_000])
def test_a_connection_on_which_more_arrives_is_not_used(unasked: bytes, kind: ClientKind) -> None:
    """A connection is given up if its server closes it or sends something while it is idle."""
    answered: list[socket.socket] = []

    def answer(connection: socket.socket, _: bytes) -> None:
        answered.append(connection)
        connection.sendall(OK)

    def pause() -> None:
        connection = answered[-1]
        with suppress(OSError):  # the client may close the connection before all is sent
            connection.settimeout(0.2)
            connection.sendall(unasked) if unasked else connection.shutdown(socket.SHUT_WR)
            connection.settimeout(10)
        time.sleep(0.05)

    with Server(answer) as server:
        refills(kind, server.url, 3, pause)
    assert server.used == [1, 1, 1]


def test_a_connection_that_was_reset_is_not_used(kind: ClientKind) -> None:
    """A connection that its server has reset while it was idle costs no attempt."""
    asked, done = threading.Semaphore(0), threading.Semaphore(0)

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(OK)
        asked.acquire(timeout=60)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        done.release()
        raise OSError

    def reset() -> None:
        asked.release()
        assert done.acquire(timeout=60)

    with Server(answer) as server:
        refills(kind, server.url, 3, reset)
        asked.release()
    assert server.used == [1, 1, 1]


def test_the_connection_that_was_used_last_is_used_next(kind: ClientKind) -> None:
    """Of several idle connections, one serves calls that follow each other; the others expire."""
    both = threading.Barrier(2)

    def answer(connection: socket.socket, request: bytes) -> None:
        if b"first" in request:
            both.wait(10)
        connection.sendall(OK)

    with Server(answer) as server:
        client = kind.client(api_key="sdk", base_url=server.url)
        first = {**REFILL, "external_meter_id": "first"}

        def with_threads() -> None:
            threads = [
                threading.Thread(target=client.refill_billing_limit, kwargs=first) for _ in "12"
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for _ in range(3):
                client.refill_billing_limit(**REFILL)
            client.close()

        async def with_tasks() -> None:
            await asyncio.gather(*(client.refill_billing_limit(**first) for _ in "12"))
            for _ in range(3):
                await client.refill_billing_limit(**REFILL)
            await client.aclose()

        with_threads() if kind.name == "sync" else asyncio.run(with_tasks())
    assert sorted(server.used) == [1, 4]


# More calls than connections


def limited(kind: ClientKind, url: str, maximum: int, **options: Any) -> Any:
    """Return a client with at most so many connections."""
    transport = BlockingTransport if kind.name == "sync" else AsyncioTransport
    return kind.client(
        api_key="sdk",
        base_url=url,
        transport=transport(url, None, maximum),
        retry=RetryPolicy(attempts=1),
        **options,
    )


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows as calls begin to wait for a connection."""
    waiters: list[Any] = []
    join = Pool.join

    def recording(pool: Pool, waiter: Any) -> Any:
        entry = join(pool, waiter)
        waiters.append(entry)
        return entry

    monkeypatch.setattr(Pool, "join", recording)
    return waiters


async def wait_here_for(condition: Callable[[], bool]) -> None:
    """Wait as `wait_for` does, and let the event loop run."""
    await asyncio.to_thread(wait_for, condition)


def named(name: str) -> dict[str, Any]:
    """Return the arguments of a refill of this meter."""
    return {**REFILL, "external_meter_id": name}


@pytest.mark.parametrize("closes", [False, True])
def test_calls_wait_for_a_connection_in_the_order_of_their_arrival(
    closes: bool, kind: ClientKind, queued: list[Any]
) -> None:
    """The queue is fair, whether the connection can be used again or the next call opens one."""
    names = [f"meter-{number}" for number in range(6)]
    arrived: list[str] = []
    release = threading.Event()

    def answer(connection: socket.socket, request: bytes) -> None:
        arrived.extend(name for name in names if name.encode() in request)
        release.wait(10)
        connection.sendall(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if closes else OK)

    with Server(answer) as server:
        client = limited(kind, server.url, 1)

        def with_threads() -> None:
            threads = [
                threading.Thread(target=client.refill_billing_limit, kwargs=named(name))
                for name in names
            ]
            for number, thread in enumerate(threads):
                thread.start()
                wait_for(lambda number=number: arrived and len(queued) == number)
            release.set()
            for thread in threads:
                thread.join()
            client.close()

        async def with_tasks() -> None:
            tasks = [asyncio.create_task(client.refill_billing_limit(**named(n))) for n in names]
            await wait_here_for(lambda: len(queued) == 5)
            release.set()
            await asyncio.gather(*tasks)
            await client.aclose()

        with_threads() if kind.name == "sync" else asyncio.run(with_tasks())
    assert arrived == names
    assert server.used == ([1] * 6 if closes else [6])


def test_many_calls_share_few_connections(kind: ClientKind) -> None:
    """No more connections are open than `max_connections`, and each call gets its turn."""
    with Server(lambda connection, _: connection.sendall(OK)) as server:
        client = limited(kind, server.url, 3)

        def with_threads() -> None:
            def several() -> None:
                for _ in range(20):
                    client.refill_billing_limit(**REFILL)

            threads = [threading.Thread(target=several) for _ in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            client.close()

        async def with_tasks() -> None:
            await asyncio.gather(*(client.refill_billing_limit(**REFILL) for _ in range(240)))
            await client.aclose()

        with_threads() if kind.name == "sync" else asyncio.run(with_tasks())
    assert len(server.used) <= 3
    assert sum(server.used) == 240


def test_a_call_that_waits_in_vain_is_not_sent(kind: ClientKind) -> None:
    """After the connect timeout, a call that got no connection ends, and names the remedy."""
    release = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        release.wait(10)
        connection.sendall(OK)

    with Server(answer) as server:
        client = limited(kind, server.url, 1, timeout=Timeout(connect=0.3))

        def with_threads() -> None:
            busy = threading.Thread(target=client.refill_billing_limit, kwargs=REFILL)
            busy.start()
            while not server.used:
                time.sleep(0.01)
            try:
                client.refill_billing_limit(**REFILL)
            finally:
                release.set()
                busy.join()
                client.refill_billing_limit(**REFILL)  # the queue is in order
                client.close()

        async def with_tasks() -> None:
            busy = asyncio.create_task(client.refill_billing_limit(**REFILL))
            await asyncio.sleep(0)
            try:
                await client.refill_billing_limit(**REFILL)
            finally:
                release.set()
                await busy
                await client.refill_billing_limit(**REFILL)
                await client.aclose()

        with pytest.raises(APITimeoutError, match="no free connection in time") as caught:
            with_threads() if kind.name == "sync" else asyncio.run(with_tasks())
    assert caught.value.outcome is Outcome.NOT_SENT
    assert "max_connections" in str(caught.value)
    assert server.used == [2]


def test_a_call_that_is_cancelled_while_it_waits_leaves_the_queue(queued: list[Any]) -> None:
    """The calls behind it move up, and the connection is not lost."""
    release = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        release.wait(10)
        connection.sendall(OK)

    async def main(url: str) -> None:
        async with limited(ClientKind("async"), url, 1) as client:
            tasks = [asyncio.create_task(client.refill_billing_limit(**REFILL)) for _ in range(5)]
            await wait_here_for(lambda: len(queued) == 4)
            tasks[1].cancel()
            tasks[3].cancel()
            release.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(one, BaseException) for one in results] == [0, 1, 0, 1, 0]
            await client.refill_billing_limit(**REFILL)

    with Server(answer) as server:
        asyncio.run(main(server.url))
    assert server.used == [4]


def test_closing_lets_calls_that_run_or_wait_end(kind: ClientKind, queued: list[Any]) -> None:
    """Calls that began before a client was closed end as usual; later ones are refused."""
    release = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        release.wait(10)
        connection.sendall(OK)

    with Server(answer) as server:
        client = limited(kind, server.url, 1)
        results: list[Any] = []

        def with_threads() -> None:
            threads = [
                threading.Thread(
                    target=lambda: results.append(client.refill_billing_limit(**REFILL))
                )
                for _ in range(3)
            ]
            for thread in threads:
                thread.start()
            wait_for(lambda: len(queued) == 2)
            client.close()
            release.set()
            for thread in threads:
                thread.join()
            client.refill_billing_limit(**REFILL)

        async def with_tasks() -> None:
            tasks = [asyncio.create_task(client.refill_billing_limit(**REFILL)) for _ in range(3)]
            await wait_here_for(lambda: len(queued) == 2)
            await client.aclose()
            release.set()
            results.extend(await asyncio.gather(*tasks))
            assert await asyncio.to_thread(server.ended[-1].wait, 5)
            await client.refill_billing_limit(**REFILL)

        with pytest.raises(APIConnectionError, match="the client is closed") as caught:
            with_threads() if kind.name == "sync" else asyncio.run(with_tasks())
        assert caught.value.outcome is Outcome.NOT_SENT
        assert all(ended.wait(5) for ended in server.ended)
    assert [answer.billing for answer in results] == [None] * 3
    assert sum(server.used) == 3


def test_closing_a_client_that_was_never_used_is_fine(kind: ClientKind) -> None:
    """A client that was never used can be closed, and then refuses calls."""
    client = kind.client(api_key="sdk", base_url="http://127.0.0.1:1")

    async def main() -> None:
        await client.aclose()
        await client.refill_billing_limit(**REFILL)

    def main_sync() -> None:
        client.close()
        client.refill_billing_limit(**REFILL)

    with pytest.raises(APIConnectionError, match="the client is closed"):
        main_sync() if kind.name == "sync" else asyncio.run(main())


def test_each_event_loop_has_connections_of_its_own() -> None:
    """A client can be used in one loop after another; closed loops leave nothing open."""
    with Server(lambda connection, _: connection.sendall(OK)) as server:
        client = AsyncOneloop(api_key="sdk", base_url=server.url)

        async def twice(*, last: bool) -> None:
            for _ in range(2):
                await client.refill_billing_limit(**REFILL)
            if last:
                await client.aclose()

        for last in (False, False, True):
            asyncio.run(twice(last=last))
            assert server.ended[-1].wait(5)
    assert server.used == [2, 2, 2]


def test_a_client_that_was_closed_in_one_loop_works_in_another() -> None:
    """`aclose` ends the connections of the running loop, and later calls in that loop alone."""
    with Server(lambda connection, _: connection.sendall(OK)) as server:
        client = AsyncOneloop(api_key="sdk", base_url=server.url)

        async def main() -> None:
            await client.refill_billing_limit(**REFILL)
            await client.aclose()
            with pytest.raises(APIConnectionError, match="the client is closed"):
                await client.refill_billing_limit(**REFILL)

        asyncio.run(main())
        asyncio.run(main())
    assert server.used == [1, 1]
