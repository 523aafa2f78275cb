"""Values of options: from the text of a command line to the arguments of a method."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from types import UnionType
from typing import Any, NoReturn, Union, get_args, get_origin

from oneloop import DecodeError, File
from oneloop_core import ApiModel
from oneloop_core.commands import Option

from ._exits import CommandError

_INTEGER = re.compile(r"[+-]?[0-9]{1,4300}")  # more digits than Python converts
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?"
)


def value_of(option: Option, given: Any, annotation: Any) -> Any:
    """Return the argument that the value of an option stands for.

    Args:
        option: The option.
        given: A text, a list of texts for `texts`, a boolean for `boolean`.
        annotation: The type of the argument.

    Raises:
        CommandError: The value cannot be one of the option.
    """
    if option.nullable and given in ("null", ["null"]):
        return None
    match option.type:
        case "boolean":
            return given
        case "integer":
            return integer_of(option.flag, given)
        case "number":
            return float(_matching(option.flag, given, _NUMBER, "a number"))
        case "date":
            return _moment(option, given, date, "a date such as 2026-01-31")
        case "time":
            return _moment(option, given, datetime, "a time such as 2026-01-31T12:00:00Z")
        case "file":
            return _file(option, given)
        case "texts":
            if len(given) == 1 and given[0].lstrip().startswith("["):
                return _from_json(option, given[0], annotation)
            return given
        case "json":
            return _from_json(option, given, annotation)
        case _:
            # In quotes, `null` is the text.
            return "null" if option.nullable and given == '"null"' else given


def integer_of(flag: str, given: str) -> int:
    """Return the integer that the value of an option is, of any size.

    Raises:
        CommandError: It is not one.
    """
    return int(_matching(flag, given, _INTEGER, "an integer"))


def _refuse(flag: str, expected: str, given: str) -> NoReturn:
    shown = repr(given) if len(given) <= 40 else f"{given[:40]!r}..."
    raise CommandError(f"{flag}: expected {expected}, got {shown}")


def _matching(flag: str, given: str, pattern: re.Pattern[str], expected: str) -> str:
    text = given.strip()
    if not pattern.fullmatch(text):
        _refuse(flag, expected, given)
    return text


def _moment(option: Option, given: str, kind: type[date], expected: str) -> date:
    try:
        return kind.fromisoformat(given.strip())
    except ValueError:
        _refuse(option.flag, expected, given)


def _file(option: Option, given: str) -> File:
    path = Path(given)
    try:
        return File(path.read_bytes(), path.name)
    except OSError as error:
        raise CommandError(f"{option.flag}: {given}: {error.strerror}") from None


def _from_json(option: Option, given: str, annotation: Any) -> Any:
    """Return the argument for JSON that is written as the API takes it."""
    try:
        value = json.loads(given, parse_constant=_no_constant)
        wanted = _forms(annotation)
        if wanted and not isinstance(value, tuple(wanted)):
            names = " or ".join(filter(None, wanted.values()))
            raise CommandError(f"{option.flag}: expected {names}, got {given.strip()[:40]}")
        return _converted(value, annotation)
    except DecodeError as error:
        where = ": ".join(filter(None, [option.flag, error.path, error.problem]))
        raise CommandError(where) from None
    except RecursionError:
        raise CommandError(f"{option.flag}: the JSON is nested too deeply") from None
    except ValueError as error:
        raise CommandError(f"{option.flag}: expected JSON: {error}") from None


def _forms(annotation: Any) -> dict[type, str]:
    """Return the types that parsed JSON must have and their names; none if it may have others.

    `null` has no name: it stands for leaving the option out.
    """
    found: dict[type, str] = {}
    for one in _alternatives(annotation):
        if get_origin(one) is Mapping or (isinstance(one, type) and issubclass(one, ApiModel)):
            found[dict] = "an object"
        elif get_origin(one) is Sequence:
            found[list] = "an array"
        elif one is type(None):
            found[type(None)] = ""
        else:
            return {}
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _converted(value: Any, annotation: Any) -> Any:
    """Turn parsed JSON into models where the type of an argument has them."""
    kinds, found = _alternatives(annotation), value
    models = [one for one in kinds if isinstance(one, type) and issubclass(one, ApiModel)]
    others = [one for one in kinds if one not in models and one is not type(None)]
    if models and (isinstance(value, dict) or not (others or value is None)):
        return _model(found, models)
    if isinstance(value, dict):
        inner = _items(kinds, Mapping)
        return {key: _converted(item, inner) for key, item in found.items()}
    if isinstance(value, list):
        return [_item(index, item, _items(kinds, Sequence)) for index, item in enumerate(found)]
    if isinstance(value, str) and str not in kinds:
        for kind in (datetime, date):
            if kind in kinds:
                return kind.fromisoformat(value)
    return value


def _item(index: int, value: Any, annotation: Any) -> Any:
    try:
        return _converted(value, annotation)
    except DecodeError as error:
        raise error.under(index) from None


def _model(value: dict[str, Any], models: list[type[ApiModel]]) -> ApiModel:
    """Return the first of several models that the value fits."""
    *others, last = models
    for one in others:
        try:
            return one.from_dict(value)
        except DecodeError:
            continue
    return last.from_dict(value)


def _alternatives(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, UnionType):
        return [inner for one in get_args(annotation) for inner in _alternatives(one)]
    return [annotation]


def _items(kinds: list[Any], container: type) -> Any:
    """Return the type of the items of a container among the alternatives of a type."""
    found = [get_args(one)[-1] for one in kinds if get_origin(one) is container]
    return found[0] if found else Any
