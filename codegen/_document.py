"""The document: read, checked, and patched by the overlay. In memory only."""

import os
import re
import warnings
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
from ._structure import (
    dotted,
    refuse_endless,
    refuse_long_lists,
    refuse_ours,
    refuse_references,
    without_slow_parts,
)
from ._yaml import Constructor, TooDeepError

# Else the validator takes another engine, with other words, where some tool has brought that along.
os.environ["OPENAPI_SPEC_VALIDATOR_SCHEMA_VALIDATOR_BACKEND"] = "jsonschema"

BRACKETS = re.compile(r"(?:[\[{]\s*){200}")
"""So many in a row are no document, and the reader takes quadratic time for them."""


HANDLERS: dict[str, Any] = {}
"""What a validator may fetch by: nothing, so that no document makes it read files or the net."""


class _Validator30(OpenAPIV30SpecValidator):
    resolver_handlers = HANDLERS


class _Validator31(OpenAPIV31SpecValidator):
    resolver_handlers = HANDLERS


def read_document(path: Path) -> dict[str, Any]:
    """Read an OpenAPI 3 document as published, or raise `GenerationError` saying what and where."""
    return parse_document(read_text(path), path.name)


def parse_document(text: str, name: str) -> dict[str, Any]:
    """Read an OpenAPI 3 document as published from its text and check it."""
    document = parse_yaml(text, name)
    version = str(document.get("openapi", document.get("swagger", "")))
    if "openapi" not in document or not version.startswith(("3.0", "3.1")):
        found = f"its version is {version[:50]}" if version else "it has no openapi version"
        raise GenerationError(f"{name} is not an OpenAPI 3.0 or 3.1 document: {found}")
    refuse_ours(document, name)
    check_document(document, name)
    return document


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML (or JSON) file that holds a mapping."""
    return parse_yaml(read_text(path), path.name)


def read_text(path: Path) -> str:
    """Read a file of UTF-8, its line ends as they are."""
    try:
        return path.read_bytes().decode("utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise GenerationError(f"{path.name} cannot be read: {one_line(error)}") from None


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """Read a text of YAML (or JSON) that holds a mapping."""
    if BRACKETS.search(text):
        raise GenerationError(f"{name} is nested too deep")
    try:
        # ruamel.yaml, as the generator does; in Python, so that errors are worded alike everywhere.
        yaml = YAML(typ="safe", pure=True)
        yaml.Constructor = Constructor
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what YAML 1.1 would have read
            content = yaml.load(text)
    except MarkedYAMLError as error:
        at = error.problem_mark
        where = f" line {at.line + 1}, column {at.column + 1}:" if at else ""
        problem = one_line(error.problem or error.context)
        raise GenerationError(f"{name}:{where} {problem}") from None
    except (TooDeepError, RecursionError):
        raise GenerationError(f"{name} is nested too deep") from None
    except (YAMLError, ValueError) as error:
        raise GenerationError(f"{name} cannot be read: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise GenerationError(f"{name} holds no mapping")
    return content


def read_actions(*paths: Path) -> list[dict[str, Any]]:
    """Read the actions of OpenAPI Overlays, one after the other."""
    return [action for path in paths for action in _actions(path)]


def _actions(path: Path) -> Iterator[dict[str, Any]]:
    actions = read_yaml(path).get("actions")
    if not isinstance(actions, list) or not actions:
        raise GenerationError(f"{path.name} holds no list of actions")
    for index, action in enumerate(actions):
        if not (isinstance(action, dict) and isinstance(action.get("target"), str)):
            raise GenerationError(f"{path.name}: actions.{index} has no target")
        if len(action.keys() & {"update", "remove"}) != 1:
            raise GenerationError(f"{path.name}: {_quirk(action)}: needs an update or a remove")
        yield {**action, "x-overlay": path.name}


def check_document(document: dict[str, Any], name: str) -> None:
    """Raise `GenerationError` unless a document is valid and its references come to an end."""
    for where, mapping in _mappings(document, ()):
        for key in mapping:
            if not isinstance(key, str):
                raise GenerationError(f"{name}: {dotted(where)}: the key {key} needs quotes")
    refuse_references(document, name)
    refuse_endless(document, name)
    refuse_long_lists(document, name)
    v31 = str(document["openapi"]).startswith("3.1")
    validator = (_Validator31 if v31 else _Validator30)(without_slow_parts(document))
    try:
        # The first error only: past a broken part the validator itself may stumble.
        error = next(validator.iter_errors(), None)
    except RecursionError:
        raise GenerationError(f"{name}: its parts refer to each other too deep") from None
    except KeyError as stumble:
        raise GenerationError(
            f"{name} is not valid OpenAPI, or more than the validator can read: it stumbles over"
            f" {one_line(stumble)}: look for that name, and leave out what has it"
        ) from None
    except Exception as stumble:  # noqa: BLE001, whatever it stumbles over
        raise GenerationError(f"{name} is not valid OpenAPI: {one_line(stumble)}") from None
    if error is not None:
        at = dotted(error.absolute_path)
        raise GenerationError(f"{name}: {at}: {one_line(error.message)}")


def patch(document: dict[str, Any], actions: list[dict[str, Any]]) -> dict[str, Any]:
    """Apply an overlay's actions one by one and return the patched document.

    Raises:
        GenerationError: An action cannot be applied, or changes nothing: the quirk is gone.
    """
    patched = deepcopy(document)
    for action in actions:
        try:
            matches = parse(action["target"]).find(patched)
            if not matches:
                raise _stale(action, "it matches nothing")
            if "remove" in action:
                apply_overlay(patched, {"actions": [action]})
                continue
            if all(_holds(match.value, action["update"]) for match in matches):
                raise _stale(action, "what it fixes is right already")
            for match in matches:
                # One by one: oas-patch itself cannot reach the items of a list.
                found = {"value": match.value}
                apply_overlay(found, {"actions": [{**deepcopy(action), "target": "$.value"}]})
                match.full_path.update(patched, found["value"])
        except (JSONPathError, KeyError, TypeError, ValueError, AttributeError) as error:
            told = f"{_overlay(action)}: {_quirk(action)}: {one_line(error)}"
            raise GenerationError(told) from None
    return patched


def _quirk(action: dict[str, Any]) -> str:
    return str(action.get("x-quirk", action["target"]))


def _overlay(action: dict[str, Any]) -> str:
    return str(action.get("x-overlay", "overlay.yaml"))


def _stale(action: dict[str, Any], why: str) -> GenerationError:
    overlay = _overlay(action)
    return GenerationError(
        f"{overlay}: the override {_quirk(action)} is stale, {why}: the document has no such"
        f" quirk, or not the part that had it. Remove the action from overrides/{overlay}"
    )


def _holds(value: Any, update: Any) -> bool:
    """Whether an update would leave a value as it is."""
    if isinstance(value, dict) and isinstance(update, dict):
        return all(key in value and _holds(value[key], part) for key, part in update.items())
    if isinstance(value, list):
        return all(item in value for item in (update if isinstance(update, list) else [update]))
    return bool(value == update)


def _mappings(
    part: Any, where: tuple[Any, ...]
) -> Iterator[tuple[tuple[Any, ...], dict[Any, Any]]]:
    if isinstance(part, dict):
        yield where, part
        for key, value in part.items():
            yield from _mappings(value, (*where, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _mappings(value, (*where, index))


def one_line(text: object) -> str:
    """Return a text on one line, cut to a length that is pleasant in a terminal."""
    line = " ".join(str(text).split())
    return line if len(line) <= 200 else line[:200] + " ..."
