"""The ASGI application: routing, authorization, and errors as answers."""

from collections.abc import Awaitable, Callable, Mapping
from typing import cast
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oneloop.sandbox._access import Access
from oneloop.sandbox._answers import Answer, error_answer
from oneloop.sandbox._calls import Call, Operation
from oneloop.sandbox._delivery import Delivery
from oneloop.sandbox._fields import MAX_BODY_BYTES
from oneloop.sandbox._hosts import OwnHosts
from oneloop.sandbox._paths import EncodedPaths
from oneloop.sandbox._routes import operations
from oneloop.sandbox._state import ConflictError, NotFoundError, State


def application(state: State, *, api_key: str, restricted_api_key: str) -> Starlette:
    """Return the ASGI application that serves `state` to whoever has one of the two keys."""
    access = Access(api_key, restricted_api_key)

    def endpoint(
        methods: Mapping[str, Operation],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer_request(request: Request) -> Response:
            # The router lets only these methods through, and HEAD wherever there is a GET.
            operation = methods.get(request.method) or methods["GET"]
            path_params = {name: unquote(value) for name, value in request.path_params.items()}
            call = Call(
                link=access.check(state, operation, path_params, request.headers),
                path_params=path_params,
                query=request.query_params,
                content_type=request.headers.get("content-type", ""),
                body=await request.body(),
            )
            answer = operation.handler(state, call)
            request.state.applied = answer.applied
            return _response(answer)

        return answer_request

    # One route per path, because a route answers 405 for every method that it does not have.
    by_path: dict[str, dict[str, Operation]] = {}
    # Fixed segments before parameters: OpenAPI wants /a/b matched before /a/{id}.
    for operation in sorted(operations(), key=lambda one: _parameters(one.path)):
        by_path.setdefault(operation.path, {})[operation.method] = operation
    app = Starlette(
        routes=[
            Route(path, endpoint(methods), methods=list(methods))
            for path, methods in by_path.items()
        ],
        middleware=[
            Middleware(OwnHosts),
            Middleware(EncodedPaths),
            Middleware(Delivery, state=state, max_body_bytes=MAX_BODY_BYTES),
        ],
        exception_handlers={
            HTTPException: _answer_refusal,
            NotFoundError: _answer_with(404),
            ConflictError: _answer_with(400),
        },
    )
    # The API's document has no paths with a trailing slash.
    app.router.redirect_slashes = False
    return app


def _parameters(path: str) -> list[bool]:
    return ["{" in segment for segment in path.split("/")]


def _response(answer: Answer) -> Response:
    return Response(answer.body, status_code=answer.status, headers=dict(answer.headers))


async def _answer_refusal(_: Request, error: Exception) -> Response:
    refusal = cast(HTTPException, error)
    response = _response(error_answer(refusal.status_code, refusal.detail))
    response.headers.update(refusal.headers or {})
    return response


def _answer_with(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, error: Exception) -> Response:
        return _response(error_answer(status, str(error)))

    return answer
