"""What contributors add: a quirk takes one action, a kind of property one class and one codec."""

import json
import sys
from decimal import Decimal
from inspect import getdoc, signature
from pathlib import Path
from typing import Any

import pytest

import oneloop_overrides
from codegen._document import read_document
from codegen._kinds import Kind
from codegen._overlays import patch, read_actions
from oneloop_core import ArgumentError, ArgumentValueError, DecodeError, mismatch
from tests import ROOT
from tests.codegen.generating import Api, Generate, answers, generating, parameter, post, ref, takes

# --- a kind --------------------------------------------------------------------------------------


def decode_amount(value: Any) -> Decimal:
    """Read an amount such as `1.50`."""
    if not isinstance(value, str) or not value[:1].isdigit():
        raise mismatch("an amount", value)
    return Decimal(value)


def encode_amount(value: Any) -> str:
    """Write an amount."""
    if not isinstance(value, Decimal):
        raise ArgumentValueError("must be a Decimal")
    return str(value)


@pytest.fixture
def amounts(generate: Generate, monkeypatch: pytest.MonkeyPatch) -> Api:
    """Generate a package with one more kind and its codec, and nothing else changed."""
    monkeypatch.setattr(Kind, "by_schema", dict(Kind.by_schema))  # undone after this test
    codec = {"decode_amount": decode_amount, "encode_amount": encode_amount}
    for name, function in codec.items():
        monkeypatch.setattr(oneloop_overrides, name, function, raising=False)
    monkeypatch.setattr(oneloop_overrides, "__all__", [*oneloop_overrides.__all__, *codec])

    class Amount(Kind):
        """An amount of money."""

        schema = ("string", "amount")
        codec = "amount"
        module = "decimal"
        type = "Decimal"
        bounds = "In euros."
        sample = "1.50"

    amount = {"type": "string", "format": "amount"}
    fields = {
        "price": amount,
        "discount": {**amount, "nullable": True},
        "Decimal": {"type": "array", "items": amount},
        "taxes": {"type": "object", "additionalProperties": amount},
        "either": {"oneOf": [amount, {"type": "boolean"}]},
    }
    price = {"type": "object", "properties": fields, "required": ["price"]}
    return generate(
        {"Price": price, "Decimal": price},
        post(
            parameters=[parameter("least", "query", amount)],
            requestBody=takes(price),
            responses=answers(ref("Price")),
        ),
        **{"x-samples": "of the document's own"},
    )


def test_a_new_kind_is_one_class_and_one_codec(amounts: Api) -> None:
    """Models read and write a new kind in any position, and operations accept it."""
    wire = {
        "price": "1.50",
        "discount": "0.5",
        "Decimal": ["1.1"],
        "taxes": {"a": "0.07"},
        "either": True,
    }
    price = amounts.Price.from_dict(wire)
    assert (price.price, price.decimal, price.taxes) == (
        Decimal("1.50"),
        [Decimal("1.1")],
        {"a": Decimal("0.07")},
    )
    assert price.to_dict() == wire
    assert amounts.Price.__annotations__["price"] == "Decimal"
    call = amounts.call(least=Decimal("0.1"), price=Decimal("2.5"), either=Decimal(1))
    assert call.target == "/things?least=0.1"
    assert call.body == b'{"price":"2.5","either":"1"}'
    decode = amounts.module("api.v1.do_it").OPERATION.decode
    assert decode({"price": "3"}) == amounts.Price(price=Decimal(3))
    method = amounts.module("client").SyncOperations.do_it
    assert signature(method).parameters["price"].annotation == "Decimal"
    assert "price: In euros." in (getdoc(method) or "")
    document = json.loads((amounts.folder / amounts.package / "document.json").read_bytes())
    assert document["x-samples"]["amount"] == "1.50"  # what the sandbox answers


def test_errors_of_a_new_kind_have_the_place(amounts: Api) -> None:
    """Errors of a new kind have the path; a component with the name of its type is renamed."""
    with pytest.raises(DecodeError, match=r"^Decimal\[0\]: expected an amount"):
        amounts.Price.from_dict({"price": "1", "Decimal": ["one"]})
    with pytest.raises(ArgumentError, match=r"^price must be a Decimal"):
        amounts.call(price="2.5")
    assert amounts.DecimalModel.__name__ == "DecimalModel"


# --- a quirk -------------------------------------------------------------------------------------

ACTION = r"""
  - x-quirk: seats-in-digits
    target: $..[?(@.description == 'Seats that are paid for')]
    description: The number of seats is written as a string.
    update:
      format: digits
"""


OVERLAYS = [ROOT / "overrides" / name for name in ("overlay.yaml", "annotations.yaml")]


@pytest.mark.parametrize(("action", "seats"), [("", "12"), (ACTION, 12)], ids=["before", "after"])
def test_a_new_quirk_of_a_known_kind_is_one_action(
    tmp_path: Path, action: str, seats: str | int
) -> None:
    """An action at the end of the overlay makes a field an integer instead of a string."""
    document = read_document(ROOT / "openapi.yaml")
    fields = {"seats": {"type": "string", "description": "Seats that are paid for"}}
    document["components"]["schemas"]["Plan"] = {"type": "object", "properties": fields}
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(OVERLAYS[0].read_text("utf-8") + action, encoding="utf-8")
    with generating(tmp_path):
        api = Api(tmp_path)
        api.render(patch(document, read_actions(overlay, OVERLAYS[1]))[0])
        plan = api.Plan.from_dict({"seats": "12"})
    assert plan.seats == seats
    assert plan.to_dict() == {"seats": "12"}


# --- operations ----------------------------------------------------------------------------------


def test_an_operation_is_loaded_on_first_use_whatever_its_name(generate: Generate) -> None:
    """A method loads its operation on first use, whatever the names in the document."""
    paths = {
        **post("/load", "importModule"),
        **post("/other", "v1", parameters=[parameter("api", "query", {"type": "string"})]),
        **post("/tagged", "name", tags=["api"]),
    }
    api = generate({}, paths)
    performed: list[Any] = []

    class Client(api.module("client").SyncOperations):  # type: ignore[misc, name-defined]
        def _perform(self, call: Any) -> None:
            performed.append(call.target)

    assert f"{api.package}.api.v1" not in sys.modules
    Client().import_module()
    assert f"{api.package}.api.v1.v1" not in sys.modules
    Client().v1(api="x")
    Client().name()
    assert performed == ["/load", "/other?api=x", "/tagged"]
    with pytest.raises(AttributeError, match=r"api\.v1' has no attribute 'name'"):
        _ = api.module("api.v1").name
