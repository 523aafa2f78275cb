"""Run the machine of tests/ledger/model.py for longer than the tests do."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.ledger.model import LedgerMachine, MachineWithOthers, check, files
from tests.postgres import serving

MACHINES = {"alone": LedgerMachine, "with other writers": MachineWithOthers}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/ledger-model", description=__doc__)
    parser.add_argument(
        "--examples", type=int, default=1000, metavar="N", help="of each machine (%(default)s)"
    )
    parser.add_argument(
        "--database", choices=("sqlite", "postgresql"), action="append", help="(both)"
    )
    options = parser.parse_args(argv)
    status = 0
    with ExitStack() as stack:
        for database in options.database or ("sqlite", "postgresql"):
            if database == "postgresql":
                new = stack.enter_context(serving()).database
            else:
                new = files(Path(stack.enter_context(tempfile.TemporaryDirectory())))
            for name, machine in MACHINES.items():
                began = time.monotonic()
                try:
                    check(machine, new, options.examples, print_blob=True)
                except AssertionError as error:
                    status, found = 1, f"wrong: {error}"
                else:
                    found = "nothing wrong"
                seconds = time.monotonic() - began
                sys.stdout.write(
                    f"{database}, {name}: {options.examples} examples in {seconds:.0f} s: {found}\n"
                )
                sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
