"""HTTP/1.1 over one connection, without I/O: bytes to write, bytes that were read, a response.

Both drivers feed a `Wire` with what they read and write what it returns. It parses with httptools,
encrypts with TLS over memory buffers, and asks a proxy for a tunnel.
"""

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import httptools

from oneloop.transport import Response, ResponseTooLarge, TransportError

if TYPE_CHECKING:
    from ssl import SSLContext

    from ._layer import Layer
    from ._route import Route

MAX_HEAD = 100 * 1024
"""Largest head of a response in bytes, interim (1xx) responses included. So many bytes may also
lie between two parts of a body, as the extension of a chunk, or follow it as trailers."""

_MARGIN = 0.8
"""The part of the `timeout` in a `Keep-Alive` header for which an idle connection is used: the next
request must arrive before the server closes the connection."""


class Wire:
    """The state of one connection. A wire that has raised an error must not be used again.

    Attributes:
        sent: Whether the current request may have begun to reach the server. `Connection.perform`
            sets it just before it writes the first byte.
        done: Whether the response to the current request is complete.
        reusable: Whether the connection may be used for another request afterwards.
        idle_limit: Seconds for which the server keeps the connection open; `None` if it has not
            said so.
    """

    def __init__(self) -> None:
        self.sent = self.done = self.reusable = False
        self.idle_limit: float | None = None
        self._tls: Layer | None = None
        self._body = bytearray()
        self.on_body = self._body.extend  # the parser calls it: no Python code runs for a body
        self._pairs: list[tuple[bytes, bytes]] = []
        self._begin("", 0)
        self._parser = httptools.HttpResponseParser(self)

    def _begin(self, method: str, limit: int) -> None:
        self.sent = self.done = self.reusable = False
        self._method, self._limit = method, limit
        self._status = self._count = self._silent = self._ends = 0
        self._size = -1  # until the head is complete
        self._coding, self._problem = b"", ""
        self._body.clear()
        self._pairs.clear()

    def start(self, request: bytes, method: str, limit: int) -> bytes:
        """Begin an exchange; return the bytes to write. `limit` is the largest body to accept."""
        self._begin(method, limit)
        return request if self._tls is None else self._tls.encrypted(request)

    def receive(self, data: bytes) -> bool:
        """Take bytes that were read, `b""` at their end; return whether the response is complete.

        Raises:
            TransportError: The response is not HTTP, exceeds a limit, or ends too early.
            ResponseTooLarge: The body is larger than the limit.
        """
        ended: bool | TransportError = not data
        if self._tls is not None:
            data, ended = self._tls.decrypted(data)
        while data:
            room = MAX_HEAD - self._silent
            self._parse(data[:room])
            data = data[room:]
        if ended or (self._tls is not None and not self._tls.is_whole):
            self.reusable = False
        if ended and not self.done:
            self._end(ended)
        return self.done

    def reply(self) -> bytes:
        """Return what TLS has to write in the middle of an exchange, such as our certificate."""
        return b"" if self._tls is None else self._tls.outgoing.read()

    def is_quiet_after(self, data: bytes) -> bool:
        """Return whether an idle connection on which this was read may still be used.

        TLS may send records of its own meanwhile, such as a new session ticket.
        """
        tls = self._tls
        return tls is not None and tls.decrypted(data) == (b"", False) and tls.is_whole

    def response(self) -> Response:
        """Return the complete response, and forget its body, which may be large."""
        headers = tuple(
            [
                (name.decode("latin-1"), value.rstrip(b" \t").decode("latin-1"))
                for name, value in self._pairs[: self._count]
            ]
        )
        del self._body[self._size :]  # what follows the response
        body = bytes(self._body)
        self._body.clear()
        return Response(self._status, headers, body)

    def opening(self, route: "Route", context: "SSLContext | None") -> Generator[bytes, bytes]:
        """Yield what to write for a tunnel and TLS, and take what is read, until both are open.

        Raises:
            TransportError: The proxy or TLS failed. Nothing of a request has been sent.
        """
        if route.tunnel is not None:
            self._begin("CONNECT", sys.maxsize)  # the size of its body does not matter
            data = yield route.tunnel.reveal()
            while not self._has_tunnel(data):
                data = yield b""
            self._parser = httptools.HttpResponseParser(self)  # the old one waits for a body
        if context is not None:
            from ._layer import Layer  # on first use, as importing ssl is slow

            layer = Layer(context, route.host)
            more = layer.handshake()
            while more:
                more = layer.handshake((yield layer.outgoing.read()))
            self._tls = layer  # the end of our part of the handshake goes out with the request

    def _has_tunnel(self, data: bytes) -> bool:
        problem = "the proxy refused"
        if not data:
            raise TransportError(problem, detail="it closed the connection", sent=False)
        self._parse(data)
        if self._status >= 300:
            may_pass = self._status >= 500 or self._status in (408, 429)
            detail = f"it answered {self._status}"
            raise TransportError(problem, detail=detail, sent=False, passing=may_pass)
        if self.done and (self._body or not self.reusable):
            raise TransportError(problem, detail="it sent more than its answer", sent=False)
        return self.done

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            # Our callbacks raise nothing, so this comes from outside, such as a signal handler.
            raise error.__context__ or error from None
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            if not self.done:  # what follows a response does not matter to it
                self._problem = self._problem or str(error)
        ends = len(data) - len(data.rstrip(b"\r\n"))
        self._ends = ends if ends < len(data) else ends + self._ends
        if self.done:
            if self._ends and self._is_padded():
                self.reusable = False
        elif self._status >= 200 and len(self._body) > self._size:
            self._size, self._silent = len(self._body), 0
        else:
            self._silent += len(data)
            if self._silent >= MAX_HEAD:
                self._problem = f"more than {MAX_HEAD} bytes of headers"
        if self._problem:
            problem = f"the {'proxy' if self._method == 'CONNECT' else 'server'} broke HTTP"
            raise TransportError(problem, detail=self._problem, sent=self.sent)
        if self._size > self._limit:
            response = self.response()
            raise ResponseTooLarge(response.status, response.headers)

    def _is_padded(self) -> bool:
        """Return whether line ends follow the response, which the parser skips."""
        own = 4  # at the end of the last chunk, or of the head
        if not self._coding:
            body = self._body[: self._size]
            text = len(body.rstrip(b"\r\n"))
            own = len(body) - text if text else len(body) + 4
        return self._ends > own

    def _end(self, failure: bool | TransportError) -> None:
        if isinstance(failure, TransportError):
            failure.sent = failure.sent and self.sent
            raise failure
        if self._status < 200 or self._announces_a_body():
            raise TransportError("the connection was lost while waiting", sent=self.sent)
        self.done = True

    def _announces_a_body(self) -> bool:
        return bool(self._coding) or any(
            name.lower() == b"content-length" and value.strip(b" \t0")
            for name, value in self._pairs[: self._count]
        )

    # What the parser calls, for the response and for interim (1xx) ones before it. It also calls
    # them for what follows the response, which must leave the response as it is.

    def on_message_begin(self) -> None:
        """Note that another response begins."""
        if self.done:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; those after the body, trailers, are not counted."""
        self._pairs.append((name, value))
        if len(name) == 17 and name.lower() == b"transfer-encoding" and not self._status:
            self._coding += value.strip(b" \t").lower()
            if self._coding != b"chunked" and self._method != "CONNECT":
                self._problem = "an unknown transfer coding"
        elif len(name) == 10 and name.lower() == b"keep-alive":
            self.idle_limit = _seconds(value)

    def on_headers_complete(self) -> None:
        """Note the status; the response to HEAD ends here, and that to CONNECT if it is awaited."""
        if self.done:
            return
        self._status, self._count = self._parser.get_status_code(), len(self._pairs)
        if self._status < 100:
            self._problem = "a status below 100"
        elif self._status >= 200 and self._method in ("HEAD", "CONNECT"):
            self.done, self.reusable, self._size = True, self._method == "CONNECT", 0

    def on_message_complete(self) -> None:
        """Note the end of the response, or forget an interim one."""
        if self.done:
            return
        if self._status >= 200:
            self.done, self._size = True, len(self._body)
            # The end of a chunked response of HTTP/1.0 is not to be trusted (RFC 9112, 6.1), and
            # a body may follow where headers announce one that the status does not allow.
            is_faulty = self._coding and self._parser.get_http_version() != "1.1"
            if self._status in (204, 304):
                is_faulty = self._announces_a_body()
            self.reusable = not is_faulty and self._parser.should_keep_alive()
        elif self._status == 101:
            self._problem = "a switch to another protocol"
        elif self._body or self._coding:
            self._problem = self._problem or "an interim response with a body"
        else:
            self._status = 0
            self._pairs.clear()


def _seconds(value: bytes) -> float | None:
    """Return for how long the server keeps an idle connection, of `timeout=5, max=100`."""
    for part in value.lower().replace(b";", b",").split(b","):
        name, _, number = part.partition(b"=")
        number = number.strip(b' \t"').partition(b".")[0]
        if name.strip() == b"timeout" and number.isdigit() and len(number) < 10:
            return int(number) * _MARGIN
    return None
