"""`python -m oneloop.sandbox`: serve a sandbox until Ctrl-C."""

import argparse
import io
import json
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any
from urllib.parse import quote

from oneloop.sandbox import Fault, Sandbox
from oneloop.sandbox._console import Console
from oneloop.sandbox._operations._files import controls_document


def main(argv: Sequence[str] | None = None, prog: str = "python -m oneloop.sandbox") -> int:
    """Serve until SIGINT or SIGTERM; return the exit status. Call it from the main thread only.

    Args:
        argv: The arguments; by default those of this program.
        prog: How the program is called, for its help.
    """
    parser = _parser(prog)
    options = vars(parser.parse_args(argv))
    console = Console(sys.stderr or io.StringIO())  # None where it was closed
    on_request = None if options.pop("quiet") else console.show
    given = {name: value for name, value in options.items() if value is not None}
    try:
        sandbox = Sandbox(**given, on_request=on_request)
    except ValueError as error:
        words = str(error)
        for name, option in {"log_size": "--log-size", "api_key": "--api-key"}.items():
            words = words.replace(name, option)
        parser.error(words)

    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        with console, sandbox:
            print(
                "# The sandbox serves until Ctrl-C. "
                "Paste these lines into the shell that uses it:\n"
                f"export ONELOOP_BASE_URL={sandbox.url}\n"
                f"export ONELOOP_SDK_KEY={shlex.quote(sandbox.api_key)}\n"
                f"# Its page: {sandbox.url}/#{quote(sandbox.api_key)}",
                flush=True,
            )
            # On Windows, signals do not interrupt a wait without a timeout.
            while not stopped.wait(0.1):
                pass
    except (OSError, ValueError) as error:  # of the address, or of the file of --state
        words = str(error)
        if isinstance(error, OSError) and error.strerror:
            file = "" if error.filename is None else f"{error.filename}: "
            words = f"{file}{error.strerror}"
        print(f"{parser.prog}: {words}", file=sys.stderr)
        return 1
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Serve a stand-in for the Oneloop API on this machine, until Ctrl-C.",
        epilog=(
            f"faults: any status from 200 to 599, {', '.join(Fault.names())}\n\n"
            "controls, with the default port and token:\n"
            f"{''.join(_examples())}\n"
            "docs/sandbox.md describes them, and the parameters of faults."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=8787, help="0 for any free port (default: %(default)s)"
    )
    parser.add_argument(
        "--api-key", metavar="KEY", help="the token to accept (default: sdk_sandbox)"
    )
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        dest="allowed_hosts",
        action="append",
        help="a further name by which clients may call it, * for any; may be repeated",
    )
    parser.add_argument("--state", metavar="FILE", help="keep the books in this file")
    parser.add_argument(
        "--log-size", metavar="N", type=int, help="how many requests to keep (default: 1000)"
    )
    parser.add_argument("--quiet", action="store_true", help="do not print a line for each request")
    return parser


def _examples() -> list[str]:
    """Return each control as a line for curl, after a line that says what it does."""
    return [
        f"\n  {operation['summary']}\n    {curl(method, path, operation)}\n"
        for path, item in controls_document()["paths"].items()
        for method, operation in item.items()
    ]


def curl(method: str, path: str, operation: Any) -> str:
    """Return the command that calls a control with the example of its description."""
    parts = ["curl -H 'Authorization: Bearer sdk_sandbox'"]
    body = operation.get("requestBody")
    if body is not None:
        example = body["content"]["application/json"]["example"]
        parts.append(f"-H 'Content-Type: application/json' -d '{json.dumps(example)}'")
    elif method != "get":
        parts.append(f"-X {method.upper()}")
    if operation.get("x-stream"):
        parts.insert(1, "-N")
    return " ".join([*parts, f"http://127.0.0.1:8787{path}"])


if __name__ == "__main__":
    sys.exit(main())
