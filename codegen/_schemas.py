"""A parser of schemas in front of openapi-python-client's.

openapi-python-client's own parser drops what we need: constraints, the difference between "absent"
and "null", and the names of nullable components. `install` replaces it by `property_from_schema`,
which calls it and adds a kind to each property.

Two extensions choose names: `x-python-name` that of a field or argument, `x-python-class` that of a
model or enum.
"""

import json
import re
import unicodedata
from functools import cache
from typing import Any, ClassVar

from attrs import define, evolve, field, fields, make_class
from openapi_python_client import schema as oai
from openapi_python_client import strings
from openapi_python_client.parser import bodies, openapi, properties, responses
from openapi_python_client.parser.errors import PropertyError
from openapi_python_client.parser.properties.protocol import PropertyProtocol, Value
from openapi_python_client.schema import DataType
from openapi_python_client.schema.untrusted_string import UntrustedString
from openapi_python_client.strings import ClassName, PythonCode, PythonIdentifier

from . import _kinds
from ._literals import quoted

PREFIX = "field_"
"""The prefix that makes an identifier of a name that Python does not allow."""

NULL = DataType.NULL
SCALARS = tuple(
    getattr(properties, f"{name}Property")
    for name in ("Boolean", "Date", "DateTime", "Float", "Int", "String", "Uuid")
)


@define
class Wrapper(PropertyProtocol):
    """A property for a kind that wraps another one."""

    name: UntrustedString
    required: bool
    python_name: PythonIdentifier
    description: UntrustedString | None
    inner: PropertyProtocol
    default: Value | None = None
    example: UntrustedString | None = None
    of: ClassVar[type[_kinds.Wrapper]]

    def convert_value(self, value: Any) -> None:
        """Ignore a default: the server applies it, so it is never sent."""

    def get_base_type_string(self) -> PythonCode:
        """Return what distinguishes it from the other members of a union."""
        inner = self.inner.get_type_string().as_unembedded_code()
        return PythonCode(self.of.type.format(inner))


class Nullable(Wrapper):
    """A property that may be null. Unlike a union with null it keeps the name of the class."""

    of = _kinds.Nullable


class MapOf(Wrapper):
    """An object with arbitrary keys and no named fields."""

    of = _kinds.MapOf


@cache
def _carrier(base: type[Any], kind: type[_kinds.Kind]) -> type[Any]:
    """Return a subclass of a scalar property with room for a kind.

    There is one per kind, because openapi-python-client merges properties of the same class, and
    members of a union of the same type.
    """
    own = {"kind": field(kw_only=True)}
    carrier: Any = make_class(f"{kind.__name__}Carrier", own, (base,), slots=True)
    if base.__name__ == "StringProperty":
        carrier._type_string = kind.type
    return carrier  # type: ignore[no-any-return]


def install() -> None:
    """Replace the parser of schemas by ours, in all modules that call it."""
    for module in (properties, openapi, bodies):
        module.property_from_data = property_from_schema  # type: ignore[attr-defined]
    responses.property_from_data = _response_from_schema  # type: ignore[assignment, attr-defined]
    strings.split_words = _split_words
    strings.sanitize = _sanitize
    strings.in_double_quote_literal = quoted  # its own drops characters


_plain_property_from_data = properties.property_from_data
_plain_split_words = strings.split_words
_plain_sanitize = strings.sanitize


def _sanitize(value: str) -> str:
    """Keep what an identifier may have, in the spelling that Python itself gives it."""
    return _plain_sanitize(unicodedata.normalize("NFKC", value))


def _split_words(value: str) -> list[str]:
    """Split a name into words; the plural of an acronym is one word, as in `allowedIPs`."""
    return _plain_split_words(
        re.sub("([A-Z]{2,})s(?![a-z])", lambda plural: f"{plural[1].capitalize()}s", value)
    )


def property_from_schema(
    name: UntrustedString, required: bool, data: oai.Schema | oai.Reference, **context: Any
) -> Any:
    """Parse a schema, with the results of `property_from_data`.

    Returns:
        A property or a `PropertyError`, and the schemas that are known so far.
    """
    if isinstance(data, oai.Reference):
        return _plain_property_from_data(name=name, required=required, data=data, **context)
    data = _without_default(data)
    names = (data.model_extra or {}).get("x-enum-varnames", [])
    if not (isinstance(names, list) and all(isinstance(one, str) for one in names)):
        return _refused(f"x-enum-varnames of {raw(name)} must be a list of texts", data, context)
    inner = _without_null(data)
    if inner is None:
        built, schemas = _of_class(name, required, data, **context)
    else:
        built, schemas = _wrap(Nullable, name, required, data, inner, **context)
    given = _extension(data, "x-python-name")
    if given is None or isinstance(built, PropertyError):
        return built, schemas
    python_name = PythonIdentifier(given, PREFIX)
    if python_name != given:
        return _refused(f"x-python-name of {raw(name)}: {given!r} cannot be a name", data, context)
    return evolve(built, python_name=python_name), schemas


def _of_class(name: UntrustedString, required: bool, data: oai.Schema, **context: Any) -> Any:
    """Parse a schema that allows no null; equal ones that are given one class name share it."""
    given = _extension(data, "x-python-class")
    if given is None:
        return _of_kind(name, required, data, **context)
    class_name = ClassName(given, PREFIX)
    if class_name != given:
        return _refused(
            f"x-python-class of {raw(name)}: {given!r} cannot be a class", data, context
        )
    data = data.model_copy(update={"title": given})  # a class is named by its title
    known = context["schemas"].classes_by_name.get(class_name)
    if isinstance(known, properties.ModelProperty) and known.data == data:
        python_name = PythonIdentifier(name, PREFIX)
        built = evolve(known, name=name, required=required, python_name=python_name)
        return built, context["schemas"]
    return _of_kind(name, required, data, **{**context, "parent_name": None})


def _of_kind(name: UntrustedString, required: bool, data: oai.Schema, **context: Any) -> Any:
    """Parse a schema that allows no null and is given no class name."""
    if data.type == DataType.OBJECT and not data.properties and not data.allOf:
        values = oai.Schema() if data.additionalProperties is True else data.additionalProperties
        if isinstance(values, oai.Schema | oai.Reference):
            return _wrap(MapOf, name, required, data, values, **context)
    built: Any
    built, schemas = _plain_property_from_data(name=name, required=required, data=data, **context)
    if type(built) not in SCALARS:
        return built, schemas
    try:
        kind = _kinds.kind_of(str(data.type), raw(data.schema_format), data)
    except re.error as error:
        return _refused(f"pattern of {raw(name)}: {error}", data, context)
    copied = {one.name: getattr(built, one.name) for one in fields(type(built))}
    carrier = _carrier(type(built), type(kind))  # type: ignore[arg-type]  # classes are hashable
    return carrier(**copied, kind=kind), schemas


def _response_from_schema(name: UntrustedString, **context: Any) -> Any:
    """Name the class of a 2xx answer `...Response`, not `...Response200`."""
    plain = re.sub(r"^response_2\w\w$", "response", raw(name))
    return property_from_schema(UntrustedString(plain), **context)


def _refused(problem: str, data: oai.Schema, context: dict[str, Any]) -> Any:
    return PropertyError(detail=problem, data=data), context["schemas"]


def raw(text: UntrustedString | None) -> str:
    return text.get_untrusted_value() if text else ""


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
    """Turn a default into a remark: the server applies it, so it is never sent."""
    if data.default is None:
        return data
    remark = f"Left out, the server takes {json.dumps(data.default, default=str)}."
    description = UntrustedString(f"{raw(data.description).rstrip()} {remark}".strip())
    return data.model_copy(update={"default": None, "description": description})


def _wrap(
    wrapper: type[Wrapper],
    name: UntrustedString,
    required: bool,
    data: oai.Schema,
    inner: oai.Schema | oai.Reference,
    **context: Any,
) -> Any:
    # A nullable component keeps its own name, so that its class does too.
    inner_name = UntrustedString(f"{raw(name)}_value") if wrapper is MapOf else name
    built, schemas = property_from_schema(inner_name, True, inner, **context)
    if isinstance(built, PropertyError):
        return built, schemas
    description = data.description or built.description
    if wrapper is Nullable and isinstance(built, Nullable):  # by way of a nullable component
        return evolve(built, required=required, description=description), schemas
    return wrapper(name, required, PythonIdentifier(name, PREFIX), description, built), schemas
