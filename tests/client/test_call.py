"""The course of a call without I/O: the clock, the random numbers and the replies are arguments."""

import gzip
import json
import logging
import zlib
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, TypeAlias

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from oneloop import (
    APIConnectionError,
    APIError,
    APIStatusError,
    Outcome,
    RateLimitError,
    ResponseDecodeError,
    ResponseTooLargeError,
    Retry,
    RetryPolicy,
    ServerError,
    Timeout,
    _retry,
)
from oneloop._call import Course, Reply
from oneloop._credentials import Credential
from oneloop._settings import Context, Settings
from oneloop.transport import Limits, Request, Response, ResponseTooLarge, TransportError
from oneloop_core import Call, Scheme, Secret
from tests.calling import an_operation

KEY = "sdk_of_the_test"
BEARER = Scheme(("api_key",), "header", "Authorization", "Bearer ")
SETTINGS = Settings("https://api.test", (("X-Team", "a"),), Timeout(), RetryPolicy(), 1000)
GET = Call(an_operation("GET"), "/thing?q=1")
POST = Call(an_operation("POST"), "/thing", b"{}", (("X-More", "b"),))
NOT_SENT = TransportError("refused", sent=False)
LOST = TransportError("lost")


class Clock:
    """A clock that only the test advances."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        """Return the current time in seconds."""
        return self.seconds


Steps: TypeAlias = Generator[tuple[Request, Limits] | float, Reply, Any]
"""The steps of a call: requests to send, which get a reply, and seconds to wait."""


def begin(
    call: Call[Any],
    clock: Clock | None = None,
    *,
    key: str = KEY,
    with_response: bool = True,
    **changed: Any,
) -> Steps:
    """Start a call with some settings changed, at the epoch; each backoff is half its maximum."""

    class Timed(Course[Any]):
        now = staticmethod(lambda: 0.0)
        chance = staticmethod(lambda: 0.5)

    Timed.clock = staticmethod(clock or Clock())
    credential = Credential([(BEARER, Secret(key))], (Secret(key),))
    context = Context(evolve(SETTINGS, **changed), credential)
    return steps_of(Timed(call, context, with_response=with_response))


def steps_of(course: Course[Any]) -> Steps:
    """Carry out a call as `run` does, with the replies that are sent to this generator."""
    request = course.request()
    while True:
        after = course.judge((yield request, course.begin()))
        if after is None:
            return course.result
        if isinstance(after, APIError):
            raise after
        yield after


def answer(status: int, body: bytes = b"{}", **headers: str) -> Response:
    """Return a response; underscores in header names stand for hyphens."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Response(status, pairs, body)


def failed(call: Call[Any], reply: Any, **changed: Any) -> APIError:
    """Return the error in which the call ends if its only attempt gets this reply."""
    steps = begin(call, with_response=False, retry=RetryPolicy(attempts=1), **changed)
    next(steps)
    with pytest.raises(APIError) as caught:
        steps.send(reply)
    return caught.value


def sent(steps: Steps) -> tuple[Request, Limits]:
    """Return the next step of a course, which must be to send a request."""
    step = next(steps)
    assert isinstance(step, tuple)
    return step


def waits(call: Call[Any], policy: RetryPolicy, *replies: Any) -> Iterator[float]:
    """Yield each wait of a course whose attempts get these replies."""
    steps = begin(call, retry=policy)
    next(steps)
    for reply in replies:
        try:
            step = steps.send(reply)
        except (APIError, StopIteration):
            return
        assert isinstance(step, float)
        yield step
        assert isinstance(next(steps), tuple)


def test_the_request_is_all_that_the_call_and_the_client_bring() -> None:
    """A request has the call's method, URL, body and headers, the key, and the client's headers."""
    request, _ = sent(begin(POST))
    assert request.method == "POST"
    assert request.url == "https://api.test/thing"
    assert request.body == b"{}"
    assert request.headers == (
        ("Authorization", f"Bearer {KEY}"),
        ("Content-Type", "application/json"),
        ("X-Team", "a"),
        ("X-More", "b"),
    )


def test_calls_of_one_client_share_their_headers_and_first_limits() -> None:
    """Headers and limits are made once per client, so that a transport can recognize the former."""
    context = Context(SETTINGS, Credential([(BEARER, Secret(KEY))], (Secret(KEY),)))
    for call in (GET, evolve(POST, headers=())):
        first, again = (Course[Any](call, context) for _ in range(2))
        assert first.request().headers is again.request().headers
        assert first.begin() is again.begin()


def test_an_object_is_read_whatever_its_headers_declare() -> None:
    """A body that is a JSON object is read as it stands: compressed data never begins like one."""
    steps = begin(GET)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(answer(200, b'{"a": 1}', Content_Encoding="gzip"))
    assert end.value.value.parsed == {"a": 1}
    error = failed(GET, answer(200, b'{"a": 1', Content_Encoding="br"))
    assert str(error).startswith(
        "GET /api/v1/customer-billing/refill at api.test: the server answered 200, "
        "but with an unknown content encoding"
    )


def test_a_request_without_a_body_names_no_content_type() -> None:
    """A request without a body has no Content-Type header."""
    request, _ = sent(begin(GET))
    assert "Content-Type" not in dict(request.headers)


def test_a_request_shows_nothing_but_its_method() -> None:
    """The repr of a request shows only its method, as everything else may contain secrets."""
    request, _ = sent(begin(POST))
    assert repr(request) == "Request(method='POST')"


def test_limits_are_those_of_the_client_within_the_budget() -> None:
    """The limits of an attempt are the client's timeouts, capped at the budget of the call."""
    timeout = Timeout(connect=2, read=None)
    _, limits = sent(begin(GET, retry=RetryPolicy(budget=10), timeout=timeout))
    assert (limits.connect, limits.read, limits.total) == (2, 10, 10)
    assert limits.body == 1000


def test_a_later_attempt_has_what_is_left_of_the_budget() -> None:
    """A later attempt may only take what earlier attempts and waits have left of the budget."""
    clock = Clock()
    steps = begin(GET, clock, retry=RetryPolicy(budget=10))
    next(steps)
    clock.seconds += 7
    steps.send(LOST)
    clock.seconds += 1
    _, limits = sent(steps)
    assert limits.total == 2


def test_without_a_budget_only_the_timeouts_limit_an_attempt() -> None:
    """Without a budget, only the timeouts limit an attempt, and `None` means no limit."""
    _, limits = sent(begin(GET, retry=RetryPolicy(budget=None), timeout=Timeout(read=None)))
    assert (limits.connect, limits.read, limits.total) == (5, None, None)


def test_waits_grow_up_to_the_cap() -> None:
    """Without Retry-After, the longest wait doubles from `backoff` to `cap`; each is half of it."""
    policy = RetryPolicy(attempts=7, backoff=1, cap=8, budget=None)
    assert list(waits(GET, policy, *[LOST] * 7)) == [0.5, 1, 2, 4, 4, 4]


@given(st.integers(1, 5000), st.floats(0, 100), st.floats(0, 100), st.floats(0, 1))
def test_no_backoff_is_longer_than_the_cap(
    attempt: int, backoff: float, cap: float, chance: float
) -> None:
    """The backoff is never longer than `cap`, whatever the policy, attempt and random number."""
    policy = RetryPolicy(backoff=backoff, cap=cap)
    assert 0 <= _retry.backoff(policy, attempt, chance) <= cap


DATE = format_datetime(datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7),
        ({"retry_after": " 2.5 "}, 2.5),
        ({"RETRY_AFTER": DATE}, 7),
        ({"Retry_After": "Thu, 01 Jan 1970 00:00:07 -0000"}, 7),
        ({"Retry_After": "Wed, 31 Dec 1969 23:00:00 GMT"}, 0),
        ({"retry_after_ms": "1500", "Retry_After": "9"}, 1.5),
        ({"retry_after_ms": "soon", "Retry_After": "9"}, 9),
        ({"Retry_After": "soon"}, 0.25),
        ({"Retry_After": "-1"}, 0.25),
        ({"Retry_After": "nan"}, 0.25),
        ({"Retry_After": ""}, 0.25),
        ({"Retry_After": "99999999999999999999, 1 Jan 1970"}, 0.25),
        ({"Retry_After": "Thu, 01 Jan 99999 00:00:07 GMT"}, 0.25),
        ({"Retry_After": "9999999999 Nov 2020 10:15:00 GMT"}, 0.25),
        ({}, 0.25),
    ],
)
def test_the_server_says_how_long_to_wait(headers: dict[str, str], seconds: float) -> None:
    """Retry-After (seconds or a date) or retry-after-ms sets the wait, unless it is invalid."""
    assert list(waits(POST, RetryPolicy(attempts=2), answer(429, **headers))) == [seconds]


def test_a_wait_that_outlasts_the_budget_ends_the_call_at_once() -> None:
    """If the requested wait would use up the budget, the call fails at once."""
    steps = begin(POST, retry=RetryPolicy(budget=60))
    next(steps)
    with pytest.raises(RateLimitError) as caught:
        steps.send(answer(429, Retry_After="60"))
    assert caught.value.attempts == 1


def test_a_wait_of_more_than_a_day_ends_the_call_even_without_a_budget() -> None:
    """A Retry-After of more than a day ends the call even without a budget."""
    policy = RetryPolicy(budget=None)
    assert list(waits(POST, policy, answer(429, Retry_After="86401"))) == []
    assert list(waits(POST, policy, answer(429, Retry_After="86400"))) == [86400]


def test_a_wait_within_the_budget_is_kept() -> None:
    """A Retry-After that is shorter than the budget is waited for."""
    assert list(waits(POST, RetryPolicy(budget=60), answer(429, Retry_After="59"))) == [59]


def test_503_with_retry_after_is_not_repeated_if_that_is_not_safe() -> None:
    """A 503 with Retry-After is retried only for safe operations, as it may have been applied."""
    assert list(waits(POST, RetryPolicy(), answer(503, Retry_After="1"))) == []
    assert list(waits(GET, RetryPolicy(), answer(503, Retry_After="1"))) == [1]


def test_the_hook_hears_of_each_attempt_that_will_be_repeated() -> None:
    """`on_retry` gets the operation, attempt, wait and error before each retry."""
    heard: list[Retry] = []
    policy = RetryPolicy(on_retry=heard.append)
    list(waits(GET, policy, LOST, answer(500), answer(404)))
    assert [(one.operation, one.attempt, one.wait) for one in heard] == [
        ("an_operation", 1, 0.25),
        ("an_operation", 2, 0.5),
    ]
    assert [type(one.error) for one in heard] == [APIConnectionError, ServerError]


def test_a_broken_hook_does_not_decide_over_the_call(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that `on_retry` raises is logged, and the call continues."""

    def broken(_: Retry) -> None:
        raise ValueError("no")

    assert list(waits(GET, RetryPolicy(on_retry=broken), LOST)) == [0.25]
    assert caplog.records[-1].getMessage() == "on_retry failed"


@pytest.mark.parametrize("status", [100, 101, 199, 600, 999])
def test_a_status_outside_of_http_says_nothing_of_the_outcome(status: int) -> None:
    """A response with a status outside 200 to 599 leaves the outcome unknown."""
    error = failed(POST, answer(status))
    assert type(error) is APIStatusError
    assert error.outcome is Outcome.UNKNOWN


def test_unknown_is_not_taken_back() -> None:
    """A lost attempt makes the outcome unknown, even if later ones are not sent or are rejected."""
    steps = begin(GET)
    next(steps)
    for reply in (LOST, NOT_SENT):
        steps.send(reply)
        next(steps)
    with pytest.raises(APIStatusError) as caught:
        steps.send(answer(404))
    assert caught.value.outcome is Outcome.UNKNOWN


def test_an_error_knows_its_call() -> None:
    """An error has the call's operation, method, attempts and time, and its text shows them."""
    clock = Clock()
    steps = begin(POST, clock, retry=RetryPolicy(attempts=1))
    next(steps)
    clock.seconds += 1.5
    with pytest.raises(APIError) as caught:
        steps.send(LOST)
    error = caught.value
    assert (error.operation, error.method) == ("an_operation", "POST")
    assert error.elapsed == 1.5
    assert str(error) == (
        "POST /api/v1/customer-billing/refill at api.test: lost; 1 attempt in 1.50 s; "
        "unknown: it may have happened, check before you repeat it"
    )


def test_an_error_says_what_the_server_said() -> None:
    """An error has the code, message and request id of the response, also in its text."""
    body = b'{"error": {"code": 40301, "message": "no\\nway"}}'
    error = failed(POST, answer(403, body, X_Request_Id="r-1"))
    assert (error.status_code, error.code, error.message) == (403, 40301, "no\nway")
    assert error.request_id == "r-1"
    assert error.headers == {"x-request-id": "r-1"}
    assert error.body == body.decode()
    assert str(error) == (
        "POST /api/v1/customer-billing/refill at api.test: the server answered 403 "
        "(code 40301, no way, request id r-1); 1 attempt in 0.00 s; "
        "rejected: the server did not do it"
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b'{"error": "no"}', b'{"error": {"code": "x", "message": 1}}'],
)
def test_an_error_answer_of_any_shape_is_still_that_error(body: bytes) -> None:
    """An error response of any shape keeps its status: the API documents a body for few of them."""
    error = failed(POST, answer(401, body))
    assert error.status_code == 401
    assert (error.code, error.message) == (None, None)


def test_a_long_message_is_cut_in_the_text_only() -> None:
    """A long error message is shortened in the text of the error, but not in its attribute."""
    body = json.dumps({"error": {"message": "x" * 1000}}).encode()
    error = failed(POST, answer(400, body), max_response_bytes=10_000)
    assert error.message == "x" * 1000
    assert len(str(error)) < 500


def test_a_body_is_kept_up_to_64_kib() -> None:
    """An error keeps at most 64 KiB of the response body."""
    error = failed(POST, answer(400, b"x" * 100_000), max_response_bytes=200_000)
    assert error.body == "x" * 65_536


def test_repeated_headers_are_joined() -> None:
    """The values of a repeated header are joined with commas, as HTTP defines it."""
    error = failed(POST, Response(400, (("A", "1"), ("a", "2")), b""))
    assert error.headers == {"a": "1, 2"}


def test_a_key_that_the_server_echoes_is_taken_out() -> None:
    """If the server echoes the key in a response, the error does not contain it."""
    body = json.dumps({"error": {"code": 1, "message": f"bad key {KEY}"}}).encode()
    error = failed(POST, answer(401, body, X_Echo=f"Bearer {KEY}", X_Request_Id=KEY))
    assert KEY not in f"{error} {vars(error)} {error.args}"
    assert error.message == "bad key [redacted]"


def test_a_key_that_is_cut_off_is_taken_out_too() -> None:
    """A key that is truncated at the end of a body, or of the part that is kept, is redacted."""
    for body in (f"{'x' * 65_530}{KEY}", f"x{KEY[:-1]}"):
        error = failed(POST, answer(500, body.encode()), max_response_bytes=100_000)
        assert KEY[:8] not in str(error.body)
        assert str(error.body).startswith("x")


def test_a_key_in_the_name_of_a_header_is_taken_out() -> None:
    """A key in the name of a header is redacted, although header names are lowercased first."""
    error = failed(POST, Response(500, ((f"X-{KEY}".upper(), "1"),), b""))
    assert error.headers == {"x-[redacted]": "1"}


def test_a_key_in_the_words_of_a_transport_is_taken_out() -> None:
    """A key in the message of a custom transport's error is redacted."""
    error = failed(POST, TransportError(f"illegal header Bearer {KEY}"))
    assert KEY not in f"{error} {vars(error)} {error.args}"


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
def test_a_compressed_answer_is_read(coding: str) -> None:
    """A response that is compressed with gzip is decompressed."""
    steps = begin(GET)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(answer(200, gzip.compress(b'{"a": 1}'), Content_Encoding=coding))
    assert end.value.value.parsed == {"a": 1}


def test_gzip_in_several_members_is_read() -> None:
    """Gzip data of several members, followed by zeros, is decompressed as RFC 1952 defines it."""
    body = gzip.compress(b'{"a"') + gzip.compress(b": 1}") + b"\0" * 8
    steps = begin(GET)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(answer(200, body, Content_Encoding="gzip"))
    assert end.value.value.parsed == {"a": 1}


def test_gzip_of_very_many_members_is_not_read() -> None:
    """Gzip data of very many members is refused; test_limits.py measures what reading it takes."""
    body = gzip.compress(b"") * 80_000
    error = failed(POST, answer(200, body, Content_Encoding="gzip"), max_response_bytes=10**7)
    assert type(error) is ResponseDecodeError
    assert error.outcome is Outcome.UNKNOWN


def test_an_answer_of_too_many_values_is_too_large() -> None:
    """A response with too many JSON values is too large; an error response keeps its status."""
    body = b"[" + b"0," * 5000 + b"0]"
    error = failed(POST, answer(200, body), max_response_bytes=20_000)
    assert type(error) is ResponseTooLargeError
    assert error.outcome is Outcome.UNKNOWN
    assert error.problem == (
        "the server answered 200 with more than 5000 JSON values, which is what "
        "max_response_bytes=20000 allows: raise max_response_bytes to read such a response"
    )
    assert failed(POST, answer(401, body), max_response_bytes=20_000).status_code == 401


@pytest.mark.parametrize("coding", ["utf-8", "gzip"])
def test_json_with_the_wrong_encoding_is_read(coding: str) -> None:
    """JSON that is not compressed is read, whatever its Content-Encoding says."""
    steps = begin(POST)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(answer(200, b'{"a": 1}', Content_Encoding=coding))
    assert end.value.value.parsed == {"a": 1}
    body = b'{"error": {"code": 7, "message": "no"}}'
    error = failed(POST, answer(403, body, Content_Encoding=coding))
    assert (error.code, error.message) == (7, "no")


def test_the_name_of_an_unknown_encoding_is_not_quoted() -> None:
    """The error does not repeat the name of an unknown content encoding, as the server chose it."""
    error = failed(POST, answer(200, b"no", Content_Encoding="buy\tnow"))
    assert error.problem == "the server answered 200, but with an unknown content encoding"


def test_brackets_in_strings_are_no_levels() -> None:
    """Brackets within a JSON string do not count as levels of nesting."""
    steps = begin(GET)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(answer(200, b'["' + b"[" * 200 + b'\\"]"]'))
    assert end.value.value.parsed == ["[" * 200 + '"]']


def test_a_key_too_short_to_hide_garbles_nothing() -> None:
    """A key that is too short is not redacted, as that would garble the text of the error."""
    steps = begin(POST, key="a")
    next(steps)
    with pytest.raises(APIError, match="the server answered 400"):
        steps.send(answer(400))


def test_deflate_is_read() -> None:
    """A response that is compressed with deflate is decompressed."""
    steps = begin(GET)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(answer(200, zlib.compress(b"[1]"), Content_Encoding="deflate"))
    assert end.value.value.parsed == [1]


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (zlib.compress(b"{}") + b"more", "deflate"),
        (gzip.compress(b"{}") + b"more", "gzip"),
        (b"no gzip", "gzip"),
        (gzip.compress(b"{}")[:-5], "gzip"),
        (b"\x0b\x01\x80{}\x03", "br"),
        (b"", "gzip"),
    ],
)
def test_a_broken_or_unknown_compression_leaves_the_outcome_open(body: bytes, coding: str) -> None:
    """A response that cannot be decompressed leaves the outcome unknown."""
    error = failed(POST, answer(200, body, Content_Encoding=coding))
    assert type(error) is ResponseDecodeError
    assert error.outcome is Outcome.UNKNOWN


def test_a_broken_compression_of_an_error_does_not_hide_the_error() -> None:
    """An error response that cannot be decompressed keeps its status."""
    assert failed(POST, answer(401, b"no gzip", Content_Encoding="gzip")).status_code == 401


def test_a_decompression_bomb_is_too_large() -> None:
    """The size limit applies to the decompressed body, so a decompression bomb is too large."""
    error = failed(POST, answer(200, gzip.compress(b" " * 1001), Content_Encoding="gzip"))
    assert type(error) is ResponseTooLargeError
    assert error.outcome is Outcome.UNKNOWN


def test_an_answer_just_within_the_limit_is_read() -> None:
    """A response whose decompressed size is exactly the limit is read."""
    steps = begin(GET)
    next(steps)
    with pytest.raises(StopIteration):
        steps.send(answer(200, gzip.compress(b"{}" + b" " * 998), Content_Encoding="gzip"))


def test_a_too_large_answer_tells_its_status_and_headers() -> None:
    """The error for a response that is too large has its status and request id."""
    error = failed(GET, ResponseTooLarge(200, (("X-Request-Id", "r-1"),)))
    assert (error.status_code, error.request_id) == (200, "r-1")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"NaN",
        b'{"a": Infinity}',
        b"{",
        b"\xff",
        b"[" * 40_000,
        b"1" * 5000,
        b'"\xed\xa0\x80"',
    ],
)
def test_what_is_not_json_is_not_read(body: bytes) -> None:
    """Invalid JSON or UTF-8, NaN, Infinity, and excessive numbers or nesting are refused."""
    error = failed(GET, answer(200, body), max_response_bytes=1_000_000)
    assert type(error) is ResponseDecodeError
    assert error.outcome is Outcome.UNKNOWN
    assert error.field == ""


def test_a_byte_order_mark_is_skipped() -> None:
    """A byte order mark before the JSON, which some proxies add, is skipped."""
    steps = begin(GET)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(answer(200, b"\xef\xbb\xbf[1]"))
    assert end.value.value.parsed == [1]


def test_an_operation_without_an_answer_reads_none() -> None:
    """The body of a response is ignored if the operation does not return anything."""
    steps = begin(Call(an_operation("DELETE", None), "/"))
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(answer(204, b"<html>"))
    assert end.value.value.parsed is None


def test_the_log_names_operations_and_never_what_they_carry(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Records have neither the key nor any text of the server."""
    caplog.set_level(logging.DEBUG, "oneloop")
    body = json.dumps({"error": {"message": "the key cus_secret is bad"}}).encode()
    list(waits(GET, RetryPolicy(), answer(500, body), answer(200)))
    failed(POST, answer(400, body))
    messages = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert messages == [
        ("INFO", "an_operation: again in 0.250 s: the server answered 500"),
        ("DEBUG", "an_operation: done, attempt 2, 0.000 s"),
        ("WARNING", "an_operation: failed: the server answered 400; outcome rejected"),
    ]
