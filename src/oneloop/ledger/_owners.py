"""Which processes that share a SQLite ledger are alive. The operating system tells.

Each owner holds a lock on a file of its own beside the database. The system releases it when the
process ends, however it ends, so that nobody has to wait for a lease.
"""

import time
from contextlib import suppress
from glob import escape
from pathlib import Path

from filelock import FileLock, Timeout

_LEFT_OVER = 86_400.0
"""Seconds after which a lock file that nobody holds is removed. It is locked at once when it is
made, so a day is more than long enough not to remove it in between."""


class Owners:
    """The owners of the claims in one SQLite database.

    Args:
        database: Path of the database.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._own: FileLock | None = None

    def register(self, owner: str) -> None:
        """Make this process a living owner until `release` or its end."""
        if self._own is not None:  # the first transaction failed, and is carried out again
            return
        now = time.time()
        for path in self._database.parent.glob(f"{escape(self._database.name)}.owner-*"):
            with suppress(OSError):  # its owner has just removed it
                if now - path.stat().st_mtime > _LEFT_OVER:
                    self._is_free(path)
        lock = FileLock(self._path(owner))
        lock.acquire()
        self._own = lock  # not before: an owner without a lock would be taken for dead

    def release(self) -> None:
        """Let others know that this process sends nothing any more."""
        if self._own is not None:
            path = Path(self._own.lock_file)
            self._own.release()
            self._own = None
            with suppress(OSError):  # nobody holds its lock, which says as much
                path.unlink(missing_ok=True)

    def is_alive(self, owner: str) -> bool:
        """Return whether an owner's process runs. An owner that has no file has ended."""
        path = self._path(owner)
        return path.exists() and not self._is_free(path)

    def _is_free(self, path: Path) -> bool:
        """Return whether nobody holds the lock; the file is then removed."""
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):  # of another user: only the lease can tell
            return False
        lock.release()
        path.unlink(missing_ok=True)
        return True

    def _path(self, owner: str) -> Path:
        return self._database.with_name(f"{self._database.name}.owner-{owner}")
