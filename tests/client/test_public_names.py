"""The names that applications import, and what importing them costs."""

import inspect
import json
import subprocess
import sys
from collections.abc import Iterable

import pytest

import oneloop
from codegen._views.names import CLIENT_NAMES
from oneloop import AsyncOneloop, Oneloop, models, sandbox, transport
from oneloop_api import client
from tests import ROOT
from tests.document import OPERATIONS
from tests.tools import public_api


def modules_after(code: str) -> set[str]:
    """Return the modules that a program has loaded at its end, in a new interpreter."""
    program = [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps([*sys.modules]))"]
    output = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    return set(json.loads(output))


@pytest.mark.parametrize("module", [oneloop, models, sandbox, transport])
def test_all_that_is_promised_is_there(module: object) -> None:
    """Each name in `__all__` can be imported."""
    for name in module.__all__:  # type: ignore[attr-defined]
        assert getattr(module, name) is not None


@pytest.mark.parametrize("module", [oneloop, models, sandbox])
def test_names_are_listed_once(module: object) -> None:
    """No name is listed twice in `__all__`."""
    names = list(module.__all__)  # type: ignore[attr-defined]
    assert len(set(names)) == len(names)


def test_a_fresh_interpreter_finds_every_name() -> None:
    """Each public name can be loaded in a new interpreter, where names are loaded on first use."""
    code = "import oneloop; [getattr(oneloop, name) for name in oneloop.__all__]"
    assert "oneloop_api.models" in modules_after(code)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """An unknown name of the package raises AttributeError, as with any module."""
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        oneloop.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_dir_lists_the_public_names() -> None:
    """`dir` lists all public names, even those that are not loaded yet."""
    assert dir(oneloop) == sorted(oneloop.__all__)


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Importing the package loads neither httpx nor any model or operation."""
    loaded = modules_after("import oneloop")
    assert not loaded & {
        "httpx",
        "attrs",
        "attr",
        "asyncio",
        "oneloop_api",
        "oneloop_core",
        "oneloop_overrides",
    }


def test_a_call_loads_no_httpx() -> None:
    """A call needs our parser of HTTP alone, unless an application asks for httpx."""
    code = """
from oneloop import Oneloop, OneloopError, RetryPolicy
with Oneloop(api_key="sdk", base_url="http://127.0.0.1:1", retry=RetryPolicy(attempts=1)) as c:
    try:
        c.refill_billing_limit(workspace_id="a", external_meter_id="b", refill=1)
    except OneloopError:
        pass
"""
    loaded = modules_after(code)
    assert "httptools" in loaded
    assert not loaded & {"httpx", "httpcore", "ssl", "asyncio", "urllib.request"}


def test_importing_the_client_loads_no_httpx() -> None:
    """Importing the client loads neither httpx nor the models; the first call loads the models."""
    loaded = modules_after("from oneloop import Oneloop, OneloopError, RetryPolicy")
    assert not loaded & {"httptools", "httpx", "oneloop_api.models", "oneloop_api.api.v1"}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(
    "owner",
    [
        Oneloop,
        AsyncOneloop,
        client.SyncOperationsWithResponse,
        client.AsyncOperationsWithResponse,
    ],
)
def test_each_operation_is_a_method_of_both_clients(name: str, owner: type) -> None:
    """Each operation is a method with keyword-only arguments, async on the async client."""
    method = getattr(owner, name)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters)
    assert inspect.iscoroutinefunction(method) == ("Async" in owner.__name__)


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    """Both clients have the same methods, with the same arguments and docstrings."""
    methods = {name for name in vars(client.SyncOperations) if not name.startswith("_")}
    assert methods == {name for name in vars(client.AsyncOperations) if not name.startswith("_")}
    for name in methods:
        assert inspect.signature(getattr(Oneloop, name)) == inspect.signature(
            getattr(AsyncOneloop, name)
        )
        assert getattr(Oneloop, name).__doc__ == getattr(AsyncOneloop, name).__doc__


def test_no_operation_may_take_a_name_of_the_clients() -> None:
    """The generator knows all other public names of the clients, which operations cannot have."""
    own = {
        name
        for owner in (Oneloop, AsyncOneloop)
        for name in dir(owner)
        if not name.startswith("_") and name not in vars(client.SyncOperations)
    }
    assert own == set(CLIENT_NAMES)


def blocks(lines: Iterable[str]) -> dict[str, list[str]]:
    """Group indented lines under the unindented line before them."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if not line.startswith(" "):
            found[line] = members = []
        else:
            members.append(line)
    return found


def is_generated(line: str) -> bool:
    """Return whether a line of the public API is a model, or an operation of one of the clients."""
    name = line.strip().removeprefix("async ").partition("(")[0]
    return name.startswith("oneloop_api.models.") or (line.startswith(" ") and name in OPERATIONS)


def test_the_public_api_is_what_was_agreed() -> None:
    """Any difference from public_api.txt (names, arguments, types) is a change for users.

    Only new operations and models are allowed, because they come from an agreed document.
    """
    agreed = (ROOT / "tests" / "tools" / "public_api.txt").read_text(encoding="utf-8").splitlines()
    before, after = blocks(agreed), blocks(public_api.lines())
    changed = [f"- {name}" for name in before if name not in after]
    for name, members in after.items():
        known = before.get(name)
        if known is None:
            changed += [f"+ {name}"] * (not is_generated(name))
            continue
        changed += [f"- {name}: {one}" for one in known if one not in members]
        added = [one for one in members if one not in known]
        changed += [f"+ {name}: {one}" for one in added if not is_generated(one)]
    assert not changed, "if that is meant: scripts/public-api"


def test_a_method_without_a_client_is_not_carried_out() -> None:
    """Methods of the generated class raise NotImplementedError; the clients implement the call."""
    with pytest.raises(NotImplementedError):
        client.SyncOperations().refill_billing_limit(
            workspace_id="ws_1", external_meter_id="acme", refill=1
        )
