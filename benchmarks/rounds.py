"""What is measured, in which order, and what is made of it."""

import statistics
from collections.abc import Callable

from attrs import field, frozen

from .harness import Client, Measure, PeerError
from .peering import Peer

IN_FLIGHT = (1, 10, 100, 1000)


@frozen
class Effort:
    """How much is measured.

    Attributes:
        rounds: How often each measurement is made.
        calls: Blocking calls in each.
        in_flight: How many async calls are made at once.
        seconds: How long they are, at least and for each of these.
        codec: How often a model is made.
        definitions: How often its class is.
        growth: Blocking calls by which the growth of memory is told.
        long_rounds: How often the most in flight are measured, which takes long.
        growth_rounds: How often growth is, which takes longer.
    """

    rounds: int = 5
    calls: int = 1000
    in_flight: tuple[int, ...] = IN_FLIGHT
    seconds: float = 0.5
    codec: int = 20_000
    definitions: int = 100
    growth: int = 10_000
    long_rounds: int = 3
    growth_rounds: int = 1


QUICK = Effort(
    rounds=1,
    calls=100,
    in_flight=(1, 10),
    seconds=0.05,
    codec=200,
    definitions=2,
    growth=200,
    long_rounds=1,
)


@frozen
class Results:
    """What came of all rounds: a value a round, by name and peer; `None` where there was none."""

    values: dict[str, dict[str, list[float | None]]] = field(factory=dict)

    def add(self, name: str, peer: str, turn: int, value: float) -> None:
        """Keep a value of one round."""
        rounds = self.values.setdefault(name, {}).setdefault(peer, [])
        rounds.extend([None] * (turn + 1 - len(rounds)))
        rounds[turn] = value

    def median(self, name: str, peer: str) -> float | None:
        """Return the middle of what was measured."""
        found = [value for value in self._of(name, peer) if value is not None]
        return statistics.median(found) if found else None

    def ratio(self, name: str, peer: str, to: str, to_name: str = "") -> "Ratio | None":
        """Return how a peer compares with another, round by round.

        Args:
            name: What was measured.
            peer: Whose values are divided.
            to: By whose.
            to_name: And by what was measured of that one, if not the same.
        """
        pairs = zip(self._of(name, peer), self._of(to_name or name, to), strict=False)
        found = [mine / theirs for mine, theirs in pairs if mine is not None and theirs]
        if not found:
            return None
        if len(found) == 1:
            return Ratio(found[0], found[0], found[0])
        low, middle, high = statistics.quantiles(found, n=4, method="inclusive")
        return Ratio(middle, low, high)

    def _of(self, name: str, peer: str) -> list[float | None]:
        return self.values.get(name, {}).get(peer, [])


@frozen
class Ratio:
    """The median of the ratios of all rounds, and their quartiles."""

    median: float
    low: float
    high: float


def _sync(effort: Effort) -> Measure:
    return lambda client: client.measure("sync", url=client.place.url, calls=effort.calls)


def _growth(effort: Effort) -> Measure:
    return lambda client: client.measure("growth", url=client.place.url, calls=effort.growth)


def _parallel(effort: Effort, in_flight: int) -> Measure:
    def measure(client: Client) -> dict[str, float]:
        told = client.measure(
            "parallel", url=client.place.url, in_flight=in_flight, seconds=effort.seconds
        )
        return {f"async {in_flight}": told["rate"]}

    return measure


def _first(client: Client) -> dict[str, float]:
    told = client.first(tls=False)
    return {"first": told["time"], "answered": told["memory"]}


def _first_tls(client: Client) -> dict[str, float]:
    return {"first tls": client.first(tls=True)["time"]}


def _codec(effort: Effort) -> Measure:
    return lambda client: client.measure(
        "codec", times=effort.codec, definitions=effort.definitions
    )


def _asked(peer: Peer, what: str) -> bool:
    """Say whether this is measured of a peer."""
    if what == "import":
        return bool(peer.statement)
    return peer.codec if what == "models" else peer.calls


def run(clients: list[Client], effort: Effort, say: Callable[[str], None]) -> Results:
    """Measure everything of every peer.

    Within a round, each measurement goes once around all peers, so that what slows the machine
    down for a while slows them all; each round begins with another peer.
    """
    results = Results()
    every, long, longest = effort.rounds, effort.long_rounds, effort.growth_rounds
    *fewer, most = effort.in_flight
    measures: list[tuple[str, int, Measure]] = [
        ("import", every, Client.imports),
        ("first answer", every, _first),
        ("first answer, TLS", every, _first_tls),
        ("sync calls", every, _sync(effort)),
        # Before the async calls, which leave free memory behind for what grows to hide in.
        ("growth of memory", longest, _growth(effort)),
        ("models", every, _codec(effort)),
        *((f"async calls, {n} in flight", every, _parallel(effort, n)) for n in fewer),
        (f"async calls, {most} in flight", long, _parallel(effort, most)),
    ]
    for client in clients:  # compiles what is not compiled yet, and fills the system's caches
        if client.peer.calls:
            _once(client, "import", Client.imports, say)
            _once(client, "first answer", _first, say)
    for turn in range(effort.rounds):
        first = turn % len(clients)
        for what, rounds, measure in measures:
            if turn >= rounds:
                continue
            say(f"round {turn + 1} of {effort.rounds}: {what}")
            for client in clients[first:] + clients[:first]:
                if not _asked(client.peer, what):
                    continue
                for name, value in _once(client, what, measure, say).items():
                    results.add(name, client.peer.name, turn, value)
    return results


def _once(
    client: Client, what: str, measure: Measure, say: Callable[[str], None]
) -> dict[str, float]:
    """Measure once; a peer that fails has no value, and the others go on."""
    try:
        return measure(client)
    except PeerError as error:
        say(f"{client.peer.name} failed: {what}: {error}")
        return {}
