"""`one_line`: an error's message as a report shows it."""


def one_line(error: object) -> str:
    """The message without line breaks, at most 300 characters."""
    return " ".join(str(error).split())[:300]
