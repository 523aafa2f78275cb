"""Protection against DNS rebinding: only host names of this machine are served."""

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
    "web page can reach it through its own name"
)


class OwnHosts:
    """ASGI middleware that refuses every request for another host than this machine.

    A web page may call the server of its own name. If that name is then pointed at 127.0.0.1 ("DNS
    rebinding"), the browser sends these calls to the sandbox, and only the name in the request
    shows it. A refused request is not logged, changes nothing and takes no fault.
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
    """Return whether every host that a request names is this machine.

    These are the one `Host` header, and the target if it is a whole URL or the address of a CONNECT
    request, as proxies receive them.
    """
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return False
    target: bytes = scope["raw_path"]
    if not target.startswith((b"/", b"*")):
        before, found, after = target.partition(b"://")
        hosts.append(after.partition(b"/")[0] if found else before)
    return all(_HERE.fullmatch(host) for host in hosts)
