"""A call that is cancelled or interrupted: what is known of it, and that the client goes on."""

import asyncio
import os
import subprocess
import sys
from typing import Any

import httpcore
import pytest
from calling import REFILL, sending

from oneloop import AsyncOneloop, Oneloop, RetryPolicy
from oneloop.sandbox import Fault, Sandbox


def cancelled(
    sandbox: Sandbox, *, after: float, policy: RetryPolicy, via: str = "pool"
) -> tuple[list[str], Any]:
    """Cancel a refill; return the notes of the cancellation and the answer to the next refill."""

    async def main() -> tuple[list[str], Any]:
        async with AsyncOneloop(
            api_key=sandbox.api_key, base_url=sandbox.url, retry=policy, **sending(via)
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


@pytest.mark.parametrize("via", ["pool", "fast"])
def test_a_cancelled_call_says_that_it_may_have_happened(via: str, sandbox: Sandbox) -> None:
    """In a note on the CancelledError; the client goes on."""
    sandbox.misbehave("hang")
    notes, answer = cancelled(sandbox, after=0, policy=RetryPolicy(), via=via)
    assert notes == ["refill_billing_limit was interrupted: it may have happened"]
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
    """What the attempts so far have done."""
    sandbox.misbehave(fault)
    policy = RetryPolicy(treat_as_safe=safe)
    notes, answer = cancelled(sandbox, after=0.1, policy=policy)
    assert notes == [f"refill_billing_limit was interrupted between attempts: {known}"]
    assert answer.billing.total_credits == 1500


def test_cancelled_calls_leave_the_pool_as_it_was(sandbox: Sandbox) -> None:
    """Three times as many as there are connections, at every stage of a call."""

    async def main() -> None:
        async with AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            sandbox.misbehave("hang", times=1000)
            tasks = [asyncio.create_task(client.refill_billing_limit(**REFILL)) for _ in range(300)]
            for number, task in enumerate(tasks):
                if number % 3 == 0:
                    await asyncio.sleep(0)
                task.cancel()
            assert all(
                isinstance(result, asyncio.CancelledError)
                for result in await asyncio.gather(*tasks, return_exceptions=True)
            )
            sandbox.reset()
            await asyncio.gather(*(client.refill_billing_limit(**REFILL) for _ in range(150)))
            (pool,) = client._transport._pools.values()
            assert pool.users == 0
            assert all(connection.is_idle() for connection, _ in pool.idle.waiting)

    asyncio.run(main())


def test_a_connection_whose_first_request_did_not_begin_is_closed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt between connecting and sending: httpcore would keep the place for ever."""

    def interrupted(*_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(httpcore.HTTP11Connection, "handle_request", interrupted)
    with Oneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        with pytest.raises(KeyboardInterrupt):
            client.refill_billing_limit(**REFILL)
        (pool,) = client._transport._pools.values()
        assert not pool.idle.waiting
        client.refill_billing_limit(**REFILL)
    assert len(sandbox.requests) == 1


def test_a_timeout_of_the_applications_own_carries_the_note(sandbox: Sandbox) -> None:
    """`asyncio.timeout` turns the cancellation into its own error, with ours as the cause."""

    async def main() -> None:
        async with AsyncOneloop(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            sandbox.misbehave("hang")
            async with asyncio.timeout(0.2):
                await client.refill_billing_limit(**REFILL)

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(main())
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__notes__ == [
        "refill_billing_limit was interrupted: it may have happened"
    ]


INTERRUPTED = """
import os, signal, threading
from oneloop import Oneloop

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
arguments = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 500}
with Oneloop() as client:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        client.refill_billing_limit(**arguments)
    except KeyboardInterrupt as interruption:
        print(interruption.__notes__)
    print(client.refill_billing_limit(**arguments).billing.total_credits)
    (pool,) = client._transport._pools.values()
    print(pool.users, [one.is_idle() for one, _ in pool.idle.waiting])
"""


def test_ctrl_c_leaves_the_client_usable(sandbox: Sandbox) -> None:
    """A KeyboardInterrupt carries the note, and no connection is left behind."""
    sandbox.misbehave("hang")
    environment = {
        **os.environ,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_BASE_URL": sandbox.url,
    }
    program = [sys.executable, "-W", "error", "-c", INTERRUPTED]
    result = subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "['refill_billing_limit was interrupted: it may have happened']",
        "1500",
        "0 [True]",
    ]
