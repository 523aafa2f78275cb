"""What a base URL may be, and which hosts are this machine.

To this machine keys may travel in clear, and no proxy is asked.
"""

import re
from urllib.parse import urlsplit

_BASE_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[(?P<six>[0-9a-f:.]+)\]"
    r"|(?P<four>(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3})"
    # A name's last label is no number: resolvers read such a name as an address, each in its way.
    r"|(?:\w(?:[\w-]*\w)?\.)*(?!(?:\d+|0x[0-9a-f]*)(?:[:/]|$))\w(?:[\w-]*\w)?)"
    r"(?::(?P<port>[1-9]\d{0,4}))?"
    r"(?P<path>(?:/(?:[\w.~!$&'()*+,;=:-]|%[0-9a-f]{2})*)*)",
    re.ASCII | re.IGNORECASE,
)


def split_base_url(url: str) -> tuple[str, str] | None:
    """Return the scheme, in lower case, and the host of a base URL; `None` if it is none.

    This is strict, so that nothing that reads the URL later can take another part of it for the
    host: the host is a name, an IPv4 address, or an IPv6 address in brackets without a zone.
    """
    match = _BASE_URL.fullmatch(url)
    if match is None or int(match["port"] or 1) > 65_535:
        return None
    host = match["host"].lower()
    if match["six"] is None:
        return match["scheme"].lower(), host
    from ipaddress import IPv6Address  # here, as importing it takes its time

    try:
        return match["scheme"].lower(), str(IPv6Address(match["six"]))
    except ValueError:
        return None


_SHOWN = re.compile(r"https?://[][\w.:/-]*", re.ASCII | re.IGNORECASE)


def shown_base_url(url: str) -> str:
    """Return how an error shows what was given as a base URL, after a space; nothing at all mostly.

    Somebody may have passed a key by mistake, or a URL with a password, in whatever spelling. Only
    what has none of the characters that could set one apart is shown, up to a query or fragment.
    """
    start = re.split("[?#]", url, maxsplit=1)[0]
    if "@" in url or not _SHOWN.fullmatch(start):
        return " (which is not shown here, as it may hold a secret)"
    return f": {start!r}" if start == url else f": {start + url[len(start)] + '...'!r}"


def is_loopback(host: str) -> bool:
    """Return whether a host of a URL is this machine, by its name or address alone."""
    if host in ("localhost", "127.0.0.1"):
        return True
    if not (":" in host or host[-1:].isdigit()):
        return False
    from ipaddress import ip_address  # here, as importing it takes its time

    try:
        address = ip_address(host)
    except ValueError:
        return False
    # IPv4 written as IPv6. Only some versions of Python look at what is within.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def environment_proxy(url: str) -> str | None:
    """Return the proxy that the environment (`HTTPS_PROXY`, `NO_PROXY` ...) names for a URL."""
    parts = urlsplit(url)
    if not parts.hostname or is_loopback(parts.hostname):
        return None
    from urllib import request  # here, as importing it takes its time

    if request.proxy_bypass(parts.netloc):
        return None
    found = request.getproxies()
    proxy = found.get(parts.scheme) or found.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"
