"""The part of the guards that needs no framework."""

import io
import logging
import traceback
from typing import Any

import pytest

from oneloop import (
    ArgumentError,
    AsyncOneloop,
    AuthenticationError,
    Oneloop,
    Outcome,
    _refusals,
    models,
)
from oneloop._guard import KEPT, BaseGuard, refusal_for, scopes_from, verification_in
from oneloop._refusals import Refusals
from oneloop.flask import Guard
from oneloop.sandbox import Sandbox
from oneloop_core import Secret

READ = models.ApiKeyScope(representation="a", create=False, read=True, update=False, delete=False)


@pytest.mark.parametrize(
    "scopes", [{"a": "read"}, {"a": ["read"]}, {"a": iter(["read", "read"])}, [READ], (READ,)]
)
def test_scopes_in_any_form(scopes: Any) -> None:
    """One right, several, or models."""
    assert scopes_from(scopes) == [READ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"scopes": {"a": "raed"}}, r"scopes\['a'\] must be one or more of create.*got 'raed'"),
        ({"scopes": {"a": []}}, r"scopes\['a'\] .* got nothing"),
        ({"scopes": {1: "read"}}, "scopes must be a string"),
        ({"scopes": "a"}, "scopes must be a mapping"),
        ({"scopes": ["a"]}, "scopes must be a list of ApiKeyScope"),
        ({"usage": -1}, "usage must be at least 0"),
        ({"usage": True}, "usage must be an integer"),
        ({"usage": "1"}, "usage must be an integer"),
        ({"usage_name": 1}, "usage_name must be a string"),
        ({"header": "X Key"}, "header must be the name of an HTTP header, got 'X Key'"),
        ({"header": ""}, "header must be the name"),
        ({"header": 1}, "header must be a string"),
        ({"header": "authorization"}, "header: leave it out|header leave it out"),
        ({"deadline": 0}, "deadline must be"),
        ({"deadline": None}, "deadline must be a number"),
        ({"usage_limited": 200}, "usage_limited must be at least 400"),
        ({"usage_limited": 500}, "usage_limited must be at most 499"),
        ({"remember_refusals": 301}, "remember_refusals must be at most 300"),
        ({"remember_refusals": 0}, "remember_refusals must be greater than 0"),
        ({"client": AsyncOneloop(api_key="a")}, "client must be of type Oneloop"),
        ({"async_client": Oneloop(api_key="a")}, "async_client must be of type AsyncOneloop"),
    ],
)
def test_a_bad_argument_is_named(arguments: Any, problem: str) -> None:
    """When the guard is made, and not when the first customer comes."""
    with pytest.raises(ArgumentError, match=problem):
        BaseGuard(**arguments)


def test_a_guard_that_requires_more_keeps_the_rest() -> None:
    """What is left out is as before; the first guard does not change."""
    guard = Guard(scopes={"a": "read"}, usage=1, usage_name="x")
    more = guard.requiring(usage=2)
    assert (more._scopes, more._usage, more._usage_name) == ([READ], 2, "x")
    assert (guard._scopes, guard._usage) == ([READ], 1)
    none = guard.requiring(scopes=(), usage=None, usage_name=None)
    assert (none._scopes, none._usage, none._usage_name) == ([], None, None)


def test_guards_share_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that `requiring` returns have that of the first one, before and after it is closed."""
    monkeypatch.setenv("ONELOOP_SDK_KEY", "sdk_1")
    guard = Guard()
    more = guard.requiring(usage=2)
    client = guard._client_of(Oneloop)
    assert more._client_of(Oneloop) is client
    guard.close()
    assert more._client_of(Oneloop) is not client
    assert guard._client_of(Oneloop) is more._client_of(Oneloop)
    guard.close()
    guard.close()


def test_a_client_that_is_closed_while_another_thread_takes_it_is_not_kept(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread makes another one."""
    monkeypatch.setenv("ONELOOP_SDK_KEY", sandbox.api_key)
    monkeypatch.setenv("ONELOOP_BASE_URL", sandbox.url)
    guard = Guard()
    limited, closed = guard._limited, list[bool]()

    def meanwhile(client: Any) -> Any:
        found = limited(client)
        if not closed:
            closed.append(True)
            guard.close()
        return found

    monkeypatch.setattr(guard, "_limited", meanwhile)
    client = guard._client_of(Oneloop)
    assert closed
    assert not guard._made[Oneloop].is_closed
    assert guard._client_of(Oneloop) is client
    client.get_workspace()
    guard.close()


def test_a_client_of_ones_own_is_not_closed() -> None:
    """Who made it closes it."""
    own = Oneloop(api_key="sdk_1")
    guard = Guard(client=own)
    client = guard._client_of(Oneloop)
    guard.close()
    assert guard._client_of(Oneloop) is client


def test_the_latest_verification_is_the_one() -> None:
    """With two guards, the inner one's."""
    first: Any = object()
    second: Any = object()
    assert verification_in({KEPT: {"a": first, "b": second}}) is second


def test_refusals_are_forgotten() -> None:
    """After their time, and when there are too many."""
    now = [0.0]
    refusals = Refusals(10, lambda: now[0])
    key = Secret("k")
    assert not refusals.has(key)
    refusals.add(key)
    now[0] = 9.9
    assert refusals.has(key)
    assert not refusals.has(Secret("other"))
    now[0] = 10
    assert not refusals.has(key)
    refusals.add(key)
    for number in range(_refusals.MAX_REFUSALS + 1):
        refusals.add(Secret(f"{number}"))
    assert not refusals.has(key)
    assert refusals.has(Secret(f"{number}"))
    assert len(refusals._newer) + len(refusals._older) <= _refusals.MAX_REFUSALS


def test_no_frame_shows_the_customers_key(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Error trackers record the variables of each frame that an exception passes."""
    monkeypatch.setenv("ONELOOP_SDK_KEY", sandbox.api_key)
    monkeypatch.setenv("ONELOOP_BASE_URL", sandbox.url)
    key = "customers-own-key"

    class FailingError(Exception):
        pass

    def usage(request: Any) -> int:
        raise FailingError

    guard = Guard(usage=usage)
    with pytest.raises(FailingError) as caught:
        guard._verified({}, guard._before([f"Bearer {key}"]), "/", Any)
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:]
    assert len(frames) > 1
    assert key not in repr([frame.f_locals for frame in frames])


def test_a_long_header_takes_no_long_time() -> None:
    """Half a million of the same character, for each kind of character."""
    guard = Guard()
    for character in " \tB,a\xe9":
        assert not isinstance(guard._before([f"Bearer {character * 500_000}"]), Secret)


@pytest.mark.parametrize(
    ("handlers", "last", "printed"),
    [
        ([], logging.lastResort, True),
        ([logging.NullHandler()], logging.lastResort, True),
        ([logging.StreamHandler(io.StringIO())], logging.lastResort, False),
        ([], None, False),
    ],
)
def test_records_are_printed_if_the_application_has_set_up_no_logging(
    handlers: list[logging.Handler],
    last: logging.Handler | None,
    printed: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody else would see that our own key is refused, as the customer is not told."""
    monkeypatch.setattr(logging, "lastResort", last)
    monkeypatch.setattr(logging.getLogger(), "handlers", handlers)
    refused = AuthenticationError("no", outcome=Outcome.REJECTED, status_code=401)
    assert refusal_for(refused).status == 500
    text = "Oneloop refused our own key with 401; answered 500\n"
    assert capsys.readouterr().err == (text if printed else "")
