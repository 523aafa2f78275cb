"""The arguments that all generated clients have, as types; `Oneloop` describes them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from oneloop_core import hide
from oneloop_core.methods import LazyModule

from ._retry import RetryPolicy, Timeout
from .transport import AsyncTransport, Transport

if TYPE_CHECKING:
    import ssl

    from . import hooks as _hooks
    from ._http import _httpx
else:
    ssl, _httpx = LazyModule("ssl"), LazyModule("oneloop._http._httpx")
    _hooks = LazyModule("oneloop.hooks")

__all__ = ["AsyncOptions", "CallOptions", "Options", "hide_options"]


class CallOptions(TypedDict, total=False):
    """Arguments of `with_options`; `Oneloop.with_options` describes them."""

    timeout: float | Timeout | None
    retry: RetryPolicy
    headers: Mapping[str, str | None]
    max_response_bytes: int
    hooks: "_hooks.Hooks | Sequence[_hooks.Hooks] | None"
    extra_body: Mapping[str, Any] | None
    extra_query: Mapping[str, Any] | None
    extra_headers: Mapping[str, str | None] | None


class _CommonOptions(TypedDict, total=False):
    timeout: float | Timeout | None
    retry: RetryPolicy
    headers: Mapping[str, str]
    max_response_bytes: int
    hooks: "_hooks.Hooks | Sequence[_hooks.Hooks] | None"
    base_url: str | None
    allow_http: bool
    ssl_context: "ssl.SSLContext | None"
    max_connections: int


class Options(_CommonOptions, total=False):
    """Arguments of a blocking client; `Oneloop` describes them."""

    http_client: "_httpx.Client | None"
    transport: Transport | Literal["httpx"] | None


class AsyncOptions(_CommonOptions, total=False):
    """Arguments of an async client; `AsyncOneloop` describes them."""

    http_client: "_httpx.AsyncClient | None"
    transport: AsyncTransport | Literal["httpx"] | None


def hide_options(options: Any) -> None:
    """Wrap what may contain secrets in a dict of arguments, because error trackers show frames."""
    for name in ("base_url", "headers", "extra_body", "extra_query", "extra_headers"):
        if name in options:
            options[name] = hide(options[name])
