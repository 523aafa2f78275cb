"""The settings of a client: what its arguments may be, and the constant headers of its requests.

A base URL or a header may contain a password, or a key that was passed by mistake. So they arrive
wrapped, and are checked without raising an error, for the reason given in `_credentials`.
"""

import re
import sys
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from oneloop_core import Definition, Secret, Unset

from . import __version__
from ._environment import is_loopback, quoted_base_url, split_base_url
from ._errors import ConfigurationError
from ._retry import RetryPolicy, Timeout, merged
from .transport import Limits

if TYPE_CHECKING:
    from ._credentials import Credential
    from ._extras import Extras
    from .hooks import Hooks

MAX_RESPONSE_BYTES = 10 * 1024 * 1024
"""Default of `max_response_bytes`."""

MAX_CONNECTIONS = 100
"""Default of `max_connections`."""

_JSON = "application/json"

RESERVED_HEADERS = {
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
        extras: What is laid over each request, if anything.
        hooks: What is told about each call.
    """

    base_url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    timeout: Timeout
    retry: RetryPolicy
    max_response_bytes: int
    extras: "Extras | None" = field(default=None, repr=False)
    hooks: "tuple[Hooks, ...]" = ()


class Configured:
    """An object with settings, which can be read."""

    _settings: Settings

    @property
    def base_url(self) -> str:
        """The URL of the API, without a slash at the end."""
        return self._settings.base_url

    @property
    def timeout(self) -> Timeout:
        """The limits of one attempt."""
        return self._settings.timeout

    @property
    def retry(self) -> RetryPolicy:
        """When and how often a call is tried again."""
        return self._settings.retry

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of each request, read-only and without the credential."""
        return MappingProxyType(dict(self._settings.headers))

    @property
    def max_response_bytes(self) -> int:
        """Largest body of a response, as received and decompressed."""
        return self._settings.max_response_bytes


class Context:
    """What the calls of a client have in common, made once for as long as its credential is valid.

    This is a plain class: error trackers walk through tuples, and its repr shows nothing.

    Attributes:
        settings: The settings of the client.
        credential: What the requests are authorized with.
        base_url: Where the requests go.
        headers: Headers of a request without a body. It is the same object for all requests, so
            that a transport can recognize headers that it has prepared before.
        json_headers: Headers of a request with a body.
        limits: Limits of a first attempt, which has the whole budget.
        longest_body: Largest body of a response.
    """

    __slots__ = (
        "base_url",
        "credential",
        "headers",
        "json_headers",
        "limits",
        "longest_body",
        "settings",
    )

    def __init__(
        self,
        settings: Settings,
        credential: "Credential",
        base_url: str | None = None,
        accept: str = _JSON,
    ) -> None:
        """Make a context of calls to the client's server, or to another one, with these answers."""
        self.settings = settings
        self.credential = credential
        self.base_url = base_url or settings.base_url
        given = settings.headers
        if accept != _JSON:
            given = tuple((k, accept) if (k, v) == ("Accept", _JSON) else (k, v) for k, v in given)
        self.headers = (*credential.headers, *given)
        self.json_headers = (*credential.headers, ("Content-Type", _JSON), *given)
        self.limits = limits_within(settings, settings.retry.budget)
        self.longest_body = settings.max_response_bytes


def limits_within(settings: Settings, left: float | None) -> Limits:
    """Return the limits of an attempt, given the seconds that are left for the whole call."""
    connect, read = settings.timeout.connect, settings.timeout.read
    if left is not None:
        connect = left if connect is None or connect > left else connect
        read = left if read is None or read > left else read
    return Limits(connect, read, left, settings.max_response_bytes)


def checked(
    api: Definition,
    timeout: Any,
    retry: Any,
    headers: Any,
    max_response_bytes: Any,
    hooks: Any,
    old: Settings | None = None,
) -> dict[str, Any]:
    """Check these arguments of a client of the API; return those that are not `UNSET`.

    With `old` settings, a part of a timeout, a policy or the headers changes only that part.

    Raises:
        ConfigurationError: One of them is not valid.
        ArgumentError: A number is out of bounds.
    """
    found: dict[str, Any] = {}
    if not isinstance(timeout, Unset):
        limits = Timeout.of(timeout)
        found["timeout"] = merged(old.timeout, limits) if old else limits
    if not isinstance(retry, Unset):
        policy = _checked_retry(retry)
        found["retry"] = merged(old.retry, policy) if old else policy
    if not isinstance(headers, Unset):
        found["headers"] = _all_headers(headers, api, old)
    if not isinstance(max_response_bytes, Unset):
        found["max_response_bytes"] = _checked_size(max_response_bytes)
    if not isinstance(hooks, Unset):
        from ._observing import checked_hooks  # on first use, as few applications need it

        found["hooks"] = checked_hooks(hooks)
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


def _all_headers(given: Any, api: Definition, old: Settings | None) -> tuple[tuple[str, str], ...]:
    """Return the defaults, or the old headers, with those that are given."""
    python = sys.version.partition(" ")[0]
    before: Mapping[str, str | None] = {
        "Accept": _JSON,
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": f"oneloop/{__version__} spec/{api.spec} Python/{python}",
    }
    if old is not None:
        before = dict(old.headers)
    wrapped = given if isinstance(given, Secret) else Secret(given)
    headers = merged_headers(before, wrapped, api, may_remove=old is not None)
    if isinstance(headers, str):
        raise ConfigurationError(f"headers must {headers}")
    return tuple((name, value) for name, value in headers.items() if value is not None)


def merged_headers(
    old: Mapping[str, str | None],
    given: Secret,
    api: Definition,
    reserved: Collection[str] = RESERVED_HEADERS,
    *,
    may_remove: bool,
) -> str | dict[str, str | None]:
    """Return old headers with those that are given, or what is wrong with these.

    Names count as equal whatever the case of their letters. `None` stays as a value. A header that
    must not be changed may be given as it is, so that the headers of a client can be given again.
    """
    headers = dict(old)
    credentials = {one.name.lower() for one in api.schemes.values() if one.place == "header"}
    more = given.reveal()
    if not isinstance(more, Mapping):
        return "be a mapping of names to values"
    items: Any = more.items()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    for name, value in items:
        if not isinstance(name, str):
            return f"have names that are strings, got {type(name).__name__}"
        if not _HEADER_NAME.fullmatch(name):
            # Only the valid start is shown: the value may have been put into the name by mistake.
            start = _HEADER_NAME.match(name)
            shown = repr(f"{start[0] if start else ''}...")
            return f"have names of letters, digits and hyphens; one is valid only up to {shown}"
        is_removed = value is None and may_remove
        if not (is_removed or (isinstance(value, str) and _HEADER_VALUE.fullmatch(value))):
            must = "have values of printable ASCII without leading or trailing spaces"
            return f"{must}; that of {name!r} is not valid (and not shown here)"
        if name.lower() in {*reserved, *credentials} and (name, value) not in old.items():
            return f"not include {name}, which the client sets itself"
        headers = {one: text for one, text in headers.items() if one.lower() != name.lower()}
        headers[name] = value
    return headers


def server_url(api: Definition, server: str | None, base_url: Secret | None) -> Secret:
    """Return the URL of the server with this name, or the base URL that was given instead."""
    if base_url is not None:
        if server is not None:
            raise ConfigurationError("pass either server or base_url, not both")
        return base_url
    if server is not None and server not in api.servers:
        choices = ", ".join(map(repr, api.servers)) or "not available, as the document names none"
        raise ConfigurationError(f"server must be one of: {choices}; got {server!r}")
    if not api.servers:
        found = f"only the path {api.relative}" if api.relative else "no server"
        example = f"https://api.example.com{api.relative}"
        problem = f"the API's document names {found}; pass base_url=, such as {example!r}"
        raise ConfigurationError(problem)
    return Secret(api.servers[server] if server else next(iter(api.servers.values())))
