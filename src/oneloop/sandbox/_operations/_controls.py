"""The controls of the sandbox, which docs/sandbox.md describes.

Unlike the API, they refuse unknown fields: a test would not notice that one has no effect.
"""

from typing import cast

from attrs import asdict
from starlette.exceptions import HTTPException

from oneloop.sandbox._answers import Answer, json_answer
from oneloop.sandbox._bodies import meter_json
from oneloop.sandbox._calls import Call
from oneloop.sandbox._faults import MAX_TIMES, Fault
from oneloop.sandbox._fields import (
    body_fields,
    boolean,
    digits,
    integer_up_to,
    nullable,
    refuse,
    string,
)
from oneloop.sandbox._state import State


def misbehave(state: State, call: Call) -> Answer:
    """Queue a fault."""
    fields = body_fields(call).only("fault", "times")
    try:
        fault = Fault.named(fields.required("fault", string))
    except ValueError as error:
        raise HTTPException(400, f"fault: {error}") from None
    times = fields.optional("times", integer_up_to(MAX_TIMES), 1)
    return json_answer(200, {"queued": state.queue_faults([fault] * times)})


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
    return json_answer(200, {"requests": [asdict(request) for request in state.requests()]})


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


def _number(path: str, value: object) -> float:
    if type(value) not in (int, float):
        refuse(path, "a number")
    return cast(float, value)
