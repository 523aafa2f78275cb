"""What a failing run says."""


class GenerationError(Exception):
    """The client could not be generated. Its text says what is wrong, and where."""
