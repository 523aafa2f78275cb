"""A request as text: its JSON body, and parameters in its path, query, headers and cookies. No I/O.

Values are JSON, which the codecs have checked and encoded before. Styles are those of OpenAPI 3.0.4
and 3.1.1, which follow RFC 6570: separators are literal and everything else is percent-encoded.
Where a style is not defined, that is, for a list or an object inside another one, JSON is sent.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, cast
from urllib.parse import quote, unquote

from ._codecs import encode_string
from ._errors import ArgumentValueError
from ._secrets import Secret

# --- paths ---------------------------------------------------------------------------------------


def encode_path_segment(value: Any) -> str:
    """Encode a path parameter, so that it is exactly one segment of the path.

    Raises:
        ArgumentTypeError: The value is neither a string nor a number.
        ArgumentValueError: It is empty or a dot segment, which servers resolve to another path.
    """
    plain = isinstance(value, int | float)
    segment = text_of(value) if plain else encode_string(value, min_length=1)
    if segment in (".", ".."):
        raise ArgumentValueError("must not be a dot segment")
    return quote(segment, safe="")


def encode_path(name: str, value: Any, style: str = "simple", *, explode: bool = False) -> str:
    """Encode a path parameter of any type in one of the styles of paths.

    Args:
        name: Name of the parameter in the document, which `matrix` repeats.
        value: Value as JSON.
        style: `simple`, `label`, `matrix`, or `json` for a parameter with JSON as content.
        explode: Whether each item of a list or an object is a parameter of its own.

    Raises:
        ArgumentValueError: The result is empty or a dot segment, or there is nothing to send.
    """
    if style == "json":
        return quote(JSON.encode(value), safe="")
    items = [quote(text, safe="") for text in _texts(value)]
    is_object = explode and isinstance(value, dict)
    if is_object:
        items = _assigned(items)
    if style == "matrix":
        name = quote(name, safe="")
        whole = items if explode or not items else [",".join(items)]
        named = whole if is_object else [f"{name}={item}" if item else name for item in whole]
        text = "".join(f";{item}" for item in named)
    elif style == "label" and explode:
        # A dot is not percent-encoded elsewhere, but here it would begin another item.
        text = "".join(f".{item.replace('.', '%2E')}" for item in items)
    else:
        text = ",".join(items)
        if style == "label" and items:
            text = f".{text}"
    if not text:
        raise ArgumentValueError("must not be empty")
    if text.replace("%2E", ".") in (".", ".."):
        raise ArgumentValueError("must not be a dot segment")
    return text


# --- queries and forms ---------------------------------------------------------------------------

_RESERVED = ":/?@!$'()*,;="
"""Characters that `allowReserved` leaves as they are: the reserved ones (RFC 3986), except those
that would end the query, begin another parameter, or be read as something else."""

_SEPARATORS = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C"}


def encode_query(parameters: Iterable[Any]) -> str:
    """Return the query with a leading `?`, or an empty string if nothing is sent.

    Args:
        parameters: Names with values, of which a list becomes one parameter for each item and
            `None` is not sent, and texts that `encode_form` returned.
    """
    parts: list[str] = []
    for one in parameters:
        if isinstance(one, tuple):
            name, value = cast("tuple[str, Any]", one)
            parts.append(encode_form(name, revealed(value)))
        else:
            parts.append(revealed(one))
    query = "&".join(filter(None, parts))
    return f"?{query}" if query else ""


def encode_form(
    name: str, value: Any, style: str = "form", *, explode: bool = True, reserved: bool = False
) -> str:
    """Encode a parameter of a query or a field of a form, with its name.

    The result is empty if there is nothing to send: `None`, an empty list or an empty object.

    Args:
        name: Name of the parameter in the document.
        value: Value as JSON.
        style: `form`, `spaceDelimited`, `pipeDelimited`, `deepObject`, or `json` for a parameter
            with JSON as content.
        explode: Whether each item of a list or an object is a parameter of its own.
        reserved: Whether reserved characters are sent as they are. A percent sign is encoded
            nevertheless, so that the server reads the value that was given.

    Raises:
        ArgumentValueError: An item contains the separator of its style, so that the server would
            read two.
    """
    safe = _RESERVED if reserved else ""
    pairs: Iterable[tuple[str, Any]]
    if style == "json":
        pairs = [(name, JSON.encode(value))]
    elif style == "deepObject":
        pairs = _deep(name, value)
    elif explode or not isinstance(value, list | dict):
        pairs = _exploded(name, value)
    else:
        separator = _SEPARATORS[style]
        texts = list(_texts(value))
        if separator != "," and any(unquote(separator) in text for text in texts):
            raise ArgumentValueError(
                f"must not contain {unquote(separator)!r}, which separates items"
            )
        items = [quote(text, safe=safe.replace(",", "")) for text in texts]
        return f"{quote(name, safe='')}={separator.join(items)}" if items else ""
    return "&".join(
        f"{quote(key, safe='')}={quote(text_of(item), safe=safe)}" for key, item in pairs
    )


def _deep(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is in an object by its path, such as `filter[size][gt]` or `filter[ids][0]`."""
    if isinstance(value, dict | list):
        inner: Any = cast("Any", value)
        for key, item in inner.items() if isinstance(value, dict) else enumerate(inner):
            yield from _deep(f"{name}[{key}]", item)
    elif value is not None:
        yield name, value


def _exploded(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each item of a list under the same name, and each field of an object under its own."""
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            if isinstance(item, list):
                yield from _exploded(key, item)
            elif item is not None:
                yield key, item
        return
    for item in cast("Any", value) if isinstance(value, list) else [value]:
        if item is not None:
            yield name, item


# --- headers and cookies -------------------------------------------------------------------------


def encode_header(value: Any, style: str = "simple", *, explode: bool = False) -> str:
    """Encode a header parameter. Nothing in a header is percent-encoded.

    Args:
        value: Value as JSON. An empty list is sent as an empty header.
        style: `simple`, or `json` for a parameter with JSON as content.
        explode: Whether the fields of an object are written as `key=value`.

    Raises:
        ArgumentValueError: The value has characters other than printable ASCII, or a space at
            either end, so it cannot be sent in a header. Or an item contains a separator.
    """
    if style == "json":
        return _ASCII_JSON.encode(value)
    if not isinstance(value, list | dict):
        return _header(text_of(value))
    texts = list(map(_header, _texts(value)))
    if any("," in text for text in texts):
        raise ArgumentValueError("must not contain ',', which separates items")
    if explode and isinstance(value, dict):
        if any("=" in key for key in texts[::2]):
            raise ArgumentValueError("must not contain '=' in a key")
        texts = _assigned(texts)
    return ",".join(texts)


def _header(text: str) -> str:
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise ArgumentValueError("must be printable ASCII without a space at either end")
    return text


_COOKIE_NAME = "!#$&'*+-.^_`|~"
_COOKIE = "!#$&'()*+-./:<=>?@[]^_`{|}~"
"""Characters that a cookie may contain (RFC 6265), except the percent sign. They are not encoded,
because some servers do not decode cookies."""


def encode_cookie(
    name: str, value: Any, style: str = "form", *, explode: bool = True
) -> list[tuple[str, str | Secret]]:
    """Encode a cookie parameter as names and values of cookies, which are secret if it is.

    Args:
        name: Name of the parameter in the document.
        value: Value as JSON, or a secret with it.
        style: `form`, or `json` for a parameter with JSON as content.
        explode: Whether each item of a list or an object is a cookie of its own.
    """
    plain = revealed(value)
    if style == "json":
        pairs: Iterable[tuple[str, Any]] = [(name, quote(JSON.encode(plain), safe=_COOKIE))]
    elif explode or not isinstance(plain, list | dict):
        pairs = [(key, quote(text_of(item), safe=_COOKIE)) for key, item in _exploded(name, plain)]
    else:
        items = [quote(text, safe=_COOKIE) for text in _texts(plain)]
        pairs = [(name, ",".join(items))] if items else []
    wrap = Secret if isinstance(value, Secret) else str
    return [(quote(key, safe=_COOKIE_NAME), wrap(text)) for key, text in pairs]


# --- values --------------------------------------------------------------------------------------

# A secret is the only object in a checked body that is not a JSON type. The codecs have limited the
# depth, so that no list can contain itself.
_COMPACT: dict[str, Any] = {
    "separators": (",", ":"),
    "allow_nan": False,
    "check_circular": False,
    "default": Secret.reveal,
}
JSON = json.JSONEncoder(ensure_ascii=False, **_COMPACT)
"""Writes a checked value as compact JSON."""
_ASCII_JSON = json.JSONEncoder(**_COMPACT)


def encode_body(body: Any) -> bytes:
    """Encode a checked body as compact JSON."""
    return JSON.encode(body).encode()


def revealed(value: Any) -> Any:
    """Return a value that may be secret."""
    return value.reveal() if isinstance(value, Secret) else value


def text_of(value: Any) -> str:
    """Return a value as text: a string as it is, and everything else as JSON."""
    if isinstance(value, str):
        return str.__str__(value)  # as in `encode_string`
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return JSON.encode(value)


def _texts(value: Any) -> Iterator[str]:
    """Yield the items of a list, the keys and values of an object in turn, or a scalar."""
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            if item is not None:
                yield key
                yield text_of(item)
        return
    for item in cast("Any", value) if isinstance(value, list) else [value]:
        if item is not None:
            yield text_of(item)


def _assigned(texts: list[str]) -> list[str]:
    """Return keys and values in turn as `key=value`."""
    return [f"{key}={item}" for key, item in zip(texts[::2], texts[1::2], strict=True)]
