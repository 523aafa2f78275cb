"""Models in other forms than the one that is sent: with Python's names, or without secrets."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from attrs import NOTHING, fields, frozen

from ._codecs import ApiModel, decode_object, encode_json, encode_list, encode_map
from ._errors import ArgumentError, ArgumentValueError, DecodeError, mismatch
from ._unions import UnknownObject
from ._unset import Unset

M = TypeVar("M", bound=ApiModel)

REST = "additional_properties"
"""The field of a model for what the document does not name."""
_INTEGER = re.compile("-?[0-9]{1,4300}")


@frozen
class Field:
    """A field of a model."""

    name: str
    wire_name: str
    type: Any
    required: bool
    secret: bool


def fields_of(model: type[ApiModel]) -> dict[str, Field]:
    """Return the fields of a model by their names in Python; `additional_properties` is one."""
    return _fields_of(cast("Any", model))


@cache
def _fields_of(model: Any) -> dict[str, Field]:
    hints = get_type_hints(model)
    return {
        one.name: Field(
            one.name,
            model.__wire_names__.get(one.name, one.name),
            hints[one.name],
            one.default is NOTHING,
            not one.repr,  # generated models leave secrets out of their repr, and nothing else
        )
        for one in fields(model)
    }


def options(annotation: Any) -> list[Any]:
    """Return the alternatives of a type: itself, unless it is a union."""
    if get_origin(annotation) in (Union, UnionType):
        return [inner for one in get_args(annotation) for inner in options(one)]
    return [annotation]


def models_of(annotation: Any) -> list[type[ApiModel]]:
    """Return the models among the alternatives of a type."""
    found = [one for one in options(annotation) if isinstance(one, type)]
    return [one for one in found if issubclass(one, ApiModel)]


def items_of(annotation: Any, container: type) -> Any:
    """Return the type of the items of a list or a dict among the alternatives."""
    found = [get_args(one)[-1] for one in options(annotation) if get_origin(one) is container]
    return found[0] if found else Any


def is_integer(annotation: Any) -> bool:
    """Return whether a text can only mean an integer."""
    return int in (found := options(annotation)) and not any(
        one is str
        or get_origin(one) is Literal
        or (isinstance(one, type) and issubclass(one, date | Enum))
        for one in found
    )


def integer_of(value: Any) -> Any:
    """Return the integer that a string of digits stands for, and any other value as it is."""
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value


def chosen(models: Sequence[type[M]], data: Mapping[str, Any]) -> type[M]:
    """Return the model that fits an object with Python's names best.

    That is the one whose listed values match, whose required fields are there, and of which the
    fewest names are unknown; the first of several.
    """
    known = [one for one in models if not issubclass(one, UnknownObject)]
    ranked = [(_misfit(one, data), number) for number, one in enumerate(known)]
    if not ranked or (min(ranked)[0][0] and len(known) < len(models)):
        return next(one for one in models if issubclass(one, UnknownObject))
    return known[min(ranked)[1]]


def _misfit(model: type[ApiModel], data: Mapping[str, Any]) -> tuple[int, int, int]:
    known = fields_of(model)
    listed = [(one.name, values) for one in known.values() if (values := _listed(one.type))]
    other = sum(name in data and data[name] not in values for name, values in listed)
    missing = sum(one.required and name not in data for name, one in known.items())
    return other, missing, sum(name not in known for name in data)


def _listed(annotation: Any) -> list[Any]:
    found: list[Any] = []
    for one in options(annotation):
        if get_origin(one) is Literal:
            found += get_args(one)
        elif isinstance(one, type) and issubclass(one, Enum):
            found += [member.value for member in one]
    return found


# --- writing -------------------------------------------------------------------------------------


def write(model: ApiModel, by: str, ints: str | None, secrets: bool | None) -> dict[str, Any]:
    """Write a model as `ApiModel.to_dict` says."""
    _check("by", by, "wire", "python")
    if by == "wire":
        if ints is not None:
            raise ArgumentValueError("is for by='python': the API says how it takes numbers").under(
                "ints"
            )
        sent: dict[str, Any] = _without_secrets(model, model.__to_wire__())
        return sent
    _check("ints", ints, None, "int", "str")
    form: dict[str, Any] = _written(model, ints == "str", bool(secrets))
    return form


def _check(name: str, value: Any, *allowed: Any) -> None:
    if value not in allowed:
        choices = " or ".join(repr(one) for one in allowed if one is not None)
        raise ArgumentValueError(f"must be {choices}, got {value!r}").under(name)


def _written(value: Any, as_text: bool, secrets: bool, annotation: Any = Any) -> Any:
    """Write a value of a field in the form with Python's names."""
    if isinstance(value, UnknownObject):
        return value.__to_wire__()
    if isinstance(value, ApiModel):
        return _named(value, as_text, secrets)
    if isinstance(value, Enum | date):
        return value.value if isinstance(value, Enum) else value.isoformat()
    if isinstance(value, list):
        inner = items_of(annotation, list)
        return encode_list(value, lambda item: _written(item, as_text, secrets, inner))
    if isinstance(value, dict):
        inner = items_of(annotation, dict)
        return encode_map(value, lambda item: _written(item, as_text, secrets, inner))
    encoded = encode_json(value)
    is_text = as_text and isinstance(encoded, int) and not isinstance(encoded, bool)
    return str(encoded) if is_text and is_integer(annotation) else encoded


def _named(model: ApiModel, as_text: bool, secrets: bool) -> dict[str, Any]:
    known, form, hidden = fields_of(type(model)), dict[str, Any](), dict[str, Any]()
    for name, one in known.items():
        value = getattr(model, name)
        if isinstance(value, Unset) or (one.secret and not secrets):
            continue
        try:
            form[name] = _written(value, as_text, secrets, one.type)
        except ArgumentError as error:
            raise error.under(name) from None
    for name, value in form.pop(REST).items():
        (hidden if name in known else form)[name] = value
    return {**form, REST: hidden} if hidden else form


def _without_secrets(value: Any, form: Any) -> Any:
    """Remove the secrets of a model, at any depth, from what is sent of it."""
    inner: Any = value
    if isinstance(value, list):
        return [_without_secrets(*pair) for pair in zip(inner, form, strict=True)]
    if isinstance(value, dict):
        return {key: _without_secrets(item, form[key]) for key, item in inner.items()}
    if isinstance(value, ApiModel) and not isinstance(value, UnknownObject):
        known = fields_of(type(value))
        form |= _without_secrets(getattr(value, REST), form)
        for one in known.values():
            if one.secret:
                form.pop(one.wire_name, None)
            elif one.wire_name in form:
                inner = getattr(value, one.name)
                form[one.wire_name] = _without_secrets(inner, form[one.wire_name])
    return form


# --- reading -------------------------------------------------------------------------------------


def read(model: type[M], data: Any, by: str) -> M:
    """Read the form with Python's names, as `ApiModel.from_dict` says.

    It is turned into what the API sends, so that it is checked in the same way.
    """
    _check("by", by, "wire", "python")
    names: dict[str, str] = {}
    form = _converted(model, decode_object(data), names)
    try:
        return model.__from_wire__(form)
    except DecodeError as error:
        error.path = re.sub(r"[^.\[\]]+", lambda part: names.get(part[0], part[0]), error.path)
        raise


def _converted(model: type[ApiModel], data: dict[str, Any], names: dict[str, str]) -> Any:
    """Give the fields of an object the document's names, and add these to `names`."""
    if issubclass(model, UnknownObject):
        return data
    known = fields_of(model)
    names |= {one.wire_name: name for name, one in known.items()}
    rest: dict[str, Any] = data.get(REST, {})
    if not isinstance(cast("Any", rest), dict):
        raise mismatch("an object", rest).under(REST)
    unknown = {name: value for name, value in data.items() if name not in known} | rest
    form = {
        name: _value(value, items_of(known[REST].type, dict), names)
        for name, value in unknown.items()
    }
    for name, value in data.items():
        if name in known and name != REST:
            form[known[name].wire_name] = _value(value, known[name].type, names)
    return form


def _value(value: Any, annotation: Any, names: dict[str, str]) -> Any:
    models, parts = models_of(annotation), value
    if isinstance(value, dict) and models:
        return _converted(chosen(models, parts), parts, names)
    if isinstance(value, list):
        inner = items_of(annotation, list)
        return [_value(item, inner, names) for item in parts]
    if isinstance(value, dict):
        inner = items_of(annotation, dict)
        return {key: _value(item, inner, names) for key, item in parts.items()}
    return integer_of(value) if is_integer(annotation) else value
