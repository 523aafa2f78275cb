"""The errors that all transports share."""

from oneloop.transport import TransportError


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
