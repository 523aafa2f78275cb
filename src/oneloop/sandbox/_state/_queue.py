"""Which fault each API call takes."""

import random
import secrets
from collections.abc import Sequence
from threading import RLock

from attrs import evolve, frozen

from oneloop.sandbox._faults import Fault

MAX_TIMES = 10_000
"""The largest number of times that faults can be queued at once."""

MOST_ORDERS = 1000
"""The largest number of calls of `misbehave` that can be in the queue."""


@frozen(kw_only=True)
class QueuedFault:
    """What one call of `misbehave` has left in the queue."""

    faults: tuple[str, ...]
    """The names of the faults: taken in turn, or at random if there is a rate."""
    operation: str | None
    """The operationId of the calls that take them; None for all calls."""
    rate: float | None
    """The probability with which such a call takes one; None if it certainly does."""
    seed: int | None
    """Of the random numbers that decide; None without a rate."""
    times: int | None
    """How many more calls take one; None if there is no end."""


@frozen(kw_only=True)
class Order:
    """Faults, and which API calls are to take them."""

    faults: Sequence[Fault]
    operation: str | None = None
    """The operationId, or the name of the client's method; None for all calls."""
    rate: float | None = None
    seed: int | None = None
    times: int | None = None
    """How many calls take a fault with a rate. Without one: how often the faults are repeated."""

    def __attrs_post_init__(self) -> None:
        """Raise ValueError or TypeError if something is out of range."""
        _check("times", self.times, int, 1, MAX_TIMES)
        _check("rate", self.rate, (int, float), 0, 1)
        _check("seed", self.seed, int, 0, 2**53 - 1)
        if self.operation is not None and not isinstance(self.operation, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"operation must be a name, not {self.operation!r}")
        if not self.faults:
            raise ValueError("at least one fault is needed")
        if self.seed is not None and self.rate is None:
            raise ValueError("seed has no effect without a rate")


def _check(name: str, value: object, kinds: type | tuple[type, ...], least: int, most: int) -> None:
    if value is None:
        return
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not least <= value <= most:  # type: ignore[operator]
        raise ValueError(f"{name} must be from {least} to {most}, not {value}")


class FaultQueue:
    """The faults that calls are to take. Every method may be called from any thread."""

    def __init__(self, lock: RLock, operations: Sequence[str]) -> None:
        self._lock = lock
        self.operations = operations
        """The operationIds of the calls that can take faults."""
        self._waiting: list[_Waiting] = []
        """Those without a rate first."""

    def add(self, order: Order) -> int:
        """Add faults; return how many are queued, those with a rate and no end as one.

        Raises:
            ValueError: the queue is full, or there is no such operation.
        """
        if order.operation is not None:
            order = evolve(order, operation=self._operation(order.operation))
        with self._lock:
            if len(self._waiting) >= MOST_ORDERS:
                raise ValueError("the queue of faults is full; clear it first")
            self._waiting.append(_Waiting(order))
            self._waiting.sort(key=lambda one: one.order.rate is not None)
            return self._length()

    def take(self, operation: str | None) -> Fault | None:
        """Return the fault that a call of this operation takes, None if it takes none."""
        with self._lock:
            for one in self._waiting:
                fault = one.take() if one.order.operation in (None, operation) else None
                if fault is not None:
                    if one.left == 0:
                        self._waiting.remove(one)
                    return fault
        return None

    def clear(self) -> int:
        """Remove all; return how many there were, as `add` counts them."""
        with self._lock:
            length = self._length()
            self._waiting.clear()
        return length

    def entries(self) -> tuple[QueuedFault, ...]:
        """Return what is queued, in the order in which calls take it."""
        with self._lock:
            return tuple(one.entry() for one in self._waiting)

    def _operation(self, wanted: str) -> str:
        """Return the operationId that is meant, which may be given as the client's method name."""
        by_letters = {_letters(name): name for name in self.operations}
        found = wanted if wanted in self.operations else by_letters.get(_letters(wanted))
        if found is None:
            known = ", ".join(self.operations)
            raise ValueError(f"unknown operation {wanted!r}; known are: {known}")
        return found

    def _length(self) -> int:
        return sum(1 if one.left is None else one.left for one in self._waiting)


def _letters(name: str) -> str:
    return name.replace("_", "").lower()


class _Waiting:
    """An order, and how much of it is left."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.left = order.times
        self._taken = 0
        self._seed = None
        if order.rate is None:
            self.left = len(order.faults) * (order.times or 1)
        else:
            # Drawn here if it was not given, so that a run that failed can be repeated.
            self._seed = secrets.randbelow(2**32) if order.seed is None else order.seed
            self._random = random.Random(self._seed)  # noqa: S311 - for tests, and repeatable

    def take(self) -> Fault | None:
        """Return the next fault, or None if the dice decide so."""
        faults, rate = self.order.faults, self.order.rate
        if rate is None:
            fault = faults[self._taken % len(faults)]
        elif self._random.random() < rate:
            fault = self._random.choice(faults)
        else:
            return None
        self._taken += 1
        if self.left is not None:
            self.left -= 1
        return fault

    def entry(self) -> QueuedFault:
        """Describe what is left; faults without a rate begin with the next one."""
        kinds = [fault.kind for fault in self.order.faults]
        next_one = self._taken % len(kinds) if self.order.rate is None else 0
        return QueuedFault(
            faults=(*kinds[next_one:], *kinds[:next_one]),
            operation=self.order.operation,
            rate=self.order.rate,
            seed=self._seed,
            times=self.left,
        )
