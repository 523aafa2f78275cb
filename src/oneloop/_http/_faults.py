"""The errors of the transports, and their words."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from oneloop.transport import TransportError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

CONNECTING = "cannot connect"
SENDING = "the connection was lost while sending"
WAITING = "the connection was lost while waiting"


LONGEST_HOST = 32
"""Characters of a host in the text of `HostRefusedError`, so that the rest of it is not cut off."""


class HostRefusedError(TransportError):
    """A request to another machine, which the rules of a test suite do not allow."""

    def __init__(self, host: str) -> None:
        host = host if len(host) <= LONGEST_HOST else f"{host[:LONGEST_HOST]}..."
        super().__init__(
            "calls to other machines are refused in tests; make the client in the test "
            "(fixture oneloop_sandbox) or allow the host: "
            f'@pytest.mark.oneloop_allow_hosts("{host}"), '
            "ini option oneloop_allow_hosts, --oneloop-allow-hosts=HOST, or "
            "set_testing(True, allow_hosts=[...])",
            sent=False,
            passing=False,
        )


def failed(error: Exception, *, doing: str, sent: bool) -> TransportError:
    """Return the error for an exception that ended an attempt.

    Raises:
        BaseException: What a signal handler raised, which is not about the call.
    """
    let_through(error)
    return TransportError(
        doing,
        detail=str(error) or type(error).__name__,
        sent=sent,
        timeout=isinstance(error, TimeoutError),
        passing=isinstance(error, OSError),
    )


@contextmanager
def connecting() -> Generator[None]:
    """Raise an error that says so if what is needed before a request is sent cannot be loaded.

    The interpreter is exiting, or the process has no file descriptor left.
    """
    try:
        yield
    except (ImportError, OSError) as error:
        failure = failed(error, doing=CONNECTING, sent=False)
    else:
        return
    raise failure


def busy() -> TransportError:
    """Return the error for a call that found no free connection in time."""
    return TransportError(
        "no free connection in time: all of max_connections are in use", sent=False, timeout=True
    )


def closed() -> TransportError:
    """Return the error for a call of a client that has been closed."""
    return TransportError("the client is closed", sent=False, passing=False)


def unopened(detail: object) -> TransportError:
    """Return the error for what prevents any connection, such as a bad certificate file."""
    return TransportError("cannot open connections", detail=str(detail), sent=False, passing=False)


def threadless(problem: object) -> TransportError:
    """Return the error for what needs a thread of its own if none can be started."""
    detail = f"no thread to prepare the connection: {problem}"
    may_pass = "shutdown" not in str(problem)  # of the interpreter, or of the loop's executor
    return TransportError(CONNECTING, detail=detail, sent=False, passing=may_pass)


def unconnected() -> TransportError:
    """Return the error for a connection that did not open in time."""
    return TransportError("no connection in time", sent=False, timeout=True)


def too_late() -> TransportError:
    """Return the error for a request that was ready to be sent after the end of the total time."""
    return TransportError("the time ran out before it was sent", sent=False, timeout=True)


def unsent() -> TransportError:
    """Return the error for a request that the server did not take in time."""
    return TransportError("the request could not be sent in time", timeout=True)


def unanswered() -> TransportError:
    """Return the error for a response of which no part came in time."""
    return TransportError("no answer in time", timeout=True)


def out_of_time() -> TransportError:
    """Return the error for a response that was not complete at the end of the total time."""
    return TransportError("no whole answer within the total time", timeout=True)


def running_loop() -> "AbstractEventLoop":
    """Return the running event loop of asyncio.

    Raises:
        TransportError: There is none, as under trio, or the interpreter is exiting.
    """
    try:
        import asyncio  # on first use, as a process without async calls does not need it

        return asyncio.get_running_loop()
    except RuntimeError:
        detail = ""
    except ImportError as error:
        detail = str(error)
    problem = "AsyncOneloop needs a running event loop of asyncio"
    raise TransportError(problem, detail=detail, sent=False, passing=False)


def let_through(error: BaseException) -> None:
    """Raise the exception of a signal handler that an error is or was made from, if any."""
    try:
        from oneloop import _signals  # on first use, as most calls do not fail
    except (ImportError, OSError):  # the interpreter is exiting, or has no file descriptor left
        return
    _signals.let_through(error)
