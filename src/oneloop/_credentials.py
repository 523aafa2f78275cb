"""The API key or link token of a client: where it comes from, and how it is checked.

Error trackers show the local variables of every frame that an exception passes. So a credential is
wrapped in a `Secret` as soon as it is given or read, and a function that looks at the plain value
returns what is wrong with it instead of raising an error.
"""

import re
from collections.abc import Awaitable
from inspect import isawaitable, iscoroutine
from typing import Any, Literal, TypeAlias

from oneloop_core import MAX_SECRET_LENGTH, Secret, hide, strings_in

from ._environment import KEY_VARIABLES, key_from_environment
from ._errors import ConfigurationError

Name: TypeAlias = Literal["api_key", "link_token"]

_VISIBLE = re.compile(r"[!-~]+")


class Credential:
    """The API key or link token of one call.

    This is a plain class: error trackers walk through tuples, and its repr shows nothing.

    Attributes:
        secret: The key or token, to redact it.
        header: Name and value of the header that it is sent in.
    """

    __slots__ = ("header", "secret")

    def __init__(self, secret: Secret, name: Name = "api_key") -> None:
        self.secret = secret
        if name == "api_key":
            self.header = ("Authorization", f"Bearer {secret.reveal()}")
        else:
            self.header = ("X-Link-Token", secret.reveal())


class CredentialSource:
    """Provides the credential of each call: a constant one, or what a function returns.

    Attributes:
        constant: The credential of all calls; `None` if a function provides it.
    """

    __slots__ = ("_function", "_name", "constant")

    def __init__(self, name: Name, given: Any) -> None:
        self._name: Name = name
        self.constant = _checked(name, given) if isinstance(given, Secret) else None
        self._function: Any = given  # a function, unless there is a constant

    def credential(self) -> Credential:
        """Return what the function provides for one call of a blocking client."""
        given = Secret(self._function())
        if iscoroutine(given.reveal()):
            given.reveal().close()
            raise ConfigurationError(
                f"{self._name} is an async function, which only AsyncOneloop supports"
            )
        return _checked(self._name, given)

    def credential_or_awaitable(self) -> Credential | Awaitable[Credential]:
        """Return what the function provides for one call of an async client, or an awaitable."""
        given = Secret(self._function())
        is_async = isawaitable(given.reveal())
        return self._awaited(given) if is_async else _checked(self._name, given)

    async def _awaited(self, given: Secret) -> Credential:
        return _checked(self._name, Secret(await given.reveal()))


def wrapped(given: Any) -> Any:
    """Wrap a credential that was passed as a string; return a function unchanged."""
    return given if callable(given) else hide(given)


def credential_source(api_key: Any, link_token: Any) -> CredentialSource:
    """Return the source for these arguments, or for the API key of the environment.

    Raises:
        ConfigurationError: There are two credentials or none, or the credential is not valid.
    """
    if api_key is not None and link_token is not None:
        raise ConfigurationError("pass either api_key or link_token, not both")
    if link_token is not None:
        return CredentialSource("link_token", link_token)
    given = key_from_environment() if api_key is None else api_key
    if given is None:
        raise ConfigurationError(
            f"there is no API key: pass api_key= or set {KEY_VARIABLES[0]} in the environment"
        )
    return CredentialSource("api_key", given)


def _checked(name: Name, given: Secret) -> Credential:
    problem = _problem(given)
    if problem:
        raise ConfigurationError(f"{name} {problem}")
    # The characters themselves, as `str` of an Enum member or a subclass may be something else.
    return Credential(Secret(*strings_in(given.reveal())), name)


def _problem(given: Secret) -> str:
    """Return what is wrong with a key or token. Does not raise, as this frame has it unwrapped."""
    key = given.reveal()
    if not isinstance(key, str) or not key:
        return "must be a non-empty string"
    if len(key) > MAX_SECRET_LENGTH:
        return f"must have at most {MAX_SECRET_LENGTH} characters"
    if not _VISIBLE.fullmatch(key):
        return "contains a space or a non-ASCII character; check that it was copied completely"
    return ""
