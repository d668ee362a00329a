"""Why a study cannot go on."""


class StudyError(RuntimeError):
    """A study that cannot run as asked; the message names the thing, its value and the remedy."""
