"""`python -m oneloop.sandbox`: serve a sandbox until Ctrl-C."""

import argparse
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from oneloop.sandbox import Sandbox


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status. Call it from the main thread only."""
    parser = argparse.ArgumentParser(
        prog="python -m oneloop.sandbox",
        description="Serve a stand-in for the Oneloop API on 127.0.0.1, until Ctrl-C.",
    )
    parser.add_argument(
        "--port", type=int, default=8787, help="0 for any free port (default: %(default)s)"
    )
    parser.add_argument(
        "--api-key", metavar="KEY", help="the token to accept (default: sdk_sandbox)"
    )
    options = parser.parse_args(argv)

    try:
        if options.api_key is None:
            sandbox = Sandbox(port=options.port)
        else:
            sandbox = Sandbox(port=options.port, api_key=options.api_key)
    except ValueError as error:
        parser.error(str(error))

    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        sandbox.start()
    except OSError as error:
        print(f"{parser.prog}: {error.strerror}", file=sys.stderr)
        return 1
    print(
        f"# The sandbox serves until Ctrl-C. Paste these lines into the shell that uses it:\n"
        f"export ONELOOP_BASE_URL={sandbox.url}\n"
        f"export ONELOOP_SDK_KEY={shlex.quote(sandbox.api_key)}",
        flush=True,
    )
    # On Windows, signals do not interrupt a wait without a timeout.
    while not stopped.wait(0.1):
        pass
    sandbox.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
