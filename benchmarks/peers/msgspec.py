"""msgspec: models that its C reads and checks, by its strict rules."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from benchmarks.calls import ANSWER, CREDITS, METER, WORKSPACE

MODELS = (__name__,)


class Digits(int):
    """An integer that is a digit string on the wire, which strict rules take for no `int`."""

    __slots__ = ()


# As in `oneloop_api.models`. Made by calls: type checkers do not see msgspec, and take none of its
# classes for a base.
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
    """Read what msgspec asks for: a value of a type that it does not know."""
    if kind is not Digits or not (type(value) is str and value.isascii() and value.isdigit()):
        raise ValueError("Expected a string of ASCII digits")  # it adds the path
    return Digits(value)


def codec() -> dict[str, Callable[[], object]]:
    """Return the steps of a call that are the models'."""
    request = msgspec.defstruct(  # here, as it is none of those that an answer needs
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
