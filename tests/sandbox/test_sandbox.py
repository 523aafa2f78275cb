"""The sandbox, over real sockets and with the standard library's HTTP client only."""

import gc
import http.client
import importlib
import json
import logging
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from attrs.exceptions import FrozenInstanceError

import oneloop.sandbox
from oneloop.sandbox import Fault, Meter, Sandbox

pytestmark = pytest.mark.filterwarnings("error")

REFILL = "/api/v1/customer-billing/refill"
BODY: dict[str, object] = {"workspaceId": "ws_1", "externalMeterId": "acme", "refill": 5}
ENOUGH = 5.0  # Seconds after which a test that waits for the sandbox has failed.


@frozen
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The message of an error, whose code must be the status."""
        assert self.json == {
            "error": {"code": self.status, "message": self.json["error"]["message"]}
        }
        return str(self.json["error"]["message"])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A new sandbox that is serving."""
    with Sandbox() as sandbox:
        yield sandbox


def connect(sandbox: Sandbox) -> http.client.HTTPConnection:
    """Return a client for the sandbox."""
    return http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=ENOUGH)


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
    """Send one request, by default a good refill of 5; bytes are sent as they are."""
    client = connection or connect(sandbox)
    headers = {"Authorization": token or f"Bearer {sandbox.api_key}"}
    if content_type is not None:
        headers["Content-Type"] = content_type
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        client.request(method, path, sent, headers)
        response = client.getresponse()
        lowered = {name.lower(): value for name, value in response.getheaders()}
        assert len(lowered) == len(response.getheaders())
        return Reply(response.status, lowered, response.read())
    finally:
        if connection is None:
            client.close()


def request_bytes(sandbox: Sandbox) -> bytes:
    """Return a good refill as it goes over the wire."""
    body = json.dumps(BODY).encode()
    return (
        f"POST {REFILL} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {sandbox.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def raw_connection(sandbox: Sandbox) -> socket.socket:
    """Return a bare connection to the sandbox."""
    host, port = sandbox.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=ENOUGH)


def read_to_end(connection: socket.socket) -> bytes:
    """Return what arrives until the sandbox closes the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def credits_of(sandbox: Sandbox) -> int:
    """Return the total credits of the meter that every sandbox starts with."""
    return sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits


def wait_for(condition: Any) -> None:
    """Wait until the condition holds; fail if it does not soon."""
    deadline = time.monotonic() + ENOUGH
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- The package ---------------------------------------------------------------------------------


def test_exports_are_exactly_the_public_names() -> None:
    """The package offers four names, sorted, and all exist."""
    assert oneloop.sandbox.__all__ == ["Fault", "Meter", "ReceivedRequest", "Sandbox"]
    assert all(hasattr(oneloop.sandbox, name) for name in oneloop.sandbox.__all__)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_import_without_the_extra_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Starlette or uvicorn, one clear ImportError names the extra."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=re.escape("pip install 'oneloop[sandbox]'")):
        runpy.run_path(str(Path(oneloop.sandbox.__file__)))


# --- Starting and stopping -----------------------------------------------------------------------


def test_start_and_stop_work_without_with() -> None:
    """A sandbox may be started, stopped and started again; its state lives on."""
    sandbox = Sandbox()
    sandbox.start()
    call(sandbox)
    sandbox.stop()
    sandbox.start()
    call(sandbox)
    sandbox.stop()
    assert credits_of(sandbox) == 1010


def test_stop_twice_is_harmless(sandbox: Sandbox) -> None:
    """Stopping what is stopped does nothing."""
    sandbox.stop()
    sandbox.stop()


def test_start_twice_is_refused(sandbox: Sandbox) -> None:
    """A running sandbox cannot be started."""
    with pytest.raises(RuntimeError, match="running already"):
        sandbox.start()


def test_url_needs_a_running_sandbox() -> None:
    """Before the start there is no port, hence no URL."""
    with pytest.raises(RuntimeError, match="not running"):
        _ = Sandbox().url


def test_taken_port_is_one_clear_error(sandbox: Sandbox) -> None:
    """The error of a port that is taken names address and port."""
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: .*in use"):
        Sandbox(port=port).start()


def test_failure_inside_the_thread_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server cannot be set up, start raises instead of waiting for ever."""

    def broken(*_: object, **__: object) -> None:
        raise ValueError("no such option")

    monkeypatch.setattr("oneloop.sandbox._server.Config", broken)
    with pytest.raises(ValueError, match="no such option"):
        Sandbox().start()


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "sdk_sandbox_restricted"])
def test_impossible_api_key_is_refused(key: str) -> None:
    """A key that cannot be a token, or is the restricted one, is a ValueError."""
    with pytest.raises(ValueError, match="api_key"):
        Sandbox(api_key=key)


def test_stop_is_quick_and_leaves_nothing(recwarn: pytest.WarningsRecorder) -> None:
    """However many calls hang, stopping takes less than a second and leaves no thread behind."""
    threads = threading.active_count()
    with Sandbox() as sandbox:
        sandbox.misbehave("hang", Fault.slow_body(600), Fault.slow_headers(600))
        clients = [raw_connection(sandbox) for _ in range(5)]
        for number, client in enumerate(clients[:3], start=1):
            client.sendall(request_bytes(sandbox))
            wait_for(lambda number=number: len(sandbox.requests) == number)
        clients[3].sendall(request_bytes(sandbox)[:-1])
        before = time.monotonic()
    assert time.monotonic() - before < 1
    assert threading.active_count() == threads
    for client in clients:
        client.close()
    gc.collect()
    assert not recwarn.list


def test_stop_closes_idle_connections(recwarn: pytest.WarningsRecorder) -> None:
    """A connection that a client keeps for later ends with the sandbox, and leaves no warning."""
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
    """They would otherwise stay open until they are collected as garbage, with a warning."""
    for _ in range(20):
        with Sandbox() as sandbox:
            connections = [raw_connection(sandbox) for _ in range(20)]
        for connection in connections:
            with connection, suppress(ConnectionResetError):
                assert connection.recv(1) == b""
    gc.collect()
    assert not recwarn.list


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither good calls nor faults write to the application's log."""
    caplog.set_level(logging.INFO)
    with Sandbox() as sandbox:
        call(sandbox)
        for name in ("drop-after", "reset-before", "truncated-body"):
            sandbox.misbehave(name)
            with pytest.raises((OSError, http.client.HTTPException)):
                call(sandbox)
    # In Python's development mode, asyncio itself says when it starts to serve.
    assert [
        each for each in caplog.records if (each.name, each.levelname) != ("asyncio", "INFO")
    ] == []


def test_access_log_of_other_servers_is_left_alone() -> None:
    """A uvicorn of the application's own keeps its log."""
    log = logging.getLogger("uvicorn.access")
    handler = logging.NullHandler()
    log.addHandler(handler)
    try:
        with Sandbox():
            assert log.handlers == [handler]
            assert log.propagate
    finally:
        log.removeHandler(handler)


# --- A good refill -------------------------------------------------------------------------------


def test_refill_raises_total_credits(sandbox: Sandbox) -> None:
    """The answer to a refill is the whole meter, as the document has it."""
    reply = call(sandbox)
    billing = reply.json["billing"]
    created, updated = billing.pop("createdAt"), billing.pop("updatedAt")
    assert reply.status == 200
    assert billing == {
        "id": "cbm_833a6778b834ffdf87a01c2604a4f7a8",
        "totalCredits": "1005",
        "usedCredits": "0",
        "allowOverages": False,
        "spendCap": None,
    }
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each) for each in (created, updated)
    )


def test_refill_moves_updated_at_only(sandbox: Sandbox) -> None:
    """A refill leaves createdAt as it was and moves updatedAt on."""
    before = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    wait_for(lambda: time.time() > before.updated_at.timestamp() + 0.002)
    call(sandbox)
    after = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    assert after.created_at == before.created_at
    assert after.updated_at > before.updated_at


def test_answers_have_a_length_and_a_date_and_no_more(sandbox: Sandbox) -> None:
    """A normal answer is not chunked, and carries no header that the vendor does not send."""
    headers = call(sandbox).headers
    assert headers.keys() == {"content-type", "content-length", "date"}
    assert headers["content-type"] == "application/json; charset=utf-8"


def test_connections_are_kept_alive(sandbox: Sandbox) -> None:
    """One connection serves many calls, also after an error."""
    client = connect(sandbox)
    sandbox.misbehave("503")
    statuses = [call(sandbox, connection=client).status for _ in range(3)]
    kept = client.sock is not None
    client.close()
    assert (statuses, kept) == ([503, 200, 200], True)


def test_credits_may_be_of_any_size(sandbox: Sandbox) -> None:
    """Amounts far beyond 64 bits, and beyond what Python prints at once, are exact."""
    sandbox.create_meter(
        workspace_id="ws_1",
        external_meter_id="big",
        total_credits=10**9000,
        used_credits=2**64,
        allow_overages=True,
        spend_cap=10**4000,
    )
    billing = call(sandbox, BODY | {"externalMeterId": "big"}).json["billing"]
    assert billing["totalCredits"] == "1" + "0" * 8999 + "5"
    assert billing["usedCredits"] == "18446744073709551616"
    assert billing["spendCap"] == "1" + "0" * 4000
    assert billing["allowOverages"] is True


def test_unknown_meter_is_null_billing(sandbox: Sandbox) -> None:
    """A meter that does not exist is a 200 without billing, and nothing was applied."""
    reply = call(sandbox, BODY | {"externalMeterId": "nobody"})
    assert (reply.status, reply.json) == (200, {"billing": None})
    assert not sandbox.requests[0].applied


def test_largest_refill_is_the_largest_safe_integer(sandbox: Sandbox) -> None:
    """2**53 - 1 is taken."""
    assert call(sandbox, BODY | {"refill": 2**53 - 1}).status == 200
    assert credits_of(sandbox) == 1000 + 2**53 - 1


def test_unknown_fields_are_ignored(sandbox: Sandbox) -> None:
    """A field that the document does not know changes nothing."""
    assert call(sandbox, BODY | {"note": "thanks"}).status == 200


def test_scheme_and_media_type_are_case_insensitive(sandbox: Sandbox) -> None:
    """HTTP says so; a charset is fine too."""
    token = f"bearer {sandbox.api_key}"
    reply = call(sandbox, token=token, content_type="Application/JSON; charset=utf-8")
    assert reply.status == 200


# --- Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("workspaceId", 7, "workspaceId: must be a string"),
        ("externalMeterId", None, "externalMeterId: must be a string"),
        ("refill", 0, "refill: must be an integer greater than 0"),
        ("refill", -1, "refill: must be an integer greater than 0"),
        ("refill", True, "refill: must be an integer greater than 0"),
        ("refill", 5.0, "refill: must be an integer greater than 0"),
        ("refill", "5", "refill: must be an integer greater than 0"),
        ("refill", None, "refill: must be an integer greater than 0"),
        ("refill", 2**53, "refill: must be at most 9007199254740991"),
    ],
)
def test_bad_field_is_400_and_named(
    sandbox: Sandbox, field: str, value: object, message: str
) -> None:
    """A field of the wrong type or out of bounds is refused by name, and nothing is applied."""
    reply = call(sandbox, BODY | {field: value})
    assert (reply.status, reply.message, credits_of(sandbox)) == (400, message, 1000)


@pytest.mark.parametrize("field", BODY)
def test_missing_field_is_400_and_named(sandbox: Sandbox, field: str) -> None:
    """Every field must be there."""
    reply = call(sandbox, {name: value for name, value in BODY.items() if name != field})
    assert reply.status == 400
    assert reply.message.startswith(f"{field}: must be ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"refill": NaN}',
        b"[" * 100_000,
        b'{"refill": ' + b"9" * 5000 + b"}",
    ],
)
def test_malformed_json_is_400(sandbox: Sandbox, body: bytes) -> None:
    """What is not JSON, not UTF-8 or beyond reading is refused."""
    reply = call(sandbox, body)
    assert (reply.status, reply.message) == (400, "body: must be JSON")


@pytest.mark.parametrize("body", [[], "text", None, 1])
def test_json_that_is_no_object_is_400(sandbox: Sandbox, body: object) -> None:
    """The body must be an object."""
    reply = call(sandbox, body)
    assert (reply.status, reply.message) == (400, "body: must be a JSON object")


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/jsonp"])
def test_wrong_content_type_is_400(sandbox: Sandbox, content_type: str | None) -> None:
    """The body must be said to be JSON."""
    reply = call(sandbox, content_type=content_type)
    assert (reply.status, reply.message) == (400, "content-type: must be application/json")


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 413)])
def test_body_over_one_mebibyte_is_413(sandbox: Sandbox, extra: int, status: int) -> None:
    """A body of exactly 1 MiB is read, one more byte is too much."""
    body = json.dumps(BODY).encode().ljust(1024 * 1024 + extra)
    assert call(sandbox, body).status == status


@pytest.mark.parametrize("token", ["Bearer wrong", "Bearer", "Basic sdk_sandbox", "Bearer \xfc"])
def test_wrong_token_is_401(sandbox: Sandbox, token: str) -> None:
    """Only the bearer token counts; the body is not even looked at."""
    reply = call(sandbox, b"{", token=token)
    assert (reply.status, reply.message) == (401, "Unauthorized")


def test_missing_token_is_401(sandbox: Sandbox) -> None:
    """No Authorization header is as good as a wrong one."""
    client = connect(sandbox)
    client.request("POST", REFILL, b"{}")
    status = client.getresponse().status
    client.close()
    assert status == 401


def test_token_may_be_chosen() -> None:
    """A key given to the sandbox is the one that it accepts."""
    with Sandbox(api_key="mine") as sandbox:
        assert sandbox.api_key == "mine"
        assert call(sandbox).status == 200
        assert call(sandbox, token="Bearer sdk_sandbox").status == 401


def test_restricted_token_is_403(sandbox: Sandbox) -> None:
    """A valid key without the right to refill is forbidden to."""
    reply = call(sandbox, token=f"Bearer {sandbox.restricted_api_key}")
    assert (reply.status, reply.message, credits_of(sandbox)) == (403, "Forbidden", 1000)


@pytest.mark.parametrize("path", ["/", REFILL + "/", "/api/v2/customer-billing/refill"])
def test_unknown_path_is_404(sandbox: Sandbox, path: str) -> None:
    """Other paths, also with one slash more, are not found, in the documented shape."""
    reply = call(sandbox, path=path)
    assert (reply.status, reply.message) == (404, "Not Found")


def test_wrong_method_is_405(sandbox: Sandbox) -> None:
    """The path knows POST only, and says so."""
    reply = call(sandbox, method="PUT")
    assert (reply.status, reply.message) == (405, "Method Not Allowed")
    assert reply.headers["allow"] == "POST"


# --- Meters --------------------------------------------------------------------------------------


def test_meter_is_a_frozen_snapshot_of_integers(sandbox: Sandbox) -> None:
    """A meter has plain integers, and does not change when the sandbox does."""
    before = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    call(sandbox)
    assert isinstance(before, Meter)
    assert (before.total_credits, before.used_credits, before.spend_cap) == (1000, 0, None)
    with pytest.raises(FrozenInstanceError):
        before.total_credits = 1  # type: ignore[misc]


def test_created_meter_is_found(sandbox: Sandbox) -> None:
    """A new meter has nothing, unless told otherwise."""
    meter = sandbox.create_meter(workspace_id="ws_2", external_meter_id="acme")
    assert meter == sandbox.meter(workspace_id="ws_2", external_meter_id="acme")
    assert (meter.total_credits, meter.allow_overages) == (0, False)


def test_meter_ids_depend_on_the_names_alone(sandbox: Sandbox) -> None:
    """Another sandbox gives the same meter the same id, and another meter another one."""
    first = sandbox.create_meter(workspace_id="ws_2", external_meter_id="x")
    other = sandbox.create_meter(workspace_id="ws_2", external_meter_id="y")
    again = Sandbox().create_meter(workspace_id="ws_2", external_meter_id="x")
    assert first.id == again.id != other.id


def test_missing_meter_is_a_lookup_error(sandbox: Sandbox) -> None:
    """The error names the meter."""
    with pytest.raises(LookupError, match="no meter 'x' in workspace 'ws_1'"):
        sandbox.meter(workspace_id="ws_1", external_meter_id="x")


def test_meter_cannot_be_created_twice(sandbox: Sandbox) -> None:
    """A name is used once."""
    with pytest.raises(ValueError, match="'acme' already exists in workspace 'ws_1'"):
        sandbox.create_meter(workspace_id="ws_1", external_meter_id="acme")


@pytest.mark.parametrize("field", ["total_credits", "used_credits", "spend_cap"])
def test_negative_amounts_are_refused(sandbox: Sandbox, field: str) -> None:
    """No meter owes anything, nor half a credit."""
    for amount in (-1, 1.5, True):
        amounts: dict[str, Any] = {field: amount}
        with pytest.raises(ValueError, match=f"{field} must be an integer that is not negative"):
            sandbox.create_meter(workspace_id="ws_1", external_meter_id="x", **amounts)


def test_what_is_no_fault_is_refused(sandbox: Sandbox) -> None:
    """At once, not at the next call."""
    with pytest.raises(TypeError, match="a fault is a Fault or its name, not 5"):
        sandbox.misbehave(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("port", [-1, 65_536])
def test_what_is_no_port_is_refused(port: int) -> None:
    """At once, not when it starts."""
    with pytest.raises(ValueError, match="port must be from 0 to 65535"):
        Sandbox(port=port)


# --- The log, the queue, reset -------------------------------------------------------------------


def test_requests_are_logged_without_secrets(sandbox: Sandbox) -> None:
    """A call is logged with its path as sent and what came of it; its token is not."""
    call(sandbox, path=REFILL + "?a=%20b")
    call(sandbox, path="/caf%C3%A9")
    first, second = sandbox.requests
    assert (first.method, first.path, first.status, first.fault, first.applied) == (
        "POST",
        REFILL + "?a=%20b",
        200,
        None,
        True,
    )
    assert (second.path, second.status, second.applied) == ("/caf%C3%A9", 404, False)
    assert sandbox.api_key not in repr(sandbox.requests)


def test_faults_are_taken_in_order_one_a_call(sandbox: Sandbox) -> None:
    """Faults and names mix; a round is repeated as often as told; then all is well."""
    sandbox.misbehave("500", Fault.status(418), times=2)
    assert [call(sandbox).status for _ in range(5)] == [500, 418, 500, 418, 200]
    assert [each.fault for each in sandbox.requests] == ["500", "418", "500", "418", None]


@pytest.mark.parametrize("times", [0, 10_001])
def test_times_has_bounds(sandbox: Sandbox, times: int) -> None:
    """Less than once or more than ten thousand times is refused."""
    with pytest.raises(ValueError, match="times must be from 1 to 10000"):
        sandbox.misbehave("500", times=times)


def test_unknown_fault_lists_the_known_ones(sandbox: Sandbox) -> None:
    """The error of a wrong name shows all right ones, and nothing is queued."""
    with pytest.raises(ValueError, match=r"unknown fault 'drop'; known are: 429, .*wrong-shape"):
        sandbox.misbehave("500", "drop")
    assert call(sandbox).status == 200


def test_reset_goes_back_to_the_start(sandbox: Sandbox) -> None:
    """Meters, faults and log are those of a new sandbox."""
    call(sandbox)
    sandbox.create_meter(workspace_id="ws_1", external_meter_id="x")
    sandbox.misbehave("500")
    sandbox.reset()
    assert (credits_of(sandbox), sandbox.requests) == (1000, ())
    sandbox.create_meter(workspace_id="ws_1", external_meter_id="x")
    assert call(sandbox).status == 200


def test_concurrent_calls_lose_nothing(sandbox: Sandbox) -> None:
    """Refills from many threads add up."""

    def refill_ten_times() -> None:
        client = connect(sandbox)
        for _ in range(10):
            call(sandbox, connection=client)
        client.close()

    threads = [threading.Thread(target=refill_ten_times) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (credits_of(sandbox), len(sandbox.requests)) == (1400, 80)


def test_half_a_request_is_no_call(sandbox: Sandbox) -> None:
    """A client that leaves before it has sent all is not logged and takes no fault."""
    sandbox.misbehave("500")
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox)[:-1])
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert sandbox.requests == ()
    assert call(sandbox).status == 500


# --- Faults --------------------------------------------------------------------------------------


def test_names_make_faults_of_that_kind() -> None:
    """Every name is the kind of the fault that it makes."""
    assert [Fault.named(name).kind for name in Fault.names()] == list(Fault.names())
    assert len(Fault.names()) == 20


def test_faults_are_values() -> None:
    """Equal faults are equal, and cannot be changed."""
    assert Fault.status(520) == Fault.status(520) != Fault.status(521)
    with pytest.raises(FrozenInstanceError):
        Fault.hang().kind = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["drop-before", "drop-after"])
def test_drop_closes_without_an_answer(sandbox: Sandbox, name: str) -> None:
    """The connection ends in order, with not one byte; only drop-after was applied."""
    sandbox.misbehave(name)
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        assert read_to_end(client) == b""
    applied = name == "drop-after"
    assert credits_of(sandbox) == (1005 if applied else 1000)
    (seen,) = sandbox.requests
    assert (seen.status, seen.fault, seen.applied) == (None, name, applied)


@pytest.mark.parametrize("name", ["reset-before", "reset-after"])
def test_reset_resets_the_connection(sandbox: Sandbox, name: str) -> None:
    """The client gets a TCP RST; only reset-after was applied."""
    sandbox.misbehave(name)
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert credits_of(sandbox) == (1005 if name == "reset-after" else 1000)


def test_fault_that_applies_does_not_apply_a_bad_call(sandbox: Sandbox) -> None:
    """A call that would have been refused changes nothing, whatever comes of its answer."""
    sandbox.misbehave("drop-after")
    with pytest.raises(http.client.RemoteDisconnected):
        call(sandbox, token="Bearer wrong")
    assert (credits_of(sandbox), sandbox.requests[0].applied) == (1000, False)


def test_hang_never_answers(sandbox: Sandbox) -> None:
    """The request is read and logged, and the client waits until it gives up."""
    sandbox.misbehave("hang")
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        wait_for(lambda: sandbox.requests)
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
    assert (credits_of(sandbox), call(sandbox).status) == (1000, 200)


def test_429_says_how_long_to_wait(sandbox: Sandbox) -> None:
    """The wait is given in the form asked for, or not at all; nothing is applied."""
    sandbox.misbehave("429", Fault.rate_limited(0.5), Fault.rate_limited(0), "429-ms", "429-bare")
    replies = [call(sandbox) for _ in range(5)]
    assert [each.message for each in replies] == ["Too Many Requests"] * 5
    assert [each.headers.get("retry-after") for each in replies] == ["1", "0.5", "0", None, None]
    assert [each.headers.get("retry-after-ms") for each in replies] == [None] * 3 + ["1000", None]
    assert credits_of(sandbox) == 1000


def test_429_date_counts_from_the_answer(sandbox: Sandbox) -> None:
    """As a date, the wait is rounded up to a whole second."""
    sandbox.misbehave(Fault.rate_limited(60, form="date"))
    headers = call(sandbox).headers
    until = parsedate_to_datetime(headers["retry-after"]) - parsedate_to_datetime(headers["date"])
    assert until.total_seconds() == 61


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_impossible_seconds_are_refused(seconds: float) -> None:
    """Time is finite and goes forward."""
    for make in (Fault.rate_limited, Fault.slow_body, Fault.slow_headers):
        with pytest.raises(ValueError, match="seconds"):
            make(seconds)


@pytest.mark.parametrize(
    ("name", "message"), [("500", "Internal Server Error"), ("503", "Service Unavailable")]
)
def test_5xx_are_errors_in_the_documented_shape(sandbox: Sandbox, name: str, message: str) -> None:
    """By default nothing was applied."""
    sandbox.misbehave(name)
    reply = call(sandbox)
    assert (reply.status, reply.message, credits_of(sandbox)) == (int(name), message, 1000)


def test_520_is_what_a_proxy_sends(sandbox: Sandbox) -> None:
    """It is not in the documented shape."""
    sandbox.misbehave("520")
    reply = call(sandbox)
    assert (reply.status, reply.body) == (520, b"error code: 520")
    assert reply.headers["content-type"].startswith("text/plain")


def test_any_status_may_be_sent(sandbox: Sandbox) -> None:
    """Headers and body are as given, and the call may be applied first."""
    headers = {"Location": "/x", "X-Empty": "", "Content-Type": "text/css"}
    sandbox.misbehave(Fault.status(302, headers=headers, body=b"*{}", applies=True))
    reply = call(sandbox)
    assert (reply.status, reply.body, credits_of(sandbox)) == (302, b"*{}", 1005)
    assert reply.headers["location"] == "/x"
    assert reply.headers["x-empty"] == ""
    assert reply.headers["content-type"] == "text/css"


def test_status_without_a_phrase_of_its_own(sandbox: Sandbox) -> None:
    """A status that nobody registered has a message all the same."""
    sandbox.misbehave(Fault.status(599))
    assert call(sandbox).message == "Unknown Error"


@pytest.mark.parametrize("code", [204, 304])
def test_bodiless_status_has_no_body(sandbox: Sandbox, code: int) -> None:
    """HTTP ends these answers with their headers; the connection lives on."""
    sandbox.misbehave(Fault.status(code))
    client = connect(sandbox)
    reply = call(sandbox, connection=client)
    after = call(sandbox, connection=client)
    client.close()
    assert (reply.status, reply.body, after.status) == (code, b"", 200)
    assert "content-length" not in reply.headers


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"code": 199}, "from 200 to 599"),
        ({"code": 600}, "from 200 to 599"),
        ({"code": 204, "body": b"x"}, "cannot have a body"),
        ({"code": 200, "headers": {"a b": "c"}}, "not an HTTP header"),
        ({"code": 200, "headers": {"a": "b\r\nc: d"}}, "not an HTTP header"),
        ({"code": 200, "headers": {"Content-Length": "3"}}, r"Fault\.raw"),
        ({"code": 200, "headers": {"transfer-encoding": "chunked"}}, r"Fault\.raw"),
    ],
)
def test_impossible_answers_are_refused(arguments: dict[str, Any], reason: str) -> None:
    """What HTTP does not allow is an error at once, not when it is sent."""
    with pytest.raises(ValueError, match=reason):
        Fault.status(**arguments)


@pytest.mark.parametrize(
    ("fault", "content_type", "body"),
    [
        (Fault.html_page(), "text/html; charset=utf-8", b"<!doctype html>"),
        (Fault.not_json(), "application/json", b"{billing: not JSON}"),
        (Fault.empty_body(), "application/json", b""),
    ],
)
def test_200_with_a_useless_body(
    sandbox: Sandbox, fault: Fault, content_type: str, body: bytes
) -> None:
    """These look like success and are not; nothing was applied."""
    sandbox.misbehave(fault)
    reply = call(sandbox)
    assert (reply.status, reply.headers["content-type"]) == (200, content_type)
    assert reply.body.startswith(body)
    assert bool(reply.body) == bool(body)
    assert (credits_of(sandbox), sandbox.requests[0].status) == (1000, 200)


@pytest.mark.parametrize("make", [Fault.html_page, Fault.not_json, Fault.empty_body])
def test_useless_body_may_follow_success(sandbox: Sandbox, make: Any) -> None:
    """Told to, they apply the call first."""
    sandbox.misbehave(make(applies=True))
    call(sandbox)
    assert (credits_of(sandbox), sandbox.requests[0].applied) == (1005, True)


def test_wrong_shape_lacks_a_field(sandbox: Sandbox) -> None:
    """The refill was applied; its answer lacks totalCredits, or what one chooses."""
    sandbox.misbehave("wrong-shape", Fault.wrong_shape("billing"))
    billing = call(sandbox).json["billing"]
    assert billing.keys() == {
        "id",
        "usedCredits",
        "allowOverages",
        "spendCap",
        "createdAt",
        "updatedAt",
    }
    assert (call(sandbox).json, credits_of(sandbox)) == ({}, 1010)


@pytest.mark.parametrize(("size", "sent"), [(100_000, 100_000), (1, 226)])
def test_large_body_is_a_valid_answer_of_that_size(sandbox: Sandbox, size: int, sent: int) -> None:
    """The refill was applied and answered, with padding."""
    sandbox.misbehave(Fault.large_body(size))
    reply = call(sandbox)
    assert len(reply.body) == sent
    assert reply.json["billing"]["totalCredits"] == "1005"


def test_truncated_body_breaks_off(sandbox: Sandbox) -> None:
    """Less arrives than was announced; the refill was applied."""
    sandbox.misbehave("truncated-body")
    with pytest.raises(http.client.IncompleteRead) as caught:
        call(sandbox)
    assert abs(len(caught.value.partial) - (caught.value.expected or 0)) <= 1
    assert (credits_of(sandbox), sandbox.requests[0].status) == (1005, 200)


@pytest.mark.parametrize("make", [Fault.slow_body, Fault.slow_headers])
def test_slow_answers_arrive_whole_in_the_end(sandbox: Sandbox, make: Any) -> None:
    """They take at least as long as told, and are otherwise as usual."""
    sandbox.misbehave(make(0.2))
    before = time.monotonic()
    reply = call(sandbox)
    assert time.monotonic() - before >= 0.2
    assert reply.json["billing"]["totalCredits"] == "1005"
    assert (reply.headers["connection"], sandbox.requests[0].status) == ("close", 200)


def test_only_the_slow_part_is_slow(sandbox: Sandbox) -> None:
    """Slow headers start with a few bytes; before a slow body, all headers come at once."""
    sandbox.misbehave(Fault.slow_headers(20), Fault.slow_body(20))
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        assert len(client.recv(65536)) < 20
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        head, end, body = client.recv(65536).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert end
        assert len(body) < 20


def test_client_may_leave_a_slow_answer(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """When the client goes away, the sandbox stops writing, without a word."""
    sandbox.misbehave(Fault.slow_body(10))
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        client.recv(1)
    sandbox.stop()
    assert caplog.records == []


def test_raw_writes_exactly_these_bytes(sandbox: Sandbox) -> None:
    """Whatever the bytes are, they arrive, and then the connection ends."""
    sandbox.misbehave(Fault.raw(b"HTTP/9 what?\r\n\0"), Fault.raw(b"", applies=True))
    received: list[bytes] = []
    for _ in range(2):
        with raw_connection(sandbox) as client:
            client.sendall(request_bytes(sandbox))
            received.append(read_to_end(client))
    assert received == [b"HTTP/9 what?\r\n\0", b""]
    assert [each.applied for each in sandbox.requests] == [False, True]
    assert [each.status for each in sandbox.requests] == [None, None]


# --- Controls over HTTP --------------------------------------------------------------------------


def test_faults_can_be_queued_over_http(sandbox: Sandbox) -> None:
    """The call is not logged, and takes no fault itself."""
    once = call(sandbox, {"fault": "500"}, path="/_sandbox/misbehave")
    more = call(sandbox, {"fault": "503", "times": 2}, path="/_sandbox/misbehave")
    assert (once.json, more.json, sandbox.requests) == ({"queued": 1}, {"queued": 3}, ())
    assert [call(sandbox).status for _ in range(4)] == [500, 503, 503, 200]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "fault: must be a string"),
        ({"fault": "x"}, f"fault: unknown fault 'x'; known are: {', '.join(Fault.names())}"),
        ({"fault": "500", "times": 0}, "times: must be an integer greater than 0"),
        ({"fault": "500", "times": 10_001}, "times: must be at most 10000"),
    ],
)
def test_bad_fault_over_http_is_400(sandbox: Sandbox, body: object, message: str) -> None:
    """The answer says what is wrong, and lists the names that are known."""
    reply = call(sandbox, body, path="/_sandbox/misbehave")
    assert (reply.status, reply.message) == (400, message)


def test_meters_can_be_created_over_http(sandbox: Sandbox) -> None:
    """Amounts may be digit strings, as the API writes them, or integers."""
    names = {"workspaceId": "ws_9", "externalMeterId": "\ud800"}
    amounts = {"totalCredits": "12", "usedCredits": 3, "spendCap": "99", "allowOverages": True}
    billing = call(sandbox, names | amounts, path="/_sandbox/meters").json["billing"]
    meter = sandbox.meter(workspace_id="ws_9", external_meter_id="\ud800")
    assert (meter.total_credits, meter.used_credits, meter.spend_cap) == (12, 3, 99)
    assert (billing["id"], billing["allowOverages"]) == (meter.id, True)


def test_meter_over_http_needs_its_names_only(sandbox: Sandbox) -> None:
    """The rest has the same defaults as in Python."""
    names = {"workspaceId": "ws_9", "externalMeterId": "x"}
    billing = call(sandbox, names, path="/_sandbox/meters").json["billing"]
    assert (billing["totalCredits"], billing["usedCredits"]) == ("0", "0")
    assert (billing["allowOverages"], billing["spendCap"]) == (False, None)


def test_meter_over_http_may_say_so_too(sandbox: Sandbox) -> None:
    """Nothing is 0, and no cap is null."""
    fields = {"workspaceId": "ws_9", "externalMeterId": "x", "totalCredits": 0, "spendCap": None}
    billing = call(sandbox, fields, path="/_sandbox/meters").json["billing"]
    assert (billing["totalCredits"], billing["spendCap"]) == ("0", None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"externalMeterId": "acme"}, "meter 'acme' already exists in workspace 'ws_1'"),
        ({"totalCredits": -1}, "totalCredits: must be a string of digits or an integer"),
        ({"usedCredits": "٣"}, "usedCredits: must be a string of digits or an integer"),
        ({"spendCap": True}, "spendCap: must be a string of digits or an integer"),
        ({"allowOverages": 1}, "allowOverages: must be a boolean"),
    ],
)
def test_bad_meter_over_http_is_400(
    sandbox: Sandbox, fields: dict[str, object], message: str
) -> None:
    """The answer names the field."""
    names: dict[str, object] = {"workspaceId": "ws_1", "externalMeterId": "x"}
    reply = call(sandbox, names | fields, path="/_sandbox/meters")
    assert reply.status == 400
    assert reply.message.startswith(message)


def test_requests_can_be_read_over_http(sandbox: Sandbox) -> None:
    """The log is the same as in Python."""
    sandbox.misbehave("drop-after")
    with pytest.raises(http.client.RemoteDisconnected):
        call(sandbox)
    seen = {
        "method": "POST",
        "path": REFILL,
        "status": None,
        "fault": "drop-after",
        "applied": True,
    }
    assert call(sandbox, b"", path="/_sandbox/requests", method="GET").json == {"requests": [seen]}


def test_sandbox_can_be_reset_over_http(sandbox: Sandbox) -> None:
    """It needs no body."""
    call(sandbox)
    reply = call(sandbox, b"", path="/_sandbox/reset", content_type=None)
    assert (reply.json, credits_of(sandbox), sandbox.requests) == ({}, 1000, ())


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("sdk_sandbox_restricted", 403)])
def test_controls_need_the_token(sandbox: Sandbox, token: str, status: int) -> None:
    """Nobody else may take the sandbox's state away."""
    assert call(sandbox, path="/_sandbox/reset", token=f"Bearer {token}").status == status


# --- The command ---------------------------------------------------------------------------------


def run_main(*arguments: str) -> int:
    """Run the command in this process; return its exit status."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    argv, sys.argv = sys.argv, ["sandbox", *arguments]
    sys.modules.pop("oneloop.sandbox.__main__", None)  # runpy warns if it is loaded already.
    try:
        with pytest.raises(SystemExit) as caught:
            runpy.run_module("oneloop.sandbox", run_name="__main__")
        return int(caught.value.code or 0)
    finally:
        sys.argv = argv
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_prints_what_to_paste_and_ends_on_a_signal(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key is quoted for the shell, and a signal ends it with status 0 and no noise."""

    def end_later() -> None:
        wait_for(
            lambda: any(each.name.startswith("oneloop-sandbox") for each in threading.enumerate())
        )
        time.sleep(0.25)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=end_later)
    thread.start()
    status = run_main("--port", "0", "--api-key", "it's")
    thread.join()
    assert not [each for each in threading.enumerate() if each.name.startswith("oneloop-sandbox")]
    output = capsys.readouterr()
    assert (status, output.err) == (0, "")
    assert re.search(r"^export ONELOOP_BASE_URL=http://127\.0\.0\.1:\d+$", output.out, re.MULTILINE)
    assert output.out.endswith("export ONELOOP_SDK_KEY='it'\"'\"'s'\n")


def test_command_serves() -> None:
    """As a process of its own it serves with the default key, and ends quietly."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "oneloop.sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    url = lines[1].strip().rpartition("=")[2]
    client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=ENOUGH)
    client.request(
        "POST",
        REFILL,
        json.dumps(BODY),
        {"Authorization": "Bearer sdk_sandbox", "Content-Type": "application/json"},
    )
    status = client.getresponse().status
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=ENOUGH)
    client.close()
    assert (status, process.returncode, rest, errors) == (200, 0, "", "")
    assert lines[2] == "export ONELOOP_SDK_KEY=sdk_sandbox\n"


def test_importing_the_command_serves_nothing() -> None:
    """Tools that import every module do not start a server."""
    threads = threading.active_count()
    importlib.import_module("oneloop.sandbox.__main__")
    assert threading.active_count() == threads


def test_command_says_that_a_port_is_taken(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr, status 1."""
    port = sandbox.url.rpartition(":")[2]
    assert run_main("--port", port) == 1
    errors = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1:{port}" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--port", "65536"), ("--port", "x"), ("--api-key", "a b")])
def test_command_refuses_bad_options(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad options are status 2, as everywhere."""
    assert run_main(*arguments) == 2
    assert "error: " in capsys.readouterr().err
