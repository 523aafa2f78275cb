"""An API with Django whose customers need a key. Each request for an invoice costs one credit.

It needs `pip install 'oneloop[django]'` with gunicorn or uvicorn, and ONELOOP_SDK_KEY in the
environment:

    gunicorn --chdir examples django_app:wsgi
    uvicorn --app-dir examples django_app:asgi
"""

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from oneloop.django import Guard, verification

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)
guard = Guard()


@guard
async def me(request: HttpRequest) -> JsonResponse:
    """Return the customer that the key belongs to."""
    return JsonResponse({"customer": verification(request).customer_id})


@guard.requiring(scopes={"invoices": "read"}, usage=1)
def invoice(request: HttpRequest, number: int) -> JsonResponse:
    """Return an invoice."""
    return JsonResponse({"number": number, "path": request.path})


urlpatterns = [path("me", me), path("invoices/<int:number>", invoice)]
wsgi, asgi = get_wsgi_application(), get_asgi_application()
