"""Refill through the ledger, in processes that are killed, and compare it with the sandbox.

The sandbox misbehaves at random, and refills happen late. Processes are killed and started again;
the connection to the database is cut. Then what the ledger says of each refill is compared with how
often the sandbox applied it. `--late` larger than `--quiet` breaks what the ledger assumes, and
shows that this check can fail.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import get_args

from attrs import fields

from oneloop.ledger import State
from tests.tools.soak.__main__ import aligned

from .books import Report
from .run import Database, Effort, Soak

SHOWN = 20
"""Maximum number of violations that are printed."""


def tables(reports: Sequence[Report]) -> str:
    """Return three tables: the ledger and the books, what it took, and why some are unknown."""
    books = [("database", "ledger", "refills", "credits", "applied: 0", "1", "more", "violations")]
    costs = [
        (
            "database",
            *(
                "requests",
                "faults",
                "late",
                "kills",
                "cuts",
                "given up",
                "resent",
                "seconds",
                "refills/s",
            ),
        )
    ]
    reasons = []
    for report in reports:
        books += [(report.database, *_row(report, state)) for state in State]
        books.append((report.database, *_row(report, None)))
        numbers = (
            *(report.books.requests, report.books.faults, report.books.late),
            *(report.kills, report.cuts, report.unavailable, report.resent),
        )
        speed = f"{len(report.comparisons) / report.seconds:.0f}"
        costs.append((report.database, *map(str, numbers), f"{report.seconds:.1f}", speed))
        reasons += [
            f"{report.database}: unknown {number} times: {why}\n"
            for why, number in report.unknown.items()
        ]
    return f"{aligned(books, words=2)}\n{aligned(costs, words=1)}\n{''.join(reasons)}"


def _row(report: Report, state: State | None) -> tuple[str, ...]:
    found = [one for one in report.comparisons if state in (None, one.refill.state)]
    times = Counter("0" if not one.times else "1" if one.times == 1 else "more" for one in found)
    amount = sum(one.refill.refill for one in found)
    wrong = sum(one.violation is not None for one in found)
    counts = (len(found), amount, times["0"], times["1"], times["more"], wrong)
    return ("all" if state is None else str(state.value), *map(str, counts))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/soak --ledger", description=__doc__)
    parser.add_argument(
        "--database",
        choices=get_args(Database),
        action="append",
        help="can be repeated (both)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="seed of what is random (a new one each time)"
    )
    documented = dict(_documented())
    for one in fields(Effort):
        parser.add_argument(
            f"--{one.name.replace('_', '-')}",
            type=type(one.default),
            default=one.default,
            metavar="N",
            help=f"{documented[one.name]} (%(default)s)",
        )
    options = vars(parser.parse_args(argv))
    kinds, seed = options.pop("database") or list(get_args(Database)), options.pop("seed")
    if seed is None:
        seed = random.SystemRandom().randrange(10**6)
    effort = Effort(**options)
    _write(
        f"{effort.refills} refills of {effort.meters} meters, {effort.rate * 100:g} % faults, "
        f"{effort.processes} processes of {effort.workers} workers, quiet {effort.quiet:g} s, "
        f"refills up to {effort.late:g} s late, seed {seed}\n\n"
    )
    reports = [Soak(kind, effort, seed, _progress(kind)).run() for kind in kinds]
    _write(tables(reports))
    found = [f"{report.database}: {line}" for report in reports for line in report.violations]
    _write(f"violations: {len(found)}\n")
    _write("".join(f"  {line}\n" for line in found[:SHOWN]))
    return 1 if found else 0


def _documented() -> list[tuple[str, str]]:
    """Return the names and the texts of the options, from a docstring."""
    _, _, lines = (Effort.__doc__ or "").partition("Attributes:")
    pairs = (line.strip().partition(": ") for line in lines.splitlines() if ": " in line)
    return [(name, text[0].lower() + text.removesuffix(".")[1:]) for name, _, text in pairs]


def _progress(kind: Database) -> Callable[[float, int], object]:
    def tell(seconds: float, kills: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{kind}: {seconds:.0f} s, {kills} kills\033[K\r")
            sys.stderr.flush()

    return tell


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
