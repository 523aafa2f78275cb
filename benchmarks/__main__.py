"""`benchmarks/run [--quick] [--output FOLDER] [--python PATH ...] [PEER ...]`.

Without names, measure all peers and write docs/benchmarks.md, docs/benchmarks.svg and the table in
README.md. With names or --quick, print the tables, or write them to FOLDER if it is given.
"""

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from . import chart, peering, report
from .harness import Client, serving
from .peering import ROOT, Peer, SetupError
from .rounds import QUICK, Effort, Results, run

START, END = "<!-- benchmarks/run: -->", "<!-- :benchmarks/run -->"
"""The lines before and after the table in README.md."""


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("peers", nargs="*", metavar="PEER", help="what to measure; default: all")
    parser.add_argument("--quick", action="store_true", help="check only that everything runs")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write the results there")
    parser.add_argument(
        "--python",
        metavar="PATH",
        action="append",
        help="measure some peers under this Python too; can be repeated. Default: python3.11 to "
        "python3.14 on the PATH, unless peers are named or --quick is given",
    )
    given = parser.parse_args(arguments)
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", file=sys.stderr, flush=True)

    complete = not given.quick and not given.peers
    try:
        peers = peering.chosen(given.peers or (peering.QUICK if given.quick else []))
        if given.python:
            others = peering.others(map(peering.described, given.python))
        else:
            others = peering.installed() if complete else []
        environments = _environments(peers, others, say, quick=given.quick)
    except SetupError as error:
        print(f"benchmarks/run: {error}", file=sys.stderr)
        return 1

    busy = _load()
    with serving() as endpoint, ExitStack() as stack:
        clients = [
            stack.enter_context(Client(peer, python, endpoint, version))
            for peer, python, version in environments
        ]
        versions = {client.name: client.version() for client in clients if not client.ported}
        results = run(clients, QUICK if given.quick else Effort(), say)

    facts = report.Facts(
        _facts(busy), versions, peering.RUNNING.version, [python.version for python in others]
    )
    text = report.document(results, peers, facts)
    folder = given.output or (ROOT / "docs" if complete else None)
    if folder is None:
        print(text)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.md").write_text(text, "utf-8")
    (folder / "benchmarks.svg").write_text(_chart(results, peers), "utf-8")
    if folder == ROOT / "docs":
        _insert(ROOT / "README.md", report.summary(results, peers))
    print(report.goals(results))
    return 0


def _environments(
    peers: list[Peer], others: list[peering.Python], say: Callable[[str], None], *, quick: bool
) -> list[tuple[Peer, Path, str | None]]:
    """Return each peer with its interpreter, and with the version of that if it is another one.

    Raises:
        SetupError: An environment could not be created.
    """
    found: list[tuple[Peer, Path, str | None]] = []
    for peer in peers:
        if quick and peer.name in peering.QUICK:
            found.append((peer, Path(sys.executable), None))
        else:
            say(f"environment: {peer.name}")
            found.append((peer, peering.interpreter(peer), None))
    for python in others:
        for peer in peers:
            if peer.name in peering.PORTED:
                say(f"environment: {peer.name}, Python {python.version}")
                found.append((peer, peering.interpreter(peer, python), python.version))
    return found


def _chart(results: Results, peers: list[Peer]) -> str:
    def bars(name: str) -> list[chart.Bar]:
        return [
            chart.Bar(peer.title.replace("*", "").replace("`", ""), value, ours=peer.ours)
            for peer in peers
            if (value := results.median(name, peer.name)) is not None
        ]

    shorter, longer = "shorter is better", "longer is better"
    panels = [
        chart.Panel("CPU per blocking call, µs", shorter, bars("cpu")),
        chart.Panel("Async calls per second, 100 in flight", longer, bars("async 100")),
        chart.Panel("Process start to first answer, ms", shorter, bars("first")),
        chart.Panel("Import, ms", shorter, bars("import")),
    ]
    return chart.draw(panels, "How fast oneloop and other clients are; see docs/benchmarks.md")


def _insert(readme: Path, table: str) -> None:
    """Replace the table between the two marks in a file."""
    text = readme.read_text("utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{START}\n{table}\n{END}{after}", "utf-8")


def _facts(load: str) -> list[str]:
    """Return lines about the date, our commit and the machine."""
    git = ("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*")
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        commit = ""
    return [
        f"- {dt.datetime.now(dt.UTC):%Y-%m-%d}, oneloop at {commit or 'no commit'}",
        f"- {_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()};"
        f" load before the run {load}",
        f"- {platform.python_implementation()} {platform.python_version()}",
    ]


def _processor() -> str:
    """Return the name of the processor, or the architecture if the system does not name it."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or "unknown processor"
    name = text.partition("model name")[2].partition("\n")[0].strip("\t :")
    return name or platform.machine()


def _load() -> str:
    """Return the load average: 0 for an idle machine, 1 for each busy core."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
