"""Many refills at once: each exactly once, in constant memory, and a summary that adds up."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from oneloop import ArgumentError, ArgumentValueError, RetryPolicy
from oneloop.ledger import (
    LedgerConflictError,
    LedgerError,
    LedgerUnavailableError,
    Progress,
    RefillOrder,
    State,
    Summary,
)
from oneloop.ledger import _agenda as agenda_module
from oneloop.ledger import _writer as writer_module
from oneloop.ledger._steps import Pace
from oneloop.sandbox import Sandbox
from tests.calling import SLACK
from tests.ledger.conftest import Books

AIM = "refillBillingLimit"


def orders(number: int, meters: int = 1, start: int = 0) -> list[dict[str, Any]]:
    """Return refills of 1, 2, 3 ... credits, for `meters` meters."""
    return [
        {
            "id": f"pay_{place}",
            "workspace_id": "ws_1",
            "external_meter_id": f"meter_{place % meters}",
            "refill": place + 1,
        }
        for place in range(start, start + number)
    ]


@pytest.fixture
def meters(sandbox: Sandbox) -> list[str]:
    """Make ten meters without credits."""
    names = [f"meter_{number}" for number in range(10)]
    for name in names:
        sandbox.create_meter(workspace_id="ws_1", external_meter_id=name)
    return names


def adds_up(summary: Summary) -> None:
    """Check the sums of a summary."""
    assert sum(summary.counts.values()) == summary.total
    assert sum(summary.amounts.values()) == summary.credits
    assert set(summary.counts) == set(summary.amounts) == set(State)


def credits_of(sandbox: Sandbox, names: list[str]) -> int:
    """Return the sum of the credits of meters."""
    return sum(
        sandbox.meter(workspace_id="ws_1", external_meter_id=name).total_credits for name in names
    )


def test_each_refill_is_made_once(books: Books, sandbox: Sandbox, meters: list[str]) -> None:
    """A second run with the same refills sends nothing, and says what was applied before."""
    given = orders(60, 10)
    summary = books.run(given)
    adds_up(summary)
    assert (summary.total, summary.credits) == (60, sum(range(61)))
    assert summary.counts[State.APPLIED] == 60
    assert (summary.already, summary.problem) == (0, None)
    number = len(sandbox.requests)
    again = books.run([RefillOrder(**one) for one in given], workers=2)
    adds_up(again)
    assert (again.counts[State.APPLIED], again.already) == (60, 60)
    assert len(sandbox.requests) == number
    assert credits_of(sandbox, meters) == sum(range(61))


def test_faults_are_settled_and_sent_again(
    books: Books, sandbox: Sandbox, meters: list[str]
) -> None:
    """Whatever fails, each refill is applied once in the end."""
    faults = ["drop-before", "drop-after", "500", "503", "not-json", "429-bare"]
    sandbox.misbehave(*faults, operation=AIM, rate=0.3, seed=4, times=1000)
    sandbox.misbehave("late-drop", operation=AIM, rate=0.1, seed=4, times=1000, seconds=0.001)
    summary = books.run(orders(60, 10), workers=8)
    adds_up(summary)
    assert summary.counts[State.APPLIED] == 60, summary
    assert credits_of(sandbox, meters) == sum(range(61))


def test_without_settling_a_run_leaves_what_is_unknown(
    books: Books, sandbox: Sandbox, meters: list[str]
) -> None:
    """It does not wait for the quiet time; the next run settles. The meter's others wait, too."""
    sandbox.misbehave("drop-before", operation=AIM)
    given = orders(3)
    summary = books.run(given, settle=False)
    adds_up(summary)
    assert summary.counts[State.UNKNOWN] == 1
    assert summary.counts[State.PLANNED] == 2
    assert books.run(given).counts[State.APPLIED] == 3


def test_rejected_refills_are_sent_again_if_asked(
    books: Books, sandbox: Sandbox, meters: list[str]
) -> None:
    """As with a single refill."""
    sandbox.misbehave("422", operation=AIM, times=2)
    given = orders(4, 4)
    assert books.run(given).counts[State.REJECTED] == 2
    assert books.run(given).counts[State.REJECTED] == 2
    assert books.run(given, retry_rejected=True).counts[State.APPLIED] == 4


def test_progress_is_told_after_each_refill(books: Books, meters: list[str]) -> None:
    """The numbers rise to those of the summary, one call at a time."""
    told: list[Progress] = []
    summary = books.run(orders(20, 10), progress=told.append)
    assert [one.done for one in told] == list(range(1, 21))
    assert told[-1].counts == summary.counts
    assert {one.refill.id for one in told} == {f"pay_{number}" for number in range(20)}
    assert told[-1].waiting == 0
    assert told[-1].elapsed <= summary.elapsed


def test_an_exception_of_progress_ends_the_run(books: Books, meters: list[str]) -> None:
    """It is the application's, and reaches it; what is under way is finished."""

    def fail(progress: Progress) -> None:
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        books.run(orders(50, 10), progress=fail)
    assert books.totals()[State.SENDING] == (0, 0)


def test_a_conflict_ends_the_run(books: Books, meters: list[str]) -> None:
    """It names both; the refills before it were made."""
    books.run(orders(1))
    given = [*orders(1), *orders(3, start=1), {**orders(1)[0], "refill": 99}, *orders(40, start=5)]
    with pytest.raises(LedgerConflictError, match="99 credits"):
        books.run(given, workers=1)
    assert books.totals()[State.APPLIED][0] >= 1
    assert books.totals()[State.SENDING] == (0, 0)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (
            {"id": "x"},
            r"refills\[2\] must have the keys .*: external_meter_id, refill, workspace_id",
        ),
        ({**orders(1)[0], "note": 1}, "missing or unexpected: note"),
        (7, r"refills\[2\] must be a RefillOrder or a mapping, not int"),
        ({**orders(1)[0], "refill": -1}, r"refills\[2\].refill must be"),
    ],
)
def test_a_bad_refill_ends_the_run(books: Books, meters: list[str], bad: Any, text: str) -> None:
    """The error says what is wrong with it."""
    with pytest.raises(ArgumentError, match=text):
        books.run([*orders(2, start=5), bad])


def test_nothing_is_not_the_end(books: Books, meters: list[str]) -> None:
    """`None` among the refills is a mistake, and does not hide those behind it."""
    with pytest.raises(ArgumentError, match="must be a RefillOrder or a mapping, not NoneType"):
        books.run([*orders(1), None, *orders(3, start=5)])  # type: ignore[list-item]


def test_an_api_that_asks_for_too_long_a_wait_ends_the_run(
    books: Books, sandbox: Sandbox, meters: list[str]
) -> None:
    """Nobody sits before a run for hours; the summary says what it asked for."""
    sandbox.misbehave("429", operation=AIM, seconds=90_000)
    summary = books.run(orders(30, 10))
    adds_up(summary)
    assert summary.problem == "the API asks to wait 90,000 seconds"


@pytest.mark.parametrize(
    "options",
    [{"workers": 0}, {"rate": 0}, {"rate": 1e-300}, {"settle": "yes"}, {"retry_rejected": None}],
)
def test_options_are_checked(books: Books, options: Any) -> None:
    """The error names the option."""
    with pytest.raises(ArgumentError, match=next(iter(options))):
        books.run([], **options)


def test_an_unreachable_api_ends_the_run(opened: Any, sandbox: Sandbox, tmp_path: Any) -> None:
    """Each of a million refills would otherwise wait for it. The rest stays planned."""
    books = opened(
        str(tmp_path / "refills.db"), client={"base_url": "http://127.0.0.1:9", "timeout": 1}
    )
    taken: list[int] = []

    def given() -> Iterator[dict[str, Any]]:
        for place, one in enumerate([*orders(15, 5), *orders(10_000, 1000, start=15)]):
            taken.append(place)
            yield one

    summary = books.run(given(), workers=4)
    adds_up(summary)
    assert summary.problem is not None
    assert "20 attempts in a row had no effect" in summary.problem
    assert summary.counts[State.PLANNED] == summary.total == len(taken) < 1000


def test_a_refused_key_ends_the_run(books: Books, sandbox: Sandbox, meters: list[str]) -> None:
    """The summary says so, and everything is planned."""
    sandbox.misbehave("401", times=1000)
    summary = books.run(orders(50, 10), workers=2)
    adds_up(summary)
    assert "401" in summary.problem
    assert summary.counts[State.PLANNED] == summary.total < 50


def test_a_rate_is_kept(books: Books, meters: list[str]) -> None:
    """Refills are sent no faster than asked for; those that were made before take no time."""
    summary = books.run(orders(11, 10), rate=20)
    assert summary.elapsed >= 0.45
    assert books.run(orders(11, 10), rate=0.1).elapsed < SLACK


def test_the_api_can_slow_a_run_down(books: Books, sandbox: Sandbox, meters: list[str]) -> None:
    """After a 429, nobody sends until the API takes more."""
    sandbox.misbehave("429-ms", operation=AIM, times=3, seconds=0.4)
    summary = books.run(orders(10, 10), workers=1)
    assert summary.counts[State.APPLIED] == 10
    assert summary.elapsed >= 0.4


def test_turns_are_apart() -> None:
    """By the interval of the rate, and after a hold."""
    clock = [10.0]
    pace = Pace(4, lambda: clock[0])
    assert [pace.turn() for _ in range(3)] == [0, 0.25, 0.5]
    clock[0] = 20
    assert pace.turn() == 0
    pace.hold(3)
    assert [pace.turn() for _ in range(2)] == [3, 3.25]
    free = Pace(None, lambda: clock[0])
    assert [free.turn() for _ in range(2)] == [0, 0]


def test_refills_are_taken_as_they_are_needed(
    books: Books, meters: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not more than a window of them is ever in memory, also if they all wait for one meter."""
    monkeypatch.setattr(agenda_module, "WINDOW", 20)
    taken = 0
    ahead: list[int] = []

    def given() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for one in orders(200):  # all of one meter
            taken += 1
            yield one

    summary = books.run(given(), progress=lambda progress: ahead.append(taken - progress.done))
    assert summary.counts[State.APPLIED] == 200
    assert max(ahead) <= 20 + 3 * 8


def test_async_iterables_are_taken(opened: Any, sandbox: Sandbox, tmp_path: Any) -> None:
    """`AsyncLedger.run` reads from a database or a stream without blocking the loop."""
    sandbox.create_meter(workspace_id="ws_1", external_meter_id="meter_0")
    books = opened(str(tmp_path / "refills.db"), "async")

    async def given() -> AsyncIterator[dict[str, Any]]:
        for one in orders(10):
            await asyncio.sleep(0)
            yield one

    assert books.run(given()).counts[State.APPLIED] == 10


def test_a_run_waits_for_a_meter_that_another_process_has(
    books: Books, opened: Any, sandbox: Sandbox, meters: list[str]
) -> None:
    """And comes back to it."""
    other = opened(books.ledger._url.database)
    sandbox.misbehave("slow-body", operation=AIM, seconds=0.5)
    thread = threading.Thread(target=lambda: other.run(orders(1)), daemon=True)
    thread.start()
    while not any(request.operation == AIM for request in sandbox.requests):
        pass
    summary = books.run(orders(2))
    thread.join()
    assert summary.counts[State.APPLIED] == 2
    assert credits_of(sandbox, meters) == 3


def test_a_run_leaves_what_a_person_must_decide(
    books: Books, sandbox: Sandbox, meters: list[str]
) -> None:
    """It ends with such a refill unknown, and with those behind it planned."""
    books.run(orders(1, start=50))
    sandbox.misbehave("drop-before", operation=AIM)
    books.run(orders(1), settle=False)
    from oneloop import Oneloop

    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.refill_billing_limit(workspace_id="ws_1", external_meter_id="meter_0", refill=9)
    summary = books.run(orders(3))
    adds_up(summary)
    assert summary.counts[State.UNKNOWN] == 1
    assert summary.counts[State.PLANNED] == 2
    assert books.find("pay_0").needs_decision


def test_a_run_that_loses_its_database_says_so(
    opened: Any, sandbox: Sandbox, meters: list[str], postgres: str
) -> None:
    """After `patience`, with the words of the database."""
    from tests.postgres import Cable

    with Cable(postgres) as cable:
        books = opened(cable.url, patience=0.2)

        def given() -> Iterator[dict[str, Any]]:
            yield from orders(5)
            cable.cut()
            yield from orders(5, start=5)

        with pytest.raises(LedgerUnavailableError, match="cannot be used"):
            books.run(given())


def test_cancelling_a_run_leaves_nothing_in_doubt_that_is_not_written_down(
    tmp_path: Any, sandbox: Sandbox, meters: list[str], opened: Any
) -> None:
    """Each refill is planned, applied or unknown afterwards, and the next run does the rest."""
    books = opened(str(tmp_path / "refills.db"), "async")

    async def main() -> None:
        task = asyncio.create_task(books.ledger.run(orders(500, 10), books.client))
        while sum(one.operation == AIM for one in sandbox.requests) < 40:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    books._runner.run(main())
    while books.totals()[State.SENDING] != (0, 0):  # what was being written
        pass
    summary = books.run(orders(500, 10))
    assert summary.counts[State.APPLIED] == 500
    assert credits_of(sandbox, meters) == sum(range(501))


def test_interrupting_a_run_finishes_what_is_under_way(
    tmp_path: Any, sandbox: Sandbox, meters: list[str], opened: Any
) -> None:
    """Ctrl-C ends the run; nothing is left in doubt."""
    books = opened(str(tmp_path / "refills.db"))
    told: list[Progress] = []

    def progress(one: Progress) -> None:
        told.append(one)
        if len(told) == 20:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        books.run(orders(2000, 10), progress=progress)
    totals = books.totals()
    assert totals[State.SENDING] == totals[State.UNKNOWN] == (0, 0)
    assert 20 <= totals[State.APPLIED][0] < 2000
    with pytest.raises(ArgumentValueError):
        books.run([{}])


def test_what_comes_together_is_written_in_batches(
    opened: Any, sandbox: Sandbox, meters: list[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a size that does not let the first of them wait for long."""
    monkeypatch.setattr(writer_module, "_LARGEST_BATCH", 2)
    books = opened(str(tmp_path / "refills.db"), "async")
    assert books.run(orders(100, 10)).counts[State.APPLIED] == 100


def test_an_interrupted_run_does_not_wait_for_the_api(
    tmp_path: Any, sandbox: Sandbox, meters: list[str], opened: Any
) -> None:
    """It may have asked for minutes. What waits is planned again."""
    books = opened(str(tmp_path / "refills.db"), client={"retry": RetryPolicy(attempts=1)})
    sandbox.misbehave("429", operation=AIM, seconds=100)

    def interrupt() -> None:
        while not sandbox.requests:
            pass
        time.sleep(0.5)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        books.run(orders(20, 10), workers=2)
    thread.join()
    assert time.monotonic() - begun < 60
    assert books.totals()[State.SENDING] == (0, 0)
    assert books.totals()[State.PLANNED][0] > 0


def test_a_run_that_stops_does_not_wait_for_its_turns(
    books: Books, sandbox: Sandbox, meters: list[str]
) -> None:
    """The API has asked one worker to wait for minutes, and refuses the key of another."""
    sandbox.misbehave("429", operation=AIM, seconds=100)
    sandbox.misbehave("401", operation="getCustomerBilling", times=1000, rate=0.3, seed=1)
    begun = time.monotonic()
    summary = books.run(orders(200, 10), workers=2)
    adds_up(summary)
    assert "401" in summary.problem
    assert time.monotonic() - begun < 60


def test_one_refill_that_finds_no_api_is_left_planned(
    opened: Any, sandbox: Sandbox, tmp_path: Any
) -> None:
    """After a few attempts: whoever waits for it should hear of that."""
    books = opened(
        str(tmp_path / "refills.db"), client={"base_url": "http://127.0.0.1:9", "timeout": 1}
    )
    summary = books.run(orders(1))
    assert summary.counts[State.PLANNED] == 1
    assert [entry.what for entry in books.history("pay_0")] == ["planned", *["failed"] * 3]


def test_an_error_ends_the_turns_of_a_run(
    books: Books, sandbox: Sandbox, meters: list[str]
) -> None:
    """Workers wait for minutes, as the API asked them to, and then no more refills can be read."""
    sandbox.misbehave("429", operation=AIM, seconds=100)

    def given() -> Iterator[dict[str, Any]]:
        yield from orders(10, 10)
        time.sleep(1)
        raise RuntimeError("the file is gone")

    async def given_async() -> AsyncIterator[dict[str, Any]]:
        for one in orders(10, 10):
            yield one
        await asyncio.sleep(1)
        raise RuntimeError("the file is gone")

    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="the file is gone"):
        books.run(given() if books._runner is None else given_async(), workers=2)
    assert time.monotonic() - begun < 60
    assert books.totals()[State.SENDING] == (0, 0)


def test_a_run_that_was_stopped_takes_no_more(books: Books, meters: list[str]) -> None:
    """What its workers had begun to wait for is not sent."""
    stopping, late = threading.Event(), list[dict[str, Any]]()

    def given() -> Iterator[dict[str, Any]]:
        for one in orders(60, 10):
            time.sleep(0.02)
            if stopping.is_set():
                time.sleep(1)  # the run has stopped then
                late.append(one)
            yield one

    def stop(_: Progress) -> None:
        stopping.set()
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        books.run(given(), progress=stop)
    assert len(late) <= 1  # whoever was taking a row, took it


def test_an_iterable_that_blocks_does_not_hold_up_the_others(
    books: Books, sandbox: Sandbox, meters: list[str]
) -> None:
    """An unknown refill is settled meanwhile, and an end of the run does not wait for it."""
    sandbox.misbehave("drop-after", operation=AIM)
    settled, release = threading.Event(), threading.Event()

    def given() -> Iterator[dict[str, Any]]:
        yield orders(1)[0]
        assert settled.wait(60)
        sandbox.misbehave("401", times=1000)
        yield orders(2, 10)[1]
        release.wait(60)

    async def given_async() -> AsyncIterator[dict[str, Any]]:
        yield orders(1)[0]
        assert await asyncio.to_thread(settled.wait, 60)
        sandbox.misbehave("401", times=1000)
        yield orders(2, 10)[1]
        await asyncio.sleep(60)

    def note(progress: Progress) -> None:
        if progress.refill.state is State.APPLIED:
            settled.set()

    begun = time.monotonic()
    source = given() if books._runner is None else given_async()
    summary = books.run(source, progress=note, workers=1)
    assert time.monotonic() - begun < 50
    release.set()
    adds_up(summary)
    assert summary.counts[State.APPLIED] == 1
    assert "401" in summary.problem


@pytest.mark.parametrize("where", ["iterable", "key"])
def test_a_cancellation_that_is_not_of_the_run_ends_it_with_an_error(
    opened: Any, tmp_path: Any, sandbox: Sandbox, meters: list[str], where: str
) -> None:
    """A group of tasks takes no notice of such a task, and nobody would know what is missing."""
    asked: list[int] = []

    async def cancelled() -> None:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    async def key() -> str:
        asked.append(1)
        if where == "key" and len(asked) == 20:
            await cancelled()
        return sandbox.api_key

    async def given() -> AsyncIterator[dict[str, Any]]:
        for number, one in enumerate(orders(40, 10)):
            if where == "iterable" and number == 5:
                await cancelled()
            yield one

    books = opened(str(tmp_path / "refills.db"), "async", client={"api_key": key})
    with pytest.raises(LedgerError, match="something that it waited for was cancelled"):
        books.run(given())
    assert books.totals()[State.SENDING] == (0, 0)


def test_an_order_of_a_subclass_is_like_any_other(books: Books, meters: list[str]) -> None:
    """It does not differ from what the ledger has."""

    class Payment(RefillOrder):
        pass

    one = Payment(**orders(1)[0])
    for _ in range(2):
        assert books.run([one]).counts[State.APPLIED] == 1
