"""Kinds of properties: what a schema becomes in Python, and the code that reads and writes it.

A kind is one class here, with everything about it, and a codec: a pair `decode_*` and `encode_*`
that `oneloop_core` or `oneloop_overrides` exports. A class with a `schema` is found by it, so a new
kind is listed nowhere else.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, Self

from attrs import define, field, frozen

from ._findings import Unsupported
from ._literals import MOST_DIGITS, literal
from ._patterns import Time, judge
from ._structure import python_pattern

Way = Literal["decode", "encode"]
"""From JSON to Python, or back."""

LONGEST_CHECKED = 1000
"""Texts up to this length are checked against patterns whose time grows with the cube of it."""


LETTERS = {str: "s", int: "i", float: "n", bool: "b", list: "a", dict: "o", type(None): "0"}
"""The types of JSON, as unions name them."""
DEPTH = 2
"""How many levels of objects are compared to tell the alternatives of a union apart."""


@frozen
class Reading:
    """A property of a model that infers what the value of a field means."""

    suffix: str
    """What the name of the field gets, in place of `_at`."""
    type: str
    function: str
    """The function of `oneloop_overrides` that infers it."""
    summary: str
    """Its docstring, with {} for the name of the field."""
    note: str = ""
    """The rest of its docstring."""
    argument: str = ""
    """The argument that makes it a method."""


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
    letters: Any = "s"
    """The types of JSON that its values may have."""
    detail: Any = None
    """The values that it lists: a tuple, or a set where there are no others."""
    readings: ClassVar[Sequence["Reading"]] = ()
    """Members that models get beside such a field, if the API leaves open what its value means."""
    sample: ClassVar[str] = ""
    """A string of its schemas, for the sandbox, which knows only the formats of JSON Schema."""

    def __init_subclass__(cls) -> None:
        """Register the class for its schemas."""
        if "schema" in vars(cls):
            Kind.by_schema[cls.schema] = cls

    @classmethod
    def of(cls, schema: Any) -> Self:  # noqa: ARG003 - not all kinds have limits
        """Make the kind for one normal schema."""
        return cls()

    @property
    def parts(self) -> Sequence["Kind"]:
        """The kinds that it consists of."""
        return ()

    @property
    def annotation(self) -> str:
        """The type of a field or an answer."""
        parts = self.parts
        return _filled(self.type, (one.annotation for one in parts)) if parts else self.type

    @property
    def argument(self) -> str:
        """The type of an argument."""
        parts, form = self.parts, self.argument_type or self.type
        return _filled(form, (one.argument for one in parts)) if parts else form

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

    def detail_to(self, depth: int) -> Any:
        """Return what tells its values from others of the same type, for `decode_union`."""
        return self.detail

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
    letters = "b"


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
        "pattern": "matching `{}`",
        "unchecked": "matching `{}`, which only the server checks",
    }

    def options(self, way: Way) -> list[str]:
        checked = {key: limit for key, limit in self.limits.items() if key != "unchecked"}
        return [f"{key}={literal(checked[key])}" for key in checked] if way == "encode" else []

    @property
    def bounds(self) -> str:
        parts = sizes(self.limits.get("min_length"), self.limits.get("max_length"), "character")
        parts += [
            word.format(self.limits[key]) for key, word in self.words.items() if key in self.limits
        ]
        text = ", ".join(parts).replace(r"\Z", "$")  # as the document has it
        return f"{text[0].upper()}{text[1:]}." if text else ""


def sizes(least: Any, most: Any, what: str) -> list[str]:
    """Return words for the least and the greatest number of something."""
    words = {"exactly": least} if least == most else {"at least": least, "at most": most}
    return [
        f"{word} {limit} {what}{'s' * (limit != 1)}"
        for word, limit in words.items()
        if limit is not None
    ]


class Number(Limited):
    """A number."""

    schema = ("number", "")
    codec = "number"
    type = "float"
    letters = "in"

    @classmethod
    def of(cls, schema: Any) -> Self:
        get = schema.get
        # In OpenAPI 3.0 exclusiveMinimum is true or false and says what minimum means.
        above, below = get("exclusiveMinimum"), get("exclusiveMaximum")
        limits = {
            "minimum": None if above is True else get("minimum"),
            "above": get("minimum") if above is True else above,
            "maximum": None if below is True else get("maximum"),
            "below": get("maximum") if below is True else below,
            "multiple_of": get("multipleOf"),
        }
        return cls(
            {
                key: int(bound) if float(bound).is_integer() and abs(bound) < 1e40 else bound
                for key, bound in limits.items()
                if isinstance(bound, int | float) and not isinstance(bound, bool)
                if abs(bound) < 10**MOST_DIGITS and (key != "multiple_of" or bound > 0)
            }
        )


class Integer(Number):
    """A whole number."""

    schema = ("integer", "")
    codec = "integer"
    type = "int"
    letters = "i"


class Moment(Integer):
    """A moment as an integer since 1970, of which the API does not say whether in milliseconds."""

    schema = ("integer", "moment")
    readings = (
        Reading(
            "in",
            "float",
            "seconds_until",
            "Return the seconds until `{}`, at least 0.",
            "The unit is inferred from the size: 10**11 and above are milliseconds since 1970. The "
            "clock can be replaced by `now`: an aware `datetime`, or seconds since 1970.",
            "now",
        ),
        Reading(
            "time",
            "datetime",
            "moment_of",
            "`{}` as an aware `datetime` in UTC.",
            "The unit is inferred from the size: 10**11 and above are milliseconds since 1970.",
        ),
    )

    @property
    def bounds(self) -> str:
        return f"{super().bounds} It is sent as it is given, in whatever unit.".strip()


class Text(Limited):
    """A string. A pattern that could take the client too long is left to the server."""

    schema = ("string", "")
    codec = "string"
    type = "str"

    @classmethod
    def of(cls, schema: Any) -> Self:
        limits: dict[str, Any] = {
            key: int(schema[keyword])
            for key, keyword, least in (
                ("min_length", "minLength", 1),
                ("max_length", "maxLength", 0),
            )
            if isinstance(schema.get(keyword), int | float) and schema[keyword] >= least
        }
        if isinstance(schema.get("pattern"), str):
            pattern = python_pattern(schema["pattern"])
            short = limits.get("max_length", LONGEST_CHECKED + 1) <= LONGEST_CHECKED
            time, _ = judge(pattern)
            checked = time == Time.LINEAR or (time == Time.POLYNOMIAL and short)
            limits["pattern" if checked else "unchecked"] = pattern
        return cls(limits)


class Password(Text):
    """A secret."""

    schema = ("string", "password")
    secret = True


class Day(Text):
    """A day, in a format that the API leaves open."""

    schema = ("string", "day")
    readings = (
        Reading(
            "date",
            "date | None",
            "day_of",
            "`{}` as a `date`.",
            "The format is inferred: `None` if it does not begin as `2026-11-23` does.",
        ),
    )
    sample = "2026-11-23"


class Anything(Kind):
    """Any JSON."""

    codec = "json"
    plain = False
    letters = "sinbao0"

    def code(self, way: Way, source: str) -> str:
        return source if way == "decode" else super().code(way, source)


@frozen
class Constant(Kind):
    """One value, which may be null."""

    codec = "constant"
    value: Any

    @property
    def type(self) -> str:
        if self.value is None:
            return "None"
        return f"Literal[{self.default}]" if self.default else "Any"

    @property
    def default(self) -> str:
        """The value as code, if it can stand in a type; then arguments need not be given."""
        return literal(self.value) if type(self.value) in (str, int, bool) else ""

    @property
    def plain(self) -> bool:
        return not isinstance(self.value, list | dict)

    @property
    def letters(self) -> str:
        return LETTERS[type(self.value)]

    @property
    def detail(self) -> Any:
        return {self.value} if self.default else None

    def options(self, way: Way) -> list[str]:
        return [literal(self.value)]


@frozen
class Choice(Kind):
    """One of several values that are not all texts or all whole numbers."""

    codec = "choice"
    values: list[Any]

    @property
    def type(self) -> str:
        names = dict.fromkeys(type(one).__name__ for one in self.values)
        return " | ".join(names) if names.keys() <= {"str", "int", "float", "bool"} else "Any"

    @property
    def bounds(self) -> str:
        return f"One of {', '.join(json.dumps(one, ensure_ascii=False) for one in self.values)}."

    @property
    def plain(self) -> bool:
        return self.type != "Any"

    @property
    def letters(self) -> str:
        found = {letter for one in self.values for letter in LETTERS[type(one)]}
        return "".join(sorted(found))

    @property
    def detail(self) -> Any:
        return tuple(self.values) if self.plain else None

    def options(self, way: Way) -> list[str]:
        # Read leniently: only values that are sent are checked.
        listed = f"[{', '.join(map(literal, self.values))}]"
        return [listed if way == "encode" else literal(self.letters)]


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
    def letters(self) -> str:
        return f"{self.inner.letters}0"

    def detail_to(self, depth: int) -> Any:
        found = self.inner.detail_to(depth)
        return found if isinstance(found, dict | list) else None

    @property
    def plain(self) -> bool:
        return self.inner.plain

    def code(self, way: Way, source: str) -> str:
        return f"None if {source} is None else {self.inner.code(way, source)}"


@frozen
class ListOf(Wrapper):
    """An array."""

    limits: str = ""
    """Words for how many items it may have, which only the server checks."""
    codec = "list"
    type = "list[{}]"
    letters = "a"
    argument_type = "Sequence[{}]"
    plain = False

    @property
    def bounds(self) -> str:
        return f"{self.limits} {self.inner.bounds}".strip()

    def detail_to(self, depth: int) -> Any:
        return [(self.inner.letters, self.inner.detail_to(depth))]


class MapOf(Wrapper):
    """An object with arbitrary keys and no named fields."""

    codec = "map"
    type = "dict[str, {}]"
    letters = "o"
    argument_type = "Mapping[str, {}]"
    plain = False


@frozen
class Union(Kind):
    """One of several kinds.

    Which one a JSON value is of is decided by its type, and for objects by a tag (a field with
    other values in each of them), else by the fields they have; never by trying one after the
    other, which could take exponential time.
    """

    codec = "union"
    parts: list[Kind]
    named: str | None = None
    """The tag that a discriminator names."""
    given: dict[str, Kind] = field(factory=dict)
    """The kinds by the values that a discriminator gives them."""
    other: Kind | None = None
    """The kind of objects with another value of the tag."""

    @property
    def models(self) -> list["Model"]:
        return [one for one in self.parts if isinstance(one, Model)]

    @property
    def tagged(self) -> tuple[str, dict[Any, Kind]]:
        """The tag, and the kinds by its values; empty if there is none."""
        models = [one for one in self.models if one is not self.other]
        names = [self.named] if self.named else models[0].tags if len(models) > 1 else ()
        for name in names:
            table: dict[Any, Kind] = dict(self.given) if name == self.named else {}
            values = {id(one): one.values_of(name) for one in models}
            for one in models:
                for value in values[id(one)]:
                    table.setdefault(value, one)
            listed = sum(map(len, values.values()))
            distinct = len({value for found in values.values() for value in found}) == listed
            whole = table and {id(one) for one in table.values()} >= {id(one) for one in models}
            if whole and (name == self.named or (distinct and all(values.values()))):
                return name, table
        return "", {}

    @property
    def type(self) -> str:
        return "{} | UnknownObject" if self.tagged[0] and not self.other else "{}"

    @property
    def plain(self) -> bool:
        return all(one.plain for one in self.parts)

    @property
    def letters(self) -> str:
        return "".join(dict.fromkeys("".join(one.letters for one in self.parts)))

    def code(self, way: Way, source: str) -> str:
        name, table = self.tagged
        others = [one for one in self.parts if not (name and isinstance(one, Model))]
        if way == "encode":
            options = [one.function("encode") for one in self.parts]
            if name and not self.other:
                options.append("lambda item: encode_model(item, UnknownObject)")
            return f"encode_union({', '.join([source, *options])})"
        models, decode = [], source
        if name:
            entries = ", ".join(f"{literal(k)}: {v.function('decode')}" for k, v in table.items())
            rest = self.other.function("decode") if self.other else "UnknownObject.__from_wire__"
            of = source if not others else "item"
            decode = f"decode_tagged({of}, {literal(name)}, {{{entries}}}, {rest})"
            if not others:
                return decode
            models = [f"(lambda item: {decode}, 'o', None)"]
        alike = self.alike() if not name else set()
        models += [
            f"({one.function('decode')}, {one.letters!r}, {_pruned(one.detail_to(DEPTH), alike)!r})"
            for one in others
        ]
        return f"decode_union({', '.join([source, *models])})"

    def alike(self) -> set[str]:
        """The fields that are the same in all objects, and so tell nothing."""
        details = [one.detail_to(DEPTH) for one in self.models]
        if len(details) < 2 or any(one.closed for one in self.models):
            return set()
        return {
            name
            for name, fit in details[0].items()
            if name
            and all(other.get(name) == fit for other in details)
            and len({name in other[""] for other in details}) == 1
        }


def _pruned(detail: Any, alike: set[str]) -> Any:
    if not isinstance(detail, dict):
        return detail
    kept = {name: fit for name, fit in detail.items() if name not in alike}
    return {**kept, "": tuple(name for name in detail[""] if name not in alike)}


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
    example: Any = field(default=None, eq=False)
    """The first value that the document gives as an example; not checked."""


@define(eq=False)
class Class(Kind):
    """A class of its own: a model or an enum."""

    naming: tuple["Class | str | None", str]
    """The class or the prefix before its name, and that name as the document has it."""
    wire_name: str
    """The name of its schema in the document."""
    description: str
    name: str = field(default="", kw_only=True)
    """Its name in Python, which is given when all classes are known."""
    file: str = field(default="", kw_only=True)
    """The name of its module."""
    broken: Unsupported | None = field(default=None, kw_only=True)
    """Why it cannot be generated."""

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
    values: list[Any]

    @property
    def value_type(self) -> str:
        return type(self.values[0]).__name__

    @property
    def letters(self) -> str:
        return LETTERS[type(self.values[0])]

    @property
    def detail(self) -> Any:
        return tuple(self.values)

    @property
    def argument_type(self) -> str:
        return f"{self.name} | {self.value_type}"


@define(eq=False)
class Model(Class):
    """An object with named fields."""

    codec = "model"
    plain = False
    letters = "o"
    closed: bool = False
    """Whether the document says that there are no other fields."""
    flags: Any = field(factory=dict)
    """The extension `x-python-flags`, as it is written."""
    properties: list[Property] = field(factory=list)
    additional: Kind = field(factory=Anything)
    """The kind of fields that the document does not name."""
    use: str = ""
    """What it is used for, if its fields are others in requests than in answers."""

    @property
    def tags(self) -> list[str]:
        """The fields that may tell it from other models: required ones with listed values."""
        return [one.wire_name for one in self.properties if one.required and one.kind.detail]

    def values_of(self, name: str) -> list[Any]:
        """Return the values that the document lists for a field."""
        for one in self.properties:
            if one.wire_name == name:
                bare = one.kind.inner if isinstance(one.kind, Nullable) else one.kind
                found = bare.detail
                return [*found] if isinstance(found, tuple | set) else []
        return []

    def detail_to(self, depth: int) -> Any:
        if not depth:
            return None
        found = {
            one.wire_name: (one.kind.letters, one.kind.detail_to(depth - 1))
            for one in self.properties
        }
        required = tuple(one.wire_name for one in self.properties if one.required)
        return {**found, "": (*required, None) if self.closed else required}

    @property
    def inside(self) -> list[Kind]:
        """The kinds of its fields."""
        return [*(one.kind for one in self.properties), self.additional]

    def code(self, way: Way, source: str) -> str:
        return (
            f"{self.name}.__from_wire__({source})" if way == "decode" else super().code(way, source)
        )


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
