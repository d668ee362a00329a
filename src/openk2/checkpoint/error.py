"""The one error of this room."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read as its config demands; one line: thing, value, remedy."""
