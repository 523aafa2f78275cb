"""The generated package as a folder: drafted beside the old one, compared with it, published."""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ._errors import GenerationError

DRAFT = ".draft-"
LONGEST_WAIT = 300
POLL = 0.1
"""Seconds to wait for another run, in all and between two looks."""
OLD = "old"
"""The name that a package has in the draft folder while it is being replaced."""


def differences(old: Path, new: Path) -> list[str]:
    """Return the files that differ between two folders, as `changed: path` and the like."""
    before, after = _files(old), _files(new)
    return [
        f"{_word(path in before, path in after)}: {path}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


@contextmanager
def signals(how: int) -> Iterator[None]:
    """Block or unblock the signals that stop a run. Blocked ones are delivered afterwards."""
    before = signal.pthread_sigmask(how, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def draft(package: Path | None, tell: Callable[[str], None]) -> Iterator[Path]:
    """Yield a temporary folder beside a package, from where its content can be renamed into place.

    The folder is removed on exit, and those that killed runs left behind are removed before. A lock
    excludes that one of them belongs to a run that goes on. Without a package the folder is in the
    system's folder for temporary files.

    Args:
        package: Where the content will be published; None if it will not be.
        tell: Is called with a line for the user if another run is waited for.

    Raises:
        GenerationError: Another run went on writing beside the package for `LONGEST_WAIT` seconds.
    """
    with ExitStack() as stack:
        parent, prefix = None, DRAFT
        if package:
            parent, prefix = package.parent, f"{DRAFT}{package.name}-"
            parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(parent, os.O_RDONLY)
            stack.callback(os.close, handle)
            _lock(handle, parent, tell)
            for left in [path for path in parent.iterdir() if path.name.startswith(prefix)]:
                if (left / OLD).exists() and not package.exists():  # killed in `publish`
                    (left / OLD).rename(package)
                shutil.rmtree(left, ignore_errors=True)
        folder = TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
        yield Path(stack.enter_context(folder))


def publish(package: Path, new: Path, files: Mapping[Path, bytes]) -> None:
    """Write files, and then move a new package from its draft folder into place.

    If a step fails, all of them are undone. If the process is killed, the next run makes what is
    missing; that is why files, such as the document, come before the package made from them. A kill
    between the two renames leaves no package until then: POSIX cannot exchange two folders, and to
    replace file after file would leave a mix of both packages, which is worse.
    """
    draft = new.parent
    with ExitStack() as undo:
        for number, (path, content) in enumerate(files.items()):
            before, after = draft / f"{number}.before", draft / f"{number}.after"
            after.write_bytes(content)
            if path.exists():
                shutil.copy2(path, before)
                shutil.copymode(path, after)
                undo.callback(shutil.move, before, path)
            else:
                undo.callback(path.unlink, missing_ok=True)
            shutil.move(after, path)  # in one step, unless it is on another file system
        if package.exists():
            package.rename(draft / OLD)
            undo.callback((draft / OLD).rename, package)
        new.rename(package)
        undo.pop_all()


def _lock(handle: int, folder: Path, tell: Callable[[str], None]) -> None:
    """Lock an open folder, where its file system can, until it is closed or the process ends."""
    end = time.monotonic() + LONGEST_WAIT
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError:
            return  # as on some network file systems
        else:
            return
        if time.monotonic() > end:
            problem = f"another run has been writing to {folder} for {LONGEST_WAIT} s"
            raise GenerationError(f"{problem}: run it again when that one has ended")
        if not told:
            tell(f"waiting for another run that is writing to {folder} ...")
            told = True
        with signals(signal.SIG_UNBLOCK):
            time.sleep(POLL)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _word(before: bool, after: bool) -> str:
    return "changed" if before and after else "missing" if after else "not generated"
