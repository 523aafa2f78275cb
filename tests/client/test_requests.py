"""`client.request`: what it sends, what it returns, and what it refuses."""

import asyncio
import json
import traceback
from collections import UserDict, deque
from types import MappingProxyType
from typing import Any

import pytest

import oneloop
from oneloop import (
    APIStatusError,
    ArgumentError,
    ArgumentTypeError,
    ArgumentValueError,
    AsyncOneloop,
    Oneloop,
    Outcome,
    ResponseDecodeError,
    ServerError,
)
from oneloop.sandbox import Fault, Sandbox
from oneloop.transport import Limits, Request, Response
from tests.calling import AT_ONCE, ClientKind
from tests.codegen.generating import TEXT, Generate, answers, parameter, post

REFILL = {"workspaceId": "ws_1", "externalMeterId": "acme", "refill": 500}
PATH = "/api/v1/customer-billing/refill"


class Recorder:
    """A transport that records requests and gives one answer."""

    def __init__(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        self.requests: list[Request] = []
        pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        self.answer = Response(status, pairs, body)

    def send(self, request: Request, limits: Limits) -> Response:
        """Record a request and return the answer."""
        del limits
        self.requests.append(request)
        return self.answer

    def close(self) -> None:
        """Do nothing."""


def sent(*arguments: Any, **named: Any) -> Request:
    """Return the request that a client sends for these arguments of `request`."""
    recorder = Recorder()
    Oneloop(api_key="sdk_1", base_url="https://api.test/base", transport=recorder).request(
        *arguments, **named
    )
    return recorder.requests[-1]


def test_a_request_returns_the_json_of_the_answer(kind: ClientKind, options: Any) -> None:
    """`request` sends the key and JSON, and returns what the answer contains as it is."""

    def refill(client: Any) -> Any:
        return client.request("POST", PATH, json=REFILL)

    answer = kind._using(refill, options)
    assert answer["billing"]["totalCredits"] == "1500"


def test_a_request_is_a_call_like_any_other(
    sandbox: Sandbox, kind: ClientKind, options: Any
) -> None:
    """An unsafe request is not sent again after a 5xx; a safe one is, and any one after a 429."""

    def tries(fault: Fault, method: str, path: str, **named: Any) -> tuple[int, Outcome | None]:
        sandbox.reset()
        sandbox.misbehave(fault, times=2)
        failure: APIStatusError | None = None
        try:
            kind._using(lambda client: client.request(method, path, **named), options)
        except APIStatusError as error:
            failure = error
        if failure is None:
            return len(sandbox.requests), None
        assert (failure.operation, failure.method, failure.path) == ("request", method, path)
        return len(sandbox.requests), failure.outcome

    assert tries(Fault.status(503), "POST", PATH, json=REFILL) == (1, Outcome.UNKNOWN)
    assert tries(Fault.status(503), "POST", PATH, json=REFILL, safe=True) == (3, None)
    assert tries(Fault.status(503), "GET", "/api/v1/workspace") == (3, None)
    assert tries(Fault.status(503), "GET", "/api/v1/workspace", safe=False)[0] == 1
    assert tries(Fault.rate_limited(0), "POST", PATH, json=REFILL) == (3, None)


def test_a_head_request_returns_nothing(kind: ClientKind, options: Any) -> None:
    """HEAD returns `None`, and its response has the headers of the answer."""

    def head(client: Any) -> Any:
        return client.with_response.request("head", "/api/v1/workspace")

    response = kind._using(head, options)
    assert (response.parsed, response.body, response.status) == (None, b"", 200)
    assert int(response.headers["content-length"]) > 0


def test_with_response_gives_the_answer_of_a_request(kind: ClientKind, options: Any) -> None:
    """`with_response.request` returns the status, the headers and the body as well."""

    def get(client: Any) -> Any:
        return client.with_response.request("GET", "/api/v1/workspace", query={"a": "b"})

    response = kind._using(get, options)
    assert response.parsed == response.json() == json.loads(response.body)
    assert response.url == options["base_url"] + "/api/v1/workspace"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/a", "/a"),
        ("/", "/"),
        ("/a b/ü", "/a%20b/%C3%BC"),
        ("/a%2Fb/%zz/100%", "/a%2Fb/%25zz/100%25"),
        ("/a:b@c;d=1,2!$&'()*+~._-", "/a:b@c;d=1,2!$&'()*+~._-"),
        ("/..a/.b/...", "/..a/.b/..."),
        ('/{a}|"<>\\^`', "/%7Ba%7D%7C%22%3C%3E%5C%5E%60"),
        ("/a//b/", "/a//b/"),
    ],
)
def test_a_path_is_encoded_where_it_has_to_be(path: str, target: str) -> None:
    """What a path cannot contain is percent-encoded, and what is encoded already is kept."""
    assert sent("GET", path).url == "https://api.test/base" + target


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("https://evil.test/a", 'must start with one "/"'),
        ("a/b", 'must start with one "/"'),
        ("", 'must start with one "/"'),
        ("//evil.test", 'must start with one "/"'),
        ("/a?b=1", "must not contain a query; pass query="),
        ("/a#b", "must not contain a fragment"),
        ("/a/../b", 'must not contain the segments "." and ".."'),
        ("/.", 'must not contain the segments "." and ".."'),
        ("/a/%2e%2E/b", 'must not contain the segments "." and ".."'),
        ("/a/.%2e%2fb", 'must not contain the segments "." and ".."'),
        ("/a\\..\\b", 'must not contain the segments "." and ".."'),
        ("/a\r\nX: y", "must not contain control characters"),
        ("/a\x00", "must not contain control characters"),
        ("/\ud800", "must be valid Unicode"),
        (b"/a", "must be a string"),
        (None, "must be a string"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: Any, words: str) -> None:
    """A path with a scheme, a host, a query, dot segments or control characters is refused."""
    with pytest.raises(ArgumentError) as caught:
        sent("GET", path)
    assert str(caught.value).startswith(f"path {words}")
    assert caught.value.operation == "request"


@pytest.mark.parametrize(
    ("named", "error", "words"),
    [
        ({"method": "GE T"}, ArgumentValueError, "method must be an HTTP method"),
        ({"method": "CONNECT"}, ArgumentValueError, "method must be an HTTP method"),
        ({"method": ""}, ArgumentValueError, "method must be an HTTP method"),
        ({"method": 1}, ArgumentTypeError, "method must be a string"),
        ({"safe": "yes"}, ArgumentTypeError, "safe must be True, False or None"),
        ({"json": {"a": {1}}}, ArgumentTypeError, "json.a must be a JSON value"),
        ({"json": float("nan")}, ArgumentValueError, "json must be finite"),
        ({"query": "a=b"}, ArgumentTypeError, "query must be a mapping"),
        ({"query": {"": "b"}}, ArgumentValueError, "query must not be empty"),
        ({"query": {1: "b"}}, ArgumentTypeError, "query must be a string"),
        ({"query": {"a": {"b": 1}}}, ArgumentTypeError, "query.a must be a string, a number"),
        ({"query": {"a": [[1]]}}, ArgumentTypeError, "query.a must be a string, a number"),
        ({"query": {"a": b"b"}}, ArgumentTypeError, "query.a must be a string, a number"),
        ({"headers": {"Authorization": "x"}}, ArgumentValueError, "headers must not include"),
        ({"headers": {"X-Link-Token": "x"}}, ArgumentValueError, "headers must not include"),
        ({"headers": {"Host": None}}, ArgumentValueError, "headers must not include Host"),
        ({"headers": {"X": "a\nb"}}, ArgumentValueError, "headers must have values"),
        ({"headers": {"content-type": None}}, ArgumentValueError, "headers must not remove"),
        ({"headers": [("X", "a")]}, ArgumentValueError, "headers must be a mapping"),
    ],
)
def test_an_argument_of_a_request_is_refused_by_name(
    named: dict[str, Any], error: type[Exception], words: str
) -> None:
    """An argument that cannot be sent is refused, and the error names it and the operation."""
    with pytest.raises(error) as caught:
        sent(**{"method": "POST", "path": "/a", **named})
    assert str(caught.value).startswith(words)
    assert getattr(caught.value, "operation", None) == "request"


def test_a_refused_request_shows_no_secret_in_its_frames() -> None:
    """No local variable of the frames of a refusal shows the body, the query or the headers."""
    recorder = Recorder()
    client = Oneloop(api_key="sdk_1", transport=recorder)
    secret = {"a": "s3cret"}
    for named in (
        {"json": secret, "query": {"a": object()}, "headers": secret},
        {"json": {"a": "s3cret", "b": object()}},
        {"query": {"a": "s3cret", "b": object()}},
        {"headers": {"a": "s3cret\n"}},
    ):
        with pytest.raises(ArgumentError) as caught:
            client.request("POST", "/a", **named)  # type: ignore[arg-type]
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
        shown = [repr(value) for frame in frames for value in frame.f_locals.values()]
        assert not any("s3cret" in text for text in shown)


def test_the_values_of_a_query_are_sent_as_text() -> None:
    """A query has strings, numbers, booleans and lists of them; `None` is not sent."""
    query = {
        "a": "x y&",
        "b": [1, "2", None],
        "c": True,
        "d": None,
        "é": 1.5,
        "f": deque([3]),
        "g": [],
    }
    assert sent("GET", "/a", query=query).url.partition("?")[2] == (
        "a=x%20y%26&b=1&b=2&c=true&%C3%A9=1.5&f=3"
    )
    assert sent("GET", "/a", query=UserDict(z=10**30)).url.endswith("?z=" + "1" + "0" * 30)
    assert sent("GET", "/a", query={}).url == "https://api.test/base/a"


@pytest.mark.parametrize("value", [None, {"a": [10**30, None]}, [], "ü", 0, False])
def test_any_json_is_sent(value: Any) -> None:
    """`json` may be any JSON value, `None` included; integers of any size stay integers."""
    request = sent("PATCH", "/a", json=value)
    assert request.body is not None
    assert json.loads(request.body) == value
    assert ("Content-Type", "application/json") in request.headers


def test_nothing_is_sent_without_json() -> None:
    """Without `json` a request has no body and no Content-Type."""
    request = sent("DELETE", "/a")
    assert request.body is None
    assert "Content-Type" not in dict(request.headers)


def test_headers_of_a_request_replace_those_of_the_client() -> None:
    """Headers replace those of the client in any capitalization; `None` removes one."""
    recorder = Recorder()
    client = Oneloop(api_key="sdk_1", transport=recorder, headers={"X-A": "1", "X-B": "2"})
    client.request(
        "POST",
        "/a",
        json={},
        headers={
            "x-a": "3",
            "X-B": None,
            "user-agent": None,
            "content-type": "application/merge-patch+json",
            "Accept": "text/csv",
            "Cookie": "a=b",
        },
    )
    names = [name for name, _ in recorder.requests[-1].headers]
    headers = dict(recorder.requests[-1].headers)
    assert headers["x-a"] == "3"
    assert headers["Accept"] == "text/csv"
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert headers["Authorization"] == "Bearer sdk_1"
    assert headers["Cookie"] == "a=b"
    assert len({name.lower() for name in names}) == len(names)
    assert not {"X-B", "User-Agent", "user-agent", "X-A"} & set(names)


@pytest.mark.parametrize(
    ("status", "body", "value"),
    [
        (200, b'{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
        (201, b"[1]", [1]),
        (200, b"null", None),
        (200, b"", None),
        (204, b"", None),
        (299, b'"a"', "a"),
    ],
)
def test_any_json_is_returned(status: int, body: bytes, value: Any) -> None:
    """`request` returns any JSON as it is, and `None` for an empty body."""
    client = Oneloop(api_key="sdk_1", transport=Recorder(status, body))
    assert client.request("GET", "/a") == value


def test_an_answer_that_is_not_json_is_an_error_with_the_answer_at_hand() -> None:
    """`request` raises an error for other bodies; with `with_response` the body can be read."""
    client = Oneloop(api_key="sdk_1", transport=Recorder(200, b"a,b"))
    with pytest.raises(ResponseDecodeError):
        client.request("GET", "/a")
    assert client.with_response.request("GET", "/a").body == b"a,b"


def test_the_query_of_a_request_is_not_shown() -> None:
    """Errors and logs show the URL of a request without its query, which may contain a secret."""
    recorder = Recorder(500)
    key = "sdk_of_the_test"
    client = Oneloop(api_key=key, base_url="https://api.test", transport=recorder)
    with pytest.raises(ServerError) as caught:
        client.request("POST", f"/a/{key}", query={"token": "s3cret"})
    assert recorder.requests[-1].url == f"https://api.test/a/{key}?token=s3cret"
    assert recorder.requests[-1].safe_url == f"https://api.test/a/{key}"
    assert caught.value.url == "https://api.test/a/[redacted]"
    assert caught.value.path == "/a/[redacted]"
    assert "s3cret" not in str(vars(caught.value))


def test_a_mapping_may_be_read_only() -> None:
    """Every mapping is accepted, not only a dict."""
    named: Any = {"query": MappingProxyType({"a": 1}), "headers": UserDict({"X-A": "b"})}
    request = sent("GET", "/a", **named)
    assert request.url.endswith("/a?a=1")
    assert ("X-A", "b") in request.headers


NAMES = ["request", "timeout", "headers", "base_url", "retry", "isClosed", "max_response_bytes"]


def test_a_client_of_another_document_makes_requests(generate: Generate) -> None:
    """A generated client has `request`, also if an operation has the name of one of its members."""
    paths: dict[str, Any] = {}
    for name in NAMES:
        query = parameter("q", "query", TEXT)
        paths |= post(f"/{name}", name, parameters=[query], responses=answers(TEXT))
    scheme = {"key": {"type": "apiKey", "in": "query", "name": "key"}}
    components = {"schemas": {}, "securitySchemes": scheme}
    made = generate({}, paths, components=components, security=[{"key": []}])
    clients = made.module("clients")
    recorder = Recorder(200, b'"a"')
    client = clients.Client(api_key="k", base_url="https://api.test", transport=recorder)
    for name in NAMES:
        method = {"isClosed": "is_closed"}.get(name, name) + "_"
        assert getattr(client, method)(q="1") == "a"
        assert getattr(client.with_response, method)(q="1").parsed == "a"
    assert client.request("GET", "/x", query={"b": 1}) == "a"
    assert recorder.requests[-1].url == "https://api.test/x?b=1&key=k"
    assert client.with_response.request("GET", "/x").url == "https://api.test/x"
    with pytest.raises(ArgumentError, match="query must not include key"):
        client.request("GET", "/x", query={"key": 1})
    extended = client.with_options(extra_query={"b": 2}, headers={"X-A": "b"})
    assert extended.timeout_(q="1") == "a"
    assert recorder.requests[-1].url == "https://api.test/timeout?q=1&b=2&key=k"
    assert extended.base_url == "https://api.test"


def test_an_async_request_is_awaited(sandbox: Sandbox) -> None:
    """`request` of the async client is a coroutine, and 50 of them run side by side."""

    async def main() -> list[Any]:
        async with AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            calls = (client.request("GET", "/api/v1/workspace") for _ in range(50))
            return await asyncio.gather(*calls)

    assert len(asyncio.run(main())) == len(sandbox.requests) == 50


def test_an_unknown_path_is_an_error_of_the_api(kind: ClientKind, options: Any) -> None:
    """A path that the API does not have ends in its 404."""
    with pytest.raises(oneloop.NotFoundError) as caught:
        kind._using(lambda client: client.request("GET", "/api/v1/nowhere"), options)
    assert caught.value.outcome is Outcome.REJECTED
    assert AT_ONCE.attempts == 3
    assert caught.value.attempts == 1
