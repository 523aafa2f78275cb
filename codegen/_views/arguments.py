"""Arguments of client methods, and the code that checks them and writes them into a request."""

from collections.abc import Callable
from functools import cached_property

from attrs import frozen

from codegen._api import Parameter, Style
from codegen._kinds import Anything, Constant, Kind, ListOf, Model, Nullable, Property, Union
from codegen._literals import literal


@frozen
class Argument:
    """An argument of a client method."""

    name: str
    source: Property
    location: str
    """`path`, `query`, `header`, `cookie`, `field` (of the body) or `body`."""
    sends_null: bool
    """Whether null can be sent: in JSON, not in other texts."""
    group: Property | None = None
    """The object in the body that it is a field of, as `billing_usage` is of `billing`."""
    container: Property | None = None
    """The group or body that it is in, if that may be left out."""

    @cached_property
    def kind(self) -> Kind:
        """Its kind, without null if that cannot be sent."""
        kind = self.source.kind
        return kind.inner if isinstance(kind, Nullable) and not self.sends_null else kind

    @cached_property
    def required(self) -> bool:
        return self.source.required and self.container is None

    @cached_property
    def constant(self) -> bool:
        """Whether it has only one value and has to be sent, so that users need not pass it."""
        return self.source.required and isinstance(self.kind, Constant)

    @cached_property
    def omits_null(self) -> bool:
        """Whether it may be None, which is not sent."""
        kind = self.source.kind
        unsent = not self.sends_null and self.location != "path"
        return unsent and (_takes_null(kind) or isinstance(kind, Anything))

    @cached_property
    def nests(self) -> bool:
        """Whether it has lists or objects in it for which OpenAPI does not define its style."""
        kind = self.kind
        parts = [one.kind for one in kind.properties] if isinstance(kind, Model) else kind.parts
        has_style = isinstance(self.source, Parameter) and self.source.style.style != "deepObject"
        return has_style and not self.sends_null and not all(one.plain for one in parts)

    @cached_property
    def nullable(self) -> bool:
        """Whether None means null, so that "left out" is UNSET."""
        return self.sends_null and _takes_null(self.source.kind)

    @cached_property
    def declaration(self) -> str:
        """Its part of a signature: name, type and, if it may be left out, default."""
        kind = self.kind
        plain = f"{self.name}: {kind.argument}"
        optional = plain if plain.endswith(" | None") else f"{plain} | None"
        if self.constant and isinstance(kind, Constant):
            return f"{plain} = {literal(kind.value)}"
        if self.required:
            return optional if self.omits_null and not isinstance(kind, Anything) else plain
        return f"{plain} | Unset = UNSET" if self.nullable else f"{optional} = None"

    @cached_property
    def given(self) -> str:
        """A condition that is true if it was given; empty if there is always a value to send."""
        if self.constant or (self.required and not self.omits_null):
            return ""
        name = self.name
        return f"not isinstance({name}, Unset)" if self.nullable else f"{name} is not None"

    def encoded(self, around: Callable[[str], str] | None = None) -> str:
        """Return an expression that checks and encodes the argument.

        Args:
            around: Returns the code of a call that encodes it further, for a path or a header.
        """
        kind, wrap = self.kind, around or str
        if not kind.secret:
            return wrap(kind.code("encode", self.name))
        encoder = kind.function("encode")
        if around:
            encoder = f"lambda item: {around(kind.code('encode', 'item'))}"
        return f"encode_secret({self.name}, {encoder})"

    @cached_property
    def statement(self) -> str:
        """The code that checks it and writes it where it belongs."""
        wire, source, kind = literal(self.source.wire_name), self.source, self.kind
        if not isinstance(source, Parameter):
            name = f"_group_{self.group.name}" if self.group else "_body"
            return f"{name}{f'[{wire}]' if self.location == 'field' else ''} = {self.encoded()}"
        style, is_json = source.style, source.style.style == "json"
        scalar = kind.plain and not is_json
        if self.location == "path":
            options = _options(style, explode=False)
            if scalar and style.style == "simple":
                code = self.encoded(lambda one: f"encode_path_segment({one})")
            else:
                code = self.encoded(lambda one: f"encode_path({wire}, {one}{options})")
            return f"_path_{self.name} = {code}"
        if self.location == "header":
            options = "" if scalar else _options(style, explode=False)
            code = self.encoded(lambda one: f"encode_header({one}{options})")
            return f"_headers.append(({wire}, {code}))"
        options = "" if scalar else _options(style, explode=True)
        if self.location == "cookie":
            return f"_cookies.extend(encode_cookie({wire}, {self.encoded()}{options}))"
        repeated = isinstance(kind, ListOf) and kind.inner.plain and not options
        # A secret in a URL is always encoded whole, so that it is found again to be redacted.
        reserved = style.reserved and not kind.secret
        if (scalar or repeated) and not reserved:
            return f"_query.append(({wire}, {self.encoded()}))"
        options += ", reserved=True" if reserved else ""
        return f"_query.append({self.encoded(lambda one: f'encode_form({wire}, {one}{options})')})"


def _takes_null(kind: Kind) -> bool:
    return (
        isinstance(kind, Nullable)
        or (isinstance(kind, Constant) and kind.value is None)
        or (isinstance(kind, Union) and any(map(_takes_null, kind.parts)))
    )


def _options(style: Style, *, explode: bool) -> str:
    """Return the arguments of an encoder for a style, given its default of `explode`."""
    named = "" if style.style in ("form", "simple") else f', "{style.style}"'
    plain = style.style in ("json", "deepObject") or style.explode == explode
    return named if plain else f"{named}, explode={style.explode}"
