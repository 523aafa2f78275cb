"""From a document to operations and classes of our kinds, with openapi-python-client as parser.

Only this module and `_schemas` import it, so only they change when it is updated.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from openapi_python_client import schema as oai
from openapi_python_client.config import ClassOverride, Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData, properties
from openapi_python_client.parser.bodies import BodyType
from openapi_python_client.parser.errors import GeneratorError
from openapi_python_client.parser.properties.const import ConstProperty
from openapi_python_client.parser.properties.list_property import ListProperty
from openapi_python_client.parser.properties.none import NoneProperty
from openapi_python_client.parser.properties.union import UnionProperty
from openapi_python_client.strings import PythonIdentifier

from . import _kinds
from ._document import one_line
from ._errors import GenerationError
from ._kinds import Enum, Kind, Model, Property
from ._literals import identifier, literal
from ._schemas import PREFIX, Wrapper, install, raw
from ._security import Alternatives, security
from ._servers import servers


@frozen
class Endpoint:
    """An operation of the document, with Python's names and our kinds."""

    where: str
    """Method and path, for errors."""
    name: str
    method: str
    path: str
    tag: str
    summary: str
    description: str
    parameters: dict[str, list[Property]]
    """By location: `path`, `query` and `header`."""
    body: Property | None
    answer: Kind | None
    answer_description: str
    answers: list[Kind]
    """The kinds of all answers, errors included."""
    extensions: Mapping[str, Any]
    """The operation as it is written: openapi-python-client keeps no extensions."""
    deprecated: bool
    security: Alternatives | None
    server: str | None


def parse(
    document: dict[str, Any], taken: Collection[str]
) -> tuple[list[Endpoint], list[Model | Enum]]:
    """Return the operations of a patched document, sorted by name, and its classes.

    Args:
        document: As `check_document` accepts it.
        taken: Names that are in use. A class with one of them gets the suffix `Model`.

    Raises:
        GenerationError: Something in it is not supported.
    """
    _refuse_ignored(document)
    install()
    overrides = {
        name: ClassOverride.model_validate({"class_name": f"{name}Model"}) for name in taken
    }
    config = Config.from_sources(
        ConfigFile(class_overrides=overrides), MetaType.NONE, Path(), "utf-8", False, None
    )
    try:
        parsed = GeneratorData.from_dict(document, config=config)
        if isinstance(parsed, GeneratorError):
            raise _problem(parsed)
        for error in parsed.errors:
            raise _problem(error)
        reader = _Reader(parsed, document)
        endpoints = _endpoints(parsed, document, reader)
        for collection in parsed.endpoint_collections_by_tag.values():
            for warning in collection.parse_errors:
                raise _problem(warning)
        for model in parsed.models:
            reader.fill(model)
        return endpoints, list(reader.classes.values())
    except RecursionError:
        problem = "its schemas refer to each other through too many levels"
        raise GenerationError(f"the document: {problem}") from None
    except ValueError as fault:
        raise GenerationError(f"openapi-python-client: {one_line(fault)}") from None


def _problem(problem: GeneratorError) -> GenerationError:
    text = f"{one_line(problem.header).removeprefix('WARNING ')} {one_line(problem.detail or '')}"
    text = re.sub(r"<openapi_python_client\S+ object at \w+>", "...", text)
    return GenerationError(f"openapi-python-client: {text.strip()}")


class _Reader:
    """Turns what openapi-python-client parsed into our terms."""

    def __init__(self, parsed: GeneratorData, document: dict[str, Any]) -> None:
        self.security, self.servers = security(document), servers(document)
        found = (*map(_model, parsed.models), *map(_enum, parsed.enums))
        self.classes: dict[str, Any] = {one.name: one for one in found}

    def fill(self, parsed: properties.ModelProperty) -> None:
        """Add the fields of a model once all models exist, as they may refer to each other."""
        model = self.classes[parsed.class_info.name]
        written = parsed.data.properties or {}
        model.properties = [
            self.property(one, in_place=isinstance(written.get(one.name), oai.Schema))
            for one in (*(parsed.required_properties or ()), *(parsed.optional_properties or ()))
        ]
        if parsed.additional_properties:
            model.additional = self.kind(parsed.additional_properties)

    def property(self, prop: Any, *, in_place: bool = False) -> Property:
        name, description = raw(prop.name), raw(prop.description)
        kind = self.kind(prop)
        return Property(name, str(prop.python_name), prop.required, description, kind, in_place)

    def kind(self, prop: Any) -> Any:
        """Return the kind of one of openapi-python-client's properties."""
        match prop:
            case Wrapper():
                return prop.of(self.kind(prop.inner))
            case ListProperty():
                return _kinds.ListOf(self.kind(prop.inner_property))
            case UnionProperty():
                return _kinds.Union([self.kind(one) for one in prop.inner_properties])
            case properties.ModelProperty() | properties.EnumProperty():
                return self.classes[prop.class_info.name]
            case ConstProperty():
                return _kinds.Constant(prop.value.raw_value)
            case NoneProperty():
                return _kinds.Constant(None)
            case properties.AnyProperty():
                return _kinds.Anything()
        if not hasattr(prop, "kind"):
            problem = f"no property kind for {type(prop).__name__}"
            raise GenerationError(f"{raw(prop.name)}: {problem}")
        return prop.kind

    def endpoint(self, parsed: Any, document: dict[str, Any]) -> Endpoint:
        where, name = _where(parsed), identifier(str(parsed.name))
        if PythonIdentifier(name, PREFIX) != name:
            problem = f"{name!r} cannot be the name of a method: change its operationId"
            raise GenerationError(f"{where}: {problem}")
        if parsed.cookie_parameters:
            raise GenerationError(f"{where}: cookie parameters are not supported")
        found = parsed.bodies
        if len(found) > 1 or any(body.body_type != BodyType.JSON for body in found):
            raise GenerationError(f"{where}: only one JSON request body is supported")
        answer, answer_description = self.answer(parsed, where)
        answers = [*parsed.responses.patterns, parsed.responses.default]
        item, written = _written(parsed, document)
        place = ("paths", raw(parsed.path), parsed.method)
        return Endpoint(
            where,
            name,
            parsed.method.upper(),
            raw(parsed.path),
            identifier(str(parsed.tags[0])),
            raw(parsed.summary),
            raw(parsed.description),
            {
                location: [self.property(one) for one in getattr(parsed, f"{location}_parameters")]
                for location in ("path", "query", "header")
            },
            self.property(found[0].prop) if found else None,
            answer,
            answer_description,
            [self.kind(one.prop) for one in answers if one],
            written,
            bool(written.get("deprecated")),
            self.security.of(written, place),
            self.servers.of(item, written, place),
        )

    def answer(self, parsed: Any, where: str) -> tuple[Kind | None, str]:
        successes = [
            response
            for response in parsed.responses.patterns
            if response.status_code.range and response.status_code.range[0] // 100 == 2
        ]
        sources = {response.source["attribute"] for response in successes}
        if sources <= {"None"}:
            return None, ""
        if sources != {"response.json()"}:
            raise GenerationError(f"{where}: only JSON answers are supported")
        kinds = [self.kind(response.prop) for response in successes]
        if len({kind.annotation for kind in kinds}) > 1:
            raise GenerationError(f"{where}: its 2xx answers are of different types")
        return kinds[0], raw(getattr(successes[0].data, "description", None))


def _model(parsed: Any) -> Model:
    return Model(*_named(parsed), (parsed.data.model_extra or {}).get("x-python-flags", {}))


def _enum(parsed: Any) -> Enum:
    members = {
        identifier(name): literal(value) if isinstance(value, int) else f'"{value}"'
        for name, value in parsed.values.items()
    }
    return Enum(*_named(parsed), members, parsed.value_type.__name__)


def _named(parsed: Any) -> tuple[str, str, str, str]:
    """Return the names of a class, of its module and of its schema, and its description."""
    name, file = identifier(str(parsed.class_info.name)), identifier(parsed.class_info.module_name)
    return name, file, raw(parsed.name).rsplit("/", 1)[-1], raw(parsed.description)


def _where(parsed: Any) -> str:
    return f"{parsed.method.upper()} {raw(parsed.path)}"


def _endpoints(parsed: GeneratorData, document: dict[str, Any], reader: _Reader) -> list[Endpoint]:
    """Return all operations by name."""
    found: dict[str, Any] = {}
    for collection in parsed.endpoint_collections_by_tag.values():
        for endpoint in collection.endpoints:
            if found.setdefault(endpoint.name, endpoint) is not endpoint:
                problem = f"there is another operation {endpoint.name}"
                raise GenerationError(f"{_where(endpoint)}: {problem}")
    return [reader.endpoint(found[name], document) for name in sorted(found)]


def _written(parsed: Any, document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    for item in document["paths"].values():
        written: dict[str, Any] = item.get(parsed.method, {})
        if PythonIdentifier(written.get("operationId", ""), PREFIX) == parsed.name:
            return item, written
    return {}, {}


# --- what openapi-python-client would silently ignore --------------------------------------------


def _refuse_ignored(document: dict[str, Any]) -> None:
    if "paths" not in document:
        raise GenerationError("the document has no paths: there is nothing to call")
    shared = document.get("components", {}).get("parameters", {})
    parts = {"components": {"parameters": shared.values()}}
    for path, item in document["paths"].items():
        parts[path] = item
        parts |= {f"{key.upper()} {path}": v for key, v in item.items() if isinstance(v, dict)}
    for where, part in parts.items():
        for parameter in part.get("parameters", []):
            plain = parameter.get("style", "form") in ("form", "simple")
            if "content" in parameter or not plain or parameter.get("explode") is False:
                problem = "content, style and explode are not supported"
                raise GenerationError(f"{where}: parameter {parameter.get('name')}: {problem}")
