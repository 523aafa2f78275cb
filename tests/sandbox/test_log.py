"""The log of calls, the queue of faults, and the reset."""

import socket
import threading

import pytest

from oneloop.sandbox import Fault, Sandbox
from tests.sandbox.calls import connect
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
