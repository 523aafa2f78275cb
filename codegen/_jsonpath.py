"""JSONPath (RFC 9535) for the targets of overlays."""

import re
from functools import cache
from typing import Any

from attrs import frozen
from jsonpath import CompoundJSONPath, JSONPath, JSONPathEnvironment, JSONPathError
from jsonpath.function_extensions import ExpressionType, FilterFunction

from ._patterns import Time, judge
from ._yaml import DEEPEST

MOST_DESCENTS = 2
"""The most `..` of a target: each of them multiplies the time by the depth of the document."""

Match = tuple[Any, Any]
"""A container and a key of it, behind which the matched value is."""


@frozen
class JsonPath:
    """A compiled JSONPath."""

    path: JSONPath | CompoundJSONPath

    def find(self, holder: list[Any]) -> list[Match]:
        """Return the matches in a document in its order. The document is the only item of a list.

        Raises:
            ValueError: A pattern is invalid, or could take too long.
        """
        found: dict[tuple[int, Any], Match] = {}  # RFC 9535 lists a value as often as it is reached
        for one in self.path.finditer(holder[0]):
            part, key = (one.parent.obj, one.parts[-1]) if one.parent else (holder, 0)
            found[id(part), key] = part, key
        return list(found.values())


def compiled(text: str) -> JsonPath:
    """Compile a JSONPath.

    Raises:
        ValueError: It is malformed, or could take too long.
    """
    if text.count("..") > MOST_DESCENTS:
        raise ValueError(f"more than {MOST_DESCENTS} descendant segments (..)")
    try:
        return JsonPath(_Environment(strict=True).compile(text))
    except JSONPathError as error:
        at = error.token.index if error.token and error.token.index >= 0 else len(text)
        raise ValueError(f"character {at + 1}: {error.message}") from None


class _Regex(FilterFunction):
    """`match` or `search`, which here refuse a pattern that is invalid or could take too long."""

    arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]  # noqa: RUF012 - as its base has it
    return_type = ExpressionType.LOGICAL

    def __init__(self, method: str) -> None:
        self.method = method

    def __call__(self, value: Any, pattern: Any) -> bool:
        if not (isinstance(value, str) and isinstance(pattern, str)):
            return False
        return getattr(_pattern(pattern), self.method)(value) is not None


class _Environment(JSONPathEnvironment):
    max_recursion_depth = DEEPEST + 2

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        self.function_extensions |= {"match": _Regex("fullmatch"), "search": _Regex("search")}


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    try:
        time, _ = judge(pattern)
        found = re.compile(pattern)
    except re.error:
        raise ValueError(f"{pattern!r} is not a pattern") from None
    if time not in (Time.LINEAR, Time.POLYNOMIAL):
        raise ValueError(f"the pattern {pattern!r} is refused, as {time.value}")
    return found
