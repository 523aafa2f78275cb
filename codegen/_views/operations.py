"""Operations as the templates print them."""

import re
from collections.abc import Iterable
from functools import cached_property
from operator import attrgetter

from attrs import asdict, evolve, frozen

import oneloop_core
from codegen._api import Endpoint
from codegen._errors import GenerationError
from codegen._findings import Unsupported
from codegen._kinds import (
    Class,
    Model,
    Property,
    classes,
)
from codegen._literals import literal, quoted

from . import names
from .arguments import Argument
from .docstrings import headed, indented, item, layout, line, remarked, sentence, text

SAFE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
"""Methods that HTTP calls idempotent (RFC 9110, section 9.2.2): they may be sent twice."""

CERTAINTIES = {
    "published": "",
    "partial": "The start of its page was seen; the rest was inferred.",
    "rendered": "Its page was seen as rendered only, not as a document; parts of it were inferred.",
    "client": "No page was seen: it is known from the vendor's own clients only.",
}
"""Remarks of docstrings on the values of `x-certainty`; the vendor's own page needs no remark."""

PATH = re.compile(r"/(?:[\w/.~!$&'()*+,;=:@%-]|\{\})*", re.ASCII)
"""What a path without the names of its parameters may consist of (RFC 3986)."""

VARIABLE = re.compile(r"\{([^{}]*)\}")
"""The name of a parameter in a path."""

MEDIA_TYPE = re.compile(r"[\x20-\x7e]+")
"""What a header with media types may consist of."""

FEW, MANY = 8, 25
"""Numbers of arguments that a generated function looks at again and again, or encodes itself."""

ENCODERS = {
    "form": "encode_form_body",
    "multipart": "encode_multipart",
    "text": "encode_text",
    "bytes": "encode_bytes",
}
"""The functions that turn a body into bytes, by `Body.media`; those of JSON are not here."""


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

    @cached_property
    def signature(self) -> str:
        """The method with the names of its arguments; in brackets, those that may be left out."""
        arguments = [
            one.name if one.required and not one.constant else f"[{one.name}]"
            for one in self.arguments
        ]
        return f"{self.name}({', '.join(arguments)})"

    @cached_property
    def safe(self) -> bool:
        """Whether it may be sent twice: by its method, or as an override says with its reason."""
        return self.method in SAFE_METHODS or bool(self.remark("x-safe-to-repeat"))

    @cached_property
    def warning(self) -> str:
        """The words of a DeprecationWarning."""
        return f"{self.name} is deprecated" if self.deprecated else ""

    @cached_property
    def secrets(self) -> list[str]:
        """The names of the arguments that must not be shown."""
        return [one.name for one in self.arguments if one.source.kind.secret]

    @cached_property
    def groups(self) -> list[Property]:
        """The objects in the body whose fields are arguments."""
        return list(dict.fromkeys(one.group for one in self.arguments if one.group))

    def needed_with(self, argument: Argument) -> list[Argument]:
        """Return the other fields of an optional object or body that requires this one."""
        if argument.required or not argument.source.required:
            return []
        return _others(argument, self.arguments)

    @cached_property
    def crowd(self) -> list[Argument]:
        """The fields of an optional body, if they are so many that they are looked at only once."""
        fields = [one for one in self.at("field") if one.given and not one.constant]
        grouped = any(one.group for one in fields)
        required = self.body is None or self.body.property.required
        return [] if required or grouped or len(fields) <= FEW else fields

    @cached_property
    def parted(self) -> list[Argument]:
        """The arguments that are encoded apart, as type checkers give up on long functions."""
        apart = [one for one in self.arguments if one.location not in ("path", "body")]
        return apart if len(apart) > MANY else []

    @cached_property
    def parts(self) -> list[list[Argument]]:
        """Those arguments in parts that are not too long."""
        return [self.parted[at : at + MANY] for at in range(0, len(self.parted), MANY)]

    def condition(self, argument: Argument) -> str:
        """Return a condition that is true if an argument is to be sent, or an empty text."""
        if not argument.constant:
            return argument.given
        return " or ".join(one.given for one in self.needed_with(argument))

    @cached_property
    def styled(self) -> bool:
        """Whether its query has more than names with values."""
        return any("encode_form(" in one.statement for one in self.at("query"))

    @cached_property
    def encoder(self) -> str:
        """An expression that returns the body as bytes with its media type; empty for JSON."""
        body = self.body
        if not body or body.media == "json":
            return ""
        content_type = _concrete(body.content_type) or "application/octet-stream"
        options = ""
        if body.media == "text":  # that is how it is encoded
            content_type = f"{content_type.partition(';')[0].strip()}; charset=utf-8"
        elif body.media == "form" and body.styles:
            styles = {name: (s.style, s.explode, s.reserved) for name, s in body.styles.items()}
            options = f", {styles!r}"
        elif body.media == "multipart":
            types = {name: _concrete(one) for name, one in body.content_types.items()}
            known = {name: one for name, one in types.items() if one}
            options = f", {known!r}" if known else ""
        return f"{ENCODERS[body.media]}(_body, {literal(content_type)}{options})"

    @cached_property
    def content_type(self) -> str:
        """The media type of a JSON body, if it is not the usual one."""
        written = _concrete(self.body.content_type) if self.body and not self.encoder else ""
        return "" if written == "application/json" else written

    @cached_property
    def has_body(self) -> str:
        """A condition that is true if the body is sent; empty if it always is."""
        whole = self.at("body")
        if whole:
            return whole[0].given
        return "_body" if self.body and not self.body.property.required else ""

    @cached_property
    def decode(self) -> str:
        """The decoder of all answers, if they are JSON of one kind; else empty."""
        found = {one.kind.function("decode") if one.kind else "" for one in self.answers}
        return found.pop() if len(found) == 1 else ""

    @cached_property
    def distinct(self) -> list[str]:
        """The code of the answers, unless they are JSON of one kind or have no body."""
        if self.decode or all(one.reads == "nothing" for one in self.answers):
            return []
        return [
            f'Answer({one.lowest}, {one.highest}, "{one.reads}"'
            + (f", {one.kind.function('decode')})" if one.kind else ")")
            for one in self.answers
        ]

    @cached_property
    def returns(self) -> str:
        """The type of the answer, which is a union if there are several."""
        types = {"text": "str", "bytes": "bytes", "nothing": "None"}
        found = [
            one.kind.annotation if one.kind else types.get(one.reads, "Any") for one in self.answers
        ]
        given = dict.fromkeys(one.removesuffix(" | None") for one in found if one != "None")
        has_none = any(one.endswith("None") for one in found) or not found
        return " | ".join([*given, *(["None"] if has_none else [])])

    @cached_property
    def target(self) -> str:
        """The path as a string literal or an f-string."""
        texts = VARIABLE.split(self.path)
        for index, part in enumerate(texts):
            if index % 2:
                one = _by_name(self.at("path"))[part]
                texts[index] = f"{{_path_{one.name}{'.reveal()' if one.kind.secret else ''}}}"
            else:
                texts[index] = quoted(part).replace("{", "{{").replace("}", "}}")
        return f'{"f" if len(texts) > 1 else ""}"{"".join(texts)}"'

    @cached_property
    def classes(self) -> list[Class]:
        """The models and enums that its signature and its code refer to."""
        kinds = [one.source.kind for one in self.arguments]
        kinds += [one.kind for one in self.answers if one.kind]
        return sorted(classes(kinds), key=attrgetter("file"))

    @cached_property
    def remarks(self) -> tuple[str, str]:
        """What is to be known of its calls, and how certain it is; the latter may be empty."""
        repeat = (
            "Safe to repeat: sent again after a failure that may pass."
            if self.safe
            else "Not safe to repeat: sent again only if it provably did nothing."
        )
        reason = sentence(self.remark("x-safe-to-repeat"))
        call = f"`{self.method} {line(self.path)}`. {repeat} {reason}".strip()
        return call, CERTAINTIES.get(self.remark("x-certainty"), "")

    @cached_property
    def docstring(self) -> str:
        """The docstring of its client methods, without the quotes."""
        answer = sentence(text(self.answer_description) or "The answer")
        failed = "The call failed. Its `outcome` says whether it took effect."
        sections = [
            *headed(self.summary, self.description, self.name.replace("_", " ")),
            ["Deprecated: the API may remove it." if self.deprecated else ""],
            *([one] for one in self.remarks),
            ["Args:", *(item(one.name, _description(one)) for one in self.arguments)],
            ["Returns:", indented(answer)] if self.returns != "None" else [""],
            [
                "Raises:",
                item("ArgumentError", "An argument may not be sent. Nothing was sent."),
                item("OneloopError", failed),
            ],
        ]
        return layout([one for one in sections if one[-1] not in ("", "Args:")], indent=8)


def _description(argument: Argument) -> str:
    source, kind = argument.source, argument.kind
    return remarked(
        text(source.description),
        line(kind.bounds),
        f"At most {oneloop_core.MAX_SECRET_LENGTH} characters." if kind.secret else "",
        "Lists and objects inside it are sent as JSON." if argument.nests else "",
        "`None` is not sent." if argument.required and argument.omits_null else "",
        "Deprecated." if source.deprecated else "",
    )


def _concrete(content_type: str) -> str:
    """Return a media type, or an empty text if it is a range or a list of them."""
    return "" if re.search(r"[*,]", content_type) else content_type


def _by_name(arguments: Iterable[Argument]) -> dict[str, Argument]:
    """Return parameters by what a path may call them: a name in Python or in the document."""
    found = list(arguments)
    return {one.source.name: one for one in found} | {one.source.wire_name: one for one in found}


def operation(endpoint: Endpoint) -> OperationView:
    """Return the view of an operation.

    Args:
        endpoint: The operation.

    Raises:
        Unsupported: It needs something that the templates do not support.
        GenerationError: An extension of ours, which an overlay adds, has a wrong value.
    """
    body = endpoint.body
    taken = names.of_calls()
    # Path, query and body share one list of arguments, so a name may come twice.
    arguments = [
        Argument(
            names.free(one.name, f"_{one.location}", taken),
            one,
            one.location,
            sends_null=one.style.style == "json",
        )
        for one in endpoint.parameters
    ]
    if body:
        arguments += _body_arguments(body.property, taken, is_json=body.media == "json")
    certainty = endpoint.extensions.get("x-certainty")
    if certainty is not None and certainty not in CERTAINTIES:
        must = f"x-certainty must be one of {', '.join(CERTAINTIES)}"
        raise GenerationError(f"{endpoint.where}: {must}")
    for problem in _problems(endpoint):
        raise Unsupported(("paths", endpoint.path, endpoint.method.lower()), problem)
    shown = asdict(endpoint, recurse=False)
    return OperationView(**shown, arguments=arguments)


def _problems(endpoint: Endpoint) -> Iterable[str]:
    """Yield what the templates do not support."""
    if not PATH.fullmatch(VARIABLE.sub("{}", endpoint.path)):
        yield "the path has characters that a URL's path cannot have"
    media_types = [endpoint.accept]
    if endpoint.body:
        media_types += [endpoint.body.content_type, *endpoint.body.content_types.values()]
    for one in media_types:
        if not MEDIA_TYPE.fullmatch(one):
            yield f"{one!r} is not a media type"


def _body_arguments(body: Property, taken: set[str], *, is_json: bool) -> list[Argument]:
    """Make an argument of the body, or of each of its fields.

    In JSON, an object in it that is written in place is taken apart in the same way.
    """
    if not (isinstance(body.kind, Model) and body.kind.properties):
        return [Argument(names.free(body.name, "_body", taken), body, "body", sends_null=is_json)]
    outer = None if body.required else body
    arguments: list[Argument] = []
    for one in body.kind.properties:
        if not (is_json and one.in_place and isinstance(one.kind, Model) and one.kind.properties):
            name = names.free(one.name, "_body", taken)
            arguments.append(Argument(name, one, "field", is_json, container=outer))
            continue
        for inner in one.kind.properties:
            name = names.free(f"{one.name}_{inner.name}", "_body", taken)
            container = outer if one.required else one
            arguments.append(Argument(name, inner, "field", is_json, one, container))
    return [
        # Where nothing else says whether an optional object is sent, its constants do.
        evolve(one, source=evolve(one.source, required=False))
        if one.constant and one.container and not _others(one, arguments)
        else one
        for one in arguments
    ]


def _others(argument: Argument, arguments: Iterable[Argument]) -> list[Argument]:
    """Return the other fields that say whether the optional object of an argument is sent."""
    own = argument.group if argument.group == argument.container else None
    return [
        one
        for one in arguments
        if one.location == "field" and one.given and one != argument and own in (None, one.group)
    ]
