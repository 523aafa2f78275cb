"""Names that generated code uses itself, and that names of a document must not shadow."""

import oneloop_core
import oneloop_overrides
from codegen._kinds import Kind
from codegen._literals import identifier

CLIENT_NAMES = frozenset(
    {"aclose", "close", "request", "with_options", "with_response"}
    | {"base_url", "headers", "is_closed", "max_response_bytes", "retry", "timeout"}
)
"""Names of the hand-written clients' methods and properties."""

PACKAGES = (oneloop_core, oneloop_overrides)
"""Generated code imports everything that these export."""


def types() -> dict[str, str]:
    """Return the classes of the standard library that kinds become, with their modules."""
    return {kind.type: kind.module for kind in Kind.by_schema.values() if kind.module}


def of_methods() -> set[str]:
    """Return the names that no operation may have."""
    return {*CLIENT_NAMES, *types()}


def of_calls() -> set[str]:
    """Return the names that no argument may have."""
    return {"call", *(name for package in PACKAGES for name in package.__all__)}


def of_models() -> set[str]:
    """Return the names that no field may have."""
    own = {"additional_properties", "cls", "define", "field"}
    own |= {"from_dict", "to_dict", "to_json"}
    return own | types().keys() | of_calls() - {"call"}


def of_classes() -> set[str]:
    """Return the names that no model or enum may have."""
    own = {"Any", "Final", "Mapping", "Self", "Sequence"}
    own |= {"AsyncMethod", "AsyncMethods", "BlockingMethod", "BlockingMethods"}
    return own | {name for name in of_calls() | types().keys() if name[0].isupper()}


def free(name: str, suffix: str, taken: set[str]) -> str:
    """Add a suffix to a name until it is not taken, then add it to `taken` and return it."""
    while name in taken:
        name += suffix
    taken.add(identifier(name))
    return name
