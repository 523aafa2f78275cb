"""Open enums read and send values that the document does not list."""

import copy
import json
import pickle
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneloop_core import ArgumentTypeError, ArgumentValueError, DecodeError
from oneloop_overrides import OpenIntEnum, OpenStrEnum, decode_enum, encode_enum


class Status(OpenStrEnum):
    """An enum as the generator writes it."""

    ACTIVE = "active"
    PAUSED = "paused"


class Level(OpenIntEnum):
    """An enum of integers as the generator writes it."""

    LOW = 1
    HIGH = 2


class Closed(Enum):
    """An enum that is not open."""

    ONLY = "only"


KNOWN = [Status.ACTIVE, Status.PAUSED, Level.LOW, Level.HIGH]
UNKNOWN = [(Status, "archived"), (Status, ""), (Status, "Active"), (Level, 7), (Level, -(2**70))]


@pytest.mark.parametrize("member", KNOWN)
def test_a_listed_value_is_its_member(member: Any) -> None:
    """A value that the document lists is read as its member, which is known."""
    assert decode_enum(member.value, type(member)) is member
    assert member.is_known


@pytest.mark.parametrize(("enum", "value"), UNKNOWN)
def test_an_unlisted_value_is_kept(enum: Any, value: Any) -> None:
    """An unlisted value is kept, and compares, hashes and prints like the plain value."""
    member = decode_enum(value, enum)
    assert isinstance(member, enum)
    assert not member.is_known
    assert member == value
    assert hash(member) == hash(value)
    assert (member.value, member.name) == (value, str(value))
    assert str(member) == f"{member}" == str(value)


@pytest.mark.parametrize(("enum", "value"), UNKNOWN)
def test_an_unlisted_value_equals_itself_alone(enum: Any, value: Any) -> None:
    """Two readings of an unlisted value are equal and hashable, and differ from every member."""
    member = decode_enum(value, enum)
    assert {member: 1}[decode_enum(value, enum)] == 1
    assert member not in list(enum)


def test_an_unlisted_value_does_not_become_a_member() -> None:
    """Reading an unknown value does not change the members of the enum."""
    decode_enum("archived", Status)
    decode_enum(7, Level)
    assert [one.value for one in Status] == ["active", "paused"]
    assert [one.value for one in Level] == [1, 2]


@pytest.mark.parametrize("member", [*KNOWN, Status("archived"), Level(7)], ids=repr)
@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda member: pickle.loads(pickle.dumps(member))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_members_survive_copies(member: Any, duplicate: Any) -> None:
    """A copy is equal, of the same enum, and known if the original is."""
    again = duplicate(member)
    assert again == member
    assert type(again) is type(member)
    assert (again.value, again.is_known) == (member.value, member.is_known)


@pytest.mark.parametrize("member", [*KNOWN, Status("archived"), Level(7)], ids=repr)
def test_members_are_json(member: Any) -> None:
    """A member is written to JSON as its plain value."""
    assert json.loads(json.dumps(member)) == member.value


def test_an_unlisted_value_shows_what_it_is() -> None:
    """The repr of an unlisted value names the enum and the value."""
    assert repr(Status("archived")) == "<Status.archived: 'archived'>"
    assert repr(Level(7)) == "<Level.7: 7>"


@pytest.mark.parametrize(
    ("enum", "value"),
    [
        *((Status, value) for value in (None, True, 1, 1.5, b"active", ["active"], {})),
        *((Level, value) for value in (None, True, False, 1.0, "1", "LOW", [1], {})),
        (Closed, "other"),
    ],
)
def test_a_value_of_another_type_is_refused(enum: Any, value: Any) -> None:
    """An enum accepts unknown values of its own JSON type only; true and 1.0 are not 1."""
    with pytest.raises(DecodeError, match=f"expected a value of {enum.__name__}, got "):
        decode_enum(value, enum)
    with pytest.raises(ArgumentTypeError, match=f"must be of type {enum.__name__}, got "):
        encode_enum(value, enum)


@pytest.mark.parametrize("value", [False, None, 1.5, "1", b"1"])
def test_an_integer_enum_accepts_only_integers(value: Any) -> None:
    """Calling an integer enum with a value of another type raises a ValueError."""
    with pytest.raises(ValueError, match="is not a valid Level"):
        Level(value)


@pytest.mark.parametrize("value", [None, 1, b"x", ()])
def test_a_string_enum_accepts_only_strings(value: Any) -> None:
    """Calling a string enum with a value of another type raises a ValueError."""
    with pytest.raises(ValueError, match="is not a valid Status"):
        Status(value)


@pytest.mark.parametrize(
    ("enum", "value", "plain"),
    [
        (Status, Status.PAUSED, "paused"),
        (Status, "paused", "paused"),
        (Status, "archived", "archived"),
        (Level, Level.HIGH, 2),
        (Level, 2, 2),
        (Level, 7, 7),
        (Closed, "only", "only"),
    ],
)
def test_members_and_plain_values_are_sent(enum: Any, value: Any, plain: Any) -> None:
    """An application may pass a member or its value, known or not. The plain value is sent."""
    sent = encode_enum(value, enum)
    assert sent == plain
    assert type(sent) is type(plain)


@given(st.text())
def test_unlisted_strings_survive_the_wire(text: str) -> None:
    """Any string that is read as a status is sent back as it came."""
    assert encode_enum(decode_enum(text, Status), Status) == text


def test_an_unlisted_value_without_utf8_is_not_sent() -> None:
    """A lone surrogate in an enum value is an argument error, as in any other string."""
    with pytest.raises(ArgumentValueError, match="must be valid Unicode"):
        encode_enum("\ud800", Status)


def test_an_integer_that_python_cannot_write_is_not_a_member() -> None:
    """An integer of thousands of digits ends in a decode error, not in Python's ValueError."""
    with pytest.raises(DecodeError, match="got an integer of more than 20 digits"):
        decode_enum(10**5000, Level)
