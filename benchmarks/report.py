"""Formats the results: docs/benchmarks.md, and the table in the README."""

from collections.abc import Callable, Iterable, Sequence

from attrs import frozen

from .harness import under
from .peering import PORTED, Peer, sortable
from .rounds import BUSY, IN_FLIGHT, TLS_IN_FLIGHT, Ratio, Results

NOTHING = "-"


@frozen
class Goal:
    """A limit on the ratio of one of oneloop's measurements to another measurement.

    Attributes:
        text: Description of the ratio.
        name: The measurement of oneloop, the numerator.
        to: The peer whose measurement is the denominator.
        limit: The limit.
        at_least: Whether it is a lower limit.
        to_name: The measurement of the denominator, if it is another one than `name`.
    """

    text: str
    name: str
    to: str
    limit: float
    at_least: bool = False
    to_name: str = ""

    def reached(self, rounds: list[float]) -> str:
        """Return whether the ratios of all rounds are within the limit, or those of how many."""
        met = sum(value >= self.limit if self.at_least else value <= self.limit for value in rounds)
        if met in (0, len(rounds)):
            return "yes" if met else "no"
        return f"in {met} of {len(rounds)} rounds"


GOALS = [
    Goal("CPU per blocking call / bare httpx", "cpu", "httpx", 0.18),
    Goal("CPU per blocking call / bare pyreqwest", "cpu", "engine", 1.0),
    Goal("async calls/s, 100 in flight / bare httpx", "async 100", "httpx", 45, at_least=True),
    Goal("async calls/s, 100 in flight / bare pyreqwest", "async 100", "engine", 1, at_least=True),
    Goal(
        "async calls/s, 1,000 in flight / its own at 10",
        *("async 1000", "default", 1.0),
        at_least=True,
        to_name="async 10",
    ),
    Goal("CPU per blocking call over TLS / bare httpx over TLS", "cpu tls", "httpx", 0.25),
    Goal("`import oneloop` / `import httpx`", "import", "httpx", 0.12),
    Goal("process start to first answer / plain openapi-python-client", "first", "plain", 0.55),
    Goal("the same, both over TLS", "first tls", "plain", 0.55),
    Goal("memory after the first call / plain openapi-python-client", "answered", "plain", 0.75),
]


@frozen
class Facts:
    """The conditions of a run.

    Attributes:
        lines: Text about the date, our commit and the machine.
        versions: The version of each peer; empty if a peer has no version.
        python: The version of Python under which all peers were measured.
        others: The versions under which some of them were measured too.
    """

    lines: list[str]
    versions: dict[str, str]
    python: str = ""
    others: Sequence[str] = ()


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
        "reported as the median, with the smallest and the largest: `0.50 (0.48 to 0.53)`. Absolute numbers differ between\n"
        "machines; ratios differ much less. Before the first round, each client is checked: it must decode the responses, and\n"
        "make all calls over one connection.",
        "\n".join(facts.lines),
        "## Goals",
        "Figures of oneloop with its defaults. A goal is reached if the ratio is within it in every round.",
        goals(results),
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
        "Calls per second of one process, by the number of calls in flight, and CPU time per call with 10 in flight.",
        table(
            ["", *(f"{n:,}" for n in IN_FLIGHT), "at 100, against bare httpx", "CPU, µs"],
            callers,
            lambda peer: [
                *(_number(results.median(f"async {n}", peer.name)) for n in IN_FLIGHT),
                _ratio(results.ratio("async 100", peer.name, "httpx")),
                _number(results.median("async cpu 10", peer.name)),
            ],
        ),
        "## Calls over TLS",
        "The same over TLS: CPU time per blocking call, async calls per second by the number of calls in flight, and CPU time\n"
        "per async call with 10 in flight. Connections are open before the measurement begins.",
        table(
            [
                *("", "blocking: CPU, µs", "against bare httpx"),
                *(f"async: {n:,}" for n in TLS_IN_FLIGHT),
                *("at 100, against bare httpx", "async: CPU, µs"),
            ],
            callers,
            lambda peer: [
                _number(results.median("cpu tls", peer.name)),
                _ratio(results.ratio("cpu tls", peer.name, "httpx")),
                *(_number(results.median(f"async {n} tls", peer.name)) for n in TLS_IN_FLIGHT),
                _ratio(results.ratio("async 100 tls", peer.name, "httpx")),
                _number(results.median("async cpu 10 tls", peer.name)),
            ],
        ),
        "## Import and start",
        "Import: in addition to a bare interpreter; oneloop, unkey-py and squareup load most of their modules on first use.\n"
        "First answer: milliseconds from the start of the process, including everything that is loaded meanwhile. It is the\n"
        "answer to a blocking call, except with aiohttp, which has none.",
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
        *_ported(results, peers, facts),
        "## What is compared",
        table(["", "version"], peers, lambda peer: [facts.versions.get(peer.name) or NOTHING]),
        "Each client makes the call of its API that is most like a refill: a small POST with a small response.\n"
        "[benchmarks/peers](../benchmarks/peers) has the module and the requirements of each.",
        "## Repeat the measurements",
        "```console\n"
        "$ benchmarks/run                # everything; creates the virtual environments that it needs\n"
        "$ benchmarks/run httpx default  # only these; prints the result, writes no files\n"
        "$ benchmarks/run --python PATH  # also under this Python; without it: python3.11 to python3.14, where installed\n"
        "$ benchmarks/run --quick        # checks only that everything runs\n"
        "```",
    ]
    return "\n\n".join(parts) + "\n"


def summary(results: Results, peers: list[Peer]) -> str:
    """Return the table of the README."""
    return table(
        [
            *("", "CPU per sync call, µs", "over TLS, µs", "async calls/s, 100 in flight"),
            *("import, ms", "first answer, ms", "memory, MB"),
        ],
        _callers(peers),
        lambda peer: [
            _number(results.median("cpu", peer.name)),
            _number(results.median("cpu tls", peer.name)),
            _number(results.median("async 100", peer.name)),
            _number(results.median("import", peer.name)),
            _number(results.median("first", peer.name)),
            _number(_megabytes(results.median("answered", peer.name))),
        ],
    )


def goals(results: Results) -> str:
    """Return the table that compares oneloop with the goals."""
    lines = [["figure", "goal", "measured (min to max of rounds)", "reached"]]
    for goal in GOALS:
        ratio = results.ratio(goal.name, "default", goal.to, goal.to_name)
        bound = "at least" if goal.at_least else "at most"
        reached = goal.reached(ratio.rounds) if ratio else NOTHING
        lines.append([goal.text, f"{bound} {goal.limit:g}", _ratio(ratio), reached])
    return _rows(lines)


def _ported(results: Results, peers: list[Peer], facts: Facts) -> list[str]:
    """Return the part about other versions of Python, if any was measured."""
    ported = [peer for peer in peers if peer.name in PORTED]
    if not facts.others:
        return []
    versions = sorted([None, *facts.others], key=lambda version: sortable(version or facts.python))
    rows = [
        [
            *("", "CPU per blocking call, µs", "against bare httpx"),
            *(f"async calls/s, {BUSY} in flight", "against bare httpx"),
            *("import, ms", "against bare httpx", "first answer, ms", "against bare httpx"),
        ]
    ]
    for version in versions:
        httpx = under(version, "httpx")
        for peer in ported:
            row = [f"{version or facts.python}: {peer.title}"]
            for name in ("cpu", f"async {BUSY}", "import", "first"):
                row.append(_number(results.median(name, under(version, peer.name))))
                row.append(_ratio(results.ratio(name, under(version, peer.name), httpx)))
            rows.append(row)
    return [
        "## Versions of Python",
        "Measured in the same rounds. Each ratio is against bare httpx under the same Python.",
        _rows(rows),
    ]


def table(heads: list[str], peers: Iterable[Peer], cells: Callable[[Peer], list[str]]) -> str:
    """Return a table with one row per peer."""
    return _rows([heads, *([peer.title, *cells(peer)] for peer in peers)])


def _callers(peers: list[Peer]) -> list[Peer]:
    return [peer for peer in peers if peer.calls]


def _rows(rows: list[list[str]]) -> str:
    heads, *rest = rows
    ruler = ["---", *("---:" for _ in heads[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ruler, *rest])


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
