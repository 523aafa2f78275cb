"""A second reading of a document, by openapi-python-client, which shares no code with our reader.

Names are compared as they are on the wire. Not compared are unions, any JSON, and what we read
differently on purpose: objects with `allOf`, `readOnly` or `writeOnly`, parameters with `content`,
bodies in several media types, and answers for 204, 205 and ranges of statuses.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData, openapi, properties
from openapi_python_client.parser.properties import list_property, none, union

from . import _kinds
from ._api import Api, Endpoint

Parts = Mapping[str, tuple[bool, Any]]
"""Fields, parameters and so on: whether each is required, and what a reader made of it."""

COMPONENT = "/components/schemas/"
NEEDS = {None: "nothing", True: "required", False: "optional"}
ANY = (none.NoneProperty, properties.AnyProperty, properties.ModelProperty, union.UnionProperty)
"""What is not compared: a model that comes this far is one of `_differs`."""


def differences(document: dict[str, Any], api: Api) -> tuple[list[str], int]:
    """Return the differences, and how many operations openapi-python-client cannot read."""
    config = Config.from_sources(ConfigFile(), MetaType.NONE, Path(), "utf-8", False, None)
    try:
        parsed: Any = GeneratorData.from_dict(document, config=config)
        found = [*parsed.endpoint_collections_by_tag.values()]
    except Exception:  # noqa: BLE001 - a document that it does not expect ends in any error
        return [], len(api.endpoints)
    headers = [error.header for one in found for error in one.parse_errors]
    skipped = {re.sub(r"(?s)WARNING parsing (.*) within .*", r"\1", one) for one in headers}
    unread = skipped & {one.where for one in api.endpoints}
    skipped |= {f"{one.method} {one.path}" for one in api.refused}
    ours: dict[str, Any] = {one.where: one for one in api.endpoints}
    theirs = {_where(endpoint): endpoint for one in found for endpoint in one.endpoints}
    components = {COMPONENT + one.wire_name: one for one in api.classes if not one.naming[0]}
    models = {_raw(one.name): one for one in parsed.models}
    written = {COMPONENT + name for name in (document.get("components") or {}).get("schemas") or ()}
    both = components.keys() & models.keys() & written  # alternatives have names as components do
    compared = ((ours.keys() | theirs.keys()) - skipped) | both
    sides = [
        {name: (True, one) for name, one in side.items() if name in compared}
        for side in (components | ours, models | theirs)
    ]
    return [*_Comparison(parsed.models).parts("", *sides)], len(unread)


class _Comparison:
    """Compares each pair of objects once."""

    def __init__(self, models: list[Any]) -> None:
        self.models = {one.class_info.name: one for one in models}
        """openapi-python-client's models. Its copies of them may have no fields."""
        self.seen: set[tuple[int, int]] = set()

    def parts(self, where: str, ours: Parts, theirs: Parts) -> Iterator[str]:
        """Yield how the parts of something differ."""
        for name in sorted(ours.keys() | theirs.keys()):
            (need, our), (other, their) = (one.get(name, (None, None)) for one in (ours, theirs))
            if need == other:
                yield from self.made(f"{where}{name}", our, their)
            else:
                yield _line(f"{where}{name}", NEEDS[need], NEEDS[other])

    def made(self, where: str, our: Any, their: Any) -> Iterator[str]:
        """Yield how what the readers made of one part differs."""
        our = our.inner if isinstance(our, _kinds.Nullable) else our
        if isinstance(their, union.UnionProperty):
            rest = [one for one in their.inner_properties if not isinstance(one, none.NoneProperty)]
            their = rest[0] if len(rest) == 1 else their
        if isinstance(their, properties.ModelProperty):
            their = self.models[their.class_info.name]
            if (id(our), id(their)) in self.seen:
                return
            self.seen.add((id(our), id(their)))
        (word, ours), (other, theirs) = _ours(our), _theirs(their)
        if word == other:
            yield from self.parts(where, ours, theirs)
        elif word and other:
            yield _line(where, word, other)


def _line(where: str, ours: str, theirs: str) -> str:
    return f"{where}: we read {ours}, openapi-python-client {theirs}"


def _ours(one: Any) -> tuple[str, Parts]:
    """Return what something is, empty if it is not compared, and its parts."""
    match one:
        case str():
            return one, {}
        case Endpoint():
            parts = {
                f": {part.location} parameter {part.wire_name}": (part.required, part.kind)
                for part in one.parameters
                if part.style.style != "json"
            }
            if one.body:
                parts[": body"] = one.body.property.required, one.body.property.kind
            words = {"json": "", "nothing": "nothing"}
            return "an operation", parts | {
                f": answer {answer.lowest}": (True, answer.kind or words.get(answer.reads, ""))
                for answer in one.answers
                if answer.lowest == answer.highest and answer.lowest not in (204, 205)
            }
        case _kinds.ListOf():
            return "a list", {"[]": (True, one.inner)}
        case _kinds.MapOf():
            return "an object", {"{}": (True, one.inner)}
        case _kinds.Model() if not one.use:
            fields = {f".{part.wire_name}": (part.required, part.kind) for part in one.properties}
            return "an object", {**fields, "{}": (True, one.additional)}
    return "" if {*one.letters} & {*"ao0"} else "a scalar", {}


def _theirs(one: Any) -> tuple[str, Parts]:
    """Return the same of what openapi-python-client made."""
    match one:
        case openapi.Endpoint():
            parts: dict[str, tuple[bool, Any]] = {
                f": {location} parameter {_raw(part.name)}": (part.required, part)
                for location in ("path", "query", "header", "cookie")
                for part in getattr(one, f"{location}_parameters")
            }
            for body in one.bodies:
                parts[": body"] = body.prop.required, body.prop if len(one.bodies) == 1 else ""
            for answer in one.responses.patterns:
                if re.fullmatch("2(?!04|05)[0-9]{2}", answer.status_code.pattern):
                    made = {"response.json()": answer.prop, "None": "nothing"}
                    status = f": answer {answer.status_code.pattern}"
                    parts[status] = True, made.get(answer.source["attribute"], "")
            return "an operation", parts
        case list_property.ListProperty():
            return "a list", {"[]": (True, one.inner_property)}
        case properties.ModelProperty() if not _differs(one.data):
            fields = [*(one.required_properties or ()), *(one.optional_properties or ())]
            more = {"{}": (True, one.additional_properties or "")}
            return "an object", {
                f".{_raw(part.name)}": (part.required, part) for part in fields
            } | more
        case str():
            return one, {}
    return "" if isinstance(one, ANY) else "a scalar", {}


def _differs(schema: Any) -> bool:
    """Whether we read an object differently on purpose."""
    marks = ("readOnly", "writeOnly")
    fields = (schema.properties or {}).values()
    return bool(schema.allOf) or any(getattr(one, key, None) for one in fields for key in marks)


def _where(endpoint: openapi.Endpoint) -> str:
    """Return method and path, with the document's names of parameters."""
    path = _raw(endpoint.path)
    for part in endpoint.path_parameters:
        path = path.replace(f"{{{part.python_name}}}", f"{{{_raw(part.name)}}}")
    return f"{endpoint.method.upper()} {path}"


def _raw(text: Any) -> str:
    return str(text.get_untrusted_value())
