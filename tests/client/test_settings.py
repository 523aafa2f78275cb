"""The settings of clients: reading them, changing parts of them, copies, and subclasses."""

import asyncio
import copy
import inspect
import pickle
from functools import cached_property
from typing import Any, get_type_hints

import attrs
import pytest

from oneloop import (
    APIConnectionError,
    ArgumentError,
    AsyncOneloop,
    ConfigurationError,
    Oneloop,
    Retry,
    RetryPolicy,
    Timeout,
)
from oneloop._retry import merged
from oneloop.sandbox import Sandbox
from tests.calling import REFILL
from tests.client.test_requests import Recorder


@pytest.fixture(params=[Oneloop, AsyncOneloop])
def client(request: pytest.FixtureRequest) -> Any:
    """Return a client of each class, with settings of its own."""
    return request.param(
        api_key="sdk_of_the_test",
        base_url="https://api.test/base/",
        timeout=Timeout(connect=1),
        retry=RetryPolicy(attempts=7, on_retry=print),
        headers={"X-Team": "a"},
        max_response_bytes=5,
    )


def test_the_settings_can_be_read(client: Any) -> None:
    """A client shows its settings: all of them but the credential, and read-only."""
    assert client.base_url == "https://api.test/base"
    assert client.timeout == Timeout(connect=1, read=30)
    assert client.retry == RetryPolicy(attempts=7, on_retry=print)
    assert client.headers["X-Team"] == "a"
    assert client.headers.keys() == {"Accept", "Accept-Encoding", "User-Agent", "X-Team"}
    assert client.max_response_bytes == 5
    assert client.is_closed is False
    assert "sdk_of_the_test" not in str({name: getattr(client, name) for name in NAMES})
    with pytest.raises(TypeError):
        client.headers["X-Team"] = "b"
    for name in NAMES:
        with pytest.raises(AttributeError):
            setattr(client, name, None)


NAMES = ["base_url", "timeout", "retry", "headers", "max_response_bytes", "is_closed"]


def test_what_is_read_can_be_given_again(client: Any) -> None:
    """All settings that can be read are accepted by the constructor and by `with_options`."""
    read = {name: getattr(client, name) for name in NAMES if name != "is_closed"}
    again = type(client)(api_key="sdk", **read)
    assert {name: getattr(again, name) for name in read} == read
    read.pop("base_url")
    changed = client.with_options(**read)
    assert {name: getattr(changed, name) for name in read} == read


def test_a_policy_changes_only_what_was_given_to_it(client: Any) -> None:
    """`with_options(retry=...)` changes what was given to the constructor, a default included."""
    changed = client.with_options(retry=RetryPolicy(budget=300))
    assert changed.retry == RetryPolicy(attempts=7, on_retry=print, budget=300)
    assert client.with_options(retry=RetryPolicy(attempts=3)).retry.attempts == 3
    assert changed.with_options(retry=RetryPolicy()).retry == changed.retry
    assert changed.with_options(retry=RetryPolicy(on_retry=None)).retry.on_retry is None
    whole = attrs.evolve(RetryPolicy(), cap=1)
    assert client.with_options(retry=whole).retry == whole


def test_a_timeout_changes_only_what_was_given_to_it(client: Any) -> None:
    """`Timeout(read=5)` leaves `connect`; a number or `None` sets both."""
    assert client.with_options(timeout=Timeout(read=5)).timeout == Timeout(connect=1, read=5)
    assert client.with_options(timeout=9).timeout == Timeout(connect=9, read=9)
    assert client.with_options(timeout=None).timeout == Timeout(connect=None, read=None)
    assert client.with_options(timeout=Timeout(connect=5.0)).timeout == Timeout()
    with pytest.raises(ArgumentError):
        client.with_options(timeout=0)
    with pytest.raises(ConfigurationError):
        client.with_options(retry=3)


def test_headers_are_merged(client: Any) -> None:
    """`with_options(headers=...)` adds and replaces headers; `None` removes one."""
    changed = client.with_options(headers={"x-team": "b", "X-More": "c", "User-Agent": None})
    assert changed.headers.keys() == {"Accept", "Accept-Encoding", "x-team", "X-More"}
    assert changed.with_options(headers={"X-TEAM": None}).headers.keys() == {
        "Accept",
        "Accept-Encoding",
        "X-More",
    }
    for refused in ({"Authorization": None}, {"X-A": 1}, None):
        with pytest.raises(ConfigurationError, match="headers must"):
            client.with_options(headers=refused)
    with pytest.raises(ConfigurationError, match="that of 'X-A' is not valid"):
        type(client)(api_key="sdk", headers={"X-A": None})


def with_hook(retry: Retry) -> None:
    """Do nothing."""


COPIES = [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy]


@pytest.mark.parametrize("copied", COPIES, ids=["pickle", "copy", "deepcopy"])
@pytest.mark.parametrize(
    "settings",
    [RetryPolicy(budget=300, on_retry=with_hook), RetryPolicy(), Timeout(read=30), Timeout.of(3)],
)
def test_a_copy_of_settings_is_the_same_in_every_way(settings: Any, copied: Any) -> None:
    """A copy is equal and changes the same parts of other settings as the original."""
    twin = copied(settings)
    assert (twin, hash(twin), repr(twin)) == (settings, hash(settings), repr(settings))
    assert type(twin) is type(settings)
    every = {one.name: 9 for one in attrs.fields(type(settings)) if one.name != "on_retry"}
    old = type(settings)(**every) if "read" in every else type(settings)(attempts=9, cap=9)
    assert merged(old, twin) == merged(old, settings)


def test_the_classes_of_settings_look_as_before() -> None:
    """Signatures, fields, equality, and the refusal of changes are those of an attrs class."""
    names = ["attempts", "backoff", "cap", "budget", "on_retry", "treat_as_safe"]
    assert list(inspect.signature(RetryPolicy).parameters) == names
    assert list(inspect.signature(RetryPolicy.__init__).parameters) == ["self", *names]
    assert [one.name for one in attrs.fields(RetryPolicy)] == names
    assert get_type_hints(Timeout.__init__)["read"] == float | None
    assert attrs.asdict(Timeout()) == {"connect": 5.0, "read": 30.0}
    assert RetryPolicy() == RetryPolicy(attempts=3)
    assert repr(Timeout(read=5)) == "Timeout(connect=5.0, read=5)"
    assert not hasattr(Timeout(), "__dict__")
    with pytest.raises(TypeError, match="positional"):
        RetryPolicy(3)  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Timeout().read = 5  # type: ignore[misc]


@attrs.frozen(kw_only=True)
class OwnPolicy(RetryPolicy):
    """A policy of an application, with a setting of its own."""

    team: str = "a"


def test_an_applications_own_policy_replaces_the_whole(client: Any) -> None:
    """A subclass with a constructor of its own counts as given whole, also when it is copied."""
    own = OwnPolicy(attempts=2)
    assert client.with_options(retry=own).retry is own
    assert pickle.loads(pickle.dumps(own)) == own
    kept = client.with_options(retry=own).with_options(retry=RetryPolicy(cap=1)).retry
    assert kept == OwnPolicy(attempts=2, cap=1)


# Copies and subclasses


def test_a_copy_of_a_client_is_the_client(client: Any) -> None:
    """`copy` and `deepcopy` return the client itself, also inside other objects."""
    assert copy.copy(client) is client
    assert copy.deepcopy({"client": [client]})["client"][0] is client
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(client)


class Slots:
    """A base with a slot that may be empty."""

    __slots__ = ("__hidden", "empty", "slot")

    def hide(self, value: str) -> None:
        """Set a slot with a mangled name."""
        self.__hidden = value

    def hidden(self) -> str:
        """Return it."""
        return self.__hidden


class Own(Oneloop, Slots):
    """A client of an application, with attributes of its own."""

    def __init__(self, tenant: str, **options: Any) -> None:
        super().__init__(api_key="sdk", **options)
        self.tenant = tenant
        self.slot = "s"
        self.hide("h")

    @cached_property
    def label(self) -> str:
        """Return what is computed once."""
        return f"tenant {self.tenant}"


def test_a_subclass_keeps_its_attributes() -> None:
    """`with_options` keeps the attributes of a subclass, in its dict and in slots."""
    original = Own("t1", transport=Recorder())
    changed = original.with_options(timeout=1).with_options(api_key="other")
    assert (changed.tenant, changed.slot, changed.hidden()) == ("t1", "s", "h")
    assert changed.label == "tenant t1"
    assert not hasattr(changed, "empty")
    assert type(changed) is Own
    changed.tenant = "t2"
    assert original.tenant == "t1"


# Closing


def test_a_closed_client_says_so(sandbox: Sandbox, options: Any) -> None:
    """`is_closed` is true after `close`, also for the clients that were derived from it."""
    client = Oneloop(**options)
    derived = client.with_options(timeout=1)
    derived.close()
    client.refill_billing_limit(**REFILL)
    assert (client.is_closed, derived.is_closed) == (False, False)
    client.close()
    assert (client.is_closed, derived.is_closed) == (True, True)
    with pytest.raises(APIConnectionError, match="the client is closed"):
        derived.refill_billing_limit(**REFILL)
    assert len(sandbox.requests) == 1


def test_a_closed_async_client_says_so_in_its_loop(sandbox: Sandbox, options: Any) -> None:
    """`is_closed` of an async client is about the running loop, as another one may use it."""
    client = AsyncOneloop(**options)

    async def closing() -> tuple[bool, bool, bool]:
        before = client.is_closed
        derived = client.with_options(timeout=1)
        await derived.aclose()
        between = client.is_closed
        await client.refill_billing_limit(**REFILL)
        await client.aclose()
        return before, between, client.is_closed and derived.is_closed

    with asyncio.Runner() as runner:
        assert client.is_closed is False
        assert runner.run(closing()) == (False, False, True)
        assert client.is_closed is True
        assert asyncio.run(closing()) == (False, False, True)
    assert len(sandbox.requests) == 2
