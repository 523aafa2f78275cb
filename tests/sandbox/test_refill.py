"""A refill, as an example of all operations: its response, and the requests that are refused."""

import json
import re
import time

import pytest

from oneloop.sandbox import Sandbox
from tests.sandbox.calls import connect
from tests.sandbox.refills import (
    BODY,
    REFILL,
    call,
    credits_of,
    wait_for,
)


def test_refill_raises_total_credits(sandbox: Sandbox) -> None:
    """The response to a refill is the whole meter, with every documented field."""
    reply = call(sandbox)
    billing = reply.json["billing"]
    created, updated = billing.pop("createdAt"), billing.pop("updatedAt")
    assert reply.status == 200
    assert billing == {
        "id": "cbm_833a6778b834ffdf87a01c2604a4f7a8",
        "totalCredits": "1005",
        "usedCredits": "0",
        "allowOverages": False,
        "spendCap": None,
    }
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each) for each in (created, updated)
    )


def test_refill_moves_updated_at_only(sandbox: Sandbox) -> None:
    """A refill changes updatedAt and not createdAt."""
    before = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    wait_for(lambda: time.time() > before.updated_at.timestamp() + 0.002)
    call(sandbox)
    after = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    assert after.created_at == before.created_at
    assert after.updated_at > before.updated_at


def test_answers_have_a_length_and_a_date_and_no_more(sandbox: Sandbox) -> None:
    """A normal response is not chunked, and has no header that the vendor does not send."""
    headers = call(sandbox).headers
    assert headers.keys() == {"content-type", "content-length", "date"}
    assert headers["content-type"] == "application/json; charset=utf-8"


def test_connections_are_kept_alive(sandbox: Sandbox) -> None:
    """A connection can be used for several calls, even after an error."""
    client = connect(sandbox)
    sandbox.misbehave("503")
    statuses = [call(sandbox, connection=client).status for _ in range(3)]
    kept = client.sock is not None
    client.close()
    assert (statuses, kept) == ([503, 200, 200], True)


def test_credits_may_be_of_any_size(sandbox: Sandbox) -> None:
    """Amounts beyond 64 bits, and beyond Python's limit for printing integers, are exact."""
    sandbox.create_meter(
        workspace_id="ws_1",
        external_meter_id="big",
        total_credits=10**9000,
        used_credits=2**64,
        allow_overages=True,
        spend_cap=10**4000,
    )
    billing = call(sandbox, BODY | {"externalMeterId": "big"}).json["billing"]
    assert billing["totalCredits"] == "1" + "0" * 8999 + "5"
    assert billing["usedCredits"] == "18446744073709551616"
    assert billing["spendCap"] == "1" + "0" * 4000
    assert billing["allowOverages"] is True


def test_unknown_meter_is_null_billing(sandbox: Sandbox) -> None:
    """A refill of an unknown meter returns 200 without billing and applies nothing."""
    reply = call(sandbox, BODY | {"externalMeterId": "nobody"})
    assert (reply.status, reply.json) == (200, {"billing": None})
    assert not sandbox.requests[0].applied


def test_largest_refill_is_the_largest_safe_integer(sandbox: Sandbox) -> None:
    """A refill of 2**53 - 1 is accepted."""
    assert call(sandbox, BODY | {"refill": 2**53 - 1}).status == 200
    assert credits_of(sandbox) == 1000 + 2**53 - 1


def test_unknown_fields_are_ignored(sandbox: Sandbox) -> None:
    """A field that the document does not have is ignored."""
    assert call(sandbox, BODY | {"note": "thanks"}).status == 200


def test_scheme_and_media_type_are_case_insensitive(sandbox: Sandbox) -> None:
    """`bearer` and the media type may be in any case, and a charset is accepted."""
    token = f"bearer {sandbox.api_key}"
    reply = call(sandbox, token=token, content_type="Application/JSON; charset=utf-8")
    assert reply.status == 200


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("workspaceId", 7, "workspaceId: must be a string"),
        ("externalMeterId", None, "externalMeterId: must be a string"),
        ("refill", 0, "refill: must be an integer greater than 0"),
        ("refill", -1, "refill: must be an integer greater than 0"),
        ("refill", True, "refill: must be an integer greater than 0"),
        ("refill", 5.0, "refill: must be an integer greater than 0"),
        ("refill", "5", "refill: must be an integer greater than 0"),
        ("refill", None, "refill: must be an integer greater than 0"),
        ("refill", 2**53, "refill: must be at most 9007199254740991"),
    ],
)
def test_bad_field_is_400_and_named(
    sandbox: Sandbox, field: str, value: object, message: str
) -> None:
    """A field of a wrong type or out of bounds is refused by name, and nothing is applied."""
    reply = call(sandbox, BODY | {field: value})
    assert (reply.status, reply.message, credits_of(sandbox)) == (400, message, 1000)


@pytest.mark.parametrize("field", BODY)
def test_missing_field_is_400_and_named(sandbox: Sandbox, field: str) -> None:
    """A refill without one of its fields is refused with the name of the field."""
    reply = call(sandbox, {name: value for name, value in BODY.items() if name != field})
    assert reply.status == 400
    assert reply.message.startswith(f"{field}: must be ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"refill": NaN}',
        b"[" * 100_000,
        b'{"refill": ' + b"9" * 5000 + b"}",
    ],
)
def test_malformed_json_is_400(sandbox: Sandbox, body: bytes) -> None:
    """A body that is not JSON, not UTF-8, or nested too deeply is refused."""
    reply = call(sandbox, body)
    assert (reply.status, reply.message) == (400, "body: must be JSON")


@pytest.mark.parametrize("body", [[], "text", None, 1])
def test_json_that_is_no_object_is_400(sandbox: Sandbox, body: object) -> None:
    """A body that is JSON but not an object is refused."""
    reply = call(sandbox, body)
    assert (reply.status, reply.message) == (400, "body: must be a JSON object")


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/jsonp"])
def test_wrong_content_type_is_400(sandbox: Sandbox, content_type: str | None) -> None:
    """A body that is not declared as JSON is refused."""
    reply = call(sandbox, content_type=content_type)
    assert (reply.status, reply.message) == (400, "content-type: must be application/json")


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 413)])
def test_body_over_one_mebibyte_is_413(sandbox: Sandbox, extra: int, status: int) -> None:
    """A body of 1 MiB is accepted, and one more byte is refused."""
    body = json.dumps(BODY).encode().ljust(1024 * 1024 + extra)
    assert call(sandbox, body).status == status


@pytest.mark.parametrize("token", ["Bearer wrong", "Bearer", "Basic sdk_sandbox", "Bearer \xfc"])
def test_wrong_token_is_401(sandbox: Sandbox, token: str) -> None:
    """Without a valid bearer token a request is 401, and its body is not read."""
    reply = call(sandbox, b"{", token=token)
    assert (reply.status, reply.message) == (401, "Unauthorized")


def test_missing_token_is_401(sandbox: Sandbox) -> None:
    """A request without an Authorization header is 401, as with a wrong token."""
    client = connect(sandbox)
    client.request("POST", REFILL, b"{}")
    status = client.getresponse().status
    client.close()
    assert status == 401


def test_token_may_be_chosen() -> None:
    """A sandbox accepts only the key that it was created with."""
    with Sandbox(api_key="mine") as sandbox:
        assert sandbox.api_key == "mine"
        assert call(sandbox).status == 200
        assert call(sandbox, token="Bearer sdk_sandbox").status == 401


def test_restricted_token_is_403(sandbox: Sandbox) -> None:
    """A valid key without the right to refill is refused."""
    reply = call(sandbox, token=f"Bearer {sandbox.restricted_api_key}")
    assert (reply.status, reply.message, credits_of(sandbox)) == (403, "Forbidden", 1000)


@pytest.mark.parametrize("path", ["/api", REFILL + "/", "/api/v2/customer-billing/refill"])
def test_unknown_path_is_404(sandbox: Sandbox, path: str) -> None:
    """An unknown path, or one with an additional slash, is 404 in the documented shape."""
    reply = call(sandbox, path=path)
    assert (reply.status, reply.message) == (404, "Not Found")


def test_wrong_method_is_405(sandbox: Sandbox) -> None:
    """The response to a wrong method has POST as the only one that the path allows."""
    reply = call(sandbox, method="PUT")
    assert (reply.status, reply.message) == (405, "Method Not Allowed")
    assert reply.headers["allow"] == "POST"
