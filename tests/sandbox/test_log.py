"""The log of calls, the queue of faults, and the reset."""

import socket
import threading
from datetime import UTC, datetime

import pytest

from oneloop.sandbox import Fault, ReceivedRequest, Sandbox
from oneloop.sandbox._state import RateLimit
from tests.sandbox.calls import NEW_KEY, Api, connect
from tests.sandbox.refills import (
    REFILL,
    call,
    credits_of,
    raw_connection,
    request_bytes,
)


def test_requests_are_logged_without_secrets(sandbox: Sandbox) -> None:
    """A call is logged with its path as sent and its result, but without its token."""
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
    """Each call takes one fault, in order; `times` repeats the whole sequence."""
    sandbox.misbehave("500", Fault.status(418), times=2)
    assert [call(sandbox).status for _ in range(5)] == [500, 418, 500, 418, 200]
    assert [each.fault for each in sandbox.requests] == ["500", "418", "500", "418", None]


@pytest.mark.parametrize("times", [0, 10_001])
def test_times_has_bounds(sandbox: Sandbox, times: int) -> None:
    """`times` must be from 1 to 10,000."""
    with pytest.raises(ValueError, match="times must be from 1 to 10000"):
        sandbox.misbehave("500", times=times)


def test_unknown_fault_lists_the_known_ones(sandbox: Sandbox) -> None:
    """The error for an unknown fault lists all known names, and nothing is queued."""
    with pytest.raises(ValueError, match=r"unknown fault 'drop'; known are: 429, .*wrong-shape"):
        sandbox.misbehave("500", "drop")
    assert call(sandbox).status == 200


def test_reset_goes_back_to_the_start(sandbox: Sandbox) -> None:
    """After a reset, meters, faults and log are those of a new sandbox."""
    call(sandbox)
    sandbox.create_meter(workspace_id="ws_1", external_meter_id="x")
    sandbox.misbehave("500")
    sandbox.reset()
    assert (credits_of(sandbox), sandbox.requests) == (1000, ())
    sandbox.create_meter(workspace_id="ws_1", external_meter_id="x")
    assert call(sandbox).status == 200


def test_concurrent_calls_lose_nothing(sandbox: Sandbox) -> None:
    """No refill is lost if many threads send them at once."""

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
    """An incomplete request is not logged and takes no fault."""
    sandbox.misbehave("500")
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox)[:-1])
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert sandbox.requests == ()
    assert call(sandbox).status == 500


def test_a_request_is_kept_with_its_headers_and_body(api: Api) -> None:
    """A test can look at what was sent; credentials and secret fields are masked."""
    key = api.new_key()["key"]
    headers = {"Traceparent": "00-1", "Cookie": "a=b"}
    api.exchange("POST /api-key/verify", {"key": key, "requestedScopes": []}, headers=headers)
    seen = api.sandbox.requests[-1]
    assert (seen.number, seen.operation) == (2, "verifyApiKey")
    assert seen.json == {"key": "***", "requestedScopes": []}
    assert seen.headers["traceparent"] == "00-1"
    assert (seen.headers["authorization"], seen.headers["cookie"]) == ("Bearer ***", "***")
    assert abs((datetime.now(UTC) - seen.time).total_seconds()) < 60


def test_the_secrets_of_every_operation_are_masked(api: Api) -> None:
    """Nothing in the log has a value that the document marks as a password."""
    secret = "a-secret-value"
    for path, body in (
        ("/api-key/migrate", {**NEW_KEY, "key": secret}),
        ("/api-key/record-usage", {"key": secret, "billing": [{"deep": {"key": secret}}]}),
        ("/jwt/verify", {"jwt": secret}),
        ("/jwt/verify", {"jwt": {"not": secret}}),
    ):
        api.exchange(f"POST {path}", body)
    api.exchange(f"GET /link-token/{secret}", link=secret)
    basic = {"Authorization": f"Basic {secret}", "Proxy-Authorization": secret}
    api.exchange("GET /workspace", headers=basic)
    assert secret not in repr(api.sandbox.requests)
    assert api.sandbox.requests[-1].headers["authorization"] == "Basic ***"
    assert len(api.sandbox.requests) == 6


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/api/v1/Link-Token/lt_1", "/api/v1/Link-Token/***"),
        ("/api/v1/link-token%2Flt_1", "/api/v1/link-token/***"),
        ("/api/v1/link-token/", "/api/v1/link-token/"),
        ("/a%0Ab/link-token/lt_1", "/a%0Ab/link-token/***"),
        ("/x?a=1&key=sdk_1&access_token=b&to%6ben=c&d&jwt=", None),
    ],
)
def test_secrets_in_a_path_or_query_are_masked(
    sandbox: Sandbox, path: str, shown: str | None
) -> None:
    """Link tokens in any spelling, and parameters with names of secrets, are masked."""
    call(sandbox, path=path)
    masked = "/x?a=1&key=***&access_token=***&to%6ben=***&d&jwt="
    assert sandbox.requests[0].path == (shown or masked)


def test_names_that_say_so_are_masked(api: Api) -> None:
    """Headers and fields whose names speak of secrets are masked, though no document has them."""
    headers = {"X-Api-Key": "sdk_1", "X-Auth-Token": "sdk_1", "Idempotency-Key": "order_1"}
    api.exchange("POST /jwt", {"payload": {}, "client_secret": "sdk_1"}, headers=headers)
    (seen,) = api.sandbox.requests
    assert "sdk_1" not in repr(seen)
    assert seen.headers["idempotency-key"] == "order_1"


@pytest.mark.parametrize("body", [b"{key: secret}", b"[" * 50_000, b'"%s"' % (b"x" * 16_383)])
def test_a_body_that_cannot_be_masked_is_not_kept(sandbox: Sandbox, body: bytes) -> None:
    """A body that is not JSON may contain a secret anywhere, and a long one needs memory."""
    call(sandbox, body)
    call(sandbox, b'"%s"' % (b"x" * 16_382))
    seen, kept = sandbox.requests
    assert (seen.body, len(kept.json)) == (None, 16_382)
    with pytest.raises(ValueError, match="request 1 has no body that was kept"):
        _ = seen.json


def test_a_call_without_a_body_is_kept_without(api: Api) -> None:
    """No body is not the same as one that was not kept."""
    api.ask("GET /workspace")
    assert api.sandbox.requests[0].body == ""
    with pytest.raises(ValueError, match="request 1 has no body"):
        _ = api.sandbox.requests[0].json


def test_repeated_headers_are_kept_together(sandbox: Sandbox) -> None:
    """Headers that come twice are joined as HTTP allows; each credential is masked."""
    request = request_bytes(sandbox).replace(
        b"Host:", b"X-One: a\r\nX-One: b\r\nX-Link-Token: lt_1\r\nX-Link-Token: lt_2\r\nHost:", 1
    )
    with raw_connection(sandbox) as client:
        client.sendall(request)
        client.recv(65536)
    (seen,) = sandbox.requests
    assert (seen.headers["x-one"], seen.headers["x-link-token"]) == ("a, b", "***, ***")


def test_the_log_keeps_the_last_calls() -> None:
    """The log has as many calls as it is told to keep; their numbers go on."""
    with Sandbox(log_size=2) as sandbox:
        sandbox.misbehave(Fault.late_apply(60, ending="504"))
        for _ in range(3):
            call(sandbox)
        assert [one.number for one in sandbox.requests] == [2, 3]
        assert sandbox.apply_late() == 1  # of a call that is not in the log any more
        assert [(one.number, one.applied) for one in sandbox.requests] == [(2, True), (3, True)]
        assert credits_of(sandbox) == 1015


@pytest.mark.parametrize("size", [0, 1_000_001])
def test_the_length_of_the_log_has_bounds(size: int) -> None:
    """The log cannot be endless."""
    with pytest.raises(ValueError, match=f"log_size must be from 1 to 1000000, not {size}"):
        Sandbox(log_size=size)


def test_on_request_gets_each_call(caplog: pytest.LogCaptureFixture) -> None:
    """The function is called when a call was received, and again when it took effect late."""
    seen: list[ReceivedRequest] = []

    def on_request(request: ReceivedRequest) -> None:
        seen.append(request)
        if len(seen) == 1:
            raise ValueError("of the test")

    with Sandbox(on_request=on_request) as sandbox:
        sandbox.misbehave(Fault.late_apply(60, ending="504"))
        assert [call(sandbox).status, call(sandbox).status] == [504, 200]
        sandbox.apply_late()
        sandbox.reset()
    assert [(one.number, one.applied) for one in seen] == [(1, False), (2, True), (1, True)]
    assert "on_request raised an exception" in caplog.text


def test_on_request_cannot_stop_the_sandbox(caplog: pytest.LogCaptureFixture) -> None:
    """It would wait for itself; the sandbox goes on and stops as usual."""
    with Sandbox(on_request=lambda _: sandbox.stop()) as sandbox:
        assert call(sandbox).status == 200
        assert call(sandbox).status == 200
    assert "on_request cannot stop the sandbox that calls it" in caplog.text
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url


def test_windows_of_rate_limits_are_forgotten(api: Api) -> None:
    """Rate limits with ids that do not come again need no memory for long."""
    windows = api.sandbox._state.jwts._windows

    for number in range(2500):
        windows.count(RateLimit(id=str(number), limit=1))
        api.clock.move(seconds=1)
    assert len(windows._windows) <= 1000
    for number in range(2500):
        windows.count(RateLimit(id=str(number), limit=1, seconds=60))
    assert len(windows._windows) >= 2500
