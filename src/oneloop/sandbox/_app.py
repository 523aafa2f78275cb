"""The API of a sandbox without the network: routing, authorization, and errors as answers."""

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from attrs import frozen
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from oneloop.sandbox._access import Access
from oneloop.sandbox._answers import Answer, error_answer, with_header
from oneloop.sandbox._calls import Call, Operation, Request
from oneloop.sandbox._paths import encoded
from oneloop.sandbox._state import ConflictError, NotFoundError, State


@frozen
class Match:
    """What a request is for."""

    operation: Operation | None
    """None if there is no such path, or no such method for it."""
    path_params: Mapping[str, str]
    allowed: tuple[str, ...] = ()
    """The methods of the path; empty if there is no such path."""


class Api:
    """Answers requests to the operations of a sandbox. It may be used from any thread."""

    def __init__(self, state: State, access: Access, operations: Iterable[Operation]) -> None:
        self._state = state
        self._access = access
        by_path: dict[str, dict[str, Operation]] = {}
        # Fixed segments before parameters: OpenAPI wants /a/b matched before /a/{id}.
        for operation in sorted(operations, key=lambda one: _parameters(one.path)):
            by_path.setdefault(operation.path, {})[operation.method] = operation
        self._routes = [(compile_path(path)[0], methods) for path, methods in by_path.items()]

    def match(self, request: Request) -> Match:
        """Return which operation a request is for."""
        path = encoded(request.raw_path)
        for pattern, methods in self._routes:
            found = pattern.match(path)
            if found is not None:
                if "GET" in methods:  # HTTP wants HEAD wherever there is GET
                    methods = {"HEAD": methods["GET"], **methods}
                return Match(methods.get(request.method), found.groupdict(), tuple(sorted(methods)))
        return Match(None, {})

    def answer(self, request: Request, match: Match | None = None) -> Answer:
        """Answer a request; `match` saves a second look for its operation."""
        try:
            return self._answer(request, self.match(request) if match is None else match)
        except HTTPException as refusal:
            answer = error_answer(refusal.status_code, refusal.detail)
            for name, value in (refusal.headers or {}).items():
                answer = with_header(answer, name.lower(), value)
            return answer
        except NotFoundError as error:
            return error_answer(404, str(error))
        except ConflictError as error:
            return error_answer(400, str(error))

    def _answer(self, request: Request, match: Match) -> Answer:
        operation = match.operation
        if operation is None:
            if match.allowed:
                raise HTTPException(405, headers={"Allow": ", ".join(match.allowed)})
            raise HTTPException(404)
        path_params = {name: unquote(value) for name, value in match.path_params.items()}
        link = None
        if not operation.open:
            link = self._access.check(self._state, operation, path_params, request.headers)
        call = Call(
            link=link,
            path_params=path_params,
            query=QueryParams(request.query),
            content_type=request.headers.get("content-type", ""),
            body=request.body,
        )
        return operation.handler(self._state, call)


def _parameters(path: str) -> list[bool]:
    return ["{" in segment for segment in path.split("/")]
