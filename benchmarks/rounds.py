"""The measurements of a run, their order, and the statistics over its rounds."""

import statistics
from collections.abc import Callable

from attrs import field, frozen

from .harness import Client, Measure, PeerError

IN_FLIGHT = (1, 10, 100, 1000)
TLS_IN_FLIGHT = (10, 100)
BUSY = 100
"""The number of async calls in flight that is also measured under other versions of Python."""


@frozen
class Effort:
    """How much is measured.

    Attributes:
        rounds: Number of rounds.
        calls: Blocking calls per measurement.
        in_flight: Numbers of async calls in flight to measure.
        tls_in_flight: The same, over TLS.
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
    tls_in_flight: tuple[int, ...] = TLS_IN_FLIGHT
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
    tls_in_flight=(10,),
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
        return Ratio(found)

    def _of(self, name: str, peer: str) -> list[float | None]:
        return self.values.get(name, {}).get(peer, [])


@frozen
class Ratio:
    """The ratios of all rounds."""

    rounds: list[float]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.rounds)

    @property
    def low(self) -> float:
        """The smallest."""
        return min(self.rounds)

    @property
    def high(self) -> float:
        """The largest."""
        return max(self.rounds)


@frozen
class Step:
    """One of the measurements of a round.

    Attributes:
        what: Its name in messages.
        rounds: The number of rounds that include it.
        measure: Makes it.
        applies: Returns whether a client can make it.
        ported: Whether it is made under other versions of Python too.
    """

    what: str
    rounds: int
    measure: Measure
    applies: Callable[[Client], bool]
    ported: bool = False

    def takes(self, client: Client) -> bool:
        """Return whether this client is measured."""
        return self.applies(client) and (self.ported or not client.ported)


def check(client: Client) -> dict[str, float]:
    """Check that a peer decodes responses, and makes its calls over one connection.

    Raises:
        PeerError: It does not, so that its numbers could not be compared with the others.
    """
    for url in (client.endpoint.url, client.endpoint.tls_url):
        for kind in ("sync", "async") if client.peer.blocking else ("async",):
            before = client.endpoint.connections()
            calls = client.measure(f"check_{kind}", url=url)["calls"]
            opened = client.endpoint.connections() - before
            if opened != 1:
                raise PeerError(f"opened {opened} connections for {calls} {kind} calls of {url}")
    return {}


def _sync(effort: Effort, *, tls: bool = False) -> Measure:
    def measure(client: Client) -> dict[str, float]:
        found = client.measure("sync", url=_url(client, tls=tls), calls=effort.calls)
        return {_named(name, tls=tls): value for name, value in found.items()}

    return measure


def _url(client: Client, *, tls: bool) -> str:
    return client.endpoint.tls_url if tls else client.endpoint.url


def _named(name: str, *, tls: bool) -> str:
    return f"{name} tls" if tls else name


def _growth(effort: Effort) -> Measure:
    return lambda client: client.measure("growth", url=client.endpoint.url, calls=effort.growth)


def _parallel(effort: Effort, in_flight: int, *, tls: bool = False) -> Measure:
    def measure(client: Client) -> dict[str, float]:
        url = _url(client, tls=tls)
        found = client.measure("parallel", url=url, in_flight=in_flight, seconds=effort.seconds)
        return {
            _named(f"async {in_flight}", tls=tls): found["rate"],
            _named(f"async cpu {in_flight}", tls=tls): found["cpu"],
        }

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


def _imported(client: Client) -> bool:
    return bool(client.peer.statement)


def _calls(client: Client) -> bool:
    return client.peer.calls


def _blocks(client: Client) -> bool:
    return client.peer.calls and client.peer.blocking


def _models(client: Client) -> bool:
    return client.peer.codec


def _steps(effort: Effort) -> list[Step]:
    every, long = effort.rounds, effort.long_rounds
    *fewer, most = effort.in_flight
    return [
        Step("import", every, Client.imports, _imported, ported=True),
        Step("first answer", every, _first, _calls, ported=True),
        Step("first answer, TLS", every, _first_tls, _calls),
        Step("sync calls", every, _sync(effort), _blocks, ported=True),
        # Before the async calls: the memory that they free would hide the growth.
        Step("growth of memory", effort.growth_rounds, _growth(effort), _blocks),
        Step("sync calls, TLS", every, _sync(effort, tls=True), _blocks),
        Step("models", every, _codec(effort), _models),
        *(
            Step(f"async calls, {n} in flight", every, _parallel(effort, n), _calls, n == BUSY)
            for n in fewer
        ),
        *(
            Step(f"async calls, {n} in flight, TLS", every, _parallel(effort, n, tls=True), _calls)
            for n in effort.tls_in_flight
        ),
        Step(f"async calls, {most} in flight", long, _parallel(effort, most), _calls),
    ]


def run(clients: list[Client], effort: Effort, say: Callable[[str], None]) -> Results:
    """Make all measurements of all peers.

    Within a round, each measurement is made for all peers in turn, so that a temporary slowdown of
    the machine affects all of them. Each round starts with another peer.
    """
    results = Results()
    steps = _steps(effort)
    clients = [client for client in clients if not _calls(client) or _checked(client, say)]
    for client in clients:  # compiles missing bytecode and fills the system's caches
        if client.peer.calls:
            _once(client, "import", Client.imports, say)
            _once(client, "first answer", _first, say)
    for turn in range(effort.rounds):
        first = turn % max(1, len(clients))
        for step in steps:
            if turn >= step.rounds:
                continue
            say(f"round {turn + 1} of {effort.rounds}: {step.what}")
            for client in clients[first:] + clients[:first]:
                if not step.takes(client):
                    continue
                for name, value in _once(client, step.what, step.measure, say).items():
                    results.add(name, client.name, turn, value)
    return results


def _checked(client: Client, say: Callable[[str], None]) -> bool:
    """Return whether a peer passes the check, and report it if it does not."""
    try:
        check(client)
    except PeerError as error:
        say(f"{client.name} failed, and is not measured: {error}")
        return False
    return True


def _once(
    client: Client, what: str, measure: Measure, say: Callable[[str], None]
) -> dict[str, float]:
    """Measure once. If a peer fails, report it and return no values; the others continue."""
    try:
        return measure(client)
    except PeerError as error:
        say(f"{client.name} failed: {what}: {error}")
        return {}
