"""The default of arguments for which `None` means null."""

from typing import Literal


class Unset:
    """The type of `UNSET`, the default of an optional argument that may also be null."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return `UNSET`."""
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        """Return `False`, because no value was given."""
        return False

    def __reduce__(self) -> str:
        """Pickle and copy by name, so that `UNSET` stays the only instance."""
        return "UNSET"


UNSET = Unset()
