"""What pydantic asks models for, so that FastAPI takes and returns them. They do not need it."""

from collections.abc import Callable
from contextvars import ContextVar
from datetime import date, datetime, timedelta, timezone
from typing import Any, cast, get_args, get_origin

from pydantic_core import SchemaSerializer
from pydantic_core import core_schema as cs

from ._codecs import ApiModel
from ._forms import (
    REST,
    Field,
    chosen,
    fields_of,
    integer_of,
    is_integer,
    items_of,
    models_of,
    options,
)
from ._unions import UnknownObject
from ._unset import Unset

_building: ContextVar[frozenset[type[ApiModel]]] = ContextVar("building", default=frozenset())
"""The models whose schema is being made: references inside it, as models may form circles."""


def core_schema_of(model: type[ApiModel], handler: Any) -> cs.CoreSchema:
    """Return the schema that takes an instance or an object with Python's names.

    It is written as `to_dict(by="python")` does. Fields are checked by their types without
    conversions, except that strings of digits are taken for integers, as `ints="str"` writes them.
    """
    ref = f"{model.__module__}.{model.__qualname__}:{id(model)}"
    building = _building.get()
    if model in building:
        return cs.definition_reference_schema(ref)
    token = _building.set(building | {model})
    try:
        inner, make = _object(model, handler)
    finally:
        _building.reset(token)

    def validate(value: Any, validator: Any) -> Any:
        return value if isinstance(value, model) else make(validator(value))

    schema = cs.no_info_wrap_validator_function(
        validate,
        inner,
        ref=ref,
        serialization=cs.plain_serializer_function_ser_schema(_written),
    )
    return cs.definitions_schema(cs.definition_reference_schema(ref), [schema])


def instance_of(kind: type) -> cs.CoreSchema:
    """Return the schema that takes instances of a class as they are."""
    return cs.is_instance_schema(kind)


def _written(value: Any) -> Any:
    return value.to_dict(by="python")


SERIALIZER = SchemaSerializer(
    cs.any_schema(serialization=cs.plain_serializer_function_ser_schema(_written))
)
"""How pydantic writes a model where it does not expect one, as in a field of the type `Any`."""


def _object(
    model: type[ApiModel], handler: Any
) -> tuple[cs.CoreSchema, Callable[[dict[str, Any]], Any]]:
    """Return the schema of an object, and what makes an instance of it."""
    if issubclass(model, UnknownObject):
        return cs.dict_schema(cs.str_schema(), cs.any_schema()), model
    known = fields_of(model)
    schema = cs.typed_dict_schema(
        {name: _field(one, handler) for name, one in known.items()},
        cls_name=model.__name__,
        extra_behavior="allow",
        extras_schema=_of(items_of(known[REST].type, dict), handler),
    )

    def make(values: dict[str, Any]) -> Any:
        unknown = {name: values.pop(name) for name in [*values] if name not in known}
        rest = values.pop(REST, {})
        return model(**values, **{REST: unknown | rest})

    return schema, make


def _field(field: Field, handler: Any) -> cs.TypedDictField:
    schema = _of(field.type, handler)
    return cs.typed_dict_field(schema, required=field.required, serialization_exclude=field.secret)


def _of(annotation: Any, handler: Any) -> cs.CoreSchema:
    """Return the schema of a type of a field."""
    found = [one for one in options(annotation) if one is not Unset]
    models = models_of(annotation)
    others = [one for one in found if one not in models and one is not type(None)]
    schemas = [_single(one, handler) for one in others]
    if is_integer(annotation):  # and no text is meant
        place = others.index(int)
        schemas[place] = cs.no_info_before_validator_function(integer_of, schemas[place])
    if len(models) > 1:
        choices = {one.__name__: handler.generate_schema(one) for one in models}
        schemas.append(cs.tagged_union_schema(choices, lambda value: _tag(models, value)))
    else:
        schemas += map(handler.generate_schema, models)
    if not schemas:
        return cs.none_schema()
    schema = schemas[0] if len(schemas) == 1 else cs.union_schema([*schemas])
    return cs.nullable_schema(schema) if type(None) in found else schema


def _tag(models: list[type[ApiModel]], value: Any) -> str | None:
    if isinstance(value, ApiModel):
        return type(value).__name__
    return chosen(models, cast("Any", value)).__name__ if isinstance(value, dict) else None


def _number(value: Any, check: Callable[[Any], float]) -> float:
    """Keep an integer as it is, as `from_dict` does."""
    number = check(value)
    return value if type(value) is int else number


def _moment(value: datetime) -> datetime:
    """Replace pydantic's class of time zones by that of the standard library."""
    return value.replace(tzinfo=timezone(value.utcoffset() or timedelta()))


def _single(annotation: Any, handler: Any) -> cs.CoreSchema:
    if get_origin(annotation) is list:
        return cs.list_schema(_of(get_args(annotation)[0], handler), strict=True)
    if get_origin(annotation) is dict:
        return cs.dict_schema(cs.str_schema(), _of(get_args(annotation)[1], handler), strict=True)
    scalars: dict[Any, Callable[[], cs.CoreSchema]] = {
        int: lambda: cs.int_schema(strict=True),
        bool: lambda: cs.bool_schema(strict=True),
        float: lambda: cs.no_info_wrap_validator_function(
            _number, cs.float_schema(strict=True, allow_inf_nan=False)
        ),
        str: lambda: cs.str_schema(strict=True),
        datetime: lambda: cs.no_info_after_validator_function(
            _moment, cs.datetime_schema(tz_constraint="aware")
        ),
        date: cs.date_schema,
    }
    return scalars[annotation]() if annotation in scalars else handler.generate_schema(annotation)
