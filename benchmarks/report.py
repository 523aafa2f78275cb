"""Formats the results: docs/benchmarks.md, and the table in the README."""

from collections.abc import Callable, Iterable

from attrs import frozen

from .peering import Peer
from .rounds import IN_FLIGHT, Ratio, Results

NOTHING = "-"


@frozen
class Goal:
    """A limit on the ratio of one of our measurements to another measurement.

    Attributes:
        text: Description of the ratio.
        name: Our measurement, the numerator.
        to: The peer whose measurement is the denominator; empty for the same peer.
        to_name: The name of that measurement, if it is another one than `name`.
        limits: The limits for `default` and for `fast`.
        at_least: Whether the limits are lower limits.
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
    """The conditions of a run.

    Attributes:
        lines: Text about the date, our commit and the machine.
        versions: The version of each peer; empty if a peer has no version.
    """

    lines: list[str]
    versions: dict[str, str]


def document(results: Results, peers: list[Peer], facts: Facts) -> str:
    """Return docs/benchmarks.md."""
    callers = _callers(peers)
    parts = [
        "<!-- Written by benchmarks/run; do not edit. -->",
        "# How fast it is",
        "![Bars of four of the tables below](benchmarks.svg)",
        "All numbers on this page are from one run of `benchmarks/run`. A server responds on the loopback interface, in its\n"
        "own process on its own core. Each client runs in its own process and virtual environment, on another core. Every\n"
        "round measures all clients, and a number is the median over the rounds. A ratio is computed within each round and\n"
        "reported as the median with the quartiles: `0.50 (0.48 to 0.53)`. Absolute numbers differ between machines; ratios\n"
        "differ much less.",
        "\n".join(facts.lines),
        "## Goals",
        goals(results, peers),
        "`fast` cannot be faster than its engine. Bare pyreqwest, with JSON but without anything else of ours, takes\n"
        f"{_ratio(results.ratio('cpu', 'engine', 'httpx'))} of the CPU time of bare httpx for a blocking call, and makes\n"
        f"{_ratio(results.ratio('async 100', 'engine', 'httpx'))} times as many async calls at 100 in flight.",
        "## Blocking calls",
        "One thread, over one connection. CPU time includes all threads of the client's process.",
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
        "Calls per second of one process, by the number of calls in flight.",
        table(
            ["", *(f"{n:,}" for n in IN_FLIGHT), "at 100, against bare httpx"],
            callers,
            lambda peer: [
                *(_number(results.median(f"async {n}", peer.name)) for n in IN_FLIGHT),
                _ratio(results.ratio("async 100", peer.name, "httpx")),
            ],
        ),
        "## Import and start",
        "Import: in addition to a bare interpreter; oneloop and squareup load most of their modules on first use. First answer:\n"
        "milliseconds from the start of the process, including everything that is loaded meanwhile.",
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
        "Resident memory of the whole process in MB, and its growth in KB over 10,000 blocking calls.",
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
        "Microseconds of CPU time. Encode: from arguments to the bytes of the request body. Decode: from parsed JSON to the\n"
        "model. From bytes: from the bytes of the response to the model, including parsing JSON. Define: creating the classes\n"
        "of that response, once per process. Ours also validate.",
        "Our models are attrs classes. Two entries that make no calls show what another kind of class would save. Slots by\n"
        "hand do the same steps with the same checks. msgspec validates in C what it decodes, drops unknown fields, and does\n"
        "not validate what it encodes. The last column shows how much of it a user would notice: the time from bytes, as a\n"
        "part of the CPU time of a whole blocking call of oneloop.",
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
        "Each client makes the call of its API that is most like a refill: a small POST with a small response.\n"
        "[benchmarks/peers](../benchmarks/peers) has the module and the requirements of each.",
        "## Repeat the measurements",
        "```console\n"
        "$ benchmarks/run               # everything; creates the virtual environments that it needs\n"
        "$ benchmarks/run httpx default # only these; prints the result, writes no files\n"
        "$ benchmarks/run --quick       # checks only that everything runs\n"
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
    """Return the table that compares our clients with the goals."""
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
    """Return a table with one row per peer."""
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
    """Format a number with about three significant digits."""
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
