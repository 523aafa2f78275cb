"""The sandbox serves only hosts of this machine, as a protection against DNS rebinding."""

import http.client
import json
import socket
from typing import Any

import pytest

from oneloop.sandbox import Sandbox

REFILL = "/api/v1/customer-billing/refill"
RESET = "/_sandbox/reset"
HERE = [
    "127.0.0.1",
    "127.0.0.1:80",
    "127.255.3.4",
    "localhost",
    "LOCALHOST:8787",
    "[::1]:1",
    "[::1]",
]
ELSEWHERE = [
    *("evil.test", "evil.test:8787", "127.0.0.1.evil.test", "localhost.evil.test", "127.0.0.256"),
    *("127.1", "localhost.", "localhost:80:80", "user@localhost", "localhost@evil.test", "[::2]"),
    *("10.0.0.1", "0.0.0.1", "::1", "[::ffff:127.0.0.1]", "localhost/", "", " ", "127.0.0.1, evil"),
]


def head(sandbox: Sandbox, target: str, *hosts: str, version: str = "1.1") -> bytes:
    """Return a valid request to a target with these Host headers."""
    body = '{"workspaceId": "ws_1", "externalMeterId": "acme", "refill": 5}'
    lines = [f"POST {target} HTTP/{version}", *(f"Host: {host}" for host in hosts)]
    lines += [f"Authorization: Bearer {sandbox.api_key}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(lines).encode()


def ask(sandbox: Sandbox, *requests: bytes) -> list[tuple[int, bytes]]:
    """Send the requests on one connection and return status and body of each response."""
    address = sandbox.url.removeprefix("http://").split(":")
    answers = []
    with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:
        for request in requests:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection, method="POST")
            response.begin()
            answers.append((response.status, response.read()))
    return answers


def unchanged(sandbox: Sandbox) -> bool:
    """Return whether no earlier request reached the sandbox: its fault is still in the queue."""
    before = sandbox.requests, sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    assert before[0] == ()
    assert before[1].total_credits == 1000
    return ask(sandbox, head(sandbox, REFILL, "localhost"))[0][0] == 418


@pytest.fixture
def waiting(sandbox: Sandbox) -> Sandbox:
    """Return a sandbox with one fault in its queue."""
    from oneloop.sandbox import Fault

    sandbox.misbehave(Fault.status(418))
    return sandbox


@pytest.mark.parametrize("host", HERE)
def test_names_of_this_machine_are_answered_to(host: str, sandbox: Sandbox) -> None:
    """Names of this machine are accepted with any port, because a port may be forwarded."""
    calls = [head(sandbox, REFILL, host), head(sandbox, RESET, host)]
    assert [status for status, _ in ask(sandbox, *calls)] == [200, 200]
    calls = [head(sandbox, f"http://{host}{REFILL}", host)]
    assert [status for status, _ in ask(sandbox, *calls)] == [404]  # no route matches a whole URL


@pytest.mark.parametrize("target", [REFILL, RESET, "/", f"http://127.0.0.1{REFILL}", "*"])
@pytest.mark.parametrize("host", ELSEWHERE)
def test_another_host_is_refused_before_all_else(host: str, target: str, waiting: Sandbox) -> None:
    """Another host is refused with the reason, and the connection stays open."""
    refused, again = ask(waiting, *[head(waiting, target, host)] * 2)
    assert refused == again
    assert refused[0] == 421
    error = json.loads(refused[1])["error"]
    assert error["code"] == 421
    assert "answers only to localhost" in error["message"]
    assert unchanged(waiting)


@pytest.mark.parametrize(
    "target",
    [
        f"http://evil.test{REFILL}",
        f"HTTP://evil.test:8787{RESET}",
        f"http://localhost@evil.test{RESET}",
        f"https://evil.test?{RESET}",
        "evil.test:443",
        "evil.test",
    ],
)
def test_the_host_of_a_whole_url_counts_as_well(target: str, waiting: Sandbox) -> None:
    """The host of an absolute URL is checked too: by RFC 9112 it overrides the Host header."""
    ((status, _),) = ask(waiting, head(waiting, target, "localhost"))
    assert status == 421
    assert unchanged(waiting)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "hosts",
    [(), ("localhost", "localhost"), ("localhost", "evil.test"), ("evil.test", "localhost")],
)
def test_a_request_names_its_host_once(
    hosts: tuple[str, ...], version: str, waiting: Sandbox
) -> None:
    """A request without a host, or with two, is refused by the server or the sandbox."""
    ((status, _),) = ask(waiting, head(waiting, REFILL, *hosts, version=version))
    assert status == (421 if version == "1.0" and not hosts else 400)
    assert unchanged(waiting)


def test_a_large_request_for_another_host_is_not_kept(waiting: Sandbox) -> None:
    """The body of a refused request is read and discarded, so that the client gets the response."""
    request = head(waiting, REFILL, "evil.test").partition(b"Content-Length")[0]
    body = b"x" * 5_000_000
    request += b"Content-Length: %d\r\n\r\n" % len(body) + body
    assert [status for status, _ in ask(waiting, request, request)] == [421, 421]
    assert unchanged(waiting)


def test_a_client_that_leaves_before_it_is_refused_is_not_answered(waiting: Sandbox) -> None:
    """A client that disconnects before its request is complete changes nothing."""
    address = waiting.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.sendall(head(waiting, REFILL, "evil.test")[:-1])
    assert unchanged(waiting)


CONTROLS = ["misbehave", "meters", "requests", "advance", "reset"]


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_needs_what_no_web_page_can_send_unasked(control: str, waiting: Sandbox) -> None:
    """A control needs Authorization, and no preflight request lets a web page send it."""
    method = "GET" if control == "requests" else "POST"
    origin = {"Origin": "https://evil.test", "Content-Type": "text/plain"}
    asking: dict[str, Any] = {
        **origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, x-link-token",
    }
    client = http.client.HTTPConnection(waiting.url.removeprefix("http://"), timeout=10)
    for verb, headers, status in ((method, origin, 401), ("OPTIONS", asking, 405)):
        client.request(verb, f"/_sandbox/{control}", b"{}", headers)
        answer = client.getresponse()
        answer.read()
        assert answer.status == status
        assert not [name for name, _ in answer.getheaders() if "access-control" in name.lower()]
    client.close()
    assert unchanged(waiting)


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        ((), 421),
        (("sandbox",), 421),
        (("evil.test",), 200),
        (("other", "EVIL.test"), 200),
        (("*",), 200),
        (("evil",), 421),
    ],
)
def test_further_names_are_allowed_by_name(allowed: tuple[str, ...], status: int) -> None:
    """A name that was allowed is served with any port; nothing else changes."""
    with Sandbox(allowed_hosts=allowed) as sandbox:
        hosts = ("evil.test:80", "evil.test", "localhost", "evil-test", "evil.test.other")
        answers = ask(sandbox, *[head(sandbox, REFILL, host) for host in hosts])
    others = 200 if "*" in allowed else 421
    assert [one for one, _ in answers] == [status, status, 200, others, others]
    if status == 421:
        told = "".join(f", {name}" for name in allowed)
        assert f"127.0.0.0/8 and [::1]{told}, so that".encode() in answers[0][1]


def test_one_name_is_no_list_of_names() -> None:
    """A string would be taken for a list of its letters."""
    with pytest.raises(TypeError, match="must be a list of names, not the string 'sandbox'"):
        Sandbox(allowed_hosts="sandbox")


@pytest.mark.parametrize("name", ["", "a b", "http://sandbox", "sandbox:80", "a/b", "[::1", "a,b"])
def test_what_is_no_host_name_cannot_be_allowed(name: str) -> None:
    """A URL, or a name with a port, would never match; it is refused by name."""
    with pytest.raises(
        ValueError, match="an allowed host must be a name such as sandbox"
    ) as caught:
        Sandbox(allowed_hosts=["sandbox", name])
    assert repr(name) in str(caught.value)


def test_it_listens_where_it_is_told_to() -> None:
    """An address of this machine is in the URL and served; for any address, that is 127.0.0.1."""
    with Sandbox(host="127.0.0.2") as sandbox:
        assert sandbox.url.startswith("http://127.0.0.2:")
        assert ask(sandbox, head(sandbox, REFILL, "127.0.0.2"))[0][0] == 200
    with Sandbox(host="0.0.0.0") as sandbox:  # noqa: S104 - what is tested
        assert sandbox.url.startswith("http://127.0.0.1:")
        hosts = ("localhost", "0.0.0.0", "10.0.0.1")  # noqa: S104
        calls = [head(sandbox, REFILL, host) for host in hosts]
        assert [status for status, _ in ask(sandbox, *calls)] == [200, 421, 421]
    with Sandbox(host="localhost") as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
    with pytest.raises(ValueError, match="host must not be empty"):
        Sandbox(host="")


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_it_listens_on_ipv6(host: str) -> None:
    """An address of IPv6 is in brackets in the URL."""
    with Sandbox(host=host) as sandbox:
        assert sandbox.url.startswith("http://[::1]:")
        port = int(sandbox.url.rpartition(":")[2])
        client = http.client.HTTPConnection("::1", port, timeout=5)
        client.request("GET", "/api/v1/workspace", headers={"Host": f"[::1]:{port}"})
        assert client.getresponse().status == 401
        client.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_here_is_reported(host: str) -> None:
    """An address of another machine, and a name without one, are reported with the address."""
    with pytest.raises(OSError, match=f"the sandbox cannot listen on {host}:0: "):
        Sandbox(host=host).start()
