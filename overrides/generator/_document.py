"""The document: read, checked, and patched by the overlay. In memory only."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext import parse
from oas_patch.overlay import apply_overlay
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ._errors import GenerationError


def read_document(path: Path) -> dict[str, Any]:
    """Read an OpenAPI 3 document and check it, or raise `GenerationError` saying what and where."""
    document = read_yaml(path)
    version = str(document.get("openapi", document.get("swagger", "")))
    if not version.startswith("3."):
        found = f"its version is {version}" if version else "it has no openapi version"
        raise GenerationError(f"{path.name} is not an OpenAPI 3 document: {found}")
    check_document(document, path.name)
    return document


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML (or JSON) file that holds a mapping."""
    try:
        # ruamel.yaml, as the generator does; in Python, so that errors are worded alike everywhere.
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        at = error.problem_mark
        where = f" line {at.line + 1}, column {at.column + 1}:" if at else ""
        problem = " ".join(str(error.problem or error.context).split())
        raise GenerationError(f"{path.name}:{where} {problem}") from None
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise GenerationError(f"{path.name} cannot be read: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise GenerationError(f"{path.name} holds no mapping")
    return content


def check_document(document: dict[str, Any], name: str) -> None:
    """Raise `GenerationError` unless a document is valid OpenAPI and its references lead somewhere."""
    for where, reference in _references(document, ()):
        if not _leads_somewhere(document, reference):
            raise GenerationError(f"{name}: {_dotted(where)}: $ref {reference!r} leads nowhere")
    v31 = str(document["openapi"]).startswith("3.1")
    validator = (OpenAPIV31SpecValidator if v31 else OpenAPIV30SpecValidator)(document)
    try:
        # The first error only: past a broken part the validator itself may stumble.
        error = next(validator.iter_errors(), None)
    except Exception as stumble:
        raise GenerationError(f"{name} is not valid OpenAPI: {one_line(stumble)}") from None
    if error is not None:
        where = _dotted(error.absolute_path)
        raise GenerationError(f"{name}: {where}: {one_line(error.message)}")


def patch(document: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Apply an overlay action by action and return the patched document.

    Raises:
        GenerationError: An action changes nothing: the document has lost that quirk.
    """
    patched = deepcopy(document)
    for action in overlay["actions"]:
        quirk = action.get("x-quirk", action.get("target"))
        try:
            matches = [match.value for match in parse(action["target"]).find(patched)]
            if not matches:
                raise _stale(quirk, "it matches nothing")
            if "update" in action and all(_holds(value, action["update"]) for value in matches):
                raise _stale(quirk, "what it fixes is right already")
            apply_overlay(patched, {"actions": [action]})
        except (JSONPathError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise GenerationError(f"overlay.yaml: {quirk}: {one_line(error)}") from None
    return patched


def _stale(quirk: str, why: str) -> GenerationError:
    return GenerationError(
        f"overlay.yaml: the override {quirk} is stale, {why}: the document no longer has this quirk."
        " Remove the action from overrides/overlay.yaml"
    )


def _holds(value: Any, update: Any) -> bool:
    """Whether an update would leave a value as it is."""
    if isinstance(value, dict) and isinstance(update, dict):
        return all(key in value and _holds(value[key], part) for key, part in update.items())
    if isinstance(value, list):
        return all(item in value for item in (update if isinstance(update, list) else [update]))
    return bool(value == update)


def _references(part: Any, where: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield where, part["$ref"]
        for key, value in part.items():
            yield from _references(value, (*where, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _references(value, (*where, index))


def _leads_somewhere(document: Any, reference: str) -> bool:
    if not reference.startswith("#/"):
        return False
    for key in reference.removeprefix("#/").split("/"):
        key = key.replace("~1", "/").replace("~0", "~")
        if not isinstance(document, dict) or key not in document:
            return False
        document = document[key]
    return True


def _dotted(path: Any) -> str:
    return ".".join(str(key) for key in path) or "the document"


def one_line(text: object) -> str:
    """Return a text on one line, cut to a length that is pleasant in a terminal."""
    line = " ".join(str(text).split())
    return line if len(line) <= 200 else line[:200] + " ..."
