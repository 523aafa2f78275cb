"""`extra_body`, `extra_query` and `extra_headers` of `with_options`."""

import asyncio
import json
import traceback
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from oneloop import ArgumentError, AsyncOneloop, Oneloop, Outcome, RetryPolicy, ServerError
from oneloop._extras import Extras, extended
from oneloop.sandbox import Sandbox
from oneloop_core import Call, Secret
from tests.calling import REFILL, an_operation
from tests.client.test_requests import Recorder


def client_of(recorder: Recorder, **options: Any) -> Oneloop:
    """Return a client that sends with a recorder."""
    return Oneloop(
        api_key="sdk_of_the_test", base_url="https://api.test", transport=recorder, **options
    )


def body_with(extra: Any, **arguments: Any) -> Any:
    """Return the body of a refill with this extra body."""
    recorder = Recorder(200, b'{"billing": null}')
    client_of(recorder).with_options(extra_body=extra).refill_billing_limit(
        **{**REFILL, **arguments}
    )
    return json.loads(recorder.requests[-1].body or b"")


def test_an_extra_body_is_laid_over_the_body() -> None:
    """Members are added or replaced, not merged; `None` is null, and integers stay exact."""
    huge = 10**30
    assert body_with({"refill": huge, "more": {"a": [None]}, "workspaceId": None}) == {
        "workspaceId": None,
        "externalMeterId": "acme",
        "refill": huge,
        "more": {"a": [None]},
    }


def test_extras_reach_the_server(sandbox: Sandbox, options: Any) -> None:
    """The sandbox sees the replaced member, with both clients and `with_response`."""
    extra = {"extra_body": {"refill": 7}}

    async def main() -> Any:
        async with AsyncOneloop(**options) as client:
            await client.with_options(**extra).refill_billing_limit(**REFILL)
            other = client.with_options(**extra).with_response
            return await other.refill_billing_limit(**REFILL)

    with Oneloop(**options) as client:
        client.with_options(**extra).refill_billing_limit(**REFILL)  # type: ignore[arg-type]
        client.with_options(**extra).with_response.refill_billing_limit(**REFILL)  # type: ignore[arg-type]
    response = asyncio.run(main())
    assert response.parsed.billing.total_credits == 1000 + 4 * 7
    assert len(sandbox.requests) == 4


@pytest.mark.parametrize(
    ("operation", "arguments", "words"),
    [("get_workspace", {}, "no body")],
)
def test_an_extra_body_needs_a_body(operation: str, arguments: Any, words: str) -> None:
    """An operation without a body refuses an extra one, and nothing is sent."""
    recorder = Recorder()
    client = client_of(recorder).with_options(extra_body={"a": "s3cret"})
    with pytest.raises(ArgumentError) as caught:
        getattr(client, operation)(**arguments)
    assert str(caught.value) == f"extra_body cannot be added: {operation} sends {words}"
    assert (caught.value.operation, caught.value.outcome) == (operation, Outcome.NOT_SENT)
    assert recorder.requests == []
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert not any("s3cret" in repr(value) for one in frames for value in one.f_locals.values())


@pytest.mark.parametrize(
    ("body", "content_type", "sends"),
    [
        (b"[1]", None, "JSON but not an object"),
        (b"a=b", "application/x-www-form-urlencoded", "a body that is not JSON"),
        (b"{}", "text/plain", "a body that is not JSON"),
    ],
)
def test_an_extra_body_needs_an_object(body: bytes, content_type: Any, sends: str) -> None:
    """A body that is not a JSON object cannot have extra members."""
    call = Call(an_operation("POST"), "/a", body, content_type=content_type)
    with pytest.raises(ArgumentError, match=f"an_operation sends {sends}"):
        extended(call, Extras({"a": 1}, {}, {}))


@pytest.mark.parametrize("content_type", [None, "application/json", "application/merge-patch+json"])
def test_an_extra_body_goes_into_any_json(content_type: Any) -> None:
    """Every media type of JSON is taken, and stays."""
    call = Call(an_operation("PATCH"), "/a", b'{"b":2}', content_type=content_type)
    laid = extended(call, Extras({"a": 1}, {}, {}))
    assert (laid.body, laid.content_type) == (b'{"b":2,"a":1}', content_type)
    bare = extended(Call(an_operation("DELETE"), "/a"), Extras({"a": 1}, {}, {}))
    assert bare.body == b'{"a":1}'


def test_an_extra_query_replaces_parameters_and_is_not_shown() -> None:
    """Parameters are replaced, removed or added; URLs that are shown leave them out."""
    recorder = Recorder(500)
    client = client_of(recorder).with_options(
        extra_query={"workspaceId": "s3cret", "externalMeterId": None, "more": [1, True]}
    )
    with pytest.raises(ServerError) as caught:
        client.with_options(retry=RetryPolicy(attempts=1)).get_customer_billing(
            workspace_id="ws_1", external_meter_id="acme"
        )
    request = recorder.requests[-1]
    query = parse_qsl(urlsplit(request.url).query)
    assert ("workspaceId", "s3cret") in query
    assert query[-2:] == [("more", "1"), ("more", "true")]
    assert "externalMeterId" not in dict(query)
    assert "ws_1" not in request.url
    assert caught.value.url == request.safe_url
    assert "s3cret" not in str(vars(caught.value))


def test_an_extra_query_is_not_logged(
    sandbox: Sandbox, options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither our log nor that of httpx shows an extra query."""
    caplog.set_level(0)
    with httpx.Client() as own:
        for more in ({}, {"transport": "httpx"}, {"http_client": own}):
            with Oneloop(**options, **more) as client:
                client.with_options(extra_query={"token": "s3cret"}).get_workspace()
    assert len(sandbox.requests) == 3
    assert caplog.records
    assert not any("s3cret" in str(vars(one)) + one.getMessage() for one in caplog.records)


def test_extra_headers_are_laid_over_all_others() -> None:
    """Extra headers replace those of the client in any capitalization; `None` removes one."""
    recorder = Recorder(200, b'{"billing": null}')
    client = client_of(recorder, headers={"X-A": "1", "X-B": "2"}).with_options(
        extra_headers={"x-a": "3", "X-B": None, "Content-Type": "application/x+json", "X-C": "4"}
    )
    client.refill_billing_limit(**REFILL)
    headers = dict(recorder.requests[-1].headers)
    assert headers["x-a"] == "3"
    assert headers["Content-Type"] == "application/x+json"
    assert headers["Authorization"] == "Bearer sdk_of_the_test"
    assert not {"X-A", "X-B"} & headers.keys()
    other = client.with_options(extra_headers={"X-A": None, "x-c": "5"})
    other.refill_billing_limit(**REFILL)
    headers = {name.lower(): value for name, value in recorder.requests[-1].headers}
    assert "x-a" not in headers
    assert headers["x-c"] == "5"


def test_extra_headers_replace_those_of_an_operation() -> None:
    """A header parameter is replaced, and a secret one of the rest is still sent."""
    call = Call(an_operation("GET"), "/a", headers=(("X-A", "1"), ("X-B", Secret("2"))))
    laid = extended(call, Extras({}, {}, {"x-a": "3"}))
    assert [name for name, _ in laid.headers] == ["X-B", "x-a"]


def test_extras_are_merged_and_removed() -> None:
    """Extras add up over `with_options`; `None` removes them, and the plain path is taken again."""
    recorder = Recorder(200, b'{"billing": null}')
    plain = client_of(recorder)
    client = plain.with_options(
        extra_body={"a": 1}, extra_query={"q": 1}, extra_headers={"X-A": "1"}
    )
    client = client.with_options(timeout=3).with_options(extra_body={"b": 2}, extra_query={"r": 2})
    client.refill_billing_limit(**REFILL)
    request = recorder.requests[-1]
    assert json.loads(request.body or b"").items() >= {"a": 1, "b": 2}.items()
    assert request.url.endswith("?q=1&r=2")
    assert ("X-A", "1") in request.headers
    assert client._context is None
    same = client.with_options(extra_body={}, extra_query={}, extra_headers={})
    same.refill_billing_limit(**REFILL)
    assert recorder.requests[-1] == request
    bare = client.with_options(extra_body=None, extra_query=None, extra_headers=None)
    bare.refill_billing_limit(**REFILL)
    plain.refill_billing_limit(**REFILL)
    assert recorder.requests[-1] == recorder.requests[-2]
    assert bare._context is not None


def test_a_request_gets_the_extras_of_its_client() -> None:
    """`request` gets them, too, and they replace what it was given."""
    recorder = Recorder()
    client = client_of(recorder).with_options(extra_body={"a": 1}, extra_query={"q": 1})
    client.request("POST", "/x", json={"a": 2, "b": 3}, query={"q": 2, "r": 3})
    request = recorder.requests[-1]
    assert json.loads(request.body or b"") == {"a": 1, "b": 3}
    assert request.url == "https://api.test/x?r=3&q=1"
    assert request.safe_url == "https://api.test/x"


@pytest.mark.parametrize(
    ("extras", "words"),
    [
        ({"extra_body": [1]}, "extra_body must be a mapping of names to values"),
        ({"extra_body": {1: 2}}, "extra_body must be a string"),
        ({"extra_body": {"a": object()}}, "extra_body.a must be a JSON value"),
        ({"extra_query": "a=b"}, "extra_query must be a mapping of names to values"),
        ({"extra_query": {"a": {}}}, "extra_query.a must be a string, a number"),
        ({"extra_headers": {"authorization": "x"}}, "extra_headers must not include"),
        ({"extra_headers": {"X Y": "x"}}, "extra_headers must have names"),
    ],
)
def test_extras_that_cannot_be_sent_are_refused_by_name(extras: Any, words: str) -> None:
    """Extras that cannot be sent are refused by `with_options`, by name."""
    with pytest.raises(ArgumentError) as caught:
        client_of(Recorder()).with_options(**extras)
    assert str(caught.value).startswith(words)
