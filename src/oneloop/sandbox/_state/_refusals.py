"""Why the sandbox's memory may refuse what it is asked for."""


class NotFoundError(LookupError):
    """There is no such thing."""


class ConflictError(ValueError):
    """What is there already does not allow it."""
