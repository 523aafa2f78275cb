"""Run a folder of documents through the generator, and show how good the packages are.

Every document is generated as a foreign one, without overlays, and what is refused is left out. A
server on this machine, made from the document without the generator's code, answers the calls.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests import ROOT

from .judging import LONGEST, judge

SUFFIXES = {".json", ".yaml", ".yml"}
COLUMNS = {
    "document": "document",
    "operations": "operations",
    "generated": "generated",
    "imports": "imports",
    "mypy": "mypy",
    "pyright": "pyright",
    "right": "calls right",
    "wrong": "wrong",
    "nulls": "null lost",
    "members right": "members right",
    "members wrong": "wrong",
    "described_in_docstrings": "descriptions",
    "run_together": "run together",
    "numbered_members": "VALUE_n",
    "trailing_underscores": "name_",
    "seconds": "seconds",
    "ratio": "of plain",
}
"""The headings by what they are about. `null lost` counts answers in which a null was read as a
field that is left out, `members` those of unions whose class the document decides."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 if there is anything wrong with a package."""
    parser = argparse.ArgumentParser(prog="scripts/corpus", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with OpenAPI documents, or one document")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="documents at a time")
    parser.add_argument("--seed", default="1", help="seed of the arguments and answers")
    parser.add_argument("--time", action="store_true", help="also time openapi-python-client")
    parser.add_argument("--no-types", action="store_true", help="run no type checker")
    text = "make calls of the first N operations of a document only"
    parser.add_argument("--limit", type=int, default=10**6, metavar="N", help=text)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one:
        print_one(options)
        return 0
    found = [options.folder] if options.folder.is_file() else sorted(options.folder.iterdir())
    documents = [path for path in found if path.suffix in SUFFIXES]
    if not documents:
        parser.error(f"no .json, .yaml or .yml file in {options.folder}")
    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(lambda path: in_another_process(path, options), documents):
            rows.append(row)
            sys.stderr.write(f"{len(rows)}/{len(documents)} {row['document']}\n")
            if options.json:  # each time, so that a run that is stopped leaves what it found
                options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    for line in show(rows):
        sys.stdout.write(f"{line}\n")
    return int(any(is_wrong(row) for row in rows))


def print_one(options: argparse.Namespace) -> None:
    """Judge one document, and print the result as JSON on the last line."""
    with tempfile.TemporaryDirectory() as folder:
        row = judge(
            options.one,
            Path(folder),
            seed=options.seed,
            limit=options.limit,
            types=not options.no_types,
            plain=options.time,
        )
    sys.stdout.write(f"\n{json.dumps(row)}\n")


def in_another_process(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Judge a document in a process of its own: one that ends in a crash is a row, not the end."""
    command = [sys.executable, "-m", "tests.tools.corpus", str(path), "--one", str(path)]
    command += ["--seed", options.seed, "--limit", str(options.limit)]
    command += ["--no-types"] * options.no_types + ["--time"] * options.time
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=4 * LONGEST
        )
        row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        row = {"document": path.name, "failure": f"it takes longer than {4 * LONGEST} s"}
    except (IndexError, ValueError):
        last = done.stderr.strip().splitlines()[-1:]
        row = {"document": path.name, "failure": f"the harness crashed: {''.join(last)}"}
    return row


def is_wrong(row: dict[str, Any]) -> bool:
    """Whether anything about a package is wrong; what is refused, and names, are not."""
    members = row.get("members", {})
    counts = (row.get("wrong"), row.get("mypy"), row.get("pyright"), members.get("wrong"))
    return "failure" in row or any(counts) or bool(row.get("unreported"))


def show(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table, with its totals, and the first of what is wrong."""
    cells = [list(COLUMNS.values())]
    cells += [[_cell(row, key) for key in COLUMNS] for row in [*rows, total(rows)]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        first, *rest = zip(line, widths, strict=True)
        yield "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
    reasons: Counter[str] = Counter()
    for row in rows:
        reasons.update(row.get("refused", {}))
        faults = [row["failure"]] if "failure" in row else []
        faults += row.get("type_errors", []) + row.get("faults", [])
        faults += [text for text in row.get("skipped", {}) if text.startswith("UNION")]
        yield from (f"{row['document']}: {fault}" for fault in faults)
    for reason, count in reasons.most_common(10):
        yield f"refused {count} times: {reason}"


def total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums of all rows."""
    whole: dict[str, Any] = {"document": f"{len(rows)} documents", "members": Counter()}
    for row in rows:
        whole["members"].update(row.get("members", {}))
        for key, value in row.items():
            if isinstance(value, int | float):
                whole[key] = whole.get(key, 0) + value
    return whole


def _cell(row: dict[str, Any], key: str) -> str:
    if key.startswith("members "):
        return str(row.get("members", {}).get(key.removeprefix("members "), ""))
    if key == "ratio":
        plain = row.get("plain_seconds")
        return f"{row['seconds'] / plain:.2f}" if plain and "seconds" in row else ""
    value = row.get(key, "")
    if key == "described_in_docstrings" and value != "":
        return f"{value}/{row['described']}"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
