"""API keys. Their values are never stored, only digests of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from threading import RLock
from typing import Any

from attrs import evolve, field, frozen

from oneloop.sandbox._state._clock import Clock, posix_seconds
from oneloop.sandbox._state._meters import Meters
from oneloop.sandbox._state._refusals import ConflictError, NotFoundError
from oneloop.sandbox._state._secrets import digest, masked, new_id, new_secret
from oneloop.sandbox._state._workspaces import Workspaces

_DEFAULT_PREFIX = "sk"

LATEST = 2**53 - 1
"""The last time at which a key can expire: JavaScript cannot represent larger integers exactly."""


@frozen(kw_only=True)
class KeyScope:
    """Rights to one thing: those of a key, or those that a verification asks for."""

    id: str | None
    representation: str
    create: bool
    read: bool
    update: bool
    delete: bool

    def covers(self, asked: "KeyScope") -> bool:
        """Return whether it gives every right that is asked for."""
        return self.representation == asked.representation and all(
            has or not wants
            for has, wants in (
                (self.create, asked.create),
                (self.read, asked.read),
                (self.update, asked.update),
                (self.delete, asked.delete),
            )
        )


@frozen(kw_only=True)
class KeyRequest:
    """The properties of a key that is to be created."""

    name: str
    workspace_id: str
    scopes: tuple[KeyScope, ...]
    enabled: bool
    customer_id: str
    metadata: Mapping[str, str]
    prefix: str | None = None
    """None for the default of the workspace."""
    expires_at: int | None = None
    """POSIX seconds; None for the default of the workspace."""
    external_meter_id: str | None = None


@frozen(kw_only=True)
class Key:
    """An API key as it was at one moment."""

    id: str
    workspace_id: str
    name: str
    digest: str = field(repr=False)
    masked: str
    prefix: str | None
    expires_at: int | None
    scopes: tuple[KeyScope, ...]
    enabled: bool
    customer_id: str
    metadata: Mapping[str, str]
    external_meter_id: str | None
    billing_id: str | None
    """The id of its meter."""
    deleted: bool
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None


@frozen
class IssuedKey:
    """A key with its value, which is returned once and not stored."""

    key: Key
    value: str = field(repr=False)


class Keys:
    """All API keys. Every method may be called from any thread.

    With a `customer_id`, a method ignores the keys of other customers.
    """

    def __init__(self, lock: RLock, now: Clock, workspaces: Workspaces, meters: Meters) -> None:
        self._lock = lock
        self._now = now
        self._workspaces = workspaces
        self._meters = meters
        self._keys: dict[str, Key] = {}
        self._ids: dict[str, str] = {}
        """Ids of keys by the digest of their value."""

    def create(self, request: KeyRequest) -> IssuedKey:
        """Add a key with a new value; raise NotFoundError without its workspace or meter."""
        prefix = request.prefix
        if prefix is None:
            prefix = self._prefix_of(request.workspace_id)
        return self._add(evolve(request, prefix=prefix), new_secret(prefix))

    def migrate(self, request: KeyRequest, value: str) -> IssuedKey:
        """Add a key with a given value; raise ConflictError if another key has it."""
        return self._add(request, value)

    def in_workspace(self, workspace_id: str, customer_id: str | None) -> Sequence[Key]:
        """Return a workspace's keys, deleted ones included, oldest first."""
        with self._lock:
            self._workspaces.get(workspace_id)
            return tuple(
                key
                for key in self._keys.values()
                if key.workspace_id == workspace_id and customer_id in (None, key.customer_id)
            )

    def get(self, workspace_id: str, key_id: str, customer_id: str | None = None) -> Key:
        """Return a key, deleted or not; raise NotFoundError if the workspace does not have it."""
        with self._lock:
            self._workspaces.get(workspace_id)
            key = self._keys.get(key_id)
        if (
            key is None
            or key.workspace_id != workspace_id
            or customer_id not in (None, key.customer_id)
        ):
            raise NotFoundError(f"there is no API key {key_id!r} in workspace {workspace_id!r}")
        return key

    def edit(
        self,
        key: Key,
        *,
        name: str | None,
        enabled: bool | None,
        scopes: tuple[KeyScope, ...] | None,
    ) -> tuple[Key, bool]:
        """Change what is not None; return the key, and whether that changed anything.

        Raises:
            ConflictError: the key is deleted.
        """
        changes = {"name": name, "enabled": enabled, "scopes": scopes}
        given = {name: value for name, value in changes.items() if value is not None}
        with self._lock:
            return self._change(self._living(key), **given)

    def delete(self, key: Key) -> tuple[Key, bool]:
        """Mark the key as deleted; return it, and whether that changed anything."""
        with self._lock:
            return self._change(self._keys[key.id], deleted=True)

    def rotate(self, key: Key) -> IssuedKey:
        """Replace the value of the key; raise ConflictError if the key is deleted."""
        with self._lock:
            before = self._living(key)
            prefix = before.prefix
            if prefix is None:
                prefix = self._prefix_of(before.workspace_id)
            value = new_secret(prefix)
            del self._ids[before.digest]
            self._ids[digest(value)] = before.id
            after, _ = self._change(
                before, digest=digest(value), masked=masked(value), prefix=prefix
            )
            return IssuedKey(after, value)

    def with_value(self, value: str) -> Key | None:
        """Return the key with this value, deleted or not; None if there is no such key."""
        with self._lock:
            key_id = self._ids.get(digest(value))
            return None if key_id is None else self._keys[key_id]

    def mark_used(self, key: Key) -> Key:
        """Record that the key was used just now; return the changed key."""
        with self._lock:
            after = evolve(self._keys[key.id], last_used_at=self._now())
            self._keys[key.id] = after
            return after

    def all(self) -> tuple[Key, ...]:
        """Return every key, oldest first."""
        with self._lock:
            return tuple(self._keys.values())

    def restore(self, keys: Iterable[Key]) -> None:
        """Replace everything."""
        with self._lock:
            self._keys = {one.id: one for one in keys}
            self._ids = {one.digest: one.id for one in self._keys.values()}

    def _prefix_of(self, workspace_id: str) -> str:
        prefix = self._workspaces.get(workspace_id).settings.default_key_prefix
        return _DEFAULT_PREFIX if prefix is None else prefix

    def _add(self, request: KeyRequest, value: str) -> IssuedKey:
        with self._lock:
            settings = self._workspaces.get(request.workspace_id).settings
            meter = None
            if request.external_meter_id is not None:
                meter = self._meters.get(request.workspace_id, request.external_meter_id)
            if digest(value) in self._ids:
                raise ConflictError("an API key with this value already exists")
            now = self._now()
            expires_at = request.expires_at
            if expires_at is None and settings.default_expiration is not None:
                expires_at = min(posix_seconds(now) + settings.default_expiration, LATEST)
            key = Key(
                id=new_id("key"),
                workspace_id=request.workspace_id,
                name=request.name,
                digest=digest(value),
                masked=masked(value),
                prefix=request.prefix,
                expires_at=expires_at,
                scopes=request.scopes,
                enabled=request.enabled,
                customer_id=request.customer_id,
                metadata=request.metadata,
                external_meter_id=request.external_meter_id,
                billing_id=None if meter is None else meter.id,
                deleted=False,
                created_at=now,
                updated_at=now,
                last_used_at=None,
            )
            self._keys[key.id] = key
            self._ids[key.digest] = key.id
            return IssuedKey(key, value)

    def _living(self, key: Key) -> Key:
        found = self._keys[key.id]
        if found.deleted:
            raise ConflictError(f"API key {key.id!r} is deleted")
        return found

    def _change(self, before: Key, **changes: Any) -> tuple[Key, bool]:
        after = evolve(before, **changes)
        if after == before:
            return before, False
        after = evolve(after, updated_at=self._now())
        self._keys[after.id] = after
        return after, True
