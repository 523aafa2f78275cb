"""The sandbox's clock, which tests can move forward."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from oneloop.sandbox import Fault, Sandbox
from tests.sandbox.calls import START, Api


def test_advancing_lets_a_key_expire(api: Api) -> None:
    """The clock can be advanced over HTTP and in Python, and all advances are added up."""
    key = api.new_key(expiresAt=api.clock.seconds + 100)["key"]
    api.sandbox.advance(50)
    assert api.status_of(key) == "VALID"
    assert api.ask("POST /_sandbox/advance", {"seconds": 50.5}) == {}
    assert api.status_of(key) == "EXPIRED"
    assert api.new_meter()["createdAt"] == "2026-02-01T00:00:40.623Z"


def test_a_reset_takes_the_clock_back(api: Api) -> None:
    """A reset restores the clock, workspaces, keys and rate limits."""
    api.set_defaults(defaultRateLimitPerSecond=1)
    key = api.new_key()["key"]
    api.sandbox.advance(10_000_000_000)
    api.sandbox.reset()
    assert api.status_of(key) == "INVALID"
    (workspace,) = api.ask("GET /workspace")["workspaces"]
    assert workspace["defaultRateLimitPerSecond"] is None
    assert workspace["createdAt"] == "2026-01-31T23:59:00.123Z"


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 10**10 - 4, 10**400])
def test_the_clock_goes_forward_and_not_too_far(api: Api, seconds: float) -> None:
    """The clock cannot go back, nor beyond the last year that dates can have, 9999."""
    api.sandbox.advance(5)
    api.sandbox.advance(0)
    with pytest.raises(ValueError, match="seconds must be from 0 to 10000000000 in all"):
        api.sandbox.advance(seconds)
    assert api.new_meter()["createdAt"] == "2026-01-31T23:59:05.123Z"


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        (None, "seconds: must be a number"),
        (True, "seconds: must be a number"),
        ("1", "seconds: must be a number"),
        (-1, "seconds must be from 0 to 10000000000 in all, not -1"),
    ],
)
def test_what_is_no_time_is_400(api: Api, seconds: object, message: str) -> None:
    """An invalid number of seconds is 400, and the message says why."""
    assert api.refusal("POST /_sandbox/advance", {"seconds": seconds}) == (400, message)


def test_a_clock_may_be_in_any_time_zone() -> None:
    """Times are in UTC, whatever the time zone of the clock."""
    zone = timezone(timedelta(hours=2))
    meter = Sandbox(clock=lambda: START.astimezone(zone)).meter(
        workspace_id="ws_1", external_meter_id="acme"
    )
    assert (meter.created_at, meter.created_at.tzinfo) == (START.replace(microsecond=123_000), UTC)


def test_without_a_clock_it_is_the_machines_time() -> None:
    """Without a clock, the sandbox uses the machine's time plus the advances."""
    sandbox = Sandbox()
    sandbox.advance(60)
    meter = sandbox.create_meter(workspace_id="ws_1", external_meter_id="x")
    ahead = meter.created_at - datetime.now(UTC)
    assert timedelta(seconds=55) < ahead <= timedelta(seconds=60)


def test_faults_take_real_time(api: Api) -> None:
    """Faults delay by real time, even if the clock stands still."""
    api.sandbox.misbehave(Fault.slow_body(0.2))
    began = time.monotonic()
    assert api.send("GET /workspace")[0] == 200
    assert time.monotonic() - began >= 0.2
