"""Property kinds: how a schema becomes a Python type, and the code that reads and writes it.

The generator parses schemas into property objects, but drops what we need: constraints, the
difference between "absent" and "null", the names of nullable components. `install` puts
`property_from_schema` in front of its parser. `annotation`, `decode` and `encode` are what the
templates print: to add a kind, give it a class here and a case in each of the three.

Two extensions choose names: `x-python-name` that of a field or argument, `x-python-class` that of a
model or enum.
"""

import json
import re
import unicodedata
from typing import Any

from attrs import define, evolve, field, fields
from openapi_python_client import schema as oai
from openapi_python_client import strings
from openapi_python_client.parser import bodies, openapi, properties, responses
from openapi_python_client.parser.errors import PropertyError
from openapi_python_client.parser.properties.any import AnyProperty
from openapi_python_client.parser.properties.boolean import BooleanProperty
from openapi_python_client.parser.properties.const import ConstProperty
from openapi_python_client.parser.properties.date import DateProperty
from openapi_python_client.parser.properties.datetime import DateTimeProperty
from openapi_python_client.parser.properties.enum_property import EnumProperty
from openapi_python_client.parser.properties.float import FloatProperty
from openapi_python_client.parser.properties.int import IntProperty
from openapi_python_client.parser.properties.list_property import ListProperty
from openapi_python_client.parser.properties.model_property import ModelProperty
from openapi_python_client.parser.properties.none import NoneProperty
from openapi_python_client.parser.properties.protocol import PropertyProtocol, Value
from openapi_python_client.parser.properties.string import StringProperty
from openapi_python_client.parser.properties.union import UnionProperty
from openapi_python_client.parser.properties.uuid import UuidProperty
from openapi_python_client.schema.untrusted_string import UntrustedString
from openapi_python_client.strings import ClassName, PythonCode, PythonIdentifier

from ._errors import GenerationError
from ._literals import identifier, literal, quoted
from ._patterns import Time, judge
from ._structure import python_pattern

LONGEST_CHECKED = 1000
"""How long a text may be for a pattern to be tried on it that takes the cube of its length."""

NULL = oai.DataType.NULL


@define
class Text(StringProperty):
    """A string with the document's constraints, as arguments of `encode_string`."""

    limits: dict[str, Any] = field(factory=dict)
    unchecked: str = ""
    """A pattern that could take the client too long: it is left to the server."""
    secret: bool = False
    """Whether it is a secret (`format: password`): not shown."""


@define
class Integer(IntProperty):
    """An integer with the document's constraints, as arguments of `encode_integer`."""

    limits: dict[str, Any] = field(factory=dict)


@define
class Number(FloatProperty):
    """A number with the document's constraints, as arguments of `encode_number`."""

    limits: dict[str, Any] = field(factory=dict)


@define
class Digits(IntProperty):
    """A string of digits (`format: digits`): an `int` of any size in Python."""


@define
class Wrapper(PropertyProtocol):
    """A property made of another one."""

    name: UntrustedString
    required: bool
    python_name: PythonIdentifier
    description: UntrustedString | None
    inner: PropertyProtocol
    default: Value | None = None
    example: UntrustedString | None = None

    def convert_value(self, value: Any) -> None:
        """Have no default: the server's defaults are not sent."""

    def get_imports(self, *, prefix: str) -> set[str]:
        """Import what the inner property needs."""
        return self.inner.get_imports(prefix=prefix)

    def get_lazy_imports(self, *, prefix: str) -> set[str]:
        """Import what the inner property needs."""
        return self.inner.get_lazy_imports(prefix=prefix)

    def get_base_type_string(self) -> PythonCode:
        """Tell the generator's unions this type."""
        return PythonCode(annotation(self))


@define
class Nullable(Wrapper):
    """A property that may be null. Keeps the inner class's name, unlike the generator's union."""


@define
class MapOf(Wrapper):
    """An object with arbitrary keys and no named fields: a `dict`."""


def install() -> None:
    """Put our kinds in front of the generator's, wherever it looks them up; and our spelling."""
    for module in (properties, openapi, bodies):
        module.property_from_data = property_from_schema  # type: ignore[attr-defined]
    responses.property_from_data = _response_from_schema  # type: ignore[assignment, attr-defined]
    strings.split_words = split_words
    strings.sanitize = sanitize
    strings.in_double_quote_literal = quoted  # the generator's leaves characters out


_plain_property_from_data = properties.property_from_data
_plain_split_words = strings.split_words
_plain_sanitize = strings.sanitize


def sanitize(value: str) -> str:
    """Leave in a name what an identifier may have, spelled as Python itself would read it."""
    return _plain_sanitize(unicodedata.normalize("NFKC", value))


def split_words(value: str) -> list[str]:
    """Split a name into words, with the plural of an acronym as one: `allowedIPs`."""
    return _plain_split_words(
        re.sub("([A-Z]{2,})s(?![a-z])", lambda plural: f"{plural[1].capitalize()}s", value)
    )


def property_from_schema(
    name: UntrustedString, required: bool, data: oai.Schema | oai.Reference, **context: Any
) -> Any:
    """Parse a schema into a property of our kinds, or the generator's where they fit.

    Takes and returns what the generator's own `property_from_data` does: a property or a
    `PropertyError`, and the schemas known so far.
    """
    if isinstance(data, oai.Reference):
        return _plain_property_from_data(name=name, required=required, data=data, **context)
    data = _without_default(data)
    names = (data.model_extra or {}).get("x-enum-varnames", [])
    if not (isinstance(names, list) and all(isinstance(one, str) for one in names)):
        detail = f"x-enum-varnames of {name.get_untrusted_value()} is no list of texts"
        return PropertyError(detail=detail, data=data), context["schemas"]
    inner = _without_null(data)
    if inner is None:
        built, schemas = _of_class(name, required, data, **context)
    else:
        built, schemas = _wrap(Nullable, name, required, data, inner, **context)
    given = _extension(data, "x-python-name")
    if given is None or isinstance(built, PropertyError):
        return built, schemas
    identifier = PythonIdentifier(given, context["config"].field_prefix)
    if identifier != given:
        detail = f"x-python-name of {_name(built)}: {given!r} cannot be a name"
        return PropertyError(detail=detail, data=data), schemas
    return evolve(built, python_name=identifier), schemas


def _of_class(name: UntrustedString, required: bool, data: oai.Schema, **context: Any) -> Any:
    """Parse a schema that allows no null; equal ones that are given one class name share it."""
    given = _extension(data, "x-python-class")
    if given is None:
        return _of_kind(name, required, data, **context)
    config, schemas = context["config"], context["schemas"]
    class_name = ClassName(given, config.field_prefix)
    if class_name != given:
        detail = f"x-python-class of {name.get_untrusted_value()}: {given!r} cannot be a class"
        return PropertyError(detail=detail, data=data), schemas
    data = data.model_copy(update={"title": given})  # whence the generator takes the name
    known = schemas.classes_by_name.get(class_name)
    if isinstance(known, ModelProperty) and known.data == data:
        identifier = PythonIdentifier(name, config.field_prefix)
        return evolve(known, name=name, required=required, python_name=identifier), schemas
    return _of_kind(name, required, data, **{**context, "parent_name": None})


def _of_kind(name: UntrustedString, required: bool, data: oai.Schema, **context: Any) -> Any:
    """Parse a schema that allows no null."""
    if data.type == oai.DataType.OBJECT and not data.properties and not data.allOf:
        values = oai.Schema() if data.additionalProperties is True else data.additionalProperties
        if isinstance(values, oai.Schema | oai.Reference):
            return _wrap(MapOf, name, required, data, values, **context)
    built, schemas = _plain_property_from_data(name=name, required=required, data=data, **context)
    if type(built) is StringProperty and data.schema_format == "digits":
        built = _convert(Digits, built)
    elif type(built) is StringProperty:
        try:
            limits, unchecked = _text_limits(data)
        except re.error as error:
            return PropertyError(detail=f"pattern of {_name(built)}: {error}", data=data), schemas
        secret = data.schema_format == "password"
        built = _convert(Text, built, limits=limits, unchecked=unchecked, secret=secret)
    elif type(built) is IntProperty:
        built = _convert(Integer, built, limits=_number_limits(data))
    elif type(built) is FloatProperty:
        built = _convert(Number, built, limits=_number_limits(data))
    return built, schemas


def _response_from_schema(name: UntrustedString, **context: Any) -> Any:
    """Name the class of a 2xx answer `...Response`; the generator's would be `...Response200`."""
    plain = re.sub(r"^response_2\w\w$", "response", name.get_untrusted_value())
    return property_from_schema(UntrustedString(plain), **context)


def _extension(data: oai.Schema, key: str) -> str | None:
    value = (data.model_extra or {}).get(key)
    return None if value is None else str(value)


def _without_null(data: oai.Schema) -> oai.Schema | oai.Reference | None:
    """Return what a schema allows beside null, if it allows null and something else."""
    if isinstance(data.type, list) and NULL in data.type:
        kinds = [kind for kind in data.type if kind != NULL]
        if kinds:
            kind = kinds[0] if len(kinds) == 1 else kinds
            return data.model_copy(update={"type": kind, "nullable": False})
    if data.enum and None in data.enum and any(value is not None for value in data.enum):
        return data.model_copy(update={"enum": [value for value in data.enum if value is not None]})
    choices = [*data.oneOf, *data.anyOf]
    others = [one for one in choices if not (isinstance(one, oai.Schema) and one.type == NULL)]
    if len(others) in (0, len(choices)):
        return None
    return others[0] if len(others) == 1 else oai.Schema(oneOf=others)


def _without_default(data: oai.Schema) -> oai.Schema:
    """Turn a default into a remark: it is the server's, and is not sent unless given."""
    if data.default is None:
        return data
    remark = f"Left out, the server takes {json.dumps(data.default, default=str)}."
    told = data.description.get_untrusted_value().rstrip() if data.description else ""
    description = UntrustedString(f"{told} {remark}".strip())
    return data.model_copy(update={"default": None, "description": description})


def _wrap(
    kind: type[Wrapper],
    name: UntrustedString,
    required: bool,
    data: oai.Schema,
    inner: oai.Schema | oai.Reference,
    **context: Any,
) -> Any:
    # A nullable component keeps its own name, so that its class does too.
    inner_name = UntrustedString(f"{name.get_untrusted_value()}_value") if kind is MapOf else name
    built, schemas = property_from_schema(inner_name, True, inner, **context)
    if isinstance(built, PropertyError):
        return built, schemas
    description = data.description or built.description
    if kind is Nullable and isinstance(built, Nullable):  # by way of a nullable component
        return evolve(built, required=required, description=description), schemas
    identifier = PythonIdentifier(name, context["config"].field_prefix)
    return kind(name, required, identifier, description, built), schemas


def _convert(kind: Any, built: Any, **more: Any) -> Any:
    return kind(**{one.name: getattr(built, one.name) for one in fields(type(built))}, **more)


def _number_limits(data: oai.Schema) -> dict[str, Any]:
    limits = {
        "minimum": data.minimum,
        "above": data.exclusiveMinimum,
        "maximum": data.maximum,
        "below": data.exclusiveMaximum,
        "multiple_of": data.multipleOf,
    }
    # The generator reads every bound as a float; 2**53 - 1 and all below are exact in one.
    return {
        key: int(bound) if float(bound).is_integer() and abs(bound) < 1e40 else bound
        for key, bound in limits.items()
        if bound is not None and not isinstance(bound, bool)
    }


def _text_limits(data: oai.Schema) -> tuple[dict[str, Any], str]:
    """Return the limits of a text that the client checks, and a pattern that it does not."""
    lengths = {"min_length": data.minLength, "max_length": data.maxLength}
    limits: dict[str, Any] = {key: limit for key, limit in lengths.items() if limit is not None}
    if data.pattern is None:
        return limits, ""
    pattern = python_pattern(data.pattern.get_untrusted_value())
    time = judge(pattern)
    short = limits.get("max_length", LONGEST_CHECKED + 1) <= LONGEST_CHECKED
    if time == Time.LINEAR or (time == Time.POLYNOMIAL and short):
        return {**limits, "pattern": pattern}, ""
    return limits, pattern


def class_name(prop: Any) -> str:
    """Return the name of the class that is generated for a model or an enum."""
    return identifier(str(prop.class_info.name))


def annotation(prop: PropertyProtocol, *, argument: bool = False) -> str:
    """Return the Python type of a property; of an argument, the wider one that it takes."""
    match prop:
        case Nullable():
            return f"{annotation(prop.inner, argument=argument)} | None"
        case MapOf():
            name = "Mapping" if argument else "dict"
            return f"{name}[str, {annotation(prop.inner, argument=argument)}]"
        case ListProperty():
            name = "Sequence" if argument else "list"
            return f"{name}[{annotation(prop.inner_property, argument=argument)}]"
        case UnionProperty():
            inner = (annotation(one, argument=argument) for one in prop.inner_properties)
            return " | ".join(dict.fromkeys(inner))
        case ModelProperty():
            return class_name(prop)
        case EnumProperty():
            name = class_name(prop)
            return f"{name} | {prop.value_type.__name__}" if argument else name
        case DateTimeProperty():
            return "datetime"
        case DateProperty():
            return "date"
        case UuidProperty() | StringProperty():
            return "str"
        case IntProperty():
            return "int"
        case FloatProperty():
            return "float"
        case BooleanProperty():
            return "bool"
        case NoneProperty():
            return "None"
        case AnyProperty() | ConstProperty():
            return "Any"
        case _:
            raise GenerationError(f"{_name(prop)}: no property kind for {type(prop).__name__}")


def decode(prop: PropertyProtocol, source: str) -> str:
    """Return an expression that reads parsed JSON, `source`, as this property's type."""
    match prop:
        case Nullable():
            return f"None if {source} is None else {decode(prop.inner, source)}"
        case MapOf():
            return f"decode_map({source}, {_function(decode, prop.inner)})"
        case ListProperty():
            return f"decode_list({source}, {_function(decode, prop.inner_property)})"
        case UnionProperty():
            decoders = ", ".join(_function(decode, one) for one in prop.inner_properties)
            return f"decode_union({source}, {decoders})"
        case ModelProperty():
            return f"{class_name(prop)}.from_dict({source})"
        case EnumProperty():
            return f"decode_enum({source}, {class_name(prop)})"
        case DateTimeProperty():
            return f"decode_timestamp({source})"
        case DateProperty():
            return f"decode_date({source})"
        case UuidProperty() | StringProperty():
            return f"decode_string({source})"
        case Digits():
            return f"decode_digits({source})"
        case IntProperty():
            return f"decode_integer({source})"
        case FloatProperty():
            return f"decode_number({source})"
        case BooleanProperty():
            return f"decode_boolean({source})"
        case ConstProperty():
            return f"decode_constant({source}, {literal(prop.value.raw_value)})"
        case NoneProperty():
            return f"decode_constant({source}, None)"
        case _:
            return source


def encode(prop: PropertyProtocol, source: str) -> str:
    """Return an expression that checks a value, `source`, and turns it into what JSON takes."""
    match prop:
        case Nullable():
            return f"None if {source} is None else {encode(prop.inner, source)}"
        case MapOf():
            return f"encode_map({source}, {_function(encode, prop.inner)})"
        case ListProperty():
            return f"encode_list({source}, {_function(encode, prop.inner_property)})"
        case UnionProperty():
            encoders = ", ".join(_function(encode, one) for one in prop.inner_properties)
            return f"encode_union({source}, {encoders})"
        case ModelProperty():
            return f"encode_model({source}, {class_name(prop)})"
        case EnumProperty():
            return f"encode_enum({source}, {class_name(prop)})"
        case DateTimeProperty():
            return f"encode_timestamp({source})"
        case DateProperty():
            return f"encode_date({source})"
        case Text() | Integer() | Number():
            function = {Text: "string", Integer: "integer", Number: "number"}[type(prop)]
            limits = "".join(f", {key}={literal(limit)}" for key, limit in prop.limits.items())
            return f"encode_{function}({source}{limits})"
        case UuidProperty() | StringProperty():
            return f"encode_string({source})"
        case Digits():
            return f"encode_digits({source})"
        case BooleanProperty():
            return f"encode_boolean({source})"
        case ConstProperty():
            return f"encode_constant({source}, {literal(prop.value.raw_value)})"
        case NoneProperty():
            return f"encode_constant({source}, None)"
        case _:
            return f"encode_json({source})"


def decoder(prop: PropertyProtocol) -> str:
    """Return a function that reads parsed JSON as this property's type."""
    return _function(decode, prop)


def encoder(prop: PropertyProtocol) -> str:
    """Return a function that checks a value of this property and turns it into what JSON takes."""
    return _function(encode, prop)


def _function(convert: Any, prop: PropertyProtocol) -> str:
    """Return a function of one argument for a property: by its name where there is one."""
    expression: str = convert(prop, "item")
    name = expression.removesuffix("(item)")
    if name != expression and "(" not in name and " " not in name:
        return name
    return f"lambda item: {expression}"


def bounds(prop: PropertyProtocol) -> str:
    """Say in words what values an argument takes, for its docstring."""
    match prop:
        case Nullable() | MapOf():
            return bounds(prop.inner)
        case ListProperty():
            return bounds(prop.inner_property)
        case Digits():
            return "At least 0, of any size."
        case DateTimeProperty():
            return "With a time zone."
        case Text() | Integer() | Number():
            words = {
                "minimum": "at least {}",
                "above": "greater than {}",
                "maximum": "at most {}",
                "below": "less than {}",
                "multiple_of": "a multiple of {}",
                "min_length": "at least {} characters",
                "max_length": "at most {} characters",
                "pattern": "matching `{}`",
            }
            parts = [words[key].format(limit) for key, limit in prop.limits.items()]
            if isinstance(prop, Text) and prop.unchecked:
                parts.append(f"matching `{prop.unchecked}`, which only the server checks")
            told = ", ".join(parts).replace(r"\Z", "$")  # as the document has it
            return f"{told[0].upper()}{told[1:]}." if told else ""
        case _:
            return ""


def is_secret(prop: PropertyProtocol) -> bool:
    """Return whether a property is a secret, or a list, map or union of secrets."""
    match prop:
        case Wrapper():
            return is_secret(prop.inner)
        case ListProperty():
            return is_secret(prop.inner_property)
        case UnionProperty():
            return any(map(is_secret, prop.inner_properties))
        case _:
            return isinstance(prop, Text) and prop.secret


def _name(prop: PropertyProtocol) -> str:
    return prop.name.get_untrusted_value()
