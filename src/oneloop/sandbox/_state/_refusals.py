"""The errors of the state."""


class NotFoundError(LookupError):
    """What was asked for does not exist."""


class ConflictError(ValueError):
    """The current state does not allow the change."""
