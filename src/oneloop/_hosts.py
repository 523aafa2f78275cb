"""Which hosts are this machine: there keys may travel in clear, and no proxy is asked."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return whether a host of a URL is this machine, by its name or address alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
