"""Which proxy the environment names for a base URL."""

import os
import re
import sys
from binascii import b2a_base64
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes, urlsplit

from oneloop._environment import is_loopback
from oneloop_core import Secret

from . import _faults

_SYSTEM_HAS_PROXIES = sys.platform in ("darwin", "win32")
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_SERVER = re.compile(r"(\[[0-9a-f:.]+(?:%[\w.~-]+)?\]|[\w.-]+)(?::([0-9]{0,5}))?", re.IGNORECASE)
_ENTRY = re.compile(
    r"(?:(?P<scheme>[a-z]+)://)?(?P<host>\[[^]]+\](?:/[0-9]+)?|[^:]+|[0-9a-f:.]+(?:/[0-9]+)?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
"""An entry of `NO_PROXY`. A single colon precedes a port; several are those of an IPv6 address."""


class Proxy(NamedTuple):
    """A proxy: `authorization` is the value of its header, `url` is for httpx."""

    scheme: str
    host: str
    port: int
    authorization: Secret | None
    url: Secret


def proxy_for(base_url: str) -> Proxy | None:
    """Return the proxy for a base URL: `HTTPS_PROXY` or `HTTP_PROXY`, else `ALL_PROXY`.

    There is none for loopback hosts and for those in `NO_PROXY`. As for curl, the lower-case
    spelling of a variable comes first. The settings of macOS and Windows come last.

    Raises:
        TransportError: The URL of the proxy is malformed, or its scheme is not supported. Neither
            the error nor the local variables of this frame show its user name and password.
    """
    parts = urlsplit(base_url)
    host = (parts.hostname or "").removesuffix(".")
    if is_loopback(host):
        return None
    source, url = _variable(parts.scheme) or _variable("all") or ("the system's settings", None)
    if url is None:
        url = _from_system(parts.scheme, parts.netloc) if _SYSTEM_HAS_PROXIES else None
    elif listed := _variable("no"):
        port = parts.port or _PORTS[parts.scheme]
        url = None if _is_listed(listed[1].reveal().lower(), parts.scheme, host, port) else url
    proxy = None if url is None else _parsed(url)
    if isinstance(proxy, str):
        raise _faults.unopened(f"unsupported or malformed proxy URL in {source}: {proxy}")
    return proxy


def _variable(kind: str) -> tuple[str, Secret] | None:
    """Return the name and the value of a variable such as `https_proxy`; `None` if it is empty."""
    lower = f"{kind}_proxy"
    name = lower if lower in [*os.environ] else lower.upper()
    if name == "HTTP_PROXY" and "REQUEST_METHOD" in os.environ:
        return None  # in a CGI program, it is the header "Proxy" of somebody's request
    value = os.environ.get(name, "").strip()
    return (name, Secret(value)) if value else None


def _from_system(scheme: str, netloc: str) -> Secret | None:
    from urllib import request  # on first use, as importing it is slow

    url = request.getproxies().get(scheme) or request.getproxies().get("all")
    return Secret(url) if url and not request.proxy_bypass(netloc) else None


def _parsed(url: Secret) -> Proxy | str:
    """Return the proxy with a URL, or else the end of an error message.

    The message is returned, not raised, as the local variables of this frame include the password.
    """
    plain: str = url.reveal() if "://" in url.reveal() else f"http://{url.reveal()}"
    scheme, _, rest = plain.partition("://")
    scheme = scheme.lower()
    is_scheme = re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme)
    # What precedes "://" may be part of a password, unless we know it as a scheme.
    shown = scheme in _PORTS or (is_scheme and "@" not in plain)
    problem = f"{scheme}://..." if shown else "(not shown, as it may contain a password)"
    authority, *path = re.split("[/?#]", rest, maxsplit=1)
    if "@" in "".join(path) or not is_scheme:
        return problem + '; "/", "?" and "#" in a user name or password must be percent-encoded'
    if scheme not in _PORTS:
        return problem + "; supported are http, https, socks5 and socks5h"
    login, _, server = authority.rpartition("@")
    match = _SERVER.fullmatch(server)
    port = int(match[2] or _PORTS[scheme]) if match else 0
    host = match[1].strip("[]").replace("%25", "%") if match else ""
    if not 0 < port < 65_536 or (":" in host and not _addresses(host)):
        return problem + "; expected http://user:password@host:port"
    name, _, password = login.encode("utf-8", "surrogateescape").partition(b":")
    name, password = unquote_to_bytes(name), unquote_to_bytes(password)
    authorization = Secret(f"Basic {b2a_base64(name + b':' + password, newline=False).decode()}")
    login = f"{quote(name, safe='')}:{quote(password, safe='')}@" if name or password else ""
    server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    # To httpx, socks5h is the same as socks5, which older versions know, too.
    normal = Secret(f"{scheme.removesuffix('h')}://{login}{server}")
    return Proxy(scheme, host, port, authorization if login else None, normal)


def _is_listed(entries: str, scheme: str, host: str, port: int) -> bool:
    """Return whether `NO_PROXY` lists a host, in any form that curl or httpx reads.

    A name, with or without a leading `.` or `*.`, stands for itself and for its subdomains.
    """
    addresses = _addresses(host)
    for entry in re.split(r"[\s,]+", entries):
        found = _ENTRY.fullmatch(entry.rstrip("/"))
        if found is None or found["scheme"] not in (None, "all", scheme):
            continue
        if int(found["port"] or port) != port:
            continue
        pattern = found["host"].removesuffix(".")
        name = pattern.removeprefix("*").removeprefix(".")
        is_parent = not addresses and f".{host}".endswith(f".{name}")
        if found["host"] == "*" or is_parent:
            return True
        with suppress(ValueError):
            plain = re.sub(r"[][]", "", pattern)
            if any(address in ip_network(plain, strict=False) for address in addresses):
                return True
    return False


def _addresses(host: str) -> list[Any]:
    """Return the IP address that a host is, with the IPv4 address within an IPv6 one, if any."""
    with suppress(ValueError):
        address = ip_address(host)
        return [address, *filter(None, [getattr(address, "ipv4_mapped", None)])]
    return []
