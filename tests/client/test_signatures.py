"""At run time, signatures say the same as the stubs, which type checkers and editors read."""

import ast
import collections.abc
import datetime as dt
import inspect
import typing
from typing import Any

import pytest

import oneloop
import oneloop_core
from oneloop import AsyncOneloop, Oneloop
from oneloop_api import client, models
from tests import ROOT

STUB = ast.parse((ROOT / "generated" / "oneloop_api" / "client.pyi").read_text("utf-8"))
NAMES: dict[str, Any] = {
    name: getattr(module, name)
    for module in (typing, collections.abc, dt, oneloop_core, models)
    for name in dir(module)
}
METHODS = [
    (owner.name, method)
    for owner in STUB.body
    if isinstance(owner, ast.ClassDef)
    for method in owner.body
    if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
]
CLIENTS = {"SyncOperations": Oneloop, "AsyncOperations": AsyncOneloop}


def promised(method: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, Any]:
    """Return the types of a method's arguments and of what it returns, by the stub."""
    annotations = {one.arg: one.annotation for one in method.args.kwonlyargs}
    annotations["return"] = method.returns
    return {
        name: eval(ast.unparse(node), NAMES)  # noqa: S307 - our own stub
        for name, node in annotations.items()
        if node is not None
    }


@pytest.mark.parametrize(
    ("owner", "method"), METHODS, ids=[f"{owner}.{method.name}" for owner, method in METHODS]
)
def test_types_at_run_time_are_those_of_the_stub(
    owner: str, method: ast.FunctionDef | ast.AsyncFunctionDef
) -> None:
    """`typing.get_type_hints` and `inspect.signature` resolve each annotation."""
    expected = promised(method)
    assert set(expected) > {"return"} or not method.args.kwonlyargs
    for home in (CLIENTS.get(owner, oneloop), getattr(client, owner)):
        found = getattr(home, method.name, None)
        if found is None:
            continue
        assert typing.get_type_hints(found) == expected
        signature = inspect.signature(found, eval_str=True)
        annotated = {name: one.annotation for name, one in signature.parameters.items()}
        assert {**annotated, "return": signature.return_annotation} == {
            "self": inspect.Parameter.empty,
            **expected,
        }


def test_each_operation_is_in_the_stub() -> None:
    """The stub has each operation four times: blocking and async, plain and with the response."""
    methods = {name for name in vars(client.SyncOperations) if not name.startswith("_")}
    owners = {owner for owner, _ in METHODS}
    assert len(owners) == 4
    assert {(owner, name) for owner in owners for name in methods} == {
        (owner, method.name) for owner, method in METHODS
    }


@pytest.mark.parametrize("owner", [Oneloop, AsyncOneloop])
def test_types_of_the_clients_can_be_resolved(owner: type) -> None:
    """Each other method of the clients has types that resolve at run time."""
    for name in dir(owner):
        method = getattr(owner, name)
        if inspect.isfunction(method) and (not name.startswith("_") or name == "__init__"):
            hints = typing.get_type_hints(method)
            assert set(inspect.signature(method, eval_str=True).parameters) - {"self"} <= set(hints)
