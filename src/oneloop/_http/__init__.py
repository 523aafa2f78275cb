"""How requests reach the server."""

from typing import Any

from oneloop._settings import MAX_CONNECTIONS


def opened(
    base_url: str,
    transport: object,
    http_client: object,
    ssl_context: Any,
    max_connections: Any,
    *,
    is_async: bool,
) -> Any:
    """Return the transport of a client with these arguments, importing only what it needs."""
    if ssl_context is not None or max_connections is not MAX_CONNECTIONS:
        from oneloop._transports import checked_options

        checked_options(ssl_context, max_connections)
    by_httpx = isinstance(transport, str) and transport == "httpx" and http_client is None
    if not by_httpx and not (transport is None and http_client is None):
        from oneloop._transports import chosen_transport

        options = ssl_context, max_connections
        return chosen_transport(transport, http_client, *options, is_async=is_async)
    if is_async:
        from ._asyncio import AsyncioTransport

        return AsyncioTransport(base_url, ssl_context, max_connections, by_httpx)
    from ._blocking import BlockingTransport

    return BlockingTransport(base_url, ssl_context, max_connections, by_httpx)
