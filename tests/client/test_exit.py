"""Calls while the interpreter exits, when nothing can be imported any more: they are not sent."""

import asyncio
import errno
import json
import os
import subprocess
import sys
from typing import Any

import pytest

import oneloop._http
from oneloop import APIConnectionError, AsyncOneloop, Oneloop, OneloopError, Outcome, RetryPolicy
from oneloop.sandbox import Sandbox
from oneloop_core.methods import BlockingMethods, add_methods
from tests.calling import REFILL

BEGIN = """
import asyncio, json, os
from oneloop import AsyncOneloop, Oneloop, OneloopError

URL = os.environ["ONELOOP_BASE_URL"]
ARGUMENTS = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}

class Last:
    def __init__(self, call):
        self.call = call

    def __del__(self):
        try:
            self.call()
        except OneloopError as error:
            found = type(error).__name__, error.outcome.name, error.operation, str(error)
            os.write(1, json.dumps(found).encode())

client = Oneloop()
"""

METHOD = "last = Last(lambda: client.refill_billing_limit(**ARGUMENTS))"

CALL = """
call = client.refill_billing_limit
last = Last(lambda: call(**ARGUMENTS))
"""

CLIENTS = {
    "an address": "",
    "a host name": 'client = Oneloop(base_url=URL.replace("127.0.0.1", "localhost"))',
    "TLS": 'client = Oneloop(base_url=URL.replace("http:", "https:"))',
    "httpx": 'client = Oneloop(transport="httpx")',
    "a function for the key": 'client = Oneloop(api_key=lambda: "sdk")',
    "with_response": "client = client.with_response",
    "with_options": "client = client.with_options(timeout=5)",
}

LOOP = """
import ctypes

client, loop = AsyncOneloop(transport=TRANSPORT), asyncio.new_event_loop()
ctypes.pythonapi.Py_IncRef(ctypes.py_object(loop))  # so that it is not finalized first
call = client.refill_billing_limit
last = Last(lambda: loop.run_until_complete(call(**ARGUMENTS)))
"""


def run(sandbox: Sandbox, *program: str) -> Any:
    """Run the parts of a program, and return the error that it has found at its end."""
    environment = {"ONELOOP_BASE_URL": sandbox.url, "ONELOOP_SDK_KEY": sandbox.api_key}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join((BEGIN, *program))],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert sandbox.requests == ()
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", CLIENTS)
def test_the_first_use_of_a_method_is_not_sent(name: str, sandbox: Sandbox) -> None:
    """A method that was never looked up before has a module that cannot be imported any more."""
    kind, outcome, operation, text = run(sandbox, CLIENTS[name], METHOD)
    assert (kind, outcome, operation) == ("OneloopError", "NOT_SENT", "refill_billing_limit")
    assert text.startswith("refill_billing_limit was not sent: its module cannot be loaded: ")


@pytest.mark.parametrize("name", CLIENTS)
def test_the_first_call_is_not_sent(name: str, sandbox: Sandbox) -> None:
    """A client without connections cannot import what opens them."""
    kind, outcome, operation, text = run(sandbox, CLIENTS[name], CALL)
    assert (kind, outcome) == ("APIConnectionError", "NOT_SENT")
    assert operation == "refill_billing_limit"
    assert "shutting down" in text


@pytest.mark.parametrize("transport", [None, "httpx"])
def test_the_first_async_call_is_not_sent(transport: str | None, sandbox: Sandbox) -> None:
    """The same holds for an async client, in a loop that was made before."""
    kind, outcome, operation, _ = run(sandbox, f"TRANSPORT = {transport!r}", LOOP)
    assert (kind, outcome) == ("APIConnectionError", "NOT_SENT")
    assert operation == "refill_billing_limit"


# The same in this process, with modules that cannot be loaded


def test_a_method_without_its_module_is_an_error_of_ours() -> None:
    """The error names the operation, and has the reason as its cause."""
    owner = type("Operations", (BlockingMethods,), {"__module__": "oneloop_api.client"})
    add_methods(owner, {"refill": "v1"})
    with pytest.raises(OneloopError, match="refill was not sent: its module") as caught:
        _ = owner.refill  # type: ignore[attr-defined]
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.operation == "refill"
    assert isinstance(caught.value.__cause__, ImportError)


def called(transport: Any, is_async: bool) -> Any:
    """Refill a meter with a new client of either kind."""
    options: Any = {"api_key": "sdk", "base_url": "http://127.0.0.1:9", "transport": transport}
    options["retry"] = RetryPolicy(attempts=2, backoff=0)
    if not is_async:
        return Oneloop(**options).refill_billing_limit(**REFILL)

    async def main() -> Any:
        async with AsyncOneloop(**options) as client:
            return await client.refill_billing_limit(**REFILL)

    return asyncio.run(main())


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("transport", "module"), [(None, "_proxies"), ("httpx", "_proxies"), ("httpx", "_httpx")]
)
def test_without_what_opens_connections_a_call_is_not_sent(
    transport: Any, module: str, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is imported to open connections cannot have sent anything. It is not tried again."""
    monkeypatch.setitem(sys.modules, f"oneloop._http.{module}", None)
    monkeypatch.delattr(oneloop._http, module, raising=False)
    with pytest.raises(APIConnectionError, match=r"cannot connect .*oneloop\._http") as caught:
        called(transport, is_async)
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 1)


@pytest.mark.parametrize("is_async", [False, True])
def test_without_a_file_descriptor_a_call_is_not_sent(
    is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module cannot be read if too many files are open. That may pass, so it is tried again."""

    def no_file(_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("oneloop._http._connection.Route", no_file)
    with pytest.raises(APIConnectionError, match=r"cannot connect .*Too many open") as caught:
        called(None, is_async)
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 2)


def test_without_asyncio_a_call_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An async call cannot find its loop where `asyncio` cannot be imported any more."""

    async def main() -> None:
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, "asyncio", None)
            await AsyncOneloop(api_key="sdk").refill_billing_limit(**REFILL)

    with pytest.raises(APIConnectionError, match=r"running event loop .*asyncio") as caught:
        asyncio.run(main())
    assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 1)
