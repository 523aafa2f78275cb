"""The API's document as the overlays patch it, and what tests derive from it for each operation."""

import json
import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from attrs import frozen

import oneloop_core
import oneloop_overrides
from codegen._parser import parse
from codegen._views import names
from codegen._views.arguments import Argument
from codegen._views.operations import OperationView, operation
from oneloop import models
from oneloop.sandbox._samples import Samples
from tests import ROOT

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
DOCUMENT = json.loads((ROOT / "generated" / "oneloop_api" / "document.json").read_bytes())
SAMPLES = Samples(DOCUMENT)
VIEWS = {
    (view.method, re.sub("{.*?}", "{}", view.path)): view
    for view in map(operation, parse(DOCUMENT, names.of_classes()).endpoints)
}
"""What the generator makes of each operation, with the names and kinds of its arguments."""
CODE = {
    **vars(oneloop_core),
    **vars(oneloop_overrides),
    **{name: getattr(models, name) for name in models.__all__},
}
"""The names that the code of kinds uses."""


@frozen
class Described:
    """An operation as the document describes it."""

    method: str
    path: str
    content: dict[str, Any]
    shared: list[dict[str, Any]]
    """Parameters of its path."""

    @property
    def view(self) -> OperationView:
        """What the generator makes of it."""
        return VIEWS[self.method, re.sub("{.*?}", "{}", self.path)]

    @property
    def name(self) -> str:
        """The name of its method on the clients."""
        return self.view.name

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
        return import_module(f"oneloop_api.api.{self.view.tag}.{self.name}")

    def matches(self, method: str, path: str) -> bool:
        """Whether it is what a request calls."""
        pattern = re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(self.path))
        return method == self.method and re.fullmatch(pattern, path) is not None

    def arguments(self) -> dict[str, Any]:
        """Return arguments for every parameter of its method."""
        return {
            argument.name: eval(  # noqa: S307, the code that is also generated for answers
                argument.source.kind.code("decode", "value"),
                CODE | {"value": SAMPLES.of(self._schema_of(argument))},
            )
            for argument in self.view.arguments
        }

    @property
    def _own(self) -> list[dict[str, Any]]:
        return list(self.content.get("parameters", []))

    @property
    def _schema(self) -> Any:
        content = SAMPLES.resolved(self.content.get("requestBody", {})).get("content", {})
        return content.get("application/json", {}).get("schema")

    def _schema_of(self, argument: Argument) -> Any:
        if argument.location == "body":
            return self._schema
        wire_name = argument.source.wire_name
        if argument.location == "field":
            group = argument.group and properties(self._schema)[argument.group.wire_name]
            return properties(group or self._schema)[wire_name]
        parameters = {(one["in"], one["name"]): one["schema"] for one in self.parameters}
        return parameters[argument.location, wire_name]


def properties(schema: Any) -> dict[str, Any]:
    """Return the schemas of an object's fields, those of its parts included."""
    resolved = SAMPLES.resolved(schema)
    found = dict(resolved.get("properties", {}))
    for part in resolved.get("allOf", ()):
        found |= properties(part)
    return found


def described() -> Iterator[Described]:
    """Yield every operation of the document."""
    for path, item in DOCUMENT["paths"].items():
        for method in item:
            if method in METHODS:
                yield Described(method.upper(), path, item[method], item.get("parameters", []))


OPERATIONS = {one.name: one for one in described()}
"""Every operation of the document, by the name of its method."""
