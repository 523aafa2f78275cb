"""Refills of the meter that every sandbox has at the start, sent over HTTP."""

import http.client
import json
import socket
import time
from typing import Any

from oneloop.sandbox import Sandbox
from tests.sandbox.calls import Reply, exchange

REFILL = "/api/v1/customer-billing/refill"
BODY: dict[str, object] = {"workspaceId": "ws_1", "externalMeterId": "acme", "refill": 5}
ENOUGH = 5.0  # Seconds after which a test that waits for the sandbox has failed.


def call(
    sandbox: Sandbox,
    body: object = BODY,
    *,
    path: str = REFILL,
    method: str = "POST",
    token: str | None = None,
    content_type: str | None = "application/json",
    connection: http.client.HTTPConnection | None = None,
) -> Reply:
    """Send one request, by default a valid refill of 5; bytes are sent unchanged."""
    headers = {"Authorization": token or f"Bearer {sandbox.api_key}"}
    if content_type is not None:
        headers["Content-Type"] = content_type
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return exchange(sandbox, method, path, sent, headers, connection)


def request_bytes(sandbox: Sandbox) -> bytes:
    """Return a valid refill as the bytes of an HTTP request."""
    body = json.dumps(BODY).encode()
    return (
        f"POST {REFILL} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {sandbox.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def raw_connection(sandbox: Sandbox) -> socket.socket:
    """Return a TCP connection to the sandbox."""
    host, port = sandbox.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=ENOUGH)


def read_to_end(connection: socket.socket) -> bytes:
    """Return what arrives until the sandbox closes the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def credits_of(sandbox: Sandbox) -> int:
    """Return the total credits of the meter that every sandbox has at the start."""
    return sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits


def wait_for(condition: Any) -> None:
    """Wait until the condition holds; fail if that takes too long."""
    deadline = time.monotonic() + ENOUGH
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
