"""Link tokens and JWTs."""

import re

from starlette.exceptions import HTTPException

from oneloop.sandbox._answers import Answer, json_answer
from oneloop.sandbox._bodies import Json, jwt_verdict_json, with_given
from oneloop.sandbox._calls import Call
from oneloop.sandbox._fields import (
    body_fields,
    nested,
    positive_integer,
    refuse,
    string,
    string_map,
)
from oneloop.sandbox._state import RateLimit, State

_INTERVAL = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def generate_link_token(state: State, call: Call) -> Answer:
    """Serve generateLinkToken."""
    fields = body_fields(call)
    token, link = state.links.create(
        customer_id=fields.required("customerId", string),
        workspace_id=fields.required("workspaceId", string),
        external_billing_id=fields.optional("externalBillingId", string, None),
    )
    return json_answer(200, {"token": token, "expiresAt": link.expires_at}, applied=True)


def validate_link_token(state: State, call: Call) -> Answer:
    """Serve validateLinkToken. A caller with a link token may only validate that one."""
    token = call.path_params["token"]
    if call.link is not None and not call.link.belongs_to(token):
        raise HTTPException(403)
    link = state.links.get(token)
    answer: Json = {
        "valid": state.links.is_alive(link),
        "expiresAt": link.expires_at,
        "workspaceId": link.workspace_id,
        "customerId": link.customer_id,
    }
    return json_answer(200, with_given(answer, "externalBillingId", link.external_billing_id))


def create_jwt(state: State, call: Call) -> Answer:
    """Serve createJwt."""
    fields = body_fields(call)
    jwt = state.jwts.create(
        fields.required("payload", string_map),
        aud=fields.optional("aud", string, None),
        exp=fields.optional("exp", positive_integer, None),
    )
    return json_answer(200, {"jwt": jwt})


def verify_jwt(state: State, call: Call) -> Answer:
    """Serve verifyJwt."""
    fields = body_fields(call)
    verdict = state.jwts.verify(
        fields.required("jwt", string), fields.optional("rateLimitConfig", _rate_limit, None)
    )
    return json_answer(200, jwt_verdict_json(verdict))


def _rate_limit(path: str, value: object) -> RateLimit:
    fields = nested(path, value)
    return RateLimit(
        id=fields.required("id", string),
        limit=fields.required("limit", positive_integer),
        seconds=fields.required("interval", _interval),
    )


def _interval(path: str, value: object) -> int:
    match = _INTERVAL.fullmatch(string(path, value))
    if match is None:
        refuse(path, "a number and s, m, h or d, such as 10s or 1m")
    return int(match[1]) * _SECONDS[match[2]]
