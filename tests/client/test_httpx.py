"""`transport="httpx"`, the arguments for connections, and clients of httpx2."""

import asyncio
import gc
import importlib
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import trio

from oneloop import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AsyncOneloop,
    ConfigurationError,
    NotFoundError,
    Oneloop,
    Outcome,
    RetryPolicy,
    ServerError,
    Timeout,
)
from oneloop._http import _httpx, _tls
from oneloop.sandbox import Fault, Sandbox
from tests.calling import AT_ONCE, REFILL, SLACK
from tests.client.alarms import alarm
from tests.tools.failures import authority, read_request, talking

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"billing": null}'

BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def refilled(is_async: bool, **options: Any) -> Any:
    """Refill a meter with a new client, by default one with a plain httpx client."""
    if "http_client" not in options:
        options = {"transport": "httpx", **options}
    options = {"api_key": "sdk", "retry": AT_ONCE, **options}
    if not is_async:
        with Oneloop(**options) as client:
            return client.with_response.refill_billing_limit(**REFILL)

    async def main() -> Any:
        async with AsyncOneloop(**options) as client:
            return await client.with_response.refill_billing_limit(**REFILL)

    return asyncio.run(main())


def failed(is_async: bool, **options: Any) -> APIError:
    """Return the error in which a refill ends."""
    with pytest.raises(APIError) as caught:
        refilled(is_async, **options)
    return caught.value


@contextmanager
def tls_server(answer: bytes = ANSWER) -> Iterator[Any]:
    """Answer each request over TLS, with a certificate of the tests' authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert("127.0.0.1").configure_cert(context)

    def talk(connection: Any) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            while read_request(secure):
                secure.sendall(answer)

    with talking(talk, "https") as server:
        yield server


def trusting() -> ssl.SSLContext:
    """Return a context that trusts the tests' authority."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Trust the tests' authority by means of the environment."""
    authority().cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


# A plain client


def clients_made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows with each client of httpx that is made."""
    made: list[Any] = []

    class Client(httpx.Client):
        def __init__(self, **arguments: Any) -> None:
            made.append(self)
            super().__init__(**arguments)

    class AsyncClient(httpx.AsyncClient):
        def __init__(self, **arguments: Any) -> None:
            made.append(self)
            super().__init__(**arguments)

    monkeypatch.setattr(httpx, "Client", Client)
    monkeypatch.setattr(httpx, "AsyncClient", AsyncClient)
    return made


@BOTH
def test_a_plain_client_sends_the_calls(
    is_async: bool,
    sandbox: Sandbox,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With `transport="httpx"`, one plain httpx client is made and sends all calls."""
    made = clients_made(monkeypatch)
    client: Any = (AsyncOneloop if is_async else Oneloop)(**options, transport="httpx")
    assert not made

    async def main() -> None:
        for _ in range(2):
            await client.refill_billing_limit(**REFILL)
        await client.aclose()

    if is_async:
        asyncio.run(main())
    else:
        for _ in range(2):
            client.refill_billing_limit(**REFILL)
        client.close()
    assert len(made) == 1
    assert made[0].is_closed
    assert not made[0].trust_env
    assert [request.status for request in sandbox.requests] == [200, 200]


@BOTH
def test_a_plain_client_tells_the_outcome(is_async: bool, sandbox: Sandbox) -> None:
    """The outcomes are those of the default transport: a lost refill is not sent again."""
    options = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    sandbox.misbehave("drop-after")
    assert failed(is_async, **options).outcome is Outcome.UNKNOWN
    sandbox.misbehave(Fault.status(500))
    assert isinstance(failed(is_async, **options), ServerError)
    error = failed(is_async, api_key="sdk", base_url="http://127.0.0.1:9")
    assert (error.outcome, error.attempts) == (Outcome.NOT_SENT, 3)
    assert len(sandbox.requests) == 2


def test_a_closed_plain_client_refuses_calls(sandbox: Sandbox, options: dict[str, Any]) -> None:
    """A closed client refuses calls, whether or not it was used; it may be closed twice."""
    for uses in (0, 1):
        client = Oneloop(**options, transport="httpx")
        for _ in range(uses):
            client.refill_billing_limit(**REFILL)
        client.close()
        client.close()
        with pytest.raises(APIConnectionError, match="the client is closed") as caught:
            client.refill_billing_limit(**REFILL)
        assert caught.value.outcome is Outcome.NOT_SENT
    assert len(sandbox.requests) == 1


def test_a_plain_async_client_is_closed_in_one_event_loop(
    sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """`aclose` refuses calls in that event loop, and the client can be used in another."""
    client = AsyncOneloop(**options, transport="httpx")

    async def main(uses: int) -> None:
        for _ in range(uses):
            await client.refill_billing_limit(**REFILL)
        await client.aclose()
        await client.aclose()
        with pytest.raises(APIConnectionError, match="the client is closed"):
            await client.refill_billing_limit(**REFILL)

    for uses in (0, 1, 1):
        asyncio.run(main(uses))
    assert len(sandbox.requests) == 2


def test_the_client_of_a_closed_event_loop_leaves_nothing_open(
    sandbox: Sandbox, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of `asyncio.run` the connections are closed, although nobody called `aclose`."""
    made = clients_made(monkeypatch)
    client = AsyncOneloop(**options, transport="httpx")

    async def main() -> int:
        await asyncio.gather(*(client.refill_billing_limit(**REFILL) for _ in range(3)))
        return len(made)

    assert [asyncio.run(main()) for _ in range(3)] == [1, 2, 3]
    assert all(one.is_closed for one in made)
    gc.collect()  # a socket that is still open would be a ResourceWarning, which fails the test
    assert len(sandbox.requests) == 9


@contextmanager
def holding() -> Iterator[tuple[Any, threading.Event, threading.Event]]:
    """Serve; yield events for the arrival of a request and for its answer, which waits for that."""
    arrived, release = threading.Event(), threading.Event()

    def talk(connection: Any) -> None:
        read_request(connection)
        arrived.set()
        release.wait(10)
        connection.sendall(ANSWER)

    with talking(talk) as server:
        yield server, arrived, release


def test_closing_lets_calls_in_flight_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """`close` during a call does not end the call, whose answer arrives; then all is closed."""
    made = clients_made(monkeypatch)
    with holding() as (server, arrived, release):
        client = Oneloop(api_key="sdk", base_url=server.url, transport="httpx")
        answers: list[Any] = []
        thread = threading.Thread(
            target=lambda: answers.append(client.refill_billing_limit(**REFILL))
        )
        thread.start()
        arrived.wait(10)
        client.close()
        (used,) = made
        assert not used.is_closed
        release.set()
        thread.join()
        assert used.is_closed
    assert answers[0].billing is None


def test_closing_while_the_client_is_made_refuses_the_call(
    sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A call that finds its client closed, once that has been made in a thread, is NOT_SENT."""

    async def main() -> None:
        client = AsyncOneloop(**options, transport="httpx")
        call = asyncio.create_task(client.refill_billing_limit(**REFILL))
        await asyncio.sleep(0)  # the call begins, and waits for the thread
        await client.aclose()
        with pytest.raises(APIConnectionError, match="the client is closed") as caught:
            await call
        assert caught.value.outcome is Outcome.NOT_SENT

    asyncio.run(main())
    assert sandbox.requests == ()


def test_closing_lets_async_calls_in_flight_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for `aclose`."""
    made = clients_made(monkeypatch)

    async def main(url: str, arrived: threading.Event, release: threading.Event) -> None:
        client = AsyncOneloop(api_key="sdk", base_url=url, transport="httpx")
        call = asyncio.create_task(client.refill_billing_limit(**REFILL))
        await asyncio.to_thread(arrived.wait, 10)
        await client.aclose()
        (used,) = made
        assert not used.is_closed
        release.set()
        assert (await call).billing is None
        assert used.is_closed

    with holding() as (server, *events):
        asyncio.run(main(server.url, *events))


FORK = """
import os, sys
import httpx
from oneloop import Oneloop

made = []

class Client(httpx.Client):
    def __init__(self, **arguments):
        made.append(self)
        super().__init__(**arguments)

httpx.Client = Client
arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 1}
client = Oneloop(api_key=sys.argv[1], base_url=sys.argv[2], transport="httpx")
client.refill_billing_limit(**arguments)
pid = os.fork()
client.refill_billing_limit(**arguments)
assert len(made) == (1 if pid else 2)
client.close()
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="Windows cannot fork")
def test_a_forked_process_makes_a_client_of_its_own(sandbox: Sandbox) -> None:
    """A child does not send over its parent's connections."""
    program = [sys.executable, "-c", FORK, sandbox.api_key, sandbox.url]
    subprocess.run(program, check=True)
    assert sandbox.meter(workspace_id="ws_1", external_meter_id="acme").total_credits == 1003


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="Windows has no alarms")
@BOTH
def test_what_a_signal_handler_raises_reaches_the_caller(is_async: bool, sandbox: Sandbox) -> None:
    """A soft time limit during a call reaches the caller, and no further attempt is made."""

    class SoftTimeLimitError(Exception):
        pass

    def expire(*_: object) -> None:
        raise SoftTimeLimitError

    sandbox.misbehave("hang")
    with (
        alarm(expire, lambda: sandbox.requests),
        pytest.raises(SoftTimeLimitError) as caught,
    ):
        refilled(is_async, api_key=sandbox.api_key, base_url=sandbox.url)
    if not is_async:  # in asyncio, the handler runs in the event loop, and not in the call
        assert "it may have happened" in caught.value.__notes__[0]
    assert len(sandbox.requests) == 1


@BOTH
@pytest.mark.xfail(
    strict=True, reason="httpcore keeps what it has read, and has no interface for it"
)
def test_an_answer_too_many_is_not_taken_for_the_next_one(is_async: bool) -> None:
    """docs/httpx.md states this limit; once this test passes, it need not."""
    seen: list[str] = []

    def talk(connection: Any) -> None:
        while read_request(connection):
            number = len(seen)
            answer = ANSWER.replace(b"OK\r\n", b"OK\r\nX-Number: %d\r\n" % number)
            connection.sendall(answer if number else answer * 2)

    def add(response: Any) -> None:
        seen.append(response.headers["x-number"])

    async def main(url: str) -> None:
        async with AsyncOneloop(api_key="sdk", base_url=url, transport="httpx") as client:
            for _ in range(2):
                add(await client.with_response.refill_billing_limit(**REFILL))

    with talking(talk) as server:
        if is_async:
            asyncio.run(main(server.url))
        else:
            with Oneloop(api_key="sdk", base_url=server.url, transport="httpx") as client:
                for _ in range(2):
                    add(client.with_response.refill_billing_limit(**REFILL))
    assert seen[1] == "1"


# What the environment says


@BOTH
@pytest.mark.usefixtures("trusted")
def test_a_plain_client_trusts_whom_the_environment_names(is_async: bool) -> None:
    """The certificates of `SSL_CERT_FILE` are used."""
    with tls_server() as server:
        assert refilled(is_async, base_url=server.url).status == 200


@BOTH
def test_a_certificate_of_an_unknown_authority_is_final(is_async: bool) -> None:
    """A call whose server has a certificate that is not trusted is NOT_SENT, after one attempt."""
    with tls_server() as server:
        error = failed(is_async, base_url=server.url)
    assert (error.outcome, error.attempts) == (Outcome.NOT_SENT, 1)


@BOTH
def test_a_context_of_the_application_is_used(is_async: bool) -> None:
    """`ssl_context` decides whom a plain client trusts."""
    with tls_server() as server:
        assert refilled(is_async, base_url=server.url, ssl_context=trusting()).status == 200


@pytest.mark.usefixtures("trusted")
def test_certificates_are_loaded_outside_of_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first call over https reads the certificates in a thread; later calls find them read."""
    load, threads = _tls.client_context, []

    def loading() -> ssl.SSLContext:
        if not _tls.is_loaded():
            threads.append(threading.current_thread())
        return load()

    monkeypatch.setattr(_tls, "client_context", loading)
    with tls_server() as server:
        for _ in range(2):
            assert refilled(True, base_url=server.url).status == 200
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


@BOTH
def test_certificates_that_cannot_be_read_are_not_sent(
    is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If `SSL_CERT_FILE` names no file, the error names both, and nothing is sent."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/authority.pem")
    error = failed(is_async, base_url="https://oneloop.invalid")
    assert (error.outcome, error.attempts) == (Outcome.NOT_SENT, 1)
    assert "SSL_CERT_FILE" in str(error)
    assert "/nowhere/authority.pem" in str(error)


@BOTH
@pytest.mark.parametrize("status", [403, 407])
def test_a_proxy_with_tls_is_used_and_its_refusal_is_final(
    status: int, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment is used, over TLS too; after 403 or 407 it is not asked again."""
    with tls_server(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = failed(is_async, base_url="https://oneloop.invalid", ssl_context=trusting())
    assert proxy.sends() == 1
    assert "the proxy refused" in str(error)
    assert (error.outcome, error.attempts) == (Outcome.NOT_SENT, 1)


@BOTH
def test_the_default_transport_leaves_a_proxy_with_tls_to_httpx(
    is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `transport="httpx"`, calls go through a proxy with TLS as well, in any event loop."""
    with tls_server(ANSWER) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        options: dict[str, Any] = {
            "api_key": "sdk",
            "base_url": "http://oneloop.invalid",
            "allow_http": True,
            "ssl_context": trusting(),
        }
        if is_async:
            client = AsyncOneloop(**options)
            for _ in range(2):  # each loop has a client of its own, which ends with it
                asyncio.run(client.refill_billing_limit(**REFILL))
        else:
            with Oneloop(**options) as blocking:
                for _ in range(2):
                    blocking.refill_billing_limit(**REFILL)
    assert proxy.sends() >= 1


@BOTH
def test_a_proxy_without_tls_is_used(is_async: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy for http gets the whole URL."""
    seen: list[bytes] = []

    def talk(connection: Any) -> None:
        seen.append(read_request(connection))
        connection.sendall(ANSWER)

    with talking(talk) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        refilled(is_async, base_url="http://oneloop.invalid", allow_http=True)
    assert seen[0].startswith(b"POST http://oneloop.invalid/api/v1/customer-billing/refill HTTP")


@BOTH
def test_a_proxy_that_httpx_cannot_use_is_not_sent(
    is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If httpx lacks what it needs for a SOCKS proxy, its advice is the detail of the error."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://user:4711-secret@127.0.0.1:1")
    error = failed(is_async, base_url="https://oneloop.invalid")
    assert (error.outcome, error.attempts) == (Outcome.NOT_SENT, 1)
    assert "httpx[socks]" in str(error)
    assert "4711" not in str(error)
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1")
    assert "ALL_PROXY" in str(failed(is_async, base_url="https://oneloop.invalid"))


# Nothing is sent


def test_under_trio_nothing_is_sent() -> None:
    """Under trio, a call is NOT_SENT, and the error says what is needed."""

    async def main(options: dict[str, Any]) -> None:
        await AsyncOneloop(api_key="sdk", **options).refill_billing_limit(**REFILL)

    for options in ({"transport": "httpx"}, {"http_client": httpx.AsyncClient()}):
        with pytest.raises(APIConnectionError, match="needs a running event loop of asyncio") as (
            caught
        ):
            trio.run(main, options)
        assert (caught.value.outcome, caught.value.attempts) == (Outcome.NOT_SENT, 1)


@pytest.mark.parametrize("via", ["http", "https"])
@pytest.mark.usefixtures("trusted")
def test_without_a_thread_nothing_is_sent(via: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no thread can be started, to look up a name or to read certificates, it is NOT_SENT."""

    def no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> APIError:
        url = f"{via}://oneloop.invalid"
        options = {"api_key": "sdk", "retry": AT_ONCE, "base_url": url, "allow_http": True}
        with monkeypatch.context() as patch:  # asyncio.run starts a thread when it ends
            patch.setattr(threading.Thread, "start", no_thread)
            async with AsyncOneloop(**options, transport="httpx") as client:
                with pytest.raises(APIConnectionError) as caught:
                    await client.refill_billing_limit(**REFILL)
        return caught.value

    error = asyncio.run(main())
    assert (error.outcome, error.attempts) == (Outcome.NOT_SENT, 3)
    assert "can't start new thread" in str(error)


def test_if_all_threads_are_busy_the_limit_holds() -> None:
    """A call for which no thread of the event loop becomes free is NOT_SENT, in time."""
    release = threading.Event()

    async def main() -> APIError:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, release.wait, 20)
        options: dict[str, Any] = {"timeout": 0.2, "retry": RetryPolicy(attempts=1)}
        async with AsyncOneloop(api_key="sdk", transport="httpx", **options) as client:
            with pytest.raises(APITimeoutError, match="no connection in time") as caught:
                await client.refill_billing_limit(**REFILL)
        release.set()
        await busy
        return caught.value

    error = asyncio.run(main())
    assert error.outcome is Outcome.NOT_SENT
    assert error.elapsed < 0.2 + SLACK


def test_tasks_that_begin_at_once_share_one_client(
    sandbox: Sandbox, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many tasks begin at once, one client is made for them."""
    made = clients_made(monkeypatch)

    async def main() -> None:
        async with AsyncOneloop(**options, transport="httpx") as client:
            await asyncio.gather(*(client.refill_billing_limit(**REFILL) for _ in range(20)))

    asyncio.run(main())
    assert len(made) == 1
    assert len(sandbox.requests) == 20


AT_EXIT = """
import asyncio, atexit, sys
from oneloop import AsyncOneloop, Oneloop, OneloopError

arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 1}

async def main():
    async with AsyncOneloop(api_key="sdk", base_url="https://name.invalid", transport="httpx") as c:
        await c.refill_billing_limit(**arguments)

@atexit.register
def last():
    try:
        asyncio.run(main())
    except OneloopError as error:
        print(error.outcome, error.attempts)
"""


def test_when_the_interpreter_shuts_down_nothing_is_sent() -> None:
    """When the interpreter shuts down, no thread can look up a host name: NOT_SENT, at once."""
    program = [sys.executable, "-W", "error", "-c", AT_EXIT]
    result = subprocess.run(program, capture_output=True, text=True, check=True)
    assert result.stdout == "Outcome.NOT_SENT 1\n"
    assert result.stderr == ""


def changing(change: Callable[[httpx.Request], None], is_async: bool) -> Any:
    """Return an httpx client with a hook that changes requests."""

    async def async_change(request: httpx.Request) -> None:
        change(request)

    hooks: Any = {"request": [async_change if is_async else change]}
    return (httpx.AsyncClient if is_async else httpx.Client)(event_hooks=hooks)


def with_a_bad_header(request: httpx.Request) -> None:
    """Add a header that httpcore refuses."""
    request.headers["X-Team"] = "a\nb"


def with_another_scheme(request: httpx.Request) -> None:
    """Change the URL to one that httpcore refuses."""
    request.url = httpx.URL("ftp://127.0.0.1/")


def with_a_long_name(request: httpx.Request) -> None:
    """Change the URL to one whose host cannot be looked up."""
    request.url = httpx.URL("http://" + "a" * 64 + ".invalid/")


def with_an_empty_label(request: httpx.Request) -> None:
    """Change the URL to one whose host cannot be looked up."""
    request.url = httpx.URL("https://x..invalid/")


def with_a_bad_url(request: httpx.Request) -> None:
    """Fail as httpx does for a host that cannot be encoded."""
    request.url = httpx.URL("https://\u2028.invalid/")


@BOTH
@pytest.mark.parametrize(
    "change",
    [
        with_a_bad_header,
        with_another_scheme,
        with_a_long_name,
        with_an_empty_label,
        with_a_bad_url,
    ],
)
def test_what_httpx_refuses_is_not_sent(
    change: Callable[[httpx.Request], None],
    is_async: bool,
    sandbox: Sandbox,
    options: dict[str, Any],
) -> None:
    """A URL or a header that httpx or httpcore refuses is NOT_SENT."""
    error = failed(is_async, http_client=changing(change, is_async), **options)
    assert error.outcome is Outcome.NOT_SENT
    if not is_async:  # an async client asks the resolver for a name that cannot be encoded
        assert error.attempts == 1
    assert sandbox.requests == ()


@BOTH
def test_an_unsupported_url_elsewhere_proves_nothing(is_async: bool) -> None:
    """A transport that sends, and then fails at a URL of its own, leaves the call UNKNOWN."""

    def applied(_: httpx.Request) -> httpx.Response:
        raise httpx.UnsupportedProtocol("after a redirect to ftp://")

    transport: Any = httpx.MockTransport(applied)
    http = (httpx.AsyncClient if is_async else httpx.Client)(transport=transport)
    assert failed(is_async, http_client=http).outcome is Outcome.UNKNOWN


def test_headers_that_are_refused_after_an_earlier_send_prove_nothing() -> None:
    """If the same request was sent before, refused headers do not make it NOT_SENT."""
    watch = _httpx._Watch()
    watch.trace("http11.send_request_headers.started", {})
    watch.trace("http11.send_request_headers.failed", {"exception": OSError()})
    assert watch.sent
    watch.trace("http11.send_request_headers.started", {})
    watch.trace("http11.send_request_headers.failed", {"exception": httpx.LocalProtocolError("")})
    assert watch.sent


# The arguments of the clients


@BOTH
def test_max_connections_limits_a_plain_client(
    is_async: bool, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """A second call with `max_connections=1` waits for a connection, and then names the limit."""
    options |= {"transport": "httpx", "max_connections": 1}
    options |= {"timeout": Timeout(connect=0.2, read=5), "retry": RetryPolicy(attempts=1)}
    sandbox.misbehave(Fault.slow_headers(1.0))
    errors: list[APIError] = []

    def refill(client: Oneloop) -> None:
        try:
            client.refill_billing_limit(**REFILL)
        except APIError as error:
            errors.append(error)

    async def main() -> None:
        async with AsyncOneloop(**options) as client:
            calls = (client.refill_billing_limit(**REFILL) for _ in range(2))
            answers = await asyncio.gather(*calls, return_exceptions=True)
            errors.extend(one for one in answers if isinstance(one, APIError))

    if is_async:
        asyncio.run(main())
    else:
        with Oneloop(**options) as client:
            threads = [threading.Thread(target=refill, args=(client,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    (error,) = errors
    assert isinstance(error, APITimeoutError)
    assert error.outcome is Outcome.NOT_SENT
    assert "all of max_connections are in use" in str(error)


BOTH_CLIENTS = pytest.mark.parametrize("client_class", [Oneloop, AsyncOneloop])


@BOTH_CLIENTS
@pytest.mark.parametrize("given", [0, -1, True, 1.0, 100.0, "5", None])
def test_max_connections_is_a_positive_integer(given: Any, client_class: Any) -> None:
    """Anything else is refused by the constructor, with its name."""
    with pytest.raises(ConfigurationError, match=r"^max_connections must be a positive integer"):
        client_class(api_key="sdk", max_connections=given)


@BOTH_CLIENTS
@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("ca.pem", "str"),
        (True, "bool"),
        (ssl.SSLContext, "the class SSLContext"),
        (httpx.Limits(), "httpx.Limits"),
    ],
)
def test_ssl_context_is_a_context(given: Any, name: str, client_class: Any) -> None:
    """Anything else is refused by the constructor, which says what it got."""
    expected = rf"^ssl_context must be an ssl\.SSLContext, got {name}$"
    with pytest.raises(ConfigurationError, match=expected):
        client_class(api_key="sdk", ssl_context=given)


class Custom:
    """A transport for either client that is never used."""

    def send(self, *_: object) -> Any:
        """Send nothing."""

    close = aclose = send


@BOTH_CLIENTS
@pytest.mark.parametrize("name", ["ssl_context", "max_connections"])
@pytest.mark.parametrize("other", ["transport", "http_client"])
def test_an_argument_that_would_be_ignored_is_refused(
    other: str, name: str, client_class: Any
) -> None:
    """What makes its own connections cannot be combined with arguments about ours."""
    kind = httpx.Client if client_class is Oneloop else httpx.AsyncClient
    given = {"ssl_context": ssl.create_default_context(), "max_connections": 5}[name]
    others = {"transport": Custom(), "http_client": kind()}
    expected = f"^{name} would be ignored, .* pass either {name} or {other}$"
    with pytest.raises(ConfigurationError, match=expected):
        client_class(api_key="sdk", **{name: given, other: others[other]})


@BOTH_CLIENTS
def test_arguments_for_our_own_connections_are_taken(client_class: Any) -> None:
    """Both arguments are accepted together, by the default transport too."""
    context = ssl.create_default_context()
    for transport in (None, "httpx"):
        client_class(
            api_key="sdk", transport=transport, ssl_context=context, max_connections=100_000
        )


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (httpx.HTTPTransport(), r"httpx\.HTTPTransport; pass httpx\.Client\(transport=\.\.\.\)"),
        (httpx.AsyncClient(), r"httpx\.AsyncClient"),
        (httpx.Client, "the class Client"),
        ("httpx", "str"),
        (object(), "object"),
    ],
)
def test_what_is_no_client_is_named(given: Any, name: str) -> None:
    """The error names what was passed as `http_client`, with its module."""
    with pytest.raises(
        ConfigurationError, match=rf"^http_client must be an httpx\.Client, got {name}$"
    ):
        Oneloop(api_key="sdk", http_client=given)


def test_what_is_no_async_client_is_named() -> None:
    """The same for the async client."""
    expected = r"an httpx\.AsyncClient, got httpx\.Client$"
    with pytest.raises(ConfigurationError, match=expected):
        AsyncOneloop(api_key="sdk", http_client=httpx.Client())  # type: ignore[arg-type]
    expected = r"got httpx\.AsyncHTTPTransport; pass httpx\.AsyncClient\(transport=\.\.\.\)$"
    with pytest.raises(ConfigurationError, match=expected):
        AsyncOneloop(api_key="sdk", http_client=httpx.AsyncHTTPTransport())  # type: ignore[arg-type]


# httpx2


@pytest.fixture
def httpx2(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import httpx a second time, as `httpx2`: the same interface, but other classes."""
    loaded = {name: one for name, one in sys.modules.items() if name.split(".")[0] == "httpx"}
    for name in loaded:
        del sys.modules[name]
    try:
        second = importlib.import_module("httpx")
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "httpx"]:
            del sys.modules[name]
        sys.modules.update(loaded)
    assert second.Client is not httpx.Client
    monkeypatch.setitem(sys.modules, "httpx2", second)
    return second


@BOTH
def test_a_client_of_httpx2_is_used(
    is_async: bool, sandbox: Sandbox, options: dict[str, Any], httpx2: Any
) -> None:
    """A client of httpx2 sends calls, with the same outcomes as one of httpx."""
    kind = httpx2.AsyncClient if is_async else httpx2.Client
    hooks: dict[str, list[Any]] = {"response": []}

    def own() -> Any:
        return kind(event_hooks=hooks, limits=httpx2.Limits(max_keepalive_connections=0))

    assert refilled(is_async, http_client=own(), **options).status == 200
    sandbox.misbehave("drop-after")
    assert failed(is_async, http_client=own(), **options).outcome is Outcome.UNKNOWN
    error = failed(is_async, http_client=own(), **{**options, "base_url": "http://127.0.0.1:9"})
    assert (error.outcome, error.attempts) == (Outcome.NOT_SENT, 3)

    def check(response: Any) -> None:
        response.raise_for_status()

    async def async_check(response: Any) -> None:
        response.raise_for_status()

    hooks["response"] = [async_check if is_async else check]
    sandbox.misbehave(Fault.status(404))
    assert isinstance(failed(is_async, http_client=own(), **options), NotFoundError)
    assert len(sandbox.requests) == 3
