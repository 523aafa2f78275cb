"""Applications with three routes: without a verification, with a bare one, and with a guard.

`/cpu` returns the seconds of CPU that the process has used.
"""

from time import process_time
from typing import Annotated, Any

from oneloop import AsyncOneloop, Oneloop

KEY = "key_benchmark"


def fastapi_app() -> Any:
    """Return the application for FastAPI."""
    from fastapi import Depends, FastAPI

    from oneloop.fastapi import Guard, Verification

    app, guard, client = FastAPI(), Guard(), AsyncOneloop()

    @app.get("/none")
    async def none() -> dict[str, str | None]:
        return {"customer": "acme"}

    @app.get("/bare")
    async def bare() -> dict[str, str | None]:
        result = await client.verify_api_key(key=KEY, requested_scopes=[])
        return {"customer": result.customer_id}

    @app.get("/guard")
    async def guarded(verified: Annotated[Verification, Depends(guard)]) -> dict[str, str | None]:
        return {"customer": verified.customer_id}

    @app.get("/cpu")
    async def cpu() -> float:
        return process_time()

    return app


def flask_app() -> Any:
    """Return the application for Flask."""
    from flask import Flask

    from oneloop.flask import Guard, verification

    app, guard, client = Flask(__name__), Guard(), Oneloop()

    @app.get("/none")
    def none() -> dict[str, str | None]:
        return {"customer": "acme"}

    @app.get("/bare")
    def bare() -> dict[str, str | None]:
        result = client.verify_api_key(key=KEY, requested_scopes=[])
        return {"customer": result.customer_id}

    @app.get("/guard")
    @guard
    def guarded() -> dict[str, str | None]:
        return {"customer": verification().customer_id}

    @app.get("/cpu")
    def cpu() -> str:
        return str(process_time())

    return app


def _django_urls(is_async: bool) -> Any:
    from django.conf import settings
    from django.http import HttpRequest, HttpResponse, JsonResponse
    from django.urls import path

    from oneloop.django import Guard, verification

    guard = Guard()

    def none(_: HttpRequest) -> HttpResponse:
        return JsonResponse({"customer": "acme"})

    async def none_async(request: HttpRequest) -> HttpResponse:
        return none(request)

    client, async_client = Oneloop(), AsyncOneloop()

    def bare(_: HttpRequest) -> HttpResponse:
        result = client.verify_api_key(key=KEY, requested_scopes=[])
        return JsonResponse({"customer": result.customer_id})

    async def bare_async(_: HttpRequest) -> HttpResponse:
        result = await async_client.verify_api_key(key=KEY, requested_scopes=[])
        return JsonResponse({"customer": result.customer_id})

    @guard
    def guarded(request: HttpRequest) -> HttpResponse:
        return JsonResponse({"customer": verification(request).customer_id})

    @guard
    async def guarded_async(request: HttpRequest) -> HttpResponse:
        return JsonResponse({"customer": verification(request).customer_id})

    def cpu(_: HttpRequest) -> HttpResponse:
        return HttpResponse(str(process_time()))

    class Urls:
        urlpatterns = (
            path("none", none_async if is_async else none),
            path("bare", bare_async if is_async else bare),
            path("guard", guarded_async if is_async else guarded),
            path("cpu", cpu),
        )

    lengths = "django.middleware.common.CommonMiddleware"  # without it, answers are chunked
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=Urls, MIDDLEWARE=[lengths])


def django_wsgi() -> Any:
    """Return the application for Django with sync views."""
    from django.core.wsgi import get_wsgi_application

    _django_urls(is_async=False)
    return get_wsgi_application()


def django_asgi() -> Any:
    """Return the application for Django with async views."""
    from django.core.asgi import get_asgi_application

    _django_urls(is_async=True)
    return get_asgi_application()
