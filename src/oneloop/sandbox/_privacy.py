"""Removes secrets from what the log keeps of a request."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.datastructures import Headers

from oneloop.sandbox._calls import Request

_HIDDEN = "***"

_LONGEST_BODY = 16_384
"""Characters of a body that the log keeps."""

_SECRET_NAME = re.compile(r"auth|cookie|secret|token|passw|(?:api|access)[_-]?key", re.IGNORECASE)
"""Names of headers and parameters whose values are not shown."""

_SCHEME = re.compile(r"(?:basic|bearer) ", re.IGNORECASE)

_BEFORE_A_TOKEN = re.compile(r"/link-token/", re.IGNORECASE)
"""What a token follows in a path."""


class Privacy:
    """What may be shown of requests.

    Args:
        document: the API's document. Fields that it gives the format ``password`` are secret,
            wherever a field of that name occurs.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._secret_fields = frozenset(_secret_fields(document))

    def headers(self, headers: Headers) -> Mapping[str, str]:
        """Return the headers; of a credential no more than its scheme, if that is a usual one."""
        shown: dict[str, str] = {}
        for name in headers:
            values = headers.getlist(name)
            if _SECRET_NAME.search(name):
                values = [_hidden(value) for value in values]
            shown[name] = ", ".join(values)
        return shown

    def body(self, body: bytes) -> str | None:
        """Return a body as `ReceivedRequest.body` says."""
        if not body:
            return ""
        try:
            read = json.loads(body)
            text = json.dumps(self._without_secrets(read), separators=(",", ":"))
        except (ValueError, RecursionError):
            return None
        return text if len(text) <= _LONGEST_BODY else None

    def target(self, request: Request) -> str:
        """Return path and query as sent, without a link token."""
        path = request.raw_path.decode("latin-1")
        plain = unquote_to_bytes(request.raw_path).decode("latin-1")
        token = _BEFORE_A_TOKEN.search(plain)
        if token is not None and token.end() < len(plain):
            path = quote(plain[: token.end()].encode("latin-1")) + _HIDDEN
        if not request.query:
            return path
        parts = request.query.decode("latin-1").split("&")
        return f"{path}?{'&'.join(map(self._shown_parameter, parts))}"

    def _shown_parameter(self, part: str) -> str:
        name, equals, value = part.partition("=")
        return f"{name}{equals}{_HIDDEN}" if value and self._is_secret(unquote(name)) else part

    def _is_secret(self, name: str) -> bool:
        return name in self._secret_fields or _SECRET_NAME.search(name) is not None

    def _without_secrets(self, value: object) -> object:
        if isinstance(value, dict):
            return {
                name: _HIDDEN if self._is_secret(name) else self._without_secrets(member)
                for name, member in cast(dict[str, object], value).items()
            }
        if isinstance(value, list):
            return [self._without_secrets(item) for item in cast(list[object], value)]
        return value


def _hidden(credential: str) -> str:
    scheme = _SCHEME.match(credential)
    return f"{scheme[0] if scheme else ''}{_HIDDEN}"


def _secret_fields(part: object) -> Iterator[str]:
    """Yield the names of all properties with the format of a password, at any depth."""
    if isinstance(part, list):
        for item in cast(list[object], part):
            yield from _secret_fields(item)
    elif isinstance(part, dict):
        members = cast(dict[str, Any], part)
        for name, schema in members.get("properties", {}).items():
            if schema.get("format") == "password":
                yield name
        for member in members.values():
            yield from _secret_fields(member)
