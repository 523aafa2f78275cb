"""The settings of a client: what its arguments may be, and the constant headers of its requests.

A base URL or a header may contain a password, or a key that was passed by mistake. So they arrive
wrapped, and are checked without raising an error, for the reason given in `_credentials`.
"""

import re
import sys
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from oneloop_core import Definition, Secret, Unset

from . import __version__
from ._environment import is_loopback, quoted_base_url, split_base_url
from ._errors import ConfigurationError
from ._retry import RetryPolicy, Timeout

MAX_RESPONSE_BYTES = 10 * 1024 * 1024
"""Default of `max_response_bytes`."""

MAX_CONNECTIONS = 100
"""Default of `max_connections`."""

_RESERVED_HEADERS = {
    *("accept-encoding", "authorization", "connection", "content-encoding", "content-length"),
    *("content-type", "expect", "host", "te", "transfer-encoding", "upgrade"),
}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")


@frozen
class Settings:
    """The settings that apply to each call of a client.

    Attributes:
        base_url: Scheme, host and optionally a port and a path, without a slash at the end.
        headers: Constant headers, without the credential.
        timeout: Limits of one attempt.
        retry: Limits of the whole call.
        max_response_bytes: Largest body of a response, as received and decompressed.
    """

    base_url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    timeout: Timeout
    retry: RetryPolicy
    max_response_bytes: int


def checked(
    api: Definition, timeout: Any, retry: Any, headers: Any, max_response_bytes: Any
) -> dict[str, Any]:
    """Check these arguments of a client of the API; return those that are not `UNSET`.

    Raises:
        ConfigurationError: One of them is not valid.
        ArgumentError: A number is out of bounds.
    """
    found: dict[str, Any] = {}
    if not isinstance(timeout, Unset):
        found["timeout"] = Timeout.of(timeout)
    if not isinstance(retry, Unset):
        found["retry"] = _checked_retry(retry)
    if not isinstance(headers, Unset):
        found["headers"] = _all_headers(headers, api)
    if not isinstance(max_response_bytes, Unset):
        found["max_response_bytes"] = _checked_size(max_response_bytes)
    return found


def checked_base_url(given: Secret, allow_http: object) -> str:
    """Return a base URL for `Settings`, or raise a `ConfigurationError`."""
    problem, url = _read_base_url(given, allow_http)
    if problem:
        raise ConfigurationError(problem)
    return url


def _read_base_url(given: Secret, allow_http: object) -> tuple[str, str]:
    """Return what is wrong with a base URL, or an empty string and the URL."""
    url = given.reveal()
    if not isinstance(url, str):
        return f"base_url must be a string, got {type(url).__name__}", ""
    if not isinstance(allow_http, bool):
        return f"allow_http must be True or False, got {allow_http!r}", ""
    quoted = quoted_base_url(url)
    if "@" in url or "?" in url or "#" in url:
        return f"base_url must not have a user, password, query or fragment{quoted}", ""
    parts = split_base_url(url)
    if parts is None:
        must = "base_url must be http:// or https:// with a host, and optionally a port and a path"
        return f"{must}{quoted}", ""
    scheme, host = parts
    if scheme == "http" and not (allow_http or is_loopback(host)):
        remedy = "use https:// or pass allow_http=True"
        return f"base_url {url!r} would send the credential unencrypted; {remedy}", ""
    # The scheme is compared with later, so it must be in lower case.
    return "", scheme + url[len(scheme) :].rstrip("/")


def _checked_retry(retry: object) -> RetryPolicy:
    if not isinstance(retry, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, got {retry!r}")
    return retry


def _checked_size(size: object) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ConfigurationError(f"max_response_bytes must be a positive integer, got {size!r}")
    return size


def _all_headers(given: Any, api: Definition) -> tuple[tuple[str, str], ...]:
    problem, headers = _read_headers(given if isinstance(given, Secret) else Secret(given), api)
    if problem:
        raise ConfigurationError(f"headers must {problem}")
    return headers


def _read_headers(given: Secret, api: Definition) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return what is wrong with additional headers, or an empty string and all headers."""
    python = sys.version.partition(" ")[0]
    headers: dict[str, str] = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": f"oneloop/{__version__} spec/{api.spec} Python/{python}",
    }
    credentials = {one.name.lower() for one in api.schemes.values() if one.place == "header"}
    more = given.reveal()
    if not isinstance(more, Mapping):
        return "be a mapping of names to values", ()
    items: Any = more.items()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    for name, value in items:
        if not isinstance(name, str):
            return f"have names that are strings, got {type(name).__name__}", ()
        if not _HEADER_NAME.fullmatch(name):
            # Only the valid start is shown: the value may have been put into the name by mistake.
            start = _HEADER_NAME.match(name)
            shown = repr(f"{start[0] if start else ''}...")
            return f"have names of letters, digits and hyphens; one is valid only up to {shown}", ()
        if not (isinstance(value, str) and _HEADER_VALUE.fullmatch(value)):
            must = "have values of printable ASCII without leading or trailing spaces"
            return f"{must}; that of {name!r} is not valid (and not shown here)", ()
        if name.lower() in _RESERVED_HEADERS | credentials:
            return f"not include {name}, which the client sets itself", ()
        headers = {key: old for key, old in headers.items() if key.lower() != name.lower()}
        headers[name] = value
    return "", tuple(headers.items())
