"""Starting and stopping a sandbox."""

import gc
import http.client
import logging
import re
import runpy
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import oneloop.sandbox
from oneloop.sandbox import Fault, Sandbox
from tests.calling import SLACK
from tests.sandbox.calls import connect
from tests.sandbox.refills import (
    call,
    credits_of,
    raw_connection,
    request_bytes,
    wait_for,
)


def test_exports_are_exactly_the_public_names() -> None:
    """The package exports its names in sorted order, and all of them exist."""
    names = ["Fault", "Meter", "QueuedFault", "ReceivedRequest", "Sandbox"]
    assert oneloop.sandbox.__all__ == names
    assert all(hasattr(oneloop.sandbox, name) for name in oneloop.sandbox.__all__)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "cattrs"])
def test_import_without_the_extra_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without what the sandbox is built on, the import fails with an error that names the extra."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=re.escape("pip install 'oneloop[sandbox]'")):
        runpy.run_path(str(Path(oneloop.sandbox.__file__)))


def test_start_and_stop_work_without_with() -> None:
    """A stopped sandbox can be started again and keeps its state."""
    sandbox = Sandbox()
    sandbox.start()
    call(sandbox)
    sandbox.stop()
    sandbox.start()
    call(sandbox)
    sandbox.stop()
    assert credits_of(sandbox) == 1010


def test_stop_twice_is_harmless(sandbox: Sandbox) -> None:
    """Stopping a stopped sandbox does nothing."""
    sandbox.stop()
    sandbox.stop()


def test_start_twice_is_refused(sandbox: Sandbox) -> None:
    """Starting a running sandbox is an error."""
    with pytest.raises(RuntimeError, match="running already"):
        sandbox.start()


def test_url_needs_a_running_sandbox() -> None:
    """Before the start a sandbox has no port, and therefore no URL."""
    with pytest.raises(RuntimeError, match="not running"):
        _ = Sandbox().url


def test_taken_port_is_one_clear_error(sandbox: Sandbox) -> None:
    """If the port is taken, the error has the address and the port."""
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: .*in use"):
        Sandbox(port=port).start()


def test_failure_inside_the_thread_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server cannot be set up, `start` raises an error instead of waiting forever."""

    def broken(*_: object, **__: object) -> None:
        raise ValueError("no such option")

    monkeypatch.setattr("oneloop.sandbox._server.Config", broken)
    with pytest.raises(ValueError, match="no such option"):
        Sandbox().start()


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "sdk_sandbox_restricted"])
def test_impossible_api_key_is_refused(key: str) -> None:
    """A key that cannot be a token, or equals the restricted one, is a ValueError."""
    with pytest.raises(ValueError, match="api_key"):
        Sandbox(api_key=key)


def test_stop_is_quick_and_leaves_nothing(recwarn: pytest.WarningsRecorder) -> None:
    """Stopping with calls in progress does not wait for them, and leaves no thread behind."""
    threads = threading.active_count()
    with Sandbox() as sandbox:
        sandbox.misbehave("hang", Fault.slow_body(600), Fault.slow_headers(600))
        clients = [raw_connection(sandbox) for _ in range(5)]
        for number, client in enumerate(clients[:3], start=1):
            client.sendall(request_bytes(sandbox))
            wait_for(lambda number=number: len(sandbox.requests) == number)
        clients[3].sendall(request_bytes(sandbox)[:-1])
        before = time.monotonic()
    assert time.monotonic() - before < SLACK
    assert threading.active_count() == threads
    for client in clients:
        client.close()
    gc.collect()
    assert not recwarn.list


def test_stop_closes_idle_connections(recwarn: pytest.WarningsRecorder) -> None:
    """Stopping closes a client's idle connection without a ResourceWarning."""
    with Sandbox() as sandbox:
        client = connect(sandbox)
        call(sandbox, connection=client)
        assert client.sock is not None
    assert client.sock.recv(1) == b""
    client.close()
    gc.collect()
    assert not recwarn.list


def test_stop_closes_connections_that_are_being_accepted(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """Stopping closes connections that are being accepted, without a ResourceWarning."""
    for _ in range(20):
        with Sandbox() as sandbox:
            connections = [raw_connection(sandbox) for _ in range(20)]
        for connection in connections:
            with connection, suppress(ConnectionResetError):
                assert connection.recv(1) == b""
    gc.collect()
    assert not recwarn.list


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither normal calls nor faults write to the application's log."""
    caplog.set_level(logging.INFO)
    with Sandbox() as sandbox:
        call(sandbox)
        for name in ("drop-after", "reset-before", "truncated-body"):
            sandbox.misbehave(name)
            with pytest.raises((OSError, http.client.HTTPException)):
                call(sandbox)
    # In Python's development mode, asyncio logs that it starts to serve.
    assert [
        each for each in caplog.records if (each.name, each.levelname) != ("asyncio", "INFO")
    ] == []


def test_access_log_of_other_servers_is_left_alone() -> None:
    """Other uvicorn servers in the process keep their access log."""
    log = logging.getLogger("uvicorn.access")
    handler = logging.NullHandler()
    log.addHandler(handler)
    try:
        with Sandbox():
            assert log.handlers == [handler]
            assert log.propagate
    finally:
        log.removeHandler(handler)
