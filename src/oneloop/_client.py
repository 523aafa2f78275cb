"""The clients: configuration in, calls out."""

import os
import re
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar, cast

from attrs import evolve

from oneloop_api.client import (
    DEFAULT_BASE_URL,
    AsyncOperations,
    AsyncOperationsWithResponse,
    SyncOperations,
    SyncOperationsWithResponse,
)
from oneloop_core import (
    MAX_SECRET_LENGTH,
    UNSET,
    Call,
    Response,
    Secret,
    Unset,
    hide,
    strings_in,
)

from ._call import Key, Progress, Settings, course, run, run_async
from ._errors import ConfigurationError
from ._hosts import is_loopback, shown_base_url, split_base_url
from ._policy import RetryPolicy, Timeout
from ._version import __version__
from .transport import AsyncTransport, Transport

if TYPE_CHECKING:
    from . import _httpx

T = TypeVar("T")

KEY_VARIABLES = ("ONELOOP_SDK_KEY", "ONELOOP_KEY")
"""Environment variables for the API key, in the order in which they are looked at."""

BASE_URL_VARIABLE = "ONELOOP_BASE_URL"

MAX_RESPONSE_BYTES = 10 * 1024 * 1024
"""Default of `max_response_bytes`."""

_OWN_HEADERS = {
    *("accept-encoding", "authorization", "connection", "content-encoding", "content-length"),
    *("content-type", "expect", "host", "te", "transfer-encoding", "upgrade", "x-link-token"),
}
_VISIBLE = re.compile(r"[!-~]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")


class _Client:
    """What both clients have: settings, and how they are checked."""

    _settings: Settings
    _credential: "_Credential"
    _transport: Any
    _shares: bool

    def _configure(
        self,
        api_key: object,
        link_token: object,
        base_url: Any,
        timeout: float | Timeout | None,
        retry: RetryPolicy,
        headers: Any,
        max_response_bytes: int,
        allow_http: bool,
    ) -> None:
        if base_url is None:
            base_url = Secret(os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL)
        self._settings = Settings(
            base_url=_checked_url(base_url, allow_http),
            headers=_all_headers(Secret({}) if headers is None else headers),
            timeout=Timeout.of(timeout),
            retry=_checked_retry(retry),
            max_response_bytes=_checked_size(max_response_bytes),
        )
        if api_key is None and link_token is None:
            api_key = next(
                (_wrapped(os.environ[v]) for v in KEY_VARIABLES if os.environ.get(v)), None
            )
        self._credential = _credential(api_key, link_token)
        self._shares = False

    def with_options(
        self,
        *,
        api_key: str | Callable[[], Any] | None = None,
        link_token: str | Callable[[], Any] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        retry: RetryPolicy | Unset = UNSET,
        headers: Mapping[str, str] | Unset = UNSET,
        max_response_bytes: int | Unset = UNSET,
    ) -> Self:
        """Return a client with other settings that shares this one's connections.

        Closing it does nothing: close this one. Arguments are those of the constructor.
        """
        api_key, link_token = _wrapped(api_key), _wrapped(link_token)
        headers = hide(headers)
        settings = self._settings
        if not isinstance(timeout, Unset):
            settings = evolve(settings, timeout=Timeout.of(timeout))
        if not isinstance(retry, Unset):
            settings = evolve(settings, retry=_checked_retry(retry))
        if not isinstance(headers, Unset):
            more = headers if isinstance(headers, Secret) else Secret(headers)
            settings = evolve(settings, headers=_all_headers(more))
        if not isinstance(max_response_bytes, Unset):
            settings = evolve(settings, max_response_bytes=_checked_size(max_response_bytes))
        client = type(self).__new__(type(self))
        client._settings = settings
        same = api_key is None and link_token is None
        client._credential = self._credential if same else _credential(api_key, link_token)
        client._transport, client._shares = self._transport, True
        return client

    def __repr__(self) -> str:
        """Show where calls go; nothing of the key."""
        settings = getattr(self, "_settings", None)  # not there yet in the frames of an error
        return f"{type(self).__name__}(base_url={settings and settings.base_url!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a client holds a key and connections."""
        raise TypeError("a client cannot be pickled: make one in each process")


class Oneloop(_Client, SyncOperations):
    """A client of the Oneloop API whose methods block.

    One client serves all threads of a process. It is a context manager; outside of a `with`, call
    `close()` when you are done.

    Args:
        api_key: Your SDK key, or a function that returns it, called once a call, for keys that
            rotate. Default: the environment's `ONELOOP_SDK_KEY`, then `ONELOOP_KEY`.
        link_token: A link token in place of the SDK key, or a function that returns one. The vendor
            does not document this: its own embeddable UI calls with a token from
            `generate_link_token` in a header `X-Link-Token`, to list, create, rotate, edit and
            delete the keys of one customer.
        base_url: Where the API is. Default: the environment's `ONELOOP_BASE_URL`, then the
            document's server.
        timeout: Limits of one attempt, in seconds; a number, or `None` for no limit, sets both.
        retry: Limits of the whole call.
        headers: More headers for each request.
        max_response_bytes: Largest body of an answer, on the wire and decompressed. Default 10 MiB.
        allow_http: Allow `http://` to other hosts than this one: the key is then sent in clear.
        http_client: An `httpx.Client` of your own to send with: its connections, proxies, TLS,
            hooks and limits, but not its headers, cookies, redirects and authentication. It stays
            yours: closing this client does not close it.
        transport: Something else to send with; see `oneloop.transport`. Or "fast": a Rust engine,
            which needs the extra of that name (`pip install 'oneloop[fast]'`).

    Raises:
        ConfigurationError: There is no API key, or something cannot be used as it is.
        ArgumentError: A number is out of its bounds.
    """

    def __init__(
        self,
        *,
        api_key: str | Callable[[], str] | None = None,
        link_token: str | Callable[[], str] | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | None = Timeout(),
        retry: RetryPolicy = RetryPolicy(),
        headers: Mapping[str, str] | None = None,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        allow_http: bool = False,
        http_client: "_httpx.Client | None" = None,
        transport: Transport | Literal["fast"] | None = None,
    ) -> None:
        """Make a client. Nothing is opened before the first call."""
        # An error tracker shows these variables, should something be wrong with one of them.
        api_key, link_token = _wrapped(api_key), _wrapped(link_token)
        base_url, headers = hide(base_url), hide(headers)
        self._configure(
            api_key, link_token, base_url, timeout, retry, headers, max_response_bytes, allow_http
        )
        if transport is not None and http_client is not None:
            raise ConfigurationError("give either transport or http_client, not both")
        if isinstance(transport, str):
            self._transport = _fast(transport).FastTransport(self._settings.base_url)
        elif transport is not None:
            from ._custom import CustomTransport  # on first use, as importing it takes its time

            self._transport = CustomTransport(transport)
        elif http_client is not None:
            from ._httpx import ClientTransport  # on first use, as importing it takes its time

            self._transport = ClientTransport(http_client)
        else:
            from ._pool import PoolTransport  # the same

            self._transport = PoolTransport(self._settings.base_url)

    @property
    def with_response(self) -> SyncOperationsWithResponse:
        """The same methods, returning a `Response`: the answer, its status and headers ..."""
        return _WithResponse(self._respond)

    def close(self) -> None:
        """Close all connections, but those of an `http_client`; refuse calls from now on."""
        if not self._shares:
            self._transport.close()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the client."""
        self.close()

    def _respond(self, call: Call[T]) -> Response[T]:
        progress = Progress(call.operation.name)
        key = self._credential.key()
        return run(course(call, self._settings, key, progress), self._transport, progress)

    def _perform(self, call: Call[T]) -> T:
        return self._respond(call).parsed


class AsyncOneloop(_Client, AsyncOperations):
    """A client of the Oneloop API for asyncio.

    One client serves all tasks; used from a second event loop it opens connections of its own
    there, and forgets those of loops that were closed. It is an async context manager; outside of
    an `async with`, await `aclose()` when done.

    Arguments and errors are those of `Oneloop`, but `api_key` may be an async function, and
    `http_client` is an `httpx.AsyncClient`.
    """

    def __init__(
        self,
        *,
        api_key: str | Callable[[], str] | Callable[[], Awaitable[str]] | None = None,
        link_token: str | Callable[[], str] | Callable[[], Awaitable[str]] | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | None = Timeout(),
        retry: RetryPolicy = RetryPolicy(),
        headers: Mapping[str, str] | None = None,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        allow_http: bool = False,
        http_client: "_httpx.AsyncClient | None" = None,
        transport: AsyncTransport | Literal["fast"] | None = None,
    ) -> None:
        """Make a client. Nothing is opened before the first call."""
        # An error tracker shows these variables, should something be wrong with one of them.
        api_key, link_token = _wrapped(api_key), _wrapped(link_token)
        base_url, headers = hide(base_url), hide(headers)
        self._configure(
            api_key, link_token, base_url, timeout, retry, headers, max_response_bytes, allow_http
        )
        if transport is not None and http_client is not None:
            raise ConfigurationError("give either transport or http_client, not both")
        if isinstance(transport, str):
            self._transport = _fast(transport).AsyncFastTransport(self._settings.base_url)
        elif transport is not None:
            from ._custom import AsyncCustomTransport  # the same

            self._transport = AsyncCustomTransport(transport)
        elif http_client is not None:
            from ._httpx import AsyncClientTransport  # on first use, as importing it takes its time

            self._transport = AsyncClientTransport(http_client)
        else:
            from ._async_pool import AsyncPoolTransport  # the same

            self._transport = AsyncPoolTransport(self._settings.base_url)

    @property
    def with_response(self) -> AsyncOperationsWithResponse:
        """The same methods, returning a `Response`: the answer, its status and headers ..."""
        return _AsyncWithResponse(self._respond)

    async def aclose(self) -> None:
        """Close all connections, but those of an `http_client`; refuse calls from now on."""
        if not self._shares:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the client."""
        await self.aclose()

    async def _respond(self, call: Call[T]) -> Response[T]:
        progress = Progress(call.operation.name)
        key = self._credential.key_or_awaitable()
        if not isinstance(key, Key):
            key = await key
        steps = course(call, self._settings, key, progress)
        return await run_async(steps, self._transport, progress)

    async def _perform(self, call: Call[T]) -> T:
        return (await self._respond(call)).parsed


class _WithResponse(SyncOperationsWithResponse):
    __slots__ = ("_respond",)

    def __init__(self, respond: Callable[[Call[Any]], Response[Any]]) -> None:
        self._respond = respond

    def _perform(self, call: Call[T]) -> Response[T]:
        return self._respond(call)


class _AsyncWithResponse(AsyncOperationsWithResponse):
    __slots__ = ("_respond",)

    def __init__(self, respond: Callable[[Call[Any]], Awaitable[Response[Any]]]) -> None:
        self._respond = respond

    async def _perform(self, call: Call[T]) -> Response[T]:
        return await self._respond(call)


class _Credential:
    """Where a client's key comes from: made once, or by a function of the application."""

    __slots__ = ("_key", "_name", "_source")

    def __init__(self, name: Literal["api_key", "link_token"], given: Any) -> None:
        self._name: Literal["api_key", "link_token"] = name
        self._source = None if isinstance(given, Secret) else cast("Callable[[], Any]", given)
        self._key = _checked_key(name, given) if isinstance(given, Secret) else None

    def key(self) -> Key:
        """Return the key for one call of a client that blocks."""
        if self._source is None:
            return cast("Key", self._key)
        given = Secret(self._source())
        if iscoroutine(given.reveal()):
            given.reveal().close()
            raise ConfigurationError(f"{self._name} is an async function: that needs AsyncOneloop")
        return _checked_key(self._name, given)

    def key_or_awaitable(self) -> Key | Awaitable[Key]:
        """Return the key for one call of an async client, or what to await for it."""
        if self._source is None:
            return cast("Key", self._key)
        given = Secret(self._source())
        return (
            self._awaited(given) if isawaitable(given.reveal()) else _checked_key(self._name, given)
        )

    async def _awaited(self, given: Secret) -> Key:
        return _checked_key(self._name, Secret(await given.reveal()))


def _wrapped(given: Any) -> Any:
    """Wrap a credential that was given as it is: the frames of an error must not show it."""
    return given if callable(given) else hide(given)


def _credential(api_key: object, link_token: object) -> _Credential:
    if api_key is not None and link_token is not None:
        raise ConfigurationError("give either api_key or link_token, not both")
    given = link_token if api_key is None else api_key
    if given is None:
        raise ConfigurationError(
            f"there is no API key: pass api_key= or set {KEY_VARIABLES[0]} in the environment"
        )
    return _Credential("link_token" if api_key is None else "api_key", given)


def _checked_key(name: Literal["api_key", "link_token"], given: Secret) -> Key:
    problem = _key_problem(given)
    if problem:
        raise ConfigurationError(f"{name} {problem}")
    text = Secret(*strings_in(given.reveal()))  # the characters, also of an Enum member
    return Key(text, "X-Link-Token" if name == "link_token" else "Authorization")


def _key_problem(given: Secret) -> str:
    """Say why a key cannot be one. Nothing is raised here: this frame holds the plain key."""
    key = given.reveal()
    if not isinstance(key, str) or not key:
        return "must be a string that is not empty"
    if len(key) > MAX_SECRET_LENGTH:
        return f"must have at most {MAX_SECRET_LENGTH} characters"
    if not _VISIBLE.fullmatch(key):
        return "contains a space or a non-ASCII character; check that it was copied completely"
    return ""


def _checked_url(given: Secret, allow_http: object) -> str:
    problem, url = _read_url(given, allow_http)
    if problem:
        raise ConfigurationError(problem)
    return url


def _read_url(given: Secret, allow_http: object) -> tuple[str, str]:
    """Return what is wrong with a base URL, or nothing and the URL.

    Nothing is raised here: this frame may hold a password, or a key that was given by mistake.
    """
    url = given.reveal()
    if not isinstance(url, str):
        return f"base_url must be a string, not of type {type(url).__name__}", ""
    if not isinstance(allow_http, bool):
        return f"allow_http must be True or False, not {allow_http!r}", ""
    shown = shown_base_url(url)
    if "@" in url or "?" in url or "#" in url:
        return f"base_url must have no user, password, query or fragment{shown}", ""
    parts = split_base_url(url)
    if parts is None:
        must = "base_url must be http:// or https:// with a host, and perhaps a port and a path"
        return f"{must}{shown}", ""
    scheme, host = parts
    if scheme == "http" and not (allow_http or is_loopback(host)):
        must = "would send the API key in clear: use https:// or allow_http=True"
        return f"base_url {url!r} {must}", ""
    # The scheme in lower case, as it is compared with.
    return "", scheme + url[len(scheme) :].rstrip("/")


def _fast(name: str) -> Any:
    """Import the transports of the Rust engine, on first use: not everybody has it."""
    if name != "fast":
        raise ConfigurationError(f'transport must be "fast" or an object that sends, not {name!r}')
    try:
        name = "oneloop._fast"
        if name in sys.modules or threading.current_thread() is threading.main_thread():
            return import_module(name)
        return _imported_for_good(name)
    except ImportError as error:
        raise ConfigurationError(
            "transport=\"fast\" needs pyreqwest: pip install 'oneloop[fast]'"
        ) from error


def _imported_for_good(name: str) -> Any:
    """Import a module on a thread that does not end before the process does.

    The allocator in pyreqwest (mimalloc 3.3, its issue 1287) takes the thread that loads it for the
    main one. When that one has ended, the process crashes in a later thread with the same id. Each
    of several threads that come at once leaves one behind; who comes later leaves none.
    """
    from concurrent.futures import Future  # here, as few processes need it

    imported: Future[Any] = Future()

    def run() -> None:
        try:
            imported.set_result(import_module(name))
        except BaseException as error:  # noqa: BLE001 - raised by `result`
            imported.set_exception(error)
        else:
            threading.Event().wait()

    threading.Thread(target=run, name="oneloop-fast", daemon=True).start()
    return imported.result()


def _checked_retry(retry: object) -> RetryPolicy:
    if not isinstance(retry, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, not {retry!r}")
    return retry


def _checked_size(size: object) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ConfigurationError(f"max_response_bytes must be an integer above 0, not {size!r}")
    return size


def _all_headers(given: Secret) -> tuple[tuple[str, str], ...]:
    problem, headers = _read_headers(given)
    if problem:
        raise ConfigurationError(f"headers must {problem}")
    return headers


def _read_headers(given: Secret) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return what is wrong with more headers, or nothing and all headers of a client.

    Nothing is raised here: this frame may hold a key that was given by mistake.
    """
    own: dict[str, str] = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": f"oneloop/{__version__} Python/{sys.version.partition(' ')[0]}",
    }
    more = given.reveal()
    if not isinstance(more, Mapping):
        return "be a mapping of names to values", ()
    items: Any = more.items()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    for name, value in items:
        if not isinstance(name, str):
            return f"have names that are strings, not of type {type(name).__name__}", ()
        if not _HEADER_NAME.fullmatch(name):
            # Up to where it goes wrong: somebody may have written the value there too.
            token = _HEADER_NAME.match(name)
            start = repr(f"{token[0] if token else ''}...")
            what = "goes on with something else"
            return f"have names of letters, digits and hyphens: {start} {what}", ()
        if not (isinstance(value, str) and _HEADER_VALUE.fullmatch(value)):
            must = "have values that are strings of printable ASCII, without spaces around them"
            return f"{must}: the value of {name!r} is not (it is not shown here)", ()
        if name.lower() in _OWN_HEADERS:
            return f"not have {name}: the client sets it", ()
        own = {key: old for key, old in own.items() if key.lower() != name.lower()}
        own[name] = value
    return "", tuple(own.items())
