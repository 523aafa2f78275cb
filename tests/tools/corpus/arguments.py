"""Turns JSON values of a document's parameters and bodies into arguments of a generated method."""

import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from enum import Enum
from types import ModuleType
from typing import Any

from attrs import define, field

Place = tuple[str, ...]
"""Where a value goes: its location and name, or `body` and the names of fields."""


class UnmappedError(Exception):
    """It is unclear which argument a value belongs to, or how to write it in Python."""


def plain(name: str) -> str:
    """Return the letters and digits of a name, by which names in two spellings are compared."""
    return re.sub(r"[\W_]", "", name).lower()


@define
class Method:
    """A method of the generated client."""

    module: ModuleType
    """The module with `OPERATION` and `call`."""
    classes: dict[str, Any] = field(repr=False)
    """All models and enums, for annotations."""

    @property
    def name(self) -> str:
        """Its name on the clients."""
        found: str = self.module.OPERATION.name
        return found

    @property
    def types(self) -> dict[str, Any]:
        """The types of its arguments."""
        names = {**self.classes, **vars(typing), "datetime": datetime, "date": date}
        names |= {"Sequence": Sequence, "Mapping": Mapping}
        names |= vars(self.module)
        found = typing.get_type_hints(self.module.call, names, names)
        return {name: one for name, one in found.items() if name != "return"}

    def arguments(self, values: dict[Place, Any], parameters: list[Place]) -> dict[str, Any]:
        """Return the arguments that pass these values.

        Args:
            values: Values of parameters, and of the body.
            parameters: All parameters of the operation.

        Raises:
            UnmappedError: A value belongs to no argument, or to several.
        """
        annotations = self.types
        free = dict(inspect.signature(self.module.call).parameters)
        made: dict[str, Any] = {}
        bodies = {place: value for place, value in values.items() if place[0] == "body"}
        # Those without a value too: a field may have a similar name. The exact names come first.
        names = [name for _, name in parameters]
        for place in sorted(parameters, key=lambda one: one[1] not in free):
            is_shared = names.count(place[1]) > 1
            if place in values:
                name = self._argument(place[1], place[0], free, is_shared=is_shared)
                made[name] = to_python(values[place], annotations[name])
            else:
                with suppress(UnmappedError):
                    self._argument(place[1], place[0], free, is_shared=is_shared)
        for value in bodies.values():
            for name, one in self._body(value, free):
                made[name] = to_python(one, annotations[name])
        return made

    def _argument(
        self, wire_name: str, location: str, free: dict[str, Any], *, is_shared: bool = False
    ) -> str:
        """Return the argument of a name, and remove it from those that are left."""
        wanted = plain(wire_name)
        forms = [wanted, wanted + location, location + wanted]
        if is_shared:
            forms = [wanted + location, wanted]
        for form in forms:
            found = [name for name in free if plain(name) == form]
            exact = [name for name in found if name in (wire_name, f"{wire_name}_")]
            if found:
                name = (exact or found)[0]
                del free[name]
                return name
        # Names that differ in their spelling only get a number or a word at their end.
        ending = re.compile(re.escape(wanted) + r"(\d+|camel|capital)")
        numbered = [name for name in free if ending.fullmatch(plain(name))]
        if not numbered:
            raise UnmappedError(f"no argument for {location} {wire_name!r} among {sorted(free)}")
        del free[numbered[0]]
        return numbered[0]

    def _body(self, value: Any, free: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        names = {plain(name) for name in free}
        is_flat = isinstance(value, dict) and not (
            "body" in names and "body" not in map(plain, value)
        )
        if not is_flat:
            whole = [name for name in free if plain(name) in ("body", "bodybody")]
            if not whole:
                raise UnmappedError(f"no argument for the body among {sorted(free)}")
            yield whole[0], value
            return
        for name, one in value.items():
            try:
                yield self._argument(name, "body", free), one
            except UnmappedError:
                # An object in place, whose fields are arguments too.
                if not isinstance(one, dict):
                    raise
                for inner, part in one.items():
                    yield self._argument(f"{name}_{inner}", "body", free), part


def to_python(value: Any, annotation: Any) -> Any:
    """Return a value of an annotated type for a JSON value, or raise `UnmappedError`."""
    fitting = list(_converted(value, annotation))
    if not fitting:
        raise UnmappedError(f"{value!r:.60} is no {annotation}")
    return fitting[0]


def _converted(value: Any, annotation: Any) -> Iterator[Any]:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        yield value
    elif origin in (typing.Union, types.UnionType):
        models = [one for one in parts if hasattr(one, "from_dict")]
        # Models that have more of the fields come first.
        ranked = sorted(models, key=lambda one: -_fields_in(one, value))
        for part in [*(one for one in parts if one not in models), *ranked]:
            yield from _converted(value, part)
    elif origin is typing.Literal:
        yield from [value] if value in parts else []
    elif annotation in (None, type(None)):
        yield from [None] if value is None else []
    elif hasattr(annotation, "from_dict"):
        if isinstance(value, dict):
            try:
                yield _model(value, annotation)
            except (UnmappedError, ValueError):
                return
    elif isinstance(value, list) and origin in (list, Sequence):
        yield [to_python(one, parts[0]) for one in value]
    elif isinstance(value, dict) and origin in (dict, Mapping):
        yield {key: to_python(one, parts[1]) for key, one in value.items()}
    elif isinstance(annotation, type):
        yield from _scalar(value, annotation)


def _model(value: dict[str, Any], model: Any) -> Any:
    """Return a model with these fields, as an application makes it."""
    names = {plain(one.name): one.name for one in model.__attrs_attrs__}
    spelt = [plain(name) for name in value]
    if len(names) < len(model.__attrs_attrs__) or len({*spelt}) < len(spelt):
        return model.from_dict(value)  # two names differ in their spelling only
    kinds = typing.get_type_hints(model, {**vars(typing), **vars(sys.modules[model.__module__])})
    known = {names[plain(key)]: one for key, one in value.items() if plain(key) in names}
    made = {name: to_python(one, kinds[name]) for name, one in known.items()}
    rest = {key: one for key, one in value.items() if plain(key) not in names}
    if rest:
        if "additional_properties" not in kinds:
            raise UnmappedError(f"{model.__name__} has no field {min(rest)!r}")
        made["additional_properties"] = to_python(rest, kinds["additional_properties"])
    try:
        return model(**made)
    except TypeError as error:
        raise UnmappedError(f"{model.__name__}: {error}") from None


def _scalar(value: Any, kind: type) -> Iterator[Any]:
    if issubclass(kind, Enum):
        if not isinstance(value, list | dict | None) and type(value) is not bool:
            try:
                yield kind(value)
            except ValueError:
                return
    elif isinstance(value, str):
        if kind is str:
            yield value
        elif kind is bytes:
            yield value.encode()
        elif kind is int and value.isdecimal():
            yield int(value)
        elif kind in (datetime, date):
            try:
                yield kind.fromisoformat(value)
            except ValueError:
                return
    elif isinstance(value, bool):
        yield from [value] if kind is bool else []
    elif isinstance(value, int | float):
        yield from [value] if kind is float or (kind is int and value == int(value)) else []


def _fields_in(model: Any, value: Any) -> int:
    names = {plain(one.name) for one in model.__attrs_attrs__}
    return sum(plain(name) in names for name in value) if isinstance(value, dict) else 0


def written(value: Any) -> Any:
    """Return the JSON of what a method returned."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [written(one) for one in value]
    if isinstance(value, dict):
        return {key: written(one) for key, one in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode()
    return value.value if isinstance(value, Enum) else value
