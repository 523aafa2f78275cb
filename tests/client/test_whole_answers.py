"""Whole answers: `Response` with body, URL and request id, and errors that say where and when."""

import copy
import gzip
import pickle
from typing import Any

import attrs
import pytest

import oneloop
from oneloop import (
    APIConnectionError,
    APIError,
    APIStatusError,
    ArgumentError,
    DecodeError,
    Oneloop,
    OneloopError,
    Outcome,
    RateLimitError,
    Response,
    ResponseDecodeError,
    ResponseTooLargeError,
    RetryPolicy,
    ServerError,
)
from oneloop.sandbox import Fault, Sandbox
from tests.calling import AT_ONCE, KINDS, REFILL, ClientKind
from tests.client.test_requests import Recorder

PATH = "/api/v1/customer-billing/refill"


@pytest.mark.parametrize("name", KINDS)
def test_a_response_has_the_whole_answer(name: str, options: Any) -> None:
    """A response has the body, the URL and the parsed JSON, with every transport."""
    response = ClientKind(name)._using(
        lambda client: client.with_response.refill_billing_limit(**REFILL), options
    )
    assert response.json()["billing"]["totalCredits"] == "1500"
    assert response.body.startswith(b"{")
    assert response.url == options["base_url"] + PATH
    assert response.request_id == response.headers.get("x-request-id")


@pytest.mark.parametrize("header", ["X-Request-Id", "Request-Id", "CF-Ray"])
def test_a_response_has_the_request_id(header: str) -> None:
    """The request id comes from the same headers as that of an error."""
    recorder = Recorder(200, b'{"billing": null}', **{header: "r-1"})
    client = Oneloop(api_key="sdk", transport=recorder)
    assert client.with_response.refill_billing_limit(**REFILL).request_id == "r-1"


def test_the_body_is_decompressed() -> None:
    """`body` is decompressed, and as it was received if that is not possible."""
    packed = gzip.compress(b'{"billing": null}')
    for body, plain in ((packed, b'{"billing": null}'), (packed[:-9], packed[:-9])):
        client = Oneloop(api_key="sdk", transport=Recorder(200, body, Content_Encoding="gzip"))
        assert client.with_response.refill_billing_limit(**REFILL).body == plain


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [(Fault.wrong_shape(), Outcome.APPLIED), (Fault.not_json(), Outcome.UNKNOWN)],
)
@pytest.mark.parametrize("name", KINDS)
def test_an_answer_that_cannot_be_decoded_is_returned(
    sandbox: Sandbox, name: str, options: Any, fault: Fault, outcome: Outcome
) -> None:
    """`with_response` returns it; `parsed` raises the error that the plain method raises."""
    kind = ClientKind(name)
    sandbox.misbehave(fault, times=2)
    response = kind._using(
        lambda client: client.with_response.refill_billing_limit(**REFILL), options
    )
    with pytest.raises(ResponseDecodeError) as plain:
        kind.refill(**options)
    with pytest.raises(ResponseDecodeError) as caught:
        _ = response.parsed
    with pytest.raises(ResponseDecodeError) as again:
        _ = response.parsed
    assert caught.value is not again.value
    ours, theirs = dict(vars(caught.value)), dict(vars(plain.value))
    for timed in ("elapsed", "headers", "body"):
        assert type(ours.pop(timed)) is type(theirs.pop(timed))
    assert ours == theirs
    assert caught.value.outcome is outcome
    assert response.status == 200
    assert response.body.decode() == caught.value.body
    assert len(sandbox.requests) == 2


def test_other_failures_are_raised_with_a_response_as_well() -> None:
    """Errors of a status, or of the size, are raised by the method itself."""
    for recorder, error in (
        (Recorder(400), APIStatusError),
        (Recorder(200, b"{}" * 50), ResponseTooLargeError),
    ):
        client = Oneloop(api_key="sdk", transport=recorder, max_response_bytes=60)
        recorder.answer.headers = (("Content-Encoding", "gzip"),)
        if error is ResponseTooLargeError:
            recorder.answer.body = gzip.compress(b" " * 100)
        with pytest.raises(error):
            client.with_response.refill_billing_limit(**REFILL)


def whole(**changed: Any) -> Response[Any]:
    """Return a response, with some attributes changed."""
    known: dict[str, Any] = {"parsed": 1, "status": 200, "headers": {}, "attempts": 1}
    return Response(**{**known, "elapsed": 0.5, "body": b"{}", "url": "https://a/b", **changed})


def broken() -> Response[Any]:
    """Return a response that cannot be decoded."""
    problem = ResponseDecodeError("no", field="a", outcome=Outcome.APPLIED)
    return whole(parsed=None, problem=problem)


@pytest.mark.parametrize("made", [whole, broken])
@pytest.mark.parametrize(
    "copied",
    [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy, attrs.evolve],
    ids=["pickle", "copy", "deepcopy", "evolve"],
)
def test_a_copy_of_a_response_is_equal(made: Any, copied: Any) -> None:
    """Responses can be pickled and copied, and are equal to their copies."""
    assert copied(made()) == made()
    assert repr(copied(made())) == repr(made())
    assert made() != whole(parsed=2)


def test_the_text_of_a_response_says_what_it_is() -> None:
    """The repr shows what was parsed, or the problem, but neither body, URL nor headers."""
    assert repr(whole()) == "Response(parsed=1, status=200, attempts=1, elapsed=0.5)"
    assert repr(broken()) == (
        "Response(problem=ResponseDecodeError('no'), status=200, attempts=1, elapsed=0.5)"
    )


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"\xff", b"[" * 100_000, b"9" * 5000])
def test_json_of_a_response_is_strict(body: bytes) -> None:
    """`json` raises an error of ours for what is not JSON, and does not show the body."""
    with pytest.raises(DecodeError, match="expected JSON, got a body of") as caught:
        whole(body=body).json()
    assert isinstance(caught.value, ValueError)
    assert whole(body=b'{"a": 123456789012345678901}').json() == {"a": 123456789012345678901}


# Errors


@pytest.mark.parametrize(
    "error", [ArgumentError("must be more"), DecodeError("no"), oneloop.ConfigurationError("no")]
)
def test_every_error_has_the_common_attributes(error: OneloopError) -> None:
    """A handler of `OneloopError` can read them; where there was no response they are `None`."""
    names = ["status_code", "code", "message", "request_id", "url", "host", "operation"]
    assert [getattr(error, name) for name in names] == [None] * 7
    assert error.outcome is Outcome.NOT_SENT


@pytest.mark.parametrize("name", KINDS)
def test_an_error_names_the_host(name: str, options: Any) -> None:
    """A wrong base URL shows in the text of the error and in its attributes."""
    options["base_url"] = "http://127.0.0.1:9"
    with pytest.raises(APIConnectionError) as caught:
        ClientKind(name).refill(**options)
    assert caught.value.host == "127.0.0.1:9"
    assert caught.value.url == f"http://127.0.0.1:9{PATH}"
    assert str(caught.value).startswith(f"POST {PATH} at 127.0.0.1:9: ")


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("https://api.test", "api.test"),
        ("https://api.test:443/a", "api.test"),
        ("https://api.test:80", "api.test:80"),
        ("http://127.0.0.1:80/a/b", "127.0.0.1"),
        ("http://[::1]:8787", "[::1]:8787"),
        ("HTTPS://API.test:8443/", "API.test:8443"),
    ],
)
def test_the_host_has_its_port_unless_it_is_the_default(base_url: str, host: str) -> None:
    """The port is a part of the host unless it is the one of the scheme."""
    client = Oneloop(api_key="sdk", base_url=base_url, transport=Recorder(400))
    with pytest.raises(APIStatusError) as caught:
        client.refill_billing_limit(**REFILL)
    assert caught.value.host == host


def test_an_error_made_by_an_application_needs_no_url() -> None:
    """An error without a URL, or with another kind of URL, has a text as well."""
    bare = APIError("no", outcome=Outcome.UNKNOWN, method="GET", path="/a")
    assert (bare.url, bare.host) == (None, None)
    assert str(bare).startswith("GET /a: no;")
    assert APIError("no", outcome=Outcome.UNKNOWN, url="ftp://a:21/b").host == "a:21"


def test_a_secret_in_the_path_is_not_in_the_url() -> None:
    """The URL of an error has the names of the path's parameters if one of them is a secret."""
    client = Oneloop(api_key="sdk", base_url="https://api.test", transport=Recorder(400))
    with pytest.raises(APIStatusError) as caught:
        client.validate_link_token(token="lt_s3cret")
    assert caught.value.url == "https://api.test" + caught.value.path
    assert "{" in caught.value.path
    with pytest.raises(APIStatusError) as caught:
        client.get_workspace_by_id(workspace_id="ws_1")
    assert "ws_1" in (caught.value.url or "")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "250", "Retry-After": "7"}, 0.25),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:09 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_an_error_says_when_to_try_again(
    sandbox: Sandbox, status: int, headers: dict[str, str], seconds: float | None
) -> None:
    """`retry_after` is what the server asked for in seconds, or `None`."""
    sandbox.misbehave(Fault.status(status, headers=headers))
    options: Any = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    with (
        Oneloop(**options, retry=RetryPolicy(attempts=1)) as client,
        pytest.raises(RateLimitError if status == 429 else ServerError) as caught,
    ):
        client.refill_billing_limit(**REFILL)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("method", "safe", "words"),
    [
        ("GET", None, "unknown: nothing was changed, as it only reads, and it may be repeated"),
        ("HEAD", None, "unknown: nothing was changed, as it only reads, and it may be repeated"),
        ("PUT", None, "unknown: it may have happened, and may safely be repeated"),
        ("DELETE", None, "unknown: it may have happened, and may safely be repeated"),
        ("POST", True, "unknown: it may have happened, and may safely be repeated"),
        ("POST", None, "unknown: it may have happened, check before you repeat it"),
        ("GET", False, "unknown: it may have happened, check before you repeat it"),
    ],
)
def test_an_error_says_whether_to_repeat_the_call(method: str, safe: Any, words: str) -> None:
    """The text for an unknown outcome tells a read, another safe call and the rest apart."""
    client = Oneloop(api_key="sdk", transport=Recorder(503), retry=AT_ONCE)
    with pytest.raises(ServerError) as caught:
        client.request(method, "/a", safe=safe)
    assert str(caught.value).endswith(words)
    assert caught.value.outcome is Outcome.UNKNOWN


def test_an_unreadable_read_says_that_nothing_was_changed() -> None:
    """A read whose answer has another shape does not claim that something happened."""
    client = Oneloop(api_key="sdk", transport=Recorder(200, b'{"workspace": 5}'))
    with pytest.raises(ResponseDecodeError) as caught:
        client.get_workspace()
    assert str(caught.value).endswith("nothing was changed, as it only reads")


@pytest.mark.parametrize(
    ("method", "safe", "effect"),
    [
        ("POST", None, "it may have happened"),
        ("POST", True, "it may have happened, and may safely be repeated"),
        ("GET", None, "it may have happened, but changes nothing"),
    ],
)
def test_an_interruption_says_whether_to_repeat_the_call(
    method: str, safe: Any, effect: str
) -> None:
    """So does the note on an interrupted call."""

    class Interrupting(Recorder):
        def send(self, request: Any, limits: Any) -> Any:
            """Interrupt the call."""
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        Oneloop(api_key="sdk", transport=Interrupting()).request(method, "/a", safe=safe)
    assert caught.value.__notes__ == [f"request was interrupted: {effect}"]
