"""What a document becomes: operations, with Python's names and our kinds, before they are code."""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

from ._findings import Finding, Refusal
from ._kinds import Class, Kind, Property

Reads = Literal["json", "text", "bytes", "nothing"]
"""How the body of an answer is read."""

Media = Literal["json", "form", "multipart", "text", "bytes"]
"""How the body of a request is written."""


@frozen
class Style:
    """How a parameter, or a field of a form, is written (OpenAPI's `style` and its neighbours)."""

    style: str
    """`form`, `simple`, `label`, `matrix`, `spaceDelimited`, `pipeDelimited`, `deepObject`, or
    `json` where the document has `content` with JSON."""
    explode: bool
    reserved: bool = False
    """Whether reserved characters are sent as they are (`allowReserved`)."""


@frozen
class Parameter(Property):
    """A parameter of an operation."""

    location: str = field(kw_only=True)
    """`path`, `query`, `header` or `cookie`."""
    style: Style = field(kw_only=True)


@frozen
class Body:
    """The body of a request."""

    property: Property
    """The body as a whole. Its kind is a `Model` with properties if its fields become arguments."""
    media: Media
    content_type: str
    """The media type that is sent, such as `application/merge-patch+json`. For multipart the
    boundary is added."""
    styles: Mapping[str, Style]
    """For forms: how fields (by their names in the document) are written, if not as by default."""
    content_types: Mapping[str, str]
    """For multipart: the media types of fields (by their names in the document), if given."""


@frozen
class Answer:
    """A successful answer of an operation."""

    lowest: int
    """The lowest status that it is for; 200 and 299 stand for `2XX` and `default`."""
    highest: int
    reads: Reads
    kind: Kind | None
    """The kind of its JSON; None unless `reads` is `json`."""


@frozen
class Endpoint:
    """An operation of the document, with Python's names and our kinds."""

    where: str
    """Method and path, for errors."""
    name: str
    method: str
    """In upper case."""
    path: str
    """The path with the Python names of its parameters in braces."""
    tag: str
    summary: str
    description: str
    deprecated: bool
    parameters: list[Parameter]
    """In the order path, query, header, cookie, and within these as in the document."""
    body: Body | None
    answers: list[Answer]
    """The successful answers, the most specific statuses first. Empty: nothing is returned."""
    accept: str
    """The media types of the answers, for the header `Accept`."""
    answer_description: str
    errors: list[Kind]
    """The kinds of the JSON of all other answers."""
    security: tuple[tuple[str, ...], ...] | None
    """The alternatives of credentials, by the names of their arguments; None: the document's
    own alternatives apply. `((),)` means none at all."""
    server: str | None
    """The URL of a server of its own; None: the document's servers apply."""
    extensions: Mapping[str, Any]
    """The operation as it is written, for our extensions."""

    @property
    def kinds(self) -> list[Kind]:
        """The kinds that its code needs."""
        parts: list[Property] = [*self.parameters, *([self.body.property] if self.body else ())]
        return [one.kind for one in parts] + [one.kind for one in self.answers if one.kind]


@frozen
class Api:
    """What a document becomes."""

    endpoints: list[Endpoint]
    """The operations, sorted by name."""
    classes: list[Class]
    """The models and enums."""
    refused: list[Refusal]
    findings: list[Finding]
