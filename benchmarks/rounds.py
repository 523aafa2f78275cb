"""The measurements of a run, their order, and the statistics over its rounds."""

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
        rounds: Number of rounds.
        calls: Blocking calls per measurement.
        in_flight: Numbers of async calls in flight to measure.
        seconds: Approximate duration of each of these async measurements.
        codec: How often each step of the models is repeated.
        definitions: How often the classes of the models are created.
        growth: Blocking calls over which the growth of memory is measured.
        long_rounds: Number of rounds that include the largest of `in_flight`, which takes long.
        growth_rounds: Number of rounds that include the growth of memory, which takes longer.
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
    """One value per round, by measurement and peer; `None` for a round without a value."""

    values: dict[str, dict[str, list[float | None]]] = field(factory=dict)

    def add(self, name: str, peer: str, turn: int, value: float) -> None:
        """Store the value of one round."""
        rounds = self.values.setdefault(name, {}).setdefault(peer, [])
        rounds.extend([None] * (turn + 1 - len(rounds)))
        rounds[turn] = value

    def median(self, name: str, peer: str) -> float | None:
        """Return the median over the rounds."""
        found = [value for value in self._of(name, peer) if value is not None]
        return statistics.median(found) if found else None

    def ratio(self, name: str, peer: str, to: str, to_name: str = "") -> "Ratio | None":
        """Return the ratio of two measurements, computed within each round.

        Args:
            name: The measurement.
            peer: The peer whose values are the numerators.
            to: The peer whose values are the denominators.
            to_name: The measurement of the denominators, if it is another one than `name`.
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
    """The median of the ratios of all rounds, with the lower and the upper quartile."""

    median: float
    low: float
    high: float


def _sync(effort: Effort) -> Measure:
    return lambda client: client.measure("sync", url=client.endpoint.url, calls=effort.calls)


def _growth(effort: Effort) -> Measure:
    return lambda client: client.measure("growth", url=client.endpoint.url, calls=effort.growth)


def _parallel(effort: Effort, in_flight: int) -> Measure:
    def measure(client: Client) -> dict[str, float]:
        result = client.measure(
            "parallel", url=client.endpoint.url, in_flight=in_flight, seconds=effort.seconds
        )
        return {f"async {in_flight}": result["rate"]}

    return measure


def _first(client: Client) -> dict[str, float]:
    result = client.first(tls=False)
    return {"first": result["time"], "answered": result["memory"]}


def _first_tls(client: Client) -> dict[str, float]:
    return {"first tls": client.first(tls=True)["time"]}


def _codec(effort: Effort) -> Measure:
    return lambda client: client.measure(
        "codec", times=effort.codec, definitions=effort.definitions
    )


def _applies(peer: Peer, what: str) -> bool:
    """Return whether a measurement applies to a peer."""
    if what == "import":
        return bool(peer.statement)
    return peer.codec if what == "models" else peer.calls


def run(clients: list[Client], effort: Effort, say: Callable[[str], None]) -> Results:
    """Make all measurements of all peers.

    Within a round, each measurement is made for all peers in turn, so that a temporary slowdown of
    the machine affects all of them. Each round starts with another peer.
    """
    results = Results()
    every, long, longest = effort.rounds, effort.long_rounds, effort.growth_rounds
    *fewer, most = effort.in_flight
    measures: list[tuple[str, int, Measure]] = [
        ("import", every, Client.imports),
        ("first answer", every, _first),
        ("first answer, TLS", every, _first_tls),
        ("sync calls", every, _sync(effort)),
        # Before the async calls: the memory that they free would hide the growth.
        ("growth of memory", longest, _growth(effort)),
        ("models", every, _codec(effort)),
        *((f"async calls, {n} in flight", every, _parallel(effort, n)) for n in fewer),
        (f"async calls, {most} in flight", long, _parallel(effort, most)),
    ]
    for client in clients:  # compiles missing bytecode and fills the system's caches
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
                if not _applies(client.peer, what):
                    continue
                for name, value in _once(client, what, measure, say).items():
                    results.add(name, client.peer.name, turn, value)
    return results


def _once(
    client: Client, what: str, measure: Measure, say: Callable[[str], None]
) -> dict[str, float]:
    """Measure once. If a peer fails, report it and return no values; the others continue."""
    try:
        return measure(client)
    except PeerError as error:
        say(f"{client.peer.name} failed: {what}: {error}")
        return {}
