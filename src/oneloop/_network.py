"""Sockets under httpcore that end with the call, and record whether the request began to be sent.

httpcore's own limits apply to single reads and writes, so that a server that sends a byte every
second can make a call last for ever. And its errors do not say whether sending had begun.
"""

import socket
import ssl
from typing import Any

import httpcore

from ._attempt import current

PIECE = 16 * 1024
"""The largest number of bytes sent in one step: one TLS record. httpcore would restart its time
limit for each part of a large body that a slow server accepts."""


class Network(httpcore.NetworkBackend):
    """Opens connections, address by address, each within what is left of the call's time.

    `layers` is the number of TLS handshakes before an https request: 2 through an https:// proxy,
    otherwise 1.
    """

    def __init__(self, layers: int) -> None:
        self._layers = layers

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
                    ),
                    self._layers,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                from ._signals import let_through  # on first use, as most connections open

                let_through(error)
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class _Stream(httpcore.NetworkStream):
    """A connection on which no step lasts longer than the current call.

    For https, whatever is sent before the last TLS handshake is addressed to a proxy.
    """

    def __init__(self, inner: httpcore.NetworkStream, layers: int) -> None:
        self._inner, self._layers = inner, layers

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, current.get().left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        attempt = current.get()
        limit = attempt.left(timeout, httpcore.WriteTimeout)
        if not (self._layers and attempt.secure):
            buffer = attempt.gathered(buffer)
            attempt.wrote |= bool(buffer)
        for start in range(0, len(buffer), PIECE):
            if start:
                limit = attempt.left(timeout, httpcore.WriteTimeout)
            self._inner.write(buffer[start : start + PIECE], limit)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        limit = current.get().left(timeout, httpcore.ConnectTimeout)
        secure = self._inner.start_tls(ssl_context, server_hostname, limit)
        return _Stream(secure, self._layers - 1)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class AsyncNetwork(httpcore.AsyncNetworkBackend):
    """The async twin of `Network`. anyio tries all addresses within one time limit."""

    def __init__(self, layers: int) -> None:
        self._layers = layers

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
            await _async_backend.connect_tcp(host, port, limit, local_address, socket_options),
            self._layers,
        )


class _AsyncStream(httpcore.AsyncNetworkStream):
    """The async twin of `_Stream`. A write has one time limit, however large it is."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, layers: int) -> None:
        self._inner, self._layers = inner, layers

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limit = current.get().left(timeout, httpcore.ReadTimeout)
        return await self._inner.read(max_bytes, limit)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        attempt = current.get()
        limit = attempt.left(timeout, httpcore.WriteTimeout)
        if not (self._layers and attempt.secure):
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
        try:
            secure = await self._inner.start_tls(ssl_context, server_hostname, limit)
        except BaseException:  # httpcore closes it after an error, but not after a cancellation
            await self._inner.aclose()
            raise
        return _AsyncStream(secure, self._layers - 1)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


_backend = httpcore.SyncBackend()
_async_backend: Any = httpcore.AnyIOBackend()  # Any: without anyio it is a stub of another type
