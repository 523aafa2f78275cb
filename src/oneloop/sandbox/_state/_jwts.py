"""JWTs, signed by a sandbox for itself: HS256, with a secret that nobody else has."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from threading import RLock
from typing import Any

from attrs import field, frozen

from oneloop.sandbox._state._clock import Clock, posix_seconds
from oneloop.sandbox._state._rates import RateLimit, RateWindows

_LIFETIME = 3600


@frozen(kw_only=True)
class JwtVerdict:
    """What came of a verification. Of a token that is not the sandbox's, nothing is told."""

    valid: bool
    payload: Mapping[str, str] = field(factory=dict[str, str])
    aud: str | None = None
    exp: int = 1
    """POSIX seconds; 1 of a token that is not the sandbox's."""


class Jwts:
    """Makes and verifies JWTs; none is remembered. Safe to use from any thread."""

    def __init__(self, lock: RLock, now: Clock) -> None:
        self._now = now
        self._secret = secrets.token_bytes(32)
        self._windows = RateWindows(lock, now)

    def create(self, payload: Mapping[str, str], *, aud: str | None, exp: int | None) -> str:
        """Return a signed JWT that ends at `exp` (POSIX seconds; None: in an hour)."""
        claims: dict[str, object] = {"payload": payload}
        if aud is not None:
            claims["aud"] = aud
        claims["exp"] = posix_seconds(self._now()) + _LIFETIME if exp is None else exp
        signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def verify(self, jwt: str, limit: RateLimit | None) -> JwtVerdict:
        """Judge a JWT; only one that is sound and not over counts against the limit."""
        signed, _, signature = jwt.rpartition(".")
        # As text, byte for byte: base64 would be read leniently, and a JWT has one spelling only.
        if not hmac.compare_digest(_bytes(signature), _bytes(self._signature(signed))):
            return JwtVerdict(valid=False)
        claims = _decoded(signed.partition(".")[2])
        alive = self._now().timestamp() < claims["exp"]
        return JwtVerdict(
            valid=alive and (limit is None or self._windows.count(limit).admitted),
            payload=claims["payload"],
            aud=claims.get("aud"),
            exp=claims["exp"],
        )

    def _signature(self, signed: str) -> str:
        return _base64(hmac.digest(self._secret, _bytes(signed), hashlib.sha256))


def _encoded(value: object) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode("ascii"))


def _decoded(part: str) -> dict[str, Any]:
    # Ours, since its signature is; only what pads it was left out.
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
