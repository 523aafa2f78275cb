"""Which hosts are this machine: there keys may travel in clear, and no proxy is asked."""

from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Return whether a host of a URL is this machine, by its name or address alone."""
    if host in ("localhost", "127.0.0.1"):
        return True
    if not (":" in host or host[-1:].isdigit()):
        return False
    from ipaddress import ip_address  # here, as importing it takes its time

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


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
