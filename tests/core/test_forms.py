"""Models in the form with Python's names, without secrets, and in pydantic and FastAPI."""

import asyncio
import json
import subprocess
import sys
from typing import Annotated, Any, Literal, Self

import httpx
import pytest
from attrs import define, field
from fastapi import Body, FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

from oneloop_api.models import (
    ApiKeyScope,
    CreateApiKeyResponse,
    CustomerBillingMeter,
    IssuedApiKey,
    RateLimit,
    VerificationStatus,
    VerifyApiKeyResponse,
)
from oneloop_core import (
    UNSET,
    ApiModel,
    ArgumentTypeError,
    ArgumentValueError,
    DecodeError,
    UnknownObject,
    Unset,
)
from oneloop_overrides import OpenIntEnum

SCOPE = {"representation": "a", "create": True, "read": True, "update": False, "delete": True}
WIRE_SCOPE = {**{name: value for name, value in SCOPE.items() if name != "delete"}, "del": True}
KEY = {
    "id": "key_1",
    "name": "n",
    "maskedKey": "m",
    "prefix": None,
    "expiresAt": 1795780800,
    "scopes": [{**WIRE_SCOPE, "new": 1}],
    "enabled": True,
    "customerId": "c",
    "deleted": False,
    "createdAt": "2026-11-23T10:15:00.000Z",
    "updatedAt": "2026-11-23T10:15:00.120Z",
    "key": "hush",
}
HUGE = 10**40
METER = {
    "id": "mtr_1",
    "totalCredits": str(HUGE),
    "usedCredits": "20",
    "allowOverages": False,
    "spendCap": None,
    "createdAt": "2026-11-23T10:15:00.000Z",
    "updatedAt": "2026-11-23T10:15:00.000Z",
}


@define(kw_only=True)
class Leaf(ApiModel):
    """A model as it is generated."""

    kind: Literal["leaf"]
    size: int | None = None
    additional_properties: dict[str, Any] = field(factory=dict[str, Any])

    @classmethod
    def __from_wire__(cls, data: Any) -> Self:
        size = data.pop("wireSize", None)
        return cls(kind=data.pop("kind"), size=size, additional_properties=data)

    __wire_names__ = {"size": "wireSize"}  # noqa: RUF012


@define(kw_only=True)
class Branch(Leaf):
    """Another one with the same fields, whose kind is a member of an enum."""

    kind: VerificationStatus  # type: ignore[assignment]


@define(kw_only=True)
class Tree(ApiModel):
    """A model with alternatives, in lists and maps, and with fields that may be unset."""

    parts: list[Leaf | Branch | UnknownObject]
    named: dict[str, Leaf | str] = field(factory=dict[str, Leaf | str])
    rest: list[UnknownObject] | None = None
    later: str | Unset | None = UNSET
    stages: int | str | None = None
    additional_properties: dict[str, int] = field(factory=dict[str, int])

    @classmethod
    def __from_wire__(cls, data: Any) -> Self:
        parts = [read_part(one) for one in data.pop("parts")]
        known = {name: data.pop(name) for name in ("later", "stages") if name in data}
        rest = data.pop("rest", None)
        return cls(
            parts=parts,
            named={
                name: Leaf.from_dict(one) if isinstance(one, dict) else one
                for name, one in data.pop("named", {}).items()
            },
            rest=None if rest is None else [UnknownObject.from_dict(one) for one in rest],
            additional_properties=data,
            **known,
        )


def read_part(data: Any) -> Any:
    """Read one of the alternatives by its kind."""
    kinds = {"leaf": Leaf, **dict.fromkeys(VerificationStatus, Branch)}
    return kinds.get(data["kind"], UnknownObject).from_dict(data)


class Level(OpenIntEnum):
    """An enum of integers with one member."""

    LOW = 1


def issued() -> IssuedApiKey:
    """Return a key with its value."""
    return IssuedApiKey.from_dict(KEY)


# Python's names


def test_a_model_is_written_with_the_names_of_its_attributes() -> None:
    """Nested, with null for what is absent, and with values that JSON takes."""
    form = CreateApiKeyResponse(api_key=issued()).to_dict(by="python")
    assert form == {
        "api_key": {
            "id": "key_1",
            "name": "n",
            "masked_key": "m",
            "prefix": None,
            "expires_at": 1795780800,
            "scopes": [{**SCOPE, "id": None, "new": 1}],
            "enabled": True,
            "customer_id": "c",
            "deleted": False,
            "created_at": "2026-11-23T10:15:00+00:00",
            "updated_at": "2026-11-23T10:15:00.120000+00:00",
            "last_used_at": None,
            "billing_id": None,
        }
    }
    assert dict(issued()) == form["api_key"]


def test_secrets_are_left_out_unless_they_are_asked_for() -> None:
    """In the form with Python's names; what is sent is complete, unless they are not wanted."""
    answer = CreateApiKeyResponse(api_key=issued(), additional_properties={"more": {"a": [1]}})
    assert "key" not in answer.to_dict(by="python")["api_key"]
    assert answer.to_dict(by="python", secrets=True)["api_key"]["key"] == "hush"
    sent = {"apiKey": KEY, "more": {"a": [1]}}
    assert answer.to_dict() == answer.to_dict(secrets=True) == sent
    kept = {name: value for name, value in KEY.items() if name != "key"}
    assert answer.to_dict(secrets=False) == {"apiKey": kept, "more": {"a": [1]}}
    assert "hush" not in answer.to_json(secrets=False) + repr(answer)


def test_what_was_written_can_be_read_back() -> None:
    """With integers of any size as numbers or as strings."""
    meter = CustomerBillingMeter.from_dict({**METER, "extra": [1, "2"]})
    plain = meter.to_dict(by="python")
    assert (plain["total_credits"], plain["spend_cap"], plain["extra"]) == (HUGE, None, [1, "2"])
    as_text = meter.to_dict(by="python", ints="str")
    assert (as_text["total_credits"], as_text["extra"]) == (str(HUGE), [1, "2"])
    for ints in ("int", "str"):
        form = json.loads(meter.to_json(by="python", ints=ints))
        assert CustomerBillingMeter.from_dict(form, by="python") == meter
    everything = issued().to_dict(by="python", secrets=True)
    assert IssuedApiKey.from_dict(everything, by="python") == issued()


def test_an_unknown_field_may_have_the_name_of_an_attribute() -> None:
    """Then it is kept apart, and read back nevertheless."""
    limit = RateLimit(remaining=1, reset_at=2, additional_properties={"reset_at": 3, "b": 4})
    form = limit.to_dict(by="python")
    assert form == {
        "remaining": 1,
        "reset_at": 2,
        "b": 4,
        "additional_properties": {"reset_at": 3},
    }
    assert RateLimit.from_dict(form, by="python") == limit
    assert TypeAdapter(RateLimit).validate_python(form) == limit


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"expires_at": True}, "expires_at: expected an integer"),
        ({"scopes": [{**SCOPE, "delete": 1}]}, "scopes[0].delete: expected true or false"),
        ({"scopes": [1]}, "scopes[0]: expected an object"),
        ({"created_at": "x"}, "created_at: expected a date and time"),
        ({"additional_properties": [1]}, "additional_properties: expected an object"),
    ],
)
def test_an_error_of_reading_has_the_names_of_attributes(changed: Any, message: str) -> None:
    """As in the dict that was given."""
    form = issued().to_dict(by="python", secrets=True) | changed
    with pytest.raises(DecodeError) as caught:
        IssuedApiKey.from_dict(form, by="python")
    assert str(caught.value).startswith(message)
    del form["masked_key"]
    form.pop("additional_properties", None)
    with pytest.raises(DecodeError, match=r"^masked_key: required field is missing"):
        IssuedApiKey.from_dict({**form, "scopes": []}, by="python")


def test_a_field_with_a_wrong_value_is_named() -> None:
    """Attributes are not checked when they are set, but when a form is written."""
    key = issued()
    key.scopes = {1}  # type: ignore[assignment]
    with pytest.raises(ArgumentTypeError, match=r"^scopes must be a JSON value"):
        key.to_dict(by="python")
    key.scopes = [ApiKeyScope(**{**SCOPE, "read": object()})]  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match=r"^scopes\[0\]\.read must be a JSON value"):
        key.to_dict(by="python")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "alias"}, "by must be 'wire' or 'python', got 'alias'"),
        ({"ints": "str"}, "ints is for by='python'"),
        ({"by": "python", "ints": "float"}, "ints must be 'int' or 'str', got 'float'"),
    ],
)
def test_an_unknown_form_is_refused(arguments: Any, message: str) -> None:
    """The error names the argument and what it may be."""
    with pytest.raises(ArgumentValueError, match=f"^{message}"):
        issued().to_dict(**arguments)
    if "ints" not in arguments:
        with pytest.raises(ArgumentValueError, match=f"^{message}"):
            IssuedApiKey.from_dict(KEY, **arguments)


def test_json_is_text_with_every_character() -> None:
    """Indented if that is asked for."""
    scope = ApiKeyScope.from_dict({**WIRE_SCOPE, "representation": "\u00fc"})
    assert '"representation": "\u00fc"' in scope.to_json()
    assert scope.to_json(by="python", indent=1).startswith('{\n "representation"')
    assert ApiKeyScope.from_dict(json.loads(scope.to_json())) == scope


def test_the_base_of_models_reads_nothing_itself() -> None:
    """Generated models implement how they are read and written."""
    with pytest.raises(NotImplementedError):
        ApiModel.from_dict({})
    with pytest.raises(NotImplementedError):
        ApiModel().to_dict()


TREE = Tree(
    parts=[
        Branch(kind=VerificationStatus.VALID, size=5),
        Leaf(kind="leaf", size=HUGE, additional_properties={"new": 1}),
        UnknownObject({"kind": "root", "wireSize": 1}),
    ],
    named={"a": Leaf(kind="leaf"), "b": "text"},
    rest=[UnknownObject({"x": "1"})],
    stages="3",
    additional_properties={"more": 7},
)


def test_alternatives_are_told_apart_by_their_listed_values() -> None:
    """In lists and maps; an object of a kind that is not listed is kept as it came."""
    for ints in ("int", "str"):
        form = json.loads(TREE.to_json(by="python", ints=ints))
        assert Tree.from_dict(form, by="python") == TREE
        assert TypeAdapter(Tree).validate_python(form) == TREE
    assert form["parts"][0] == {"kind": "VALID", "size": "5"}
    assert form["parts"][2] == {"kind": "root", "wireSize": 1}
    assert (form["stages"], form["more"]) == ("3", "7")
    assert "later" not in form
    assert Tree(parts=[], later=None).to_dict(by="python")["later"] is None
    assert TypeAdapter(Tree).validate_python(TREE) is TREE
    assert TypeAdapter(Tree).validate_python({"parts": [*TREE.parts]}).parts == TREE.parts
    with pytest.raises(ValidationError):
        TypeAdapter(Tree).validate_python({"parts": [5]})
    with pytest.raises(ValidationError):
        TypeAdapter(Tree).validate_python({"parts": [], "more": "x"})


# pydantic and FastAPI


class Page(BaseModel):
    """What an application answers with."""

    status: VerificationStatus
    scopes: list[ApiKeyScope] = []
    limit: RateLimit | None = None


def test_pydantic_takes_instances_and_dicts() -> None:
    """Inside a model of its own, and dumps them with Python's names."""
    scope = ApiKeyScope.from_dict(WIRE_SCOPE)
    page = Page.model_validate({"status": "NEW", "scopes": [scope, SCOPE]})
    assert page.scopes[0] is scope
    assert page.scopes == [scope, scope]
    assert page.status == "NEW"
    dumped = {"status": "NEW", "scopes": [{**SCOPE, "id": None}] * 2, "limit": None}
    assert page.model_dump() == page.model_dump(mode="json") == dumped
    assert Page.model_validate_json(page.model_dump_json()) == page


def test_pydantic_names_the_field_at_fault() -> None:
    """Nothing is converted, except strings of digits."""
    wrong = {"status": "VALID", "scopes": [{**SCOPE, "read": 1}], "limit": {"remaining": True}}
    with pytest.raises(ValidationError) as caught:
        Page.model_validate(wrong)
    places = [error["loc"] for error in caught.value.errors()]
    assert places == [("scopes", 0, "read"), ("limit", "remaining"), ("limit", "reset_at")]
    limit = TypeAdapter(RateLimit).validate_python({"remaining": str(HUGE), "reset_at": 1})
    assert limit.remaining == HUGE
    with pytest.raises(ValidationError):
        TypeAdapter(RateLimit).validate_python({"remaining": 1.0, "reset_at": 1})


def test_pydantic_leaves_secrets_out() -> None:
    """Of what it dumps and of the schema of that, but not of what it takes."""
    adapter = TypeAdapter(IssuedApiKey)
    assert b"hush" not in adapter.dump_json(issued())
    assert "key" not in adapter.json_schema(mode="serialization")["properties"]
    assert "key" in adapter.json_schema()["required"]


def test_json_schemas_list_the_values_of_enums_as_examples() -> None:
    """As others are allowed."""
    schema = TypeAdapter(VerifyApiKeyResponse).json_schema()
    status = schema["$defs"]["VerificationStatus"]
    assert "enum" not in status
    assert {"VALID", "INVALID"} <= {*status["examples"]}
    assert TypeAdapter(Level).json_schema()["examples"] == [1]
    assert TypeAdapter(Level).validate_python(9).name == "9"


def app() -> FastAPI:
    """Return an application with models as answers and as bodies."""
    made = FastAPI()
    scope = ApiKeyScope.from_dict(WIRE_SCOPE)

    @made.get("/bare")
    def bare() -> Any:
        return {"scopes": [scope], "key": issued()}

    @made.get("/untyped")
    def untyped():  # type: ignore[no-untyped-def] # noqa: ANN202
        return {"scopes": [scope], "key": issued()}

    @made.get("/list")
    def listed() -> list[ApiKeyScope]:
        return [scope]

    @made.get("/nothing")
    def nothing() -> ApiKeyScope | None:
        return None

    @made.get("/issued", response_model=CreateApiKeyResponse)
    def created() -> Any:
        return CreateApiKeyResponse(api_key=issued())

    @made.post("/scope")
    def take(scope: Annotated[ApiKeyScope, Body()]) -> ApiKeyScope:
        assert type(scope) is ApiKeyScope
        return scope

    @made.post("/page")
    def page(page: Page) -> Page:
        return page

    return made


def requested(method: str, path: str, body: Any = None) -> httpx.Response:
    """Return what the application answers."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app())
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            return await client.request(method, path, json=body)

    return asyncio.run(request())


def test_fastapi_returns_models() -> None:
    """With or without a declared type; secrets stay out."""
    plain = {**SCOPE, "id": None}
    assert requested("GET", "/bare").json()["scopes"] == requested("GET", "/list").json() == [plain]
    assert requested("GET", "/nothing").json() is None
    for path in ("/bare", "/untyped", "/issued"):
        assert '"masked_key":"m"' in requested("GET", path).text
        assert "hush" not in requested("GET", path).text


def test_fastapi_takes_models() -> None:
    """As a body or inside one. A wrong body is a 422 that names the field."""
    body = {**SCOPE, "id": "i", "new": [1]}
    assert requested("POST", "/scope", body).json() == body
    assert requested("POST", "/page", {"status": "X", "scopes": [SCOPE]}).status_code == 200
    answer = requested("POST", "/scope", {**SCOPE, "read": "yes"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "read"])
    del body["create"]
    answer = requested("POST", "/page", {"status": "X", "scopes": [body]})
    assert answer.json()["detail"][0]["loc"] == ["body", "scopes", 0, "create"]
    for wrong in (None, 1, [], "a"):
        assert requested("POST", "/scope", wrong).status_code == 422


def test_the_page_of_an_application_shows_the_fields() -> None:
    """With the names of the attributes and the summary of the class."""
    schemas = app().openapi()["components"]["schemas"]
    assert schemas["ApiKeyScope"]["properties"].keys() == {*SCOPE, "id"}
    assert schemas["RateLimit"]["description"] == "What is left of a rate limit."
    assert schemas["IssuedApiKey"]["title"] == "IssuedApiKey"


def test_models_do_not_need_pydantic() -> None:
    """Neither it nor the code for it is imported before it is asked for."""
    program = (
        "import sys; from oneloop import models; limit = models.RateLimit(remaining=1, reset_at=2);"
        "limit.to_dict(); models.RateLimit.from_dict(limit.to_dict());"
        "print(*(m for m in sys.modules if 'pydantic' in m or m.endswith('_forms')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "\n"
