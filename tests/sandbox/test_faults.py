"""Each fault as a client sees it."""

import http.client
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError

from oneloop.sandbox import Fault, Sandbox
from tests.sandbox.calls import connect
from tests.sandbox.refills import (
    call,
    credits_of,
    raw_connection,
    read_to_end,
    request_bytes,
    wait_for,
)


def test_names_make_faults_of_that_kind() -> None:
    """A fault that is created by name has that name as its kind."""
    assert [Fault.named(name).kind for name in Fault.names()] == list(Fault.names())


def test_faults_are_values() -> None:
    """Faults are compared by value and cannot be changed."""
    assert Fault.status(520) == Fault.status(520) != Fault.status(521)
    with pytest.raises(FrozenInstanceError):
        Fault.hang().kind = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["drop-before", "drop-after"])
def test_drop_closes_without_an_answer(sandbox: Sandbox, name: str) -> None:
    """A drop closes the connection without a byte; only drop-after applies the call."""
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
    """A reset sends a TCP RST; only reset-after applies the call."""
    sandbox.misbehave(name)
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert credits_of(sandbox) == (1005 if name == "reset-after" else 1000)


def test_fault_that_applies_does_not_apply_a_bad_call(sandbox: Sandbox) -> None:
    """A call that would be refused changes nothing, even if the fault applies calls."""
    sandbox.misbehave("drop-after")
    with pytest.raises(http.client.RemoteDisconnected):
        call(sandbox, token="Bearer wrong")
    assert (credits_of(sandbox), sandbox.requests[0].applied) == (1000, False)


def test_hang_never_answers(sandbox: Sandbox) -> None:
    """A hanging request is read and logged, and never answered."""
    sandbox.misbehave("hang")
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        wait_for(lambda: sandbox.requests)
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
    assert (credits_of(sandbox), call(sandbox).status) == (1000, 200)


def test_429_says_how_long_to_wait(sandbox: Sandbox) -> None:
    """A 429 response has the wait in the requested form or not at all, and applies nothing."""
    sandbox.misbehave("429", Fault.rate_limited(0.5), Fault.rate_limited(0), "429-ms", "429-bare")
    replies = [call(sandbox) for _ in range(5)]
    assert [each.message for each in replies] == ["Too Many Requests"] * 5
    assert [each.headers.get("retry-after") for each in replies] == ["1", "0.5", "0", None, None]
    assert [each.headers.get("retry-after-ms") for each in replies] == [None] * 3 + ["1000", None]
    assert credits_of(sandbox) == 1000


def test_429_date_counts_from_the_answer(sandbox: Sandbox) -> None:
    """A wait in the form of a date is rounded up to a whole second."""
    sandbox.misbehave(Fault.rate_limited(60, form="date"))
    headers = call(sandbox).headers
    until = parsedate_to_datetime(headers["retry-after"]) - parsedate_to_datetime(headers["date"])
    assert until.total_seconds() == 61


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_impossible_seconds_are_refused(seconds: float) -> None:
    """The seconds of a fault must be finite and not negative."""
    for make in (Fault.rate_limited, Fault.slow_body, Fault.slow_headers):
        with pytest.raises(ValueError, match="seconds"):
            make(seconds)


@pytest.mark.parametrize(
    ("name", "message"), [("500", "Internal Server Error"), ("503", "Service Unavailable")]
)
def test_5xx_are_errors_in_the_documented_shape(sandbox: Sandbox, name: str, message: str) -> None:
    """The faults 500 and 503 return documented errors and apply nothing."""
    sandbox.misbehave(name)
    reply = call(sandbox)
    assert (reply.status, reply.message, credits_of(sandbox)) == (int(name), message, 1000)


def test_520_is_what_a_proxy_sends(sandbox: Sandbox) -> None:
    """The fault 520 returns plain text like a proxy, not a documented error."""
    sandbox.misbehave("520")
    reply = call(sandbox)
    assert (reply.status, reply.body) == (520, b"error code: 520")
    assert reply.headers["content-type"].startswith("text/plain")


def test_any_status_may_be_sent(sandbox: Sandbox) -> None:
    """A status fault sends the given headers and body, and can apply the call first."""
    headers = {"Location": "/x", "X-Empty": "", "Content-Type": "text/css"}
    sandbox.misbehave(Fault.status(302, headers=headers, body=b"*{}", applies=True))
    reply = call(sandbox)
    assert (reply.status, reply.body, credits_of(sandbox)) == (302, b"*{}", 1005)
    assert reply.headers["location"] == "/x"
    assert reply.headers["x-empty"] == ""
    assert reply.headers["content-type"] == "text/css"


def test_status_without_a_phrase_of_its_own(sandbox: Sandbox) -> None:
    """A status that is not registered has a message too."""
    sandbox.misbehave(Fault.status(599))
    assert call(sandbox).message == "Unknown Error"


@pytest.mark.parametrize("code", [204, 304])
def test_bodiless_status_has_no_body(sandbox: Sandbox, code: int) -> None:
    """A 204 or 304 response ends with its headers, and the connection stays open."""
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
    """A response that HTTP does not allow is an error when the fault is created."""
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
    """Some faults send status 200 with a useless body, and do not apply the call."""
    sandbox.misbehave(fault)
    reply = call(sandbox)
    assert (reply.status, reply.headers["content-type"]) == (200, content_type)
    assert reply.body.startswith(body)
    assert bool(reply.body) == bool(body)
    assert (credits_of(sandbox), sandbox.requests[0].status) == (1000, 200)


@pytest.mark.parametrize("make", [Fault.html_page, Fault.not_json, Fault.empty_body])
def test_useless_body_may_follow_success(sandbox: Sandbox, make: Any) -> None:
    """With applies=True, the call is applied before the useless body is sent."""
    sandbox.misbehave(make(applies=True))
    call(sandbox)
    assert (credits_of(sandbox), sandbox.requests[0].applied) == (1005, True)


def test_wrong_shape_lacks_a_field(sandbox: Sandbox) -> None:
    """wrong-shape applies the refill and omits totalCredits or another chosen field."""
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
    """large-body applies the refill and pads the response to the given size."""
    sandbox.misbehave(Fault.large_body(size))
    reply = call(sandbox)
    assert len(reply.body) == sent
    assert reply.json["billing"]["totalCredits"] == "1005"


def test_truncated_body_breaks_off(sandbox: Sandbox) -> None:
    """truncated-body applies the refill and sends less than it announced."""
    sandbox.misbehave("truncated-body")
    with pytest.raises(http.client.IncompleteRead) as caught:
        call(sandbox)
    assert abs(len(caught.value.partial) - (caught.value.expected or 0)) <= 1
    assert (credits_of(sandbox), sandbox.requests[0].status) == (1005, 200)


@pytest.mark.parametrize("make", [Fault.slow_body, Fault.slow_headers])
def test_slow_answers_arrive_whole_in_the_end(sandbox: Sandbox, make: Any) -> None:
    """A slow response takes at least the given time and is complete."""
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
    """If the client disconnects, the sandbox stops writing and logs nothing."""
    sandbox.misbehave(Fault.slow_body(10))
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        client.recv(1)
    sandbox.stop()
    assert caplog.records == []


def test_raw_writes_exactly_these_bytes(sandbox: Sandbox) -> None:
    """A raw fault sends its bytes unchanged and then closes the connection."""
    sandbox.misbehave(Fault.raw(b"HTTP/9 what?\r\n\0"), Fault.raw(b"", applies=True))
    received: list[bytes] = []
    for _ in range(2):
        with raw_connection(sandbox) as client:
            client.sendall(request_bytes(sandbox))
            received.append(read_to_end(client))
    assert received == [b"HTTP/9 what?\r\n\0", b""]
    assert [each.applied for each in sandbox.requests] == [False, True]
    assert [each.status for each in sandbox.requests] == [None, None]
