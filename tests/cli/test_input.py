"""A file that is read twice is the same each time, or refused."""

import io
import os
import threading
from pathlib import Path

import pytest

from oneloop.cli._input import BLOCK, ChangedError, Input

NOTHING = io.BytesIO()


def test_a_file_is_read_as_often_as_one_likes(tmp_path: Path) -> None:
    """Each reading yields the same bytes, in blocks of one size."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * (BLOCK + 1))
    with Input(str(path), NOTHING) as file:
        assert file.name == str(path)
        assert [*map(len, file.blocks())] == [BLOCK, 1]
        b"".join(file.blocks())
        assert [*map(len, file.blocks())] == [BLOCK, 1]


@pytest.mark.parametrize(
    "changed",
    [b"", b"x" * BLOCK, b"x" * BLOCK + b"zy", b"x" * BLOCK + b"yz", b"w" + b"x" * BLOCK + b"y"],
)
def test_a_file_that_changed_is_refused(tmp_path: Path, changed: bytes) -> None:
    """Whatever differs is noticed, also where the file was replaced, and no such block is used."""
    path, new = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_bytes(b"x" * BLOCK + b"y")
    with Input(str(path), NOTHING) as file:
        b"".join(file.blocks())
        new.write_bytes(changed)
        new.replace(path)
        same = []
        with pytest.raises(ChangedError, match=r"a\.csv was changed after it had been checked"):
            same.extend(file.blocks())
        assert b"".join(same) == (b"x" * BLOCK if changed.startswith(b"x" * BLOCK) else b"")
        with pytest.raises(ChangedError):
            b"".join(file.blocks())


def test_a_reading_that_was_not_complete_is_compared_with_nothing(tmp_path: Path) -> None:
    """Only what was read to its end is what later readings are compared with."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    with Input(str(path), NOTHING) as file:
        blocks = file.blocks()
        next(blocks)
        path.write_bytes(b"new")
        assert [*file.blocks()] == [b"new"]
        assert [*blocks] == []
        with pytest.raises(ChangedError):
            b"".join(file.blocks())


def test_standard_input_is_copied() -> None:
    """It is read once, and its copy as often as one likes."""
    with Input("-", io.BytesIO(b"abc")) as file:
        assert file.name == "standard input"
        b"".join(file.blocks())
        assert [*file.blocks()] == [b"abc"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_copied(tmp_path: Path) -> None:
    """What a shell passes as `<(program)` can be read once only, too."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_bytes, args=(b"abc",))
    thread.start()
    with Input(str(path), NOTHING) as file:
        thread.join()
        b"".join(file.blocks())
        assert [*file.blocks()] == [b"abc"]


class Broken(io.BytesIO):
    """A standard input that fails."""

    def read(self, size: int | None = -1) -> bytes:
        """Fail as a disk does."""
        raise OSError("broken")


def test_what_cannot_be_read_leaves_nothing_open() -> None:
    """The copy is closed if it cannot be made; an open file would be a warning."""
    with pytest.raises(OSError, match="broken"):
        Input("-", Broken())
