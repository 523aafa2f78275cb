"""What a run found in a document: refused operations, and remarks for the maintainer."""

from typing import Any

from attrs import frozen

from ._errors import GenerationError

Place = tuple[Any, ...]
"""The keys that lead to a part of a document."""
MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What is raised where a document is malformed, or a reference leads to what nobody has checked."""


@frozen
class Finding:
    """Something in a document that a maintainer should know."""

    place: Place
    """Where it is."""
    problem: str
    """What is wrong, dropped or changed there, as a sentence without a full stop."""
    action: dict[str, Any] | None = None
    """An overlay action that would mend it, if there is one."""
    refuses: bool = False
    """Whether the operations that use the part are refused, as nobody can say what it means."""
    rule: str = ""
    """The rule of the quirk check that found it; empty: another part of the run found it."""


@frozen
class Refusal:
    """An operation that no code is generated for."""

    method: str
    """In upper case."""
    path: str
    operation_id: str | None
    """As the document writes it."""
    reason: str
    """Why, with the place of the part that is not supported, as a sentence without a full stop."""
    action: dict[str, Any]
    """An overlay action that leaves the operation out, or mends the part."""


class Unsupported(GenerationError):  # noqa: N818 - it ends no run
    """A part of a document that cannot be generated. Whoever handles an operation refuses it.

    Args:
        place: Where the part is.
        problem: What is not supported, and what to change.
        action: An overlay action that would mend it, if there is one.
    """

    def __init__(self, place: Place, problem: str, action: dict[str, Any] | None = None) -> None:
        super().__init__(f"{dotted(place)}: {problem}" if place else problem)
        self.place, self.problem, self.action = place, problem, action


def dotted(place: Place) -> str:
    """Return a location in a document as text, for messages."""
    return ".".join(str(key) for key in place) or "the document"
