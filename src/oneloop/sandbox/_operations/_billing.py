"""Meters and their usage."""

from oneloop.sandbox._answers import Answer, json_answer
from oneloop.sandbox._bodies import daily_usage_json, meter_json
from oneloop.sandbox._calls import Call
from oneloop.sandbox._fields import (
    Fields,
    body_fields,
    boolean,
    digits,
    positive_integer,
    string,
)
from oneloop.sandbox._state import State


def refill_billing_limit(state: State, call: Call) -> Answer:
    """Serve refillBillingLimit."""
    fields = body_fields(call)
    meter = state.meters.refill(
        fields.required("workspaceId", string),
        fields.required("externalMeterId", string),
        fields.required("refill", positive_integer),
    )
    return json_answer(200, {"billing": meter_json(meter)}, applied=meter is not None)


def create_customer_billing(state: State, call: Call) -> Answer:
    """Serve createCustomerBilling."""
    fields = body_fields(call)
    total_credits = fields.optional("totalCredits", digits, 0)
    allow_overages = fields.optional("allowOverages", boolean, False)
    spend_cap = fields.optional("spendCap", digits, None)
    external_meter_id = fields.required("externalMeterId", string)
    workspace = state.workspaces.get(fields.required("workspaceId", string))
    meter = state.meters.create(
        workspace_id=workspace.id,
        external_meter_id=external_meter_id,
        total_credits=total_credits,
        used_credits=0,
        allow_overages=allow_overages,
        spend_cap=spend_cap,
    )
    return json_answer(200, {"billing": meter_json(meter)}, applied=True)


def get_customer_billing(state: State, call: Call) -> Answer:
    """Serve getCustomerBilling."""
    query = Fields(call.query)
    meter = state.meters.find(
        query.required("workspaceId", string), query.required("externalMeterId", string)
    )
    return json_answer(200, {"billing": meter_json(meter)})


def get_billing_usage(state: State, call: Call) -> Answer:
    """Serve getBillingUsage."""
    usage = state.meters.usage(call.path_params["bid"])
    return json_answer(200, {"data": [daily_usage_json(each) for each in usage]})
