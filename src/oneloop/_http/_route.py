"""Where the requests of a client go: the address to connect to, and the heads of requests there."""

from urllib.parse import urlsplit

from oneloop.transport import Request
from oneloop_core import Secret


class Route:
    """The server that a client calls, and the way to it, as the environment has it when it is made.

    Attributes:
        host: The server's name or address.
        address: Host and port to connect to: the server's, or the proxy's.
        is_secure: Whether requests are sent inside TLS.
        tunnel: The request that asks the proxy for a tunnel, or `None`.
        needs_httpx: Whether httpx sends the requests, as we do not speak the proxy's protocol.
    """

    def __init__(self, base_url: str) -> None:
        from ._proxies import proxy_for

        parts = urlsplit(base_url)
        self.is_secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        port = parts.port or (443 if self.is_secure else 80)
        self.address = self.host, port
        self.tunnel: Secret | None = None
        self._skipped = len(base_url) - len(parts.path)
        self._lines = f"Host: {parts.netloc}\r\n"
        self._last: tuple[tuple[tuple[str, str], ...], str] = (), ""
        proxy = proxy_for(base_url)
        self.needs_httpx = proxy is not None and proxy.scheme != "http"
        if proxy is None or self.needs_httpx:
            return
        self.address = proxy.host, proxy.port
        credentials = ""
        if proxy.authorization is not None:
            credentials = f"Proxy-Authorization: {proxy.authorization.reveal()}\r\n"
        if self.is_secure:
            where = f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"
            text = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{credentials}\r\n"
            self.tunnel = Secret(text.encode("ascii"))
        else:
            self._skipped = 0  # a proxy gets the whole URL
            self._lines += credentials

    def message(self, request: Request) -> bytes:
        """Return a request as bytes."""
        body = request.body or b""
        length = ""
        if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
            length = f"Content-Length: {len(body)}\r\n"
        first = f"{request.method} {request.url[self._skipped :]} HTTP/1.1\r\n"
        headers = self._headers(request.headers)
        return f"{first}{self._lines}{headers}{length}\r\n".encode("ascii") + body

    def _headers(self, headers: tuple[tuple[str, str], ...]) -> str:
        """Return headers as lines, prepared once where they are those of the last call."""
        last, lines = self._last
        if headers is not last:
            lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
            self._last = headers, lines
        return lines
