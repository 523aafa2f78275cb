"""JWTs, signed with HS256 and a secret that only this sandbox has."""

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
    """The result of a verification. It is empty for a token of another issuer."""

    valid: bool
    payload: Mapping[str, str] = field(factory=dict[str, str])
    aud: str | None = None
    exp: int = 1
    """POSIX seconds; 1 for a token of another issuer."""


class Jwts:
    """Creates and verifies JWTs without storing them. Safe to use from any thread."""

    def __init__(self, lock: RLock, now: Clock) -> None:
        self._now = now
        self.secret = secrets.token_hex(32)
        self._windows = RateWindows(lock, now)

    def create(self, payload: Mapping[str, str], *, aud: str | None, exp: int | None) -> str:
        """Return a signed JWT that expires at `exp` (POSIX seconds; None: in one hour)."""
        claims: dict[str, object] = {"payload": payload}
        if aud is not None:
            claims["aud"] = aud
        claims["exp"] = posix_seconds(self._now()) + _LIFETIME if exp is None else exp
        signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def verify(self, jwt: str, limit: RateLimit | None) -> JwtVerdict:
        """Verify a JWT. Only one that is genuine and has not expired counts against the limit."""
        signed, _, signature = jwt.rpartition(".")
        # Compared as text: a lenient base64 decoder would accept several spellings of a signature.
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
        return _base64(hmac.digest(self.secret.encode(), _bytes(signed), hashlib.sha256))


def _encoded(value: object) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode("ascii"))


def _decoded(part: str) -> dict[str, Any]:
    # The signature was checked, so this is what _encoded returned, without its padding.
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
