"""Requests beyond the document: `client.request`, and the extras of `with_options`.

Arguments arrive wrapped, because they may contain secrets and error trackers show the local
variables of frames. So a function that looks at a plain value returns what is wrong with it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import quote, unquote

from attrs import define, field

from oneloop_core import (
    Answer,
    ArgumentError,
    ArgumentValueError,
    Call,
    Definition,
    Operation,
    Secret,
    Unset,
    encode_body,
    encode_form,
    encode_json,
    encode_map,
    encode_string,
    wrong_type,
)

from ._settings import RESERVED_HEADERS, merged_headers

T = TypeVar("T")

SAFE_METHODS = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")
"""Methods that may be sent twice, unless `safe` says otherwise."""

_FREE_HEADERS = RESERVED_HEADERS - {"content-type"}

_TYPE = "content-type"

_METHOD = re.compile(r"[A-Z]+(-[A-Z]+)*")
_PATH = "/%!$&'()*+,;=:@~-._"
"""Characters of a path that are not percent-encoded (RFC 3986)."""
_JSON_TYPE = re.compile(
    r"(application|text)/([\w.!#$&^-]+\+)?json\s*(;|$)", re.ASCII | re.IGNORECASE
)


class Extras:
    """What a client lays over its requests. Its repr shows nothing.

    Attributes:
        body: Members of JSON objects.
        query: Encoded parameters by their names; empty if the parameter is to be removed.
        headers: Values by the names of headers; `None` if the header is to be removed.
    """

    __slots__ = ("body", "headers", "query")

    def __init__(
        self, body: dict[str, Any], query: dict[str, str], headers: dict[str, str | None]
    ) -> None:
        self.body = body
        self.query = query
        self.headers = headers


@define
class ExtendedCall(Call[T]):
    """A call that sends more than its operation describes.

    Attributes:
        shown_target: Path and query without what was added, which may be secret.
    """

    shown_target: str = field(default="", repr=False)


def requested(
    api: Definition, method: Any, path: Any, body: Any, query: Any, headers: Any, safe: Any
) -> ExtendedCall[Any]:
    """Return the call of `client.request`. `body`, `query` and `headers` are wrapped.

    Raises:
        ArgumentError: An argument may not be sent.
    """
    try:
        method, path = _checked("method", method, _method), _checked("path", path, _path)
        if not isinstance(safe, bool | None):
            raise wrong_type("True, False or None", safe).under("safe")
        # Not revealed yet, as the next argument may be refused.
        body = _checked("json", body, lambda given: encode_body(encode_json(given)))
        query = _checked("query", query, lambda given: _query(api, given))
        headers = _checked("headers", headers, lambda given: _headers(api, {}, given))
    except ArgumentError as error:
        error.operation = "request"
        raise
    method, path = method.reveal(), path.reveal()
    operation = Operation[Any](
        name="request",
        method=method,
        path=path,
        safe=method in SAFE_METHODS if safe is None else safe,
        decode=None,
        answers=(Answer(200, 299, "json or nothing", lambda parsed: parsed),),
    )
    content = None if isinstance(body, Unset) else body.reveal()
    call = ExtendedCall(operation, path, body=content, shown_target=path)
    return extended(call, Extras({}, query.reveal(), headers.reveal()))


def changed(
    old: Extras | None, api: Definition, body: Any, query: Any, headers: Any
) -> Extras | None:
    """Return the extras of a client that `with_options` makes, which are laid over the old ones.

    An argument that is `UNSET` changes nothing, and `None` removes the old ones.

    Raises:
        ArgumentError: One of them may not be sent.
    """
    old = old or Extras({}, {}, {})
    body = _checked("extra_body", body, lambda given: _members(old.body, given))
    query = _checked("extra_query", query, lambda given: _query(api, given, old.query))
    headers = _checked("extra_headers", headers, lambda given: _headers(api, old.headers, given))
    new = Extras(
        old.body if isinstance(body, Unset) else body.reveal(),
        old.query if isinstance(query, Unset) else query.reveal(),
        old.headers if isinstance(headers, Unset) else headers.reveal(),
    )
    return new if new.body or new.query or new.headers else None


def extended(call: Call[T], extras: Extras) -> ExtendedCall[T]:
    """Lay extras over a call.

    Raises:
        ArgumentError: There is an extra body, but the operation sends no JSON object.
    """
    body = _with_members(call, extras) if extras.body else call.body
    kept = _without(call.target, extras.query)
    shown = _without(getattr(call, "shown_target", call.target), extras.query)
    added = "&".join(filter(None, extras.query.values()))
    replaced = {name.lower(): value for name, value in extras.headers.items()}
    return ExtendedCall(
        call.operation,
        f"{kept}{'&' if '?' in kept else '?'}{added}" if added else kept,
        body=body,
        headers=(
            *((name, value) for name, value in call.headers if name.lower() not in replaced),
            *((one, value) for one, value in extras.headers.items() if one.lower() != _TYPE),
        ),
        secrets=call.secrets,
        content_type=replaced.get(_TYPE) or call.content_type,
        cookies=call.cookies,
        shown_target=shown,
    )


def _with_members(call: Call[Any], extras: Extras) -> bytes:
    """Return the body of a call with the members of the extra body."""
    body = _laid_over(call, extras)
    if isinstance(body, str):
        error = ArgumentValueError(f"cannot be added: {call.operation.name} sends {body}")
        error.operation = call.operation.name
        raise error.under("extra_body")
    return body


def _laid_over(call: Call[Any], extras: Extras) -> bytes | str:
    """Return the body, or what is sent instead of a JSON object. Does not raise: this is plain."""
    if call.body is None:
        is_bodiless = call.operation.method in ("GET", "HEAD")
        return "no body" if is_bodiless else encode_body(extras.body)
    if not _JSON_TYPE.match(call.content_type or "application/json"):
        return "a body that is not JSON"
    body = json.loads(call.body)
    return encode_body(body | extras.body) if isinstance(body, dict) else "JSON but not an object"


def _checked(name: str, given: Any, check: Callable[[Any], Any]) -> Any:
    """Return what a check makes of an argument, wrapped; an argument that is `UNSET` as it is.

    Raises:
        ArgumentError: The check has failed. No frame that the error passes has the plain value.
    """
    if isinstance(given, Unset):
        return given
    found = _attempted(given if isinstance(given, Secret) else Secret(given), check)
    if isinstance(found, ArgumentError):
        raise found.under(name)
    return found


def _attempted(given: Secret, check: Callable[[Any], Any]) -> Secret | ArgumentError:
    """Return the error of a check instead of raising it, as these frames have the plain value."""
    try:
        return Secret(check(given.reveal()))
    except ArgumentError as error:
        failure = type(error)(error.problem)
        failure.argument = error.argument
        return failure


def _method(given: Any) -> str:
    method = encode_string(given).upper()
    if not _METHOD.fullmatch(method) or method in ("CONNECT", "TRACE"):
        raise ArgumentValueError("must be an HTTP method such as GET or POST")
    return method


def _path(given: Any) -> str:
    """Percent-encode a path. What is encoded already stays as it is."""
    path = encode_string(given)
    if not path.startswith("/") or path.startswith("//"):
        raise ArgumentValueError(
            'must start with one "/": it is the part of the URL after base_url, without a host'
        )
    if "?" in path:
        raise ArgumentValueError("must not contain a query; pass query= instead, or write %3F")
    if "#" in path:
        raise ArgumentValueError("must not contain a fragment; write %23 for the character itself")
    if not path.isprintable():
        raise ArgumentValueError("must not contain control characters")
    if any(segment in (".", "..") for segment in re.split(r"[/\\]", unquote(path))):
        raise ArgumentValueError('must not contain the segments "." and "..", also not encoded')
    return quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", path), safe=_PATH)


def _query(api: Definition, given: Any, old: dict[str, str] | None = None) -> dict[str, str]:
    """Return encoded parameters laid over others; those that are not sent are empty."""
    if given is None:
        return {}
    own = {one.name for one in api.schemes.values() if one.place == "query"}
    found = dict(old or {})
    for name, value in _pairs(given):
        if name in own:
            raise ArgumentValueError(f"must not include {name}, which the client sets itself")
        try:
            found[name] = encode_form(name, _parameter(value))
        except ArgumentError as error:
            raise error.under(name) from None
    return found


def _parameter(value: Any) -> Any:
    """Check the value of a parameter of the query: a scalar, or a list of them."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [_scalar(item) for item in cast("Any", value)]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | None):
        raise wrong_type("a string, a number, a boolean, None or a list of these", value)
    return encode_json(value)


def _headers(api: Definition, old: dict[str, str | None], given: Any) -> dict[str, str | None]:
    """Return headers laid over others; those that are to be removed are `None`."""
    if given is None:
        return {}
    headers = merged_headers(old, Secret(given), api, _FREE_HEADERS, may_remove=True)
    if isinstance(headers, str):
        raise ArgumentValueError(f"must {headers}")
    if any(name.lower() == _TYPE and value is None for name, value in headers.items()):
        raise ArgumentValueError("must not remove Content-Type, which says how to read the body")
    return headers


def _members(old: dict[str, Any], given: Any) -> dict[str, Any]:
    return {} if given is None else old | encode_map(dict(_pairs(given)), encode_json)


def _pairs(given: Any) -> list[tuple[str, Any]]:
    """Return the items of a mapping."""
    if not isinstance(given, Mapping):
        raise wrong_type("a mapping of names to values", given)
    pairs = list(cast("Any", given).items())
    for name, _ in pairs:
        encode_string(name, min_length=1)
    return pairs


def _without(target: str, names: Mapping[str, str]) -> str:
    """Return a path and query without the parameters of these names."""
    path, _, query = target.partition("?")
    kept = [one for one in query.split("&") if unquote(one.partition("=")[0]) not in names]
    return f"{path}?{'&'.join(kept)}" if any(kept) else path
