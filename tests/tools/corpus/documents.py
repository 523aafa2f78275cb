"""Reads OpenAPI documents without the generator, and returns what a server must know of them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import yaml
from attrs import define, field

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
DATA = frozenset({"example", "examples", "default", "enum", "const"})
"""Keywords whose values are data, not schemas."""

Way = Literal["request", "response"]


class _Loader(yaml.CSafeLoader):
    """A loader for YAML 1.2, in which dates, and words such as `no`, are strings."""


_Loader.yaml_implicit_resolvers = {
    letter: [one for one in resolvers if not one[0].endswith((":timestamp", ":bool", ":int"))]
    for letter, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("(?:true|false|True|False)$"), list("tfTF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile("[-+]?[0-9]+$"), list("-+0123456789")
)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))


def read(path: Path) -> dict[str, Any]:
    """Read a document, with strings as keys."""
    text = path.read_text("utf-8-sig")
    loaded = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)  # noqa: S506
    found: dict[str, Any] = _with_text_keys(loaded)
    return found


def _with_text_keys(part: Any) -> Any:
    if isinstance(part, dict):
        return {str(key): _with_text_keys(value) for key, value in part.items()}
    return [_with_text_keys(one) for one in part] if isinstance(part, list) else part


@define
class Operation:
    """An operation as the document describes it."""

    method: str
    path: str
    id: str | None
    content: dict[str, Any] = field(repr=False)
    parameters: list[dict[str, Any]] = field(repr=False)
    """Those of the path included, with their references followed."""

    @property
    def name(self) -> str:
        """Method and path."""
        return f"{self.method.upper()} {self.path}"


class Document:
    """A document, with its schemas as JSON Schema for requests and for responses."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw
        self.schemas: dict[Way, dict[str, Any]] = {
            "request": self._converted(raw, "readOnly"),
            "response": self._converted(raw, "writeOnly"),
        }

    def target(self, reference: str, way: Way | None = None) -> Any:
        """Return what a `$ref` leads to; None if that is nothing in the document."""
        part: Any = self.schemas[way] if way else self.raw
        if not reference.startswith("#"):
            return None
        for key in reference[1:].split("/")[1:]:
            key = unquote(key).replace("~1", "/").replace("~0", "~")
            if isinstance(part, dict):
                part = part.get(key)
            elif isinstance(part, list) and key.isdigit() and int(key) < len(part):
                part = part[int(key)]
            else:
                return None
        return part

    def resolved(self, part: Any, way: Way | None = None) -> Any:
        """Follow references until there is none; return None if they lead nowhere."""
        for _ in range(50):
            if not (isinstance(part, dict) and isinstance(part.get("$ref"), str)):
                return part
            part = self.target(part["$ref"], way)
        return None

    def operations(self, way: Way | None = None) -> Iterator[Operation]:
        """Yield all operations, those behind references of path items included."""
        root = self.schemas[way] if way else self.raw
        for path, item in (root.get("paths") or {}).items():
            if not (path.startswith("/") and isinstance(item, dict)):
                continue
            whole = {**(self.resolved(item, way) or {}), **item} if "$ref" in item else item
            for method in METHODS:
                content = whole.get(method)
                if isinstance(content, dict):
                    both = [*(whole.get("parameters") or ()), *(content.get("parameters") or ())]
                    found = [self.resolved(one, way) for one in both]
                    known = {(one["in"], one["name"]): one for one in found if one}
                    for variable in re.findall(r"\{(.*?)\}", path):
                        text = {"name": variable, "in": "path", "schema": {"type": "string"}}
                        known.setdefault(("path", variable), text)  # often not declared
                    name = content.get("operationId")
                    yield Operation(method, path, name, content, list(known.values()))

    def _converted(self, part: Any, omitted: str) -> Any:
        """Return the document with the schemas of 3.0 as those of 3.1.

        Properties with the keyword `omitted` are neither required nor present.
        """
        if isinstance(part, list):
            return [self._converted(one, omitted) for one in part]
        if not isinstance(part, dict):
            return part
        made = {
            key: value
            if key in DATA or key.startswith("x-")
            else {name: self._converted(one, omitted) for name, one in value.items()}
            if key == "properties" and isinstance(value, dict)
            else self._converted(value, omitted)
            for key, value in part.items()
        }
        for key, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if made.get(key) is True and limit in made:
                made[key] = made.pop(limit)
            elif isinstance(made.get(key), bool):
                del made[key]
        properties = part.get("properties")
        if isinstance(properties, dict):
            gone = {
                name
                for name, one in properties.items()
                if isinstance(resolved := self.resolved(one), dict)
                and (one.get(omitted) is True or resolved.get(omitted) is True)
            }
            made["properties"] = {k: v for k, v in made["properties"].items() if k not in gone}
            if isinstance(made.get("required"), list):
                made["required"] = [name for name in made["required"] if name not in gone]
        if made.pop("nullable", None) is True:
            if not made.keys() - {"description", "title"}:
                return made | {"type": "null"}  # a member of `anyOf`, as schemars writes it
            return {"anyOf": [made, {"type": "null"}], "x-nullable": True}
        return made
