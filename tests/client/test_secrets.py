"""The API key and secret arguments are not shown anywhere, after success or failure."""

import asyncio
import base64
import json
import logging
import pickle
import socket
import time
import traceback
from collections.abc import Mapping, Sequence, Set
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

import attrs
import pytest

from oneloop import (
    ArgumentError,
    ArgumentValueError,
    AsyncOneloop,
    ConfigurationError,
    Oneloop,
    OneloopError,
    ResponseDecodeError,
)
from oneloop._failures import MAX_BODY
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Limits, Request
from oneloop_api.api.v1 import refill_billing_limit, validate_link_token, verify_api_key
from oneloop_core import (
    MAX_SECRET_LENGTH,
    Call,
    Secret,
    decode_map,
    decode_string,
    encode_list,
    encode_secret,
    encode_string,
)
from tests.calling import AT_ONCE, REFILL, ClientKind, an_operation
from tests.tools.failures import METER, read_request, talking

KEY = "sdk_very_secret_4711"
FAULTS = ["hang", "drop-after", "truncated-body", "html-page", "wrong-shape", "429-bare"]
CUSTOMERS_KEY = "sk_of_a_customer_0815"
ECHOES = [
    Fault.status(401, body=f'{{"error": {{"code": 1, "message": "{KEY}"}}}}'.encode()),
    Fault.status(500, headers={"X-Echo": f"Bearer {KEY}"}, body=KEY.encode()),
    Fault.raw(f"HTTP/1.1 {KEY}\r\n\r\n".encode()),
]
"""Responses in which a server repeats the key from the request's headers."""


@pytest.mark.parametrize("client_class", [Oneloop, AsyncOneloop])
def test_a_client_does_not_show_its_key(client_class: Any) -> None:
    """Neither the repr nor the attributes of a client, or of a copy of it, contain the key."""
    client = client_class(api_key=KEY, base_url="http://127.0.0.1:1")
    for one in (client, client.with_options(api_key=KEY), client.with_response):
        assert KEY not in repr(one)
        assert KEY not in repr(getattr(one, "__dict__", {}))


def shown(value: Any) -> str:
    """Return a value as error reporters show it, which also look into containers."""
    if isinstance(value, Mapping):
        return " ".join(f"{shown(key)} {shown(item)}" for key, item in value.items())
    if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes):
        return " ".join(map(shown, value))
    return repr(value)


def attributes_of(error: BaseException) -> dict[str, Any]:
    """Return the attributes of an error, without the elapsed time, whose digits may match a key."""
    return {name: value for name, value in vars(error).items() if name != "elapsed"}


@pytest.mark.parametrize(
    "fault", [*FAULTS, *ECHOES], ids=lambda fault: getattr(fault, "kind", fault)
)
def test_an_error_does_not_show_the_key(
    fault: Fault | str, kind: ClientKind, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither an error's text, attributes, pickle and frames nor the log contain the key."""
    # At DEBUG, httpx's engine logs unchanged what a server sent, so for echoes only our logs count.
    caplog.set_level(logging.DEBUG, "oneloop" if fault in ECHOES else None)
    with Sandbox(api_key=KEY) as sandbox:
        sandbox.misbehave(fault, times=3)
        with pytest.raises(OneloopError) as caught:
            kind.refill(api_key=KEY, base_url=sandbox.url, retry=AT_ONCE, timeout=0.3)
    error = caught.value
    assert KEY not in f"{error!s} {error!r} {attributes_of(error)}"
    assert KEY.encode() not in pickle.dumps(error)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [frame for frame in frames if "/oneloop" in frame.f_code.co_filename]
    assert ours
    assert not [frame for frame in ours if KEY in shown(frame.f_locals)]
    assert error.__context__ is None
    assert KEY not in caplog.text


def test_a_success_does_not_log_the_key(kind: ClientKind, caplog: pytest.LogCaptureFixture) -> None:
    """After a successful call, the debug logs of all loggers show no key."""
    caplog.set_level(logging.DEBUG)
    with Sandbox(api_key=KEY) as sandbox:
        kind.refill({**REFILL, "external_meter_id": "acme"}, api_key=KEY, base_url=sandbox.url)
    assert caplog.records
    assert KEY not in caplog.text
    assert "acme" not in caplog.text


@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_error_does_not_show_a_key_that_was_verified(status: int, kind: ClientKind) -> None:
    """An error does not show the key to verify, even if the server repeats it."""
    echo = f'{{"error": {{"code": 1, "message": "{CUSTOMERS_KEY} is bad"}}}}'.encode()
    call = verify_api_key.call(key=CUSTOMERS_KEY, requested_scopes=[])
    with Sandbox() as sandbox:
        sandbox.misbehave(Fault.status(status, headers={"X-Echo": CUSTOMERS_KEY}, body=echo))
        with pytest.raises(OneloopError) as caught:
            kind.respond(call, api_key=KEY, base_url=sandbox.url, retry=AT_ONCE)
    error = caught.value
    assert CUSTOMERS_KEY not in f"{error!s} {error!r} {attributes_of(error)} {call!r}"
    assert "[redacted]" in vars(error)["body"]


@pytest.mark.parametrize("token", ["ol/CUST KEY+0987=65", 'ol_"quoted"_key'])
def test_an_error_does_not_show_a_secret_in_another_spelling(token: str, kind: ClientKind) -> None:
    """An error shows a secret neither as encoded in the path nor as encoded in JSON."""
    call = validate_link_token.call(token=token)
    echo = json.dumps({"error": {"code": 404, "message": f"none: {call.target}", "was": token}})
    with Sandbox() as sandbox:
        sandbox.misbehave(Fault.status(404, body=echo.encode()))
        with pytest.raises(OneloopError) as caught:
            kind.respond(call, api_key=KEY, base_url=sandbox.url)
    shown = f"{caught.value!s} {attributes_of(caught.value)}"
    assert "[redacted]" in shown
    for part in (token, call.target.rpartition("/")[2], json.dumps(token)[1:-1]):
        assert part not in shown


@pytest.mark.parametrize("key", ["sk_'a\"b\\c_4711", "sk_a'b\"c4711", "sk\\'4711xyz", "sk\\x4711"])
def test_an_error_does_not_show_a_key_in_the_repr_of_bytes(key: str, kind: ClientKind) -> None:
    """An error shows no key that is quoted as the repr of bytes, whatever quotes are escaped."""
    with Sandbox(api_key=key) as sandbox:
        for quotes in ("", "'", '"', "'\""):
            sandbox.misbehave(Fault.raw(f"HTTP/1.1 {quotes}{key}\r\n\r\n".encode()))
            with pytest.raises(OneloopError) as caught:
                kind.refill(api_key=key, base_url=sandbox.url, retry=AT_ONCE)
            assert "4711" not in f"{caught.value!s} {attributes_of(caught.value)}"


MARK = "081547110815"
"""A part of keys that no time in an error has by chance."""


@pytest.mark.parametrize("field", ["totalCredits", "createdAt"])
@pytest.mark.parametrize(
    "key", [f"sk_{MARK}", f"sk_'a\"b\\c_{MARK}", f"{MARK}\u0661", f"sk_\U0001f600\u00e9_{MARK}"]
)
def test_an_error_does_not_show_a_key_in_place_of_digits_or_a_time(
    field: str, key: str, kind: ClientKind
) -> None:
    """An error shows the string that the server sent as digits or a time, with secrets redacted."""
    verification = verify_api_key.call(key=key, requested_scopes=[])
    call = attrs.evolve(verification, operation=refill_billing_limit.OPERATION)
    for echo, shown in ((key, "[redacted]"), (f"<{KEY}>", "<[redacted]>")):
        with Sandbox(api_key=KEY) as sandbox:
            body = json.dumps({"billing": METER | {field: echo}}).encode()
            sandbox.misbehave(Fault.status(200, body=body))
            with pytest.raises(ResponseDecodeError) as caught:
                kind.respond(call, api_key=KEY, base_url=sandbox.url)
        error = caught.value
        assert error.detail is not None
        assert error.detail.startswith(f"billing.{field}: expected a ")
        assert error.detail[:-1].endswith(f", got {error.detail[-1]}{shown}")  # in either quotes
        assert error.detail in str(error)
        everywhere = f"{error} {error!r} {error.args} {attributes_of(error)} {frames_of(error)}"
        assert MARK not in everywhere
        assert KEY not in everywhere
        assert MARK.encode() not in pickle.dumps(error)


@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
def test_an_interruption_does_not_show_the_key(kind: ClientKind) -> None:
    """No frame of an interrupted call shows the key, even while the request is being sent."""
    large = {**REFILL, "external_meter_id": "x" * 20_000_000}
    frames: list[Any] = []

    async def main(url: str) -> None:
        async with AsyncOneloop(api_key=KEY, base_url=url) as client:
            task = asyncio.create_task(client.refill_billing_limit(**large))
            await asyncio.sleep(0.3)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError as interruption:
                frames.extend(frame for frame, _ in traceback.walk_tb(interruption.__traceback__))

    class Interrupting:
        def send(self, request: Request, limits: Limits) -> NoReturn:
            header = request.headers[0][1]
            raise KeyboardInterrupt(len(header))

        def close(self) -> None:
            """Do nothing."""

    if kind.name == "sync":
        with Oneloop(api_key=KEY, transport=Interrupting()) as client:
            try:
                client.refill_billing_limit(**large)
            except KeyboardInterrupt as interruption:
                frames.extend(frame for frame, _ in traceback.walk_tb(interruption.__traceback__))
    else:
        with talking(lambda _: time.sleep(1) is None) as server:
            asyncio.run(main(server.url))
    assert Path(frames[-1].f_code.co_filename).name == "foundation.py"
    assert not [frame for frame in frames[1:] if KEY in shown(frame.f_locals)]


def test_a_secret_that_is_cut_is_cut_off_whole(kind: ClientKind) -> None:
    """If a body is cut off within a secret, the start of the secret is removed, too."""
    for left in (8, len(CUSTOMERS_KEY) - 1):
        echo = b"x" * (MAX_BODY - left) + CUSTOMERS_KEY.encode()
        call = verify_api_key.call(key=CUSTOMERS_KEY, requested_scopes=[])
        with Sandbox() as sandbox:
            sandbox.misbehave(Fault.status(400, body=echo))
            with pytest.raises(OneloopError) as caught:
                kind.respond(call, api_key=KEY, base_url=sandbox.url)
        body = vars(caught.value)["body"]
        assert CUSTOMERS_KEY[:5] not in body


PASSWORD = "p4ss_of_a_proxy_0815"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 407 %s\r\n\r\n", b"HTTP/1.1 %s\r\n\r\n"])
def test_an_error_does_not_show_the_password_of_a_proxy(
    answer: bytes,
    scheme: str,
    kind: ClientKind,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither an error nor our frames nor our log show it, also if the proxy repeats its header."""
    basic = base64.b64encode(f"user:{PASSWORD}".encode())

    def talk(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer % basic if answer else b"")

    caplog.set_level(logging.DEBUG, "oneloop")
    with talking(talk) as server:
        monkeypatch.setenv(f"{scheme}_proxy", server.url.replace("://", f"://user:{PASSWORD}@"))
        with pytest.raises(OneloopError) as caught:
            kind.refill(
                api_key=KEY,
                base_url=f"{scheme}://oneloop.invalid",
                allow_http=True,
                retry=AT_ONCE,
            )
    error = caught.value
    for secret in (PASSWORD, basic.decode(), KEY):
        assert secret not in f"{error} {error!r} {attributes_of(error)} {frames_of(error)}"
        assert secret not in caplog.text
        assert secret.encode() not in pickle.dumps(error)


def frames_of(error: BaseException) -> str:
    """Return the variables of our frames as error reporters see them, with items of containers."""
    seen: list[str] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None:
            continue
        waiting += [one.__context__, one.__cause__]
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if "/oneloop" in frame.f_code.co_filename:
                seen.append(shown(frame.f_locals))
    assert seen
    return " ".join(seen)


CALLS: dict[str, dict[str, Any]] = {
    "verify_api_key": {"key": CUSTOMERS_KEY, "requested_scopes": []},
    "record_api_key_usage": {"key": CUSTOMERS_KEY, "usage": 1},
    "migrate_api_key": {
        "key": CUSTOMERS_KEY,
        "name": "n",
        "workspace_id": "ws_1",
        "scopes": [],
        "enabled": True,
        "customer_id": "acme",
    },
    "verify_jwt": {"jwt": CUSTOMERS_KEY},
    "validate_link_token": {"token": CUSTOMERS_KEY},
}
"""The operations with a secret argument."""


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("fault", ["drop-after", "html-page", "wrong-shape", *ECHOES])
def test_no_frame_of_an_error_shows_a_secret_argument(
    operation: str, fault: Fault | str, kind: ClientKind
) -> None:
    """None of our frames in the traceback of an error shows a secret argument or the key."""
    with Sandbox() as sandbox:
        sandbox.misbehave(fault, times=3)
        options = {"api_key": KEY, "base_url": sandbox.url, "retry": AT_ONCE}
        with pytest.raises(OneloopError) as caught:
            kind.perform(operation, CALLS[operation], **options)
    assert CUSTOMERS_KEY not in frames_of(caught.value)
    assert KEY not in frames_of(caught.value)


NOT_TEXTS = [471147114711, 4711.4711, CUSTOMERS_KEY.encode(), ["4711"], "4711\ud800"]


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
@pytest.mark.parametrize("value", NOT_TEXTS)
def test_a_secret_argument_that_is_refused_is_not_shown(
    operation: str, value: Any, kind: ClientKind
) -> None:
    """If a secret argument is refused, neither the error nor its frames show it."""
    (name,) = (name for name, given in CALLS[operation].items() if given is CUSTOMERS_KEY)
    with pytest.raises(ArgumentError) as caught:
        kind.perform(operation, {**CALLS[operation], name: value}, api_key=KEY)
    assert "4711" not in f"{caught.value} {caught.value!r} {attributes_of(caught.value)}"
    assert "4711" not in frames_of(caught.value)
    assert CUSTOMERS_KEY not in f"{caught.value} {frames_of(caught.value)}"
    assert str(caught.value).startswith(f"{name} must be")


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
def test_another_argument_that_is_refused_shows_no_secret(operation: str, kind: ClientKind) -> None:
    """If another argument is refused, neither the error nor its frames show the secret one."""
    wrong = {"usage": -1, "requested_scopes": 5, "scopes": 5, "workspace_id": 5}
    given = {name: wrong.get(name, value) for name, value in CALLS[operation].items()}
    if given == CALLS[operation]:
        pytest.skip("it has no other argument")
    with pytest.raises(ArgumentError) as caught:
        kind.perform(operation, given, api_key=KEY)
    assert CUSTOMERS_KEY not in f"{caught.value} {frames_of(caught.value)}"


@pytest.mark.parametrize("size", [MAX_SECRET_LENGTH + 1, 300_000])
@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
def test_what_is_too_long_to_be_a_key_is_refused(size: int, kind: ClientKind) -> None:
    """A secret argument or API key of more than 8,192 characters is refused and not sent."""
    for operation, arguments in CALLS.items():
        (name,) = (name for name, given in arguments.items() if given is CUSTOMERS_KEY)
        with pytest.raises(ArgumentValueError, match=f"{name} must have at most 8192 characters"):
            kind.perform(operation, {**arguments, name: "k" * size}, api_key=KEY)
    with pytest.raises(ConfigurationError, match="api_key must have at most 8192 characters"):
        kind.client(api_key="k" * size)


def test_the_longest_key_is_sent_and_redacted(kind: ClientKind) -> None:
    """A key of 8,192 characters, the maximum, is sent, and redacted in the error."""
    key = "k" * (MAX_SECRET_LENGTH - 4) + "4711"
    with Sandbox() as sandbox:
        echo = json.dumps({"error": {"code": 1, "message": key + "!"}}).encode()
        sandbox.misbehave(Fault.status(400, headers={"X-Echo": key[:4000]}, body=echo))
        with pytest.raises(OneloopError, match=r"\[redacted\]!") as caught:
            kind.perform(
                "verify_api_key",
                {"key": key, "requested_scopes": []},
                api_key=KEY,
                base_url=sandbox.url,
            )
    assert "4711" not in f"{caught.value} {attributes_of(caught.value)}"


@pytest.mark.parametrize("client_class", [Oneloop, AsyncOneloop])
@pytest.mark.parametrize(
    "options",
    [
        {"api_key": KEY, "base_url": "nowhere"},
        {"api_key": KEY, "link_token": KEY},
        {"link_token": KEY, "headers": {"Host": "x"}},
        {"api_key": f"{KEY} "},
        {"api_key": KEY.encode()},
        {"api_key": KEY, "transport": object()},
        {"api_key": KEY, "http_client": object()},
        {"api_key": "sdk", "headers": {"Authorization": f"Bearer {KEY}"}},
        {"api_key": "sdk", "headers": {"X-Key": f"{KEY} "}},
        {"api_key": "sdk", "base_url": f"https://user:{KEY}@api.test"},
        {"api_key": "sdk", "base_url": KEY},
    ],
)
def test_no_frame_of_a_configuration_error_shows_the_key(
    client_class: Any, options: dict[str, Any]
) -> None:
    """No frame shows the key if the constructor or `with_options` raises a ConfigurationError."""
    with pytest.raises(ConfigurationError) as caught:
        client_class(**options)
    assert KEY not in f"{caught.value} {frames_of(caught.value)}"
    changed = {name: options[name] for name in {*options} & {"api_key", "link_token", "headers"}}
    if changed not in ({"api_key": KEY}, {"api_key": "sdk"}):
        with pytest.raises(ConfigurationError) as caught:
            client_class(api_key="sdk").with_options(**changed)
        assert KEY not in f"{caught.value} {frames_of(caught.value)}"


def test_no_frame_shows_a_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No frame shows an invalid key that comes from the environment or from a function."""
    monkeypatch.setenv("ONELOOP_SDK_KEY", f"{KEY} ")
    with pytest.raises(ConfigurationError) as caught:
        Oneloop()
    assert KEY not in f"{caught.value} {frames_of(caught.value)}"
    with Oneloop(api_key=lambda: f"{KEY} ") as client:
        with pytest.raises(ConfigurationError) as caught:
            client.get_workspace()
        assert KEY not in f"{caught.value} {frames_of(caught.value)}"

    async def key() -> str:
        return f"{KEY} "

    async def main() -> None:
        async with AsyncOneloop(api_key=key) as client:
            with pytest.raises(ConfigurationError) as caught:
                await client.get_workspace()
            assert KEY not in f"{caught.value} {frames_of(caught.value)}"

    asyncio.run(main())


class Masked(str):
    """A string whose `str()` is something else."""

    __slots__ = ()

    def __str__(self) -> str:
        return "***"


class Named(str, Enum):  # noqa: UP042 - as applications have them
    """A key that is a member of an Enum."""

    KEY = CUSTOMERS_KEY


@pytest.mark.parametrize("key", [Masked(CUSTOMERS_KEY), Named.KEY])
def test_a_key_of_another_class_of_strings_is_sent_as_it_is_and_redacted(
    key: str, kind: ClientKind
) -> None:
    """A key of a subclass of `str` is sent and redacted by its characters, not by its `str()`."""
    call = verify_api_key.call(key=key, requested_scopes=[])
    assert json.loads(call.body or b"")["key"] == CUSTOMERS_KEY
    with Sandbox(api_key=CUSTOMERS_KEY) as sandbox:
        sandbox.misbehave(Fault.status(400, body=CUSTOMERS_KEY.encode()))
        with pytest.raises(OneloopError) as caught:
            kind.respond(call, api_key=key, base_url=sandbox.url)
        assert caught.value.__dict__["body"] == "[redacted]"
        assert kind.perform("get_workspace", {}, api_key=key, base_url=sandbox.url)


def nested(levels: int) -> Any:
    """Return a string inside this many levels of lists."""
    value: Any = "4711"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value", [nested(5000), [["4711"] * 1000] * 1000])
def test_a_secret_argument_of_another_shape_is_refused_at_once(value: Any) -> None:
    """A secret argument that is not a string is refused by its type; its contents are not read."""
    with Oneloop(api_key=KEY) as client, pytest.raises(ArgumentError) as caught:
        client.verify_api_key(key=value, requested_scopes=[])
    assert str(caught.value) == "key must be a string, got a value of type list"
    assert "4711" not in frames_of(caught.value)


def test_secrets_in_a_list_have_the_limit_each() -> None:
    """Each secret of a list must be a string of at most 8,192 characters."""
    encoded = encode_secret(["a", "b"], lambda item: encode_list(item, encode_string))
    assert encoded.reveal() == ["a", "b"]
    with pytest.raises(ArgumentValueError, match="must have at most 8192 characters"):
        encode_secret(["a", "b" * 9000], lambda item: encode_list(item, encode_string))
    hidden = Secret(["a", 4711])
    with pytest.raises(ArgumentError, match=r"\[1\] must be a string$"):
        encode_secret(hidden, lambda item: encode_list(item, encode_string))


def test_a_key_of_digits_in_place_of_a_code_is_left_out(kind: ClientKind) -> None:
    """If a server sends a key of digits as the code of an error, the code is left out."""
    echo = b'{"error": {"code": 123456789012345, "message": "bad"}}'
    with Sandbox() as sandbox:
        sandbox.misbehave(Fault.status(400, body=echo))
        with pytest.raises(OneloopError) as caught:
            kind.perform(
                "verify_api_key",
                {"key": "123456789012345", "requested_scopes": []},
                api_key=KEY,
                base_url=sandbox.url,
            )
    assert "123456789012345" not in f"{caught.value} {attributes_of(caught.value)}"


def test_a_long_secret_as_a_key_of_a_map_is_redacted_whole(kind: ClientKind) -> None:
    """A long secret that is a map key is redacted before the path in the error is shortened."""
    jwt = "header." + "p" * 5000 + ".4711"
    answer = {"status": "VALID", "payload": {jwt: 5}, "exp": 1}
    operation = attrs.evolve(
        an_operation("POST"), decode=lambda parsed: decode_map(parsed["payload"], decode_string)
    )
    call = Call(operation, "/", b"{}", secrets=(Secret(jwt),))
    with Sandbox() as sandbox:
        sandbox.misbehave(Fault.status(200, body=json.dumps(answer).encode()))
        with pytest.raises(ResponseDecodeError) as caught:
            kind.respond(call, api_key=KEY, base_url=sandbox.url)
    assert "pppppppppp" not in f"{caught.value} {caught.value.field} {caught.value.detail}"
    assert caught.value.field == "[redacted]"


def dicts_of(error: BaseException) -> str:
    """Return the `__dict__` of each variable in our frames, as some error reporters show it."""
    seen: list[str] = []
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "/oneloop/" in frame.f_code.co_filename:
            for value in frame.f_locals.values():
                items = value if isinstance(value, list | tuple) else [value]
                seen += [repr(getattr(item, "__dict__", None)) for item in items]
    return " ".join(seen)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.raw(f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode()),
        Fault.status(200, headers={"X-Echo": KEY}, body=b"x" * 2000),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async", "sync-own", "async-own"], indirect=True)
def test_no_frame_has_what_a_server_said(fault: Fault, kind: ClientKind) -> None:
    """No variable of our frames has an attribute with what a server sent."""
    with Sandbox(api_key=KEY) as sandbox:
        sandbox.misbehave(fault, times=3)
        with pytest.raises(OneloopError) as caught:
            kind.refill(api_key=KEY, base_url=sandbox.url, retry=AT_ONCE, max_response_bytes=1000)
    assert KEY not in dicts_of(caught.value)


SHAPED = {
    "a key as a key": {CUSTOMERS_KEY: 1},
    "a line break": {"\n2026 ERROR fake line": 1},
    "an escape sequence": {"\x1b[2J\x1b]0;pwned\x07": 1},
    "a long key": {"k" * 1_000_000: 1},
    "another direction": {"\u202eevil": 1},
}


@pytest.mark.parametrize("shape", SHAPED)
def test_words_of_a_server_in_a_path_are_bounded_printable_and_redacted(
    shape: str, kind: ClientKind, caplog: pytest.LogCaptureFixture
) -> None:
    """A server's map keys are shortened, made printable and redacted in the path of an error."""
    caplog.set_level(logging.DEBUG, "oneloop")
    operation = attrs.evolve(
        an_operation("POST"), decode=lambda parsed: decode_map(parsed, decode_string)
    )
    call = Call(operation, "/", b"{}", secrets=(Secret(CUSTOMERS_KEY),))
    with Sandbox() as sandbox:
        sandbox.misbehave(Fault.status(200, body=json.dumps(SHAPED[shape]).encode()))
        with pytest.raises(ResponseDecodeError) as caught:
            kind.respond(call, api_key=KEY, base_url=sandbox.url)
    error = caught.value
    texts = [str(error), repr(error), error.field, str(error.detail), *error.args, caplog.text[:-1]]
    for text in texts:
        assert text.isprintable() or text is texts[-1]
        assert CUSTOMERS_KEY not in text
        assert len(text) < 3000
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage() == (
        "an_operation: failed: the server answered 200, but not with what the document promises; "
        "outcome applied"
    )


MARKED = b'{"error": {"message": "MARKER"}}'


@pytest.mark.parametrize(
    "fault",
    [
        Fault.raw(b"MARKER garbage\r\n\r\n"),
        Fault.raw(b"HTTP/1.1 200 OK\r\nMARKER garbage\r\n\r\n"),
        Fault.status(200, headers={"Content-Encoding": "MARKER"}, body=b"MARKER"),
        Fault.status(400, headers={"X-Request-Id": "MARKER"}, body=MARKED),
        Fault.status(200, body=b'{"MARKER": MARKER}'),
    ],
)
def test_a_record_has_no_word_of_a_server(
    fault: Fault, kind: ClientKind, caplog: pytest.LogCaptureFixture
) -> None:
    """Log records contain nothing of the status line, the headers or the body from a server."""
    caplog.set_level(logging.DEBUG, "oneloop")
    call = Call(an_operation("GET"), "/")
    with Sandbox() as sandbox:
        sandbox.misbehave(fault, times=3)
        with pytest.raises(OneloopError):
            kind.respond(call, api_key=KEY, base_url=sandbox.url, retry=AT_ONCE)
    assert caplog.records
    assert "MARKER" not in caplog.text


@pytest.mark.parametrize("kind", ["sync-own", "async-own"], indirect=True)
def test_httpx_does_not_log_a_link_token(
    kind: ClientKind, caplog: pytest.LogCaptureFixture
) -> None:
    """The URL that httpx logs at INFO has `{token}` in place of the link token."""
    caplog.set_level(logging.DEBUG)
    with Sandbox() as sandbox:
        with pytest.raises(OneloopError):
            kind.perform(
                "validate_link_token",
                {"token": "ol/CUST_4711_KEY"},
                api_key=sandbox.api_key,
                base_url=sandbox.url,
            )
        assert sandbox.requests[-1].path == "/api/v1/link-token/***"
        url = sandbox.url
    assert "4711" not in caplog.text
    assert f"HTTP Request: GET {url}/api/v1/link-token/{{token}}" in caplog.text


def test_a_request_shows_no_secret_in_a_query_or_header(kind: ClientKind) -> None:
    """Neither the repr of a call nor a frame shows a secret that is sent in a query or a header."""
    secret = Secret(CUSTOMERS_KEY)
    call = Call(
        an_operation("GET"), f"/search?q={CUSTOMERS_KEY}", None, (("X-Key", secret),), (secret,)
    )
    assert CUSTOMERS_KEY not in f"{call!r} {shown(vars(call)) if hasattr(call, '__dict__') else ''}"
    with Sandbox() as sandbox:
        with pytest.raises(OneloopError) as caught:
            kind.respond(call, api_key=sandbox.api_key, base_url=sandbox.url)
        assert sandbox.requests
    assert CUSTOMERS_KEY not in frames_of(caught.value)


def test_a_wrapped_secret_is_not_shown_nor_pickled() -> None:
    """A `Secret` hides its value in its repr, and error reporters cannot pickle it."""
    secret = Secret(KEY)
    assert KEY not in f"{secret} {secret!r}"
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError, match="a secret cannot be pickled"):
        pickle.dumps(secret)
