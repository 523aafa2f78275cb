"""Give calls odd, broken and mutated answers, and check the result of each client.

A case depends only on a seed and its number, so that a failure can be repeated alone:
`scripts/fuzz --seed SEED --only CASE`. `meaning.py` reads each answer a second time to find the
expected result, and expects nothing in particular where HTTP leaves room for doubt.

A case whose answer keeps the connection open is followed by a call with a correct answer, the
probe. It checks that nothing left over from the first answer is taken for the second one.
"""

import argparse
import os
import sys
from typing import Any

from oneloop import Outcome
from tests.calling import KINDS

from .runs import Report, run, run_all, say


def table(reports: list[Report]) -> str:
    """Return the results of all runs as a table with one column for each client kind."""
    rows = [["", *(report.kind for report in reports)]]

    def row(name: str, values: list[Any]) -> None:
        rows.append([name, *map(str, values)])

    row("cases", [report.cases for report in reports])
    names = {name for report in reports for name in report.results}
    for name in sorted(names, key=lambda name: (name != "model", name)):
        row(name, [report.results[name] for report in reports])
    for outcome in Outcome:
        row(f"outcome {outcome.value}", [report.outcomes[outcome.value] for report in reports])
    row("seconds", [f"{report.seconds:.1f}" for report in reports])
    row("late, repeated alone", [len(report.late) for report in reports])
    row("failures", [len(report.failures) for report in reports])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in rows
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz")
    parser.add_argument("--cases", type=int, default=20_000, help="cases of each client kind")
    parser.add_argument("--seed", type=int, default=1, help="seed of the cases")
    parser.add_argument("--only", type=int, metavar="CASE", help="repeat one case, and print it")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this client kind")
    asked = parser.parse_args(arguments)
    os.environ["NO_PROXY"] = "127.0.0.1"
    kinds = asked.kind or list(KINDS)
    numbers = list(range(asked.cases)) if asked.only is None else [asked.only]
    if asked.only is None:
        reports = run_all(kinds, numbers, asked.seed)
    else:
        reports = [run(kind, numbers, asked.seed, verbose=True) for kind in kinds]
    for report in reports:
        for failure in report.failures:
            say(f"FAILED {failure}")
    say(table(reports))
    return 1 if any(report.failures for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
