"""What the guards for web frameworks have in common, without any framework.

A guard takes the customer's key from the headers of a request and lets the API verify it. This
module decides what is read, what is sent, and what the result means for the customer; the modules
`oneloop.starlette`, `fastapi`, `flask` and `django` carry that out.

A plain key is never a local variable of a frame that an exception may pass, because error trackers
show those: it is wrapped in a `Secret` as soon as it has been read.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from copy import copy
from inspect import isawaitable, iscoroutine
from math import ceil
from time import time
from typing import Any, Generic, Self, TypeVar, cast

from oneloop_api.models import ApiKeyScope, VerifyApiKeyResponse
from oneloop_core import (
    MAX_SECRET_LENGTH,
    UNSET,
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    Secret,
    Unset,
    encode_integer,
    encode_number,
    encode_string,
    wrong_type,
)

from ._client import AsyncOneloop, Oneloop
from ._environment import is_logged
from ._errors import (
    APIError,
    APIStatusError,
    ConfigurationError,
    RateLimitError,
    ServerError,
)
from ._refusals import Refusals
from ._retry import MAX_RETRY_AFTER, RetryPolicy, Timeout, retry_after

logger = logging.getLogger("oneloop.guard")


class _LastResort(logging.Handler):
    """Prints records if the application has set up no logging, as Python does by default.

    Other records of `oneloop` are about calls, whose caller gets an error. These have no other way
    to the operator.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if logging.lastResort is not None and not is_logged():
            logging.lastResort.handle(record)


logger.addHandler(_LastResort(logging.WARNING))

RequestT = TypeVar("RequestT")
ClientT = TypeVar("ClientT", Oneloop, AsyncOneloop)

Scopes = Mapping[str, str | Iterable[str]] | Sequence[ApiKeyScope]
"""What a key must allow: rights by scope, as in `{"invoices": ["read", "update"]}`, or models."""

RIGHTS = ("create", "read", "update", "delete")

_KEY = re.compile(r"[!-+\--~]+")
"""What a key may consist of: visible ASCII. Servers join repeated headers with a comma."""

_REMEMBERED = frozenset({"EXPIRED", "DISABLED", "DELETED", "INVALID"})
"""The refusals that do not depend on what is asked for, nor on a moment or a balance."""

Kept = MutableMapping[str, Any]
"""A mapping that lives as long as one request, such as the scope of ASGI or the environ of WSGI."""

KEPT = "oneloop.verifications"
"""The entry with the verifications of a request by guard, in the order in which they were made. A
guard that is asked twice for one request verifies, and charges, once."""

_UNAVAILABLE_SECONDS = 5
"""The `Retry-After` of a 503, unless the API states one."""


class Refusal:
    """The response to a request that is not let through.

    Attributes:
        status: The HTTP status.
        detail: A text for the customer. It contains nothing of the key, nor of our account.
        headers: Headers of the response.
    """

    __slots__ = ("detail", "headers", "status")

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class BaseGuard(Generic[RequestT]):
    """The settings of a guard, and what it decides. Each framework has a subclass.

    Args:
        scopes: What the key must allow, such as `{"invoices": "read"}`; also several rights, or
            `ApiKeyScope` models. Default: the key alone.
        usage: Credits to charge for a request that is let through, or a function that returns them
            for the request. Default: the request is not charged.
        usage_name: A name for what is used.
        header: The header with the key, such as `X-API-Key`. Default: `Authorization: Bearer`.
        deadline: Seconds for the whole verification. If they do not suffice, the answer is 503.
        usage_limited: The HTTP status for a customer without credits.
        remember_refusals: Seconds for which a key that was refused as unknown, expired, disabled or
            deleted is refused again without a call. A key that has been enabled again keeps being
            refused for that long. Default `None`: each request is verified. At most 300.
        client: A client of yours for blocking calls, which you close. Default: one client per
            process, made from the environment by the first request or when the application starts.
        async_client: The same for asyncio.

    Raises:
        ArgumentError: An argument is not valid.
    """

    _async_client_name = "async_client"

    def __init__(
        self,
        *,
        scopes: Scopes = (),
        usage: int | Callable[[RequestT], int | Awaitable[int]] | None = None,
        usage_name: str | None = None,
        header: str | None = None,
        deadline: float = 2.0,
        usage_limited: int = 402,
        remember_refusals: float | None = None,
        client: Oneloop | None = None,
        async_client: AsyncOneloop | None = None,
    ) -> None:
        self._deadline = _checked("deadline", deadline, encode_number, above=0, maximum=60)
        bounds = {"minimum": 400, "maximum": 499}
        self._usage_limited = _checked("usage_limited", usage_limited, encode_integer, **bounds)
        self._header = None if header is None else _checked_header(header)
        if remember_refusals is not None:
            bounds = {"above": 0, "maximum": 300}
            _checked("remember_refusals", remember_refusals, encode_number, **bounds)
        self._refusals = Refusals(remember_refusals) if remember_refusals else None
        self._given: dict[Any, Any] = {Oneloop: client, AsyncOneloop: async_client}
        for kind, given in self._given.items():
            if given is not None and not isinstance(given, kind):
                name = "client" if kind is Oneloop else self._async_client_name
                raise _named(name, wrong_type(f"of type {kind.__name__}", given))
        self._made: dict[Any, Any] = {}
        self._ready: dict[Any, Any] = {}
        self._ask(scopes, usage, usage_name)

    def _ask(self, scopes: Any, usage: Any, usage_name: Any) -> None:
        """Check and keep what the guard asks for."""
        self._scopes = scopes_from(scopes)
        if usage is not None and not callable(usage):
            _checked("usage", usage, encode_integer, minimum=0)
        self._usage = usage
        if usage_name is not None:
            _checked("usage_name", usage_name, encode_string)
        self._usage_name = usage_name

    def requiring(
        self,
        *,
        scopes: Scopes | Unset = UNSET,
        usage: int | Callable[[RequestT], int | Awaitable[int]] | Unset | None = UNSET,
        usage_name: str | Unset | None = UNSET,
    ) -> Self:
        """Return a guard that asks for something else and shares the client of this one.

        What is left out is as in this guard.
        """
        guard = copy(self)
        guard._ask(
            self._scopes if isinstance(scopes, Unset) else scopes,
            self._usage if isinstance(usage, Unset) else usage,
            self._usage_name if isinstance(usage_name, Unset) else usage_name,
        )
        return guard

    @property
    def _header_name(self) -> str:
        return self._header or "Authorization"

    def _client_of(self, kind: type[ClientT]) -> ClientT:
        """Return the client for verifications, with the guard's deadline; the first call makes it.

        `setdefault` is atomic, so no lock is needed that a fork could copy while it is held. A
        client that loses the race has opened nothing.

        Raises:
            ConfigurationError: The environment has no API key.
        """
        client: ClientT | None = self._ready.get(kind)
        if client is None:
            own = self._given[kind] or self._made.get(kind) or self._made.setdefault(kind, kind())
            client = self._ready.setdefault(kind, self._limited(own))
            if self._given[kind] is None and self._made.get(kind) is not own:
                self._ready.pop(kind, None)  # another thread has closed it in the meantime
                return self._client_of(kind)
        return cast("ClientT", client)

    def _limited(self, client: Any) -> Any:
        """Return a client with the deadline that never repeats a verification that may count."""
        seconds = self._deadline
        return client.with_options(
            timeout=Timeout(connect=seconds, read=seconds),
            retry=RetryPolicy(attempts=2, backoff=0.1, budget=seconds, treat_as_safe=False),
        )

    def _forget(self, kind: type[ClientT]) -> ClientT | None:
        """Return the client that the guard has made, to close it. The next request makes one."""
        made = self._made.pop(kind, None)  # first: `_client_of` looks for it last
        if self._given[kind] is None:
            self._ready.pop(kind, None)
        return cast("ClientT | None", made)

    def _verified(
        self, kept: "Kept", key: Secret | Refusal, route: str | None, request: RequestT
    ) -> VerifyApiKeyResponse | Refusal:
        """Return the verification of a request that is let through, or the refusal."""
        if isinstance(key, Refusal) or self in kept.get(KEPT, {}):
            return key if isinstance(key, Refusal) else kept[KEPT][self]
        usage: Any = self._usage(request) if callable(self._usage) else self._usage
        if iscoroutine(usage):
            usage.close()
            problem = "must be a plain function for views that are not async"
            raise _named("usage", ArgumentTypeError(problem))
        arguments = self._arguments(key, route, usage)
        try:
            verification = self._client_of(Oneloop).verify_api_key(**arguments)
        except (APIError, ConfigurationError) as error:
            return refusal_for(error)
        return self._after(kept, key, verification)

    async def _verified_async(
        self, kept: "Kept", key: Secret | Refusal, route: str | None, request: RequestT
    ) -> VerifyApiKeyResponse | Refusal:
        """Do what `_verified` does, without blocking the event loop."""
        if isinstance(key, Refusal) or self in kept.get(KEPT, {}):
            return key if isinstance(key, Refusal) else kept[KEPT][self]
        usage: Any = self._usage(request) if callable(self._usage) else self._usage
        arguments = self._arguments(key, route, await usage if isawaitable(usage) else usage)
        try:
            verification = await self._client_of(AsyncOneloop).verify_api_key(**arguments)
        except (APIError, ConfigurationError) as error:
            return refusal_for(error)
        return self._after(kept, key, verification)

    def _key_in(self, values: Sequence[str]) -> Secret | Refusal:
        """Return the key in the values of the header, or the refusal if they have no usable one.

        This frame has the plain key, so it raises nothing.
        """
        if not values:
            return self._unauthorized("Missing API key")
        value = values[0].strip(" \t") if len(values) == 1 else ""
        if self._header is None:
            scheme, _, value = value.partition(" ")
            if len(values) == 1 and scheme.lower() != "bearer":
                return self._unauthorized("Missing API key")
            value = value.strip(" \t")
        if len(value) > MAX_SECRET_LENGTH or not _KEY.fullmatch(value):
            return self._unauthorized("Invalid API key", "invalid_token")
        return Secret(value)

    def _before(self, values: Sequence[str]) -> Secret | Refusal:
        """Return the key to verify, or the refusal of a request that needs no call."""
        key = self._key_in(values)
        if isinstance(key, Secret) and self._refusals and self._refusals.has(key):
            return self._unauthorized("Invalid API key", "invalid_token")
        return key

    def _arguments(self, key: Secret, route: str | None, usage: int | None) -> dict[str, Any]:
        """Return the arguments of the verification."""
        if usage is not None:
            _checked("usage", usage, encode_integer, minimum=0)
        return {
            "key": key,
            "requested_scopes": self._scopes,
            "route": route,
            "billing_usage": usage,
            "billing_usage_name": None if usage is None else self._usage_name,
        }

    def _after(
        self, kept: "Kept", key: Secret, verification: VerifyApiKeyResponse
    ) -> VerifyApiKeyResponse | Refusal:
        """Return the verification if the request is let through, and keep it for the request."""
        status = verification.status
        if status == "VALID":
            kept.setdefault(KEPT, {})[self] = verification
            return verification
        if status == "RATE_LIMITED":
            limit = verification.rate_limit
            seconds = 0.0 if limit is None else limit.reset_in()
            return Refusal(429, "Too many requests", _wait(seconds))
        if status == "USAGE_LIMITED":
            return Refusal(self._usage_limited, "The usage limit of the API key is reached")
        if status == "INVALID_SCOPES":
            challenge = self._challenge("insufficient_scope")
            return Refusal(403, "The API key does not allow this request", challenge)
        if status in _REMEMBERED:
            if self._refusals:
                self._refusals.add(key)
        else:
            logger.warning("the API returned a status of a verification that is new; refused")
        return self._unauthorized("Invalid API key", "invalid_token")

    def _unauthorized(self, detail: str, error: str | None = None) -> Refusal:
        return Refusal(401, detail, self._challenge(error))

    def _challenge(self, error: str | None) -> dict[str, str]:
        """Return `WWW-Authenticate` as RFC 6750 wants it. Other headers have no standard scheme."""
        if self._header is not None:
            return {"WWW-Authenticate": "APIKey"}
        return {"WWW-Authenticate": f'Bearer error="{error}"' if error else "Bearer"}


def refusal_for(error: APIError | ConfigurationError) -> Refusal:
    """Return the response for a verification that failed, and log why. The request is refused.

    It is never 401: what is refused here is our own key, or our own request. The log record quotes
    nothing of the error, which may contain words of the server.
    """
    if isinstance(error, ConfigurationError):
        logger.error("no key can be verified, as the client is not configured: %s", error)
        return Refusal(500, "Internal server error")
    kind, status = type(error).__name__, error.status_code
    is_temporary = isinstance(error, RateLimitError | ServerError) or status == 408
    if isinstance(error, APIStatusError) and not is_temporary:
        what = "our own key" if status in (401, 403) else "our request"
        extra = {"oneloop_status": status, "oneloop_error": kind}
        logger.error("Oneloop refused %s with %s; answered 500", what, status, extra=extra)
        return Refusal(500, "Internal server error")
    extra = {"oneloop_status": status, "oneloop_error": kind}
    logger.warning("no key could be verified (%s, %s); answered 503", kind, status, extra=extra)
    seconds = retry_after(error.headers, time()) if error.headers else None
    wait = _wait(_UNAVAILABLE_SECONDS if seconds is None else seconds)
    return Refusal(503, "API keys cannot be verified at the moment", wait)


def verification_in(kept: Kept) -> VerifyApiKeyResponse:
    """Return the latest verification of a request.

    Raises:
        LookupError: No guard has let the request through.
    """
    verifications: dict[object, VerifyApiKeyResponse] = kept.get(KEPT, {})
    if not verifications:
        raise LookupError("no guard of oneloop has verified this request")
    return [*verifications.values()][-1]


def _wait(seconds: float) -> dict[str, str]:
    """Return `Retry-After` in whole seconds: at least 1, and at most a day."""
    return {"Retry-After": str(ceil(min(max(seconds, 1), MAX_RETRY_AFTER)))}


def scopes_from(scopes: Scopes) -> list[ApiKeyScope]:
    """Return the models for scopes in short form.

    Raises:
        ArgumentError: They are of another type, or name a right that does not exist.
    """
    if isinstance(scopes, Mapping):
        return [_scope(name, rights) for name, rights in scopes.items()]
    given: Any = scopes
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise _named("scopes", wrong_type("a mapping of scopes to rights, or a list", given))
    models: list[Any] = [*given]
    for model in models:
        if not isinstance(model, ApiKeyScope):
            raise _named("scopes", wrong_type("a list of ApiKeyScope", model))
    return models


def _scope(name: str, rights: str | Iterable[str]) -> ApiKeyScope:
    _checked("scopes", name, encode_string)
    wanted = [rights] if isinstance(rights, str) else list(rights)
    unknown = [right for right in wanted if right not in RIGHTS]
    if unknown or not wanted:
        found = f"got {unknown[0]!r}" if unknown else "got nothing"
        problem = f"must be one or more of {', '.join(RIGHTS)}, {found}"
        raise _named(f"scopes[{name!r}]", ArgumentValueError(problem))
    return ApiKeyScope(
        representation=name,
        create="create" in wanted,
        read="read" in wanted,
        update="update" in wanted,
        delete="delete" in wanted,
    )


def _checked_header(name: str) -> str:
    _checked("header", name, encode_string)
    if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII):
        problem = f"must be the name of an HTTP header, got {name!r}"
        raise _named("header", ArgumentValueError(problem))
    if name.lower() == "authorization":
        problem = "leave it out to read `Authorization: Bearer`"
        raise _named("header", ArgumentValueError(problem))
    return name


def _checked(name: str, value: Any, encode: Callable[..., Any], **bounds: float) -> Any:
    """Return the value, checked with the encoder of its type."""
    try:
        encode(value, **bounds)
    except ArgumentError as error:
        raise _named(name, error) from None
    return value


def _named(name: str, error: ArgumentError) -> ArgumentError:
    error.argument = name
    return error
