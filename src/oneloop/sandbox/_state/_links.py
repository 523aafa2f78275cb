"""Link tokens, with which a customer's browser manages that customer's keys."""

from collections.abc import Iterable
from threading import RLock

from attrs import field, frozen

from oneloop.sandbox._state._clock import Clock, posix_seconds
from oneloop.sandbox._state._refusals import NotFoundError
from oneloop.sandbox._state._secrets import digest, new_secret
from oneloop.sandbox._state._workspaces import Workspaces

_LIFETIME = 3600


@frozen(kw_only=True)
class Link:
    """What a link token stands for."""

    digest: str = field(repr=False)
    """Of the token, which is not stored itself."""
    workspace_id: str
    customer_id: str
    external_billing_id: str | None
    expires_at: int
    """POSIX seconds."""

    def belongs_to(self, token: str) -> bool:
        """Return whether this is what the token stands for."""
        return self.digest == digest(token)


class Links:
    """All link tokens. Every method may be called from any thread."""

    def __init__(self, lock: RLock, now: Clock, workspaces: Workspaces) -> None:
        self._lock = lock
        self._now = now
        self._workspaces = workspaces
        self._links: dict[str, Link] = {}

    def create(
        self, *, workspace_id: str, customer_id: str, external_billing_id: str | None
    ) -> tuple[str, Link]:
        """Return a new token and what it stands for; raise NotFoundError without its workspace."""
        token = new_secret("lt")
        with self._lock:
            link = Link(
                digest=digest(token),
                workspace_id=self._workspaces.get(workspace_id).id,
                customer_id=customer_id,
                external_billing_id=external_billing_id,
                expires_at=posix_seconds(self._now()) + _LIFETIME,
            )
            self._links[link.digest] = link
        return token, link

    def get(self, token: str) -> Link:
        """Return what a token stands for, expired or not; raise NotFoundError if it is unknown."""
        with self._lock:
            found = self._links.get(digest(token))
        if found is None:
            raise NotFoundError("there is no such link token")
        return found

    def all(self) -> tuple[Link, ...]:
        """Return what every token stands for, oldest first."""
        with self._lock:
            return tuple(self._links.values())

    def restore(self, links: Iterable[Link]) -> None:
        """Replace everything."""
        with self._lock:
            self._links = {one.digest: one for one in links}

    def is_alive(self, link: Link) -> bool:
        """Return whether the token has not expired."""
        return self._now().timestamp() < link.expires_at
