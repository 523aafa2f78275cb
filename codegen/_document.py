"""Read and check the document. All of it happens in memory."""

import os
import re
import warnings
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ._errors import GenerationError
from ._structure import (
    dotted,
    endless_references,
    long_lists,
    refuse,
    reserved_extensions,
    slow_patterns,
    without_slow_parts,
    wrong_references,
)
from ._yaml import Constructor, TooDeepError

# The validator prefers another engine, whose messages differ, where one happens to be installed.
os.environ["OPENAPI_SPEC_VALIDATOR_SCHEMA_VALIDATOR_BACKEND"] = "jsonschema"

BRACKETS = re.compile(r"(?:[\[{]\s*){200}")
"""More brackets in a row than any document has. ruamel.yaml takes quadratic time for them."""

HANDLERS: dict[str, Any] = {}
"""A validator's handlers for references. Without any, it reads no files and no network."""


class _Validator30(OpenAPIV30SpecValidator):
    resolver_handlers = HANDLERS


class _Validator31(OpenAPIV31SpecValidator):
    resolver_handlers = HANDLERS


def read_document(path: Path) -> dict[str, Any]:
    """Read and check an OpenAPI 3 document as published.

    Raises:
        GenerationError: It cannot be used. The message says what is wrong, and where.
    """
    return parse_document(read_text(path), path.name)


def parse_document(text: str, name: str) -> dict[str, Any]:
    """Parse and check the text of a document. Messages call it by the given name."""
    document = parse_yaml(text, name)
    version = str(document.get("openapi", document.get("swagger", "")))
    if "openapi" not in document or not version.startswith(("3.0", "3.1")):
        found = f"its version is {version[:50]}" if version else "it has no openapi version"
        raise GenerationError(f"{name} is not an OpenAPI 3.0 or 3.1 document: {found}")
    refuse(name, reserved_extensions(document))
    check_document(document, name)
    return document


def read_text(path: Path) -> str:
    """Read a UTF-8 file without changing its line ends."""
    try:
        return path.read_bytes().decode("utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise GenerationError(f"{path.name} cannot be read: {one_line(error)}") from None


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """Parse YAML (or JSON) whose top level is a mapping."""
    if BRACKETS.search(text):
        raise GenerationError(f"{name} is nested too deeply")
    try:
        # As openapi-python-client reads it; ruamel's parser in C words errors differently.
        yaml = YAML(typ="safe", pure=True)
        yaml.Constructor = Constructor
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about YAML 1.1
            content = yaml.load(text)
    except MarkedYAMLError as error:
        at = error.problem_mark
        where = f" line {at.line + 1}, column {at.column + 1}:" if at else ""
        problem = one_line(error.problem or error.context)
        raise GenerationError(f"{name}:{where} {problem}") from None
    except (TooDeepError, RecursionError):
        raise GenerationError(f"{name} is nested too deeply") from None
    except (YAMLError, ValueError) as error:
        raise GenerationError(f"{name} cannot be read: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise GenerationError(f"{name} is not a mapping")
    return content


def check_document(document: dict[str, Any], name: str) -> None:
    """Raise `GenerationError` unless a document is valid and can be processed in bounded time."""
    refuse(name, wrong_references(document))
    refuse(name, endless_references(document))
    refuse(name, long_lists(document))
    v31 = str(document["openapi"]).startswith("3.1")
    validator = (_Validator31 if v31 else _Validator30)(without_slow_parts(document))
    try:
        # The first error only: the validator itself may fail on what comes after a broken part.
        error = next(validator.iter_errors(), None)
    except RecursionError:
        raise GenerationError(f"{name}: its references are nested too deeply") from None
    except KeyError as fault:
        raise GenerationError(
            f"{name} is not valid OpenAPI, or the validator does not support it: it fails at"
            f" {one_line(fault)}: find that name and remove what uses it"
        ) from None
    except Exception as fault:  # noqa: BLE001, the validator raises anything on broken documents
        raise GenerationError(f"{name} is not valid OpenAPI: {one_line(fault)}") from None
    if error is not None:
        at = dotted(error.absolute_path)
        raise GenerationError(f"{name}: {at}: {one_line(error.message)}")


def problems(document: dict[str, Any]) -> list[Any]:
    """Return what is wrong with parts of a document."""
    refuse("the document", slow_patterns(document))
    return []


def one_line(text: object) -> str:
    """Return a text on one line, cut to 200 characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= 200 else line[:200] + " ..."
