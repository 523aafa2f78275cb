"""Models as the templates print them."""

from functools import cached_property

from attrs import frozen

from codegen._errors import GenerationError
from codegen._kinds import Class, Constant, MapOf, Model, Nullable, Property, Reading, classes
from codegen._literals import identifier, literal

from . import names
from .docstrings import headed, item, layout, line, text


@frozen
class FieldView:
    """A field of a model."""

    name: str
    source: Property
    sent: bool
    """Whether its model is part of an argument."""

    @cached_property
    def tri_state(self) -> bool:
        """Whether "absent", "null" and a value may be three things to the server."""
        nullable = isinstance(self.source.kind, Nullable)
        return self.sent and nullable and not self.source.required

    @cached_property
    def annotation(self) -> str:
        """Its type. An absent field is None, or UNSET where null may be sent as well."""
        plain, absent = self.source.kind.annotation, "Unset" if self.tri_state else "None"
        if self.source.required or plain == absent or plain.endswith(f"| {absent}"):
            return plain
        return f"{plain} | {absent}"

    @cached_property
    def declaration(self) -> str:
        """Its line in the class."""
        default = "" if self.source.required else "UNSET" if self.tri_state else "None"
        if self.source.required and isinstance(self.source.kind, Constant):
            default = self.source.kind.default
        if self.source.kind.secret:
            default = f"field({f'default={default}, ' if default else ''}repr=False)"
        declared = f"{self.name}: {self.annotation}"
        return f"{declared} = {default}" if default else declared

    @cached_property
    def decoded(self) -> str:
        """Statements that read it out of `_rest` into a variable of its name."""
        key, required, kind = literal(self.source.wire_name), self.source.required, self.source.kind
        take = f"_rest.pop({key})" if required else f"_rest.pop({key}, None)"
        if self.tri_state:
            given = f"UNSET if isinstance(_value, Unset) else {kind.code('decode', '_value')}"
            return f"_value = _rest.pop({key}, UNSET)\n{self.name} = {given}"
        simple = kind.code("decode", take)
        if simple.count(take) == 1 and required:
            return f"{self.name} = {simple}"
        read = kind if required or isinstance(kind, Nullable) else Nullable(kind)
        return f"_value = {take}\n{self.name} = {read.code('decode', '_value')}"

    @cached_property
    def encoded(self) -> str:
        """Statements that write it into `_data`."""
        source, kind = f"self.{self.name}", self.source.kind
        if isinstance(kind, Nullable) and not (self.source.required or self.tri_state):
            kind = kind.inner  # None is left out
        assign = f"_data[{literal(self.source.wire_name)}] = {kind.code('encode', source)}"
        if self.source.required:
            return assign
        given = f"not isinstance({source}, Unset)" if self.tri_state else f"{source} is not None"
        return f"if {given}:\n    {assign}"


@frozen
class ReadingView:
    """A property or method that infers what the value of a field means."""

    name: str
    field: FieldView
    source: Reading

    @cached_property
    def absent(self) -> str:
        """A condition that is true if the field has no value; empty if it always has one."""
        if self.field.annotation == self.field.source.kind.type:
            return ""
        name = f"self.{self.field.name}"
        unset = f" or isinstance({name}, Unset)" if self.field.tri_state else ""
        return f"{name} is None{unset}"

    @cached_property
    def type(self) -> str:
        plain = self.source.type
        return f"{plain} | None" if self.absent and not plain.endswith("None") else plain

    @cached_property
    def code(self) -> str:
        """An expression that returns its value."""
        now = f", {self.source.argument}" if self.source.argument else ""
        code = f"{self.source.function}(self.{self.field.name}{now})"
        return f"None if {self.absent} else {code}" if self.absent else code

    @cached_property
    def docstring(self) -> str:
        """Its docstring, without the quotes."""
        absent = f" `None` if `{self.field.name}` is absent." if self.absent else ""
        summary = self.source.summary.format(self.field.name)
        return layout([[summary], [f"{self.source.note}{absent}"]], indent=8)


@frozen
class ModelView:
    """A model."""

    source: Model
    sent: bool
    """Whether it is part of an argument, or of no answer."""

    @cached_property
    def fields(self) -> list[FieldView]:
        """Its fields, required ones first."""
        taken = {*names.of_models(), *self.flags, *(name for name, _, _ in self.readings)}
        return [
            FieldView(names.free(one.name, "_", taken), one, self.sent)
            for one in self.source.properties
        ]

    @cached_property
    def flags(self) -> dict[str, tuple[str, str]]:
        """Properties that check whether a field has one value: by name, the field and literal."""
        fields = {one.wire_name: one.name for one in self.source.properties}
        try:
            return {
                identifier(flag): (fields[field], literal(value))
                for flag, ((field, value),) in (
                    (flag, of.items()) for flag, of in self.source.flags.items()
                )
            }
        except (AttributeError, KeyError, ValueError):
            problem = "x-python-flags must name one field and its value for each flag"
            raise GenerationError(f"{self.source.name}: {problem}") from None

    @cached_property
    def readings(self) -> list[tuple[str, Property, Reading]]:
        """What is inferred from fields: name, field and reading."""
        fields = {one.name for one in self.source.properties}
        found = []
        for one in self.source.properties:
            kind = one.kind.inner if isinstance(one.kind, Nullable) else one.kind
            stem = one.name.removesuffix("_at")
            stem = one.name if stem in fields else stem
            found += [(f"{stem}_{reading.suffix}", one, reading) for reading in kind.readings]
        return found

    @cached_property
    def inferred(self) -> list["ReadingView"]:
        """The same as the template prints it."""
        fields = {id(one.source): one for one in self.fields}
        return [ReadingView(name, fields[id(of)], one) for name, of, one in self.readings]

    @cached_property
    def classes(self) -> list[str]:
        """The names of the classes that its fields refer to."""
        return sorted(one.name for one in classes(self.source.inside))

    @cached_property
    def wire_names(self) -> dict[str, str]:
        """The document's names of fields that have other names in Python, as literals."""
        named = {one.name: one.source.wire_name for one in self.fields}
        return {name: literal(wire) for name, wire in named.items() if name != wire}

    @cached_property
    def factory(self) -> str:
        """A function that returns an empty dict for the fields that the document does not name."""
        made = f"dict[str, {self.source.additional.annotation}]"
        # Classes are imported last, so their names must not be looked up before.
        return f"lambda: {made}()" if classes([self.source.additional]) else made

    @cached_property
    def has_secrets(self) -> bool:
        return any(one.kind.secret for one in self.source.properties)

    @cached_property
    def rest(self) -> str:
        """An expression that reads what is left in `_rest`."""
        kind = self.source.additional
        return "_rest" if kind.annotation == "Any" else MapOf(kind).code("decode", "_rest")

    @cached_property
    def docstring(self) -> str:
        """Its docstring, without the quotes."""
        attributes = [
            item(line(f"{one.name} ({one.annotation})"), text(one.source.description))
            for one in self.fields
        ]
        attributes.append(
            item(
                line(f"additional_properties (dict[str, {self.source.additional.annotation}])"),
                "What the server sent beyond the document; sent back as it came.",
            )
        )
        return layout([*described(self.source), ["Attributes:", *attributes]], indent=4)


def described(one: Class) -> list[list[str]]:
    """Return the first sections of a class's docstring."""
    default = f"The values of `{line(one.wire_name)}`"
    if isinstance(one, Model):
        default = f"`{one.name}`, which the API's document does not describe"
    return headed("", one.description, default)


def enum_docstring(one: Class) -> str:
    """Return the docstring of an enum, without the quotes."""
    kept = "Values that are not listed here are kept as they came."
    return layout([*described(one), [kept]], indent=4)
