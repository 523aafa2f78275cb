"""Event loops that come and go: no warnings, no open sockets, no calls that hang."""

import os
import subprocess
import sys

import pytest

from oneloop.sandbox import Sandbox

BEGIN = """
import asyncio, gc, logging, os, threading
from oneloop import APIConnectionError, AsyncOneloop

logging.getLogger("asyncio").setLevel(logging.ERROR)  # on a busy machine, steps are slow
ARGUMENTS = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 1}

def sockets():
    links = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return sum("socket:" in link for link in links)

async def refill(client, times=1):
    await asyncio.gather(*(client.refill_billing_limit(**ARGUMENTS) for _ in range(times)))

client = AsyncOneloop()
"""
"""What the programs begin with. Two of a loop's sockets are its own."""

PROGRAMS = {
    "many loops, one client": """
for _ in range(20):
    asyncio.run(refill(client, 3))
    assert sockets() == 0
""",
    "async views of Flask and Django": """
from asgiref.sync import async_to_sync

view = async_to_sync(refill)
for _ in range(20):
    view(client, 3)
    view(client.with_options(timeout=20))
threads = [threading.Thread(target=view, args=(client, 3)) for _ in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert sockets() == 0
""",
    "many loops that are closed by hand": """
for _ in range(20):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(refill(client, 3))
    loop.close()
asyncio.run(refill(client))
assert sockets() == 0
""",
    "many loops that end with a timeout": """
async def hurried():
    try:
        await asyncio.wait_for(refill(client, 3), 0.0001)
    except TimeoutError:
        pass

for _ in range(20):
    asyncio.run(hurried())
assert sockets() == 0
""",
    "a loop that is closed by hand": """
loop = asyncio.new_event_loop()
loop.run_until_complete(refill(client, 3))
loop.close()
asyncio.run(refill(client, 3))
assert sockets() == 0
""",
    "closed in one loop, used in another": """
async def closed():
    await refill(client)
    await client.aclose()
    try:
        await refill(client)
    except APIConnectionError as error:
        assert error.outcome.name == "NOT_SENT" and "is closed" in str(error)
    else:
        raise AssertionError
    assert sockets() == 2

asyncio.run(closed())
asyncio.run(refill(client, 3))
assert sockets() == 0
""",
    "closed before the first call": """
async def closed():
    await client.aclose()
    try:
        await refill(client)
    except APIConnectionError as error:
        assert error.outcome.name == "NOT_SENT"
    else:
        raise AssertionError

asyncio.run(closed())
asyncio.run(refill(client))
""",
    "closed by two tasks at once, and again": """
async def closed():
    await refill(client, 3)
    await asyncio.gather(client.aclose(), client.aclose(), client.aclose())
    await client.aclose()
    assert sockets() == 2

asyncio.run(closed())
""",
    "a loop that is closed by hand before the process ends": """
loop = asyncio.new_event_loop()
loop.run_until_complete(refill(client, 3))
loop.close()
""",
    "a client that is dropped after its loop": """
loop = asyncio.new_event_loop()
loop.run_until_complete(refill(client, 3))
loop.close()
del client, loop
gc.collect()
assert sockets() == 0
""",
    "two loops in two threads": """
ready = threading.Barrier(2)

async def used():
    for _ in range(20):
        await refill(client, 3)
        ready.wait(5)
    if threading.current_thread().name == "closes":
        await client.aclose()

threads = [
    threading.Thread(target=asyncio.run, args=(used(),), name=name) for name in ("closes", "ends")
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert sockets() == 0
""",
    "a client that is never closed": """
async def used():
    await refill(AsyncOneloop(), 3)

asyncio.run(used())
assert sockets() == 0
""",
    "a client that is dropped while its loop runs": """
async def dropped():
    for _ in range(3):
        mine = AsyncOneloop()
        await refill(mine, 3)
        assert sockets() == 5
        del mine
        gc.collect()
        await asyncio.sleep(0.01)  # the loop closes the sockets
        assert sockets() == 2

asyncio.run(dropped())
""",
    "a loop that ends while a call waits": """
async def hurried():
    task = asyncio.create_task(refill(client, 3))
    await asyncio.sleep(0)

for _ in range(5):
    asyncio.run(hurried())
assert sockets() == 0
asyncio.run(refill(client))
""",
}


def run(sandbox: Sandbox, program: str, *flags: str) -> tuple[int, str]:
    """Run a program with the sandbox's URL and key; return its exit status and its errors."""
    environment = {
        **os.environ,
        "ONELOOP_SDK_KEY": sandbox.api_key,
        "ONELOOP_BASE_URL": sandbox.url,
    }
    result = subprocess.run(
        [sys.executable, *flags, "-c", BEGIN + program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.returncode, result.stderr


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_warning_and_no_socket_is_left(name: str, sandbox: Sandbox) -> None:
    """However loops and clients end, asyncio warns of nothing, and all sockets are closed."""
    assert run(sandbox, PROGRAMS[name], "-X", "dev", "-W", "error") == (0, "")
