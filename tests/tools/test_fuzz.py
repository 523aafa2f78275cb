"""Mutated answers end in correct models or in our errors, and the fuzz detects anything else."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

import oneloop
from oneloop import Outcome
from tests.calling import KINDS
from tests.tools.fuzz.__main__ import main
from tests.tools.fuzz.answers import KEY, Answer, Case, good
from tests.tools.fuzz.cases import case_of
from tests.tools.fuzz.json_reader import parse
from tests.tools.fuzz.meaning import Expected, leaves_bytes, read
from tests.tools.fuzz.runs import BY_HTTPX, run, run_all
from tests.tools.fuzz.verdict import judge

PLAIN = Case(7, "plain", (Answer(good(7).wire(), "keep"),))
REFUSED = Case(7, "status", (Answer(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"),))


def an_error(kind: type[Any] = oneloop.BadRequestError, **known: Any) -> Any:
    """Return the error that `REFUSED` should end in, with some attributes changed."""
    return kind("no", **{"outcome": Outcome.REJECTED, "status_code": 400} | known)


def with_attribute(name: str, value: Any) -> Any:
    """Return the error that `REFUSED` should end in, with one attribute set afterwards."""
    error = an_error()
    setattr(error, name, value)
    return error


def test_mutated_answers_end_in_right_models_or_our_errors() -> None:
    """Both clients, with each kind of transport, pass 500 cases of the fuzz."""
    reports = run_all(KINDS, list(range(500)), 1)
    assert [report.failures for report in reports] == [[]] * len(KINDS)
    assert all(report.cases == 500 for report in reports)
    assert all(report.results["model"] > 100 for report in reports)
    assert all(report.outcomes["applied"] > 20 for report in reports)


def test_a_case_is_made_from_its_seed_and_number_alone() -> None:
    """A case depends only on its seed and number, so that a failure can be repeated alone."""
    assert [case_of(1, number) for number in range(50)] == [
        case_of(1, number) for number in range(50)
    ]
    assert case_of(1, 5) != case_of(2, 5)


def leaks(*_: Any) -> Any:
    """Raise an error of the standard library, which is also a `ValueError`."""
    raise json.JSONDecodeError("leaked", "", 0)


def answers_for_another(_body: bytes, _limit: int) -> Any:
    """Read every answer as that of call 99."""
    return json.loads(good(99).body)


def again(_policy: Any, _failure: Any, attempt: int, *_: Any) -> float | None:
    """Repeat every call once."""
    return 0.0 if attempt == 1 else None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("place", "patch", "found"),
    [
        ("oneloop._call._judge", leaks, "let JSONDecodeError escape"),
        ("oneloop._call.read_json", answers_for_another, "got the answer of 99"),
        ("oneloop._call.seconds_to_next", again, "was sent again after attempt 1"),
    ],
)
def test_the_fuzz_detects_a_broken_client(
    monkeypatch: pytest.MonkeyPatch, kind: str, place: str, patch: Callable[..., Any], found: str
) -> None:
    """The fuzz detects leaked exceptions, crossed answers and refills that are sent twice."""
    monkeypatch.setattr(place, patch)
    failures = run(kind, list(range(12)), 1).failures
    assert any(found in failure for failure in failures)


@pytest.mark.parametrize(
    ("result", "seen", "elapsed", "found"),
    [
        (ValueError("not ours"), 1, 0.0, "let ValueError escape"),
        (oneloop.ArgumentValueError("no call"), 1, 0.0, "let ArgumentValueError escape"),
        (None, 1, 0.0, "returned a NoneType"),
        (an_error(), 1, 8.5, "took 8.50 s"),
        (an_error(), 0, 0.0, "never reached"),
        (an_error(), 2, 0.0, "was sent again"),
        (an_error(attempts=2), 1, 0.0, "says 2 attempts, not 1"),
        (an_error(outcome=Outcome.NOT_SENT), 1, 0.0, "says not sent"),
        (an_error(outcome=Outcome.APPLIED), 1, 0.0, "says applied after 400"),
        (an_error(outcome=Outcome.UNKNOWN), 1, 0.0, "says unknown"),
        (an_error(status_code=200), 1, 0.0, "says rejected after 200"),
        (an_error(oneloop.NotFoundError), 1, 0.0, "not BadRequestError"),
        (an_error(code=5), 1, 0.0, "says 5"),
        (with_attribute("method", "two\nlines"), 1, 0.0, "is not one line"),
        (with_attribute("problem", f"of {KEY}"), 1, 0.0, "contains the API key"),
        (with_attribute("problem", f"of {KEY[:-1]}"), 1, 0.0, "contains most of the API key"),
        (with_attribute("hook", lambda: None), 1, 0.0, "cannot be pickled"),
        (with_attribute("__cause__", ValueError()), 1, 0.0, "has the cause or context"),
    ],
)
def test_each_wrong_result_is_detected(result: Any, seen: int, elapsed: float, found: str) -> None:
    """Every check of the fuzz can fail."""
    assert judge(REFUSED, an_error(), 1, 0.0) == []
    assert any(found in text for text in judge(REFUSED, result, seen, elapsed))


@pytest.mark.parametrize(
    ("result", "seen", "found"),
    [
        (ValueError("not ours"), 1, "let ValueError escape"),
        (None, 1, "returned a NoneType"),
        (an_error(outcome=Outcome.NOT_SENT), 1, "says not sent"),
        (an_error(outcome=Outcome.APPLIED), 1, "says applied after 400"),
        (with_attribute("problem", f"of {KEY}"), 1, "contains the API key"),
    ],
)
def test_most_is_checked_behind_surplus_bytes_as_well(result: Any, seen: int, found: str) -> None:
    """A call that may get what an earlier answer left may get any answer, but must be sound."""
    another = an_error(oneloop.NotFoundError, status_code=404, attempts=2)
    assert judge(PLAIN, another, 1, 0.0) != []
    for seen_by_then in (0, 1, 2):
        assert judge(PLAIN, another, seen_by_then, 0.0, confused=True) == []
    assert any(found in text for text in judge(PLAIN, result, seen, 0.0, confused=True))


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (good(7).wire(), False),
        (good(7).wire() + b"\n", True),
        (b"HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\n", False),
        (b"HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\n}", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", False),  # the client gives it up
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", True),  # its end is not certain
        (b"", False),
    ],
)
def test_the_second_reader_finds_what_follows_an_answer(raw: bytes, left: bool) -> None:
    """Only surplus bytes, or an end that is not certain, leave the next answer in doubt."""
    assert leaves_bytes(Answer(raw, "keep")) == left


@pytest.mark.parametrize("kind", KINDS)
def test_only_kinds_that_use_httpx_get_what_was_left(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The fuzz accepts another call's answer after surplus bytes, but only from httpx's parser."""
    monkeypatch.setattr("oneloop._call.read_json", answers_for_another)
    numbers = [number for number in range(300) if case_of(1, number).family == "leftovers"]
    failures = run(kind, numbers, 1).failures
    assert any(", probe)" in failure for failure in failures) != kind.endswith(BY_HTTPX)


def test_a_wrong_model_is_detected() -> None:
    """Wrong fields or statuses are detected, and a model where there should be an error."""
    model = oneloop.models.RefillCustomerBillingMeterResponse
    answer = oneloop.Response(
        parsed=model.from_dict(json.loads(good(7).body)),
        status=200,
        headers={},
        attempts=1,
        elapsed=0.0,
    )
    assert judge(PLAIN, answer, 1, 0.0) == []
    assert "returned" in judge(REFUSED, answer, 1, 0.0)[0]
    assert answer.parsed.billing is not None
    answer.parsed.billing.used_credits += 1
    answer.parsed.additional_properties["more"] = 1
    answer.status = 201
    assert judge(PLAIN, answer, 1, 0.0) == [
        "says status 201",
        "has other unknown fields",
        "has used_credits 8, not 7",
    ]
    answer.parsed.billing = None
    assert "has billing None" in judge(PLAIN, answer, 1, 0.0)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":[1,-0,2.5e3,true,false,null,"x\\n\\u0041\\ud83d\\ude00 é"],"b":{},"a":[]}',
        "[[],{}]",
        ' "alone" ',
        "-12",
    ],
)
def test_the_second_reader_reads_json(text: str) -> None:
    """The second reader parses JSON like the standard library, which it does not use."""
    assert parse(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    ["", "[1,]", '{"a"}', '{"a":1,}', "NaN", "01", "'x'", "[1 2]", "1 1", "]", '"\x01"', ","],
)
def test_the_second_reader_refuses_what_is_not_json(text: str) -> None:
    """The second reader is as strict as the client promises to be."""
    with pytest.raises(ValueError):
        parse(text.encode())


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (b"", Outcome.UNKNOWN),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", Outcome.REJECTED),
        (b"HTTP/1.1 503 No\r\n\r\n", Outcome.UNKNOWN),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Outcome.APPLIED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", Outcome.UNKNOWN),
        (b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 200 OK\r\n\r\n<html>", Outcome.UNKNOWN),
    ],
)
def test_the_second_reader_finds_outcomes(raw: bytes, outcome: Outcome) -> None:
    """The second reader finds the outcome in the raw bytes, without the client."""
    expected = read(Answer(raw))
    assert isinstance(expected, Expected)
    assert expected.outcomes == {outcome}


def test_the_second_reader_reads_models() -> None:
    """The second reader converts values to Python's types and keeps unknown fields."""
    expected = read(PLAIN.answers[0])
    assert expected is not None
    assert expected.model is not None
    assert expected.model["billing"]["total_credits"] == 10**12 + 7
    assert isinstance(expected.model["billing"]["created_at"], datetime)
    assert expected.model["billing"]["additional_properties"] == {"call": 7}


def test_the_second_reader_expects_nothing_of_broken_http() -> None:
    """For broken HTTP, only the checks that apply to every call are made."""
    assert read(Answer(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}")) is None
    assert (
        read(Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}")) is None
    )


def test_the_second_reader_allows_for_the_limits_of_errors_and_answers() -> None:
    """Long messages are cut off, and answers that are nested too deep may count as too large."""
    message = json.dumps({"error": {"code": 5, "message": "m" * 3000}}).encode()
    expected = read(Answer(b"HTTP/1.1 400 No\r\n\r\n" + message))
    assert expected is not None
    assert expected.said == (5, "m" * 2000)
    expected = read(Answer(b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 10_000))
    assert expected is not None
    assert expected.errors == (oneloop.ResponseDecodeError, oneloop.ResponseTooLargeError)


def test_one_case_is_repeated_and_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single case prints its bytes, meaning and result, and exits with 1 after a failure."""
    monkeypatch.setenv("NO_PROXY", "")
    arguments = ["--only", "0", "--kind", "sync"]
    assert main(arguments) == 0
    assert "case-0" in capsys.readouterr().out
    monkeypatch.setattr("oneloop._call._judge", leaks)
    assert main(arguments) == 1
    assert "FAILED --seed 1 --kind sync --only 0" in capsys.readouterr().out
