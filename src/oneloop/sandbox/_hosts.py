"""Which names the sandbox answers to: those of this machine only."""

import re
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from oneloop.sandbox._answers import error_answer
from oneloop.sandbox._delivery import read_body, send_answer

_BYTE = rb"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_HERE = re.compile(
    rb"(?:localhost|127\.%b\.%b\.%b|\[::1\])(?::\d*)?" % (_BYTE, _BYTE, _BYTE), re.IGNORECASE
)

_WHY = (
    "Misdirected Request: the sandbox answers only to localhost, 127.0.0.0/8 and [::1], so that no "
    "web page can reach it under a name of its own"
)


class OwnHosts:
    """ASGI middleware that refuses every request for another host than this machine.

    A web page may call the server that its own name leads to. Once its name leads to 127.0.0.1
    ("DNS rebinding"), the browser takes the sandbox for that server; only the name in the request
    still tells. A refused request is not logged, changes nothing and takes no fault.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 421."""
        if _is_for_this_machine(scope):
            await self._app(scope, receive, send)
        elif await read_body(receive, keep=0) is not None:
            await send_answer(send, error_answer(421, _WHY), time.time())


def _is_for_this_machine(scope: Scope) -> bool:
    """Return whether all that names the host of a request names this machine.

    That is one `Host` header, and the target if that is a whole URL, as proxies get it, or the
    address that a proxy shall connect to.
    """
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return False
    target: bytes = scope["raw_path"]
    if not target.startswith((b"/", b"*")):
        before, found, after = target.partition(b"://")
        hosts.append(after.partition(b"/")[0] if found else before)
    return all(_HERE.fullmatch(host) for host in hosts)
