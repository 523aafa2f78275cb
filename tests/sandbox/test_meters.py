"""Meters in Python: `Sandbox.meter` and `Sandbox.create_meter`, and their arguments."""

from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError

from oneloop.sandbox import Meter, Sandbox
from tests.sandbox.refills import (
    call,
)


def test_meter_is_a_frozen_snapshot_of_integers(sandbox: Sandbox) -> None:
    """A meter is immutable, has plain integers, and does not change with the sandbox."""
    before = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    call(sandbox)
    assert isinstance(before, Meter)
    assert (before.total_credits, before.used_credits, before.spend_cap) == (1000, 0, None)
    with pytest.raises(FrozenInstanceError):
        before.total_credits = 1  # type: ignore[misc]


def test_created_meter_is_found(sandbox: Sandbox) -> None:
    """A created meter is found, and has no credits by default."""
    meter = sandbox.create_meter(workspace_id="ws_2", external_meter_id="acme")
    assert meter == sandbox.meter(workspace_id="ws_2", external_meter_id="acme")
    assert (meter.total_credits, meter.allow_overages) == (0, False)


def test_meter_ids_depend_on_the_names_alone(sandbox: Sandbox) -> None:
    """A meter's id depends only on its names and is the same in every sandbox."""
    first = sandbox.create_meter(workspace_id="ws_2", external_meter_id="x")
    other = sandbox.create_meter(workspace_id="ws_2", external_meter_id="y")
    again = Sandbox().create_meter(workspace_id="ws_2", external_meter_id="x")
    assert first.id == again.id != other.id


def test_missing_meter_is_a_lookup_error(sandbox: Sandbox) -> None:
    """The error for an unknown meter has its name."""
    with pytest.raises(LookupError, match="no meter 'x' in workspace 'ws_1'"):
        sandbox.meter(workspace_id="ws_1", external_meter_id="x")


def test_meter_cannot_be_created_twice(sandbox: Sandbox) -> None:
    """A workspace cannot have two meters of one name."""
    with pytest.raises(ValueError, match="'acme' already exists in workspace 'ws_1'"):
        sandbox.create_meter(workspace_id="ws_1", external_meter_id="acme")


@pytest.mark.parametrize("field", ["total_credits", "used_credits", "spend_cap"])
def test_negative_amounts_are_refused(sandbox: Sandbox, field: str) -> None:
    """An amount that is negative or not an integer is refused."""
    for amount in (-1, 1.5, True):
        amounts: dict[str, Any] = {field: amount}
        with pytest.raises(ValueError, match=f"{field} must be an integer that is not negative"):
            sandbox.create_meter(workspace_id="ws_1", external_meter_id="x", **amounts)


@pytest.mark.parametrize(
    ("argument", "value"), [("workspace_id", 5), ("external_meter_id", None), ("allow_overages", 1)]
)
def test_other_types_are_refused(sandbox: Sandbox, argument: str, value: object) -> None:
    """A name that is not a string, which no answer could contain, is refused by name."""
    names: dict[str, Any] = {"workspace_id": "ws_1", "external_meter_id": "x", argument: value}
    with pytest.raises(TypeError, match=f"{argument} must be"):
        sandbox.create_meter(**names)


def test_what_is_no_fault_is_refused(sandbox: Sandbox) -> None:
    """`misbehave` refuses an object that is not a fault immediately, not at the next call."""
    with pytest.raises(TypeError, match=r"a fault must be a Fault or the name of one, not 5\.0"):
        sandbox.misbehave(5.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("port", [-1, 65_536])
def test_what_is_no_port_is_refused(port: int) -> None:
    """An impossible port is refused immediately, not when the sandbox starts."""
    with pytest.raises(ValueError, match="port must be from 0 to 65535"):
        Sandbox(port=port)
