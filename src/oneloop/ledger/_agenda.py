"""What the workers of a run do next, and what has come of it. No I/O, and no waiting."""

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from threading import Lock

from attrs import define, field

from oneloop._errors import APIStatusError

from ._model import Progress, RefillOrder, State, Summary
from ._steps import Result

WINDOW = 10_000
"""Refills that a run keeps in memory to come back to. Until there are fewer, it takes no more."""

POLL = 0.05
"""Seconds after which a worker with nothing to do looks again."""

_FAILURES = 3
"""How often one refill may find the API unreachable before the run leaves it planned."""

_CONCLUSIONS = 2
"""How often the readings of one refill may show nothing before the run leaves it."""


@define(eq=False)
class Job:
    """A refill of a run."""

    order: RefillOrder
    waits_for: str | None = None
    since: float | None = None
    undecided: int = 0
    failures: int = 0

    @property
    def meter(self) -> tuple[str, str]:
        """What names the meter."""
        return self.order.workspace_id, self.order.external_meter_id


@define
class Next:
    """Tells a worker to take the next order from the iterable, and to pass it to `accept`."""


@define(eq=False)
class Agenda:
    """The refills of a run. All workers share it; each method may be called from any thread.

    Args:
        limit: Seconds after which a refill is left as it is if nothing about it has changed.
        failures: How many attempts in a row may not reach the API before the run stops.
        progress: Called after each refill, by one worker at a time.
        clock: Seconds.
    """

    limit: float
    failures: int
    progress: Callable[[Progress], object] | None
    clock: Callable[[], float]
    problem: str | None = None
    error: BaseException | None = None
    refusal: APIStatusError | None = None
    _started: float = 0.0
    _is_exhausted: bool = False
    _running: int = 0
    _in_a_row: int = 0
    _total: int = 0
    _credits: int = 0
    _already: int = 0
    _counts: dict[State, int] = field(factory=lambda: dict.fromkeys(State, 0))
    _amounts: dict[State, int] = field(factory=lambda: dict.fromkeys(State, 0))
    _later: list[tuple[float, int, Job, Result]] = field(
        factory=list[tuple[float, int, Job, Result]]
    )
    _queues: dict[tuple[str, str], deque[Job]] = field(factory=dict[tuple[str, str], deque[Job]])
    _ready: deque[Job] = field(factory=deque[Job])
    _queued: int = 0
    _numbers: "count[int]" = field(factory=count)
    _lock: Lock = field(factory=Lock)

    def __attrs_post_init__(self) -> None:
        self._started = self.clock()

    def take(self) -> Job | Next | float | None:
        """Return what a worker does next: a job, `Next`, seconds to wait, or `None` for nothing."""
        with self._lock:
            if self._is_stopped:
                return None
            if self._ready:
                self._running += 1
                return self._ready.popleft()
            now = self.clock()
            if self._later and self._later[0][0] <= now:
                self._running += 1
                return heapq.heappop(self._later)[2]
            waiting = len(self._later) + self._queued
            if not self._is_exhausted and waiting + self._running < WINDOW:
                return Next()
            if self._later:
                return min(self._later[0][0] - now, POLL)
            return POLL if self._queued or not self._is_exhausted else None

    def accept(self, order: RefillOrder | None) -> Job | None:
        """Return the job for an order if it may be begun now.

        If its meter is busy, the order waits its turn. After the end of a run, it is not made.

        Args:
            order: The next one of the iterable; `None` if there are no more.
        """
        with self._lock:
            if order is None:
                self._is_exhausted = True
                return None
            if self._is_stopped:
                return None
            job = Job(order)
            self._total += 1
            self._credits += order.refill
            queue = self._queues.get(job.meter)
            if queue is not None:
                queue.append(job)
                self._queued += 1
                return None
            self._queues[job.meter] = deque()
            self._running += 1
            return job

    def stop(self, error: BaseException | None = None) -> None:
        """Let no worker take anything more."""
        with self._lock:
            self._is_exhausted = True
            self.error = self.error or error
            self.problem = self.problem or "it was stopped"

    def refused(self, job: Job, error: APIStatusError) -> None:
        """Stop the run because the API refuses the key. The job at hand was not sent."""
        with self._lock:
            self.refusal = self.refusal or error
            self.problem = self.problem or str(error)
            self._leave(job)

    def left(self, job: Job) -> None:
        """Say that a job was planned, and that the run ended before it was sent."""
        with self._lock:
            self._leave(job)

    def done(self, job: Job, result: Result) -> None:
        """Say what came of a job."""
        with self._lock:
            self._running -= 1
            self._watch(result)
            if self._comes_back(job, result):
                due = self.clock() + (result.again_in or 0.0)
                heapq.heappush(self._later, (due, next(self._numbers), job, result))
            else:
                self._count(job, result)
                self._free(job)
            self._report(result)

    def summary(self) -> Summary:
        """Return what came of the run. What it did not come back to counts as it is."""
        for _, _, job, result in self._later:
            self._count(job, result)
        self._later.clear()
        left = [job for queue in (*self._queues.values(), self._ready) for job in queue]
        for job in left:  # never begun: a run that stops before has not written them down
            self._leave(job)
        return Summary(
            total=self._total,
            credits=self._credits,
            counts=dict(self._counts),
            amounts=dict(self._amounts),
            already=self._already,
            elapsed=self.clock() - self._started,
            problem=self.problem,
        )

    @property
    def _is_stopped(self) -> bool:
        return self.problem is not None

    def _watch(self, result: Result) -> None:
        """Stop a run that cannot reach the API: each of its refills would wait for that."""
        if result.stop is not None:
            self.problem = self.problem or result.stop
        if result.is_unreachable:
            self._in_a_row += 1
            if self._in_a_row >= self.failures and self.problem is None:
                attempts = f"{self._in_a_row} attempts in a row had no effect"
                self.problem = f"{attempts}: {result.refill.error}"
        elif result.waits_for is None:
            self._in_a_row = 0

    def _comes_back(self, job: Job, result: Result) -> bool:
        if result.again_in is None:
            return False
        now = self.clock()
        if job.since is None or result.waits_for != job.waits_for:
            job.since, job.waits_for = now, result.waits_for
        if result.row.conclusion is not None:
            job.undecided += 1
        job.failures += result.is_unreachable
        if job.failures >= _FAILURES or job.undecided >= _CONCLUSIONS:
            return False
        return now - job.since < self.limit

    def _leave(self, job: Job) -> None:
        self._counts[State.PLANNED] += 1
        self._amounts[State.PLANNED] += job.order.refill

    def _count(self, job: Job, result: Result) -> None:
        self._counts[result.row.state] += 1
        self._amounts[result.row.state] += job.order.refill
        self._already += result.was_applied

    def _free(self, job: Job) -> None:
        queue = self._queues[job.meter]
        if queue:
            self._queued -= 1
            self._ready.append(queue.popleft())
        else:
            del self._queues[job.meter]

    def _report(self, result: Result) -> None:
        if self.progress is None:
            return
        progress = Progress(
            done=sum(self._counts.values()),
            waiting=len(self._later) + self._queued,
            counts=dict(self._counts),
            refill=result.refill,
            elapsed=self.clock() - self._started,
        )
        self.progress(progress)
