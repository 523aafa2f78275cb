"""The answer of an operation, as tables for people and as the API's own JSON."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, cast, get_args

from oneloop import ArgumentError
from oneloop_core import ApiModel, Unset
from oneloop_core._forms import REST, fields_of

from ._console import cell, printable, write, write_facts, write_table

MASK = "[not shown]"
"""Stands for a secret that an operation did not issue just now."""

Fact = tuple[str, Any]


def write_answer(answer: Any, *, secrets: bool) -> None:
    """Write an answer for people.

    Args:
        answer: What the method of the operation returned.
        secrets: Whether to show the secrets in it, because it has just issued them.
    """
    if not isinstance(answer, ApiModel):
        write("done" if answer is None else cell(text_of(answer)))
        return
    facts = [*_facts(_unwrapped(answer), "", secrets)]
    lists = [(name, value) for name, value in facts if _is_list(value)]
    single = [(name, text_of(value)) for name, value in facts if not _is_list(value)]
    if single:
        write_facts(single)
    elif not lists:
        write("done")
    for number, (name, models) in enumerate(lists):
        if single or number:
            write()
        write_models(name, models, secrets=secrets)


def write_models(name: str, models: list[ApiModel], *, secrets: bool) -> None:
    """Write a table with a row for each model."""
    found = [dict(_facts(one, "", secrets)) for one in models]
    columns = list(dict.fromkeys(label for one in found for label in one))
    write(f"{printable(name)}:")
    write_table(columns, [[text_of(one.get(label)) for label in columns] for one in found])


def masked(answer: Any, form: Any) -> Any:
    """Return the JSON of an answer without its secrets.

    Args:
        answer: What the JSON was decoded to.
        form: The JSON.
    """
    items = answer
    if isinstance(answer, list):
        return [masked(*pair) for pair in zip(items, form, strict=True)]
    if not isinstance(answer, ApiModel):
        return form
    known = {one.wire_name: one for one in fields_of(type(answer)).values()}
    return {
        key: (MASK if known[key].secret else masked(getattr(answer, known[key].name), value))
        if key in known and value is not None
        else value
        for key, value in form.items()
    }


def _unwrapped(answer: ApiModel) -> ApiModel:
    """Return what an answer contains, if that is one object and nothing else."""
    names = [name for name in fields_of(type(answer)) if name != REST]
    inner = getattr(answer, names[0]) if len(names) == 1 else None
    return inner if isinstance(inner, ApiModel) and not getattr(answer, REST, None) else answer


def missing_object(answer: Any) -> str | None:
    """Return the name of the object that an answer would contain and nothing else, if it is null.

    The API answers so for an object that does not exist.
    """
    if not isinstance(answer, ApiModel) or getattr(answer, REST, None):
        return None
    fields = [one for name, one in fields_of(type(answer)).items() if name != REST]
    if len(fields) != 1 or getattr(answer, fields[0].name) is not None:
        return None
    kinds = get_args(fields[0].type)
    is_object = any(isinstance(one, type) and issubclass(one, ApiModel) for one in kinds)
    return fields[0].wire_name if is_object else None


def _facts(model: ApiModel, prefix: str, secrets: bool) -> Iterator[Fact]:
    """Yield the fields of a model with their names, and those of the models in it."""
    for name, one in fields_of(type(model)).items():
        value = getattr(model, name)
        label = f"{prefix}{name.replace('_', ' ')}"
        if name == REST:
            yield from ((f"{prefix}{key}", value[key]) for key in value)
        elif isinstance(value, ApiModel):
            yield from _facts(value, f"{label}: ", secrets)
        elif one.secret and not secrets and value is not None:
            yield label, MASK
        elif isinstance(value, int) and (moment := getattr(model, _time_of(name), None)):
            yield label, f"{value} ({text_of(moment)})"
        else:
            yield label, value


def _time_of(name: str) -> str:
    """Return the name of the property that reads a moment, if a field is one."""
    return f"{re.sub('_at$', '', name)}_time"


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, ApiModel) for one in cast("Any", value))


def text_of(value: Any) -> object:
    """Return a value as a cell of a table: dates as people write them, lists in one line."""
    if value is None or isinstance(value, Unset):
        return None
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        try:
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        except OverflowError:  # in UTC, it is before the year 1 or after 9999
            return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    items = value
    if isinstance(value, list) and all(isinstance(one, str) for one in items):
        return ", ".join(items) or None
    if isinstance(value, ApiModel | dict | list):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value


def _plain(value: Any) -> Any:
    try:
        return value.to_dict() if isinstance(value, ApiModel) else str(value)
    except ArgumentError:  # an answer can have what must not be sent
        return str(value)
