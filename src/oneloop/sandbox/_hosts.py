"""Protection against DNS rebinding: only the names that the sandbox was told are served."""

import re
import time
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from oneloop.sandbox._answers import error_answer
from oneloop.sandbox._delivery import read_body, send_answer

_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_HERE = rf"localhost|127\.{_BYTE}\.{_BYTE}\.{_BYTE}|\[::1\]"
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]", re.IGNORECASE)

_WHY = (
    "Misdirected Request: the sandbox answers only to localhost, 127.0.0.0/8 and [::1]{others}, so "
    "that no web page can reach it through its own name; --allow-host NAME, or allowed_hosts in "
    "Python, allows others"
)


class OwnHosts:
    """ASGI middleware that refuses every request for another host than this machine.

    A web page may call the server of its own name. If that name is then pointed at 127.0.0.1 ("DNS
    rebinding"), the browser sends these calls to the sandbox, and only the name in the request
    shows it. A refused request is not logged, changes nothing and takes no fault.

    Args:
        app: what serves the other requests.
        allowed: further host names, or ``*`` for all.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str] = ()) -> None:
        self._app = app
        names = [name for name in allowed if not re.fullmatch(_HERE, name, re.IGNORECASE)]
        either = "|".join([_HERE, *(re.escape(name) for name in names)])
        pattern = ".*" if "*" in names else rf"(?:{either})(?::\d*)?"
        self._allowed = re.compile(pattern.encode(), re.IGNORECASE)
        self._why = _WHY.format(others="".join(f", {name}" for name in names))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 421."""
        if self._is_allowed(scope):
            await self._app(scope, receive, send)
        elif await read_body(receive, keep=0) is not None:
            await send_answer(send, error_answer(421, self._why), time.time())

    def _is_allowed(self, scope: Scope) -> bool:
        """Return whether every host that a request names is allowed.

        These are the one `Host` header, and the target if it is a whole URL or the address of a
        CONNECT request, as proxies receive them.
        """
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1:
            return False
        target: bytes = scope["raw_path"]
        if not target.startswith((b"/", b"*")):
            before, found, after = target.partition(b"://")
            hosts.append(after.partition(b"/")[0] if found else before)
        return all(self._allowed.fullmatch(host) for host in hosts)


def checked_hosts(names: Iterable[str]) -> tuple[str, ...]:
    """Return host names if all are valid.

    Raises:
        ValueError: one is neither a host name, nor an address, nor ``*``; the message names it.
        TypeError: `names` is a string.
    """
    found = tuple(names)
    if isinstance(names, str):
        raise TypeError(f"allowed_hosts must be a list of names, not the string {names!r}")
    for name in found:
        if name != "*" and not _NAME.fullmatch(name):
            raise ValueError(
                f"an allowed host must be a name such as sandbox, an address, or *, not {name!r}"
            )
    return found
