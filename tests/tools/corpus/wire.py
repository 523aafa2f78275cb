"""Reads requests as OpenAPI's styles and media types say, and compares them with JSON values.

It shares no code with the generator or the client.
"""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from email import message_from_bytes
from typing import Any
from urllib.parse import unquote, unquote_plus

from attrs import frozen


@frozen
class Received:
    """A request as a server got it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def path(self) -> str:
        """The path, percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The names, decoded, and values, percent-encoded, of the query."""
        return split_pairs(self.target.partition("?")[2])

    def header(self, name: str) -> str | None:
        """Return the values of a header, joined; None if there is none."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None


def split_pairs(text: str) -> list[tuple[str, str]]:
    """Return the names, decoded, and the values, as they are, of a query or form."""
    found = [part.partition("=") for part in text.split("&") if part]
    return [(unquote_plus(name), value) for name, _, value in found]


def same(got: Any, wanted: Any) -> bool:
    """Whether two JSON values mean the same; 1 and 1.0 do, and so does a time in another zone."""
    if isinstance(wanted, dict):
        return (
            isinstance(got, dict)
            and got.keys() == wanted.keys()
            and all(same(got[key], wanted[key]) for key in wanted)
        )
    if isinstance(wanted, list):
        return (
            isinstance(got, list)
            and len(got) == len(wanted)
            and all(same(*pair) for pair in zip(got, wanted, strict=True))
        )
    if isinstance(got, bool) or isinstance(wanted, bool):
        return got is wanted
    if isinstance(got, str) and isinstance(wanted, str) and got != wanted:
        return moment(got) is not None and moment(got) == moment(wanted)
    return bool(got == wanted)


def moment(text: str) -> float | None:
    """Return the seconds since the epoch of a date and time, to the millisecond."""
    if "T" not in text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo is None else round(found.timestamp(), 3)


def same_text(text: str, wanted: Any) -> bool:
    """Whether a text, decoded, is what a scalar is written as."""
    if isinstance(wanted, bool):
        return text == ("true" if wanted else "false")
    if isinstance(wanted, int | float):
        try:
            return float(text) == wanted
        except ValueError:
            return False
    if wanted is None:
        return text in ("", "null")
    if isinstance(wanted, list | dict):
        try:
            return same(json.loads(text), wanted)
        except ValueError:
            return False
    return same(text, wanted)


def parts_match(parts: list[str], wanted: list[Any]) -> bool:
    """Whether percent-encoded texts are the items of a list."""
    pairs = list(zip(parts, wanted, strict=False))
    return len(parts) == len(wanted) and all(same_text(unquote(got), one) for got, one in pairs)


def flat(value: dict[str, Any]) -> list[Any]:
    """Return names and values of an object in turn."""
    return [one for pair in value.items() for one in pair]


def pairs_match(pairs: Iterable[tuple[str, str]], wanted: dict[str, Any]) -> bool:
    """Whether names and percent-encoded values are the fields of an object, in any order."""
    found = list(pairs)
    return len(found) == len(wanted) and all(
        name in wanted and same_text(unquote(value), wanted[name]) for name, value in found
    )


def alternating(parts: list[str]) -> list[tuple[str, str]]:
    """Return pairs of texts that follow each other."""
    names = [unquote(one) for one in parts[::2]]
    return list(zip(names, parts[1::2], strict=False)) if len(parts) % 2 == 0 else [("", "")]


def split(text: str, separator: str) -> list[str]:
    """Split a text at each separator; an empty text has no parts."""
    return text.split(separator) if text else []


def simple(text: str, value: Any, explode: bool, separator: str = ",") -> bool:
    """Whether a percent-encoded text is a value in the style `simple`."""
    if isinstance(value, list):
        return parts_match(split(text, separator), value)
    if isinstance(value, dict):
        parts = split(text, separator)
        exploded = [one.partition("=") for one in parts]
        pairs = [(unquote(name), rest) for name, _, rest in exploded]
        return pairs_match(pairs if explode else alternating(parts), value)
    return same_text(unquote(text), value)


def in_path(text: str, parameter: dict[str, Any], value: Any) -> bool:
    """Whether the text in a path, percent-encoded, is the value of a parameter."""
    style, explode = parameter.get("style", "simple"), parameter.get("explode", False)
    if "content" in parameter:
        return same_text(unquote(text), value) or same(_loaded(unquote(text)), value)
    if style == "label":
        separator = "." if explode else ","
        return text.startswith(".") and simple(text[1:], value, explode, separator)
    if style == "matrix":
        name = re.escape(parameter["name"])
        if explode and isinstance(value, list | dict):
            found = [one.partition("=") for one in text.split(";")[1:]]
            if isinstance(value, dict):
                return pairs_match([(unquote(key), one) for key, _, one in found], value)
            keys = {unquote(key) for key, _, _ in found}
            return keys == {parameter["name"]} and parts_match([one for _, _, one in found], value)
        match = re.fullmatch(f";{name}(?:=(.*))?", text)
        return match is not None and simple(match[1] or "", value, explode=False)
    return simple(text, value, explode)


def in_query(
    pairs: list[tuple[str, str]], parameter: dict[str, Any], value: Any
) -> set[str] | None:
    """Return the names in a query that are a parameter's; None if it has not this value."""
    name, style = parameter["name"], parameter.get("style", "form")
    explode = parameter.get("explode", style == "form")
    own = [one for key, one in pairs if key == name]
    if "content" in parameter:
        fits = len(own) == 1 and same(_loaded(unquote_plus(own[0])), value)
        return {name} if fits else None
    if style == "deepObject" and isinstance(value, dict):
        wanted = {f"{name}[{key}]": one for key, one in value.items()}
        for key, one in wanted.items():
            got = [text for found, text in pairs if found in (key, f"{key}[]")]
            if not (parts_match(got, one if isinstance(one, list) else [one])):
                return None
        return {*wanted, *(f"{key}[]" for key in wanted)}
    plain = [one.replace("+", "%20") for one in own]
    if isinstance(value, list):
        if explode:
            return {name} if parts_match(plain, value) else None
        separators = {"spaceDelimited": "%20", "pipeDelimited": "|"}
        separator = separators.get(style, ",")
        text = ",".join(plain).replace("%7C", "|") if separator == "|" else ",".join(plain)
        fits = len(plain) <= 1 and parts_match(split(text, separator), value)
        return {name} if fits else None
    if isinstance(value, dict):
        if explode:
            found = [(key, one) for key, one in pairs if key in value]
            # Another parameter may have fields of the same names.
            pair = {key: [one for name, one in found if name == key] for key in value}
            fits = all(
                any(same_text(unquote_plus(one), value[key]) for one in pair[key]) for key in pair
            )
            return set(value) if fits else None
        fits = len(plain) == 1 and pairs_match(alternating(split(plain[0], ",")), value)
        return {name} if fits else None
    return {name} if len(plain) == 1 and same_text(unquote(plain[0]), value) else None


def in_header(text: str, parameter: dict[str, Any], value: Any) -> bool:
    """Whether the text of a header is the value of a parameter."""
    if "content" in parameter:
        return same(_loaded(text), value)
    whole = re.sub(r",\s+", ",", text) if isinstance(value, list | dict) else text
    explode = parameter.get("explode", False)
    return simple(whole, value, explode) or same_text(text, value)


def in_cookie(header: str | None, parameter: dict[str, Any], value: Any) -> bool:
    """Whether a cookie has the value of a parameter."""
    found = [one.strip().partition("=") for one in (header or "").split(";")]
    # A plus in a cookie is no space.
    pairs = [(unquote(name), text.replace("+", "%2B")) for name, _, text in found]
    return (
        in_query(pairs, {"explode": not isinstance(value, list | dict), **parameter}, value)
        is not None
    )


def body_matches(
    received: Received, media: str, value: Any, encoding: dict[str, Any] | None = None
) -> str | None:
    """Return what is wrong with a body, given its media type in the document and its value.

    Args:
        received: The request.
        media: The media type that the document has for the body.
        value: The value that was given.
        encoding: The styles of the fields of a form.
    """
    sent = (received.header("content-type") or "").lower()
    kind = media.partition(";")[0].strip().lower()
    if "*" not in kind and sent.partition(";")[0].strip() != kind:
        return f"Content-Type {sent!r}, not {kind}"
    if is_json(kind):
        got = _loaded(received.body.decode("utf-8", "replace"))
        return None if same(got, value) else f"body {received.body[:200]!r}"
    if kind == "application/x-www-form-urlencoded":
        pairs = [
            (name, one.replace("+", "%20")) for name, one in split_pairs(received.body.decode())
        ]
        left = {name for name, _ in pairs}
        for name, one in value.items():
            used = in_query(pairs, {**(encoding or {}).get(name, {}), "name": name}, one)
            if used is None:
                texts = [text for key, text in pairs if key == name]
                if not (len(texts) == 1 and same_text(unquote(texts[0]), one)):
                    return f"form field {name}: {received.body[:200]!r}"
                used = {name}
            left -= used
        return f"form fields {left} were not given" if left else None
    if kind == "multipart/form-data":
        return _multipart(received, value)
    if isinstance(value, str):
        return None if received.body == value.encode() else f"body {received.body[:200]!r}"
    return f"media type {kind} is not known to the server"


def _multipart(received: Received, value: dict[str, Any]) -> str | None:
    content_type = received.header("content-type") or ""
    message = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + received.body)
    fields: dict[str, list[str]] = {}
    for part in message.get_payload() if message.is_multipart() else ():
        payload = part.get_payload(decode=True)
        name = str(part.get_param("name", header="content-disposition"))
        fields.setdefault(name, []).append(payload.decode("utf-8", "replace"))
    wanted = {name: one for name, one in value.items() if one != []}
    if fields.keys() != wanted.keys():
        return f"parts {sorted(fields)}, not {sorted(wanted)}"
    for name, one in wanted.items():
        whole = len(fields[name]) == 1 and same_text(fields[name][0], one)
        items = isinstance(one, list) and len(one) == len(fields[name])
        if not whole and not (items and all(map(same_text, fields[name], one))):
            return f"part {name}: {fields[name]!r:.200}"
    return None


def is_json(media: str) -> bool:
    """Whether a media type is JSON."""
    kind = media.partition(";")[0].strip().lower()
    return kind.endswith(("/json", "+json")) or kind == "*/*"


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return f"not JSON: {text}"
