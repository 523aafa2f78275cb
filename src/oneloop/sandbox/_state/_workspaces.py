"""Workspaces and their scopes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from threading import RLock

from attrs import evolve, frozen

from oneloop.sandbox._state._clock import Clock
from oneloop.sandbox._state._refusals import ConflictError, NotFoundError
from oneloop.sandbox._state._secrets import new_id


@frozen(kw_only=True)
class WorkspaceSettings:
    """The defaults for the keys of a workspace."""

    default_key_prefix: str | None = None
    default_allowed_ips: tuple[str, ...] = ()
    default_rate_limit_per_second: int | None = None
    default_expiration: int | None = None
    """Seconds from the creation of a key until it expires."""


@frozen(kw_only=True)
class Workspace:
    """A workspace as it was at one moment."""

    id: str
    name: str
    settings: WorkspaceSettings
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
class WorkspaceScope:
    """A scope that a workspace defines. It never changes."""

    id: str
    name: str
    representation: str
    description: str | None
    created_at: datetime
    updated_at: datetime


class Workspaces:
    """All workspaces. Every method may be called from any thread."""

    def __init__(self, lock: RLock, now: Clock) -> None:
        self._lock = lock
        self._now = now
        self._workspaces: dict[str, Workspace] = {}
        self._scopes: dict[str, dict[str, WorkspaceScope]] = {}

    def create(self, name: str) -> Workspace:
        """Add a workspace with a new id."""
        return self._add(new_id("ws"), name)

    def ensure(self, workspace_id: str) -> Workspace:
        """Return the workspace with this id; if it does not exist, add it, named like its id."""
        with self._lock:
            found = self._workspaces.get(workspace_id)
            return self._add(workspace_id, workspace_id) if found is None else found

    def all(self) -> tuple[Workspace, ...]:
        """Return every workspace, oldest first."""
        with self._lock:
            return tuple(self._workspaces.values())

    def all_scopes(self) -> Mapping[str, tuple[WorkspaceScope, ...]]:
        """Return the scopes of every workspace by its id, oldest first."""
        with self._lock:
            return {name: tuple(scopes.values()) for name, scopes in self._scopes.items()}

    def restore(
        self, workspaces: Iterable[Workspace], scopes: Mapping[str, Iterable[WorkspaceScope]]
    ) -> None:
        """Replace everything."""
        with self._lock:
            self._workspaces = {one.id: one for one in workspaces}
            self._scopes = {
                name: {one.representation: one for one in scopes.get(name, ())}
                for name in self._workspaces
            }

    def get(self, workspace_id: str) -> Workspace:
        """Return a workspace; raise NotFoundError if it does not exist."""
        with self._lock:
            found = self._workspaces.get(workspace_id)
        if found is None:
            raise NotFoundError(f"there is no workspace {workspace_id!r}")
        return found

    def update(self, workspace_id: str, settings: WorkspaceSettings) -> tuple[Workspace, bool]:
        """Set the settings; return the workspace, and whether that changed anything."""
        with self._lock:
            before = self.get(workspace_id)
            if before.settings == settings:
                return before, False
            after = evolve(before, settings=settings, updated_at=self._now())
            self._workspaces[workspace_id] = after
            return after, True

    def create_scope(
        self, workspace_id: str, *, name: str, representation: str, description: str | None
    ) -> WorkspaceScope:
        """Add a scope; raise ConflictError if the workspace has one of that representation."""
        with self._lock:
            workspace = self.get(workspace_id)
            scopes = self._scopes[workspace.id]
            if representation in scopes:
                raise ConflictError(
                    f"scope {representation!r} already exists in workspace {workspace_id!r}"
                )
            now = self._now()
            scope = WorkspaceScope(
                id=new_id("scope"),
                name=name,
                representation=representation,
                description=description,
                created_at=now,
                updated_at=now,
            )
            scopes[representation] = scope
            return scope

    def scopes(self, workspace_id: str) -> Sequence[WorkspaceScope]:
        """Return the scopes of a workspace, oldest first."""
        with self._lock:
            return tuple(self._scopes[self.get(workspace_id).id].values())

    def _add(self, workspace_id: str, name: str) -> Workspace:
        with self._lock:
            now = self._now()
            workspace = Workspace(
                id=workspace_id,
                name=name,
                settings=WorkspaceSettings(),
                created_at=now,
                updated_at=now,
            )
            self._workspaces[workspace_id] = workspace
            self._scopes[workspace_id] = {}
            return workspace
