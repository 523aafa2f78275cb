"""The public API as text: `scripts/public-api` writes it to tests/tools/public_api.txt.

A change of that file in review is a change for users.
"""

import enum
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import oneloop
import oneloop.django
import oneloop.fastapi
import oneloop.flask
import oneloop.foundation
import oneloop.hooks
import oneloop.ledger
import oneloop.sandbox
import oneloop.starlette
import oneloop.telemetry
import oneloop.testing
import oneloop.transport

OURS = ("oneloop", "oneloop_api", "oneloop_core", "oneloop_overrides")


def lines() -> Iterator[str]:
    """Describe every public name."""
    guards = (oneloop.fastapi, oneloop.starlette, oneloop.flask, oneloop.django)
    clients = (oneloop, oneloop.models, oneloop.transport, oneloop.foundation)
    tools = (
        oneloop.hooks,
        oneloop.ledger,
        oneloop.telemetry,
        oneloop.testing,
        oneloop.sandbox,
    )
    for module in (*clients, *tools, *guards):
        for name in sorted(module.__all__):
            yield from described(name, getattr(module, name), module.__name__)


def described(name: str, value: Any, where: str) -> Iterator[str]:
    """Describe a name: a class with its members, or a function with its arguments."""
    if isinstance(value, ModuleType):
        yield f"{where}.{name}: module"
    elif inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"{where}.{name}({bases})"
        if issubclass(value, enum.Enum):
            yield from (f"    {one.name} = {one.value!r}" for one in value)
        else:
            made_by = "__new__" if issubclass(value, tuple) else "__init__"
            yield f"    {made_by}{signature(getattr(value, made_by))}"
        yield from members(value)
    elif callable(value):
        yield f"{where}.{name}{signature(value)}"
    else:
        yield f"{where}.{name}: {type(value).__name__}"


def signature(function: Any) -> str:
    """Return a signature without memory addresses, which differ from run to run."""
    return re.sub(r" at 0x\w+", "", str(inspect.signature(function)))


def members(owner: type) -> Iterator[str]:
    """Describe the public attributes that our own classes define, inherited ones included."""
    inspect.getmembers(owner)  # methods of operations replace their stand-ins when looked up
    found: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        if base.__module__.split(".")[0] in OURS:
            found |= dict.fromkeys(inspect.get_annotations(base), "attribute") | vars(base)
    for name in sorted(found):
        value = found[name]
        if name.startswith("_") or isinstance(value, enum.Enum):
            continue
        if isinstance(value, property):
            yield f"    {name}: property"
        elif isinstance(value, classmethod | staticmethod):
            yield f"    {name}{signature(value.__func__)} [{type(value).__name__}]"
        elif callable(value):
            kind = "async " if inspect.iscoroutinefunction(value) else ""
            yield f"    {kind}{name}{signature(value)}"
        else:
            yield f"    {name}"


if __name__ == "__main__":
    print(*lines(), sep="\n")
