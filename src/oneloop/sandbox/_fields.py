"""Reading and validating requests; a refusal names the first field at fault."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar, cast

from attrs import frozen
from starlette.exceptions import HTTPException

from oneloop.sandbox._calls import Call

MAX_BODY_BYTES = 1024 * 1024

_MAX_SAFE_INTEGER = 2**53 - 1

# Python converts at most 4300 digits at once.
_DIGITS = re.compile(r"[0-9]{1,4300}")

_MISSING = object()

_T = TypeVar("_T")
_U = TypeVar("_U")

Reader = Callable[[str, object], _T]
"""Takes the path of a field, such as ``scopes.0.read``, and its value; returns it validated."""


@frozen
class Fields:
    """The members of a JSON object in a request. Unknown ones are ignored, except by `only`."""

    _values: Mapping[str, object]
    _within: str = ""

    def only(self, *names: str) -> "Fields":
        """Refuse other fields than these."""
        unknown = next((name for name in self._values if name not in names), None)
        if unknown is not None:
            known = ", ".join(names)
            raise HTTPException(400, f"{unknown}: unknown field; known are: {known}")
        return self

    def __contains__(self, name: str) -> bool:
        """Return whether the field is given."""
        return name in self._values

    def required(self, name: str, read: Reader[_T]) -> _T:
        """Read a required field."""
        return read(self._within + name, self._values.get(name, _MISSING))

    def optional(self, name: str, read: Reader[_T], otherwise: _U) -> _T | _U:
        """Read a field that may be absent, but not null."""
        return self.required(name, read) if name in self._values else otherwise


def body_fields(call: Call) -> Fields:
    """Read a body, which must be a JSON object."""
    value = body_json(call)
    if not isinstance(value, dict):
        refuse("body", "a JSON object")
    return Fields(cast(dict[str, object], value))


def body_json(call: Call) -> object:
    """Read a body, which must be JSON of any type."""
    if len(call.body) > MAX_BODY_BYTES:
        raise HTTPException(413, f"body: must be at most {MAX_BODY_BYTES} bytes")
    if call.content_type.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(400, "content-type: must be application/json")
    try:
        return json.loads(call.body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        refuse("body", "JSON")


def refuse(path: str, what: str) -> NoReturn:
    """Refuse the request because of the value of this field."""
    raise HTTPException(400, f"{path}: must be {what}")


def string(path: str, value: object) -> str:
    """Read any string."""
    if not isinstance(value, str):
        refuse(path, "a string")
    return value


def boolean(path: str, value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        refuse(path, "a boolean")
    return value


def digits(path: str, value: object) -> int:
    """Read an amount as the API writes it: a string of ASCII digits."""
    if not isinstance(value, str) or not _DIGITS.fullmatch(value):
        refuse(path, "a string of 1 to 4300 digits")
    return int(value)


def integer_up_to(limit: int) -> Reader[int]:
    """Return a reader of integers from 1 to the limit."""

    def read(path: str, value: object) -> int:
        # type() and not isinstance(): True is an int to Python, not to JSON.
        if type(value) is not int or value <= 0:
            refuse(path, "an integer greater than 0")
        if value > limit:
            refuse(path, f"at most {limit}")
        return value

    return read


positive_integer = integer_up_to(_MAX_SAFE_INTEGER)
"""Read an integer greater than 0 that JavaScript can represent exactly."""


def nested(path: str, value: object) -> Fields:
    """Read an object, and return its fields for further reading."""
    if not isinstance(value, dict):
        refuse(path, "an object")
    return Fields(cast(dict[str, object], value), f"{path}.")


def string_map(path: str, value: object) -> Mapping[str, str]:
    """Read an object whose values are strings."""
    if not isinstance(value, dict):
        refuse(path, "an object")
    members = cast(dict[str, object], value)
    return {name: string(f"{path}.{name}", member) for name, member in members.items()}


def array_of(read: Reader[_T]) -> Reader[tuple[_T, ...]]:
    """Return a reader of arrays whose items `read` reads."""

    def read_array(path: str, value: object) -> tuple[_T, ...]:
        if not isinstance(value, list):
            refuse(path, "an array")
        items = cast(list[object], value)
        return tuple(read(f"{path}.{index}", item) for index, item in enumerate(items))

    return read_array


def nullable(read: Reader[_T]) -> Reader[_T | None]:
    """Return a reader of null, or of what `read` reads."""

    def read_nullable(path: str, value: object) -> _T | None:
        try:
            return None if value is None else read(path, value)
        except HTTPException as error:
            raise HTTPException(error.status_code, f"{error.detail} or null") from None

    return read_nullable


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
