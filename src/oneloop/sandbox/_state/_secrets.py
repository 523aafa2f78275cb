"""Random ids and secrets, and the digests that are stored in place of secrets."""

import hashlib
import secrets

_SHOWN = 4
_LONG_ENOUGH = 16


def new_id(kind: str) -> str:
    """Return an id such as ``ws_`` and 32 hex digits."""
    return f"{kind}_{secrets.token_hex(16)}"


def new_secret(prefix: str) -> str:
    """Return a random secret after a prefix and ``_``, or alone if the prefix is empty."""
    value = secrets.token_urlsafe(32)
    return f"{prefix}_{value}" if prefix else value


def digest(secret: str) -> str:
    """Return the SHA-256 digest of a secret, which may be any string."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def masked(secret: str) -> str:
    """Return stars and the last characters of a secret, only stars if it is short."""
    return "****" + (secret[-_SHOWN:] if len(secret) >= _LONG_ENOUGH else "")
