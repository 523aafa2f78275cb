"""Every accepted cancellation ends a call, with a note on its outcome where callers can find it."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest

from oneloop import AsyncOneloop, RetryPolicy
from oneloop._http._asyncio import AsyncioTransport
from oneloop.sandbox import Fault, Sandbox
from tests.calling import REFILL
from tests.tools.steps import NOTE, TIMES, BookServer, Scenario

MAYBE = "refill_billing_limit was interrupted: it may have happened"


def cancelled(sandbox: Sandbox, *, after: float, policy: RetryPolicy) -> tuple[list[str], Any]:
    """Cancel a refill; return the notes of the cancellation and the result of the next refill."""

    async def main() -> tuple[list[str], Any]:
        async with AsyncOneloop(
            api_key=sandbox.api_key, base_url=sandbox.url, retry=policy
        ) as client:
            task = asyncio.create_task(client.refill_billing_limit(**REFILL))
            while not sandbox.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(after)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value.__notes__, await client.refill_billing_limit(**REFILL)

    return asyncio.run(main())


def test_a_cancelled_call_says_that_it_may_have_happened(sandbox: Sandbox) -> None:
    """The CancelledError of a call has a note on its outcome, and the client remains usable."""
    sandbox.misbehave("hang")
    notes, answer = cancelled(sandbox, after=0, policy=RetryPolicy())
    assert notes == [MAYBE]
    assert answer.billing.total_credits == 1500


@pytest.mark.parametrize(
    ("fault", "safe", "known"),
    [
        (Fault.rate_limited(30), False, "nothing happened"),
        (Fault.status(503, headers={"Retry-After": "30"}), True, "it may have happened"),
    ],
)
def test_a_call_that_is_cancelled_between_attempts_says_what_is_known(
    fault: Fault, safe: bool, known: str, sandbox: Sandbox
) -> None:
    """The note on a call that is cancelled between attempts shows the outcome so far."""
    sandbox.misbehave(fault)
    policy = RetryPolicy(treat_as_safe=safe)
    notes, answer = cancelled(sandbox, after=0.1, policy=policy)
    assert notes == [f"refill_billing_limit was interrupted between attempts: {known}"]
    assert answer.billing.total_credits == 1500


def test_cancelled_calls_leave_all_slots_free(sandbox: Sandbox) -> None:
    """After many cancelled calls, as many calls as there are connections run at once."""

    async def main() -> None:
        options: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
        transport = AsyncioTransport(sandbox.url, None, 20)
        async with AsyncOneloop(**options, transport=transport) as client:
            sandbox.misbehave("hang", times=1000)
            tasks = [asyncio.create_task(client.refill_billing_limit(**REFILL)) for _ in range(300)]
            for number, task in enumerate(tasks):
                if number % 3 == 0:
                    await asyncio.sleep(0)
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)
            before = len(sandbox.requests)
            tasks = [asyncio.create_task(client.refill_billing_limit(**REFILL)) for _ in range(20)]
            while len(sandbox.requests) < before + 20:
                await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            sandbox.reset()
            await asyncio.gather(*(client.refill_billing_limit(**REFILL) for _ in range(60)))

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("how", ["cancel", "timeout", "wait_for"])
def test_no_cancellation_is_swallowed(how: str) -> None:
    """Of 1,500 calls that are cancelled at random moments, none returns an answer all the same."""
    server = BookServer(Scenario())
    url = f"http://127.0.0.1:{server.port}"
    told: dict[str, str] = {}
    swallowed: list[str] = []

    async def one(client: AsyncOneloop, name: str, after: float) -> None:
        task = asyncio.create_task(
            client.refill_billing_limit(**{**REFILL, "external_meter_id": name})
        )
        await asyncio.sleep(after)
        is_accepted = task.cancel()
        try:
            await task
        except asyncio.CancelledError as cancellation:
            (told[name],) = getattr(cancellation, "__notes__", ["not begun"])
        else:
            told[name] = "answered"
            if is_accepted:
                swallowed.append(name)

    async def limited(client: AsyncOneloop, name: str, after: float) -> None:
        work = client.refill_billing_limit(**{**REFILL, "external_meter_id": name})
        try:
            if how == "timeout":
                async with asyncio.timeout(after):
                    await work
            else:
                await asyncio.wait_for(work, after)
        except TimeoutError as error:
            (told[name],) = getattr(error.__cause__, "__notes__", ["not begun"])
        else:
            told[name] = "answered"

    async def main() -> None:
        transport = AsyncioTransport(url, None, 3)
        async with AsyncOneloop(api_key="sdk", base_url=url, transport=transport) as client:
            chance = random.Random()  # noqa: S311 - nothing is secret here
            do = one if how == "cancel" else limited
            begun = time.monotonic()
            await asyncio.gather(
                *(
                    client.refill_billing_limit(**{**REFILL, "external_meter_id": f"{n}-before"})
                    for n in range(10)
                )
            )
            longest = 1.5 * (time.monotonic() - begun)  # about the time of ten calls
            for start in range(0, 1500, 10):
                names = [f"meter-{number}" for number in range(start, start + 10)]
                await asyncio.gather(
                    *(do(client, name, chance.uniform(0, longest)) for name in names)
                )
                answered = sum(told[name] == "answered" for name in names)
                longest *= 1.25 if answered < 3 else 0.8  # so that both ends are met, however busy
            await asyncio.gather(
                *(
                    client.refill_billing_limit(**{**REFILL, "external_meter_id": f"{n}-after"})
                    for n in range(30)
                )
            )

    try:
        asyncio.run(main())
        server.wait_until_quiet()
    finally:
        server.close()
    assert swallowed == []
    counts = Counter[str]()
    for name, note in told.items():
        known = NOTE.fullmatch(note)
        word = known[1] if known else note
        counts[word] += 1
        assert server.books[name] in TIMES[word], (name, note)
    assert len(told) == 1500
    assert counts["answered"] > 50
    assert counts["it may have happened"] > 50


WRAPPED = """
import anyio, asyncio, json, traceback
from oneloop import APITimeoutError, AsyncOneloop, RetryPolicy

ARGUMENTS = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}

async def main():
    found = {}
    async with AsyncOneloop() as client:
        async def refill():
            await client.refill_billing_limit(**ARGUMENTS)

        async def timeout():
            async with asyncio.timeout(0.3):
                await refill()

        async def wait_for():
            await asyncio.wait_for(refill(), 0.3)

        async def fail_after():
            with anyio.fail_after(0.3):
                await refill()

        async def group():
            async def fail():
                await asyncio.sleep(0.3)
                raise LookupError
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(refill())
                task.add_done_callback(lambda one: cancelled.append(one))
                tasks.create_task(fail())

        for way in (timeout, wait_for, fail_after, group):
            cancelled = []
            try:
                await way()
            except TimeoutError as error:
                found[way.__name__] = [
                    getattr(error, "__notes__", []),
                    getattr(error.__cause__ or error.__context__, "__notes__", []),
                    any("may have happened" in line for line in traceback.format_exception(error)),
                ]
            except ExceptionGroup:
                try:
                    await cancelled[0]
                except asyncio.CancelledError as error:
                    found[way.__name__] = error.__notes__
        hurried = client.with_options(retry=RetryPolicy(budget=0.3))
        try:
            await hurried.refill_billing_limit(**ARGUMENTS)
        except APITimeoutError as error:
            found["budget"] = error.outcome.name
    print(json.dumps(found))

asyncio.run(main())
"""


def test_timeouts_of_the_applications_own_show_the_note(sandbox: Sandbox) -> None:
    """The cause or context of a TimeoutError has the note, and a printed traceback shows it.

    A budget of the client's own ends in an error that states the outcome.
    """
    sandbox.misbehave("hang", times=10)
    environment = {
        **os.environ,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_BASE_URL": sandbox.url,
    }
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", WRAPPED],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stderr == ""
    assert json.loads(result.stdout) == {
        "timeout": [[], [MAYBE], True],
        "wait_for": [[], [MAYBE], True],
        "fail_after": [[], [MAYBE], True],
        "group": [MAYBE],
        "budget": "UNKNOWN",
    }
