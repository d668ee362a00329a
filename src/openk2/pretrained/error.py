"""The error of this package."""


class LocalModelError(ValueError):
    """A model that cannot be opened here; one line: the thing, the value and the remedy."""
