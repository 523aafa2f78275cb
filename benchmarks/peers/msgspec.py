"""msgspec: models that it decodes and validates in C, in strict mode."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from benchmarks.calls import ANSWER, CREDITS, METER, WORKSPACE

MODELS = (__name__,)


class Digits(int):
    """An integer that is a digit string in JSON; strict mode would refuse that for an `int`."""

    __slots__ = ()


# The fields are those of `oneloop_api.models`. Created by `defstruct`, because type checkers do not
# have msgspec and would reject its classes as bases.
CustomerBillingMeter = msgspec.defstruct(
    "CustomerBillingMeter",
    [
        ("id", str),
        ("total_credits", Digits),
        ("used_credits", Digits),
        ("allow_overages", bool),
        ("spend_cap", Digits | None),
        ("created_at", datetime),
        ("updated_at", datetime),
    ],
    rename="camel",
    kw_only=True,
)
RefillCustomerBillingMeterResponse = msgspec.defstruct(
    "RefillCustomerBillingMeterResponse",
    [("billing", CustomerBillingMeter | None)],
    rename="camel",
    kw_only=True,
)


def _digits(kind: type, value: Any) -> Digits:
    """Decode a value of a type that msgspec does not know; it calls this for such fields."""
    if kind is not Digits or not (type(value) is str and value.isascii() and value.isdigit()):
        raise ValueError("Expected a string of ASCII digits")  # msgspec adds the path
    return Digits(value)


def codec() -> dict[str, Callable[[], object]]:
    """Return the steps of a call that involve models."""
    request = msgspec.defstruct(  # here, so that "define" does not count it
        "RefillCustomerBillingMeterRequest",
        [("workspace_id", str), ("external_meter_id", str), ("refill", int)],
        rename="camel",
        kw_only=True,
    )
    parsed = json.loads(ANSWER)
    model = RefillCustomerBillingMeterResponse
    return {
        "encode": lambda: msgspec.json.encode(
            request(workspace_id=WORKSPACE, external_meter_id=METER, refill=CREDITS)
        ),
        "decode": lambda: msgspec.convert(parsed, model, dec_hook=_digits),
        "from bytes": lambda: msgspec.json.decode(ANSWER, type=model, dec_hook=_digits),
    }
