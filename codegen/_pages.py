"""What the templates print: operations, models and enums in Python's terms."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, cast

from attrs import frozen
from openapi_python_client import schema as oai
from openapi_python_client.parser.bodies import BodyType
from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties import ModelProperty
from openapi_python_client.parser.properties.any import AnyProperty
from openapi_python_client.parser.properties.enum_property import EnumProperty
from openapi_python_client.parser.properties.list_property import ListProperty
from openapi_python_client.parser.properties.protocol import PropertyProtocol
from openapi_python_client.parser.properties.union import UnionProperty
from openapi_python_client.strings import (
    PythonIdentifier,
    in_f_string_literal,
    safe_for_docstring,
)

import oneloop_core
import oneloop_overrides

from ._errors import GenerationError
from ._kinds import (
    MapOf,
    Nullable,
    annotation,
    bounds,
    class_name,
    decode,
    decoder,
    encode,
    is_secret,
)
from ._kinds import encoder as encoder_of
from ._literals import identifier, literal, visible

SAFE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
"""Methods whose operations do no more when sent twice, by HTTP (RFC 9110, section 9.2.2)."""

RUN_TIME_NAMES = frozenset(oneloop_core.__all__) | frozenset(oneloop_overrides.__all__)
"""Names that generated code may import."""

CALL_NAMES = frozenset({"call"}) | RUN_TIME_NAMES
"""Names that an operation's code uses itself: no argument may have them."""

MODEL_NAMES = frozenset(
    {"additional_properties", "cls", "date", "define", "field", "from_dict", "to_dict"}
    | RUN_TIME_NAMES
)
"""Names that a model's code uses itself: no field may have them."""

CLIENT_NAMES = frozenset({"aclose", "close", "date", "with_options", "with_response"})
"""Names that the hand-written clients, or the types in signatures, have: no operation may."""

CERTAINTIES = {
    "published": "",
    "partial": "The start of its page was seen; the rest was inferred.",
    "rendered": "Its page was seen as rendered only, not as a document; parts of it were inferred.",
    "client": "No page was seen: it is known from the vendor's own clients only.",
}
"""What a docstring tells of the values of `x-certainty`. The vendor's own page needs no word."""

PATH = re.compile(r"/[\w/{}.~!$&'()*+,;=:@%-]*", re.ASCII)
"""What a path may be made of (RFC 3986), with braces around the names of parameters."""

PREFIX = "field_"
"""What the generator puts before a name that would be none of Python's."""

IGNORED_HEADERS = frozenset({"accept", "authorization", "content-type"})
"""Header parameters that OpenAPI tells to ignore: the client sends them by itself."""

CLASS_NAMES = frozenset({"Any", "Final", "Mapping", "Self", "Sequence", "T", "TypeVar"}).union(
    name for name in RUN_TIME_NAMES if name[0].isupper()
)
"""Names that generated code uses itself: no model or enum may have them."""


@frozen
class Group:
    """An object in the body whose fields are arguments of their own, such as `billing_usage`."""

    name: str
    wire_name: str
    required: bool

    @property
    def key(self) -> str:
        """Its name on the wire, as a Python literal."""
        return literal(self.wire_name)

    @property
    def variable(self) -> str:
        """What holds it while it is made."""
        return f"_group_{self.name}"


@frozen
class Argument:
    """An argument of a client method."""

    name: str
    wire_name: str
    prop: PropertyProtocol
    group: Group | None = None

    @property
    def key(self) -> str:
        """Its name on the wire, as a Python literal."""
        return literal(self.wire_name)

    @property
    def required(self) -> bool:
        """Whether it has to be given."""
        return self.prop.required and (self.group is None or self.group.required)

    @property
    def annotation(self) -> str:
        """Its type in the signature."""
        plain = annotation(self.prop, argument=True)
        if self.required:
            return plain
        return f"{plain} | Unset" if self.nullable else f"{plain} | None"

    @property
    def default(self) -> str:
        """Its default in the signature, with the equals sign; empty if it has to be given."""
        if self.required:
            return ""
        return " = UNSET" if self.nullable else " = None"

    @property
    def given(self) -> str:
        """A condition that holds if it was given; empty if it always is."""
        if self.required:
            return ""
        return (
            f"not isinstance({self.name}, Unset)" if self.nullable else f"{self.name} is not None"
        )

    @property
    def nullable(self) -> bool:
        """Whether None means null, not "left out"."""
        return isinstance(self.prop, Nullable)

    @property
    def secret(self) -> bool:
        """Whether no error may show it."""
        return is_secret(self.prop)

    def encoded(self, function: str = "") -> str:
        """Return an expression that checks and encodes it.

        Args:
            function: What encodes it further, for its place in a path or a header.
        """

        def expression(source: str) -> str:
            plain = encode(self.prop, source)
            return f"{function}({plain})" if function else plain

        if not self.secret:
            return expression(self.name)
        encoder = f"lambda item: {expression('item')}" if function else encoder_of(self.prop)
        return f"encode_secret({self.name}, {encoder})"


@frozen
class Operation:
    """An operation, ready to be printed."""

    endpoint: Endpoint
    path_arguments: list[Argument]
    query_arguments: list[Argument]
    header_arguments: list[Argument]
    body_arguments: list[Argument]
    body_argument: Argument | None
    answer: PropertyProtocol | None
    answer_description: str
    extensions: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the client methods and of the operation's module."""
        return identifier(str(self.endpoint.name))

    @property
    def method(self) -> str:
        """HTTP method."""
        return self.endpoint.method.upper()

    @property
    def path(self) -> str:
        """Path with its parameters in braces."""
        return self.endpoint.path.get_untrusted_value()

    @property
    def module(self) -> str:
        """Import path of its module, relative to the package."""
        return f".api.{identifier(str(self.endpoint.tags[0]))}.{self.name}"

    @property
    def signature(self) -> str:
        """The method with the names of its arguments; in brackets, those that may be left out."""
        names = [one.name if one.required else f"[{one.name}]" for one in self.arguments]
        return f"{self.name}({', '.join(names)})"

    @property
    def safe(self) -> bool:
        """Whether it may be sent twice: by its method, or as an override says with its reason."""
        return self.method in SAFE_METHODS or bool(self.safe_because)

    @property
    def safe_because(self) -> str:
        """Why it may be sent twice though its method does not say so; mostly empty."""
        return _text(self.extensions.get("x-safe-to-repeat"))

    @property
    def certainty(self) -> str:
        """How certain the document's words on it are; empty if they are the vendor's own."""
        return _text(self.extensions.get("x-certainty"))

    @property
    def inferred(self) -> str:
        """What in the document's words on it was inferred, and from what."""
        return _text(self.extensions.get("x-inferred"))

    @property
    def answers(self) -> list[PropertyProtocol]:
        """What it may answer, errors included."""
        responses = self.endpoint.responses
        return [one.prop for one in (*responses.patterns, responses.default) if one]

    @property
    def arguments(self) -> list[Argument]:
        """All arguments, in the order of the signature."""
        body = [self.body_argument] if self.body_argument else self.body_arguments
        return [*self.path_arguments, *self.query_arguments, *self.header_arguments, *body]

    @property
    def secrets(self) -> list[Argument]:
        """The arguments that no error may show."""
        return [one for one in self.arguments if one.secret]

    @property
    def groups(self) -> list[Group]:
        """The objects in the body whose fields are arguments."""
        return list(dict.fromkeys(one.group for one in self.body_arguments if one.group))

    def needed_with(self, argument: Argument) -> list[Argument]:
        """Return the arguments that cannot be given without this one, which may be left out."""
        if argument.required or not argument.prop.required:
            return []
        return [
            one for one in self.body_arguments if one.group == argument.group and one != argument
        ]

    @property
    def has_body(self) -> bool:
        """Whether a request body is sent."""
        return bool(self.endpoint.bodies)

    @property
    def returns(self) -> str:
        """Python type of the answer."""
        return annotation(self.answer) if self.answer else "None"

    @property
    def decoder(self) -> str:
        """A function from parsed JSON to the answer."""
        return decoder(self.answer) if self.answer else "None"

    @property
    def target(self) -> str:
        """The inside of an f-string that makes the path."""
        by_name = {str(one.prop.python_name): one for one in self.path_arguments}
        parts = re.split(r"\{(\w+)\}", self.path)
        return "".join(
            self._segment(by_name[part]) if index % 2 else in_f_string_literal(part)
            for index, part in enumerate(parts)
        )

    def _segment(self, argument: Argument) -> str:
        return f"{{_path_{argument.name}{'.reveal()' if argument.secret else ''}}}"

    @property
    def imports(self) -> list[str]:
        """The models that its signature and its code name."""
        props = [argument.prop for argument in self.arguments]
        return _imports([*props, self.answer] if self.answer else props, "...")

    @property
    def docstring(self) -> str:
        """The docstring of its client methods, without the quotes."""
        summary = _text(self.endpoint.summary) or self.name.replace("_", " ")
        repeat = (
            "Safe to repeat: sent again after a failure that may pass."
            if self.safe
            else "Not safe to repeat: sent again only if it provably did nothing."
        )
        if self.safe_because:
            repeat += f" {_sentence(self.safe_because)}"
        source = CERTAINTIES.get(self.certainty, "")
        sections = [
            [_sentence(summary)],
            [_text(self.endpoint.description)],
            [f"`{self.method} {_text(self.path)}`. {repeat}"],
            [source],
            ["Args:", *(_item(one.name, _told(one.prop)) for one in self.arguments)],
            ["Returns:", "    " + _sentence(self.answer_description)] if self.answer else [""],
            [
                "Raises:",
                _item("ArgumentError", "An argument may not be sent. Nothing was sent."),
                _item(
                    "OneloopError", "The call failed. Its `outcome` says whether it took effect."
                ),
            ],
        ]
        return _docstring(section for section in sections if section[-1] not in ("", "Args:"))


def operations(openapi: Any, document: dict[str, Any]) -> list[Operation]:
    """Return all operations of a parsed document, by name.

    Raises:
        GenerationError: Two are of one name, or one needs what the templates do not know yet.
    """
    endpoints: dict[str, Endpoint] = {}
    for collection in openapi.endpoint_collections_by_tag.values():
        for endpoint in collection.endpoints:
            name = str(endpoint.name)
            if endpoints.setdefault(name, endpoint) is not endpoint:
                raise GenerationError(f"{_where(endpoint)}: there is another operation {name}")
            if name in CLIENT_NAMES:
                raise GenerationError(f"{_where(endpoint)}: the clients have a {name} already")
    return [operation(endpoints[name], document) for name in sorted(endpoints)]


def operation(endpoint: Endpoint, document: dict[str, Any]) -> Operation:
    """Turn a parsed endpoint into what the templates print.

    Raises:
        GenerationError: It needs something that the templates do not know yet.
    """
    where = _where(endpoint)
    if not PATH.fullmatch(endpoint.path.get_untrusted_value()):
        raise GenerationError(f"{where}: the path has characters that a URL's path cannot have")
    if endpoint.cookie_parameters:
        raise GenerationError(f"{where}: cookie parameters are not supported")
    taken = set(CALL_NAMES)
    path = _arguments(endpoint.path_parameters, "path", taken)
    query = _arguments(endpoint.query_parameters, "query", taken)
    named = (one for one in endpoint.header_parameters if _lower(one) not in IGNORED_HEADERS)
    header = _arguments(named, "header", taken)
    for argument in (*path, *query, *header):
        if not _fits_text(argument.prop, repeated=argument in query):
            raise GenerationError(f"{where}: parameter {argument.wire_name} is no plain value")
    fields: list[Argument] = []
    whole = None
    if endpoint.bodies:
        body = endpoint.bodies[0]
        if len(endpoint.bodies) > 1 or body.body_type != BodyType.JSON:
            raise GenerationError(f"{where}: only one JSON request body is supported")
        if isinstance(body.prop, ModelProperty) and _fields(body.prop):
            fields = _body_arguments(body.prop, taken)
        else:
            (whole,) = _arguments([body.prop], "body", taken)
    answer, description = _answer(endpoint, where)
    extensions = _written(endpoint, document)
    certainty = extensions.get("x-certainty")
    if certainty is not None and certainty not in CERTAINTIES:
        raise GenerationError(f"{where}: x-certainty must be one of {', '.join(CERTAINTIES)}")
    return Operation(endpoint, path, query, header, fields, whole, answer, description, extensions)


def _written(endpoint: Endpoint, document: dict[str, Any]) -> Mapping[str, Any]:
    """Return an operation as it stands in the document: the generator keeps no extensions."""
    for item in document["paths"].values():
        written = item.get(endpoint.method, {})
        if PythonIdentifier(written.get("operationId", ""), PREFIX) == endpoint.name:
            return cast("Mapping[str, Any]", written)
    return {}


def _body_arguments(body: ModelProperty, taken: set[str]) -> list[Argument]:
    """Make an argument of each field; of each field of an object that is written in place, too."""
    arguments: list[Argument] = []
    for prop in _fields(body):
        wire_name = prop.name.get_untrusted_value()
        in_place = isinstance((body.data.properties or {}).get(prop.name), oai.Schema)
        if not (in_place and isinstance(prop, ModelProperty) and _fields(prop)):
            arguments += _arguments([prop], "body", taken)
            continue
        group = Group(str(prop.python_name), wire_name, prop.required)
        for inner in _fields(prop):
            name = _free(f"{group.name}_{inner.python_name}", "_body", taken)
            inner_name = inner.name.get_untrusted_value()
            arguments.append(Argument(name, inner_name, inner, group))
    return arguments


def reached(props: Iterable[PropertyProtocol]) -> frozenset[str]:
    """Return the names of all classes, models and enums, that properties are made of."""
    found: set[str] = set()
    waiting = list(props)
    while waiting:
        match waiting.pop():
            case Nullable() | MapOf() as wrapper:
                waiting.append(wrapper.inner)
            case ListProperty() as items:
                waiting.append(items.inner_property)
            case UnionProperty() as union:
                waiting += union.inner_properties
            case EnumProperty() as enum:
                found.add(enum.class_info.name)
            case ModelProperty() as model if model.class_info.name not in found:
                found.add(model.class_info.name)
                more = model.additional_properties
                waiting += [*_fields(model), *([more] if more else [])]
            case _:
                pass
    return frozenset(found)


def _lower(prop: PropertyProtocol) -> str:
    return prop.name.get_untrusted_value().lower()


def _where(endpoint: Endpoint) -> str:
    return f"{endpoint.method.upper()} {endpoint.path.get_untrusted_value()}"


def _arguments(props: Iterable[PropertyProtocol], location: str, taken: set[str]) -> list[Argument]:
    arguments: list[Argument] = []
    for prop in props:
        # Path, query and body share one list of arguments, so a name may come twice.
        name = _free(str(prop.python_name), f"_{location}", taken)
        arguments.append(Argument(name, prop.name.get_untrusted_value(), prop))
    return arguments


def _free(name: str, suffix: str, taken: set[str]) -> str:
    while name in taken:
        name += suffix
    taken.add(identifier(name))
    return name


def _answer(endpoint: Endpoint, where: str) -> tuple[PropertyProtocol | None, str]:
    successes = [
        response
        for response in endpoint.responses.patterns
        if response.status_code.range and response.status_code.range[0] // 100 == 2
    ]
    kinds = {response.source["attribute"]: response for response in successes}
    if not kinds or list(kinds) == ["None"]:
        return None, ""
    if list(kinds) != ["response.json()"]:
        raise GenerationError(f"{where}: only JSON answers are supported")
    if len({annotation(response.prop) for response in successes}) > 1:
        raise GenerationError(f"{where}: its 2xx answers are of different types")
    return successes[0].prop, _text(getattr(successes[0].data, "description", "")) or "The answer"


def _fits_text(prop: PropertyProtocol, *, repeated: bool) -> bool:
    match prop:
        case Nullable():
            return _fits_text(prop.inner, repeated=repeated)
        case ListProperty():
            return repeated and _fits_text(prop.inner_property, repeated=False)
        case _:
            return not isinstance(prop, ModelProperty | MapOf | UnionProperty | AnyProperty)


def _fields(model: ModelProperty) -> list[PropertyProtocol]:
    return [*(model.required_properties or []), *(model.optional_properties or [])]


@frozen
class Field:
    """A field of a model."""

    name: str
    prop: PropertyProtocol
    sent: bool

    @property
    def key(self) -> str:
        """Its name in JSON, as a Python literal."""
        return literal(self.prop.name.get_untrusted_value())

    @property
    def tri_state(self) -> bool:
        """Whether it is sent as absent, null or a value, which may not be alike to the server."""
        return self.sent and isinstance(self.prop, Nullable) and not self.prop.required

    @property
    def declaration(self) -> str:
        """Its line in the class."""
        declared, default = f"{self.name}: {annotation(self.prop)}", ""
        if not self.prop.required:
            # Absent is None for the reader. Only a model that an application makes itself may have
            # to tell "left out" from null, so only there UNSET is the default.
            absent, default = ("Unset", "UNSET") if self.tri_state else ("None", "None")
            if not declared.endswith(f"| {absent}"):
                declared += f" | {absent}"
        if is_secret(self.prop):
            default = f"field({f'default={default}, ' if default else ''}repr=False)"
        return f"{declared} = {default}" if default else declared

    @property
    def decoded(self) -> str:
        """Statements that read it out of `_rest` into a variable of its name."""
        take = f"_rest.pop({self.key})" if self.prop.required else f"_rest.pop({self.key}, None)"
        simple = decode(self.prop, take)
        if simple.count(take) == 1 and self.prop.required:
            return f"{self.name} = {simple}"
        read = decode(self.prop, "_value")
        if not self.prop.required and not isinstance(self.prop, Nullable):
            read = f"None if _value is None else {read}"
        return f"_value = {take}\n{self.name} = {read}"

    @property
    def encoded(self) -> str:
        """Statements that write it into `_data`."""
        source, prop = f"self.{self.name}", self.prop
        if isinstance(prop, Nullable) and not (prop.required or self.tri_state):
            prop = prop.inner  # None is left out
        assign = f"_data[{self.key}] = {encode(prop, source)}"
        if self.prop.required:
            return assign
        given = f"not isinstance({source}, Unset)" if self.tri_state else f"{source} is not None"
        return f"if {given}:\n    {assign}"


@frozen
class Model:
    """A model, ready to be printed."""

    prop: ModelProperty
    read_only: Set[str]
    """Names of the models that are part of answers, and of no argument."""

    @property
    def name(self) -> str:
        """Its class name."""
        return class_name(self.prop)

    @property
    def fields(self) -> list[Field]:
        """Its fields, required ones first."""
        taken = {*MODEL_NAMES, *self.flags}
        props = _fields(self.prop)
        sent = self.name not in self.read_only
        return [Field(_free(str(one.python_name), "_", taken), one, sent) for one in props]

    @property
    def flags(self) -> dict[str, tuple[str, str]]:
        """Properties that check whether a field has one value: by name, the field and literal."""
        flags = (self.prop.data.model_extra or {}).get("x-python-flags", {})
        names = {one.name.get_untrusted_value(): str(one.python_name) for one in _fields(self.prop)}
        try:
            return {
                _free(flag, "", set()): (names[field], literal(value))
                for flag, ((field, value),) in ((flag, of.items()) for flag, of in flags.items())
            }
        except (AttributeError, KeyError, ValueError):
            raise GenerationError(
                f"{self.name}: x-python-flags must name one field and its value for each flag"
            ) from None

    @property
    def has_secrets(self) -> bool:
        """Whether one of its fields is a secret."""
        return any(is_secret(one) for one in _fields(self.prop))

    @property
    def additional(self) -> PropertyProtocol | None:
        """What fields the document does not name may hold."""
        return self.prop.additional_properties

    @property
    def additional_annotation(self) -> str:
        """Type of the fields that the document does not name."""
        return annotation(self.additional) if self.additional else "Any"

    @property
    def additional_decoded(self) -> str:
        """An expression that reads what is left in `_rest`."""
        plain = self.additional_annotation == "Any"
        return (
            "_rest"
            if plain or not self.additional
            else f"decode_map(_rest, {decoder(self.additional)})"
        )

    @property
    def additional_encoder(self) -> str:
        """A function that checks and encodes one field that the document does not name."""
        return encoder_of(self.additional) if self.additional else "encode_json"

    @property
    def imports(self) -> list[str]:
        """The models and enums that its fields are of."""
        props = [*_fields(self.prop), *([self.additional] if self.additional else [])]
        own = f"models.{self.prop.class_info.module_name} import"
        return [line for line in _imports(props, "..") if own not in line]

    @property
    def docstring(self) -> str:
        """Its docstring, without the quotes."""
        summary = (
            _text(self.prop.description)
            or f"`{self.name}`, which the API's document does not describe"
        )
        attributes = [
            _item(
                f"{one.name} ({one.declaration.split(': ', 1)[1].split(' = ')[0]})",
                _text(one.prop.description),
            )
            for one in self.fields
        ]
        attributes.append(
            _item(
                f"additional_properties (dict[str, {self.additional_annotation}])",
                "What the server sent beyond the document; sent back as it came.",
            )
        )
        return _docstring([[_sentence(summary)], ["Attributes:", *attributes]], indent=4)


def _schema(prop: PropertyProtocol) -> str:
    """Return a schema's name in the document; a component's is its whole path."""
    return _text(prop.name.get_untrusted_value().rsplit("/", 1)[-1])


def _imports(props: Iterable[PropertyProtocol], prefix: str) -> list[str]:
    lines = {
        line
        for prop in props
        for line in (*prop.get_imports(prefix=prefix), *prop.get_lazy_imports(prefix=prefix))
        if f"from {prefix}models." in line
    }
    return sorted(lines)


def _told(prop: PropertyProtocol) -> str:
    limit = f"At most {oneloop_core.MAX_SECRET_LENGTH} characters." if is_secret(prop) else ""
    return " ".join(filter(None, (_sentence(_text(prop.description)), _text(bounds(prop)), limit)))


def docstring(text: Any) -> str:
    """Return a text as it may stand in a docstring, whatever it is."""
    return visible(safe_for_docstring(text or ""))


def _text(text: Any) -> str:
    return " ".join(docstring(text).split())


def cell(text: str) -> str:
    """Return a text as it may stand in a table of Markdown."""
    return text.replace("|", r"\|")


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _item(name: str, text: str) -> str:
    return f"    {name}: {text}" if text else f"    {name}"


def _docstring(sections: Iterable[list[str]], indent: int = 8) -> str:
    return "\n\n".join("\n".join(_wrapped(section, indent)) for section in sections)


def _wrapped(lines: list[str], indent: int) -> Iterator[str]:
    for line in lines:
        lead = " " * (len(line) - len(line.lstrip()))
        more = lead + "    " if lead and ": " in line else lead
        yield textwrap.fill(
            line.strip(),
            width=100 - indent,
            initial_indent=lead,
            subsequent_indent=more,
            break_long_words=False,
            break_on_hyphens=False,
        )


def enum_members(enum: EnumProperty) -> dict[str, str]:
    """Return the names of an enum's members, with their values as literals."""
    return {
        identifier(name): literal(value) if isinstance(value, int) else f'"{value}"'
        for name, value in enum.values.items()
    }


def enum_docstring(enum: EnumProperty) -> str:
    """Return the docstring of an enum, without the quotes."""
    summary = _text(enum.description) or f"The values of `{_schema(enum)}`"
    return f"{_sentence(summary)} Values that are not listed here are kept as they came."
