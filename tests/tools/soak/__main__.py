"""Refill meters with many faults, then compare the sandbox's books with what callers were told.

Each call refills its own meter, so the books say how often exactly that call was applied. One
client is shared by all threads, another one by all tasks. Each of the two has its own sandbox,
which is also restarted now and then, so that connections are refused and lost.
"""

import argparse
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tests.calling import sending

from .books import TIMES, Kind, Report
from .faults import FAULTS, FAULTS_OVER_HTTPX, RARE_FAULTS, RARE_FAULTS_OVER_HTTPX
from .run import Soak

SHOWN = 10
"""Maximum number of discrepancies that are printed."""


def tables(reports: Sequence[Report]) -> str:
    """Return two tables: what callers were told and what is in the books, and what it took."""
    books = [("client", "told", "calls", "in the books: 0", "1", "more", "discrepancies")]
    costs = [("client", "calls", "requests", "faults", "restarts", "seconds", "calls/s")]
    for report in reports:
        found = {comparison.result.outcome for comparison in report.comparisons}
        outcomes = (*TIMES, *sorted(found.difference(TIMES)))
        books += [(report.kind, outcome, *_counts(report, outcome)) for outcome in outcomes]
        books.append((report.kind, "all", *_counts(report, None)))
        calls = len(report.comparisons)
        speed = f"{calls / report.seconds:.0f}"
        numbers = (calls, report.requests, report.faults, report.restarts)
        costs.append((report.kind, *map(str, numbers), f"{report.seconds:.1f}", speed))
    return f"{aligned(books, words=2)}\n{aligned(costs, words=1)}"


def _counts(report: Report, outcome: str | None) -> tuple[str, ...]:
    counted = [one for one in report.comparisons if outcome in (None, one.result.outcome)]
    times = Counter("0" if not one.rise else "1" if one.times == 1 else "more" for one in counted)
    wrong = sum(one.discrepancy is not None for one in counted)
    return tuple(map(str, (len(counted), times["0"], times["1"], times["more"], wrong)))


def aligned(rows: Sequence[Sequence[str]], *, words: int) -> str:
    """Return a table with `words` columns of words, and numbers in the others."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if index < words else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description="Refill meters of a sandbox that misbehaves at random, with both clients, and "
        "compare its books with what every caller was told.",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--calls", type=_count, metavar="N", help="number of calls of both clients together (20000)"
    )
    length.add_argument(
        "--seconds", type=_seconds, metavar="S", help="duration, instead of --calls"
    )
    parser.add_argument(
        "--faults",
        type=_rate,
        default=0.3,
        metavar="RATE",
        help="share of requests that meet a fault (%(default)s)",
    )
    for name, default in (("threads", 32), ("tasks", 64)):
        parser.add_argument(
            f"--{name}",
            type=_count,
            default=default,
            metavar="N",
            help=f"{name} that share a client (%(default)s)",
        )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="seed of the faults (a new one each time)"
    )
    parser.add_argument(
        "--via", choices=("sockets", "httpx"), default="sockets", help="the transport (%(default)s)"
    )
    options = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    calls = None if options.seconds else options.calls or 20_000

    length_in_words = f"{options.seconds:g} seconds" if calls is None else f"{calls} calls"
    _write(
        f"{length_in_words}, {options.faults * 100:g} % faults, {options.threads} threads, "
        f"{options.tasks} tasks, seed {seed}\n\n"
    )
    kinds: tuple[tuple[Kind, int, int], ...] = (
        ("sync", options.threads, (calls or 0) // 2),
        ("async", options.tasks, (calls or 0) - (calls or 0) // 2),
    )
    reports = [
        Soak(
            kind=kind,
            workers=workers,
            calls=None if calls is None else share,
            until=math.inf if calls else time.monotonic() + options.seconds / 2,
            rate=options.faults,
            chance=random.Random(f"{seed} {kind}"),  # noqa: S311 - faults need no secrecy
            faults=FAULTS_OVER_HTTPX if options.via == "httpx" else FAULTS,
            rare_faults=RARE_FAULTS_OVER_HTTPX if options.via == "httpx" else RARE_FAULTS,
            options=sending(options.via),
            progress=_progress(kind),
        ).run()
        for kind, workers, share in kinds
    ]
    _write(tables(reports))
    found = [line for report in reports for line in report.discrepancies]
    _write(f"\ndiscrepancies: {len(found)}\n")
    _write("".join(f"  {line}\n" for line in found[:SHOWN]))
    return 1 if found else 0


def _progress(kind: Kind) -> Callable[[int], object]:
    def tell(ended: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{kind}: {ended} calls\033[K\r")
            sys.stderr.flush()

    return tell


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError(text)
    return count


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(text)
    return seconds


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate <= 1:
        raise ValueError(text)
    return rate


if __name__ == "__main__":
    sys.exit(main())
