"""Operations as the templates print them."""

import re
from collections.abc import Iterable
from operator import attrgetter

from attrs import asdict, frozen

import oneloop_core
from codegen._errors import GenerationError
from codegen._kinds import Class, ListOf, Model, Nullable, Property, classes
from codegen._literals import quoted
from codegen._parser import Endpoint

from . import names
from .docstrings import item, layout, line, sentence

SAFE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
"""Methods that HTTP calls idempotent (RFC 9110, section 9.2.2): they may be sent twice."""

CERTAINTIES = {
    "published": "",
    "partial": "The start of its page was seen; the rest was inferred.",
    "rendered": "Its page was seen as rendered only, not as a document; parts of it were inferred.",
    "client": "No page was seen: it is known from the vendor's own clients only.",
}
"""Remarks of docstrings on the values of `x-certainty`; the vendor's own page needs no remark."""

PATH = re.compile(r"/[\w/{}.~!$&'()*+,;=:@%-]*", re.ASCII)
"""What a path may consist of (RFC 3986), with braces around the names of parameters."""

IGNORED_HEADERS = frozenset({"accept", "authorization", "content-type"})
"""Header parameters that OpenAPI ignores: the client sends these headers by itself."""


@frozen
class Argument:
    """An argument of a client method."""

    name: str
    source: Property
    location: str
    """`path`, `query`, `header`, `field` (of the body) or `body`."""
    group: Property | None = None
    """The object in the body that it is a field of, as `billing_usage` is of `billing`."""

    @property
    def required(self) -> bool:
        return self.source.required and (self.group is None or self.group.required)

    @property
    def nullable(self) -> bool:
        """Whether None means null, so that "left out" is UNSET."""
        return isinstance(self.source.kind, Nullable)

    @property
    def declaration(self) -> str:
        """Its part of a signature: name, type and, if it may be left out, default."""
        plain = f"{self.name}: {self.source.kind.argument}"
        if self.required:
            return plain
        return f"{plain} | Unset = UNSET" if self.nullable else f"{plain} | None = None"

    @property
    def given(self) -> str:
        """A condition that is true if it was given; empty if it is required."""
        if self.required:
            return ""
        name = self.name
        return f"not isinstance({name}, Unset)" if self.nullable else f"{name} is not None"

    def encoded(self, function: str = "{}") -> str:
        """Return an expression that checks and encodes the argument.

        Args:
            function: A call around it, which encodes it further for a path or a header.
        """
        kind = self.source.kind
        if not kind.secret:
            return function.format(kind.code("encode", self.name))
        encoder = kind.function("encode")
        if function != "{}":
            encoder = f"lambda item: {function.format(kind.code('encode', 'item'))}"
        return f"encode_secret({self.name}, {encoder})"


@frozen
class OperationView(Endpoint):
    """An operation."""

    arguments: list[Argument]
    """In the order of the signature."""

    def at(self, location: str) -> list[Argument]:
        """Return the arguments with one location."""
        return [one for one in self.arguments if one.location == location]

    def remark(self, extension: str) -> str:
        """Return the text of an extension, which is empty if it is missing."""
        return line(self.extensions.get(extension))

    @property
    def signature(self) -> str:
        """The method with the names of its arguments; in brackets, those that may be left out."""
        arguments = [one.name if one.required else f"[{one.name}]" for one in self.arguments]
        return f"{self.name}({', '.join(arguments)})"

    @property
    def safe(self) -> bool:
        """Whether it may be sent twice: by its method, or as an override says with its reason."""
        return self.method in SAFE_METHODS or bool(self.remark("x-safe-to-repeat"))

    @property
    def warning(self) -> str:
        """The words of a DeprecationWarning."""
        return f"{self.name} is deprecated" if self.deprecated else ""

    @property
    def secrets(self) -> list[str]:
        """The names of the arguments that must not be shown."""
        return [one.name for one in self.arguments if one.source.kind.secret]

    @property
    def groups(self) -> list[Property]:
        """The objects in the body whose fields are arguments."""
        return list(dict.fromkeys(one.group for one in self.arguments if one.group))

    def needed_with(self, argument: Argument) -> list[Argument]:
        """Return the other fields of an optional object that requires this one."""
        if argument.required or not argument.source.required:
            return []
        others = self.at("field")
        return [one for one in others if one.group == argument.group and one != argument]

    @property
    def returns(self) -> str:
        """The type of the answer."""
        return self.answer.annotation if self.answer else "None"

    @property
    def target(self) -> str:
        """The path as a string literal or an f-string."""
        by_name = {one.source.name: one for one in self.at("path")}
        if not by_name:
            return f'"{quoted(self.path)}"'
        texts = re.split(r"\{(\w+)\}", self.path)
        for index, text in enumerate(texts):
            if index % 2:
                reveal = ".reveal()" if by_name[text].source.kind.secret else ""
                texts[index] = f"{{_path_{by_name[text].name}{reveal}}}"
            else:
                texts[index] = quoted(text).replace("{", "{{").replace("}", "}}")
        return f'f"{"".join(texts)}"'

    @property
    def classes(self) -> list[Class]:
        """The models and enums that its signature and its code refer to."""
        kinds = [one.source.kind for one in self.arguments]
        kinds += [self.answer] if self.answer else []
        return sorted(classes(kinds), key=attrgetter("file"))

    @property
    def docstring(self) -> str:
        """The docstring of its client methods, without the quotes."""
        repeat = (
            "Safe to repeat: sent again after a failure that may pass."
            if self.safe
            else "Not safe to repeat: sent again only if it provably did nothing."
        )
        reason = sentence(self.remark("x-safe-to-repeat"))
        answer = sentence(line(self.answer_description) or "The answer")
        failed = "The call failed. Its `outcome` says whether it took effect."
        sections = [
            [sentence(line(self.summary) or self.name.replace("_", " "))],
            [line(self.description)],
            [f"`{self.method} {line(self.path)}`. {repeat} {reason}".strip()],
            [CERTAINTIES.get(self.remark("x-certainty"), "")],
            ["Args:", *(item(one.name, _description(one.source)) for one in self.arguments)],
            ["Returns:", f"    {answer}"] if self.answer else [""],
            [
                "Raises:",
                item("ArgumentError", "An argument may not be sent. Nothing was sent."),
                item("OneloopError", failed),
            ],
        ]
        return layout([one for one in sections if one[-1] not in ("", "Args:")], indent=8)


def _description(source: Property) -> str:
    kind = source.kind
    limit = f"At most {oneloop_core.MAX_SECRET_LENGTH} characters." if kind.secret else ""
    parts = (sentence(line(source.description)), line(kind.bounds), limit)
    return " ".join(part for part in parts if part)


def operation(endpoint: Endpoint) -> OperationView:
    """Return the view of an operation.

    Raises:
        GenerationError: It needs something that the templates do not support.
    """
    where, body = endpoint.where, endpoint.body
    if endpoint.name in names.CLIENT_NAMES | names.types().keys():
        raise GenerationError(f"{where}: the clients have a {endpoint.name} already")
    if not PATH.fullmatch(endpoint.path):
        raise GenerationError(f"{where}: the path has characters that a URL's path cannot have")
    taken = names.of_calls()
    arguments = [
        argument
        for location, found in endpoint.parameters.items()
        for argument in _arguments(found, location, taken)
    ]
    for one in arguments:
        if not _fits_text(one):
            problem = f"parameter {one.source.wire_name} cannot be sent as text"
            raise GenerationError(f"{where}: {problem}")
    if body and isinstance(body.kind, Model) and body.kind.properties:
        arguments += _field_arguments(body.kind, taken)
    elif body:
        arguments += _arguments([body], "body", taken)
    certainty = endpoint.extensions.get("x-certainty")
    if certainty is not None and certainty not in CERTAINTIES:
        raise GenerationError(f"{where}: x-certainty must be one of {', '.join(CERTAINTIES)}")
    return OperationView(**asdict(endpoint, recurse=False), arguments=arguments)


def _arguments(found: Iterable[Property], location: str, taken: set[str]) -> list[Argument]:
    # Path, query and body share one list of arguments, so a name may come twice.
    suffix = "_body" if location == "field" else f"_{location}"
    return [
        Argument(names.free(one.name, suffix, taken), one, location)
        for one in found
        if location != "header" or one.wire_name.lower() not in IGNORED_HEADERS
    ]


def _field_arguments(body: Model, taken: set[str]) -> list[Argument]:
    """Make an argument of each field, and of each field of an object that is written in place."""
    arguments: list[Argument] = []
    for one in body.properties:
        if not (one.in_place and isinstance(one.kind, Model) and one.kind.properties):
            arguments += _arguments([one], "field", taken)
            continue
        for inner in one.kind.properties:
            name = names.free(f"{one.name}_{inner.name}", "_body", taken)
            arguments.append(Argument(name, inner, "field", one))
    return arguments


def _fits_text(argument: Argument) -> bool:
    """Whether an argument can be written into a path, a query or a header."""
    kind = argument.source.kind
    bare = kind.inner if isinstance(kind, Nullable) else kind
    if argument.location == "query" and isinstance(bare, ListOf):
        return bare.inner.plain  # repeated
    return kind.plain
