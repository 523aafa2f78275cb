"""The API's document as the overlays patch it, and what tests derive from it for each operation."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from types import ModuleType, NoneType
from typing import Any, get_args, get_origin, get_type_hints

from attrs import frozen

import oneloop_core
import oneloop_overrides
from codegen._document import patch, read_actions, read_document
from oneloop import models
from oneloop.sandbox._samples import Samples
from oneloop_api.client import SyncOperations
from tests import ROOT

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
OVERLAYS = [ROOT / "overrides" / name for name in ("overlay.yaml", "annotations.yaml")]
DOCUMENT = patch(read_document(ROOT / "openapi.yaml"), read_actions(*OVERLAYS))
SAMPLES = Samples(DOCUMENT)
DECODERS = {
    get_type_hints(decode)["return"]: decode
    for package in (oneloop_core, oneloop_overrides)  # digit strings come last: they are int, too
    for name, decode in vars(package).items()
    if name.startswith("decode_")
}
"""The codecs of scalars by their types in Python."""


@frozen
class Described:
    """An operation as the document describes it."""

    method: str
    path: str
    content: dict[str, Any]
    shared: list[dict[str, Any]]
    """Parameters of its path."""

    @property
    def name(self) -> str:
        """The name of its method on the clients."""
        return python_name(self.content["operationId"])

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """Its parameters, those of its path included."""
        return [dict(SAMPLES.resolved(one)) for one in self.shared + self._own]

    @property
    def body(self) -> Any:
        """A JSON body that it takes; None if it takes none."""
        return None if self._schema is None else SAMPLES.of(self._schema)

    @property
    def answer(self) -> Any:
        """What it answers to a call of it, as JSON; None if that is nothing."""
        responses = self.content["responses"]
        status = min(code for code in responses if code.startswith("2"))
        content = SAMPLES.resolved(responses[status]).get("content", {})
        return SAMPLES.of_content(content["application/json"]) if content else None

    @property
    def module(self) -> ModuleType:
        """The generated module with its `call` and its `OPERATION`."""
        tag = python_name(self.content["tags"][0])
        return import_module(f"oneloop_api.api.{tag}.{self.name}")

    def matches(self, method: str, path: str) -> bool:
        """Whether it is what a request calls."""
        pattern = re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(self.path))
        return method == self.method and re.fullmatch(pattern, path) is not None

    def arguments(self) -> dict[str, Any]:
        """Return arguments for every parameter of its method."""
        named = {name: getattr(models, name) for name in models.__all__}
        hints = get_type_hints(getattr(SyncOperations, self.name), localns=named)
        schemas = dict(self._fields())
        del hints["return"]
        return {name: as_argument(SAMPLES.of(schemas[name]), hints[name]) for name in hints}

    @property
    def _own(self) -> list[dict[str, Any]]:
        return list(self.content.get("parameters", []))

    @property
    def _schema(self) -> Any:
        content = SAMPLES.resolved(self.content.get("requestBody", {})).get("content", {})
        return content.get("application/json", {}).get("schema")

    def _fields(self) -> Iterator[tuple[str, Any]]:
        """Yield the schema of each argument, by its name."""
        for parameter in self.parameters:
            schema = parameter["schema"]
            yield python_name(parameter["name"], schema), schema
        if self._schema is not None:
            for name, schema in SAMPLES.resolved(self._schema).get("properties", {}).items():
                yield from flattened(python_name(name, schema), schema)


def flattened(name: str, schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield a field's schema by its argument, and those of an object that is written in place."""
    yield name, schema
    for inner, part in schema.get("properties", {}).items():
        yield f"{name}_{python_name(inner, part)}", part


def python_name(name: str, schema: Mapping[str, Any] = {}) -> str:
    """Return the name that the generation gives to an operation, a parameter or a field."""
    words = re.findall(r"[A-Z]+s?(?![a-z])|[A-Z]?[a-z0-9]+", name)
    return str(schema.get("x-python-name") or "_".join(words).lower())


def as_argument(value: Any, hint: Any) -> Any:
    """Return a JSON value as the argument of a type that it stands for."""
    parts = get_args(hint)
    origin = get_origin(hint)
    if NoneType in parts:
        return as_argument(value, next(one for one in parts if one is not NoneType))
    if origin is Sequence:
        return [as_argument(one, parts[0]) for one in value]
    if origin is Mapping:
        return {key: as_argument(one, parts[1]) for key, one in value.items()}
    if hasattr(hint, "from_dict"):
        return hint.from_dict(value)
    return DECODERS[hint](value) if hint in DECODERS else value


def described() -> Iterator[Described]:
    """Yield every operation of the document."""
    for path, item in DOCUMENT["paths"].items():
        for method in item:
            if method in METHODS:
                yield Described(method.upper(), path, item[method], item.get("parameters", []))


OPERATIONS = {one.name: one for one in described()}
"""Every operation of the document, by the name of its method."""
