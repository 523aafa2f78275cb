"""Many threads and tasks share a client: no mixed-up responses, leaked sockets or hanging calls."""

import asyncio
import threading
import time
from typing import Any

from oneloop import APIConnectionError, AsyncOneloop, Oneloop, Outcome, RetryPolicy
from oneloop.sandbox import Sandbox

PATIENT = RetryPolicy(budget=120)


def meters(sandbox: Sandbox, count: int) -> dict[str, str]:
    """Create meters, and return their ids by name."""
    names = [f"meter-{number}" for number in range(count)]
    for name in names:
        sandbox.create_meter(workspace_id="ws_1", external_meter_id=name)
    empty = {"workspace_id": "ws_1", "refill": 1}
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        answers = [client.refill_billing_limit(external_meter_id=name, **empty) for name in names]
    return {name: answer.billing.id for name, answer in zip(names, answers, strict=True)}


def test_32_threads_get_each_its_own_answers(sandbox: Sandbox) -> None:
    """Each of 32 threads gets the responses to its own requests, with the current balance."""
    ids = meters(sandbox, 32)
    wrong: list[Any] = []

    def refill(name: str) -> None:
        for number in range(20):
            billing = client.refill_billing_limit(
                workspace_id="ws_1", external_meter_id=name, refill=1
            ).billing
            if (billing.id, billing.total_credits) != (ids[name], 2 + number):
                wrong.append(billing)

    options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    with Oneloop(**options, retry=PATIENT) as client:
        threads = [threading.Thread(target=refill, args=(name,)) for name in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(sandbox.requests) == 32 + 32 * 20


def test_1000_tasks_get_each_its_own_answer(sandbox: Sandbox) -> None:
    """1000 tasks share 100 connections, and each gets its own response, after a wait if need be."""
    ids = meters(sandbox, 100)

    async def main() -> list[tuple[str, Any]]:
        options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
        async with AsyncOneloop(**options, retry=PATIENT, timeout=60) as client:

            async def refill(name: str) -> tuple[str, Any]:
                answer = await client.refill_billing_limit(
                    workspace_id="ws_1", external_meter_id=name, refill=1
                )
                return name, answer.billing

            return await asyncio.gather(*(refill(name) for name in ids for _ in range(10)))

    answers = asyncio.run(main())
    assert [billing.id for name, billing in answers] == [ids[name] for name, _ in answers]
    assert sorted(billing.total_credits for _, billing in answers) == sorted(
        2 + number for number in range(10) for _ in ids
    )


def test_two_event_loops_at_once_share_a_client(sandbox: Sandbox) -> None:
    """Two event loops in two threads share a client, each with connections of its own.

    Each loop closes its connections at its end; otherwise there would be ResourceWarnings.
    """
    client = AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url)
    ready = threading.Barrier(2)
    failures: list[BaseException] = []

    async def refill() -> None:
        ready.wait(5)
        for _ in range(20):
            await client.refill_billing_limit(
                workspace_id="ws_1", external_meter_id="acme", refill=1
            )

    def run() -> None:
        try:
            asyncio.run(refill())
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(sandbox.requests) == 40


def test_closing_under_load_ends_each_call_in_an_answer_or_not_sent(
    sandbox: Sandbox,
) -> None:
    """When a busy client is closed, each call succeeds or is not sent, and the balance matches."""
    applied = refused = 0
    lock = threading.Lock()
    options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    client = Oneloop(**options, retry=PATIENT)

    def refill() -> None:
        nonlocal applied, refused
        while True:
            try:
                client.refill_billing_limit(workspace_id="ws_1", external_meter_id="acme", refill=1)
            except APIConnectionError as error:
                with lock:
                    refused += error.outcome is Outcome.NOT_SENT
                return
            with lock:
                applied += 1

    threads = [threading.Thread(target=refill) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(sandbox.requests) < 50:
        time.sleep(0.001)
    client.close()
    for thread in threads:
        thread.join(10)
    assert refused == 8
    meter = sandbox.meter(workspace_id="ws_1", external_meter_id="acme")
    assert meter.total_credits == 1000 + applied


def test_a_client_may_be_made_and_closed_many_times(sandbox: Sandbox) -> None:
    """Closed clients leave no socket open, which would be a ResourceWarning, an error here."""
    for _ in range(20):
        options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
        with Oneloop(**options) as client:
            client.refill_billing_limit(workspace_id="ws_1", external_meter_id="acme", refill=1)
