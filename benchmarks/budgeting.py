"""`benchmarks/budget [--update]`: compare the cost of a call and an import with budget.toml.

Only quantities that are the same in every run are counted, so that a busy machine does not matter.
Each minor version of Python has limits of its own, because its instructions differ. If there are no
limits for the running version, nothing is checked.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

from .harness import Endpoint, serving
from .peering import HERE, ROOT

FILE = HERE / "budget.toml"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
SHRUNK = 0.03
"""A count is reported as lower than its limit only if it is lower by more than this part of it."""

HEAD = """\
# Limits on the cost of one call and one import of oneloop, by version of Python. CI runs
# benchmarks/budget, which checks them. Change a limit only in the commit that makes it necessary,
# with `benchmarks/budget --update`.
"""

MODULES = """
import sys
before = len(sys.modules)
{statement}
print(len(sys.modules) - before)
"""

STATEMENTS = {
    "modules, import oneloop": "import oneloop",
    "modules, first sync call": "from benchmarks.peers.default import make; make({url!r})()",
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
    """Return all counts by name."""
    found: dict[str, int] = {}
    with serving() as endpoint:
        for name, statement in STATEMENTS.items():
            code = MODULES.format(statement=statement.format(url=endpoint.url))
            found[name] = int(_run(endpoint, "-c", code))
        urls = (endpoint.url, endpoint.tls_url)
        found |= json.loads(_run(endpoint, str(HERE / "counting.py"), *urls))
    return found


def _path() -> list[str]:
    """Return the folders of our packages and of those that they import."""
    ours = [ROOT, *(ROOT / part for part in ("src", "generated", "overrides"))]
    return [*map(str, ours), sysconfig.get_path("purelib")]


def _run(endpoint: Endpoint, *arguments: str) -> str:
    """Run Python without what could differ between machines or runs, and return its output.

    It runs without `site`, which would execute the .pth files of other packages.
    """
    result = subprocess.run(
        [sys.executable, "-S", *arguments],
        env={
            "PYTHONPATH": os.pathsep.join(_path()),
            "PYTHONHASHSEED": "0",
            "SSL_CERT_FILE": str(endpoint.certificates),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return result.stdout


def compare(found: dict[str, int], limits: dict[str, int]) -> tuple[list[str], list[str]]:
    """Return a message for each count that is wrong, and for each that is well below its limit."""
    wrong = [
        f"{name}: {count}, limit {limits[name]}"
        for name, count in found.items()
        if name in limits and count > limits[name]
    ]
    wrong += [f"{name}: {count}, no limit" for name, count in found.items() if name not in limits]
    wrong += [f"{name}: has a limit but is not counted" for name in limits if name not in found]
    better = [
        f"{name}: {count}, limit {limits[name]}"
        for name, count in found.items()
        if name in limits and count < limits[name] * (1 - SHRUNK)
    ]
    return wrong, better


def read(file: Path) -> dict[str, dict[str, int]]:
    """Return the limits for each version of Python."""
    return tomllib.loads(file.read_text("utf-8")) if file.exists() else {}


def write(file: Path, versions: dict[str, dict[str, int]]) -> None:
    """Write the limits for each version of Python."""
    parts = [HEAD]
    for version in sorted(versions, key=lambda name: [int(part) for part in name.split(".")]):
        lines = (f'"{name}" = {count}\n' for name, count in versions[version].items())
        parts += [f'\n["{version}"]\n', *lines]
    file.write_text("".join(parts), "utf-8")


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks/budget", description=__doc__)
    parser.add_argument("--update", action="store_true", help="make the counts the new limits")
    given = parser.parse_args(arguments)
    versions = read(FILE)
    if VERSION not in versions and not given.update:
        print(f"benchmarks/budget: no limits for Python {VERSION}; nothing is checked")
        return 0
    found = counted()
    if given.update:
        write(FILE, versions | {VERSION: found})
        return 0
    wrong, better = compare(found, versions[VERSION])
    if better:
        print("\nwell below their limits, which can be lowered (benchmarks/budget --update):")
        print(*better, sep="\n")
    if wrong:
        print("\nnot within the limits of benchmarks/budget.toml:")
        print(*wrong, sep="\n")
        return 1
    print(f"{len(found)} counts are within their limits")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
