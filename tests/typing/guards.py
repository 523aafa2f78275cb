"""The types of the guards, as mypy and pyright see them. This file is checked and never run."""

from typing import Annotated, assert_type

from django.http import HttpRequest, HttpResponse
from fastapi import Depends, FastAPI
from flask import Flask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import oneloop.django
import oneloop.fastapi
import oneloop.flask
import oneloop.starlette
from oneloop.fastapi import Verification

for_fastapi = oneloop.fastapi.Guard(scopes={"a": "read"}, usage=1)
app = FastAPI(lifespan=for_fastapi.lifespan)
assert_type(for_fastapi.requiring(usage=2), oneloop.fastapi.Guard)


@app.get("/")
async def view(verified: Annotated[Verification, Depends(for_fastapi)]) -> str | None:
    """Use the verification."""
    return assert_type(verified.customer_id, str | None)


for_starlette = oneloop.starlette.Guard(scopes={"a": ["read", "delete"]})


@for_starlette
async def endpoint(request: Request) -> Response:
    """Use the verification."""
    verified = assert_type(oneloop.starlette.verification(request), Verification)
    return PlainTextResponse(verified.customer_id)


Route("/", endpoint)

for_flask = oneloop.flask.Guard(usage=lambda request: request.content_length or 0)
flask = Flask(__name__)


@flask.get("/")
@for_flask
def flask_view() -> str:
    """Use the verification."""
    return assert_type(oneloop.flask.verification(), Verification).customer_id or ""


for_django = oneloop.django.Guard(usage=lambda request: len(request.body))


@for_django
def django_view(request: HttpRequest, number: int) -> HttpResponse:
    """Use the verification."""
    verified = assert_type(oneloop.django.verification(request), Verification)
    return HttpResponse(verified.customer_id, status=number)


@for_django.requiring(scopes={})
async def async_view(request: HttpRequest) -> HttpResponse:
    """Keep the type of the view."""
    return assert_type(django_view(request, number=200), HttpResponse)
