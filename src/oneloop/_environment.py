"""Environment variables, base URLs, and loopback hosts.

A loopback host, that is this machine, may be called over plain http, and never through a proxy.
"""

import logging
import os
import re
from urllib.parse import urlsplit

from oneloop_core import Secret

from ._errors import ConfigurationError

KEY_VARIABLES = ("ONELOOP_SDK_KEY", "ONELOOP_KEY")
"""Environment variables for the API key; the first one that is set and not empty counts."""

BASE_URL_VARIABLE = "ONELOOP_BASE_URL"

LOG_VARIABLE = "ONELOOP_LOG"

_BASE_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[(?P<six>[0-9a-f:.]+)\]"
    r"|(?P<four>(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3})"
    # The last label of a name is not a number: resolvers disagree on which address that would be.
    r"|(?:\w(?:[\w-]*\w)?\.)*(?!(?:\d+|0x[0-9a-f]*)(?:[:/]|$))\w(?:[\w-]*\w)?)"
    r"(?::(?P<port>[1-9]\d{0,4}))?"
    r"(?P<path>(?:/(?:[\w.~!$&'()*+,;=:-]|%[0-9a-f]{2})*)*)",
    re.ASCII | re.IGNORECASE,
)


def key_from_environment() -> Secret | None:
    """Return the API key that the environment names, if any."""
    return next((Secret(os.environ[name]) for name in KEY_VARIABLES if os.environ.get(name)), None)


def base_url_from_environment() -> Secret | None:
    """Return the base URL that the environment names, if any."""
    return Secret(os.environ[BASE_URL_VARIABLE]) if os.environ.get(BASE_URL_VARIABLE) else None


def start_logging() -> None:
    """Log to the standard error if the environment says so and nothing handles the records yet.

    Raises:
        ConfigurationError: The environment names a level that does not exist.
    """
    given = os.environ.get(LOG_VARIABLE, "")
    if not given:
        return
    level = given.strip().upper()
    if level not in ("DEBUG", "INFO", "WARNING"):
        raise ConfigurationError(f"{LOG_VARIABLE} must be debug, info or warning, got {given!r}")
    logger = logging.getLogger("oneloop")
    logger.setLevel(level)
    if not is_logged():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)


def is_logged() -> bool:
    """Return whether the application, or `ONELOOP_LOG`, handles the records of `oneloop`."""
    loggers = logging.getLogger("oneloop"), logging.getLogger()
    handlers = (one for logger in loggers for one in logger.handlers)
    return not all(isinstance(one, logging.NullHandler) for one in handlers)


def split_base_url(url: str) -> tuple[str, str] | None:
    """Return the scheme, in lower case, and the host of a base URL; `None` if it is not valid.

    Only a host name, an IPv4 address, or an IPv6 address in brackets without a zone is accepted:
    whatever reads the URL later must not take another part of it for the host.
    """
    match = _BASE_URL.fullmatch(url)
    if match is None or int(match["port"] or 1) > 65_535:
        return None
    host = match["host"].lower()
    if match["six"] is None:
        return match["scheme"].lower(), host
    from ipaddress import IPv6Address  # on first use, as importing it is slow

    try:
        return match["scheme"].lower(), str(IPv6Address(match["six"]))
    except ValueError:
        return None


def authority(url: str) -> tuple[str, int]:
    """Return the host of a request's URL, as `split_base_url` spells it, and the port."""
    parts = urlsplit(url)
    _, host = split_base_url(f"{parts.scheme}://{parts.netloc}") or ("", parts.netloc)
    return host, parts.port or (443 if parts.scheme == "https" else 80)


def host_and_port(text: object) -> str | None:
    """Return a host, and its port if there is one, in one spelling; `None` if it is not a host.

    The brackets of an IPv6 address may be left out if no port follows.
    """
    if not isinstance(text, str) or "/" in text:
        return None
    url = f"https://[{text}]" if text.count(":") > 1 and text[0] != "[" else f"https://{text}"
    parts = split_base_url(url)
    if parts is None:
        return None
    host = f"[{parts[1]}]" if ":" in parts[1] else parts[1]
    port = urlsplit(url).port
    return host if port is None else f"{host}:{port}"


_HARMLESS = re.compile(r"https?://[][\w.:/-]*", re.ASCII | re.IGNORECASE)


def quoted_base_url(url: str) -> str:
    """Return a base URL as the end of an error message, or a note that it is not shown.

    It may be a key that was passed by mistake, or contain a password in any spelling. So it is
    shown only if, up to a query or fragment, it consists of characters that cannot delimit one.
    """
    start = re.split("[?#]", url, maxsplit=1)[0]
    if "@" in url or not _HARMLESS.fullmatch(start):
        return " (not shown, as it may contain a secret)"
    return f": {start!r}" if start == url else f": {start + url[len(start)] + '...'!r}"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its name or address alone."""
    if host in ("localhost", "127.0.0.1"):
        return True
    if not (":" in host or host[-1:].isdigit()):
        return False
    from ipaddress import ip_address  # on first use, as importing it is slow

    try:
        address = ip_address(host)
    except ValueError:
        return False
    # An IPv4 address written as IPv6: only some versions of Python look at the address within.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
