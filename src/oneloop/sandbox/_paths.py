"""Paths whose segments stay what they are, whatever is in them."""

from urllib.parse import quote, unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send


class EncodedPaths:
    """ASGI middleware that has paths routed percent-encoded, in one spelling each.

    Decoded, as servers hand them over, an id such as ``a/rotate`` could not be told from two
    segments, and a call for one thing could reach another.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its path encoded."""
        await self._app({**scope, "path": encoded(scope["raw_path"])}, receive, send)


def encoded(raw_path: bytes) -> str:
    """Return a path as sent with each segment encoded as little as possible."""
    return "/".join(quote(unquote_to_bytes(part), safe="") for part in raw_path.split(b"/"))
