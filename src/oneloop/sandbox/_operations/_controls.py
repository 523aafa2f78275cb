"""The controls of the sandbox, which docs/sandbox.md and controls.json describe.

Unlike the API, they refuse unknown fields: a test would not notice that one has no effect.
"""

from collections.abc import Mapping
from typing import Any, cast

from starlette.exceptions import HTTPException

from oneloop.sandbox._answers import Answer, json_answer
from oneloop.sandbox._bodies import meter_json, queued_fault_json, request_json
from oneloop.sandbox._calls import Call
from oneloop.sandbox._faults import FAULTS, Fault
from oneloop.sandbox._fields import (
    Reader,
    body_fields,
    boolean,
    digits,
    integer_up_to,
    nullable,
    refuse,
    string,
    string_map,
)
from oneloop.sandbox._state import MAX_TIMES, Order, State

_LARGEST = 2**53 - 1


def _number(path: str, value: object) -> float:
    if type(value) not in (int, float):
        refuse(path, "a number")
    return cast(float, value)


def _natural(path: str, value: object) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST:
        refuse(path, f"an integer from 0 to {_LARGEST}")
    return value


def _name(path: str, value: object) -> str:
    if type(value) is int:
        return str(value)
    return value if isinstance(value, str) else refuse(path, "the name of a fault, or a status")


PARAMETERS: Mapping[str, Reader[Any]] = {
    "seconds": _number,
    "size": _natural,
    "without": string,
    "body": string,
    "data": string,
    "headers": string_map,
    "applies": boolean,
}
"""The parameters that some faults have."""


def show_faults(state: State, _: Call) -> Answer:
    """Return the queue of faults, and what can be queued."""
    known = [
        {
            "name": one.name,
            "what": one.what,
            "parameters": one.parameters,
            **_promise(one.make()),
        }
        for one in FAULTS
    ]
    answer = {
        "faults": [queued_fault_json(one) for one in state.faults.entries()],
        "known": {"names": known, "operations": state.faults.operations},
    }
    return json_answer(200, answer)


def _promise(fault: Fault) -> dict[str, bool]:
    return {"applies": fault.applies, "late": fault.delay is not None}


def misbehave(state: State, call: Call) -> Answer:
    """Queue a fault."""
    fields = body_fields(call).only("fault", "times", "operation", "rate", "seed", *PARAMETERS)
    parameters = {
        name: fields.required(name, read) for name, read in PARAMETERS.items() if name in fields
    }
    operation = fields.optional("operation", nullable(string), None)
    times = fields.optional("times", nullable(integer_up_to(MAX_TIMES)), None)
    rate = fields.optional("rate", nullable(_number), None)
    seed = fields.optional("seed", nullable(_natural), None)
    name = fields.required("fault", _name)
    try:
        fault = Fault.named(name, **parameters)
        order = Order(faults=(fault,), operation=operation, times=times, rate=rate, seed=seed)
        return json_answer(200, {"queued": state.queue_faults(order)})
    except ValueError as error:
        words = str(error)
        if words.startswith("unknown"):  # unknown fault ..., unknown operation ...
            words = f"{words.split()[1]}: {words}"
        raise HTTPException(400, words) from None


def clear_faults(state: State, _: Call) -> Answer:
    """Empty the queue of faults."""
    return json_answer(200, {"cleared": state.clear_faults()})


def apply_late(state: State, _: Call) -> Answer:
    """Carry out at once what is still to happen late."""
    return json_answer(200, {"applied": state.carry_out_late()})


def create_meter(state: State, call: Call) -> Answer:
    """Create a meter with any balance, and its workspace if it does not exist."""
    fields = body_fields(call).only(
        *("workspaceId", "externalMeterId", "totalCredits"),
        *("usedCredits", "allowOverages", "spendCap"),
    )
    meter = state.create_meter(
        workspace_id=fields.required("workspaceId", string),
        external_meter_id=fields.required("externalMeterId", string),
        total_credits=fields.optional("totalCredits", _credits, 0),
        used_credits=fields.optional("usedCredits", _credits, 0),
        allow_overages=fields.optional("allowOverages", boolean, False),
        spend_cap=fields.optional("spendCap", nullable(_credits), None),
    )
    return json_answer(200, {"billing": meter_json(meter)})


def list_requests(state: State, _: Call) -> Answer:
    """Return the log of API calls."""
    requests = [request_json(request) for request in state.log.entries()]
    return json_answer(200, {"requests": requests, "count": state.log.count})


def events(_: State, __: Call) -> Answer:
    """Begin the stream of events."""
    headers = (("content-type", "text/event-stream"), ("cache-control", "no-store"))
    return Answer(200, headers, b"", streams=True)


def advance(state: State, call: Call) -> Answer:
    """Move the clock forward."""
    seconds = body_fields(call).only("seconds").required("seconds", _number)
    try:
        state.advance(seconds)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return json_answer(200, {})


def reset(state: State, _: Call) -> Answer:
    """Return to the state of a new sandbox."""
    state.reset()
    return json_answer(200, {})


def _credits(path: str, value: object) -> int:
    """Read an amount as a string of digits or, for convenience, as an integer."""
    if type(value) is int and value >= 0:
        return value
    try:
        return digits(path, value)
    except HTTPException:
        refuse(path, "a string of digits or an integer, not negative")
