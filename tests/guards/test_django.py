"""What only the guard of Django has: views that are classes."""

import asyncio
import json
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from oneloop import Oneloop
from oneloop.django import Guard, verification
from oneloop.sandbox import Sandbox
from tests.guards.applications import issue


@pytest.fixture
def headers(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the header with a valid key, with an environment that points guards at the sandbox."""
    monkeypatch.setenv("ONELOOP_SDK_KEY", sandbox.api_key)
    monkeypatch.setenv("ONELOOP_BASE_URL", sandbox.url)
    return {"Authorization": f"Bearer {issue(sandbox)}"}


def plainly(view: Any) -> Any:
    """Decorate a view without looking at it."""
    return wraps(view)(lambda *args, **kwargs: view(*args, **kwargs))


def both(guard: Guard) -> Any:
    """Return a decorator of classes with the guard outside of another decorator."""
    return method_decorator([guard, plainly], name="dispatch")


def urls(guard: Guard) -> Any:
    """Return a module of URLs with classes that are guarded in both ways."""

    class Plain(View):
        def get(self, request: HttpRequest) -> HttpResponse:
            return JsonResponse({"customer": verification(request).customer_id})

    class Async(View):
        async def get(self, request: HttpRequest) -> HttpResponse:
            return JsonResponse({"customer": verification(request).customer_id})

    class Urls:
        urlpatterns = (
            path("sync/function", guard(Plain.as_view())),
            path("sync/method", method_decorator(guard, name="dispatch")(Plain).as_view()),
            path("sync/both", both(guard)(Plain).as_view()),
            path("async/both", both(guard)(Async).as_view()),
            path("async/function", guard(Async.as_view())),
            path("async/method", method_decorator(guard, name="dispatch")(Async).as_view()),
        )

    return Urls


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("how", ["function", "method", "both"])
def test_classes_can_be_guarded(headers: Any, server: str, kind: str, how: str) -> None:
    """Their view or their `dispatch`, of both kinds, under both interfaces of servers."""
    guard = Guard()
    where = f"/{kind}/{how}"

    async def both() -> Any:
        client = AsyncClient()
        answers = [await client.get(where, headers=headers), await client.get(where)]
        await guard.aclose()
        return answers

    with override_settings(ROOT_URLCONF=urls(guard)):
        if server == "asgi":
            allowed, refused = asyncio.run(both())
        else:
            allowed, refused = Client().get(where, headers=headers), Client().get(where)
    assert (allowed.status_code, refused.status_code) == (200, 401)
    assert json.loads(allowed.content) == {"customer": "acme"}
    guard.close()


def test_a_request_that_no_guard_has_seen_has_no_verification() -> None:
    """An error that says so, not None."""
    with pytest.raises(LookupError, match="no guard"):
        verification(RequestFactory().get("/"))


def test_a_request_of_a_test_has_no_route(headers: Any) -> None:
    """A view that is called directly is guarded as well."""
    guard = Guard()
    view = guard(lambda request: HttpResponse(verification(request).customer_id))
    factory = RequestFactory(headers=headers)
    assert view(factory.get("/")).content == b"acme"
    guard.close()


def test_a_view_that_is_marked_as_async_is_awaited(headers: Any) -> None:
    """Such as a decorated one: Python 3.11 itself does not know these marks."""

    def marked(request: HttpRequest) -> Any:
        async def answer() -> HttpResponse:
            return HttpResponse("ok")

        return answer()

    guard = Guard()
    view = guard(markcoroutinefunction(marked))
    request = RequestFactory().get("/", headers=headers)

    async def main() -> HttpResponse:
        response: HttpResponse = await view(request)
        await guard.aclose()
        return response

    assert iscoroutinefunction(view)
    assert asyncio.run(main()).content == b"ok"
    assert Oneloop not in guard._made  # a blocking client would stop the event loop
