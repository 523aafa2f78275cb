"""The examples under real servers, with many requests at once and with an API that fails."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from oneloop.sandbox import Sandbox
from tests import ROOT
from tests.guards.applications import issue

SERVERS = {
    "uvicorn": "uvicorn --no-access-log --port {} fastapi_app:app",
    "uvicorn-django": "uvicorn --no-access-log --port {} django_app:asgi",
    "gunicorn": "gunicorn --preload --workers 2 --threads 4 --bind 127.0.0.1:{} flask_app:app",
    "gunicorn-django": "gunicorn --workers 2 --threads 4 --bind 127.0.0.1:{} django_app:wsgi",
    "werkzeug": "flask --app flask_app run --port {}",
}


@contextmanager
def serving(command: str, sandbox: Sandbox, errors: Path) -> Iterator[int]:
    """Run a server from the folder of examples, and return its port; it must end quietly."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = [sys.executable, "-W", "error::ResourceWarning", "-m", *command.format(port).split()]
    environment = os.environ | {"ONELOOP_SDK_KEY": sandbox.api_key, "ONELOOP_BASE_URL": sandbox.url}
    with errors.open("wb") as stream:
        server = subprocess.Popen(
            program, cwd=ROOT / "examples", env=environment, stdout=stream, stderr=stream
        )
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    assert server.poll() is None, errors.read_text()
                    assert time.monotonic() < deadline, errors.read_text()
                    time.sleep(0.05)
            yield port
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    printed = errors.read_text()
    assert "Traceback" not in printed
    assert "ResourceWarning" not in printed


def status(port: int, path: str, key: str | None) -> int:
    """Return the status of a request."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"authorization": f"bearer {key}"} if key else {})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs a POSIX system")
@pytest.mark.parametrize("name", SERVERS)
def test_the_examples_run_under_real_servers(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Each request is charged once, and each failure of the API has its answer."""
    key = issue(sandbox)
    with serving(SERVERS[name], sandbox, tmp_path / "errors") as port:
        assert status(port, "/me", None) == 401
        assert status(port, "/me", "nobody") == 401
        assert status(port, "/me", key) == 200
        with ThreadPoolExecutor(16) as threads:
            many = [threads.submit(status, port, f"/invoices/{one}", key) for one in range(200)]
            assert Counter(one.result() for one in many) == {200: 200}
        assert sandbox.meter(workspace_id="ws_1", external_meter_id="m").used_credits == 200
        faults = {"500": 503, "drop-before": 503, "hang": 503, "429-bare": 200}
        for fault, expected in faults.items():
            sandbox.misbehave(fault)
            began = time.monotonic()
            assert status(port, "/invoices/1", key) == expected, fault
            assert time.monotonic() - began < 10
        sandbox.misbehave(*["500"] * 20)
        with ThreadPoolExecutor(16) as threads:
            many = [threads.submit(status, port, "/me", key) for _ in range(100)]
            assert Counter(one.result() for one in many) == {200: 80, 503: 20}
        sandbox.stop()
        assert status(port, "/me", key) == 503
