"""`benchmarks/budget [--update]`: what a call and an import take, against the lines of budget.toml.

Only what is the same on every run is counted, so that a busy machine does not matter. A line is of
one minor version of Python, as each has instructions of its own; where this one has no lines,
nothing is checked.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

from .harness import serving
from .peering import HERE, ROOT

FILE = HERE / "budget.toml"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
SHRUNK = 0.03
"""Part of a line by which a count must lie below it for that to be told."""

HEAD = """\
# What one call and one import of oneloop take at most, by version of Python. CI runs
# benchmarks/budget, which checks it. Change a line only in the commit that makes it necessary, by
# `benchmarks/budget --update`.
"""

MODULES = """
import sys
before = len(sys.modules)
{statement}
print(len(sys.modules) - before)
"""

STATEMENTS = {
    "modules, import oneloop": "import oneloop",
    "modules, first sync call": ("from benchmarks.peers.default import make; make({url!r})()"),
    "modules, first sync call, fast": ("from benchmarks.peers.fast import make; make({url!r})()"),
    "modules, first async call": """
import asyncio
from benchmarks.peers.default import make_async
async def main():
    call, close = make_async({url!r})
    await call()
    await close()
asyncio.run(main())
""",
}


def counted() -> dict[str, int]:
    """Count all there is to count."""
    found: dict[str, int] = {}
    with serving() as place:
        for name, statement in STATEMENTS.items():
            code = MODULES.format(statement=statement.format(url=place.url))
            found[name] = int(_run("-c", code))
        found |= json.loads(_run(str(HERE / "counting.py"), place.url))
    return found


def _path() -> list[str]:
    """Return where our packages are, and those that they need."""
    ours = [ROOT, *(ROOT / part for part in ("src", "generated", "overrides"))]
    return [*map(str, ours), sysconfig.get_path("purelib")]


def _run(*arguments: str) -> str:
    """Run Python with nothing that could differ from one machine or run to the next.

    Without `site`, which runs what other packages leave for each start of an interpreter.
    """
    result = subprocess.run(
        [sys.executable, "-S", *arguments],
        env={"PYTHONPATH": os.pathsep.join(_path()), "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return result.stdout


def compare(found: dict[str, int], lines: dict[str, int]) -> tuple[list[str], list[str]]:
    """Return what is wrong, and what is better than its line says."""
    wrong = [
        f"{name}: {count}, and its line says {lines[name]}"
        for name, count in found.items()
        if name in lines and count > lines[name]
    ]
    wrong += [
        f"{name}: {count}, and has no line" for name, count in found.items() if name not in lines
    ]
    wrong += [f"{name}: has a line, and is not counted" for name in lines if name not in found]
    better = [
        f"{name}: {count}, and its line says {lines[name]}"
        for name, count in found.items()
        if name in lines and count < lines[name] * (1 - SHRUNK)
    ]
    return wrong, better


def read(file: Path) -> dict[str, dict[str, int]]:
    """Return the lines of each version."""
    return tomllib.loads(file.read_text("utf-8")) if file.exists() else {}


def write(file: Path, versions: dict[str, dict[str, int]]) -> None:
    """Write the lines of each version."""
    parts = [HEAD]
    for version in sorted(versions, key=lambda name: [int(part) for part in name.split(".")]):
        lines = (f'"{name}" = {count}\n' for name, count in versions[version].items())
        parts += [f'\n["{version}"]\n', *lines]
    file.write_text("".join(parts), "utf-8")


def main(arguments: list[str]) -> int:
    """Check, and return the exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks/budget", description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the counts into budget.toml")
    given = parser.parse_args(arguments)
    versions = read(FILE)
    if VERSION not in versions and not given.update:
        print(f"benchmarks/budget: no lines for Python {VERSION}: nothing is checked")
        return 0
    found = counted()
    if given.update:
        write(FILE, versions | {VERSION: found})
        return 0
    wrong, better = compare(found, versions[VERSION])
    if better:
        print("\nbelow their lines, which can be tightened (benchmarks/budget --update):")
        print(*better, sep="\n")
    if wrong:
        print("\npast their lines in benchmarks/budget.toml:")
        print(*wrong, sep="\n")
        return 1
    print(f"{len(found)} counts are within their lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
