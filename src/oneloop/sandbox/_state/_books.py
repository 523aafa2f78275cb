"""The books of a sandbox, and the file that keeps them over a restart."""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from attrs import frozen
from cattrs import Converter, transform_error

from oneloop.sandbox._state._keys import Key
from oneloop.sandbox._state._links import Link
from oneloop.sandbox._state._meters import DailyUsage, Meter
from oneloop.sandbox._state._workspaces import Workspace, WorkspaceScope

T = TypeVar("T")

_LARGEST_NUMBER = 2**53 - 1
"""The largest integer that all readers of JSON take exactly. Larger ones are hexadecimal strings,
which Python reads and writes in linear time."""

_HEXADECIMAL = re.compile(r"0x[0-9a-f]+")


@frozen(kw_only=True)
class Books:
    """What a restart has to keep: everything but the log, faults, late calls and rate limits."""

    ahead: float
    """The seconds by which the clock was moved."""
    jwt_secret: str
    workspaces: tuple[Workspace, ...]
    scopes: Mapping[str, tuple[WorkspaceScope, ...]]
    """By the id of their workspace."""
    meters: tuple[Meter, ...]
    usage: tuple[DailyUsage, ...]
    keys: tuple[Key, ...]
    links: tuple[Link, ...]


def books_to_json(books: Books) -> str:
    """Return books as JSON that a person can read and edit."""
    return json.dumps(_converter().unstructure(books), indent=1) + "\n"


def books_from_json(text: str) -> Books:
    """Return the books that `books_to_json` wrote.

    Raises:
        ValueError: the text is not such JSON; the message says what is wrong, and where.
    """
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if type(read) is not dict:
        raise ValueError("it is not a JSON object")
    try:
        books = _converter().structure(read, Books)
        _refuse_twins("meters", books.meters, lambda one: (one.workspace_id, one.external_meter_id))
        _refuse_twins("workspaces", books.workspaces, lambda one: one.id)
        _refuse_twins("keys", books.keys, lambda one: one.id)
        _refuse_twins("values of keys", books.keys, lambda one: one.digest)
        for meter in books.meters:
            amounts = meter.total_credits, meter.used_credits, meter.spend_cap or 0
            if min(amounts) < 0:
                raise ValueError(f"meters: {meter.external_meter_id!r} has a negative amount")
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001 - a group of errors, which cattrs explains
        raise ValueError("; ".join(transform_error(error))) from None
    return books


def _refuse_twins(part: str, items: tuple[T, ...], name: Callable[[T], object]) -> None:
    names = [name(one) for one in items]
    if len(set(names)) < len(names):
        twin = next(one for index, one in enumerate(names) if one in names[:index])
        raise ValueError(f"{part}: there are two of {twin!r}")


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for kind, write in _WRITERS.items():
        converter.register_unstructure_hook(kind, write)
    for kind, read in _READERS.items():
        converter.register_structure_hook(kind, _strict(read))
    return converter


def _strict(read: Callable[[Any], object]) -> Callable[[Any, object], object]:
    def structure(value: Any, _: object) -> object:
        try:
            return read(value)
        except (TypeError, ValueError):
            raise ValueError from None

    return structure


def _of_kind(*kinds: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) not in kinds:
            raise TypeError
        return value

    return read


def _integer(value: Any) -> int:
    if type(value) is str and _HEXADECIMAL.fullmatch(value):
        return int(value, 16)
    return int(_of_kind(int)(value))


def _seconds(value: Any) -> float:
    if not math.isfinite(_of_kind(int, float)(value)):
        raise ValueError
    return float(value)


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC)


_READERS: dict[Any, Callable[[Any], object]] = {
    str: _of_kind(str),
    bool: _of_kind(bool),
    int: _integer,
    float: _seconds,
    datetime: _moment,
    date: date.fromisoformat,
}
_WRITERS: dict[Any, Callable[[Any], object]] = {
    int: lambda value: value if abs(value) <= _LARGEST_NUMBER else hex(value),
    datetime: datetime.isoformat,
    date: date.isoformat,
}
