"""The measurement of growth finds none in a short run, and fails if there is some."""

import pytest

from tests.tools.growth import KINDS, TOLERANCE, in_another_process, main


@pytest.mark.parametrize("kind", KINDS)
def test_many_calls_leave_no_file_open(kind: str) -> None:
    """After some thousand calls, of which some failed, as many files are open as before.

    The memory is compared with a limit that a leak of 2 KiB for each call would exceed: such a
    short run does not reach the size at which the memory stays.
    """
    memory, files = in_another_process(kind, 3000)
    assert files <= 0
    assert memory < 4000


@pytest.mark.parametrize(
    ("memory", "files", "status"), [(TOLERANCE, 0, 0), (TOLERANCE + 1, 0, 1), (0, 1, 1)]
)
def test_growth_is_printed_and_fails(
    memory: int, files: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints what has grown, and fails if that is too much."""
    assert main(["--calls", "10"], lambda _kind, _calls: (memory, files)) == status
    assert f"sync: 10 calls, +{memory} KiB, +{files} open files\n" in capsys.readouterr().out
