"""The public `Sandbox`, and the HTTP server that it runs in a thread."""

import asyncio
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

from attrs import frozen
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from oneloop.sandbox._access import Access
from oneloop.sandbox._app import Api
from oneloop.sandbox._delivery import TRANSPORT, Delivery
from oneloop.sandbox._faults import Fault
from oneloop.sandbox._hosts import OwnHosts, checked_hosts
from oneloop.sandbox._operations._files import document
from oneloop.sandbox._privacy import Privacy
from oneloop.sandbox._routes import operations
from oneloop.sandbox._state import (
    LOG_SIZE,
    Clock,
    Meter,
    Order,
    QueuedFault,
    ReceivedRequest,
    State,
    utc_now,
)
from oneloop.sandbox._state_file import StateFile

logger = logging.getLogger("oneloop.sandbox")

_HOST = "127.0.0.1"
_API_KEY = "sdk_sandbox"
_ANY_HOST = {"0.0.0.0": _HOST, "::": "::1"}  # noqa: S104 - what it means, not what is served
_LARGEST_LOG = 1_000_000
_RESTRICTED_API_KEY = "sdk_sandbox_restricted"

# Idle connections stay open for longer than any test waits between two calls.
_KEEP_ALIVE_SECONDS = 75


class Sandbox:
    """A stand-in for the Oneloop API on this machine. Use it with `with`, or `start` and `stop` it.

    Every method and property may be used from any thread, while it serves and afterwards.

    Args:
        host: the address to listen on. Other addresses than those of this machine let others use
            the sandbox; they need `allowed_hosts`, too.
        port: where to listen; 0 for any port that is free.
        api_key: the bearer token to accept: visible ASCII characters.
        allowed_hosts: names that requests may use for the sandbox in their ``Host`` header, apart
            from `host` and those of this machine; ``*`` for any. Other names are answered with 421.
        state: a file that keeps workspaces, meters, usage, keys and tokens over a restart; by
            default, they are forgotten. The first `start` reads it in place of what there was
            before; it is written soon after each change.
        log_size: how many calls `requests` keeps, 1 to 1,000,000.
        on_request: called with each API call that was received, in the server's thread, and again
            when a late call has taken effect. It must return soon, and its errors are only logged.
        clock: returns the current time as an aware datetime; by default the machine's time. Pass
            one that stands still to test what happens within a second, such as rate limits.

    Raises:
        ValueError: an argument is out of range, or is not a host name or a token, or `api_key` is
            `restricted_api_key`.
        TypeError: `allowed_hosts` is a string.
    """

    def __init__(
        self,
        *,
        host: str = _HOST,
        port: int = 0,
        api_key: str = _API_KEY,
        allowed_hosts: Iterable[str] = (),
        state: str | PathLike[str] | None = None,
        log_size: int = LOG_SIZE,
        on_request: Callable[[ReceivedRequest], object] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        if not host:  # Python would listen on every address
            raise ValueError("host must not be empty")
        if state is not None and not Path(state).name:
            raise ValueError(f"state must be the path of a file, not {str(state)!r}")
        if not 0 <= port <= 65_535:
            raise ValueError(f"port must be from 0 to 65535, not {port}")
        if not 1 <= log_size <= _LARGEST_LOG:
            raise ValueError(f"log_size must be from 1 to {_LARGEST_LOG}, not {log_size}")
        if not re.fullmatch(r"[!-~]+", api_key):
            raise ValueError("api_key must consist of visible ASCII characters")
        if api_key == _RESTRICTED_API_KEY:
            raise ValueError("api_key must differ from restricted_api_key")
        self._host = host
        self._port = port
        self._api_key = api_key
        self._allowed_hosts = checked_hosts(allowed_hosts)
        described = document()
        served = operations(described)
        names = sorted({one.name for one in served if one.name is not None})
        self._state = State(clock, log_size=log_size, operations=tuple(names))
        self._api = Api(self._state, Access(api_key, _RESTRICTED_API_KEY), served)
        self._privacy = Privacy(described)
        self._file = None if state is None else StateFile(Path(state), self._state)
        if on_request is not None:
            self._state.listen(partial(_report, on_request))
        self._running: _Running | None = None

    def start(self) -> None:
        """Start to serve.

        Raises:
            OSError: the address does not exist here, the port is taken or needs privileges, or the
                file of `state` cannot be read or written, or is in use.
            ValueError: the file of `state` is not one; the message says what is wrong in it.
            RuntimeError: the sandbox is running already.
        """
        if self._running is not None:
            raise RuntimeError("the sandbox is running already")
        listener = _listener(self._host, self._port)
        try:
            if self._file is not None:
                self._file.open()
        except BaseException:
            listener.close()
            raise
        delivery = Delivery(self._api, self._state, self._privacy)
        address: str = listener.getsockname()[0]
        own = () if address in _ANY_HOST else (_in_url(self._host), _in_url(address))
        self._running = _start(OwnHosts(delivery, (*own, *self._allowed_hosts)), listener)

    def stop(self) -> None:
        """End every connection and the server; do nothing if it is not running.

        The state stays readable, and `start` continues with it. Late calls that have not happened
        yet never will.

        Raises:
            OSError: the file of `state` could not be written. The sandbox is stopped all the same.
            RuntimeError: it is called by `on_request`.
        """
        running = self._running
        if running is not None and running.thread is threading.current_thread():
            raise RuntimeError("on_request cannot stop the sandbox that calls it")
        self._running = None
        if running is not None:
            running.request_stop()
            running.thread.join()
            self._state.drop_late()
            if self._file is not None:
                self._file.close()

    def __enter__(self) -> "Sandbox":
        """Start and return itself."""
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def url(self) -> str:
        """The base URL, such as ``http://127.0.0.1:8787``. RuntimeError if it is not running."""
        if self._running is None:
            raise RuntimeError("the sandbox is not running: use it with `with`, or call start()")
        host, port = self._running.address
        return f"http://{_in_url(_ANY_HOST.get(host, host))}:{port}"

    @property
    def api_key(self) -> str:
        """The bearer token that has every right."""
        return self._api_key

    @property
    def restricted_api_key(self) -> str:
        """A valid bearer token without rights: every call with it ends in 403."""
        return _RESTRICTED_API_KEY

    def create_meter(
        self,
        *,
        workspace_id: str,
        external_meter_id: str,
        total_credits: int = 0,
        used_credits: int = 0,
        allow_overages: bool = False,
        spend_cap: int | None = None,
    ) -> Meter:
        """Add a meter, and its workspace if it does not exist. Amounts are integers of any size.

        Raises:
            ValueError: an amount is negative, or the workspace has a meter of that name.
        """
        return self._state.create_meter(
            workspace_id=workspace_id,
            external_meter_id=external_meter_id,
            total_credits=total_credits,
            used_credits=used_credits,
            allow_overages=allow_overages,
            spend_cap=spend_cap,
        )

    def meter(self, *, workspace_id: str, external_meter_id: str) -> Meter:
        """Return the meter as it is now.

        Raises:
            LookupError: there is no such meter.
        """
        meter = self._state.meters.find(workspace_id, external_meter_id)
        if meter is None:
            raise LookupError(
                f"the sandbox has no meter {external_meter_id!r} in workspace {workspace_id!r}"
            )
        return meter

    def misbehave(
        self,
        *faults: Fault | str | int,
        times: int | None = None,
        operation: str | None = None,
        rate: float | None = None,
        seed: int | None = None,
        **parameters: object,
    ) -> None:
        """Queue faults, or names of faults, for API calls from now on.

        Without a rate, each call takes the next fault. With one, calls take a fault at random,
        unless one is queued for certain.

        Args:
            faults: in the order in which calls take them; with a rate, each is as likely. A status
                may also be a number.
            times: how often to queue all of them, one round after the other, once by default. With
                a rate: how many calls take one, without end by default. 1 to 10,000.
            operation: only calls of this operation take them, given by its operationId or by the
                name of the client's method, such as ``refill_billing_limit``. By default all.
            rate: the probability with which a call takes one, 0 to 1.
            seed: of the random numbers, so that the same calls take the same faults again; by
                default one that `queued_faults` shows.
            parameters: those of the faults that are given by name, such as ``seconds`` of
                ``late-apply``, as in `Fault.named`.

        Raises:
            ValueError: a name is unknown (the message lists all names), a fault does not have a
                parameter, or an argument is out of range.
            TypeError: an argument is neither a fault nor a name, or there are parameters for a
                `Fault`, which has its own.
        """
        found = [_fault(fault, parameters) for fault in faults]
        self._state.queue_faults(
            Order(faults=found, times=times, operation=operation, rate=rate, seed=seed)
        )

    @property
    def queued_faults(self) -> tuple[QueuedFault, ...]:
        """What is queued, in the order in which calls take it."""
        return self._state.faults.entries()

    def clear_faults(self) -> int:
        """Remove all faults from the queue; return how many there were."""
        return self._state.clear_faults()

    def apply_late(self) -> int:
        """Carry out at once all calls that are to happen late; return how many there were."""
        return self._state.carry_out_late()

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """The last API calls since the start or the last reset, oldest first.

        There are at most as many as `log_size`. The number of the last one is that of all calls.
        """
        return self._state.log.entries()

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock forward: keys and tokens expire, rate limits start again.

        Delays of faults, and the dates in headers, keep to real time.

        Raises:
            ValueError: `seconds` is negative, or moves the clock by centuries.
        """
        self._state.advance(seconds)

    def reset(self) -> None:
        """Return to the state of a new sandbox: its data, clock, queue of faults and log."""
        self._state.reset()


@frozen
class _Running:
    """A running server, and how to stop it."""

    address: tuple[str, int]
    thread: threading.Thread
    request_stop: Callable[[], object]


def _report(
    on_request: Callable[[ReceivedRequest], object], request: ReceivedRequest | None
) -> None:
    if request is None:
        return
    try:
        on_request(request)
    except Exception:
        logger.exception("on_request raised an exception")


def _fault(given: object, parameters: Mapping[str, object]) -> Fault:
    if isinstance(given, Fault):
        if parameters:
            raise TypeError(f"a Fault takes no parameters: {', '.join(parameters)}")
        return given
    if type(given) not in (str, int):
        raise TypeError(f"a fault must be a Fault or the name of one, not {given!r}")
    return Fault.named(str(given), **parameters)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listener(host: str, port: int) -> socket.socket:
    """Open a socket that listens."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        # socket.gaierror has a message of its own, and numbers that are not those of errno.
        message = f"the sandbox cannot listen on {_in_url(host)}:{port}: {error.strerror}"
        raise OSError(error.errno, message) from None
    # Connections inherit TCP_NODELAY. asyncio sets it only on sockets that were created with a
    # protocol number; without it, each answer on a kept connection waits for a delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _start(app: ASGIApp, listener: socket.socket) -> _Running:
    """Serve `app` in a new thread; return as soon as connections are accepted."""
    host, port, *_ = listener.getsockname()
    started: Future[Callable[[], object]] = Future()

    def run() -> None:
        with listener:
            try:
                asyncio.run(_serve(app, listener, started))
            except Exception as error:  # noqa: BLE001 - passed on to the thread that waits
                # After the start nobody waits, and this raises InvalidStateError in the thread.
                started.set_exception(error)

    thread = threading.Thread(target=run, name=f"oneloop-sandbox-{port}", daemon=True)
    thread.start()
    try:
        return _Running((host, port), thread, started.result())
    except Exception:
        thread.join()
        raise


async def _serve(
    app: ASGIApp, listener: socket.socket, started: "Future[Callable[[], object]]"
) -> None:
    """Serve until the function that `started` gets is called, then end every connection at once.

    This is uvicorn's HTTP without uvicorn's Server, which polls (each stop would take 0.3 s) and
    logs in the application's log that it starts and stops.
    """
    loop = asyncio.get_running_loop()
    config = Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    config.load()
    shared = ServerState()
    server = await loop.create_server(
        lambda: _Protocol(config=config, server_state=shared, app_state={}),
        sock=listener,
    )
    stop = asyncio.Event()
    started.set_result(lambda: loop.call_soon_threadsafe(stop.set))
    await stop.wait()
    # asyncio needs one more iteration of the loop to set up a connection that it has accepted.
    # Until then close() does not know of it and would leave its socket open. The loop of Windows
    # has no readers, and needs no such iteration.
    with suppress(NotImplementedError):
        loop.remove_reader(listener)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    server.close()
    # In a loop, because a connection that was just accepted may turn up late. Tasks are not
    # cancelled, which uvicorn would log as an error; each ends when its connection does.
    while shared.connections or asyncio.all_tasks(loop) != {asyncio.current_task()}:
        for connection in tuple(shared.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


class _Protocol(H11Protocol):
    """uvicorn's HTTP/1.1 that also passes the connection to the application."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Not in Config, whose switch would turn it off for every uvicorn in the process.
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Add the transport to the scope of every request on this connection."""
        super().connection_made(transport)
        app: ASGIApp = self.app

        async def app_with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {TRANSPORT: transport}
            await app(scope, receive, send)

        self.app = app_with_transport
