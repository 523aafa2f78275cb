"""What the types of arguments promise is taken: sequences, mappings, and members of enums."""

import json
from array import array
from collections import ChainMap, OrderedDict, UserDict, UserList, UserString, deque
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any

import pytest

from oneloop import models
from oneloop.sandbox import Sandbox
from oneloop_api.api.v1 import create_api_key, get_workspace_by_id, verify_api_key
from oneloop_core import (
    ArgumentTypeError,
    ArgumentValueError,
    encode_body,
    encode_choice,
    encode_constant,
    encode_form_body,
    encode_header,
    encode_integer,
    encode_json,
    encode_list,
    encode_map,
    encode_number,
    encode_path_segment,
    encode_query,
    encode_string,
)
from oneloop_overrides import OpenIntEnum, OpenStrEnum, encode_digits, encode_enum
from tests.calling import ClientKind

SCOPE = models.ApiKeyScope(representation="a", create=True, read=True, update=True, delete=True)


class Text(str, Enum):  # noqa: UP042 - its members print their names, unlike those of StrEnum
    """A string enum whose members print as their names."""

    VALID = "VALID"
    KEY = "key_1"


class Masked(str):
    """A string that does not print what it is."""

    def __str__(self) -> str:
        return "****"

    __repr__ = __str__


class Number(int, Enum):
    """An integer enum whose members print as their names."""

    SEVEN = 7


class Share(float, Enum):
    """A number enum."""

    HALF = 0.5


class Size(IntEnum):
    """An enum as `enum` has it."""

    BIG = 9


class Status(OpenStrEnum):
    """An enum of a document."""

    VALID = "VALID"


class Level(OpenIntEnum):
    """An enum of a document."""

    SEVEN = 7


# Sequences and mappings


@pytest.mark.parametrize(
    "items",
    [[1, 2], (1, 2), deque([1, 2]), UserList([1, 2]), range(1, 3), array("q", [1, 2])],
    ids=lambda items: type(items).__name__,
)
def test_every_sequence_is_a_list(items: Any) -> None:
    """Whatever its class, it is sent as an array; inside any JSON as well."""
    assert encode_list(items, encode_integer) == encode_json(items) == [1, 2]
    assert encode_json({"a": [items]}) == {"a": [[1, 2]]}


@pytest.mark.parametrize(
    "value",
    [b"ab", bytearray(b"ab"), memoryview(b"ab"), UserString("ab"), {1}, {}.keys(), iter([1])],
    ids=lambda value: type(value).__name__,
)
def test_neither_text_nor_a_set_is_a_sequence(value: Any) -> None:
    """Text would be sent letter by letter, and sets have no order."""
    with pytest.raises(ArgumentTypeError, match="must be a list, got"):
        encode_list(value, encode_json)
    with pytest.raises(ArgumentTypeError, match="must be a JSON value, got"):
        encode_json(value)
    with pytest.raises(ArgumentTypeError, match="must be a list, got"):
        encode_list("ab", encode_string)


@pytest.mark.parametrize(
    "items",
    [
        {"a": "b"},
        OrderedDict(a="b"),
        MappingProxyType({"a": "b"}),
        ChainMap({"a": "b"}, {"a": "c"}),
        UserDict(a="b"),
        {Masked("a"): Masked("b")},
    ],
    ids=lambda items: type(items).__name__,
)
def test_every_mapping_is_an_object(items: Any) -> None:
    """Whatever its class, it is sent as an object; inside any JSON as well."""
    for sent in (encode_map(items, encode_string), encode_json(items), encode_json([items])[0]):
        assert sent == {"a": "b"}
        assert [type(one) for pair in sent.items() for one in pair] == [str, str]


def test_a_deep_sequence_or_mapping_is_refused() -> None:
    """A container that contains itself ends at the limit, whatever its class."""
    items: UserList[Any] = UserList()
    items.append(MappingProxyType({"a": items}))
    with pytest.raises(ArgumentValueError, match="must not be nested deeper"):
        encode_json(items)


def test_calls_take_sequences_and_mappings() -> None:
    """As in the signatures of the methods."""
    call = create_api_key.call(
        name="n",
        workspace_id="w",
        scopes=deque([SCOPE]),
        enabled=True,
        customer_id="c",
        metadata=MappingProxyType({"plan": "pro"}),
    )
    assert call.body is not None
    body = json.loads(call.body)
    assert (body["scopes"], body["metadata"]) == ([SCOPE.to_dict()], {"plan": "pro"})


# Members of enums


def test_members_of_enums_send_their_values() -> None:
    """Also those that print as something else, wherever they stand."""
    member = Text.VALID
    assert type(encode_string(member)) is type(encode_json(member)) is str
    assert encode_path_segment(encode_string(member)) == "VALID"
    assert encode_query([("q", encode_string(member))]) == "?q=VALID"
    assert encode_header(encode_string(member)) == "VALID"
    assert encode_body(encode_json({member: [member]})) == b'{"VALID":["VALID"]}'
    form = encode_form_body(encode_json({Text.KEY: Number.SEVEN, "t": member}), "x")
    assert form == (b"key_1=7&t=VALID", "x")


@pytest.mark.parametrize(("member", "value"), [(Number.SEVEN, 7), (Size.BIG, 9), (Share.HALF, 0.5)])
def test_numbers_that_are_members_send_their_values(member: Any, value: float) -> None:
    """In JSON, and in texts."""
    sent = [encode_number(member), encode_json(member), encode_choice(member, ["a", value])]
    sent.append(encode_constant(member, value))
    assert [*map(repr, sent)] == [repr(value)] * 4
    assert encode_path_segment(encode_number(member)) == str(value)
    assert encode_query([("q", encode_number(member))]) == f"?q={value}"
    if isinstance(value, int):
        assert encode_digits(member) == str(value)
        assert type(encode_integer(member)) is int


def test_a_bool_is_no_number() -> None:
    """Although it is an `int` in Python."""
    for encode in (encode_integer, encode_number, encode_digits):
        with pytest.raises(ArgumentTypeError):
            encode(True)
    for constant in (1, 1.0, "True"):
        with pytest.raises(ArgumentValueError):
            encode_constant(True, constant)
    with pytest.raises(ArgumentTypeError):
        encode_enum(True, Level)


def test_open_enums_take_members_of_other_enums() -> None:
    """Known or not, the value is sent, and kept."""
    for value in (Text.VALID, Masked("VALID"), "VALID", Status.VALID):
        assert repr(encode_enum(value, Status)) == "'VALID'"
    for value in (Text.KEY, Masked("key_1"), "key_1", Status("key_1")):
        assert repr(encode_enum(value, Status)) == "'key_1'"
        assert (Status(value).name, Status(value).value) == ("key_1", "key_1")
        assert type(Status(value).value) is str
    for number in (Number.SEVEN, 7, Size.BIG, 9):
        assert repr(encode_enum(number, Level)) == str(int(number))
        assert type(Level(number).value) is int
    assert Level(Size.BIG).name == "9"


def test_calls_send_the_values_of_members() -> None:
    """In a path and in a body, also of a secret."""
    assert get_workspace_by_id.call(workspace_id=Text.KEY).target == "/api/v1/workspace/key_1"
    call = verify_api_key.call(key=Masked("sec"), requested_scopes=(), route=Text.KEY)
    assert call.body is not None
    body = json.loads(call.body)
    assert (body["key"], body["route"]) == ("sec", "key_1")


@pytest.mark.parametrize("key", [Text.KEY, Masked("key_1")], ids=["member", "masked"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_an_api_key_may_be_a_member(kind: ClientKind, key: str, dynamic: bool) -> None:
    """The key is its value, also if a function returns it."""
    with Sandbox(api_key="key_1") as sandbox:
        given = (lambda: key) if dynamic else key
        answer = kind.perform("get_workspace", {}, api_key=given, base_url=sandbox.url)
        assert answer.workspaces
