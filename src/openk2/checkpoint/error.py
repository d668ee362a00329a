"""The error that every fault of a checkpoint raises."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read as its config demands; one line: thing, value, remedy."""
