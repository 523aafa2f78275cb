"""The examples under real servers."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from oneloop.sandbox import Sandbox
from tests import ROOT

SERVERS = {
    "uvicorn": "uvicorn --no-access-log --port {} fastapi_app:app",
    "uvicorn-django": "uvicorn --no-access-log --port {} django_app:asgi",
    "gunicorn": "gunicorn --preload --workers 2 --threads 4 --bind 127.0.0.1:{} flask_app:app",
    "gunicorn-django": "gunicorn --workers 2 --threads 4 --bind 127.0.0.1:{} django_app:wsgi",
    "werkzeug": "flask --app flask_app run --port {}",
}


@contextmanager
def serving(
    command: str,
    sandbox: Sandbox,
    errors: Path,
    python: str | Path = sys.executable,
    folder: Path = ROOT / "examples",
) -> Iterator[int]:
    """Run a server from the folder of examples, and return its port; it must end quietly."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = [python, "-W", "error::ResourceWarning", "-m", *command.format(port).split()]
    environment = os.environ | {"ONELOOP_SDK_KEY": sandbox.api_key, "ONELOOP_BASE_URL": sandbox.url}
    with errors.open("wb") as stream:
        server = subprocess.Popen(
            program, cwd=folder, env=environment, stdout=stream, stderr=stream
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
