"""Generates packages from small documents for one test each and imports them."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from codegen import _parser, _render
from codegen._document import check_document, problems
from codegen._errors import GenerationError
from codegen._views import names

TEXT = {"type": "string"}
NOTHING = {"204": {"description": "Done"}}
NUMBERS = count()


def ref(name: str) -> dict[str, Any]:
    """Return a `$ref` to a schema in components."""
    return {"$ref": f"#/components/schemas/{name}"}


def answers(schema: dict[str, Any], status: str = "200", **more: Any) -> dict[str, Any]:
    """Return the responses of an operation that returns JSON."""
    content = {"application/json": {"schema": schema}}
    return {status: {"description": "The thing", "content": content, **more}}


def takes(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a required JSON request body."""
    return {"required": True, "content": {"application/json": {"schema": schema}}, **more}


def parameter(name: str, where: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a parameter, required if it is in the path."""
    required = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, "schema": schema, **required, **more}


def post(path: str = "/things", name: str = "doIt", **more: Any) -> dict[str, Any]:
    """Return paths with one operation."""
    operation = {"operationId": name, "tags": ["v1"], "responses": NOTHING, **more}
    return {path: {"post": operation}}


class Api:
    """A package generated for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = f"generated_{next(NUMBERS)}"

    def render(self, document: dict[str, Any]) -> None:
        """Generate the package from a document."""
        check_document(document, "the test's document")
        api = self.api = _parser.parse(document, names.of_classes(), problems(document))
        self.listing = _render.render(api, document, self.folder / self.package, "things.yaml")
        for refused in api.refused:
            raise GenerationError(f"{refused.method} {refused.path}: {refused.reason}")

    def module(self, name: str) -> ModuleType:
        """Import one of the package's modules."""
        return importlib.import_module(f"{self.package}.{name}")

    def __getattr__(self, name: str) -> Any:
        """Return a class of the package's models."""
        return getattr(self.module("models"), name)

    def call(self, operation: str = "do_it", /, **arguments: Any) -> Any:
        """Validate and encode a call of an operation."""
        return self.module(f"api.v1.{operation}").call(**arguments)

    def body(self, operation: str = "do_it", /, **arguments: Any) -> Any:
        """Return the JSON that a call sends."""
        return json.loads(self.call(operation, **arguments).body)


Generate = Callable[..., Api]


@contextmanager
def generating(folder: Path) -> Iterator[Generate]:
    """Yield a function that generates a package from components and paths in `folder`."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))

    def generated(
        schemas: dict[str, Any] | None = None,
        paths: dict[str, Any] | None = None,
        version: str = "3.0.3",
        **more: Any,
    ) -> Api:
        api = Api(folder)
        api.render(
            {
                "openapi": version,
                "info": {"title": "Things", "version": "1"},
                "servers": [{"url": "https://things.test"}],
                "paths": paths or {},
                "components": {"schemas": schemas or {}},
                **more,
            }
        )
        return api

    yield generated
    sys.path.remove(str(folder))
    for name in set(sys.modules) - before:
        if name.startswith("generated_"):
            del sys.modules[name]


def failure(generate: Generate, *arguments: Any, **options: Any) -> str:
    """Try to generate a package and return the error message."""
    with pytest.raises(GenerationError) as caught:
        generate(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "object at 0x" not in message
    return message
