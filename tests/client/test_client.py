"""How clients are created, configured, shared and closed."""

import asyncio
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from oneloop import (
    APIConnectionError,
    ArgumentError,
    AsyncOneloop,
    AuthenticationError,
    ConfigurationError,
    Oneloop,
    Outcome,
    RetryPolicy,
    __version__,
)
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Limits, Request, Response, TransportError
from tests.calling import AT_ONCE, REFILL, ClientKind


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables that would configure the clients of these tests."""
    for name in ("ONELOOP_SDK_KEY", "ONELOOP_KEY", "ONELOOP_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=[Oneloop, AsyncOneloop])
def client_class(request: pytest.FixtureRequest) -> Any:
    """Return each client class."""
    return request.param


class Recorder:
    """A transport that records the requests and limits that it gets."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.limits: list[Limits] = []
        self.closed = 0

    def sent_by(self, client: Oneloop) -> Request:
        """Return the request that a client with this transport sends for a refill."""
        client.refill_billing_limit(**REFILL)
        return self.requests[-1]

    def send(self, request: Request, limits: Limits) -> Response:
        """Record a request and its limits, and return a response."""
        self.requests.append(request)
        self.limits.append(limits)
        return Response(200, (), b'{"billing": null}')

    def close(self) -> None:
        """Count the calls of this method."""
        self.closed += 1


def sent_with(**options: Any) -> Request:
    """Return the request that a client with these options sends for a refill."""
    recorder = Recorder()
    return recorder.sent_by(Oneloop(**options, transport=recorder))


# The API key


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is read from ONELOOP_SDK_KEY, or else from ONELOOP_KEY."""
    monkeypatch.setenv("ONELOOP_KEY", "sdk_second")
    assert ("Authorization", "Bearer sdk_second") in sent_with().headers
    monkeypatch.setenv("ONELOOP_SDK_KEY", "sdk_first")
    assert ("Authorization", "Bearer sdk_first") in sent_with().headers


def test_an_argument_outweighs_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The `api_key` argument takes precedence over the environment."""
    monkeypatch.setenv("ONELOOP_SDK_KEY", "sdk_environment")
    request = sent_with(api_key="sdk_argument")
    assert ("Authorization", "Bearer sdk_argument") in request.headers


def test_without_a_key_the_error_names_the_remedy(client_class: Any) -> None:
    """Creating a client without a key fails at once, and the error says how to pass one."""
    with pytest.raises(ConfigurationError, match="pass api_key= or set ONELOOP_SDK_KEY"):
        client_class()


def test_an_empty_variable_is_no_key(monkeypatch: pytest.MonkeyPatch, client_class: Any) -> None:
    """An empty ONELOOP_SDK_KEY does not count as a key."""
    monkeypatch.setenv("ONELOOP_SDK_KEY", "")
    with pytest.raises(ConfigurationError, match="there is no API key"):
        client_class()


@pytest.mark.parametrize("key", ["", "a b", "a\n", "schlüssel", 5])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(
    key: Any, client_class: Any
) -> None:
    """A key that cannot be sent in a header is refused, and the error does not show it."""
    with pytest.raises(ConfigurationError) as caught:
        client_class(api_key=key)
    assert not key or str(key) not in str(caught.value)


def test_a_function_gives_the_key_of_each_call(sandbox: Sandbox, kind: ClientKind) -> None:
    """A function as `api_key` is called for each call, so that keys may rotate."""
    keys: Iterator[str] = iter(["wrong", sandbox.api_key])
    options = {"base_url": sandbox.url, "api_key": lambda: next(keys)}
    with pytest.raises(AuthenticationError):
        kind.refill(**options)
    assert kind.refill(**options).billing.total_credits == 1500


def test_an_async_function_gives_the_key_of_the_async_client(sandbox: Sandbox) -> None:
    """The async client accepts an async function as `api_key`, such as a request to a vault."""

    async def key() -> str:
        return sandbox.api_key

    async def main() -> Any:
        async with AsyncOneloop(api_key=key, base_url=sandbox.url) as client:
            return await client.refill_billing_limit(**REFILL)

    assert asyncio.run(main()).billing.total_credits == 1500


def test_an_async_function_needs_the_async_client(sandbox: Sandbox) -> None:
    """The blocking client refuses an async `api_key`, and leaves no unawaited coroutine."""

    async def key() -> str:
        return sandbox.api_key

    with pytest.raises(ConfigurationError, match="which only an async client supports"):
        ClientKind("sync").refill(api_key=key, base_url=sandbox.url)


def test_a_function_that_gives_no_key_is_refused(sandbox: Sandbox, kind: ClientKind) -> None:
    """If the `api_key` function does not return a key, the call fails before anything is sent."""
    with pytest.raises(ConfigurationError, match="api_key must be a non-empty string"):
        kind.refill(api_key=lambda: None, base_url=sandbox.url)
    assert sandbox.requests == ()


# The link token


def test_a_link_token_goes_where_the_vendors_own_ui_puts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A link token is sent in X-Link-Token, and a key in the environment is then not sent."""
    monkeypatch.setenv("ONELOOP_SDK_KEY", "sdk_environment")
    headers = sent_with(link_token="lt_1").headers
    assert ("X-Link-Token", "lt_1") in headers
    assert "authorization" not in {name.lower() for name, _ in headers}


def test_a_client_has_one_credential(client_class: Any) -> None:
    """A client refuses an API key together with a link token, as only one of them can apply."""
    with pytest.raises(ConfigurationError, match="either api_key or link_token, not both"):
        client_class(api_key="sdk", link_token="lt_1")
    with pytest.raises(ConfigurationError, match="either api_key or link_token, not both"):
        client_class(api_key="sdk").with_options(api_key="sdk", link_token="lt_1")


def test_a_link_token_may_come_from_a_function() -> None:
    """A function as `link_token` is called for each call, as link tokens expire soon."""
    tokens = iter(["lt_1", "lt_2"])
    recorder = Recorder()
    client = Oneloop(link_token=lambda: next(tokens), transport=recorder)
    assert ("X-Link-Token", "lt_1") in recorder.sent_by(client).headers
    assert ("X-Link-Token", "lt_2") in recorder.sent_by(client).headers


@pytest.mark.parametrize("token", ["", "a b", "a\n", 5])
def test_a_link_token_that_cannot_be_sent_is_refused(token: Any, client_class: Any) -> None:
    """A link token that cannot be sent is refused, and the error does not show it."""
    with pytest.raises(ConfigurationError, match=r"link_token (must be|contains)") as caught:
        client_class(link_token=token)
    assert not token or repr(token) not in str(caught.value)


def test_with_options_may_change_the_credential() -> None:
    """`with_options` can replace the credential, so that keys and link tokens share connections."""
    recorder = Recorder()
    linked = Oneloop(api_key="sdk", transport=recorder).with_options(link_token="lt_1")
    assert ("X-Link-Token", "lt_1") in recorder.sent_by(linked).headers
    for changed, header in (
        ({"timeout": 1}, ("X-Link-Token", "lt_1")),
        ({"api_key": "b"}, ("Authorization", "Bearer b")),
    ):
        assert header in recorder.sent_by(linked.with_options(**changed)).headers  # type: ignore[arg-type]


# The base URL


def test_the_scheme_of_the_base_url_may_be_in_capitals() -> None:
    """The scheme of the base URL may be in capitals, and is converted to lower case."""
    client = Oneloop(api_key="sdk", base_url="HTTPS://api/V1/")
    assert repr(client) == "Oneloop(base_url='https://api/V1')"


def test_the_base_url_is_the_documents() -> None:
    """Without a `base_url`, calls go to the server that the API document names."""
    request = sent_with(api_key="sdk")
    assert request.url == "https://prod.oneloop.ai/api/v1/customer-billing/refill"


def test_the_base_url_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONELOOP_BASE_URL sets the base URL, so that an application can be pointed at a sandbox."""
    monkeypatch.setenv("ONELOOP_BASE_URL", "http://127.0.0.1:1/base/")
    request = sent_with(api_key="sdk")
    assert request.url == "http://127.0.0.1:1/base/api/v1/customer-billing/refill"


SHOWN = [
    "https://",
    "http://a:b",
    "http://[::1",
    "http://a",
    "http://128.0.0.1",
    "http://127.evil.test",
    "http://localhost.evil.test",
    "http://evil.test[::1]",
    "http://[::1]evil.test",
    "http://[::1]:evil.test",
    "http://[127.0.0.1]",
    "http://[localhost]",
    "http://[::ffff:10.0.0.1]",
    "http://[::1::]",
    "http://::1",
    "https://x..example",
    "https://.example",
    "https://example.",
    "http://localhost.",
    "https://-a.test",
    "https://a-.test",
    "https://a:0",
    "https://a:65536",
    "https://a:080",
    "https://a:",
    "https://a:1:2",
    "https://127.0.0.256",
    "http://127.1",
    "http://127.0.0.01",
    "http://2130706433",
    "https://0x7f000001",
    "https://a.0x7f",
    "https:///a",
    "http:///127.0.0.1",
]
"""URLs that are refused as a base URL, invalid or plain HTTP, and contain no secret."""


@pytest.mark.parametrize("url", SHOWN)
def test_a_base_url_that_cannot_be_meant_is_refused(url: str, client_class: Any) -> None:
    """A base URL with an invalid host or port, or plain HTTP to another machine, is refused."""
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        client_class(api_key="sdk", base_url=url)
    assert repr(url) in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "sk_s3cret",
        "s3cret.example",
        "",
        "ftp://s3cret",
        "//s3cret",
        "s3cret://a",
        b"https://s3cret",
        5,
        "https://u:s3cret@a",
        "https://s3cret@a",
        "http://127.0.0.1:80@s3cret",
        "https://a/@s3cret",
        "https://u:s3cret%40a",
        "https://u:s3cret\N{FULLWIDTH COMMERCIAL AT}a",
        "https:\\\\u:s3cret@a",
        "https://a\\@s3cret",
        "http://127.0.0.1\\.s3cret",
        "https:/\t/u:s3cret",
        "ht\ttps://s3cret",
        "https://a\ts3cret",
        "https://a\n/s3cret",
        "https://a/\n",
        " https://s3cret",
        "https://a s3cret/",
        "https://s3cret%2e.test",
        "http://[::1%25s3cret]",
        "http://[fe80::1%s3cret]",
        "https://a/%s3cret",
        "https://a/s3cr\u00e9t",
        "https://s3cret\N{IDEOGRAPHIC FULL STOP}test",
        "https://u:s3cret@a?b#c",
        "https://a?b=u:s3cret@c",
    ],
)
def test_a_base_url_that_may_hold_a_secret_is_refused_and_not_shown(
    url: Any, client_class: Any
) -> None:
    """A base URL that may contain a password or key, in any spelling, is refused and not shown."""
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        client_class(api_key="sdk", base_url=url, allow_http=True)
    assert "s3cr" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url", ["https://a?s3cret", "https://a/b#s3cret", "https://a?", "https://a#"]
)
def test_the_query_of_a_base_url_is_refused_and_not_shown(url: str, client_class: Any) -> None:
    """A query or fragment in the base URL is refused and not shown, as it may be a signature."""
    with pytest.raises(ConfigurationError, match="query or fragment: 'https://a") as caught:
        client_class(api_key="sdk", base_url=url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://api",
        "https://my_service:65535",
        "HTTPS://API.Example-1.test/a/v1.0/~b/%7Ec/x=1,2;d:e/",
        "https://xn--bcher-kva.example",
        "https://10.255.199.0:1",
        "https://a.1b",
        "https://[2001:DB8::1]:443/x",
        "https://[::ffff:10.0.0.1]",
        "https://1.2.3.4.example",
        "https://a/b//c",
    ],
)
def test_a_base_url_may_have_any_host_and_path(url: str, client_class: Any) -> None:
    """A base URL may have any host and path that RFC 3986 allows."""
    client = client_class(api_key="sdk", base_url=url)
    kept = "https" + url[5:].rstrip("/")
    assert repr(client) == f"{client_class.__name__}(base_url={kept!r})"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:1",
        "http://LocalHost",
        "http://127.0.0.1",
        "http://127.1.2.3",
        "http://[::1]:8787",
        "http://[0:0:0:0:0:0:0:1]",
        "http://[::ffff:127.0.0.1]",
        "http://[::FFFF:7f00:1]/a",
    ],
)
def test_plain_http_is_allowed_on_this_machine(url: str, client_class: Any) -> None:
    """Plain HTTP is allowed for loopback addresses, as sandboxes use it."""
    assert url in repr(client_class(api_key="sdk", base_url=url))


def test_plain_http_is_allowed_if_asked_for(client_class: Any) -> None:
    """`allow_http=True` allows plain HTTP to another machine, such as within a cluster."""
    assert "http://api" in repr(client_class(api_key="sdk", base_url="http://api", allow_http=True))


# Headers and other settings


def test_each_request_says_who_sends_it_and_what_it_takes() -> None:
    """Requests have a User-Agent with the version, ask for JSON, and accept gzip and deflate."""
    headers = dict(sent_with(api_key="sdk").headers)
    agent = rf"oneloop/{re.escape(__version__)} spec/[0-9a-f]{{8}} Python/3\.[\w.+]+"
    assert re.fullmatch(agent, headers["User-Agent"])
    assert headers["Accept"] == "application/json"
    assert headers["Accept-Encoding"] == "gzip, deflate"
    assert headers["Content-Type"] == "application/json"


def test_headers_are_added_and_may_replace_the_user_agent() -> None:
    """`headers` are added to each request, and replace the User-Agent in any capitalization."""
    headers = sent_with(api_key="sdk", headers={"user-agent": "mine", "X-Team": "a"}).headers
    assert ("user-agent", "mine") in headers
    assert ("X-Team", "a") in headers
    assert [name.lower() for name, _ in headers].count("user-agent") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "x"},
        {"host": "x"},
        {"Content-Length": "1"},
        {"X-A": "a\r\nX-B: b"},
        {"X-A": "ü"},
        {"": "x"},
        {"X A": "x"},
        {"X-A:": "x"},
        {"X-A": " padded "},
        {"X-A": None},
        {5: "x"},
        {"Transfer-Encoding": "chunked"},
        [("X-A", "x")],
        "X-A",
    ],
)
def test_a_header_that_must_not_be_sent_is_refused(headers: Any, client_class: Any) -> None:
    """Headers that the client sets itself, and headers that are malformed, are refused."""
    with pytest.raises(ConfigurationError, match="headers must"):
        client_class(api_key="sdk", headers=headers)


@pytest.mark.parametrize("value", ["s3cret\n", "s3cr\u00e9t", " s3cret", b"s3cret", ["s3cret"]])
def test_a_bad_value_of_a_header_is_blamed_on_the_value_and_not_shown(
    value: Any, client_class: Any
) -> None:
    """The error for an invalid header value shows the header's name, but not the value."""
    with pytest.raises(ConfigurationError, match="that of 'X-Team' is not valid") as caught:
        client_class(api_key="sdk", headers={"X-Other": "fine", "X-Team": value})
    assert "s3cr" not in str(caught.value)


@pytest.mark.parametrize("name", ["X-Team: s3cret", "X-Team\r\nX: s3cret", b"X-Team: s3cret"])
def test_a_bad_name_of_a_header_is_shown_up_to_where_it_goes_wrong(
    name: Any, client_class: Any
) -> None:
    """The error shows an invalid header name only up to its first invalid character."""
    with pytest.raises(ConfigurationError, match="headers must have names") as caught:
        client_class(api_key="sdk", headers={name: "x"})
    assert "s3cret" not in str(caught.value)
    assert isinstance(name, bytes) or "'X-Team...'" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"retry": 3}, "retry"),
        ({"max_response_bytes": 0}, "max_response_bytes"),
        ({"allow_http": "no"}, "allow_http"),
        ({"http_client": object()}, "http_client must be an httpx"),
        ({"max_response_bytes": True}, "max_response_bytes"),
        ({"transport": Recorder(), "http_client": httpx.Client()}, "transport or http_client"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_by_name(
    options: dict[str, Any], name: str, client_class: Any
) -> None:
    """Creating a client with an invalid setting fails, and the error names the setting."""
    with pytest.raises(ConfigurationError, match=name):
        client_class(api_key="sdk", **options)


def test_a_timeout_of_the_wrong_kind_is_refused_by_name(client_class: Any) -> None:
    """A timeout of 0 is refused by an error that names the setting."""
    with pytest.raises(
        ArgumentError, match=r"^timeout must be greater than 0, got 0; None means no limit$"
    ):
        client_class(api_key="sdk", timeout=0)


# with_options and with_response


def test_with_options_changes_a_copy_and_shares_the_connections() -> None:
    """`with_options` returns a changed copy with the same transport; the original is unchanged."""
    recorder = Recorder()
    client = Oneloop(api_key="sdk", transport=recorder)
    other = client.with_options(
        api_key="sdk_2",
        timeout=3,
        retry=RetryPolicy(budget=None),
        headers={"X-Team": "b"},
        max_response_bytes=5,
    )
    headers = recorder.sent_by(other).headers
    assert ("X-Team", "b") in headers
    assert ("Authorization", "Bearer sdk_2") in headers
    assert ("Authorization", "Bearer sdk") in recorder.sent_by(client).headers
    changed, unchanged = recorder.limits
    assert changed == Limits(connect=3, read=3, total=None, body=5)
    assert (unchanged.connect, unchanged.read, unchanged.body) == (5, 30, 10 * 1024 * 1024)
    assert unchanged.total is not None


def test_with_options_keeps_what_it_is_not_told_to_change() -> None:
    """`with_options` without arguments changes nothing."""
    recorder = Recorder()
    policy = RetryPolicy(budget=None)
    client = Oneloop(api_key="sdk", transport=recorder, timeout=7, retry=policy)
    assert recorder.sent_by(client.with_options()) == recorder.sent_by(client)
    assert recorder.limits[0] == recorder.limits[1] == (7, 7, None, 10 * 1024 * 1024)


def test_closing_a_copy_leaves_the_connections_to_the_original() -> None:
    """Closing a copy from `with_options` does not close the transport of the original."""
    recorder = Recorder()
    client = Oneloop(api_key="sdk", transport=recorder)
    with client.with_options(timeout=1):
        pass
    assert recorder.closed == 0
    client.close()
    assert recorder.closed == 1


def test_closing_an_async_copy_leaves_the_connections_to_the_original(sandbox: Sandbox) -> None:
    """Closing an async copy from `with_options` does not close the connections of the original."""

    async def main() -> None:
        async with AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            async with client.with_options(timeout=1) as copy:
                await copy.refill_billing_limit(**REFILL)
            await client.refill_billing_limit(**REFILL)

    asyncio.run(main())
    assert len(sandbox.requests) == 2


def test_with_response_tells_what_came_around_the_answer(sandbox: Sandbox) -> None:
    """`with_response` returns the status, headers, attempts and time along with the result."""
    sandbox.misbehave(Fault.rate_limited(0))
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        response = client.with_response.refill_billing_limit(**REFILL)
    assert response.parsed.billing is not None
    assert response.parsed.billing.total_credits == 1500
    assert response.status == 200
    assert response.headers["content-type"].startswith("application/json")
    assert response.attempts == 2
    assert 0 < response.elapsed < 10


def test_with_response_of_the_async_client(sandbox: Sandbox) -> None:
    """`with_response` of the async client returns the status and attempts along with the result."""

    async def main() -> Any:
        async with AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            return await client.with_response.refill_billing_limit(**REFILL)

    response = asyncio.run(main())
    assert (response.status, response.attempts) == (200, 1)
    assert response.parsed.billing.total_credits == 1500


# Sharing and closing


def test_a_closed_client_refuses_calls(sandbox: Sandbox, kind: ClientKind) -> None:
    """A call of a closed client fails with `NOT_SENT`, and a client may be closed twice."""
    options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}

    async def main() -> None:
        client = kind.client(**options)
        await client.refill_billing_limit(**REFILL)
        await client.aclose()
        await client.aclose()
        await client.refill_billing_limit(**REFILL)

    def call_closed() -> None:
        client = kind.client(**options)
        client.refill_billing_limit(**REFILL)
        client.close()
        client.close()
        client.refill_billing_limit(**REFILL)

    with pytest.raises(APIConnectionError, match="the client is closed") as caught:
        call_closed() if kind.name == "sync" else asyncio.run(main())
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.attempts == 1
    assert len(sandbox.requests) == 1


def test_threads_share_a_client(sandbox: Sandbox) -> None:
    """Threads share one client, and each refill is applied exactly once."""
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:

        def refill() -> None:
            for _ in range(5):
                client.refill_billing_limit(**{**REFILL, "refill": 1})

        threads = [threading.Thread(target=refill) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    meter = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    assert meter.total_credits == 1000 + 16 * 5


def test_tasks_share_a_client(sandbox: Sandbox) -> None:
    """Tasks share one async client, and each refill is applied exactly once."""

    async def main() -> None:
        async with AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            await asyncio.gather(
                *(client.refill_billing_limit(**{**REFILL, "refill": 1}) for _ in range(50))
            )

    asyncio.run(main())
    meter = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    assert meter.total_credits == 1050


def test_a_client_works_in_a_second_event_loop(sandbox: Sandbox) -> None:
    """An async client can be used in a second event loop, with separate connections."""
    client = AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url)

    async def refill(*, last: bool) -> None:
        await client.refill_billing_limit(**REFILL)
        if last:
            await client.aclose()

    asyncio.run(refill(last=False))
    asyncio.run(refill(last=True))
    assert len(sandbox.requests) == 2


FORK = """
import asyncio, os, sys
from oneloop import AsyncOneloop, Oneloop

arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 1}

def blocking():
    with Oneloop() as client:
        client.refill_billing_limit(**arguments)
        child = os.fork()
        for _ in range(5):
            client.refill_billing_limit(**arguments)
        return child

async def in_a_loop(client, times):
    for _ in range(times):
        await client.refill_billing_limit(**arguments)

def in_loops():
    client = AsyncOneloop()
    asyncio.run(in_a_loop(client, 1))
    child = os.fork()
    asyncio.run(in_a_loop(client, 5))
    return child

child = blocking() if sys.argv[1] == "sync" else in_loops()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
def test_a_client_works_after_a_fork(sandbox: Sandbox, kind: ClientKind) -> None:
    """After a fork, parent and child can use the same client, each with connections of its own."""
    environment = {
        **os.environ,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_BASE_URL": sandbox.url,
    }
    # The parent's sockets stay open in the child, as a library cannot close them safely.
    warnings = ["-W", "error", "-W", "ignore::ResourceWarning"]
    program = [sys.executable, *warnings, "-c", FORK, kind.name]
    result = subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    meter = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    assert meter.total_credits == 1000 + 1 + 5 + 5


def test_a_client_cannot_be_pickled(client_class: Any) -> None:
    """A client cannot be pickled, as the pickle would contain the key."""
    with pytest.raises(TypeError, match="make one in each process"):
        pickle.dumps(client_class(api_key="sdk"))


# Custom transports


def test_an_own_httpx_client_is_used_and_left_open(sandbox: Sandbox) -> None:
    """An httpx client that the application passes is used, and is not closed."""
    with httpx.Client(headers={"X-Ignored": "1"}) as own:
        for _ in range(2):
            with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, http_client=own) as client:
                client.refill_billing_limit(**REFILL)
        assert not own.is_closed
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize("close", ["ours", "theirs"])
@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
def test_nothing_is_sent_with_a_client_that_is_closed(
    close: str, sandbox: Sandbox, kind: ClientKind
) -> None:
    """A call fails with `NOT_SENT` if our client or the application's httpx client is closed."""
    options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}

    def blocking() -> None:
        with httpx.Client() as own:
            client = Oneloop(**options, http_client=own)
            client.close() if close == "ours" else own.close()
            client.refill_billing_limit(**REFILL)

    async def with_tasks() -> None:
        async with httpx.AsyncClient() as own:
            client = AsyncOneloop(**options, http_client=own)
            await (client.aclose() if close == "ours" else own.aclose())
            await client.refill_billing_limit(**REFILL)

    with pytest.raises(APIConnectionError, match="the client is closed") as caught:
        blocking() if kind.name == "sync" else asyncio.run(with_tasks())
    assert caught.value.outcome is Outcome.NOT_SENT
    assert sandbox.requests == ()


def test_an_own_clients_authentication_does_not_replace_the_key(sandbox: Sandbox) -> None:
    """Authentication of the application's httpx client does not replace our API key."""
    with (
        httpx.Client(auth=("user", "password")) as own,
        Oneloop(api_key=sandbox.api_key, base_url=sandbox.url, http_client=own) as client,
    ):
        client.refill_billing_limit(**REFILL)
    assert sandbox.requests[0].status == 200


def test_an_own_async_httpx_client_is_used_and_left_open(sandbox: Sandbox) -> None:
    """An async httpx client that the application passes is used, and is not closed."""

    async def main() -> None:
        async with httpx.AsyncClient() as own:
            for _ in range(2):
                async with AsyncOneloop(
                    api_key=sandbox.api_key, base_url=sandbox.url, http_client=own
                ) as client:
                    await client.refill_billing_limit(**REFILL)
            assert not own.is_closed

    asyncio.run(main())
    assert len(sandbox.requests) == 2


def test_an_own_transport_is_used_and_closed() -> None:
    """A custom transport (any object with `send` and `close`) is used and closed."""
    recorder = Recorder()
    with Oneloop(api_key="sdk", transport=recorder) as client:
        assert client.refill_billing_limit(**REFILL).billing is None
    assert len(recorder.requests) == 1
    assert recorder.closed == 1


class Broken:
    """A blocking transport that raises the given exception."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def send(self, request: Request, limits: Limits) -> Response:
        """Raise the exception."""
        raise self.error

    def close(self) -> None:
        """Do nothing."""


class AsyncBroken(Broken):
    """An async transport that raises the given exception."""

    async def send(self, request: Request, limits: Limits) -> Response:  # type: ignore[override]
        """Raise the exception."""
        raise self.error

    async def aclose(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
def test_what_a_transport_raises_does_not_escape(kind: ClientKind) -> None:
    """An unexpected exception of a transport becomes an error with an unknown outcome."""
    transport = (Broken if kind.name == "sync" else AsyncBroken)(RuntimeError("my bug"))
    with pytest.raises(
        APIConnectionError, match=r"the transport raised RuntimeError \(my bug\)"
    ) as caught:
        kind.refill(api_key="sdk", transport=transport, retry=AT_ONCE)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", ["sync", "async"], indirect=True)
def test_a_transport_may_say_that_trying_again_is_in_vain(kind: ClientKind) -> None:
    """A `TransportError` with `passing=False` is not retried."""
    error = TransportError("no way", sent=False, passing=False)
    transport = (Broken if kind.name == "sync" else AsyncBroken)(error)
    with pytest.raises(APIConnectionError, match="no way") as caught:
        kind.refill(api_key="sdk", transport=transport, retry=AT_ONCE)
    assert caught.value.attempts == 1
