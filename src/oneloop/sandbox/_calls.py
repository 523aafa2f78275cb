"""What a handler is told of a request, and what a handler is."""

from collections.abc import Callable, Mapping

from attrs import field, frozen

from oneloop.sandbox._answers import Answer
from oneloop.sandbox._state import Link, State


@frozen(kw_only=True)
class Call:
    """What a handler may know of a request; who sent it has been checked already."""

    path_params: Mapping[str, str] = field(repr=False)
    """Decoded. One of them may be a secret, as the query and the body may hold some."""
    query: Mapping[str, str] = field(repr=False)
    content_type: str
    body: bytes = field(repr=False)
    link: Link | None
    """What the caller's link token stands for; None if the caller has the API's key."""


Handler = Callable[[State, Call], Answer]
"""A pure function of the state and a call."""


@frozen
class Operation:
    """One thing that can be called, and what answers it."""

    method: str
    path: str
    handler: Handler
    linked: bool = False
    """Whether a link token will do, too."""
