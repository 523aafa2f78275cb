"""Generated models keep what the server sends; wrong arguments of calls are not sent."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneloop_api.api.v1 import refill_billing_limit
from oneloop_api.models import (
    CustomerBillingMeter,
    ErrorResponse,
    RefillCustomerBillingMeterResponse,
)
from oneloop_core import ArgumentError, ArgumentTypeError, ArgumentValueError, DecodeError, Outcome

SAFE_MAXIMUM = 2**53 - 1
SIXTY_DIGITS = "123456789012345678901234567890123456789012345678901234567890"
CREATED = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)


def billing(**changed: Any) -> dict[str, Any]:
    """Return a meter like the one in the document, with some fields changed."""
    documented = {
        "id": "mtr_1",
        "totalCredits": "1500",
        "usedCredits": "20",
        "allowOverages": False,
        "spendCap": "5000",
        "createdAt": "2026-11-23T10:15:00.000Z",
        "updatedAt": "2026-11-23T10:16:00.120Z",
    }
    return documented | changed


def without(field: str) -> dict[str, Any]:
    """Return a meter that lacks one field."""
    return {key: value for key, value in billing().items() if key != field}


def meter(**changed: Any) -> CustomerBillingMeter:
    """Return a meter like one that an application builds, with some fields changed."""
    fields: dict[str, Any] = {
        "id": "mtr_1",
        "total_credits": 1500,
        "used_credits": 20,
        "allow_overages": False,
        "spend_cap": None,
        "created_at": CREATED,
        "updated_at": CREATED,
    }
    return CustomerBillingMeter(**fields | changed)


def read(**changed: Any) -> RefillCustomerBillingMeterResponse:
    """Decode the answer to a refill with some fields of its meter changed."""
    return RefillCustomerBillingMeterResponse.from_dict({"billing": billing(**changed)})


# Reading


def test_a_meter_is_read_with_python_types() -> None:
    """Digit strings become integers, timestamps aware datetimes, and names are snake_case."""
    read_meter = CustomerBillingMeter.from_dict(billing())
    assert read_meter == CustomerBillingMeter(
        id="mtr_1",
        total_credits=1500,
        used_credits=20,
        allow_overages=False,
        spend_cap=5000,
        created_at=CREATED,
        updated_at=datetime(2026, 11, 23, 10, 16, 0, 120000, tzinfo=UTC),
    )


@pytest.mark.parametrize("changed", [{}, {"spendCap": None}, {"totalCredits": SIXTY_DIGITS}])
def test_a_documented_answer_comes_back_exactly(changed: dict[str, Any]) -> None:
    """Decoding and encoding an answer returns what the server sent."""
    answer = {"billing": billing(**changed)}
    assert RefillCustomerBillingMeterResponse.from_dict(answer).to_dict() == answer
    assert CustomerBillingMeter.from_dict(answer["billing"]).to_dict() == answer["billing"]


def test_an_answer_without_a_meter_is_read() -> None:
    """A response whose billing is null, which the document allows, has no meter."""
    response = RefillCustomerBillingMeterResponse.from_dict({"billing": None})
    assert response.billing is None
    assert response.to_dict() == {"billing": None}


def test_reading_leaves_the_parsed_json_alone() -> None:
    """Decoding does not change its input."""
    answer = {"billing": billing(), "extra": [1]}
    RefillCustomerBillingMeterResponse.from_dict(answer)
    assert answer == {"billing": billing(), "extra": [1]}


def test_sixty_digits_are_exact() -> None:
    """Credits that no float can represent are read to the last digit."""
    assert CustomerBillingMeter.from_dict(billing(totalCredits=SIXTY_DIGITS)).total_credits == int(
        SIXTY_DIGITS
    )


def test_credits_may_come_as_numbers() -> None:
    """If the vendor replaces digit strings by JSON numbers, nothing breaks."""
    assert CustomerBillingMeter.from_dict(billing(totalCredits=7)).total_credits == 7


def test_unknown_fields_are_kept_and_sent_back() -> None:
    """Fields at any depth that the document does not have are sent back unchanged."""
    answer = {
        "billing": billing(plan={"name": "pro", "limits": [1, None, {"x": 1.5}]}),
        "requestId": "req_1",
    }
    response = RefillCustomerBillingMeterResponse.from_dict(answer)
    assert response.additional_properties == {"requestId": "req_1"}
    assert response.billing is not None
    assert list(response.billing.additional_properties) == ["plan"]
    assert response.to_dict() == answer


@pytest.mark.parametrize("field", list(billing()))
def test_a_missing_field_is_named(field: str) -> None:
    """The error has the path to the missing field."""
    with pytest.raises(DecodeError) as caught:
        RefillCustomerBillingMeterResponse.from_dict({"billing": without(field)})
    assert str(caught.value) == f"billing.{field}: required field is missing"
    assert caught.value.path == f"billing.{field}"


def test_an_answer_without_billing_is_an_error() -> None:
    """Billing may be null, but not absent."""
    with pytest.raises(DecodeError, match=r"^billing: required field is missing$"):
        RefillCustomerBillingMeterResponse.from_dict({})


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("id", 5, "expected a string, got 5"),
        ("id", None, "expected a string, got null"),
        ("totalCredits", "1e3", "expected a string of ASCII digits, got '1e3'"),
        ("totalCredits", 1.5, "expected a string of ASCII digits, got 1.5"),
        ("totalCredits", None, "expected a string of ASCII digits, got null"),
        ("usedCredits", "-1", "expected a string of ASCII digits, got '-1'"),
        ("allowOverages", "false", "expected true or false, got a string"),
        ("allowOverages", 0, "expected true or false, got 0"),
        ("spendCap", False, "expected a string of ASCII digits, got false"),
        ("createdAt", "2026-11-23", "expected a date and time, got '2026-11-23'"),
        ("updatedAt", 1795428900, "expected a date and time, got 1795428900"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(field: str, value: Any, problem: str) -> None:
    """The error has the path, what the document promises and what was found."""
    with pytest.raises(DecodeError) as caught:
        read(**{field: value})
    assert str(caught.value) == f"billing.{field}: {problem}"


@pytest.mark.parametrize("value", [[], "null", 0, False])
def test_billing_must_be_an_object(value: Any) -> None:
    """Billing must be an object, or null if there is no meter."""
    with pytest.raises(DecodeError, match=r"^billing: expected an object, got "):
        RefillCustomerBillingMeterResponse.from_dict({"billing": value})


@pytest.mark.parametrize("value", [None, [], "text", 1])
def test_an_answer_must_be_an_object(value: Any) -> None:
    """If the answer is not an object, the error is about the answer as a whole."""
    with pytest.raises(DecodeError, match=r"^the answer: expected an object, got "):
        RefillCustomerBillingMeterResponse.from_dict(value)


def test_an_error_of_the_server_is_read() -> None:
    """An error envelope is read with an integer code, and its unknown fields are kept."""
    body = {"error": {"code": 403, "message": "no", "hint": "x"}}
    response = ErrorResponse.from_dict(body)
    assert (response.error.code, response.error.message) == (403, "no")
    assert response.to_dict() == body


@given(
    st.builds(
        meter,
        id=st.text(),
        total_credits=st.integers(min_value=0),
        used_credits=st.integers(min_value=0),
        allow_overages=st.booleans(),
        spend_cap=st.none() | st.integers(min_value=0),
        created_at=st.datetimes(timezones=st.just(UTC)),
    )
)
def test_any_meter_survives_json(original: CustomerBillingMeter) -> None:
    """A meter is equal after it was written as JSON text and read again."""
    text = json.dumps(original.to_dict())
    assert CustomerBillingMeter.from_dict(json.loads(text)) == original


# Building and writing


def test_fields_are_given_by_name() -> None:
    """Fields are keyword-only, so that new ones do not change the meaning of existing calls."""
    model: Any = CustomerBillingMeter
    with pytest.raises(TypeError):
        model("mtr_1", 1500, 20, False, None, CREATED, CREATED)


def test_fields_that_do_not_exist_cannot_be_set() -> None:
    """A misspelt field is an error, not a new attribute."""
    one: Any = meter()
    assert not hasattr(one, "__dict__")
    with pytest.raises(AttributeError):
        one.total_credit = 5


def test_meters_do_not_share_their_unknown_fields() -> None:
    """Each meter has its own dict of unknown fields."""
    one, other = meter(), meter()
    one.additional_properties["plan"] = "pro"
    assert other.additional_properties == {}


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("id", None, ArgumentTypeError),
        ("total_credits", -1, ArgumentValueError),
        ("total_credits", "5", ArgumentTypeError),
        ("used_credits", True, ArgumentTypeError),
        ("allow_overages", 1, ArgumentTypeError),
        ("spend_cap", 1.5, ArgumentTypeError),
        ("created_at", CREATED.replace(tzinfo=None), ArgumentValueError),
        ("updated_at", "2026-11-23T10:15:00Z", ArgumentTypeError),
    ],
)
def test_a_field_that_may_not_be_sent_is_named(
    field: str, value: Any, error: type[ArgumentError]
) -> None:
    """`to_dict` checks each field, and its error has the Python name of the first wrong one."""
    response = RefillCustomerBillingMeterResponse(billing=meter(**{field: value}))
    with pytest.raises(error) as caught:
        response.to_dict()
    assert caught.value.argument == f"billing.{field}"


def test_an_unknown_field_that_may_not_be_sent_is_named() -> None:
    """If an unknown field is not JSON, the error of `to_dict` has the path to it."""
    one = meter(additional_properties={"plan": {"tags": {1}}})
    with pytest.raises(ArgumentTypeError) as caught:
        one.to_dict()
    assert caught.value.argument == "additional_properties.plan.tags"


def test_an_unknown_field_cannot_replace_a_documented_one() -> None:
    """If an unknown field has the name of a documented one, the documented field is sent."""
    assert meter(additional_properties={"totalCredits": "9"}).to_dict()["totalCredits"] == "1500"


# The call


def test_a_refill_is_encoded_byte_for_byte() -> None:
    """A refill has a path, a compact body and no header parameters."""
    call = refill_billing_limit.call(workspace_id="ws_1", external_meter_id="acm\u00e9", refill=5)
    expected = '{"workspaceId":"ws_1","externalMeterId":"acm\u00e9","refill":5}'
    assert call.operation is refill_billing_limit.OPERATION
    assert call.target == "/api/v1/customer-billing/refill"
    assert call.body == expected.encode()
    assert call.headers == ()


@pytest.mark.parametrize("refill", [1, SAFE_MAXIMUM])
def test_a_refill_within_bounds_is_encoded(refill: int) -> None:
    """One credit and the largest integer that JavaScript keeps exact are sent."""
    call = refill_billing_limit.call(workspace_id="w", external_meter_id="m", refill=refill)
    assert json.loads(call.body or b"")["refill"] == refill


@pytest.mark.parametrize(
    ("refill", "error", "problem"),
    [
        (0, ArgumentValueError, "must be greater than 0, got 0"),
        (-1, ArgumentValueError, "must be greater than 0, got -1"),
        (2**53, ArgumentValueError, "must be at most 9007199254740991, got 9007199254740992"),
        (True, ArgumentTypeError, "must be an integer, got True"),
        (1.5, ArgumentTypeError, "must be an integer, got 1.5"),
        (5.0, ArgumentTypeError, "must be an integer, got 5.0"),
        ("5", ArgumentTypeError, "must be an integer, got a value of type str"),
        (None, ArgumentTypeError, "must be an integer, got None"),
    ],
)
def test_a_wrong_refill_is_named(refill: Any, error: Any, problem: str) -> None:
    """The error has the argument's name, and the outcome that nothing was sent."""
    with pytest.raises(error) as caught:
        refill_billing_limit.call(workspace_id="w", external_meter_id="m", refill=refill)
    assert str(caught.value) == f"refill {problem}"
    assert caught.value.argument == "refill"
    assert caught.value.operation == "refill_billing_limit"
    assert caught.value.outcome is Outcome.NOT_SENT


@pytest.mark.parametrize("name", ["workspace_id", "external_meter_id"])
@pytest.mark.parametrize("value", [None, 5, b"ws_1", "\ud800"], ids=ascii)
def test_a_wrong_name_is_named(name: str, value: Any) -> None:
    """If an id is not a string, the error has the argument's name."""
    arguments: dict[str, Any] = {"workspace_id": "w", "external_meter_id": "m", "refill": 1}
    with pytest.raises(ArgumentError) as caught:
        refill_billing_limit.call(**arguments | {name: value})
    assert caught.value.argument == name


def test_an_argument_error_has_no_cause() -> None:
    """The error is raised without the errors of the checks behind it."""
    with pytest.raises(ArgumentError) as caught:
        refill_billing_limit.call(workspace_id="w", external_meter_id="m", refill=0)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_refill_is_a_post_that_is_not_safe() -> None:
    """Repeating a refill would add credits twice, so the operation is not safe."""
    operation = refill_billing_limit.OPERATION
    assert (operation.name, operation.method, operation.safe) == (
        "refill_billing_limit",
        "POST",
        False,
    )
    assert operation.path == "/api/v1/customer-billing/refill"
    assert operation.decode is not None
    assert operation.decode({"billing": None}).billing is None
