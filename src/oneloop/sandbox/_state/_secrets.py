"""Random ids and secret values, and what may be remembered of the latter."""

import hashlib
import secrets

_TELLING = 4
_LONG_ENOUGH = 16


def new_id(kind: str) -> str:
    """Return an id such as ``ws_`` and 32 hex digits."""
    return f"{kind}_{secrets.token_hex(16)}"


def new_secret(prefix: str) -> str:
    """Return a secret that nobody can guess; nothing is put before it if the prefix is empty."""
    value = secrets.token_urlsafe(32)
    return f"{prefix}_{value}" if prefix else value


def digest(secret: str) -> str:
    """Return what a secret is recognized by, and cannot be made from. Any string has a digest."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def masked(secret: str) -> str:
    """Return stars and the secret's last characters, these only if that leaves enough to guess."""
    return "****" + (secret[-_TELLING:] if len(secret) >= _LONG_ENOUGH else "")
