"""A process as short as can be: `python first.py PEER URL` makes one call and tells that it did.

What it prints is the resident memory after the call, in KiB. Its time is taken from outside, and
begins before Python does.
"""

import sys

sys.path[0] = sys.path[0].removesuffix("benchmarks")  # the folder of this file, made that above it


def resident() -> int:
    """Return the memory that this process has in use, in KiB; 0 where the system does not say."""
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - pathlib takes milliseconds
            text = status.read()
    except OSError:
        return 0
    return int(text.partition(b"VmRSS:")[2].split()[0])


if __name__ == "__main__":
    from importlib import import_module

    import_module(f"benchmarks.peers.{sys.argv[1]}").make(sys.argv[2])()
    sys.stdout.write("done\n")
    sys.stdout.flush()
    sys.stdout.write(f"{resident()}\n")
