"""The error of a pattern that cannot be used."""


class PatternError(ValueError):
    """A pattern cannot be read, or deciding about it would take too long. The message says why."""
