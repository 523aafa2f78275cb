"""A guard for Django: let a request through only if the API verifies the customer's key.

    guard = Guard()

    @guard.requiring(scopes={"invoices": "read"})
    def invoices(request: HttpRequest) -> HttpResponse:
        customer = verification(request).customer_id

docs/guards.md describes the settings and the responses.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import isawaitable
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction  # Django's own marks, which that of inspect misses
from django.http import HttpRequest, JsonResponse

from oneloop_api.models import VerifyApiKeyResponse as Verification
from oneloop_core import Secret

from ._client import AsyncOneloop, Oneloop
from ._guard import BaseGuard, Refusal, Scopes, verification_in

__all__ = ["Guard", "Verification", "verification"]

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


def verification(request: HttpRequest) -> Verification:
    """Return the verification of a request that a guard has let through.

    Raises:
        LookupError: No guard has let it through.
    """
    return verification_in(request.META)


class Guard(BaseGuard[HttpRequest]):
    """A decorator for views of Django, sync and async ones.

    For views that are classes, use `method_decorator(guard, name="dispatch")`. The settings are
    those of `oneloop.fastapi.Guard`, but there are two clients of yours: `client` for sync views,
    and `async_client` for async ones.
    """

    def __init__(
        self,
        *,
        scopes: Scopes = (),
        usage: int | Callable[[HttpRequest], int | Awaitable[int]] | None = None,
        usage_name: str | None = None,
        header: str | None = None,
        deadline: float = 2.0,
        usage_limited: int = 402,
        remember_refusals: float | None = None,
        client: Oneloop | None = None,
        async_client: AsyncOneloop | None = None,
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
            async_client=async_client,
        )

    def __call__(self, view: ViewT) -> ViewT:
        """Return a view that verifies the key first."""

        async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            result = await self._verified_async(
                request.META, self._key_of(request), _route(request), request
            )
            if isinstance(result, Refusal):
                return _response(result)
            response = view(request, *args, **kwargs)
            return await response if isawaitable(response) else response

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            result = self._verified(request.META, self._key_of(request), _route(request), request)
            if isinstance(result, Refusal):
                return _response(result)
            return view(request, *args, **kwargs)

        return cast("ViewT", wraps(view)(guarded_async if _is_async(view) else guarded))

    def _key_of(self, request: HttpRequest) -> Secret | Refusal:
        # Django's own server and those of WSGI join repeated headers with a comma.
        value = request.headers.get(self._header_name)
        return self._before([] if value is None else [value])

    def close(self) -> None:
        """Close the client for sync views that this guard has made."""
        client = self._forget(Oneloop)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close the client for async views that this guard has made."""
        client = self._forget(AsyncOneloop)
        if client is not None:
            await client.aclose()


def _is_async(view: Callable[..., Any]) -> bool:
    """Return whether a view is async: a function, or of a class with async handlers.

    The latter is what `as_view` returns, or the `dispatch` that `method_decorator` passes, perhaps
    already decorated. These are plain functions that return coroutines.
    """
    one: Any = view
    while one is not None:
        method = getattr(one, "func", one)  # that of functools.partial, which Django makes
        owner = getattr(one, "view_class", None) or getattr(method, "__self__", None)
        if getattr(owner, "view_is_async", False):
            return True
        one = getattr(one, "__wrapped__", None)
    return iscoroutinefunction(view)  # pyright: ignore[reportDeprecated] - inspect knows from 3.12 on


def _route(request: HttpRequest) -> str | None:
    match = request.resolver_match
    return None if match is None else f"/{match.route}"


def _response(refusal: Refusal) -> JsonResponse:
    return JsonResponse({"detail": refusal.detail}, status=refusal.status, headers=refusal.headers)
