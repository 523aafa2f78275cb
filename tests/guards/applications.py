"""The same guarded application for each framework, called through the framework's test client."""

import asyncio
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import django
from attrs import frozen
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client
from django.test.utils import override_settings
from django.urls import path
from fastapi import APIRouter, Depends, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

import oneloop.django
import oneloop.fastapi
import oneloop.flask
import oneloop.starlette
from oneloop import Oneloop
from oneloop.sandbox import Sandbox

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would rather have the successor of httpx
    from starlette.testclient import TestClient, WebSocketDenialResponse

__all__ = ["TestClient", "WebSocketDenialResponse"]

FRAMEWORKS = ("fastapi", "starlette", "flask", "django", "django-async")

settings.configure(ALLOWED_HOSTS=["*"], USE_TZ=True)
django.setup()


@frozen
class Answer:
    """A response, its headers with names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Any


Get = Callable[..., Answer]
"""Takes a path and headers."""


def issue(sandbox: Sandbox) -> str:
    """Return a key of the customer acme that may read invoices, with a meter of its own."""
    sandbox.create_meter(workspace_id="ws_1", external_meter_id="m", total_credits=1000)
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.create_workspace_scopes(
            workspace_id="ws_1", name="Invoices", representation="invoices"
        )
        scopes = oneloop.models.ApiKeyScope(
            representation="invoices", create=False, read=True, update=False, delete=False
        )
        return client.create_api_key(
            workspace_id="ws_1",
            name="first",
            customer_id="acme",
            external_meter_id="m",
            scopes=[scopes],
            enabled=True,
        ).api_key.key


@contextmanager
def calling(framework: str, usage: Any = 5, **options: Any) -> Iterator[Get]:
    """Return a way to call an application whose guards have these options."""
    kind = {"django-async": "django"}.get(framework, framework)
    guard = getattr(oneloop, kind).Guard(**options)
    reading = guard.requiring(scopes={"invoices": "read"}, usage=usage, usage_name="invoice")
    deleting = guard.requiring(scopes={"invoices": ("read", "delete")})
    with _APPLICATIONS[framework](guard, reading, deleting) as get:
        yield get


@contextmanager
def _fastapi(guard: Any, reading: Any, deleting: Any) -> Iterator[Get]:
    app, router = FastAPI(lifespan=guard.lifespan), APIRouter(dependencies=[Depends(reading)])

    @app.get("/plain")
    async def plain(verified: Annotated[Any, Depends(guard)]) -> Any:
        return {"customer": verified.customer_id}

    @router.get("/invoices/{number}")
    async def invoice(number: int, verified: Annotated[Any, Depends(reading)]) -> Any:
        return {"number": number, "customer": verified.customer_id}

    @app.get("/deleting", dependencies=[Depends(deleting)])
    def delete() -> None: ...

    app.include_router(router, prefix="/v1")
    with TestClient(app, raise_server_exceptions=False) as client:
        yield lambda where, headers=(): _answer(client.get(where, headers=_raw(headers)))


@contextmanager
def _starlette(guard: Any, reading: Any, deleting: Any) -> Iterator[Get]:
    @guard
    def plain(request: Request) -> Any:
        return JSONResponse({"customer": oneloop.starlette.verification(request).customer_id})

    @reading
    @reading
    async def invoice(request: Request) -> Any:
        customer = oneloop.starlette.verification(request).customer_id
        return JSONResponse({"number": request.path_params["number"], "customer": customer})

    @deleting
    async def delete(request: Request) -> None: ...

    routes = [
        Route("/plain", plain),
        Mount("/v1", routes=[Route("/invoices/{number:int}", invoice)]),
        Route("/deleting", delete),
    ]
    app = Starlette(routes=routes, lifespan=guard.lifespan)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield lambda where, headers=(): _answer(client.get(where, headers=_raw(headers)))


def _raw(headers: Any) -> list[tuple[bytes, bytes]]:
    """Encode headers as they are on the wire; the test client would take another encoding."""
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(name.encode(), value.encode("latin-1")) for name, value in pairs]


def _answer(response: Any) -> Answer:
    is_json = response.headers.get("content-type") == "application/json"
    body = response.json() if is_json else response.text
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, body)


@contextmanager
def _flask(guard: Any, reading: Any, deleting: Any) -> Iterator[Get]:
    app = Flask(__name__)

    @app.get("/plain")
    @guard
    def plain() -> Any:
        return {"customer": oneloop.flask.verification().customer_id}

    @app.get("/v1/invoices/<int:number>")
    @reading
    @reading
    def invoice(number: int) -> Any:
        return {"number": number, "customer": oneloop.flask.verification().customer_id}

    @app.get("/deleting")
    @deleting
    def delete() -> None: ...

    def get(where: str, headers: Any = ()) -> Answer:
        response = app.test_client().get(where, headers=headers)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, response.get_json(silent=True))

    yield get
    guard.close()


@contextmanager
def _django(guard: Any, reading: Any, deleting: Any) -> Iterator[Get]:
    @guard
    def plain(request: HttpRequest) -> Any:
        return JsonResponse({"customer": oneloop.django.verification(request).customer_id})

    @reading
    @reading
    def invoice(request: HttpRequest, number: int) -> Any:
        customer = oneloop.django.verification(request).customer_id
        return JsonResponse({"number": number, "customer": customer})

    @deleting
    def delete(request: HttpRequest) -> None: ...

    with _urls(plain, invoice, delete):
        client = Client(raise_request_exception=False)
        yield lambda where, headers=(): _django_answer(client.get(where, headers=_joined(headers)))
    guard.close()


@contextmanager
def _django_async(guard: Any, reading: Any, deleting: Any) -> Iterator[Get]:
    @guard
    async def plain(request: HttpRequest) -> Any:
        return JsonResponse({"customer": oneloop.django.verification(request).customer_id})

    @reading
    @reading
    async def invoice(request: HttpRequest, number: int) -> Any:
        customer = oneloop.django.verification(request).customer_id
        return JsonResponse({"number": number, "customer": customer})

    @deleting
    async def delete(request: HttpRequest) -> None: ...

    with _urls(plain, invoice, delete), asyncio.Runner() as runner:
        client = AsyncClient(raise_request_exception=False)

        async def get(where: str, headers: Any) -> Any:
            return await client.get(where, headers=_joined(headers))

        yield lambda where, headers=(): _django_answer(runner.run(get(where, headers)))
        runner.run(guard.aclose())


@contextmanager
def _urls(plain: Any, invoice: Any, delete: Any) -> Iterator[None]:
    class Urls:
        urlpatterns = (
            path("plain", plain),
            path("v1/invoices/<int:number>", invoice),
            path("deleting", delete),
        )

    with override_settings(ROOT_URLCONF=Urls):
        yield


def _joined(headers: Any) -> dict[str, str]:
    """Join repeated headers as the servers of Django do."""
    joined: dict[str, str] = {}
    for name, value in dict(headers).items() if isinstance(headers, dict) else headers:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _django_answer(response: Any) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    is_json = headers.get("content-type") == "application/json"
    return Answer(response.status_code, headers, json.loads(response.content) if is_json else None)


_APPLICATIONS = {
    "fastapi": _fastapi,
    "starlette": _starlette,
    "flask": _flask,
    "django": _django,
    "django-async": _django_async,
}
