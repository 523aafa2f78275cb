"""Requests, operations, their handlers, and the calls that handlers get."""

from collections.abc import Callable, Mapping

from attrs import field, frozen
from starlette.datastructures import Headers

from oneloop.sandbox._answers import Answer
from oneloop.sandbox._state import Link, State


@frozen(kw_only=True)
class Request:
    """A request as it was received. All of it may contain secrets."""

    method: str
    raw_path: bytes = field(repr=False)
    """As sent, percent-encoded, without the query."""
    query: bytes = field(repr=False)
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    """At most one byte more than the longest body that is accepted."""


@frozen(kw_only=True)
class Call:
    """A request as a handler gets it, after authorization."""

    path_params: Mapping[str, str] = field(repr=False)
    """Decoded. Path, query and body may contain secrets."""
    query: Mapping[str, str] = field(repr=False)
    content_type: str
    body: bytes = field(repr=False)
    link: Link | None
    """What the caller's link token stands for; None if the caller has the API's key."""


Handler = Callable[[State, Call], Answer]
"""Answers a call, and may change the state; it does no I/O."""


@frozen
class Operation:
    """An operation and the handler that answers it."""

    method: str
    path: str
    handler: Handler
    linked: bool = False
    """Whether a link token gives the right to call it."""
    open: bool = False
    """Whether it needs no token."""
    name: str | None = None
    """The operationId in the API's document; None for what is not part of the API."""
