"""The verdict on the result of a call, given the answers that it got."""

import pickle
import re
import traceback
from collections import Counter
from datetime import datetime
from typing import Any

import oneloop
from oneloop import Outcome

from .answers import KEY, PROBE, Case
from .meaning import DOUBTFUL, LOST, Expected, read

ATTEMPTS = 3
BUDGET = 2.0
"""Seconds for all attempts of a call."""

GRACE = 6.0
"""Seconds by which a call may exceed its budget, as the machine may be busy."""


def judge(
    case: Case, result: Any, seen: int, elapsed: float, *, confused: bool = False
) -> list[str]:
    """Return what is wrong with the result of a call; an empty list if nothing is.

    Args:
        case: The call and its answers.
        result: The response, or the exception.
        seen: Number of requests that the server got for this call.
        elapsed: Seconds that the call took.
        confused: Whether the call may get bytes that an earlier answer left on the connection,
            perhaps even before the server has read its request.
    """
    last = case.answer(max(seen, 1))
    expected = None if confused else read(last)
    wrong = []
    if elapsed > BUDGET + GRACE:
        wrong.append(f"took {elapsed:.2f} s")
    if not seen and not confused:
        wrong.append("never reached the server")
    for attempt in range(1, 1 if confused else seen):
        before = read(case.answer(attempt))
        status = None if before is None else before.status
        if status != 429 and not (before is None and b" 429" in case.answer(attempt).raw):
            wrong.append(f"was sent again after attempt {attempt}")
    if isinstance(result, BaseException):
        return wrong + _judge_error(result, expected, case, seen, confused=confused)
    if not isinstance(result, oneloop.Response):
        return [*wrong, f"returned a {type(result).__name__}"]
    if result.attempts != seen and not confused:
        wrong.append(f"says {result.attempts} attempts, not {seen}")
    billing = result.parsed.billing
    own = case.number + PROBE if case.probe else case.number
    if billing is not None and not confused:
        wrong += _crossed(billing, own)
    if expected is None:
        return wrong
    if expected.model is None:
        return [*wrong, f"returned {result.parsed!r:.200}, not {_names(expected)}"]
    if expected.status != result.status:
        wrong.append(f"says status {result.status}")
    return wrong + _differences(result.parsed, expected.model)


def _crossed(billing: Any, own: int) -> list[str]:
    """Return whether at least two of the three marks in a meter are those of another call."""
    numbered = re.fullmatch(r"meter_([0-9]{1,9})", billing.id)
    marks = [
        int(numbered[1]) if numbered else None,
        billing.total_credits - 10**12,
        billing.additional_properties.get("call"),
    ]
    (mark, times), *_ = Counter(str(mark) for mark in marks if mark is not None).most_common()
    return [f"got the answer of {mark}"] if times > 1 and mark != str(own) else []


def _differences(parsed: Any, model: dict[str, Any]) -> list[str]:
    wrong = []
    if parsed.additional_properties != model["additional_properties"]:
        wrong.append("has other unknown fields")
    if (parsed.billing is None) != (model["billing"] is None):
        return [*wrong, f"has billing {parsed.billing!r:.100}"]
    for name, value in (model["billing"] or {}).items():
        found = getattr(parsed.billing, name)
        right = found == value and type(found) is type(value)
        if value is DOUBTFUL:
            right = isinstance(found, datetime) and found.tzinfo is not None
        if not right:
            wrong.append(f"has {name} {found!r:.100}, not {value!r:.100}")
    return wrong


def _names(expected: Expected) -> str:
    return "/".join(kind.__name__ for kind in expected.errors) or "a model"


def _judge_error(
    error: BaseException, expected: Expected | None, case: Case, seen: int, *, confused: bool
) -> list[str]:
    name = type(error).__name__
    if not isinstance(error, oneloop.APIError) or type(error).__module__ != "oneloop":
        end = traceback.extract_tb(error.__traceback__)[-1:]
        where = f" at {end[0].filename.rsplit('/', 1)[-1]}:{end[0].lineno}" if end else ""
        return [f"let {name} escape{where}: {error!s:.200}"]
    wrong = _unsound(error, case)
    closing = seen and case.answer(seen).after != "keep"
    if closing and error.attempts == seen + 1 and type(error) is oneloop.APIConnectionError:
        # The last attempt used a connection that the server was closing, which no client can see.
        return wrong
    outcome, status = error.outcome, error.status_code
    if error.attempts != seen and not confused:
        wrong.append(f"says {error.attempts} attempts, not {seen}")
    if seen and outcome is Outcome.NOT_SENT:
        wrong.append("says not sent, but the server read it")
    kind = (status or 0) // 100
    if kind == 2 and outcome not in (Outcome.APPLIED, Outcome.UNKNOWN):
        wrong.append(f"says {outcome.value} after {status}")
    if kind != 2 and outcome is Outcome.APPLIED:
        wrong.append(f"says applied after {status}")
    if outcome is Outcome.REJECTED and kind not in (3, 4):
        wrong.append(f"says rejected after {status}")
    if expected is None:
        return wrong
    if not expected.errors:
        return [*wrong, f"raised {error!s:.200}, though the answer is right"]
    # Only for a lost answer a subclass will do, because the loss may also show as a timeout.
    fits = (
        isinstance(error, expected.errors)
        if expected.errors == LOST
        else type(error) in expected.errors
    )
    if not fits:
        wrong.append(f"raised {name}, not {_names(expected)}: {error!s:.200}")
    if outcome not in expected.outcomes:
        wrong.append(f"says {outcome.value}: {error!s:.200}")
    if fits and expected.status is not None and status != expected.status:
        wrong.append(f"says status {status}")
    if fits and expected.said is not None and (error.code, error.message) != expected.said:
        wrong.append(f"says {error.code!r:.50}, {error.message!r:.100}")
    field_named = getattr(error, "field", "")
    if fits and expected.fields is not None and field_named not in expected.fields:
        wrong.append(f"names the field {field_named!r:.100}")
    return wrong


def _unsound(error: oneloop.APIError, case: Case) -> list[str]:
    """Return what is wrong with an error of ours, whatever it is about."""
    wrong = []
    sent = b"".join(answer.raw for answer in case.answers)
    spoiled = sent.count(KEY[:-4].encode()) > sent.count(KEY.encode())
    if not isinstance(error.outcome, Outcome):
        wrong.append(f"has the outcome {error.outcome!r}")
    text = str(error)
    if len(text.splitlines()) != 1 or not text.isprintable():
        wrong.append(f"is not one line: {text!r:.300}")
    if error.__cause__ is not None or error.__context__ is not None:
        wrong.append(f"has the cause or context {error.__cause__ or error.__context__!r:.200}")
    try:
        pickled = pickle.dumps(error)
        copy = pickle.loads(pickled)
    except Exception as failure:  # noqa: BLE001 - any failure to pickle is a finding
        return [*wrong, f"cannot be pickled: {failure!r:.200}"]
    if type(copy) is not type(error) or str(copy) != text or vars(copy) != vars(error):
        wrong.append("changes when it is pickled")
    whole = pickled + text.encode("utf-8", "replace") + repr(error).encode("utf-8", "replace")
    if KEY.encode() in whole:
        wrong.append("contains the API key")
    elif KEY[:-4].encode() in whole and not spoiled:
        wrong.append("contains most of the API key")
    return wrong
