"""The API and the sandbox's own controls: routes, rights, validation, one handler for each route.

A handler is a pure function of the state and a call. An operation of the API is added with one
handler and one line in `_ROUTES`.
"""

import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, cast

from attrs import asdict, frozen
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oneloop.sandbox._answers import Answer, error_answer, json_answer
from oneloop.sandbox._delivery import CONTROL_PREFIX, Delivery
from oneloop.sandbox._faults import MAX_TIMES, Fault
from oneloop.sandbox._state import Meter, State

_MAX_BODY_BYTES = 1024 * 1024
_MAX_SAFE_INTEGER = 2**53 - 1

# Python reads and prints at most 4300 digits at once.
_DIGITS = re.compile(r"[0-9]{1,4300}")


@frozen
class _Call:
    """What a handler may know of a request; its token has been checked already."""

    path_params: Mapping[str, str]
    content_type: str
    body: bytes


_Handler = Callable[[State, _Call], Answer]


def application(state: State, *, api_key: str, restricted_api_key: str) -> Starlette:
    """Return the ASGI application that serves `state` to whoever has one of the two keys."""

    def endpoint(handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer_request(request: Request) -> Response:
            _authorize(request.headers.get("authorization", ""), api_key, restricted_api_key)
            call = _Call(
                path_params=request.path_params,
                content_type=request.headers.get("content-type", ""),
                body=await request.body(),
            )
            answer = handler(state, call)
            request.state.applied = answer.applied
            return _response(answer)

        return answer_request

    routes = [Route(path, endpoint(handler), methods=[method]) for method, path, handler in _ROUTES]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Delivery, state=state, max_body_bytes=_MAX_BODY_BYTES)],
        exception_handlers={HTTPException: _answer_error},
    )
    # The API's document knows each path in one spelling only.
    app.router.redirect_slashes = False
    return app


def _refill_billing_limit(state: State, call: _Call) -> Answer:
    fields = _json_object(call)
    meter = state.refill(
        _string(fields, "workspaceId"),
        _string(fields, "externalMeterId"),
        _positive_integer(fields, "refill", at_most=_MAX_SAFE_INTEGER),
    )
    billing = None if meter is None else _meter_json(meter)
    return json_answer(200, {"billing": billing}, applied=meter is not None)


def _misbehave(state: State, call: _Call) -> Answer:
    fields = _json_object(call)
    try:
        fault = Fault.named(_string(fields, "fault"))
    except ValueError as error:
        raise HTTPException(400, f"fault: {error}") from None
    times = _positive_integer({"times": 1} | fields, "times", at_most=MAX_TIMES)
    return json_answer(200, {"queued": state.queue_faults([fault] * times)})


def _create_meter(state: State, call: _Call) -> Answer:
    fields = _json_object(call)
    defaults = {"totalCredits": 0, "usedCredits": 0, "allowOverages": False, "spendCap": None}
    fields = defaults | fields
    spend_cap = fields["spendCap"]
    try:
        meter = state.create_meter(
            workspace_id=_string(fields, "workspaceId"),
            external_meter_id=_string(fields, "externalMeterId"),
            total_credits=_credits(fields, "totalCredits"),
            used_credits=_credits(fields, "usedCredits"),
            allow_overages=_boolean(fields, "allowOverages"),
            spend_cap=None if spend_cap is None else _credits(fields, "spendCap"),
        )
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
    return json_answer(200, {"billing": _meter_json(meter)})


def _list_requests(state: State, _: _Call) -> Answer:
    return json_answer(200, {"requests": [asdict(request) for request in state.requests()]})


def _reset(state: State, _: _Call) -> Answer:
    state.reset()
    return json_answer(200, {})


_ROUTES: tuple[tuple[str, str, _Handler], ...] = (
    ("POST", "/api/v1/customer-billing/refill", _refill_billing_limit),
    ("POST", CONTROL_PREFIX + "misbehave", _misbehave),
    ("POST", CONTROL_PREFIX + "meters", _create_meter),
    ("GET", CONTROL_PREFIX + "requests", _list_requests),
    ("POST", CONTROL_PREFIX + "reset", _reset),
)


def _response(answer: Answer) -> Response:
    return Response(answer.body, status_code=answer.status, headers=dict(answer.headers))


async def _answer_error(_: Request, error: Exception) -> Response:
    refusal = cast(HTTPException, error)
    response = _response(error_answer(refusal.status_code, refusal.detail))
    response.headers.update(refusal.headers or {})
    return response


def _authorize(authorization: str, api_key: str, restricted_api_key: str) -> None:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer":
        if _same(token, api_key):
            return
        if _same(token, restricted_api_key):
            raise HTTPException(403)
    raise HTTPException(401)


def _same(token: str, key: str) -> bool:
    return hmac.compare_digest(token.encode(), key.encode())


def _json_object(call: _Call) -> dict[str, object]:
    if len(call.body) > _MAX_BODY_BYTES:
        raise HTTPException(413, f"body: must be at most {_MAX_BODY_BYTES} bytes")
    if call.content_type.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(400, "content-type: must be application/json")
    try:
        value: object = json.loads(call.body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise HTTPException(400, "body: must be JSON") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "body: must be a JSON object")
    return cast(dict[str, object], value)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _string(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise HTTPException(400, f"{name}: must be a string")
    return value


def _boolean(fields: Mapping[str, object], name: str) -> bool:
    value = fields.get(name)
    if not isinstance(value, bool):
        raise HTTPException(400, f"{name}: must be a boolean")
    return value


def _positive_integer(fields: Mapping[str, object], name: str, *, at_most: int) -> int:
    value = fields.get(name)
    # type() and not isinstance(): True is an int to Python, not to JSON.
    if type(value) is not int or value <= 0:
        raise HTTPException(400, f"{name}: must be an integer greater than 0")
    if value > at_most:
        raise HTTPException(400, f"{name}: must be at most {at_most}")
    return value


def _credits(fields: Mapping[str, object], name: str) -> int:
    value = fields.get(name)
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    raise HTTPException(400, f"{name}: must be a string of digits or an integer, not negative")


def _meter_json(meter: Meter) -> dict[str, object]:
    return {
        "id": meter.id,
        "totalCredits": _digits(meter.total_credits),
        "usedCredits": _digits(meter.used_credits),
        "allowOverages": meter.allow_overages,
        "spendCap": None if meter.spend_cap is None else _digits(meter.spend_cap),
        "createdAt": _timestamp(meter.created_at),
        "updatedAt": _timestamp(meter.updated_at),
    }


def _digits(number: int) -> str:
    # In pieces, since Python refuses to print more than 4300 digits at once.
    pieces: list[str] = []
    while number >= 10**4000:
        number, piece = divmod(number, 10**4000)
        pieces.append(f"{piece:04000d}")
    return "".join([str(number), *reversed(pieces)])


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
