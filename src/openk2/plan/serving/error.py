"""What a serving plan is refused with."""


class ServingError(ValueError):
    """A network, machine or setting that cannot be planned; the message names the remedy."""
