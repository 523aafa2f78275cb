"""The file that keeps the books of a sandbox over a restart."""

import contextlib
import logging
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from oneloop.sandbox._state import State, books_from_json, books_to_json

logger = logging.getLogger("oneloop.sandbox")

_PAUSE = 0.25
"""Seconds between two writes while the books change. A killed process loses no more than that."""


class StateFile:
    """Writes the books of `state` into a file, soon after each change and at the end.

    The file is replaced as a whole, so that it is complete at any time.
    """

    def __init__(self, path: Path, state: State) -> None:
        self._path = path.resolve()  # a link stays one
        self._state = state
        self._is_read = False
        self._written = ""
        self._has_changed = threading.Event()

    def open(self) -> None:
        """Go on with the books in the file, if it exists, and keep it up to date from now on.

        Only the first time reads it: later on, `state` is newer than the file.

        Raises:
            OSError: the file cannot be read or written, or another sandbox uses it.
            ValueError: the file does not have the books of a sandbox; the message says what is
                wrong.
        """
        self._lock = _locked(self._path)
        try:
            if not self._is_read:
                self._read()
            self._write()
        except BaseException:
            self._lock.close()
            raise
        self._is_read = True
        self._stopping = False
        self._stop_listening = self._state.listen(lambda _: self._has_changed.set())
        self._thread = threading.Thread(
            target=self._keep, name="oneloop-sandbox-state", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Write the last changes, and let go of the file."""
        self._stop_listening()
        self._stopping = True
        self._has_changed.set()
        self._thread.join()
        try:
            self._write()
        finally:
            self._lock.close()

    def _read(self) -> None:
        try:
            text = self._path.read_text("utf-8")
            self._state.restore(books_from_json(text))
        except FileNotFoundError:
            return
        except ValueError as error:
            raise ValueError(f"{self._path} is not the state of a sandbox: {error}") from None
        self._written = text

    def _write(self) -> None:
        text = books_to_json(self._state.books())
        if text == self._written:
            return
        # Only for this user, as the secret that signs JWTs is in it.
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            draft.replace(self._path)
        except BaseException:
            draft.unlink()
            raise
        self._written = text

    def _keep(self) -> None:
        while not self._stopping:
            self._has_changed.wait()
            self._has_changed.clear()
            try:
                self._write()
            except Exception:  # the next change is written again
                logger.exception("cannot write the state of the sandbox")
            if not self._stopping:
                time.sleep(_PAUSE)


def _locked(path: Path) -> IO[str]:
    """Open a file beside `path` that only one process can hold, where the system has such locks."""
    try:
        file = path.with_name(path.name + ".lock").open("a")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            message = f"another sandbox uses it ({os.strerror(error.errno or 0)})"
            raise OSError(error.errno, message, str(path)) from None
    return file
