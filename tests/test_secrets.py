"""The API key shows up nowhere, after success and after failure."""

import asyncio
import json
import logging
import pickle
import time
import traceback
from collections.abc import Mapping, Sequence, Set
from typing import Any, NoReturn

import pytest
from calling import AT_ONCE, REFILL, ClientKind, an_operation
from failures import talking

from oneloop import AsyncOneloop, Oneloop, OneloopError, _pool
from oneloop._call import MAX_BODY
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Limits, Request
from oneloop_api.api.v1 import validate_link_token, verify_api_key
from oneloop_overrides import Call

KEY = "sdk_very_secret_4711"
FAULTS = ["hang", "drop-after", "truncated-body", "html-page", "wrong-shape", "429-bare"]
CUSTOMERS_KEY = "sk_of_a_customer_0815"
ECHOES = [
    Fault.status(401, body=f'{{"error": {{"code": 1, "message": "{KEY}"}}}}'.encode()),
    Fault.status(500, headers={"X-Echo": f"Bearer {KEY}"}, body=KEY.encode()),
    Fault.raw(f"HTTP/1.1 {KEY}\r\n\r\n".encode()),
]
"""What a server may do that shows the request's headers to everybody."""


@pytest.mark.parametrize("client_class", [Oneloop, AsyncOneloop])
def test_a_client_does_not_show_its_key(client_class: Any) -> None:
    """Neither its repr nor its attributes, nor those of a copy."""
    client = client_class(api_key=KEY, base_url="http://127.0.0.1:1")
    for one in (client, client.with_options(api_key=KEY), client.with_response):
        assert KEY not in repr(one)
        assert KEY not in repr(getattr(one, "__dict__", {}))


def shown(value: Any) -> str:
    """Return what is seen by those who report errors: they walk through containers themselves."""
    if isinstance(value, Mapping):
        return " ".join(f"{shown(key)} {shown(item)}" for key, item in value.items())
    if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes):
        return " ".join(map(shown, value))
    return repr(value)


@pytest.mark.parametrize(
    "fault", [*FAULTS, *ECHOES], ids=lambda fault: getattr(fault, "kind", fault)
)
def test_an_error_does_not_show_the_key(
    fault: Fault | str, kind: ClientKind, caplog: pytest.LogCaptureFixture
) -> None:
    """Not its text, attributes or pickle, nor a traceback with locals, nor a log record."""
    # What a server echoes, httpcore logs at DEBUG as it came; we take it out of what is ours.
    caplog.set_level(logging.DEBUG, "oneloop" if fault in ECHOES else None)
    with Sandbox(api_key=KEY) as sandbox:
        sandbox.misbehave(fault, times=3)
        with pytest.raises(OneloopError) as caught:
            kind.refill(api_key=KEY, base_url=sandbox.url, retry=AT_ONCE, timeout=0.3)
    error = caught.value
    assert KEY not in f"{error!s} {error!r} {vars(error)}"
    assert KEY.encode() not in pickle.dumps(error)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [frame for frame in frames if "/oneloop" in frame.f_code.co_filename]
    assert ours
    assert not [frame for frame in ours if KEY in shown(frame.f_locals)]
    assert error.__context__ is None
    assert KEY not in caplog.text


def test_a_success_does_not_log_the_key(kind: ClientKind, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, for our loggers, httpx's and httpcore's."""
    caplog.set_level(logging.DEBUG)
    with Sandbox(api_key=KEY) as sandbox:
        kind.refill({**REFILL, "external_meter_id": "acme"}, api_key=KEY, base_url=sandbox.url)
    assert caplog.records
    assert KEY not in caplog.text
    assert "acme" not in caplog.text


@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_error_does_not_show_a_key_that_was_verified(status: int, kind: ClientKind) -> None:
    """Nor the end of a call in the log; a server may echo what it was sent."""
    echo = f'{{"error": {{"code": 1, "message": "{CUSTOMERS_KEY} is bad"}}}}'.encode()
    call = verify_api_key.call(key=CUSTOMERS_KEY, requested_scopes=[])
    with Sandbox() as sandbox:
        sandbox.misbehave(Fault.status(status, headers={"X-Echo": CUSTOMERS_KEY}, body=echo))
        with pytest.raises(OneloopError) as caught:
            kind.respond(call, api_key=KEY, base_url=sandbox.url, retry=AT_ONCE)
    error = caught.value
    assert CUSTOMERS_KEY not in f"{error!s} {error!r} {vars(error)} {call!r}"
    assert "[redacted]" in vars(error)["body"]


@pytest.mark.parametrize("token", ["ol/CUST KEY+0987=65", 'ol_"quoted"_key'])
def test_an_error_does_not_show_a_secret_in_another_spelling(token: str, kind: ClientKind) -> None:
    """As it was in the path, or as JSON spells it."""
    call = validate_link_token.call(token=token)
    echo = json.dumps({"error": {"code": 404, "message": f"none: {call.target}", "was": token}})
    with Sandbox() as sandbox:
        sandbox.misbehave(Fault.status(404, body=echo.encode()))
        with pytest.raises(OneloopError) as caught:
            kind.respond(call, api_key=KEY, base_url=sandbox.url)
    shown = f"{caught.value!s} {vars(caught.value)}"
    assert "[redacted]" in shown
    for part in (token, call.target.rpartition("/")[2], json.dumps(token)[1:-1]):
        assert part not in shown


@pytest.mark.parametrize("key", ["sk_'a\"b\\c_4711", "sk_a'b\"c4711", "sk\\'4711xyz", "sk\\x4711"])
def test_an_error_does_not_show_a_key_in_the_repr_of_bytes(key: str, kind: ClientKind) -> None:
    """As h11 quotes what is no HTTP, with escapes where there are quotes and backslashes."""
    with Sandbox(api_key=key) as sandbox:
        for quotes in ("", "'", '"', "'\""):
            sandbox.misbehave(Fault.raw(f"HTTP/1.1 {quotes}{key}\r\n\r\n".encode()))
            with pytest.raises(OneloopError) as caught:
                kind.refill(api_key=key, base_url=sandbox.url, retry=AT_ONCE)
            assert "4711" not in f"{caught.value!s} {vars(caught.value)}"


@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
def test_an_interruption_does_not_show_the_key(kind: ClientKind) -> None:
    """Nor the frames of engines in which the request lies in bytes, while it is being sent."""
    call = Call(an_operation("POST"), "/", body=b"x" * 20_000_000)
    frames: list[Any] = []

    async def main(url: str) -> None:
        async with AsyncOneloop(api_key=KEY, base_url=url) as client:
            task = asyncio.create_task(client._respond(call))
            await asyncio.sleep(0.3)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError as interruption:
                frames.extend(frame for frame, _ in traceback.walk_tb(interruption.__traceback__))

    class Interrupting(_pool.PoolTransport):
        def send(self, request: Request, limits: Limits) -> NoReturn:
            header = request.headers[0][1]
            raise KeyboardInterrupt(len(header))

    if kind.name == "sync":
        with Oneloop(api_key=KEY, transport=Interrupting("https://oneloop.invalid")) as client:
            try:
                client._respond(call)
            except KeyboardInterrupt as interruption:
                frames.extend(frame for frame, _ in traceback.walk_tb(interruption.__traceback__))
    else:
        with talking(lambda _: time.sleep(1) is None) as server:
            asyncio.run(main(server.url))
    names = [frame.f_code.co_name for frame in frames]
    assert names[-1] == "_respond"
    assert not [frame for frame in frames[1:] if KEY in shown(frame.f_locals)]


def test_a_secret_that_is_cut_is_cut_off_whole(kind: ClientKind) -> None:
    """What is left of it at the end of a body that is kept in part is a part of it, too."""
    for left in (8, len(CUSTOMERS_KEY) - 1):
        echo = b"x" * (MAX_BODY - left) + CUSTOMERS_KEY.encode()
        call = verify_api_key.call(key=CUSTOMERS_KEY, requested_scopes=[])
        with Sandbox() as sandbox:
            sandbox.misbehave(Fault.status(400, body=echo))
            with pytest.raises(OneloopError) as caught:
                kind.respond(call, api_key=KEY, base_url=sandbox.url)
        body = vars(caught.value)["body"]
        assert CUSTOMERS_KEY[:5] not in body
