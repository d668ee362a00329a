"""What data is refused with."""


class DataError(ValueError):
    """Data that cannot be used; the message names the file, the place in it and the remedy."""
