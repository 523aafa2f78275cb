"""Read and check the document. All of it happens in memory."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution
from itertools import chain
from pathlib import Path
from typing import Any

import jsonschema_rs

from . import _yaml
from ._errors import GenerationError
from ._findings import Finding, Place
from ._structure import TYPES, Blame, is_unused, refuse, reserved_extensions, structural

MOST_FINDINGS = 1000
"""The most remarks on a document. What refuses operations is never left out."""

DECISIVE = frozenset({"content", "in", "name", "propertyName", "scheme", "type"})
"""Keywords without which nobody can say what a part means."""

WORDS = frozenset({"deprecated", "description", "operationId", "summary", "title"})
"""Keywords whose value only documents a part."""

BOUNDS = frozenset({"exclusiveMaximum", "exclusiveMinimum"})
"""Keywords that are booleans in OpenAPI 3.0 and numbers in 3.1, and that vendors mix up."""


def read_document(path: Path) -> dict[str, Any]:
    """Read an OpenAPI 3 document as published. `problems` finds what is wrong in it.

    Raises:
        GenerationError: It cannot be used at all. The message says what is wrong, and where.
    """
    return parse_document(read_text(path), path.name)


def parse_document(text: str, name: str) -> dict[str, Any]:
    """Parse the text of a document. Messages call it by the given name."""
    document = parse_yaml(text, name)
    check_document(document, name)
    refuse(name, reserved_extensions(document))
    return document


def read_text(path: Path) -> str:
    """Read a UTF-8 file without changing its line ends."""
    try:
        return path.read_bytes().decode("utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise GenerationError(f"{path.name} cannot be read: {one_line(error)}") from None


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """Parse YAML or JSON whose top level is a mapping."""
    try:
        content = _yaml.parse(text)
    except _yaml.UnreadableError as error:
        problem, index = error.args
        if index is None:
            raise GenerationError(f"{name} cannot be read: {one_line(problem)}") from None
        line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
        where = f"line {line}, column {column}"
        raise GenerationError(f"{name}: {where}: {one_line(problem)}") from None
    if not isinstance(content, dict):
        raise GenerationError(f"{name} is not a mapping")
    return content


def check_document(document: dict[str, Any], name: str) -> None:
    """Raise `GenerationError` if a document cannot be used at all."""
    version = str(document.get("openapi", document.get("swagger", "")))
    if "openapi" not in document or not version.startswith(("3.0", "3.1")):
        found = f"its version is {version[:50]}" if version else "it has no openapi version"
        raise GenerationError(f"{name} is not an OpenAPI 3.0 or 3.1 document: {found}")
    for key, value in document.items():
        if key in ("info", "paths", "components", "webhooks") and not isinstance(value, dict):
            raise GenerationError(f"{name}: {key}: expected a mapping")
    if "info" not in document:
        raise GenerationError(f"{name} has no info, which would give it a title and a version")
    if not document.keys() & {"paths", "components", "webhooks"}:
        raise GenerationError(f"{name} has no paths: there is nothing to call")


# --- what is wrong in it -------------------------------------------------------------------------


def problems(document: dict[str, Any]) -> list[Finding]:
    """Return everything that is wrong in a document that `check_document` accepts, by place."""
    found = [*_schema_errors(document), *structural(document)]
    found.sort(key=lambda one: [(isinstance(key, str), key) for key in one.place])
    remarks = [one for one in found if not one.refuses]
    if more := remarks[MOST_FINDINGS:]:
        left = {id(one) for one in more}
        found = [one for one in found if id(one) not in left]
        found.append(Finding((), f"{len(more)} more remarks are not listed"))
    return found


@cache
def _validator(version: str) -> Any:
    # Read as a file: to import its package takes a second.
    schema = f"openapi_spec_validator/resources/schemas/v{version}/schema.json"
    path = distribution("openapi-spec-validator").locate_file(schema)
    text = Path(str(path)).read_text("utf-8")
    # Otherwise a component with another name is not checked at all in OpenAPI 3.0.
    content = json.loads(text.replace(r"^[a-zA-Z0-9\\.\\-_]+$", ""))
    if version == "3.1":  # the schema of OpenAPI leaves out what is in schemas
        content["$defs"]["schema"] = {
            "$dynamicAnchor": "meta",
            "$ref": "https://json-schema.org/draft/2020-12/schema",
        }
    return jsonschema_rs.validator_for(content, validate_formats=False, offline=True)


def _schema_errors(document: dict[str, Any]) -> list[Finding]:
    validator = _validator(str(document["openapi"])[:3])
    found: dict[tuple[Place, str], Finding] = {}
    unknown: list[tuple[Place, str]] = []
    for error in chain.from_iterable(map(_leaves, validator.iter_errors(document))):
        place, kind = tuple(error.instance_path), error.kind.name
        if kind in ("additionalProperties", "unevaluatedProperties"):
            unknown += [(place, key) for key in error.kind.unexpected]
        else:
            finding = Finding(place, _words(error), refuses=not _is_mended(error, place))
            # A value of a wrong type is not in the enum either.
            about = "" if kind in ("type", "enum") else finding.problem
            found.setdefault((place, about), finding)
    # A part that is wrong counts as unknown as well, as no rule applies to it then.
    wrong = Blame([Finding(place, "", refuses=True) for place, _ in found])
    for place, key in unknown:
        if not wrong.inside((*place, key)):
            refuses = place == ("paths",)
            problem = "a path must begin with /" if refuses else "this key is not in OpenAPI"
            found[(*place, key), ""] = Finding((*place, key), problem, refuses=refuses)
    return list(found.values())


def _leaves(error: Any) -> Iterator[Any]:
    """Yield the errors behind one that says only that no alternative fits."""
    branches = getattr(error.kind, "context", None)
    if not branches or not all(branches):
        yield error
        return

    def unlikely(branch: list[Any]) -> tuple[bool, int]:
        # The alternative is for another type, another kind of part, or for references.
        other = any(
            one.kind.name in ("const", "enum")
            or (one.kind.name == "type" and one.instance_path == error.instance_path)
            or (one.kind.name == "required" and one.kind.property == "$ref")
            for one in branch
        )
        return other, -max(len(one.instance_path) for one in branch)

    for one in min(branches, key=unlikely):
        yield from _leaves(one)


def _words(error: Any) -> str:
    kind, value = error.kind, error.instance
    shown = json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict | list) and value:
        shown = "a mapping" if isinstance(value, dict) else "a list"
    match kind.name:
        case "required":
            return f"{kind.property} is missing"
        case "type":
            return one_line(f"expected {' or '.join(kind.types)}, got {shown}")
        case "enum":
            return one_line(f"expected one of {', '.join(map(str, kind.options))}, got {shown}")
        case "not":
            return one_line(f"these exclude each other: {', '.join(kind.schema['required'])}")
        case "minItems" | "minProperties":
            return "must not be empty"
        case "oneOf":
            return "OpenAPI has alternatives here, and more than one fits"
    if isinstance(value, dict | list):
        return f"OpenAPI does not allow this (its rule {kind.name})"
    return one_line(error.message)


def _is_mended(error: Any, place: Place) -> bool:
    """Whether an error does not matter, or there is one obvious reading of what it is about."""
    key, kind, value = place[-1] if place else "", error.kind, error.instance
    if is_unused(place) or key in WORDS:
        return True
    match kind.name:
        case "required":
            return kind.property not in DECISIVE
        case "not":
            return "examples" in kind.schema.get("required", ())
        case "uniqueItems" | "propertyNames":
            return True
        case "minItems" | "minProperties":
            return key in ("required", "responses")
    draft3 = key == "required" and isinstance(value, bool)
    other = key in BOUNDS and isinstance(value, bool | int | float)
    types = value if isinstance(value, list) else [value]
    named = key == "type" and all(one in [*TYPES, "file"] for one in types)
    return draft3 or other or named


def one_line(text: object) -> str:
    """Return a text on one line, cut to 200 characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= 200 else line[:200] + " ..."
