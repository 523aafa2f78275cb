"""Annotations can be evaluated at run time, so that tools that read signatures see real types."""

import inspect
import ssl
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_type_hints

import httpx
import pydantic
import pytest

import oneloop
import oneloop.foundation
import oneloop.options
import oneloop.sandbox
import oneloop.transport
import oneloop_core
import oneloop_core.methods
import oneloop_overrides
from oneloop import AsyncOneloop, Oneloop, Response, models
from oneloop_api.client import (
    AsyncOperations,
    AsyncOperationsWithResponse,
    SyncOperations,
    SyncOperationsWithResponse,
)
from tests.document import OPERATIONS

MODULES = (
    *(oneloop, oneloop.models, oneloop.foundation, oneloop.transport, oneloop.sandbox),
    *(oneloop_core, oneloop_core.methods, oneloop_overrides),
)
CLASSES = (SyncOperations, AsyncOperations, SyncOperationsWithResponse, AsyncOperationsWithResponse)
SCOPE = {"representation": "a", "create": True, "read": True, "update": False, "delete": True}


def annotated(module: ModuleType) -> Iterator[Any]:
    """Yield the public functions and classes of a module, and the methods of the classes."""
    names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    for name in names:
        value = getattr(module, name)
        if inspect.isclass(value):
            members = [getattr(member, "fget", member) for member in vars(value).values()]
            yield from (getattr(member, "__func__", member) for member in members)
        yield value


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_everything_public_can_be_evaluated(module: ModuleType) -> None:
    """Functions, classes and methods, also the constructors that attrs compiles."""
    found = [one for one in annotated(module) if inspect.isclass(one) or inspect.isfunction(one)]
    assert found
    for one in found:
        get_type_hints(one)
        if inspect.isfunction(one):
            inspect.signature(one, eval_str=True)


@pytest.mark.parametrize("owner", CLASSES, ids=lambda owner: owner.__name__)
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_method_can_be_evaluated(owner: type, name: str) -> None:
    """By `typing`, by `inspect` and by pydantic, with what it returns."""
    method = getattr(owner, name)
    returned = inspect.signature(method, eval_str=True).return_annotation
    assert returned == get_type_hints(method)["return"]
    if issubclass(owner, oneloop_core.methods.WithResponse):
        assert typing.get_origin(returned) is Response
    else:
        assert returned is getattr(models, returned.__name__)
    pydantic.validate_call(method)


def test_clients_name_the_types_of_other_libraries() -> None:
    """They are imported when annotations are evaluated, not before."""
    for client, kind in ((Oneloop, httpx.Client), (AsyncOneloop, httpx.AsyncClient)):
        hints = get_type_hints(client.__init__)
        assert hints["http_client"] == kind | None
        assert hints["ssl_context"] == ssl.SSLContext | None
        inspect.signature(client, eval_str=True)
        get_type_hints(client.with_options)
    options = get_type_hints(oneloop.options.Options)
    assert options["http_client"] == httpx.Client | None


def test_pydantic_validates_calls() -> None:
    """Arguments are converted to models and enums before a method gets them."""
    create = pydantic.validate_call(Oneloop(api_key="key").create_api_key)
    wanted: Any = {"name": "n", "workspace_id": "w", "enabled": True, "customer_id": "c"}
    with pytest.raises(pydantic.ValidationError) as caught:
        create(**wanted | {"name": 1}, scopes=[{**SCOPE, "read": 1}], expires_at="soon")
    places = {error["loc"] for error in caught.value.errors()}
    assert places == {("name",), ("scopes", 0, "read"), ("expires_at",)}


def test_unset_passes_pydantic() -> None:
    """It is the default of arguments for which `None` means null."""

    def method(prefix: str | oneloop_core.Unset | None = oneloop_core.UNSET) -> Any:
        return prefix

    checked = pydantic.validate_call(config={"arbitrary_types_allowed": False})(method)
    assert checked(oneloop_core.UNSET) is oneloop_core.UNSET
    assert checked(None) is None
    with pytest.raises(pydantic.ValidationError):
        checked(1)  # type: ignore[arg-type]
