"""The bodies of requests as bytes, with their media types. No I/O."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar, cast

from attrs import field, frozen

from ._codecs import encode_string
from ._encoding import encode_body, encode_form, encode_header, revealed, text_of
from ._errors import ArgumentError, ArgumentValueError, mismatch, wrong_type
from ._secrets import Secret, encode_secret

T = TypeVar("T")


@frozen
class File:
    """A file to upload, with the name and the media type that the server is told.

    Attributes:
        content: Content of the file.
        filename: Name of the file, without folders; `None` sends `upload`, as servers take a part
            without a file name for text.
        content_type: Media type, such as `image/png`; `None` sends what the API documents, else
            `application/octet-stream`.
    """

    __module__ = "oneloop"

    content: bytes = field(repr=False)
    filename: str | None = None
    content_type: str | None = None


def encode_file(value: Any) -> File:
    """Return `bytes` or a `File` as a `File` whose name and media type can be sent.

    Raises:
        ArgumentTypeError: The value is neither, or its content is not `bytes`.
        ArgumentValueError: Its name or its media type could break out of its header.
    """
    file = value if isinstance(value, File) else File(value)
    if not isinstance(cast("Any", file.content), bytes):
        raise wrong_type("bytes or a File (call read() on an open file)", file.content)
    if file.filename is not None:
        try:
            _disposition(encode_string(file.filename, min_length=1))
        except ArgumentError as error:
            raise error.under("filename") from None
    if file.content_type is not None:
        try:
            encode_header(encode_string(file.content_type, min_length=1))
        except ArgumentError as error:
            raise error.under("content_type") from None
    return file


def decode_file(value: Any) -> bytes | File:
    """Return the file in a field of a form, or raise `DecodeError`: JSON has no files."""
    if not isinstance(value, bytes | File):
        raise mismatch("a file", value)
    return value


def encode_text(body: Any, content_type: str) -> tuple[bytes, str]:
    """Encode a body that is text, as UTF-8, and return it with its media type."""
    return text_of(revealed(body)).encode(), content_type


def encode_bytes(body: File, content_type: str) -> tuple[bytes, str]:
    """Return a body that is a file as it is, with its media type."""
    return body.content, body.content_type or content_type


def encode_form_body(
    body: Any, content_type: str, styles: Mapping[str, tuple[str, bool, bool]] | None = None
) -> tuple[bytes, str]:
    """Encode an object as a URL-encoded form, and return it with its media type.

    Args:
        body: The object. Fields that are `None` are not sent.
        content_type: The media type.
        styles: Style, `explode` and `allowReserved` of fields. A field without them is written as
            JSON if it is an object, and repeated if it is a list.

    Raises:
        ArgumentError: The body is not an object, or an item contains the separator of its style.
    """
    styles = styles or {}

    def encoded(key: str, value: Any) -> str:
        default = ("json" if isinstance(value, dict) else "form", True, False)
        style, explode, reserved = styles.get(key, default)
        if value is None:
            return ""
        return encode_form(key, value, style, explode=explode, reserved=reserved)

    texts = _written(body, lambda item: _fields(item, encoded))
    return "&".join(filter(None, texts)).encode(), content_type


def encode_multipart(
    body: Any, content_type: str, types: Mapping[str, str] | None = None
) -> tuple[bytes, str]:
    """Encode an object as a form with files, and return it with its media type and boundary.

    Each item of a list is a part of its own.

    Args:
        body: The object. Fields that are `None` are not sent.
        content_type: The media type.
        types: Media types of fields. By default, objects are JSON and everything else is text.

    Raises:
        ArgumentError: The body is not an object, or the name of a field could break out of its
            header.
    """
    types = types or {}

    def encoded(key: str, value: Any) -> list[tuple[bytes, bytes]]:
        items: list[Any] = cast("Any", value) if isinstance(value, list) else [value]
        return [_part(key, one, types.get(key)) for one in items if one is not None]

    found = _written(body, lambda item: _fields(item, encoded))
    parts = [part for several in found for part in several]
    boundary = os.urandom(16).hex()
    while any(boundary.encode() in content for _, content in parts):
        boundary = os.urandom(16).hex()
    marker = b"--" + boundary.encode()
    lines = [marker + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n" for head, content in parts]
    return b"".join([*lines, marker, b"--\r\n"]), f"{content_type}; boundary={boundary}"


def _part(name: str, value: Any, media: str | None) -> tuple[bytes, bytes]:
    """Return the headers and the content of one part of a form."""
    head = f'Content-Disposition: form-data; name="{_disposition(name)}"'
    if isinstance(value, File):
        head += f'; filename="{_disposition(value.filename or "upload")}"'
        content = value.content
        media = value.content_type or media or "application/octet-stream"
    elif isinstance(value, list | dict) or (media and "json" in media):
        content, media = encode_body(value), media or "application/json"
    else:
        content = text_of(value).encode()
    return f"{head}\r\nContent-Type: {media}".encode() if media else head.encode(), content


def _disposition(text: str) -> str:
    """Return a name as it stands in quotes, encoded as browsers do (HTML, section 4.10.22.8)."""
    if any(one < " " or one in "\x7f\\" for one in text):
        raise ArgumentValueError("must not contain a control character or a backslash")
    return text.replace('"', "%22")


def _fields(body: Any, encode: Callable[[str, Any], T]) -> list[T]:
    """Encode each field of an object, whether or not it is secret."""
    if not isinstance(body, dict):
        raise wrong_type("a dict", body)
    encoded: list[T] = []
    for key, value in cast("dict[str, Any]", body).items():
        try:
            encoded.append(_written(value, partial(encode, key)))
        except ArgumentError as error:
            raise error.under(key) from None
    return encoded


def _written(value: Any, encode: Callable[[Any], T]) -> T:
    """Encode a value that may be secret. If it is, an error does not show it."""
    if isinstance(value, Secret):
        return cast("T", encode_secret(value, encode).reveal())
    return encode(value)
