"""The bytes of a file that is read several times, and must not change in between."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import BinaryIO

BLOCK = 1 << 20
"""Bytes that are read at once, and that have a digest of their own."""


class ChangedError(Exception):
    """The file is not the one that was read first. Its text says what to do."""


class Input:
    """A file, or what arrives on standard input or through a pipe.

    The first complete reading keeps a digest of each block of 1 MiB. Later readings open the file
    anew by its path, and compare each block before they return it.

    Args:
        path: the file, or ``-`` for standard input. What is not a regular file can be read only
            once, so it is copied to a temporary file first.
        stdin: the standard input.

    Raises:
        OSError: the file cannot be read.
    """

    def __init__(self, path: str, stdin: BinaryIO) -> None:
        self.name = "standard input" if path == "-" else path
        self._path = Path(path)
        self._copy: BinaryIO | None = None
        self._digests: list[bytes] | None = None
        if path == "-":
            self._copy = _copied(stdin)
        elif not stat.S_ISREG(self._path.stat().st_mode):
            with self._path.open("rb") as file:
                self._copy = _copied(file)

    def __enter__(self) -> "Input":
        """Return itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the copy, if there is one."""
        if self._copy is not None:
            self._copy.close()

    def blocks(self) -> Iterator[bytes]:
        """Yield what is in the file, from its start.

        Raises:
            ChangedError: it is not what was read first.
            OSError: the file cannot be read.
        """
        digests: list[bytes] = []
        with self._opened() as file:
            while True:
                block = file.read(BLOCK)
                digests.append(blake2b(block, digest_size=16).digest())
                if self._digests is not None and self._digests[len(digests) - 1] != digests[-1]:
                    raise ChangedError(
                        f"{self.name} was changed after it had been checked; start again, so that "
                        "it is checked as it is now"
                    )
                if not block:
                    break
                yield block
        self._digests = digests

    def _opened(self) -> AbstractContextManager[BinaryIO]:
        if self._copy is None:
            return self._path.open("rb")
        self._copy.seek(0, os.SEEK_SET)
        return nullcontext(self._copy)


def _copied(file: BinaryIO) -> BinaryIO:
    """Return a temporary file with what is left in `file`. It is removed when it is closed."""
    copy = TemporaryFile()  # noqa: SIM115 - Input closes it
    try:
        shutil.copyfileobj(file, copy)
    except BaseException:
        copy.close()
        raise
    return copy
