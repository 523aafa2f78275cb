"""The default of arguments for which `None` means null."""

from typing import Any, Literal


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

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let `pydantic.validate_call` pass `UNSET` through."""
        from . import _pydantic

        return _pydantic.instance_of(cls)


UNSET = Unset()
