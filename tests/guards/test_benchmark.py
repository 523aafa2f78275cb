"""What `benchmarks/guard` makes of its measurements. No test depends on the machine's speed."""

from benchmarks import guarding


def test_ratios_are_taken_within_a_round() -> None:
    """The median of the ratios, and not the ratio of the medians."""
    found = {
        "none": [(0.5, 200.0)] * 3,
        "bare": [(1.0, 100.0), (2.0, 50.0), (4.0, 25.0)],
        "guard": [(1.1, 90.0), (2.2, 45.0), (4.0, 25.0)],
    }
    assert guarding.row("X", found) == "| X | 0.50 | 2.00 | 2.20 | **1.10** (1.00 to 1.10) | 0.90 |"


def test_the_page_has_the_figures() -> None:
    """Between the marks that the benchmark writes between, for each server."""
    table = guarding.PAGE.read_text("utf-8").split(guarding.MARKS[0])[1].split(guarding.MARKS[1])[0]
    assert all(f"| {name} |" in table for name in guarding.SERVERS)
    assert "with Python" in table
