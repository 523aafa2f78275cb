"""Round trips of a generated package: calls over HTTP, and answers that are written back.

The document decides what is right. The arguments and the answers are made from its schemas, the
server reads requests as its styles and media types say.
"""

import http.client
import importlib
import inspect
import json
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field

from oneloop import OneloopError, RetryPolicy, transport
from oneloop_core import ArgumentError

from .arguments import Method, Place, UnmappedError, plain, written
from .documents import Document, Operation
from .instances import Maker, Mode, NoInstanceError, component
from .server import Book, serving
from .wire import (
    Received,
    body_matches,
    in_cookie,
    in_header,
    in_path,
    in_query,
    is_json,
    same,
)

MODES: tuple[Mode, ...] = ("required", "all", "odd", "odd")
SHOWN = 10
"""Faults that a report explains."""


@define
class Result:
    """What the round trips of a package showed."""

    right: int = 0
    nulls: int = 0
    """Answers that were right but for a null, which was read as a field that was left out."""
    wrong: list[str] = field(factory=list)
    skipped: Counter[str] = field(factory=Counter)
    members: Counter[str] = field(factory=Counter)
    """Members of unions: right, wrong or undecidable."""

    def as_json(self) -> dict[str, Any]:
        """Return it for a report, with the first faults only."""
        return {
            "right": self.right,
            "nulls": self.nulls,
            "wrong": len(self.wrong),
            "faults": self.wrong[:SHOWN],
            "skipped": dict(self.skipped.most_common(8)),
            "members": dict(self.members),
        }


class Redirected:
    """A transport that sends what is for any host to the server on this machine."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc

    def send(self, request: transport.Request, limits: transport.Limits) -> transport.Response:
        """Send a request, without the path of its server."""
        connection = http.client.HTTPConnection(self._address, timeout=10)
        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(request.method, target, request.body, dict(request.headers))
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return transport.Response(response.status, tuple(response.getheaders()), body)

    def close(self) -> None:
        """Do nothing: each request has a connection of its own."""


def run(document: Document, package: str, seed: str, limit: int) -> Result:
    """Make calls of each operation of an imported package, at most `limit` operations."""
    modules = [
        importlib.import_module(one.name)
        for one in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
    ]
    classes = {
        name: one
        for module in modules
        if ".models." in module.__name__
        for name, one in vars(module).items()
        if isinstance(one, type) and one.__module__ == module.__name__
    }
    methods = {
        (one.OPERATION.method, re.sub("{.*?}", "{}", one.OPERATION.path)): Method(one, classes)
        for one in modules
        if hasattr(one, "OPERATION") and hasattr(one, "call")
    }
    result = Result()
    answers = {one.name: one for one in document.operations("response")}
    with serving() as book:
        clients = Clients(importlib.import_module(f"{package}.clients").Client, book.url)
        for operation in [*document.operations("request")][:limit]:
            key = operation.method.upper(), re.sub("{.*?}", "{}", operation.path)
            if key in methods:
                trips = Trips(document, operation, answers[operation.name], methods[key], seed)
                for mode in MODES:
                    trips.run(mode, clients, book, result)
    return result


class Clients:
    """A client for operations at the document's server, and one for those with their own."""

    def __init__(self, made: Any, url: str) -> None:
        parameters = inspect.signature(made).parameters.values()
        credentials = {
            one.name: "credential"
            for one in parameters
            if one.kind == one.KEYWORD_ONLY and one.name != "server"
        }
        options = {"base_url": url, "retry": RetryPolicy(attempts=1), **credentials}
        self._near = made(**options)
        self._far = made(**options, transport=Redirected(url))

    def method(self, method: Method) -> Any:
        """Return the bound method."""
        far = getattr(method.module.OPERATION, "server", None) is not None
        return getattr(self._far if far else self._near, method.name)


class Trips:
    """The round trips of one operation."""

    def __init__(
        self, document: Document, request: Operation, answer: Operation, method: Method, seed: str
    ) -> None:
        self._document, self._request, self._answer = document, request, answer
        self._method = method
        self._places: list[Place] = [(one["in"], one["name"]) for one in request.parameters]
        self._asks = Maker(document, "request", f"{seed} {request.name}")
        self._answers = Maker(document, "response", f"{seed} {request.name}")

    def run(self, mode: Mode, clients: Clients, book: Book, result: Result) -> None:
        """Make one call, and count whether it was right."""
        name = f"{self._request.name} ({mode})"
        try:
            values, media = self._values(mode)
            arguments = self._method.arguments(values, self._places)
            wanted = self._prepare(mode, book)
        except (NoInstanceError, UnmappedError) as reason:
            result.skipped[f"{type(reason).__name__}: {reason}"[:90]] += 1
            return
        book.received = None
        try:
            returned = clients.method(self._method)(**arguments)
        except (OneloopError, ArgumentError) as error:
            result.wrong.append(f"{name}: {type(error).__name__}: {error!s:.300}")
            return
        except Exception as error:  # noqa: BLE001 - a bug of the package, which is what we look for
            result.wrong.append(f"{name}: BUG {type(error).__name__}: {error!s:.300}")
            return
        problem = self._received(book.received, values, media) or _returned(wanted, returned)
        if problem:
            result.wrong.append(f"{name}: {problem}")
            return
        result.right += 1
        if wanted is not None and is_json(book.media):
            result.nulls += not same(written(returned), wanted[0])
            self._members(wanted[1], wanted[0], returned, result)

    def _values(self, mode: Mode) -> tuple[dict[Place, Any], str | None]:
        """Return a value for each parameter and the body, with its media type."""
        values: dict[Place, Any] = {}
        ignored = {"accept", "authorization", "content-type"}
        for one in self._request.parameters:
            where, name = one["in"], one["name"]
            if where == "header" and name.lower() in ignored:
                continue
            wanted = one.get("required") or where == "path" or mode == "all"
            if not wanted and (mode == "required" or len(name) % 2):
                continue
            content = one.get("content")
            schema = (
                next(iter(content.values())).get("schema", {}) if content else one.get("schema", {})
            )
            value = self._asks.make(schema, mode)
            if where == "path" and value == []:
                value = self._asks.make(schema, "all")
            if _is_undefined(one, value):
                if wanted:
                    raise NoInstanceError("containers or nulls in a list")
                continue
            if where in ("header", "cookie") and isinstance(value, str):
                value = re.sub(r"[^!#-+\--:<-~]", "x", value)
            if where == "path" and value in ("", ".", "..", []):
                raise NoInstanceError("an empty segment of the path")
            values[where, name] = value
        body = self._document.resolved(self._request.content.get("requestBody"), "request")
        content = (body or {}).get("content") or {}
        if not content or (mode == "required" and not body.get("required")):
            return values, None
        media = _preferred(content)
        value = self._asks.make(content[media].get("schema", True), mode)
        if not is_json(media) and isinstance(value, dict):
            # A form cannot have a null.
            value = {name: one for name, one in value.items() if not _has_null(one)}
            # OpenAPI does not say what `deepObject` means for a list.
            styles = content[media].get("encoding") or {}
            for name, one in styles.items():
                if one.get("style") == "deepObject" and isinstance(value.get(name), list):
                    del value[name]
        if value == {} and not body.get("required"):
            return values, None  # no field of an optional body: it need not be sent
        values[("body",)] = value
        return values, media

    def _prepare(self, mode: Mode, book: Book) -> tuple[Any, Any] | None:
        """Give the server an answer; return its value and schema, or None if it has no body."""
        responses = self._answer.content.get("responses") or {}
        good = [code for code in responses if str(code).startswith("2")]
        codes = sorted(good, key=lambda code: ("X" in code.upper(), code)) or ["default"]
        code = codes[(mode == "odd") * (len(codes) - 1)]
        book.status = int(code) if code.isdigit() else 200
        response = self._document.resolved(responses.get(code), "response") or {}
        content = response.get("content") or {}
        book.media, book.body = "", b""
        if not content or book.status in (204, 205) or self._request.method == "head":
            return None
        media = _preferred(content)
        schema = content[media].get("schema", True)
        value = self._answers.make(schema, mode)
        book.media = "application/json" if "*" in media else media
        if "*" in media and isinstance(schema, dict) and schema.get("format") == "binary":
            book.media = "application/octet-stream"
        is_text = isinstance(value, str) and not is_json(book.media)
        book.body = value.encode() if is_text else json.dumps(value).encode()
        if not is_json(book.media) and not is_text:
            raise NoInstanceError(f"an answer of {media} that is no text")
        return value, schema

    def _received(
        self, got: Received | None, values: dict[Place, Any], media: str | None
    ) -> str | None:
        """Return what is wrong with the request."""
        if got is None:
            return "the server got no request"
        if got.method.lower() != self._request.method:
            return f"method {got.method}"
        names = re.findall(r"\{(.*?)\}", self._request.path)
        pattern = re.sub(r"\\\{.*?\\\}", "([^/]*?)", re.escape(self._request.path))
        match = re.fullmatch(".*?" + pattern.replace(r"\ ", "%20"), got.path)
        if match is None:
            return f"path {got.path}"
        texts = dict(zip(names, match.groups(), strict=True))
        left = {name for name, _ in got.pairs}
        by_place = {(one["in"], one["name"]): one for one in self._request.parameters}
        for place, value in values.items():
            if place == ("body",):
                kind = self._sent_media(got, media or "")
                request = self._document.resolved(self._request.content["requestBody"], "request")
                problem = body_matches(got, kind, value, request["content"][kind].get("encoding"))
                if problem:
                    return problem
                continue
            parameter = by_place[place[0], place[1]]
            right = True
            if place[0] == "path":
                right = in_path(texts[place[1]], parameter, value)
            elif place[0] == "header":
                text = got.header(place[1])
                right = text is not None and in_header(text, parameter, value)
                right = right or (text is None and value in ([], None, {}))
            elif place[0] == "cookie":
                right = in_cookie(got.header("cookie"), parameter, value)
            else:
                used = in_query(got.pairs, parameter, value)
                absent = value in ([], None, {}) and place[1] not in left
                right = used is not None or absent
                left -= used or set()
            if not right:
                return f"{place[0]} {place[1]} = {value!r:.80}: got {got.target:.200}"
        if ("body",) not in values and got.body:
            return f"a body that was not given: {got.body[:80]!r}"
        return (
            f"query parameters that were not given: {left}"
            if left - credential_names(self._document)
            else None
        )

    def _sent_media(self, got: Received, media: str) -> str:
        """Return the media type that a body was sent as, if the document has it, else `media`."""
        body = self._document.resolved(self._request.content["requestBody"], "request")
        sent = (got.header("content-type") or "").partition(";")[0].strip()
        known = [one for one in body["content"] if one.partition(";")[0].strip() == sent]
        return known[0] if known and is_json(sent) and is_json(media) else media

    def _members(self, schema: Any, value: Any, returned: Any, result: Result) -> None:
        """Count which class each member of a union was read as."""
        for found, expected, others in unions(self._answers, schema, value, returned, 0):
            name = plain(type(found).__name__)
            if expected is None:
                result.members["undecidable"] += 1
            elif name == plain(expected):
                result.members["right"] += 1
            elif name in map(plain, others) or not hasattr(found, "to_dict"):
                result.members["wrong"] += 1
                text = f"{self._request.name}: {expected} was read as {type(found).__name__}"
                result.skipped[f"UNION {text}"[:150]] += 1
            else:
                result.members["renamed"] += 1


def credential_names(document: Document) -> set[str]:
    """Return the query parameters in which keys are sent."""
    schemes = (document.raw.get("components") or {}).get("securitySchemes") or {}
    found = [document.resolved(one) or {} for one in schemes.values()]
    return {one["name"] for one in found if one.get("in") == "query" and "name" in one}


def unions(
    maker: Maker, schema: Any, value: Any, returned: Any, depth: int
) -> Iterator[tuple[Any, str | None, list[str]]]:
    """Yield each object that is a member of a union: it, its component, and the other components.

    The component is None if the document does not decide: several members are valid.
    """
    whole = maker.merged(schema)
    if not isinstance(whole, dict) or depth > 8:
        return
    members = whole.get("oneOf") or whole.get("anyOf") or []
    names = [name for name in map(component, members) if name]
    if isinstance(value, dict) and len(names) > 1:
        yield returned, _decided(maker, whole, members, value), names
    if len(members) > 0:
        try:
            fitting = [one for one in members if maker.fits(one, value)]
        except NoInstanceError:
            return
        if len(fitting) == 1 and depth < 8:
            yield from unions(maker, fitting[0], value, returned, depth + 1)
    if isinstance(value, dict):
        properties = whole.get("properties", {})
        for name, one in value.items():
            inner = properties.get(name)
            if inner is not None:
                yield from unions(maker, inner, one, _field(returned, name), depth + 1)
    elif isinstance(value, list) and isinstance(returned, list) and "items" in whole:
        for one, read in zip(value, returned, strict=False):
            yield from unions(maker, whole["items"], one, read, depth + 1)


def _decided(
    maker: Maker, whole: dict[str, Any], members: list[Any], value: dict[str, Any]
) -> str | None:
    discriminator = whole.get("discriminator") or {}
    word = value.get(discriminator.get("propertyName"))
    mapping = discriminator.get("mapping") or {}
    names = [name for name in map(component, members) if name]
    if isinstance(word, str):
        target = mapping.get(word, word).rsplit("/", 1)[-1]
        if target in names:
            return target
    try:
        fitting = [component(one) for one in members if maker.fits(one, value)]
    except NoInstanceError:
        return None
    return fitting[0] if len(fitting) == 1 else None


def _field(model: Any, wire_name: str) -> Any:
    if isinstance(model, dict):
        return model.get(wire_name)
    for one in getattr(model, "__attrs_attrs__", ()):
        if plain(one.name) == plain(wire_name):
            return getattr(model, one.name)
    return getattr(model, "additional_properties", {}).get(wire_name)


def _preferred(content: dict[str, Any]) -> str:
    """Return the media type that a client should choose: JSON if there is any."""
    order = ("application/json", "+json", "json", "form", "text/")
    return min(
        content,
        key=lambda media: next((n for n, kind in enumerate(order) if kind in media), len(order)),
    )


def _has_null(value: Any) -> bool:
    return value is None or (isinstance(value, list) and any(map(_has_null, value)))


def _is_undefined(parameter: dict[str, Any], value: Any) -> bool:
    """Whether OpenAPI does not say how a value is written: nulls or containers in containers."""
    if "content" in parameter:
        return False
    inner = value if isinstance(value, list) else []
    inner = list(value.values()) if isinstance(value, dict) else inner
    deep = parameter.get("style") == "deepObject"
    if any(one is None for one in inner):
        return True
    return any(isinstance(one, dict) or (isinstance(one, list) and not deep) for one in inner)


def _returned(wanted: tuple[Any, Any] | None, returned: Any) -> str | None:
    if wanted is None:
        return None if returned in (None, "", b"") else f"returned {returned!r:.100}"
    got = written(returned)
    return difference(got, without_nulls(wanted[0], got))


def difference(got: Any, wanted: Any, place: str = "the answer") -> str | None:
    """Return the first place where what was written back differs from the answer."""
    if same(got, wanted):
        return None
    if isinstance(got, dict) and isinstance(wanted, dict):
        for key in [*wanted, *got]:
            if key not in got or key not in wanted:
                value = (wanted if key in wanted else got)[key]
                how = "is lost" if key in wanted else "was not there"
                return f"{place}.{key} {how}: {value!r:.80}"
            if not same(got[key], wanted[key]):
                return difference(got[key], wanted[key], f"{place}.{key}")
    if isinstance(got, list) and isinstance(wanted, list) and len(got) == len(wanted):
        for number, pair in enumerate(zip(got, wanted, strict=True)):
            if not same(*pair):
                return difference(*pair, f"{place}[{number}]")
    return f"{place}: {wanted!r:.80} came back as {got!r:.80}"


def without_nulls(value: Any, got: Any) -> Any:
    """Return JSON without the nulls of fields that are not in `got`."""
    if isinstance(value, dict) and isinstance(got, dict):
        left = {key: one for key, one in value.items() if one is not None or key in got}
        return {key: without_nulls(one, got.get(key)) for key, one in left.items()}
    if isinstance(value, list) and isinstance(got, list) and len(value) == len(got):
        return [without_nulls(*pair) for pair in zip(value, got, strict=True)]
    return value
