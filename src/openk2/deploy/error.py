"""What a deployment is refused with."""


class DeployError(ValueError):
    """A plan, an engine or a value that cannot be deployed; the message names the remedy."""
