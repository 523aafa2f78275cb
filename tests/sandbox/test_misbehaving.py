"""Which calls take faults, and calls that take effect late."""

import threading
import time
from typing import Any

import pytest

import oneloop
from oneloop import Oneloop, Timeout
from oneloop.sandbox import Fault, QueuedFault, Sandbox
from oneloop.sandbox._state._queue import MOST_ORDERS
from tests.sandbox.calls import exchange
from tests.sandbox.refills import (
    call,
    credits_of,
    raw_connection,
    read_to_end,
    request_bytes,
    wait_for,
)

METER = "/api/v1/customer-billing?workspaceId=ws_1&externalMeterId=acme"
LATE = {"late-apply": None, "late-drop": None, "late-504": 504}


def control(sandbox: Sandbox, method: str, path: str, body: object = None) -> Any:
    """Call a control and return its answer."""
    headers = {"Authorization": "Bearer sdk_sandbox", "Content-Type": "application/json"}
    return exchange(sandbox, method, f"/_sandbox/{path}", body, headers).json


def look(sandbox: Sandbox) -> int:
    """Read the meter and return the status."""
    return exchange(sandbox, "GET", METER, None, {"Authorization": "Bearer sdk_sandbox"}).status


@pytest.mark.parametrize("name", ["refillBillingLimit", "refill_billing_limit"])
def test_a_fault_waits_for_the_operation_that_it_is_for(sandbox: Sandbox, name: str) -> None:
    """Calls of other operations leave the fault in the queue and take the next one for all."""
    sandbox.misbehave("500", operation=name)
    sandbox.misbehave("503")
    assert [look(sandbox), look(sandbox)] == [503, 200]
    assert sandbox.queued_faults[0].operation == "refillBillingLimit"
    assert [call(sandbox).status, call(sandbox).status] == [500, 200]


def test_an_unknown_operation_lists_the_known_ones(sandbox: Sandbox) -> None:
    """An operation that does not exist is an error that lists all, in Python and over HTTP."""
    message = "unknown operation 'refill'; known are: createApiKey, .*, verifyJwt"
    with pytest.raises(ValueError, match=message):
        sandbox.misbehave("500", operation="refill")
    answer = control(sandbox, "POST", "misbehave", {"fault": "500", "operation": "refill"})
    message = "operation: unknown operation 'refill'; known are: "
    assert answer["error"]["message"].startswith(message)
    assert sandbox.queued_faults == ()


def test_a_seed_makes_the_same_calls_take_the_same_faults() -> None:
    """With one seed, the same calls take the same faults; with another one, others."""

    def taken(seed: int | None) -> list[str | None]:
        with Sandbox() as sandbox:
            sandbox.misbehave("500", "503", rate=0.5, seed=seed)
            for _ in range(40):
                call(sandbox)
            (queued,) = sandbox.queued_faults
            assert (queued.rate, queued.times) == (0.5, None)
            assert queued.seed == seed or seed is None
            return [one.fault for one in sandbox.requests]

    first = taken(7)
    assert first == taken(7)
    assert set(first) == {None, "500", "503"}
    assert len({tuple(taken(seed)) for seed in (7, 8, None, None)}) == 4


@pytest.mark.parametrize(("rate", "hits"), [(0, 0), (1, 5)])
def test_a_rate_may_be_never_or_always(sandbox: Sandbox, rate: float, hits: int) -> None:
    """0 means never and 1 always; `times` ends it."""
    sandbox.misbehave("500", rate=rate, times=5)
    assert [call(sandbox).status for _ in range(9)].count(500) == hits
    assert len(sandbox.queued_faults) == (0 if hits else 1)


def test_certain_faults_come_before_likely_ones(sandbox: Sandbox) -> None:
    """A fault that is queued for certain is taken first, whatever was queued before."""
    sandbox.misbehave("500", rate=1)
    sandbox.misbehave("503")
    assert [call(sandbox).status for _ in range(3)] == [503, 500, 500]


def test_the_queue_can_be_seen_and_cleared(sandbox: Sandbox) -> None:
    """What is left is shown, beginning with the next fault, and can be removed."""
    sandbox.misbehave("500", "503", times=2)
    sandbox.misbehave("hang", rate=0.5, seed=1, times=3, operation="verifyJwt")
    assert call(sandbox).status == 500
    assert sandbox.queued_faults == (
        QueuedFault(faults=("503", "500"), operation=None, rate=None, seed=None, times=3),
        QueuedFault(faults=("hang",), operation="verifyJwt", rate=0.5, seed=1, times=3),
    )
    shown = control(sandbox, "GET", "misbehave")
    assert shown["faults"][1] == {
        "faults": ["hang"],
        "operation": "verifyJwt",
        "rate": 0.5,
        "seed": 1,
        "times": 3,
    }
    assert {one["name"] for one in shown["known"]["names"]} == set(Fault.names())
    assert "refillBillingLimit" in shown["known"]["operations"]
    assert control(sandbox, "DELETE", "misbehave") == {"cleared": 6}
    assert (sandbox.queued_faults, sandbox.clear_faults()) == ((), 0)
    assert call(sandbox).status == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.5}, "rate must be from 0 to 1, not 1.5"),
        ({"rate": float("nan")}, "rate must be from 0 to 1, not nan"),
        ({"seed": 5}, "seed has no effect without a rate"),
        ({"rate": 0.5, "seed": -1}, "seed must be from 0 to 9007199254740991, not -1"),
        ({"rate": 0.5, "times": 0}, "times must be from 1 to 10000, not 0"),
    ],
    ids=str,
)
def test_arguments_have_bounds(sandbox: Sandbox, arguments: Any, message: str) -> None:
    """Arguments that are out of range are refused by name, and nothing is queued."""
    with pytest.raises(ValueError, match=message):
        sandbox.misbehave("500", **arguments)
    assert sandbox.queued_faults == ()


@pytest.mark.parametrize("arguments", [{"rate": "0.5"}, {"times": True}, {"seed": 1.0, "rate": 1}])
def test_arguments_must_be_numbers(sandbox: Sandbox, arguments: Any) -> None:
    """Arguments of another type are refused by name."""
    with pytest.raises(TypeError, match=f"{next(iter(arguments))} must be a number"):
        sandbox.misbehave("500", **arguments)


def test_an_operation_must_be_a_name(sandbox: Sandbox) -> None:
    """Something else than a name is refused by its value."""
    with pytest.raises(TypeError, match="operation must be a name, not 5"):
        sandbox.misbehave("500", operation=5)  # type: ignore[arg-type]


def test_no_fault_at_all_is_refused(sandbox: Sandbox) -> None:
    """Without any fault there is nothing to queue."""
    with pytest.raises(ValueError, match="at least one fault is needed"):
        sandbox.misbehave()


def test_the_queue_has_an_end(sandbox: Sandbox) -> None:
    """A queue that is never taken from does not grow without bounds."""
    for _ in range(MOST_ORDERS):
        sandbox.misbehave("500")
    with pytest.raises(ValueError, match="the queue of faults is full; clear it first"):
        sandbox.misbehave("500")
    answer = control(sandbox, "POST", "misbehave", {"fault": "500"})
    assert answer["error"]["message"] == "the queue of faults is full; clear it first"


def test_any_status_can_be_asked_for_over_http(sandbox: Sandbox) -> None:
    """A status is its own name, with a body, headers and an effect of choice."""
    asked = {"fault": "404", "body": '{"error": {}}', "headers": {"X-Why": "test"}, "applies": True}
    control(sandbox, "POST", "misbehave", asked)
    control(sandbox, "POST", "misbehave", {"fault": 299, "operation": None, "times": None})
    control(sandbox, "POST", "misbehave", {"fault": "200", "applies": False})
    first, second, third = call(sandbox), call(sandbox), call(sandbox)
    assert (first.status, first.headers["x-why"], first.body) == (404, "test", b'{"error": {}}')
    assert [second.status, third.status] == [299, 200]
    # A call that is answered with success has been carried out, unless the test wants otherwise.
    assert [one.applied for one in sandbox.requests] == [True, True, False]
    assert credits_of(sandbox) == 1010


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"fault": "199"}, "fault: unknown fault '199'; known are: "),
        (
            {"fault": "hang", "seconds": 1},
            "seconds: fault 'hang' has no such parameter; it has: none",
        ),
        ({"fault": "raw", "size": 1}, "size: fault 'raw' has no such parameter; it has: data, app"),
        ({"fault": "slow-body", "seconds": -1}, "seconds must be from 0 to 1000000000, not -1"),
        ({"fault": "429-ms", "seconds": 1e308}, "seconds must be from 0 to 1000000000"),
        ({"fault": "429-date", "seconds": 10**400}, "seconds must be from 0 to 1000000000"),
        ({"fault": "slow-body", "seconds": "1"}, "seconds: must be a number"),
        ({"fault": "large-body", "size": 2**40}, "size must be from 0 to 1073741824"),
        ({"fault": "large-body", "size": 0.5}, "size: must be an integer from 0 to"),
        ({"fault": "204", "body": "x"}, "status 204 cannot have a body"),
        ({"fault": "404", "headers": {"a b": ""}}, "not an HTTP header: 'a b': ''"),
        ({"fault": "500", "rate": 2}, "rate must be from 0 to 1, not 2"),
    ],
    ids=str,
)
def test_a_bad_parameter_over_http_is_named(sandbox: Sandbox, asked: Any, message: str) -> None:
    """A parameter that the fault does not take, or not with that value, is 400."""
    answer = control(sandbox, "POST", "misbehave", asked)
    assert answer["error"]["code"] == 400
    assert answer["error"]["message"].startswith(message)
    assert sandbox.queued_faults == ()


def test_parameters_and_statuses_can_be_given_as_they_are(sandbox: Sandbox) -> None:
    """A fault by name takes its parameters, a status may be a number, and a `Fault` has its own."""
    sandbox.misbehave(404, body="{}")
    assert (call(sandbox).body, sandbox.requests[0].fault) == (b"{}", "404")
    sandbox.misbehave("late-504", "late-drop", seconds=60)
    with pytest.raises(ValueError, match="secs: fault '500' has no such parameter; it has: body"):
        sandbox.misbehave("500", secs=1)
    with pytest.raises(TypeError, match="a Fault takes no parameters: seconds"):
        sandbox.misbehave(Fault.hang(), seconds=1)
    assert [one.times for one in sandbox.queued_faults] == [2]


def test_late_apply_has_few_endings() -> None:
    """An ending that does not exist is refused."""
    with pytest.raises(ValueError, match="ending must be one of hang, drop, 504, not 'close'"):
        Fault.late_apply(ending="close")  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "status"), LATE.items())
def test_a_late_call_takes_effect_after_the_client_has_gone(
    sandbox: Sandbox, name: str, status: int | None
) -> None:
    """The client gives up, sees that nothing happened, and later it has happened."""
    sandbox.misbehave(Fault.named(name, seconds=0.2))
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        if name != "late-apply":
            client.shutdown(1)
            assert (b" 504 " in read_to_end(client)) == (status == 504)
        wait_for(lambda: len(sandbox.requests) == 1)
        assert (sandbox.requests[0].applied, sandbox.requests[0].pending) == (False, True)
    assert credits_of(sandbox) == 1000
    wait_for(lambda: not sandbox.requests[0].pending)
    assert credits_of(sandbox) == 1005
    (seen,) = sandbox.requests
    assert (seen.status, seen.fault, seen.applied) == (status, name, True)


def test_a_late_call_misleads_whoever_looks_at_the_meter_once(sandbox: Sandbox) -> None:
    """A client that looks and repeats refills twice: the case that this fault is for."""
    sandbox.misbehave(Fault.late_apply(60), operation="refill_billing_limit")
    names = {"workspace_id": "ws_1", "external_meter_id": "acme"}
    timeout = Timeout(read=0.2)
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, timeout=timeout) as client:
        with pytest.raises(oneloop.APITimeoutError) as caught:
            client.refill_billing_limit(**names, refill=5)
        assert caught.value.outcome is oneloop.Outcome.UNKNOWN
        billing = client.get_customer_billing(**names).billing
        assert billing is not None
        assert billing.total_credits == 1000
        assert sandbox.apply_late() == 1
        assert sandbox.apply_late() == 0
    assert credits_of(sandbox) == 1005


def test_a_late_call_can_be_carried_out_while_the_client_waits(sandbox: Sandbox) -> None:
    """`apply_late` does not need the client to have gone, and the delay does not repeat it."""
    sandbox.misbehave(Fault.late_apply(0))
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        wait_for(lambda: len(sandbox.requests) == 1)
        wait_for(lambda: control(sandbox, "POST", "apply-late") == {"applied": 1})
        assert credits_of(sandbox) == 1005
    time.sleep(0.1)
    assert credits_of(sandbox) == 1005


def test_a_late_call_that_is_refused_changes_nothing(sandbox: Sandbox) -> None:
    """A call that would have been refused is refused late, too."""
    sandbox.misbehave("late-504")
    assert call(sandbox, {"refill": 5}).status == 504
    assert sandbox.apply_late() == 1
    assert not sandbox.requests[0].applied


@pytest.mark.parametrize("end", [Sandbox.reset, Sandbox.stop])
def test_a_late_call_never_happens_after_the_end(end: Any) -> None:
    """What is late when the sandbox is reset or stopped is forgotten."""
    sandbox = Sandbox()
    sandbox.start()
    sandbox.misbehave(Fault.late_apply(0.1, ending="504"))
    assert call(sandbox).status == 504
    end(sandbox)
    assert sandbox.apply_late() == 0
    assert not any(one.pending for one in sandbox.requests)
    time.sleep(0.2)
    assert credits_of(sandbox) == 1000
    sandbox.stop()


def test_a_late_call_of_many_threads_happens_once(sandbox: Sandbox) -> None:
    """Whoever carries a late call out first is the only one."""
    sandbox.misbehave(Fault.late_apply(60, ending="504"), times=50)
    for _ in range(50):
        call(sandbox)
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(sandbox.apply_late())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(counts), credits_of(sandbox)) == (50, 1250)


def test_an_answer_can_come_twice(sandbox: Sandbox) -> None:
    """The answer comes twice on a connection that stays open; the call is carried out once."""
    sandbox.misbehave("duplicate-answer")
    with raw_connection(sandbox) as client:
        client.sendall(request_bytes(sandbox))
        received = client.recv(65536)
        wait_for(lambda: credits_of(sandbox) == 1005)
    half = len(received) // 2
    assert received[:half] == received[half:]
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close" not in received


def test_the_client_does_not_take_a_surplus_answer_for_the_next_one(sandbox: Sandbox) -> None:
    """After an answer that came twice, the client uses another connection."""
    sandbox.misbehave("duplicate-answer")
    names = {"workspace_id": "ws_1", "external_meter_id": "acme"}
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        totals = []
        for _ in range(3):
            billing = client.refill_billing_limit(**names, refill=5).billing
            assert billing is not None
            totals.append(billing.total_credits)
    assert totals == [1005, 1010, 1015]
