"""The credentials of a client: where they come from, how they are checked, and what is sent.

Error trackers show the local variables of every frame that an exception passes. So a credential is
wrapped in a `Secret` as soon as it is given or read, and a function that looks at the plain value
returns what is wrong with it instead of raising an error.
"""

import re
from collections.abc import Awaitable, Mapping
from inspect import isawaitable, iscoroutine
from typing import Any

from oneloop_core import MAX_SECRET_LENGTH, Definition, Scheme, Secret, hide, strings_in

from ._errors import ConfigurationError

_VISIBLE = re.compile(r"[!-~]+")
_COOKIE = re.compile(r"[!#-+\--:<-\[\]-~]+")
"""What the value of a cookie may consist of (RFC 6265)."""


class Credential:
    """What authorizes the requests of one call.

    This is a plain class: error trackers walk through tuples, and its repr shows nothing.

    Attributes:
        secrets: All that must not be shown, to redact it.
        headers: Names and values of headers.
        query: Percent-encoded parameters, such as `key=a`; empty if there are none.
        cookies: Cookies as in the header `Cookie`; empty if there are none.
    """

    __slots__ = ("cookies", "headers", "query", "secrets")

    def __init__(self, parts: list[tuple[Scheme, Secret]], secrets: tuple[Secret, ...]) -> None:
        """Take the schemes with what they send, and all that must not be shown."""
        self.secrets = secrets
        self.headers = tuple(
            (scheme.name, f"{scheme.prefix}{value.reveal()}")
            for scheme, value in parts
            if scheme.place == "header"
        )
        self.query = self.cookies = ""
        if len(self.headers) == len(parts):
            return
        from urllib.parse import quote  # on first use, as few APIs need it

        self.query = "&".join(
            f"{quote(scheme.name, safe='')}={quote(value.reveal(), safe='')}"
            for scheme, value in parts
            if scheme.place == "query"
        )
        self.cookies = "; ".join(
            f"{scheme.name}={value.reveal()}" for scheme, value in parts if scheme.place == "cookie"
        )


class Credentials:
    """The credentials that a client was made with: constants, or functions that return them.

    `names` are the names of schemes, as `names` of this class returns them.
    """

    __slots__ = ("_api", "_given")

    def __init__(self, api: Definition, given: Mapping[str, Any]) -> None:
        """Take arguments by name; strings are wrapped, and `None` means that there is none.

        Raises:
            ConfigurationError: One of them cannot be sent, or the API has no such scheme.
        """
        self._api = api
        self._given = {name: value for name, value in given.items() if value is not None}
        schemes = {name: one for one in api.schemes.values() for name in one.arguments}
        for name, value in self._given.items():
            if name not in schemes:
                known = f"its credentials are {', '.join(schemes)}" if schemes else "it has none"
                raise ConfigurationError(
                    f"{name} is not a credential of this API: {known}; "
                    "x-python-name in an overlay names a security scheme of the document"
                )
            if isinstance(value, Secret):
                _check(name, value, schemes[name])

    def names(
        self, operation: str = "this API", own: tuple[tuple[str, ...], ...] | None = None
    ) -> tuple[str, ...]:
        """Return the first alternative for which everything was given.

        Args:
            operation: Name of the operation, for the error.
            own: The alternatives of an operation with security of its own.

        Raises:
            ConfigurationError: There is no such alternative.
        """
        alternatives = self._api.security if own is None else own
        for names in alternatives:
            if all(argument in self._given for argument in self._arguments(names)):
                return names
        needed = " or ".join(
            " and ".join(f"{argument}=" for argument in self._arguments(names))
            for names in alternatives
        )
        raise ConfigurationError(f"{operation} needs a credential: make the client with {needed}")

    def constant(self, names: tuple[str, ...]) -> Credential | None:
        """Return the credential of all calls; `None` if a function provides a part of it."""
        given = [self._given[argument] for argument in self._arguments(names)]
        is_constant = all(isinstance(one, Secret) for one in given)
        return self._made(names, given) if is_constant else None

    def credential(self, names: tuple[str, ...]) -> Credential:
        """Return what functions provide for one call of a blocking client."""
        values: list[Secret] = []
        for argument in self._arguments(names):
            value = self._provided(argument)
            if iscoroutine(value.reveal()):
                value.reveal().close()
                raise ConfigurationError(
                    f"{argument} is an async function, which only an async client supports"
                )
            values.append(value)
        return self._made(names, values)

    def credential_or_awaitable(self, names: tuple[str, ...]) -> Credential | Awaitable[Credential]:
        """Return what functions provide for one call of an async client, or an awaitable."""
        values: list[Secret] = []
        for argument in self._arguments(names):
            value = self._provided(argument)
            if isawaitable(value.reveal()):
                return self._awaited(names, values, value)
            values.append(value)
        return self._made(names, values)

    async def _awaited(
        self, names: tuple[str, ...], values: list[Secret], value: Secret
    ) -> Credential:
        """Go on where the first awaitable was returned. Others are made after it was awaited."""
        values.append(Secret(await value.reveal()))
        for argument in self._arguments(names)[len(values) :]:
            value = self._provided(argument)
            is_async = isawaitable(value.reveal())
            values.append(Secret(await value.reveal()) if is_async else value)
        return self._made(names, values)

    def _provided(self, argument: str) -> Secret:
        given = self._given[argument]
        return given if isinstance(given, Secret) else Secret(given())

    def _arguments(self, names: tuple[str, ...]) -> list[str]:
        return [one for name in names for one in self._api.schemes[name].arguments]

    def _made(self, names: tuple[str, ...], values: list[Secret]) -> Credential:
        rest, secrets = iter(values), list[Secret]()
        parts: list[tuple[Scheme, Secret]] = []
        for name in names:
            scheme = self._api.schemes[name]
            found: list[Secret] = []
            for argument in scheme.arguments:
                value = next(rest)
                _check(argument, value, scheme)
                # The characters themselves, as `str` of an Enum member or a subclass may differ.
                found.append(Secret(*strings_in(value.reveal())))
            sent = found[0] if len(found) == 1 else _basic(*found)
            parts.append((scheme, sent))
            secrets += dict.fromkeys([*found, sent])
        return Credential(parts, tuple(secrets))


def wrapped(given: Any) -> Any:
    """Wrap a credential that was passed as a string; return a function unchanged."""
    return given if callable(given) else hide(given)


def _basic(username: Secret, password: Secret) -> Secret:
    """Return what HTTP's Basic authentication sends (RFC 7617)."""
    from base64 import b64encode  # on first use, as few APIs need it

    return Secret(b64encode(f"{username.reveal()}:{password.reveal()}".encode()).decode())


def _check(name: str, given: Secret, scheme: Scheme) -> None:
    problem = _problem_of_basic(name, given) if len(scheme.arguments) > 1 else _problem(given)
    if scheme.place == "cookie" and not (problem or _COOKIE.fullmatch(given.reveal())):
        problem = 'contains a character that a cookie cannot have, such as ";"'
    if problem:
        raise ConfigurationError(f"{name} {problem}")


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


def _problem_of_basic(name: str, given: Secret) -> str:
    """Return what is wrong with a user name or password, like `_problem`."""
    text = given.reveal()
    if not isinstance(text, str):
        return "must be a string"
    if len(text) > MAX_SECRET_LENGTH:
        return f"must have at most {MAX_SECRET_LENGTH} characters"
    if not text.isprintable():
        return "contains a control character; check that it was copied completely"
    if name.endswith("username") and ":" in text:
        return "must not contain a colon"
    return ""
