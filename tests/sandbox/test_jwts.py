"""The sandbox's JWTs."""

import base64
import json
from typing import Any

import pytest

from tests.sandbox.calls import Api, serving

NOT_OURS = {"status": "INVALID", "payload": {}, "exp": 1}


def make(api: Api, **fields: object) -> str:
    """Return a new JWT."""
    made = api.ask("POST /jwt", {"payload": {"user": "ü"}} | fields)
    assert made.keys() == {"jwt"}
    return str(made["jwt"])


def verify(api: Api, jwt: str, **limit: object) -> Any:
    """Verify a JWT."""
    config = {"rateLimitConfig": {"id": "carol", **limit}} if limit else {}
    return api.ask("POST /jwt/verify", {"jwt": jwt} | config)


def decoded(part: str) -> Any:
    """Decode a part of a JWT without verifying it."""
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_jwt_lasts_an_hour_unless_told_otherwise(api: Api) -> None:
    """A JWT is valid for exactly one hour; the claims of an expired one are still returned."""
    jwt, exp = make(api), api.clock.seconds + 3600
    assert not api.applied()
    api.clock.move(seconds=3599.876)
    assert verify(api, jwt) == {"status": "VALID", "payload": {"user": "ü"}, "exp": exp}
    assert not api.applied()
    api.clock.move(seconds=0.001)
    assert verify(api, jwt) == {"status": "INVALID", "payload": {"user": "ü"}, "exp": exp}


def test_audience_and_end_may_be_given(api: Api) -> None:
    """A JWT can have an audience and an expiry, which may be in the past."""
    jwt = make(api, payload={}, aud="app", exp=5)
    assert verify(api, jwt) == {"status": "INVALID", "payload": {}, "exp": 5, "aud": "app"}
    jwt = make(api, aud="", exp=2**53 - 1)
    assert (verify(api, jwt)["status"], verify(api, jwt)["aud"]) == ("VALID", "")


def test_a_jwt_is_what_its_name_says(api: Api) -> None:
    """A JWT has three parts; the first two can be read without the secret."""
    header, claims, _ = make(api, aud="app", exp=5).split(".")
    assert decoded(header) == {"alg": "HS256", "typ": "JWT"}
    assert decoded(claims) == {"payload": {"user": "ü"}, "aud": "app", "exp": 5}


@pytest.mark.parametrize("jwt", ["", ".", "..", "a.b.c", "a.b", "\ud800.b.c", "ü" * 50])
def test_what_is_no_jwt_is_invalid(api: Api, jwt: str) -> None:
    """A text that is not a JWT is INVALID, not an error, and has no claims."""
    assert verify(api, jwt) == NOT_OURS


def test_a_changed_jwt_is_invalid(api: Api) -> None:
    """A JWT is invalid if its claims, algorithm or encoding were changed."""
    jwt = make(api)
    header, claims, signature = jwt.split(".")
    other = make(api, payload={"user": "root"}).split(".")[1]
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode()
    for changed in (
        f"{header}.{other}.{signature}",
        f"{none}.{claims}.",
        f"{header}.{claims}.",
        f"{jwt}=",
        f"{jwt} ",
        f"{jwt[:-1]}!{jwt[-1]}",
    ):
        assert verify(api, changed) == NOT_OURS
    assert verify(api, jwt)["status"] == "VALID"


def test_another_sandbox_does_not_know_it(api: Api) -> None:
    """A JWT is invalid in another sandbox and after a reset, as their secrets differ."""
    jwt = make(api)
    with serving() as other:
        assert verify(other, jwt) == NOT_OURS
    api.sandbox.reset()
    assert verify(api, jwt) == NOT_OURS


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("1s", 1), ("90s", 90), ("1m", 60), ("2h", 7200), ("1d", 86400)],
)
def test_a_rate_limit_has_the_interval_that_it_says(api: Api, interval: str, seconds: int) -> None:
    """A rate limit counts in windows that begin at multiples of its interval."""
    jwt, limit = make(api, exp=2**53 - 1), {"limit": 1, "interval": interval}
    api.clock.move(seconds=seconds - (api.clock.now.timestamp() % seconds))
    statuses = [verify(api, jwt, **limit)["status"] for _ in range(2)]
    api.clock.move(seconds=seconds - 0.01)
    statuses.append(verify(api, jwt, **limit)["status"])
    api.clock.move(seconds=0.01)
    statuses.append(verify(api, jwt, **limit)["status"])
    assert statuses == ["VALID", "INVALID", "INVALID", "VALID"]


def test_a_rate_limit_counts_by_id_and_interval(api: Api) -> None:
    """Rate limits are counted per id and interval; invalid tokens are not counted."""
    jwt, limit = make(api), {"limit": 1, "interval": "1m"}
    verify(api, "a.b.c", **limit)
    verify(api, make(api, exp=1), **limit)
    assert verify(api, jwt, **limit)["status"] == "VALID"
    assert verify(api, jwt, **limit)["payload"] == {"user": "ü"}
    assert verify(api, jwt, **limit)["status"] == "INVALID"
    assert verify(api, jwt, limit=1, interval="60s")["status"] == "INVALID"
    assert verify(api, jwt, limit=1, interval="2m")["status"] == "VALID"
    assert verify(api, jwt, **limit | {"id": "dave"})["status"] == "VALID"


@pytest.mark.parametrize(
    "interval", ["", "m", "1", "0s", "01s", "1M", "-1s", "1.5h", "1s\n", "\uff11s"]
)
def test_an_interval_that_is_none_is_400(api: Api, interval: str) -> None:
    """An invalid interval is 400, and the message has valid examples."""
    config = {"id": "a", "limit": 1, "interval": interval}
    message = "rateLimitConfig.interval: must be a number and s, m, h or d, such as 10s or 1m"
    body = {"jwt": "", "rateLimitConfig": config}
    assert api.refusal("POST /jwt/verify", body) == (400, message)
