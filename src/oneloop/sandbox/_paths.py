"""Paths in one percent-encoded spelling, so that no id can reach another route."""

from urllib.parse import quote, unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send


class EncodedPaths:
    """ASGI middleware that routes paths percent-encoded, in one spelling each.

    Servers decode paths. An id such as ``a/rotate`` would then look like two segments, and a call
    for one thing could reach another.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its path encoded."""
        await self._app({**scope, "path": encoded(scope["raw_path"])}, receive, send)


def encoded(raw_path: bytes) -> str:
    """Return a raw path with only the characters encoded that need it."""
    return "/".join(quote(unquote_to_bytes(part), safe="") for part in raw_path.split(b"/"))
