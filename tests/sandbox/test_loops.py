"""The sandbox in a process whose event loops are those of uvloop."""

import subprocess
import sys

PROGRAM = """
import asyncio, socket, threading, time, uvloop
from oneloop import AsyncOneloop, Oneloop, OneloopError, RetryPolicy
from oneloop.sandbox import Fault, Sandbox

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
ARGUMENTS = {"workspace_id": "ws_1", "external_meter_id": "acme", "refill": 1}
loops = set()

def refill(client):
    try:
        client.refill_billing_limit(**ARGUMENTS)
    except OneloopError:
        pass

async def refill_often(**options):
    loops.add(type(asyncio.get_running_loop()).__module__)
    async with AsyncOneloop(**options) as client:
        calls = [client.refill_billing_limit(**ARGUMENTS) for _ in range(8)]
        await asyncio.gather(*calls, return_exceptions=True)

for fault in [None, *Fault.names()]:
    with Sandbox() as sandbox:
        options = {"api_key": sandbox.api_key, "base_url": sandbox.url, "timeout": 0.05}
        options["retry"] = RetryPolicy(attempts=1, budget=0.3)
        if fault is not None:
            sandbox.misbehave(fault, times=12)
        asyncio.run(refill_often(**options))
        host, port = sandbox.url.removeprefix("http://").split(":")
        sockets = [socket.create_connection((host, int(port))) for _ in range(3)]
        sockets[0].sendall(b"POST / HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: 9\\r\\n")
        with Oneloop(**options) as client:
            threads = [threading.Thread(target=refill, args=(client,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            sandbox.stop()  # with calls in flight and connections that send nothing
            for thread in threads:
                thread.join()
        for one in sockets:
            one.close()

assert loops == {"uvloop"}, loops
"""


def test_a_sandbox_is_quiet_under_uvloop() -> None:
    """Nothing is printed whatever the fault, and however the sandbox stops."""
    result = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
