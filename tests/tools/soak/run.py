"""The refills by one client, the faults that they meet, and the restarts of the sandbox."""

import asyncio
import math
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from attrs import define, evolve, field

from oneloop import AsyncOneloop, Oneloop, Outcome, Retry, RetryPolicy, Timeout
from oneloop.sandbox import Fault, ReceivedRequest, Sandbox

from .books import OUTCOMES, Comparison, Kind, Refill, Report, Result
from .faults import FAULTS, MAX_RESPONSE_BYTES, RARE_FAULTS, RARELY

POLICY = RetryPolicy(backoff=0.01, cap=0.02, budget=3)
"""The default policy with short waits, and with a budget that a slow answer exceeds."""

TIMEOUT = Timeout(connect=2, read=1)

LOST_AFTER = 5.0
"""Seconds past its budget after which a call is given up."""

RESTART_EVERY = 1000
"""Refills between two restarts of the sandbox."""

DOWN = 0.08
"""Seconds of a restart, during which connections are refused."""


@define
class Soak:
    """Refills by one client against one sandbox.

    Attributes:
        kind: Which client.
        workers: Number of threads or tasks that share the client.
        calls: Number of refills to make, or `None` for no limit.
        until: Time on the monotonic clock after which no more refills start.
        rate: Share of the requests that meet a fault, from 0 to 1.
        chance: Random numbers, which choose the faults.
        faults: The faults to choose from.
        rare_faults: Faults that last, to choose from instead with the probability `RARELY`.
        retry: The client's policy, whose `on_retry` is replaced.
        options: More arguments for the client.
        progress: Called now and then with the number of refills that have ended.
    """

    kind: Kind
    workers: int
    calls: int | None
    until: float
    rate: float
    chance: random.Random
    faults: Sequence[Fault] = FAULTS
    rare_faults: Sequence[Fault] = RARE_FAULTS
    retry: RetryPolicy = POLICY
    options: dict[str, Any] = field(factory=dict[str, Any])
    progress: Callable[[int], object] = field(default=lambda _: None)
    _sandbox: Sandbox = field(init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _begun: int = field(default=0, init=False)
    _unmet: int = field(default=0, init=False)
    """Requests that were not sent after it was decided whether they meet a fault."""
    _restarts: int = field(default=0, init=False)
    _requests: int = field(default=0, init=False)
    _faults: int = field(default=0, init=False)
    _stopping: bool = field(default=False, init=False)
    _open: dict[str, tuple[Refill, float]] = field(factory=dict, init=False)
    _results: list[tuple[Refill, Result]] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the sandbox, whose log is too short for all requests."""
        self._sandbox = Sandbox(port=_free_port(), on_request=self._count)

    def _count(self, request: ReceivedRequest) -> None:
        if request.number > self._requests:  # otherwise a late call that has taken effect
            self._requests = request.number
            self._faults += request.fault is not None

    def run(self) -> Report:
        """Make the refills, and compare their results with the sandbox's books."""
        sandbox = self._sandbox
        started = time.monotonic()
        _start(sandbox)
        try:
            self._make_calls()
            # A request that a client wrongly reported as not sent may still arrive in this time.
            time.sleep(0.1)
        finally:
            sandbox.stop()
        seconds = time.monotonic() - started
        budget = self._budget
        comparisons = [
            Comparison(refill, result, self._rise(refill), budget)
            for refill, result in self._results
        ]
        return Report(
            kind=self.kind,
            comparisons=tuple(comparisons),
            missing=0 if self.calls is None else self.calls - len(comparisons),
            requests=self._requests,
            faults=self._faults,
            restarts=self._restarts,
            seconds=seconds,
        )

    @property
    def _budget(self) -> float:
        return math.inf if self.retry.budget is None else self.retry.budget

    def _make_calls(self) -> None:
        options = {
            "api_key": self._sandbox.api_key,
            "base_url": self._sandbox.url,
            "timeout": TIMEOUT,
            "max_response_bytes": MAX_RESPONSE_BYTES,
            "retry": evolve(self.retry, on_retry=self._before_retry),
            **self.options,
        }
        if self.kind == "async":
            self._watch([threading.Thread(target=self._by_tasks, args=(options,), daemon=True)])
            return
        with Oneloop(**options) as client:
            self._watch(
                threading.Thread(target=self._by_thread, args=(client,), daemon=True)
                for _ in range(self.workers)
            )

    def _by_thread(self, client: Oneloop) -> None:
        while (refill := self._begin()) is not None:
            began = time.monotonic()
            try:
                answer = client.refill_billing_limit(**refill.arguments)
            except Exception as error:  # noqa: BLE001 - whatever is raised is compared
                self._end(refill, Result.of_error(error, time.monotonic() - began))
            else:
                self._end(refill, Result.of_answer(answer, time.monotonic() - began))

    def _by_tasks(self, options: dict[str, Any]) -> None:
        async def by_task(client: AsyncOneloop) -> None:
            while (refill := self._begin()) is not None:
                began = time.monotonic()
                try:
                    answer = await client.refill_billing_limit(**refill.arguments)
                except Exception as error:  # noqa: BLE001 - as above
                    self._end(refill, Result.of_error(error, time.monotonic() - began))
                else:
                    self._end(refill, Result.of_answer(answer, time.monotonic() - began))

        async def all_tasks() -> None:
            async with AsyncOneloop(**options) as client:
                await asyncio.gather(*(by_task(client) for _ in range(self.workers)))

        asyncio.run(all_tasks())

    def _begin(self) -> Refill | None:
        """Return the next refill, with a meter of its own, or `None` if there are to be no more."""
        with self._lock:
            late = self._stopping or time.monotonic() >= self.until
            if late or self._begun == self.calls:
                return None
            self._begun += 1
            number = self._begun
        # All balances differ, so that the answer to another call is noticed.
        meter = self._sandbox.create_meter(
            workspace_id="soak",
            external_meter_id=f"{self.kind}-{number}",
            total_credits=number * 1000,
        )
        refill = Refill(meter, amount=1 + number % 97)
        self._perhaps_misbehave()
        self._open[refill.name] = (refill, time.monotonic())
        return refill

    def _before_retry(self, retry: Retry) -> None:
        # A request that was not sent has met no fault: the next one meets what was queued for it.
        if retry.error.outcome is not Outcome.NOT_SENT:
            self._perhaps_misbehave()

    def _end(self, refill: Refill, result: Result) -> None:
        if result.outcome == OUTCOMES[Outcome.NOT_SENT]:
            with self._lock:
                self._unmet += 1
        del self._open[refill.name]
        self._results.append((refill, result))

    def _perhaps_misbehave(self) -> None:
        """Decide before a request whether to queue a fault, for it or for an earlier one."""
        with self._lock:
            if self._unmet:
                self._unmet -= 1
                return
            if self.chance.random() >= self.rate:
                return
            rarely = self.rare_faults and self.chance.random() < RARELY
            fault = self.chance.choice(self.rare_faults if rarely else self.faults)
        self._sandbox.misbehave(fault)

    def _watch(self, threads: Iterable[threading.Thread]) -> None:
        """Run threads to their end, restart the sandbox, and give up refills that do not end."""
        threads = tuple(threads)
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            threads[-1].join(0.02)
            if self._begun // RESTART_EVERY > self._restarts:
                self._restarts += 1
                self._sandbox.stop()
                time.sleep(DOWN)
                _start(self._sandbox)
            self.progress(len(self._results))
            oldest_first = sorted(began for _, began in self._open.copy().values())
            too_old = time.monotonic() - self._budget - LOST_AFTER
            if oldest_first and oldest_first[0] < too_old:
                self._stopping = True
                if oldest_first[-1] < too_old:
                    break
        for refill, began in self._open.copy().values():
            age = time.monotonic() - began
            self._results.append((refill, Result("no end", f"no end after {age:.1f} s", age)))

    def _rise(self, refill: Refill) -> int:
        meter = self._sandbox.meter(workspace_id="soak", external_meter_id=refill.name)
        return meter.total_credits - refill.opening.total_credits


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _start(sandbox: Sandbox) -> None:
    """Start the sandbox again on its port, which may be in use for a moment."""
    for _ in range(100):
        with suppress(OSError):
            return sandbox.start()
        time.sleep(0.01)
    return sandbox.start()
