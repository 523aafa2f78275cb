"""Two trees of files: how they differ, and how one takes the other's place."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ._interrupts import held


def differences(old: Path, new: Path) -> list[str]:
    """Return the files that two folders do not have alike, as `changed: path` and the like."""
    before, after = _files(old), _files(new)
    return [
        f"{_word(path in before, path in after)}: {path}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


@contextmanager
def drafts(target: Path | None) -> Iterator[Path]:
    """Give a folder for drafts, beside a target that they may replace; it goes with the block."""
    drafts: list[Path] = []
    try:
        try:
            with held():  # a folder that is made is known, and so it is removed
                if target is not None:
                    target.parent.mkdir(parents=True, exist_ok=True)
                drafts.append(
                    Path(tempfile.mkdtemp(prefix=".draft-", dir=target and target.parent))
                )
            yield drafts[0]
        finally:
            _remove(drafts)
    finally:
        _remove(drafts)  # again, as Ctrl-C may come before it is held back


@contextmanager
def rewritten(path: Path, content: bytes) -> Iterator[None]:
    """Give a file a new content, at once; if the block fails, the file is as it was."""
    with drafts(path) as draft:
        before, after = draft / "before", draft / "after"
        after.write_bytes(content)
        known = path.exists()
        if known:
            shutil.copy2(path, before)
            shutil.copymode(path, after)
        try:
            after.replace(path)
            yield
        except BaseException:
            if known:
                before.replace(path)
            else:
                path.unlink()
            raise


def replace(target: Path, new: Path, draft: Path) -> None:
    """Put a new folder in a target's place. If that fails, the target is as it was."""
    # mkdtemp made the draft for its owner only; what is published is for all, as the umask says.
    new.chmod(0o777 & ~_umask())
    old = draft / "old"
    if not target.exists():
        new.rename(target)
        return
    target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        old.rename(target)
        raise


def _remove(folders: Iterable[Path]) -> None:
    with held():
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _word(before: bool, after: bool) -> str:
    return "changed" if before and after else "missing" if after else "not generated"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
