"""Sockets under httpcore that know when a call must end, and whether any of it was sent.

httpcore's own limits are for single reads and writes: a server that sends a byte every second keeps
each of them short and the call long. And none of its errors tells whether the request had begun.
"""

import socket
import ssl
from typing import Any

import httpcore

from ._attempt import current


class Network(httpcore.NetworkBackend):
    """Opens connections, address by address, each within what is left of the call's time."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        attempt = current.get()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from None
        failure: Exception | None = None
        for *_, address in found:
            limit = attempt.left(timeout, httpcore.ConnectTimeout)
            try:
                return _Stream(
                    _backend.connect_tcp(
                        str(address[0]), port, limit, local_address, socket_options
                    )
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class _Stream(httpcore.NetworkStream):
    """A connection whose every step ends with the call that it is for."""

    def __init__(self, inner: httpcore.NetworkStream, *, tls: bool = False) -> None:
        self._inner, self._tls = inner, tls

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, current.get().left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        attempt = current.get()
        limit = attempt.left(timeout, httpcore.WriteTimeout)
        if self._tls or not attempt.secure:
            buffer = attempt.gathered(buffer)
            attempt.wrote |= bool(buffer)
        if buffer:
            self._inner.write(buffer, limit)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        limit = current.get().left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, limit), tls=True)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class AsyncNetwork(httpcore.AsyncNetworkBackend):
    """The same, async. anyio tries all addresses within one limit."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        limit = current.get().left(timeout, httpcore.ConnectTimeout)
        return _AsyncStream(
            await _async_backend.connect_tcp(host, port, limit, local_address, socket_options)
        )


class _AsyncStream(httpcore.AsyncNetworkStream):
    """The same as `_Stream`, async."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, *, tls: bool = False) -> None:
        self._inner, self._tls = inner, tls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limit = current.get().left(timeout, httpcore.ReadTimeout)
        return await self._inner.read(max_bytes, limit)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        attempt = current.get()
        limit = attempt.left(timeout, httpcore.WriteTimeout)
        if self._tls or not attempt.secure:
            buffer = attempt.gathered(buffer)
            attempt.wrote |= bool(buffer)
        if buffer:
            await self._inner.write(buffer, limit)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        limit = current.get().left(timeout, httpcore.ConnectTimeout)
        secure = await self._inner.start_tls(ssl_context, server_hostname, limit)
        return _AsyncStream(secure, tls=True)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


_backend = httpcore.SyncBackend()
_async_backend: Any = httpcore.AnyIOBackend()  # without anyio it would be a stub, so it is untyped
