"""Packages that are generated from the tiny documents."""

import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import define, field

from codegen import _document, _parser, _render
from codegen._errors import GenerationError
from codegen._views import names


@define
class Package:
    """What a document became."""

    name: str
    """The name to import it by; unused if `failure` says why there is none."""
    document: dict[str, Any] = field(factory=dict)
    failure: str = ""
    crashed: bool = False
    """Whether the run ended with an error that nobody raised on purpose."""
    refused: list[str] = field(factory=list)
    findings: list[str] = field(factory=list)

    def module(self, name: str) -> ModuleType:
        """Import one of its modules."""
        return importlib.import_module(f"{self.name}.{name}")

    def modules(self) -> Iterator[ModuleType]:
        """Import all of its modules."""
        package = importlib.import_module(self.name)
        for found in pkgutil.walk_packages(package.__path__, f"{self.name}."):
            yield importlib.import_module(found.name)

    def operations(self) -> dict[str, ModuleType]:
        """Return the modules of its operations, by the names of the methods."""
        return {
            one.OPERATION.name: one
            for one in self.modules()
            if hasattr(one, "OPERATION") and hasattr(one, "call")
        }

    def operation(self, pattern: str = r"\w+") -> ModuleType:
        """Return the module of the operation with this name."""
        found = self.operations()
        if pattern == r"\w+" and "do_it" in found:
            return found["do_it"]
        [one] = [found[name] for name in found if re.fullmatch(pattern, name)]
        return one

    def classes(self) -> list[type]:
        """Return the models and enums."""
        return [
            one
            for module in self.modules()
            if ".models." in module.__name__
            for one in vars(module).values()
            if isinstance(one, type) and one.__module__ == module.__name__
        ]

    def the(self, wire_name: str) -> Callable[..., Any]:
        """Return the only class that has a field of this name."""
        [one] = {
            one for one in self.classes() if hasattr(one, "to_dict") and wire_name in fields(one)
        }
        return one


def fields(model: type) -> list[str]:
    """Return the names of the fields of a model."""
    return [one.name for one in model.__attrs_attrs__ if one.name != "additional_properties"]


def generate(path: Path, folder: Path) -> Package:
    """Generate the package of a document, without formatting it."""
    package = Package("tiny_" + re.sub(r"\W", "_", path.stem))
    try:
        # The hostile texts are also in extensions that only overrides may use.
        hostile = path.stem.startswith("hostile-")
        text = path.read_text("utf-8")
        document = json.loads(text) if hostile else _document.read_document(path)
        package.document = document
        problems = _document.problems(document)
        api = _parser.parse(document, names.of_classes(), problems)
        package.refused = [f"{one.method} {one.path}: {one.reason}" for one in api.refused]
        _render.render(api, document, folder / package.name, path.name)
        package.refused = [f"{one.method} {one.path}: {one.reason}" for one in api.refused]
        package.findings = [f"{one.place}: {one.problem}" for one in api.findings]
    except GenerationError as error:
        package.failure = str(error)
    except Exception as bug:  # noqa: BLE001 - a document that ends in a traceback is a finding
        package.failure, package.crashed = f"{type(bug).__name__}: {bug}", True
    return package
