"""`python first.py PEER URL`: make one call, in as short a process as possible.

The call is a blocking one if the peer has one. It prints "done" after the call, and then its
resident memory in KiB. Its parent measures the time, from before the interpreter starts.
"""

import sys

sys.path[0] = sys.path[0].removesuffix("benchmarks")  # from the folder of this file to its parent


def resident() -> int:
    """Return the resident memory of this process in KiB, or 0 if the system does not report it."""
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - importing pathlib takes milliseconds
            text = status.read()
    except OSError:
        return 0
    return int(text.partition(b"VmRSS:")[2].split()[0])


if __name__ == "__main__":
    from importlib import import_module

    peer = import_module(f"benchmarks.peers.{sys.argv[1]}")
    if hasattr(peer, "make"):
        peer.make(sys.argv[2])()
    else:
        import asyncio

        async def first() -> None:
            """Make one async call."""
            call, close = peer.make_async(sys.argv[2])
            await call()
            await close()

        asyncio.run(first())
    sys.stdout.write("done\n")
    sys.stdout.flush()
    sys.stdout.write(f"{resident()}\n")
