"""An HTTP server that keeps the last request and gives an answer that was made before."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import define

from .wire import Received


@define
class Book:
    """What the server is about: the next answer, and the last request."""

    status: int = 204
    media: str = ""
    body: bytes = b""
    received: Received | None = None
    url: str = ""


@contextmanager
def serving() -> Iterator[Book]:
    """Run a server on this machine."""
    book = Book()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            """Answer any request."""
            length = int(self.headers.get("Content-Length", 0))
            headers = [(name, value) for name, value in self.headers.items()]
            book.received = Received(self.command, self.path, headers, self.rfile.read(length))
            self.send_response(book.status)
            if book.media:
                self.send_header("Content-Type", book.media)
            if book.status != 204:
                self.send_header("Content-Length", str(len(book.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(book.body)

        do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names
        do_OPTIONS = do_HEAD = do_PATCH = do_TRACE = answer  # noqa: N815 - the same

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    book.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield book
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
