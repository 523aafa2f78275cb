"""Verifying API keys and charging for their use."""

from oneloop.sandbox._answers import Answer, json_answer
from oneloop.sandbox._bodies import verdict_json
from oneloop.sandbox._calls import Call
from oneloop.sandbox._fields import (
    Fields,
    array_of,
    body_fields,
    digits,
    nested,
    positive_integer,
    string,
)
from oneloop.sandbox._operations._keys import key_scope
from oneloop.sandbox._state import RateLimit, State


def verify_api_key(state: State, call: Call) -> Answer:
    """Serve verifyApiKey."""
    fields = body_fields(call)
    key = fields.required("key", string)
    scopes = fields.required("requestedScopes", array_of(key_scope))
    fields.optional("route", string, None)
    usage, usage_name = _usage(fields.optional("billing", nested, Fields({})))
    verdict = state.verification.verify(
        key,
        scopes=scopes,
        usage=usage,
        usage_name=usage_name,
        rate_limit=fields.optional("rateLimitConfig", _rate_limit, None),
    )
    return json_answer(200, verdict_json(verdict, scopes), applied=verdict.charged)


def record_api_key_usage(state: State, call: Call) -> Answer:
    """Serve recordApiKeyUsage."""
    fields = body_fields(call)
    key = fields.required("key", string)
    usage, usage_name = _usage(fields)
    charged = state.verification.record_usage(key, usage, usage_name)
    return json_answer(200, {}, applied=charged)


def _usage(fields: Fields) -> tuple[int, str]:
    return fields.optional("usage", digits, 0), fields.optional("usageName", string, "")


def _rate_limit(path: str, value: object) -> RateLimit:
    fields = nested(path, value)
    return RateLimit(
        id=fields.required("id", string), limit=fields.required("limit", positive_integer)
    )
