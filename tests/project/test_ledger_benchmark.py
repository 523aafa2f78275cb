"""What `benchmarks/ledger` makes of its measurements. No test depends on the machine's speed."""

import subprocess

from benchmarks import ledgering
from benchmarks.ledgered import Result
from benchmarks.ledgering import WAYS, Row
from tests import ROOT


def a_row(delay: str = "at once", workers: int = 32) -> Row:
    """Return three rounds, of which the last one was on a machine twice as busy."""
    rounds = [
        {
            way: Result(rate=rate / slow, cpu=10.0, peak=50.0, refills=9)
            for way, rate in zip(WAYS, (1000, 500, 600, 400 + 10 * slow), strict=True)
        }
        for slow in (1, 1, 2)
    ]
    return Row("async", workers, delay, rounds)


def test_ratios_are_taken_within_a_round() -> None:
    """The median of the ratios, and not the ratio of the medians."""
    assert a_row().cells() == [
        "async, 32",
        "at once",
        *("1,000", "500", "600", "410"),
        "**0.60** (0.60 to 0.60)",
        "**0.41** (0.41 to 0.42)",
    ]


def test_the_page_says_where_the_aim_is_missed() -> None:
    """The aim counts with many workers only."""
    memory = {("async", "SQLite"): {10: 50.0, 100: 55.0}}
    text = ledgering.document([a_row(), a_row(workers=1)], memory, ["- a fact"])
    assert "It is missed in: async, API answers at once, PostgreSQL: 0.41.\n" in text
    assert "| async, SQLite | 50 MiB | 55 MiB | 1.10 |" in text
    assert "| async, 1 | at once |" in text


def test_a_quick_run_measures_one_of_each_sort() -> None:
    """Both clients, both databases, and the memory of short runs, and prints what it found."""
    command = [ROOT / "benchmarks" / "ledger", "--quick"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    rows = [line for line in result.stdout.splitlines() if line.startswith(("| sync", "| async"))]
    assert len(rows) == 2 + 2 + 2, result.stdout
    for cell in (cell for line in rows for cell in line.strip("|").split(" | ")[2:]):
        assert any(map(str.isdigit, cell)), result.stdout


def test_the_page_has_the_figures() -> None:
    """The script has written it, with the versions that were measured."""
    text = ledgering.PAGE.read_text("utf-8")
    assert "| sync, 32 | after 20 ms |" in text
    assert "sqlalchemy" in text
