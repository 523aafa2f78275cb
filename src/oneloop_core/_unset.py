"""An argument that was left out, where `None` means null."""

from typing import Literal


class Unset:
    """The type of `UNSET`: a nullable argument that was left out, as `None` means null there."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the name of the only instance."""
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        """Be false, as nothing was given."""
        return False

    def __reduce__(self) -> str:
        """Stay one object through pickle and copy."""
        return "UNSET"


UNSET = Unset()
