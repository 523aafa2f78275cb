"""Results as text: docs/benchmarks.md, and the table in the README."""

from collections.abc import Callable, Iterable

from attrs import frozen

from .peering import Peer
from .rounds import IN_FLIGHT, Ratio, Results

NOTHING = "-"


@frozen
class Goal:
    """What ours should reach, in words and in numbers.

    Attributes:
        text: What is compared with what.
        name: The measurement.
        to: The peer that it is compared with; ours itself if empty.
        to_name: The measurement that it is compared with, if another.
        limits: For `default` and for `fast`.
        at_least: Whether the limit is a lower one.
    """

    text: str
    name: str
    to: str
    to_name: str
    limits: tuple[float, float]
    at_least: bool = False


GOALS = [
    Goal("CPU per sync call, against bare httpx", "cpu", "httpx", "", (0.6, 0.18)),
    Goal(
        "async calls per second at 100 in flight, against bare httpx",
        *("async 100", "httpx", "", (3.5, 25)),
        at_least=True,
    ),
    Goal(
        "async calls per second at 1,000 in flight, against its own at 10",
        *("async 1000", "", "async 10", (0.8, 0.8)),
        at_least=True,
    ),
    Goal("`import oneloop`, against `import httpx`", "import", "httpx", "", (0.25, 0.25)),
    Goal(
        "process start to first answer, against plain openapi-python-client",
        *("first", "plain", "", (0.85, 0.6)),
    ),
    Goal(
        "memory after the first call, against plain openapi-python-client",
        *("answered", "plain", "", (1.0, 1.1)),
    ),
]


@frozen
class Facts:
    """Where and with what a run was made.

    Attributes:
        lines: What is told of the machine, the date and ours.
        versions: Each peer's version; nothing where it has none.
    """

    lines: list[str]
    versions: dict[str, str]


def document(results: Results, peers: list[Peer], facts: Facts) -> str:
    """Return docs/benchmarks.md."""
    callers = _callers(peers)
    parts = [
        "<!-- Written by benchmarks/run; not by hand. -->",
        "# How fast it is",
        "![Bars of four of the tables below](benchmarks.svg)",
        "Every number here is from one run of `benchmarks/run`. A server answers on the loopback, in a process and on a\n"
        "core of its own; each client runs in a process and an environment of its own, on another core. Rounds go\n"
        "around all clients; a number is the median of all rounds. A ratio is taken within each round, and told as the\n"
        "median of the rounds with the quartiles: `0.50 (0.48 to 0.53)`. Absolute numbers move from machine to\n"
        "machine; ratios much less.",
        "\n".join(facts.lines),
        "## What we hold ourselves to",
        goals(results, peers),
        "`fast` stands on its engine: bare pyreqwest, with JSON but nothing else of ours above it, takes\n"
        f"{_ratio(results.ratio('cpu', 'engine', 'httpx'))} of the CPU time of bare httpx for a blocking call, and makes\n"
        f"{_ratio(results.ratio('async 100', 'engine', 'httpx'))} times as many async calls at 100 in flight.",
        "## Blocking calls",
        "Of one thread, over one connection. CPU time is that of all threads of the client's process.",
        table(
            ["", "CPU, µs", "wall, µs", "CPU, against bare httpx"],
            callers,
            lambda peer: [
                _number(results.median("cpu", peer.name)),
                _number(results.median("wall", peer.name)),
                _ratio(results.ratio("cpu", peer.name, "httpx")),
            ],
        ),
        "## Async calls",
        "Per second, of one process, by how many are in flight.",
        table(
            ["", *(f"{n:,}" for n in IN_FLIGHT), "at 100, against bare httpx"],
            callers,
            lambda peer: [
                *(_number(results.median(f"async {n}", peer.name)) for n in IN_FLIGHT),
                _ratio(results.ratio("async 100", peer.name, "httpx")),
            ],
        ),
        "## Import and start",
        "Import: beyond a bare interpreter; oneloop and squareup load most of themselves on first use. First answer:\n"
        "milliseconds from the start of the process, with everything that is loaded on the way.",
        table(
            ["", "import, ms", "modules", "first answer, ms", "over TLS, ms", "against plain"],
            callers,
            lambda peer: [
                _number(results.median("import", peer.name)),
                _number(results.median("modules", peer.name)),
                _number(results.median("first", peer.name)),
                _number(results.median("first tls", peer.name)),
                _ratio(results.ratio("first", peer.name, "plain")),
            ],
        ),
        "## Memory",
        "Resident, of the whole process, in MB; and by how many KB it grows in 10,000 blocking calls.",
        table(
            ["", "after import", "after the first call", "growth, KB", "first call, against plain"],
            callers,
            lambda peer: [
                _number(_megabytes(results.median("imported", peer.name))),
                _number(_megabytes(results.median("answered", peer.name))),
                _number(results.median("growth", peer.name)),
                _ratio(results.ratio("answered", peer.name, "plain")),
            ],
        ),
        "## Models alone",
        "Microseconds of CPU time. Encode: from arguments to the bytes of the body. Decode: from parsed JSON to the model;\n"
        "from bytes: from the bytes of the answer, JSON included. Define: to make the classes of that answer, once in a\n"
        "process. Ours also check what they are given.",
        "Ours are made by attrs. Two that make no calls show what another kind of class would save: slots by hand take the\n"
        "same steps with the same checks; msgspec checks what it decodes, in C, keeps no field that it does not know, and\n"
        "encodes unchecked. The last column is what a user would see of it: from bytes, as a part of the CPU time of a whole\n"
        "blocking call of oneloop.",
        table(
            [
                *("", "encode", "decode", "from bytes", "define", "encode, against plain"),
                *("decode, against plain", "from bytes, of a call of oneloop"),
            ],
            [peer for peer in peers if peer.codec],
            lambda peer: [
                _number(results.median("encode", peer.name)),
                _number(results.median("decode", peer.name)),
                _number(results.median("from bytes", peer.name)),
                _number(results.median("definition", peer.name)),
                _ratio(results.ratio("encode", peer.name, "plain")),
                _ratio(results.ratio("decode", peer.name, "plain")),
                _part(results.ratio("from bytes", peer.name, "default", "cpu")),
            ],
        ),
        "## What is compared",
        table(["", "version"], peers, lambda peer: [facts.versions.get(peer.name) or NOTHING]),
        "Each that calls makes the call that is most like a refill, a small POST with a small answer:\n"
        "[benchmarks/peers](../benchmarks/peers) has a module for each, and what it is installed from.",
        "## To repeat it",
        "```console\n"
        "$ benchmarks/run               # all of it; makes what environments it needs\n"
        "$ benchmarks/run httpx default # some; prints, and writes nothing\n"
        "$ benchmarks/run --quick       # whether it works\n"
        "```",
    ]
    return "\n\n".join(parts) + "\n"


def summary(results: Results, peers: list[Peer]) -> str:
    """Return the table of the README."""
    return table(
        [
            *("", "CPU per sync call, µs", "async calls/s, 100 in flight", "import, ms"),
            *("first answer, ms", "memory, MB"),
        ],
        _callers(peers),
        lambda peer: [
            _number(results.median("cpu", peer.name)),
            _number(results.median("async 100", peer.name)),
            _number(results.median("import", peer.name)),
            _number(results.median("first", peer.name)),
            _number(_megabytes(results.median("answered", peer.name))),
        ],
    )


def goals(results: Results, peers: list[Peer]) -> str:
    """Return how ours compares with what it should reach."""
    ours = [peer for peer in _callers(peers) if peer.ours]
    lines = [["", *(f"{_plain(peer)}{part}" for peer in ours for part in ("", ", goal"))]]
    for goal in GOALS:
        line = [goal.text]
        for peer in ours:
            ratio = results.ratio(goal.name, peer.name, goal.to or peer.name, goal.to_name)
            limit = goal.limits[peer.name == "fast"]
            word = "at least" if goal.at_least else "at most"
            missed = ratio and (ratio.median < limit if goal.at_least else ratio.median > limit)
            line += [_ratio(ratio) + (", missed" if missed else ""), f"{word} {limit:g}"]
        lines.append(line)
    return _rows(lines)


def table(heads: list[str], peers: Iterable[Peer], cells: Callable[[Peer], list[str]]) -> str:
    """Return a table with a row for each peer."""
    return _rows([heads, *([peer.title, *cells(peer)] for peer in peers)])


def _callers(peers: list[Peer]) -> list[Peer]:
    return [peer for peer in peers if peer.calls]


def _rows(rows: list[list[str]]) -> str:
    heads, *rest = rows
    ruler = ["---", *("---:" for _ in heads[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ruler, *rest])


def _plain(peer: Peer) -> str:
    return peer.title.strip("*")


def _megabytes(kib: float | None) -> float | None:
    return None if kib is None else kib / 1024


def _number(value: float | None) -> str:
    """Write a number with about three digits that count."""
    if value is None:
        return NOTHING
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return NOTHING
    digits = 1 if ratio.median >= 10 else 2
    median, low, high = (f"{value:.{digits}f}" for value in (ratio.median, ratio.low, ratio.high))
    return f"{median} ({low} to {high})"


def _part(ratio: Ratio | None) -> str:
    if ratio is None:
        return NOTHING
    return f"{ratio.median:.1%} ({ratio.low:.1%} to {ratio.high:.1%})"
