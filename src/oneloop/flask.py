"""A guard for Flask: let a request through only if the API verifies the customer's key.

    guard = Guard()

    @app.get("/invoices")
    @guard.requiring(scopes={"invoices": "read"})
    def invoices() -> ...:
        customer = verification().customer_id

docs/guards.md describes the settings and the responses.
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from flask import Request, Response, current_app, request
from werkzeug.exceptions import HTTPException, default_exceptions

from oneloop_api.models import VerifyApiKeyResponse as Verification

from ._client import Oneloop
from ._guard import BaseGuard, Refusal, Scopes, verification_in

__all__ = ["Guard", "Verification", "verification"]

P = ParamSpec("P")


def verification() -> Verification:
    """Return the verification of the current request.

    Raises:
        LookupError: No guard has let it through.
    """
    # In the environ and not in `g`, which requests share if the application context is older.
    return verification_in(request.environ)


def refused(refusal: Refusal) -> HTTPException:
    """Return an exception of Werkzeug whose response is that to a request that is refused."""
    headers, content = refusal.headers, json.dumps({"detail": refusal.detail})
    response = Response(content, refusal.status, headers, content_type="application/json")
    kind = default_exceptions.get(refusal.status, HTTPException)
    error = kind(refusal.detail, response=response)
    error.code = refusal.status  # not every status has a class
    return error


class Guard(BaseGuard[Request]):
    """A decorator for views of Flask, sync and async ones, below that of the route.

    The settings are those of `oneloop.fastapi.Guard`, with an `Oneloop` as `client`, and with plain
    functions as `usage`.
    """

    def __init__(
        self,
        *,
        scopes: Scopes = (),
        usage: int | Callable[[Request], int] | None = None,
        usage_name: str | None = None,
        header: str | None = None,
        deadline: float = 2.0,
        usage_limited: int = 402,
        remember_refusals: float | None = None,
        client: Oneloop | None = None,
    ) -> None:
        super().__init__(
            scopes=scopes,
            usage=usage,
            usage_name=usage_name,
            header=header,
            deadline=deadline,
            usage_limited=usage_limited,
            remember_refusals=remember_refusals,
            client=client,
        )

    def __call__(self, view: Callable[P, Any]) -> Callable[P, Any]:
        """Return a view that verifies the key first."""

        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            self.verify()
            return current_app.ensure_sync(view)(*args, **kwargs)

        return guarded

    def verify(self) -> Verification:
        """Verify the current request, for use in `before_request`-functions and views.

        Raises:
            HTTPException: It is not let through. Error handlers of the application get the class
                of the status, with the response that is sent without them as `error.response`.
        """
        rule = request.url_rule
        result = self._verified(
            request.environ,
            self._before(request.headers.getlist(self._header_name)),
            None if rule is None else rule.rule,
            request,
        )
        if isinstance(result, Refusal):
            raise refused(result)
        return result

    def close(self) -> None:
        """Close the client that this guard has made. The next request makes another one."""
        client = self._forget(Oneloop)
        if client is not None:
            client.close()
