"""Kinds of properties: what a schema becomes in Python, and the code that reads and writes it.

A kind is one class here, with everything about it, and a codec: a pair `decode_*` and `encode_*`
that `oneloop_core` or `oneloop_overrides` exports. A class with a `schema` is found by it, so a new
kind is listed nowhere else.
"""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, Self

from attrs import define, field, frozen

from ._literals import literal
from ._patterns import Time, judge
from ._structure import python_pattern

Way = Literal["decode", "encode"]
"""From JSON to Python, or back."""

LONGEST_CHECKED = 1000
"""Texts up to this length are checked against patterns whose time grows with the cube of it."""


class Kind:
    """The base of all kinds, and what most of them have in common."""

    by_schema: ClassVar[dict[tuple[str, str], type["Kind"]]] = {}
    schema: ClassVar[tuple[str, str]]
    """Type and format of the schemas that become this kind; "" stands for all other formats."""
    codec: ClassVar[str] = ""
    """The end of the names of its codec: `decode_<codec>` and `encode_<codec>`."""
    type: Any = "Any"
    """The type of fields and answers in Python, with {} for the types of the parts."""
    argument_type: Any = ""
    """The type of arguments, if it is a wider one."""
    module: ClassVar[str] = ""
    """The module of the standard library that the type is imported from."""
    sample: ClassVar[str] = ""
    """A string of its schemas, for the sandbox, which knows only the formats of JSON Schema."""

    def __init_subclass__(cls) -> None:
        """Register the class for its schemas."""
        if "schema" in vars(cls):
            Kind.by_schema[cls.schema] = cls

    @classmethod
    def of(cls, schema: Any) -> Self:  # noqa: ARG003 - not all kinds have limits
        """Make the kind for one schema, which has the keywords of JSON Schema as attributes."""
        return cls()

    @property
    def parts(self) -> Sequence["Kind"]:
        """The kinds that it consists of."""
        return ()

    @property
    def annotation(self) -> str:
        """The type of a field or an answer."""
        return _filled(self.type, (part.annotation for part in self.parts))

    @property
    def argument(self) -> str:
        """The type of an argument."""
        return _filled(self.argument_type or self.type, (part.argument for part in self.parts))

    @property
    def bounds(self) -> str:
        """What values an argument may have, as a sentence for docstrings."""
        return ""

    @property
    def secret(self) -> bool:
        """Whether values must not be shown."""
        return any(part.secret for part in self.parts)

    @property
    def plain(self) -> bool:
        """Whether a value can be sent in a path, a query or a header."""
        return True

    def code(self, way: Way, source: str) -> str:
        """Return an expression that decodes parsed JSON, or that checks and encodes a value.

        Args:
            way: Whether to decode or to encode.
            source: The expression of the JSON or of the value.
        """
        return f"{way}_{self.codec}({', '.join([source, *self.options(way)])})"

    def options(self, way: Way) -> Iterable[str]:
        """Return what the codec's function takes after the value, as code."""
        return [part.function(way) for part in self.parts]

    def function(self, way: Way) -> str:
        """Return the expression of `code` as a function."""
        expression = self.code(way, "item")
        name, call, rest = expression.partition("(item)")
        named = call and not rest and name.replace(".", "").isidentifier()
        return name if named else f"lambda item: {expression}"


def _filled(form: str, types: Iterable[str]) -> str:
    return form.format(" | ".join(dict.fromkeys(types)))


def kind_of(json_type: str, json_format: str, schema: Any) -> Kind:
    """Return the kind of a scalar schema: that of its format, else that of its type."""
    found = Kind.by_schema
    return (found.get((json_type, json_format)) or found[json_type, ""]).of(schema)


# --- scalars -------------------------------------------------------------------------------------


class Boolean(Kind):
    """True or false."""

    schema = ("boolean", "")
    codec = "boolean"
    type = "bool"


class Uuid(Kind):
    """A UUID, which is kept as a string."""

    schema = ("string", "uuid")
    codec = "string"
    type = "str"


class Digits(Kind):
    """A string of digits: an `int` of any size."""

    schema = ("string", "digits")
    codec = "digits"
    type = "int"
    sample = "1000"
    bounds = "At least 0, of any size."


class Timestamp(Kind):
    """A date and time: an aware `datetime`."""

    schema = ("string", "date-time")
    codec = "timestamp"
    module = "datetime"
    type = "datetime"
    bounds = "With a time zone."


class Date(Kind):
    """A day."""

    schema = ("string", "date")
    codec = "date"
    module = "datetime"
    type = "date"


class Binary(Kind):
    """The content of a file, in a form or as a body. In JSON, `format: binary` is a string."""

    codec = "file"
    type = "bytes | File"
    plain = False


@frozen
class Limited(Kind):
    """A scalar with limits, which are keyword arguments of its `encode_<codec>`."""

    limits: dict[str, Any] = field(factory=dict)
    words: ClassVar[dict[str, str]] = {
        "minimum": "at least {}",
        "above": "greater than {}",
        "maximum": "at most {}",
        "below": "less than {}",
        "multiple_of": "a multiple of {}",
        "min_length": "at least {} characters",
        "max_length": "at most {} characters",
        "pattern": "matching `{}`",
        "unchecked": "matching `{}`, which only the server checks",
    }

    def options(self, way: Way) -> list[str]:
        checked = {key: limit for key, limit in self.limits.items() if key != "unchecked"}
        return [f"{key}={literal(checked[key])}" for key in checked] if way == "encode" else []

    @property
    def bounds(self) -> str:
        parts = [self.words[key].format(limit) for key, limit in self.limits.items()]
        text = ", ".join(parts).replace(r"\Z", "$")  # as the document has it
        return f"{text[0].upper()}{text[1:]}." if text else ""


class Number(Limited):
    """A number."""

    schema = ("number", "")
    codec = "number"
    type = "float"

    @classmethod
    def of(cls, schema: Any) -> Self:
        limits = {
            "minimum": schema.minimum,
            "above": schema.exclusiveMinimum,
            "maximum": schema.maximum,
            "below": schema.exclusiveMaximum,
            "multiple_of": schema.multipleOf,
        }
        # The parser reads every bound as a float; 2**53 - 1 and all below are exact in one.
        return cls(
            {
                key: int(bound) if float(bound).is_integer() and abs(bound) < 1e40 else bound
                for key, bound in limits.items()
                if bound is not None and not isinstance(bound, bool)
            }
        )


class Integer(Number):
    """A whole number."""

    schema = ("integer", "")
    codec = "integer"
    type = "int"


class Text(Limited):
    """A string. A pattern that could take the client too long is left to the server."""

    schema = ("string", "")
    codec = "string"
    type = "str"

    @classmethod
    def of(cls, schema: Any) -> Self:
        lengths = {"min_length": schema.minLength, "max_length": schema.maxLength}
        limits: dict[str, Any] = {key: limit for key, limit in lengths.items() if limit is not None}
        if schema.pattern is not None:
            pattern = python_pattern(schema.pattern.get_untrusted_value())
            time, _ = judge(pattern)
            short = limits.get("max_length", LONGEST_CHECKED + 1) <= LONGEST_CHECKED
            checked = time == Time.LINEAR or (time == Time.POLYNOMIAL and short)
            limits["pattern" if checked else "unchecked"] = pattern
        return cls(limits)


class Password(Text):
    """A secret."""

    schema = ("string", "password")
    secret = True


class Anything(Kind):
    """Any JSON."""

    codec = "json"
    plain = False

    def code(self, way: Way, source: str) -> str:
        return source if way == "decode" else super().code(way, source)


@frozen
class Constant(Kind):
    """One value, which may be null."""

    codec = "constant"
    value: Any

    @property
    def type(self) -> str:
        return "None" if self.value is None else "Any"

    def options(self, way: Way) -> list[str]:
        return [literal(self.value)]


# --- kinds that consist of others ----------------------------------------------------------------


@frozen
class Wrapper(Kind):
    """A kind with one part."""

    inner: Kind

    @property
    def parts(self) -> list[Kind]:
        return [self.inner]

    @property
    def bounds(self) -> str:
        return self.inner.bounds


class Nullable(Wrapper):
    """A value or null."""

    type = "{} | None"

    @property
    def plain(self) -> bool:
        return self.inner.plain

    def code(self, way: Way, source: str) -> str:
        return f"None if {source} is None else {self.inner.code(way, source)}"


class ListOf(Wrapper):
    """An array."""

    codec = "list"
    type = "list[{}]"
    argument_type = "Sequence[{}]"
    plain = False


class MapOf(Wrapper):
    """An object with arbitrary keys and no named fields."""

    codec = "map"
    type = "dict[str, {}]"
    argument_type = "Mapping[str, {}]"
    plain = False


@frozen
class Union(Kind):
    """One of several kinds."""

    codec = "union"
    type = "{}"
    plain = False
    parts: list[Kind]


# --- classes of the generated package ------------------------------------------------------------


@frozen
class Property:
    """A kind where it is used: as a field, a parameter, a body or an answer."""

    wire_name: str
    name: str
    required: bool
    description: str
    kind: Kind
    in_place: bool = False
    """Whether its schema is written where it is used, not referred to."""
    deprecated: bool = False


@define(eq=False)
class Class(Kind):
    """A class of its own: a model or an enum."""

    name: str
    file: str
    """The name of its module."""
    wire_name: str
    """The name of its schema in the document."""
    description: str

    @property
    def type(self) -> str:
        return self.name

    def options(self, way: Way) -> list[str]:
        return [self.name]


@define(eq=False)
class Enum(Class):
    """An enum, open to values that the document does not list."""

    codec = "enum"
    members: dict[str, str]
    """The values by name, as literals."""
    value_type: str

    @property
    def argument_type(self) -> str:
        return f"{self.name} | {self.value_type}"


@define(eq=False)
class Model(Class):
    """An object with named fields."""

    codec = "model"
    plain = False
    flags: Any
    """The extension `x-python-flags`, as it is written."""
    properties: list[Property] = field(factory=list)
    additional: Kind = field(factory=Anything)
    """The kind of fields that the document does not name."""

    @property
    def inside(self) -> list[Kind]:
        """The kinds of its fields."""
        return [*(one.kind for one in self.properties), self.additional]

    def code(self, way: Way, source: str) -> str:
        return f"{self.name}.from_dict({source})" if way == "decode" else super().code(way, source)


def classes(kinds: Iterable[Kind], *, nested: bool = False) -> set[Class]:
    """Return the classes that kinds are made of, and if nested, those that these are made of."""
    found: set[Class] = set()
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        waiting += kind.parts
        if isinstance(kind, Class) and kind not in found:
            found.add(kind)
            waiting += kind.inside if nested and isinstance(kind, Model) else []
    return found
