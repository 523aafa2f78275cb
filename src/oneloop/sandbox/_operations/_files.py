"""What the sandbox shows to browsers and tools: its page, and the descriptions of its APIs."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, cast

from oneloop.sandbox._answers import Answer, json_answer, with_header
from oneloop.sandbox._calls import Call, Handler
from oneloop.sandbox._state import State

_ONLY_OURS = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
"""Nothing from elsewhere is loaded, and no text from a request can become a script."""


def _file(name: str, media_type: str) -> Handler:
    def serve(_: State, __: Call) -> Answer:
        body = files("oneloop.sandbox").joinpath("page", name).read_bytes()
        headers = (
            ("content-type", f"{media_type}; charset=utf-8"),
            ("content-security-policy", _ONLY_OURS),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        )
        return Answer(200, headers, body)

    return serve


def document() -> Any:
    """Return the API's document, as patched."""
    return json.loads(files("oneloop_api").joinpath("document.json").read_text("utf-8"))


index = _file("index.html", "text/html")
style = _file("page.css", "text/css")
script = _file("page.js", "text/javascript")
stream_script = _file("stream.js", "text/javascript")
texts_script = _file("texts.js", "text/javascript")


def api_description(_: State, __: Call) -> Answer:
    """Return the API's document as patched, with this sandbox as its only server.

    A tool that sends what is in the document must not reach the real API.
    """
    found = document()
    for item in found["paths"].values():
        for part in (item, *item.values()):
            if isinstance(part, dict):
                cast(dict[str, object], part).pop("servers", None)
    return _description({**found, "servers": [{"url": "/"}]})


def controls_description(_: State, __: Call) -> Answer:
    """Return the OpenAPI document of the controls."""
    return _description(controls_document())


@cache
def controls_document() -> Any:
    """Return the OpenAPI document of the controls. Do not change it."""
    return json.loads(files("oneloop.sandbox").joinpath("controls.json").read_text("utf-8"))


def _description(document: object) -> Answer:
    return with_header(json_answer(200, document), "cache-control", "no-cache")
