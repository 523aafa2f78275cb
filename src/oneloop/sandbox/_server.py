"""The public `Sandbox`, and the HTTP server that it runs in a thread."""

import asyncio
import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any

from attrs import frozen
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from oneloop.sandbox._app import application
from oneloop.sandbox._delivery import TRANSPORT
from oneloop.sandbox._faults import MAX_TIMES, Fault
from oneloop.sandbox._state import Clock, Meter, ReceivedRequest, State, utc_now

_HOST = "127.0.0.1"
_API_KEY = "sdk_sandbox"
_RESTRICTED_API_KEY = "sdk_sandbox_restricted"

# Idle connections stay open for longer than any test waits between two calls.
_KEEP_ALIVE_SECONDS = 75


class Sandbox:
    """A stand-in for the Oneloop API on 127.0.0.1. Use it with `with`, or `start` and `stop` it.

    Every method and property may be used from any thread, while it serves and afterwards.

    Args:
        port: where to listen; 0 for any port that is free.
        api_key: the bearer token to accept: visible ASCII characters.
        clock: returns the current time as an aware datetime; by default the machine's time. Pass
            one that stands still to test what happens within a second, such as rate limits.

    Raises:
        ValueError: `port` is out of range, or `api_key` cannot be a token or is
            `restricted_api_key`.
    """

    def __init__(self, *, port: int = 0, api_key: str = _API_KEY, clock: Clock = utc_now) -> None:
        if not 0 <= port <= 65_535:
            raise ValueError(f"port must be from 0 to 65535, not {port}")
        if not re.fullmatch(r"[!-~]+", api_key):
            raise ValueError("api_key must consist of visible ASCII characters")
        if api_key == _RESTRICTED_API_KEY:
            raise ValueError("api_key must differ from restricted_api_key")
        self._port = port
        self._api_key = api_key
        self._state = State(clock)
        self._running: _Running | None = None

    def start(self) -> None:
        """Start to serve.

        Raises:
            OSError: the port is taken, or needs privileges.
            RuntimeError: the sandbox is running already.
        """
        if self._running is not None:
            raise RuntimeError("the sandbox is running already")
        app = application(
            self._state, api_key=self._api_key, restricted_api_key=_RESTRICTED_API_KEY
        )
        self._running = _start(app, self._port)

    def stop(self) -> None:
        """End every connection and the server; do nothing if it is not running.

        The state stays readable, and `start` continues with it.
        """
        running, self._running = self._running, None
        if running is not None:
            running.request_stop()
            running.thread.join()

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
        return f"http://{_HOST}:{self._running.port}"

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

    def misbehave(self, *faults: Fault | str, times: int = 1) -> None:
        """Queue faults, or names of faults. Each API call from now on takes the next one.

        Args:
            faults: in the order in which calls take them.
            times: how often to queue all of them, one round after the other; 1 to 10 000.

        Raises:
            ValueError: a name is unknown (the message lists all names), or `times` is out of range.
            TypeError: an argument is neither a fault nor a name.
        """
        if not 1 <= times <= MAX_TIMES:
            raise ValueError(f"times must be from 1 to {MAX_TIMES}, not {times}")
        for fault in faults:
            if not isinstance(fault, Fault | str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"a fault must be a Fault or the name of one, not {fault!r}")
        queue = [Fault.named(fault) if isinstance(fault, str) else fault for fault in faults]
        self._state.queue_faults(queue * times)

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Every API call received since the start or the last reset, oldest first."""
        return self._state.requests()

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

    port: int
    thread: threading.Thread
    request_stop: Callable[[], object]


def _start(app: ASGIApp, port: int) -> _Running:
    """Serve `app` in a new thread; return as soon as connections are accepted."""
    # Bound here and not in the thread, so that the caller gets the error.
    try:
        listener = socket.create_server((_HOST, port))
    except OSError as error:
        message = f"the sandbox cannot listen on {_HOST}:{port}: {error.strerror}"
        raise OSError(error.errno, message) from None
    # Connections inherit TCP_NODELAY. asyncio sets it only on sockets that were created with a
    # protocol number; without it, each answer on a kept connection waits for a delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound: int = listener.getsockname()[1]
    started: Future[Callable[[], object]] = Future()

    def run() -> None:
        with listener:
            try:
                asyncio.run(_serve(app, listener, started))
            except Exception as error:  # noqa: BLE001 - passed on to the thread that waits
                # After the start nobody waits, and this raises InvalidStateError in the thread.
                started.set_exception(error)

    thread = threading.Thread(target=run, name=f"oneloop-sandbox-{bound}", daemon=True)
    thread.start()
    try:
        return _Running(bound, thread, started.result())
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
